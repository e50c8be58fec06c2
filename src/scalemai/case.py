"""One CT with all that is known about it: where its files are, never the voxels themselves."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scalemai.anatomy import canonical, is_lesion, organ, organ_names
from scalemai.errors import (
    ConfigError,
    MissingStructureError,
    UnknownNameError,
    UnreadableFileError,
)
from scalemai.geometry import Grid
from scalemai.io.nifti import is_nifti_name, read_grid, read_volume
from scalemai.masks import MaskSource, each_source, read_sources
from scalemai.plausibility import check_ct
from scalemai.volume import Mask, Volume

__all__ = ["Case", "MaskSource", "Presence", "check_case_id"]

_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_LONGEST_ID = 200
_DICOM_SUFFIXES = {"", ".dcm", ".ima", ".zip"}

# Structures that a data set may give in parts only; together the parts are the whole. Organs
# with a left and a right side come from `organ(name).structures`.
_PARTS: dict[str, tuple[str, ...]] = {
    "lung": ("lung_left", "lung_right"),
    "lung_left": ("lung_upper_lobe_left", "lung_lower_lobe_left"),
    "lung_right": (
        "lung_upper_lobe_right",
        "lung_middle_lobe_right",
        "lung_lower_lobe_right",
    ),
    "pancreas": ("pancreas_head", "pancreas_body", "pancreas_tail"),
    "liver": tuple(f"liver_segment_{n}" for n in range(1, 9)),
}


class Presence(StrEnum):
    """What is known of a structure in a case. An empty mask is not "not assessed"."""

    PRESENT = "present"
    ABSENT = "absent"
    NOT_ASSESSED = "not_assessed"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Case:
    """One CT and where its masks are. Cheap to make, small to send to a worker process.

    Nothing is read until it is asked for, and nothing that was read is kept.

    Parameters
    ----------
    id
        Name of the case, safe as a file name on every system.
    ct
        NIfTI file; or folder, zip or file of a DICOM series.
    sources
        Where the mask of each structure is, by canonical name; masks whose name is not known
        stand under their own.
    series
        Which series (see :func:`scalemai.io.dicom.read_series`), if the folder holds several.
    hu_offset
        Added to every voxel on reading, for files that were stored without their rescale
        intercept (usually -1024).
    class_map
        Name of the class map of the label map. If it is not named, ``sources`` may leave out
        values of the label map; else a value that no source has is refused.
    metadata
        What the data set says: ``layout``, and where known ``phase``, ``sex``, ``age``, ...
    stated
        What the data set states of structures beyond their masks, for example that a reader
        found no tumor.
    root, ct_bytes
        Only if the files were named by an index: the folder that no link may lead out of, and
        the size of the CT file when the index was built. Both are checked on reading.

    Raises
    ------
    ConfigError
        If the id is not a safe file name.
    """

    id: str
    ct: Path
    sources: Mapping[str, MaskSource] = field(default_factory=dict)
    series: str | int | None = None
    hu_offset: float = 0.0
    class_map: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    stated: Mapping[str, Presence] = field(default_factory=dict)
    root: Path | None = None
    ct_bytes: int | None = None

    def __post_init__(self) -> None:
        check_case_id(self.id)

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of all structures that have a mask of their own, empty or not."""
        return tuple(self.sources)

    @property
    def lesions(self) -> tuple[str, ...]:
        """Names of all lesion structures that have a mask, empty or not."""
        return tuple(name for name in self.sources if is_lesion(name))

    @property
    def unrecognized(self) -> tuple[str, ...]:
        """Names of masks that are no canonical structure name; they are kept as they are."""
        return tuple(name for name in self.sources if _canonical_or_none(name) != name)

    def has(self, name: str) -> bool:
        """Whether the structure has a mask, empty or not, or can be joined from its parts."""
        return self._parts(name) is not None

    def parts(self, name: str) -> tuple[str, ...]:
        """Names of the masks that make up a structure; empty if the case does not have it."""
        return self._parts(name) or ()

    def volume(self) -> Volume:
        """Read the CT.

        Raises
        ------
        UnreadableFileError, GeometryError
            If the file is damaged or its geometry impossible.
        IntensityError
            If the numbers cannot be Hounsfield units (see
            :func:`scalemai.plausibility.check_ct`).
        """
        volume = self._read()
        if self.hu_offset:
            volume = replace(volume, intercept=volume.intercept + self.hu_offset)
        check_ct(volume)
        return replace(volume, metadata={**volume.metadata, **self.metadata})

    def grid(self) -> Grid:
        """The grid of the CT; of a NIfTI file only the header is read."""
        if self._is_dicom():
            return self._read().grid
        self._refuse_moved(self.ct, self.ct_bytes)
        return read_grid(self.ct)

    def mask(self, name: str, *, on: Grid | None = None) -> Mask:
        """Read the mask of one structure, on the grid of the CT.

        Parameters
        ----------
        name
            Canonical name, alias, or the own name of a mask that is not known. A structure
            that is given in parts only is joined: ``kidney`` from left and right, ``pancreas``
            from head, body and tail, ``lung`` from its lobes.
        on
            The CT's grid if it is at hand (``volume.grid``), which saves reading it again.

        Raises
        ------
        MissingStructureError
            If the case has no such mask, or it is empty.
        GeometryError
            If the mask lies on another grid than the CT.
        IntensityError
            If a label map holds values that its class map does not know.
        """
        return self.masks([name], on=on)[name]

    def masks(
        self,
        names: Iterable[str],
        *,
        on: Grid | None = None,
        if_missing: Literal["raise", "omit"] = "raise",
    ) -> dict[str, Mask]:
        """Read several masks, a label map only once; the keys are the names given.

        Parameters
        ----------
        names, on
            As for :meth:`mask`.
        if_missing
            ``"omit"`` leaves out structures that have no mask or an empty one.

        Raises
        ------
        MissingStructureError, GeometryError, IntensityError, UnreadableFileError
            As for :meth:`mask`.
        """
        wanted: dict[str, tuple[str, ...]] = {}
        for name in names:
            parts = self._parts(name)
            if parts is not None:
                wanted[name] = parts
            elif if_missing == "raise":
                raise self._missing(name)
        read = self._read_parts({part for parts in wanted.values() for part in parts}, on)
        masks: dict[str, Mask] = {}
        for name, parts in wanted.items():
            joined = _join([read[part] for part in parts], _canonical_or_none(name) or name)
            if joined.array.any():
                masks[name] = joined
            elif if_missing == "raise":
                raise self._empty(name, parts)
        return masks

    def each_mask(self, names: Iterable[str], *, on: Grid | None = None) -> Iterator[Mask]:
        """Read masks one at a time, so that no more than one is held in memory.

        Structures without a mask are left out; empty masks are not. The order is that of reading:
        a label map is read once.

        Parameters
        ----------
        names, on
            As for :meth:`mask`.

        Raises
        ------
        GeometryError, IntensityError, UnreadableFileError
            As for :meth:`mask`.
        """
        grid = self.grid() if on is None else on
        wanted = {name: self.parts(name) for name in dict.fromkeys(names)}
        alone = {parts[0]: self.sources[parts[0]] for parts in wanted.values() if len(parts) == 1}
        for source in alone.values():
            self._refuse_moved(source.path)
        masks = each_source(alone, grid, self.ct, self._known_values())
        # No name is bound to a mask here: it would live on while the next one is read.
        yield from (replace(one, name=_canonical_or_none(name) or name) for name, one in masks)
        for name, parts in wanted.items():
            if len(parts) > 1:
                read = self._read_parts(parts, grid)
                yield _join([read[part] for part in parts], _canonical_or_none(name) or name)

    def presence(self, name: str) -> Presence:
        """What is known of a structure: as stated, else as its mask says (which is read).

        A structure without a mask is not assessed; one with an all-zero mask is absent. What
        the data set states is returned as it is, even if the mask is empty: a lesion may be
        known and not drawn.
        """
        key = _canonical_or_none(name) or name
        if key in self.stated:
            return self.stated[key]
        parts = self._parts(name)
        if parts is None:
            return Presence.NOT_ASSESSED
        masks = self._read_parts(parts, None).values()
        return Presence.PRESENT if any(m.array.any() for m in masks) else Presence.ABSENT

    def _read(self) -> Volume:
        self._refuse_moved(self.ct, self.ct_bytes)
        if not self._is_dicom():
            return read_volume(self.ct)
        # pydicom takes long to import and most cases are NIfTI.
        from scalemai.io.dicom import read_series

        return read_series(self.ct, series=self.series)

    def _refuse_moved(self, path: Path, size: int | None = None) -> None:
        """See that a file that an index names is there, unchanged and inside the data set."""
        if self.root is None:
            return
        fix = "build the index again"
        if not path.exists():
            what = "is in the index of its data set but not on disk"
            raise UnreadableFileError(what, where=path, fix=fix)
        if size is not None and (now := path.stat().st_size) != size:
            what = f"has {now:,} bytes, but had {size:,} when the index was built"
            raise UnreadableFileError(what, where=path, fix=fix)
        if not path.resolve().is_relative_to(self.root.resolve()):
            what = f"leads out of the data set to {path.resolve()}"
            raise ConfigError(what, where=path, fix="copy the file into the data set")

    def _is_dicom(self) -> bool:
        if is_nifti_name(self.ct):
            return False
        return self.ct.suffix.lower() in _DICOM_SUFFIXES or self.ct.is_dir()

    def _read_parts(self, parts: Iterable[str], on: Grid | None) -> dict[str, Mask]:
        sources = {part: self.sources[part] for part in sorted(parts)}
        if not sources:
            return {}
        for path in {source.path for source in sources.values()}:
            self._refuse_moved(path)
        grid = self.grid() if on is None else on
        return read_sources(sources, grid, self.ct, self._known_values())

    def _known_values(self) -> dict[Path, tuple[frozenset[int], str]]:
        """For each label map, the values that it may hold and the name of its class map."""
        known: dict[Path, tuple[frozenset[int], str]] = {}
        for source in self.sources.values():
            if source.values and self.class_map:
                before = known.get(source.path, (frozenset(), ""))[0]
                known[source.path] = (before | set(source.values), self.class_map)
        return known

    def _parts(self, name: str) -> tuple[str, ...] | None:
        """The masks that make up a structure, or None if any is missing."""
        if name in self.sources:
            return (name,)
        key = _canonical_or_none(name)
        if key is None:
            return None
        if key in self.sources:
            return (key,)
        found: tuple[str, ...] = ()
        for part in _parts_of(key):
            inner = self._parts(part)
            if inner is None:
                return None
            found += inner
        return found or None

    def _missing(self, name: str) -> MissingStructureError:
        have = self.structures
        if not have:
            what, fix = "has no masks", "give segmentations/ or labels= with the CT"
            return MissingStructureError(
                f"{name!r} is needed but the case {what}", where=self.id, fix=fix
            )
        present = [part for part in _parts_of(_canonical_or_none(name) or "") if self.has(part)]
        near = present or difflib.get_close_matches(name.lower(), have, n=3)
        if near:
            fix = "the nearest is " + " or ".join(near)
        else:
            shown = ", ".join(have[:12]) + (f" and {len(have) - 12} more" if len(have) > 12 else "")
            fix = f"it has {shown}"
        if self.root is not None:
            fix += " (build the index again if masks were added)"
        return MissingStructureError(f"has no mask of {name!r}", where=self.id, fix=fix)

    def _empty(self, name: str, parts: tuple[str, ...]) -> MissingStructureError:
        paths = sorted({str(self.sources[part].path) for part in parts})
        stated = self.stated.get(_canonical_or_none(name) or name)
        what = f"the {name} mask is empty"
        if stated is Presence.PRESENT:
            what += " although the data set states that it is present"
        fix = "choose another structure or leave the case out"
        return MissingStructureError(what, where=", ".join(paths), fix=fix)


def check_case_id(id: str) -> str:
    """Return the id if it is a safe file name on every system.

    Raises
    ------
    ConfigError
        If it is empty, longer than 200 characters, starts with a dot, ends with a dot or
        space, or holds a path separator, a control character or one of ``: * ? " < > |``.
    """
    bad = not id or id.startswith(".") or id.endswith((".", " ")) or len(id) > _LONGEST_ID
    if bad or _UNSAFE.search(id):
        fix = "rename it: letters, digits, '_', '-' and inner dots are safe"
        raise ConfigError(f"case id {id!r} is not a safe file name", fix=fix)
    return id


def _canonical_or_none(name: str) -> str | None:
    try:
        return canonical(name)
    except UnknownNameError:
        return None


def _parts_of(name: str) -> tuple[str, ...]:
    if name in organ_names():
        parts = organ(name).structures
        if parts != (name,):
            return parts
    return _PARTS.get(name, ())


def _join(masks: list[Mask], name: str) -> Mask:
    if len(masks) == 1:
        return replace(masks[0], name=name)
    array = np.logical_or.reduce([mask.array for mask in masks])
    return Mask(array, masks[0].grid, name, masks[0].path)
