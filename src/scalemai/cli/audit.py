"""Audits: can it be shown that data do not teach what they should not?"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from scalemai.cli.arguments import ClassMap, Layout, Out, Seed, Workers

__all__ = ["audit_app"]

audit_app = typer.Typer(
    help="Audit synthetic data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_MEMORY_PER_WORKER_BYTES = 2 << 30


@audit_app.callback()
def _audits() -> None:
    """Audit synthetic data."""


@audit_app.command()
def synthesis(
    real: Annotated[
        Path, typer.Argument(help="Real cases; with lesion masks, or the hosts alone.")
    ],
    synthetic: Annotated[Path, typer.Argument(help="Folder that scalemai synthesize wrote.")],
    out: Out,
    organ: Annotated[
        str | None, typer.Option(help="Organs, comma-separated; by default all that there are.")
    ] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(min=0.5, max=1.0, help="Exit 1 if an AUC's upper end is above, or unknown."),
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
    class_map: ClassMap = None,
    layout: Layout = None,
) -> None:
    """Can edits be told from shams? Writes audit.html and audit.json."""
    from scalemai.cli.options import open_dataset
    from scalemai.cli.report import follow, remark
    from scalemai.engine import default_workers
    from scalemai.errors import ConfigError
    from scalemai.synthesis.audit.audit import audit
    from scalemai.synthesis.audit.findings import CaseFindings
    from scalemai.synthesis.audit.report import write_audit
    from scalemai.synthesis.audit.run import examine_all_real, examine_all_synthetic
    from scalemai.synthesis.audit.synthetic_cases import synthetic_folders

    organs = [name.strip() for name in (organ or "").split(",") if name.strip()]
    if organ is not None and not organs:
        raise ConfigError("no organ is named", where="--organ", fix="for example --organ liver")
    processes = workers or default_workers(_MEMORY_PER_WORKER_BYTES)
    dataset = open_dataset(real, layout=layout, class_map=class_map)
    remark(dataset.notes)
    of_real = examine_all_real(list(dataset), organs=organs, workers=processes)
    run = examine_all_synthetic(
        synthetic, organs=organs, whole=of_real is not None, seed=seed, workers=processes
    )
    known: list[CaseFindings] = []
    made: list[CaseFindings] = []

    def keep(findings: CaseFindings, among: list[CaseFindings]) -> tuple[str, ...]:
        among.append(findings)
        return findings.notes

    code = 0
    if of_real is None:
        remark([f"{real} has no masks of real lesions; there is nothing to compare with"])
    else:
        code |= follow(of_real, "measured", notes=partial(keep, among=known))
    code |= follow(run, "examined", notes=partial(keep, among=made))
    examined = {case.case for case in made}
    failed = [one.name for one in synthetic_folders(synthetic) if one.name not in examined]
    result = audit(made, known, failed=failed, seed=seed)
    page = write_audit(result, out)
    for verdict in result.verdicts:
        typer.echo(f"{verdict.state}: {verdict.text}")
    typer.echo(page)
    if fail_above is not None and (result.highest is None or result.highest > fail_above):
        found = "unknown" if result.highest is None else f"{result.highest:.2f}"
        what = f"the highest upper end of an AUC is {found}"
        typer.echo(f"scalemai: {what}; --fail-above allows {fail_above:g}", err=True)
        code = 1
    raise typer.Exit(code)
