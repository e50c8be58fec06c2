"""Both tables of one structure as arrays, checked, with every scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.patients.rows import require_one_algorithm
from scalemai.evaluation.patients.threshold import Threshold

__all__ = ["Detections", "Duplicates", "Scans", "detections", "score_of"]

Duplicates = Literal["ignore", "false_positive"]
"""What further candidates on a lesion that is found count as: nothing, as LUNA16 does, or false
positives."""

Scans = Sequence[str] | Mapping[str, str]
"""Every scan that was evaluated, those without lesions too; or scan to patient."""

_LESIONS = {"case": pl.String, "structure": pl.String, "lesion": pl.Int64, "detected": pl.Boolean}
_CANDIDATES = {"case": pl.String, "structure": pl.String, "verdict": pl.String}
_VERDICTS = ("true_positive", "false_positive", "duplicate", "ignored")


@dataclass(frozen=True, eq=False)
class Detections:
    """Lesions that count and candidates, of one algorithm.

    Parameters
    ----------
    scans, patients
        Names of all scans, and patient of each.
    lesion_scan, lesion_found, lesion_score, lesion_mm
        Arrays (lesions,): place of the scan, whether a candidate hits it, the highest score of
        those (minus infinity if missed), longest axial diameter in mm (NaN if not in the table).
    hit_scan, hit_score
        Arrays of the candidates that are true positives.
    false_scan, false_score
        Arrays of the candidates that are false positives.
    scored
        Whether there are scores; without, all candidates have a score of 1.
    """

    scans: tuple[str, ...]
    patients: NDArray[np.str_]
    lesion_scan: NDArray[np.intp]
    lesion_found: NDArray[np.bool_]
    lesion_score: NDArray[np.float64]
    lesion_mm: NDArray[np.float64]
    hit_scan: NDArray[np.intp]
    hit_score: NDArray[np.float64]
    false_scan: NDArray[np.intp]
    false_score: NDArray[np.float64]
    scored: bool

    def called_lesions(self, threshold: Threshold | None) -> NDArray[np.bool_]:
        """Which lesions are found by candidates that are called; without threshold, all are.

        Raises
        ------
        ConfigError
            If there is a threshold but there are no scores.
        """
        return self.lesion_found & self._called(self.lesion_score, threshold)

    def called_hits(self, threshold: Threshold | None) -> NDArray[np.bool_]:
        """Which true positives are called, as of :meth:`called_lesions`."""
        return self._called(self.hit_score, threshold)

    def called_false(self, threshold: Threshold | None) -> NDArray[np.bool_]:
        """Which false positives are called, as of :meth:`called_lesions`."""
        return self._called(self.false_score, threshold)

    def _called(self, score: NDArray[np.float64], threshold: Threshold | None) -> NDArray[np.bool_]:
        if threshold is None:
            return np.ones(score.size, np.bool_)
        if not self.scored:
            what = f"the threshold {threshold.value:g} needs scores, and the candidates have none"
            raise ConfigError(what, fix="evaluate probability maps")
        return threshold.called(score)


def detections(
    lesions: pl.DataFrame,
    candidates: pl.DataFrame,
    *,
    scans: Scans | None,
    structure: str | None = None,
    duplicates: Duplicates = "ignore",
) -> Detections:
    """Take the tables `lesions` and `candidates` apart.

    Parameters
    ----------
    lesions, candidates
        The tables, of one algorithm.
    scans
        Every scan that was evaluated. Given as a sequence, a scan belongs to the patient that the
        tables name, else to a patient of its own. None stands for the cases in the tables, for
        numbers in which scans without lesions and candidates play no role.
    structure
        Which structure; None for all of them together. A structure that neither table has was
        neither drawn nor predicted in any scan.
    duplicates
        What duplicates count as.

    Raises
    ------
    ConfigError
        If there are no scans, a scan, lesion or candidate is listed twice, a row is of a scan
        that is not listed, there are several algorithms, a column is missing, a verdict is not
        known, a lesion that counts has no ``detected``, a score is NaN, or some rows have a
        score and others have none.
    """
    own = _taken(lesions, _LESIONS, "lesions", structure)
    tried = _taken(candidates, _CANDIDATES, "candidates", structure)
    if scans is None:
        scans = pl.concat([own["case"], tried["case"]]).drop_nulls().unique().sort().to_list()
    elif not scans:
        raise ConfigError("there are no scans", fix="list every scan that was evaluated")
    names = tuple(scans)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError("the scan is listed twice", where=twice)
    if duplicates not in ("ignore", "false_positive"):
        raise UnknownNameError("treatment of duplicates", duplicates, ("ignore", "false_positive"))
    _require_listed(own, "lesions", names)
    _require_listed(tried, "candidates", names)
    stray = tried.filter(~pl.col("verdict").is_in(_VERDICTS))
    if stray.height:
        raise UnknownNameError("verdict", str(stray["verdict"][0]), _VERDICTS)
    own = own.filter(~pl.col("ignored").fill_null(value=False)) if "ignored" in own.columns else own
    if own["detected"].is_null().any():
        where = own.filter(pl.col("detected").is_null())["case"][0]
        raise ConfigError("a lesion is neither detected nor missed nor ignored", where=where)
    wrong = (
        ["false_positive", "duplicate"] if duplicates == "false_positive" else ["false_positive"]
    )
    hits = tried.filter(pl.col("verdict") == "true_positive")
    false = tried.filter(pl.col("verdict").is_in(wrong))
    found = own["detected"].to_numpy().astype(np.bool_)
    raw = [score_of(own.filter(pl.col("detected"))), score_of(hits), score_of(false)]
    empty = [np.isnan(score) for score in raw if score.size]
    scored = not all(part.all() for part in empty) if empty else True
    if scored and any(part.any() for part in empty):
        what = "some rows have a score and others have none"
        raise ConfigError(what, fix="evaluate probability maps of all scans, or of none")
    of_found, of_hits, of_false = (score if scored else np.ones_like(score) for score in raw)
    score = np.full(found.size, -np.inf)
    score[found] = of_found
    place = {name: index for index, name in enumerate(names)}
    return Detections(
        names,
        _patients(names, scans, [own, tried]),
        _places(own, place),
        found,
        score,
        _diameters(own),
        _places(hits, place),
        of_hits,
        _places(false, place),
        of_false,
        scored,
    )


def score_of(frame: pl.DataFrame) -> NDArray[np.float64]:
    """Scores of rows; NaN where there is none.

    Raises
    ------
    ConfigError
        If a score is NaN in the table.
    """
    if "score" not in frame.columns:
        return np.full(frame.height, np.nan)
    score = frame["score"].cast(pl.Float64)
    if score.is_nan().any():
        raise ConfigError("a score is NaN", fix="leave a score that is not known empty")
    return score.fill_null(np.nan).to_numpy().astype(np.float64)


def _taken(
    frame: pl.DataFrame,
    needed: Mapping[str, type[pl.DataType]],
    kind: str,
    structure: str | None,
) -> pl.DataFrame:
    """The rows of one structure, with the columns that are needed."""
    absent = [name for name in needed if name not in frame.columns]
    if absent:
        what = f"the table of {kind} has no column {', '.join(absent)}"
        raise ConfigError(what, fix=f"it needs {', '.join(needed)}")
    require_one_algorithm(frame)
    # A table without rows may have lost its types on the way.
    rows = frame.with_columns(pl.col(name).cast(dtype) for name, dtype in needed.items())
    return rows if structure is None else rows.filter(pl.col("structure") == structure)


def _require_listed(rows: pl.DataFrame, kind: str, scans: Sequence[str]) -> None:
    """Refuse rows of other scans, and rows that are there twice."""
    stray = rows.filter(~pl.col("case").is_in(list(scans)) | pl.col("case").is_null())
    if stray.height:
        what = f"the table of {kind} has a row of case {stray['case'][0]!r}, which is not listed"
        raise ConfigError(what, fix="list every scan that was evaluated")
    number = kind.removesuffix("s")
    if number in rows.columns:
        again = rows.filter(pl.struct("case", "structure", number).is_duplicated())
        if again.height:
            what = f"{number} {again[number][0]} of {again['structure'][0]} is listed twice"
            raise ConfigError(what, where=str(again["case"][0]))


def _patients(
    names: Sequence[str], scans: Scans, tables: Sequence[pl.DataFrame]
) -> NDArray[np.str_]:
    known = dict(scans) if isinstance(scans, Mapping) else {}
    if not known:
        for table in tables:
            if "patient" not in table.columns:
                continue
            for case, patient in table.select("case", "patient").unique().drop_nulls().rows():
                if known.setdefault(case, str(patient)) != str(patient):
                    what = f"it belongs to both {known[case]!r} and {patient!r}"
                    raise ConfigError(what, where=case)
    # A scan whose patient is not known is a patient of its own.
    return np.array([str(known.get(name, name)) for name in names], dtype=np.str_)


def _places(frame: pl.DataFrame, place: Mapping[str, int]) -> NDArray[np.intp]:
    return np.array([place[case] for case in frame["case"].to_list()], dtype=np.intp)


def _diameters(frame: pl.DataFrame) -> NDArray[np.float64]:
    if "diameter_mm" not in frame.columns:
        return np.full(frame.height, np.nan)
    return frame["diameter_mm"].cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)
