"""Numbers as they are written on a page and in a chart."""

from __future__ import annotations

import math
from typing import Literal

from scalemai.statistics.estimate import Estimate

__all__ = ["Kind", "ends_in_words", "number_in_words"]

Kind = Literal["number", "percent", "p"]


def number_in_words(value: float, digits: int = 3, kind: Kind = "number") -> str:
    """A number with fixed decimals; whole numbers of type int have none.

    The minus is the one of keyboards, so that a copied number stays a number elsewhere.

    Parameters
    ----------
    value
        The number; infinite ones are written as a sign.
    digits
        Decimals.
    kind
        As of :class:`scalemai.evaluation.report.Column`.
    """
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if kind == "percent":
        value *= 100
        digits = max(digits - 2, 0)
    if kind == "p" and value < 10**-digits:
        return f"< {10**-digits:.{digits}f}"
    if value and digits and abs(value) < 0.5 * 10**-digits:
        return f"{value:.1e}"
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("-") and float(text) == 0 else text


def ends_in_words(estimate: Estimate, digits: int = 3, kind: Kind = "number") -> str:
    """The interval of an estimate, for example ``"0.741 to 0.890"``; empty if there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    low, high = (number_in_words(float(end), digits, kind) for end in (estimate.low, estimate.high))
    return f"{low} to {high}"
