"""Look at whatever a user has: a NIfTI file, a DICOM folder or zip, a case, a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scalemai import anatomy
from scalemai.case import Case
from scalemai.cases import open_cases
from scalemai.errors import (
    CaseError,
    ConfigError,
    IntensityError,
    MissingExtraError,
    UnreadableFileError,
)
from scalemai.geometry import Grid
from scalemai.inspection.numbers import (
    class_maps_of,
    count_labels,
    describe_labels,
    looks_like_labels,
    summarize,
)
from scalemai.inspection.oddities import (
    odd_affines,
    odd_geometry,
    odd_header,
    odd_numbers,
    refusal,
)
from scalemai.inspection.report import FileReport, LabelReport
from scalemai.io.nifti import is_nifti_name, read_labels, read_volume
from scalemai.io.nifti_header import grid_of, load_header, open_bytes, voxel_type_of
from scalemai.plausibility import check_ct, check_mask_on_ct
from scalemai.volume import Volume

__all__ = ["inspect_file"]

_CASES_LISTED = 20
_HEADER_FIELDS = ("sform_code", "qform_code", "intent_code", "cal_min", "cal_max")


def inspect_file(path: Path | str, *, class_map: str | None = None) -> FileReport:
    """Say what a file or folder holds, and what is odd about it.

    What can be told is told: of a damaged or contradictory NIfTI file the header, with the damage
    as a warning.

    Parameters
    ----------
    path
        NIfTI file; file, folder or zip of DICOM; case folder; data set or its index.
    class_map
        What the label maps of a case folder or data set mean, if that must be said.

    Raises
    ------
    UnreadableFileError
        If there is no such file, or it is of no known format.
    """
    path = Path(path)
    if not path.exists():
        raise UnreadableFileError("no such file or folder", where=path, fix="check the path")
    if path.is_file() and is_nifti_name(path):
        return _inspect_nifti(path)
    if path.is_file() and path.suffix.lower() in {".nrrd", ".mha", ".mhd", ".nhdr"}:
        load_header(path)  # says that it is not NIfTI and how to convert it
    if path.is_file() and path.suffix.lower() != ".parquet":
        return _inspect_dicom(path)
    try:
        dataset = open_cases(path, class_map=class_map)
    except ConfigError as error:
        raise UnreadableFileError(error.what, where=path, fix=error.fix) from error
    if dataset.layout == "dicom":
        return _inspect_dicom(path)
    if len(dataset) == 1:
        return _inspect_case(path, next(iter(dataset)), dataset.layout)
    more = len(dataset) - _CASES_LISTED
    ids = list(dataset.ids)[:_CASES_LISTED]
    return FileReport(
        path=path,
        kind="data set",
        format=f"layout {dataset.layout}, {len(dataset)} cases",
        contents=(*ids, f"and {more} more") if more > 0 else tuple(ids),
        warnings=dataset.notes,
    )


# --- NIfTI ---------------------------------------------------------------------------------


def _inspect_nifti(path: Path) -> FileReport:
    header = load_header(path)
    facts: dict[str, Any] = {
        "path": path,
        "format": _nifti_format(header, path),
        "shape": tuple(int(n) for n in header.get_data_shape()),
        "header": _header_facts(header),
    }
    warnings = list(odd_header(header))
    if path.suffix.lower() == ".gz" and "gzip" not in facts["format"]:
        warnings.append("is not compressed although its name ends in .gz; some readers refuse it")
    try:
        facts["dtype"] = str(voxel_type_of(header, path))
        facts["grid"] = grid = grid_of(header, path)
        warnings += [*odd_affines(header, grid), *odd_geometry(grid)]
        volume = read_volume(path)
    except CaseError as error:
        return FileReport(**facts, kind="volume", warnings=(*warnings, refusal(error)))
    facts |= {"scaling": (volume.slope, volume.intercept), "numbers": summarize(volume)}
    labels = _labels(path) if looks_like_labels(volume.stored) else None
    if labels is None:
        kind, odd = _scan_kind(volume)
        return FileReport(**facts, kind=kind, warnings=(*warnings, *odd))
    return _label_report(facts, warnings, labels, grid, volume)


def _nifti_format(header: Any, path: Path) -> str:
    version = "NIfTI-2" if int(header["sizeof_hdr"]) == 540 else "NIfTI-1"
    if not header.is_single:
        return f"{version}, .hdr and .img"
    with open_bytes(path) as stream:
        packed = type(stream).__module__.startswith("isal")
    return f"{version}, gzip" if packed else version


def _header_facts(header: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {name: header[name].item() for name in _HEADER_FIELDS}
    space, time = header.get_xyzt_units()
    fields |= {"unit": space, "time_unit": time, "endianness": header.endianness}
    fields |= {"scl_slope": float(header["scl_slope"]), "scl_inter": float(header["scl_inter"])}
    note = header["descrip"].item().decode("latin-1").strip()
    if note:
        fields["descrip"] = note
    if header.extensions:
        fields["extensions"] = len(header.extensions)
    return fields


def _labels(path: Path) -> np.ndarray[Any, Any] | None:
    try:
        return read_labels(path)[0]
    except IntensityError:
        return None


def _label_report(
    facts: dict[str, Any],
    warnings: list[str],
    labels: np.ndarray[Any, Any],
    grid: Grid,
    volume: Volume,
) -> FileReport:
    values = set(count_labels(labels)) - {0}
    guesses = class_maps_of(values)
    names = anatomy.class_map(guesses[0]).labels if len(guesses) == 1 else {}
    found = describe_labels(labels, grid, names)
    if not values:
        warnings.append("the mask is empty")
    elif len(values) == 1 and values != {1}:
        warnings.append(f"the mask is drawn with {values.pop()}, not 1; any value above 0 counts")
    if volume.stored.dtype.kind == "f":
        warnings.append(f"labels are stored as {volume.stored.dtype}")
        if summarize(volume).get("max", 0.0) % 1:
            warnings.append("values are not quite whole: a soft mask, cut at one half")
    kind = "mask" if len(found) < 2 else "label map"
    return FileReport(
        **facts, kind=kind, labels=found, class_maps=guesses, warnings=tuple(warnings)
    )


def _scan_kind(volume: Volume) -> tuple[str, list[str]]:
    odd = list(odd_numbers(volume))
    try:
        check_ct(volume)
    except CaseError as error:
        return "volume", [*odd, refusal(error)]
    return "CT", odd


# --- DICOM, cases --------------------------------------------------------------------------


def _inspect_dicom(path: Path) -> FileReport:
    # pydicom takes long to import, and most files are NIfTI.
    from scalemai.io.dicom import list_series, read_series

    series = list_series(path)
    if not series:
        fix = "give NIfTI, DICOM, a case folder or a data set"
        raise UnreadableFileError("holds no DICOM", where=path, fix=fix)
    facts: dict[str, Any] = {"path": path, "format": f"{len(series)} series"}
    contents = tuple(one.describe() for one in series)
    warnings = list(series.remarks)
    if series.not_dicom:
        warnings.append(f"{len(series.not_dicom)} files are not DICOM: {series.not_dicom[0]}, ...")
    if sum(one.is_ct for one in series) == 1:
        try:
            volume = read_series(path)
        except (CaseError, MissingExtraError) as error:
            warnings.append(refusal(error))
        else:
            warnings += [*odd_geometry(volume.grid), *_scan_kind(volume)[1]]
            facts |= {"grid": volume.grid, "shape": volume.grid.shape}
            facts |= {"dtype": str(volume.stored.dtype), "numbers": summarize(volume)}
    return FileReport(**facts, kind="DICOM", contents=contents, warnings=tuple(warnings))


def _inspect_case(path: Path, case: Case, layout: str) -> FileReport:
    form = f"layout {layout}, CT {case.ct.name}"
    facts: dict[str, Any] = {"path": path, "kind": "case", "format": form}
    try:
        volume = case.volume()
    except CaseError as error:
        return FileReport(**facts, warnings=(refusal(error),))
    facts |= {"grid": volume.grid, "shape": volume.grid.shape, "dtype": str(volume.stored.dtype)}
    facts |= {"scaling": (volume.slope, volume.intercept), "numbers": summarize(volume)}
    warnings = [*odd_geometry(volume.grid), *odd_numbers(volume)]
    if case.unrecognized:
        warnings.append(f"names that are not known: {', '.join(case.unrecognized)}")
    labels = []
    for name in case.structures:
        try:
            mask = case.mask(name, on=volume.grid)
            voxels = int(np.count_nonzero(mask.array))
            labels.append(LabelReport(name, None, voxels, round(mask.volume_ml, 4)))
            check_mask_on_ct(mask, volume)
        except CaseError as error:
            warnings.append(refusal(error))
    return FileReport(**facts, labels=tuple(labels), warnings=tuple(warnings))
