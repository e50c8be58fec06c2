"""The reads of a study: who said of which case that it is real or synthetic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.tables import read_table

__all__ = ["Reads", "Repeat", "parse_reads", "read_reads"]

_REQUIRED = ("reader", "case", "truth", "answer")
_LARGEST_CONFIDENCE = 5


@dataclass(frozen=True, slots=True)
class Repeat:
    """A case that a reader read again: what he said first, and then (1 real, 0 synthetic)."""

    reader: str
    case: str
    first: int
    again: int


@dataclass(frozen=True, eq=False)
class Reads:
    """First reads of all readers and cases; readers and cases sorted by name.

    Parameters
    ----------
    readers, cases
        Names.
    real
        Array (cases,): whether a case is real.
    answer
        Array (readers, cases): 1 for "real", 0 for "synthetic", -1 where there is no read.
    confidence
        Array (readers, cases): confidence in the answer, 1 to 5; NaN where not given.
    seconds
        Array (readers, cases): duration of the read; NaN where not given.
    repeats
        Later reads of cases that the reader had read before.
    hashes
        Case to the SHA-256 of all its rows in a fixed order: a study table has no files of cases.
    """

    readers: tuple[str, ...]
    cases: tuple[str, ...]
    real: NDArray[np.bool_]
    answer: NDArray[np.int8]
    confidence: NDArray[np.float64]
    seconds: NDArray[np.float64]
    repeats: tuple[Repeat, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> dict[str, int]:
        """Reader to how many cases he has no read of; those without gaps are not listed."""
        gaps = (self.answer < 0).sum(axis=1)
        return {name: int(n) for name, n in zip(self.readers, gaps, strict=True) if n}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the design: gaps, imbalance, constant answers."""
        notes: list[str] = []
        if self.missing:
            listed = ", ".join(f"{name}: {n}" for name, n in self.missing.items())
            notes.append(
                f"reads are missing ({listed}, of {len(self.cases)} cases); they are left out"
            )
        real = int(self.real.sum())
        if 2 * real != len(self.cases):
            notes.append(
                f"{real} of {len(self.cases)} cases are real: accuracy depends on that share, "
                "balanced accuracy does not"
            )
        for name, row in zip(self.readers, self.answer, strict=True):
            given = row[row >= 0]
            if given.size and np.ptp(given) == 0:
                word = "real" if given[0] else "synthetic"
                notes.append(
                    f"{name} answered {word!r} throughout: a balanced accuracy of 0.5 of such a "
                    "reader is a habit, no proof that cases are indistinguishable"
                )
        return tuple(notes)


def read_reads(path: Path | str) -> Reads:
    """Read the table of a study from CSV or Parquet.

    Parameters
    ----------
    path
        The file; columns as of :func:`parse_reads`.

    Raises
    ------
    UnreadableFileError, ConfigError
        If it cannot be read, or as of :func:`parse_reads`.
    """
    return parse_reads(read_table(path).frame, where=str(path))


def parse_reads(frame: pl.DataFrame, *, where: str = "reads") -> Reads:
    """Check a table of reads and put it in order.

    Parameters
    ----------
    frame
        A row per read: ``reader, case, truth, answer`` (``real`` or ``synthetic``) and, if there
        are, ``confidence`` in the answer (1 to 5), ``seconds``, and ``repeat`` (a whole number
        that orders the reads of one case by one reader). A row without an answer is a missing
        read.
    where
        Named in errors.

    Raises
    ------
    ConfigError
        If a column is missing, a word or number is impossible, a case has two truths, a read is
        listed twice, or all cases are of one kind.
    """
    frame = frame.rename({name: name.strip().lower() for name in frame.columns})
    for name in _REQUIRED:
        if name not in frame.columns:
            error = UnknownNameError("column", name, frame.columns)
            error.where = where
            error.what, error.fix = f"has no column {name!r}", f"it needs {', '.join(_REQUIRED)}"
            raise error
    rows = [_row(row, number, where) for number, row in enumerate(frame.to_dicts(), start=1)]
    if not rows:
        raise ConfigError("holds no reads", where=where)
    rows.sort(key=lambda row: (row["reader"], row["case"], row["repeat"]))
    truth: dict[str, bool] = {}
    for row in rows:
        if truth.setdefault(row["case"], row["real"]) != row["real"]:
            what = f"case {row['case']!r} is real in one row and synthetic in another"
            raise ConfigError(what, where=where, fix="check the column truth")
    if len(set(truth.values())) < 2:
        kind = "real" if next(iter(truth.values())) else "synthetic"
        fix = "a study needs real and synthetic cases"
        raise ConfigError(f"all cases are {kind}", where=where, fix=fix)
    readers, cases = sorted({row["reader"] for row in rows}), sorted(truth)
    at = {name: k for k, name in enumerate(cases)}, {name: k for k, name in enumerate(readers)}
    shape = (len(readers), len(cases))
    answer = np.full(shape, -1, np.int8)
    confidence, seconds = np.full(shape, np.nan), np.full(shape, np.nan)
    repeats: list[Repeat] = []
    before: tuple[str, str, int] | None = None
    for row in rows:
        key = (row["reader"], row["case"], row["repeat"])
        if key == before:
            what = f"{row['reader']} reads case {row['case']!r} twice"
            fix = "number reads of one case in a column repeat, or keep one"
            raise ConfigError(what, where=where, fix=fix)
        before = key
        if row["answer"] is None:
            continue
        i, j = at[1][row["reader"]], at[0][row["case"]]
        if answer[i, j] >= 0:
            repeats.append(Repeat(row["reader"], row["case"], int(answer[i, j]), row["answer"]))
            continue
        answer[i, j] = row["answer"]
        confidence[i, j], seconds[i, j] = row["confidence"], row["seconds"]
    plain: dict[str, list[Any]] = {case: [] for case in cases}
    for row in rows:
        plain[row["case"]].append(sorted(row.items()))
    hashes = {case: sha256(repr(of_case).encode()).hexdigest() for case, of_case in plain.items()}
    real = np.array([truth[case] for case in cases])
    return Reads(
        tuple(readers), tuple(cases), real, answer, confidence, seconds, tuple(repeats), hashes
    )


def _row(row: Mapping[str, Any], number: int, where: str) -> dict[str, Any]:
    place = f"{where}, row {number}"
    names = {name: str(row[name] if row[name] is not None else "").strip() for name in _REQUIRED}
    for name in ("reader", "case", "truth"):
        if not names[name]:
            raise ConfigError(f"has no {name}", where=place, fix="fill it in or drop the row")
    confidence = _number(row.get("confidence"), "confidence", place)
    if not math.isnan(confidence) and not 1 <= confidence <= _LARGEST_CONFIDENCE:
        fix = f"give 1 to {_LARGEST_CONFIDENCE}"
        raise ConfigError(f"confidence is {confidence:g}", where=place, fix=fix)
    seconds = _number(row.get("seconds"), "seconds", place)
    if seconds <= 0:
        raise ConfigError(f"a read of {seconds:g} s", where=place, fix="leave it empty if unknown")
    repeat = _number(row.get("repeat"), "repeat", place)
    repeat = 0.0 if math.isnan(repeat) else repeat
    if repeat != int(repeat):
        raise ConfigError(f"repeat is {repeat:g}", where=place, fix="give whole numbers")
    return {
        "reader": names["reader"],
        "case": names["case"],
        "real": _is_real(names["truth"], "truth", place),
        "answer": int(_is_real(names["answer"], "answer", place)) if names["answer"] else None,
        "confidence": confidence,
        "seconds": seconds,
        "repeat": int(repeat),
    }


def _is_real(text: str, name: str, place: str) -> bool:
    word = text.lower()
    if word not in ("real", "synthetic"):
        raise ConfigError(f"{name} is {text!r}", where=place, fix="write real or synthetic")
    return word == "real"


def _number(value: Any, name: str, place: str) -> float:
    if value is None or str(value).strip() == "":
        return math.nan
    if isinstance(value, bool):
        value = int(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{name} is {value!r}", where=place, fix="give a number") from None
    if not math.isfinite(number):
        raise ConfigError(f"{name} is {number}", where=place, fix="leave it empty if unknown")
    return number
