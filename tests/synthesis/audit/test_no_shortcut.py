"""The bar: nothing tells a lesion that was painted into a scan from one that was scanned."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from scalemai.synthesis.audit.classifier import Discrimination, discriminate
from scalemai.synthesis.audit.controls import CONTROLS
from scalemai.synthesis.audit.features import table_of
from scalemai.synthesis.audit.patches import Patch

from .scanned_pairs import scanned_pairs

pytestmark = pytest.mark.slow

ORGANS = ("liver", "pancreas", "kidney", "lung")


@cache
def pairs(organ: str) -> tuple[list[Patch], list[Patch], NDArray[np.float64]]:
    """Lesions painted into scans, the same lesions there before the scan, and their features."""
    edited, scanned = scanned_pairs(organ)
    return edited, scanned, table_of(scanned, "whole")[0]


def told_apart(edited: list[Patch], organ: str) -> Discrimination:
    """By everything: the lesion, which both hold, its border and its surroundings."""
    _, scanned, known = pairs(organ)
    table, names = table_of(edited, "whole")
    labels = np.arange(len(edited) + len(scanned)) < len(edited)
    groups = [patch.group for patch in (*edited, *scanned)]
    return discriminate(np.vstack([table, known]), names, labels, groups)[0]


@pytest.mark.parametrize("organ", ORGANS)
def test_a_painted_lesion_is_not_told_from_a_scanned_one(organ: str) -> None:
    edited, scanned, _ = pairs(organ)
    assert len(edited) == len(scanned) == 120
    found = told_apart(edited, organ)
    assert found.auc <= 0.60, found
    assert found.high <= 0.70, found


@pytest.mark.parametrize("organ", ORGANS)
@pytest.mark.parametrize("control", CONTROLS)
def test_the_same_classifier_tells_lesions_that_were_painted_wrongly(
    organ: str, control: str
) -> None:
    rng = np.random.default_rng(0)
    wrong = [CONTROLS[control](patch, rng) for patch in pairs(organ)[0]]
    assert told_apart(wrong, organ).auc >= 0.8
