"""Which series lie in a folder or zip, from the headers alone, and how to name one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import UID, MediaStorageDirectoryStorage

from scalemai.errors import CaseError, UnknownNameError, UnreadableFileError
from scalemai.io.dicom_files import DicomFiles, damage_named, header_remarks
from scalemai.io.dicom_frames import CT_CLASSES, FRAME_TAGS, Frame, frames_of, lookup, text
from scalemai.io.dicom_stack import median_spacing_mm

__all__ = ["SeriesInfo", "SeriesList", "choose_series", "list_series", "scan_series"]

_SERIES_TAGS = (
    *FRAME_TAGS,
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "Modality",
    "ProtocolName",
    "ContrastBolusAgent",
    "ConvolutionKernel",
)
_PHASE_TAGS = ("SeriesDescription", "ProtocolName", "ContrastBolusAgent")
_LISTED = 8


@dataclass(frozen=True, eq=False)
class SeriesInfo:
    """One series as its headers describe it.

    Attributes
    ----------
    uid, study_uid
        Series and Study Instance UID.
    description, number, modality
        What the scanner called it; ``number`` is None if absent.
    classes
        Names of the SOP classes, for example ``"CT Image Storage"``.
    image_types
        Distinct Image Types, for example ``"ORIGINAL\\\\PRIMARY\\\\AXIAL"``.
    kernel
        Convolution kernel; empty if absent.
    phase_text
        Description, protocol and contrast agent: what tells the contrast phase, as free text.
    n_instances
        Number of files.
    n_images, n_localizers
        Number of images in them (frames of an enhanced file count each), and how many of those
        are scouts.
    rows, columns
        Size of the first image; 0 if the series holds no images.
    spacing_mm
        Spacing (columns, rows, slices) in mm; None where it is not known.
    files
        Relative file names, sorted.
    is_ct
        Whether the series holds CT slices, so that it can be read as a volume.
    frames
        Headers of its CT images, in the order of ``files``.
    """

    uid: str
    study_uid: str
    description: str
    number: int | None
    modality: str
    classes: tuple[str, ...]
    image_types: tuple[str, ...]
    kernel: str
    phase_text: str
    n_instances: int
    n_images: int
    n_localizers: int
    rows: int
    columns: int
    spacing_mm: tuple[float | None, float | None, float | None]
    files: tuple[str, ...]
    is_ct: bool
    frames: tuple[Frame, ...] = field(repr=False)

    def describe(self) -> str:
        """One phrase for messages: what it is, how many slices, its UID."""
        number = "" if self.number is None else f"number {self.number}, "
        slices = self.n_images - self.n_localizers
        many = f"{slices} slices" if self.is_ct else f"{self.n_instances} files"
        return f"{self.modality} {self.description!r} ({number}{many}, uid {self.uid})"


class SeriesList(list[SeriesInfo]):
    """Series, and which files were passed over on the way.

    Attributes
    ----------
    not_dicom
        Relative names of the files that are not DICOM.
    remarks
        What is odd in the headers, one line each.
    """

    def __init__(
        self, series: Iterable[SeriesInfo], not_dicom: Sequence[str], remarks: Sequence[str]
    ) -> None:
        super().__init__(series)
        self.not_dicom = tuple(not_dicom)
        self.remarks = tuple(remarks)


def list_series(source: Path | str) -> SeriesList:
    """Every series below a folder or in a zip, from the headers alone.

    Files may lie in subfolders, in any order, with or without a suffix. A DICOMDIR is passed
    over: the files themselves are asked. Files that are not DICOM are passed over and named in
    :attr:`SeriesList.not_dicom`.

    Parameters
    ----------
    source
        A folder, a zip (read in place), or one DICOM file.

    Returns
    -------
    SeriesList
        Ordered by study, series number and UID.

    Raises
    ------
    UnreadableFileError
        If the source does not exist, or a file that claims to be DICOM cannot be parsed.
    """
    with header_remarks() as remarks, DicomFiles(source) as files:
        found, not_dicom = scan_series(files)
    return SeriesList(found, not_dicom, remarks)


def scan_series(files: DicomFiles) -> tuple[list[SeriesInfo], list[str]]:
    """Series of open files, and the names of those that are not DICOM; see :func:`list_series`."""
    groups: dict[str, list[tuple[str, Dataset]]] = {}
    not_dicom = []
    for name in files.names:
        header = files.header(name, _SERIES_TAGS)
        with damage_named(files.where(name), "the header is damaged"):
            if header is None:
                not_dicom.append(name)
            elif header.file_meta.get("MediaStorageSOPClassUID") != MediaStorageDirectoryStorage:
                uid = _series_uid(header, files.where(name))
                groups.setdefault(uid, []).append((name, header))
    found = []
    for uid, members in groups.items():
        with damage_named(files.where(members[0][0]), "the header is damaged"):
            found.append(_describe(uid, members, files))
    found.sort(key=lambda s: (s.study_uid, s.number is None, s.number or 0, s.uid))
    return found, not_dicom


def choose_series(
    found: Sequence[SeriesInfo], wanted: str | int | None, where: str, n_not_dicom: int = 0
) -> SeriesInfo:
    """The one CT series that is meant.

    Parameters
    ----------
    found
        All series of the source.
    wanted
        Full UID, series number, description, or a prefix of the UID that only one series has;
        None if there must be only one CT series.
    where
        The source, for messages.
    n_not_dicom
        How many files were no DICOM, for messages.

    Raises
    ------
    CaseError
        If several series fit; the message lists them.
    UnknownNameError
        If none fits ``wanted``.
    UnreadableFileError
        If there is no CT series, or the chosen one is not CT; the message lists what was found.
    """
    ct = [series for series in found if series.is_ct]
    if wanted is not None:
        fitting = _fitting(found, str(wanted).strip())
        if not fitting:
            known = [name for s in found for name in (s.uid, s.description) if name]
            raise UnknownNameError("series", str(wanted), known)
    else:
        fitting = ct
    if len(fitting) > 1:
        raise CaseError(
            f"{len(fitting)} series are possible: {_list(fitting)}",
            where=where,
            fix="choose one with series= (its uid, a unique beginning of it, its number or its "
            "description)",
        )
    if not fitting or not fitting[0].is_ct:
        there = _list(fitting or found) if found else "no DICOM images"
        more = f" and {n_not_dicom} files that are not DICOM" if n_not_dicom else ""
        raise UnreadableFileError(
            f"no CT series to read; found {there}{more}",
            where=where,
            fix="give the folder of one CT series",
        )
    return fitting[0]


def _fitting(found: Sequence[SeriesInfo], wanted: str) -> list[SeriesInfo]:
    """Series that a name fits, by the first kind of name under which any does."""
    for fits in (
        lambda s: s.uid == wanted,
        lambda s: s.number is not None and str(s.number) == wanted,
        lambda s: s.description.casefold() == wanted.casefold(),
        lambda s: s.uid.startswith(wanted),
    ):
        fitting = [series for series in found if fits(series)]
        if fitting:
            return fitting
    return []


def _list(series: Sequence[SeriesInfo]) -> str:
    shown = "; ".join(s.describe() for s in series[:_LISTED])
    more = len(series) - _LISTED
    return f"{shown}; and {more} more" if more > 0 else shown


def _series_uid(header: Dataset, where: str) -> str:
    uid = header.get("SeriesInstanceUID")
    if not uid or not header.get("SOPInstanceUID") or not header.get("SOPClassUID"):
        raise UnreadableFileError(
            "the DICOM header ends before the file says what it is and to which series it belongs",
            where=where,
            fix="copy or export it again",
        )
    return str(uid)


def _describe(uid: str, members: Sequence[tuple[str, Dataset]], files: DicomFiles) -> SeriesInfo:
    frames = [
        frame
        for name, header in members
        if header.SOPClassUID in CT_CLASSES
        for frame in frames_of(header, name, files.where(name))
    ]
    slices = [frame for frame in frames if not frame.is_localizer]
    first = members[0][1]
    spacing = next((f.pixel_spacing_mm for f in slices if f.pixel_spacing_mm), (None, None))
    phase = dict.fromkeys(text(lookup(first, tag)) for tag in _PHASE_TAGS)
    types = {"\\".join(frame.image_type) for frame in frames} or {
        text(header.get("ImageType")) for _, header in members
    }
    n_other = sum(1 for _, header in members if header.SOPClassUID not in CT_CLASSES)
    shown = next(iter(slices or frames), None)
    return SeriesInfo(
        uid=uid,
        study_uid=text(first.get("StudyInstanceUID")),
        description=text(first.get("SeriesDescription")),
        number=None if first.get("SeriesNumber") is None else int(first.SeriesNumber),
        modality="/".join(sorted({text(h.get("Modality")) or "unknown" for _, h in members})),
        classes=tuple(sorted({UID(header.SOPClassUID).name for _, header in members})),
        image_types=tuple(sorted(types - {""})),
        kernel=text(lookup(first, "ConvolutionKernel")),
        phase_text=" | ".join(part for part in phase if part),
        n_instances=len(members),
        n_images=len(frames) + n_other,
        n_localizers=len(frames) - len(slices),
        rows=shown.rows if shown else 0,
        columns=shown.columns if shown else 0,
        spacing_mm=(spacing[1], spacing[0], median_spacing_mm(slices)),
        files=tuple(name for name, _ in members),
        is_ct=bool(slices),
        frames=tuple(frames),
    )
