"""One part of a population: lesions of one organ that share kind, site and distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TypeVar

from scalemai.errors import ConfigError
from scalemai.synthesis.populations.distributions import Distribution
from scalemai.synthesis.spec import LARGEST_DIAMETER_MM, SMALLEST_DIAMETER_MM, LesionSpec

__all__ = ["LARGEST_HU", "Group", "Shares"]

T = TypeVar("T")
Shares = tuple[tuple[T, float], ...]
"""Values and their weights, relative to each other."""

LARGEST_HU = 1000.0
_SMALLEST_HU = 1.0  # a lesion that differs by less is none; see LesionSpec.contrast_hu


@dataclass(frozen=True, kw_only=True)
class Group:
    """Lesions that are drawn alike.

    Parameters
    ----------
    organ, kind, site, form
        As in :class:`LesionSpec`; what is None is left to the organ's facts.
    weight
        Frequency relative to the other groups.
    size_mm
        Distribution of the longest axial diameter in mm.
    contrast_hu
        Distribution of the difference to parenchyma in HU; None leaves it to the facts.
    contrast, margin
        Weights of their values; empty leaves them to the facts.
    note
        A comment, for example the number of lesions that it rests on; not compared.

    Raises
    ------
    ConfigError
        Naming the field, if it is impossible.
    """

    organ: str
    weight: float
    size_mm: Distribution
    kind: str | None = None
    site: str | None = None
    form: str | None = None
    contrast_hu: Distribution | None = None
    contrast: Shares[str] = ()
    margin: Shares[str] = ()
    note: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not isfinite(self.weight) or self.weight < 0.0:
            fix = "give a number of 0 or more"
            raise ConfigError(f"{self.weight:g} is no weight", where="weight", fix=fix)
        _check_ends("size_mm", self.size_mm, SMALLEST_DIAMETER_MM, LARGEST_DIAMETER_MM, "mm")
        if self.contrast_hu is not None:
            _check_ends("contrast_hu", self.contrast_hu, -LARGEST_HU, LARGEST_HU, "HU")
            if self.contrast:
                fix = "leave one of them out"
                raise ConfigError("excludes contrast_hu", where="contrast", fix=fix)
        # The spec knows which names belong together, and what they are called.
        for contrast in (None, *(value for value, _ in self.contrast)):
            for margin in (None, *(value for value, _ in self.margin)):
                spec = self._spec(SMALLEST_DIAMETER_MM, None, contrast, margin)
        for name in ("organ", "kind", "site", "form"):
            object.__setattr__(self, name, getattr(spec, name))

    def spec(self, *, size: float, contrast: float, look: float, margin: float) -> LesionSpec:
        """The spec at four random numbers from 0 to 1."""
        hu = None
        if self.contrast_hu is not None:
            hu = self.contrast_hu.quantile(contrast)
            if abs(hu) < _SMALLEST_HU:
                hu = _SMALLEST_HU if hu > 0.0 else -_SMALLEST_HU
        return self._spec(
            self.size_mm.quantile(size),
            hu,
            _value(self.contrast, look),
            _value(self.margin, margin),
        )

    def _spec(
        self, mm: float, hu: float | None, contrast: str | None, margin: str | None
    ) -> LesionSpec:
        return LesionSpec(
            organ=self.organ,
            diameter_mm=(mm, mm),
            kind=self.kind,
            site=self.site,
            form=self.form,
            contrast_hu=hu,
            contrast=contrast,  # type: ignore[arg-type]  # LesionSpec checks it
            margin=margin,  # type: ignore[arg-type]  # LesionSpec checks it
        )


def _check_ends(name: str, values: Distribution, low: float, high: float, unit: str) -> None:
    if not low <= values.low <= values.high <= high:
        what = f"{values.low:g} to {values.high:g} {unit} is too wide"
        raise ConfigError(what, where=name, fix=f"stay within {low:g} and {high:g} {unit}")


def _value(shares: Shares[str], drawn: float) -> str | None:
    left = drawn * sum(weight for _, weight in shares)
    found: Sequence[str] = [value for value, weight in shares if weight > 0.0]
    for value, weight in shares:
        left -= weight
        if left < 0.0:
            return value
    return found[-1] if found else None
