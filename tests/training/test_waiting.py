"""A run says how long its steps wait for patches, and warns of those that wait too long."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")
pytest.importorskip("lightning_fabric", reason="training runs on Lightning Fabric")

from scalemai.training.fit import fit
from scalemai.training.log import LOG_NAME, STARVING, advice_on_waiting, read_log

from .spheres import CONFIG, Spheres, config

WITHOUT = config(validation=replace(CONFIG.validation, every=0))


@dataclass(frozen=True)
class Laborious:
    """Patches that take 30 ms of computing each."""

    spheres: Spheres = field(default_factory=Spheres)

    def __getitem__(self, number: int) -> Mapping[str, Any]:
        matrix = np.random.default_rng(number).normal(size=(64, 64))
        end = time.process_time() + 0.03
        while time.process_time() < end:
            matrix = np.linalg.inv(matrix)
        return self.spheres[number]


class Ready:
    """Patches that were made before."""

    def __init__(self) -> None:
        self._made = [Spheres()[number] for number in range(8)]

    def __getitem__(self, number: int) -> Mapping[str, Any]:
        return self._made[number % 8]


def shares(out: Path) -> list[float]:
    return [line["loader_share"] for line in read_log(out / LOG_NAME)]


def test_a_run_that_waits_for_its_patches_says_so_once_with_the_way_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fitted = fit(WITHOUT, Laborious(), tmp_path)
    (warning,) = [text for text in caplog.messages if "waiting for patches" in text]
    assert warning.startswith(f"{tmp_path}: ")
    assert warning.endswith(
        "% of the time is spent waiting for patches; give run.workers=1 or more"
    )
    assert np.mean(shares(tmp_path)) > 0.5
    assert fitted.last.waited_s / fitted.last.seconds > 0.5


def test_a_run_whose_patches_are_there_is_not_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fitted = fit(WITHOUT, Ready(), tmp_path)
    assert not [text for text in caplog.messages if "waiting for patches" in text]
    assert fitted.last.waited_s / fitted.last.seconds < STARVING


def test_more_workers_are_advised_only_while_there_are_cores_for_them() -> None:
    assert advice_on_waiting(STARVING, CONFIG) is None
    served = config(run=replace(CONFIG.run, workers=4096))
    assert "every core makes patches" in str(advice_on_waiting(0.9, served))
