"""What nnU-Net's plans say of the patches that its loader gives: spacing and normalisation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalemai.errors import ConfigError, UnknownNameError
from scalemai.transforms.grids import SIMPLEITK_AXES
from scalemai.transforms.normalization import Normalization

__all__ = ["PatchFacts", "read_nnunet_plans"]

_SCHEME = "CTNormalization"


@dataclass(frozen=True)
class PatchFacts:
    """Geometry and intensities of preprocessed patches.

    Parameters
    ----------
    spacing_mm
        Distance between voxels along the patch's own axes, in mm.
    axes
        Where these axes point in the patient, as three codes of R, L, A, P, S, I.
    normalization
        What was done to the HU.
    """

    spacing_mm: tuple[float, float, float]
    axes: str
    normalization: Normalization


def read_nnunet_plans(
    path: str | Path,
    configuration: str = "3d_fullres",
    *,
    channel: int = 0,
    axes: str = SIMPLEITK_AXES,
) -> PatchFacts:
    """Read spacing, axis order and normalisation from ``nnUNetPlans.json`` (nnU-Net v2).

    Parameters
    ----------
    path
        The plans.
    configuration
        A 3-D configuration of the plans; what it inherits from others is looked up.
    channel
        The channel that is the CT.
    axes
        Where the axes of the arrays point that the plans' reader gives, before
        ``transpose_forward``. The plans do not say: SimpleITK's reader gives ``"SPL"`` for
        images stored as LPS and ``"SAR"`` for those stored as RAS.

    Raises
    ------
    ConfigError
        If the file is no such plan, the configuration is 2-D, or the channel was not normalised
        as CT.
    UnknownNameError
        If it has no such configuration.
    """
    where = str(path)
    try:
        plans = json.loads(Path(path).read_text(encoding="utf-8"))
        chosen = _resolved(plans["configurations"], configuration, where)
        spacing = tuple(float(step) for step in chosen["spacing"])
        scheme = chosen["normalization_schemes"][channel]
        facts = plans["foreground_intensity_properties_per_channel"][str(channel)]
        order = [int(axis) for axis in plans["transpose_forward"]]
        normalization = Normalization.zscore(
            float(facts["mean"]),
            float(facts["std"]),
            float(facts["percentile_00_5"]),
            float(facts["percentile_99_5"]),
        )
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=where) from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ConfigError):
            raise
        what = f"these are no plans of nnU-Net v2 ({type(error).__name__}: {error})"
        raise ConfigError(what, where=where, fix="give nnUNetPlans.json") from error
    if scheme != _SCHEME:
        what = f"channel {channel} was normalised by {scheme}, which leaves no way back to HU"
        fix = f"plan the data set with {_SCHEME} (channel name 'CT'), or give another channel"
        raise ConfigError(what, where=where, fix=fix)
    if len(spacing) != 3 or sorted(order) != [0, 1, 2]:
        what = f"configuration {configuration!r} is not 3-D"
        raise ConfigError(what, where=where, fix="use 3d_fullres or 3d_lowres")
    # The plans' spacing is that of the transposed arrays already.
    return PatchFacts(
        (spacing[0], spacing[1], spacing[2]), "".join(axes[n] for n in order), normalization
    )


def _resolved(configurations: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    """A configuration with what it inherits."""
    if name not in configurations:
        error = UnknownNameError("configuration", name, configurations)
        error.where = where
        raise error
    line = [name]
    while (parent := configurations[line[-1]].get("inherits_from")) is not None:
        if parent in line:
            raise ConfigError(f"{' -> '.join([*line, parent])} goes round", where=where)
        line.append(parent)
    found: dict[str, Any] = {}
    for entry in reversed(line):
        found |= configurations[entry]
    return found
