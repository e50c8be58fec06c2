"""The small bowel: a long tube folded into the room that other organs leave."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalemai.cases.phantom.body import Body
from scalemai.cases.phantom.canvas import F32, Box, Canvas, Tubes
from scalemai.cases.phantom.gut import Lumen, colon_line, paint_hollow, stomach_line
from scalemai.cases.phantom.trees import spline
from scalemai.cases.phantom.upper import Kidney
from scalemai.compiled import compiled

__all__ = ["paint_small_bowel"]

_NODES = 210
_STEP_MM = 13.0


@compiled
def _push_apart(p: NDArray[np.float32], step: float, gap: float, bend: float) -> None:
    """One relaxation of a chain: neighbours at ``step``, all others at least ``gap`` apart."""
    n = p.shape[0]
    move = np.zeros_like(p)
    for a in range(n):
        for b in range(a + 1, n):
            dx, dy, dz = p[b, 0] - p[a, 0], p[b, 1] - p[a, 1], p[b, 2] - p[a, 2]
            r = np.sqrt(dx * dx + dy * dy + dz * dz) + 1e-6
            f = 0.0
            if b == a + 1:
                f = 0.4 * (r - step)
            elif b == a + 2:
                f = bend * min(r - 1.7 * step, 0.0)
            elif r < gap:
                f = 0.25 * (r - gap)
            if f != 0.0:
                for axis in range(3):
                    u = (dx if axis == 0 else (dy if axis == 1 else dz)) / r
                    move[a, axis] += f * u
                    move[b, axis] -= f * u
    for a in range(n):
        size = np.sqrt(move[a, 0] ** 2 + move[a, 1] ** 2 + move[a, 2] ** 2)
        limit = min(1.0, 4.0 / (size + 1e-6))
        for axis in range(3):
            p[a, axis] += limit * move[a, axis]


def _obstacles(body: Body) -> F32:
    """Spheres (n, 4) that the loops keep away from."""
    parts = [colon_line(body)[::4, :4], stomach_line(body)[::4, :4]]
    for side in (-1.0, 1.0):
        kidney = Kidney(body, side)
        parts += [np.append(kidney.centre + f * kidney.w, 31.0)[None] for f in (-30, -10, 10, 30)]
    column = np.arange(-180, 30, 10.0)
    sx, sy = body.spine(column.astype(np.float32))
    for shift, ahead, r in ((0, 22, 22), (-30, 2, 24), (30, 2, 24)):
        parts.append(np.stack([sx + shift, sy + ahead, column, np.full(len(column), float(r))], 1))
    parts.append(
        np.array([[0, 26, -250, 42], [40, 10, -20, 26], [52, 4, -50, 14], [20, 6, -70, 12]], float)
    )
    # The right lobe of the liver.
    parts.append(
        np.array(
            [[100, y, z, 36] for y in (-20, 30) for z in (-20, 15)] + [[60, 30, 20, 40]], float
        )
    )
    return np.concatenate(parts).astype(np.float32)


def small_bowel_line(body: Body) -> F32:
    """Centre line (n, 4) of the small bowel: x, y, z and radius in mm."""
    rng = body.spec.stream("small bowel")
    radius = float(np.clip(rng.normal(12.2, 0.9), 10.2, 14.0))
    t = np.linspace(0, 1, _NODES)
    # Start as a coil from the left upper to the right lower abdomen.
    p = np.stack([-40 + 70 * t + 60 * np.sin(34 * t), 30 + 25 * np.cos(34 * t), -22 - 185 * t], 1)
    p = (p + rng.normal(0, 9, p.shape)).astype(np.float32)
    balls = _obstacles(body)
    for turn in range(200):
        _push_apart(p, _STEP_MM, 2 * radius + 1.5, 0.25)
        away = p[:, None] - balls[None, :, :3]
        far = np.linalg.norm(away, axis=2) + 1e-6
        short = np.maximum(balls[None, :, 3] + np.float32(radius) + 1 - far, 0)
        p += (0.5 * (away / far[..., None] * short[..., None]).sum(1)).astype(np.float32)
        p[:, 2] = np.clip(p[:, 2], -232, 12)
        if turn % 4 == 3:
            p = body.inside(p, radius + 2)
        if turn < 120:
            p += rng.normal(0, 0.5, p.shape).astype(np.float32)
    squeeze = radius * np.clip(rng.normal(1.0, 0.22, _NODES), 0.62, 1.25)
    squeeze = np.convolve(np.pad(squeeze, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    return spline(np.column_stack([p, squeeze]), 2.0)


def paint_small_bowel(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint the small bowel with feathery folds, fluid and a little gas."""
    if canvas.z[0] > 20:
        return
    line = small_bowel_line(body)
    tubes = Tubes.along(line[:, :3], line[:, 3])
    box = canvas.around(tubes, 7)
    if box is None:
        return
    for slab in box.slabs():
        _paint_slab(canvas, body, hu, slab, tubes)


def _paint_slab(canvas: Canvas, body: Body, hu: dict[str, float], box: Box, tubes: Tubes) -> None:
    x, y, z = box.xyz
    f = canvas.tubes(box, tubes, 6.0)
    t = f.where
    d = f.d + np.float32(0.9) * body.noise(x, y, z, 18.0)
    upper = np.clip(1.3 - 1.3 * t / np.float32(tubes.length_mm), 0.15, 1)
    fold = (
        upper
        * np.float32(0.9)
        * (1 + np.sin(np.float32(1.35) * t + 1.5 * body.noise(x, y, z, 14.0)))
    )
    shut = np.float32(2.6) * (1 + np.sin(np.float32(0.05) * t) + np.sin(np.float32(0.021) * t + 2))
    inner = d + np.float32(1.7) + fold + np.clip(shut, 0, 8)
    contents = np.full_like(d, hu["fluid"] + 14)
    contents += np.float32(9) * body.texture(x, y, z, 10.0)
    if body.spec.oral_contrast:
        contents += np.float32(hu["oral_contrast"]) * (np.sin(np.float32(0.012) * t) > -0.2)
    middle = np.interp(t, tubes.where, tubes.points[:, 1]).astype(np.float32)
    airy = np.sin(np.float32(0.017) * t + 1) + np.sin(np.float32(0.0061) * t)
    gas = (middle + np.float32(9) * (np.float32(2.0) - airy) - y).astype(np.float32)
    wall = hu["gut_wall"] + 0.5 * (hu["gut_mucosa"] - hu["gut_wall"])
    paint_hollow(canvas, box, d, Lumen(inner, contents, gas), wall, hu["gas"], "intestine")
