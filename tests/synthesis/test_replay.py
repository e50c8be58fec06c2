"""Replay: the same files from a sidecar and its host, or one line that says why not."""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.hosts import body, hashes, inside, tree, write, write_case
from scalemai.case import Case
from scalemai.cases import open_cases
from scalemai.errors import IntensityError, ScaleMAIError, UnreadableFileError
from scalemai.synthesis.files import Request, replay, synthesize_case
from scalemai.synthesis.sidecar import read_sidecar
from scalemai.synthesis.spec import LesionSpec

LIVER = Request(specs=(LesionSpec(organ="liver", diameter_mm=(10, 24)),), count=(2, 2), seed=3)
SIDECAR = "synthesis.json"


def only(source: Path, **how: Any) -> Case:
    """The one case of a data set."""
    (case,) = open_cases(source, **how)
    return case


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return write_case(tmp_path / "data" / "p1")


@pytest.fixture
def made(host: Path, tmp_path: Path) -> Path:
    return synthesize_case(only(host), tmp_path / "out", LIVER)


def test_the_same_request_gives_the_same_bytes(host: Path, made: Path, tmp_path: Path) -> None:
    synthesize_case(only(host), tmp_path / "again", LIVER)
    assert hashes(tmp_path / "again") == hashes(made.parent)
    other = Request(specs=LIVER.specs, count=LIVER.count, seed=4)
    synthesize_case(only(host), tmp_path / "other", other)
    assert hashes(tmp_path / "other")["p1/ct.nii.gz"] != hashes(made)["ct.nii.gz"]


def test_replay_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    assert replay(made / SIDECAR, tmp_path / "again") == tmp_path / "again" / "p1"
    assert hashes(tmp_path / "again") == hashes(made.parent)
    replay(made / SIDECAR, made.parent)  # over itself
    assert hashes(tmp_path / "again") == hashes(made.parent)


def test_a_replayed_case_can_be_replayed_from_where_it_lies(made: Path, tmp_path: Path) -> None:
    deeper = replay(made / SIDECAR, tmp_path / "a" / "b" / "c")
    again = replay(deeper / SIDECAR, tmp_path / "again")
    assert hashes(again) == hashes(made)


def test_replay_works_after_the_whole_tree_was_moved(made: Path, tmp_path: Path) -> None:
    before = hashes(made)
    moved = tmp_path / "elsewhere" / "deep"
    moved.mkdir(parents=True)
    for name in ("data", "out"):
        shutil.move(tmp_path / name, moved / name)
    again = replay(moved / "out" / "p1" / SIDECAR, tmp_path / "again")
    after = hashes(again)
    assert before.pop(SIDECAR) != after.pop(SIDECAR)  # its host lies elsewhere from here
    assert after == before
    assert read_sidecar(again / SIDECAR).case.ct == moved / "data" / "p1" / "ct.nii.gz"


def test_replay_works_through_links(host: Path, tmp_path: Path) -> None:
    (tmp_path / "deep" / "disk").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "deep" / "disk")
    synthesize_case(only(host), tmp_path / "out", LIVER)
    for way in (tmp_path / "out", tmp_path / "deep" / "disk"):
        replay(way / "p1" / SIDECAR, tmp_path / "again" / way.name)


def test_a_host_that_changed_is_noticed(host: Path, made: Path, tmp_path: Path) -> None:
    write(host / "ct.nii.gz", body(seed=1)[0])
    with pytest.raises(
        IntensityError, match=r"ct.nii.gz: the voxels of the host have changed; give"
    ):
        replay(made / SIDECAR, tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("semi_axes", [(28, 28, 33), (12, 12, 12), (4, 4, 5)])
def test_a_mask_that_changed_is_noticed(
    host: Path, made: Path, tmp_path: Path, semi_axes: tuple[float, float, float]
) -> None:
    write(host / "segmentations" / "liver.nii.gz", inside((45, 0, 5), semi_axes).astype("u1"))
    with pytest.raises(ScaleMAIError) as caught:
        replay(made / SIDECAR, tmp_path / "again")
    assert "; " in str(caught.value)
    assert not (tmp_path / "again").exists()


def test_a_host_that_is_gone_is_named(host: Path, made: Path, tmp_path: Path) -> None:
    (host / "ct.nii.gz").unlink()
    with pytest.raises(UnreadableFileError, match=f"{host / 'ct.nii.gz'}"):
        replay(made / SIDECAR, tmp_path / "again")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "cannot be read"),
        ("[1, 2", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("\udcff", "cannot be read"),
        ("[]", "is not of the format"),
        ('{"format": "scalemai-synthesis/2"}', "is not of the format"),
        ('{"format": "scalemai-synthesis/1"}', "misses the field 'host'"),
        ('{"format": "scalemai-synthesis/1", "host": 3}', "is garbled"),
    ],
)
def test_what_is_no_sidecar_is_refused(tmp_path: Path, text: str, wrong: str) -> None:
    path = tmp_path / SIDECAR
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(ScaleMAIError, match=wrong) as caught:
        read_sidecar(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "give the synthesis.json of a synthetic case" in str(caught.value)


def leaves(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in nested dicts and lists."""
    if way:
        yield way
    listed = enumerate(value) if isinstance(value, list) else ()
    for key, inner in value.items() if isinstance(value, dict) else listed:
        yield from leaves(inner, (*way, key))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sidecar as it was written."""
    root = tmp_path_factory.mktemp("sound")
    case = only(write_case(root / "data" / "p1"))
    return synthesize_case(case, root / "out", LIVER) / SIDECAR


ODD = ("drop", None, True, -1, 0, 7, 1e300, math.nan, math.inf, "", "x", "../x", "\0", [], {})


def garble(content: Any, way: tuple[Any, ...], value: Any) -> Any:
    """A copy in which one value is another, or dropped."""
    garbled = copy.deepcopy(content)
    inner = garbled
    for key in way[:-1]:
        inner = inner[key]
    if value == "drop":
        del inner[way[-1]]
    else:
        inner[way[-1]] = value
    return garbled


def test_reading_a_garbled_sidecar_never_fails_in_another_way(sound: Path) -> None:
    content = json.loads(sound.read_text())
    path = sound.with_name("garbled.json")
    refused = 0
    for way in leaves(content):
        for value in ODD:
            path.write_text(json.dumps(garble(content, way, value)))
            try:
                read_sidecar(path)
            except ScaleMAIError as error:
                refused += str(error).startswith(f"{path}: ")
    assert refused > 500


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_garbled_sidecar_is_one_line_or_harmless(sound: Path, data: st.DataObject) -> None:
    content = json.loads(sound.read_text())
    way = data.draw(st.sampled_from(list(leaves(content))))
    value = data.draw(st.sampled_from(ODD))
    path = sound.with_name("garbled.json")
    path.write_text(json.dumps(garble(content, way, value)))
    out = sound.parents[2] / "again"
    shutil.rmtree(out, ignore_errors=True)
    refused = None
    try:
        again = replay(path, out)
    except ScaleMAIError as error:
        refused = str(error)
    if refused is None:  # what was garbled has no part in painting
        assert hashes(again)["ct.nii.gz"] == hashes(sound.parent)["ct.nii.gz"]
    else:
        assert len(refused.splitlines()) == 1
        assert not out.exists() or tree(out) == []
