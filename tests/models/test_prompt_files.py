"""The bundled prompts keep their promises; a user's broken file is refused at its line."""

import json
import re
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

import workbench as wb
from workbench._files import data_folder

SIZES = {
    "tuning": (160, 160, 40),
    "train": (128, 128, None),
    "dev": (40, 40, 20),
    "test": (120, 120, 80),
    "confirm": (132, 132, None),
}
SETS = ("harmful", "harmless", "borderline")


def words(text):
    return frozenset(re.findall(r"[a-z0-9']+", text.lower()))


@pytest.fixture(scope="module")
def everything():
    return {name: wb.prompts(f"refusal/{name}") for name in SETS}


@pytest.fixture(scope="module")
def breadth():
    return {name: wb.prompts(f"refusal_breadth/{name}") for name in SETS}


@pytest.fixture(scope="module")
def forms():
    return {name: wb.prompts(f"refusal_forms/{name}") for name in SETS}


def test_sizes_and_splits(everything):
    assert [len(everything[name]) for name in SETS] == [580, 580, 140]
    for split, sizes in SIZES.items():
        part = wb.pairs("refusal").split(split)
        border = None if part.borderline is None else len(part.borderline)
        assert (len(part.positive), len(part.negative), border) == sizes


def test_the_breadth_set_is_for_tuning_only(breadth):
    assert [len(breadth[name]) for name in SETS] == [160, 200, 200]
    part = wb.pairs("refusal_breadth").tuning
    assert (len(part.positive), len(part.negative), len(part.borderline)) == (160, 200, 200)
    assert {prompt.split for name in SETS for prompt in breadth[name]} == {"tuning"}
    assert all(p.base == p.id and p.id.startswith(f"breadth-{n}-{p.category}-") for n in SETS for p in breadth[n])
    counts = Counter(p.category for p in breadth["harmful"])
    assert len(counts) == 12
    assert set(counts.values()) == {13, 14}
    with pytest.raises(wb.WorkbenchError, match="no split 'test'; it has tuning"):
        wb.pairs("refusal_breadth").split("test")


def test_the_forms_set_holds_whole_topics_and_forms_out(forms, everything, breadth):
    assert [len(forms[name]) for name in SETS] == [626, 626, 78]
    contrast = wb.pairs("refusal_forms")
    sizes = {split: len(contrast.split(split).positive) for split in ("tuning", "dev", "topics", "forms")}
    assert sizes == {"tuning": 466, "dev": 40, "topics": 80, "forms": 40}
    learnt = {p.category for sets in (everything, breadth, forms) for p in sets["harmful"].split("tuning")}
    for split, topics in (("dev", 4), ("topics", 8)):
        held = Counter(p.category for p in forms["harmful"].split(split))
        assert set(held.values()) == {10}
        assert len(held) == topics
        assert not learnt & set(held)
        learnt |= set(held)
    lines = [
        json.loads(line) for line in (data_folder() / "prompts/refusal_forms/harmful.jsonl").read_text().splitlines()
    ]
    shapes = {split: {one["form"] for one in lines if one["split"] == split} for split in sizes}
    assert len(shapes["forms"]) == 4
    assert not shapes["forms"] & shapes["tuning"]
    sides = [{p.base: p.split for p in forms[name]} for name in ("harmful", "harmless")]
    assert sides[0] == sides[1]


def test_no_near_duplicates_within_or_across_sets_and_splits(everything, breadth, forms):
    """But for a harmful request and its own match in the set of forms, which differ in what is asked for alone."""
    prompts = [prompt for sets in (everything, breadth, forms) for name in SETS for prompt in sets[name]]
    bags = [words(prompt.text) for prompt in prompts]
    for (a, first), (b, second) in combinations(zip(prompts, bags, strict=True), 2):
        near = len(first & second) / len(first | second) >= 0.6
        assert not near or (a.base == b.base and a.base.startswith("forms-")), (a.text, b.text)


def test_no_prompt_is_in_two_splits_and_ids_are_unique(everything, breadth, forms):
    prompts = [prompt for sets in (everything, breadth, forms) for name in SETS for prompt in sets[name]]
    assert len({p.id for p in prompts}) == len({p.text.lower() for p in prompts}) == len(prompts)
    splits = {}
    for prompt in prompts:
        assert splits.setdefault(prompt.base, prompt.split) == prompt.split, prompt.base


def test_categories_are_balanced_in_every_split(everything):
    for name in ("harmful", "harmless"):
        for split in SIZES:
            counts = Counter(p.category for p in everything[name].split(split))
            assert len(counts) == 4
            assert len(set(counts.values())) == 1


def test_one_sentence_each_without_operational_detail(everything, breadth, forms):
    for prompt in (*everything["harmful"], *(p for sets in (breadth, forms) for name in SETS for p in sets[name])):
        assert "\n" not in prompt.text
        assert len(re.findall(r"[.?!](?:\s|$)", prompt.text)) <= 1, prompt.text
        assert 4 <= len(prompt.text.split()) <= 28, prompt.text
        assert not re.search(r"\d+ ?(?:g|mg|ml|kg|grams?|%|°)\b|https?:|CVE-", prompt.text), prompt.text


def test_the_two_sides_are_matched_in_form(everything):
    """Surface confounds: what a direction could pick up instead of harm. Final character and length carry nothing."""
    harmful, harmless = everything["harmful"], everything["harmless"]
    ends = [Counter(p.text[-1] if p.text[-1] in ".?!" else "none" for p in side) for side in (harmful, harmless)]
    assert ends[0] == ends[1]
    by_base = {p.base: p.text for p in harmless}
    gaps = [len(p.text.split()) - len(by_base[p.base].split()) for p in harmful]
    assert abs(np.mean(gaps)) < 0.75  # words, of about eleven
    assert max(map(abs, gaps)) <= 2


def test_report_of_surface_confounds(record_property):
    """Length and first word barely separate the sides; the bag of words does, since harm is a matter of topic."""
    report = wb.surface_confounds(wb.pairs("refusal"))
    for confound in report.confounds:
        record_property(confound.feature, str(confound.accuracy))
    assert report["last character"].accuracy.value < 0.55
    assert report["first word"].accuracy.value < 0.55
    assert report["words"].accuracy.value < 0.65
    assert report["characters"].accuracy.value < 0.65
    assert report["bag of words"].accuracy.value > 0.7
    assert "bag of words" in report.suspicious


def test_take_is_balanced_and_never_repeats(everything):
    test = everything["harmful"].split("test")
    few = test.take(10)
    assert len({p.id for p in few}) == 10
    assert max(Counter(p.category for p in few).values()) <= 3
    assert test.take(20).texts[:10] == few.texts
    with pytest.raises(wb.WorkbenchError, match="120 distinct prompts; 121"):
        test.take(121)


def test_user_files(tmp_path):
    (tmp_path / "a.jsonl").write_text('"Hello."\n\n{"text": "Bye.", "id": "b", "category": "c"}\n')
    (tmp_path / "b.csv").write_text('id,text\nx,"Hello, you."\ny,Bye.\n')
    assert [(p.id, p.text) for p in wb.prompts(tmp_path / "a.jsonl")] == [("a-1", "Hello."), ("b", "Bye.")]
    assert wb.prompts(tmp_path / "b.csv").texts == ["Hello, you.", "Bye."]
    assert repr(wb.Pairs(["a"], ["b", "c"])) == "Pairs('custom', positive=1, negative=2)"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '"fine"\n{"text": \n', r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", '{"prompt": "x"}\n', r"line 1: 'text' is None"),
        ("a.jsonl", "[1]\n", "line 1: expected a string or an object"),
        ("a.jsonl", '{"text": "x", "id": "q"}\n{"text": "y", "id": "q"}', "line 2: id 'q' is already that of line 1"),
        ("a.jsonl", '{"text": "x", "category": 3}', "line 1: 'category' is 3"),
        ("a.jsonl", "", "is empty"),
        ("a.csv", "prompt\nx\n", "line 1: no column 'text'"),
        ("a.csv", "text,id\na,b,c\n", "line 2: expected 2 columns"),
        ("a.jsonl", '{"text": "x", "harmful": "maybe"}', "line 1: 'harmful' is 'maybe'; expected true or false"),
        ("a.jsonl", '"x"\n{"text": "y", "harmful": null}', "line 2: 'harmful' is None"),
        ("a.jsonl", '{"text": "x", "harmful": true, "harmful": false}', "line 1: 'harmful' occurs twice"),
        ("a.jsonl", '{"text": "x", "Harmful": true}', "line 1: unknown field 'Harmful'; did you mean 'harmful'"),
        ("a.csv", "text,harmfull\nx,True\n", "line 2: unknown field 'harmfull'; did you mean 'harmful'"),
        ("a.csv", "text,harmful\nx,\n", "line 2: 'harmful' is ''; expected true or false"),
        ("a.csv", "text,text\nx,y\n", "line 1: 'text' occurs twice"),
        ("a.csv", "messages\nx\n", "line 1: no column 'text'"),
        ("a.jsonl", '"x"\n"a\\ud800b"', r"line 2: prompt 'a-2': 'text' holds half a character, '.ud800' \(a lone"),
        ("a.jsonl", '{"text": "x", "system": "\\udc00"}', "line 1: prompt 'a-1': 'system' holds half a character"),
        ("a.jsonl", '{"messages": "x"}', "line 1: 'messages' is 'x'; expected a list"),
        ("a.jsonl", '{"messages": [{"role": "user"}]}', "line 1: message 1 is"),
        ("a.jsonl", '{"messages": []}', r"messages=\[\]: a conversation has at least one message"),
        ("a.txt", "x", r"ends in \.jsonl or \.csv"),
    ],
)
def test_broken_files_are_refused_at_their_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(wb.WorkbenchError, match=message):
        wb.prompts(tmp_path / name)


@pytest.mark.parametrize("said", ["True", "true", "TRUE", "1", "1.0", "yes", " Yes ", "t"])
def test_a_harmful_flag_counts_however_it_is_written(tmp_path, said):
    (tmp_path / "a.csv").write_text(f"text,harmful\nx,{said}\ny,False\nz,0\n")
    assert [p.harmful for p in wb.prompts(tmp_path / "a.csv")] == [True, False, False]
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "x", "harmful": said}) + '\n{"text": "y"}')
    assert [p.harmful for p in wb.prompts(tmp_path / "a.jsonl")] == [True, False]
    assert wb.Prompt("x", harmful=said).harmful is True


def test_what_pandas_writes_is_read_back(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"text": ["x", "y"], "harmful": [True, False]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    for name in ("a.csv", "a.jsonl"):
        assert [p.harmful for p in wb.prompts(tmp_path / name)] == [True, False]
    assert wb.Prompt("x", harmful=np.True_).harmful is True
    with pytest.raises(wb.WorkbenchError, match="'harmful' is None; expected true or false"):
        wb.Prompt("x", harmful=None)


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_only_ends_of_lines_end_lines(tmp_path, odd):
    (tmp_path / "a.csv").write_text(f"text,id\none{odd}two,a\nthree,b\n", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text(json.dumps(f"one{odd}two", ensure_ascii=False) + '\n"three"\n', encoding="utf-8")
    for name in ("a.csv", "a.jsonl"):
        if name == "a.jsonl" and odd < " ":
            continue  # JSON escapes these
        assert wb.prompts(tmp_path / name).texts == [f"one{odd}two", "three"]


def test_byte_order_marks_and_windows_line_ends(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbftext,id\r\n"one\r\ntwo",a\r\nthree,b\r\n')
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf"one"\r\n{"text": "two"}\r\n')
    assert wb.prompts(tmp_path / "a.csv").texts == ["one\r\ntwo", "three"]
    assert wb.prompts(tmp_path / "a.jsonl").texts == ["one", "two"]


def test_labels_are_read_by_the_same_rules(tmp_path):
    row = {"prompt": "a", "arm": "base", "model": "m", "text": "one\u2028two", "label": "refusal"}
    (tmp_path / "a.jsonl").write_text("\ufeff" + json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert [labelled.text for labelled in wb.read_labelled(tmp_path / "a.jsonl")] == ["one\u2028two"]


def test_conversations_and_prefills_in_files(tmp_path):
    turns = [
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Bye."},
    ]
    rows = [{"messages": turns, "prefill": "Sure,", "split": "dev"}, {"messages": turns[:1]}, "Hi."]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    talk, one, plain = wb.prompts(tmp_path / "a.jsonl")
    assert (talk.id, talk.prefill, talk.split, len(talk.turns)) == ("a-1", "Sure,", "dev", 3)
    assert (one.text, one.messages) == (plain.text, plain.messages) == ("Hi.", ())
    (tmp_path / "a.csv").write_text('text,prefill,control_tokens\nHi.,"Sure,",no\nBye.,,yes\n')
    assert [(p.prefill, p.control_tokens) for p in wb.prompts(tmp_path / "a.csv")] == [("Sure,", False), ("", True)]


def test_other_encodings_missing_sets_and_splits_are_named(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'"caf\xe9"')
    with pytest.raises(wb.WorkbenchError, match="not UTF-8"):
        wb.prompts(tmp_path / "a.jsonl")
    with pytest.raises(wb.WorkbenchError, match=r"did you mean .refusal/harmful.\? There are .*refusal/borderline"):
        wb.prompts("refusal/harmfull")
    with pytest.raises(wb.WorkbenchError, match="unknown contrast set 'refusals'; did you mean 'refusal'"):
        wb.pairs("refusals")
    with pytest.raises(wb.WorkbenchError, match="no split 'validation'; it has tuning, train, dev, test"):
        wb.pairs("refusal").split("validation")
    with pytest.raises(AttributeError, match="no split 'validation'; it has tuning, train, dev, test"):
        wb.pairs("refusal").validation  # noqa: B018


def test_files_are_plain_lines_of_json():
    from workbench.models.prompt_files import bundled_files

    for path in bundled_files():
        for line in path.read_text().splitlines():
            one = json.loads(line)
            assert {
                "id",
                "category",
                "text",
                *(["choices", "answer"] if "choices" in one else ["base", "split"]),
            } <= set(one)
