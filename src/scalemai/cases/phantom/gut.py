"""Hollow organs as tubes with a wall, folds and contents; stomach, duodenum, esophagus, colon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalemai.cases.phantom.body import Body
from scalemai.cases.phantom.canvas import F32, Box, Canvas, Tubes
from scalemai.cases.phantom.labels import only
from scalemai.cases.phantom.trees import spline

__all__ = [
    "Lumen",
    "colon_line",
    "paint_colon",
    "paint_hollow",
    "paint_stomach_and_duodenum",
    "stomach_line",
]

HOLLOW_FREE = only(
    *("visceral_fat", "mediastinal_fat", "mesenteric_vessel", "diaphragm", "ureter", "esophagus"),
    *("stomach", "duodenum", "intestine", "colon"),
    *("liver", "intrahepatic_vessel", "gall_bladder"),
)
"""Tissues that a bowel loop may push aside."""


@dataclass(frozen=True)
class Lumen:
    """What is in a hollow organ, as fields on a box."""

    d: F32
    """Field of the inside of the wall."""
    hu: F32
    """HU of the contents."""
    gas: F32
    """Field of the gas, negative where gas is."""


def paint_hollow(
    canvas: Canvas, box: Box, outside: F32, lumen: Lumen, wall_hu: float, gas_hu: float, label: str
) -> None:
    """Paint wall, contents and gas of a hollow organ."""
    canvas.paint(box, outside, wall_hu, label, HOLLOW_FREE)
    own = only(label)
    canvas.paint(box, lumen.d, lumen.hu, label, own)
    canvas.paint(box, np.maximum(lumen.d, lumen.gas), gas_hu, label, own)


def stomach_line(body: Body) -> F32:
    """Centre line (n, 4) of the stomach from fundus to pylorus: x, y, z, radius in mm."""
    rng = body.spec.stream("stomach")
    full = float(np.clip(rng.normal(0.82, 0.16), 0.52, 1.1))
    sag = float(rng.normal(0, 8))
    way = np.array([
        [-56, -34, 82, 20], [-62, -18, 70, 34], [-66, 8, 48, 32], [-62, 34, 22, 27],
        [-44, 50, -2 - 0.6 * sag, 23], [-16, 54, -14 - sag, 18], [12, 46, -10 - 0.5 * sag, 14.5],
        [28, 36, -4, 9.5], [33, 32, -2, 6.5],
    ])  # fmt: skip
    way[1:7, 3] *= full
    line = spline(way, 2.0)
    return body.inside(line, line[:, 3] * 0.9 + 6)


def paint_stomach_and_duodenum(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint esophagus, stomach with folds, fluid and gas, and the duodenum."""
    rng = body.spec.stream("stomach contents")
    gullet = spline([(-2, -22, 300, 5), (-6, -30, 200, 6), (-8, -30, 140, 7), (-12, -24, 108, 7.5),
                     (-20, -16, 88, 8), (-34, -14, 74, 9)], 3.0)  # fmt: skip
    _, sy = body.spine(gullet[:, 2])
    gullet[:, 1] = np.maximum(gullet[:, 1], sy + 24)
    tubes = Tubes.along(gullet[:, :3], gullet[:, 3] + 1)
    box = canvas.around(tubes, 6)
    if box is not None:
        f = canvas.tubes(box, tubes, 5.0, (0.85, 1.15, 1.0))
        canvas.paint(box, f.d, hu["gut_wall"], "esophagus", ~only("heart", "aorta"))
        air = f.d + np.float32(5.6) + np.float32(2) * body.noise(*box.xyz, 22.0)
        canvas.paint(box, air, -600.0, "esophagus", only("esophagus"))
    line = stomach_line(body)
    tubes = Tubes.along(line[:, :3], line[:, 3])
    box = canvas.around(tubes, 8)
    if box is not None:
        x, y, z = box.xyz
        f = canvas.tubes(box, tubes, 7.0)
        d = f.d + np.float32(1.8) * body.noise(x, y, z, 40.0)
        roof = canvas.field(body.diaphragm, box, 3.0) + np.float32(3.5)
        d = np.maximum(d, roof)
        fold = np.abs(body.noise(x * 1.3, y, z * 0.8, 17.0)) * np.float32(2.6)
        inner = d + np.float32(3.4) + np.clip(fold, 0, 4.5)
        level = float(np.interp(rng.random(), [0, 1], [6, 55]))
        surface = (np.float32(level) - y + 0 * z).astype(np.float32)
        contents = hu["oral_contrast"] if body.spec.oral_contrast else 22.0
        meal = np.float32(contents) + np.float32(7) * body.texture(x, y, z, 8.0, 2)
        surface = surface + np.zeros_like(d)
        lumen = Lumen(inner, meal, surface)
        paint_hollow(canvas, box, d, lumen, hu["gut_wall"], hu["gas"], "stomach")
    _paint_duodenum(canvas, body, hu, rng)


def _paint_duodenum(
    canvas: Canvas, body: Body, hu: dict[str, float], rng: np.random.Generator
) -> None:
    full = float(np.clip(rng.normal(1.0, 0.12), 0.78, 1.25))
    way = np.array([
        [33, 32, -2, 7], [42, 26, 4, 12], [53, 14, -2, 12], [58, 5, -20, 12.5], [57, 2, -44, 12.5],
        [48, 3, -64, 12], [26, 7, -72, 11], [4, 8, -70, 8], [-14, 6, -62, 10], [-30, 8, -42, 11],
        [-36, 18, -30, 10],
    ])  # fmt: skip
    way[:, 3] *= full
    line = spline(way, 2.0)
    tubes = Tubes.along(line[:, :3], line[:, 3])
    box = canvas.around(tubes, 6)
    if box is None:
        return
    x, y, z = box.xyz
    f = canvas.tubes(box, tubes, 5.0)
    d = f.d + np.float32(1.0) * body.noise(x, y, z, 20.0)
    fold = np.float32(1.0) * (
        1 + np.sin(np.float32(1.15) * f.where + 2 * body.noise(x, y, z, 15.0))
    )
    open_ = np.float32(2.2) * (1 + body.noise(x, y, z, 46.0))
    inner = d + np.float32(2.4) + fold + np.clip(open_, 0, 5)
    gas = (6 - 0.35 * f.radius + (line[:, 1].max() - 14 - y)).astype(np.float32)
    contents = hu["oral_contrast"] * 0.8 if body.spec.oral_contrast else hu["fluid"] + 12
    lumen = Lumen(inner, np.full_like(d, contents), gas)
    paint_hollow(canvas, box, d, lumen, hu["gut_mucosa"], hu["gas"], "duodenum")


def colon_line(body: Body) -> F32:
    """Centre line (n, 5) of the colon from caecum to rectum: x, y, z, radius, fill."""
    rng = body.spec.stream("colon")
    wide = float(np.clip(rng.normal(1.0, 0.14), 0.72, 1.3))
    sag = float(rng.normal(0, 20))
    fat = 12 * body.spec.visceral_fat
    way = np.array([
        [86, 12, -162, 20], [94, -2, -138, 26], [100, -22, -104, 24], [104, -30, -74, 22],
        [98, -22, -50, 21], [92, 8, -40, 20], [78, 40, -50, 19], [46, 66 + fat, -62 - sag, 19],
        [0, 74 + fat, -70 - sag, 19], [-44, 68 + fat, -52 - 0.6 * sag, 18], [-82, 42, -14, 18],
        [-104, 6, 26, 18], [-110, -18, 36, 18], [-116, -34, 8, 15], [-116, -42, -40, 13],
        [-112, -38, -90, 13], [-104, -14, -130, 13], [-88, 12, -160, 13], [-52, 30, -186, 14],
        [-14, 34, -196, 15], [18, 10, -186, 14], [24, -22, -192, 13], [8, -50, -206, 15],
        [0, -64, -232, 18], [0, -62, -258, 19], [0, -52, -282, 13],
    ], float)  # fmt: skip
    way[:, :3] += rng.normal(0, 4.0, (len(way), 3)) * np.array([1, 1, 1.4])
    way[-3:, 0] *= 0.3
    way[:, 3] *= wide
    line = spline(way, 2.0)
    return body.inside(line, line[:, 3] + 3)


def paint_colon(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint the colon: pouches between folds, stool with gas bubbles, gas in front."""
    line = colon_line(body)
    tubes = Tubes.along(line[:, :3], line[:, 3])
    box = canvas.around(tubes, 8)
    if box is None:
        return
    for slab in box.slabs():
        _paint_colon_slab(canvas, body, hu, slab, tubes)


def _paint_colon_slab(
    canvas: Canvas, body: Body, hu: dict[str, float], box: Box, tubes: Tubes
) -> None:
    rng = body.spec.stream("colon contents")
    phase, clean = rng.uniform(0, 6), float(rng.uniform(-0.3, 0.5))
    x, y, z = box.xyz
    f = canvas.tubes(box, tubes, 7.0)
    if f.d.min() > 0:
        return
    length = tubes.length_mm
    calm = np.interp(f.where, [0.5 * length, 0.62 * length], [1, 0.55]).astype(np.float32)
    wave = np.abs(np.sin(np.float32(np.pi / 26.0) * f.where + np.float32(phase)))
    pouch = (np.float32(4.8) * calm) * (np.float32(0.62) - wave ** np.float32(0.6))
    d = f.d + pouch + np.float32(1.4) * body.noise(x, y, z, 26.0)
    inner = d + np.float32(1.9)
    mottle = body.texture(x, y, z, 7.0, 2)
    stool = np.float32(hu["stool"]) + np.float32(26) * mottle
    bubbles = body.texture(x + 33, y, z, 9.0, 2) - np.float32(0.95)
    stool -= np.float32(520) * np.clip(bubbles, 0, 1.2)
    if body.spec.oral_contrast:
        stool += np.float32(0.7 * hu["oral_contrast"])
    # How full each stretch is: above zero, gas floats on what is left.
    fill = np.sin(np.float32(0.021) * f.where + np.float32(phase)) + np.float32(clean)
    fill += np.float32(0.6) * np.sin(np.float32(0.008) * f.where + np.float32(2 * phase))
    middle = _height_of_axis(tubes, f.where)
    gas = (middle + np.float32(14) * (np.float32(0.55) - fill) - y).astype(np.float32)
    paint_hollow(canvas, box, d, Lumen(inner, stool, gas), hu["gut_wall"], hu["gas"], "colon")


def _height_of_axis(tubes: Tubes, where: F32) -> F32:
    """The y of the centre line at each voxel, so that gas lies in front of it."""
    out: F32 = np.interp(where, tubes.where, tubes.points[:, 1]).astype(np.float32)
    return out
