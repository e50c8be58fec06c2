"""Scaling studies whose truth is known, simulated without the code under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalemai.evaluation.scaling.measurements import Arm, Measurements
from scalemai.evaluation.tables import Table

SIZES = (50, 100, 200, 400, 800, 1500, 3000)


def truth(n: float) -> float:
    """The truth of the reference simulation."""
    return 0.58 - 1.2 * n**-0.5


def simulated(
    rng: np.random.Generator,
    arms: Sequence[tuple[float, float, float]],
    *,
    seeds: int = 3,
    patients: int = 300,
    run_sd: float = 0.01,
    patient_sd: float = 0.25,
    patient_run_sd: float = 0.15,
    curve: Callable[[float], float] = truth,
    luck: Sequence[float] | None = None,
) -> Measurements:
    """Runs of arms (real scans, synthetic scans, real scans that they are worth together).

    ``luck`` is how much better each run is than its arm, if the truth of these runs is asked for.
    """
    ordered = sorted(arms)
    shared = rng.normal(0, patient_sd, patients)
    totals = np.array(
        [
            curve(worth)
            + shared
            + rng.normal(0, patient_run_sd, patients)
            + (rng.normal(0, run_sd) if luck is None else luck[arm * seeds + seed])
            for arm, (_, _, worth) in enumerate(ordered)
            for seed in range(seeds)
        ]
    )
    return Measurements(
        "",
        tuple(Arm(float(real), float(synthetic)) for real, synthetic, _ in ordered),
        np.repeat(np.arange(len(ordered)), seeds),
        np.tile(np.arange(seeds), len(ordered)),
        totals,
        np.ones_like(totals),
        True,
        True,
    )


def real(sizes: Sequence[int] = SIZES) -> list[tuple[float, float, float]]:
    return [(n, 0, n) for n in sizes]


def table_of(measured: Measurements, **columns: str) -> Table:
    """The same measurements as a table with a row per test case."""
    rows = [
        {
            "n_real": measured.arms[arm].n_real,
            "n_synthetic": measured.arms[arm].n_synthetic,
            "draw": int(draw),
            "seed": 0,
            "case": f"case_{patient:03d}",
            **columns,
            "dsc": float(value),
        }
        for arm, draw, totals in zip(
            measured.arm_of, measured.draw_of, measured.totals, strict=True
        )
        for patient, value in enumerate(totals)
    ]
    return Table("runs", pl.DataFrame(rows))


def exact(curve: Callable[[float], float], sizes: Sequence[int] = SIZES) -> NDArray[np.float64]:
    return np.array([curve(float(n)) for n in sizes])
