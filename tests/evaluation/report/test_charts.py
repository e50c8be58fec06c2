"""Charts: what they say in words and numbers, and that odd input does not break them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from scalemai.evaluation.report import Chart
from scalemai.evaluation.report.charts import (
    ForestRow,
    FrocCurve,
    RocLine,
    ScalingSeries,
    distribution_chart,
    forest_chart,
    froc_chart,
    rank_chart,
    roc_chart,
    scaling_chart,
    significance_map,
    size_chart,
)
from scalemai.evaluation.report.charts.drawing import look, wrapped
from scalemai.statistics.estimate import Estimate, not_computed

from .sample import LONG, charts, estimate, names

_HREF = "{http://www.w3.org/1999/xlink}href"


def _root(chart: Chart) -> ET.Element:
    return ET.fromstring(chart.svg)


def _inside(chart: Chart) -> None:
    """The drawing has a size, and no part of it lies outside of its paper."""
    root = _root(chart)
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    assert (left, top) == (0, 0)
    assert width > 500
    assert 100 < height < 2200
    for element in root.iter():
        link = element.attrib.get(_HREF, "#")
        assert link.startswith(("#", "data:image/png"))
        for name in ("x", "y"):
            if element.tag.endswith("}use") and name in element.attrib:
                place, most = float(element.attrib[name]), width if name == "x" else height
                assert -1 <= place <= most + 1, (element.attrib, width, height)


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_charts_are_drawn_of_any_number_of_algorithms(count: int) -> None:
    for chart in charts(count):
        _inside(chart)
        assert chart.alt
        assert chart.caption
        assert chart.numbers is not None


def test_names_of_sixty_characters_and_markup_are_whole_in_the_numbers() -> None:
    assert len(LONG) == 60
    for chart in charts(3):
        assert chart.numbers is not None
        said = {str(cell) for row in chart.numbers.rows for cell in row[:2]}
        assert any(names(3)[1] in cell for cell in said), chart.caption


def test_control_characters_and_foreign_letters_do_not_break_the_drawing() -> None:
    for name in ("a\x00b\x1bc", "--><x>", "肝臓", "\n\t", "]]>", ""):
        _inside(forest_chart([ForestRow(name, estimate(0.5))], label=name))


def test_a_long_name_keeps_its_end_by_which_it_differs() -> None:
    first, second = wrapped(f"{'x' * 90} fold 1", 20, 2), wrapped(f"{'x' * 90} fold 2", 20, 2)
    assert first != second
    assert all(len(line) <= 20 for line in first.split("\n"))
    assert first.count("\n") <= 1


def test_thirty_algorithms_all_look_different() -> None:
    assert len({look(number) for number in range(30)}) == 30


def test_the_froc_table_holds_the_rates_and_the_mean() -> None:
    curve = FrocCurve("m", np.array([0.0, 1.0]), np.array([0.0, 0.5]), {0.125: estimate(0.3)},
                      estimate(0.4))  # fmt: skip
    chart = froc_chart([curve])
    assert chart.numbers is not None
    assert [list(row)[1:] for row in chart.numbers.rows] == [
        ["1/8", estimate(0.3)],
        ["mean over the rates (CPM)", estimate(0.4)],
    ]
    assert "CPM 0.400 (0.320 to 0.480)" in chart.alt


def test_a_curve_without_points_keeps_its_place_in_the_legend() -> None:
    _inside(froc_chart([FrocCurve("m", np.empty(0), np.empty(0))]))
    _inside(roc_chart([RocLine("m", np.empty(0), np.empty(0))]))
    _inside(roc_chart([RocLine("m", np.full(3, np.nan), np.zeros(3))]))


def _patches(chart: Chart, color: str) -> int:
    return chart.svg.count(f"fill: {color}")


def test_the_significance_map_colours_who_is_better() -> None:
    effect = np.array([[0.0, 0.6, 0.1], [-0.6, 0.0, 0.2], [-0.1, -0.2, 0.0]])
    p = np.array([[np.nan, 0.001, 0.4], [0.001, np.nan, 0.3], [0.4, 0.3, np.nan]])
    chart = significance_map(["a", "b", "c"], p, effect)
    assert (_patches(chart, "#0072b2"), _patches(chart, "#d55e00")) == (2, 2)  # cell and key
    assert "a is better than b (p = 0.001)" in chart.alt
    assert "b is better" not in chart.alt
    one_sided = significance_map(["a", "b", "c"], np.where(effect > 0, p, 1.0), effect)
    assert (_patches(one_sided, "#0072b2"), _patches(one_sided, "#d55e00")) == (2, 1)


def test_the_significance_map_is_ordered_by_rank_lowest_first() -> None:
    effect = np.array([[0.0, -0.6], [0.6, 0.0]])
    p = np.array([[np.nan, 0.01], [0.01, np.nan]])
    chart = significance_map(["worse", "better"], p, effect, order_by=[1.8, 1.2])
    assert chart.numbers is not None
    assert list(chart.numbers.rows[0]) == ["better", "worse", 0.01, 0.6]


def test_a_pair_that_was_not_tested_is_neither_equal_nor_different() -> None:
    nothing = np.full((2, 2), np.nan)
    chart = significance_map(["a", "b"], nothing, nothing)
    assert chart.numbers is not None
    assert list(chart.numbers.rows[0]) == ["a", "b", None, None]
    assert "0 significant" in chart.alt


def test_what_was_not_computed_is_in_the_forest_with_its_reason() -> None:
    rows = [ForestRow("a", estimate(0.5)), ForestRow("b", not_computed("3 patients", n=3), "race")]
    chart = forest_chart(rows, label="sensitivity")
    assert chart.numbers is not None
    assert str(chart.numbers.rows[1][1]) == "not computed because 3 patients"
    assert "race: b: not computed" in chart.alt
    one = forest_chart(rows[:1], label="sensitivity")
    assert len(chart.svg) > len(one.svg) + 2000  # its reason is drawn, too


def test_one_unbounded_interval_does_not_squeeze_the_others() -> None:
    rows = [ForestRow(str(n), estimate(0.5 + n / 50)) for n in range(5)]
    alone = forest_chart(rows, label="x").svg
    wide = ForestRow("w", Estimate(0.5, -math.inf, 1e9, n=3))
    together = forest_chart([*rows, wide], label="x").svg

    def length(svg: str) -> float:
        group = next(
            g for g in ET.fromstring(svg).iter() if g.attrib.get("id") == "LineCollection_1"
        )
        path = next(e for e in group.iter() if e.tag.endswith("}path")).attrib["d"].split()
        return abs(float(path[4]) - float(path[1]))

    assert length(together) > 0.4 * length(alone)


def test_ratios_may_lie_on_a_logarithmic_axis() -> None:
    rows = [ForestRow("a", Estimate(2.0, 0.5, 8.0, n=9)), ForestRow("b", Estimate(1.0, 0, 3, n=9))]
    _inside(forest_chart(rows, label="odds ratio", reference=1.0, log=True))
    _inside(forest_chart([ForestRow("z", Estimate(0.0, 0.0, 0.0, n=9))], label="x", log=True))


def test_quartiles_are_those_of_numpy_and_missing_values_are_counted() -> None:
    values = np.append(np.random.default_rng(1).normal(size=999), np.nan)
    chart = distribution_chart({"a": values, "none": []}, label="x")
    assert chart.numbers is not None
    known = values[:-1]
    expected = ["a", 999, 1, *np.quantile(known, (0, 0.25, 0.5, 0.75, 1))]
    assert list(chart.numbers.rows[0]) == pytest.approx(expected)
    assert list(chart.numbers.rows[1]) == ["none", 0, 0, None, None, None, None, None]
    assert len(chart.svg) < 150_000


def test_the_rank_chart_is_ordered_by_place() -> None:
    chart = rank_chart(["c", "a"], [[0.1, 0.9], [0.9, 0.1]], ranks=[2, 1], low=[1, 1], high=[2, 2])
    assert chart.numbers is not None
    assert [list(row) for row in chart.numbers.rows] == [["a", 1, 1, 2, 0.9], ["c", 2, 1, 2, 0.1]]


def test_arrays_that_do_not_fit_their_names_are_refused() -> None:
    with pytest.raises(ValueError, match="2 algorithms need 2 x 2"):
        significance_map(["a", "b"], np.zeros((3, 3)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="1 estimates for 2 bins"):
        size_chart(["s", "l"], {"a": [estimate(0.5)]})
    with pytest.raises(ValueError, match="2 sizes for 1 estimates"):
        ScalingSeries("a", [1, 2], [estimate(0.5)])
    with pytest.raises(ValueError, match="1 algorithms, 2 ranks"):
        rank_chart(["a"], [[1.0]], ranks=[1, 2])


def test_a_scaling_chart_shows_every_measured_point_in_its_numbers() -> None:
    series = ScalingSeries("real", [100, 200.5], [estimate(0.5), not_computed("no seed ended")])
    chart = scaling_chart([series], label="DSC", margin=0.01)
    assert chart.numbers is not None
    assert [row[1] for row in chart.numbers.rows] == [100, 200.5]
    assert "within 0.01" in chart.caption
