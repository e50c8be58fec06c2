"""Pictures of the cases that went worst: their files are read once more."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from scalemai.errors import CaseError
from scalemai.evaluation.case import grid_of
from scalemai.evaluation.crops import crop, empty, read_crops
from scalemai.evaluation.pairing import PairedCase
from scalemai.evaluation.probabilities import read_probability
from scalemai.evaluation.report import Picture
from scalemai.evaluation.report.worst_cases import WorstCase, worst_case_pictures, worst_rows
from scalemai.evaluation.run import Evaluation
from scalemai.masks import turned
from scalemai.volume import Mask

__all__ = ["worst_pictures"]

_DISAGREE = ("both", "prediction_empty", "reference_empty")


def worst_pictures(evaluation: Evaluation, *, k: int = 6) -> tuple[list[Picture], list[str]]:
    """Draw the worst rows by Dice, of lesions where there are any.

    Parameters
    ----------
    evaluation
        The tables.
    k
        Most pictures. Missing predictions are not drawn: there is nothing to see.

    Returns
    -------
    list of Picture
        The worst first.
    list of str
        Cases that could not be drawn, and why.
    """
    request = evaluation.pairing.request
    frame = evaluation.structures.frame.filter(
        pl.col("state").is_in(_DISAGREE) & (pl.col("dsc") < 1)
    )
    if request.lesions:
        frame = frame.filter(pl.col("structure").is_in(request.lesions))
    pairs = {pair.id: pair for pair in evaluation.pairing.cases}
    pictures: list[Picture] = []
    failures: list[str] = []
    for row in worst_rows(frame, "dsc", better="higher", k=k).iter_rows(named=True):
        words = [f"DSC {row['dsc']:.3f}"]
        if row["hd95_mm"] is not None and row["state"] == "both":
            words.append(f"HD95 {row['hd95_mm']:.1f} mm")
        try:
            case = _worst(pairs[row["case"]], row["structure"], evaluation)
            pictures += worst_case_pictures([replace(case, words=words)])
        except CaseError as error:
            failures.append(f"{row['case']}: no picture, because {error}")
    return pictures, failures


def _worst(pair: PairedCase, name: str, evaluation: Evaluation) -> WorstCase:
    request = evaluation.pairing.request
    grid = grid_of(pair)
    reference = read_crops(pair.reference, [name], grid).get(name, empty(grid))
    prediction = empty(grid)
    if pair.prediction is not None:
        found = read_crops(pair.prediction, [name], grid).get(name)
        if name in pair.maps and (found is None or request.threshold is not None):
            values = read_probability(pair.maps[name], grid, pair.reference.ct)
            found = crop(values >= request.cut, grid)
        prediction = found or prediction
    volume = None
    if pair.ct is not None:
        read = pair.ct.volume()
        stored = turned(read.stored, read.grid, grid, pair.ct.ct, pair.reference.ct)
        volume = replace(read, stored=stored, grid=grid)
    return WorstCase(
        pair.id,
        Mask(reference.full(), grid, name),
        Mask(prediction.full(), grid, name),
        volume,
    )
