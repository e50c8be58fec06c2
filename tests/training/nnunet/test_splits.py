"""Folds that keep patients together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemai.case import Case
from scalemai.errors import ConfigError
from scalemai.training.nnunet.splits import patients_of, split_by_patient

PATIENTS = st.dictionaries(
    st.text("abcdef", min_size=1), st.sampled_from("PQRSTUV"), min_size=1, max_size=20
)


@given(PATIENTS, st.integers(2, 6), st.integers(0, 3))
def test_no_patient_is_in_both_halves_and_each_case_is_validated_once(
    patients: dict[str, str], folds: int, seed: int
) -> None:
    splits = split_by_patient(patients, folds, seed=seed)
    count = len(set(patients.values()))
    assert len(splits) == (0 if count < 2 else min(folds, count))
    for fold in splits:
        train, val = ({patients[name] for name in fold[half]} for half in ("train", "val"))
        assert train
        assert val
        assert not train & val
        assert sorted(fold["train"] + fold["val"]) == sorted(patients)
    if splits:
        assert sorted(name for fold in splits for name in fold["val"]) == sorted(patients)
        sizes = [len({patients[name] for name in fold["val"]}) for fold in splits]
        assert max(sizes) - min(sizes) <= 1


def test_the_order_of_cases_does_not_matter_and_the_seed_does() -> None:
    patients = {f"case_{n}": f"patient_{n}" for n in range(12)}
    turned = dict(reversed(list(patients.items())))
    assert split_by_patient(patients) == split_by_patient(turned)
    assert split_by_patient(patients) != split_by_patient(patients, seed=1)


def test_copies_of_a_host_and_further_scans_of_its_patient_are_one_patients() -> None:
    def case(id: str, **metadata: str) -> Case:
        return Case(id, Path("ct.nii.gz"), metadata=metadata)

    found = patients_of(
        {
            "a": case("a", patient="P1"),
            "b": case("b", patient_id="P1"),
            "syn_b": case("b"),
            "c": case("c"),
            "syn_c": case("c"),
            "d": case("d"),
        }
    )
    assert found["a"] == found["b"] == found["syn_b"]
    assert found["c"] == found["syn_c"]
    assert len({found["a"], found["c"], found["d"]}) == 3


def test_one_fold_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 folds are none"):
        split_by_patient({"a": "a", "b": "b"}, 1)
