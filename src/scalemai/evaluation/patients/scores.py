"""One score a case: how suspicious the most suspicious thing in it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.components import label_components
from scalemai.errors import ConfigError, GeometryError, IntensityError, UnknownNameError
from scalemai.geometry import Grid
from scalemai.measure import bounding_box

__all__ = ["MAP_SCORES", "candidate_scores", "require_probabilities", "score_map"]

MAP_SCORES = ("max-probability", "volume-above", "largest-component")
"""Names of the scores that a probability map alone gives."""


def score_map(
    probability: NDArray[np.floating[Any]], grid: Grid, score: str, *, cut: float = 0.5
) -> float:
    """Score a probability map on its native grid.

    Parameters
    ----------
    probability
        Array (i, j, k) of probabilities in [0, 1].
    grid
        Its grid.
    score
        ``"max-probability"``, ``"volume-above"`` or ``"largest-component"``; see
        :func:`scalemai.evaluation.patients.definitions.score_definition`.
    cut
        Probability from which a voxel counts, for the two volumes.

    Returns
    -------
    float
        A probability, or a volume in cubic mm.

    Raises
    ------
    UnknownNameError
        If there is no such score.
    ConfigError
        If the cut is not above 0 and at most 1.
    GeometryError, IntensityError
        As of :func:`require_probabilities`.
    """
    if score not in MAP_SCORES:
        raise UnknownNameError("score", score, MAP_SCORES)
    if not 0 < cut <= 1:
        raise ConfigError(f"a cut of {cut:g} is not above 0 and at most 1", where="cut")
    require_probabilities(probability, grid)
    if score == "max-probability":
        return float(probability.max())
    inside = probability >= cut
    if score == "volume-above":
        return float(np.count_nonzero(inside)) * grid.voxel_volume_mm3
    return _largest_component(inside) * grid.voxel_volume_mm3


def candidate_scores(candidates: pl.DataFrame, cases: Mapping[str, str]) -> pl.DataFrame:
    """Score cases by their most suspicious candidate.

    Parameters
    ----------
    candidates
        Rows of the table `candidates` of one structure: ``case`` and ``score``. Where a
        candidate lies plays no role, nor does its verdict.
    cases
        Every case that was predicted, with its patient; those without candidates score 0.

    Returns
    -------
    polars.DataFrame
        ``case, patient, score``, in the order of ``cases``.

    Raises
    ------
    ConfigError
        If a candidate has no score, a negative one, or belongs to a case that is not listed.
    """
    listed = pl.DataFrame(
        {"case": list(cases), "patient": list(cases.values())},
        schema={"case": pl.String, "patient": pl.String},
    )
    stray = candidates.filter(~pl.col("case").is_in(list(cases)))
    if stray.height:
        what = f"candidate of case {stray['case'][0]!r}, which is not among the cases"
        raise ConfigError(what, fix="give every case that was predicted")
    score = candidates["score"].cast(pl.Float64)
    if score.is_null().any() or score.is_nan().any() or (score < 0).any():
        what = "a candidate has no score, or a negative one"
        raise ConfigError(what, fix="give scores of 0 or more, as probabilities are")
    best = candidates.group_by("case").agg(pl.col("score").cast(pl.Float64).max())
    joined = listed.join(best, on="case", how="left", maintain_order="left")
    return joined.with_columns(pl.col("score").fill_null(0.0))


def require_probabilities(probability: NDArray[np.floating[Any]], grid: Grid) -> None:
    """Refuse what is no probability map of this grid.

    Raises
    ------
    GeometryError
        If the array is not of the grid's shape.
    IntensityError
        If a value is NaN or outside [0, 1].
    """
    if probability.shape != grid.shape:
        what = f"probabilities of shape {probability.shape} on a grid of shape {grid.shape}"
        raise GeometryError(what, fix="give the grid that the map was predicted on")
    low, high = float(probability.min()), float(probability.max())
    # NaN passes through min() and fails both comparisons.
    if not (low >= 0 and high <= 1):
        what = f"probabilities run from {low:g} to {high:g}, not within [0, 1]"
        raise IntensityError(what, fix="apply the softmax or sigmoid, and look for NaN")


def _largest_component(inside: NDArray[np.bool_]) -> int:
    """Voxels of the largest 26-connected component."""
    box = bounding_box(inside)
    if box is None:
        return 0
    return int(np.bincount(label_components(inside[box]).ravel())[1:].max())
