"""Contrast phases: the spellings of files, tables and reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemai.anatomy import PHASES, canonical_phase
from scalemai.errors import UnknownNameError


def test_there_are_four_phases_in_the_order_of_time() -> None:
    assert PHASES == ("non_contrast", "arterial", "portal_venous", "delayed")


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("Non-contrast", "non_contrast"),
        ("non_contrast", "non_contrast"),
        ("Plain", "non_contrast"),
        ("native", "non_contrast"),
        ("unenhanced", "non_contrast"),
        ("Arterial", "arterial"),
        ("late arterial phase", "arterial"),
        ("corticomedullary", "arterial"),
        ("pancreatic", "arterial"),
        ("Venous", "portal_venous"),
        ("venous", "portal_venous"),
        ("portal", "portal_venous"),
        ("PV", "portal_venous"),
        ("PVP", "portal_venous"),
        ("Portal venous", "portal_venous"),
        ("portal-venous phase", "portal_venous"),
        ("CT Venous Phase", "portal_venous"),
        ("nephrographic", "portal_venous"),
        ("Delay", "delayed"),
        ("Delayed", "delayed"),
        ("excretory", "delayed"),
        ("equilibrium phase", "delayed"),
    ],
)
def test_a_phase_is_known_by_its_many_names(text: str, phase: str) -> None:
    assert canonical_phase(text) == phase


@given(st.sampled_from(PHASES), st.sampled_from(["", " phase", " Phase", "_phase"]))
def test_a_canonical_phase_stays_as_it_is(phase: str, ending: str) -> None:
    assert canonical_phase(phase + ending) == phase


@pytest.mark.parametrize("text", ["", "  ", "phase", "CT", "contrast", "T1", "nan"])
def test_what_is_no_phase_is_refused(text: str) -> None:
    with pytest.raises(UnknownNameError, match="contrast phase"):
        canonical_phase(text)


def test_a_misspelled_phase_gets_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match="'arterial'"):
        canonical_phase("arteriel")
