"""The same thing twice: recipes, shapes, hosts and files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.synthesis.audit.findings import CaseFindings, LesionFindings, Outline

__all__ = ["Duplicates", "find_duplicates", "outline_of"]

_POINTS = 24
_REACH = 0.75  # of the longest diameter, to each side of the centroid
_SAME_SIZE = 0.03
# Dice overlap of aligned labels and correlation of changes. Author's choice: what the same lesion
# still has on another grid, and two lesions drawn apart do not.
_SAME_SHAPE = 0.95
_SAME_CHANGE = 0.85


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """What occurs more than once, each as groups of names.

    Parameters
    ----------
    recipes
        Lesions that were drawn alike, place aside.
    shapes
        Lesions whose labels overlap when laid on one another, and whose change is the same.
    hosts
        Cases made from one scan.
    files
        Cases with identical voxels.
    """

    recipes: tuple[tuple[str, ...], ...]
    shapes: tuple[tuple[str, ...], ...]
    hosts: tuple[tuple[str, ...], ...]
    files: tuple[tuple[str, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return {name: [list(group) for group in groups] for name, groups in asdict(self).items()}


def outline_of(
    lesion: NDArray[np.bool_],
    change: NDArray[np.float32] | None,
    grid: Grid,
    diameter_mm: float,
) -> Outline:
    """Sample a label and its change on a lattice in mm that is centred on the label.

    Parameters
    ----------
    lesion
        Boolean array (i, j, k).
    change
        Array (i, j, k): HU minus those of the host.
    grid
        Grid of both.
    diameter_mm
        Longest axial diameter.
    """
    centre = grid.to_world(np.argwhere(lesion)).mean(axis=0)
    line = np.linspace(-1.0, 1.0, _POINTS) * _REACH * diameter_mm
    points = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1) + centre
    index = np.moveaxis(grid.to_voxel(points), -1, 0)
    shape = ndimage.map_coordinates(lesion.astype(np.float32), index, order=1, mode="constant")
    if change is not None:
        change = ndimage.map_coordinates(
            change.astype(np.float32), index, order=1, mode="constant", output=np.float32
        )
    return Outline(shape >= 0.5, change)


def find_duplicates(cases: Sequence[CaseFindings]) -> Duplicates:
    """Look for repetitions among synthetic cases."""
    lesions = [lesion for case in cases for lesion in case.lesions]
    return Duplicates(
        recipes=_repeated((lesion.recipe, lesion.name) for lesion in lesions if lesion.recipe),
        shapes=_same_shapes(lesions),
        hosts=_repeated((case.host, case.case) for case in cases if case.host),
        files=_repeated((case.result, case.case) for case in cases),
    )


def _repeated(named: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[str]] = defaultdict(list)
    for key, name in named:
        groups[key].append(name)
    return tuple(sorted(tuple(names) for names in groups.values() if len(names) > 1))


def _same_shapes(lesions: Sequence[LesionFindings]) -> tuple[tuple[str, ...], ...]:
    """Groups of lesions that are one another's copies; only near sizes are compared."""
    order = sorted(range(len(lesions)), key=lambda n: lesions[n].diameter_mm)
    parent = list(range(len(lesions)))

    def root(n: int) -> int:
        while parent[n] != n:
            n = parent[n]
        return n

    for place, first in enumerate(order):
        for second in order[place + 1 :]:
            one, two = lesions[first], lesions[second]
            if two.diameter_mm > one.diameter_mm * (1.0 + _SAME_SIZE):
                break
            if one.organ == two.organ and _is_copy(one.outline, two.outline):
                parent[root(second)] = root(first)
    groups: dict[int, list[str]] = defaultdict(list)
    for n, lesion in enumerate(lesions):
        groups[root(n)].append(lesion.name)
    return tuple(sorted(tuple(sorted(names)) for names in groups.values() if len(names) > 1))


def _is_copy(one: Outline, two: Outline) -> bool:
    both = np.count_nonzero(one.shape & two.shape)
    total = np.count_nonzero(one.shape) + np.count_nonzero(two.shape)
    if 2.0 * both < _SAME_SHAPE * total or not both:
        return False
    if one.change is None or two.change is None:
        return True
    joint = one.shape | two.shape
    a, b = one.change[joint].astype(np.float64), two.change[joint].astype(np.float64)
    if min(a.std(), b.std()) < 1e-6:
        return abs(float(a.mean() - b.mean())) < 1.0
    return float(np.corrcoef(a, b)[0, 1]) >= _SAME_CHANGE
