"""The label map of one case for nnU-Net, and what is lost by one number per voxel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import organ
from scalemai.case import Case, Presence
from scalemai.detector.spec import DetectorSpec
from scalemai.errors import ConfigError, MissingStructureError
from scalemai.geometry import Grid
from scalemai.synthesis.patient import structures_at_hand
from scalemai.training.classes import IGNORE, read_lesions
from scalemai.training.nnunet.labels import LabelScheme

__all__ = ["LabelMap", "Policy", "draw_labels"]

Missing = Literal["refuse", "ignore"]
Unannotated = Literal["normal", "refuse"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What is done where a case does not say all.

    Parameters
    ----------
    missing
        A case without mask of an organ or structure of the scheme: ``"refuse"`` it, or
        ``"ignore"`` its background, in which the structure may be.
    unannotated
        A case of which nobody says whether it has lesions of the organ: take it for
        ``"normal"``, or ``"refuse"`` it.
    unverified
        Names of masks, in the words of the data set, whose voxels nobody has verified: they are
        left out by losses.

    Raises
    ------
    ConfigError
        If a choice is not known.
    """

    missing: Missing = "refuse"
    unannotated: Unannotated = "normal"
    unverified: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "unverified", tuple(self.unverified))
        for name, known in (("missing", get_args(Missing)), ("unannotated", get_args(Unannotated))):
            if (value := getattr(self, name)) not in known:
                what = f"{value!r} is no choice"
                raise ConfigError(what, where=name, fix=f"give {' or '.join(known)}")


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A label map and what there is to know of it.

    Parameters
    ----------
    array
        uint8 array (i, j, k) of the scheme's values.
    grid
        That of the CT.
    voxels
        Number of voxels by title of the value, and of those that are left out.
    dropped
        Overlaps that one number per voxel cannot hold: what a voxel is now, what it was, too, and
        how many there are. That a lesion is organ as well is no overlap.
    beside_organ
        Voxels of lesions, by class, that the organ's mask does not have. They stay lesion.
    notes
        Remarks in words.
    """

    array: NDArray[np.uint8]
    grid: Grid
    voxels: dict[str, int]
    dropped: tuple[dict[str, Any], ...] = ()
    beside_organ: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def draw_labels(case: Case, scheme: LabelScheme, policy: Policy, grid: Grid) -> LabelMap:
    """Draw the label map of a case.

    Organs come first, further structures over them, then lesions, then what nobody verified;
    whatever is drawn later wins.

    Parameters
    ----------
    case, grid
        The case, and the grid of its CT.
    scheme, policy
        What the values mean, and what to do where the case does not say all.

    Raises
    ------
    MissingStructureError
        If a mask that is needed is missing, nothing at all is there, or nobody looked for lesions
        and the policy refuses that.
    GeometryError, IntensityError, UnreadableFileError
        As :meth:`Case.mask`.
    """
    drawing = _Drawing(scheme, grid)
    hidden = [
        name for name in (*scheme.organs, *scheme.structures) if not _draw(case, name, drawing)
    ]
    if hidden and policy.missing == "refuse":
        what = f"has no mask of {', '.join(hidden)}, which may be there all the same"
        fix = "leave the case out, state that it is absent, or let its background be ignored"
        raise MissingStructureError(what, where=case.id, fix=fix)
    for detector in scheme.detectors:
        _draw_lesions(case, detector, policy, drawing)
    for name in policy.unverified:
        if case.has(name):
            for mask in case.each_mask([name], on=grid):
                drawing.leave_out(mask.array)
    if not drawing.array.any():
        what = "shows none of the structures that are asked for"
        raise MissingStructureError(what, where=case.id, fix="leave the case out")
    if hidden:
        drawing.leave_out(drawing.array == 0)
        drawing.notes.append(f"no mask of {', '.join(hidden)}: the background is ignored")
    return drawing.finished()


class _Drawing:
    """A label map under way."""

    def __init__(self, scheme: LabelScheme, grid: Grid) -> None:
        self.scheme = scheme
        self.grid = grid
        self.array = np.zeros(grid.shape, np.uint8, order="F")
        self.dropped: list[dict[str, Any]] = []
        self.beside: dict[str, int] = {}
        self.notes: list[str] = []
        self._titles = {**scheme.titles(), scheme.ignore: "ignored"}

    def put(self, mask: NDArray[np.bool_], value: int, *, over: int | None = None) -> None:
        """Draw a mask; ``over`` is the value that it belongs to as well, or may replace."""
        for kept, lost, count in self._overlaps(mask, value):
            if lost != over:
                titles = {"kept": self._titles[kept], "lost": self._titles[lost]}
                self.dropped.append({**titles, "voxels": count})
        self.array[mask] = value

    def leave_out(self, mask: NDArray[np.bool_]) -> None:
        self.array[mask] = self.scheme.ignore

    def finished(self) -> LabelMap:
        counts = np.bincount(self.array.reshape(-1, order="F"), minlength=self.scheme.ignore + 1)
        voxels = {title: int(counts[value]) for value, title in self._titles.items()}
        notes = tuple(self.notes)
        return LabelMap(self.array, self.grid, voxels, tuple(self.dropped), self.beside, notes)

    def _overlaps(self, mask: NDArray[np.bool_], value: int) -> Iterator[tuple[int, int, int]]:
        counts = np.bincount(self.array[mask])
        for lost in np.flatnonzero(counts).tolist():
            if lost not in (0, value):
                yield value, lost, int(counts[lost])


def _draw(case: Case, name: str, drawing: _Drawing) -> bool:
    """Draw an organ or structure; False if nobody knows whether it is there."""
    if name in drawing.scheme.organs:
        names: tuple[str, ...] = structures_at_hand(organ(name), case.has)
    else:
        names = (name,) if case.has(name) else ()
    if not names:
        return case.stated.get(name) is Presence.ABSENT
    whole = np.zeros(drawing.grid.shape, np.bool_, order="F")
    for mask in case.each_mask(names, on=drawing.grid):
        whole |= mask.array
    drawing.put(whole, drawing.scheme.values[name])
    return True


def _draw_lesions(case: Case, detector: DetectorSpec, policy: Policy, drawing: _Drawing) -> None:
    scheme, host = drawing.scheme, detector.organ
    found = read_lesions(case, detector, drawing.grid)
    if found is None:
        if policy.unannotated == "refuse":
            what = f"nobody says whether it has lesions of the {host}"
            fix = "leave the case out, or let such cases count as normal"
            raise MissingStructureError(what, where=case.id, fix=fix)
        drawing.notes.append(f"nobody looked for lesions of the {host}: taken for normal")
        return
    own = scheme.values[host]
    inside = [own, *(scheme.class_values[host, name] for name in detector.classes)]
    for number, mask in sorted(found.items()):
        if number == IGNORE:
            continue
        name = detector.classes[number - 1]
        value = scheme.class_values[host, name]
        outside = np.count_nonzero(mask & ~np.isin(drawing.array, inside))
        if outside:
            drawing.beside[scheme.titles()[value]] = int(outside)
        drawing.put(mask, value, over=own)
    if IGNORE in found:
        drawing.leave_out(found[IGNORE])
        drawing.notes.append(f"a lesion of the {host} is of no known class: ignored")
