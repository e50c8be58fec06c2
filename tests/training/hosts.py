"""Small patients on disk: a bent pancreas with its parts, two kidneys, and drawn lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scalemai.case import Case
from scalemai.cases import open_cases
from scalemai.detector.spec import DetectorSpec, Preprocessing
from scalemai.geometry import Grid
from scalemai.io.nifti import write_labels, write_volume
from scalemai.volume import Volume

SHAPE = (72, 56, 40)
SPACING_MM = (2.0, 2.0, 2.5)
SPEC = DetectorSpec(
    "pancreas",
    ("pancreatic_lesion",),
    Preprocessing(spacing_mm=(2.0, 2.0, 2.5), margin_mm=16.0),
    patch=(32, 32, 32),
)
"""One class at a spacing near that of the patients."""

PARTS = {"head": (-70.0, -12.0), "body": (-12.0, 25.0), "tail": (25.0, 70.0)}


def grid() -> Grid:
    """LPS storage with the world's origin in the middle."""
    matrix = np.diag([-SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2], 1.0])
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return Grid(SHAPE, matrix)


def ball(centre_mm: Sequence[float], diameter_mm: float) -> NDArray[np.bool_]:
    """Voxels whose centre lies in a ball."""
    off = _world() - np.asarray(centre_mm)
    return np.asarray((off**2).sum(axis=-1) <= (0.5 * diameter_mm) ** 2)


def pancreas() -> dict[str, NDArray[np.bool_]]:
    """A gland 110 mm long and 24 mm thick, the tail to the left and above; and its parts."""
    xyz = _world()
    along = -xyz[..., 0]  # to the patient's left
    line = np.stack([0 * along, 6.0 - (along / 20.0) ** 2, 0.25 * along], axis=-1)
    off = np.linalg.norm((xyz - line)[..., 1:], axis=-1)
    gland = (off <= 12.0) & (np.abs(along) <= 55.0)
    parts = {
        f"pancreas_{name}": gland & (along > low) & (along <= high)
        for name, (low, high) in PARTS.items()
    }
    return {"pancreas": gland, **parts}


def kidneys() -> dict[str, NDArray[np.bool_]]:
    """Two ellipsoids beside the spine."""
    xyz = _world()
    return {
        f"kidney_{side}": np.asarray(
            (((xyz - (sign * 40.0, -20.0, 0.0)) / (14.0, 14.0, 28.0)) ** 2).sum(axis=-1) <= 1.0
        )
        for side, sign in (("left", -1.0), ("right", 1.0))
    }


def write_patient(
    folder: Path,
    masks: Mapping[str, NDArray[np.bool_]],
    lesions: Mapping[str, NDArray[np.bool_]] | None = None,
    *,
    seed: int = 0,
    contrast_hu: float = -45.0,
) -> Path:
    """Write ``ct.nii.gz`` and ``segmentations/`` of one patient; lesions are darker."""
    rng = np.random.default_rng(seed)
    hu = np.full(SHAPE, -90.0)
    for mask in masks.values():
        hu[mask] = 110.0
    for mask in (lesions or {}).values():
        hu[mask] = 110.0 + contrast_hu
    hu += rng.normal(0.0, 9.0, SHAPE)
    write_volume(folder / "ct.nii.gz", Volume(hu.round().astype(np.int16), grid()))
    for name, mask in {**masks, **(lesions or {})}.items():
        write_labels(folder / "segmentations" / f"{name}.nii.gz", mask.astype(np.uint8), grid())
    return folder


def write_set(root: Path, normal: int = 1, real: int = 0) -> list[Case]:
    """A data set of normal patients, and of patients with a large, a middle and a small lesion.

    The large one lies in the head, as most do; the small one in the tail.
    """
    for number in range(normal):
        write_patient(root / f"normal_{number}", pancreas(), seed=number)
    for number in range(real):
        masks = pancreas()
        drawn = (
            ball((30.0, 4.0, -8.0), 24.0)
            | ball((0.0, 6.0, 0.0), 14.0)
            | ball((-40.0, 2.0, 10.0), 8.0)
        )
        write_patient(
            root / f"real_{number}",
            masks,
            {"pancreatic_lesion": drawn & masks["pancreas"]},
            seed=100 + number,
        )
    return list(open_cases(root))


def one_case(folder: Path) -> Case:
    """The case of one folder."""
    (case,) = open_cases(folder)
    return case


def _world() -> NDArray[np.float64]:
    return grid().to_world(np.moveaxis(np.indices(SHAPE), 0, -1))
