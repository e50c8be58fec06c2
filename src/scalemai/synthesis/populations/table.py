"""Tables of real lesions: one row per lesion, columns in the words of whoever made them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from scalemai.anatomy import organ
from scalemai.anatomy.spelling import squash
from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError
from scalemai.synthesis.populations.group import Shares
from scalemai.synthesis.populations.yaml import MOST_PER_CASE
from scalemai.synthesis.spec import LARGEST_DIAMETER_MM, SMALLEST_DIAMETER_MM
from scalemai.synthesis.words.lesion import site_in_words

__all__ = ["LesionTable", "lesion_table", "read_lesions"]

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "organ": ("organ", "organ_name", "structure", "anatomy"),
    "kind": (
        "kind", "lesion_kind", "lesion_type", "tumor_type", "type", "histology", "pathology",
        "diagnosis",
    ),
    "site": ("site", "location", "subsite", "lesion_site", "tumor_site", "part", "lobe", "side"),
    "diameter_mm": (
        "diameter_mm", "size_mm", "diameter", "size", "longest_diameter_mm", "max_diameter_mm",
        "longest_axial_diameter_mm", "tumor_size_mm", "lesion_size_mm", "long_axis_mm",
    ),
    "diameter_cm": (
        "diameter_cm", "size_cm", "longest_diameter_cm", "max_diameter_cm", "tumor_size_cm",
        "lesion_size_cm",
    ),
    "contrast_hu": ("contrast_hu", "contrast", "delta_hu", "hu_difference"),
    "case": (
        "case", "case_id", "id", "patient", "patient_id", "study", "study_id", "scan", "scan_id",
    ),
    "count": ("count", "lesions", "n_lesions", "number_of_lesions", "lesion_count", "num_lesions"),
}  # fmt: skip
_MEANING = {squash(name): column for column, names in _COLUMNS.items() for name in names}
_NAMED = ("organ", "kind", "site")


@dataclass(frozen=True)
class LesionTable:
    """Real lesions.

    Parameters
    ----------
    rows
        Columns ``organ``, ``kind``, ``site`` (names of the organ facts; null where the table has
        none), ``diameter_mm`` (mm) and ``contrast_hu`` (HU, or null).
    count
        Numbers of lesions per case, and in how many cases; empty if the table does not tell.
    notes
        What was left out and why, in words.
    """

    rows: pl.DataFrame
    count: Shares[int]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.rows.height


def read_lesions(
    path: Path | str, *, default_organ: str | None = None, skip_unknown: bool = False
) -> LesionTable:
    """Read a table of real lesions.

    Parameters
    ----------
    path
        CSV (comma, semicolon or tab), Parquet or XLSX, with one row per lesion.
    default_organ
        Organ of all lesions, if the table has no column for it.
    skip_unknown
        Leave out rows with an organ, kind or site that the facts do not have, and count them;
        otherwise they are refused.

    Raises
    ------
    UnreadableFileError
        If the file cannot be read.
    ConfigError
        As :func:`lesion_table`.
    """
    path = Path(path)
    return lesion_table(
        _read(path), where=path.name, default_organ=default_organ, skip_unknown=skip_unknown
    )


def lesion_table(
    table: pl.DataFrame,
    *,
    where: str = "table",
    default_organ: str | None = None,
    skip_unknown: bool = False,
) -> LesionTable:
    """Bring a table to the names and units that are used here.

    Columns are known by many names (``size_mm``, ``Diameter (cm)``, ``location``, ``histology``).
    A column ``count`` says how many lesions the case of a row has, where no column tells cases
    apart; the table then has one row per case.

    Raises
    ------
    ConfigError
        If a column is missing or stands twice, a name is unknown, or no row is left.
    """
    found = _find_columns(table, where)
    if "organ" not in found and default_organ is None:
        fix = f"name a column organ, or the organ of all; it has {', '.join(table.columns)}"
        raise ConfigError("has no column for the organ", where=where, fix=fix)
    if "diameter_mm" not in found and "diameter_cm" not in found:
        fix = f"name a column diameter_mm; it has {', '.join(table.columns)}"
        raise ConfigError("has no column for the diameter", where=where, fix=fix)
    rows = _typed(table, found, default_organ)
    notes: list[str] = []
    size = found.get("diameter_mm", "mm")
    if not squash(size).endswith("mm"):
        notes.append(f"column {size!r} is read as mm")
    total = rows.height
    rows = _known_names(rows, where, skip_unknown, notes)
    sized = pl.col("diameter_mm").is_between(SMALLEST_DIAMETER_MM, LARGEST_DIAMETER_MM)
    for what, keep in (
        ("no organ", pl.col("organ").is_not_null()),
        ("no diameter", pl.col("diameter_mm").is_not_null()),
        (f"a diameter outside {SMALLEST_DIAMETER_MM:g} to {LARGEST_DIAMETER_MM:g} mm", sized),
        *((f"no {name}", pl.col(name).is_not_null()) for name in ("kind", "site")),
    ):
        column = what.removeprefix("no ")
        if column in ("kind", "site"):  # where an organ has none at all, nothing is missing
            keep = keep | pl.col(column).is_null().all().over("organ")
        before = rows.height
        rows = rows.filter(keep)
        if rows.height < before:
            notes.append(f"{before - rows.height} of {total} rows have {what} and are left out")
    if not rows.height:
        told = f" ({'; '.join(notes)})" if notes else ""
        raise ConfigError(f"no lesion is left{told}", where=where, fix="see to its columns")
    unread = rows["contrast_hu"].null_count()
    if "contrast_hu" in found and unread:
        notes.append(f"{unread} of {rows.height} lesions have no contrast_hu")
    count = _lesions_per_case(rows, notes)
    order = ["organ", "kind", "site", "diameter_mm", "contrast_hu"]
    return LesionTable(rows.select(order).sort(order), count, tuple(notes))


def _find_columns(table: pl.DataFrame, where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for column in table.columns:
        meaning = _MEANING.get(squash(column))
        if meaning is None:
            continue
        if meaning in found:
            what = f"columns {found[meaning]!r} and {column!r} both mean {meaning}"
            raise ConfigError(what, where=where, fix="rename one of them")
        found[meaning] = column
    return found


def _typed(table: pl.DataFrame, found: Mapping[str, str], default: str | None) -> pl.DataFrame:
    def text(name: str) -> pl.Expr:
        if name not in found:
            return pl.lit(None, pl.String)
        told = pl.col(found[name]).cast(pl.String).str.strip_chars()
        return pl.when(told.str.to_lowercase().is_in(_EMPTY)).then(None).otherwise(told)

    def number(name: str) -> pl.Expr:
        value = text(name).str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
        return pl.when(value.is_finite()).then(value).otherwise(None)

    mm = pl.coalesce(number("diameter_mm"), number("diameter_cm") * 10.0)
    own = text("organ") if "organ" in found else pl.lit(default, pl.String)
    return table.select(
        organ=own,
        kind=text("kind"),
        site=text("site"),
        diameter_mm=mm.round(_DECIMALS),
        contrast_hu=number("contrast_hu").round(_DECIMALS),
        case=text("case"),
        count=number("count"),
    )


_DECIMALS = 3  # a micrometer; keeps the files of what is fitted short
_EMPTY = ["", "na", "n/a", "nan", "none", "null", "-", "?", "unknown"]


def _known_names(
    rows: pl.DataFrame, where: str, skip_unknown: bool, notes: list[str]
) -> pl.DataFrame:
    """Put the names of the facts in the place of the table's; refuse or count what they lack."""
    combinations = rows.select(_NAMED).unique(maintain_order=True)
    mapped: dict[str, list[str | None]] = {name: [] for name in _NAMED}
    unknown: list[str | None] = []
    for told in combinations.iter_rows(named=True):
        names, problem = _names_of(told)
        unknown.append(problem)
        for name in _NAMED:
            mapped[name].append(names[name])
    joined = rows.join(
        combinations.with_columns(
            pl.Series("problem", unknown, pl.String),
            *(pl.Series(f"known_{name}", mapped[name], pl.String) for name in _NAMED),
        ),
        on=_NAMED,
        nulls_equal=True,
        maintain_order="left",
    )
    wrong = joined.filter(pl.col("problem").is_not_null())
    if wrong.height:
        counts = wrong["problem"].value_counts(sort=True).sort("count", "problem", descending=True)
        told_ = "; ".join(f"{problem} ({n} rows)" for problem, n in counts.head(3).iter_rows())
        more = f"; and {counts.height - 3} more names" if counts.height > 3 else ""
        if not skip_unknown:
            fix = "correct the table, or have such rows left out"
            raise ConfigError(f"{told_}{more}", where=where, fix=fix)
        notes.append(f"{wrong.height} of {rows.height} rows are left out: {told_}{more}")
    kept = joined.filter(pl.col("problem").is_null())
    return kept.with_columns(pl.col(f"known_{name}").alias(name) for name in _NAMED).drop(
        "problem", *(f"known_{name}" for name in _NAMED)
    )


def _names_of(told: Mapping[str, str | None]) -> tuple[dict[str, str | None], str | None]:
    names: dict[str, str | None] = dict.fromkeys(_NAMED)
    if told["organ"] is None:
        return names, None
    try:
        facts = organ(told["organ"])
        names["organ"] = facts.name
        if told["kind"] is not None:
            names["kind"] = facts.kind(told["kind"]).name
        if told["site"] is not None:
            names["site"] = _site(
                told["site"], facts.sites, lambda text: site_in_words(text, facts)
            )
            if names["site"] is None:
                known = ", ".join(facts.sites) or "none"
                return names, f"{facts.name} has no site {told['site']!r}, only {known}"
    except UnknownNameError as error:
        return names, error.what
    return names, None


def _site(
    text: str, sites: Mapping[str, object], in_words: Callable[[str], str | None]
) -> str | None:
    exact = next((name for name in sites if squash(name) == squash(text)), None)
    return exact or in_words(text)


def _lesions_per_case(rows: pl.DataFrame, notes: list[str]) -> Shares[int]:
    if rows["case"].null_count() < rows.height:
        numbers = rows.drop_nulls("case").group_by("case").len()["len"]
    else:
        numbers = rows["count"].drop_nulls().filter(rows["count"].drop_nulls() >= 1)
    capped = numbers.cast(pl.Int64).clip(1, MOST_PER_CASE).rename("lesions")
    above = int((numbers > MOST_PER_CASE).sum())
    if above:
        notes.append(f"{above} cases have more than {MOST_PER_CASE} lesions and count as that many")
    table = capped.value_counts(name="cases").sort("lesions")
    return tuple((int(number), float(cases)) for number, cases in table.iter_rows())


def _read(path: Path) -> pl.DataFrame:
    try:
        suffix = path.suffix.lower()
        if suffix == ".parquet":
            return pl.read_parquet(path)
        if suffix == ".xlsx":
            return _read_xlsx(path)
        with path.open(encoding="utf-8-sig") as stream:
            head = stream.readline()
        separator = max(",;\t", key=head.count)
        return pl.read_csv(path, separator=separator, infer_schema=False)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
        fix = "give a UTF-8 CSV, Parquet or XLSX file with one row per lesion"
        raise UnreadableFileError(f"cannot be read ({reason})", where=path, fix=fix) from error


def _read_xlsx(path: Path) -> pl.DataFrame:
    from fastexcel import FastExcelError

    try:
        return pl.read_excel(path, infer_schema_length=0)
    except FastExcelError as error:  # it is no ValueError, though what it says is
        raise ValueError(str(error)) from error
