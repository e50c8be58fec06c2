"""Whatever ends the driver, no worker outlives it and the next run does the rest."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import engine_cases
import psutil
import pytest

from scalemai import engine
from scalemai.errors import LockedError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and named pipes")

COUNT = 40


def survivors(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run after a while; what only waits to be reaped is dead."""
    _, alive = psutil.wait_procs(processes, timeout=10)
    return [process for process in alive if is_running(process)]


def is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def workers_of(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(driver.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def drive(folder: Path, workers: int) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("engine_driver.py")
    return subprocess.Popen(
        [sys.executable, script, folder, str(workers), str(COUNT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def drive_to_the_gate(folder: Path, workers: int) -> tuple[subprocess.Popen[str], list[str]]:
    """Start a run that finishes ten cases and then has every worker busy without end."""
    os.mkfifo(folder / "gate")
    driver = drive(folder, workers)
    assert driver.stdout is not None
    return driver, [driver.stdout.readline().strip() for _ in range(10)]


def open_gate(folder: Path) -> None:
    """Let those go that wait, and nobody wait from now on."""
    (folder / "gate").rename(folder / "old_gate")
    os.close(os.open(folder / "old_gate", os.O_RDWR))


def resume(folder: Path, workers: int) -> None:
    """Finish the run, and check that nothing was done twice or forgotten."""
    before = [record.key for record in engine.read_ledger(folder / "ledger.jsonl")]
    assert len(before) == 10
    (folder / "gate").unlink()
    output, _ = drive(folder, workers).communicate(timeout=60)
    assert len(output.split()) == COUNT - 10
    records = engine.read_ledger(folder / "ledger.jsonl")
    assert sorted(record.key for record in records) == [f"{number:03d}" for number in range(COUNT)]
    assert {record.status for record in records} == {"done"}
    for key in before:
        assert engine_cases.executions(folder, key) == 1


@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_a_killed_driver_and_the_run_resumes(
    tmp_path: Path, deadly: signal.Signals
) -> None:
    driver, _ = drive_to_the_gate(tmp_path, workers=2)
    family = psutil.Process(driver.pid).children(recursive=True)
    assert len(workers_of(driver)) == 2

    driver.send_signal(deadly)  # to the driver alone
    driver.communicate(timeout=30)
    assert survivors(family) == []
    assert driver.returncode == -deadly
    resume(tmp_path, workers=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_control_c_stops_at_once_and_the_run_resumes(tmp_path: Path, workers: int) -> None:
    driver, _ = drive_to_the_gate(tmp_path, workers)
    family = psutil.Process(driver.pid).children(recursive=True)

    os.killpg(driver.pid, signal.SIGINT)  # as the terminal does: to driver and workers
    _, errors = driver.communicate(timeout=10)
    assert survivors(family) == []
    assert driver.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1, "the workers have nothing to say"
    resume(tmp_path, workers)


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    driver, _ = drive_to_the_gate(tmp_path, workers=2)
    with pytest.raises(LockedError, match=f"{tmp_path}: another run .*process {driver.pid} on "):
        engine.Ledger(tmp_path / "ledger.jsonl", fingerprint="one")
    driver.kill()
    driver.communicate(timeout=30)
    with engine.Ledger(tmp_path / "ledger.jsonl", fingerprint="one") as ledger:
        assert len(ledger.finished()) == 10


def test_a_killed_worker_costs_one_attempt_of_one_case(tmp_path: Path) -> None:
    driver, _ = drive_to_the_gate(tmp_path, workers=2)
    workers_of(driver)[0].kill()
    open_gate(tmp_path)
    output, _ = driver.communicate(timeout=60)
    assert driver.returncode == 0
    records = engine.read_ledger(tmp_path / "ledger.jsonl")
    assert len(records) == COUNT
    assert {record.status for record in records} == {"done"}
    assert sorted(record.attempts for record in records) == [1] * (COUNT - 1) + [2]
    assert len(output.split()) == COUNT - 10


SLOW_TO_IMPORT = """
import multiprocessing, os, sys, threading
from pathlib import Path
from scalemai import engine
from scalemai.engine import worker
folder = Path(__file__).parent
def report():
    os.write(os.open(folder / "importing", os.O_RDWR), b"x")
if __name__ == "__mp_main__" and sys.argv[1] == "importing":
    report()
    os.read(os.open(folder / "gate", os.O_RDONLY), 1)  # waits until the test writes
def wait_without_end():
    threading.Thread(target=worker._watch_the_driver, daemon=True).start()
    report()
    threading.Event().wait()
if __name__ == "__main__" and sys.argv[1] == "watching":
    multiprocessing.get_context("spawn").Process(target=wait_without_end).start()
    threading.Event().wait()
if __name__ == "__main__":
    print(list(engine.map(str.upper, ["a", "b"], workers=2)))
"""


def drive_slow_import(folder: Path, what: str) -> subprocess.Popen[str]:
    script = folder / "slow_import.py"
    script.write_text(SLOW_TO_IMPORT)
    os.mkfifo(folder / "importing")
    os.mkfifo(folder / "gate")
    driver = subprocess.Popen(
        [sys.executable, script, what],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with (folder / "importing").open("rb", buffering=0) as importing:
        assert importing.read(1) == b"x"
    return driver


def test_control_c_while_workers_start_leaves_nothing_and_says_it_once(tmp_path: Path) -> None:
    driver = drive_slow_import(tmp_path, "importing")
    family = psutil.Process(driver.pid).children(recursive=True)
    os.killpg(driver.pid, signal.SIGINT)
    _, errors = driver.communicate(timeout=10)
    assert survivors(family) == []
    assert errors.count("Traceback") == 1


def test_an_interrupt_that_reaches_a_starting_worker_is_left_to_the_driver(tmp_path: Path) -> None:
    driver = drive_slow_import(tmp_path, "importing")
    for worker in workers_of(driver):
        worker.send_signal(signal.SIGINT)
    gate = os.open(tmp_path / "gate", os.O_RDWR)
    os.write(gate, b"go")
    _, errors = driver.communicate(timeout=10)
    os.close(gate)
    assert (driver.returncode, errors) == (0, "")


def test_an_interrupt_that_reaches_a_busy_worker_is_left_to_the_driver(tmp_path: Path) -> None:
    driver, _ = drive_to_the_gate(tmp_path, workers=2)
    for worker in workers_of(driver):
        worker.send_signal(signal.SIGINT)
    open_gate(tmp_path)
    _, errors = driver.communicate(timeout=60)
    assert (driver.returncode, errors) == (0, "")
    records = engine.read_ledger(tmp_path / "ledger.jsonl")
    assert {(record.status, record.attempts) for record in records} == {("done", 1)}


def test_a_worker_whose_driver_died_before_it_was_ready_leaves(tmp_path: Path) -> None:
    driver = drive_slow_import(tmp_path, "importing")
    family = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait(timeout=10)
    assert any(is_running(process) for process in family), "they are still importing"
    gate = os.open(tmp_path / "gate", os.O_RDWR)
    os.write(gate, b"go")  # a byte for each of the two
    assert survivors(family) == []
    os.close(gate)
    _, errors = driver.communicate(timeout=10)
    assert errors == ""


def test_without_help_of_the_kernel_a_worker_watches_its_driver(tmp_path: Path) -> None:
    driver = drive_slow_import(tmp_path, "watching")
    family = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.communicate(timeout=10)
    assert family
    assert survivors(family) == []


def test_a_run_outlives_the_death_of_all_its_workers() -> None:
    items = [str(number) for number in range(60)]
    outcomes = []
    with engine.map(engine_cases.process_id, items, workers=2) as run:
        for outcome in run:
            outcomes.append(outcome)
            if len(outcomes) in (1, 20, 40):
                for process in multiprocessing.active_children():
                    process.kill()
    assert sorted(outcome.key for outcome in outcomes) == sorted(items)
    assert {outcome.status for outcome in outcomes} == {"done"}
