"""One lesion that a phantom is asked to have, given or drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np

from scalemai.anatomy import canonical_phase, structure
from scalemai.cases.phantom.lesion_diagnoses import DIAMETERS_MM, Diagnosis, Kind, diagnoses_of
from scalemai.cases.phantom.lesion_shapes import SHAPES, ShapeName
from scalemai.cases.phantom.lesion_textures import PATTERNS, PatternName
from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["PhantomLesion", "sample_lesion"]

_SMALLEST_WITH_DETAILS_MM = 8.0


@dataclass(frozen=True)
class PhantomLesion:
    """One lesion that a phantom is asked to have.

    Parameters
    ----------
    organ
        Structure that it lies in, for example ``"kidney_left"``.
    kind
        ``"hypo"``, ``"hyper"``, ``"ring"``, ``"cystic"``, ``"mixed"`` or ``"infiltrative"``.
    diameter_mm
        Longest axial diameter, 2 to 150 mm.
    contrast_hu
        Solid part minus the organ's parenchyma, in HU.
    rim_hu
        Rim, nodules or septa minus the parenchyma, in HU; None: as the solid part.
    filling_hu
        Attenuation of fluid, necrosis, fat or scar in HU, not relative; None: as the solid part.
    shape
        Family of outlines, one of :data:`~scalemai.cases.phantom.lesion_shapes.SHAPES`.
    pattern
        Inner structure, one of :data:`~scalemai.cases.phantom.lesion_textures.PATTERNS`.
    margin_mm
        Width over which the lesion turns into parenchyma; 0 is sharp.
    calcified
        Whether specks of calcium are strewn in.
    exophytic
        Whether it should stick out of the organ or touch its surface.
    centre_mm
        Place of the centre, RAS+ mm; None: drawn.
    diagnosis
        What it imitates, for people.

    Raises
    ------
    ConfigError
        If a number is out of range.
    UnknownNameError
        If kind, shape or pattern is not known.
    """

    organ: str
    kind: Kind
    diameter_mm: float
    contrast_hu: float
    rim_hu: float | None = None
    filling_hu: float | None = None
    shape: ShapeName = "ovoid"
    pattern: PatternName = "homogeneous"
    margin_mm: float = 0.0
    calcified: bool = False
    exophytic: bool = False
    centre_mm: tuple[float, float, float] | None = None
    diagnosis: str = ""

    def __post_init__(self) -> None:
        low, high = DIAMETERS_MM
        if not low <= self.diameter_mm <= high:
            raise ConfigError(
                f"diameter_mm is {self.diameter_mm:g}",
                where="PhantomLesion",
                fix=f"give {low:g} to {high:g}",
            )
        if not 0.0 <= self.margin_mm <= 20.0:
            raise ConfigError(
                f"margin_mm is {self.margin_mm:g}", where="PhantomLesion", fix="give 0 to 20"
            )
        for name, value in (
            ("contrast_hu", self.contrast_hu),
            ("rim_hu", self.rim_hu),
            ("filling_hu", self.filling_hu),
        ):
            if value is not None and not (math.isfinite(value) and abs(value) <= 2000.0):
                raise ConfigError(
                    f"{name} is {value:g}", where="PhantomLesion", fix="give -2000 to 2000"
                )
        if self.centre_mm is not None and not all(map(math.isfinite, self.centre_mm)):
            raise ConfigError(f"centre_mm is {self.centre_mm}", where="PhantomLesion")
        for kind, word, known in (
            ("kind of phantom lesion", self.kind, get_args(Kind)),
            ("shape", self.shape, tuple(SHAPES)),
            ("pattern", self.pattern, tuple(PATTERNS)),
        ):
            if word not in known:
                raise UnknownNameError(kind, word, known)


def sample_lesion(
    organ: str, diameter_mm: float, phase: str, rng: np.random.Generator
) -> PhantomLesion:
    """Draw a plausible lesion of an organ.

    Parameters
    ----------
    organ
        Structure that it lies in, for example ``"pancreas"`` or ``"kidney_left"``.
    diameter_mm
        Longest axial diameter, 2 to 150 mm.
    phase
        Contrast phase, in any usual spelling.
    rng
        Source of the draw.

    Returns
    -------
    PhantomLesion
        Without a place; :func:`~scalemai.cases.phantom.lesions.add_lesions` finds one.

    Raises
    ------
    UnknownNameError
        If organ or phase is not known.
    ConfigError
        If the diameter is out of range.
    """
    name, diameter_mm = structure(organ).name, float(diameter_mm)
    when = canonical_phase(phase)
    seen = [d for d in diagnoses_of(name) if when in d.contrast]
    # An unusual size takes what is left of the table, or all of it where nothing is left.
    fitting = [d for d in seen if d.diameters[0] <= diameter_mm <= d.diameters[1]] or seen
    weights = np.array([d.weight for d in fitting])
    drawn = fitting[int(rng.choice(len(fitting), p=weights / weights.sum()))]
    contrast = rng.uniform(*drawn.contrast[when])
    kind, pattern = _appearance(drawn, contrast, diameter_mm, rng)
    return PhantomLesion(
        organ=name,
        kind=kind,
        diameter_mm=diameter_mm,
        contrast_hu=contrast,
        rim_hu=rng.uniform(*drawn.rim[when]) if when in drawn.rim else None,
        filling_hu=None if drawn.filling is None else rng.uniform(*drawn.filling),
        shape=drawn.shapes[rng.integers(len(drawn.shapes))],
        pattern=pattern,
        margin_mm=rng.uniform(*drawn.margin) * min(1.0, diameter_mm / 20.0),
        calcified=bool(rng.random() < drawn.calcified),
        exophytic=bool(rng.random() < drawn.exophytic),
        diagnosis=drawn.name,
    )


def _appearance(
    drawn: Diagnosis, contrast_hu: float, diameter_mm: float, rng: np.random.Generator
) -> tuple[Kind, PatternName]:
    pattern = drawn.patterns[rng.integers(len(drawn.patterns))]
    plain: Kind = "hyper" if contrast_hu > 0 else "hypo"
    # Inner details of a few millimetres do not show in a small lesion and would only eat it up.
    if diameter_mm < _SMALLEST_WITH_DETAILS_MM:
        if drawn.kind == "cystic":
            return "cystic", "fluid"
        return drawn.kind if drawn.kind == "infiltrative" else plain, "homogeneous"
    return drawn.kind or plain, pattern
