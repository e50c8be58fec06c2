"""Coming in and going out: one-time links, names and passwords, sessions."""

from __future__ import annotations

import threading
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from scalemai._version import __version__
from scalemai.anatomy import organ, organ_names
from scalemai.annotation.database.opening import writing
from scalemai.annotation.readers import (
    SESSION_MS,
    Reader,
    authenticate,
    end_session,
    enter,
    start_session,
)
from scalemai.annotation.server.security import cookie_name
from scalemai.annotation.server.state import Asking, RoomOf, now_ms
from scalemai.annotation.words import Reason

__all__ = ["WINDOWS", "router"]

router = APIRouter()

WINDOWS = (
    ("1", "soft tissue", -160, 240),
    ("2", "liver", -20, 180),
    ("3", "lung", -1350, 150),
    ("4", "bone", -500, 1300),
    ("5", "wide", -1000, 1000),
)
"""Key, name, and lowest and highest HU of the window presets; the usual centre and width of each:
40/400, 80/200, -600/1500, 400/1800 (radiology textbooks), and everything."""

_trying = threading.BoundedSemaphore(2)
"""Checks of passwords at a time: each takes 32 MiB and a tenth of a second."""


@router.get("/enter")
def follow_link(request: Request, room: RoomOf, token: str = "") -> Response:
    """Use up a one-time link; the secret does not stay in the address."""
    with writing(room.engine) as connection:
        secret = enter(connection, token, now_ms=now_ms()) if token else None
    response = RedirectResponse("/" if secret else "/login", status_code=303)
    if secret:
        _set_cookie(request, response, secret)
    return response


@router.post("/api/login")
def log_in(
    request: Request, response: Response, room: RoomOf, body: dict[str, Any]
) -> dict[str, Any]:
    """Come in by name and password."""
    name, password = body.get("name"), body.get("password")
    if not isinstance(name, str) or not isinstance(password, str):
        raise HTTPException(422, {"error": "login", "message": "give name and password"})
    with _trying, room.engine.connect() as connection:
        reader = authenticate(connection, name, password)
    if reader is None:
        raise HTTPException(401, {"error": "login", "message": "name or password is wrong"})
    with writing(room.engine) as connection:
        if old := request.cookies.get(cookie_name(request)):
            end_session(connection, old)  # a secret that was there before is not taken over
        secret = start_session(connection, reader, now_ms=now_ms())
    _set_cookie(request, response, secret)
    return {"reader": _plain(reader)}


@router.post("/api/logout")
def log_out(request: Request, response: Response, room: RoomOf, reader: Asking) -> dict[str, Any]:
    """End the session."""
    with writing(room.engine) as connection:
        end_session(connection, request.cookies.get(cookie_name(request), ""))
    response.delete_cookie(cookie_name(request), path="/")
    return {}


@router.get("/api/me")
def me(room: RoomOf, reader: Asking) -> dict[str, Any]:
    """Who asks, and what the pages need to know of the review."""
    protocol = room.protocol
    return {
        "reader": _plain(reader),
        "review": {
            "title": protocol.title,
            "ask_confidence": protocol.ask_confidence,
            "idle_ms": protocol.idle_ms,
            "lease_ms": protocol.lease_ms,
            "blind_names": protocol.blind_names,
        },
        "reasons": [reason.value for reason in Reason],
        "windows": [
            {"key": key, "name": name, "low_hu": low, "high_hu": high}
            for key, name, low, high in WINDOWS
        ],
        "lesions": {part: organ(name).lesion for name in organ_names() for part in _parts(name)},
        "version": __version__,
    }


def _parts(name: str) -> tuple[str, ...]:
    """Structures that show an organ or a part of it."""
    return (name, *organ(name).structures)


def _plain(reader: Reader) -> dict[str, Any]:
    return {"id": reader.reader_id, "name": reader.name, "role": reader.role.value}


def _set_cookie(request: Request, response: Response, secret: str) -> None:
    response.set_cookie(
        cookie_name(request),
        secret,
        max_age=SESSION_MS // 1000,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
