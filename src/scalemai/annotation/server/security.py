"""Who may ask for what: hosts, origins, sessions and headers, before any route is reached.

A page on another port of this machine shares our cookies, and ``SameSite`` does not hold it back.
So requests must come from our own pages by their fetch metadata, the cookie's name has the port,
and writes bear a header that no foreign page can set without asking first.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.types import ASGIApp

__all__ = ["CSP", "MOST_BYTES", "Gate", "Security", "cookie_name"]

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; font-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""Content security policy of every answer. NiiVue needs ``data:`` images for its letters."""

MOST_BYTES = 32 << 20
"""Largest body of a request: a mask of the largest scan as runs is far below it."""

_HEADERS = {
    "Content-Security-Policy": CSP,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_SAFE = frozenset({"GET", "HEAD"})
_OWN = frozenset({"same-origin", "none"})


@dataclass(frozen=True, slots=True)
class Security:
    """Where the server may be reached.

    Parameters
    ----------
    hosts
        Values that the Host header may have, with port, for example ``127.0.0.1:8650``.
    secure
        Whether it is reached by https, so that cookies are sent by it only.
    """

    hosts: frozenset[str]
    secure: bool = False

    @property
    def origins(self) -> frozenset[str]:
        """Origins of our own pages."""
        scheme = "https" if self.secure else "http"
        return frozenset(f"{scheme}://{host}" for host in self.hosts)


def cookie_name(request: Request) -> str:
    """Name of the session cookie: cookies are shared between ports, names need not be."""
    port = request.url.port or (443 if request.url.scheme == "https" else 80)
    return f"scalemai-{port}"


class Gate(BaseHTTPMiddleware):
    """Refuses what does not come from our own pages, and puts the headers on all answers."""

    def __init__(self, app: ASGIApp, security: Security) -> None:
        super().__init__(app)
        self.security = security

    async def dispatch(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Answer, or hand on."""
        refused = self._refusal(request)
        response = refused if refused is not None else await call_next(request)
        for name, value in _HEADERS.items():
            response.headers[name] = value
        if request.url.path.startswith("/api") or "cache-control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response

    def _refusal(self, request: Request) -> Response | None:
        headers = request.headers
        host = headers.get("host", "")
        if not any(secrets.compare_digest(host, known) for known in self.security.hosts):
            return _no(421, "host", "this server does not answer to that name")
        site = headers.get("sec-fetch-site")
        entering = request.method == "GET" and not request.url.path.startswith("/api")
        if (
            site is not None
            and site not in _OWN
            and not (entering and site == "cross-site" and _is_navigation(request))
        ):
            return _no(403, "site", "the request comes from another site")
        if request.method not in _SAFE:
            origin = headers.get("origin")
            if origin not in self.security.origins:
                return _no(403, "origin", "the request comes from another origin")
            if headers.get("x-scalemai") != "1":
                return _no(403, "header", "the header X-ScaleMAI is absent")
            length = headers.get("content-length", "")
            if not length.isdigit():
                return _no(411, "length", "the length of the body is not given")
            if int(length) > MOST_BYTES:
                return _no(413, "length", f"the body is larger than {MOST_BYTES >> 20} MiB")
        return None


def _is_navigation(request: Request) -> bool:
    """A link that somebody followed, from a mail say; what it shows needs a session anyway."""
    return request.headers.get("sec-fetch-mode") == "navigate"


def _no(status: int, error: str, message: str) -> Response:
    return JSONResponse({"error": error, "message": message}, status_code=status)
