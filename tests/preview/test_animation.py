"""Moving pictures and growth curves: what they show, and that they repeat byte for byte."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from scalemai.errors import ConfigError, OutputError
from scalemai.preview.animation import View, still_of, view_of, write_animation
from scalemai.preview.growth_curve import write_growth_curve
from scalemai.preview.rows import PANEL
from scalemai.volume import Mask, Volume

AT = (20, 28, 20)
LAW = [(float(day), 100.0 * 2 ** (day / 100)) for day in range(0, 401, 10)]


def ball(volume: Volume, radius_mm: float) -> Mask:
    grid = volume.grid
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    near = np.linalg.norm(world - grid.to_world(AT), axis=-1) < radius_mm
    return Mask(near, grid, "liver_lesion")


def cut(mask: Mask) -> Mask:
    where = np.argwhere(mask.array)
    a, b, c = (
        slice(int(low), int(high) + 1)
        for low, high in zip(where.min(axis=0), where.max(axis=0), strict=True)
    )
    return Mask(mask.array[a, b, c], mask.grid.crop((a, b, c)), mask.name)


@pytest.fixture
def view(soft_tissue_volume: Volume) -> View:
    x, y, z = (float(value) for value in soft_tissue_volume.grid.to_world(AT))
    return view_of(soft_tissue_volume, cut(ball(soft_tissue_volume, 9)), (x, y, z))


def film(path: Path, volume: Volume, view: View, radii: tuple[float, ...] = (3, 6, 9)) -> Path:
    stills = [
        still_of(volume, [ball(volume, radius)], view, [f"day {number}", f"{2 * radius} mm"], "p1")
        for number, radius in enumerate(radii)
    ]
    write_animation(path, stills)
    return path


def frames(path: Path) -> list[np.ndarray]:
    with Image.open(path) as image:
        shown = []
        for number in range(image.n_frames):
            image.seek(number)
            shown.append(np.asarray(image.convert("RGB")))
        return shown


def amber(picture: np.ndarray) -> int:
    """Pixels of an outline in the close-up, where no words are."""
    square = picture[60:, -PANEL:].astype(int)
    return int(np.count_nonzero(square[..., 0] - square[..., 2] > 90))


def test_each_scan_is_shown_without_and_with_its_outline(
    soft_tissue_volume: Volume, view: View, tmp_path: Path
) -> None:
    shown = [amber(one) for one in frames(film(tmp_path / "a.gif", soft_tissue_volume, view))]
    assert len(shown) == 6
    assert shown[0::2] == [0, 0, 0]
    assert 0 < shown[1] < shown[3] < shown[5]  # the outline grows


def test_all_scans_are_looked_at_from_the_same_place(
    soft_tissue_volume: Volume, view: View, tmp_path: Path
) -> None:
    shown = frames(film(tmp_path / "a.gif", soft_tissue_volume, view))
    first, last = (one[60:, -PANEL:] for one in (shown[0], shown[-2]))
    assert np.abs(first.astype(int) - last).mean() < 1.0  # nothing moves but the outline


def test_the_animation_loops_and_dwells_on_its_end(
    soft_tissue_volume: Volume, view: View, tmp_path: Path
) -> None:
    with Image.open(film(tmp_path / "a.gif", soft_tissue_volume, view)) as image:
        assert image.info["loop"] == 0
        durations = []
        for number in range(image.n_frames):
            image.seek(number)
            durations.append(image.info["duration"])
    assert min(durations) > 300
    assert durations[-1] > durations[0]


def test_grays_are_those_of_the_window(
    soft_tissue_volume: Volume, view: View, tmp_path: Path
) -> None:
    # 60 HU in the liver's window of 200 HU around 70 HU: a little below the middle.
    assert view.window == "liver"
    (plain, _, *_) = frames(film(tmp_path / "a.gif", soft_tissue_volume, view))
    square = plain[120:330, -PANEL + 60 : -60]
    assert np.median(square) == pytest.approx(255 * ((60 - 70) / 200 + 0.5), abs=4)


def test_the_same_scans_give_the_same_bytes(
    soft_tissue_volume: Volume, view: View, tmp_path: Path
) -> None:
    first, again = (
        film(tmp_path / name, soft_tissue_volume, view).read_bytes() for name in ("a.gif", "b.gif")
    )
    assert first == again
    assert first.count(b"NETSCAPE2.0") == 1
    assert len(set(first[13:781])) > 200  # one global table of many colors


def test_an_animation_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are no scans to show"):
        write_animation(tmp_path / "a.gif", [])
    assert not list(tmp_path.iterdir())


def curve(path: Path, *, log: bool = True, last_mm3: float = 1600.0) -> np.ndarray:
    measured = [(0.0, 100.0), (200.0, 400.0), (400.0, last_mm3)]
    write_growth_curve(path, LAW, measured, title="p1  pdac", log=log)
    with Image.open(path) as image:
        assert image.info == {}  # no time, no name of a program
        return np.asarray(image).astype(int)


def dots(picture: np.ndarray) -> list[tuple[float, float]]:
    """Centres (right, down) of the amber dots that are measured, the legend's left out."""
    from scipy import ndimage

    found, count = ndimage.label((picture[..., 0] > 200) & (picture[..., 2] < 120))
    centres = ndimage.center_of_mass(found > 0, found, range(1, count + 1))
    return sorted((x, y) for y, x in centres if not (x < 120 and y < 120))


def test_exponential_growth_is_a_straight_line_on_the_logarithmic_axis(tmp_path: Path) -> None:
    (_, low), (_, middle), (_, high) = dots(curve(tmp_path / "c.png"))
    assert middle == pytest.approx((low + high) / 2, abs=1.5)


def test_it_is_bent_on_the_linear_axis(tmp_path: Path) -> None:
    (_, low), (_, middle), (_, high) = dots(curve(tmp_path / "c.png", log=False))
    assert (low - middle) / (low - high) == pytest.approx(0.2, abs=0.02)


def test_a_volume_off_the_law_is_seen_off_its_line(tmp_path: Path) -> None:
    on, off = (dots(curve(tmp_path / "c.png", last_mm3=mm3))[-1][1] for mm3 in (1600.0, 800.0))
    assert off > on + 40


def test_days_on_which_nothing_is_seen_are_hollow_dots(tmp_path: Path) -> None:
    write_growth_curve(tmp_path / "c.png", LAW, [(400.0, 1600.0)], [(0.0, 100.0)])
    with Image.open(tmp_path / "c.png") as image:
        assert len(dots(np.asarray(image).astype(int))) == 1
    write_growth_curve(tmp_path / "d.png", LAW, [(400.0, 1600.0)])
    assert (tmp_path / "c.png").read_bytes() != (tmp_path / "d.png").read_bytes()


def test_settings_of_the_user_do_not_change_the_curve(tmp_path: Path) -> None:
    curve(tmp_path / "a.png")
    with mpl.rc_context({"axes.linewidth": 5.0, "font.size": 30.0, "lines.linewidth": 9.0}):
        curve(tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_place_that_cannot_be_written_is_named(
    soft_tissue_volume: Volume, view: View, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        write_growth_curve(tmp_path / "file" / "c.png", LAW, [])
    with pytest.raises(OutputError, match="file"):
        film(tmp_path / "file" / "a.gif", soft_tissue_volume, view)
