"""What a prediction costs: organ region against whole scan.

Run: python benchmarks/inference.py [--threads N]

One phantom-like scan is looked at twice, in the organ's region and as a whole, with a network whose
answer is known (dark voxels inside the organ's mask); windows, time and findings are compared. CPU
seconds are those of this process, robust to neighbours. For ways to run the network see compute.py.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from scalemai.case import Case
from scalemai.detector.files import Detector
from scalemai.detector.network import build_network
from scalemai.detector.spec import DetectorSpec, Preprocessing
from scalemai.geometry import Grid
from scalemai.inference.predict import Prediction, predict_case
from scalemai.inference.settings import Runtime, Settings
from scalemai.io.nifti import write_mask, write_volume
from scalemai.masks import MaskSource
from scalemai.volume import Mask, Volume

SHAPE, SPACING_MM = (320, 320, 160), (1.2, 1.2, 2.5)
LESIONS = (((-60.0, 10.0, 20.0), 12.0), ((-40.0, -20.0, -25.0), 7.0), ((-75.0, 5.0, 0.0), 5.0))


@dataclass(frozen=True)
class Cost:
    """Seconds of the clock and of the CPU."""

    wall_s: float
    cpu_s: float


class Dark(nn.Module):
    """The CPU preset's network for its cost, and a threshold inside the organ for its answer."""

    def __init__(self, spec: DetectorSpec) -> None:
        super().__init__()
        self.network = build_network(spec)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Logits; the network's own are multiplied by 0, but computed."""
        lesion = 100.0 * (0.15 - seen[:, :1]) + 1000.0 * (seen[:, 1:] - 1.0)
        return torch.cat([torch.zeros_like(lesion), lesion], 1) + 0.0 * self.network(seen)


def scan(folder: Path) -> Case:
    """A body with a liver and three dark lesions in it."""
    affine = np.diag([*SPACING_MM, 1.0])
    affine[:3, 3] = -0.5 * (np.array(SHAPE) - 1) * SPACING_MM
    grid = Grid(SHAPE, affine)
    axes = [affine[a, 3] + np.arange(n) * SPACING_MM[a] for a, n in enumerate(SHAPE)]

    def within(centre: tuple[float, ...], semi: tuple[float, ...]) -> np.ndarray:
        square = sum(
            (((axis - c) / s) ** 2).reshape([-1 if d == a else 1 for d in range(3)])
            for a, (axis, c, s) in enumerate(zip(axes, centre, semi, strict=True))
        )
        return np.asarray(square <= 1.0)

    liver = within((-55.0, 0.0, 0.0), (55.0, 60.0, 55.0))
    hu = np.where(within((0.0, 0.0, 0.0), (170.0, 130.0, 400.0)), 120.0, -1000.0)
    hu[liver] = 110.0
    for centre, radius in LESIONS:
        hu[within(centre, (radius,) * 3)] = 20.0
    hu += np.random.default_rng(0).normal(0.0, 8.0, SHAPE)
    write_volume(folder / "ct.nii.gz", Volume(hu.round().astype(np.int16), grid))
    write_mask(folder / "liver.nii.gz", Mask(liver, grid, "liver"))
    return Case("c", folder / "ct.nii.gz", {"liver": MaskSource(folder / "liver.nii.gz")})


def region_against_whole(spec: DetectorSpec, runtime: Runtime) -> None:
    """Windows, time and findings of both."""
    detector = Detector(spec, Dark(spec).eval())
    found: dict[str, Prediction] = {}
    costs: dict[str, Cost] = {}
    with TemporaryDirectory() as folder:
        case = scan(Path(folder))
        for name, settings in (
            ("organ region", Settings(minimum_mm3=50.0)),
            ("whole scan", Settings(minimum_mm3=50.0, whole_scan=True)),
        ):
            wall, cpu = time.perf_counter(), time.process_time()
            found[name] = predict_case(detector, case, settings, runtime)
            costs[name] = Cost(time.perf_counter() - wall, time.process_time() - cpu)
    print(f"{'':16}{'windows':>9}{'CPU s':>9}{'wall s':>9}{'findings':>10}")
    for name, one in found.items():
        cost, windows = costs[name], one.provenance["windows"]
        print(f"{name:16}{windows:9d}{cost.cpu_s:9.1f}{cost.wall_s:9.1f}{len(one.findings):10d}")
    region, whole = found["organ region"], found["whole scan"]
    ratio = whole.provenance["windows"] / region.provenance["windows"]
    share = costs["whole scan"].cpu_s / costs["organ region"].cpu_s
    same = len(region.findings) == len(whole.findings) and all(
        np.abs(np.subtract(a.centre_mm, b.centre_mm)).max() < 1.0
        for a, b in zip(region.findings, whole.findings, strict=True)
    )
    print(f"{ratio:.1f} x fewer windows, {share:.1f} x less CPU; same findings: {same}\n")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    spec = DetectorSpec(
        organ="liver",
        classes=("liver_lesion",),
        preprocessing=Preprocessing(spacing_mm=(2.0, 2.0, 2.5)),
        patch=(48, 48, 32),
    )
    print(f"torch {torch.__version__}, {chosen.threads} threads, {spec.network.name} of the preset")
    region_against_whole(spec, Runtime(device="cpu", threads=chosen.threads))


if __name__ == "__main__":
    main()
