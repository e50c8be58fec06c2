"""Which prediction belongs to which reference, what is missing, and what is evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from scalemai.anatomy import canonical, is_lesion, structure
from scalemai.case import Case
from scalemai.cases.dataset import Dataset
from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.maskset import MaskSet
from scalemai.evaluation.request import Request

__all__ = ["Key", "PairedCase", "Pairing", "organ_of", "pair"]

Key = Literal["case", "patient"]
"""What the rows of metadata are."""

_PATIENT = ("patient", "patient_id")
_MOST_NAMES = 5


@dataclass(frozen=True, eq=False)
class PairedCase:
    """One reference and its prediction: where their files are. Small to send to a worker.

    Parameters
    ----------
    id, patient
        Names; a case whose patient is not known is a patient of its own.
    reference
        The reference. Without a CT, its ``ct`` is one of its masks.
    prediction
        The prediction; None if it is missing.
    maps
        Probability map of each structure, of the prediction.
    image
        The CT, where one was given beside the masks.
    reference_has_ct
        Whether the reference brings its own CT.
    metadata
        What is known of the case: ``phase``, ``sex``, ``age``, ...
    """

    id: str
    patient: str
    reference: Case
    prediction: Case | None
    maps: Mapping[str, Path] = field(default_factory=dict)
    image: Case | None = None
    reference_has_ct: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ct(self) -> Case | None:
        """The case that has the CT, if there is one."""
        return self.image or (self.reference if self.reference_has_ct else None)

    def predicts(self, name: str) -> bool:
        """Whether the prediction has a mask or probability map of a structure."""
        return self.prediction is not None and (self.prediction.has(name) or name in self.maps)


@dataclass(frozen=True, eq=False)
class Pairing:
    """All cases of the reference with their predictions.

    Parameters
    ----------
    cases
        In the order of their ids.
    request
        What is asked, with the names of structures and lesions and the score decided.
    missing
        Structure to the cases whose reference has it and whose prediction does not.
    extra
        Predictions without reference.
    notes
        Remarks for the user.
    """

    cases: tuple[PairedCase, ...]
    request: Request
    missing: Mapping[str, tuple[str, ...]]
    extra: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def without_prediction(self) -> tuple[str, ...]:
        """Cases that have no prediction at all."""
        return tuple(case.id for case in self.cases if case.prediction is None)


def pair(
    predictions: MaskSet,
    references: MaskSet,
    request: Request,
    *,
    images: Dataset | None = None,
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
    metadata_key: Key = "case",
) -> Pairing:
    """Pair predictions with references by case id, and decide what is evaluated.

    Parameters
    ----------
    predictions, references
        From :func:`scalemai.evaluation.maskset.open_masks`. One prediction and one reference
        belong together whatever their names.
    request
        What is asked.
    images
        CTs by case id, for pictures, and for DICOM segmentations that do not span the scan.
    metadata
        Case id to what is known of it; ``patient`` says whose it is.
    metadata_key
        ``"patient"`` if the metadata are by patient, as the references name them. A case whose
        patient they do not name is a patient of its own.

    Raises
    ------
    UnknownNameError
        If a structure that is asked for is in no reference.
    ConfigError
        If no prediction is named like a reference, nothing is left to evaluate, only some
        predictions have the probability maps of a lesion, or a gate, preset or score needs what
        predictions do not have.
    """
    of = {case_id: case_id for case_id in predictions.ids}
    if len(predictions) == len(references) == 1:
        of = {references.ids[0]: predictions.ids[0]}
    if not any(case_id in of for case_id in references.ids):
        what = (
            f"no prediction is named like a reference: {_few(predictions.ids)} against "
            f"{_few(references.ids)}"
        )
        raise ConfigError(what, where=predictions.root, fix="name predictions after their cases")
    known = metadata or {}
    cases = []
    unknown: list[str] = []
    for case_id in sorted(references.ids):
        reference = references[case_id]
        own = {name: v for name, v in reference.metadata.items() if name not in ("layout", "split")}
        name = case_id if metadata_key == "case" else _patient_of(own, case_id)
        unknown += [] if name in known else [case_id]
        facts = {**own, **known.get(name, {})}
        patient = _patient_of(facts, case_id)
        partner = of.get(case_id)
        prediction = None if partner is None else predictions[partner]
        cases.append(
            PairedCase(
                case_id,
                patient,
                reference,
                None if prediction is None else replace(prediction, ct=reference.ct),
                {} if partner is None else predictions.maps_of(partner),
                images[case_id] if images is not None and case_id in images else None,
                case_id not in references.without_ct,
                {name: value for name, value in facts.items() if name not in _PATIENT},
            )
        )
    notes = [*references.notes, *predictions.notes]
    if metadata is not None and unknown:
        share = f"{len(unknown)} of {len(cases)} cases"
        notes.append(f"the metadata know nothing of {share} ({_few(unknown)})")
    structures, lesions = _names(cases, request, notes)
    resolved = replace(request, structures=structures, lesions=lesions)
    resolved = replace(resolved, score=_score(cases, resolved))
    _require_organs(cases, resolved)
    extra = tuple(sorted(set(of) - set(references.ids)))
    missing = {
        name: tuple(
            case.id for case in cases if case.reference.has(name) and not case.predicts(name)
        )
        for name in structures
    }
    pairing = Pairing(tuple(cases), resolved, missing, extra, ())
    return replace(pairing, notes=(*notes, *_remarks(pairing)))


def _patient_of(facts: Mapping[str, Any], case_id: str) -> str:
    return next((str(facts[name]) for name in _PATIENT if facts.get(name)), case_id)


def organ_of(name: str) -> str | None:
    """The organ that a lesion structure belongs to; None if that is not known.

    Of a kind of lesion (``kidney_cyst``) it is the organ of the wider group.
    """
    try:
        parent = structure(name).parent
        while parent is not None and is_lesion(parent):
            parent = structure(parent).parent
        return parent
    except UnknownNameError:
        return None


def _names(
    cases: Sequence[PairedCase], request: Request, notes: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Structures and lesions by their canonical names, checked against the references."""
    known = sorted({name for case in cases for name in case.reference.sources})
    asked = [_canonical(name) for name in (*request.structures, *(request.lesions or ()))]
    for name in asked:
        if not any(case.reference.has(name) or name in case.reference.stated for case in cases):
            raise UnknownNameError("structure of the references", name, known)
    chosen = list(dict.fromkeys(asked))
    if not request.structures:
        predicted = {name for case in cases if case.prediction for name in _predicted(case)}
        left_out = []
        for name in known:
            if name in chosen:
                continue
            if name in predicted or any(case.predicts(name) for case in cases):
                chosen.append(name)
            else:
                left_out.append(name)
        if left_out:
            plural = "structures" if len(left_out) > 1 else "structure"
            notes.append(
                f"{len(left_out)} {plural} of the reference ({_few(left_out)}) that no prediction "
                "has: not evaluated; ask for them by name to count them as missed"
            )
        if more := sorted(predicted - set(known) - set(chosen)):
            notes.append(f"no reference has {_few(more)}, which predictions have: not evaluated")
    if not chosen:
        raise ConfigError(
            f"predictions and references have no structure in common; references have "
            f"{_few(known) or 'none'}",
            fix="name masks after their structures, or give the class map",
        )
    if request.lesions is not None:
        lesions = tuple(dict.fromkeys(_canonical(name) for name in request.lesions))
    else:
        lesions = tuple(sorted(name for name in chosen if is_lesion(name)))
    return tuple(sorted(chosen)), lesions


def _predicted(case: PairedCase) -> Iterable[str]:
    return () if case.prediction is None else (*case.prediction.sources, *case.maps)


def _score(cases: Sequence[PairedCase], request: Request) -> Any:
    """The score of a case that all predictions allow."""
    lesions = request.lesions or ()
    if not lesions:
        return request.preset or request.score
    predicted = [case for case in cases if case.prediction is not None]
    complete = True
    for name in lesions:
        having = [case for case in predicted if name in case.maps]
        lacking = [case for case in predicted if case.predicts(name) and name not in case.maps]
        if having and lacking:
            what = (
                f"{len(lacking)} of {len(having) + len(lacking)} predictions have no probability "
                f"map of {name}, the others have"
            )
            fix = "give probability maps of all cases or of none; scores are not comparable"
            raise ConfigError(what, where=lacking[0].id, fix=fix)
        complete &= bool(having)
    score = request.preset or request.score
    if score in ("max-probability", "r-super") and not complete:
        fix = "give CASE/probabilities/NAME.nii.gz, or leave the score out"
        raise ConfigError(f"{score} needs probability maps of all lesions", where="score", fix=fix)
    return score or ("max-probability" if complete else "largest-component")


def _require_organs(cases: Sequence[PairedCase], request: Request) -> None:
    """See that organs are there where the gate or the preset needs them."""
    needs = []
    if request.gate != "none":
        needs.append((f"gate {request.gate}", request.gate))
    if request.score == "radgpt":
        needs.append(("preset radgpt", "prediction"))
    for why, whose in needs:
        for name in request.lesions or ():
            organ = organ_of(name)
            if organ is None:
                fix = "use lesions of an organ, or leave it out"
                raise ConfigError(f"the organ of {name} is not known", where=why, fix=fix)
            for case in cases:
                masks = case.prediction if whose == "prediction" else case.reference
                if masks is not None and not masks.has(organ):
                    what = f"the {whose} has no mask of {organ}, which {why} needs for {name}"
                    raise ConfigError(what, where=case.id, fix=f"add it, or do without {why}")


def _remarks(pairing: Pairing) -> list[str]:
    notes = []
    gone = pairing.without_prediction
    count = "counted as failures" if pairing.request.missing == "fail" else "left out"
    if gone:
        share = f"{len(gone)} of {len(pairing.cases)} cases have no prediction"
        notes.append(f"{share} ({_few(gone)}): {count}")
    for name, cases in pairing.missing.items():
        partly = sorted(set(cases) - set(gone))
        if partly:
            have = "predictions have" if len(partly) > 1 else "prediction has"
            notes.append(f"{len(partly)} {have} no {name} ({_few(partly)}): {count}")
    if pairing.extra:
        n = len(pairing.extra)
        plural = "predictions have" if n > 1 else "prediction has"
        notes.append(f"{n} {plural} no reference ({_few(pairing.extra)}): not evaluated")
    return notes


def _few(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _canonical(name: str) -> str:
    try:
        return canonical(name)
    except UnknownNameError:
        return name
