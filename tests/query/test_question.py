"""Questions as they travel, and what cannot be asked."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.query import AGGREGATES, MAX_ROWS, Columns, Question, QuestionError

NAMES = st.lists(st.text(min_size=1, max_size=5), max_size=3).map(tuple)
INSTANTS = st.none() | st.integers(0, 2**53)


@given(
    st.none() | NAMES, st.none() | NAMES, st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
    st.none() | st.integers(0, 10**6), st.none() | st.integers(10**6 + 1, 2**53), st.none() | st.integers(1, 10**9),
    st.lists(st.sampled_from(list(AGGREGATES)), unique=True).map(tuple), st.integers(1, MAX_ROWS),
)  # fmt: skip
def test_a_question_travels(
    metrics: Any, devices: Any, labels: dict[str, str], since: Any, until: Any, every: Any, aggregates: Any, limit: int
) -> None:
    question = Question(metrics, devices, tuple(sorted(labels.items())), since, until, every, aggregates, limit)
    assert Question.from_plain(question.to_plain()) == question


def test_what_is_not_set_does_not_travel() -> None:
    assert Question().to_plain() == {}
    assert Question(devices=()).to_plain() == {"devices": []}


def test_without_a_word_buckets_hold_the_mean() -> None:
    assert Question(every=60).wanted == ("mean",)
    assert Question(every=60, aggregates=("max",)).wanted == ("max",)
    assert Question().wanted == ()


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"metric": ["x"]}, "'metric' is not part of a question: use aggregates, devices"),
        ({"metrics": "x"}, "metrics must be a list of at most 10000 texts"),
        ({"metrics": [5]}, "metrics must be a list"),
        ({"devices": ["d"] * 10_001}, "devices must be a list"),
        ({"labels": ["x"]}, "labels must be a map of texts to texts"),
        ({"labels": {"x": 5}}, "labels must be a map of texts to texts"),
        ({"since": -1}, "since must be a whole number"),
        ({"since": 1.5}, "since must be a whole number"),
        ({"until": True}, "until must be a whole number"),
        ({"until": 2**60}, "until must be a whole number"),
        ({"since": 5, "until": 5}, "the end is not after the start"),
        ({"every": 0}, "every must be at least 1 us: write --every 1m"),
        ({"every": "1m"}, "every must be a whole number"),
        ({"aggregates": ["median"]}, "'median' is no aggregate: use mean, min, max, count, first, last"),
        ({"aggregates": ["mean", "mean"]}, "an aggregate is named twice"),
        ({"limit": 0}, "limit must be from 1 to 1000000"),
        ({"limit": MAX_ROWS + 1}, "limit must be a whole number from 0 to 1000000"),
    ],
)
def test_what_cannot_be_asked_is_said(plain: dict[str, Any], message: str) -> None:
    with pytest.raises(QuestionError, match=message):
        Question.from_plain(plain)


def test_an_answer_is_as_long_as_its_columns() -> None:
    assert len(Columns()) == 0
    assert len(Columns({"device": ["a", "b"], "time": [1, 2]})) == 2


def test_asking_and_modelling_do_not_wait_for_numpy() -> None:
    code = "import hub.query, hub.model, sys; sys.exit('numpy' in sys.modules or 'cbor2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
