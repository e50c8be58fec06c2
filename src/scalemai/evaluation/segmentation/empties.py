"""What is scored where a mask is empty, or where there is no prediction at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["DEFAULT_POLICY", "STATES", "EmptyPolicy", "State", "count_states"]

State = Literal[
    "both",
    "both_empty",
    "reference_empty",
    "prediction_empty",
    "missing_prediction",
    "unusable_prediction",
    "not_assessed",
]
"""Which of prediction and reference there were; ``"both"`` means both hold voxels.

The files of an unusable prediction are there, but damaged, of another grid or without meaning."""

STATES: tuple[State, ...] = get_args(State)
"""All states, in the order of reports."""

_BothEmpty = Literal["omit", "perfect"]
_OneEmpty = Literal["zero", "omit"]
_OneEmptyDistance = Literal["diagonal", "infinite", "omit"]


@dataclass(frozen=True, slots=True)
class EmptyPolicy:
    """What is scored where there is no surface to measure to.

    The defaults never let a miss or a false alarm vanish from a mean, and never let the easy
    case, nothing to find and nothing found, lift it; that case belongs to specificity.

    Parameters
    ----------
    both_empty
        ``"omit"``: no value. ``"perfect"``: overlaps are 1 and distances 0 mm.
    one_empty
        Overlaps (DSC, IoU, NSD) if exactly one mask is empty. ``"zero"`` or ``"omit"``.
    one_empty_distance
        Distances if exactly one mask is empty. ``"diagonal"``: the longest diagonal of the scan,
        from voxel edge to voxel edge, which no distance within it exceeds. ``"infinite"``: what
        the formula says, so that medians and ranks are right and means are infinite. ``"omit"``:
        no value; a method then gains by missing whatever is hard to outline.

    Notes
    -----
    A missing prediction, or one that cannot be used, is a failure under every policy: overlaps
    0, whatever the reference holds, and distances as if one mask were empty.

    Raises
    ------
    UnknownNameError
        If a choice is not one of those above.
    """

    both_empty: _BothEmpty = "omit"
    one_empty: _OneEmpty = "zero"
    one_empty_distance: _OneEmptyDistance = "diagonal"

    def __post_init__(self) -> None:
        for name, choices in (
            ("both_empty", get_args(_BothEmpty)),
            ("one_empty", get_args(_OneEmpty)),
            ("one_empty_distance", get_args(_OneEmptyDistance)),
        ):
            if getattr(self, name) not in choices:
                raise UnknownNameError(f"choice for {name}", str(getattr(self, name)), choices)

    def as_dict(self) -> dict[str, str]:
        """The choices in plain types, for the settings of a table."""
        return {
            "both_empty": self.both_empty,
            "one_empty": self.one_empty,
            "one_empty_distance": self.one_empty_distance,
        }

    def overlap(self, state: State) -> float | None:
        """DSC, IoU or NSD in a state other than ``"both"``; None for no value."""
        if state == "both_empty":
            return 1.0 if self.both_empty == "perfect" else None
        if state in ("missing_prediction", "unusable_prediction"):
            return 0.0
        return None if state == "not_assessed" or self.one_empty == "omit" else 0.0

    def distance_mm(self, state: State, diagonal_mm: float) -> float | None:
        """Any surface distance in a state other than ``"both"``; None for no value."""
        if state == "both_empty":
            return 0.0 if self.both_empty == "perfect" else None
        if state == "not_assessed" or self.one_empty_distance == "omit":
            return None
        return diagonal_mm if self.one_empty_distance == "diagonal" else float("inf")


DEFAULT_POLICY = EmptyPolicy()
"""Both empty: omitted; one empty: overlaps 0, distances the diagonal of the scan."""


def count_states(states: Iterable[str]) -> dict[State, int]:
    """How many results are in which state, every state listed.

    Raises
    ------
    ConfigError
        If something is not a state.
    """
    counts = Counter(states)
    unknown = sorted(set(counts) - set(STATES))
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is not a state", fix=f"known: {', '.join(STATES)}")
    return {state: counts[state] for state in STATES}
