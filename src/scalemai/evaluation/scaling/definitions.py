"""What the numbers of a scaling study mean."""

from __future__ import annotations

from scalemai.evaluation.definitions import Definition

__all__ = ["DEFINITIONS"]

_RESAMPLED = (
    "Percentile interval over resamples of test patients, common to all arms, and of draws of "
    "training scans with their seeds."
)

DEFINITIONS: dict[str, tuple[Definition, ...]] = {
    "scaling_points": (
        Definition(
            "scaling-mean/1", "value", "mean of an arm", "", None,
            "Mean over draws of the mean over seeds of the mean over test cases that all runs "
            f"have. {_RESAMPLED}",
            "scalemai",
        ),
    ),
    "scaling_laws": (
        Definition(
            "scaling-aicc/1", "aicc", "AICc", "", "lower",
            "Akaike's criterion with the correction for small samples, of the means of draws "
            "about the law, weighted by the inverse of their variance; up to a constant.",
            "Hurvich and Tsai, Biometrika 1989;76:297",
        ),
        Definition(
            "scaling-held-out/1", "held_out", "error at the held-out largest size", "", None,
            "Prediction at the largest number of scans by a fit without it, minus what was "
            f"measured there. {_RESAMPLED}",
            "scalemai",
        ),
    ),
    "scaling_parameters": (
        Definition(
            "scaling-parameter/1", "value", "parameter of a law", "", None,
            "Of loss = floor + scale * shape(n), the floor in units of the measure. Weighted "
            f"least squares with bounds. {_RESAMPLED}",
            "Hestness et al., arXiv:1712.00409, for the power law",
        ),
    ),
    "scaling_gains": (
        Definition(
            "scaling-gain/1", "gain", "gain up to the largest size", "", "lower",
            "How much better the largest number of real scans is, on the same patients. A plateau "
            "begins at the smallest size from which on the upper end of the interval stays below "
            f"the margin. {_RESAMPLED}",
            "scalemai",
        ),
    ),
    "scaling_predictions": (
        Definition(
            "scaling-prediction/1", "value", "value of a law", "", None,
            f"The law at a number of real scans, taken for granted. {_RESAMPLED}", "scalemai",
        ),
    ),
    "scaling_plans": (
        Definition(
            "scaling-more-scans/1", "more", "further real scans for a gain", "", None,
            "Scans at which the law is better by the gain than at the largest number, minus that "
            "number; infinite if that lies beyond its floor or takes over 1000 times the scans. "
            f"{_RESAMPLED}",
            "scalemai",
        ),
    ),
    "scaling_worth": (
        Definition(
            "scaling-real-equivalent/1", "equivalent", "equivalent number of real scans", "", None,
            "Number of real scans alone at which the law is as good as the arm; infinite if it "
            f"never is. {_RESAMPLED}",
            "scalemai",
        ),
        Definition(
            "scaling-equivalence-ratio/1", "ratio", "equivalence ratio", "", "higher",
            "Equivalent number of real scans over the real scans of the arm.", "scalemai",
        ),
        Definition(
            "scaling-synthetic-worth/1", "per_scan", "real scans per synthetic scan", "", "higher",
            "Equivalent number of real scans minus the real scans of the arm, over its synthetic "
            "scans; not identifiable if an end of the interval is infinite.",
            "scalemai",
        ),
    ),
    "scaling_marginal": (
        Definition(
            "scaling-marginal-rate/1", "rate", "real scans per further synthetic scan", "",
            "higher",
            "Difference of the equivalent numbers of real scans of two arms with the same real "
            "scans, over that of their synthetic scans.",
            "scalemai",
        ),
    ),
}  # fmt: skip
"""Definitions by kind of table."""
