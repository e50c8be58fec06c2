"""The command that draws the gallery."""

from __future__ import annotations

from typing import Annotated

import typer

from scalemai.cli.arguments import Out, Seed

__all__ = ["gallery"]


def gallery(
    out: Out,
    organ: Annotated[str | None, typer.Option(help="Organs, comma-separated; all twelve.")] = None,
    seed: Seed = 0,
) -> None:
    """Draw what can be grown: a sheet per organ with every lesion kind at three sizes."""
    from scalemai.anatomy import organ as facts_of
    from scalemai.cli.report import each
    from scalemai.errors import ConfigError
    from scalemai.gallery import SIZES_MM, gallery_host, gallery_sheet, write_sheet

    names = tuple(SIZES_MM)
    if organ is not None:
        names = tuple(facts_of(name.strip()).name for name in organ.split(",") if name.strip())
        for name in names:
            if name not in SIZES_MM:
                fix = f"use some of {', '.join(SIZES_MM)}"
                raise ConfigError(f"{name} is not in the gallery", where="--organ", fix=fix)
    typer.echo("scanning a phantom from the chest to the pelvis takes some minutes", err=True)
    host = gallery_host(seed)
    for name in each(names, "drawn", "organs"):
        sheet = gallery_sheet(host, name, seed=seed)
        if sheet is not None:
            write_sheet(out / f"{name}.jpg", sheet)
    typer.echo(out)
