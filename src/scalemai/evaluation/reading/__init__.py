"""Reader studies: can readers tell real from synthetic (visual Turing test)?

::

    reads        the table of a study, checked
    figures      counts and figures of a reader
    equivalence  balanced accuracy shown to be near one half
    study        what the reads show, of each reader and of all
    planning     how many readers and cases are needed
    page, files  what is written
"""

from scalemai.evaluation.reading.planning import Plan, PlannedDesign, plan_study
from scalemai.evaluation.reading.reads import Reads, parse_reads, read_reads
from scalemai.evaluation.reading.study import Study, analyse

__all__ = [
    "Plan",
    "PlannedDesign",
    "Reads",
    "Study",
    "analyse",
    "parse_reads",
    "plan_study",
    "read_reads",
]
