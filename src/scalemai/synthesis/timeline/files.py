"""From case to series on disk: grow, write one scan after the other, a whole folder or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalemai.case import Case
from scalemai.errors import ScaleMAIError
from scalemai.io.atomic import atomic_folder
from scalemai.io.nifti import write_mask
from scalemai.preview.animation import View, still_of, view_of, write_animation
from scalemai.preview.growth_curve import write_growth_curve
from scalemai.preview.rows import Row
from scalemai.synthesis.files import Host, read_host, write_images
from scalemai.synthesis.growth.field import render
from scalemai.synthesis.sidecar import checksum, sidecar_of, write_sidecar
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.synthesize import Synthesis
from scalemai.synthesis.target import SIDECAR_NAME, check_target
from scalemai.synthesis.timeline.growth_law import growth_law
from scalemai.synthesis.timeline.record import (
    STAGE_NAME,
    TIMELINE_NAME,
    stage_record,
    timeline_record,
)
from scalemai.synthesis.timeline.schedule import Schedule
from scalemai.synthesis.timeline.series import Frame, Series, plan_series
from scalemai.volume import Mask

__all__ = ["ANIMATION_NAME", "CURVE_NAME", "GrowRequest", "grow_case"]

ANIMATION_NAME = "timeline.gif"
CURVE_NAME = "growth_curve.png"

_POINTS = 200  # of the law on the growth curve
_FIGURE_SPACE = "\u2007"  # as wide as a digit, so that words stand still in a moving picture


@dataclass(frozen=True, kw_only=True)
class GrowRequest:
    """What is asked of every case.

    Parameters
    ----------
    spec
        The lesion as it is in the last scan.
    schedule
        When it is scanned.
    law, doubling_days
        How it grows, see :func:`scalemai.synthesis.timeline.series.grow_series`.
    seed
        Seed of all random streams.
    log_axis
        Whether the growth curve has a logarithmic axis.

    Raises
    ------
    ConfigError
        If the sizes of the schedule do not end with that of the spec, the law is unknown or the
        doubling time impossible.
    """

    spec: LesionSpec
    schedule: Schedule
    law: str = "exponential"
    doubling_days: float | None = None
    seed: int = 0
    log_axis: bool = True

    def __post_init__(self) -> None:
        self.schedule.check_final(self.spec.diameter_mm)
        days = 1.0 if self.doubling_days is None else self.doubling_days
        growth_law(self.law, doubling_days=days, reference_mm3=1.0)


def grow_case(case: Case, out: Path, request: GrowRequest) -> Path:
    """Grow one lesion in one case and write its scans to ``out / case.id``.

    Each scan has a folder, ``day_0090``, with ``ct.nii.gz``, ``segmentations/NAME.nii.gz`` of the
    organ and the lesion, ``lesions.nii.gz`` with the number of each synthetic lesion, and
    ``stage.json``; the last one has the sidecar of a synthetic case, too. Beside them lie
    ``timeline.json``, ``growth_curve.png`` and ``timeline.gif``. Of a lesion below what the scan
    shows the mask is empty: it says that none is there.

    Parameters
    ----------
    case
        The host.
    out
        Folder of the series.
    request
        What is asked.

    Returns
    -------
    Path
        The folder of the series.

    Raises
    ------
    CaseError
        If the host cannot be read or used, has no room, or the result cannot be written.
    ConfigError
        If something else would be replaced, or the request is impossible.
    """
    folder = out / case.id
    check_target(case, folder, marker=TIMELINE_NAME)
    try:
        host = read_host(case, [request.spec])
        series = plan_series(
            host.volume,
            host.boxes,
            request.spec,
            request.schedule,
            case_id=case.id,
            seed=request.seed,
            law=request.law,
            doubling_days=request.doubling_days,
        )
    except ScaleMAIError as error:
        if error.where is None:  # so that a batch can list it
            error.where = case.id
        raise
    with atomic_folder(folder) as temporary:
        _write_series(temporary, folder, case, host, series, request)
    return folder


def _write_series(
    temporary: Path,
    folder: Path,
    case: Case,
    host: Host,
    series: Series,
    request: GrowRequest,
) -> None:
    """Scans one by one, last to first: in memory are the host and the scan at hand."""
    view = _view(series)
    sidecars = (temporary / series.names[-1] / SIDECAR_NAME, temporary / TIMELINE_NAME)
    before = checksum(host.volume)
    records: list[dict[str, Any]] = []
    stills: list[Row] = []
    moved: tuple[str, ...] = ()
    for frame in series.backwards():
        place = temporary / frame.name
        record, still, pushed = _write_scan(place, case, host, frame, view, series.days[-1])
        if frame.name == series.names[-1]:
            moved = pushed
        records.insert(0, record)
        stills.insert(0, still)
    last = series.last.synthesis
    for sidecar in sidecars:
        content = sidecar_of(
            case,
            last,
            [request.spec],
            tuple(host.boxes),
            host.organs,
            host_crc32=before,
            seed=request.seed,
            folder=folder / sidecar.parent.relative_to(temporary),
            moved=moved,
            notes=host.notes,
        )
        if sidecar.name == TIMELINE_NAME:
            drawn = request.doubling_days is None
            content = timeline_record(series, request.schedule, records, content, drawn=drawn)
        write_sidecar(sidecar, content)
    write_animation(temporary / ANIMATION_NAME, stills)
    _write_curve(temporary / CURVE_NAME, series, records, case.id, log=request.log_axis)


def _write_scan(
    place: Path, case: Case, host: Host, frame: Frame, view: View, last_day: float
) -> tuple[dict[str, Any], Row, tuple[str, ...]]:
    """Write one scan; return its record, its picture, and further masks that were pushed."""
    place.mkdir()
    result = frame.synthesis
    name = frame.stages[0].name
    mask = result.mask(name)
    pushed = write_images(place, case, host, result)
    if not frame.lesions:  # an empty mask says that none is there
        write_mask(place / "segmentations" / f"{name}.nii.gz", mask, result.volume)
    record = stage_record(frame, case.id, present=bool(mask.array.any()), volume=result.volume)
    write_sidecar(place / STAGE_NAME, record)
    alone = Synthesis(result.volume, result.lesions, result.effects, {}).mask(name)
    return record, still_of(result.volume, [alone], view, _words(frame, last_day), case.id), pushed


def _view(series: Series) -> View:
    """The axial plane through the first lesion of the series, where the last one is largest."""
    scene, grid = series.scenes[0], series.host.grid
    final, around = scene.final, scene.around
    axis = grid.axial_axis
    first = render(final.field, final.recipe, around, series.edge(0))
    if first is not None and first.filled.any():
        fullest = np.argwhere(first.filled >= 0.5 * first.filled.max())
        starts = zip(first.box, around.region, strict=True)
        voxels = fullest + [inner.start + outer.start for inner, outer in starts]
    else:
        voxels = np.rint(grid.to_voxel([final.recipe.centre_mm])).astype(int)
    across = tuple(other for other in range(3) if other != axis)
    areas = np.zeros(grid.shape[axis], int)
    areas[final.region[axis]] = np.count_nonzero(final.mask, axis=across)
    heights = voxels[:, axis]
    there = voxels[heights == heights[areas[heights].argmax()]]
    apart = np.square((there - there.mean(axis=0)) * np.array(grid.spacing_mm)).sum(axis=1)
    x, y, z = (float(value) for value in grid.to_world(there[apart.argmin()]))
    whole = Mask(final.mask, grid.crop(final.region), final.recipe.lesion)
    return view_of(series.host, whole, (x, y, z))


def _words(frame: Frame, last_day: float) -> list[str]:
    width = len(f"{last_day:.0f}")
    day = f"{frame.day:>{width}.0f}".replace(" ", _FIGURE_SPACE)
    if frame.lesion is None:
        return [f"day {day}", "below what the scan shows"]
    diameter = frame.lesion.measures.longest_axial_diameter_mm
    size = f"{diameter:>5.1f}".replace(" ", _FIGURE_SPACE)
    return [f"day {day}", f"{size} mm longest axial diameter"]


def _write_curve(
    path: Path, series: Series, records: Sequence[Mapping[str, Any]], case_id: str, *, log: bool
) -> None:
    law, recipe = series.law, series.recipe
    measured, unseen = [], []
    for record in records:
        lesion = record["lesions"][0]
        if lesion["measured"] is None:
            unseen.append((record["day"], lesion["law_mm3"]))
        else:
            measured.append((record["day"], lesion["measured"]["volume_mm3"]))
    days = [float(day) for day in np.linspace(0.0, series.days[-1], _POINTS)]
    when = " at the last scan" if law.name == "gompertz" else ""
    write_growth_curve(
        path,
        [(day, law.volume_mm3(day)) for day in days],
        measured,
        unseen,
        title=f"{case_id}    {recipe.kind} of the {recipe.organ}, {law.name} growth, "
        f"volume doubles in {law.doubling_days:,.0f} days{when}",
        log=log,
    )
