"""Who hits whom: lesions found and missed, candidates right, wrong, repeated or ignored."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scalemai.errors import ConfigError, GeometryError
from scalemai.evaluation.lesions.components import Component, reaches_mm3
from scalemai.evaluation.lesions.rules import MatchingRule
from scalemai.geometry import Grid

__all__ = ["CandidateMatch", "LesionMatch", "Matching", "Verdict", "match"]

Verdict = Literal["true_positive", "false_positive", "duplicate", "ignored"]

_BORDER = 1e-6  # of a voxel: a centre this near to a voxel's face is on it


@dataclass(frozen=True, slots=True)
class LesionMatch:
    """What became of one reference lesion.

    Parameters
    ----------
    number
        Of the component.
    ignored
        Whether it is below the reference filter.
    detected
        Whether a candidate hits it; None if it is ignored.
    score
        Largest score of the candidates that hit it; None if it is missed, ignored, or the
        candidates have no scores.
    iou
        Largest intersection over union with any candidate, whether or not that is a hit.
    candidates
        How many candidates touch it (many-to-one if above 1).
    hits
        Numbers of the candidates that hit it, the one that counts first; the others are
        duplicates unless they count for another lesion.
    """

    number: int
    ignored: bool
    detected: bool | None
    score: float | None
    iou: float
    candidates: int
    hits: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CandidateMatch:
    """What became of one candidate.

    Parameters
    ----------
    number
        Of the component.
    verdict
        ``"true_positive"``: of the candidates that hit some lesion, it has the highest score.
        ``"duplicate"``: it hits lesions, but for each of them another one has a higher score.
        ``"ignored"``: it touches ignored lesions and no other. ``"false_positive"``: the rest.
    lesion
        Number of the lesion that it hits (of several, the one that it counts for and overlaps
        best); None if it hits none.
    lesions
        How many lesions it touches, ignored ones included (one-to-many if above 1).
    """

    number: int
    verdict: Verdict
    lesion: int | None
    lesions: int


@dataclass(frozen=True, slots=True)
class Matching:
    """All lesions and candidates of one structure of one scan, in the order given.

    Parameters
    ----------
    rule
        The rule that decided.
    lesions, candidates
        One each per component.
    """

    rule: MatchingRule
    lesions: tuple[LesionMatch, ...]
    candidates: tuple[CandidateMatch, ...]

    @property
    def many_to_one(self) -> int:
        """How many lesions, ignored ones left out, are touched by several candidates."""
        return sum(lesion.candidates > 1 for lesion in self.lesions if not lesion.ignored)

    @property
    def one_to_many(self) -> int:
        """How many candidates touch several lesions."""
        return sum(candidate.lesions > 1 for candidate in self.candidates)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A lesion and a candidate, by their places in the sequences, that have to do with each other.

    ``iou`` is 0 if the centre of a hollow candidate lies in a lesion that it does not overlap.
    """

    lesion: int
    candidate: int
    iou: float
    may_hit: bool


def match(
    reference: Sequence[Component],
    prediction: Sequence[Component],
    grid: Grid,
    rule: MatchingRule,
    *,
    reference_minimum_mm3: float = 0.0,
) -> Matching:
    """Match candidates with reference lesions.

    A lesion's score is the highest of *all* candidates that hit it: at a threshold between the
    scores of two candidates on it, it is found. With a one-to-one rule, that holds for the
    candidate assigned to it and for those that could be assigned to nothing else.

    Parameters
    ----------
    reference, prediction
        From :func:`~scalemai.evaluation.lesions.components.find_components`, on the same grid.
    grid
        That grid.
    rule
        When a candidate hits a lesion.
    reference_minimum_mm3
        Lesions of a smaller volume are ignored: neither found nor missed, and a candidate that
        touches only such lesions is ignored too.

    Returns
    -------
    Matching
        In the order of ``reference`` and ``prediction``. Where candidates tie, the larger IoU
        counts, then the lower number.

    Raises
    ------
    GeometryError
        If a component does not lie in the grid.
    ConfigError
        If the minimum is negative or not a number, or only some candidates have scores.
    """
    if not reference_minimum_mm3 >= 0:
        raise ConfigError(f"a minimum volume of {reference_minimum_mm3:g} mm3 is impossible")
    if len({candidate.score is None for candidate in prediction}) > 1:
        raise ConfigError("some candidates have a score and others have none")
    _require_inside(itertools.chain(reference, prediction), grid)
    ignored = [
        not reaches_mm3(lesion.sizes.volume_mm3, reference_minimum_mm3) for lesion in reference
    ]
    pairs = _pairs(reference, prediction, grid, rule)
    judged = [pair for pair in pairs if pair.may_hit and not ignored[pair.lesion]]
    hits = _one_to_one(judged) if rule.one_to_one else judged

    def rank(pair: _Pair) -> tuple[float, float, int]:
        score = prediction[pair.candidate].score
        return (-1.0 if score is None else -score, -pair.iou, prediction[pair.candidate].number)

    of_lesion = _grouped(sorted(hits, key=rank), len(reference), by_lesion=True)
    counts = {group[0] for group in of_lesion if group}
    of_candidate = _grouped(hits, len(prediction), by_lesion=False)
    touching = _grouped(pairs, len(prediction), by_lesion=False)
    touched = _grouped(pairs, len(reference), by_lesion=True)

    def judge(place: int) -> CandidateMatch:
        own, near = of_candidate[place], touching[place]
        verdict: Verdict = "false_positive"
        if any(pair in counts for pair in own):
            verdict = "true_positive"
        elif own:
            verdict = "duplicate"
        elif near and all(ignored[pair.lesion] for pair in near):
            verdict = "ignored"
        best = min(
            own,
            key=lambda pair: (pair not in counts, -pair.iou, reference[pair.lesion].number),
            default=None,
        )
        return CandidateMatch(
            prediction[place].number,
            verdict,
            None if best is None else reference[best.lesion].number,
            len(near),
        )

    def settle(place: int) -> LesionMatch:
        group = of_lesion[place]
        return LesionMatch(
            reference[place].number,
            ignored[place],
            None if ignored[place] else bool(group),
            prediction[group[0].candidate].score if group else None,
            max((pair.iou for pair in touched[place]), default=0.0),
            len(touched[place]),
            tuple(prediction[pair.candidate].number for pair in group),
        )

    return Matching(
        rule,
        tuple(settle(place) for place in range(len(reference))),
        tuple(judge(place) for place in range(len(prediction))),
    )


def _pairs(
    reference: Sequence[Component],
    prediction: Sequence[Component],
    grid: Grid,
    rule: MatchingRule,
) -> list[_Pair]:
    """Every lesion and candidate that share a voxel, or that the rule joins."""
    if not reference or not prediction:
        return []
    boxes = np.array([[(s.start, s.stop) for s in piece.region] for piece in prediction])
    centres = grid.to_voxel([piece.centre_mm for piece in prediction])
    pairs = []
    for place, lesion in enumerate(reference):
        start, stop = np.array([(s.start, s.stop) for s in lesion.region]).T
        near = (boxes[:, :, 0] < stop) & (boxes[:, :, 1] > start)
        central = (centres > start - 0.5 - _BORDER) & (centres < stop - 0.5 + _BORDER)
        for other in np.flatnonzero(near.all(axis=1) | central.all(axis=1)).tolist():
            shared = _shared_voxels(lesion, prediction[other])
            inside = rule.criterion == "centre" and _holds(lesion, centres[other].tolist())
            if not (shared or inside):
                continue
            iou = shared / (lesion.voxels + prediction[other].voxels - shared)
            may_hit = {
                "overlap": shared > 0,
                "iou": iou >= rule.minimum_iou,
                "centre": inside,
            }[rule.criterion]
            pairs.append(_Pair(place, other, iou, may_hit))
    return pairs


def _shared_voxels(a: Component, b: Component) -> int:
    """How many voxels two components share, counted where their boxes meet."""
    low = [max(s.start, t.start) for s, t in zip(a.region, b.region, strict=True)]
    high = [min(s.stop, t.stop) for s, t in zip(a.region, b.region, strict=True)]
    if any(stop <= start for start, stop in zip(low, high, strict=True)):
        return 0
    parts = []
    for one in (a, b):
        cut = tuple(
            slice(start - s.start, stop - s.start)
            for start, stop, s in zip(low, high, one.region, strict=True)
        )
        parts.append(one.mask[cut])
    return int(np.count_nonzero(parts[0] & parts[1]))


def _holds(lesion: Component, centre: Sequence[float]) -> bool:
    """Whether a point, in voxels of the grid, is in a voxel of the lesion or on its border."""
    spans = []
    for at, span in zip(centre, lesion.region, strict=True):
        # On a border both voxels are asked, so that flipping an axis changes nothing.
        low = max(math.ceil(at - 0.5 - _BORDER), span.start)
        high = min(math.floor(at + 0.5 + _BORDER), span.stop - 1)
        spans.append(slice(low - span.start, max(high - span.start + 1, 0)))
    return bool(lesion.mask[tuple(spans)].any())


def _one_to_one(pairs: Sequence[_Pair]) -> list[_Pair]:
    """The assignment with the largest sum of IoU, and the duplicates of what is assigned."""
    if not pairs:
        return []
    from scipy.optimize import linear_sum_assignment

    lesions = sorted({pair.lesion for pair in pairs})
    candidates = sorted({pair.candidate for pair in pairs})
    row = {place: index for index, place in enumerate(lesions)}
    column = {place: index for index, place in enumerate(candidates)}
    gain = np.zeros((len(lesions), len(candidates)))
    at = {(row[pair.lesion], column[pair.candidate]): pair for pair in pairs}
    for (r, c), pair in at.items():
        # A centre may lie in a lesion without any overlap; that still is worth a hit.
        gain[r, c] = max(pair.iou, 1e-9)
    chosen = zip(*linear_sum_assignment(gain, maximize=True), strict=True)
    hits = [at[r, c] for r, c in ((int(r), int(c)) for r, c in chosen) if (r, c) in at]
    assigned = {pair.candidate for pair in hits}
    for group in _grouped(pairs, max(candidates) + 1, by_lesion=False):
        if group and group[0].candidate not in assigned:
            # All of its lesions were better served by others: it repeats one of them.
            hits.append(max(group, key=lambda pair: (pair.iou, -pair.lesion)))
    return hits


def _grouped(pairs: Iterable[_Pair], size: int, *, by_lesion: bool) -> list[list[_Pair]]:
    groups: list[list[_Pair]] = [[] for _ in range(size)]
    for pair in pairs:
        groups[pair.lesion if by_lesion else pair.candidate].append(pair)
    return groups


def _require_inside(components: Iterable[Component], grid: Grid) -> None:
    for component in components:
        if any(s.stop > n for s, n in zip(component.region, grid.shape, strict=True)):
            what = f"component {component.number} reaches beyond {grid.describe()}"
            raise GeometryError(what, fix="match components of the same grid")
