"""What a manager is told of a review."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalemai.annotation.progress import StepCount, agreement, progress, states, workload
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.words import Action, Role

from .rooms import draft, edit, reader, room, send, take


def test_reads_findings_times_and_agreement_are_counted(tmp_path: Path) -> None:
    protocol = Protocol(second_share=1.0, second_below_mm=0)
    engine = room(tmp_path / "r.sqlite", lesions=3, protocol=protocol)
    ann, bob = reader(engine, "Ann"), reader(engine, "Bob", Role.SECOND_READER)
    for action in (Action.ACCEPT, Action.REJECT):
        opened = draft(Action.OPEN, active_ms=1000, idle_ms=60_000)
        send(engine, ann, take(engine, ann), opened, draft(action, active_ms=5000))
    held = take(engine, bob)
    half = edit((0, 2, 2), (2, 6, 6), erase=True)
    send(engine, bob, held, half, draft(Action.ACCEPT, active_ms=9000))
    take(engine, bob)
    with engine.connect() as connection:
        assert progress(connection) == [StepCount(1, 1, 0, 2), StepCount(2, 0, 1, 1)]
        assert states(connection) == [("accepted", 1), ("pending", 1), ("rejected", 1)]
        by_name = {one.name: one for one in workload(connection)}
        found = agreement(connection)
    assert by_name["Ann"].done == 2
    assert by_name["Ann"].active_minutes == pytest.approx(0.2)
    assert by_name["Ann"].per_finding_s == pytest.approx(6.0)
    assert by_name["Bob"].done == 1
    assert (found.pairs, found.same) == (1, 1)
    assert found.kappa.value is None
    assert found.dice.value == pytest.approx(2 / 3)


def test_a_review_that_nobody_has_read_says_so(tmp_path: Path) -> None:
    engine = room(tmp_path / "r.sqlite", lesions=1)
    with engine.connect() as connection:
        found = agreement(connection)
        assert workload(connection) == []
    assert found.ac1.reason == "no finding was read twice"
