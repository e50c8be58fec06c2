"""The ledger survives whatever happens to its file, and refuses what is not its run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import engine_cases
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalemai import engine
from scalemai.engine import Ledger, Outcome, read_ledger
from scalemai.errors import ConfigError, LockedError, OutputError, UnreadableFileError

RECORDS = [
    Outcome("case_001", "done", 1.25, 1),
    Outcome("Fall Ä\n2", "failed", 0.5, 2, error="Größe: 0 mm", error_kind="GeometryError"),
    Outcome("case_003", "crashed", 3.0, 2, error="ended with SIGKILL", error_kind="SIGKILL"),
    Outcome("Fall Ä\n2", "done", 2.0, 1),
    Outcome("name\udcff", "done", 2.0, 1),
]


def written(path: Path, fingerprint: str = "f") -> bytes:
    with Ledger(path, fingerprint=fingerprint) as ledger:
        for record in RECORDS:
            ledger.append(record)
    return path.read_bytes()


def test_outcomes_are_read_back_as_they_were_and_the_last_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ledger.jsonl"
    written(path)
    assert read_ledger(path) == RECORDS
    with Ledger(path, fingerprint="f") as ledger:
        assert ledger.finished() == {"case_001", "Fall Ä\n2", "name\udcff"}


def test_records_can_be_read_while_a_run_is_writing(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append(RECORDS[0])
        assert read_ledger(ledger.path) == RECORDS[:1]


@settings(deadline=None)  # a shared disk may take its time to sync
@given(data=st.data())
def test_a_ledger_cut_at_any_byte_loses_the_cut_line_only(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.jsonl"
        content = written(path)
        cut = data.draw(st.integers(0, len(content)))
        path.write_bytes(content[:cut])
        whole = max(0, content[:cut].count(b"\n") - 1)

        for extra in ("after_1", "after_2"):
            with Ledger(path, fingerprint="f") as ledger:
                ledger.append(Outcome(extra, "done", 0.0, 1))
        keys = [record.key for record in read_ledger(path)]
        assert keys == [record.key for record in RECORDS[:whole]] + ["after_1", "after_2"]


@settings(deadline=None)  # a shared disk may take its time to sync
@given(junk=st.binary(min_size=1, max_size=200))
def test_junk_after_the_last_line_never_spoils_a_record(junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.jsonl"
        content = written(path)
        path.write_bytes(content + junk)
        with Ledger(path, fingerprint="f") as ledger:
            ledger.append(Outcome("after", "done", 0.0, 1))
        records = read_ledger(path)
        assert records[: len(RECORDS)] == RECORDS
        assert records[-1].key == "after"


def test_another_request_is_refused_and_its_differences_are_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, fingerprint={"seed": "7", "version": "1.0", "config": "ab12"}) as ledger:
        ledger.append(RECORDS[0])
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"holds another run: seed was 7 and is 8;") as refusal:
        Ledger(path, fingerprint={"seed": "8", "version": "1.0", "config": "ab12"})
    assert str(tmp_path) in str(refusal.value)
    with pytest.raises(ConfigError, match=r"fingerprint was \(absent\) and is x"):
        Ledger(path, fingerprint="x")
    assert path.read_bytes() == before


def test_a_ledger_in_which_nothing_is_done_binds_nobody(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, fingerprint="series missing") as ledger:
        ledger.append(Outcome("a", "failed", 0.1, 1, error="choose a series"))
    with Ledger(path, fingerprint="series chosen") as ledger:
        assert ledger.finished() == set()
        ledger.append(Outcome("a", "done", 0.1, 1))
    with pytest.raises(ConfigError, match="was series chosen and is series missing"):
        Ledger(path, fingerprint="series missing")


def test_a_refused_ledger_does_not_stay_locked(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    written(path)
    with pytest.raises(ConfigError):
        Ledger(path, fingerprint="other")
    with Ledger(path, fingerprint="f") as ledger:
        assert ledger.finished()


@pytest.mark.parametrize("content", [b"case,diameter_mm\n", b'{"a": 1}\n{"b": 2}\n', b"notes"])
def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cases.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cases\.csv: is not a ledger"):
        Ledger(path)
    assert path.read_bytes() == content


def test_two_ledgers_on_one_file_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path), pytest.raises(LockedError, match="choose another folder") as refusal:
        Ledger(path)
    assert refusal.value.where == str(tmp_path)
    with Ledger(tmp_path / "ledger-07.jsonl"), Ledger(path) as ledger:
        ledger.close()
        ledger.close()


def test_an_impossible_place_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"ledger\.jsonl: cannot be written: File exists"):
        Ledger(tmp_path / "file" / "ledger.jsonl")
    with pytest.raises(UnreadableFileError, match="No such file"):
        read_ledger(tmp_path / "absent.jsonl")


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits")
def test_a_full_disk_stops_the_run_and_leaves_whole_lines(tmp_path: Path) -> None:
    script = (
        "import resource, sys\n"
        "from scalemai import engine\n"
        "ledger = engine.Ledger(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "for _ in engine.map(str.upper, map(str, range(1000)), ledger=ledger): pass\n"
    )
    path = tmp_path / "ledger.jsonl"
    ended = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    assert "OutputError" in ended.stderr.splitlines()[-1]
    assert "finished cases are kept" in ended.stderr.splitlines()[-1]
    content = path.read_bytes()
    assert content.endswith(b"}\n")
    assert 900 < len(content) <= 1000
    assert len(read_ledger(path)) == content.count(b"\n") - 1 > 5


def test_a_second_run_does_what_is_not_done_and_tries_failures_again(tmp_path: Path) -> None:
    items = ["good-1", "bug-1", "crash_once-1", "good-2"]
    for workers, expected in [(2, set(items)), (1, {"bug-1"}), (2, {"bug-1", "good-3"})]:
        if "good-3" in expected:
            items.append("good-3")
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            run = engine.map(
                partial(engine_cases.trouble, tmp_path), items, workers=workers, ledger=ledger
            )
            assert {outcome.key for outcome in run} == expected
            assert (run.total, run.resumed) == (len(items), len(items) - len(expected))
            assert ledger.finished() == set(items) - {"bug-1"}
    assert engine_cases.executions(tmp_path, "good-1") == 1
    statuses = [record.status for record in read_ledger(tmp_path / "ledger.jsonl")]
    assert sorted(statuses) == ["done"] * 4 + ["failed"] * 3


def test_done_means_that_the_ledger_and_the_callers_check_agree(tmp_path: Path) -> None:
    kept = {"a"}
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        list(engine.map(str.upper, ["a", "b"], ledger=ledger))
        run = engine.map(str.upper, ["a", "b", "c"], ledger=ledger, is_complete=kept.__contains__)
        assert {outcome.key for outcome in run} == {"b", "c"}
