"""How the review stands, for who manages it or settles reads."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException

from scalemai.annotation.ledger import verify
from scalemai.annotation.progress import agreement, progress, states, workload
from scalemai.annotation.readers import Reader
from scalemai.annotation.server.state import Asking, RoomOf
from scalemai.annotation.words import Role

__all__ = ["router"]


def _manager(reader: Asking) -> Reader:
    """Who asks, if his role may see what others did.

    Raises
    ------
    HTTPException
        403, if not: first and second readers would be unblinded.
    """
    if reader.role not in (Role.MANAGER, Role.ADJUDICATOR):
        raise HTTPException(403, {"error": "role", "message": "this page is for managers"})
    return reader


Managing = Annotated[Reader, Depends(_manager)]

router = APIRouter(prefix="/api")


@router.get("/progress")
def of_reads(room: RoomOf, reader: Managing) -> dict[str, Any]:
    """Reads by step, and findings by state."""
    with room.engine.connect() as connection:
        return {
            "reads": [asdict(one) for one in progress(connection)],
            "findings": [{"state": state, "n": n} for state, n in states(connection)],
        }


@router.get("/workload")
def of_readers(room: RoomOf, reader: Managing) -> dict[str, Any]:
    """What each reader did."""
    with room.engine.connect() as connection:
        return {"readers": [asdict(one) for one in workload(connection)]}


@router.get("/agreement")
def of_pairs(room: RoomOf, reader: Managing) -> dict[str, Any]:
    """How far first and second reads agree, in words."""
    with room.engine.connect() as connection:
        found = agreement(connection)
    told: dict[str, Any] = {"findings read twice": found.pairs, "same decision": found.same}
    for name, one in (("kappa", found.kappa), ("AC1", found.ac1), ("median Dice", found.dice)):
        told[name] = str(one)
    return {"agreement": told}


@router.get("/ledger/verify")
def of_ledger(room: RoomOf, reader: Managing) -> dict[str, Any]:
    """Number of the first event that does not follow from those before it; null if all do."""
    return {"broken": verify(room.engine)}
