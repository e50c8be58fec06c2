"""A CT acquisition: the ideal image is blurred by the kernel and gets the kernel's noise.

Noise is that of filtered back-projection: its power spectrum rises with frequency (the ramp) and
falls with the square of the kernel's modulation transfer function (Riederer, Pelc and Chesler,
Phys Med Biol 1978;23:446-454). It is stationary only locally. Every place has its own amplitude in
every direction, from the attenuation of the rays that made it
(:mod:`~scalemai.cases.phantom.attenuation`), as described for fan beams by Baek and Pelc (Med Phys
2010;37:2074-2081).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from scalemai.cases.phantom.attenuation import SECTORS, BeamPaths, linear_resampling
from scalemai.errors import ConfigError, GeometryError, IntensityError, UnknownNameError
from scalemai.geometry import Grid

__all__ = ["KERNELS", "AcquisitionSettings", "ReconstructionKernel", "acquire"]

REFERENCE_NOISE_HU = 11.6
"""Noise in HU (standard deviation) in the middle of an average abdomen at dose 1, with the soft
kernel and slices of 5 mm; gives 10 to 12 HU in the liver. Author's estimate, checked against two
public clinical CTs."""

REFERENCE_THICKNESS_MM = 5.0

_LOW_FREQUENCY_PER_MM = 0.08
"""Keeps the spectrum off zero at zero frequency, as sampled images do (Kijewski and Judy, Phys Med
Biol 1987;32:565-575); the amount is the author's estimate from clinical CT."""

_SLICE_TAP = 0.09
"""Share of a slice that leaks into each neighbour: a box of one slice and these taps have the
variance of a Gaussian profile whose full width at half maximum is 1.2 slices (author's
estimate)."""

_HU_RANGE = (-1024, 3071)
"""The range of 12-bit CT numbers."""

_MARGIN_MM = 10.0  # longer than any kernel, so that the noise at opposite edges is unrelated


class AcquisitionSettings(Protocol):
    """What the scanner needs of a phantom's spec."""

    @property
    def dose(self) -> float:
        """Tube current-time product relative to a routine scan."""

    @property
    def kernel(self) -> str:
        """``"soft"``, ``"medium"`` or ``"sharp"``."""


@dataclass(frozen=True)
class ReconstructionKernel:
    """An isotropic in-plane kernel, described by two points of its transfer function.

    Parameters
    ----------
    mtf50_per_mm, mtf10_per_mm
        Frequencies in cycles per mm at which half and a tenth of the contrast are left.
    """

    mtf50_per_mm: float
    mtf10_per_mm: float

    @cached_property
    def _power(self) -> float:
        ratio = math.log(self.mtf10_per_mm / self.mtf50_per_mm)
        return math.log(math.log(10.0) / math.log(2.0)) / ratio

    def mtf(self, frequency_per_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Modulation transfer, 1 at zero, of frequencies in cycles per mm."""
        values: NDArray[np.float64] = np.exp2(
            -((frequency_per_mm / self.mtf50_per_mm) ** self._power)
        )
        return values

    def nps(self, frequency_per_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Noise power, up to a factor that is the same for all kernels."""
        ramp = np.hypot(frequency_per_mm, _LOW_FREQUENCY_PER_MM)
        power: NDArray[np.float64] = ramp * self.mtf(frequency_per_mm) ** 2
        return power

    @cached_property
    def cutoff_per_mm(self) -> float:
        """Frequency in cycles per mm above which the noise power is negligible."""
        return float(self.mtf50_per_mm * math.log2(100.0) ** (1.0 / self._power))

    @cached_property
    def noise_power(self) -> float:
        """Integral of :meth:`nps` over the plane: the variance, up to the same factor."""
        f = np.linspace(0.0, 2.0 * self.cutoff_per_mm, 4001)
        return float(np.trapezoid(2.0 * np.pi * f * self.nps(f), f))


KERNELS: Mapping[str, ReconstructionKernel] = {
    "soft": ReconstructionKernel(0.36, 0.60),
    "medium": ReconstructionKernel(0.43, 0.69),
    "sharp": ReconstructionKernel(0.68, 0.98),
}
"""Kernels for abdominal soft tissue, its finer variant, and lung or bone. Author's estimate of
the usual vendors' kernels, to be refined."""


def acquire(
    ideal_hu: NDArray[np.float32],
    grid: Grid,
    spec: AcquisitionSettings,
    rng: np.random.Generator,
) -> NDArray[np.int16]:
    """Scan an ideal image: blur it, add noise, and round to 12-bit CT numbers.

    The axial slices of the grid are taken as the planes that were reconstructed, with a thickness
    equal to their distance. Works on one slice at a time, so that it needs little more memory than
    its result.

    Parameters
    ----------
    ideal_hu
        HU without noise, shape (i, j, k).
    grid
        Its grid, in any orientation.
    spec
        Dose and kernel; a :class:`~scalemai.cases.phantom.spec.PhantomSpec` will do.
    rng
        Source of the noise. Slices draw in order along the axial array axis.

    Returns
    -------
    ndarray
        CT numbers in HU, int16, shape (i, j, k), in the memory order of ``ideal_hu``.

    Raises
    ------
    GeometryError
        If array and grid differ in shape.
    IntensityError
        If the image holds NaN or infinity.
    UnknownNameError
        If the kernel is not one of :data:`KERNELS`.
    ConfigError
        If the dose is not positive.
    """
    if ideal_hu.shape != grid.shape:
        raise GeometryError(f"image of shape {ideal_hu.shape} on a grid of shape {grid.shape}")
    if spec.kernel not in KERNELS:
        raise UnknownNameError("kernel", spec.kernel, KERNELS)
    if not (math.isfinite(spec.dose) and spec.dose > 0.0):
        raise ConfigError(f"dose is {spec.dose:g}", fix="give a relative dose above 0")
    kernel = KERNELS[spec.kernel]
    spacing = grid.spacing_mm
    first, second = grid.in_plane_axes
    shape = grid.shape[first], grid.shape[second]
    pixel_mm = spacing[first], spacing[second]
    thickness_mm = spacing[grid.axial_axis]
    scale = REFERENCE_NOISE_HU * math.sqrt(REFERENCE_THICKNESS_MM / thickness_mm / spec.dose)
    noise = _NoiseField(kernel, shape, pixel_mm, scale, rng)
    blur = _Blur(kernel, shape, pixel_mm)

    slices = np.moveaxis(ideal_hu, grid.axial_axis, 0)
    result = np.empty_like(ideal_hu, dtype=np.int16)
    written = np.moveaxis(result, grid.axial_axis, 0)
    last = len(slices) - 1
    current = _finite(slices[0])
    below = here = blur(current)
    for k in range(last + 1):
        following = _finite(slices[min(k + 1, last)])
        above = blur(following)
        image = (1.0 - 2.0 * _SLICE_TAP) * here + _SLICE_TAP * (below + above)
        image += noise.next_slice(current)
        np.clip(np.rint(image, out=image), *_HU_RANGE, out=image)
        written[k] = image
        below, here, current = here, above, following
    return result


def _finite(slice_hu: NDArray[np.float32]) -> NDArray[np.float32]:
    values = np.ascontiguousarray(slice_hu, dtype=np.float32)
    if not np.isfinite(values).all():
        raise IntensityError("the ideal image holds NaN or infinity", fix="give HU")
    return values


class _Blur:
    """The kernel's point spread. The cosine transform mirrors the image at its edges."""

    def __init__(
        self, kernel: ReconstructionKernel, shape: tuple[int, int], pixel_mm: tuple[float, float]
    ) -> None:
        a, b = (np.arange(n) / (2.0 * n * s) for n, s in zip(shape, pixel_mm, strict=True))
        self._mtf = kernel.mtf(np.hypot(a[:, None], b[None, :])).astype(np.float32)

    def __call__(self, slice_hu: NDArray[np.float32]) -> NDArray[np.float32]:
        spectrum = fft.dctn(slice_hu, type=2)
        spectrum *= self._mtf
        blurred: NDArray[np.float32] = fft.idctn(spectrum, type=2, overwrite_x=True)
        return blurred


class _NoiseField:
    """Noise, one slice after the other, weighted by direction and place.

    White noise is filtered into :data:`SECTORS` overlapping sectors of directions whose windows
    add up to one; each sector is multiplied by its own map of amplitudes, and all are summed.
    """

    def __init__(
        self,
        kernel: ReconstructionKernel,
        shape: tuple[int, int],
        pixel_mm: tuple[float, float],
        scale_hu: float,
        rng: np.random.Generator,
    ) -> None:
        self._shape = shape
        margin = [math.ceil(_MARGIN_MM / s) for s in pixel_mm]
        a, b = (fft.next_fast_len(n + m, real=True) for n, m in zip(shape, margin, strict=True))
        self._padded = a, b
        self._filters = _sector_filters(kernel, self._padded, pixel_mm) * np.float32(scale_hu)
        self._paths = BeamPaths(shape, pixel_mm)
        cells = self._paths.shape
        self._upsample = [linear_resampling(n, c) for n, c in zip(shape, cells, strict=True)]
        self._rng = rng
        taps = np.array([_SLICE_TAP, 1.0 - 2.0 * _SLICE_TAP, _SLICE_TAP])
        self._taps = (taps / np.linalg.norm(taps)).astype(np.float32)
        self._white = [self._draw(), self._draw()]

    def _draw(self) -> NDArray[np.float32]:
        return self._rng.standard_normal(self._padded, dtype=np.float32)

    def next_slice(self, slice_hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """Noise in HU of the next slice, whose ideal HU are given."""
        self._white.append(self._draw())
        below, here, above = self._white
        self._white.pop(0)
        spectrum = fft.rfft2(self._taps[1] * here + self._taps[0] * (below + above))
        amplitude = np.sqrt(self._paths.variance(slice_hu))
        a, b = self._upsample
        total = np.zeros(self._shape, np.float32)
        for window, weight in zip(self._filters, amplitude, strict=True):
            field = fft.irfft2(spectrum * window, s=self._padded, overwrite_x=True)
            total += (a @ (b @ weight.T).T) * field[: self._shape[0], : self._shape[1]]
        return total


def _sector_filters(
    kernel: ReconstructionKernel, shape: tuple[int, int], pixel_mm: tuple[float, float]
) -> NDArray[np.float32]:
    """Filters (SECTORS, a, b // 2 + 1) for white noise of unit variance.

    Where a pixel is too coarse for the kernel, the waves above its Nyquist frequency are folded
    back rather than dropped: an image reconstructed on a coarse matrix is as noisy as on a fine
    one.
    """
    a, b = fft.fftfreq(shape[0], pixel_mm[0]), fft.rfftfreq(shape[1], pixel_mm[1])
    power = np.zeros((len(a), len(b)))
    shares = np.zeros((SECTORS, len(a), len(b)))
    centres = np.arange(SECTORS) * np.pi / SECTORS
    folds = [math.ceil(max(kernel.cutoff_per_mm * s - 0.5, 0.0)) for s in pixel_mm]
    for fold_a in range(-folds[0], folds[0] + 1):
        for fold_b in range(-folds[1], folds[1] + 1):
            fa = (a + fold_a / pixel_mm[0])[:, None]
            fb = (b + fold_b / pixel_mm[1])[None, :]
            part = kernel.nps(np.hypot(fa, fb))
            power += part
            apart = (np.arctan2(fb, fa) - centres[:, None, None] + np.pi / 2) % np.pi - np.pi / 2
            reach = np.clip(np.abs(apart) * SECTORS / np.pi, 0.0, 1.0)
            shares += part * np.cos(np.pi / 2 * reach) ** 2
    power_per_sample = power / (pixel_mm[0] * pixel_mm[1] * KERNELS["soft"].noise_power)
    shares /= np.maximum(power, np.finfo(np.float64).tiny)
    shares[:, 0, 0] = 1.0 / SECTORS
    return (np.sqrt(power_per_sample) * shares).astype(np.float32)
