"""How much a lesion differs from the parenchyma of this patient, in this phase, to be seen."""

from __future__ import annotations

import numpy as np

from scalemai.anatomy import HU, PHASES, LesionKind, Organ, Phase, canonical_phase
from scalemai.errors import ConfigError, UnknownNameError
from scalemai.synthesis.growth.neighbourhood import Parenchyma

__all__ = ["draw_contrast_hu", "phase_of", "require_possible_hu", "visible_elements"]

_SMALLEST_HU = 10.0  # author's choice: less than windowing shows
_ROSE = 2.5  # signal to noise of an object at the limit of what is seen: 3 to 5 (Rose, J Opt Soc
# Am 1948;38:196-208), a little less as a reader also sees the slices above and below
_GRAIN_MM = 3.0  # side of an independent noise element; author's estimate, to be refined
_TELLING_HU = (0.0, 100.0)  # soft tissue, whose attenuation follows the contrast medium
_POSSIBLE_HU = (-150.0, 400.0)  # fat to dense calcification, averaged over a lesion


def draw_contrast_hu(
    facts: Organ,
    kind: LesionKind,
    around: Parenchyma,
    phase: Phase,
    diameter_mm: float,
    z: float,
    *,
    own: HU | None = None,
) -> float:
    """Lesion minus parenchyma in HU: as the kind looks in this patient, and not invisible.

    The facts give both attenuations by phase. The patient's own parenchyma says how strongly this
    scan is enhanced: the contrast is interpolated between the unenhanced one and that of the
    phase by the enhancement measured, so an unenhanced liver of 45 HU gets an unenhanced lesion
    whatever the header says. Fat makes the parenchyma darker but not the lesion, so in a fatty
    liver a metastasis may be the brighter of the two.

    Parameters
    ----------
    facts, kind
        Organ and lesion kind.
    around
        The parenchyma around the lesion.
    phase
        Phase of the scan, from :func:`phase_of`.
    diameter_mm
        Diameter of the lesion: the smaller, the more contrast it takes to be seen.
    z
        Standard normal number: where in the spread between patients this lesion lies.
    own
        Attenuation of the lesion whatever the organ around it is: of fluid, of a form, of what
        grows in lung or bone. None if it follows the organ's enhancement.
    """
    if own is None:
        usual = _usual_contrast_hu(facts, kind, around.mean_hu, phase)
    else:
        usual = own.mean_hu - around.mean_hu
    spread = 0.5 * (kind.hu[phase] if own is None else own).sd_hu
    # A lesion is no less than its noise allows, but not stronger than its kind ever is.
    needed = _ROSE * around.noise_hu / visible_elements(diameter_mm) ** 0.5
    least = max(_SMALLEST_HU, 0.5 * around.noise_hu, min(needed, abs(usual) + spread))
    looks = kind.hu.values() if own is None else (own,)
    floor = min(hu.mean_hu - 2.0 * hu.sd_hu for hu in looks) - around.mean_hu
    sign = 1.0 if usual > 0 or -least < floor else -1.0
    drawn = usual + spread * float(np.clip(z, -2.0, 2.0))
    return float(sign * max(sign * max(drawn, floor), least))


def visible_elements(diameter_mm: float) -> float:
    """Number of independent noise elements in the axial image of a lesion, at least one."""
    return max(np.pi / 4 * (diameter_mm / _GRAIN_MM) ** 2, 1.0)


def require_possible_hu(contrast_hu: float, parenchyma_hu: float) -> float:
    """Return a contrast that was asked for, if the lesion's attenuation is possible.

    Raises
    ------
    ConfigError
        If no lesion has that attenuation.
    """
    low, high = _POSSIBLE_HU
    if not low <= parenchyma_hu + contrast_hu <= high:
        raise ConfigError(
            f"{contrast_hu:g} HU from a parenchyma of {parenchyma_hu:.0f} HU would make a lesion "
            f"of {parenchyma_hu + contrast_hu:.0f} HU",
            where="contrast_hu",
            fix=f"stay between {low:g} and {high:g} HU",
        )
    return contrast_hu


def _usual_contrast_hu(facts: Organ, kind: LesionKind, parenchyma_hu: float, phase: Phase) -> float:
    expected = facts.parenchyma_hu
    plain_parenchyma = expected["non_contrast"].mean_hu
    plain = kind.hu["non_contrast"].mean_hu - plain_parenchyma
    full = kind.hu[phase].mean_hu - expected[phase].mean_hu
    rise = expected[phase].mean_hu - plain_parenchyma
    enhanced = parenchyma_hu - plain_parenchyma
    share = float(np.clip(enhanced / rise, 0.0, 1.5)) if rise > 0 else 0.0
    # Within one standard deviation low attenuation is the patient's; below it is fat.
    fat = max(-enhanced - expected["non_contrast"].sd_hu, 0.0)
    return plain + share * (full - plain) + fat


def phase_of(facts: Organ, parenchyma_hu: float, stated: str | None) -> Phase:
    """Phase of a scan: as stated by the data set, or the nearest by attenuation of the organ.

    Lung, bone and a breast of fat do not tell: where nothing is stated the scan counts as portal
    venous, the usual one.
    """
    if not _TELLING_HU[0] < facts.parenchyma_hu["non_contrast"].mean_hu < _TELLING_HU[1]:
        return _stated(stated) or "portal_venous"
    nearest = min(PHASES, key=lambda p: abs(facts.parenchyma_hu[p].mean_hu - parenchyma_hu))
    phase = _stated(stated)
    if phase is None:
        return nearest
    # A scan marked unenhanced that is bright was enhanced: data sets are wrong here often.
    return nearest if phase == "non_contrast" else phase


def _stated(phase: str | None) -> Phase | None:
    try:
        return None if phase is None else canonical_phase(phase)
    except UnknownNameError:
        return None
