"""What the numbers of a reader study mean."""

from __future__ import annotations

from scalemai.evaluation.definitions import Definition

__all__ = ["DEFINITIONS"]

_REAL = "Real is the positive class. "

DEFINITIONS = (
    Definition(
        "reader-accuracy/1", "accuracy", "accuracy", "", None,
        "Correct answers among all first reads of a reader; depends on the share of real cases.",
        "exact interval of Clopper and Pearson, Biometrika 1934;26:404",
    ),
    Definition(
        "reader-sensitivity/1", "sensitivity", "sensitivity", "", None,
        _REAL + "Real cases called real.", "exact interval as of accuracy",
    ),
    Definition(
        "reader-specificity/1", "specificity", "specificity", "", None,
        _REAL + "Synthetic cases called synthetic. 0.5 is not chance: a reader who calls most "
        "cases real has a low specificity however well he sees.", "exact interval as of accuracy",
    ),
    Definition(
        "reader-balanced-accuracy/1", "balanced_accuracy", "balanced accuracy", "", None,
        "Mean of sensitivity and specificity; 0.5 is chance at any habit of answering.",
        "interval of Newcombe, Stat Med 1998;17:873, method 10, halved",
    ),
    Definition(
        "d-prime/1", "d_prime", "d'", "", None,
        _REAL + "Distance of real and synthetic in standard deviations of the reader's "
        "evidence, z(H) - z(F), half a trial added to each count; 0 is chance.",
        "log-linear correction of Hautus, Behav Res Methods Instrum Comput 1995;27:46",
    ),
    Definition(
        "criterion/1", "criterion", "criterion c", "", None,
        "-(z(H) + z(F)) / 2; negative where a reader prefers the answer real, 0 without "
        "preference.", "as of d'",
    ),
    Definition(
        "reader-auc/1", "auc", "AUC from confidence", "", None,
        "Area under the curve of the rating from -5 (surely synthetic) to 5 (surely real), "
        "answer times confidence.", "DeLong et al., Biometrics 1988;44:837, logit scale",
    ),
)  # fmt: skip
"""One for each figure of a reader."""
