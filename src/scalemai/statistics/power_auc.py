"""How many patients a study of the area under the ROC curve needs."""

from __future__ import annotations

import math
from typing import Literal

from scalemai.statistics.power import smallest_n

__all__ = ["auc_standard_error", "n_auc", "n_auc_width", "power_auc", "power_auc_difference"]

Variance = Literal["hanley-mcneil", "obuchowski"]


def auc_standard_error(
    auc: float, positives: int, negatives: int, *, variance: Variance = "obuchowski"
) -> float:
    """Expected standard error of an AUC.

    Parameters
    ----------
    auc
        True area, between 0.5 and 1.
    positives, negatives
        Numbers of patients.
    variance
        ``"hanley-mcneil"``: exponential scores (Hanley and McNeil, Radiology 1982;143:29).
        ``"obuchowski"``: binormal scores of equal variance (Obuchowski, Acad Radiol
        1994;1:162), which for simulated scores of that kind is right at 0.7 and a fifth too large,
        hence safe, at 0.85.

    Raises
    ------
    ValueError
        If area or numbers are impossible.
    """
    if not 0.5 <= auc < 1 or min(positives, negatives) < 1:
        raise ValueError(f"AUC {auc} of {positives} and {negatives} patients is impossible")
    if variance == "hanley-mcneil":
        q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
        spread = auc * (1 - auc)
        spread += (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
        return math.sqrt(spread / (positives * negatives))
    return math.sqrt(_binormal(auc, negatives / positives) / positives)


def power_auc(
    auc: float,
    positives: int,
    negatives: int,
    *,
    null: float = 0.5,
    alpha: float = 0.05,
    sides: int = 2,
    variance: Variance = "obuchowski",
) -> float:
    """Power to show that an AUC exceeds ``null``.

    Parameters
    ----------
    auc, positives, negatives, variance
        As of :func:`auc_standard_error`.
    null
        Area of the hypothesis, under which the same model gives the error.
    alpha, sides
        Level, and 1 or 2 sides.
    """
    if not null < auc:
        raise ValueError(f"an AUC of {auc} does not exceed {null}")
    from scipy.special import ndtr, ndtri

    here = auc_standard_error(auc, positives, negatives, variance=variance)
    there = auc_standard_error(null, positives, negatives, variance=variance)
    return float(ndtr((auc - null + float(ndtri(alpha / sides)) * there) / here))


def n_auc(
    auc: float,
    *,
    null: float = 0.5,
    power: float = 0.8,
    negatives_per_positive: float = 1.0,
    alpha: float = 0.05,
    sides: int = 2,
    variance: Variance = "obuchowski",
) -> tuple[int, int]:
    """Positives and negatives needed for :func:`power_auc` to reach ``power``."""

    def reaches(positives: int) -> bool:
        negatives = math.ceil(positives * negatives_per_positive)
        found = power_auc(
            auc, positives, negatives, null=null, alpha=alpha, sides=sides, variance=variance
        )
        return found >= power

    positives = smallest_n(reaches)
    return positives, math.ceil(positives * negatives_per_positive)


def n_auc_width(
    auc: float,
    width: float,
    *,
    negatives_per_positive: float = 1.0,
    level: float = 0.95,
    variance: Variance = "obuchowski",
) -> tuple[int, int]:
    """Positives and negatives for which an AUC's normal interval is no wider than ``width``."""
    if not 0 < width < 1:
        raise ValueError(f"a width lies between 0 and 1, got {width}")
    from scipy.special import ndtri

    reach = 2 * float(ndtri(0.5 + level / 2))

    def narrow(positives: int) -> bool:
        negatives = math.ceil(positives * negatives_per_positive)
        return reach * auc_standard_error(auc, positives, negatives, variance=variance) <= width

    positives = smallest_n(narrow)
    return positives, math.ceil(positives * negatives_per_positive)


def power_auc_difference(
    first: float,
    second: float,
    positives: int,
    negatives: int,
    *,
    correlation: float,
    alpha: float = 0.05,
    sides: int = 2,
    variance: Variance = "obuchowski",
) -> float:
    """Power to show that two AUC on the same patients differ.

    Parameters
    ----------
    first, second
        True areas.
    positives, negatives, variance
        As of :func:`auc_standard_error`.
    correlation
        Of the two estimated areas over samples of patients; 0 for different patients. See the
        table of Hanley and McNeil, Radiology 1983;148:839.
    alpha, sides
        Level, and 1 or 2 sides.
    """
    if not -1 < correlation < 1:
        raise ValueError(f"a correlation lies between -1 and 1, got {correlation}")
    from scipy.special import ndtr, ndtri

    def error(a: float, b: float) -> float:
        ea, eb = (
            auc_standard_error(area, positives, negatives, variance=variance) for area in (a, b)
        )
        return math.sqrt(ea**2 + eb**2 - 2 * correlation * ea * eb)

    middle = (first + second) / 2
    reach = abs(first - second) + float(ndtri(alpha / sides)) * error(middle, middle)
    return float(ndtr(reach / error(first, second)))


def _binormal(auc: float, negatives_per_positive: float) -> float:
    """Variance of an AUC times the number of positives."""
    from scipy.special import ndtri

    # 1.414 rather than the root of two: the constant of the published formula.
    a = float(ndtri(auc)) * 1.414
    return 0.0099 * math.exp(-(a**2) / 2) * (5 * a**2 + 8 + (a**2 + 8) / negatives_per_positive)
