"""What is fixed for a whole review, as its database keeps it."""

from __future__ import annotations

import json
from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select

from scalemai.annotation.database.schema import facts
from scalemai.annotation.protocol import Protocol
from scalemai.errors import ConfigError

__all__ = ["FORMAT", "read_fact", "read_protocol", "write_fact", "write_protocol"]

FORMAT = "scalemai-review/1"
"""Version of the tables and of what is in them."""


def write_fact(connection: Connection, name: str, value: str) -> None:
    """Keep a fact, in place of what was kept under this name."""
    connection.execute(delete(facts).where(facts.c.name == name))
    connection.execute(insert(facts).values(name=name, value=value))


def read_fact(connection: Connection, name: str) -> str:
    """A fact.

    Raises
    ------
    ConfigError
        If the database does not have it.
    """
    value = connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar()
    if value is None:
        fix = "give the folder of a review"
        raise ConfigError(f"the database holds no review ({name} is absent)", fix=fix)
    return str(value)


def write_protocol(connection: Connection, protocol: Protocol) -> None:
    """Keep the protocol, before the first read."""
    write_fact(connection, "protocol", json.dumps(asdict(protocol), sort_keys=True))


def read_protocol(connection: Connection) -> Protocol:
    """The protocol.

    Raises
    ------
    ConfigError
        If the database holds none, or one of another version.
    """
    plain = json.loads(read_fact(connection, "protocol"))
    try:
        return Protocol(**plain)
    except TypeError as error:
        fix = "use the version of scalemai that made it"
        raise ConfigError("was made by another version", where="protocol", fix=fix) from error
