"""Lesions of a mask: what hangs together, how large it is, where, and how sure the detector was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.components import label_components
from scalemai.errors import ConfigError, GeometryError
from scalemai.evaluation.patients.scores import require_probabilities
from scalemai.geometry import Grid, Region
from scalemai.measure import Sizes, bounding_box, sizes_of

__all__ = ["Component", "find_components", "reaches_mm3"]

_ROUNDING = 1e-6  # of a volume whose spacing went through float32


@dataclass(frozen=True, eq=False, slots=True)
class Component:
    """One 26-connected component of a mask.

    Parameters
    ----------
    number
        From 1, the largest first; independent of the order of the array axes.
    region
        Its bounding box in the grid that it was found on.
    mask
        Boolean array of the shape of ``region``: this component alone.
    voxels
        Number of its voxels.
    sizes
        In mm and cubic mm.
    centre_mm
        Mean position of its voxels, RAS+ mm; outside the component if that is hollow.
    score
        Largest probability of its voxels; None without a probability map.
    at_border
        Whether it touches a face of the grid, so that its true size may be larger.
    """

    number: int
    region: Region
    mask: NDArray[np.bool_]
    voxels: int
    sizes: Sizes
    centre_mm: tuple[float, float, float]
    score: float | None = None
    at_border: bool = False


def find_components(
    mask: NDArray[np.bool_],
    grid: Grid,
    *,
    probability: NDArray[np.floating[Any]] | None = None,
    minimum_mm3: float = 0.0,
) -> tuple[Component, ...]:
    """Split a mask into its 26-connected components and measure them.

    Voxels that touch at a face, an edge or a corner belong together. Beyond one pass over the
    whole mask, the work is done in the boxes of the components.

    Parameters
    ----------
    mask
        Boolean array (i, j, k).
    grid
        Its grid.
    probability
        Array (i, j, k) of probabilities in [0, 1], from which the components get their scores.
    minimum_mm3
        Components of a smaller volume are left out; one of exactly this volume stays.

    Returns
    -------
    tuple of Component
        By descending volume; those of equal volume by their centre. Empty for an empty mask.

    Raises
    ------
    GeometryError
        If an array is not of the grid's shape.
    IntensityError
        If a probability is NaN or outside [0, 1].
    ConfigError
        If the minimum is negative or not a number.
    """
    if mask.shape != grid.shape:
        raise GeometryError(f"mask of shape {mask.shape} on a grid of shape {grid.shape}")
    if not minimum_mm3 >= 0:
        raise ConfigError(f"a minimum volume of {minimum_mm3:g} mm3 is impossible")
    if probability is not None:
        require_probabilities(probability, grid)
    box = bounding_box(mask)
    if box is None:
        return ()
    import cc3d

    labels = label_components(mask[box])
    found = cc3d.statistics(labels)
    pieces = []
    for label in range(1, len(found["voxel_counts"])):
        voxels = int(found["voxel_counts"][label])
        if not reaches_mm3(voxels * grid.voxel_volume_mm3, minimum_mm3):
            continue
        inner = found["bounding_boxes"][label]
        region = _shifted(inner, box)
        score = None
        piece = np.ascontiguousarray(labels[inner] == label)
        if probability is not None:
            score = float(probability[region][piece].max())
        pieces.append(_measured(piece, region, voxels, score, grid))
    pieces.sort(key=lambda piece: (-piece.voxels, np.round(piece.centre_mm, 3).tolist()))
    return tuple(replace(piece, number=number) for number, piece in enumerate(pieces, start=1))


def reaches_mm3(volume_mm3: float, minimum_mm3: float) -> bool:
    """Whether a volume is at least the minimum, up to the rounding of a float32 spacing."""
    return volume_mm3 >= minimum_mm3 * (1 - _ROUNDING)


def _measured(
    piece: NDArray[np.bool_], region: Region, voxels: int, score: float | None, grid: Grid
) -> Component:
    centre = []
    for axis, span in enumerate(region):
        others = tuple(other for other in range(3) if other != axis)
        weight = np.count_nonzero(piece, axis=others)
        centre.append(float(weight @ np.arange(span.start, span.stop)) / voxels)
    x, y, z = grid.to_world(centre).tolist()
    return Component(
        number=0,
        region=region,
        mask=piece,
        voxels=voxels,
        sizes=sizes_of(piece, grid.crop(region)),
        centre_mm=(x, y, z),
        score=score,
        at_border=any(s.start == 0 or s.stop == n for s, n in zip(region, grid.shape, strict=True)),
    )


def _shifted(inner: Region, box: Region) -> Region:
    i, j, k = (
        slice(int(a.start + b.start), int(a.stop + b.start))
        for a, b in zip(inner, box, strict=True)
    )
    return i, j, k
