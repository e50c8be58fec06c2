"""NIfTI in and out, with an accelerated gzip and the source's own header.

nibabel parses and writes headers; the voxels go straight from the decompressor (ISA-L) into the
array that is returned, in the file's own type. Content decides, not the name: a plain NIfTI called
``.nii.gz`` is read.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from scalemai.errors import GeometryError, IntensityError, UnreadableFileError
from scalemai.geometry import Grid
from scalemai.io.atomic import atomic_path
from scalemai.volume import Mask, Volume

__all__ = [
    "is_nifti_name",
    "read_grid",
    "read_labels",
    "read_mask",
    "read_volume",
    "write_labels",
    "write_mask",
    "write_volume",
]

_CHUNK_BYTES = 4 << 20
_CT_LEVEL = 2  # ISA-L level 2: within 5 % of zlib-ng's best size at 3-5 times its speed
_MASK_LEVEL = 3
_SPACING_DISAGREEMENT = 0.02
_ISAL_ERROR = cast(type[Exception], isal_zlib.error)  # its stub calls it an instance
_DAMAGE = (OSError, EOFError, zlib.error, _ISAL_ERROR)
_ENDINGS = (".nii", ".nii.gz", ".hdr", ".img")


def is_nifti_name(path: Path) -> bool:
    """Whether the name ends like a NIfTI file (.nii, .nii.gz, .hdr, .img)."""
    return path.name.lower().endswith(_ENDINGS)


def read_grid(path: Path) -> Grid:
    """The grid of a NIfTI file, from its header alone.

    Raises
    ------
    UnreadableFileError
        If the file is missing or is not NIfTI.
    GeometryError
        If it is not 3-D, spacing is zero or negative, or its two affines contradict each other.
    """
    path = Path(path)
    return _grid(_load_header(path), path)


def read_volume(path: Path) -> Volume:
    """Read a NIfTI CT as it is stored: same numbers, type, scaling and header.

    Raises
    ------
    UnreadableFileError
        If the file is missing, truncated or not NIfTI.
    GeometryError
        If it is not 3-D or its geometry is impossible.
    """
    path = Path(path)
    header, stored = _read(path)
    slope, intercept = _scaling(header)
    metadata = {"affine_from": _affine_source(header)}
    return Volume(stored, _grid(header, path), slope, intercept, path, metadata, header)


def read_labels(path: Path) -> tuple[NDArray[Any], Grid]:
    """Read a label map: integer array (i, j, k), smallest unsigned type that holds it, and grid.

    Raises
    ------
    IntensityError
        If the values are not whole non-negative numbers.
    """
    path = Path(path)
    header, stored = _read(path)
    slope, intercept = _scaling(header)
    if stored.dtype.kind == "f" or (slope, intercept) != (1.0, 0.0):
        values = stored.astype(np.float64) * slope + intercept
        rounded = np.rint(values)
        if not np.isfinite(values).all() or np.abs(values - rounded).max(initial=0.0) > 1e-2:
            fix = "give a label map, or threshold the probability map first"
            raise IntensityError("values are not whole numbers", where=path, fix=fix)
        stored = rounded.astype(np.int64)
    low, high = int(stored.min()), int(stored.max())
    if low < 0:
        raise IntensityError(
            f"label {low} is negative", where=path, fix="labels are 0 and above; is this the CT?"
        )
    kind = np.min_scalar_type(high)
    return stored.astype(kind, copy=False), _grid(header, path)


def read_mask(path: Path, name: str = "") -> Mask:
    """Read one structure as a boolean mask: any value above one half is inside.

    Accepts 0/1, 0/255 and soft masks of any numeric type.
    """
    path = Path(path)
    header, stored = _read(path)
    slope, intercept = _scaling(header)
    if stored.dtype.kind in "iu" and (slope, intercept) == (1.0, 0.0):
        inside = stored > 0
    else:
        inside = stored * slope + intercept > 0.5
    return Mask(inside, _grid(header, path), name, path)


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume so that it overlays what was read: grid, type, scaling and header codes.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing half-written is left.
    """
    header = _header_for(volume.grid, volume.header, volume.stored.dtype)
    # The standard's way to say "unscaled" varies (0, NaN, 1); keep the source's way.
    if (volume.slope, volume.intercept) != _scaling(header):
        header["scl_slope"], header["scl_inter"] = volume.slope, volume.intercept
    _write(Path(path), header, volume.stored, _CT_LEVEL)


def write_mask(path: Path, mask: Mask, like: Volume | None = None) -> None:
    """Write a mask as uint8 0/1; ``like`` lends its header so that the two overlay exactly."""
    write_labels(path, mask.array.astype(np.uint8), mask.grid, like)


def write_labels(path: Path, labels: NDArray[Any], grid: Grid, like: Volume | None = None) -> None:
    """Write an integer label map, shape (i, j, k); ``like`` lends its header.

    Raises
    ------
    GeometryError
        If the array is not of the grid's shape.
    OutputError
        If the file cannot be written.
    """
    if labels.shape != grid.shape:
        raise GeometryError(f"labels {labels.shape} on a grid {grid.shape}", where=path)
    lender = like.header if like is not None and like.grid.same_as(grid) else None
    header = _header_for(grid, lender, labels.dtype)
    header["scl_slope"], header["scl_inter"] = 1.0, 0.0
    header["cal_min"], header["cal_max"] = 0.0, 0.0
    _write(Path(path), header, labels, _MASK_LEVEL)


# --- headers -------------------------------------------------------------------------------


def _open(path: Path) -> BinaryIO:
    try:
        raw = path.open("rb")
    except FileNotFoundError as error:
        raise UnreadableFileError("no such file", where=path) from error
    except IsADirectoryError as error:
        raise UnreadableFileError("is a folder, not a NIfTI file", where=path) from error
    except PermissionError as error:
        fix = "ask for read permission"
        raise UnreadableFileError("may not be read", where=path, fix=fix) from error
    magic = raw.read(2)
    raw.seek(0)
    if not magic:
        raw.close()
        raise UnreadableFileError("is empty (0 bytes)", where=path, fix="copy the file again")
    if magic == b"\x1f\x8b":
        stream: BinaryIO = igzip.open(raw, "rb")
        return stream
    return raw


def _load_header(path: Path) -> Any:
    if path.suffix.lower() in {".hdr", ".img"}:
        try:
            return nib.load(path).header
        except (OSError, ImageFileError, HeaderDataError) as error:
            raise _not_nifti(path) from error
    with _open(path) as stream:
        return _parse_header(stream, path)


def _parse_header(stream: BinaryIO, path: Path) -> Any:
    try:
        start = stream.read(540)  # NIfTI-2's header size; NIfTI-1 needs 348
        rest = b""
        for kind in (nib.Nifti1Header, nib.Nifti2Header):
            if kind.may_contain_header(start):
                offset = int(kind(start[: kind.template_dtype.itemsize], check=False)["vox_offset"])
                rest = stream.read(max(offset - len(start), 0))
                block = io.BytesIO(start + rest)
                return kind.from_fileobj(block, check=False)
    except _DAMAGE as error:
        raise _truncated(path) from error
    except (HeaderDataError, ValueError) as error:
        raise _not_nifti(path) from error
    raise _not_nifti(path)


def _not_nifti(path: Path) -> UnreadableFileError:
    fix = (
        "give .nii, .nii.gz or a DICOM folder; convert .nrrd and .mha first (3D Slicer, SimpleITK)"
    )
    return UnreadableFileError("is not a NIfTI file", where=path, fix=fix)


def _truncated(path: Path, found: int | None = None, expected: int | None = None) -> Exception:
    what = "is truncated or damaged"
    if found is not None and expected is not None:
        what = f"is truncated: {found:,} of {expected:,} bytes of voxels"
    return UnreadableFileError(what, where=path, fix="copy or download the file again")


def _scaling(header: Any) -> tuple[float, float]:
    slope, intercept = header.get_slope_inter()
    return (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))


def _affine_source(header: Any) -> str:
    if int(header["sform_code"]) > 0:
        return "sform"
    return "qform" if int(header["qform_code"]) > 0 else "none"


def _grid(header: Any, path: Path) -> Grid:
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
    if np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
        raise GeometryError("sform and qform mirror each other", where=path, fix=fix)


def _header_for(grid: Grid, lender: Any, dtype: np.dtype[Any]) -> Any:
    if lender is None:
        header: Any = nib.Nifti1Header()
        header.set_data_shape(grid.shape)
        header.set_sform(grid.affine, code=1)
        header.set_qform(grid.affine, code=1, strip_shears=True)
        header.set_xyzt_units("mm")
    else:
        single = {
            nib.nifti1.Nifti1PairHeader: nib.Nifti1Header,
            nib.nifti2.Nifti2PairHeader: nib.Nifti2Header,
        }
        kind = single.get(type(lender))
        header = lender.copy() if kind is None else _as_single(kind, lender)
        if tuple(header.get_data_shape()) != grid.shape:  # setting it resets unused fields
            header.set_data_shape(grid.shape)
    header.set_data_dtype(dtype)
    return header


def _as_single(kind: Any, pair: Any) -> Any:
    """The header of one file for the header of a .hdr/.img pair: the same fields, other magic."""
    header = kind(pair.binaryblock, endianness=pair.endianness, check=False)
    header["magic"] = kind().structarr["magic"]
    header.extensions.extend(pair.extensions)
    return header


# --- voxels --------------------------------------------------------------------------------


def _read(path: Path) -> tuple[Any, NDArray[Any]]:
    if path.suffix.lower() in {".hdr", ".img"}:
        header = _load_header(path)
        grid = _grid(header, path)
        stored = np.asarray(nib.load(path).dataobj.get_unscaled())
        return header, stored.reshape(grid.shape, order="F")
    with _open(path) as stream:
        header = _parse_header(stream, path)
        grid = _grid(header, path)
        kind = header.get_data_dtype()
        if kind.kind not in "iuf":
            fix = "give a volume of integers or real numbers"
            raise UnreadableFileError(f"holds voxels of type {kind}", where=path, fix=fix)
        # A header that claims more than any file holds must not exhaust memory before the
        # data run out: the array's pages are touched only as the bytes arrive.
        stored = np.empty(grid.shape, dtype=kind, order="F")
        view = stored.reshape(-1, order="F").view(np.uint8).data
        offset = int(header["vox_offset"])
        try:
            stream.seek(offset)
            done = 0
            while done < len(view):
                count = stream.readinto(view[done : done + _CHUNK_BYTES])  # type: ignore[attr-defined]  # typeshed's BinaryIO lacks it
                if not count:
                    raise _truncated(path, done, len(view))
                done += count
        except _DAMAGE as error:
            if isinstance(error, UnreadableFileError):
                raise
            raise _truncated(path) from error
    return header, stored


def _write(path: Path, header: Any, stored: NDArray[Any], level: int) -> None:
    ordered = np.asfortranarray(stored)
    view = ordered.reshape(-1, order="F").view(np.uint8).data
    with atomic_path(path) as temporary, temporary.open("wb") as raw:
        if path.name.lower().endswith(".gz"):
            # No name and no time in the gzip header: the same voxels give the same bytes.
            with igzip.IGzipFile("", "wb", level, fileobj=raw, mtime=0) as packed:
                _stream(packed, header, view)
        else:
            _stream(raw, header, view)


def _stream(target: Any, header: Any, view: memoryview) -> None:
    block = io.BytesIO()
    header.set_data_offset(0)  # nibabel then counts the extensions in
    header.write_to(block)
    head = block.getvalue()
    offset = int(header.get_data_offset())
    target.write(head + b"\0" * (offset - len(head)))
    for start in range(0, len(view), _CHUNK_BYTES):
        target.write(view[start : start + _CHUNK_BYTES])
