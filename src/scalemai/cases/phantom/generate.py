"""From a spec to a case on disk: patient, lesions, scan, files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai._version import __version__
from scalemai.case import check_case_id
from scalemai.cases.phantom.anatomy import Anatomy, build_anatomy
from scalemai.cases.phantom.lesion_draw import LesionDraw
from scalemai.cases.phantom.lesion_recipes import PhantomLesion
from scalemai.cases.phantom.lesions import PlacedLesion, add_lesions
from scalemai.cases.phantom.scanner import acquire
from scalemai.cases.phantom.spec import PhantomSpec, sample_spec
from scalemai.errors import PlacementError
from scalemai.geometry import Grid
from scalemai.io.atomic import atomic_folder
from scalemai.io.nifti import write_mask, write_volume
from scalemai.volume import Mask, Volume

__all__ = ["Phantom", "generate_phantom", "write_phantom", "write_phantom_case"]


_ATTEMPTS = 8


@dataclass(frozen=True, eq=False)
class Phantom:
    """A scanned phantom with its exact masks.

    Parameters
    ----------
    volume
        The CT, int16 HU.
    structures
        Canonical structure name to mask, lesions among them; a mask is made when asked for.
    metadata
        Plain types: ``spec``, ``lesions``, ``version``, ``origin``.
    """

    volume: Volume
    structures: Mapping[str, Mask]
    metadata: Mapping[str, Any]


class _Masks(Mapping[str, Mask]):
    """Arrays by name, each given its grid when asked for."""

    def __init__(self, arrays: Mapping[str, NDArray[np.bool_]], grid: Grid) -> None:
        self._arrays, self._grid = arrays, grid

    def __getitem__(self, name: str) -> Mask:
        return Mask(self._arrays[name], self._grid, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __contains__(self, name: object) -> bool:
        return name in self._arrays


def generate_phantom(
    spec: PhantomSpec, lesions: Sequence[PhantomLesion] | LesionDraw = ()
) -> Phantom:
    """Build a patient, add lesions and scan it.

    Parameters
    ----------
    spec
        Patient, phase, scanner and grid.
    lesions
        Lesions to add, or what to draw them from; places that are left open are drawn from the
        seed. Of drawn lesions others are drawn if there is no room for them.

    Returns
    -------
    Phantom

    Raises
    ------
    MissingStructureError
        If the organ of a lesion is outside the field of view.
    UnknownNameError
        If the organ of a lesion is not a known structure.
    PlacementError
        If there is no room for a lesion.
    """
    anatomy, placed = _with_lesions(build_anatomy(spec), lesions, spec)
    stored = acquire(anatomy.ideal_hu, anatomy.grid, spec, spec.stream("scanner"))
    metadata = {
        "origin": "synthetic phantom",
        "version": __version__,
        "seed": spec.seed,
        "phase": spec.phase,
        "sex": spec.sex,
        "age": spec.age_years,
        "spec": asdict(spec),
        "lesions": [_lesion_facts(lesion) for lesion in placed],
    }
    volume = Volume(stored, anatomy.grid, metadata={"phase": spec.phase, "sex": spec.sex})
    return Phantom(volume, _Masks(anatomy.structures, anatomy.grid), metadata)


def _with_lesions(
    anatomy: Anatomy, lesions: Sequence[PhantomLesion] | LesionDraw, spec: PhantomSpec
) -> tuple[Anatomy, tuple[PlacedLesion, ...]]:
    if not isinstance(lesions, LesionDraw):
        return add_lesions(anatomy, lesions, spec.stream("lesions"))
    for attempt in range(_ATTEMPTS - 1):
        try:
            return add_lesions(anatomy, lesions.lesions(spec, attempt), spec.stream("lesions"))
        except PlacementError:
            continue  # large ones do not fit into every patient
    last = lesions.lesions(spec, _ATTEMPTS - 1)
    return add_lesions(anatomy, last, spec.stream("lesions"))


def _lesion_facts(placed: Any) -> dict[str, Any]:
    facts = asdict(placed)
    # The box depends on the grid and can be had from the mask.
    del facts["region"]
    return facts


def write_phantom(phantom: Phantom, folder: Path, case_id: str) -> Path:
    """Write a case folder: ``ct.nii.gz``, ``segmentations/NAME.nii.gz`` and ``metadata.json``.

    Parameters
    ----------
    phantom
        What to write.
    folder
        Where the case folder goes; made if absent.
    case_id
        Name of the case folder; a folder of that name is replaced as a whole.

    Returns
    -------
    Path
        The case folder.

    Raises
    ------
    ConfigError
        If the case id is not safe as a file name.
    OutputError
        If the files cannot be written.
    """
    final = Path(folder) / check_case_id(case_id)
    with atomic_folder(final) as partial:
        write_volume(partial / "ct.nii.gz", phantom.volume)
        for name in phantom.structures:
            mask = phantom.structures[name]
            write_mask(partial / "segmentations" / f"{name}.nii.gz", mask, phantom.volume)
        text = json.dumps(phantom.metadata, indent=2, sort_keys=True, allow_nan=False)
        (partial / "metadata.json").write_text(text + "\n", encoding="utf-8")
    return final


def write_phantom_case(
    out: Path,
    index: int,
    seed: int,
    *,
    lesions: Sequence[PhantomLesion] | LesionDraw = (),
    **overrides: Any,
) -> Path:
    """Write phantom number ``index`` of the data set of ``seed``.

    Parameters
    ----------
    out
        Folder of the data set.
    index
        Number of the case from 0; together with ``seed`` it fixes every voxel.
    seed
        Seed of the data set.
    lesions
        Lesions to add, or what to draw them from.
    **overrides
        Fields of :class:`~scalemai.cases.phantom.spec.PhantomSpec`, or ``preset``, as
        :func:`~scalemai.cases.phantom.spec.sample_spec` takes them.

    Returns
    -------
    Path
        The case folder, ``out/phantom_NNNNN``.

    Raises
    ------
    ConfigError
        If an override is wrong.
    OutputError
        If the files cannot be written.
    """
    own = int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint32)[0])
    phantom = generate_phantom(sample_spec(own, **overrides), lesions)
    return write_phantom(phantom, out, f"phantom_{index:05d}")
