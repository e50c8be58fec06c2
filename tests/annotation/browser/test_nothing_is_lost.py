"""Strokes and decisions outlive a network that is down, a closed page, and a crop that moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scalemai.annotation.database.schema import reads
from scalemai.annotation.words import Action, ReadState

from .conftest import Serving
from .desk import Desk, Person
from .drawing import Screen
from .scans import Scan, phantom_scan


def draw(person: Person, right: int, down: int = 40) -> None:
    """A short stroke beside the middle of the axial plane."""
    box = person.canvas("axial")
    x, y = box["x"] + box["width"] / 2 + right, box["y"] + box["height"] / 2 + down
    person.stroke((round(x), round(y)), (round(x) + 30, round(y) + 9))


def actions(desk: Desk, read: str) -> list[Action]:
    return [event.action for event in desk.events if event.read_id == read]


def state(desk: Desk, read: str) -> str:
    with desk.engine.connect() as connection:
        row = connection.execute(reads.select().where(reads.c.read_id == read)).one()
    return str(row.state)


def test_strokes_and_decisions_made_without_a_network_arrive_when_it_is_back(
    serving: Serving,
) -> None:
    desk = serving({"case": phantom_scan()}, search_share=0.0)
    person = desk.sit("One")
    person.page.wait_for_load_state("networkidle")  # the next reads are there
    desk.contexts[0].set_offline(True)
    first = person.read
    person.press("e")
    draw(person, -120)
    draw(person, -60)
    person.press("Control+z")
    person.decide("a")
    second = person.decide("r", "4")
    offline = person.page.locator('#saved[data-state="offline"]')
    offline.wait_for()
    assert "kept here" in offline.inner_text()
    assert actions(desk, first) == [Action.OPEN]
    desk.contexts[0].set_offline(False)
    person.saved()
    edits = [Action.OPEN, Action.EDIT, Action.EDIT, Action.UNDO, Action.ACCEPT]
    assert actions(desk, first) == edits
    assert actions(desk, second) == [Action.OPEN, Action.REJECT]
    assert state(desk, first) == state(desk, second) == ReadState.DONE
    assert person.wrong == []


def test_what_was_done_without_a_network_survives_closing_the_page(serving: Serving) -> None:
    """The page is closed while it is cut off, after the server knew a part of the work."""
    desk = serving({"case": phantom_scan()}, search_share=0.0)
    person = desk.sit("One")
    person.page.wait_for_load_state("networkidle")
    first = person.read
    person.press("e")
    draw(person, -120)
    person.saved()
    before = desk.mask_of(first)
    desk.contexts[0].set_offline(True)
    draw(person, -60)
    draw(person, 30)
    person.decide("a")
    person.page.locator("#saved", has_text="4 kept here").wait_for()  # with the next read's opening
    person.page.close()
    assert np.array_equal(desk.mask_of(first), before)
    desk.contexts[0].set_offline(False)
    again = Person(desk.contexts[0].new_page())
    again.page.goto(desk.url)
    again.ready()
    again.saved()
    assert actions(desk, first).count(Action.EDIT) == 3
    assert state(desk, first) == ReadState.DONE
    assert desk.mask_of(first).sum() > before.sum()
    assert again.read != first


def test_an_answer_that_is_lost_doubles_nothing_and_loses_nothing(serving: Serving) -> None:
    """The server takes the stroke, but the page never hears of it; more strokes follow."""
    desk = serving({"case": phantom_scan()}, search_share=0.0)
    person = desk.sit("One")
    person.page.wait_for_load_state("networkidle")
    first = person.read
    answered: list[Any] = []

    def lose_the_first(route: Any) -> None:
        if answered:
            route.continue_()
            return
        answered.append(route.fetch())  # the server gets it and answers ...
        route.abort("connectionreset")  # ... to nobody

    person.page.route("**/events", lose_the_first)
    person.press("e")
    draw(person, -120)
    draw(person, -60)
    person.decide("a")
    person.saved()
    assert answered[0].ok
    assert actions(desk, first) == [Action.OPEN, Action.EDIT, Action.EDIT, Action.ACCEPT]
    assert len({event.event_id for event in desk.events}) == len(desk.events)


def test_a_decision_that_is_taken_back_can_be_made_anew(serving: Serving) -> None:
    desk = serving({"case": phantom_scan()}, search_share=0.0)
    person = desk.sit("One")
    first = person.decide("r", "1")
    person.press("Backspace")
    person.page.locator(f'body[data-read="{first}"]').wait_for(state="attached")
    person.decide("a")
    person.saved()
    done = [Action.OPEN, Action.REJECT, Action.UNDO, Action.ACCEPT]
    assert actions(desk, first) == done
    assert person.wrong == []


@pytest.fixture(scope="module")
def tall() -> Scan:
    """A scan of which a crop is a small part: 280 mm high, and 210 x 180 mm wide."""
    return phantom_scan((1.5, 1.5, 4.4))


def test_a_crop_that_moves_keeps_what_was_drawn(serving: Serving, tall: Scan) -> None:
    """Drawn, scrolled far away and back, undone and redone: the server's mask is the page's."""
    desk = serving({"case": tall}, search_share=0.0)
    person = desk.sit("One")
    first = person.read
    start = person.page.locator("#at-axial").inner_text().split(" ·")[0]
    person.press("e")
    draw(person, -120)
    draw(person, -60)
    person.page.mouse.move(5, 5)
    crops: list[str] = []
    person.page.on("request", lambda request: crops.append(request.url))
    step, far = ("PageDown", 1) if int(start.split(" / ")[0]) > 32 else ("PageUp", 60)
    with person.page.expect_response(lambda answer: "/region" in answer.url):
        person.press(*[step] * 3)
    while not person.page.locator("#at-axial").inner_text().startswith(f"{far} /"):
        person.press("ArrowDown" if far == 1 else "ArrowUp")
    assert any("/region" in url for url in crops)
    person.press("Control+z")  # far from where it was drawn
    person.press("0")
    start_again = person.page.locator("#at-axial", has_text=start)
    start_again.wait_for()
    person.press("Control+y")
    draw(person, 30)
    person.decide("a")
    person.saved()
    assert actions(desk, first)[1:] == [
        Action.EDIT,
        Action.EDIT,
        Action.UNDO,
        Action.REDO,
        Action.EDIT,
        Action.ACCEPT,
    ]
    drawn = desk.mask_of(first) & ~desk.base_of(first)
    index = int(start.split(" / ")[0]) - 1
    assert drawn[:, :, index].sum() == drawn.sum()
    pieces = [event for event in desk.events if event.action is Action.EDIT]
    assert len(pieces) == 3
    assert person.wrong == []


def test_a_drawing_in_a_search_is_there_again_after_the_page_was_closed(serving: Serving) -> None:
    scan = phantom_scan()
    desk = serving({"case": scan}, manual_share=1.0)
    person = desk.sit("One")
    assert person.unit == "case"
    draw(person, -60)
    person.page.locator("#saved", has_text="sketch kept here").wait_for()
    person.page.close()
    again = Person(desk.contexts[0].new_page())
    again.page.goto(desk.url)
    again.ready()
    again.press("s", "c")
    again.saved()
    (added,) = [event for event in desk.events if event.action is Action.ADD]
    assert added.structure == "liver_lesion"
    box = again.canvas("axial")
    shape = scan.lps(scan.ct).shape
    shown = Screen(box, "axial", (0, 0, 0), shape, (1.5, 1.5, 2.5))
    x, y = round(box["x"] + box["width"] / 2 - 60), round(box["y"] + box["height"] / 2 + 40)
    swept = shown.swept(shape, shape[2] // 2, [(x, y), (x + 30, y + 9)], 4.0)
    assert desk.final_masks()["liver_lesion"] == swept.sum()
