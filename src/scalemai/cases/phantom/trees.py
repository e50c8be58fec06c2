"""Vessel trees that grow from a trunk to reach the tissue around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator, make_interp_spline

from scalemai.cases.phantom.canvas import F32, Tubes

__all__ = ["beside", "grow_tree", "spline"]

MURRAY_EXPONENT = 3.0
"""A parent's radius cubed is the sum of its children's (Murray 1926)."""


ROOT_COST = 0.4
"""Weight of the way from the root against the length of a new branch, as in minimum spanning trees
that balance both; the author's estimate, to be refined."""


def beside(point: NDArray[Any], right: float, front: float, up: float) -> NDArray[Any]:
    """The point that lies so many mm to the right, to the front and above another."""
    out: NDArray[Any] = point + np.array([right, front, up])
    return out


def spline(points: Sequence[Any] | NDArray[Any], step_mm: float = 2.0) -> F32:
    """Points every ``step_mm`` on a smooth curve through control points (n, 3)."""
    p = np.asarray(points, float)
    chord = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(p[:, :3], axis=0), axis=1))])
    count = max(int(np.ceil(chord[-1] / step_mm)) + 1, 2)
    t = np.linspace(0, chord[-1], count)
    curve = make_interp_spline(chord, p[:, :3], k=min(3, len(p) - 1))(t)
    if p.shape[1] > 3:
        # Radii must not overshoot, or a tube could turn inside out.
        curve = np.concatenate([curve, PchipInterpolator(chord, p[:, 3:])(t)], axis=1)
    out: F32 = curve.astype(np.float32)
    return out


def grow_tree(
    trunks: Sequence[NDArray[Any]],
    targets: F32,
    trunk_radius_mm: float,
    tip_radius_mm: float,
    rng: np.random.Generator,
    *,
    step_mm: float = 3.0,
    wiggle_mm: float = 1.2,
) -> Tubes:
    """Join targets to trunks one after another, each by a curve from the nearest branch.

    Parameters
    ----------
    trunks
        Chains of points (n, 3) in mm; the first starts at the root, each further one starts at a
        point of an earlier one.
    targets
        Points (m, 3) in mm that the tree must reach, far ones first for a tree-like shape.
    trunk_radius_mm, tip_radius_mm
        Radii at the root and at the tips; between, cubes of radii add up (Murray's law) and are
        then rescaled to meet the root.
    rng
        Bends the branches.

    Returns
    -------
    Tubes
    """
    points: list[F32] = [trunks[0][0].astype(np.float32)]
    parent = [-1]
    for trunk in trunks:
        at = int(np.argmin(np.linalg.norm(np.asarray(points) - trunk[0], axis=1)))
        for p in trunk[1:]:
            points.append(p.astype(np.float32))
            parent.append(at)
            at = len(points) - 1
    tips = [at]
    store = np.zeros((len(points) + 60 * len(targets), 3), np.float32)
    heading = np.zeros_like(store)
    store[: len(points)] = points
    for n in range(1, len(points)):
        heading[n] = store[n] - store[parent[n]]
    way = np.zeros(len(store), np.float32)
    for n in range(1, len(points)):
        way[n] = way[parent[n]] + np.linalg.norm(heading[n])
    count = len(points)
    for target in targets:
        gap = target - store[:count]
        far = np.linalg.norm(gap, axis=1) + 1e-6
        turn = (gap * heading[:count]).sum(1) / (
            far * (np.linalg.norm(heading[:count], axis=1) + 1e-6)
        )
        # Turning back costs more than a longer way forwards; and joining far from the root costs
        # something, or branches would run round the organ instead of into it.
        at = int(np.argmin(far * (1.35 - 0.5 * turn) + ROOT_COST * way[:count]))
        start, ahead = store[at].copy(), heading[at] / (np.linalg.norm(heading[at]) + 1e-6)
        steps = int(np.clip(np.ceil(far[at] / step_mm), 1, 59))
        bow = 0.3 * far[at] * ahead
        sway = rng.normal(0, wiggle_mm, 3)
        for s in np.linspace(0, 1, steps + 1)[1:]:
            bend = s * (1 - s)
            p = start + s * (target - start) + 2 * bend * bow * (1 - s) + 4 * bend * sway
            store[count] = p
            parent.append(at)
            heading[count] = p - store[at]
            way[count] = way[at] + np.linalg.norm(heading[count])
            at = count
            count += 1
        tips.append(at)
    flow = np.zeros(count)
    flow[tips] = 1.0
    for n in range(count - 1, 0, -1):
        flow[parent[n]] += flow[n]
    power = np.log(trunk_radius_mm / tip_radius_mm) / np.log(max(flow[0], 2.0))
    power = max(power, 0.5 / MURRAY_EXPONENT)
    radii = tip_radius_mm * np.maximum(flow, 1) ** power
    # A branch is no wider than its way to the farthest tip calls for, or the last branches of a
    # crowded twig would be as wide as the trunk.
    ahead = np.zeros(count)
    for n in range(count - 1, 0, -1):
        step = float(np.linalg.norm(store[n] - store[parent[n]]))
        ahead[parent[n]] = max(ahead[parent[n]], ahead[n] + step)
    widest = tip_radius_mm + (trunk_radius_mm - tip_radius_mm) * ahead / max(ahead[0], 1e-6)
    radii = np.minimum(radii, widest).astype(np.float32)
    child = np.arange(1, count)
    segments = np.stack([np.asarray(parent[1:]), child], 1).astype(np.int64)
    return Tubes(store[:count].copy(), radii, np.zeros(count, np.float32), segments)
