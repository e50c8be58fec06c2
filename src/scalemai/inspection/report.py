"""The findings of an inspection: facts to be read by people, or as plain types by programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scalemai.geometry import Grid

__all__ = ["FileReport", "LabelReport"]

_NAME_WIDTH = 14
_LINE_WIDTH = 100
_LABELS_SHOWN = 150


@dataclass(frozen=True, slots=True)
class LabelReport:
    """One value of a label map, or one structure of a case.

    Parameters
    ----------
    name
        Structure; empty if it is not known.
    value
        Label value; None for a structure that has a file of its own.
    voxels, volume_ml
        How much of it there is.
    """

    name: str
    value: int | None
    voxels: int
    volume_ml: float


@dataclass(frozen=True, kw_only=True)
class FileReport:
    """What a file or folder holds.

    Parameters
    ----------
    path
        What was inspected.
    kind
        ``"CT"``, ``"mask"``, ``"label map"``, ``"volume"`` (numbers that are none of these, or
        could not be read), ``"case"``, ``"DICOM"`` or ``"data set"``.
    format
        How it is stored, for example ``"NIfTI-1, gzip"``.
    grid
        Where its voxels are; None if that cannot be told.
    shape
        Size of the array as the header gives it, which may have more or less than three axes.
    dtype
        Stored type of a voxel; empty if there are no voxels.
    scaling
        Slope and intercept from stored numbers to Hounsfield units.
    header
        Codes and other fields of the header, by their own names.
    numbers
        ``min``, ``max`` and percentiles ``p1, p5, p50, p95, p99``: Hounsfield units of a CT, plain
        numbers of anything else.
    labels
        Values of a label map, or structures of a case.
    class_maps
        Class maps that know all values of a label map.
    contents
        Series of a DICOM folder, or cases of a data set, one line each.
    warnings
        What is odd, in words.
    """

    path: Path
    kind: str
    format: str
    grid: Grid | None = None
    shape: tuple[int, ...] = ()
    dtype: str = ""
    scaling: tuple[float, float] = (1.0, 0.0)
    header: Mapping[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[LabelReport, ...] = ()
    class_maps: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def spacing_mm(self) -> tuple[float, float, float] | None:
        """Voxel size in mm along the array axes; None without a grid."""
        return None if self.grid is None else self.grid.spacing_mm

    @property
    def orientation(self) -> str:
        """Where the array axes point, for example ``"LPS"``; empty without a grid."""
        return "" if self.grid is None else self.grid.orientation

    def as_dict(self) -> dict[str, Any]:
        """Plain types that JSON can hold."""
        facts = {"path": str(self.path), "kind": self.kind, "format": self.format}
        grid = self.grid
        return facts | {
            "shape": list(self.shape),
            "spacing_mm": None if grid is None else list(grid.spacing_mm),
            "orientation": self.orientation,
            "affine": None if grid is None else grid.affine.tolist(),
            "tilt_deg": None if grid is None else round(grid.tilt_deg, 3),
            "shear_deg": None if grid is None else round(grid.shear_deg, 3),
            "dtype": self.dtype,
            "slope": self.scaling[0],
            "intercept": self.scaling[1],
            "header": {name: _plain(value) for name, value in self.header.items()},
            "numbers": {name: _plain(value) for name, value in self.numbers.items()},
            "labels": [asdict(label) for label in self.labels],
            "class_maps": list(self.class_maps),
            "contents": list(self.contents),
            "warnings": list(self.warnings),
        }

    def as_text(self) -> str:
        """Lines to be read in a terminal."""
        lines = [str(self.path)]
        for name, text in self._facts():
            pad = " " * _NAME_WIDTH
            lines += textwrap.wrap(
                text,
                _LINE_WIDTH,
                initial_indent=f"  {name:<{_NAME_WIDTH - 2}}",
                subsequent_indent=pad,
                break_long_words=False,
                break_on_hyphens=False,
                drop_whitespace=True,
            )
        return "\n".join(lines)

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "kind", self.kind
        yield "format", ", ".join(part for part in (self.format, self.dtype) if part)
        if self.grid is not None:
            extent = np.array(self.grid.shape) * self.grid.spacing_mm
            yield "grid", self.grid.describe()
            yield "extent", " x ".join(f"{length:.0f}" for length in extent) + " mm"
            for number, row in enumerate(self.grid.affine[:3]):
                yield "" if number else "affine", "  ".join(f"{value:9.3f}" for value in row)
        elif self.shape:
            yield "shape", " x ".join(str(n) for n in self.shape)
        if self.scaling != (1.0, 0.0):
            yield "scaling", f"stored x {self.scaling[0]:g} {self.scaling[1]:+g}"
        if self.header:
            yield "header", ", ".join(f"{name} {value}" for name, value in self.header.items())
        if self.numbers:
            yield ("HU" if self.kind in {"CT", "case", "DICOM"} else "numbers"), self._numbers()
        for number, label in enumerate(self.labels[:_LABELS_SHOWN]):
            value = "" if label.value is None else f"{label.value:>5}  "
            yield (
                "" if number else "labels",
                f"{value}{label.volume_ml:>9.2f} ml  {label.name}".rstrip(),
            )
        if len(self.labels) > _LABELS_SHOWN:
            yield "", f"and {len(self.labels) - _LABELS_SHOWN} more"
        if self.class_maps:
            yield "class map", "perhaps " + " or ".join(self.class_maps)
        for number, line in enumerate(self.contents):
            yield "" if number else "contents", line
        for warning in self.warnings:
            yield "warning", warning

    def _numbers(self) -> str:
        ends = f"{self.numbers['min']:g} to {self.numbers['max']:g}"
        percentiles = [
            f"{name[1:]} % {value:g}" for name, value in self.numbers.items() if name[0] == "p"
        ]
        return ", ".join([ends, *percentiles])


def _plain(value: Any) -> Any:
    """A number or text that JSON can hold; NaN and infinity have no number there."""
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
