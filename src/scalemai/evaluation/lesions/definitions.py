"""What the numbers of lesions mean."""

from __future__ import annotations

from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.lesions.bins import DEFAULT_BINS, SizeBins
from scalemai.evaluation.lesions.rules import MatchingRule
from scalemai.statistics.clustered_rates import FEWEST

__all__ = ["PERFORMANCE", "SIZES", "candidate_definitions", "lesion_definitions"]

_RECIST = "Eisenhauer et al., Eur J Cancer 2009;45:228 (RECIST 1.1)"
_LUNA16 = "Setio et al., Med Image Anal 2017;42:1 (LUNA16)"
_OWN = "ScaleMAI"
_COMPONENTS = "26-connected components on the native grid."
_EDGES = "Between the edges of voxels, not their centres."

SIZES = (
    Definition(
        "lesion-diameter-axial/1",
        "diameter_mm",
        "longest axial diameter",
        "mm",
        None,
        f"Greatest distance between two points of the lesion in one axial slice. {_EDGES} This "
        "is the size that decides the bin.",
        _RECIST,
    ),
    Definition(
        "lesion-perpendicular-axial/1",
        "perpendicular_mm",
        "perpendicular axial diameter",
        "mm",
        None,
        "Longest chord at right angles to the longest axial diameter, in the same slice, that "
        f"lies inside the lesion from end to end (no calliper over a hollow). {_EDGES}",
        _OWN,
    ),
    Definition(
        "lesion-feret/1",
        "feret_mm",
        "greatest diameter in three dimensions",
        "mm",
        None,
        f"Greatest distance between two points of the lesion. {_EDGES}",
        _OWN,
    ),
    Definition(
        "lesion-diameter-equivalent/1",
        "equivalent_diameter_mm",
        "diameter of the sphere of the same volume",
        "mm",
        None,
        "Cube root of 6 V / pi.",
        _OWN,
    ),
    Definition(
        "lesion-volume/1",
        "volume_mm3",
        "volume",
        "mm3",
        None,
        "Number of voxels times the volume of one.",
        _OWN,
    ),
    Definition(
        "lesion-at-border/1",
        "at_border",
        "at the border of the scan",
        "",
        None,
        "Whether it touches a face of the grid, so that its sizes may be too small.",
        _OWN,
    ),
)
"""Definitions of the sizes, the same in both tables."""

_CLUSTERED = (
    "Patients with all their scans are resampled (expanded BCa interval); a share of 0 or 1 that "
    "does not vary has the exact interval of one trial per patient."
)
_LESION_SHARE = (
    "The interval to quote is that of resampled patients where a patient has several, Wilson's "
    "otherwise."
)
_IF_INDEPENDENT = "taken for independent"


def lesion_definitions(
    rule: MatchingRule,
    *,
    bins: SizeBins = DEFAULT_BINS,
    reference_minimum_mm3: float = 0.0,
    prediction_minimum_mm3: float = 0.0,
) -> tuple[Definition, ...]:
    """Definitions of the columns of the table `lesions`, as it was made.

    Parameters
    ----------
    rule
        The matching rule.
    bins
        Of the column ``size_bin``.
    reference_minimum_mm3, prediction_minimum_mm3
        Filters of lesions and of candidates.
    """
    hit = _hit(rule)
    least = f"{prediction_minimum_mm3:.12g} mm3"
    filtered = rule.slug + _filtered("prediction", prediction_minimum_mm3)
    return (
        *SIZES,
        Definition(
            f"lesion-size-bin-{str(bins).replace(',', '-')}/1",
            "size_bin",
            "size bin",
            "",
            None,
            f"Bins of diameter_mm with borders at {bins} mm: above the lower border, up to and "
            "with the upper one.",
            _OWN,
        ),
        Definition(
            f"lesion-ignored-below-{reference_minimum_mm3:.12g}-mm3/1",
            "ignored",
            "lesion that does not count",
            "",
            None,
            f"Volume below {reference_minimum_mm3:.12g} mm3: neither found nor missed.",
            _OWN,
        ),
        Definition(
            f"lesion-detected-{filtered}/1",
            "detected",
            "lesion found",
            "",
            "higher",
            f"Whether a candidate of at least {least} hits it at any score. {hit} {_COMPONENTS}",
            _OWN,
        ),
        Definition(
            f"lesion-score-{filtered}/1",
            "score",
            "score of the lesion",
            "",
            "higher",
            f"Largest score of all candidates of at least {least} that hit it; empty if missed. "
            f"{hit}",
            _OWN,
        ),
        Definition(
            "lesion-iou/1",
            "iou",
            "largest IoU with a candidate",
            "",
            "higher",
            "Largest intersection over union with one candidate, whether or not that is a hit; 0 "
            "if none overlaps.",
            _OWN,
        ),
        Definition(
            "lesion-candidates/1",
            "candidates",
            "candidates that touch the lesion",
            "",
            None,
            "Candidates that share a voxel with it, or that the rule joins with it.",
            _OWN,
        ),
    )


def candidate_definitions(
    rule: MatchingRule,
    *,
    reference_minimum_mm3: float = 0.0,
    prediction_minimum_mm3: float = 0.0,
) -> tuple[Definition, ...]:
    """Definitions of the columns of the table `candidates`, as :func:`lesion_definitions`."""
    filtered = (
        rule.slug
        + _filtered("prediction", prediction_minimum_mm3)
        + _filtered("reference", reference_minimum_mm3)
    )
    return (
        *SIZES,
        Definition(
            "candidate-score-max/1",
            "score",
            "score of the candidate",
            "",
            None,
            "Largest probability of its voxels; empty without a probability map.",
            _OWN,
        ),
        Definition(
            f"candidate-verdict-{filtered}/1",
            "verdict",
            "verdict on the candidate",
            "",
            None,
            f"Of candidates of at least {prediction_minimum_mm3:.12g} mm3: true_positive has the "
            "highest score of those that hit some lesion; duplicate hits lesions for which "
            f"others have a higher one; ignored touches lesions below {reference_minimum_mm3:.12g} "
            f"mm3 and no other; false_positive is the rest. {_hit(rule)} {_COMPONENTS}",
            _LUNA16 + " for duplicates and ignored candidates",
        ),
        Definition(
            "candidate-lesions/1",
            "lesions",
            "lesions that the candidate touches",
            "",
            None,
            "Lesions, ignored ones too, with which it shares a voxel, or that the rule joins with "
            "it.",
            _OWN,
        ),
    )


def _hit(rule: MatchingRule) -> str:
    text = {
        "overlap": "Hit: a shared voxel.",
        "iou": f"Hit: an intersection over union of at least {rule.minimum_iou:g}.",
        "centre": "Hit: the mean position of the candidate's voxels lies in the lesion.",
    }[rule.criterion]
    if rule.one_to_one:
        return (
            f"{text} A candidate hits one lesion: candidates are assigned, once for all scores, so "
            "that the sum of IoU is largest."
        )
    return f"{text} A candidate may hit several lesions."


def _filtered(which: str, minimum_mm3: float) -> str:
    return f"-{which}-{minimum_mm3:.12g}-mm3" if minimum_mm3 else ""


def _share(metric: str, name: str, text: str) -> tuple[Definition, ...]:
    slug = metric.replace("_", "-")
    return (
        Definition(
            f"lesion-{slug}/1",
            metric,
            name,
            "",
            "higher",
            f"{text} {_LESION_SHARE} {_CLUSTERED}",
            _OWN,
        ),
        Definition(
            f"lesion-{slug}-wilson/1",
            f"{metric}_wilson",
            f"{name}, {_IF_INDEPENDENT}, Wilson",
            "",
            "higher",
            f"{text} Wilson's interval.",
            "Wilson, J Am Stat Assoc 1927;22:209",
        ),
        Definition(
            f"lesion-{slug}-exact/1",
            f"{metric}_exact",
            f"{name}, {_IF_INDEPENDENT}, exact",
            "",
            "higher",
            f"{text} Exact interval.",
            "Clopper and Pearson, Biometrika 1934;26:404",
        ),
    )


PERFORMANCE = (
    *_share(
        "precision",
        "precision of candidates",
        "Candidates that are true positives, of all true and false positives. Duplicates and "
        "ignored candidates are neither, unless duplicates were asked to be false positives.",
    ),
    *_share(
        "recall",
        "sensitivity for lesions",
        "Lesions that a called candidate hits, of all that count; those of scans without "
        "prediction are missed.",
    ),
    Definition(
        "lesion-f1/1",
        "f1",
        "F1 of lesions",
        "",
        "higher",
        "Harmonic mean of precision of candidates and sensitivity for lesions; 0 if no lesion is "
        f"found. {_CLUSTERED}",
        _OWN,
    ),
    Definition(
        "lesion-fp-per-scan/1",
        "fp_per_scan",
        "false positives per scan",
        "",
        "lower",
        "False positives over all scans, those without lesions too. Student's t on the logarithm "
        f"with the variance between patients; no interval below {FEWEST} patients.",
        "author's construction; coverage by simulation",
    ),
    Definition(
        "lesion-average-precision/1",
        "average_precision",
        "average precision of lesions",
        "",
        "higher",
        "Sum over descending thresholds of the gain in sensitivity for lesions times lesions found "
        "over lesions found and false positives; not interpolated; a missed lesion is never "
        f"retrieved. {_CLUSTERED}",
        _OWN,
    ),
    Definition(
        "lesion-froc-sensitivity/1",
        "froc_sensitivity",
        "sensitivity for lesions at a rate of false positives per scan",
        "",
        "higher",
        "Highest sensitivity of any threshold with no more false positives per scan, over all "
        "scans; not interpolated. Beyond the end of the curve, the sensitivity at its end. "
        f"{_CLUSTERED}",
        f"{_LUNA16} for the rates",
    ),
    Definition(
        "lesion-cpm/1",
        "cpm",
        "competition performance metric",
        "",
        "higher",
        f"Mean of the sensitivities at the rates of false positives per scan. {_CLUSTERED}",
        _LUNA16,
    ),
    *_share(
        "size_sensitivity",
        "sensitivity for lesions of a size",
        "Lesions of the size bin that a called candidate hits, of all of that bin that count.",
    ),
)
"""Definitions of the rows of :meth:`performance.LesionPerformance.rows`, by metric."""
