"""From normalised intensities back to Hounsfield units, and there again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import ConfigError

__all__ = ["Normalization"]

_LEAST_STD = 1e-8  # nnU-Net's CTNormalization divides by no less


@dataclass(frozen=True)
class Normalization:
    """A linear map of HU, clipped, that a framework has applied to the CT already.

    ``value = (clip(hu, low_hu, high_hu) - shift_hu) / step_hu * gain + offset``. Use
    :meth:`window` or :meth:`zscore`; the order of operations is theirs, so that the numbers
    agree to the last bit with those that the framework would have computed in float32.

    Parameters
    ----------
    low_hu, high_hu
        Where HU are clipped; infinite where they are not. What was clipped comes back as the
        limit, because no more is known.
    shift_hu, step_hu, gain, offset
        The linear map.
    """

    low_hu: float
    high_hu: float
    shift_hu: float
    step_hu: float
    gain: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not self.low_hu < self.high_hu:
            fix = "give the lower limit first"
            raise ConfigError(f"clips to {self.low_hu:g}..{self.high_hu:g} HU", fix=fix)
        for name in ("step_hu", "gain"):
            value = getattr(self, name)
            if not np.isfinite(value) or value == 0.0:
                what = f"{value:g} cannot be undone"
                raise ConfigError(what, where=name, fix="give a range that is not empty")

    @classmethod
    def window(
        cls,
        low_hu: float,
        high_hu: float,
        out_low: float = 0.0,
        out_high: float = 1.0,
        *,
        clip: bool = True,
    ) -> Normalization:
        """A window of HU scaled to a range, as MONAI's ``ScaleIntensityRanged`` does it.

        Parameters
        ----------
        low_hu, high_hu
            Its ``a_min`` and ``a_max``.
        out_low, out_high
            Its ``b_min`` and ``b_max``.
        clip
            Whether values outside the window were clipped.

        Raises
        ------
        ConfigError
            If a range is empty.
        """
        low, high = (low_hu, high_hu) if clip else (-np.inf, np.inf)
        return cls(low, high, low_hu, high_hu - low_hu, out_high - out_low, out_low)

    @classmethod
    def zscore(
        cls,
        mean_hu: float,
        std_hu: float,
        clip_low_hu: float = -np.inf,
        clip_high_hu: float = np.inf,
    ) -> Normalization:
        """Clipped, minus a mean, over a standard deviation, as nnU-Net's ``CTNormalization``.

        Parameters
        ----------
        mean_hu, std_hu
            ``mean`` and ``std`` of the dataset fingerprint.
        clip_low_hu, clip_high_hu
            ``percentile_00_5`` and ``percentile_99_5`` of the fingerprint.

        Raises
        ------
        ConfigError
            If the limits are not in order.
        """
        return cls(clip_low_hu, clip_high_hu, mean_hu, max(std_hu, _LEAST_STD))

    def to_hu(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Hounsfield units, float32, a copy in C order, of normalised values of any shape."""
        step = np.float32(self.step_hu / self.gain)
        if self.offset or np.asarray(values).dtype != np.float32:
            hu = np.array(values, dtype=np.float32, order="C")
            hu -= np.float32(self.offset)
            hu *= step
        else:
            hu = np.multiply(values, step, order="C")
        hu += np.float32(self.shift_hu)
        return hu

    def from_hu(self, hu: NDArray[Any]) -> NDArray[np.float32]:
        """Normalised values, float32, a copy, of Hounsfield units of any shape."""
        values = np.clip(np.asarray(hu, np.float32), self.low_hu, self.high_hu)
        values -= np.float32(self.shift_hu)
        values /= np.float32(self.step_hu)
        if self.gain != 1.0:
            values *= np.float32(self.gain)
        if self.offset:
            values += np.float32(self.offset)
        return values
