"""The masks that a review ends in, where lesions were planted."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from sqlalchemy import Engine

from scalemai.annotation.edits.patches import Patch
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.export.masks import final_masks
from scalemai.annotation.words import Action, Origin

from ..rooms import box_runs, draft, edit, reader, room, send, take


def masks(engine: Engine) -> Runs:
    with engine.connect() as connection:
        (one,) = final_masks(connection, "case0")
    return one.runs


def test_a_synthetic_lesion_is_exported_neither_if_accepted_nor_if_a_reader_adds_it(
    tmp_path: Path,
) -> None:
    engine = room(
        tmp_path / "r.sqlite",
        lesions=2,
        origins=[Origin.MODEL, Origin.DECOY_LESION],
        case_reads=True,
    )
    who = reader(engine, "one")
    send(engine, who, take(engine, who), draft(Action.ACCEPT))
    send(engine, who, take(engine, who), draft(Action.ACCEPT))
    # The whole planted lesion, drawn by hand a voxel larger all round, as in a search.
    drawn = Patch(box_runs((4, 1, 1), (10, 7, 7)), Runs.none())
    add = draft(Action.ADD, patch=drawn, structure="liver_lesion")
    send(engine, who, take(engine, who), add, draft(Action.CLOSE))
    assert masks(engine) == box_runs((0, 2, 2), (4, 6, 6))


def test_an_edit_that_reaches_into_a_synthetic_lesion_is_exported_without_it(
    tmp_path: Path,
) -> None:
    engine = room(tmp_path / "r.sqlite", lesions=2, origins=[Origin.MODEL, Origin.DECOY_LESION])
    who = reader(engine, "one")
    stroke = edit((4, 2, 2), (9, 6, 6))  # up to the decoy, which begins at 5, and over it
    send(engine, who, take(engine, who), stroke, draft(Action.ACCEPT))
    assert masks(engine) == box_runs((0, 2, 2), (5, 6, 6))
