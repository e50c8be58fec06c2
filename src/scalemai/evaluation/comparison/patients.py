"""Whose scans the cases are, where the results themselves do not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from scalemai.errors import ConfigError
from scalemai.evaluation.comparison.results import Results
from scalemai.evaluation.tables import read_table

__all__ = ["patient_of", "read_patients", "unknown", "with_patients"]


def read_patients(path: Path) -> dict[str, str]:
    """Read the patient of each case.

    Parameters
    ----------
    path
        CSV or Parquet with columns ``case`` and ``patient``; others are not looked at. A row
        without a patient says nothing.

    Raises
    ------
    ConfigError
        If a column is absent, a row names no case, or a case has two patients.
    UnreadableFileError
        If it cannot be read.
    """
    frame = read_table(path).frame
    absent = [name for name in ("case", "patient") if name not in frame.columns]
    if absent:
        what = f"has no column {', '.join(absent)} (it has {', '.join(frame.columns[:6])})"
        raise ConfigError(what, where=path, fix="give a row per case, with its patient")
    names = frame.select(pl.col("case", "patient").cast(pl.String).str.strip_chars())
    unnamed = names["case"].fill_null("").eq("").arg_true()
    if len(unnamed):
        what = f"row {int(unnamed[0]) + 1} of {len(names)} names no case"
        raise ConfigError(what, where=path, fix="fill the column case")
    patients: dict[str, str] = {}
    for case, patient in names.rows():
        if not patient:
            continue
        if patients.setdefault(case, patient) != patient:
            what = f"case {case!r} is of patient {patients[case]!r} and of {patient!r}"
            raise ConfigError(what, where=path, fix="check the column patient")
    return patients


def with_patients(
    results: Sequence[Results], patients: Mapping[str, str], where: Path
) -> tuple[tuple[Results, ...], tuple[str, ...]]:
    """Results that know the patient of each case.

    Parameters
    ----------
    results
        What is compared.
    patients
        Case to patient; a case that it does not have keeps the patient that it has.
    where
        The file that says so, named in errors and remarks.

    Returns
    -------
    tuple
        The results, and a remark if some cases are not in the file.

    Raises
    ------
    ConfigError
        If it has none of the cases, or results say another patient.
    """
    notes = unknown([case for one in results for case in one.cases], patients, where)
    known = tuple(
        replace(
            one,
            patients=tuple(
                patient_of(case, patient, patients, where, one.origin)
                for case, patient in zip(one.cases, one.patients, strict=True)
            ),
        )
        for one in results
    )
    return known, notes


def unknown(cases: Sequence[str], patients: Mapping[str, str], where: Path) -> tuple[str, ...]:
    """A remark if some cases have no patient.

    Raises
    ------
    ConfigError
        If none has.
    """
    every = dict.fromkeys(cases)
    lost = [case for case in every if case not in patients]
    if not lost:
        return ()
    if len(lost) == len(every):
        what = f"names the patient of none of the {len(every):,} cases (for example {lost[0]!r})"
        raise ConfigError(what, where=where, fix="name cases as the results do")
    what = f"{len(lost):,} of {len(every):,} cases have no patient (for example {lost[0]!r})"
    return (f"{where.name}: {what}; they stay with what the results say, or are their own",)


def patient_of(
    case: str, stated: str, patients: Mapping[str, str], where: Path, origin: Path
) -> str:
    """The patient of a case, by the file and by the results, which state the case if unknown.

    Raises
    ------
    ConfigError
        If they disagree.
    """
    patient = patients.get(case, stated)
    if stated not in (case, patient):
        what = f"case {case!r} is of patient {patient!r}, but of {stated!r} in {origin}"
        raise ConfigError(what, where=where, fix="check the column patient")
    return patient
