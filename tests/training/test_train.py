"""From a folder of cases to a detector: the command, what it writes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")
pytest.importorskip("lightning_fabric", reason="training runs on Lightning Fabric")

from cli.hosts import Said, hashes, scalemai  # noqa: E402
from scalemai.detector.files import read_detector, weights_digest  # noqa: E402
from scalemai.errors import ConfigError  # noqa: E402
from scalemai.training.cache import Cache  # noqa: E402
from scalemai.training.config_file import read_config  # noqa: E402
from scalemai.training.fit import CHECKPOINTS  # noqa: E402
from scalemai.training.log import read_log  # noqa: E402
from scalemai.training.material import any_lesion, choose_cases  # noqa: E402

from .hosts import ball, pancreas, write_patient  # noqa: E402

QUICK = (
    "steps=3",
    "batch=2",
    "detector.patch=[32,32,32]",
    "detector.preprocessing.spacing_mm=[3,3,3]",
    "detector.network.parameters.features=[4,4,4,4,4,4]",
    "validation.every=2",
    "validation.patches=2",
    "compute.threads=1",
    "run.workers=0",
    "run.tensorboard=false",
    "run.checkpoint_every=1",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients, two of them with a lesion in the body of the pancreas."""
    root = tmp_path_factory.mktemp("data")
    for number in range(4):
        lesions = {"pancreatic_lesion": ball((0.0, 6.0, 0.0), 14.0)} if number < 2 else None
        write_patient(root / f"case_{number}", pancreas(), lesions, seed=number)
    return root


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "out"
    said = train(data, out)
    assert said.code == 0, said.err
    assert said.out == f"{out / 'detector'}\n"
    assert "prepared 4 / 4 cases" in said.err
    assert "step 2: held out: Dice" in said.err
    return out


def train(data: Path, out: Path, *words: object, settings: tuple[str, ...] = ()) -> Said:
    chosen = [word for text in (*QUICK, *settings) for word in ("--set", text)]
    organ = ("--organ", "pancreas")
    return scalemai("train", data, "--out", out, *organ, *chosen, "--workers", 1, *words)


def test_a_detector_comes_out_with_its_card_and_log(trained: Path) -> None:
    detector = read_detector(trained / "detector")
    assert detector.spec.classes == ("pancreatic_lesion",)
    assert [line["step"] for line in read_log(trained / "log.jsonl")] == [1, 2, 3]
    data = detector.origin["data"]
    assert (data["cases"] + data["held_out"], data["left_out"]) == (4, 0)
    assert len(data["hashes"]) == 4
    assert detector.origin["config"]["steps"] == 3
    assert detector.origin["versions"]["torch"] == torch.__version__
    scans = detector.origin["scans"]
    assert scans["scans"] == data["held_out"] >= 1
    assert sum(scans["lesions"].values()) >= 1
    for text in (
        scans["text"],
        "on the fly: ",
        "pancreas, 3-40 mm",
        "Research.",
        "no medical device",
        data["sha256"],
        "licence of the weights | not stated",
        "seed | 0",
        "nothing about patients",
        "torch " + torch.__version__,
    ):
        assert text in detector.card


def test_the_same_seed_gives_the_same_detector_and_another_one_does_not(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    cache = ("--cache", trained / "cache")
    digest = weights_digest(read_detector(trained / "detector"))
    assert train(data, tmp_path / "a", *cache).code == 0
    assert weights_digest(read_detector(tmp_path / "a" / "detector")) == digest
    assert train(data, tmp_path / "b", *cache, "--seed", 1).code == 0
    assert weights_digest(read_detector(tmp_path / "b" / "detector")) != digest


def test_a_run_that_is_done_is_left_as_it_is(trained: Path, data: Path) -> None:
    before = hashes(trained / CHECKPOINTS)
    said = train(data, trained)
    assert said.code == 0
    assert "4 of 4 cases were done before" in said.err
    assert hashes(trained / CHECKPOINTS) == before


def test_other_settings_and_other_data_are_refused_until_a_restart(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    said = train(data, trained, settings=("batch=1",))
    assert said.code == 2
    assert "was trained with batch 2, not 1; ask for the same, or give another --out" in said.err
    said = train(data, trained, "--real", 0)
    assert said.code == 2
    assert "other cases, or other lesions" in said.err
    cache = ("--cache", trained / "cache")
    assert train(data, tmp_path, *cache, settings=("steps=2",)).code == 0
    assert train(data, tmp_path, *cache, "--restart").code == 0
    assert json.loads((tmp_path / "detector/detector.json").read_text())["origin"]["step"] == 3


def test_real_lesions_alone_can_be_learned(trained: Path, data: Path, tmp_path: Path) -> None:
    cache = ("--cache", trained / "cache")
    said = train(data, tmp_path, *cache, "--synthetic", "off", settings=("validation.share=0",))
    assert said.code == 0, said.err
    origin = read_detector(tmp_path / "detector").origin
    assert origin["lesions"] == "none"
    assert origin["validation"] == {}
    assert "None was held out." in read_detector(tmp_path / "detector").card


def test_synthetic_cases_from_disk_take_the_place_of_their_hosts(
    data: Path, tmp_path: Path
) -> None:
    grown = tmp_path / "grown"
    assert scalemai(
        "synthesize", data / "case_3", "--organ", "pancreas", "--diameter", "15mm",
        "--out", grown, "--workers", 1,
    ).code == 0  # fmt: skip
    words = ("--synthetic", "offline", "--synthesized", grown, "--real", 0)
    said = train(data, tmp_path / "out", *words, settings=("validation.share=0",))
    assert said.code == 0, said.err
    about = read_detector(tmp_path / "out" / "detector").origin["data"]
    assert about["with_lesions"] == 1
    assert about["cases"] == 2  # the other one is normal; the two annotated ones are left aside


def test_help_loads_no_torch() -> None:
    code = (
        "import sys\n"
        "from scalemai.cli.app import main\n"
        "sys.argv = ['scalemai', 'train', '--help']\n"
        "try: main()\n"
        "except SystemExit as leave: assert not leave.code\n"
        "print(sorted({'torch', 'numpy', 'monai'} & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--synthetic" in run.stdout
    assert run.stdout.splitlines()[-1] == "[]"


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(data: Path, tmp_path: Path) -> None:
    said = train(data, tmp_path / "out", "--dry-run")
    assert said.code == 0
    assert "4 cases, 0 of them synthetic" in said.out
    assert "parameters" in said.out
    assert "min" in said.out
    assert "GiB of memory" in said.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--synthetic", "of"), "unknown --synthetic 'of'; did you mean 'off'"),
        (("--synthetic", "offline"), "--synthetic offline --synthesized FOLDER"),
        (("--synthetic", "off", "--population", "p.yaml"), "nothing is grown on the fly"),
        (("--preset", "cpu"), "unknown preset 'cpu'"),
        (("--classes", "pdac,hcc"), "'hcc' is no lesion of the pancreas"),
        (("--set", "optimizer.power=1"), "did you mean 'optimiser'"),
        (("--real", "9"), "9 cases with lesions are asked for, but"),
    ],
)
def test_a_wrong_request_is_named_with_the_way_out(
    words: tuple[str, ...], message: str, trained: Path, data: Path, tmp_path: Path
) -> None:
    said = train(data, tmp_path / "out", *words, "--cache", trained / "cache")
    assert said.code == 2
    assert message in said.err
    assert said.err.count("scalemai: ") == 1


def test_cuda_on_a_build_without_it_is_refused_before_any_case_is_read(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    said = train(tmp_path / "nothing", tmp_path / "out", settings=("compute.accelerator=cuda",))
    assert said.code == 2
    assert "CUDA" in said.err
    assert len(said.lines) == 1


def test_one_case_is_refused_unless_nothing_is_held_out(data: Path, tmp_path: Path) -> None:
    said = train(data / "case_0", tmp_path / "out")
    assert said.code == 2
    assert "none can be held out; give more cases, or --set validation.share=0" in said.err
    said = train(data / "case_0", tmp_path / "out", settings=("validation.share=0",))
    assert said.code == 0, said.err


def test_normal_cases_without_synthesis_are_refused(data: Path, tmp_path: Path) -> None:
    said = train(data / "case_2", tmp_path / "out", "--synthetic", "off",
                 settings=("validation.share=0",))  # fmt: skip
    assert said.code == 2
    assert "no case has a lesion, and synthesis is off" in said.err


def test_a_case_without_the_organ_is_listed_and_the_rest_is_learned(
    data: Path, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    for number in range(3):
        write_patient(root / f"case_{number}", pancreas(), seed=number)
    write_patient(root / "odd", {"liver": ball((0.0, 0.0, 0.0), 40.0)}, seed=9)
    said = train(root, tmp_path / "out")
    assert said.code == 1
    assert "failed: odd: " in said.err
    assert (tmp_path / "out" / "detector").is_dir()
    assert "could not be prepared | 1 |" in read_detector(tmp_path / "out" / "detector").card


def test_fewer_real_cases_are_part_of_more_and_held_out_ones_stay(
    trained: Path, data: Path
) -> None:
    config = read_config(
        "cpu-small", ["validation.share=0.25"], given={"detector.organ": "pancreas"}
    )
    cache = many(trained)
    chosen = [
        choose_cases(cache, config, any_lesion("pancreas"), real=count) for count in (0, 3, 6, None)
    ]
    held = {one.held_out.ids for one in chosen if one.held_out is not None}
    assert len(held) == 1
    learned = [set(one.real) & set(one.cases.ids) for one in chosen]
    assert [len(one) for one in learned[:3]] == [0, 3, 6]
    assert learned[0] <= learned[1] <= learned[2] <= learned[3]
    assert not set(next(iter(held))) & set().union(*(one.cases.ids for one in chosen))
    assert len({one.digest for one in chosen}) == 4
    with pytest.raises(ConfigError, match="real: 99 cases with lesions are asked for"):
        choose_cases(cache, config, any_lesion("pancreas"), real=99)


def many(trained: Path) -> Cache:
    """Twenty cases of which half have lesions: those of a cache, under other names."""
    from dataclasses import replace

    from scalemai.training.cases import read_case

    folder = next(path for path in (trained / "cache").iterdir() if path.is_dir())
    known = [read_case(path.parent) for path in sorted(folder.glob("*/case.json"))]
    assert sorted(case.origin for case in known) == ["normal", "normal", "real", "real"]
    names = [f"p{number:02d}" for number in range(20)]
    cases = {
        name: replace(known[int(np.flatnonzero([c.origin == o for c in known])[0])], id=name)
        for name, o in zip(names, ("real", "normal") * 10, strict=True)
    }
    return Cache(folder, cases, {})
