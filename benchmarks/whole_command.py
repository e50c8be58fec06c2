"""The whole command against reading and writing its files alone: time and peak memory.

Run: python benchmarks/whole_command.py [SLICES] [CASES]

Hosts are phantom-like scans of 512 x 512 x SLICES voxels written to a temporary folder. The
baseline is one Python process that reads the same CTs and masks and writes files of the same kind
with the project's own input and output; the command is `scalemai synthesize` with one worker.
Both are whole processes, interpreter start and imports included. Peak memory is the process's
maximum resident set, in units of the float32 volume.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.io.nifti import write_mask, write_volume
from scalemai.volume import Mask, Volume

BASELINE = """
import sys
from pathlib import Path
from scalemai.io.nifti import read_mask, read_volume, write_labels, write_mask, write_volume
import numpy as np
hosts, out = Path(sys.argv[1]), Path(sys.argv[2])
for host in sorted(hosts.iterdir()):
    volume = read_volume(host / "ct.nii.gz")
    masks = [read_mask(p, p.name) for p in sorted((host / "segmentations").iterdir())]
    target = out / host.name
    write_volume(target / "ct.nii.gz", volume)
    labels = np.zeros(volume.grid.shape, np.uint8, order="F")
    write_labels(target / "lesions.nii.gz", labels, volume.grid, volume)
    for mask in masks:
        write_mask(target / "segmentations" / mask.name, mask, volume)
    write_labels(target / "segmentations" / "liver_lesion.nii.gz", labels, volume.grid, volume)
"""


def write_host(folder: Path, slices: int, seed: int) -> None:
    """One scan of 0.75 x 0.75 x 1.5 mm with a body, a liver and kidneys."""
    shape = (512, 512, slices)
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), (1.0, 1.0, 0.6))
    noise *= 12.0 / noise.std()
    x, y, z = np.ogrid[-256:256, -256:256, 0:slices]
    depth = z / slices - 0.5
    body = (x / 225) ** 2 + (y / 160) ** 2 <= 1
    masks = {
        "liver": ((x - 80) / 110) ** 2 + ((y + 10) / 90) ** 2 + (depth / 0.4) ** 2 <= 1,
        "kidney_left": ((x + 90) / 32) ** 2 + ((y + 70) / 30) ** 2 + (depth / 0.25) ** 2 <= 1,
        "kidney_right": ((x - 90) / 32) ** 2 + ((y + 115) / 24) ** 2 + (depth / 0.25) ** 2 <= 1,
    }
    hu = np.where(body, np.float32(-90.0), np.float32(-1000.0)) * np.ones(shape, np.float32)
    for name, mask in masks.items():
        hu[mask] = 110.0 if name == "liver" else 180.0
    hu += noise
    affine = np.diag([0.75, 0.75, 1.5, 1.0])
    grid = Grid(shape, affine)
    volume = Volume(np.asfortranarray(hu.round().astype(np.int16)), grid)
    write_volume(folder / "ct.nii.gz", volume)
    for name, mask in masks.items():
        array = np.asfortranarray(np.broadcast_to(mask, shape))
        write_mask(folder / "segmentations" / f"{name}.nii.gz", Mask(array, grid, name), volume)


def measure(command: list[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak resident bytes of a whole process."""
    import time

    start = time.perf_counter()
    child = os.spawnv(os.P_NOWAIT, command[0], command)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"{command} ended with {status}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024.0


def main() -> None:
    slices = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    cases = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    float32 = 512 * 512 * slices * 4
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for case in range(cases):
            write_host(root / "hosts" / f"case_{case}", slices, case)
        script = root / "baseline.py"
        script.write_text(BASELINE)
        rows = {"reading and writing": [], "scalemai synthesize": []}
        for repeat in range(3):
            rows["reading and writing"].append(
                measure([sys.executable, str(script), str(root / "hosts"), f"{root}/b{repeat}"])
            )
            rows["scalemai synthesize"].append(
                measure(
                    [
                        *(sys.executable, "-m", "scalemai", "synthesize", str(root / "hosts")),
                        *("--out", f"{root}/s{repeat}", "--organ", "liver,kidney"),
                        *("--count", "1-3", "--workers", "1"),
                    ]
                )
            )
        print(f"{cases} cases of 512 x 512 x {slices}, best of 3")
        print("process             | wall s | CPU s | peak / float32 volume")
        best = {}
        for label, runs in rows.items():
            wall, cpu, peak = (min(run[i] for run in runs) for i in range(3))
            best[label] = (wall, cpu)
            print(f"{label:19} | {wall:6.2f} | {cpu:5.2f} | {peak / float32:5.2f}")
        ours, alone = best["scalemai synthesize"], best["reading and writing"]
        print(f"ratio: wall {ours[0] / alone[0]:.2f}, CPU {ours[1] / alone[1]:.2f}")


if __name__ == "__main__":
    main()
