"""A stored case leads back to the array that it came from, whatever its axes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.store.layout import StoredCase
from scalemai.geometry import Grid

ORIENTATIONS = [
    "".join(codes)
    for order in itertools.permutations(("RL", "AP", "SI"))
    for codes in itertools.product(*order)
]


def grid_of(orientation: str, shape: tuple[int, int, int], turn_deg: float = 0.0) -> Grid:
    """A grid whose axes point where the letters say, turned about the patient's long axis."""
    ends = {"R": (1, 0, 0), "A": (0, 1, 0), "S": (0, 0, 1)}
    ends |= {"L": (-1, 0, 0), "P": (0, -1, 0), "I": (0, 0, -1)}
    spacing = np.array((0.7, 1.1, 2.5))
    angle = np.radians(turn_deg)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.stack([ends[c] for c in orientation], axis=1) * spacing
    affine[:3, 3] = (-30, 12, 7)
    return Grid(shape, affine)


@pytest.mark.parametrize("turn_deg", [0.0, 12.0])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_is_stored_as_lps_and_leads_back(
    orientation: str, turn_deg: float
) -> None:
    grid = grid_of(orientation, (4, 5, 6), turn_deg)
    case = StoredCase.of_grid(grid)
    assert case.grid.orientation == "LPS"
    native = np.arange(120).reshape(grid.shape)
    stored = case.from_native(native)
    assert stored.shape == case.shape
    assert np.array_equal(case.to_native(stored), native)
    # Each voxel is where it was in the patient.
    index = np.argwhere(stored >= 0)
    back = np.stack(np.unravel_index(stored[tuple(index.T)], grid.shape), axis=1)
    assert np.allclose(case.grid.to_world(index), grid.to_world(back), atol=1e-9)
    runs = Runs.of_mask(stored % 7 == 0, case.shape)
    painted = np.zeros(grid.shape, bool)
    painted[case.native_indices(runs)] = True
    assert np.array_equal(painted, native % 7 == 0)


def test_a_stored_case_comes_back_from_json() -> None:
    case = StoredCase.of_grid(
        grid_of("PSR", (3, 4, 5), 5.0), structures=("liver",), hashes={"a": "b"}
    )
    again = StoredCase.from_json(case.to_json())
    assert again == case
    assert again.grid.same_as(case.grid)
