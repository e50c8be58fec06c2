"""Small studies for tests, of noise that is the same for real and synthetic lesions."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm
from sqlalchemy.engine import Engine

from scalemai.annotation.database.opening import writing
from scalemai.annotation.readers import Reader, add_reader
from scalemai.annotation.turing.answering import Answer, outstanding, record
from scalemai.annotation.turing.building import Built, Shown, write_study
from scalemai.annotation.turing.candidates import Candidate, Kind
from scalemai.annotation.turing.design import TuringDesign
from scalemai.annotation.turing.matching import Pair, dimensions
from scalemai.annotation.turing.sealing import open_key
from scalemai.annotation.turing.studies import Study

NOW = 1_800_000_000_000
SPACING_MM = (2.0, 2.0, 3.0)
_numbers = itertools.count()


def candidate(kind: Kind, case_id: str, **more: Any) -> Candidate:
    """A liver lesion of 12 mm in the middle of a large scan."""
    plain: dict[str, Any] = {
        "structure": "liver_lesion", "centre": (60, 60, 60), "room": (60, 60, 60),
        "diameter_mm": 12.0, "spacing_mm": SPACING_MM, "phase": "portal_venous",
        "scanner": "maker a / b30f", "host": f"{kind}/{case_id}",
    }  # fmt: skip
    return Candidate(kind=kind, case_id=case_id, **{**plain, **more})


def make_study(folder: Path, count: int = 6, **design: Any) -> tuple[Built, Path]:
    """A study of ``count`` pairs of noise, and its key."""
    asked = TuringDesign(**{"crop_mm": 12.0, **design})
    pairs = [
        Pair(candidate("real", f"case {n}"), candidate("synthetic", f"case {n + count}"), 0.0)
        for n in range(count)
    ]
    rng = np.random.default_rng(3)
    size = dimensions(SPACING_MM, asked.crop_mm)
    crops = [
        (Shown(n, one, pair.spacing_mm), rng.normal(40, 60, size).round().astype(np.int16))
        for n, pair in enumerate(pairs)
        for one in (pair.real, pair.synthetic)
    ]
    key = folder / "key.json"
    return write_study(pairs, crops, folder / "study", key, asked), key


def join(engine: Engine, name: str) -> Reader:
    """A new account."""
    with writing(engine) as connection:
        return add_reader(connection, name)


def say(
    engine: Engine, study: Study, reader: Reader, answer: str, confidence: int = 3, **more: Any
) -> int:
    """Answer what is asked next; how many trials are left."""
    with engine.connect() as connection:
        trial = outstanding(connection, study, reader)[0]
    plain = {"event_id": f"answer-{next(_numbers)}", "trial_id": trial.trial_id, "active_ms": 4000}
    said = Answer(answer=answer, confidence=confidence, **{**plain, **more})
    return record(engine, study, reader, said, now_ms=NOW)


def simulate(
    engine: Engine,
    study: Study,
    key: Path,
    name: str,
    rng: np.random.Generator,
    *,
    d_prime: float,
    criterion: float = 0.0,
) -> None:
    """A reader with evidence of equal normal distributions reads the whole study.

    What he sees in a lesion goes by its pair and not by its name, which is new every time.
    """
    sealed = open_key(key, study)
    reader = join(engine, name)
    with engine.connect() as connection:
        trials = outstanding(connection, study, reader)
    seen = rng.normal(size=(2, len(sealed) // 2, 2))  # first and again, pair, synthetic and real
    seen += np.array((-d_prime / 2, d_prime / 2))
    for trial in trials:
        evidence = [
            float(seen[trial.repeat, sealed[item].pair, int(sealed[item].truth == "real")])
            for item in trial.display.items
        ]
        strength = evidence[0] - criterion if len(evidence) == 1 else evidence[0] - evidence[1]
        words = ("real", "synthetic") if len(evidence) == 1 else ("left", "right")
        sure = 1 + int(4.999 * (2 * norm.cdf(abs(strength)) - 1))
        say(engine, study, reader, words[0] if strength > 0 else words[1], sure)
