"""What decides a training, as data: every field is in the card, and decides the weights or says so.

::

    TrainingConfig
    ├─ detector      what is looked for, preprocessing, network, patch
    ├─ sampling      what patches show
    ├─ loss          Dice and cross-entropy
    ├─ optimiser     AdamW, warm-up, polynomial decay
    ├─ validation    what is held out, and how often it is looked at
    ├─ compute       devices, precision, threads: other ones give other roundings
    └─ run           workers, checkpoints, logs: they change nothing in the weights
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from scalemai.detector.spec import DetectorSpec
from scalemai.errors import ConfigError, UnknownNameError

__all__ = [
    "ComputeConfig",
    "LossConfig",
    "OptimiserConfig",
    "RunConfig",
    "SamplingConfig",
    "TrainingConfig",
    "ValidationConfig",
    "differences",
]

Accelerator = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
Chosen = Literal["last", "best"]

_MOST_LESIONS = 8


@dataclass(frozen=True)
class SamplingConfig:
    """What patches show. The defaults are the author's choice, to be refined.

    Parameters
    ----------
    share_background
        Share of the patches that are drawn round a random place of the organ.
    share_synthetic
        Of the others, share of new lesions where there are real ones too.
    augment
        Whether patches are turned, scaled and made to look as other scanners and doses do.
    organ_corruption
        Whether the organ's mask is damaged as segmentation damages it.
    effects
        Whether new lesions push tissue and dilate ducts; it multiplies the time that they take.
    lesions
        Range of the number of new lesions of a patch that shows them. A lesion takes a fraction
        of the time that the network takes for a patch.
    least_detectability
        Signal to noise of a new lesion as an object, below which it is labelled as unknown: below
        3 to 5 nobody sees it (Rose, J Opt Soc Am 1948;38:196-208).
    """

    share_background: float = 0.25
    share_synthetic: float = 0.5
    augment: bool = True
    organ_corruption: bool = True
    effects: bool = False
    lesions: tuple[int, int] = (1, 1)
    least_detectability: float = 0.0

    def __post_init__(self) -> None:
        _within(self, "share_background", 0.0, 1.0)
        _within(self, "share_synthetic", 0.0, 1.0)
        _within(self, "least_detectability", 0.0, 100.0)
        if not 1 <= self.lesions[0] <= self.lesions[1] <= _MOST_LESIONS:
            what = f"{self.lesions[0]} to {self.lesions[1]} is no range of numbers"
            fix = f"give 1 to {_MOST_LESIONS} as [low, high]"
            raise ConfigError(what, where="sampling.lesions", fix=fix)


@dataclass(frozen=True)
class LossConfig:
    """Dice plus cross-entropy; voxels of unknown class count in neither.

    Parameters
    ----------
    dice, cross_entropy
        Weights of the two.
    class_weights
        Weights of background and classes in both; empty for equal ones. Dice has no background.
    each_patch
        Take the Dice of every patch and their mean, in place of that of the batch as a whole: a
        small lesion then counts as much as a large one in another patch.
    smooth_voxels
        Added above and below in Dice. For each patch, some voxels are needed: without a lesion in
        it, Dice falls with the false voxels in units of this number.
    """

    dice: float = 1.0
    cross_entropy: float = 1.0
    class_weights: tuple[float, ...] = ()
    each_patch: bool = False
    smooth_voxels: float = 1e-5

    def __post_init__(self) -> None:
        _within(self, "dice", 0.0, 1e6)
        _within(self, "cross_entropy", 0.0, 1e6)
        _within(self, "smooth_voxels", 1e-9, 1e6)
        if self.dice + self.cross_entropy <= 0.0:
            raise ConfigError("nothing is lost", where="loss", fix="give one a weight above 0")
        if any(not 0.0 <= weight <= 1e6 for weight in self.class_weights):
            fix = "give numbers from 0"
            raise ConfigError("a weight is impossible", where="loss.class_weights", fix=fix)


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with a linear warm-up and polynomial decay, gradients clipped by their norm.

    Parameters
    ----------
    learning_rate
        The highest.
    weight_decay
        Of AdamW (Loshchilov & Hutter, ICLR 2019).
    warm_up
        Steps until the learning rate is reached.
    power
        Of the decay, 0.9 as in nnU-Net (Isensee et al., Nat Methods 2021;18:203-211).
    clip_norm
        Largest norm of all gradients together; 0 leaves them as they are.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warm_up: int = 50
    power: float = 0.9
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        _within(self, "learning_rate", 1e-9, 10.0)
        _within(self, "weight_decay", 0.0, 10.0)
        _within(self, "power", 0.0, 10.0)
        _within(self, "clip_norm", 0.0, 1e9)
        _at_least(self, "warm_up", 0)


@dataclass(frozen=True)
class ValidationConfig:
    """What is held out, and how often it is looked at.

    Parameters
    ----------
    share
        Share of the cases that are held out; at least one is, unless it is 0.
    patches
        Patches of held-out hosts with lesions of a fixed seed, made once.
    every
        Steps between two looks; 0 for none.
    scans
        Held-out hosts that are looked at as a whole at the end, with a lesion of each size.
    choose
        Which weights the detector gets: the last, or those with the best Dice on these patches.
    """

    share: float = 0.15
    patches: int = 32
    every: int = 500
    scans: int = 8
    choose: Chosen = "last"

    def __post_init__(self) -> None:
        _within(self, "share", 0.0, 0.9)
        _at_least(self, "patches", 1)
        _at_least(self, "every", 0)
        _at_least(self, "scans", 0)
        _one_of(self, "choose", get_args(Chosen))
        if self.choose == "best" and not self.looks:
            fix = "give validation.every and validation.share, or choose the last"
            raise ConfigError("nothing says which is best", where="validation.choose", fix=fix)

    @property
    def looks(self) -> bool:
        """Whether anything is held out and looked at."""
        return self.every > 0 and self.share > 0.0


@dataclass(frozen=True)
class ComputeConfig:
    """Where it is computed. Sums are rounded in another order on another machine.

    Parameters
    ----------
    accelerator
        ``"auto"`` is a GPU if there is one.
    devices
        How many; on more than one, each sees its own patches (DDP).
    precision
        Lightning Fabric's names. bf16 pays only where the hardware has it: not on most CPUs.
    threads
        Threads of a CPU process; 0 for the cores that it may use, shared among the devices. The
        number is recorded, for the last bits of the weights depend on it.
    channels_last
        Whether channels lie innermost in memory, which is faster on CPUs and recent GPUs.
    """

    accelerator: Accelerator = "auto"
    devices: int = 1
    precision: Precision = "32-true"
    threads: int = 0
    channels_last: bool = True

    def __post_init__(self) -> None:
        _one_of(self, "accelerator", get_args(Accelerator))
        _one_of(self, "precision", get_args(Precision))
        _at_least(self, "devices", 1)
        _at_least(self, "threads", 0)


@dataclass(frozen=True)
class RunConfig:
    """How a run is kept. None of it changes the weights, so a run may be resumed with others.

    Parameters
    ----------
    workers
        Processes that make patches, for each device; 0 makes them in the training process.
    checkpoint_every
        Steps between two checkpoints.
    tensorboard
        Whether to write for TensorBoard, if it is installed.
    mlflow
        MLflow experiment to log to; empty for none.
    """

    workers: int = 1
    checkpoint_every: int = 100
    tensorboard: bool = True
    mlflow: str = ""

    def __post_init__(self) -> None:
        _at_least(self, "workers", 0)
        _at_least(self, "checkpoint_every", 1)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """A training.

    Parameters
    ----------
    detector
        What is trained.
    steps
        Steps of the optimiser.
    batch
        Patches of one step, on each device.
    seed
        Decides the first weights and every patch.
    licence
        Licence that the detector's weights are given, for the card; empty if nobody has said.
    sampling, loss, optimiser, validation, compute, run
        See there.

    Raises
    ------
    ConfigError
        Naming the field, if a number is impossible or fields contradict each other.
    """

    detector: DetectorSpec
    steps: int = 1000
    batch: int = 2
    seed: int = 0
    licence: str = ""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            _at_least(self, name, 1)
        _at_least(self, "seed", 0)
        outputs, weights = 1 + len(self.detector.classes), self.loss.class_weights
        if weights and len(weights) != outputs:
            what = f"{len(weights)} weights for background and {outputs - 1} classes"
            raise ConfigError(what, where="loss.class_weights", fix=f"give {outputs}, or none")

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain types, as a TOML or JSON file holds it."""
        plain = asdict(self)
        plain["detector"] = self.detector.to_dict()
        text = json.dumps(plain, allow_nan=False)  # tuples become lists, as in files
        again: dict[str, Any] = json.loads(text)
        return again

    def deciding(self) -> dict[str, Any]:
        """As :meth:`to_dict`, without what changes nothing in the weights."""
        plain = self.to_dict()
        del plain["run"], plain["licence"]
        return plain

    @property
    def digest(self) -> str:
        """SHA-256 of what decides the weights."""
        text = json.dumps(self.deciding(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Where two nested configs differ: ``"optimiser.learning_rate 0.001, not 0.01"``.

    Parameters
    ----------
    ours, theirs
        Plain data; the text says what is there in ``theirs``, then what in ``ours``.
    """
    found: list[str] = []
    for name in dict.fromkeys([*ours, *theirs]):
        mine, other = ours.get(name), theirs.get(name)
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            found += differences(mine, other, f"{prefix}{name}.")
        elif mine != other:
            found.append(f"{prefix}{name} {other}, not {mine}")
    return found


def _at_least(config: Any, name: str, least: int) -> None:
    value = getattr(config, name)
    if value < least:
        raise ConfigError(
            f"{value} is impossible", where=_place(config, name), fix=f"give {least} or more"
        )


def _within(config: Any, name: str, low: float, high: float) -> None:
    value = getattr(config, name)
    if not low <= value <= high:
        fix = f"give {low:g} to {high:g}"
        raise ConfigError(f"{value:g} is impossible", where=_place(config, name), fix=fix)


def _one_of(config: Any, name: str, known: tuple[str, ...]) -> None:
    if getattr(config, name) not in known:
        raise UnknownNameError(_place(config, name), getattr(config, name), known)


def _place(config: Any, name: str) -> str:
    section = type(config).__name__.removesuffix("Config").lower()
    return name if section == "training" else f"{section}.{name}"
