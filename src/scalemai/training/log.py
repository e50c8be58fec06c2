"""What happened at each step: always as lines of JSON; for TensorBoard and MLflow on request."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from scalemai.engine import available_cores
from scalemai.errors import MissingExtraError, UnreadableFileError
from scalemai.io.atomic import atomic_path
from scalemai.training.config import TrainingConfig

__all__ = ["LOG_NAME", "STARVING", "Log", "advice_on_waiting", "open_log", "read_log"]

LOG_NAME = "log.jsonl"

STARVING = 0.2
"""Share of the time of the steps, spent waiting for patches, above which a run warns. Author's
choice."""

_WATCHED = 20  # steps before a run is judged, without the first, in which processes start

_log = logging.getLogger("scalemai.training")


class _Sink(Protocol):
    def write(self, step: int, values: Mapping[str, float]) -> None: ...


class Log:
    """Writes to all that a run logs to. Made by :func:`open_log`."""

    def __init__(self, sinks: tuple[_Sink, ...]) -> None:
        self._sinks = sinks

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers of a step."""
        for sink in self._sinks:
            sink.write(step, values)


@contextmanager
def open_log(out: Path, config: TrainingConfig, *, start: int) -> Iterator[Log]:
    """Open the logs of a run; what an earlier run wrote after the step ``start`` is taken out.

    Raises
    ------
    MissingExtraError
        If MLflow is asked for and not installed.
    UnreadableFileError
        If an earlier log cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / LOG_NAME
    kept = [line for line in read_log(path) if line["step"] <= start] if start else []
    with atomic_path(path) as temporary:
        text = "".join(json.dumps(line) + "\n" for line in kept)
        temporary.write_text(text, encoding="utf-8")
    with ExitStack() as stack:
        file = stack.enter_context(path.open("a", encoding="utf-8", buffering=1))
        sinks: list[_Sink] = [_Lines(file), _Waiting(out, config)]
        if config.run.tensorboard and find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(str(out / "tensorboard"), purge_step=start + 1)
            stack.callback(writer.close)
            sinks.append(_TensorBoard(writer))
        if config.run.mlflow:
            sinks.append(_mlflow(config, stack))
        yield Log(tuple(sinks))


def advice_on_waiting(share: float, config: TrainingConfig) -> str | None:
    """What to do where steps wait too long for their patches; None where they do not.

    Parameters
    ----------
    share
        Of the time of the steps that was spent waiting, 0 to 1.
    config
        Of the run; its workers are compared with the cores there are.
    """
    if share <= STARVING:
        return None
    workers = config.run.workers
    cores = max(available_cores() // config.compute.devices, 1)
    if workers < cores:
        return f"give run.workers={workers + 1} or more"
    return "every core makes patches: give more cores, or a larger network, which needs fewer"


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; one that was cut off when its process was killed is left out.

    Raises
    ------
    UnreadableFileError
        If the file cannot be read, or a line before the last one is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"cannot be read ({error})", where=path) from error
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(json.loads(line))
        except ValueError as error:
            if number == len(lines):
                break
            fix = "remove the line, or the file"
            raise UnreadableFileError(f"line {number} is damaged", where=path, fix=fix) from error
    return found


class _Lines:
    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, step: int, values: Mapping[str, float]) -> None:
        rounded = {name: float(f"{value:.7g}") for name, value in values.items()}
        self._file.write(json.dumps({"step": step, **rounded}) + "\n")


class _Waiting:
    """Warns once of a run whose steps wait for their patches."""

    def __init__(self, out: Path, config: TrainingConfig) -> None:
        self._out, self._config = out, config
        self._steps, self._spent, self._waited, self._told = 0, 0.0, 0.0, False

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._steps += 1
        if self._told or self._steps == 1:
            return
        spent = 1.0 / max(values["samples_per_s"], 1e-9)
        self._spent += spent
        self._waited += values["loader_share"] * spent
        if self._steps <= _WATCHED:
            return
        share = self._waited / self._spent
        advice = advice_on_waiting(share, self._config)
        if advice is not None:
            text = "%s: %.0f %% of the time is spent waiting for patches; %s"
            _log.warning(text, self._out, 100.0 * share, advice)
            self._told = True


class _TensorBoard:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)


class _MLflow:
    def __init__(self, module: Any) -> None:
        self._module = module

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._module.log_metrics(dict(values), step=step)


def _mlflow(config: TrainingConfig, stack: ExitStack) -> _MLflow:
    if find_spec("mlflow") is None:
        fix = "pip install mlflow-skinny, or leave run.mlflow empty"
        raise MissingExtraError("logging to MLflow needs mlflow", where="run.mlflow", fix=fix)
    mlflow = import_module("mlflow")  # an extra that nothing else needs

    mlflow.set_experiment(config.run.mlflow)
    stack.enter_context(mlflow.start_run())
    mlflow.log_dict(config.to_dict(), "config.json")
    return _MLflow(mlflow)
