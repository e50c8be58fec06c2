"""One structure against its reference: overlap, surface distances, volume.

::

    compare_masks    a predicted and a reference mask on one grid, from a box around both
    score_missing    the result of a prediction that is not there
    EmptyPolicy      what an empty mask scores; the state of each result says which case it was
    count_states     how many results are in which state
    definitions      what each column means

Two numbers are called NSD in the literature. Here ``nsd_surfel`` weights surface elements by
their area and ``nsd_voxel`` counts border voxels; they are not comparable.
"""

from scalemai.evaluation.segmentation.compare import compare_masks, score_missing
from scalemai.evaluation.segmentation.definitions import definitions
from scalemai.evaluation.segmentation.empties import (
    DEFAULT_POLICY,
    STATES,
    EmptyPolicy,
    State,
    count_states,
)
from scalemai.evaluation.segmentation.result import StructureResult, nsd_columns

__all__ = [
    "DEFAULT_POLICY",
    "STATES",
    "EmptyPolicy",
    "State",
    "StructureResult",
    "compare_masks",
    "count_states",
    "definitions",
    "nsd_columns",
    "score_missing",
]
