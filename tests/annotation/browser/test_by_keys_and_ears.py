"""The page by keys alone, by a screen reader, on small screens, and by touch."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sqlalchemy import update

from scalemai.annotation.database.opening import writing
from scalemai.annotation.database.schema import cases
from scalemai.annotation.words import Action, Role

from .conftest import Serving
from .desk import Person
from .scans import phantom_scan

SIZES = {"desk": (1280, 800), "tablet": (1024, 768), "tablet upright": (768, 1024)}


def visible(person: Person, selector: str) -> list[dict[str, float]]:
    """Boxes of what matches and is shown."""
    found = person.page.locator(selector).all()
    boxes = [one.bounding_box() for one in found if one.is_visible()]
    return [dict(box) for box in boxes if box is not None]


def test_a_whole_review_is_done_without_a_mouse(serving: Serving) -> None:
    """Decisions, an edit, an added lesion and the end of the search, by keys."""
    desk = serving({"case": phantom_scan()}, ask_confidence=True)
    person = desk.sit("One")
    read = person.read
    base = desk.base_of(read)
    person.press("e", *["Shift+ArrowRight"] * 3, *["Shift+ArrowDown"] * 2, " ")  # beside it
    person.press("x", " ", "Control+z", "Control+z", "Control+Shift+z")
    person.decide("a", "4")
    person.saved()
    drawn = desk.mask_of(read) & ~base
    disc = np.pi * 4.0**2 / 1.5**2  # of 4 mm, in pixels of 1.5 mm
    assert drawn.sum() == pytest.approx(disc, rel=0.25)
    assert not (base & ~desk.mask_of(read)).any()
    person.decide("r", "ArrowDown", "ArrowDown", "Enter", "2")
    person.decide("u", "1")
    person.decide("r", "Escape", "a", "5")
    assert person.unit == "case"
    person.press(*["Shift+ArrowRight"] * 4, "PageUp", " ", "PageDown", " ", "s")
    person.decide("c")
    person.saved()
    assert person.wrong == []
    done = [event for event in desk.events if event.confidence is not None]
    assert [(e.action, e.confidence) for e in done] == [
        (Action.ACCEPT, 4),
        (Action.REJECT, 2),
        (Action.UNSURE, 1),
        (Action.ACCEPT, 5),
    ]
    assert done[1].reason == "stent"
    assert [e.action for e in desk.events].count(Action.ADD) == 1


def test_every_button_has_its_key_and_every_key_its_help(serving: Serving) -> None:
    desk = serving({"case": phantom_scan()}, search_share=0.0)
    person = desk.sit("One")
    person.press("?")
    person.page.locator("#help[open]").wait_for()
    told = {key.lower() for key in person.page.locator("#help kbd").all_inner_texts()}
    person.press("Escape")
    names = {"⌫": "backspace"}
    for button in person.page.locator("button[data-act]").all():
        keys = button.locator("kbd").all_inner_texts() or button.locator("kbd").all_text_contents()
        act = button.get_attribute("data-act")
        if act in ("undo", "redo"):
            continue  # they bear the name of the step instead; Ctrl Z and Ctrl Y in the help
        assert keys, act
        assert names.get(keys[0], keys[0].lower()) in told, act
    assert {"ctrl z", "ctrl y"} <= told


def test_a_key_works_after_a_slider_or_a_button_was_used(serving: Serving) -> None:
    desk = serving({"case": phantom_scan()}, search_share=0.0)
    person = desk.sit("One")
    person.page.locator("#radius").fill("9")
    person.page.locator('button[data-act="edit"]').click()
    person.page.locator("#radius").focus()
    person.press("ArrowRight")
    assert person.page.locator("#radius-mm").inner_text() == "9.5 mm"
    person.decide("a")


def test_a_screen_reader_hears_what_everything_is(serving: Serving) -> None:
    desk = serving({"case": phantom_scan()}, search_share=0.0)
    person = desk.sit("One")
    person.saved()
    tree = person.page.locator("body").aria_snapshot()
    for named in (
        'heading "Liver lesion"',
        'img "Axial plane"',
        'slider "Axial slice"',
        'group "Decision"',
        'button "Accept A"',
        'slider "Radius',
        'group "Window"',
        "status: saved",
    ):
        assert named.lower() in tree.lower(), named
    assert not re.search(r"(button|slider|img|link)$", tree, re.MULTILINE)  # none without a name
    person.press("a")
    person.press("r")
    assert person.page.locator(":focus").inner_text().startswith("vessel")


def test_the_focus_is_seen_wherever_the_tab_key_leads(serving: Serving) -> None:
    desk = serving({"case": phantom_scan()}, search_share=0.0)
    person = desk.sit("One")
    seen = set()
    for _ in range(40):
        person.press("Tab")
        name, style, width = person.page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.id || e.dataset.act || e.textContent, s.outlineStyle, s.outlineWidth] }"
        )
        if name.strip().startswith("\n"):
            continue
        if person.page.evaluate("() => document.activeElement === document.body"):
            continue
        assert style == "solid", name
        assert float(width.removesuffix("px")) >= 1, name
        seen.add(name)
    assert {"axial", "coronal", "sagittal", "accept", "reject", "radius", "slice"} <= seen


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("unit", ["finding", "case"])
def test_nothing_overlaps_and_nothing_is_cut_off(serving: Serving, size: str, unit: str) -> None:
    width, height = SIZES[size]
    share = 1.0 if unit == "case" else 0.0
    desk = serving({"case": phantom_scan()}, manual_share=share)
    person = desk.sit("One", viewport={"width": width, "height": height})
    person.press("t")  # the most tools that there are
    assert person.page.evaluate("() => document.documentElement.scrollWidth") <= width
    figures = visible(person, "figure")
    controls = visible(person, "aside button, aside input, header button, header a")
    for one in controls:
        assert one["x"] >= 0
        assert one["x"] + one["width"] <= width
    for n, a in enumerate(controls):
        for b in controls[n + 1 :] + figures:
            apart = (
                a["x"] + a["width"] <= b["x"] + 0.5
                or b["x"] + b["width"] <= a["x"] + 0.5
                or a["y"] + a["height"] <= b["y"] + 0.5
                or b["y"] + b["height"] <= a["y"] + 0.5
            )
            assert apart, (a, b)
    if size == "desk":
        assert max(one["y"] + one["height"] for one in controls) <= height
    assert visible(person, "#axial")[0]["width"] >= 380
    for one in visible(person, "aside button"):
        assert one["height"] >= 24  # WCAG 2.2, target size (minimum)


def test_no_text_is_brighter_than_the_scan(serving: Serving) -> None:
    desk = serving({"case": phantom_scan()}, search_share=0.0)
    person = desk.sit("One")
    colours = person.page.evaluate(
        "() => [...document.querySelectorAll('body *')].map(e => getComputedStyle(e).color)"
    )
    for colour in set(colours):
        red, green, blue = (float(n) for n in re.findall(r"[\d.]+", colour)[:3])
        assert 0.2126 * red + 0.7152 * green + 0.0722 * blue < 205, colour


def test_a_message_covers_neither_the_scan_nor_the_tools(serving: Serving) -> None:
    desk = serving({"case": phantom_scan()}, manual_share=1.0)
    person = desk.sit("One")
    person.press("s")
    (message,) = visible(person, "#message")
    assert person.page.locator("#message").inner_text() == "Outline the lesion first."
    assert message["y"] + message["height"] <= visible(person, "main")[0]["y"]


def test_a_finger_draws_on_a_tablet(serving: Serving) -> None:
    desk = serving({"case": phantom_scan()}, search_share=0.0)
    person = desk.sit("One", viewport={"width": 1024, "height": 768}, has_touch=True)
    read = person.read
    base = desk.base_of(read)
    person.page.locator('button[data-act="edit"]').tap()
    box = person.canvas("axial")
    person.page.touchscreen.tap(box["x"] + box["width"] / 2 + 70, box["y"] + box["height"] / 2)
    person.page.locator('button[data-act="accept"]').tap()
    person.page.locator(f'body:not([data-read="{read}"])').wait_for(state="attached")
    person.saved()
    drawn = desk.mask_of(read) & ~base
    assert drawn.any()
    assert np.ptp(np.nonzero(drawn)[2]) == 0  # in one slice
    slider = person.page.locator("#slice")
    slider.fill("12")
    person.page.locator("#at-axial", has_text="12 / 64").wait_for()


def test_the_previous_scan_is_shown_at_the_same_height_in_mm(serving: Serving) -> None:
    """The same patient, moved up by 20 mm in a scan of other slices."""
    now, then = phantom_scan(), phantom_scan((1.5, 1.5, 2.0))
    affine = then.affine.copy()
    affine[2, 3] = now.affine[2, 3] + 20
    desk = serving(
        {"a now": now, "b then": type(then)(then.ct, affine, then.masks)}, search_share=0.0
    )
    with writing(desk.engine) as connection:
        rows = dict(
            connection.execute(
                cases.select().with_only_columns(cases.c.case_id, cases.c.case_key)
            ).all()
        )
        values = {"previous_key": rows["b then"]}
        connection.execute(update(cases).where(cases.c.case_id == "a now").values(values))
    person = desk.sit("One", role=Role.READER)
    shown = person.page.locator("#at-axial").inner_text()
    index = int(shown.split(" / ")[0]) - 1
    height_mm = now.affine[2, 3] + 2.5 * index
    beside = round((height_mm - affine[2, 3]) / 2.0)
    previous = person.page.locator("#at-previous")
    previous.filter(has_text=f"{beside + 1} / 64").wait_for()
    person.press("PageUp")
    beside = round((height_mm + 5 * 2.5 - affine[2, 3]) / 2.0)
    previous.filter(has_text=f"{beside + 1} / 64").wait_for()
    person.page.locator("#previous-on").click()
    previous.filter(has_text=f"{beside + 2} / 64 (+1)").wait_for()
    assert person.wrong == []
