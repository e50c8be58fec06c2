"""Read a TOML file strictly: every key is asked for, typed, in range, and used.

A fact file is edited by people who do not read Python, so each message names the file,
the table and the key, and says what was expected there.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

from scalemai.errors import ConfigError

__all__ = ["Table", "parse_table", "read_table"]

T = TypeVar("T")


def read_table(path: Path | Traversable) -> Table:
    """Read a TOML file as its top :class:`Table`.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"the file cannot be read ({error.strerror})", where=str(path), fix="check the path"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError("the file is not UTF-8 text", where=str(path)) from None
    # The last two parts are enough to find a packaged file and spare the reader the rest.
    where = path.name if isinstance(path, Path) else "/".join(Path(str(path)).parts[-2:])
    return parse_table(text, where)


def parse_table(text: str, where: str) -> Table:
    """Parse TOML text as its top :class:`Table`; ``where`` names it in messages."""
    try:
        return Table(tomllib.loads(text), where)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"this is not valid TOML: {error}", where=where) from None


class Table:
    """One table of a TOML file, with its place in the file for messages.

    Parameters
    ----------
    data
        What ``tomllib`` made of it.
    where
        File and table, for example ``"organs/liver.toml: kinds.hcc"``.
    """

    def __init__(self, data: Mapping[str, object], where: str) -> None:
        self.where = where
        self._data = data
        self._used: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def text(self, key: str) -> str:
        """Return a non-empty text."""
        value = self._typed(key, str, "a text")
        if not value.strip():
            raise self.error(key, "is empty", "write a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; a key that is not there is an empty list."""
        if key not in self._data:
            return ()
        values = self._typed(key, list, "a list of texts")
        if not all(isinstance(value, str) and value.strip() for value in values):
            raise self.error(key, f"is {values!r}", "write a list of texts")
        return tuple(values)

    def texts_or_text(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, of which one may stand without the list around it."""
        return (self.text(key),) if isinstance(self._take(key), str) else self.texts(key)

    def flag(self, key: str) -> bool:
        """Return true or false."""
        return self._typed(key, bool, "true or false")

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a finite number in ``[low, high]``, in the unit that the key names."""
        value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(key, f"is {value!r}", "write a number")
        if not math.isfinite(value) or not low <= value <= high:
            raise self.error(key, f"is {value}", f"write a number from {low:g} to {high:g}")
        return float(value)

    def integers(self, key: str) -> tuple[int, ...]:
        """Return a list of whole numbers."""
        values = self._typed(key, list, "a list of whole numbers")
        if not values or not all(type(value) is int for value in values):
            raise self.error(key, f"is {values!r}", "write a list of whole numbers")
        return tuple(values)

    def table(self, key: str) -> Table:
        """Return the table below ``key``."""
        # A top table is named by its file alone, so the first step down starts the dotted path.
        joint = "." if ": " in self.where else ": "
        return Table(self._typed(key, dict, "a table"), f"{self.where}{joint}{key}")

    def done(self) -> None:
        """Raise if a key was never asked for: it is misspelled or does not belong here."""
        unused = [key for key in self._data if key not in self._used]
        if unused:
            known = ", ".join(sorted(self._used)) or "none"
            raise self.error(unused[0], "does not belong here", f"known keys: {known}")

    def error(self, key: str, what: str, fix: str) -> ConfigError:
        """Build the error about one key of this table."""
        return ConfigError(f"{key!r} {what}", where=self.where, fix=fix)

    def _take(self, key: str) -> object:
        self._used.add(key)
        if key not in self._data:
            raise self.error(key, "is missing", "add it")
        return self._data[key]

    def _typed(self, key: str, kind: type[T], name: str) -> T:
        value = self._take(key)
        if not isinstance(value, kind):
            raise self.error(key, f"is {value!r}", f"write {name}")
        return value
