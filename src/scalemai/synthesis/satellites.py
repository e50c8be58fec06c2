"""Small lesions of the same kind beside a lesion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scalemai.anatomy import organ
from scalemai.synthesis.painting.lesion import Lesion
from scalemai.synthesis.patient import Patient
from scalemai.synthesis.spec import SMALLEST_DIAMETER_MM, LesionSpec

__all__ = ["satellites_of"]

_IF_ASKED = (1, 3)
_SIZES = (0.12, 0.35)  # of the parent's diameter; author's choice
_GAPS_MM = (3.0, 12.0)  # between the borders; author's choice
_SMALLEST_MM = max(SMALLEST_DIAMETER_MM, 3.0)
_DIRECTIONS = 40


def satellites_of(
    spec: LesionSpec, parent: Lesion, patient: Patient, rng: np.random.Generator
) -> list[LesionSpec]:
    """Draw the satellites of one lesion: how many, how large and where.

    Parameters
    ----------
    spec, parent
        What was asked for, and the lesion that came of it.
    patient
        The patient with that lesion in.
    rng
        Stream of this decision.

    Returns
    -------
    list
        One spec per satellite, with its place; fewer than drawn where the organ has no room.
    """
    recipe = parent.recipe
    facts = organ(recipe.organ)
    usual = facts.kind(recipe.kind).satellites
    if not spec.satellites:
        return []
    low, high = _IF_ASKED if usual is None else (int(usual.count.low), int(usual.count.high))
    tissue = patient.tissue(facts, recipe.structure)
    found: list[LesionSpec] = []
    for _ in range(int(rng.integers(low, high + 1))):
        size = max(float(rng.uniform(*_SIZES)) * recipe.diameter_mm, _SMALLEST_MM)
        gap = float(rng.uniform(*_GAPS_MM))
        directions = rng.standard_normal((_DIRECTIONS, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        away = 0.5 * recipe.diameter_mm + gap + 0.5 * size
        for point in np.asarray(recipe.centre_mm) + away * directions:
            place = (float(point[0]), float(point[1]), float(point[2]))
            if tissue.is_free(place):
                found.append(
                    replace(
                        spec,
                        kind=recipe.kind,
                        form=recipe.form,
                        site=None,
                        at_mm=place,
                        diameter_mm=(size, size),
                        vessel=None,
                        duct=False if facts.kind(recipe.kind).obstructs else None,
                        atrophy=None,
                        satellites=False,
                    )
                )
                break
    return found
