"""Parameters of a network by how fast they may change, and how far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["Anchored", "parameter_groups"]


class Anchored(Mapping[str, float]):
    """Factors of the learning rate, of parameters that are held near some weights.

    Half the squared distance to these weights, times ``strength``, is part of the loss: its
    gradient is added to each parameter's own. This is L2-SP (Li et al., ICML 2018), for layers
    that both networks have.

    Parameters
    ----------
    factors
        Factor by name.
    weights
        Tensors by name; parameters without one are free.
    strength
        0 or more.
    """

    def __init__(
        self, factors: Mapping[str, float], weights: Mapping[str, torch.Tensor], strength: float
    ) -> None:
        self._factors = dict(factors)
        self._weights, self._strength = weights, strength

    def __getitem__(self, name: str) -> float:
        return self._factors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._factors)

    def __len__(self) -> int:
        return len(self._factors)

    def hold(self, name: str, parameter: nn.Parameter) -> None:
        """Add the gradient of the penalty to that of a parameter from now on."""
        if not self._strength or name not in self._weights:
            return
        goal = self._weights[name].to(parameter)
        parameter.register_hook(  # type: ignore[no-untyped-call,unused-ignore]  # torch has no types for it
            lambda gradient: gradient + self._strength * (parameter.detach() - goal)
        )


def parameter_groups(network: nn.Module, factors: Mapping[str, float]) -> list[dict[str, Any]]:
    """Parameters of a network for its optimiser, by descending learning rate; others are frozen.

    Parameters
    ----------
    network
        The network. Parameters with a factor of 0 are told to need no gradient.
    factors
        Factor of the learning rate by name; 1 for those that are not named. :class:`Anchored`
        ones hold parameters near some weights, too.

    Returns
    -------
    list of dict
        ``params`` and ``factor`` of each group, for ``torch.optim``. Whoever sets the learning
        rate of a step multiplies it by the factor of the group.

    Raises
    ------
    ConfigError
        If a name is not a parameter of the network, or nothing would be trained.
    """
    own = dict(network.named_parameters())
    for name in factors:
        if name not in own:
            raise UnknownNameError("parameter of the network", name, own)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in own.items():
        factor = factors.get(name, 1.0)
        parameter.requires_grad_(factor > 0.0)
        if factor > 0.0:
            if isinstance(factors, Anchored):
                factors.hold(name, parameter)
            groups.setdefault(factor, []).append(parameter)
    if not groups:
        raise ConfigError("nothing would be trained", where="mode", fix="take partial or full")
    return [{"params": groups[f], "factor": f} for f in sorted(groups, reverse=True)]
