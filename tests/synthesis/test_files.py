"""A synthetic case on disk: what it holds, that it overlays its host, that it can be repeated."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from cli.hosts import body, hashes, inside, tree, write, write_case
from scalemai.case import Case, MaskSource
from scalemai.cases import open_cases
from scalemai.errors import ConfigError
from scalemai.measure import longest_axial_diameter_mm
from scalemai.synthesis.files import Request, replay, synthesize_case
from scalemai.synthesis.spec import LesionSpec

LIVER = Request(specs=(LesionSpec(organ="liver", diameter_mm=(10, 24)),), count=(2, 2), seed=3)
SIDECAR = "synthesis.json"


def only(source: Path, **how: Any) -> Case:
    """The one case of a data set."""
    (case,) = open_cases(source, **how)
    return case


def voxels(path: Path) -> np.ndarray:
    return np.asanyarray(nib.load(path).dataobj)


def header(path: Path) -> bytes:
    """All bytes of a NIfTI file before its voxels."""
    plain = gzip.decompress(path.read_bytes())
    return plain[: int(nib.load(path).header["vox_offset"])]


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return write_case(tmp_path / "data" / "p1")


@pytest.fixture
def made(host: Path, tmp_path: Path) -> Path:
    return synthesize_case(only(host), tmp_path / "out", LIVER)


# --- what is written -----------------------------------------------------------------------


def test_a_case_holds_the_ct_its_masks_the_lesions_and_a_sidecar(made: Path) -> None:
    assert made.name == "p1"
    assert tree(made) == [
        "ct.nii.gz",
        "lesions.nii.gz",
        "segmentations",
        "segmentations/liver.nii.gz",
        "segmentations/liver_lesion.nii.gz",
        SIDECAR,
    ]
    assert only(made).lesions == ("liver_lesion",)  # it opens as a case like any other


def test_mask_label_map_and_sidecar_say_the_same(made: Path) -> None:
    labels = voxels(made / "lesions.nii.gz")
    mask = voxels(made / "segmentations" / "liver_lesion.nii.gz")
    content = json.loads((made / SIDECAR).read_text())
    grid = only(made).grid()
    assert labels.dtype == mask.dtype == np.uint8
    assert np.array_equal(mask, labels > 0)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert [one["recipe"]["number"] for one in content["lesions"]] == [1, 2]
    for one in content["lesions"]:
        this = labels == one["recipe"]["number"]
        measured = one["measured"]
        assert measured["voxels"] == np.count_nonzero(this)
        assert measured["volume_mm3"] == pytest.approx(this.sum() * 2.5 * 2.5 * 4.0)
        width = longest_axial_diameter_mm(this, grid)
        assert measured["longest_axial_diameter_mm"] == pytest.approx(width, abs=1e-3)
        centre = np.rint(grid.to_voxel(one["recipe"]["centre_mm"])).astype(int)
        near = tuple(slice(max(c - 1, 0), c + 2) for c in centre)
        assert this[near].any()


def test_only_lesions_differ_from_the_host(host: Path, made: Path) -> None:
    before, after = voxels(host / "ct.nii.gz"), voxels(made / "ct.nii.gz")
    labels = voxels(made / "lesions.nii.gz")
    changed = after.astype(int) - before
    assert (np.abs(changed[labels > 0]) >= 2).all()  # no label without a change
    # The surface of the organ may be partly fat, or drawn a voxel too small.
    surface = ndimage.binary_dilation(body()[1]["liver"], np.ones((3, 3, 3)))
    assert not changed[~surface].any()
    measured = [one["measured"] for one in json.loads((made / SIDECAR).read_text())["lesions"]]
    assert np.count_nonzero(changed) == sum(one["edited_voxels"] for one in measured)


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint16, np.float32, np.float64, ">i2"])
def test_the_ct_overlays_its_host_to_the_byte_of_its_header(
    tmp_path: Path, kind: type, host: Path
) -> None:
    hu = body()[0]
    image = nib.Nifti1Image(hu.astype(np.int16), nib.load(host / "ct.nii.gz").affine)
    image.header.set_data_dtype(np.dtype(kind).newbyteorder("="))
    if kind is np.uint16:
        image = nib.Nifti1Image((hu + 2048).astype(np.uint16), image.affine)
    image.header["descrip"], image.header["aux_file"] = b"as scanned", b"none"
    image.set_qform(image.affine, 1)
    image.set_sform(image.affine, 2)
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"a comment"))
    if kind == ">i2":
        swapped = image.header.as_byteswapped(">")
        image = nib.Nifti1Image(hu.astype(">i2"), image.affine, swapped)
    nib.save(image, host / "ct.nii.gz")
    if kind is np.uint16:
        plain = bytearray(gzip.decompress((host / "ct.nii.gz").read_bytes()))
        struct.pack_into("<ff", plain, 112, 1.0, -2048.0)  # scl_slope, scl_inter
        (host / "ct.nii.gz").write_bytes(gzip.compress(bytes(plain)))
    made = synthesize_case(only(host), tmp_path / "out", LIVER)
    assert header(made / "ct.nii.gz") == header(host / "ct.nii.gz")
    assert (
        nib.load(made / "ct.nii.gz").get_data_dtype()
        == nib.load(host / "ct.nii.gz").get_data_dtype()
    )
    for name in ("lesions.nii.gz", "segmentations/liver_lesion.nii.gz"):
        label = nib.load(made / name)
        assert np.array_equal(label.affine, image.affine)
        assert (int(label.header["qform_code"]), int(label.header["sform_code"])) == (1, 2)
    change = nib.load(made / "ct.nii.gz").get_fdata() - nib.load(host / "ct.nii.gz").get_fdata()
    assert np.count_nonzero(change) >= np.count_nonzero(voxels(made / "lesions.nii.gz"))


def test_real_lesions_stay_labelled_and_are_left_alone(host: Path, tmp_path: Path) -> None:
    real = inside((35.0, 5.0, 10.0), (9.0, 9.0, 9.0)).astype(np.uint8)
    other = inside((-35.0, 18.0, 0.0), (6.0, 6.0, 6.0)).astype(np.uint8)
    write(host / "segmentations" / "liver_lesion.nii.gz", real)
    write(host / "segmentations" / "kidney_lesion.nii.gz", other)
    made = synthesize_case(only(host), tmp_path / "out", LIVER)
    labels = voxels(made / "lesions.nii.gz")
    mask = voxels(made / "segmentations" / "liver_lesion.nii.gz")
    assert np.array_equal(mask > 0, (labels > 0) | (real > 0))
    assert not labels[real > 0].any()
    assert np.array_equal(
        voxels(made / "ct.nii.gz")[real > 0], voxels(host / "ct.nii.gz")[real > 0]
    )
    # A lesion of another organ is not forgotten either.
    assert np.array_equal(voxels(made / "segmentations" / "kidney_lesion.nii.gz"), other)


def test_an_organ_in_parts_is_joined_and_replayed(host: Path, tmp_path: Path) -> None:
    liver = body()[1]["liver"]
    (host / "segmentations" / "liver.nii.gz").unlink()
    for part in range(8):  # the last one is empty: not every liver has every segment
        segment = np.zeros(liver.shape, np.uint8)
        columns = slice(7 * part, 7 * part + 7) if part < 7 else slice(0, 0)
        segment[columns] = liver[columns]
        if part == 6:
            segment[49:] = liver[49:]
        write(host / "segmentations" / f"liver_segment_{part + 1}.nii.gz", segment)
    made = synthesize_case(only(host), tmp_path / "out", LIVER)
    assert np.array_equal(voxels(made / "segmentations" / "liver.nii.gz") > 0, liver)
    replay(made / SIDECAR, tmp_path / "again")
    assert hashes(tmp_path / "again") == hashes(tmp_path / "out")


def test_organs_that_the_case_lacks_are_noted(host: Path, tmp_path: Path) -> None:
    write(host / "segmentations" / "kidney_right.nii.gz", np.zeros(body()[0].shape, np.uint8))
    specs = tuple(LesionSpec(organ=name) for name in ("pancreas", "kidney"))
    made = synthesize_case(only(host), tmp_path / "out", Request(specs=specs, count=(3, 3)))
    content = json.loads((made / SIDECAR).read_text())
    assert content["notes"] == [
        "the case has no mask of the pancreas; none was grown there",
        "the kidney_right mask is empty; none was grown there",
    ]
    assert {one["recipe"]["structure"] for one in content["lesions"]} == {"kidney_left"}


def test_the_sidecar_tells_nothing_of_when_and_who(made: Path) -> None:
    text = (made / SIDECAR).read_text()
    assert "origin" in text
    for private in (str(Path.home()), str(made), "20:"):
        assert private not in text


# --- what is never replaced ----------------------------------------------------------------


def test_the_host_is_never_replaced(host: Path) -> None:
    before = hashes(host)
    with pytest.raises(ConfigError, match=r"would replace its host .*; choose another --out"):
        synthesize_case(only(host), host.parent, LIVER)
    assert hashes(host) == before


def test_masks_in_another_tree_are_never_replaced(host: Path, tmp_path: Path) -> None:
    shutil.move(host / "segmentations", tmp_path / "labels" / "p1" / "segmentations")
    case = only(host, masks=tmp_path / "labels" / "p1" / "segmentations")
    before = hashes(tmp_path / "labels")
    with pytest.raises(ConfigError, match="would replace its host"):
        synthesize_case(case, tmp_path / "labels", LIVER)
    assert hashes(tmp_path / "labels") == before


def test_a_host_behind_a_link_is_never_replaced(host: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(host.parent)
    with pytest.raises(ConfigError, match="would replace its host"):
        synthesize_case(only(host), tmp_path / "link", LIVER)


def test_a_host_of_links_is_never_replaced(made: Path, tmp_path: Path) -> None:
    """As in a content store (git-annex): the synthetic case is host and its CT a link."""
    store = tmp_path / "store" / "8f3c"
    store.parent.mkdir()
    (made / "ct.nii.gz").rename(store)
    (made / "ct.nii.gz").symlink_to(store)
    case = Case("p1", made / "ct.nii.gz", {"liver": MaskSource(host_mask(tmp_path))})
    with pytest.raises(ConfigError, match="would replace its host"):
        synthesize_case(case, made.parent, LIVER)
    again = synthesize_case(case, tmp_path / "again", LIVER)
    replay(again / SIDECAR, tmp_path / "replayed")


def host_mask(tmp_path: Path) -> Path:
    return tmp_path / "data" / "p1" / "segmentations" / "liver.nii.gz"


def test_a_folder_of_something_else_is_never_replaced(host: Path, tmp_path: Path) -> None:
    notes = tmp_path / "out" / "p1" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("a year of work")
    with pytest.raises(ConfigError, match=r"is no synthetic case .*; choose another --out"):
        synthesize_case(only(host), tmp_path / "out", LIVER)
    assert notes.read_text() == "a year of work"


def test_lesions_can_be_added_to_a_synthetic_case(made: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="would replace its host"):
        synthesize_case(only(made), made.parent, LIVER)
    again = synthesize_case(only(made), tmp_path / "twice", LIVER)
    first = voxels(made / "lesions.nii.gz") > 0
    both = voxels(again / "segmentations" / "liver_lesion.nii.gz") > 0
    assert both[first].all()
    assert both.sum() > first.sum()


# --- real CT -------------------------------------------------------------------------------


@pytest.mark.real
def test_a_real_label_map_with_its_class_map(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "abdomen" / "ts_example_3mm_labelmap"
    case = only(folder, class_map="totalsegmentator-v2")
    specs = tuple(LesionSpec(organ=name, diameter_mm=(6, 20)) for name in ("liver", "kidney"))
    made = synthesize_case(case, tmp_path / "out", Request(specs=specs, count=(3, 3), seed=1))
    reference = nib.load(folder / "ct.nii.gz")
    assert header(made / "ct.nii.gz") == header(folder / "ct.nii.gz")
    organs = voxels(folder / "labels.nii.gz")
    labels = voxels(made / "lesions.nii.gz")
    content = json.loads((made / SIDECAR).read_text())
    for one in content["lesions"]:
        values = content["host"]["masks"][one["recipe"]["structure"]]["values"]
        assert np.isin(organs[labels == one["recipe"]["number"]], values).all()
    assert labels.shape == reference.shape
    replay(made / SIDECAR, tmp_path / "again")
    assert hashes(tmp_path / "again") == hashes(tmp_path / "out")


@pytest.mark.real
@pytest.mark.parametrize("name", ["ts_example_3mm", "crlm1004"])
def test_a_real_case_can_be_repeated(shared_data: Path, tmp_path: Path, name: str) -> None:
    folder = shared_data / "abdomen" / name
    specs = tuple(LesionSpec(organ=organ) for organ in ("liver", "kidney"))
    made = synthesize_case(only(folder), tmp_path / "out", Request(specs=specs, count=(2, 4)))
    assert header(made / "ct.nii.gz") == header(folder / "ct.nii.gz")
    assert replay(made / SIDECAR, tmp_path / "again")
    assert hashes(tmp_path / "again") == hashes(tmp_path / "out")


@pytest.mark.real
def test_a_real_sarcoma_in_dicom_keeps_its_mask(shared_data: Path, tmp_path: Path) -> None:
    """A thigh has no liver: an ellipse in its muscle stands in for the organ."""
    folder = shared_data / "soft_tissue" / "sts_001"
    tumor = nib.load(folder / "tumor.nii.gz")
    index = np.moveaxis(np.indices(tumor.shape), 0, -1)
    solid = np.asanyarray(nib.load(folder / "ct.nii.gz").dataobj)
    centre = np.argwhere(np.asanyarray(tumor.dataobj) > 0).mean(axis=0)
    organ = (np.abs(index - centre) < (30, 30, 12)).all(axis=-1) & (solid > -20) & (solid < 200)
    masks = tmp_path / "masks"
    write(masks / "liver.nii.gz", organ.astype(np.uint8), tumor.affine)
    write(masks / "liver_lesion.nii.gz", np.asanyarray(tumor.dataobj), tumor.affine)
    case = only(folder / "dicom_ct_rtstruct.zip", masks=masks)
    case = Case("sts", case.ct, {**case.sources, "liver": MaskSource(masks / "liver.nii.gz")})
    spec = LesionSpec(organ="liver", diameter_mm=(5, 9))
    made = synthesize_case(case, tmp_path / "out", Request(specs=(spec,), seed=2))
    labels = nib.as_closest_canonical(nib.load(made / "lesions.nii.gz"))
    real = nib.as_closest_canonical(tumor)
    both = nib.as_closest_canonical(nib.load(made / "segmentations" / "liver_lesion.nii.gz"))
    assert np.allclose(labels.affine, real.affine, atol=1e-3)
    union = (np.asanyarray(labels.dataobj) > 0) | (np.asanyarray(real.dataobj) > 0)
    assert np.array_equal(np.asanyarray(both.dataobj) > 0, union)
    assert not (np.asanyarray(labels.dataobj) > 0)[np.asanyarray(real.dataobj) > 0].any()
