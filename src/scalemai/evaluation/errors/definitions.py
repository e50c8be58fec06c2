"""What the numbers of an error analysis mean."""

from __future__ import annotations

from scalemai.evaluation.definitions import Definition

__all__ = ["DEFINITIONS"]

_TESTED = (
    "One-sided Fisher's exact test against all other rows, rows taken as independent; Holm over "
    "all cells. Cells overlap, and were looked for in the same data: confirm them in others."
)


def _cells(name: str, error: str, of: str) -> tuple[Definition, ...]:
    return (
        Definition(
            f"{name}-rate/1", "rate", f"share of {error}", "", "lower",
            f"Share of {error} among the {of} of the cell. Wilson's interval if each patient has "
            "one, otherwise patients are resampled.",
            "Wilson, J Am Stat Assoc 1927;22:209",
        ),
        Definition(
            f"{name}-excess/1", "excess", f"{error} in excess", "", "lower",
            f"Number of {error} beyond what the rate of all {of} would give.", "scalemai",
        ),
        Definition(
            f"{name}-p/1", "p_holm", "adjusted p, higher than elsewhere", "", None, _TESTED,
            "Holm, Scand J Stat 1979;6:65",
        ),
    )  # fmt: skip


DEFINITIONS: dict[str, tuple[Definition, ...]] = {
    "misses": _cells("miss", "missed lesions", "reference lesions"),
    "false_positives": _cells("false-positive", "false positives", "candidates"),
    "weaknesses": (
        Definition(
            "distinct-weakness/1", "excess", "errors in excess of what is left", "", "lower",
            "The cell with the most errors in excess; its rows are set aside before the next one "
            "is looked for. Ends when Fisher's p times the number of cells exceeds the level.",
            "scalemai",
        ),
    ),
    "wanted": (
        Definition(
            "smoothed-miss-rate/1", "smoothed", "smoothed miss rate", "", "lower",
            "Missed lesions plus some at the rate of the organ, over lesions plus those.",
            "scalemai",
        ),
        Definition(
            "wanted-weight/1", "weight", "share of synthetic lesions", "", None,
            "Frequency times smoothed miss rate, mixed with the frequency alone.", "scalemai",
        ),
    ),
}  # fmt: skip
"""Definitions by kind of table."""
