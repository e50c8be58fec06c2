"""The key of a study: which items are real, committed to before the first read.

The study holds, for every item, SHA-256 over a secret salt, the truth and the item's own bytes. So
nobody can read the truth from the study, and nobody can change truth or item afterwards without it
being noticed. The key, with truths and salts, is a file of its own that the reading room never
sees. Salts, names of items and sides come from the operating system, not from the seed of the
study: who knows the seed would know the key.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scalemai.annotation.turing.candidates import Kind
from scalemai.annotation.turing.studies import Study, digest_of
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.io.atomic import atomic_path

__all__ = ["KEY_FORMAT", "Sealed", "commitment", "open_key", "write_key"]

KEY_FORMAT = "scalemai-turing-key/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What the key says of an item.

    Parameters
    ----------
    item
        Its opaque name.
    truth
        Whether it is real or synthetic.
    salt
        Secret, 64 hexadecimal digits.
    pair
        Number of its pair.
    case_id, structure, diameter_mm, phase, scanner
        What it shows.
    """

    item: str
    truth: Kind
    salt: str
    pair: int
    case_id: str
    structure: str
    diameter_mm: float
    phase: str | None
    scanner: str | None


def commitment(item: str, truth: Kind, salt: str, content: bytes) -> str:
    """What the study publishes of an item: SHA-256 in hex of salt, name, truth and bytes."""
    inner = hashlib.sha256(content).hexdigest()
    return hashlib.sha256(f"{salt}\n{item}\n{truth}\n{inner}".encode()).hexdigest()


def write_key(
    path: Path, study: Study, digest: str, sealed: Iterable[Sealed], more: Mapping[str, Any]
) -> None:
    """Write the key, readable by its owner only.

    Parameters
    ----------
    path
        Its file.
    study, digest
        The study, and SHA-256 of its description.
    sealed
        All items.
    more
        What else only the key may hold, in JSON types: lesions without a partner, for example.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    plain = {
        "format": KEY_FORMAT,
        "study": study.study_id,
        "study_sha256": digest,
        "items": [asdict(one) for one in sorted(sealed, key=lambda one: one.item)],
        **more,
    }
    with atomic_path(path) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(plain, file, indent=1)
            file.write("\n")


def open_key(path: Path, study: Study) -> dict[str, Sealed]:
    """The truth of every item, once it is shown to be what the study committed to.

    Raises
    ------
    UnreadableFileError
        If the file is no key, or an item is absent.
    ConfigError
        If it is the key of another study; or key, items or description of the study were changed.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain["format"] != KEY_FORMAT:
            raise ValueError(f"its format is not {KEY_FORMAT}")
        sealed = {one["item"]: Sealed(**one) for one in plain["items"]}
        of_study, digest = str(plain["study"]), str(plain["study_sha256"])
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise UnreadableFileError(what, where=path, fix="give the key that was written") from error
    except (ValueError, KeyError, TypeError) as error:
        fix = "give the file that --key named when the study was built"
        raise UnreadableFileError("is no key of a study", where=path, fix=fix) from error
    if of_study != study.study_id:
        raise ConfigError("is the key of another study", where=path, fix="find its own")
    changed = "the study was changed after it was sealed: its reads prove nothing"
    if digest != digest_of(study.folder):
        raise ConfigError("does not fit study.json", where=path, fix=changed)
    if sealed.keys() != study.commitments.keys():
        raise ConfigError("does not have the items of the study", where=path, fix=changed)
    for name, one in sealed.items():
        said = commitment(name, one.truth, one.salt, study.item(name))
        if said != study.commitments[name]:
            raise ConfigError(f"does not fit the commitment of {name}", where=path, fix=changed)
    return sealed
