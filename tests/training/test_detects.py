"""A short training on phantoms without lesions finds large lesions of another model.

It fails if the recipe of ``cpu-small`` no longer learns. What the whole recipe reaches is measured
by ``benchmarks/experiments/detects.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")

from scalemai.cases import open_cases  # noqa: E402
from scalemai.cases.phantom import LesionDraw, write_phantom_case  # noqa: E402
from scalemai.evaluation.lesions.components import find_components  # noqa: E402
from scalemai.inference.predict import predict_case  # noqa: E402
from scalemai.inference.settings import Runtime, Settings  # noqa: E402
from scalemai.training.cache import prepare_cases  # noqa: E402
from scalemai.training.config_file import read_config  # noqa: E402
from scalemai.training.material import any_lesion, choose_cases  # noqa: E402
from scalemai.training.train import train  # noqa: E402

STEPS, HOSTS, TESTS = 300, 8, 6


@pytest.mark.slow
def test_a_short_training_on_synthetic_tumors_finds_large_lesions_of_another_model(
    tmp_path: Path,
) -> None:
    for number in range(HOSTS):
        write_phantom_case(tmp_path / "hosts", number, 7, preset="small")
    large = LesionDraw(("liver",), (24.0, 36.0), (2, 3))
    for number in range(TESTS):
        write_phantom_case(tmp_path / "tests", number, 8, lesions=large, preset="small")
    given = {"detector.organ": "liver", "compute.threads": 1, "run.workers": 0}
    short = [f"steps={STEPS}", "validation.every=0", "validation.share=0"]
    config = read_config("cpu-small", short, given=given)
    hosts = prepare_cases(open_cases(tmp_path / "hosts"), config.detector, tmp_path / "cache")
    material = choose_cases(hosts, config, any_lesion("liver"))
    detector = train(config, material, tmp_path / "run")
    lesions = found = false = voxels = wanted = 0
    for case in open_cases(tmp_path / "tests"):
        settings = Settings(threshold=0.5, minimum_mm3=200.0)
        seen = predict_case(detector, case, settings, Runtime(device="cpu", threads=1))
        truth = case.mask("liver_lesion", on=seen.volume.grid)
        called = seen.mask("liver_lesion").array
        voxels += int(called.sum())
        wanted += int(truth.array.sum())
        for lesion in find_components(truth.array, truth.grid):
            if lesion.sizes.diameter_mm > 20.0:
                lesions += 1
                found += bool(called[lesion.region][lesion.mask].any())
        for candidate in find_components(called, truth.grid):
            false += not truth.array[candidate.region][candidate.mask].any()
    assert lesions >= 10
    assert found / lesions >= 0.6
    # So short a training calls noise, too, but not the whole organ.
    assert false / TESTS <= 15.0
    assert voxels <= 3 * wanted
