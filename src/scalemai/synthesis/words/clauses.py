"""Which words of a description belong to which lesion, and what they deny."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from scalemai.synthesis.words.items import UNKNOWN, Item, refuse

__all__ = ["clauses", "deny", "without_stray_counts"]

_SEPARATORS = ",.&"
_PASSED_OVER = "saT"
_LESION = "Nk"


def deny(items: Sequence[Item]) -> list[Item]:
    """Take the negations out: what they deny becomes False, and its text starts with them.

    "Or" carries a negation on ("without necrosis or calcification"). Whether "and" and a comma do
    cannot be told from the words, so that is refused.

    Raises
    ------
    ConfigError
        If a negation stands before something that cannot be denied, or could mean two things.
    """
    out = list(items)
    for at, item in enumerate(out):
        if item.code != "!":
            continue
        first = _next(out, at + 1)
        if first is None or out[first].code == UNKNOWN:
            out[at] = replace(item, code=UNKNOWN)
            continue
        _check_deniable(item, out[first])
        targets = [first, *_listed(out, first)]
        for target in targets:
            out[target] = replace(out[target], value=not out[target].value)
        start = item.start
        out[first] = replace(out[first], start=start, text=f"{item.text} {out[first].text}")
        # The words between belong to the item now; where they were nothing is left.
        for index in (*range(at, first), *_joints(out, targets)):
            out[index] = replace(out[index], code="s")
    # Any other "or" leaves open what is wanted.
    return [replace(item, code=UNKNOWN) if item.code == "o" else item for item in out]


def clauses(items: Sequence[Item]) -> list[list[Item]]:
    """Split a description into its lesions.

    A new lesion begins after "and", a comma or a full stop, if another noun for a lesion follows
    ("and a 3 cm cyst in the liver"), unless that is "the mass" again, or if a number does ("and
    two in the left lung").
    """
    found: list[list[Item]] = [[]]
    for part in _parts(items):
        named = any(item.code in _LESION for item in found[-1])
        if named and _begins_a_lesion(part):
            found.append([])
        found[-1] += part
    return found


def without_stray_counts(clause: Sequence[Item]) -> list[Item]:
    """Keep the numbers that count lesions; others ("grade 2", "2 inch") are not understood."""
    nouns = [index for index, item in enumerate(clause) if item.code in _LESION]
    last = nouns[0] if nouns else len(clause)
    kept = []
    for index, item in enumerate(clause):
        before, after = clause[max(index - 1, 0)], clause[min(index + 1, len(clause) - 1)]
        unit = item.text[-1:].isdigit() and after.code == UNKNOWN
        stray = index > last or before.code == UNKNOWN or unit
        kept.append(replace(item, code=UNKNOWN) if item.code in "cq" and stray else item)
    return kept


def _parts(items: Sequence[Item]) -> Iterator[list[Item]]:
    part: list[Item] = []
    for item in items:
        if item.code in _SEPARATORS:
            yield part
            part = []
        part.append(item)
    yield part


def _begins_a_lesion(part: Sequence[Item]) -> bool:
    codes = "".join(item.code for item in part).lstrip("".join((_SEPARATORS, "sa")))
    if codes[:1] in ("c", "q"):
        return True
    noun = min((codes.find(code) for code in _LESION if code in codes), default=-1)
    return noun >= 0 and not (codes[noun] == "N" and "T" in codes[:noun])


def _next(items: Sequence[Item], at: int) -> int | None:
    return next((i for i in range(at, len(items)) if items[i].code not in _PASSED_OVER), None)


def _check_deniable(negation: Item, denied: Item) -> None:
    if isinstance(denied.value, bool) and denied.code == "F":
        return
    if denied.code in _LESION:
        raise refuse(f"{negation.text!r}: no lesion is asked for", "count", "say what is wanted")
    what = f"{denied.text!r} cannot be denied by {negation.text!r}"
    raise refuse(what, denied.field or "negation", "say what is wanted instead")


def _listed(items: Sequence[Item], first: int) -> list[int]:
    """Features that a negation reaches beyond the first: those in a list that "or" ends."""
    found: list[int] = []
    open_end = False
    at = first
    while True:
        joints = []
        index = at + 1
        while index < len(items) and items[index].code in ",o&":
            joints.append(items[index].code)
            index += 1
        while index < len(items) and items[index].code in "aT":
            index += 1
        if not joints or index >= len(items):
            break
        item = items[index]
        joined = "o" in joints
        if not (item.code == "F" and isinstance(item.value, bool) and (item.noun or joined)):
            break
        found.append(index)
        open_end = not joined
        at = index
    if open_end:
        last = items[at].text
        what = f"whether {last!r} is wanted or not cannot be told"
        raise refuse(what, items[at].field, f"write 'or {last}', or 'with {last}'")
    return found


def _joints(items: Sequence[Item], targets: Sequence[int]) -> Iterator[int]:
    for low, high in pairwise(targets):
        yield from range(low + 1, high)
