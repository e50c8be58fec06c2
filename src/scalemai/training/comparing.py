"""Two detectors on the same scans: lesion by lesion, what was gained and what was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.evaluation.lesions.resampling import supported, with_exact_end
from scalemai.evaluation.report import Cell, TableBlock
from scalemai.statistics.bootstrap import cluster_weights_bootstrap
from scalemai.statistics.estimate import Estimate, not_computed
from scalemai.training.sampling import BINS
from scalemai.training.watching import FLOOR, RULE, Seen

__all__ = ["ALL", "Comparison", "Pair", "before_and_after"]

ALL = "all"
_AS_FOUND = 0.5  # the score from which a candidate is a finding, unless told otherwise

_Floats = NDArray[np.float64]
_Statistic = Callable[[_Floats], _Floats]


@dataclass(frozen=True, eq=False)
class Pair:
    """What two detectors found in the same scans.

    Parameters
    ----------
    before, after
        Of the same scans and lesions.

    Raises
    ------
    ValueError
        If they are not.
    """

    before: Seen
    after: Seen

    def __post_init__(self) -> None:
        for name in ("hosts", "lesion_scan", "diameter_mm"):
            if not np.array_equal(getattr(self.before, name), getattr(self.after, name)):
                raise ValueError(f"the two are of other scans or lesions: {name} differ")

    def moved(self, rate: float) -> tuple[int, int]:
        """Lesions that are found after but not before at a rate, and the reverse."""
        before, after = self.before.found(rate), self.after.found(rate)
        return int((after & ~before).sum()), int((before & ~after).sum())


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two detectors found in the scans of several groups.

    Parameters
    ----------
    groups
        By name.
    rate
        False candidates per scan at which each detector is read, at a threshold of its own.
    """

    groups: Mapping[str, Pair]
    rate: float

    @property
    def lesions(self) -> pl.DataFrame:
        """A row per lesion: ``group, host, diameter_mm, size``, found ``before`` and ``after``."""
        frames = [
            pl.DataFrame(
                {
                    "group": [group] * pair.before.score.size,
                    "host": pair.before.hosts[pair.before.lesion_scan].tolist(),
                    "diameter_mm": pair.before.diameter_mm,
                    "size": [BINS.label_of(float(mm)) for mm in pair.before.diameter_mm],
                    "before": pair.before.found(self.rate),
                    "after": pair.after.found(self.rate),
                },
                {
                    "group": pl.String, "host": pl.String, "diameter_mm": pl.Float64,
                    "size": pl.String, "before": pl.Boolean, "after": pl.Boolean,
                },
            )
            for group, pair in self.groups.items()
        ]  # fmt: skip
        return pl.concat(frames)

    @property
    def scans(self) -> int:
        """Number of scans of all groups."""
        return sum(pair.before.hosts.size for pair in self.groups.values())

    def rows(self, *, seed: int = 0, draws: int = 1000) -> list[dict[str, Any]]:
        """For each group: sensitivity of all lesions and by size, and false candidates per scan.

        Columns ``group, what, size, n``, estimates ``before, after, change``, and how many lesions
        were ``gained`` and ``lost`` (None for rates). Intervals resample hosts with all their
        scans, lesions and false candidates, and read both detectors at the rate in each draw; the
        change is that of the same lesions in the same draws.
        """
        return [
            row
            for group, pair in self.groups.items()
            for row in (
                *_sensitivities(group, pair, self.rate, seed, draws),
                _false(group, pair, seed, draws),
            )
        ]


def before_and_after(rows: Sequence[Mapping[str, Any]]) -> TableBlock:
    """Rows of a comparison as a table of a page."""
    cells: list[list[Cell]] = [
        [f"{row['group']}: {row['what']}", row["n"], row["before"], row["after"], row["change"]]
        for row in rows
    ]
    caption = (
        "Synthetic lesions of fixed seeds in whole scans that neither the training nor the choice "
        "of weights used, the same before and after. A candidate begins at a probability of "
        f"{FLOOR:g} and hits a lesion at {RULE}; each detector is read at the threshold that gives "
        "the rate. n counts lesions or scans; intervals resample hosts. This is no claim about "
        "patients."
    )
    return TableBlock(["what", "n", "before", "after", "change"], cells, caption)


def _sensitivities(
    group: str, pair: Pair, rate: float, seed: int, draws: int
) -> list[dict[str, Any]]:
    sizes = np.array([BINS.label_of(float(mm)) for mm in pair.before.diameter_mm], np.str_)
    before, after = pair.before.found(rate), pair.after.found(rate)
    rows = []
    for size in (ALL, *BINS.labels):
        some = np.ones(sizes.size, np.bool_) if size == ALL else sizes == size
        if not some.any() and size != ALL:
            continue
        shares = _estimates(pair, partial(_read, rate=rate, some=some), some, seed, draws)
        rows.append(
            {
                "group": group,
                "what": f"sensitivity at {rate:g} false candidates per scan, {size}",
                "size": size,
                "n": int(some.sum()),
                **shares,
                "gained": int((after & ~before & some).sum()),
                "lost": int((before & ~after & some).sum()),
            }
        )
    return rows


def _false(group: str, pair: Pair, seed: int, draws: int) -> dict[str, Any]:
    def counted(seen: Seen) -> _Statistic:
        called = seen.false_score >= _AS_FOUND

        def per_scan(weights: _Floats) -> _Floats:
            lesions, events = seen.score.size, seen.score.size + seen.false_score.size
            return np.asarray(
                weights[:, lesions:events][:, called].sum(axis=1) / weights[:, events:].sum(axis=1)
            )

        return per_scan

    return {
        "group": group,
        "what": f"false candidates per scan at a probability of {_AS_FOUND:g}",
        "size": None,
        "n": pair.before.hosts.size,
        **_estimates(pair, counted, None, seed, draws),
        "gained": None,
        "lost": None,
    }


def _read(seen: Seen, rate: float, some: NDArray[np.bool_]) -> _Statistic:
    """Sensitivity at the rate for weights of lesions, false candidates and scans."""

    def sensitivity(weights: _Floats) -> _Floats:
        called = seen.score > seen.limits(rate, weights)[:, None]
        own = weights[:, : seen.score.size] * some
        return np.asarray((own * called).sum(axis=1) / own.sum(axis=1))

    return sensitivity


def _estimates(
    pair: Pair,
    of: Callable[[Seen], _Statistic],
    lesions: NDArray[np.bool_] | None,
    seed: int,
    draws: int,
) -> dict[str, Estimate]:
    """Before, after and change; ``lesions`` are those that a share is of, None for no share."""
    if lesions is not None and not lesions.any():
        none = not_computed("there are no lesions")
        return {"before": none, "after": none, "change": none}
    parts = (pair.before, pair.after)
    middle = parts[0].units.size
    statistics = (of(parts[0]), of(parts[1]))
    both = np.concatenate([parts[0].units, parts[1].units])

    def change(weights: _Floats) -> _Floats:
        return statistics[1](weights[:, middle:]) - statistics[0](weights[:, :middle])

    def estimated(statistic: _Statistic, units: NDArray[np.str_]) -> Estimate:
        rng = np.random.default_rng(seed)  # the same resamples of hosts for all three
        return cluster_weights_bootstrap(statistic, units, rng=rng, draws=draws)

    found = {
        "before": estimated(statistics[0], parts[0].units),
        "after": estimated(statistics[1], parts[1].units),
        "change": estimated(change, both),
    }
    if lesions is None:
        return found
    units = np.unique(parts[0].hosts[parts[0].lesion_scan[lesions]]).size
    return {
        name: supported(one, units) if name == "change" else with_exact_end(one, units)
        for name, one in found.items()
    }
