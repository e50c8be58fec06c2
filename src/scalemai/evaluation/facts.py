"""What is known of each lesion and candidate beyond its size: site, kind, contrast, neighbour.

The facts say by what misses and false positives can be told apart. They never change a verdict, so
a file that only they need and that cannot be used costs the fact, with a remark, not the case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.anatomy import Organ, is_lesion, organ
from scalemai.case import Case
from scalemai.errors import CaseError, UnknownNameError
from scalemai.evaluation.crops import Crop, read_crops
from scalemai.evaluation.lesions.components import Component
from scalemai.evaluation.lesions.fact_definitions import NO_NEIGHBOUR, SITE_MM
from scalemai.evaluation.nearness import nearest_structure, part_of, shared, surroundings
from scalemai.evaluation.pairing import PairedCase, organ_of
from scalemai.evaluation.synthetic import Grown, SyntheticRecord, read_record, record_of
from scalemai.geometry import Grid, Region
from scalemai.masks import turned
from scalemai.volume import Volume

__all__ = ["CaseFacts", "fact_files", "phase_of", "remarks"]

Found = dict[int, dict[str, Any]]


class CaseFacts:
    """Finds facts of one case; what it reads for one structure is kept for the next.

    Masks are kept as the boxes around their voxels. The CT is read where there is something to
    measure, and turned into HU in boxes.

    Parameters
    ----------
    pair
        The case.
    grid
        Its grid.
    known
        Masks of the reference that were read already.
    lesions
        Lesion structures that are evaluated.

    Attributes
    ----------
    notes
        What could not be used, and why.
    """

    def __init__(
        self, pair: PairedCase, grid: Grid, known: Mapping[str, Crop], lesions: Sequence[str]
    ) -> None:
        self.notes: list[str] = []
        self._pair, self._grid = pair, grid
        self._masks = _Masks(pair.reference, grid, self.notes, known)
        self._lesions = {*lesions, *(name for name in pair.reference.sources if is_lesion(name))}
        self._medians: dict[str, float | None] = {}

    def of(
        self, name: str, lesions: Sequence[Component], candidates: Sequence[Component]
    ) -> tuple[Found, Found]:
        """Facts of the lesions and of the candidates of one structure, by their numbers.

        What is not known is left out.
        """
        place = organ_of(name)
        about = _organ(place)
        kind = _kind_of_name(name, about)
        kinds = self._kinds(name, lesions) if kind is None and lesions else {}
        found: tuple[Found, Found] = ({}, {})
        for one in lesions:
            facts = self._common(one, place, about)
            facts["kind"] = kind or kinds.get(one.number)
            facts["neighbour"] = self._neighbour(one, place, about)
            found[0][one.number] = _told(facts)
        for one in candidates:
            facts = self._common(one, place, about)
            facts["kind"] = kind
            inside = facts["in_organ"] = self._in_organ(one, place, name)
            facts["neighbour"] = self._neighbour(one, place, about if inside else None)
            found[1][one.number] = _told(facts)
        return found

    def _common(self, one: Component, place: str | None, about: Organ | None) -> dict[str, Any]:
        return {
            "site": None if about is None else self._site(one, about),
            "contrast_hu": None if place is None else self._contrast(one, place),
            **({"phase": self._record.phase} | phase_of(self._pair)),
        }

    def _site(self, one: Component, about: Organ) -> str | None:
        masks = self._sites(about)
        if not masks:
            return None
        whole = None
        if len(masks) < len(_site_names(about)):
            # Some parts have no masks: what lies in them lies in the organ, and in no site.
            whole = self._masks.of([about.name]).get(about.name)
        region, inside = one.region, one.mask
        if not any(shared(region, inside, crop) for crop in masks.values()):
            if whole is not None and shared(region, inside, whole):
                return None
            # Label maps leave lesions out of the parts that they lie in.
            region, inside = surroundings(one, self._grid, SITE_MM)
        return _site_of(region, inside, masks, whole, about)

    def _sites(self, about: Organ) -> dict[str, Crop]:
        """Masks of the structures that make up the sites of an organ, as far as there are any."""
        names = _site_names(about)
        found = self._masks.of(names)
        lacking = [name for name in names if name not in found]
        return {**found, **self._host.of(lacking)} if lacking else found

    def _kinds(self, name: str, lesions: Sequence[Component]) -> dict[int, str]:
        """Kinds of the lesions that were grown nearest; none if they differ."""
        seen: dict[int, set[str]] = {}
        for grown in self._record.lesions:
            if grown.structure == name and (number := self._grown_as(grown, lesions)) is not None:
                seen.setdefault(number, set()).add(grown.kind)
        return {number: next(iter(kinds)) for number, kinds in seen.items() if len(kinds) == 1}

    def _grown_as(self, grown: Grown, lesions: Sequence[Component]) -> int | None:
        found = []
        for one in lesions:
            voxels = np.argwhere(one.mask) + [span.start for span in one.region]
            away = np.linalg.norm(self._grid.to_world(voxels) - grown.seed_mm, axis=1).min()
            found.append((float(away), one.number))
        # A seed between voxels is up to half a diagonal from the nearest of them.
        reach = max(grown.diameter_mm, float(np.linalg.norm(self._grid.spacing_mm))) / 2
        away_mm, number = min(found)
        return number if away_mm <= reach else None

    def _contrast(self, one: Component, place: str) -> float | None:
        if place not in self._medians:
            self._medians[place] = self._median(place)
        median = self._medians[place]
        if median is None or self._ct is None:
            return None
        return float(self._ct.hu(one.region)[one.mask].mean(dtype=np.float64)) - median

    def _median(self, place: str) -> float | None:
        """Median HU of an organ outside of all lesions; None without CT or mask."""
        whole = self._masks.of([place]).get(place)
        if whole is None or whole.region is None or self._ct is None:
            return None
        free = whole.array.copy()
        for crop in self._masks.of(sorted(self._lesions)).values():
            free &= ~part_of(crop, whole.region)
        if not free.any():
            return None
        # Of the stored numbers, which take half of the memory; the scaling is linear.
        median = float(np.median(self._ct.stored[whole.region][free]))
        return median * self._ct.slope + self._ct.intercept

    def _in_organ(self, one: Component, place: str | None, name: str) -> bool | None:
        if place is None or (whole := self._masks.of([place]).get(place)) is None:
            return None
        inside = part_of(whole, one.region)
        if (lesion := self._masks.of([name]).get(name)) is not None:
            inside |= part_of(lesion, one.region)
        return bool(2 * np.count_nonzero(inside & one.mask) > one.voxels)

    def _neighbour(self, one: Component, place: str | None, about: Organ | None) -> str | None:
        """The nearest structure: of those beside the organ if that is given, else of all."""
        names = self._pair.reference.structures
        if about is not None:
            names = tuple(dict.fromkeys((*about.vessels, *about.barriers)))
        own = self._lesions | self._own(place)
        others = [name for name in names if name not in own]
        if about is None:  # a synthetic case has the masks that changed, its host had more
            others += [name for name in self._record.named if name not in {*own, *others}]
        masks = self._masks.of(others)
        lacking = [name for name in others if name not in masks]
        masks |= self._host.of(lacking) if lacking else {}
        near = nearest_structure(one, self._grid, masks)
        if near is not None or not masks:
            return near
        # Nothing is near of what can be looked at; what has lost its mask may be.
        lost = [name for name in others if name in self._record.named and name not in masks]
        return None if lost else NO_NEIGHBOUR

    def _own(self, place: str | None) -> set[str]:
        """The organ with its parts."""
        if place is None:
            return set()
        about = _organ(place)
        parts = set() if about is None else {*about.structures, *_site_names(about)}
        return {place, *self._pair.reference.parts(place), *parts}

    @cached_property
    def _record(self) -> SyntheticRecord:
        path = record_of(self._pair.reference)
        try:
            return SyntheticRecord() if path is None else read_record(path)
        except CaseError as error:
            self.notes.append(f"no kinds: {error}")
            return SyntheticRecord()

    @cached_property
    def _host(self) -> _Masks:
        """Masks of the CT that a synthetic reference was made from."""
        host = replace(self._pair.reference, sources=self._record.masks, class_map="", root=None)
        return _Masks(host, self._grid, self.notes, {})

    @cached_property
    def _ct(self) -> Volume | None:
        # Masks were drawn in the CT beside them; another one may be without the lesions.
        pair = self._pair
        case = pair.reference if pair.reference_has_ct else pair.image
        if case is None:
            return None
        try:
            read = case.volume()
            stored = turned(read.stored, read.grid, self._grid, case.ct, pair.reference.ct)
        except CaseError as error:
            self.notes.append(f"no contrast: {error}")
            return None
        return Volume(stored, self._grid, read.slope, read.intercept)


class _Masks:
    """Masks of a case, each read once; a file that cannot be used is remarked once."""

    def __init__(self, case: Case, grid: Grid, notes: list[str], known: Mapping[str, Crop]) -> None:
        self._case, self._grid, self._notes = case, grid, notes
        self._crops: dict[str, Crop | None] = dict(known)

    def of(self, names: Iterable[str]) -> dict[str, Crop]:
        """Those of the structures that the case has."""
        wanted = [name for name in dict.fromkeys(names) if name not in self._crops]
        new: dict[str, Crop] = {}
        try:
            new = read_crops(self._case, wanted, self._grid)
        except CaseError as error:
            self._notes.append(f"facts without masks of {', '.join(wanted)}: {error}")
        # Masks joined from their parts come under their canonical names.
        self._crops |= {name: new.get(name) for name in wanted}
        found = {name: self._crops[name] for name in names}
        return {name: crop for name, crop in found.items() if crop is not None}


def phase_of(pair: PairedCase) -> dict[str, Any]:
    """The contrast phase of a case, where it is known; costs nothing."""
    return {"phase": pair.metadata["phase"]} if pair.metadata.get("phase") else {}


def fact_files(pair: PairedCase) -> tuple[Path, ...]:
    """Files beyond predictions and references that facts may be taken from."""
    found = {source.path for source in pair.reference.sources.values()}
    case = pair.reference if pair.reference_has_ct else pair.image
    if case is not None:
        found.add(case.ct)
    if (path := record_of(pair.reference)) is not None:
        found.add(path)
    return tuple(sorted(found))


def remarks(lesions: pl.DataFrame) -> list[str]:
    """Facts that no lesion of a structure has, and what would give them.

    Parameters
    ----------
    lesions
        The table `lesions`, of an evaluation with facts.
    """
    notes = []
    for (name,), rows in sorted(lesions.group_by(["structure"]), key=lambda one: str(one[0])):
        place = organ_of(str(name))
        about = _organ(place)
        if about is None:
            continue
        gone = [
            fact
            for fact in ("site", "contrast_hu")
            if fact not in rows.columns or rows[fact].null_count() == rows.height
        ]
        if "site" in gone and about.sites:
            few = ", ".join(_site_names(about)[:3])
            notes.append(f"the site of no {name} is known: references need masks of {few}, ...")
        if "contrast_hu" in gone:
            need = f"a CT (beside the references, or --images) and a mask of the {place}"
            notes.append(f"the contrast of no {name} is known: it needs {need}")
    return notes


def _site_of(
    region: Region,
    inside: NDArray[np.bool_],
    masks: Mapping[str, Crop],
    whole: Crop | None,
    about: Organ,
) -> str | None:
    """The site that holds most of the voxels."""
    parts = {name: part_of(crop, region) & inside for name, crop in masks.items()}
    anywhere = np.logical_or.reduce(list(parts.values()))
    total = int(np.count_nonzero(anywhere))
    if whole is not None and np.count_nonzero(part_of(whole, region) & inside & ~anywhere) > total:
        return None
    held = {
        site: sum(int(np.count_nonzero(parts[name])) for name in names if name in parts)
        for site, names in about.sites.items()
    }
    if not total:
        return None
    most = max(held.values())
    over_half = [site for site, voxels in held.items() if 2 * voxels > total]
    among = over_half or [site for site, voxels in held.items() if voxels == most]
    size = {
        site: sum(int(np.count_nonzero(masks[name].array)) for name in names if name in masks)
        for site, names in about.sites.items()
    }
    return min(among, key=lambda site: size[site])


def _site_names(about: Organ) -> list[str]:
    return list(dict.fromkeys(name for names in about.sites.values() for name in names))


def _kind_of_name(name: str, about: Organ | None) -> str | None:
    """The kind that the name of a lesion structure ends with: ``pancreatic_pdac``."""
    if about is None or name == about.lesion:
        return None
    words = name.removesuffix("_left").removesuffix("_right").split("_")
    for start in range(len(words)):
        try:
            return about.kind("_".join(words[start:])).name
        except UnknownNameError:
            continue
    return None


def _organ(place: str | None) -> Organ | None:
    try:
        return None if place is None else organ(place)
    except UnknownNameError:
        return None


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}
