"""The noiseless phantom: every organ of one patient painted on one grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.cases.phantom.basin import paint_basin
from scalemai.cases.phantom.body import Body
from scalemai.cases.phantom.bowel import paint_small_bowel
from scalemai.cases.phantom.canvas import F32, Canvas
from scalemai.cases.phantom.chest import paint_chest
from scalemai.cases.phantom.gut import paint_colon, paint_stomach_and_duodenum
from scalemai.cases.phantom.hounsfield import tissue_hu
from scalemai.cases.phantom.labels import LabelledStructures
from scalemai.cases.phantom.liver import paint_bile, paint_liver
from scalemai.cases.phantom.pancreas import paint_pancreas
from scalemai.cases.phantom.skeleton import paint_skeleton
from scalemai.cases.phantom.spec import PhantomSpec
from scalemai.cases.phantom.torso import paint_deep_muscles, paint_torso
from scalemai.cases.phantom.upper import paint_adrenals, paint_kidneys, paint_spleen
from scalemai.cases.phantom.vessels import paint_great_vessels, paint_splanchnic_vessels
from scalemai.geometry import Grid

__all__ = ["Anatomy", "build_anatomy", "grid_of"]


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A patient without a scanner.

    Parameters
    ----------
    ideal_hu
        Array (i, j, k), float32: Hounsfield units without blur or noise, with partial volume.
    structures
        Canonical structure name to boolean mask (i, j, k), exact at voxel centres; structures
        outside the field of view are absent.
    grid
        Where the voxels are.
    spec
        What was asked for.
    """

    ideal_hu: NDArray[np.float32]
    structures: Mapping[str, NDArray[np.bool_]]
    grid: Grid
    spec: PhantomSpec


def grid_of(spec: PhantomSpec) -> Grid:
    """The grid that a spec asks for: its stored axes, spacing and centre."""
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    for stored, (world, sign) in enumerate(spec.world_axes):
        affine[world, stored] = sign * spec.spacing_mm[stored]
    middle = (np.asarray(spec.shape, float) - 1) / 2
    affine[:3, 3] = np.asarray(spec.centre_mm) - affine[:3, :3] @ middle
    return Grid(spec.shape, affine)


def _axes_in_body_mm(spec: PhantomSpec, grid: Grid) -> tuple[F32, F32, F32]:
    """Ascending voxel centres along world x, y, z in body coordinates."""
    axes: list[F32] = [np.empty(0, np.float32)] * 3
    for stored, (world, _) in enumerate(spec.world_axes):
        n = np.arange(spec.shape[stored])
        line = np.sort(grid.affine[world, 3] + grid.affine[world, stored] * n)
        axes[world] = (line / spec.size_scale).astype(np.float32)
    return axes[0], axes[1], axes[2]


def build_anatomy(spec: PhantomSpec) -> Anatomy:
    """Build the patient on the grid that the spec asks for.

    Parameters
    ----------
    spec
        Patient, phase and grid.

    Returns
    -------
    Anatomy

    Notes
    -----
    Tissues are laid over one another from the outside in, each with the share of a voxel that it
    covers, so that edges are blended as a scanner blends them. Shapes are smooth fields in mm that
    do not know the grid.
    """
    grid = grid_of(spec)
    canvas = Canvas(*_axes_in_body_mm(spec, grid))
    body = Body(spec)
    hu = tissue_hu(spec)
    for paint in (
        paint_torso,
        paint_deep_muscles,
        paint_chest,
        paint_liver,
        paint_spleen,
        paint_kidneys,
        paint_adrenals,
        paint_skeleton,
        paint_great_vessels,
        paint_splanchnic_vessels,
        paint_bile,
        paint_stomach_and_duodenum,
        paint_pancreas,
        paint_colon,
        paint_small_bowel,
        paint_basin,
    ):
        paint(canvas, body, hu)
    order = [world for world, _ in spec.world_axes]
    flips = tuple(slice(None, None, sign) for _, sign in spec.world_axes)
    ideal_hu = np.ascontiguousarray(canvas.hu.transpose(order)[flips])
    labels = np.ascontiguousarray(canvas.labels.transpose(order)[flips])
    return Anatomy(ideal_hu, LabelledStructures(labels), grid, spec)
