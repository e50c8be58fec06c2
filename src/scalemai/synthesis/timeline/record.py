"""The JSON beside a series of scans: the law, the schedule, and what each scan holds.

Like the sidecar of a synthetic case it holds no time and no user, so that the same request gives
the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scalemai._version import __version__
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.synthesis.sidecar import checksum
from scalemai.synthesis.timeline.schedule import Schedule
from scalemai.synthesis.timeline.series import Frame, Series
from scalemai.volume import Volume

__all__ = [
    "FORMAT",
    "STAGE_NAME",
    "TIMELINE_NAME",
    "read_timeline_notes",
    "stage_record",
    "timeline_record",
]

TIMELINE_NAME = "timeline.json"
"""The file that makes a folder a series of scans."""

STAGE_NAME = "stage.json"
"""What one scan of a series holds."""

FORMAT = "scalemai-timeline/1"

_STAGE_FORMAT = "scalemai-stage/1"
_BELOW = "below what the scan shows"


def stage_record(frame: Frame, case_id: str, *, present: bool, volume: Volume) -> dict[str, Any]:
    """What one scan holds, in plain types.

    Parameters
    ----------
    frame, case_id
        The scan and the case that it is of.
    present
        Whether the lesion mask has voxels, those of lesions that the host has included; a mask
        without says that none is there.
    volume
        The CT of that day.
    """
    return {
        "format": _STAGE_FORMAT,
        "version": __version__,
        "case": case_id,
        "origin": "synthetic",
        "day": frame.day,
        "folder": frame.name,
        "presence": {frame.stages[0].name: "present" if present else "absent"},
        "lesions": [
            {
                "number": number,
                "edge": stage.edge,
                "law_mm3": stage.law_mm3,
                "field_mm3": stage.field_mm3,
                "measured": None if stage.lesion is None else stage.lesion.measures.to_json(),
                "remark": _BELOW if stage.lesion is None else "",
            }
            for number, stage in enumerate(frame.stages, start=1)
        ],
        "effects": [one.to_json() for one in frame.effects],
        "voxels_crc32": checksum(volume),
    }


def timeline_record(
    series: Series,
    schedule: Schedule,
    stages: Iterable[Mapping[str, Any]],
    sidecar: Mapping[str, Any],
    *,
    drawn: bool,
) -> dict[str, Any]:
    """A whole series, in plain types.

    Parameters
    ----------
    series, schedule
        What came out and what was asked.
    stages
        The record of each scan.
    sidecar
        That of the last scan, with paths as they lead from the folder of the series.
    drawn
        Whether the doubling time was drawn from the facts of the lesion's kind.
    """
    recipe = series.recipe
    source = f"drawn for {recipe.kind} of the {recipe.organ}" if drawn else "given"
    shared = ("version", "case", "seed", "origin", "host", "asked", "rules")
    same = {"format", "version", "case", "origin"}
    return {
        "format": FORMAT,
        **{name: sidecar[name] for name in shared},
        "law": {"name": series.law.name, "doubling_time": source, **asdict(series.law)},
        "schedule": schedule.to_json(),
        "recipes": [one["recipe"] for one in sidecar["lesions"]],
        "scans": [
            {name: value for name, value in stage.items() if name not in same} for stage in stages
        ],
        "notes": sidecar["notes"],
    }


def read_timeline_notes(folder: Path) -> tuple[str, ...]:
    """What is to be remarked of a series: days on which nothing is to be seen, and earlier notes.

    Raises
    ------
    UnreadableFileError
        If the record of the series cannot be read.
    ConfigError
        If it is something else.
    """
    path = folder / TIMELINE_NAME
    fix = f"give the {TIMELINE_NAME} of a series, as it was written"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnreadableFileError(f"cannot be read ({reason})", where=path, fix=fix) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ConfigError(f"is not of the format {FORMAT}", where=path, fix=fix)
    unseen = [scan["folder"] for scan in data["scans"] if scan["lesions"][0]["measured"] is None]
    notes = [str(note) for note in data["notes"]]
    if unseen:
        notes.append(f"the lesion is {_BELOW} in {', '.join(unseen)}")
    return tuple(notes)
