"""The phrases of lesion descriptions: those of ``words.toml`` and the names in the organ facts.

A phrase is known by its letters and digits alone, so that spaces, hyphens, case and British
spelling do not matter. A new organ brings its names, kinds, sites and vessels with its facts.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from scalemai.anatomy import FORMS, Organ, organ, organ_names, structure, structures
from scalemai.anatomy.spelling import squash
from scalemai.anatomy.table import Table, read_table
from scalemai.errors import ConfigError

__all__ = ["Entry", "Vocabulary", "plural", "vocabulary"]

NUMBERS: Final = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
)  # fmt: skip

_GRAMMAR = {
    "a": "a", "an": "a", "another": "a", "to": "t", "or": "o", "nor": "o", "and": "&", "plus": "&",
    "as well as": "&", "by": "b", "x": "x",
}  # fmt: skip
_COMPARE = {
    "most": "<", "least": ">", "most_after": "{", "least_after": "}", "about": "~", "between": "w",
}  # fmt: skip
_UNITS = {"mm": "u", "cm": "u", "degrees": "d", "hu": "h"}
_UNIT_VALUES = {"mm": 1.0, "cm": 10.0, "degrees": 1.0, "hu": 1.0}
_IRREGULAR = (("ses", "sis"), ("ies", "y"), ("ae", "a"), ("ata", "a"), ("i", "us"), ("es", ""))


@dataclass(frozen=True, slots=True)
class Entry:
    """What a phrase is.

    Parameters
    ----------
    code
        One letter for the grammar: what kind of word it is.
    field
        What it says something about, mostly a field of :class:`LesionSpec`.
    value
        What it says.
    noun
        Of features: whether it stands as a thing that a lesion has, not as its quality.
    """

    code: str
    field: str
    value: object = None
    noun: bool = False


_NO_ENTRY = Entry("", "")


@dataclass(frozen=True)
class Vocabulary:
    """All phrases, by their letters and digits.

    Parameters
    ----------
    entries
        What each phrase is.
    words
        Every single word that occurs in a phrase, for suggestions.
    longest
        Number of words of the longest phrase.
    about
        Share by which a size that is "about" so many mm may differ.
    """

    entries: Mapping[str, Entry]
    words: tuple[str, ...]
    longest: int
    about: float

    def find(self, words: Sequence[str]) -> tuple[Entry, bool] | None:
        """What a phrase is and whether it is a plural; None if it is not known."""
        head, last = squash("".join(words[:-1])), squash(words[-1])
        exact = self.entries.get(head + last)
        for singular in _singulars(last):
            entry = self.entries.get(head + singular)
            if entry is not None and exact in (None, entry):
                return entry, True
        return None if exact is None else (exact, False)

    def nearest(self, word: str) -> list[str]:
        """Known words that look like one that is not."""
        near = difflib.get_close_matches(word.lower(), self.words, n=4, cutoff=0.7)
        return [other for other in near if other != word.lower()][:3]


def plural(noun: str) -> str:
    """The plural of a noun phrase, one that the vocabulary reads back."""
    if noun.endswith("sis"):
        return f"{noun[:-2]}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch")) else f"{noun}s"


def _singulars(word: str) -> Iterator[str]:
    for ending, instead in _IRREGULAR:
        if word.endswith(ending) and len(word) > len(ending) + 1:
            yield word[: -len(ending)] + instead
    if word.endswith("s") and len(word) > 2:
        yield word[:-1]


@cache
def vocabulary() -> Vocabulary:
    """The vocabulary of the package, read once."""
    return _read(read_table(files("scalemai.synthesis.words") / "words.toml"))


class _Builder:
    """Collects phrases; one phrase has one meaning."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.entries: dict[str, Entry] = {}
        self.words: dict[str, None] = {}
        self.longest = 1

    def add(self, phrases: Iterable[str], entry: Entry) -> None:
        for phrase in phrases:
            for spelling in _variants(phrase):
                key = squash(spelling)
                known = self.entries.setdefault(key, entry)
                if known != entry:
                    what = f"{spelling!r} would mean both {known} and {entry}"
                    raise ConfigError(what, where=self.where, fix="keep one of them")
                parts = re.findall(r"[^\W\d_]+|\d+", spelling)
                self.words.update(dict.fromkeys(part.lower() for part in parts if len(part) > 2))
                self.longest = max(self.longest, len(parts))

    def add_kind(self, spelling: str) -> None:
        """A lesion kind. A spelling that says more ("calcified granuloma") is left to its parts."""
        parts = re.findall(r"[^\W_]+", spelling)
        said = [self.entries.get(squash(part)) for part in parts]
        if len(parts) > 1 and any(entry is not None and entry.code == "F" for entry in said):
            return
        *head, last = parts
        singulars = (squash("".join(head) + singular) for singular in _singulars(last.lower()))
        if any(self.entries.get(one, _NO_ENTRY).code == "k" for one in singulars):
            return
        # Which kind it is depends on the organ, and often so does whether there is one.
        self.add([spelling], Entry("k", "kind", squash(spelling)))


def _read(table: Table) -> Vocabulary:
    build = _Builder(table.where)
    for word, code in _GRAMMAR.items():
        build.add([word], Entry(code, "grammar"))
    build.add(table.texts("lesion"), Entry("N", "lesion"))
    build.add(table.texts("definite"), Entry("T", "grammar"))
    build.add(table.texts("negation"), Entry("!", "negation"))
    _read_numbers(table, build)
    _read_looks(table, build)
    _read_features(table, build)
    _read_anatomy(table, build)
    stop = [word for word in table.texts("stop") if squash(word) not in build.entries]
    build.add(stop, Entry("s", "grammar"))
    about = table.table("about")
    share = about.number("share", 0.0, 1.0)
    about.text("source")
    about.done()
    table.done()
    return Vocabulary(build.entries, tuple(build.words), build.longest, share)


def _read_numbers(table: Table, build: _Builder) -> None:
    numbers = table.table("number")
    for value, name in enumerate(NUMBERS, start=1):
        build.add(numbers.texts(name), Entry("n", "count", float(value)))
    numbers.done()
    build.add(table.table("several").texts("words"), Entry("q", "count"))
    compare = table.table("compare")
    for name, code in _COMPARE.items():
        build.add(compare.texts(name), Entry(code, "grammar"))
    compare.done()
    units = table.table("unit")
    for name, code in _UNITS.items():
        build.add(units.texts(name), Entry(code, "unit", _UNIT_VALUES[name]))
    units.done()
    sizes = table.table("size")
    for name in sizes:
        size = sizes.table(name)
        low, high = size.integers("mm")
        size.text("source")
        build.add(size.texts("words"), Entry("S", "diameter_mm", (float(low), float(high))))
        size.done()


def _read_looks(table: Table, build: _Builder) -> None:
    for field in ("trait", "contrast", "margin", "form"):
        values = table.table(field)
        for value in values:
            if (field, value) == ("contrast", "difference"):
                build.add(values.texts(value), Entry("C", "grammar"))
            else:
                build.add(values.texts(value), Entry("F", field, value))
    for name in dict.fromkeys(itertools.chain.from_iterable(FORMS.values())):
        if squash(name) not in build.entries:  # "solid" is read as a trait first
            build.add([name], Entry("F", "form", name))


def _read_features(table: Table, build: _Builder) -> None:
    features = table.table("feature")
    for field in features:
        feature = features.table(field)
        build.add(feature.texts("nouns"), Entry("F", field, True, noun=True))
        for phrase in feature.texts("adjectives"):
            build.add([phrase], Entry("F", field, True))
            build.add([f"non {phrase}"], Entry("F", field, False))
        feature.done()
    opposite = table.table("opposite")
    for field in opposite:
        build.add(opposite.texts(field), Entry("F", field, False))
    double = table.table("double_duct").texts("words")
    build.add(double, Entry("F", "double_duct", True, noun=True))
    contacts = table.table("contact")
    for name in contacts:
        contact = contacts.table(name)
        low, high = contact.integers("degrees")
        contact.text("source")
        build.add(contact.texts("words"), Entry("V", "contact", (float(low), float(high))))
        contact.done()


def _read_anatomy(table: Table, build: _Builder) -> None:
    organs = [organ(name) for name in organ_names()]
    others = table.table("organ")
    for facts in organs:
        words = others.texts(facts.name) if facts.name in others else ()
        aliases = structure(facts.name).aliases
        build.add((facts.name, *aliases, *words), Entry("O", "organ", facts.name))
    sites = table.table("site")
    for name in dict.fromkeys((*_sites_of(organs), *sites)):
        words = sites.texts(name) if name in sites else ()
        build.add((name, *words), Entry("L", "site", name))
    build.add(["duct"], Entry("v", "vessel", "duct"))
    for one in structures():
        if one.group in ("vessel", "duct"):
            spellings = {squash(text): text for text in (one.name, *one.aliases)}
            build.add(spellings.values(), Entry("v", "vessel", one.name))
    for facts in organs:
        for kind in facts.kinds:
            for spelling in (kind.name, *kind.aliases):
                build.add_kind(spelling)


def _sites_of(organs: Iterable[Organ]) -> Iterator[str]:
    return itertools.chain.from_iterable(facts.sites for facts in organs)


def _variants(phrase: str) -> Iterator[str]:
    """Every spelling of ``"(low|high) density"``."""
    parts = re.split(r"\(([^()]*)\)", phrase)
    choices = [part.split("|") if odd % 2 else [part] for odd, part in enumerate(parts)]
    for chosen in itertools.product(*choices):
        yield " ".join("".join(chosen).split())
