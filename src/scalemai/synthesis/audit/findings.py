"""What is kept of each lesion and case once its voxels are gone: small, plain and picklable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["CaseFindings", "LesionFindings", "Outline"]

Row = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Outline:
    """A lesion's shape and change on a lattice centred on it: what duplicates are known by.

    Parameters
    ----------
    shape
        Boolean array (n, n, n): the label at points spread over 1.5 times its longest diameter.
    change
        float32 array (n, n, n): HU minus those of the host there; None of a lesion without host.
    """

    shape: NDArray[np.bool_]
    change: NDArray[np.float32] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class LesionFindings:
    """One lesion, synthetic or real, and the sham that it is compared with.

    Parameters
    ----------
    case, group, number
        Case; host scan; number of the lesion.
    organ, site, kind
        Organ, part of it, and lesion kind; empty where not known.
    diameter_mm, volume_mm3
        Longest axial diameter and volume of the label.
    contrast_hu
        Mean of the lesion minus median of the organ near it.
    border_mm
        Width of the border that was asked for; None of a real lesion.
    rise_mm
        Distance over which the border rises from 10 to 90 %; None if it cannot be read.
    radiomics
        Radiomic features.
    views, sham
        Features by view of the lesion, and of its sham; no sham if no place was found for one.
    controls
        By name of a control edit, the features of the view in which it must be noticed.
    outline
        What duplicates are known by.
    recipe
        What was drawn, as text; empty of a real lesion.
    pictures
        Grey pictures, uint8, of the lesion and its sham.
    """

    case: str
    group: str
    number: int
    organ: str
    site: str = ""
    kind: str = ""
    diameter_mm: float
    volume_mm3: float
    contrast_hu: float
    border_mm: float | None = None
    rise_mm: float | None = None
    radiomics: Row
    views: Mapping[str, Row]
    sham: Mapping[str, Row] | None = None
    controls: Mapping[str, Row] = field(default_factory=dict)
    outline: Outline
    recipe: str = ""
    pictures: tuple[NDArray[np.uint8], ...] = ()

    @property
    def name(self) -> str:
        """Case and number."""
        return f"{self.case} #{self.number}"


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseFindings:
    """One case.

    Parameters
    ----------
    case
        Its name.
    host
        Checksum of the host's voxels; empty of a real case.
    result
        Checksum of the voxels.
    far_voxels, far_share
        Voxels that differ from the host although no lesion's label or border is near, and their
        share of all that differ. Mass effect and ducts reach so far; an edit of a box does, too.
    lesions
        Its lesions.
    notes
        What is to be remarked.
    """

    case: str
    host: str = ""
    result: str
    far_voxels: int = 0
    far_share: float = 0.0
    lesions: tuple[LesionFindings, ...] = ()
    notes: tuple[str, ...] = ()
