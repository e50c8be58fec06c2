"""One bad case costs itself and nothing else; nothing depends on workers or order."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import types
from collections import Counter
from functools import partial
from pathlib import Path

import engine_cases
import pytest

from scalemai import engine
from scalemai.errors import ConfigError

LINUX = sys.platform == "linux"

QUIET = ["bug", "unreadable", "hiccup", "disk_full", "forbidden", "leaves", "good", "good"]
"""Kinds that do no harm to the process that runs them."""


def names(*kinds: str) -> list[str]:
    return [f"{kind}-{number:03d}" for number, kind in enumerate(kinds)]


@pytest.mark.skipif(not LINUX, reason="memory limits are enforced on Linux only")
def test_each_of_200_cases_gets_the_outcome_it_deserves(tmp_path: Path) -> None:
    bad = ["crash_once"] * 4 + ["hiccup", "crash", "exit_zero", "killed", "hang", "hog", "bug"]
    kinds = ["good"] * 200
    for place, kind in enumerate(bad):
        kinds[7 + 16 * place] = kind
    items = names(*kinds)

    run = engine.map(
        partial(engine_cases.trouble, tmp_path),
        items,
        workers=3,
        timeout_s=2,
        memory_bytes=1 << 30,
    )
    outcomes = {outcome.key: outcome for outcome in run}

    assert sorted(outcomes) == sorted(items)
    by_kind = {key.partition("-")[0]: outcome for key, outcome in outcomes.items()}
    assert {kind: (o.status, o.attempts, o.error_kind) for kind, o in by_kind.items()} == {
        "good": ("done", 1, None),
        "crash_once": ("done", 2, None),
        "hiccup": ("done", 2, None),
        "crash": ("crashed", 2, "exit code 3"),
        "exit_zero": ("crashed", 2, "exit code 0"),
        "killed": ("crashed", 2, "SIGKILL"),
        "hang": ("timed out", 1, "TimeoutError"),
        "hog": ("out of memory", 1, "MemoryError"),
        "bug": ("failed", 1, "ValueError"),
    }
    for key, outcome in outcomes.items():
        assert engine_cases.executions(tmp_path, key) == outcome.attempts
        assert outcome.value == (key.upper() if outcome.status == "done" else None)
        assert (outcome.error is None) == (outcome.status == "done")
    assert Counter(outcome.status for outcome in outcomes.values())["done"] == 194
    assert 2 <= by_kind["hang"].seconds < 4
    assert not multiprocessing.active_children()


def test_outcomes_do_not_depend_on_the_number_of_workers_or_the_order(tmp_path: Path) -> None:
    items = names(*QUIET * 2)
    seen = []
    for number, (workers, order) in enumerate([(1, 1), (1, -1), (2, 1), (3, -1)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = engine.map(partial(engine_cases.trouble, folder), items[::order], workers=workers)
        seen.append({o.key: (o.status, o.value, o.error, o.error_kind, o.attempts) for o in run})
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert len(seen[0]) == len(items)


@pytest.mark.parametrize("workers", [1, 2])
def test_only_what_may_pass_is_tried_again(tmp_path: Path, workers: int) -> None:
    run = engine.map(
        partial(engine_cases.trouble, tmp_path), names(*QUIET), workers=workers, attempts=3
    )
    attempts = {outcome.key.partition("-")[0]: outcome.attempts for outcome in run}
    assert attempts.pop("hiccup") == 2
    assert set(attempts.values()) == {1}


def test_errors_are_one_line_and_keep_the_traceback_apart(tmp_path: Path) -> None:
    run = engine.map(partial(engine_cases.trouble, tmp_path), ["bug-1", "unreadable-1"], workers=2)
    outcomes = {outcome.key: outcome for outcome in run}
    assert outcomes["bug-1"].error == "ValueError: spacing is zero"
    assert "in trouble" in (outcomes["bug-1"].traceback or "")
    assert outcomes["unreadable-1"].error == "unreadable-1: truncated gzip; fetch it again"
    assert outcomes["unreadable-1"].error_kind == "UnreadableFileError"


def test_a_result_or_item_that_cannot_travel_fails_alone(tmp_path: Path) -> None:
    trouble = partial(engine_cases.trouble, tmp_path)
    by_key = {o.key: o for o in engine.map(trouble, ["unsendable-1", "good-1"], workers=2)}
    assert by_key["good-1"].status == "done"
    assert by_key["unsendable-1"].status == "failed"
    assert "the result cannot be sent" in (by_key["unsendable-1"].error or "")

    items = [lambda: 0, "good"]
    run = engine.map(engine_cases.megabytes, items, key=lambda item: str(item)[:4], workers=2)
    by_key = {outcome.key: outcome for outcome in run}
    assert by_key["good"].value == b"good" * (4 << 20)
    assert "the item cannot be sent" in (by_key["<fun"].error or "")


def test_a_worker_is_replaced_before_its_leaks_add_up() -> None:
    run = engine.map(engine_cases.process_id, names(*["case"] * 250), workers=2)
    served = Counter(outcome.value for outcome in run)
    assert max(served.values()) <= 100
    assert os.getpid() not in served


def test_one_worker_is_this_process_and_an_interrupt_gets_through() -> None:
    (outcome,) = engine.map(engine_cases.process_id, ["a"])
    assert outcome.value == os.getpid()

    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(engine.map(interrupted, ["a"]))


def test_thread_variables_reach_the_workers_and_leave_no_trace_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in engine_cases.thread_variables(""):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = dict(os.environ)
    outcomes = list(engine.map(engine_cases.thread_variables, ["a", "b"], workers=2, threads=3))
    assert [set((outcome.value or {}).values()) for outcome in outcomes] == [{"3"}, {"3"}]
    assert dict(os.environ) == before


def test_leaving_the_loop_ends_the_workers_at_once(tmp_path: Path) -> None:
    items = names("good", *["hang"] * 3)
    with engine.map(partial(engine_cases.trouble, tmp_path), items, workers=2) as run:
        for outcome in run:
            assert outcome.status == "done"
            assert multiprocessing.active_children()
            break
    assert not multiprocessing.active_children()
    assert list(run) == []


def test_a_broken_request_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="two items have the key 'a'"):
        engine.map(engine_cases.process_id, ["a", "b", "a"])
    with pytest.raises(ConfigError, match="keys are strings"):
        engine.map(engine_cases.process_id, ["a"], key=len)  # type: ignore[arg-type] # on purpose
    with pytest.raises(ConfigError, match=r"top level of a module, or use one worker"):
        engine.map(lambda name: name, ["a"], workers=2)
    for wrong in ({"workers": 0}, {"attempts": 0}, {"threads": 0}):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))}: must be at least 1"):
            engine.map(engine_cases.process_id, ["a"], **wrong)
    for limit in ({"timeout_s": 0.0}, {"memory_bytes": -1}):
        with pytest.raises(ConfigError, match=f"{next(iter(limit))}: must be above 0"):
            engine.map(engine_cases.process_id, ["a"], **limit)


def test_a_function_that_workers_cannot_import_stops_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = types.ModuleType("only_in_this_process")
    exec("def work(name): return name", module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(ConfigError, match="No module named 'only_in_this_process'"):
        list(engine.map(module.work, ["a", "b"], workers=2))
    assert not multiprocessing.active_children()


def test_a_script_without_a_main_guard_is_told_so_and_does_not_hang(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from scalemai import engine\n"
        "def work(name): return name\n"
        "for outcome in engine.map(work, ['a', 'b'], workers=2): print(outcome)\n"
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "if __name__ == '__main__':" in ended.stderr.splitlines()[-1]
    assert ended.stdout == ""


def test_importing_the_engine_loads_no_numerical_library() -> None:
    code = "import sys, scalemai.engine; print({'numpy', 'scipy', 'rich'} & sys.modules.keys())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.strip() == "set()", ended.stderr
