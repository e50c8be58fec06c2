"""A predicted mask against its reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import ConfigError, GeometryError
from scalemai.evaluation.segmentation.borders import borders_of
from scalemai.evaluation.segmentation.distances import (
    nearest_mm,
    share_reached,
    weighted_percentile,
)
from scalemai.evaluation.segmentation.empties import DEFAULT_POLICY, EmptyPolicy, State
from scalemai.evaluation.segmentation.result import StructureResult, check_tolerances
from scalemai.geometry import Grid, Region
from scalemai.measure import bounding_box

__all__ = ["SLACK_MM", "compare_masks", "score_missing"]

SLACK_MM = 1e-4
"""A border this much beyond a tolerance is still within it.

Five voxels of 0.4 mm are 2 mm, but 2.00000003 mm once the spacing went through the float32 of a
NIfTI header, or 2.000001 mm through six digits of a DICOM header; without slack the NSD at 2 mm
would depend on how the file was stored. Author's estimate: a hundred times such rounding, and a
thousandth of the finest voxel."""

_RIGHT_ANGLE_DEG = 1e-3
"""Shear below this is rounding of the affine; it moves a point 100 mm away by 2 micrometres."""


def compare_masks(
    prediction: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    grid: Grid,
    *,
    tolerances_mm: Sequence[float] = (2.0,),
    policy: EmptyPolicy = DEFAULT_POLICY,
) -> StructureResult:
    """Overlap, surface distances and volume error of one structure.

    Works on the box around both masks on the grid as it is: nothing is resampled. Distances hold
    for any orientation; on a sheared grid (gantry tilt) they are those of the tilted lattice, not
    of its spacings. Single-threaded.

    Parameters
    ----------
    prediction, reference
        Boolean arrays (i, j, k), any memory layout.
    grid
        The one grid that both lie on.
    tolerances_mm
        Tolerances of the NSD. Borders exactly at the tolerance are within it.
    policy
        What is scored where a mask is empty.

    Raises
    ------
    GeometryError
        If a mask is not of the grid's shape.
    ConfigError
        If a mask is not boolean, or a tolerance is impossible or given twice.
    """
    tolerances = check_tolerances(tolerances_mm)
    _require_mask(prediction, grid, "prediction")
    _require_mask(reference, grid, "reference")
    order = _memory_order(reference)
    prediction, reference = prediction.transpose(order), reference.transpose(order)
    frame_mm = _frame_mm(grid)[np.ix_(order, order)]
    boxes = bounding_box(prediction), bounding_box(reference)
    if boxes[0] is None or boxes[1] is None:
        return _score_empty(prediction, reference, grid, tolerances, policy)

    shared = _shared_voxels(prediction, reference, boxes[0], boxes[1])
    predicted = int(np.count_nonzero(prediction[boxes[0]]))
    referred = int(np.count_nonzero(reference[boxes[1]]))
    origin = [min(p.start, r.start) for p, r in zip(boxes[0], boxes[1], strict=True)]
    a = borders_of(prediction, boxes[0], origin, frame_mm)
    b = borders_of(reference, boxes[1], origin, frame_mm)
    to_surfel = (
        nearest_mm(a.surfels, b.surfels, frame_mm),
        nearest_mm(b.surfels, a.surfels, frame_mm),
    )
    to_voxel = nearest_mm(a.voxels, b.voxels, frame_mm), nearest_mm(b.voxels, a.voxels, frame_mm)
    areas = a.areas_mm2, b.areas_mm2
    ones = np.ones(len(a.voxels)), np.ones(len(b.voxels))
    pairs = list(zip(to_surfel, areas, strict=True))
    voxel_ml = grid.voxel_volume_mm3 / 1000
    return StructureResult(
        state="both",
        dsc=float(2 * shared / (predicted + referred)),
        iou=float(shared / (predicted + referred - shared)),
        nsd_surfel={t: share_reached(to_surfel, areas, t + SLACK_MM) for t in tolerances},
        nsd_voxel={t: share_reached(to_voxel, ones, t + SLACK_MM) for t in tolerances},
        hd_mm=float(max(distances.max() for distances in to_surfel)),
        hd95_mm=max(weighted_percentile(d, area, 95) for d, area in pairs),
        assd_mm=float(sum(d @ area for d, area in pairs) / sum(area.sum() for area in areas)),
        volume_error_ml=(predicted - referred) * voxel_ml,
        volume_error_share=(predicted - referred) / referred,
        reference_ml=referred * voxel_ml,
        prediction_ml=predicted * voxel_ml,
    )


def score_missing(
    reference: NDArray[np.bool_] | None,
    grid: Grid | None,
    *,
    tolerances_mm: Sequence[float] = (2.0,),
    policy: EmptyPolicy = DEFAULT_POLICY,
) -> StructureResult:
    """The result of a structure whose prediction, or whose reference, is not there.

    Parameters
    ----------
    reference
        The reference mask, boolean (i, j, k): the prediction is missing, which is a failure. None
        if there is no reference either: the structure is not assessed and nothing is scored.
    grid
        The grid of the reference; None without one.
    tolerances_mm, policy
        As for :func:`compare_masks`.

    Raises
    ------
    GeometryError
        If the reference is not of the grid's shape, or has none.
    ConfigError
        If the reference is not boolean, or a tolerance is impossible or given twice.
    """
    tolerances = check_tolerances(tolerances_mm)
    if reference is None:
        return _without_surface("not_assessed", 0.0, tolerances, policy)
    if grid is None:
        raise GeometryError("the reference has no grid", fix="give the grid that it lies on")
    _require_mask(reference, grid, "reference")
    volume_ml = int(np.count_nonzero(reference)) * grid.voxel_volume_mm3 / 1000
    as_if_empty = _without_surface(
        "missing_prediction",
        _diagonal_mm(grid),
        tolerances,
        policy,
        reference_ml=volume_ml,
        prediction_ml=0.0,
    )
    # The whole volume is missed, though nobody has predicted a volume of 0.
    return replace(as_if_empty, prediction_ml=None)


def _score_empty(
    prediction: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    grid: Grid,
    tolerances: tuple[float, ...],
    policy: EmptyPolicy,
) -> StructureResult:
    """At least one of the masks is empty."""
    predicted, referred = (int(np.count_nonzero(mask)) for mask in (prediction, reference))
    state: State = "both_empty"
    if predicted:
        state = "reference_empty"
    elif referred:
        state = "prediction_empty"
    voxel_ml = grid.voxel_volume_mm3 / 1000
    return _without_surface(
        state,
        _diagonal_mm(grid),
        tolerances,
        policy,
        reference_ml=referred * voxel_ml,
        prediction_ml=predicted * voxel_ml,
    )


def _without_surface(
    state: State,
    diagonal_mm: float,
    tolerances: tuple[float, ...],
    policy: EmptyPolicy,
    *,
    reference_ml: float | None = None,
    prediction_ml: float | None = None,
) -> StructureResult:
    """What the policy says of a state in which no distance can be measured."""
    overlap = policy.overlap(state)
    distance_mm = policy.distance_mm(state, diagonal_mm)
    error_ml = None
    if reference_ml is not None and prediction_ml is not None:
        error_ml = prediction_ml - reference_ml
    share = error_ml / reference_ml if error_ml is not None and reference_ml else None
    return StructureResult(
        state=state,
        dsc=overlap,
        iou=overlap,
        nsd_surfel=dict.fromkeys(tolerances, overlap),
        nsd_voxel=dict.fromkeys(tolerances, overlap),
        hd_mm=distance_mm,
        hd95_mm=distance_mm,
        assd_mm=distance_mm,
        volume_error_ml=error_ml,
        volume_error_share=share,
        reference_ml=reference_ml,
        prediction_ml=prediction_ml,
    )


def _require_mask(mask: NDArray[Any], grid: Grid, name: str) -> None:
    if mask.dtype != np.bool_:
        raise ConfigError(
            f"the {name} is of type {mask.dtype}, not boolean",
            fix="compare a label map with the value of the structure first",
        )
    if mask.shape != grid.shape:
        raise GeometryError(f"the {name} has shape {mask.shape}, its grid {grid.shape}")


def _memory_order(mask: NDArray[np.bool_]) -> list[int]:
    """Axes from the one whose neighbours lie farthest apart in memory to the nearest.

    Files are read in Fortran order; copying such a mask into C order visits a page a voxel.
    """
    return sorted(range(3), key=lambda axis: -abs(mask.strides[axis]))


def _shared_voxels(
    prediction: NDArray[np.bool_], reference: NDArray[np.bool_], first: Region, second: Region
) -> int:
    """Voxels in both masks, of which only the part in both boxes is looked at."""
    a, b, c = (
        slice(max(f.start, s.start), min(f.stop, s.stop))
        for f, s in zip(first, second, strict=True)
    )
    if any(side.start >= side.stop for side in (a, b, c)):
        return 0
    return int(np.count_nonzero(prediction[a, b, c] & reference[a, b, c]))


def _frame_mm(grid: Grid) -> NDArray[np.float64]:
    """Steps along the array axes in mm, one per column; turned upright unless sheared."""
    if grid.shear_deg < _RIGHT_ANGLE_DEG:
        return np.diag(grid.spacing_mm)
    return grid.affine[:3, :3]


def _diagonal_mm(grid: Grid) -> float:
    """The longest diagonal of the scan, from voxel edge to voxel edge."""
    extent = grid.affine[:3, :3] * np.asarray(grid.shape)
    ends = np.array([(1, a, b) for a in (1, -1) for b in (1, -1)])
    return float(np.linalg.norm(ends @ extent.T, axis=1).max())
