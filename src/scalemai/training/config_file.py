"""Trainings as TOML: presets, files and single settings, checked against the dataclasses."""

from __future__ import annotations

import tomllib
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from scalemai.anatomy import organ
from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError
from scalemai.training.config import TrainingConfig

__all__ = ["config_from", "presets", "read_config"]


def presets() -> tuple[str, ...]:
    """Names of the configs that come with the package."""
    folder = resources.files("scalemai.training") / "presets"
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def read_config(
    source: str | Path, settings: Iterable[str] = (), *, given: Mapping[str, Any] | None = None
) -> TrainingConfig:
    """A config from a preset or a TOML file, with single fields set anew.

    Parameters
    ----------
    source
        Name of a preset, or the path of a ``.toml`` file. One that says ``base = "NAME"`` needs
        to say only what differs from that preset.
    settings
        Texts ``a.b=c``; ``c`` is a TOML value, or a text without quotation marks.
    given
        Fields by dotted name that are set before ``settings``.

    Raises
    ------
    UnreadableFileError
        If the file cannot be read.
    ConfigError
        If it is no TOML, or a name or a value in it is wrong; the nearest name is given.
    """
    plain, where = _read(source)
    for name, value in (given or {}).items():
        _put(plain, name, value)
    for text in settings:
        name, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not name:
            fix = "give NAME=VALUE, for example optimiser.learning_rate=1e-3"
            raise ConfigError(f"{text!r} is no setting", where="--set", fix=fix)
        _put(plain, name, _value(value))
    return config_from(plain, where=where)


def config_from(plain: Mapping[str, Any], *, where: str = "config") -> TrainingConfig:
    """A config from nested plain data. Without classes, the organ's lesion is the only one.

    Raises
    ------
    ConfigError
        If a name is not known, or a value is missing, of the wrong kind, or impossible.
    """
    copied = {**plain, "detector": dict(plain.get("detector", {}))}
    detector = copied["detector"]
    if isinstance(detector.get("organ"), str) and "classes" not in detector:
        detector["classes"] = [organ(detector["organ"]).lesion]
    config: TrainingConfig = _made(TrainingConfig, copied, "", where)
    return config


def _read(source: str | Path) -> tuple[dict[str, Any], str]:
    path = Path(source)
    if path.suffix != ".toml":
        if str(source) not in presets():
            raise UnknownNameError("preset", str(source), presets())
        text = (resources.files("scalemai.training") / "presets" / f"{source}.toml").read_text(
            "utf-8"
        )
        return _on_base(tomllib.loads(text)), str(source)
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise UnreadableFileError(what, where=path, fix="check the path") from error
    except ValueError as error:
        raise ConfigError(f"is no TOML ({error})", where=path, fix="correct the file") from error
    return _on_base(plain), path.name


def _on_base(plain: dict[str, Any]) -> dict[str, Any]:
    """What a file says on top of the preset that it names."""
    if "base" not in plain:
        return plain
    base = plain.pop("base")
    if base not in presets():
        raise UnknownNameError("base", str(base), presets())
    return _merged(_read(base)[0], plain)


def _merged(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in above.items():
        under = below.get(name)
        if isinstance(under, dict) and isinstance(value, Mapping):
            value = _merged(under, value)
        below[name] = value
    return below


def _put(plain: dict[str, Any], name: str, value: Any) -> None:
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


def _made(kind: type, plain: Any, prefix: str, where: str) -> Any:
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
