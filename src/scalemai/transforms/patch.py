"""Lesions put into one patch, or one whole volume, that is held in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalemai.anatomy import ClassMap, organ
from scalemai.errors import (
    ConfigError,
    GeometryError,
    IntensityError,
    MissingStructureError,
    PlacementError,
)
from scalemai.geometry import Grid, Region
from scalemai.synthesis.families import is_absolute
from scalemai.synthesis.painting.lesion import Lesion
from scalemai.synthesis.patient import Patient
from scalemai.synthesis.populations.population import TumorPopulation
from scalemai.synthesis.satellites import satellites_of
from scalemai.synthesis.spec import LesionSpec, random_stream
from scalemai.synthesis.synthesize import grow_lesion
from scalemai.transforms.border import cut_share
from scalemai.transforms.normalization import Normalization
from scalemai.transforms.patch_labels import LabelSpans, PatchLabels, spans_of
from scalemai.volume import Volume

__all__ = ["Outcome", "PatchEdit", "PatchSynthesizer"]

Outcome = Literal["painted", "left out", "no organ", "no room"]
"""What became of a patch: lesions were put in; it was not its turn; it shows too little of the
organ; or no place was free, wide enough, and far enough from the border."""

_REACH_MM = 30.0  # round the organ: growth beyond it, pushed tissue, noise; author's choice
_SURFACE_VOXELS = 4  # beyond the organ that painting a lesion inside of it looks at
_CELLS = 12  # of the growth lattice per diameter: a quarter of the time of the usual 24
_ATTEMPTS = 4  # places for one lesion, before the patch is left without it
_NORMALISED_LIMIT = 20.0  # z-scores and 0..1 stay within it; the noise alone of a CT does not


@dataclass(frozen=True, eq=False)
class PatchEdit:
    """What changes in a patch.

    Parameters
    ----------
    outcome
        What became of the patch; there is a region if it is ``"painted"``.
    region
        The box of the patch that holds every change.
    image, labels
        New numbers of that box, in the types of the patch.
    lesions
        What was put in; regions and grids are those of the patch.
    """

    outcome: Outcome
    region: Region | None = None
    image: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None
    lesions: tuple[Lesion, ...] = ()

    def applied_to(
        self, image: NDArray[Any], labels: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The patch with its changes: copies, or the arrays themselves if nothing changes."""
        if self.region is None:
            return image, labels
        image, labels = image.copy(), labels.copy()
        image[self.region], labels[self.region] = self.image, self.labels
        return image, labels

    def to_json(self) -> str:
        """The outcome, and recipes and measures of the lesions, as one line of JSON."""
        lesions = [
            {"recipe": one.recipe.to_json(), "measured": one.measures.to_json()}
            for one in self.lesions
        ]
        return json.dumps({"outcome": self.outcome, "lesions": lesions})


@dataclass(frozen=True, kw_only=True)
class PatchSynthesizer:
    """Puts lesions into patches; it draws everything from the seed and key of a call.

    It holds no state, so that it can be pickled, shared by threads, and gives the same lesions
    for the same patch, seed and key in any process.

    Parameters
    ----------
    specs
        Lesions to choose from, each as likely as the others; or a population. Of either, only
        lesions of organs that a patch shows come into question.
    labels
        What the numbers of the label map are: id of a class map, a class map, or structure names
        by label value.
    lesion_value
        Label value of new lesions, or one by organ; by default that of the class map.
    probability
        Share of the patches that get lesions, those aside that have no room.
    count
        Range of the number of lesions of a patch, ends included; by default that of the
        population, else one.
    normalization
        What was done to the HU of the patches; None if they are in HU.
    largest_cut
        Largest share of a lesion's volume that the border of the patch may cut off.
    least_organ_ml
        Volume of the organ that a patch must show, in ml.
    effects
        Whether what a spec leaves open of a lesion's effects on its surroundings (pushed tissue,
        dilated ducts, a shrinking gland, growth out of a solid organ) is drawn as the organ's
        facts say. They multiply the time that a lesion takes; what a spec asks for is done in any
        case. Without them lesions also grow on a coarser lattice, 12 cells across.
    phase
        Contrast phase of the scans; told from the organ's attenuation if None.

    Raises
    ------
    ConfigError
        Naming the field, if a number is outside its range, an organ that is asked for has no
        label, or new lesions have none.
    """

    specs: LesionSpec | Sequence[LesionSpec] | TumorPopulation
    labels: str | ClassMap | Mapping[int, str]
    lesion_value: int | Mapping[str, int] | None = None
    probability: float = 1.0
    count: tuple[int, int] | None = None
    normalization: Normalization | None = None
    largest_cut: float = 0.25
    least_organ_ml: float = 1.0
    effects: bool = False
    phase: str | None = None
    _labels: PatchLabels = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("probability", "largest_cut"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                what = f"{getattr(self, name):g} is no share"
                raise ConfigError(what, where=name, fix="give 0 to 1")
        if self.count is not None and not 1 <= self.count[0] <= self.count[1] <= 50:
            what = f"{self.count} is no range of numbers"
            raise ConfigError(what, where="count", fix="give 1 to 50 lesions as (low, high)")
        if self.least_organ_ml < 0.0:
            raise ConfigError("is negative", where="least_organ_ml", fix="give ml from 0")
        object.__setattr__(self, "_labels", PatchLabels(self.labels, self.lesion_value))
        if isinstance(self.specs, LesionSpec):
            object.__setattr__(self, "specs", (self.specs,))
        if not self._organs:
            raise ConfigError("there are none", where="specs", fix="give at least one")
        for name in self._organs:
            self._labels.of_organ(organ(name))
            self._labels.lesion_value(organ(name))

    @cached_property
    def _organs(self) -> tuple[str, ...]:
        """Organs that lesions may lie in."""
        if isinstance(self.specs, TumorPopulation):
            return self.specs.organs
        return tuple(dict.fromkeys(spec.organ for spec in self._listed))

    @property
    def _listed(self) -> Sequence[LesionSpec]:
        assert not isinstance(self.specs, LesionSpec | TumorPopulation)  # made a tuple at the start
        return self.specs

    def __call__(
        self,
        image: NDArray[Any],
        labels: NDArray[Any],
        affine: ArrayLike,
        *,
        seed: int,
        key: str = "",
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The patch with lesions; see :meth:`edit`, which tells more."""
        return self.edit(image, labels, affine, seed=seed, key=key).applied_to(image, labels)

    def edit(
        self,
        image: NDArray[Any],
        labels: NDArray[Any],
        affine: ArrayLike,
        *,
        seed: int,
        key: str = "",
    ) -> PatchEdit:
        """Put lesions into a patch, if it is its turn and there is room.

        Parameters
        ----------
        image
            Array (i, j, k) in HU, or normalised as the synthesizer was told; it is not changed.
        labels
            Array (i, j, k) of label values; negative ones are background. It is not changed.
        affine
            Matrix (4, 4) from voxel indices to RAS+ mm.
        seed, key
            Keys of the random streams.

        Raises
        ------
        GeometryError
            If the arrays are not 3-D or differ in shape, or the affine is impossible.
        IntensityError
            If the image is normalised and the synthesizer was not told how, or it has a NaN where
            the organ is; if label values are not whole numbers.
        ConfigError
            If the value of new lesions does not fit the type of the label map.
        """
        if image.ndim != 3 or image.shape != labels.shape:
            what = f"image of shape {image.shape} with labels of shape {labels.shape}"
            raise GeometryError(what, fix="give one 3-D channel of each, on the same grid")
        grid = Grid(image.shape, np.asarray(affine, np.float64))
        rng = random_stream(seed, key, 0, "patch")
        if rng.random() >= self.probability:
            return PatchEdit("left out")
        spans = spans_of(labels)
        shown = [name for name in self._organs if self._shows(name, spans, grid)]
        if not shown:
            return PatchEdit("no organ")
        specs = self._draw(shown, rng, seed=seed, key=key)
        region = self._region(specs, spans, grid)
        volume = self._volume(image[region], grid.crop(region))
        patient = Patient(volume, self._labels.boxes(labels[region], region, spans))
        boxes = dict(patient.boxes)
        ends = [(s.start == 0, s.stop == n) for s, n in zip(region, grid.shape, strict=True)]
        for index, spec in enumerate(specs, start=1):
            wanted = spec if self.effects else _without_effects(spec)
            self._put(patient, wanted, np.array(ends), seed=seed, key=f"{key}/{index}")
        if not patient.lesions:
            return PatchEdit("no room")
        inner = _changed(patient)
        place = _inside(region, inner)
        return PatchEdit(
            "painted",
            place,
            self._painted(image[place], patient.volume.stored[inner]),
            self._labelled(labels[region], boxes, patient)[inner],
            tuple(replace(one, region=_inside(region, one.region)) for one in patient.lesions),
        )

    def _shows(self, name: str, spans: LabelSpans, grid: Grid) -> bool:
        """Whether the patch shows enough of an organ."""
        voxels = spans.voxels(self._labels.of_organ(organ(name)))
        return voxels > 0 and voxels * grid.voxel_volume_mm3 >= 1000.0 * self.least_organ_ml

    def _draw(
        self, organs: Sequence[str], rng: np.random.Generator, *, seed: int, key: str
    ) -> list[LesionSpec]:
        """Lesions of organs that the patch shows."""
        low, high = self.count or (1, 1)
        number = int(rng.integers(low, high + 1))
        if isinstance(self.specs, TumorPopulation):
            if self.count is None:
                number = self.specs.count_of(key, seed)
            population = self.specs.only(organs)
            return [population.sample(key, n, seed) for n in range(1, number + 1)]
        possible = [spec for spec in self._listed if spec.organ in organs]
        return [possible[int(n)] for n in rng.integers(len(possible), size=number)]

    def _region(self, specs: Sequence[LesionSpec], spans: LabelSpans, grid: Grid) -> Region:
        """The box of the patch that is worked on: the organs, and what is near them."""
        values = {v for spec in specs for v in self._labels.of_organ(organ(spec.organ))}
        box = spans.region(tuple(values))
        assert box is not None  # the specs' organs are in the patch
        pad = np.full(3, float(_SURFACE_VOXELS))
        if self.effects or not all(_stays_inside(spec) for spec in specs):
            pad = np.ceil(_REACH_MM * np.linalg.norm(grid.inverse[:3, :3], axis=1))
        low = [s.start - n for s, n in zip(box, pad, strict=True)]
        high = [s.stop - 1 + n for s, n in zip(box, pad, strict=True)]
        region = grid.clip(low, high)
        assert region is not None  # it holds the organ
        return region

    def _volume(self, part: NDArray[Any], grid: Grid) -> Volume:
        """A copy of the box in HU, of which lesions may make what they like."""
        hu = self._hu(part)
        low, high = float(hu.min()), float(hu.max())
        if not np.isfinite(low + high):
            what = "the image has a NaN or an infinite number where the organ is"
            raise IntensityError(what, fix="replace them by -1000 HU if they are padding")
        if -_NORMALISED_LIMIT <= low <= high <= _NORMALISED_LIMIT:
            what = f"the image runs from {low:.4g} to {high:.4g} near the organ: these are no HU"
            raise IntensityError(what, fix="say what was done to it: normalization=...")
        return Volume(hu, grid, metadata={} if self.phase is None else {"phase": self.phase})

    def _hu(self, part: NDArray[Any]) -> NDArray[Any]:
        if self.normalization is not None:
            return self.normalization.to_hu(part)
        own = part.dtype.kind in "iu" or part.dtype.itemsize >= 4
        return np.array(part, dtype=part.dtype if own else np.float32, order="C")

    def _put(
        self, patient: Patient, spec: LesionSpec, closed: NDArray[np.bool_], *, seed: int, key: str
    ) -> None:
        """Grow one lesion, and its satellites, where the border cuts off little."""
        for attempt in range(_ATTEMPTS):
            lesion = self._grown(patient, spec, closed, seed=seed, key=f"{key}/{attempt}")
            if lesion is not None:
                break
        else:
            return
        lesion = patient.put(lesion)
        rng = random_stream(seed, key, lesion.recipe.number, "satellites")
        for child in satellites_of(spec, lesion, patient, rng):
            small = self._grown(patient, child, closed, seed=seed, key=f"{key}/satellite")
            if small is not None:
                recipe = replace(small.recipe, parent=lesion.recipe.number)
                patient.put(replace(small, recipe=recipe))

    def _grown(
        self, patient: Patient, spec: LesionSpec, closed: NDArray[np.bool_], *, seed: int, key: str
    ) -> Lesion | None:
        number = len(patient.lesions) + 1
        try:
            lesion = grow_lesion(patient, spec, case_id=key, number=number, seed=seed)
        except (PlacementError, MissingStructureError, IntensityError):
            # The site or vessel asked for is not in this patch, nothing is free, or there is no
            # soft tissue to measure the noise in.
            return None
        cut = cut_share(lesion.mask, lesion.region, patient.volume.grid, closed)
        if cut > self.largest_cut:
            return None
        if self.effects or spec.vessel is not None:
            return lesion
        return replace(lesion, recipe=replace(lesion.recipe, narrowing=0.0))

    def _painted(self, part: NDArray[Any], hu: NDArray[Any]) -> NDArray[Any]:
        """A box of the image with new numbers where HU have changed, its own elsewhere."""
        edited = hu != self._hu(part)
        painted = part.copy()
        new = hu[edited]
        painted[edited] = new if self.normalization is None else self.normalization.from_hu(new)
        return painted

    def _labelled(
        self, part: NDArray[Any], before: Mapping[str, Any], patient: Patient
    ) -> NDArray[Any]:
        """The box of the label map with lesions, and structures where they are now."""
        labels = part.copy()
        changed = {name for effect in patient.effects for name in effect.structures}
        self._labels.redraw(labels, before, patient.boxes, sorted(changed))
        for one in patient.lesions:
            value = self._labels.lesion_value(organ(one.recipe.organ))
            if labels.dtype.kind in "iu" and value > np.iinfo(labels.dtype).max:
                fix = "give a smaller lesion_value, or another type of label map"
                raise ConfigError(f"{value} does not fit {labels.dtype}", where="labels", fix=fix)
            labels[one.region][one.mask] = value
        return labels


def _stays_inside(spec: LesionSpec) -> bool:
    """Whether a lesion without effects neither leaves its organ nor asks how it is around it."""
    facts = organ(spec.organ)
    asked = (spec.mass_effect, spec.duct, spec.atrophy, spec.exophytic, spec.vessel)
    return facts.family == "solid" and not is_absolute(facts) and not any(asked)


@lru_cache(maxsize=256)
def _without_effects(spec: LesionSpec) -> LesionSpec:
    """A spec that leaves none of the costly effects open, on a coarser lattice."""
    # The gland shrinks behind a closed duct only, so who asks for one gets the other.
    duct = spec.duct if spec.duct is not None or spec.atrophy else False
    return replace(
        spec,
        cells=min(spec.cells, _CELLS),
        mass_effect=bool(spec.mass_effect),
        duct=duct,
        atrophy=bool(spec.atrophy),
        exophytic=bool(spec.exophytic) if organ(spec.organ).family == "solid" else spec.exophytic,
    )


def _changed(patient: Patient) -> Region:
    """The box of the volume that holds every change."""
    if any(e.displacement or e.structures or e.notes for e in patient.effects):
        i, j, k = (slice(0, n) for n in patient.volume.grid.shape)
        return i, j, k
    boxes = [one.region for one in patient.lesions]
    i, j, k = (
        slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes))
        for axis in range(3)
    )
    return i, j, k


def _inside(outer: Region, inner: Region) -> Region:
    """A box of a box, in the indices of the patch."""
    i, j, k = (
        slice(o.start + s.start, o.start + s.stop) for o, s in zip(outer, inner, strict=True)
    )
    return i, j, k
