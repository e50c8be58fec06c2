"""Pictures of the worst cases lead to the place that went wrong, on any grid."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image

from scalemai.errors import ConfigError, GeometryError, UnknownNameError
from scalemai.evaluation.report.worst_cases import (
    WorstCase,
    largest_disagreement,
    worst_case_pictures,
    worst_rows,
)
from scalemai.geometry import Grid
from scalemai.io.nifti import read_mask, read_volume
from scalemai.volume import Mask, Volume

SHAPE = (60, 50, 24)
SPACING = (0.8, 1.0, 2.5)
ORANGE, TEAL = (255, 177, 61), (79, 168, 181)


def _grid() -> Grid:
    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    affine[:3, 3] = (20.0, 30.0, -90.0)
    return Grid(SHAPE, affine)


def _ball(centre: tuple[int, int, int], radius_mm: float, name: str = "liver_lesion") -> Mask:
    off = (np.indices(SHAPE).T - np.array(centre)) * np.array(SPACING)
    return Mask(radius_mm**2 >= (off**2).sum(axis=-1).T, _grid(), name)


def _both(first: Mask, second: Mask) -> Mask:
    return Mask(first.array | second.array, first.grid, first.name)


def _nothing() -> Mask:
    return Mask(np.zeros(SHAPE, bool), _grid(), "liver_lesion")


def _pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _share_of(picture: NDArray[np.uint8], color: tuple[int, int, int]) -> int:
    apart = np.abs(picture[34:].astype(int) - color).max(axis=-1)  # below the words
    return int((apart < 40).sum())


def test_a_missed_lesion_is_the_place_even_if_another_one_is_drawn_badly() -> None:
    reference = _both(_ball((15, 15, 8), 8), _ball((45, 35, 16), 4))
    prediction = _ball((18, 15, 8), 12)
    found = largest_disagreement(reference, prediction)
    assert found.kind == "missed"
    assert found.at_mm == pytest.approx(tuple(_grid().to_world((45, 35, 16))))
    voxels = np.argwhere(prediction.array)
    nearest = np.linalg.norm((voxels - (45, 35, 16)) * SPACING, axis=1).min()
    assert found.distance_mm == pytest.approx(nearest, rel=1e-5)


def test_of_the_missed_the_largest_is_shown() -> None:
    reference = _both(_ball((15, 15, 8), 6), _ball((45, 35, 16), 4))
    found = largest_disagreement(reference, _nothing())
    assert (found.kind, found.distance_mm) == ("missed", None)
    assert found.at_mm == pytest.approx(tuple(_grid().to_world((15, 15, 8))))


@pytest.mark.parametrize("swapped", [False, True])
def test_without_a_missed_lesion_it_is_the_voxel_that_is_farthest_off(swapped: bool) -> None:
    ball = _ball((30, 25, 12), 8)
    stray = np.zeros(SHAPE, bool)
    stray[30, 25, 12:22] = True  # a spike, ten slices of 2.5 mm
    spiked = Mask(ball.array | stray, ball.grid, ball.name)
    reference, prediction = (spiked, ball) if swapped else (ball, spiked)
    found = largest_disagreement(reference, prediction)
    assert found.kind == ("left out" if swapped else "added")
    assert found.at_mm == pytest.approx(tuple(_grid().to_world((30, 25, 21))))
    assert found.distance_mm == pytest.approx(6 * 2.5)  # the ball ends at slice 15


def test_an_invented_lesion_equal_masks_and_empty_masks_have_a_place_too() -> None:
    ball = _ball((30, 25, 12), 8)
    assert largest_disagreement(_nothing(), ball).kind == "invented"
    assert largest_disagreement(ball, ball).kind == "none"
    empty = largest_disagreement(_nothing(), _nothing())
    assert empty.kind == "none"
    assert empty.distance_mm is None


def test_masks_and_ct_on_other_grids_are_refused() -> None:
    ball = _ball((30, 25, 12), 8)
    other = Grid(SHAPE, np.diag([1.0, 1.0, 1.0, 1.0]))
    with pytest.raises(GeometryError):
        largest_disagreement(ball, Mask(ball.array, other, ball.name))
    ct = Volume(np.zeros(SHAPE, np.int16), other)
    with pytest.raises(GeometryError):
        worst_case_pictures([WorstCase("a", ball, ball, ct)])
    with pytest.raises(UnknownNameError, match="window"):
        worst_case_pictures([WorstCase("a", ball, ball, window="bones")])


def test_outlines_of_both_masks_are_drawn_in_their_colours_without_a_ct() -> None:
    reference, prediction = _ball((25, 25, 12), 8), _ball((34, 25, 12), 8)
    both = worst_case_pictures([WorstCase("a", reference, prediction)])[0]
    missed = worst_case_pictures([WorstCase("a", reference, _nothing())])[0]
    invented = worst_case_pictures([WorstCase("a", _nothing(), prediction)])[0]
    assert _share_of(_pixels(both.png), ORANGE) > 300
    assert _share_of(_pixels(both.png), TEAL) > 300
    assert _share_of(_pixels(missed.png), TEAL) < 20  # where orange fades into grey
    assert _share_of(_pixels(invented.png), ORANGE) < 20
    assert "plain grey" in both.alt


def test_a_ball_is_round_in_all_planes_whatever_the_spacing() -> None:
    ball = _ball((30, 25, 12), 12)
    picture = _pixels(worst_case_pictures([WorstCase("a", ball, _nothing())])[0].png)
    for panel in (1, 2, 3):
        left = 18 + panel * 346
        square = picture[48:388, left : left + 340].astype(int)
        rows, columns = np.nonzero(np.abs(square - ORANGE).max(axis=-1) < 40)
        height, width = np.ptp(rows), np.ptp(columns)
        assert height == pytest.approx(width, rel=0.16)  # a voxel of 2.5 mm in 24 mm
        assert width > 60


@pytest.mark.parametrize("flip", [(0,), (1, 2), (0, 1, 2)])
def test_the_order_in_which_voxels_are_stored_does_not_change_the_picture(
    flip: tuple[int, ...],
) -> None:
    reference, prediction = _ball((25, 22, 10), 9), _ball((29, 22, 12), 8)
    hu = np.random.default_rng(3).normal(60, 30, SHAPE).round().astype(np.int16)
    turned = _grid().affine.copy()
    for axis in flip:
        turned[:3, 3] += turned[:3, axis] * (SHAPE[axis] - 1)
        turned[:3, axis] *= -1
    grid = Grid(SHAPE, turned)

    def flipped(mask: Mask) -> Mask:
        return Mask(np.flip(mask.array, flip), grid, mask.name)

    first = WorstCase("a", reference, prediction, Volume(hu, _grid()))
    second = WorstCase(
        "a", flipped(reference), flipped(prediction), Volume(np.flip(hu, flip), grid)
    )
    one, two = (_pixels(worst_case_pictures([case])[0].png) for case in (first, second))
    assert (np.abs(one.astype(int) - two).max(axis=-1) > 2).mean() < 1e-3


def test_the_same_case_gives_the_same_bytes_and_markup_in_names_is_drawn() -> None:
    case = WorstCase("<b>$x$\n&", _ball((25, 25, 12), 8), _nothing(), words=("DSC 0.00",))
    first, second = worst_case_pictures([case, case])
    assert first == second
    assert "DSC 0.00" in first.caption
    assert "missed" in first.caption


def test_the_worst_rows_come_first_and_rows_without_value_are_left_out() -> None:
    frame = pl.DataFrame(
        {"case": ["d", "a", "b", "c"], "structure": ["x"] * 4, "dsc": [0.5, 0.5, None, 0.1]}
    )
    assert worst_rows(frame, "dsc", better="higher")["case"].to_list() == ["c", "a", "d"]
    assert worst_rows(frame, "dsc", better="lower", k=1)["case"].to_list() == ["a"]
    with pytest.raises(ConfigError, match="no column 'hd95'"):
        worst_rows(frame, "hd95", better="lower")


@pytest.mark.real
def test_a_real_liver_that_was_shifted_is_shown_on_its_ct(shared_data: Path) -> None:
    folder = shared_data / "abdomen" / "crlm1004"
    ct = read_volume(folder / "ct.nii.gz")
    liver = read_mask(folder / "segmentations" / "liver.nii.gz", "liver")
    shifted = Mask(np.roll(liver.array, (6, -9, 1), (0, 1, 2)), liver.grid, "liver")
    picture = worst_case_pictures([WorstCase("crlm1004", liver, shifted, ct)])[0]
    pixels = _pixels(picture.png)
    assert _share_of(pixels, TEAL) > 100
    grey = pixels[48:388, 364:704]
    assert (np.ptp(grey.astype(int), axis=-1) < 8).mean() > 0.8  # tissue, not lines
    assert np.std(grey) > 20
    assert "outside of the reference" in picture.caption
