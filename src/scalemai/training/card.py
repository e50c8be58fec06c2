"""The card of a detector: what it was made of, what it is for, and what nobody knows about it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from scalemai._version import __version__
from scalemai.synthesis.populations.population import TumorPopulation
from scalemai.synthesis.spec import LesionSpec
from scalemai.training.checkpoint import Record
from scalemai.training.config import TrainingConfig
from scalemai.training.log import advice_on_waiting
from scalemai.training.material import Material
from scalemai.training.scans import ScanScore

__all__ = ["model_card", "origin_of"]

_NO_LICENCE = "not stated: ask whoever trained it, and see the licences of the data"
_PACKAGES = ("monai", "lightning-fabric", "numpy")


def origin_of(
    config: TrainingConfig,
    material: Material,
    last: Record,
    step: int,
    scores: Mapping[str, float],
    scans: ScanScore | None = None,
) -> dict[str, Any]:
    """Where a detector comes from, in plain types.

    Parameters
    ----------
    config, material
        What it was trained with.
    last
        Record of the last checkpoint.
    step
        The step whose weights it has.
    scores
        The last validation, as the log has it.
    scans
        What is found in whole held-out hosts.
    """
    origins = [case.origin for case in material.cases.cases.values()]
    return {
        "config": config.to_dict(),
        "config_sha256": config.digest,
        "data": {
            "sha256": material.digest,
            "cases": len(material.cases),
            "with_lesions": origins.count("real"),
            "held_out": 0 if material.held_out is None else len(material.held_out),
            "left_out": len(material.cases.failures),
            "hashes": dict(material.hashes),
        },
        "lesions": _lesions(material),
        "seed": config.seed,
        "step": step,
        "device": last.device,
        "threads": last.threads,
        "hours": round(last.seconds / 3600.0, 4),
        "loader_share": round(last.waited_s / max(last.seconds, 1e-9), 4),
        "validation": dict(scores),
        "scans": None if scans is None else {**asdict(scans), "text": scans.as_text()},
        "versions": {"scalemai": __version__, **_versions()},
    }


def model_card(config: TrainingConfig, origin: Mapping[str, Any]) -> str:
    """The card, Markdown.

    Parameters
    ----------
    config
        What was trained.
    origin
        From :func:`origin_of`.
    """
    spec, data = config.detector, origin["data"]
    spacing = " x ".join(f"{step:g}" for step in spec.preprocessing.spacing_mm)
    low, high = spec.preprocessing.window_hu
    versions = ", ".join(f"{name} {number}" for name, number in origin["versions"].items())
    settings = json.dumps(origin["config"], indent=1)
    return f"""# Detector of lesions of the {spec.organ}

Looks for: {", ".join(spec.classes)}. Gives a probability for each voxel near the {spec.organ}.

## Intended use

Research. It has not been shown to be of use in any patient, it is no medical device, and its
output is no diagnosis. {_limits(data)}

- Reads CT in Hounsfield units, window {low:g} to {high:g} HU, at {spacing} mm.
- Needs a mask of the {spec.organ}; lesions outside its region are not looked for.
- Probabilities are not calibrated unless a calibration lies beside this card.
- Other organs, phases, scanners, ages and kinds of lesions than those below are untested.

## Data

| | |
|---|---|
| cases learned from | {data["cases"]}, {data["with_lesions"]} of them with lesions of their own |
| cases held out | {data["held_out"]} |
| cases left out, for they could not be prepared | {data["left_out"]} |
| hash of cases, split and lesions | `{data["sha256"]}` |
| new lesions | {origin["lesions"]} |
| licence of the weights | {config.licence or _NO_LICENCE} |

## Validation

{_validation(origin["validation"])}

{_scans(origin["scans"])}

## Training

| | |
|---|---|
| weights of step | {origin["step"]} of {config.steps} |
| seed | {config.seed} |
| device | {origin["device"]}, {config.compute.devices} of them, {origin["threads"]} threads |
| hours | {origin["hours"]:g}, of which {_waiting(origin["loader_share"], config)} |
| hash of the config | `{origin["config_sha256"]}` |
| versions | {versions} |

```json
{settings}
```
"""


def _waiting(share: float, config: TrainingConfig) -> str:
    advice = advice_on_waiting(share, config)
    return f"{share:.0%} waiting for patches" + ("" if advice is None else f" ({advice})")


def _limits(data: Mapping[str, Any]) -> str:
    if data["with_lesions"]:
        return "How it does on other data than these has to be measured there."
    return (
        "It has seen synthetic lesions only: whether it finds real ones has to be measured on "
        "real ones."
    )


def _validation(scores: Mapping[str, float]) -> str:
    if "validation_dice" not in scores:
        return "None was held out."
    return (
        f"Patches of held-out cases, with lesions by the same synthesis as the training's: Dice "
        f"{scores['validation_dice']:.3f}, {scores['validation_sensitivity']:.0%} of the lesions "
        f"touched, {scores['validation_false_per_patch']:.2f} false candidates per patch. This "
        "says that the training worked, and nothing about patients."
    )


def _scans(scans: Mapping[str, Any] | None) -> str:
    if scans is None:
        return "No whole scan was looked at."
    return (
        f"Whole regions of {scans['scans']} held-out hosts, with such lesions and right organ "
        f"masks, at a probability of {scans['threshold']:g}: {scans['text']}."
    )


def _lesions(material: Material) -> str:
    lesions = material.lesions
    if lesions is None:
        return "none"
    if isinstance(lesions, TumorPopulation):
        return f"on the fly, of a population in {len(lesions.groups)} groups"
    counted = Counter(_asked(spec) for spec in lesions)
    said = (f"{n} x {text}" if len(counted) > 1 else text for text, n in counted.items())
    return "on the fly: " + "; ".join(said)


def _asked(spec: LesionSpec) -> str:
    """What a spec says; what it leaves open is drawn as the organ's facts have it."""
    low, high = spec.diameter_mm
    given = ((one.name, getattr(spec, one.name), one.default) for one in fields(spec))
    more = (
        f"{name} {value}"
        for name, value, default in given
        if value != default and name not in ("organ", "diameter_mm")
    )
    return ", ".join([f"{spec.organ}, {low:g}-{high:g} mm", *more])


def _versions() -> dict[str, str]:
    found = {"torch": str(torch.__version__)}  # says the build, too, which its metadata do not
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
