"""One field, two views: the arrival time of a lesion, and its density on the scan's voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.geometry import Grid, Region
from scalemai.measure import longest_axial_diameter_mm
from scalemai.synthesis.growth.automaton import march
from scalemai.synthesis.growth.neighbourhood import Neighbourhood
from scalemai.synthesis.growth.noise import noise_table
from scalemai.synthesis.growth.sampling import STEEPEST, reached_box, sample
from scalemai.synthesis.recipe import Recipe

__all__ = [
    "GrowthField",
    "Rendering",
    "border_width_mm",
    "fit",
    "grow",
    "label",
    "render",
    "search_radius_mm",
]

_COARSEST_CELL_MM = 1.5  # a vessel of 3 mm is still two cells wide
_FINEST_CELL_VOXELS = 0.3  # of the finest voxel side: finer shapes would not be seen
_HALF_SIDES = (0.85, 1.4)  # of the diameter; the second only where the first was too narrow
_SLOW_FAT = 0.35
_FEW_VOXELS = 500
_THICK = 1.5  # longest side of a voxel over its shortest; author's choice
_EDGE_STEP = 0.04  # how finely the edge is looked for, in time, which is mm at full speed
_AVERAGED_MM = 1.6  # voxels of this side and more are divided into several samples


@dataclass(frozen=True)
class GrowthField:
    """When each place round a seed becomes tumor.

    Parameters
    ----------
    time
        Array (n, n, n) of arrival times in mm at unit speed; inf where growth did not come.
    from_voxel
        Matrix (3, 4) from voxel indices of the neighbourhood to cell indices.
    edge
        Arrival time of the border (density one half).
    reached_mm
        Longest axial diameter of the field at ``edge``.
    complete
        False if there was no room for the diameter that was asked for.
    noise
        Table (16, 16, 16) of normal numbers, for the texture.
    cell_mm
        Distance between cells in mm.
    """

    time: NDArray[np.float32]
    from_voxel: NDArray[np.float64]
    edge: float
    reached_mm: float
    complete: bool
    noise: NDArray[np.float32]
    cell_mm: float


@dataclass(frozen=True)
class Rendering:
    """A field on voxels.

    Parameters
    ----------
    box
        The box within the neighbourhood.
    density
        Mean tumor density of each voxel, 0 to 1: it fades over the border.
    filled
        Share of each voxel that lies within the edge: it decides the label.
    age
        Mean time since turning, in mm at unit speed.
    edge
        Arrival time of the border.
    """

    box: Region
    density: NDArray[np.float32]
    filled: NDArray[np.float32]
    age: NDArray[np.float32]
    edge: float


def search_radius_mm(diameter_mm: float) -> float:
    """Radius in mm of the neighbourhood that a lesion of this diameter may grow in."""
    return 1.1 * diameter_mm + 6.0


def grow(recipe: Recipe, around: Neighbourhood) -> GrowthField:
    """Run the automaton of a recipe in a neighbourhood: pure, the same input gives the same bits.

    Parameters
    ----------
    recipe
        What was drawn.
    around
        The tissue, at least :func:`search_radius_mm` to each side of the seed.
    """
    table = noise_table(recipe.noise_seed)
    spacing = np.asarray(around.grid.spacing_mm)
    cell = min(recipe.diameter_mm / recipe.cells, _COARSEST_CELL_MM)
    cell = max(cell, _FINEST_CELL_VOXELS * float(spacing.min()))
    frame = _frame(recipe)
    # The front is followed past the border as far as the border fades, and where slices are thick
    # as far as it may have to move, as the widest image may lie between two of them.
    tail = 0.6 * border_width_mm(recipe, around.grid) + cell
    if spacing.max() > _THICK * spacing.min():
        tail += 0.5 * cell + 0.8 * float(spacing.min())
    limits = around.limits
    tissue = np.array(
        [
            around.parenchyma.mean_hu,
            limits.bright_hu,
            limits.dark_hu,
            limits.gas_hu,
            recipe.vessel_speed,
            _SLOW_FAT,
            recipe.outside_speed,
            recipe.lumen_speed,
        ]
    )
    axial = around.grid.axial_axis
    first, second = around.grid.in_plane_axes
    normal = np.cross(around.grid.directions[:, first], around.grid.directions[:, second])
    normal /= np.linalg.norm(normal)
    along = around.grid.directions[:, first]
    across = np.cross(normal, along)
    plane = np.stack([along, across, normal]) @ frame * cell
    slab = max(cell, min(float(spacing[axial]), cell * 1.5))
    for half in _HALF_SIDES:
        n = 2 * int(np.ceil(half * recipe.diameter_mm / cell)) + 9
        to_world = np.zeros((3, 4))
        to_world[:, :3] = frame * cell
        to_world[:, 3] = np.asarray(recipe.centre_mm) - to_world[:, :3] @ np.full(3, n // 2)
        inverse = around.grid.inverse
        to_voxel = inverse[:3, :3] @ to_world
        to_voxel[:, 3] += inverse[:3, 3]
        time, edge, reached, complete = march(
            n, cell, around.hu, around.domain, around.barrier, to_voxel, plane, slab,
            around.averaging_reach,
            tissue, table, recipe.wavelength * recipe.diameter_mm / cell, recipe.irregularity,
            _spicules(recipe, cell), recipe.diameter_mm, tail,
        )  # fmt: skip
        if complete or not _touches_end(time, edge):
            break
    from_voxel = np.zeros((3, 4))
    from_voxel[:, :3] = np.linalg.inv(to_voxel[:, :3])
    from_voxel[:, 3] = -from_voxel[:, :3] @ to_voxel[:, 3]
    return GrowthField(time, from_voxel, edge, reached, complete, table, cell)


def render(
    field: GrowthField, recipe: Recipe, around: Neighbourhood, edge: float | None = None
) -> Rendering | None:
    """Density and age of a lesion on the scan's voxels, averaged over each voxel.

    Parameters
    ----------
    field, recipe, around
        A field, its recipe and its neighbourhood.
    edge
        Arrival time of the border, an earlier one for an earlier scan; the field's own if None.

    Returns
    -------
    Rendering or None
        None if no voxel is touched.
    """
    border = field.edge if edge is None else edge
    return _on_voxels(field, recipe, around, border, outline=False)


def _on_voxels(
    field: GrowthField, recipe: Recipe, around: Neighbourhood, border: float, *, outline: bool
) -> Rendering | None:
    """A rendering; of an ``outline`` ``density`` is not worked out, which takes time."""
    width = border_width_mm(recipe, around.grid)
    to_voxel = np.asarray(np.linalg.inv(field.from_voxel[:, :3]), np.float64)
    low, high = reached_box(field.time, border + STEEPEST * 0.5 * width, field.from_voxel, to_voxel)
    if low[0] > high[0]:
        return None
    slack = np.abs(to_voxel).sum(axis=1)  # one cell to each side
    box = around.grid.clip(low - slack, high + slack)
    if box is None:
        return None
    # Voxels larger than the cells are averaged over several points: partial volume.
    parts = _parts_of_voxel(around.grid, field.cell_mm)
    start = np.array([s.start for s in box], np.int64)
    shape = tuple(int(s.stop - s.start) for s in box)
    density = np.zeros(shape, np.float32)
    filled = np.zeros(shape, np.float32)
    age = np.zeros(shape, np.float32)
    sample(
        field.time,
        field.from_voxel,
        start,
        parts,
        border,
        width,
        field.cell_mm,
        outline,
        density,
        filled,
        age,
    )
    return Rendering(box, density, filled, age, border)


def fit(
    field: GrowthField, recipe: Recipe, around: Neighbourhood, tolerance_mm: float
) -> Rendering | None:
    """The rendering whose mask is as wide, on the scan's voxels, as was asked for.

    The field's own edge is kept where the mask is within ``tolerance_mm`` of the diameter, so that
    volumes do not depend on spacing; thick slices may need an earlier or a later one.

    Returns
    -------
    Rendering or None
        None if no voxel is touched at any time.
    """
    target = min(recipe.diameter_mm, field.reached_mm)

    def above(rendering: Rendering | None) -> float:
        if rendering is None:
            return -target
        return longest_axial_diameter_mm(label(rendering, around), around.grid) - target

    def off(edge: float) -> float:
        return above(_on_voxels(field, recipe, around, edge, outline=True))

    own = render(field, recipe, around)
    first = above(own)
    if abs(first) <= tolerance_mm:
        return own
    # The mask widens with the edge: find the edge nearest to the field's own that will do.
    near, best, gap = field.edge, field.edge, abs(first)
    if first < 0.0:
        last = float(field.time[np.isfinite(field.time)].max())
        far = max(last - 0.5 * border_width_mm(recipe, around.grid), near)
    else:
        # At full speed half of this is enough.
        far = max(near - first, 0.0)
        if off(far) > tolerance_mm:
            near, far = far, 0.0
    while abs(far - near) > _EDGE_STEP:
        middle = 0.5 * (near + far)
        now = off(middle)
        will_do = abs(now) <= tolerance_mm
        if will_do or abs(now) < gap:
            best, gap = middle, abs(now)
        near, far = (near, middle) if will_do or (now > 0.0) != (first > 0.0) else (middle, far)
    return render(field, recipe, around, best)


def label(rendering: Rendering, around: Neighbourhood) -> NDArray[np.bool_]:
    """The voxels of the domain that bear the label, on the box of a rendering.

    A voxel is labelled if the lesion fills half of it or more. Of a lesion of few voxels the
    fullest are labelled, as many as make up its volume: half-filled ones alone would be too few,
    so a 6 mm lesion would halve its volume on a 3 mm grid.
    """
    share: NDArray[np.float32] = rendering.filled * around.domain[rendering.box]
    wanted = round(float(share.sum()))
    if wanted > _FEW_VOXELS:
        return np.asarray(share >= 0.5, np.bool_)
    ranked = np.sort(share, axis=None)[::-1]
    least = ranked[max(wanted, 1) - 1]
    return np.asarray((share >= least) & (share > 0.0), np.bool_)


def border_width_mm(recipe: Recipe, grid: Grid) -> float:
    """Width in mm over which a lesion fades, half of it outside the mask.

    It is the lesion's own margin, but no sharper than the scan can show.
    """
    blur = 1.2 * min(grid.spacing_mm)
    if min(grid.spacing_mm) > _AVERAGED_MM:  # averaging over the voxel blurs enough
        blur *= 0.3
    return float(np.hypot(recipe.margin_mm, blur))


def _spicules(recipe: Recipe, cell_mm: float) -> NDArray[np.float64]:
    """Directions spread over the sphere, from the recipe's noise seed, each of its own length."""
    rng = np.random.Generator(np.random.Philox(recipe.noise_seed + 1))
    count = recipe.spicules
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = 1.0 + recipe.spicule_length * rng.uniform(0.5, 1.0, (count, 1))
    # The diameter that growth stops at includes the spicules.
    radius = 0.5 * recipe.diameter_mm / (1.0 + recipe.spicule_length) / cell_mm
    return np.hstack([directions, lengths * radius])


def _parts_of_voxel(grid: Grid, cell_mm: float) -> NDArray[np.int64]:
    steps = np.asarray(grid.spacing_mm) / max(cell_mm, 0.6)
    # Coarse voxels are always divided, or a small lesion would fill them or not by chance.
    least = np.where(np.asarray(grid.spacing_mm) > _AVERAGED_MM, 3, 1)
    return np.clip(np.rint(steps), least, 5).astype(np.int64)


def _frame(recipe: Recipe) -> NDArray[np.float64]:
    """Columns: the lesion's own axes in RAS+, scaled by its relative semi-axes."""
    w, x, y, z = recipe.rotation
    rotation: NDArray[np.float64] = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    return rotation * np.asarray(recipe.axes, np.float64)


def _touches_end(time: NDArray[np.float32], edge: float) -> bool:
    n = time.shape[0]
    shell = time[3:-3, 3:-3, 3:-3]
    inner = shell[1:-1, 1:-1, 1:-1]
    return bool(n > 10 and np.count_nonzero(shell <= edge) > np.count_nonzero(inner <= edge))
