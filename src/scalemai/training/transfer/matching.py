"""What becomes of each tensor of a checkpoint and of a network: by name and shape, no guess.

::

    same name, same shape                          loaded
    same name, fewer channels of the image         adapted: copied, the new channels are 0
    same name, makes the classes                   head: left new, unless asked for
    same name, another shape                       shape mismatch: left new
    in the network only                            missing: left new
    in the checkpoint only                         unexpected: left aside
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from scalemai.errors import ConfigError
from scalemai.training.transfer.containers import State
from scalemai.training.transfer.layers import Layers
from scalemai.training.transfer.renaming import Renaming, rename
from scalemai.training.transfer.report import MatchReport, Status, TensorMatch

__all__ = ["LEAST_SHARE", "fill_network", "match_keys"]

LEAST_SHARE = 0.5
"""Share of a network's parameters, its head left out, below which a checkpoint is refused; the
author's choice. A pre-trained encoder alone is less, and must be asked for."""


def match_keys(
    state: State,
    network: nn.Module,
    *,
    layers: Layers | None = None,
    head: Literal["new", "load"] = "new",
    prefix: str | None = None,
    least: float = LEAST_SHARE,
) -> MatchReport:
    """Say what of a checkpoint a network can start with. Nothing is changed.

    Parameters
    ----------
    state
        Weights by name.
    network
        The network.
    layers
        Its first and last layers (:func:`scalemai.training.transfer.layers.layers_of`). If they
        are not known, tensors of other shapes are left new, whatever the reason.
    head
        Whether the layers that make the classes are taken over where they fit: only right if the
        classes mean the same.
    prefix
        What to take off the checkpoint's names; by default what makes most of them agree.
    least
        Share of the parameters, head left out, that must be taken over, 0 to 1.

    Returns
    -------
    MatchReport
        Every tensor of both, and the share of parameters.

    Raises
    ------
    ConfigError
        If less fits than ``least``; if several prefixes fit equally well; or if a weight that
        would be taken over is not finite.
    """
    if not 0.0 <= least <= 1.0:
        raise ConfigError(f"{least:g} is no share", where="least", fix="give 0 to 1")
    known = layers or Layers()
    wanted = _without_twins(network)
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    renaming = rename(state, shapes, prefix=prefix)
    matches = [
        _match(name, twins, state, shapes[name], renaming, known, head)
        for name, twins in wanted.items()
    ]
    matches += _left_aside(state, {m.source for m in matches if m.source is not None})
    parameters = {name: value.numel() for name, value in network.named_parameters()}
    report = MatchReport(
        tuple(matches),
        removed=renaming.removed,
        added=renaming.added,
        layout=renaming.layout,
        parameters=sum(n for name, n in parameters.items() if name not in known.head),
        taken=sum(
            _taken(one, state, parameters)
            for one in matches
            if one.name in parameters and one.name not in known.head
        ),
    )
    _require(report, least)
    _require_finite(report, state)
    return report


def fill_network(network: nn.Module, state: State, report: MatchReport) -> None:
    """Copy into a network what a report says, in the network's own types.

    Raises
    ------
    ConfigError
        If the report is of another network or checkpoint.
    """
    own = network.state_dict()
    with torch.no_grad():
        for one in report.of("loaded", "adapted"):
            assert one.source is not None
            assert one.name is not None
            if one.name not in own or one.source not in state:
                fix = "match the keys of this checkpoint and this network"
                raise ConfigError("the report is of others", where=one.name, fix=fix)
            into, source = own[one.name], state[one.source]
            if one.status == "adapted":
                into.zero_()
                into[:, : source.shape[1]].copy_(source)
            else:
                into.copy_(source)


def _match(
    name: str,
    twins: tuple[str, ...],
    state: State,
    shape: torch.Size,
    renaming: Renaming,
    layers: Layers,
    head: str,
) -> TensorMatch:
    source = next((renaming.names[one] for one in twins if one in renaming.names), None)
    status: Status
    if source is None:
        status = "head" if name in layers.head else "missing"
        return TensorMatch(status, name, None, tuple(shape), None)
    there = state[source].shape
    if name in layers.head and not (head == "load" and there == shape):
        status = "head"
    elif there == shape:
        status = "loaded"
    elif name in layers.inputs and _has_fewer_channels(there, shape):
        status = "adapted"
    else:
        status = "shape mismatch"
    return TensorMatch(status, name, source, tuple(shape), tuple(there))


def _has_fewer_channels(there: torch.Size, shape: torch.Size) -> bool:
    return (
        len(there) == len(shape) > 1
        and there[1] < shape[1]
        and there[:1] + there[2:] == shape[:1] + shape[2:]
    )


def _left_aside(state: State, used: set[str]) -> list[TensorMatch]:
    """Tensors of the checkpoint that nothing was done with, each once if it has several names."""
    seen = {_place(state[name]) for name in used}
    found = []
    for name, value in state.items():
        if name in used or (value.numel() and _place(value) in seen):
            continue
        seen.add(_place(value))
        found.append(TensorMatch("unexpected", None, name, None, tuple(value.shape)))
    return found


def _place(value: torch.Tensor) -> tuple[object, ...]:
    return value.data_ptr(), value.shape, value.stride()


def _without_twins(network: nn.Module) -> dict[str, tuple[str, ...]]:
    """Each tensor of a network once, with all names that it has (DynUNet's have several)."""
    names: dict[int, list[str]] = {}
    for name, value in network.state_dict(keep_vars=True).items():
        names.setdefault(id(value), []).append(name)
    return {group[0]: tuple(group) for group in names.values()}


def _taken(one: TensorMatch, state: State, parameters: Mapping[str, int]) -> int:
    if one.name is None or one.source is None or one.status not in ("loaded", "adapted"):
        return 0
    return min(int(state[one.source].numel()), parameters[one.name])


def _require(report: MatchReport, least: float) -> None:
    if report.share >= least and report.taken > 0:
        return
    counts = ", ".join(f"{count} {name}" for name, count in report.counts.items() if count)
    what = f"only {report.share:.0%} of the network's parameters are in the checkpoint ({counts})"
    fix = f"{_likely(report)}, or ask for less than {least:.0%} if a part is enough"
    raise ConfigError(what, where="checkpoint", fix=fix)


def _likely(report: MatchReport) -> str:
    other = report.of("shape mismatch")
    if other:
        one = other[0]
        return (
            f"build the network with its widths ({one.name} is {_by(one.there)} there, "
            f"{_by(one.shape)} here)"
        )
    spare = report.of("unexpected")
    theirs = f" (its names are like {spare[0].source})" if spare else ""
    return f"choose the network that it was trained with{theirs}"


def _by(shape: tuple[int, ...] | None) -> str:
    return "x".join(str(n) for n in shape or ())


def _require_finite(report: MatchReport, state: State) -> None:
    for one in report.of("loaded", "adapted"):
        assert one.source is not None
        value = state[one.source]
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            fix = "take an earlier checkpoint of that training"
            raise ConfigError("holds numbers that are not finite", where=one.source, fix=fix)
