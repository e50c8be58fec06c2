"""The training loop: it learns, can be killed, stopped and resumed, and says what went wrong."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("monai", reason="networks are MONAI's")
pytest.importorskip("lightning_fabric", reason="training runs on Lightning Fabric")

from scalemai.errors import ConfigError, LockedError, MissingExtraError, ScaleMAIError  # noqa: E402
from scalemai.training.config import OptimiserConfig, RunConfig, ValidationConfig  # noqa: E402
from scalemai.training.fit import CHECKPOINTS, fit, learning_rate  # noqa: E402
from scalemai.training.log import LOG_NAME, read_log  # noqa: E402

from .spheres import CONFIG, Spheres, config  # noqa: E402

LAST = f"step-{CONFIG.steps:08d}"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    fit(CONFIG, Spheres(), out, held_out=Spheres(7))
    return out


def weights(out: Path, step: str = LAST) -> bytes:
    return (out / CHECKPOINTS / step / "weights.safetensors").read_bytes()


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_log(out / LOG_NAME)]


def test_the_loss_falls_and_held_out_lesions_are_found(undisturbed: Path) -> None:
    lines = read_log(undisturbed / LOG_NAME)
    assert [line["step"] for line in lines] == list(range(1, CONFIG.steps + 1))
    assert np.mean(losses(undisturbed)[-5:]) < 0.5 * np.mean(losses(undisturbed)[:5])
    looks = [line for line in lines if "validation_dice" in line]
    assert [line["step"] for line in looks] == [8, 16, 24]
    assert looks[-1]["validation_dice"] > 0.7
    assert looks[-1]["validation_sensitivity"] == 1.0
    assert all(0.0 <= line["loader_share"] <= 1.0 and line["samples_per_s"] > 0 for line in lines)


def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(
    undisturbed: Path, tmp_path: Path
) -> None:
    first, second = np.random.default_rng().integers((1, 11), (10, 23))
    for step in (first, second):
        with started(tmp_path, step_s=0.03) as process:
            until(process, int(step))
            process.kill()
    fit(CONFIG, Spheres(), tmp_path, held_out=Spheres(7))
    assert weights(tmp_path) == weights(undisturbed)
    assert losses(tmp_path) == losses(undisturbed)
    assert not list((tmp_path / CHECKPOINTS).glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_writes_a_checkpoint_and_goes_on_from_it(
    number: signal.Signals, undisturbed: Path, tmp_path: Path
) -> None:
    with started(tmp_path, step_s=0.1, workers=1) as process:
        until(process, 7)
        os.killpg(process.pid, number)  # as terminals and clusters do: the worker hears it too
        _, said = process.communicate()
    assert process.returncode == 130
    assert said == ""
    (kept,) = (tmp_path / CHECKPOINTS).glob("step-*")
    assert 7 <= int(kept.name.removeprefix("step-")) <= 12
    fit(CONFIG, Spheres(), tmp_path, held_out=Spheres(7))
    assert weights(tmp_path) == weights(undisturbed)


def test_the_last_and_the_best_checkpoint_are_kept(tmp_path: Path) -> None:
    fast = replace(CONFIG.validation, every=2)
    end = config(validation=fast, optimiser=OptimiserConfig(learning_rate=0.3, warm_up=0))
    fitted = fit(end, Spheres(), tmp_path, held_out=Spheres(7))
    best = fitted.last.best
    assert best is not None
    looks = {
        line["step"]: line["validation_dice"]
        for line in read_log(tmp_path / LOG_NAME)
        if "validation_dice" in line
    }
    assert best.step == max(looks, key=lambda step: (looks[step], -step))
    kept = sorted(path.name for path in (tmp_path / CHECKPOINTS).iterdir())
    assert kept == sorted({LAST, f"step-{best.step:08d}"})


def test_the_best_weights_are_given_where_they_are_asked_for(tmp_path: Path) -> None:
    chosen = config(validation=ValidationConfig(every=8, patches=4, choose="best"))
    fitted = fit(chosen, Spheres(), tmp_path, held_out=Spheres(7))
    assert fitted.last.best is not None
    assert fitted.checkpoint.record.step == fitted.last.best.step


def test_workers_change_no_bit_of_the_weights(undisturbed: Path, tmp_path: Path) -> None:
    served = config(run=replace(CONFIG.run, workers=2))
    fit(served, Spheres(), tmp_path, held_out=Spheres(7))
    assert weights(tmp_path) == weights(undisturbed)


def test_another_seed_gives_other_weights(undisturbed: Path, tmp_path: Path) -> None:
    fit(config(seed=1), Spheres(), tmp_path, held_out=Spheres(7))
    assert weights(tmp_path) != weights(undisturbed)


def test_the_state_of_the_caller_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state(), torch.get_num_threads(), signal.getsignal(signal.SIGINT)
    fit(config(steps=2), Spheres(), tmp_path)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    assert signal.getsignal(signal.SIGINT) is before[2]
    assert not torch.are_deterministic_algorithms_enabled()


def test_another_config_is_refused_and_what_differs_is_named(tmp_path: Path) -> None:
    short = config(steps=3)
    fit(short, Spheres(), tmp_path, data_sha256="a")
    other = replace(short, optimiser=replace(short.optimiser, learning_rate=0.02), batch=1)
    with pytest.raises(ConfigError, match=r"trained with batch 2, not 1; optimiser.learning_rate"):
        fit(other, Spheres(), tmp_path, data_sha256="a")
    with pytest.raises(ConfigError, match="other cases"):
        fit(short, Spheres(), tmp_path, data_sha256="b")
    fit(replace(short, run=RunConfig(workers=0, checkpoint_every=1)), Spheres(), tmp_path,
        data_sha256="a")  # fmt: skip
    anew = fit(other, Spheres(), tmp_path, data_sha256="b", resume=False)
    assert anew.last.config["batch"] == 1


def test_another_version_of_torch_is_remarked_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = config(steps=3)
    fit(short, Spheres(), tmp_path)
    path = tmp_path / CHECKPOINTS / "step-00000003" / "checkpoint.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "torch": "1.0"}))
    fit(short, Spheres(), tmp_path)
    assert f"goes on with torch {torch.__version__} after 1.0" in caplog.text


def test_a_loss_that_is_not_finite_names_step_and_case_and_keeps_the_checkpoint(
    tmp_path: Path,
) -> None:
    with pytest.raises(ScaleMAIError, match="loss is nan at step 8, in the patches case_15;") as it:
        fit(CONFIG, Spheres(damaged=15), tmp_path)
    assert "checkpoint of step 5 is kept" in str(it.value)
    assert "\n" not in str(it.value)
    assert [path.name for path in (tmp_path / CHECKPOINTS).iterdir()] == ["step-00000005"]


def test_a_gradient_that_is_not_finite_stops_before_the_weights_are_spoilt(tmp_path: Path) -> None:
    wild = config(optimiser=OptimiserConfig(learning_rate=10.0, warm_up=0, clip_norm=0.0))
    start = {
        name: torch.full_like(value, 1e19) if value.is_floating_point() else value
        for name, value in _first_weights().items()
    }
    with pytest.raises(ScaleMAIError, match=r"(loss|gradient) is (nan|inf).* at step 1, .*case_0"):
        fit(wild, Spheres(), tmp_path, start=start)
    assert not list((tmp_path / CHECKPOINTS).iterdir())


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_a_patch_comes_out_as_it_was_raised(workers: int, tmp_path: Path) -> None:
    served = config(run=replace(CONFIG.run, workers=workers))
    with pytest.raises(ScaleMAIError) as it:
        fit(served, Spheres(failing=6), tmp_path)
    assert str(it.value) == "case_6: cannot be read; look at it"


def test_frozen_parameters_stay_and_others_move_from_where_they_started(tmp_path: Path) -> None:
    start = _first_weights()
    frozen = sorted(name for name in start if name.endswith("weight"))[:2]
    fitted = fit(
        config(steps=3),
        Spheres(),
        tmp_path,
        start=start,
        factors={frozen[0]: 0.0, frozen[1]: 0.0},
    )
    for name, value in fitted.checkpoint.weights.items():
        assert torch.equal(value, start[name]) == (name in frozen), name


def test_two_trainings_do_not_write_to_one_folder(tmp_path: Path) -> None:
    def again(_: object) -> None:
        fit(CONFIG, Spheres(), tmp_path)

    with pytest.raises(LockedError):
        fit(CONFIG, Spheres(), tmp_path, on_progress=again)


def test_damaged_checkpoints_are_refused_and_no_code_in_them_is_run(tmp_path: Path) -> None:
    short = config(steps=3)
    fit(short, Spheres(), tmp_path)
    folder = tmp_path / CHECKPOINTS / "step-00000003"
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return os.mkdir, (str(marker),)

    torch.save({"state": Evil()}, folder / "optimiser.pt")
    with pytest.raises(ScaleMAIError, match="is not what was written"):
        fit(short, Spheres(), tmp_path)
    record = json.loads((folder / "checkpoint.json").read_text())
    content = (folder / "optimiser.pt").read_bytes()
    record["sha256"]["optimiser.pt"] = hashlib.sha256(content).hexdigest()
    (folder / "checkpoint.json").write_text(json.dumps(record))
    with pytest.raises(
        ScaleMAIError, match=r"cannot be read as a checkpoint.*remove step-00000003"
    ):
        fit(short, Spheres(), tmp_path)
    assert not marker.exists()


def test_cuda_on_a_build_without_it_is_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    wanted = config(compute=replace(CONFIG.compute, accelerator="cuda"))
    with pytest.raises(ConfigError, match=r"compute.accelerator: .*CUDA.*give cpu"):
        fit(wanted, Spheres(), tmp_path)


def test_the_learning_rate_rises_and_then_decays_to_nothing() -> None:
    plan = OptimiserConfig(learning_rate=1.0, warm_up=10, power=0.9)
    rates = [learning_rate(plan, step, 100) for step in range(100)]
    assert rates.index(max(rates)) == 10
    assert all(a < b for a, b in itertools.pairwise(rates[:11]))
    assert rates[50] == pytest.approx(0.5**0.9)
    assert rates[-1] == pytest.approx(0.01**0.9)


def test_tensorboard_shows_what_the_log_says(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    shown = config(run=replace(CONFIG.run, tensorboard=True), steps=4)
    fit(shown, Spheres(), tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(losses(tmp_path))


def test_mlflow_that_is_not_installed_is_named(tmp_path: Path) -> None:
    if find_spec("mlflow") is not None:
        pytest.skip("MLflow is installed")
    with pytest.raises(MissingExtraError, match=r"run.mlflow: .* pip install mlflow-skinny"):
        fit(config(run=replace(CONFIG.run, mlflow="mine")), Spheres(), tmp_path)


def started(out: Path, *, step_s: float, workers: int = 0) -> subprocess.Popen[str]:
    words = (out, step_s, workers)
    command = [sys.executable, "-m", "tests.training.fit_driver", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(command, cwd=root, start_new_session=True, **pipes)  # type: ignore[call-overload,no-any-return]  # options of Popen


def until(process: subprocess.Popen[str], step: int) -> None:
    """Wait for a step of a training."""
    assert process.stdout is not None
    while int(process.stdout.readline()) < step:
        pass


def _first_weights() -> dict[str, torch.Tensor]:
    from scalemai.detector.network import build_network

    state: dict[str, torch.Tensor] = build_network(CONFIG.detector).state_dict()
    return state
