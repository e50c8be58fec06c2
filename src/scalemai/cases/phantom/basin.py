"""Bladder, and prostate or uterus."""

from __future__ import annotations

import numpy as np

from scalemai.cases.phantom.body import Body
from scalemai.cases.phantom.canvas import F32, Canvas
from scalemai.cases.phantom.labels import only

__all__ = ["paint_basin"]


def paint_basin(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint the organs of the lesser pelvis, if the grid reaches them."""
    rng = body.spec.stream("basin")
    fill = float(np.clip(rng.normal(1.0, 0.14), 0.72, 1.3))
    box = canvas.box((-75, -60, -310), (75, 100, -180))
    if box is None:
        return

    def egg(centre: tuple[float, ...], half: tuple[float, ...], x: F32, y: F32, z: F32) -> F32:
        wx, wy, wz = body.warped(x, y, z, 3.0, 55.0)
        q = [(a - c) / h for a, c, h in zip((wx, wy, wz), centre, half, strict=True)]
        r = np.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2)
        out: F32 = ((r - 1) * min(half)).astype(np.float32)
        return out

    free = only("visceral_fat", "intestine", "mesenteric_vessel", "ureter", "colon")
    if body.female:
        d = canvas.field(lambda x, y, z: egg((6, -6, -226), (27, 24, 22), x, y, z), box)
        canvas.paint(box, d, hu["uterus"], "uterus", free)
        canvas.paint(box, d + np.float32(18), hu["uterus"] - 45, "uterus", only("uterus"))
    else:
        d = canvas.field(lambda x, y, z: egg((0, 18, -286), (23, 18, 17), x, y, z), box)
        canvas.paint(box, d, hu["prostate"], "prostate", free)
    half = (36 * fill, 29 * fill, 29 * fill)
    d = canvas.field(lambda x, y, z: egg((0, 30, -247), half, x, y, z), box)
    canvas.paint(box, d, hu["gut_wall"], "bladder", free | only("uterus", "prostate"))
    canvas.paint(box, d + np.float32(2.6), hu["urine_bladder"], "bladder", only("bladder"))
