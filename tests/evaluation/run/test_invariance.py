"""How a case is stored changes no number: not one byte of any table but the hashes of its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scalemai.evaluation.maskset import open_masks
from scalemai.evaluation.pairing import pair
from scalemai.evaluation.request import Request
from scalemai.evaluation.run import collect, evaluate_cases, open_ledger
from scalemai.evaluation.summary import summarize
from scalemai.evaluation.tables import Table, write_table

from ..hosts import (
    LABELS,
    Masks,
    prediction,
    reference,
    write,
    write_dicom_seg,
    write_label_map,
    write_masks,
)

REQUEST = Request(tolerances_mm=(1.0, 2.0))


def as_files(root: Path, masks: Masks) -> None:
    write_masks(root / "case", masks)


def turned_and_wide(root: Path, masks: Masks) -> None:
    write_masks(root / "case", masks, order=(2, 0, 1), flips=(0, 2), dtype=">i2")


def as_floats_beside(root: Path, masks: Masks) -> None:
    for name, mask in masks.items():
        write(root / "case" / f"{name}.nii", mask, order=(1, 0, 2), flips=(1,), dtype="float64")


def as_label_map(root: Path, masks: Masks) -> None:
    write_label_map(root / "case.nii.gz", masks, flips=(0, 1), dtype="int32")


def as_label_map_in_a_folder(root: Path, masks: Masks) -> None:
    write_label_map(root / "case" / "combined_labels.nii.gz", masks, order=(2, 1, 0), dtype="uint8")


def as_dicom(root: Path, masks: Masks) -> None:
    write_dicom_seg(root / "case.dcm", masks, root.with_name(f"{root.name}-ct"))


WAYS: dict[str, Callable[[Path, Masks], None]] = {
    "files": as_files,
    "turned": turned_and_wide,
    "floats": as_floats_beside,
    "label-map": as_label_map,
    "label-folder": as_label_map_in_a_folder,
    "dicom": as_dicom,
}


def tables(tmp_path: Path, predicted: str, referred: str) -> dict[str, bytes]:
    """All bytes of all tables, hashes of files left out."""
    here = tmp_path / f"{predicted}-{referred}"
    sets = []
    for way, masks, role in ((predicted, prediction(), "p"), (referred, reference(), "r")):
        WAYS[way](here / role, masks)
        sets.append(open_masks(here / role, class_map=LABELS if "label" in way else None))
    pairing = pair(*sets, REQUEST)
    out = here / "out"
    with open_ledger(out, pairing) as ledger:
        outcomes = list(evaluate_cases(pairing, out, ledger=ledger))
    assert [(one.status, one.error) for one in outcomes] == [("done", None)]
    summary = summarize(collect(pairing, out), draws=50)
    for table in (*summary.evaluation.tables, *summary.tables):
        bare = Table(table.kind, table.frame, table.definitions, {}, table.settings)
        write_table(bare, here / "tables")
    return {path.name: path.read_bytes() for path in sorted((here / "tables").iterdir())}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return tables(tmp_path_factory.mktemp("plain"), "files", "files")


@pytest.mark.parametrize("way", [way for way in WAYS if way != "files"])
def test_the_storage_of_the_prediction_changes_no_byte(
    plain: dict[str, bytes], tmp_path: Path, way: str
) -> None:
    found = tables(tmp_path, way, "files")
    assert found.keys() == plain.keys()
    assert [name for name in found if found[name] != plain[name]] == []


@pytest.mark.parametrize("way", ["turned", "label-map", "floats"])
def test_the_storage_of_the_reference_changes_no_byte(
    plain: dict[str, bytes], tmp_path: Path, way: str
) -> None:
    found = tables(tmp_path, "files", way)
    assert [name for name in found if found[name] != plain[name]] == []


def test_two_dicom_segmentations_give_the_same_numbers(
    plain: dict[str, bytes], tmp_path: Path
) -> None:
    # The file spans the slices that it has frames of, so only the diagonal of the scan and the
    # border of the scan may differ; here neither plays a role.
    found = tables(tmp_path, "dicom", "dicom")
    assert found["structures.csv"] == plain["structures.csv"]
    assert found["patients.csv"] == plain["patients.csv"]
