"""Results as rows of tables."""

from __future__ import annotations

from typing import Any

import polars as pl

from scalemai.evaluation.subgroups.comparing import FactorResult, Subgroups
from scalemai.statistics.estimate import Estimate

__all__ = ["frames"]


def frames(found: Subgroups) -> dict[str, pl.DataFrame]:
    """Tables by kind: ``subgroups``, ``subgroup_tests``, ``subgroup_pairs``, ``adjusted`` and
    ``distributions``; those without rows are left out.

    Parameters
    ----------
    found
        The results.
    """
    about = {"metric": found.outcome.metric, "structure": found.outcome.structure}
    tables: dict[str, list[dict[str, Any]]] = {
        "subgroups": [
            {
                **about, "factor": "", "group": "all", "patients": found.overall.n,
                "rows": found.outcome.frame.height, **_named("", found.overall),
                **_named("median", found.overall_median), **_named("gap", Estimate(None)),
                "worst": False,
            }
        ],
        "subgroup_tests": [],
        "subgroup_pairs": [],
        "adjusted": [],
        "distributions": [],
    }  # fmt: skip
    for one in found.factors:
        name = {**about, "factor": str(one.factor)}
        tables["subgroups"] += [
            {
                **name, "group": group.name, "patients": group.patients, "rows": group.rows,
                **_named("", group.estimate), **_named("median", group.median),
                **_named("gap", group.gap), "worst": group.worst,
            }
            for group in one.groups
        ]  # fmt: skip
        tables["subgroup_tests"].append(
            {
                **name, **_named("largest_gap", one.largest_gap), "groups": len(one.compared),
                "patients": one.patients, "patient_means": one.test.n,
                "kruskal_h": one.test.h, "degrees": one.test.degrees, "p": one.test.p,
                "epsilon_squared": one.test.epsilon_squared, "reason": one.test.reason,
            }
        )  # fmt: skip
        tables["subgroup_pairs"] += [{**name, **row} for row in _pairs(one)]
        tables["adjusted"] += [
            {
                **name, "group": c.group, "reference": c.reference,
                **_named("unadjusted", c.unadjusted), "p_unadjusted": c.p_unadjusted,
                **_named("adjusted", c.adjusted), "p_adjusted": c.p_adjusted,
                **_named("odds_ratio", c.odds_ratio or Estimate(None)),
            }
            for c in one.adjusted
        ]  # fmt: skip
    if found.home is not None:
        column = found.question.home[0] if found.question.home else ""
        tables["distributions"].append(
            {**about, "factor": column, "group": "in distribution", **_named("", found.home),
             **_named("median", Estimate(None)), **_named("difference", Estimate(None))}
        )  # fmt: skip
        tables["distributions"] += [
            {
                **about, "factor": column, "group": one.name or "all out of distribution",
                **_named("", one.estimate), **_named("median", one.median),
                **_named("difference", one.difference),
            }
            for one in found.distributions
        ]  # fmt: skip
    return {
        kind: pl.DataFrame(rows, infer_schema_length=None) for kind, rows in tables.items() if rows
    }


def _pairs(one: FactorResult) -> list[dict[str, Any]]:
    return [
        {
            "first": one.compared[mann.first], "second": one.compared[mann.second],
            **_named("shift", mann.shift or Estimate(None)),
            **_named("superiority", mann.superiority or Estimate(None)),
            "u": mann.statistic, "p": mann.p, "p_holm": mann.p_holm, "p_bh": mann.p_bh,
            "dunn_z": dunn.statistic, "dunn_p": dunn.p, "dunn_p_holm": dunn.p_holm,
            "dunn_p_bh": dunn.p_bh, "method": mann.method,
        }
        for mann, dunn in zip(one.mann_whitney, one.dunn, strict=True)
    ]  # fmt: skip


def _named(name: str, estimate: Estimate) -> dict[str, Any]:
    """An estimate as columns ``NAME, NAME_low, NAME_high``, and why there is none."""
    head = f"{name}_" if name else ""
    return {
        name or "value": estimate.value,
        f"{head}low": estimate.low,
        f"{head}high": estimate.high,
        f"{head}n": estimate.n,
        f"{head}method": estimate.method,
        f"{head}reason": estimate.reason,
    }
