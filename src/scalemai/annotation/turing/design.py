"""The design of a visual Turing test: what is fixed before the first read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scalemai.errors import ConfigError

__all__ = ["Task", "TuringDesign"]

Task = Literal["single", "2afc"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TuringDesign:
    """What readers are shown, and how alike real and synthetic lesions must be.

    Parameters
    ----------
    title
        Shown on the page.
    task
        ``single``: one lesion, is it real or synthetic. ``2afc``: a real and a synthetic one side
        by side, which is real (two-alternative forced choice).
    seed
        Of what is no secret: the order of trials and the choice of repeats. The key does not follow
        from it.
    crop_mm
        Edge of the cube around a lesion that readers see.
    size_calliper
        Largest ratio of the longest axial diameters of a pair; author's estimate, to be refined.
    spacing_calliper
        Largest ratio of the voxel sizes of a pair along each axis; a pair is drawn with the
        geometric mean of its two, so lengths on the screen are off by up to the root of this;
        author's estimate, to be refined.
    match_phase, match_scanner
        Whether contrast phase, and manufacturer with kernel, must be the same; unknown is matched
        with unknown only.
    per_case
        Most lesions of one scan: a scan that comes again, now with another lesion, tells.
    pairs
        Most pairs, drawn evenly from the organs; all if None.
    repeat_share
        Share of the trials that come again, blinded.
    repeat_distance
        Fewest other trials between the two; half of the study if that is less.
    idle_ms
        A time without any input longer than this is a pause and not work.

    Raises
    ------
    ConfigError
        If a value is impossible.
    """

    title: str = "Real or synthetic?"
    task: Task = "single"
    seed: int = 0
    crop_mm: float = 96.0
    size_calliper: float = 1.25
    spacing_calliper: float = 1.2
    match_phase: bool = True
    match_scanner: bool = True
    per_case: int = 1
    pairs: int | None = None
    repeat_share: float = 0.1
    repeat_distance: int = 20
    idle_ms: int = 15_000

    def __post_init__(self) -> None:
        if not self.title.strip() or len(self.title) > 200 or not self.title.isprintable():
            raise ConfigError("is no title", where="title", fix="give 1 to 200 characters")
        if self.task not in ("single", "2afc"):
            raise ConfigError(f"{self.task!r} is not known", where="task", fix="single or 2afc")
        if not 4 <= self.crop_mm <= 256:
            what = f"{self.crop_mm:g} mm is not 4 to 256 mm"
            raise ConfigError(what, where="crop_mm", fix="for example 96")
        for name in ("size_calliper", "spacing_calliper"):
            if not 1 <= getattr(self, name) <= 4:
                what = f"{getattr(self, name):g} is no ratio from 1 to 4"
                raise ConfigError(what, where=name, fix="for example 1.25")
        if self.per_case < 1:
            raise ConfigError(f"{self.per_case} is below 1", where="per_case")
        if self.pairs is not None and self.pairs < 2:
            raise ConfigError(f"{self.pairs} are too few", where="pairs", fix="give 2 or more")
        if not 0 <= self.repeat_share <= 0.5:
            raise ConfigError(f"{self.repeat_share:g} is not 0 to 0.5", where="repeat_share")
        if self.repeat_distance < 1:
            raise ConfigError(f"{self.repeat_distance} is below 1", where="repeat_distance")
        if self.idle_ms < 1000:
            raise ConfigError(f"{self.idle_ms} ms is below a second", where="idle_ms")
