"""What the numbers mean, in plain words and against fixed bars."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from scalemai.synthesis.audit.classifier import Discrimination

__all__ = ["AUC_BAR", "CONTROL_BAR", "UPPER_BAR", "Verdict", "of_control", "of_view"]

AUC_BAR = 0.60
"""A classifier that sees only traces of editing must not do better than this,"""

UPPER_BAR = 0.70
"""nor may the upper end of its 95 % interval be above this (both the project's choice)."""

CONTROL_BAR = 0.80
"""An edit that is wrong on purpose must be told at least this well (the project's choice)."""

State = Literal["good", "bad", "open"]

_SEES = {
    "surround": "noise and seam around the edits",
    "inside": "the finest scales inside the edits",
    "whole": "whole patches",
}


@dataclass(frozen=True)
class Verdict:
    """One line: whether a bar is met (``good``), missed (``bad``) or cannot be told (``open``)."""

    state: State
    text: str

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)


def of_view(organ: str, view: str, found: Discrimination) -> Verdict:
    """Whether edits can be told from shams."""
    about = f"{organ}, {_SEES[view]}"
    if found.auc is None or found.low is None or found.high is None:
        return Verdict("open", f"{about}: {found.why_not}")
    numbers = (
        f"AUC {found.auc:.2f} (95 % CI {found.low:.2f} to {found.high:.2f}; "
        f"{found.positives} lesions, {found.groups} hosts)"
    )
    bar = f"bar {AUC_BAR:.2f}, upper end {UPPER_BAR:.2f}"
    if found.auc <= AUC_BAR and found.high <= UPPER_BAR:
        return Verdict("good", f"{about}: no trace found, {numbers}; {bar}")
    if found.low > AUC_BAR or found.auc > UPPER_BAR:
        return Verdict("bad", f"{about}: edits can be told from shams, {numbers}; {bar}")
    return Verdict("open", f"{about}: not proven free of traces, {numbers}; {bar}")


def of_control(organ: str, name: str, found: Discrimination) -> Verdict:
    """Whether the audit can notice what it must."""
    about = f"{organ}, control edit {name!r}"
    if found.auc is None:
        return Verdict("open", f"{about}: {found.why_not}")
    if found.auc >= CONTROL_BAR:
        return Verdict("good", f"{about}: noticed, AUC {found.auc:.2f}; bar {CONTROL_BAR:.2f}")
    what = f"not noticed (AUC {found.auc:.2f}; bar {CONTROL_BAR:.2f})"
    return Verdict("bad", f"{about}: {what}, so finding no trace of this kind says little")
