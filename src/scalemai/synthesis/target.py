"""Where a synthetic case may be written: in place of nothing but a synthetic case."""

from __future__ import annotations

from pathlib import Path

from scalemai.case import Case
from scalemai.errors import ConfigError

__all__ = ["SIDECAR_NAME", "check_target"]

SIDECAR_NAME = "synthesis.json"
"""The file that makes a folder a synthetic case."""


def check_target(case: Case, folder: Path, *, marker: str = SIDECAR_NAME) -> None:
    """See that a synthetic case may be written to ``folder``.

    A folder is replaced as a whole. Only a synthetic case may be, and never the host or its masks,
    which may lie in another tree than the CT and may be a synthetic case themselves.

    Parameters
    ----------
    case
        The host.
    folder
        What would be written or replaced.
    marker
        The file that makes a folder what may be replaced.

    Raises
    ------
    ConfigError
        If the folder holds the host, or is there already and is no synthetic case.
    """
    if not folder.exists():
        return
    fix = "choose another --out"
    here = folder.resolve()
    for path in {case.ct, *(source.path for source in case.sources.values())}:
        # A link into a content store is as dear as the file that it leads to.
        for place in (path.parent.resolve() / path.name, path.resolve()):
            if here in (place, *place.parents):
                what = f"the result would replace its host {path}"
                raise ConfigError(what, where=folder, fix=fix)
    if not folder.is_dir():
        raise ConfigError("is a file, but the case needs a folder", where=folder, fix=fix)
    if not (folder / marker).is_file() and any(folder.iterdir()):
        what = f"is there already and is no synthetic case (it holds no {marker})"
        raise ConfigError(what, where=folder, fix=fix)
