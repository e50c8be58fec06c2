"""Runs over many cases: the same files in any order and after any kill, none half-written."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cli.hosts import hashes, start, tree, write_case, write_cases
from scalemai.cases import open_cases
from scalemai.engine import Outcome, read_ledger
from scalemai.errors import ConfigError, LockedError
from scalemai.synthesis.batch import open_ledger, synthesize_cases
from scalemai.synthesis.files import Request
from scalemai.synthesis.spec import LesionSpec

SPEC = LesionSpec(organ="liver", diameter_mm=(8.0, 20.0))
REQUEST = Request(specs=(SPEC,), count=(1, 3), seed=11)
COUNT = 8
PATIENCE_S = 60.0  # of a busy machine; nothing is measured


def run(
    root: Path, out: Path, request: Request = REQUEST, *, workers: int = 1, backwards: bool = False
) -> list[str]:
    """Synthesize a data set; return the keys in the order in which they ended."""
    cases = list(open_cases(root))
    with open_ledger(out, request) as ledger:
        hosts = reversed(cases) if backwards else cases
        with synthesize_cases(hosts, out, request, ledger=ledger, workers=workers) as outcomes:
            ended = list(outcomes)
    assert all(outcome.status == "done" for outcome in ended), ended
    return [outcome.key for outcome in ended]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cases(tmp_path_factory.mktemp("hosts") / "data", COUNT)


@pytest.fixture(scope="module")
def undisturbed(root: Path) -> dict[str, str]:
    """Hashes of all files of a run that nothing disturbs."""
    out = root.with_name("undisturbed")
    run(root, out)
    return hashes(out)


# Sidecars name their host by a relative path, so runs that are compared lie side by side.
@pytest.fixture
def out(root: Path, request: pytest.FixtureRequest) -> Path:
    return root.with_name("".join(c if c.isalnum() else "_" for c in request.node.name))


def test_the_files_depend_on_nothing_but_the_request(
    root: Path, out: Path, undisturbed: dict[str, str]
) -> None:
    order = run(root, out, backwards=True)
    assert order == sorted(order, reverse=True)
    assert hashes(out) == undisturbed


def test_four_workers_write_the_same_files_as_one(
    root: Path, out: Path, undisturbed: dict[str, str]
) -> None:
    run(root, out, workers=4)
    assert hashes(out) == undisturbed


def test_a_case_is_the_same_whatever_others_there_are(
    root: Path, out: Path, undisturbed: dict[str, str]
) -> None:
    (case,) = (case for case in open_cases(root) if case.id == "case_03")
    with open_ledger(out, REQUEST) as ledger:
        list(synthesize_cases([case], out, REQUEST, ledger=ledger))
    alone = {name: digest for name, digest in undisturbed.items() if name.startswith("case_03/")}
    assert hashes(out) == alone


def test_another_seed_gives_other_lesions_in_every_case(
    root: Path, out: Path, undisturbed: dict[str, str]
) -> None:
    run(root, out, Request(specs=(SPEC,), count=(1, 3), seed=12))
    again = hashes(out)
    assert again.keys() == undisturbed.keys()
    for name, digest in undisturbed.items():
        # The organ stays as it was where no lesion grew out of it.
        assert again[name] != digest or name.endswith("segmentations/liver.nii.gz")


def test_cases_that_are_done_are_not_done_again(root: Path, out: Path) -> None:
    assert len(run(root, out)) == COUNT
    assert run(root, out) == []
    (out / "case_02" / "synthesis.json").unlink()
    for name in tree(out / "case_02")[::-1]:
        path = out / "case_02" / name
        path.rmdir() if path.is_dir() else path.unlink()
    assert run(root, out) == ["case_02"]  # the ledger says done, but the files are gone
    assert [record.key for record in read_ledger(out / "ledger.jsonl")].count("case_02") == 2


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (Request(specs=(SPEC,), count=(1, 3), seed=12), "seed was 11 and is 12"),
        (Request(specs=(SPEC,), count=(1, 4), seed=11), "count was 1-3 and is 1-4"),
        (
            Request(specs=(LesionSpec(organ="liver", diameter_mm=(8, 21)),), count=(1, 3), seed=11),
            "diameter_mm was 8.0, 20.0 and is 8, 21",
        ),
        (
            Request(
                specs=(SPEC, LesionSpec(organ="kidney", diameter_mm=(8.0, 20.0))),
                count=(1, 3),
                seed=11,
            ),
            r"organ was liver and is liver \| kidney",
        ),
    ],
)
@pytest.mark.parametrize("shard", [(0, 1), (0, 2)])
def test_another_request_into_the_same_folder_is_refused(
    root: Path, out: Path, other: Request, named: str, shard: tuple[int, int]
) -> None:
    with open_ledger(out, REQUEST) as ledger:
        ledger.append(Outcome("case_00", "done", 1.0, 1))
    with pytest.raises(ConfigError, match=f"{named}.*; choose another --out"):
        open_ledger(out, other, shard=shard)
    open_ledger(out, REQUEST, shard=shard).close()


def test_a_request_that_did_nothing_may_be_mended(out: Path) -> None:
    with open_ledger(out, REQUEST) as ledger:
        ledger.append(Outcome("case_00", "failed", 1.0, 1, error="choose a series"))
    open_ledger(out, replace(REQUEST, seed=12)).close()
    assert read_ledger(out / "ledger.jsonl") == []


def test_two_runs_in_one_folder_are_refused(out: Path) -> None:
    with open_ledger(out, REQUEST), pytest.raises(LockedError, match="another run is writing"):
        open_ledger(out, REQUEST)


def test_a_data_set_is_not_written_over_itself(tmp_path: Path) -> None:
    root = write_cases(tmp_path / "data", 2)
    before = hashes(root)
    with (
        open_ledger(root, REQUEST) as ledger,
        pytest.raises(ConfigError, match="would replace its host"),
    ):
        synthesize_cases(open_cases(root), root, REQUEST, ledger=ledger)
    assert {name: d for name, d in hashes(root).items() if name in before} == before


# --- kills ---------------------------------------------------------------------------------


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Poll for a condition of a running process, or for its end."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "the run came no farther"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.001)


@pytest.fixture
def launch(root: Path, out: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts the same run as a process of two workers; ends what is left of it."""
    started: list[subprocess.Popen[str]] = []

    def start_run() -> subprocess.Popen[str]:
        words = ("--organ", "liver", "--diameter", "8-20", "--count", "1-3", "--seed", 11)
        process = start("synthesize", root, "--out", out, *words, "--workers", 2)
        started.append(process)
        return process

    yield start_run
    for process in started:
        process.kill()
        process.communicate()


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def whole(out: Path) -> list[str]:
    """Cases that have their final name."""
    return sorted(p.name for p in out.glob("case_*"))


def working(out: Path) -> Callable[[], bool]:
    return lambda: any(out.glob(".case_*.partial/ct.nii.gz")) or any(out.glob(".case_*.partial"))


MOMENTS: dict[str, Callable[[Path], Callable[[], bool]]] = {
    "the ledger opens": lambda out: lambda: (out / "ledger.jsonl").exists(),
    "a case is half-written": working,
    "the first case is whole": lambda out: lambda: len(whole(out)) >= 1,
    "the third case is whole": lambda out: lambda: len(whole(out)) >= 3,
    "a second half-written one": lambda out: lambda: len(whole(out)) >= 2 and working(out)(),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_leaves_whole_cases_and_resumes_to_the_same_files(
    root: Path,
    out: Path,
    undisturbed: dict[str, str],
    launch: Callable[[], subprocess.Popen[str]],
    moment: str,
) -> None:
    process = launch()
    until(MOMENTS[moment](out), process)
    workers = descendants(process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL  # it was at work
    _, left = psutil.wait_procs(workers, timeout=PATIENCE_S)
    assert left == []  # no worker writes on behind the back of the run that resumes
    for case in whole(out):
        files = {f"{case}/{name}": digest for name, digest in hashes(out / case).items()}
        assert files == {n: d for n, d in undisturbed.items() if n.startswith(f"{case}/")}
    done = [record.key for record in read_ledger(out / "ledger.jsonl")]
    assert set(done) <= set(whole(out))  # never done and not there
    run(root, out)
    assert hashes(out) == undisturbed
    assert not list(out.glob(".*"))


def test_an_interrupted_run_says_so_and_resumes(
    root: Path,
    out: Path,
    undisturbed: dict[str, str],
    launch: Callable[[], subprocess.Popen[str]],
) -> None:
    process = launch()
    until(lambda: len(whole(out)) >= 1, process)
    process.send_signal(signal.SIGINT)
    printed, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == (
        "scalemai: interrupted; the same command goes on where it stopped"
    )
    assert "Traceback" not in err + printed
    assert not list(out.glob(".*"))
    process = launch()
    printed, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert hashes(out) == undisturbed


@pytest.mark.slow
def test_a_run_killed_again_and_again_comes_to_its_end(tmp_path: Path) -> None:
    root, out, calm = write_cases(tmp_path / "data", 24), tmp_path / "out", tmp_path / "calm"
    run(root, calm)
    words = ("--organ", "liver", "--diameter", "8-20", "--count", "1-3", "--seed", 11)
    for target in range(2, 24, 3):
        process = start("synthesize", root, "--out", out, *words, "--workers", 2)
        until(lambda target=target: len(whole(out)) >= target, process)  # type: ignore[misc]  # bound now
        process.kill()
        process.communicate()
        for case in whole(out):
            assert json.loads((out / case / "synthesis.json").read_text())["case"] == case
    run(root, out)
    assert hashes(out) == hashes(calm)


# --- one bad case --------------------------------------------------------------------------


def test_a_bad_case_costs_itself_alone_and_is_tried_again(tmp_path: Path) -> None:
    root, out = write_cases(tmp_path / "data", 3), tmp_path / "out"
    ct = root / "case_01" / "ct.nii.gz"
    ct.write_bytes(ct.read_bytes()[:1000])
    with open_ledger(out, REQUEST) as ledger:
        ended = list(synthesize_cases(open_cases(root), out, REQUEST, ledger=ledger))
    assert {o.key: o.status for o in ended} == {
        "case_00": "done",
        "case_01": "failed",
        "case_02": "done",
    }
    assert ended[1].error is not None
    assert ended[1].error.startswith(f"{ct}: is truncated")
    write_case(root / "case_01", seed=1)
    assert run(root, out) == ["case_01"]
