"""What a training starts with: weights that somebody trained, and how fast each layer may change.

::

    frozen    head 1         the rest 0
    partial   head 1         decoder d       encoder 0
    full      head 1         decoder d       encoder d * d

These are factors of the learning rate. Whatever the checkpoint did not have counts as head: it is
random, and must learn.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch

from scalemai.detector.network import build_network
from scalemai.detector.spec import DetectorSpec
from scalemai.errors import ConfigError, UnknownNameError
from scalemai.training.transfer.foreign import ForeignCheckpoint
from scalemai.training.transfer.layers import decoder_of, layers_of
from scalemai.training.transfer.matching import LEAST_SHARE, fill_network, match_keys
from scalemai.training.transfer.report import MatchReport

__all__ = [
    "DECAY",
    "Head",
    "Mode",
    "Start",
    "learning_rate_factors",
    "start_from",
]

Mode = Literal["frozen", "partial", "full"]
Head = Literal["auto", "new", "load"]

DECAY = 1.0 / 2.6
"""Learning rate of a part of the network over that of the part after it. Howard & Ruder (ACL 2018,
section 3.2) take 1 / 2.6 from one layer to the next; here it is from head to decoder to encoder."""

_SPACING_TOLERANCE = 0.1  # share; author's choice


@dataclass(frozen=True, eq=False)
class Start:
    """What a training starts with.

    Parameters
    ----------
    weights
        Every tensor of the network by name.
    factors
        Factor of the learning rate of each parameter by name; 0 for those that stay as they are.
    report
        What was taken over.
    origin
        Where it comes from, in plain types, for the card of the detector.
    notes
        What the user should know, one line each.
    """

    weights: Mapping[str, torch.Tensor]
    factors: Mapping[str, float]
    report: MatchReport
    origin: Mapping[str, Any]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Origin, notes and report in plain types, for JSON."""
        return {**self.origin, "notes": list(self.notes), "report": self.report.to_dict()}


def start_from(
    checkpoint: ForeignCheckpoint,
    spec: DetectorSpec,
    *,
    mode: Mode = "full",
    head: Head = "auto",
    decay: float = DECAY,
    prefix: str | None = None,
    least: float = LEAST_SHARE,
    seed: int = 0,
) -> Start:
    """First weights and learning rates of a training that starts from a checkpoint.

    Parameters
    ----------
    checkpoint
        From :func:`~scalemai.training.transfer.foreign.load_foreign`.
    spec
        The detector that is to be trained.
    mode
        What may change: the head, the decoder too, or everything.
    head
        Whether the layers that make the classes are taken over. ``"auto"`` does so only from a
        detector of ours with the same organ and classes: elsewhere nobody says what they mean.
    decay
        Learning rate of the decoder over that of the head, and of the encoder over that of the
        decoder; above 0, at most 1.
    prefix, least
        As of :func:`~scalemai.training.transfer.matching.match_keys`.
    seed
        Of the weights that stay random.

    Raises
    ------
    ConfigError
        If too little of the checkpoint fits, or an argument is impossible.
    """
    if mode not in get_args(Mode):
        raise UnknownNameError("mode", mode, get_args(Mode))
    if head not in get_args(Head):
        raise UnknownNameError("head", head, get_args(Head))
    network = build_network(spec, seed=seed)
    same = checkpoint.spec is not None and (checkpoint.spec.organ, checkpoint.spec.classes) == (
        spec.organ,
        spec.classes,
    )
    loads_head = head == "load" or (head == "auto" and same)
    layers = layers_of(spec)
    report = match_keys(
        checkpoint.state,
        network,
        layers=layers,
        head="load" if loads_head else "new",
        prefix=prefix,
        least=least,
    )
    fill_network(network, checkpoint.state, report)
    names = [name for name, _ in network.named_parameters()]
    factors = learning_rate_factors(
        names, spec, mode=mode, head=layers.head | report.new, decay=decay
    )
    origin = {
        "file": checkpoint.path.name,
        "sha256": checkpoint.sha256,
        "form": checkpoint.form,
        "container": checkpoint.container,
        "stated": dict(checkpoint.stated),
        "mode": mode,
        "decay": decay,
        "head": "loaded" if loads_head else "new",
        "share_of_parameters": report.share,
        "seed": seed,
    }
    notes = _notes(checkpoint, spec, report, factors)
    return Start(network.state_dict(), factors, report, origin, notes)


def learning_rate_factors(
    names: Collection[str],
    spec: DetectorSpec,
    *,
    mode: Mode,
    head: Collection[str],
    decay: float = DECAY,
) -> dict[str, float]:
    """Factor of the learning rate of each parameter.

    Parameters
    ----------
    names
        Parameters of the network.
    spec
        The detector.
    mode, decay
        As of :func:`start_from`.
    head
        Parameters that are new: those that make the classes, and what was not in the checkpoint.

    Raises
    ------
    ConfigError
        If the decay is impossible, or it is not known where the decoder begins.
    """
    if not 0.0 < decay <= 1.0:
        raise ConfigError(f"{decay:g} is no decay", where="decay", fix="give above 0, at most 1")
    decoder: Collection[str] = ()
    if mode != "frozen":
        decoder = decoder_of(spec, dict.fromkeys(names))
    deep = decay**2 if mode == "full" else 0.0
    return {name: 1.0 if name in head else decay if name in decoder else deep for name in names}


def _notes(
    checkpoint: ForeignCheckpoint,
    spec: DetectorSpec,
    report: MatchReport,
    factors: Mapping[str, float],
) -> tuple[str, ...]:
    said = []
    adapted = report.of("adapted")
    if adapted:
        line = "the organ's mask is new to it, and has no effect at first"
        if all(factors[one.name] == 0.0 for one in adapted if one.name is not None):
            line = "the organ's mask is new to it and stays without effect, for the layer is frozen"
        said.append(line)
    left = report.of("missing", "shape mismatch")
    frozen = any(factor == 0.0 for factor in factors.values())
    if frozen and any(one.name in factors for one in left):
        said.append(f"{len(left)} tensors that it lacks are trained too, for they are random")
    stated, own = checkpoint.stated.get("spacing_mm"), spec.preprocessing.spacing_mm
    if isinstance(stated, list) and len(stated) == 3:
        # nnU-Net counts axes from the slices, ours from the right: only the set is compared.
        pairs = zip(sorted(stated), sorted(own), strict=True)
        if any(abs(there - here) > _SPACING_TOLERANCE * here for there, here in pairs):
            said.append(f"it was trained at {_by(stated)} mm, this detector sees {_by(own)} mm")
    window = checkpoint.stated.get("window_hu")
    if window is None:
        said.append("the file does not say which HU it saw, nor how they were scaled")
    elif tuple(window) != spec.preprocessing.window_hu:
        low, high = spec.preprocessing.window_hu
        said.append(
            f"it saw {window[0]:g} to {window[1]:g} HU, this detector sees {low:g} to {high:g} HU"
        )
    theirs = checkpoint.spec
    if theirs is not None and theirs.organ != spec.organ:
        said.append(f"it was trained for the {theirs.organ}, this detector is for the {spec.organ}")
    if checkpoint.others:
        said.append(f"other networks in the file were left aside: {', '.join(checkpoint.others)}")
    if theirs is None:
        said.append("its licence holds for this detector too; state it with licence")
    return tuple(said)


def _by(lengths: Collection[float]) -> str:
    return " x ".join(f"{length:g}" for length in lengths)
