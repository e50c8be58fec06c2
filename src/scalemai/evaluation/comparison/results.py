"""The values of one metric that one algorithm reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import ConfigError
from scalemai.evaluation.definitions import Definition

__all__ = ["Results", "refuse_twice"]


@dataclass(frozen=True, eq=False)
class Results:
    """One metric of one algorithm, a row per case and a column per class.

    Parameters
    ----------
    algorithm
        Its name, unique among those that are compared.
    origin
        The file that was read.
    cases, patients
        Names of the rows, and the patient of each; the case itself where patients are not known.
    classes
        Names of the columns.
    values
        Array (cases, classes) in the unit of the metric; NaN where there is no value.
    undefined
        Array (cases, classes) of booleans: no value is expected, because the reference is empty
        or was not assessed. False for a value that is merely missing.
    definition
        What the metric means, where the file says so.
    notes
        Remarks to be shown.
    settings
        How our evaluation made it; empty for published files.
    """

    algorithm: str
    origin: Path
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    classes: tuple[str, ...]
    values: NDArray[np.float64]
    undefined: NDArray[np.bool_]
    definition: Definition | None = None
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def refuse_twice(names: list[str], what: str, where: Path) -> None:
    """Refuse a name that stands twice: it cannot be known which of them is meant.

    Raises
    ------
    ConfigError
        Naming the first such name and how many there are.
    """
    double = [name for name, times in Counter(names).items() if times > 1]
    if double:
        more = f" (and {len(double) - 1} more)" if len(double) > 1 else ""
        what = f"the {what} {double[0]!r}{more} stands there twice"
        raise ConfigError(what, where=where, fix="keep the one that is meant")
