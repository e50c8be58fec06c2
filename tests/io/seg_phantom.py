"""Two overlapping masks, and a call that writes masks with the usual arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from scalemai.geometry import Grid
from scalemai.io.dicom import read_series
from scalemai.io.dicom_seg import write_segmentation
from scalemai.volume import Mask

SHAPE = (14, 11, 6)


def grid_of(ct: Path) -> Grid:
    return read_series(ct).grid


def block(*region: slice) -> NDArray[np.bool_]:
    array = np.zeros(SHAPE, bool)
    array[region] = True
    return array


LESION = block(slice(3, 7), slice(2, 6), slice(2, 4))
KIDNEY = block(slice(5, 12), slice(4, 9), slice(1, 5))


def write(path: Path, masks: list[Mask], ct: Path | list[Dataset], **more: Any) -> str:
    arguments = {"algorithm_name": "detector", "algorithm_version": "2.1", **more}
    return write_segmentation(path, masks, source=ct, **arguments)
