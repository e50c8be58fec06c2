"""The same numbers as independent implementations, on random and on real masks."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from brute_force import SurfaceDistance, grid_of, nearest, surfel_places, voxel_border, voxel_nsd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from scalemai.evaluation.segmentation import EmptyPolicy, compare_masks
from scalemai.evaluation.segmentation.distances import _by_tree
from scalemai.evaluation.segmentation.lattice import nearest_on_lattice
from scalemai.geometry import Grid
from scalemai.io.nifti import read_mask

TOLERANCES_MM = (1.0, 2.0, 2.5)
SPACINGS_MM = st.sampled_from([0.5, 0.703125, 0.8, 1.0, 1.25, 2.5, 3.0, 5.0])
AS_THE_FORMULA_SAYS = EmptyPolicy(one_empty_distance="infinite")


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> SurfaceDistance:
    return SurfaceDistance(monkeypatch)


def assert_same_as_peer(a: np.ndarray, b: np.ndarray, grid: Grid, peer: SurfaceDistance) -> None:
    """To 1e-6; a percentile that falls between two elements may take either."""
    ours = compare_masks(a, b, grid, tolerances_mm=TOLERANCES_MM, policy=AS_THE_FORMULA_SAYS)
    distances = peer.distances(a, b, grid)
    dsc = peer.compute_dice_coefficient(b, a)
    if ours.state == "both_empty":
        assert np.isnan(dsc)
        assert ours.dsc is ours.hd95_mm is None
        return
    assert ours.dsc == pytest.approx(dsc, abs=1e-6)
    for tolerance, value in ours.nsd_surfel.items():
        expected = peer.compute_surface_dice_at_tolerance(distances, tolerance)
        assert value == pytest.approx(expected, abs=1e-6)
    percentiles = [peer.compute_robust_hausdorff(distances, 95 + e) for e in (-1e-6, 0, 1e-6)]
    assert any(ours.hd95_mm == pytest.approx(p, abs=1e-6) for p in percentiles)
    assert ours.hd_mm == pytest.approx(peer.compute_robust_hausdorff(distances, 100), abs=1e-6)
    if ours.state == "both":
        means = peer.compute_average_surface_distance(distances)
        areas = [distances[f"surfel_areas_{side}"].sum() for side in ("gt", "pred")]
        assert ours.assd_mm == pytest.approx(np.average(means, weights=areas), abs=1e-6)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(*[st.integers(1, 11)] * 3),
    spacing_mm=st.tuples(SPACINGS_MM, SPACINGS_MM, SPACINGS_MM),
    shares=st.tuples(*[st.sampled_from([0.0, 0.01, 0.1, 0.5, 0.9, 1.0])] * 2),
    seed=st.integers(0, 2**32 - 1),
)
def test_noise_of_any_density_even_none_scores_as_in_surface_distance(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    shares: tuple[float, float],
    seed: int,
    peer: SurfaceDistance,
) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.random(shape) < share for share in shares)
    assert_same_as_peer(a, b, grid_of(shape, spacing_mm), peer)


@pytest.mark.parametrize(
    ("predicted", "referred"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_every_state_of_emptiness_scores_as_in_surface_distance(
    predicted: bool, referred: bool, peer: SurfaceDistance
) -> None:
    a, b = np.zeros((2, 9, 8, 7), np.bool_)
    a[2:5, 2:5, 2:5], b[3:7, 2:6, 1:4] = predicted, referred
    assert_same_as_peer(a, b, grid_of(a.shape, (0.8, 0.8, 2.5)), peer)


@pytest.mark.parametrize("seed", range(3))
def test_smooth_bodies_score_as_in_surface_distance(seed: int, peer: SurfaceDistance) -> None:
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal((48, 40, 30)), (3, 3, 1.5))
    other = field + 0.4 * ndimage.gaussian_filter(rng.standard_normal(field.shape), (3, 3, 1.5))
    assert_same_as_peer(other > 0.03, field > 0.03, grid_of(field.shape, (0.8, 0.8, 2.5)), peer)


@pytest.mark.real
@pytest.mark.parametrize(
    "file",
    [
        "masks_only/hcc_liver_P1/liver.nii.gz",
        "masks_only/hcc_liver_P2/nodule1.nii.gz",
        "masks_only/hcc_liver_P3/portalvein.nii.gz",
        "abdomen/ts_example_3mm/segmentations/spleen.nii.gz",
        "soft_tissue/sts_001/tumor.nii.gz",
    ],
)
def test_real_organs_vessels_and_tumors_score_as_in_surface_distance(
    file: str, shared_data: Path, peer: SurfaceDistance
) -> None:
    mask = read_mask(shared_data / file, "structure")
    reference = mask.array
    rng = np.random.default_rng(3)
    moved = np.roll(reference, (3, -2, 1), axis=(0, 1, 2))
    prediction = ndimage.binary_dilation(moved) & (rng.random(reference.shape) > 0.02)
    assert reference.any()
    assert_same_as_peer(prediction, reference, mask.grid, peer)


@settings(max_examples=40)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    spacing_mm=st.tuples(SPACINGS_MM, SPACINGS_MM, SPACINGS_MM),
    tolerance_mm=st.sampled_from([0.0, 1.0, 2.0, 2.5]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_voxel_nsd_is_that_of_all_pairs_of_border_voxels(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    tolerance_mm: float,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.random(shape) < share for share in (0.3, 0.6))
    a.flat[0] = b.flat[-1] = True
    grid = grid_of(shape, spacing_mm)
    ours = compare_masks(a, b, grid, tolerances_mm=(tolerance_mm,)).nsd_voxel[tolerance_mm]
    assert ours == pytest.approx(voxel_nsd(a, b, grid, tolerance_mm), abs=1e-12)


def test_the_voxel_nsd_is_that_of_monai() -> None:
    torch = pytest.importorskip("torch")
    surface_dice = pytest.importorskip("monai.metrics.surface_dice")
    rng = np.random.default_rng(5)
    field = ndimage.gaussian_filter(rng.standard_normal((40, 36, 24)), 2)
    a, b = np.roll(field, (2, 1, 1), (0, 1, 2)) > 0.05, field > 0.05
    ours = compare_masks(a, b, grid_of(a.shape, (0.8, 0.8, 2.5)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls functions of its own that it deprecates
        theirs = surface_dice.compute_surface_dice(
            torch.tensor(a)[None, None],
            torch.tensor(b)[None, None],
            class_thresholds=[2.0],
            include_background=True,
            spacing=(0.8, 0.8, 2.5),
        )
    assert ours.nsd_voxel[2.0] == pytest.approx(float(theirs[0, 0]), abs=1e-6)
    assert ours.nsd_voxel[2.0] != pytest.approx(ours.nsd_surfel[2.0], abs=1e-3)


@settings(max_examples=40)
@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    spacing_mm=st.tuples(SPACINGS_MM, SPACINGS_MM, SPACINGS_MM),
    counts=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    seed=st.integers(0, 2**32 - 1),
)
def test_both_searches_find_the_nearest_of_all_targets_in_any_order(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    counts: tuple[int, int],
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    points, targets = (rng.integers(0, shape, (n, 3)).astype(np.int32) for n in counts)
    expected = nearest(points, targets, np.diag(spacing_mm))
    on_lattice = nearest_on_lattice(points, targets, shape, spacing_mm)
    np.testing.assert_allclose(on_lattice, expected, rtol=1e-12)
    np.testing.assert_allclose(_by_tree(points, targets, np.diag(spacing_mm)), expected, rtol=1e-12)


def test_distances_on_a_sheared_grid_are_those_of_the_tilted_lattice() -> None:
    affine = np.array(
        [[0.8, 0, 0, 0], [0, 0.8, 0.9, 0], [0, 0, 2.4, 0], [0, 0, 0, 1.0]]
    )  # a gantry tilt of 20 degrees
    rng = np.random.default_rng(11)
    field = ndimage.gaussian_filter(rng.standard_normal((22, 20, 12)), 1.5)
    a, b = np.roll(field, (1, 2, 1), (0, 1, 2)) > 0.1, field > 0.1
    grid = Grid((22, 20, 12), affine)
    ours = compare_masks(a, b, grid)
    first, second = surfel_places(a), surfel_places(b)
    both = nearest(first, second, affine), nearest(second, first, affine)
    assert ours.hd_mm == pytest.approx(max(d.max() for d in both), abs=1e-9)
    assert ours.nsd_voxel[2.0] == pytest.approx(voxel_nsd(a, b, grid, 2.0), abs=1e-12)
    assert ours.reference_ml == pytest.approx(b.sum() * 0.8 * 0.8 * 2.4 / 1000)
    assert len(voxel_border(b)) > 100


def test_a_slice_on_a_tilted_gantry_is_as_far_as_its_tilt_says() -> None:
    affine = np.array([[0.8, 0, 0, 0], [0, 0.8, 0.9, 0], [0, 0, 2.4, 0], [0, 0, 0, 1.0]])
    a, b = np.zeros((2, 9, 9, 9), np.bool_)
    a[4, 3, 5] = b[4, 4, 4] = True
    ours = compare_masks(a, b, Grid((9, 9, 9), affine), tolerances_mm=(2.41,))
    assert ours.nsd_voxel[2.41] == 1.0  # 0.1 mm to the side and 2.4 mm up
    spacings_alone = compare_masks(a, b, grid_of(a.shape, (0.8, 0.8, 2.563)), tolerances_mm=(2.41,))
    assert spacings_alone.nsd_voxel[2.41] == 0.0
