"""One run per ledger: a lock that the system releases when its holder dies."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
from pathlib import Path
from typing import BinaryIO

from scalemai.errors import LockedError

__all__ = ["acquire"]

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}

_log = logging.getLogger("scalemai.engine")


def acquire(path: Path) -> BinaryIO:
    """Lock ``path``, creating it. Closing the returned file releases it.

    The file stays behind: to delete it would let two runs lock two files of one name.

    Raises
    ------
    LockedError
        If another process, or another ledger in this process, holds the lock.
    """
    file = path.open("a+b", buffering=0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(file)
        try:
            _lock(file)
        except OSError as error:
            if error.errno in _HELD:
                file.seek(0)
                holder = file.read(200).decode(errors="replace") or "unnamed"
                raise LockedError(
                    f"another run is writing here ({holder})",
                    where=path.parent,
                    fix="wait for its end, or choose another folder",
                ) from None
            # Some cluster file systems are mounted without locks; to refuse them would be to
            # refuse the cluster.
            _log.warning("%s: no file locks here; see that only one run writes", path.parent)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        stack.pop_all()
    return file


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        file.seek(1 << 30)  # beyond the text, which others must be able to read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
