"""Which keys are finished: an append-only file that survives a kill at any byte."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, get_args

from scalemai.engine.lock import acquire
from scalemai.engine.outcome import Outcome, Status
from scalemai.errors import ConfigError, OutputError, ScaleMAIError, UnreadableFileError

__all__ = ["Ledger", "read_ledger"]

SYNC_INTERVAL_S = 1.0
"""The disk is waited for at most this often. A killed process loses nothing that it had
appended; a power cut may lose the last records, whose cases are then done again."""

_FORMAT = "scalemai_ledger"
_OPENING = f'{{"{_FORMAT}":'.encode()
_STATUSES = frozenset(get_args(Status))


class Ledger:
    """The outcomes of one run over cases, one JSON object a line, kept in a file.

    The first line holds the fingerprint of the request. Each further line is one outcome
    (without its value). A line cut short by a kill counts as never written, and is cut off when
    the ledger is opened again. Lines are only ever added: a case that failed and later
    succeeded has both, and the last one counts.

    Parameters
    ----------
    path
        The file, conventionally ``ledger.jsonl`` in the run folder; created if absent. A
        neighbour, ``<name>.lock``, holds the lock.
    fingerprint
        What decides the results: configuration, seed, version. Either one string, or a mapping
        of field to string; with a mapping, a refusal names the fields that differ.

    Raises
    ------
    LockedError
        If another run has it open.
    ConfigError
        If it was written for another fingerprint and something is done, or is no ledger.
    OutputError
        If it cannot be written: permission, disk full.
    """

    def __init__(self, path: str | Path, *, fingerprint: str | Mapping[str, str] = "") -> None:
        self.path = Path(path)
        fields = {"fingerprint": fingerprint} if isinstance(fingerprint, str) else dict(fingerprint)
        self._status: dict[str, Status] = {}
        self._synced = float("-inf")
        with contextlib.ExitStack() as stack:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(acquire(self.path.with_name(f"{self.path.name}.lock")))
                self._file = stack.enter_context(self.path.open("a+b", buffering=0))
                self._continue(fields)
            except ScaleMAIError:
                raise
            except OSError as error:
                raise _unwritable(self.path, error) from error
            self._open = stack.pop_all()

    def _continue(self, fields: dict[str, str]) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = _whole_lines(content)
        there = _fields(whole, self.path) if whole else {}
        self._status = {record.key: record.status for record in _records(whole)}
        if whole and there != fields and not self.finished():
            # Nothing was done, so nothing would be mixed: a mended request may start anew.
            self._status = {}
            self._begin(fields)
        elif whole:
            _compare(there, fields, self.path)
            if len(whole) < len(content):
                self._file.truncate(len(whole))
        elif content[: len(_OPENING)] != _OPENING[: len(content)]:
            raise _foreign(self.path)
        else:
            self._begin(fields)

    def _begin(self, fields: dict[str, str]) -> None:
        self._file.truncate(0)
        self._write({_FORMAT: 1, "fingerprint": fields})
        _sync_folder(self.path.parent)

    def finished(self) -> set[str]:
        """Keys whose last outcome is ``done``."""
        return {key for key, status in self._status.items() if status == "done"}

    def append(self, outcome: Outcome[Any]) -> None:
        """Add one outcome.

        Raises
        ------
        OutputError
            If it cannot be written; the ledger is then as before.
        """
        record = {
            "key": outcome.key,
            "status": outcome.status,
            "seconds": round(outcome.seconds, 3),
            "attempts": outcome.attempts,
        }
        if outcome.error is not None:
            record |= {"error": outcome.error, "error_kind": outcome.error_kind}
        try:
            self._write(record)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._status[outcome.key] = outcome.status

    def _write(self, record: dict[str, Any]) -> None:
        line = json.dumps(record).encode() + b"\n"
        before = self._file.seek(0, os.SEEK_END)
        try:
            while line:  # a full disk takes a part before it refuses the rest
                line = line[self._file.write(line) :]
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(before)
            raise
        if time.monotonic() - self._synced >= SYNC_INTERVAL_S:
            self._sync()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Wait for the disk and release the lock. Closing twice is allowed."""
        if self._file.closed:
            return
        with self._open:
            try:
                self._sync()
            except OSError as error:
                raise _unwritable(self.path, error) from error

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_ledger(path: str | Path) -> list[Outcome[None]]:
    """Every outcome in a ledger, oldest first; another run may be writing to it meanwhile.

    Raises
    ------
    UnreadableFileError
        If the file cannot be read.
    ConfigError
        If it is no ledger.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"cannot be read: {error.strerror}", where=path) from error
    whole = _whole_lines(content)
    _fields(whole, path)
    return _records(whole)


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _fields(whole: bytes, path: Path) -> dict[str, str]:
    """The fingerprint in the first line."""
    first = _parsed(whole.partition(b"\n")[0])
    fields = first.get("fingerprint")
    if _FORMAT not in first or not isinstance(fields, dict):
        raise _foreign(path)
    return fields


def _records(whole: bytes) -> list[Outcome[None]]:
    # A line in the middle can only be damaged by the disk. To do its case again is safe.
    records = (_record(_parsed(line)) for line in whole.splitlines()[1:])
    return [record for record in records if record is not None]


def _record(fields: dict[str, Any]) -> Outcome[None] | None:
    if not isinstance(fields.get("key"), str) or fields.get("status") not in _STATUSES:
        return None
    return Outcome(
        fields["key"],
        fields["status"],
        fields.get("seconds", 0.0),
        fields.get("attempts", 1),
        error=fields.get("error"),
        error_kind=fields.get("error_kind"),
    )


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _compare(there: dict[str, str], here: dict[str, str], path: Path) -> None:
    names = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
    if names:
        changes = ", ".join(
            f"{name} was {there.get(name, '(absent)')} and is {here.get(name, '(absent)')}"
            for name in names
        )
        raise ConfigError(
            f"the folder holds another run: {changes}",
            where=path.parent,
            fix="choose another folder, or repeat the earlier request to go on with it",
        )


def _foreign(path: Path) -> ConfigError:
    return ConfigError("is not a ledger", where=path, fix="choose another folder or file name")


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot be written: {error.strerror or error}",
        where=path,
        fix="make room or grant permission, then start again; finished cases are kept",
    )


def _sync_folder(folder: Path) -> None:
    # The name of a new file is in its folder, which has to reach the disk too.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
