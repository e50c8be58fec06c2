"""Requests and bytes that make no segmentation are refused in one line, and nothing is left."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_phantom import classic, hounsfield, save
from hypothesis import given, settings
from hypothesis import strategies as st
from seg_phantom import KIDNEY, LESION, SHAPE, grid_of, write

from scalemai.errors import (
    CaseError,
    ConfigError,
    GeometryError,
    OutputError,
    ScaleMAIError,
    UnknownNameError,
    UnreadableFileError,
)
from scalemai.geometry import Grid
from scalemai.io.dicom_seg import read_segmentation
from scalemai.volume import Mask


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    return save(classic(hounsfield(SHAPE)), tmp_path / "ct")


def test_masks_off_the_grid_of_the_source_are_refused(ct: Path, tmp_path: Path) -> None:
    grid = grid_of(ct)
    shifted = grid.affine.copy()
    shifted[0, 3] += 0.3
    with pytest.raises(GeometryError, match="mask 'liver_lesion': its voxels do not lie on"):
        write(tmp_path / "s.dcm", [Mask(LESION, Grid(SHAPE, shifted), "liver_lesion")], ct)
    assert not (tmp_path / "s.dcm").exists()
    write(tmp_path / "seg.dcm", [Mask(LESION, grid, "liver_lesion")], ct)
    with pytest.raises(GeometryError, match="do not lie on those of the other grid"):
        read_segmentation(tmp_path / "seg.dcm", match_grid=Grid(SHAPE, shifted))
    small = grid.crop((slice(0, 4), slice(0, 4), slice(0, 4)))
    with pytest.raises(GeometryError, match="voxels lie outside"):
        read_segmentation(tmp_path / "seg.dcm", match_grid=small)


def test_overlap_fits_a_binary_segmentation_and_no_label_map(ct: Path, tmp_path: Path) -> None:
    grid = grid_of(ct)
    masks = [Mask(KIDNEY, grid, "kidney_left"), Mask(LESION, grid, "kidney_lesion")]
    assert (KIDNEY & LESION).any()
    write(tmp_path / "seg.dcm", masks, ct)
    for segment, mask in zip(read_segmentation(tmp_path / "seg.dcm"), masks, strict=True):
        np.testing.assert_array_equal(segment.mask.array, mask.array)
    with pytest.raises(GeometryError, match="'kidney_lesion' overlaps 'kidney_left' in 8 voxels"):
        write(tmp_path / "map.dcm", masks, ct, kind="LABELMAP")


def test_what_is_no_segmentation_or_several_is_refused(ct: Path, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="found DICOM of modality CT"):
        read_segmentation(ct)
    mask = Mask(LESION, grid_of(ct), "liver_lesion")
    for number in range(2):
        write(tmp_path / "both" / f"{number}.dcm", [mask], ct)
    with pytest.raises(CaseError, match=r"2 segmentations are here: 0\.dcm, 1\.dcm"):
        read_segmentation(tmp_path / "both")
    with pytest.raises(UnknownNameError, match="unknown segment 'spleen'"):
        read_segmentation(tmp_path / "both" / "0.dcm", segments=["spleen"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"masks": []}, "there is no mask"),
        ({"masks": [""]}, "cannot be called ''"),
        ({"masks": ["x" * 65]}, "cannot be called"),
        ({"masks": ["liver", "spleen"], "tracking_ids": ["a", "a"]}, "1 distinct tracking ids"),
        ({"algorithm_name": " "}, "the algorithm name is ' '"),
        ({"algorithm_version": ""}, "the algorithm version is ''"),
        ({"algorithm_type": "MAGIC"}, "algorithm_type is 'MAGIC'"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_read(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    grid = Grid(SHAPE, np.eye(4))
    names = changes.pop("masks", ["liver"])
    masks = [Mask(LESION, grid, name) for name in names]
    with pytest.raises(ConfigError, match=said):
        write(tmp_path / "seg.dcm", masks, tmp_path / "absent", **changes)


def test_a_failing_write_leaves_nothing_behind(ct: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(OutputError):
        write(tmp_path / "taken" / "seg.dcm", [Mask(LESION, grid_of(ct), "liver")], ct)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ct", "taken"]


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_damage_to_a_segmentation_gives_masks_or_one_line(
    small_segmentation: bytes, data: st.DataObject
) -> None:
    content = bytearray(small_segmentation)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(128, len(content) - 1))
        content[start : start + 4] = data.draw(st.binary(min_size=0, max_size=6))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "seg.dcm"
        path.write_bytes(content)
        try:
            outcome = str(len(read_segmentation(path)))
        except ScaleMAIError as error:
            outcome = str(error)
    assert outcome
    assert "\n" not in outcome


@pytest.fixture(scope="module")
def small_segmentation(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("seg")
    ct = save(classic(hounsfield((5, 4, 3))), folder / "ct")
    grid = grid_of(ct)
    mask = Mask(hounsfield((5, 4, 3)) > 0, grid, "liver_lesion")
    write(folder / "seg.dcm", [mask], ct)
    return (folder / "seg.dcm").read_bytes()
