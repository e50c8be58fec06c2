"""What a table was computed from: digests of the files of every case, and metadata as text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scalemai.errors import UnreadableFileError
from scalemai.masks import MaskSource

__all__ = ["FORMAT", "METADATA_KEY", "case_digest", "from_json", "to_json"]

METADATA_KEY = "scalemai"
"""Key of our metadata in a Parquet file."""

FORMAT = "scalemai-table/1"
"""Marks metadata of ours."""

_TYPES: dict[str, type] = {
    "kind": str,
    "version": str,
    "columns": dict,
    "definitions": list,
    "settings": dict,
    "cases": dict,
    "files": dict,
}


def case_digest(files: Mapping[str, Mapping[str, MaskSource]]) -> str:
    """Digest of everything that was read for a case.

    Parameters
    ----------
    files
        Role (``"prediction"``, ``"reference"``, ...) to the structures and where each is.

    Returns
    -------
    str
        SHA-256, in hexadecimal, over the bytes of all files, and which structure comes from which
        bytes and label values. Names and places of files do not enter: a data set may be moved.

    Raises
    ------
    UnreadableFileError
        If a file cannot be read.
    """
    digests: dict[Path, str] = {}
    lines: list[str] = []
    for role, sources in files.items():
        for structure, source in sources.items():
            if source.path not in digests:
                digests[source.path] = _file_digest(source.path)
            values = ",".join(map(str, source.values))
            lines.append(f"{role}\t{structure}\t{values}\t{digests[source.path]}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        what = error.strerror or "cannot be read"
        raise UnreadableFileError(what, where=path, fix="check the file") from error


def to_json(metadata: Mapping[str, Any]) -> str:
    """Metadata as text that depends on their content alone; NaN is refused.

    Raises
    ------
    ValueError
        If something in it is not of a JSON type.
    """
    try:
        return json.dumps(metadata, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except TypeError as error:
        raise ValueError(f"metadata of a table must be of JSON types: {error}") from error


def from_json(text: str, where: Path, *, foreign_is_empty: bool = False) -> dict[str, Any]:
    """Read metadata that :func:`to_json` wrote.

    Parameters
    ----------
    text
        The text.
    where
        The file it is from, for messages.
    foreign_is_empty
        Return nothing, instead of an error, for JSON that is not of ours.

    Raises
    ------
    UnreadableFileError
        If it is damaged or of another format.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UnreadableFileError("is damaged JSON", where=where, fix="write it again") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        if foreign_is_empty and not (
            isinstance(found, dict) and str(found.get("format")).startswith("scalemai-table/")
        ):
            return {}
        what = f"does not describe a table of format {FORMAT}"
        raise UnreadableFileError(what, where=where, fix="write it again with this version")
    found.setdefault("files", {})  # only tables about lesions have some
    for key, kind in _TYPES.items():
        if not isinstance(found.get(key), kind):
            what = f"says nothing that can be used about its {key}"
            raise UnreadableFileError(what, where=where, fix="write it again")
    return found
