"""Every error that ScaleMAI raises on purpose.

::

    ScaleMAIError                        one line: where, what is wrong, what to do
    ├─ ConfigError        (ValueError)   the request is wrong; nothing was started
    │  └─ UnknownNameError (LookupError) a name is not known; the nearest ones are given
    ├─ MissingExtraError  (ImportError)  an optional dependency is not installed
    ├─ LockedError        (OSError)      another run holds the output folder
    └─ CaseError                         one case cannot be worked on; a batch goes on
       ├─ UnreadableFileError (OSError)     truncated, wrong format, no permission
       ├─ GeometryError       (ValueError)  grids differ; spacing or shape is impossible
       ├─ IntensityError      (ValueError)  the numbers are not Hounsfield units
       ├─ MissingStructureError (LookupError) a mask is absent or empty
       ├─ PlacementError      (ValueError)  no room for the lesion asked for
       └─ OutputError         (OSError)     cannot write: permission, disk full

Each class also is the builtin that a caller would expect, so ``except OSError`` works.
Messages are one line and read ``where: what is wrong; what to do``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "CaseError",
    "ConfigError",
    "GeometryError",
    "IntensityError",
    "LockedError",
    "MissingExtraError",
    "MissingStructureError",
    "OutputError",
    "PlacementError",
    "ScaleMAIError",
    "UnknownNameError",
    "UnreadableFileError",
]


class ScaleMAIError(Exception):
    """Anything raised on purpose. ``str(error)`` is the one line shown to the user.

    Parameters
    ----------
    what
        What is wrong, in words of the field.
    where
        The file, case or field concerned.
    fix
        What the user can do about it.
    """

    def __init__(self, what: str, *, where: str | Path | None = None, fix: str = "") -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        text = f"{text}; {self.fix}" if self.fix else text
        return " ".join(text.split())

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries; keyword-only arguments need help to be pickled. The
        # last item restores what subclasses and add_note() have put on the instance.
        return _rebuild, (type(self), self.what, self.where, self.fix), dict(self.__dict__)


def _rebuild(kind: type[ScaleMAIError], what: str, where: str | None, fix: str) -> ScaleMAIError:
    error = kind.__new__(kind)
    ScaleMAIError.__init__(error, what, where=where, fix=fix)
    return error


class ConfigError(ScaleMAIError, ValueError):
    """The request itself is wrong; raised before any case is touched."""


class UnknownNameError(ConfigError, LookupError):
    """A name (structure, organ, layout, ...) is not known.

    Parameters
    ----------
    kind
        What sort of name it is, for example ``"structure"``.
    name
        The name that was given.
    known
        All names that would have been accepted.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        candidates = sorted(set(known))
        lowered = {candidate.lower(): candidate for candidate in candidates}
        near = [lowered[hit] for hit in difflib.get_close_matches(name.lower(), lowered, n=3)]
        if near:
            fix = "did you mean " + " or ".join(repr(n) for n in near) + "?"
        elif len(candidates) <= 20:
            fix = "known: " + ", ".join(candidates)
        else:
            fix = f"{len(candidates)} are known, from {candidates[0]} to {candidates[-1]}"
        super().__init__(f"unknown {kind} {name!r}", fix=fix)
        self.name = name
        self.near = near


class MissingExtraError(ScaleMAIError, ImportError):
    """An optional dependency is needed; the message says which extra to install."""


class LockedError(ScaleMAIError, OSError):
    """Another run is writing to the same output folder."""


class CaseError(ScaleMAIError):
    """One case cannot be worked on. A batch records it and goes on."""


class UnreadableFileError(CaseError, OSError):
    """A file is missing, truncated, not what its name says, or may not be read."""


class GeometryError(CaseError, ValueError):
    """Shape, spacing or position is impossible, or two grids that must agree do not."""


class IntensityError(CaseError, ValueError):
    """The numbers cannot be Hounsfield units (8-bit, normalised, offset, NaN)."""


class MissingStructureError(CaseError, LookupError):
    """A structure that is needed has no mask, or its mask is empty."""


class PlacementError(CaseError, ValueError):
    """There is no place in the organ for the lesion that was asked for."""


class OutputError(CaseError, OSError):
    """The result cannot be written: no permission, disk full, name not allowed."""
