"""Normal tissue that is marked as if it were a finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, distance_transform_edt

from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.evidence.sites import site_of
from scalemai.annotation.store.importing import Proposal
from scalemai.annotation.store.layout import STRUCTURES_FILE, StoredCase
from scalemai.annotation.store.regions import open_ct
from scalemai.components import label_components
from scalemai.measure import bounding_box, sizes_of

__all__ = ["CLEAR_MM", "false_finding"]

CLEAR_MM = 10.0
"""Distance from any finding and known lesion, at least: author's choice, to be refined."""

_WITHIN = 0.8
"""Share of the voxels that lies in the organ: detectors mark its border too. Author's choice."""

_TRIES = 60

_Bools = NDArray[np.bool_]


def false_finding(
    folder: Path,
    stored: StoredCase,
    parts: Sequence[str],
    donor: Proposal,
    donor_case: StoredCase,
    taken: Sequence[Runs],
    rng: np.random.Generator,
) -> Proposal | None:
    """A finding of a donor's shape in normal tissue; None if no place was found.

    Parameters
    ----------
    folder, stored
        The case that it is put in.
    parts
        Structures of the case that make up the organ.
    donor, donor_case
        The finding whose shape, size and score it gets, and the case that this one is in.
    taken
        What to stay away from.
    rng
        Draws mirror images and places.
    """
    labels = np.memmap(folder / STRUCTURES_FILE, "u1", "r", shape=stored.shape, order="F")
    numbers = [stored.structures.index(name) + 1 for name in parts]
    whole = np.isin(labels, numbers)
    region = bounding_box(whole)
    if region is None:
        return None
    inside = whole[region]
    spacing = stored.grid.spacing_mm
    low = [part.start for part in region]
    clear = _clear(inside.shape, taken, stored, low, spacing) & inside
    shape = _shape_of(donor, donor_case, spacing, rng)
    spots = np.argwhere(clear)
    if not len(spots) or not shape.any():
        return None
    middle = np.rint(np.argwhere(shape).mean(axis=0)).astype(int)
    for _ in range(_TRIES):
        corner = spots[int(rng.integers(len(spots)))] - middle
        upper = corner + shape.shape
        absolute = np.asarray(low) + corner
        if (absolute < 0).any() or (absolute + shape.shape > stored.shape).any():
            continue
        crop = tuple(
            slice(max(a, 0), min(b, n)) for a, b, n in zip(corner, upper, inside.shape, strict=True)
        )
        own = tuple(
            slice(part.start - a, part.stop - a) for part, a in zip(crop, corner, strict=True)
        )
        covered = shape[own]
        if np.count_nonzero(covered & inside[crop]) < _WITHIN * np.count_nonzero(shape):
            continue
        if (covered & inside[crop] & ~clear[crop]).any():
            continue
        return _proposal(folder, stored, donor, shape, [int(a) for a in absolute])
    return None


def _clear(
    size: tuple[int, ...],
    taken: Sequence[Runs],
    stored: StoredCase,
    low: Sequence[int],
    spacing: Sequence[float],
) -> _Bools:
    """Where nothing that is taken lies within :data:`CLEAR_MM`, in the organ's box."""
    reach = [int(np.ceil(CLEAR_MM / step)) + 1 for step in spacing]
    lower = tuple(max(0, a - r) for a, r in zip(low, reach, strict=True))
    upper = tuple(
        min(n, a + s + r) for a, s, r, n in zip(low, size, reach, stored.shape, strict=True)
    )
    box = ((lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))
    filled = np.zeros(np.subtract(upper, lower), np.bool_)
    for one in taken:
        filled |= one.mask(stored.shape, box)
    own = tuple(slice(a - b, a - b + s) for a, b, s in zip(low, lower, size, strict=True))
    if not filled.any():
        return np.ones(size, np.bool_)
    clear: _Bools = distance_transform_edt(~filled, sampling=spacing)[own] > CLEAR_MM
    return clear


def _shape_of(
    donor: Proposal,
    donor_case: StoredCase,
    spacing: Sequence[float],
    rng: np.random.Generator,
) -> _Bools:
    """The donor's mask at another spacing, mirrored along axes that are drawn; one piece."""
    box = donor.runs.box(donor_case.shape)
    assert box is not None  # no finding is empty
    mask = donor.runs.mask(donor_case.shape, box)
    scale = np.asarray(spacing) / np.asarray(donor_case.grid.spacing_mm)
    size = tuple(max(1, int(np.ceil(n / s))) for n, s in zip(mask.shape, scale, strict=True))
    # Centres of voxels onto centres of voxels: half a voxel off would shift small shapes away.
    offset = (scale - 1) / 2
    resampled = affine_transform(
        np.pad(mask, 1).astype(np.float32), scale, offset + 1, size, order=1, mode="constant"
    )
    result: _Bools = resampled >= 0.5
    if not result.any():
        result[tuple(n // 2 for n in size)] = True
    for axis in range(3):
        if rng.integers(2):
            result = np.flip(result, axis)
    pieces = label_components(np.ascontiguousarray(result))
    sizes = np.bincount(pieces.ravel())[1:]
    largest: _Bools = pieces == int(sizes.argmax()) + 1
    found = bounding_box(largest)
    assert found is not None
    return largest[found]


def _proposal(
    folder: Path, stored: StoredCase, donor: Proposal, shape: _Bools, low: Sequence[int]
) -> Proposal:
    region = tuple(slice(a, a + n) for a, n in zip(low, shape.shape, strict=True))
    grid = stored.grid.crop((region[0], region[1], region[2]))
    hu = open_ct(folder, stored)[region][shape]
    runs = Runs.of_mask(shape, stored.shape, low)
    measures: dict[str, Any] = {
        **asdict(sizes_of(shape, grid)),
        "mean_hu": float(hu.mean(dtype=np.float64)),
        "centre_mm": [float(c) for c in grid.to_world(np.argwhere(shape).mean(axis=0))],
    }
    if donor.measures.get("site") is not None:
        measures["site"] = site_of(folder, stored, donor.structure, runs)
    return Proposal(donor.structure, runs, donor.score, measures)
