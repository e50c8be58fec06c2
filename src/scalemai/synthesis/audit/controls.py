"""Edits that an audit must notice: if it does not, its silence about others means nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.synthesis.audit.patches import Patch

__all__ = ["CONTROLS", "Control", "blurred", "truncated", "whitened"]

Control = Callable[[Patch, np.random.Generator], Patch]

_WINDOW_HU = (-200.0, 300.0)


def blurred(patch: Patch, rng: np.random.Generator) -> Patch:
    """The edit averaged over 3 x 3 pixels, as resampling and smooth generators leave it."""
    size = [3, 3, 3]
    size[patch.grid.axial_axis] = 1
    smooth = ndimage.uniform_filter(patch.hu, size)
    return patch.with_hu(_stored(np.where(patch.zone, smooth, patch.hu), patch))


def truncated(patch: Patch, rng: np.random.Generator) -> Patch:
    """The whole patch scaled to 0 to 1 in half precision and back, cut off rather than rounded.

    So do tools that normalise an organ's box for a network, edit it, and store it as integers.
    """
    low, high = _WINDOW_HU
    scaled = ((patch.hu - low) / (high - low)).astype(np.float16)
    return patch.with_hu(np.trunc(scaled.astype(np.float32) * (high - low) + low))


def whitened(patch: Patch, rng: np.random.Generator) -> Patch:
    """The edit with uncorrelated noise of the scan's strength in place of the scan's own."""
    size = [3 if axis == patch.grid.axial_axis else 5 for axis in range(3)]
    smooth = ndimage.uniform_filter(patch.hu, size)
    around = patch.tissue & ~patch.zone
    spread = float((patch.hu - smooth)[around].std()) if around.any() else 10.0
    noise = rng.normal(0.0, spread, patch.hu.shape).astype(np.float32)
    return patch.with_hu(_stored(np.where(patch.zone, smooth + noise, patch.hu), patch))


CONTROLS: Mapping[str, Control] = {
    "blurred": blurred,
    "truncated": truncated,
    "white noise": whitened,
}
"""What must be noticed, by name."""


def _stored(hu: NDArray[np.float32], patch: Patch) -> NDArray[np.float32]:
    """Rounded to the levels of the scan, so that a control leaves no trace but its own."""
    step = patch.quantum_hu
    return np.asarray(np.rint(hu / step) * step if step else hu, np.float32)
