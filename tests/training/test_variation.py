"""What is varied about a patch, and what is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemai.detector.organ_mask import closed_organ
from scalemai.detector.spec import DetectorSpec, Preprocessing
from scalemai.errors import ConfigError
from scalemai.training.augment import Augmentation, augmentation_for
from scalemai.training.corruption import OrganCorruption
from scalemai.training.cutting import context_round, cut, draw_start

STILL = Augmentation(
    organ_shift_hu=0.0, shift_hu=0.0, scale=(1, 1), noise=0, blur=0, gamma=0, flip=(0, 0, 0)
)
SPACING_MM = (1.5, 1.5, 1.5)


def patch() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU, an organ of 40 mm, and a lesion of 15 mm that reaches its surface."""
    off = (np.indices((41, 41, 41)) - 20.0) * 1.5
    lesion = ((off - np.array([15.0, 0, 0]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0) <= 7.5**2
    organ = ((off**2).sum(axis=0) <= 20.0**2) | lesion
    rng = np.random.default_rng(0)
    hu = np.where(organ, 110.0, -90.0) + rng.normal(0, 8, organ.shape)
    return hu.astype(np.float32), organ, lesion


def test_the_same_stream_gives_the_same_patch_and_nothing_is_changed_in_place() -> None:
    hu, organ, _ = patch()
    kept = hu.copy()
    everything = Augmentation(noise=1.0, blur=1.0, gamma=1.0)
    one, same, other = (
        everything.intensities(hu, organ, Preprocessing(), np.random.default_rng(seed))[0]
        for seed in (1, 1, 2)
    )
    assert one.dtype == np.float32
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.array_equal(hu, kept)


def test_no_augmentation_changes_nothing() -> None:
    hu, organ, lesion = patch()
    rng = np.random.default_rng(0)
    made, middle = STILL.intensities(hu, organ, Preprocessing(), rng, 110.0)
    assert np.array_equal(made, hu)
    assert middle == 110.0
    for before, after in zip((hu, lesion), STILL.orientation(hu, lesion, rng=rng), strict=True):
        assert np.array_equal(before, after)


def test_the_organ_is_shifted_against_what_is_round_it() -> None:
    hu, organ, _ = patch()
    only = Augmentation(organ_shift_hu=20, shift_hu=0, scale=(1, 1), noise=0, blur=0, gamma=0)
    shifts = []
    for seed in range(40):
        made, middle = only.intensities(
            hu, organ, Preprocessing(), np.random.default_rng(seed), 110.0
        )
        change = made - hu
        assert middle - 110.0 == pytest.approx(float(change[20, 20, 20]), abs=1e-3)
        assert np.abs(change[:4]).max() == 0.0
        shifts.append(float(change[20, 20, 20]))
    assert -20.0 <= min(shifts) < -12.0
    assert 12.0 < max(shifts) <= 20.0


def test_the_organs_median_goes_with_the_organ() -> None:
    _, organ, _ = patch()
    quiet = np.where(organ, np.float32(110.0), np.float32(-90.0))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        every = Augmentation(noise=0.0, blur=0.5, gamma=0.5)
        made, middle = every.intensities(quiet, organ, Preprocessing(), rng, 110.0)
        assert middle == pytest.approx(float(np.median(made[organ])), abs=0.5)


def test_gamma_bends_the_window_and_leaves_its_ends_and_what_lies_beyond() -> None:
    hu = np.array([-1000, -175, 0, 100, 250, 900], np.float32).reshape(6, 1, 1)
    organ = np.zeros(hu.shape, np.bool_)
    only = Augmentation(
        organ_shift_hu=0, shift_hu=0, scale=(1, 1), noise=0, blur=0, gamma=1, gamma_range=(2, 2)
    )
    made, middle = only.intensities(hu, organ, Preprocessing(), np.random.default_rng(0), 100.0)
    bent = made.ravel()
    assert middle == pytest.approx(float(bent[3]))
    assert bent[[0, 1, 4, 5]].tolist() == [-1000, -175, 250, 900]
    assert bent[2] == pytest.approx(-175 + 425 * (175 / 425) ** 2, abs=0.01)
    assert (np.diff(bent) > 0).all()


def test_flips_and_turns_move_all_arrays_alike() -> None:
    hu, _, lesion = patch()
    marked = np.where(lesion, np.float32(5.0), np.float32(0.0))
    turning = Augmentation(turn=0.5)
    seen = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        _, moved, mask = turning.orientation(hu, marked, lesion, rng=rng)
        assert np.array_equal(moved > 0, mask)
        seen.add(tuple(np.argwhere(mask).mean(axis=0).round().astype(int).tolist()))
    assert len(seen) == 4  # the lesion lies on one axis: it comes to lie at four places


def test_a_patient_is_turned_only_where_no_site_matters() -> None:
    assert augmentation_for(DetectorSpec("liver", ("liver_lesion",))).turn > 0.0
    assert augmentation_for(DetectorSpec("pancreas", ("pancreatic_lesion",))).turn == 0.0
    assert augmentation_for(DetectorSpec("kidney", ("kidney_lesion",))).turn == 0.0
    flat = DetectorSpec("liver", ("liver_lesion",), Preprocessing(spacing_mm=(1.0, 2.0, 2.0)))
    assert augmentation_for(flat).turn == 0.0


def test_lesions_are_left_out_of_the_mask_and_partly_closed_again() -> None:
    _, organ, lesion = patch()
    holes = OrganCorruption(holes=1, erosion=0, dilation=0, shift=0)
    seen = [holes(organ, lesion, SPACING_MM, np.random.default_rng(n)) for n in range(12)]
    shares = [(mask & lesion).sum() / lesion.sum() for mask in seen]
    assert min(shares) < 0.6
    assert max(shares) > 0.9
    for mask in seen:
        assert np.array_equal(closed_organ(mask, SPACING_MM), mask)


@pytest.mark.parametrize(("damage", "sign"), [("erosion", -1), ("dilation", 1), ("shift", 0)])
def test_surfaces_are_wrong_by_a_few_millimetres(damage: str, sign: int) -> None:
    _, organ, lesion = patch()
    chosen = {"holes": 0.0, "erosion": 0.0, "dilation": 0.0, "shift": 0.0, damage: 1.0}
    wrong = OrganCorruption(**chosen)
    volumes = []
    for seed in range(12):
        mask = wrong(organ, lesion, SPACING_MM, np.random.default_rng(seed))
        overlap = 2 * (mask & organ).sum() / (mask.sum() + organ.sum())
        assert overlap > 0.7
        volumes.append(int(mask.sum()) - int(organ.sum()))
    if sign:
        assert all(sign * change >= 0 for change in volumes)
        assert max(sign * change for change in volumes) > 0.15 * organ.sum()
    else:
        assert volumes == [0] * len(volumes)


def test_without_damage_the_mask_is_that_of_inference() -> None:
    _, organ, lesion = patch()
    none = OrganCorruption(holes=0, erosion=0, dilation=0, shift=0)
    seen = organ & ~lesion
    mask = none(seen, lesion, SPACING_MM, np.random.default_rng(0))
    assert np.array_equal(mask, closed_organ(seen, SPACING_MM))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OrganCorruption(holes=1.5), "holes: 1.5 is impossible"),
        (lambda: OrganCorruption(erosion=0.6, dilation=0.6), "add up to more than 1"),
        (lambda: Augmentation(noise=2.0), "noise: 2 is no share"),
        (lambda: Augmentation(flip=(0.5, 0.5, -1.0)), "flip: -1 is no share"),
        (lambda: Augmentation(scale=(1.2, 0.8)), "scale: 1.2-0.8 is no range"),
        (lambda: Augmentation(noise_hu=-1.0), "noise_hu: is negative"),
    ],
)
def test_impossible_variation_is_named(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@given(st.data())
def test_a_patch_shows_its_focus_and_stays_in_the_case_where_it_can(data) -> None:
    spans, sizes, shape = [], [], []
    for _ in range(3):
        length = data.draw(st.integers(4, 60))
        first = data.draw(st.integers(0, length - 1))
        spans.append((first, data.draw(st.integers(first + 1, length))))
        sizes.append(data.draw(st.sampled_from([16, 32])))
        shape.append(length)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    start = draw_start(spans, sizes, shape, rng)
    for begin, (first, end), size, length in zip(start, spans, sizes, shape, strict=True):
        assert min(0, length - size) <= begin <= max(0, length - size)
        if end - first <= size:
            assert begin <= first
            assert end <= begin + size
        else:
            assert begin <= (first + end) // 2 < begin + size


def test_a_lesion_lies_anywhere_in_the_patch() -> None:
    rng = np.random.default_rng(0)
    starts = {draw_start([(30, 40)] * 3, (32,) * 3, (90,) * 3, rng)[0] for _ in range(400)}
    assert starts == set(range(8, 31))


def test_boxes_reach_beyond_the_case_by_its_faces_or_a_value() -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    edge = cut(array, (-1, 0, 2), (3, 3, 4), "edge")
    assert np.array_equal(edge[1:, :, :2], array[:, :, 2:])
    assert np.array_equal(edge[0], edge[1])
    assert np.array_equal(edge[:, :, 3], edge[:, :, 1])
    assert (cut(array, (-1, 0, 0), (3, 3, 4), 255)[0] == 255).all()
    inside = cut(array, (0, 1, 1), (2, 2, 2), "edge")
    inside[:] = 0
    assert array[0, 1, 1] == 5
    assert context_round((3, 30, 59), (32, 32, 32), 20, (60, 60, 60)) == (
        slice(0, 39),
        slice(0, 60),
        slice(23, 60),
    )
