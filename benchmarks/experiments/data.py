"""The scans of the experiments: phantoms of fixed seeds, made once and kept.

Lesions of ``test``, ``annotated`` and ``target_test`` are those of the phantom's own model, which
shares no code with the generator that detectors are trained with. "Annotated" scans are phantoms,
not patients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scalemai.case import Case
from scalemai.cases import open_cases
from scalemai.cases.phantom import LesionDraw
from scalemai.cases.phantom.batch import open_phantom_ledger, write_phantom_cases
from scalemai.detector.spec import DetectorSpec
from scalemai.errors import ScaleMAIError
from scalemai.synthesis.batch import open_ledger, synthesize_cases
from scalemai.synthesis.files import Request
from scalemai.training.cache import Cache, prepare_cases
from scalemai.training.material import any_lesion

__all__ = ["GROWN", "ORGAN", "SETS", "PhantomSet", "frozen", "joined", "ready"]

ORGAN = "liver"
_LESIONS = LesionDraw((ORGAN,))
_BINS_MM = ((10.0, 20.0), (20.0, 40.0))

GROWN = tuple(replace(spec, diameter_mm=(10.0, 40.0)) for spec in any_lesion(ORGAN))
"""Lesions that are grown: those of ``scalemai train``, but none below 10 mm, of which the few
patches of a short training on 3 mm voxels would be wasted on what can hardly be seen."""


@dataclass(frozen=True)
class PhantomSet:
    """Phantoms as ``scalemai phantom --small --n N --seed SEED`` writes them.

    Parameters
    ----------
    n, seed
        How many, and which.
    lesions
        Lesions of the phantom's own model; None for normal scans.
    scanner
        Fields of :class:`~scalemai.cases.phantom.spec.PhantomSpec` that are not drawn.
    """

    n: int
    seed: int
    lesions: LesionDraw | None = None
    scanner: tuple[tuple[str, Any], ...] = ()


_ELSEWHERE = (("kernel", "sharp"), ("dose", 0.4))  # another hospital: noisier, sharper

SETS: Mapping[str, PhantomSet] = {
    "normal": PhantomSet(24, 1),
    "test": PhantomSet(24, 2, _LESIONS),
    "annotated": PhantomSet(20, 500, _LESIONS),
    "target": PhantomSet(8, 4, scanner=_ELSEWHERE),
    "target_test": PhantomSet(12, 5, _LESIONS, _ELSEWHERE),
}


def ready(work: Path, name: str, wanted: PhantomSet, spec: DetectorSpec) -> Cache:
    """The scans of one set on the detector's lattice; what is there already is not made again.

    Raises
    ------
    ScaleMAIError
        If a phantom could not be made or prepared.
    """
    folder = work / "phantoms" / name
    overrides = {"preset": "small", **dict(wanted.scanner)}
    with open_phantom_ledger(folder, wanted.seed, overrides, wanted.lesions) as ledger:
        made = write_phantom_cases(
            folder, wanted.n, seed=wanted.seed, ledger=ledger, overrides=overrides,
            lesions=wanted.lesions,
        )  # fmt: skip
        _require(outcome.error for outcome in made)
    cases = sorted(open_cases(folder), key=lambda case: case.id)[: wanted.n]
    return _prepared(cases, name, work, spec)


def frozen(work: Path, hosts: Path, count: int, seed: int, spec: DetectorSpec) -> Cache:
    """Hosts with synthetic tumors that were grown once, as ``scalemai synthesize`` writes them.

    Every host gets three, of the lesions that are grown on the fly and of each bin of sizes as
    often; patches are drawn evenly over the bins in any case.

    Parameters
    ----------
    work
        Folder of the experiments.
    hosts
        Folder of the normal phantoms.
    count
        How many of them.
    seed
        Of the tumors.
    spec
        The detector.
    """
    name = f"frozen-{seed}"
    out = work / "phantoms" / name
    specs = tuple(replace(spec, diameter_mm=size) for spec in GROWN for size in _BINS_MM)
    request = Request(specs=specs, count=(3, 3), seed=seed)
    cases = sorted(open_cases(hosts), key=lambda case: case.id)[:count]
    with open_ledger(out, request) as ledger:
        _require(outcome.error for outcome in synthesize_cases(cases, out, request, ledger=ledger))
    return _prepared(sorted(open_cases(out), key=lambda case: case.id), name, work, spec)


def joined(*caches: Cache) -> Cache:
    """Several sets as one."""
    return Cache(
        caches[0].folder, {name: case for one in caches for name, case in one.cases.items()}, {}
    )


def _prepared(cases: Sequence[Case], name: str, work: Path, spec: DetectorSpec) -> Cache:
    # Phantoms of all sets are called alike.
    own = [replace(case, id=f"{name}_{case.id}") for case in cases]
    cache = prepare_cases(own, spec, work / "cache" / name)
    _require(cache.failures.values())
    return cache


def _require(errors: Any) -> None:
    for error in errors:
        if error:
            raise ScaleMAIError(error)
