"""Lungs with vessels and airways, the heart and its vessels, and the mediastinum."""

from __future__ import annotations

import numpy as np

from scalemai.cases.phantom.body import Body
from scalemai.cases.phantom.canvas import F32, Canvas, Tubes, smooth_max, smooth_min
from scalemai.cases.phantom.labels import only
from scalemai.cases.phantom.trees import beside, grow_tree, spline
from scalemai.cases.phantom.vessels import aorta_line

__all__ = ["paint_chest"]

_TOP_MM = 300.0
_LUNG_FLOOR_MM = -30.0


def _ball(x: F32, y: F32, z: F32, centre: tuple[float, ...], half: tuple[float, ...]) -> F32:
    """An ellipsoid as about a distance."""
    q = [
        (a - np.float32(c)) / np.float32(h) for a, c, h in zip((x, y, z), centre, half, strict=True)
    ]
    r = np.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2)
    out: F32 = (r - 1) * np.float32(min(half))
    return out


class _Heart:
    """The heart in axes turned with it: a to the apex (left, forwards, down), b left-up, c up."""

    def __init__(self, body: Body) -> None:
        rng = body.spec.stream("heart")
        self.body = body
        self.size = float(np.clip(rng.normal(1.0, 0.05), 0.9, 1.12))
        floor = body.dome_left_mm - 4
        self.centre = np.array([-24.0, 24.0, floor + 34 * self.size])
        a = np.array([-0.68, 0.55, -0.48])
        self.a = a / np.linalg.norm(a)
        c = np.array([0.1, 0.72, 0.68])
        c = c - (c @ self.a) * self.a
        self.c = c / np.linalg.norm(c)
        self.b = np.cross(self.c, self.a)

    def axes(self, x: F32, y: F32, z: F32) -> tuple[F32, F32, F32]:
        x, y, z = self.body.warped(x, y, z, 2.0, 50.0)
        p = [
            (v - np.float32(o)) / np.float32(self.size)
            for v, o in zip((x, y, z), self.centre, strict=True)
        ]
        a, b, c = (
            p[0] * np.float32(e[0]) + p[1] * np.float32(e[1]) + p[2] * np.float32(e[2])
            for e in (self.a, self.b, self.c)
        )
        return a, b, c

    def muscle(self, x: F32, y: F32, z: F32) -> F32:
        a, b, c = self.axes(x, y, z)
        left = _ball(a, b, c, (8, -8, -6), (56, 33, 33))
        right = _ball(a, b, c, (0, 8, 17), (50, 36, 27))
        atria = smooth_min(
            _ball(a, b, c, (-40, -6, -8), (24, 34, 26)),
            _ball(a, b, c, (-38, 30, 8), (26, 27, 28)),
            8,
        )
        whole = smooth_min(smooth_min(left, right, 8.0), atria, 8.0)
        # The heart rests on the diaphragm.
        return smooth_max(whole, np.float32(2.5) - self.body.diaphragm(x, y, z), 5.0)

    def left_ventricle(self, x: F32, y: F32, z: F32) -> F32:
        return _ball(*self.axes(x, y, z), (6, -9, -7), (42, 20, 20))

    def right_ventricle(self, x: F32, y: F32, z: F32) -> F32:
        a, b, c = self.axes(x, y, z)
        septum = _ball(a, b, c, (8, -8, -6), (56, 32, 32))
        return smooth_max(_ball(a, b, c, (0, 9, 18), (46, 32, 23)), -septum, 3.0)

    def left_atrium(self, x: F32, y: F32, z: F32) -> F32:
        return _ball(*self.axes(x, y, z), (-42, -7, -9), (19, 29, 22))

    def right_atrium(self, x: F32, y: F32, z: F32) -> F32:
        return _ball(*self.axes(x, y, z), (-39, 31, 8), (23, 23, 25))

    def sac(self, x: F32, y: F32, z: F32) -> F32:
        return self.muscle(x, y, z) - np.float32(6)


def paint_chest(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint diaphragm, lungs, heart and mediastinum; nothing if the chest is off the grid."""
    if canvas.z[-1] < _LUNG_FLOOR_MM:
        return
    heart = _Heart(body)
    box = canvas.box((-190, -150, _LUNG_FLOOR_MM), (190, 150, _TOP_MM))
    if box is None:
        return
    _paint_diaphragm_and_lungs(canvas, body, heart, hu)
    _paint_heart(canvas, heart, hu)
    _paint_lung_trees(canvas, body, heart, hu)
    _paint_crura(canvas, body, hu)
    _paint_roots(canvas, body, heart, hu)


def _paint_roots(canvas: Canvas, body: Body, heart: _Heart, hu: dict[str, float]) -> None:
    """The great vessels above the heart: aortic arch, pulmonary trunk and upper vena cava."""
    c = heart.centre
    top, down = body.arch_mm, aorta_line(body)
    venous, red = hu["right_heart_blood"], hu["arterial_blood"]
    cava = [beside(c, 48, -18, 28), (26, 2, c[2] + 70), (24, 4, c[2] + 110), (20, 4, 290)]
    trunk = [beside(c, 4, 22, 26), (-20, 22, c[2] + 52), (-22, 2, c[2] + 58)]
    right = [(-18, 6, c[2] + 56), (4, -6, c[2] + 52), (30, -12, c[2] + 42)]
    left = [(-22, 2, c[2] + 58), (-34, -12, c[2] + 52), (-44, -20, c[2] + 40)]
    arch = [beside(c, 24, 2, 24), (12, 20, c[2] + 58), (10, 14, c[2] + 82),
            (0, -6, top + 6), beside(down[0, :3], 8, 12, 5), down[1, :3], down[6, :3]]  # fmt: skip
    for way, radius, blood, label in (
        (cava, 9.5, venous, "superior_vena_cava"),
        (trunk, 13.5, venous, "pulmonary_artery"),
        (right, 10.0, venous, "pulmonary_artery"),
        (left, 10.0, venous, "pulmonary_artery"),
        (arch, 14.0, red, "aorta"),
    ):
        line = spline(way, 3.0)
        canvas.paint_vessel(Tubes.along(line, radius), blood, label, ~only("heart"))


def _paint_crura(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """The two legs of the diaphragm, from the lumbar spine round the aorta to the hiatus."""
    z = np.array([-52.0, -30.0, 0.0, 25.0, 45.0, 62.0, 78.0])
    sx, sy = body.spine(z.astype(np.float32))
    for away, radius in (
        ((12, 14, 17, 18, 14, 4, -6), (2.0, 3.6, 5.0, 5.6, 5.4, 5.0, 4.0)),
        ((-16, -20, -22, -22, -21, -18, -14), (1.5, 2.6, 4.0, 4.8, 5.0, 5.0, 4.0)),
    ):
        ahead = np.array([19, 21, 25, 31, 38, 42, 44])
        way = spline(np.column_stack([sx + away, sy + ahead, z, radius]), 2.0)
        leg = Tubes.along(way[:, :3], way[:, 3])
        box = canvas.around(leg, 8)
        if box is not None:
            d = canvas.tubes(box, leg, 4.0, (1.35, 0.75, 1.0)).d
            allowed = only("visceral_fat", "mediastinal_fat", "diaphragm")
            canvas.paint(box, d, hu["muscle"], "diaphragm", allowed)


def _paint_diaphragm_and_lungs(
    canvas: Canvas, body: Body, heart: _Heart, hu: dict[str, float]
) -> None:
    box = canvas.box((-190, -150, _LUNG_FLOOR_MM), (190, 150, _TOP_MM))
    if box is None:
        return
    wall = canvas.field(lambda x, y, z: body.cavity(x, y, z) + np.float32(2), box, 4.0)
    above = canvas.field(body.diaphragm, box, 3.0)
    chest = np.maximum(wall - 1, -above)
    canvas.paint(
        box, np.maximum(wall - 1, -above - 2.2), hu["muscle"], "diaphragm", only("visceral_fat")
    )
    canvas.paint(box, chest, hu["visceral_fat"] + 6, "mediastinal_fat")

    def middle(x: F32, y: F32, z: F32) -> F32:
        """What lies between the lungs."""
        _, sy = body.spine(z)
        wide = np.interp(z, [60, 110, 160, 190, 260], [20, 24, 30, 34, 30]).astype(np.float32)
        wx, wy, _ = body.warped(x, y, z, 3.0, 50.0)
        narrow = np.float32(1) - np.float32(0.28) * (1 + np.tanh((y - 26) / 14))
        flat = np.abs(wx + 5) - wide * narrow
        behind = sy - np.float32(2) - wy
        core = smooth_max(flat, behind, 10.0)
        aorta = np.sqrt((wx + 20) ** 2 + (wy - sy - 4) ** 2) - np.float32(17)
        return smooth_min(smooth_min(core, aorta, 8.0), heart.sac(x, y, z), 10.0)

    between = canvas.field(middle, box, 3.0)
    x, y, z = box.xyz
    lung = hu["lung"] + np.float32(7) * body.texture(x, y, z, 14.0, 2)
    # Gravity: the back of a lung is a little denser than the front.
    lung += (-np.float32(0.35) * y).astype(np.float32)
    fissure = np.abs(0.55 * (y + 18) + (z - 150) + 2.5 * body.noise(x, y, z, 130.0))
    lung += np.float32(120) * np.exp(-((fissure / np.float32(0.9)) ** 2))
    for side, name in ((-1.0, "left"), (1.0, "right")):
        half = -side * x
        d = smooth_max(smooth_max(wall, -between, 6.0), np.float32(2.2) - above, 5.0)
        canvas.paint(box, np.maximum(d, half), lung, f"lung_{name}")


def _paint_heart(canvas: Canvas, heart: _Heart, hu: dict[str, float]) -> None:
    c = heart.centre
    box = canvas.box(c - 95, c + 95)
    if box is None:
        return
    canvas.paint(box, canvas.field(heart.muscle, box), hu["myocardium"], "heart")
    right = "right_heart_blood"
    for shape, blood in (
        (heart.left_atrium, "arterial_blood"),
        (heart.right_atrium, right),
        (heart.right_ventricle, right),
        (heart.left_ventricle, "arterial_blood"),
    ):
        canvas.paint(box, canvas.field(shape, box), hu[blood], "heart")


def _paint_lung_trees(canvas: Canvas, body: Body, heart: _Heart, hu: dict[str, float]) -> None:
    rng = body.spec.stream("lung trees")
    hila = heart.centre[2] + 34
    carina = hila + 34
    windpipe = spline([(2, -12, 300), (3, -22, carina + 40), (2, -26, carina)], 4.0)
    hollow = Tubes.along(windpipe, 9.0)
    for side, name in ((-1.0, "left"), (1.0, "right")):
        inside = _points_in_lung(body, heart, side, rng, 420)
        root = np.array([side * 16 - 4, -8, hila + 8])
        main = spline([root, (side * 34 - 4, -14, hila), (side * 52, -28, hila - 25)], 3.0)
        lung = only(f"lung_{name}", f"lung_vessel_{name}")
        for part, shift, r, tip in ((0, (0, 0, 0), 10.0, 0.75), (1, (0, 12, -14), 7.5, 0.7)):
            trunk = main + np.asarray(shift, np.float32)
            targets = inside[part * 200 : part * 200 + 190]
            targets = targets[np.argsort(-np.linalg.norm(targets - trunk[-1], axis=1))]
            tree = grow_tree([trunk], targets, r, tip, rng, step_mm=5.0, wiggle_mm=3.0)
            canvas.paint_vessel(tree, hu["right_heart_blood"] - 10, f"lung_vessel_{name}", lung)
        stem = spline([(2, -26, carina), (side * 18, -28, carina - 18),
                       (side * 38, -32, hila - 8), (side * 56, -44, hila - 42)], 3.0)  # fmt: skip
        ends = inside[390:412]
        air = grow_tree([stem], ends, 6.0, 1.2, rng, step_mm=4.0, wiggle_mm=2.0)
        wall = Tubes(air.points, air.radii * 1.18 + 0.55, air.where, air.segments)
        canvas.paint_vessel(wall, 30.0, None)
        canvas.paint_vessel(air, hu["gas"], "airway")
    canvas.paint_vessel(Tubes.along(windpipe, 10.6), 40.0, None)
    canvas.paint_vessel(hollow, hu["gas"], "airway")


def _points_in_lung(
    body: Body, heart: _Heart, side: float, rng: np.random.Generator, count: int
) -> F32:
    found: list[F32] = []
    total = 0
    while total < count:
        p = rng.uniform((2, -110, 0), (140, 100, 260), (4000, 3)).astype(np.float32)
        p[:, 0] *= side
        x, y, z = (p[:, n][:, None, None] for n in range(3))
        d = np.maximum(np.maximum(body.cavity(x, y, z) + 5, 5 - body.diaphragm(x, y, z)),
                       14 - np.abs(x))  # fmt: skip
        d = np.maximum(d, 2 - heart.sac(x, y, z))
        keep = p[d[:, 0, 0] < 0]
        found.append(keep)
        total += len(keep)
    return np.concatenate(found)[:count]
