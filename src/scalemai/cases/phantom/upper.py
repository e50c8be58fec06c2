"""Spleen, kidneys and adrenal glands."""

from __future__ import annotations

import numpy as np

from scalemai.cases.phantom.body import Body
from scalemai.cases.phantom.canvas import F32, Canvas, Tubes, smooth_max
from scalemai.cases.phantom.labels import only
from scalemai.cases.phantom.trees import beside, grow_tree, spline

__all__ = ["SPLENIC_HILUM_MM", "Kidney", "paint_adrenals", "paint_kidneys", "paint_spleen"]

SPLENIC_HILUM_MM = np.array([-84.0, -34.0, 42.0])
"""Where the splenic vessels enter the spleen."""


def paint_spleen(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint the spleen, moulded by the wall, the diaphragm and the organs beside it."""
    rng = body.spec.stream("spleen")
    size = float(np.clip(rng.normal(1.0, 0.1), 0.82, 1.25))
    tilt = float(rng.normal(0.45, 0.08))

    def shape(x: F32, y: F32, z: F32) -> F32:
        wx, wy, wz = body.warped(x, y, z, 3.5, 48.0)
        along = (wz - 42) * np.cos(tilt) - (wy + 42) * np.sin(tilt)
        across = (wy + 42) * np.cos(tilt) + (wz - 42) * np.sin(tilt)
        r = np.sqrt(((wx + 112) / 38) ** 2 + (across / 46) ** 2 + (along / 57) ** 2) / np.float32(
            size
        )
        egg = (r - 1) * np.float32(36)
        inner = np.sqrt(
            ((wx + 50) / 0.9) ** 2 + ((wy + 18) / 1.1) ** 2 + ((wz - 40) / 1.5) ** 2
        ) - np.float32(31)
        d = smooth_max(egg, -inner, 6.0)
        d = smooth_max(d, body.diaphragm(x, y, z) + np.float32(0.8), 5.0)
        return smooth_max(d, body.cavity(x, y, z) + np.float32(0.6), 5.0)

    box = canvas.box((-175, -120, -35), (-40, 40, 125))
    if box is None:
        return
    x, y, z = box.xyz
    value = np.float32(hu["spleen"]) + np.float32(1.4) * body.texture(x, y, z, 9.0, 2)
    if body.spec.phase == "arterial":
        # Early in the spleen, fast and slow blood make bands.
        value += np.float32(24) * np.sin(
            np.float32(0.45) * (x + y) + np.float32(3.2) * body.texture(x, y, z, 38.0)
        )
    d = canvas.field(shape, box)
    canvas.paint(
        box, d, value, "spleen", only("visceral_fat", "mediastinal_fat", "diaphragm", "liver")
    )
    targets = np.array([(-118, -50, 62), (-120, -45, 40), (-112, -60, 25), (-108, -30, 55)], float)
    targets = np.repeat(targets, 5, 0) + rng.normal(0, 9, (20, 3))
    stem = spline([SPLENIC_HILUM_MM, beside(SPLENIC_HILUM_MM, -14, -3, 1)], 3.0)
    tree = grow_tree([stem], targets.astype(np.float32), 3.4, 0.8, rng)
    canvas.paint_vessel(tree, hu["portal_blood"], "spleen", only("spleen"))


class Kidney:
    """One kidney in its own axes: u to the hilum, v forwards, w to the upper pole.

    Parameters
    ----------
    body
        The patient.
    side
        -1 for the left, 1 for the right kidney.
    """

    def __init__(self, body: Body, side: float) -> None:
        name = "left" if side < 0 else "right"
        rng = body.spec.stream(f"kidney {name}")
        self.body, self.side, self.name = body, side, name
        self.size = float(np.clip(rng.normal(1.0, 0.055), 0.86, 1.14))
        z = (-12 if side < 0 else -26) + float(rng.normal(0, 8))
        sx, sy = (float(v) for v in body.spine(z))
        self.centre = np.array([sx + side * float(rng.normal(67, 2)), sy - 9, z])
        inward = np.array([-side * 0.82, 0.57, 0.0])
        up = np.array([-side * 0.22, -0.20, 1.0])
        up /= np.linalg.norm(up)
        inward -= (inward @ up) * up
        self.u = inward / np.linalg.norm(inward)
        self.w = up
        self.v = np.cross(up, self.u)
        self.hilum = self.centre + 27 * self.size * self.u

    def axes(self, x: F32, y: F32, z: F32) -> tuple[F32, F32, F32]:
        x, y, z = self.body.warped(x, y, z, 1.6, 34.0)
        p = [
            (a - np.float32(c)) / np.float32(self.size)
            for a, c in zip((x, y, z), self.centre, strict=True)
        ]
        u, v, w = (
            p[0] * np.float32(e[0]) + p[1] * np.float32(e[1]) + p[2] * np.float32(e[2])
            for e in (self.u, self.v, self.w)
        )
        return u, v, w

    def capsule(self, x: F32, y: F32, z: F32) -> F32:
        """The smooth outline, hilum filled."""
        u, v, w = self.axes(x, y, z)
        u = u + np.float32(0.004) * w * w
        r = np.sqrt((u / 29) ** 2 + (v / 26) ** 2 + (w / 57) ** 2)
        return ((r - 1) * np.float32(26.5)).astype(np.float32)

    def sinus(self, x: F32, y: F32, z: F32) -> F32:
        """The fatty hollow inside, open at the hilum."""
        u, v, w = self.axes(x, y, z)
        r = np.sqrt(((u - 16) / 19) ** 2 + (v / 9.5) ** 2 + (w / 27) ** 2)
        lobes = np.float32(2.2) * self.body.noise(x, y, z, 16.0)
        return ((r - 1) * np.float32(10) + lobes).astype(np.float32)

    def medulla(self, x: F32, y: F32, z: F32) -> F32:
        """Pyramids: cones between the sinus and the cortex, in two rows."""
        u, v, w = self.axes(x, y, z)
        along = np.arctan2(w / 54, -(u - 10) / 28)
        comb = np.cos(np.float32(6.6) * along + np.float32(0.8) * np.sign(v))
        depth = self.capsule(x, y, z)
        row = np.abs(v) / 24 - np.float32(0.16)
        inside = smooth_max(depth + np.float32(7.5), -np.float32(14) * row, 3.0)
        d: F32 = smooth_max(inside, np.float32(-6) * (comb + np.float32(0.35)), 3.0)
        return d


def paint_kidneys(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint perirenal fat, cortex, pyramids, sinus, pelvis and the upper ureters."""
    for side in (-1.0, 1.0):
        kidney = Kidney(body, side)
        box = canvas.box(kidney.centre - 80, kidney.centre + 80)
        if box is None:
            continue
        d = canvas.field(kidney.capsule, box, 2.0)
        x, y, z = box.xyz
        fat = np.float32(hu["visceral_fat"]) + np.float32(3) * body.texture(x, y, z, 12.0)
        gap = 3.0 + 6.0 * body.spec.visceral_fat
        soft = only(
            "visceral_fat",
            "liver",
            "spleen",
            "intrahepatic_vessel",
            "iliopsoas_left",
            "iliopsoas_right",
        )
        canvas.paint(box, d - np.float32(gap), fat, "visceral_fat", soft)
        name = f"kidney_{kidney.name}"
        cortex = np.float32(hu["renal_cortex"]) + np.float32(3) * body.texture(x, y, z, 8.0)
        canvas.paint(box, d, cortex, name, only("visceral_fat"))
        kin = only(name)
        canvas.paint(box, canvas.field(kidney.medulla, box, 2.0), hu["renal_medulla"], name, kin)
        sinus = canvas.field(kidney.sinus, box, 2.0)
        canvas.paint(box, sinus, fat + np.float32(14), "visceral_fat", kin)
        _paint_pelvis_and_vessels(canvas, body, kidney, hu)


def _paint_pelvis_and_vessels(
    canvas: Canvas, body: Body, kidney: Kidney, hu: dict[str, float]
) -> None:
    rng = body.spec.stream(f"renal tree {kidney.name}")
    c, u, w = kidney.centre, kidney.u, kidney.w
    root = kidney.hilum + 6 * u - 3 * w
    ends = [c + 5 * u + f * w + s * 5 * kidney.v for f in (-22, -11, 2, 13, 24) for s in (-1, 1)]
    calyces = grow_tree(
        [spline([root, c + 17 * u], 2.0)], np.asarray(ends, np.float32), 4.6, 2.0, rng
    )
    canvas.paint_vessel(calyces, hu["urine_upper"], "renal_pelvis")
    twigs = [
        c + f * w + s * 9 * kidney.v + 1 * u for f in (-30, -18, -6, 6, 18, 30) for s in (-1, 1)
    ]
    for shift, blood, r in ((3.0, "arterial_blood", 2.2), (7.0, "renal_venous_blood", 3.4)):
        stem = spline(
            [kidney.hilum + 9 * u + shift * kidney.v, c + 16 * u + 0.6 * shift * kidney.v], 2.0
        )
        tree = grow_tree([stem], np.asarray(twigs, np.float32), r, 0.7, rng)
        canvas.paint_vessel(tree, hu[blood], "renal_vessel", only("visceral_fat", "renal_pelvis"))
    sx = float(body.spine(-100.0)[0])
    low = np.array([sx + kidney.side * 42, -22.0, -100.0])
    ureter = spline([root, beside(root, -kidney.side * 4, -2, -14), low,
                     (kidney.side * 38, -8, -170), (kidney.side * 48, -20, -215),
                     (kidney.side * 22, 12, -250)], 3.0)  # fmt: skip
    canvas.paint_vessel(Tubes.along(ureter, 1.9), hu["urine_upper"] * 0.9 + 6, "ureter")


def paint_adrenals(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint the adrenal glands: a ridge with two thin limbs each, like an inverted Y."""
    for side, name in ((-1.0, "left"), (1.0, "right")):
        rng = body.spec.stream(f"adrenal {name}")
        thick = float(np.clip(rng.normal(2.5, 0.25), 2.0, 3.1))
        sx, sy = (float(v) for v in body.spine(26))
        z = np.linspace(14, 44, 13) + (0 if side < 0 else 6)
        x0 = sx + side * (34 if side < 0 else 25)
        y0 = sy + (26 if side < 0 else 20)
        ridge = np.stack([x0 + side * 0.12 * (30 - z), y0 - 0.22 * (z - 26), z], 1)
        reach = np.clip(np.sin(np.linspace(0.5, 2.9, 13)), 0.2, 1)
        points, pairs = [], []
        limbs = ((side * 0.75, -0.66, 24.0), (-side * 0.1, -1.0, 20.0), (-side * 0.3, 0.9, 7.0))
        for dx, dy, length in limbs:
            wave = rng.normal(0, 0.6, 2)
            for row in range(13):
                for s in np.linspace(0, 1, 6):
                    step = s * length * reach[row]
                    bend = wave[0] * np.sin(3 * s) + wave[1] * np.sin(0.5 * row)
                    points.append(ridge[row] + [dx * step - dy * bend, dy * step + dx * bend, 0])
                    if s > 0:
                        pairs.append((len(points) - 2, len(points) - 1))
        n = len(points)
        radii = np.full(n, thick * 0.8, np.float32)
        gland = Tubes(np.asarray(points, np.float32), radii, np.zeros(n, np.float32),
                      np.asarray(pairs, np.int64))  # fmt: skip
        box = canvas.around(gland, 5)
        if box is None:
            continue
        d = canvas.tubes(box, gland, 4.0).d
        canvas.paint(box, d - np.float32(3), hu["visceral_fat"], "visceral_fat",
                     only("liver", "intrahepatic_vessel", "spleen"))  # fmt: skip
        canvas.paint(
            box, d, hu["adrenal"], f"adrenal_gland_{name}", only("visceral_fat", "mediastinal_fat")
        )
