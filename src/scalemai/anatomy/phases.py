"""Contrast phases: four names, and the many ways in which files and reports spell them.

The four are groups of scan delays after intravenous contrast medium, wide enough that
every abdominal CT falls into one (the grouping is the authors' choice):

==============  ================  ====================================================
name            usual delay       also called
==============  ================  ====================================================
non_contrast    none given        plain, native, unenhanced
arterial        15 s to 50 s      hepatic arterial, pancreatic, corticomedullary
portal_venous   60 s to 120 s     venous, hepatic venous, nephrographic
delayed         2 min and later   equilibrium, excretory, urographic
==============  ================  ====================================================

The pancreatic (parenchymal) phase is a late arterial one. The nephrographic phase, at
about 100 s, lies far nearer to the portal venous than to the delayed phase.
"""

from __future__ import annotations

from typing import Final, Literal

from scalemai.anatomy.spelling import squash
from scalemai.errors import UnknownNameError

__all__ = ["PHASES", "Phase", "canonical_phase"]

Phase = Literal["non_contrast", "arterial", "portal_venous", "delayed"]

PHASES: Final[tuple[Phase, ...]] = ("non_contrast", "arterial", "portal_venous", "delayed")

_SPELLINGS: Final[dict[Phase, tuple[str, ...]]] = {
    "non_contrast": (
        "non_contrast",
        "non-contrast-enhanced",
        "no contrast",
        "without contrast",
        "unenhanced",
        "non-enhanced",
        "plain",
        "native",
        "pre-contrast",
        "NC",
        "NCCT",
        "NECT",
    ),
    "arterial": (
        "arterial",
        "early arterial",
        "late arterial",
        "arterial early",
        "arterial late",
        "hepatic arterial",
        "art",
        "AP",
        "HAP",
        "pancreatic",
        "pancreatic parenchymal",
        "PPP",
        "corticomedullary",
        "CMP",
    ),
    "portal_venous": (
        "portal_venous",
        "portovenous",
        "portal",
        "portal vein",
        "venous",
        "hepatic venous",
        "ven",
        "PV",
        "PVP",
        "nephrographic",
        "nephrogenic",
        "NP",
    ),
    "delayed": (
        "delayed",
        "delay",
        "late",
        "late venous",
        "equilibrium",
        "excretory",
        "urographic",
        "pyelographic",
        "DP",
    ),
}
_BY_KEY: Final = {
    squash(spelling): phase for phase, spellings in _SPELLINGS.items() for spelling in spellings
}


def canonical_phase(text: str) -> Phase:
    """Name the contrast phase that a file, table or report spells in its own way.

    Parameters
    ----------
    text
        For example ``"Venous"``, ``"PV"``, ``"Non-contrast"``, ``"Delay"``,
        ``"portal venous phase"`` or ``"CT Arterial Phase"``.

    Returns
    -------
    str
        One of :data:`PHASES`.

    Raises
    ------
    UnknownNameError
        If the spelling is not known; an empty text is not a phase either.

    Examples
    --------
    >>> canonical_phase("Venous")
    'portal_venous'
    """
    key = squash(text)
    # "PVP" already ends in a P for phase, so the plain key is looked up first.
    for candidate in (key, key.removesuffix("phase"), key.removeprefix("ct").removesuffix("phase")):
        if candidate in _BY_KEY:
            return _BY_KEY[candidate]
    known = [spelling for spellings in _SPELLINGS.values() for spelling in spellings]
    raise UnknownNameError("contrast phase", text, known)
