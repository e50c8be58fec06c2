"""What a lesion kind may say in an organ file, and how mistakes in it are named."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

import scalemai.anatomy
from scalemai.anatomy import HU, Range, parse_organ
from scalemai.errors import ConfigError

FOLDER = files(scalemai.anatomy) / "organs"


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.toml").read_text(encoding="utf-8")


def changed(name: str, pattern: str, new: str) -> str:
    """The text of a packaged organ with every match of a pattern replaced."""
    text, count = re.subn(pattern, new, text_of(name), flags=re.MULTILINE)
    assert count, f"{pattern!r} is not in {name}.toml"
    return text


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_organ(text, "mine.toml")
    message = str(caught.value)
    assert message.startswith("mine.toml: ")
    assert "\n" not in message
    return message


def test_every_feature_of_a_kind_is_read() -> None:
    kind = parse_organ(text_of("lung")).kind("adenocarcinoma")
    glass = kind.form("part_solid")
    assert glass.hu == HU(-600, 70)
    assert glass.core_share == Range(0.25, 0.8)
    assert glass.source.startswith("author's choice")
    assert kind.spicules is not None
    assert kind.spicules.count == Range(8, 26)
    assert kind.satellites is not None
    assert kind.satellites.count == Range(1, 3)
    assert kind.calcification is not None
    assert kind.calcification.pattern == "scattered"
    assert kind.calcification.hu == HU(250, 90)
    pdac = parse_organ(text_of("pancreas")).kind("pdac")
    assert [duct.structure for duct in pdac.obstructs] == ["pancreatic_duct", "common_bile_duct"]
    assert pdac.obstructs[0].calibre_mm == Range(4, 10)
    assert pdac.exophytic is not None
    assert pdac.exophytic.speed == Range(0.1, 0.4)
    rim = parse_organ(text_of("liver")).kind("hcc").rim
    assert rim is not None
    assert rim.width_mm == Range(0.8, 2.2)
    assert rim.hu["delayed"] == HU(116, 16)


@pytest.mark.parametrize(
    ("name", "pattern", "new", "message"),
    [
        (
            "lung",
            "^ground_glass = ",
            "annular = ",
            "kinds.adenocarcinoma.forms: 'annular' is no form of a lung organ's lesion; "
            "use some of solid, part_solid, ground_glass",
        ),
        (
            "liver",
            r"^\[kinds.hcc.visibility\]",
            '[kinds.hcc.forms]\npolypoid = { weight = 1, source = "me" }\n[kinds.hcc.visibility]',
            "'polypoid' is no form of a solid organ's lesion; use some of nodular",
        ),
        (
            "colon",
            r"^\[kinds.adenoma.forms\]\n.*\n",
            "",
            "kinds.adenoma: 'forms' is missing; add it",
        ),
        (
            "colon",
            "^polypoid = { weight = 1",
            "polypoid = { weight = 0",
            "kinds.adenoma: 'forms' have no weight above 0",
        ),
        ("lung", r"core_share = {", "core = {", "forms.part_solid: 'core_share' is missing"),
        (
            "lung",
            "^solid = { weight = 0.45",
            "solid = { core_share = 0.5, weight = 0.45",
            "forms.solid: 'core_share' belongs to part_solid alone; leave it out",
        ),
        (
            "bone",
            r"^blastic = { weight = 0.3, source = (.*?), hu = {.*} }$",
            r"blastic = { weight = 0.3, source = \1 }",
            "forms.blastic: 'hu' is missing; add it",
        ),
        (
            "lung",
            "core_share = { low = 0.25",
            "core_share = { low = 25",
            "part_solid.core_share: 'low' is 25; write a number from 0 to 1",
        ),
        (
            "pancreas",
            "^displaced = { low = 0, high = 0.15",
            "displaced = { low = 0, high = 15",
            "kinds.pdac.displaced: 'high' is 15; write a number from 0 to 1",
        ),
        (
            "pancreas",
            "speed = { low = 0.1, high = 0.4",
            "speed = { low = 0.1, high = 4",
            "pdac.exophytic.speed: 'high' is 4",
        ),
        (
            "pancreas",
            "^exophytic = { probability = 0.45",
            "exophytic = { probability = 45",
            "exophytic: 'probability' is 45; write a number from 0 to 1",
        ),
        (
            "pancreas",
            'pattern = "central"',
            'pattern = "popcorn"',
            "calcification: 'pattern' is 'popcorn'; use one of central, rim, scattered",
        ),
        (
            "liver",
            r"^\[kinds.hcc.rim.hu\]\nnon_contrast = .*\n",
            "[kinds.hcc.rim.hu]\n",
            "kinds.hcc.rim: 'hu' has no phase 'non_contrast'",
        ),
        ("liver", "^width_mm = { low = 0.8", "width_mm = { low = 0", "rim.width_mm: 'low' is 0"),
        (
            "liver",
            "^multiplicity = { low = 2, high = 4",
            "multiplicity = { low = 0, high = 4",
            "multiplicity: 'low' is 0; write a number from 1 to",
        ),
        ("lung", "count = { low = 8", "count = { low = 0", "spicules.count: 'low' is 0"),
        (
            "pancreas",
            '^sites = \\["head"\\]',
            'sites = ["neck"]',
            "obstructs.common_bile_duct' has the unknown site 'neck'; use one of head, body, tail",
        ),
        (
            "pancreas",
            '^sites = \\["head"\\]',
            "sites = []",
            "common_bile_duct: 'sites' is missing or empty",
        ),
        (
            "pancreas",
            r"obstructs.common_bile_duct\]",
            "obstructs.aorta]",
            "obstructs.aorta' is none of the vessels; use one of pancreatic_duct",
        ),
        (
            "pancreas",
            r"obstructs.common_bile_duct\]",
            "obstructs.CBD]",
            "obstructs: 'CBD' is an alias; write 'common_bile_duct'",
        ),
        (
            "pancreas",
            "atrophy = { low = 0, high = 0.5",
            "atrophy = { low = 0, high = 50",
            "pancreatic_duct.atrophy: 'high' is 50",
        ),
        ("colon", "^wall_mm = .*$", "", "'wall_mm' is missing; add it"),
        (
            "liver",
            "^volume_ml",
            'wall_mm = { low = 1, high = 2, source = "me" }\nvolume_ml',
            "'wall_mm' is of no use in the family 'solid'; leave it out",
        ),
        ("colon", "wall_mm = { low = 1,", "wall_mm = { low = 0,", "wall_mm: 'low' is 0"),
        ("lung", '^left = "lung_left"', "left = []", "sites: 'left' is empty; name its structures"),
        ("lung", '^left = "lung_left"', "left = 3", "sites: 'left' is 3; write a list of texts"),
        (
            "lung",
            '^left = "lung_left"',
            'left = ["left lung"]',
            "sites: left: 'left lung' is an alias; write 'lung_left'",
        ),
        (
            "breast",
            r"^weight = { value = 0\.\d",
            "weight = { value = 0",
            "'kinds' have no weight above 0; give one kind a weight of 1",
        ),
        (
            "lung",
            "^satellites = { ",
            "satellites = { distance_mm = 3, ",
            "satellites: 'distance_mm' does not belong here; known keys:",
        ),
    ],
)
def test_a_mistake_is_named_with_its_table_its_key_and_the_way_out(
    name: str, pattern: str, new: str, message: str
) -> None:
    assert message in refusal(changed(name, pattern, new))


@pytest.mark.parametrize(
    "key", ["calcification", "spicules", "satellites", "displaced", "multiplicity"]
)
def test_a_feature_without_a_source_is_refused(key: str) -> None:
    text = text_of("lung")
    line = next(line for line in text.splitlines() if line.startswith(f"{key} = "))
    bare = re.sub(r'(, )?source = "[^"]*"', "", line, count=1).replace("{ ,", "{")
    assert f"kinds.adenocarcinoma.{key}" in (message := refusal(text.replace(line, bare, 1)))
    assert "'source' is missing; add it" in message
