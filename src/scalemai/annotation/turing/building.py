"""Build a study: crops, commitments and an empty ledger into its folder, the key elsewhere."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scalemai._version import __version__
from scalemai.annotation.database.opening import open_database, writing
from scalemai.annotation.facts import write_fact, write_protocol
from scalemai.annotation.turing.candidates import Candidate, Kind
from scalemai.annotation.turing.design import TuringDesign
from scalemai.annotation.turing.items import crop_around, item_bytes, size_of_item
from scalemai.annotation.turing.matching import Matching, Pair, dimensions
from scalemai.annotation.turing.sealing import Sealed, commitment, write_key
from scalemai.annotation.turing.studies import (
    STUDY_FILE,
    STUDY_FORMAT,
    Display,
    Study,
    digest_of,
    open_study,
)
from scalemai.case import Case
from scalemai.errors import ConfigError
from scalemai.io.atomic import atomic_folder
from scalemai.preview.windows import WINDOWS, window_for

__all__ = ["Built", "Shown", "build_study", "check_places", "crops_of", "write_study"]

_THEN = 946_684_800
"""Time that all items bear, 2000-01-01: when a file was written tells what was written with it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A lesion that is shown.

    Parameters
    ----------
    pair
        Number of its pair.
    candidate
        The lesion.
    spacing_mm
        Voxel size that the pair is drawn with.
    """

    pair: int
    candidate: Candidate
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Built:
    """A study that was built.

    Parameters
    ----------
    study
        The study.
    digest
        SHA-256 of its description, for registration before the first read.
    """

    study: Study
    digest: str


def check_places(out: Path, key: Path) -> None:
    """Refuse a folder that holds something, a key that exists, or a key within the study.

    Raises
    ------
    ConfigError
        If so.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        fix = "choose another --out: readers may have begun"
        raise ConfigError("there is something already", where=out, fix=fix)
    if key.exists():
        fix = "choose another --key: without it, its study can never be analysed"
        raise ConfigError("there is a file already", where=key, fix=fix)
    if key.resolve().is_relative_to(out.resolve()):
        fix = "keep it where neither readers nor the server's account can read it"
        raise ConfigError("the key lies within the study", where=key, fix=fix)


def build_study(
    matching: Matching,
    cases: Mapping[tuple[Kind, str], Case],
    out: Path,
    key: Path,
    design: TuringDesign,
) -> Built:
    """Build a study of pairs; whole or not at all.

    Parameters
    ----------
    matching
        From :func:`scalemai.annotation.turing.matching.match`.
    cases
        Cases by kind and id.
    out
        Folder of the study.
    key
        File of the key, outside of it.
    design
        As matched by.

    Raises
    ------
    ConfigError
        As of :func:`check_places`.
    CaseError
        If a CT cannot be read, or a crop is beyond it.
    OutputError
        If study or key cannot be written.
    """
    return write_study(
        matching.pairs, crops_of(matching.pairs, cases, design), out, key, design,
        unmatched=[
            {**asdict(one.candidate), "reason": one.reason} for one in matching.unmatched
        ],
    )  # fmt: skip


def crops_of(
    pairs: Sequence[Pair], cases: Mapping[tuple[Kind, str], Case], design: TuringDesign
) -> Iterable[tuple[Shown, NDArray[np.int16]]]:
    """The crops of all lesions, a case at a time, so that no more than one CT is in memory."""
    wanted: dict[tuple[Kind, str], list[Shown]] = {}
    for number, pair in enumerate(pairs):
        for one in (pair.real, pair.synthetic):
            shown = Shown(number, one, pair.spacing_mm)
            wanted.setdefault((one.kind, one.case_id), []).append(shown)
    for where, of_case in sorted(wanted.items()):
        volume = cases[where].volume()
        for shown in of_case:
            size = dimensions(shown.spacing_mm, design.crop_mm)
            yield shown, crop_around(volume, shown.candidate.centre, size)


def write_study(
    pairs: Sequence[Pair],
    crops: Iterable[tuple[Shown, NDArray[np.int16]]],
    out: Path,
    key: Path,
    design: TuringDesign,
    *,
    unmatched: Sequence[Mapping[str, Any]] = (),
) -> Built:
    """Write a study of crops; see :func:`build_study`.

    Parameters
    ----------
    pairs
        The pairs, whose numbers are their places.
    crops
        Each lesion with its HU around, int16, of the size that both of its pair have; consumed as
        they are written.
    out, key, design
        As there.
    unmatched
        Lesions that are not shown, for the key.

    Raises
    ------
    ConfigError, OutputError
        As there.
    """
    check_places(out, key)
    length = max(size_of_item(dimensions(pair.spacing_mm, design.crop_mm)) for pair in pairs)
    length = math.ceil(length / 4096) * 4096
    sealed: list[Sealed] = []
    commitments: dict[str, str] = {}
    with atomic_folder(out) as temporary:
        (temporary / "items").mkdir()
        for shown, hu in crops:
            name, salt, one = secrets.token_hex(8), secrets.token_hex(32), shown.candidate
            content = item_bytes(hu, shown.spacing_mm, length)
            path = temporary / "items" / f"{name}.item"
            path.write_bytes(content)
            os.utime(path, (_THEN, _THEN))
            commitments[name] = commitment(name, one.kind, salt, content)
            sealed.append(
                Sealed(
                    item=name, truth=one.kind, salt=salt, pair=shown.pair, case_id=one.case_id,
                    structure=one.structure, diameter_mm=one.diameter_mm, phase=one.phase,
                    scanner=one.scanner,
                )
            )  # fmt: skip
        study = Study(
            folder=temporary,
            study_id=secrets.token_hex(8),
            version=__version__,
            design=design,
            item_bytes=length,
            displays=_displays(sealed, design.task),
            commitments=dict(sorted(commitments.items())),
        )
        (temporary / STUDY_FILE).write_text(study.to_json(), encoding="utf-8")
        digest = digest_of(temporary)
        _make_database(study, digest)
        write_key(key, study, digest, sealed, {"unmatched": list(unmatched)})
    return Built(open_study(out), digest)


def _displays(sealed: Sequence[Sealed], task: Literal["single", "2afc"]) -> tuple[Display, ...]:
    """What is shown at a time. Sides are secret; the real one is left in half of the pairs."""
    groups: list[tuple[Sealed, ...]]
    if task == "single":
        groups = [(one,) for one in sealed]
    else:
        two: dict[int, dict[str, Sealed]] = {}
        for one in sealed:
            two.setdefault(one.pair, {})[one.truth] = one
        sides = [number % 2 for number in range(len(two))]
        secrets.SystemRandom().shuffle(sides)
        groups = [
            (both["real"], both["synthetic"]) if left else (both["synthetic"], both["real"])
            for left, both in zip(sides, two.values(), strict=True)
        ]
    displays = []
    for group in groups:
        key = group[0].item if len(group) == 1 else secrets.token_hex(8)
        structure = group[0].structure
        window = WINDOWS[window_for(structure, np.empty(0))]
        low_hu = window.level_hu - window.width_hu / 2
        items = tuple(one.item for one in group)
        displays.append(Display(key, items, structure, low_hu, low_hu + window.width_hu))
    return tuple(sorted(displays, key=lambda one: one.key))


def _make_database(study: Study, digest: str) -> None:
    engine = open_database(study.review.database_file, create=True)
    with writing(engine) as connection:
        write_protocol(connection, study.protocol)
        write_fact(connection, "format", STUDY_FORMAT)
        write_fact(connection, "version", __version__)
        write_fact(connection, "study_sha256", digest)
    engine.dispose()
