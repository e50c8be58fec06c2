"""Findings: what the mask of a prediction holds, and what a reader asks of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from scalemai.errors import GeometryError
from scalemai.evaluation.lesions.components import Component, find_components
from scalemai.geometry import Grid, Region
from scalemai.inference.windows import FULL
from scalemai.measure import Sizes
from scalemai.volume import Mask, Volume

__all__ = ["COLUMNS", "Finding", "find", "measure", "total_levels"]

_SLAB_VOXELS = 1 << 22
_SAMPLES = 1_000_000
"""Voxels of an organ after which its median attenuation is known well enough: with a spread of
30 HU between voxels, its standard error is 0.04 HU."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One connected piece of the mask.

    Parameters
    ----------
    number
        From 1, by descending volume.
    score
        Its largest probability of a lesion, all classes together.
    kind, kind_share
        The class that most of its probability falls to, and how much of it; None if the detector
        does not tell kinds apart.
    sizes
        In mm and cubic mm, on the CT's grid.
    centre_mm
        Mean position of its voxels, RAS+ mm.
    mean_hu
        Mean attenuation of its voxels.
    contrast_hu
        That minus the median of the organ's other voxels; None without a mask of the organ.
    surface_distance_mm
        From its centre to the surface of the organ, negative if the centre lies outside; None
        without a mask of the organ.
    site
        Site of the organ, where masks of its sites exist: that which it covers most of, else the
        nearest.
    part
        Which of the structures that make up the organ, for example the left kidney.
    at_border
        Whether it touches a face of the scan, so that its true size may be larger.
    probability
        That it is a lesion, by the detector's calibration; None if that is not asked for.
    """

    number: int
    score: float
    kind: str | None
    kind_share: float | None
    sizes: Sizes
    centre_mm: tuple[float, float, float]
    mean_hu: float
    contrast_hu: float | None
    surface_distance_mm: float | None
    site: str | None = None
    part: str | None = None
    at_border: bool = False
    probability: float | None = None

    def row(self) -> dict[str, Any]:
        """The columns of :data:`COLUMNS`, in their order."""
        x, y, z = self.centre_mm
        flat = {**asdict(self), **asdict(self.sizes), "x_mm": x, "y_mm": y, "z_mm": z}
        return {"finding": self.number, **{name: flat[name] for name in COLUMNS[1:]}}


COLUMNS = (
    "finding", "score", "probability", "kind", "kind_share", "diameter_mm", "perpendicular_mm",
    "feret_mm", "equivalent_diameter_mm", "volume_mm3", "x_mm", "y_mm", "z_mm", "site", "part",
    "mean_hu", "contrast_hu", "surface_distance_mm", "at_border",
)  # fmt: skip
"""Columns of a table of findings after those that name the case; those that the evaluation's
tables have too are called as there."""


def find(
    levels: NDArray[np.uint16], grid: Grid, region: Region, threshold: float, minimum_mm3: float
) -> tuple[NDArray[np.uint8], tuple[Component, ...]]:
    """The mask of a prediction and its connected pieces.

    Parameters
    ----------
    levels
        Array (classes, i, j, k) of probabilities in steps of 2**-15, of a box of the CT.
    grid
        Grid of the CT.
    region
        The box.
    threshold
        Probability of any lesion from which a voxel is inside.
    minimum_mm3
        Pieces of a smaller volume are left out.

    Returns
    -------
    tuple
        Array (i, j, k): 0, or the number of the likeliest class; and the pieces, whose regions
        are those of the box.

    Raises
    ------
    GeometryError
        If the box is not of the shape of the levels.
    """
    box = grid.crop(region)
    if levels.shape[1:] != box.shape:
        raise GeometryError(f"levels of {levels.shape[1:]} in a box of {box.shape}")
    inside = total_levels(levels) >= round(threshold * FULL)
    pieces = find_components(inside, box, minimum_mm3=minimum_mm3)
    mask = np.zeros(box.shape, np.uint8)
    for piece in pieces:
        for place, own in _slabs(piece):
            best = levels[(slice(None), *place)].argmax(axis=0).astype(np.uint8)
            np.copyto(mask[place], 1 + best, where=own)
    return mask, pieces


def total_levels(levels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Probability of any lesion, from those of the classes, in the same steps."""
    total: NDArray[np.uint16] = levels[0]
    if len(levels) == 1:
        return total
    total = total.copy()
    for one in levels[1:]:
        total += one
    np.minimum(total, FULL, out=total)  # rounding may have added a step or two
    return total


def measure(
    pieces: Sequence[Component],
    levels: NDArray[np.uint16],
    volume: Volume,
    region: Region,
    *,
    kinds: Sequence[str],
    organ: Mask | None,
    sites: Mapping[int, str],
    parts: Mapping[int, str],
) -> tuple[Finding, ...]:
    """Describe the pieces of a mask.

    Parameters
    ----------
    pieces, levels, region
        From :func:`find`, and what it was given.
    volume
        The CT.
    kinds
        Names of the classes if they are kinds of lesions, else nothing.
    organ
        The organ's mask on the CT's grid, lesions included.
    sites, parts
        Names by number of the piece, where they are known.
    """
    parenchyma_hu, surface = None, None
    if organ is not None and pieces:
        parenchyma_hu = _median_hu(pieces, volume, organ, region)
        surface = _surface_mm(organ, region)
    findings = []
    for piece in pieces:
        score, share, mean_hu = _summed(piece, levels, volume, region)
        best = int(share.argmax())
        depth = None
        if surface is not None and organ is not None:
            depth = float(surface.query(piece.centre_mm)[0]) * _sense(organ, piece.centre_mm)
        findings.append(
            Finding(
                number=piece.number,
                score=score,
                kind=kinds[best] if kinds else None,
                kind_share=float(share[best] / share.sum()) if kinds else None,
                sizes=piece.sizes,
                centre_mm=piece.centre_mm,
                mean_hu=mean_hu,
                contrast_hu=None if parenchyma_hu is None else mean_hu - parenchyma_hu,
                surface_distance_mm=depth,
                site=sites.get(piece.number),
                part=parts.get(piece.number),
                at_border=any(
                    s.start == 0 or s.stop == n
                    for s, n in zip(_shifted(piece.region, region), volume.grid.shape, strict=True)
                ),
            )
        )
    return tuple(findings)


def _summed(
    piece: Component, levels: NDArray[np.uint16], volume: Volume, region: Region
) -> tuple[float, NDArray[np.float64], float]:
    """Largest probability of a piece, the sum of each class, and the mean attenuation in HU."""
    highest, total_hu = 0, 0.0
    share = np.zeros(len(levels), np.float64)
    for place, own in _slabs(piece):
        part = levels[(slice(None), *place)][:, own]
        if part.size:
            highest = max(highest, int(part.sum(axis=0, dtype=np.int32).max()))
            share += part.sum(axis=1, dtype=np.float64)
            total_hu += float(volume.hu(_shifted(place, region))[own].sum(dtype=np.float64))
    return min(highest / FULL, 1.0), share, total_hu / piece.voxels


def _slabs(piece: Component) -> Iterator[tuple[Region, NDArray[np.bool_]]]:
    """A piece cut along its longest axis: a detector that calls a whole scan a lesion fits too."""
    axis = int(np.argmax(piece.mask.shape))
    rows = max(_SLAB_VOXELS * piece.mask.shape[axis] // piece.mask.size, 1)
    for first in range(0, piece.mask.shape[axis], rows):
        inner = [slice(0, n) for n in piece.mask.shape]
        inner[axis] = slice(first, min(first + rows, piece.mask.shape[axis]))
        own = (inner[0], inner[1], inner[2])
        yield _shifted(own, piece.region), piece.mask[own]


def _median_hu(
    pieces: Sequence[Component], volume: Volume, organ: Mask, region: Region
) -> float | None:
    """Median attenuation of the organ's voxels in the box that belong to no piece."""
    rest = organ.array[region].copy()
    for piece in pieces:
        rest[piece.region][piece.mask] = False
    stored = volume.stored[region][rest]
    if not stored.size:
        return None
    sample = stored[:: -(-stored.size // _SAMPLES)]
    return float(np.median(sample)) * volume.slope + volume.intercept


def _surface_mm(organ: Mask, region: Region) -> Any:
    """A tree of the middles, RAS+ mm, of all voxel faces between the organ and what is not.

    Faces of the scan are no surface: nobody knows where the organ goes on there.
    """
    array = organ.array[region]
    start = np.array([s.start for s in region])
    middles = []
    for axis in range(3):
        first = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        second = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        faces = np.argwhere(array[first] != array[second]) + start
        middles.append(faces + 0.5 * (np.arange(3) == axis))
    points = np.concatenate(middles)
    return cKDTree(organ.grid.to_world(points)) if len(points) else None


def _sense(organ: Mask, point_mm: tuple[float, float, float]) -> float:
    i, j, k = np.rint(organ.grid.to_voxel(point_mm)).astype(int)
    return 1.0 if organ.array[i, j, k] else -1.0


def _shifted(inner: Region, box: Region) -> Region:
    a, b, c = (
        slice(s.start + outer.start, s.stop + outer.start)
        for s, outer in zip(inner, box, strict=True)
    )
    return a, b, c
