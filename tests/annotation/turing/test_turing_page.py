"""The page in a real browser, by keys alone, on a real server; and what the server refuses."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from scalemai.annotation.database.opening import writing
from scalemai.annotation.ledger import read_links, verify
from scalemai.annotation.readers import make_link
from scalemai.annotation.turing.order import trials_of
from scalemai.annotation.turing.sealing import open_key
from scalemai.annotation.turing.studies import Study

from .made import join, make_study

httpx = pytest.importorskip("httpx")
running = pytest.importorskip("scalemai.annotation.server.running")

WRITE = {"X-ScaleMAI": "1"}


@contextmanager
def served(study: Study, *names: str) -> Iterator[tuple[str, list[str]]]:
    """The study on a port of this machine: its address, and a link for each reader."""
    from scalemai.annotation.server.state import now_ms
    from scalemai.annotation.server.turing import make_turing_app

    engine = study.review.open()
    links = []
    for name in names:
        reader = join(engine, name)
        with writing(engine) as connection:
            links.append(make_link(connection, reader, now_ms=now_ms()))
    address = running.Address(port=0)
    listening = running.bind(address)
    server, _, url = running.make_server(
        study.review, engine, address, listening, make=make_turing_app
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield url, [f"{url}/enter?token={link}" for link in links]
    finally:
        server.should_exit = True
        thread.join(10)
        engine.dispose()


@pytest.fixture
def enter() -> Iterator[Callable[[str, str], Any]]:
    """Call it with address and link for a client that came in by the link."""
    with ExitStack() as stack:

        def come_in(url: str, link: str) -> Any:
            headers = {"Origin": url, **WRITE}
            client = httpx.Client(base_url=url, headers=headers, follow_redirects=True)
            stack.enter_context(client)
            assert client.get(link).status_code == 200
            return client

        yield come_in


def test_nothing_but_what_is_asked_is_sent_and_nothing_tells(
    tmp_path: Path, enter: Callable[[str, str], Any]
) -> None:
    built, key = make_study(tmp_path, 6)
    with served(built.study, "Ann", "Bob") as (url, links):
        assert httpx.get(f"{url}/api/turing/next").status_code == 401
        ann, bob = (enter(url, link) for link in links)
        told = ann.get("/api/turing/next").json()
        words = str(told)
        assert "repeat" not in words
        assert not any(name in words for name in built.study.commitments)
        now, after = (one["trial_id"] for one in told["trials"])
        got = ann.get(f"/api/turing/trials/{now}/items/0")
        assert len(got.content) == built.study.item_bytes
        assert not {"last-modified", "etag"} & set(got.headers)
        assert ann.get(f"/api/turing/trials/{after}/items/0").status_code == 200
        for wrong in (f"{now}/items/1", f"{now}/items/-1", "0/items/0", "../../study.json/items/0"):
            assert ann.get(f"/api/turing/trials/{wrong}").status_code in (404, 422)
        assert bob.get(f"/api/turing/trials/{now}/items/0").status_code == 404
        assert ann.get("/api/cases/x").status_code == 404
        assert ann.post("/api/claims", json={"count": 1}).status_code == 404
        for path in ("/study.json", "/items", "/assets/../study.json", "/review.sqlite"):
            assert ann.get(path).status_code == 404
        said = {"event_id": "a", "trial_id": now, "answer": "real", "confidence": 2}
        foreign = {**WRITE, "Origin": "http://evil.example"}
        assert ann.post("/api/turing/answers", json=said, headers=foreign).status_code == 403
        assert ann.post("/api/turing/answers", json={**said, "confidence": 9}).status_code == 422
        assert ann.post("/api/turing/answers", json=[1]).status_code == 422
        assert bob.post("/api/turing/answers", json=said).status_code == 409
        first = ann.post("/api/turing/answers", json=said)
        assert first.json() == ann.post("/api/turing/answers", json=said).json()
        assert set(first.json()) == {"event_id", "left"}
        assert ann.get(f"/api/turing/trials/{now}/items/0").status_code == 404
    assert len(open_key(key, built.study)) == 12


def test_real_and_synthetic_items_take_as_long_to_send(
    tmp_path: Path, enter: Callable[[str, str], Any]
) -> None:
    built, key = make_study(tmp_path, 12, crop_mm=96.0, repeat_share=0.0)
    sealed = open_key(key, built.study)
    took: dict[str, list[float]] = {"real": [], "synthetic": []}
    with served(built.study, "Ann") as (url, (link,)):
        ann = enter(url, link)
        trials = trials_of(built.study, ann.get("/api/me").json()["reader"]["id"])
        for number, trial in enumerate(trials):
            truth = sealed[trial.display.items[0]].truth
            for _ in range(5):
                began = time.perf_counter()
                got = ann.get(f"/api/turing/trials/{trial.trial_id}/items/0")
                took[truth].append(time.perf_counter() - began)
                assert got.status_code == 200
            said = {"event_id": f"e{number}", "trial_id": trial.trial_id, "answer": "real"}
            assert ann.post("/api/turing/answers", json={**said, "confidence": 1}).json() == {
                "event_id": f"e{number}", "left": len(trials) - number - 1,
            }  # fmt: skip
    real, synthetic = (statistics.median(took[kind]) for kind in ("real", "synthetic"))
    spread = statistics.quantiles(took["real"] + took["synthetic"], n=4)
    assert abs(real - synthetic) <= 2 * (spread[2] - spread[0])


@contextmanager
def page_of(browser: Any, link: str) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda said: said.type == "error" and page.wrong.append(said.text))
    page.goto(link)
    yield page
    context.close()


def expect(locator: Any) -> Any:
    from playwright.sync_api import expect as expected

    return expected(locator)


def test_a_reader_answers_all_by_keys_alone_and_is_told_nothing(
    tmp_path: Path, chromium: Any
) -> None:
    built, _ = make_study(tmp_path, 3, crop_mm=60.0, repeat_share=0.34, repeat_distance=2)
    study = built.study
    with served(study, "Ann") as (_, (link,)), page_of(chromium, link) as page:
        total = 8
        for number in range(total):
            expect(page.locator("#where")).to_have_text(f"{number + 1} of {total}")
            trial = page.locator("body").get_attribute("data-trial")
            page.keyboard.press("3")  # too early: nothing was chosen
            page.keyboard.press("ArrowUp")
            page.keyboard.press("w")
            page.keyboard.press("s")
            page.keyboard.press("Escape")
            page.keyboard.press("r" if number % 2 else "s")
            expect(page.locator('#choices [aria-pressed="true"]')).to_have_count(1)
            assert page.locator("body").get_attribute("data-trial") == trial
            page.keyboard.press(str(1 + number % 5))
        expect(page.locator("#curtain")).to_have_text("That was all. Thank you.")
        text = page.locator("body").inner_text().lower()
        assert "correct" not in text
        assert "wrong" not in text
        assert page.wrong == []
    engine = study.review.open()
    with engine.connect() as connection:
        events = [link.event for link in read_links(connection)]
    assert [one.comment for one in events] == ["synthetic", "real"] * 4
    assert [one.confidence for one in events] == [1 + n % 5 for n in range(8)]
    assert all(one.active_ms > 0 and one.slices_viewed == 2 and one.keys >= 7 for one in events)
    assert verify(engine) is None
    engine.dispose()


def test_two_lesions_stand_side_by_side_and_a_pause_hides_them(
    tmp_path: Path, chromium: Any
) -> None:
    built, _ = make_study(tmp_path, 2, crop_mm=60.0, repeat_share=0.0, task="2afc")
    with served(built.study, "Ann") as (_, (link,)), page_of(chromium, link) as page:
        expect(page.locator("#question")).to_have_text("Liver lesions: which one is real?")
        expect(page.locator("canvas:visible")).to_have_count(6)
        drawn = page.locator("canvas").first.screenshot()
        page.keyboard.press("p")
        expect(page.locator("#curtain")).to_be_visible()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("4")
        page.keyboard.press("p")
        expect(page.locator("#curtain")).to_be_hidden()
        expect(page.locator("#where")).to_have_text("1 of 2")
        assert page.locator("canvas").first.screenshot() == drawn
        page.screenshot(path=tmp_path / "two.png")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("5")
        expect(page.locator("#where")).to_have_text("2 of 2")
        page.reload()  # a reader who comes back goes on where he was
        expect(page.locator("#where")).to_have_text("2 of 2")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("1")
        expect(page.locator("#curtain")).to_contain_text("That was all")
        assert page.wrong == []
    engine = built.study.review.open()
    with engine.connect() as connection:
        events = [link.event for link in read_links(connection)]
    assert [(one.comment, one.confidence) for one in events] == [("left", 5), ("right", 1)]
    engine.dispose()


def test_an_answer_given_offline_is_sent_when_the_network_is_back(
    tmp_path: Path, chromium: Any
) -> None:
    built, _ = make_study(tmp_path, 2, crop_mm=60.0, repeat_share=0.0)
    with served(built.study, "Ann") as (_, (link,)), page_of(chromium, link) as page:
        expect(page.locator("#where")).to_have_text("1 of 4")
        page.context.set_offline(True)
        page.keyboard.press("r")
        page.keyboard.press("5")
        expect(page.locator("#network")).to_contain_text("offline")
        page.context.set_offline(False)
        expect(page.locator("#where")).to_have_text("2 of 4")
        expect(page.locator("#network")).to_have_text("")
    engine = built.study.review.open()
    with engine.connect() as connection:
        (only,) = read_links(connection)
    assert (only.event.comment, only.event.confidence) == ("real", 5)
    engine.dispose()
