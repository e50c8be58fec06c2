"""A visual Turing test as its page sees it: what comes next, crops, and what was answered.

The server does not have the key. A page is told neither the name of an item nor whether a trial
repeats another; what it is sent of real and of synthetic lesions is alike in all but the voxels.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from sqlalchemy.engine import Engine

from scalemai.anatomy import organ, organ_names
from scalemai.annotation.reviews import Review
from scalemai.annotation.server import entering
from scalemai.annotation.server.app import make_app
from scalemai.annotation.server.security import Security
from scalemai.annotation.server.state import Asking, RoomOf, now_ms
from scalemai.annotation.turing.answering import Answer, is_closed, outstanding, record
from scalemai.annotation.turing.order import Trial, trials_of
from scalemai.annotation.turing.studies import Study, open_study

__all__ = ["make_turing_app", "router"]

router = APIRouter(prefix="/api/turing")

_AHEAD = 2
"""Trials whose crops a page may have: the one that is asked, and the one after it."""

_PAGES = {"/": "turing.html", "/login": "login.html"}


def make_turing_app(review: Review, engine: Engine, security: Security) -> FastAPI:
    """The application that serves the study in a folder.

    Raises
    ------
    UnreadableFileError, ConfigError
        If there is no such study.
    """
    study = open_study(review.folder)
    app = make_app(review, engine, security, parts=(entering.router, router), pages=_PAGES)
    app.state.study = study
    return app


@router.get("/next")
def following(request: Request, room: RoomOf, reader: Asking) -> dict[str, Any]:
    """The trial that is asked, the one after it, and how many are done."""
    study = _study(request)
    with room.engine.connect() as connection:
        left = outstanding(connection, study, reader)
        closed = is_closed(connection)
    total = len(trials_of(study, reader.reader_id))
    return {
        "task": study.design.task,
        "trials": [] if closed else [_told(one) for one in left[:_AHEAD]],
        "done": total - len(left),
        "total": total,
        "closed": closed,
    }


@router.get("/trials/{trial_id}/items/{side}")
def item(request: Request, room: RoomOf, reader: Asking, trial_id: str, side: int) -> Response:
    """A crop: the only one of a trial, or the left (0) or right (1) of two."""
    study = _study(request)
    with room.engine.connect() as connection:
        left = () if is_closed(connection) else outstanding(connection, study, reader)[:_AHEAD]
    for one in left:
        if one.trial_id == trial_id and 0 <= side < len(one.display.items):
            content = study.item(one.display.items[side])
            return Response(content, media_type="application/octet-stream")
    raise HTTPException(404, {"error": "trial", "message": "this is not what is asked now"})


@router.post("/answers")
def answer(request: Request, room: RoomOf, reader: Asking, body: dict[str, Any]) -> dict[str, Any]:
    """Record an answer; sending it again is safe. Nothing is said of whether it is right."""
    said = Answer.from_plain(body)
    left = record(room.engine, _study(request), reader, said, now_ms=now_ms())
    return {"event_id": said.event_id, "left": left}


def _study(request: Request) -> Study:
    study: Study = request.app.state.study
    return study


def _told(trial: Trial) -> dict[str, Any]:
    display = trial.display
    return {
        "trial_id": trial.trial_id,
        "sides": len(display.items),
        "organ": _organ_of(display.structure),
        "low_hu": display.low_hu,
        "high_hu": display.high_hu,
    }


def _organ_of(structure: str) -> str:
    """Name of the organ for people; the structure's own words if it is of none."""
    for name in organ_names():
        if organ(name).lesion == structure:
            return name.replace("_", " ")
    return structure.replace("_", " ")
