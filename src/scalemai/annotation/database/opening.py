"""Open the database of a review, read it at one moment, write to it one transaction at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from scalemai.annotation.database.schema import metadata
from scalemai.errors import ConfigError, MissingExtraError, OutputError

__all__ = ["UNAVAILABLE", "open_database", "reading", "without_password", "writing"]

UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeoutError)
"""What is raised while a database is lost, busy or full; it may work again later."""

_BUSY_SECONDS = 30
_CONNECTIONS = 45
"""More than the threads in which a server answers (40), so that none waits for a connection."""
_SECRET = frozenset({"password", "sslpassword"})
_WRITERS = 5_271_009
"""Number of the advisory lock that writers take in PostgreSQL; author's choice, any would do."""


def open_database(where: Path | str, *, create: bool = False) -> Engine:
    """The engine of a review's database.

    Every acknowledged write is on disk: SQLite runs with a write-ahead log and full
    synchronisation, PostgreSQL with its default ``synchronous_commit``.

    Parameters
    ----------
    where
        Path of an SQLite file, or a URL ``postgresql://user:password@host/database``.
    create
        Whether tables that are absent are made.

    Raises
    ------
    ConfigError
        If the URL is none, names another kind of database, or the file is absent.
    MissingExtraError
        If the driver of PostgreSQL is not installed.
    OutputError
        If the database cannot be reached or written.
    """
    if isinstance(where, Path):
        if not create and not where.is_file():
            fix = "give the folder of a review"
            raise ConfigError("there is no such database", where=where, fix=fix)
        if create:
            _make_private(where)
        engine = create_engine(
            URL.create("sqlite", database=str(where)),
            connect_args={"timeout": _BUSY_SECONDS},
            **_POOL,
        )
        event.listen(engine, "connect", _configure_sqlite)
        shown: str | Path = where
    else:
        engine, shown = _department(where)
    try:
        if create:
            with engine.begin() as connection:
                metadata.create_all(connection)
        else:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
    except DBAPIError as error:
        engine.dispose()
        what = f"the database cannot be opened ({_first_line(error)})"
        raise OutputError(what, where=shown) from error
    return engine


def without_password(url: str) -> str:
    """An address of a database that may be written down and shown.

    Raises
    ------
    ConfigError
        If it is none.
    """
    parsed = _parsed(url)
    kept = {name: value for name, value in parsed.query.items() if name not in _SECRET}
    return URL.create(
        parsed.drivername,
        parsed.username,
        host=parsed.host,
        port=parsed.port,
        database=parsed.database,
        query=kept,
    ).render_as_string(hide_password=False)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that reads all tables as they were at one moment, while others write."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection
        else:
            with connection.begin():
                connection.exec_driver_sql("BEGIN")
                yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: one at a time in all processes; whole or not at all.

    Raises
    ------
    OutputError
        If the database does not take it: disk full, lost, or busy for half a minute.
    """
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_WRITERS})"))
            else:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
    except UNAVAILABLE as error:
        what = f"the database did not take it ({_first_line(error)})"
        raise OutputError(what, fix="nothing was written; try again") from error


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:  # a port that is no number is a ValueError
        fix = "give postgresql://user:password@host/database"
        raise ConfigError("is no address of a database", where="database", fix=fix) from error


def _department(url: str) -> tuple[Engine, str]:
    parsed = _parsed(url)
    if parsed.get_backend_name() != "postgresql":
        what = f"{parsed.get_backend_name()!r} is not supported"
        raise ConfigError(what, where="database", fix="use SQLite (the default) or postgresql://")
    try:
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, **_POOL
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        fix = "pip install 'scalemai[postgres]'"
        raise MissingExtraError("PostgreSQL needs psycopg", fix=fix) from error
    return engine, without_password(url)


def _make_private(path: Path) -> None:
    """Make the file before SQLite does, for its owner only; its log takes the same rights."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
    except OSError as error:
        what = f"the database cannot be made ({error.strerror})"
        raise OutputError(what, where=path) from error


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # Transactions are begun by us: the driver's own way begins them late, as readers.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _first_line(error: DBAPIError | PoolTimeoutError) -> str:
    reason = error.orig if isinstance(error, DBAPIError) else error
    return (str(reason).splitlines() or ["no reason given"])[0]


_POOL: dict[str, Any] = {
    "pool_size": 5,
    "max_overflow": _CONNECTIONS - 5,
    "pool_timeout": _BUSY_SECONDS,
    "hide_parameters": True,  # names of patients and readers are not for logs
}
