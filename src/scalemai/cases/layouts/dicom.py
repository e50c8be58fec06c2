"""A folder of one DICOM series: the CT of one case, whose masks are given apart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from scalemai.cases.entry import CaseEntry, LabelValues, Scan
from scalemai.cases.paths import case_name

__all__ = ["is_dicom", "scan_dicom"]

_FILES_LOOKED_AT = 50
_MAGIC_AT = 128  # bytes before "DICM" (DICOM PS3.10, 7.1)


def is_dicom(folder: Path) -> bool:
    """Whether one of the first files below the folder is DICOM, by suffix or by content."""
    return any(map(_is_dicom_file, islice(_files(folder), _FILES_LOOKED_AT)))


def scan_dicom(folder: Path, labels: LabelValues | None) -> Scan:
    """The one case that a DICOM folder is."""
    del labels  # a DICOM folder holds no label map
    return Scan([CaseEntry(id=case_name(folder), ct=folder.name)])


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            yield Path(parent, name)


def _is_dicom_file(path: Path) -> bool:
    if path.suffix.lower() in {".dcm", ".ima"}:
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(_MAGIC_AT + 4)[_MAGIC_AT:] == b"DICM"
    except OSError:
        return False
