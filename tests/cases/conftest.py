"""Tiny data sets on disk, in real NIfTI."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scalemai.geometry import Grid
from scalemai.io.nifti import write_labels, write_volume
from scalemai.volume import Volume

SHAPE = (10, 9, 8)
GRID = Grid(SHAPE, np.diag([-0.8, -0.8, 2.5, 1.0]))


class Planter:
    """Writes CTs, masks and label maps below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def ct(self, relative: str, hu: int = 40) -> Path:
        """A block of ``hu`` in air."""
        stored = np.full(SHAPE, -1000, np.int16)
        stored[2:8, 2:7] = hu
        path = self.root / relative
        write_volume(path, Volume(stored, GRID))
        return path

    def labels(self, relative: str, *values: int) -> Path:
        """A label map whose slice i = 2, 3, ... holds the values given, and 0 elsewhere."""
        array = np.zeros(SHAPE, np.uint8)
        for offset, value in enumerate(values):
            array[2 + offset, 2:7] = value
        path = self.root / relative
        write_labels(path, array, GRID)
        return path

    def masks(self, folder: str, *names: str) -> None:
        """One mask per name."""
        for name in names:
            self.labels(f"{folder}/{name}.nii.gz", 1)

    def case(self, folder: str, *names: str) -> None:
        """A case folder with masks."""
        self.ct(f"{folder}/ct.nii.gz")
        self.masks(f"{folder}/segmentations", *names)


@pytest.fixture
def plant(tmp_path: Path) -> Planter:
    """Writes files of a data set below ``plant.root``."""
    root = tmp_path / "set"
    root.mkdir()
    return Planter(root)
