"""Errors: one line that says where, what and what to do, and that survives another process."""

from __future__ import annotations

import inspect
import pickle
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemai import errors
from scalemai.errors import (
    CaseError,
    GeometryError,
    OutputError,
    ScaleMAIError,
    UnknownNameError,
    UnreadableFileError,
)

CLASSES = [getattr(errors, name) for name in errors.__all__]
ORGANS = ["liver", "pancreas", "kidney_left", "kidney_right", "spleen"]


def _raise_unknown_name() -> None:
    error = UnknownNameError("organ", "livver", ORGANS)
    error.add_note("asked for by row 3")
    raise error


@given(
    st.text(min_size=1),
    st.none() | st.text(),
    st.text(),
    st.sampled_from([kind for kind in CLASSES if kind is not UnknownNameError]),
)
def test_every_message_is_one_line(
    what: str, where: str | None, fix: str, kind: type[ScaleMAIError]
) -> None:
    text = str(kind(what, where=where, fix=fix))
    assert len(text.splitlines()) <= 1
    assert " ".join(what.split()) in text


def test_a_message_says_where_what_and_what_to_do_in_that_order() -> None:
    error = GeometryError("spacing is 0 mm along k", where="case_017/ct.nii.gz", fix="re-export it")
    assert str(error) == "case_017/ct.nii.gz: spacing is 0 mm along k; re-export it"


def test_a_message_without_place_or_advice_has_no_stray_punctuation() -> None:
    assert str(CaseError("no organ")) == "no organ"


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not UnknownNameError])
def test_an_error_is_the_same_after_pickling(kind: type[ScaleMAIError]) -> None:
    error = kind("is wrong", where="a/b.nii", fix="do this")
    error.add_note("case 12")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert (again.what, again.where, again.fix) == ("is wrong", "a/b.nii", "do this")
    assert again.__notes__ == ["case 12"]


def test_an_error_arrives_whole_from_a_worker_process() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        future = pool.submit(_raise_unknown_name)
        with pytest.raises(UnknownNameError, match="unknown organ 'livver'") as caught:
            future.result(timeout=120)
    assert caught.value.name == "livver"
    assert caught.value.near == ["liver"]
    assert "asked for by row 3" in caught.value.__notes__


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.ConfigError, ValueError),
        (errors.UnknownNameError, LookupError),
        (errors.MissingExtraError, ImportError),
        (errors.LockedError, OSError),
        (errors.UnreadableFileError, OSError),
        (errors.GeometryError, ValueError),
        (errors.IntensityError, ValueError),
        (errors.MissingStructureError, LookupError),
        (errors.PlacementError, ValueError),
        (errors.OutputError, OSError),
    ],
)
def test_each_error_also_is_the_builtin_that_a_caller_expects(
    kind: type[ScaleMAIError], builtin: type[Exception]
) -> None:
    assert issubclass(kind, builtin)


def test_a_wrong_request_is_not_a_fault_of_one_case() -> None:
    # A batch records a CaseError and goes on; a ConfigError must stop it before it starts.
    assert not issubclass(errors.ConfigError, CaseError)
    assert not issubclass(errors.LockedError, CaseError)
    assert issubclass(OutputError, CaseError)
    assert issubclass(UnreadableFileError, CaseError)


def test_the_drawn_tree_is_the_real_one() -> None:
    drawing = inspect.getdoc(errors) or ""
    drawn = re.findall(r"^(.*?)(\w+Error)\b *(?:\((\w+)\))?", drawing, flags=re.MULTILINE)
    ancestors: list[tuple[int, type]] = []
    seen = set()
    for prefix, name, builtin in drawn:
        if not hasattr(errors, name) or name in seen:
            continue
        seen.add(name)
        kind = getattr(errors, name)
        while ancestors and ancestors[-1][0] >= len(prefix):
            ancestors.pop()
        if ancestors:
            assert ancestors[-1][1] in kind.__bases__, f"{name} is drawn under another class"
        if builtin:
            assert builtin in {base.__name__ for base in kind.__mro__}
        ancestors.append((len(prefix), kind))
    assert seen == set(errors.__all__)


def test_a_misspelt_name_is_answered_with_the_nearest_ones() -> None:
    assert "did you mean 'pancreas'?" in str(UnknownNameError("organ", "Pancreass", ORGANS))


def test_an_upper_case_name_is_answered_with_its_known_spelling() -> None:
    assert "did you mean 'liver'" in str(UnknownNameError("organ", "LIVER", ORGANS))


def test_a_short_list_is_given_whole_when_nothing_is_near() -> None:
    text = str(UnknownNameError("organ", "xyz", ORGANS))
    assert all(name in text for name in ORGANS)


def test_a_long_list_is_summed_up_when_nothing_is_near() -> None:
    text = str(UnknownNameError("structure", "qqq", [f"rib_{n:02d}" for n in range(100)]))
    assert "100 are known" in text
    assert len(text) < 120
