"""The audit as files: one page that needs nothing else, and every number as JSON."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from scalemai._version import __version__
from scalemai.io.atomic import atomic_path
from scalemai.synthesis.audit.audit import Audit, OrganAudit
from scalemai.synthesis.audit.coverage import NOT_KNOWN
from scalemai.synthesis.audit.intervals import Interval
from scalemai.synthesis.audit.pictures import contact_sheet, intervals_figure, profile_figure
from scalemai.synthesis.audit.verdicts import AUC_BAR, CONTROL_BAR, UPPER_BAR

__all__ = ["render", "write_audit"]


def write_audit(result: Audit, out: Path) -> Path:
    """Write ``audit.html`` and ``audit.json``, each whole or not at all; the same bytes each time.

    Parameters
    ----------
    result
        The audit.
    out
        Folder; made if absent.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    page = out / "audit.html"
    text = json.dumps(result.to_json(), indent=1, allow_nan=False)
    with atomic_path(out / "audit.json") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    with atomic_path(page) as temporary:
        temporary.write_text(render(result), encoding="utf-8")
    return page


def render(result: Audit) -> str:
    """The page as text: styles and pictures lie within it, and names from files are escaped."""
    environment = Environment(
        loader=PackageLoader("scalemai.synthesis.audit", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["interval"] = _interval
    return environment.get_template("audit.html.j2").render(
        audit=result,
        version=__version__,
        bars={"auc": AUC_BAR, "upper": UPPER_BAR, "control": CONTROL_BAR},
        pictures={one.organ: _pictures(one) for one in result.organs},
    )


def _pictures(one: OrganAudit) -> dict[str, Markup]:
    rows = [(view, found.auc, found.low, found.high) for view, found in one.views.items()]
    rows += [
        (f"control: {name}", found.auc, found.low, found.high)
        for name, found in one.controls.items()
    ]
    made = {
        "auc": intervals_figure(
            rows,
            bar=UPPER_BAR,
            label=f"AUC, 95 % CI; red: {UPPER_BAR:.2f}, the bar of the upper end of a view",
            limits=(0.3, 1.02),
            chance=0.5,
        )
    }
    noise = [
        (f"{words}, {which}", *_ends(found))
        for words, pair in one.noise.items()
        for which, found in zip(("lesions", "shams"), pair, strict=True)
    ]
    made["noise"] = intervals_figure(
        noise, bar=None, label="inside / around, 95 % CI", limits=_limits(noise), chance=1.0
    )
    counts = {
        what: {
            name: of_set[what]
            for name, of_set in (("synthetic", one.coverage.synthetic), ("real", one.coverage.real))
            if what in of_set
        }
        for what, bins in one.coverage.synthetic.items()
        if any(name != NOT_KNOWN and count for name, count in bins.items())
    }
    made["coverage"] = profile_figure(counts)
    if one.surest:
        made["surest"] = contact_sheet(
            [(f"{sure.lesion} ({sure.view})", sure.pictures) for sure in one.surest],
            ("edited", "sham"),
        )
    return {name: _inline(png) for name, png in made.items()}


def _limits(
    rows: list[tuple[str, float | None, float | None, float | None]],
) -> tuple[float, float]:
    ends = [end for row in rows for end in row[2:] if end is not None]
    if not ends:
        return 0.5, 1.5
    return min(0.8, min(ends) - 0.05), max(1.2, max(ends) + 0.05)


def _ends(found: Interval | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if found is None else (found.value, found.low, found.high)


def _inline(png: bytes) -> Markup:
    return Markup("data:image/png;base64," + b64encode(png).decode("ascii"))


def _interval(found: Interval | None, unit: str = "") -> str:
    if found is None:
        return "not measured"
    space = f" {unit}" if unit else ""
    ends = "one case, no interval"
    if found.low is not None and found.high is not None:
        ends = f"{found.low:.2f} to {found.high:.2f}"
    return f"{found.value:.2f}{space} ({ends}; n = {found.n})"
