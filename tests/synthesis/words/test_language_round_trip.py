"""Descriptions of random lesions and random words: there and back, and every word accounted for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalemai.anatomy import LesionKind, Organ, organ, organ_names
from scalemai.anatomy.spelling import squash
from scalemai.errors import ConfigError
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.words.language import Description, describe, parse_description
from scalemai.synthesis.words.vocabulary import plural, vocabulary

ORGANS = [organ(name) for name in organ_names()]
KINDS = [(facts, kind) for facts in ORGANS for kind in facts.kinds]
STOP = {key for key, entry in vocabulary().entries.items() if entry.code in "saT&tb"}
SOUP = st.lists(
    st.sampled_from(
        [
            "two", "3-5", "hypodense", "cyst", "masses", "the", "liver", "pancreatic", "tail",
            "with", "without", "necrosis", "and", ",", "or", "duct", "dilatation", "encasing",
            "by", "90", "degrees", "blue", "x", "not", "7", "in", "(", ")", "large", ".", "-",
            "8 mm", "SMA", "solid",
        ]
    ),
    max_size=14,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(SOUP)
def test_every_word_is_read_or_passed_over_or_unknown(words: list[str]) -> None:
    text = " ".join(words)
    try:
        told: Description = parse_description(text, strict=False, default_organ="pancreas")
    except ConfigError:
        return
    accounted = [False] * len(text)
    for span in (*told.reading, *told.unknown):
        assert text[span.start : span.stop] == span.text
        accounted[span.start : span.stop] = [True] * (span.stop - span.start)
    for word in re.finditer(r"\w+", text):
        if not all(accounted[word.start() : word.end()]):
            assert squash(word[0]) in STOP | {"or"}
    assert parse_description(text, strict=False, default_organ="pancreas") == told


# --- there and back ------------------------------------------------------------------------


@pytest.mark.parametrize("facts", ORGANS, ids=lambda facts: facts.name)
def test_every_kind_site_and_form_of_an_organ_has_words_that_are_read_back(facts: Organ) -> None:
    specs = [LesionSpec(organ=facts.name)]
    for kind in facts.kinds:
        specs += [
            LesionSpec(organ=facts.name, kind=kind.name, form=form.name, site=site)
            for form in kind.forms
            for site in (None, *facts.sites)
        ]
    for spec in specs:
        for count in ((1, 1), (2, 2), (3, 14), (13, 13)):
            told = parse_description(describe(spec, count))
            assert (told.specs, told.counts) == ((spec,), (count,)), describe(spec, count)


@pytest.mark.parametrize(
    ("facts", "kind"), KINDS, ids=[f"{facts.name}-{kind.name}" for facts, kind in KINDS]
)
def test_every_name_of_a_kind_is_read(facts: Organ, kind: LesionKind) -> None:
    for name in (kind.name, *kind.aliases):
        for spelled in (
            name,
            name.upper(),
            plural(name) if name not in ("mets", "metastases") else name,
        ):
            told = parse_description(f"one {spelled} in the {facts.name.replace('_', ' ')}")
            assert told.specs[0].kind == kind.name, spelled
            assert told.counts == ((1, 1),)


@st.composite
def specs(draw: st.DrawFn) -> LesionSpec:
    facts = draw(st.sampled_from(ORGANS))
    kind = draw(st.none() | st.sampled_from(facts.kinds))
    kinds = facts.kinds if kind is None else (kind,)
    forms = [form.name for one_kind in kinds for form in one_kind.forms]
    fluid = kind is not None and kind.cystic
    closes = any(one_kind.obstructs for one_kind in kinds)
    wanted = st.none() | st.booleans()
    low, high = sorted(draw(st.tuples(*[st.floats(2.0, 150.0, allow_nan=False)] * 2)))
    vessel = None
    if facts.vessels and draw(st.booleans()):
        angles = sorted(draw(st.tuples(*[st.floats(1.0, 360.0)] * 2)))
        vessel = (draw(st.sampled_from(facts.vessels)), (angles[0], angles[1]))
    values = {
        "organ": facts.name,
        "diameter_mm": (low, high),
        "kind": kind and kind.name,
        "form": draw(st.none() | st.sampled_from(forms)),
        "site": draw(st.none() | st.sampled_from(sorted(facts.sites))) if facts.sites else None,
        "contrast": draw(st.sampled_from((None, "hypo", "iso", *(() if fluid else ("hyper",))))),
        "margin": draw(
            st.sampled_from((None, "well-defined", "ill-defined", "lobulated", "spiculated"))
        ),
        "necrosis": draw(st.sampled_from((None, False, *(() if fluid else (True,))))),
        "calcification": draw(wanted),
        "rim": draw(wanted),
        "exophytic": draw(wanted),
        "duct": draw(wanted if closes else st.sampled_from((None, False))),
        "atrophy": draw(st.sampled_from((None, False))),
        "satellites": draw(wanted),
        "mass_effect": draw(wanted),
        "vessel": vessel,
        "at_mm": None
        if vessel
        else draw(st.none() | st.tuples(*[st.floats(-1e5, 1e5, allow_nan=False)] * 3)),
    }
    size = draw(st.none() | st.floats(1.0, 1000.0))
    if size is not None and values["contrast"] in (None, "hypo", "hyper"):
        darker = draw(st.booleans()) if values["contrast"] is None else values["contrast"] == "hypo"
        values["contrast_hu"] = -size if darker else size
    values["uniform"] = draw(st.booleans()) and not any(
        values[name] for name in ("necrosis", "calcification", "rim")
    )
    try:
        return LesionSpec(**values)  # type: ignore[arg-type]  # fields vary
    except ConfigError:  # what the facts exclude besides
        return LesionSpec(organ=facts.name, diameter_mm=(low, high))


@settings(max_examples=300, deadline=None)
@given(specs(), st.tuples(st.integers(1, 50), st.integers(1, 50)))
def test_what_a_spec_is_described_as_is_read_as_that_spec(
    spec: LesionSpec, ends: tuple[int, int]
) -> None:
    count = (min(ends), max(ends))
    told = parse_description(describe(spec, count))
    assert told.specs == (spec,)
    assert told.counts == (count,)
    assert told.unknown == ()


@settings(max_examples=50, deadline=None)
@given(st.lists(specs(), min_size=1, max_size=3))
def test_several_descriptions_joined_are_read_as_several_lesions(lesions: list[LesionSpec]) -> None:
    text = "; and ".join(describe(spec) for spec in lesions)
    assert parse_description(text).specs == tuple(lesions)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        specs = parse_description(text).specs
    except ConfigError as error:
        specs = ()
        message = str(error)
    assert specs or "\n" not in message
