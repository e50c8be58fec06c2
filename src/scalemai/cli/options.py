"""From the words of the command line to the things of the library."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalemai.errors import ConfigError

if TYPE_CHECKING:
    from scalemai.cases import Dataset
    from scalemai.cases.phantom import LesionDraw
    from scalemai.synthesis.files import Request

__all__ = [
    "make_request",
    "number_of_phantoms",
    "open_dataset",
    "parse_shard",
    "phantom_folder",
    "phantom_hosts",
    "reading_of",
    "write_phantom_cases",
]

_OTHER_FORMATS = {".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".npz", ".npy"}
_MOST_LESIONS = 50


def make_request(
    organs: str | None,
    diameter: str | None,
    count: str | None,
    *,
    kind: str | None,
    form: str | None,
    site: str | None,
    at: str | None,
    contrast_hu: float | None,
    settings: Sequence[str] = (),
    words: str | None = None,
    population: Path | None = None,
    seed: int,
) -> Request:
    """What is asked of every case, from the options' texts.

    Raises
    ------
    ConfigError
        Naming the option that is wrong.
    """
    from scalemai.synthesis.files import Request
    from scalemai.synthesis.spec import LesionSpec, parse_range

    given = {
        "--organ": organs, "--diameter": diameter, "--count": count, "--kind": kind,
        "--form": form, "--site": site, "--at": at, "--contrast-hu": contrast_hu,
        "--set": settings or None,
    }  # fmt: skip
    for option, source in (("--describe", words), ("--population", population)):
        if source is not None:
            others = [name for name, value in given.items() if value is not None]
            if option == "--describe" and population is not None:
                others.append("--population")
            if others:
                fix = f"leave out {', '.join(others)}"
                raise ConfigError("says which lesions are wanted", where=option, fix=fix)
    if words is not None:
        from scalemai.synthesis.words.language import parse_description

        told = parse_description(words)
        return Request(specs=told.specs, counts=told.counts, seed=seed)
    if population is not None:
        from scalemai.synthesis.populations.population import read_population

        return Request(population=read_population(population), seed=seed)
    low, high = _parse_count("1" if count is None else count)
    names = [name.strip() for name in (organs or "liver").split(",") if name.strip()]
    if not names:
        raise ConfigError("no organ is named", where="--organ", fix="for example --organ liver")
    place = None if at is None else _three(at, "--at", "12.5,-40,300")
    more = dict(_setting(text) for text in settings)
    specs = tuple(
        LesionSpec(
            organ=name,
            diameter_mm=parse_range(diameter or "3-40mm", where="--diameter"),
            kind=kind,
            form=form,
            site=site,
            at_mm=place,
            contrast_hu=contrast_hu,
            **more,
        )
        for name in names
    )
    return Request(specs=specs, count=(low, high), seed=seed)


def _parse_count(text: str) -> tuple[int, int]:
    from scalemai.synthesis.spec import parse_range

    low, high = parse_range(text, where="--count")
    # A number with a unit, mm or cm, is a range too, but no count.
    if (
        text.strip().endswith("m")
        or low != int(low)
        or high != int(high)
        or not 1 <= low <= high <= _MOST_LESIONS
    ):
        fix = f"give whole numbers of lesions per case, 1 to {_MOST_LESIONS}, for example 1-3"
        raise ConfigError(f"{text!r} is not a count", where="--count", fix=fix)
    return int(low), int(high)


def _setting(text: str) -> tuple[str, Any]:
    """One ``name=value`` of a lesion: yes or no, a word, or a vessel with a range of angles."""
    from scalemai.synthesis.spec import SETTABLE, parse_range

    name, sign, value = (part.strip() for part in text.partition("="))
    name = name.replace("-", "_")
    if not sign or name not in SETTABLE:
        fix = f"give NAME=VALUE, with one of {', '.join(SETTABLE)}"
        raise ConfigError(f"{text!r} is no setting of a lesion", where="--set", fix=fix)
    if name == "vessel":
        vessel, _, angles = value.partition(":")
        return name, (vessel.strip(), parse_range(angles or "1-360", where="--set vessel"))
    if name in ("contrast", "margin"):
        return name, value
    if value not in ("true", "false"):
        fix = f"give {name}=true or {name}=false"
        raise ConfigError(f"{value!r} is neither true nor false", where="--set", fix=fix)
    return name, value == "true"


def reading_of(
    labels: Path | None, class_map: str | None, series: str | None, hu_offset: float
) -> str:
    """How cases were read, in words that differ if it does."""
    given = {"labels": labels, "class map": class_map, "series": series, "HU offset": hu_offset}
    return ", ".join(f"{name} {value}" for name, value in given.items() if value)


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``"3/64"`` as part 3, from 0, of 64."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or not int(found[1]) < int(found[2]):
        fix = "give I/N with I from 0 to N-1"
        raise ConfigError(f"{text!r} is not a shard", where="--shard", fix=fix)
    return int(found[1]), int(found[2])


def number_of_phantoms(cases: Path) -> int | None:
    """The N of ``phantom:N``, 2 for ``phantom`` alone; None for the path of a data set."""
    found = re.fullmatch(r"phantom(?::(.*))?", str(cases))
    if found is None or cases.exists():
        return None
    count = "2" if found[1] is None else found[1]
    if not count.isdecimal() or int(count) == 0:
        fix = "give phantom or phantom:N"
        raise ConfigError(f"{str(cases)!r} is no number of phantoms", where="CASES", fix=fix)
    return int(count)


def phantom_folder(out: Path) -> Path:
    """Where phantoms to grow lesions in are, beside the output."""
    return out.with_name(f"{out.name}-hosts")


def phantom_hosts(n: int, out: Path, seed: int, workers: int) -> Path:
    """Make phantoms to grow lesions in, beside the output; return their folder."""
    hosts = phantom_folder(out)
    if write_phantom_cases(hosts, n, seed=seed, workers=workers):
        raise ConfigError("phantoms could not be made", where=hosts)
    return hosts


def open_dataset(
    cases: Path,
    *,
    labels: Path | None = None,
    class_map: str | None = None,
    hu_offset: float = 0.0,
    **how: Any,
) -> Dataset:
    """Open the cases; ``labels`` may be a label map, DICOM SEG, a folder of masks or one mask.

    Raises
    ------
    ScaleMAIError
        As :func:`scalemai.cases.open_cases`.
    """
    from scalemai.anatomy import canonical, class_map_ids
    from scalemai.cases import open_cases
    from scalemai.cases.paths import nifti_stem
    from scalemai.errors import UnknownNameError
    from scalemai.io.nifti import is_nifti_name

    segmentation = labels is not None and labels.is_file() and not is_nifti_name(labels)
    if labels is not None and labels.suffix.lower() in _OTHER_FORMATS:
        fix = "give NIfTI or DICOM SEG; convert others first (3D Slicer, SimpleITK)"
        raise ConfigError("is neither NIfTI nor DICOM", where=labels, fix=fix)
    if not isfinite(hu_offset):
        raise ConfigError(f"{hu_offset} HU", where="--hu-offset", fix="give a number, often -1024")
    how["hu_offset"] = hu_offset
    if labels is None or segmentation or (class_map is not None and not labels.is_dir()):
        return open_cases(cases, labels=labels, class_map=class_map, **how)
    if labels.is_file():
        try:
            canonical(nifti_stem(labels.name) or "")
        except UnknownNameError as error:
            what = "label values mean nothing without data set and version"
            known = ", ".join(class_map_ids())
            fix = (
                f"give --class-map, one of {known}, or a TOML file; or name a single mask after "
                "its structure, for example liver.nii.gz"
            )
            raise ConfigError(what, where=labels, fix=fix) from error
    return open_cases(cases, masks=labels, class_map=class_map, **how)


def write_phantom_cases(
    out: Path,
    n: int,
    *,
    seed: int,
    workers: int,
    small: bool = False,
    phase: str | None = None,
    spacing: str | None = None,
    lesions: str | None = None,
    diameter: str | None = None,
    count: str | None = None,
) -> int:
    """Generate phantoms on the engine, with progress; return the exit code."""
    from scalemai.cases.phantom.batch import open_phantom_ledger
    from scalemai.cases.phantom.batch import write_phantom_cases as start
    from scalemai.cli.report import follow

    overrides: dict[str, object] = {}
    if small:
        overrides["preset"] = "small"
    if phase is not None:
        from scalemai.anatomy import canonical_phase

        overrides["phase"] = canonical_phase(phase)
    if spacing is not None:
        overrides["spacing_mm"] = _three(spacing, "--spacing", "0.8,0.8,5")
    drawn = _drawn_lesions(lesions, diameter, count)
    with open_phantom_ledger(out, seed, overrides, drawn) as ledger:
        run = start(
            out,
            n,
            seed=seed,
            ledger=ledger,
            workers=workers,
            overrides=overrides,
            lesions=drawn,
        )
        return follow(run, "generated")


def _drawn_lesions(
    organs: str | None, diameter: str | None, count: str | None
) -> LesionDraw | None:
    """The lesions of the phantom's own model that the options ask for."""
    from scalemai.cases.phantom import LesionDraw
    from scalemai.synthesis.spec import parse_range

    if organs is None:
        if diameter is not None or count is not None:
            fix = "name organs with --lesions"
            raise ConfigError("sizes of no lesions", where="--lesion-diameter", fix=fix)
        return None
    names = tuple(name.strip() for name in organs.split(",") if name.strip())
    wide = parse_range(diameter or "5-40mm", where="--lesion-diameter")
    low, high = parse_range(count or "1-3", where="--lesion-count")
    return LesionDraw(names, wide, (int(low), int(high)))


def _three(text: str, where: str, example: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(part) for part in text.split(","))
        if not all(map(isfinite, (x, y, z))):
            raise ValueError("not finite")
    except ValueError as error:
        fix = f"give three numbers in mm, for example {example}"
        raise ConfigError(f"{text!r} is not x,y,z", where=where, fix=fix) from error
    return x, y, z
