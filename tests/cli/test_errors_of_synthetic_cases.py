"""From synthetic cases to what a detector misses, and to the lesions that it should be shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import cc3d
import nibabel as nib
import numpy as np
import polars as pl
import pytest

from scalemai.synthesis.populations.population import read_population

from .hosts import scalemai, synthesize

MASKS = ("pancreas", "pancreas_head", "pancreas_body", "pancreas_tail", "duodenum", "stomach")
CASES = 24
POPULATION = """
count: {3: 1}
pancreas:
  groups:
    - {weight: 2, site: tail, size_mm: {uniform: [7, 14]}}
    - {weight: 2, site: tail, size_mm: {uniform: [27, 34]}}
    - {weight: 2, site: head, size_mm: {uniform: [7, 14]}}
    - {weight: 1, site: head, size_mm: {uniform: [27, 34]}}
    - {weight: 1, site: body, size_mm: {uniform: [7, 14]}}
"""
SMALL_MM3 = 4 / 3 * np.pi * 10**3


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Cases from small phantoms, three lesions of the pancreas each; and their hosts."""
    root = tmp_path_factory.mktemp("phantoms")
    phantoms = root / "phantoms"
    made = scalemai("phantom", "--small", "--n", 3, "--out", phantoms, "--workers", 1)
    assert made.code == 0
    sources = sorted(path for path in phantoms.iterdir() if path.is_dir())
    for number in range(CASES):
        source, host = sources[number % 3], root / "hosts" / f"case_{number:02d}"
        (host / "segmentations").mkdir(parents=True)
        for name in ("ct.nii.gz", "metadata.json"):
            shutil.copy(source / name, host)
        for name in MASKS:
            shutil.copy(source / "segmentations" / f"{name}.nii.gz", host / "segmentations")
    (root / "population.yaml").write_text(POPULATION)
    said = synthesize(
        root / "hosts", "--population", root / "population.yaml", "--out", root / "cases"
    )
    assert said.code == 0, said.err
    return root / "cases", root / "hosts"


def detect(cases: Path, hosts: Path, out: Path) -> Path:
    """A detector that draws every lesion but the small ones of the tail."""
    for folder in sorted(path.parent for path in cases.glob("*/ct.nii.gz")):
        image = nib.load(folder / "segmentations" / "pancreatic_lesion.nii.gz")
        tail = nib.load(hosts / folder.name / "segmentations" / "pancreas_tail.nii.gz")
        in_tail = np.asanyarray(tail.dataobj) > 0
        pieces = cc3d.connected_components(np.asanyarray(image.dataobj) > 0, connectivity=26)
        seen = pieces > 0
        for number in range(1, int(pieces.max()) + 1):
            one = pieces == number
            small = one.sum() * np.prod(image.header.get_zooms()) < SMALL_MM3
            if small and 2 * (one & in_tail).sum() > one.sum():
                seen &= ~one
        target = out / folder.name / "segmentations" / "pancreatic_lesion.nii.gz"
        target.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(seen.astype(np.uint8), image.affine), target)
    return out


@pytest.mark.slow
def test_a_detector_blind_to_small_tumors_of_the_tail_is_found_out_and_asks_for_them(
    synthetic: tuple[Path, Path], tmp_path: Path
) -> None:
    cases, hosts = synthetic
    found = detect(cases, hosts, tmp_path / "predictions")
    said = scalemai(
        "evaluate", found, cases, "--images", cases, "--out", tmp_path / "results",
        "--pictures", 0, "--workers", 1,
    )  # fmt: skip
    assert said.code == 0, said.err
    lesions = pl.read_parquet(tmp_path / "results" / "lesions.parquet")
    # Synthetic cases have the masks that changed, so that some have no neighbours at all.
    assert lesions["neighbour"].drop_nulls().len() > 10
    for fact in ("site", "kind", "contrast_hu", "phase"):
        assert lesions[fact].null_count() <= 0.05 * lesions.height, fact
    # Cysts are darker than the gland in every phase, and so they are measured.
    assert lesions.filter(pl.col("kind") == "cyst")["contrast_hu"].median() < -20  # type: ignore[operator]  # a number

    said = scalemai("errors", tmp_path / "results", "--out", tmp_path / "errors")
    assert said.code == 0, said.err
    first = said.out.splitlines()[0]
    assert first.startswith("size <= 20 mm, site tail: "), said.out
    wrong, n = map(int, first.split(": ")[1].split(" lesions")[0].split(" of "))
    # A long lesion of a small volume is missed too, and counts as larger than 20 mm.
    assert wrong >= 0.9 * n
    assert wrong >= 0.7 * lesions.filter(~pl.col("detected")).height

    population = read_population(tmp_path / "errors" / "population.yaml")
    drawn = [population.sample("case", 0, number) for number in range(400)]
    tail = [spec for spec in drawn if spec.site == "tail"]
    before = lesions.filter(pl.col("site") == "tail").height / lesions.height
    assert len(tail) / len(drawn) > before + 0.1
    small = np.mean([spec.diameter_mm[0] <= 20 for spec in tail])
    usual = lesions.filter(pl.col("site") == "tail")["diameter_mm"].le(20).mean()
    assert small > float(usual) + 0.1  # type: ignore[arg-type]  # a number
    again = synthesize(
        hosts, "--population", tmp_path / "errors" / "population.yaml", "--out", tmp_path / "more",
        "--dry-run",
    )  # fmt: skip
    assert again.code == 0, again.err
