"""Detectors by their FROC curves: sensitivity for lesions at rates of false positives per scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.comparison.patients import patient_of
from scalemai.evaluation.comparison.question import Question
from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.lesions.detections import Detections, detections
from scalemai.evaluation.lesions.froc import LUNA16_RATES, reading
from scalemai.evaluation.tables import Table, read_table
from scalemai.statistics.bca import FEWEST_CLUSTERS
from scalemai.statistics.resampled_tests import Resampled, resample

__all__ = ["CPM", "FrocDetector", "FrocPaired", "froc_detector", "froc_paired", "froc_rows"]

CPM = "mean of the rates (CPM)"
"""What stands for all rates together in the column ``at``."""

_OUT = ("not_assessed",)
_GONE = ("missing_prediction", "unusable_prediction")


@dataclass(frozen=True, eq=False)
class FrocDetector:
    """The tables `lesions` and `candidates` of one detector, and the scans that they are of.

    Parameters
    ----------
    algorithm, origin
        Its name, and the table of candidates that was read.
    lesions, candidates
        The tables.
    scans
        Structure to the scans in which it was assessed, each with its patient.
    gone
        Structure to the scans among them without usable prediction.
    definitions
        Of both tables.
    files
        Kind and SHA-256 of both files.
    """

    algorithm: str
    origin: Path
    lesions: pl.DataFrame
    candidates: pl.DataFrame
    scans: Mapping[str, Mapping[str, str]]
    gone: Mapping[str, frozenset[str]]
    definitions: tuple[Definition, ...]
    files: tuple[tuple[str, str], ...]

    def knowing_patients(self, patients: Mapping[str, str], where: Path) -> FrocDetector:
        """With the patient of each scan from a table.

        Raises
        ------
        ConfigError
            If the table and the results disagree.
        """
        known = {
            name: {
                case: patient_of(case, stated, patients, where, self.origin)
                for case, stated in scans.items()
            }
            for name, scans in self.scans.items()
        }
        return replace(self, scans=known)


@dataclass(frozen=True, eq=False)
class FrocPaired:
    """Several detectors on the scans that all of them have.

    Parameters
    ----------
    name
        Of the class.
    scans
        Scan to patient.
    found
        The lesions and candidates of each detector on these scans.
    missing
        Scans without prediction, by detector.
    unpaired
        Scan to the detectors that lack it.
    """

    name: str
    scans: Mapping[str, str]
    found: tuple[Detections, ...]
    missing: tuple[int, ...]
    unpaired: Mapping[str, str]

    def ends(self, algorithms: Sequence[str]) -> list[str]:
        """Remarks on curves that end below the highest rate."""
        said = []
        for one, algorithm in zip(self.found, algorithms, strict=True):
            end = one.false_scan.size / len(one.scans)
            if end < LUNA16_RATES[-1]:
                said.append(
                    f"froc of {self.name}: the curve of {algorithm} ends at {end:.3g} false "
                    "positives per scan; at higher rates its last sensitivity is used"
                )
        return said


def froc_detector(path: Path, algorithm: str) -> FrocDetector:
    """Read a detector from its table `candidates` and those beside it.

    Parameters
    ----------
    path
        ``candidates.parquet`` or ``candidates.csv``, or the folder of an evaluation.
    algorithm
        Its name.

    Raises
    ------
    ConfigError
        If there is no table `lesions` beside it, or nothing tells which scans were evaluated.
    UnreadableFileError
        If a file cannot be read.
    """
    candidates = path if path.is_file() else _beside(path, "", "candidates")
    folder = path.parent if path.is_file() else path
    lesions = _beside(folder, path.suffix, "lesions")
    if candidates is None or lesions is None:
        what = "has no tables candidates and lesions, without which there is no curve"
        raise ConfigError(what, where=path, fix="give the folder that scalemai evaluate wrote")
    tables = read_table(lesions), read_table(candidates)
    scans, gone = _scans(folder, path, tables)
    meant = {one.id: one for table in tables for one in table.definitions}
    files = [(one.stem, sha256(one.read_bytes()).hexdigest()) for one in (lesions, candidates)]
    return FrocDetector(
        algorithm, candidates, tables[0].frame, tables[1].frame, scans, gone,
        tuple(meant.values()), tuple(files),
    )  # fmt: skip


def froc_paired(detectors: Sequence[FrocDetector], name: str, question: Question) -> FrocPaired:
    """Put detectors side by side on the scans that all of them have.

    Raises
    ------
    ConfigError
        If no scan is common, or lesions or patients of a scan differ.
    UnknownNameError
        If a detector lacks the class.
    """
    for one in detectors:
        if name not in one.scans:
            error = UnknownNameError("class", name, sorted(one.scans))
            error.where = str(one.origin)
            raise error
    every = sorted({scan for one in detectors for scan in one.scans[name]})
    common = [scan for scan in every if all(scan in one.scans[name] for one in detectors)]
    if question.missing == "omit":
        common = [scan for scan in common if not any(scan in one.gone[name] for one in detectors)]
    if not common:
        what = f"no scan of {name} is common to all {len(detectors)} detectors"
        raise ConfigError(what, where="froc", fix="name cases alike")
    patients = {scan: _patient(scan, name, detectors) for scan in common}
    found = tuple(_restricted(one, name, patients) for one in detectors)
    for one, of in zip(detectors, found, strict=True):
        if not np.array_equal(np.sort(of.lesion_scan), np.sort(found[0].lesion_scan)):
            what = f"lesions of {name} differ between {detectors[0].algorithm} and {one.algorithm}"
            raise ConfigError(what, where=one.origin, fix="evaluate all with one reference")
    lacking = {
        scan: ", ".join(one.algorithm for one in detectors if scan not in one.scans[name])
        for scan in every
    }
    return FrocPaired(
        name,
        patients,
        found,
        tuple(len(one.gone[name] & set(common)) for one in detectors),
        {scan: names for scan, names in lacking.items() if names},
    )


def froc_rows(
    both: FrocPaired, algorithms: Sequence[str], question: Question, number: tuple[int, int]
) -> list[dict[str, Any]]:
    """A row per pair and rate, and one for the mean of the rates.

    Parameters
    ----------
    both
        The detectors side by side.
    algorithms
        Their names.
    question
        Level, margin, draws and seed.
    number
        Of metric and class, which give the draws their own stream.

    Returns
    -------
    list of dict
        Columns of the table ``detection_pairs``. Interval, test and equivalence are of the same
        resampled patients.
    """
    rates = np.asarray(LUNA16_RATES)
    labels = [*(f"{rate:g} per scan" for rate in LUNA16_RATES), CPM]
    names = np.array(list(both.scans.values()))
    units = np.unique(names[both.found[0].lesion_scan]).size
    margin, level = question.detection_margin("froc"), question.level
    rows = []
    for index, (i, j) in enumerate(combinations(range(len(algorithms)), 2)):
        read = [_of_scans(both.found[k], rates) for k in (i, j)]
        rng = np.random.default_rng([question.seed, *number, index])

        def values(
            weight: NDArray[np.float64], read: Sequence[Any] = tuple(read)
        ) -> NDArray[np.float64]:
            first, second = (one(weight) for one in read)
            return np.concatenate([first - second, first, second], axis=1)

        resampled = resample(values, names, rng=rng, draws=question.draws)
        width = len(labels)
        for k, label in enumerate(labels):
            row = {
                "metric": "froc", "class": both.name, "at": label,
                "first": algorithms[i], "second": algorithms[j],
                "n_cases": len(both.scans), "n": resampled[k].n,
                "positives": both.found[0].lesion_scan.size,
                "missing_first": both.missing[i], "missing_second": both.missing[j],
                "margin": margin,
            }  # fmt: skip
            tested = _tested(resampled[k], units, margin, level)
            ends = resampled[width + k].value, resampled[2 * width + k].value
            if tested["difference"] is not None:
                row |= {"value_first": ends[0], "value_second": ends[1]}
            rows.append(row | tested)
    return rows


def _tested(one: Resampled, units: int, margin: float, level: float) -> dict[str, Any]:
    if np.isnan(one.value):
        return {"difference": None, "reason": "there are no lesions that count"}
    if units < FEWEST_CLUSTERS:
        who = "1 patient with lesions is" if units == 1 else f"{units} patients with lesions are"
        reason = f"{who} too few to resample (at least {FEWEST_CLUSTERS})"
        return {"difference": one.value, "reason": reason}
    interval = one.interval(1 - level)
    equal = one.tost(margin, level=level)
    return {
        "difference": one.value,
        "difference_low": interval.low, "difference_high": interval.high,
        "resampled_low": interval.low, "resampled_high": interval.high,
        "method": "patient bootstrap", "p": one.p(),
        "p_equivalent": equal.p,
        "equivalence_low": equal.difference.low, "equivalence_high": equal.difference.high,
        "reason": interval.reason or None,
    }  # fmt: skip


def _of_scans(found: Detections, rates: NDArray[np.float64]) -> Any:
    """Sensitivities at the rates, and their mean, for weights of scans (draws, scans)."""
    scan = np.concatenate([found.lesion_scan, found.false_scan, np.arange(len(found.scans))])
    read = reading(found, rates)
    return lambda weight: read(weight[:, scan])


def _restricted(one: FrocDetector, name: str, scans: Mapping[str, str]) -> Detections:
    kept = pl.col("case").cast(pl.String).is_in(list(scans))
    lesions, candidates = one.lesions.filter(kept), one.candidates.filter(kept)
    return detections(lesions, candidates, scans=scans, structure=name)


def _patient(scan: str, name: str, detectors: Sequence[FrocDetector]) -> str:
    said = {one.scans[name][scan] for one in detectors} - {scan}
    if len(said) > 1:
        what = f"case {scan!r} is of patient {' and '.join(sorted(said))}"
        raise ConfigError(what, where="froc", fix="check the column patient")
    return said.pop() if said else scan


def _beside(folder: Path, ending: str, kind: str) -> Path | None:
    endings = dict.fromkeys(one for one in (ending, ".parquet", ".csv") if one)
    return next((path for end in endings if (path := folder / f"{kind}{end}").is_file()), None)


def _scans(
    folder: Path, path: Path, tables: tuple[Table, Table]
) -> tuple[dict[str, dict[str, str]], dict[str, frozenset[str]]]:
    """The scans of each structure: those without lesions and candidates count too."""
    of = {kind: _beside(folder, path.suffix, kind) for kind in ("structures", "patients")}
    structures, patients = (
        None if file is None else read_table(file) for file in (of["structures"], of["patients"])
    )
    if structures is not None and {"case", "structure", "state"} <= set(structures.frame.columns):
        rows = structures.frame.filter(~pl.col("state").is_in(_OUT))
        gone = pl.col("state").is_in(_GONE)
    else:
        needed = {"case", "structure", "positive", "score"}
        if patients is None or not needed <= set(patients.frame.columns):
            what = "has no table structures or patients beside it that lists its scans"
            fix = "give the folder that scalemai evaluate wrote"
            raise ConfigError(what, where=path, fix=fix)
        rows = patients.frame.filter(pl.col("positive").is_not_null())
        gone = pl.col("score").is_null()
    names = {str(one) for table in tables for one in table.frame["structure"].drop_nulls().unique()}
    case = pl.col("case").cast(pl.String)
    patient = case
    if "patient" in rows.columns:
        patient = pl.coalesce(pl.col("patient").cast(pl.String), case)
    scans, without = {}, {}
    for name in sorted(names):
        own = rows.filter(pl.col("structure") == name)
        scans[name] = dict(own.select(case, patient.alias("of")).rows())
        without[name] = frozenset(own.filter(gone)["case"].cast(pl.String))
    return scans, without
