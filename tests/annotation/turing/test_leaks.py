"""Nothing but the voxels differs between what is sent of real and of synthetic lesions."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from scalemai.annotation.turing.items import HEADER_BYTES, HU_RANGE, crop_around, item_bytes
from scalemai.annotation.turing.sealing import open_key
from scalemai.errors import GeometryError, IntensityError
from scalemai.geometry import Grid
from scalemai.volume import Volume

from .made import make_study


def volume(stored: np.ndarray, matrix: np.ndarray | None = None, **more: float) -> Volume:
    affine = np.diag((-1.0, -1.0, 2.0, 1.0)) if matrix is None else matrix
    return Volume(stored, Grid(stored.shape, affine), **more)


def test_items_are_alike_in_name_length_header_time_and_rights(tmp_path: Path) -> None:
    built, key = make_study(tmp_path, count=8)
    sealed = open_key(key, built.study)
    seen: dict[str, set[tuple[object, ...]]] = {"real": set(), "synthetic": set()}
    for name, one in sealed.items():
        path = built.study.folder / "items" / f"{name}.item"
        state, head = path.stat(), path.read_bytes()[:HEADER_BYTES]
        seen[one.truth].add((len(name), state.st_size, state.st_mtime_ns, state.st_mode, head))
        assert int(name, 16) >= 0
    assert seen["real"] == seen["synthetic"]
    assert len(seen["real"]) == 1


def test_what_the_study_holds_does_not_tell_which_items_are_real(tmp_path: Path) -> None:
    built, key = make_study(tmp_path, count=40, task="2afc")
    sealed = open_key(key, built.study)
    whole = b"".join(path.read_bytes() for path in built.study.folder.iterdir() if path.is_file())
    for one in sealed.values():
        assert one.salt.encode() not in whole
        assert one.case_id.encode() not in whole
    left = [sealed[display.items[0]].truth == "real" for display in built.study.displays]
    assert sum(left) == 20  # half of the pairs, so that a habit of sides does not score
    # Items in the order of the study: runs of one truth are as of a random order (Wald, Wolfowitz).
    truth = np.array([sealed[name].truth == "real" for name in built.study.commitments])
    runs = 1 + int((truth[1:] != truth[:-1]).sum())
    mean, sd = 1 + truth.size / 2, np.sqrt((truth.size - 2) / 4)
    assert abs(runs - mean) < 4.5 * sd


def test_the_same_voxels_give_the_same_bytes_however_they_were_stored() -> None:
    rng = np.random.default_rng(0)
    hu = rng.integers(-900, 1200, (20, 22, 18)).astype(np.int16)
    plain = crop_around(volume(hu), (10, 11, 9), (5, 7, 5))
    offset = crop_around(
        volume((hu + 1024).astype(np.uint16), intercept=-1024), (10, 11, 9), (5, 7, 5)
    )
    floats = crop_around(
        volume(hu + rng.uniform(-0.49, 0.49, hu.shape).astype(np.float32)), (10, 11, 9), (5, 7, 5)
    )
    halves = crop_around(volume(hu.astype(np.int32) * 2, slope=0.5), (10, 11, 9), (5, 7, 5))
    matrix = np.diag((-1.0, -1.0, 2.0, 1.0))[:, [2, 0, 1, 3]]
    turned = crop_around(volume(hu.transpose(2, 0, 1), matrix), (10, 11, 9), (5, 7, 5))
    expected = item_bytes(plain, (1, 1, 2), 4096)
    for other in (offset, floats, halves, turned):
        assert item_bytes(other, (1, 1, 2), 4096) == expected
    size = struct.unpack("<I", expected[:4])[0]
    header = json.loads(expected[8 : 8 + size])
    ct = np.frombuffer(expected, "<i2", int(np.prod(header["dims"])), 8 + size)
    np.testing.assert_array_equal(ct.reshape(header["dims"], order="F"), hu[8:13, 8:15, 7:12])


def test_padding_beyond_the_field_of_view_and_metal_do_not_tell_the_maker() -> None:
    hu = np.full((9, 9, 9), -3024, np.int16)
    hu[4:] = 20000
    crop = crop_around(volume(hu), (4, 4, 4), (5, 5, 5))
    assert (crop.min(), crop.max()) == HU_RANGE


def test_a_crop_beyond_the_scan_or_without_numbers_is_refused() -> None:
    hu = np.zeros((9, 9, 9), np.float32)
    with pytest.raises(GeometryError, match="beyond the scan"):
        crop_around(volume(hu), (1, 4, 4), (5, 5, 5))
    hu[4, 4, 4] = np.nan
    with pytest.raises(IntensityError, match="without a number"):
        crop_around(volume(hu), (4, 4, 4), (5, 5, 5))
