"""A description as a row of items: phrases of the vocabulary, numbers with their units, the rest.

First the longest known phrases are found. Then numbers and the words round them become sizes,
angles, differences in HU, places and counts, by patterns over the letters of the items.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scalemai.errors import ConfigError
from scalemai.synthesis.words.vocabulary import Vocabulary, vocabulary

__all__ = ["UNKNOWN", "Item", "items_of", "refuse"]

UNKNOWN = "?"

_TOKEN = re.compile(
    r"(?P<number>\d+(?:\.\d+|,\d{1,2}(?!\d))?|\.\d+)|(?P<word>[^\W\d_]+)|(?P<symbol><=|>=|\S)"
)
_SYMBOLS = {
    **dict.fromkeys(("<=", "<", "≤"), "<"),
    **dict.fromkeys((">=", ">", "≥"), ">"),
    **dict.fromkeys("~≈", "~"),
    **dict.fromkeys("×*", "x"),
    **dict.fromkeys("-‐‑–—−_", "-"),
    **dict.fromkeys(",/", ","),
    **dict.fromkeys(".;:!", "."),
    **dict.fromkeys("[]\"'“”‘’", "s"),
    "(": "(",
    ")": ")",
    "+": "+",
    "°": "d",
}
_STRAY = frozenset("nudh<>{}~wxC+")  # letters of items that mean nothing on their own


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of a description.

    Parameters
    ----------
    code
        Letter of the grammar: ``N`` lesion, ``k`` kind, ``O`` organ, ``L`` site, ``F`` feature,
        ``V`` contact, ``v`` vessel, ``Z`` size, ``S`` size in a word, ``A`` angle, ``D`` difference
        in HU, ``P`` place, ``W`` width of a duct, ``c`` count, ``q`` several, ``!`` negation,
        ``?`` unknown, ``T`` "the", ``a`` "a", ``&``, ``,`` and ``.`` separators, ``s`` nothing.
    field, value
        What it says something about, and what it says.
    text, start, stop
        Its words, and where they stand in the description.
    plural
        Whether its last word is a plural.
    noun
        Of features: whether it names a thing.
    """

    code: str
    field: str
    value: object
    text: str
    start: int
    stop: int
    plural: bool = False
    noun: bool = False


def refuse(what: str, field: str, fix: str = "") -> ConfigError:
    """The error about one field of a description."""
    return ConfigError(what, where=f"description: {field}", fix=fix)


def items_of(text: str) -> list[Item]:
    """Read a description as items, in order; everything but white space is in one of them.

    Raises
    ------
    ConfigError
        If a number is understood but cannot be asked for, as an absolute attenuation.
    """
    items = _phrases(text, vocabulary())
    for pattern, build in _RULES:
        items = _apply(pattern, build, items, text)
    return [
        replace(item, code=UNKNOWN, field="", value=None) if item.code in _STRAY else item
        for item in items
    ]


def _phrases(text: str, words: Vocabulary) -> list[Item]:
    tokens = list(_TOKEN.finditer(text))
    items: list[Item] = []
    at = 0
    while at < len(tokens):
        item, at = _longest_phrase(text, tokens, at, words)
        items.append(item)
    return items


def _longest_phrase(
    text: str, tokens: Sequence[re.Match[str]], at: int, words: Vocabulary
) -> tuple[Item, int]:
    first = tokens[at]
    run: list[str] = []
    best: tuple[Item, int] | None = None
    if first["word"]:
        for index in range(at, min(len(tokens), at + 2 * words.longest)):
            token = tokens[index]
            if token["symbol"]:
                if _SYMBOLS.get(token["symbol"]) != "-":
                    break
                continue
            run.append(token[0])
            found = words.find(run)
            if found is not None:
                entry, many = found
                start, stop = first.start(), token.end()
                item = Item(
                    entry.code, entry.field, entry.value, text[start:stop], start, stop, many,
                    entry.noun,
                )  # fmt: skip
                best = item, index + 1
    if best is not None:
        return best
    code, value = UNKNOWN, None
    if first["number"]:
        code, value = "n", float(first["number"].replace(",", "."))
    elif first["symbol"]:
        code = _SYMBOLS.get(first["symbol"], UNKNOWN)
        value = 1.0 if code == "d" else None
    return Item(code, "", value, first[0], first.start(), first.end()), at + 1


_Built = tuple[str, str, object]  # code, field and value of the item that is made
_Build = Callable[[re.Match[str], Sequence[Item]], _Built | None]


def _apply(pattern: re.Pattern[str], build: _Build, items: Sequence[Item], text: str) -> list[Item]:
    """Put one item in the place of those that a pattern over the codes finds."""
    codes = "".join(item.code for item in items)
    made: list[Item] = []
    done = 0
    for found in pattern.finditer(codes):
        built = build(found, items)
        if built is None:
            continue
        made += items[done : found.start()]
        start, stop = items[found.start()].start, items[found.end() - 1].stop
        made.append(Item(*built, text[start:stop], start, stop))
        done = found.end()
    return [*made, *items[done:]]


def _number(found: re.Match[str], items: Sequence[Item], group: str) -> float:
    value = items[found.start(group)].value
    assert isinstance(value, float)
    return value


def _mm(found: re.Match[str], items: Sequence[Item], number: str, *units: str) -> float:
    """A length in mm; where a number has no unit, the next one's holds."""
    unit = next(group for group in units if found[group])
    return _number(found, items, number) * _number(found, items, unit)


def _place(found: re.Match[str], items: Sequence[Item]) -> _Built:
    x, y, z = (
        (-1.0 if found[f"sign_{axis}"] else 1.0) * _mm(found, items, axis, "unit") for axis in "xyz"
    )
    return "P", "at_mm", (x, y, z)


def _brighter(found: re.Match[str], items: Sequence[Item]) -> _Built | None:
    than = items[found.start("than")]
    if than.code == "F" and (than.field != "contrast" or than.value == "iso"):
        return None
    darker = than.code == "<" or than.value == "hypo"
    return "D", "contrast_hu", (-1.0 if darker else 1.0) * _number(found, items, "n")


def _difference(found: re.Match[str], items: Sequence[Item]) -> _Built:
    return "D", "contrast_hu", (-1.0 if found["sign"] == "-" else 1.0) * _number(found, items, "n")


def _absolute(found: re.Match[str], items: Sequence[Item]) -> None:
    what = f"{_number(found, items, 'n'):g} HU says nothing about the difference to the organ"
    raise refuse(what, "contrast_hu", "for example '30 HU darker' or '30 HU brighter'")


def _angle(found: re.Match[str], items: Sequence[Item]) -> _Built:
    low = _number(found, items, "low")
    high = _number(found, items, "high") if found["high"] else low
    return "A", "vessel", _open(found["compare"], low, high)


def _open(compare: str, low: float, high: float) -> tuple[float | None, float | None]:
    """A range whose ends may be open, from how it is compared."""
    if compare in ("<", "{"):
        return None, high
    if compare in (">", "}"):
        return low, None
    if compare == "~":
        share = vocabulary().about
        return low * (1.0 - share), high * (1.0 + share)
    return low, high


def _range(found: re.Match[str], items: Sequence[Item]) -> _Built:
    low = _mm(found, items, "low", "first", "unit")
    high = _mm(found, items, "high", "unit")
    if high < low:
        what = f"{low:g}-{high:g} mm ends below its start"
        raise refuse(what, "diameter_mm", f"did you mean {high:g}-{low:g} mm?")
    return "Z", "diameter_mm", _open(found["compare"], low, high)


def _longest(found: re.Match[str], items: Sequence[Item]) -> _Built:
    units = {"a": "unit_a", "b": "unit_b", "c": "unit_c"}
    sizes = [
        _mm(found, items, axis, *list(units.values())[index:])
        for index, axis in enumerate(units)
        if found[axis]
    ]
    return "Z", "diameter_mm", _open(found["compare"], max(sizes), max(sizes))


def _one_size(found: re.Match[str], items: Sequence[Item]) -> _Built:
    size = _mm(found, items, "low", "unit")
    return "Z", "diameter_mm", _open(found["compare"] or found["after"], size, size)


def _width(found: re.Match[str], items: Sequence[Item]) -> _Built | None:
    """The size of a duct is not that of the lesion."""
    size, duct = items[found.start("size")], items[found.start("duct")]
    if not (duct.field == "duct" and duct.noun) and not str(duct.value).endswith("duct"):
        return None
    if found["of"] and items[found.start("of")].text.lower() not in ("of", "to"):
        return None
    before = [item for item in items[: found.start()] if item.code not in ("a", "T")]
    inside = bool(before) and before[-1].text.lower() in ("in", "inside", "within")
    assert isinstance(size.value, tuple)
    return "W", "duct", (size.value[1] or size.value[0]) if inside else None


def _count_of(found: re.Match[str], items: Sequence[Item]) -> _Built:
    low = _number(found, items, "low")
    high = _number(found, items, "high") if found["high"] else low
    return "c", "count", _open(found["compare"] or found["after"], low, high)


_COMPARE = r"(?P<compare>[<>~]?)"
_RULES: Sequence[tuple[re.Pattern[str], _Build]] = [
    (re.compile(pattern), build)
    for pattern, build in (
        (
            r"\((?P<sign_x>-?)(?P<x>n),(?P<sign_y>-?)(?P<y>n),(?P<sign_z>-?)(?P<z>n)\)(?P<unit>u)",
            _place,
        ),
        (r"(?P<n>n)-?h(?P<than>[<>F])", _brighter),
        (r"Cs*(?P<sign>[-+]?)(?P<n>n)-?h", _difference),
        (r"(?P<n>n)-?h", _absolute),
        (r"(?P<compare>)w(?P<low>n)&(?P<high>n)-?d", _angle),
        (rf"{_COMPARE}(?P<low>n)(?:[-t](?P<high>n))?-?d", _angle),
        (r"(?P<compare>)w(?P<low>n)-?(?P<first>u?)&(?P<high>n)-?(?P<unit>u)", _range),
        (
            rf"{_COMPARE}(?P<a>n)-?(?P<unit_a>u?)[xb](?P<b>n)-?(?P<unit_b>u?)"
            r"(?:[xb](?P<c>n)-?(?P<unit_c>u))?(?<=u)",
            _longest,
        ),
        (rf"{_COMPARE}(?P<low>n)-?(?P<first>u?)[-t](?P<high>n)-?(?P<unit>u)", _range),
        (rf"{_COMPARE}(?P<low>n)-?(?P<unit>u)(?P<after>[{{}}]?)", _one_size),
        (r"(?P<size>Z)(?P<of>)(?P<duct>[Fv])", _width),
        (r"(?P<duct>[Fv])(?P<of>[st]?)(?P<size>Z)", _width),
        (r"(?P<compare>)w(?P<low>n)&(?P<high>n)(?P<after>)", _count_of),
        (rf"{_COMPARE}(?P<low>n)(?:[-to](?P<high>n))?(?P<after>[{{}}]?)", _count_of),
    )
]
