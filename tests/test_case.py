"""A case finds, joins, turns and judges its masks, and says plainly what it does not have."""

from __future__ import annotations

import itertools
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemai.anatomy import class_map
from scalemai.case import Case, MaskSource, Presence, check_case_id
from scalemai.errors import (
    ConfigError,
    GeometryError,
    IntensityError,
    MissingStructureError,
    UnreadableFileError,
)
from scalemai.geometry import Grid
from scalemai.io.nifti import read_volume, write_labels, write_volume
from scalemai.volume import Volume

SHAPE = (20, 16, 12)
AFFINE = np.array([[-1.5, 0, 0, 40], [0, -1.5, 0, 30], [0, 0, 3, -90], [0, 0, 0, 1]], float)
GRID = Grid(SHAPE, AFFINE)


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    stored = np.full(SHAPE, -1000, np.int16)
    stored[3:17, 3:13] = 55
    stored[5, 5, 5] = 400
    path = tmp_path / "ct.nii.gz"
    write_volume(path, Volume(stored, GRID))
    return path


def block(*spans: tuple[int, int]) -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    array[tuple(slice(*span) for span in spans)] = 1
    return array


LEFT = block((4, 7), (4, 8), (2, 6))
RIGHT = block((12, 16), (4, 8), (2, 7))
EMPTY = np.zeros(SHAPE, np.uint8)


def put(folder: Path, name: str, array: np.ndarray, grid: Grid = GRID) -> MaskSource:
    path = folder / f"{name}.nii.gz"
    write_labels(path, array, grid)
    return MaskSource(path)


def same_lattice(array: np.ndarray, order: tuple[int, ...], flips: tuple[bool, ...]) -> tuple:
    """The same voxels at the same places, stored in another axis order and direction."""
    moved = array.transpose(order)
    affine = AFFINE[:, [*order, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            affine[:, 3] += affine[:, axis] * (moved.shape[axis] - 1)
            affine[:, axis] *= -1
            moved = np.flip(moved, axis)
    return np.ascontiguousarray(moved), Grid(moved.shape, affine)


def test_a_mask_is_found_under_any_of_its_names(ct: Path, tmp_path: Path) -> None:
    case = Case("a", ct, {"gall_bladder": put(tmp_path, "gall_bladder", LEFT)})
    for name in ("gall_bladder", "gallbladder", "Gall-Bladder"):
        mask = case.mask(name)
        assert mask.name == "gall_bladder"
        assert np.array_equal(mask.array, LEFT > 0)


def test_kidneys_are_joined_from_left_and_right(ct: Path, tmp_path: Path) -> None:
    sources = {
        "kidney_left": put(tmp_path, "kidney_left", LEFT),
        "kidney_right": put(tmp_path, "kidney_right", RIGHT),
    }
    case = Case("a", ct, sources)
    assert case.has("kidney")
    assert case.parts("kidney") == ("kidney_left", "kidney_right")
    assert case.mask("kidney").name == "kidney"
    assert np.array_equal(case.mask("kidney").array, (LEFT + RIGHT) > 0)


def test_one_kidney_is_not_both_and_a_removed_one_is_no_gap(ct: Path, tmp_path: Path) -> None:
    left = put(tmp_path, "kidney_left", LEFT)
    with pytest.raises(MissingStructureError, match="nearest is kidney_left"):
        Case("a", ct, {"kidney_left": left}).mask("kidney")
    after_nephrectomy = {"kidney_left": left, "kidney_right": put(tmp_path, "kidney_right", EMPTY)}
    assert np.array_equal(Case("a", ct, after_nephrectomy).mask("kidney").array, LEFT > 0)


def test_lungs_are_joined_from_five_lobes(ct: Path, tmp_path: Path) -> None:
    lobes = ["upper_lobe_left", "lower_lobe_left", "upper_lobe_right"]
    lobes += ["middle_lobe_right", "lower_lobe_right"]
    arrays = [block((3 + 2 * n, 5 + 2 * n), (4, 8), (2, 6)) for n in range(5)]
    sources = {f"lung_{n}": put(tmp_path, n, a) for n, a in zip(lobes, arrays, strict=True)}
    case = Case("a", ct, sources)
    assert np.array_equal(case.mask("lung").array, np.sum(arrays, axis=0) > 0)
    assert np.array_equal(case.mask("lung_left").array, np.sum(arrays[:2], axis=0) > 0)
    del sources["lung_middle_lobe_right"]
    assert not Case("a", ct, sources).has("lung")


def test_a_whole_pancreas_wins_over_its_parts(ct: Path, tmp_path: Path) -> None:
    parts = {f"pancreas_{p}": put(tmp_path, p, LEFT) for p in ("head", "body", "tail")}
    assert np.array_equal(Case("a", ct, parts).mask("pancreas").array, LEFT > 0)
    whole = {**parts, "pancreas": put(tmp_path, "pancreas", RIGHT)}
    assert np.array_equal(Case("a", ct, whole).mask("pancreas").array, RIGHT > 0)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(False,) * 3, (True, False, True), (True, True, True)])
def test_a_mask_stored_in_another_orientation_is_turned_exactly(
    ct: Path, tmp_path: Path, order: tuple[int, ...], flips: tuple[bool, ...]
) -> None:
    array, grid = same_lattice(RIGHT, order, flips)
    mask = Case("a", ct, {"liver": put(tmp_path, "liver", array, grid)}).mask("liver")
    assert np.array_equal(mask.array, RIGHT > 0)
    assert mask.grid.same_as(GRID)


def test_a_shifted_mask_is_refused_with_both_files_and_the_shift(ct: Path, tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 7.5
    source = put(tmp_path, "liver", LEFT, Grid(SHAPE, moved))
    with pytest.raises(GeometryError, match=r"7\.5 mm off") as caught:
        Case("a", ct, {"liver": source}).mask("liver")
    assert str(source.path) in str(caught.value)
    assert str(ct) in str(caught.value)
    assert "copy the affine" in str(caught.value)


def test_rounding_of_an_affine_is_no_shift(ct: Path, tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[:3, 3] += 0.02
    source = put(tmp_path, "liver", LEFT, Grid(SHAPE, moved))
    assert Case("a", ct, {"liver": source}).mask("liver").array.sum() == LEFT.sum()


def test_a_mask_of_another_shape_is_refused_with_both_shapes(ct: Path, tmp_path: Path) -> None:
    short = LEFT[1:]
    source = put(tmp_path, "liver", short, Grid(short.shape, AFFINE))
    with pytest.raises(GeometryError, match=r"19 x 16 x 12.*20 x 16 x 12.*resample"):
        Case("a", ct, {"liver": source}).mask("liver")


def test_absent_empty_and_present_are_three_things(ct: Path, tmp_path: Path) -> None:
    sources = {"liver": put(tmp_path, "liver", LEFT), "spleen": put(tmp_path, "spleen", EMPTY)}
    case = Case("a", ct, sources, stated={"liver_lesion": Presence.UNCERTAIN})
    assert case.presence("liver") is Presence.PRESENT
    assert case.presence("spleen") is Presence.ABSENT
    assert case.presence("pancreas") is Presence.NOT_ASSESSED
    assert case.presence("liver tumour") is Presence.UNCERTAIN
    with pytest.raises(MissingStructureError, match="the spleen mask is empty"):
        case.mask("spleen")
    with pytest.raises(MissingStructureError, match="no mask of 'pancreas'; it has liver, spleen"):
        case.mask("pancreas")


def test_a_lesion_stated_but_not_drawn_is_present_and_has_no_mask(ct: Path, tmp_path: Path) -> None:
    sources = {"pancreatic_lesion": put(tmp_path, "pancreatic_lesion", EMPTY)}
    case = Case("a", ct, sources, stated={"pancreatic_lesion": Presence.PRESENT})
    assert case.presence("pancreatic_lesion") is Presence.PRESENT
    with pytest.raises(MissingStructureError, match="although the data set states"):
        case.mask("pancreatic_lesion")


def test_a_misspelled_structure_brings_the_nearest(ct: Path, tmp_path: Path) -> None:
    case = Case("a", ct, {"liver": put(tmp_path, "liver", LEFT)})
    with pytest.raises(MissingStructureError, match=r"a: has no mask of 'livr'; .* liver"):
        case.mask("livr")


def test_a_case_without_masks_says_how_to_give_them(ct: Path) -> None:
    with pytest.raises(MissingStructureError, match="no masks; give segmentations/"):
        Case("a", ct).mask("liver")


def test_missing_structures_may_be_left_out(ct: Path, tmp_path: Path) -> None:
    sources = {"liver": put(tmp_path, "liver", LEFT), "spleen": put(tmp_path, "spleen", EMPTY)}
    masks = Case("a", ct, sources).masks(["spleen", "liver", "colon"], if_missing="omit")
    assert list(masks) == ["liver"]


def test_a_label_map_gives_each_structure_its_values(ct: Path, tmp_path: Path) -> None:
    labels = LEFT * 1 + RIGHT * 2
    path = put(tmp_path, "labels", labels).path
    sources = {"liver": MaskSource(path, (1, 2)), "liver_lesion": MaskSource(path, (2,))}
    case = Case("a", ct, sources, class_map="msd-task03-liver")
    assert np.array_equal(case.mask("liver").array, labels > 0)
    assert np.array_equal(case.mask("liver_lesion").array, labels == 2)
    assert case.lesions == ("liver_lesion",)


def test_a_label_map_is_read_once_for_many_structures(
    ct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import scalemai.masks

    path = put(tmp_path, "labels", LEFT + RIGHT * 2).path
    opened: list[Path] = []
    read = scalemai.masks.read_labels
    monkeypatch.setattr(scalemai.masks, "read_labels", lambda p: opened.append(p) or read(p))
    case = Case("a", ct, {"liver": MaskSource(path, (1,)), "spleen": MaskSource(path, (2,))})
    assert set(case.masks(["liver", "spleen"])) == {"liver", "spleen"}
    assert opened == [path]


def test_a_label_value_without_a_name_is_refused_with_value_and_map(
    ct: Path, tmp_path: Path
) -> None:
    path = put(tmp_path, "labels", LEFT + RIGHT * 99).path
    case = Case("a", ct, {"liver": MaskSource(path, (1,))}, class_map="lits")
    with pytest.raises(IntensityError, match="label value 99, which class map lits does not have"):
        case.mask("liver")


def test_a_value_beyond_the_file_type_is_an_empty_mask(ct: Path, tmp_path: Path) -> None:
    path = put(tmp_path, "labels", LEFT).path
    case = Case("a", ct, {"liver": MaskSource(path, (1,)), "spleen": MaskSource(path, (300,))})
    assert case.presence("spleen") is Presence.ABSENT
    assert case.presence("liver") is Presence.PRESENT


def test_masks_of_unknown_name_are_kept_and_told(ct: Path, tmp_path: Path) -> None:
    case = Case("a", ct, {"my roi": put(tmp_path, "roi", LEFT), "liver": MaskSource(ct)})
    assert case.unrecognized == ("my roi",)
    assert case.mask("my roi").array.any()


def test_a_ct_without_its_rescale_is_refused_and_read_with_an_offset(tmp_path: Path) -> None:
    stored = np.full(SHAPE, 24, np.uint16)
    stored[3:17, 3:13] = 1079
    path = tmp_path / "raw.nii.gz"
    write_volume(path, Volume(stored, GRID))
    with pytest.raises(IntensityError, match="--hu-offset -1024"):
        Case("a", path).volume()
    volume = Case("a", path, hu_offset=-1024.0).volume()
    assert volume.hu()[5, 5, 5] == 55.0
    assert np.array_equal(volume.stored, stored)
    write_volume(tmp_path / "out.nii.gz", volume)
    assert read_volume(tmp_path / "out.nii.gz").hu()[0, 0, 0] == -1000.0


def test_the_volume_carries_what_the_data_set_says(ct: Path) -> None:
    case = Case("a", ct, metadata={"phase": "arterial"})
    assert case.volume().metadata["phase"] == "arterial"
    assert case.grid().same_as(GRID)


def test_a_case_crosses_process_borders(ct: Path, tmp_path: Path) -> None:
    case = Case("a", ct, {"liver": put(tmp_path, "liver", LEFT)}, metadata={"age": 61.0})
    assert pickle.loads(pickle.dumps(case)) == case


def test_files_of_an_index_are_checked_on_reading(ct: Path, tmp_path: Path) -> None:
    inside = tmp_path / "set"
    inside.mkdir()
    (inside / "ct.nii.gz").symlink_to(ct)
    with pytest.raises(ConfigError, match="leads out of the data set"):
        Case("a", inside / "ct.nii.gz", root=inside).volume()
    Case("a", ct, root=tmp_path, ct_bytes=ct.stat().st_size).volume()
    with pytest.raises(UnreadableFileError, match="had 5 when the index was built"):
        Case("a", ct, root=tmp_path, ct_bytes=5).grid()
    gone = Case("a", ct, {"liver": MaskSource(tmp_path / "gone.nii.gz")}, root=tmp_path)
    with pytest.raises(UnreadableFileError, match="not on disk; build the index again"):
        gone.mask("liver")


@pytest.mark.parametrize(
    "bad", ["", "..", ".hidden", "a/b", "a\\b", "../x", "a\0", "a\nb", "C:x", "x.", "x ", "q" * 201]
)
def test_an_id_that_is_no_safe_file_name_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match="not a safe file name"):
        Case(bad, Path("ct.nii.gz"))


@given(st.text(max_size=12))
def test_an_accepted_id_names_a_direct_child_of_any_folder(text: str) -> None:
    try:
        accepted = check_case_id(text)
    except ConfigError:
        return
    path = Path("/out") / accepted
    assert path.parent == Path("/out")
    assert path.name == text


@pytest.mark.real
def test_every_mask_of_a_real_case_lies_on_its_ct(shared_data: Path) -> None:
    folder = shared_data / "abdomen/ts_example_3mm_labelmap"
    known = class_map("totalsegmentator-v2")
    labels = folder / "labels.nii.gz"
    sources = {name: MaskSource(labels, known.values_of(name)) for name in known.structures}
    case = Case("real", folder / "ct.nii.gz", sources, class_map=known.id)
    masks = case.masks(case.structures, if_missing="omit")
    assert len(masks) >= 40
    assert all(mask.grid.same_as(case.grid()) for mask in masks.values())
    assert 100 < case.mask("kidney").volume_ml < 500


@pytest.mark.real
@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ("mask_shifted_affine", GeometryError, "15 mm off"),
        ("mask_wrong_shape", GeometryError, "63 x 64 x 48"),
        ("empty_mask", MissingStructureError, "empty"),
    ],
)
def test_odd_masks_are_refused_in_one_line(
    shared_data: Path, mask: str, error: type[Exception], message: str
) -> None:
    odd = shared_data / "odd"
    case = Case("odd", odd / "ok_int16.nii.gz", {"liver": MaskSource(odd / f"{mask}.nii.gz")})
    with pytest.raises(error, match=message) as caught:
        case.mask("liver")
    assert "\n" not in str(caught.value)


@pytest.mark.real
def test_masks_of_0_255_soft_values_and_turned_cts_agree(shared_data: Path) -> None:
    odd = shared_data / "odd"
    volumes = {
        Case("o", odd / f"{ct}.nii.gz", {"liver": MaskSource(odd / f"{mask}.nii.gz")})
        .mask("liver")
        .volume_ml
        for ct in ("ok_int16", "lps", "pir")
        for mask in ("ok_liver", "mask_255", "mask_float_soft")
    }
    assert len(volumes) == 1


@pytest.mark.real
def test_a_dicom_series_is_a_ct_too(shared_data: Path, tmp_path: Path) -> None:
    archive = shared_data / "dicom/hcc006_20slices.zip"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "series")
    zipped, unpacked = Case("z", archive), Case("u", tmp_path / "series")
    assert np.array_equal(zipped.volume().stored, unpacked.volume().stored)
    assert zipped.grid().same_as(unpacked.grid())
    mask_path = tmp_path / "liver.nii.gz"
    volume = unpacked.volume()
    write_labels(mask_path, (volume.hu() > 50).astype(np.uint8), volume.grid)
    case = Case("u", tmp_path / "series", {"liver": MaskSource(mask_path)})
    assert np.array_equal(case.mask("liver").array, volume.hu() > 50)


@pytest.mark.real
def test_a_foreign_format_is_named_with_the_way_out(shared_data: Path) -> None:
    for name in ("ok.nrrd", "ok.mha"):
        with pytest.raises(UnreadableFileError, match=r"not a NIfTI file; .*convert \.nrrd and"):
            Case("f", shared_data / "odd" / name).volume()
