"""Coverage, duplicates, verdicts: what is counted, and what is said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scalemai.geometry import Grid
from scalemai.synthesis.audit.audit import audit
from scalemai.synthesis.audit.classifier import Discrimination
from scalemai.synthesis.audit.coverage import coverage_of
from scalemai.synthesis.audit.duplicates import find_duplicates, outline_of
from scalemai.synthesis.audit.findings import CaseFindings, LesionFindings, Outline
from scalemai.synthesis.audit.verdicts import of_control, of_view


def lesion(number: int = 1, case: str = "a", **facts: Any) -> LesionFindings:
    rng = np.random.default_rng(hash_of(case, number))
    given: dict[str, Any] = {
        "case": case,
        "group": case,
        "number": number,
        "organ": "kidney",
        "site": "left",
        "kind": "clear_cell",
        "diameter_mm": 15.0,
        "volume_mm3": 1700.0,
        "contrast_hu": -30.0,
        "radiomics": {"x": float(rng.standard_normal())},
        "views": {"whole": {"x": float(rng.standard_normal())}},
        "outline": Outline(rng.random((24, 24, 24)) < 0.5, None),
    }
    return LesionFindings(**{**given, **facts})


def hash_of(case: str, number: int) -> int:
    return sum(case.encode()) * 1000 + number


def case(name: str, *lesions: LesionFindings, host: str = "", result: str = "") -> CaseFindings:
    return CaseFindings(
        case=name, host=host or name, result=result or f"of {name}", lesions=lesions
    )


def auc(value: float, low: float, high: float) -> Discrimination:
    return Discrimination(
        auc=value, low=low, high=high, p=0.1, positives=30, negatives=30, groups=15
    )


# --- coverage ------------------------------------------------------------------------------


def test_sizes_are_counted_in_bins_of_millimetres() -> None:
    made = [lesion(diameter_mm=d) for d in (4.0, 9.99, 10.0, 19.0, 20.0, 49.0, 50.0, 80.0)]
    found = coverage_of("kidney", made, []).synthetic["size"]
    assert found == {"below 10 mm": 2, "10 to 20 mm": 2, "20 to 50 mm": 2, "above 50 mm": 2}


def test_sites_sizes_and_kinds_without_lesions_are_named() -> None:
    gaps = coverage_of("kidney", [lesion(), lesion(2)], []).gaps
    assert "no lesion of site right" in gaps
    assert "no lesion of size below 10 mm" in gaps
    assert any(gap.startswith("no lesion of kind ") for gap in gaps)
    assert not any("clear_cell" in gap or "site left" in gap for gap in gaps)


def test_bins_that_real_lesions_fill_and_synthetic_ones_do_not_are_named() -> None:
    made = [lesion(n, diameter_mm=15.0) for n in range(20)]
    real = [lesion(n, "r", diameter_mm=5.0 if n < 4 else 15.0) for n in range(10)]
    gaps = coverage_of("kidney", made, real).gaps
    assert "size below 10 mm: 0 of 20 synthetic and 4 of 10 real lesions" in gaps
    assert not any("above 50 mm" in gap for gap in gaps)  # neither has any


def test_a_lesion_whose_site_is_not_known_is_counted_as_such() -> None:
    found = coverage_of("kidney", [lesion(site="")], []).synthetic["site"]
    assert found == {"left": 0, "right": 0, "not known": 1}


# --- duplicates ----------------------------------------------------------------------------


def blob(step_mm: float, shift_mm: float = 0.0, seed: int = 0) -> Outline:
    """A lumpy lesion of 20 mm sampled on a grid of its own."""
    n = int(60 / step_mm)
    affine = np.diag([step_mm, step_mm, step_mm, 1.0])
    affine[:3, 3] = (-30, -30, -30)
    grid = Grid((n, n, n), affine)
    world = grid.to_world(np.moveaxis(np.indices((n, n, n)), 0, -1)) - shift_mm
    a = np.random.default_rng(seed).standard_normal((3, 3))
    wave = sum(np.sin(world @ row * 0.25) for row in a)
    mask = np.linalg.norm(world, axis=-1) + 1.5 * wave < 10
    change = np.where(mask, -40 + 8 * np.sin(world @ a[0] * 0.6), 0.0)
    return outline_of(mask, change.astype(np.float32), grid, 20.0)


def test_the_same_lesion_at_another_place_and_spacing_is_a_copy() -> None:
    one = lesion(1, "a", outline=blob(1.0), diameter_mm=20.0)
    two = lesion(1, "b", outline=blob(0.9, shift_mm=4.0), diameter_mm=20.2)
    found = find_duplicates([case("a", one), case("b", two)])
    assert found.shapes == (("a #1", "b #1"),)


def test_lesions_of_one_size_and_kind_are_no_copies() -> None:
    made = [
        case(str(n), lesion(1, str(n), outline=blob(1.0, seed=n), diameter_mm=20.0))
        for n in range(4)
    ]
    assert find_duplicates(made).shapes == ()


def test_the_same_shape_with_another_texture_is_no_copy() -> None:
    same = blob(1.0)
    other = Outline(same.shape, -same.change[::-1])
    made = [case("a", lesion(1, "a", outline=same)), case("b", lesion(1, "b", outline=other))]
    assert find_duplicates(made).shapes == ()


def test_recipes_hosts_and_files_that_occur_twice_are_named() -> None:
    made = [
        case("a", lesion(1, "a", recipe="x"), host="h1", result="same"),
        case("b", lesion(1, "b", recipe="x"), host="h1", result="same"),
        case("c", lesion(1, "c", recipe="y"), host="h2"),
    ]
    found = find_duplicates(made)
    assert found.recipes == (("a #1", "b #1"),)
    assert found.hosts == found.files == (("a", "b"),)


# --- verdicts ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        (auc(0.52, 0.45, 0.60), "good", "no trace found"),
        (auc(0.60, 0.52, 0.70), "good", "no trace found"),
        (auc(0.58, 0.40, 0.75), "open", "not proven"),
        (auc(0.63, 0.55, 0.69), "open", "not proven"),
        (auc(0.68, 0.62, 0.74), "bad", "can be told"),
        (auc(0.75, 0.55, 0.90), "bad", "can be told"),
    ],
)
def test_both_bars_must_be_met(found: Discrimination, state: str, words: str) -> None:
    said = of_view("liver", "inside", found)
    assert said.state == state
    assert words in said.text
    assert f"AUC {found.auc:.2f}" in said.text
    assert "bar 0.60, upper end 0.70" in said.text


def test_a_control_that_is_not_noticed_takes_the_audit_its_word() -> None:
    assert of_control("liver", "blurred", auc(0.95, 0.9, 1.0)).state == "good"
    said = of_control("liver", "blurred", auc(0.7, 0.6, 0.8))
    assert said.state == "bad"
    assert "says little" in said.text


def test_few_lesions_are_no_proof() -> None:
    result = audit([case("a", lesion())])
    assert {verdict.state for verdict in result.verdicts} == {"open"}
    assert all("too few lesions" in verdict.text for verdict in result.verdicts)
    assert result.highest is None


def test_real_lesions_are_compared_by_organ() -> None:
    made = [case(f"m{n}", lesion(1, f"m{n}")) for n in range(12)]
    real = [case(f"r{n}", lesion(1, f"r{n}", contrast_hu=60.0)) for n in range(12)]
    real.append(case("liver", lesion(1, "liver", organ="liver")))
    (found,) = audit(made, real).organs
    assert found.real is not None
    assert (found.real.lesions, found.real.cases) == (12, 12)
    assert found.real.radiomics.auc is not None
    assert found.real.discrepancy is not None
    assert any("contrast above 50 HU" in gap for gap in found.coverage.gaps)


def test_the_order_of_cases_does_not_matter() -> None:
    made = [case(f"m{n}", lesion(1, f"m{n}")) for n in range(6)]
    assert audit(made).to_json() == audit(made[::-1]).to_json()
