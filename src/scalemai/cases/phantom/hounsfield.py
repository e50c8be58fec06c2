"""Hounsfield units of tissues by contrast phase, with a small variation per patient.

The tables are the author's estimate for 120 kVp, to be refined; the portal-venous column was
checked by eye against three public clinical CTs, and the non-contrast liver against one of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalemai.cases.phantom.spec import PhantomSpec, Phase

__all__ = ["ENHANCEMENT", "tissue_hu"]

_PHASES: tuple[Phase, ...] = ("non_contrast", "arterial", "portal_venous", "delayed")

ENHANCEMENT: Mapping[str, tuple[float, float, float, float]] = {
    # tissue: non-contrast, late arterial (35 s), portal venous (70 s), delayed (3 to 5 min)
    "arterial_blood": (42, 310, 155, 118),
    "right_heart_blood": (42, 210, 158, 118),
    "portal_blood": (42, 115, 172, 120),
    "hepatic_venous_blood": (42, 58, 165, 120),
    "infrarenal_venous_blood": (42, 62, 112, 116),
    "renal_venous_blood": (42, 190, 170, 120),
    "liver": (57, 68, 110, 92),
    "spleen": (48, 118, 122, 95),
    "pancreas": (42, 108, 98, 78),
    "renal_cortex": (34, 185, 185, 140),
    "renal_medulla": (33, 72, 165, 145),
    "urine_upper": (6, 8, 30, 280),
    "urine_bladder": (5, 5, 6, 60),
    "adrenal": (28, 75, 80, 58),
    "gut_wall": (38, 78, 88, 76),
    "gut_mucosa": (42, 110, 108, 85),
    "muscle": (54, 58, 64, 66),
    "myocardium": (44, 105, 118, 100),
    "uterus": (46, 88, 112, 102),
    "prostate": (40, 62, 82, 80),
    "gland": (30, 38, 45, 45),
    "bile": (8, 8, 8, 8),
    "gall_bladder_wall": (30, 50, 62, 58),
    "marrow": (0, 6, 10, 10),
    "disc": (75, 78, 80, 80),
    "cartilage": (95, 97, 100, 100),
    "cord": (36, 38, 40, 40),
    "skin": (10, 14, 20, 20),
    "fluid": (8, 8, 9, 9),
}
"""HU of each tissue by phase: non-contrast, arterial, portal venous, delayed."""

_SPREAD = {"arterial_blood": 0.09, "portal_blood": 0.07, "right_heart_blood": 0.09}


def tissue_hu(spec: PhantomSpec) -> dict[str, float]:
    """HU of every tissue of one patient in one phase.

    Parameters
    ----------
    spec
        Only ``seed``, ``phase`` and ``age_years`` are read.

    Returns
    -------
    dict
        Tissue name to HU. Enhancement varies by about 8 % around the table, together for all
        tissues (cardiac output and iodine dose per kg act on all of them), and each tissue by
        a further 2 HU.
    """
    rng = spec.stream("hounsfield")
    column = _PHASES.index(spec.phase)
    common = float(np.clip(rng.normal(1.0, 0.06), 0.85, 1.15))
    hu: dict[str, float] = {}
    for tissue, row in ENHANCEMENT.items():
        own = float(np.clip(rng.normal(1.0, _SPREAD.get(tissue, 0.03)), 0.85, 1.15))
        baseline = row[0] + float(np.clip(rng.normal(0.0, 1.5), -3, 3))
        hu[tissue] = baseline + (row[column] - row[0]) * common * own
    steatosis = float(np.clip(rng.exponential(5.0), 0.0, 22.0)) if rng.random() < 0.4 else 0.0
    hu["liver"] -= steatosis
    hu["fat"] = -106.0 + float(rng.normal(0, 3))
    hu["visceral_fat"] = hu["fat"] + 6.0
    hu["lung"] = -862.0 + float(rng.normal(0, 18))
    hu["gas"] = -995.0
    hu["stool"] = 35.0
    hu["cortical_bone"] = 980.0 - 4.0 * max(spec.age_years - 50.0, 0.0)
    hu["cancellous_bone"] = max(255.0 - 1.7 * (spec.age_years - 25.0), 95.0) + float(
        rng.normal(0, 12)
    )
    hu["oral_contrast"] = 320.0 + float(rng.normal(0, 40))
    return hu
