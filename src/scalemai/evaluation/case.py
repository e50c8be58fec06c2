"""One case: all rows that it adds to the tables. Files are read here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.case import Presence
from scalemai.errors import CaseError
from scalemai.evaluation.content import content_digest
from scalemai.evaluation.crops import Crop, crop, empty, read_crops
from scalemai.evaluation.facts import CaseFacts, phase_of
from scalemai.evaluation.foreground import several_values
from scalemai.evaluation.lattice import upright
from scalemai.evaluation.lesions.components import Component, find_components
from scalemai.evaluation.lesions.matching import match
from scalemai.evaluation.lesions.rows import candidate_rows, lesion_rows
from scalemai.evaluation.pairing import PairedCase, organ_of
from scalemai.evaluation.patients.presets import RadGPT, RSuper
from scalemai.evaluation.patients.rows import patient_row
from scalemai.evaluation.patients.scores import score_map
from scalemai.evaluation.probabilities import read_probability
from scalemai.evaluation.provenance import case_digest
from scalemai.evaluation.request import Request
from scalemai.evaluation.segmentation import compare_masks, score_missing
from scalemai.geometry import Grid
from scalemai.io.nifti import is_nifti_name, read_grid
from scalemai.masks import MaskSource

__all__ = ["CaseResult", "evaluate_case", "grid_of", "sources_of"]

_Rows = list[dict[str, Any]]


@dataclass(slots=True)
class CaseResult:
    """What one case adds to the tables.

    Parameters
    ----------
    case
        Its id.
    digest
        Digest of all that was read.
    structures, lesions, candidates, patients
        Rows of the tables of these names.
    notes
        Remarks.
    unusable
        Why the prediction cannot be used; empty if it can.
    files
        Lesion structure to the digest of its voxels, as of
        :class:`scalemai.evaluation.tables.Table`.
    """

    case: str
    digest: str
    structures: _Rows = field(default_factory=list)
    lesions: _Rows = field(default_factory=list)
    candidates: _Rows = field(default_factory=list)
    patients: _Rows = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unusable: str = ""
    files: dict[str, str] = field(default_factory=dict)


def evaluate_case(pair: PairedCase, request: Request) -> CaseResult:
    """Compare one prediction with its reference.

    Parameters
    ----------
    pair
        Where the files are.
    request
        What is asked, as :func:`scalemai.evaluation.pairing.pair` decided it.

    Returns
    -------
    CaseResult
        A structure that the reference has no mask of is not assessed: nothing that is predicted
        there is right or wrong. A mask without voxels says that the structure is absent: what is
        predicted is a false positive. Where the data set states that a lesion is there and the
        mask is empty, its voxels are not assessed, but the patient is positive. A prediction that
        cannot be used (damaged, of another grid, with unknown labels, with probabilities that are
        NaN or outside [0, 1]) is as good as a missing one, for all structures of the case: its
        faults must not take hard cases out of the numbers.

    Raises
    ------
    GeometryError
        If the masks of the reference lie on another grid than its CT.
    IntensityError
        If a label map of the reference holds a value that its class map does not know.
    UnreadableFileError
        If a file of the reference is missing or damaged.
    """
    try:
        return _evaluate_case(pair, request)
    except CaseError as error:
        if pair.prediction is None:
            raise
        # Without the prediction, a fault of the reference is raised again.
        result = _evaluate_case(replace(pair, prediction=None, maps={}), request)
        for row in (*result.structures, *result.patients):
            if row["state"] == "missing_prediction":
                row["state"] = "unusable_prediction"
        result.unusable = str(error)
        return result


def _evaluate_case(pair: PairedCase, request: Request) -> CaseResult:
    grid = grid_of(pair)
    files = sources_of(pair, request)
    result = CaseResult(pair.id, case_digest(files))
    masks = _Masks.read(pair, request, grid)
    facts = CaseFacts(pair, grid, masks.reference, request.lesions or ()) if request.facts else None
    for name in request.structures:
        _evaluate(name, masks, pair, request, result, facts)
    result.notes += [] if facts is None else facts.notes
    result.notes += several_values(pair.reference, _of_reference(request), "reference")
    if pair.prediction is not None:
        result.notes += several_values(pair.prediction, _of_prediction(pair, request), "prediction")
    return result


def grid_of(pair: PairedCase) -> Grid:
    """The grid on which a case is evaluated: that of its CT if known, else of its masks."""
    if pair.reference_has_ct:
        return upright(pair.reference.grid())
    if is_nifti_name(pair.reference.ct):
        return upright(read_grid(pair.reference.ct))
    if pair.image is not None:
        return upright(pair.image.grid())
    predicted = () if pair.prediction is None else pair.prediction.sources.values()
    for path in (*(source.path for source in predicted), *pair.maps.values()):
        if is_nifti_name(path):
            return upright(read_grid(path))
    from scalemai.io.dicom_seg_read import read_segmentation

    # Only what the frames of the file span is known; a prediction beyond it is refused.
    return upright(read_segmentation(pair.reference.ct)[0].mask.grid)


def sources_of(pair: PairedCase, request: Request) -> dict[str, dict[str, MaskSource]]:
    """Every file that is read for a case, by role and structure."""
    found = {
        "reference": {
            part: pair.reference.sources[part]
            for name in _of_reference(request)
            for part in pair.reference.parts(name)
        }
    }
    if pair.prediction is not None:
        found["prediction"] = {
            part: pair.prediction.sources[part]
            for name in _of_prediction(pair, request)
            for part in pair.prediction.parts(name)
        }
        found["probability"] = {
            name: MaskSource(pair.maps[name]) for name in request.structures if name in pair.maps
        }
    return found


def _of_reference(request: Request) -> list[str]:
    """Structures whose masks are read of the reference."""
    organs = _organs(request) if request.gate == "reference" else []
    return [*request.structures, *organs]


def _of_prediction(pair: PairedCase, request: Request) -> list[str]:
    """Structures whose masks are read of the prediction."""
    # Where the masks come from probabilities, files of masks are not even opened.
    skipped = set(pair.maps) if request.threshold is not None else set()
    organs = [] if request.gate == "reference" and request.score != "radgpt" else _organs(request)
    return [*(name for name in request.structures if name not in skipped), *organs]


def _organs(request: Request) -> list[str]:
    """Organs that are needed beside the structures themselves."""
    if request.gate == "none" and request.score != "radgpt":
        return []
    return [organ for name in request.lesions or () if (organ := organ_of(name)) is not None]


@dataclass(frozen=True, eq=False)
class _Masks:
    """What was read of a case."""

    grid: Grid
    reference: Mapping[str, Crop]
    prediction: Mapping[str, Crop]

    @staticmethod
    def read(pair: PairedCase, request: Request, grid: Grid) -> _Masks:
        reference = read_crops(pair.reference, _of_reference(request), grid)
        prediction: dict[str, Crop] = {}
        if pair.prediction is not None:
            prediction = read_crops(pair.prediction, _of_prediction(pair, request), grid)
        return _Masks(grid, reference, prediction)


def _evaluate(
    name: str,
    masks: _Masks,
    pair: PairedCase,
    request: Request,
    result: CaseResult,
    facts: CaseFacts | None,
) -> None:
    """Add the rows of one structure."""
    is_a_lesion = name in (request.lesions or ())
    reference, positive = _reference(name, masks, pair, result)
    probability = None
    if pair.prediction is not None and name in pair.maps:
        probability = read_probability(pair.maps[name], masks.grid, pair.reference.ct)
    prediction = masks.prediction.get(name)
    if probability is not None and (prediction is None or request.threshold is not None):
        prediction = crop(probability >= request.cut, masks.grid)
    if is_a_lesion and request.gate != "none" and prediction is not None:
        organ = _gate(name, masks, request)
        prediction = prediction & organ
        if probability is not None:
            probability = np.where(organ.full(), probability, np.float32(0))
    place = {"case": pair.id, "patient": pair.patient, "structure": name}
    compared = _compare(reference, prediction, request)
    result.structures.append({**place, **compared})
    if not is_a_lesion:
        return
    omitted = prediction is None and request.missing == "omit"
    if reference is not None and not omitted:
        _match(reference, prediction, probability, place, pair, request, result, facts)
    score = None
    if prediction is not None:
        score = _score(name, prediction, probability, masks, request)
    result.patients.append(patient_row(**place, positive=positive, score=score))
    if mark := content_digest(reference, prediction, probability):
        result.files[name] = mark


def _reference(
    name: str, masks: _Masks, pair: PairedCase, result: CaseResult
) -> tuple[Crop | None, bool | None]:
    """The reference mask, None if it was not assessed; and whether the case has the structure."""
    drawn = masks.reference.get(name)
    stated = pair.reference.stated.get(name)
    if drawn is not None and not drawn.is_empty:
        if stated is Presence.ABSENT:
            result.notes.append(f"the mask of {name} has voxels though the data set says absent")
        return drawn, True
    if stated is Presence.PRESENT:
        result.notes.append(f"{name} is stated to be present but not drawn: voxels not assessed")
        return None, True
    if stated in (Presence.UNCERTAIN, Presence.NOT_ASSESSED):
        return None, None
    if drawn is None and stated is Presence.ABSENT:
        return empty(masks.grid), False
    return drawn, None if drawn is None else False


def _gate(name: str, masks: _Masks, request: Request) -> Crop:
    organ = organ_of(name)
    assert organ is not None, "the pairing has seen that it is known"
    return (masks.prediction if request.gate == "prediction" else masks.reference)[organ]


def _compare(
    reference: Crop | None, prediction: Crop | None, request: Request
) -> dict[str, float | str | None]:
    tolerances, policy = request.tolerances_mm, request.policy
    if reference is None:
        return score_missing(None, None, tolerances_mm=tolerances, policy=policy).row()
    whole, grid = reference.full(), reference.grid
    if prediction is None:
        missed = score_missing(whole, grid, tolerances_mm=tolerances, policy=policy).row()
        if request.missing == "fail":
            return missed
        kept = ("state", "reference_ml")
        return {column: value if column in kept else None for column, value in missed.items()}
    return compare_masks(
        prediction.full(), whole, grid, tolerances_mm=tolerances, policy=policy
    ).row()


def _match(
    reference: Crop,
    prediction: Crop | None,
    probability: NDArray[np.float32] | None,
    place: Mapping[str, str],
    pair: PairedCase,
    request: Request,
    result: CaseResult,
    facts: CaseFacts | None,
) -> None:
    grid = reference.grid
    lesions = find_components(reference.full(), grid)
    candidates: tuple[Component, ...] = ()
    if prediction is not None:
        candidates = find_components(
            prediction.full(),
            grid,
            probability=probability,
            minimum_mm3=request.prediction_minimum_mm3,
        )
    matching = match(
        lesions,
        candidates,
        grid,
        request.rule,
        reference_minimum_mm3=request.reference_minimum_mm3,
    )
    organ = organ_of(place["structure"])
    if facts is None:
        stated = phase_of(pair)
        of_lesions, of_candidates = (
            {one.number: stated for one in found} for found in (lesions, candidates)
        )
    else:
        of_lesions, of_candidates = facts.of(place["structure"], lesions, candidates)
    result.lesions += lesion_rows(
        matching, lesions, **place, organ=organ, bins=request.bins, facts=of_lesions
    )
    result.candidates += candidate_rows(
        matching, candidates, **place, organ=organ, facts=of_candidates
    )


def _score(
    name: str,
    prediction: Crop,
    probability: NDArray[np.float32] | None,
    masks: _Masks,
    request: Request,
) -> float:
    """The score of the case for the detection of patients."""
    if request.score == "radgpt":
        organ = organ_of(name)
        assert organ is not None, "the pairing has seen that it is known"
        return RadGPT().score(prediction.full(), masks.prediction[organ].full(), masks.grid)
    if request.score == "largest-component":
        if prediction.region is None:
            return 0.0
        inside = prediction.array.astype(np.float32)
        within = masks.grid.crop(prediction.region)
        return score_map(inside, within, "largest-component", cut=request.cut)
    assert probability is not None, "the pairing has seen that there are maps"
    if request.score == "r-super":
        return RSuper().score(probability, masks.grid)
    return score_map(probability, masks.grid, "max-probability")
