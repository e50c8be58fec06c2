"""Pictures of the audit: thumbnails of patches, and figures for the report, as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.synthesis.audit.patches import Patch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["contact_sheet", "intervals_figure", "profile_figure", "thumbnail"]

THUMBNAIL_PIXELS = 96
_SIDE_MM = 48.0
_WIDTH_HU = 320.0
_OUTLINE = 255
_INK = "#1f2933"
_BAR = "#b42318"
_DOT = "#175cd3"


def thumbnail(patch: Patch) -> NDArray[np.uint8]:
    """Two grey pictures side by side, uint8 (96, 192): the axial image, and with its outline.

    The window is centred on the organ near the lesion, so that lesion and sham look alike.
    """
    axial = patch.grid.axial_axis
    first, second = patch.grid.in_plane_axes
    area = patch.lesion.sum(axis=(first, second))
    k = int(np.argmax(area))
    image = np.take(patch.hu, k, axial)
    mask = np.take(patch.lesion, k, axial)
    around = patch.hu[patch.tissue & ~patch.zone]
    level = float(np.median(around)) if around.size else float(np.median(image))
    centre = np.argwhere(mask).mean(axis=0)
    steps = np.array([patch.grid.spacing_mm[first], patch.grid.spacing_mm[second]])
    extent = float((np.argwhere(mask).max(axis=0) - np.argwhere(mask).min(axis=0)).max())
    side = max(_SIDE_MM, 1.6 * extent * float(steps.max()))
    line = ((np.arange(THUMBNAIL_PIXELS) + 0.5) / THUMBNAIL_PIXELS - 0.5) * side
    rows = centre[0] + _signed(patch, first, line) / steps[0]
    columns = centre[1] + _signed(patch, second, line) / steps[1]
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"))
    values = ndimage.map_coordinates(image, points, order=1, mode="constant", cval=-1024.0)
    grey = np.clip((values - level) / _WIDTH_HU + 0.5, 0.0, 1.0)
    inside = ndimage.map_coordinates(mask.astype(np.float32), points, order=1) >= 0.5
    plain = (grey * 254).astype(np.uint8)
    if _is_transposed(patch, first):
        plain, inside = plain.T, inside.T
    outlined = plain.copy()
    outlined[inside ^ ndimage.binary_erosion(inside)] = _OUTLINE
    return np.hstack([plain, outlined])


def _signed(patch: Patch, axis: int, line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Offsets in mm along an axis, so that the picture runs to patient left and to posterior."""
    direction = patch.grid.directions[:, axis]
    world = int(np.argmax(np.abs(direction[:2])))
    return line * (-1.0 if direction[world] > 0 else 1.0)


def _is_transposed(patch: Patch, first: int) -> bool:
    """Whether rows of the array run across the patient, where a picture has columns."""
    return int(np.argmax(np.abs(patch.grid.directions[:2, first]))) == 0


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]], titles: Sequence[str]
) -> bytes:
    """A PNG of thumbnails: one row per caption, one column per title."""
    height = THUMBNAIL_PIXELS / 60.0
    figure, axes = _figure(2.5 * height * len(titles), (height + 0.32) * len(rows) + 0.3,
                           len(rows), len(titles))  # fmt: skip
    for n, (caption, pictures) in enumerate(rows):
        for m, picture in enumerate(pictures):
            axis = axes[n][m]
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_title(
                f"{titles[m]}: {caption}" if m == 0 else titles[m], fontsize=8, loc="left"
            )
        for axis in axes[n]:
            axis.set_axis_off()
    return _png(figure)


def intervals_figure(
    rows: Sequence[tuple[str, float | None, float | None, float | None]],
    *,
    bar: float | None,
    label: str,
    limits: tuple[float, float],
    chance: float,
) -> bytes:
    """A PNG of estimates with their intervals, one line each, and a bar that they must not pass.

    Parameters
    ----------
    rows
        Name, estimate, and the ends of its interval; None for what there is not.
    bar
        Where the red line stands; None for no line.
    label
        Of the axis.
    limits
        Of the axis.
    chance
        Where the grey line stands: what nothing to see would give.
    """
    figure, axes = _figure(7.2, 0.36 * len(rows) + 0.75, 1, 1)
    axis = axes[0][0]
    for n, (_, middle, low, high) in enumerate(rows):
        if middle is None:
            axis.text(chance, n, "too few", va="center", ha="center", fontsize=8, color="#667085")
            continue
        if low is not None and high is not None:
            axis.plot([low, high], [n, n], color=_DOT, lw=2.0, solid_capstyle="butt")
        axis.plot([middle], [n], "o", color=_DOT, ms=5)
        axis.annotate(f"{middle:.2f}", (middle, n), (0, 5), textcoords="offset points",
                      ha="center", fontsize=7, color=_INK)  # fmt: skip
    axis.axvline(chance, color="#98a2b3", lw=1.0, ls=":")
    if bar is not None:
        axis.axvline(bar, color=_BAR, lw=1.0)
    axis.set_yticks(range(len(rows)), [row[0] for row in rows], fontsize=8)
    axis.set_ylim(len(rows) - 0.4, -0.7)
    axis.set_xlim(*limits)
    axis.set_xlabel(label, fontsize=8)
    axis.tick_params(axis="x", labelsize=8)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(axis="y", length=0)
    return _png(figure)


def profile_figure(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> bytes:
    """A PNG of coverage: for each thing counted, shares of synthetic and real lesions by bin."""
    figure, axes = _figure(9.6, 2.5, 1, len(counts))
    for axis, (what, sets) in zip(axes[0], counts.items(), strict=True):
        width = 0.8 / len(sets)
        for n, (name, bins) in enumerate(sets.items()):
            total = max(sum(bins.values()), 1)
            place = np.arange(len(bins)) + n * width
            color = _DOT if name == "synthetic" else "#98a2b3"
            axis.barh(place, [count / total for count in bins.values()], width, color=color,
                      label=name)  # fmt: skip
        bins = next(iter(sets.values()))
        axis.set_yticks(np.arange(len(bins)) + 0.4 - width / 2, list(bins), fontsize=7)
        axis.invert_yaxis()
        axis.set_title(what, fontsize=9, loc="left")
        axis.tick_params(axis="x", labelsize=7)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        if len(sets) > 1:
            axis.legend(fontsize=7, frameon=False)
    return _png(figure)


def _figure(width: float, height: float, rows: int, columns: int) -> tuple[Figure, NDArray[Any]]:
    # The object-oriented interface has no global state and needs no display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the version of the library the bytes depend on the picture alone.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
