"""The examples in the docstrings say what the code does."""

from __future__ import annotations

import doctest

import pytest

from scalemai.anatomy import facts, labels, naming, phases, spelling


@pytest.mark.parametrize("module", [facts, labels, naming, phases, spelling])
def test_the_examples_of_a_module_are_true(module) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0
