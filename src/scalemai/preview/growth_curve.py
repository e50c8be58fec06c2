"""The growth curve: what the law says and what was measured, volume over days."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from PIL import Image

from scalemai.io.atomic import atomic_path
from scalemai.measure import equivalent_diameter_mm

__all__ = ["write_growth_curve"]

_WIDTH, _HEIGHT, _DPI = 900, 540, 100
_GROUND, _PLAIN, _QUIET, _LAW, _MEASURED = "#0b0d10", "#e3e7ec", "#828d99", "#4fa8b5", "#ffb13d"
_FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"
_DIAMETERS_MM = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 150)
_LEAST_MM3 = 1e-3


def write_growth_curve(
    path: Path,
    law: Sequence[tuple[float, float]],
    measured: Sequence[tuple[float, float]],
    unseen: Sequence[tuple[float, float]] = (),
    *,
    title: str = "",
    log: bool = True,
) -> None:
    """Write the growth curve of a lesion as PNG, whole or not at all.

    Parameters
    ----------
    law
        (day, mm3) along the curve that the growth law says, first to last.
    measured
        (day, mm3) of the masks.
    unseen
        (day, mm3) that the law says of days on which the lesion is below what the scan shows.
    title
        The case, the law and its doubling time.
    log
        Show volumes on a logarithmic axis, on which exponential growth is a straight line.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    # The user's own settings of matplotlib, or what is installed, must not change the picture.
    with style.context("default"):
        figure = Figure(figsize=(_WIDTH / _DPI, _HEIGHT / _DPI), dpi=_DPI, facecolor=_GROUND)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0.1, 0.12, 0.8, 0.76), facecolor=_GROUND)
        _plot(axes, law, measured, unseen)
        _scale(axes, [volume for _, volume in (*law, *measured)], log=log)
        axes.set_title(title, color=_PLAIN, font=_font(10), loc="left", pad=14, parse_math=False)
        canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib leaves its Agg canvas untyped
        rgba = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]  # as above
    with atomic_path(Path(path)) as temporary:
        Image.fromarray(rgba[..., :3].copy()).save(temporary, format="PNG")


def _plot(
    axes: Axes,
    law: Sequence[tuple[float, float]],
    measured: Sequence[tuple[float, float]],
    unseen: Sequence[tuple[float, float]],
) -> None:
    axes.plot(*zip(*law, strict=True), color=_LAW, linewidth=1.6, label="growth law")
    if measured:
        axes.plot(
            *zip(*measured, strict=True),
            color=_MEASURED, linestyle="", marker="o", markersize=6, label="measured on the scan",
        )  # fmt: skip
    if unseen:
        axes.plot(
            *zip(*unseen, strict=True),
            color=_QUIET, linestyle="", marker="o", markersize=6, markerfacecolor=_GROUND,
            label="below what the scan shows",
        )  # fmt: skip
    legend = axes.legend(loc="upper left", frameon=False, labelcolor=_PLAIN, prop=_font(9))
    legend.set_zorder(5)


def _scale(axes: Axes, volumes_mm3: Sequence[float], *, log: bool) -> None:
    """Ticks in mm3 on the left, and in mm of the sphere of that volume on the right."""
    low, high = max(min(volumes_mm3), _LEAST_MM3), max(volumes_mm3)
    if log:
        axes.set_yscale("log")
        axes.set_ylim(low / 2, high * 2)
    else:
        axes.set_ylim(0, 1.08 * high)
        axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("days since the first scan", color=_QUIET, font=_font(9))
    axes.set_ylabel("volume, mm³", color=_QUIET, font=_font(9))
    right = axes.twinx()
    right.set_yscale(axes.get_yscale())
    right.set_ylim(axes.get_ylim())
    bottom, top = axes.get_ylim()
    shown = [mm for mm in _DIAMETERS_MM if bottom <= np.pi / 6 * mm**3 <= top]
    if not log:  # near zero they would lie on top of each other
        shown = [mm for mm in shown if np.pi / 6 * mm**3 >= 0.02 * top]
    right.yaxis.set_major_locator(FixedLocator([np.pi / 6 * mm**3 for mm in shown]))
    right.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{equivalent_diameter_mm(value):.3g}")
    )
    right.yaxis.set_minor_locator(NullLocator())
    right.set_ylabel("diameter of the sphere of that volume, mm", color=_QUIET, font=_font(9))
    for one in (axes, right):
        one.tick_params(colors=_QUIET, length=3)
        for label in (*one.get_xticklabels(), *one.get_yticklabels()):
            label.set_fontproperties(_font(8.5))
        for side, spine in one.spines.items():
            spine.set_color(_QUIET)
            spine.set_visible(side != "top")
    axes.grid(color=_QUIET, alpha=0.18, linewidth=0.6)


def _font(points: float) -> FontProperties:
    # By file, not by name: what is installed must not change the picture.
    font = FontProperties(fname=_FONTS / "DejaVuSans.ttf")
    font.set_size(points)
    return font
