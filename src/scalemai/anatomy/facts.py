"""Organ facts: what an organ is made of, how it looks in CT, and what grows in it.

Each number comes from a file in ``organs/`` and carries a ``source``: a publication, or
the words "author's estimate, to be refined". A new organ is a new file.

Throughout, a standard deviation is the spread *between patients* (or lesions) of a mean,
never the noise within one image. HU are for 120 kVp and a usual abdominal dose of contrast
medium; sources disagree by 10 to 20 HU, so work with differences to the patient's own
parenchyma where you can.

>>> from scalemai.anatomy import organ
>>> organ("kidneys").kind("clear cell RCC").hu["arterial"].mean_hu
130.0
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from scalemai.anatomy.frozen import FrozenMapping
from scalemai.anatomy.phases import Phase
from scalemai.anatomy.spelling import squash
from scalemai.errors import UnknownNameError

__all__ = [
    "FORMS",
    "HU",
    "Calcification",
    "DoublingTime",
    "Exophytic",
    "Family",
    "Form",
    "LesionKind",
    "Margin",
    "Necrosis",
    "Obstruction",
    "Organ",
    "Pattern",
    "Range",
    "Rim",
    "Satellites",
    "Spicules",
    "Texture",
]

Family = Literal["solid", "hollow", "lung", "bone"]
Margin = Literal["well-defined", "ill-defined", "lobulated"]
Pattern = Literal["central", "rim", "scattered"]

FORMS: Final[FrozenMapping[Family, tuple[str, ...]]] = FrozenMapping(
    {
        "solid": ("nodular",),
        "hollow": ("polypoid", "plaque", "annular"),
        "lung": ("solid", "part_solid", "ground_glass"),
        "bone": ("lytic", "blastic", "mixed"),
    }
)
"""The forms in which a lesion grows, by family of organ."""

# In every class below a source explains a number and does not make it another number, so
# it is neither compared nor shown.


@dataclass(frozen=True, slots=True)
class HU:
    """Attenuation in HU: mean, and standard deviation between patients."""

    mean_hu: float
    sd_hu: float
    source: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Range:
    """A usual range, both ends included, in the unit that the field's name gives."""

    low: float
    high: float
    source: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Texture:
    """Variation inside a lesion, beyond image noise.

    ``sd_hu`` is its standard deviation in HU, ``scale_mm`` the distance in mm over which
    it changes (correlation length).
    """

    sd_hu: float
    scale_mm: float
    source: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Necrosis:
    """A dead core: from which diameter (mm), how often (0 to 1), and how dense.

    Its attenuation does not depend on the phase, as it has no blood supply.
    """

    min_diameter_mm: float
    probability: float
    hu: HU
    source: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class DoublingTime:
    """Days in which the *volume* doubles: the fast end, the typical value, the slow end."""

    low_days: float
    typical_days: float
    high_days: float
    source: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a kind of lesion grows.

    Attributes
    ----------
    name
        One of :data:`FORMS` of the organ's family.
    weight
        Relative frequency among the forms of the kind when none is asked for.
    hu
        Attenuation that takes the place of the kind's, the same in every phase; ``None``
        where the kind's holds. ``part_solid``: that of the ground glass round the core.
        ``mixed``: that of the blastic part, the lytic part has the kind's.
    core_share
        Only ``part_solid``: share (0 to 1) of the diameter that the solid core takes; the
        core has the kind's attenuation.
    doubling_time
        Volume doubling time in days where it is not the kind's; see
        :meth:`LesionKind.doubling_time_of`.
    """

    name: str
    weight: float
    hu: HU | None = None
    core_share: Range | None = None
    doubling_time: DoublingTime | None = None
    source: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Exophytic:
    """Growth beyond the organ: how often (0 to 1), and how fast.

    ``speed`` (0 to 1) is the speed of the front in the fat around the organ, relative to
    its speed inside.
    """

    probability: float
    speed: Range
    source: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Calcification:
    """Calcium: how often (0 to 1), where in the lesion, how much, and how dense.

    ``share`` (0 to 1) is that of the lesion's volume; ``hu`` holds in every phase.
    """

    probability: float
    pattern: Pattern
    share: Range
    hu: HU
    source: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Rim:
    """A rim or capsule: how often (0 to 1), how wide in mm, and its attenuation by phase."""

    probability: float
    width_mm: Range
    hu: FrozenMapping[Phase, HU]
    source: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Spicules:
    """Strands from the border into the lung: how often (0 to 1), how many, how long.

    ``length`` is a share of the lesion's radius.
    """

    probability: float
    count: Range
    length: Range
    source: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Satellites:
    """Small lesions of the same kind near the first: how often (0 to 1), and how many."""

    probability: float
    count: Range
    source: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Obstruction:
    """A duct that the lesion closes, and what follows upstream.

    Attributes
    ----------
    structure
        The duct, one of the organ's vessels.
    sites
        Sites of the organ where a lesion closes it.
    probability
        How often it does so there, 0 to 1, for lesions of ``from_diameter_mm`` and more.
    calibre_mm
        Width of the duct upstream, in mm.
    atrophy
        Share (0 to 1) of the parenchyma's thickness that is lost upstream.
    from_diameter_mm
        Longest diameter in mm below which a lesion leaves the duct open.
    """

    structure: str
    sites: tuple[str, ...]
    probability: float
    calibre_mm: Range
    atrophy: Range
    from_diameter_mm: float
    source: str = field(default="", compare=False, repr=False)


NODULAR: Final = Form("nodular", 1.0, source="the only form in a solid organ")
NO_RANGE: Final = Range(0.0, 0.0, source="none stated")
ONE: Final = Range(1.0, 1.0, source="one, as none is stated")


@dataclass(frozen=True, slots=True)
class LesionKind:
    """One kind of lesion in one organ.

    Attributes
    ----------
    name, title, aliases
        Short name, name for people, other names.
    cystic
        True for a fluid-filled lesion, false for a solid one.
    weight
        Relative frequency among the kinds of the organ when none is asked for; with
        ``weight_source``. A choice, not an incidence.
    hu
        Attenuation of the viable part by phase, averaged over the lesion; inside of its rim
        where it has one.
    margin, margin_width_mm
        Kind of border, and width in mm over which lesion turns into parenchyma.
    irregularity
        Shape from 0 (an ellipsoid) to 1 (as irregular as a lesion gets).
    elongation
        Longest through shortest axis, 1 or more.
    texture
        Variation inside the viable part.
    necrosis
        ``None`` where it does not occur.
    doubling_time
        Volume doubling time in days.
    visibility
        By phase, in words: how well it is seen, and against what.
    forms
        How it grows: one or more of :data:`FORMS` of the organ's family.
    displaced
        Share (0 to 1) of its volume that pushes tissue aside instead of replacing it.
    exophytic, calcification, rim, spicules, satellites
        ``None`` where it does not occur.
    multiplicity
        Usual number of lesions in one patient who has several.
    obstructs
        Ducts that it closes.
    """

    name: str
    title: str
    aliases: tuple[str, ...]
    cystic: bool
    weight: float
    weight_source: str = field(compare=False, repr=False)
    hu: FrozenMapping[Phase, HU]
    margin: Margin
    margin_width_mm: Range
    irregularity: Range
    elongation: Range
    texture: Texture
    necrosis: Necrosis | None
    doubling_time: DoublingTime
    visibility: FrozenMapping[Phase, str]
    forms: tuple[Form, ...] = (NODULAR,)
    displaced: Range = NO_RANGE
    exophytic: Exophytic | None = None
    calcification: Calcification | None = None
    rim: Rim | None = None
    spicules: Spicules | None = None
    satellites: Satellites | None = None
    multiplicity: Range = ONE
    obstructs: tuple[Obstruction, ...] = ()

    def form(self, name: str) -> Form:
        """Return a form by name.

        Raises
        ------
        UnknownNameError
            If the kind has no such form.
        """
        for form in self.forms:
            if form.name == name:
                return form
        raise UnknownNameError(f"form of {self.name}", name, [form.name for form in self.forms])

    def doubling_time_of(self, form: str) -> DoublingTime:
        """Volume doubling time in days of one form: ground glass grows slower than a solid."""
        return self.form(form).doubling_time or self.doubling_time


@dataclass(frozen=True, slots=True)
class Organ:
    """An organ as tumor synthesis needs it.

    Attributes
    ----------
    name, title
        Canonical structure name of the whole organ, and its name for people. A data set
        that does not tell sides apart has a mask of this name (KiTS: ``kidney``).
    family
        Which growth model applies: ``solid``, ``hollow``, ``lung``, ``bone``.
    structures
        Structures that together make the organ; their masks are disjoint.
    lesion
        Structure name of the lesion mask.
    sites
        From site name to the structures whose masks bound it; empty if none are named.
    vessels
        Vessels and ducts in or at the organ, which growth goes along or displaces.
    barriers
        Neighbors that growth does not enter.
    volume_ml
        Usual adult volume in ml of *each* of ``structures``, wide enough for the old and
        the ill; not valid for a structure that the scan cuts off.
    parenchyma_hu
        Attenuation of healthy parenchyma by phase, vessels aside: of a hollow organ the wall,
        of the lung with its air, of the breast with its fat, of bone the spongiosa.
    kinds
        Lesions that grow in it.
    wall_mm
        Thickness of the wall in mm; of hollow organs only, ``None`` elsewhere.
    """

    name: str
    title: str
    family: Family
    structures: tuple[str, ...]
    lesion: str
    sites: FrozenMapping[str, tuple[str, ...]]
    vessels: tuple[str, ...]
    barriers: tuple[str, ...]
    volume_ml: Range
    parenchyma_hu: FrozenMapping[Phase, HU]
    kinds: tuple[LesionKind, ...]
    wall_mm: Range | None = None

    @property
    def kind_names(self) -> tuple[str, ...]:
        """The names of the lesion kinds, in the order of the file."""
        return tuple(kind.name for kind in self.kinds)

    def kind(self, name: str) -> LesionKind:
        """Return a lesion kind by name or alias, in any spelling.

        Raises
        ------
        UnknownNameError
            With the nearest names, if this organ has no such kind.
        """
        key = squash(name)
        for kind in self.kinds:
            if key in map(squash, (kind.name, *kind.aliases)):
                return kind
        known = [spelling for kind in self.kinds for spelling in (kind.name, *kind.aliases)]
        raise UnknownNameError(f"lesion kind of {self.name}", name, known)
