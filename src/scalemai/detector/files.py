"""A detector on disk: a folder with its spec, its weights and its card.

::

    DETECTOR/detector.json        spec, where it comes from, hash of the weights
             weights.safetensors  numbers only: loading runs no code
             card.md              data, licence, seeds, what it was measured on
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from scalemai._version import __version__
from scalemai.detector.network import build_network
from scalemai.detector.spec import FORMAT, DetectorSpec
from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.io.atomic import atomic_folder

__all__ = ["Detector", "read_detector", "weights_digest", "write_detector"]

_SPEC, _WEIGHTS, _CARD = "detector.json", "weights.safetensors", "card.md"


@dataclass(frozen=True, eq=False)
class Detector:
    """A trained network with all that is needed to use it.

    Parameters
    ----------
    spec
        What it looks for and how.
    network
        The network with its weights, in evaluation mode.
    origin
        Where it comes from, in plain types: data and their hashes, seeds, steps, parent.
    card
        The model card, Markdown.
    """

    spec: DetectorSpec
    network: nn.Module
    origin: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""


def write_detector(detector: Detector, folder: Path) -> str:
    """Write a detector, whole or not at all; an existing one is replaced.

    Returns
    -------
    str
        SHA-256 of the weights, which names the detector in everything that it predicts.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    weights = _packed(detector)
    digest = hashlib.sha256(weights).hexdigest()
    plain = {
        "format": FORMAT,
        "version": __version__,
        "spec": detector.spec.to_dict(),
        "weights_sha256": digest,
        "origin": dict(detector.origin),
    }
    with atomic_folder(folder) as temporary:
        (temporary / _WEIGHTS).write_bytes(weights)
        text = json.dumps(plain, indent=1, allow_nan=False)
        (temporary / _SPEC).write_text(text + "\n", encoding="utf-8")
        (temporary / _CARD).write_text(detector.card, encoding="utf-8")
    return digest


def weights_digest(detector: Detector) -> str:
    """SHA-256 of the weights, as :func:`write_detector` returns it."""
    return hashlib.sha256(_packed(detector)).hexdigest()


def read_detector(folder: Path) -> Detector:
    """Read a detector that :func:`write_detector` wrote.

    Raises
    ------
    UnreadableFileError
        If a file is missing or damaged, or the weights are not those that were written.
    ConfigError
        If it is of another format, or its weights do not fit its network.
    """
    path = folder / _SPEC
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        weights = (folder / _WEIGHTS).read_bytes()
        card = (folder / _CARD).read_text(encoding="utf-8")
    except (OSError, ValueError, RecursionError) as error:
        what = f"cannot be read as a detector ({error})"
        fix = "give the folder that scalemai train wrote"
        raise UnreadableFileError(what, where=folder, fix=fix) from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        found = plain.get("format") if isinstance(plain, dict) else None
        what = f"is of the format {found!r}, not {FORMAT!r}"
        raise ConfigError(what, where=path, fix="train it again with this version")
    if hashlib.sha256(weights).hexdigest() != plain.get("weights_sha256"):
        what = f"the weights are not those that {_SPEC} was written with"
        raise UnreadableFileError(what, where=folder / _WEIGHTS, fix="copy the whole folder again")
    spec = DetectorSpec.from_dict(plain.get("spec", {}))
    network = build_network(spec)
    try:
        network.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        what = f"the weights do not fit the network ({str(error).splitlines()[0]})"
        raise ConfigError(
            what, where=folder / _WEIGHTS, fix="copy the whole folder again"
        ) from error
    return Detector(spec, network.eval(), plain.get("origin", {}), card)


def _packed(detector: Detector) -> bytes:
    state = detector.network.state_dict()
    # Some networks have one tensor under several names, which the format wants to be copies.
    packed: bytes = save(
        {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    )
    return packed
