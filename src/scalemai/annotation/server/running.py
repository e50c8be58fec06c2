"""Start and stop the server: on this machine only, or for a department with TLS."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from sqlalchemy.engine import Engine

from scalemai.annotation.reviews import Review
from scalemai.annotation.server.app import make_app
from scalemai.annotation.server.security import Security
from scalemai.errors import ConfigError, OutputError

__all__ = ["Address", "bind", "make_server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the server listens.

    Parameters
    ----------
    host
        Name or address; of this machine alone unless there is a certificate.
    port
        0 for any that is free.
    certificate, key
        Files of the certificate and its key (PEM).
    names
        Further names by which people reach it, for example of a proxy, with port.

    Raises
    ------
    ConfigError
        If others could reach it without encryption.
    """

    host: str = "127.0.0.1"
    port: int = 8650
    certificate: Path | None = None
    key: Path | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("a certificate needs its key", where="--certificate")
        for path in (self.certificate, self.key):
            if path is not None and not path.is_file():
                raise ConfigError("there is no such file", where=path)
        if self.certificate is None and not _is_loopback(self.host):
            what = "others could read what is sent"
            fix = "give --certificate and --key, or listen on 127.0.0.1"
            raise ConfigError(what, where=self.host, fix=fix)


def bind(address: Address) -> socket.socket:
    """A socket that listens there.

    Raises
    ------
    OutputError
        If the port is taken or the name unknown.
    """
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address.host, address.port))
    except OSError as error:
        fix = "stop what listens there, or give another --port"
        where = f"{address.host}:{address.port}"
        raise OutputError(f"cannot listen ({error.strerror})", where=where, fix=fix) from error
    return listening


def make_server(
    review: Review,
    engine: Engine,
    address: Address,
    listening: socket.socket,
    *,
    make: Callable[[Review, Engine, Security], FastAPI] = make_app,
) -> tuple[uvicorn.Server, FastAPI, str]:
    """The server, its application, and the address of its pages, for example ``http://...:8650``.

    Run it by ``server.run(sockets=[listening])``. Requests are not logged: they would tell who read
    what when, beside the ledger that is meant for it. ``make`` makes the application.
    """
    port = listening.getsockname()[1]
    secure = address.certificate is not None
    named = {f"{address.host}:{port}", *address.names}
    if _is_loopback(address.host):
        named |= {f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"}
    app = make(review, engine, Security(frozenset(named), secure))
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ssl_certfile=address.certificate,
        ssl_keyfile=address.key,
    )
    scheme = "https" if secure else "http"
    return uvicorn.Server(config), app, f"{scheme}://{address.host}:{port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
