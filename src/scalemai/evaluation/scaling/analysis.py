"""All that is asked of a scaling study, group by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalemai.evaluation.row_digests import row_digests
from scalemai.evaluation.scaling.equivalence import (
    Marginal,
    Worth,
    marginal_rates,
    worth_of_synthetic,
    worth_without_trend,
)
from scalemai.evaluation.scaling.measurements import Arm, read_measurements
from scalemai.evaluation.scaling.planning import Plan, Prediction, plan, predict
from scalemai.evaluation.scaling.plateau import Plateau, find_plateau
from scalemai.evaluation.scaling.question import Direction, Question, direction_of
from scalemai.evaluation.scaling.selection import (
    NO_TREND,
    LawFit,
    chosen_law,
    fit_laws,
    has_no_trend,
)
from scalemai.evaluation.scaling.study import Study, open_study
from scalemai.evaluation.tables import Table, read_table
from scalemai.statistics.estimate import Estimate

__all__ = ["GroupScaling", "Scaling", "analyse_scaling", "read_scaling"]


@dataclass(frozen=True, eq=False)
class GroupScaling:
    """What was found in one group.

    Parameters
    ----------
    study
        Its means and resamples.
    points
        Mean of each arm.
    laws
        All laws; ``chosen`` is the one with the lowest AICc, None if none was fitted or there is
        no trend.
    plateau
        Whether more scans still matter.
    predictions, plans
        Beyond what was measured.
    worths, marginals
        What synthetic scans are worth, by every plausible law and by the chosen one.
    notes
        Remarks, the gravest first.
    """

    study: Study
    points: tuple[tuple[Arm, Estimate], ...]
    laws: tuple[LawFit, ...]
    chosen: LawFit | None
    plateau: Plateau
    predictions: tuple[Prediction, ...]
    plans: tuple[Plan, ...]
    worths: tuple[Worth, ...]
    marginals: tuple[Marginal, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The group; "all" if the table has no groups."""
        return self.study.measured.group or "all"

    @property
    def verdict(self) -> str:
        """Name of the chosen law, or why there is none."""
        if self.chosen is not None:
            return self.chosen.law.name
        return NO_TREND if has_no_trend(self.laws) else "no law fitted"


@dataclass(frozen=True, eq=False)
class Scaling:
    """What was found in a scaling study.

    Parameters
    ----------
    metric
        The measure.
    question, direction
        What was asked, and what was found where the question was open.
    groups
        By name.
    cases
        Case to the hash of what was evaluated; of a foreign table, to that of its rows.
    """

    metric: str
    question: Question
    direction: Direction
    groups: tuple[GroupScaling, ...]
    cases: Mapping[str, str]

    def settings(self) -> dict[str, Any]:
        """Whatever changes a number, in JSON types."""
        asked = self.question
        return {
            "metric": self.metric,
            "group": asked.group,
            **self.direction.settings(),
            "at": list(asked.at),
            "level": asked.level,
            "resamples": asked.resamples,
            "seed": asked.seed,
        }


def read_scaling(path: Path | str, question: Question) -> Scaling:
    """Analyse the table in a file.

    Raises
    ------
    UnreadableFileError
        If it cannot be read.
    ConfigError
        As of :func:`analyse_scaling`.
    """
    return analyse_scaling(read_table(path), question, where=Path(path).name)


def analyse_scaling(table: Table, question: Question, *, where: str = "table") -> Scaling:
    """Fit laws, and answer what is asked, in each group of a table.

    Parameters
    ----------
    table
        As of :func:`~scalemai.evaluation.scaling.measurements.read_measurements`.
    question
        What is asked.
    where
        What messages call the table.

    Raises
    ------
    ConfigError
        If the table or the question is wrong.
    """
    metric, groups = read_measurements(table, question.metric, question.group, where=where)
    direction = direction_of(question, metric, table, groups)
    streams = np.random.default_rng(question.seed).spawn(len(groups))
    found = []
    for measured, rng in zip(groups, streams, strict=True):
        study = open_study(
            measured,
            higher_is_better=direction.higher_is_better,
            perfect=direction.perfect,
            level=question.level,
            resamples=question.resamples,
            rng=rng,
        )
        found.append(_analyse(study, direction, question))
    cases = table.cases or row_digests(table.frame, where)
    return Scaling(metric, question, direction, tuple(found), cases)


def _analyse(study: Study, direction: Direction, question: Question) -> GroupScaling:
    points = tuple(
        (arm, study.estimate(float(study.sign * study.loss[i]), study.sign * study.drawn[:, i]))
        for i, arm in enumerate(study.measured.arms)
    )
    laws = fit_laws(study)
    chosen = chosen_law(laws)
    at = sorted(question.at) or (
        [float(study.sizes[-1]) * factor for factor in (1, 2, 4)] if study.sizes.size else []
    )
    plausible = [fit for fit in laws if fit.plausible]
    if has_no_trend(laws):
        worths = worth_without_trend(study)
    else:
        worths = tuple(worth for fit in plausible for worth in worth_of_synthetic(study, fit))
    return GroupScaling(
        study,
        points,
        laws,
        chosen,
        find_plateau(study, direction.margin, chosen),
        predict(study, laws, at),
        plan(study, laws, direction.gains),
        worths,
        () if chosen is None else marginal_rates(study, chosen),
        (*_warnings(study, laws, chosen), *study.notes),
    )


def _warnings(study: Study, laws: tuple[LawFit, ...], chosen: LawFit | None) -> list[str]:
    if has_no_trend(laws):
        return [f"{NO_TREND}: no law describes the means better than one mean of all sizes"]
    if chosen is None or chosen.fitted is None:
        reason = next((fit.reason for fit in laws if fit.reason), "there are too few points")
        return [f"no law is fitted because {reason}"]
    found = []
    others = [fit.law.name for fit in laws if fit.plausible and fit is not chosen]
    if others:
        found.append(
            f"{chosen.law.name} has the lowest AICc, but the data leave {', '.join(others)} open; "
            "beyond the largest size the laws part"
        )
    known = [fit for fit in laws if fit.held_out.value is not None]
    best = min(known, key=lambda fit: abs(fit.held_out.value or 0.0), default=chosen)
    if best is not chosen:
        found.append(
            f"{best.law.name} foretells the largest size best ({best.held_out.value:+.3g}), "
            f"{chosen.law.name} has the lowest AICc ({chosen.held_out.value:+.3g})"
        )
    low, high = chosen.held_out.low, chosen.held_out.high
    if low is not None and high is not None and not low <= 0 <= high:
        found.append(
            f"without the largest size, {chosen.law.name} foretells it wrongly "
            f"({chosen.held_out}); do not extrapolate"
        )
    if bool(chosen.fitted.at_bound[0]):
        found.append(f"a parameter of {chosen.law.name} lies at the end of its range")
    return found
