"""Pairs of a real and a synthetic lesion that are alike in all but where they come from.

Organ, contrast phase and scanner are the same; sizes and voxel sizes differ by no more than the
callipers. Among all ways to do that, the most pairs are made, and of those ways the one with the
smallest sum of squared distances (Rosenbaum, J Am Stat Assoc 1989;84:1024: optimal matching).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from scalemai.annotation.turing.candidates import Candidate
from scalemai.annotation.turing.design import TuringDesign
from scalemai.errors import ConfigError

__all__ = ["Matching", "Pair", "Unmatched", "dimensions", "match"]

_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Pair:
    """A real and a synthetic lesion.

    Parameters
    ----------
    real, synthetic
        The two.
    distance
        Root of the sum of squares of log ratios of size and voxel sizes, each in units of its
        calliper.
    """

    real: Candidate
    synthetic: Candidate
    distance: float

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Geometric means of the voxel sizes: what both are drawn with."""
        x, y, z = (
            round(math.sqrt(a * b), 4)
            for a, b in zip(self.real.spacing_mm, self.synthetic.spacing_mm, strict=True)
        )
        return x, y, z


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A lesion that is not shown, and why."""

    candidate: Candidate
    reason: str


@dataclass(frozen=True, slots=True)
class Matching:
    """Pairs, and the lesions that are left."""

    pairs: tuple[Pair, ...]
    unmatched: tuple[Unmatched, ...]

    @property
    def size_ratio(self) -> float:
        """Geometric mean of synthetic by real diameter: 1 if neither kind is larger."""
        logs = [math.log(p.synthetic.diameter_mm / p.real.diameter_mm) for p in self.pairs]
        return math.exp(sum(logs) / len(logs))


def dimensions(spacing_mm: Sequence[float], crop_mm: float) -> tuple[int, int, int]:
    """Voxels of a crop along each axis: odd, so that one of them is the middle."""
    x, y, z = (2 * int(crop_mm / 2 / step + _LEAST) + 1 for step in spacing_mm)
    return x, y, z


def match(candidates: Sequence[Candidate], design: TuringDesign) -> Matching:
    """Pair real with synthetic lesions.

    Parameters
    ----------
    candidates
        Lesions of both kinds, in any order.
    design
        Callipers, and how many lesions of a scan may be shown.

    Raises
    ------
    ConfigError
        If fewer than two pairs can be made.
    """
    ordered = sorted(candidates, key=_identity)
    reasons = {
        one: "is too near the end of the scan for the crop"
        for one in ordered
        if not _has_room(one, design)
    }
    free = [one for one in ordered if one not in reasons]
    found = _pairs(free, design)
    chosen = _evenly(found, design.pairs)
    if len(chosen) < 2:
        why = Counter(reasons.get(one) or _reason(one, free, design) for one in ordered)
        most = why.most_common(1)[0][0] if why else "there are no lesions"
        fix = "wider callipers, a smaller crop_mm, or other cases"
        what = f"{len(chosen)} pairs of lesions can be made: a lesion most often {most}"
        raise ConfigError(what if why else most, where="real and synthetic cases", fix=fix)
    shown = {one for pair in chosen for one in (pair.real, pair.synthetic)}
    spare = {one for pair in found for one in (pair.real, pair.synthetic)} - shown
    for one in ordered:
        if one in spare:
            reasons[one] = "is beyond the number of pairs asked for"
        elif one not in shown:
            reasons.setdefault(one, _reason(one, free, design))
    return Matching(tuple(chosen), tuple(Unmatched(*one) for one in _in_order(reasons)))


def _in_order(reasons: dict[Candidate, str]) -> list[tuple[Candidate, str]]:
    """Lesions and reasons in the order of cases."""
    return sorted(reasons.items(), key=lambda pair: _identity(pair[0]))


def _pairs(free: Sequence[Candidate], design: TuringDesign) -> list[Pair]:
    """Rounds of optimal assignment: a scan that has given its lesions gives no more."""
    left = list(free)
    used: Counter[str] = Counter()
    found: list[Pair] = []
    while True:
        accepted = 0
        for pair in sorted(_assigned(left, design), key=_rank):
            hosts = (pair.real.host, pair.synthetic.host)
            if all(used[host] < design.per_case for host in hosts):
                used.update(hosts)
                found.append(pair)
                accepted += 1
        if not accepted:
            return sorted(found, key=_rank)
        shown = {one for pair in found for one in (pair.real, pair.synthetic)}
        left = [one for one in left if one not in shown and used[one.host] < design.per_case]


def _assigned(left: Sequence[Candidate], design: TuringDesign) -> list[Pair]:
    strata: dict[tuple[str | None, ...], tuple[list[Candidate], list[Candidate]]]
    strata = defaultdict(lambda: ([], []))
    for one in left:
        strata[_stratum(one, design)][one.kind == "synthetic"].append(one)
    result = []
    for real, synthetic in strata.values():
        if not real or not synthetic:
            continue
        distance = _distances(real, synthetic, design)
        allowed = np.isfinite(distance)
        # More than all squares together, so that one pair more is worth any distances.
        forbidden = 4.0 * (min(distance.shape) + 1)
        cost = np.where(allowed, distance**2, forbidden)
        for i, j in zip(*linear_sum_assignment(cost), strict=True):
            if allowed[i, j]:
                result.append(Pair(real[i], synthetic[j], float(distance[i, j])))
    return result


def _distances(
    real: Sequence[Candidate], synthetic: Sequence[Candidate], design: TuringDesign
) -> NDArray[np.float64]:
    """Array (real, synthetic), infinite beyond a calliper or within one scan."""

    def logs(of: Sequence[Candidate]) -> NDArray[np.float64]:
        return np.log([(one.diameter_mm, *one.spacing_mm) for one in of])

    callipers = (design.size_calliper, *[design.spacing_calliper] * 3)
    # The measured spacing of one scanner differs in its last digits from case to case.
    limits = np.maximum(np.log(callipers), 1e-4)
    ratios = np.abs(logs(real)[:, None] - logs(synthetic)[None]) / limits
    distance: NDArray[np.float64] = np.sqrt((ratios**2).sum(axis=-1))
    distance[(ratios > 1).any(axis=-1)] = np.inf
    hosts = [np.array([one.host for one in of]) for of in (real, synthetic)]
    distance[hosts[0][:, None] == hosts[1][None]] = np.inf
    return distance


def _evenly(found: Sequence[Pair], most: int | None) -> list[Pair]:
    """The best pair of each organ, then the second best of each, up to a number."""
    if most is None or len(found) <= most:
        return list(found)
    within: Counter[str] = Counter()
    turn = []
    for pair in found:  # the best come first
        turn.append((within[pair.real.structure], pair))
        within[pair.real.structure] += 1
    turn.sort(key=lambda one: (one[0], _rank(one[1])))
    return [pair for _, pair in turn[:most]]


def _has_room(one: Candidate, design: TuringDesign) -> bool:
    """Whether the crop lies within the scan, whichever partner it gets."""
    # Voxel sizes of pairs are rounded: 0.1 % more than the calliper allows for.
    finest = [0.999 * step / math.sqrt(design.spacing_calliper) for step in one.spacing_mm]
    size = dimensions(finest, design.crop_mm)
    return all(n // 2 <= room for n, room in zip(size, one.room, strict=True))


def _reason(one: Candidate, free: Sequence[Candidate], design: TuringDesign) -> str:
    """Why a lesion has no partner: the first thing in which all others differ from it."""
    others = [other for other in free if other.kind != one.kind]
    other_kind = "synthetic" if one.kind == "real" else "real"
    for left, what in (
        ([o for o in others if o.structure == one.structure], f"{other_kind} lesion of the organ"),
        ([o for o in others if _stratum(o, design) == _stratum(one, design)], "phase and scanner"),
    ):
        if not left:
            return f"finds no partner: {what}"
        others = left
    size = math.log(design.size_calliper)
    if all(abs(math.log(o.diameter_mm / one.diameter_mm)) > size for o in others):
        return "finds no partner: size"
    if not np.isfinite(_distances([one], others, design)).any():
        return "finds no partner: voxel size, or none but in the same scan"
    return "finds no partner: those alike are taken, or its scan is shown already"


def _stratum(one: Candidate, design: TuringDesign) -> tuple[str | None, ...]:
    return (
        one.structure,
        one.phase if design.match_phase else None,
        one.scanner if design.match_scanner else None,
    )


def _identity(one: Candidate) -> tuple[str, str, str, tuple[int, ...]]:
    return one.kind, one.case_id, one.structure, one.centre


def _rank(pair: Pair) -> tuple[float, object, object]:
    return pair.distance, _identity(pair.real), _identity(pair.synthetic)
