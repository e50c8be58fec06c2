"""A detector that was trained on: how it is trained, and what is said of it afterwards.

::

    OUT/detector/             the detector, its card says what it was before
        comparison.json       rounds, and before and after in numbers
        comparison.html       the same to look at
        round-01/ ...         checkpoints and logs
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalemai.detector.files import Detector, write_detector
from scalemai.detector.network import build_network
from scalemai.errors import ConfigError
from scalemai.evaluation.report import (
    Block,
    Cell,
    Note,
    Page,
    Provenance,
    Section,
    TableBlock,
    write_page,
)
from scalemai.io.atomic import atomic_path
from scalemai.statistics.estimate import Estimate
from scalemai.training.comparing import Comparison, before_and_after
from scalemai.training.config import TrainingConfig
from scalemai.training.config_file import read_config
from scalemai.training.material import Material
from scalemai.training.rounds import FineTuned, Weights
from scalemai.training.train import DETECTOR

__all__ = ["PAGE", "TABLE", "Tuned", "detector_of", "fine_tuning_config", "write_tuned"]

PAGE, TABLE = "comparison.html", "comparison.json"

_STEPS_SHARE = 4
_SLOWER = 10.0
_HELD_OUT = 0.3


@dataclass(frozen=True, eq=False)
class Tuned:
    """A detector that was trained on.

    Parameters
    ----------
    detector
        The detector; its weights are the old ones if no round was better within the margin.
    rounds
        What happened.
    comparison
        Before and after in whole held-out scans.
    rows
        Its numbers, see :meth:`~scalemai.training.comparing.Comparison.rows`.
    notes
        What could not be looked at, and what was decided, in words.
    """

    detector: Detector
    rounds: FineTuned
    comparison: Comparison
    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]


def fine_tuning_config(detector: Detector, settings: Iterable[str] = ()) -> TrainingConfig:
    """How a detector is trained on: as it was trained, a quarter as long and ten times slower.

    These factors are the author's estimates, to be refined. The seed stays, so that the cases
    that were held out from the training are so again.

    Parameters
    ----------
    detector
        The detector; where it does not say how it was trained, the preset ``cpu-small`` does.
    settings
        Texts ``a.b=c`` that have the last word. What is looked for and how cannot be changed.

    Raises
    ------
    ConfigError
        If a setting is impossible or is of the detector.
    """
    said = list(settings)
    for text in said:
        if text.strip().startswith("detector"):
            fix = "train another one with scalemai transfer"
            raise ConfigError(f"{text!r} would make another detector", where="--set", fix=fix)
    told: Mapping[str, Any] = copy.deepcopy(detector.origin.get("config") or {})
    given = {**told, "detector": detector.spec.to_dict()}
    base = read_config("cpu-small", given=given)
    given["steps"] = max(base.steps // _STEPS_SHARE, 1)
    given["optimiser.learning_rate"] = base.optimiser.learning_rate / _SLOWER
    if not base.validation.looks:
        given |= {"validation.every": 1, "validation.share": _HELD_OUT}
    given["validation.choose"] = "last"
    config = read_config("cpu-small", said, given=given)
    if not config.validation.looks:
        fix = "give validation.share and validation.every above 0"
        what = "nothing would be held out, so that nobody could tell what was gained"
        raise ConfigError(what, where="validation", fix=fix)
    return config


def detector_of(config: TrainingConfig, weights: Weights) -> Detector:
    """A bare detector of some weights."""
    network = build_network(config.detector)
    network.load_state_dict(weights)
    return Detector(config.detector, network.eval())


def write_tuned(
    old: Detector,
    config: TrainingConfig,
    material: Material,
    rounds: FineTuned,
    comparison: Comparison,
    out: Path,
    *,
    title: str,
    story: Mapping[str, Any],
    notes: Sequence[str],
) -> Tuned:
    """Write the detector with its story, the comparison and the page.

    Parameters
    ----------
    old
        The detector as it was.
    config, material, rounds, comparison
        How and with what it was trained, and what came of it.
    out
        Folder to write to.
    title
        Of the page and of the section of the card.
    story
        What was done, in plain types, for the origin of the detector.
    notes
        What the user should know.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    said = (*notes, _verdict(rounds))
    rows = comparison.rows(seed=config.seed)
    own = {
        **story,
        "config": config.to_dict(),
        "data": {"sha256": material.digest, "hashes": dict(material.hashes)},
        "kept_round": rounds.kept,
        "parent": dict(old.origin),
    }
    bare = detector_of(config, rounds.weights)
    card = old.card + _card(title, rows, said)
    detector = Detector(config.detector, bare.network, own, card)
    page = Page(
        title,
        f"{comparison.lesions.height:,} lesions in {comparison.scans.height:,} scans",
        [
            Section("Before and after", [before_and_after(rows, comparison.threshold)]),
            Section("Rounds", [*_notes(said), _rounds(rounds)]),
            Section("Provenance", [Provenance(material.hashes, {**story, **config.to_dict()})]),
        ],
    )
    with atomic_path(Path(out) / TABLE) as partial:
        plain = {
            **story,
            **rounds.to_dict(),
            "notes": list(said),
            "before_and_after": [_plain(row) for row in rows],
        }
        partial.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    write_page(page, Path(out) / PAGE)
    write_detector(detector, Path(out) / DETECTOR)
    return Tuned(detector, rounds, comparison, tuple(rows), said)


def _verdict(rounds: FineTuned) -> str:
    done = len(rounds.scores) - 1
    if rounds.kept == 0:
        return f"none of {done} rounds was better within the margin: the weights are the old ones"
    if rounds.stopped:
        return f"round {done} lost more than the margin: the weights are those of {rounds.kept}"
    return f"the weights are those of round {rounds.kept} of {done}"


def _notes(notes: Sequence[str]) -> list[Block]:
    return [Note(f"{text[0].upper()}{text[1:]}.") for text in notes]


def _rounds(rounds: FineTuned) -> TableBlock:
    names = list(rounds.scores[0])
    columns = [f"{what}, {name}" for name in names for what in ("loss", "Dice", "sensitivity")]
    rows: list[list[Cell]] = []
    for number, scores in enumerate(rounds.scores):
        cells: list[Cell] = [f"{number}, kept" if number == rounds.kept else str(number)]
        for name in names:
            cells += [scores[name].loss, scores[name].dice, scores[name].sensitivity]
        rows.append(cells)
    caption = "Patches of held-out hosts with synthetic lesions of fixed seeds; 0 is as it was."
    return TableBlock(["round", *columns], rows, caption)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: cell.as_dict() if isinstance(cell, Estimate) else cell for name, cell in row.items()
    }


def _card(title: str, rows: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> str:
    lines = [
        f"| {row['group']}: {row['what']} | {row['n']} | {row['before']} | {row['after']} | "
        f"{row['change']} |"
        for row in rows
    ]
    remarks = "".join(f"- {text[0].upper()}{text[1:]}.\n" for text in notes)
    return (
        f"\n## {title}\n\nWhat is said above is of the detector before. Calibrations and operating "
        f"points of it do not hold for this one.\n\n{remarks}\n"
        "Synthetic lesions of fixed seeds in whole held-out hosts:\n\n"
        "| what | n | before | after | change |\n|---|---|---|---|---|\n" + "\n".join(lines) + "\n"
    )
