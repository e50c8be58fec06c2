"""Accounts of readers, the links that let them in, and their sessions."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from scalemai.annotation.database.schema import readers, sessions
from scalemai.annotation.words import Role
from scalemai.errors import ConfigError

__all__ = [
    "LINK_MS",
    "SESSION_MS",
    "Reader",
    "add_reader",
    "authenticate",
    "disable_reader",
    "end_session",
    "enter",
    "find_reader",
    "list_readers",
    "make_link",
    "set_password",
    "start_session",
    "who",
]

SESSION_MS = 12 * 3600 * 1000
"""A session lasts for a working day: author's choice."""

LINK_MS = 3600 * 1000
"""A link that was not used for an hour is worth nothing: author's choice."""

_COST, _BLOCK, _PARALLEL = 1 << 15, 8, 3
"""Cost of scrypt (RFC 7914): 32 MiB; as OWASP's Password Storage Cheat Sheet has it."""
_SHORTEST_PASSWORD = 12
_LONGEST_PASSWORD = 1024
_LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who may come in.

    Parameters
    ----------
    reader_id
        Opaque; what the ledger names.
    name
        What pages show.
    role
        What the account may do.
    experience_years
        Years of reading CT, if known.
    """

    reader_id: str
    name: str
    role: Role
    experience_years: float | None = None


def add_reader(
    connection: Connection,
    name: str,
    role: Role = Role.READER,
    *,
    password: str | None = None,
    experience_years: float | None = None,
) -> Reader:
    """Make an account.

    Raises
    ------
    ConfigError
        If the name is empty, too long, not printable, or taken; or the password too short.
    """
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ConfigError(f"{name[:40]!r} is no name", where="reader", fix="give 1 to 128 letters")
    reader = Reader(secrets.token_hex(8), name, role, experience_years)
    row = {
        "reader_id": reader.reader_id,
        "name": name,
        "role": role.value,
        "experience_years": experience_years,
        "password": None if password is None else _hashed(password),
        "disabled": False,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        with connection.begin_nested():
            connection.execute(insert(readers).values(row))
    except IntegrityError as error:
        raise ConfigError("there is such a reader already", where=name) from error
    return reader


def list_readers(connection: Connection) -> list[Reader]:
    """All accounts that may come in, by name."""
    query = select(readers).where(readers.c.disabled.is_(False)).order_by(readers.c.name)
    return [_reader(row) for row in connection.execute(query)]


def find_reader(connection: Connection, name: str) -> Reader:
    """The account of a name.

    Raises
    ------
    ConfigError
        If there is none, or it is disabled.
    """
    query = select(readers).where(readers.c.name == name, readers.c.disabled.is_(False))
    row = connection.execute(query).first()
    if row is None:
        raise ConfigError("there is no such reader", where=name, fix="make the account first")
    return _reader(row)


def set_password(connection: Connection, reader: Reader, password: str) -> None:
    """Give an account a new password, and end its sessions.

    Raises
    ------
    ConfigError
        If it is too short or too long.
    """
    mine = readers.c.reader_id == reader.reader_id
    connection.execute(update(readers).where(mine).values(password=_hashed(password)))
    connection.execute(delete(sessions).where(sessions.c.reader_id == reader.reader_id))


def disable_reader(connection: Connection, reader: Reader) -> None:
    """Let an account in no more; what it did stays."""
    mine = readers.c.reader_id == reader.reader_id
    connection.execute(update(readers).where(mine).values(disabled=True))
    connection.execute(delete(sessions).where(sessions.c.reader_id == reader.reader_id))


def authenticate(connection: Connection, name: str, password: str) -> Reader | None:
    """The reader of this name and password; None if there is none.

    It takes as long for a name that does not exist as for a wrong password.
    """
    query = select(readers).where(readers.c.name == name, readers.c.disabled.is_(False))
    row = connection.execute(query).first()
    stored = _NOBODY if row is None or row.password is None else str(row.password)
    right = len(password) <= _LONGEST_PASSWORD and _matches(password, stored)
    return _reader(row) if right and row is not None and row.password is not None else None


def make_link(connection: Connection, reader: Reader, *, now_ms: int) -> str:
    """A secret that lets its holder in as this reader, once."""
    return _open(connection, reader, "link", now_ms + LINK_MS)


def enter(connection: Connection, secret: str, *, now_ms: int) -> str | None:
    """Use up a link and start a session; None if the link is not good any more."""
    mine = (sessions.c.token_sha256 == _digest(secret)) & (sessions.c.kind == "link")
    row = connection.execute(select(sessions).where(mine)).first()
    if row is None:
        return None
    connection.execute(delete(sessions).where(mine))
    if row.expires_ms < now_ms:
        return None
    found = connection.execute(select(readers).where(readers.c.reader_id == row.reader_id)).first()
    if found is None or found.disabled:
        return None
    return start_session(connection, _reader(found), now_ms=now_ms)


def start_session(connection: Connection, reader: Reader, *, now_ms: int) -> str:
    """A new secret for a cookie; only its hash is kept. Sessions that are over are swept out."""
    connection.execute(delete(sessions).where(sessions.c.expires_ms < now_ms))
    return _open(connection, reader, "session", now_ms + SESSION_MS)


def end_session(connection: Connection, secret: str) -> None:
    """Make a cookie worthless."""
    connection.execute(delete(sessions).where(sessions.c.token_sha256 == _digest(secret)))


def who(connection: Connection, secret: str, *, now_ms: int) -> Reader | None:
    """The reader of a session; None if there is no such session, or not any more."""
    query = (
        select(readers)
        .join(sessions, sessions.c.reader_id == readers.c.reader_id)
        .where(
            sessions.c.token_sha256 == _digest(secret),
            sessions.c.kind == "session",
            sessions.c.expires_ms >= now_ms,
            readers.c.disabled.is_(False),
        )
    )
    row = connection.execute(query).first()
    return None if row is None else _reader(row)


def _open(connection: Connection, reader: Reader, kind: str, expires_ms: int) -> str:
    secret = secrets.token_urlsafe(32)
    connection.execute(
        insert(sessions).values(
            token_sha256=_digest(secret),
            reader_id=reader.reader_id,
            kind=kind,
            expires_ms=expires_ms,
        )
    )
    return secret


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _hashed(password: str) -> str:
    if not _SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        fix = f"give {_SHORTEST_PASSWORD} to {_LONGEST_PASSWORD} characters"
        raise ConfigError("is too short or too long", where="password", fix=fix)
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}${_scrypt(password, salt).hex()}"


def _matches(password: str, stored: str) -> bool:
    salt, _, expected = stored.partition("$")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)).hex(), expected)


def _scrypt(password: str, salt: bytes) -> bytes:
    memory = 256 * _COST * _BLOCK  # twice what the algorithm needs
    return hashlib.scrypt(
        password.encode(), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL, maxmem=memory, dklen=32
    )


def _reader(row: Row[tuple[object, ...]]) -> Reader:
    return Reader(row.reader_id, row.name, Role(row.role), row.experience_years)


_NOBODY = "00" * 16 + "$" + "00" * 32
"""Hash that no password has."""
