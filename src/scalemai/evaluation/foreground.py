"""Masks of one structure whose files hold several values: all of them count as the structure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from scalemai.case import Case
from scalemai.io.nifti import is_nifti_name, read_volume

__all__ = ["several_values"]

_MOST_VALUES = 5


def several_values(case: Case, names: Iterable[str], whose: str) -> list[str]:
    """Remark on masks that may be label maps, of which only one value was meant.

    Parameters
    ----------
    case
        Whose masks.
    names
        Structures. Masks that are values of a label map, soft masks and masks that hold one value
        (1, or 255) beside 0 are as they should be.
    whose
        ``"prediction"`` or ``"reference"``, for the remark.

    Raises
    ------
    GeometryError, UnreadableFileError
        If a file is damaged.
    """
    notes = []
    for part in dict.fromkeys(part for name in names for part in case.parts(name)):
        source = case.sources[part]
        if source.values or not is_nifti_name(source.path):
            continue
        volume = read_volume(source.path)
        if volume.stored.dtype.kind not in "iu" or not volume.is_identity_scaled:
            continue
        inside = volume.stored[volume.stored > 0]
        # Masks have few values; the common mask of one value is told without sorting.
        if inside.size and inside.min() < inside.max():
            values = np.unique(inside).tolist()
            shown = ", ".join(map(str, values[:_MOST_VALUES]))
            more = ", ..." if len(values) > _MOST_VALUES else ""
            notes.append(f"the {whose} of {part} holds values {shown}{more}: all count as {part}")
    return notes
