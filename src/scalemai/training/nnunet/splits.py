"""Folds that keep the scans of a patient together, synthetic copies of them too."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from scalemai.case import Case
from scalemai.errors import ConfigError

__all__ = ["patients_of", "split_by_patient"]

_PATIENT = ("patient", "patient_id", "subject", "subject_id")  # fields of a case's metadata


def patients_of(cases: Mapping[str, Case]) -> dict[str, str]:
    """Whose scan each case is.

    A synthetic case has the id of its host, so cases of one id are one patient's, whatever folder
    they are in; so are those of which the data sets say that they are.

    Parameters
    ----------
    cases
        Cases by the name that they are exported under.
    """
    leader: dict[str, str] = {}

    def find(node: str) -> str:
        while leader.setdefault(node, node) != node:
            node = leader[node]
        return node

    for case in cases.values():
        stated = next((str(case.metadata[n]) for n in _PATIENT if case.metadata.get(n)), None)
        nodes = [f"case {case.id}"] + ([] if stated is None else [f"patient {stated}"])
        first, last = sorted(find(node) for node in (nodes[0], nodes[-1]))
        leader[last] = first
    return {name: find(f"case {case.id}") for name, case in cases.items()}


def split_by_patient(
    patients: Mapping[str, str], folds: int = 5, *, seed: int = 0
) -> list[dict[str, Any]]:
    """Folds of cross-validation in the form of nnU-Net's ``splits_final.json``.

    Patients are put in an order that depends on the seed and their names alone, and dealt out in
    turn, so that folds differ by one patient at most.

    Parameters
    ----------
    patients
        Patient of each case, by the name that it is exported under.
    folds
        Number of folds; no more are made than there are patients.
    seed
        Seed of the order.

    Returns
    -------
    list
        Per fold the names of its cases under ``train`` and ``val``; empty for a single patient,
        who cannot be divided.

    Raises
    ------
    ConfigError
        If fewer than two folds are asked for.
    """
    if folds < 2:
        raise ConfigError(f"{folds} folds are none", where="folds", fix="give 2 or more")
    order = sorted(
        set(patients.values()), key=lambda who: hashlib.sha256(f"{seed}/{who}".encode()).digest()
    )
    count = min(folds, len(order))
    if count < 2:
        return []
    fold_of = {who: n % count for n, who in enumerate(order)}
    return [
        {
            "train": sorted(name for name, who in patients.items() if fold_of[who] != fold),
            "val": sorted(name for name, who in patients.items() if fold_of[who] == fold),
        }
        for fold in range(count)
    ]
