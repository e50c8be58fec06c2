"""Great vessels of the trunk and the splanchnic arteries and veins."""

from __future__ import annotations

import numpy as np

from scalemai.cases.phantom.body import Body
from scalemai.cases.phantom.canvas import F32, Canvas, Tubes
from scalemai.cases.phantom.labels import only
from scalemai.cases.phantom.liver import HEPATIC_OUTLET_MM, PORTA_MM
from scalemai.cases.phantom.trees import beside, grow_tree, spline
from scalemai.cases.phantom.upper import SPLENIC_HILUM_MM, Kidney

__all__ = ["CONFLUENCE_MM", "aorta_line", "paint_great_vessels", "paint_splanchnic_vessels"]

CONFLUENCE_MM = np.array([14.0, 11.0, 0.0])
"""Where splenic and superior mesenteric veins form the portal vein."""


def aorta_line(body: Body) -> F32:
    """Centre line (n, 4) of the descending aorta: x, y, z and radius in mm."""
    rng = body.spec.stream("aorta")
    wide = float(np.clip(rng.normal(1.0, 0.07), 0.86, 1.2)) * (0.93 if body.female else 1.03)
    wide *= 1 + 0.0025 * (body.spec.age_years - 60)
    levels = np.array([190, 150, 110, 70, 35, 0, -35, -70, -108], float)
    z = np.concatenate([[body.arch_mm], levels[levels < body.arch_mm - 15]])
    sx, sy = body.spine(z.astype(np.float32))
    profile = levels[::-1]
    left = np.interp(z, profile, [3, 6, 7, 8, 10, 14, 19, 23, 25])
    ahead = np.interp(z, profile, [27, 28, 29, 29, 27, 22, 16, 11, 8])
    sway = rng.normal(0, 1.5, len(levels) + 1)[: len(z)] * np.linspace(0, 1, len(z))
    r = np.interp(z, profile, [8.4, 8.6, 9, 10, 11, 11.4, 11.8, 12, 12.3]) * wide
    return spline(np.stack([sx - left + sway, sy + ahead, z, r], 1), 4.0)


def cava_line(body: Body) -> F32:
    """Centre line (n, 4) of the inferior vena cava, from the iliac veins to the heart."""
    rng = body.spec.stream("cava")
    wide = float(np.clip(rng.normal(1.0, 0.12), 0.75, 1.25))
    z = np.array([-120, -90, -60, -25, 5], float)
    sx, sy = body.spine(z.astype(np.float32))
    low = np.stack(
        [
            sx + np.array([14, 19, 21, 23, 24]),
            sy + np.array([23, 26, 28, 29, 29]),
            z,
            [9.5, 10, 10.5, 11.5, 12],
        ],
        1,
    )
    o = HEPATIC_OUTLET_MM
    high = [
        [24, -14, 35, 12],
        [21, -10, 58, 12],
        [o[0], o[1] - 1, o[2], 12.5],
        [14, 2, 98, 12.5],
        [10, 12, 116, 13],
    ]
    line = np.concatenate([low, np.array(high)])
    line[:, 3] *= wide
    return spline(line, 3.0)


def paint_great_vessels(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint aorta, inferior vena cava, iliac and renal vessels."""
    aorta, cava = aorta_line(body), cava_line(body)
    _paint_cava(canvas, cava, hu)
    fork, meet = aorta[-1, :3], cava[0, :3]
    for side, name in ((-1.0, "left"), (1.0, "right")):
        tail = [
            (30, -18, -140),
            (44, -12, -168),
            (54, 8, -205),
            (62, 34, -245),
            (68, 46, -275),
            (72, 48, -320),
        ]
        way = [np.array([side * x, y, z]) for x, y, z in tail]
        artery = spline(np.column_stack([[fork, *way], [7, 6, 5.4, 5, 4.8, 4.6, 4.4]]), 3.0)
        vein_way = [beside(p, -side * 4, -11, 0) for p in way[:3]] + [
            beside(p, -side * 11, -3, 0) for p in way[3:]
        ]
        vein = spline(np.column_stack([[meet, *vein_way], [8, 7.5, 7, 6.5, 6.5, 6.2, 6]]), 3.0)
        canvas.paint_vessel(
            Tubes.along(vein[:, :3], vein[:, 3]),
            hu["infrarenal_venous_blood"],
            f"iliac_vena_{name}",
        )
        canvas.paint_vessel(
            Tubes.along(artery[:, :3], artery[:, 3]),
            hu["arterial_blood"] - 4,
            f"iliac_artery_{name}",
        )
        kidney = Kidney(body, side)
        gate = kidney.hilum + 9 * kidney.u
        at = np.argmin(np.abs(aorta[:, 2] - (gate[2] + 12)))
        start = aorta[at, :3]
        middle = (start + gate) / 2 + [0, -4 if side > 0 else 2, 3]
        renal = spline([start, middle, gate + 3 * kidney.v], 2.0)
        canvas.paint_vessel(Tubes.along(renal, 2.7), hu["arterial_blood"] - 8, "renal_vessel")
        at = np.argmin(np.abs(cava[:, 2] - (gate[2] + 10)))
        way_home = [gate + 7 * kidney.v, (gate + cava[at, :3]) / 2 + [0, 8, 2], cava[at, :3]]
        if side < 0:
            front = aorta[np.argmin(np.abs(aorta[:, 2] - gate[2] - 8)), :3] + [0, 15, 0]
            way_home = [gate + 7 * kidney.v, beside(front, -18, -4, 0), front, cava[at, :3]]
        canvas.paint_vessel(
            Tubes.along(spline(way_home, 2.0), 4.6), hu["renal_venous_blood"], "renal_vessel"
        )
    _paint_aorta(canvas, body, aorta, hu)


def _paint_cava(canvas: Canvas, cava: F32, hu: dict[str, float]) -> None:
    tubes = Tubes.along(cava[:, :3], cava[:, 3])
    box = canvas.around(tubes, 8)
    if box is None:
        return
    f = canvas.tubes(box, tubes, 6.0, (0.92, 1.22, 1.0))
    z = box.xyz[2]
    # Renal and hepatic veins bring contrast-rich blood that mixes on the way up.
    mixed = np.interp(z, [-45, -20, 30, 80], [0, 0.7, 0.85, 1.0]).astype(np.float32)
    upper = 0.5 * (hu["renal_venous_blood"] + hu["hepatic_venous_blood"])
    blood = hu["infrarenal_venous_blood"] + mixed * np.float32(
        upper - hu["infrarenal_venous_blood"]
    )
    canvas.paint(box, f.d - np.float32(0.8), hu["gut_wall"], "postcava", ~only("heart"))
    canvas.paint(box, f.d, blood, "postcava", ~only("heart"))


def _paint_aorta(canvas: Canvas, body: Body, aorta: F32, hu: dict[str, float]) -> None:
    tubes = Tubes.along(aorta[:, :3], aorta[:, 3])
    box = canvas.around(tubes, 5)
    if box is None:
        return
    f = canvas.tubes(box, tubes, 4.0)
    x, y, z = box.xyz
    canvas.paint(box, f.d - np.float32(1.0), hu["gut_wall"], "aorta")
    canvas.paint(box, f.d, hu["arterial_blood"], "aorta")
    plaque = float(np.clip((body.spec.age_years - 58) / 30, 0, 1))
    if plaque > 0:
        patch = body.texture(x, y, z, 17.0) - np.float32(2.2 - 1.3 * plaque)
        shell = np.maximum(np.abs(f.d + np.float32(0.4)) - np.float32(1.0), -patch * np.float32(3))
        canvas.paint(box, shell, 620.0, "aorta", only("aorta"))


def paint_splanchnic_vessels(canvas: Canvas, body: Body, hu: dict[str, float]) -> None:
    """Paint coeliac trunk, mesenteric, splenic and hepatic arteries, and the portal system."""
    rng = body.spec.stream("splanchnic")
    aorta = aorta_line(body)

    def from_aorta(z: float) -> F32:
        out: F32 = aorta[np.argmin(np.abs(aorta[:, 2] - z)), :3]
        return out

    c = CONFLUENCE_MM
    trunk = from_aorta(22)
    tip = beside(trunk, 2, 22, 3)
    coeliac = Tubes.along(spline([trunk, beside(trunk, 1, 12, -1), tip], 1.5), 3.4)
    loops = [tip + f * (SPLENIC_HILUM_MM - tip) + [0, 9 * np.sin(3 * f), 5 * np.sin(9 * f) + 4]
             for f in (0.2, 0.4, 0.6, 0.8)]  # fmt: skip
    splenic = Tubes.along(spline([tip, *loops, beside(SPLENIC_HILUM_MM, 0, 5, 5)], 1.5), 2.4)
    hepatic = Tubes.along(
        spline(
            [tip, beside(tip, 18, 8, -3), beside(PORTA_MM, -5, 7, -10), beside(PORTA_MM, -2, 8, 4)],
            1.5,
        ),
        2.2,
    )
    mesenteric_root = from_aorta(8)
    sma = spline([mesenteric_root, beside(mesenteric_root, 1, 15, -4), (0, 9, -18), (3, 18, -50),
                  (8, 24, -85), (20, 22, -115)], 2.0)  # fmt: skip
    smv = spline([c, (15, 14, -18), (15, 22, -50), (20, 28, -85), (32, 26, -115)], 2.0)
    portal = spline([c, beside(c, 8, 0, 9), PORTA_MM - [6, 0, 5], beside(PORTA_MM, 1, 0, 1)], 2.0)
    vein = spline([c, beside(c, -16, 6, 6), (-28, 9, 13), (-56, -10, 22), SPLENIC_HILUM_MM], 2.0)
    not_liver = ~only("liver", "intrahepatic_vessel")
    blood = hu["portal_blood"]
    canvas.paint_vessel(Tubes.along(vein, 4.2), blood, "splenic_vein", not_liver)
    canvas.paint_vessel(
        Tubes.along(smv, np.linspace(5.8, 3.5, len(smv))), blood, "superior_mesenteric_vein"
    )
    canvas.paint_vessel(Tubes.along(portal, 6.6), blood, "extrahepatic_portal_vein", not_liver)
    red = hu["arterial_blood"]
    canvas.paint_vessel(
        Tubes.along(sma, np.linspace(3.8, 2.2, len(sma))), red, "superior_mesenteric_artery"
    )
    canvas.paint_vessel(splenic, red - 6, "splenic_artery", not_liver)
    canvas.paint_vessel(hepatic, red - 6, "hepatic_artery", not_liver)
    canvas.paint_vessel(coeliac, red, "celiac_artery")
    fat = only("visceral_fat", "mesenteric_vessel")
    ends = rng.uniform((-85, 5, -190), (90, 62, -20), (260, 3)).astype(np.float32)
    ends = body.inside(ends, 12.0)
    for line, r, tip_r, value in ((smv, 3.4, 0.9, blood), (sma, 2.4, 0.65, red)):
        near = (ends + rng.normal(0, 4, ends.shape)).astype(np.float32)
        tree = grow_tree([line[5:]], near, r, tip_r, rng, step_mm=4.0, wiggle_mm=3.0)
        canvas.paint_vessel(tree, value, "mesenteric_vessel", fat)
