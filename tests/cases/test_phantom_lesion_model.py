"""The outlines and diagnoses that the phantom's lesions are drawn from."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalemai.anatomy import PHASES, structure
from scalemai.cases.phantom.lesion_shapes import SHAPES, draw_shape
from scalemai.cases.phantom.lesions import (
    lesion_structure,
    sample_lesion,
)
from scalemai.geometry import Grid
from scalemai.measure import longest_axial_diameter_mm


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), shape=st.sampled_from(sorted(SHAPES)))
def test_a_shape_in_millimetres_has_its_diameter_before_it_meets_voxels(
    seed: int, shape: str
) -> None:
    drawn = draw_shape(shape, 40.0, np.random.default_rng(seed))
    x = np.linspace(-45, 45, 181, dtype=np.float32)
    z = np.linspace(-30, 30, 61, dtype=np.float32)
    inside = drawn.level(np.stack(np.meshgrid(x, x, z, indexing="ij"))) <= 1
    grid = Grid(inside.shape, np.diag([0.5, 0.5, 1.0, 1.0]))
    assert longest_axial_diameter_mm(inside, grid) == pytest.approx(40.0, abs=1.6)
    for axis, extent in enumerate(drawn.extent_mm):
        hit = np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis})))
        reached = np.abs((z if axis == 2 else x)[hit]).max()
        assert reached <= extent + 0.5
    assert drawn.extent_mm[2] <= 0.66 * 40


def test_shapes_differ_from_draw_to_draw() -> None:
    axis = np.linspace(-30, 30, 41, dtype=np.float32)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))
    masks = [
        draw_shape(name, 40.0, np.random.default_rng(seed)).level(points) <= 1
        for name in SHAPES
        for seed in range(4)
    ]
    for a in range(len(masks)):
        for b in range(a):
            dice = 2 * np.count_nonzero(masks[a] & masks[b]) / (masks[a].sum() + masks[b].sum())
            assert dice < 0.97


def test_rough_shapes_have_more_surface_than_ovoids() -> None:
    """Surface over that of the ball of equal volume, counted on a fine lattice."""

    def roughness(name: str, seed: int) -> float:
        axis = np.linspace(-30, 30, 81, dtype=np.float32)
        points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))
        inside = draw_shape(name, 40.0, np.random.default_rng(seed)).level(points) <= 1
        faces = sum(np.count_nonzero(np.diff(inside, axis=a)) for a in range(3))
        return float(faces / np.count_nonzero(inside) ** (2 / 3))

    ovoid, spiculated = (
        np.mean([roughness(name, seed) for seed in range(6)]) for name in ("ovoid", "spiculated")
    )
    assert spiculated > 1.1 * ovoid


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("organ", ["liver", "pancreas", "kidney_right", "colon", "spleen"])
def test_samples_cover_many_kinds_and_any_size(organ: str, phase: str) -> None:
    rng = np.random.default_rng(0)
    drawn = [sample_lesion(organ, d, phase, rng) for d in np.geomspace(2, 150, 120)]
    assert len({lesion.shape for lesion in drawn}) >= 3
    assert len({(lesion.kind, lesion.pattern) for lesion in drawn}) >= 2
    for lesion in drawn:
        assert lesion.kind != "hyper" or lesion.contrast_hu > 0
        assert lesion.kind != "hypo" or lesion.contrast_hu <= 0
        assert lesion.kind != "cystic" or lesion.filling_hu is not None


def mean_contrast(organ: str, diagnosis: str, phase: str) -> float:
    rng = np.random.default_rng(1)
    drawn = [sample_lesion(organ, 30.0, phase, rng) for _ in range(300)]
    return float(np.mean([d.contrast_hu for d in drawn if d.diagnosis == diagnosis]))


def test_lesions_enhance_as_radiologists_expect() -> None:
    hcc = "hepatocellular carcinoma"
    assert mean_contrast("liver", hcc, "arterial") > 20
    assert mean_contrast("liver", hcc, "portal_venous") < -10
    assert -50 <= mean_contrast("pancreas", "ductal adenocarcinoma", "portal_venous") <= -30
    assert mean_contrast("pancreas", "neuroendocrine tumor", "arterial") > 30
    assert mean_contrast("kidney_left", "papillary carcinoma", "portal_venous") < -70
    cysts = [
        d.filling_hu
        for d in (
            sample_lesion("liver", 20.0, "delayed", np.random.default_rng(s)) for s in range(200)
        )
        if d.diagnosis == "simple cyst" and d.filling_hu is not None
    ]
    assert min(cysts) >= 0
    assert max(cysts) <= 20


def test_lesion_masks_have_canonical_names() -> None:
    for organ, expected in (
        ("liver", "liver_lesion"),
        ("pancreas_head", "pancreatic_lesion"),
        ("kidney_right", "kidney_lesion"),
        ("colon", "colon_lesion"),
        ("adrenal_gland_left", "adrenal_lesion"),
        ("vertebrae_L3", "bone_lesion"),
    ):
        assert lesion_structure(organ) == expected
        assert structure(expected).group == "lesion"


def test_the_lesion_model_shares_no_code_with_the_synthesizer() -> None:
    program = (
        "import sys, scalemai.cases.phantom.lesions;"
        "sys.exit(any(name.startswith('scalemai.synthesis') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
