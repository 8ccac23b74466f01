"""What is shown of a model's text: everything visible, nothing markup."""

import doctest
import html

from hypothesis import given
from hypothesis import strategies as st

from workbench.figures import trace_lines as reading
from workbench.figures import words


def test_the_examples_run():
    for module in (words, reading):
        done = doctest.testmod(module)
        assert done.attempted
        assert done.failed == 0


@given(st.text())
def test_visible_text_has_no_invisible_character_and_is_never_empty(text):
    shown = words.visible(text)
    assert shown
    assert shown.isprintable()
    assert not set(shown) & set(" \n\t\r\u202e\u200b\u00a0")


@given(st.text(max_size=40))
def test_escaped_text_reads_back_and_holds_nothing_that_plotly_interprets(text):
    shown = words.escape(text)
    assert html.unescape(shown) == html.unescape(html.escape(text))
    assert not set(shown) & set("<>$")
    assert "%{" not in shown


@given(st.text(max_size=40), st.integers(1, 20))
def test_shortened_text_is_a_beginning_of_at_most_one_more_character(text, width):
    shown = words.shorten(text, width)
    assert len(shown) <= width + 1
    assert shown == text or text.startswith(shown.removesuffix("…"))


@given(st.floats(-1e6, 1e6))
def test_numbers_keep_sign_and_size(value):
    shown = float(words.number(value).replace("−", "-"))
    assert abs(shown - value) <= max(abs(value) * 0.006, 1e-300)
    assert "-" not in words.number(value)[:1]
