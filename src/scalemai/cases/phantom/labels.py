"""The voxel labels of the phantom and the canonical structures made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["GROUPS", "LABELS", "LabelledStructures", "only"]

_VERTEBRAE = ("S1", "L5", "L4", "L3", "L2", "L1", *(f"T{n}" for n in range(12, 0, -1)))
_RIBS = [f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13)]

_NAMES = (
    "outside",
    "skin",
    "subcutaneous_fat",
    "wall_muscle",
    "visceral_fat",
    "mediastinal_fat",
    "lung_left",
    "lung_right",
    "lung_vessel_left",
    "lung_vessel_right",
    "airway",
    "heart",
    "superior_vena_cava",
    "pulmonary_artery",
    "esophagus",
    "liver",
    "intrahepatic_vessel",
    "extrahepatic_portal_vein",
    "splenic_vein",
    "superior_mesenteric_vein",
    "gall_bladder",
    "common_bile_duct",
    "spleen",
    "kidney_left",
    "kidney_right",
    "renal_pelvis",
    "ureter",
    "adrenal_gland_left",
    "adrenal_gland_right",
    "pancreas_head",
    "pancreas_body",
    "pancreas_tail",
    "duct_in_head",
    "duct_in_body",
    "duct_in_tail",
    "bile_duct_in_head",
    "stomach",
    "duodenum",
    "intestine",
    "colon",
    "bladder",
    "prostate",
    "uterus",
    "breast_left",
    "breast_right",
    "aorta",
    "postcava",
    "celiac_artery",
    "superior_mesenteric_artery",
    "splenic_artery",
    "hepatic_artery",
    "renal_vessel",
    "iliac_artery_left",
    "iliac_artery_right",
    "iliac_vena_left",
    "iliac_vena_right",
    "mesenteric_vessel",
    "autochthon_left",
    "autochthon_right",
    "iliopsoas_left",
    "iliopsoas_right",
    "diaphragm",
    "gluteus_left",
    "gluteus_right",
    "spinal_cord",
    "spinal_canal_fat",
    "disc",
    "sternum",
    "costal_cartilages",
    "hip_left",
    "hip_right",
    "sacrum",
    "femur_left",
    "femur_right",
    *(f"vertebrae_{v}" for v in _VERTEBRAE),
    *_RIBS,
)

LABELS: Mapping[str, int] = {name: number for number, name in enumerate(_NAMES)}
"""Label number of each tissue in :attr:`Anatomy.labels`."""

_MERGED: dict[str, tuple[str, ...]] = {
    "liver": ("liver", "intrahepatic_vessel"),
    "hepatic_vessel": ("intrahepatic_vessel",),
    "portal_vein_and_splenic_vein": ("extrahepatic_portal_vein", "splenic_vein"),
    "veins": ("extrahepatic_portal_vein", "splenic_vein", "superior_mesenteric_vein"),
    "pancreas": (
        "pancreas_head",
        "pancreas_body",
        "pancreas_tail",
        "duct_in_head",
        "duct_in_body",
        "duct_in_tail",
        "bile_duct_in_head",
    ),
    "pancreas_head": ("pancreas_head", "duct_in_head", "bile_duct_in_head"),
    "pancreas_body": ("pancreas_body", "duct_in_body"),
    "pancreas_tail": ("pancreas_tail", "duct_in_tail"),
    "pancreatic_duct": ("duct_in_head", "duct_in_body", "duct_in_tail"),
    "common_bile_duct": ("common_bile_duct", "bile_duct_in_head"),
    "lung_left": ("lung_left", "lung_vessel_left"),
    "lung_right": ("lung_right", "lung_vessel_right"),
}
_INTERNAL = {
    "outside",
    "skin",
    "wall_muscle",
    "visceral_fat",
    "mediastinal_fat",
    "subcutaneous_fat",
    "lung_vessel_left",
    "lung_vessel_right",
    "airway",
    "intrahepatic_vessel",
    "extrahepatic_portal_vein",
    "splenic_vein",
    "superior_mesenteric_vein",
    "renal_pelvis",
    "renal_vessel",
    "ureter",
    "duct_in_head",
    "duct_in_body",
    "duct_in_tail",
    "bile_duct_in_head",
    "splenic_artery",
    "hepatic_artery",
    "mesenteric_vessel",
    "diaphragm",
    "gluteus_left",
    "gluteus_right",
    "spinal_canal_fat",
    "disc",
}

GROUPS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in _NAMES if name not in _INTERNAL},
    **_MERGED,
}
"""Canonical structure name to the labels it is made of."""


def only(*names: str) -> NDArray[np.bool_]:
    """A table (256,) that is True for the labels named."""
    table = np.zeros(256, bool)
    for name in names:
        table[LABELS[name]] = True
    return table


class LabelledStructures(Mapping[str, NDArray[np.bool_]]):
    """Canonical structure name to its mask, cut out of one label array when asked for.

    Fifty boolean arrays of a routine CT would need 2 GB; the label array needs 40 MB. Only
    structures with at least one voxel are listed.

    Parameters
    ----------
    labels
        Array (i, j, k) of label numbers.
    """

    def __init__(self, labels: NDArray[np.uint8]) -> None:
        self._labels = labels
        present = np.bincount(labels.ravel(order="K"), minlength=256) > 0
        self._names = [n for n, parts in GROUPS.items() if (present & only(*parts)).any()]

    def __getitem__(self, name: str) -> NDArray[np.bool_]:
        if name not in self._names:
            raise KeyError(name)
        mask: NDArray[np.bool_] = only(*GROUPS[name])[self._labels]
        return mask

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names
