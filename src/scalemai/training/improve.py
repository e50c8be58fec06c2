"""Train a detector on with the lesions that it misses.

::

    evaluation ──errors──> population of missed lesions ──> rounds of training ──> detector
                           usual lesions: a loss there ends it ────┘

Hosts have three parts: to learn from, to choose the round with, to test with.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scalemai.detector.files import read_detector
from scalemai.errors import ConfigError
from scalemai.evaluation.errors.analysis import Options, analyse_errors
from scalemai.evaluation.errors.files import POPULATION, write_errors
from scalemai.evaluation.errors.results import read_results
from scalemai.synthesis.populations.population import TumorPopulation, read_population
from scalemai.training.cache import Cache
from scalemai.training.config import TrainingConfig
from scalemai.training.dividing import divide
from scalemai.training.fit import Progress
from scalemai.training.material import Lesions, any_lesion
from scalemai.training.rounds import Guard, Mixed, fine_tune
from scalemai.training.stream import PatchSource
from scalemai.training.transfer.foreign import load_foreign
from scalemai.training.transfer.start import start_from
from scalemai.training.tuned import Tuned, fine_tuning_config, tested, write_tuned

__all__ = ["MISSED", "USUAL", "improve", "missed_population"]

MISSED, USUAL = "like those missed", "usual"


def missed_population(evaluation: Path, errors: Path) -> TumorPopulation:
    """The population of lesions that a detector needs more of.

    Parameters
    ----------
    evaluation
        Folder that ``scalemai errors`` wrote, a population file, or a folder that
        ``scalemai evaluate`` wrote; of the last, errors are analysed first.
    errors
        Where that analysis is written.

    Raises
    ------
    UnreadableFileError
        If it is none of these.
    ConfigError
        If no lesion was missed, or what was missed cannot be grown.
    """
    path = Path(evaluation)
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        return read_population(path)
    if (path / POPULATION).is_file():
        return read_population(path / POPULATION)
    found = analyse_errors(read_results(path), Options())
    write_errors(found, errors)
    if found.wanted is None:
        why = next((note for note in found.notes if "no population" in note), "no lesion is known")
        raise ConfigError(why, where=path, fix="evaluate cases with lesions that are missed")
    return found.wanted.population


def improve(
    detector: Path,
    population: TumorPopulation,
    hosts: Cache,
    out: Path,
    *,
    usual: Lesions = None,
    config: TrainingConfig | None = None,
    guard: Guard | None = None,
    replay: bool = False,
    repeats: int = 2,
    resume: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
) -> Tuned:
    """Train a detector on with the lesions that it misses, as long as others do not suffer.

    Parameters
    ----------
    detector
        Folder of the detector, which stays as it is.
    population
        What it misses, from :func:`missed_population`.
    hosts
        Prepared cases to grow them in, best those of its training.
    out
        Folder of the new detector and of what is said of it.
    usual
        The lesions that must not suffer; those of all kinds and sizes by default.
    config
        From :func:`~scalemai.training.tuned.fine_tuning_config` by default.
    guard
        When to stop.
    replay
        Whether half of the patches show usual lesions.
    repeats
        Sets of lesions in each scan that is chosen with or tested with.
    resume, on_progress
        As of :func:`scalemai.training.fit.fit`.

    Returns
    -------
    Tuned
        With the old weights if no round found clearly more of such lesions within the margin on
        the usual ones.

    Raises
    ------
    ConfigError
        If no lesion of the population is one of the detector's, there are fewer than three cases,
        or ``out`` holds another training.
    UnreadableFileError, LockedError, ScaleMAIError, KeyboardInterrupt, OutputError
        As of :func:`scalemai.training.train.train`.
    """
    old = read_detector(detector)
    own = config or fine_tuning_config(old)
    start = start_from(load_foreign(detector), own.detector, decay=1.0)
    missed = divide(hosts, own, population, where="hosts")
    others = missed.growing(usual if usual is not None else any_lesion(own.detector.organ))
    scans = {MISSED: missed.scans(own, repeats), USUAL: others.scans(own, repeats)}
    chosen = guard or Guard()

    def patches_of(one: TrainingConfig) -> PatchSource:
        patches = missed.choice.patches(one)
        return Mixed(patches, others.choice.patches(one)) if replay else patches

    rounds = fine_tune(
        own,
        patches_of,
        out,
        start.weights,
        scans={name: choice for name, (choice, _) in scans.items()},
        wanted=MISSED,
        guarded=USUAL,
        guard=chosen,
        data_sha256=f"{missed.choice.digest} {others.choice.digest if replay else ''}",
        resume=resume,
        on_progress=on_progress,
    )
    comparison = tested(
        old, rounds, {name: test for name, (_, test) in scans.items()}, own, chosen.rate
    )
    story = {
        "improved_from": start.origin["sha256"],
        "population": population.to_yaml(),
        "replay": replay,
    }
    note = "real cases are for scalemai predict, evaluate and compare: these lesions are synthetic"
    return write_tuned(
        old, own, missed, rounds, comparison, out,
        wanted=MISSED, guarded=USUAL, guard=chosen,
        title="Training with missed lesions", story=story, notes=(note,),
    )  # fmt: skip
