"""Readers are asked everything once, some of it again, in orders of their own; answers last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scalemai.annotation.database.opening import writing
from scalemai.annotation.ledger import read_links, verify
from scalemai.annotation.readers import add_reader
from scalemai.annotation.refusals import ConflictError, RefusedError
from scalemai.annotation.turing.analysing import analyse_answers, write_analysis
from scalemai.annotation.turing.answering import Answer, outstanding, record
from scalemai.annotation.turing.order import trials_of
from scalemai.annotation.words import Role
from scalemai.errors import ConfigError, ScaleMAIError
from scalemai.evaluation.reading import read_reads
from scalemai.statistics.detection_theory import d_prime_2afc

from .made import NOW, join, make_study, say, simulate


def test_every_reader_sees_all_in_an_order_of_his_own_and_repeats_at_a_distance(
    tmp_path: Path,
) -> None:
    study = make_study(tmp_path, 40, repeat_share=0.2, repeat_distance=15)[0].study
    orders = set()
    for reader in ("ann", "bob", "cid"):
        trials = trials_of(study, reader)
        assert trials == trials_of(study, reader)
        first = [one.display.key for one in trials if not one.repeat]
        assert sorted(first) == [one.key for one in study.displays]
        again = [one for one in trials if one.repeat]
        assert len(again) == 16
        assert len({one.display.key for one in again}) == 16
        for one in again:
            (before,) = (o.place for o in trials if o.display == one.display and not o.repeat)
            assert one.place - before > 15
        assert len({one.trial_id for one in trials}) == len(trials) == 96
        orders.add(tuple(one.display.key for one in trials))
    assert len(orders) == 3


def test_a_small_study_has_repeats_half_of_it_away(tmp_path: Path) -> None:
    study = make_study(tmp_path, 3, repeat_share=0.5)[0].study
    trials = trials_of(study, "ann")
    places = {one.display.key: one.place for one in trials if not one.repeat}
    assert all(one.place - places[one.display.key] > 3 for one in trials if one.repeat)


def test_an_answer_sent_again_changes_nothing_and_another_one_is_refused(tmp_path: Path) -> None:
    study = make_study(tmp_path)[0].study
    engine = study.review.open()
    ann = join(engine, "Ann")
    with engine.connect() as connection:
        first, second = outstanding(connection, study, ann)[:2]
    said = Answer(event_id="e1", trial_id=first.trial_id, answer="real", confidence=4)
    left = record(engine, study, ann, said, now_ms=NOW)
    assert record(engine, study, ann, said, now_ms=NOW + 9) == left == 12
    for other in (
        Answer(event_id="e1", trial_id=first.trial_id, answer="synthetic", confidence=4),
        Answer(event_id="e2", trial_id=first.trial_id, answer="synthetic", confidence=4),
        Answer(event_id="e3", trial_id="0" * 16, answer="real", confidence=4),
    ):
        with pytest.raises(ConflictError):
            record(engine, study, ann, other, now_ms=NOW)
    with engine.connect() as connection:
        (link,) = read_links(connection)
        ahead = outstanding(connection, study, ann)
    assert (link.event.comment, link.event.confidence) == ("real", 4)
    assert ahead[0] == second
    skipped = Answer(event_id="e4", trial_id=ahead[1].trial_id, answer="real", confidence=1)
    with pytest.raises(ConflictError, match="not the next"):
        record(engine, study, ann, skipped, now_ms=NOW)
    assert verify(engine) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer": "left"}, "real or synthetic"),
        ({"confidence": 6}, "1 to 5"),
        ({"confidence": True}, "confidence"),
        ({"confidence": "3"}, "confidence"),
        ({"active_ms": -1}, "negative"),
        ({"event_id": "<script>"}, "event id"),
        ({"event_id": ""}, "event id"),
        ({"truth": "real"}, "not known"),
        ({"trial_id": None}, "trial_id"),
        ({"began": "x" * 65}, "began"),
    ],
)
def test_an_answer_of_another_form_is_refused(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    study = make_study(tmp_path, 2)[0].study
    engine = study.review.open()
    ann = join(engine, "Ann")
    with engine.connect() as connection:
        trial = outstanding(connection, study, ann)[0]
    plain = {"event_id": "e", "trial_id": trial.trial_id, "answer": "real", "confidence": 3}
    with pytest.raises(ConfigError, match=said):
        record(engine, study, ann, Answer.from_plain({**plain, **change}), now_ms=NOW)
    with engine.connect() as connection:
        assert list(read_links(connection)) == []


def test_a_manager_reads_nothing(tmp_path: Path) -> None:
    study = make_study(tmp_path)[0].study
    engine = study.review.open()
    with writing(engine) as connection:
        boss = add_reader(connection, "Boss", Role.MANAGER)
        assert outstanding(connection, study, boss) == ()


def test_the_key_opens_after_all_is_answered_and_then_nothing_more_is_taken(
    tmp_path: Path,
) -> None:
    built, key = make_study(tmp_path, 3, repeat_share=0.0)
    study = built.study
    engine = study.review.open()
    with pytest.raises(ConfigError, match="nobody has answered"):
        analyse_answers(study, engine, key)
    ann = join(engine, "Ann")
    for number in range(5):
        say(engine, study, ann, "real" if number % 2 else "synthetic")
    with pytest.raises(ConfigError, match="Ann has 1 trials left"):
        analyse_answers(study, engine, key)
    say(engine, study, ann, "real")
    found = analyse_answers(study, engine, key)
    assert found.reads.height == 6
    bob = join(engine, "Bob")
    with pytest.raises(RefusedError, match="closed"):
        say(engine, study, bob, "real")


def test_a_ledger_that_was_changed_is_not_analysed(tmp_path: Path) -> None:
    built, key = make_study(tmp_path, 2, repeat_share=0.0)
    engine = built.study.review.open()
    ann = join(engine, "Ann")
    for _ in range(4):
        say(engine, built.study, ann, "real")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE links SET body = replace(body, '\"real\"', '\"synthetic\"')"
        )
    with pytest.raises(ScaleMAIError, match="event 1 of the ledger"):
        analyse_answers(built.study, engine, key)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("d_prime", [0.0, 1.5])
def test_simulated_readers_are_recovered_within_their_intervals(
    tmp_path: Path, seed: int, d_prime: float
) -> None:
    built, key = make_study(tmp_path, 60, seed=seed)
    engine = built.study.review.open()
    rng = np.random.default_rng(seed)
    for name, criterion in (("Ann", 0.0), ("Bob", -0.4)):
        simulate(engine, built.study, key, name, rng, d_prime=d_prime, criterion=criterion)
    found = analyse_answers(built.study, engine, key, level=0.99)
    for one, criterion in zip(found.result.readers, (0.0, -0.4), strict=True):
        for name, true in (("d_prime", d_prime), ("criterion", criterion)):
            low, high = one.figures[name].low, one.figures[name].high
            assert low is not None
            assert high is not None
            assert low <= true <= high
        assert one.repeat_kappa.computed
        assert one.seconds.value == pytest.approx(4.0)
    page = write_analysis(found, tmp_path / "out")
    assert page.is_file()
    again = read_reads(tmp_path / "out" / "reads.parquet")
    np.testing.assert_array_equal(again.answer, found.result.reads.answer)


@pytest.mark.parametrize("seed", range(3))
def test_d_prime_of_forced_choice_is_recovered_and_sides_are_balanced(
    tmp_path: Path, seed: int
) -> None:
    built, key = make_study(tmp_path, 120, task="2afc", seed=seed, repeat_share=0.0)
    engine = built.study.review.open()
    simulate(engine, built.study, key, "Ann", np.random.default_rng(seed), d_prime=1.0)
    found = analyse_answers(built.study, engine, key, level=0.99)
    (picked,) = found.forced_choice
    assert picked.d_prime.low is not None
    assert picked.d_prime.high is not None
    assert picked.d_prime.low <= 1.0 <= picked.d_prime.high
    assert picked.d_prime == d_prime_2afc(round((picked.correct.value or 0) * 120), 120, level=0.99)
    (reader,) = found.result.readers
    assert (reader.real, reader.synthetic) == (60, 60)
    assert reader.figures["balanced_accuracy"].value == pytest.approx(picked.correct.value)
