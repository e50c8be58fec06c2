"""Percent or fraction, higher or lower: what the numbers of a metric mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from scalemai.errors import ConfigError
from scalemai.evaluation.comparison.results import Results

__all__ = ["Better", "bounded", "direction", "on_one_scale"]

Better = Literal["higher", "lower"]

_HIGHER = re.compile(
    r"(dsc|dice|iou|jaccard|nsd|auc|auroc|ap|sensitivity|specificity|precision|recall|f1)(?![a-z])"
)
_LOWER = re.compile(r"(hd|hd95|assd|asd|masd|rve|volume_error_share)(?![a-z])")
_SLACK = 1e-6


def bounded(metric: str) -> bool:
    """Whether a metric is one of those that lie between 0 and 1, by its name."""
    return _HIGHER.match(metric.lower()) is not None


def direction(results: Sequence[Results], metric: str, better: Better | None) -> Better:
    """Whether higher or lower values are better.

    Parameters
    ----------
    results
        What is compared; their definitions decide, if they have any.
    metric
        Name of the metric, by which well-known ones are recognised.
    better
        What the user says, if anything.

    Raises
    ------
    ConfigError
        If definitions disagree, with one another or with the user, or nothing tells.
    """
    known = {one.definition.id: one for one in results if one.definition is not None}
    if len(known) > 1:
        (first, a), (second, b) = list(known.items())[:2]
        raise ConfigError(
            f"{a.algorithm} has {first} and {b.algorithm} has {second}: they mean other things",
            where=metric,
            fix="evaluate all algorithms with one version",
        )
    stated = next((one.definition.better for one in known.values() if one.definition), None)
    if stated is not None:
        if better is not None and better != stated:
            raise ConfigError(f"is better {stated}, by its definition", where=metric)
        return stated
    if better is not None:
        return better
    if bounded(metric):
        return "higher"
    if _LOWER.match(metric.lower()):
        return "lower"
    fix = "say so with --better higher or --better lower"
    raise ConfigError("it is not known which values are better", where=metric, fix=fix)


def on_one_scale(
    results: Sequence[Results], metric: str
) -> tuple[tuple[Results, ...], tuple[str, ...]]:
    """Bring metrics between 0 and 1 that are given in percent to fractions.

    Parameters
    ----------
    results
        What is compared.
    metric
        Name of the metric; those without a bound pass as they are.

    Returns
    -------
    tuple
        The results as fractions, and a remark if they were in percent.

    Raises
    ------
    ConfigError
        If one algorithm is in percent and another in fractions, or a value can be neither.
    """
    if not bounded(metric):
        return tuple(results), ()
    percent, fraction = [], []
    for one in results:
        known = one.values[np.isfinite(one.values)]
        if known.size == 0:
            continue
        low, high = float(known.min()), float(known.max())
        if low < 0 or high > 100 + _SLACK:
            value = low if low < 0 else high
            what = f"{metric} of {value:g} is neither a fraction nor percent"
            raise ConfigError(what, where=one.origin, fix="check the file")
        if high > 1 + _SLACK:
            percent.append(one)
            _refuse_mixture(one, metric)
        elif high > 0:
            fraction.append(one)
    if percent and fraction:
        raise ConfigError(
            f"{percent[0].algorithm} is in percent and {fraction[0].algorithm} in fractions",
            where=metric,
            fix="bring all to one scale",
        )
    if not percent:
        return tuple(results), ()
    note = f"{metric} is in percent; it was divided by 100"
    return tuple(replace(one, values=one.values / 100) for one in results), (note,)


def _refuse_mixture(one: Results, metric: str) -> None:
    """Refuse a file with classes in percent beside classes in fractions."""
    highest = {
        name: float(known.max())
        for name, column in zip(one.classes, one.values.T, strict=True)
        if (known := column[np.isfinite(column)]).size and known.max() > 0
    }
    small = [name for name, value in highest.items() if value <= 1 + _SLACK]
    large = [name for name, value in highest.items() if value > 1 + _SLACK]
    # A single low value may well be less than 1 percent; a whole class hardly is.
    counts = {
        name: int(np.count_nonzero(one.values[:, one.classes.index(name)] > 0)) for name in small
    }
    doubtful = [name for name in small if counts[name] >= 5]
    if doubtful:
        what = f"{metric} of {large[0]!r} is in percent and of {doubtful[0]!r} in fractions"
        raise ConfigError(what, where=one.origin, fix="bring all to one scale")
