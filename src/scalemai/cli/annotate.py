"""Commands of the reading room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from scalemai.cli.arguments import (
    ClassMap,
    HuOffset,
    Labels,
    Layout,
    Seed,
    Series,
    Settings,
    Workers,
)
from scalemai.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from scalemai.annotation.protocol import Protocol
    from scalemai.annotation.reviews import Review

__all__ = ["annotate_app", "needing_serve", "serve"]


class _OpenByDefault(TyperGroup):
    """``scalemai annotate PATH`` means ``scalemai annotate open PATH``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["open", *args]
        return super().parse_args(ctx, args)


annotate_app = typer.Typer(
    cls=_OpenByDefault,
    help="Review findings in a browser: accept, reject, edit, add; all on record.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ReviewFolder = Annotated[Path, typer.Argument(help="Folder of a review.")]
_MEMORY_PER_WORKER_BYTES = 2 << 30


@contextmanager
def needing_serve() -> Iterator[None]:
    """Import the reading room within this: what is absent is one line that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        fix = "pip install 'scalemai[serve]'"
        raise MissingExtraError(f"the reading room needs {error.name}", fix=fix) from error


@annotate_app.command("open")
def open_room(
    source: Annotated[Path, typer.Argument(help="Data set, or the folder of a review.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the new review.", show_default=False)
    ] = None,
    findings: Annotated[
        Path | None,
        typer.Option(help="Predictions to be reviewed; the data set's own lesions otherwise."),
    ] = None,
    protocol: Annotated[Path | None, typer.Option(help="Protocol of the review (TOML).")] = None,
    settings: Settings = None,
    seed: Seed = 0,
    database: Annotated[
        str | None, typer.Option(help="postgresql://USER:PASSWORD@HOST/NAME; a file otherwise.")
    ] = None,
    reader: Annotated[str, typer.Option(help="Who comes in by the link.")] = "reader",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8650,
    certificate: Annotated[Path | None, typer.Option(help="Certificate (PEM) for https.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    only_make: Annotated[
        bool, typer.Option("--only-make", help="Make the review and stop.")
    ] = False,
    workers: Workers = None,
    labels: Labels = None,
    class_map: ClassMap = None,
    layout: Layout = None,
    series: Series = None,
    hu_offset: HuOffset = 0.0,
) -> None:
    """Make a review of a data set if there is none yet, and serve it on this machine."""
    with needing_serve():
        from scalemai.annotation.reviews import REVIEW_FILE, open_review
        from scalemai.annotation.server.running import Address
    address = Address(host=host, port=port, certificate=certificate, key=key)
    code = 0
    folder = out if out is not None else source
    if (folder / REVIEW_FILE).is_file():
        if out is not None or findings is not None or protocol is not None or settings:
            fix = "open it by its folder alone, or choose another --out"
            raise ConfigError("there is a review already", where=folder, fix=fix)
        review = open_review(folder)
    else:
        if out is None:
            fix = "give --out FOLDER for the new review"
            raise ConfigError("is no review", where=source, fix=fix)
        from scalemai.cli.options import open_dataset

        dataset = open_dataset(
            source,
            layout=layout,
            labels=labels,
            class_map=class_map,
            series=series,
            hu_offset=hu_offset,
        )
        rules = _protocol(protocol, settings or [], seed)
        review, code = _make(list(dataset), source, out, findings, rules, database, workers)
    if not only_make:
        serve(review, address, reader, browser)
    raise typer.Exit(code)


@annotate_app.command("reader")
def add_account(
    review: ReviewFolder,
    name: Annotated[str, typer.Argument(help="Name of the reader.")],
    role: Annotated[
        str, typer.Option(help="reader, second_reader, adjudicator or manager.")
    ] = "reader",
    experience_years: Annotated[
        float | None, typer.Option(min=0, help="Years of reading CT.")
    ] = None,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password; by link only otherwise.")
    ] = False,
) -> None:
    """Make an account, so that somebody else can read."""
    with needing_serve():
        from scalemai.annotation.database.opening import writing
        from scalemai.annotation.readers import add_reader
        from scalemai.annotation.reviews import open_review
        from scalemai.annotation.words import Role
    from scalemai.errors import UnknownNameError

    if role not in list(Role):
        raise UnknownNameError("--role", role, list(Role))
    engine = open_review(review).open()
    secret = (
        typer.prompt("Password", hide_input=True, confirmation_prompt=True) if password else None
    )
    with writing(engine) as connection:
        add_reader(connection, name, Role(role), password=secret, experience_years=experience_years)
    typer.echo(f"{name} is {role.replace('_', ' ')} now", err=True)


@annotate_app.command()
def verify(review: ReviewFolder) -> None:
    """Check that the ledger is whole, and that masks and decisions follow from it."""
    with needing_serve():
        from scalemai.annotation.ledger import verify as first_break
        from scalemai.annotation.replay import differences
        from scalemai.annotation.reviews import open_review
    engine = open_review(review).open()
    broken = first_break(engine)
    if broken is not None:
        typer.echo(f"event {broken} does not follow from those before it", err=True)
        raise typer.Exit(1)
    found = differences(engine)
    for one in found:
        typer.echo(str(one), err=True)
    if found:
        raise typer.Exit(1)
    typer.echo("the ledger is whole, and all masks and decisions follow from it", err=True)


def _protocol(path: Path | None, settings: list[str], seed: int) -> Protocol:
    from scalemai.annotation.protocol import Protocol
    from scalemai.config import from_plain, read_toml, with_settings

    plain = {} if path is None else read_toml(path)
    plain = with_settings({"seed": seed, **plain}, settings, example="second_share=0.1")
    return from_plain(Protocol, plain, where="protocol" if path is None else path.name)


def _make(
    cases: list[Any],
    source: Path,
    out: Path,
    findings: Path | None,
    protocol: Protocol,
    database: str | None,
    workers: int | None,
) -> tuple[Review, int]:
    from scalemai.annotation.creating import fill, import_cases, open_import
    from scalemai.cli.report import follow
    from scalemai.engine import default_workers

    number = workers or default_workers(memory_per_worker_bytes=_MEMORY_PER_WORKER_BYTES)
    with open_import(out, source, findings, protocol) as ledger:
        run = import_cases(
            cases,
            out,
            ledger=ledger,
            predictions=findings,
            seed=protocol.seed,
            workers=min(number, len(cases)),
        )
        code = follow(run, "imported")
        review = fill(cases, out, protocol, dataset=source, predictions=findings, database=database)
    return review, code


def serve(
    review: Review, address: Any, name: str, browser: bool, make: Callable[..., Any] | None = None
) -> None:
    """Serve until Ctrl-C. The link lets one in, once. ``make`` makes another application."""
    import webbrowser

    from scalemai.annotation.database.opening import writing
    from scalemai.annotation.readers import add_reader, find_reader, make_link
    from scalemai.annotation.server.running import bind, make_server
    from scalemai.annotation.server.state import now_ms
    from scalemai.annotation.words import Role

    engine = review.open()
    with writing(engine) as connection:
        try:
            account = find_reader(connection, name)
        except ConfigError:
            account = add_reader(connection, name, Role.ADJUDICATOR)
        secret = make_link(connection, account, now_ms=now_ms())
    listening = bind(address)
    how = {} if make is None else {"make": make}
    server, _, url = make_server(review, engine, address, listening, **how)
    link = f"{url}/enter?token={secret}"
    typer.echo(f"{name} comes in here, once, within the hour:\n{link}", err=True)
    typer.echo("Ctrl-C stops the server; everything acknowledged is on disk", err=True)
    if browser:
        webbrowser.open(link)
    server.run(sockets=[listening])
    engine.dispose()
