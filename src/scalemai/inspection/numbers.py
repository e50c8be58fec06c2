"""What the numbers of a volume are: Hounsfield units, labels, or something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import class_map, class_map_ids
from scalemai.geometry import Grid
from scalemai.inspection.report import LabelReport
from scalemai.volume import Volume

__all__ = ["class_maps_of", "count_labels", "describe_labels", "looks_like_labels", "summarize"]

PERCENTILES = (1, 5, 50, 95, 99)
_MOST_SAMPLED = 4_000_000
_LABEL_EVENNESS = 0.8
"""Share of neighboring voxels that are equal, above which numbers are labels. Measured: label maps
of 3 mm have 0.94 and more, CT 0.11 and less, windowed 8-bit pictures of CT among them."""
_GUESSES = 3


def summarize(volume: Volume) -> dict[str, float]:
    """Range and percentiles in Hounsfield units, NaN and infinite voxels left out.

    The range is exact; percentiles are those of up to four million evenly spread voxels.
    """
    flat = volume.stored.ravel(order="K")  # a view: files are stored in one of the two orders
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        flat = flat[np.isfinite(flat)]
    if not flat.size:
        return {}
    sample = flat[:: max(flat.size // _MOST_SAMPLED, 1)].astype(np.float64)
    ends = sorted(volume.slope * float(end) for end in (flat.min(), flat.max()))
    hu = np.array([*ends, *np.percentile(volume.slope * sample, PERCENTILES)]) + volume.intercept
    names = ["min", "max", *(f"p{n}" for n in PERCENTILES)]
    return {name: round(float(value), 4) for name, value in zip(names, hu, strict=True)}


def looks_like_labels(stored: NDArray[Any]) -> bool:
    """Whether numbers come in even patches, as labels do and no scan does."""
    axis = int(np.argmax(stored.shape))
    step = max(stored.size // _MOST_SAMPLED, 1)
    thin = np.moveaxis(stored, axis, 0)[:, ::step]
    return bool(np.mean(thin[1:] == thin[:-1]) >= _LABEL_EVENNESS) if len(thin) > 1 else False


def describe_labels(
    labels: NDArray[Any], grid: Grid, names: Mapping[int, str]
) -> tuple[LabelReport, ...]:
    """Every value above zero with its volume, in order."""
    return tuple(
        LabelReport(
            names.get(value, ""), value, count, round(count * grid.voxel_volume_mm3 / 1000, 4)
        )
        for value, count in count_labels(labels).items()
        if value > 0
    )


def count_labels(labels: NDArray[Any]) -> dict[int, int]:
    """How many voxels have each value that occurs, in the order of the values."""
    if labels.dtype.itemsize > 2:
        values, counts = np.unique(labels, return_counts=True)
    else:
        # Counting by slices: sorting or widening a whole scan would take gigabytes.
        counts = np.zeros(int(labels.max()) + 1, np.int64)
        for k in range(labels.shape[-1]):
            counts += np.bincount(labels[..., k].ravel(), minlength=counts.size)
        values = np.flatnonzero(counts)
        counts = counts[values]
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def class_maps_of(values: set[int]) -> tuple[str, ...]:
    """Up to three class maps that know all the values, the one with the fewest others first.

    Nothing for a mask of one value: every class map knows a 1.
    """
    if len(values) < 2:
        return ()
    fitting = [
        (len(known) - len(values), name)
        for name in class_map_ids()
        if values <= (known := set(class_map(name).labels) - {0})
    ]
    return tuple(name for _, name in sorted(fitting)[:_GUESSES])
