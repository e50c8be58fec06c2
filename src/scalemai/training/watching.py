"""What a detector finds of fixed lesions in whole scans, and at how many false candidates.

Lesions of fixed seeds are grown in hosts that nothing was learned from, so that detectors can be
told apart lesion by lesion. Hosts and synthesis are those of the training and organ masks are
right: an upper end of what may be hoped for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.detector.files import Detector
from scalemai.evaluation.lesions.components import find_components
from scalemai.evaluation.lesions.froc import LUNA16_RATES
from scalemai.evaluation.lesions.matching import match
from scalemai.evaluation.lesions.rules import parse_rule
from scalemai.inference.settings import Runtime, Settings
from scalemai.inference.windows import predict_prepared
from scalemai.training.cases import TrainingCase
from scalemai.training.classes import IGNORE
from scalemai.training.patches import Patches
from scalemai.training.scans import scans_with_lesions

__all__ = ["FLOOR", "RULE", "Scans", "Seen", "see"]

RULE = parse_rule("iou>=0.1")
"""When a candidate is a hit. Any overlap would do for a detector that calls the whole organ one
candidate, and weights that are chosen by it would tend to that; author's choice."""

FLOOR = 0.2
"""Probability from which a voxel is part of a candidate, whose score is its highest probability:
lower than where findings begin, so that the rate of false ones can be chosen; author's choice."""

_SLACK = 1e-9

_Floats = NDArray[np.float64]
_Numbers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Scans:
    """Hosts and what is grown in them.

    Parameters
    ----------
    cases
        The hosts.
    patches
        What is grown; each of them gives other lesions in the same hosts.
    """

    cases: Sequence[TrainingCase]
    patches: Sequence[Patches]


@dataclass(frozen=True, eq=False)
class Seen:
    """What a detector found in some scans.

    Parameters
    ----------
    hosts
        Array (scans,): id of the host of each scan; a host with several sets of lesions has
        several scans.
    lesion_scan, diameter_mm, score
        Arrays (lesions,): place of the scan, longest axial diameter in mm, and highest score of
        the candidates that hit the lesion, minus infinity if none does.
    false_scan, false_score
        Arrays of the false candidates.
    """

    hosts: NDArray[np.str_]
    lesion_scan: _Numbers
    diameter_mm: _Floats
    score: _Floats
    false_scan: _Numbers
    false_score: _Floats

    def limit(self, rate: float) -> float:
        """The score above which there are no more false candidates per scan than ``rate``.

        Minus infinity if every candidate may be called.
        """
        allowed = math.floor(rate * self.hosts.size + _SLACK)
        descending = np.sort(self.false_score)[::-1]
        return float(descending[allowed]) if allowed < descending.size else -math.inf

    def found(self, rate: float) -> NDArray[np.bool_]:
        """Array (lesions,): which are found at a rate of false candidates per scan."""
        return np.asarray(self.score > self.limit(rate))

    def sensitivity(self, rate: float) -> float:
        """Share of the lesions that are found at a rate; 0 if there are none."""
        return float(self.found(rate).mean()) if self.score.size else 0.0

    @property
    def mean_sensitivity(self) -> float:
        """Mean of the sensitivities at 1/8 to 8 false candidates per scan (Setio et al. 2017)."""
        return float(np.mean([self.sensitivity(rate) for rate in LUNA16_RATES]))

    def false_per_scan(self, threshold: float) -> float:
        """False candidates per scan with a score of at least ``threshold``."""
        return float((self.false_score >= threshold).sum() / max(self.hosts.size, 1))


def see(detector: Detector, scans: Scans, *, threads: int = 1) -> Seen:
    """Look for lesions in scans as inference does, one scan in memory at a time.

    Lesions whose class nobody knows count neither way.

    Parameters
    ----------
    detector
        The detector.
    scans
        From the same preprocessing.
    threads
        Threads of the CPU.
    """
    hosts: list[str] = []
    lesions: list[tuple[int, float, float]] = []
    false: list[tuple[int, float]] = []
    runtime = Runtime(threads=threads)
    for patches in scans.patches:
        grown = scans_with_lesions(patches, list(scans.cases))
        for case, scan in zip(scans.cases, grown, strict=True):
            place = len(hosts)
            hosts.append(case.id)
            labels = np.zeros(scan.grid.shape, np.uint8) if scan.labels is None else scan.labels
            unknown = labels == IGNORE
            lesion = 1.0 - predict_prepared(detector, scan, Settings(), runtime)[0]
            wanted = find_components((labels > 0) & ~unknown, scan.grid)
            candidates = find_components(
                (lesion >= FLOOR) & ~unknown, scan.grid, probability=lesion
            )
            matching = match(wanted, candidates, scan.grid, RULE)
            lesions += [
                (place, one.sizes.diameter_mm, -np.inf if hit.score is None else hit.score)
                for one, hit in zip(wanted, matching.lesions, strict=True)
            ]
            false += [
                (place, one.score or 0.0)
                for one, said in zip(candidates, matching.candidates, strict=True)
                if said.verdict == "false_positive"
            ]
    of_lesions = np.array(lesions, np.float64).reshape(-1, 3)
    of_false = np.array(false, np.float64).reshape(-1, 2)
    return Seen(
        np.array(hosts, np.str_),
        of_lesions[:, 0].astype(np.intp),
        of_lesions[:, 1],
        of_lesions[:, 2],
        of_false[:, 0].astype(np.intp),
        of_false[:, 1],
    )
