"""What share of the work, how many workers, and how long it will take."""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemai import engine
from scalemai.engine import Outcome, Progress
from scalemai.errors import ConfigError

GIB = 1 << 30

# --- shards


@given(keys=st.lists(st.text(), unique=True), count=st.integers(1, 9))
def test_every_item_is_in_exactly_one_shard_whatever_else_is_there(
    keys: list[str], count: int
) -> None:
    keys = [key.encode("utf-8", "replace").decode() for key in keys]
    shards = [engine.shard(keys, index, count) for index in range(count)]
    assert sorted(key for share in shards for key in share) == sorted(keys)
    for index, share in enumerate(shards):
        for key in share:
            assert engine.shard([key], index, count) == [key]


def test_shards_follow_the_crc_of_the_key_and_are_about_equal() -> None:
    keys = [f"case_{number:05d}" for number in range(36_000)]
    shards = [engine.shard(keys, index, 64) for index in range(64)]
    assert all(crc32(key.encode()) % 64 == 7 for key in shards[7])
    assert shards[7] == sorted(shards[7])
    assert max(map(len, shards)) < 1.3 * 36_000 / 64
    assert engine.shard([3, 4, 5], 0, 1, key=lambda number: f"n{number}") == [3, 4, 5]
    assert engine.shard(["name\udcff"], 0, 1) == ["name\udcff"]


@pytest.mark.parametrize(("index", "count"), [(64, 64), (-1, 4), (0, 0), (1, -3)])
def test_a_share_that_does_not_exist_is_refused(index: int, count: int) -> None:
    with pytest.raises(ConfigError, match=f"shard: there is no share {index} of {count}"):
        engine.shard(["a"], index, count)


# --- workers


def write(root: Path, folder: str, **files: str) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / folder / name.replace("_dot_", ".")).write_text(text)


def test_free_memory_is_that_of_the_machine_where_nothing_limits_it(tmp_path: Path) -> None:
    assert engine.available_memory_bytes(tmp_path) is None
    write(tmp_path, "proc", meminfo="MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n")
    assert engine.available_memory_bytes(tmp_path) == 8 * GIB


def test_the_tightest_cgroup_around_the_job_limits_memory_and_cache_counts_as_free(
    tmp_path: Path,
) -> None:
    write(tmp_path, "proc", meminfo="MemAvailable: 8388608 kB\n")
    write(tmp_path, "proc/self", cgroup="0::/slurm/job_1/step_0\n")
    job = "sys/fs/cgroup/slurm/job_1"
    write(tmp_path, job, memory_dot_max=f"{4 * GIB}\n", memory_dot_current=f"{3 * GIB}\n")
    write(tmp_path, f"{job}/step_0", memory_dot_max="max\n", memory_dot_current=f"{3 * GIB}\n")
    assert engine.available_memory_bytes(tmp_path) == GIB
    write(tmp_path, job, memory_dot_stat=f"anon 5\ninactive_file {2 * GIB}\n")
    assert engine.available_memory_bytes(tmp_path) == 3 * GIB


def test_cgroup_v1_limits_memory_even_where_its_path_is_hidden(tmp_path: Path) -> None:
    write(tmp_path, "proc", meminfo="MemAvailable: 8388608 kB\n")
    write(tmp_path, "proc/self", cgroup="4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n")
    mount = "sys/fs/cgroup/memory"
    write(tmp_path, mount, memory_dot_limit_in_bytes=f"{2 * GIB}\n")
    write(tmp_path, mount, memory_dot_usage_in_bytes=f"{GIB}\n")
    assert engine.available_memory_bytes(tmp_path) == GIB
    write(tmp_path, mount, memory_dot_limit_in_bytes=f"{2**63 - 4096}\n")
    assert engine.available_memory_bytes(tmp_path) == 8 * GIB


def test_a_cgroup_quota_limits_the_cores(tmp_path: Path) -> None:
    free = engine.available_cores(tmp_path)
    write(tmp_path, "proc/self", cgroup="0::/\n")
    write(tmp_path, "sys/fs/cgroup", cpu_dot_max="max 100000\n")
    assert engine.available_cores(tmp_path) == free
    write(tmp_path, "sys/fs/cgroup", cpu_dot_max="150000 100000\n")
    assert engine.available_cores(tmp_path) == 1


def test_default_workers_leave_a_core_and_fit_into_memory() -> None:
    assert engine.default_workers(1) == max(1, engine.available_cores() - 1)
    assert engine.default_workers(1 << 50) == 1
    with pytest.raises(ConfigError, match="memory_per_worker_bytes"):
        engine.default_workers(0)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_affinity_limits_the_cores() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert engine.available_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


# --- progress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_resumed_cases_count_as_done_but_not_as_speed() -> None:
    clock = Clock()
    progress = Progress(1000, resumed=900, clock=clock)
    assert (progress.done, progress.remaining) == (900, 100)
    assert progress.rate_per_s is None
    assert progress.eta_s is None
    for number in range(20):
        clock.now += 2.0
        progress.add(Outcome(str(number), "failed" if number == 3 else "done", 2.0, 1))
    assert (progress.done, progress.failed, progress.remaining) == (919, 1, 80)
    assert progress.rate_per_s == pytest.approx(0.5)
    assert progress.eta_s == pytest.approx(160)


def test_the_estimate_follows_a_change_of_pace_and_a_stall() -> None:
    clock = Clock()
    progress = Progress(10_000, clock=clock)
    for _ in range(1000):
        clock.now += 1.0
        progress.add(Outcome("a", "done", 1.0, 1))
    for _ in range(200):
        clock.now += 10.0
        progress.add(Outcome("a", "done", 1.0, 1))
    assert progress.eta_s == pytest.approx(88_000)
    clock.now += 2000
    assert progress.eta_s == pytest.approx(176_000)


def test_a_finished_run_has_no_time_left() -> None:
    progress = Progress(1, clock=Clock())
    progress.add(Outcome("a", "timed out", 1.0, 1))
    assert (progress.failed, progress.remaining, progress.eta_s) == (1, 0, 0.0)
    assert Progress(5, resumed=5).eta_s == 0.0
