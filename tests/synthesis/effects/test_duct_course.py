"""Where ducts run: in a gland of known form, with and without masks of them."""

from __future__ import annotations

import numpy as np
import pytest

from scalemai.synthesis.effects.centreline import CentreLine
from scalemai.synthesis.effects.duct_course import find_duct
from scalemai.synthesis.effects.tubes import nearest_on_line

from .gland import boxed, host, way


@pytest.mark.parametrize("spacing", [(0.9, 0.9, 1.5), (3.0, 3.0, 3.0), (0.8, 0.8, 5.0)])
def test_a_duct_without_mask_is_the_middle_of_the_gland(
    spacing: tuple[float, float, float],
) -> None:
    one = host(spacing)
    course = find_duct(one.volume, one.boxes)
    assert course is not None
    assert "estimated" in course.notes[0]
    away, nearest = nearest_on_line(CentreLine(way(), np.ones(400)), course.line.points_mm)
    assert np.median(away) < 1.0 + 0.3 * max(spacing)
    assert nearest[0] > 360  # it begins in the tail
    assert nearest[-1] < 40  # and ends in the head


def test_a_dark_tube_off_the_middle_draws_the_course() -> None:
    aside = way()[20:-40] + np.array([0.0, 0.0, 4.0])
    one = host(duct=aside)
    course = find_duct(one.volume, one.boxes)
    assert course is not None
    to_duct, _ = nearest_on_line(CentreLine(aside, np.ones(len(aside))), course.line.points_mm)
    to_middle, _ = nearest_on_line(CentreLine(way(), np.ones(400)), course.line.points_mm)
    assert np.median(to_duct) < 1.2
    assert np.median(to_middle) > 2.5


def test_a_mask_of_the_duct_overrules_the_middle() -> None:
    one = host()
    aside = CentreLine(way()[15:-40] + np.array([0.0, 0.0, -4.5]), np.ones(345))
    world = one.volume.grid.to_world(np.argwhere(one.gland))
    gap, _ = nearest_on_line(aside, world)
    mask = np.zeros(one.gland.shape, np.bool_)
    mask[tuple(np.argwhere(one.gland)[gap <= 1.0].T)] = True
    boxes = {**one.boxes, "pancreatic_duct": boxed(mask, "pancreatic_duct")}
    course = find_duct(one.volume, boxes)
    assert course is not None
    assert course.notes == ()
    away, nearest = nearest_on_line(aside, course.line.points_mm)
    beside = (nearest > 5) & (nearest < 340)
    assert np.count_nonzero(beside) > 180
    assert np.percentile(away[beside], 90) < 1.2


def test_the_course_goes_on_where_a_mask_has_a_gap() -> None:
    one = host()
    torn = one.gland & ~((one.along > 60.0) & (one.along < 70.0))
    course = find_duct(one.volume, {"pancreas": boxed(torn, "pancreas")})
    assert course is not None
    assert course.line.along_mm[-1] > 110.0
