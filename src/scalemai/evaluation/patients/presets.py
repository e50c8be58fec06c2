"""The published rules of RadGPT and R-Super: when is a patient called positive?

Both count voxels at 1 mm as cubic mm. They are not the same rule: RadGPT's threshold applies to
the *eroded* volume and is exceeded strictly, so a sphere must have about 8 mm to pass 50 mm3;
R-Super puts back what the erosion took from what survives it, so about 5 mm suffice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import ConfigError, GeometryError, UnknownNameError
from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.patients.definitions import score_definition
from scalemai.evaluation.patients.one_mm import linear_above, linear_maximum, nearest
from scalemai.evaluation.patients.scores import require_probabilities
from scalemai.evaluation.patients.threshold import Threshold
from scalemai.geometry import Grid

__all__ = ["PRESETS", "RSuper", "RadGPT", "preset"]

_CUBE = np.ones((3, 3, 3), np.bool_)


def _require_volume(threshold_mm3: float) -> None:
    if not threshold_mm3 >= 0:
        what = f"a threshold of {threshold_mm3:g} mm3 is not a volume"
        raise ConfigError(what, where="threshold_mm3", fix="give 0 or more")


@dataclass(frozen=True, slots=True)
class RadGPT:
    """Tumor within organ, eroded at 1 mm, larger than a threshold.

    Parameters
    ----------
    threshold_mm3
        Eroded volume to exceed. 70 is the default of the published command line; the published
        procedure chooses it per organ on validation cases.

    Raises
    ------
    ConfigError
        If the threshold is negative.
    """

    threshold_mm3: float = 70.0

    name = "radgpt"

    def __post_init__(self) -> None:
        _require_volume(self.threshold_mm3)

    @property
    def definition(self) -> Definition:
        """What :meth:`score` means."""
        return score_definition(self.name)

    @property
    def threshold(self) -> Threshold:
        """How the score becomes a decision: ``> threshold_mm3``."""
        return Threshold.fixed(self.threshold_mm3, ">", f"preset {self.name}")

    def score(self, tumor: NDArray[np.bool_], organ: NDArray[np.bool_], grid: Grid) -> float:
        """Eroded volume in cubic mm.

        Parameters
        ----------
        tumor, organ
            Predicted masks, boolean arrays (i, j, k).
        grid
            The grid of both.

        Raises
        ------
        GeometryError
            If a mask is not of the grid's shape, or the grid is sheared.
        """
        for mask in (tumor, organ):
            if mask.shape != grid.shape:
                what = f"mask of shape {mask.shape} on a grid of shape {grid.shape}"
                raise GeometryError(what)
        from scipy.ndimage import binary_erosion

        inside = nearest(tumor & organ, grid)
        return float(np.count_nonzero(binary_erosion(inside, _CUBE))) if inside.size else 0.0


@dataclass(frozen=True, slots=True)
class RSuper:
    """Probability above a cut at 1 mm, opened by reconstruction, at least a threshold.

    Parameters
    ----------
    cut
        Probability to exceed.
    threshold_mm3
        Smallest volume that is positive. No default is published: both are chosen on validation
        cases. 0.5 and 50 mm3 are the author's choice, to be refined.

    Raises
    ------
    ConfigError
        If the cut is not in [0, 1) or the threshold is negative.
    """

    cut: float = 0.5
    threshold_mm3: float = 50.0

    name = "r-super"

    def __post_init__(self) -> None:
        _require_volume(self.threshold_mm3)
        if not 0 <= self.cut < 1:
            raise ConfigError(f"a cut of {self.cut:g} is not at least 0 and below 1", where="cut")

    @property
    def definition(self) -> Definition:
        """What :meth:`score` means."""
        return score_definition(self.name, cut=self.cut)

    @property
    def threshold(self) -> Threshold:
        """How the score becomes a decision: ``>= threshold_mm3``."""
        return Threshold.fixed(self.threshold_mm3, ">=", f"preset {self.name}, cut {self.cut:g}")

    def score(self, probability: NDArray[np.floating[Any]], grid: Grid) -> float:
        """Opened volume in cubic mm.

        Parameters
        ----------
        probability
            Array (i, j, k) of probabilities in [0, 1].
        grid
            Its grid.

        Raises
        ------
        GeometryError
            If the array is not of the grid's shape, or the grid is sheared.
        IntensityError
            If a value is NaN or outside [0, 1].
        """
        require_probabilities(probability, grid)
        from scipy.ndimage import binary_dilation, binary_erosion

        above = linear_above(probability, grid, self.cut)
        if not above.size:
            return 0.0
        core = binary_erosion(above, _CUBE)
        opened = binary_dilation(core, _CUBE, iterations=2) & above
        return float(np.count_nonzero(opened))

    def maximum(self, probability: NDArray[np.floating[Any]], grid: Grid) -> float:
        """Largest probability at 1 mm before any opening: the score of the published AUC.

        Parameters and errors as of :meth:`score`.
        """
        require_probabilities(probability, grid)
        return linear_maximum(probability, grid)


PRESETS: Mapping[str, RadGPT | RSuper] = {"radgpt": RadGPT(), "r-super": RSuper()}
"""The presets by name, with their default thresholds."""


def preset(name: str) -> RadGPT | RSuper:
    """The preset of a name, with its default thresholds.

    Raises
    ------
    UnknownNameError
        If there is no such preset.
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return PRESETS[name]
