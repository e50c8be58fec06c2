"""Which series lie in a folder is told from headers, and one of them is chosen by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_phantom import ROOT, SERIES_UID, classic, hounsfield, save
from pydicom.uid import MRImageStorage

from scalemai.errors import CaseError, ConfigError, UnknownNameError, UnreadableFileError
from scalemai.io.dicom import list_series, read_series

ARTERIAL = f"{ROOT}.5"


@pytest.fixture
def two_phases(tmp_path: Path) -> Path:
    """A folder with two CT series and a scout series, in one heap."""
    portal = classic(hounsfield(seed=1))
    arterial = classic(
        hounsfield((14, 11, 4), seed=2),
        series_uid=ARTERIAL,
        SeriesNumber=3,
        SeriesDescription="ABDOMEN ARTERIAL",
    )
    scout = classic(
        hounsfield((8, 8, 1)),
        series_uid=f"{ROOT}.6",
        SeriesNumber=1,
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )
    heap = [item for trio in zip(portal, arterial, strict=False) for item in trio]
    return save([*heap, *portal[4:], *scout], tmp_path / "heap", "{:02d}")


def test_a_listing_tells_what_is_needed_to_choose(two_phases: Path) -> None:
    (two_phases / "report.pdf").write_bytes(b"%PDF-1.7" + bytes(200))
    found = list_series(two_phases)
    assert found.not_dicom == ("report.pdf",)
    assert [series.number for series in found] == [1, 3, 4]
    scout, arterial, portal = found
    assert (scout.is_ct, scout.n_localizers) == (False, 1)
    assert (arterial.n_images, portal.n_images) == (4, 6)
    assert (portal.rows, portal.columns) == (11, 14)
    assert portal.spacing_mm == pytest.approx((0.7, 0.9, 2.5))
    assert portal.image_types == ("ORIGINAL\\PRIMARY\\AXIAL",)
    assert portal.kernel == "B30f"
    assert portal.classes == ("CT Image Storage",)
    assert portal.phase_text == "ABDOMEN PORTAL"
    assert len(portal.files) == 6


def test_several_ct_series_are_listed_instead_of_one_being_guessed(two_phases: Path) -> None:
    with pytest.raises(CaseError, match="2 series are possible") as caught:
        read_series(two_phases)
    message = str(caught.value)
    for said in (ARTERIAL, SERIES_UID, "ABDOMEN PORTAL", "6 slices", "4 slices", "series="):
        assert said in message
    assert "\n" not in message


@pytest.mark.parametrize("wanted", [ARTERIAL, 3, "3", "ABDOMEN ARTERIAL", "abdomen arterial"])
def test_a_series_is_chosen_by_uid_number_or_description(
    two_phases: Path, wanted: str | int
) -> None:
    assert read_series(two_phases, series=wanted).metadata["series_uid"] == ARTERIAL


def test_a_beginning_of_the_uid_chooses_only_if_no_other_series_has_it(two_phases: Path) -> None:
    with pytest.raises(CaseError, match="3 series are possible"):
        read_series(two_phases, series=ROOT)
    assert read_series(two_phases, series=SERIES_UID[:-1] + "7").grid.shape[2] == 6


def test_an_unknown_series_name_is_answered_with_the_nearest(two_phases: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ABDOMEN PORTAL'") as caught:
        read_series(two_phases, series="ABDOMEN PORTL")
    assert isinstance(caught.value, ConfigError)


def test_choosing_a_scout_or_another_modality_is_refused_by_name(two_phases: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"no CT series to read; found CT .*number 1"):
        read_series(two_phases, series=1)
    magnetic = classic(
        hounsfield(), SOPClassUID=MRImageStorage, Modality="MR", SeriesDescription="T1"
    )
    folder = save(magnetic, two_phases.parent / "mr")
    with pytest.raises(UnreadableFileError, match="no CT series to read; found MR 'T1'"):
        read_series(folder)
