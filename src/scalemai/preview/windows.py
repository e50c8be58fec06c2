"""Which Hounsfield units are shown from black to white."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import structure
from scalemai.errors import UnknownNameError

__all__ = ["WINDOWS", "Window", "window_for"]

_AIRY_BELOW_HU = -500.0


@dataclass(frozen=True, slots=True)
class Window:
    """A range of Hounsfield units.

    Parameters
    ----------
    width_hu, level_hu
        The range from black to white, and its middle.
    """

    width_hu: float
    level_hu: float

    def gray(self, hu: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Brightness, 0 to 1, of Hounsfield units; NaN stays NaN."""
        with np.errstate(invalid="ignore"):
            shade = (hu.astype(np.float32) - self.level_hu) / self.width_hu + 0.5
            bright: NDArray[np.float32] = np.clip(shade, 0, 1).astype(np.float32)
        return bright


WINDOWS: Mapping[str, Window] = MappingProxyType(
    {
        "soft-tissue": Window(400, 40),
        "liver": Window(200, 70),
        "lung": Window(1500, -600),
        "bone": Window(1800, 400),
    }
)
"""Windows by name: the customary presets of viewing stations; author's estimate for the liver."""


def window_for(name: str, around_hu: NDArray[np.floating[Any]]) -> str:
    """The name of the window for a structure; by the HU around it if its name is not known."""
    try:
        known = structure(name)
    except UnknownNameError:
        seen = around_hu[np.isfinite(around_hu)]
        return "lung" if seen.size and np.median(seen) < _AIRY_BELOW_HU else "soft-tissue"
    place = f"{known.name} {known.parent or ''}"
    if known.group == "bone" or "bone" in place:
        return "bone"
    return next((tissue for tissue in ("lung", "liver") if tissue in place), "soft-tissue")
