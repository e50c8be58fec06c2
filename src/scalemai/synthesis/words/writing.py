"""A spec in the words that :func:`parse_description` reads back as the same spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from scalemai.anatomy import LesionKind, Organ, organ, organ_names
from scalemai.anatomy.spelling import squash
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.words.vocabulary import NUMBERS, plural, vocabulary

__all__ = ["describe"]

_ENCASED_DEGREES = 180.0
_FEATURES: Final = {
    "necrosis": "necrosis",
    "calcification": "calcification",
    "rim": "rim enhancement",
    "exophytic": "exophytic growth",
    "duct": "duct dilatation",
    "atrophy": "parenchymal atrophy",
    "satellites": "satellite nodules",
    "mass_effect": "mass effect",
}


def describe(spec: LesionSpec, count: int | tuple[int, int] = 1) -> str:
    """Say in English what is asked for.

    Parameters
    ----------
    spec
        The lesion.
    count
        Number of such lesions, or its range.

    Returns
    -------
    str
        A description that :func:`parse_description` reads as ``spec`` and ``count`` again.
    """
    low, high = (count, count) if isinstance(count, int) else count
    facts = organ(spec.organ)
    noun = "lesion" if spec.kind is None else _kind_words(facts, facts.kind(spec.kind))
    words = [
        _number(low) if low == high else f"{low}-{high}",
        f"{spec.contrast}attenuating" if spec.contrast else "",
        spec.margin or "",
        (spec.form or "").replace("_", "-"),
        "uniform" if spec.uniform else "",
        f"{_range(spec.diameter_mm)} mm",
        noun if high == 1 else plural(noun),
        f"in {_place(facts, spec.site)}",
    ]
    return ", ".join((" ".join(filter(None, words)), *_more(spec)))


def _more(spec: LesionSpec) -> Iterator[str]:
    if spec.contrast_hu is not None:
        side = "brighter" if spec.contrast_hu > 0 else "darker"
        yield f"{_plain(abs(spec.contrast_hu))} HU {side} than the organ"
    if spec.vessel is not None:
        name, degrees = spec.vessel
        touches = "encasing" if degrees[0] >= _ENCASED_DEGREES else "abutting"
        yield f"{touches} the {name.replace('_', ' ')} by {_range(degrees)} degrees"
    for field, words in _FEATURES.items():
        wanted = getattr(spec, field)
        if wanted is not None:
            yield f"{'with' if wanted else 'without'} {words}"
    if spec.at_mm is not None:
        yield f"at ({', '.join(map(_plain, spec.at_mm))}) mm"


def _kind_words(facts: Organ, kind: LesionKind) -> str:
    """The title if it is a name for the kind, else the short name."""
    names = {squash(name) for name in (kind.name, *kind.aliases)}
    if squash(kind.title) in names and vocabulary().find([kind.title]) is not None:
        return kind.title.lower()
    return kind.name.replace("_", " ")


def _place(facts: Organ, site: str | None) -> str:
    name = facts.name.replace("_", " ")
    if site is None:
        return f"the {name}"
    if site in ("left", "right"):
        return f"the {site} {name}"
    part = site.replace("_", " ")
    others = [one for one in organ_names() if one != facts.name and site in organ(one).sites]
    # "In the rib", not "in the rib of the bone".
    bone = facts.family == "bone" and not others
    return f"the {part}" if bone else f"the {part} of the {name}"


def _number(count: int) -> str:
    return NUMBERS[count - 1] if 1 <= count <= len(NUMBERS) else str(count)


def _range(ends: tuple[float, float]) -> str:
    low, high = ends
    return _plain(low) if low == high else f"{_plain(low)}-{_plain(high)}"


def _plain(value: float) -> str:
    """The shortest decimal number that is read back as the same float, never with an exponent."""
    return np.format_float_positional(value, trim="-")
