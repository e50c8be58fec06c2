"""Parameters of a network by how fast they may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["parameter_groups"]


def parameter_groups(network: nn.Module, factors: Mapping[str, float]) -> list[dict[str, Any]]:
    """Parameters of a network for its optimiser, by descending learning rate; others are frozen.

    Parameters
    ----------
    network
        The network. Parameters with a factor of 0 are told to need no gradient.
    factors
        Factor of the learning rate by name; 1 for those that are not named.

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
            groups.setdefault(factor, []).append(parameter)
    if not groups:
        raise ConfigError("nothing would be trained", where="mode", fix="take partial or full")
    return [{"params": groups[f], "factor": f} for f in sorted(groups, reverse=True)]
