"""What the lesions of each organ look like in each contrast phase.

The tables follow common radiological teaching: a ductal carcinoma is darker than the pancreas, a
hepatocellular carcinoma lights up in the arterial phase and washes out, a simple cyst is water.
The numbers are the author's estimate, to be refined, and are kept apart from the organ facts that
the synthesizer reads: detectors that learned from synthetic lesions are tested on these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from scalemai.anatomy import Phase, structure
from scalemai.cases.phantom.lesion_shapes import ShapeName
from scalemai.cases.phantom.lesion_sites import root_organ
from scalemai.cases.phantom.lesion_textures import PatternName

__all__ = ["DIAMETERS_MM", "Diagnosis", "Kind", "Span", "diagnoses_of"]

Kind = Literal["hypo", "hyper", "ring", "cystic", "mixed", "infiltrative"]
Span = tuple[float, float]

DIAMETERS_MM: Span = (2.0, 150.0)
"""The smallest and the largest lesion that a phantom can have."""


@dataclass(frozen=True)
class Diagnosis:
    """How one diagnosis looks; every number is drawn from a range.

    Parameters
    ----------
    name
        For people.
    weight
        How often it is drawn, relative to the others of its organ.
    kind
        Radiological kind; None: ``"hyper"`` or ``"hypo"``, whichever the contrast drawn makes it.
    shapes, patterns
        Outlines and inner structures to choose from.
    contrast, rim
        Solid part, and rim or septa, minus the parenchyma, in HU by phase. A phase that
        ``contrast`` leaves out is one in which the lesion does not show.
    filling
        Attenuation of fluid, necrosis, fat or scar in HU.
    diameters, margin
        Longest axial diameter, and width of the border, in mm.
    calcified, exophytic
        Probabilities.
    """

    name: str
    weight: float
    kind: Kind | None
    shapes: tuple[ShapeName, ...]
    patterns: tuple[PatternName, ...]
    contrast: Mapping[Phase, Span]
    rim: Mapping[Phase, Span] = field(default_factory=dict)
    filling: Span | None = None
    diameters: Span = DIAMETERS_MM
    margin: Span = (0.0, 1.0)
    calcified: float = 0.0
    exophytic: float = 0.2


def _phases(nc: Span, arterial: Span, portal: Span, delayed: Span) -> Mapping[Phase, Span]:
    return {"non_contrast": nc, "arterial": arterial, "portal_venous": portal, "delayed": delayed}


_ROUND: tuple[ShapeName, ...] = ("ovoid", "harmonic", "superquadric")
_ROUGH: tuple[ShapeName, ...] = ("harmonic", "lobulated", "spiculated")

_LIVER = (
    Diagnosis(
        "hypovascular metastasis",
        3.0,
        "hypo",
        ("ovoid", "harmonic", "lobulated"),
        ("homogeneous", "mosaic", "necrotic"),
        _phases((-22, -10), (-35, -15), (-60, -30), (-40, -15)),
        filling=(20, 45),
        margin=(0.5, 3.0),
        calcified=0.12,
    ),
    Diagnosis(
        "rim-enhancing metastasis",
        2.0,
        "ring",
        ("ovoid", "harmonic"),
        ("ring", "lamellar"),
        _phases((-22, -12), (-40, -20), (-60, -35), (-35, -15)),
        rim=_phases((-8, -2), (15, 45), (0, 25), (0, 12)),
        filling=(15, 45),
        diameters=(8, 90),
    ),
    Diagnosis(
        "hepatocellular carcinoma",
        2.0,
        None,
        ("ovoid", "harmonic", "lobulated"),
        ("mosaic", "homogeneous", "necrotic"),
        _phases((-16, -6), (25, 65), (-30, -12), (-38, -15)),
        filling=(25, 45),
    ),
    Diagnosis(
        "hemangioma",
        1.5,
        "ring",
        ("lobulated", "ovoid", "harmonic"),
        ("nodular_ring",),
        _phases((-20, -10), (-20, -5), (-35, -15), (5, 20)),
        rim=_phases((-12, -6), (90, 170), (45, 75), (15, 30)),
        diameters=(15, 120),
    ),
    Diagnosis(
        "simple cyst",
        2.0,
        "cystic",
        ("ovoid",),
        ("fluid",),
        _phases((-15, -5), (-15, -5), (-15, -5), (-15, -5)),
        filling=(0, 16),
        margin=(0, 0),
    ),
    Diagnosis(
        "cystadenoma",
        0.7,
        "cystic",
        ("lobulated", "ovoid"),
        ("septated", "bubbles"),
        _phases((-12, -4), (-20, 5), (-20, 10), (-10, 10)),
        rim=_phases((-12, -4), (0, 25), (0, 25), (0, 20)),
        filling=(4, 22),
        diameters=(12, 150),
    ),
    Diagnosis(
        "cholangiocarcinoma",
        1.0,
        "infiltrative",
        ("spiculated", "tubular", "harmonic"),
        ("homogeneous", "lamellar", "necrotic"),
        _phases((-18, -8), (-32, -12), (-50, -25), (8, 22)),
        rim=_phases((-10, -4), (10, 25), (-10, 5), (5, 20)),
        filling=(25, 50),
        diameters=(10, 120),
        margin=(2.0, 6.0),
    ),
    Diagnosis(
        "focal nodular hyperplasia",
        0.8,
        "hyper",
        ("lobulated", "superquadric"),
        ("scar",),
        {"arterial": (35, 80)},
        filling=(45, 65),
        diameters=(12, 90),
    ),
)

_PANCREAS = (
    Diagnosis(
        "ductal adenocarcinoma",
        4.0,
        "infiltrative",
        ("spiculated", "tubular", "harmonic"),
        ("homogeneous", "mosaic", "necrotic"),
        _phases((-12, -4), (-65, -35), (-50, -30), (-20, -8)),
        filling=(15, 35),
        diameters=(5, 90),
        margin=(1.5, 4.0),
    ),
    Diagnosis(
        "neuroendocrine tumor",
        2.0,
        None,
        ("ovoid", "superquadric", "harmonic"),
        ("homogeneous", "ring", "mosaic"),
        _phases((-8, -3), (35, 90), (15, 45), (8, 20)),
        rim=_phases((-4, 0), (50, 110), (25, 55), (12, 25)),
        filling=(25, 60),
        calcified=0.15,
        exophytic=0.35,
    ),
    Diagnosis(
        "papillary mucinous neoplasm",
        2.0,
        "cystic",
        ("lobulated", "tubular"),
        ("fluid", "septated", "bubbles"),
        _phases((-10, -2), (-30, -5), (-25, -5), (-15, 0)),
        filling=(3, 20),
        diameters=(4, 70),
        margin=(0, 0),
    ),
    Diagnosis(
        "serous cystadenoma",
        1.0,
        "cystic",
        ("lobulated", "harmonic"),
        ("honeycomb",),
        _phases((-8, 0), (-10, 40), (-10, 30), (-10, 15)),
        filling=(8, 25),
        diameters=(15, 90),
        calcified=0.3,
        exophytic=0.4,
    ),
    Diagnosis(
        "mucinous cystic neoplasm",
        1.0,
        "cystic",
        ("ovoid",),
        ("septated", "fluid"),
        _phases((-8, 0), (-30, 0), (-25, 5), (-10, 5)),
        filling=(5, 25),
        diameters=(15, 120),
        margin=(0, 0),
        exophytic=0.5,
    ),
    Diagnosis(
        "solid pseudopapillary neoplasm",
        0.7,
        "mixed",
        ("ovoid", "superquadric"),
        ("bubbles", "necrotic"),
        _phases((-12, -4), (-50, -20), (-35, -10), (-15, -5)),
        filling=(15, 35),
        diameters=(15, 100),
        calcified=0.3,
        exophytic=0.5,
    ),
)

_KIDNEY = (
    Diagnosis(
        "clear cell carcinoma",
        3.0,
        "mixed",
        ("ovoid", "lobulated", "harmonic"),
        ("mosaic", "necrotic", "bubbles"),
        _phases((-6, 6), (-50, 10), (-80, -45), (-65, -30)),
        filling=(12, 35),
        diameters=(6, 150),
        calcified=0.1,
        exophytic=0.6,
    ),
    Diagnosis(
        "papillary carcinoma",
        1.5,
        None,
        _ROUND,
        ("homogeneous", "mosaic"),
        _phases((-4, 8), (-110, -75), (-115, -80), (-85, -55)),
        filling=(30, 50),
        exophytic=0.6,
    ),
    Diagnosis(
        "oncocytoma",
        1.0,
        None,
        ("ovoid", "superquadric"),
        ("scar",),
        _phases((-4, 4), (-45, -15), (-70, -35), (-50, -25)),
        filling=(30, 60),
        diameters=(12, 90),
        exophytic=0.6,
    ),
    Diagnosis(
        "angiomyolipoma",
        1.0,
        "mixed",
        ("ovoid", "lobulated"),
        ("bubbles", "mosaic"),
        _phases((-20, 0), (-80, -30), (-95, -50), (-70, -35)),
        filling=(-80, -25),
        exophytic=0.6,
    ),
    Diagnosis(
        "simple cyst",
        3.0,
        "cystic",
        ("ovoid",),
        ("fluid",),
        _phases((-10, 0), (-10, 0), (-10, 0), (-10, 0)),
        filling=(0, 18),
        margin=(0, 0),
        exophytic=0.65,
    ),
    Diagnosis(
        "complex cyst",
        1.0,
        "cystic",
        ("ovoid", "lobulated"),
        ("septated",),
        _phases((-6, 6), (-70, -30), (-80, -40), (-60, -30)),
        filling=(6, 28),
        diameters=(12, 110),
        calcified=0.2,
        exophytic=0.6,
    ),
    Diagnosis(
        "urothelial carcinoma",
        0.6,
        "infiltrative",
        _ROUGH,
        ("homogeneous",),
        _phases((-2, 8), (-100, -60), (-100, -60), (-75, -45)),
        diameters=(8, 80),
        margin=(2.0, 5.0),
        exophytic=0.0,
    ),
)

_HOLLOW = (
    Diagnosis(
        "carcinoma of the wall",
        1.0,
        None,
        ("lobulated", "tubular", "harmonic"),
        ("homogeneous", "mosaic"),
        _phases((-4, 8), (5, 40), (5, 30), (2, 20)),
        filling=(30, 50),
        exophytic=1.0,
    ),
)

_LUNG = (
    Diagnosis(
        "nodule",
        1.0,
        "hyper",
        ("spiculated", "lobulated", "ovoid"),
        ("homogeneous", "necrotic"),
        _phases((-10, 5), (0, 30), (5, 40), (5, 35)),
        filling=(10, 30),
        calcified=0.15,
    ),
)

_OTHER = (
    Diagnosis(
        "metastasis",
        3.0,
        "hypo",
        _ROUGH,
        ("homogeneous", "mosaic", "necrotic"),
        _phases((-15, -5), (-40, -20), (-50, -25), (-30, -12)),
        filling=(20, 40),
        margin=(0.0, 3.0),
    ),
    Diagnosis(
        "hypervascular metastasis",
        1.0,
        None,
        _ROUND,
        ("homogeneous", "ring"),
        _phases((-10, -4), (25, 60), (10, 35), (5, 15)),
        filling=(20, 45),
    ),
    Diagnosis(
        "cyst",
        1.0,
        "cystic",
        ("ovoid",),
        ("fluid", "septated"),
        _phases((-10, 0), (-15, 0), (-15, 0), (-10, 0)),
        filling=(0, 20),
        margin=(0, 0),
    ),
)


def diagnoses_of(organ: str) -> tuple[Diagnosis, ...]:
    """The diagnoses of the organ that a structure is or belongs to."""
    if structure(organ).group == "hollow_organ":
        return _HOLLOW
    tables = {"liver": _LIVER, "pancreas": _PANCREAS, "kidney": _KIDNEY, "lung": _LUNG}
    return tables.get(root_organ(organ), _OTHER)
