"""A review that is served on a free port of this machine, and readers at it in a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select

from scalemai.annotation.creating import fill, import_cases, open_import
from scalemai.annotation.database.opening import writing
from scalemai.annotation.database.schema import cases, findings, reads
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.events import Event
from scalemai.annotation.export.masks import final_masks
from scalemai.annotation.ledger import read_links
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.readers import add_reader, make_link
from scalemai.annotation.reviews import Review
from scalemai.annotation.server.running import Address, bind, make_server
from scalemai.annotation.server.state import now_ms
from scalemai.annotation.store.layout import StoredCase
from scalemai.annotation.words import Role
from scalemai.cases import open_cases

from .scans import Scan

QUIET: dict[str, Any] = {"second_below_mm": 0.0, "second_share": 0.0, "second_if_conflict": False}
"""Nothing is read twice unless a reader is unsure or adds something."""


@dataclass
class Desk:
    """A review and its server."""

    review: Review
    engine: Engine
    url: str
    browser: Any
    contexts: list[Any] = field(default_factory=list)

    def link(self, name: str, role: Role = Role.READER) -> str:
        """An address that lets a new reader in."""
        with writing(self.engine) as connection:
            token = make_link(connection, add_reader(connection, name, role), now_ms=now_ms())
        return f"{self.url}/enter?token={token}"

    def sit(self, name: str, role: Role = Role.READER, **context: Any) -> Person:
        """A reader with the first read on the screen."""
        context.setdefault("viewport", {"width": 1280, "height": 800})
        self.contexts.append(self.browser.new_context(**context))
        person = Person(self.contexts[-1].new_page())
        person.page.goto(self.link(name, role))
        person.ready()
        return person

    @property
    def events(self) -> list[Event]:
        """What the ledger holds, the oldest first."""
        with self.engine.connect() as connection:
            return [link.event for link in read_links(connection)]

    def case_key(self) -> str:
        """Key of the only case."""
        with self.engine.connect() as connection:
            return str(connection.execute(select(cases.c.case_key)).scalar_one())

    def base_of(self, read_id: str) -> NDArray[np.bool_]:
        """The mask that a read's finding was proposed with, in LPS order."""
        query = (
            select(findings.c.runs, cases.c.stored)
            .join(reads, reads.c.finding_id == findings.c.finding_id)
            .join(cases, cases.c.case_key == reads.c.case_key)
            .where(reads.c.read_id == read_id)
        )
        with self.engine.connect() as connection:
            runs, stored = connection.execute(query).one()
        return Runs.unpack(runs).mask(StoredCase.from_json(stored).shape)

    def mask_of(self, read_id: str) -> NDArray[np.bool_]:
        """The mask that the server holds of a read, in LPS order."""
        query = select(reads.c.runs, cases.c.stored).join(cases).where(reads.c.read_id == read_id)
        with self.engine.connect() as connection:
            runs, stored = connection.execute(query).one()
        return Runs.unpack(runs).mask(StoredCase.from_json(stored).shape)

    def final_masks(self) -> dict[str, int]:
        """Voxels of the masks that the review would end in now."""
        with self.engine.connect() as connection:
            return {m.structure: m.runs.voxels for m in final_masks(connection, self.case_key())}

    def close(self) -> None:
        """Let everybody go."""
        for context in self.contexts:
            context.close()


class Person:
    """A reader at the reading page: keys, mouse, and what he sees."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", self._heard)

    def _heard(self, message: Any) -> None:
        if message.type == "error" and "ERR_INTERNET_DISCONNECTED" not in message.text:
            self.wrong.append(message.text)

    def ready(self) -> None:
        """Wait until the page shows its first read."""
        self.page.locator('body[data-ready="1"]').wait_for(state="attached")

    def press(self, *keys: str) -> None:
        """Press keys, one after another."""
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def read(self) -> str:
        """The read on the screen."""
        return str(self.page.locator("body").get_attribute("data-read"))

    @property
    def unit(self) -> str:
        """What kind it is."""
        return str(self.page.locator("body").get_attribute("data-unit"))

    def decide(self, *keys: str) -> str:
        """End the read by keys and wait for the next one; the read that was ended."""
        ended = self.read
        self.press(*keys)
        self.page.locator(f'body:not([data-read="{ended}"])').wait_for(state="attached")
        return ended

    def saved(self) -> None:
        """Wait until the server has everything."""
        self.page.locator('body[data-waiting="0"]').wait_for(state="attached")
        self.page.locator('#saved[data-state="saved"]').wait_for(state="attached")

    def canvas(self, plane: str) -> dict[str, float]:
        """Where a plane is on the page: x, y, width, height, in pixels."""
        box = self.page.locator(f"#{plane}").bounding_box()
        assert box is not None
        return dict(box)

    def stroke(self, *path: tuple[float, float]) -> None:
        """Draw along places of the page with the mouse."""
        self.page.mouse.move(*path[0])
        self.page.mouse.down()
        for place in path[1:]:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up()


def make_review(where: Path, scans: Mapping[str, Scan], **protocol: Any) -> Review:
    """A review of scans, by their case ids."""
    for name, scan in scans.items():
        scan.write(where / "data" / name)
    dataset = list(open_cases(where / "data"))
    rules = Protocol(**{**QUIET, **protocol})
    out = where / "review"
    with open_import(out, where / "data", None, rules) as ledger:
        run = import_cases(dataset, out, ledger=ledger, seed=rules.seed)
        assert [outcome.error for outcome in run] == [None] * len(scans)
    return fill(dataset, out, rules)


def serve(review: Review) -> tuple[Engine, str, Callable[[], None]]:
    """Serve a review; its database, its address, and what stops it."""
    engine = review.open()
    address = Address(port=0)
    listening = bind(address)
    server, _, url = make_server(review, engine, address, listening)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join()
        listening.close()
        engine.dispose()

    return engine, url, stop
