"""Recipes that tell three kinds of lesions apart: what they show, and what findings then say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")
pytest.importorskip("lightning_fabric", reason="training runs on Lightning Fabric")

from cli.hosts import scalemai
from scalemai.anatomy import organ
from scalemai.errors import UnknownNameError
from scalemai.training.cache import prepare_cases
from scalemai.training.cases import TrainingCase
from scalemai.training.config_file import config_from, read_config
from scalemai.training.material import Material, any_lesion
from scalemai.training.sampling import BINS

from .hosts import ball, kidneys, pancreas, write_patient

RECIPES = {
    "pancreas-pdac-pnet-cyst": ("pdac", "pnet", "cyst"),
    "liver-hcc-metastasis-cyst": ("hcc", "metastasis", "cyst"),
    "kidney-clear-cell-papillary-cyst": ("clear_cell", "papillary", "cyst"),
}
ORGANS = {name: name.partition("-")[0] for name in RECIPES}
QUICK = (
    "steps=20",
    "batch=2",
    "validation.every=0",
    "validation.share=0",
    "compute.threads=1",
    "run.workers=0",
    "run.tensorboard=false",
)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_its_organ_and_three_of_its_kinds(name: str) -> None:
    config = read_config(name)
    assert (config.detector.organ, config.detector.classes) == (ORGANS[name], RECIPES[name])
    assert set(config.detector.classes) <= set(organ(ORGANS[name]).kind_names)
    given = {"detector.organ": ORGANS[name], "detector.classes": list(RECIPES[name])}
    assert config == read_config("cpu-small", given=given)
    assert config_from(config.to_dict()) == config


def test_a_file_of_ones_own_may_stand_on_a_preset_or_a_recipe(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'base = "pancreas-pdac-pnet-cyst"\nsteps = 7\n[sampling]\nshare_background = 0.5\n'
    )
    config, recipe = read_config(own), read_config("pancreas-pdac-pnet-cyst")
    sampling = replace(recipe.sampling, share_background=0.5)
    assert config == replace(recipe, steps=7, sampling=sampling)
    own.write_text('base = "cpu-smal"\n')
    with pytest.raises(UnknownNameError, match="unknown base 'cpu-smal'; did you mean 'cpu-small'"):
        read_config(own)


@pytest.mark.parametrize("name", RECIPES)
def test_kinds_sizes_and_parts_are_drawn_equally_often(name: str, tmp_path: Path) -> None:
    from scalemai.cases import open_cases

    config = read_config(name, QUICK)
    masks = {
        "pancreas": pancreas(),
        "kidney": kidneys(),
        "liver": {"liver": ball((10.0, 0.0, 0.0), 80.0)},
    }[ORGANS[name]]
    write_patient(tmp_path / "data" / "normal", masks)
    cache = prepare_cases(open_cases(tmp_path / "data"), config.detector, tmp_path / "cache")
    patches = Material(cache, None, (), any_lesion(ORGANS[name])).patches(config)
    assert patches.wanted is not None
    drawn = [patches.wanted.draw(_rng(number), str(number), 0) for number in range(900)]
    kinds = Counter(spec.kind for spec in drawn)
    sizes = Counter(BINS.index_of(sum(spec.diameter_mm) / 2) for spec in drawn)
    parts = Counter(_part(patches.places.draw(_rng(number))) for number in range(900))
    for counts in (kinds, sizes, parts):
        expected = 900 / len(counts)
        # Five standard deviations of a binomial: a fair draw fails once in a million.
        spread = 5.0 * (expected * (1.0 - 1.0 / len(counts))) ** 0.5
        assert all(abs(count - expected) <= spread for count in counts.values()), counts
    assert set(kinds) == set(RECIPES[name])
    assert set(sizes) == {0, 1, 2}
    assert (
        set(parts)
        == {
            "pancreas": {"pancreas_head", "pancreas_body", "pancreas_tail"},
            "kidney": {"kidney_left", "kidney_right"},
            "liver": {"liver"},
        }[ORGANS[name]]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_one_command_trains_on_phantoms_and_findings_have_kind_and_site(
    name: str, tmp_path: Path
) -> None:
    made = scalemai(
        "phantom", "--out", tmp_path / "hosts", "--n", 2, "--small", "--seed", 3, "--workers", 1
    )
    assert made.code == 0, made.err
    settings = [word for text in QUICK for word in ("--set", text)]
    trained = scalemai(
        "train", tmp_path / "hosts", "--out", tmp_path / "run", "--organ", ORGANS[name],
        "--preset", name, *settings, "--workers", 1,
    )  # fmt: skip
    assert trained.code == 0, trained.err
    # So few steps find nothing for sure, so that whatever is a little suspicious is asked for.
    found = scalemai(
        "predict", tmp_path / "run" / "detector", tmp_path / "hosts", "--out", tmp_path / "said",
        "--threshold", 0.3, "--threads", 1,
    )  # fmt: skip
    assert found.code == 0, found.err
    table = pl.concat(
        [pl.read_csv(path) for path in sorted((tmp_path / "said").rglob("findings.csv"))],
        how="diagonal_relaxed",
    )
    assert table.height > 0
    assert set(table["kind"]) <= set(RECIPES[name])
    assert table["kind"].null_count() == 0
    assert table["kind_share"].is_between(1 / 3, 1.0).all()
    sites = set(table["site"].drop_nulls())
    wanted = {
        "pancreas": {"head", "body", "tail"},
        "kidney": {"left", "right"},
        "liver": set[str](),
    }
    assert sites <= wanted[ORGANS[name]]
    assert bool(sites) == bool(wanted[ORGANS[name]])


def _rng(number: int) -> np.random.Generator:
    return np.random.default_rng(number)


def _part(drawn: tuple[TrainingCase, int]) -> str:
    case, number = drawn
    return case.parts[number].name
