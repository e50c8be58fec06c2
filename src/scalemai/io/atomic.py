"""Files and folders that are whole or absent, whatever kills the process."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scalemai.errors import OutputError, ScaleMAIError

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
        with suppress(OSError):  # the reason why it cannot be removed is the error under way
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(final: Path) -> Iterator[Path]:
    """Yield a temporary sibling folder of ``final``; on success it replaces ``final`` by rename.

    A folder that already has the final name is replaced as a whole, so a reader never sees a
    mixture of two runs; it is moved aside, not emptied in place, so a failure brings it back.

    Raises
    ------
    OutputError
        If the folder cannot be made or written, or the disk is full.
    """
    final = Path(final)
    temporary = final.with_name(f".{final.name}.{os.getpid()}{_SUFFIX}")
    retired = final.with_name(f".{final.name}.{os.getpid()}-old{_SUFFIX}")
    try:
        with _as_output_error(final):
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            with _under_final_name(temporary, final):
                yield temporary
            _sync(temporary)
            if final.is_dir():
                final.replace(retired)
            temporary.replace(final)
            _sync(final.parent)
    finally:
        if not final.exists() and retired.exists():
            retired.replace(final)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)


def remove_partials(folder: Path, names: Collection[str]) -> int:
    """Delete what killed runs left behind of the named entries; return how many were removed.

    Name only what nobody else can be writing: a partial of a live run would be lost.
    """
    count = 0
    for entry in folder.glob(f".*{_SUFFIX}"):
        name = entry.name[1 : -len(_SUFFIX)].rpartition(".")[0]
        if name not in names:
            continue
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
def _under_final_name(temporary: Path, final: Path) -> Iterator[None]:
    """Let errors name the file that the user would have got, not one that is gone by then."""
    try:
        yield
    except ScaleMAIError as error:
        if error.where is not None:
            error.where = error.where.replace(str(temporary), str(final))
        raise


@contextmanager
def _as_output_error(final: Path) -> Iterator[None]:
    try:
        yield
    except ScaleMAIError:  # some are OSErrors too; they have said what is wrong already
        raise
    except OSError as error:
        what, fix = _explain(error)
        raise OutputError(what, where=final, fix=fix) from error


def _explain(error: OSError) -> tuple[str, str]:
    """What is wrong and what to do, in words, for an error of the operating system."""
    if error.errno == errno.ENOSPC:
        fix = "free space or choose another --out; nothing half-written is left"
        return "the disk is full", fix
    if error.errno in {errno.EDQUOT, errno.EFBIG}:
        fix = "free space or ask for a larger limit; nothing half-written is left"
        return "the disk quota or file size limit is used up", fix
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return "no permission to write here", "choose a folder that you may write to"
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        fix = "a file stands where a folder is needed; choose another --out"
        return "cannot make this folder", fix
    if error.errno == errno.EISDIR:
        return "is a folder", "give a file name"
    if error.errno == errno.ENAMETOOLONG:
        return "the name is too long for this disk", "choose a shorter name"
    return f"cannot be written ({error.strerror or error})", "check the disk"
