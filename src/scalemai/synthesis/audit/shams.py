"""Where a lesion might have been: grown by the same rules, and not painted."""

from __future__ import annotations

from collections.abc import Mapping

from scalemai.errors import PlacementError
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.synthesis.painting.lesion import Lesion
from scalemai.synthesis.patient import Patient
from scalemai.synthesis.recipe import Recipe
from scalemai.synthesis.spec import LARGEST_DIAMETER_MM, SMALLEST_DIAMETER_MM, LesionSpec
from scalemai.synthesis.synthesize import grow_lesion
from scalemai.volume import Volume

__all__ = ["grow_sham"]


def grow_sham(
    host: Volume,
    boxes: Mapping[str, StructureBox],
    recipe: Recipe,
    *,
    diameter_mm: float,
    site: str | None,
    taken: StructureBox | None,
    case_id: str,
    seed: int,
) -> Lesion | None:
    """Grow a lesion of the same organ, kind, form and size elsewhere in the host.

    Parameters
    ----------
    host, boxes
        The scan before any edit, and its masks; neither is changed.
    recipe
        Of the lesion that the sham is for.
    diameter_mm
        Longest axial diameter that the lesion has reached.
    site
        Site that was asked for.
    taken
        Where edits and other lesions are: the sham keeps off them.
    case_id, seed
        Keys of the random streams.

    Returns
    -------
    Lesion or None
        None if the host has no other place for it.
    """
    diameter = min(max(diameter_mm, SMALLEST_DIAMETER_MM), LARGEST_DIAMETER_MM)
    spec = LesionSpec(
        organ=recipe.organ,
        diameter_mm=(diameter, diameter),
        kind=recipe.kind,
        form=recipe.form,
        site=site,
    )
    there = dict(boxes)
    if taken is not None:
        there[recipe.lesion] = taken
    try:
        return grow_lesion(
            Patient(host, there),
            spec,
            case_id=f"sham of {case_id}",
            number=recipe.number,
            seed=seed,
        )
    except PlacementError:
        return None
