"""One CT image of a series, whether it is a file of its own or a frame of an enhanced file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from scalemai.io.dicom_files import damage_named

__all__ = [
    "CT_CLASSES",
    "FRAME_TAGS",
    "Frame",
    "first_value",
    "frame_layers",
    "frames_of",
    "lookup",
    "text",
]

CT_CLASSES = frozenset(
    {CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
)
"""SOP classes that hold CT images."""

# What tells apart two images at one position, in the order in which it is reported.
_DISTINGUISHING = (
    "AcquisitionNumber",
    "FrameAcquisitionNumber",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "NominalPercentageOfCardiacPhase",
    "ConvolutionKernel",
    "KVP",
    "ContentTime",
    "AcquisitionTime",
    "InstanceNumber",
)

FRAME_TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "ImageType",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "PixelRepresentation",
    "BitsAllocated",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    *_DISTINGUISHING,
)
"""Keywords that :func:`frames_of` reads."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The header of one CT image.

    Attributes
    ----------
    file, index
        Relative file name, and the number of the frame in it, counted from 0.
    sop_uid
        SOP Instance UID of the file.
    image_type
        Values of Image Type (of Frame Type in an enhanced file).
    rows, columns
        Size of the image.
    position_lps_mm
        Image Position (Patient), shape (3,), DICOM's LPS+ mm; None if absent.
    orientation_lps
        Image Orientation (Patient), shape (6,); None if absent.
    pixel_spacing_mm
        Distance between rows, then between columns; None if absent.
    thickness_mm, between_mm
        Slice Thickness and Spacing Between Slices; None if absent.
    slope, intercept, rescale_type
        Modality rescale; None if absent.
    padding
        Lowest and highest stored number that stand for "outside the image"; None if not declared.
    traits
        Values that may tell this image from another one at the same position.
    """

    file: str
    index: int
    sop_uid: str
    image_type: tuple[str, ...]
    rows: int
    columns: int
    position_lps_mm: NDArray[np.float64] | None
    orientation_lps: NDArray[np.float64] | None
    pixel_spacing_mm: tuple[float, float] | None
    thickness_mm: float | None
    between_mm: float | None
    slope: float | None
    intercept: float | None
    rescale_type: str | None
    padding: tuple[int, int] | None
    traits: tuple[tuple[str, str], ...]

    @property
    def is_localizer(self) -> bool:
        """Whether this is a scout (Image Type says LOCALIZER), not a slice."""
        return "LOCALIZER" in self.image_type


def frames_of(dataset: Dataset, file: str, where: str) -> list[Frame]:
    """Every CT image that a data set holds: one, or one per frame of an enhanced file.

    Parameters
    ----------
    dataset
        A data set with at least the elements :data:`FRAME_TAGS`; pixels are not needed.
    file
        Its relative file name.
    where
        Its name in messages.

    Raises
    ------
    UnreadableFileError
        If an element is missing that every image has, or a number cannot be parsed.
    """
    with damage_named(where, "the header is damaged or incomplete"):
        layers = frame_layers(dataset)
        return [_frame(layer, index, dataset, file) for index, layer in enumerate(layers)]


def frame_layers(dataset: Dataset) -> list[list[Dataset]]:
    """Where to look for the attributes of each frame: its own groups, the shared ones, the top."""
    shared = _group(dataset.get("SharedFunctionalGroupsSequence"))
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    if not per_frame or dataset.SOPClassUID == CTImageStorage:
        return [[dataset]]
    return [[*_items(group), *shared, dataset] for group in per_frame]


def lookup(dataset: Dataset, keyword: str) -> Any:
    """An element of a data set, or of its shared or first functional groups; None if absent."""
    layers = [dataset, *_group(dataset.get("SharedFunctionalGroupsSequence"))]
    layers += _group(dataset.get("PerFrameFunctionalGroupsSequence"))
    return first_value(layers, keyword)


def text(value: Any) -> str:
    """An element's value as one line; several values joined by ``\\``, empty if absent."""
    if value is None:
        return ""
    parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    return "\\".join(" ".join(str(part).split()) for part in parts)


def _group(sequence: Any) -> list[Dataset]:
    return _items(sequence[0]) if sequence else []


def _items(group: Dataset) -> list[Dataset]:
    """The first item of each macro in a functional group: there the attributes stand."""
    return [element.value[0] for element in group if element.VR == "SQ" and element.value]


def first_value(layers: Iterable[Dataset], keyword: str) -> Any:
    """The first value for a keyword that is neither absent nor empty; else None."""
    for layer in layers:
        value = layer.get(keyword)
        if value is not None and value != "":
            return value
    return None


def _frame(layers: list[Dataset], index: int, dataset: Dataset, file: str) -> Frame:
    position = _numbers(layers, "ImagePositionPatient", 3)
    orientation = _numbers(layers, "ImageOrientationPatient", 6)
    spacing = _numbers(layers, "PixelSpacing", 2)
    image_type = first_value(layers, "FrameType") or dataset.get("ImageType") or ()
    rescale_type = first_value(layers, "RescaleType")
    traits = ((key, first_value(layers, key)) for key in _DISTINGUISHING)
    return Frame(
        file=file,
        index=index,
        sop_uid=str(dataset.SOPInstanceUID),
        image_type=_strings(image_type),
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        position_lps_mm=None if position is None else np.asarray(position),
        orientation_lps=None if orientation is None else np.asarray(orientation),
        pixel_spacing_mm=None if spacing is None else (spacing[0], spacing[1]),
        thickness_mm=_number(layers, "SliceThickness"),
        between_mm=_number(layers, "SpacingBetweenSlices"),
        slope=_number(layers, "RescaleSlope"),
        intercept=_number(layers, "RescaleIntercept"),
        rescale_type=None if rescale_type is None else str(rescale_type),
        padding=_padding(dataset),
        traits=tuple((key, str(value)) for key, value in traits if value is not None),
    )


def _strings(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(str(part) for part in value)


def _number(layers: list[Dataset], keyword: str) -> float | None:
    value = first_value(layers, keyword)
    return None if value is None else _finite(value, keyword)


def _numbers(layers: list[Dataset], keyword: str, count: int) -> list[float] | None:
    value = first_value(layers, keyword)
    if value is None:
        return None
    numbers = [_finite(part, keyword) for part in value]
    if len(numbers) != count:
        raise ValueError(f"{keyword} has {len(numbers)} values instead of {count}")
    return numbers


def _finite(value: Any, keyword: str) -> float:
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"{keyword} is {number}")
    return number


def _padding(dataset: Dataset) -> tuple[int, int] | None:
    """The declared range of padding, signed as the pixels are.

    Many scanners write Pixel Padding Value with the wrong value representation, so that -2000
    comes as 63536; the pixels' own representation decides.
    """
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    pair = (value, limit if isinstance(limit, int) else value)
    bits = int(dataset.get("BitsAllocated") or 16)
    signed = bool(dataset.get("PixelRepresentation"))
    span = 1 << bits
    low, high = (
        number - span if signed and number >= span // 2 else number % span if not signed else number
        for number in pair
    )
    return min(low, high), max(low, high)
