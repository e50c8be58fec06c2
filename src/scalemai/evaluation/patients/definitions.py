"""What the numbers of patients mean."""

from __future__ import annotations

from scalemai.evaluation.definitions import Definition

__all__ = ["PERFORMANCE", "ROWS", "SCORES", "performance_definitions"]

_DETECTION = "Altman and Bland, BMJ 1994;308:1552 and BMJ 1994;309:102"


def _score(name: str, text: str, words: str, unit: str = "", source: str = "") -> Definition:
    source = source or "ScaleMAI"
    return Definition(f"patient-score-{name}/1", "score", words, unit, None, text, source)


SCORES = {
    "max-probability": _score(
        "max-probability",
        "Largest probability of any voxel on the native grid; 0 for an empty map.",
        "maximum voxel probability",
    ),
    "volume-above": _score(
        "volume-above",
        "Volume of all voxels with a probability of at least the cut, on the native grid.",
        "volume above the cut",
        "mm3",
    ),
    "largest-component": _score(
        "largest-component",
        "Volume of the largest 26-connected component of voxels with a probability of at least "
        "the cut, on the native grid.",
        "volume of the largest component",
        "mm3",
    ),
    "max-candidate": _score(
        "max-candidate",
        "Highest score of any candidate, wherever it lies; 0 without candidates.",
        "maximum candidate score",
    ),
    "radgpt": _score(
        "radgpt",
        "Predicted tumor AND predicted organ, resampled to 1 mm (nearest voxel, first and last "
        "centres kept), eroded once by a 3 x 3 x 3 cube; volume of what remains.",
        "eroded tumor volume at 1 mm",
        "mm3",
        "public code of RadGPT, rule re-implemented",
    ),
    "r-super": _score(
        "r-super",
        "Probability resampled to 1 mm (linear, first and last centres kept), above the cut, "
        "eroded once and dilated twice by a 3 x 3 x 3 cube, AND what was above the cut; volume.",
        "opened tumor volume at 1 mm",
        "mm3",
        "public code of R-Super, rule re-implemented",
    ),
    "r-super-max": _score(
        "r-super-max",
        "Largest probability after resampling to 1 mm (linear), before any opening.",
        "maximum probability at 1 mm",
        "",
        "public code of R-Super, rule re-implemented",
    ),
}
"""Definition of each score of a case, by the name that :func:`scores.score_map` takes."""

ROWS = (
    Definition(
        "patient-positive/1",
        "positive",
        "reference standard",
        "",
        None,
        "Whether the reference standard has at least one lesion of the structure; null where it "
        "was not assessed. A patient with several scans is positive if any of them is.",
        "ScaleMAI",
    ),
)
"""Definitions of the columns of the table `patients` that do not depend on the score."""

_MISSING = (
    "A missing prediction counts as wrong unless it was asked to be left out; rows whose "
    "reference was not assessed are left out and counted."
)
_PLAIN = "Wilson's interval; with several scans of a patient, patients are resampled."

PERFORMANCE = (
    Definition(
        "patient-sensitivity/1",
        "sensitivity",
        "sensitivity of patients",
        "",
        "higher",
        f"Positives that are called, of all positives, wherever the finding lies. {_MISSING} "
        f"{_PLAIN}",
        _DETECTION,
    ),
    Definition(
        "patient-specificity/1",
        "specificity",
        "specificity of patients",
        "",
        "higher",
        f"Negatives that are not called, of all negatives. {_MISSING} {_PLAIN}",
        _DETECTION,
    ),
    Definition(
        "patient-ppv/1",
        "ppv",
        "positive predictive value",
        "",
        "higher",
        f"Positives of all that are called, at the prevalence of these cases. {_PLAIN}",
        _DETECTION,
    ),
    Definition(
        "patient-npv/1",
        "npv",
        "negative predictive value",
        "",
        "higher",
        f"Negatives of all that are not called, at the prevalence of these cases. {_PLAIN}",
        _DETECTION,
    ),
    Definition(
        "patient-f1/1",
        "f1",
        "F1 of patients",
        "",
        "higher",
        "2 TP / (2 TP + FP + FN). Interval: F1 is a monotone function of TP / (TP + FP + FN), "
        "whose Wilson interval is transformed; with several scans of a patient, resampled.",
        "interval: author's derivation",
    ),
    Definition(
        "patient-balanced-accuracy/1",
        "balanced_accuracy",
        "balanced accuracy of patients",
        "",
        "higher",
        "Mean of sensitivity and specificity. Interval: Newcombe's of sensitivity minus false "
        "positive rate, halved and shifted; with several scans of a patient, resampled.",
        "Newcombe, Stat Med 1998;17:873, method 10",
    ),
    Definition(
        "patient-auroc/1",
        "auroc",
        "area under the ROC curve of patients",
        "",
        "higher",
        "Probability that a positive scores higher than a negative, ties half; a missing "
        "prediction ranks as the worst of its kind. DeLong's interval on the logit scale; with "
        "several scans of a patient, patients are resampled.",
        "DeLong, Biometrics 1988;44:837; Sun and Xu, IEEE Signal Process Lett 2014;21:1389",
    ),
    Definition(
        "patient-auroc-bootstrap/1",
        "auroc_bootstrap",
        "area under the ROC curve of patients, resampled",
        "",
        "higher",
        "As auroc, with the expanded BCa interval of resampled patients.",
        "Efron, J Am Stat Assoc 1987;82:171; Hesterberg, Am Stat 2015;69:371",
    ),
    Definition(
        "patient-average-precision/1",
        "average_precision",
        "average precision of patients",
        "",
        "higher",
        "Sum of precision times gain in recall over descending thresholds, not interpolated, at "
        "the prevalence of these cases; patients are resampled.",
        "ScaleMAI",
    ),
)
"""Definitions of the fields of :class:`performance.PatientPerformance`, in their order."""


def performance_definitions() -> dict[str, Definition]:
    """The definitions of :data:`PERFORMANCE` by column."""
    return {definition.column: definition for definition in PERFORMANCE}
