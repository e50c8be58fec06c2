"""Where DICOM bytes come from: a folder, a zip read in place, or one file.

Nothing is ever extracted: members of a zip are read one at a time, so a name such as
``../../x`` in an archive is only a label, and what an archive may cost is bounded by the
largest single member that :data:`LARGEST_FILE_BYTES` admits.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Self

import pydicom
from pydicom import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from scalemai.errors import ScaleMAIError, UnreadableFileError

__all__ = ["LARGEST_FILE_BYTES", "DicomFiles", "damage_named", "header_remarks"]

LARGEST_FILE_BYTES = 2 * 2**30
"""A single file or zip member above this is refused (author's estimate, to be refined).

An enhanced CT of 4096 slices of 512 x 512 voxels of 16 bit is 2 GiB; a zip member that claims
more is an archive bomb or no CT."""

_PARSE_FAILURES = (
    InvalidDicomError,
    BytesLengthException,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
"""What pydicom, zipfile and the decoders raise on damaged bytes."""

_DAMAGED = "the DICOM file is truncated or damaged"
_NAMED_DICOM = {".dcm", ".dicom", ".ima"}
_PREAMBLE_BYTES = 128
_META_START = _PREAMBLE_BYTES + 4 + 12  # preamble, "DICM", the group length element
_DEFLATED = b"\x02\x00\x10\x00UI\x16\x00" + DeflatedExplicitVRLittleEndian.encode()


@contextmanager
def damage_named(where: str, what: str, fix: str = "copy or export it again") -> Iterator[None]:
    """Turn whatever a parser says about damaged bytes into one line that names the file.

    Raises
    ------
    UnreadableFileError
        ``where: what (what the parser says); fix``. Errors of this package pass unchanged.
    """
    try:
        yield
    except ScaleMAIError:
        raise
    except PermissionError as error:
        raise UnreadableFileError(
            "may not be read", where=where, fix="check the permissions"
        ) from error
    except _PARSE_FAILURES as error:
        raise UnreadableFileError(f"{what} ({error})", where=where, fix=fix) from error


@contextmanager
def header_remarks() -> Iterator[list[str]]:
    """Collect what pydicom has to say about odd headers instead of warning about it.

    Clinical headers break the standard in harmless ways (too long strings, invalid UIDs), and a
    warning per slice would hide the ones that matter. The list is filled when the block ends;
    callers hand it to the user. Warnings of other libraries are passed on unchanged.
    """
    remarks: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield remarks
    for entry in caught:
        if "pydicom" in Path(entry.filename).parts:
            remarks.append(" ".join(str(entry.message).split()))
        else:
            warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
    remarks[:] = sorted(set(remarks))


class DicomFiles:
    """The files below a folder, in a zip, or one file alone, by relative name.

    Use it as a context manager.

    Parameters
    ----------
    source
        A folder (searched with its subfolders), a ``.zip`` (whatever its suffix), or one file.

    Attributes
    ----------
    names
        Relative names with ``/``, sorted, so that results do not depend on the file system.

    Raises
    ------
    UnreadableFileError
        If the source does not exist or may not be read, or the zip is damaged.
    """

    def __init__(self, source: Path | str) -> None:
        self.source = Path(source)
        self._zip: zipfile.ZipFile | None = None
        self._root = self.source
        with damage_named(str(source), "cannot be read", "check its permissions, or copy it again"):
            if self.source.is_dir():
                self.names = tuple(sorted(self._walk()))
            elif not self.source.exists():
                raise UnreadableFileError(
                    "there is no such file or folder",
                    where=source,
                    fix="give a folder, a zip, or one DICOM file",
                )
            elif self._is_zip():
                self._zip = zipfile.ZipFile(self.source)
                members = [item.filename for item in self._zip.infolist() if not item.is_dir()]
                self.names = tuple(sorted(set(members)))
            else:
                self._root = self.source.parent
                self.names = (self.source.name,)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._zip is not None:
            self._zip.close()

    def where(self, name: str) -> str:
        """The file as it is named in messages."""
        return str(self._root / name)

    def header(self, name: str, tags: Sequence[str] | None = None) -> Dataset | None:
        """The data set of a file without its pixels, or None if the file is not DICOM.

        Parameters
        ----------
        name
            One of :attr:`names`.
        tags
            Keywords to keep; None keeps all.

        Raises
        ------
        UnreadableFileError
            If the file claims to be DICOM, by its content or its suffix, but cannot be parsed.
        """
        if self._zip is None and not (self._root / name).is_file():
            return None  # a pipe or a socket would block, a dangling link has no content
        with damage_named(self.where(name), _DAMAGED), self._open(name) as stream:
            start = stream.read(_PREAMBLE_BYTES + 4)
            if not _looks_like_dicom(start):
                if _is_named_dicom(name):
                    raise UnreadableFileError(
                        "has the suffix of a DICOM file but not its beginning",
                        where=self.where(name),
                        fix="copy it again, or remove it if it is no image",
                    )
                return None
            return _parse(stream, stop_before_pixels=True, tags=tags)

    def dataset(self, name: str) -> Dataset:
        """The whole data set of a file.

        Raises
        ------
        UnreadableFileError
            If the file cannot be parsed.
        """
        with damage_named(self.where(name), _DAMAGED), self._open(name) as stream:
            data = stream.read(LARGEST_FILE_BYTES + 1)
            return _parse(io.BytesIO(data), stop_before_pixels=False, tags=None)

    def _walk(self) -> Iterator[str]:
        def fail(error: OSError) -> None:
            raise error

        for folder, _, files in os.walk(self.source, onerror=fail):
            for file in files:
                yield (Path(folder) / file).relative_to(self.source).as_posix()

    def _is_zip(self) -> bool:
        with self.source.open("rb") as stream:
            start = stream.read(_PREAMBLE_BYTES + 4)
        # A DICOM file may hold a zip (an encapsulated document): its own magic comes first.
        return not start.endswith(b"DICM") and zipfile.is_zipfile(self.source)

    def _open(self, name: str) -> IO[bytes]:
        if self._zip is None:
            path = self._root / name
            size = path.stat().st_size
            stream: IO[bytes] = path.open("rb")
        else:
            # ZipExtFile never yields more than the size that the directory declares.
            size = self._zip.getinfo(name).file_size
            stream = self._zip.open(name)
        if size > LARGEST_FILE_BYTES:
            stream.close()
            raise UnreadableFileError(
                f"holds {size / 2**30:.1f} GiB, more than the {LARGEST_FILE_BYTES / 2**30:g} GiB "
                "allowed for one DICOM file",
                where=self.where(name),
                fix="remove it from the folder if it is no CT",
            )
        return stream


def _is_named_dicom(name: str) -> bool:
    path = PurePosixPath(name)
    # macOS leaves "._NAME" resource forks with the suffix of the file beside it.
    return path.suffix.lower() in _NAMED_DICOM and not path.name.startswith("._")


def _looks_like_dicom(start: bytes) -> bool:
    """Whether a file begins with the DICOM magic, or like a data set that lost its preamble."""
    if start[_PREAMBLE_BYTES:] == b"DICM":
        return True
    if len(start) < 8:
        return False
    group, element = struct.unpack("<HH", start[:4])
    if group not in (0x0002, 0x0008) or element > 0x0018:
        return False
    explicit = start[4:6] in {b"UL", b"UI", b"CS", b"OB", b"DA", b"TM", b"SH"}
    return explicit or int.from_bytes(start[4:8], "little") <= 64


def _parse(stream: IO[bytes], *, stop_before_pixels: bool, tags: Sequence[str] | None) -> Dataset:
    stream.seek(0)
    start = stream.read(1024)
    has_preamble = start[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM"
    stream.seek(0)
    if has_preamble and _DEFLATED in start:
        stream = _inflatable(stream)
    dataset = pydicom.dcmread(
        stream,
        stop_before_pixels=stop_before_pixels,
        force=not has_preamble,
        specific_tags=None if tags is None else list(tags),
    )
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = syntax if little else ExplicitVRBigEndian
    return dataset


def _inflatable(stream: IO[bytes]) -> IO[bytes]:
    """The same bytes, after making sure that a deflated data set does not grow without bound."""
    data = stream.read()
    meta_bytes = int.from_bytes(data[_META_START - 4 : _META_START], "little")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    body = memoryview(data)[_META_START + meta_bytes :]
    inflater.decompress(body, LARGEST_FILE_BYTES)
    if inflater.unconsumed_tail:
        raise OverflowError(f"its deflated data set exceeds {LARGEST_FILE_BYTES / 2**30:g} GiB")
    if not inflater.eof:
        raise EOFError("its deflated data set ends early")
    return io.BytesIO(data)
