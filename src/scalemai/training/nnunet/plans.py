"""nnU-Net's plans, changed: a fixed window of HU, and a configuration that a CPU can train.

nnU-Net clips the attenuation to percentiles of the labelled voxels of the training set. Where
these are healthy organ alone, tumors put in later lie outside and are cut off: of a set of healthy
livers the range was -24 to 84 HU. The window is therefore given, not measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from scalemai.anatomy import organ
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.io.atomic import atomic_path

__all__ = [
    "CPU",
    "PLANS",
    "WINDOWS_HU",
    "add_cpu_configuration",
    "axes_of",
    "read_plans",
    "usual_window",
    "with_fixed_window",
    "write_plans",
]

PLANS = "nnUNetPlansScaleMAI"
"""Name of our plans, so that they stand beside nnU-Net's own."""

CPU = "3d_cpu"
"""Name of the configuration for machines without a GPU."""

WINDOWS_HU: Mapping[str, tuple[float, float]] = {
    "solid": (-175.0, 250.0),
    "hollow": (-500.0, 300.0),
    "lung": (-1000.0, 400.0),
    "bone": (-200.0, 1500.0),
}
"""Window in HU by family of the organ. That of solid organs is the usual one of abdominal CT in
the field; gas must be told from fat in hollow ones, and air and cortex must be in. Author's choice,
to be refined."""

_CPU_PATCH = 64
_CPU_FEATURES = (8, 16, 32, 64)  # 2.4 to 3.3 CPU seconds per step of two 64³ patches (measured)
_CPU_STEP = 2 ** (len(_CPU_FEATURES) - 1)
_AXES = {"NibabelIOWithReorient": "SAR"}


def usual_window(organs: Sequence[str]) -> tuple[float, float]:
    """The window in HU that holds the windows of all the organs."""
    found = [WINDOWS_HU[organ(name).family] for name in organs]
    return min(low for low, _ in found), max(high for _, high in found)


def with_fixed_window(
    plans: Mapping[str, Any], window_hu: tuple[float, float], *, channel: int = 0
) -> dict[str, Any]:
    """Plans with a window of HU in place of the fingerprint's percentiles.

    The window becomes -2 to 2: its middle is subtracted, and a quarter of it is the unit.

    Parameters
    ----------
    plans
        nnU-Net's plans; they are not changed.
    window_hu
        What is kept of the attenuation; beyond, it is cut off.
    channel
        The channel that is the CT.

    Raises
    ------
    ConfigError
        If the window is empty, or the plans have no such channel.
    """
    low, high = (float(end) for end in window_hu)
    if not (np.isfinite([low, high]).all() and high - low >= 1.0):
        fix = "give the lower end first, for example -175,250"
        raise ConfigError(f"{low:g} to {high:g} HU is no window", where="window", fix=fix)
    changed = deepcopy(dict(plans))
    try:
        facts = changed["foreground_intensity_properties_per_channel"][str(channel)]
        facts |= {
            "mean": (low + high) / 2,
            "median": (low + high) / 2,
            "std": (high - low) / 4,
            "min": low,
            "max": high,
            "percentile_00_5": low,
            "percentile_99_5": high,
        }
    except (KeyError, TypeError) as error:
        what = f"these plans have no channel {channel}"
        raise ConfigError(what, where="plans", fix="plan the data set again") from error
    return changed


def add_cpu_configuration(
    plans: Mapping[str, Any], *, spacing_mm: Sequence[float] | None = None
) -> dict[str, Any]:
    """Plans with the configuration ``3d_cpu``: a small network, small patches.

    Four stages of 8 to 64 features look at patches of at most 64 voxels along each axis, two at a
    time, as against five or six stages of up to 320 that look at patches of twice the width.

    Parameters
    ----------
    plans
        nnU-Net's plans, which have ``3d_fullres``; they are not changed.
    spacing_mm
        Voxel size along x, y and z of the images in RAS; that of ``3d_fullres`` if None.

    Raises
    ------
    ConfigError
        If the plans have no ``3d_fullres``, or the spacing is none.
    """
    changed = deepcopy(dict(plans))
    try:
        whole = changed["configurations"]["3d_fullres"]
        order = changed["transpose_forward"]
        old = np.array(whole["spacing"], float)
        size = np.array(whole["median_image_size_in_voxels"], float)
        identifier = f"{changed['plans_name']}_{CPU}"
    except (KeyError, TypeError) as error:
        what = f"these plans have no 3d_fullres to start from ({error})"
        raise ConfigError(what, where="plans", fix="give 3-D images of several slices") from error
    new = old
    if spacing_mm is not None:
        given = np.array([float(step) for step in spacing_mm])
        if given.shape != (3,) or not ((given > 0.1) & (given < 20.0)).all():
            fix = "give three lengths in mm, x,y,z"
            raise ConfigError(f"{tuple(spacing_mm)} is no spacing", where="spacing", fix=fix)
        new = given[::-1][order]  # the reader's arrays lie z, y, x; plans lie transposed
    median = np.ceil(size * old / new)
    patch = np.clip(np.ceil(median / _CPU_STEP) * _CPU_STEP, 2 * _CPU_STEP, _CPU_PATCH)
    stages = len(_CPU_FEATURES)
    changed["configurations"][CPU] = {
        "inherits_from": "3d_fullres",
        "data_identifier": whole["data_identifier"] if spacing_mm is None else identifier,
        "spacing": new.tolist(),
        "median_image_size_in_voxels": median.tolist(),
        "patch_size": [int(n) for n in patch],
        "batch_size": 2,
        "batch_dice": False,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": list(_CPU_FEATURES),
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[3, 3, 3]] * stages,
                "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
                "n_conv_per_stage": [2] * stages,
                "n_conv_per_stage_decoder": [2] * (stages - 1),
                "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    return changed


def axes_of(plans: Mapping[str, Any]) -> str:
    """Where the axes of nnU-Net's arrays point, before they are transposed.

    Raises
    ------
    ConfigError
        If its reader leaves the axes of images as they are stored, which nobody knows then.
    """
    reader = str(plans.get("image_reader_writer"))
    if reader not in _AXES:
        what = f"{reader} leaves the axes of images as they are stored"
        fix = f"export the data set again, which asks for {' or '.join(_AXES)}"
        raise ConfigError(what, where="plans", fix=fix)
    return _AXES[reader]


def read_plans(path: Path) -> dict[str, Any]:
    """Read a file of plans.

    Raises
    ------
    UnreadableFileError
        If it is missing or no JSON object.
    """
    try:
        plans = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(plans, dict):
            raise ValueError("no object")
    except (OSError, ValueError) as error:
        what = f"cannot be read as plans ({error})"
        raise UnreadableFileError(what, where=path, fix="run scalemai nnunet plan") from error
    return plans


def write_plans(path: Path, plans: Mapping[str, Any]) -> None:
    """Write a file of plans, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(plans, indent=4) + "\n", encoding="utf-8")
