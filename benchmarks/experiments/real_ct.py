"""Detectors trained on synthetic lesions in real CT, looked at on real CT: a page, no claim.

::

    liver   one normal abdomen        -> new lesions and kinds there -> a patient with metastases
    lung    the base of one left lung -> new lesions and kinds there, lesions in another patient
                                      -> that patient's real nodule

Training and tests of a row share one patient, and there is one real lesion with a reference: this
illustrates how the parts work together, and measures nothing that holds for patients.

Run with the folder of real CT, which is read in place::

    python benchmarks/experiments/real_ct.py DATA --work FOLDER --page docs/results/real-ct.md
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from scalemai.case import Case
from scalemai.cases import open_cases
from scalemai.detector.files import Detector, read_detector
from scalemai.inference.predict import Prediction, predict_case
from scalemai.inference.settings import Runtime, Settings
from scalemai.io.nifti import read_labels, write_labels
from scalemai.preview import preview_case
from scalemai.statistics.proportions import wilson
from scalemai.synthesis.spec import LesionSpec
from scalemai.training.cache import Cache, prepare_cases
from scalemai.training.config import TrainingConfig
from scalemai.training.config_file import read_config
from scalemai.training.material import Material
from scalemai.training.patches import Patches
from scalemai.training.sampling import BINS
from scalemai.training.train import DETECTOR, train
from scalemai.training.watching import FLOOR, Scans, Seen, see
from scalemai.volume import Mask

RATE = 1.0  # false candidates per scan
SIZES_MM = (6.0, 30.0)
HELD_BACK_SEEDS = range(1000, 1003)
QUICK = {
    "validation.every": 0,
    "validation.share": 0.0,
    "compute.threads": 1,
    "run.workers": 0,
    "run.tensorboard": False,
}


@dataclass(frozen=True)
class Row:
    """One detector of the page.

    Parameters
    ----------
    organ
        Of the lesions.
    shown, held_back
        Kinds that are trained with, and kinds that are tested with only.
    window_hu, preview
        What the network sees, and the window of the pictures.
    words
        About the scan with the real lesion.
    """

    organ: str
    shown: tuple[str, ...]
    held_back: tuple[str, ...]
    window_hu: tuple[float, float]
    preview: str
    words: str

    def specs(self, kinds: Sequence[str]) -> tuple[LesionSpec, ...]:
        """Lesions of some kinds."""
        return tuple(LesionSpec(organ=self.organ, kind=k, diameter_mm=SIZES_MM) for k in kinds)


ROWS = (
    Row(
        "liver",
        ("metastasis", "hcc"),
        ("cyst", "hemangioma"),
        (-175.0, 250.0),
        "liver",
        "The patient has colorectal metastases, which nobody has marked: findings can be looked "
        "at, not counted as right or wrong. The mask of the liver is approximate.",
    ),
    Row(
        "lung",
        ("adenocarcinoma", "metastasis"),
        ("squamous", "granuloma"),
        (-1000.0, 250.0),
        "lung",
        "One malignant nodule of 6.9 ml is marked by at least two of four radiologists. Masks of "
        "the lungs are air within the body, closed; the marked nodule played no part in them.",
    ),
)


def main() -> None:
    """Train, test, look, and write the page with its pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder of real CT with MANIFEST.csv")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and masks")
    parser.add_argument(
        "--page", type=Path, required=True, help="Markdown file; pictures go beside"
    )
    parser.add_argument("--steps", type=int, default=240, help="steps of each training")
    given = parser.parse_args()
    sections = [section(row, given.data, given.work, given.page, given.steps) for row in ROWS]
    given.page.parent.mkdir(parents=True, exist_ok=True)
    given.page.write_text("\n".join([HEAD.format(rate=RATE), *sections, TAIL]), encoding="utf-8")


def section(row: Row, data: Path, work: Path, page: Path, steps: int) -> str:
    """Train and test one detector, look at the real lesion, and say what came of it."""
    host = case_at(data / "abdomen/ts_example_3mm")
    other = real_case(row, data, work)
    detector = trained(row, host, work / row.organ, steps)
    cache = prepare_cases([host], detector.spec, work / row.organ / "cache")
    tests = {
        "same patient, new seeds": found(detector, cache, row.specs(row.shown)),
        "same patient, kinds never trained with": found(detector, cache, row.specs(row.held_back)),
    }
    if row.organ == "lung":
        # As if nobody knew of the nodule: a candidate there counts as false.
        normal = real_case(row, data, work, known=False)
        unseen = prepare_cases([normal], detector.spec, work / row.organ / "other")
        tests["another patient, new seeds"] = found(detector, unseen, row.specs(row.shown))
    prediction = predict_case(
        detector, other, Settings(threshold=FLOOR), Runtime(device="cpu", threads=1)
    )
    told = detector.origin["config"]
    picture = page.parent / f"real-ct-{row.organ}.png"
    draw(picture, prediction, list(reference_of(other)), row.preview)
    return "\n".join(
        [
            f"## {row.organ.capitalize()}",
            "",
            f"`cpu-small` with {told['steps']} steps at 3 mm, seed {told['seed']}; kinds "
            f"{', '.join(row.shown)} of {SIZES_MM[0]:g} to {SIZES_MM[1]:g} mm in one host. "
            f"Never trained with: {', '.join(row.held_back)}.",
            "",
            *table(tests),
            "",
            row.words,
            *looked(prediction, list(reference_of(other))),
            "",
            f"![{row.organ}]({picture.name})",
            "",
            *attribution(data, host, other),
            "",
        ]
    )


def trained(row: Row, host: Case, work: Path, steps: int) -> Detector:
    """The detector of a work folder, which is trained first if it is not there."""
    if (work / "run" / DETECTOR).is_dir():
        return read_detector(work / "run" / DETECTOR)
    config = config_of(row, steps)
    cache = prepare_cases([host], config.detector, work / "cache")
    return train(config, Material(cache, None, (), row.specs(row.shown)), work / "run")


def config_of(row: Row, steps: int) -> TrainingConfig:
    """The preset with a window of the organ and fewer steps."""
    given: dict[str, Any] = {
        **QUICK,
        "detector.organ": row.organ,
        "detector.preprocessing.window_hu": list(row.window_hu),
        "detector.preprocessing.spacing_mm": [3.0, 3.0, 3.0],  # that of the host
        "steps": steps,
    }
    if row.organ == "lung":  # air and soft tissue are farther apart than that window is wide
        given["detector.preprocessing.organ_window_hu"] = None
    return read_config("cpu-small", given=given)


def case_at(path: Path, masks: Path | None = None) -> Case:
    """The one case of a path."""
    (case,) = open_cases(path, masks=masks)
    return case


def real_case(row: Row, data: Path, work: Path, *, known: bool = True) -> Case:
    """The scan with a real lesion, ``known`` or not.

    The one of the chest has no masks of the lungs, which are made here.
    """
    if row.organ == "liver":
        return case_at(data / "abdomen/crlm1004")
    folder = work / ("lidc0001" if known else "lidc0001-unknown")
    ct = data / "lung_tumor/lidc0001/ct_3x.nii.gz"
    volume = case_at(ct).volume()
    nodule, grid = read_labels(data / "lung_tumor/lidc0001/nodule_3x.nii.gz")
    for name, mask in lungs(volume.hu()).items():
        write_labels(folder / f"{name}.nii.gz", mask.astype(np.uint8), volume.grid)
    if known:
        write_labels(folder / "lung_lesion.nii.gz", (nodule > 0).astype(np.uint8), grid)
    return case_at(ct, masks=folder)


def lungs(hu: NDArray[np.floating[Any]]) -> dict[str, NDArray[np.bool_]]:
    """The two largest pieces of air that no side of the scan touches, closed.

    The scan is stored from the patient's right to the left.
    """
    air, count = ndimage.label(hu < -500.0)
    outside = {int(n) for face in (air[0], air[-1], air[:, 0], air[:, -1]) for n in np.unique(face)}
    sizes = np.bincount(air.ravel(), minlength=count + 1)
    inner = sorted(set(range(1, count + 1)) - outside, key=lambda n: -sizes[n])
    mask = ndimage.binary_closing(np.isin(air, inner[:2]), iterations=3)
    middle = int(np.median(np.nonzero(mask)[0]))
    first = np.arange(mask.shape[0])[:, None, None] < middle
    return {"lung_right": mask & first, "lung_left": mask & ~first}


def found(
    detector: Detector,
    cache: Cache,
    specs: Sequence[LesionSpec],
) -> Seen:
    """Lesions of seeds that no training has, in whole organs."""
    patches = [
        Patches(cache, detector.spec, real=(), synthetic=specs, seed=seed, length=1)
        for seed in HELD_BACK_SEEDS
    ]
    return see(detector, Scans(list(cache.cases.values()), patches))


def table(tests: Mapping[str, Seen]) -> Iterator[str]:
    """Found of how many by size; the interval takes lesions of one patient as independent."""
    yield "| synthetic lesions | " + " | ".join(BINS.labels) + " | all | false per scan at 0.5 |"
    yield "|---|" + "---|" * (len(BINS.labels) + 2)
    for name, seen in tests.items():
        hit = seen.found(RATE)
        size = np.array([BINS.label_of(float(mm)) for mm in seen.diameter_mm])
        cells = [f"{hit[size == one].sum()} of {(size == one).sum()}" for one in BINS.labels]
        share = wilson(int(hit.sum()), hit.size)
        interval = f"{share.value:.2f} ({share.low:.2f} to {share.high:.2f})"
        cells.append(f"{hit.sum()} of {hit.size}: {interval}")
        yield f"| {name} | " + " | ".join(cells) + f" | {seen.false_per_scan(0.5):.1f} |"


def reference_of(case: Case) -> Iterator[Mask]:
    """Masks of real lesions, where there are any."""
    yield from case.masks(case.lesions, if_missing="omit").values()


def looked(prediction: Prediction, reference: Sequence[Mask]) -> Iterator[str]:
    """What the detector says of the real scan, in words."""
    predicted = prediction.mask(prediction.organ.lesion).array
    scores = [finding.score for finding in prediction.findings]
    yield (
        f"In the real scan there are {len(scores)} candidates (voxels from a probability of "
        f"{FLOOR:g} on), of which {sum(score >= 0.5 for score in scores)} reach 0.5; the highest "
        f"score is {max(scores, default=0.0):.2f}."
    )
    if prediction.findings:
        largest_ml = prediction.findings[0].sizes.volume_mm3 / 1000.0
        yield f"The largest has {largest_ml:,.0f} ml."
    for mask in reference:
        said = "touch" if (predicted & mask.array).any() else "do not touch"
        share = dice(predicted, mask.array)
        highest = float(
            prediction.probability(prediction.organ.lesion)[mask.array[prediction.region]].max(
                initial=0.0
            )
        )
        yield (
            f"They {said} the real lesion (n = 1; Dice of all candidates with it {share:.2f}, "
            f"highest probability within it {highest:.2f})."
        )


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice of two masks."""
    total = int(one.sum()) + int(other.sum())
    return 2.0 * int((one & other).sum()) / total if total else 1.0


def draw(path: Path, prediction: Prediction, reference: Sequence[Mask], window: str) -> None:
    """A small picture: above, the reference, if there is one; below, the largest candidate."""
    own = [prediction.mask(prediction.organ.lesion)]
    rows = [
        preview_case(prediction.volume, masks, case_id=told, window=window, limit=1)
        for told, masks in (("reference", reference), ("detector", own))
        if masks
    ]
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    picture = Image.fromarray(np.concatenate(rows))
    picture.thumbnail((900, 900))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(path, optimize=True)


def attribution(data: Path, *cases: Case) -> Iterator[str]:
    """What the licences of the scans ask for."""
    with (data / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    for case in cases:
        row = rows[case.ct.relative_to(data.absolute()).as_posix()]
        yield f"- `{row['file']}`: {row['source']}; {row['licence']}. {row['contents']}."


HEAD = """# Real CT: an illustration

**This is an illustration with one patient a row, not a result.** It shows that the parts work
together on real scans. Each detector was trained for a few minutes with synthetic lesions in a
single host; two of the three tests are in that same host, and there is one real lesion with a
reference (n = 1). Nothing here says how a detector does in patients, and nothing else is claimed.
A detector that has seen one host has learned that host: elsewhere it misses lesions, or calls large
parts of the organ one.

Tests grow lesions of held-back seeds, and of kinds that were not trained with, in whole organs.
A lesion counts as found by a candidate with an intersection over union of at least 0.1, at the
threshold that gives {rate:g} false candidate per scan; the last column counts false candidates at
a probability of 0.5. Lesions of one host are no independent patients, so the intervals (Wilson)
are too narrow for any wider reading.

Made by `benchmarks/experiments/real_ct.py`.
"""
TAIL = """The data are those of the sources named above, under their licences; the pictures were
made from them (planes, outlines added). Data of TCIA: do not try to identify individuals.
"""


if __name__ == "__main__":
    main()
