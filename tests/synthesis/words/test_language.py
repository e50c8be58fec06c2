"""Descriptions in words: what is read, what is refused, and that nothing is guessed."""

from __future__ import annotations

import pytest

from scalemai.errors import ConfigError
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.words.language import parse_description


def one(text: str) -> LesionSpec:
    told = parse_description(text)
    assert len(told.specs) == 1
    return told.specs[0]


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_description(text)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- what is read --------------------------------------------------------------------------


def test_the_sentence_of_the_documentation_is_read_word_for_word() -> None:
    text = (
        "two hypoattenuating ill-defined 8-15 mm masses in the pancreatic tail with duct dilatation"
    )
    told = parse_description(text)
    assert told.specs == (
        LesionSpec(
            organ="pancreas",
            site="tail",
            diameter_mm=(8.0, 15.0),
            contrast="hypo",
            margin="ill-defined",
            duct=True,
        ),
    )
    assert told.counts == ((2, 2),)
    assert told.unknown == ()
    assert [(span.text, span.field, span.value) for span in told.reading] == [
        ("two", "count", (2, 2)),
        ("hypoattenuating", "contrast", "hypo"),
        ("ill-defined", "margin", "ill-defined"),
        ("8-15 mm", "diameter_mm", (8.0, 15.0)),
        ("masses", "lesion", None),
        ("pancreatic", "organ", "pancreas"),
        ("tail", "site", "tail"),
        ("duct dilatation", "duct", True),
    ]
    assert all(text[span.start : span.stop] == span.text for span in told.reading)


@pytest.mark.parametrize(
    ("words", "mm"),
    [
        ("12 mm", (12, 12)),
        ("12mm", (12, 12)),
        ("a 12-mm", (12, 12)),
        ("8-15 mm", (8, 15)),
        ("8 – 15 mm", (8, 15)),
        ("8 to 15 mm", (8, 15)),
        ("8 mm to 1.5 cm", (8, 15)),
        ("between 8 and 15 mm", (8, 15)),
        ("1.5 cm", (15, 15)),
        ("1,5 cm", (15, 15)),
        ("two-cm", (20, 20)),
        ("2 x 3 cm", (30, 30)),
        ("2x3 cm", (30, 30)),
        ("31 mm × 2 cm × 15 mm", (31, 31)),
        ("2 by 3 cm", (30, 30)),
        ("up to 2 cm", (2, 20)),
        ("<= 20 mm", (2, 20)),
        ("≤20 mm", (2, 20)),
        ("< 20 millimetres", (2, 20)),
        ("2 centimeters or less", (2, 20)),
        ("no larger than 20 mm", (2, 20)),
        ("sub-centimetre", (2, 10)),
        ("subcentimeter", (2, 10)),
        ("at least 30 mm", (30, 60)),
        (">1 cm", (10, 40)),
        ("larger than 1 cm, smaller than 2 cm", (10, 20)),
        ("about 20 mm", (18, 22)),
        ("small", (2, 20)),
        ("small (8-25 mm)", (8, 20)),
        ("large", (50, 100)),
    ],
)
def test_sizes_are_read_in_millimetres(words: str, mm: tuple[float, float]) -> None:
    assert one(f"liver metastasis, {words}").diameter_mm == pytest.approx(mm)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a hepatic lesion", (1, 1)),
        ("liver lesion", (1, 1)),
        ("two liver lesions", (2, 2)),
        ("3 liver lesions", (3, 3)),
        ("3-5 liver lesions", (3, 5)),
        ("three to five liver lesions", (3, 5)),
        ("2 or 3 liver lesions", (2, 3)),
        ("between 2 and 4 liver lesions", (2, 4)),
        ("up to 4 liver lesions", (1, 4)),
        ("a couple of liver lesions", (2, 2)),
        ("3-5 8-15 mm liver lesions", (3, 5)),
        ("multiple liver metastases", (2, 8)),
        ("liver metastases", (2, 8)),
        ("several pancreatic PDACs", (2, 2)),
        ("numerous lytic lesions of the ribs", (2, 20)),
    ],
)
def test_numbers_of_lesions_are_read(words: str, expected: tuple[int, int]) -> None:
    assert parse_description(words).counts == (expected,)


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ("hypodense", "contrast", "hypo"),
        ("low-attenuation", "contrast", "hypo"),
        ("hypo-attenuating", "contrast", "hypo"),
        ("hypervascular", "contrast", "hyper"),
        ("isodense", "contrast", "iso"),
        ("30 HU darker than the organ", "contrast_hu", -30.0),
        ("25.5 HU brighter", "contrast_hu", 25.5),
        ("with a contrast of -30 HU", "contrast_hu", -30.0),
        ("infiltrative", "margin", "ill-defined"),
        ("poorly circumscribed", "margin", "ill-defined"),
        ("well circumscribed", "margin", "well-defined"),
        ("with lobulated margins", "margin", "lobulated"),
        ("centrally necrotic", "necrosis", True),
        ("without necrosis", "necrosis", False),
        ("non-necrotic", "necrosis", False),
        ("not necrotic", "necrosis", False),
        ("with no evidence of necrosis", "necrosis", False),
        ("with calcifications", "calcification", True),
        ("noncalcified", "calcification", False),
        ("ring-enhancing", "rim", True),
        ("with an enhancing capsule", "rim", True),
        ("exophytic", "exophytic", True),
        ("endophytic", "exophytic", False),
        ("with a dilated pancreatic duct", "duct", True),
        ("with upstream ductal dilation", "duct", True),
        ("with dilatation of the main pancreatic duct", "duct", True),
        ("without duct dilatation", "duct", False),
        ("with parenchymal atrophy", "atrophy", True),
        ("with satellite nodules", "satellites", True),
        ("with mass effect", "mass_effect", True),
        ("without mass effect", "mass_effect", False),
        (
            "encasing the superior mesenteric artery by 180-270 degrees",
            "vessel",
            ("superior_mesenteric_artery", (180.0, 270.0)),
        ),
        ("encasing the SMA", "vessel", ("superior_mesenteric_artery", (180.0, 360.0))),
        ("abutting the portal vein", "vessel", ("portal_vein", (30.0, 180.0))),
        ("in contact with the SMV (<90°)", "vessel", ("superior_mesenteric_vein", (1.0, 90.0))),
        ("at (-12.5, 40, 300) mm", "at_mm", (-12.5, 40.0, 300.0)),
        ("in the head", "site", "head"),
    ],
)
def test_what_a_pancreatic_lesion_is_like_is_read(words: str, field: str, value: object) -> None:
    spec = one(f"a pancreatic mass {words}")
    assert getattr(spec, field) == value
    assert spec == LesionSpec(organ="pancreas", **{field: value})  # type: ignore[arg-type]  # fields vary


@pytest.mark.parametrize(
    ("words", "where", "field", "value"),
    [
        ("a part-solid nodule", "lung", "form", "part_solid"),
        ("a solid nodule in the lung", "lung", "form", "solid"),
        ("a ground-glass opacity", "lung", "form", "ground_glass"),
        ("a spiculated nodule of the right lung", "lung", "margin", "spiculated"),
        ("an apple-core lesion of the large bowel", "colon", "form", "annular"),
        ("circumferential oesophageal tumour", "esophagus", "form", "annular"),
        ("a polypoid gastric mass", "stomach", "form", "polypoid"),
        ("a plaque-like tumor in the wall of the gallbladder", "gall_bladder", "form", "plaque"),
        ("an osteolytic lesion", "bone", "form", "lytic"),
        ("a sclerotic lesion in the sacrum", "bone", "form", "blastic"),
        ("a mixed lytic and sclerotic bony lesion", "bone", "form", "mixed"),
        ("a lesion in the upper lobe of the left lung", "lung", "site", "left_upper_lobe"),
        ("left lung nodule, lower lobe", "lung", "site", "left_lower_lobe"),
        ("RML nodule", "lung", "site", "right_middle_lobe"),
        ("a mass in a left rib", "bone", "site", "left_rib"),
        ("a metastasis in a lumbar vertebra", "bone", "site", "lumbar_spine"),
        ("a tumor of the left suprarenal gland", "adrenal_gland", "site", "left"),
        ("a cystic lesion of the kidney", "kidney", "kind", "cyst"),
        ("a fat-containing renal mass", "kidney", "kind", "angiomyolipoma"),
        ("a solid hypodense pancreatic mass", "pancreas", "kind", "pdac"),
        ("a liver mass with arterial enhancement and washout", "liver", "kind", "hcc"),
        ("a hepatic haemangioma", "liver", "kind", "hemangioma"),
        ("PDAC", "pancreas", "kind", "pdac"),
        ("a mass with the double duct sign", "pancreas", "site", "head"),
    ],
)
def test_facts_tell_what_words_leave_open(
    words: str, where: str, field: str, value: object
) -> None:
    spec = one(words)
    assert spec.organ == where
    assert getattr(spec, field) == value


def test_several_lesions_stand_in_one_text() -> None:
    told = parse_description(
        "Two 8 mm PDACs in the head with necrosis and a dilated duct, without calcification or "
        "atrophy, and a 3 cm cyst in the liver; 2-3 calcified nodules in the left lung. "
        "The nodules are well-defined."
    )
    pdac, cyst, nodules = told.specs
    assert pdac == LesionSpec(
        organ="pancreas", kind="pdac", site="head", diameter_mm=(8, 8), necrosis=True, duct=True,
        calcification=False, atrophy=False,
    )  # fmt: skip
    assert cyst == LesionSpec(organ="liver", kind="cyst", diameter_mm=(30, 30))
    assert nodules == LesionSpec(
        organ="lung", site="left", calcification=True, margin="well-defined"
    )
    assert told.counts == ((2, 2), (1, 1), (2, 3))
    assert [span.lesion for span in told.reading] == sorted(span.lesion for span in told.reading)


def test_a_sentence_of_a_report_is_read() -> None:
    told = parse_description(
        "There is a 2.5 cm ill-defined hypoattenuating mass located in the head of the pancreas, "
        "abutting the SMV (<180°), associated with upstream pancreatic duct dilatation and "
        "parenchymal atrophy. It is not calcified."
    )
    assert told.specs == (
        LesionSpec(
            organ="pancreas", site="head", diameter_mm=(25, 25), contrast="hypo",
            margin="ill-defined", vessel=("superior_mesenteric_vein", (1, 180)), duct=True,
            atrophy=True, calcification=False,
        ),
    )  # fmt: skip


def test_a_lesion_stays_in_the_organ_of_the_one_before() -> None:
    told = parse_description("a 2 cm mass in the liver and a 1 cm cyst")
    assert [spec.organ for spec in told.specs] == ["liver", "liver"]


def test_the_callers_organ_stands_in_where_words_leave_it_open() -> None:
    assert parse_description("a 2 cm cyst", default_organ="kidneys").specs[0].organ == "kidney"
    assert parse_description("a 2 cm HCC", default_organ="kidney").specs[0].organ == "liver"


def test_negation_reaches_along_or() -> None:
    spec = one("pancreatic mass without necrosis, calcification or atrophy, with satellites")
    assert (spec.necrosis, spec.calcification, spec.atrophy) == (False, False, False)
    assert spec.satellites is True
    spec = one("pancreatic mass, no necrosis, calcified")
    assert (spec.necrosis, spec.calcification) == (False, True)


def test_the_number_of_lesions_of_a_case_is_drawn_in_its_range_and_repeats() -> None:
    told = parse_description("2-4 liver lesions and a renal cyst")
    drawn = [told.lesions(f"case {n}", seed=3) for n in range(60)]
    assert {len(lesions) for lesions in drawn} == {3, 4, 5}
    assert all(lesions[-1].organ == "kidney" for lesions in drawn)
    assert drawn == [told.lesions(f"case {n}", seed=3) for n in range(60)]


# --- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("solid cyst in the kidney", "kind: 'solid' contradicts cyst"),
        ("a mass in the head of the liver", "site: liver has no site 'head'"),
        ("a mass in the upper pole of the left kidney", "known sites: left, right"),
        ("a lesion in the head and tail of the pancreas", "site: pancreas has no site 'head'"),
        ("a 12 mm mass in a 6 mm pancreatic duct", "diameter_mm: 12 mm do not fit"),
        ("a 12 mm pancreatic mass with a 6 mm dilated duct", "duct: '6 mm dilated duct'"),
        ("PDAC in the liver", "kind: liver has no kind 'PDAC'; known kinds: hcc"),
        ("a cyst or hemangioma in the liver", "unknown word: 'or'"),
        ("a PDAC cyst of the pancreas", "kind: 'PDAC' and 'cyst' exclude each other"),
        ("an ill-defined, well-circumscribed liver mass", "margin: "),
        ("a hypodense liver mass that is hyperdense", "contrast: "),
        ("a 12 mm liver mass of 3 cm", "diameter_mm: '12 mm' and '3 cm' exclude each other"),
        ("a large 8 mm liver mass", "diameter_mm: 'large' and '8 mm'"),
        ("a 15-8 mm liver mass", "did you mean 8-15 mm?"),
        ("a 1 mm liver mass", "diameter_mm: 1-1 mm is not a range"),
        ("a 30 cm liver mass", "diameter_mm: 300-300 mm is not a range"),
        ("a necrotic liver mass without necrosis", "necrosis: "),
        ("a liver mass without necrosis and calcification", "calcification: whether"),
        ("a liver mass, not hypodense", "contrast: 'hypodense' cannot be denied"),
        ("no mass in the liver", "count: 'no': no lesion is asked for"),
        ("a 40 HU liver mass", "contrast_hu: 40 HU says nothing about the difference"),
        ("a liver mass encasing the SMA", "vessel: liver has no vessel"),
        ("a mass in the portal vein of the liver", "vessel: 'portal vein' lacks"),
        ("a pancreatic mass encasing by 90 degrees", "vessel: 'encasing' lacks a vessel"),
        ("a PDAC encasing the SMA by 0 degrees", "vessel: 0-0 degrees"),
        ("a mass of the liver with duct dilatation", "duct: liver closes no duct"),
        ("a mass of the pancreatic tail, double duct sign", "duct: a lesion of tail"),
        ("a polypoid mass", "it could be bladder, colon"),
        ("a ground-glass mass of the liver", "form: liver has no form 'ground_glass'"),
        ("a liver mass with a hypodense rim", "rim: 'hypodense' says how 'rim' is"),
        ("a liver mass with small satellite nodules", "satellites: 'small' says how"),
        ("a liver mass with 3 mm satellites", "satellites: '3 mm' says how"),
        ("a liver mass with rim calcification", "calcification: 'rim' says how"),
        ("a liver mass with calcification of the rim", "rim: 'calcification' says how"),
        ("a renal mass in the liver", "organ: 'renal' and 'liver' exclude each other"),
        ("a cystic bone lesion", "kind: 'cystic' contradicts every such kind in bone"),
        ("a solid renal mass", "kind: 'solid' leaves several kinds; name one of"),
        ("0 liver masses", "count: '0' is no number of lesions"),
        ("2.5 liver masses", "count: '2.5' is no number of lesions"),
        ("51 liver masses", "1 to 50"),
        ("at least 2 liver masses", "count: 'at least 2' has no upper end"),
        ("", "'' tells of no lesion; for example"),
        ("the left kidney", "tells of no lesion"),
        (" , . ", "tells of no lesion"),
        ("fee fi fo fum foe far fun fig liver mass", "'far' (character 19); and 2 more"),
        ("a liver mass " * 1000, "at most 10,000"),
    ],
)
def test_a_description_that_cannot_be_is_refused_by_field(text: str, named: str) -> None:
    message = refusal(text)
    assert message.startswith("description: ")
    assert named in message


def test_unknown_words_are_named_with_place_and_nearest_words() -> None:
    text = "a possibly malignant 2 cm mas in the pancraes"
    message = refusal(text)
    assert "'possibly' (character 3)" in message
    assert "'malignant' (character 12)" in message
    assert "'mas' (character 27), did you mean 'mass'" in message
    assert "'pancraes' (character 38), did you mean 'pancreas'" in message
    lenient = parse_description(text, strict=False, default_organ="pancreas")
    assert [span.text for span in lenient.unknown] == ["possibly", "malignant", "mas", "pancraes"]
    assert lenient.specs == (LesionSpec(organ="pancreas", diameter_mm=(20, 20)),)


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("grade 3 liver mass", ["grade", "3"]),
        ("a liver mass 3", ["3"]),
        ("L3 lytic metastasis", ["L", "3"]),
        ("a liver mass without fibrosis", ["without", "fibrosis"]),
        ("a 2 inch liver mass", ["2", "inch"]),
        ("liver mass 50 %", ["50", "%"]),
        ("a liver mass near the SMA", ["near"]),
    ],
)
def test_what_stands_beside_an_unknown_word_is_not_guessed(text: str, unknown: list[str]) -> None:
    if "SMA" in text:
        assert "near" in refusal(text)
        return
    told = parse_description(text, strict=False)
    assert [span.text for span in told.unknown] == unknown
    assert told.counts == ((1, 1),)
