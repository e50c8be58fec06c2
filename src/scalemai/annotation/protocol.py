"""The protocol of a review: what is read twice, what is planted, what counts as a pause."""

from __future__ import annotations

from dataclasses import dataclass

from scalemai.errors import ConfigError

__all__ = ["Protocol"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Rules that are fixed before the first read and written into the review.

    Parameters
    ----------
    title
        Shown on the pages.
    seed
        Of everything that is drawn: arms, decoys, repeats, the random share of second reads.
    idle_ms
        A time without any input longer than this is a pause and not work.
    lease_ms
        A read that gives no sign of life for this long goes back to the queue.
    second_below_mm
        Findings with a longest axial diameter below this are read twice.
    second_share
        Share of all findings that is read twice, whatever they are.
    second_if_unsure, second_if_added, second_if_conflict
        Whether a finding is read twice if the first reader was unsure, if it was added by hand, and
        if the decision is against a score that was clear (reject at or above ``conflict_high``,
        accept below ``conflict_low``).
    senior_below_dice
        Two accepted masks whose Dice is below this are settled by an adjudicator. 0.2 is the rule
        of the PanTS readers (AAPM 2026, abstract 2222).
    match_iou
        Lesions that two readers added are the same if their intersection over union exceeds this.
    decoy_lesion_share, decoy_false_share, repeat_share
        Synthetic lesions, planted false positives and blinded repeats, each as a share of the
        findings.
    manual_share
        Share of the cases that is read without proposals, drawn at random.
    search_share
        Share of the other cases that is also searched for lesions that nobody proposed.
    blind_names
        Whether pages show opaque names instead of case ids.
    ask_confidence
        Whether decisions ask for a confidence from 1 to 5.

    Raises
    ------
    ConfigError
        If a value is impossible.
    """

    title: str = "Review"
    seed: int = 0
    idle_ms: int = 15_000
    lease_ms: int = 300_000
    second_below_mm: float = 10.0
    second_share: float = 0.05
    second_if_unsure: bool = True
    second_if_added: bool = True
    second_if_conflict: bool = True
    conflict_high: float = 0.9
    conflict_low: float = 0.2
    senior_below_dice: float = 0.2
    match_iou: float = 0.1
    decoy_lesion_share: float = 0.0
    decoy_false_share: float = 0.0
    repeat_share: float = 0.0
    manual_share: float = 0.0
    search_share: float = 1.0
    blind_names: bool = True
    ask_confidence: bool = False

    def __post_init__(self) -> None:
        shares = (
            "second_share",
            "conflict_high",
            "conflict_low",
            "senior_below_dice",
            "match_iou",
            "decoy_lesion_share",
            "decoy_false_share",
            "repeat_share",
            "manual_share",
            "search_share",
        )
        for name in shares:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{getattr(self, name)} is not 0 to 1", where=name)
        if self.conflict_low > self.conflict_high:
            raise ConfigError("is above conflict_high", where="conflict_low")
        if self.second_below_mm < 0:
            raise ConfigError("is negative", where="second_below_mm")
        for name in ("idle_ms", "lease_ms"):
            if getattr(self, name) < 1000:
                raise ConfigError(f"{getattr(self, name)} ms is below a second", where=name)
