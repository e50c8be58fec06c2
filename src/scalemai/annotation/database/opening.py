"""Open the database of a review, and write to it one transaction at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from scalemai.annotation.database.schema import metadata
from scalemai.errors import ConfigError, MissingExtraError, OutputError

__all__ = ["open_database", "writing"]

_BUSY_SECONDS = 30
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
        engine = create_engine(f"sqlite:///{where}", connect_args={"timeout": _BUSY_SECONDS})
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
    except OperationalError as error:
        engine.dispose()
        what = f"the database cannot be opened ({_first_line(error)})"
        raise OutputError(what, where=shown) from error
    return engine


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
    except OperationalError as error:
        what = f"the database did not take it ({_first_line(error)})"
        raise OutputError(what, fix="nothing was written; try again") from error


def _department(url: str) -> tuple[Engine, str]:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        fix = "give postgresql://user:password@host/database"
        raise ConfigError("is no address of a database", where="database", fix=fix) from error
    if parsed.get_backend_name() != "postgresql":
        what = f"{parsed.get_backend_name()!r} is not supported"
        raise ConfigError(what, where="database", fix="use SQLite (the default) or postgresql://")
    try:
        engine = create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        fix = "pip install 'scalemai[postgres]'"
        raise MissingExtraError("PostgreSQL needs psycopg", fix=fix) from error
    return engine, parsed.render_as_string(hide_password=True)


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # Transactions are begun by us: the driver's own way begins them late, as readers.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _first_line(error: OperationalError) -> str:
    return str(error.orig).splitlines()[0] if error.orig is not None else "no reason given"
