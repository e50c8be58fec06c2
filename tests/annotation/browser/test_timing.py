"""How long a read takes is measured as it was: work is counted, pauses are not."""

from __future__ import annotations

from typing import Any

import pytest

from scalemai.annotation.words import Action

from .conftest import Serving
from .desk import Desk, Person
from .scans import phantom_scan

IDLE_S = 15
"""A longer time without any input is a pause."""


def begin(desk: Desk) -> tuple[Person, Any]:
    """A reader whose clock stands still unless it is told to go on."""
    desk.contexts.append(desk.browser.new_context(viewport={"width": 1280, "height": 800}))
    page = desk.contexts[-1].new_page()
    person = Person(page)
    page.clock.install(time=0)
    page.goto(desk.link("One"))
    person.ready()
    page.clock.pause_at(60)
    return person, page.clock


def test_a_scripted_reader_is_measured_within_two_percent_without_his_pauses(
    serving: Serving,
) -> None:
    desk = serving({"case": phantom_scan()}, search_share=0.0, idle_ms=IDLE_S * 1000)
    person, clock = begin(desk)
    person.decide("a")  # the next read comes while the clock stands still
    box = person.canvas("axial")
    working, pausing = 0.0, 0.0
    for seconds in (0.7, 1.3, 2.9, 8.0, 14.0, 40.0, 0.4, 61.0, 3.2):
        clock.run_for(int(seconds * 1000))
        person.press("ArrowUp")
        working += seconds if seconds <= IDLE_S else 0
        pausing += 0 if seconds <= IDLE_S else seconds
    for step in range(10):  # the hand rests on the mouse: moves are work as keys are
        clock.run_for(500)
        person.page.mouse.move(box["x"] + 100 + step, box["y"] + 100)
        working += 0.5
    read = person.read
    clock.run_for(1000)
    person.press("a")
    working += 1
    clock.resume()
    person.page.locator(f'body:not([data-read="{read}"])').wait_for(state="attached")
    person.saved()
    active, idle = desk_times(desk, read)
    assert active / 1000 == pytest.approx(working, rel=0.02)
    assert idle / 1000 == pytest.approx(pausing, rel=0.02)
    accepted = [e for e in desk.events if e.action is Action.ACCEPT][-1]
    assert accepted.keys == 10
    mine = [event for event in desk.events if event.read_id == read]
    assert sum(event.slices_viewed for event in mine) == 10


def desk_times(desk: Desk, read: str) -> tuple[int, int]:
    """Milliseconds of work and of pauses in a read, as the ledger has them."""
    mine = [event for event in desk.events if event.read_id == read]
    return sum(e.active_ms for e in mine), sum(e.idle_ms for e in mine)


def test_reads_that_wait_in_the_background_cost_no_time(serving: Serving) -> None:
    desk = serving({"case": phantom_scan()}, search_share=0.0, idle_ms=IDLE_S * 1000)
    person, clock = begin(desk)
    first = person.read
    clock.run_for(5000)
    person.press("a")
    clock.resume()
    person.page.locator(f'body:not([data-read="{first}"])').wait_for(state="attached")
    second = person.read
    person.decide("a")
    person.saved()
    assert sum(desk_times(desk, second)) < 2500  # not the five seconds of the one before
