"""Messages of the library in the words of the command line."""

from __future__ import annotations

import re

__all__ = ["in_options"]

_OPTIONS = {
    "labels": "--labels",
    "masks": "--labels",
    "class_map": "--class-map",
    "layout": "--layout",
    "series": "--series",
    "hu_offset": "--hu-offset",
    "at_mm": "--at",
    "diameter_mm": "--diameter",
    "contrast_hu": "--contrast-hu",
    "site": "--site",
    "kind": "--kind",
    "seed": "--seed",
}


def in_options(message: str) -> str:
    """Name arguments as options: ``class_map=`` as ``--class-map``, ``site: ...`` as ``--site``."""
    names = "|".join(_OPTIONS)
    message = re.sub(rf"\b({names})=", lambda found: _OPTIONS[found[1]], message)
    return re.sub(rf"^({names})(?=: )", lambda found: _OPTIONS[found[1]], message)
