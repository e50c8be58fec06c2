"""The JSON beside a synthetic case: what was asked, drawn and measured, and what it was made from.

The sidecar holds no time and no user, so that the same request gives the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isal import isal_zlib

from scalemai._version import __version__
from scalemai.case import Case, MaskSource
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.io.atomic import atomic_path
from scalemai.synthesis.appearance import VISIBILITY_HU
from scalemai.synthesis.spec import LesionSpec, Recipe
from scalemai.synthesis.synthesize import Synthesis
from scalemai.volume import Volume

__all__ = ["FORMAT", "Sidecar", "checksum", "read_sidecar", "sidecar_of", "write_sidecar"]

FORMAT = "scalemai-synthesis/1"


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """What is needed to paint a case again.

    Parameters
    ----------
    case
        The host: its CT and the masks that were used.
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
    host: Volume,
    synthesis: Synthesis,
    specs: Sequence[LesionSpec],
    used: Sequence[str],
    organs: Sequence[str],
    *,
    seed: int,
    folder: Path,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """The sidecar of a synthetic case, in plain types.

    Parameters
    ----------
    case, host
        What it was made from.
    synthesis, specs, seed
        What was asked and what came out.
    used, organs
        Names of the masks that were given to the synthesis, and which of them are organs.
    folder
        Where the sidecar will lie: paths are relative to it, so that a tree may be moved.
    notes
        Remarks in words.
    """
    parts = dict.fromkeys(part for name in used for part in case.parts(name))
    masks = {name: _source(case.sources[name], folder) for name in parts}
    return {
        "format": FORMAT,
        "version": __version__,
        "case": case.id,
        "seed": seed,
        "origin": "synthetic",
        "host": {
            "ct": _relative(case.ct, folder),
            "series": case.series,
            "hu_offset": case.hu_offset,
            "class_map": case.class_map,
            "phase": host.metadata.get("phase"),
            "masks": masks,
            "organs": list(organs),
            "voxels_crc32": checksum(host),
            "grid": host.grid.describe(),
        },
        "asked": [asdict(spec) for spec in specs],
        "rules": {
            "visibility_hu": VISIBILITY_HU,
            "label": "density of at least one half inside the organ",
            "longest_axial_diameter": "greatest distance of voxel corners within one axial slice",
        },
        "lesions": [
            {"recipe": one.recipe.to_json(), "measured": one.measures.to_json()}
            for one in synthesis.lesions
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
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        fix = "give the synthesis.json of a synthetic case"
        raise UnreadableFileError(f"cannot be read ({error})", where=path, fix=fix) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        fix = "give the synthesis.json of a synthetic case"
        raise ConfigError(f"is not of the format {FORMAT}", where=path, fix=fix)
    try:
        host = data["host"]
        sources = {
            name: MaskSource(_resolve(entry["path"], path.parent), tuple(entry["values"]))
            for name, entry in host["masks"].items()
        }
        case = Case(
            id=data["case"],
            ct=_resolve(host["ct"], path.parent),
            sources=sources,
            series=host["series"],
            hu_offset=host["hu_offset"],
            class_map=host["class_map"],
            metadata={} if host["phase"] is None else {"phase": host["phase"]},
        )
        recipes = tuple(Recipe.from_json(one["recipe"]) for one in data["lesions"])
        return Sidecar(
            case=case,
            organs=tuple(host["organs"]),
            recipes=recipes,
            voxels_crc32=host["voxels_crc32"],
            result_crc32=data["result"]["voxels_crc32"],
            version=data["version"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        fix = "use the sidecar as it was written"
        raise ConfigError(f"misses or garbles {error}", where=path, fix=fix) from error


def _source(source: MaskSource, folder: Path) -> dict[str, Any]:
    return {"path": _relative(source.path, folder), "values": list(source.values)}


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()


def _resolve(text: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder / text))
