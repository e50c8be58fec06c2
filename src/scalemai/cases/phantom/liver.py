"""Liver, its portal and hepatic venous trees, gallbladder and bile duct."""

from __future__ import annotations

import numpy as np

from scalemai.cases.phantom.body import Body
from scalemai.cases.phantom.canvas import F32, Canvas, Tubes, smooth_max, smooth_min
from scalemai.cases.phantom.labels import only
from scalemai.cases.phantom.trees import beside, grow_tree, spline

__all__ = ["HEPATIC_OUTLET_MM", "PORTA_MM", "LiverShape", "paint_bile", "paint_liver"]

PORTA_MM = np.array([36.0, 6.0, 24.0])
"""Where the portal vein enters the liver."""

HEPATIC_OUTLET_MM = np.array([17.0, -6.0, 76.0])
"""Where the hepatic veins meet the inferior vena cava."""

_X = [-110.0, -80.0, -45.0, -15.0, 10.0, 35.0, 60.0, 90.0, 125.0, 150.0]
_BOTTOM = [70.0, 58.0, 34.0, 14.0, 4.0, -6.0, -24.0, -46.0, -56.0, -56.0]
_BEHIND = [30.0, 26.0, 20.0, 8.0, -6.0, -24.0, -80.0, -140.0, -160.0, -160.0]


class LiverShape:
    """The surface of one patient's liver.

    Parameters
    ----------
    body
        The patient.
    """

    def __init__(self, body: Body) -> None:
        rng = body.spec.stream("liver")
        self.body = body
        self.drop = float(np.clip(rng.normal(0, 13), -20, 24))
        self.left_tip = float(np.clip(rng.normal(-72, 14), -102, -48))
        self.falciform = float(rng.normal(-6, 4))
        self.bulk = float(rng.normal(0, 3))

    def __call__(self, x: F32, y: F32, z: F32) -> F32:
        """The field of the liver without its vessels, negative inside."""
        body = self.body
        wx, wy, wz = body.warped(x, y, z, 4.0, 75.0)
        wall = body.cavity(x, y, z) + np.float32(0.4)
        roof = body.diaphragm(x, y, z) + np.float32(0.8)
        lobe = np.clip((wx - 20) / 60, 0, 1)
        bottom = np.interp(wx, _X, _BOTTOM).astype(np.float32) - lobe * np.float32(self.drop)
        bottom = bottom - (1 - lobe) * np.float32(0.3) * (wy - 30) + self.bulk
        # A hollow under the right lobe for kidney and colon.
        hollow = np.exp(-(((wx - 58) / 30) ** 2) - ((wy - 5) / 42) ** 2)
        under = (bottom + np.float32(16) * hollow - wz) * np.float32(0.8)
        behind = (np.interp(wx, _X, _BEHIND).astype(np.float32) - wy) * np.float32(0.72)
        tip = np.float32(self.left_tip) - wx + np.float32(0.25) * (wy - 40)
        front = wy - np.float32(86)
        d = smooth_max(under, behind, 16.0)
        d = smooth_max(d, tip, 22.0)
        d = smooth_max(d, roof, 9.0)
        d = smooth_max(d, front, 20.0)
        d = smooth_max(d, wall, 6.0)
        caudate = np.sqrt(
            ((wx - 8) / 0.8) ** 2 + ((wy - 2) / 0.75) ** 2 + ((wz - 42) / 1.7) ** 2
        ) - np.float32(19)
        d = smooth_min(d, smooth_max(caudate, roof, 5.0), 4.0)
        return smooth_max(d, -self._fissures(wx, wy, wz), 4.0)

    def _fissures(self, x: F32, y: F32, z: F32) -> F32:
        """Round and venous ligaments and the porta: where fat runs into the liver."""
        round_lig = np.abs(x - np.float32(self.falciform) - 0.12 * (y - 40)) - np.float32(
            2.4
        ) * np.clip((np.float32(45) - z) / 30, 0.1, 1)
        round_lig = np.maximum(np.maximum(round_lig, 34 - y), z - 20 - 0.4 * (y - 34))
        venous = np.abs(y - 17 + 0.35 * (x - 5)) - np.float32(1.3)
        venous = np.maximum(venous, np.maximum(np.abs(x + 2) - 19, np.abs(z - 44) - 17))
        across = np.abs(x - 26) - np.float32(22)
        porta = np.sqrt(np.maximum(across, 0) ** 2 + (y - 6) ** 2 + (0.8 * (z - 18)) ** 2)
        out: F32 = smooth_min(
            smooth_min(round_lig, venous, 4.0), porta - np.float32(9), 5.0
        ).astype(np.float32)
        return out

    def points_inside(self, rng: np.random.Generator, count: int, depth_mm: float) -> F32:
        """Random points (count, 3) at least about ``depth_mm`` below the surface."""
        found: list[F32] = []
        total = 0
        while total < count:
            p = rng.uniform((-100, -90, -85), (140, 95, 115), (6000, 3)).astype(np.float32)
            x, y, z = (p[:, n][:, None, None] for n in range(3))
            keep = p[self(x, y, z)[:, 0, 0] < -depth_mm]
            found.append(keep)
            total += len(keep)
        return np.concatenate(found)[:count]


def paint_liver(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint the liver, its vessels, the gallbladder and the bile duct down to the pancreas."""
    shape = LiverShape(body)
    box = canvas.box((-115, -115, -100), (165, 125, 125))
    if box is None:
        return
    x, y, z = box.xyz
    value = np.float32(hu["liver"]) + np.float32(1.6) * body.texture(x, y, z, 11.0, 2)
    allowed = only("visceral_fat", "mediastinal_fat", "diaphragm")
    canvas.paint(box, canvas.field(shape, box), value, "liver", allowed)
    _paint_trees(canvas, body, shape, hu)


def _paint_trees(canvas: Canvas, body: Body, shape: LiverShape, hu: dict[str, float]) -> None:
    rng = body.spec.stream("liver trees")
    p, o = PORTA_MM, HEPATIC_OUTLET_MM
    inside = only("liver", "intrahepatic_vessel")
    fork = beside(p, 4, 2, 4)
    portal = [
        spline([p - [6, 0, 5], p, fork], 3.0),
        spline([fork, beside(p, 24, -4, 9), beside(p, 44, -14, 12), beside(p, 62, -24, 8)], 3.0),
        spline([beside(p, 24, -4, 9), beside(p, 40, 10, 14), beside(p, 54, 24, 8)], 3.0),
        spline([fork, beside(p, -14, 10, 14), beside(p, -36, 20, 22), beside(p, -42, 34, 16)], 3.0),
    ]
    veins = [
        spline([o, beside(o, 20, -6, -2), beside(o, 56, -14, -24), beside(o, 74, -22, -62)], 3.0),
        spline([o, beside(o, 6, 16, -2), beside(o, 20, 36, -22), beside(o, 30, 48, -52)], 3.0),
        spline([o, beside(o, -14, 16, 2), beside(o, -40, 34, -8), beside(o, -62, 44, -18)], 3.0),
    ]
    for trunks, root, tip, blood in (
        (portal, 7.0, 0.55, "portal_blood"),
        (veins, 5.5, 0.6, "hepatic_venous_blood"),
    ):
        targets = shape.points_inside(rng, 260, 4.0)
        trunk = np.concatenate(trunks)
        near = np.linalg.norm(targets[:, None] - trunk[None], axis=2).min(1)
        targets = targets[np.argsort(-near)]
        tree = grow_tree(trunks, targets, root, tip, rng)
        canvas.paint_vessel(tree, hu[blood], "intrahepatic_vessel", inside)


def paint_bile(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint the gallbladder and the bile duct as far as the pancreas."""
    rng = body.spec.stream("bile")
    fill = float(np.clip(rng.normal(1.0, 0.17), 0.6, 1.3))
    way = spline(
        [(38, 10, 12, 2.5), (44, 22, 4, 6 * fill), (52, 36, -10, 12 * fill),
         (58, 48, -26, 14.5 * fill), (62, 54, -38, 12 * fill)], 2.0)  # fmt: skip
    way = body.inside(way, way[:, 3] + 5)
    sac = Tubes.along(way[:, :3], way[:, 3])
    box = canvas.around(sac, 5)
    if box is not None:
        x, y, z = box.xyz
        d = canvas.tubes(box, sac, 4.0).d + np.float32(0.8) * body.noise(x, y, z, 28.0)
        canvas.paint(box, d, hu["gall_bladder_wall"], "gall_bladder")
        canvas.paint(box, d + np.float32(1.6), hu["bile"], "gall_bladder")
    wide = float(np.clip(rng.normal(2.6, 0.5), 1.8, 4.2))
    duct = spline(
        [beside(PORTA_MM, 10, 2, 2), beside(PORTA_MM, 4, 5, -8), (38, 9, 0), (40, 4, -12)], 1.5
    )
    canvas.paint_vessel(Tubes.along(duct, wide + 0.7), hu["gut_wall"], "common_bile_duct")
    canvas.paint_vessel(Tubes.along(duct, wide), hu["bile"] + 2, "common_bile_duct")
