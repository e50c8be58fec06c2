"""Nobody gets in who should not, and nothing harmful that is sent does harm."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

httpx = pytest.importorskip("httpx")
running = pytest.importorskip("scalemai.annotation.server.running")

from scalemai.annotation.database.opening import writing  # noqa: E402
from scalemai.annotation.readers import (  # noqa: E402
    LINK_MS,
    add_reader,
    disable_reader,
    find_reader,
    make_link,
)
from scalemai.annotation.reviews import Review  # noqa: E402
from scalemai.annotation.server.security import MOST_BYTES  # noqa: E402
from scalemai.annotation.server.state import now_ms  # noqa: E402
from scalemai.annotation.store.layout import CT_FILE, STRUCTURES_FILE  # noqa: E402
from scalemai.errors import ConfigError  # noqa: E402

from .rooms import SHAPE, reader, room  # noqa: E402

PASSWORD = "a long enough password"


@dataclass
class Door:
    """A server, and how to come in."""

    review: Review
    engine: Any
    app: Any
    url: str
    clients: list[Any]

    def client(self, **headers: str) -> Any:
        said = {"Origin": self.url, "X-ScaleMAI": "1", **headers}
        self.clients.append(httpx.Client(base_url=self.url, headers=said))
        return self.clients[-1]

    def link(self, name: str = "Ann", *, at_ms: int | None = None) -> str:
        with writing(self.engine) as connection:
            who = find_reader(connection, name)
            secret = make_link(connection, who, now_ms=now_ms() if at_ms is None else at_ms)
        return f"/enter?token={secret}"

    def inside(self, name: str = "Ann") -> Any:
        client = self.client()
        assert client.get(self.link(name)).headers["location"] == "/"
        return client


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    review = Review(tmp_path)
    engine = room(review.database_file, lesions=2)
    reader(engine, "Ann")
    with writing(engine) as connection:
        add_reader(connection, "Bob", password=PASSWORD)
    store = review.store("case0")
    store.mkdir(parents=True)
    np.zeros(SHAPE, "<i2").tofile(store / CT_FILE)
    np.zeros(SHAPE, "u1").tofile(store / STRUCTURES_FILE)
    address = running.Address(port=0)
    listening = running.bind(address)
    server, app, url = running.make_server(review, engine, address, listening)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    made = Door(review, engine, app, url, [])
    yield made
    for client in made.clients:
        client.close()
    server.should_exit = True
    thread.join(10)
    engine.dispose()


def routes(app: Any) -> list[tuple[str, str]]:
    """Every method and address under /api, with names in place of parameters."""
    found = []
    for path, methods in app.openapi()["paths"].items():
        for name in ("read_id", "case_key", "step", "plane"):
            path = path.replace("{" + name + "}", "case0")
        found += [(method.upper(), path) for method in methods if path.startswith("/api")]
    return found


def test_no_route_answers_without_a_session_nor_to_another_site(door: Door) -> None:
    known = routes(door.app)
    assert len(known) >= 15
    stranger, ann = door.client(), door.inside()
    for method, path in known:
        if path == "/api/login":
            continue
        said: dict[str, Any] = {"json": {}} if method == "POST" else {}
        assert stranger.request(method, path, **said).status_code == 401, path
        for name, wrong in (
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
            ("Host", "evil.example"),
        ):
            answer = ann.request(method, path, headers={name: wrong}, **said)
            assert answer.status_code in (403, 421), (path, name)
        if method == "POST":
            for name, wrong in (("Origin", "http://evil.example"), ("X-ScaleMAI", "0")):
                answer = ann.request(method, path, headers={name: wrong}, **said)
                assert answer.status_code == 403, (path, name)


def test_a_link_lets_in_once_and_for_an_hour(door: Door) -> None:
    link = door.link()
    assert door.client().get(link).headers["location"] == "/"
    again = door.client().get(link)
    assert again.headers["location"] == "/login"
    assert "set-cookie" not in again.headers
    old = door.link(at_ms=now_ms() - LINK_MS - 1000)
    assert door.client().get(old).headers["location"] == "/login"


def test_the_cookie_is_for_this_port_and_not_for_scripts(door: Door) -> None:
    cookie = door.client().get(door.link()).headers["set-cookie"].lower()
    assert f"scalemai-{door.url.rpartition(':')[2]}=" in cookie
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_a_session_that_was_there_before_the_password_is_not_taken_over(door: Door) -> None:
    client = door.inside("Bob")
    (name,) = client.cookies
    before = client.cookies[name]
    said = client.post("/api/login", json={"name": "Bob", "password": PASSWORD})
    assert said.status_code == 200
    assert client.cookies[name] != before
    thief = door.client(Cookie=f"{name}={before}")
    assert thief.get("/api/me").status_code == 401


def test_a_wrong_password_and_an_unknown_name_are_answered_alike(door: Door) -> None:
    client = door.client()
    answers = [
        client.post("/api/login", json={"name": name, "password": "wrong" * 4})
        for name in ("Bob", "nobody", "Ann")
    ]
    assert {one.status_code for one in answers} == {401}
    assert len({one.text for one in answers}) == 1


def test_who_is_disabled_or_has_left_is_out(door: Door) -> None:
    ann = door.inside()
    assert ann.post("/api/logout", json={}).status_code == 200
    assert ann.get("/api/me").status_code == 401
    ann = door.inside()
    with writing(door.engine) as connection:
        disable_reader(connection, find_reader(connection, "Ann"))
    assert ann.get("/api/me").status_code == 401


def test_readers_are_not_told_what_others_did(door: Door) -> None:
    ann = door.inside()
    for page in ("progress", "workload", "agreement", "ledger/verify"):
        assert ann.get(f"/api/{page}").status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../review.sqlite",
        "/assets/%2e%2e/%2e%2e/review.sqlite",
        "/assets/..%2f..%2freview.toml",
        "/api/cases/..%2f..%2freview/slice?plane=axial&index=0",
        "/api/cases/%2e%2e/volume.nii.gz",
        "/api/reads/..%2fcase0/region?i=0&j=0&k=0",
    ],
)
def test_no_path_leads_out_of_the_pages(door: Door, path: str) -> None:
    answer = door.inside().get(path)
    assert answer.status_code in (404, 409, 422)
    assert b"SQLite" not in answer.content


@pytest.mark.parametrize(
    "events",
    [
        [],
        "events",
        [{"event_id": "a" * 500, "action": "open"}],
        [{"event_id": "a", "action": "drop"}],
        [{"event_id": "a", "action": "edit", "patch": {"set": [0, 10**18], "clear": []}}],
        [{"event_id": "a", "action": "edit", "patch": {"set": [-5, 3], "clear": []}}],
        [{"event_id": "a", "action": "edit", "patch": {"set": ["0", "3"], "clear": []}}],
        [{"event_id": "a", "action": "comment", "comment": "x" * 100_000}],
        [{"event_id": "a", "action": "accept", "active_ms": -1}],
        [{"event_id": "a", "action": "accept", "active_ms": 1.5}],
        [{"event_id": "a", "action": "reject"}],
        [{"event_id": "a", "action": "accept", "confidence": 9}],
        [{"event_id": "a", "action": "split", "pieces": [[0, 1]] * 100}],
        [{"event_id": "a", "action": "accept", "reader_id": "somebody else"}],
    ],
)
def test_events_that_cannot_be_are_refused_and_nothing_is_recorded(door: Door, events: Any) -> None:
    ann = door.inside()
    (read,) = ann.post("/api/claims", json={"count": 1}).json()["reads"]
    body = {"lease": read["lease"], "revision": 0, "events": events}
    answer = ann.post(f"/api/reads/{read['read_id']}/events", json=body)
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "message"}
    accepted = [{"event_id": "b", "action": "accept"}]
    answer = ann.post(f"/api/reads/{read['read_id']}/events", json={**body, "events": accepted})
    assert answer.json()["acknowledged"][0]["seq"] == 1


def test_bodies_that_are_too_large_or_no_json_are_refused(door: Door) -> None:
    ann = door.inside()
    kind = {"Content-Type": "application/json"}
    said = ann.post("/api/claims", content=b" " * (MOST_BYTES + 1), headers=kind)
    assert said.status_code == 413
    chunks = (b" " for _ in range(3))
    assert ann.post("/api/claims", content=chunks, headers=kind).status_code == 411
    for broken in (b"", b"{", b"[1]", b"\xff\xfe", b"null"):
        assert ann.post("/api/claims", content=broken, headers=kind).status_code == 422


def test_every_answer_bears_the_policy_and_is_not_kept(door: Door) -> None:
    for path in ("/login", "/api/me", "/nothing", "/assets/js/review.js"):
        headers = door.client().get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
    assert door.client().get("/api/me").headers["cache-control"] == "no-store"


def test_others_can_only_reach_it_by_tls() -> None:
    for host in ("0.0.0.0", "192.168.1.2", "example.org", "::"):
        with pytest.raises(ConfigError, match="others could read"):
            running.Address(host=host)
    for host in ("127.0.0.1", "localhost", "::1"):
        running.Address(host=host)
