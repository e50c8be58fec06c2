"""Trainings as TOML: every field is checked, and what is misspelt is named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError
from scalemai.training.config import differences
from scalemai.training.config_file import config_from, presets, read_config

GIVEN = {"detector.organ": "pancreas"}
ANY_ORGAN = ("cpu-small", "gpu-full")  # the others are recipes for one organ


def test_every_preset_is_a_training_and_comes_back_from_its_own_data() -> None:
    assert set(presets()) >= set(ANY_ORGAN)
    for name in ANY_ORGAN:
        config = read_config(name, given=GIVEN)
        assert config.detector.classes == ("pancreatic_lesion",)
        assert config_from(config.to_dict()) == config


def test_settings_change_single_fields() -> None:
    settings = [
        "steps=7",
        "optimiser.learning_rate=1",
        "detector.classes=['pdac', 'cyst']",
        "detector.network.parameters.features=[4,4,8,8,8,4]",
        "compute.accelerator=cpu",
        "sampling.augment = false",
        "loss.class_weights=[1, 2, 3]",
    ]
    config = read_config("cpu-small", settings, given=GIVEN)
    assert config.steps == 7
    assert config.optimiser.learning_rate == 1.0
    assert config.detector.classes == ("pdac", "cyst")
    assert config.detector.network.parameters["features"] == [4, 4, 8, 8, 8, 4]
    assert config.sampling.augment is False
    assert config.loss.class_weights == (1.0, 2.0, 3.0)
    # The preset's other fields stay.
    assert config.batch == read_config("cpu-small", given=GIVEN).batch


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optimizer.learning_rate=1e-3", "unknown setting 'optimizer'; did you mean 'optimiser'"),
        ("optimiser.learningrate=1", "setting of optimiser 'learningrate'; did you mean 'learning"),
        ("detector.preprocessing.window=[0,1]", "setting of detector.preprocessing 'window'; did"),
        ("steps=0", "steps: 0 is impossible; give 1 or more"),
        ("steps=many", "steps: 'many' is of the wrong kind; give a whole number"),
        ("batch=true", "batch: True is of the wrong kind"),
        ("sampling.share_background=2", "sampling.share_background: 2 is impossible; give 0 to 1"),
        ("detector.patch=[32,32]", "detector.patch: .* give a list of 3"),
        ("compute.precision=bf16", "unknown compute.precision 'bf16'; known: .*bf16-mixed"),
        ("sampling.lesions=[2, 1]", "sampling.lesions: 2 to 1 is no range .* give 1 to 8"),
        ("loss.class_weights=[1.0]", "loss.class_weights: 1 weights .* give 2, or none"),
        ("optimiser.learning_rate=nan", "optimiser.learning_rate: nan is impossible"),
        ("optimiser=3", "optimiser is no table"),
        ("seed.a=3", "seed is no table|of the wrong kind"),
        ("steps", "'steps' is no setting"),
    ],
)
def test_a_wrong_setting_is_named_with_the_way_out(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config("cpu-small", [setting], given=GIVEN)


def test_files_are_read_as_presets_are(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("steps = 3\n[detector]\norgan = 'liver'\n[run]\nworkers = 0\n")
    config = read_config(path)
    assert (config.steps, config.run.workers) == (3, 0)
    assert config.detector.classes == ("liver_lesion",)
    path.write_text("steps = \n")
    with pytest.raises(ConfigError, match=r"own.toml: is no TOML"):
        read_config(path)
    with pytest.raises(UnreadableFileError, match="cannot be read"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(UnknownNameError, match="unknown preset 'cpu-smal'; did you mean"):
        read_config("cpu-smal")
    with pytest.raises(ConfigError, match=r"cpu-small: detector.organ is missing"):
        read_config("cpu-small")


def test_the_digest_is_of_what_decides_the_weights() -> None:
    config = read_config("cpu-small", given=GIVEN)
    assert read_config("cpu-small", ["run.workers=7"], given=GIVEN).digest == config.digest
    assert read_config("cpu-small", ["licence=CC0"], given=GIVEN).digest == config.digest
    assert read_config("cpu-small", ["seed=1"], given=GIVEN).digest != config.digest


def test_differences_name_the_fields_and_both_values() -> None:
    ours = {"a": 1, "b": {"c": 2, "d": 3}}
    assert differences(ours, {"a": 1, "b": {"c": 4, "d": 3}}) == ["b.c 4, not 2"]
    assert differences(ours, ours) == []


def test_presets_for_any_organ_name_none() -> None:
    folder = Path(__file__).resolve().parents[2] / "src/scalemai/training/presets"
    for name in ANY_ORGAN:
        text = (folder / f"{name}.toml").read_text(encoding="utf-8")
        assert "organ" not in tomllib.loads(text)["detector"]
