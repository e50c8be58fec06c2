"""The torch data set of patches: fresh lesions in every epoch, the same for any number of workers.

::

    draw (sampling) -> read a context from the mapped case -> grow a lesion in it, in HU
    -> cut the patch (cutting) -> intensities (augment) -> damage the organ's mask (corruption)
    -> flips -> channels, as inference makes them

Everything in a patch follows from the seed and its position, ``epoch * length + index``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from scalemai.detector.preprocessing import channels_of
from scalemai.detector.spec import DetectorSpec
from scalemai.errors import ConfigError
from scalemai.geometry import Region
from scalemai.synthesis.painting.lesion import Lesion
from scalemai.synthesis.populations.population import TumorPopulation
from scalemai.synthesis.spec import LesionSpec, random_stream
from scalemai.training.augment import Augmentation
from scalemai.training.cache import Cache
from scalemai.training.cases import Arrays, Span, TrainingCase
from scalemai.training.classes import IGNORE
from scalemai.training.corruption import OrganCorruption
from scalemai.training.cutting import context_round, cut, draw_start
from scalemai.training.growing import Grown, grow, round_lesion
from scalemai.training.medians import changed_median
from scalemai.training.sampling import Places, RealLesions, draw_voxel, placed, specs_of

__all__ = ["Patches", "Sample"]

Source = Literal["real", "synthetic", "background"]

_TRIES = 4  # other places and cases for a lesion that has no room
_RIM = 20  # voxels round the patch that lesions may grow into


@dataclass(frozen=True, eq=False)
class Sample:
    """One patch, and what it was made of.

    Parameters
    ----------
    image
        float32 array (channels, x, y, z), as the network sees it.
    label
        uint8 array (x, y, z): 0, classes from 1, :data:`~scalemai.training.classes.IGNORE`.
    case
        Id of the case.
    source
        What it was drawn to show.
    part
        The part of the organ that it was drawn from.
    diameter_mm
        Longest axial diameter of the lesion that it was drawn to show; None for background.
    lesions
        New lesions, with their recipes. They may lie beyond the patch, but for the first.
    missed
        How often a lesion found no room before.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    case: str
    source: Source
    part: str
    diameter_mm: float | None = None
    lesions: tuple[Lesion, ...] = ()
    missed: int = 0

    @property
    def key(self) -> str:
        """Case and origin, for messages: ``"case_7 synthetic pdac 14 mm pancreas_tail"``."""
        words = [self.case, self.source]
        words += [one.recipe.kind for one in self.lesions[:1]]
        words += [] if self.diameter_mm is None else [f"{self.diameter_mm:.0f} mm"]
        return " ".join([*words, self.part])


@dataclass(frozen=True, eq=False)
class _Draft:
    """A context with its lesions: HU, labels, organ, what the patch must show, what was there."""

    case: TrainingCase
    source: Source
    part: str
    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    organ: NDArray[np.bool_]
    focus: Span
    before: Arrays
    diameter_mm: float | None = None
    lesions: tuple[Lesion, ...] = ()


class Patches(Dataset[dict[str, Any]]):  # type: ignore[misc]  # mypy does not follow torch
    """Patches of prepared cases, with real lesions, new ones, or none.

    Cases are mapped from disk, so memory does not grow with their number.

    Parameters
    ----------
    cache
        The prepared cases to use; leave those for validation out (:meth:`Cache.subset`).
    spec
        The detector.
    real
        Ids of cases whose own lesions are shown. They are hosts of new lesions, too, and keep
        their own. Other cases with lesions are left aside.
    synthetic
        New lesions: specs, each as likely as the others, or a population; None for none.
    seed
        Seed of all random streams.
    length
        Number of patches of an epoch.
    share_background
        Share of patches that are drawn round a random place of the organ.
    share_synthetic
        Of the others, share of new lesions where there are real ones too.
    augment, organ_corruption
        How patches and organ masks are varied; None for not at all.
    effects
        As of :class:`~scalemai.transforms.patch.PatchSynthesizer`: pushed tissue, dilated ducts.
    lesions
        Range of the number of new lesions of a patch that shows them, ends included.
    least_detectability
        New lesions that are less (:class:`~scalemai.synthesis.painting.lesion.LesionMeasures`)
        are labelled as unknown.

    Raises
    ------
    UnknownNameError
        If an id of ``real`` is not in the cache.
    ConfigError
        If there is no lesion to show, no case to show it in, or something is impossible.
    """

    def __init__(
        self,
        cache: Cache,
        spec: DetectorSpec,
        *,
        real: Sequence[str],
        synthetic: TumorPopulation | LesionSpec | Sequence[LesionSpec] | None,
        seed: int,
        length: int,
        share_background: float = 0.25,
        share_synthetic: float = 0.5,
        augment: Augmentation | None = None,
        organ_corruption: OrganCorruption | None = None,
        effects: bool = False,
        lesions: tuple[int, int] = (1, 1),
        least_detectability: float = 0.0,
    ) -> None:
        for name, value in (
            ("share_background", share_background),
            ("share_synthetic", share_synthetic),
        ):
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"{value:g} is no share", where=name, fix="give 0 to 1")
        if length < 1:
            raise ConfigError(f"{length} patches", where="length", fix="give at least 1")
        shown = [cache[case_id] for case_id in dict.fromkeys(real)]
        hosts = [*shown, *(cache[name] for name in cache.ids_of("normal") if name not in real)]
        if not hosts:
            what = "all cases have lesions, and none of them is to be used"
            raise ConfigError(what, where="real", fix="use some, or add normal cases")
        self.spec, self.seed, self.length = spec, seed, length
        self.augment, self.organ_corruption = augment, organ_corruption
        self.share_background = share_background
        self.lesions = lesions
        self._grow = partial(
            grow,
            detector=spec,
            effects=effects,
            least_detectability=least_detectability,
            seed=seed,
        )
        self.real, self.places = RealLesions.of(shown), Places.of(hosts)
        self.wanted = specs_of(synthetic, spec, self.places)
        if self.wanted is None and not len(self.real):
            what = "no case has a lesion, and synthesis is off"
            raise ConfigError(what, where="synthetic", fix="turn it on, or add annotated cases")
        self.share_synthetic = share_synthetic if len(self.real) else 1.0
        # Shared, so that workers that live on hear of the next epoch.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(self.length))

    @property
    def epoch(self) -> int:
        """The epoch, from 0."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; call it before the loader's iterator is made."""
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One patch as tensors: image, label, key, and how often a lesion found no room.

        An index beyond the length is a patch of a later epoch.

        Raises
        ------
        IndexError
            If it is negative.
        UnreadableFileError
            If a prepared case is damaged.
        """
        made = self.sample(index)
        return {
            "image": torch.from_numpy(made.image),
            "label": torch.from_numpy(made.label),
            "key": made.key,
            "missed": made.missed,
        }

    def sample(self, index: int) -> Sample:
        """One patch with what it was made of; see :meth:`__getitem__`."""
        if index < 0:
            raise IndexError(f"patch {index}; count from 0")
        key = str(self.epoch * self.length + index)
        rng = random_stream(self.seed, key, 0, "training patch")
        draft, missed = self._draft(key, rng)
        return self._finished(draft, missed, random_stream(self.seed, key, 0, "training look"))

    def _draft(self, key: str, rng: np.random.Generator) -> tuple[_Draft, int]:
        if rng.random() < self.share_background:
            return self._background(rng), 0
        if self.wanted is None or rng.random() >= self.share_synthetic:
            return self._real(rng), 0
        for missed in range(_TRIES):
            draft = self._synthetic(f"{key}/{missed}", rng)
            if draft is not None:
                return draft, missed
        return self._background(rng), _TRIES

    def _background(self, rng: np.random.Generator) -> _Draft:
        case, part = self.places.draw(rng)
        centre = draw_voxel(case, part, rng)
        region, arrays = self._context(case, centre)
        return _Draft(
            case,
            "background",
            case.parts[part].name,
            arrays.hu,
            arrays.labels,
            case.part_of[arrays.tissue] > 0,
            _within([(c, c + 1) for c in centre], region),
            arrays,
        )

    def _real(self, rng: np.random.Generator) -> _Draft:
        case, lesion = self.real.draw(rng)
        region, arrays = self._context(case, lesion.centre)
        part = case.parts.get(lesion.part)
        return _Draft(
            case,
            "real",
            case.organ if part is None else part.name,
            arrays.hu,
            arrays.labels,
            case.part_of[arrays.tissue] > 0,
            _within(lesion.span, region),
            arrays,
            lesion.diameter_mm,
        )

    def _synthetic(self, key: str, rng: np.random.Generator) -> _Draft | None:
        assert self.wanted is not None  # asked for only if there is something to grow
        spec = self.wanted.draw(rng, key, self.seed)
        parts = self.places.parts_of(spec.organ, spec.site)
        case, number = self.places.draw(rng, parts)
        part = case.parts[number].name
        region, arrays = self._context(case, draw_voxel(case, number, rng))
        before, grid = Grown.from_arrays(arrays), case.grid.crop(region)
        made = self._grow(before, case, grid, placed(spec, part), key=key)
        if made is None:
            return None
        first = made.lesions[0]
        low, high = self.lesions
        within = round_lesion(first, self.spec.patch, arrays.hu.shape)
        for other in range(1, low if low == high else int(rng.integers(low, high + 1))):
            own = f"{key}/{other}"
            spec = self.wanted.draw(rng, own, self.seed)
            made = self._grow(made, case, grid, spec, within=within, key=own) or made
        return _Draft(
            case,
            "synthetic",
            part,
            made.hu,
            made.labels,
            case.part_of[made.tissue] > 0,
            _span_of(first),
            arrays,
            first.measures.longest_axial_diameter_mm,
            made.lesions,
        )

    def _context(self, case: TrainingCase, centre: Sequence[int]) -> tuple[Region, Arrays]:
        region = context_round(centre, self.spec.patch, _RIM, case.grid.shape)
        return region, case.read(region)

    def _finished(self, draft: _Draft, missed: int, rng: np.random.Generator) -> Sample:
        size, preprocessing = self.spec.patch, self.spec.preprocessing
        start = draw_start(draft.focus, size, draft.hu.shape, rng)
        hu = cut(draft.hu, start, size, "edge").astype(np.float32)
        # Beyond the case there is nothing to learn: inference cuts it away.
        labels = cut(draft.labels, start, size, IGNORE)
        organ = cut(draft.organ, start, size, False)
        middle = self._organ_hu(draft)
        if self.augment is not None:
            hu, middle = self.augment.intensities(hu, organ, preprocessing, rng, middle)
        if preprocessing.organ_channel and self.organ_corruption is not None:
            organ = self._corrupted(draft, start, rng)
        if self.augment is not None:
            hu, organ, labels = self.augment.orientation(hu, organ, labels, rng=rng)
        return Sample(
            channels_of(hu, organ, preprocessing, middle),
            np.ascontiguousarray(labels),
            draft.case.id,
            draft.source,
            draft.part,
            draft.diameter_mm,
            draft.lesions,
            missed,
        )

    def _organ_hu(self, draft: _Draft) -> float:
        """Median of the organ in the whole scan, with the new lesions, as inference takes it."""
        if self.spec.preprocessing.organ_window_hu is None:
            return 0.0
        case, before = draft.case, draft.before
        return changed_median(
            *case.organ_hu,
            old=before.hu[case.part_of[before.tissue] > 0],
            new=draft.hu[draft.organ],
        )

    def _corrupted(
        self, draft: _Draft, start: Sequence[int], rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """The damaged mask of a patch, decided with what lies round the patch in view."""
        assert self.organ_corruption is not None  # asked for only if masks are damaged
        spacing = draft.case.grid.spacing_mm
        rims = [int(np.ceil(self.organ_corruption.reach_mm / step)) for step in spacing]
        corner = [first - rim for first, rim in zip(start, rims, strict=True)]
        size = [n + 2 * rim for n, rim in zip(self.spec.patch, rims, strict=True)]
        organ = cut(draft.organ, corner, size, False)
        lesions = cut(draft.labels > 0, corner, size, False)
        i, j, k = (slice(rim, n - rim) for rim, n in zip(rims, size, strict=True))
        return self.organ_corruption(organ, lesions, spacing, rng)[i, j, k]


def _within(span: Sequence[tuple[int, int]], region: Region) -> Span:
    """A box of the case in the indices of a context, cut to it."""
    (a, b), (c, d), (e, f) = (
        (max(low - s.start, 0), min(high, s.stop) - s.start)
        for (low, high), s in zip(span, region, strict=True)
    )
    return (a, b), (c, d), (e, f)


def _span_of(lesion: Lesion) -> Span:
    """The box of the lesion's mask: its region holds the border, too."""
    hits = [np.flatnonzero(lesion.mask.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    (a, b), (c, d), (e, f) = (
        (s.start + int(hit[0]), s.start + int(hit[-1]) + 1)
        for s, hit in zip(lesion.region, hits, strict=True)
    )
    return (a, b), (c, d), (e, f)
