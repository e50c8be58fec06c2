"""The key opens what it was made for, and nothing that was changed since."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scalemai.annotation.turing.building import check_places
from scalemai.annotation.turing.sealing import open_key
from scalemai.annotation.turing.studies import open_study
from scalemai.errors import ConfigError, ScaleMAIError, UnreadableFileError

from .made import make_study


def change(path: Path, how: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file."""
    plain = json.loads(path.read_text())
    how(plain)
    path.write_text(json.dumps(plain))


def test_the_key_tells_every_item_and_is_for_its_owner_only(tmp_path: Path) -> None:
    built, key = make_study(tmp_path)
    sealed = open_key(key, built.study)
    assert sorted(one.truth for one in sealed.values()) == ["real"] * 6 + ["synthetic"] * 6
    assert {one.pair for one in sealed.values()} == set(range(6))
    assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda k: k["items"][0].update(truth="real", case_id="x"), None),
        (lambda k: [one.update(truth="real") for one in k["items"]], "commitment"),
        (lambda k: k["items"][0].update(salt="0" * 64), "commitment"),
        (lambda k: k["items"].pop(), "items of the study"),
        (lambda k: k.update(study="0" * 16), "another study"),
        (lambda k: k.update(study_sha256="0" * 64), r"study\.json"),
        (lambda k: k.pop("items"), "no key"),
        (lambda k: k.update(format="x"), "no key"),
        (lambda k: k["items"][0].update(more=1), "no key"),
    ],
)
def test_a_key_that_was_changed_is_refused(
    tmp_path: Path, how: Callable[[dict[str, Any]], object], said: str | None
) -> None:
    built, key = make_study(tmp_path)
    was = json.loads(key.read_text())["items"][0]["truth"]
    change(key, how)
    if said is None and was == "real":  # the truth is as it was, and so the commitment holds
        open_key(key, built.study)
        return
    with pytest.raises(ScaleMAIError, match=said or "commitment"):
        open_key(key, built.study)


def test_truths_that_are_swapped_in_the_key_are_noticed(tmp_path: Path) -> None:
    built, key = make_study(tmp_path)
    other = {"real": "synthetic", "synthetic": "real"}
    change(key, lambda k: [one.update(truth=other[one["truth"]]) for one in k["items"]])
    with pytest.raises(ConfigError, match="commitment"):
        open_key(key, built.study)


def test_items_and_descriptions_that_were_changed_are_noticed(tmp_path: Path) -> None:
    built, key = make_study(tmp_path)
    study = built.study
    path = study.folder / "items" / f"{sorted(study.commitments)[3]}.item"
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"commitment of {path.stem}"):
        open_key(key, study)
    path.write_bytes(content[:-1])
    with pytest.raises(UnreadableFileError, match="instead of"):
        open_key(key, study)
    change(study.folder / "study.json", lambda plain: plain["design"].update(seed=5))
    with pytest.raises(ConfigError, match=r"study\.json"):
        open_key(key, open_study(study.folder))


def test_places_that_would_be_lost_or_tell_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="within the study"):
        check_places(tmp_path / "study", tmp_path / "study" / "key.json")
    _, key = make_study(tmp_path)
    with pytest.raises(ConfigError, match="something already"):
        check_places(tmp_path / "study", tmp_path / "other.json")
    with pytest.raises(ConfigError, match="can never be analysed"):
        check_places(tmp_path / "new", key)


def test_a_folder_that_is_no_study_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="turing build"):
        open_study(tmp_path)
    (tmp_path / "study.json").write_text('{"format": "scalemai-turing/9"}')
    with pytest.raises(ConfigError, match="turing/9"):
        open_study(tmp_path)
    (tmp_path / "study.json").write_text("[1]")
    with pytest.raises(UnreadableFileError, match="no description"):
        open_study(tmp_path)
