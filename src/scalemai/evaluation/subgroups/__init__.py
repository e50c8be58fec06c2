"""Groups of patients: does a method serve some worse than others?

::

    outcomes   one number a row of a table of results
    metadata   results joined with what is known of patients
    grouping   words, bins, intersections
    question   what is asked
    estimates  means and rates of resampled patients
    comparing  gaps, tests, adjustment, distributions
    rows, page, files   what is written
"""

from scalemai.evaluation.subgroups.comparing import Subgroups, compare_groups
from scalemai.evaluation.subgroups.grouping import Factor, parse_edges, parse_factors
from scalemai.evaluation.subgroups.outcomes import Outcome, outcome_of, read_outcome
from scalemai.evaluation.subgroups.question import Question

__all__ = [
    "Factor",
    "Outcome",
    "Question",
    "Subgroups",
    "compare_groups",
    "outcome_of",
    "parse_edges",
    "parse_factors",
    "read_outcome",
]
