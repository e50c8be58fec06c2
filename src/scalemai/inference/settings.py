"""What decides a prediction, and where it is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from scalemai.detector.organ_mask import CLOSING_MM
from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["Precision", "Runtime", "Settings"]

Precision = Literal["auto", "float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class Settings:
    """What is looked at, and what becomes a finding.

    Parameters
    ----------
    overlap
        Share of a window that the next one covers too, from 0 to below 1. A quarter costs half as
        much as one half along each axis.
    flips
        Average over the eight mirror images of every window: eight times the work.
    reach_mm
        How far beyond the organ's surface lesions are looked for. Windows that do not come so
        near are skipped, and beyond it the probability is 0. The region of interest, whose margin
        belongs to the detector, bounds it. The default is the author's estimate, to be refined.
    closing_mm
        Gaps of the organ's mask up to twice as wide are closed before use, since organ
        segmenters leave lesions out; holes are filled whatever their size
        (:func:`scalemai.detector.organ_mask.closed_organ`).
    threshold
        Probability of a lesion, all classes together, from which a voxel is part of a finding.
    minimum_mm3
        Findings of a smaller volume are left out, of the mask too.
    whole_scan
        Look at the whole scan, however far from the organ.

    Raises
    ------
    ConfigError
        If a number is impossible.
    """

    overlap: float = 0.25
    flips: bool = False
    reach_mm: float = 10.0
    closing_mm: float = CLOSING_MM
    threshold: float = 0.5
    minimum_mm3: float = 0.0
    whole_scan: bool = False

    def __post_init__(self) -> None:
        bounds = {
            "overlap": (0.0 <= self.overlap < 1.0, "from 0 to below 1"),
            "reach_mm": (0.0 <= self.reach_mm <= 500.0, "0 to 500 mm"),
            "closing_mm": (0.0 <= self.closing_mm <= 50.0, "0 to 50 mm"),
            "threshold": (0.0 < self.threshold <= 1.0, "a probability above 0, up to 1"),
            "minimum_mm3": (0.0 <= self.minimum_mm3 < float("inf"), "0 or more cubic mm"),
        }
        for name, (possible, wanted) in bounds.items():
            if not possible:
                what = f"{getattr(self, name):g} is impossible"
                raise ConfigError(what, where=name, fix=f"give {wanted}")


@dataclass(frozen=True)
class Runtime:
    """Where and how a network is run. Results differ by rounding only, but for half precision.

    Parameters
    ----------
    device
        ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    precision
        ``"auto"`` is float16 on CUDA devices with fast half precision (compute capability 7.0 and
        above) and float32 elsewhere, so that results do not depend on the kind of CPU. On CPUs
        with AVX512_BF16 or AMX, bfloat16 takes a third of the time; on others, twice as long.
    threads
        Threads of a CPU; by default all cores that this process may use.
    batch
        Windows at once; by default 1 on a CPU and 4 elsewhere.

    Raises
    ------
    ConfigError
        If a number is below 1, or the precision is not known.
    """

    device: str = "auto"
    precision: Precision = "auto"
    threads: int | None = None
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise UnknownNameError("precision", self.precision, get_args(Precision))
        for name in ("threads", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{value} is impossible", where=name, fix="give 1 or more")
