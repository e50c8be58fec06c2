"""Settings as TOML: tables become frozen dataclasses, and every name and kind is checked."""

from __future__ import annotations

import tomllib
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError

__all__ = ["from_plain", "put", "read_toml", "with_settings"]

Kind = TypeVar("Kind")


def from_plain(kind: type[Kind], plain: Mapping[str, Any], *, where: str = "settings") -> Kind:
    """A dataclass from a table of plain data, its own tables too.

    Parameters
    ----------
    kind
        The dataclass; fields may be dataclasses, literals, tuples, and plain kinds or None.
    plain
        Values by name.
    where
        Named in errors.

    Raises
    ------
    ConfigError
        If a name is not known (the nearest is given), or a value is missing, of the wrong kind, or
        refused by the dataclass itself.
    """
    made: Kind = _made(kind, plain, "", where)
    return made


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises
    ------
    UnreadableFileError
        If it cannot be read.
    ConfigError
        If it is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise UnreadableFileError(what, where=path, fix="check the path") from error
    except ValueError as error:
        raise ConfigError(f"is no TOML ({error})", where=path, fix="correct the file") from error


def with_settings(
    plain: Mapping[str, Any], settings: Iterable[str], *, example: str
) -> dict[str, Any]:
    """Tables with single fields set anew.

    Parameters
    ----------
    plain
        The tables; they are not changed.
    settings
        Texts ``a.b=c``; ``c`` is a TOML value, or a text without quotation marks.
    example
        Shown to who writes something else.

    Raises
    ------
    ConfigError
        If a text is no setting.
    """
    result = {name: dict(v) if isinstance(v, dict) else v for name, v in plain.items()}
    for text in settings:
        name, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not name:
            fix = f"give NAME=VALUE, for example {example}"
            raise ConfigError(f"{text!r} is no setting", where="--set", fix=fix)
        put(result, name, _value(value))
    return result


def put(plain: dict[str, Any], name: str, value: Any) -> None:
    """Set a field by its dotted name, making tables on the way.

    Raises
    ------
    ConfigError
        If a name on the way is that of a field.
    """
    *sections, last = name.split(".")
    here = plain
    for section in sections:
        here = here.setdefault(section, {})
        if not isinstance(here, dict):
            raise ConfigError(
                f"{section!r} has no fields", where=name, fix="leave out what follows"
            )
    here[last] = value


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _made(kind: Any, plain: Any, prefix: str, where: str) -> Any:
    """A dataclass from a table, its own tables too."""
    if not isinstance(plain, Mapping):
        raise ConfigError(f"{prefix.rstrip('.')} is no table", where=where, fix="give its fields")
    hints = get_type_hints(kind)
    known = [one.name for one in fields(kind) if one.init]
    for name in plain:
        if name not in known:
            section = f" of {prefix.rstrip('.')}" if prefix else ""
            raise UnknownNameError(f"setting{section}", str(name), known)
    for one in fields(kind):
        needed = one.default is MISSING and one.default_factory is MISSING
        if needed and one.name not in plain:
            fix = f"give {prefix}{one.name}"
            raise ConfigError(f"{prefix}{one.name} is missing", where=where, fix=fix)
    values = {
        name: _converted(value, hints[name], f"{prefix}{name}", where)
        for name, value in plain.items()
    }
    return kind(**values)


def _converted(value: Any, hint: Any, name: str, where: str) -> Any:
    """A value of a TOML file in the type of its field."""
    origin, parts = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return _made(hint, value, f"{name}.", where)
    if origin is Literal:
        if value not in parts:
            raise UnknownNameError(name, str(value), [str(part) for part in parts])
        return value
    if origin in (Union, types.UnionType):
        inner = next(part for part in parts if part is not types.NoneType)
        return None if value is None else _converted(value, inner, name, where)
    if origin is tuple and isinstance(value, list | tuple):
        open_ended = len(parts) == 2 and parts[1] is Ellipsis
        kinds = [parts[0]] * len(value) if open_ended else list(parts)
        if len(kinds) == len(value):
            pairs = zip(value, kinds, strict=True)
            return tuple(_converted(one, kind, name, where) for one, kind in pairs)
    elif origin is not None:  # a mapping of plain data
        if isinstance(value, Mapping):
            return dict(value)
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif isinstance(hint, type) and type(value) is hint:
        return value
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    wanted = words.get(
        hint, f"a list of {len(parts)}" if parts and Ellipsis not in parts else "a list"
    )
    raise ConfigError(f"{value!r} is of the wrong kind", where=name, fix=f"give {wanted}")
