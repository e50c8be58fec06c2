"""Sensitivity for lesions by their size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from scalemai.errors import ConfigError
from scalemai.evaluation.lesions.bins import DEFAULT_BINS, SMALL_AND_LARGE, SizeBins
from scalemai.evaluation.lesions.detections import Detections, detections
from scalemai.evaluation.lesions.resampling import Share, share_of
from scalemai.evaluation.lesions.rows import candidate_frame
from scalemai.evaluation.patients.threshold import Threshold

__all__ = ["SizeSensitivity", "sensitivity_by_size", "sensitivity_of_sizes"]


@dataclass(frozen=True, slots=True)
class SizeSensitivity:
    """Sensitivity for the lesions of one bin.

    Parameters
    ----------
    bins
        Which bins it is one of.
    size_bin
        Its name.
    above_mm, to_mm
        Its borders: longest axial diameters above the first, up to and with the second.
    sensitivity
        Lesions found of all of that size; ``sensitivity.primary`` is the interval to quote.
    """

    bins: SizeBins
    size_bin: str
    above_mm: float
    to_mm: float
    sensitivity: Share


def sensitivity_by_size(
    lesions: pl.DataFrame,
    *,
    bins: Sequence[SizeBins] = (DEFAULT_BINS, SMALL_AND_LARGE),
    structure: str | None = None,
    threshold: Threshold | None = None,
    level: float = 0.95,
) -> tuple[SizeSensitivity, ...]:
    """Share of lesions found in each bin of size.

    Parameters
    ----------
    lesions
        The table, of one algorithm, with ``diameter_mm``; ignored lesions are left out. A lesion
        belongs to the patient of the column ``patient``, or else to that of its case alone.
    bins
        Sets of bins, one after the other.
    structure
        Which structure; None for all of them together.
    threshold
        From which score a candidate is called; None to call all of them.
    level
        Confidence level.

    Returns
    -------
    tuple of SizeSensitivity
        Every bin, empty ones too, in order.

    Raises
    ------
    ConfigError
        If a lesion has no diameter, or as of
        :func:`~scalemai.evaluation.lesions.detections.detections`.
    """
    found = detections(lesions, candidate_frame([]), scans=None, structure=structure)
    return sensitivity_of_sizes(found, bins=bins, threshold=threshold, level=level)


def sensitivity_of_sizes(
    found: Detections,
    *,
    bins: Sequence[SizeBins] = (DEFAULT_BINS, SMALL_AND_LARGE),
    threshold: Threshold | None = None,
    level: float = 0.95,
) -> tuple[SizeSensitivity, ...]:
    """As :func:`sensitivity_by_size`, of tables that were taken apart already."""
    if np.isnan(found.lesion_mm).any():
        where = found.scans[int(found.lesion_scan[np.isnan(found.lesion_mm)][0])]
        raise ConfigError("a lesion has no diameter_mm", where=where)
    called = found.called_lesions(threshold)
    patients = found.patients[found.lesion_scan]
    rows = []
    for one in bins:
        place = np.array([one.index_of(size) for size in found.lesion_mm], dtype=np.intp)
        for index, (label, above, to) in enumerate(one):
            inside = place == index
            share = share_of(
                called[inside],
                patients[inside],
                nothing=f"there are no lesions of {label}",
                level=level,
            )
            rows.append(SizeSensitivity(one, label, above, to, share))
    return tuple(rows)
