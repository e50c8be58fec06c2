"""Functions that worker processes can import: good cases and every kind of bad one."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from pathlib import Path

from scalemai.engine.processes import THREAD_VARIABLES
from scalemai.errors import UnreadableFileError


def executions(folder: Path, name: str) -> int:
    """How often ``trouble`` was called for ``name``."""
    return len(list(folder.glob(f"{name}.run*")))


def trouble(folder: Path, name: str) -> object:
    """Do what the first part of ``name`` says; leave one file per call."""
    first = executions(folder, name) == 0
    (folder / f"{name}.run{executions(folder, name)}").touch()
    match name.partition("-")[0]:
        case "crash_once" if first:
            os._exit(1)
        case "crash":
            os._exit(3)
        case "exit_zero":
            os._exit(0)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            threading.Event().wait()
        case "hog":
            return len(bytearray(3 << 30))
        case "bug":
            raise ValueError("spacing\nis zero")
        case "unreadable":
            raise UnreadableFileError("truncated gzip", where=name, fix="fetch it again")
        case "hiccup" if first:
            raise OSError("stale file handle")
        case "disk_full":
            raise OSError(errno.ENOSPC, "No space left on device")
        case "forbidden":
            raise PermissionError(errno.EACCES, "Permission denied")
        case "leaves":
            sys.exit(4)
        case "unsendable":
            return lambda: name
    return name.upper()


def process_id(name: str) -> int:
    return os.getpid()


def thread_variables(name: str) -> dict[str, str | None]:
    return {variable: os.environ.get(variable) for variable in THREAD_VARIABLES}


def megabytes(name: str) -> bytes:
    return name.encode() * (4 << 20)


def stop_at_gate(folder: Path, name: str) -> str:
    """Wait at a named pipe while there is one, so that a test can kill a busy process."""
    if int(name) >= 10 and (gate := folder / "gate").is_fifo():
        gate.read_bytes()
    (folder / f"{name}.run{executions(folder, name)}").touch()
    return name
