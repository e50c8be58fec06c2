"""A training in a process of its own, which a test may kill: OUT, seconds per step, workers."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

from scalemai.training.fit import Progress, fit

from .spheres import CONFIG, Spheres


def _slowly(progress: Progress) -> None:
    sys.stdout.write(f"{progress.step}\n")
    sys.stdout.flush()
    time.sleep(float(sys.argv[2]))  # so that signals hit between any two steps


if __name__ == "__main__":
    served = replace(CONFIG, run=replace(CONFIG.run, workers=int(sys.argv[3])))
    try:
        fit(served, Spheres(), Path(sys.argv[1]), held_out=Spheres(7), on_progress=_slowly)
    except KeyboardInterrupt:
        sys.exit(130)
