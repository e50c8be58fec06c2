"""What is planted to measure readers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

pytest.importorskip("sqlalchemy")

from sqlalchemy import select
from typer.testing import CliRunner

from scalemai.annotation.creating import fill, import_cases, open_import
from scalemai.annotation.database.schema import findings
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.evidence.false_places import CLEAR_MM
from scalemai.annotation.evidence.planting import MINIMUM_DISTANCE, places_of_repeats
from scalemai.annotation.protocol import Protocol
from scalemai.annotation.reviews import Review
from scalemai.annotation.store.importing import RECORD_FILE, read_record
from scalemai.annotation.store.layout import CT_FILE
from scalemai.annotation.store.regions import open_ct
from scalemai.annotation.words import Origin
from scalemai.cases import open_cases
from scalemai.cli.app import app
from scalemai.measure import bounding_box
from scalemai.synthesis.recipe import Recipe

DECOYS = Protocol(decoy_lesion_share=0.5, decoy_false_share=0.5, repeat_share=0.2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two coarse phantoms with lesions in liver and kidneys."""
    folder = tmp_path_factory.mktemp("phantoms")
    command = ["phantom", "--out", str(folder), "--n", "2", "--small", "--workers", "1"]
    command += [
        "--lesion-count",
        "3",
        "--lesions",
        "liver,kidney_left",
        "--lesion-diameter",
        "12-24mm",
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return folder


def make(dataset: Path, out: Path, protocol: Protocol) -> Review:
    """A review of a data set."""
    cases = list(open_cases(dataset))
    with open_import(out, dataset, None, protocol) as ledger:
        run = import_cases(cases, out, ledger=ledger, seed=protocol.seed)
        with run:
            assert all(outcome.status == "done" for outcome in run)
        return fill(cases, out, protocol, dataset=dataset)


@pytest.fixture(scope="module")
def plain(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Review:
    return make(dataset, tmp_path_factory.mktemp("plain"), Protocol())


@pytest.fixture(scope="module")
def planted(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Review:
    return make(dataset, tmp_path_factory.mktemp("planted"), DECOYS)


def rows(review: Review) -> list[dict[str, object]]:
    engine = review.open()
    with engine.connect() as connection:
        query = select(findings).order_by(findings.c.rank)
        found = [dict(row._mapping) for row in connection.execute(query)]
    engine.dispose()
    return found


def stores(review: Review) -> list[Path]:
    return sorted((review.folder / "store").iterdir())


def test_the_shares_of_the_protocol_are_planted(plain: Review, planted: Review) -> None:
    number = len(rows(plain))
    origins = [row["origin"] for row in rows(planted)]
    wanted = int(0.5 * number + 0.5)
    assert origins.count(Origin.DECOY_FALSE) == wanted
    assert 0 < origins.count(Origin.DECOY_LESION) <= wanted


def test_a_synthetic_lesion_changes_its_surroundings_and_no_other_voxel(
    plain: Review, planted: Review
) -> None:
    for before, after in zip(stores(plain), stores(planted), strict=True):
        stored = read_record(after)[1]
        lesions = Runs.none()
        for row in rows(planted):
            if row["case_key"] == after.name and row["origin"] == Origin.DECOY_LESION:
                lesions = lesions | Runs.unpack(row["runs"])  # type: ignore[arg-type]
        old, new = open_ct(before, stored), open_ct(after, stored)
        mask = lesions.mask(stored.shape)
        changed = np.asarray(old != new)
        assert changed[mask].mean() > 0.5
        # The scanner's blur takes a border along; beyond it all is as it was.
        far = distance_transform_edt(~mask, sampling=stored.grid.spacing_mm) > 15.0
        assert not (changed & far).any()


def test_what_was_planted_is_on_record_with_its_recipe(plain: Review, planted: Review) -> None:
    recorded = 0
    for before, after in zip(stores(plain), stores(planted), strict=True):
        record = json.loads((after / RECORD_FILE).read_text())
        content = (after / CT_FILE).read_bytes()
        assert record["stored"]["hashes"][CT_FILE] == hashlib.sha256(content).hexdigest()
        if "planted" not in record:
            assert content == (before / CT_FILE).read_bytes()
            continue
        old = hashlib.sha256((before / CT_FILE).read_bytes()).hexdigest()
        assert record["planted"]["ct_before_sha256"] == old
        for one in record["planted"]["lesions"]:
            assert f"{Recipe.from_json(one['recipe']).lesion}" == one["structure"]
            recorded += 1
    assert recorded


def test_planted_false_findings_keep_away_from_all_else(planted: Review) -> None:
    everything = rows(planted)
    for row in everything:
        if row["origin"] != Origin.DECOY_FALSE:
            continue
        stored = read_record(planted.store(str(row["case_key"])))[1]
        mine = Runs.unpack(row["runs"]).mask(stored.shape)  # type: ignore[arg-type]
        assert bounding_box(mine) is not None
        others = np.zeros(stored.shape, bool)
        for other in everything:
            if other["case_key"] == row["case_key"] and other is not row:
                others |= Runs.unpack(other["runs"]).mask(stored.shape)  # type: ignore[arg-type]
        if others.any():
            away = distance_transform_edt(~others, sampling=stored.grid.spacing_mm)[mine]
            # The part outside of the organ is not measured, nor taken to be normal tissue.
            assert np.mean(away > CLEAR_MM) >= 0.8


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of all files of a folder."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_source_stays_as_it_was(dataset: Path, tmp_path: Path) -> None:
    before = digests(dataset)
    assert any(name.endswith("ct.nii.gz") for name in before)
    found = rows(make(dataset, tmp_path / "again", DECOYS))
    assert any(row["origin"] == Origin.DECOY_LESION for row in found)
    assert digests(dataset) == before


def test_the_same_seed_plants_the_same(dataset: Path, planted: Review, tmp_path: Path) -> None:
    again = make(dataset, tmp_path / "again", DECOYS)
    assert rows(again) == rows(planted)
    for one, two in zip(stores(again), stores(planted), strict=True):
        assert (one / CT_FILE).read_bytes() == (two / CT_FILE).read_bytes()


def test_a_run_that_was_killed_after_planting_plants_nothing_twice(
    dataset: Path, planted: Review, tmp_path: Path
) -> None:
    review = make(dataset, tmp_path / "again", DECOYS)
    (review.folder / "review.toml").unlink()
    review.database_file.unlink()
    again = make(dataset, tmp_path / "again", DECOYS)
    assert rows(again) == rows(planted)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 80), st.floats(0, 1), st.integers(0, 5))
def test_a_repeat_comes_at_least_ten_reads_after_its_original(
    length: int, share: float, seed: int
) -> None:
    found = places_of_repeats(length, range(length), Protocol(repeat_share=share, seed=seed))
    assert all(place + MINIMUM_DISTANCE <= later < length for place, later in found.items())
    if share and length > 3 * MINIMUM_DISTANCE:
        assert found


def test_repeats_stand_in_the_queue_where_they_may(dataset: Path, tmp_path: Path) -> None:
    protocol = Protocol(decoy_false_share=1.0, repeat_share=1.0)
    found = rows(make(dataset, tmp_path / "repeats", protocol))
    assert sorted(row["rank"] for row in found) == list(range(len(found)))  # type: ignore[type-var]
    rank = {row["finding_id"]: row["rank"] for row in found}
    repeats = [row for row in found if row["repeats"]]
    assert repeats
    for row in repeats:
        assert row["rank"] - rank[row["repeats"]] > MINIMUM_DISTANCE  # type: ignore[operator]
