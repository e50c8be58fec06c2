"""Which coded concepts a segment carries: what it is, of which sort, and where."""

from __future__ import annotations

from dataclasses import dataclass

from scalemai.anatomy import Structure, structure
from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["ARTIFICIAL_INTELLIGENCE", "NEOPLASM", "Code", "SegmentCodes", "codes_for"]

Code = tuple[str, str, str]
"""A coded concept: value, coding scheme (``SCT`` for SNOMED CT, ``DCM``), meaning."""

ARTIFICIAL_INTELLIGENCE: Code = ("123110", "DCM", "Artificial Intelligence")
"""Algorithm family (DICOM PS3.16, CID 7162)."""

NEOPLASM: Code = ("108369006", "SCT", "Neoplasm")
"""Segmented property type of a tumor."""

# Segmented property categories of DICOM PS3.16, CID 7150; sides of CID 244.
_ANATOMICAL: Code = ("91723000", "SCT", "Anatomical Structure")
_ABNORMAL: Code = ("49755003", "SCT", "Morphologically Abnormal Structure")
_SIDES: dict[str, Code] = {
    "left": ("7771000", "SCT", "Left"),
    "right": ("24028007", "SCT", "Right"),
}


@dataclass(frozen=True, slots=True)
class SegmentCodes:
    """What a segment is, in codes.

    Attributes
    ----------
    category
        Segmented property category, for example "Morphologically Abnormal Structure".
    kind
        Segmented property type, for example "Liver" or "Neoplasm".
    side
        Left or right, as modifier of ``kind``.
    region
        Anatomic region that a lesion lies in.
    """

    category: Code
    kind: Code
    side: Code | None = None
    region: Code | None = None


def codes_for(name: str, *, morphology: Code | None = None) -> SegmentCodes:
    """Codes of a structure, from the SNOMED CT codes of :mod:`scalemai.anatomy`.

    A structure without a code of its own takes that of what it is a part of, or else the general
    "Anatomical Structure"; the segment label keeps the exact name.

    Parameters
    ----------
    name
        Structure name or alias.
    morphology
        What a lesion is, for example :data:`NEOPLASM`; by default the code of the structure.

    Raises
    ------
    ConfigError
        If the name is not known; codes can be passed instead.
    """
    try:
        entry = structure(name)
    except UnknownNameError as error:
        raise ConfigError(
            f"there are no codes for a segment called {name!r} ({error.fix})",
            fix="use a known structure name, or pass codes= for it",
        ) from error
    if entry.group == "lesion":
        region = None if entry.parent is None else _nearest(structure(entry.parent))
        own = (entry.snomed.value, "SCT", entry.snomed.meaning) if entry.snomed else _ABNORMAL
        return SegmentCodes(_ABNORMAL, morphology or own, region=region)
    side = None if entry.laterality is None else _SIDES[entry.laterality]
    return SegmentCodes(_ANATOMICAL, _nearest(entry) or _ANATOMICAL, side=side)


def _nearest(entry: Structure) -> Code | None:
    while entry.snomed is None:
        if entry.parent is None:
            return None
        entry = structure(entry.parent)
    return entry.snomed.value, "SCT", entry.snomed.meaning
