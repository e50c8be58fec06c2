"""What the routes of a running server share."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from sqlalchemy.engine import Engine

from scalemai.annotation.protocol import Protocol
from scalemai.annotation.readers import Reader, who
from scalemai.annotation.reviews import Review
from scalemai.annotation.server.security import cookie_name

__all__ = ["Asking", "Room", "RoomOf", "current_reader", "now_ms", "room_of"]


@dataclass(frozen=True, slots=True)
class Room:
    """A review that is being served."""

    review: Review
    engine: Engine
    protocol: Protocol


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def room_of(request: Request) -> Room:
    """The review that the server serves."""
    room: Room = request.app.state.room
    return room


def current_reader(request: Request) -> Reader:
    """Who asks, by the cookie.

    Raises
    ------
    HTTPException
        401, if nobody is known by it.
    """
    secret = request.cookies.get(cookie_name(request), "")
    if secret:
        with room_of(request).engine.connect() as connection:
            reader = who(connection, secret, now_ms=now_ms())
        if reader is not None:
            return reader
    raise HTTPException(401, {"error": "session", "message": "log in first"})


RoomOf = Annotated[Room, Depends(room_of)]
Asking = Annotated[Reader, Depends(current_reader)]
