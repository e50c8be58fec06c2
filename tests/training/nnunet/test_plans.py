"""Plans with a window that no cohort decides, and a configuration for a CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.training.nnunet.plans import (
    CPU,
    add_cpu_configuration,
    axes_of,
    read_plans,
    usual_window,
    with_fixed_window,
    write_plans,
)
from scalemai.transforms.nnunet_plans import read_nnunet_plans


def plans(**changes: object) -> dict[str, object]:
    """The parts of plans that matter, of a set of healthy livers."""
    return {
        "plans_name": "P",
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [0, 1, 2],
        "foreground_intensity_properties_per_channel": {
            "0": {"mean": 44.0, "std": 17.7, "percentile_00_5": -24.0, "percentile_99_5": 84.0}
        },
        "configurations": {
            "3d_fullres": {
                "data_identifier": "P_3d_fullres",
                "spacing": [5.0, 0.8, 0.8],
                "median_image_size_in_voxels": [100.0, 500.0, 400.0],
                "normalization_schemes": ["CTNormalization"],
                "patch_size": [64, 128, 128],
            }
        },
        **changes,
    }


def test_a_window_lets_tumors_through_that_the_fingerprint_would_cut_off(tmp_path: Path) -> None:
    fixed = with_fixed_window(plans(), (-175.0, 250.0))
    write_plans(tmp_path / "plans.json", fixed)
    normalization = read_nnunet_plans(tmp_path / "plans.json").normalization
    hu = np.array([-90.0, -24.0, 60.0, 200.0], np.float32)
    assert normalization.to_hu(normalization.from_hu(hu)) == pytest.approx(hu, abs=1e-3)
    assert normalization.from_hu(np.array([-175.0, 250.0])) == pytest.approx([-2.0, 2.0])


def test_the_plans_that_were_given_stay() -> None:
    given = plans()
    add_cpu_configuration(with_fixed_window(given, (-175.0, 250.0)))
    assert given == plans()


@pytest.mark.parametrize("window", [(250.0, -175.0), (0.0, 0.5), (float("nan"), 1.0)])
def test_an_empty_window_is_refused(window: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="is no window"):
        with_fixed_window(plans(), window)


def test_the_usual_window_holds_those_of_all_organs() -> None:
    assert usual_window(["pancreas"]) == (-175.0, 250.0)
    low, high = usual_window(["liver", "lung"])
    assert low <= -1000.0
    assert high >= 400.0


def test_patches_for_a_cpu_fit_the_network_and_the_images() -> None:
    small = plans()
    small["configurations"]["3d_fullres"]["median_image_size_in_voxels"] = [9.0, 33.0, 400.0]  # type: ignore[index]  # plain JSON
    for one, patch in ((plans(), [64, 64, 64]), (small, [16, 40, 64])):
        found = add_cpu_configuration(one)["configurations"][CPU]
        assert found["patch_size"] == patch
        strides = np.prod(found["architecture"]["arch_kwargs"]["strides"], axis=0)
        assert not np.any(np.array(patch) % strides)


def test_a_spacing_is_given_as_x_y_z_and_goes_to_the_axes_of_the_plans() -> None:
    turned = plans(transpose_forward=[2, 0, 1])
    found = add_cpu_configuration(turned, spacing_mm=(1.0, 2.0, 4.0))["configurations"][CPU]
    # The reader gives z, y, x; the plans put its third axis first.
    assert found["spacing"] == [1.0, 4.0, 2.0]
    assert found["median_image_size_in_voxels"] == [500.0, 100.0, 160.0]
    assert found["data_identifier"] == "P_3d_cpu"


def test_without_a_spacing_the_images_of_full_resolution_serve() -> None:
    found = add_cpu_configuration(plans())["configurations"][CPU]
    assert found["data_identifier"] == "P_3d_fullres"
    assert found["spacing"] == [5.0, 0.8, 0.8]


@pytest.mark.parametrize("spacing", [(1.0, 2.0), (0.0, 1.0, 1.0), (1.0, 1.0, 90.0)])
def test_an_impossible_spacing_is_refused(spacing: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="is no spacing"):
        add_cpu_configuration(plans(), spacing_mm=spacing)


def test_plans_without_volumes_are_refused() -> None:
    with pytest.raises(ConfigError, match="no 3d_fullres"):
        add_cpu_configuration(plans(configurations={"2d": {}}))


def test_axes_are_known_of_the_reader_that_turns_images_alone() -> None:
    assert axes_of(plans()) == "SAR"
    with pytest.raises(ConfigError, match="SimpleITKIO leaves the axes"):
        axes_of(plans(image_reader_writer="SimpleITKIO"))


def test_damaged_plans_are_named(tmp_path: Path) -> None:
    (tmp_path / "plans.json").write_text("[1, ")
    with pytest.raises(UnreadableFileError, match=r"plans\.json: cannot be read as plans"):
        read_plans(tmp_path / "plans.json")
