"""Pictures of cases: what they show, what they say, and that they repeat byte for byte."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scalemai.case import Case, MaskSource
from scalemai.errors import ConfigError, GeometryError, OutputError, UnknownNameError
from scalemai.geometry import Grid
from scalemai.io.nifti import read_mask, read_volume
from scalemai.measure import longest_axial_diameter_mm
from scalemai.preview import WINDOWS, MontageRow, preview_case, write_montage, write_preview
from scalemai.preview.rows import PANEL, Shown, lesions_of, make_row
from scalemai.preview.windows import window_for
from scalemai.volume import Mask, Volume


def _ball(grid: Grid, centre, radius_mm, name="liver_lesion") -> Mask:
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    near = np.linalg.norm(world - grid.to_world(centre), axis=-1) < radius_mm
    return Mask(near, grid, name)


def _union(*masks: Mask) -> Mask:
    return replace(masks[0], array=np.logical_or.reduce([mask.array for mask in masks]))


def _words(volume: Volume, *masks: Mask, number: int = 0) -> str:
    lesions = lesions_of(masks)
    shown = Shown(volume, None, masks, lesions, "case_7", None)
    row = make_row(shown, lesions[number] if lesions else None)
    return " · ".join(word for _, word in row.words)


def _outlined(picture: np.ndarray) -> np.ndarray:
    """Where a picture is amber, as outlines of lesions are and no CT is."""
    return picture[..., 0].astype(int) - picture[..., 2] > 60


def _chunks(path: Path) -> set[bytes]:
    data, at, found = path.read_bytes(), 8, set()
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        found.add(data[at + 4 : at + 8])
        at += length + 12
    return found


@pytest.fixture
def lesion(soft_tissue_volume) -> Mask:
    return _ball(soft_tissue_volume.grid, (20, 28, 20), 6)


def test_a_row_has_three_planes_and_a_close_up_with_and_without_outline(soft_tissue_volume, lesion):
    picture = preview_case(soft_tissue_volume, [lesion], case_id="case_7")
    assert picture.dtype == np.uint8
    assert picture.shape[1] > 5 * PANEL
    assert PANEL < picture.shape[0] < 1.5 * PANEL
    seen = [_outlined(picture[40:, 18 + n * 346 : 358 + n * 346]).sum() for n in range(5)]
    assert seen[3] == 0
    assert all(count > 20 for count in (*seen[:3], seen[4]))


def test_the_outline_is_a_thin_line_not_a_filled_area(soft_tissue_volume, lesion):
    picture = preview_case(soft_tissue_volume, [lesion])
    close_up = _outlined(picture[40:, 18 + 4 * 346 :])
    across = 12.0 / 45.0 * PANEL  # pixels of the ball's diameter: the close-up spans 45 mm
    assert np.pi * across < close_up.sum() < np.pi * across * 2.5


def test_a_host_is_shown_before_the_edited_ct(soft_tissue_volume, lesion):
    stored = soft_tissue_volume.stored.copy()
    stored[lesion.array] -= 60
    edited = soft_tissue_volume.with_stored(stored)
    (part,) = lesions_of([lesion])
    row = make_row(Shown(edited, soft_tissue_volume, [lesion], [part], "", None), part)
    assert [panel.label for panel in row.panels[3:]] == ["before", "after", "outlined"]
    before, after, outlined = (panel.hu for panel in row.panels[3:])
    middle = (slice(150, 190), slice(150, 190))
    assert before[middle].mean() - after[middle].mean() == pytest.approx(60, abs=5)
    np.testing.assert_array_equal(after, outlined)


def test_every_plane_cuts_the_lesion_even_if_its_centre_of_mass_is_outside(soft_tissue_volume):
    grid = soft_tissue_volume.grid
    ring = _ball(grid, (30, 28, 20), 14)
    ring.array[_ball(grid, (30, 28, 20), 11).array] = False
    row = make_row(Shown(soft_tissue_volume, None, [ring], [ring], "", None), ring)
    for panel in row.panels[:3]:
        assert any(len(line) for line in panel.outlines[-1][1])


def test_the_slice_position_is_that_of_a_voxel_of_the_lesion(soft_tissue_volume, lesion):
    row = make_row(Shown(soft_tissue_volume, None, [lesion], [lesion], "", None), lesion)
    x, y, z = soft_tissue_volume.grid.to_world((20, 28, 20))
    labels = [panel.label for panel in row.panels[:3]]
    assert labels == [f"axial  z {z:.1f} mm", f"coronal  y {y:.1f} mm", f"sagittal  x {x:.1f} mm"]


def test_the_caption_names_case_structure_diameter_and_window(soft_tissue_volume, lesion):
    text = _words(soft_tissue_volume, lesion)
    diameter = longest_axial_diameter_mm(lesion.array, lesion.grid)
    assert text.startswith(f"case_7 · Liver lesion · {diameter:.1f} mm longest axial diameter · ")
    assert text.endswith("liver window, W 200 L 70")


def test_lesions_come_largest_first_and_each_connected_part_is_one(soft_tissue_volume):
    grid = soft_tissue_volume.grid
    parts = [_ball(grid, (18, 28, 12), 3), _ball(grid, (40, 28, 26), 6)]
    found = lesions_of([_union(*parts), _ball(grid, (30, 20, 20), 15, "liver")])
    assert [one.name for one in found] == ["liver_lesion", "liver_lesion"]
    assert found[0].volume_ml == pytest.approx(parts[1].volume_ml)
    assert found[1].volume_ml == pytest.approx(parts[0].volume_ml)
    assert "2 of 2" in _words(soft_tissue_volume, _union(*parts), number=1)


def test_a_part_lies_where_it_lay_in_the_whole_mask(soft_tissue_volume, lesion):
    (part,) = lesions_of([lesion])
    assert part.array.size < lesion.array.size
    whole = lesion.grid.to_world(np.argwhere(lesion.array)).mean(axis=0)
    np.testing.assert_allclose(part.grid.to_world(np.argwhere(part.array)).mean(axis=0), whole)


def test_a_structure_is_shown_whole_where_there_is_no_lesion(soft_tissue_volume):
    grid = soft_tissue_volume.grid
    kidney = _union(
        _ball(grid, (18, 28, 12), 3, "kidney_left"), _ball(grid, (40, 28, 26), 6, "kidney_left")
    )
    assert len(lesions_of([kidney])) == 1
    assert "longest axial" not in _words(soft_tissue_volume, kidney)


def test_no_more_rows_than_the_limit_are_drawn(soft_tissue_volume):
    grid = soft_tissue_volume.grid
    many = _union(*(_ball(grid, (18 + 9 * n, 28, 20), 3) for n in range(4)))
    heights = [preview_case(soft_tissue_volume, [many], limit=n).shape[0] for n in (1, 2)]
    assert PANEL < heights[1] - heights[0] < 1.3 * PANEL


def test_an_empty_mask_is_said_and_the_middle_is_shown(soft_tissue_volume):
    grid = soft_tissue_volume.grid
    empty = Mask(np.zeros(grid.shape, bool), grid, "pancreatic_lesion")
    assert "Pancreatic lesion: the mask is empty · middle" in _words(soft_tissue_volume, empty)
    assert preview_case(soft_tissue_volume, [empty]).shape[0] > PANEL


def test_an_empty_mask_beside_a_lesion_is_said_too(soft_tissue_volume, lesion):
    empty = Mask(np.zeros(lesion.grid.shape, bool), lesion.grid, "colon_lesion")
    assert _words(soft_tissue_volume, lesion, empty).endswith("empty: Colonic lesion")


def test_a_ct_without_masks_says_so(soft_tissue_volume):
    assert "no masks · middle of the volume" in _words(soft_tissue_volume)


def test_a_volume_of_air_can_be_drawn(soft_tissue_volume):
    air = soft_tissue_volume.with_stored(np.full_like(soft_tissue_volume.stored, -1000))
    assert preview_case(air).shape[2] == 3


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("liver_lesion", "liver"),
        ("lung_lesion", "lung"),
        ("lung_upper_lobe_left", "lung"),
        ("bone_lesion", "bone"),
        ("vertebrae_L1", "bone"),
        ("pancreatic_lesion", "soft-tissue"),
        ("colon_lesion", "soft-tissue"),
    ],
)
def test_the_window_follows_the_tissue(name, window):
    assert window_for(name, np.zeros(4)) == window


@pytest.mark.parametrize(("hu", "window"), [(-800.0, "lung"), (30.0, "soft-tissue")])
def test_the_window_of_an_unknown_name_follows_its_surroundings(hu, window):
    assert window_for("my_mass", np.array([hu, hu, np.nan])) == window
    assert window_for("my_mass", np.array([np.nan])) == "soft-tissue"


def test_a_window_runs_from_black_to_white():
    gray = WINDOWS["soft-tissue"].gray(np.array([-1000.0, -160, 40, 240, 3000, np.nan]))
    np.testing.assert_allclose(gray, [0, 0, 0.5, 1, 1, np.nan])


def test_an_unknown_window_is_answered_with_the_nearest(soft_tissue_volume):
    with pytest.raises(UnknownNameError, match="did you mean 'soft-tissue'"):
        preview_case(soft_tissue_volume, window="soft_tissue")


def test_a_mask_of_another_grid_is_refused_by_how_far(soft_tissue_volume, lesion):
    affine = lesion.grid.affine.copy()
    affine[2, 3] += 5
    moved = Mask(lesion.array, Grid(lesion.grid.shape, affine), path=Path("lesion.nii.gz"))
    with pytest.raises(GeometryError, match=r"lesion\.nii\.gz: lies 5 mm off the CT"):
        preview_case(soft_tissue_volume, [moved])
    small = Mask(np.ones((3, 3, 3), bool), Grid((3, 3, 3), np.eye(4)), path=Path("m.nii"))
    with pytest.raises(GeometryError, match=r"m\.nii: lies with \(3, 3, 3\) voxels on a grid"):
        preview_case(soft_tissue_volume, [small])


# --- files ---------------------------------------------------------------------------------


def test_the_same_input_gives_the_same_bytes_without_time_or_program(
    tmp_path, soft_tissue_volume, lesion
):
    for name in ("a.png", "b.png"):
        write_preview(tmp_path / name, soft_tissue_volume, [lesion], case_id="case_7")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert _chunks(tmp_path / "a.png") == {b"IHDR", b"IDAT", b"IEND"}


def test_a_file_holds_the_picture_whatever_its_ending(tmp_path, soft_tissue_volume, lesion):
    write_preview(tmp_path / "picture", soft_tissue_volume, [lesion])
    with Image.open(tmp_path / "picture") as image:
        drawn = preview_case(soft_tissue_volume, [lesion])
        np.testing.assert_array_equal(np.asarray(image), drawn)


def test_a_picture_below_a_file_is_refused(tmp_path, soft_tissue_volume):
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        write_preview(tmp_path / "out" / "a.png", soft_tissue_volume)


def test_a_montage_has_one_row_per_case_and_takes_them_one_by_one(
    tmp_path, soft_tissue_volume, lesion
):
    alive = []

    def rows():
        for number in range(3):
            volume = soft_tissue_volume.with_stored(soft_tissue_volume.stored + number)
            alive.append(volume)
            yield MontageRow(volume, [lesion], f"case_{number}", host=soft_tissue_volume)

    write_montage(tmp_path / "montage.png", rows())
    with Image.open(tmp_path / "montage.png") as image:
        width, height = image.size
    assert len(alive) == 3
    assert 3 * PANEL < height < 3.6 * PANEL
    assert width > 6 * PANEL


def test_a_montage_of_nothing_is_refused_and_not_written(tmp_path):
    with pytest.raises(ConfigError, match="no cases"):
        write_montage(tmp_path / "montage.png", [])
    assert list(tmp_path.iterdir()) == []


# --- real CT -------------------------------------------------------------------------------


@pytest.mark.real
def test_a_lung_nodule_is_drawn_in_the_lung_window_with_its_diameter(shared_data):
    folder = shared_data / "lung_tumor" / "lidc0001"
    volume = read_volume(folder / "ct_roi.nii.gz")
    nodule = read_mask(folder / "nodule.nii.gz", "lung_lesion")
    text = _words(volume, nodule)
    diameter = longest_axial_diameter_mm(nodule.array, nodule.grid)
    assert f"{diameter:.1f} mm longest axial" in text
    assert f"{nodule.volume_ml:.3g} ml" in text
    assert "lung window" in text
    assert _outlined(preview_case(volume, [nodule])).sum() > 500


@pytest.mark.real
@pytest.mark.parametrize("name", ["lps", "oblique17", "sheared_gantry", "one_slice", "float32_inf"])
def test_odd_volumes_can_be_drawn(shared_data, name):
    volume = read_volume(shared_data / "odd" / f"{name}.nii.gz")
    picture = preview_case(volume, case_id=name)
    assert picture[60 : PANEL // 2].std() > 10  # something is seen


@pytest.mark.real
def test_a_case_shows_its_own_lesions(shared_data):
    folder = shared_data / "lung_tumor" / "lidc0001"
    case = Case(
        "lidc0001",
        folder / "ct_3x.nii.gz",
        {"lung_lesion": MaskSource(folder / "nodule_3x.nii.gz")},
    )
    drawn = preview_case(case)
    mask = read_mask(folder / "nodule_3x.nii.gz", "lung_lesion")
    volume = read_volume(folder / "ct_3x.nii.gz")
    np.testing.assert_array_equal(drawn, preview_case(volume, [mask], case_id="lidc0001"))
