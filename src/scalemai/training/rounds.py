"""Training on, in rounds, from a detector that must not forget what it can.

After each round the network looks for fixed lesions in whole scans: those that are wanted, and
those that it could find before. The rounds end when it has lost too many of the latter, and the
best round so far is kept. If no round finds clearly more of the wanted ones, none is, and the
detector stays as it was.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from scalemai.detector.files import Detector
from scalemai.detector.network import build_network
from scalemai.errors import ConfigError
from scalemai.training.comparing import Pair
from scalemai.training.compute import threads_of
from scalemai.training.config import TrainingConfig
from scalemai.training.fit import Progress, fit, learning_rate
from scalemai.training.stream import PatchSource
from scalemai.training.transfer.groups import Anchored
from scalemai.training.watching import Scans, Seen, see

__all__ = ["FineTuned", "Guard", "Look", "Mixed", "detector_of", "fine_tune", "pulled_back"]

Weights = Mapping[str, torch.Tensor]

_WARM_UP_SHARE = 4  # at most a quarter of a round; author's choice


@dataclass(frozen=True)
class Guard:
    """What is kept, and how forgetting is kept in bounds.

    The defaults are the author's estimates, to be refined.

    Parameters
    ----------
    rounds
        Parts that the training is divided into; the network looks at whole scans after each.
    margin
        Largest loss of sensitivity for what the detector could find before.
    pull
        Share of the way that all weights go back to the old ones after each round: a penalty on
        their squared distance (L2-SP, Li et al., ICML 2018), decoupled from the gradient as
        AdamW's weight decay is.
    anchor
        Weight of half that squared distance in the loss itself, at every step. 0 for none.
    rate
        False candidates per scan at which sensitivities are read.
    clear
        How many times its standard error the number of lesions gained, less those lost, must
        exceed for a round to be kept. That error is the root of the number of lesions that
        changed sides, as in McNemar's test: luck alone gains a lesion or two.

    Raises
    ------
    ConfigError
        If a number is impossible.
    """

    rounds: int = 5
    margin: float = 0.05
    pull: float = 0.0
    anchor: float = 0.0
    rate: float = 1.0
    clear: float = 1.0

    def __post_init__(self) -> None:
        for name, good, fix in (
            ("rounds", self.rounds >= 1, "give 1 or more"),
            ("margin", 0.0 <= self.margin <= 1.0, "give 0 to 1"),
            ("pull", 0.0 <= self.pull < 1.0, "give 0 to below 1"),
            ("anchor", 0.0 <= self.anchor <= 1e3, "give 0 to 1000"),
            ("rate", 0.0 < self.rate <= 1e3, "give a rate above 0, for example 1"),
            ("clear", 0.0 <= self.clear <= 10.0, "give 0 to 10 standard errors"),
        ):
            if not good:
                raise ConfigError(f"{getattr(self, name):g} is impossible", where=name, fix=fix)

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain types."""
        return asdict(self)


@dataclass(frozen=True)
class Look:
    """What a network finds in the whole scans of a group after a round.

    Parameters
    ----------
    lesions, found
        Lesions, and how many are found at the guard's rate of false candidates.
    gained, lost
        Lesions that are found but were not with the old weights, and the reverse.
    mean_sensitivity
        Over several rates, see :attr:`~scalemai.training.watching.Seen.mean_sensitivity`.
    false
        False candidates per scan at a probability of one half.
    """

    lesions: int
    found: int
    gained: int
    lost: int
    mean_sensitivity: float
    false: float

    @property
    def sensitivity(self) -> float:
        """Share of the lesions that are found; 0 if there are none."""
        return self.found / self.lesions if self.lesions else 0.0

    def is_clear_gain(self, errors: float) -> bool:
        """Whether more lesions were gained than lost, by this many standard errors."""
        more = self.gained - self.lost
        return more > 0 and more > errors * math.sqrt(self.gained + self.lost)

    def to_dict(self) -> dict[str, float]:
        """All of it in plain types."""
        return {**asdict(self), "sensitivity": self.sensitivity}


@dataclass(frozen=True, eq=False)
class FineTuned:
    """What rounds of training ended with.

    Parameters
    ----------
    weights
        Of the round that was kept.
    looks
        Of each round, by name of the scans; the first is that of the old weights.
    kept
        Number of the round that was kept; 0 for the old weights.
    stopped
        Whether the last round lost more than the margin.
    """

    weights: Weights
    looks: Sequence[Mapping[str, Look]]
    kept: int
    stopped: bool

    def to_dict(self) -> dict[str, Any]:
        """All but the weights, in plain types."""
        rounds = [{name: look.to_dict() for name, look in looks.items()} for looks in self.looks]
        return {"rounds": rounds, "kept": self.kept, "stopped": self.stopped}


class Mixed:
    """Patches of several sources in turn, so that each has its share whatever its size."""

    def __init__(self, *sources: PatchSource) -> None:
        self._sources = sources

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        number = len(self._sources)
        return self._sources[index % number][index // number]


def fine_tune(
    config: TrainingConfig,
    patches: Callable[[TrainingConfig], PatchSource],
    out: Path,
    old: Weights,
    *,
    scans: Mapping[str, Scans],
    wanted: str,
    guarded: str | None,
    guard: Guard,
    data_sha256: str = "",
    factors: Mapping[str, float] | None = None,
    resume: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
) -> FineTuned:
    """Train on from old weights.

    Parameters
    ----------
    config
        What is trained, and how; its steps are those of all rounds together. AdamW starts anew in
        each round, with a warm-up of at most a quarter of it; the learning rate falls from round
        to round.
    patches
        Patches to learn from, for the config of a round, whose seed is its own.
    out
        Folder of the rounds; what was stopped or killed goes on where it was.
    old
        Weights by name.
    scans
        Whole scans to look at after each round, by name. Nothing may be learned from their hosts.
    wanted, guarded
        In which of them more lesions shall be found, and in which not fewer; None for none. Of
        the rounds with a clear gain, the one with the highest sensitivity is kept, of equal ones
        that with the highest mean sensitivity over several rates, then the first.
    guard
        What is a gain, when to stop, and how far from the old weights to go.
    data_sha256
        Hash of the data.
    factors, resume, on_progress
        As of :func:`scalemai.training.fit.fit`.

    Raises
    ------
    ConfigError
        If the anchor does not go with the precision.
    ConfigError, LockedError, ScaleMAIError, KeyboardInterrupt
        As :func:`scalemai.training.fit.fit`.
    """
    if guard.anchor and config.compute.precision == "16-mixed":
        fix = "give pull, or compute.precision=bf16-mixed"
        raise ConfigError("does not go with 16-mixed, which scales losses", where="anchor", fix=fix)
    threads = threads_of(config.compute)
    network = detector_of(config, old)
    rates: Mapping[str, float] | None = factors
    if guard.anchor:
        own_rates = {name: 1.0 for name, _ in network.network.named_parameters()}
        rates = Anchored({**own_rates, **(factors or {})}, old, guard.anchor)
    first = {name: see(network, some, threads=threads) for name, some in scans.items()}
    looks = [_looks(first, first, guard.rate)]
    best, kept, stopped, weights = old, 0, False, old
    for number in range(1, guard.rounds + 1):
        own = _of_round(config, number, guard.rounds)
        identity = f"{data_sha256} {guard.pull} {guard.anchor} {_digest(weights)}"
        fitted = fit(
            own,
            patches(own),
            Path(out) / f"round-{number:02d}",
            data_sha256=hashlib.sha256(identity.encode()).hexdigest(),
            resume=resume,
            start=weights,
            factors=rates,
            on_progress=on_progress,
        )
        weights = pulled_back(fitted.checkpoint.weights, old, guard.pull)
        network = detector_of(config, weights)
        looks.append(
            _looks(
                first,
                {name: see(network, some, threads=threads) for name, some in scans.items()},
                guard.rate,
            )
        )
        if guarded is not None:
            lost = looks[0][guarded].sensitivity - looks[-1][guarded].sensitivity
            if lost > guard.margin:
                stopped = True
                break
        own_look = looks[-1][wanted]
        if own_look.is_clear_gain(guard.clear) and _rank(own_look) > _rank(looks[kept][wanted]):
            best, kept = weights, number
    return FineTuned(best, tuple(looks), kept, stopped)


def detector_of(config: TrainingConfig, weights: Weights) -> Detector:
    """A bare detector of some weights."""
    network = build_network(config.detector)
    network.load_state_dict(weights)
    return Detector(config.detector, network.eval())


def _looks(before: Mapping[str, Seen], after: Mapping[str, Seen], rate: float) -> dict[str, Look]:
    looks = {}
    for name, seen in after.items():
        gained, lost = Pair(before[name], seen).moved(rate)
        looks[name] = Look(
            seen.score.size,
            int(seen.found(rate).sum()),
            gained,
            lost,
            seen.mean_sensitivity,
            seen.false_per_scan(0.5),
        )
    return looks


def _rank(look: Look) -> tuple[int, float]:
    return look.found, look.mean_sensitivity


def _of_round(config: TrainingConfig, number: int, rounds: int) -> TrainingConfig:
    """A part of the training, with a learning rate that stays after a short warm-up."""
    steps = max(config.steps // rounds, 1)
    done = steps * (number - 1)
    whole = replace(config.optimiser, warm_up=0)
    rate = learning_rate(whole, min(done, config.steps - 1), config.steps)
    seed = int(np.random.SeedSequence([config.seed, number]).generate_state(1, np.uint32)[0])
    return replace(
        config,
        steps=steps,
        seed=seed,
        optimiser=replace(
            config.optimiser,
            learning_rate=rate,
            power=0.0,
            warm_up=min(config.optimiser.warm_up, steps // _WARM_UP_SHARE),
        ),
        validation=replace(config.validation, every=0, choose="last"),
    )


def pulled_back(weights: Weights, old: Weights, pull: float) -> Weights:
    """Weights a share of the way back to the old ones; whole numbers among them stay."""
    if not pull:
        return weights
    return {
        name: torch.lerp(value, old[name].to(value), pull) if value.is_floating_point() else value
        for name, value in weights.items()
    }


def _digest(weights: Weights) -> str:
    plain = {name: w.detach().cpu().contiguous().clone() for name, w in sorted(weights.items())}
    return hashlib.sha256(save(plain)).hexdigest()
