"""The pages on MONAI, TorchIO and nnU-Net are true: every block of Python on them runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalemai.cases.phantom import generate_phantom, sample_spec
from scalemai.io.nifti import write_volume
from scalemai.transforms.nnunet_plans import read_nnunet_plans
from scalemai.volume import Volume

from .test_normalization import plans

PAGES = Path(__file__).parents[2] / "docs" / "howto"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT with a label map of the pancreas, and a patch as nnU-Net's loader gives it."""
    place = tmp_path_factory.mktemp("case")
    phantom = generate_phantom(sample_spec(1, preset="small"))
    volume, pancreas = phantom.volume, phantom.structures["pancreas"].array
    write_volume(place / "ct.nii.gz", volume)
    write_volume(place / "labels.nii.gz", Volume(pancreas.astype(np.uint8), volume.grid))
    content = plans()
    content["configurations"]["3d_fullres"]["spacing"] = [2.5, 2.5, 2.5]
    (place / "nnUNetPlans.json").write_text(json.dumps(content))
    normalization = read_nnunet_plans(place / "nnUNetPlans.json").normalization
    image = normalization.from_hu(volume.hu().transpose(2, 1, 0))
    labels = pancreas.transpose(2, 1, 0).astype(np.int16)
    np.savez(place / "patch.npz", image=image[None], segmentation=labels[None])
    return place


def run(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the blocks of a page in order, where its files are."""
    text = (PAGES / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{page}, block {number + 1}", "exec"), names)
    return names


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # MONAI tries all its readers
def test_the_page_on_monai_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("monai")
    from monai.utils import set_determinism

    try:
        names = run("monai.md", folder, monkeypatch)
    finally:
        set_determinism(None)
    outcomes = [record["outcome"] for record in names["records"]]
    assert len(outcomes) == 8
    assert outcomes.count("painted") >= 2
    for batch in names["batches"]:
        for label, record in zip(batch["label"], batch["tumor"], strict=True):
            assert bool((label == 2).any()) == ('"painted"' in record)


def test_the_page_on_torchio_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchio")
    names = run("torchio.md", folder, monkeypatch)
    assert (names["transformed"].labels.data == 2).any()
    assert (names["found"].labels.data == 2).any()


def test_the_page_on_nnunet_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("batchgeneratorsv2")
    names = run("nnunet.md", folder, monkeypatch)
    count = sum(bool((one["segmentation"] == 2).any()) for one in names["found"])
    assert 1 <= count <= 6
