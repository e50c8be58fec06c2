"""Read and write compressed NIfTI: ScaleMAI (ISA-L) against nibabel and Python's gzip (zlib).

    python benchmarks/nifti_gzip.py [--ct FILE_OR_FOLDER ...] [--shape 512 512 100] [--repeats 3]

Every side reads the same file and writes the same voxels in one run, in turns, on one core; the
best of the repeats counts. CPU time is reported because other processes disturb it least. The
arrays are compared, so a reader that is fast and wrong would stop the run.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scalemai.geometry import Grid
from scalemai.io.nifti import read_volume, write_volume
from scalemai.volume import Volume

REFERENCE = "nibabel"


def ct_like(shape: tuple[int, int, int], seed: int = 0) -> Volume:
    """A trunk in air with organs and the grainy noise of a soft-tissue kernel, int16."""
    rng = np.random.default_rng(seed)
    i, j, k = np.ogrid[[slice(-1, 1, n * 1j) for n in shape]]
    hu = np.full(shape, -1000, np.float32)
    hu[np.broadcast_to((i / 0.85) ** 2 + (j / 0.6) ** 2 < 1, shape)] = -100
    hu[np.broadcast_to((i / 0.75) ** 2 + (j / 0.5) ** 2 < 1, shape)] = 50
    for _ in range(12):
        ci, cj, ck = rng.uniform(-0.5, 0.5, 3)
        inside = (i - ci) ** 2 + ((j - cj) * 1.5) ** 2 + (k - ck) ** 2 < rng.uniform(0.1, 0.3) ** 2
        hu[inside] = rng.choice([-900.0, 0.0, 110.0, 160.0, 400.0])
    noise = rng.standard_normal(shape, np.float32)
    for axis in (0, 1):
        noise = ndimage.gaussian_filter1d(noise, 0.8, axis)
    stored = (ndimage.gaussian_filter(hu, 0.7) + 12 / noise.std() * noise).round()
    grid = Grid(shape, np.diag([-0.8, -0.8, 2.5, 1.0]))
    return Volume(stored.clip(-1024, 3071).astype(np.int16), grid)


def writers(volume: Volume) -> dict[str, Callable[[Path], object]]:
    """What writes the volume as .nii.gz, by name."""
    image = nib.Nifti1Image(volume.stored, volume.grid.affine)
    image.header.set_slope_inter(1, 0)

    def zlib_6(path: Path) -> None:
        with gzip.open(path, "wb", 6) as file:
            file.write(image.to_bytes())

    return {
        "nibabel": lambda path: nib.save(image, path),
        "zlib level 6": zlib_6,
        "ScaleMAI": lambda path: write_volume(path, volume),
    }


def readers() -> dict[str, Callable[[Path], NDArray[Any]]]:
    """What reads stored numbers from .nii.gz, by name."""
    return {
        "nibabel": lambda path: np.asarray(nib.load(path).dataobj.get_unscaled()),
        "zlib, whole file": lambda path: np.asarray(
            nib.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes())).dataobj.get_unscaled()
        ),
        "ScaleMAI": lambda path: read_volume(path).stored,
    }


def best_cpu_s(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Least CPU seconds of each run; the runs take turns, so that all meet the same neighbors."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    return best


def table(title: str, megabytes: float, seconds: dict[str, float], notes: dict[str, str]) -> None:
    """Print one Markdown table, with the ratio to nibabel."""
    print(f"\n{title}\n\n|  | CPU s | MB/s | times {REFERENCE} | |\n|---|---:|---:|---:|---|")
    for name, value in seconds.items():
        ratio = seconds[REFERENCE] / value
        note = notes.get(name, "")
        print(f"| {name} | {value:.2f} | {megabytes / value:.0f} | {ratio:.1f} | {note} |")


def compare(title: str, volume: Volume, folder: Path, repeats: int) -> None:
    """Write and read one volume on every side; print two tables."""
    megabytes = volume.stored.nbytes / 1e6
    paths = {name: folder / f"{name}.nii.gz" for name in writers(volume)}
    writes = {name: (lambda n=name, w=w: w(paths[n])) for name, w in writers(volume).items()}
    seconds = best_cpu_s(writes, repeats)
    sizes = {
        name: f"{path.stat().st_size / 1e6:.1f} MB, {megabytes * 1e6 / path.stat().st_size:.2f} : 1"
        for name, path in paths.items()
    }
    table(f"Write {title}", megabytes, seconds, sizes)
    source = paths[REFERENCE]
    for name, read in readers().items():
        if not np.array_equal(read(source), volume.stored):
            raise SystemExit(f"{name} read other numbers from {source}")
    reads = {name: (lambda r=read: r(source)) for name, read in readers().items()}
    table(f"Read {title}", megabytes, best_cpu_s(reads, repeats), {})


def volumes(arguments: argparse.Namespace) -> Iterator[tuple[str, Volume]]:
    """The generated volume, then the CT that were given."""
    yield "a generated CT", ct_like(tuple(arguments.shape))
    for given in arguments.ct:
        for path in [given] if given.is_file() else sorted(given.rglob("ct.nii.gz")):
            yield path.parent.name, read_volume(path)


def main() -> None:
    """Compare on the generated CT, and on every CT that is given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--ct", type=Path, nargs="*", default=[], help="files, or folders of them")
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 100))
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    for title, volume in volumes(arguments):
        shape = " x ".join(map(str, volume.grid.shape))
        kind = volume.stored.dtype
        megabytes = volume.stored.nbytes / 1e6
        with tempfile.TemporaryDirectory() as folder:
            compare(
                f"{title} ({shape} {kind}, {megabytes:.0f} MB)",
                volume,
                Path(folder),
                arguments.repeats,
            )


if __name__ == "__main__":
    main()
