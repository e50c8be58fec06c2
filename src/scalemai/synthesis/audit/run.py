"""Many cases at once: which there are, and their findings as they come."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from scalemai import engine
from scalemai.anatomy import organ, organ_names
from scalemai.case import Case
from scalemai.engine import Run
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.synthesis.audit.findings import CaseFindings
from scalemai.synthesis.audit.real_cases import examine_real, lesions_of_organs
from scalemai.synthesis.audit.synthetic_cases import examine_synthetic, synthetic_folders

__all__ = ["examine_all_real", "examine_all_synthetic"]


def examine_all_synthetic(
    root: Path, *, organs: Sequence[str] = (), whole: bool = False, seed: int = 0, workers: int = 1
) -> Run[CaseFindings]:
    """Examine every synthetic case in a folder; see :func:`examine_synthetic`.

    Raises
    ------
    UnreadableFileError
        If there is no such folder.
    ConfigError
        If it holds no cases.
    """
    if not root.exists():
        raise UnreadableFileError("no such folder", where=root, fix="check the path")
    folders = synthetic_folders(root)
    if not folders:
        fix = "give the folder that scalemai synthesize wrote to"
        raise ConfigError("holds no synthetic cases", where=root, fix=fix)
    names = tuple(organ(name).name for name in organs)
    work = partial(examine_synthetic, organs=names, whole=whole, seed=seed)
    return engine.map(work, folders, workers=workers, key=_folder_name)


def examine_all_real(
    cases: Sequence[Case], *, organs: Sequence[str] = (), workers: int = 1
) -> Run[CaseFindings] | None:
    """Examine the cases that have masks of real lesions; None if none has.

    Parameters
    ----------
    cases
        Real cases.
    organs
        Leave out lesions of other organs; empty for all.
    workers
        Processes.
    """
    names = tuple(organ(name).name for name in organs) or tuple(organ_names())
    chosen = [case for case in cases if lesions_of_organs(case, names)]
    if not chosen:
        return None
    return engine.map(partial(examine_real, organs=names), chosen, workers=workers, key=_case_id)


def _folder_name(folder: Path) -> str:
    return folder.name


def _case_id(case: Case) -> str:
    return case.id
