"""Tables of a detector with a known weakness: it misses small tumors of the pancreatic tail."""

from __future__ import annotations

import numpy as np
import polars as pl

from scalemai.evaluation.tables import Table

SITES = ("head", "body", "tail")


def planted_lesions(n: int = 600, *, seed: int = 0, per_patient: int = 1) -> pl.DataFrame:
    """Tumors of which one in ten is missed, and nine in ten of those in the tail up to 20 mm."""
    rng = np.random.default_rng(seed)
    site = rng.choice(SITES, n, p=(0.6, 0.2, 0.2))
    size = np.exp(rng.normal(np.log(22), 0.5, n)).clip(4, 90)
    small_tail = (site == "tail") & (size <= 20)
    missed = rng.random(n) < np.where(small_tail, 0.9, 0.1)
    cases = [f"case_{i // per_patient:04d}" for i in range(n)]
    return pl.DataFrame(
        {
            "case": cases,
            "patient": cases,
            "structure": "pancreatic_lesion",
            "organ": "pancreas",
            "lesion": [i % per_patient for i in range(n)],
            "diameter_mm": size,
            "ignored": False,
            "detected": ~missed,
            "score": np.where(missed, np.nan, rng.random(n)),
            "site": site,
            "kind": rng.choice(("pdac", "cyst"), n, p=(0.8, 0.2)),
            "phase": rng.choice(("portal_venous", "arterial"), n),
            "scanner": rng.choice(("A", "B", "C"), n),
        }
    ).fill_nan(None)


def planted_candidates(n: int = 400, *, seed: int = 1) -> pl.DataFrame:
    """Candidates of which one in five is false, and four in five of those beside the duodenum."""
    rng = np.random.default_rng(seed)
    neighbour = rng.choice(("duodenum", "stomach", "spleen"), n, p=(0.2, 0.4, 0.4))
    false = rng.random(n) < np.where(neighbour == "duodenum", 0.8, 0.2)
    return pl.DataFrame(
        {
            "case": [f"case_{i:04d}" for i in range(n)],
            "patient": [f"case_{i:04d}" for i in range(n)],
            "structure": "pancreatic_lesion",
            "organ": "pancreas",
            "candidate": 1,
            "score": rng.random(n),
            "diameter_mm": rng.uniform(3, 60, n),
            "verdict": np.where(false, "false_positive", "true_positive"),
            "neighbour": neighbour,
        }
    )


def table(kind: str, frame: pl.DataFrame) -> Table:
    return Table(kind, frame, cases=dict.fromkeys(frame["case"].unique(), "0" * 64))
