"""A detector in a new hospital, of which there are normal scans and not one annotation.

::

    normal scans of the target ──> synthetic lesions in them ──> rounds of training ──> detector
    cases of the source, if any ──> half of the patches (replay)         │
                                └─> held out: the loss there ends it ────┘

Without cases of the source, weights are pulled toward the old ones, and what is lost there cannot
be measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from scalemai.detector.files import read_detector
from scalemai.errors import ConfigError
from scalemai.training.cache import Cache
from scalemai.training.comparing import Scans, compare_detectors
from scalemai.training.compute import threads_of
from scalemai.training.config import TrainingConfig
from scalemai.training.fit import Progress
from scalemai.training.material import Lesions, Material, any_lesion, choose_cases
from scalemai.training.rounds import Guard, Mixed, fine_tune
from scalemai.training.stream import PatchSource
from scalemai.training.transfer.foreign import load_foreign
from scalemai.training.transfer.start import start_from
from scalemai.training.tuned import Tuned, detector_of, fine_tuning_config, write_tuned

__all__ = ["PULL", "SOURCE", "TARGET", "adapt", "scans_of"]

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
        Sets of lesions that both detectors are shown in the held-out scans at the end.
    resume, on_progress
        As of :func:`scalemai.training.fit.fit`.

    Returns
    -------
    Tuned
        With the old weights if no round was better on the target within the margin on the source.

    Raises
    ------
    ConfigError
        If a set has one case only, the sets share cases, or ``out`` holds another adaptation.
    UnreadableFileError, LockedError, ScaleMAIError, KeyboardInterrupt, OutputError
        As of :func:`scalemai.training.train.train`.
    """
    old = read_detector(detector)
    own = config or fine_tuning_config(old)
    wanted = lesions if lesions is not None else any_lesion(own.detector.organ)
    start = start_from(load_foreign(detector), own.detector, decay=1.0)
    new = choose_cases(target, own, wanted)
    groups = {TARGET: new}
    if source is not None:
        known = {case.sha256 for case in source.cases.values()}
        shared = [name for name, case in target.cases.items() if case.sha256 in known]
        if shared:
            fix = "give cases of the source that are not those of the target"
            raise ConfigError("is in both sets", where=shared[0], fix=fix)
        groups[SOURCE] = choose_cases(source, own, wanted)
    looks: dict[str, PatchSource] = {}
    for name, material in groups.items():
        patches = material.held_out_patches(own)
        assert patches is not None  # the config holds some out
        looks[name] = patches
    chosen = guard or Guard(pull=0.0 if source is not None else PULL)

    def patches_of(one: TrainingConfig) -> PatchSource:
        sources = [material.patches(one) for material in groups.values()]
        return sources[0] if len(sources) == 1 else Mixed(*sources)

    rounds = fine_tune(
        own,
        patches_of,
        out,
        start.weights,
        looks=looks,
        wanted=TARGET,
        guarded=SOURCE if source is not None else None,
        guard=chosen,
        data_sha256=" ".join(material.digest for material in groups.values()),
        resume=resume,
        on_progress=on_progress,
    )
    comparison = compare_detectors(
        old,
        detector_of(own, rounds.weights),
        {name: scans_of(material, own, repeats) for name, material in groups.items()},
        threads=threads_of(own.compute),
    )
    story = {
        "adapted_from": start.origin["sha256"],
        "target_sha256": new.digest,
        "source_sha256": None if source is None else groups[SOURCE].digest,
        "margin": chosen.margin,
        "pull": chosen.pull,
    }
    notes = () if source is not None else (_NO_SOURCE.format(pull=chosen.pull),)
    return write_tuned(
        old, own, new, rounds, comparison, out,
        title="Adaptation to a new hospital", story=story, notes=notes,
    )  # fmt: skip


_NO_SOURCE = (
    "no case of the source was given: what the detector has forgotten there is not computed, and "
    "weights were pulled back by {pull:.0%} after each round"
)


def scans_of(material: Material, config: TrainingConfig, repeats: int) -> Scans:
    """Held-out hosts, with lesions of several seeds that no patch has."""
    if repeats < 1:
        raise ConfigError(f"{repeats} is impossible", where="repeats", fix="give 1 or more")
    assert material.held_out is not None  # the config holds some out
    seeds = (replace(config, seed=config.seed + number) for number in range(repeats))
    patches = [one for seed in seeds if (one := material.held_out_patches(seed)) is not None]
    hosts = list(material.held_out.cases.values())
    return Scans(hosts[: config.validation.scans or None], patches)
