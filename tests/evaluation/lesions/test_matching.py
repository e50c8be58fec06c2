"""Hits, misses, duplicates and false positives, case by case and against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from scalemai.errors import ConfigError, GeometryError
from scalemai.evaluation.lesions.components import Component, find_components
from scalemai.evaluation.lesions.matching import Matching, match
from scalemai.evaluation.lesions.rules import MatchingRule, parse_rule
from scalemai.geometry import Grid

Bits = NDArray[np.bool_]
Box = tuple[int, int]

LENGTH = 60
RULES = ("overlap", "iou>=0.1", "iou>=0.5", "centre", "one-to-one", "one-to-one iou>=0.1")


def bars(*spans: Box) -> Bits:
    """Bars of one voxel's thickness along a line, for cases that can be counted by hand."""
    mask = np.zeros((LENGTH, 3, 3), bool)
    for start, stop in spans:
        mask[start:stop, 1, 1] = True
    return mask


GRID = Grid((LENGTH, 3, 3), np.eye(4))


def components(spans: list[Box], scores: list[float] | None = None) -> tuple[Component, ...]:
    """Components in the order of ``spans``, each found on its own, so that they may touch."""
    out = []
    for index, span in enumerate(spans):
        mask = bars(span)
        probability = mask * (scores[index] if scores else 0.5)
        (found,) = find_components(mask, GRID, probability=probability if scores else None)
        out.append(
            Component(
                index + 1,
                found.region,
                found.mask,
                found.voxels,
                found.sizes,
                found.centre_mm,
                found.score,
            )
        )
    return tuple(out)


def judged(
    lesions: list[Box],
    candidates: list[Box],
    rule: str = "overlap",
    scores: list[float] | None = None,
    reference_minimum_mm3: float = 0.0,
) -> Matching:
    return match(
        components(lesions),
        components(candidates, scores),
        GRID,
        parse_rule(rule),
        reference_minimum_mm3=reference_minimum_mm3,
    )


def verdicts(matching: Matching) -> list[str]:
    return [candidate.verdict for candidate in matching.candidates]


def found(matching: Matching) -> list[bool | None]:
    return [lesion.detected for lesion in matching.lesions]


def test_a_lesion_takes_the_highest_score_of_its_candidates_not_the_best_overlap() -> None:
    # picai_eval takes the score of the candidate with the larger overlap: 0.10.
    for rule in ("overlap", "iou>=0.1", "one-to-one", "one-to-one iou>=0.1"):
        matching = judged([(10, 20)], [(10, 18), (18, 21)], rule, scores=[0.10, 0.95])
        assert matching.lesions[0].score == 0.95
        assert matching.lesions[0].hits == (2, 1)
        assert verdicts(matching) == ["duplicate", "true_positive"]
        assert matching.many_to_one == 1


def test_the_score_of_a_lesion_is_the_highest_threshold_at_which_it_is_found() -> None:
    lesions, candidates = [(0, 10), (12, 22)], [(0, 8), (8, 14), (15, 22), (9, 11)]
    scores = [0.2, 0.9, 0.6, 0.4]
    for rule in RULES:
        whole = judged(lesions, candidates, rule, scores)
        for threshold in (0.1, 0.3, 0.5, 0.8, 0.95):
            kept = [place for place, score in enumerate(scores) if score >= threshold]
            part = judged(
                lesions, [candidates[p] for p in kept], rule, [scores[p] for p in kept] or None
            )
            expected = [one.score is not None and one.score >= threshold for one in whole.lesions]
            assert found(part) == expected, (rule, threshold)


def test_a_candidate_that_merges_two_lesions_finds_both_by_overlap_and_one_one_to_one() -> None:
    lesions, candidates = [(0, 10), (12, 20)], [(0, 20)]
    both = judged(lesions, candidates, "overlap", [0.7])
    assert found(both) == [True, True]
    assert [one.score for one in both.lesions] == [0.7, 0.7]
    assert verdicts(both) == ["true_positive"]
    assert both.candidates[0].lesions == 2
    assert both.candidates[0].lesion == 1
    assert both.one_to_many == 1
    assert found(judged(lesions, candidates, "one-to-one")) == [True, False]
    assert found(judged(lesions, candidates, "iou>=0.45")) == [True, False]
    assert found(judged(lesions, candidates, "iou>=0.6")) == [False, False]


def test_one_to_one_assigns_for_the_largest_sum_of_iou() -> None:
    # Greedily, the first candidate (IoU 0.55 with lesion 1) would leave the second one nothing.
    matching = judged([(0, 10), (10, 20)], [(2, 14), (0, 5)], "one-to-one")
    assert found(matching) == [True, True]
    assert [one.lesion for one in matching.candidates] == [2, 1]
    assert verdicts(matching) == ["true_positive", "true_positive"]


def test_an_iou_of_exactly_the_minimum_is_a_hit() -> None:
    assert found(judged([(0, 10)], [(9, 10)], "iou>=0.1")) == [True]
    assert found(judged([(0, 10)], [(9, 11)], "iou>=0.1")) == [False]
    assert found(judged([(0, 20)], [(0, 40)], "one-to-one iou>=0.5")) == [True]


def test_too_small_an_overlap_is_a_miss_and_a_false_positive_but_stays_on_record() -> None:
    matching = judged([(0, 10)], [(9, 30)], "iou>=0.1", [0.9])
    assert found(matching) == [False]
    assert matching.lesions[0].score is None
    assert matching.lesions[0].iou == pytest.approx(1 / 30)
    assert matching.lesions[0].candidates == 1
    assert verdicts(matching) == ["false_positive"]
    assert matching.candidates[0].lesion is None
    assert matching.candidates[0].lesions == 1


def test_the_centre_of_a_candidate_decides_under_the_centre_rule() -> None:
    assert found(judged([(0, 10)], [(5, 12)], "centre")) == [True]
    assert found(judged([(0, 10)], [(5, 20)], "centre")) == [False]


def test_a_centre_on_a_border_is_inside_whichever_way_the_axis_runs() -> None:
    # Voxels 8 to 11: the centre 9.5 is the border between the voxels 9 and 10.
    assert found(judged([(0, 10)], [(8, 12)], "centre")) == [True]
    assert found(judged([(10, 20)], [(8, 12)], "centre")) == [True]


def test_the_centre_of_a_ring_may_lie_in_a_lesion_that_the_ring_does_not_touch() -> None:
    shape = (11, 11, 3)
    grid = Grid(shape, np.eye(4))
    ring = np.zeros(shape, bool)
    ring[1:10, 1:10, 1] = True
    ring[3:8, 3:8, 1] = False
    core = np.zeros(shape, bool)
    core[5, 5, 1] = True
    reference, prediction = find_components(core, grid), find_components(ring, grid)
    for rule in ("centre", "one-to-one centre"):
        matching = match(reference, prediction, grid, parse_rule(rule))
        assert found(matching) == [True]
        assert verdicts(matching) == ["true_positive"]
        assert matching.lesions[0].iou == 0
    assert found(match(reference, prediction, grid, parse_rule("overlap"))) == [False]


def test_ignored_lesions_are_neither_hit_nor_missed_and_excuse_what_lies_on_them() -> None:
    lesions, candidates = [(0, 10), (20, 23)], [(22, 25), (40, 44), (8, 21)]
    matching = judged(lesions, candidates, "overlap", [0.5, 0.6, 0.7], reference_minimum_mm3=5)
    assert found(matching) == [True, None]
    assert [one.score for one in matching.lesions] == [0.7, None]
    assert verdicts(matching) == ["ignored", "false_positive", "true_positive"]
    assert [one.lesions for one in matching.candidates] == [1, 0, 2]
    # A candidate that reaches a lesion which counts, too little, is not excused.
    strict = judged(lesions, candidates, "iou>=0.3", [0.5, 0.6, 0.7], reference_minimum_mm3=5)
    assert verdicts(strict) == ["ignored", "false_positive", "false_positive"]


def test_a_lesion_of_exactly_the_minimum_volume_counts() -> None:
    assert found(judged([(0, 5)], [], reference_minimum_mm3=5)) == [False]
    assert found(judged([(0, 5)], [], reference_minimum_mm3=5.1)) == [None]


@pytest.mark.parametrize("rule", RULES)
def test_nothing_predicted_misses_all_and_nothing_to_find_makes_all_false(rule: str) -> None:
    missed = judged([(0, 5), (8, 9)], [], rule)
    assert found(missed) == [False, False]
    assert missed.candidates == ()
    false = judged([], [(0, 5), (8, 9)], rule, [0.5, 0.6])
    assert verdicts(false) == ["false_positive", "false_positive"]
    assert judged([], [], rule) == Matching(parse_rule(rule), (), ())


def test_without_scores_the_larger_overlap_counts_first() -> None:
    matching = judged([(0, 10)], [(0, 3), (3, 10)])
    assert verdicts(matching) == ["duplicate", "true_positive"]
    assert matching.lesions[0].score is None
    assert matching.lesions[0].detected


def test_equal_scores_leave_it_to_the_overlap_then_to_the_number() -> None:
    assert verdicts(judged([(0, 10)], [(0, 3), (3, 10)], "overlap", [0.5, 0.5]))[1] == (
        "true_positive"
    )
    assert verdicts(judged([(0, 10)], [(0, 5), (5, 10)], "overlap", [0.5, 0.5]))[0] == (
        "true_positive"
    )


def test_components_of_another_grid_are_refused() -> None:
    small = Grid((20, 3, 3), np.eye(4))
    with pytest.raises(GeometryError, match="reaches beyond"):
        match(components([(30, 40)]), (), small, MatchingRule())


def test_scores_for_some_candidates_only_are_refused() -> None:
    mixed = (*components([(0, 2)]), *components([(4, 6)], [0.5]))
    with pytest.raises(ConfigError, match="some candidates have a score"):
        match((), mixed, GRID, MatchingRule())


def test_an_impossible_reference_filter_is_refused() -> None:
    with pytest.raises(ConfigError, match="minimum volume"):
        match((), (), GRID, MatchingRule(), reference_minimum_mm3=-1)


# Brute force on random masks. -------------------------------------------------------------------

SHAPE = (6, 6, 3)


def split(mask: Bits, probability: NDArray[np.float64] | None = None) -> tuple[Component, ...]:
    return find_components(mask, Grid(SHAPE, np.eye(4)), probability=probability)


def voxels(component: Component) -> set[tuple[int, ...]]:
    start = np.array([s.start for s in component.region])
    return {tuple(index) for index in (np.argwhere(component.mask) + start).tolist()}


def table_of_iou(
    reference: tuple[Component, ...], prediction: tuple[Component, ...]
) -> NDArray[np.float64]:
    iou = np.zeros((len(reference), len(prediction)))
    for (i, a), (j, b) in itertools.product(enumerate(reference), enumerate(prediction)):
        iou[i, j] = len(voxels(a) & voxels(b)) / len(voxels(a) | voxels(b))
    return iou


sparse = arrays(np.bool_, SHAPE, elements=st.sampled_from([True, False, False, False, False]))


@settings(max_examples=150, deadline=None)
@given(sparse, sparse, st.sampled_from([0.0, 0.1, 0.3]), st.integers(0, 3), st.integers(0, 999))
def test_many_to_many_matching_is_that_of_brute_force(
    a: Bits, b: Bits, least: float, minimum: int, seed: int
) -> None:
    probability = np.random.default_rng(seed).random(SHAPE)
    reference, prediction = split(a), split(b, probability)
    rule = MatchingRule("iou", least) if least else MatchingRule()
    grid = Grid(SHAPE, np.eye(4))
    matching = match(reference, prediction, grid, rule, reference_minimum_mm3=minimum)
    iou = table_of_iou(reference, prediction)
    hit = iou >= least if least else iou > 0
    counts = np.array([one.voxels >= minimum for one in reference], bool)
    score = np.array([one.score for one in prediction], float)
    for i, lesion in enumerate(matching.lesions):
        assert lesion.ignored == (not counts[i])
        assert lesion.iou == pytest.approx(iou[i].max(initial=0))
        assert lesion.candidates == (iou[i] > 0).sum()
        if counts[i]:
            assert lesion.detected == hit[i].any()
            assert lesion.score == (score[hit[i]].max() if hit[i].any() else None)
        else:
            assert lesion.detected is None
    for j, candidate in enumerate(matching.candidates):
        own = [i for i in np.flatnonzero(hit[:, j]) if counts[i]]
        best = any(score[j] == score[hit[i]].max() for i in own)
        near = np.flatnonzero(iou[:, j] > 0)
        if own:
            expected = "true_positive" if best else "duplicate"
        else:
            expected = "ignored" if near.size and not counts[near].any() else "false_positive"
        assert candidate.verdict == expected
        assert candidate.lesions == near.size


@settings(max_examples=150, deadline=None)
@given(sparse, sparse, st.sampled_from([0.0, 0.1, 0.3]))
def test_one_to_one_matching_has_the_largest_sum_of_iou_of_all_assignments(
    a: Bits, b: Bits, least: float
) -> None:
    reference, prediction = split(a)[:5], split(b)[:5]
    rule = MatchingRule("iou" if least else "overlap", least, one_to_one=True)
    matching = match(reference, prediction, Grid(SHAPE, np.eye(4)), rule)
    iou = table_of_iou(reference, prediction)
    allowed = np.where(iou >= max(least, 1e-12), iou, 0.0)
    n = max(allowed.shape)
    square = np.zeros((n, n))
    square[: allowed.shape[0], : allowed.shape[1]] = allowed
    best = max(
        (square[range(n), list(order)].sum() for order in itertools.permutations(range(n))),
        default=0.0,
    )
    hits = [one.hits for one in matching.lesions]
    assert len([number for group in hits for number in group]) == len(
        {number for group in hits for number in group}
    )
    # Of each lesion's hits one is assigned; the sum over the best choice is the optimum.
    reached = sum(
        max(allowed[i, number - 1] for number in group) for i, group in enumerate(hits) if group
    )
    assert reached >= best - 1e-9
    assert sum(bool(group) for group in hits) <= (allowed > 0).any(axis=1).sum()
    for j, candidate in enumerate(matching.candidates):
        assert (candidate.verdict == "false_positive") == (not (allowed[:, j] > 0).any())


def test_many_small_candidates_do_not_take_long() -> None:
    shape = (160, 160, 60)
    grid = Grid(shape, np.eye(4))
    rng = np.random.default_rng(1)
    prediction = np.zeros(shape, bool)
    prediction[::4, ::4, ::4] = rng.random((40, 40, 15)) < 0.2
    reference = np.zeros(shape, bool)
    reference[::8, ::8, ::6] = rng.random((20, 20, 10)) < 0.05
    matching = match(
        find_components(reference, grid),
        find_components(prediction, grid),
        grid,
        parse_rule("one-to-one"),
    )
    shared = reference & prediction
    assert sum(lesion.detected is True for lesion in matching.lesions) == shared.sum()
    assert verdicts(matching).count("false_positive") == (prediction & ~reference).sum()
