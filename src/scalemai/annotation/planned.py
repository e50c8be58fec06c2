"""What a review is to hold, before it is in the database: cases, findings, decoys and repeats."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.evidence.planting import (
    Host,
    places_of_repeats,
    plant_false,
    plant_lesions,
)
from scalemai.annotation.leases import opaque
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.store.importing import Proposal, read_record
from scalemai.annotation.store.layout import StoredCase
from scalemai.annotation.words import Arm, Origin
from scalemai.case import Case

__all__ = [
    "Planned",
    "PlannedCase",
    "algorithm_of",
    "with_decoys",
    "with_previous",
    "with_repeats",
]


@dataclass(frozen=True, slots=True)
class Planned:
    """A finding before it is in the database.

    Parameters
    ----------
    name
        Of which its opaque id is made; no two are alike.
    case_key
        Its case.
    proposal
        Structure, mask, score and measures.
    origin
        Where it comes from.
    repeats
        Id of the finding that it shows again.
    """

    name: str
    case_key: str
    proposal: Proposal
    origin: Origin
    repeats: str | None = None

    @property
    def finding_id(self) -> str:
        """Opaque id."""
        return opaque("finding", self.case_key, self.name)


@dataclass(frozen=True, slots=True)
class PlannedCase:
    """A case before it is in the database; the order of cases is that of their ids."""

    case_key: str
    case_id: str
    stored: StoredCase
    arm: Arm
    searched: bool
    facts: Mapping[str, Any]
    previous_key: str | None = None


def with_previous(cases: Sequence[PlannedCase]) -> list[PlannedCase]:
    """Each case with the latest earlier one of its patient, where patient and date are known."""
    by_patient: dict[str, list[tuple[str, str]]] = {}
    for case in cases:
        patient, date = case.facts.get("patient"), case.facts.get("study_date")
        if patient and date:
            by_patient.setdefault(str(patient), []).append((str(date), case.case_key))
    result = []
    for case in cases:
        patient, date = case.facts.get("patient"), case.facts.get("study_date")
        earlier = [
            (when, key)
            for when, key in by_patient.get(str(patient), [])
            if date and when < str(date)
        ]
        result.append(replace(case, previous_key=max(earlier)[1] if earlier else None))
    return result


def with_decoys(
    cases: Sequence[PlannedCase],
    planned: Sequence[Planned],
    by_id: Mapping[str, Case],
    store: Path,
    protocol: Protocol,
) -> tuple[list[PlannedCase], list[Planned]]:
    """Decoys, and the cases as they are with them."""
    if not (protocol.decoy_lesion_share or protocol.decoy_false_share):
        return list(cases), []
    hosts = [
        Host(
            case.case_key,
            case.case_id,
            store / case.case_key,
            case.stored,
            tuple(one.proposal for one in planned if one.case_key == case.case_key),
            _lesions(by_id[case.case_id], case.stored),
            case.facts,
        )
        for case in cases
        if case.arm is Arm.ASSISTED
    ]
    lesions = plant_lesions(hosts, protocol)
    false = plant_false(hosts, lesions, protocol)
    numbers = Counter(one.case_key for one in planned)
    decoys = []
    for origin, found in ((Origin.DECOY_LESION, lesions), (Origin.DECOY_FALSE, false)):
        for one in found:
            name = f"{numbers[one.case_key]}"  # ids go on as if it were one of the others
            numbers[one.case_key] += 1
            decoys.append(Planned(name, one.case_key, one.proposal, origin))
    changed = {one.case_key for one in lesions}
    return [
        replace(case, stored=read_record(store / case.case_key)[1])
        if case.case_key in changed
        else case
        for case in cases
    ], decoys


def _lesions(case: Case, stored: StoredCase) -> tuple[Runs, ...]:
    """The lesions that the data set knows of, whatever a detector proposes."""
    return tuple(
        Runs.of_mask(stored.from_native(mask.array), stored.shape)
        for mask in case.each_mask(sorted(case.lesions), on=stored.native_grid)
    )


def with_repeats(
    queue: Sequence[Planned], cases: Mapping[str, PlannedCase], protocol: Protocol
) -> list[Planned]:
    """The queue with findings that come once more, each some reads after the first time."""
    shown = [one for one in queue if cases[one.case_key].arm is Arm.ASSISTED]
    hidden = [one for one in queue if cases[one.case_key].arm is not Arm.ASSISTED]
    decoys = (Origin.DECOY_LESION, Origin.DECOY_FALSE)
    allowed = [place for place, one in enumerate(shown) if one.origin not in decoys]
    after: dict[int, list[Planned]] = {}
    for place, later in places_of_repeats(len(shown), allowed, protocol).items():
        one = shown[place]
        again = replace(one, name=f"{one.name} again", repeats=one.finding_id)
        after.setdefault(later, []).append(again)
    result = []
    for place, one in enumerate(shown):
        result += [one, *after.get(place, ())]
    return result + hidden


def algorithm_of(table: Path | None) -> dict[str, Any]:
    """Which detector proposed the findings of a case, for what is exported."""
    if table is None or not table.is_file():
        return {}
    plain = json.loads(table.read_text(encoding="utf-8"))
    detectors = plain.get("provenance", {}).get("detectors", [])
    if not detectors or not isinstance(detectors[0], dict):
        return {}
    name = f"scalemai {plain.get('organ', '')} detector".replace("  ", " ")
    version = str(detectors[0].get("weights_sha256", ""))[:16]
    return {"algorithm": {"name": name, "version": version}} if version else {}
