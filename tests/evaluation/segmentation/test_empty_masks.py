"""Empty masks and missing predictions are scored by a stated policy, and counted."""

from __future__ import annotations

import numpy as np
import pytest
from brute_force import grid_of

from scalemai.errors import ConfigError, GeometryError, UnknownNameError
from scalemai.evaluation.segmentation import (
    STATES,
    EmptyPolicy,
    compare_masks,
    count_states,
    definitions,
    score_missing,
)
from scalemai.geometry import Grid

GRID = grid_of((20, 10, 8), (0.8, 0.8, 2.5))
DIAGONAL_MM = float(np.linalg.norm([20 * 0.8, 10 * 0.8, 8 * 2.5]))
NOTHING = np.zeros(GRID.shape, np.bool_)
LESION = NOTHING.copy()
LESION[3:6, 3:6, 3:6] = True
LESION_ML = 27 * 1.6 / 1000


def test_a_missed_structure_scores_zero_and_the_longest_distance_in_the_scan() -> None:
    result = compare_masks(NOTHING, LESION, GRID)
    assert result.state == "prediction_empty"
    assert (result.dsc, result.iou, result.nsd_surfel[2.0], result.nsd_voxel[2.0]) == (0, 0, 0, 0)
    for distance in (result.hd_mm, result.hd95_mm, result.assd_mm):
        assert distance == pytest.approx(DIAGONAL_MM)
    assert result.volume_error_share == -1.0
    assert result.volume_error_ml == pytest.approx(-LESION_ML)


def test_a_false_alarm_scores_zero_and_has_no_relative_volume_error() -> None:
    result = compare_masks(LESION, NOTHING, GRID)
    assert result.state == "reference_empty"
    assert result.dsc == 0.0
    assert result.volume_error_share is None
    assert result.volume_error_ml == pytest.approx(LESION_ML)


def test_nothing_found_where_there_is_nothing_has_no_overlap_unless_asked_for() -> None:
    result = compare_masks(NOTHING, NOTHING, GRID)
    assert result.state == "both_empty"
    assert result.dsc is result.nsd_surfel[2.0] is result.hd95_mm is None
    assert (result.reference_ml, result.prediction_ml, result.volume_error_ml) == (0, 0, 0)
    perfect = compare_masks(NOTHING, NOTHING, GRID, policy=EmptyPolicy(both_empty="perfect"))
    assert (perfect.dsc, perfect.nsd_voxel[2.0], perfect.hd95_mm) == (1.0, 1.0, 0.0)


def test_one_empty_mask_can_be_infinite_or_left_out() -> None:
    infinite = compare_masks(
        LESION, NOTHING, GRID, policy=EmptyPolicy(one_empty_distance="infinite")
    )
    assert infinite.hd_mm == float("inf")
    omitted = EmptyPolicy(one_empty="omit", one_empty_distance="omit")
    result = compare_masks(LESION, NOTHING, GRID, policy=omitted)
    assert result.dsc is result.nsd_surfel[2.0] is result.hd_mm is None


@pytest.mark.parametrize("reference", [NOTHING, LESION])
def test_a_missing_prediction_fails_under_every_policy(reference: np.ndarray) -> None:
    lenient = EmptyPolicy("perfect", "omit", "omit")
    for policy in (EmptyPolicy(), lenient):
        result = score_missing(reference, GRID, policy=policy)
        assert result.state == "missing_prediction"
        assert (result.dsc, result.nsd_surfel[2.0]) == (0.0, 0.0)
        assert result.prediction_ml is None
        assert result.reference_ml == pytest.approx(reference.sum() * 1.6 / 1000)
        assert result.volume_error_ml == -result.reference_ml
        assert result.volume_error_share == (-1.0 if reference.any() else None)
    assert score_missing(reference, GRID).hd95_mm == pytest.approx(DIAGONAL_MM)


def test_a_structure_without_reference_is_not_assessed() -> None:
    result = score_missing(None, None, tolerances_mm=(1.0, 2.0))
    row = result.row()
    assert row.pop("state") == "not_assessed"
    assert set(row.values()) == {None}
    with pytest.raises(GeometryError, match="no grid"):
        score_missing(LESION, None)


def test_the_diagonal_is_the_longest_also_on_a_sheared_grid() -> None:
    affine = np.array([[1.0, 0, 0, 0], [0, 1, 0.5, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    result = compare_masks(LESION, NOTHING, Grid(GRID.shape, affine))
    assert result.hd_mm == pytest.approx(np.linalg.norm([20, 10 + 8 * 0.5, 8 * 2]))


def test_every_state_is_counted_even_if_no_case_has_it() -> None:
    counts = count_states(["both", "both", "both_empty"])
    assert tuple(counts) == STATES
    assert (counts["both"], counts["both_empty"], counts["missing_prediction"]) == (2, 1, 0)
    with pytest.raises(ConfigError, match="'skipped' is not a state"):
        count_states(["skipped"])


def test_a_policy_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="one_empty_distance 'diagonl'"):
        EmptyPolicy(one_empty_distance="diagonl")  # type: ignore[arg-type] # that is the test


def test_rows_have_a_column_for_each_definition_in_the_same_order() -> None:
    tolerances = (1.0, 2.5)
    row = compare_masks(LESION, LESION, GRID, tolerances_mm=tolerances).row()
    columns = [definition.column for definition in definitions(tolerances)]
    assert list(row) == ["state", *columns]
    assert {"nsd_surfel_1mm", "nsd_surfel_2.5mm", "nsd_voxel_2.5mm", "hd95_mm"} < set(columns)


def test_another_policy_is_another_definition_of_what_it_changes() -> None:
    usual = {d.column: d for d in definitions()}
    other = {d.column: d for d in definitions(policy=EmptyPolicy(one_empty_distance="infinite"))}
    changed = {column for column in usual if usual[column].id != other[column].id}
    assert changed == {"hd_mm", "hd95_mm", "assd_mm"}
    assert "infinite" in other["hd95_mm"].text
    perfect = {d.column: d for d in definitions(policy=EmptyPolicy(both_empty="perfect"))}
    assert perfect["dsc"].id == "dsc.both-empty-perfect/1"
    assert usual["dsc"].id == "dsc/1"
    assert usual["nsd_surfel_2mm"].id == "nsd-surfel-2mm/1"
    assert len({d.id for d in usual.values()}) == len(usual)


def test_the_policy_can_be_written_into_the_settings_of_a_table() -> None:
    assert EmptyPolicy(**EmptyPolicy("perfect").as_dict()) == EmptyPolicy("perfect")  # type: ignore[arg-type] # plain strings
