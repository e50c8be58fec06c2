"""The tutorial of the time machine does what it says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from .hosts import scalemai

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "time-machine.md"


@pytest.mark.slow
def test_the_tutorial_runs_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    assert [kind for kind, _ in blocks] == ["bash", "bash", "bash", "python"]
    for kind, text in blocks:
        if kind == "bash":
            program, *words = shlex.split(text)
            assert program == "scalemai"
            said = scalemai(*words, "--workers", 1)
            assert said.code == 0, said.err
        else:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(text, str(PAGE), "exec"), {})
            assert printed.getvalue().splitlines()[-1].startswith("day 244: ")
    (series,) = (tmp_path / "followup").glob("phantom_*")
    assert series.name == "phantom_00000"
    assert [path.name for path in sorted(series.glob("day_*"))] == [
        "day_0000", "day_0091", "day_0183", "day_0274", "day_0365",
    ]  # fmt: skip
    assert (series / "day_0365" / "synthesis.json").is_file()
    assert len(list((tmp_path / "sizes").glob("*/day_*/ct.nii.gz"))) == 3
