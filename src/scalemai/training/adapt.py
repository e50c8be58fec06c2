"""A detector in a new hospital, of which there are normal scans and not one annotation.

::

    normal scans of the target ──> synthetic lesions in them ──> rounds of training ──> detector
    cases of the source, if any ──> half of the patches (replay)         │
                                └─> others: a loss there ends it ────────┘

Each set has three parts: to learn from, to choose the round with, to test with. Without cases of
the source, weights are pulled toward the old ones, and what is lost there cannot be measured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scalemai.detector.files import read_detector
from scalemai.errors import ConfigError
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

__all__ = ["PULL", "SOURCE", "TARGET", "adapt"]

TARGET, SOURCE = "target", "source"

PULL = 0.2
"""Share of the way back to the old weights after each round, where no case of the source is
given (author's estimate, to be refined)."""


def adapt(
    detector: Path,
    target: Cache,
    out: Path,
    *,
    source: Cache | None = None,
    lesions: Lesions = None,
    config: TrainingConfig | None = None,
    guard: Guard | None = None,
    repeats: int = 2,
    resume: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
) -> Tuned:
    """Adapt a detector to the scans of a new hospital.

    Parameters
    ----------
    detector
        Folder of the detector, which stays as it is.
    target
        Prepared normal scans of the new hospital. If some of them have annotated lesions, these
        are learned from too.
    out
        Folder of the new detector and of what is said of it.
    source
        Prepared cases like those that the detector was trained with, for replay and to see what
        is forgotten.
    lesions
        What is grown; lesions of all kinds and sizes by default.
    config
        From :func:`~scalemai.training.tuned.fine_tuning_config` by default.
    guard
        When to stop. By default weights are pulled back by :data:`PULL` if there is no source.
    repeats
        Sets of lesions in each scan that is chosen with or tested with.
    resume, on_progress
        As of :func:`scalemai.training.fit.fit`.

    Returns
    -------
    Tuned
        With the old weights if no round found clearly more lesions in the target within the
        margin on the source.

    Raises
    ------
    ConfigError
        If a set has fewer than three cases, the sets share cases, or ``out`` holds another
        adaptation.
    UnreadableFileError, LockedError, ScaleMAIError, KeyboardInterrupt, OutputError
        As of :func:`scalemai.training.train.train`.
    """
    old = read_detector(detector)
    own = config or fine_tuning_config(old)
    wanted = lesions if lesions is not None else any_lesion(own.detector.organ)
    start = start_from(load_foreign(detector), own.detector, decay=1.0)
    groups = {TARGET: divide(target, own, wanted, where=TARGET)}
    if source is not None:
        known = {case.sha256 for case in source.cases.values()}
        shared = [name for name, case in target.cases.items() if case.sha256 in known]
        if shared:
            fix = "give cases of the source that are not those of the target"
            raise ConfigError("is in both sets", where=shared[0], fix=fix)
        groups[SOURCE] = divide(source, own, wanted, where=SOURCE)
    scans = {name: data.scans(own, repeats) for name, data in groups.items()}
    chosen = guard or Guard(pull=0.0 if source is not None else PULL)
    guarded = SOURCE if source is not None else None

    def patches_of(one: TrainingConfig) -> PatchSource:
        sources = [data.choice.patches(one) for data in groups.values()]
        return sources[0] if len(sources) == 1 else Mixed(*sources)

    rounds = fine_tune(
        own,
        patches_of,
        out,
        start.weights,
        scans={name: choice for name, (choice, _) in scans.items()},
        wanted=TARGET,
        guarded=guarded,
        guard=chosen,
        data_sha256=" ".join(data.choice.digest for data in groups.values()),
        resume=resume,
        on_progress=on_progress,
    )
    comparison = tested(
        old, rounds, {name: test for name, (_, test) in scans.items()}, own, chosen.rate
    )
    story = {
        "adapted_from": start.origin["sha256"],
        "target_sha256": groups[TARGET].choice.digest,
        "source_sha256": None if source is None else groups[SOURCE].choice.digest,
    }
    held = f"pulled back by {chosen.pull:.0%} after each round, anchor {chosen.anchor:g}"
    notes = () if source is not None else (_NO_SOURCE.format(held=held),)
    return write_tuned(
        old, own, groups[TARGET], rounds, comparison, out,
        wanted=TARGET, guarded=guarded, guard=chosen,
        title="Adaptation to a new hospital", story=story, notes=notes,
    )  # fmt: skip


_NO_SOURCE = (
    "no case of the source was given: what the detector has forgotten there is not computed; "
    "weights were {held}"
)
