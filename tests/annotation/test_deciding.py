"""What readers do is recorded once, changes exactly what it says, and calls the next reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, func, select

from scalemai.annotation.database.schema import findings, links
from scalemai.annotation.edits.patches import Patch
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.leases import claim, waiting
from scalemai.annotation.ledger import read_links, verify
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.refusals import ConflictError, LeaseLostError, StaleRevisionError
from scalemai.annotation.words import Action, Origin, ReadState, Reason, Role
from scalemai.errors import ConfigError

from .rooms import (
    NOW,
    QUIET,
    SHAPE,
    box_runs,
    draft,
    edit,
    finding,
    reader,
    room,
    send,
    take,
)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return room(tmp_path / "review.sqlite")


def test_a_rejection_needs_a_reason_and_ends_the_read(engine: Engine) -> None:
    ann = reader(engine, "Ann")
    held = take(engine, ann)
    with pytest.raises(ConfigError, match="reason"):
        send(engine, ann, held, draft(Action.REJECT, reason=None))
    receipt = send(engine, ann, held, draft(Action.REJECT, reason=Reason.STENT))
    assert receipt.state is ReadState.DONE
    assert finding(engine, "finding0")[0] == "rejected"
    assert take(engine, ann).finding_id == "finding1"


def test_strokes_change_exactly_their_voxels_and_can_be_undone_and_redone(engine: Engine) -> None:
    ann = reader(engine, "Ann")
    held = take(engine, ann)
    base = box_runs((0, 2, 2), (4, 6, 6))
    first = edit((2, 2, 2), (7, 4, 3))
    second = edit((0, 2, 2), (1, 6, 6), erase=True)
    receipt = send(engine, ann, held, first, second)
    drawn = (base | box_runs((2, 2, 2), (7, 4, 3))) - box_runs((0, 2, 2), (1, 6, 6))
    assert receipt.mask_sha256 == drawn.sha256
    back = draft(Action.UNDO, about=second.event_id)
    receipt = send(engine, ann, held, back, revision=receipt.revision)
    assert receipt.mask_sha256 == (base | box_runs((2, 2, 2), (7, 4, 3))).sha256
    again = draft(Action.REDO, about=back.event_id)
    receipt = send(engine, ann, held, again, revision=receipt.revision)
    assert receipt.mask_sha256 == drawn.sha256
    send(engine, ann, held, draft(Action.ACCEPT), revision=receipt.revision)
    assert finding(engine, "finding0") == ("accepted", drawn)


def test_the_same_request_twice_is_recorded_once(engine: Engine) -> None:
    ann = reader(engine, "Ann")
    held = take(engine, ann)
    drafts = (draft(Action.OPEN), edit((0, 0, 0), (1, 1, 1)), draft(Action.ACCEPT, active_ms=900))
    one = send(engine, ann, held, *drafts)
    two = send(engine, ann, held, *drafts)
    assert one == two
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(links)).scalar() == 3


def test_an_id_that_stands_for_something_else_is_refused(engine: Engine) -> None:
    ann = reader(engine, "Ann")
    held = take(engine, ann)
    send(engine, ann, held, draft(Action.OPEN, event_id="e1"))
    with pytest.raises(ConflictError):
        send(engine, ann, held, draft(Action.COMMENT, event_id="e1", comment="?"))


def test_work_on_an_older_mask_is_refused_with_the_revision(engine: Engine) -> None:
    ann = reader(engine, "Ann")
    held = take(engine, ann)
    send(engine, ann, held, edit((0, 0, 0), (1, 1, 1)))
    with pytest.raises(StaleRevisionError) as caught:
        send(engine, ann, held, edit((0, 0, 0), (2, 1, 1)))
    assert caught.value.revision == 1


def test_a_failing_event_takes_its_whole_request_back(engine: Engine) -> None:
    ann = reader(engine, "Ann")
    held = take(engine, ann)
    everything = draft(Action.EDIT, patch=Patch(Runs.none(), box_runs((0, 0, 0), SHAPE)))
    with pytest.raises(ConfigError, match="empty"):
        send(engine, ann, held, everything, draft(Action.ACCEPT))
    with engine.connect() as connection:
        assert list(read_links(connection)) == []
    assert send(engine, ann, held, draft(Action.ACCEPT)).revision == 0


def test_a_lapsed_lease_goes_to_the_next_reader_with_the_mask_as_it_was(engine: Engine) -> None:
    ann, bob = reader(engine, "Ann"), reader(engine, "Bob")
    held = take(engine, ann)
    send(engine, ann, held, edit((0, 0, 0), (9, 9, 1)))
    later = NOW + QUIET.lease_ms + 1
    theirs = take(engine, bob, now_ms=later)
    assert theirs.read_id == held.read_id
    with pytest.raises(LeaseLostError):
        send(engine, ann, held, draft(Action.ACCEPT), revision=1, now_ms=later)
    send(engine, bob, theirs, draft(Action.ACCEPT), now_ms=later)
    assert finding(engine, "finding0")[1] == box_runs((0, 2, 2), (4, 6, 6))
    with engine.connect() as connection:
        actions = [link.event.action for link in read_links(connection)]
    assert actions == [Action.EDIT, Action.RELEASE, Action.ACCEPT]


def test_a_reader_who_comes_back_gets_what_he_held(engine: Engine) -> None:
    ann = reader(engine, "Ann")
    held = take(engine, ann)
    receipt = send(engine, ann, held, edit((0, 0, 0), (9, 9, 1)))
    again = take(engine, ann, now_ms=NOW + 10 * QUIET.lease_ms)
    assert (again.read_id, again.revision) == (held.read_id, receipt.revision)
    ahead = claim(engine, ann, now_ms=NOW, holding=[again.read_id])
    assert [one.finding_id for one in ahead] == ["finding1"]


def test_an_unsure_finding_goes_to_another_reader_and_agreement_settles_it(tmp_path: Path) -> None:
    engine = room(tmp_path / "r.sqlite", lesions=1)
    ann = reader(engine, "Ann", Role.SECOND_READER)
    bob = reader(engine, "Bob", Role.SECOND_READER)
    senior = reader(engine, "Cy", Role.ADJUDICATOR)
    send(engine, ann, take(engine, ann), draft(Action.UNSURE))
    assert claim(engine, ann, now_ms=NOW) == []
    second = take(engine, bob)
    assert second.step == 2
    send(engine, bob, second, draft(Action.ACCEPT))
    third = take(engine, senior)
    assert third.step == 3
    send(engine, senior, third, draft(Action.REJECT))
    assert finding(engine, "finding0")[0] == "rejected"


@pytest.mark.parametrize(
    ("left", "state"),
    [
        (box_runs((0, 2, 2), (4, 6, 4)), "accepted"),  # Dice 2/3
        (box_runs((0, 2, 2), (1, 4, 4)), "unsure"),  # Dice 2/17
    ],
    ids=["half", "a sixteenth"],
)
def test_masks_that_hardly_overlap_go_to_a_senior(tmp_path: Path, left: Runs, state: str) -> None:
    protocol = Protocol(second_share=1.0, search_share=0, second_below_mm=0)
    engine = room(tmp_path / "r.sqlite", lesions=1, protocol=protocol)
    ann = reader(engine, "Ann")
    bob = reader(engine, "Bob", Role.SECOND_READER)
    send(engine, ann, take(engine, ann), draft(Action.ACCEPT))
    whole = box_runs((0, 2, 2), (4, 6, 6))
    cut = draft(Action.EDIT, patch=Patch.between(whole, left))
    send(engine, bob, take(engine, bob), cut, draft(Action.ACCEPT))
    assert finding(engine, "finding0") == (state, whole)


@pytest.mark.parametrize(
    ("score", "action", "twice"),
    [(0.95, "reject", 1), (0.1, "accept", 1), (0.95, "accept", 0), (0.1, "reject", 0)],
)
def test_a_decision_against_a_clear_score_is_read_again(
    tmp_path: Path, score: float, action: str, twice: int
) -> None:
    engine = room(tmp_path / "r.sqlite", lesions=1, scores=[score])
    ann, bob = reader(engine, "Ann"), reader(engine, "Bob", Role.SECOND_READER)
    send(engine, ann, take(engine, ann), draft(Action(action)))
    with engine.connect() as connection:
        assert waiting(connection, bob, now_ms=NOW) == twice


def test_planted_findings_are_read_once(tmp_path: Path) -> None:
    protocol = Protocol(second_share=1.0)
    origins = [Origin.DECOY_FALSE, Origin.DECOY_LESION]
    engine = room(tmp_path / "r.sqlite", lesions=2, protocol=protocol, origins=origins)
    ann, bob = reader(engine, "Ann"), reader(engine, "Bob", Role.SECOND_READER)
    for _ in range(2):
        send(engine, ann, take(engine, ann), draft(Action.UNSURE))
    with engine.connect() as connection:
        assert waiting(connection, bob, now_ms=NOW) == 0


def test_a_decision_is_taken_back_until_somebody_else_has_begun(tmp_path: Path) -> None:
    engine = room(tmp_path / "r.sqlite", lesions=1)
    ann, bob = reader(engine, "Ann"), reader(engine, "Bob", Role.SECOND_READER)
    held = take(engine, ann)
    unsure = draft(Action.UNSURE)
    send(engine, ann, held, unsure)
    back = send(engine, ann, held, draft(Action.UNDO, about=unsure.event_id))
    assert back.state is ReadState.LEASED
    assert claim(engine, bob, now_ms=NOW) == []
    again = draft(Action.UNSURE)
    send(engine, ann, held, again)
    take(engine, bob)
    with pytest.raises(ConfigError, match="somebody else"):
        send(engine, ann, held, draft(Action.UNDO, about=again.event_id))


def test_an_added_lesion_is_read_by_somebody_else(tmp_path: Path) -> None:
    engine = room(tmp_path / "r.sqlite", lesions=0, case_reads=True)
    ann, bob = reader(engine, "Ann"), reader(engine, "Bob", Role.SECOND_READER)
    held = take(engine, ann)
    mask = box_runs((1, 1, 1), (4, 4, 4))
    new = draft(Action.ADD, patch=Patch(mask, Runs.none()), structure="liver_lesion")
    receipt = send(engine, ann, held, new, draft(Action.CLOSE))
    assert receipt.state is ReadState.DONE
    theirs = take(engine, bob)
    assert theirs.step == 2
    send(engine, bob, theirs, draft(Action.ACCEPT))
    assert finding(engine, str(theirs.finding_id)) == ("accepted", mask)


def test_a_split_makes_findings_and_a_merge_takes_them_up(engine: Engine) -> None:
    ann = reader(engine, "Ann")
    held = take(engine, ann)
    halves = (box_runs((0, 2, 2), (2, 6, 6)), box_runs((2, 2, 2), (4, 6, 6)))
    split = draft(Action.SPLIT, pieces=halves)
    assert send(engine, ann, held, split).state is ReadState.DONE
    assert finding(engine, "finding0")[0] == "void"
    piece = take(engine, ann)
    query = select(findings.c.finding_id).where(findings.c.parents == '["finding0"]')
    with engine.connect() as connection:
        pieces = [row.finding_id for row in connection.execute(query)]
        links_of_split = list(read_links(connection, read_id=held.read_id))
    assert len(links_of_split) == 3
    assert piece.finding_id in pieces
    (other,) = set(pieces) - {piece.finding_id}
    together = send(engine, ann, piece, draft(Action.MERGE, others=(other,)))
    assert together.mask_sha256 == box_runs((0, 2, 2), (4, 6, 6)).sha256
    assert finding(engine, other)[0] == "void"


def test_pieces_that_are_not_parts_of_the_mask_are_refused(engine: Engine) -> None:
    ann = reader(engine, "Ann")
    held = take(engine, ann)
    outside = (box_runs((0, 2, 2), (2, 6, 6)), box_runs((2, 2, 2), (9, 6, 6)))
    for pieces in (outside, outside[:1], (outside[0], outside[0])):
        with pytest.raises(ConfigError, match="pieces"):
            send(engine, ann, held, draft(Action.SPLIT, pieces=pieces))


def test_a_changed_dropped_or_moved_event_breaks_the_chain(engine: Engine) -> None:
    ann = reader(engine, "Ann")
    for _ in range(3):
        send(engine, ann, take(engine, ann), draft(Action.OPEN), draft(Action.ACCEPT))
    assert verify(engine) is None
    with engine.begin() as connection:
        body = connection.execute(select(links.c.body).where(links.c.seq == 4)).scalar_one()
        changed = body.replace('"accept"', '"unsure"')
        connection.execute(links.update().where(links.c.seq == 4).values(body=changed))
    assert verify(engine) == 4
    with engine.begin() as connection:
        connection.execute(links.update().where(links.c.seq == 4).values(body=body))
        connection.execute(links.update().where(links.c.seq == 2).values(reader_id="x"))
    assert verify(engine) == 2
    with engine.begin() as connection:
        connection.execute(links.delete().where(links.c.seq == 3))
    assert verify(engine) in (2, 3)


def test_a_lesion_of_no_voxel_cannot_be_added(tmp_path: Path) -> None:
    engine = room(tmp_path / "r.sqlite", lesions=0, case_reads=True)
    ann = reader(engine, "Ann")
    held = take(engine, ann)
    nothing = draft(Action.ADD, patch=Patch(Runs.none(), Runs.none()), structure="liver_lesion")
    with pytest.raises(ConfigError, match="no voxel"):
        send(engine, ann, held, nothing)
    mask = Patch(box_runs((0, 0, 0), np.array((1, 1, 1))), Runs.none())
    with pytest.raises(ConfigError, match="structure"):
        send(engine, ann, held, draft(Action.ADD, patch=mask, structure="liver"))
