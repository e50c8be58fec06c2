"""One row of the table of structures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scalemai.errors import ConfigError
from scalemai.evaluation.segmentation.empties import State

__all__ = ["StructureResult", "check_tolerances", "nsd_columns"]


@dataclass(frozen=True, slots=True)
class StructureResult:
    """How one predicted structure compares with its reference. None is "no value", never NaN.

    Parameters
    ----------
    state
        Whether prediction and reference hold voxels.
    dsc, iou
        Overlap of the volumes, 0 to 1.
    nsd_surfel, nsd_voxel
        Tolerance in mm to the share of both borders within it of the other, 0 to 1: weighted by
        area of surface elements, and counted in border voxels.
    hd_mm, hd95_mm, assd_mm
        Largest distance between the surfaces, 95th percentile, and mean of both directions.
    volume_error_ml
        Volume of the prediction minus that of the reference.
    volume_error_share
        The same in units of the reference's volume; None if that is empty.
    reference_ml, prediction_ml
        The volumes.
    """

    state: State
    dsc: float | None
    iou: float | None
    nsd_surfel: Mapping[float, float | None]
    nsd_voxel: Mapping[float, float | None]
    hd_mm: float | None
    hd95_mm: float | None
    assd_mm: float | None
    volume_error_ml: float | None
    volume_error_share: float | None
    reference_ml: float | None
    prediction_ml: float | None

    def row(self) -> dict[str, float | str | None]:
        """The columns of the table of structures that say how good it is, in their order."""
        return {
            "state": self.state,
            "dsc": self.dsc,
            "iou": self.iou,
            **{nsd_columns(t)[0]: value for t, value in self.nsd_surfel.items()},
            **{nsd_columns(t)[1]: value for t, value in self.nsd_voxel.items()},
            "hd_mm": self.hd_mm,
            "hd95_mm": self.hd95_mm,
            "assd_mm": self.assd_mm,
            "volume_error_ml": self.volume_error_ml,
            "volume_error_share": self.volume_error_share,
            "reference_ml": self.reference_ml,
            "prediction_ml": self.prediction_ml,
        }


def nsd_columns(tolerance_mm: float) -> tuple[str, str]:
    """The columns of the surfel and the voxel NSD, such as ``nsd_surfel_2.5mm``."""
    return f"nsd_surfel_{tolerance_mm:g}mm", f"nsd_voxel_{tolerance_mm:g}mm"


def check_tolerances(tolerances_mm: Sequence[float]) -> tuple[float, ...]:
    """The tolerances as floats.

    Raises
    ------
    ConfigError
        If one is negative or not finite, or two would share a column.
    """
    tolerances = tuple(float(t) for t in tolerances_mm)
    for tolerance in tolerances:
        if not math.isfinite(tolerance) or tolerance < 0:
            raise ConfigError(
                f"a tolerance of {tolerance:g} mm is impossible", fix="give 0 or more"
            )
    columns = [nsd_columns(t)[0] for t in tolerances]
    if len(set(columns)) < len(columns):
        named = ", ".join(f"{t:g}" for t in tolerances)
        raise ConfigError(f"the same tolerance is given twice: {named} mm", fix="give each once")
    return tolerances
