"""Commands of the visual Turing test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalemai.cli.annotate import needing_serve, serve
from scalemai.cli.arguments import Layout, Out, Seed, Settings, Workers
from scalemai.cli.reading import reader_study

if TYPE_CHECKING:
    from scalemai.annotation.turing.candidates import Candidate, Kind
    from scalemai.annotation.turing.matching import Matching
    from scalemai.case import Case

__all__ = ["turing_app"]

turing_app = typer.Typer(
    help="A visual Turing test: can readers tell real lesions from synthetic ones?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StudyFolder = Annotated[Path, typer.Argument(help="Folder of a study.")]
_MEMORY_PER_WORKER_BYTES = 2 << 30


@turing_app.command()
def build(
    real: Annotated[Path, typer.Argument(help="Data set with real lesions.")],
    synthetic: Annotated[Path, typer.Argument(help="Data set with synthetic lesions.")],
    out: Out,
    key: Annotated[
        Path, typer.Option(help="File for the key, outside of OUT.", show_default=False)
    ],
    task: Annotated[
        str, typer.Option(help="single: real or synthetic. 2afc: which of two is real.")
    ] = "single",
    pairs: Annotated[
        int | None, typer.Option(min=2, help="Most pairs, evenly from the organs; by default all.")
    ] = None,
    settings: Settings = None,
    seed: Seed = 0,
    workers: Workers = None,
    layout: Layout = None,
) -> None:
    """Match real with synthetic lesions, write both in one way, and seal which is which."""
    with needing_serve():
        from scalemai.annotation.turing.building import build_study, check_places
    from scalemai.annotation.turing.design import TuringDesign
    from scalemai.annotation.turing.matching import match
    from scalemai.cli.options import open_dataset
    from scalemai.config import from_plain, with_settings

    plain = {"task": task, "seed": seed, "pairs": pairs}
    plain = with_settings(plain, settings or [], example="crop_mm=64")
    design = from_plain(TuringDesign, plain, where="design")
    check_places(out, key)
    cases: dict[tuple[Kind, str], Case] = {}
    cases |= {("real", one.id): one for one in open_dataset(real, layout=layout)}
    cases |= {("synthetic", one.id): one for one in open_dataset(synthetic, layout=layout)}
    candidates, code = _look(cases, workers)
    matching = match(candidates, design)
    _say(matching)
    built = build_study(matching, cases, out, key, design)
    typer.echo(f"sealed: sha256 of study.json is {built.digest}", err=True)
    typer.echo(f"the key is {key}: keep it from readers and from the server", err=True)
    typer.echo(out)
    raise typer.Exit(code)


@turing_app.command("open")
def open_room(
    study: StudyFolder,
    reader: Annotated[str, typer.Option(help="Who comes in by the link.")] = "reader",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8651,
    certificate: Annotated[Path | None, typer.Option(help="Certificate (PEM) for https.")] = None,
    certificate_key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
) -> None:
    """Serve a study on this machine; readers go on where they were."""
    with needing_serve():
        from scalemai.annotation.server.running import Address
        from scalemai.annotation.server.turing import make_turing_app
    from scalemai.annotation.turing.studies import open_study

    opened = open_study(study)
    address = Address(host=host, port=port, certificate=certificate, key=certificate_key)
    serve(opened.review, address, reader, browser, make_turing_app)


@turing_app.command("reader")
def add_account(
    study: StudyFolder,
    name: Annotated[str, typer.Argument(help="Name of the reader.")],
    experience_years: Annotated[
        float | None, typer.Option(min=0, help="Years of reading CT.")
    ] = None,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password; by link only otherwise.")
    ] = False,
) -> None:
    """Make an account, so that several can read at a time."""
    with needing_serve():
        from scalemai.annotation.database.opening import writing
        from scalemai.annotation.readers import add_reader
    from scalemai.annotation.turing.studies import open_study

    engine = open_study(study).review.open()
    secret = (
        typer.prompt("Password", hide_input=True, confirmation_prompt=True) if password else None
    )
    with writing(engine) as connection:
        add_reader(connection, name, password=secret, experience_years=experience_years)
    engine.dispose()
    typer.echo(f"{name} is a reader now", err=True)


@turing_app.command()
def analyse(
    study: StudyFolder,
    out: Out,
    key: Annotated[Path, typer.Option(help="File of the key.", show_default=False)],
    margin: Annotated[
        float, typer.Option(help="Distance of balanced accuracy from 0.5 that does not matter.")
    ] = 0.1,
    level: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Also if trials are unanswered.")
    ] = False,
) -> None:
    """Open the key and analyse; the study takes no more answers from then on."""
    with needing_serve():
        from scalemai.annotation.turing.analysing import analyse_answers, write_analysis
    from scalemai.annotation.turing.studies import digest_of, open_study
    from scalemai.cli.report import remark

    opened = open_study(study)
    engine = opened.review.open()
    found = analyse_answers(opened, engine, key, margin=margin, level=level, incomplete=incomplete)
    engine.dispose()
    typer.echo(f"sealed: sha256 of study.json is {digest_of(opened.folder)}", err=True)
    remark(found.result.reads.notes)
    page = write_analysis(found, out)
    for one in found.result.readers:
        d_prime = f", d' {one.figures['d_prime']}" if not found.forced_choice else ""
        accuracy = one.figures["balanced_accuracy"]
        typer.echo(f"{one.reader}: balanced accuracy {accuracy}{d_prime}; {one.conclusion}")
    for picked in found.forced_choice:
        typer.echo(f"{picked.reader}: correct {picked.correct}, d' of two {picked.d_prime}")
    typer.echo(page)


@turing_app.command()
def plan(
    design: Annotated[
        str, typer.Argument(metavar="READERSxCASES", help="Designs to try, e.g. 3x100,200,240.")
    ],
    out: Out,
    margin: Annotated[
        float, typer.Option(help="Distance of balanced accuracy from 0.5 that does not matter.")
    ] = 0.1,
    level: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    d_prime: Annotated[float, typer.Option(help="Presumed d' of readers.")] = 0.0,
    criterion: Annotated[float, typer.Option(help="Presumed criterion.")] = 0.0,
    reader_sd: Annotated[
        float, typer.Option(help="Spread of d' and criterion between readers.")
    ] = 0.0,
    case_sd: Annotated[float, typer.Option(help="Spread of cases that readers share.")] = 0.0,
    seed: Seed = 0,
) -> None:
    """How many readers and cases a study needs: the power to show that they cannot tell."""
    reader_study(out, None, margin, level, design, d_prime, criterion, reader_sd, case_sd, seed)


def _look(cases: dict[tuple[Kind, str], Case], workers: int | None) -> tuple[list[Candidate], int]:
    """The lesions of all cases; cases that cannot be read are listed, and left out."""
    from scalemai.annotation.turing.candidates import lesions_of
    from scalemai.cli.report import follow
    from scalemai.engine import default_workers
    from scalemai.engine import map as map_cases

    found: list[Candidate] = []

    def keep(lesions: Sequence[Candidate]) -> Sequence[str]:
        found.extend(lesions)
        return [] if lesions else ["has no lesion"]

    number = workers or default_workers(memory_per_worker_bytes=_MEMORY_PER_WORKER_BYTES)
    items = [(case, kind) for (kind, _), case in sorted(cases.items(), key=lambda one: one[0])]
    run = map_cases(lesions_of, items, workers=min(number, len(items)), key=_name)
    return found, follow(run, "looked at", notes=keep)


def _name(item: tuple[Case, str]) -> str:
    return f"{item[1]} {item[0].id}"


def _say(matching: Matching) -> None:
    """How many pairs of which organ, and why lesions are left out: never which."""
    from collections import Counter

    of = Counter(pair.real.structure for pair in matching.pairs)
    each = ", ".join(f"{name} {count}" for name, count in sorted(of.items()))
    typer.echo(f"{len(matching.pairs)} pairs: {each}", err=True)
    ratio = matching.size_ratio
    typer.echo(f"synthetic lesions are {ratio:.3f} times as large as real ones", err=True)
    blind = [name for name in ("phase", "scanner") if _unknown(matching, name)]
    if blind:
        line = f"note: {' and '.join(blind)} of some pairs are not known, and so not matched"
        typer.echo(line, err=True)
    why = Counter((one.candidate.kind, one.reason) for one in matching.unmatched)
    for (kind, reason), count in sorted(why.items()):
        typer.echo(f"{count} {kind} left out: {reason}", err=True)


def _unknown(matching: Matching, name: str) -> bool:
    return any(
        getattr(one, name) is None for pair in matching.pairs for one in (pair.real, pair.synthetic)
    )
