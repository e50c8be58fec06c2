"""The transform in batchgeneratorsv2, as nnU-Net's loader calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from scalemai.errors import ConfigError, GeometryError
from scalemai.transforms.normalization import Normalization
from scalemai.transforms.patch import PatchSynthesizer

from .patches import NAMES, SPEC, liver_patch
from .test_normalization import plans, written

torch = pytest.importorskip("torch")
pytest.importorskip("batchgeneratorsv2")
augmenter = pytest.importorskip("batchgenerators.dataloading.nondet_multi_threaded_augmenter")

from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms  # noqa: E402
from batchgeneratorsv2.transforms.utils.random import RandomTransform  # noqa: E402

from scalemai.transforms.batchgenerators import SynthesizeTumorTransform  # noqa: E402

PATCH = liver_patch()
FACTS = Normalization.zscore(80.0, 75.0, -90.0, 200.0)
# The axes of nnU-Net's arrays: slices, rows, columns.
IMAGE = torch.as_tensor(FACTS.from_hu(PATCH.hu.transpose(2, 1, 0)))[None]
LABELS = torch.as_tensor(PATCH.labels.transpose(2, 1, 0).astype(np.int16))[None]


def transform(**changes: Any) -> SynthesizeTumorTransform:
    one = PatchSynthesizer(**({"specs": SPEC, "labels": NAMES, "normalization": FACTS} | changes))
    return SynthesizeTumorTransform(one, (1.5, 1.0, 1.0))


def call(one: Any, seed: int) -> dict[str, Any]:
    np.random.seed(seed)  # noqa: NPY002 # the framework's own way
    return dict(one(image=IMAGE, segmentation=LABELS))


def test_the_seed_of_the_worker_decides() -> None:
    first, again, other = (call(transform(), seed) for seed in (1, 1, 2))
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], other["image"])
    lesion = first["segmentation"] == 2
    assert lesion.any()
    assert (LABELS[lesion] == 1).all()
    assert torch.equal(IMAGE[0], torch.as_tensor(FACTS.from_hu(PATCH.hu.transpose(2, 1, 0))))


def test_the_axial_diameter_is_that_of_the_axes_named() -> None:
    one = PatchSynthesizer(specs=SPEC, labels=NAMES, normalization=FACTS)
    turned = SynthesizeTumorTransform(one, (1.0, 1.5, 1.0), "PSL", record_key="tumor")
    np.random.seed(0)  # noqa: NPY002 # the framework's own way
    found = turned(image=IMAGE.transpose(1, 2), segmentation=LABELS.transpose(1, 2))
    lesion = found["segmentation"][0].numpy() == 2
    # Slices lie along the second axis; rows and columns are 1 mm apart.
    widest = max(
        pdist(np.argwhere(one)).max() for one in np.moveaxis(lesion, 1, 0) if one.sum() > 1
    )
    (record,) = json.loads(found["tumor"])["lesions"]
    measured = record["measured"]["longest_axial_diameter_mm"]
    assert widest < measured <= widest + 1.5
    assert record["recipe"]["diameter_mm"] == pytest.approx(measured, abs=1.5)


def test_further_channels_and_entries_stay() -> None:
    two = {"image": torch.cat([IMAGE, IMAGE]), "segmentation": torch.cat([LABELS, 0 * LABELS])}
    found = transform()(**two, keypoints=[1])
    assert torch.equal(found["image"][1], IMAGE[0])
    assert not found["segmentation"][1].any()
    assert (found["segmentation"][0] == 2).any()
    assert found["keypoints"] == [1]


def test_plans_give_geometry_and_normalisation(tmp_path: Path) -> None:
    content = plans()
    content["configurations"]["3d_fullres"]["spacing"] = [1.5, 1.0, 1.0]
    path = written(tmp_path, content)
    one = SynthesizeTumorTransform.from_plans(path, specs=SPEC, labels=NAMES, record_key="tumor")
    found, expected = call(one, 1), call(transform(), 1)
    assert torch.equal(found["image"], expected["image"])
    assert json.loads(found["tumor"])["outcome"] == "painted"


class Loader:
    """Gives the same batch for ever, as nnU-Net's loader gives random ones."""

    def __init__(self, one: Any) -> None:
        self.one = one

    def set_thread_id(self, thread: int) -> None:
        self.thread = thread

    def __next__(self) -> dict[str, Any]:
        found = self.one(image=IMAGE, segmentation=LABELS)
        return {"data": found["image"][None], "target": found["segmentation"][None]}


# When the workers are ended, the framework's own thread may still be receiving a batch of theirs.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nnunets_workers_draw_their_own_lesions() -> None:
    chain = ComposeTransforms([RandomTransform(transform(), apply_probability=1.0)])
    workers = augmenter.NonDetMultiThreadedAugmenter(Loader(chain), None, 2, seeds=[1, 2])
    try:
        targets = [next(workers)["target"].clone() for _ in range(4)]
    finally:
        workers._finish()
    assert all((target == 2).any() for target in targets)
    possible = set()
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002 # the framework's own way
        for _ in targets:
            found = chain(image=IMAGE, segmentation=LABELS)
            possible.add(found["segmentation"].numpy().tobytes())
    got = {target.numpy().tobytes() for target in targets}
    assert len(got) == len(targets)
    assert got <= possible


def test_patches_that_do_not_fit_are_refused() -> None:
    with pytest.raises(GeometryError, match="image: has shape"):
        transform()(image=IMAGE[:, 0], segmentation=LABELS[:, 0])
    with pytest.raises(ConfigError, match="lesions need both"):
        transform()(image=IMAGE)
