"""What the trainer is told by the JSON beside the plans."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.synthesis.populations.population import TumorPopulation
from scalemai.training.nnunet.labels import LabelScheme
from scalemai.training.nnunet.settings import (
    SETTINGS,
    Settings,
    read_settings,
    scheme_of,
    write_settings,
)

SMALL = "pancreas:\n  sites: tail\n  size_mm: {uniform: [5, 12]}\n"


def test_settings_come_back_with_their_population(tmp_path: Path) -> None:
    settings = Settings(population=SMALL, probability=0.3, seed=7, epochs=2, save_every=1)
    write_settings(tmp_path, settings)
    read = read_settings(tmp_path)
    assert read == settings
    population = read.lesions(("pancreas",))
    assert isinstance(population, TumorPopulation)
    assert population == TumorPopulation.from_yaml(SMALL)


def test_without_a_file_every_organ_gets_its_usual_lesions(tmp_path: Path) -> None:
    lesions = read_settings(tmp_path).lesions(("liver", "kidney"))
    assert isinstance(lesions, tuple)
    assert [spec.organ for spec in lesions] == ["liver", "kidney"]


def test_an_unknown_setting_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / SETTINGS).write_text(json.dumps({"probabilty": 0.5}))
    with pytest.raises(ConfigError, match="did you mean 'probability'"):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"probability": 1.5},
        {"epochs": 0},
        {"epochs": "many"},
        {"seed": -1},
        {"learning_rate": 0.0},
        {"population": "pancreas: {size_mm: {uniform: [40, 5]}}"},
    ],
)
def test_an_impossible_setting_is_named_with_its_file(
    wrong: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / SETTINGS).write_text(json.dumps(wrong))
    with pytest.raises(ConfigError, match=SETTINGS):
        read_settings(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_damaged_file_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / SETTINGS).write_text(text, encoding="latin-1")
    with pytest.raises((ConfigError, UnreadableFileError), match=SETTINGS):
        read_settings(tmp_path)


def test_labels_of_a_foreign_data_set_are_not_guessed() -> None:
    scheme = LabelScheme(organs={"pancreas": ("pdac", "cyst")}, regions=True)
    assert scheme_of({"scalemai": scheme.to_json()}) == scheme
    with pytest.raises(ConfigError, match="was not written by scalemai nnunet export"):
        scheme_of({"labels": {"background": 0, "pancreas": 1, "cancer": 2}})
