"""Two detectors on the same scans: lesion by lesion, what was gained and what was lost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.evaluation.report import Cell, TableBlock
from scalemai.statistics.bootstrap import cluster_mean
from scalemai.statistics.estimate import Estimate
from scalemai.statistics.proportions import cluster_proportion
from scalemai.training.sampling import BINS
from scalemai.training.watching import FLOOR, RULE, Seen

__all__ = ["ALL", "Comparison", "Pair", "before_and_after", "paired_change"]

ALL = "all"
_AS_FOUND = 0.5  # the score from which a candidate is a finding, unless told otherwise


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

    @property
    def is_one(self) -> bool:
        """Whether both are the same detector."""
        return self.before is self.after

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

    def rows(self, *, seed: int = 0) -> list[dict[str, Any]]:
        """For each group: sensitivity of all lesions and by size, and false candidates per scan.

        Columns ``group, what, size, n``, estimates ``before, after, change``, and how many lesions
        were ``gained`` and ``lost`` (None for rates). Intervals know that lesions of one host
        belong together, see :func:`paired_change` for the change; they take the threshold of each
        detector as given. ``seed`` is of the resamples of rates.
        """
        return [
            row
            for group, pair in self.groups.items()
            for row in (*_sensitivities(group, pair, self.rate), _false(group, pair, seed))
        ]


def paired_change(
    before: NDArray[np.bool_], after: NDArray[np.bool_], hosts: NDArray[np.str_]
) -> Estimate:
    """The share of lesions gained less that of lesions lost, for the same lesions twice.

    Parameters
    ----------
    before, after
        Arrays (lesions,): whether each is found.
    hosts
        Array (lesions,): the host of each.

    Returns
    -------
    Estimate
        Both shares have the interval of :func:`~scalemai.statistics.proportions.cluster_proportion`
        and are negatively correlated, since no lesion is gained and lost; that of the difference
        is made of these (Zou and Donner, Stat Med 2008;27:1693). None where theirs is none.
    """
    one = np.ones(before.size)
    gained = cluster_proportion(after & ~before, one, hosts)
    lost = cluster_proportion(before & ~after, one, hosts)
    if gained.value is None or lost.value is None:
        return gained
    change = gained.value - lost.value
    if gained.low is None or gained.high is None or lost.low is None or lost.high is None:
        return replace(gained, value=change)
    apart = (1.0 - gained.value) * (1.0 - lost.value)
    together = -math.sqrt(gained.value * lost.value / apart) if apart > 0.0 else 0.0
    reach = [
        math.sqrt(max(own**2 + other**2 - 2.0 * together * own * other, 0.0))
        for own, other in (
            (gained.value - gained.low, lost.high - lost.value),
            (gained.high - gained.value, lost.value - lost.low),
        )
    ]
    return Estimate(
        change,
        max(change - reach[0], -1.0),
        min(change + reach[1], 1.0),
        gained.level,
        gained.n,
        "shares gained and lost, each wilson of effective trials",
    )


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
        "the rate. n counts lesions or scans; intervals count hosts, and take the threshold as "
        "given. This is no claim about patients."
    )
    return TableBlock(["what", "n", "before", "after", "change"], cells, caption)


def _sensitivities(group: str, pair: Pair, rate: float) -> list[dict[str, Any]]:
    sizes = np.array([BINS.label_of(float(mm)) for mm in pair.before.diameter_mm], np.str_)
    hosts = pair.before.hosts[pair.before.lesion_scan]
    before, after = pair.before.found(rate), pair.after.found(rate)
    rows = []
    for size in (ALL, *BINS.labels):
        some = np.ones(sizes.size, np.bool_) if size == ALL else sizes == size
        if not some.any() and size != ALL:
            continue
        one, other, host = before[some], after[some], hosts[some]
        rows.append(
            {
                "group": group,
                "what": f"sensitivity at {rate:g} false candidates per scan, {size}",
                "size": size,
                "n": int(some.sum()),
                "before": cluster_proportion(one, np.ones(one.size), host),
                "after": cluster_proportion(other, np.ones(one.size), host),
                "change": _same(host) if pair.is_one else paired_change(one, other, host),
                "gained": int((other & ~one).sum()),
                "lost": int((one & ~other).sum()),
            }
        )
    return rows


def _false(group: str, pair: Pair, seed: int) -> dict[str, Any]:
    hosts = pair.before.hosts
    before, after = (_counted(seen) for seen in (pair.before, pair.after))
    rng = np.random.default_rng(seed)
    return {
        "group": group,
        "what": f"false candidates per scan at a probability of {_AS_FOUND:g}",
        "size": None,
        "n": hosts.size,
        "before": cluster_mean(before, hosts, rng=rng),
        "after": cluster_mean(after, hosts, rng=rng),
        "change": _same(hosts) if pair.is_one else cluster_mean(after - before, hosts, rng=rng),
        "gained": None,
        "lost": None,
    }


def _counted(seen: Seen) -> NDArray[np.float64]:
    called = seen.false_scan[seen.false_score >= _AS_FOUND]
    return np.bincount(called, minlength=seen.hosts.size).astype(np.float64)


def _same(hosts: NDArray[np.str_]) -> Estimate:
    n = int(np.unique(hosts).size)
    return Estimate(0.0, 0.0, 0.0, n=n, method="the same detector twice")
