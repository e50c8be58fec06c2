"""The frame that all organs hang in: cavity, wall, spine curve and diaphragm of one patient.

Body coordinates are RAS+ mm of a standard adult: the origin is the middle of the trunk at the
level of the centre of L1. Sizes are the author's estimate from public CT, to be refined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from scalemai.cases.phantom.canvas import F32, Noise, Real, smooth_max, smooth_min
from scalemai.cases.phantom.spec import PhantomSpec

__all__ = ["VERTEBRA_Z_MM", "Body"]

VERTEBRA_Z_MM = {
    "S1": -178.0, "L5": -144.0, "L4": -109.0, "L3": -73.0, "L2": -36.5, "L1": 0.0,
    "T12": 33.0, "T11": 62.5, "T10": 90.0, "T9": 116.0, "T8": 141.0, "T7": 165.0, "T6": 188.0,
    "T5": 210.0, "T4": 231.0, "T3": 251.0, "T2": 270.0, "T1": 288.0,
}  # fmt: skip
"""Height of the centre of each vertebral body in body coordinates."""

_Z = np.array([-330, -280, -235, -190, -140, -100, -50, 0, 50, 100, 150, 200, 250, 300], float)
_HALF_WIDTH = np.array([58, 62, 72, 98, 116, 121, 123, 125, 129, 131, 127, 117, 96, 62], float)
_FRONT = np.array([45, 55, 66, 74, 76, 79, 83, 88, 92, 92, 88, 76, 58, 38], float)
_BACK = np.array([62, 74, 88, 92, 88, 86, 87, 90, 94, 97, 98, 96, 88, 72], float)
# How much visceral fat moves the wall: nothing at the rib cage and the pelvis.
_PUSH = np.array([0, 0.05, 0.2, 0.6, 0.95, 1, 1, 0.9, 0.55, 0.25, 0.1, 0, 0, 0], float)
_WALL_SIDE = np.array([84, 84, 76, 52, 28, 22, 21, 22, 24, 25, 27, 34, 48, 70], float)
_WALL_FRONT = np.array([34, 30, 20, 14, 12, 11, 11, 11, 13, 16, 20, 24, 26, 28], float)
_WALL_BACK = np.array([48, 48, 40, 30, 24, 22, 21, 20, 19, 18, 18, 20, 24, 30], float)
_FAT_SIDE = np.array([1.5, 1.5, 1.5, 1.35, 1.25, 1.1, 1, 0.9, 0.75, 0.65, 0.7, 0.8, 0.8, 0.7])
_FAT_FRONT = np.array([1.6, 1.6, 1.6, 1.7, 1.7, 1.6, 1.5, 1.3, 1.0, 0.75, 0.7, 0.6, 0.5, 0.4])
_FAT_BACK = np.array([1.6, 1.6, 1.6, 1.5, 1.3, 1.1, 0.9, 0.7, 0.6, 0.5, 0.5, 0.5, 0.5, 0.5])
_SPINE_Z = np.array([-300, -265, -230, -200, -178, -144, -109, -73, -36, 0, 62, 116, 165, 210, 300])
_SPINE_Y = np.array([-84, -96, -92, -72, -58, -42, -37, -38, -42, -47, -55, -62, -69, -73, -64])


@dataclass(frozen=True)
class _Ring:
    """A superellipse with different front and back, by height."""

    side: PchipInterpolator
    front: PchipInterpolator
    back: PchipInterpolator
    power: float

    def __call__(self, x: F32, y: F32, z: F32) -> F32:
        """About the distance in mm to the ring, negative inside."""
        # Height is not warped, so the profiles are looked up once per slice.
        side, front, back = (
            np.asarray(f(np.clip(z, _Z[0], _Z[-1])), np.float32)
            for f in (self.side, self.front, self.back)
        )
        depth = np.where(y > 0, front, back)
        p = np.float32(self.power)
        f = (np.abs(x / side) ** p + np.abs(y / depth) ** p) ** np.float32(1 / p)
        r = np.sqrt(x * x + y * y)
        f = np.maximum(f, np.float32(1e-3))
        # Radial distance, turned towards the normal where the ring is oblique.
        out: F32 = (r - r / f) * np.float32(0.93)
        return np.where(r < 1, -np.minimum(side, depth), out).astype(np.float32)


class Body:
    """Surfaces of one patient's trunk, as fields of body coordinates.

    Parameters
    ----------
    spec
        The patient; the grid is not read.
    """

    def __init__(self, spec: PhantomSpec) -> None:
        rng = spec.stream("body")
        self.spec = spec
        self.noise = Noise(spec.stream("shape noise"))
        self.texture = Noise(spec.stream("texture"))
        wide = float(rng.normal(1.0, 0.025))
        deep = float(rng.normal(1.0, 0.04))
        push = spec.visceral_fat
        fat = spec.subcutaneous_fat_mm
        self.female = spec.sex == "female"
        hips = 1.0 + 0.05 * self.female * np.interp(_Z, [-250, -100], [1, 0])
        side = _HALF_WIDTH * wide + 14 * push * _PUSH - 4 * _PUSH
        front = _FRONT * deep + (38 * push - 12) * _PUSH
        muscular = float(rng.normal(1.0, 0.1)) * (0.9 if self.female else 1.05)
        self.muscular = muscular
        wall = [_WALL_SIDE, _WALL_FRONT, _WALL_BACK]
        wall = [w * (0.75 + 0.25 * muscular) for w in wall]
        self._cavity = self._ring(side, front, _BACK, 2.35)
        muscle = (side + wall[0] * hips, front + wall[1], _BACK + wall[2])
        self._muscle = self._ring(*muscle, 2.3)
        self._skin = self._ring(
            muscle[0] + np.maximum(fat * _FAT_SIDE, 3.5),
            muscle[1] + np.maximum(fat * _FAT_FRONT, 3.5),
            muscle[2] + np.maximum(fat * _FAT_BACK, 3.5) - 3,
            2.2,
        )
        self._spine_y = PchipInterpolator(_SPINE_Z, _SPINE_Y)
        bend = rng.normal(0, 4.0)
        self._scoliosis = PchipInterpolator([-300, -150, 0, 150, 300], [0, 0, bend, -bend, 0])
        self.dome_right_mm = float(np.clip(rng.normal(102, 7), 88, 116))
        self.dome_left_mm = self.dome_right_mm - float(np.clip(rng.normal(11, 3), 4, 18))
        self.arch_mm = self.dome_left_mm + 122
        """Height of the top of the aortic arch."""
        self._warp = float(rng.uniform(2.0, 3.5))

    @staticmethod
    def _ring(side: Real, front: Real, back: Real, power: float) -> _Ring:
        profiles = [PchipInterpolator(_Z, v) for v in (side, front, back)]
        return _Ring(profiles[0], profiles[1], profiles[2], power)

    def spine(self, z: F32 | np.float32 | float) -> tuple[F32, F32]:
        """Where the middle of the vertebral bodies runs: x and y in mm at height z."""
        zc = np.clip(np.asarray(z, np.float32), -300, 300)
        x = np.asarray(self._scoliosis(zc), np.float32)
        return x, np.asarray(self._spine_y(zc), np.float32)

    def warped(self, x: F32, y: F32, z: F32, amount_mm: float, wavelength_mm: float) -> list[F32]:
        """Coordinates moved by smooth noise, so that no shape is a textbook solid."""
        return [
            axis + np.float32(amount_mm) * self.noise(x + 331 * n, y, z, wavelength_mm)
            for n, axis in enumerate((x, y, z))
        ]

    def cavity(self, x: F32, y: F32, z: F32) -> F32:
        """Inside of the body wall (chest, abdomen and retroperitoneum), without the spine."""
        wx, wy, _ = self.warped(x, y, z, self._warp, 160.0)
        d = self._cavity(wx, wy, z)
        sx, sy = self.spine(z)
        # The column of vertebrae and the muscles beside it stand into the cavity from behind.
        along = np.abs(x - sx) - np.float32(30)
        behind = sy - np.float32(17) - y
        ridge = np.sqrt((x - sx) ** 2 + np.maximum(y - sy, 0) ** 2) - np.float32(25)
        block = smooth_max(along, -behind, 10.0)
        return smooth_max(d, -smooth_min(ridge, block, 12.0), 8.0)

    def ribcage(self, x: F32, y: F32, z: F32) -> F32:
        """The inner wall as if the spine did not stand into it; ribs lie on this surface."""
        wx, wy, _ = self.warped(x, y, z, self._warp, 160.0)
        return self._cavity(wx, wy, z)

    def muscle(self, x: F32, y: F32, z: F32) -> F32:
        """Outside of the muscles of the wall."""
        wx, wy, _ = self.warped(x, y, z, self._warp, 160.0)
        d = self._muscle(wx, wy, z)
        groove = np.float32(7) * np.exp(-((x / np.float32(11)) ** 2)) * (y < 0)
        # The straight muscles of the abdomen are lenses with thin seams between.
        front = np.clip((y - 30) / 15, 0, 1) * np.clip((np.float32(30) - z) / 30, 0, 1)
        seam = np.float32(8) * np.exp(-((x / np.float32(7)) ** 2))
        seam = seam + np.float32(5) * np.exp(-(((np.abs(x) - 68) / np.float32(9)) ** 2))
        out: F32 = d + groove + front * seam
        return out

    def skin(self, x: F32, y: F32, z: F32) -> F32:
        """Outside of the skin."""
        wx, wy, _ = self.warped(x, y, z, self._warp, 160.0)
        d = self._skin(wx, wy, z) + np.float32(1.5) * self.noise(x, y + 77, z, 110.0)
        groove = np.float32(6) * np.exp(-((x / np.float32(14)) ** 2)) * (y < 0)
        out: F32 = np.minimum(d + groove, self.muscle(x, y, z) - np.float32(3.5))
        return out

    def diaphragm(self, x: F32, y: F32, z: F32) -> F32:
        """About the height in mm above the diaphragm: positive in the chest."""
        rim = np.clip(1 + self.ribcage(x, y, np.minimum(z, 120)) / np.float32(95), 0, 1.2)
        blend = np.float32(0.5) * (1 + np.tanh(x / np.float32(28)))
        dome = np.float32(self.dome_left_mm) + blend * np.float32(
            self.dome_right_mm - self.dome_left_mm
        )
        valley = np.float32(14) * np.exp(-(((x - 4) / np.float32(34)) ** 2))
        angle = np.arctan2(y - np.float32(5), np.abs(x) + np.float32(1e-3))
        low = np.float32(22) + np.float32(34) * np.clip(angle / np.float32(1.57), 0, 1) ** 1.5
        low = low - np.float32(24) * np.clip(-angle / np.float32(1.57), 0, 1)
        height = low + (dome - valley - low) * np.sqrt(np.maximum(1 - rim ** np.float32(4.5), 0))
        height = height + np.float32(2.5) * self.noise(x, y, 0 * z, 70.0)
        # The surface is steep near the wall; dividing by the slope gives about a distance.
        slope = np.float32(1) + np.float32(2.4) * np.clip(rim, 0, 1) ** 6
        out: F32 = ((z - height) / slope).astype(np.float32)
        return out

    def inside(self, points: F32, margin_mm: F32 | float) -> F32:
        """Points (n, 3 or more) moved inwards until the wall is ``margin_mm`` away."""
        out = np.array(points, np.float32)
        margin = np.broadcast_to(np.asarray(margin_mm, np.float32), len(out))
        for _ in range(6):
            d, slope = self.cavity_at(out[:, :3])
            excess = np.maximum(d + margin, 0)
            out[:, :3] -= excess[:, None] * slope
        return out

    def cavity_at(self, points: F32) -> tuple[F32, F32]:
        """The cavity field at points (n, 3), and its unit slope there."""

        def at(shift: tuple[float, float, float]) -> F32:
            moved = points + np.asarray(shift, np.float32)
            x, y, z = (moved[:, n].astype(np.float32)[:, None, None] for n in range(3))
            return self.cavity(x, y, z)[:, 0, 0]

        d = at((0, 0, 0))
        steps = ((2.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 2.0))
        slope = np.stack([at(s) - d for s in steps], 1)
        slope /= np.linalg.norm(slope, axis=1, keepdims=True) + np.float32(1e-6)
        return d, slope
