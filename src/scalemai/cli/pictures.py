"""The pictures that commands write: one of a case, and a montage of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from scalemai.errors import ConfigError, ScaleMAIError

if TYPE_CHECKING:
    from scalemai.case import Case
    from scalemai.preview import MontageRow

__all__ = ["montage_of", "preview_of"]

_MOST_ROWS = 12


def preview_of(case: Case, target: Path, structures: str | None, window: str | None) -> Path:
    """Write the picture of one case; the host is shown beside a synthetic one.

    Raises
    ------
    ScaleMAIError
        As :func:`scalemai.preview.write_preview`.
    """
    from scalemai.preview import write_preview

    volume = case.volume()
    if structures is not None:
        names = [name.strip() for name in structures.split(",") if name.strip()]
        if not names:
            fix = "for example --structure liver"
            raise ConfigError("no structure is named", where="--structure", fix=fix)
        masks = case.masks(names, on=volume.grid)
    else:
        masks = case.masks(case.lesions, on=volume.grid, if_missing="omit")
    host = _host_of(case)
    before = None if host is None else host.volume()
    write_preview(target, volume, list(masks.values()), case_id=case.id, host=before, window=window)
    return target


def montage_of(out: Path) -> Path:
    """Write ``montage.png`` with the largest lesion of each synthetic case in a folder.

    Raises
    ------
    ConfigError
        If there are no synthetic cases.
    """
    from scalemai.preview import write_montage

    target = out / "montage.png"
    write_montage(target, _rows(out))
    return target


def _rows(out: Path) -> Iterator[MontageRow]:
    from scalemai.case import Case
    from scalemai.masks import MaskSource
    from scalemai.preview import MontageRow
    from scalemai.synthesis.target import SIDECAR_NAME

    folders = sorted(path.parent for path in out.glob(f"*/{SIDECAR_NAME}"))
    if not folders:
        raise ConfigError("holds no synthetic cases", where=out)
    for folder in folders[:_MOST_ROWS]:
        sources = {
            path.name.removesuffix(".nii.gz"): MaskSource(path)
            for path in sorted((folder / "segmentations").glob("*_lesion.nii.gz"))
        }
        case = Case(folder.name, folder / "ct.nii.gz", sources)
        host = _host_of(case)
        yield MontageRow(case, host=None if host is None else host.volume())


def _host_of(case: Case) -> Case | None:
    """The case that a synthetic one was made from, if both are still where they were."""
    from scalemai.synthesis.sidecar import read_sidecar
    from scalemai.synthesis.target import SIDECAR_NAME

    sidecar = case.ct.parent / SIDECAR_NAME
    if not sidecar.is_file():
        return None
    try:
        host = read_sidecar(sidecar).case
    except ScaleMAIError:
        return None
    return host if host.ct.exists() else None
