"""Volumes: stored numbers to Hounsfield units and back, without loss where nothing changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scalemai.errors import GeometryError, IntensityError
from scalemai.geometry import Grid
from scalemai.volume import Mask, Volume

SHAPE = (3, 4, 5)
GRID = Grid(SHAPE, np.diag([0.8, 0.8, 2.5, 1.0]))


def _volume(stored, slope=1.0, intercept=0.0):
    return Volume(np.asarray(stored), GRID, slope, intercept)


@given(
    hnp.arrays(np.int16, SHAPE, elements=st.integers(-1100, 3100)),
    st.sampled_from([(1.0, 0.0), (1.0, -1024.0), (2.0, -1000.0), (0.5, 10.0), (0.001, 0.0)]),
)
def test_stored_numbers_come_back_exactly_through_hounsfield_units(stored, scaling):
    volume = _volume(stored, *scaling)
    np.testing.assert_array_equal(volume.to_stored(volume.hu()), stored)


@given(hnp.arrays(np.float64, SHAPE, elements=st.floats(-1000, 3000)))
def test_storing_rounds_to_the_nearest_number_and_never_truncates(hu):
    back = _volume(np.zeros(SHAPE, np.int16)).to_stored(hu)
    assert np.abs(back - hu).max() <= 0.5


def test_hounsfield_units_follow_slope_and_intercept():
    volume = _volume(np.full(SHAPE, 1064, np.uint16), 1.0, -1024.0)
    assert (volume.hu() == 40).all()


def test_values_beyond_the_type_are_clipped_not_wrapped():
    volume = _volume(np.zeros(SHAPE, np.int16))
    back = volume.to_stored(np.array([1e6, -1e6, np.inf, -np.inf]))
    assert back.tolist() == [32767, -32768, 32767, -32768]


def test_an_unsigned_type_clips_at_its_zero():
    back = _volume(np.zeros(SHAPE, np.uint8)).to_stored(np.array([-3.0, 300.0]))
    assert back.tolist() == [0, 255]


def test_nan_is_refused_where_the_type_has_none():
    volume = _volume(np.zeros(SHAPE, np.int16))
    with pytest.raises(IntensityError, match="NaN cannot be stored as int16"):
        volume.to_stored(np.array([1.0, np.nan]))


def test_a_float_volume_keeps_fractions_and_nan():
    back = _volume(np.zeros(SHAPE, np.float32)).to_stored(np.array([1.25, np.nan]))
    assert back.dtype == np.float32
    assert back[0] == 1.25
    assert np.isnan(back[1])


@pytest.mark.parametrize("kind", ["<i2", ">i2", "<f4", ">f4", "u1"])
def test_stored_numbers_keep_their_type_and_byte_order(kind):
    volume = _volume(np.zeros(SHAPE, kind))
    assert volume.to_stored(np.array([7.0])).dtype == np.dtype(kind)


@pytest.mark.parametrize("scaling", [(1.0, 0.0), (2.0, 5.0)])
def test_hounsfield_units_are_a_float32_copy_in_c_order(scaling):
    stored = np.asfortranarray(np.arange(60, dtype=np.float32).reshape(SHAPE))
    hu = _volume(stored, *scaling).hu()
    hu[:] = -1
    assert stored.max() == 59
    assert hu.dtype == np.float32
    assert hu.flags.c_contiguous


def test_a_region_is_the_same_as_cropping_the_whole():
    volume = _volume(np.arange(60, dtype=np.int16).reshape(SHAPE), 2.0, -7.0)
    region = (slice(1, 3), slice(0, 2), slice(2, 5))
    np.testing.assert_array_equal(volume.hu(region), volume.hu()[region])


def test_other_numbers_keep_grid_scaling_path_and_header():
    volume = _volume(np.zeros(SHAPE, np.int16), 2.0, -7.0)
    other = volume.with_stored(np.ones(SHAPE, np.int16))
    assert other.grid is volume.grid
    assert (other.slope, other.intercept) == (2.0, -7.0)
    assert volume.stored.max() == 0


def test_other_numbers_of_another_shape_are_refused():
    with pytest.raises(GeometryError, match="on a grid of shape"):
        _volume(np.zeros(SHAPE, np.int16)).with_stored(np.zeros((2, 2, 2), np.int16))


def test_a_mask_off_its_grid_is_refused_by_naming_the_file(tmp_path):
    with pytest.raises(GeometryError, match=r"liver\.nii\.gz: mask of shape"):
        Mask(np.zeros((2, 2, 2), bool), GRID, "liver", tmp_path / "liver.nii.gz")


def test_the_volume_of_a_mask_is_in_millilitres():
    array = np.zeros(SHAPE, bool)
    array[:2, :2, :2] = True
    assert Mask(array, GRID).volume_ml == pytest.approx(8 * 0.8 * 0.8 * 2.5 / 1000)


def test_the_volume_of_a_mask_on_a_sheared_grid_ignores_the_shear():
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[1, 2] = 1.2
    mask = Mask(np.ones(SHAPE, bool), Grid(SHAPE, affine))
    assert mask.volume_ml == pytest.approx(60 * 3 / 1000)


def test_an_empty_mask_has_no_volume():
    assert Mask(np.zeros(SHAPE, bool), GRID).volume_ml == 0
