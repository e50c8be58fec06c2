"""A study on disk: what is shown, and commitments to what it is; the truth is not in it.

::

    STUDY/study.json      design, displays, commitments: written last
          items/KEY.item  what the page gets, all of one length
          review.sqlite   readers, sessions and the ledger of answers
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scalemai.annotation.protocol import Protocol
from scalemai.annotation.reviews import Review
from scalemai.annotation.turing.design import TuringDesign
from scalemai.config import from_plain
from scalemai.errors import ConfigError, UnreadableFileError

__all__ = ["STUDY_FILE", "STUDY_FORMAT", "Display", "Study", "digest_of", "open_study"]

STUDY_FILE = "study.json"
STUDY_FORMAT = "scalemai-turing/1"


@dataclass(frozen=True, slots=True)
class Display:
    """What is on the screen at a time.

    Parameters
    ----------
    key
        Opaque name: that of its item or, of two, its own.
    items
        One item; or two, left and right.
    structure
        Lesion structure.
    low_hu, high_hu
        Window that it opens with.
    """

    key: str
    items: tuple[str, ...]
    structure: str
    low_hu: float
    high_hu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study that can be read.

    Parameters
    ----------
    folder
        Where it is.
    study_id
        Opaque, random.
    version
        Version of scalemai that made it.
    design
        What was fixed.
    item_bytes
        Length of every item.
    displays
        In the order of their keys, which is random.
    commitments
        Item to its commitment (:mod:`scalemai.annotation.turing.sealing`).
    """

    folder: Path
    study_id: str
    version: str
    design: TuringDesign
    item_bytes: int
    displays: tuple[Display, ...]
    commitments: Mapping[str, str]

    @property
    def review(self) -> Review:
        """The folder as the reading room has it: accounts, sessions and ledger."""
        return Review(self.folder)

    @property
    def protocol(self) -> Protocol:
        """What the pages of the reading room need to know."""
        design = self.design
        return Protocol(title=design.title, seed=design.seed, idle_ms=design.idle_ms)

    def item(self, name: str) -> bytes:
        """An item as the page gets it.

        Raises
        ------
        UnreadableFileError
            If it is absent or not of the right length.
        """
        path = self.folder / "items" / f"{name}.item"
        try:
            content = path.read_bytes()
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise UnreadableFileError(what, where=path, fix="build the study again") from error
        if len(content) != self.item_bytes:
            what = f"has {len(content)} bytes instead of {self.item_bytes}"
            raise UnreadableFileError(what, where=path, fix="build the study again")
        return content

    def to_json(self) -> str:
        """Its description, as it is written."""
        plain = {"format": STUDY_FORMAT, **asdict(self)}
        del plain["folder"]
        return json.dumps(plain, indent=1, sort_keys=True) + "\n"


def open_study(folder: Path | str) -> Study:
    """The study in a folder.

    Raises
    ------
    UnreadableFileError
        If it holds none that was finished.
    ConfigError
        If it was made by another version.
    """
    path = Path(folder) / STUDY_FILE
    fix = "make one with scalemai turing build REAL SYNTHETIC --out STUDY --key KEY"
    try:
        plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        form = plain.pop("format")
    except FileNotFoundError as error:
        raise UnreadableFileError("holds no study", where=folder, fix=fix) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableFileError("is no description of a study", where=path, fix=fix) from error
    if form != STUDY_FORMAT:
        what = f"has format {str(form)[:40]!r} instead of {STUDY_FORMAT!r}"
        raise ConfigError(what, where=path, fix="use the version of scalemai that made it")
    try:
        design = from_plain(TuringDesign, plain.pop("design"), where=path.name)
        displays = tuple(
            Display(**{**one, "items": tuple(one["items"])}) for one in plain.pop("displays")
        )
        return Study(folder=Path(folder), design=design, displays=displays, **plain)
    except (TypeError, KeyError, AttributeError) as error:
        raise UnreadableFileError("is no description of a study", where=path, fix=fix) from error


def digest_of(folder: Path) -> str:
    """SHA-256 of the description of a study: what may be registered before the first read."""
    return hashlib.sha256((folder / STUDY_FILE).read_bytes()).hexdigest()
