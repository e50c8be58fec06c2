"""Weighted least squares of a law, for many resamples at once.

Given the parameters of the shape, floor and scale are a bounded linear problem with a solution in
closed form (separable least squares: Golub and Pereyra, SIAM J Numer Anal 1973;10:413). So only
the shape's own parameters (none, one or three) are searched: every point of a fixed grid is a
start, and a pattern search with shrinking steps goes on from the best. Nothing is random.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.evaluation.scaling.laws import Law

__all__ = ["FARTHEST", "Fits", "fit_law"]

Array = NDArray[np.float64]
FARTHEST = 1000.0
"""Times the largest n: a law that needs more scans than that never arrives (author's choice)."""

_GRID = {0: 1, 1: 64, 3: 12}
"""Points per parameter of the grid of starts, by the number of parameters."""
_STEPS = 24
"""Halvings of the step of the search: the grid's step over 2^24 is below any use."""
_BLOCK = 4_000_000
"""Most numbers held at once."""


@dataclass(frozen=True, eq=False)
class Fits:
    """A law fitted to many resamples of the same sizes.

    Parameters
    ----------
    law
        The law.
    reference
        Number of scans that sizes are relative to.
    largest
        Largest number of scans of the fit.
    floor, scale, squares
        Arrays (resamples,): parameters, in units of the loss, and weighted sum of squares.
    shape
        Array (resamples, parameters) of the shape, in relative sizes.
    at_bound
        Array (resamples,): whether a parameter lies at the end of its range.
    """

    law: Law
    reference: float
    largest: float
    floor: Array
    scale: Array
    squares: Array
    shape: Array
    at_bound: NDArray[np.bool_]

    def at(self, n: ArrayLike) -> Array:
        """Losses (resamples, sizes) at numbers of scans (sizes,)."""
        relative = np.asarray(n, np.float64) / self.reference
        bent = self.law.shape(relative, self.shape)
        return self.floor[:, None] + self.scale[:, None] * bent

    def scans_for(self, loss: ArrayLike) -> Array:
        """Numbers of scans (resamples,) at which each law has a loss (resamples,).

        Infinite where the law never falls so low, or only beyond :data:`FARTHEST` times its
        largest n.
        """
        above = np.asarray(loss, np.float64) - self.floor
        with np.errstate(divide="ignore", invalid="ignore"):
            bent = np.where(self.scale > 0, above / self.scale, np.copysign(np.inf, above))
        with np.errstate(over="ignore"):  # a flat law may need more scans than a float holds
            n = self.law.inverse(bent, self.shape) * self.reference
        return np.where(n > FARTHEST * self.largest, np.inf, n)

    def slope_per_doubling(self, n: float) -> Array:
        """By how much the loss still falls (resamples,) from ``n`` to twice as many scans."""
        there = self.at([n, 2.0 * n])
        fall: Array = there[:, 0] - there[:, 1]
        return fall


def fit_law(
    law: Law, n: ArrayLike, loss: ArrayLike, weights: ArrayLike, *, perfect: float | None
) -> Fits:
    """Fit a law to means at several sizes.

    Parameters
    ----------
    law
        The law.
    n
        Array (sizes,) of numbers of scans, above 0.
    loss
        Array (resamples, sizes), or (sizes,) for a single fit.
    weights
        Array (sizes,), above 0: the inverse of the variance, in any unit.
    perfect
        Loss of a perfect result: no floor lies below it. None if there is no such value; then
        the law must have a floor of its own.

    Raises
    ------
    ValueError
        If shapes do not fit, or a law without a floor has no perfect loss.
    """
    sizes = np.asarray(n, np.float64)
    values = np.atleast_2d(np.asarray(loss, np.float64))
    weight = np.asarray(weights, np.float64)
    if values.shape[1:] != sizes.shape or weight.shape != sizes.shape or not (sizes > 0).all():
        raise ValueError(f"losses {values.shape} and weights {weight.shape} for {sizes.shape}")
    if perfect is None and not law.has_floor:
        raise ValueError(f"{law.name} needs the loss of a perfect result")
    reference = float(np.exp(np.log(sizes).mean()))
    relative = sizes / reference
    box = np.array(law.box(relative.min(), relative.max())).reshape(-1, 2)
    step = max(_BLOCK // (sizes.size * _GRID[len(box)] ** len(box)), 1)
    parts = [
        _fit(law, relative, part, weight / weight.sum(), perfect, box)
        for part in np.split(values, range(step, len(values), step))
    ]
    theta, linear = (np.concatenate([part[i] for part in parts]) for i in range(2))
    floor, scale, squares = linear.T
    near = 1e-4 * (box[:, 1] - box[:, 0])
    at_bound = ((theta <= box[:, 0] + near) | (theta >= box[:, 1] - near)).any(axis=1)
    if law.has_floor and law.saturates and perfect is not None:
        at_bound |= floor <= perfect
    return Fits(
        law, reference, float(sizes.max()), floor, scale, squares * weight.sum(), theta, at_bound
    )


def _fit(
    law: Law, n: Array, loss: Array, weight: Array, perfect: float | None, box: Array
) -> tuple[Array, Array]:
    """Parameters of the shape (resamples, parameters), and floor, scale and squares (..., 3)."""
    lowest = perfect if law.saturates else None

    def solve(theta: Array) -> Array:
        return _linear(
            loss[:, None], law.shape(n, theta), weight, lowest, None if law.has_floor else perfect
        )

    axes = [np.linspace(low, high, _GRID[len(box)]) for low, high in box]
    starts = list(itertools.product(*axes))
    grid = np.array(starts, np.float64).reshape(len(starts), len(box))
    found = solve(grid[None])
    best = np.argmin(found[..., 2], axis=1)
    theta, linear = grid[best], found[np.arange(len(loss)), best]
    if not len(box):
        return theta, linear
    moves = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=len(box))))
    stride = (box[:, 1] - box[:, 0]) / (_GRID[len(box)] - 1) / 2
    for _ in range(_STEPS):
        for _ in range(1 if len(box) == 1 else 2):
            tried = np.clip(theta[:, None] + moves * stride, box[:, 0], box[:, 1])
            found = solve(tried)
            best = np.argmin(found[..., 2], axis=1)
            rows = np.arange(len(loss))
            theta, linear = tried[rows, best], found[rows, best]
        stride = stride / 2
    return theta, linear


def _linear(
    loss: Array, bent: Array, weight: Array, lowest: float | None, fixed: float | None
) -> Array:
    """Floor, scale >= 0 and squares (resamples, shapes, 3) for losses and shapes (..., sizes).

    The weights add up to 1.
    """
    mean_shape = bent @ weight
    mean_loss = loss @ weight
    shape_2 = bent**2 @ weight

    def onto(floor: Array | float) -> Array:
        """The scale for a given floor."""
        across = np.einsum("...s,...s,s->...", loss, bent, weight) - floor * mean_shape
        best: Array = np.maximum(across / np.maximum(shape_2, 1e-300), 0.0)
        return best

    if fixed is not None:
        scale = onto(fixed)
        return _with_squares(loss, bent, weight, np.full_like(scale, fixed), scale)
    spread = np.maximum(shape_2 - mean_shape**2, 1e-300)
    across = np.einsum("...s,...s,s->...", loss, bent, weight) - mean_loss * mean_shape
    scale = np.maximum(across / spread, 0.0)
    floor = mean_loss - scale * mean_shape
    if lowest is not None:
        # The problem is convex, so a floor that is too low moves to its bound.
        low = floor < lowest
        scale = np.where(low, onto(lowest), scale)
        floor = np.where(low, lowest, floor)
    return _with_squares(loss, bent, weight, floor, scale)


def _with_squares(loss: Array, bent: Array, weight: Array, floor: Array, scale: Array) -> Array:
    left = loss - floor[..., None] - scale[..., None] * bent
    return np.stack([floor, scale, left**2 @ weight], axis=-1)
