"""What is put into a review to measure its readers: decoys and blinded repeats.

::

    findings of a review -> synthetic lesions  in the stored copies of CTs, never in the source
                         -> planted false ones normal tissue, marked in the shape of a finding
                         -> repeats            findings that come once more, later

All follow from the protocol's seed. Pages are told of none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalemai.anatomy import canonical, is_lesion, structure
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.evidence.false_places import false_finding
from scalemai.annotation.evidence.true_places import read_planted, write_planted
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.store.importing import Proposal
from scalemai.annotation.store.layout import StoredCase
from scalemai.errors import ScaleMAIError
from scalemai.synthesis.spec import random_stream

__all__ = [
    "MINIMUM_DISTANCE",
    "Host",
    "Planted",
    "places_of_repeats",
    "plant_false",
    "plant_lesions",
]

MINIMUM_DISTANCE = 10
"""Reads in the queue between a finding and its repeat, at least: author's choice, to be refined."""

_HOSTS_TRIED = 12


@dataclass(frozen=True, slots=True)
class Host:
    """A case of the assisted arm in which something may be planted.

    Parameters
    ----------
    case_key, case_id
        Its names.
    folder
        In the working store.
    stored
        How it lies there.
    findings
        What is proposed in it.
    lesions
        Masks (stored grid) of what is known to be a lesion, besides the findings.
    facts
        Of the case; ``phase`` is used.
    """

    case_key: str
    case_id: str
    folder: Path
    stored: StoredCase
    findings: tuple[Proposal, ...]
    lesions: tuple[Runs, ...]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Planted:
    """Something that was planted.

    Parameters
    ----------
    case_key
        Where.
    proposal
        The finding that readers are shown.
    """

    case_key: str
    proposal: Proposal


def plant_lesions(hosts: Sequence[Host], protocol: Protocol) -> list[Planted]:
    """Grow synthetic lesions into the stored copies of CTs.

    Each takes organ, size and score after a finding that is drawn, so that none of these tells.
    What was planted before, by a run that was killed, is not planted again: a case is written
    whole, with the recipes of its lesions in its record, and then left as it is.

    Parameters
    ----------
    hosts
        Cases of the assisted arm, in a fixed order.
    protocol
        Share and seed.

    Returns
    -------
    list of Planted
        Fewer than asked for where no case has the organ, or room in it.

    Raises
    ------
    OutputError
        If the store cannot be written.
    """
    donors = _donors(hosts)
    wanted = _number(protocol.decoy_lesion_share, len(donors))
    rng = random_stream(protocol.seed, "review", 0, "decoy lesions")
    asked: dict[str, list[Proposal]] = {}
    for _ in range(wanted):
        donor = donors[int(rng.integers(len(donors)))]
        organ = _organ_of(donor.structure)
        able = [host for host in hosts if organ is not None and _has(host, organ)]
        if able:
            # One per case as long as there are cases, so that no scan is full of them.
            fewest = min(len(asked.get(host.case_key, ())) for host in able)
            free = [host for host in able if len(asked.get(host.case_key, ())) == fewest]
            host = free[int(rng.integers(len(free)))]
            asked.setdefault(host.case_key, []).append(donor)
    planted = []
    for host in hosts:
        if host.case_key not in asked:
            continue
        found = read_planted(host.folder)
        if found is None:
            found = write_planted(
                host.folder, host.case_id, asked[host.case_key], host.lesions, seed=protocol.seed
            )
        planted += [Planted(host.case_key, one) for one in found]
    return planted


def plant_false(
    hosts: Sequence[Host], lesions: Sequence[Planted], protocol: Protocol
) -> list[Planted]:
    """Mark normal tissue as if it were a finding.

    Each has the shape of a finding that is drawn, turned at random, in the same organ of any case,
    away from all findings and known lesions. Vessels are allowed, as detectors mark them too.

    Parameters
    ----------
    hosts
        Cases of the assisted arm, in a fixed order.
    lesions
        Synthetic lesions that were planted before.
    protocol
        Share and seed.
    """
    donors = [(host, one) for host in hosts for one in host.findings]
    wanted = _number(protocol.decoy_false_share, len(donors))
    rng = random_stream(protocol.seed, "review", 0, "decoys that are false")
    planted: list[Planted] = []
    for _ in range(wanted):
        origin, donor = donors[int(rng.integers(len(donors)))]
        organ = _organ_of(donor.structure)
        able = [host for host in hosts if organ is not None and _has(host, organ)]
        for place in rng.permutation(len(able))[:_HOSTS_TRIED]:
            host = able[int(place)]
            taken = [one.runs for one in host.findings] + list(host.lesions)
            taken += [
                one.proposal.runs for one in (*lesions, *planted) if one.case_key == host.case_key
            ]
            names = _parts(host, organ or "")
            found = false_finding(host.folder, host.stored, names, donor, origin.stored, taken, rng)
            if found is not None:
                planted.append(Planted(host.case_key, found))
                break
    return planted


def places_of_repeats(length: int, allowed: Sequence[int], protocol: Protocol) -> dict[int, int]:
    """Which places of a queue are repeated, and after which place each repeat comes.

    Parameters
    ----------
    length
        Of the queue without repeats.
    allowed
        Places of what may be repeated.
    protocol
        Share and seed.

    Returns
    -------
    dict
        Place of the original to the place that the repeat follows, at least
        :data:`MINIMUM_DISTANCE` later. Fewer than asked for where the queue is too short.
    """
    able = [place for place in allowed if place + MINIMUM_DISTANCE < length]
    wanted = min(_number(protocol.repeat_share, len(allowed)), len(able))
    rng = random_stream(protocol.seed, "review", 0, "repeats")
    chosen = sorted(int(able[i]) for i in rng.permutation(len(able))[:wanted])
    return {place: int(rng.integers(place + MINIMUM_DISTANCE, length)) for place in chosen}


def _number(share: float, findings: int) -> int:
    """A share of the findings, to the nearest number; one at least if any is asked for."""
    if share <= 0 or not findings:
        return 0
    return max(1, int(share * findings + 0.5))


def _donors(hosts: Sequence[Host]) -> list[Proposal]:
    return [one for host in hosts for one in host.findings if _organ_of(one.structure) is not None]


def _organ_of(lesion: str) -> str | None:
    """The structure that a lesion lies in."""
    return structure(lesion).parent


def _parts(host: Host, organ: str) -> tuple[str, ...]:
    """Structures of a case that are the organ or a part of it."""

    def within(name: str) -> bool:
        try:
            entry = structure(canonical(name))
        except ScaleMAIError:
            return False
        while entry.name != organ:
            if entry.parent is None:
                return False
            entry = structure(entry.parent)
        return True

    return tuple(name for name in host.stored.structures if not is_lesion(name) and within(name))


def _has(host: Host, organ: str) -> bool:
    return bool(_parts(host, organ))
