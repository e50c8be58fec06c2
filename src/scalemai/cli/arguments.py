"""Options that several commands share, so that they are spelled and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "ClassMap",
    "HuOffset",
    "Labels",
    "Layout",
    "Out",
    "Seed",
    "Series",
    "Shard",
    "Workers",
]

Out = Annotated[Path, typer.Option(help="Folder to write to.", show_default=False)]
Seed = Annotated[int, typer.Option(min=0, help="Seed: the same seed gives the same files.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes; by default what cores and memory allow.")
]
Shard = Annotated[
    str, typer.Option(metavar="I/N", help="Do part I of N, from 0, for example in a SLURM array.")
]
Labels = Annotated[
    Path | None, typer.Option(help="Label map, folder of masks, or mask named after its structure.")
]
ClassMap = Annotated[str | None, typer.Option(help="Class map of the label map, e.g. pants.")]
Layout = Annotated[str | None, typer.Option(help="Layout of the data set, if not recognised.")]
Series = Annotated[str | None, typer.Option(help="SeriesInstanceUID, or its unique start.")]
HuOffset = Annotated[float, typer.Option(help="Added to every voxel on reading, e.g. -1024.")]
