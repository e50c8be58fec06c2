"""Ink and paper of every chart: a figure without global state, and its bytes as SVG.

Colours are those of Okabe and Ito (Color Universal Design, 2008), which readers with any common
kind of colour vision tell apart; lines differ in dashes and marks too, so that colour is never the
only sign. Charts lie on white, also on a dark page.
"""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from scalemai.evaluation.report.numbers import ends_in_words, number_in_words
from scalemai.statistics.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "FAINT",
    "GREEN",
    "INK",
    "LINE",
    "MUTED",
    "ORANGE",
    "QUIET",
    "Look",
    "clean",
    "counted",
    "drawn",
    "errors_of",
    "few",
    "finite",
    "height_with_legend_in",
    "in_words",
    "legend",
    "legend_entry",
    "look",
    "plain_axes",
    "say_empty",
    "wrapped",
]

INK, QUIET, LINE, FAINT = "#1b232c", "#56616d", "#c9d0d7", "#eef1f4"
BLUE, ORANGE, GREEN, MUTED = "#0072b2", "#d55e00", "#009e73", "#8a949e"
WIDTH_IN = 8.4
MOST_BESIDE = 10

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1b232c", "#8a949e")
_DASHES = ("-", (0, (5, 1.6)), (0, (1.4, 1.2)), (0, (5, 1.4, 1.4, 1.4)))
_MARKS = ("o", "s", "^", "D")
_METADATA = ("Date", "Creator", "Format", "Type")
_STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # names are shown as they are written
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "scalemai",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How one of several series is told from the others."""

    color: str
    dashes: str | tuple[int, tuple[float, ...]]
    mark: str


def look(number: int) -> Look:
    """The look of series ``number`` (from 0): 32 combinations of colour, dashes and mark."""
    turn = number // len(_COLORS) % len(_DASHES)
    return Look(_COLORS[number % len(_COLORS)], _DASHES[turn], _MARKS[turn])


def drawn(height_in: float, draw: Callable[[Figure], None]) -> str:
    """A figure as SVG; the same drawing gives the same bytes, whatever the user's settings are.

    Parameters
    ----------
    height_in
        Height in inches, of a chart that is 8.4 inches wide.
    draw
        Draws on the empty figure.
    """
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    out = io.StringIO()
    with style.context(["default", _STYLE]), warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; the table of numbers has it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
        figure = Figure(figsize=(WIDTH_IN, height_in), layout=layout, facecolor="white")
        FigureCanvasSVG(figure)
        draw(figure)
        figure.savefig(out, format="svg", metadata=dict.fromkeys(_METADATA))
    text = out.getvalue()
    return text[text.index("<svg") :]  # without the address of a document type


def plain_axes(axes: Axes, *, grid: Literal["x", "y", "both"] = "both") -> None:
    """Two spines, short ticks, a faint grid along ``"x"``, ``"y"`` or ``"both"``."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=3)
    axes.grid(axis=grid, color=LINE, linewidth=0.6, alpha=0.7)


def say_empty(figure: Figure, text: str = "no data") -> None:
    """An empty chart that says so, rather than none."""
    figure.text(0.5, 0.5, text, ha="center", va="center", color=QUIET, fontsize=11)


def legend(figure: Figure, axes: Axes) -> None:
    """The legend where it hides no data: beside the axes or, with many entries, below them."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    many = len(labels) > MOST_BESIDE
    figure.legend(
        handles, labels, loc="outside lower left" if many else "outside right upper",
        ncols=2 if many else 1, frameon=False, alignment="left", handlelength=2.4,
        labelspacing=0.6,
    )  # fmt: skip


def height_with_legend_in(axes_in: float, entries: Sequence[str]) -> float:
    """Height of a figure in inches, of axes and the legend of these entries."""
    lines = [0.15 * (entry.count("\n") + 1) + 0.08 for entry in entries]
    if len(entries) <= MOST_BESIDE:
        return max(axes_in, 0.6 + sum(lines))
    half = (len(lines) + 1) // 2
    return axes_in + 0.3 + max(sum(lines[:half]), sum(lines[half:]))


def legend_entry(name: str, count: int, found: str = "") -> str:
    """A name and its number for a legend of ``count`` entries; of many, the name alone."""
    if count > MOST_BESIDE:
        return wrapped(name, 48, 2)
    return f"{wrapped(name)}\n{found}" if found else wrapped(name)


def clean(name: str) -> str:
    """A name on one line, without characters that cannot be drawn or written as XML."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())


def wrapped(name: str, width: int = 30, lines: int = 3) -> str:
    """A name broken into lines; of a longer one the middle is left out, as names differ at ends."""
    text = clean(name)
    parts = textwrap.wrap(text, width)
    if len(parts) > lines:
        room = width * lines - 1 - (lines - 1) * width // 4  # lines that break early hold less
        text = f"{text[: room - room // 3].rstrip()}…{text[-(room // 3) :].lstrip()}"
        parts = textwrap.wrap(text, width)[:lines]
    return "\n".join(parts)


def errors_of(estimate: Estimate, low: float, high: float) -> tuple[float, float] | None:
    """Ends of an interval cut to what an axis shows; None if there is no interval."""
    if estimate.low is None or estimate.high is None:
        return None
    return min(max(estimate.low, low), high), min(max(estimate.high, low), high)


def counted(count: int, what: str) -> str:
    """A number of things in words."""
    return f"{count} {what}" if count == 1 or what.endswith("s") else f"{count} {what}s"


def few(parts: Iterable[str], most: int = 8) -> str:
    """The first of many things in words, and how many more there are."""
    said: Sequence[str] = [clean(part) for part in parts]
    rest = f"; and {len(said) - most} more" if len(said) > most else ""
    return "; ".join(said[:most]) + rest


def in_words(estimate: Estimate | None, digits: int = 3) -> str:
    """An estimate as it stands in a legend."""
    if estimate is None:
        return ""
    if estimate.value is None:
        return "not computed"
    ends = ends_in_words(estimate, digits)
    value = number_in_words(float(estimate.value), digits)
    return f"{value} ({ends})" if ends else value


def finite(values: Iterable[float | None]) -> list[float]:
    """Those that are numbers."""
    return [float(value) for value in values if value is not None and math.isfinite(value)]
