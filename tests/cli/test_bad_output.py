"""Where nothing can be written: one line, and nothing half-written is left."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .hosts import start, synthesize, tree, write_case, write_cases


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return write_case(tmp_path / "data" / "case")


def refused(*words: object) -> str:
    """The one line of a run that could not begin."""
    said = synthesize(*words)
    assert said.code == 1
    (line,) = said.lines
    assert line.startswith("scalemai: ")
    return line


def test_an_output_below_a_file_is_refused(case: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("here first")
    line = refused(case, "--out", file / "out")
    assert str(file) in line
    assert file.read_text() == "here first"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes where modes forbid it")
def test_a_folder_without_permission_is_named(case: Path, tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o555)
    line = refused(case, "--out", shut / "out")
    assert str(shut) in line
    assert "permission" in line.lower()
    assert list(shut.iterdir()) == []


def test_a_limit_of_file_size_leaves_nothing_half_written(case: Path, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    out = tmp_path / "out"
    run = start("synthesize", case, "--out", out, "--workers", 1, preexec_fn=limit)
    printed, err = run.communicate(timeout=60)
    assert run.returncode == 1, err
    line = err.splitlines()[-1]
    assert line.startswith(f"failed: case: {out / 'case'}")
    assert "file size limit is used up; free space" in line
    assert "Traceback" not in err + printed
    assert tree(out) == []


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small file system in memory; skips where that is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    tool = shutil.which("mount")

    def mount(options: str) -> Path:
        command = [tool or "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if tool is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no file system may be mounted here")
        return folder

    yield mount
    while os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, mounted: Callable[[str], Path]
) -> None:
    root = write_cases(tmp_path / "data", 2)
    disk = mounted("size=120k")
    said = synthesize(root, "--out", disk / "out")
    assert said.code == 1
    assert "the disk is full; free space or choose another --out" in said.lines[-1]
    whole = [p for p in (disk / "out").iterdir() if p.is_dir()]
    assert all((p / "synthesis.json").is_file() for p in whole)
    assert not any(".partial" in name for name in tree(disk))


def test_a_read_only_disk_is_named(case: Path, mounted: Callable[[str], Path]) -> None:
    disk = mounted("ro,size=1m")
    line = refused(case, "--out", disk / "out")
    assert str(disk / "out") in line
    assert "Read-only" in line
