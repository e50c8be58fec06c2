"""Rows of squares and words drawn on a dark sheet, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray

from scalemai.preview.planes import Plane
from scalemai.preview.rows import PANEL, Panel, Row, Tone
from scalemai.preview.windows import Window

__all__ = ["draw"]

_DPI = 100
_GAP = 6
_MARGIN = 18
_CAPTION = 30
_INSET = 10  # of letters, from the edge of their square
_GROUND = "#0b0d10"
_OUTSIDE = np.array([17, 20, 24]) / 255  # where there is no volume
_COLORS: dict[Tone, str] = {0: "#ffb13d", 1: "#e3e7ec", 2: "#828d99", 3: "#4fa8b5"}
_LESION, _PLAIN, _QUIET, _OTHER = range(4)
_HALO = "#000000b0"
_FAINT_HALO = "#00000060"
_SCALE_BARS_MM = (100, 50, 20, 10, 5)
_FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"


def draw(rows: Sequence[Row]) -> NDArray[np.uint8]:
    """Draw rows below one another: RGB, uint8, shape (height, width, 3)."""
    columns = max(len(row.panels) for row in rows)
    width = 2 * _MARGIN + columns * (PANEL + _GAP) - _GAP
    height = _MARGIN + len(rows) * (_CAPTION + PANEL + _MARGIN)
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=_GROUND)
    canvas = FigureCanvasAgg(figure)
    for number, row in enumerate(rows):
        top = height - _MARGIN - number * (_CAPTION + PANEL + _MARGIN)
        _draw_words(figure, row.words, top - _CAPTION / 2 + 4)
        for column, panel in enumerate(row.panels):
            left = _MARGIN + column * (PANEL + _GAP)
            _draw_panel(figure, panel, row.window, left, top - _CAPTION)
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib leaves its Agg canvas untyped
    rgba = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]  # as above
    picture: NDArray[np.uint8] = rgba[..., :3].copy()
    return picture


# Positions are in pixels from the lower left corner of the sheet, as matplotlib counts them.


def _draw_words(figure: Figure, words: Sequence[tuple[Tone, str]], y: float) -> None:
    x = float(_MARGIN)
    for number, (tone, word) in enumerate(words):
        drawn = _text(figure, word, x, y, 10, tone, bold=number == 0)
        x = float(drawn.get_window_extent().x1) + 20


def _draw_panel(figure: Figure, panel: Panel, window: Window, left: int, top: int) -> None:
    gray = window.gray(panel.hu)[..., None]
    picture = np.where(np.isnan(gray), _OUTSIDE, np.nan_to_num(gray))
    figure.figimage((picture * 255).round().astype(np.uint8), left, top - PANEL)
    corner = np.array([left, top], dtype=float)
    for tone, lines in panel.outlines:
        _draw_lines(figure, [corner + line * (1, -1) for line in lines], tone, 1.0)
    if panel.frame is not None:
        square = _square(panel.frame, panel.plane)
        _draw_lines(figure, [corner + square * (1, -1)], _QUIET, 0.8)
    _draw_letters(figure, panel, left, top)


def _draw_letters(figure: Figure, panel: Panel, left: int, top: int) -> None:
    right, bottom, middle = left + PANEL - _INSET, top - PANEL + _INSET, PANEL / 2
    at_left, at_right, at_top = panel.plane.letters
    for letter, x, y in (
        (at_left, left + _INSET, top - middle),
        (at_right, right, top - middle),
        (at_top, left + middle, top - _INSET),
    ):
        _text(figure, letter, x, y, 7.5, _PLAIN, ha="center", halo=True)
    _text(figure, panel.label, left + _INSET, bottom, 7.5, _PLAIN, halo=True)
    side = panel.plane.side_mm
    length_mm = next((mm for mm in _SCALE_BARS_MM if mm <= side / 3), _SCALE_BARS_MM[-1])
    start = right - length_mm / side * PANEL
    _draw_lines(figure, [np.array([(start, bottom - 4), (right, bottom - 4)])], _PLAIN, 1.5)
    _text(figure, f"{length_mm} mm", right, bottom + 5, 7.5, _PLAIN, ha="right", halo=True)


def _square(inner: Plane, outer: Plane) -> NDArray[np.float64]:
    """The edge of a closer plane in pixels of a wider one of the same direction."""
    half = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]) * inner.side_mm / 2
    middle = outer.pixel_of(np.array(inner.centre_mm), PANEL)
    edge: NDArray[np.float64] = np.clip(middle + half / outer.side_mm * PANEL, 0.5, PANEL - 0.5)
    return edge


def _draw_lines(
    figure: Figure, lines: list[NDArray[np.float64]], tone: Tone, pixels: float
) -> None:
    points = pixels * 72 / _DPI
    drawn = LineCollection(
        lines, colors=_COLORS[tone], linewidths=points, transform=IdentityTransform()
    )
    if tone == _LESION:  # to be seen on white too
        drawn.set_path_effects([withStroke(linewidth=2.5 * points, foreground=_FAINT_HALO)])
    figure.add_artist(drawn)


def _text(
    figure: Figure,
    text: str,
    x: float,
    y: float,
    points: float,
    tone: Tone,
    *,
    bold: bool = False,
    ha: str = "left",
    halo: bool = False,
) -> Text:
    # The font by file, not by name: what is installed must not change the picture.
    font = FontProperties(fname=_FONTS / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"))
    font.set_size(points)
    drawn = figure.text(
        x, y, text, color=_COLORS[tone], ha=ha, va="center", font=font, parse_math=False,
        transform=IdentityTransform(),
    )  # fmt: skip
    if halo:
        drawn.set_path_effects([withStroke(linewidth=1.6, foreground=_HALO)])
    return drawn
