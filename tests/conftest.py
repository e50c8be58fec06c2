"""Fixtures for every test: where the real CT lie, and small analytic volumes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from scalemai.geometry import Grid
from scalemai.volume import Volume

REPOSITORY = Path(__file__).resolve().parents[1]

# A shell that starts the tests in the background lets them ignore Ctrl-C, and so would every
# process that they start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real CT, masks and odd files; the test skips where it is absent."""
    folder = Path(os.environ.get("SCALEMAI_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "MANIFEST.csv").is_file():
        pytest.skip(f"no real CT at {folder}; set SCALEMAI_SHARED_DATA to the folder that has them")
    return folder


@pytest.fixture
def soft_tissue_volume() -> Volume:
    """A 64 x 56 x 40 block of 60 HU with noise in air, 1 x 1 x 2 mm, LPS stored."""
    rng = np.random.default_rng(7)
    stored = np.full((64, 56, 40), -1000, np.int16)
    inside = rng.normal(60, 12, (48, 40, 32)).round().astype(np.int16)
    stored[8:56, 8:48, 4:36] = inside
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    affine[:3, 3] = (30.0, 25.0, -100.0)
    return Volume(stored, Grid(stored.shape, affine))
