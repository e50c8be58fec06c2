"""Files and folders that are whole or absent, whatever kills the process."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scalemai.errors import OutputError

__all__ = ["atomic_folder", "atomic_path", "remove_partials"]

_SUFFIX = ".partial"


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """Yield a temporary sibling of ``final``; it takes that name only if the block succeeds.

    The data reach the disk before the rename, so that after a power cut too the file is the old
    one, the new one, or absent.

    Raises
    ------
    OutputError
        If the folder cannot be made or written, or the disk is full.
    """
    final = Path(final)
    temporary = final.with_name(f".{final.name}.{os.getpid()}{_SUFFIX}")
    try:
        with _as_output_error(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _sync(temporary)
            temporary.replace(final)
            _sync(final.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(final: Path) -> Iterator[Path]:
    """Yield a temporary sibling folder of ``final``; on success it replaces ``final`` by rename.

    A folder that already has the final name is replaced as a whole, so a reader never sees a
    mixture of two runs.

    Raises
    ------
    OutputError
        If the folder cannot be made or written, or the disk is full.
    """
    final = Path(final)
    temporary = final.with_name(f".{final.name}.{os.getpid()}{_SUFFIX}")
    try:
        with _as_output_error(final):
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            yield temporary
            _sync(temporary)
            if final.exists():
                shutil.rmtree(final)
            temporary.replace(final)
            _sync(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_partials(folder: Path) -> int:
    """Delete what killed runs left behind in ``folder``; return how many entries were removed.

    Call it only while holding the lock of the folder: a partial of a live run would be lost.
    """
    count = 0
    for entry in folder.glob(f".*{_SUFFIX}"):
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
        count += 1
    return count


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _as_output_error(final: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            fix = "free space or choose another --out; nothing half-written was left"
            raise OutputError("the disk is full", where=final, fix=fix) from error
        if error.errno == errno.EDQUOT:
            fix = "free space or ask for more quota; nothing half-written was left"
            raise OutputError("the disk quota is used up", where=final, fix=fix) from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            fix = "choose a folder that you may write to"
            raise OutputError("no permission to write here", where=final, fix=fix) from error
        if isinstance(error, NotADirectoryError | FileExistsError):
            fix = "a file stands where a folder is needed; choose another --out"
            raise OutputError("cannot make this folder", where=final, fix=fix) from error
        raise
