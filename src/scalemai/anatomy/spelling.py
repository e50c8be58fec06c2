"""When two spellings are the same word: case, spaces, hyphens, British or American."""

from __future__ import annotations

import unicodedata

__all__ = ["squash"]

# Applied after everything but letters and digits is gone, so "Oesophageal tumour" and
# "esophageal_tumor" meet.
_BRITISH_TO_AMERICAN = (
    ("oesophag", "esophag"),
    ("tumour", "tumor"),
    ("coeliac", "celiac"),
    ("haemangioma", "hemangioma"),
    ("oedema", "edema"),
)


def squash(text: str) -> str:
    """Reduce a name to what two spellings of it have in common.

    Parameters
    ----------
    text
        Any spelling, for example ``"Gall-Bladder"`` or ``"gallbladder"``.

    Returns
    -------
    str
        Lower-case letters and digits only, accents removed, American spelling.

    Examples
    --------
    >>> squash("Adrenal gland (left)")
    'adrenalglandleft'
    >>> squash("Liver tumour") == squash("liver_tumor")
    True
    """
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    letters = "".join(character for character in decomposed if character.isalnum())
    for british, american in _BRITISH_TO_AMERICAN:
        letters = letters.replace(british, american)
    return letters
