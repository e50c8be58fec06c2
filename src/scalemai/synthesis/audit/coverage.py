"""Which sizes, sites, contrasts and kinds there are, and which are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from scalemai.anatomy import organ
from scalemai.synthesis.audit.findings import LesionFindings

__all__ = ["CONTRAST_BINS_HU", "NOT_KNOWN", "SIZE_BINS_MM", "Coverage", "coverage_of"]

SIZE_BINS_MM = (10.0, 20.0, 50.0)
"""Longest axial diameter; up to 20 mm is what early detection is about (T1 of many organs)."""

CONTRAST_BINS_HU = (-100.0, -50.0, -20.0, 0.0, 20.0, 50.0)
"""Lesion minus organ; within 20 HU of it a lesion is called isoattenuating here (author's
choice)."""

NOT_KNOWN = "not known"

_RARE = 0.25  # a share of less than a quarter of the real one is a gap; author's choice


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How the lesions of one organ are spread.

    Parameters
    ----------
    organ
        Its name.
    synthetic, real
        Number of lesions by what is counted (``size``, ``site``, ``contrast``, ``kind``) and bin.
        Kinds of real lesions are not known.
    gaps
        In words: bins without synthetic lesions, or with far fewer than real ones.
    """

    organ: str
    synthetic: Mapping[str, Mapping[str, int]]
    real: Mapping[str, Mapping[str, int]]
    gaps: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)


def coverage_of(
    name: str, synthetic: Sequence[LesionFindings], real: Sequence[LesionFindings]
) -> Coverage:
    """Count the lesions of one organ.

    Parameters
    ----------
    name
        The organ.
    synthetic, real
        Its lesions; without real ones, every bin should have some.
    """
    facts = organ(name)
    wanted: dict[str, tuple[list[str], Callable[[LesionFindings], str]]] = {
        "size": (
            _labels(SIZE_BINS_MM, "mm"),
            lambda one: _bin(one.diameter_mm, SIZE_BINS_MM, "mm"),
        ),
        "contrast": (
            _labels(CONTRAST_BINS_HU, "HU"),
            lambda one: _bin(one.contrast_hu, CONTRAST_BINS_HU, "HU"),
        ),
        "site": (list(facts.sites), lambda one: one.site),
        "kind": ([kind.name for kind in facts.kinds], lambda one: one.kind),
    }
    made: dict[str, dict[str, int]] = {}
    known: dict[str, dict[str, int]] = {}
    gaps: list[str] = []
    for what, (bins, which) in wanted.items():
        made[what] = _counts(bins, map(which, synthetic))
        if real and what != "kind":
            known[what] = _counts(bins, map(which, real))
        gaps += _gaps(what, made[what], known.get(what, {}))
    return Coverage(organ=facts.name, synthetic=made, real=known, gaps=tuple(gaps))


def _gaps(what: str, made: Mapping[str, int], known: Mapping[str, int]) -> list[str]:
    found = []
    total, of_real = sum(made.values()), sum(known.values())
    for name, count in made.items():
        if not known:
            # Which contrasts an organ's lesions have is for its facts to say.
            if count == 0 and what != "contrast":
                found.append(f"no lesion of {what} {name}")
            continue
        share = known.get(name, 0) / of_real
        if share > 0 and total and count / total < _RARE * share:
            found.append(
                f"{what} {name}: {count} of {total} synthetic and "
                f"{known[name]} of {of_real} real lesions"
            )
    return found


def _counts(bins: Sequence[str], values: Iterable[str]) -> dict[str, int]:
    counted = Counter(values)
    counts = {name: counted.pop(name, 0) for name in bins}
    if sum(counted.values()):
        counts[NOT_KNOWN] = sum(counted.values())
    return counts


def _labels(edges: Sequence[float], unit: str) -> list[str]:
    inner = [f"{low:g} to {high:g} {unit}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:g} {unit}", *inner, f"above {edges[-1]:g} {unit}"]


def _bin(value: float, edges: Sequence[float], unit: str) -> str:
    return _labels(edges, unit)[sum(value >= edge for edge in edges)]
