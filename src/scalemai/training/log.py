"""What happened at each step: always as lines of JSON; for TensorBoard and MLflow on request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from scalemai.errors import MissingExtraError, UnreadableFileError
from scalemai.io.atomic import atomic_path
from scalemai.training.config import TrainingConfig

__all__ = ["LOG_NAME", "Log", "open_log", "read_log"]

LOG_NAME = "log.jsonl"


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
        sinks: list[_Sink] = [_Lines(file)]
        if config.run.tensorboard and find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(str(out / "tensorboard"), purge_step=start + 1)
            stack.callback(writer.close)
            sinks.append(_TensorBoard(writer))
        if config.run.mlflow:
            sinks.append(_mlflow(config, stack))
        yield Log(tuple(sinks))


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
