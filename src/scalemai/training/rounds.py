"""Training on, in rounds, from a detector that must not forget what it can.

After each round the network is looked at on patches of what is wanted and of what it could do
before. The rounds end when it has lost too much of the latter, and the best round so far is kept;
that may be none, and then the detector stays as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from scalemai.detector.network import build_network
from scalemai.errors import ConfigError
from scalemai.training.compute import computing, device_name, threads_of
from scalemai.training.config import TrainingConfig
from scalemai.training.fit import Progress, fit, learning_rate
from scalemai.training.losses import SegmentationLoss
from scalemai.training.stream import Batch, PatchSource
from scalemai.training.validation import Score, held_out_batches, validate

__all__ = ["FineTuned", "Guard", "Mixed", "fine_tune", "pulled_back"]

Weights = Mapping[str, torch.Tensor]

_WARM_UP_SHARE = 4  # at most a quarter of a round; author's choice


@dataclass(frozen=True)
class Guard:
    """How forgetting is kept in bounds. The defaults are the author's estimates, to be refined.

    Parameters
    ----------
    rounds
        Parts that the training is divided into; the network is looked at after each.
    margin
        Largest loss of Dice on patches of what the detector could do before.
    pull
        Share of the way that all weights go back to the old ones after each round: a penalty on
        their squared distance (L2-SP, Li et al., ICML 2018), decoupled from the gradient as
        AdamW's weight decay is.

    Raises
    ------
    ConfigError
        If a number is impossible.
    """

    rounds: int = 5
    margin: float = 0.05
    pull: float = 0.0

    def __post_init__(self) -> None:
        for name, good, fix in (
            ("rounds", self.rounds >= 1, "give 1 or more"),
            ("margin", 0.0 <= self.margin <= 1.0, "give 0 to 1"),
            ("pull", 0.0 <= self.pull < 1.0, "give 0 to below 1"),
        ):
            if not good:
                raise ConfigError(f"{getattr(self, name):g} is impossible", where=name, fix=fix)


@dataclass(frozen=True, eq=False)
class FineTuned:
    """What rounds of training ended with.

    Parameters
    ----------
    weights
        Of the round that was kept.
    scores
        Of each round, by name of the patches; the first is that of the old weights.
    kept
        Number of the round that was kept; 0 for the old weights.
    stopped
        Whether the last round lost more than the margin.
    """

    weights: Weights
    scores: Sequence[Mapping[str, Score]]
    kept: int
    stopped: bool

    def to_dict(self) -> dict[str, Any]:
        """All but the weights, in plain types."""
        rounds = [
            {name: score.as_values() for name, score in scores.items()} for scores in self.scores
        ]
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
    looks: Mapping[str, PatchSource],
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
    looks
        Patches to look at after each round, by name.
    wanted, guarded
        Which of them shall become better, and which must not become worse; None for none.
        The round with the best Dice is kept, of equal ones that with the lowest loss.
    guard
        When to stop, and how far from the old weights to go.
    data_sha256
        Hash of the data.
    factors, resume, on_progress
        As of :func:`scalemai.training.fit.fit`.

    Raises
    ------
    ConfigError, LockedError, ScaleMAIError, KeyboardInterrupt
        As :func:`scalemai.training.fit.fit`.
    """
    fixed = {
        name: held_out_batches(source, config.validation.patches, config.batch)
        for name, source in looks.items()
    }
    scores = [_looked(config, old, fixed)]
    best, kept, stopped, weights = old, 0, False, old
    for number in range(1, guard.rounds + 1):
        own = _of_round(config, number, guard.rounds)
        identity = f"{data_sha256} {guard.pull} {_digest(weights)}"
        fitted = fit(
            own,
            patches(own),
            Path(out) / f"round-{number:02d}",
            data_sha256=hashlib.sha256(identity.encode()).hexdigest(),
            resume=resume,
            start=weights,
            factors=factors,
            on_progress=on_progress,
        )
        weights = pulled_back(fitted.checkpoint.weights, old, guard.pull)
        scores.append(_looked(config, weights, fixed))
        if guarded is not None:
            lost = scores[0][guarded].dice - scores[-1][guarded].dice
            if lost > guard.margin:
                stopped = True
                break
        if _rank(scores[-1][wanted]) > _rank(scores[kept][wanted]):
            best, kept = weights, number
    return FineTuned(best, tuple(scores), kept, stopped)


def _rank(score: Score) -> tuple[float, float]:
    # Small lesions may have no voxel above the threshold for long; the loss tells sooner.
    return score.dice, -score.loss


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


def _looked(
    config: TrainingConfig, weights: Weights, looks: Mapping[str, Sequence[Batch]]
) -> dict[str, Score]:
    device = torch.device(device_name(config.compute))
    network = build_network(config.detector)
    network.load_state_dict(weights)
    criterion = SegmentationLoss(len(config.detector.classes), config.loss).to(device)
    with computing(threads_of(config.compute), repeatable=device.type == "cpu"):
        return {
            name: validate(network.to(device), batches, criterion, device)
            for name, batches in looks.items()
        }


def _digest(weights: Weights) -> str:
    plain = {name: value.detach().cpu().contiguous() for name, value in sorted(weights.items())}
    return hashlib.sha256(save(plain)).hexdigest()
