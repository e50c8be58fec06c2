"""What is in the scan is found where it is, on any grid, and described in the scan's own terms."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="detectors need torch")
pytest.importorskip("monai", reason="windows are weighted by MONAI")

from scalemai.case import Case
from scalemai.cases import open_cases
from scalemai.errors import (
    ConfigError,
    GeometryError,
    IntensityError,
    MissingStructureError,
    UnreadableFileError,
)
from scalemai.inference.organ import with_masks_of
from scalemai.inference.predict import Prediction, class_structures, predict_case
from scalemai.inference.settings import Runtime, Settings
from scalemai.io.nifti import read_volume

from .hosts import Ball, detector, save, threshold_network, turned, within, write_host

RUNTIME = Runtime(threads=1)
LARGE = Ball((12.0, -8.0, 5.0), 8.0)
SMALL = Ball((-15.0, 10.0, -9.0), 5.0)


def opened(folder: Path) -> Case:
    (case,) = open_cases(folder)
    return case


def predicted(folder: Path, *detectors, settings: Settings | None = None, **how) -> Prediction:
    chosen = detectors or (detector(),)
    return predict_case(chosen, opened(folder), settings, RUNTIME, **how)


# --- where it is -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "signs"),
    [*itertools.product(itertools.permutations(range(3)), [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])],
)
def test_lesions_are_found_where_they_are_on_any_grid(tmp_path: Path, order, signs) -> None:
    grid = turned(order, signs)
    found = predicted(write_host(tmp_path / "c", grid, [SMALL, LARGE], noise_hu=6.0)).findings
    assert len(found) == 2
    for finding, ball in zip(found, (LARGE, SMALL), strict=True):
        assert np.abs(np.subtract(finding.centre_mm, ball.centre_mm)).max() < 0.7
        assert finding.sizes.equivalent_diameter_mm == pytest.approx(2 * ball.radius_mm, rel=0.1)
        assert finding.mean_hu == pytest.approx(ball.hu, abs=8.0)
        assert finding.contrast_hu == pytest.approx(ball.hu - 110.0, abs=8.0)
        assert finding.score > 0.99


def test_the_mask_covers_the_lesion_and_the_maps_are_on_the_ct_grid(tmp_path: Path) -> None:
    grid = turned()
    found = predicted(write_host(tmp_path / "c", grid, [LARGE]))
    truth = within(grid, LARGE.centre_mm, (LARGE.radius_mm,) * 3)
    mask = found.mask("liver_lesion")
    assert mask.grid.same_as(grid)
    overlap = 2 * (mask.array & truth).sum() / (mask.array.sum() + truth.sum())
    assert overlap > 0.9
    assert found.probability("liver_lesion").max() <= 1.0
    assert np.array_equal(found.levels_of("liver_lesion") >= 1 << 14, mask.array[found.region])


def test_a_lesion_that_the_organ_mask_leaves_out_is_found_all_the_same(tmp_path: Path) -> None:
    at_surface = Ball((0.0, 28.0, 0.0), 5.0)  # a bite out of the organ's surface at y = 30
    folder = write_host(tmp_path / "c", turned(), [LARGE, at_surface], holes=True)
    found = predicted(folder)
    assert len(found.findings) == 2
    assert found.provenance["organ"]["closed_ml"] > 2.1  # of the hole alone
    # The hole is filled even without closing, but the bite stays open: its floor is no organ.
    assert len(predicted(folder, settings=Settings(closing_mm=0.0)).findings) == 1


def test_what_is_dark_beyond_reach_of_the_organ_is_no_finding(tmp_path: Path) -> None:
    outside = Ball((0.0, -40.0, 0.0), 6.0)  # 4 to 16 mm behind the liver
    folder = write_host(tmp_path / "c", turned(), [LARGE, outside])
    blind = detector(organ_channel=False)
    assert len(predicted(folder, blind, settings=Settings(reach_mm=20.0)).findings) == 2
    near = predicted(folder, blind, settings=Settings(reach_mm=3.0)).findings
    assert [round(one.centre_mm[0]) for one in near] == [12]


def test_the_whole_scan_gives_the_findings_of_the_region(tmp_path: Path) -> None:
    folder = write_host(tmp_path / "c", turned(length_mm=160.0), [LARGE, SMALL], noise_hu=6.0)
    there = {"liver": ((0.0, 0.0, 0.0), (30.0, 26.0, 24.0))}
    write_host(folder, turned(length_mm=160.0), [LARGE, SMALL], organs=there)
    one = predicted(folder, detector(margin_mm=10.0))
    all_of_it = predicted(folder, detector(margin_mm=10.0), settings=Settings(whole_scan=True))
    assert all_of_it.region == tuple(slice(0, n) for n in one.volume.grid.shape)
    for a, b in zip(one.findings, all_of_it.findings, strict=True):
        assert a.centre_mm == pytest.approx(b.centre_mm, abs=0.6)
        assert a.sizes.volume_mm3 == pytest.approx(b.sizes.volume_mm3, rel=0.1)


def test_a_scan_thinner_than_a_window_is_padded(tmp_path: Path) -> None:
    grid = turned(spacing_mm=(1.5, 1.5, 5.0))
    thin = grid.crop((slice(0, 64), slice(0, 64), slice(7, 12)))
    folder = write_host(tmp_path / "c", thin, [Ball((4.0, 4.0, 0.0), 9.0)])
    (finding,) = predicted(folder).findings
    assert finding.centre_mm == pytest.approx((4.0, 4.0, 0.0), abs=1.0)


# --- what is said of it ----------------------------------------------------------------------


def test_distance_to_the_surface_is_measured_in_mm_and_signed(tmp_path: Path) -> None:
    organs = {"liver": ((0.0, 0.0, 0.0), (34.0, 34.0, 34.0))}
    deep, shallow = Ball((0.0, 0.0, 0.0), 6.0), Ball((26.0, 0.0, 0.0), 4.0)
    grid = turned(spacing_mm=(0.9, 1.1, 2.5))
    found = predicted(write_host(tmp_path / "c", grid, [deep, shallow], organs=organs)).findings
    assert found[0].surface_distance_mm == pytest.approx(34.0, abs=1.3)
    assert found[1].surface_distance_mm == pytest.approx(8.0, abs=1.0)
    outside = Ball((0.0, -40.0, 0.0), 4.0)
    folder = write_host(tmp_path / "d", grid, [outside], organs=organs)
    (beyond,) = predicted(folder, detector(organ_channel=False)).findings
    assert beyond.surface_distance_mm == pytest.approx(-6.0, abs=1.0)


def test_findings_name_the_side_and_the_site_that_they_lie_in(tmp_path: Path) -> None:
    kidneys = {
        "kidney_right": ((28.0, 0.0, 0.0), (14.0, 14.0, 30.0)),
        "kidney_left": ((-28.0, 0.0, 0.0), (14.0, 14.0, 30.0)),
    }
    balls = [Ball((28.0, 0.0, 10.0), 6.0), Ball((-28.0, 0.0, -10.0), 4.0)]
    folder = write_host(tmp_path / "c", turned(), balls, organs=kidneys, holes=True)
    found = predicted(folder, detector("kidney", ["kidney_lesion"])).findings
    assert [one.part for one in found] == ["kidney_right", "kidney_left"]
    assert [one.site for one in found] == ["right", "left"]
    # One mask for both sides: they are told apart by where they lie.
    grid = turned((1, 0, 2), (1, -1, 1))
    write_host(tmp_path / "both", grid, balls, organs=kidneys, masks=False)
    both = np.logical_or.reduce([within(grid, *where) for where in kidneys.values()])
    save(tmp_path / "both" / "segmentations" / "kidney.nii.gz", both.astype(np.uint8), grid)
    found = predicted(tmp_path / "both", detector("kidney", ["kidney_lesion"])).findings
    assert [one.part for one in found] == ["kidney_right", "kidney_left"]
    gland = {
        "pancreas": ((0.0, 0.0, 0.0), (40.0, 12.0, 14.0)),
        "pancreas_head": ((26.0, 0.0, 0.0), (14.0, 12.0, 14.0)),
        "pancreas_tail": ((-26.0, 0.0, 0.0), (14.0, 12.0, 14.0)),
    }
    folder = write_host(tmp_path / "d", turned(), [Ball((-22.0, 0.0, 0.0), 5.0)], organs=gland)
    (finding,) = predicted(folder, detector("pancreas", ["pancreatic_lesion"])).findings
    assert (finding.site, finding.part) == ("tail", None)
    (unknown,) = predicted(write_host(tmp_path / "e", turned(), [LARGE])).findings
    assert (unknown.site, unknown.part) == (None, None)


def test_kinds_share_one_finding_and_have_maps_of_their_own(tmp_path: Path) -> None:
    folder = write_host(
        tmp_path / "c", turned(), [LARGE], organs={"pancreas": ((0, 0, 0), (36.0, 30.0, 33.0))}
    )
    spec = detector("pancreas", ["pdac", "pnet", "cyst"])
    found = predicted(folder, spec)
    assert found.names == (
        "pancreatic_lesion", "pancreatic_pdac", "pancreatic_pnet", "pancreatic_cyst",
    )  # fmt: skip
    (finding,) = found.findings
    assert finding.kind == "pdac"  # each class after it is e times less likely
    assert finding.kind_share == pytest.approx(1 / (1 + np.exp(-1) + np.exp(-2)), abs=0.01)
    total = sum(found.probability(name) for name in found.names[1:])
    assert np.abs(total - found.probability("pancreatic_lesion")).max() < 1e-3
    assert found.mask("pancreatic_pdac").array.any()
    assert not found.mask("pancreatic_cyst").array.any()


def test_classes_are_called_as_masks_are() -> None:
    assert class_structures(detector("kidney", ["cyst", "clear_cell"]).spec) == (
        "kidney_cyst",
        "kidney_clear_cell",
    )
    assert class_structures(detector().spec) == ("liver_lesion",)


def test_small_findings_are_left_out_on_request(tmp_path: Path) -> None:
    folder = write_host(tmp_path / "c", turned(), [LARGE, SMALL])
    found = predicted(folder, settings=Settings(minimum_mm3=1000.0))
    assert len(found.findings) == 1
    assert found.mask("liver_lesion").volume_ml == pytest.approx(
        found.findings[0].sizes.volume_mm3 / 1000.0
    )


def test_a_lesion_at_the_edge_of_the_scan_is_marked(tmp_path: Path) -> None:
    organs = {"liver": ((0.0, 0.0, 48.0), (30.0, 30.0, 30.0))}
    balls = [Ball((0.0, 0.0, 46.0), 6.0), Ball((15.0, 0.0, 36.0), 4.0)]
    found = predicted(write_host(tmp_path / "c", turned(), balls, organs=organs)).findings
    assert {one.at_border for one in found} == {True, False}


# --- how it comes about ----------------------------------------------------------------------


def test_an_ensemble_averages_detectors_of_different_spacing(tmp_path: Path) -> None:
    folder = write_host(tmp_path / "c", turned(), [LARGE])
    blind = threshold_network()
    with_nothing = threshold_network()
    with_nothing.bias.data[1] -= 1e4
    fine = detector(spacing_mm=(1.0, 1.0, 1.0), network=blind)
    coarse = detector(spacing_mm=(2.0, 2.0, 3.0), network=with_nothing, margin_mm=10.0)
    both = predicted(folder, fine, coarse)
    assert both.probability("liver_lesion").max() == pytest.approx(0.5, abs=1e-3)
    assert len(both.provenance["detectors"]) == 2
    alone = predicted(folder, fine)
    assert alone.probability("liver_lesion").max() > 0.99


def test_the_same_request_gives_the_same_prediction_and_says_how(tmp_path: Path) -> None:
    folder = write_host(tmp_path / "c", turned(), [LARGE, SMALL], noise_hu=10.0)
    one, same = predicted(folder), predicted(folder)
    assert np.array_equal(one.levels, same.levels)
    assert one.findings == same.findings
    assert json.dumps(one.provenance) == json.dumps(same.provenance)
    assert one.provenance["settings"]["overlap"] == 0.25
    assert len(one.provenance["detectors"][0]["weights_sha256"]) == 64
    other = predicted(write_host(tmp_path / "d", turned(), [LARGE], noise_hu=11.0))
    assert other.provenance["ct"]["voxels_sha256"] != one.provenance["ct"]["voxels_sha256"]


def test_masks_of_lesions_are_not_looked_at(tmp_path: Path) -> None:
    folder = write_host(tmp_path / "c", turned(), [LARGE])
    before = predicted(folder)
    inside = within(turned(), (0.0, 0.0, 20.0), (6.0, 6.0, 6.0))
    save(folder / "segmentations" / "liver_lesion.nii.gz", inside.astype(np.uint8), turned())
    after = predicted(folder)
    assert np.array_equal(before.levels, after.levels)


# --- masks from elsewhere --------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", ["c/segmentations/liver.nii.gz", "c/liver.nii.gz", "c.nii.gz", "c.nii"]
)
def test_the_organ_may_come_from_a_folder_of_masks(tmp_path: Path, place: str) -> None:
    folder = write_host(tmp_path / "data" / "c", turned(), [LARGE], masks=False)
    mask = within(turned(), (0.0, 0.0, 0.0), (36.0, 30.0, 33.0)).astype(np.uint8)
    save(tmp_path / "masks" / place, mask, turned())
    masks = with_masks_of(opened(folder), tmp_path / "masks", "liver")
    (finding,) = predicted(folder, masks=masks).findings
    assert finding.centre_mm == pytest.approx(LARGE.centre_mm, abs=0.7)


def test_a_folder_without_masks_of_the_case_is_named(tmp_path: Path) -> None:
    case = opened(write_host(tmp_path / "data" / "c", turned(), [LARGE]))
    (tmp_path / "masks").mkdir()
    with pytest.raises(MissingStructureError, match="has no masks of this case; looked for c/"):
        with_masks_of(case, tmp_path / "masks", "liver")
    with pytest.raises(UnreadableFileError, match="no such folder"):
        with_masks_of(case, tmp_path / "none", "liver")
    labels = np.zeros(turned().shape, np.uint8)
    labels[20:60, 20:60, 5:20] = 5
    save(tmp_path / "masks" / "c.nii.gz", labels, turned())
    with pytest.raises(IntensityError, match="label value 5, which class map of a liver alone"):
        predicted(case.ct.parent, masks=with_masks_of(case, tmp_path / "masks", "liver"))


def test_without_organ_channel_a_scan_without_masks_is_looked_at_as_a_whole(
    tmp_path: Path,
) -> None:
    folder = write_host(tmp_path / "c", turned(), [LARGE], masks=False)
    found = predicted(folder, detector(organ_channel=False))
    finding, air = found.findings
    assert air.mean_hu < -100.0
    assert air.at_border
    assert finding.centre_mm == pytest.approx(LARGE.centre_mm, abs=0.7)
    assert finding.contrast_hu is None
    assert finding.surface_distance_mm is None
    assert found.provenance["organ"] is None


# --- what is refused -------------------------------------------------------------------------


def test_an_absent_organ_says_how_to_get_a_mask(tmp_path: Path) -> None:
    folder = write_host(tmp_path / "c", turned(), [LARGE], masks=False)
    with pytest.raises(MissingStructureError, match=r"no mask of the liver.*labels=.*--organs"):
        predicted(folder)
    save(folder / "segmentations" / "liver.nii.gz", np.zeros(turned().shape, np.uint8), turned())
    for one in (detector(), detector(organ_channel=False)):
        with pytest.raises(MissingStructureError, match="the liver mask is empty"):
            predicted(folder, one)


def test_a_mask_of_another_grid_is_refused(tmp_path: Path) -> None:
    folder = write_host(tmp_path / "c", turned(), [LARGE])
    other = turned(spacing_mm=(1.0, 1.2, 2.0))
    inside = within(other, (0, 0, 0), (30, 30, 30)).astype(np.uint8)
    save(folder / "segmentations" / "liver.nii.gz", inside, other)
    with pytest.raises(GeometryError, match="resample the mask onto the CT"):
        predicted(folder)


def test_detectors_of_different_classes_make_no_ensemble(tmp_path: Path) -> None:
    folder = write_host(tmp_path / "c", turned(), [LARGE])
    with pytest.raises(ConfigError, match="different classes"):
        predicted(folder, detector(), detector(classes=["hcc"]))
    with pytest.raises(ConfigError, match="different organ"):
        predicted(folder, detector(), detector("kidney", ["kidney_lesion"]))
    with pytest.raises(ConfigError, match="no detector"):
        predict_case((), opened(folder))


def test_output_that_is_not_finite_names_the_case(tmp_path: Path) -> None:
    folder = write_host(tmp_path / "sick", turned(), [LARGE])
    network = threshold_network()
    network.bias.data[1] = float("nan")
    with pytest.raises(IntensityError, match="sick: the detector's output is not finite"):
        predicted(folder, detector(network=network))


@pytest.mark.parametrize(
    ("device", "message"),
    [("cuda", "CUDA|is not there"), ("cuda:7", "CUDA|is not there"), ("gpu", "is no device")],
)
def test_a_device_that_is_not_there_is_refused(tmp_path: Path, device: str, message: str) -> None:
    folder = write_host(tmp_path / "c", turned(), [LARGE])
    import torch

    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match=message):
        predict_case(detector(), opened(folder), runtime=replace(RUNTIME, device=device))


def test_impossible_settings_name_themselves() -> None:
    for change in ({"overlap": 1.0}, {"threshold": 0.0}, {"reach_mm": -1.0}, {"minimum_mm3": -1.0}):
        with pytest.raises(ConfigError, match=f"{next(iter(change))}: .* is impossible"):
            Settings(**change)
    with pytest.raises(ConfigError, match="unknown precision 'float8'"):
        Runtime(precision="float8")
    with pytest.raises(ConfigError, match="threads"):
        Runtime(threads=0)


@pytest.mark.real
def test_a_real_scan_is_described_in_its_own_terms(shared_data: Path) -> None:
    # The detector is a threshold, not a trained one: only places and units are looked at.
    (case,) = open_cases(shared_data / "abdomen" / "crlm1004")
    found = predict_case(
        detector(spacing_mm=(2.0, 2.0, 2.0)), case, Settings(minimum_mm3=500.0), RUNTIME
    )
    volume = read_volume(case.ct)
    assert found.volume.grid.same_as(volume.grid)
    mask = found.mask("liver_lesion").array
    weights = [one.sizes.volume_mm3 for one in found.findings]
    mean_hu = np.average([one.mean_hu for one in found.findings], weights=weights)
    assert mean_hu == pytest.approx(volume.hu()[mask].mean(), abs=0.01)
    assert sum(weights) == pytest.approx(mask.sum() * volume.grid.voxel_volume_mm3)
    # The network sees nothing beyond the organ's mask, whose edge is a voxel of the lattice wide.
    assert all(one.surface_distance_mm > -3.0 for one in found.findings)
