"""Cases are made ready once, completely, and a bad one costs itself alone."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scalemai.cases import open_cases
from scalemai.detector.preprocessing import prepare
from scalemai.detector.spec import DetectorSpec, Preprocessing
from scalemai.errors import ConfigError, LockedError, UnknownNameError, UnreadableFileError
from scalemai.io.nifti import write_labels
from scalemai.training.cache import (
    cache_folder,
    estimate_bytes,
    open_cache_ledger,
    prepare_cases,
    read_cache,
    start_preparing,
)
from scalemai.training.classes import IGNORE

from .hosts import SPEC, ball, grid, kidneys, one_case, pancreas, write_patient, write_set

Usage = namedtuple("Usage", "total used free")


def stamps(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in folder.rglob("*.npy")}


def test_a_prepared_case_is_what_inference_sees(tmp_path: Path) -> None:
    (case,) = write_set(tmp_path / "set", normal=0, real=1)
    ready = prepare_cases([case], SPEC, tmp_path / "cache")["real_0"]
    volume = case.volume()
    mask = case.mask("pancreas", on=volume.grid)
    drawn = case.mask("pancreatic_lesion", on=volume.grid).array
    same = prepare(volume, mask, SPEC.preprocessing, {1: drawn})
    made = ready.prepared
    assert made.grid.same_as(same.grid)
    assert np.abs(made.hu - same.hu).max() <= 0.5  # whole HU
    assert np.array_equal(made.organ, same.organ)
    assert np.array_equal(made.labels, same.labels)
    assert made.region == same.region
    assert ready.origin == "real"
    assert ready.annotated


def test_real_lesions_are_known_by_size_place_and_part(tmp_path: Path) -> None:
    cases = write_set(tmp_path / "set", normal=0, real=1)
    ready = prepare_cases(cases, SPEC, tmp_path / "cache")["real_0"]
    sizes = [lesion.diameter_mm for lesion in ready.lesions]
    assert sizes == pytest.approx([25.0, 15.0, 9.0], abs=2.5)
    assert [ready.parts[lesion.part].name for lesion in ready.lesions] == [
        "pancreas_head",
        "pancreas_body",
        "pancreas_tail",
    ]
    whole = ready.prepared
    assert whole.labels is not None
    for lesion, centre in zip(ready.lesions, [(30, 4, -8), (0, 6, 0), (-40, 2, 10)], strict=True):
        assert whole.labels[lesion.centre] == 1
        assert np.linalg.norm(ready.grid.to_world(lesion.centre) - centre) < 4.0


def test_every_voxel_of_the_organ_has_a_part_estimated_where_there_are_no_masks(
    tmp_path: Path,
) -> None:
    masks = pancreas()
    given = write_patient(tmp_path / "set" / "given", masks)
    bare = write_patient(tmp_path / "set" / "bare", {"pancreas": masks["pancreas"]})
    cache = prepare_cases([one_case(given), one_case(bare)], SPEC, tmp_path / "cache")
    for case in cache.cases.values():
        assert [p.name for p in case.parts.values()] == [
            "pancreas_head",
            "pancreas_body",
            "pancreas_tail",
        ]
        organ_voxels = case.prepared.organ.sum()
        assert sum(part.voxels for part in case.parts.values()) == organ_voxels
    i, j, k = (slice(None),) * 3
    one, other = (
        cache[name].part_of[cache[name].read((i, j, k)).tissue] for name in ("given", "bare")
    )
    assert (one == other)[one > 0].mean() > 0.8


def test_sides_are_parts_and_one_side_is_enough(tmp_path: Path) -> None:
    spec = DetectorSpec("kidney", ("kidney_lesion",), SPEC.preprocessing, patch=(32, 32, 32))
    both = kidneys()
    write_patient(tmp_path / "set" / "both", both)
    write_patient(tmp_path / "set" / "one", {"kidney_left": both["kidney_left"]})
    cache = prepare_cases(open_cases(tmp_path / "set"), spec, tmp_path / "cache")
    assert [p.name for p in cache["both"].parts.values()] == ["kidney_left", "kidney_right"]
    assert [p.name for p in cache["one"].parts.values()] == ["kidney_left"]


def test_vessels_are_kept_with_the_part_that_they_run_in(tmp_path: Path) -> None:
    masks = pancreas()
    duct = masks["pancreas"] & ball((0.0, 6.0, 0.0), 8.0)
    beside = ball((0.0, 26.0, 0.0), 10.0)
    whole = {**masks, "pancreatic_duct": duct, "superior_mesenteric_artery": beside}
    case = one_case(write_patient(tmp_path / "set" / "a", whole))
    ready = prepare_cases([case], SPEC, tmp_path / "cache")["a"]
    i, j, k = (slice(None),) * 3
    tissue = ready.read((i, j, k)).tissue
    volume = case.volume()
    for name, mask in (("pancreatic_duct", duct), ("superior_mesenteric_artery", beside)):
        values = ready.class_map.values_of(name)
        same = prepare(volume, case.mask("pancreas"), SPEC.preprocessing, {1: mask}).labels
        assert same is not None
        assert (np.isin(tissue, values) & (same > 0)).sum() > 0.8 * (same > 0).sum()
    organ_values = ready.class_map.values_of("pancreas")
    assert np.array_equal(np.isin(tissue, organ_values), ready.prepared.organ)
    assert {ready.parts[part].name for part, beside in ready.tissues if part} == {
        f"pancreas_{site}" for site in ("head", "body", "tail")
    }


def test_a_case_is_made_once_and_again_only_if_it_changed(tmp_path: Path) -> None:
    cases = write_set(tmp_path / "set", normal=2)
    cache = prepare_cases(cases, SPEC, tmp_path / "cache")
    before = stamps(tmp_path / "cache")
    assert len(before) == 6
    windowed = replace(SPEC, preprocessing=replace(SPEC.preprocessing, window_hu=(-100, 200)))
    seen = []
    prepare_cases(cases, windowed, tmp_path / "cache", on_outcome=seen.append)
    assert stamps(tmp_path / "cache") == before
    assert seen == []
    moved = tmp_path / "elsewhere"
    shutil.move(tmp_path / "set", moved)
    prepare_cases(open_cases(moved), SPEC, tmp_path / "cache")
    assert stamps(tmp_path / "cache") == before
    write_patient(moved / "normal_1", pancreas(), seed=77)
    again = prepare_cases(open_cases(moved), SPEC, tmp_path / "cache")
    changed = {Path(p).parent.name for p, t in stamps(tmp_path / "cache").items() if before[p] != t}
    assert changed == {"normal_1"}
    assert again["normal_1"].sha256 != cache["normal_1"].sha256
    coarse = replace(SPEC, preprocessing=Preprocessing(spacing_mm=(3, 3, 3)))
    assert cache_folder(tmp_path, coarse) != cache_folder(tmp_path, SPEC)


def test_bad_cases_are_listed_and_the_others_are_ready(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_set(root, normal=1)
    write_patient(root / "no_organ", {"liver": pancreas()["pancreas"]})
    write_patient(root / "empty", {"pancreas": np.zeros(grid().shape, np.bool_)})
    write_patient(root / "damaged", pancreas())
    damaged = root / "damaged" / "ct.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    cache = prepare_cases(open_cases(root), SPEC, tmp_path / "cache")
    assert cache.ids == ("normal_0",)
    assert set(cache.failures) == {"no_organ", "empty", "damaged"}
    assert "pancreas" in cache.failures["no_organ"]
    assert "mask is empty" in cache.failures["empty"]
    bad = [case for case in open_cases(root) if case.id == "no_organ"]
    with pytest.raises(ConfigError, match="no case can be trained on; the first: no_organ"):
        prepare_cases(bad, SPEC, tmp_path / "cache")
    with pytest.raises(UnknownNameError, match="did you mean 'normal_0'"):
        cache["normal_9"]


def test_a_label_outside_the_class_map_is_refused(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "set" / "a", {})
    labels = pancreas()["pancreas"].astype(np.uint8)
    labels[ball((0, 6, 0), 10.0)] = 7
    path = tmp_path / "labels.nii.gz"
    write_labels(path, labels, grid())
    cases = open_cases(
        folder / "ct.nii.gz", labels=path, class_map={1: "pancreas", 2: "pancreatic_lesion"}
    )
    with pytest.raises(ConfigError, match="holds label value 7"):
        prepare_cases(cases, SPEC, tmp_path / "cache")


def test_a_run_that_was_ended_goes_on_and_two_processes_give_the_same_bytes(
    tmp_path: Path,
) -> None:
    cases = write_set(tmp_path / "set", normal=3)
    ledger = open_cache_ledger(tmp_path / "one", SPEC)
    with ledger, start_preparing(cases, SPEC, tmp_path / "one", ledger=ledger) as run:
        next(run)
        with pytest.raises(LockedError):
            prepare_cases(cases, SPEC, tmp_path / "one")
    assert len(read_cache(cases, SPEC, tmp_path / "one")) == 1
    done = []
    one = prepare_cases(cases, SPEC, tmp_path / "one", on_outcome=done.append)
    assert len(done) == 2
    two = prepare_cases(cases, SPEC, tmp_path / "two", workers=2)
    assert one.ids == two.ids == ("normal_0", "normal_1", "normal_2")
    assert [c.sha256 for c in one.cases.values()] == [c.sha256 for c in two.cases.values()]


def test_a_full_disk_is_known_before_the_start(tmp_path: Path, monkeypatch) -> None:
    cases = write_set(tmp_path / "set", normal=2)
    about = estimate_bytes(cases, SPEC)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2 * about, about, about))
    with pytest.raises(ConfigError, match="GiB are free; free space"):
        prepare_cases(cases, SPEC, tmp_path / "cache")
    monkeypatch.undo()
    prepare_cases(cases, SPEC, tmp_path / "cache")
    written = sum(p.stat().st_size for p in (tmp_path / "cache").rglob("*.npy"))
    assert about == pytest.approx(written, rel=0.1)


def test_a_damaged_array_is_named(tmp_path: Path) -> None:
    cases = write_set(tmp_path / "set", normal=1)
    case = prepare_cases(cases, SPEC, tmp_path / "cache")["normal_0"]
    os.truncate(case.folder / "hu.npy", 500)
    with pytest.raises(UnreadableFileError, match=r"hu\.npy: cannot be read"):
        _ = case.prepared


def test_lesions_of_unknown_kind_are_no_examples(tmp_path: Path) -> None:
    kinds = replace(SPEC, classes=("pdac", "pnet"))
    cases = write_set(tmp_path / "set", normal=0, real=1)
    case = prepare_cases(cases, kinds, tmp_path / "cache")["real_0"]
    assert case.origin == "normal"
    assert case.lesions == ()
    labels = case.prepared.labels
    assert labels is not None
    assert set(np.unique(labels)) == {0, IGNORE}
