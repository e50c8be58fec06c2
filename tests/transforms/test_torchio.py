"""The random transform in TorchIO's own loader, and its history."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from scalemai.errors import ConfigError, GeometryError
from scalemai.transforms.patch import PatchSynthesizer

from .patches import NAMES, SPEC, liver_patch

torch = pytest.importorskip("torch")
tio = pytest.importorskip("torchio")

from scalemai.transforms.torchio import RandomTumor, Tumor  # noqa: E402


def synthesizer(**changes: Any) -> PatchSynthesizer:
    return PatchSynthesizer(**({"specs": SPEC, "labels": NAMES} | changes))


def subject_of(seed: int = 0, **more: Any) -> Any:
    patch = liver_patch(seed)
    return tio.Subject(
        image=tio.ScalarImage(tensor=patch.hu[None], affine=patch.affine),
        label=tio.LabelMap(tensor=torch.as_tensor(patch.labels)[None], affine=patch.affine),
        case_id=f"case {seed}",
        **more,
    )


def seen(transform: Any, workers: int) -> list[Any]:
    data = tio.SubjectsDataset([subject_of(n) for n in range(4)], transform=transform)
    loader = tio.SubjectsLoader(data, batch_size=2, num_workers=workers)
    return [labels.clone() for batch in loader for labels in batch["label"][tio.DATA]]


def same(first: list[Any], second: list[Any]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_seed_of_torch_decides() -> None:
    before = subject_of()
    transform = RandomTumor(synthesizer())
    torch.manual_seed(1)
    first = transform(before)
    torch.manual_seed(1)
    again = transform(before)
    third = transform(before)
    assert torch.equal(first.label.data, again.label.data)
    assert not torch.equal(first.label.data, third.label.data)
    assert (first.label.data == 2).any()
    np.testing.assert_array_equal(before.image.numpy()[0], liver_patch().hu)


def test_the_history_repeats_the_lesion() -> None:
    transform = tio.Compose([tio.RandomFlip(), RandomTumor(synthesizer()), tio.RandomNoise()])
    before = subject_of()
    after = transform(before)
    names = [type(one).__name__ for one in after.history]
    assert "Tumor" in names
    again = after.get_composed_history()(before)
    assert torch.equal(after.image.data, again.image.data)
    assert torch.equal(after.label.data, again.label.data)


def test_two_workers_repeat_themselves_with_torchs_seed() -> None:
    torch.manual_seed(5)
    first = seen(RandomTumor(synthesizer()), 2)
    torch.manual_seed(5)
    assert same(first, seen(RandomTumor(synthesizer()), 2))
    torch.manual_seed(6)
    assert not same(first, seen(RandomTumor(synthesizer()), 2))


def test_subjects_with_ids_get_the_same_lesions_for_any_number_of_workers() -> None:
    def keyed(epoch: int) -> RandomTumor:
        transform = RandomTumor(synthesizer(), id_key="case_id", seed=3)
        transform.set_epoch(epoch)
        return transform

    alone = seen(keyed(0), 0)
    assert same(alone, seen(keyed(0), 2))
    assert not same(alone, seen(keyed(1), 0))


def test_a_share_of_the_subjects_is_left_alone() -> None:
    transform = RandomTumor(synthesizer(), p=0.0)
    subject = subject_of()
    assert transform(subject) is subject
    assert not subject.history


def test_names_and_the_record_can_be_chosen() -> None:
    subject = subject_of()
    renamed = tio.Subject(ct=subject.image, organs=subject.label)
    transform = Tumor(synthesizer(), seed=1, image="ct", label="organs", record_key="tumor")
    after = transform(renamed)
    record = json.loads(after.tumor)
    assert record["outcome"] == "painted"
    assert record["lesions"][0]["recipe"]["organ"] == "liver"


def test_subjects_that_do_not_fit_are_refused() -> None:
    subject = subject_of()
    with pytest.raises(ConfigError, match="ct: the subject has no ScalarImage of that name"):
        RandomTumor(synthesizer(), image="ct")(subject)
    with pytest.raises(ConfigError, match="image: the subject has no LabelMap"):
        RandomTumor(synthesizer(), label="image")(subject)
    with pytest.raises(ConfigError, match="name: the subject has no such key"):
        RandomTumor(synthesizer(), id_key="name")(subject)
    subject.label.affine[0, 3] += 2.0
    with pytest.raises(GeometryError, match="resample the label map"):
        RandomTumor(synthesizer())(subject)
