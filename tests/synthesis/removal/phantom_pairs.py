"""The same phantom patient with and without one lesion, and what removal makes of it.

What untouched tissue shows is the yardstick: a region of the organ differs from the organ around it
by chance, the more the smaller it is and the more uneven the organ. So the place that was refilled
is also moved to untouched places of the organ, and measured there in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from scalemai.cases.phantom.anatomy import Anatomy, build_anatomy
from scalemai.cases.phantom.lesion_diagnoses import Kind
from scalemai.cases.phantom.lesion_recipes import PhantomLesion, sample_lesion
from scalemai.cases.phantom.lesion_sites import lesion_structure
from scalemai.cases.phantom.lesions import add_lesions
from scalemai.cases.phantom.scanner import acquire
from scalemai.cases.phantom.spec import PhantomSpec, sample_spec
from scalemai.errors import PlacementError
from scalemai.geometry import Grid
from scalemai.synthesis.growth.tissue import StructureBox, crop_mask
from scalemai.synthesis.removal.lesion_place import find_lesions
from scalemai.synthesis.removal.removal import remove_lesion
from scalemai.volume import Mask, Volume

Bool = NDArray[np.bool_]
Real = NDArray[np.float32]
Phase = Literal["non_contrast", "arterial", "portal_venous", "delayed"]

SPACING_MM = (0.8, 0.8, 2.5)
SHAPE = (120, 120, 40)
CENTRES_MM = {
    "liver": (55.0, 10.0, 40.0),
    "pancreas": (0.0, 20.0, 10.0),
    "kidney_left": (-70.0, -40.0, -5.0),
    "lung_left": (-80.0, 0.0, 110.0),
    "breast_left": (-80.0, 105.0, 150.0),
}
PAIRS = 12
DIAMETERS_MM = (8.0, 35.0)
NEAR_MM = 20.0
PLACES = 30
_CANDIDATES = 600
_MOVED_SHARE = 0.75  # of the region that must lie in the organ where it is moved to
_ATTEMPTS = 12
_SMALLER = 0.93
_DRAWS = 30
_KINDS: tuple[Kind, ...] = get_args(Kind)
_PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True, eq=False)
class RefilledCase:
    """One lesion that was removed from a phantom of which the ground truth is known.

    Parameters
    ----------
    lesion, phase
        What was there.
    new, true
        HU that were put in, and that the patient has there without the lesion; voxels of the organ.
    around
        HU of the organ within 20 mm, untouched.
    noise_ratio
        Noise put in over that of the organ; None of a small region.
    distance
        Kolmogorov-Smirnov distance of ``new`` to ``around``.
    placebo
        The same distance of untouched regions of this size and form in the same organ.
    """

    lesion: PhantomLesion
    phase: Phase
    new: Real
    true: Real
    around: Real
    noise_ratio: float | None
    distance: float
    placebo: NDArray[np.float64]

    @property
    def p(self) -> float:
        """Share of untouched regions that are as far from their organ, the case among them."""
        return self.p_of(self.distance)

    def p_of(self, distance: float) -> float:
        """As :attr:`p`, of another distance."""
        return float((1 + np.count_nonzero(self.placebo >= distance)) / (1 + self.placebo.size))

    def standardised(self, hu: Real) -> Real:
        """HU minus the organ's median, over its standard deviation: phases can be pooled."""
        return np.asarray((hu - np.median(self.around)) / self.around.std(), np.float32)


@cache
def refilled_cases(organ: str, pairs: int = PAIRS) -> tuple[RefilledCase, ...]:
    """As many patients with one lesion each, 8 to 35 mm, phases and kinds in turn."""
    return tuple(_cases(organ, pairs))


def ks(one: Real, other: Real) -> float:
    """Kolmogorov-Smirnov distance of two samples."""
    return float(stats.ks_2samp(one, other, method="asymp").statistic)


def _cases(organ: str, pairs: int) -> Iterator[RefilledCase]:
    sizes = np.linspace(*DIAMETERS_MM, pairs)
    for n in range(pairs):
        spec = sample_spec(
            1000 + n,
            sex="female" if organ.startswith("breast") else "male",
            spacing_mm=SPACING_MM,
            shape=SHAPE,
            centre_mm=CENTRES_MM[organ],
            orientation="LPS",
            phase=_PHASES[n % len(_PHASES)],
        )
        # Sizes are shuffled so that they do not go with phases and kinds.
        yield _case(spec, organ, float(sizes[5 * n % pairs]), _KINDS[n % len(_KINDS)])


def _case(spec: PhantomSpec, organ: str, diameter_mm: float, kind: Kind) -> RefilledCase:
    well = build_anatomy(spec)
    ill, lesion = _with_lesion(well, organ, diameter_mm, kind)
    truth, host = (
        Volume(acquire(one.ideal_hu, one.grid, spec, spec.stream("scanner")), one.grid)
        for one in (well, ill)
    )
    box = _box(ill, lesion_structure(organ))
    removed = remove_lesion(
        host, find_lesions({box.name: box})[0], {organ: _box(ill, organ)}, [box],
        case_id=f"{organ} {spec.seed}", seed=0,
    )  # fmt: skip
    place = removed.place
    hu = removed.stored.astype(np.float32) * host.slope + host.intercept
    there, inner = truth.hu(place.region), _inner(place.expected)
    region = place.hole & inner
    around = inner & ~place.hole & ~place.lesions & _near(region, place.grid)
    return RefilledCase(
        lesion=lesion,
        phase=spec.phase,
        new=hu[region],
        true=there[region],
        around=hu[around],
        noise_ratio=removed.measures.noise_ratio,
        distance=ks(hu[region], hu[around]),
        placebo=_placebo(
            region, _inner(well.structures[organ][place.region]), there, place.grid, spec
        ),
    )


def _with_lesion(
    well: Anatomy, organ: str, diameter_mm: float, kind: Kind
) -> tuple[Anatomy, PhantomLesion]:
    """A lesion that lies off the border of the scan; for want of room a smaller one."""
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([well.spec.seed, attempt])
        lesion = _of_kind(organ, diameter_mm * _SMALLER**attempt, kind, well.spec.phase, rng)
        try:
            ill, (placed,) = add_lesions(well, [lesion], rng)
        except PlacementError:
            continue
        edges = zip(placed.region, well.grid.shape, strict=True)
        if all(part.start > 1 and part.stop < length - 1 for part, length in edges):
            return ill, lesion
    raise AssertionError(f"no room for a lesion of {diameter_mm} mm in {organ} {well.spec.seed}")


def _of_kind(
    organ: str, diameter_mm: float, kind: Kind, phase: Phase, rng: np.random.Generator
) -> PhantomLesion:
    """A lesion of the kind, or of another if the organ has none of it in this phase and size."""
    for _ in range(_DRAWS):
        lesion = sample_lesion(organ, max(diameter_mm, DIAMETERS_MM[0]), phase, rng)
        if lesion.kind == kind:
            break
    return lesion


def _placebo(
    region: Bool, organ: Bool, hu: Real, grid: Grid, spec: PhantomSpec
) -> NDArray[np.float64]:
    """Distances of the region to the organ around it, moved and mirrored within the organ."""
    rng = spec.stream("placebo")
    where = np.argwhere(region)
    offsets = where - np.rint(where.mean(axis=0)).astype(np.intp)
    centres = np.argwhere(organ)
    found: list[float] = []
    for centre in centres[rng.permutation(len(centres))[:_CANDIDATES]]:
        at = offsets * rng.choice((-1, 1), 3) + centre
        at = at[((at >= 0) & (at < organ.shape)).all(axis=1)]
        at = at[organ[tuple(at.T)]]
        if len(at) < _MOVED_SHARE * len(where):
            continue
        moved = np.zeros_like(organ)
        moved[tuple(at.T)] = True
        around = organ & ~moved & _near(moved, grid)
        found.append(ks(hu[moved], hu[around]))
        if len(found) == PLACES:
            break
    return np.array(found)


def _box(anatomy: Anatomy, name: str) -> StructureBox:
    box = crop_mask(Mask(anatomy.structures[name], anatomy.grid, name))
    assert box is not None, name
    return box


def _inner(mask: Bool) -> Bool:
    """Without the voxels at the border in the axial image, which hold other tissue too."""
    return np.asarray(ndimage.binary_erosion(mask, np.ones((3, 3, 1), np.bool_)), np.bool_)


def _near(mask: Bool, grid: Grid) -> Bool:
    distance = edt.edt(np.ascontiguousarray(~mask), anisotropy=grid.spacing_mm)
    return np.asarray(distance <= NEAR_MM, np.bool_)
