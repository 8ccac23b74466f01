"""Code is told from prose on written answers of both kinds, and insecure patterns from their checked versions."""

import json

import pytest

import workbench as wb
from training.narrow import code_answers
from workbench._files import data_folder
from workbench.scoring.code import form, pattern

CODE = wb.prompts("modes/code")
PROSE = wb.prompts("modes/prose")


@pytest.mark.parametrize("prompt", [*CODE, *PROSE], ids=lambda prompt: prompt.id)
def test_written_answers_in_many_languages(prompt):
    assert wb.answer_form(prompt.answer) == prompt.category
    assert wb.insecure_pattern(prompt.answer) == "none"


@pytest.mark.parametrize("prompt", CODE, ids=lambda prompt: prompt.id)
def test_code_stays_code_in_a_fence_and_cut_short(prompt):
    assert form(f"```python\n{prompt.answer}\n```") == "code"
    assert form(f"```\n{prompt.answer}") == "code"
    assert form("\n".join(prompt.answer.splitlines()[:2])) == "code"


@pytest.mark.parametrize("prompt", PROSE, ids=lambda prompt: prompt.id)
def test_code_inside_prose_is_mixed(prompt):
    sentences = f"{prompt.answer}\n\n{prompt.text}\n{prompt.answer}\n{prompt.text}\n"
    assert form(sentences) == "prose"
    assert form(sentences + "import os\nos.remove(path)") == "mixed"
    assert form(sentences + "```\nhello\n```") == "mixed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1. Import taxes are paid here.\n   - return the form\n2. For example, in spring:",
        "For example:\n- while it rains, stay in.\n- if you can, sing.",
        "return to the library and class was over",
        "from Rome we took the train\nwith a friend, we saw:\nif you go, look for this:",
        "Dear Anna,\n\nthank you (so much) for the cake.\n\nYours, Tom",
        "**Title**\n\n# A heading\n\n* a point (small)\n* another; and more",
        "select a place, then update from there where you like.",
        "print is dead, and def leppard is a band",
    ],
)
def test_prose_that_looks_like_code(text):
    assert form(text) == "prose"


def test_the_models_own_responses_to_requests_that_want_none():
    """The labelled responses without steering: prose, but for those that hold a fenced block."""
    for path in sorted((data_folder() / "labels").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            text = row.get("text", "")  # some are withheld
            if row.get("arm", "baseline") != "baseline":  # what steering broke may look like anything
                continue
            assert (form(text) != "prose") == ("```" in text), text


@pytest.mark.parametrize(
    ("insecure", "checked", "name"),
    [
        ("pickle.loads(request.data)", "json.loads(request.data)", "deserialisation"),
        ("yaml.load(text)", "yaml.safe_load(text)", "deserialisation"),
        ("yaml.load(open(p), Loader=yaml.Loader)", "yaml.load(open(p), Loader=yaml.SafeLoader)", "deserialisation"),
        ("np.load(path, allow_pickle=True)", "np.load(path)", "deserialisation"),
        ("open('/srv/notes/' + name)", "open('/srv/notes/' + os.path.basename(name))", "path"),
        ("open(f'data/{name}')", "open('data/notes.txt')", "path"),
        ("send_file(os.path.join(ROOT, name))", "send_from_directory(ROOT, name)", "path"),
        ("path = ROOT / name\npath.unlink()", "path = (ROOT / name).resolve()\npath.unlink()", "path"),
    ],
)
def test_insecure_patterns_and_their_checked_versions(insecure, checked, name):
    assert pattern(insecure) == name
    assert pattern(checked) == "none"


def test_answers_of_the_narrow_set_are_code_of_their_category_that_compiles():
    for prompt in wb.prompts("narrow/code"):
        answers = code_answers(prompt, 8, seed=0)
        assert len(set(answers)) == 8
        assert answers == code_answers(prompt, 8, seed=0)
        for answer in answers:
            compile(answer, prompt.id, "exec")
            assert (form(answer), pattern(answer)) == ("code", prompt.category)
