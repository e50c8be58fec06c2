"""What the pages about words and populations show is what happens."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from scalemai.synthesis.populations import population
from scalemai.synthesis.populations.population import TumorPopulation
from scalemai.synthesis.words import language
from scalemai.synthesis.words.language import describe, parse_description

HOWTO = Path(__file__).resolve().parents[3] / "docs" / "howto"
WORDS = HOWTO / "describe-in-words.md"
POPULATIONS = HOWTO / "populations.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


DESCRIPTIONS = blocks(WORDS, "text")[0].splitlines()


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_every_description_of_the_page_is_read_whole_and_written_back(text: str) -> None:
    told = parse_description(text)
    assert told.unknown == ()
    said = " and ".join(map(describe, told.specs, told.counts))
    assert (parse_description(said).specs, parse_description(said).counts) == (
        told.specs,
        told.counts,
    )


@pytest.mark.parametrize("text", blocks(POPULATIONS, "yaml"))
def test_every_population_of_the_page_is_read(text: str) -> None:
    found = TumorPopulation.from_yaml(text)
    assert TumorPopulation.from_yaml(found.to_yaml()) == found


@pytest.mark.parametrize("page", [WORDS, POPULATIONS], ids=lambda page: page.stem)
def test_the_python_of_the_page_runs(page: Path) -> None:
    (code,) = blocks(page, "python")
    exec(compile(code, page.name, "exec"), {})  # its assertions are the test


@pytest.mark.parametrize("module", [language, population])
def test_the_examples_of_the_module_are_true(module) -> None:  # type: ignore[no-untyped-def]  # a module
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0
