"""The coloured text: every token once, coloured by its value, and no markup but our own."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from tests.traces import frame
from workbench import figures

OURS = {"style", "div", "h4", "h5", "span", "a", "section", "p"}


class Reader(HTMLParser):
    """Collects the tags, the tokens and their attributes."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.tokens, self.texts, self.open = set(), [], [], None
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        found = dict(attributes)
        assert not [name for name in found if name.startswith("on")]
        self.open = found if found.get("class", "").startswith("wb-t") and tag == "span" else None
        if self.open is not None:
            self.tokens.append(found)
            self.texts.append("")

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open is not None:
            self.texts[-1] += data


def strip(table, **options):
    read = Reader(str(figures.tokens(table, **options)))
    assert read.tags <= OURS
    return read


def test_every_token_is_there_with_its_numbers_and_reachable():
    table = frame(n_prompt=6, n_response=5, arms=("base",), layers=3)
    read = strip(table, value="cosine", layer=2)
    own = table[table["layer"] == 2]
    assert read.texts == [t.replace("\n", "⏎\n") for t in own["token"]]
    assert all(token["tabindex"] == "0" for token in read.tokens)
    tips = [token["title"] for token in read.tokens]
    assert tips[7].splitlines()[:2] == ["'m", "position 7, response +1"]
    assert tips[7].endswith("layer 2")
    assert f"norm {own['norm'].iloc[7]:.3g}" in tips[7]


def test_colour_is_sign_and_density_is_size_and_the_sink_is_no_measure():
    table = frame(n_prompt=4, n_response=4, arms=("base",), layers=1)
    table["dot"] = [900.0, 0.0, 1.0, -2.0, 4.0, -4.0, 2.0, 3.0]
    grounds = [token["style"] for token in strip(table).tokens]
    assert grounds[0] == "background-color:rgba(213,94,0,0.700)"
    assert grounds[1].endswith(",0.000)")
    assert grounds[2] == "background-color:rgba(213,94,0,0.175)"
    assert grounds[3] == "background-color:rgba(0,114,178,0.350)"
    assert grounds[5] == "background-color:rgba(0,114,178,0.700)"
    assert "−4" in str(figures.tokens(table))


def test_steered_tokens_are_underlined():
    table = frame(n_prompt=5, n_response=4, arms=("-0.30",), layers=2)
    read = strip(table)
    assert ["wb-steered" in token["class"] for token in read.tokens] == table[table["layer"] == 0]["steered"].tolist()
    assert "underlined" in str(figures.tokens(table))
    assert "underlined" not in str(figures.tokens(frame(arms=("base",))))


@given(
    st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=12), min_size=4, max_size=4), st.text(max_size=20)
)
def test_no_text_becomes_markup(tokens, name):
    table = frame(n_prompt=2, n_response=2, arms=("base",), layers=1, envelope=False)
    table["token"], table["prompt_id"] = tokens, name
    assert len(strip(table, title=name or "x").texts) == 4


def test_markup_in_tokens_is_text():
    bad = ["<script>x</script>", '"><img src=x onerror=y>', "</span></p>", "&lt;b&gt;"]
    table = frame(n_prompt=2, n_response=2, arms=("base",), layers=1)
    table["token"] = bad
    read = strip(table)
    assert read.texts == bad
    assert [token["title"].splitlines()[0] for token in read.tokens] == [b.replace(" ", "␣") for b in bad]


def test_the_notebook_shows_what_str_gives_and_the_title_names_the_layer():
    shown = figures.tokens(frame(layers=7))
    assert shown._repr_html_() == str(shown)
    assert shown.title == "Projection on refusal at layer 3, token by token"
    assert str(shown).count("<section>") == 2


def test_line_breaks_and_bare_spaces_are_seen():
    table = frame(n_prompt=2, n_response=2, arms=("base",), layers=1)
    table["token"] = ["\n\n", "  ", "", " a b"]
    assert strip(table).texts == ["⏎\n⏎\n", "␣␣", "∅", " a b"]
