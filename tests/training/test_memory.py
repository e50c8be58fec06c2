"""``scalemai train`` on scans of 512 x 512 x 600 voxels stays in bounded memory, all processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from scalemai.geometry import Grid
from scalemai.io.nifti import write_mask, write_volume
from scalemai.volume import Mask, Volume

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")
pytest.importorskip("lightning_fabric", reason="training runs on Lightning Fabric")

GIB = 1 << 30
BOUND_BYTES = 6 * GIB
SHAPE, SPACING_MM = (512, 512, 600), (0.8, 0.8, 1.0)
CASES = 3


def write_patient(folder: Path, seed: int) -> None:
    """A body with a liver of 1.5 litres, and noise."""
    affine = np.diag([-SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2], 1.0])
    grid = Grid(SHAPE, affine)
    slab = np.random.default_rng(seed).normal(0.0, 10.0, (*SHAPE[:2], 1)).astype(np.int16)
    hu = np.full(SHAPE, -1000, np.int16, order="F")
    hu[60:450, 100:410] = 20 + slab[60:450, 100:410]
    i, j, k = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    liver = ((i - 180) / 85) ** 2 + ((j - 250) / 95) ** 2 + ((k - 380) / 70) ** 2 <= 1.0
    hu[liver] += 90
    write_volume(folder / "ct.nii.gz", Volume(hu, grid))
    write_mask(folder / "segmentations" / "liver.nii.gz", Mask(liver, grid, "liver"))


def shared_out(root: psutil.Process) -> int:
    """Bytes of a process and its children; pages that several hold count once."""
    total = 0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # it has ended
            total += process.memory_full_info().pss
    return total


def watched(process: subprocess.Popen[bytes]) -> Iterator[int]:
    """Memory of a process tree, again and again until it ends."""
    root = psutil.Process(process.pid)
    while process.returncode is None:
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            yield shared_out(root)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts shared pages once (PSS)")
def test_cpu_small_stays_under_six_gibibytes_on_full_scans(tmp_path: Path) -> None:
    for number in range(CASES):
        write_patient(tmp_path / "data" / f"case_{number}", number)
    command = [sys.executable, "-m", "scalemai", "train", tmp_path / "data", "--organ", "liver"]
    command += ["--out", tmp_path / "out", "--set", "steps=40", "--set", "validation.every=20"]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen([*map(str, command)], stdout=said, stderr=said)
        peak = max(watched(process))
    assert process.returncode == 0, (tmp_path / "said").read_text()
    assert peak < BOUND_BYTES, f"{peak / GIB:.2f} GiB"
    assert peak > GIB // 2, "the processes were not seen"
