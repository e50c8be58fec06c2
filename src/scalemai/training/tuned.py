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
from scalemai.training.comparing import ALL, Comparison, Pair, before_and_after
from scalemai.training.compute import threads_of
from scalemai.training.config import TrainingConfig
from scalemai.training.config_file import read_config
from scalemai.training.dividing import Divided
from scalemai.training.rounds import FineTuned, Guard, detector_of
from scalemai.training.train import DETECTOR
from scalemai.training.watching import Scans, see

__all__ = ["PAGE", "TABLE", "Tuned", "fine_tuning_config", "tested", "write_tuned"]

PAGE, TABLE = "comparison.html", "comparison.json"

_STEPS_SHARE = 4
_SLOWER = 10.0
_HELD_OUT = 0.4


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
        Before and after in whole scans that neither training nor choice used.
    rows
        Its numbers, see :meth:`~scalemai.training.comparing.Comparison.rows`.
    notes
        What was decided, what was gained and lost, and what could not be looked at, in words.
    """

    detector: Detector
    rounds: FineTuned
    comparison: Comparison
    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]


def fine_tuning_config(detector: Detector, settings: Iterable[str] = ()) -> TrainingConfig:
    """How a detector is trained on: as it was trained, a quarter as long and ten times slower.

    These factors are the author's estimates, to be refined. The seed stays, so that the cases
    that were held out from the training are so again; there are more of them, at least two in
    five, since there is something to choose and something to test.

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
    given["validation.share"] = max(base.validation.share, _HELD_OUT)
    given["validation.every"] = base.validation.every or 1
    given["validation.choose"] = "last"
    config = read_config("cpu-small", said, given=given)
    if not config.validation.looks:
        fix = "give validation.share and validation.every above 0"
        what = "nothing would be held out, so that nobody could tell what was gained"
        raise ConfigError(what, where="validation", fix=fix)
    return config


def tested(
    old: Detector,
    rounds: FineTuned,
    scans: Mapping[str, Scans],
    config: TrainingConfig,
    rate: float,
) -> Comparison:
    """Before and after in scans that nothing was chosen with.

    Parameters
    ----------
    old
        The detector as it was.
    rounds
        What came of it.
    scans
        By name of their group.
    config
        Of the training.
    rate
        False candidates per scan at which both are read.
    """
    threads = threads_of(config.compute)
    new = detector_of(config, rounds.weights)
    pairs = {}
    for name, some in scans.items():
        before = see(old, some, threads=threads)
        pairs[name] = Pair(before, see(new, some, threads=threads) if rounds.kept else before)
    return Comparison(pairs, rate)


def write_tuned(
    old: Detector,
    config: TrainingConfig,
    data: Divided,
    rounds: FineTuned,
    comparison: Comparison,
    out: Path,
    *,
    wanted: str,
    guarded: str | None,
    guard: Guard,
    title: str,
    story: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> Tuned:
    """Write the detector with its story, the comparison and the page.

    Parameters
    ----------
    old
        The detector as it was.
    config, data, rounds, comparison
        How and with what it was trained, and what came of it.
    out
        Folder to write to.
    wanted, guarded
        Groups of the comparison in which more was to be found, and in which not less.
    guard
        What was a gain, and when rounds ended.
    title
        Of the page and of the section of the card.
    story
        What was done, in plain types, for the origin of the detector.
    notes
        What else the user should know.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    rows = comparison.rows(seed=config.seed)
    said = (*_verdict(rounds, rows, wanted, guarded, guard), *notes)
    hashes = {**data.choice.hashes, **data.test.hashes}
    told = {**story, "guard": guard.to_dict()}
    own = {
        **told,
        "config": config.to_dict(),
        "data": {"sha256": data.choice.digest, "hashes": hashes},
        "kept_round": rounds.kept,
        "parent": dict(old.origin),
    }
    bare = detector_of(config, rounds.weights)
    detector = Detector(config.detector, bare.network, own, old.card + _card(title, rows, said))
    page = Page(
        title,
        f"{comparison.lesions.height:,} lesions in {comparison.scans:,} scans",
        [
            Section("Before and after", [*_notes(said), before_and_after(rows)]),
            Section("Rounds", [_rounds(rounds, guard.rate)]),
            Section("Provenance", [Provenance(hashes, {**told, **config.to_dict()})]),
        ],
    )
    with atomic_path(Path(out) / TABLE) as partial:
        plain = {
            **told,
            **rounds.to_dict(),
            "notes": list(said),
            "before_and_after": [_plain(row) for row in rows],
        }
        partial.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    write_page(page, Path(out) / PAGE)
    write_detector(detector, Path(out) / DETECTOR)
    return Tuned(detector, rounds, comparison, tuple(rows), said)


def _verdict(
    rounds: FineTuned,
    rows: Sequence[Mapping[str, Any]],
    wanted: str,
    guarded: str | None,
    guard: Guard,
) -> tuple[str, ...]:
    """What was decided in the scans to choose with, and what the scans to test with say of it."""
    done = len(rounds.looks) - 1
    why = f"no round of {done} found clearly more of {wanted!r}"
    if guarded is not None:
        why += f" without losing more than {guard.margin:g} of {guarded!r}"
    if rounds.kept == 0:
        return (f"nothing gained: {why}; the detector is the old one, unchanged",)
    first = f"the weights are those of round {rounds.kept} of {done}"
    if rounds.stopped:
        first += f"; round {done} lost more than {guard.margin:g} of {guarded!r}, which ended it"
    whole = {row["group"]: row for row in rows if row["size"] == ALL}
    said = [first, _judged(whole[wanted], wanted, "gain", 1.0)]
    if guarded is not None:
        said.append(_judged(whole[guarded], guarded, "cost", -1.0))
    return tuple(said)


def _judged(row: Mapping[str, Any], group: str, what: str, sense: float) -> str:
    """Whether the interval of a change shows a gain, or a cost."""
    change = row["change"]
    counts = f"{row['gained']} lesions gained, {row['lost']} lost of {row['n']}"
    if change.low is None or change.high is None:
        return f"{group!r}, test: {counts}; a {what} is neither shown nor excluded, {change.reason}"
    near, far = sorted((sense * change.low, sense * change.high))
    ends = f"{change.low:+.3f} to {change.high:+.3f}"
    interval = f"change in sensitivity {change.value:+.3f} ({ends})"
    if near > 0.0:
        return f"{group!r}, test: a {what} is shown: {interval}; {counts}"
    if far < 0.0:
        return f"{group!r}, test: the reverse of a {what} is shown: {interval}; {counts}"
    return f"{group!r}, test: no {what} is shown: {interval}; {counts}"


def _notes(notes: Sequence[str]) -> list[Block]:
    return [Note(f"{text[0].upper()}{text[1:]}.") for text in notes]


def _rounds(rounds: FineTuned, rate: float) -> TableBlock:
    names = list(rounds.looks[0])
    columns = [
        f"{what}, {name}"
        for name in names
        for what in ("sensitivity", "gained", "lost", "mean sensitivity", "false per scan")
    ]
    rows: list[list[Cell]] = []
    for number, looks in enumerate(rounds.looks):
        cells: list[Cell] = [f"{number}, kept" if number == rounds.kept else str(number)]
        for name in names:
            one = looks[name]
            cells += [one.sensitivity, one.gained, one.lost, one.mean_sensitivity, one.false]
        rows.append(cells)
    caption = (
        f"Whole scans that the weights were chosen with; 0 is as it was. Sensitivity is that at "
        f"{rate:g} false candidates per scan; false ones are counted at a probability of 0.5."
    )
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
        "Synthetic lesions of fixed seeds in whole scans that neither the training nor the choice "
        "of weights used:\n\n"
        "| what | n | before | after | change |\n|---|---|---|---|---|\n" + "\n".join(lines) + "\n"
    )
