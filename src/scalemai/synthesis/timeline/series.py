"""The time machine: one lesion as a series of scans.

The scans are cut from one growth field at earlier arrival times, those at which the lesion had
the volume that the growth law says. So every earlier lesion lies within every later one, and the
last scan is the lesion as it is synthesized without a schedule, bit for bit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.anatomy import organ
from scalemai.errors import PlacementError
from scalemai.geometry import Region
from scalemai.synthesis.growth.neighbourhood import Neighbourhood
from scalemai.synthesis.growth.tissue import StructureBox
from scalemai.synthesis.painting.lesion import Lesion
from scalemai.synthesis.patient import Effects, Patient, cropped
from scalemai.synthesis.recipe import Recipe
from scalemai.synthesis.spec import LesionSpec, random_stream
from scalemai.synthesis.synthesize import Synthesis, synthesize_into
from scalemai.synthesis.timeline.growth_law import GrowthLaw, draw_doubling_days, growth_law
from scalemai.synthesis.timeline.schedule import Schedule
from scalemai.synthesis.timeline.stage import (
    Scene,
    Stage,
    edge_of_size,
    held_within,
    lesion_at,
    scene_of,
)
from scalemai.volume import Mask, Volume

__all__ = ["Frame", "Series", "Timeline", "frame_at", "grow_series", "plan_series"]

_MOST_DECIMALS = 6


@dataclass(frozen=True, eq=False)
class Frame:
    """One scan of a series: what differs from the host, on the smallest box that holds it.

    Parameters
    ----------
    day
        Days since the first scan.
    name
        The day as the name of a folder, for example ``"day_0090"``.
    stages
        Its lesions: the one asked for, then its satellites.
    effects
        What each lesion that the scan shows did to its surroundings.
    boxes
        The masks that were given, as they are on that day.
    host
        The CT without lesions.
    region, stored
        The box, and the CT's stored numbers there; None and empty if nothing is to be seen.
    """

    day: float
    name: str
    stages: tuple[Stage, ...]
    effects: tuple[Effects, ...]
    boxes: Mapping[str, StructureBox]
    host: Volume
    region: Region | None
    stored: NDArray[Any]

    @property
    def lesion(self) -> Lesion | None:
        """The lesion asked for; None if it is below what the scan shows."""
        return self.stages[0].lesion

    @property
    def lesions(self) -> tuple[Lesion, ...]:
        """All that the scan shows."""
        return tuple(stage.lesion for stage in self.stages if stage.lesion is not None)

    @property
    def volume(self) -> Volume:
        """The CT of that day, made anew each time; the host itself where nothing is to be seen."""
        if self.region is None:
            return self.host
        copy = self.host.stored.copy(order="K")
        copy[self.region] = self.stored
        return self.host.with_stored(copy)

    @property
    def synthesis(self) -> Synthesis:
        """The scan as a synthetic case: volume, lesions, and masks as they are on that day."""
        return Synthesis(self.volume, self.lesions, self.effects, self.boxes)


@dataclass(frozen=True, eq=False)
class Series:
    """What is needed to make any scan of a lesion.

    Parameters
    ----------
    host, boxes
        The CT without lesions, and its masks.
    scenes, laws
        The lesions as they are in the end, and how the volume of each follows from the day.
    days, names
        Days since the first scan, and names of folders.
    edges
        Arrival times of the first lesion's border, where sizes are asked for; else None.
    last
        The last scan.
    """

    host: Volume
    boxes: Mapping[str, StructureBox]
    scenes: tuple[Scene, ...]
    laws: tuple[GrowthLaw, ...]
    days: tuple[float, ...]
    names: tuple[str, ...]
    edges: tuple[float | None, ...]
    last: Frame

    @property
    def recipe(self) -> Recipe:
        """What was drawn for the lesion asked for."""
        return self.scenes[0].final.recipe

    @property
    def law(self) -> GrowthLaw:
        """How the volume of the lesion asked for follows from the day."""
        return self.laws[0]

    def edge(self, number: int, place: int = 0) -> float:
        """Arrival time of a lesion's border in a scan."""
        front = self.edges[number] if place == 0 else None
        if front is not None:
            return front
        return self.scenes[place].curve.edge_of(self.laws[place].volume_mm3(self.days[number]))

    def backwards(self) -> Iterator[Frame]:
        """The scans, last to first: each needs the one after it, and no other is held."""
        frame = self.last
        yield frame
        for number in range(len(self.days) - 2, -1, -1):
            frame = frame_at(self, number, frame)
            yield frame


@dataclass(frozen=True, eq=False)
class Timeline:
    """A lesion over time.

    Parameters
    ----------
    frames
        The scans, first to last.
    recipe
        What was drawn; all scans are painted from it.
    law
        How its volume follows from the day.
    """

    frames: tuple[Frame, ...]
    recipe: Recipe
    law: GrowthLaw


def grow_series(
    volume: Volume,
    masks: Mapping[str, Mask],
    spec: LesionSpec,
    schedule: Schedule,
    *,
    case_id: str,
    seed: int,
    law: str = "exponential",
    doubling_days: float | None = None,
) -> Timeline:
    """Grow one lesion in one CT and look at it at several times.

    Parameters
    ----------
    volume, masks, case_id, seed
        As for :func:`scalemai.synthesis.synthesize.synthesize_volume`, whose lesion the last scan
        shows.
    spec
        The lesion as it is in the last scan.
    schedule
        Days since the first scan, or longest axial diameters in mm, the last of which is that of
        the spec.
    law
        ``"exponential"`` or ``"gompertz"``.
    doubling_days
        Days in which the volume doubles, for Gompertz growth at the final volume; drawn from the
        facts of the lesion's kind if None.

    Raises
    ------
    GeometryError, MissingStructureError, PlacementError
        As for :func:`scalemai.synthesis.synthesize.synthesize_volume`; and if two sizes look alike
        on this scan, or there was no room for one.
    ConfigError
        If the law is unknown, the doubling time impossible, or the sizes do not end with that of
        the spec.
    """
    series = plan_series(
        volume, cropped(volume, masks), spec, schedule,
        case_id=case_id, seed=seed, law=law, doubling_days=doubling_days,
    )  # fmt: skip
    frames = tuple(series.backwards())[::-1]
    return Timeline(frames, series.recipe, series.law)


def plan_series(
    volume: Volume,
    boxes: Mapping[str, StructureBox],
    spec: LesionSpec,
    schedule: Schedule,
    *,
    case_id: str,
    seed: int,
    law: str = "exponential",
    doubling_days: float | None = None,
) -> Series:
    """As :func:`grow_series`, with cropped masks: the last scan, and when the others are.

    No more than two volumes are in memory at a time, however many scans there are.
    """
    schedule.check_final(spec.diameter_mm)
    copy = volume.with_stored(volume.stored.copy(order="K"))
    last = synthesize_into(copy, boxes, [spec], case_id=case_id, seed=seed)
    region, stored = _difference(volume, last.volume)
    patient = Patient(volume, dict(boxes))  # as it was: nothing is put in
    scenes = tuple(scene_of(patient, lesion) for lesion in last.lesions)
    recipe = scenes[0].final.recipe
    if doubling_days is None:
        times = organ(recipe.organ).kind(recipe.kind).doubling_time_of(recipe.form)
        stream = random_stream(seed, case_id, recipe.number, "doubling time")
        doubling_days = draw_doubling_days(times, stream)
    laws = [
        growth_law(law, doubling_days=doubling_days, reference_mm3=scene.final_mm3)
        for scene in scenes
    ]
    edges: tuple[float | None, ...] = (None,) * len(schedule)
    days = schedule.at_days
    if schedule.at_mm:
        fronts = _edges_of_sizes(scenes[0], schedule.at_mm, case_id)
        then = [laws[0].day_of(scenes[0].curve.volume_mm3(edge)) for edge in fronts]
        edges, days = tuple(fronts), tuple(day - then[0] for day in then)
    laws = [replace(one, reference_day=days[-1]) for one in laws]
    names = _names(days, case_id)
    stages = tuple(
        Stage(
            scene.final.recipe.lesion,
            scene.final.edge,
            scene.final_mm3,
            scene.final_mm3,
            scene.final,
        )
        for scene in scenes
    )
    frame = Frame(days[-1], names[-1], stages, last.effects, last.boxes, volume, region, stored)
    return Series(volume, boxes, scenes, tuple(laws), days, names, edges, frame)


def frame_at(series: Series, number: int, later: Frame) -> Frame:
    """One scan of a series, earlier than the last.

    Parameters
    ----------
    series
        The lesions and their growth.
    number
        Which scan, from 0.
    later
        The next scan: its masks hold those of this one.
    """
    seen = {place for place, stage in enumerate(later.stages) if stage.lesion is not None}
    while True:
        patient, lesions = _patient_at(series, number, later, seen)
        if lesions.keys() == seen:
            break
        seen = set(lesions)  # without those of which nothing is left, as if they were not there
    day = series.days[number]
    stages = tuple(
        Stage(
            scene.final.recipe.lesion,
            series.edge(number, place),
            law.volume_mm3(day),
            scene.curve.volume_mm3(series.edge(number, place)),
            lesions.get(place),
        )
        for place, (scene, law) in enumerate(zip(series.scenes, series.laws, strict=True))
    )
    region, stored = _difference(series.host, patient.volume)
    return Frame(
        day, series.names[number], stages, tuple(patient.effects), patient.boxes, series.host,
        region, stored,
    )  # fmt: skip


def _patient_at(
    series: Series, number: int, later: Frame, seen: Collection[int]
) -> tuple[Patient, dict[int, Lesion]]:
    """The patient on one day with the lesions at some places, and those that have a voxel."""
    host = series.host
    patient = Patient(host.with_stored(host.stored.copy(order="K")), dict(series.boxes))
    put = []
    for place in sorted(seen):
        scene, within = series.scenes[place], later.stages[place].lesion
        assert within is not None  # only what is seen later may be seen now
        paint = partial(_paint, scene=scene, edge=series.edge(number, place), within=within)
        grown = paint(patient.volume, patient.around(scene.final.recipe))
        if grown is not None:
            patient.put(grown, paint)
            put.append((place, within))
    lesions: dict[int, Lesion] = {}
    # As they are in the end: one lesion may have moved another, or filled the lumen of a vessel.
    for (place, within), lesion in zip(put, patient.lesions, strict=True):
        held = held_within(lesion, within, patient.volume)
        if held is not None:
            lesions[place] = held
    return patient, lesions


def _paint(
    volume: Volume, around: Neighbourhood, *, scene: Scene, edge: float, within: Lesion
) -> Lesion | None:
    return lesion_at(volume, around, scene, edge, within)


def _difference(host: Volume, volume: Volume) -> tuple[Region | None, NDArray[Any]]:
    """The smallest box in which two volumes of one grid differ, and the second's numbers there.

    Slice by slice, so that no third volume is made.
    """
    planes = np.zeros(host.grid.shape[:2], np.bool_)
    heights = np.zeros(host.grid.shape[2], np.bool_)
    for k in range(heights.size):
        differs = host.stored[:, :, k] != volume.stored[:, :, k]
        heights[k] = differs.any()
        if heights[k]:
            planes |= differs
    if not heights.any():
        return None, np.empty((0, 0, 0), host.stored.dtype)
    found = (np.flatnonzero(hit) for hit in (planes.any(axis=1), planes.any(axis=0), heights))
    a, b, c = (slice(int(hit[0]), int(hit[-1]) + 1) for hit in found)
    return (a, b, c), volume.stored[a, b, c].copy()


def _edges_of_sizes(scene: Scene, sizes_mm: Sequence[float], case_id: str) -> list[float]:
    """Arrival times at which the mask has longest axial diameters; the last is the final one."""
    edges = [edge_of_size(scene, size) for size in sizes_mm[:-1]] + [scene.final.edge]
    for (size, edge), (next_size, next_edge) in pairwise(zip(sizes_mm, edges, strict=True)):
        if edge >= next_edge:
            reached = scene.final.measures.longest_axial_diameter_mm
            what = f"{size:g} and {next_size:g} mm look alike on this scan"
            if size >= reached:
                what = f"there is room for {reached:.1f} mm only, not for {size:g} mm"
            fix = "give sizes further apart, or another place"
            raise PlacementError(what, where=case_id, fix=fix)
    return edges


def _names(days: Sequence[float], case_id: str) -> tuple[str, ...]:
    """One name per scan: whole days, or as many decimals as tell the scans apart."""
    for decimals in range(_MOST_DECIMALS + 1):
        width = 4 + (decimals + 1 if decimals else 0)
        names = tuple(f"day_{day:0{width}.{decimals}f}" for day in days)
        if len(set(names)) == len(names):
            return names
    what = "two scans fall on the same day"
    raise PlacementError(what, where=case_id, fix="give times or sizes further apart")
