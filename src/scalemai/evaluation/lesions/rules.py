"""Which candidate may count as a hit of which lesion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from scalemai.errors import ConfigError

__all__ = ["Criterion", "MatchingRule", "parse_rule"]

Criterion = Literal["overlap", "iou", "centre"]

_IOU = re.compile(r"iou\s*>=\s*(\d*\.?\d+)")
_FORMS = "overlap, iou>=0.1, centre, one-to-one, one-to-one iou>=0.1"


@dataclass(frozen=True, slots=True)
class MatchingRule:
    """When a candidate hits a lesion. ``str(rule)`` is what :func:`parse_rule` reads.

    Parameters
    ----------
    criterion
        ``"overlap"``: they share a voxel. ``"iou"``: their intersection over union is at least
        ``minimum_iou``. ``"centre"``: the mean position of the candidate's voxels lies in a voxel
        of the lesion, its border included.
    minimum_iou
        For ``"iou"``.
    one_to_one
        Whether a candidate hits one lesion only: then candidates are assigned, once for all
        thresholds, so that the sum of IoU over all hits is largest. Otherwise a candidate hits
        every lesion that it may.

    Raises
    ------
    ConfigError
        If the smallest IoU does not fit the criterion.
    """

    criterion: Criterion = "overlap"
    minimum_iou: float = 0.0
    one_to_one: bool = False

    def __post_init__(self) -> None:
        if self.criterion == "iou" and not 0 < self.minimum_iou <= 1:
            what = f"an IoU of {self.minimum_iou:g} is not above 0 and at most 1"
            raise ConfigError(what, where="rule", fix="use overlap if any shared voxel shall do")
        if self.criterion != "iou" and self.minimum_iou:
            raise ConfigError(f"the criterion {self.criterion} takes no IoU", where="rule")

    def __str__(self) -> str:
        part = f"iou>={self.minimum_iou:g}" if self.criterion == "iou" else self.criterion
        if not self.one_to_one:
            return part
        return "one-to-one" if part == "overlap" else f"one-to-one {part}"

    @property
    def slug(self) -> str:
        """The rule as a part of a definition's id, for example ``"one-to-one-iou-0.1"``."""
        return str(self).replace(">=", "-").replace(" ", "-")


def parse_rule(text: str) -> MatchingRule:
    """Read a matching rule.

    Parameters
    ----------
    text
        ``"overlap"``, ``"iou>=0.1"``, ``"centre"``, or one of these after ``"one-to-one"``;
        ``"one-to-one"`` alone takes any overlap.

    Raises
    ------
    ConfigError
        If it is none of these.
    """
    words = " ".join(text.lower().split())
    one_to_one = words.startswith("one-to-one")
    rest = words.removeprefix("one-to-one").strip() or ("overlap" if one_to_one else "")
    if rest == "overlap":
        return MatchingRule("overlap", one_to_one=one_to_one)
    if rest in ("centre", "center"):
        return MatchingRule("centre", one_to_one=one_to_one)
    found = _IOU.fullmatch(rest)
    if found is None:
        raise ConfigError(f"{text!r} is no matching rule", where="rule", fix=f"use {_FORMS}")
    return MatchingRule("iou", float(found[1]), one_to_one)
