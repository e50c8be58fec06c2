"""``scalemai population``: from tables of real lesions to populations that can be synthesized."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scalemai.synthesis.populations.balance import Balance

__all__ = ["population"]

population = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Distributions of lesions as YAML files."
)

_Table = Annotated[
    Path, typer.Argument(help="CSV, Parquet or XLSX of real lesions: organ, diameter_mm, site, ...")
]
_Out = Annotated[Path, typer.Option(help="YAML file to write.", show_default=False)]
_Organ = Annotated[str | None, typer.Option(help="Organ of all, if no column tells it.")]
_Skip = Annotated[
    bool, typer.Option("--skip-unknown", help="Leave out rows with unknown organ, kind or site.")
]


@population.command()
def fit(
    table: _Table,
    out: _Out,
    organ: _Organ = None,
    alpha: Annotated[
        float, typer.Option(help="Added to the number of lesions of each kind and site.")
    ] = 0.5,
    least: Annotated[
        int, typer.Option(min=1, help="Lesions from which on a kind and site has its own sizes.")
    ] = 20,
    skip_unknown: _Skip = False,
) -> None:
    """Fit a population to a table of real lesions."""
    from scalemai.cli.report import remark
    from scalemai.synthesis.populations.fit import fit_population
    from scalemai.synthesis.populations.population import write_population
    from scalemai.synthesis.populations.table import read_lesions

    lesions = read_lesions(table, default_organ=organ, skip_unknown=skip_unknown)
    fitted = fit_population(lesions, alpha=alpha, least=least)
    remark(lesions.notes)
    about = [
        f"Fitted to {len(lesions):,} lesions of {table.name}, alpha {alpha:g}.",
        *lesions.notes,
    ]
    write_population(fitted, out, about=about)
    typer.echo(out)


@population.command()
def balance(
    table: _Table,
    target: Annotated[
        str,
        typer.Option(
            help="What is wanted: 'uniform over sites', a YAML file, or a description.",
            show_default=False,
        ),
    ],
    out: _Out,
    synthetic: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of lesions to synthesize; as many as are real by default."
        ),
    ] = None,
    organ: _Organ = None,
    skip_unknown: _Skip = False,
) -> None:
    """Find the population to synthesize that brings a data set near a target."""
    from scalemai.cli.report import remark
    from scalemai.synthesis.populations.balance import compensate, read_target
    from scalemai.synthesis.populations.population import write_population
    from scalemai.synthesis.populations.table import read_lesions

    lesions = read_lesions(table, default_organ=organ, skip_unknown=skip_unknown)
    wanted = read_target(target, lesions)
    found = compensate(lesions, wanted, n_synthetic=synthetic or len(lesions))
    remark([*lesions.notes, *found.notes])
    about = [
        f"{found.n_synthetic:,} lesions to add to {len(lesions):,} of {table.name}: {target}.",
        f"{found.distance:.1%} of all will still differ from the target.",
        *lesions.notes,
        *found.notes,
    ]
    write_population(found.population, out, about=about)
    for line in _summary(found):
        typer.echo(line)
    typer.echo(out)


def _summary(found: Balance) -> list[str]:
    """Real, added and reached lesions by organ, site and kind, over all sizes."""
    rows: dict[str, list[float]] = {}
    for cell in found.cells:
        group = cell.group
        name = " ".join(filter(None, (group.organ, group.site, group.kind)))
        sums = rows.setdefault(name, [0.0, 0.0, 0.0, 0.0])
        for index, value in enumerate((cell.n_real, cell.n_synthetic, cell.reached, cell.target)):
            sums[index] += value
    width = max(map(len, rows))
    lines = [f"{'':{width}}    real    added   reached   wanted"]
    lines += [
        f"{name:{width}} {real:7,.0f}  {added:7,.0f}  {reached:8.1%} {wanted:8.1%}"
        for name, (real, added, reached, wanted) in rows.items()
    ]
    return [*lines, f"{found.distance:.1%} of all differ from what is wanted"]
