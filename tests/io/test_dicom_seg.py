"""Masks survive DICOM SEG: voxels, places, names, codes, and who drew them."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_phantom import ROOT, SERIES_UID, classic, enhanced, hounsfield, save
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.sr.codedict import codes as dictionary
from seg_phantom import KIDNEY, LESION, SHAPE, block, grid_of, write

from scalemai.errors import (
    ConfigError,
)
from scalemai.geometry import Grid
from scalemai.io.dicom_seg import (
    NEOPLASM,
    SegmentCodes,
    codes_for,
    read_segmentation,
)
from scalemai.volume import Mask

Kind = Literal["BINARY", "LABELMAP"]


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    return save(classic(hounsfield(SHAPE)), tmp_path / "ct")


def test_what_is_written_is_read_with_everything_known_about_it(ct: Path, tmp_path: Path) -> None:
    grid = grid_of(ct)
    masks = [Mask(LESION, grid, "pancreatic_lesion"), Mask(KIDNEY, grid, "kidney_left")]
    write(tmp_path / "seg.dcm", masks, ct, tracking_ids=["finding 3", "left"])
    lesion, kidney = read_segmentation(tmp_path / "seg.dcm")
    for segment, mask in ((lesion, masks[0]), (kidney, masks[1])):
        np.testing.assert_array_equal(segment.mask.array, mask.array)
        assert segment.mask.grid.same_as(grid, tolerance_mm=1e-4)
        assert segment.label == segment.mask.name == mask.name
        assert segment.algorithm_type == "AUTOMATIC"
        assert (segment.algorithm_name, segment.algorithm_version) == ("detector", "2.1")
        assert segment.algorithm_family == ("123110", "DCM", "Artificial Intelligence")
        assert segment.series_uid == SERIES_UID
    assert (lesion.number, kidney.number) == (1, 2)
    assert lesion.tracking_id == "finding 3"
    assert lesion.tracking_uid != kidney.tracking_uid
    assert lesion.codes.category[2] == "Morphologically Abnormal Structure"
    assert lesion.codes.region == ("15776009", "SCT", "Pancreas")
    assert kidney.codes.kind == ("64033007", "SCT", "Kidney")
    assert kidney.codes.side == ("7771000", "SCT", "Left")


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_slices_without_voxels_and_empty_masks_are_kept(
    ct: Path, tmp_path: Path, kind: Kind
) -> None:
    grid = grid_of(ct)
    masks = [Mask(LESION, grid, "liver_lesion"), Mask(np.zeros(SHAPE, bool), grid, "spleen")]
    write(tmp_path / "seg.dcm", masks, ct, kind=kind)
    lesion, spleen = read_segmentation(tmp_path / "seg.dcm")
    assert lesion.mask.array.shape == spleen.mask.array.shape == SHAPE
    np.testing.assert_array_equal(lesion.mask.array, LESION)
    assert not spleen.mask.array.any()


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_frames_that_were_left_out_come_back_empty_on_the_grid_of_the_ct(
    ct: Path, tmp_path: Path, kind: Kind
) -> None:
    grid = grid_of(ct)
    sparse = LESION | block(slice(0, 2), slice(0, 2), slice(5, 6))
    write(
        tmp_path / "seg.dcm",
        [Mask(sparse, grid, "liver_lesion")],
        ct,
        kind=kind,
        omit_empty_frames=True,
    )
    (own,) = read_segmentation(tmp_path / "seg.dcm")
    assert own.mask.array.shape == (14, 11, 4)
    assert own.mask.array.sum() == sparse.sum()
    (matched,) = read_segmentation(tmp_path / "seg.dcm", match_grid=grid)
    np.testing.assert_array_equal(matched.mask.array, sparse)
    assert matched.mask.grid is grid


@pytest.mark.parametrize("omit_empty_frames", [False, True])
def test_all_masks_empty_is_still_a_segmentation(
    ct: Path, tmp_path: Path, omit_empty_frames: bool
) -> None:
    nothing = Mask(np.zeros(SHAPE, bool), grid_of(ct), "liver_lesion")
    write(tmp_path / "seg.dcm", [nothing], ct, omit_empty_frames=omit_empty_frames)
    (segment,) = read_segmentation(tmp_path / "seg.dcm")
    assert segment.mask.array.shape == SHAPE
    assert not segment.mask.array.any()


def test_the_same_call_writes_the_same_bytes_and_other_content_another_uid(
    ct: Path, tmp_path: Path
) -> None:
    grid = grid_of(ct)
    masks = [Mask(LESION, grid, "liver_lesion")]
    uids = [write(tmp_path / f"{n}.dcm", masks, ct) for n in range(2)]
    assert (tmp_path / "0.dcm").read_bytes() == (tmp_path / "1.dcm").read_bytes()
    uids.append(write(tmp_path / "2.dcm", [Mask(KIDNEY, grid, "liver_lesion")], ct))
    uids.append(write(tmp_path / "3.dcm", masks, ct, algorithm_version="2.2"))
    uids.append(write(tmp_path / "4.dcm", masks, ct, created=datetime(2025, 1, 2, 3, 4, 5)))
    assert len(set(uids)) == 4
    dated = [pydicom.dcmread(tmp_path / name) for name in ("0.dcm", "4.dcm")]
    assert [d.ContentDate for d in dated] == ["20240229", "20250102"]
    assert [d.InstanceCreationTime for d in dated] == ["102030", "030405"]


def test_a_finding_keeps_its_tracking_uid_when_its_mask_changes(ct: Path, tmp_path: Path) -> None:
    grid = grid_of(ct)
    found = []
    for number, array in enumerate((LESION, KIDNEY)):
        path = tmp_path / f"{number}.dcm"
        write(path, [Mask(array, grid, "liver_lesion")], ct, tracking_ids=["L1"])
        found.append(read_segmentation(path)[0].tracking_uid)
    assert found[0] == found[1]


def test_masks_in_another_orientation_or_cropped_land_on_the_right_slices(
    ct: Path, tmp_path: Path
) -> None:
    grid = grid_of(ct)
    flip = np.diag([1.0, 1.0, -1.0, 1.0])
    flip[2, 3] = SHAPE[2] - 1
    reversed_grid = Grid(SHAPE, grid.affine @ flip)
    region = (slice(2, 9), slice(1, 8), slice(1, 5))
    for number, mask in enumerate(
        [
            Mask(LESION[:, :, ::-1], reversed_grid, "liver_lesion"),
            Mask(LESION[region], grid.crop(region), "liver_lesion"),
        ]
    ):
        write(tmp_path / f"{number}.dcm", [mask], ct)
        (segment,) = read_segmentation(tmp_path / f"{number}.dcm", match_grid=grid)
        np.testing.assert_array_equal(segment.mask.array, LESION)
        (turned,) = read_segmentation(tmp_path / f"{number}.dcm", match_grid=reversed_grid)
        np.testing.assert_array_equal(turned.mask.array, LESION[:, :, ::-1])


OBLIQUE = {"orientation": [0.8, 0.6, 0, -0.36, 0.48, 0.8], "step_lps_mm": [0.96, -1.28, 1.2]}
TILTED = {"orientation": [1, 0, 0, 0, 0.8, 0.6], "step_lps_mm": [0, 0, 3.0]}


@pytest.mark.parametrize("geometry", [OBLIQUE, TILTED])
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_oblique_and_tilted_series_keep_every_voxel_in_its_place(
    tmp_path: Path, geometry: dict[str, Any], kind: Kind
) -> None:
    ct = save(classic(hounsfield(SHAPE), **geometry), tmp_path / "ct")
    grid = grid_of(ct)
    masks = [Mask(LESION, grid, "liver_lesion")]
    write(tmp_path / "full.dcm", masks, ct, kind=kind)
    (full,) = read_segmentation(tmp_path / "full.dcm")
    assert full.mask.grid.same_as(grid, tolerance_mm=1e-3)
    np.testing.assert_array_equal(full.mask.array, LESION)
    one_slice = [Mask(LESION & block(slice(None), slice(None), slice(3, 4)), grid, "liver_lesion")]
    write(tmp_path / "one.dcm", one_slice, ct, kind=kind, omit_empty_frames=True)
    (one,) = read_segmentation(tmp_path / "one.dcm", match_grid=grid)
    np.testing.assert_array_equal(one.mask.array, one_slice[0].array)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n_masks=st.integers(1, 4),
    density=st.sampled_from([0.0, 0.01, 0.3]),
    omit=st.booleans(),
    shuffle=st.permutations(range(6)),
)
def test_any_masks_survive_the_round_trip_from_data_sets_in_any_order(
    seed: int, n_masks: int, density: float, omit: bool, shuffle: list[int]
) -> None:
    datasets = classic(hounsfield((9, 7, 6)))
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        grid = grid_of(save(datasets, Path(name) / "ct"))
        masks = [
            Mask(rng.random(grid.shape) < density, grid, "liver_lesion") for _ in range(n_masks)
        ]
        path = Path(name) / "seg.dcm"
        write(path, masks, [datasets[n] for n in shuffle], omit_empty_frames=omit)
        segments = read_segmentation(path, match_grid=grid)
    for segment, mask in zip(segments, masks, strict=True):
        np.testing.assert_array_equal(segment.mask.array, mask.array)


def test_highdicom_reads_the_same_masks_at_the_same_places(ct: Path, tmp_path: Path) -> None:
    grid = grid_of(ct)
    write(tmp_path / "seg.dcm", [Mask(LESION, grid, "liver_lesion")], ct)
    volume = hd.seg.segread(tmp_path / "seg.dcm").get_volume(combine_segments=True)
    for index in np.argwhere(volume.array > 0):
        lps = volume.affine @ [*index, 1]
        i, j, k = np.rint(grid.to_voxel(lps[:3] * [-1, -1, 1])).astype(int)
        assert LESION[i, j, k]
    assert (volume.array > 0).sum() == LESION.sum()


def test_every_frame_refers_to_the_ct_image_it_was_drawn_on(ct: Path, tmp_path: Path) -> None:
    write(tmp_path / "seg.dcm", [Mask(LESION, grid_of(ct), "liver_lesion")], ct)
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    positions = {
        header.SOPInstanceUID: list(header.ImagePositionPatient)
        for header in (pydicom.dcmread(path) for path in ct.iterdir())
    }
    groups = dataset.PerFrameFunctionalGroupsSequence
    assert len(groups) == 6
    for group in groups:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        position = group.PlanePositionSequence[0].ImagePositionPatient
        assert positions[source.ReferencedSOPInstanceUID] == list(position)
    assert (dataset.PatientID, dataset.StudyInstanceUID) == ("P-17", f"{ROOT}.1")
    assert str(dataset.PatientName) == "Doe^Jane"


def test_an_enhanced_ct_can_be_the_source(tmp_path: Path) -> None:
    ct = save([enhanced(hounsfield(SHAPE), order=[4, 0, 5, 2, 1, 3])], tmp_path / "ct")
    grid = grid_of(ct)
    write(tmp_path / "seg.dcm", [Mask(LESION, grid, "liver_lesion")], ct)
    (segment,) = read_segmentation(tmp_path / "seg.dcm", match_grid=grid)
    np.testing.assert_array_equal(segment.mask.array, LESION)


def test_sparse_patient_headers_and_foreign_letters_are_carried_over(tmp_path: Path) -> None:
    gone = dict.fromkeys(
        ["PatientBirthDate", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ContentDate",
         "FrameOfReferenceUID", "SliceThickness"]
    )  # fmt: skip
    datasets = classic(
        hounsfield(SHAPE), SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Zoë", **gone
    )
    ct = save(datasets, tmp_path / "ct")
    grid = grid_of(ct)
    write(tmp_path / "seg.dcm", [Mask(LESION, grid, "liver_lesion")], ct)
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    assert str(dataset.PatientName) == "Müller^Zoë"
    assert dataset.ContentDate == "19000101"
    (segment,) = read_segmentation(tmp_path / "seg.dcm", match_grid=grid)
    np.testing.assert_array_equal(segment.mask.array, LESION)


def test_a_manual_segment_carries_no_algorithm(ct: Path, tmp_path: Path) -> None:
    mask = Mask(LESION, grid_of(ct), "liver_lesion")
    write(tmp_path / "seg.dcm", [mask], ct, algorithm_type="MANUAL")
    (segment,) = read_segmentation(tmp_path / "seg.dcm")
    assert (segment.algorithm_type, segment.algorithm_name) == ("MANUAL", "")


def test_own_codes_replace_those_of_the_name(ct: Path, tmp_path: Path) -> None:
    grid = grid_of(ct)
    masks = [Mask(LESION, grid, "liver_lesion"), Mask(KIDNEY, grid, "stone 1")]
    stone = SegmentCodes(
        category=("49755003", "SCT", "Morphologically Abnormal Structure"),
        kind=("56381008", "SCT", "Calculus"),
        region=("64033007", "SCT", "Kidney"),
    )
    own = {"liver_lesion": codes_for("liver_lesion", morphology=NEOPLASM), "stone 1": stone}
    write(tmp_path / "seg.dcm", masks, ct, codes=own)
    read = {segment.label: segment.codes for segment in read_segmentation(tmp_path / "seg.dcm")}
    assert read == own
    assert read["liver_lesion"].kind == NEOPLASM
    with pytest.raises(ConfigError, match="no codes for a segment called 'stone 1'"):
        write(tmp_path / "no.dcm", masks, ct)


def test_codes_are_those_of_the_dicom_dictionary() -> None:
    assert NEOPLASM[0] == dictionary.SCT.Neoplasm.value
    liver = codes_for("liver")
    assert liver.kind[0] == dictionary.SCT.Liver.value
    assert liver.category[0] == dictionary.cid7150.AnatomicalStructure.value
    lesion = codes_for("liver_lesion")
    assert lesion.category[0] == dictionary.cid7150.MorphologicallyAbnormalStructure.value
    assert codes_for("pancreas_head").kind[0] == dictionary.SCT.Pancreas.value
    assert codes_for("kidney_right").side == (dictionary.SCT.Right.value, "SCT", "Right")


def test_several_lesions_of_one_name_are_tracked_apart(ct: Path, tmp_path: Path) -> None:
    grid = grid_of(ct)
    write(tmp_path / "seg.dcm", [Mask(LESION, grid, "liver_lesion")] * 2, ct)
    segments = read_segmentation(tmp_path / "seg.dcm")
    assert [segment.tracking_id for segment in segments] == ["liver_lesion 1", "liver_lesion 2"]
    assert len({segment.tracking_uid for segment in segments}) == 2


@pytest.mark.parametrize("fractional_type", ["PROBABILITY", "OCCUPANCY"])
def test_a_fractional_segmentation_gives_fractions_and_a_mask_from_one_half(
    ct: Path, tmp_path: Path, fractional_type: str
) -> None:
    grid = grid_of(ct)
    fraction = np.linspace(0, 1, 14 * 11 * 6, dtype=np.float32).reshape(SHAPE)
    headers = sorted(
        (pydicom.dcmread(path) for path in ct.iterdir()), key=lambda d: d.ImagePositionPatient[2]
    )
    hd.seg.Segmentation(
        source_images=headers,
        pixel_array=fraction.transpose(2, 1, 0)[..., None],
        segmentation_type="FRACTIONAL",
        segment_descriptions=[
            hd.seg.SegmentDescription(
                1, "risk", dictionary.SCT.Tissue, dictionary.SCT.Liver, "MANUAL"
            )
        ],
        series_instance_uid=f"{ROOT}.80",
        series_number=9,
        sop_instance_uid=f"{ROOT}.81",
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
        fractional_type=fractional_type,
        max_fractional_value=200,
    ).save_as(tmp_path / "seg.dcm")
    (segment,) = read_segmentation(tmp_path / "seg.dcm", match_grid=grid)
    assert segment.fraction is not None
    np.testing.assert_allclose(segment.fraction, fraction, atol=0.5 / 200 + 1e-6)
    np.testing.assert_array_equal(segment.mask.array, segment.fraction >= 0.5)
    (most,) = read_segmentation(tmp_path / "seg.dcm", fraction_threshold=0.9)
    assert most.mask.array.sum() == (segment.fraction >= 0.9).sum()
    with pytest.raises(ConfigError, match="fraction_threshold is 0"):
        read_segmentation(tmp_path / "seg.dcm", fraction_threshold=0)
