"""Open an index of many cases, against listing their folders and against Parquet alone.

    python benchmarks/dataset_open.py [--cases 36000] [--folder FOLDER]

Builds a tree in the layout of PanTS (a tiny CT and 28 empty files for masks a case, which nothing
here opens), indexes it, and times in one run, best of three: listing the tree with os.walk, opening
it without an index, opening it with the index, and reading the Parquet file alone. Then it makes
every case, and weighs what stays in memory.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from scalemai.anatomy import class_map
from scalemai.cases import Dataset, build_index, open_cases
from scalemai.geometry import Grid
from scalemai.io.nifti import write_volume
from scalemai.volume import Volume


def grow_tree(root: Path, cases: int) -> None:
    """Case folders with a tiny CT and empty mask files."""
    grid = Grid((4, 4, 4), np.eye(4))
    ct = root / "ct.nii.gz"
    write_volume(ct, Volume(np.full(grid.shape, -1000, np.int16), grid))
    content = ct.read_bytes()
    ct.unlink()
    names = class_map("pants").structures
    for number in range(1, cases + 1):
        images = root / "ImageTr" / f"PanTS_{number:08d}"
        masks = root / "LabelTr" / images.name / "segmentations"
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        (images / "ct.nii.gz").write_bytes(content)
        for name in names:
            (masks / f"{name}.nii.gz").touch()


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Least wall time of several calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=36_000)
    parser.add_argument("--folder", type=Path, help="Where to build the tree.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder)
        grow_tree(root, options.cases)
        start = time.perf_counter()
        index = build_index(root)
        built = time.perf_counter() - start
        again = seconds(lambda: build_index(root), 1)
        walked = seconds(lambda: sum(len(files) for _, _, files in os.walk(root)), 1)
        scanned = seconds(lambda: open_cases(root), 1)
        parquet = seconds(lambda: pl.read_parquet(index))
        opened = seconds(lambda: Dataset.open(index))
        dataset = Dataset.open(index)
        cases = seconds(lambda: list(dataset), 1)
        tracemalloc.start()
        held = list(dataset)
        memory = tracemalloc.get_traced_memory()[0] / 2**20
        tracemalloc.stop()
        print(f"{len(held):,} cases of {len(dataset.structures)} masks, ", end="")
        print(f"index of {index.stat().st_size / 2**20:.1f} MiB")
        print(f"table of the data set       {dataset.table.estimated_size() / 2**20:8.1f} MiB")
        print(f"list the tree (os.walk)     {walked:8.3f} s")
        print(f"open without an index       {scanned:8.3f} s   {scanned / walked:6.2f} x os.walk")
        print(f"build the index             {built:8.3f} s   {built / walked:6.2f} x os.walk")
        print(f"build it again, no change   {again:8.3f} s   {again / built:6.2f} x the first time")
        print(f"read the Parquet file alone {parquet:8.3f} s")
        print(f"open with the index         {opened:8.3f} s   {opened / walked:6.3f} x os.walk")
        print(
            f"make every case             {cases:8.3f} s   {1e6 * cases / len(held):6.1f} us each"
        )
        print(f"hold every case             {memory:8.1f} MiB")


if __name__ == "__main__":
    main()
