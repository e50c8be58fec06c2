"""A series on disk: what it holds, that it repeats, and that a kill leaves whole series only."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import psutil
import pytest
from PIL import Image

from cli.hosts import hashes, start, tree, write_case, write_cases
from scalemai.case import Case, Presence
from scalemai.cases import open_cases
from scalemai.engine import read_ledger
from scalemai.errors import ConfigError, PlacementError
from scalemai.synthesis.files import Request, replay, synthesize_case
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.timeline.batch import grow_cases, open_growth_ledger
from scalemai.synthesis.timeline.files import GrowRequest, grow_case
from scalemai.synthesis.timeline.record import read_timeline_notes
from scalemai.synthesis.timeline.schedule import Schedule, parse_schedule

SPEC = LesionSpec(organ="liver", diameter_mm=(24.0, 28.0))
PLAN = parse_schedule("0-360 d every 90")
REQUEST = GrowRequest(spec=SPEC, schedule=PLAN, doubling_days=60.0, seed=11)
MANY = replace(REQUEST, schedule=parse_schedule("0, 90, 180 d"))
DAYS = ["day_0000", "day_0090", "day_0180", "day_0270", "day_0360"]
COUNT = 3
PATIENCE_S = 60.0  # of a busy machine; nothing is measured


def only(source: Path) -> Case:
    (case,) = open_cases(source)
    return case


def voxels(path: Path) -> np.ndarray:
    return np.asanyarray(nib.load(path).dataobj)


def record(made: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((made / "timeline.json").read_text())
    return content


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_case(tmp_path_factory.mktemp("series") / "data" / "p1")


@pytest.fixture(scope="module")
def made(host: Path) -> Path:
    return grow_case(only(host), host.parents[1] / "out", REQUEST)


# --- what is written -----------------------------------------------------------------------


def test_a_series_holds_a_case_per_day_and_its_record_curve_and_film(made: Path) -> None:
    per_day = ["ct.nii.gz", "lesions.nii.gz", "segmentations", "stage.json"]
    per_day += [f"segmentations/{name}.nii.gz" for name in ("liver", "liver_lesion")]
    expected = [f"{day}/{name}" for day in DAYS for name in per_day] + DAYS
    expected += ["day_0360/synthesis.json", "timeline.json", "growth_curve.png", "timeline.gif"]
    assert tree(made) == sorted(expected)


def test_the_files_of_the_last_day_are_those_of_the_direct_synthesis(
    made: Path, host: Path, tmp_path: Path
) -> None:
    request = Request(specs=(SPEC,), seed=REQUEST.seed)
    direct = synthesize_case(only(host), tmp_path / "direct", request)
    images = [name for name in tree(direct) if name.endswith(".nii.gz")]
    assert len(images) == 4
    for name in images:
        assert (made / DAYS[-1] / name).read_bytes() == (direct / name).read_bytes(), name


def test_the_last_day_can_be_replayed(made: Path, tmp_path: Path) -> None:
    again = replay(made / DAYS[-1] / "synthesis.json", tmp_path / "again")
    name = "ct.nii.gz"
    assert (again / name).read_bytes() == (made / DAYS[-1] / name).read_bytes()


def test_masks_on_disk_are_nested_and_grow(made: Path) -> None:
    masks = [voxels(made / day / "segmentations" / "liver_lesion.nii.gz") > 0 for day in DAYS]
    for earlier, later in pairwise(masks):
        assert not (earlier & ~later).any()
        assert earlier.sum() < later.sum()


def test_the_record_says_what_is_on_disk(made: Path) -> None:
    content = record(made)
    assert [scan["folder"] for scan in content["scans"]] == DAYS
    assert content["schedule"] == {"at_days": [0, 90, 180, 270, 360]}
    assert content["law"]["name"] == "exponential"
    assert content["law"]["doubling_days"] == 60.0
    assert content["law"]["doubling_time"] == "given"
    assert content["law"]["reference_day"] == 360
    for scan in content["scans"]:
        folder = made / scan["folder"]
        assert (
            json.loads((folder / "stage.json").read_text())["voxels_crc32"] == scan["voxels_crc32"]
        )
        image = nib.load(folder / "segmentations" / "liver_lesion.nii.gz")
        count = int(np.count_nonzero(image.dataobj))
        (lesion,) = scan["lesions"]
        if lesion["measured"] is None:
            assert count == 0
            continue
        assert lesion["measured"]["voxels"] == count
        volume = count * float(np.prod(image.header.get_zooms()))
        assert lesion["measured"]["volume_mm3"] == pytest.approx(volume, rel=1e-4)
        days_left = 360 - scan["day"]
        law = content["law"]["reference_mm3"] * 2 ** (-days_left / 60)
        assert lesion["law_mm3"] == pytest.approx(law)
        assert lesion["field_mm3"] == pytest.approx(law, rel=0.02)


def test_the_days_are_a_data_set_of_cases(made: Path) -> None:
    cases = list(open_cases(made))
    assert [case.id for case in cases] == DAYS
    assert all(case.has("liver") and case.has("liver_lesion") for case in cases)


def test_a_day_below_what_the_scan_shows_is_the_host_with_a_mask_that_says_absent(
    host: Path, tmp_path: Path
) -> None:
    request = GrowRequest(spec=SPEC, schedule=PLAN, doubling_days=15.0, seed=11)
    made = grow_case(only(host), tmp_path / "out", request)
    first = made / DAYS[0]
    assert (voxels(first / "ct.nii.gz") == voxels(host / "ct.nii.gz")).all()
    (case,) = open_cases(first)
    assert case.presence("liver_lesion") is Presence.ABSENT
    stage = json.loads((first / "stage.json").read_text())
    assert stage["presence"] == {"liver_lesion": "absent"}
    assert stage["lesions"][0]["remark"] == "below what the scan shows"
    assert "below what the scan shows in day_0000" in read_timeline_notes(made)[0]


def test_lesions_that_the_host_has_stay_labelled_on_every_day(host: Path, tmp_path: Path) -> None:
    real = np.zeros(voxels(host / "ct.nii.gz").shape, np.uint8)
    liver = voxels(host / "segmentations" / "liver.nii.gz") > 0
    i, j, k = np.argwhere(liver)[liver.sum() // 2]
    real[i - 1 : i + 2, j - 1 : j + 2, k] = 1
    twin = write_case(tmp_path / "data" / "p1")
    image = nib.load(host / "segmentations" / "liver.nii.gz")
    nib.save(
        nib.Nifti1Image(real, image.affine, image.header),
        twin / "segmentations" / "liver_lesion.nii.gz",
    )
    request = GrowRequest(spec=SPEC, schedule=PLAN, doubling_days=15.0, seed=11)
    made = grow_case(only(twin), tmp_path / "out", request)
    for day in DAYS:
        mask = voxels(made / day / "segmentations" / "liver_lesion.nii.gz") > 0
        assert mask[real > 0].all()
    stage = json.loads((made / DAYS[0] / "stage.json").read_text())
    assert stage["presence"] == {"liver_lesion": "present"}


def test_pictures_show_every_day(made: Path) -> None:
    with Image.open(made / "timeline.gif") as film:
        assert film.n_frames >= len(DAYS)
    with Image.open(made / "growth_curve.png") as curve:
        assert min(curve.size) > 400


def test_sizes_are_written_with_the_days_on_which_they_are_reached(
    host: Path, tmp_path: Path
) -> None:
    request = GrowRequest(
        spec=LesionSpec(organ="liver", diameter_mm=(28, 28)),
        schedule=Schedule(at_mm=(14.0, 20.0, 28.0)),
        law="gompertz",
        doubling_days=100.0,
    )
    content = record(grow_case(only(host), tmp_path / "out", request))
    assert content["law"]["name"] == "gompertz"
    assert content["law"]["carrying_mm3"] > content["law"]["reference_mm3"]
    days = [scan["day"] for scan in content["scans"]]
    assert days[0] == 0.0
    # Diameters by a square root of two: volumes by about 2.8, that is one and a half doublings.
    assert 80 < days[1] < 220
    measured = [
        scan["lesions"][0]["measured"]["longest_axial_diameter_mm"] for scan in content["scans"]
    ]
    assert measured == pytest.approx([14, 20, 28], abs=2.6)


def test_an_organ_without_room_is_an_error_that_names_the_case(host: Path, tmp_path: Path) -> None:
    request = GrowRequest(spec=LesionSpec(organ="liver", diameter_mm=(140, 140)), schedule=PLAN)
    with pytest.raises(PlacementError, match=r"^p1: "):
        grow_case(only(host), tmp_path / "out", request)
    assert tree(tmp_path) in ([], ["out"])


def test_nothing_but_a_series_is_replaced(host: Path, tmp_path: Path) -> None:
    (tmp_path / "p1").mkdir()
    (tmp_path / "p1" / "notes.txt").write_text("dear")
    with pytest.raises(ConfigError, match=r"no synthetic case \(it holds no timeline\.json\)"):
        grow_case(only(host), tmp_path, REQUEST)
    with pytest.raises(ConfigError, match="would replace its host"):
        grow_case(only(host), host.parent, REQUEST)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"law": "linear"}, "law"),
        ({"doubling_days": -1.0}, "doubling_days"),
        ({"schedule": Schedule(at_mm=(5.0, 50.0))}, "at_mm"),
    ],
)
def test_an_impossible_request_is_refused_before_anything_is_read(
    change: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^{field}: "):
        GrowRequest(**{"spec": SPEC, "schedule": PLAN, **change})


# --- many cases ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cases(tmp_path_factory.mktemp("hosts") / "data", COUNT)


def run(root: Path, out: Path, request: GrowRequest = MANY, *, workers: int = 1) -> list[str]:
    """Grow a data set; return the keys in the order in which they ended."""
    with open_growth_ledger(out, request) as ledger:
        cases = list(open_cases(root))[::-1]
        with grow_cases(cases, out, request, ledger=ledger, workers=workers) as outcomes:
            ended = list(outcomes)
    assert all(outcome.status == "done" for outcome in ended), ended
    return [outcome.key for outcome in ended]


@pytest.fixture(scope="module")
def undisturbed(root: Path) -> dict[str, str]:
    """Hashes of all files of a run that nothing disturbs."""
    out = root.with_name("undisturbed")
    run(root, out)
    return hashes(out)


# Records name their host by a relative path, so runs that are compared lie side by side.
@pytest.fixture
def out(root: Path, request: pytest.FixtureRequest) -> Path:
    return root.with_name("".join(c if c.isalnum() else "_" for c in request.node.name))


def test_three_workers_write_the_same_files_as_one(
    root: Path, out: Path, undisturbed: dict[str, str]
) -> None:
    run(root, out, workers=3)
    assert hashes(out) == undisturbed


def test_series_that_are_done_are_not_done_again(root: Path, out: Path) -> None:
    assert len(run(root, out)) == COUNT
    assert run(root, out) == []


def test_another_request_into_the_same_folder_is_refused(root: Path, out: Path) -> None:
    run(root, out)
    other = replace(MANY, doubling_days=61.0)
    with pytest.raises(ConfigError, match=r"doubling_days was 60\.0 and is 61\.0"):
        open_growth_ledger(out, other)


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Poll for a condition of a running process, or for its end."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "the run came no farther"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.001)


@pytest.fixture
def launch(root: Path, out: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts the same run as a process of two workers; ends what is left of it."""
    started: list[subprocess.Popen[str]] = []

    def start_run() -> subprocess.Popen[str]:
        words = ("--organ", "liver", "--diameter", "24-28mm", "--schedule", "0, 90, 180 d")
        more = ("--doubling-days", 60, "--seed", 11, "--workers", 2)
        process = start("grow", root, "--out", out, *words, *more)
        started.append(process)
        return process

    yield start_run
    for process in started:
        process.kill()
        process.communicate()


def whole(out: Path) -> list[str]:
    """Series that have their final name."""
    return sorted(p.name for p in out.glob("case_*"))


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "a series is half-written": lambda out: any(out.glob(".case_*.partial/*/ct.nii.gz")),
    "the first series is whole": lambda out: len(whole(out)) >= 1,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_leaves_whole_series_and_resumes_to_the_same_files(
    root: Path,
    out: Path,
    undisturbed: dict[str, str],
    launch: Callable[[], subprocess.Popen[str]],
    moment: str,
) -> None:
    process = launch()
    until(lambda: MOMENTS[moment](out), process)
    with contextlib.suppress(psutil.NoSuchProcess):
        workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL  # it was at work
    _, left = psutil.wait_procs(workers, timeout=PATIENCE_S)
    assert left == []
    for case in whole(out):
        files = {f"{case}/{name}": digest for name, digest in hashes(out / case).items()}
        assert files == {n: d for n, d in undisturbed.items() if n.startswith(f"{case}/")}
    done = [one.key for one in read_ledger(out / "ledger.jsonl")]
    assert set(done) <= set(whole(out))
    run(root, out)
    assert hashes(out) == undisturbed
    assert not list(out.glob(".*"))
