"""Scores of cases say how suspicious the most suspicious thing is."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from scalemai.errors import ConfigError, GeometryError, IntensityError, UnknownNameError
from scalemai.evaluation.patients.definitions import score_definition
from scalemai.evaluation.patients.rows import by_patient, patient_row, scored
from scalemai.evaluation.patients.scores import candidate_scores, score_map
from scalemai.geometry import Grid

GRID = Grid((12, 12, 12), np.diag([0.5, 0.5, 2.0, 1.0]))


def two_islands() -> np.ndarray:
    """27 voxels at 0.6 and, touching by a corner only, 8 voxels at 0.9; one voxel apart."""
    probability = np.zeros(GRID.shape, np.float32)
    probability[1:4, 1:4, 1:4] = 0.6
    probability[4:6, 4:6, 4:6] = 0.9
    probability[10, 10, 10] = 0.7
    return probability


def test_volumes_are_in_cubic_millimetres_and_corners_connect() -> None:
    probability = two_islands()
    assert score_map(probability, GRID, "max-probability") == pytest.approx(0.9)
    assert score_map(probability, GRID, "volume-above") == 36 * 0.5
    assert score_map(probability, GRID, "largest-component") == 35 * 0.5
    assert score_map(probability, GRID, "largest-component", cut=0.65) == 8 * 0.5
    assert score_map(probability * 0, GRID, "largest-component") == 0


def test_a_voxel_at_the_cut_counts() -> None:
    probability = np.zeros(GRID.shape)
    probability[3, 3, 3] = 0.5
    assert score_map(probability, GRID, "volume-above") == 0.5


def test_maps_that_are_no_probabilities_are_refused() -> None:
    probability = two_islands()
    with pytest.raises(UnknownNameError, match="max-probability"):
        score_map(probability, GRID, "max-probabilty")
    with pytest.raises(ConfigError, match="cut"):
        score_map(probability, GRID, "volume-above", cut=0)
    with pytest.raises(GeometryError, match="shape"):
        score_map(probability[1:], GRID, "max-probability")
    for wrong in (np.nan, -0.01, 255):
        probability[0, 0, 0] = wrong
        with pytest.raises(IntensityError, match="probabilities run from"):
            score_map(probability, GRID, "max-probability")


def test_a_case_scores_as_its_best_candidate_and_zero_without_any() -> None:
    candidates = pl.DataFrame({"case": ["b", "a", "b"], "score": [0.2, 0.4, 0.7]})
    scores = candidate_scores(candidates, {"a": "p1", "b": "p1", "c": "p2"})
    assert scores.rows() == [("a", "p1", 0.4), ("b", "p1", 0.7), ("c", "p2", 0.0)]
    with pytest.raises(ConfigError, match="case 'b', which is not among"):
        candidate_scores(candidates, {"a": "p1"})
    with pytest.raises(ConfigError, match="no score"):
        candidate_scores(candidates.with_columns(score=pl.lit(None)), {"a": "", "b": ""})


def rows() -> pl.DataFrame:
    entries = [
        ("s1", "ann", True, 0.3),
        ("s2", "ann", False, 0.8),
        ("s3", "bob", False, 0.1),
        ("s4", "bob", None, 0.2),
        ("s5", "cem", True, None),
        ("s6", "cem", True, 0.9),
        ("s7", "dia", False, None),
    ]
    return pl.DataFrame(
        [
            patient_row(case=case, patient=patient, structure="liver_lesion", positive=p, score=s)
            for case, patient, p, s in entries
        ]
    )


def test_scans_join_to_patients_without_hiding_what_is_missing() -> None:
    table = by_patient(rows())
    assert table.select("patient", "positive", "score", "state").rows() == [
        ("ann", True, 0.8, "scored"),
        ("bob", None, 0.2, "not_assessed"),
        ("cem", True, None, "missing_prediction"),
        ("dia", False, None, "missing_prediction"),
    ]
    assert by_patient(rows().sample(fraction=1, shuffle=True, seed=3)).equals(table)


def test_missing_predictions_take_the_worst_rank_or_are_left_out() -> None:
    failed = scored(rows(), "liver_lesion")
    assert (failed.missing, failed.not_assessed) == (2, 1)
    assert failed.score.tolist() == [0.3, 0.8, 0.1, -np.inf, 0.9, np.inf]
    assert failed.clustered
    left = scored(rows(), "liver_lesion", "omit")
    assert left.score.tolist() == [0.3, 0.8, 0.1, 0.9]
    assert left.missing == 2


def test_tables_that_cannot_be_evaluated_are_refused() -> None:
    table = rows()
    with pytest.raises(UnknownNameError, match="liver_lesion"):
        scored(table, "liver")
    with pytest.raises(ConfigError, match="s1: liver_lesion is listed twice"):
        scored(pl.concat([table, table.head(1)]), "liver_lesion")
    with pytest.raises(ConfigError, match="no column score"):
        scored(table.drop("score"), "liver_lesion")
    with pytest.raises(ConfigError, match="is NaN"):
        scored(table.with_columns(score=pl.lit(float("nan"))), "liver_lesion")
    both = [table.with_columns(algorithm=pl.lit(name)) for name in ("x", "y")]
    with pytest.raises(ConfigError, match="2 algorithms"):
        scored(pl.concat(both), "liver_lesion")
    with pytest.raises(ConfigError, match="s1: score of liver is NaN"):
        patient_row(case="s1", structure="liver", positive=True, score=float("nan"))


def test_the_cut_is_part_of_what_a_volume_means() -> None:
    half, tenth = (score_definition("volume-above", cut=cut) for cut in (0.5, 0.1))
    assert half.id == "patient-score-volume-above-0.5/1"
    assert half.id != tenth.id
    assert "at least 0.1," in tenth.text
    assert score_definition("max-candidate").id == "patient-score-max-candidate/1"
    with pytest.raises(ConfigError, match="needs a cut"):
        score_definition("r-super")
    with pytest.raises(ConfigError, match="has no cut"):
        score_definition("radgpt", cut=0.5)
    with pytest.raises(UnknownNameError, match="max-candidate"):
        score_definition("max-candidates")
