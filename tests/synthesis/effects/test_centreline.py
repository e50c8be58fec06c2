"""Centre lines and cross-sections against tubes whose course is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scalemai.geometry import Grid
from scalemai.synthesis.effects.centreline import CentreLine, centre_lines
from scalemai.synthesis.effects.cross_section import cross_sections
from scalemai.synthesis.effects.tubes import nearest_on_line, tube_coverage


def grid_of(spacing: tuple[float, float, float]) -> Grid:
    shape = [int(60.0 / s) for s in spacing]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -30.0
    return Grid((shape[0], shape[1], shape[2]), affine)


def arc() -> NDArray[np.float64]:
    """A quarter of a circle of 25 mm that climbs by 20 mm."""
    turn = np.linspace(0.0, 0.5 * np.pi, 400)
    return np.stack([25 * np.cos(turn) - 10, 25 * np.sin(turn) - 10, 40 / np.pi * turn], axis=1)


def tube(grid: Grid, way: NDArray[np.float64], radius_mm: float) -> NDArray[np.bool_]:
    line = CentreLine(way, np.full(len(way), radius_mm))
    voxels = np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3)
    distance, _ = nearest_on_line(line, grid.to_world(voxels))
    return (distance <= radius_mm).reshape(grid.shape)


@pytest.mark.parametrize("radius", [1.6, 4.0])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 2.5), (2.5, 0.8, 0.8)])
def test_the_line_of_a_bent_tube_keeps_to_its_middle(
    radius: float, spacing: tuple[float, float, float]
) -> None:
    grid = grid_of(spacing)
    (line,) = centre_lines(tube(grid, arc(), radius), grid)
    away, _ = nearest_on_line(CentreLine(arc(), np.ones(400)), line.points_mm)
    assert np.percentile(away, 95) < 0.5 * max(spacing) + 0.3
    full = float(np.linalg.norm(np.diff(arc(), axis=0), axis=1).sum())
    assert full - 2.5 * radius - 3.0 < line.along_mm[-1] < full + 2.5 * radius


def test_each_branch_has_a_line_and_no_bump_has() -> None:
    grid = grid_of((1.0, 1.0, 1.0))
    stem = np.linspace((-25.0, 0, 0), (25.0, 0, 0), 200)
    branch = np.linspace((0.0, 0, 0), (15.0, 22.0, 5.0), 120)
    bump = np.linspace((-12.0, 0, 0), (-12.0, 0, 5.0), 20)
    mask = tube(grid, stem, 4.0) | tube(grid, branch, 3.0) | tube(grid, bump, 2.0)
    lines = centre_lines(mask, grid)
    assert len(lines) == 2
    ends = [line.points_mm[[0, -1]] for line in lines]
    nearest = min(np.linalg.norm(end - branch[-1], axis=1).min() for end in ends)
    assert nearest < 6.0


def test_walls_are_where_the_tube_ends() -> None:
    grid = grid_of((0.9, 0.9, 1.5))
    mask = tube(grid, arc(), 4.0)
    (line,) = centre_lines(mask, grid)
    walls = cross_sections(line, mask, grid).wall_mm[5:-5]
    assert np.nanmean(walls) == pytest.approx(4.0, abs=0.25)
    assert np.isfinite(walls).mean() > 0.98


def test_nothing_comes_of_a_mask_without_length() -> None:
    grid = grid_of((2.0, 2.0, 2.0))
    empty = np.zeros(grid.shape, np.bool_)
    assert centre_lines(empty, grid) == ()
    empty[3, 3, 3] = True
    assert centre_lines(empty, grid) == ()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 2.5), (3.0, 3.0, 3.0)])
def test_a_tube_in_voxels_has_the_volume_of_the_tube(spacing: tuple[float, float, float]) -> None:
    grid = grid_of(spacing)
    way = np.linspace((-20.0, -6.0, -8.0), (20.0, 8.0, 6.0), 200)
    coverage = tube_coverage(CentreLine(way, np.full(200, 3.0)), grid)
    length = float(np.linalg.norm(way[-1] - way[0]))
    volume = np.pi * 9.0 * length + 4.0 / 3.0 * np.pi * 27.0
    assert float(coverage.sum()) * grid.voxel_volume_mm3 == pytest.approx(volume, rel=0.05)
    assert coverage.min() >= 0.0
    assert coverage.max() <= 1.0
