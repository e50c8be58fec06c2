"""From the words about one lesion to its :class:`LesionSpec`, by the facts of the organ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from scalemai.anatomy import FORMS, LesionKind, Organ, organ, organ_names
from scalemai.errors import ConfigError, UnknownNameError
from scalemai.synthesis.spec import LARGEST_DIAMETER_MM, SMALLEST_DIAMETER_MM, LesionSpec
from scalemai.synthesis.words.items import Item, items_of, refuse

__all__ = ["MOST_LESIONS", "Words", "read_clause", "site_in_words"]

MOST_LESIONS: Final = 50
"""The most lesions of one description."""

_USUAL_MM = 40.0  # where "at least" leaves the upper end open: this, or twice as much as stated
_LEAST_DEGREES = 1.0
_FAT_HU = -20.0

_Trait = Callable[[LesionKind, Organ], bool]
_TRAITS: dict[str, _Trait] = {
    "cystic": lambda kind, _: kind.cystic,
    "solid": lambda kind, _: not kind.cystic,
    "fatty": lambda kind, _: kind.hu["non_contrast"].mean_hu < _FAT_HU,
    "arterial": lambda kind, facts: _difference(kind, facts, "arterial") > 0.0,
    "washout": lambda kind, facts: (
        _difference(kind, facts, "arterial") > 0.0
        and min(_difference(kind, facts, "portal_venous"), _difference(kind, facts, "delayed"))
        < 0.0
    ),
}


@dataclass
class Words:
    """What the words about one lesion say, field by field.

    Parameters
    ----------
    items
        The words.
    values
        Fields with one value each, and the words that said so.
    organs, sites, kinds, traits
        What is said of organ, site and kind, which only make sense together.
    low_mm, high_mm
        Narrowest limits of the diameter in mm; None where nothing is said.
    """

    items: Sequence[Item]
    values: dict[str, tuple[object, str]] = field(default_factory=dict)
    organs: dict[str, str] = field(default_factory=dict)
    sites: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    traits: dict[str, str] = field(default_factory=dict)
    low_mm: float | None = None
    high_mm: float | None = None

    def __post_init__(self) -> None:
        for item in self.items:
            if item.code in "OLk":
                table = {"O": self.organs, "L": self.sites, "k": self.kinds}[item.code]
                table.setdefault(str(item.value), item.text)
            elif item.code == "F" and item.field == "trait":
                self.traits.setdefault(str(item.value), item.text)
            elif item.code in "FDP":
                self.set(item.field, item.value, item.text)
            elif item.code in "ZS":
                self._narrow(item)
        if len(self.organs) > 1:
            raise _exclude("organ", *list(self.organs.values())[:2])
        self._read_vessel()
        self._check_duct_width()
        self._check_parts()

    def set(self, name: str, value: object, text: str) -> None:
        """Set a field once; saying the same again is no conflict."""
        known, before = self.values.setdefault(name, (value, text))
        if known != value:
            raise _exclude(name, before, text)

    @property
    def says_something(self) -> bool:
        """Whether a lesion is described, and not only a place named."""
        return any(item.code in "NkFZSVDcq" for item in self.items)

    def _narrow(self, item: Item) -> None:
        low, high = _ends(item)
        lows = [value for value in (self.low_mm, low) if value is not None]
        highs = [value for value in (self.high_mm, high) if value is not None]
        self.low_mm, self.high_mm = max(lows, default=None), min(highs, default=None)
        if lows and highs and max(lows) > min(highs):
            before = next(one.text for one in self.items if one.code in "ZS")
            raise _exclude("diameter_mm", before, item.text)

    def _read_vessel(self) -> None:
        contacts = [item for item in self.items if item.code == "V"]
        vessels = [item for item in self.items if item.code == "v"]
        angles = [item for item in self.items if item.code == "A"]
        if not contacts and not vessels and not angles:
            return
        fix = "for example 'encasing the superior mesenteric artery by 180-270 degrees'"
        for found, missing in ((contacts, "what the lesion does to it"), (vessels, "a vessel")):
            if not found:
                text = (contacts or vessels or angles)[0].text
                raise refuse(f"{text!r} lacks {missing}", "vessel", fix)
        for found in (contacts, vessels, angles):
            if len({item.value for item in found}) > 1:
                raise _exclude("vessel", found[0].text, found[1].text)
        low, high = _ends(contacts[0])
        if angles:
            low, high = _ends(angles[0])
        degrees = (_LEAST_DEGREES if low is None else low, 360.0 if high is None else high)
        self.set("vessel", (vessels[0].value, degrees), vessels[0].text)

    def _check_duct_width(self) -> None:
        for item in self.items:
            if item.code != "W":
                continue
            width_mm = item.value
            # "In a 6 mm duct" limits the lesion; "with a 6 mm duct" does not.
            if isinstance(width_mm, float) and (self.low_mm or 0.0) > width_mm:
                what = f"{self.low_mm:g} mm do not fit into a duct of {width_mm:g} mm"
                raise refuse(what, "diameter_mm", "give a smaller lesion")
            what = f"{item.text!r}: the width of a duct cannot be asked for"
            raise refuse(what, "duct", "write 'with duct dilatation'")

    def _check_parts(self) -> None:
        """A "hypodense rim" is no hypodense lesion, and "rim calcification" no rim."""
        for at, item in enumerate(self.items):
            following = [*self.items[at + 1 :]]
            if item.noun and following and following[0].text.lower() == "of":
                following = [one for one in following[1:] if one.code not in "aT"]
            part = following[0] if following else None
            if item.code in "FSZ" and part is not None and part.noun:
                what = f"{item.text!r} says how {part.text!r} is, which cannot be asked for"
                raise refuse(what, part.field, f"leave {item.text!r} out, or put a comma between")


def read_clause(
    words: Words, *, previous: str | None, default: str | None
) -> tuple[LesionSpec, tuple[int, int]]:
    """The spec of one lesion, and how many there are of it.

    Parameters
    ----------
    words
        What is said.
    previous, default
        Organ of the lesion before, and that of the caller, where the words leave it open.

    Raises
    ------
    ConfigError
        Naming the field, if the words contradict each other or the facts.
    """
    facts = organ(_organ_of(words, previous, default))
    values: dict[str, Any] = {name: value for name, (value, _) in words.values.items()}
    double = values.pop("double_duct", None)
    if facts.family == "lung" and "solid" in words.traits:
        words.set("form", "solid", words.traits["solid"])
        values["form"] = "solid"
    values["site"] = _site_of(words, facts)
    values["kind"] = _kind_of(words, facts)
    if words.low_mm is not None or words.high_mm is not None:
        values["diameter_mm"] = _diameter(words.low_mm, words.high_mm)
    if double:
        _double_duct(values, facts, words)
    try:
        spec = LesionSpec(organ=facts.name, **values)
    except ConfigError as error:
        raise _in_description(error) from error
    spec = _decide_kind(spec, words, facts)
    return spec, _count(words, spec)


def _organ_of(words: Words, previous: str | None, default: str | None) -> str:
    if words.organs:
        return next(iter(words.organs))
    possible = [name for name in organ_names() if _suits(words, organ(name))]
    for name in (previous, default):
        if name is not None and (not possible or name in possible):
            return name
    if len(possible) == 1:
        return possible[0]
    said = ", ".join(repr(text) for text in _about_place(words))
    what = f"no organ has all of {said}" if said and not possible else "no organ is named"
    fix = f"it could be {', '.join(possible)}" if said and possible else "say in which organ"
    raise refuse(what, "organ", fix)


def _about_place(words: Words) -> Iterator[str]:
    yield from words.kinds.values()
    yield from words.sites.values()
    for name in ("form", "vessel", "duct", "atrophy", "double_duct"):
        if name in words.values:
            yield words.values[name][1]


def _suits(words: Words, facts: Organ) -> bool:
    """Whether the organ has such a kind, site, form, vessel and duct."""
    try:
        kinds = {facts.kind(spelling).name for spelling in words.kinds}
    except UnknownNameError:
        return False
    value = {name: said[0] for name, said in words.values.items()}
    closes = value.get("duct") or value.get("atrophy") or value.get("double_duct")
    vessel = value.get("vessel")
    return (
        len(kinds) <= 1
        and (not words.sites or _match_site(words, facts) is not None)
        and ("form" not in value or value["form"] in FORMS[facts.family])
        and (not isinstance(vessel, tuple) or vessel[0] in facts.vessels)
        and (not closes or any(kind.obstructs for kind in facts.kinds))
    )


def _site_of(words: Words, facts: Organ) -> str | None:
    if not words.sites:
        return None
    site = _match_site(words, facts)
    if site is None:
        said = " and ".join(repr(text) for text in words.sites.values())
        known = ", ".join(name.replace("_", " ") for name in facts.sites)
        fix = f"known sites: {known}" if known else "leave it out"
        raise refuse(f"{facts.name} has no site {said}", "site", fix)
    return site


def _match_site(words: Words, facts: Organ) -> str | None:
    """The site with just the words that are said ("upper lobe of the left lung")."""
    said = {word for name in words.sites for word in name.split("_")}
    for name in facts.sites:
        if said == set(name.split("_")):
            return name
    if not all(name in facts.sites for name in words.sites):
        return None
    # Of sites in each other ("a rib on the left", "the sacrum of the pelvis") the smallest.
    nested = sorted(words.sites, key=lambda name: len(facts.sites[name]))
    inner = set(facts.sites[nested[0]])
    return nested[0] if all(inner < set(facts.sites[name]) for name in nested[1:]) else None


def _kind_of(words: Words, facts: Organ) -> str | None:
    found: dict[str, str] = {}
    for spelling, text in words.kinds.items():
        try:
            found.setdefault(facts.kind(spelling).name, text)
        except UnknownNameError as error:
            fix = f"known kinds: {', '.join(kind.name for kind in facts.kinds)}"
            what = f"{facts.name} has no kind {text!r}"
            raise refuse(what, "kind", fix) from error
    if len(found) > 1:
        raise _exclude("kind", *list(found.values())[:2])
    return next(iter(found), None)


def _double_duct(values: dict[str, Any], facts: Organ, words: Words) -> None:
    """All the ducts that a kind closes, hence a site where it closes all of them."""
    text = words.values["double_duct"][1]
    if values.setdefault("duct", True) is not True:
        raise _exclude("duct", words.values["duct"][1], text)
    kinds = [k for k in facts.kinds if values["kind"] in (None, k.name) and len(k.obstructs) > 1]
    sites = [site for kind in kinds for site in facts.sites if _closes_all(kind, site)]
    if values["site"] is None and len(set(sites)) == 1:
        values["site"] = sites[0]
    if values["site"] not in sites:
        where = values["site"] or facts.name
        fix = f"it occurs at {', '.join(sites)}" if sites else "leave it out"
        raise refuse(f"a lesion of {where} does not close two ducts", "duct", fix)


def _closes_all(kind: LesionKind, site: str) -> bool:
    return all(site in obstruction.sites for obstruction in kind.obstructs)


def _decide_kind(spec: LesionSpec, words: Words, facts: Organ) -> LesionSpec:
    """Let "cystic" or "with washout" decide the kind, if it leaves just one."""
    if not words.traits:
        return spec
    said = " and ".join(repr(text) for text in words.traits.values())
    possible = spec.possible_kinds
    fit = [k for k in possible if all(_TRAITS[trait](k, facts) for trait in words.traits)]
    if len(fit) == len(possible):
        return spec
    if not fit:
        what = f"{said} contradicts {spec.kind or 'every such kind in ' + facts.name}"
        raise refuse(what, "kind", f"known kinds: {', '.join(kind.name for kind in facts.kinds)}")
    if len(fit) > 1:
        names = ", ".join(kind.name for kind in fit)
        raise refuse(f"{said} leaves several kinds", "kind", f"name one of {names}")
    try:
        return replace(spec, kind=fit[0].name)
    except ConfigError as error:
        raise _in_description(error) from error


def _count(words: Words, spec: LesionSpec) -> tuple[int, int]:
    counts = [item for item in words.items if item.code in "cq"]
    if len({item.value for item in counts}) > 1:
        raise _exclude("count", counts[0].text, counts[1].text)
    many = any(item.code in "Nk" and item.plural for item in words.items)
    if (counts and counts[0].code == "q") or (not counts and many):
        usual = [kind.multiplicity for kind in spec.possible_kinds]
        low = max(2, int(min(one.low for one in usual)))
        return low, max(low, int(max(one.high for one in usual)))
    if not counts:
        return 1, 1
    low_, high_ = _ends(counts[0])
    text = counts[0].text
    if high_ is None:
        raise refuse(f"{text!r} has no upper end", "count", "give a range, for example 2-5")
    low_ = 1.0 if low_ is None else low_
    if low_ != int(low_) or high_ != int(high_) or not 1 <= low_ <= high_ <= MOST_LESIONS:
        fix = f"give whole numbers, 1 to {MOST_LESIONS}"
        raise refuse(f"{text!r} is no number of lesions", "count", fix)
    return int(low_), int(high_)


def _diameter(low: float | None, high: float | None) -> tuple[float, float]:
    if low is None:
        return SMALLEST_DIAMETER_MM, high or LARGEST_DIAMETER_MM
    if high is None:
        high = min(LARGEST_DIAMETER_MM, max(_USUAL_MM, 2.0 * low))
    return low, high


def _ends(item: Item) -> tuple[float | None, float | None]:
    assert isinstance(item.value, tuple)
    low, high = item.value
    return low, high


def _difference(kind: LesionKind, facts: Organ, phase: Any) -> float:
    return kind.hu[phase].mean_hu - facts.parenchyma_hu[phase].mean_hu


def _exclude(name: str, first: str, second: str) -> ConfigError:
    return refuse(f"{first!r} and {second!r} exclude each other", name, "keep one of them")


def _in_description(error: ConfigError) -> ConfigError:
    return refuse(error.what, error.where or "lesion", error.fix)


def site_in_words(text: str, facts: Organ) -> str | None:
    """The site of an organ that a text names, as "Left upper lobe"; None if there is none such."""
    items = [item for item in items_of(text) if item.code not in "sT,.&()-"]
    if any(item.code not in "LO" for item in items):
        return None
    if any(item.code == "O" and item.value != facts.name for item in items):
        return None
    words = Words(items)
    return _match_site(words, facts) if words.sites else None
