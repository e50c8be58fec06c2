"""Bones: vertebrae with discs and canal, ribs with cartilage, sternum, pelvis and femurs."""

from __future__ import annotations

import numpy as np

from scalemai.cases.phantom.body import VERTEBRA_Z_MM, Body
from scalemai.cases.phantom.bone import paint_bone
from scalemai.cases.phantom.canvas import F32, Canvas, Real, Tubes, smooth_max, smooth_min
from scalemai.cases.phantom.pelvis import paint_pelvis

__all__ = ["paint_skeleton"]


def paint_skeleton(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint all bones that the field of view reaches."""
    _paint_spine(canvas, body, hu)
    _paint_ribs(canvas, body, hu)
    _paint_sternum(canvas, body, hu)
    paint_pelvis(canvas, body, hu)


def _paint_spine(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    names = list(VERTEBRA_Z_MM)
    for below, name in zip([None, *names], names, strict=False):
        z0 = VERTEBRA_Z_MM[name]
        if name == "S1":
            continue
        gap = z0 - VERTEBRA_Z_MM[below] if below else 34.0
        lumbar = name.startswith("L")
        sx, sy = (float(v) for v in body.spine(z0))
        slope = float(body.spine(z0 + 8)[1] - body.spine(z0 - 8)[1]) / 16.0
        grow = float(np.interp(z0, [-150, 0, 100, 200, 290], [1.0, 0.95, 0.82, 0.72, 0.6]))
        box = canvas.box((sx - 62, sy - 80, z0 - 45), (sx + 62, sy + 30, z0 + 32))
        if box is None:
            continue
        half, disc = gap * (0.39 if lumbar else 0.42), gap * (0.11 if lumbar else 0.08)
        x, y, z = box.xyz
        # The vertebra's own axes: w along the spine, v forwards.
        w = (z - z0) + np.float32(slope) * (y - sy)
        v = (y - sy) - np.float32(slope) * (z - z0)
        u = (x - sx) * np.ones_like(w)
        waist = np.float32(1) - np.float32(0.11) * np.maximum(1 - (w / half) ** 2, 0)
        r = np.sqrt((u / (25 * grow)) ** 2 + (v / (17.5 * grow)) ** 2 + 1e-6)
        rim = (r / waist - 1) * np.float32(18.5 * grow)
        dent = np.sqrt(u**2 + (v + 20 * grow) ** 2) - np.float32(9.0 * grow)
        rim = smooth_max(rim, -dent, 3.0)
        if below:
            cushion = np.maximum(rim + 1, np.abs(w + half + disc) - np.float32(disc + 0.8))
            canvas.paint(box, cushion, hu["disc"], "disc")
        endplate = np.abs(w) - np.float32(half) + np.float32(1.6) * np.maximum(1 - r, 0)
        block = smooth_max(rim, endplate, 2.5)
        block = block + np.float32(0.35) * body.texture(x, y, z, 12.0)
        arch = _arch(u, v, w, grow, lumbar, gap)
        whole = smooth_min(block, arch, 3.5)
        canal = np.sqrt((u / 1.25) ** 2 + (v + 24 * grow) ** 2) - np.float32(8.3 * grow)
        paint_bone(canvas, body, hu, box, np.maximum(whole, -canal), f"vertebrae_{name}", 1.25)
        hull = np.maximum(canal + 1.0, np.abs(w) - gap * 0.62)
        canvas.paint(box, hull, hu["fat"] + 60, "spinal_canal_fat")
        sac = np.sqrt((u / 1.2) ** 2 + (v + 24 * grow) ** 2) - np.float32(6.4 * grow)
        canvas.paint(box, np.maximum(sac, np.abs(w) - gap * 0.62), 18.0, "spinal_cord")
        if z0 > -20:
            cord = np.sqrt((u / 1.2) ** 2 + (v + 24 * grow) ** 2) - np.float32(4.2 * grow)
            canvas.paint(box, np.maximum(cord, np.abs(w) - gap * 0.62), hu["cord"], "spinal_cord")


def _arch(u: F32, v: F32, w: F32, grow: float, lumbar: bool, gap: float) -> F32:
    """Pedicles, laminae, joints, transverse and spinous processes as one field."""
    a = np.abs(u)

    def rod(p: tuple[float, float, float], q: tuple[float, float, float], r: float) -> F32:
        p0, q0 = np.array(p) * [grow, grow, 1], np.array(q) * [grow, grow, 1]
        e = q0 - p0
        h = ((a - p0[0]) * e[0] + (v - p0[1]) * e[1] + (w - p0[2]) * e[2]) / (e @ e)
        h = np.clip(h, 0, 1)
        out = np.sqrt(
            (a - p0[0] - h * e[0]) ** 2 + (v - p0[1] - h * e[1]) ** 2 + (w - p0[2] - h * e[2]) ** 2
        )
        near: F32 = (out - np.float32(r * grow)).astype(np.float32)
        return near

    h = gap * 0.4
    d = rod((14.5, -12, h * 0.3), (16, -28, h * 0.3), 4.6)
    for part in (
        rod((16, -28, h * 0.2), (2, -39, -h * 0.6), 4.0),
        rod((17, -29, h * 0.8), (18, -31, -h * 1.1), 5.2),
        rod((17, -27, h * 0.3), (41 if lumbar else 34, -32 if lumbar else -40, h * 0.3), 3.4),
        rod((0, -39, -h * 0.5), (0, -66 if lumbar else -58, -h * (0.7 if lumbar else 1.9)), 3.6),
        rod((0, -44, -h * 0.1), (0, -64 if lumbar else -56, -h * (0.9 if lumbar else 2.2)), 3.0),
    ):
        d = smooth_min(d, part, 3.0)
    return d


def _paint_ribs(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    rng = body.spec.stream("ribs")
    calcified = max(body.spec.age_years - 55, 0) * 0.8
    for number in range(2, 13):
        head = VERTEBRA_Z_MM[f"T{number}"] + 9
        # How far round the cage a rib goes (degrees from behind), and how far it falls.
        reach = {12: 62.0, 11: 88.0}.get(
            number, float(np.interp(number, [2, 6, 10], [146, 140, 124]))
        )
        fall = float(np.interp(number, [2, 5, 8, 10, 12], [66, 98, 122, 118, 74])) + rng.normal(
            0, 3
        )
        for side, name in ((1.0, "right"), (-1.0, "left")):
            angles = np.linspace(9, 175 if number <= 10 else reach, 90)
            t = np.clip((angles - 9) / (140 - 9), 0, 1.3)
            z = head - fall * np.minimum(t, reach / 131) ** 1.15
            after = np.clip((angles - reach) / (175 - reach + 1e-6), 0, 1)
            rise = float(np.interp(number, [2, 5, 7, 10], [6, 30, 85, 120]))
            z = z + rise * after
            x, y = _cage_points(body, side, angles, z)
            points = np.stack([x, y, z], 1)
            osseous = angles <= reach
            tubes = Tubes.along(points[osseous], np.float32(4.3 if number < 11 else 3.6))
            box = canvas.around(tubes, 6)
            if box is not None:
                f = canvas.tubes(box, tubes, 4.0, (1.2, 1.2, 0.72))
                paint_bone(canvas, body, hu, box, f.d, f"rib_{name}_{number}", 1.1)
            if number <= 10:
                gristle = Tubes.along(points[angles >= reach - 1], 4.4)
                box = canvas.around(gristle, 6)
                if box is not None:
                    f = canvas.tubes(box, gristle, 4.0, (1.0, 1.0, 0.7))
                    gx, gy, gz = box.xyz
                    value = hu["cartilage"] + np.float32(calcified) * np.maximum(
                        body.texture(gx, gy, gz, 9.0, 2), 0
                    )
                    canvas.paint(box, f.d, value, "costal_cartilages")


def _cage_points(body: Body, side: float, angles: Real, z: Real) -> tuple[Real, Real]:
    """Points 5 mm outside the inner wall, at angles (degrees) counted from behind."""
    phi = np.radians(angles)
    ux, uy = side * np.sin(phi), -np.cos(phi)
    zz = np.asarray(z, np.float32)
    low, high = np.full(len(phi), 20.0), np.full(len(phi), 200.0)
    for _ in range(22):
        mid = (low + high) / 2
        args = [np.asarray(v, np.float32)[:, None, None] for v in (mid * ux, mid * uy)]
        d = body.ribcage(args[0], args[1], zz[:, None, None])[:, 0, 0] - 5.0
        low, high = np.where(d < 0, mid, low), np.where(d < 0, high, mid)
    x, y = low * ux, low * uy
    # Near the spine the rib leaves the wall for the vertebra.
    near = np.clip(1 - (angles - 9) / 24, 0, 1)
    sx, sy = body.spine(zz)
    x = x * (1 - near) + near * (sx + side * 19)
    y = y * (1 - near) + near * (sy - 14)
    return x, y


def _paint_sternum(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    z = np.linspace(72, 250, 50)
    _, y = _cage_points(body, 1.0, np.full(50, 180.0), z)
    wide = np.interp(z, [72, 90, 100, 150, 200, 220, 250], [4, 7, 15, 17, 14, 22, 28])
    points = np.stack([0 * z, y + 2, z], 1)
    box = canvas.box((-40, points[:, 1].min() - 14, 66), (40, points[:, 1].max() + 14, 256))
    if box is None:
        return
    x, yy, zz = box.xyz
    u = np.abs(x) - np.interp(zz, z, wide).astype(np.float32) + np.float32(5)
    v = np.abs(yy - np.interp(zz, z, points[:, 1]).astype(np.float32)) + 0 * u
    d = np.sqrt(np.maximum(u, 0) ** 2 + v**2) - np.float32(5)
    d = smooth_max(d, np.abs(zz - 161) - np.float32(89), 5.0)
    paint_bone(canvas, body, hu, box, d.astype(np.float32), "sternum", 1.2)
