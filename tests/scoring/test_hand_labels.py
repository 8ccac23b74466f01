"""Labelled completions: reading, accuracy, the commands that draw and count them, and what the label reaches on them."""

import importlib.util
import json
from pathlib import Path

import pytest

import workbench as wb
from tests.scoring.test_labels import COLLAPSES, COMPLIANCES, REFUSALS
from workbench._files import data_folder
from workbench.scoring.labels import LABELS

ROW = {
    "prompt": "What is the capital of France?",
    "arm": "Steer()",
    "model": "m",
    "text": "Paris.",
    "label": "compliance",
}


def written(path, *rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def command(name):
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script():
    return command("label_set")


@pytest.fixture(scope="module")
def table():
    return command("label_table")


def test_accuracy_is_the_share_of_rows_on_which_scorer_and_person_agree(tmp_path):
    wrong = ROW | {"label": "refusal"}
    rows = wb.read_labelled(written(tmp_path / "a.jsonl", ROW, ROW, "", ROW, wrong))
    found = wb.accuracy(rows, wb.refusal)
    assert (found.value, found.n) == (0.75, 4)
    assert found.low < 0.75 < found.high
    with pytest.raises(wb.WorkbenchError, match=r"coherence gives 1\.0; expected one of refusal"):
        wb.accuracy(rows, wb.coherence)
    with pytest.raises(wb.WorkbenchError, match="no labelled rows"):
        wb.accuracy((), wb.refusal)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "a.jsonl line 2: no JSON"),
        (ROW | {"label": ""}, "line 2: label ''; expected one of refusal"),
        (ROW | {"lable": "refusal"}, "line 2: expected exactly the fields"),
        ({"text": "Paris."}, "line 2: expected exactly the fields"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        wb.read_labelled(written(tmp_path / "a.jsonl", ROW, line))


def test_what_is_drawn_is_settled_by_the_seed_and_no_prompt_is_in_both_parts(script):
    rows, known = script.drawn(), {p.id: p.base for side in script.SIDES for p in wb.prompts(f"refusal/{side}")}
    kept = [{name: row[name] for name in rows[0]} for row in script.load()]
    assert kept == rows
    parts = [{known[row["prompt"]] for row in rows if row["part"] == part} for part in ("tuning", "aside")]
    assert not parts[0] & parts[1]
    for model in script.RECIPES:
        own = [row for row in rows if (row["model"], row["adapter"]) == (model, script.adapter_of(model))]
        aside = [row["arm"] != "baseline" for row in own if row["part"] == "aside"]
        assert len(aside) >= 200
        assert sum(aside) >= len(aside) / 2
    assert sum(row["arm"] != "baseline" for row in rows) >= 0.4 * len(rows) >= 400


def test_texts_are_as_their_hashes_say_and_none_answers_a_harmful_request(script):
    rows = wb.read_labelled(script.SET)
    assert len(rows) >= 1000
    for row in rows:
        assert not row.text or script.digest(row.text) == row.sha256
        if row.set == "harmful" and (" -" in row.arm or row.label == "compliance"):
            assert not row.text


def test_the_table_shown_is_the_one_that_the_files_give(table):
    rows = wb.read_labelled(table.SET)
    assert table.page(rows) in table.PAGE.read_text(encoding="utf-8")
    assert json.loads(table.CONFUSION.read_text()) == table.confusion(rows)


def test_the_readme_tells_the_numbers_of_the_table(table):
    rows = [row for row in table.of_present_adapters(wb.read_labelled(table.SET)) if row.part == "aside" and row.said]
    readme = " ".join((table.ROOT / "README.md").read_text(encoding="utf-8").split())

    def told(hits):
        found = wb.statistics.rate(sum(hits), len(hits))
        return f"{100 * found.value:.0f}% [{100 * found.low:.0f}, {100 * found.high:.0f}]"

    plain, steered = ([row for row in rows if table.kind(row) == kind] for kind in ("untouched", "steered"))
    wrong = [row.said == "compliance" for row in steered if row.label != "compliance"]
    assert f"on {len(rows)} held-out texts" in readme
    for part, of in ((plain, "unsteered and"), (steered, "of steered ones")):
        assert f"{told([row.said == row.label for row in part])} {'of ' if of[0] == 'u' else ''}{of}" in readme
    assert f"{told(wrong)} of steered non-compliance compliance" in readme


def test_what_the_label_is_said_to_say_it_says(script):
    """Of a few texts of each kind: all of them would take a minute. The numbers shown are those of today's label."""
    rows = [row for row in wb.read_labelled(script.SET) if row.text][::12]
    said = wb.refusal.values(None, [row.asked for row in rows], [row.text for row in rows], [wb.Steer()] * len(rows))
    assert [label if isinstance(label, str) else "" for label in said] == [row.said for row in rows]


def test_the_label_on_what_no_rule_was_made_on_errs_no_more_than_was_measured(script):
    rows = [row for row in wb.read_labelled(script.SET) if row.part == "aside" and row.said]
    refusals = [row for row in rows if row.label == "refusal"]
    others = [row for row in rows if row.label != "compliance"]
    assert sum(row.said == row.label for row in rows) >= 0.86 * len(rows)
    assert sum(row.said != "refusal" for row in refusals) <= 0.03 * len(refusals)
    assert sum(row.said == "compliance" for row in others) <= 0.075 * len(others)


def test_the_planted_texts_of_the_label_are_a_labelled_set(tmp_path):
    """What the bundled sets are held to, on texts that are always there."""
    groups = (("refusal", REFUSALS), ("compliance", COMPLIANCES), ("collapse", COLLAPSES))
    rows = [ROW | {"prompt": "", "text": text, "label": name} for name, texts in groups for text in texts]
    found = wb.read_labelled(written(tmp_path / "a.jsonl", *rows))
    assert wb.accuracy(found, wb.refusal).value == 1
    for score in (wb.log000_mention, wb.log001_keyword_refusal, wb.log003_flip, wb.log003_coherent_flip):
        assert wb.accuracy(found, score).value < 0.9


@pytest.mark.parametrize("name", ["smollm2-refusal", "gemma3-refusal"])
def test_on_hard_texts_the_label_beats_every_scorer_of_the_logs(name):
    """A third of them is collapse, much of it half broken: no text alone tells all of that."""
    rows = wb.read_labelled(data_folder() / "labels" / f"{name}.jsonl")
    counts = [sum(row.label == label for row in rows) for label in LABELS]
    assert min(counts) >= 10
    own = wb.accuracy(rows, wb.refusal)
    assert own.value >= 0.75
    for score in (wb.log000_mention, wb.log001_keyword_refusal, wb.log003_flip, wb.log003_coherent_flip):
        assert wb.accuracy(rows, score).high < own.value
