"""Put a case into the working store: its CT and organs as plain arrays, its findings as runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.store.layout import CT_FILE, STRUCTURES_FILE, StoredCase
from scalemai.case import Case
from scalemai.components import label_components
from scalemai.errors import UnreadableFileError
from scalemai.geometry import Grid
from scalemai.io.atomic import atomic_folder
from scalemai.measure import bounding_box, sizes_of
from scalemai.volume import Volume

__all__ = ["RECORD_FILE", "Proposal", "import_case", "read_record"]

RECORD_FILE = "case.json"
"""What a stored case is, and the findings that are proposed in it; there once all else is."""

_SLAB_VOXELS = 1 << 23
_MOST_STRUCTURES = 255
_HASH_BYTES = 1 << 24
_TOLD = ("site", "kind", "part", "probability", "contrast_hu", "surface_distance_mm")
_FACTS = ("phase", "sex", "age", "manufacturer", "kernel", "kvp", "patient", "study_date")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A finding before anybody has read it.

    Parameters
    ----------
    structure
        Canonical lesion structure.
    runs
        Its mask in the stored grid.
    score
        The detector's, 0 to 1, if there is one.
    measures
        Sizes in mm and cubic mm (:class:`scalemai.measure.Sizes`), ``mean_hu``, and what the
        detector's table says beyond them.
    """

    structure: str
    runs: Runs
    score: float | None
    measures: Mapping[str, Any]

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "structure": self.structure,
            "runs": self.runs.pairs(),
            "score": self.score,
            "measures": dict(self.measures),
        }


def import_case(case: Case, folder: Path, *, proposed: Case | None, table: Path | None) -> Path:
    """Write a case into the store, whole or not at all.

    Nothing is resampled. HU are rounded to whole numbers, which changes them by 0.5 HU at most, and
    clipped to what an int16 holds. Memory stays at the CT as it is read and two masks.

    Parameters
    ----------
    case
        CT and masks.
    folder
        Its folder in the store.
    proposed
        The masks whose connected pieces are the findings; those of the case itself if None.
    table
        ``findings.json`` of a prediction, whose scores, sites and kinds its pieces get.

    Raises
    ------
    CaseError
        If the CT or a mask cannot be used.
    OutputError
        If the store cannot be written.
    """
    volume = case.volume()
    stored = StoredCase.of_grid(volume.grid)
    source = proposed if proposed is not None else case
    with atomic_folder(folder) as temporary:
        hu_range = _write_ct(volume, stored, temporary / CT_FILE)
        names = _write_structures(case, volume, stored, temporary / STRUCTURES_FILE)
        ct = np.memmap(temporary / CT_FILE, "<i2", "r", shape=stored.shape, order="F")
        proposals = _proposals(source, volume.grid, stored, ct, table)
        hashes = {name: _sha256(temporary / name) for name in (CT_FILE, STRUCTURES_FILE)}
        complete = StoredCase.of_grid(
            volume.grid, structures=names, hu_range=hu_range, hashes=hashes
        )
        record = {
            "case_id": case.id,
            "stored": json.loads(complete.to_json()),
            "facts": _facts(case, stored),
            "proposals": [one.to_plain() for one in proposals],
        }
        text = json.dumps(record, allow_nan=False, default=str)
        (temporary / RECORD_FILE).write_text(text + "\n", encoding="utf-8")
    return folder


def read_record(folder: Path) -> tuple[str, StoredCase, dict[str, Any], list[Proposal]]:
    """Case id, how it is stored, facts and proposals of a case in the store."""
    plain = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    stored = StoredCase.from_json(json.dumps(plain["stored"]))
    proposals = [
        Proposal(
            one["structure"],
            Runs.of_pairs(one["runs"], stored.shape),
            one["score"],
            one["measures"],
        )
        for one in plain["proposals"]
    ]
    return plain["case_id"], stored, plain["facts"], proposals


def _write_ct(volume: Volume, stored: StoredCase, path: Path) -> tuple[int, int]:
    """HU as int16 in the stored order, a slab at a time; the smallest and the largest."""
    array = np.memmap(path, "<i2", "w+", shape=stored.shape, order="F")
    native = stored.to_native(array)
    limits = np.iinfo(np.int16)
    low, high = int(limits.max), int(limits.min)
    for region in _slabs(volume.grid.shape):
        hu = volume.hu(region)
        np.rint(hu, out=hu)
        np.clip(hu, limits.min, limits.max, out=hu)
        native[region] = hu
        low, high = min(low, int(hu.min())), max(high, int(hu.max()))
    array.flush()
    return low, high


def _write_structures(
    case: Case, volume: Volume, stored: StoredCase, path: Path
) -> tuple[str, ...]:
    """The organs as one label map; where two overlap, the smaller one is seen."""
    names = [name for name in case.structures if name not in case.lesions][:_MOST_STRUCTURES]
    array = np.memmap(path, "u1", "w+", shape=stored.shape, order="F")
    native = stored.to_native(array)
    volumes = np.zeros(len(names) + 1, np.int64)
    for number, mask in enumerate(case.each_mask(names, on=volume.grid), start=1):
        region = bounding_box(mask.array)
        if region is None:
            continue
        inside = mask.array[region]
        volumes[number] = np.count_nonzero(inside)
        there = native[region]
        larger = (there == 0) | (volumes[there] > volumes[number])
        there[inside & larger] = number
    array.flush()
    return tuple(names)


def _proposals(
    source: Case, grid: Grid, stored: StoredCase, ct: NDArray[np.int16], table: Path | None
) -> list[Proposal]:
    """Connected pieces of all lesion masks, structure by structure, each in order of its voxels."""
    rows = _rows(table)
    found = []
    for mask in source.each_mask(sorted(source.lesions), on=grid):
        turned = stored.from_native(mask.array)
        box = bounding_box(turned)
        if box is None:
            continue
        labels = label_components(turned[box])
        for number, place in enumerate(find_objects(labels.astype(np.int32)), start=1):
            spot = tuple(
                slice(outer.start + inner.start, outer.start + inner.stop)
                for outer, inner in zip(box, place, strict=True)
            )
            inside = labels[place] == number
            found.append(
                _proposal(mask.name, inside, (spot[0], spot[1], spot[2]), stored, ct, rows)
            )
    return found


def _proposal(
    structure: str,
    inside: NDArray[np.bool_],
    spot: tuple[slice, slice, slice],
    stored: StoredCase,
    ct: NDArray[np.int16],
    rows: Sequence[Mapping[str, Any]],
) -> Proposal:
    grid = stored.grid.crop(spot)
    centre_mm = grid.to_world(np.argwhere(inside).mean(axis=0))
    sizes = asdict(sizes_of(inside, grid))
    mean_hu = float(ct[spot][inside].mean(dtype=np.float64))
    row = _row_of(rows, structure, centre_mm, float(max(grid.spacing_mm)))
    more = {name: row[name] for name in _TOLD if row.get(name) is not None}
    runs = Runs.of_mask(inside, stored.shape, [part.start for part in spot])
    measures = {**sizes, "mean_hu": mean_hu, "centre_mm": [float(c) for c in centre_mm], **more}
    return Proposal(structure, runs, row.get("score"), measures)


def _rows(table: Path | None) -> list[dict[str, Any]]:
    """The rows of a prediction's ``findings.json``; none without one."""
    if table is None or not table.is_file():
        return []
    try:
        rows = json.loads(table.read_text(encoding="utf-8"))["findings"]
        for row in rows:
            row["x_mm"], row["y_mm"], row["z_mm"] = (float(row[f"{a}_mm"]) for a in "xyz")
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        fix = "predict it again"
        raise UnreadableFileError("is no table of findings", where=table, fix=fix) from error
    return list(rows)


def _row_of(
    rows: Sequence[Mapping[str, Any]],
    structure: str,
    centre_mm: NDArray[np.float64],
    near_mm: float,
) -> Mapping[str, Any]:
    """The row whose lesion has its centre where the piece has it, to a voxel; else nothing."""
    mine = [row for row in rows if row.get("structure", structure) == structure]
    far = [
        float(np.linalg.norm(centre_mm - (row["x_mm"], row["y_mm"], row["z_mm"]))) for row in mine
    ]
    if not far or min(far) > near_mm:
        return {}
    return mine[far.index(min(far))]


def _facts(case: Case, stored: StoredCase) -> dict[str, Any]:
    """What pages and tables may say of a case."""
    told = {name: case.metadata[name] for name in _FACTS if case.metadata.get(name) is not None}
    return {**told, "spacing_mm": [round(step, 4) for step in stored.grid.spacing_mm]}


def _slabs(shape: tuple[int, int, int]) -> Iterator[tuple[slice, slice, slice]]:
    """Parts of an array along its last axis, of some million voxels each."""
    step = max(1, _SLAB_VOXELS // (shape[0] * shape[1]))
    for first in range(0, shape[2], step):
        yield slice(0, shape[0]), slice(0, shape[1]), slice(first, min(first + step, shape[2]))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BYTES):
            digest.update(block)
    return digest.hexdigest()
