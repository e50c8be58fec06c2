"""The JSON beside a synthetic case: what was asked, drawn and measured, and what it was made from.

The sidecar holds no time and no user, so that the same request gives the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isal import isal_zlib

from scalemai._version import __version__
from scalemai.anatomy import organ
from scalemai.case import Case, MaskSource, check_case_id
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.io.atomic import atomic_path
from scalemai.synthesis.painting.appearance import VISIBILITY_HU
from scalemai.synthesis.recipe import Recipe
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.synthesize import Synthesis
from scalemai.synthesis.target import SIDECAR_NAME
from scalemai.volume import Volume

__all__ = [
    "FORMAT",
    "Sidecar",
    "checksum",
    "moved_sidecar",
    "read_notes",
    "read_sidecar",
    "sidecar_of",
    "write_sidecar",
]

_FIX = "give the synthesis.json of a synthetic case, as it was written"

FORMAT = "scalemai-synthesis/1"


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """What is needed to paint a case again.

    Parameters
    ----------
    case
        The host: its CT and the masks that were used.
    masks
        Names of the masks that were used.
    organs
        Which of the masks are the organs asked for.
    recipes
        What was drawn.
    voxels_crc32
        Checksum of the host's stored voxels, so that another host is noticed.
    result_crc32
        Checksum of the voxels that were written.
    version
        Version that wrote it.
    """

    case: Case
    masks: tuple[str, ...]
    organs: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    voxels_crc32: str
    result_crc32: str
    version: str


def checksum(volume: Volume) -> str:
    """CRC-32 of the stored voxels in slice order, as eight hex digits; fast, not cryptographic."""
    flat = volume.stored.reshape(-1, order="F")
    return f"{isal_zlib.crc32(flat.view('uint8').data):08x}"


def sidecar_of(
    case: Case,
    synthesis: Synthesis,
    specs: Sequence[LesionSpec],
    used: Sequence[str],
    organs: Sequence[str],
    *,
    host_crc32: str,
    seed: int,
    folder: Path,
    moved: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """The sidecar of a synthetic case, in plain types.

    Parameters
    ----------
    case, host_crc32
        What it was made from, and the checksum of its voxels.
    synthesis, specs, seed
        What was asked and what came out.
    used, organs
        Names of the masks that were given to the synthesis, and which of them are organs.
    folder
        Where the sidecar will lie: paths are relative to it, so that a tree may be moved.
    moved
        Names of further masks that changed, as tissue was pushed aside.
    notes
        Remarks in words.
    """
    parts = dict.fromkeys(part for name in (*used, *moved) for part in case.parts(name))
    masks = {name: _source(case.sources[name], folder) for name in parts}
    return {
        "format": FORMAT,
        "version": __version__,
        "case": case.id,
        "seed": seed,
        "origin": "synthetic",
        "host": {
            "ct": _relative(case.ct, folder),
            "series": None if case.series is None else str(case.series),
            "hu_offset": case.hu_offset,
            "class_map": case.class_map,
            "phase": synthesis.volume.metadata.get("phase"),
            "masks": masks,
            "used": list(used),
            "organs": list(organs),
            "voxels_crc32": host_crc32,
            "grid": synthesis.volume.grid.describe(),
        },
        "asked": [asdict(spec) for spec in specs],
        "rules": {
            "visibility_hu": VISIBILITY_HU,
            "label": "voxels of the organ that the lesion fills by half; of few, the fullest",
            "longest_axial_diameter": "greatest distance of voxel corners within one axial slice",
        },
        "lesions": [
            {
                "recipe": one.recipe.to_json(),
                "measured": one.measures.to_json(),
                "effects": effects.to_json(),
            }
            for one, effects in zip(synthesis.lesions, synthesis.effects, strict=True)
        ],
        "result": {"voxels_crc32": checksum(synthesis.volume)},
        "notes": list(notes),
    }


def write_sidecar(path: Path, content: Mapping[str, Any]) -> None:
    """Write a sidecar, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_sidecar(path: Path) -> Sidecar:
    """Read a sidecar with the case that it was made from; paths are resolved beside it.

    Raises
    ------
    UnreadableFileError
        If it is missing or is not JSON.
    ConfigError
        If it is not a sidecar of synthesis, or holds an unknown field.
    """
    path = Path(path)
    data = _parse(path)
    try:
        host = data["host"]
        sources = {
            _text(name): MaskSource(_resolve(entry["path"], path), _whole_numbers(entry["values"]))
            for name, entry in host["masks"].items()
        }
        phase = _text_or_none(host["phase"])
        case = Case(
            id=_text(data["case"]),
            ct=_resolve(host["ct"], path),
            sources=sources,
            series=_text_or_none(host["series"]),
            hu_offset=float(host["hu_offset"]),
            # No class map: the masks that were not used, and so their values, are not recorded.
            metadata={} if phase is None else {"phase": phase},
        )
        used = tuple(check_case_id(_text(name)) for name in host["used"])  # they name files
        organs = tuple(_text(name) for name in host["organs"])
        if not set(organs) <= set(used) or not all(case.has(name) for name in used):
            raise ValueError("names a structure without mask")
        recipes = tuple(Recipe.from_json(one["recipe"]) for one in data["lesions"])
        for recipe in recipes:
            if recipe.structure not in used or recipe.lesion != organ(recipe.organ).lesion:
                raise ValueError(f"{recipe.lesion} in {recipe.structure}")
        return Sidecar(
            case=case,
            masks=used,
            organs=organs,
            recipes=recipes,
            voxels_crc32=_text(host["voxels_crc32"]),
            result_crc32=_text(data["result"]["voxels_crc32"]),
            version=_text(data["version"]),
        )
    except ConfigError as error:
        what = error.what if error.where is None else f"{error.where}: {error.what}"
        raise ConfigError(what, where=path, fix=_FIX) from error
    except KeyError as error:
        raise ConfigError(f"misses the field {error}", where=path, fix=_FIX) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"is garbled ({error})", where=path, fix=_FIX) from error


def read_notes(folder: Path) -> tuple[str, ...]:
    """What was remarked when a synthetic case was made, for example an organ without mask.

    Raises
    ------
    UnreadableFileError, ConfigError
        As :func:`read_sidecar`.
    """
    return tuple(str(note) for note in _parse(folder / SIDECAR_NAME).get("notes", ()))


def moved_sidecar(path: Path, folder: Path) -> dict[str, Any]:
    """The content of a sidecar for another folder: its paths lead to the same host from there.

    Raises
    ------
    UnreadableFileError, ConfigError
        As :func:`read_sidecar`.
    """
    case = read_sidecar(path).case
    content = _parse(path)
    content["host"]["ct"] = _relative(case.ct, folder)
    content["host"]["masks"] = {
        name: _source(source, folder) for name, source in case.sources.items()
    }
    return content


def _parse(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnreadableFileError(f"cannot be read ({reason})", where=path, fix=_FIX) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ConfigError(f"is not of the format {FORMAT}", where=path, fix=_FIX)
    return data


def _source(source: MaskSource, folder: Path) -> dict[str, Any]:
    return {"path": _relative(source.path, folder), "values": list(source.values)}


def _relative(path: Path, folder: Path) -> str:
    # Links to folders are followed, or ".." would lead elsewhere than it seems; the file's own
    # name stays, as links to content stores have names of their own.
    target = path.parent.resolve() / path.name
    try:
        return Path(os.path.relpath(target, folder.resolve())).as_posix()
    except ValueError:  # another drive of Windows
        return target.as_posix()


def _resolve(text: object, sidecar: Path) -> Path:
    return Path(os.path.normpath(sidecar.parent.resolve() / _text(text)))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise TypeError(f"{value!r} is no text")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _whole_numbers(values: Iterable[object]) -> tuple[int, ...]:
    numbers = tuple(value for value in values if type(value) is int and value > 0)
    if len(numbers) != len(tuple(values)):
        raise TypeError(f"{values!r} are no label values")
    return numbers
