"""Triage: in which order findings are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Triaged", "likely", "order"]

_CLEAR_TRUE, _CLEAR_FALSE = 0.8, 0.5
"""Above and below these a score is taken as clear; author's choice, to be refined by what readers
decide."""

_BLOCKS = ("false", "true", "unsure")


@dataclass(frozen=True, slots=True)
class Triaged:
    """What triage looks at.

    Parameters
    ----------
    case_id
        Case, so that findings of one case come together.
    structure
        Lesion structure.
    score
        Probability that it is a lesion, 0 to 1; None if nobody has said.
    volume_mm3
        Size.
    """

    case_id: str
    structure: str
    score: float | None
    volume_mm3: float


def likely(score: float | None) -> str:
    """``"true"``, ``"false"`` or ``"unsure"``."""
    if score is None:
        return "unsure"
    return "true" if score >= _CLEAR_TRUE else "false" if score < _CLEAR_FALSE else "unsure"


def order(findings: Sequence[Triaged]) -> list[int]:
    """Places of the findings in the order in which they are read.

    Likely false ones come first, as most are disposed of by one key, then likely true ones, which
    are edited, then those that need thought: readers keep one rhythm. Within a block, findings of a
    case come together, the clearest and then the largest first. Nothing depends on the order in
    which findings are given, but for findings that are equal in all of this.
    """

    def key(place: int) -> tuple[int, str, str, float, float]:
        one = findings[place]
        block = likely(one.score)
        score = 0.5 if one.score is None else one.score
        clear = score if block == "false" else -score
        return _BLOCKS.index(block), one.case_id, one.structure, clear, -one.volume_mm3

    return sorted(range(len(findings)), key=key)
