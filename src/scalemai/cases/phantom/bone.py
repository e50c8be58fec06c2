"""How bone looks: a dense cortex round marrow that trabeculae cross."""

from __future__ import annotations

import numpy as np

from scalemai.cases.phantom.body import Body
from scalemai.cases.phantom.canvas import F32, Box, Canvas

__all__ = ["paint_bone"]


def paint_bone(
    canvas: Canvas,
    body: Body,
    hu: dict[str, float],
    box: Box,
    d: F32,
    label: str,
    cortex_mm: float = 1.4,
) -> None:
    """Paint a bone of surface ``d`` with a cortex of ``cortex_mm``."""
    x, y, z = box.xyz
    canvas.paint(box, d, hu["cortical_bone"] * (0.75 if cortex_mm < 1.2 else 0.9), label)
    marrow = np.float32(hu["cancellous_bone"]) + np.float32(38) * body.texture(x, y, z, 5.5, 2)
    canvas.paint(box, d + np.float32(cortex_mm), marrow, label)
