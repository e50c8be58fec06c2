"""From answers and key to the table that a reader study is analysed from, and its report."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection
from sqlalchemy.engine import Engine

from scalemai.annotation.database.opening import writing
from scalemai.annotation.ledger import read_links, verify
from scalemai.annotation.readers import list_readers
from scalemai.annotation.turing.answering import close_study, outstanding
from scalemai.annotation.turing.order import trials_of
from scalemai.annotation.turing.sealing import Sealed, open_key
from scalemai.annotation.turing.studies import Study
from scalemai.annotation.words import Action
from scalemai.errors import ConfigError, ScaleMAIError
from scalemai.evaluation.reading import parse_reads
from scalemai.evaluation.reading.equivalence import MARGIN
from scalemai.evaluation.reading.files import write_study
from scalemai.evaluation.reading.study import Study as Result
from scalemai.evaluation.reading.study import analyse
from scalemai.evaluation.tables import Table, write_table
from scalemai.statistics.detection_theory import d_prime_2afc
from scalemai.statistics.estimate import Estimate
from scalemai.statistics.proportions import clopper_pearson

__all__ = ["Analysis", "ForcedChoice", "analyse_answers", "reads_frame", "write_analysis"]


@dataclass(frozen=True, slots=True)
class ForcedChoice:
    """How often a reader picked the real one of two.

    Parameters
    ----------
    reader
        Name.
    correct
        Share of the pairs, with the exact interval; 0.5 is chance.
    d_prime
        Of the task with two alternatives.
    """

    reader: str
    correct: Estimate
    d_prime: Estimate


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a study showed.

    Parameters
    ----------
    reads
        A row per trial of every reader who answered anything, as
        :func:`scalemai.evaluation.reading.parse_reads` takes it, with ``structure``,
        ``diameter_mm`` of the real lesion (or of the one), and the ``place`` in the reader's order.
    result
        What :func:`scalemai.evaluation.reading.study.analyse` makes of it.
    forced_choice
        Of each reader, if two were shown at a time.
    """

    reads: pl.DataFrame
    result: Result
    forced_choice: tuple[ForcedChoice, ...] = ()


def analyse_answers(
    study: Study,
    engine: Engine,
    key: Path,
    *,
    margin: float = MARGIN,
    level: float = 0.95,
    incomplete: bool = False,
) -> Analysis:
    """Open the key, and analyse. The study takes no more answers from then on.

    Parameters
    ----------
    study, engine
        The study and its database.
    key
        File of the key.
    margin, level
        As of :func:`scalemai.evaluation.reading.study.analyse`.
    incomplete
        Whether trials may be unanswered.

    Returns
    -------
    Analysis
        With two at a time, ``real`` in it means left: sensitivity is the share of the pairs with
        the real one left in which the reader says so, and balanced accuracy the share of correct
        answers without a habit of sides. d' of the report is that of a task with one; what it is
        for two, which is the smaller by the root of two, is in ``forced_choice``.

    Raises
    ------
    ConfigError
        If key and study do not fit, trials are unanswered, or all that were answered are of one
        kind.
    ScaleMAIError
        If the ledger is broken.
    """
    broken = verify(engine)
    if broken is not None:
        what = f"event {broken} of the ledger does not follow from those before it"
        raise ScaleMAIError(what, where=study.folder, fix="restore the database from a copy")
    with engine.connect() as connection:
        missing = _missing(connection, study)
    if missing and not incomplete:
        name, count = next(iter(missing.items()))
        what = f"{name} has {count} trials left, and {len(missing) - 1} more readers have some"
        fix = "wait, or analyse it as it is with --incomplete; it takes no more answers then"
        raise ConfigError(what, where=study.folder, fix=fix)
    sealed = open_key(key, study)
    with engine.connect() as connection:
        frame = reads_frame(connection, study, sealed)
    result = analyse(parse_reads(frame, where=str(study.folder)), margin=margin, level=level)
    with writing(engine) as connection:
        close_study(connection, hashlib.sha256(key.read_bytes()).hexdigest())
    picked = _forced_choice(frame, level) if study.design.task == "2afc" else ()
    return Analysis(frame, result, picked)


def reads_frame(connection: Connection, study: Study, sealed: Mapping[str, Sealed]) -> pl.DataFrame:
    """A row per trial of every reader who answered anything; see :class:`Analysis`.

    Raises
    ------
    ConfigError
        If nobody did.
    """
    rows: list[dict[str, Any]] = []
    for reader in list_readers(connection):
        answers = {
            link.event.read_id: link.event
            for link in read_links(connection, reader_id=reader.reader_id)
            if link.event.action is Action.CLOSE
        }
        if not answers:
            continue
        for trial in trials_of(study, reader.reader_id):
            shown = [sealed[item] for item in trial.display.items]
            real = next((one for one in shown if one.truth == "real"), shown[0])
            event = answers.get(trial.trial_id)
            answer = None if event is None else event.comment
            rows.append(
                {
                    "reader": reader.name,
                    "case": trial.display.key,
                    # Of two, the truth is what the left one is.
                    "truth": shown[0].truth,
                    "answer": {"left": "real", "right": "synthetic"}.get(str(answer), answer),
                    "confidence": None if event is None else event.confidence,
                    "seconds": event.active_ms / 1000 if event and event.active_ms else None,
                    "repeat": trial.repeat,
                    "place": trial.place,
                    "structure": trial.display.structure,
                    "diameter_mm": real.diameter_mm,
                }
            )
    if not rows:
        fix = "readers come in by scalemai turing open"
        raise ConfigError("nobody has answered anything", where=study.folder, fix=fix)
    return pl.DataFrame(rows, infer_schema_length=None)


def write_analysis(analysis: Analysis, folder: Path) -> Path:
    """Write the report of the reader study, and the tables ``reads`` and ``forced_choice``.

    ``reads`` can be given to ``scalemai reader-study`` again.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    hashes = analysis.result.reads.hashes
    write_table(Table("reads", analysis.reads, (), hashes, {}), folder)
    if analysis.forced_choice:
        rows = [
            {"reader": one.reader, "figure": name, **found.as_dict()}
            for one in analysis.forced_choice
            for name, found in (("correct", one.correct), ("d_prime_2afc", one.d_prime))
        ]
        frame = pl.DataFrame(rows, infer_schema_length=None)
        write_table(Table("forced_choice", frame, (), hashes, {}), folder)
    return write_study(analysis.result, folder)


def _missing(connection: Connection, study: Study) -> dict[str, int]:
    """Reader to trials that he has not answered, of those who began."""
    found = {}
    for reader in list_readers(connection):
        total, left = (
            len(trials_of(study, reader.reader_id)),
            outstanding(connection, study, reader),
        )
        if 0 < len(left) < total:
            found[reader.name] = len(left)
    return found


def _forced_choice(frame: pl.DataFrame, level: float) -> tuple[ForcedChoice, ...]:
    first = frame.filter((pl.col("repeat") == 0) & pl.col("answer").is_not_null())
    found = []
    for name in first["reader"].unique().sort():
        mine = first.filter(pl.col("reader") == name)
        correct, n = int((mine["truth"] == mine["answer"]).sum()), len(mine)
        found.append(
            ForcedChoice(
                str(name),
                clopper_pearson(correct, n, level),
                d_prime_2afc(correct, n, level=level),
            )
        )
    return tuple(found)
