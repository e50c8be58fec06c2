"""A run of its own, for tests that kill it: ``engine_driver.py FOLDER WORKERS COUNT``."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import engine_cases

from scalemai import engine


def main() -> None:
    folder, workers, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    items = [f"{number:03d}" for number in range(count)]
    with engine.Ledger(folder / "ledger.jsonl", fingerprint="one") as ledger:
        function = partial(engine_cases.stop_at_gate, folder)
        for outcome in engine.map(function, items, workers=workers, ledger=ledger):
            sys.stdout.write(f"{outcome.key}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
