"""The application: routes, pages, and errors as one line of JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from sqlalchemy.engine import Engine
from starlette.staticfiles import StaticFiles

from scalemai.annotation.facts import read_protocol
from scalemai.annotation.refusals import ConflictError, LeaseLostError, StaleRevisionError
from scalemai.annotation.reviews import Review
from scalemai.annotation.server import assisting, browsing, entering, managing, reading
from scalemai.annotation.server.security import Gate, Security
from scalemai.annotation.server.state import Room, current_reader
from scalemai.errors import OutputError, ScaleMAIError

__all__ = ["make_app"]

PAGES = {
    "/": "review.html",
    "/browse": "browse.html",
    "/login": "login.html",
    "/progress": "progress.html",
}
"""Address and file of each page."""

PARTS = (
    entering.router,
    reading.router,
    assisting.router,
    browsing.router,
    managing.router,
)
"""What a review answers."""


def make_app(
    review: Review,
    engine: Engine,
    security: Security,
    *,
    parts: Sequence[APIRouter] = PARTS,
    pages: Mapping[str, str] = PAGES,
) -> FastAPI:
    """The application that serves a review.

    Parameters
    ----------
    review, engine
        The review and its database.
    security
        Where it may be reached.
    parts, pages
        What it answers, and address and file of each page; those of a review by default.

    Raises
    ------
    ConfigError
        If the database holds no review.
    """
    with engine.connect() as connection:
        protocol = read_protocol(connection)
    app = FastAPI(title="ScaleMAI reading room", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.room = Room(review, engine, protocol)
    for part in parts:
        app.include_router(part)
    folder = Path(str(resources.files("scalemai.annotation") / "pages"))
    for address, name in pages.items():
        app.add_api_route(address, _page(folder / name, address), methods=["GET"])
    app.mount("/assets", StaticFiles(directory=folder / "assets"), name="assets")
    app.add_exception_handler(ScaleMAIError, _said)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(Gate, security=security)
    return app


def _page(path: Path, address: str) -> Callable[[Request], Response]:
    def page(request: Request) -> Response:
        if address != "/login":
            try:
                current_reader(request)
            except HTTPException:
                return RedirectResponse("/login", status_code=303)
        return FileResponse(path, media_type="text/html", headers={"Cache-Control": "no-store"})

    return page


def _said(request: Request, error: Exception) -> Response:
    """An error that was raised on purpose, by its kind."""
    plain = {"error": "request", "message": str(error)}
    status = 422
    if isinstance(error, StaleRevisionError):
        plain |= {"error": "stale", "revision": error.revision}  # type: ignore[dict-item]
        status = 409
    elif isinstance(error, LeaseLostError):
        plain["error"], status = "lease", 409
    elif isinstance(error, ConflictError):
        plain["error"], status = "conflict", 409
    elif isinstance(error, OutputError):
        plain["error"], status = "storage", 503
    return JSONResponse(plain, status_code=status)


def _http(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    detail = getattr(error, "detail", "")
    plain = detail if isinstance(detail, dict) else {"error": "request", "message": str(detail)}
    return JSONResponse(plain, status_code=status)


def _invalid(request: Request, error: Exception) -> Response:
    """A request that is no JSON, or of another form: without repeating what it said."""
    return JSONResponse({"error": "request", "message": "is not what is asked for"}, 422)
