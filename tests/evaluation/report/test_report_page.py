"""What readers, browsers and printers rely on in a page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from scalemai.errors import OutputError
from scalemai.evaluation.report import (
    Chart,
    Column,
    Page,
    Picture,
    Provenance,
    Section,
    TableBlock,
    render_page,
    write_page,
)
from scalemai.evaluation.report import page as page_module
from scalemai.statistics.estimate import Estimate

from .sample import DEFINITION, LONG, MARKUP, TABLE, estimate, sample_page

_VOID = {"meta", "img", "br", "hr", "link", "input"}


class Parsed(HTMLParser):
    """Text, tags and attributes; fails where a tag is not closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.text += data


@pytest.fixture(scope="module")
def html() -> str:
    return render_page(sample_page())


@pytest.fixture(scope="module")
def parsed(html: str) -> Parsed:
    return Parsed(html)


def test_names_with_markup_are_shown_as_they_are_written(html: str, parsed: Parsed) -> None:
    assert parsed.text.count(MARKUP) >= 15
    assert LONG in parsed.text
    assert "<script>alert" not in html
    assert "49" not in re.findall(r"\$x_1\$ (\S+)", parsed.text)
    assert sum(tag == "script" for tag, _ in parsed.tags) == 1


def test_nothing_is_loaded_from_elsewhere(html: str, parsed: Parsed) -> None:
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "srcset", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), (tag, value)
    assert "://" not in html
    assert "@import" not in html
    assert "url(" not in html


def test_every_picture_has_words(parsed: Parsed) -> None:
    pictures = [attributes for tag, attributes in parsed.tags if tag == "img"]
    assert len(pictures) == 12
    assert all((attributes.get("alt") or "").strip() for attributes in pictures)


def test_links_of_the_contents_lead_to_sections(parsed: Parsed) -> None:
    places = {attributes["id"] for _, attributes in parsed.tags if "id" in attributes}
    links = [attributes["href"] for tag, attributes in parsed.tags if tag == "a"]
    assert len(links) == 7
    assert all((link or "")[1:] in places for link in links)
    assert len(places) == sum("id" in attributes for _, attributes in parsed.tags)


def test_every_heading_of_a_table_has_a_scope(parsed: Parsed) -> None:
    heads = [attributes for tag, attributes in parsed.tags if tag == "th"]
    assert heads
    assert all(head.get("scope") in {"col", "colgroup", "row"} for head in heads)


def test_all_numbers_of_a_table_are_on_the_page(parsed: Parsed) -> None:
    words = " ".join(parsed.text.split())
    for said in (
        "0.823", "0.743 to 0.903", "n = 60", "-∞ to ∞", "170", "5172", "12.5", "50.0", "< 0.001",
        "0.043", "yes", "no interval because clusters are too few", "0.310",
        "not computed because only 2 lesions", "95 % CI",
    ):  # fmt: skip
        assert said in words, said
    assert not re.search(r"\bnan\b", words, re.IGNORECASE)


def test_numbers_are_aligned_and_words_are_not() -> None:
    text = render_page(Page("t", "", [Section("s", [TABLE])]))
    assert re.search(r'class="number"[^>]*>cases', text)
    assert not re.search(r'class="number"[^>]*>ok', text)
    assert re.search(r'class="number"[^>]*>DSC', text)


def test_a_reason_is_said_once_and_marked_in_each_row() -> None:
    rows = [
        [f"group {n}", Estimate(0.5, n=n, reason=f"{n} patients are too few (at least 40)")]
        for n in (1, 7, 12)
    ]
    text = render_page(Page("t", "", [Section("s", [TableBlock(["group", "DSC"], rows)])]))
    words = " ".join(Parsed(text).text.split())
    assert words.count("no interval because patients are too few (at least 40)") == 1
    assert text.count(">a</abbr></sup>") == 3


def test_an_estimate_with_a_tiny_value_is_not_shown_as_zero() -> None:
    table = TableBlock(["a", Column("b")], [["x", 0.00001], ["y", -0.0], ["z", float("nan")]])
    text = Parsed(render_page(Page("t", "", [Section("s", [table])]))).text
    assert "1.0e-05" in text
    assert "-0.000" not in text
    assert "NaN" in text


def test_definitions_are_told_with_id_convention_and_source(parsed: Parsed) -> None:
    for part in (DEFINITION.id, DEFINITION.text, DEFINITION.source, "higher is better"):
        assert part in parsed.text


def test_the_hash_of_the_case_list_depends_on_cases_not_on_their_order(parsed: Parsed) -> None:
    def shown(cases: dict[str, str]) -> str:
        text = render_page(Page("t", "", [Section("s", [Provenance(cases)])]))
        found = re.search(r"of the list <code>([0-9a-f]{64})", text)
        assert found
        return found[1]

    assert shown({"a": "1", "b": "2"}) == shown({"b": "2", "a": "1"})
    assert shown({"a": "1", "b": "2"}) != shown({"a": "1", "b": "3"})
    assert "ab" * 32 in parsed.text


def test_two_processes_write_the_same_bytes_whatever_the_users_settings(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text(
        "font.size: 22\nsvg.fonttype: none\nlines.linewidth: 9\n"
    )

    def made(**settings: str) -> bytes:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.evaluation.report.sample"],
            cwd=Path(__file__).parents[3],
            env={**os.environ, **settings},
            check=True,
            capture_output=True,
        ).stdout

    first = made(PYTHONHASHSEED="1", TZ="UTC")
    second = made(PYTHONHASHSEED="2", TZ="Asia/Tokyo", MATPLOTLIBRC=str(tmp_path))
    assert first == second
    assert len(first) > 100_000


def test_a_page_is_whole_or_absent(tmp_path: Path) -> None:
    page = Page("t", "", [Section("s", [TABLE])])
    assert write_page(page, tmp_path / "new" / "page.html").read_text() == render_page(page)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file stands where a folder is needed"):
        write_page(page, tmp_path / "file" / "page.html")
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["page.html"]


def test_blocks_that_cannot_be_shown_are_refused() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 cells for 2 columns"):
        TableBlock(["a", "b"], [["x"]])
    with pytest.raises(ValueError, match="alternative text"):
        Chart("<svg/>", "caption", " ")
    with pytest.raises(ValueError, match="PNG"):
        Picture(b"GIF89a", "caption")


def test_columns_of_estimates_of_two_levels_name_none() -> None:
    other = Estimate(0.5, 0.4, 0.6, level=0.9, n=9)
    table = TableBlock(["a", "b"], [["x", estimate(0.5)], ["y", other]])
    assert "CI" not in Parsed(render_page(Page("t", "", [Section("s", [table])]))).text


def _luminance(color: str) -> float:
    def linear(part: float) -> float:
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(color[n : n + 2], 16) / 255) for n in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_have_the_contrast_that_wcag_asks_for(scheme: str) -> None:
    style = (Path(page_module.__file__).parent / "pages" / "page.css").read_text()
    blocks = re.findall(r":root \{([^}]*)\}", style)
    colors = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", blocks[scheme == "dark"]))
    for ink in ("ink", "quiet", "link", "info", "good", "warning", "bad"):
        for ground in ("ground", "faint"):
            light, dark = sorted((_luminance(colors[ink]), _luminance(colors[ground])))[::-1]
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)
