"""One case: from its CT to probabilities on its own grid and findings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scalemai._version import __version__
from scalemai.anatomy import Organ, canonical, structure
from scalemai.anatomy import organ as facts_of
from scalemai.case import Case
from scalemai.detector.files import Detector, weights_digest
from scalemai.detector.preprocessing import interpolate, prepare, region_of_interest, whole
from scalemai.detector.spec import DetectorSpec
from scalemai.errors import ConfigError, IntensityError, UnknownNameError
from scalemai.geometry import Grid, Region
from scalemai.inference.device import Engine, started
from scalemai.inference.findings import Finding, find, measure, total_levels
from scalemai.inference.organ import read_organ_mask
from scalemai.inference.parts import locate, parts_of, sides_of
from scalemai.inference.settings import Runtime, Settings
from scalemai.inference.windows import FULL, plan_windows, predict_levels
from scalemai.volume import Mask, Volume

__all__ = ["Prediction", "class_structures", "predict_case", "require_alike"]

_SLAB = 32  # rows of the CT that are interpolated at once


@dataclass(frozen=True, eq=False)
class Prediction:
    """What detectors say of one case.

    Parameters
    ----------
    case_id
        The case.
    volume
        Its CT, whose grid and header everything is written with.
    organ
        The organ that was looked at.
    structures
        Structure name of each class, in the order of the detector.
    region
        The box of the CT that was looked at; elsewhere probabilities are 0.
    levels
        Array (classes, i, j, k) of the box, uint16: probabilities in steps of 2**-15.
    labels
        Array (i, j, k) of the box: 0, or the number of the class of a finding's voxel, from 1.
    findings
        Connected pieces of ``labels``, by descending volume.
    provenance
        Detectors, settings, machine and inputs, in JSON types.
    """

    case_id: str
    volume: Volume
    organ: Organ
    structures: tuple[str, ...]
    region: Region
    levels: NDArray[np.uint16]
    labels: NDArray[np.uint8]
    findings: tuple[Finding, ...]
    provenance: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Structures that there are maps and masks of: any lesion of the organ, then its kinds."""
        return tuple(dict.fromkeys((self.organ.lesion, *self.structures)))

    def levels_of(self, name: str) -> NDArray[np.uint16]:
        """Probabilities of a structure of :attr:`names` in the box, in steps of 2**-15."""
        if name == self.organ.lesion:
            return total_levels(self.levels)
        levels: NDArray[np.uint16] = self.levels[self._number(name)]
        return levels

    def probability(self, name: str) -> NDArray[np.float32]:
        """Probabilities of a structure in the box ``region``, float32."""
        return self.levels_of(name).astype(np.float32) / np.float32(FULL)

    def mask(self, name: str) -> Mask:
        """Mask of a structure on the whole grid of the CT."""
        inside = self.labels > 0
        if name != self.organ.lesion:
            inside = self.labels == 1 + self._number(name)
        array = np.zeros(self.volume.grid.shape, np.bool_, order="F")
        array[self.region] = inside
        return Mask(array, self.volume.grid, name)

    def _number(self, name: str) -> int:
        if name not in self.structures:
            raise UnknownNameError("structure of the prediction", name, self.names)
        return self.structures.index(name)


def class_structures(spec: DetectorSpec) -> tuple[str, ...]:
    """Structure name of each class of a detector: ``pancreatic_pdac`` for ``pdac``."""
    facts = facts_of(spec.organ)
    stem = facts.lesion.rpartition("_")[0]
    names = []
    for kind in spec.classes:
        name = kind if kind == facts.lesion else f"{stem}_{kind}"
        try:
            known = canonical(name)
            name = known if structure(known).group == "lesion" else name
        except UnknownNameError:
            pass  # a kind without a structure of its own keeps its descriptive name
        names.append(name)
    return tuple(names)


def require_alike(detectors: Sequence[Detector]) -> DetectorSpec:
    """The spec that the detectors of an ensemble share in what they look for.

    Raises
    ------
    ConfigError
        If there is none, or they look for different things, or only some need the organ's mask.
    """
    if not detectors:
        raise ConfigError("no detector is given", fix="give the folder of one")
    first = detectors[0].spec
    for other in detectors[1:]:
        for what, one, two in (
            ("organ", first.organ, other.spec.organ),
            ("classes", first.classes, other.spec.classes),
        ):
            if one != two:
                text = f"an ensemble of different {what}: {one} and {two}"
                fix = "average detectors that look for the same"
                raise ConfigError(text, where="detectors", fix=fix)
    # The one that asks most of a case speaks for all.
    return next((d.spec for d in detectors if d.spec.preprocessing.organ_channel), first)


def predict_case(
    detectors: Detector | Sequence[Detector],
    case: Case,
    settings: Settings | None = None,
    runtime: Runtime | None = None,
    *,
    masks: Case | None = None,
) -> Prediction:
    """Look for lesions in one case.

    Parameters
    ----------
    detectors
        One, or several whose probabilities are averaged.
    case
        The case; masks of lesions that it may have are not looked at.
    settings, runtime
        By default those of :class:`Settings` and :class:`Runtime`.
    masks
        The same case with the masks of its organs, if they come from elsewhere
        (:func:`scalemai.inference.organ.with_masks_of`).

    Raises
    ------
    ConfigError
        If the detectors do not look for the same, or the device is not there.
    MissingStructureError
        If the organ's mask is needed and absent, or empty.
    GeometryError, IntensityError, UnreadableFileError
        As of :meth:`scalemai.case.Case.volume` and :meth:`scalemai.case.Case.mask`; and if a
        network's output is not finite.
    """
    many = (detectors,) if isinstance(detectors, Detector) else tuple(detectors)
    chosen = settings or Settings()
    spec = require_alike(many)
    facts = facts_of(spec.organ)
    given = masks or case
    with started(runtime or Runtime()) as engine:
        volume = case.volume()
        grid = volume.grid
        organ, added_ml = read_organ_mask(given, spec, grid, chosen.closing_mm)
        region = whole(grid)
        if organ is not None and not chosen.whole_scan:
            margin_mm = max(one.spec.preprocessing.margin_mm for one in many)
            region = region_of_interest(organ, margin_mm)
        levels, windows = _levels(many, volume, organ, region, engine, chosen, case.id)
    labels, pieces = find(levels, grid, region, chosen.threshold, chosen.minimum_mm3)
    findings = measure(
        pieces,
        levels,
        volume,
        region,
        kinds=() if spec.classes == (facts.lesion,) else spec.classes,
        organ=organ,
        sites=locate(pieces, parts_of(given, grid, facts.sites), region) if pieces else {},
        parts=locate(pieces, _structures(given, facts, organ, grid), region) if pieces else {},
    )
    provenance = {
        "version": __version__,
        "detectors": [_described(one) for one in many],
        "settings": asdict(chosen),
        "runtime": {
            "device": str(engine.device),
            "precision": engine.precision,
            "threads": engine.threads,
            "torch": str(torch.__version__),
        },
        "ct": {
            "shape": list(grid.shape),
            "affine": grid.affine.tolist(),
            "voxels_sha256": _voxels_digest(volume),
        },
        "organ": None
        if organ is None
        else {
            "structures": list(given.parts(facts.name)),
            "volume_ml": organ.volume_ml,
            "closed_ml": added_ml,
        },
        "region": [[s.start, s.stop] for s in region],
        "windows": windows,
    }
    return Prediction(
        case.id,
        volume,
        facts,
        class_structures(spec),
        region,
        levels,
        labels,
        findings,
        provenance,
    )


def _levels(
    detectors: Sequence[Detector],
    volume: Volume,
    organ: Mask | None,
    region: Region,
    engine: Engine,
    settings: Settings,
    case_id: str,
) -> tuple[NDArray[np.uint16], int]:
    """Mean probabilities of the box on the CT's grid, and how many windows were looked at."""
    lattices: list[tuple[Grid, NDArray[np.uint16]]] = []
    windows = 0
    for detector in detectors:
        prepared = prepare(volume, organ, detector.spec.preprocessing, region=region)
        plan = plan_windows(prepared, detector.spec.patch, settings)
        windows += len(plan)
        try:
            found = predict_levels(detector, prepared, plan, engine, settings)
        except IntensityError as error:
            error.where = error.where or case_id
            raise
        lattices.append((prepared.grid, found))
        del prepared, plan  # a gigabyte each if it is a whole scan
    box = volume.grid.crop(region)
    levels = np.zeros((len(detectors[0].spec.classes), *box.shape), np.uint16)
    axis = int(np.argmax(box.shape))
    for start in range(0, box.shape[axis], _SLAB):
        rows = [slice(0, n) for n in box.shape]
        rows[axis] = slice(start, min(start + _SLAB, box.shape[axis]))
        part = (rows[0], rows[1], rows[2])
        target = box.crop(part)
        for number, into in enumerate(levels):
            total = np.zeros(target.shape, np.float32)
            for grid, found in lattices:
                total += interpolate(found[number], grid, target)
            into[part] = np.rint(total / len(lattices))
    return levels, windows


def _structures(
    case: Case, facts: Organ, organ: Mask | None, grid: Grid
) -> Iterator[tuple[str, Mask]]:
    """The structures that make up an organ of several, by their masks or by where they lie."""
    if len(facts.structures) == 1:
        return
    if any(case.has(name) for name in facts.structures):
        yield from parts_of(case, grid, {name: (name,) for name in facts.structures})
    elif organ is not None:
        yield from sides_of(organ, facts.structures)


def _described(detector: Detector) -> dict[str, Any]:
    return {
        "weights_sha256": weights_digest(detector),
        "organ": detector.spec.organ,
        "classes": list(detector.spec.classes),
    }


def _voxels_digest(volume: Volume) -> str:
    """SHA-256 of the numbers as they are stored, in Fortran order."""
    digest = hashlib.sha256()
    for k in range(volume.stored.shape[2]):
        digest.update(volume.stored[:, :, k].tobytes(order="F"))
    return digest.hexdigest()
