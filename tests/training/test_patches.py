"""Patches follow from seed and position alone, show lesions evenly, and never hold the data set."""

from __future__ import annotations

import hashlib
import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

torch = pytest.importorskip("torch", reason="patches are a torch data set")

from torch.utils.data import DataLoader  # noqa: E402

from scalemai.cases import open_cases  # noqa: E402
from scalemai.detector.organ_mask import closed_organ  # noqa: E402
from scalemai.detector.preprocessing import channels_of  # noqa: E402
from scalemai.detector.spec import DetectorSpec, Preprocessing  # noqa: E402
from scalemai.errors import ConfigError, UnknownNameError  # noqa: E402
from scalemai.synthesis.populations.population import TumorPopulation  # noqa: E402
from scalemai.synthesis.spec import LesionSpec  # noqa: E402
from scalemai.training.augment import augmentation_for  # noqa: E402
from scalemai.training.cache import Cache, prepare_cases  # noqa: E402
from scalemai.training.classes import IGNORE  # noqa: E402
from scalemai.training.corruption import OrganCorruption  # noqa: E402
from scalemai.training.material import any_lesion  # noqa: E402
from scalemai.training.patches import Patches  # noqa: E402
from scalemai.training.sampling import BINS  # noqa: E402

from .hosts import SPEC, kidneys, write_patient, write_set  # noqa: E402

ANY = LesionSpec(organ="pancreas", diameter_mm=(5.0, 26.0))


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Cache:
    """Two normal patients, and two with three lesions each."""
    root = tmp_path_factory.mktemp("training")
    cases = write_set(root / "set", normal=2, real=2)
    return prepare_cases(cases, SPEC, root / "cache")


def patches(cache: Cache, **how) -> Patches:
    usual = {"real": (), "synthetic": ANY, "seed": 3, "length": 24}
    return Patches(cache, how.pop("spec", SPEC), **{**usual, **how})


def varied(cache: Cache, **how) -> Patches:
    return patches(
        cache,
        real=cache.ids_of("real"),
        augment=augmentation_for(SPEC),
        organ_corruption=OrganCorruption(),
        **how,
    )


def digests(loader: DataLoader) -> list[str]:
    return [
        hashlib.sha256(
            batch["image"].numpy().tobytes()
            + batch["label"].numpy().tobytes()
            + " ".join(batch["key"]).encode()
        ).hexdigest()
        for batch in loader
    ]


# One core is enough for the test, whatever torch would advise.
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize(("workers", "start"), [(1, "spawn"), (2, "fork")])
def test_any_number_of_workers_gives_the_same_bytes_in_every_epoch(
    cache: Cache, workers: int, start: str
) -> None:
    alone, shared = varied(cache), varied(cache)
    loader = DataLoader(
        shared,
        batch_size=4,
        num_workers=workers,
        persistent_workers=True,
        multiprocessing_context=start,
    )
    epochs = []
    for epoch in (0, 1):
        alone.set_epoch(epoch)
        shared.set_epoch(epoch)  # its workers live on
        epochs.append(digests(DataLoader(alone, batch_size=4)))
        assert digests(loader) == epochs[-1]
    assert not set(epochs[0]) & set(epochs[1])


def test_tumors_are_fresh_in_every_epoch_and_the_same_in_the_same(cache: Cache) -> None:
    some = patches(cache, share_background=0.0)
    first = [some.sample(n) for n in range(6)]
    later = [some.sample(some.length + n) for n in range(6)]
    some.set_epoch(1)
    again = [some.sample(n) for n in range(6)]
    for one, other, same in zip(first, later, again, strict=True):
        assert one.lesions[0].recipe != other.lesions[0].recipe
        assert np.array_equal(other.image, same.image)
        assert np.array_equal(other.label, same.label)
    other_seed = patches(cache, share_background=0.0, seed=4)
    assert not np.array_equal(other_seed.sample(0).image, first[0].image)


def test_sizes_and_parts_are_shown_evenly(cache: Cache) -> None:
    some = patches(cache, real=cache.ids_of("real"), length=300)
    drawn = [some.sample(n) for n in range(300)]
    sources = Counter(one.source for one in drawn)
    assert sources["background"] == pytest.approx(75, abs=25)
    assert sources["real"] == pytest.approx(112, abs=30)
    for source in ("real", "synthetic"):
        own = [one for one in drawn if one.source == source]
        sizes = Counter(BINS.index_of(one.diameter_mm) for one in own)
        for number in range(3):
            assert sizes[number] / len(own) == pytest.approx(1 / 3, abs=0.14), (source, sizes)
    for source in ("synthetic", "background"):
        own = [one for one in drawn if one.source == source]
        parts = Counter(one.part for one in own)
        assert len(parts) == 3
        for part, count in parts.items():
            assert count / len(own) == pytest.approx(1 / 3, abs=0.14), (source, part)


def test_a_population_is_drawn_as_it_says(cache: Cache) -> None:
    population = TumorPopulation.from_yaml(
        "pancreas: {kinds: pnet, sites: {tail: 1.0}, size_mm: {uniform: [7, 9]}}"
    )
    some = patches(cache, synthetic=population, share_background=0.0)
    made = [some.sample(n) for n in range(12)]
    assert {one.part for one in made} == {"pancreas_tail"}
    assert {one.lesions[0].recipe.kind for one in made} == {"pnet"}
    assert all(7.0 <= one.lesions[0].recipe.diameter_mm <= 9.0 for one in made)


def test_a_new_lesion_lies_in_its_patch_anywhere_and_has_its_class(cache: Cache) -> None:
    spec = replace(SPEC, classes=("pdac", "pnet"))
    some = patches(cache, spec=spec, share_background=0.0, length=60)
    places, values = [], Counter()
    for n in range(60):
        made = some.sample(n)
        (first, *_) = made.lesions
        kind = {"pdac": 1, "pnet": 2, "cyst": 0}[first.recipe.kind]
        values[kind] += 1
        fits = all(s.stop - s.start <= 32 for s in first.region)
        if fits and len(made.lesions) == 1 and kind:
            known = made.label[made.label != IGNORE]
            assert (known == kind).sum() == first.mask.sum()
            assert (known > 0).sum() == first.mask.sum()
            places.append(np.argwhere(made.label == kind).mean(axis=0))
    assert values[1] == pytest.approx(values[2], abs=20)  # classes are drawn evenly
    assert np.ptp(places, axis=0).min() > 7.0


def test_classes_are_drawn_evenly_from_lesions_that_can_be_of_them(cache: Cache) -> None:
    spec = replace(SPEC, classes=("pdac", "pnet", "cyst"))
    wanted = patches(cache, spec=spec, synthetic=any_lesion("pancreas")).wanted
    assert wanted is not None
    rng = np.random.default_rng(0)
    drawn = [wanted.draw(rng, "", 0) for _ in range(600)]
    kinds = Counter(one.kind for one in drawn)
    assert {kinds[name] for name in spec.classes} <= set(range(160, 241))
    assert not any(one.kind == "cyst" and one.contrast == "hyper" for one in drawn)
    assert any(one.kind == "pnet" and one.contrast == "hyper" for one in drawn)
    one_class = patches(cache, synthetic=any_lesion("pancreas")).wanted
    assert one_class is not None
    specs = [one_class.draw(rng, "", 0) for _ in range(600)]
    usual = sum(replace(one, diameter_mm=(3.0, 40.0)) == any_lesion("pancreas")[0] for one in specs)
    assert usual == pytest.approx(200, abs=50)


def test_several_lesions_share_a_patch_and_leave_each_other_alone(cache: Cache) -> None:
    one = cache.subset(["normal_0"])
    small = LesionSpec(organ="pancreas", diameter_mm=(7, 9), contrast_hu=-60.0)
    some = patches(one, synthetic=small, lesions=(2, 3), share_background=0.0, seed=5)
    numbers, voxels = [], []
    for n in range(16):
        made = some.sample(n)
        again = some.sample(n)
        assert np.array_equal(made.image, again.image)
        numbers.append(len(made.lesions))
        first, *others = made.lesions
        shown = int((made.label == 1).sum())
        assert shown >= first.mask.sum()
        voxels.append(shown - int(first.mask.sum()))
        # The boxes of others lie in the patch-sized box round the first.
        for other in others:
            for a, b in zip(first.region, other.region, strict=True):
                assert abs((a.start + a.stop) - (b.start + b.stop)) <= 2 * 32
    assert set(numbers) <= {1, 2, 3}
    assert np.mean(numbers) > 1.5
    assert np.mean(np.array(voxels) > 0) > 0.4


def test_a_lesion_that_nobody_could_see_is_not_taught(cache: Cache) -> None:
    one = cache.subset(["normal_0"])
    faint = LesionSpec(organ="pancreas", diameter_mm=(5, 7), contrast_hu=-2.0, uniform=True)
    plain = replace(faint, contrast_hu=-80.0)
    for spec, limit, taught in ((faint, 0.0, True), (faint, 3.0, False), (plain, 3.0, True)):
        some = patches(one, synthetic=spec, share_background=0.0, least_detectability=limit)
        made = next(each for each in map(some.sample, range(9)) if each.source == "synthetic")
        (lesion,) = made.lesions
        assert (lesion.measures.detectability >= 3.0) == (spec is plain)
        assert (made.label == 1).sum() == (lesion.mask.sum() if taught else 0)
        unknown = patches(one, synthetic=spec, share_background=0.0).sample(0).label == IGNORE
        assert ((made.label == IGNORE).sum() > unknown.sum()) == (not taught)


def test_hosts_keep_their_own_lesions(cache: Cache) -> None:
    name = cache.ids_of("real")[0]
    one = cache.subset([name])
    some = patches(one, real=[name], share_synthetic=1.0, share_background=0.0)
    kept = 0
    for n in range(20):
        made = some.sample(n)
        assert made.source == "synthetic"
        new = sum(int(lesion.mask.sum()) for lesion in made.lesions)
        kept += int((made.label == 1).sum()) > new
    assert kept > 8


def test_cases_with_lesions_that_are_not_asked_for_are_left_aside(cache: Cache) -> None:
    assert {patches(cache).sample(n).case for n in range(12)} <= set(cache.ids_of("normal"))
    one = cache.ids_of("real")[0]
    shown = {patches(cache, real=[one]).sample(n).case for n in range(30)}
    assert shown == {one, *cache.ids_of("normal")}
    with pytest.raises(ConfigError, match="none of them is to be used"):
        patches(cache.subset(cache.ids_of("real")))


def test_background_is_what_inference_sees(cache: Cache) -> None:
    one = cache.subset(["normal_0"])
    whole = one["normal_0"].prepared
    still = patches(one, share_background=1.0)
    seen = channels_of(whole.hu, whole.organ, SPEC.preprocessing)
    made = still.sample(0)
    known = made.label != IGNORE
    inner = made.image[:, known.any(axis=(1, 2))][:, :, known.any(axis=(0, 2))]
    inner = inner[:, :, :, known.any(axis=(0, 1))]
    windows = np.lib.stride_tricks.sliding_window_view(seen[0], inner.shape[1:])
    assert (windows == inner[0]).all(axis=(3, 4, 5)).any()
    damaged = patches(
        one,
        share_background=1.0,
        organ_corruption=OrganCorruption(holes=0, erosion=0, dilation=0, shift=0),
    )
    closed = closed_organ(whole.organ, SPEC.preprocessing.spacing_mm)
    assert np.array_equal(closed, whole.organ)  # the gland is smooth
    assert np.array_equal(damaged.sample(0).image, made.image)


def test_the_median_of_the_organ_is_that_of_the_scan_with_its_new_lesions(cache: Cache) -> None:
    one = cache.subset(["normal_0"])
    organ_window = replace(SPEC.preprocessing, organ_window_hu=(-100.0, 100.0))
    spec = replace(SPEC, preprocessing=organ_window)
    whole = one["normal_0"].prepared
    still = patches(one, spec=spec, share_background=1.0).sample(0)
    # Both channels are the CT, but for a factor and what lies between the middles of the windows.
    wide = still.image[0] * 212.5 + 37.5
    narrow = still.image[2] * 100.0
    inner = np.abs(still.image[2]) < 1.0
    assert np.median(wide[inner] - narrow[inner]) == pytest.approx(whole.organ_hu, abs=1.0)
    big = LesionSpec(organ="pancreas", diameter_mm=(38, 40), contrast_hu=-60.0)
    grown = patches(one, spec=spec, share_background=0.0, synthetic=big)
    made = next(each for each in map(grown.sample, range(20)) if each.source == "synthetic")
    inner = np.abs(made.image[2]) < 1.0
    middle = np.median((made.image[0] * 212.5 + 37.5 - made.image[2] * 100.0)[inner])
    assert middle < whole.organ_hu - 1.0


def test_a_case_smaller_than_the_patch_is_continued_and_not_taught_beyond(tmp_path: Path) -> None:
    spec = DetectorSpec(
        "kidney", ("kidney_lesion",), Preprocessing((2.0, 2.0, 2.5), margin_mm=2.0), patch=(48,) * 3
    )
    write_patient(tmp_path / "set" / "a", {"kidney_left": kidneys()["kidney_left"]})
    small = prepare_cases(open_cases(tmp_path / "set"), spec, tmp_path / "cache")
    shape = small["a"].grid.shape
    assert max(shape) < 48
    some = patches(small, spec=spec, synthetic=LesionSpec(organ="kidney", diameter_mm=(8, 14)))
    for n in range(6):
        made = some.sample(n)
        known = made.label != IGNORE
        assert known.sum() == np.prod(shape)
        assert made.image.shape == (2, 48, 48, 48)
        assert not made.image[1][~known].any()
        assert made.image[0][~known].max() <= made.image[0][known].max()


def test_lesions_without_room_become_background_and_are_counted(cache: Cache) -> None:
    huge = LesionSpec(organ="pancreas", diameter_mm=(145.0, 150.0))
    some = patches(cache, synthetic=huge, share_background=0.0)
    for n in range(3):
        made = some.sample(n)
        assert made.source == "background"
        assert made.missed == 4
        assert not (made.label == 1).any()
        assert some[n]["missed"] == 4


def test_own_lesions_that_are_pushed_aside_keep_their_class(cache: Cache) -> None:
    name = cache.ids_of("real")[0]
    pushing = replace(ANY, kind="pnet", diameter_mm=(18.0, 26.0), mass_effect=True)
    one = cache.subset([name])
    how = {"share_background": 0.0, "share_synthetic": 1.0, "effects": True}
    some = patches(one, real=[name], synthetic=pushing, **how)
    made = [some.sample(n) for n in range(8)]
    assert {sample.source for sample in made} == {"synthetic"}
    for sample in made:
        assert set(np.unique(sample.label)) <= {0, 1, IGNORE}
        assert sample.image[1][sample.label == 1].all()
    alone = sum(int(lesion.mask.sum()) for sample in made for lesion in sample.lesions)
    assert sum(int((sample.label == 1).sum()) for sample in made) > alone


@pytest.mark.real
@pytest.mark.parametrize("name", ["ts_example_3mm", "crlm1004"])
def test_lesions_grow_in_patches_of_real_ct(shared_data: Path, tmp_path: Path, name: str) -> None:
    spec = DetectorSpec(
        "liver", ("liver_lesion",), Preprocessing(spacing_mm=(3.0, 3.0, 3.0)), patch=(32, 32, 32)
    )
    real = prepare_cases(open_cases(shared_data / "abdomen" / name), spec, tmp_path / "cache")
    lesion = LesionSpec(organ="liver", diameter_mm=(8.0, 30.0))
    some = patches(real, spec=spec, synthetic=lesion, share_background=0.0)
    made = [some.sample(n) for n in range(12)]
    assert all(one.source == "synthetic" for one in made)
    assert all((one.label == 1).any() for one in made)
    assert all(np.isfinite(one.image).all() and np.abs(one.image).max() <= 1.0 for one in made)


def test_memory_does_not_grow_with_the_data_set(cache: Cache) -> None:
    some = varied(cache)
    arrays = sum(p.stat().st_size for p in cache.folder.rglob("*.npy"))
    size = len(pickle.dumps(varied(cache).real)) + len(pickle.dumps(varied(cache).places))
    assert size < 0.02 * arrays
    some.sample(0)
    process = psutil.Process()
    before = process.num_fds(), len(process.memory_maps(grouped=False))
    for n in range(1, 20):
        some.sample(n)
    assert process.num_fds() <= before[0] + 1
    assert len(process.memory_maps(grouped=False)) <= before[1] + 8


def test_a_set_of_one_case_is_enough(cache: Cache) -> None:
    one = cache.subset(["normal_1"])
    assert {patches(one).sample(n).case for n in range(4)} == {"normal_1"}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"synthetic": None}, "no case has a lesion, and synthesis is off"),
        ({"synthetic": LesionSpec(organ="liver")}, "a lesion of the liver for a detector"),
        ({"synthetic": []}, "no specs"),
        ({"synthetic": replace(ANY, at_mm=(0.0, 0.0, 0.0))}, "one place in space"),
        ({"length": 0}, "0 patches"),
        ({"share_background": 1.5}, "1.5 is no share"),
        (
            {"spec": replace(SPEC, classes=("pnet",)), "synthetic": replace(ANY, kind="cyst")},
            "cyst is none of pnet",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_said_in_one_line(cache: Cache, how, message) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        patches(cache, **how)
    assert "\n" not in str(caught.value)


def test_unknown_cases_and_sites_that_no_case_shows_are_named(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown prepared case 'real_9'; did you mean"):
        patches(cache, real=["real_9"])
    spec = DetectorSpec("kidney", ("kidney_lesion",), SPEC.preprocessing, patch=(32, 32, 32))
    write_patient(tmp_path / "set" / "a", {"kidney_left": kidneys()["kidney_left"]})
    left = prepare_cases(open_cases(tmp_path / "set"), spec, tmp_path / "cache")
    with pytest.raises(ConfigError, match="no case shows the right of the kidney"):
        patches(left, spec=spec, synthetic=LesionSpec(organ="kidney", site="right"))
    with pytest.raises(IndexError):
        patches(cache)[-1]
