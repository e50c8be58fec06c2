"""The strictest sham: the same lesion, there before the scan or painted into it afterwards.

A phantom is scanned without noise and many times with it. A lesion is grown and painted into one
noisy scan; the same lesion, grown alike, is painted into the noiseless scan, and the noise of
another scan comes on top. Both show a lesion of one form at one place; what differs is whether the
noise was there before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import organ
from scalemai.cases.phantom.anatomy import Anatomy, build_anatomy
from scalemai.cases.phantom.scanner import acquire
from scalemai.cases.phantom.spec import sample_spec
from scalemai.synthesis.audit.patches import Patch, cut_patch
from scalemai.synthesis.families import surroundings
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.synthesis.painting.lesion import Lesion, paint_stage
from scalemai.synthesis.patient import Patient, cropped
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.synthesize import grow_lesion
from scalemai.volume import Mask, Volume

SPACING_MM = (0.8, 0.8, 2.5)
SHAPE = (440, 330, 44)
HEIGHT_MM = {"liver": 20.0, "pancreas": -10.0, "kidney": -10.0, "lung": 110.0}
PAIRS_OF_SCANS = 8


@dataclass(frozen=True)
class _Noiseless:
    """A scanner that sees no noise: its dose is beyond all bounds."""

    kernel: str
    dose: float = 1e12


def scanned_pairs(
    name: str, *, seeds: tuple[int, ...] = (3, 4, 5), per_phantom: int = 40
) -> tuple[list[Patch], list[Patch]]:
    """Patches of lesions painted into scans, and of the same lesions there before the scan.

    The two noises of a pair of scans serve either class in turn, and form one group with all that
    is painted in them: nothing that a scan is known by tells the classes apart.
    """
    edited: list[Patch] = []
    scanned: list[Patch] = []
    for seed in seeds:
        spec = sample_spec(
            seed,
            phase="portal_venous",
            kernel="soft" if seed % 2 else "medium",
            spacing_mm=SPACING_MM,
            shape=SHAPE,
            centre_mm=(0.0, 0.0, HEIGHT_MM[name]),
            orientation="LPS",
        )
        anatomy = build_anatomy(spec)
        clean = acquire(
            anatomy.ideal_hu, anatomy.grid, _Noiseless(spec.kernel), np.random.default_rng(0)
        )
        scans = [
            acquire(anatomy.ideal_hu, anatomy.grid, spec, np.random.default_rng([seed, k]))
            for k in range(2 * PAIRS_OF_SCANS)
        ]
        boxes = _boxes(anatomy, name)
        for n in range(per_phantom):
            pair, turn = n % PAIRS_OF_SCANS, (n // PAIRS_OF_SCANS) % 2
            noisy, other = scans[2 * pair + turn], scans[2 * pair + 1 - turn]
            case = f"phantom {seed}"
            lesion, before = _lesion_twice(anatomy, boxes, name, noisy, clean, case, n + 1)
            after = noisy.copy()
            after[lesion.region] = lesion.stored
            ideal = clean.copy()
            ideal[before.region] = before.stored
            sampled = ideal.astype(np.int32) + (other.astype(np.int32) - clean)
            where = boxes[lesion.recipe.structure]
            for stored, one, into in (
                (after, lesion, edited),
                (np.clip(sampled, -1024, 3071).astype(np.int16), before, scanned),
            ):
                into.append(_patch(anatomy, stored, one, where, case, f"{case}, {pair}"))
    return edited, scanned


def _boxes(anatomy: Anatomy, name: str) -> dict[str, StructureBox]:
    facts = organ(name)
    names = [*facts.structures, facts.name, *facts.vessels]
    masks = {
        one: Mask(anatomy.structures[one], anatomy.grid, one)
        for one in names
        if one in anatomy.structures
    }
    return cropped(_volume(anatomy, np.zeros(SHAPE, np.int16)), masks)


def _lesion_twice(
    anatomy: Anatomy,
    boxes: dict[str, StructureBox],
    name: str,
    noisy: NDArray[np.int16],
    clean: NDArray[np.int16],
    case: str,
    number: int,
) -> tuple[Lesion, Lesion]:
    """One lesion in the noisy and in the noiseless scan, of the same growth."""
    facts, volume, still = organ(name), _volume(anatomy, noisy), _volume(anatomy, clean)
    patient = Patient(volume, dict(boxes))
    spec = LesionSpec(organ=name, diameter_mm=(8.0, 25.0))
    lesion = grow_lesion(patient, spec, case_id=case, number=number, seed=7)
    recipe = lesion.recipe
    around = surroundings(
        volume,
        patient.tissue(facts, recipe.structure),
        facts,
        recipe.centre_mm,
        recipe.diameter_mm,
        outside=recipe.outside_speed > 0.0,
        noise_seed=recipe.noise_seed,
    )
    # The noiseless scan gets its noise afterwards, so nothing stands in for noise that went.
    around = replace(around, hu=still.hu(around.region), grain=None)
    before = paint_stage(still, around, recipe, lesion.field, lesion.edge)
    assert before is not None
    return lesion, before


def _volume(anatomy: Anatomy, stored: NDArray[np.int16]) -> Volume:
    return Volume(stored, anatomy.grid, metadata={"phase": anatomy.spec.phase})


def _patch(
    anatomy: Anatomy,
    stored: NDArray[np.int16],
    lesion: Lesion,
    where: StructureBox,
    case: str,
    group: str,
) -> Patch:
    recipe = lesion.recipe
    return cut_patch(
        _volume(anatomy, stored),
        StructureBox(recipe.lesion, lesion.region, lesion.mask),
        StructureBox(recipe.lesion, lesion.region, lesion.edited),
        where,
        case=case,
        group=group,
        number=recipe.number,
        organ_name=recipe.organ,
    )
