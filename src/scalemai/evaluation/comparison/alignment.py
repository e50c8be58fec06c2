"""Pairing by name: the same cases for every algorithm, and what is done about what is missing.

Rows are never paired by their number: files differ in order and length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.evaluation.comparison.results import Results, refuse_twice
from scalemai.evaluation.comparison.scale import Better

__all__ = ["OVER_CLASSES", "Aligned", "Missing", "Scope", "align", "policy_in_words", "scopes"]

Missing = Literal["worst", "omit"]

OVER_CLASSES = "mean of classes"
"""Name of the comparison of each case's mean over its classes."""

_UNBOUNDED = "worst that any algorithm reached in this class"


@dataclass(frozen=True, eq=False)
class Aligned:
    """One metric of several algorithms on all cases that any of them has.

    Parameters
    ----------
    algorithms, cases, classes
        Names along the axes; cases sorted by name.
    patients
        Patient of each case.
    values
        Array (cases, algorithms, classes) in the unit of the metric; NaN where there is none.
    present
        Array (cases, algorithms): whether the case is in the list of the algorithm.
    undefined
        Array (cases, classes): no algorithm can have a value, because the reference is empty or
        was not assessed; also where every algorithm that has the case leaves the cell empty.
    better
        Which values are better.
    notes
        Remarks to be shown.
    """

    algorithms: tuple[str, ...]
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    classes: tuple[str, ...]
    values: NDArray[np.float64]
    present: NDArray[np.bool_]
    undefined: NDArray[np.bool_]
    better: Better
    notes: tuple[str, ...]

    @property
    def common(self) -> NDArray[np.bool_]:
        """Array (cases,): whether every algorithm has the case."""
        return np.asarray(self.present.all(axis=1))

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Array (cases, algorithms, classes): no value on a common case where one is expected."""
        expected = self.common[:, None, None] & ~self.undefined[:, None, :]
        missing: NDArray[np.bool_] = expected & np.isnan(self.values)
        return missing


@dataclass(frozen=True, eq=False)
class Scope:
    """What one family of tests rests on: a class, or the mean of classes.

    Parameters
    ----------
    name
        Of the class, or :data:`OVER_CLASSES`.
    cases, patients
        Of the rows.
    values
        Array (cases, algorithms) in the unit of the metric, after the policy for missing values;
        NaN only where they are omitted.
    raw
        Array (all cases, algorithms) of the values as they were read, for tests that pair what
        two algorithms share.
    filled
        Array (algorithms,): how many values were missing.
    """

    name: str
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    values: NDArray[np.float64]
    raw: NDArray[np.float64]
    filled: NDArray[np.intp]


def align(results: Sequence[Results], better: Better, classes: Sequence[str] = ()) -> Aligned:
    """Put the results of several algorithms side by side.

    Parameters
    ----------
    results
        At least two, of different names.
    better
        Which values are better.
    classes
        Those to compare; by default all that every algorithm has.

    Raises
    ------
    ConfigError
        If there are fewer than two algorithms, two share a name, a patient differs between
        files, or no case is common to all: tests of unpaired cases are refused.
    UnknownNameError
        If an algorithm lacks a class that was asked for.
    """
    if len(results) < 2:
        fix = "give the results of at least two algorithms"
        raise ConfigError(f"{len(results)} algorithm is nothing to compare", fix=fix)
    refuse_twice([one.algorithm for one in results], "algorithm", results[-1].origin)
    chosen, notes = _classes(results, classes)
    patients: dict[str, str] = {}
    for one in results:
        patients = _merged(patients, one)
    cases = tuple(sorted(patients))
    row = {case: index for index, case in enumerate(cases)}
    values = np.full((len(cases), len(results), len(chosen)), np.nan)
    present = np.zeros((len(cases), len(results)), dtype=np.bool_)
    undefined = np.zeros((len(cases), len(chosen)), dtype=np.bool_)
    for index, one in enumerate(results):
        at = np.array([row[case] for case in one.cases], dtype=np.intp)
        columns = [one.classes.index(name) for name in chosen]
        values[at, index] = one.values[:, columns]
        present[at, index] = True
        undefined[at] |= one.undefined[:, columns]
    undefined = np.logical_or(undefined, np.isnan(values).all(axis=1))
    aligned = Aligned(
        tuple(one.algorithm for one in results),
        cases,
        tuple(patients[case] for case in cases),
        chosen,
        values,
        present,
        undefined,
        better,
        (*(note for one in results for note in one.notes), *notes),
    )
    _refuse_unpaired(aligned, results)
    return aligned


def scopes(aligned: Aligned, missing: Missing) -> tuple[Scope, ...]:
    """What is compared: each class, and with several classes the mean of each case over them.

    Parameters
    ----------
    aligned
        Algorithms side by side.
    missing
        ``"worst"`` gives a missing value the worst one possible: 0 where higher is better, and
        the worst that any algorithm reached in that class where lower is better, as distances
        have no bound. ``"omit"`` leaves such cases out of the pairs concerned; means over
        classes then leave the class of that case out for every algorithm.

    Returns
    -------
    tuple of Scope
        Classes in their order, then the mean of classes. Classes and cases are never pooled as
        if they were independent.
    """
    common, gone = aligned.common, aligned.missing
    policy = aligned.values.copy()
    if missing == "worst":
        for index in range(len(aligned.classes)):
            column = policy[:, :, index]
            column[gone[:, :, index]] = _worst(column[common], aligned.better)
    made = []
    for index, name in enumerate(aligned.classes):
        rows = np.asarray(common & ~aligned.undefined[:, index])
        made.append(
            _scope(
                aligned,
                name,
                rows,
                policy[:, :, index],
                aligned.values[:, :, index],
                gone[:, :, index],
            )
        )
    if len(aligned.classes) > 1:
        # A cell that is empty for one algorithm is left out for all: means of the same classes.
        cells = np.asarray(np.isfinite(policy).all(axis=1)) & common[:, None] & ~aligned.undefined
        rows = np.asarray(cells.any(axis=1))
        shown = np.where(cells[:, None, :], policy, 0.0).sum(axis=2)
        means = shown / np.maximum(cells.sum(axis=1), 1)[:, None]
        raw = np.where(rows[:, None], means, np.nan)
        made.append(_scope(aligned, OVER_CLASSES, rows, means, raw, np.asarray(gone.any(axis=2))))
    return tuple(made)


def policy_in_words(better: Better, missing: Missing) -> str:
    """What is done about a missing value."""
    if missing == "omit":
        return "pairs with a missing value are left out"
    return "counts as 0" if better == "higher" else f"counts as the {_UNBOUNDED}"


def _scope(
    aligned: Aligned,
    name: str,
    rows: NDArray[np.bool_],
    policy: NDArray[np.float64],
    raw: NDArray[np.float64],
    gone: NDArray[np.bool_],
) -> Scope:
    kept = np.flatnonzero(rows)
    return Scope(
        name,
        tuple(aligned.cases[index] for index in kept),
        tuple(aligned.patients[index] for index in kept),
        policy[kept],
        raw,
        gone.sum(axis=0).astype(np.intp),
    )


def _worst(values: NDArray[np.float64], better: Better) -> float:
    if better == "higher":
        return 0.0
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else 0.0


def _classes(results: Sequence[Results], asked: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    refuse_twice(list(asked), "class", results[0].origin)
    for name in asked:
        for one in results:
            if name not in one.classes:
                error = UnknownNameError("class", name, one.classes)
                error.where = str(one.origin)
                raise error
    if asked:
        return tuple(asked), []
    shared = tuple(
        name for name in results[0].classes if all(name in one.classes for one in results)
    )
    if not shared:
        fix = f"it has {', '.join(results[0].classes[:5])}; name classes alike"
        raise ConfigError("no class is common to all algorithms", fix=fix)
    every = dict.fromkeys(name for one in results for name in one.classes)
    lost = [name for name in every if name not in shared]
    if not lost:
        return shared, []
    return shared, [f"not in every algorithm and left out: {', '.join(lost)}"]


def _merged(patients: dict[str, str], one: Results) -> dict[str, str]:
    """Add the cases of an algorithm; files that know the patient win over those that do not."""
    merged = dict(patients)
    for case, patient in zip(one.cases, one.patients, strict=True):
        before = merged.get(case, case)
        if before != case and patient not in (case, before):
            what = f"case {case!r} is of patient {before!r} in one file and {patient!r} in another"
            raise ConfigError(what, where=one.origin, fix="check the column patient")
        merged[case] = patient if before == case else before
    return merged


def _refuse_unpaired(aligned: Aligned, results: Sequence[Results]) -> None:
    if aligned.common.any():
        return
    examples = [f"{one.algorithm}: {one.cases[0]!r}" for one in results if one.cases][:2]
    for one in results:
        if not one.cases:
            raise ConfigError("holds no cases", where=one.origin)
    what = f"no case is common to all {len(results)} algorithms, so nothing can be paired"
    raise ConfigError(what, fix=f"name cases alike (for example {', '.join(examples)})")
