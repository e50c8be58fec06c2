"""Many phantoms: a resumable run of :func:`write_phantom_case` on the local engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from scalemai._version import __version__
from scalemai.cases.phantom.generate import write_phantom_case
from scalemai.cases.phantom.lesion_draw import LesionDraw
from scalemai.cases.phantom.spec import sample_spec
from scalemai.engine import Ledger, Run
from scalemai.engine import map as map_cases
from scalemai.io.atomic import remove_partials

__all__ = ["open_phantom_ledger", "write_phantom_cases"]


def open_phantom_ledger(
    out: Path, seed: int, overrides: Mapping[str, Any], lesions: LesionDraw | None = None
) -> Ledger:
    """Lock the output folder for phantoms of one seed and kind.

    Raises
    ------
    LockedError
        If another run is writing to the folder.
    ConfigError
        If the folder holds phantoms of another seed or kind, or an override is impossible.
    OutputError
        If the folder cannot be made or written.
    """
    sample_spec(seed, **overrides)  # refuse a wrong request before any folder is made
    fields = {
        "verb": "phantom",
        "version": __version__,
        "seed": str(seed),
        "overrides": json.dumps(dict(overrides), sort_keys=True),
        "lesions": "" if lesions is None else json.dumps(asdict(lesions), sort_keys=True),
    }
    return Ledger(out / "ledger.jsonl", fingerprint=fields)


def write_phantom_cases(
    out: Path,
    n: int,
    *,
    seed: int,
    ledger: Ledger,
    workers: int = 1,
    overrides: Mapping[str, Any] | None = None,
    lesions: LesionDraw | None = None,
) -> Run[Path]:
    """Generate phantoms number 0 to ``n - 1`` of a seed; a larger ``n`` later adds to them.

    Parameters
    ----------
    out
        Folder of the cases.
    n
        Number of phantoms.
    seed
        With its number, the seed of each phantom.
    ledger
        From :func:`open_phantom_ledger`.
    workers
        Number of processes; the voxels do not depend on it.
    overrides
        Fields of :class:`PhantomSpec` that are not drawn, and ``preset``.
    lesions
        Lesions to draw for each phantom; none by default.
    """
    remove_partials(out, {_case_id(index) for index in range(n)})
    return map_cases(
        partial(_write, out=out, seed=seed, overrides=dict(overrides or {}), lesions=lesions or ()),
        range(n),
        workers=workers,
        ledger=ledger,
        is_complete=lambda key: (out / key / "metadata.json").is_file(),
        key=_case_id,
    )


def _case_id(index: int) -> str:
    return f"phantom_{index:05d}"


def _write(
    index: int,
    *,
    out: Path,
    seed: int,
    overrides: Mapping[str, Any],
    lesions: LesionDraw | tuple[()],
) -> Path:
    return write_phantom_case(out, index, seed, lesions=lesions, **overrides)
