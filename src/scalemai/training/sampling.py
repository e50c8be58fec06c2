"""What a patch is to show: which case, which part of the organ, which lesion.

Large lesions, large parts and large organs have more voxels, so voxels drawn at random would show
little else. Here each step is drawn evenly among what there is, whatever its size::

    real       size bin -> part of the organ -> lesion
    synthetic  spec -> size bin of its range -> part of the organ -> case -> place in it
    background part of the organ -> case -> voxel

Sizes and sites of a population are drawn as it says: it is there to say them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from scalemai.anatomy import organ
from scalemai.detector.spec import DetectorSpec
from scalemai.errors import ConfigError
from scalemai.evaluation.lesions.bins import SizeBins
from scalemai.synthesis.populations.population import TumorPopulation
from scalemai.synthesis.spec import LesionSpec
from scalemai.training.cases import RealLesion, TrainingCase
from scalemai.training.classes import IGNORE, class_value
from scalemai.training.parts import site_of

__all__ = ["BINS", "Places", "RealLesions", "Wanted", "draw_voxel", "placed", "specs_of"]

T = TypeVar("T")

BINS = SizeBins((10.0, 20.0))
"""Sizes that are shown equally often, in mm of the longest axial diameter."""

_DARTS = 256
_ROUNDS = 16


@dataclass(frozen=True)
class RealLesions:
    """The lesions that a data set shows, by size and part of the organ.

    Parameters
    ----------
    groups
        By bin, then by part: the cases and their lesions.
    """

    groups: Mapping[int, Mapping[str, tuple[tuple[TrainingCase, RealLesion], ...]]]

    @classmethod
    def of(cls, cases: Sequence[TrainingCase]) -> RealLesions:
        """Those of some cases."""
        found: dict[int, dict[str, list[tuple[TrainingCase, RealLesion]]]] = {}
        for case in cases:
            for one in case.lesions:
                part = case.parts[one.part].name if one.part in case.parts else ""
                own = found.setdefault(BINS.index_of(one.diameter_mm), {})
                own.setdefault(part, []).append((case, one))
        return cls({n: {p: tuple(v) for p, v in own.items()} for n, own in found.items()})

    def __len__(self) -> int:
        return sum(len(some) for own in self.groups.values() for some in own.values())

    def draw(self, rng: np.random.Generator) -> tuple[TrainingCase, RealLesion]:
        """One lesion: bins are equally likely, then parts, then lesions."""
        own = self.groups[_one_of(sorted(self.groups), rng)]
        return _one_of(own[_one_of(sorted(own), rng)], rng)


@dataclass(frozen=True)
class Places:
    """Parts of the organ and the cases that show them.

    Parameters
    ----------
    cases
        By name of the part.
    """

    cases: Mapping[str, tuple[tuple[TrainingCase, int], ...]]

    @classmethod
    def of(cls, cases: Sequence[TrainingCase]) -> Places:
        """Those of some cases."""
        found: dict[str, list[tuple[TrainingCase, int]]] = {}
        for case in cases:
            for number, part in case.parts.items():
                found.setdefault(part.name, []).append((case, number))
        return cls({name: tuple(some) for name, some in sorted(found.items())})

    def parts_of(self, facts_name: str, site: str | None) -> tuple[str, ...]:
        """Parts that lie in a site of the organ, as far as a case shows them."""
        if site is None:
            return tuple(self.cases)
        inside = organ(facts_name).sites[site]
        return tuple(name for name in self.cases if name in inside)

    def draw(self, rng: np.random.Generator, parts: Sequence[str] = ()) -> tuple[TrainingCase, int]:
        """A case and the number of one of its parts: parts are equally likely, then cases."""
        return _one_of(self.cases[_one_of(parts or tuple(self.cases), rng)], rng)


@dataclass(frozen=True)
class Wanted:
    """Lesions that synthesis is asked for.

    Parameters
    ----------
    specs
        Each as likely as the others; sizes are drawn evenly over :data:`BINS`, and kinds evenly
        over the classes, where a spec leaves them open.
    population
        In their place: drawn as it says.
    classes
        Kinds to draw evenly where a spec leaves the kind open.
    """

    specs: tuple[LesionSpec, ...] = ()
    population: TumorPopulation | None = None
    classes: tuple[str, ...] = ()

    def draw(self, rng: np.random.Generator, key: str, seed: int) -> LesionSpec:
        """One spec, with its size within one bin.

        Parameters
        ----------
        rng
            Stream of the patch.
        key, seed
            Keys of what a population draws.
        """
        if self.population is not None:
            return self.population.sample(key, 1, seed)
        spec = _one_of(_one_of(self._choices, rng), rng)
        return replace(spec, diameter_mm=_one_of(_by_bin(spec.diameter_mm), rng))

    @cached_property
    def _choices(self) -> tuple[tuple[LesionSpec, ...], ...]:
        """Specs by class, where they can be of several; else all of them."""
        own = [_of_kind(self.specs, name) for name in self.classes]
        rest = tuple(
            spec
            for spec in self.specs
            if spec.kind is not None or not any(k.name in self.classes for k in spec.possible_kinds)
        )
        chosen = [some for some in own if some]
        # Specs that name their kind, or can be of no class, are as likely as each of the others.
        return (*chosen, *((one,) for one in rest)) if chosen else (self.specs,)

    @cached_property
    def sites(self) -> tuple[str | None, ...]:
        """Sites that are asked for."""
        if self.population is not None:
            asked = [group.site for group in self.population.groups if group.weight > 0.0]
        else:
            asked = [spec.site for spec in self.specs]
        return tuple(dict.fromkeys(asked))


def specs_of(
    synthetic: TumorPopulation | LesionSpec | Sequence[LesionSpec] | None,
    spec: DetectorSpec,
    places: Places,
) -> Wanted | None:
    """What synthesis is asked for, checked against the detector and the cases.

    Raises
    ------
    ConfigError
        If it is of another organ, no class of the detector can come of it, a place is prescribed,
        or no case shows a site that is asked for.
    """
    if synthetic is None:
        return None
    facts = organ(spec.organ)
    if isinstance(synthetic, TumorPopulation):
        wanted = Wanted(population=synthetic.only([facts.name]))
        kinds = {group.kind for group in synthetic.groups if group.organ == facts.name}
    else:
        some = (synthetic,) if isinstance(synthetic, LesionSpec) else tuple(synthetic)
        for one in some:
            if one.organ != facts.name:
                what = f"a lesion of the {one.organ} for a detector of the {facts.name}"
                raise ConfigError(what, where="synthetic", fix=f"give specs of the {facts.name}")
            if one.at_mm is not None:
                what = "one place in space means nothing in many patients"
                raise ConfigError(what, where="synthetic", fix="give a site, or leave at_mm out")
        if not some:
            raise ConfigError("no specs", where="synthetic", fix="give one, or turn synthesis off")
        classes = tuple(name for name in spec.classes if name != facts.lesion)
        wanted = Wanted(some, classes=classes)
        kinds = {kind.name for one in some for kind in one.possible_kinds}
    names = {kind for kind in kinds if kind is not None} or set(facts.kind_names)
    if None in kinds:
        names |= set(facts.kind_names)
    if not any(0 < class_value(spec, kind) < IGNORE for kind in names):
        what = f"{', '.join(sorted(names))} is none of {', '.join(spec.classes)}"
        raise ConfigError(what, where="synthetic", fix="ask for lesions that the detector knows")
    for site in wanted.sites:
        if not places.parts_of(facts.name, site):
            what = f"no case shows the {site} of the {facts.name}"
            raise ConfigError(what, where="synthetic", fix="give masks of its parts, or no site")
    return wanted


def placed(spec: LesionSpec, part: str) -> LesionSpec:
    """The spec in a part of its organ, if that is narrower than what it says itself."""
    site = site_of(organ(spec.organ), part)
    return spec if site is None else replace(spec, site=site)


def draw_voxel(case: TrainingCase, part: int, rng: np.random.Generator) -> tuple[int, int, int]:
    """A voxel of a part of the organ, each as likely as the others.

    Voxels of its box are drawn until one lies in the part, so that no array is read as a whole.
    """
    span = np.asarray(case.parts[part].span)
    for _ in range(_ROUNDS):
        voxels = span[:, 0] + rng.integers(span[:, 1] - span[:, 0], size=(_DARTS, 3))
        hits = np.flatnonzero(case.parts_at(voxels) == part)
        if hits.size:
            i, j, k = voxels[int(hits[0])].tolist()
            return i, j, k
    i, j, k = (slice(int(a), int(b)) for a, b in span)
    inside = np.argwhere(case.part_of[case.read((i, j, k)).tissue] == part) + span[:, 0]
    a, b, c = inside[int(rng.integers(len(inside)))].tolist()
    return a, b, c


def _of_kind(specs: Sequence[LesionSpec], name: str) -> tuple[LesionSpec, ...]:
    """Those of open kind that can be of this one, of it."""
    made = []
    for spec in specs:
        if spec.kind is None and any(kind.name == name for kind in spec.possible_kinds):
            with suppress(ConfigError):  # a bright cyst
                made.append(replace(spec, kind=name))
    return tuple(made)


def _by_bin(diameter_mm: tuple[float, float]) -> list[tuple[float, float]]:
    """A range of sizes, split at the borders of the bins."""
    low, high = diameter_mm
    edges = [low, *(edge for edge in BINS.edges_mm if low < edge < high), high]
    return list(itertools.pairwise(edges))


def _one_of(some: Sequence[T], rng: np.random.Generator) -> T:
    return some[int(rng.integers(len(some)))]
