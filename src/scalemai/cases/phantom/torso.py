"""The wall of the trunk: skin, fat with its septa, muscles and the fat of the cavity."""

from __future__ import annotations

import numpy as np

from scalemai.cases.phantom.body import VERTEBRA_Z_MM, Body
from scalemai.cases.phantom.canvas import F32, Canvas, Tubes, smooth_max
from scalemai.cases.phantom.labels import only

__all__ = ["paint_deep_muscles", "paint_torso"]


def paint_torso(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint skin, subcutaneous fat, the muscular wall and the fat that fills the cavity."""
    box = canvas.everywhere
    x, y, z = box.xyz
    d = canvas.field(body.skin, box, 4.0)
    canvas.paint(box, d, hu["skin"], "skin")
    fat = np.float32(hu["fat"]) + np.float32(3.5) * body.texture(x, y, z, 17.0, 2)
    # Septa lie where smooth noise passes through zero; flattened so that they run with the skin.
    septum = body.texture(x * 0.6, y + 500, z * 0.7, 42.0)
    fat += np.float32(26) * np.exp(-((septum / np.float32(0.07)) ** 2))
    canvas.paint(box, d + np.float32(1.9), fat, "subcutaneous_fat")
    if body.female:
        _paint_breasts(canvas, body, hu)
    d = canvas.field(body.muscle, box, 4.0)
    canvas.paint(box, d, _muscle_hu(canvas, body, hu, d), "wall_muscle")
    d = canvas.field(body.cavity, box, 4.0)
    fat[:] = np.float32(hu["visceral_fat"])
    fat += np.float32(4.5) * body.texture(x + 90, y, z, 15.0, 2)
    canvas.paint(box, d, fat, "visceral_fat")


def _muscle_hu(canvas: Canvas, body: Body, hu: dict[str, float], outer: F32) -> F32:
    """Muscle with streaks of fat, and the fat planes between the layers of the flank."""
    x, y, z = canvas.everywhere.xyz
    value = np.float32(hu["muscle"]) + np.float32(3.0) * body.texture(x, y + 40, z * 0.5, 9.0, 2)
    marbling = np.float32(0.10 + 0.0025 * max(body.spec.age_years - 40, 0))
    streak = body.texture(x, y - 200, z * 0.25, 22.0)
    value -= np.float32(55) * np.exp(-((streak / marbling) ** 2))
    flank = np.clip((np.abs(x) - np.float32(72)) / 20, 0, 1) * np.clip((y + 62) / 20, 0, 1)
    flank = flank * np.clip((np.float32(10) - z) / 25, 0, 1) * np.clip((z + 150) / 25, 0, 1)
    ripple = body.noise(x, y, z, 60.0)
    for depth in (7.0, 14.0):
        plane = (outer + np.float32(depth) + ripple) / np.float32(0.9)
        value -= flank * np.float32(120) * np.exp(-(plane**2))
    # The white line and the outer edges of the straight muscles of the abdomen.
    front = np.clip((y - 30) / 15, 0, 1) * np.clip((np.float32(25) - z) / 25, 0, 1)
    for seam, width in ((0.0, 4.5), (64.0, 3.5), (-64.0, 3.5)):
        value -= front * np.float32(135) * np.exp(-(((x - seam) / np.float32(width)) ** 4))
    return value.astype(np.float32)


def _paint_breasts(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Two fatty mounds with strands of glandular tissue, on the front of the chest."""
    rng = body.spec.stream("breast")
    size = float(np.clip(rng.normal(46, 7) + 0.35 * body.spec.subcutaneous_fat_mm, 36, 66))
    glandular = float(np.clip(rng.normal(0.45, 0.3) - 0.006 * (body.spec.age_years - 50), 0.05, 1))
    for side in (-1.0, 1.0):
        cx, cy, cz = side * 74.0, 96.0, 152.0
        box = canvas.box((cx - 1.6 * size, cy - 60, cz - 100), (cx + 1.6 * size, cy + 90, cz + 90))
        if box is None:
            continue

        def mound(x: F32, y: F32, z: F32, cx: float = cx, cy: float = cy, cz: float = cz) -> F32:
            wx, wy, wz = body.warped(x, y, z, 3.0, 60.0)
            hang = np.where(wz < cz, 1.0, 1.5)
            r = np.sqrt(
                ((wx - cx) / 1.25) ** 2 + ((wy - cy) / 0.95) ** 2 + ((wz - cz) / hang) ** 2
            )
            return (r - size).astype(np.float32)

        d = canvas.field(mound, box)
        front = canvas.field(body.muscle, box, 4.0)
        canvas.paint(box, np.maximum(d, -front - 5), hu["skin"], "skin")
        canvas.paint(box, np.maximum(d + 1.9, -front - 5), hu["fat"], "breast")
        x, y, z = box.xyz
        strands = np.abs(body.texture(x, y, z, 26.0, 2)) - np.float32(0.55 * glandular)
        gland = smooth_max(strands * 6, d + 0.34 * size, 4.0)
        canvas.paint(box, np.maximum(gland, 4 - front), hu["gland"], None, only("breast"))


def paint_deep_muscles(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint psoas, the square lumbar muscle and the deep muscles of the back."""
    rng = body.spec.stream("muscle")
    strong = body.muscular * float(rng.normal(1.0, 0.06))
    for side, name in ((-1.0, "left"), (1.0, "right")):
        _paint_back(canvas, body, hu, side, name)
        z = np.array([8, -20, -50, -80, -110, -140, -170, -205, -240, -270, -300], float)
        sx, sy = body.spine(z.astype(np.float32))
        away = np.array([20, 27, 34, 39, 43, 47, 54, 66, 80, 90, 92], float)
        ahead = np.array([-4, -2, 0, 3, 7, 14, 22, 34, 44, 40, 10], float)
        # Below the fifth lumbar vertebra the muscle leaves the spine for the hip.
        base = np.where(z > -150, sy, body.spine(np.float32(-150))[1])
        points = np.stack([sx + side * away, base + ahead, z], 1)
        radii = strong * np.array([5, 10, 15, 18, 20, 20, 18, 16, 15, 14, 10], float)
        fine = np.linspace(0, len(z) - 1, 45)
        columns = [np.interp(fine, np.arange(len(z)), c) for c in (*points.T, radii)]
        tubes = Tubes.along(np.stack(columns[:3], 1), columns[3])
        box = canvas.around(tubes, 8)
        if box is None:
            continue
        f = canvas.tubes(box, tubes, 6.0)
        x, y, zz = box.xyz
        d = f.d + np.float32(1.2) * body.noise(x, y, zz, 30.0)
        canvas.paint(box, d, _fibres(body, hu, *box.xyz), f"iliopsoas_{name}")


def _fibres(body: Body, hu: dict[str, float], x: F32, y: F32, z: F32) -> F32:
    grain = body.texture(x, y, z * np.float32(0.3), 8.0, 2)
    out: F32 = np.float32(hu["muscle"] + 1) + np.float32(3.0) * grain
    return out


def _paint_back(
    canvas: Canvas, body: Body, hu: dict[str, float], side: float, name: str
) -> None:
    """The erector of the spine: a flat column on the laminae, wrapped in a plane of fat."""
    top = max(VERTEBRA_Z_MM.values())
    low, high = sorted((side * 2.0, side * 95.0))
    box = canvas.box((low, -140, -230), (high, -40, top))
    if box is None:
        return

    def column(x: F32, y: F32, z: F32) -> F32:
        sx, sy = body.spine(z)
        wide = np.interp(z, [-220, -150, -80, 0, 80, 160, 280], [14, 31, 34, 33, 29, 25, 20])
        deep = np.interp(z, [-220, -150, -80, 0, 80, 160, 280], [10, 21, 22, 20, 16, 14, 12])
        wx, wy, _ = body.warped(x, y, z, 1.5, 45.0)
        u = (wx - sx - side * (wide + 4)) / wide
        v = (wy - sy + 38 + deep * 0.62 + 3 * np.abs(u)) / deep
        f = (np.abs(u) ** 2.6 + np.abs(v) ** 2.3) ** (1 / 2.5)
        return ((f - 1) * np.minimum(deep, wide) * np.ones_like(x)).astype(np.float32)

    d = canvas.field(column, box)
    inside = canvas.field(body.muscle, box, 4.0) + np.float32(2.5)
    wrap = np.maximum(d - np.float32(1.6), inside)
    allowed = only("wall_muscle", "visceral_fat", "subcutaneous_fat")
    canvas.paint(box, wrap, hu["fat"] + 45, None, allowed)
    x, y, z = box.xyz
    value = _fibres(body, hu, x, y, z)
    fatty = np.float32(0.06 + 0.003 * max(body.spec.age_years - 40, 0))
    value -= np.float32(80) * np.exp(-((body.texture(x, y, z * 0.2, 17.0) / fatty) ** 2))
    canvas.paint(box, np.maximum(d, inside), value, f"autochthon_{name}", allowed)
