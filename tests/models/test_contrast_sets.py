"""The trait sets keep their promises: counts, matching, splits, languages; and a part of them is chosen without surprise."""

import re
from collections import Counter, defaultdict
from itertools import combinations

import pytest

import workbench as wb
from workbench.models.prompts import as_prompts

TRAITS = {
    "optimism": {"natural": 96, "instruction": 72},
    "sycophancy": {"natural": 96, "instruction": 72},
    "formality": {"natural": 96},
    "uncertainty": {"natural": 320},
}
CATEGORIES = {
    "optimism": ("personal", "societal"),
    "sycophancy": ("claims", "feedback"),
    "formality": ("public", "private"),
    "uncertainty": ("technical", "humanities"),
}
LANGUAGES = ("en", "es", "fr", "zh")
CJK = re.compile(r"[\u4e00-\u9fff]")


def words(text):
    """Words; of Chinese, its characters."""
    return re.findall(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+(?:['’-]\w+)*", text.lower())


@pytest.fixture(params=TRAITS)
def trait(request):
    return wb.pairs(request.param)


def natural_matches(pairs):
    natural = pairs.where(elicitation="natural")
    sides = [{(p.base, p.language): p for p in side} for side in (natural.positive, natural.negative)]
    assert sides[0].keys() == sides[1].keys()
    assert len(sides[0]) == len(natural.positive) == len(natural.negative)
    return [(sides[0][key], sides[1][key]) for key in sides[0]]


def test_counts(trait):
    assert {e: len(trait.where(elicitation=e).positive) for e in trait.values("elicitation")} == TRAITS[trait.name]
    assert trait.values("category") == CATEGORIES[trait.name]
    for side in (trait.positive, trait.negative):
        assert side.splits == ("train", "dev", "test")
        assert len({p.id for p in side}) == len(side)
        cells = Counter((p.category, p.topic, p.language, p.elicitation, p.split) for p in side)
        for (_, _, language, elicitation, split), count in cells.items():
            sizes = {"natural": (10, 2, 4), "instruction": (7, 2, 3)}[elicitation]
            sizes = (12, 2, 6) if trait.name == "uncertainty" else sizes
            assert count == dict(zip(("train", "dev", "test"), sizes, strict=True))[split], (language, split)


def test_uncertainty_has_twenty_per_topic_and_language():
    pairs = wb.pairs("uncertainty")
    assert pairs.values("topic") == ("science", "coding", "history", "creative")
    assert pairs.values("language") == LANGUAGES
    for topic in pairs.values("topic"):
        for language in LANGUAGES:
            part = pairs.where(topic=topic, language=language)
            assert len(part.positive) == len(part.negative) == 20
            assert {p.base for p in part.positive} == {p.base for p in pairs.where(topic=topic).negative}


def test_natural_pairs_match_in_topic_form_length_and_punctuation(trait):
    gaps = defaultdict(list)
    for positive, negative in natural_matches(trait):
        for field in ("category", "topic", "language", "split"):
            assert getattr(positive, field) == getattr(negative, field)
        assert positive.text != negative.text
        assert positive.text[-1] == negative.text[-1], positive
        assert words(positive.text)[0] == words(negative.text)[0], positive
        gaps[positive.language].append(len(words(positive.text)) - len(words(negative.text)))
    for language, found in gaps.items():
        assert max(map(abs, found)) <= 3, language
        assert abs(sum(found)) / len(found) < 0.5, language


@pytest.mark.parametrize("name", ["optimism", "sycophancy"])
def test_instruction_prompts_differ_in_the_system_prompt_alone(name):
    pairs = wb.pairs(name).where(elicitation="instruction")
    assert pairs.positive.texts == pairs.negative.texts
    assert [p.base for p in pairs.positive] == [p.base for p in pairs.negative]
    assert len(set(pairs.positive.texts)) == len(pairs.positive)
    positive, negative = ({p.system for p in side} for side in (pairs.positive, pairs.negative))
    assert len(positive) == len(negative) == 8
    assert not positive & negative
    for ours, theirs in {(p.system, n.system) for p, n in zip(pairs.positive, pairs.negative, strict=True)}:
        assert (words(ours)[0], ours[-1]) == (words(theirs)[0], theirs[-1])
        assert abs(len(words(ours)) - len(words(theirs))) <= 1
    for system in positive | negative:
        assert len({p.split for side in (pairs.positive, pairs.negative) for p in side if p.system == system}) == 1


def test_a_base_prompt_is_in_one_split_and_its_neighbours_are_in_the_same(trait):
    """All variants of a base share its split; across splits no two texts share 60% of their words."""
    prompts = [*trait.positive, *trait.negative]
    splits = defaultdict(set)
    for prompt in prompts:
        splits[prompt.base].add(prompt.split)
    assert {len(found) for found in splits.values()} == {1}
    for text in (lambda p: p.text, lambda p: p.system):
        distinct = {(p.split, p.language, text(p)): frozenset(words(text(p))) for p in prompts if text(p)}
        for (a, first), (b, second) in combinations(distinct.items(), 2):
            if a[0] != b[0] and a[1] == b[1]:
                assert len(first & second) / len(first | second) < 0.6, (a, b)


def test_languages_are_written_as_they_are_written():
    pairs = wb.pairs("uncertainty")
    for side in (pairs.positive, pairs.negative):
        by_language = {language: side.where(language=language).texts for language in LANGUAGES}
        for language, texts in by_language.items():
            assert len(set(texts)) == len(texts) == 80
            for text in texts:
                assert bool(CJK.search(text)) == (language == "zh"), text
                assert re.search(r"[？。]$" if language == "zh" else r"[?.]$", text), text
        for text in by_language["zh"]:
            assert not re.search(r"[?,;:!]|\.$", text), text
        for text in by_language["es"]:
            assert text.count("¿") == text.count("?"), text
        for text in by_language["fr"]:
            assert text.endswith((" ?", ".")), text
        assert sum(bool(re.search("[áéíóúñü]", t)) for t in by_language["es"]) > 50
        assert sum(bool(re.search("[àâçéèêëîïôûœ]", t)) for t in by_language["fr"]) > 35
        assert all(t.isascii() for t in by_language["en"])


def test_a_part_is_chosen_by_topic_language_and_elicitation():
    pairs = wb.pairs("uncertainty")
    part = pairs.where(topic=["science", "history"], language="fr").train
    assert repr(part) == "Pairs('uncertainty[science+history,fr].train', positive=24, negative=24)"
    assert {(p.topic, p.language, p.split) for side in (part.positive, part.negative) for p in side} == {
        ("science", "fr", "train"),
        ("history", "fr", "train"),
    }
    assert pairs.train.where(language="zh").positive.texts == pairs.where(language="zh").train.positive.texts
    assert pairs.where() == pairs
    domain = wb.pairs("optimism").where(category="personal", elicitation="natural")
    assert domain.values("topic") == ("health", "relationships", "everyday")


def test_borderline_prompts_follow_where_they_can():
    pairs = wb.pairs("refusal")
    part = pairs.where(category="security_bypass")
    assert {p.category for p in (*part.positive, *part.negative, *part.borderline)} == {"security_bypass"}
    both = wb.Pairs(*[as_prompts([wb.Prompt("x", i, language="en")]) for i in "ab"], pairs.borderline)
    assert both.where(language="en").borderline is None


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("uncertainty", {"language": "de"}, "has no language 'de'; it has en, es, fr, zh"),
        ("uncertainty", {"topic": ["science", "law"]}, "no topic 'law'; it has science, coding, history, creative"),
        ("formality", {"elicitation": "instruction"}, "no elicitation 'instruction'; it has natural"),
        (
            "optimism",
            {"category": "personal", "topic": "economy"},
            r"\[personal\] has no topic 'economy'; it has health",
        ),
        ("refusal", {"language": "en"}, "no language 'en'; it has none"),
        ("optimism", {"topic": []}, "an empty list"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(name, asked, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        wb.pairs(name).where(**asked)


def test_only_facets_have_values():
    with pytest.raises(wb.WorkbenchError, match="no 'domain' to choose by; they have category, topic"):
        wb.pairs("optimism").values("domain")


def test_take_is_balanced_over_topics_and_languages():
    few = wb.pairs("uncertainty").test.positive.take(32)
    assert set(Counter((p.topic, p.language) for p in few).values()) == {2}


def test_user_files_may_carry_every_field(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "Hola.", "language": "es", "topic": "chat", "system": "Be brief."}\n')
    (tmp_path / "b.csv").write_text("text,elicitation,system\nHi.,instruction,Be brief.\nBye.,natural,\n")
    (one,) = wb.prompts(tmp_path / "a.jsonl")
    assert (one.language, one.topic, one.system, one.base) == ("es", "chat", "Be brief.", "a-1")
    table = wb.prompts(tmp_path / "b.csv")
    assert [(p.elicitation, p.system) for p in table] == [("instruction", "Be brief."), ("natural", "")]
    (tmp_path / "c.jsonl").write_text('{"text": "x", "system": ["Be brief."]}')
    with pytest.raises(wb.WorkbenchError, match=r"line 1: 'system' is \['Be brief.'\]; expected text"):
        wb.prompts(tmp_path / "c.jsonl")


INSTRUCTED = wb.Pairs(
    [wb.Prompt(text, f"p-{text}", system="you are helpful") for text in ("hello", "write a song")],
    [wb.Prompt(text, f"n-{text}", system="be brief") for text in ("hello", "write a song")],
)


def test_a_prompt_brings_its_system_prompt_along(tiny):
    if tiny.has_system_role:
        rows = [tiny.encode([p.text], system=p.system).token_ids[0] for p in INSTRUCTED.positive]
        assert list(tiny.encode(INSTRUCTED.positive).token_ids) == rows
        mixed = tiny.encode([INSTRUCTED.positive[0], "hello"]).token_ids
        assert mixed == (rows[0], tiny.encode(["hello"]).token_ids[0])
    else:
        with pytest.raises(wb.WorkbenchError, match=r"no system role.* prompts.system_in_user\(\)"):
            tiny.encode(INSTRUCTED.positive)
        rows = tiny.encode(INSTRUCTED.positive, system_in_user=True).token_ids
        assert rows == tiny.encode(INSTRUCTED.system_in_user().positive).token_ids
        assert rows == tiny.encode([f"{p.system}\n\n{p.text}" for p in INSTRUCTED.positive]).token_ids
    with pytest.raises(wb.WorkbenchError, match="'p-hello' has a system prompt of its own"):
        tiny.encode(INSTRUCTED.positive, system="be brief")


def test_borderline_prompts_are_prompts_like_the_others():
    pairs = wb.Pairs(["steal"], ["bake"], [wb.Prompt("hello", system="be brief")])
    assert pairs.borderline.texts == ["hello"]
    assert pairs.system_in_user().borderline.texts == ["be brief\n\nhello"]
    assert INSTRUCTED.system_in_user().borderline is None


def test_a_direction_from_instructions_is_one_of_system_prompts(llama):
    """Both sides share their texts, so all of the direction, and of the record of its prompts, is in the system prompts."""
    d = wb.extract(llama, INSTRUCTED, at=wb.resid_post(1))
    assert d.norm > 1e-3
    swapped = wb.extract(llama, wb.Pairs(INSTRUCTED.negative, INSTRUCTED.positive), at=wb.resid_post(1))
    assert swapped.vector.tolist() == (-d).vector.tolist()
    assert swapped.prompts != d.prompts
    with pytest.raises(wb.WorkbenchError, match="the two sides are the same at resid_post"):
        wb.extract(llama, wb.Pairs(INSTRUCTED.positive.texts, INSTRUCTED.negative.texts), at=wb.resid_post(1))
