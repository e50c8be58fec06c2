"""Noise that goes on from the noise beside a gap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from scalemai.synthesis.painting.noise_model import NoiseModel, noise_field, wave_gains
from scalemai.synthesis.removal.relaxation import conjugate_gradients

__all__ = ["continued_noise"]

_OWN_NOISE_SHARE = 0.02  # keeps the system well-posed


def continued_noise(
    model: NoiseModel,
    noise: NDArray[np.float32],
    known: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    own_share: float = _OWN_NOISE_SHARE,
) -> NDArray[np.float32]:
    """Draw noise that goes on from the noise beside it: no seam, the same amplitude throughout.

    The field is drawn on condition of the known voxels (simple kriging: a free field, corrected by
    what the covariance says of its errors there).

    Parameters
    ----------
    model
        From :func:`scalemai.synthesis.painting.noise_model.measure_noise`.
    noise
        HU, float32, array (i, j, k); only its known voxels count.
    known
        Voxels whose noise is there: those within a few voxels of the gap will do.
    rng
        Source of the noise, as in :func:`scalemai.synthesis.painting.noise_model.noise_field`.
    own_share
        Share of the variance of a known voxel that its neighbours do not tell of.

    Returns
    -------
    ndarray
        HU, float32: ``noise`` where it is known, new noise elsewhere.
    """
    a, b, c = known.shape
    free = noise_field(model, (a, b, c), rng)
    if not known.any() or model.sd_hu <= 0.0:
        return np.where(known, noise, free)
    padded, gain = wave_gains(model, (a, b, c))
    power = gain**2
    box = (slice(a), slice(b), slice(c))

    def spread(field: NDArray[np.float64]) -> NDArray[np.float64]:
        spectrum = fft.rfftn(field, s=padded)
        spectrum *= power
        covariance: NDArray[np.float64] = fft.irfftn(spectrum, s=padded, overwrite_x=True)[box]
        return covariance

    def apply(field: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((spread(field) + own_share * field) * known)

    error = np.where(known, noise.astype(np.float64) - free, 0.0) / model.sd_hu
    weights = conjugate_gradients(apply, error, np.zeros_like(error), steps=60, tolerance=0.03)
    corrected = free + (spread(weights) * model.sd_hu).astype(np.float32)
    return np.where(known, noise, corrected).astype(np.float32)
