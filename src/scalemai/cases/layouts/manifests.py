"""Layouts with a ``dataset.json``: the Medical Segmentation Decathlon and nnU-Net v2 raw.

::

    imagesTr/CASE.nii.gz        MSD; nnU-Net appends the channel: CASE_0000.nii.gz
    labelsTr/CASE.nii.gz        label map
    imagesTs/                   further cases, without labels in MSD (nnU-Net: labelsTs)
    dataset.json                label values; MSD also lists the files
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scalemai.anatomy import class_map
from scalemai.cases.entry import CaseEntry, LabelValues, Scan, label_values, named_values
from scalemai.cases.layouts.folders import names_in
from scalemai.cases.paths import inside, nifti_stem
from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError

__all__ = ["MANIFEST", "is_msd", "is_nnunet", "manifest_labels", "scan_msd", "scan_nnunet"]

MANIFEST = "dataset.json"
_NOT_CT = {"mr", "mri", "t1", "t1w", "t1c", "t1gd", "t2", "t2w", "flair", "adc", "dwi", "pet", "us"}


def is_nnunet(root: Path) -> bool:
    """Whether the folder is an nnU-Net v2 raw data set (its manifest names channels)."""
    return (root / MANIFEST).is_file() and "channel_names" in _manifest(root)


def is_msd(root: Path) -> bool:
    """Whether the folder is a task of the Medical Segmentation Decathlon."""
    return (root / MANIFEST).is_file() and "training" in _manifest(root)


def manifest_labels(root: Path) -> LabelValues:
    """What the ``dataset.json`` of a folder says of the values of its label maps.

    nnU-Net copies it beside its predictions, where there are no images.

    Raises
    ------
    UnreadableFileError, ConfigError
        If it cannot be read, or has no table of labels.
    """
    manifest = _manifest(root)
    return _known_task(root, manifest) or _labels(manifest, root / MANIFEST)


def scan_msd(root: Path, labels: LabelValues | None) -> Scan:
    """List the cases that the manifest of an MSD task names.

    Raises
    ------
    ConfigError
        If the manifest is malformed, is not of CT, or names a file outside of the folder.
    """
    manifest, where = _manifest(root), root / MANIFEST
    modality = manifest.get("modality", {"0": "CT"})
    channels = modality if isinstance(modality, dict) else {"0": modality}
    if _ct_channel(channels, where) != 0 or len(channels) != 1:
        fix = "split the channels first and keep the CT"
        raise ConfigError("has several channels in one file", where=where, fix=fix)
    labels = labels or _known_task(root, manifest) or _labels(manifest, where)
    scan = Scan(files=[MANIFEST])
    for item in _list(manifest, "training", where):
        if not isinstance(item, dict):
            raise ConfigError(f"training entry {item!r} is no image and label", where=where)
        image = _relative(root, item.get("image"), where)
        label = _relative(root, item.get("label"), where) if item.get("label") else None
        scan.entries.append(_entry(image, label, labels, "train"))
    for item in _list(manifest, "test", where) if "test" in manifest else ():
        named = item.get("image") if isinstance(item, dict) else item
        scan.entries.append(_entry(_relative(root, named, where), None, labels, "test"))
    return scan


def scan_nnunet(root: Path, labels: LabelValues | None) -> Scan:
    """List the cases of an nnU-Net v2 raw data set: by folder, or as its manifest names them.

    Of several channels the one that is called CT is taken.

    Raises
    ------
    ConfigError
        If the manifest is malformed, no channel is CT, the files are not NIfTI, or a path leads
        outside of the folder.
    """
    manifest, where = _manifest(root), root / MANIFEST
    channel = _ct_channel(manifest["channel_names"], where)
    labels = labels or _labels(manifest, where)
    if "dataset" in manifest:
        entries = list(_named_entries(root, manifest["dataset"], channel, labels))
        return Scan(entries, files=[MANIFEST])
    ending = manifest.get("file_ending", ".nii.gz")
    if ending not in {".nii.gz", ".nii"}:
        fix = "convert the images to .nii.gz first"
        raise ConfigError(f"the images are {ending} files", where=where, fix=fix)
    scan = Scan(files=[MANIFEST])
    for images, masks, split in (
        ("imagesTr", "labelsTr", "train"),
        ("imagesTs", "labelsTs", "test"),
    ):
        tail = f"_{channel:04d}{ending}"
        found = sorted(name for name in names_in(root / images) if name.endswith(tail))
        scan.listed.extend([images] if found else [])
        available = names_in(root / masks)
        for name in found:
            case_id = name.removesuffix(tail)
            label = f"{masks}/{case_id}{ending}" if f"{case_id}{ending}" in available else None
            scan.entries.append(_entry(f"{images}/{name}", label, labels, split, case_id))
        cases = {name.removesuffix(tail) + ending for name in found}
        scan.notes.extend(
            f"{root / masks / name}: is a label map without image; left out"
            for name in sorted(available - cases)
            if name.endswith(ending)
        )
    return scan


def _named_entries(
    root: Path, named: Any, channel: int, labels: LabelValues
) -> Iterator[CaseEntry]:
    where = root / MANIFEST
    if not isinstance(named, dict):
        raise ConfigError("'dataset' is no table of cases", where=where)
    for case_id, item in named.items():
        images = item.get("images") if isinstance(item, dict) else None
        if not isinstance(images, list) or len(images) <= channel:
            what = f"case {case_id!r} does not list its images"
            raise ConfigError(what, where=where, fix="list one file per channel")
        image = _relative(root, images[channel], where)
        label = _relative(root, item["label"], where) if item.get("label") else None
        yield _entry(image, label, labels, "train", case_id)


def _entry(
    image: str, label: str | None, labels: LabelValues, split: str, case_id: str | None = None
) -> CaseEntry:
    name = image.rpartition("/")[2]
    return CaseEntry(
        id=case_id or nifti_stem(name) or name,
        ct=image,
        label_map=label,
        labels=labels if label else None,
        metadata={"split": split},
    )


def _relative(root: Path, named: object, where: Path) -> str:
    return inside(root, named, where=where).relative_to(root).as_posix()


def _manifest(root: Path) -> dict[str, Any]:
    path = root / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        what = f"cannot be read as JSON ({error})"
        raise UnreadableFileError(what, where=path, fix="restore the manifest") from error
    if not isinstance(data, dict):
        raise ConfigError("is no JSON object", where=path, fix="restore the manifest")
    return data


def _list(manifest: Mapping[str, Any], key: str, where: Path) -> list[Any]:
    if not isinstance(manifest.get(key), list):
        raise ConfigError(f"{key!r} is no list", where=where, fix="restore the manifest")
    items: list[Any] = manifest[key]
    return items


def _ct_channel(channels: Any, where: Path) -> int:
    if not isinstance(channels, dict) or not all(str(key).isdecimal() for key in channels):
        raise ConfigError("the channels are no table of number and name", where=where)
    names = {int(key): str(name).strip().lower() for key, name in channels.items()}
    ct = [number for number, name in names.items() if name == "ct" or name.startswith("ct ")]
    if len(ct) == 1:
        return ct[0]
    # nnU-Net's name of a channel may also be its normalization ("noNorm").
    if len(names) == 1 and not names.keys() - {0} and not set(names.values()) & _NOT_CT:
        return 0
    fix = "give a data set of CT, or name its channel 'CT'"
    raise ConfigError(f"no channel is CT: {', '.join(names.values())}", where=where, fix=fix)


def _labels(manifest: Mapping[str, Any], where: Path) -> LabelValues:
    """Both spellings: MSD maps value to name, nnU-Net name to value or to a list of values."""
    labels = manifest.get("labels")
    if not isinstance(labels, dict):
        raise ConfigError("'labels' is no table", where=where, fix="restore the manifest")
    pairs: list[tuple[str, list[int]]] = []
    for key, value in labels.items():
        name, numbers = (value, key) if isinstance(value, str) and key.isdecimal() else (key, value)
        listed = numbers if isinstance(numbers, list) else [numbers]
        if not all(str(number).isdecimal() for number in listed):
            what = f"the label values of {name!r} are {numbers!r}"
            raise ConfigError(what, where=where, fix="write whole numbers")
        values = [int(number) for number in listed]
        if values != [0]:  # the background
            pairs.append((name, values))
    return named_values(str(where), pairs)


def _known_task(root: Path, manifest: Mapping[str, Any]) -> LabelValues | None:
    """The class map of an MSD task that is known, which also tells that a tumor is organ.

    It is taken only if its values are those of the manifest."""
    labels = manifest.get("labels")
    values = {str(key) for key in labels} - {"0"} if isinstance(labels, dict) else set()
    for name in (root.name, str(manifest.get("name", ""))):
        try:
            known = class_map(name)
        except UnknownNameError:
            continue
        if {str(value) for value in known.labels} == values:
            return label_values(known)
    return None
