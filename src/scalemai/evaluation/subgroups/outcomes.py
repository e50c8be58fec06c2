"""One number for each row of a table of results: what is compared between groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.comparison.results import Results
from scalemai.evaluation.comparison.scale import Better, bounded, on_one_scale
from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.patients.rows import require_one_algorithm
from scalemai.evaluation.row_digests import row_digests
from scalemai.evaluation.subgroups.detection import FP_PER_SCAN, false_positives, scores
from scalemai.evaluation.tables import Table, read_table

__all__ = ["RATES", "Missing", "Outcome", "outcome_of", "read_outcome"]

RATES: Mapping[str, tuple[str, Better]] = {
    "sensitivity": ("patients", "higher"),
    "specificity": ("patients", "higher"),
    "fpr": ("patients", "lower"),
    "lesion_sensitivity": ("lesions", "higher"),
    "auroc": ("patients", "higher"),
    "fp_per_scan": ("candidates", "lower"),
}
"""Metrics of detection: the table that they come from, and which values are better."""

_NO_RATES = ("auroc", "fp_per_scan")

_UNDEFINED = ("both_empty", "not_assessed")
_KEYS = frozenset(("algorithm", "case", "patient", "structure", "state"))
_LOWER = ("hd", "assd", "volume_error", "fp")

Missing = str
"""``"worst"``: a missing prediction counts as wrong. ``"omit"``: it is left out. Both counted."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Values by row.

    Parameters
    ----------
    metric, structure
        What they are.
    frame
        Columns ``case``, ``patient``, ``value`` (finite); of an area also ``positive``.
    binary
        Whether values are 0 or 1, so that means are rates.
    better
        Which values are better.
    missing, undefined
        Rows without prediction, and rows where the metric has no meaning (left out).
    definition
        Of the metric, if known.
    cases
        Case id to the hash of what was evaluated; of a foreign table, to that of its rows.
    notes
        What a user should know.
    area
        Whether values are scores, of which groups have areas under ROC curves.
    files
        Name to SHA-256 of the files that it was read from.
    """

    metric: str
    structure: str
    frame: pl.DataFrame
    binary: bool
    better: Better
    missing: int
    undefined: int
    definition: Definition | None = None
    cases: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    area: bool = False
    files: Mapping[str, str] = field(default_factory=dict)


def read_outcome(
    path: Path | str,
    metric: str,
    structure: str | None = None,
    *,
    threshold: float | None = None,
    missing: Missing = "worst",
    better: Better | None = None,
) -> Outcome:
    """Read the values of a metric from a table or the folder of an evaluation.

    Parameters
    ----------
    path
        A table, or a folder that holds it.
    metric, structure, threshold, missing, better
        As of :func:`outcome_of`.

    Raises
    ------
    UnreadableFileError, ConfigError, UnknownNameError
        If it cannot be read, or as of :func:`outcome_of`.
    """
    kind = RATES[metric][0] if metric in RATES else "structures"
    table = read_table(path, kind if Path(path).is_dir() else None)
    files = {table.kind: _digest(path, table.kind)}
    if metric == "fp_per_scan":
        frame, structure, gone = false_positives(Path(path), structure, threshold)
        said = (
            f"{gone} scans without prediction are left out: there is no worst number of false "
            "positives, so groups with many of them look better than they are",
        )
        cases = table.cases or row_digests(table.frame, Path(path).name)
        return Outcome(
            metric, structure, frame, False, "lower", gone, 0, FP_PER_SCAN, cases,
            said if gone else (),
            files=files,
        )  # fmt: skip
    found = outcome_of(
        table, metric, structure, threshold=threshold, missing=missing, better=better,
        where=str(path),
    )  # fmt: skip
    return replace(found, files=files)


def _digest(path: Path | str, kind: str) -> str:
    """SHA-256 of the file that a table was read from."""
    file = Path(path)
    if file.is_dir():
        places = (file / f"{kind}{ending}" for ending in (".parquet", ".csv"))
        file = next((one for one in places if one.is_file()), file)
    return sha256(file.read_bytes()).hexdigest()


def outcome_of(
    table: Table,
    metric: str,
    structure: str | None = None,
    *,
    threshold: float | None = None,
    missing: Missing = "worst",
    better: Better | None = None,
    where: str = "results",
) -> Outcome:
    """The values of a metric.

    Parameters
    ----------
    table
        Of kind ``structures`` (or any with a row per case and the metric as a column),
        ``lesions`` or ``patients``, of one algorithm.
    metric
        A numeric column; or one of :data:`RATES`: ``lesion_sensitivity`` of lesions,
        ``sensitivity``, ``specificity`` and ``fpr`` of patients at a threshold, ``auroc`` of
        patients without one.
    structure
        Which structure; may be left out if there is one.
    threshold
        Score from which a patient is called positive, fixed beforehand.
    missing
        What to do with missing predictions. Metrics without a bound have no worst value: their
        missing rows are left out in either case, counted and noted.
    better
        Which values are better, if neither definition nor name tells.
    where
        Named in errors.

    Raises
    ------
    ConfigError
        If a column or the threshold is missing, there are several algorithms, a row stands
        twice, or nothing is left.
    UnknownNameError
        If there is no such metric or structure.
    """
    if missing not in ("worst", "omit"):
        raise ConfigError(f"{missing!r} is no policy", where="missing", fix="give worst or omit")
    frame = table.frame
    if "case" not in frame.columns:
        raise ConfigError("has no column case", where=where, fix="give a table of results")
    require_one_algorithm(frame)
    frame, structure = _one_structure(frame, structure, where)
    patient = pl.col("patient") if "patient" in frame.columns else pl.lit(None)
    frame = frame.with_columns(
        case=pl.col("case").cast(pl.String),
        patient=pl.coalesce(patient.cast(pl.String), pl.col("case").cast(pl.String)),
    )
    notes: list[str] = []
    if metric == "fp_per_scan":
        what = "false positives per scan need the tables candidates, lesions and structures"
        raise ConfigError(what, where=where, fix="read them with read_outcome")
    if metric == "auroc":
        _require(frame, ("positive", "score"), where)
        _refuse_two_rows(frame, where)
        frame, gone, undefined = scores(frame, missing)
        way: Better = "higher"
    elif metric in RATES:
        frame, gone, undefined = _rate(frame, metric, threshold, missing, where)
        way = RATES[metric][1]
    else:
        divisor, remarks = _scale(table.frame, metric, where)
        notes += remarks
        frame, gone, undefined = _metric(frame, metric, missing, where)
        frame = frame.with_columns(pl.col("value") / divisor)
        way = _better(metric, table.definition(metric), better)
        if gone and not bounded(metric) and missing == "worst":
            notes.append(
                f"{gone} missing values of {metric} are left out: it has no worst value, so "
                "groups with many missing predictions look better than they are"
            )
    kept = ("case", "patient", *(("positive",) if metric == "auroc" else ()))
    frame = frame.select(*kept, pl.col("value").cast(pl.Float64))
    if not frame.height:
        what = f"has no row with a value of {metric} for {structure}"
        raise ConfigError(what, where=where, fix="check metric and structure")
    values = frame["value"].to_numpy()
    if not np.isfinite(values).all():
        raise ConfigError(f"{metric} is infinite in a row", where=where, fix="check the table")
    return Outcome(
        metric, structure, frame, metric in RATES and metric not in _NO_RATES, way, gone, undefined,
        table.definition(metric), table.cases or row_digests(table.frame, Path(where).name),
        tuple(notes), metric == "auroc",
    )  # fmt: skip


def _one_structure(
    frame: pl.DataFrame, structure: str | None, where: str
) -> tuple[pl.DataFrame, str]:
    if "structure" not in frame.columns:
        if structure is not None:
            raise ConfigError("has no column structure", where=where, fix="leave out --structure")
        return frame, ""
    known = sorted(str(one) for one in frame["structure"].unique().drop_nulls())
    if structure is None and len(known) == 1:
        structure = known[0]
    if structure is None:
        what = f"holds {len(known)} structures ({', '.join(known[:6])})"
        raise ConfigError(what, where=where, fix="name one with --structure")
    if structure not in known:
        error = UnknownNameError("structure", structure, known)
        error.where = where
        raise error
    return frame.filter(pl.col("structure") == structure), structure


def _metric(
    frame: pl.DataFrame, metric: str, missing: Missing, where: str
) -> tuple[pl.DataFrame, int, int]:
    known = [name for name, kind in frame.schema.items() if name not in _KEYS and kind.is_numeric()]
    if metric not in known:
        error = UnknownNameError("metric", metric, [*known, *RATES])
        error.where = where
        raise error
    _refuse_two_rows(frame, where)
    state = pl.col("state") if "state" in frame.columns else pl.lit("both")
    frame = frame.with_columns(
        value=pl.col(metric).cast(pl.Float64).fill_nan(None),
        meaningless=state.is_in(_UNDEFINED),
    )
    # A stated value counts even where masks are empty: the evaluation's own policy gave it.
    left = frame.filter(~(pl.col("meaningless") & pl.col("value").is_null()))
    gone = int(left["value"].null_count())
    if missing == "worst" and bounded(metric):
        left = left.with_columns(pl.col("value").fill_null(0.0))
    return left.drop_nulls("value"), gone, frame.height - left.height


def _scale(frame: pl.DataFrame, metric: str, where: str) -> tuple[float, tuple[str, ...]]:
    """What to divide by: all structures of a file tell together whether it is in percent."""
    if metric not in frame.columns or not frame.schema[metric].is_numeric():
        return 1.0, ()  # refused by name later
    values = frame[metric].cast(pl.Float64).fill_null(np.nan).to_numpy()
    structures = ["" for _ in range(frame.height)]
    if "structure" in frame.columns:
        structures = frame["structure"].cast(pl.String).fill_null("").to_list()
    classes = sorted(set(structures))
    wide = np.full((frame.height, len(classes)), np.nan)
    wide[np.arange(frame.height), [classes.index(name) for name in structures]] = values
    rows = tuple(str(row) for row in range(frame.height))
    nothing = np.zeros(wide.shape, np.bool_)
    results = Results("", Path(where), rows, rows, tuple(classes), wide, nothing)
    remarks = on_one_scale([results], metric)[1]
    return 100.0 if remarks else 1.0, remarks


def _rate(
    frame: pl.DataFrame, metric: str, threshold: float | None, missing: Missing, where: str
) -> tuple[pl.DataFrame, int, int]:
    if metric == "lesion_sensitivity":
        _require(frame, ("detected",), where)
        ignored = pl.col("ignored") if "ignored" in frame.columns else pl.lit(False)
        kept = frame.filter(~ignored.fill_null(False))
        gone = int(kept["detected"].null_count())
        wrong = kept.with_columns(value=pl.col("detected").cast(pl.Float64))
        if missing == "worst":
            wrong = wrong.with_columns(pl.col("value").fill_null(0.0))
        return wrong.drop_nulls("value"), gone, frame.height - kept.height
    _require(frame, ("positive", "score"), where)
    if threshold is None or not np.isfinite(threshold):
        fix = "give the one that was fixed beforehand, for example --threshold 0.5"
        raise ConfigError(f"{metric} needs a threshold", where="threshold", fix=fix)
    _refuse_two_rows(frame, where)
    wanted = metric == "sensitivity"
    assessed = frame.filter(pl.col("positive").is_not_null())
    kind = assessed.filter(pl.col("positive") == wanted)
    called = pl.col("score").cast(pl.Float64).fill_nan(None) >= threshold
    right = called if metric != "specificity" else ~called
    kept = kind.with_columns(value=right.cast(pl.Float64))
    gone = int(kept["value"].null_count())
    if missing == "worst":
        kept = kept.with_columns(pl.col("value").fill_null(1.0 if metric == "fpr" else 0.0))
    return kept.drop_nulls("value"), gone, frame.height - assessed.height


def _refuse_two_rows(frame: pl.DataFrame, where: str) -> None:
    twice = frame["case"].is_duplicated()
    if twice.any():
        case = frame["case"].filter(twice)[0]
        raise ConfigError(f"case {case!r} stands in two rows", where=where, fix="keep one")


def _require(frame: pl.DataFrame, columns: tuple[str, ...], where: str) -> None:
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        what = f"has no column {', '.join(absent)}"
        raise ConfigError(what, where=where, fix="give the table that the metric belongs to")


def _better(metric: str, definition: Definition | None, better: Better | None) -> Better:
    stated = definition.better if definition is not None else None
    if stated is not None:
        return stated
    if better is not None:
        return better
    if bounded(metric):
        return "higher"
    if metric.lower().startswith(_LOWER):
        return "lower"
    fix = "say so with --better higher or --better lower"
    raise ConfigError("it is not known which values are better", where=metric, fix=fix)
