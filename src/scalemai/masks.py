"""Where the mask of a structure is, and how it is read onto the grid of its CT."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import GeometryError, IntensityError
from scalemai.geometry import CORNER_TOLERANCE_MM, Grid
from scalemai.io.nifti import is_nifti_name, read_labels, read_mask
from scalemai.volume import Mask

__all__ = ["MaskSource", "each_source", "read_sources", "turned"]


@dataclass(frozen=True, slots=True)
class MaskSource:
    """A file that holds the mask of one structure, alone or among others.

    Parameters
    ----------
    path
        NIfTI file, or DICOM segmentation.
    values
        Label values or segment numbers whose voxels make the structure; empty if the whole file
        is its mask.
    """

    path: Path
    values: tuple[int, ...] = ()


def read_sources(
    sources: Mapping[str, MaskSource],
    grid: Grid,
    ct: Path,
    known_values: Mapping[Path, tuple[frozenset[int], str]],
) -> dict[str, Mask]:
    """Read masks onto a grid, each file once however many structures it holds.

    A file that stores the same voxels in another axis order or direction is turned, which is
    exact; nothing is resampled.

    Parameters
    ----------
    sources
        Structure name to where its mask is.
    grid
        The grid of the CT.
    ct
        The CT, for messages.
    known_values
        For each label map: every value that it may hold and the name of its class map.

    Returns
    -------
    dict
        Masks on ``grid`` under the names given, in the same order; empty ones too.

    Raises
    ------
    GeometryError
        If a mask lies on another grid.
    IntensityError
        If a label map holds a value that its class map does not know.
    UnreadableFileError
        If a file is missing or damaged.
    """
    masks = dict(each_source(sources, grid, ct, known_values))
    return {name: masks[name] for name in sources}


def each_source(
    sources: Mapping[str, MaskSource],
    grid: Grid,
    ct: Path,
    known_values: Mapping[Path, tuple[frozenset[int], str]],
) -> Iterator[tuple[str, Mask]]:
    """Yield names and masks one at a time, so that no more than one is held in memory.

    As :func:`read_sources`, but in the order of reading: masks with a file of their own first,
    then one label map after the other.
    """
    by_path: dict[Path, list[str]] = {}
    for name, source in sources.items():
        if source.values:
            by_path.setdefault(source.path, []).append(name)
        else:
            yield name, _read_alone(source.path, name, grid, ct)
    for path, names in by_path.items():
        if not is_nifti_name(path):
            yield from _read_segments(path, {name: sources[name].values for name in names}, grid)
            continue
        labels, found = read_labels(path)
        labels = turned(labels, found, grid, path, ct)
        if path in known_values:
            _refuse_unknown_values(labels, *known_values[path], path)
        for name in names:
            yield name, Mask(_is_any_of(labels, sources[name].values), grid, name, path)


def _read_segments(
    path: Path, numbers: Mapping[str, tuple[int, ...]], grid: Grid
) -> Iterator[tuple[str, Mask]]:
    """Structures of a DICOM segmentation, one at a time; its segments may overlap."""
    # highdicom and pydicom take long to import and most masks are NIfTI.
    from scalemai.io.dicom_seg_read import read_segmentation

    for name, values in numbers.items():
        segments = read_segmentation(path, match_grid=grid, segments=values)
        array = np.logical_or.reduce([segment.mask.array for segment in segments])
        yield name, Mask(np.asarray(array, np.bool_), grid, name, path)


def _read_alone(path: Path, name: str, grid: Grid, ct: Path) -> Mask:
    mask = read_mask(path, name)
    return Mask(turned(mask.array, mask.grid, grid, path, ct), grid, name, path)


def _is_any_of(labels: NDArray[Any], values: Iterable[int]) -> NDArray[np.bool_]:
    # A value beyond the file's type occurs nowhere, and comparing with it would overflow.
    limit = np.iinfo(labels.dtype).max
    inside = np.zeros(labels.shape, bool, order="F" if labels.flags.f_contiguous else "C")
    for value in values:
        if value <= limit:
            np.logical_or(inside, labels == value, out=inside)
    return inside


def _refuse_unknown_values(
    labels: NDArray[Any], known: frozenset[int], class_map: str, path: Path
) -> None:
    # Marking seen values costs one pass; np.unique would sort the whole volume.
    seen = np.zeros(int(labels.max()) + 1, bool)
    for slab in range(labels.shape[2]):
        seen[labels[:, :, slab]] = True
    unknown = sorted(set(np.flatnonzero(seen).tolist()) - known - {0})
    if unknown:
        shown = ", ".join(map(str, unknown[:5])) + (" ..." if len(unknown) > 5 else "")
        plural = "s" if len(unknown) > 1 else ""
        what = f"holds label value{plural} {shown}, which class map {class_map} does not have"
        fix = "give the class map of this data set and version"
        raise IntensityError(what, where=path, fix=fix)


def turned(array: NDArray[Any], grid: Grid, target: Grid, path: Path, ct: Path) -> NDArray[Any]:
    """The array in the axis order of ``target`` if both are the same lattice.

    Parameters
    ----------
    array, grid
        Array (i, j, k) and its grid.
    target
        The grid that is wanted: the same voxels, their axes in any order and direction.
    path, ct
        The file of the array, and that of the target, for messages.

    Returns
    -------
    ndarray
        A view of ``array``; no value is changed.

    Raises
    ------
    GeometryError
        If it is another lattice; both files and what differs are named.
    """
    if grid.same_as(target):
        return array
    # Which index of the mask's array is voxel (i, j, k) of the CT?
    relation = grid.inverse @ target.affine
    turn = np.rint(relation[:3, :3])
    if np.array_equal(np.abs(turn).sum(axis=0), np.ones(3)) and abs(np.linalg.det(turn)) == 1:
        order = np.abs(turn).argmax(axis=0)
        moved = array.transpose(order)
        affine = grid.affine[:, [*order, 3]]
        for axis in range(3):
            if turn[order[axis], axis] < 0:
                moved = np.flip(moved, axis)
                affine = affine.copy()
                affine[:, 3] += affine[:, axis] * (moved.shape[axis] - 1)
                affine[:, axis] *= -1
        grid = Grid(moved.shape, affine)  # what still differs is said of it as it was turned
        if grid.same_as(target):
            return moved
    raise _mismatch(grid, target, path, ct)


def _same_steps(grid: Grid, target: Grid) -> bool:
    """Whether spacings are equal up to what six digits of a header can hold."""
    return np.allclose(grid.spacing_mm, target.spacing_mm, rtol=1e-4, atol=0)


def _mismatch(grid: Grid, target: Grid, path: Path, ct: Path) -> GeometryError:
    if grid.shape != target.shape or not _same_steps(grid, target):
        what = f"has {grid.describe()}, but {ct} has {target.describe()}"
        fix = "resample the mask onto the CT (nearest neighbor), or give the mask of this CT"
        return GeometryError(what, where=path, fix=fix)
    shift = grid.difference_mm(target)
    what = (
        f"lies up to {shift:.3g} mm off {ct}, though both are {grid.shape} voxels "
        f"(at most {CORNER_TOLERANCE_MM:g} mm is rounding)"
    )
    fix = (
        "if the voxels do match, copy the affine of the CT into the mask; "
        "otherwise give the mask of this CT"
    )
    return GeometryError(what, where=path, fix=fix)
