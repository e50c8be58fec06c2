"""The dictionary transform in MONAI's own loaders."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest

from scalemai.errors import ConfigError, GeometryError
from scalemai.transforms.normalization import Normalization
from scalemai.transforms.patch import PatchSynthesizer

from .patches import NAMES, SPEC, liver_patch

pytest.importorskip("monai")
torch = pytest.importorskip("torch")

from monai.data import (  # noqa: E402
    CacheDataset,
    DataLoader,
    MetaTensor,
    ThreadDataLoader,
)
from monai.transforms import (  # noqa: E402
    Compose,
    RandCropByPosNegLabeld,
    ScaleIntensityRanged,
)
from monai.utils import set_determinism  # noqa: E402

from scalemai.transforms.monai import SynthesizeTumord  # noqa: E402

KEYS = ("image", "label")
PATCH = liver_patch()


def synthesizer(**changes: Any) -> PatchSynthesizer:
    return PatchSynthesizer(**({"specs": SPEC, "labels": NAMES} | changes))


def sample(seed: int = 0, **more: Any) -> dict[str, Any]:
    patch = liver_patch(seed)
    affine = torch.as_tensor(patch.affine)
    meta = {"space": "RAS"}
    return {
        "image": MetaTensor(torch.as_tensor(patch.hu)[None], affine=affine, meta=dict(meta)),
        "label": MetaTensor(torch.as_tensor(patch.labels)[None], affine=affine, meta=dict(meta)),
        "case_id": f"case {seed}",
    } | more


def seen(loader: Any, epochs: int = 1) -> list[tuple[str, Any]]:
    """Label maps with lesions by case, in the order in which they come."""
    return [
        (case, batch["label"][n].as_tensor().clone())
        for _ in range(epochs)
        for batch in loader
        for n, case in enumerate(batch["case_id"])
    ]


def same(first: list[tuple[str, Any]], second: list[tuple[str, Any]]) -> bool:
    return [a for a, _ in first] == [a for a, _ in second] and all(
        torch.equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True)
    )


def loader_of(transform: Any, workers: int) -> Any:
    data = CacheDataset([sample(n) for n in range(4)], Compose([transform]), progress=False)
    return DataLoader(data, batch_size=2, num_workers=workers)


def test_two_workers_repeat_themselves_with_monais_seed() -> None:
    def run(seed: int) -> list[tuple[str, Any]]:
        set_determinism(seed)
        try:
            return seen(loader_of(SynthesizeTumord(KEYS, synthesizer()), 2), epochs=2)
        finally:
            set_determinism(None)

    first, again, other = run(3), run(3), run(4)
    assert same(first, again)
    assert not same(first, other)
    assert all((labels == 2).any() for _, labels in first)
    assert not same(first[:4], first[4:])  # another epoch, other lesions


def test_samples_with_ids_get_the_same_lesions_for_any_number_of_workers() -> None:
    def keyed(epoch: int) -> SynthesizeTumord:
        transform = SynthesizeTumord(KEYS, synthesizer(), 0.7, id_key="case_id", seed=11)
        transform.set_epoch(epoch)
        return transform

    alone = seen(loader_of(keyed(0), 0))
    assert same(alone, seen(loader_of(keyed(0), 1)))
    assert same(alone, seen(loader_of(keyed(0), 2)))
    assert not same(alone, seen(loader_of(keyed(1), 0)))


def test_threads_and_cached_volumes_work() -> None:
    data = CacheDataset(
        [sample(n) for n in range(2)],
        Compose([SynthesizeTumord(KEYS, synthesizer())]),
        progress=False,
        copy_cache=False,
    )
    loader = ThreadDataLoader(data, batch_size=1, num_workers=0, use_thread_workers=True)
    assert all((labels == 2).any() for _, labels in seen(loader))
    for n in range(2):
        patch = liver_patch(n)
        np.testing.assert_array_equal(data._cache[n]["image"].numpy()[0], patch.hu)
        np.testing.assert_array_equal(data._cache[n]["label"].numpy()[0], patch.labels)


def test_global_random_states_are_left_alone() -> None:
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002 # the global one is meant
    torch_before = torch.get_rng_state()
    transform = SynthesizeTumord(KEYS, synthesizer()).set_random_state(5)
    assert (transform(sample())["label"] == 2).any()
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_crops_of_a_normalised_volume_get_their_own_lesions() -> None:
    window = Normalization.window(-300, 400)
    steps = [
        ScaleIntensityRanged("image", -300, 400, 0, 1, clip=True),
        RandCropByPosNegLabeld(KEYS, "label", (40, 40, 36), num_samples=3),
        SynthesizeTumord(
            KEYS, synthesizer(normalization=window), id_key="case_id", record_key="tumor"
        ),
    ]
    crops = Compose(steps).set_random_state(1)(sample())
    records = [json.loads(crop["tumor"]) for crop in crops]
    assert all(0.0 <= crop["image"].min() <= crop["image"].max() <= 1.0 for crop in crops)
    painted = [one for one in records if one["outcome"] == "painted"]
    assert len(painted) >= 2
    assert len({json.dumps(one["lesions"][0]["recipe"]["rotation"]) for one in painted}) == len(
        painted
    )
    for crop, record in zip(crops, records, strict=True):
        assert bool((crop["label"] == 2).any()) == (record["outcome"] == "painted")
        assert isinstance(crop["image"], MetaTensor)


def test_lps_and_ras_are_one_place() -> None:
    ras = sample()
    flip = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=torch.float64))
    lps = {
        key: MetaTensor(ras[key].as_tensor(), affine=flip @ ras[key].affine, meta={"space": "LPS"})
        for key in KEYS
    }
    transform = SynthesizeTumord(KEYS, synthesizer(), record_key="tumor")
    first = transform.set_random_state(2)(ras)
    second = transform.set_random_state(2)(lps)
    assert torch.equal(first["image"].as_tensor(), second["image"].as_tensor())
    assert first["tumor"] == second["tumor"]


def test_plain_tensors_need_a_spacing() -> None:
    plain = {"image": PATCH.hu[None], "label": torch.as_tensor(PATCH.labels)[None]}
    with pytest.raises(ConfigError, match="image: the sample has no affine"):
        SynthesizeTumord(KEYS, synthesizer())(plain)
    transform = SynthesizeTumord(KEYS, synthesizer(), spacing_mm=(1, 1, 1.5), axes="LPS")
    found = transform.set_random_state(0)(plain)
    assert (found["label"] == 2).any()
    assert isinstance(found["image"], np.ndarray)
    assert (found["image"] != PATCH.hu[None]).any()


def test_samples_that_do_not_fit_are_refused() -> None:
    transform = SynthesizeTumord(KEYS, synthesizer(), id_key="case_id")
    shifted = sample()
    shift = torch.eye(4, dtype=torch.float64)
    shift[0, 3] = 2.0
    shifted["label"].affine = shift @ shifted["label"].affine
    with pytest.raises(GeometryError, match="resample the label map"):
        transform(shifted)
    one_hot = sample(label=MetaTensor(torch.zeros((3, *PATCH.hu.shape))))
    one_hot["label"].affine = one_hot["image"].affine
    with pytest.raises(ConfigError, match="label: has 3 channels"):
        transform(one_hot)
    flat = {key: value[..., 0] if key in KEYS else value for key, value in sample().items()}
    with pytest.raises(GeometryError, match="3-D"):
        transform(flat)
    nameless = sample()
    del nameless["case_id"]
    with pytest.raises(ConfigError, match="case_id: the sample has no such key"):
        transform(nameless)
    with pytest.raises(KeyError, match="label"):
        transform({"image": sample()["image"]})
    with pytest.raises(ConfigError, match="keys: 1 of them"):
        SynthesizeTumord(("image",), synthesizer())


def test_missing_keys_may_be_allowed() -> None:
    transform = SynthesizeTumord(KEYS, synthesizer(), allow_missing_keys=True)
    only = {"image": sample()["image"]}
    assert transform(only)["image"] is only["image"]


def test_the_transform_can_be_pickled() -> None:
    transform = SynthesizeTumord(KEYS, synthesizer()).set_random_state(3)
    copy = pickle.loads(pickle.dumps(transform))
    first, second = (one(sample())["image"].as_tensor() for one in (transform, copy))
    assert torch.equal(first, second)
