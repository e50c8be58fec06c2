"""Site, kind, contrast and neighbour of lesions, against masks whose answer is plain."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from scalemai.evaluation.case import CaseResult, evaluate_case
from scalemai.evaluation.crops import crop
from scalemai.evaluation.lesions.components import find_components
from scalemai.evaluation.maskset import open_masks
from scalemai.evaluation.nearness import nearest_structure, surroundings
from scalemai.evaluation.pairing import organ_of, pair
from scalemai.evaluation.partial import is_current, partial_path
from scalemai.evaluation.request import Request
from scalemai.evaluation.run import collect, evaluate_cases, open_ledger
from scalemai.evaluation.synthetic import RECORD_FORMAT, RECORD_NAME
from scalemai.geometry import Grid
from scalemai.synthesis.sidecar import FORMAT
from scalemai.synthesis.target import SIDECAR_NAME

from ..hosts import ORIGIN_MM, SHAPE, SPACING_MM, affine, ball, write, write_masks

Masks = dict[str, NDArray[np.bool_]]

HEAD_LESION, TAIL_LESION = (8.0, 20.0, 8.0), (38.0, 20.0, 8.0)


def gland(*, carved: bool = False) -> Masks:
    """A pancreas along x: head, body and tail; a duodenum beside the head; two lesions.

    ``carved`` as label maps have it: no voxel is in two masks.
    """
    i, j, k = np.indices(SHAPE)
    whole = (i >= 2) & (i < 46) & (j >= 14) & (j < 27) & (k >= 4) & (k < 13)
    lesion = ball(HEAD_LESION, 3.0) | ball(TAIL_LESION, 3.0)
    parts = {
        "pancreas": whole,
        "pancreas_head": whole & (i < 17),
        "pancreas_body": whole & (i >= 17) & (i < 31),
        "pancreas_tail": whole & (i >= 31),
    }
    if carved:
        parts = {name: mask & ~lesion for name, mask in parts.items()}
    duodenum = (i < 12) & (j >= 29) & (j < 33) & (k >= 4) & (k < 13)
    return {**parts, "duodenum": duodenum, "pancreatic_lesion": lesion}


def evaluated(pred: Path, ref: Path, request: Request | None = None) -> CaseResult:
    pairing = pair(
        open_masks(pred),
        open_masks(ref),
        request or Request(structures=("pancreatic_lesion",)),
    )
    return evaluate_case(pairing.cases[0], pairing.request)


def predicted(folder: Path, *centres: tuple[float, float, float]) -> Path:
    mask = np.logical_or.reduce([ball(centre, 2.5) for centre in centres])
    return write_masks(folder / "a", {"pancreatic_lesion": mask})


def by_side(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return sorted(rows, key=lambda row: float(str(row["x_mm"])))


@pytest.mark.parametrize("carved", [False, True])
def test_sites_are_those_that_hold_the_lesion_or_lie_round_it(tmp_path: Path, carved: bool) -> None:
    ref = write_masks(tmp_path / "r" / "a", gland(carved=carved))
    found = evaluated(predicted(tmp_path / "p", HEAD_LESION, (24.0, 20.0, 8.0)), ref)
    assert [row["site"] for row in by_side(found.lesions)] == ["head", "tail"]
    assert [row["site"] for row in by_side(found.candidates)] == ["head", "body"]
    assert found.notes == []


def test_a_lesion_in_a_part_that_has_no_mask_has_no_site(tmp_path: Path) -> None:
    masks = gland()
    del masks["pancreas_tail"], masks["pancreas_body"]
    found = evaluated(
        predicted(tmp_path / "p", HEAD_LESION), write_masks(tmp_path / "r" / "a", masks)
    )
    assert [row.get("site") for row in by_side(found.lesions)] == ["head", None]


def test_of_sites_within_sites_the_smallest_that_holds_most_is_told(tmp_path: Path) -> None:
    i, j, k = np.indices(SHAPE)
    lung = (i < 40) & (j > 5)
    lesion = (np.abs(i - 20) < 4) & (np.abs(j - 20) < 4) & (np.abs(k - 8) < 3)
    masks = {
        "lung_left": lung,
        "lung_upper_lobe_left": lung & (k >= 7),  # four of five slices of the lesion
        "lung_lower_lobe_left": lung & (k < 7),
        "lung_lesion": lesion,
    }
    pred = write_masks(tmp_path / "p" / "a", {"lung_lesion": lesion})
    ref = write_masks(tmp_path / "r" / "a", masks)
    (row,) = evaluated(pred, ref, Request(structures=("lung_lesion",))).lesions
    assert row["site"] == "left_upper_lobe"


def test_contrast_is_to_the_organ_outside_of_all_lesions(tmp_path: Path) -> None:
    masks = gland()
    rng = np.random.default_rng(1)
    hu = np.full(SHAPE, -90.0)
    hu[masks["pancreas"]] = 100
    hu[ball(HEAD_LESION, 3.0)] = 60
    hu[ball(TAIL_LESION, 3.0)] = 130
    hu = (hu + rng.normal(0, 4, SHAPE)).round().astype(np.int16)
    pred = predicted(tmp_path / "p", HEAD_LESION)
    bare = write_masks(tmp_path / "r" / "a", masks)
    assert not any("contrast_hu" in row for row in evaluated(pred, bare).lesions)
    write(bare / "ct.nii.gz", hu)
    found = evaluated(pred, bare)
    middle = np.median(hu[masks["pancreas"] & ~masks["pancreatic_lesion"]])
    for row, centre in zip(by_side(found.lesions), (HEAD_LESION, TAIL_LESION), strict=True):
        assert row["contrast_hu"] == pytest.approx(hu[ball(centre, 3.0)].mean() - middle, abs=1e-4)
    assert by_side(found.lesions)[0]["contrast_hu"] == pytest.approx(-40, abs=2)


def test_a_ct_of_another_grid_costs_the_contrast_and_says_so(tmp_path: Path) -> None:
    from scalemai.cases import open_cases

    ref = write_masks(tmp_path / "r" / "a", gland()).parent
    other = np.zeros((20, 20, 10), np.int16)
    other[:, :3] = -1000
    write(tmp_path / "ct" / "a" / "ct.nii.gz", other)
    pairing = pair(
        open_masks(predicted(tmp_path / "p", HEAD_LESION).parent),
        open_masks(ref),
        Request(structures=("pancreatic_lesion",)),
        images=open_cases(tmp_path / "ct"),
    )
    found = evaluate_case(pairing.cases[0], pairing.request)
    assert [row["detected"] for row in by_side(found.lesions)] == [True, False]
    assert not any("contrast_hu" in row for row in found.lesions)
    assert any(note.startswith("no contrast: ") for note in found.notes)


def test_neighbours_are_other_structures_within_reach(tmp_path: Path) -> None:
    masks = gland()
    beyond = (5.0, 34.5, 8.0)  # half in the duodenum, outside of the pancreas
    far = (40.0, 5.0, 2.0)
    masks["spleen"] = ball((45.0, 36.0, 13.0), 2.0)
    pred = predicted(tmp_path / "p", HEAD_LESION, beyond, far)
    found = evaluated(pred, write_masks(tmp_path / "r" / "a", masks))
    assert [row["neighbour"] for row in by_side(found.lesions)] == ["duodenum", "none"]
    rows = {str(row["neighbour"]): row for row in found.candidates}
    inside = sorted((str(row["neighbour"]), row["in_organ"]) for row in found.candidates)
    assert inside == [("duodenum", False), ("duodenum", True), ("none", False)]
    assert rows["none"]["verdict"] == "false_positive"


@pytest.mark.parametrize("shear", [0.0, 0.3])
def test_distances_are_those_of_brute_force(shear: float) -> None:
    rng = np.random.default_rng(5)
    matrix = affine()
    matrix[1, 2] = shear  # as of a tilted gantry
    grid = Grid(SHAPE, matrix)
    for _ in range(12):
        lesion = ball(tuple(rng.uniform((8, 8, 4), (40, 32, 12))), 2.5)
        masks = {name: ball(tuple(rng.uniform((0, 0, 0), SHAPE)), 3.0) & ~lesion for name in "abcd"}
        own = grid.to_world(np.argwhere(lesion))
        away = {
            name: np.linalg.norm(
                grid.to_world(np.argwhere(mask))[:, None] - own[None], axis=-1
            ).min()
            for name, mask in masks.items()
            if mask.any()
        }
        near = {name: mm for name, mm in away.items() if mm <= 10}
        expected = min(near, key=lambda name: near[name]) if near else None
        (one,) = find_components(lesion, grid)
        crops = {name: crop(mask, grid) for name, mask in masks.items()}
        assert nearest_structure(one, grid, crops) == expected


def test_surroundings_are_what_a_distance_transform_gives() -> None:
    lesion = ball((24.0, 20.0, 8.0), 4.0)
    grid = Grid(SHAPE, affine())
    (one,) = find_components(lesion, grid)
    region, around = surroundings(one, grid, 5.0)
    away = distance_transform_edt(~lesion, sampling=SPACING_MM)
    expected = (away <= 5.0) & ~lesion
    assert np.array_equal(around, expected[region])
    assert expected.sum() == around.sum()


def test_kinds_come_from_names_and_from_the_record_of_a_synthetic_case(tmp_path: Path) -> None:
    ref = write_masks(tmp_path / "r" / "a", gland())
    write(ref / "ct.nii.gz", np.where(gland()["pancreas"], 90, -90).astype(np.int16))

    def grown(kind: str, voxel: tuple[float, float, float]) -> dict[str, object]:
        centre = [o + v * s for o, v, s in zip(ORIGIN_MM, voxel, SPACING_MM, strict=True)]
        recipe = {"lesion": "pancreatic_lesion", "kind": kind, "centre_mm": centre}
        return {"recipe": recipe | {"diameter_mm": 6.0}}

    pred = predicted(tmp_path / "p", HEAD_LESION)
    record = {
        "format": RECORD_FORMAT,
        "host": {"phase": "arterial", "masks": {}},
        "lesions": [grown("pdac", TAIL_LESION), grown("cyst", HEAD_LESION)],
    }
    (ref / RECORD_NAME).write_text(json.dumps(record))
    found = evaluated(pred, ref)
    assert [row["kind"] for row in by_side(found.lesions)] == ["cyst", "pdac"]
    assert {row["phase"] for row in found.lesions} == {"arterial"}
    assert not any("kind" in row for row in found.candidates)
    (ref / RECORD_NAME).write_text("{")
    damaged = evaluated(pred, ref)
    assert not any("kind" in row for row in damaged.lesions)
    assert any("is no record of a synthetic case" in note for note in damaged.notes)


def test_the_record_is_the_one_that_synthesis_writes() -> None:
    assert (RECORD_NAME, RECORD_FORMAT) == (SIDECAR_NAME, FORMAT)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("pancreatic_pdac", "pdac"), ("pancreatic_cyst", "cyst"), ("pancreatic_lesion", None)],
)
def test_a_kind_by_name_lies_in_the_organ_of_its_group(
    tmp_path: Path, name: str, kind: str | None
) -> None:
    assert organ_of(name) == "pancreas"
    assert organ_of("kidney_cyst_left") == "kidney"
    masks = gland()
    masks[name] = masks.pop("pancreatic_lesion")
    pred = write_masks(tmp_path / "p" / "a", {name: masks[name]})
    ref = write_masks(tmp_path / "r" / "a", masks)
    found = evaluated(pred, ref, Request(structures=(name,)))
    assert {row.get("kind") for row in (*found.lesions, *found.candidates)} == {kind}


def test_facts_change_no_number_and_can_be_switched_off(tmp_path: Path) -> None:
    pred, ref = predicted(tmp_path / "p", HEAD_LESION).parent, tmp_path / "r"
    write_masks(ref / "a", gland())
    tables = {}
    for on in (True, False):
        request = Request(structures=("pancreatic_lesion",), facts=on)
        pairing = pair(open_masks(pred), open_masks(ref), request)
        with open_ledger(tmp_path / str(on), pairing) as ledger:
            list(evaluate_cases(pairing, tmp_path / str(on), ledger=ledger))
        found = collect(pairing, tmp_path / str(on))
        assert found.lesions.settings["facts"] is on
        tables[on] = found
    plain = tables[False].lesions.frame
    assert {"site", "neighbour"}.isdisjoint(plain.columns)
    assert tables[True].lesions.frame.select(plain.columns).equals(plain)
    assert tables[True].lesions.definition("site") is not None
    assert tables[True].lesions.definition("contrast_hu") is None  # there is no CT
    assert any("the contrast of no pancreatic_lesion is known" in n for n in tables[True].notes)
    assert tables[False].notes == ()


def test_a_case_is_done_again_when_a_file_of_its_facts_changes(tmp_path: Path) -> None:
    pred, ref = predicted(tmp_path / "p", HEAD_LESION).parent, tmp_path / "r"
    masks = write_masks(ref / "a", gland()) / "segmentations"
    pairing = pair(open_masks(pred), open_masks(ref), Request(structures=("pancreatic_lesion",)))
    out = tmp_path / "out"
    with open_ledger(out, pairing) as ledger:
        list(evaluate_cases(pairing, out, ledger=ledger))
    assert partial_path(out, "a").is_file()
    assert is_current(pairing.cases[0], out, pairing.request)
    write(masks / "duodenum.nii.gz", np.zeros(SHAPE, np.bool_))
    assert not is_current(pairing.cases[0], out, pairing.request)
