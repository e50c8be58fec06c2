"""The ledger alone leads to the masks, the states and the queue as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from scalemai.annotation.database.schema import findings, links, patches, reads
from scalemai.annotation.edits.patches import Patch
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.leases import claim
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.refusals import RefusedError
from scalemai.annotation.replay import differences, replay
from scalemai.annotation.words import Action, Role, Unit
from scalemai.errors import ConfigError

from .rooms import NOW, box_runs, draft, edit, reader, room, send


@pytest.mark.parametrize("seed", range(6))
def test_a_replay_of_any_history_gives_the_same_review(tmp_path: Path, seed: int) -> None:
    """Readers do whatever they may, at random; some requests are refused."""
    rng = np.random.default_rng(seed)
    protocol = Protocol(second_share=0.5, seed=seed, lease_ms=10_000)
    engine = room(tmp_path / "r.sqlite", lesions=8, protocol=protocol, case_reads=True)
    roles = (Role.READER, Role.SECOND_READER, Role.SECOND_READER, Role.ADJUDICATOR)
    people = [reader(engine, f"reader {number}", role) for number, role in enumerate(roles)]
    now, refused, done = NOW, 0, []
    for _ in range(120):
        now += int(rng.integers(1, 6000))
        who = people[rng.integers(len(people))]
        for held in claim(engine, who, now_ms=now, count=1):
            revision = held.revision
            for _ in range(rng.integers(1, 5)):
                actions = [Action.EDIT, Action.EDIT, Action.UNDO, Action.REDO, Action.RELEASE]
                actions += [Action.SPLIT, Action.MERGE, Action.ADD, Action.OPEN]
                actions += [Action.ACCEPT, Action.REJECT, Action.UNSURE, Action.CLOSE]
                action = actions[rng.integers(len(actions))]
                low = rng.integers(0, 12, 3)
                box = box_runs(low, low + rng.integers(1, 4, 3))
                kept = Patch(box, Runs.none())
                more = {
                    Action.EDIT: {"patch": kept if rng.random() < 0.7 else kept.inverse},
                    Action.ADD: {"patch": kept, "structure": "liver_lesion"},
                    Action.SPLIT: {"pieces": (box, box_runs(low + 3, low + 4))},
                    Action.MERGE: {"others": (f"finding{rng.integers(8)}",)},
                }.get(action, {})
                if action in (Action.UNDO, Action.REDO):
                    more = {"about": done[rng.integers(len(done))] if done else "none"}
                one = draft(action, **more)
                try:
                    receipt = send(engine, who, held, one, revision=revision, now_ms=now)
                except ConfigError as error:
                    refused += not isinstance(error, RefusedError)
                else:
                    revision = receipt.revision
                    done.append(one.event_id)
    assert differences(engine) == []
    assert refused
    with engine.connect() as connection:
        outcomes = set(connection.execute(select(reads.c.outcome)).scalars())
        units = set(connection.execute(select(reads.c.unit)).scalars())
        steps = set(connection.execute(select(reads.c.step)).scalars())
    assert {"accept", "reject", "unsure"} <= outcomes
    assert units == {Unit.CASE, Unit.FINDING}
    assert {1, 2} <= steps


def test_a_mask_that_was_changed_behind_the_ledger_is_found(tmp_path: Path) -> None:
    engine = room(tmp_path / "r.sqlite", lesions=2)
    ann = reader(engine, "Ann")
    (held,) = claim(engine, ann, now_ms=NOW)
    send(engine, ann, held, edit((0, 0, 0), (2, 2, 2)), draft(Action.ACCEPT))
    assert differences(engine) == []
    with engine.begin() as connection:
        mine = findings.c.finding_id == "finding0"
        other = box_runs((0, 0, 0), (3, 3, 3)).pack()
        connection.execute(update(findings).where(mine).values(final=other))
    (difference,) = differences(engine)
    assert str(difference) == "findings finding0: final does not follow from the ledger"


def test_a_patch_that_was_changed_or_lost_is_found(tmp_path: Path) -> None:
    engine = room(tmp_path / "r.sqlite", lesions=1)
    ann = reader(engine, "Ann")
    (held,) = claim(engine, ann, now_ms=NOW)
    send(engine, ann, held, edit((0, 0, 0), (2, 2, 2)))
    with engine.begin() as connection:
        other = Patch(box_runs((0, 0, 0), (1, 1, 1)), Runs.none()).pack()
        connection.execute(update(patches).values(content=other))
    with pytest.raises(ConfigError, match="was changed"):
        replay(engine)
    with engine.begin() as connection:
        connection.execute(patches.delete())
    with pytest.raises(ConfigError, match="absent"):
        replay(engine)
    with engine.begin() as connection:
        connection.execute(links.delete())
    assert [str(one).split(": ")[1][:8] for one in differences(engine)] == ["revision", "runs doe"]
