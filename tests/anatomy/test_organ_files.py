"""A new organ is a file: it works without a line of code, and mistakes in it are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemai.anatomy import PHASES, Range, parse_organ, read_organ
from scalemai.errors import ConfigError

PHASE_LINES = "\n".join(
    f'{phase} = {{ mean_hu = {mean}, sd_hu = 8, source = "me" }}'
    for phase, mean in zip(PHASES, (45, 110, 120, 95), strict=True)
)
REMARK_LINES = "\n".join(f'{phase} = "Dark."' for phase in PHASES)
SPLEEN = f"""
name = "spleen"
title = "Spleen"
family = "solid"
structures = ["spleen"]
lesion = "spleen_lesion"
vessels = ["splenic_vein"]
barriers = ["stomach", "kidney_left"]
volume_ml = {{ low = 80, high = 1000, source = "me" }}

[parenchyma_hu]
{PHASE_LINES}

[kinds.lymphoma]
title = "Lymphoma"
aliases = ["malignant lymphoma"]
cystic = false
margin = "ill-defined"
weight = {{ value = 1, source = "me" }}
margin_width_mm = {{ low = 1, high = 3.5, source = "me" }}
irregularity = {{ low = 0, high = 0.4, source = "me" }}
elongation = {{ low = 1, high = 1.5, source = "me" }}
texture = {{ sd_hu = 5, scale_mm = 4, source = "me" }}
necrosis = {{ min_diameter_mm = 30, probability = 0.2, mean_hu = 25, sd_hu = 8, source = "me" }}
doubling_time_days = {{ low = 10, typical = 30, high = 90, source = "me" }}

[kinds.lymphoma.hu]
{PHASE_LINES}

[kinds.lymphoma.visibility]
{REMARK_LINES}
"""


def test_a_new_organ_needs_only_a_file(tmp_path: Path) -> None:
    path = tmp_path / "spleen.toml"
    path.write_text(SPLEEN, encoding="utf-8")
    spleen = read_organ(path)
    assert spleen == parse_organ(SPLEEN)
    assert spleen.structures == ("spleen",)
    assert dict(spleen.sites) == {}
    lymphoma = spleen.kind("Malignant Lymphoma")
    assert lymphoma.hu["portal_venous"].mean_hu == 120
    assert lymphoma.necrosis is not None
    assert lymphoma.necrosis.hu.mean_hu == 25
    assert lymphoma.doubling_time.typical_days == 30


def test_necrosis_may_be_left_out() -> None:
    lines = [line for line in SPLEEN.splitlines() if not line.startswith("necrosis")]
    assert parse_organ("\n".join(lines)).kind("lymphoma").necrosis is None


def test_what_is_left_out_has_a_plain_default() -> None:
    lymphoma = parse_organ(SPLEEN).kind("lymphoma")
    assert [(form.name, form.weight) for form in lymphoma.forms] == [("nodular", 1.0)]
    assert lymphoma.displaced == Range(0, 0)
    assert lymphoma.multiplicity == Range(1, 1)
    assert lymphoma.obstructs == ()
    features = (lymphoma.exophytic, lymphoma.calcification, lymphoma.rim)
    assert (*features, lymphoma.spicules, lymphoma.satellites) == (None,) * 5
    assert parse_organ(SPLEEN).wall_mm is None


def test_a_site_is_one_structure_or_a_list_of_them() -> None:
    sites = 'sites = { pole = "spleen", neighbors = ["liver", "kidney_left"] }\nvolume_ml'
    spleen = parse_organ(SPLEEN.replace("volume_ml", sites, 1))
    assert dict(spleen.sites) == {"pole": ("spleen",), "neighbors": ("liver", "kidney_left")}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '["spleen"]',
            '["spleeen"]',
            "structures: unknown structure 'spleeen'; did you mean 'spleen'",
        ),
        ('["splenic_vein"]', '["SMV"]', "'SMV' is an alias; write 'superior_mesenteric_vein'"),
        ('["splenic_vein"]', '["spleen"]', "'vessels' has the organ itself: spleen; leave it out"),
        ('"spleen_lesion"', '"stomach"', "'lesion' is 'stomach', not a lesion"),
        ('["spleen"]', "[]", "'structures' is empty"),
        ('"solid"', '"squishy"', "'family' is 'squishy'; use one of solid, hollow, lung, bone"),
        ('"ill-defined"', '"fuzzy"', "kinds.lymphoma: 'margin' is 'fuzzy'"),
        ("delayed = {", "late = {", "'parenchyma_hu' has no phase 'delayed'; give all of"),
        ('delayed = "Dark."', "", "'visibility' has no phase 'delayed'"),
        ("mean_hu = 110", "mean_hu = 9000", "parenchyma_hu.arterial: 'mean_hu' is 9000"),
        ("mean_hu = 110", 'mean_hu = "bright"', "'mean_hu' is 'bright'; write a number"),
        ("mean_hu = 110", "mean_hu = nan", "'mean_hu' is nan"),
        ("mean_hu = 110, sd_hu = 8", "mean_hu = 110, sd_hu = -8", "'sd_hu' is -8"),
        ("mean_hu = 110", "mean = 110", "'mean_hu' is missing; add it"),
        ('high = 1000, source = "me"', "high = 1000", "volume_ml: 'source' is missing; add it"),
        ('high = 1000, source = "me"', 'high = 1000, source = " "', "'source' is empty"),
        ("low = 80, high = 1000", "low = 1000, high = 80", "'low' is above high (1000 > 80)"),
        ("low = 0, high = 0.4", "low = 0, high = 4", "irregularity: 'high' is 4"),
        ("low = 1, high = 1.5", "low = 0.5, high = 1.5", "elongation: 'low' is 0.5"),
        (
            "probability = 0.2",
            "probability = 20",
            "'probability' is 20; write a number from 0 to 1",
        ),
        ("typical = 30", "typical = 300", "'typical' is not between low and high"),
        ("cystic = false", 'cystic = "no"', "'cystic' is 'no'; write true or false"),
        (
            "cystic = false",
            "cystic = false\ncolor = 1",
            "'color' does not belong here; known keys:",
        ),
        ('title = "Spleen"', 'title = "Spleen', "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_way_out(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in SPLEEN
    path = tmp_path / "spleen.toml"
    path.write_text(SPLEEN.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_organ(path)
    assert str(caught.value).startswith("spleen.toml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.sampled_from([i for i, line in enumerate(SPLEEN.splitlines()) if " = " in line]))
def test_no_line_is_optional_except_those_that_may_be_empty(number: int) -> None:
    lines = SPLEEN.splitlines()
    gone = lines.pop(number).split(" = ")[0]
    text = "\n".join(lines)
    if gone in ("vessels", "barriers", "aliases", "necrosis"):
        parse_organ(text)
    else:
        with pytest.raises(ConfigError, match=gone):
            parse_organ(text)


def test_two_kinds_may_not_share_a_name() -> None:
    start = SPLEEN.index("[kinds.lymphoma]")
    second = SPLEEN[start:].replace("kinds.lymphoma", "kinds.other")
    with pytest.raises(ConfigError, match="has 'malignant lymphoma' twice"):
        parse_organ(SPLEEN + second)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: the file cannot be read"):
        read_organ(tmp_path / "none.toml")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        read_organ(path)


def test_the_words_are_read_without_numpy_or_pydantic() -> None:
    program = (
        "import sys, scalemai.anatomy as a; a.organ('liver'); a.class_map('pants');"
        "print(sorted({'numpy', 'pydantic', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")
