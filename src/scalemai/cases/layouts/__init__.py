"""Layouts: how data sets lay out their files. Content decides which one a folder has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scalemai.cases.entry import LabelValues, Scan
from scalemai.cases.layouts.dicom import is_dicom, scan_dicom
from scalemai.cases.layouts.folders import (
    is_abdomenatlas,
    is_case_folder,
    is_folders,
    is_pants,
    is_totalsegmentator,
    names_in,
    scan_abdomenatlas,
    scan_case_folder,
    scan_folders,
    scan_pants,
    scan_totalsegmentator,
)
from scalemai.cases.layouts.manifests import is_msd, is_nnunet, scan_msd, scan_nnunet
from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError

__all__ = ["LAYOUTS", "Layout", "detect", "layout_named"]


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to lay out a data set.

    Parameters
    ----------
    name
        Short name, as users give it.
    looks_for
        By what it is recognized, for the message when nothing fits.
    recognizes
        Whether a folder has this layout; reads listings and manifests only.
    scan
        Find all cases of a folder.
    """

    name: str
    looks_for: str
    recognizes: Callable[[Path], bool]
    scan: Callable[[Path, LabelValues | None], Scan]


# The order is that of recognition: the more particular comes first.
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("nnunet", "dataset.json with channel_names", is_nnunet, scan_nnunet),
        Layout("msd", "dataset.json with a training list", is_msd, scan_msd),
        Layout("case", "ct.nii.gz", is_case_folder, scan_case_folder),
        Layout("pants", "ImageTr/ or PanTS_*/ct.nii.gz", is_pants, scan_pants),
        Layout(
            "abdomenatlas",
            "BDMAP_*/ct.nii.gz, also below image_only/ or ct/",
            is_abdomenatlas,
            scan_abdomenatlas,
        ),
        Layout("totalsegmentator", "sNNNN/ct.nii.gz", is_totalsegmentator, scan_totalsegmentator),
        Layout("folders", "*/ct.nii.gz", is_folders, scan_folders),
        Layout("dicom", "DICOM files", is_dicom, scan_dicom),
    )
}


def layout_named(name: str) -> Layout:
    """Return a layout by name.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    try:
        return LAYOUTS[name]
    except KeyError:
        raise UnknownNameError("layout", name, LAYOUTS) from None


def detect(root: Path) -> Layout:
    """Tell which layout a folder has, by its content.

    Raises
    ------
    UnreadableFileError
        If there is no such folder.
    ConfigError
        If no layout fits; the message lists what was looked for and what is there.
    """
    if not root.is_dir():
        raise UnreadableFileError("no such folder", where=root, fix="check the path")
    for layout in LAYOUTS.values():
        if layout.recognizes(root):
            return layout
    found = sorted(names_in(root))
    shown = ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
    looked = "; ".join(f"{layout.looks_for} ({layout.name})" for layout in LAYOUTS.values())
    what = f"is no layout that is known: looked for {looked}; found {shown or 'nothing'}"
    fix = "give the folder that holds the cases, or one CT file with labels= or masks="
    raise ConfigError(what, where=root, fix=fix)
