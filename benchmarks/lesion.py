"""Cost of one lesion against its volume, and against a dense whole-organ implementation.

Run: python benchmarks/lesion.py

Each row grows, paints and measures lesions of one diameter in an ellipsoidal liver at 1 mm
(CPU time of one core, file input and output excluded; the organ is cropped once per case and
listed apart). The dense peer does what published hand-crafted generators do: it blurs an
ellipsoid's mask and a texture over the whole organ's box with SciPy. The second block repeats one
lesion in organs and scans of growing size: its cost must not follow them. The last one grows a
lesion of each tissue family, at a place that is drawn, and lets its surroundings follow.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.synthesis.drawing.draw import draw_recipe
from scalemai.synthesis.growth.tissue import Tissue, crop_mask, prepare_tissue
from scalemai.synthesis.painting.lesion import paint_lesion
from scalemai.synthesis.patient import Patient, cropped
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.synthesize import grow_lesion
from scalemai.volume import Mask, Volume

REPEATS = 15


FAMILIES = {
    # organ: structure, half axes in mm; attenuation of it, of what is around, of its shell of 3 mm
    "liver": ("liver", (100.0, 90.0, 65.0), (110.0, -100.0, 110.0)),
    "bladder": ("bladder", (45.0, 40.0, 40.0), (5.0, -100.0, 45.0)),
    "lung": ("lung_left", (60.0, 80.0, 110.0), (-850.0, 50.0, -850.0)),
    "bone": ("hip_left", (60.0, 50.0, 20.0), (180.0, 50.0, 700.0)),
}


def host(
    semi_axes_mm: tuple[float, float, float],
    pad: int = 10,
    name: str = "liver",
    look: tuple[float, float, float] = (110.0, -100.0, 110.0),
) -> tuple[Volume, Mask]:
    """An ellipsoidal organ at 1 mm: its attenuation, that around it, that of its shell."""
    shape = tuple(int(2 * s) + 2 * pad for s in semi_axes_mm)
    affine = np.eye(4)
    affine[:3, 3] = -(np.asarray(shape) - 1) / 2
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    axes = [np.linspace(-(n - 1) / 2, (n - 1) / 2, n) for n in shape]
    square = sum(
        ((axis / s) ** 2).reshape([-1 if d == a else 1 for d in range(3)])
        for a, (axis, s) in enumerate(zip(axes, semi_axes_mm, strict=True))
    )
    inside = np.asfortranarray(square <= 1.0)
    deep = square <= (1.0 - 3.0 / min(semi_axes_mm)) ** 2
    noise = np.random.default_rng(0).normal(0, 12, shape)
    hu = np.where(deep, look[0], np.where(inside, look[2], look[1])) + noise
    stored = np.asfortranarray(hu.round().astype(np.int16))
    return Volume(stored, grid), Mask(inside, grid, name)


def best_ms(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Least CPU time of several calls in ms."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1000.0 * min(times)


def median_ms(calls: list[Callable[[], object]]) -> float:
    """Median over lesions of the least CPU time of three calls in ms."""
    return float(np.median([best_ms(call, 3) for call in calls]))


def lesion_call(volume: Volume, tissue: Tissue, diameter: float, seed: int) -> Callable[[], object]:
    """Draw, grow, paint and measure one lesion at the organ's centre."""
    spec = LesionSpec(
        organ="liver", kind="metastasis", diameter_mm=(diameter, diameter), at_mm=(0.0, 0.0, 0.0)
    )

    def call() -> object:
        recipe, around = draw_recipe(spec, volume, tissue, case_id="a", number=1, seed=seed)
        return paint_lesion(volume, around, recipe)

    return call


def dense_call(volume: Volume, mask: Mask, diameter: float) -> Callable[[], object]:
    """The dense peer: whole-organ blurs of mask and texture, then a blend."""

    def call() -> object:
        hu = volume.hu()
        centre = np.asarray(hu.shape) / 2
        index = np.ogrid[tuple(slice(n) for n in hu.shape)]
        square = sum(((i - c) / (diameter / 2)) ** 2 for i, c in zip(index, centre, strict=True))
        lesion = (square <= 1.0) & mask.array
        soft = ndimage.gaussian_filter(lesion.astype(np.float32), 1.5)
        grain = ndimage.gaussian_filter(np.random.default_rng(0).random(hu.shape, np.float32), 3.0)
        return np.where(mask.array, hu - soft * (0.5 + grain) * 40.0, hu)

    return call


def family_times(name: str, diameter: float) -> tuple[float, float, float]:
    """Median CPU time in ms of growing a lesion and of its effects, and that of the dense peer."""
    structure, half_mm, look = FAMILIES[name]
    volume, mask = host(half_mm, name=structure, look=look)
    spec = LesionSpec(organ=name, diameter_mm=(diameter, diameter))
    grown, effects = [], []
    for seed in range(-1, REPEATS):  # the first one compiles
        patient = Patient(
            volume.with_stored(volume.stored.copy()), cropped(volume, {structure: mask})
        )
        start = time.process_time()
        lesion = grow_lesion(patient, spec, case_id="a", number=1, seed=seed + 1)
        between = time.process_time()
        patient.put(lesion)
        if seed >= 0:
            grown.append(1000 * (between - start))
            effects.append(1000 * (time.process_time() - between))
    dense = best_ms(dense_call(volume, mask, diameter), 3)
    return float(np.median(grown)), float(np.median(effects)), dense


def main() -> None:
    volume, mask = host((100.0, 90.0, 65.0))
    start = time.process_time()
    tissue = prepare_tissue(crop_mask(mask), volume.grid)
    crop_ms = 1000 * (time.process_time() - start)
    lesion_call(volume, tissue, 10.0, 0)()  # compile
    print(
        f"organ of {np.count_nonzero(mask.array) / 1e6:.2f} million voxels, crop {crop_ms:.0f} ms"
    )
    print("diameter mm | lesion ms | us per lesion voxel | dense peer ms | ratio")
    for diameter in (3.0, 6.0, 10.0, 20.0, 30.0, 40.0, 60.0):
        calls = [lesion_call(volume, tissue, diameter, seed) for seed in range(REPEATS)]
        ours = median_ms(calls)
        dense = best_ms(dense_call(volume, mask, diameter), 3)
        voxels = np.pi / 6 * diameter**3
        print(
            f"{diameter:11.0f} | {ours:9.1f} | {1000 * ours / voxels:19.2f} | {dense:13.0f} "
            f"| {dense / ours:5.0f}"
        )
    print("organ, million voxels | 20 mm lesion ms")
    for scale in (0.5, 0.75, 1.0, 1.4):
        volume, mask = host((100.0 * scale, 90.0 * scale, 65.0 * scale))
        tissue = prepare_tissue(crop_mask(mask), volume.grid)
        calls = [lesion_call(volume, tissue, 20.0, seed) for seed in range(REPEATS)]
        print(f"{np.count_nonzero(mask.array) / 1e6:21.2f} | {median_ms(calls):15.1f}")
    print("organ, 20 mm | lesion ms | dense peer ms | ratio | effects, ms more")
    for name in FAMILIES:
        grown, effects, dense = family_times(name, 20.0)
        ratio = dense / grown
        print(f"{name:12} | {grown:9.1f} | {dense:13.0f} | {ratio:5.1f} | {effects:15.1f}")


if __name__ == "__main__":
    main()
