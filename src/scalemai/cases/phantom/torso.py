"""The wall of the trunk: skin, fat with its septa, muscles and the fat of the cavity."""

from __future__ import annotations

import numpy as np

from scalemai.cases.phantom.body import VERTEBRA_Z_MM, Body
from scalemai.cases.phantom.canvas import F32, Canvas, Tubes, smooth_max, smooth_min
from scalemai.cases.phantom.labels import only

__all__ = ["paint_deep_muscles", "paint_torso"]


def paint_torso(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint skin, subcutaneous fat, the muscular wall and the fat that fills the cavity."""
    if body.spec.table:
        _paint_table(canvas, body)
    box = canvas.everywhere
    x, y, z = box.xyz
    d = canvas.field(body.skin, box, 4.0)
    canvas.paint(box, d, hu["skin"], "skin")
    fat = np.float32(hu["fat"]) + np.float32(2.0) * body.texture(x, y, z, 17.0, 2)
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
    fat += np.float32(3.0) * body.texture(x + 90, y, z, 15.0, 2)
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
    # In the chest, fat parts the broad muscles of the back and the saw muscle from the ribs.
    chest = np.clip((z - 15) / 25, 0, 1) * np.clip((np.abs(x) - 45) / 25, 0, 1)
    plane = (outer + np.float32(9.5) + 4 * ripple) / np.float32(1.1)
    value -= chest * np.float32(125) * np.exp(-(plane**2)) * np.clip(ripple + 1.1, 0, 1)
    for depth in (7.0, 14.0):
        plane = (outer + np.float32(depth) + ripple) / np.float32(0.9)
        value -= flank * np.float32(120) * np.exp(-(plane**2))
    return value.astype(np.float32)


def _paint_breasts(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Two fatty mounds with strands of glandular tissue, on the front of the chest."""
    rng = body.spec.stream("breast")
    size = float(np.clip(rng.normal(36, 5) + 0.3 * body.spec.subcutaneous_fat_mm, 30, 54))
    glandular = float(np.clip(rng.normal(0.45, 0.3) - 0.006 * (body.spec.age_years - 50), 0.05, 1))
    for side, name in ((-1.0, "breast_left"), (1.0, "breast_right")):
        cx, cz = side * 80.0, 152.0
        cy = _front_of_chest(body, cx, cz) + 0.15 * size
        box = canvas.box((cx - 1.6 * size, cy - 60, cz - 100), (cx + 1.6 * size, cy + 90, cz + 90))
        if box is None:
            continue

        def mound(x: F32, y: F32, z: F32, cx: float = cx, cy: float = cy, cz: float = cz) -> F32:
            wx, wy, wz = body.warped(x, y, z, 3.0, 60.0)
            hang = np.where(wz < cz, 1.0, 1.5)
            r = np.sqrt(((wx - cx) / 1.25) ** 2 + ((wy - cy) / 0.85) ** 2 + ((wz - cz) / hang) ** 2)
            return (r - size).astype(np.float32)

        d = canvas.field(mound, box)
        front = canvas.field(body.muscle, box, 4.0)
        # One skin covers breast and trunk, with a soft fold between them.
        skin = smooth_min(d, canvas.field(body.skin, box, 4.0), 22.0)
        over = only("outside", "skin", "subcutaneous_fat", name)
        canvas.paint(box, skin, hu["skin"], "skin", over)
        canvas.paint(box, skin + np.float32(1.9), hu["fat"], "subcutaneous_fat", over)
        inside = np.maximum(np.maximum(d, skin) + np.float32(1.9), -front - 5)
        canvas.paint(box, inside, hu["fat"], name, over)
        x, y, z = box.xyz
        strands = np.abs(body.texture(x, y, z, 26.0, 2)) - np.float32(0.55 * glandular)
        gland = smooth_max(strands * 6, d + 0.34 * size, 4.0)
        canvas.paint(box, np.maximum(gland, 4 - front), hu["gland"], None, only(name))


def _front_of_chest(body: Body, x_mm: float, z_mm: float) -> float:
    """Where the chest muscles end in front, as y in mm."""
    y = np.arange(30.0, 170.0, dtype=np.float32)[None, :, None]
    x, z = (np.full((1, 1, 1), v, np.float32) for v in (x_mm, z_mm))
    outside = body.muscle(x, y, z)[0, :, 0] > 0
    return float(y[0, int(np.argmax(outside)), 0])


def _paint_table(canvas: Canvas, body: Body) -> None:
    """The table: a thin curved shell of carbon fibre over foam, just behind the back."""
    y = np.arange(-220.0, 0.0, dtype=np.float32)[None, :, None]
    x = np.zeros((1, 1, 1), np.float32)
    back = [
        float(y[0, int(np.argmax(body.skin(x, y, x + np.float32(level))[0, :, 0] < 0)), 0])
        for level in (-150, -50, 50, 150)
    ]
    box = canvas.everywhere
    x, y, _ = box.xyz
    top = np.float32(min(back) - 12) + x * x / np.float32(2400)
    d = np.abs(y - top + 9) - np.float32(9)
    d = np.maximum(d, np.abs(x) - np.float32(225)) + np.zeros(box.shape, np.float32)
    canvas.paint(box, d, 400.0, "outside")
    canvas.paint(box, d + np.float32(1.5), -930.0, "outside")


def paint_deep_muscles(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint psoas, the square lumbar muscle and the deep muscles of the back."""
    rng = body.spec.stream("muscle")
    strong = body.muscular * float(rng.normal(1.0, 0.06))
    for side, name in ((-1.0, "left"), (1.0, "right")):
        _paint_back(canvas, body, hu, side, name)
        z = np.array([8, -20, -50, -80, -110, -140, -170, -205, -240, -270, -300], float)
        sx, sy = body.spine(z.astype(np.float32))
        away = np.array([20, 26, 31, 35, 39, 43, 52, 66, 80, 90, 92], float)
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


def _paint_back(canvas: Canvas, body: Body, hu: dict[str, float], side: float, name: str) -> None:
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
        out: F32 = ((f - 1) * np.minimum(deep, wide) * np.ones_like(x)).astype(np.float32)
        return out

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
