"""Segmentation metrics of one structure against surface-distance: processor time and memory.

Run: python benchmarks/segmentation.py [REPEATS]

Masks of 256 x 256 x 200 voxels, 0.8 x 0.8 x 2.5 mm: an organ of 1.4 million voxels and a tumor of
about 2000, each predicted a few millimetres off. surface-distance computes DSC, NSD at 2 mm and
HD95; ScaleMAI computes these and everything else that `compare_masks` returns (IoU, voxel NSD,
HD, ASSD, volumes). Both get the same masks and their numbers are compared. Each side runs alone
in processes of its own: the first call warms up on a small mask, then processor time is taken of
one call and, with the kernel's high-water mark reset (Linux), how far the resident set grew in it.
Least of the repeats. surface-distance 0.1 reaches its end on NumPy 2 because no mask is empty.
"""

from __future__ import annotations

import json
import subprocess
import sys

SHAPE = (256, 256, 200)
SPACING_MM = (0.8, 0.8, 2.5)
TOLERANCE_MM = 2.0
ORGAN = (((103, 103, 250), (86, 71, 80)), ((130, 110, 262), (60, 60, 88)))
TUMOR = (((120, 90, 245), (9, 9, 9)),)

SIDE = """
import json, sys, time
from pathlib import Path
import numpy as np
from segmentation import SHAPE, SPACING_MM, TOLERANCE_MM, draw

side, structure = sys.argv[1:]
if side == "ScaleMAI":
    from scalemai.evaluation.segmentation import compare_masks
    from scalemai.geometry import Grid

    def measure(prediction, reference):
        grid = Grid(reference.shape, np.diag([*SPACING_MM, 1.0]))
        result = compare_masks(prediction, reference, grid, tolerances_mm=(TOLERANCE_MM,))
        return result.dsc, result.nsd_surfel[TOLERANCE_MM], result.hd95_mm
else:
    import warnings
    warnings.simplefilter("ignore")
    import surface_distance as peer

    def measure(prediction, reference):
        distances = peer.compute_surface_distances(reference, prediction, SPACING_MM)
        return (
            peer.compute_dice_coefficient(reference, prediction),
            peer.compute_surface_dice_at_tolerance(distances, TOLERANCE_MM),
            peer.compute_robust_hausdorff(distances, 95),
        )

def memory_kib(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))

reference, prediction = draw(structure, moved=False), draw(structure, moved=True)
block = np.zeros((12, 12, 12), bool)
block[3:8, 3:8, 3:8] = True
measure(np.roll(block, 1, 0), block)
Path("/proc/self/clear_refs").write_text("5")
before = memory_kib("VmRSS:")
start = time.process_time()
values = measure(prediction, reference)
seconds = time.process_time() - start
grown = (memory_kib("VmHWM:") - before) / 1024
print(json.dumps({"seconds": seconds, "mib": grown, "values": [float(v) for v in values],
                  "voxels": int(reference.sum())}))
"""


def draw(structure: str, *, moved: bool):
    """A union of ellipsoids given by centre and half-axes in mm, drawn image by image."""
    import numpy as np

    x, y, z = (np.arange(n) * step for n, step in zip(SHAPE, SPACING_MM, strict=True))
    bodies = ORGAN if structure == "organ" else TUMOR
    shift, growth = ((2.5, -2.0, 4.0), 1.02) if moved and structure == "organ" else ((0, 0, 0), 1)
    if moved and structure == "tumor":
        shift, growth = (1.2, -0.8, 1.5), 1.05
    mask = np.zeros(SHAPE, np.bool_)
    for k in range(SHAPE[2]):
        for centre, radii in bodies:
            a, b, c = (
                ((at - middle - step) / (radius * growth)) ** 2
                for at, middle, step, radius in zip(
                    (x[:, None], y[None], z[k]), centre, shift, radii, strict=True
                )
            )
            mask[..., k] |= a + b + c < 1
    return mask


def run(side: str, structure: str) -> dict[str, object]:
    """One measurement in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", SIDE, side, structure],
        capture_output=True,
        text=True,
        check=False,
        cwd=sys.path[0],
    )
    if done.returncode:
        raise SystemExit(f"{side}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def main(repeats: int) -> None:
    """Print a table: processor seconds, MiB, and the ratios."""
    print("structure voxels | ScaleMAI s MiB | surface-distance s MiB | ratio time memory")
    for structure in ("organ", "tumor"):
        best: dict[str, tuple[float, float]] = {}
        values, voxels = {}, 0
        for side in ("ScaleMAI", "surface-distance") * repeats:
            one = run(side, structure)
            seconds, mib = best.get(side, (float("inf"), float("inf")))
            best[side] = min(seconds, one["seconds"]), min(mib, one["mib"])
            values[side], voxels = one["values"], one["voxels"]
        ours, theirs = best["ScaleMAI"], best["surface-distance"]
        error = max(
            abs(a - b) for a, b in zip(values["ScaleMAI"], values["surface-distance"], strict=True)
        )
        assert error < 1e-6, values
        print(
            f"{structure} {voxels} | {ours[0]:.3f} {ours[1]:.1f} | {theirs[0]:.3f} {theirs[1]:.1f}"
            f" | {theirs[0] / ours[0]:.1f} {theirs[1] / max(ours[1], 0.1):.1f}"
            f" | DSC {values['ScaleMAI'][0]:.4f} NSD {values['ScaleMAI'][1]:.5f}"
            f" HD95 {values['ScaleMAI'][2]:.3f} mm, largest difference {error:.1e}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
