"""Whole held-out scans: lesions are counted by size, and what is no lesion is counted too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="detectors need torch")
pytest.importorskip("monai", reason="windows are weighted by MONAI")

from scalemai.detector.files import Detector  # noqa: E402
from scalemai.detector.preprocessing import Prepared, whole  # noqa: E402
from scalemai.measure import bounding_box  # noqa: E402
from scalemai.training.cache import prepare_cases  # noqa: E402
from scalemai.training.material import any_lesion  # noqa: E402
from scalemai.training.patches import Patches  # noqa: E402
from scalemai.training.scans import look_at_scans, scans_with_lesions  # noqa: E402

from .hosts import SPEC, ball, grid, write_set  # noqa: E402


class Darker(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """Calls everything a lesion that is darker than the middle of the window."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        darker = seen[:, :1] < 0.0
        return torch.cat([torch.where(darker, -9.0, 9.0), torch.where(darker, 9.0, -9.0)], dim=1)


def test_lesions_are_counted_by_size_and_others_as_false() -> None:
    lesions = [ball((-40.0, 0.0, 0.0), 8.0), ball((-10.0, 0.0, 0.0), 15.0)]
    missed, unknown = ball((25.0, 0.0, 0.0), 26.0), ball((50.0, 0.0, -20.0), 9.0)
    wrong = [ball((25.0, 0.0, 30.0), 8.0), ball((-40.0, 20.0, 30.0), 8.0)]
    hu = np.full(grid().shape, 120.0, np.float32)
    labels = np.zeros(hu.shape, np.uint8)
    for mask in (*lesions, *wrong, unknown):
        hu[mask] = -20.0
    for mask in (*lesions, missed):
        labels[mask] = 1
    labels[unknown] = 255
    scan = Prepared(hu, np.ones(hu.shape, bool), labels, grid(), grid(), whole(grid()))
    score = look_at_scans(Detector(SPEC, Darker()), iter([scan, scan]))
    assert list(score.lesions.values()) == [2, 2, 2]
    assert list(score.found.values()) == [2, 2, 0]
    assert score.false == 2.0
    assert score.as_text().endswith("2.00 false candidates per scan")


def test_hosts_get_a_lesion_of_each_size_the_same_ones_every_time(tmp_path: Path) -> None:
    cache = prepare_cases(write_set(tmp_path / "data", normal=2), SPEC, tmp_path / "cache")
    patches = Patches(cache, SPEC, real=(), synthetic=any_lesion("pancreas"), seed=3, length=1)
    cases = list(cache.cases.values())
    one, again = (list(scans_with_lesions(patches, cases)) for _ in range(2))
    for case, scan, same in zip(cases, one, again, strict=True):
        assert scan.labels is not None
        assert same.labels is not None
        assert np.array_equal(scan.hu, same.hu)
        assert np.array_equal(scan.labels, same.labels)
        changed = scan.hu != case.prepared.hu
        assert bounding_box(changed) is not None
        assert changed[scan.labels > 0].mean() > 0.9
        assert scan.organ[scan.labels > 0].all()
