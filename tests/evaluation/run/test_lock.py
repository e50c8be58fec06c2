"""A case stays the case that an operating point was chosen on, however it is stored and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scalemai.errors import ConfigError
from scalemai.evaluation.content import content_digest
from scalemai.evaluation.crops import crop
from scalemai.evaluation.files import choose_points
from scalemai.evaluation.maskset import open_masks
from scalemai.evaluation.pairing import pair
from scalemai.evaluation.patients.operating_point import apply_operating_point, read_operating_point
from scalemai.evaluation.request import Request
from scalemai.evaluation.run import Evaluation, collect, evaluate_cases, open_ledger
from scalemai.geometry import Grid

from ..hosts import (
    LABELS,
    Masks,
    affine,
    ball,
    prediction,
    reference,
    without_lesions,
    write,
    write_label_map,
    write_masks,
)

REQUEST = Request(structures=("liver_lesion", "liver"))


def evaluated(predictions: Path, references: Path, out: Path) -> Evaluation:
    sets = [open_masks(root, class_map=LABELS) for root in (predictions, references)]
    pairing = pair(*sets, REQUEST)
    with open_ledger(out, pairing) as ledger:
        outcomes = list(evaluate_cases(pairing, out, ledger=ledger))
    assert [one.error for one in outcomes] == [None] * len(pairing.cases)
    return collect(pairing, out)


def as_floats(folder: Path, masks: Masks) -> None:
    write_masks(folder, masks, dtype=">f4")


def turned(folder: Path, masks: Masks) -> None:
    write_masks(folder, masks, order=(2, 0, 1), flips=(0, 2), dtype="int16")


def uncompressed(folder: Path, masks: Masks) -> None:
    for name, mask in masks.items():
        write(folder / "segmentations" / f"{name}.nii", mask)


def as_label_map(folder: Path, masks: Masks) -> None:
    write_label_map(folder.with_suffix(".nii.gz"), masks, flips=(0, 1), dtype="int32")


def moved_header(folder: Path, masks: Masks) -> None:
    matrix = affine()
    matrix[:3, :3] *= 1.0005  # a spacing that someone rounded
    write_masks(folder, masks, matrix=matrix)


@pytest.mark.parametrize(
    "store", [as_floats, turned, uncompressed, as_label_map, moved_header], ids=lambda f: f.__name__
)
def test_saving_the_validation_cases_again_does_not_evade_the_lock(
    tmp_path: Path, store: Callable[[Path, Masks], None]
) -> None:
    for case, truth in (("a", reference()), ("b", without_lesions(reference()))):
        write_masks(tmp_path / "p" / case, prediction())
        write_masks(tmp_path / "r" / case, truth)
    found = evaluated(tmp_path / "p", tmp_path / "r", tmp_path / "out")
    (path,) = choose_points(found, "youden", tmp_path / "out")
    point = read_operating_point(path)
    # Another name, another storage, and for the case with lesions other predictions too.
    other = {**prediction(), "liver_lesion": ball((14.0, 19.0, 8.0), 3.0)}
    for case, truth, said in (
        ("x", reference(), other),
        ("y", without_lesions(reference()), prediction()),
    ):
        store(tmp_path / "p2" / case, said)
        store(tmp_path / "r2" / case, truth)
    again = evaluated(tmp_path / "p2", tmp_path / "r2", tmp_path / "out2")
    assert not set(again.patients.cases.values()) & set(found.patients.cases.values())
    with pytest.raises(ConfigError, match=r"x: .* was chosen on this case and 1 more"):
        apply_operating_point(again.patients, point)
    tuned = apply_operating_point(again.patients, point, accept_tuning=True)
    assert tuned.origin == "tuned on the test set"


def test_other_lesions_are_other_cases(tmp_path: Path) -> None:
    write_masks(tmp_path / "p" / "a", prediction())
    write_masks(tmp_path / "r" / "a", reference())
    write_masks(tmp_path / "p" / "b", prediction())
    write_masks(tmp_path / "r" / "b", without_lesions(reference()))
    found = evaluated(tmp_path / "p", tmp_path / "r", tmp_path / "out")
    (path,) = choose_points(found, "youden", tmp_path / "out")
    moved = {name: np.roll(mask, 1, axis=1) for name, mask in reference().items()}
    write_masks(tmp_path / "p2" / "c", prediction())
    write_masks(tmp_path / "r2" / "c", moved)
    other = evaluated(tmp_path / "p2", tmp_path / "r2", tmp_path / "out2")
    threshold = apply_operating_point(other.patients, read_operating_point(path))
    assert threshold.origin.startswith("locked")


def test_what_holds_nothing_is_like_nothing() -> None:
    grid = Grid((4, 5, 6), np.eye(4))
    nothing = crop(np.zeros(grid.shape, bool), grid)
    assert content_digest(None) == content_digest(nothing, nothing) == ""
    assert content_digest(nothing, None, np.zeros(grid.shape, np.float32)) == ""
    one = np.zeros(grid.shape, bool)
    one[1, 2, 3] = True
    assert content_digest(crop(one, grid)) != content_digest(nothing, crop(one, grid)) != ""
    probable = one.astype(np.float32) / 3
    assert content_digest(nothing, nothing, probable) == content_digest(
        nothing, nothing, probable + np.float32(1e-6) * one
    )
