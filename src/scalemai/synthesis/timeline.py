"""The time machine: one lesion as a series of scans.

The scans are cut from one growth field at earlier arrival times, those at which the lesion had
the volume that the growth law says. So every earlier lesion lies within every later one, and the
last scan is the lesion as it is synthesized without a schedule, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from scalemai.anatomy import organ
from scalemai.errors import PlacementError
from scalemai.synthesis.field import search_radius_mm
from scalemai.synthesis.field_volume import volume_curve
from scalemai.synthesis.growth_law import GrowthLaw, draw_doubling_days, growth_law
from scalemai.synthesis.lesion import Lesion
from scalemai.synthesis.neighbourhood import neighbourhood
from scalemai.synthesis.recipe import Recipe
from scalemai.synthesis.schedule import Schedule
from scalemai.synthesis.spec import LesionSpec, random_stream
from scalemai.synthesis.stage import Scene, Stage, edge_of_size, lesion_at
from scalemai.synthesis.synthesize import Organs, Synthesis, grow_lesions, paint_in_place
from scalemai.synthesis.tissue import StructureBox, crop_mask
from scalemai.volume import Mask, Volume

__all__ = ["Frame", "Timeline", "frame_at", "grow_series", "grow_timeline"]

_MOST_DECIMALS = 6


@dataclass(frozen=True, eq=False)
class Frame:
    """One scan of a series.

    Parameters
    ----------
    day
        Days since the first scan.
    name
        The day as the name of a folder, for example ``"day_0090"``.
    stages
        Its lesions: the one asked for, then its satellites.
    host
        The CT without lesions.
    """

    day: float
    name: str
    stages: tuple[Stage, ...]
    host: Volume

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
        """The CT of that day, painted anew each time: a series holds no voxels but the host's.

        Where nothing is to be seen it is the host itself.
        """
        if not self.lesions:
            return self.host
        copy = self.host.with_stored(self.host.stored.copy(order="K"))
        paint_in_place(copy, self.lesions)
        return copy

    def mask(self, lesion: str, existing: StructureBox | None = None) -> Mask:
        """Its lesions of one mask name on the volume's grid; empty if it shows none.

        ``existing`` adds lesions that the host has.
        """
        return Synthesis(self.host, self.lesions).mask(lesion, existing)


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
    boxes: dict[str, StructureBox] = {}
    for name, mask in masks.items():
        mask.require_grid(volume.grid)
        box = crop_mask(mask)
        if box is not None:
            boxes[name] = StructureBox(name, box.region, box.array)
    return grow_timeline(
        volume, boxes, spec, schedule,
        case_id=case_id, seed=seed, law=law, doubling_days=doubling_days,
    )  # fmt: skip


def grow_timeline(
    volume: Volume,
    boxes: Mapping[str, StructureBox],
    spec: LesionSpec,
    schedule: Schedule,
    *,
    case_id: str,
    seed: int,
    law: str = "exponential",
    doubling_days: float | None = None,
) -> Timeline:
    """:func:`grow_series` with masks that are cropped already."""
    schedule.check_final(spec.diameter_mm)
    lesions = grow_lesions(volume, boxes, [spec], case_id=case_id, seed=seed)
    scenes = _scenes(volume, boxes, lesions)
    recipe = scenes[0].final.recipe
    if doubling_days is None:
        times = organ(recipe.organ).kind(recipe.kind).doubling_time
        stream = random_stream(seed, case_id, recipe.number, "doubling time")
        doubling_days = draw_doubling_days(times, stream)
    laws = [
        growth_law(law, doubling_days=doubling_days, reference_mm3=scene.final_mm3)
        for scene in scenes
    ]
    if schedule.at_days:
        days = schedule.at_days
        edges: Sequence[float | None] = [None] * len(days)
    else:
        edges = _edges_of_sizes(scenes[0], schedule.at_mm, case_id)
        then = [laws[0].day_of(scenes[0].curve.volume_mm3(edge)) for edge in edges]
        days = tuple(day - then[0] for day in then)
    laws = [replace(one, reference_day=days[-1]) for one in laws]
    frames: list[Frame] = []
    for day, name, edge in reversed(list(zip(days, _names(days, case_id), edges, strict=True))):
        later = frames[-1] if frames else None
        frames.append(frame_at(volume, scenes, laws, day, name, later, edge=edge))
    return Timeline(tuple(frames[::-1]), recipe, laws[0])


def frame_at(
    volume: Volume,
    scenes: Sequence[Scene],
    laws: Sequence[GrowthLaw],
    day: float,
    name: str,
    later: Frame | None,
    *,
    edge: float | None = None,
) -> Frame:
    """The scan of one day.

    Parameters
    ----------
    volume
        The CT without lesions.
    scenes, laws
        The lesions, and how each of them grows.
    day, name
        Days since the first scan.
    later
        The next scan, whose masks hold those of this one; None for the last.
    edge
        Arrival time of the first lesion's border, if a size is asked for and not a volume.
    """
    stages = []
    for number, (scene, law) in enumerate(zip(scenes, laws, strict=True)):
        target = law.volume_mm3(day)
        if later is None:
            stages.append(Stage(scene.final.edge, target, scene.final_mm3, scene.final))
            continue
        border = scene.curve.edge_of(target) if edge is None or number else edge
        within = later.stages[number].lesion
        lesion = None if within is None else lesion_at(volume, scene, border, within)
        stages.append(Stage(border, target, scene.curve.volume_mm3(border), lesion))
    return Frame(day, name, tuple(stages), volume)


def _scenes(
    volume: Volume, boxes: Mapping[str, StructureBox], lesions: Sequence[Lesion]
) -> list[Scene]:
    """What each lesion grew in, earlier ones among its barriers."""
    organs = Organs(boxes, volume.grid)
    scenes = []
    for lesion in lesions:
        recipe = lesion.recipe
        tissue = organs.tissue(organ(recipe.organ), recipe.structure)
        radius = search_radius_mm(recipe.diameter_mm)
        around = neighbourhood(volume, tissue, recipe.centre_mm, radius)
        # Barriers that later lesions add are not those that this one met.
        around = replace(around, barrier=around.barrier.copy())
        scenes.append(Scene(lesion, around, volume_curve(lesion.field, around, lesion.edge)))
        organs.occupy(lesion)
    return scenes


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


def _names(days: Sequence[float], case_id: str) -> list[str]:
    """One name per scan: whole days, or as many decimals as tell the scans apart."""
    for decimals in range(_MOST_DECIMALS + 1):
        width = 4 + (decimals + 1 if decimals else 0)
        names = [f"day_{day:0{width}.{decimals}f}" for day in days]
        if len(set(names)) == len(names):
            return names
    what = "two scans fall on the same day"
    raise PlacementError(what, where=case_id, fix="give times or sizes further apart")
