"""Scores of tags against seqeval, and the baseline."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score

from training.data.texts.tagged import Sentence
from training.tasks.tagging.scores import majority_tags, tagging_scores

TAG = st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"])
PAIRS = st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=8), min_size=1, max_size=5)


@settings(max_examples=200, deadline=None)
@given(PAIRS)
@pytest.mark.filterwarnings("ignore:.*ill-defined.*", "ignore:.*no predicted samples.*")
def test_scores_are_seqevals(pairs: list[list[tuple[str, str]]]) -> None:
    expected = [[a for a, _ in row] for row in pairs]
    found = [[b for _, b in row] for row in pairs]
    assert tagging_scores(expected, found, has_spans=True) == pytest.approx(
        {
            "accuracy": accuracy_score(expected, found),
            "span_f1": f1_score(expected, found, zero_division=0),
            "span_precision": precision_score(expected, found, zero_division=0),
            "span_recall": recall_score(expected, found, zero_division=0),
        }
    )


def test_without_spans_there_is_accuracy_alone() -> None:
    assert tagging_scores([["NN", "VB"]], [["NN", "NN"]], has_spans=False) == {"accuracy": 0.5}


def test_the_baseline_knows_each_words_most_frequent_tag() -> None:
    train = [
        Sentence(["the", "run", "runs"], ["AT", "NN", "VB"]),
        Sentence(["run", "the", "run"], ["VB", "AT", "NN"]),
    ]
    answers = majority_tags(train, [Sentence(["run", "never", "the"], ["?"] * 3)])
    assert answers == [["NN", "AT", "AT"]]  # of AT and NN, as frequent, the first
