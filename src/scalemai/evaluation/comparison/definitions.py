"""What the numbers of a comparison mean."""

from __future__ import annotations

from scalemai.evaluation.definitions import Definition
from scalemai.statistics.equivalence import FEWEST_PAIRS

__all__ = ["DEFINITIONS"]

DEFINITIONS: dict[str, tuple[Definition, ...]] = {
    "pairs": (
        Definition(
            "paired-difference/1", "difference", "difference of means", "", None,
            "Mean of first minus mean of second over patients, in the unit of the metric; the "
            "interval has confidence one minus twice the level, decides on equivalence, and is "
            f"given from {FEWEST_PAIRS} patients on.",
            "paired t interval",
        ),
        Definition(
            "hodges-lehmann-shift/1", "shift", "Hodges-Lehmann shift", "", None,
            "Median of the means of all pairs of paired differences, zeros included.",
            "Hodges and Lehmann, Ann Math Stat 1963;34:598",
        ),
        Definition(
            "signed-rank-holm/1", "p_first_better_holm", "adjusted p, first is better", "", None,
            "One-sided Wilcoxon signed-rank test on patients, zeros by Pratt, Holm over all "
            "ordered pairs; identical pairs stay in the family with p = 1.",
            "Wilcoxon, Biometrics Bull 1945;1:80; Pratt, J Am Stat Assoc 1959;54:655; "
            "Holm, Scand J Stat 1979;6:65",
        ),
        Definition(
            "rank-biserial-paired/1", "rank_biserial", "matched-pairs rank-biserial correlation",
            "", None,
            "Ranks in favour of the first minus ranks in favour of the second, over their sum; "
            "positive where the first is better.",
            "Kerby, Compr Psychol 2014;3:1",
        ),
        Definition(
            "tost-paired/1", "p_equivalent_holm", "adjusted p of equivalence", "", None,
            "Two one-sided paired t tests that the means differ by less than the margin, Holm "
            f"over all pairs. Not computed below {FEWEST_PAIRS} patients, where the interval of a "
            "difference of means does not hold.",
            "Schuirmann, J Pharmacokinet Biopharm 1987;15:657",
        ),
    ),
    "significance": (
        Definition(
            "significance-map/1", "significant", "better, by our rule", "", None,
            "One-sided signed-rank test as in the table of pairs, adjusted p below the level.",
            "Wilcoxon, Biometrics Bull 1945;1:80; Holm, Scand J Stat 1979;6:65",
        ),
        Definition(
            "significance-map-touchstone/1", "touchstone_significant",
            "better, by Touchstone's rule", "", None,
            "For each pair the cases that both have, empty cells dropped, one-sided Wilcoxon "
            "signed-rank test with scipy's defaults (zeros dropped), Holm over all ordered pairs.",
            "significance maps of the Touchstone benchmark, public code",
        ),
    ),
    "ranking": (
        Definition(
            "place-by-mean/1", "place", "place by mean", "", "lower",
            "Rank of the mean over common cases; ties share the better place.",
            "scalemai",
        ),
        Definition(
            "place-range/1", "place_low", "range of places over resamples", "", None,
            "Central range of the place when patients are resampled with replacement, all "
            "algorithms on the same patients. Stability, not confidence.",
            "patient bootstrap",
        ),
        Definition(
            "place-tested/1", "tested_place_low", "range of places by tests", "", None,
            "One more than are significantly better, up to all but those significantly worse: a "
            "simultaneous confidence range.",
            "Mogstad, Romano, Shaikh and Wilhelm, Rev Econ Stud 2024;91:476",
        ),
    ),
    "places": (
        Definition(
            "place-probability/1", "probability", "probability of a place", "", None,
            "Share of resamples in which the algorithm took the place; ties share the better one.",
            "patient bootstrap",
        ),
    ),
    "overall": (
        Definition(
            "friedman/1", "friedman_chi2", "Friedman's chi-squared", "", None,
            "Of ranks on patients, corrected for ties.",
            "Friedman, J Am Stat Assoc 1937;32:675",
        ),
        Definition(
            "nemenyi/1", "nemenyi_critical_difference", "Nemenyi's critical difference", "", None,
            "Difference of mean ranks that is significant for all pairs together.",
            "Demsar, J Mach Learn Res 2006;7:1",
        ),
        Definition(
            "kendall-tau-b/1", "tau", "Kendall's tau-b", "", "higher",
            "Mean over resamples between the ranking on all patients and that on resampled ones.",
            "Kendall, Biometrika 1945;33:239",
        ),
    ),
    "agreement": (
        Definition(
            "kendall-tau-b-metrics/1", "tau", "Kendall's tau-b between metrics", "", None,
            "Between the rankings by mean that two metrics give, with its central range over "
            "resamples.",
            "Kendall, Biometrika 1945;33:239",
        ),
    ),
    "coverage": (),
    "detection_pairs": (
        Definition(
            "detectors-difference/1", "difference", "difference of detectors", "", None,
            "First minus second on the units that both have. Areas under ROC curves: DeLong's "
            "paired interval, where patients have several scans Obuchowski's with Student's t. "
            "Sensitivity, specificity and sensitivity for lesions: Newcombe's "
            "paired interval, where patients have several units that of resampled patients (BCa). "
            "Sensitivity at rates of false positives per scan (FROC): resampled patients.",
            "DeLong et al., Biometrics 1988;44:837; Obuchowski, Biometrics 1997;53:567; "
            "Newcombe, Stat Med 1998;17:2635; Efron, J Am Stat Assoc 1987;82:171",
        ),
        Definition(
            "detectors-test/1", "p_holm", "adjusted p of the difference", "", None,
            "Two-sided, Holm over all pairs of a class (FROC: and all rates): DeLong's or, where "
            "patients have several scans, Obuchowski's test of areas; McNemar's exact test of "
            "rates, and where patients have several units its extension, in which the sign of each "
            "patient's difference is tossed; of FROC rates one minus the highest level at which "
            "the resampled interval excludes zero.",
            "DeLong et al., Biometrics 1988;44:837; Obuchowski, Biometrics 1997;53:567; McNemar, "
            "Psychometrika 1947;12:153; Fisher, The Design of Experiments, 1935; "
            "Holm, Scand J Stat 1979;6:65",
        ),
        Definition(
            "detectors-equivalence/1", "p_equivalent_holm", "adjusted p of equivalence", "", None,
            "Two one-sided tests that detectors differ by less than the margin, Holm over all "
            "pairs of a class (FROC: and all rates): of areas with the variance of their test and "
            "Student's t, of rates Tango's score test or, where patients have several units, and "
            "of FROC rates, from the interval of resampled patients. "
            "equivalence_low and equivalence_high are the interval that decides, of confidence "
            "one minus twice the level.",
            "Schuirmann, J Pharmacokinet Biopharm 1987;15:657; Tango, Stat Med 1998;17:891",
        ),
    ),
}  # fmt: skip
"""Definitions by kind of table."""
