"""What lesions on the fly cost a training pipeline of 96^3 patches with two loader workers.

Run: python benchmarks/transform.py [--epochs 6]

The pipeline is the usual one of MONAI's segmentation tutorials: a cached, windowed volume, a crop
round foreground or background, flips, quarter turns, intensity scale and shift, Gaussian noise,
batches of two or more patches. The same loader is timed with and without the transform, in turns,
so that other load on the machine hits both: processor time of the two workers and of this process
over whole epochs. Ratios are of neighbouring epochs, given as median and quartiles, and the time
spent in the transform itself is given, too. The transform stands behind the crop, so it works on
the patch.

Both sides run with an allocator that keeps its memory (see ``KEEP_PAGES``). With the default one of
glibc a worker gives the pages of each copied volume back and fetches them again, which costs
up to half of an epoch, differs from epoch to epoch and from loader to loader, and drowns what is to
be measured; ``--default-allocator`` shows it.

The second pipeline is nnU-Net's: patches of 120^3 cut from the volume, normalised, and through its
default augmentation (rotation, scaling, noise, blur, brightness, contrast, low resolution, gamma,
mirrors) to 96^3, with the probabilities of its trainer; the transform stands first, as it must.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import torch
from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from monai.data import CacheDataset, DataLoader, MetaTensor
from monai.transforms import (
    Compose,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianNoised,
    RandRotate90d,
    RandScaleIntensityd,
    RandShiftIntensityd,
    ScaleIntensityRanged,
)
from torch.utils.data import Dataset

from scalemai.synthesis.spec import LesionSpec
from scalemai.transforms.batchgenerators import SynthesizeTumorTransform
from scalemai.transforms.monai import SynthesizeTumord
from scalemai.transforms.normalization import Normalization
from scalemai.transforms.patch import PatchSynthesizer

# glibc: arrays of up to 1 GiB come from the heap, and the heap does not shrink.
KEEP_PAGES = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 31)}
KEYS = ("image", "label")
LABELS = {1: "liver", 2: "pancreas", 3: "spleen", 4: "kidney_left"}
WINDOW = (-175.0, 250.0)
SHAPE = (280, 220, 200)
CASES = 2
PATCHES = 32  # per epoch
ORGANS = {
    # label value: centre and half axes in mm, attenuation in HU
    1: ((90.0, 110.0, 110.0), (70.0, 75.0, 70.0), 110.0),
    2: ((165.0, 120.0, 95.0), (45.0, 16.0, 14.0), 95.0),
    3: ((235.0, 95.0, 130.0), (24.0, 35.0, 40.0), 125.0),
    4: ((205.0, 75.0, 70.0), (22.0, 24.0, 50.0), 160.0),
}


@dataclass(frozen=True)
class Case:
    """One pipeline that is measured."""

    name: str
    samples: int
    specs: tuple[LesionSpec, ...]
    probability: float


class TimedTumord(SynthesizeTumord):
    """The transform, with its processor time in the sample."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        start = time.process_time()
        sample = super().__call__(data)
        sample["lesion_ms"] = 1000.0 * (time.process_time() - start)
        return sample


def host(seed: int) -> dict[str, Any]:
    """Ellipsoidal organs with correlated noise in fat, at 1 mm."""
    rng = np.random.default_rng(seed)
    axes = np.ogrid[tuple(slice(n) for n in SHAPE)]
    labels = np.zeros(SHAPE, np.uint8)
    hu = np.full(SHAPE, -100.0, np.float32)
    for value, (centre, half, attenuation) in ORGANS.items():
        square = sum(((axis - c) / h) ** 2 for axis, c, h in zip(axes, centre, half, strict=True))
        labels[square <= 1.0] = value
        hu[square <= 1.0] = attenuation
    noise = rng.standard_normal(SHAPE, np.float32)
    hu += 9.0 * (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) / 3**0.5
    affine = torch.eye(4, dtype=torch.float64)
    return {
        "image": MetaTensor(torch.as_tensor(hu)[None], affine=affine),
        "label": MetaTensor(torch.as_tensor(labels)[None], affine=affine),
    }


def dataset(hosts: list[dict[str, Any]], case: Case, with_lesions: bool) -> CacheDataset:
    """The pipeline; the window is applied once, to the cached volume."""
    lesions: list[Any] = []
    if with_lesions:
        synthesizer = PatchSynthesizer(
            specs=case.specs,
            labels=LABELS,
            lesion_value=5,
            probability=case.probability,
            normalization=Normalization.window(*WINDOW),
        )
        lesions = [TimedTumord(KEYS, synthesizer)]
    steps = [
        ScaleIntensityRanged("image", *WINDOW, 0.0, 1.0, clip=True),
        RandCropByPosNegLabeld(
            KEYS, "label", (96, 96, 96), pos=1, neg=1, num_samples=case.samples, image_key="image"
        ),
        *lesions,
        *(RandFlipd(KEYS, prob=0.5, spatial_axis=axis) for axis in range(3)),
        RandRotate90d(KEYS, prob=0.1, max_k=3),
        RandScaleIntensityd("image", factors=0.1, prob=0.1),
        RandShiftIntensityd("image", offsets=0.1, prob=0.5),
        RandGaussianNoised("image", prob=0.15, std=0.05),
    ]
    items = hosts * (PATCHES // case.samples // len(hosts))
    return CacheDataset(items, Compose(steps).set_random_state(0), progress=False)


class NnunetPatches(Dataset[dict[str, Any]]):
    """Patches as nnU-Net's loader makes them: cut with a margin, augmented, cut to size."""

    def __init__(self, hosts: list[dict[str, Any]], case: Case, with_lesions: bool) -> None:
        self.hosts = [
            (one["image"].numpy()[0] / 100.0, one["label"].numpy()[0].astype(np.int16))
            for one in hosts
        ]
        self.organ = 1 if case.specs[0].organ == "liver" else 2
        lesions: list[Any] = []
        if with_lesions:
            synthesizer = PatchSynthesizer(
                specs=case.specs,
                labels=LABELS,
                lesion_value=5,
                probability=case.probability,
                normalization=Normalization.zscore(0.0, 100.0, -10.0, 10.0),
            )
            lesions = [SynthesizeTumorTransform(synthesizer, (1.0, 1.0, 1.0), "RAS")]
        some = (0.7, 1.4)
        self.steps = ComposeTransforms(
            [
                *lesions,
                SpatialTransform(
                    (96, 96, 96),
                    0,
                    False,
                    p_rotation=0.2,
                    rotation=(-0.5, 0.5),
                    p_scaling=0.2,
                    scaling=some,
                    p_synchronize_scaling_across_axes=1,
                ),
                RandomTransform(GaussianNoiseTransform((0, 0.1)), 0.1),
                RandomTransform(GaussianBlurTransform((0.5, 1.0), False, False, 0.5), 0.2),
                RandomTransform(
                    MultiplicativeBrightnessTransform(BGContrast((0.75, 1.25)), False, 1.0), 0.15
                ),
                RandomTransform(ContrastTransform(BGContrast((0.75, 1.25)), True, False), 0.15),
                RandomTransform(
                    SimulateLowResolutionTransform((0.5, 1), False, True, None, None, 0.5), 0.25
                ),
                RandomTransform(GammaTransform(BGContrast(some), 1, False, False, 1), 0.1),
                RandomTransform(GammaTransform(BGContrast(some), 0, False, False, 1), 0.3),
                MirrorTransform((0, 1, 2)),
            ]
        )

    def __len__(self) -> int:
        return PATCHES

    def __getitem__(self, index: int) -> dict[str, Any]:
        start = time.process_time()
        image, labels = self.hosts[index % len(self.hosts)]
        rng = np.random.default_rng(index)
        middle = np.array(ORGANS[self.organ][0]) + rng.uniform(-25, 25, 3)
        low = np.clip(middle.astype(int) - 60, 0, np.array(SHAPE) - 120)
        cut = tuple(slice(n, n + 120) for n in low)
        data = {
            "image": torch.as_tensor(image[cut].copy())[None],
            "segmentation": torch.as_tensor(labels[cut].copy())[None],
        }
        made = self.steps(**data)
        return {"image": made["image"], "ms": 1000.0 * (time.process_time() - start)}


def compare_nnunet(hosts: list[dict[str, Any]], case: Case, epochs: int) -> None:
    """One row of nnU-Net's pipeline, with and without lesions in turns."""
    loaders = [
        DataLoader(
            NnunetPatches(hosts, case, lesions), batch_size=2, num_workers=2,
            persistent_workers=True, worker_init_fn=seed_worker,
        )
        for lesions in (False, True)
    ]  # fmt: skip
    for loader in loaders:
        epoch_ms(loader)
    times = np.array([[epoch_ms(loader)[0] for loader in loaders] for _ in range(epochs)])
    without, with_lesions = np.median(times, axis=0)
    low, ratio, high = np.percentile(times[:, 1] / times[:, 0], [25, 50, 75])
    print(
        f"nnU-Net's augmentation, {case.name.split(',')[0]}, p {case.probability} | "
        f"{without:.1f} | {with_lesions:.1f} | {ratio:.2f} ({low:.2f}-{high:.2f}) | |",
        flush=True,
    )


def seed_worker(worker: int) -> None:
    """The generators that nnU-Net's loader seeds in every worker."""
    np.random.seed(worker)  # noqa: NPY002 # the generator that the framework uses
    torch.manual_seed(worker)


def processor_seconds() -> float:
    """Processor time of this process and of its workers so far."""
    this = psutil.Process()
    times = [one.cpu_times() for one in (this, *this.children())]
    return float(sum(one.user + one.system for one in times))


def epoch_ms(loader: DataLoader) -> tuple[float, float]:
    """Processor time per patch of one epoch, and that in the transform, in ms."""
    patches, inside = 0, 0.0
    before = processor_seconds()
    for batch in loader:
        patches += len(batch["image"])
        inside += float(batch["lesion_ms"].sum()) if "lesion_ms" in batch else 0.0
    return 1000.0 * (processor_seconds() - before) / patches, inside / patches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--default-allocator", action="store_true")
    options = parser.parse_args()
    if not options.default_allocator and not os.environ.keys() >= KEEP_PAGES.keys():
        # glibc reads them when a process starts.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEEP_PAGES})
    epochs = options.epochs
    torch.set_num_threads(1)
    hosts = [host(seed) for seed in range(CASES)]
    liver = LesionSpec(organ="liver", diameter_mm=(5.0, 30.0))
    pancreas = LesionSpec(organ="pancreas", diameter_mm=(5.0, 20.0))
    cases = [
        Case("liver, 1 patch per volume, half of them", 1, (liver,), 0.5),
        Case("liver, 1 patch per volume, each", 1, (liver,), 1.0),
        Case("liver, 4 patches per volume, half of them", 4, (liver,), 0.5),
        Case("liver, 4 patches per volume, each", 4, (liver,), 1.0),
        Case("pancreas, 1 patch per volume, half of them", 1, (pancreas,), 0.5),
        Case("pancreas, 4 patches per volume, half of them", 4, (pancreas,), 0.5),
    ]
    print("pipeline | ms per patch without | with | ratio (quartiles) | in the transform | ratio")
    for case in cases:
        loaders = [
            DataLoader(
                dataset(hosts, case, lesions),
                batch_size=max(2 // case.samples, 1),
                num_workers=2,
                persistent_workers=True,
            )
            for lesions in (False, True)
        ]
        for loader in loaders:
            epoch_ms(loader)  # start the workers, load compiled kernels
        times = np.array([[epoch_ms(loader) for loader in loaders] for _ in range(epochs)])
        without, with_lesions = np.median(times[:, :, 0], axis=0)
        low, ratio, high = np.percentile(times[:, 1, 0] / times[:, 0, 0], [25, 50, 75])
        inside = times[:, 1, 1].mean()
        spread = f"{ratio:.2f} ({low:.2f}-{high:.2f})"
        own = f"{inside:.1f} | {1.0 + inside / without:.2f}"
        print(f"{case.name} | {without:.1f} | {with_lesions:.1f} | {spread} | {own}", flush=True)
    for case in (cases[0], cases[1], cases[4]):
        compare_nnunet(hosts, case, epochs)


if __name__ == "__main__":
    main()
