"""What the facts about lesions and candidates mean."""

from __future__ import annotations

from scalemai.evaluation.definitions import Definition

__all__ = ["FACT_DEFINITIONS", "NEIGHBOUR_MM", "NO_NEIGHBOUR", "SITE_MM"]

NEIGHBOUR_MM = 10.0
"""How far a neighbour may be (author's estimate, to be refined)."""

NO_NEIGHBOUR = "none"
"""What the column of neighbours says where all of them are too far."""

SITE_MM = 5.0
"""How far a site may be from a lesion that its mask leaves out (author's estimate)."""

_OWN = "ScaleMAI"

FACT_DEFINITIONS = (
    Definition(
        "lesion-site/1",
        "site",
        "site",
        "",
        None,
        "The site of the organ that holds most of its voxels, by the masks of the reference or of "
        "the CT that a synthetic reference was made from; of sites within sites (a lobe of a "
        "lung), the smallest that holds over half. Of equal ones, the smaller, then the first in "
        "the facts of the organ. Where parts of the organ have no masks, empty if more voxels lie "
        "in these. If nothing of the organ holds a voxel, as in label maps, the sites within "
        f"{SITE_MM:g} mm decide. Empty without masks of sites, or if all are farther.",
        _OWN,
    ),
    Definition(
        "lesion-kind/1",
        "kind",
        "kind of lesion",
        "",
        None,
        "As the name of the structure says, or the record of a synthetic reference: the kind of "
        "the lesions whose seeds are nearest to this one, within half of their diameters; empty if "
        "these differ. Of a candidate only by name.",
        _OWN,
    ),
    Definition(
        "lesion-contrast-organ/1",
        "contrast_hu",
        "contrast to the organ",
        "HU",
        None,
        "Mean of its voxels less the median of the organ's voxels outside of all reference "
        "lesions, vessels included; of the CT of the reference, or else of that given beside it.",
        _OWN,
    ),
    Definition(
        "lesion-phase/1",
        "phase",
        "contrast phase",
        "",
        None,
        "As the data set, the table of metadata or the record of a synthetic reference states it.",
        _OWN,
    ),
    Definition(
        "lesion-neighbour/2",
        "neighbour",
        "nearest other structure",
        "",
        None,
        "The structure of the reference nearest to its surface, between centres of voxels, at most "
        f"{NEIGHBOUR_MM:g} mm away: one that holds voxels of it (of several, the one that holds "
        "most) is nearer than any other. The organ, its parts and lesions are none. Within the "
        "organ, vessels, ducts and neighbours that the facts of the organ name are looked at; "
        "elsewhere all structures; a synthetic case has its own masks and, where their files are "
        f"still there, those of the CT that it was made from. {NO_NEIGHBOUR!r} if none of those "
        "with masks is so near; empty (not assessed) without any masks, or if masks were lost.",
        _OWN,
    ),
    Definition(
        "candidate-in-organ/1",
        "in_organ",
        "in the organ",
        "",
        None,
        "Whether over half of its voxels lie in the organ or in a reference lesion of this "
        "structure.",
        _OWN,
    ),
)
"""Definitions of the columns of :data:`scalemai.evaluation.lesions.rows.FACTS`."""
