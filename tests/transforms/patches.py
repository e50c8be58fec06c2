"""Patches with a known organ, for every framework."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.geometry import Grid
from scalemai.synthesis.spec import LesionSpec

NAMES = {1: "liver", 2: "liver_lesion", 3: "spleen"}
SPEC = LesionSpec(organ="liver", kind="metastasis", diameter_mm=(8.0, 16.0), exophytic=False)


@dataclass(frozen=True)
class Patch:
    """HU, label values, and the affine to RAS+ mm."""

    hu: NDArray[np.float32]
    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]

    @property
    def grid(self) -> Grid:
        return Grid(self.hu.shape, self.affine)


def liver_patch(seed: int = 0, shape: tuple[int, int, int] = (56, 52, 40)) -> Patch:
    """Liver that the patch's lower border cuts in two, beside spleen and bone, in fat; LPS."""
    affine = np.diag([-1.0, -1.0, 1.5, 1.0])
    affine[:3, 3] = (30.0, 25.0, -40.0)
    rng = np.random.default_rng(seed)
    i, j, k = np.indices(shape)
    liver = ((i / 38.0) ** 2 + ((j - 24) / 22.0) ** 2 + ((k - 20) / 17.0) ** 2) <= 1.0
    spleen = (((i - 49) / 5.0) ** 2 + ((j - 26) / 12.0) ** 2 + ((k - 20) / 9.0) ** 2) <= 1.0
    labels = np.zeros(shape, np.uint8)
    labels[liver], labels[spleen & ~liver] = 1, 3
    hu = np.select([labels == 1, labels == 3], [110.0, 125.0], -100.0)
    hu[:, -4:, :] = 700.0  # a rib, beyond what windows show
    hu += rng.normal(0.0, 10.0, shape)
    return Patch(hu.astype(np.float32), labels, affine)
