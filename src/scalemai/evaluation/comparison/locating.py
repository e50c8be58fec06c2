"""Which files hold the results of which algorithm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.evaluation.spreadsheet import csv_text

__all__ = ["DETECTION", "Located", "locate"]

DETECTION = {
    "auroc": "patients",
    "sensitivity": "patients",
    "specificity": "patients",
    "lesion_sensitivity": "lesions",
    "froc": "candidates",
}
"""Metrics of detectors, and the table of ours that they are of."""

_TABLE = "structures"
_ENDINGS = (".parquet", ".csv")


@dataclass(frozen=True, slots=True)
class Located:
    """Results of an algorithm on disk.

    Parameters
    ----------
    algorithm
        Its name: the one that was given, else the name of its folder or file, with as many
        folders above as it takes to tell it from the others.
    path
        The file, or the folder of one of our evaluations.
    own
        Whether it is one of our tables; a published CSV otherwise.
    named
        Whether the name was given.
    """

    algorithm: str
    path: Path
    own: bool
    named: bool = False


def locate(
    results: Sequence[str | Path], metric: str
) -> tuple[tuple[Located, ...], tuple[str, ...]]:
    """Find the results of every algorithm.

    Parameters
    ----------
    results
        Each is a folder that holds ``METRIC.csv`` or a table of ours; a folder of such folders;
        or a file. ``NAME=PATH`` gives an algorithm its name.
    metric
        Name of the metric, as ``"dsc"``.

    Returns
    -------
    tuple
        The algorithms in the order given, folders within a folder by name; and remarks about
        folders that hold nothing to compare.

    Raises
    ------
    ConfigError
        If a path has no results, is given twice, or two algorithms were given one name.
    UnreadableFileError
        If a path does not exist.
    """
    found: list[Located] = []
    notes: list[str] = []
    for text in results:
        name, path = _named(text)
        here = _in(path, metric)
        if here is not None:
            found.append(Located(name or _own_name(path, metric), here, _is_own(here), bool(name)))
            continue
        below = _below(path, metric, notes)
        if name and len(below) != 1:
            what = f"is the name of {len(below)} algorithms below {path}"
            raise ConfigError(what, where=name, fix="give the folder of one algorithm")
        found += [
            Located(name or folder.name, file, _is_own(file), bool(name)) for folder, file in below
        ]
    _refuse_same_file(found)
    return tuple(_told_apart(found)), tuple(notes)


def _named(text: str | Path) -> tuple[str, Path]:
    if isinstance(text, str) and "=" in text and not Path(text).exists():
        name, _, path = text.partition("=")
        if not name.strip():
            raise ConfigError("gives no name before '='", where=text, fix="write NAME=PATH")
        return name.strip(), _existing(Path(path))
    return "", _existing(Path(text))


def _existing(path: Path) -> Path:
    if not path.exists():
        raise UnreadableFileError("does not exist", where=path, fix="check the path")
    return path


def _in(path: Path, metric: str) -> Path | None:
    """The results in a file or directly in a folder."""
    if path.is_file():
        return path
    entries = {entry.name.lower(): entry for entry in sorted(path.iterdir()) if entry.is_file()}
    names: tuple[str, ...] = (_TABLE, metric.lower())
    if metric in DETECTION:
        names = (DETECTION[metric], *reversed(names))
    for name in names:
        for ending in _ENDINGS:
            if f"{name}{ending}" in entries:
                return entries[f"{name}{ending}"]
    return None


def _below(path: Path, metric: str, notes: list[str]) -> list[tuple[Path, Path]]:
    """Folders of algorithms in a folder, with the results of each."""
    folders = [
        entry for entry in sorted(path.iterdir()) if entry.is_dir() and entry.name[0] not in "._"
    ]
    found = [(folder, file) for folder in folders if (file := _in(folder, metric)) is not None]
    if not found:
        there = sorted({file.stem for file in [*path.glob("*.csv"), *path.glob("*/*.csv")]})
        known = f"has {', '.join(there[:6])}; " if there else ""
        raise ConfigError(
            f"holds no {metric}.csv and no table of ours, nor do the folders in it",
            where=path,
            fix=f"{known}give --metric one of what is there",
        )
    left_out = sorted({folder.name for folder in folders} - {folder.name for folder, _ in found})
    if left_out:
        names = ", ".join(left_out[:5]) + (", ..." if len(left_out) > 5 else "")
        notes.append(f"{path}: no {metric} in {len(left_out)} of {len(folders)} folders ({names})")
    return found


def _is_own(file: Path) -> bool:
    """Whether a file is one of our tables; a CSV tells by its heading, whatever its name."""
    if file.suffix.lower() == ".parquet":
        return True
    text, separator = csv_text(file)
    heading = text.split("\n", 1)[0].split(separator)
    return {"case", "structure"} <= {name.strip(' "\r') for name in heading}


def _own_name(path: Path, metric: str) -> str:
    if path.is_file() and path.stem.lower() not in (_TABLE, metric.lower(), DETECTION.get(metric)):
        return path.stem
    folder = path.parent if path.is_file() else path
    return folder.name or folder.resolve().name


def _refuse_same_file(found: Sequence[Located]) -> None:
    seen: dict[Path, Located] = {}
    for one in found:
        file = one.path.resolve()
        if file in seen:
            raise ConfigError("is given twice", where=one.path, fix="give each algorithm once")
        seen[file] = one


def _told_apart(found: Sequence[Located]) -> list[Located]:
    """Lengthen names that collide by the folders above, until they differ."""
    given = Counter(one.algorithm for one in found if one.named)
    for name, times in given.items():
        if times > 1:
            raise ConfigError("names two algorithms", where=name, fix="give each its own name")
    names = [one.algorithm for one in found]
    places = [one.path.resolve().parts for one in found]
    for depth in range(2, max((len(parts) for parts in places), default=2) + 1):
        twice = {name for name, times in Counter(names).items() if times > 1}
        if not twice:
            break
        names = [
            # The last part is the file; what precedes it is the folder that gave the name.
            "/".join((*parts[-1 - depth : -2], one.algorithm))
            if one.algorithm in {n.rsplit("/", 1)[-1] for n in twice} and not one.named
            else name
            for name, one, parts in zip(names, found, places, strict=True)
        ]
    return [
        Located(name, one.path, one.own, one.named) for name, one in zip(names, found, strict=True)
    ]
