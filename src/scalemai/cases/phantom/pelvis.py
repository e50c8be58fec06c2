"""The pelvis: hip bones and sacrum as curved plates, femurs, and the muscles on them."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RectBivariateSpline

from scalemai.cases.phantom.body import Body
from scalemai.cases.phantom.bone import paint_bone
from scalemai.cases.phantom.canvas import Canvas, Real, Tubes
from scalemai.cases.phantom.labels import only

__all__ = ["paint_pelvis"]

# Rows run from the iliac crest down to the acetabulum, columns from the sacroiliac joint forwards
# to the iliac spine: x (right side), y and z in mm, and the half thickness.
_ILIUM = np.array([
    [[56, -66, -112], [84, -58, -100], [108, -30, -96], [121, 2, -104], [122, 30, -120]],
    [[48, -76, -140], [74, -64, -136], [100, -36, -134], [117, 2, -136], [121, 34, -142]],
    [[42, -80, -172], [64, -66, -170], [86, -38, -170], [104, 0, -170], [114, 34, -166]],
    [[46, -78, -204], [58, -64, -206], [72, -38, -208], [88, -2, -206], [100, 28, -200]],
    [[64, -56, -232], [66, -46, -236], [70, -30, -242], [78, -2, -240], [86, 22, -232]],
], float)  # fmt: skip
_ILIUM_HALF = np.array([
    [7, 6, 5, 5, 6], [7, 5, 3.4, 4, 6], [8, 5, 3.2, 4.5, 6], [7, 6, 6, 7, 7], [7, 8, 10, 11, 9],
], float)  # fmt: skip
_SACRUM = np.array([
    [[-48, -62, -170], [-26, -58, -166], [0, -60, -164], [26, -58, -166], [48, -62, -170]],
    [[-42, -76, -200], [-22, -76, -200], [0, -78, -200], [22, -76, -200], [42, -76, -200]],
    [[-30, -92, -230], [-16, -94, -230], [0, -96, -230], [16, -94, -230], [30, -92, -230]],
    [[-12, -98, -256], [-6, -99, -256], [0, -100, -256], [6, -99, -256], [12, -98, -256]],
    [[-5, -88, -284], [-2, -88, -284], [0, -88, -284], [2, -88, -284], [5, -88, -284]],
], float)  # fmt: skip
_SACRUM_HALF = np.array([
    [11, 13, 15, 13, 11], [10, 11, 12, 11, 10], [7, 8, 8, 8, 7], [5, 5, 5, 5, 5], [3, 3, 3, 3, 3],
], float)  # fmt: skip


def _plate(control: Real, half: Real) -> Tubes:
    """A plate as a quilt of short capsules on a spline surface through points (5, 5, 3)."""
    n = np.arange(5.0)
    u, v = np.linspace(0, 4, 46), np.linspace(0, 4, 46)
    layers = [RectBivariateSpline(n, n, control[..., a], kx=3, ky=3)(u, v) for a in range(3)]
    points = np.stack(layers, -1).reshape(-1, 3).astype(np.float32)
    radii = RectBivariateSpline(n, n, half, kx=2, ky=2)(u, v).reshape(-1).astype(np.float32)
    index = np.arange(46 * 46).reshape(46, 46)
    rows = np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], 1)
    return Tubes(points, radii, np.zeros(len(points), np.float32), rows.astype(np.int64))


def paint_pelvis(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint the muscles of the hip, then hip bones, sacrum, femoral heads and shafts."""
    if canvas.z[0] > -90:
        return
    widen = 1.05 if body.female else 1.0
    stretch = np.array([widen, 1.0, 1.0])
    for side, name in ((1.0, "right"), (-1.0, "left")):
        mirror = stretch * [side, 1, 1]
        _paint_gluteals(canvas, body, hu, side, name)
        # The iliac muscle lines the inside of the wing.
        lining = _plate((_ILIUM + np.array([-8, 5, 0])) * mirror, np.full((5, 5), 8.5))
        box = canvas.around(lining, 5)
        if box is not None:
            d = canvas.tubes(box, lining, 4.0).d
            canvas.paint(box, d, hu["muscle"], f"iliopsoas_{name}", only("visceral_fat"))
        ilium = _plate(_ILIUM * mirror, _ILIUM_HALF)
        _plate_bone(canvas, body, hu, ilium, f"hip_{name}")
        ring = [(66, 30, -250), (40, 52, -268), (12, 58, -278), (26, 44, -296), (52, 8, -312),
                (66, -34, -308), (70, -40, -280), (70, -34, -250)]  # fmt: skip
        pubis = np.array(ring, float) * mirror
        fine = np.linspace(0, len(ring) - 1, 60)
        curve = np.stack([np.interp(fine, np.arange(len(ring)), c) for c in pubis.T], 1)
        radii = np.interp(fine, np.arange(len(ring)), [11, 8, 9, 7, 7, 13, 12, 12])
        _plate_bone(canvas, body, hu, Tubes.along(curve, radii), f"hip_{name}")
        cup = np.array([[90, 2, -266], [91, 2, -266.5]], float) * mirror
        _plate_bone(canvas, body, hu, Tubes.along(cup, 30.0), f"hip_{name}")
        joint = canvas.around(Tubes.along(cup, 30.0), 4)
        if joint is not None:
            f = canvas.tubes(joint, Tubes.along(cup, 25.6), 4.0)
            canvas.paint(joint, f.d, 60.0, "wall_muscle")
        leg = np.array(
            [[92, 2, -266], [98, 1, -272], [124, -6, -292], [130, -8, -320], [128, -6, -360]]
        )
        floor = np.array([[50, 22, -240], [52, -4, -240], [50, -32, -246], [56, -4, -276]]) * mirror
        inner = Tubes.along(floor, 9.0)
        box = canvas.around(inner, 5)
        if box is not None:
            d = canvas.tubes(box, inner, 4.0, (1.3, 1.0, 0.5)).d
            canvas.paint(box, d, hu["muscle"], "wall_muscle", only("visceral_fat"))
        femur = Tubes.along(leg * mirror, [23.5, 20, 16, 17, 14])
        _plate_bone(canvas, body, hu, femur, f"femur_{name}")
    _plate_bone(canvas, body, hu, _plate(_SACRUM, _SACRUM_HALF), "sacrum")
    canal = Tubes.along([(0, -76, -150), (0, -80, -185), (0, -92, -215)], [7.0, 6.0, 3.0])
    box = canvas.around(canal, 5)
    if box is not None:
        canvas.paint(box, canvas.tubes(box, canal, 4.0).d, hu["fat"] + 70, "spinal_canal_fat")


def _plate_bone(canvas: Canvas, body: Body, hu: dict[str, float], tubes: Tubes, label: str) -> None:
    box = canvas.around(tubes, 6)
    if box is None:
        return
    f = canvas.tubes(box, tubes, 4.0)
    x, y, z = box.xyz
    d = f.d + np.float32(0.5) * body.noise(x, y, z, 16.0)
    paint_bone(canvas, body, hu, box, d, label, 1.6)


def _paint_gluteals(
    canvas: Canvas, body: Body, hu: dict[str, float], side: float, name: str
) -> None:
    """Fat planes that divide the muscle on the outside of the hip bone."""
    low, high = sorted((side * 30.0, side * 190.0))
    box = canvas.box((low, -150, -330), (high, 90, -110))
    if box is None:
        return
    d = canvas.field(body.muscle, box, 4.0)
    x, y, z = box.xyz
    bend = np.float32(9) * body.noise(x, y, z * 0.6, 120.0)
    value = np.full(box.shape, hu["muscle"], np.float32)
    value += np.float32(3) * body.texture(x, y, z, 9.0, 2)
    here = np.clip((np.float32(20) - y) / 25, 0, 1) * np.clip(bend / 9 + 1.2, 0, 1)
    for depth in (17.0, 36.0):
        plane = (d + np.float32(depth) + bend) / np.float32(1.3)
        value -= here * np.float32(135) * np.exp(-(plane**2))
    canvas.paint(box, d, value, f"gluteus_{name}", only("wall_muscle"))
