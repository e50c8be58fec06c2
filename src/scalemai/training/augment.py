"""Other scanners, other doses, other ways to lie: what a patch might as well have looked like.

Attenuation comes first, in HU, so that it means the same whatever the window; then orientation.

Flips are along all three axes, sides included: no class of a detector says a side, and inference
may average over mirrored windows. Quarter turns in the axial plane are for organs without named
sites only: where head, tail or a side matter, the surroundings say which it is, and a turned
patient does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.anatomy import organ
from scalemai.detector.spec import DetectorSpec, Preprocessing
from scalemai.errors import ConfigError

__all__ = ["Augmentation", "augmentation_for"]

Pair = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How often, and how much, a patch is changed. All magnitudes are the author's choice.

    Parameters
    ----------
    organ_shift_hu
        Largest shift of the organ and its lesions against all else, in HU: contrast phase and
        patient. Its border is soft.
    shift_hu
        Largest shift of everything, in HU: calibration.
    scale
        Range of the factor about 0 HU: tube voltage.
    noise
        Probability of further noise.
    noise_hu
        Its largest standard deviation in HU.
    blur
        Probability of a softer kernel.
    blur_voxels
        Its largest standard deviation in voxels.
    gamma
        Probability of another curve within the window.
    gamma_range
        Range of its exponent.
    flip
        Probability of a flip, for each of the axes right, anterior, superior.
    turn
        Probability of a quarter turn in the axial plane.

    Raises
    ------
    ConfigError
        Naming the field, if a number is impossible.
    """

    organ_shift_hu: float = 20.0
    shift_hu: float = 5.0
    scale: Pair = (0.95, 1.05)
    noise: float = 0.3
    noise_hu: float = 15.0
    blur: float = 0.15
    blur_voxels: float = 0.8
    gamma: float = 0.15
    gamma_range: Pair = (0.8, 1.25)
    flip: tuple[float, float, float] = (0.5, 0.5, 0.5)
    turn: float = 0.0

    def __post_init__(self) -> None:
        shares = {"noise": self.noise, "blur": self.blur, "gamma": self.gamma, "turn": self.turn}
        for name, value in (*shares.items(), *(("flip", one) for one in self.flip)):
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"{value:g} is no share", where=name, fix="give 0 to 1")
        for name in ("organ_shift_hu", "shift_hu", "noise_hu", "blur_voxels"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise ConfigError("is negative", where=name, fix="give 0 or more")
        for name in ("scale", "gamma_range"):
            low, high = getattr(self, name)
            if not 0.1 <= low <= high <= 10.0:
                raise ConfigError(f"{low:g}-{high:g} is no range", where=name, fix="give low-high")

    def intensities(
        self,
        hu: NDArray[np.float32],
        organ: NDArray[np.bool_],
        preprocessing: Preprocessing,
        rng: np.random.Generator,
        organ_hu: float = 0.0,
    ) -> tuple[NDArray[np.float32], float]:
        """Attenuation that another scanner, dose or phase might have given.

        Parameters
        ----------
        hu, organ
            Arrays (x, y, z): HU, and the organ with its lesions as it truly is.
        preprocessing
            Its window is where gamma acts.
        rng
            Stream of the patch.
        organ_hu
            Median attenuation of the organ in the whole scan.

        Returns
        -------
        tuple
            The array, and what the median has become.
        """
        own, all_, factor, noisy, blurred, curved = rng.random(6)
        much = rng.random(3)
        factor = _within(self.scale, factor)
        shift_hu = (2.0 * all_ - 1.0) * self.shift_hu
        own_hu = (2.0 * own - 1.0) * self.organ_shift_hu
        middle_hu = organ_hu * factor + shift_hu + own_hu
        made = hu * np.float32(factor) + np.float32(shift_hu)
        if self.organ_shift_hu > 0.0 and organ.any():
            soft = ndimage.gaussian_filter(organ.astype(np.float32), 1.0, truncate=2.0)
            made += soft * np.float32(own_hu)
        if blurred < self.blur:
            made = ndimage.gaussian_filter(made, self.blur_voxels * much[0], truncate=3.0)
        if noisy < self.noise:
            made += rng.standard_normal(hu.shape, np.float32) * np.float32(self.noise_hu * much[1])
        if curved < self.gamma:
            exponent = _within(self.gamma_range, much[2])
            made = _bent(made, preprocessing.window_hu, exponent)
            middle = _bent(np.full(1, middle_hu, np.float32), preprocessing.window_hu, exponent)
            middle_hu = float(middle[0])
        return made, middle_hu

    def orientation(
        self, *arrays: NDArray[Any], rng: np.random.Generator
    ) -> tuple[NDArray[Any], ...]:
        """The same flips and turns of several arrays (x, y, z), as views."""
        flips = rng.random(3) < np.asarray(self.flip)
        turned, times = rng.random() < self.turn, int(rng.integers(1, 4))
        axes = tuple(int(axis) for axis in np.flatnonzero(flips))
        made = tuple(np.flip(one, axes) for one in arrays)
        if turned and arrays[0].shape[0] == arrays[0].shape[1]:
            made = tuple(np.rot90(one, times, (0, 1)) for one in made)
        return made


def augmentation_for(spec: DetectorSpec) -> Augmentation:
    """The usual augmentation of a detector: quarter turns where the organ has no named sites."""
    usual = Augmentation()
    x, y, _ = spec.preprocessing.spacing_mm
    square = x == y and spec.patch[0] == spec.patch[1]
    if square and not organ(spec.organ).sites:
        return replace(usual, turn=0.25)
    return usual


def _bent(hu: NDArray[np.float32], window_hu: Pair, exponent: float) -> NDArray[np.float32]:
    low, high = (np.float32(end) for end in window_hu)
    share = np.clip((hu - low) / (high - low), 0.0, 1.0) ** np.float32(exponent)
    inside = (hu > low) & (hu < high)
    return np.where(inside, low + share * (high - low), hu)


def _within(ends: Pair, drawn: float) -> float:
    return ends[0] + drawn * (ends[1] - ends[0])
