"""Files are whole or absent: killed in mid-write, disk full, or no permission."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import textwrap
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from scalemai.errors import OutputError, UnreadableFileError
from scalemai.geometry import Grid
from scalemai.io.atomic import atomic_folder, atomic_path, remove_partials
from scalemai.io.nifti import read_volume, write_volume
from scalemai.volume import Volume

OLD = b"the old file, whole"


def _killed_while(body: str, folder: Path, name: str) -> None:
    """Run ``body`` in a new interpreter and kill -9 it once it has written part of ``name``."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(body), str(folder / name)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while process.poll() is None and not _has_partial(folder):
            pass
        process.kill()
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, complaint


def _has_partial(folder: Path) -> bool:
    try:
        return any(
            any(path.iterdir()) if path.is_dir() else path.stat().st_size > 0
            for path in folder.glob(".*.partial")
        )
    except FileNotFoundError:  # renamed between the listing and the look
        return False


HALF_A_FILE = """
    import signal, sys
    from pathlib import Path
    from scalemai.io.atomic import atomic_path
    with atomic_path(Path(sys.argv[1])) as temporary, temporary.open("wb") as file:
        file.write(b"half of the new fi")
        file.flush()
        signal.pause()
"""

HALF_A_FOLDER = """
    import signal, sys
    from pathlib import Path
    from scalemai.io.atomic import atomic_folder
    with atomic_folder(Path(sys.argv[1])) as temporary:
        (temporary / "ct.nii.gz").write_bytes(b"half a case")
        signal.pause()
"""

A_LARGE_VOLUME = """
    import sys
    from pathlib import Path
    import numpy as np
    from scalemai.geometry import Grid
    from scalemai.io import nifti
    from scalemai.volume import Volume
    shape = (256, 256, 400)
    noise = np.random.default_rng(0).integers(-1000, 1000, shape, np.int16)
    volume = Volume(noise, Grid(shape, np.eye(4)))
    while True:
        nifti.write_volume(Path(sys.argv[1]), volume)
"""


def _fail_in(opened: AbstractContextManager[Path], kind: type[BaseException]) -> None:
    """Write half of something, then fail."""
    with opened as temporary:
        half = temporary / "ct.nii.gz" if temporary.is_dir() else temporary
        half.write_bytes(b"half")
        raise kind


def test_a_finished_file_takes_its_name_and_leaves_nothing_else(tmp_path):
    final = tmp_path / "new" / "deep" / "a.nii.gz"
    with atomic_path(final) as temporary:
        temporary.write_bytes(b"whole")
        assert temporary.parent == final.parent  # a rename within one folder is atomic
        assert not final.exists()
    assert final.read_bytes() == b"whole"
    assert list(final.parent.iterdir()) == [final]


def test_a_failure_keeps_the_old_file_and_removes_the_new_one(tmp_path):
    final = tmp_path / "a.nii.gz"
    final.write_bytes(OLD)
    with pytest.raises(ZeroDivisionError):
        _fail_in(atomic_path(final), ZeroDivisionError)
    assert final.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [final]


def test_control_c_keeps_the_old_file_and_removes_the_new_one(tmp_path):
    final = tmp_path / "a.nii.gz"
    final.write_bytes(OLD)
    with pytest.raises(KeyboardInterrupt):
        _fail_in(atomic_path(final), KeyboardInterrupt)
    assert final.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [final]


def test_kill_9_in_mid_write_leaves_the_old_file(tmp_path):
    final = tmp_path / "a.nii.gz"
    final.write_bytes(OLD)
    _killed_while(HALF_A_FILE, tmp_path, "a.nii.gz")
    assert final.read_bytes() == OLD


@pytest.mark.parametrize("body", [HALF_A_FILE, HALF_A_FOLDER])
def test_kill_9_in_mid_write_leaves_nothing_of_that_name_where_nothing_was(tmp_path, body):
    _killed_while(body, tmp_path, "case_1")
    assert not (tmp_path / "case_1").exists()
    assert remove_partials(tmp_path, {"case_1"}) == 1
    assert list(tmp_path.iterdir()) == []


def test_kill_9_while_a_large_ct_is_written_leaves_the_old_file(tmp_path):
    final = tmp_path / "ct.nii.gz"
    final.write_bytes(OLD)
    _killed_while(A_LARGE_VOLUME, tmp_path, "ct.nii.gz")
    assert final.read_bytes() == OLD
    half = next(tmp_path.glob(".*.partial"))
    with pytest.raises(UnreadableFileError):
        read_volume(half)


def test_remove_partials_touches_only_partials_of_the_names_given(tmp_path):
    kept = [tmp_path / "ct.nii.gz", tmp_path / ".hidden", tmp_path / ".other.1.partial"]
    for path in kept:
        path.write_bytes(b"kept")
    (tmp_path / ".ct.nii.gz.123.partial").write_bytes(b"half")
    for name in (".case_2.123.partial", ".case_2.123-old.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ct.nii.gz").write_bytes(b"half")
    assert remove_partials(tmp_path, {"ct.nii.gz", "case_2"}) == 3
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_a_folder_replaces_the_old_one_as_a_whole(tmp_path):
    final = tmp_path / "case_1"
    final.mkdir()
    (final / "old.nii.gz").write_bytes(OLD)
    with atomic_folder(final) as temporary:
        (temporary / "new.nii.gz").write_bytes(b"new")
        assert (final / "old.nii.gz").exists()
    assert [path.name for path in final.iterdir()] == ["new.nii.gz"]
    assert list(tmp_path.iterdir()) == [final]


def test_a_failure_keeps_the_old_folder_whole(tmp_path):
    final = tmp_path / "case_1"
    final.mkdir()
    (final / "old.nii.gz").write_bytes(OLD)
    with pytest.raises(ZeroDivisionError):
        _fail_in(atomic_folder(final), ZeroDivisionError)
    assert (final / "old.nii.gz").read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [final]


def test_a_rename_that_fails_brings_the_old_folder_back(tmp_path):
    final = tmp_path / "case_1"
    final.mkdir()
    (final / "old.nii.gz").write_bytes(OLD)
    with pytest.raises(OutputError), atomic_folder(final) as temporary:
        temporary.rmdir()  # as a cleaner of stray files would
    assert (final / "old.nii.gz").read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [final]


# --- the disk says no ----------------------------------------------------------------------


@pytest.fixture
def largest_file_of_1_mib():
    """No process may write a file beyond 1 MiB: the kernel's own refusal, without a real disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("largest_file_of_1_mib")
def test_a_volume_beyond_the_size_limit_leaves_the_old_file(tmp_path):
    final = tmp_path / "ct.nii.gz"
    final.write_bytes(OLD)
    noise = np.random.default_rng(0).integers(-1000, 1000, (128, 128, 128), np.int16)
    with pytest.raises(OutputError, match=r"ct\.nii\.gz: .*size limit is used up; free space"):
        write_volume(final, Volume(noise, Grid(noise.shape, np.eye(4))))
    assert final.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [final]


@pytest.fixture
def tiny_disk(tmp_path):
    """A real file system of 64 kB; only where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_leaves_the_old_file(tiny_disk):
    final = tiny_disk / "a.nii.gz"
    final.write_bytes(OLD)
    with pytest.raises(OutputError, match="the disk is full"), atomic_path(final) as temporary:
        temporary.write_bytes(os.urandom(1 << 20))
    assert final.read_bytes() == OLD
    assert list(tiny_disk.iterdir()) == [final]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "no permission"),
        (errno.EIO, "cannot be written"),
    ],
)
def test_what_the_operating_system_refuses_is_said_in_words(tmp_path, code, text):
    final = tmp_path / "a.nii.gz"
    with pytest.raises(OutputError, match=text) as caught, atomic_path(final):
        raise OSError(code, os.strerror(code))
    assert caught.value.where == str(final)
    assert caught.value.fix


def test_a_folder_without_write_permission_is_named(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write anywhere")
    with (
        pytest.raises(OutputError, match="no permission to write here; choose a folder"),
        atomic_path(folder / "a.nii.gz") as temporary,
    ):
        temporary.write_bytes(b"x")


@pytest.mark.parametrize("below", ["a.nii.gz", "deep/er/a.nii.gz"])
@pytest.mark.parametrize("opener", [atomic_path, atomic_folder])
def test_a_file_that_stands_where_a_folder_is_needed_is_named(tmp_path, below, opener):
    (tmp_path / "out").write_bytes(b"a file")
    with pytest.raises(OutputError, match="a file stands where"), opener(tmp_path / "out" / below):
        pass


def test_a_folder_that_has_the_name_of_the_file_is_refused(tmp_path):
    (tmp_path / "a.nii.gz").mkdir()
    with (
        pytest.raises(OutputError, match="is a folder; give a file name"),
        atomic_path(tmp_path / "a.nii.gz") as temporary,
    ):
        temporary.write_bytes(b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"]


def test_a_name_that_the_disk_cannot_hold_is_refused(tmp_path):
    with (
        pytest.raises(OutputError, match="name is too long"),
        atomic_path(tmp_path / ("x" * 300)) as temporary,
    ):
        temporary.write_bytes(b"x")


def test_an_unreadable_source_is_not_blamed_on_the_target(tmp_path):
    with (
        pytest.raises(UnreadableFileError, match=r"ct\.nii\.gz: is truncated"),
        atomic_path(tmp_path / "out.nii.gz"),
    ):
        raise UnreadableFileError("is truncated", where="ct.nii.gz")
    assert list(tmp_path.iterdir()) == []
