"""Lesions in words: from a description to specs, and back.

A fixed grammar over a fixed vocabulary. Every word is read, or is one of the words that add
nothing, or is reported as unknown: nothing is guessed.

>>> from scalemai.synthesis.words.language import describe, parse_description
>>> told = parse_description("two hypodense ill-defined 8-15 mm masses in the pancreatic tail")
>>> told.specs[0].site, told.specs[0].diameter_mm, told.counts[0]
('tail', (8.0, 15.0), (2, 2))
>>> describe(told.specs[0], 2)
'two hypoattenuating ill-defined 8-15 mm lesions in the tail of the pancreas'
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scalemai.anatomy import organ
from scalemai.errors import ConfigError
from scalemai.synthesis.spec import LesionSpec, random_stream
from scalemai.synthesis.words.clauses import clauses, deny, without_stray_counts
from scalemai.synthesis.words.items import UNKNOWN, Item, items_of
from scalemai.synthesis.words.lesion import Words, read_clause
from scalemai.synthesis.words.vocabulary import vocabulary
from scalemai.synthesis.words.writing import describe

__all__ = ["Description", "Span", "describe", "parse_description"]

_LONGEST_TEXT = 10_000
_MOST_NAMED = 6
_EXAMPLE = "for example 'two hypodense 8-15 mm masses in the pancreatic tail'"


@dataclass(frozen=True, slots=True)
class Span:
    """Words of a description and what they were read as.

    Parameters
    ----------
    text
        The words.
    start, stop
        Their place: ``description[start:stop]``.
    field
        Field of :class:`LesionSpec`, or ``count``, ``lesion`` (a word for a lesion) or ``trait``
        (what narrows down the kind); empty for unknown words.
    value
        What they say about it.
    lesion
        Which of the specs it is about, from 0.
    """

    text: str
    start: int
    stop: int
    field: str
    value: object
    lesion: int = 0


@dataclass(frozen=True, slots=True)
class Description:
    """A description that was read.

    Parameters
    ----------
    specs
        The lesions that it tells of.
    counts
        Least and greatest number of each.
    reading
        What was read, in order.
    unknown
        Words that were not understood, in order.
    """

    specs: tuple[LesionSpec, ...]
    counts: tuple[tuple[int, int], ...]
    reading: tuple[Span, ...]
    unknown: tuple[Span, ...] = ()

    def lesions(self, case_id: str, seed: int) -> tuple[LesionSpec, ...]:
        """The spec of every lesion of one case; numbers are drawn where a range is described.

        The same case and seed give the same lesions.
        """
        found: list[LesionSpec] = []
        for number, (spec, (low, high)) in enumerate(zip(self.specs, self.counts, strict=True)):
            rng = random_stream(seed, case_id, number, "described count")
            found += [spec] * int(rng.integers(low, high, endpoint=True))
        return tuple(found)


def parse_description(
    text: str, *, default_organ: str | None = None, strict: bool = True
) -> Description:
    """Read a description of lesions in English.

    Parameters
    ----------
    text
        For example ``"two hypoattenuating 8-15 mm masses in the pancreatic tail and a 3 cm cyst in
        the liver"``.
    default_organ
        Organ of lesions for which the words leave it open.
    strict
        Refuse unknown words; otherwise they are only reported in :attr:`Description.unknown`.

    Raises
    ------
    ConfigError
        If a word is unknown (naming the nearest known ones), the words contradict each other or
        the organ facts (naming the field), or they tell of no lesion.
    """
    if len(text) > _LONGEST_TEXT:
        what = f"has {len(text):,} characters"
        raise ConfigError(what, where="description", fix=f"use at most {_LONGEST_TEXT:,}")
    default = None if default_organ is None else organ(default_organ).name
    parts = [without_stray_counts(part) for part in clauses(deny(items_of(text)))]
    unknown = tuple(
        Span(item.text, item.start, item.stop, "", None)
        for part in parts
        for item in part
        if item.code == UNKNOWN
    )
    if strict and unknown:
        raise _unknown_words(unknown)
    specs: list[LesionSpec] = []
    counts: list[tuple[int, int]] = []
    reading: list[Span] = []
    for part in parts:
        words = Words(part)
        if not words.says_something:
            continue
        previous = specs[-1].organ if specs else None
        spec, count = read_clause(words, previous=previous, default=default)
        reading += _spans(part, spec, count, len(specs))
        specs.append(spec)
        counts.append(count)
    if not specs:
        raise ConfigError(f"{text!r} tells of no lesion", where="description", fix=_EXAMPLE)
    return Description(tuple(specs), tuple(counts), tuple(reading), unknown)


def _unknown_words(unknown: Sequence[Span]) -> ConfigError:
    words = vocabulary()
    told = []
    for span in unknown[:_MOST_NAMED]:
        near = words.nearest(span.text)
        hint = f", did you mean {' or '.join(map(repr, near))}?" if near else ""
        told.append(f"{span.text!r} (character {span.start + 1}){hint}")
    if len(unknown) > _MOST_NAMED:
        told.append(f"and {len(unknown) - _MOST_NAMED:,} more")
    what = f"unknown word{'s' if len(told) > 1 else ''}: {'; '.join(told)}"
    return ConfigError(what, where="description", fix="change them, or have them ignored")


_SAME_FIELD = {"contact": "vessel", "double_duct": "duct"}


def _spans(
    part: Sequence[Item], spec: LesionSpec, count: tuple[int, int], lesion: int
) -> Iterator[Span]:
    """What was read of one lesion, with the values that words and facts together gave."""
    settled = {
        "kind": spec.kind,
        "site": spec.site,
        "vessel": spec.vessel,
        "diameter_mm": spec.diameter_mm,
        "count": count,
    }
    for item in part:
        if item.field not in ("", "grammar", "negation") and item.code != "s":
            field = _SAME_FIELD.get(item.field, item.field)
            value = settled.get(field, item.value)
            yield Span(item.text, item.start, item.stop, field, value, lesion)
