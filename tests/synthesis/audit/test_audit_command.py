"""``scalemai audit synthesis`` from end to end, on small cases on disk."""

from __future__ import annotations

import io
import json
import shutil
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from cli.hosts import Said, body, inside, scalemai, synthesize, tree, write, write_cases
from scalemai.synthesis.audit.audit import audit
from scalemai.synthesis.audit.findings import CaseFindings
from scalemai.synthesis.audit.report import render

HOSTS = 5


class Page(HTMLParser):
    """What a browser would load and show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hosts in ``data`` and two lesions in the liver of each in ``made``."""
    root = tmp_path_factory.mktemp("audit")
    write_cases(root / "data", HOSTS)
    said = synthesize(root / "data", "--out", root / "made", "--count", 2, "--diameter", "10-20mm")
    assert said.code == 0, said.err
    return root


@pytest.fixture(scope="module")
def said(made: Path) -> Said:
    return run(made, made / "made", "out")


def run(root: Path, synthetic: Path, out: str, *words: object) -> Said:
    return scalemai(
        "audit", "synthesis", root / "data", synthetic, "--out", root / out, "--workers", 1, *words
    )


def test_an_audit_says_what_it_found_and_where(said: Said, made: Path) -> None:
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[-1] == str(made / "out" / "audit.html")
    assert sum("liver, noise and seam around the edits: " in line for line in lines) == 1
    assert sum(", control edit " in line for line in lines) == 3
    assert any(line.startswith("note: ") and "no masks of real" in line for line in said.lines)
    assert tree(made / "out") == ["audit.html", "audit.json"]


def test_every_number_is_in_the_json(said: Said, made: Path) -> None:
    data = json.loads((made / "out" / "audit.json").read_text())
    liver = data["organs"]["liver"]
    assert (data["cases"], liver["lesions"], liver["shams"]) == (HOSTS, 10, 10)
    for found in (*liver["views"].values(), *liver["controls"].values()):
        assert 0.0 <= found["low"] <= found["auc"] <= found["high"] <= 1.0
        assert found["positives"] == found["negatives"] == 10
        assert found["groups"] == HOSTS
    assert liver["real"] is None
    assert liver["expected_rise_mm"]["n"] == 10
    assert sum(liver["coverage"]["synthetic"]["size"].values()) == 10
    assert [verdict["text"] for verdict in data["verdicts"]] == [
        line.partition(": ")[2] for line in said.out.splitlines()[:-1]
    ]


def test_the_page_needs_nothing_but_itself(said: Said, made: Path) -> None:
    text = (made / "out" / "audit.html").read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert "http" not in text.replace("http-equiv", "")
    assert len(page.sources) == 4
    for source in page.sources:
        head, _, content = source.partition(",")
        assert head == "data:image/png;base64"
        picture = Image.open(io.BytesIO(b64decode(content, validate=True)))
        assert min(picture.size) > 100
        assert np.asarray(picture.convert("L")).std() > 5  # it shows something
    for line in said.out.splitlines()[:-1]:
        assert line.partition(": ")[2] in page.text
    assert "No real lesions given" in page.text


def test_the_same_audit_gives_the_same_bytes(said: Said, made: Path) -> None:
    again = run(made, made / "made", "again")
    assert again.code == 0
    for name in ("audit.html", "audit.json"):
        assert (made / "out" / name).read_bytes() == (made / "again" / name).read_bytes()


def test_a_limit_that_is_passed_or_unknown_is_a_failure(said: Said, made: Path) -> None:
    strict = run(made, made / "made", "strict", "--fail-above", 0.5)
    assert strict.code == 1
    assert "the highest upper end of an AUC is " in strict.lines[-1]
    assert "--fail-above allows 0.5" in strict.lines[-1]
    few = made / "few"
    few.mkdir()
    shutil.copytree(made / "made" / "case_00", few / "case_00")
    unknown = run(made, few, "unknown", "--fail-above", 1.0)
    assert unknown.code == 1
    assert "too few lesions for an AUC: 2" in unknown.out
    assert "is unknown" in unknown.lines[-1]
    assert run(made, few, "unknown").code == 0


def test_a_case_that_was_changed_afterwards_or_made_twice_is_named(made: Path) -> None:
    copies = made / "copies"
    for name in ("case_00", "case_01"):
        shutil.copytree(made / "made" / name, copies / name)
    shutil.copytree(copies / "case_00", copies / "twin")
    path = copies / "case_01" / "ct.nii.gz"
    image = nib.load(path)
    hu = np.asanyarray(image.dataobj).copy()
    hu[2:6, 2:6, 2:4] += 7  # far from every lesion
    nib.save(nib.Nifti1Image(hu, image.affine, image.header), path)
    told = run(made, copies, "told")
    assert told.code == 0, told.err
    assert any("case_01: its voxels are not those that were written" in x for x in told.lines)
    data = json.loads((made / "told" / "audit.json").read_text())
    assert ["case_00", "twin"] in data["duplicates"]["hosts"]
    assert ["case_00", "twin"] in data["duplicates"]["files"]
    assert ["case_00 #1", "twin #1"] in data["duplicates"]["shapes"]
    assert ["case_00 #1", "twin #1"] in data["duplicates"]["recipes"]
    far = {one["case"]: one["voxels"] for one in data["far"]}
    assert far["case_01"] >= far.get("case_00", 0) + 32


def test_real_lesions_are_measured_and_compared(made: Path) -> None:
    root = made / "with_real"
    for number in range(3):
        hu, masks = body(seed=50 + number)
        tumor = inside((25.0, 4.0 * number, 5.0), (8.0, 7.0, 9.0))
        folder = root / "data" / f"real_{number}"
        write(folder / "ct.nii.gz", (hu - 35 * tumor).astype(np.int16))
        write(folder / "segmentations" / "liver.nii.gz", masks["liver"].astype(np.uint8))
        write(folder / "segmentations" / "liver_lesion.nii.gz", tumor.astype(np.uint8))
    said = run(root, made / "made", "out")
    assert said.code == 0, said.err
    assert any(line.startswith("measured 3 / 3 cases") for line in said.lines)
    real = json.loads((root / "out" / "audit.json").read_text())["organs"]["liver"]["real"]
    assert (real["lesions"], real["cases"]) == (3, 3)
    assert real["radiomics"]["why_not"].startswith("too few lesions for an AUC: 3")
    assert "3 real lesions in 3 cases" in Page((root / "out" / "audit.html").read_text()).text


# --- what cannot be audited ----------------------------------------------------------------


def test_a_folder_without_sidecar_is_one_line_and_the_others_go_on(made: Path) -> None:
    mixed = made / "mixed"
    shutil.copytree(made / "made" / "case_00", mixed / "case_00")
    shutil.copytree(made / "data" / "case_01", mixed / "case_01")
    said = run(made, mixed, "mixed_out")
    assert said.code == 1
    (line,) = [line for line in said.lines if line.startswith("failed: ")]
    assert "case_01" in line
    assert "is no synthetic case: it holds no synthesis.json" in line
    data = json.loads((made / "mixed_out" / "audit.json").read_text())
    assert (data["cases"], data["failed"]) == (1, ["case_01"])


def test_a_host_that_moved_or_changed_is_named_with_the_way_out(made: Path) -> None:
    away = made / "elsewhere" / "deep" / "made"
    shutil.copytree(made / "made" / "case_00", away / "case_00")
    said = run(made, away, "away")
    assert said.code == 1
    (line,) = [line for line in said.lines if line.startswith("failed: ")]
    assert "its host is no longer at " in line
    assert "put the host back" in line
    other = made / "other"
    write_cases(other / "data", 1)
    shutil.copytree(made / "made" / "case_00", other / "made" / "case_00")
    write(other / "data" / "case_00" / "ct.nii.gz", body(seed=9)[0])
    (line,) = [x for x in run(other, other / "made", "out").lines if x.startswith("failed: ")]
    assert "have changed" in line


@pytest.mark.parametrize(
    ("synthetic", "code", "words"),
    [
        ("nowhere", 1, "no such folder; check the path"),
        ("data/case_00/segmentations", 2, "holds no synthetic cases; give the folder"),
    ],
)
def test_a_wrong_folder_is_one_line(made: Path, synthetic: str, code: int, words: str) -> None:
    said = run(made, made / synthetic, "never")
    assert said.code == code
    assert said.lines[-1].startswith("scalemai: ")
    assert words in said.lines[-1]
    assert not (made / "never").exists()


@pytest.mark.parametrize(("organ", "words"), [("livr", "did you mean 'liver'"), (",", "--organ")])
def test_a_wrong_organ_is_one_line(made: Path, organ: str, words: str) -> None:
    said = run(made, made / "made", "never", "--organ", organ)
    assert said.code == 2
    assert words in said.lines[-1]
    assert not (made / "never").exists()


def test_an_organ_without_lesions_is_nothing_to_judge(made: Path) -> None:
    said = run(made, made / "made", "kidney", "--organ", "kidney")
    assert said.code == 0, said.err
    assert "There are no lesions to judge" in (made / "kidney" / "audit.html").read_text()


def test_names_from_files_are_text_and_no_markup() -> None:
    note = "<script>alert(1)</script> & more"
    page = render(audit([CaseFindings(case="a", result="x", notes=(note,))]))
    assert "script" not in Page(page).tags
    assert note in Page(page).text
