"""Options that several commands share, so that they are spelled and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "CacheFolder",
    "ClassMap",
    "Classes",
    "HuOffset",
    "Labels",
    "Layout",
    "Organ",
    "Out",
    "Population",
    "Preset",
    "Real",
    "Restart",
    "Rounds",
    "Seed",
    "Series",
    "Settings",
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

# Of the commands that train.
Organ = Annotated[
    str | None, typer.Option(help="Organ whose lesions are looked for, e.g. pancreas.")
]
Classes = Annotated[
    str | None, typer.Option(help="Kinds to tell apart, e.g. pdac,pnet,cyst; one class else.")
]
Real = Annotated[
    int | None, typer.Option(min=0, help="Annotated cases to learn from; by default all.")
]
Population = Annotated[
    Path | None, typer.Option(help="Distribution of new tumors (YAML); 3-40 mm by default.")
]
Preset = Annotated[str, typer.Option(help="cpu-small, gpu-full, or a TOML file of one's own.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="A field, e.g. optimiser.learning_rate=1e-3."),
]
CacheFolder = Annotated[
    Path | None, typer.Option(help="Where prepared cases are kept; OUT/cache by default.")
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Forget the checkpoints in OUT and start anew.")
]
Rounds = Annotated[int, typer.Option(min=1, help="Parts of the training.")]
