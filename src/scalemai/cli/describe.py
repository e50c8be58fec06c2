"""``scalemai describe``: what a description of lesions is read as."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["describe"]


def describe(
    text: Annotated[
        str, typer.Argument(help="For example 'two hypodense 8-15 mm masses in the liver'.")
    ],
    organ: Annotated[str | None, typer.Option(help="Organ where the words name none.")] = None,
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", help="Only report words that are not understood.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show how lesions described in words are understood, word by word."""
    from scalemai.cli.report import remark
    from scalemai.synthesis.words.language import describe as say
    from scalemai.synthesis.words.language import parse_description

    told = parse_description(text, default_organ=organ, strict=not ignore_unknown)
    if json:
        from dataclasses import asdict
        from json import dumps

        lesions = [
            {"text": say(spec, count), "count": count, "spec": asdict(spec)}
            for spec, count in zip(told.specs, told.counts, strict=True)
        ]
        reading = {name: list(map(asdict, getattr(told, name))) for name in ("reading", "unknown")}
        typer.echo(dumps({"lesions": lesions, **reading}, indent=1, ensure_ascii=False))
        return
    width = max(len(span.text) for span in told.reading)
    for number, (spec, count) in enumerate(zip(told.specs, told.counts, strict=True)):
        typer.echo(say(spec, count))
        for span in told.reading:
            if span.lesion == number:
                typer.echo(f"  {span.text:{width}}  {_meaning(span.field, span.value)}")
    remark([f"{span.text!r} (character {span.start + 1}) is ignored" for span in told.unknown])


def _meaning(field: str, value: object) -> str:
    return field if value is None else f"{field} = {_plain(value)}"


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, tuple):
        return str(value).lower() if isinstance(value, bool) else str(value)
    ends = list(dict.fromkeys(map(_plain, value)))
    return (" " if isinstance(value[0], str) else " to ").join(ends)
