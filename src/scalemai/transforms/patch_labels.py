"""A patch's label map: from numbers to structures, and back once a lesion has been put in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import ClassMap, Organ, class_map, is_lesion, organ, organ_names
from scalemai.compiled import compiled
from scalemai.errors import ConfigError, IntensityError
from scalemai.geometry import Region
from scalemai.synthesis.growth.tissue import StructureBox, join_boxes

__all__ = ["LabelSpans", "PatchLabels", "spans_of"]

_HIGHEST = 65535
_AT_ONCE = 16


@dataclass(frozen=True)
class LabelSpans:
    """Where each label value lies.

    Parameters
    ----------
    counts
        int64 array (n,): number of voxels of each value from 0 to n - 1.
    low, high
        int64 arrays (n, 3): first and last index, inclusive, along each axis.
    """

    counts: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    def voxels(self, values: tuple[int, ...]) -> int:
        """Number of voxels that have one of some values."""
        return int(sum(self.counts[v] for v in values if v < len(self.counts)))

    def region(self, values: tuple[int, ...]) -> Region | None:
        """The box of all voxels that have one of some values; None if there are none."""
        here = [v for v in values if v < len(self.counts) and self.counts[v]]
        if not here:
            return None
        low, high = self.low[here].min(axis=0), self.high[here].max(axis=0) + 1
        i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return i, j, k


class PatchLabels:
    """What the numbers of a label map mean, and which number a new lesion gets.

    Parameters
    ----------
    names
        Id of a class map, a class map, or structure names by label value. An organ includes the
        voxels of its lesions, whether the map says so or not.
    lesion_value
        Label value of new lesions, or one by organ; by default the value that the map has for
        lesions of the organ.

    Raises
    ------
    ConfigError
        If the lesion value is no number from 1, or the map gives it to something else.
    UnknownNameError
        If a name is unknown.
    """

    def __init__(
        self,
        names: str | ClassMap | Mapping[int, str],
        lesion_value: int | Mapping[str, int] | None = None,
    ) -> None:
        if isinstance(names, str):
            names = class_map(names)
        elif not isinstance(names, ClassMap):
            names = ClassMap("labels", "", {int(v): name for v, name in names.items() if v})
        self._map = names
        if isinstance(lesion_value, Mapping):
            asked = {organ(name).name: value for name, value in lesion_value.items()}
        elif lesion_value is not None:
            asked = dict.fromkeys(organ_names(), lesion_value)
        else:
            asked = {}
        self._asked = asked
        for name, value in asked.items():
            self._check(name, value)

    def _check(self, name: str, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            fix = "give a whole number from 1"
            raise ConfigError(f"{value!r} is no label value", where="lesion_value", fix=fix)
        taken = self._map.labels.get(value)
        if taken is not None and not is_lesion(taken):
            what = f"{value} is {taken} in the class map, not a lesion of the {name}"
            raise ConfigError(what, where="lesion_value", fix="give another value")

    @cached_property
    def _labels(self) -> Mapping[int, str]:
        """Names by value, that of new lesions included: they bar the way of further ones."""
        new = {value: organ(name).lesion for name, value in reversed(self._asked.items())}
        return new | dict(self._map.labels)

    @cached_property
    def values(self) -> Mapping[str, tuple[int, ...]]:
        """Label values of each structure, an organ's with those of its lesions."""
        known = dict(self._map.unions)
        for value, name in self._labels.items():
            if name not in self._map.unions:
                known[name] = tuple(sorted({*known.get(name, ()), value}))
        for name in organ_names():
            facts = organ(name)
            inside = {*known.get(facts.lesion, ())}
            if inside and facts.name in known and facts.name not in self._map.unions:
                known[facts.name] = tuple(sorted({*known[facts.name], *inside}))
        return known

    def of_organ(self, facts: Organ) -> tuple[int, ...]:
        """Label values whose voxels are an organ or a side of it.

        Raises
        ------
        ConfigError
            If the class map does not have the organ.
        """
        names = (facts.name, *facts.structures)
        found = {value for name in names for value in self.values.get(name, ())}
        if not found:
            have = ", ".join(self._map.structures)
            what = f"the class map has no {facts.name}"
            raise ConfigError(what, where="labels", fix=f"it has {have}; name the organ's value")
        return tuple(sorted(found))

    def lesion_value(self, facts: Organ) -> int:
        """The label value of a new lesion of an organ.

        Raises
        ------
        ConfigError
            If neither the user nor the class map gives one.
        """
        if facts.name in self._asked:
            return self._asked[facts.name]
        own = [value for value, name in self._map.labels.items() if name == facts.lesion]
        if not own:
            what = f"the class map has no value for {facts.lesion}"
            raise ConfigError(what, where="lesion_value", fix="give the value of new lesions")
        return min(own)

    def boxes(
        self, labels: NDArray[Any], region: Region, spans: LabelSpans
    ) -> dict[str, StructureBox]:
        """Masks of all structures within a box of the patch.

        Parameters
        ----------
        labels
            Label map of the box.
        region
            The box within the patch.
        spans
            Those of the whole patch.
        """
        found: dict[str, StructureBox] = {}
        parts = {v: _cut(labels, region, spans, v) for v in {*sum(self.values.values(), ())}}
        for name, values in self.values.items():
            joined = join_boxes([part for v in values if (part := parts[v]) is not None])
            if joined is not None:
                found[name] = StructureBox(name, joined.region, joined.array)
        return found

    def redraw(
        self,
        labels: NDArray[Any],
        before: Mapping[str, StructureBox],
        after: Mapping[str, StructureBox],
        changed: Iterable[str],
    ) -> None:
        """Let a label map, in place, follow masks that have changed.

        A voxel that a structure left becomes background, unless another one took it. Of two that
        took it lesions come first, then the smaller structure, which is the more specific one.
        """
        own: dict[str, int] = {}
        for value, name in sorted(self._labels.items()):
            own.setdefault(name, value)
        moved = [name for name in changed if name in own]
        for name in moved:
            if name in before:
                gone = _without(before[name], after.get(name))
                here = labels[gone.region]
                here[gone.array & (here == own[name])] = 0
        there = [after[name] for name in moved if name in after]
        for box in sorted(there, key=lambda b: (not is_lesion(b.name), np.count_nonzero(b.array))):
            here = labels[box.region]
            here[box.array & (here == 0)] = own[box.name]


def spans_of(labels: NDArray[Any]) -> LabelSpans:
    """Find where each value of a label map lies, whatever its numeric type; one pass over it.

    Negative values (nnU-Net's -1 for padding) count as background.

    Raises
    ------
    IntensityError
        If a value is not a whole number, or above 65535.
    """
    small = labels.dtype == np.bool_ or labels.dtype == np.float16  # kernels know neither
    numbers = np.ascontiguousarray(labels, np.float32 if small else None)
    highest = numbers.max(initial=0)
    if not highest <= _HIGHEST:
        fix = "pass a label map, not an image"
        raise IntensityError(f"the label map goes up to {highest:g}", fix=fix)
    counts, low, high, whole = _spans(numbers, int(highest) + 1)
    if not whole:
        fix = "pass the label map with its whole numbers, before any interpolation"
        raise IntensityError("the label map holds fractions", fix=fix)
    return LabelSpans(counts, low, high)


def _cut(
    labels: NDArray[Any], region: Region, spans: LabelSpans, value: int
) -> StructureBox | None:
    """One value's voxels within a box of the patch, in the indices of that box."""
    whole = spans.region((value,))
    if whole is None:
        return None
    inner = []
    for span, outer in zip(whole, region, strict=True):
        low = max(span.start, outer.start) - outer.start
        high = min(span.stop, outer.stop) - outer.start
        if high <= low:
            return None
        inner.append(slice(low, high))
    place: Region = (inner[0], inner[1], inner[2])
    array = labels[place] == value
    return StructureBox(str(value), place, array) if array.any() else None


def _without(first: StructureBox, second: StructureBox | None) -> StructureBox:
    """The voxels of one mask that another one does not have."""
    if second is None:
        return first
    left = first.array.copy()
    shared = [
        (max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(first.region, second.region, strict=True)
    ]
    if all(low < high for low, high in shared):
        mine, theirs = (
            tuple(slice(p - o.start, q - o.start) for (p, q), o in zip(shared, box, strict=True))
            for box in (first.region, second.region)
        )
        left[mine] &= ~second.array[theirs]
    return StructureBox(first.name, first.region, left)


@compiled
def _spans(
    labels: NDArray[Any], values: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], bool]:
    rows, columns, slices = labels.shape
    counts = np.zeros(values, np.int64)
    low = np.full((values, 3), 2**62, np.int64)
    high = np.full((values, 3), -1, np.int64)
    for i in range(rows):
        for j in range(columns):
            k = 0
            while k < slices:
                number = labels[i, j, k]
                start = k
                # A NaN is not even equal to itself.
                k += 1
                # Many voxels at a time, which processors compare at once.
                alike = True
                while alike and k + _AT_ONCE <= slices:
                    same = 0
                    for m in range(_AT_ONCE):
                        same += labels[i, j, k + m] == number
                    alike = same == _AT_ONCE
                    k += _AT_ONCE if alike else 0
                while k < slices and labels[i, j, k] == number:
                    k += 1
                if number <= 0:
                    continue
                value = int(number)
                if value != number:
                    return counts, low, high, False
                counts[value] += k - start
                low[value, 0] = min(low[value, 0], i)
                high[value, 0] = max(high[value, 0], i)
                low[value, 1] = min(low[value, 1], j)
                high[value, 1] = max(high[value, 1], j)
                low[value, 2] = min(low[value, 2], start)
                high[value, 2] = max(high[value, 2], k - 1)
    return counts, low, high, True
