"""One case in nnU-Net's raw format: image, label map, and a record of where they come from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from scalemai._version import __version__
from scalemai.anatomy import organ
from scalemai.case import Case
from scalemai.errors import ConfigError, OutputError, UnreadableFileError
from scalemai.io.atomic import atomic_path
from scalemai.io.nifti import write_labels, write_volume
from scalemai.synthesis.patient import structures_at_hand
from scalemai.synthesis.sidecar import read_sidecar
from scalemai.synthesis.target import SIDECAR_NAME
from scalemai.training.nnunet.label_map import LabelMap, Policy, draw_labels
from scalemai.training.nnunet.labels import LabelScheme
from scalemai.volume import Volume

__all__ = [
    "ENDING",
    "RECORDS",
    "Files",
    "RawCase",
    "identity_of",
    "image_name",
    "label_name",
    "read_notes",
    "read_record",
    "record_path",
    "write_raw_case",
]

ENDING = ".nii.gz"
RECORDS = "scalemai"
"""Folder of the records of cases, which nnU-Net does not look into."""

FORMAT = "scalemai-nnunet-case/1"

Files = Literal["copy", "link"]
"""Whether images that may stay as they are, are copied, or linked to."""


@dataclass(frozen=True)
class RawCase:
    """A case, the name that it is exported under, and the patient whose scan it is."""

    name: str
    case: Case
    patient: str


def image_name(name: str) -> str:
    """Path of a case's image within the data set; 0000 is its only channel."""
    return f"imagesTr/{name}_0000{ENDING}"


def label_name(name: str) -> str:
    """Path of a case's label map within the data set."""
    return f"labelsTr/{name}{ENDING}"


def record_path(out: Path, name: str) -> Path:
    """Where the record of a case is."""
    return out / RECORDS / "cases" / f"{name}.json"


def write_raw_case(
    raw: RawCase, out: Path, scheme: LabelScheme, policy: Policy, files: Files = "copy"
) -> Path:
    """Write image, label map and record of one case, each whole or not at all; the record last.

    Parameters
    ----------
    raw
        The case.
    out
        Folder of the data set.
    scheme, policy
        What is drawn into the label map.
    files
        ``"link"`` leads to images that are ``.nii.gz`` in HU already; others are written in any
        case: DICOM, NIfTI without compression, CT that needs an offset. nnU-Net follows links;
        our own reader does not follow those that lead out of a data set.

    Returns
    -------
    Path
        The record.

    Raises
    ------
    CaseError
        If the case cannot be read or used, or the result cannot be written.
    """
    if files not in get_args(Files):
        raise ConfigError(f"{files!r} is no choice", where="files", fix="give copy or link")
    case, path = raw.case, record_path(out, raw.name)
    path.unlink(missing_ok=True)  # it speaks of files that are about to be replaced
    identity = identity_of(case, scheme, policy)
    volume = case.volume()
    drawn = draw_labels(case, scheme, policy, volume.grid)
    image, labels = out / image_name(raw.name), out / label_name(raw.name)
    how = _write_image(case, volume, image, files)
    write_labels(labels, drawn.array, drawn.grid, volume)
    record = _record(raw, drawn, scheme) | {
        "identity": identity,
        "image": {"path": image_name(raw.name), "how": how, "sha256": _sha256(image)},
        "labels": {"path": label_name(raw.name), "sha256": _sha256(labels)},
        "grid": volume.grid.describe(),
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def read_record(out: Path, name: str) -> dict[str, Any] | None:
    """The record of a case, or None if it is not all there.

    Raises
    ------
    UnreadableFileError
        If the record is damaged.
    """
    path = record_path(out, name)
    if not (path.is_file() and all((out / f(name)).is_file() for f in (image_name, label_name))):
        return None
    try:
        plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if plain["format"] != FORMAT:
            raise ValueError(f"is of the format {plain['format']!r}")
        return plain
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"is no record of an exported case ({error})"
        raise UnreadableFileError(what, where=path, fix="remove it and export again") from error


def read_notes(path: Path) -> tuple[str, ...]:
    """What is to be remarked of an exported case.

    Parameters
    ----------
    path
        Its record.
    """
    plain = json.loads(path.read_text(encoding="utf-8"))
    lost = (
        f"{one['voxels']:,} voxels are {one['kept']}, though {one['lost']} as well"
        for one in plain["dropped"]
    )
    beside = (
        f"{count:,} voxels of {name} lie beside the organ's mask"
        for name, count in plain["beside_organ"].items()
    )
    return (*plain["notes"], *lost, *beside)


def identity_of(case: Case, scheme: LabelScheme, policy: Policy) -> str:
    """Hash of what a case is exported from: names, sizes and times of its files.

    Folders above the files do not count, so that a data set may be moved.
    """
    names = [
        part
        for host in scheme.organs
        for side in structures_at_hand(organ(host), case.has)
        for part in case.parts(side)
    ]
    names += [
        part for name in (*scheme.structures, *policy.unverified) for part in case.parts(name)
    ]
    beside = case.ct.parent / SIDECAR_NAME
    seen = {
        "ct": _stamp(case.ct),
        "hu_offset": case.hu_offset,
        "series": str(case.series),
        "masks": {
            name: [_stamp(case.sources[name].path), list(case.sources[name].values)]
            for name in sorted({*names, *case.lesions})
        },
        "stated": {name: str(value) for name, value in sorted(case.stated.items())},
        "beside": _stamp(beside) if beside.is_file() else [],
    }
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def _record(raw: RawCase, drawn: LabelMap, scheme: LabelScheme) -> dict[str, Any]:
    case = raw.case
    sidecar = case.ct.parent / SIDECAR_NAME
    titles = scheme.titles()
    lesions = [titles[value] for value in scheme.class_values.values()]
    origin = "real" if any(drawn.voxels[title] for title in lesions) else "normal"
    made: dict[str, Any] = {}
    if sidecar.is_file():
        origin = "synthetic"
        made = {
            "synthesis": {
                "sha256": _sha256(sidecar),
                "version": read_sidecar(sidecar).version,
                "seed": json.loads(sidecar.read_text(encoding="utf-8")).get("seed"),
            }
        }
    source = {
        "case": case.id,
        "ct": case.ct.name,
        "layout": case.metadata.get("layout"),
        "ct_sha256": _sha256(case.ct) if case.ct.is_file() else None,
    }
    return {
        "format": FORMAT,
        "version": __version__,
        "case": raw.name,
        "patient": raw.patient,
        "origin": origin,
        "source": source,
        **made,
        "voxels": drawn.voxels,
        "dropped": list(drawn.dropped),
        "beside_organ": drawn.beside_organ,
        "notes": list(drawn.notes),
    }


def _write_image(case: Case, volume: Volume, path: Path, files: Files) -> str:
    """Put the image where nnU-Net looks for it; say how."""
    as_it_is = case.ct.name.lower().endswith(ENDING) and not case.hu_offset
    if not as_it_is:
        write_volume(path, volume)
        return "written"
    with atomic_path(path) as temporary:
        if files == "copy":
            shutil.copyfile(case.ct, temporary)
            return "copied"
        place = path.parent.resolve()
        try:
            temporary.symlink_to(os.path.relpath(case.ct.resolve(), place))
        except (OSError, NotImplementedError, ValueError) as error:
            what = f"no link can be made here ({error})"
            raise OutputError(what, where=path, fix="let images be copied") from error
    return "linked"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _stamp(path: Path) -> list[Any]:
    inside = sorted(path.rglob("*")) if path.is_dir() else [path]
    found: list[Any] = [path.name]
    for one in inside:
        try:
            about = one.stat()
        except OSError:
            found.append([one.name, "missing"])  # whoever reads it says so
            continue
        found.append([one.name, about.st_size, about.st_mtime_ns])
    return found
