"""What a score says of itself where a user asks, ``wb.refusal?`` or ``help(wb.refusal)``."""

import inspect
import pickle
from dataclasses import replace

import pytest

import workbench as wb

SCORES = [name for name in wb.__all__ if isinstance(getattr(wb, name), wb.Score)]


@pytest.mark.parametrize("name", SCORES)
def test_a_score_says_what_its_value_means(name):
    score = getattr(wb, name)
    said = inspect.getdoc(score)
    assert said.startswith(score.about)
    assert said != inspect.getdoc(wb.Score)
    assert len(score.about.split()) > 12


def test_two_scores_do_not_say_the_same():
    assert len(SCORES) > 8
    assert len({getattr(wb, name).about for name in SCORES}) == len(SCORES)


def test_a_score_of_ones_own_shows_the_page_of_all_scores_or_its_own_words():
    words = wb.Score("words", 1, len)
    assert inspect.getdoc(words) == inspect.getdoc(wb.Score)
    told = replace(words, about="The number of letters.")
    assert inspect.getdoc(told).startswith("The number of letters.")
    assert told == words
    assert inspect.getdoc(pickle.loads(pickle.dumps(told))) == inspect.getdoc(told)


def test_the_examples_of_scores_of_a_text_hold():
    assert wb.refusal("I'm sorry, but I can't help with that.") == "refusal"
    assert wb.coherence("the the the the the the the the the") == 0.0
