"""The surface report finds what is planted, and only that; and the bundled sets pass it."""

import random

import pytest

import workbench as wb

WORDS = """
river stone garden winter lamp bread cloud horse candle bridge tower forest island letter window ladder
""".split()  # noqa: SIM905
SHAPE = ("last character", "first word", "words", "characters")


def sentences(n, seed, ends="."):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(5, 9))) + ends for _ in range(n)]


def test_a_full_stop_against_a_colon_is_found():
    """Fifty pairs of a log ended so; its direction was punctuation and refusal at once."""
    report = wb.surface_confounds(wb.Pairs(sentences(50, 1), sentences(50, 2, ":")))
    assert report.suspicious == ("last character",)
    found = report["last character"]
    assert (found.accuracy.value, found.accuracy.low, found.positive, found.negative) == (1.0, 1.0, ". 100%", ": 100%")
    assert "last character (100%)" in report.sentence


@pytest.mark.parametrize(
    ("plant", "features"),
    [
        (lambda text: "Quickly " + text, {"first word", "bag of words"}),
        (lambda text: text.removesuffix(".") + " quickly.", {"last word", "bag of words"}),
        (lambda text: "lamp " * 5 + text, {"first word", "words", "characters", "bag of words"}),
        (lambda text: text.replace(" ", " ~~ ", 3), {"characters"}),
        (lambda text: text.replace(" ", " verily ", 1), {"bag of words"}),
    ],
)
def test_what_is_planted_is_found(plant, features):
    clean = sentences(80, 3)
    assert wb.surface_confounds(wb.Pairs(clean, sentences(80, 4))).suspicious == ()
    found = set(wb.surface_confounds(wb.Pairs([plant(text) for text in clean], sentences(80, 4))).suspicious)
    assert features <= found
    assert not set(SHAPE) & (found - features - {"words", "characters"})


def test_few_sets_without_a_difference_are_suspicious():
    """Six features are looked at, each in a small set: the rule must not cry wolf."""
    reports = [wb.surface_confounds(wb.Pairs(sentences(50, 2 * s), sentences(50, 2 * s + 1))) for s in range(100, 112)]
    assert sum(bool(report.suspicious) for report in reports) <= 1


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_sides_are_not_suspicious(seed):
    refusal = wb.pairs("refusal").train
    texts = refusal.positive.texts + refusal.negative.texts
    random.Random(seed).shuffle(texts)
    report = wb.surface_confounds(wb.Pairs(texts[:128], texts[128:]))
    assert report.suspicious == ()
    assert report.sentence == "custom: no surface feature alone tells the sides apart (chance is 50%)."


def test_unequal_sides_neither_look_separable_nor_hide_what_separates_them():
    many, few = sentences(300, 5), sentences(30, 6)
    report = wb.surface_confounds(wb.Pairs(many, few))
    assert report.suspicious == ()
    assert all(abs(c.accuracy.value - 0.5) < 0.12 for c in report.confounds)
    some = [text.replace(".", "!") if i % 4 == 0 else text for i, text in enumerate(many)]
    most = [text.replace(".", "!") if i % 4 else text for i, text in enumerate(few)]
    assert wb.surface_confounds(wb.Pairs(some, most)).suspicious == ("last character",)


def variants(based):
    """Ten bases per side, six variants each; what the variants share is the one word that no other base has."""
    sides = []
    for side in (0, 1):
        items = [
            wb.Prompt(f"topic{side}{base} {text}", f"{side}-{base}-{i}", base=f"{side}-{base}" if based else "")
            for base in range(10)
            for i, text in enumerate(sentences(6, 100 * side + base))
        ]
        sides.append(items)
    return wb.Pairs(*sides)


def test_variants_of_a_base_are_held_out_together():
    """A word that marks one base says nothing about unseen bases; a report that splits a base over folds says it does."""
    together, apart = (wb.surface_confounds(variants(based))["bag of words"] for based in (True, False))
    assert not together.suspicious
    assert together.accuracy.n == 20
    assert apart.accuracy.value > 0.9
    assert apart.accuracy.n == 120


def instructed(positive, negative):
    sides = [
        [
            wb.Prompt(text, f"{text}-{i}", base=text, system=system.format(i % 6))
            for i, text in enumerate(sentences(36, 7))
        ]
        for system in (positive, negative)
    ]
    return wb.Pairs(*sides)


def test_system_prompts_are_part_of_the_surface():
    report = wb.surface_confounds(instructed("Stay cheerful {}.", "Stay gloomy {}."))
    assert report["bag of words"].accuracy.value == 1
    assert report["bag of words"].accuracy.n == 6
    assert report["last character"].accuracy.value == 0.5


def test_the_report_reads_well():
    report = wb.surface_confounds(wb.Pairs(sentences(20, 8, "<b>"), sentences(20, 9, ".")))
    frame = report.frame()
    assert list(frame["feature"]) == [
        "last character",
        "last word",
        "first word",
        "words",
        "characters",
        "bag of words",
    ]
    assert (frame["low"] <= frame["accuracy"]).all()
    assert (frame["accuracy"] <= frame["high"]).all()
    assert str(report).splitlines()[0] == report.sentence
    assert any(line.startswith("! last character") for line in str(report).splitlines())
    page = report._repr_html_()
    assert "<table" in page
    assert "&gt; 100%" in page
    assert report.sentence.split(":")[0] in page
    assert report == wb.surface_confounds(wb.Pairs(sentences(20, 8, "<b>"), sentences(20, 9, ".")))


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(wb.WorkbenchError, match=r"custom has 2 groups of prompts .* expected at least 4"):
        wb.surface_confounds(wb.Pairs(["One."], ["Two."]))
    with pytest.raises(wb.WorkbenchError, match="unknown feature 'length'; there are last character, last word"):
        wb.surface_confounds(wb.Pairs(sentences(9, 1), sentences(9, 2)))["length"]


PARTS = [
    ("optimism", {"elicitation": "natural"}),
    ("optimism", {"elicitation": "instruction"}),
    ("sycophancy", {"elicitation": "natural"}),
    ("sycophancy", {"elicitation": "instruction"}),
    ("formality", {}),
    *[("uncertainty", {"language": language}) for language in ("en", "es", "fr", "zh")],
]


@pytest.mark.parametrize(("name", "part"), PARTS, ids=lambda value: value if isinstance(value, str) else str(value))
@pytest.mark.parametrize("split", [None, "train"])
def test_bundled_sets_carry_nothing_in_their_shape(name, part, split, record_property):
    """Last character, first word and length say (nearly) nothing; the bag of words is recorded as it is."""
    pairs = wb.pairs(name).where(**part)
    report = wb.surface_confounds(pairs if split is None else pairs.split(split))
    record_property("bag of words", str(report["bag of words"].accuracy))
    assert set(report.suspicious) <= {"bag of words"}
    assert report["last character"].accuracy.value == report["first word"].accuracy.value == 0.5
    assert max(report[feature].accuracy.value for feature in SHAPE) < 0.57
