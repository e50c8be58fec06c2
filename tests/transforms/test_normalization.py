"""Normalisations of the frameworks, undone and done again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.transforms.grids import affine_of_axes
from scalemai.transforms.nnunet_plans import read_nnunet_plans
from scalemai.transforms.normalization import Normalization

HU = np.random.default_rng(3).uniform(-1000, 1500, (7, 8, 9)).astype(np.float32)


@pytest.mark.parametrize("out", [(0.0, 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize("clip", [True, False])
def test_a_window_gives_the_numbers_of_monai(out: tuple[float, float], clip: bool) -> None:
    monai = pytest.importorskip("monai.transforms")
    scale = monai.ScaleIntensityRange(-175, 250, *out, clip=clip)
    ours = Normalization.window(-175, 250, *out, clip=clip).from_hu(HU)
    theirs = np.asarray(scale(HU.copy()))
    np.testing.assert_allclose(ours, theirs, atol=5e-7 * max(1.0, np.abs(theirs).max()))
    if clip:
        assert ours.min() == theirs.min() == out[0]
        assert ours.max() == theirs.max() == out[1]


def test_zscores_give_the_numbers_of_nnunet() -> None:
    expected = np.clip(HU, np.float32(-87.0), np.float32(199.0))
    expected -= np.float32(77.99)
    expected /= np.float32(75.40)
    ours = Normalization.zscore(77.99, 75.40, -87.0, 199.0).from_hu(HU)
    np.testing.assert_array_equal(ours, expected)


@given(
    low=st.floats(-1000, 0),
    width=st.floats(50, 3000),
    hu=st.floats(-1000, 3000),
    out=st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)]),
)
def test_hu_inside_the_window_come_back(
    low: float, width: float, hu: float, out: tuple[float, float]
) -> None:
    window = Normalization.window(low, low + width, *out)
    values = np.full((2, 2, 2), hu, np.float32)
    back = window.to_hu(window.from_hu(values))
    np.testing.assert_allclose(back, np.clip(hu, low, low + width), atol=1e-3)


@pytest.mark.parametrize("wrong", [(250, -175), (40, 40)])
def test_an_empty_window_is_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="lower limit first"):
        Normalization.window(*wrong)
    with pytest.raises(ConfigError, match="cannot be undone"):
        Normalization.window(-175, 250, 1.0, 1.0)


def plans(**changes: Any) -> dict[str, Any]:
    """A plans file as nnU-Net v2 writes it, as far as it is read here."""
    facts = {"mean": 80.0, "std": 75.0, "percentile_00_5": -90.0, "percentile_99_5": 200.0}
    full = {"spacing": [2.5, 0.8, 0.7], "normalization_schemes": ["CTNormalization"]}
    configurations = {
        "2d": full | {"spacing": [0.8, 0.7]},
        "3d_fullres": full,
        "3d_cascade_fullres": {"inherits_from": "3d_fullres"},
        "a": {"inherits_from": "b"},
        "b": {"inherits_from": "a"},
    }
    return {
        "configurations": configurations,
        "foreground_intensity_properties_per_channel": {"0": facts},
        "transpose_forward": [0, 1, 2],
    } | changes


def written(folder: Path, content: Any) -> Path:
    path = folder / "nnUNetPlans.json"
    path.write_text(json.dumps(content))
    return path


def test_plans_say_spacing_axes_and_normalisation(tmp_path: Path) -> None:
    path = written(tmp_path, plans(transpose_forward=[2, 0, 1]))
    facts = read_nnunet_plans(path, "3d_cascade_fullres")
    assert facts.spacing_mm == (2.5, 0.8, 0.7)
    assert facts.axes == "LSP"
    assert facts.normalization == Normalization.zscore(80.0, 75.0, -90.0, 200.0)


@pytest.mark.parametrize(
    ("configuration", "message"),
    [("2d", "not 3-D"), ("3d", "unknown configuration"), ("a", "goes round")],
)
def test_plans_that_do_not_serve_are_refused(
    tmp_path: Path, configuration: str, message: str
) -> None:
    path = written(tmp_path, plans())
    with pytest.raises(ConfigError, match=message) as caught:
        read_nnunet_plans(path, configuration)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, UnknownNameError) == (configuration == "3d")


def test_plans_without_a_way_back_to_hu_are_refused(tmp_path: Path) -> None:
    content = plans()
    content["configurations"]["3d_fullres"]["normalization_schemes"] = ["ZScoreNormalization"]
    with pytest.raises(ConfigError, match="no way back to HU"):
        read_nnunet_plans(written(tmp_path, content))


def test_what_is_no_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_nnunet_plans(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="no plans of nnU-Net v2"):
        read_nnunet_plans(written(tmp_path, {"labels": {}}))
    with pytest.raises(ConfigError, match="no plans of nnU-Net v2"):
        read_nnunet_plans(written(tmp_path, [1]))


def test_axes_become_an_affine() -> None:
    affine = affine_of_axes((2.5, 0.8, 0.7), "SPL")
    slices, rows, columns = affine[:3, 0], affine[:3, 1], affine[:3, 2]
    np.testing.assert_array_equal(slices, (0, 0, 2.5))
    np.testing.assert_array_equal(rows, (0, -0.8, 0))
    np.testing.assert_array_equal(columns, (-0.7, 0, 0))


@pytest.mark.parametrize(
    ("spacing", "axes"),
    [((1, 1, 1), "RLS"), ((1, 1, 1), "RA"), ((1, 0, 1), "RAS"), ((1, 1), "RAS")],
)
def test_impossible_axes_are_refused(spacing: tuple[float, ...], axes: str) -> None:
    with pytest.raises(ConfigError):
        affine_of_axes(spacing, axes)
