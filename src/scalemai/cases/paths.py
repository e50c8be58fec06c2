"""Paths that a file names: taken only if they stay below the folder of the data set."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from scalemai.errors import ConfigError
from scalemai.io.nifti import is_nifti_name

__all__ = ["case_name", "inside", "nifti_stem"]

_NOT_A_NAME = {"ct", "image", "img", "volume", "scan", "dicom", "series"}


def inside(root: Path, relative: object, *, where: Path | str) -> Path:
    """The file below ``root`` that a manifest or index names.

    Parameters
    ----------
    root
        Folder of the data set.
    relative
        What the manifest says, with ``/`` between folders.
    where
        The manifest, for messages.

    Raises
    ------
    ConfigError
        If it is no text, absolute, holds ``..``, or a link on its way leads out of ``root``.
    """
    fix = "name files below the folder of the data set"
    if not isinstance(relative, str) or not relative or "\0" in relative:
        raise ConfigError(f"{relative!r} is not a path", where=where, fix=fix)
    windows = PureWindowsPath(relative)
    if PurePosixPath(relative).is_absolute() or windows.drive or windows.root:
        raise ConfigError(f"the path {relative!r} is absolute", where=where, fix=fix)
    if ".." in windows.parts:
        raise ConfigError(f"the path {relative!r} climbs with '..'", where=where, fix=fix)
    path = root / relative
    if not path.resolve().is_relative_to(root.resolve()):
        what = f"{relative!r} is a link that leads out of the data set to {path.resolve()}"
        raise ConfigError(what, where=where, fix="copy the file, or move the data set as a whole")
    return path


def nifti_stem(name: str) -> str | None:
    """The name of a NIfTI file without its suffix, or None if it is none (or is hidden)."""
    if name.startswith(".") or not is_nifti_name(Path(name)):
        return None
    lowered = name.lower()
    return name[:-7] if lowered.endswith(".nii.gz") else name[:-4]


def case_name(path: Path) -> str:
    """The id of a case that is one file or one DICOM folder: its name, or if that says nothing
    (``ct.nii.gz``, ``DICOM/``) the name of the folder it lies in."""
    stem = nifti_stem(path.name) or (path.stem if path.is_file() else path.name)
    return path.parent.name if stem.lower() in _NOT_A_NAME and path.parent.name else stem
