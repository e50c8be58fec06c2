"""Bytes that are cut, changed or hostile end in one line that names the file."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dicom_phantom import SERIES_UID, classic, hounsfield, save
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian

from scalemai.errors import ScaleMAIError, UnreadableFileError
from scalemai.io import dicom_files
from scalemai.io.dicom import list_series, read_series


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return save(classic(hounsfield()), tmp_path / "study")


@pytest.mark.parametrize("length", [0, 90, 131, 150, 300, 500, 700, 900])
def test_a_file_cut_off_in_its_header_is_named(study: Path, length: int) -> None:
    cut = study / "002.dcm"
    cut.write_bytes(cut.read_bytes()[:length])
    with pytest.raises(UnreadableFileError, match=r"002\.dcm: "):
        read_series(study)


def test_a_file_that_may_not_be_read_is_named(study: Path) -> None:
    (study / "001.dcm").chmod(0)
    if os.access(study / "001.dcm", os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(UnreadableFileError, match=r"001\.dcm: may not be read"):
        list_series(study)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_to_a_file_gives_a_volume_or_one_line(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = save(classic(hounsfield((5, 4, 3))), Path(name))
        path = folder / "001.dcm"
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            start = data.draw(st.integers(128, len(content) - 1))
            content[start : start + 4] = data.draw(st.binary(min_size=0, max_size=6))
        path.write_bytes(content)
        try:
            outcome = str(read_series(folder).grid.shape)
        except ScaleMAIError as error:
            outcome = str(error)
    assert outcome
    assert "\n" not in outcome


def test_a_pipe_or_a_dangling_link_in_the_folder_is_passed_over(study: Path) -> None:
    os.mkfifo(study / "pipe")
    (study / "gone.dcm").symlink_to(study / "nowhere")
    assert list_series(study).not_dicom == ("gone.dcm", "pipe")


def test_names_that_climb_out_of_a_zip_are_labels_and_nothing_is_written(tmp_path: Path) -> None:
    archive = tmp_path / "box" / "study.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as opened:
        for number, content in enumerate(saved_bytes()):
            opened.writestr(f"../../etc/IM{number}", content)
    volume = read_series(archive)
    np.testing.assert_array_equal(volume.stored, hounsfield())
    assert volume.metadata["source_files"][0] == "../../etc/IM0"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["study.zip"]


def test_a_zip_without_its_suffix_is_known_by_its_content(study: Path, tmp_path: Path) -> None:
    archive = tmp_path / "download"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for path in study.iterdir():
            opened.write(path, path.name)
    assert list_series(archive)[0].n_instances == 6


def test_a_damaged_zip_member_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        for number, content in enumerate(saved_bytes()):
            opened.writestr(f"IM{number}", content)
    content = bytearray(archive.read_bytes())
    at = content.index(b"IM3") + 1300
    content[at] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"study\.zip/IM3: .*Bad CRC-32"):
        read_series(archive)


def test_a_zip_cut_in_half_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for number, content in enumerate(saved_bytes()):
            opened.writestr(f"IM{number}", content)
    archive.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(UnreadableFileError, match=r"study\.zip"):
        read_series(archive)


def test_a_member_that_unpacks_beyond_the_limit_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_files, "LARGEST_FILE_BYTES", 1 << 20)
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("bomb.dcm", b"\0" * 128 + b"DICM" + b"\0" * (4 << 20))
    assert archive.stat().st_size < 10_000
    with pytest.raises(UnreadableFileError, match=r"bomb\.zip/bomb\.dcm: holds 0\.0 GiB, more"):
        list_series(archive)


def test_a_deflated_data_set_that_grows_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_files, "LARGEST_FILE_BYTES", 1 << 20)
    dataset = classic(hounsfield())[0]
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = save([dataset], tmp_path) / "000.dcm"
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(zlib.decompress(content[start:], -zlib.MAX_WBITS) + b"\0" * (4 << 20))
    path.write_bytes(content[:start] + body + packer.flush())
    with pytest.raises(UnreadableFileError, match="deflated data set exceeds"):
        list_series(tmp_path)


def test_listing_reads_headers_only(tmp_path: Path) -> None:
    # Pixels that are absent from the disk cannot have been read.
    folder = save(classic(hounsfield((200, 200, 6))), tmp_path)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:4096])
    assert list_series(folder)[0].n_images == 6
    with pytest.raises(UnreadableFileError, match="pixel data are truncated"):
        read_series(folder)


def test_an_enormous_element_length_does_not_exhaust_the_memory(study: Path) -> None:
    path = study / "001.dcm"
    content = path.read_bytes()
    at = content.index(b"\xe0\x7f\x10\x00OW") + 8
    path.write_bytes(content[:at] + (0xFFFFFFF0).to_bytes(4, "little") + content[at + 4 :])
    assert list_series(study)[0].uid == SERIES_UID
    np.testing.assert_array_equal(read_series(study).stored, hounsfield())


def saved_bytes() -> Iterator[bytes]:
    for dataset in classic(hounsfield()):
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        yield buffer.getvalue()
