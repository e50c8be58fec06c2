"""Map a function over many cases, so that a bad one costs itself and nothing else.

::

    items -> map(function, items) -> Outcome: done, failed, crashed, timed out, out of memory
                    |
                 Ledger   which keys are finished; a second run does the rest

The engine knows nothing of CT. Identifiers go in and small results come out: a function reads
its own volumes and writes its own files. Many machines share the work by :func:`shard`.
"""

from scalemai.engine.capacity import available_cores, available_memory_bytes, default_workers
from scalemai.engine.ledger import Ledger, read_ledger
from scalemai.engine.mapping import Run, map
from scalemai.engine.outcome import Outcome, Status
from scalemai.engine.progress import Progress
from scalemai.engine.shard import shard

__all__ = [
    "Ledger",
    "Outcome",
    "Progress",
    "Run",
    "Status",
    "available_cores",
    "available_memory_bytes",
    "default_workers",
    "map",
    "read_ledger",
    "shard",
]
