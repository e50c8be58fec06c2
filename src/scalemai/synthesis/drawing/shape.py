"""Draw how a lesion grows: its axes and outline, and what it may enter or push aside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import Form, LesionKind, Organ
from scalemai.synthesis.families.wall import tube_axis
from scalemai.synthesis.growth.tissue import Tissue
from scalemai.synthesis.spec import LesionSpec

__all__ = ["Growth", "Shape", "draw_growth", "draw_shape"]

_SLOW_VESSEL = 0.12  # author's choice: a vessel is wrapped long before it is invaded
_LUNG_VESSEL = 0.5  # author's choice: nodules swallow the small vessels of the lung
_CORTEX = 0.3  # author's choice: cortex gives way after the spongiosa
_SPEED_SPREAD = 0.6  # standard deviation of log speed of the most irregular lesion
_DISPLACED_IF_ASKED = 0.4
_OUTSIDE_IF_ASKED = (0.4, 0.8)
_SPICULES_IF_ASKED = ((6, 12), (0.3, 0.7))
_NARROWING = (0.1, 0.4)  # of the diameter of an encased vessel; author's estimate, to be refined

# Speed in fluid in the lumen, and in fat beyond the wall, relative to the wall: a polyp hangs into
# the lumen, a plaque spreads along the wall, a ring does both and goes through. Author's choice.
_WALL_SPEEDS = {"polypoid": (1.8, 0.1), "plaque": (0.15, 0.3), "annular": (0.25, 0.15)}
_RING_THICKNESS = 0.6  # along the tube, relative to across


@dataclass(frozen=True)
class Growth:
    """Speeds of the front relative to the organ, and what the lesion does to its surroundings."""

    vessel_speed: float
    outside_speed: float
    lumen_speed: float
    displaced: float
    narrowing: float


@dataclass(frozen=True)
class Shape:
    """Axes and outline, as in the recipe."""

    rotation: tuple[float, float, float, float]
    axes: tuple[float, float, float]
    irregularity: float
    wavelength: float
    spicules: int
    spicule_length: float
    noise_seed: int


def draw_growth(
    spec: LesionSpec,
    facts: Organ,
    kind: LesionKind,
    form: Form,
    diameter_mm: float,
    rng: np.random.Generator,
) -> Growth:
    """Draw the speeds and the share of tissue that is pushed aside."""
    pushes, leaves, speed, narrows = rng.random(4)
    displaced = kind.displaced.low + pushes * (kind.displaced.high - kind.displaced.low)
    if spec.mass_effect is not None:
        displaced = max(displaced, _DISPLACED_IF_ASKED) if spec.mass_effect else 0.0
    outside = 0.0
    facts_say = kind.exophytic
    if facts_say is not None and leaves < facts_say.probability:
        outside = facts_say.speed.low + speed * (facts_say.speed.high - facts_say.speed.low)
    if spec.exophytic is not None and facts.family != "lung":
        low, high = _OUTSIDE_IF_ASKED
        if facts_say is not None:
            low, high = facts_say.speed.low, facts_say.speed.high
        outside = low + speed * (high - low) if spec.exophytic else 0.0
    lumen = 0.0
    if facts.family == "hollow":
        lumen, through = _WALL_SPEEDS[form.name]
        outside = through if spec.exophytic is not False else 0.0
    vessel = 1.0 if kind.cystic else _SLOW_VESSEL
    if facts.family in ("lung", "bone"):
        vessel = _LUNG_VESSEL if facts.family == "lung" else _CORTEX
    # What closes ducts also narrows the vessels that it encases.
    infiltrates = bool(kind.obstructs)
    low, high = _NARROWING
    return Growth(
        vessel_speed=vessel,
        outside_speed=float(outside),
        lumen_speed=lumen,
        displaced=float(displaced),
        narrowing=float(low + narrows * (high - low)) if infiltrates else 0.0,
    )


def draw_shape(
    spec: LesionSpec,
    facts: Organ,
    kind: LesionKind,
    form: Form,
    tissue: Tissue,
    centre_mm: tuple[float, float, float],
    diameter_mm: float,
    rng: np.random.Generator,
) -> Shape:
    """Draw axes, outline and the seed of the noise; a ring lies across the hollow organ."""
    turn = rng.standard_normal(4)
    turn /= np.linalg.norm(turn)
    longest = rng.uniform(kind.elongation.low, kind.elongation.high)
    axes = np.array([longest, rng.uniform(1.0, longest), 1.0])
    irregularity = _SPEED_SPREAD * rng.uniform(kind.irregularity.low, kind.irregularity.high)
    wavelength = rng.uniform(0.3, 0.5)
    noise_seed = int(rng.integers(2**63 - 4))
    if form.name == "annular":
        turn = _turn_to(tube_axis(tissue, centre_mm, max(1.2 * diameter_mm, 20.0)))
        axes = np.array([1.0, 1.0, _RING_THICKNESS])
    axes /= np.prod(axes) ** (1 / 3)
    spicules, length = 0, 0.0
    has, count, reach = rng.random(3)
    said = kind.spicules
    if spec.margin == "spiculated" or (
        spec.margin is None and said is not None and has < said.probability
    ):
        counts, lengths = _SPICULES_IF_ASKED
        if said is not None:
            counts = (int(said.count.low), int(said.count.high))
            lengths = (said.length.low, said.length.high)
        spicules = int(counts[0] + count * (counts[1] + 1 - counts[0]))
        length = lengths[0] + reach * (lengths[1] - lengths[0])
    a, b, c = (float(x) for x in axes)
    w, x, y, z = (float(q) for q in turn)
    return Shape(
        (w, x, y, z), (a, b, c), irregularity, wavelength, spicules, float(length), noise_seed
    )


def _turn_to(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quaternion that turns the third axis into a unit vector."""
    x, y, z = axis
    turn = np.array([1.0 + z, -y, x, 0.0])
    if np.linalg.norm(turn) < 1e-6:
        return np.array([0.0, 1.0, 0.0, 0.0])
    unit: NDArray[np.float64] = turn / np.linalg.norm(turn)
    return unit
