"""That the audit can fail: wrong edits are told from shams, and honest ones are not."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from scalemai.synthesis.audit.classifier import Discrimination, discriminate
from scalemai.synthesis.audit.controls import CONTROLS
from scalemai.synthesis.audit.features import VIEWS, View, features_of, table_of
from scalemai.synthesis.audit.lesions import CONTROL_VIEWS
from scalemai.synthesis.audit.patches import Patch

from .patches_at_hand import patch_at_hand

COUNT = 40


@cache
def shams() -> tuple[Patch, ...]:
    return tuple(patch_at_hand(2 * n) for n in range(COUNT))


@cache
def lesions() -> tuple[Patch, ...]:
    """Smooth changes added to the scan's own noise."""
    return tuple(patch_at_hand(2 * n + 1, contrast_hu=-45.0) for n in range(COUNT))


def compare(edited: tuple[Patch, ...], view: View) -> Discrimination:
    table, names = table_of([*edited, *shams()], view)
    labels = np.arange(2 * COUNT) < COUNT
    groups = [patch.group for patch in (*edited, *shams())]
    return discriminate(table, names, labels, groups)[0]


@pytest.mark.parametrize("view", ["surround", "inside"])
def test_a_smooth_change_of_the_scans_own_voxels_is_not_told_from_a_sham(view: View) -> None:
    found = compare(lesions(), view)
    assert found.low <= 0.5 <= found.high
    assert found.auc <= 0.6


def test_the_tumor_itself_is_seen_by_the_whole_view_alone() -> None:
    assert compare(lesions(), "whole").auc > 0.95


@pytest.mark.parametrize("name", CONTROLS)
def test_a_wrong_edit_is_noticed(name: str) -> None:
    rng = np.random.default_rng(0)
    edited = tuple(CONTROLS[name](patch, rng) for patch in lesions())
    found = compare(edited, CONTROL_VIEWS[name])
    assert found.auc >= 0.8
    assert found.low > 0.7


def test_a_pasted_patch_is_noticed_by_its_seam() -> None:
    def pasted(patch: Patch, seed: int) -> Patch:
        other = patch_at_hand(1000 + seed)
        return patch.with_hu(np.where(patch.zone, other.hu + 6.0, patch.hu))

    edited = tuple(pasted(patch, n) for n, patch in enumerate(lesions()))
    found = compare(edited, "surround")
    assert found.auc >= 0.8
    assert found.telling[0][0].startswith("seam")


def test_noise_that_interpolation_took_is_noticed_around_the_edit() -> None:
    def moved(patch: Patch) -> Patch:  # by half a voxel, as a displacement without care does
        half = 0.5 * (patch.hu + np.roll(patch.hu, 1, axis=0))
        near = ~patch.zone & (patch.beyond_mm < 6.0)
        return patch.with_hu(np.rint(np.where(near, half, patch.hu)))

    found = compare(tuple(map(moved, lesions())), "surround")
    assert found.auc >= 0.8


@pytest.mark.parametrize("view", VIEWS)
def test_every_patch_has_the_same_features_in_the_same_order(view: View) -> None:
    small = patch_at_hand(0, radius_mm=2.0)
    assert list(features_of(small, view)) == list(features_of(patch_at_hand(1), view))
