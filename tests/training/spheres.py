"""Patches of bright spheres in noise, which a small network learns in a few steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalemai.detector.spec import DetectorSpec, NetworkSpec, Preprocessing
from scalemai.errors import ScaleMAIError
from scalemai.training.config import (
    ComputeConfig,
    OptimiserConfig,
    RunConfig,
    TrainingConfig,
    ValidationConfig,
)

SIZE = 16


@dataclass(frozen=True)
class Spheres:
    """A patch source; one number of it may be damaged, fail, or take the process with it."""

    seed: int = 0
    damaged: int | None = None
    failing: int | None = None

    def __getitem__(self, number: int) -> Mapping[str, Any]:
        if number == self.failing:
            raise ScaleMAIError("cannot be read", where=f"case_{number}", fix="look at it")
        rng = np.random.default_rng([self.seed, number])
        grid = np.indices((SIZE,) * 3)
        centre = rng.integers(4, SIZE - 4, 3)
        inside = ((grid - centre[:, None, None, None]) ** 2).sum(0) <= rng.uniform(2.0, 4.0) ** 2
        image = rng.normal(0.0, 0.3, (1, SIZE, SIZE, SIZE)).astype(np.float32) + inside
        label = inside.astype(np.uint8)
        label[0] = 255
        if number == self.damaged:
            image[0, 0, 0, 0] = np.nan
        return {"image": image.astype(np.float32), "label": label, "key": f"case_{number}"}


CONFIG = TrainingConfig(
    detector=DetectorSpec(
        "liver",
        ("liver_lesion",),
        Preprocessing(organ_channel=False),
        NetworkSpec("unet", {"channels": [4, 8], "strides": [2], "dropout": 0.1}),
        patch=(SIZE, SIZE, SIZE),
    ),
    steps=24,
    batch=2,
    optimiser=OptimiserConfig(learning_rate=1e-2, warm_up=4),
    validation=ValidationConfig(every=8, patches=4),
    compute=ComputeConfig(accelerator="cpu", threads=1),
    run=RunConfig(workers=0, checkpoint_every=5, tensorboard=False),
)


def config(**changes: Any) -> TrainingConfig:
    """The config with other fields."""
    return replace(CONFIG, **changes)
