"""The header of a NIfTI file: parsed with distrust, checked, and lent to what is written.

Every field may be damaged or hostile, so nothing is believed (an offset, a shape, a type, two
affines) before it is compared with what the file can hold.
"""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.spatialimages import HeaderDataError

from scalemai.errors import GeometryError, IntensityError, OutputError, UnreadableFileError
from scalemai.geometry import Grid

__all__ = [
    "DAMAGE",
    "PAIRED",
    "affine_source_of",
    "grid_of",
    "header_for",
    "load_header",
    "open_bytes",
    "scaling_of",
    "truncated",
    "voxel_type_of",
]

PAIRED = {".hdr": ".img", ".HDR": ".IMG", ".img": ".hdr", ".IMG": ".HDR"}
"""The suffix of the other half of a header and voxel pair."""

_ISAL_ERROR = cast(type[Exception], isal_zlib.error)  # its stub calls it an instance

DAMAGE = (OSError, EOFError, OverflowError, zlib.error, _ISAL_ERROR)
"""What a damaged or truncated file makes the decompressor raise."""

_SPACING_DISAGREEMENT = 0.02
_MAX_HEADER_BYTES = 1 << 30  # header extensions are kilobytes; more is a damaged vox_offset
_QUIET = np.errstate(all="ignore")  # NaN and overflow are judged below, not by a warning
_SINGLE = (nib.Nifti1Header, nib.Nifti2Header)
_PAIR = (nib.Nifti1Pair.header_class, nib.Nifti2Pair.header_class)


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, unpacked if its content (not its name) is gzip; closed on leaving.

    Raises
    ------
    UnreadableFileError
        If there is no such file, it is empty, or it may not be read.
    """
    try:
        raw = path.open("rb")
    except FileNotFoundError as error:
        raise UnreadableFileError("no such file", where=path) from error
    except IsADirectoryError as error:
        raise UnreadableFileError("is a folder, not a NIfTI file", where=path) from error
    except PermissionError as error:
        fix = "ask for read permission"
        raise UnreadableFileError("may not be read", where=path, fix=fix) from error
    except OSError as error:
        raise UnreadableFileError(f"cannot be opened ({error.strerror})", where=path) from error
    with raw:
        if _is_empty(raw):
            raise UnreadableFileError("is empty (0 bytes)", where=path, fix="copy the file again")
        if not _is_gzip(raw):
            yield raw
            return
        with igzip.open(raw, "rb") as stream:
            yield cast(BinaryIO, stream)


def _is_empty(raw: BinaryIO) -> bool:
    return raw.seek(0, io.SEEK_END) == 0


def _is_gzip(raw: BinaryIO) -> bool:
    raw.seek(0)
    magic = raw.read(2)
    raw.seek(0)
    return magic == b"\x1f\x8b"


def load_header(path: Path) -> Any:
    """The nibabel header of one NIfTI file, or of a .hdr/.img pair named by either half.

    Raises
    ------
    UnreadableFileError
        If it is not NIfTI, is damaged, or says that its voxels start at an impossible byte.
    """
    paired = path.suffix in PAIRED
    header_path = path.with_suffix(PAIRED[path.suffix]) if path.suffix in {".img", ".IMG"} else path
    with open_bytes(header_path) as stream:
        return _parse_header(stream, header_path, _PAIR if paired else _SINGLE)


def _parse_header(stream: BinaryIO, path: Path, kinds: tuple[Any, ...]) -> Any:
    try:
        start = stream.read(540)  # NIfTI-2's header size; NIfTI-1 needs 348
        for kind in kinds:
            if kind.may_contain_header(start):
                fixed = kind(start[: kind.template_dtype.itemsize], check=False)
                block = io.BytesIO(start + _extensions(stream, fixed, path, len(start)))
                with warnings.catch_warnings():
                    # An extension of odd length is harmless: it is carried over as it is.
                    warnings.simplefilter("ignore", UserWarning)
                    return kind.from_fileobj(block, check=False)
    except DAMAGE as error:
        if isinstance(error, UnreadableFileError):
            raise
        raise truncated(path) from error
    except (HeaderDataError, ValueError) as error:
        raise _not_nifti(path) from error
    raise _not_nifti(path)


def _extensions(stream: BinaryIO, fixed: Any, path: Path, done: int) -> bytes:
    """What stands between the fixed fields and the voxels; a pair keeps all of it in .hdr."""
    if not fixed.is_single:
        return stream.read(_MAX_HEADER_BYTES)
    offset = float(fixed["vox_offset"])
    if not fixed.single_vox_offset <= offset <= _MAX_HEADER_BYTES:
        what = f"header says that voxels start at byte {offset:g}"
        raise UnreadableFileError(what, where=path, fix="re-export the series")
    return stream.read(max(int(offset) - done, 0))


def _not_nifti(path: Path) -> UnreadableFileError:
    fix = (
        "give .nii, .nii.gz or a DICOM folder; convert .nrrd and .mha first (3D Slicer, SimpleITK)"
    )
    return UnreadableFileError("is not a NIfTI file", where=path, fix=fix)


def truncated(path: Path, found: int | None = None, expected: int | None = None) -> Exception:
    """The error for a file that ends before its voxels do, or whose checksum is wrong."""
    what = "is truncated or damaged"
    if found is not None and expected is not None:
        what = f"is truncated: {found:,} of {expected:,} bytes of voxels"
    return UnreadableFileError(what, where=path, fix="copy or download the file again")


@_QUIET
def scaling_of(header: Any, path: Path) -> tuple[float, float]:
    """Slope and intercept; (1, 0) where the header says "unscaled".

    Raises
    ------
    IntensityError
        If the slope is a number and the intercept is not.
    """
    try:
        slope, intercept = header.get_slope_inter()
    except HeaderDataError as error:
        what = f"scl_inter is {float(header['scl_inter']):g}"
        fix = "re-export the series with its rescale intercept"
        raise IntensityError(what, where=path, fix=fix) from error
    return (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))


def affine_source_of(header: Any) -> str:
    """Which affine of the header positions the voxels: ``"sform"``, ``"qform"`` or ``"none"``."""
    if int(header["sform_code"]) > 0:
        return "sform"
    return "qform" if int(header["qform_code"]) > 0 else "none"


@_QUIET
def grid_of(header: Any, path: Path) -> Grid:
    """The grid that a header describes; trailing axes of one voxel are dropped.

    Raises
    ------
    GeometryError
        If it is not 3-D, spacing is zero or negative, or its two affines contradict each other.
    """
    shape = tuple(int(n) for n in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) < 3:
        fix = "give the whole volume, not a slice"
        raise GeometryError(f"is {len(shape)}-D {shape}", where=path, fix=fix)
    if len(shape) > 3:
        fix = f"split it into its {shape[3]} volumes and choose one phase"
        raise GeometryError(f"is {len(shape)}-D {shape}", where=path, fix=fix)
    for axis, step in zip("ijk", np.asarray(header["pixdim"][1:4], float), strict=True):
        if not step > 0:
            fix = "re-export the series with its true spacing"
            raise GeometryError(f"spacing is {step:g} mm along {axis}", where=path, fix=fix)
    try:
        affine = np.asarray(header.get_best_affine(), np.float64)
        _refuse_contradiction(header, path)
        return Grid((shape[0], shape[1], shape[2]), affine)
    except GeometryError as error:
        if error.where is None:
            error.where, error.fix = str(path), error.fix or "re-export the series"
        raise
    except (HeaderDataError, ValueError) as error:
        fix = "re-export the series"
        raise GeometryError(f"has no usable affine ({error})", where=path, fix=fix) from error


def _refuse_contradiction(header: Any, path: Path) -> None:
    """Two affines that disagree on size or side: readers would differ, so nobody may guess."""
    sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    if sform is None or qform is None:
        return
    fix = "set sform_code or qform_code to 0 for the wrong one"
    steps = [np.linalg.norm(np.asarray(m, float)[:3, :3], axis=0) for m in (sform, qform)]
    if np.abs(steps[0] / steps[1] - 1).max() > _SPACING_DISAGREEMENT:
        first, second = (" x ".join(f"{s:.3g}" for s in step) for step in steps)
        what = f"sform says {first} mm and qform {second} mm"
        raise GeometryError(what, where=path, fix=fix)
    if (np.einsum("wa,wa->a", sform[:3, :3], qform[:3, :3]) < 0).any():
        ways = " and ".join("".join(nib.aff2axcodes(m)) for m in (sform, qform))
        what = f"sform and qform mirror each other ({ways})"
        raise GeometryError(what, where=path, fix=fix)


def header_for(grid: Grid, lender: Any, dtype: np.dtype[Any], path: Path) -> Any:
    """The header to write: the lender's own fields where it has one, on this grid, in this type.

    Raises
    ------
    OutputError
        If NIfTI has no code for the type or the shape is beyond its limits.
    """
    try:
        header = _blank(grid) if lender is None else _lent(lender, grid)
        header.set_data_dtype(dtype)
    except HeaderDataError as error:
        fix = "convert to int16 or float32 first"
        raise OutputError(f"NIfTI cannot store this ({error})", where=path, fix=fix) from error
    return header


def _blank(grid: Grid) -> Any:
    header: Any = nib.Nifti1Header()
    header.set_data_shape(grid.shape)
    header.set_sform(grid.affine, code=1)
    header.set_qform(grid.affine, code=1, strip_shears=True)
    header.set_xyzt_units("mm")
    return header


def _lent(lender: Any, grid: Grid) -> Any:
    """A copy of the source's header that describes one file on this grid."""
    single = dict(zip(_PAIR, _SINGLE, strict=True)).get(type(lender))
    header = lender.copy() if single is None else _as_single(single, lender)
    if tuple(header.get_data_shape()) != grid.shape:  # setting it resets unused fields
        header.set_data_shape(grid.shape)
    if not Grid(grid.shape, header.get_best_affine()).same_as(grid):  # a crop, for example
        header.set_sform(grid.affine, code=max(int(header["sform_code"]), 1))
        header.set_qform(grid.affine, code=int(header["qform_code"]), strip_shears=True)
    return header


def _as_single(kind: Any, pair: Any) -> Any:
    """The header of one file for the header of a .hdr/.img pair: the same fields, other magic."""
    header = kind(pair.binaryblock, endianness=pair.endianness, check=False)
    header["magic"] = kind().structarr["magic"]
    header.extensions.extend(pair.extensions)
    return header


def voxel_type_of(header: Any, path: Path) -> np.dtype[Any]:
    """The stored type of a voxel, in the byte order of the file.

    Raises
    ------
    UnreadableFileError
        If it is a color, a complex number or an unknown code.
    """
    fix = "give a volume of integers or real numbers"
    try:
        kind: np.dtype[Any] = header.get_data_dtype()
    except KeyError as error:
        what = f"holds voxels of unknown type code {int(header['datatype'])}"
        raise UnreadableFileError(what, where=path, fix=fix) from error
    if kind.kind not in "iuf":
        raise UnreadableFileError(f"holds voxels of type {kind}", where=path, fix=fix)
    return kind
