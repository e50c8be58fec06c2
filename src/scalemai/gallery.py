"""Pictures of what can be grown: every organ, its lesion kinds and forms, at three sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from scalemai.anatomy import Organ, organ
from scalemai.cases.phantom import generate_phantom, sample_spec
from scalemai.errors import PlacementError
from scalemai.io.atomic import atomic_path
from scalemai.preview.planes import Plane, mask_outline, plane_hu
from scalemai.preview.rows import PANEL, Panel, Row
from scalemai.preview.sheet import draw
from scalemai.preview.windows import WINDOWS, window_for
from scalemai.synthesis.painting.lesion import Lesion
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.synthesize import synthesize_volume
from scalemai.volume import Mask, Volume

__all__ = ["SIZES_MM", "Host", "gallery_host", "gallery_sheet", "write_sheet"]

SIZES_MM: Mapping[str, tuple[float, float, float]] = {
    "liver": (8, 20, 45),
    "pancreas": (8, 18, 35),
    "kidney": (8, 20, 45),
    "breast": (8, 18, 35),
    "esophagus": (8, 16, 28),
    "stomach": (10, 25, 50),
    "duodenum": (8, 16, 26),
    "colon": (8, 20, 40),
    "gall_bladder": (5, 12, 22),
    "bladder": (8, 20, 40),
    "lung": (6, 15, 32),
    "bone": (6, 14, 24),
}
"""The twelve organs and the longest axial diameters, in mm, that are shown of each."""

_OUTLINE, _WORDS = 0, 1
_LEAST_SIDE_MM = 55.0
_AROUND = 2.6  # of the diameter
_QUALITY = 88


@dataclass(frozen=True)
class Host:
    """A scan to grow lesions in, with its masks by canonical name."""

    volume: Volume
    masks: Mapping[str, Mask]


def gallery_host(seed: int = 0) -> Host:
    """A phantom from the chest to the pelvis, in the portal venous phase, that has all organs."""
    spec = sample_spec(
        seed,
        sex="female",
        phase="portal_venous",
        spacing_mm=(0.9, 0.9, 1.5),
        shape=(440, 360, 440),
    )
    phantom = generate_phantom(spec)
    return Host(phantom.volume, phantom.structures)


def gallery_sheet(host: Host, name: str, *, seed: int = 0) -> Image.Image | None:
    """The sheet of one organ: a row per lesion kind and form, before and after at three sizes.

    Parameters
    ----------
    host
        The scan.
    name
        One of :data:`SIZES_MM`.
    seed
        Seed of places and looks.

    Returns
    -------
    Image or None
        None if the scan does not show the organ.
    """
    facts = organ(name)
    wanted = {facts.name, *facts.structures, *facts.vessels, *facts.barriers}
    for structures in facts.sites.values():
        wanted.update(structures)
    masks = {key: host.masks[key] for key in sorted(wanted) if key in host.masks}
    if not wanted.intersection((facts.name, *facts.structures)) & set(masks):
        return None
    rows = list(_rows(host.volume, masks, facts, seed))
    return Image.fromarray(draw(rows)) if rows else None


def write_sheet(path: Path, sheet: Image.Image) -> None:
    """Write a sheet as JPEG, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with atomic_path(path) as temporary:
        half = sheet.resize((sheet.width * 2 // 3, sheet.height * 2 // 3), Image.Resampling.LANCZOS)
        half.save(temporary, format="JPEG", quality=_QUALITY)


def _rows(volume: Volume, masks: Mapping[str, Mask], facts: Organ, seed: int) -> Iterator[Row]:
    for kind in facts.kinds:
        for form in kind.forms:
            panels: list[Panel] = []
            said: list[str] = []
            for size in SIZES_MM[facts.name]:
                spec = LesionSpec(
                    organ=facts.name, kind=kind.name, form=form.name, diameter_mm=(size, size)
                )
                try:
                    made = synthesize_volume(
                        volume, masks, [spec], case_id=f"{kind.name} {form.name}", seed=seed
                    )
                except PlacementError:
                    said.append(f"{size:g} mm: no room")
                    continue
                lesion = made.lesions[0]
                panels += _pair(volume, made.volume, lesion)
                measured = lesion.measures.longest_axial_diameter_mm
                said.append(f"{measured:.0f} mm, {lesion.measures.mean_change_hu:+.0f} HU")
            if not panels:
                continue
            title = kind.title if len(kind.forms) == 1 else f"{kind.title}, {form.name}"
            words = [(_WORDS, title), *((_WORDS, text) for text in said)]
            window = window_for(facts.lesion, panels[-1].hu)
            yield Row(words, panels, WINDOWS[window])


def _pair(before: Volume, after: Volume, lesion: Lesion) -> Sequence[Panel]:
    """The axial plane through a lesion: before with its outline, and after."""
    voxels = np.argwhere(lesion.mask) + [s.start for s in lesion.region]
    axial = before.grid.axial_axis
    areas = np.bincount(voxels[:, axial])
    middle = voxels[voxels[:, axial] == int(areas.argmax())].mean(axis=0)
    x, y, z = (float(value) for value in before.grid.to_world(middle))
    side = max(_AROUND * lesion.measures.longest_axial_diameter_mm, _LEAST_SIDE_MM)
    plane = Plane("axial", (x, y, z), side)
    array = np.zeros(before.grid.shape, np.bool_)
    array[lesion.region] = lesion.mask
    outline = mask_outline(Mask(array, before.grid, lesion.recipe.lesion), plane, PANEL)
    return (
        Panel(plane_hu(before, plane, PANEL, smooth=True), plane, "before", [(_OUTLINE, outline)]),
        Panel(plane_hu(after, plane, PANEL, smooth=True), plane, "after"),
    )
