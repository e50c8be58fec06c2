"""Which lesions a phantom has, if only organs, sizes and numbers are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from scalemai.anatomy import structure
from scalemai.cases.phantom.lesion_recipes import PhantomLesion, sample_lesion
from scalemai.cases.phantom.spec import PhantomSpec
from scalemai.errors import ConfigError

__all__ = ["LesionDraw"]

_MOST = 20
_SMALLEST_MM, _LARGEST_MM = 2.0, 150.0


@dataclass(frozen=True)
class LesionDraw:
    """Lesions of the phantom's own model, drawn anew for every phantom.

    Parameters
    ----------
    organs
        Structures that they lie in, each as likely as the others, for example ``("liver",)``.
    diameter_mm
        Range of the longest axial diameter, drawn evenly.
    count
        Range of the number per phantom, ends included.

    Raises
    ------
    UnknownNameError
        If a structure is not known.
    ConfigError
        If there is no organ, or a range is impossible.
    """

    organs: tuple[str, ...]
    diameter_mm: tuple[float, float] = (5.0, 40.0)
    count: tuple[int, int] = (1, 3)

    def __post_init__(self) -> None:
        object.__setattr__(self, "organs", tuple(structure(name).name for name in self.organs))
        if not self.organs:
            raise ConfigError("no organ is named", where="lesions", fix="for example liver")
        low, high = self.diameter_mm
        if not _SMALLEST_MM <= low <= high <= _LARGEST_MM:
            fix = f"give {_SMALLEST_MM:g} to {_LARGEST_MM:g} mm as (low, high)"
            what = f"{self.diameter_mm} is no range of diameters"
            raise ConfigError(what, where="lesion diameter", fix=fix)
        if not 0 <= self.count[0] <= self.count[1] <= _MOST:
            what = f"{self.count} is no range of numbers"
            raise ConfigError(what, where="lesion count", fix=f"give 0 to {_MOST} as (low, high)")

    def lesions(self, spec: PhantomSpec, attempt: int = 0) -> list[PhantomLesion]:
        """The lesions of one phantom; a later attempt gives others, for want of room."""
        rng = spec.stream(f"lesion draw {attempt}")
        number = int(rng.integers(self.count[0], self.count[1] + 1))
        return [
            sample_lesion(
                self.organs[int(rng.integers(len(self.organs)))],
                float(rng.uniform(*self.diameter_mm)),
                spec.phase,
                rng,
            )
            for _ in range(number)
        ]
