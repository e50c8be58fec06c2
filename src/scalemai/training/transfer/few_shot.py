"""Few-shot learning curves: the same few cases, learned from weights of others and from scratch.

::

    OUT/ledger.jsonl            which runs are done
        few_shot.csv            n_real, draw, seed, group, case, value: what ``scaling`` reads
        few_shot_summary.csv    means over draws with intervals, and the difference
        runs/GROUP-N-DRAW/      detector and values of a run

The cases of a draw are nested: those of a smaller number are among those of a larger one. Both
groups of a draw see the same cases with the same seed, and all are tested on the same others. With
0 cases nothing is trained, new lesions included: it shows what the weights are worth as they are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalemai._version import __version__
from scalemai.detector.files import Detector, write_detector
from scalemai.detector.network import build_network
from scalemai.engine import Ledger, Outcome, Run
from scalemai.engine import map as map_runs
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.inference.settings import Runtime
from scalemai.inference.windows import predict_prepared
from scalemai.io.atomic import atomic_path
from scalemai.training.cache import Cache
from scalemai.training.cases import TrainingCase
from scalemai.training.classes import IGNORE
from scalemai.training.config import TrainingConfig
from scalemai.training.fit import CHECKPOINTS
from scalemai.training.material import Lesions, Material
from scalemai.training.train import DETECTOR, train
from scalemai.training.transfer.few_shot_plan import FewShot, FewShotRun, plan_few_shot
from scalemai.training.transfer.run import transfer
from scalemai.training.transfer.start import Start

__all__ = [
    "TABLE",
    "few_shot_curve",
    "lesion_dice",
    "open_few_shot",
    "start_few_shot",
    "write_table",
]

TABLE = "few_shot.csv"
_VALUES = "values.json"
_THRESHOLD = 0.5

Measure = Callable[[Detector, TrainingCase], float]


def lesion_dice(detector: Detector, case: TrainingCase, *, threads: int | None = None) -> float:
    """Dice of all lesion classes together with those of a case, from a probability of 0.5 on.

    Voxels whose class nobody knows are left out. An empty prediction of a case with lesions is 0.

    Parameters
    ----------
    detector
        The detector.
    case
        A prepared case with lesions, for the same preprocessing.
    threads
        Threads of the CPU; all by default.
    """
    prepared = case.prepared
    runtime = Runtime(threads=threads)
    found = 1.0 - predict_prepared(detector, prepared, runtime=runtime)[0] >= _THRESHOLD
    labels = np.zeros(found.shape, np.uint8) if prepared.labels is None else prepared.labels
    known = labels != IGNORE
    wanted = (labels > 0) & known
    both = int((found & wanted).sum())
    either = int((found & known).sum()) + int(wanted.sum())
    return 2.0 * both / either if either else 1.0


def few_shot_curve(
    config: TrainingConfig,
    cache: Cache,
    out: Path,
    start: Callable[[int], Start],
    *,
    plan: FewShot | None = None,
    lesions: Lesions = None,
    measure: Measure = lesion_dice,
    on_outcome: Callable[[Outcome[Path]], None] | None = None,
) -> Path:
    """Train on few cases, many times, from a start and from scratch, and write the table.

    Killed, it goes on where it was, within a training too.

    Parameters
    ----------
    config
        Of every training; its seed decides draws. Nothing is held out for validation: all cases
        that are not learned from are for testing.
    cache
        Prepared cases, annotated ones with lesions among them. Cases without lesions are hosts of
        ``lesions`` in every training.
    out
        Folder of the runs and the table.
    start
        The start for a seed, since what is not taken over is random.
    plan
        Sizes and draws.
    lesions
        What is grown on the fly, if anything.
    measure
        Value of a detector in a test case, higher for better.
    on_outcome
        Called with each outcome, for progress.

    Returns
    -------
    Path
        The table of the runs that are done, for ``scalemai scaling``. Those that failed are in the
        ledger with the reason, and tried again next time.

    Raises
    ------
    ConfigError
        If there are too few cases, ``out`` holds another curve, or every run failed.
    LockedError, OutputError
        If another process is writing to ``out``, or it cannot be written.
    """
    chosen = plan or FewShot()
    with (
        open_few_shot(config, cache, out, start, plan=chosen, lesions=lesions) as ledger,
        start_few_shot(
            config, cache, out, start, ledger=ledger, plan=chosen, lesions=lesions, measure=measure
        ) as run,
    ):
        for outcome in run:
            if on_outcome is not None:
                on_outcome(outcome)
    return write_table(out)


def open_few_shot(
    config: TrainingConfig,
    cache: Cache,
    out: Path,
    start: Callable[[int], Start],
    *,
    plan: FewShot,
    lesions: Lesions = None,
) -> Ledger:
    """Lock the folder of a learning curve. Sizes and draws may be added to it later.

    Raises
    ------
    ConfigError
        If there are too few cases, or it holds another curve.
    LockedError, OutputError
        If another process is writing to it, or it cannot be written.
    """
    _, test = plan_few_shot(cache, plan, config.seed)
    origin = start(config.seed).origin
    fields = {
        "version": __version__,
        "config": json.dumps(_of_run(config, config.seed).deciding(), sort_keys=True),
        "start": json.dumps({name: origin[name] for name in ("sha256", "mode", "decay", "head")}),
        "data": Material(cache, None, cache.ids_of("real"), lesions).digest,
        "test": ", ".join(test),
    }
    return Ledger(Path(out) / "ledger.jsonl", fingerprint=fields)


def start_few_shot(
    config: TrainingConfig,
    cache: Cache,
    out: Path,
    start: Callable[[int], Start],
    *,
    ledger: Ledger,
    plan: FewShot,
    lesions: Lesions = None,
    measure: Measure = lesion_dice,
) -> Run[Path]:
    """The run that :func:`few_shot_curve` does, for those who draw its progress.

    Raises
    ------
    ConfigError
        If there are too few cases.
    """
    runs, test = plan_few_shot(cache, plan, config.seed)
    work = partial(
        _learned,
        config=config,
        cache=cache,
        out=Path(out),
        start=start,
        test=test,
        lesions=lesions,
        measure=measure,
    )
    return map_runs(
        work,
        runs,
        ledger=ledger,
        key=_key,
        is_complete=lambda key: (_folder(Path(out), key) / _VALUES).is_file(),
    )


def write_table(out: Path) -> Path:
    """Gather the values of all runs in a folder into one table.

    Raises
    ------
    ConfigError
        If no run is done.
    UnreadableFileError
        If the values of a run are damaged.
    OutputError
        If it cannot be written.
    """
    rows = [row for path in sorted(Path(out).glob(f"runs/*/{_VALUES}")) for row in _rows(path)]
    if not rows:
        fix = "see why the runs failed"
        raise ConfigError("no run of the learning curve is done", where=out, fix=fix)
    frame = pl.DataFrame(rows, orient="row").sort("group", "n_real", "draw", "case")
    with atomic_path(Path(out) / TABLE) as partial_path:
        frame.write_csv(partial_path)
    return Path(out) / TABLE


def _learned(
    run: FewShotRun,
    *,
    config: TrainingConfig,
    cache: Cache,
    out: Path,
    start: Callable[[int], Start],
    test: Sequence[str],
    lesions: Lesions,
    measure: Measure,
) -> Path:
    """Train once and measure once."""
    folder = _folder(out, run.key)
    hosts = cache.ids_of("normal") if lesions is not None else ()
    material = Material(cache.subset([*run.cases, *hosts]), None, run.cases, lesions)
    own = _of_run(config, run.seed)
    detector: Detector
    if not run.cases:
        detector = _as_it_is(own, run, start(run.seed))
        write_detector(detector, folder / DETECTOR)
    elif run.group == "transfer":
        detector = transfer(own, material, folder, start(run.seed))
    else:
        detector = train(own, material, folder)
    values = {name: measure(detector, cache[name]) for name in test}
    plain = {
        "n_real": len(run.cases),
        "draw": run.draw,
        "seed": run.seed,
        "group": run.group,
        "cases": list(run.cases),
        "values": values,
    }
    with atomic_path(folder / _VALUES) as partial_path:
        text = json.dumps(plain, indent=1, allow_nan=False)
        partial_path.write_text(text + "\n", encoding="utf-8")
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # three times the detector's size
    return folder


def _as_it_is(config: TrainingConfig, run: FewShotRun, start: Start) -> Detector:
    """The first weights of a group as a detector."""
    network = build_network(config.detector, seed=run.seed)
    origin: dict[str, Any] = {"config": config.to_dict()}
    if run.group == "transfer":
        network.load_state_dict(start.weights)
        origin["start"] = dict(start.origin)
    return Detector(config.detector, network.eval(), origin, "Not trained: a start as it is.\n")


def _rows(path: Path) -> list[Mapping[str, object]]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        fixed = {name: plain[name] for name in ("n_real", "draw", "seed", "group")}
        return [{**fixed, "case": case, "value": v} for case, v in plain["values"].items()]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        fix = "remove it, and run the same again"
        raise UnreadableFileError(f"cannot be read ({error})", where=path, fix=fix) from error


def _of_run(config: TrainingConfig, seed: int) -> TrainingConfig:
    return replace(config, seed=seed, validation=replace(config.validation, every=0, choose="last"))


def _folder(out: Path, key: str) -> Path:
    return out / "runs" / key


def _key(run: FewShotRun) -> str:
    return run.key
