"""Synthesis in phantoms: another anatomy for every seed, and known masks of all organs."""

from __future__ import annotations

import numpy as np
import pytest

from scalemai.cases.phantom import generate_phantom, sample_spec
from scalemai.synthesis.painting.lesion import size_tolerance_mm
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.synthesize import synthesize_volume

from .conftest import Host

ORGANS = ("liver", "pancreas", "kidney")
MASKS = ("liver", "pancreas", "kidney_left", "kidney_right", "hepatic_vessel", "pancreatic_duct")


@pytest.fixture(scope="module", params=["portal_venous", "arterial", "non_contrast"])
def phantom(request: pytest.FixtureRequest) -> Host:
    made = generate_phantom(sample_spec(11, preset="small", phase=request.param))
    masks = {name: made.structures[name] for name in MASKS if name in made.structures}
    return made.volume, masks


@pytest.mark.slow
def test_sizes_in_phantoms_are_those_asked_for(phantom: Host) -> None:
    volume, masks = phantom
    hits = []
    for organ in ORGANS:
        for seed in range(18):
            spec = LesionSpec(organ=organ, diameter_mm=(3, 40))
            made = synthesize_volume(volume, masks, [spec], case_id=organ, seed=seed)
            (lesion,) = made.lesions
            miss = abs(lesion.measures.longest_axial_diameter_mm - lesion.recipe.diameter_mm)
            hits.append(miss <= size_tolerance_mm(lesion.recipe.diameter_mm, volume))
            assert hits[-1] or "no more room" in lesion.measures.limited_by
    assert np.mean(hits) >= 0.95


@pytest.mark.slow
def test_no_kind_in_any_phase_has_an_impossible_attenuation(phantom: Host) -> None:
    from scalemai.anatomy import organ as facts_of

    volume, masks = phantom
    for organ in ORGANS:
        for kind in facts_of(organ).kind_names:
            for seed in range(3):
                spec = LesionSpec(organ=organ, kind=kind, diameter_mm=(12, 30))
                made = synthesize_volume(volume, masks, [spec], case_id=kind, seed=seed)
                inside = made.volume.hu()[made.labels == 1]
                darkest = min(hu.mean_hu for hu in facts_of(organ).kind(kind).hu.values())
                assert min(-20.0, darkest - 40.0) < np.median(inside) < 260.0, (organ, kind)
