"""nnU-Net itself, end to end on small cases: plan, batches, training, going on, predicting.

They need nnU-Net, which is not among the dependencies of the tests: installed beside a build of
PyTorch for CPU, it wants a constraint on the version of PyTorch (docs/howto/nnunet.md).
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalemai.case import Case
from scalemai.cases.layouts.manifests import manifest_labels
from scalemai.errors import ConfigError, ScaleMAIError, UnreadableFileError
from scalemai.io.nifti import read_labels
from scalemai.training.nnunet.export import (
    ExportRequest,
    export_cases,
    finish_export,
    gather_cases,
    open_export_ledger,
)
from scalemai.training.nnunet.folders import EXTERNAL_TRAINERS, Folders, folders_of
from scalemai.training.nnunet.labels import LabelScheme
from scalemai.training.nnunet.plans import CPU, PLANS, read_plans
from scalemai.training.nnunet.settings import Settings, write_settings

from .drawn import box, boxed_case

torch = pytest.importorskip("torch")
pytest.importorskip(
    "nnunetv2", reason="nnU-Net v2 is not installed; see docs/howto/nnunet.md for a safe way"
)

from scalemai.training.nnunet.launch import (  # noqa: E402
    TRAINER,
    fold_folder,
    plan_dataset,
    register_trainer,
    require_safe_checkpoint,
    train_fold,
)
from scalemai.training.nnunet.predict import (  # noqa: E402
    open_model,
    open_prediction_ledger,
    predict_cases,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # those of nnU-Net and what it needs
]

POPULATION = "liver: {kinds: {hcc: 1, cyst: 1}, size_mm: {uniform: [10, 16]}}"
SCHEME = LabelScheme(organs={"liver": ("hcc", "cyst")}, regions=True)
SETTINGS = Settings(
    population=POPULATION, probability=1.0, epochs=2, iterations=2, validation_iterations=2,
    save_every=1, final_validation=False, seed=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    root = tmp_path_factory.mktemp("hosts")
    return [boxed_case(root / f"case_{n}", {"liver": box(2, 22)}) for n in range(3)]


@pytest.fixture(scope="module")
def folders(hosts: list[Case], tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Three healthy hosts, exported and planned."""
    out = tmp_path_factory.mktemp("nnunet") / "nnUNet_raw" / "Dataset511_Liver"
    request = ExportRequest(scheme=SCHEME, folds=3)
    raw = gather_cases([("", hosts)])
    with open_export_ledger(out, request) as ledger:
        assert all(o.status == "done" for o in export_cases(raw, out, request, ledger=ledger))
        finish_export(raw, out, request)
    found = folders_of(out)
    plan_dataset(found, (CPU,), spacing_mm=(2.5, 2.5, 4.0))
    write_settings(found.preprocessed, SETTINGS)
    return found


def trainer(folders: Folders) -> Any:
    """The trainer as nnU-Net makes it, in a process where batches are made at once."""
    from nnunetv2.run.run_training import get_trainer_from_args

    register_trainer()
    made = get_trainer_from_args(
        folders.dataset.name, CPU, 0, TRAINER, PLANS, device=torch.device("cpu")
    )
    made.initialize()
    return made


def elsewhere(folders: Folders, place: Path) -> Folders:
    """The same data set with other results."""
    return Folders(folders.dataset, folders.all_preprocessed, place)


def weights(folder: Path) -> dict[str, Any]:
    found = torch.load(folder / "checkpoint_final.pth", map_location="cpu", weights_only=False)
    return dict(found["network_weights"])


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_window_is_ours_and_not_that_of_healthy_livers(folders: Folders) -> None:
    facts = read_plans(folders.preprocessed / f"{PLANS}.json")[
        "foreground_intensity_properties_per_channel"
    ]["0"]
    assert (facts["percentile_00_5"], facts["percentile_99_5"]) == (-175.0, 250.0)
    measured = json.loads((folders.preprocessed / "dataset_fingerprint.json").read_text())
    assert measured["foreground_intensity_properties_per_channel"]["0"]["percentile_99_5"] < 120


def test_batches_show_lesions_as_regions_and_follow_from_the_seed(
    folders: Folders, tmp_path: Path
) -> None:
    with elsewhere(folders, tmp_path).known(loaders=0):
        found = []
        for _ in range(2):
            one = trainer(folders)
            training, validation = one.get_dataloaders()
            found.append(([next(training) for _ in range(2)], [next(validation) for _ in range(2)]))
    for first, second in zip(*found, strict=True):
        for a, b in zip(first, second, strict=True):
            assert torch.equal(a["data"], b["data"])
            assert torch.equal(a["target"][0], b["target"][0])
    batches = [*found[0][0], *found[0][1]]
    heads = torch.stack([one["target"][0].sum(dim=(2, 3, 4)) for one in batches])
    organ, hcc, cyst = (heads[..., n] for n in range(3))
    assert ((hcc + cyst) > 0).any()  # the hosts have none
    assert (organ >= hcc + cyst).all()


def test_validation_shows_the_same_patches_every_epoch_and_training_others(
    folders: Folders, tmp_path: Path
) -> None:
    with elsewhere(folders, tmp_path).known(loaders=0):
        training, validation = trainer(folders).get_dataloaders()
        epochs = [[next(validation)["data"] for _ in range(2)] for _ in range(2)]
        batches = [next(training)["data"] for _ in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(*epochs, strict=True))
    assert not torch.equal(*epochs[0])
    assert not any(torch.equal(batches[0], other) for other in batches[1:])


def test_workers_make_batches_of_their_own(folders: Folders, tmp_path: Path) -> None:
    with elsewhere(folders, tmp_path).known(loaders=2):
        training, validation = trainer(folders).get_dataloaders()
        try:
            found = [next(training)["data"].clone() for _ in range(6)]
        finally:
            training._finish()
            validation._finish()
    assert len({one.numpy().tobytes() for one in found}) == 6


def test_a_run_repeats_itself_and_one_that_was_killed_goes_on_to_the_same_weights(
    folders: Folders, tmp_path: Path
) -> None:
    whole, again, broken = (elsewhere(folders, tmp_path / name) for name in "abc")
    first, second = weights(train_fold(whole)), weights(train_fold(again))
    assert same(first, second)
    start = weights_at_start(folders, tmp_path)
    assert not same(first, start)
    kill_after_an_epoch(broken)
    target = fold_folder(broken, CPU, "0")
    assert (target / "checkpoint_latest.pth").is_file()
    assert not (target / "checkpoint_final.pth").exists()
    train_fold(broken)
    assert same(first, weights(target))
    train_fold(broken)  # done: nothing is trained again
    assert same(first, weights(target))


def weights_at_start(folders: Folders, place: Path) -> dict[str, Any]:
    with elsewhere(folders, place / "start").known(loaders=0):
        one = trainer(folders)
    return dict(one.network.state_dict())


def kill_after_an_epoch(folders: Folders) -> None:
    """Train in a process that dies when the second epoch begins."""
    script = f"""
import os
from pathlib import Path
from scalemai.training.nnunet.folders import folders_of
from scalemai.training.nnunet import launch, trainer
usual = trainer.nnUNetTrainerScaleMAI.on_epoch_start
def on_epoch_start(self):
    if self.current_epoch == 1:
        os._exit(9)
    usual(self)
trainer.nnUNetTrainerScaleMAI.on_epoch_start = on_epoch_start
dataset, results = Path({str(folders.dataset)!r}), Path({str(folders.all_results)!r})
launch.train_fold(folders_of(dataset, results=results))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 9, done.stderr.decode()


def test_whole_scans_are_not_compared_with_references_that_show_no_lesion(
    folders: Folders, tmp_path: Path
) -> None:
    try:
        write_settings(folders.preprocessed, Settings(epochs=2, final_validation=True))
        with elsewhere(folders, tmp_path).known(loaders=0):
            one = trainer(folders)
            one.get_dataloaders()
            one.perform_actual_validation()
    finally:
        write_settings(folders.preprocessed, SETTINGS)
    assert "no reference of this fold shows a lesion" in Path(one.log_file).read_text()
    assert not list(tmp_path.rglob("summary.json"))


def test_a_loss_that_is_no_number_ends_the_training(folders: Folders, tmp_path: Path) -> None:
    with elsewhere(folders, tmp_path).known(loaders=0):
        one = trainer(folders)
        with pytest.raises(ScaleMAIError, match="the loss of epoch 0 is nan"):
            one.on_train_epoch_end([{"loss": np.array(np.nan, np.float32)}])


def test_a_run_does_not_go_on_with_other_settings(folders: Folders, tmp_path: Path) -> None:
    broken = elsewhere(folders, tmp_path)
    kill_after_an_epoch(broken)
    try:
        write_settings(folders.preprocessed, Settings(epochs=5, seed=4))
        with pytest.raises(ConfigError, match=r"other settings: .*seed"):
            train_fold(broken)
    finally:
        write_settings(folders.preprocessed, SETTINGS)


def test_a_model_predicts_on_the_grids_of_the_scans(
    folders: Folders, hosts: list[Case], tmp_path: Path
) -> None:
    trained = elsewhere(folders, tmp_path / "results")
    model = open_model(train_fold(trained).parent)
    bad = Case("bad", tmp_path / "bad.nii.gz")
    out = tmp_path / "out"
    with open_prediction_ledger(out, model) as ledger:
        outcomes = {
            o.key: o.status for o in predict_cases([hosts[0], bad], out, model, ledger=ledger)
        }
    assert outcomes == {"case_0": "done", "bad": "failed"}
    names = dict(manifest_labels(out).values)
    assert names["liver"] == (1, 2, 3)
    labels, grid = read_labels(out / "case_0.nii.gz")
    assert grid.same_as(hosts[0].grid())
    assert set(np.unique(labels)) <= {0, 1, 2, 3}


def test_nnunets_search_through_the_users_folders_finds_the_class_itself() -> None:
    from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

    folder = str(EXTERNAL_TRAINERS)
    found = recursive_find_python_class(
        folder, TRAINER, None, base_folder=folder, cleanup_imports_from_base_folder=True
    )
    # Modules of these folders are forgotten after the search; workers could not find the class.
    assert found.__module__ == "scalemai.training.nnunet.trainer"
    assert pickle.loads(pickle.dumps(found)) is found


class Payload:
    def __reduce__(self) -> Any:
        return print, ("run by a checkpoint",)


def test_a_checkpoint_that_would_run_code_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fold_0" / "checkpoint_final.pth"
    path.parent.mkdir()
    torch.save({"network_weights": Payload()}, path)
    with pytest.raises(UnreadableFileError, match="only checkpoints that you trained"):
        open_model(tmp_path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UnreadableFileError, match="is damaged"):
        require_safe_checkpoint(path)
    assert "run by" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"configuration": "3d_cpuu"}, "did you mean '3d_cpu'"),
        ({"fold": "7"}, "no fold 7, but 3 of them; give 0 to 2, or all"),
        ({"fold": "first"}, "is no fold"),
        ({"device": "cuda"}, "has no cuda"),
        ({"device": "tpu"}, "unknown device"),
    ],
)
def test_what_is_not_there_is_refused_before_training(
    asked: dict[str, str], said: str, folders: Folders, tmp_path: Path
) -> None:
    if asked.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ConfigError, match=said):
        train_fold(elsewhere(folders, tmp_path), **asked)
    assert not list(tmp_path.iterdir())
