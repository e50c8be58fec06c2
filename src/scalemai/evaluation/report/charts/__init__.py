"""Charts of evaluations: plain arrays and estimates in, SVG with words and numbers out.

Every chart takes empty input, infinite ends of intervals, names of any length and with any
characters, and gives the same bytes for the same data. What was not computed is said, not left
out.
"""

from scalemai.evaluation.report.charts.distribution import distribution_chart
from scalemai.evaluation.report.charts.forest import ForestRow, forest_chart
from scalemai.evaluation.report.charts.froc import FrocCurve, froc_chart
from scalemai.evaluation.report.charts.ranks import rank_chart
from scalemai.evaluation.report.charts.readers import ReaderPoint, readers_chart
from scalemai.evaluation.report.charts.reliability import ReliabilityBin, reliability_chart
from scalemai.evaluation.report.charts.roc import RocLine, roc_chart
from scalemai.evaluation.report.charts.scaling import FittedCurve, ScalingSeries, scaling_chart
from scalemai.evaluation.report.charts.significance import significance_map
from scalemai.evaluation.report.charts.sizes import size_chart

__all__ = [
    "FittedCurve",
    "ForestRow",
    "FrocCurve",
    "ReaderPoint",
    "ReliabilityBin",
    "RocLine",
    "ScalingSeries",
    "distribution_chart",
    "forest_chart",
    "froc_chart",
    "rank_chart",
    "readers_chart",
    "reliability_chart",
    "roc_chart",
    "scaling_chart",
    "significance_map",
    "size_chart",
]
