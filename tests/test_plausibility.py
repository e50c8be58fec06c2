"""Numbers that cannot be Hounsfield units and masks of another scan are refused, real CT is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scalemai.anatomy import canonical
from scalemai.errors import GeometryError, IntensityError, MissingStructureError
from scalemai.geometry import Grid
from scalemai.io.nifti import read_mask, read_volume
from scalemai.plausibility import check_ct, check_mask_on_ct
from scalemai.volume import Mask, Volume

ODD_REFUSED = {
    "uint8_png_like": "8-bit",
    "int8_windowed": "8-bit",
    "float01": "normalised",
    "float32_inf": "infinite",
    "float64_nan_inf": "NaN",
    "uint16_offset1024": "--hu-offset -1024",
    "empty_mask": "every voxel is 0",
    "ok_liver": "8-bit",
    "mask_float_soft": "normalised",
}
ODD_ACCEPTED = [
    "ok_int16",
    "pad_minus2048",
    "slope_inter",
    "lps",
    "pir",
    "oblique17",
    "sheared_gantry",
    "nifti2",
    "not_gzip",
    "one_slice",
    "anisotropic_thick",
    "no_affine_codes",
    "4d_single",
]


def body(padding: int = -1000) -> Volume:
    """A cylinder of soft tissue with a rim of fat and a lung in air; 80 x 80 x 40, 4 mm."""
    x, y, z = np.ogrid[:80, :80, :40]
    radius = np.hypot(x - 40, y - 40)
    noise = np.random.default_rng(3).normal(0, 10, (80, 80, 40))
    hu = np.select([radius < 30, radius < 34, radius < 38], [50.0, -100.0, -1000.0], padding)
    hu = np.where((radius < 12) & (z > 25), -850.0, hu)
    hu = np.where(radius < 38, hu + noise, hu)
    grid = Grid((80, 80, 40), np.diag([4.0, 4.0, 4.0, 1.0]))
    return Volume(np.asfortranarray(hu.round().astype(np.int16)), grid)


def box(volume: Volume, low: tuple[int, int, int], high: tuple[int, int, int]) -> Mask:
    array = np.zeros(volume.grid.shape, bool, order="F")
    array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return Mask(array, volume.grid, "liver")


def stored_as(volume: Volume, values: np.ndarray) -> Volume:
    return replace(volume, stored=values)


@pytest.mark.parametrize("padding", [-1000, -1024, -2000, -2048, -3024, -8192])
def test_air_and_any_usual_padding_pass(padding: int) -> None:
    check_ct(body(padding))


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_type_and_memory_order_do_not_matter(kind: type, order: str) -> None:
    ct = body()
    check_ct(stored_as(ct, np.asarray(ct.stored, dtype=kind, order=order)))


def test_a_rescale_in_the_header_is_applied_before_judging() -> None:
    ct = body()
    raw = (ct.stored + 1024).clip(0).astype(np.uint16)
    check_ct(Volume(raw, ct.grid, 1.0, -1024.0))
    with pytest.raises(IntensityError, match=r"looks like HU \+ 1024.*--hu-offset -1024"):
        check_ct(Volume(raw, ct.grid))


@pytest.mark.parametrize("padding", [-1024, -2000])
def test_a_missed_offset_is_seen_beside_negative_padding(padding: int) -> None:
    ct = body()
    raw = ct.stored + np.int16(1024)
    raw[:8] = padding
    with pytest.raises(IntensityError, match=r"HU \+ 1024"):
        check_ct(stored_as(ct, raw))


def test_one_nan_among_millions_is_found_and_placed() -> None:
    values = body().stored.astype(np.float32)
    values[41, 7, 3] = np.nan
    with pytest.raises(IntensityError, match=r"1 voxels are NaN.*\(41, 7, 3\)"):
        check_ct(stored_as(body(), values))


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (-3.2, 4.5)], ids=["0..1", "-1..1", "z-scores"]
)
def test_normalised_numbers_are_refused(low: float, high: float) -> None:
    hu = body().hu()
    values = low + (hu - hu.min()) / np.ptp(hu) * (high - low)
    with pytest.raises(IntensityError, match="normalised"):
        check_ct(stored_as(body(), values))


def test_an_8_bit_picture_in_a_wide_type_is_refused() -> None:
    windowed = (body().hu() + 160).clip(0, 400) / 400 * 255
    with pytest.raises(IntensityError, match="windowed 8-bit picture"):
        check_ct(stored_as(body(), windowed.astype(np.int16)))


def test_a_constant_volume_is_refused() -> None:
    with pytest.raises(IntensityError, match="every voxel is -1000"):
        check_ct(stored_as(body(), np.full((80, 80, 40), -1000, np.int16)))


def test_a_mask_in_its_organ_passes_and_one_in_the_air_does_not() -> None:
    ct = body()
    check_mask_on_ct(box(ct, (35, 35, 2), (55, 55, 20)), ct)
    with pytest.raises(GeometryError, match=r"100 % of the liver mask lies in air.*median -1000"):
        check_mask_on_ct(box(ct, (2, 36, 0), (6, 42, 40)), ct)


def test_a_liver_in_the_lung_is_refused_and_a_lung_there_passes() -> None:
    ct = body()
    inside = box(ct, (35, 35, 28), (45, 45, 40))
    with pytest.raises(GeometryError, match="lies in air or lung"):
        check_mask_on_ct(inside, ct, "liver")
    check_mask_on_ct(inside, ct, "lung_left")


def test_a_kidney_in_fat_has_an_impossible_median() -> None:
    ct = body()
    ring = box(ct, (7, 36, 0), (10, 44, 40))
    with pytest.raises(IntensityError, match=r"kidney_left mask is -\d+ HU"):
        check_mask_on_ct(ring, ct, "kidney_left")


def test_a_breast_may_be_all_fat_but_no_air() -> None:
    volume = body()
    fat = box(volume, (8, 30, 5), (9, 50, 25))
    check_mask_on_ct(fat, volume, "breast_left")
    with pytest.raises(GeometryError, match="breast_left mask lies in air"):
        check_mask_on_ct(box(volume, (0, 30, 5), (9, 50, 25)), volume, "breast_left")


def test_a_tiny_mask_is_judged_too() -> None:
    ct = body()
    with pytest.raises(GeometryError, match="celiac_artery"):
        check_mask_on_ct(box(ct, (0, 0, 3), (2, 2, 5)), ct, "celiac_artery")


def test_gas_in_hollow_organs_and_unknown_structures_pass() -> None:
    ct = body()
    gas = box(ct, (36, 36, 28), (44, 44, 40))
    for name in ("colon", "stomach", "rectum", "lung_lesion", "my_own_region"):
        check_mask_on_ct(gas, ct, name)


def test_an_empty_mask_and_one_on_another_grid_are_told_apart() -> None:
    ct = body()
    with pytest.raises(MissingStructureError, match="liver mask is empty"):
        check_mask_on_ct(box(ct, (0, 0, 0), (0, 0, 0)), ct)
    other = Grid(ct.grid.shape, np.diag([2.0, 2.0, 2.0, 1.0]))
    with pytest.raises(GeometryError, match="2 x 2 x 2 mm"):
        check_mask_on_ct(Mask(box(ct, (9, 9, 9), (20, 20, 20)).array, other, "liver"), ct)


@pytest.mark.real
@pytest.mark.parametrize("name", sorted(ODD_REFUSED))
def test_each_odd_file_is_refused_for_its_own_reason(shared_data: Path, name: str) -> None:
    path = shared_data / "odd" / f"{name}.nii.gz"
    with pytest.raises(IntensityError) as caught:
        check_ct(read_volume(path))
    assert ODD_REFUSED[name] in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.real
@pytest.mark.parametrize("name", ODD_ACCEPTED)
def test_odd_storage_of_real_hounsfield_units_passes(shared_data: Path, name: str) -> None:
    check_ct(read_volume(shared_data / "odd" / f"{name}.nii.gz"))


@pytest.mark.real
def test_no_real_ct_raises_a_false_alarm(shared_data: Path) -> None:
    paths = sorted(shared_data.glob("*/*/ct*.nii.gz"))
    assert len(paths) >= 7
    for path in paths:
        check_ct(read_volume(path))


@pytest.mark.real
def test_no_real_mask_raises_a_false_alarm(shared_data: Path) -> None:
    pairs = [
        (case / "ct.nii.gz", mask, canonical(mask.name.removesuffix(".nii.gz")))
        for case in (shared_data / "abdomen/ts_example_3mm", shared_data / "abdomen/crlm1004")
        for mask in sorted((case / "segmentations").iterdir())
    ]
    lidc, sarcoma = shared_data / "lung_tumor/lidc0001", shared_data / "soft_tissue/sts_001"
    pairs.append((lidc / "ct_roi.nii.gz", lidc / "nodule.nii.gz", "lung_lesion"))
    pairs.append((sarcoma / "ct.nii.gz", sarcoma / "tumor.nii.gz", "tumor"))
    cts = {ct: read_volume(ct) for ct in {ct for ct, _, _ in pairs}}
    assert len(pairs) > 60
    for ct, mask, name in pairs:
        check_mask_on_ct(read_mask(mask, name), cts[ct])


@pytest.mark.real
def test_the_liver_of_another_patient_is_refused(shared_data: Path) -> None:
    """A chest CT under the voxels of an abdominal liver mask: most of it is lung and air."""
    chest = read_volume(shared_data / "lung_tumor/lidc0001/ct_3x.nii.gz")
    liver = read_mask(shared_data / "abdomen/ts_example_3mm/segmentations/liver.nii.gz", "liver")
    shape = tuple(min(a, b) for a, b in zip(chest.grid.shape, liver.grid.shape, strict=True))
    box = tuple(slice(n) for n in shape)
    grid = Grid(shape, chest.grid.affine)
    with pytest.raises((GeometryError, IntensityError), match="liver mask"):
        check_mask_on_ct(Mask(liver.array[box], grid, "liver"), Volume(chest.stored[box], grid))
