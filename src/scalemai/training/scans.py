"""Lesions of a fixed seed in whole held-out regions: how many are found, and what else is.

Each held-out host gets one lesion of each bin of sizes. Hosts, scanner and synthesis are those of
the training, and organ masks are right, so this is an upper end of what may be hoped for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.detector.files import Detector
from scalemai.detector.preprocessing import Prepared
from scalemai.evaluation.lesions.components import find_components
from scalemai.evaluation.lesions.matching import match
from scalemai.evaluation.lesions.rules import parse_rule
from scalemai.inference.settings import Runtime, Settings
from scalemai.inference.windows import predict_prepared
from scalemai.synthesis.spec import random_stream
from scalemai.training.cases import TrainingCase
from scalemai.training.classes import IGNORE, class_value
from scalemai.training.parts import LESION_HERE, LESION_NEW
from scalemai.training.patches import Patches
from scalemai.training.sampling import BINS
from scalemai.transforms.patch import PatchSynthesizer

__all__ = ["ScanScore", "look_at_scans", "scans_with_lesions"]

_DRAWS = 12  # of lesions, to have one of each bin
_RULE = parse_rule("overlap")


@dataclass(frozen=True)
class ScanScore:
    """What a detector finds in some scans at one threshold.

    Parameters
    ----------
    scans
        Number of scans.
    threshold
        Probability of a lesion from which a voxel is part of a candidate.
    lesions, found
        By bin of the longest axial diameter in mm: lesions, and how many a candidate touches.
    false
        Candidates that touch none, per scan.
    """

    scans: int
    threshold: float
    lesions: dict[str, int]
    found: dict[str, int]
    false: float

    def as_text(self) -> str:
        """In words: ``"<10 mm 1 of 4; 10-20 mm 3 of 4; ... 0.75 false candidates per scan"``."""
        sizes = "; ".join(
            f"{name} mm {self.found[name]} of {n}" for name, n in self.lesions.items()
        )
        return f"{sizes}; {self.false:.2f} false candidates per scan"


def scans_with_lesions(patches: Patches, cases: list[TrainingCase]) -> Iterator[Prepared]:
    """Hosts, one at a time in memory, with new lesions and those of their own.

    Parameters
    ----------
    patches
        Those of the held-out cases: what is grown in them, and their seed.
    cases
        The hosts.
    """
    if patches.wanted is None:
        yield from (case.prepared for case in cases)
        return
    for case in cases:
        i, j, k = (slice(0, n) for n in case.grid.shape)
        arrays = case.read((i, j, k))
        tissue, labels, hu = arrays.tissue.copy(), arrays.labels.copy(), arrays.hu
        rng = random_stream(patches.seed, case.id, 0, "validation scan")
        shown: set[int] = set()
        for draw in range(_DRAWS):
            spec = patches.wanted.draw(rng, f"{case.id}/{draw}", patches.seed)
            size = BINS.index_of(float(np.mean(spec.diameter_mm)))
            if size in shown:
                continue
            tissue[labels > 0] = LESION_HERE
            synthesizer = PatchSynthesizer(
                specs=spec,
                labels=case.class_map,
                lesion_value=LESION_NEW,
                least_organ_ml=0.0,
                phase=case.phase,
            )
            key = f"{case.id}/scan/{draw}"
            edit = synthesizer.edit(hu, tissue, case.grid.affine, seed=patches.seed, key=key)
            if edit.outcome != "painted":
                continue
            shown.add(size)
            hu, tissue = edit.applied_to(hu, tissue)
            for one in edit.lesions:
                mask = one.mask & (tissue[one.region] == LESION_NEW)
                labels[one.region][mask] = class_value(patches.spec, one.recipe.kind)
        organ = case.part_of[tissue] > 0
        yield Prepared(hu.astype(np.float32), organ, labels, case.grid, case.source, case.region)


def look_at_scans(
    detector: Detector, scans: Iterator[Prepared], *, threshold: float = 0.5, threads: int = 1
) -> ScanScore:
    """Find lesions in scans as inference does.

    Lesions whose class nobody knows count neither way.
    """
    counts = dict.fromkeys(BINS.labels, 0)
    found, false, number = dict(counts), 0, 0
    settings = Settings(threshold=threshold)
    for scan in scans:
        labels = np.zeros(scan.grid.shape, np.uint8) if scan.labels is None else scan.labels
        probability = predict_prepared(detector, scan, settings, Runtime(threads=threads))
        unknown = labels == IGNORE
        candidate: NDArray[np.bool_] = (1.0 - probability[0] >= threshold) & ~unknown
        wanted = find_components((labels > 0) & ~unknown, scan.grid)
        matching = match(wanted, find_components(candidate, scan.grid), scan.grid, _RULE)
        for lesion, outcome in zip(wanted, matching.lesions, strict=True):
            label = BINS.label_of(lesion.sizes.diameter_mm)
            counts[label] += 1
            found[label] += bool(outcome.detected)
        false += sum(one.verdict == "false_positive" for one in matching.candidates)
        number += 1
    return ScanScore(number, threshold, counts, found, false / max(number, 1))
