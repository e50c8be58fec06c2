"""One training and what it found in unseen scans, as one JSON file per arm and seed.

::

    WORK/phantoms/   scans (see ``data``)
         cache/      the same on the detector's lattice
         trainings/  one folder per run; a killed one goes on at its last checkpoint
         results/    ARM-SEED.json, written whole or not at all; what is there is not run again

All runs of an experiment share network, patches, schedule and number of steps; seeds are paired:
the same seed gives every arm the same first weights and the same draw of annotated scans.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from data import GROWN, ORGAN, SETS, PhantomSet, frozen, joined, ready
from switches import without

from scalemai.detector.files import Detector, read_detector
from scalemai.engine import map as map_runs
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.evaluation.errors.wanted import wanted_population
from scalemai.evaluation.lesions.components import find_components
from scalemai.evaluation.lesions.matching import match
from scalemai.evaluation.lesions.rules import parse_rule
from scalemai.inference.settings import Runtime, Settings
from scalemai.inference.windows import predict_prepared
from scalemai.io.atomic import atomic_path
from scalemai.synthesis.populations.population import TumorPopulation
from scalemai.synthesis.spec import LesionSpec
from scalemai.training.adapt import adapt
from scalemai.training.cache import Cache
from scalemai.training.cases import TrainingCase
from scalemai.training.config import TrainingConfig
from scalemai.training.config_file import config_from
from scalemai.training.fit import CHECKPOINTS
from scalemai.training.material import Lesions, Material
from scalemai.training.train import DETECTOR, train
from scalemai.training.transfer.foreign import load_foreign
from scalemai.training.transfer.run import transfer
from scalemai.training.transfer.start import start_from
from scalemai.training.tuned import fine_tuning_config

__all__ = ["AS_IS", "Arm", "Bench", "perform", "read_results", "result_path", "run_all"]

CUT = 0.2
"""Probability from which a voxel is part of a candidate; its score is the highest inside."""

MINIMUM_MM3 = 50.0
SETTINGS, RUNTIME = Settings(), Runtime(threads=1, batch=8)
"""Of inference. With one thread, torch takes five times as long for windows one by one."""

AS_IS = "as-is"
"""Arm whose misses in the annotated set are asked for."""

_RULE = parse_rule("overlap")
_MISSED = 0.5  # a lesion without a candidate of this score is missed, where misses are asked for

CONFIG: Mapping[str, Any] = {
    "batch": 4,
    "detector": {
        "organ": ORGAN,
        "patch": [32, 32, 32],
        "preprocessing": {
            "spacing_mm": [3.0, 3.0, 3.0],
            "window_hu": [-175.0, 250.0],
            "margin_mm": 10.0,
            "organ_channel": True,
            "organ_window_hu": [-100.0, 100.0],
        },
        "network": {"name": "basic-unet", "parameters": {"features": [8, 8, 16, 32, 64, 8]}},
    },
    # Masks are right and scanners alike, and there is no time to learn what to ignore.
    "sampling": {"augment": False, "organ_corruption": False, "share_background": 0.1},
    "loss": {"each_patch": True, "smooth_voxels": 10.0},
    "optimiser": {"learning_rate": 5e-3, "warm_up": 20},
    "validation": {"share": 0.0, "every": 0, "scans": 0},
    "compute": {"accelerator": "cpu", "threads": 1},
    "run": {"workers": 0, "checkpoint_every": 100, "tensorboard": False},
}
"""A reduced ``cpu-small``: 3 mm and half the channels, so that a run takes about a minute."""


@dataclass(frozen=True)
class Arm:
    """What is trained, and what differs from the first arm.

    Parameters
    ----------
    name, says
        Its name, and what it is in words.
    real
        Number of annotated scans.
    tumors
        ``"fresh"`` in every patch, ``"frozen"`` ones from disk, or ``"none"``.
    lesions
        What is grown; the usual lesions by default, ``"missed"`` for a population like those that
        the detector it starts from misses in the annotated set.
    without
        Realism that is switched off.
    effects
        Whether tissue is pushed aside.
    start
        Arm whose detector of the same seed it starts from.
    how
        What is done with that: ``"transfer"``, ``"continue"`` with all layers alike, ``"adapt"`` to
        the target, or nothing (``"as is"``, for tests that the other arm has not).
    share
        Share of the steps.
    tests
        Sets that it is tested on.
    """

    name: str
    says: str
    real: int = 0
    tumors: Literal["fresh", "frozen", "none"] = "fresh"
    lesions: tuple[LesionSpec, ...] | TumorPopulation | Literal["missed"] | None = None
    without: tuple[str, ...] = ()
    effects: bool = False
    start: str | None = None
    how: Literal["scratch", "transfer", "continue", "adapt", "as is"] = "scratch"
    share: float = 1.0
    tests: tuple[str, ...] = ("test",)


@dataclass(frozen=True)
class Bench:
    """Where and how large.

    Parameters
    ----------
    work
        Folder of everything.
    steps
        Steps of a whole training.
    arms
        All arms, by name: some start from others.
    sets
        The scans.
    """

    work: Path
    steps: int
    arms: Mapping[str, Arm] = field(default_factory=dict)
    sets: Mapping[str, PhantomSet] = field(default_factory=lambda: SETS)

    def config(self, arm: Arm, seed: int) -> TrainingConfig:
        """The training of an arm."""
        plain = {**CONFIG, "steps": max(round(arm.share * self.steps), 1), "seed": seed}
        plain["sampling"] = {**CONFIG["sampling"], "effects": arm.effects}
        config = config_from(plain)
        if arm.how == "continue":  # as scalemai improve does, but for as long as is said
            slower = replace(config.optimiser, learning_rate=config.optimiser.learning_rate / 3.0)
            config = replace(config, optimiser=slower)
        return config

    def fingerprint(self, arm: Arm) -> str:
        """Hash of what decides a result but its seed."""
        testing = repr((dict(self.sets), CUT, MINIMUM_MM3, SETTINGS))
        plain = [self.config(arm, 0).deciding(), repr(arm), testing]
        if arm.start is not None:
            plain.append(self.fingerprint(self.arms[arm.start]))
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    def scans(self, name: str) -> Cache:
        """The scans of a set."""
        return _scans(self.work, name, self.sets[name])

    def folder(self, arm: Arm, seed: int) -> Path:
        """The folder of a training."""
        return self.work / "trainings" / f"{arm.name}-{seed}"


@cache
def _scans(work: Path, name: str, wanted: Any) -> Cache:
    return ready(work, name, wanted, config_from({**CONFIG, "steps": 1}).detector)


def result_path(bench: Bench, arm: Arm, seed: int) -> Path:
    """The file of one run."""
    return bench.work / "results" / f"{arm.name}-{seed}.json"


def run_all(
    bench: Bench,
    runs: Sequence[tuple[Arm, int]],
    *,
    workers: int = 1,
    say: Callable[[str], None] = print,
) -> int:
    """Do the runs that have no result yet; the number of those that failed.

    Runs that others start from come first, each in the order given.

    Raises
    ------
    ConfigError
        If there is a result of the same name from other settings.
    """
    todo = [run for run in runs if not _is_done(bench, *run)]
    say(f"{len(runs) - len(todo)} of {len(runs)} runs are done")
    failed = 0
    for later in (False, True):
        some = [run for run in todo if (run[0].start is not None) is later]
        outcomes = map_runs(
            partial(_performed, bench=bench), some, workers=workers, key=lambda r: _key(*r)
        )
        for outcome in outcomes:
            failed += outcome.status != "done"
            say(f"{outcome.key}: {outcome.error or f'{outcome.seconds:.0f} s'}")
    return failed


def read_results(bench: Bench, arm: Arm) -> dict[int, dict[str, Any]]:
    """The results of an arm that are there, by seed.

    Raises
    ------
    ConfigError, UnreadableFileError
        If one is of other settings, or damaged.
    """
    found = {}
    for path in sorted((bench.work / "results").glob(f"{arm.name}-*.json")):
        seed = path.stem[len(arm.name) + 1 :]
        if seed.isdecimal():
            found[int(seed)] = _read(bench, arm, int(seed))
    return found


def perform(bench: Bench, arm: Arm, seed: int) -> Path:
    """Train, test, and write the result."""
    began = time.process_time()
    detector = read_detector(_trained(bench, arm, seed))
    spent = time.process_time() - began
    sets = {name: _examined(detector, bench.scans(name)) for name in arm.tests}
    plain = {
        "arm": arm.name,
        "says": arm.says,
        "seed": seed,
        "fingerprint": bench.fingerprint(arm),
        "steps": bench.config(arm, seed).steps,
        "training_cpu_s": round(spent, 1),
        "testing_cpu_s": round(time.process_time() - began - spent, 1),
        "sets": sets,
    }
    path = result_path(bench, arm, seed)
    with atomic_path(path) as partial_path:
        partial_path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    return path


def _performed(run: tuple[Arm, int], *, bench: Bench) -> Path:
    return perform(bench, *run)


def _key(arm: Arm, seed: int) -> str:
    return f"{arm.name}-{seed}"


def _is_done(bench: Bench, arm: Arm, seed: int) -> bool:
    return result_path(bench, arm, seed).is_file() and bool(_read(bench, arm, seed))


def _read(bench: Bench, arm: Arm, seed: int) -> dict[str, Any]:
    path = result_path(bench, arm, seed)
    try:
        plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        there = plain["fingerprint"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        what = f"cannot be read ({error})"
        raise UnreadableFileError(what, where=path, fix="remove it, and run again") from error
    if there != bench.fingerprint(arm):
        fix = "give another --work, or the same --steps as then"
        raise ConfigError("is a result of other settings", where=path, fix=fix)
    return plain


def _trained(bench: Bench, arm: Arm, seed: int) -> Path:
    """The folder of the arm's detector, trained now if it was not yet."""
    if arm.how == "as is":
        return _trained(bench, bench.arms[str(arm.start)], seed)
    out = bench.folder(arm, seed)
    if (out / DETECTOR / "detector.json").is_file():
        return out / DETECTOR
    config = bench.config(arm, seed)
    if arm.how == "adapt":
        first = _trained(bench, bench.arms[str(arm.start)], seed)
        # What is held out for the guard and the page is kept small: the tests are elsewhere.
        settings = ("validation.patches=16", "validation.scans=1", f"steps={config.steps}")
        own = fine_tuning_config(read_detector(first), settings)
        target, source = bench.scans("target"), bench.scans("normal")
        adapt(first, target, out, source=source, config=own, repeats=1)
        return out / DETECTOR
    material = _material(bench, arm, seed)
    with without(arm.without):
        if arm.start is None:
            train(config, material, out)
        else:
            first = _trained(bench, bench.arms[arm.start], seed)
            # Continued, all layers learn alike; transferred, as scalemai transfer has it.
            decay = {"decay": 1.0} if arm.how == "continue" else {}
            start = start_from(load_foreign(first), config.detector, seed=seed, **decay)
            transfer(config, material, out, start)
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)  # three times the detector's size
    return out / DETECTOR


def _material(bench: Bench, arm: Arm, seed: int) -> Material:
    normal = bench.scans("normal")
    pool = bench.scans("annotated") if arm.real else None
    shown = [] if pool is None else _drawn(pool.ids, arm.real, seed)
    if arm.tumors == "frozen":
        hosts = bench.work / "phantoms" / "normal"
        spec = bench.config(arm, seed).detector
        cases = frozen(bench.work, hosts, bench.sets["normal"].n, seed, spec)
        return Material(cases, None, cases.ids_of("real"), None)
    cases = normal if pool is None else joined(normal, pool.subset(shown))
    return Material(cases, None, tuple(shown), _lesions(bench, arm, seed))


def _lesions(bench: Bench, arm: Arm, seed: int) -> Lesions:
    if arm.tumors == "none":
        return None
    if arm.lesions == "missed":
        first = bench.arms[AS_IS]
        if not _is_done(bench, first, seed):
            perform(bench, first, seed)
        plain = _read(bench, first, seed)
        rows = [
            {**row, "organ": ORGAN, "missed": not row["detected"] or row["score"] < _MISSED}
            for row in plain["sets"]["annotated"]["lesions"]
        ]
        return wanted_population(pl.DataFrame(rows, infer_schema_length=None)).population
    return GROWN if arm.lesions is None else arm.lesions


def _drawn(names: Sequence[str], n: int, seed: int) -> list[str]:
    """The first of a random order of the names, so that fewer are always among more."""
    if n > len(names):
        raise ConfigError(f"{n} annotated scans of {len(names)}", fix="make more phantoms")
    order = sorted(names, key=lambda one: hashlib.sha256(f"{seed} {one}".encode()).digest())
    return sorted(order[:n])


def _examined(detector: Detector, scans: Cache) -> dict[str, Any]:
    """Lesions and candidates of all scans, as the evaluation's tables call them."""
    lesions: list[dict[str, Any]] = []
    candidates: list[dict[str, Any]] = []
    for case in scans.cases.values():
        own, tried = _examined_one(detector, case)
        lesions += own
        candidates += tried
    return {"scans": list(scans.ids), "lesions": lesions, "candidates": candidates}


def _examined_one(
    detector: Detector, case: TrainingCase
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    scan = case.prepared
    labels = np.zeros(scan.grid.shape, np.uint8) if scan.labels is None else scan.labels
    found = 1.0 - predict_prepared(detector, scan, SETTINGS, RUNTIME)[0]
    found = np.clip(found, 0.0, 1.0)
    wanted = find_components(labels > 0, scan.grid)
    tried = find_components(found >= CUT, scan.grid, probability=found, minimum_mm3=MINIMUM_MM3)
    usual = float(np.median(scan.hu[scan.organ & (labels == 0)]))
    matching = match(wanted, tried, scan.grid, _RULE)
    lesions = [
        {
            "case": case.id,
            "lesion": one.number,
            "diameter_mm": round(one.sizes.diameter_mm, 2),
            "contrast_hu": round(float(scan.hu[one.region][one.mask].mean()) - usual, 1),
            "detected": bool(outcome.detected),
            "score": outcome.score,
        }
        for one, outcome in zip(wanted, matching.lesions, strict=True)
    ]
    candidates = [
        {"case": case.id, "verdict": outcome.verdict, "score": one.score}
        for one, outcome in zip(tried, matching.candidates, strict=True)
    ]
    return lesions, candidates
