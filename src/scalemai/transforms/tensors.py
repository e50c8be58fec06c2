"""Channel-first tensors to arrays, and edits of arrays back to tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import ConfigError, GeometryError, MissingExtraError
from scalemai.transforms.patch import PatchEdit

try:
    import torch
except ImportError as error:
    what = "PyTorch is not installed"
    fix = "pip install 'scalemai[monai]', 'scalemai[torchio]' or 'scalemai[nnunet]'"
    raise MissingExtraError(what, fix=fix) from error

__all__ = ["channel_of", "edited", "label_channel_of"]


def channel_of(tensor: Any, channel: int, name: str) -> NDArray[Any]:
    """One channel of a tensor or array (c, i, j, k) as an array that shares its memory.

    Raises
    ------
    GeometryError
        If there are not four axes.
    ConfigError
        If there is no such channel.
    """
    if getattr(tensor, "ndim", 0) != 4:
        shape = tuple(getattr(tensor, "shape", ()))
        what = f"has shape {shape}, not channel, i, j, k"
        raise GeometryError(what, where=name, fix="give 3-D images with a channel first")
    if not 0 <= channel < tensor.shape[0]:
        what = f"has {tensor.shape[0]} channels, so no channel {channel}"
        raise ConfigError(what, where=name, fix="count channels from 0")
    one = tensor[channel]
    if isinstance(one, torch.Tensor):
        return np.asarray(one.detach().cpu().as_subclass(torch.Tensor).numpy())
    return np.asarray(one)


def label_channel_of(tensor: Any, name: str) -> NDArray[Any]:
    """The label map: the first channel, as more of them would be one-hot.

    Raises
    ------
    GeometryError
        If there are not four axes.
    ConfigError
        If there is more than one channel.
    """
    labels = channel_of(tensor, 0, name)
    if tensor.shape[0] != 1:
        fix = "put the transform before the conversion to one-hot"
        raise ConfigError(f"has {tensor.shape[0]} channels", where=name, fix=fix)
    return labels


def edited(tensor: Any, channel: int, edit: PatchEdit, values: NDArray[Any] | None) -> Any:
    """A copy with new numbers in the box of an edit; the same object where nothing changes."""
    if edit.region is None or values is None:
        return tensor
    place = (channel, *edit.region)
    if isinstance(tensor, torch.Tensor):
        copy = tensor.clone()
        copy[place] = torch.as_tensor(values, device=tensor.device)
        return copy
    array = np.array(tensor)
    array[place] = values
    return array
