"""Tables of lesions, as data sets bring them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import polars as pl

SITES = {"head": 0.65, "body": 0.15, "tail": 0.2}


def pancreatic(n: int = 600, seed: int = 0) -> pl.DataFrame:
    """Two of three tumors in the head; those of the tail are found late and large."""
    rng = np.random.default_rng(seed)
    site = rng.choice(list(SITES), n, p=list(SITES.values()))
    kind = rng.choice(["pdac", "cyst"], n, p=[0.75, 0.25])
    median = np.where(site == "tail", 40.0, 25.0)
    mm = np.clip(median * np.exp(rng.normal(0.0, 0.35, n)), 4.0, 120.0)
    hu = np.where(kind == "cyst", -90.0, -35.0) + rng.normal(0.0, 8.0, n)
    return pl.DataFrame(
        {
            "organ": ["pancreas"] * n,
            "kind": kind,
            "site": site,
            "diameter_mm": mm,
            "contrast_hu": hu,
            "case": [f"case {i}" for i in rng.integers(0, n // 2, n)],
        }
    )


def write_xlsx(path: Path, table: pl.DataFrame) -> None:
    """The least that is a workbook: one sheet of inline texts."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    rows = [table.columns, *table.rows()]
    cells = "".join(
        "<row>"
        + "".join(f'<c t="inlineStr"><is><t>{escape(str(cell))}</t></is></c>' for cell in row)
        + "</row>"
        for row in rows
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{rel}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{rel}/worksheet" Target="sheet1.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{rel}"><sheets>'
        '<sheet name="lesions" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in parts.items():
            packed.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
