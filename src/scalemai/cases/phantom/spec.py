"""What a phantom is asked to be: patient, phase, scanner and grid, drawn from one seed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np

from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["Kernel", "PhantomSpec", "Phase", "Preset", "Sex", "sample_spec"]

Sex = Literal["female", "male"]
Phase = Literal["non_contrast", "arterial", "portal_venous", "delayed"]
Kernel = Literal["soft", "medium", "sharp"]
Preset = Literal["routine", "thin", "small"]

_AXIS_OF_CODE = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True)
class PhantomSpec:
    """One phantom CT. Same spec and version, same bytes.

    The patient (sex, size, fat, age and every organ) follows from ``seed`` and the fields below
    it and never from the grid, so the same patient can be scanned twice on different grids.

    Parameters
    ----------
    seed
        Chooses the patient's anatomy and the noise.
    sex
        ``"female"`` or ``"male"``.
    phase
        Contrast phase: ``"non_contrast"``, ``"arterial"``, ``"portal_venous"``, ``"delayed"``.
    spacing_mm
        Voxel size along the stored array axes, in mm.
    shape
        Number of voxels along the stored array axes.
    centre_mm
        World position (RAS+ mm) of the centre of the grid. The world origin is the middle of the
        patient at the level of the first lumbar vertebra.
    orientation
        Codes of the stored array axes, for example ``"LPS"``.
    size_scale
        Body size relative to an adult of about 1.72 m; scales all lengths.
    subcutaneous_fat_mm
        Thickness of the subcutaneous fat at the flank, in mm, before scaling.
    visceral_fat
        Amount of fat between the bowels, 0 (lean) to 1 (obese).
    age_years
        Ages the spine, the arteries and the pancreas.
    oral_contrast
        Whether stomach and bowel hold positive oral contrast.
    table
        Whether the table of the scanner is in the picture.
    dose
        Relative tube current-time product; 1.0 is a routine abdominal scan.
    kernel
        Reconstruction kernel: ``"soft"``, ``"medium"`` or ``"sharp"``.

    Raises
    ------
    ConfigError
        If a number is outside its range.
    UnknownNameError
        If a word is not one of those listed.
    """

    seed: int
    sex: Sex = "male"
    phase: Phase = "portal_venous"
    spacing_mm: tuple[float, float, float] = (0.75, 0.75, 2.5)
    shape: tuple[int, int, int] = (512, 512, 140)
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    orientation: str = "LPS"
    size_scale: float = 1.0
    subcutaneous_fat_mm: float = 18.0
    visceral_fat: float = 0.4
    age_years: float = 60.0
    oral_contrast: bool = False
    table: bool = True
    dose: float = 1.0
    kernel: Kernel = "soft"

    def __post_init__(self) -> None:
        for kind, value, words in (
            ("sex", self.sex, get_args(Sex)),
            ("phase", self.phase, get_args(Phase)),
            ("kernel", self.kernel, get_args(Kernel)),
        ):
            if value not in words:
                raise UnknownNameError(kind, str(value), words)
        for name, low, high in (
            ("size_scale", 0.8, 1.2),
            ("subcutaneous_fat_mm", 3.0, 60.0),
            ("visceral_fat", 0.0, 1.0),
            ("age_years", 18.0, 100.0),
            ("dose", 0.01, 100.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(
                    f"{name} is {value:g}", where="PhantomSpec", fix=f"give {low:g} to {high:g}"
                )
        if len(self.spacing_mm) != 3 or not all(0.3 <= s <= 12.0 for s in self.spacing_mm):
            raise ConfigError(
                f"spacing_mm is {self.spacing_mm}",
                where="PhantomSpec",
                fix="give three of 0.3 to 12",
            )
        if len(self.shape) != 3 or not all(8 <= n <= 2048 for n in self.shape):
            raise ConfigError(
                f"shape is {self.shape}", where="PhantomSpec", fix="give three of 8 to 2048 voxels"
            )
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}", where="PhantomSpec", fix="give 0 or more")
        axes = [_AXIS_OF_CODE.get(code, (-1, 0))[0] for code in self.orientation]
        if sorted(axes) != [0, 1, 2]:
            raise UnknownNameError("orientation", self.orientation, _orientations())

    @property
    def world_axes(self) -> tuple[tuple[int, int], ...]:
        """Per stored array axis: the world axis (0 x, 1 y, 2 z) and its sign."""
        return tuple(_AXIS_OF_CODE[code] for code in self.orientation)

    def stream(self, name: str) -> np.random.Generator:
        """The random stream of one part of the phantom, keyed by the seed and a name."""
        return np.random.default_rng([self.seed, *name.encode("ascii")])


def _orientations() -> list[str]:
    pairs = itertools.product("LR", "PA", "IS")
    return ["".join(p) for codes in pairs for p in itertools.permutations(codes)]


def sample_spec(seed: int, *, preset: Preset = "routine", **overrides: Any) -> PhantomSpec:
    """Draw a patient and an acquisition.

    Parameters
    ----------
    seed
        Any number from 0; the same seed gives the same spec.
    preset
        ``"routine"`` (512 x 512, 0.65 to 0.85 mm, slices of 2.5 or 3 mm), ``"thin"`` (1 mm
        isotropic) or ``"small"`` (about 160 x 120 x 100 at 2.5 mm, for tests and demonstrations).
    **overrides
        Fields of :class:`PhantomSpec` that are fixed instead of drawn.

    Returns
    -------
    PhantomSpec

    Raises
    ------
    ConfigError
        If an override is not a field, or is out of range.

    Notes
    -----
    The ranges of habitus are the author's estimate of an adult patient population, to be refined.
    """
    if preset not in get_args(Preset):
        raise UnknownNameError("preset", preset, get_args(Preset))
    known = {f.name for f in fields(PhantomSpec)} - {"seed"}
    for name in overrides:
        if name not in known:
            raise UnknownNameError("field of PhantomSpec", name, known)
    # Fields are drawn in a fixed order whether or not they are overridden, so that fixing one
    # of them leaves the others as they were.
    rng = np.random.default_rng([seed, 1])
    sex: Sex = "female" if rng.random() < 0.5 else "male"
    fat = float(np.clip(rng.lognormal(np.log(19.0 if sex == "female" else 15.0), 0.45), 5, 48))
    scale = float(np.clip(rng.normal(0.96 if sex == "female" else 1.02, 0.035), 0.86, 1.12))
    visceral = float(np.clip(rng.beta(2.2, 2.2) + (-0.1 if sex == "female" else 0.08), 0.03, 1.0))
    age = float(np.clip(rng.normal(61, 13), 22, 92))
    phases = get_args(Phase)
    phase: Phase = phases[rng.choice(4, p=(0.15, 0.2, 0.5, 0.15))]
    kernels = get_args(Kernel)
    kernel: Kernel = kernels[rng.choice(3, p=(0.6, 0.3, 0.1))]
    dose = float(np.exp(rng.normal(0.0, 0.3)))
    oral = bool(rng.random() < 0.2)
    orientation = ("LPS", "RAS", "LAS", "RPS")[rng.choice(4, p=(0.6, 0.2, 0.15, 0.05))]
    width_mm = (2 * (157 + fat + 12 * visceral) + 30) * scale
    pelvis = bool(rng.random() < 0.6)
    low_mm, high_mm = (-305 if pelvis else -135) * scale, float(rng.uniform(135, 185)) * scale
    pixel = float(np.round(np.clip(width_mm / 512, 0.65, 0.95), 3))
    slice_mm = (2.5, 3.0)[rng.integers(2)]
    if preset == "small":
        step = (2.5, 2.5, 2.5)
        low_mm, high_mm = -130.0 * scale, 120.0 * scale
        shape = (int(np.ceil(width_mm / 2.5)), int(np.ceil(width_mm * 0.76 / 2.5)), 100)
    elif preset == "thin":
        step = (1.0, 1.0, 1.0)
        side = int(np.ceil(width_mm))
        shape = (side, int(np.ceil(side * 0.8)), int(np.ceil(high_mm - low_mm)))
    else:
        step = (pixel, pixel, slice_mm)
        shape = (512, 512, int(np.ceil((high_mm - low_mm) / slice_mm)))
    wander = rng.normal(0.0, 4.0, size=2)
    spec = PhantomSpec(
        seed=seed,
        sex=sex,
        phase=phase,
        spacing_mm=step,
        shape=shape,
        centre_mm=(float(wander[0]), float(wander[1]) + 4.0, (low_mm + high_mm) / 2),
        orientation=orientation,
        size_scale=scale,
        subcutaneous_fat_mm=fat,
        visceral_fat=visceral,
        age_years=age,
        oral_contrast=oral,
        dose=dose,
        kernel=kernel,
    )
    return replace(spec, **overrides)
