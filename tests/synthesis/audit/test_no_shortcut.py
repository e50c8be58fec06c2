"""The bar: nothing tells a lesion that was painted into a scan from one that was scanned."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from scalemai.synthesis.audit.classifier import Discrimination, discriminate
from scalemai.synthesis.audit.controls import CONTROLS
from scalemai.synthesis.audit.features import table_of
from scalemai.synthesis.audit.patches import Patch

from .scanned_pairs import scanned_pairs

pytestmark = pytest.mark.slow

ORGANS = ("liver", "pancreas", "kidney", "lung")


@cache
def pairs(organ: str) -> tuple[list[Patch], list[Patch]]:
    return scanned_pairs(organ)


def told_apart(edited: list[Patch], scanned: list[Patch]) -> Discrimination:
    """By everything: the lesion, which both hold, its border and its surroundings."""
    table, names = table_of([*edited, *scanned], "whole")
    labels = np.arange(len(table)) < len(edited)
    groups = [patch.group for patch in (*edited, *scanned)]
    return discriminate(table, names, labels, groups)[0]


@pytest.mark.parametrize("organ", ORGANS)
def test_a_painted_lesion_is_not_told_from_a_scanned_one(organ: str) -> None:
    edited, scanned = pairs(organ)
    assert len(edited) == len(scanned) >= 110
    found = told_apart(edited, scanned)
    assert found.auc <= 0.60, found
    assert found.high <= 0.70, found


@pytest.mark.parametrize("organ", ORGANS)
@pytest.mark.parametrize("control", CONTROLS)
def test_the_same_classifier_tells_lesions_that_were_painted_wrongly(
    organ: str, control: str
) -> None:
    edited, scanned = pairs(organ)
    rng = np.random.default_rng(0)
    wrong = [CONTROLS[control](patch, rng) for patch in edited]
    assert told_apart(wrong, scanned).auc >= 0.8
