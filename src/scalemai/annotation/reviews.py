"""A review on disk: where its database and its working store are."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import Engine, make_url

from scalemai.annotation.database.opening import open_database, without_password
from scalemai.annotation.facts import FORMAT
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.io.atomic import atomic_path

__all__ = ["REVIEW_FILE", "Review", "open_review", "write_review"]

REVIEW_FILE = "review.toml"
"""The file that makes a folder a review; written last."""


@dataclass(frozen=True, slots=True)
class Review:
    """A review folder.

    Parameters
    ----------
    folder
        Its path.
    database
        URL of its database, without the password; None for the SQLite file in the folder.
    """

    folder: Path
    database: str | None = None

    @property
    def database_file(self) -> Path:
        """The SQLite file, if there is no other database."""
        return self.folder / "review.sqlite"

    def store(self, case_key: str) -> Path:
        """Folder of a case in the working store."""
        return self.folder / "store" / case_key

    def open(self, password: str | None = None) -> Engine:
        """The engine of its database.

        Parameters
        ----------
        password
            Of the database server, which is not kept in the folder.

        Raises
        ------
        ConfigError, OutputError
            If it cannot be opened.
        """
        if self.database is None:
            return open_database(self.database_file)
        url = make_url(self.database)
        if password is not None:
            url = url.set(password=password)
        return open_database(url.render_as_string(hide_password=False))


def open_review(folder: Path | str) -> Review:
    """The review in a folder.

    Raises
    ------
    UnreadableFileError
        If the folder holds no review that was finished.
    ConfigError
        If it was made by another version.
    """
    path = Path(folder) / REVIEW_FILE
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        fix = "make one with scalemai annotate DATASET --out REVIEW"
        raise UnreadableFileError("holds no review", where=folder, fix=fix) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UnreadableFileError(f"cannot be read ({error})", where=path) from error
    if plain.get("format") != FORMAT:
        what = f"has format {plain.get('format')!r} instead of {FORMAT!r}"
        raise ConfigError(what, where=path, fix="use the version of scalemai that made it")
    return Review(Path(folder), plain.get("database"))


def write_review(review: Review) -> None:
    """Write the review's file, readable by its owner only.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    lines = [f'format = "{FORMAT}"']
    if review.database is not None:
        shown = without_password(review.database)
        lines.append(f"database = {json.dumps(shown, ensure_ascii=False)}")
    with atomic_path(review.folder / REVIEW_FILE) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
