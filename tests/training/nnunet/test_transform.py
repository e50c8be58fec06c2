"""The first transform of the trainer: which class a new lesion is, and what it may not touch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalemai.errors import ConfigError
from scalemai.training.nnunet.labels import LabelScheme
from scalemai.training.nnunet.plans import with_fixed_window, write_plans
from scalemai.training.nnunet.settings import Settings
from scalemai.transforms.normalization import Normalization

from .test_plans import plans

torch = pytest.importorskip("torch")
pytest.importorskip("batchgeneratorsv2")

from scalemai.training.nnunet.transform import Stream, trainer_transform  # noqa: E402

STREAM = Stream(0, "training")
KINDS = LabelScheme(organs={"pancreas": ("pdac", "cyst")})
SHAPE = (24, 40, 40)
NORMALIZATION = Normalization.zscore(37.5, 106.25, -175.0, 250.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Plans of patches of 2 mm."""
    content: Any = with_fixed_window(plans(), (-175.0, 250.0))
    content["configurations"]["3d_fullres"]["spacing"] = [2.0, 2.0, 2.0]
    write_plans(tmp_path / "plans.json", content)
    return tmp_path / "plans.json"


def patch() -> dict[str, Any]:
    """A pancreas in fat, with a corner of padding and a slab that nobody verified."""
    rng = np.random.default_rng(0)
    labels = np.zeros(SHAPE, np.int16)
    labels[4:20, 8:32, 8:32] = 1
    labels[4:20, 8:32, 20:24] = KINDS.ignore
    labels[0, :4] = -1
    hu = np.where(labels == 0, -90.0, 100.0) + rng.normal(0.0, 8.0, SHAPE)
    image = NORMALIZATION.from_hu(hu)
    return {"image": torch.as_tensor(image)[None], "segmentation": torch.as_tensor(labels)[None]}


def drawn(file: Path, settings: Settings, seed: int, scheme: LabelScheme = KINDS) -> Any:
    one = trainer_transform(file, "3d_fullres", scheme, settings, STREAM)
    one.record_key = "tumor"
    np.random.seed(seed)  # noqa: NPY002 # the framework's own way
    return one(**patch())


def population(kind: str) -> Settings:
    text = f"pancreas: {{kinds: {kind}, size_mm: {{uniform: [10, 14]}}}}"
    return Settings(population=text, probability=1.0)


@pytest.mark.parametrize(("kind", "value"), [("pdac", 2), ("cyst", 3), ("pnet", 1)])
def test_a_new_lesion_has_the_value_of_its_kind(kind: str, value: int, file: Path) -> None:
    found = [drawn(file, population(kind), seed) for seed in range(4)]
    painted = [one for one in found if json.loads(one["tumor"])["outcome"] == "painted"]
    assert painted
    before = patch()
    for one in painted:
        changed = one["image"][0] != before["image"][0]
        assert changed.any()
        lesions = set(one["segmentation"][0][changed].unique().tolist()) - {1, KINDS.ignore}
        assert lesions <= {value, 0}
        if value != 1:
            assert (one["segmentation"][0] == value).any()


def test_padding_and_what_nobody_verified_keep_their_labels(file: Path) -> None:
    before = patch()["segmentation"]
    for seed in range(4):
        after = drawn(file, population("pdac"), seed)["segmentation"]
        for kept in (-1, KINDS.ignore):
            assert torch.equal(after == kept, before == kept)


def test_the_share_of_patches_is_that_of_the_settings(file: Path) -> None:
    never = drawn(file, Settings(probability=0.0), 0)
    assert torch.equal(never["image"], patch()["image"])
    assert json.loads(never["tumor"])["outcome"] == "left out"


def test_new_numbers_are_normalised_as_the_plans_say(file: Path) -> None:
    found = next(
        one
        for seed in range(6)
        if json.loads((one := drawn(file, population("cyst"), seed))["tumor"])["lesions"]
    )
    lesion = found["segmentation"][0] == 3
    hu = NORMALIZATION.to_hu(found["image"][0].numpy())[lesion.numpy()]
    (record,) = json.loads(found["tumor"])["lesions"]
    assert -40.0 < np.median(hu) < 60.0  # a cyst is water, in an organ of 100 HU
    assert record["recipe"]["kind"] == "cyst"


def test_a_population_of_an_organ_that_has_no_label_is_refused(file: Path) -> None:
    wrong = Settings(population="liver: {size_mm: {uniform: [10, 14]}}")
    with pytest.raises(ConfigError, match="no liver"):
        trainer_transform(file, "3d_fullres", KINDS, wrong, STREAM)


def test_streams_of_training_never_repeat_and_those_of_validation_do() -> None:
    training, validation = Stream(5, "training"), Stream(5, "validation", period=3)
    ranks = (training, Stream(5, "training", rank=1))
    seen = [tuple(one.entropy(w, n)) for one in ranks for w in range(3) for n in range(50)]
    assert len(set(seen)) == len(seen)
    assert validation.entropy(0, 1) == validation.entropy(0, 4) != validation.entropy(0, 2)
    assert validation.entropy(0, 1) != training.entropy(0, 1)
    assert Stream(6, "training").entropy(0, 0) != training.entropy(0, 0)


def test_a_stream_that_goes_on_begins_where_the_other_one_was() -> None:
    whole, second = Stream(5, "training"), Stream(5, "training", first=20)
    assert second.entropy(1, 3) == whole.entropy(1, 23)
