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
    "form": "--form",
    "schedule": "--schedule",
    "at_days": "--schedule",
    "law": "--law",
    "doubling_days": "--doubling-days",
    "contrast": "--set contrast",
    "margin": "--set margin",
    "necrosis": "--set necrosis",
    "calcification": "--set calcification",
    "rim": "--set rim",
    "exophytic": "--set exophytic",
    "duct": "--set duct",
    "atrophy": "--set atrophy",
    "satellites": "--set satellites",
    "vessel": "--set vessel",
    "mass_effect": "--set mass_effect",
    "uniform": "--set uniform",
    "seed": "--seed",
    "spacing_mm": "--spacing",
    "real": "--real",
    "synthetic": "--synthetic",
    "container": "--container",
    "prefix": "--prefix",
    "least": "--least",
    "decay": "--decay",
    "sizes": "--curve",
    "test_share": "--test-share",
    "device": "--device",
    "overlap": "--overlap",
    "threshold": "--threshold",
    "reach_mm": "--reach-mm",
    "minimum_mm3": "--minimum-mm3",
    "calibrated": "--calibrated",
}

_NAMES = "|".join(_OPTIONS)
_AS_ARGUMENT = re.compile(rf"\b({_NAMES})=")
_AS_PLACE = re.compile(rf"^(?:PhantomSpec: )?({_NAMES})(?=: | is )")


def in_options(message: str) -> str:
    """Name arguments as options: ``class_map=`` as ``--class-map``, ``site: ...`` as ``--site``."""
    for pattern in (_AS_ARGUMENT, _AS_PLACE):
        message = pattern.sub(lambda found: _OPTIONS[found[1]], message)
    return message
