"""Numbers out of a PyTorch file. Code in it is never run: what is not a number is not made.

``torch.load(weights_only=True)`` makes tensors and plain containers only. Real checkpoints hold
a few more kinds, in logs and settings beside the weights (nnU-Net's logs are NumPy numbers):
for these an empty thing is made, without calling what is named.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from scalemai.errors import ConfigError, UnreadableFileError

__all__ = ["Nothing", "read_pickle"]


class Nothing:
    """Stands for an object beside the weights that is not looked at."""

    def __new__(cls, *_: object) -> Nothing:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


_BESIDE_WEIGHTS = (
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "argparse.Namespace",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
)
_NAMED = re.compile(r"GLOBAL (\S+)")
_PARTS_OF_MODELS = re.compile(r"(^|\.)(nn|nets|networks?|models?|modules?)(\.|$)")


def read_pickle(path: Path) -> Any:
    """What a file of ``torch.save`` holds: tensors on the CPU, mapped, and plain containers.

    Raises
    ------
    ConfigError
        If the file asks for code to be run, or is a program (TorchScript).
    UnreadableFileError
        If it is damaged, or no PyTorch file.
    """
    zipped = zipfile.is_zipfile(path)
    if zipped and _is_program(path):
        fix = "give its weights: the .pt or .safetensors file beside it, or save its state_dict()"
        raise ConfigError("is a TorchScript program, not weights", where=path, fix=fix)
    stand_ins: Any = [(Nothing, name) for name in _BESIDE_WEIGHTS]
    try:
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error)) from error
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        AssertionError,
        MemoryError,
    ) as error:
        what = f"cannot be read as a PyTorch file ({_first_line(error)})"
        raise UnreadableFileError(what, where=path, fix="download or copy it again") from error


def _refused(path: Path, message: str) -> ConfigError | UnreadableFileError:
    named = _NAMED.search(message)
    if named is None:
        what = f"cannot be read as a PyTorch file ({_first_line(message)})"
        return UnreadableFileError(what, where=path, fix="download or copy it again")
    name = named.group(1)
    if _PARTS_OF_MODELS.search(name):
        what = f"is a whole pickled model ({name}), which would run code when it is read"
    else:
        what = f"asks for code to be run ({name}) and was not read"
    fix = "where you trust it, load it there and save its state_dict() as .safetensors"
    return ConfigError(what, where=path, fix=fix)


def _is_program(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False  # whoever reads it says so
    return any(name.partition("/")[2] == "constants.pkl" for name in names)


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
