"""From the words of the command line to the things of the library."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from scalemai.errors import ConfigError

if TYPE_CHECKING:
    from scalemai.case import Case
    from scalemai.synthesis.files import Request

__all__ = ["make_request", "parse_shard", "phantom_hosts", "preview_of", "write_phantom_cases"]

_MOST_LESIONS = 50


def make_request(
    organs: str,
    diameter: str,
    count: str,
    *,
    kind: str | None,
    site: str | None,
    at: str | None,
    contrast_hu: float | None,
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

    low, high = parse_range(count, where="--count")
    if low != int(low) or high != int(high) or not 1 <= low <= high <= _MOST_LESIONS:
        fix = f"give whole numbers of lesions per case, 1 to {_MOST_LESIONS}, for example 1-3"
        raise ConfigError(f"{count!r} is not a count", where="--count", fix=fix)
    names = [name.strip() for name in organs.split(",") if name.strip()]
    if not names:
        raise ConfigError("no organ is named", where="--organ", fix="for example --organ liver")
    place = None if at is None else _three(at, "--at")
    specs = tuple(
        LesionSpec(
            organ=name,
            diameter_mm=parse_range(diameter, where="--diameter"),
            kind=kind,
            site=site,
            at_mm=place,
            contrast_hu=contrast_hu,
        )
        for name in names
    )
    return Request(specs=specs, count=(int(low), int(high)), seed=seed)


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``"3/64"`` as part 3, from 0, of 64."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or not int(found[1]) < int(found[2]):
        fix = "give I/N with I from 0 to N-1"
        raise ConfigError(f"{text!r} is not a shard", where="--shard", fix=fix)
    return int(found[1]), int(found[2])


def phantom_hosts(text: str, out: Path, seed: int, workers: int) -> Path:
    """Make the phantoms that ``phantom:N`` asks for, beside the output; return their folder."""
    found = re.fullmatch(r"phantom(?::(\d+))?", text)
    if found is None or found[1] == "0":
        fix = "give phantom or phantom:N"
        raise ConfigError(f"{text!r} is no number of phantoms", where="CASES", fix=fix)
    hosts = out.with_name(f"{out.name}-hosts")
    code = write_phantom_cases(hosts, int(found[1] or 2), seed=seed, workers=workers)
    if code:
        raise ConfigError("phantoms could not be made", where=hosts)
    return hosts


def write_phantom_cases(
    out: Path,
    n: int,
    *,
    seed: int,
    workers: int,
    small: bool = False,
    phase: str | None = None,
    spacing: str | None = None,
) -> int:
    """Generate phantoms on the engine, with progress; return the exit code."""
    from scalemai.cases.phantom import write_phantom_cases as start
    from scalemai.cli.report import follow

    overrides: dict[str, object] = {}
    if small:
        overrides["preset"] = "small"
    if phase is not None:
        from scalemai.anatomy import canonical_phase

        overrides["phase"] = canonical_phase(phase)
    if spacing is not None:
        overrides["spacing_mm"] = _three(spacing, "--spacing")
    with start(out, n, seed=seed, workers=workers, overrides=overrides) as run:
        return follow(run, "generated")


def preview_of(case: Case, target: Path, structures: str | None, window: str | None) -> Path:
    """Write the picture of one case."""
    from scalemai.preview import write_preview

    volume = case.volume()
    if structures is not None:
        names = [name.strip() for name in structures.split(",") if name.strip()]
        masks = case.masks(names, on=volume.grid)
    else:
        masks = case.masks(case.lesions, on=volume.grid, if_missing="omit")
    write_preview(target, volume, list(masks.values()), case_id=case.id, window=window)
    return target


def _three(text: str, where: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError as error:
        fix = "give three numbers in mm, for example 12.5,-40,300"
        raise ConfigError(f"{text!r} is not x,y,z", where=where, fix=fix) from error
    return x, y, z
