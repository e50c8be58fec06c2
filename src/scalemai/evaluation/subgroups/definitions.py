"""What the numbers of a comparison of groups mean."""

from __future__ import annotations

from scalemai.evaluation.definitions import Definition
from scalemai.statistics.clustered_rates import FEWEST

__all__ = ["DEFINITIONS", "MULTIPLICITY"]

MULTIPLICITY = (
    "Intervals of groups, of gaps to the rest and of adjusted differences are each at their own "
    "level, not adjusted for the number of groups. The largest gap is: all pairs of one factor "
    "together. P-values of pairs are after Holm, and after Benjamini and Hochberg beside it, "
    "within one factor; factors are families of their own."
)
"""How many things were looked at, and what was done about it."""

DEFINITIONS = (
    Definition(
        "subgroup-mean/1", "value", "mean or rate of a group", "", None,
        "Mean over rows (cases or lesions) of the group; n counts patients. Rates of one row a "
        "patient have Wilson's interval, all else resampled patients.",
        "expanded BCa bootstrap over patients; Wilson, J Am Stat Assoc 1927;22:209",
    ),
    Definition(
        "subgroup-area/1", "value", "area under the ROC curve of a group", "", None,
        "Of metric auroc, in place of the mean. DeLong's interval on the logit scale, where "
        "patients have several scans with Obuchowski's variance. Both the patients with the "
        "lesion and those without must reach the minimum.",
        "DeLong et al., Biometrics 1988;44:837; Obuchowski, Biometrics 1997;53:567",
    ),
    Definition(
        "subgroup-rate/1", "value", "false positives per scan of a group", "", "lower",
        "Of metric fp_per_scan, in place of the mean: over all scans of the group, with Student's "
        f"t on the logarithm and the variance between patients, from {FEWEST} patients on.",
        "author's construction; coverage by simulation",
    ),
    Definition(
        "subgroup-gap/1", "gap", "gap of a group to the rest", "", None,
        "Mean of the group minus mean of all other recorded patients, from both intervals.",
        "Zou and Donner, Stat Med 2008;27:1693",
    ),
    Definition(
        "subgroup-largest-gap/1", "largest_gap", "largest gap", "", None,
        "Highest minus lowest group. The value is too high by chance alone; its interval, from "
        "simultaneous limits of all pairs, is not, and covers more than nominal if groups differ.",
        "studentised range with limits combined as of the gap; author's construction",
    ),
    Definition(
        "kruskal-epsilon-squared/1", "epsilon_squared", "epsilon squared", "", None,
        "H (n + 1) / (n^2 - 1) on the means of patients: share of the variance of ranks that "
        "lies between groups.",
        "Tomczak and Tomczak, Trends Sport Sci 2014;1:19",
    ),
    Definition(
        "adjusted-difference/1", "adjusted", "adjusted difference", "", None,
        "Group minus reference between patients alike in the covariates: least squares with CR2 "
        "errors for means; logistic GEE with bias-reduced errors, standardised, for rates.",
        "Pustejovsky and Tipton, J Bus Econ Stat 2018;36:672; Mancl and DeRouen, Biometrics "
        "2001;57:126",
    ),
)  # fmt: skip
"""Of the columns of the tables."""
