"""From the pixel data of DICOM images to Hounsfield units.

Decoders, all of permissive licence: pydicom itself for native, deflated and RLE; GDCM (BSD) for
JPEG lossless, baseline, JPEG-LS and JPEG 2000; pyjpegls, which highdicom brings, for JPEG-LS.
High-throughput JPEG 2000 needs ``pylibjpeg`` with ``pylibjpeg-openjpeg`` (both MIT). There is no
permissive decoder for 12-bit lossy JPEG (Extended, process 4), which is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import HTJ2K, UID, HTJ2KLossless, HTJ2KLosslessRPCL

from scalemai.errors import IntensityError, MissingExtraError, UnreadableFileError
from scalemai.io.dicom_files import damage_named
from scalemai.io.dicom_frames import Frame

__all__ = ["LOWEST_CT_HU", "HounsfieldStack", "stored_frames"]

LOWEST_CT_HU = -1024
"""The lowest number of the 12-bit Hounsfield scale (a stored 0 with the customary intercept).

Scanners and exporters write lower ones, for example -2048 or -3024, where nothing was measured:
outside the circle of reconstruction."""

_HTJ2K = frozenset({HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K})

# Rescale types of DICOM PS3.3 C.11.1.1.2 that are, or may be, Hounsfield units.
_HOUNSFIELD_TYPES = frozenset({"HU", "HU_MOD", "US", ""})


def stored_frames(dataset: Dataset, indices: Sequence[int], where: str) -> Iterator[NDArray[Any]]:
    """The stored numbers of frames, shape (rows, columns), in the order of ``indices``.

    Parameters
    ----------
    dataset
        A whole data set.
    indices
        Frame numbers, counted from 0.
    where
        The file, for messages.

    Raises
    ------
    MissingExtraError
        If the compression needs a package that is not installed.
    IntensityError
        If the pixels are colours.
    UnreadableFileError
        If the pixel data are absent, truncated or damaged, or of an unknown compression.
    """
    with damage_named(where, "the pixel data are truncated or damaged"):
        _check_decodable(dataset, where)
        if (
            int(dataset.BitsAllocated) == 1
            and not dataset.file_meta.TransferSyntaxUID.is_compressed
        ):
            yield from (_bit_frame(dataset, index) for index in indices)
            return
        bits_stored = int(dataset.BitsStored)
        # Decoders return compressed samples from bit 0 up, whatever High Bit says.
        compressed = dataset.file_meta.TransferSyntaxUID.is_compressed
        high_bit = bits_stored - 1 if compressed else int(dataset.get("HighBit", bits_stored - 1))
        for frame in iter_pixels(dataset, indices=list(indices), raw=True):
            yield _significant(frame, bits_stored, high_bit)


class HounsfieldStack:
    """Hounsfield units of a volume, filled slice by slice: int16 while exact, else float32.

    Numbers that stand for "outside the image" are kept as they are stored; they are counted.

    Parameters
    ----------
    shape
        Number of voxels (columns, rows, slices).

    Attributes
    ----------
    padding_voxels
        Voxels at a declared padding value or below :data:`LOWEST_CT_HU`.
    lowest_hu
        Lowest number seen.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        columns, rows, slices = shape
        self._slices: NDArray[Any] = np.zeros((slices, rows, columns), np.int16)
        self.padding_voxels = 0
        self.lowest_hu = float("inf")

    @property
    def array(self) -> NDArray[Any]:
        """The array (i, j, k) = (columns, rows, slices), Fortran-contiguous as NIfTI stores it."""
        return self._slices.transpose(2, 1, 0)

    def fill(self, slice_number: int, stored: NDArray[Any], frame: Frame, where: str) -> None:
        """Rescale one image into its slice.

        Raises
        ------
        IntensityError
            If the header has no usable rescale, or says that the numbers are something else.
        UnreadableFileError
            If the decoded image has another size than its header says.
        """
        if stored.shape != self._slices.shape[1:]:
            raise UnreadableFileError(
                f"the pixel data decode to {stored.shape}, the header says "
                f"{self._slices.shape[1:]}",
                where=where,
                fix="export the file again",
            )
        hu = to_hu(stored, frame, where)
        if hu.dtype.kind == "f" and self._slices.dtype.kind == "i":
            self._slices = self._slices.astype(np.float32)
        self._slices[slice_number] = hu
        outside = hu < LOWEST_CT_HU
        if frame.padding is not None:
            low, high = frame.padding
            outside |= (stored >= low) & (stored <= high)
        self.padding_voxels += int(np.count_nonzero(outside))
        self.lowest_hu = min(self.lowest_hu, float(hu.min()))


def to_hu(stored: NDArray[Any], frame: Frame, where: str) -> NDArray[Any]:
    """Hounsfield units of one image: int16 if they are exact in it, else float32.

    Raises
    ------
    IntensityError
        If the header has no usable rescale, or says that the numbers are something else.
    """
    slope, intercept = frame.slope, frame.intercept
    if slope is None or intercept is None or slope == 0:
        raise IntensityError(
            f"RescaleSlope is {_told(slope)} and RescaleIntercept {_told(intercept)}, so stored "
            "numbers cannot be turned into Hounsfield units",
            where=where,
            fix="export the series again with its modality rescale",
        )
    if (frame.rescale_type or "").strip().upper() not in _HOUNSFIELD_TYPES:
        raise IntensityError(
            f"RescaleType is {frame.rescale_type}, not Hounsfield units",
            where=where,
            fix="choose the series of ordinary CT images",
        )
    if slope.is_integer() and intercept.is_integer():
        whole = stored.astype(np.int64) * int(slope) + int(intercept)
        limits = np.iinfo(np.int16)
        if limits.min <= whole.min() and whole.max() <= limits.max:
            return whole.astype(np.int16)
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


def _told(value: float | None) -> str:
    return "absent" if value is None else f"{value:g}"


def _significant(stored: NDArray[Any], bits_stored: int, high_bit: int) -> NDArray[Any]:
    """Drop bits that are not part of the sample: old scanners keep overlays there."""
    bits = stored.dtype.itemsize * 8
    if bits_stored >= bits:
        return stored
    if not bits_stored - 1 <= high_bit < bits:
        raise ValueError(f"BitsStored is {bits_stored} and HighBit {high_bit} of {bits} bits")
    # Shifting the sign bit to the top and back extends it; unsigned numbers fill with zeros.
    significant: NDArray[Any] = (stored << (bits - 1 - high_bit)) >> (bits - bits_stored)
    return significant


def _bit_frame(dataset: Dataset, index: int) -> NDArray[np.uint8]:
    """One frame of packed bits, which need not begin on a byte.

    pydicom 3.0 cannot take such a frame out of the others where its size is no multiple of 8.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    first, last = index * rows * columns, (index + 1) * rows * columns
    packed = np.frombuffer(dataset.PixelData, np.uint8)[first // 8 : -(-last // 8)]
    bits = np.unpackbits(packed, bitorder="little")[first % 8 :][: last - first]
    return bits.reshape(rows, columns)


def _check_decodable(dataset: Dataset, where: str) -> None:
    if "PixelData" not in dataset:
        raise UnreadableFileError(
            "there are no pixel data, so the file is truncated or holds no image",
            where=where,
            fix="copy or export it again",
        )
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise IntensityError(
            "the pixels are colours, not Hounsfield units",
            where=where,
            fix="choose the series of original CT images, not of screen captures",
        )
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise UnreadableFileError(
            f"transfer syntax {syntax.name} is not supported",
            where=where,
            fix="export the series uncompressed (Explicit VR Little Endian)",
        ) from error
    if not decoder.is_available:
        package = "pylibjpeg pylibjpeg-openjpeg" if syntax in _HTJ2K else "python-gdcm"
        raise MissingExtraError(
            f"no decoder for {syntax.name} is installed",
            where=where,
            fix=f"pip install {package}",
        )
