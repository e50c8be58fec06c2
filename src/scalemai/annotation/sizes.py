"""Sizes of a mask that is kept as runs."""

from __future__ import annotations

from dataclasses import asdict

from scalemai.annotation.edits.runs import Box, Runs
from scalemai.annotation.store.layout import StoredCase
from scalemai.errors import ConfigError
from scalemai.measure import sizes_of

__all__ = ["measures_of"]


def measures_of(mask: Runs, case: StoredCase) -> tuple[Box, dict[str, float]]:
    """Box in the stored grid, and sizes in mm and cubic mm (:class:`scalemai.measure.Sizes`).

    Raises
    ------
    ConfigError
        If the mask is empty.
    """
    box = mask.box(case.shape)
    if box is None:
        raise ConfigError("the mask is empty")
    region = tuple(slice(low, high) for low, high in zip(*box, strict=True))
    grid = case.grid.crop((region[0], region[1], region[2]))
    return box, asdict(sizes_of(mask.mask(case.shape, box), grid))
