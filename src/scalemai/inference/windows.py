"""A detector over the region of interest, window by window, one slab in memory at a time.

Windows are taken in the order of their start along the longest axis. What no later window
reaches is finished and handed on, so the sums of all windows are never held for the whole region.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scalemai.detector.files import Detector
from scalemai.detector.preprocessing import Prepared, channels_of
from scalemai.detector.spec import Preprocessing
from scalemai.errors import IntensityError
from scalemai.geometry import Region
from scalemai.inference.device import Engine, started
from scalemai.inference.settings import Runtime, Settings

__all__ = ["FULL", "Plan", "plan_windows", "predict_levels", "predict_prepared"]

FULL = 1 << 15
"""The level that stands for probability 1: levels are probabilities in steps of 2**-15, exact in
float32, 0 and 1 included."""

_SIGMA = 0.125
"""Standard deviation of the Gaussian weight over the window's length, the default of MONAI's
sliding window and of nnU-Net (Isensee et al., Nat Methods 2021;18:203-211)."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Which windows are looked at.

    Parameters
    ----------
    axis
        The axis along which slabs follow each other.
    slabs
        First row of each slab along it, ascending.
    windows
        Of each slab: the boxes to look at, on the padded lattice.
    shape, before
        Voxels of the padded lattice, and how many of them were put in front along each axis.
    near
        Voxels of the lattice within reach of the organ.
    """

    axis: int
    slabs: tuple[int, ...]
    windows: tuple[tuple[Region, ...], ...]
    shape: tuple[int, int, int]
    before: tuple[int, int, int]
    near: NDArray[np.bool_]

    def __len__(self) -> int:
        return sum(len(windows) for windows in self.windows)


def plan_windows(prepared: Prepared, patch: tuple[int, int, int], settings: Settings) -> Plan:
    """Lay windows over a region, and leave out those that do not come near the organ.

    Parameters
    ----------
    prepared
        The region of interest.
    patch
        Voxels of a window. A region that is smaller is padded.
    settings
        Overlap, reach, and whether the whole scan is wanted.
    """
    near = np.ones_like(prepared.organ)
    if not settings.whole_scan:
        near = _within(prepared.organ, prepared.grid.spacing_mm, settings.reach_mm)
    padded = [max(n, p) for n, p in zip(near.shape, patch, strict=True)]
    before = [(n - m) // 2 for n, m in zip(padded, near.shape, strict=True)]
    starts = [_starts(n, p, settings.overlap) for n, p in zip(padded, patch, strict=True)]
    axis = int(np.argmax(padded))
    slabs: list[tuple[Region, ...]] = []
    for first in starts[axis]:
        corners = itertools.product(*(s if a != axis else [first] for a, s in enumerate(starts)))
        boxes = (_box(corner, patch) for corner in corners)
        slabs.append(tuple(box for box in boxes if near[_unpadded(box, before, near.shape)].any()))
    a, b, c = padded
    return Plan(axis, tuple(starts[axis]), tuple(slabs), (a, b, c), _three(before), near)


def predict_prepared(
    detector: Detector,
    prepared: Prepared,
    settings: Settings | None = None,
    runtime: Runtime | None = None,
) -> NDArray[np.float32]:
    """Probabilities of a region of interest, all of it in memory.

    Parameters
    ----------
    detector
        Its network is used as it is, and left so.
    prepared
        From :func:`scalemai.detector.preprocessing.prepare` with the detector's preprocessing.
    settings, runtime
        By default those of :class:`Settings` and :class:`Runtime`.

    Returns
    -------
    ndarray
        Array (1 + classes, x, y, z), float32, on the lattice of ``prepared``; sums to 1 over the
        first axis. Out of reach of the organ it is background.

    Raises
    ------
    ConfigError
        If the device is not there.
    IntensityError
        If the network's output is not finite.
    """
    outputs = 1 + len(detector.spec.classes)
    found = np.zeros((outputs, *prepared.grid.shape), np.float32)
    plan = plan_windows(prepared, detector.spec.patch, settings or Settings())
    with started(runtime or Runtime()) as engine:
        for region, values in _slabs(detector, prepared, plan, engine, settings or Settings()):
            found[(slice(None), *region)] = values
    return found


def predict_levels(
    detector: Detector, prepared: Prepared, plan: Plan, engine: Engine, settings: Settings
) -> NDArray[np.uint16]:
    """As :func:`predict_prepared`, without the background, in steps of 2**-15.

    Returns
    -------
    ndarray
        Array (classes, x, y, z), uint16, 0 to :data:`FULL`.
    """
    found = np.zeros((len(detector.spec.classes), *prepared.grid.shape), np.uint16)
    for region, values in _slabs(detector, prepared, plan, engine, settings):
        found[(slice(None), *region)] = np.rint(values[1:] * FULL)
    return found


def _slabs(
    detector: Detector, prepared: Prepared, plan: Plan, engine: Engine, settings: Settings
) -> Iterator[tuple[Region, NDArray[np.float32]]]:
    """Finished boxes of the lattice, each once and all of them, with their probabilities."""
    from monai.data.utils import compute_importance_map

    patch, axis = detector.spec.patch, plan.axis
    network = engine.placed(detector.network)
    weight = compute_importance_map(
        patch, mode="gaussian", sigma_scale=_SIGMA, device=engine.device, dtype=torch.float32
    )
    size = list(plan.shape)
    size[axis] = patch[axis]
    sums = torch.zeros((1 + len(detector.spec.classes), *size), device=engine.device)
    total = torch.zeros(size, device=engine.device)
    for n, first in enumerate(plan.slabs):
        if plan.windows[n]:
            rows = slice(first, first + patch[axis])
            seen = _seen(prepared, plan, rows, detector.spec.preprocessing)
            own = [_moved(box, axis, -first) for box in plan.windows[n]]
            for at in range(0, len(own), engine.batch):
                boxes = own[at : at + engine.batch]
                stack = torch.stack([seen[(slice(None), *box)] for box in boxes])
                looked = _looked_at(network, stack, engine, flips=settings.flips)
                for box, found in zip(boxes, looked, strict=True):
                    sums[(slice(None), *box)] += found * weight
                    total[box] += weight
        end = plan.slabs[n + 1] if n + 1 < len(plan.slabs) else first + patch[axis]
        finished = slice(0, end - first)
        done = sums[_along(axis, finished, 4)] / total[_along(axis, finished, 3)].clamp_min(1e-12)
        yield _cut(done.cpu().numpy(), plan, first)
        for kept, dims in ((sums, 4), (total, 3)):
            rest = kept[_along(axis, slice(end - first, None), dims)].clone()
            kept.zero_()
            kept[_along(axis, slice(0, patch[axis] - (end - first)), dims)] = rest


def _looked_at(
    network: nn.Module, stack: torch.Tensor, engine: Engine, *, flips: bool
) -> torch.Tensor:
    """Probabilities of a stack of windows, over all mirror images if that is asked for."""
    axes = [
        chosen for n in range(4 if flips else 1) for chosen in itertools.combinations((2, 3, 4), n)
    ]
    found = engine.probabilities(network, stack)
    for chosen in axes[1:]:
        found = found + engine.probabilities(network, stack.flip(chosen)).flip(chosen)
    found = found / len(axes)
    if not bool(torch.isfinite(found).all()):
        fix = "compute in float32; if that does not help, train the detector again"
        raise IntensityError("the detector's output is not finite", fix=fix)
    return found


def _seen(
    prepared: Prepared, plan: Plan, rows: slice, preprocessing: Preprocessing
) -> torch.Tensor:
    """Channels of one slab of the padded lattice: its faces are continued, its organ is not."""
    box = [slice(0, n) for n in plan.shape]
    box[plan.axis] = rows
    inner = _unpadded(box, plan.before, plan.near.shape)
    pads = [
        (max(b - s.start, 0), max(s.stop - b - n, 0))
        for s, b, n in zip(box, plan.before, plan.near.shape, strict=True)
    ]
    hu = np.pad(prepared.hu[inner], pads, mode="edge")
    organ = np.pad(prepared.organ[inner], pads)
    middle = None if preprocessing.organ_window_hu is None else prepared.organ_hu
    return torch.from_numpy(channels_of(hu, organ, preprocessing, middle))


def _cut(values: NDArray[np.float32], plan: Plan, first: int) -> tuple[Region, NDArray[np.float32]]:
    """A finished slab without its padding, and with background out of reach."""
    box = [slice(0, n) for n in plan.shape]
    box[plan.axis] = slice(first, first + values.shape[1 + plan.axis])
    region = _unpadded(box, plan.before, plan.near.shape)
    starts = [max(b - s.start, 0) for s, b in zip(box, plan.before, strict=True)]
    inner = _box(starts, [s.stop - s.start for s in region])
    near = plan.near[region]
    cut = values[(slice(None), *inner)] * near
    cut[0] += ~near
    return region, cut


def _within(
    organ: NDArray[np.bool_], spacing_mm: tuple[float, float, float], reach_mm: float
) -> NDArray[np.bool_]:
    if organ.all():
        return organ
    import edt

    away = edt.edt(np.ascontiguousarray(~organ), anisotropy=spacing_mm, black_border=False)
    near: NDArray[np.bool_] = away <= reach_mm
    return near


def _starts(length: int, window: int, overlap: float) -> list[int]:
    """First voxel of each window along one axis, evenly spaced, at least that much overlapping."""
    step = max(int(window * (1.0 - overlap)), 1)
    steps = -(-(length - window) // step)
    return [round(n * (length - window) / steps) for n in range(steps + 1)] if steps else [0]


def _box(corner: Sequence[int], size: Sequence[int]) -> Region:
    a, b, c = (slice(start, start + n) for start, n in zip(corner, size, strict=True))
    return a, b, c


def _unpadded(box: Sequence[slice], before: Sequence[int], shape: Sequence[int]) -> Region:
    a, b, c = (
        slice(max(s.start - b, 0), min(s.stop - b, n))
        for s, b, n in zip(box, before, shape, strict=True)
    )
    return a, b, c


def _moved(box: Region, axis: int, by: int) -> Region:
    a, b, c = (slice(s.start + by, s.stop + by) if n == axis else s for n, s in enumerate(box))
    return a, b, c


def _along(axis: int, rows: slice, dims: int) -> tuple[slice, ...]:
    """Rows of an array whose last three axes are x, y and z."""
    chosen = [slice(None)] * dims
    chosen[dims - 3 + axis] = rows
    return tuple(chosen)


def _three(values: Sequence[Any]) -> tuple[int, int, int]:
    a, b, c = values
    return a, b, c
