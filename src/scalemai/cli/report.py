"""What a run shows while it works and when it is over."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import typer

from scalemai.cli.wording import in_options
from scalemai.engine import Outcome, Progress, Run
from scalemai.engine.outcome import Value

__all__ = ["each", "failure", "follow", "remark"]

Item = TypeVar("Item")

_LINE_EVERY_S = 30.0  # for logs that are no terminal
_MOST_REMARKS = 10


def remark(notes: Sequence[str]) -> None:
    """Show remarks that are no errors, to standard error: the first ones and how many follow."""
    for note in notes[:_MOST_REMARKS]:
        typer.echo(f"note: {in_options(note)}", err=True)
    if len(notes) > _MOST_REMARKS:
        typer.echo(f"note: and {len(notes) - _MOST_REMARKS:,} more like these", err=True)


def each(items: Sequence[Item], verb: str, unit: str) -> Iterator[Item]:
    """Go through a few long steps, and say after each how many are done and what is left."""
    start = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        left = (time.monotonic() - start) / done * (len(items) - done)
        line = f"{verb} {done} / {len(items)} {unit}"
        typer.echo(f"{line} · {_duration(left)} left" if done < len(items) else line, err=True)


def follow(
    run: Run[Value], verb: str, *, notes: Callable[[Value], Sequence[str]] | None = None
) -> int:
    """Draw the progress of a run to standard error; list remarks and failures at the end.

    Parameters
    ----------
    run
        The run; its work is done here.
    verb
        What is done to a case, in the past tense.
    notes
        Says what is to be remarked of the result of one case.

    Returns
    -------
    int
        Exit code: 0 if every case is done, 1 if some failed.
    """
    progress = Progress(run.total, resumed=run.resumed)
    failures: list[Outcome[Value]] = []
    remarks: list[str] = []
    lively = sys.stderr.isatty()
    shown = time.monotonic()
    if run.resumed:
        typer.echo(f"{run.resumed:,} of {run.total:,} cases were done before", err=True)
    with run:
        for outcome in run:
            progress.add(outcome)
            if outcome.status != "done":
                failures.append(outcome)
            elif notes is not None and outcome.value is not None:
                remarks += [f"{outcome.key}: {note}" for note in notes(outcome.value)]
            now = time.monotonic()
            if lively:
                typer.echo(f"\r\x1b[2K{_line(progress, verb)}", err=True, nl=False)
            elif now - shown >= _LINE_EVERY_S and progress.remaining:
                typer.echo(_line(progress, verb), err=True)
                shown = now
    if lively:
        typer.echo("\r\x1b[2K", err=True, nl=False)
    typer.echo(_line(progress, verb), err=True)
    remark(sorted(remarks))
    for outcome in sorted(failures, key=lambda one: one.key):
        typer.echo(failure(outcome.key, outcome.error or "no message", outcome.status), err=True)
    return 1 if failures else 0


def failure(case_id: str, message: str, status: str = "failed") -> str:
    """The line that says why a case could not be worked on."""
    text = in_options(" ".join(message.split()))
    return f"{status}: {text if text.startswith(f'{case_id}: ') else f'{case_id}: {text}'}"


def _line(progress: Progress, verb: str) -> str:
    parts = [f"{verb} {progress.done:,} / {progress.total:,} cases"]
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if progress.rate_per_s:
        rate = progress.rate_per_s
        parts.append(f"{rate:.1f} cases/s" if rate >= 1 else f"{1 / rate:.1f} s per case")
    if progress.eta_s:
        parts.append(f"{_duration(progress.eta_s)} left")
    return " · ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
