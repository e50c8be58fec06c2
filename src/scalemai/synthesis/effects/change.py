"""What an effect of a lesion on its surroundings changes: voxels and masks together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scalemai.geometry import Region
from scalemai.synthesis.growth.tissue import StructureBox

__all__ = ["Change"]


@dataclass(frozen=True, eq=False)
class Change:
    """New voxels of a box, and the masks that follow them.

    Parameters
    ----------
    region
        Box of the volume.
    hu
        float32 array of the box: the new Hounsfield units.
    edited
        Boolean array of the box: where they are new. The other voxels stay as they are stored.
    masks
        Structures that changed, each whole, by canonical name.
    notes
        Remarks in words, for the sidecar.
    """

    region: Region
    hu: NDArray[np.float32]
    edited: NDArray[np.bool_]
    masks: Mapping[str, StructureBox] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
