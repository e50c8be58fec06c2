"""Many cases: a resumable run on the local engine, and the tables that it adds up to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from scalemai._version import __version__
from scalemai.engine import Ledger, Run
from scalemai.engine import map as map_cases
from scalemai.evaluation.case import CaseResult
from scalemai.evaluation.facts import remarks
from scalemai.evaluation.lesions.fact_definitions import FACT_DEFINITIONS
from scalemai.evaluation.lesions.rows import candidate_frame, lesion_frame
from scalemai.evaluation.pairing import PairedCase, Pairing
from scalemai.evaluation.partial import (
    PARTIAL_FOLDER,
    evaluate_and_keep,
    is_current,
    partial_path,
    read_partial,
)
from scalemai.evaluation.patients.rows import SCHEMA as PATIENTS
from scalemai.evaluation.tables import Table
from scalemai.io.atomic import remove_partials

__all__ = ["Evaluation", "collect", "evaluate_cases", "open_ledger"]

LEDGER_NAME = "ledger.jsonl"

_TEXTS = ("case", "patient", "structure", "state")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The tables of an evaluation.

    Parameters
    ----------
    pairing
        What was evaluated.
    structures, lesions, candidates, patients, cases
        The tables. ``cases`` has one row per case: whether there is a prediction, and what is
        known of it.
    failed
        Cases whose reference could not be used; they are in no table.
    unusable
        Cases whose prediction could not be used, and why; they are scored as if it were missing.
    notes
        Facts that are not known of any lesion, and remarks on single cases, each with its case.
    """

    pairing: Pairing
    structures: Table
    lesions: Table
    candidates: Table
    patients: Table
    cases: Table
    failed: tuple[str, ...]
    unusable: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables."""
        return self.structures, self.lesions, self.candidates, self.patients, self.cases

    def scans_of(self, lesion: str) -> dict[str, str]:
        """Every scan in which a lesion structure was assessed, with its patient.

        Scans without usable prediction are among them unless they were asked to be left out.
        """
        out = ["not_assessed"]
        if self.pairing.request.missing == "omit":
            out += ["missing_prediction", "unusable_prediction"]
        rows = self.structures.frame.filter(
            (pl.col("structure") == lesion) & ~pl.col("state").is_in(out)
        )
        return dict(rows.select("case", "patient").iter_rows())


def open_ledger(out: Path, pairing: Pairing) -> Ledger:
    """Lock the output folder for one request.

    Raises
    ------
    LockedError
        If another run is writing to the folder.
    ConfigError
        If the folder holds the results of another request.
    OutputError
        If the folder cannot be made or written.
    """
    asked = {name: _in_words(value) for name, value in pairing.request.as_dict().items()}
    fields = {"verb": "evaluate", "version": __version__, **asked}
    return Ledger(out / LEDGER_NAME, fingerprint=fields)


def evaluate_cases(
    pairing: Pairing,
    out: Path,
    *,
    ledger: Ledger,
    workers: int = 1,
    timeout_s: float | None = None,
    memory_bytes: int | None = None,
) -> Run[Path]:
    """Evaluate all cases; one bad case costs itself alone.

    Parameters
    ----------
    pairing
        What is evaluated. Cases that the ledger has as done, and whose files have not changed
        since, are skipped.
    out
        Where the rows of each case are kept.
    ledger
        From :func:`open_ledger`.
    workers
        Number of processes; the numbers do not depend on it.
    timeout_s, memory_bytes
        Limits of one case, see :func:`scalemai.engine.map`.
    """
    by_id = {case.id: case for case in pairing.cases}
    folder = out / PARTIAL_FOLDER
    if folder.is_dir():
        remove_partials(folder, {f"{case_id}.json" for case_id in by_id})
    return map_cases(
        partial(evaluate_and_keep, out=out, request=pairing.request),
        pairing.cases,
        workers=workers,
        ledger=ledger,
        is_complete=lambda key: is_current(by_id[key], out, pairing.request),
        key=_case_id,
        timeout_s=timeout_s,
        memory_bytes=memory_bytes,
    )


def collect(pairing: Pairing, out: Path, *, seed: int = 0) -> Evaluation:
    """Merge the rows of all cases into tables.

    Parameters
    ----------
    pairing, out
        As of :func:`evaluate_cases`.
    seed
        Of the intervals that are computed from the tables; recorded in them.

    Raises
    ------
    UnreadableFileError
        If the rows of a case are damaged.
    """
    results = [
        read_partial(path)
        for case in pairing.cases
        if (path := partial_path(out, case.id)).is_file()
    ]
    done = {result.case for result in results}
    unusable = {result.case: result.unusable for result in results if result.unusable}
    failed = tuple(case.id for case in pairing.cases if case.id not in done)
    request = pairing.request
    settings = {
        **request.as_dict(),
        "seed": seed,
        "case_count": len(pairing.cases),
        "without_prediction": list(pairing.without_prediction),
        "predictions_without_reference": list(pairing.extra),
        "failed": list(failed),
        "unusable_predictions": list(unusable),
    }
    digests = {result.case: result.digest for result in results}
    files = {
        name: {one.case: one.files[name] for one in results if name in one.files}
        for name in request.lesions or ()
    }
    definitions = request.definitions()
    optional = {one.id for one in FACT_DEFINITIONS}

    def table(kind: str, frame: pl.DataFrame) -> Table:
        # Facts that are not known of any row have no column.
        meant = tuple(
            one
            for one in definitions.get(kind, ())
            if one.id not in optional or one.column in frame.columns
        )
        of_structures = files if kind in ("patients", "candidates") else {}
        return Table(kind, frame, meant, digests, settings, files=of_structures)

    lesions = lesion_frame(row for one in results for row in one.lesions)

    return Evaluation(
        pairing,
        table("structures", _structures(results, [d.column for d in definitions["structures"]])),
        table("lesions", lesions),
        table("candidates", candidate_frame(row for one in results for row in one.candidates)),
        table(
            "patients",
            pl.DataFrame([row for one in results for row in one.patients], schema=PATIENTS),
        ),
        table("cases", _cases([case for case in pairing.cases if case.id in done], unusable)),
        failed,
        unusable,
        (
            *(remarks(lesions) if request.facts else ()),
            *(f"{one.case}: {note}" for one in results for note in one.notes),
        ),
    )


def _structures(results: Sequence[CaseResult], columns: Sequence[str]) -> pl.DataFrame:
    schema = dict.fromkeys(_TEXTS, pl.String) | dict.fromkeys(columns, pl.Float64)
    return pl.DataFrame([row for one in results for row in one.structures], schema=schema)


def _cases(cases: Sequence[PairedCase], unusable: Container[str]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    taken = ("case", "patient", "prediction")
    for case in cases:
        facts = {name: _flat(value) for name, value in sorted(case.metadata.items())}
        state = "missing" if case.prediction is None else "present"
        if case.id in unusable:
            state = "unusable"
        named = {"case": case.id, "patient": case.patient, "prediction": state}
        rows.append(named | {name: v for name, v in facts.items() if name not in taken})
    names = list(dict.fromkeys([*taken, *(name for row in rows for name in row)]))
    return pl.DataFrame(
        [pl.Series(name, [row.get(name) for row in rows], strict=False) for name in names]
    ).with_columns(pl.col(taken).cast(pl.String))


def _flat(value: Any) -> str | int | float | bool | None:
    """A value that fits a cell."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return json.dumps(value, sort_keys=True, default=str)


def _in_words(value: Any) -> str:
    """A setting as short text; long lists by their digest, so that a ledger stays readable."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if len(text) > 200 and isinstance(value, Sequence | Mapping):
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"{len(value)} values ({digest})"
    return text


def _case_id(case: PairedCase) -> str:
    return case.id
