"""Pancreas with its duct, and the end of the bile duct inside its head."""

from __future__ import annotations

import numpy as np

from scalemai.cases.phantom.body import Body
from scalemai.cases.phantom.canvas import Canvas, Real, Tubes
from scalemai.cases.phantom.labels import LABELS, only
from scalemai.cases.phantom.trees import spline

__all__ = ["paint_pancreas"]


def paint_pancreas(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint head with uncinate process, neck and body, tail, and the ducts inside."""
    rng = body.spec.stream("pancreas")
    # The gland shrinks and its lobules part with age.
    bulk = float(np.clip(rng.normal(1.0, 0.08), 0.84, 1.18)) * (
        1.1 - 0.003 * (body.spec.age_years - 30)
    )
    high = float(rng.normal(0, 5))
    way = np.array([
        [40, 8, -34, 8.5], [36, 11, -22, 12.5], [28, 16, -11, 12.0], [14, 23, -1, 8.5],
        [-6, 26, 5 + 0.4 * high, 9.5], [-30, 18, 11 + 0.8 * high, 10.0],
        [-54, -1, 17 + high, 10.5], [-74, -20, 26 + high, 9.5], [-84, -30, 32 + high, 6.0],
    ])  # fmt: skip
    way[:, 3] *= bulk
    curve = spline(way, 1.5)
    gland = Tubes.along(curve[:, :3], curve[:, 3])
    hook = np.array([[34, 8, -32, 10], [24, 5, -34, 8], [14, 4, -32, 4.5]])
    hook = spline(hook, 1.5)
    uncinate = Tubes.along(hook[:, :3], hook[:, 3] * bulk)
    box = canvas.around(gland, 26)
    if box is None:
        return
    x, y, z = box.xyz
    # The head is taller than it is thick; elsewhere the gland is a flattened ribbon.
    main = canvas.tubes(box, gland, 6.0, (1.0, 1.12, 0.66))
    extra = canvas.tubes(box, uncinate, 6.0, (1.0, 1.1, 0.7))
    d = np.minimum(main.d, extra.d)
    lobed = 0.7 + 0.012 * max(body.spec.age_years - 40, 0)
    rough = np.clip(np.float32(2) - np.abs(d) / 3, 0, 1)
    d = d + np.float32(lobed) * rough * body.texture(x, y, z, 8.0, 2)
    fatty = np.float32(10 + 0.6 * max(body.spec.age_years - 40, 0))
    clefts = np.exp(-((body.texture(x + 50, y, z, 9.0) / np.float32(0.16)) ** 2))
    value = np.float32(hu["pancreas"]) - fatty * clefts + np.float32(3) * body.texture(x, y, z, 5.0)
    at_neck = _place_of(curve, 3, way)
    at_tail = _place_of(curve, 6, way) - 14.0
    in_head = (main.where < at_neck) | (extra.d < main.d)
    in_tail = (main.where > at_tail) & ~in_head
    free = ~only(
        *("aorta", "celiac_artery", "superior_mesenteric_artery", "postcava"),
        *("superior_mesenteric_vein", "splenic_vein", "extrahepatic_portal_vein"),
        *("kidney_left", "kidney_right", "spleen"),
    )
    canvas.paint(box, d, value, "pancreas_body", free)
    view = canvas.labels[box.region]
    gland_voxels = view == LABELS["pancreas_body"]
    view[gland_voxels & in_head] = LABELS["pancreas_head"]
    view[gland_voxels & in_tail] = LABELS["pancreas_tail"]
    _paint_ducts(canvas, body, hu, curve, (at_neck, at_tail), gland)


def _place_of(curve: Real, control: int, way: Real) -> float:
    """Arc length in mm at which a curve passes its control point."""
    steps = np.linalg.norm(np.diff(curve[:, :3], axis=0), axis=1)
    where = np.concatenate([[0], np.cumsum(steps)])
    gap = np.linalg.norm(curve[:, :3] - way[control, :3], axis=1)
    return float(where[np.argmin(gap)])


def _paint_ducts(
    canvas: Canvas,
    body: Body,
    hu: dict[str, float],
    curve: Real,
    borders: tuple[float, float],
    gland: Tubes,
) -> None:
    rng = body.spec.stream("pancreatic duct")
    wide = float(np.clip(rng.normal(1.0, 0.15) + 0.006 * (body.spec.age_years - 50), 0.7, 1.6))
    end = np.array([46, 4, -40], np.float32)
    line = np.concatenate([[end], curve[4:-6, :3]]).astype(np.float32)
    place = np.concatenate([[0.0], gland.where[4:-6]])
    taper = np.interp(place, [0, gland.length_mm], [1.15 * wide, 0.6 * wide])
    for part, low, high in (
        ("head", -1.0, borders[0]),
        ("body", borders[0], borders[1]),
        ("tail", borders[1], 1e3),
    ):
        keep = np.flatnonzero((place >= low) & (place <= high))
        if len(keep) > 1:
            piece = slice(max(int(keep[0]) - 1, 0), int(keep[-1]) + 1)
            duct = Tubes.along(line[piece], taper[piece])
            canvas.paint_vessel(duct, hu["fluid"], f"duct_in_{part}", only(f"pancreas_{part}"))
    bile = spline([(40, 4, -10), (42, 3, -24), (44, 3, -34), (47, 4, -41)], 1.5)
    canvas.paint_vessel(Tubes.along(bile, 2.5), hu["bile"] + 2, "bile_duct_in_head",
                        only("pancreas_head", "duct_in_head", "visceral_fat"))  # fmt: skip
