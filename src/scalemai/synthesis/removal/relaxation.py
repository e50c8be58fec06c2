"""Values that a hole takes from around it: harmonic, so that neither value nor slope jumps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.errors import GeometryError

__all__ = ["conjugate_gradients", "harmonic"]

_CELL_MM = 3.0  # of the coarse solution: the data are smooth over this distance
_COARSE_STEPS = 400
_FINE_STEPS = 40
_TOLERANCE = 1e-3

Field = NDArray[np.float64]


def conjugate_gradients(
    apply: Callable[[Field], Field], right: Field, start: Field, *, steps: int, tolerance: float
) -> Field:
    """Solve a symmetric positive definite system, matrix-free.

    Sums are numpy's own rather than BLAS products, whose bits depend on the number of threads.

    Parameters
    ----------
    apply
        Multiplies by the matrix.
    right, start
        Right-hand side and first guess, arrays of one shape.
    steps
        Most steps.
    tolerance
        Stop when the residual's norm is below this share of the right-hand side's.
    """
    x = start.copy()
    residual = right - apply(x)
    direction = residual.copy()
    square = float((residual * residual).sum())
    goal = tolerance**2 * max(float((right * right).sum()), np.finfo(np.float64).tiny)
    for _ in range(steps):
        if square <= goal:
            break
        image = apply(direction)
        length = square / float((direction * image).sum())
        x += length * direction
        residual -= length * image
        before, square = square, float((residual * residual).sum())
        direction = residual + (square / before) * direction
    return x


def harmonic(
    values: NDArray[np.floating],
    known: NDArray[np.bool_],
    hole: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.float32]:
    """Continue known values through a hole by Laplace's equation.

    Nothing flows through voxels that are neither known nor of the hole, so a hole that touches
    another tissue takes nothing from there.

    Parameters
    ----------
    values
        Array (i, j, k); only its known voxels count. Should be smooth, as its noise would spread.
    known, hole
        Boolean arrays, disjoint.
    spacing_mm
        Distance between voxels along each axis.

    Returns
    -------
    ndarray
        float32: the solution in the hole, ``values`` elsewhere.

    Raises
    ------
    GeometryError
        If a hole has no known voxel anywhere.
    """
    result = np.array(values, np.float32)
    if not hole.any():
        return result
    if not known.any():
        raise GeometryError("there is nothing to fill the hole from")
    guess = np.where(known, values, float(np.mean(values[known]))).astype(np.float64)
    blocks = tuple(
        int(np.clip(np.floor(_CELL_MM / s), 1, n))
        for s, n in zip(spacing_mm, values.shape, strict=True)
    )
    if max(blocks) > 1:
        guess = np.where(known, values, _coarse(values, known, hole, spacing_mm, blocks))
    solved = _solve(guess, known, hole, spacing_mm, _FINE_STEPS if max(blocks) > 1 else 400)
    result[hole] = solved[hole]
    return result


def _solve(
    guess: Field,
    known: NDArray[np.bool_],
    hole: NDArray[np.bool_],
    spacing_mm: tuple[float, ...],
    steps: int,
) -> Field:
    weights = [1.0 / s**2 for s in spacing_mm]
    active = known | hole
    bonds = []
    for axis in range(3):
        low, high = _sides(axis)
        bonds.append(weights[axis] * (active[low] & active[high] & (hole[low] | hole[high])))

    def apply(field: Field) -> Field:
        total = np.zeros_like(field)
        for axis, bond in enumerate(bonds):
            low, high = _sides(axis)
            flow = bond * (field[high] - field[low])
            total[low] -= flow
            total[high] += flow
        total *= hole
        # A pocket that no known voxel touches keeps the guess: this makes it determined.
        total += 1e-9 * field * hole
        return total

    fixed = np.where(known, guess, 0.0)
    right = -apply(fixed) + 1e-9 * guess * hole
    return conjugate_gradients(
        apply, right, np.where(hole, guess, 0.0), steps=steps, tolerance=_TOLERANCE
    )


def _coarse(
    values: NDArray[np.floating],
    known: NDArray[np.bool_],
    hole: NDArray[np.bool_],
    spacing_mm: tuple[float, ...],
    blocks: tuple[int, ...],
) -> Field:
    """The solution on larger cells, brought back to the voxels: a good guess at little cost."""
    count = _block_sums(known.astype(np.float64), blocks)
    total = _block_sums(np.where(known, values, 0.0), blocks)
    holes = _block_sums(hole.astype(np.float64), blocks) > 0
    fixed = (count > 0) & ~holes
    if not fixed.any():
        fixed = count > 0
        holes &= ~fixed
    mean = total / np.maximum(count, 1.0)
    guess = np.where(count > 0, mean, float(total.sum() / count.sum()))
    cells = tuple(s * b for s, b in zip(spacing_mm, blocks, strict=True))
    solved = np.where(holes, _solve(guess, fixed, holes, cells, _COARSE_STEPS), guess)
    at = np.meshgrid(
        *((np.arange(n) + 0.5) / b - 0.5 for n, b in zip(values.shape, blocks, strict=True)),
        indexing="ij",
        sparse=False,
    )
    back: Field = ndimage.map_coordinates(solved, at, order=1, mode="nearest")
    return back


def _block_sums(array: Field, blocks: tuple[int, ...]) -> Field:
    padded = np.pad(array, [(0, -n % b) for n, b in zip(array.shape, blocks, strict=True)])
    a, b, c = padded.shape
    p, q, r = blocks
    sums: Field = padded.reshape(a // p, p, b // q, q, c // r, r).sum(axis=(1, 3, 5))
    return sums


def _sides(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
    high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
    return low, high
