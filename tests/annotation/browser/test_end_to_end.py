"""From a real CT on disk to the masks on disk, through a real browser and a real server."""

from __future__ import annotations

import io
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from scalemai.annotation.export.masks import write_masks
from scalemai.annotation.words import Role

from .conftest import Serving
from .desk import Desk, Person
from .drawing import Place, Screen, crop_around
from .scans import GEOMETRIES, Scan, balls, phantom_scan, real_scan

RADIUS_MM = 4.0
"""Of the brush when the page opens."""


def spacing(scan: Scan) -> tuple[float, ...]:
    """Voxel size in LPS order."""
    native = np.linalg.norm(scan.affine[:3, :3], axis=0)
    order = nib.orientations.io_orientation(scan.affine)[:, 0].astype(int)
    return tuple(float(native[list(order).index(axis)]) for axis in range(3))


def screen(person: Person, desk: Desk, scan: Scan, plane: str) -> tuple[Screen, tuple[int, ...]]:
    """A plane of the finding on the screen, and where its cursor is."""
    centre, low, dims = crop_around(desk.base_of(person.read), spacing(scan))
    return Screen(person.canvas(plane), plane, low, dims, spacing(scan)), centre


def off(place: Place, *, right: int, down: int) -> Place:
    """A place of the page some pixels away."""
    return place[0] + right, place[1] + down


def written(desk: Desk, out: Path) -> NDArray[np.bool_]:
    """The mask of liver lesions that the review ends in, as it is in the file."""
    folder = write_masks(desk.engine, desk.case_key(), out)
    image = nib.load(folder / "segmentations" / "liver_lesion.nii.gz")
    return np.asarray(image.dataobj) > 0


@pytest.mark.real
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_file_changes_in_exactly_the_voxels_that_were_drawn(
    serving: Serving, shared_data: Path, tmp_path: Path, geometry: str
) -> None:
    scan = real_scan(shared_data, geometry)
    desk = serving({"case": scan}, search_share=1.0)
    whole = balls(scan)
    expected = np.zeros_like(whole[0])

    first = desk.sit("First", Role.READER)
    rejected = desk.base_of(first.decide("r", "1"))  # a vessel: it leaves the file

    # Edited by mouse in two planes; a third stroke is undone.
    axial, (x, y, z) = screen(first, desk, scan, "axial")
    coronal, _ = screen(first, desk, scan, "coronal")
    edited = desk.base_of(first.read)
    at = axial.place((x, y, z))
    path = [off(at, right=3, down=-2), off(at, right=61, down=17)]
    first.press("e")
    first.stroke(*path)
    expected |= edited | axial.swept(edited.shape, z, path, RADIUS_MM)
    at = coronal.place((x, y, z))
    path = [off(at, right=-3, down=5), off(at, right=-23, down=33)]
    first.stroke(*path)
    expected |= coronal.swept(edited.shape, y, path, RADIUS_MM)
    at = axial.place((x, y, z))
    first.stroke(off(at, right=-50, down=-50), off(at, right=-10, down=-60))
    first.press("Control+z")
    first.decide("a")

    # Partly erased, and cannot be told: somebody else looks too.
    axial, (x, y, z) = screen(first, desk, scan, "axial")
    doubted = desk.base_of(first.read)
    at = axial.place((x, y, z))
    path = [off(at, right=-15, down=3), off(at, right=17, down=-5)]
    first.press("x")
    first.stroke(*path)
    expected |= doubted & ~axial.swept(doubted.shape, z, path, RADIUS_MM)
    first.decide("u")
    expected |= desk.base_of(first.decide("a"))  # the last one is right as it is

    # The search of the scan: a lesion is drawn where there is none, and recorded.
    assert first.unit == "case"
    shape = scan.lps(scan.ct).shape
    search = Screen(first.canvas("axial"), "axial", (0, 0, 0), shape, spacing(scan))
    index = shape[2] // 2
    at = search.place([n // 2 for n in shape])
    path = [off(at, right=-60, down=41), off(at, right=-21, down=38)]
    first.stroke(*path)
    added = search.swept(shape, index, path, RADIUS_MM)
    expected |= added
    first.press("s")
    first.decide("c")
    first.saved()
    assert first.wrong == []

    second = desk.sit("Second", Role.SECOND_READER)
    while second.read:
        nothing_lost = desk.base_of(second.read)
        second.decide("a") if np.array_equal(nothing_lost, added) else second.decide("r", "6")
    second.saved()
    assert second.wrong == []

    third = desk.sit("Third", Role.ADJUDICATOR)
    assert third.page.locator("#said-first").inner_text() == "unsure"
    assert third.page.locator("#said-second").inner_text() == "rejected: cyst"
    third.press(",")  # takes the first reader's mask
    third.decide("a")
    third.saved()
    assert third.wrong == []

    native = written(desk, tmp_path / "out")
    assert np.array_equal(native, scan.native(expected))
    assert not (native & scan.native(rejected)).any()
    image = nib.load(tmp_path / "out" / "case" / "segmentations" / "liver_lesion.nii.gz")
    assert np.allclose(image.affine, scan.affine, atol=1e-4)
    actions = [event.action.value for event in desk.events]
    assert actions.count("edit") == 5
    assert actions.count("undo") == 1


@pytest.mark.real
@pytest.mark.parametrize("geometry", ["psr", "anisotropic"])
def test_what_is_seen_is_the_ct_at_that_place(
    serving: Serving, shared_data: Path, geometry: str
) -> None:
    """Grey values of the page against HU of the file, at the same voxels."""
    scan = real_scan(shared_data, geometry)
    desk = serving({"case": scan})
    person = desk.sit("One")
    person.press("h", "o", "1")  # no outlines, soft tissue: -160 to 240 HU
    person.page.locator('#window [data-key="1"][aria-pressed="true"]').wait_for()
    hu = scan.lps(scan.ct)
    for plane, through in (("axial", 2), ("coronal", 1), ("sagittal", 0)):
        shown, centre = screen(person, desk, scan, plane)
        picture = Image.open(io.BytesIO(person.page.screenshot())).convert("L")
        grey, true = [], []
        for offset in np.ndindex(7, 7):
            voxel = list(centre)
            for axis, n in zip([a for a in range(3) if a != through], offset, strict=True):
                voxel[axis] += 2 * n - 7  # odd: the cursor's lines are left out
            if not all(0 <= v < n for v, n in zip(voxel, hu.shape, strict=True)):
                continue
            grey.append(picture.getpixel(shown.place(voxel)))
            true.append(np.clip((int(hu[tuple(voxel)]) + 160) * 255 / 400, 0, 255))
        assert len(true) > 30
        assert np.corrcoef(grey, true)[0, 1] > 0.97, plane
        assert np.abs(np.subtract(grey, true)).mean() < 8, plane


def test_a_stroke_with_a_ball_goes_through_slices_of_any_thickness(
    serving: Serving, tmp_path: Path
) -> None:
    scan = phantom_scan()
    desk = serving({"case": scan}, search_share=0.0)
    person = desk.sit("One")
    shown, centre = screen(person, desk, scan, "axial")
    base = desk.base_of(person.read)
    place = off(shown.place(centre), right=90, down=3)
    person.press("e", "d", "]", "]")  # a ball of 5 mm
    person.page.mouse.move(*place)
    person.page.mouse.down()
    person.page.mouse.up()
    read = person.decide("a")
    person.saved()
    u, v = shown.voxel(place)
    at = np.stack(np.meshgrid(*map(np.arange, base.shape), indexing="ij"), axis=-1)
    away = np.linalg.norm((at - (u, v, centre[2])) * spacing(scan), axis=-1)
    assert np.array_equal(desk.mask_of(read), base | (away <= 5.0))


def test_what_looks_alike_is_drawn_and_nothing_else(serving: Serving) -> None:
    scan = phantom_scan()
    desk = serving({"case": scan}, search_share=0.0)
    person = desk.sit("One")
    shown, (x, y, z) = screen(person, desk, scan, "axial")
    base = desk.base_of(person.read)
    hu = scan.lps(scan.ct)
    place = shown.place((x, y, z))
    person.press("e", "t", *"]" * 8, *"}" * 2)  # 14 mm, +- 40 HU
    person.page.mouse.move(*place)
    person.page.mouse.down()
    person.page.mouse.up()
    read = person.decide("a")
    person.saved()
    u, v = shown.voxel(place)
    i, j = np.meshgrid(*map(np.arange, base.shape[:2]), indexing="ij")
    near = (
        np.hypot((i - u) * spacing(scan)[0], (j - v) * spacing(scan)[1])
        <= RADIUS_MM + 4 * 0.5 + 4 * 2
    )
    seed = int(hu[round(u), round(v), z])
    expected = base.copy()
    expected[:, :, z] |= near & (np.abs(hu[:, :, z].astype(int) - seed) <= 40)
    assert np.array_equal(desk.mask_of(read), expected)


def test_an_export_says_what_became_of_every_finding(serving: Serving, tmp_path: Path) -> None:
    desk = serving({"case": phantom_scan()}, search_share=0.0)
    person = desk.sit("One")
    for keys in (["a"], ["r", "2"], ["u"]):
        person.decide(*keys)
    person.saved()
    folder = write_masks(desk.engine, desk.case_key(), tmp_path / "out")
    said = json.loads((folder / "review.json").read_text())
    counts = {"accepted": 1, "rejected": 1, "unsure": 1, "pending": 1}
    assert said["structures"]["liver_lesion"] == counts
