"""What the numbers of patients mean."""

from __future__ import annotations

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.definitions import Definition

__all__ = ["PERFORMANCE", "ROWS", "score_definition"]

_DETECTION = "Altman and Bland, BMJ 1994;308:1552 and BMJ 1994;309:102"


_RADGPT = "public code of RadGPT, rule re-implemented"
_RSUPER = "public code of R-Super, rule re-implemented"

_SCORES = {
    "max-probability": (
        "maximum voxel probability",
        "",
        "Largest probability of any voxel on the native grid; 0 for an empty map.",
        "ScaleMAI",
    ),
    "volume-above": (
        "volume above the cut",
        "mm3",
        "Volume of all voxels with a probability of at least {cut}, on the native grid.",
        "ScaleMAI",
    ),
    "largest-component": (
        "volume of the largest component",
        "mm3",
        "Volume of the largest 26-connected component of voxels with a probability of at least "
        "{cut}, on the native grid.",
        "ScaleMAI",
    ),
    "max-candidate": (
        "maximum candidate score",
        "",
        "Highest score of any candidate, wherever it lies; 0 without candidates.",
        "ScaleMAI",
    ),
    "radgpt": (
        "eroded tumor volume at 1 mm",
        "mm3",
        "Predicted tumor AND predicted organ, resampled to 1 mm (nearest voxel, first and last "
        "centres kept), eroded once by a 3 x 3 x 3 cube; volume of what remains.",
        _RADGPT,
    ),
    "r-super": (
        "opened tumor volume at 1 mm",
        "mm3",
        "Probability resampled to 1 mm (linear, first and last centres kept), above {cut}, "
        "eroded once and dilated twice by a 3 x 3 x 3 cube, AND what was above {cut}; volume.",
        _RSUPER,
    ),
    "r-super-max": (
        "maximum probability at 1 mm",
        "",
        "Largest probability after resampling to 1 mm (linear), before any opening.",
        _RSUPER,
    ),
}
"""Name, unit, convention and source of each score of a case."""


def score_definition(score: str, *, cut: float | None = None) -> Definition:
    """The definition of a score of a case.

    Parameters
    ----------
    score
        Its name, as :func:`scalemai.evaluation.patients.scores.score_map` takes it, or
        ``"max-candidate"``, ``"radgpt"``, ``"r-super"`` or ``"r-super-max"``.
    cut
        Probability from which a voxel counts. It is part of the id, so that a threshold on one
        volume is not mistaken for a threshold on another.

    Raises
    ------
    UnknownNameError
        If there is no such score.
    ConfigError
        If the score needs a cut and none is given, or the other way round.
    """
    if score not in _SCORES:
        raise UnknownNameError("score", score, _SCORES)
    words, unit, text, source = _SCORES[score]
    if ("{cut}" in text) != (cut is not None):
        need = "needs a cut" if cut is None else "has no cut"
        raise ConfigError(f"the score {score} {need}", where="cut")
    name = f"patient-score-{score}"
    if cut is not None:
        name, text = f"{name}-{cut:.6f}".rstrip("0").rstrip("."), text.format(cut=f"{cut:g}")
    return Definition(f"{name}/1", "score", words, unit, None, text, source)


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
