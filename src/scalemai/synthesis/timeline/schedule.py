"""When a lesion is scanned: days since the first scan, or the sizes that it has."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from scalemai.errors import ConfigError
from scalemai.synthesis.spec import LARGEST_DIAMETER_MM, SMALLEST_DIAMETER_MM

__all__ = ["MOST_SCANS", "Schedule", "parse_schedule", "read_schedule", "schedule_from_json"]

MOST_SCANS = 200
"""Each scan is a whole CT on disk."""

_LONGEST_DAYS = 36525.0  # a century
_LARGEST = 1e9
_DAYS = {"day": 1.0, "week": 7.0, "month": 365.25 / 12, "year": 365.25}
_MM = {"mm": 1.0, "cm": 10.0}
_UNITS = {
    **dict.fromkeys(("d", "day", "days"), "day"),
    **dict.fromkeys(("w", "wk", "week", "weeks"), "week"),
    **dict.fromkeys(("mo", "month", "months"), "month"),
    **dict.fromkeys(("y", "yr", "year", "years"), "year"),
    "mm": "mm",
    "cm": "cm",
}
_NUMBER = r"([+-]?\d+(?:\.\d+)?)"
_ENTRY = re.compile(rf"{_NUMBER}\s*([a-z]*)")
_SPAN = re.compile(
    rf"{_NUMBER}\s*([a-z]*)\s*(?:-|–|to|\.\.)\s*{_NUMBER}\s*([a-z]*)\s*,?\s*"
    rf"every\s+(?:{_NUMBER}\s*)?([a-z]*)"
)
_EVERY = re.compile(
    rf"every\s+(?:{_NUMBER}\s*)?([a-z]*)\s*,?\s*(?:for|until|over)\s+{_NUMBER}\s*([a-z]*)"
)
_EXAMPLE = (
    'for example "0, 90, 180 d", "0-24 months every 3", "every 3 months for 2 years" or "5, 10, '
    '20 mm"'
)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The scans of one lesion, first to last: either days or sizes.

    Day 0 is the first scan. The last entry is the lesion as it is synthesized without a schedule.

    Parameters
    ----------
    at_days
        Days since the first scan, from 0, rising.
    at_mm
        Longest axial diameters in mm, rising.

    Raises
    ------
    ConfigError
        Naming the field, if times or sizes are impossible or out of order.
    """

    at_days: tuple[float, ...] = ()
    at_mm: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.at_days) == bool(self.at_mm):
            what = "times and sizes exclude each other" if self.at_days else "no scan is named"
            raise ConfigError(what, where="schedule", fix=_EXAMPLE)
        name, values, unit = (
            ("at_days", self.at_days, "d") if self.at_days else ("at_mm", self.at_mm, "mm")
        )
        _check_order(name, values, unit)
        if self.at_days:
            if self.at_days[0] < 0:
                fix = "give days since the first scan, from 0"
                raise ConfigError(f"{self.at_days[0]:g} d is negative", where=name, fix=fix)
            if self.at_days[0] > 0:
                what = f"the first scan is day 0, not day {self.at_days[0]:g}"
                raise ConfigError(what, where=name, fix="start with 0")
            if self.at_days[-1] > _LONGEST_DAYS:
                what = f"{self.at_days[-1]:g} d is more than a century"
                raise ConfigError(what, where=name, fix="give days")
        elif not SMALLEST_DIAMETER_MM <= self.at_mm[0] <= self.at_mm[-1] <= LARGEST_DIAMETER_MM:
            fix = f"give {SMALLEST_DIAMETER_MM:g} to {LARGEST_DIAMETER_MM:g} mm"
            what = f"{self.at_mm[0]:g} to {self.at_mm[-1]:g} mm are no sizes of a lesion"
            raise ConfigError(what, where=name, fix=fix)

    def __len__(self) -> int:
        return len(self.at_days or self.at_mm)

    def check_final(self, diameter_mm: tuple[float, float]) -> None:
        """See that sizes end at the size that is asked for.

        Parameters
        ----------
        diameter_mm
            Range of the final longest axial diameter in mm.

        Raises
        ------
        ConfigError
            If a size is above the final one, or the last is not the final one.
        """
        if not self.at_mm:
            return
        low, high = diameter_mm
        last = self.at_mm[-1]
        if last > high:
            what = f"{last:g} mm is above the final diameter of {high:g} mm"
            raise ConfigError(what, where="at_mm", fix="end with the diameter asked for")
        if low != last or high != last:
            asked = f"{low:g}" if low == high else f"{low:g}-{high:g}"
            what = f"the last size is {last:g} mm, but a diameter of {asked} mm is asked for"
            raise ConfigError(what, where="at_mm", fix="make them the same")

    def to_json(self) -> dict[str, list[float]]:
        """Plain types, as :func:`schedule_from_json` reads them."""
        return {"at_days": list(self.at_days)} if self.at_days else {"at_mm": list(self.at_mm)}


def parse_schedule(text: str) -> Schedule:
    """Read a schedule in words.

    Lists (``"0, 90, 180 d"``, ``"0, 6 months, 1 year"``, ``"5, 10, 20 mm"``), spans
    (``"0-24 months every 3"``) and intervals (``"every 3 months for 2 years"``, from day 0) in
    days, weeks, months (a twelfth of 365.25 days), years, mm or cm. A number without a unit has
    that of the next one that has.

    Raises
    ------
    ConfigError
        If the text is something else, or times or sizes are impossible.
    """
    words = " ".join(text.lower().split()).rstrip(".")
    if span := _SPAN.fullmatch(words):
        unit = span[4] or span[2] or span[6]
        start = _measure(span[1], span[2] or unit, text)
        stop = _measure(span[3], unit, text)
        step = _measure(span[5] or "1", span[6] or unit, text)
        return _stepped(start, stop, step, text)
    if every := _EVERY.fullmatch(words):
        step = _measure(every[1] or "1", every[2], text)
        stop = _measure(every[3], every[4], text)
        return _stepped((0.0, stop[1]), stop, step, text)
    entries = [_ENTRY.fullmatch(part.strip()) for part in re.split(r"[,;]|\band\b", words)]
    if not all(entries):
        raise ConfigError(f"{text!r} is not a schedule", where="schedule", fix=_EXAMPLE)
    unit = ""
    measures = []
    for entry in reversed([one for one in entries if one is not None]):
        unit = entry[2] or unit
        measures.append(_measure(entry[1], unit, text))
    return _schedule([value for value, _ in measures[::-1]], {kind for _, kind in measures}, text)


def schedule_from_json(data: object) -> Schedule:
    """A schedule from plain types.

    Parameters
    ----------
    data
        ``{"at_days": [0, 90, 180]}``, ``{"at_mm": [5, 10, 20]}`` or
        ``{"every_days": 90, "until_days": 720}``.

    Raises
    ------
    ConfigError
        Naming the field that is wrong.
    """
    forms = ({"at_days"}, {"at_mm"}, {"every_days", "until_days"})
    if not isinstance(data, Mapping) or set(data) not in forms:
        given = ", ".join(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
        fix = 'give {"at_days": [...]}, {"at_mm": [...]} or {"every_days": N, "until_days": N}'
        raise ConfigError(f"{given or 'nothing'} is not a schedule", where="schedule", fix=fix)
    if "every_days" in data:
        step, stop = (_number(data[name], name) for name in ("every_days", "until_days"))
        return _stepped((0.0, "d"), (stop, "d"), (step, "d"), f"every {step:g} d", "every_days")
    ((name, values),) = data.items()
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ConfigError(f"{values!r} is not a list", where=name, fix="give a list of numbers")
    numbers = tuple(_number(value, name) for value in values)
    if not numbers:
        raise ConfigError("the list is empty", where=name, fix="give at least one number")
    return Schedule(**{name: numbers})


def read_schedule(text: str | Path) -> Schedule:
    """A schedule from words, or from a JSON file if that is what they name.

    Raises
    ------
    ConfigError
        If the file cannot be read or is wrong, or as :func:`parse_schedule`.
    """
    if not str(text).lower().endswith(".json"):
        return parse_schedule(str(text))
    try:
        data: Any = json.loads(Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        fix = 'give a JSON file, for example {"at_days": [0, 90, 180]}'
        raise ConfigError(f"cannot be read ({reason})", where=text, fix=fix) from error
    return schedule_from_json(data)


def _measure(number: str, unit: str, text: str) -> tuple[float, str]:
    """A number with its unit as days or mm, and which of the two."""
    name = _UNITS.get(unit)
    if name is None:
        what = f"{unit!r} in {text!r} is no unit" if unit else f"{text!r} has no unit"
        fix = "use d, weeks, months, years, mm or cm"
        raise ConfigError(what, where="schedule", fix=fix)
    scale = _DAYS.get(name)
    return (float(number) * _MM[name], "mm") if scale is None else (float(number) * scale, "d")


def _stepped(
    start: tuple[float, str],
    stop: tuple[float, str],
    step: tuple[float, str],
    text: str,
    where: str = "schedule",
) -> Schedule:
    """From start to stop; the last step may fall short of the end."""
    if not step[0] > 0:
        fix = "give a number above 0"
        raise ConfigError(f"a step of {step[0]:g} {step[1]} leads nowhere", where=where, fix=fix)
    if stop[0] < start[0]:
        what = f"it ends at {stop[0]:g} {stop[1]}, before its start at {start[0]:g}"
        raise ConfigError(what, where=where, fix=_EXAMPLE)
    steps = (stop[0] - start[0]) / step[0]
    if steps >= MOST_SCANS:
        raise _too_many(where)
    # Months are no whole days: the end is met in spite of rounding.
    count = math.floor(steps + 1e-9) + 1
    values = [start[0] + number * step[0] for number in range(count)]
    return _schedule(values, {start[1], stop[1], step[1]}, text)


def _schedule(values: Sequence[float], kinds: set[str], text: str) -> Schedule:
    if len(kinds) > 1:
        what = f"{text!r} mixes times and sizes"
        raise ConfigError(what, where="schedule", fix=_EXAMPLE)
    numbers = tuple(round(value, 6) for value in values)
    return Schedule(at_mm=numbers) if kinds == {"mm"} else Schedule(at_days=numbers)


def _check_order(name: str, values: Sequence[float], unit: str) -> None:
    if len(values) > MOST_SCANS:
        raise _too_many(name)
    if not all(map(math.isfinite, values)):
        raise ConfigError(f"{values} are no numbers", where=name, fix="give numbers")
    for before, after in pairwise(values):
        if after == before:
            what = f"{after:g} {unit} is named twice"
            raise ConfigError(what, where=name, fix="name each scan once")
        if after < before:
            what = f"{after:g} {unit} comes after {before:g} {unit}"
            raise ConfigError(what, where=name, fix="put them in rising order")


def _number(value: object, name: str) -> float:
    # True is an int to Python, but not to the user.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{value!r} is no number", where=name, fix="give numbers")
    if not abs(value) < _LARGEST:  # nor is NaN
        raise ConfigError("a number is out of all measure", where=name, fix="give numbers")
    return float(value)


def _too_many(where: str) -> ConfigError:
    what = f"more than {MOST_SCANS} scans of one lesion"
    return ConfigError(what, where=where, fix="give fewer: each is a whole CT on disk")
