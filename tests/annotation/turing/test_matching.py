"""Pairs are alike within the callipers, and what is left is named with the reason."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalemai.annotation.turing.candidates import Candidate
from scalemai.annotation.turing.design import TuringDesign
from scalemai.annotation.turing.matching import dimensions, match
from scalemai.errors import ConfigError

from .made import candidate

SMALL = TuringDesign(crop_mm=24.0)


def reasons(found: list[Candidate], design: TuringDesign = SMALL) -> dict[str, str]:
    """Case to the reason why its lesion is left out; two good pairs are there besides."""
    good = [candidate(kind, f"good {n}") for kind in ("real", "synthetic") for n in range(2)]
    matching = match([*good, *found], design)
    return {one.candidate.case_id: one.reason for one in matching.unmatched}


def test_the_most_pairs_are_made_even_if_a_nearer_partner_is_given_up() -> None:
    # 10 is nearest to 11, but then 12.6 would be alone: it is beyond the calliper of 9.
    lesions = [
        candidate("real", "a", diameter_mm=10.0),
        candidate("real", "b", diameter_mm=12.6),
        candidate("synthetic", "c", diameter_mm=11.0),
        candidate("synthetic", "d", diameter_mm=9.0),
    ]
    pairs = {(p.real.case_id, p.synthetic.case_id) for p in match(lesions, SMALL).pairs}
    assert pairs == {("a", "d"), ("b", "c")}
    assert {(p.real.case_id) for p in match(lesions[::-1], SMALL).pairs} == {"a", "b"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"structure": "kidney_lesion"}, "real lesion of the organ"),
        ({"phase": "arterial"}, "phase and scanner"),
        ({"phase": None}, "phase and scanner"),
        ({"scanner": "maker b"}, "phase and scanner"),
        ({"diameter_mm": 24.0}, "partner: size"),
        ({"spacing_mm": (2.0, 2.0, 1.0)}, "voxel size"),
        ({"room": (60, 5, 60)}, "end of the scan"),
    ],
)
def test_a_lesion_without_a_partner_is_named_with_the_reason(
    change: dict[str, object], reason: str
) -> None:
    assert reason in reasons([candidate("synthetic", "odd", **change)])["odd"]


def test_phase_and_scanner_need_not_match_if_the_design_says_so() -> None:
    loose = TuringDesign(crop_mm=24.0, match_phase=False, match_scanner=False)
    odd = [candidate("real", "odd", phase="arterial"), candidate("synthetic", "even", scanner="x")]
    assert reasons(odd, loose) == {}
    assert set(reasons(odd)) == {"odd", "even"}


def test_a_lesion_is_never_beside_its_own_host_and_a_scan_comes_once() -> None:
    same = [candidate("real", "own", host="h"), candidate("synthetic", "own", host="h")]
    with pytest.raises(ConfigError, match="pairs"):
        match(same, SMALL)
    many = [candidate("real", f"r{n}", host="one scan") for n in range(4)]
    many += [candidate("synthetic", f"s{n}") for n in range(4)]
    many += [candidate("real", "other")]
    hosts = [p.real.host for p in match(many, SMALL).pairs]
    assert sorted(hosts) == ["one scan", "real/other"]
    twice = TuringDesign(crop_mm=24.0, per_case=2)
    assert Counter(p.real.host for p in match(many, twice).pairs)["one scan"] == 2


def test_a_number_of_pairs_is_spread_over_the_organs() -> None:
    lesions = [
        candidate(kind, f"{organ}{n}", structure=organ)
        for kind in ("real", "synthetic")
        for organ, count in (("liver_lesion", 9), ("kidney_lesion", 2), ("lung_lesion", 3))
        for n in range(count)
    ]
    found = match(lesions, TuringDesign(crop_mm=24.0, pairs=6))
    assert set(Counter(p.real.structure for p in found.pairs).values()) == {2}
    assert any("beyond the number" in one.reason for one in found.unmatched)


def test_too_few_pairs_are_refused_with_the_commonest_reason() -> None:
    few = [candidate("real", "a"), candidate("synthetic", "b", diameter_mm=60.0)]
    with pytest.raises(ConfigError, match=r"0 pairs .*size.*wider callipers"):
        match(few, SMALL)
    with pytest.raises(ConfigError, match="no lesions"):
        match([], SMALL)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.floats(4, 60), st.sampled_from((0.7, 0.8, 1.0))), min_size=2, max_size=9),
    st.lists(st.tuples(st.floats(4, 60), st.sampled_from((0.7, 0.8, 1.0))), min_size=2, max_size=9),
)
def test_every_pair_keeps_the_callipers_and_no_lesion_comes_twice(
    real: list[tuple[float, float]], synthetic: list[tuple[float, float]]
) -> None:
    lesions = [
        candidate(kind, f"{n}", diameter_mm=mm, spacing_mm=(step, step, 2.5), room=(90, 90, 90))
        for kind, of in (("real", real), ("synthetic", synthetic))
        for n, (mm, step) in enumerate(of)
    ]
    try:
        found = match(lesions, SMALL)
    except ConfigError:
        return
    for pair in found.pairs:
        ratio = pair.real.diameter_mm / pair.synthetic.diameter_mm
        assert abs(math.log(ratio)) <= math.log(1.25) + 1e-9
        for a, b, shown in zip(
            pair.real.spacing_mm, pair.synthetic.spacing_mm, pair.spacing_mm, strict=True
        ):
            assert max(a, b) / min(a, b) <= 1.2 + 1e-9
            assert abs(math.log(shown / a)) <= math.log(1.2) / 2 + 1e-3
        assert all(n % 2 for n in dimensions(pair.spacing_mm, 24.0))
    shown_ = [one for p in found.pairs for one in (p.real, p.synthetic)]
    assert len(set(shown_)) == len(shown_)
    assert len(shown_) + len(found.unmatched) == len(lesions)
