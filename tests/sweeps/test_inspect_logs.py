"""A sweep as logs of Inspect: whole, readable by its own reader, and without any text of a harmful request."""

import json

import pytest

import workbench as wb
from tests.families import PROMPTS
from workbench.sweeps.inspect_logs import NO_TEXT, WITHHELD


@pytest.fixture(scope="module")
def sets():
    harmful = tuple(wb.Prompt(f"{text} badly", f"h{i}", harmful=True) for i, text in enumerate(PROMPTS[:2]))
    harmless = tuple(wb.Prompt(text, f"b{i}") for i, text in enumerate(PROMPTS[2:5]))
    return {"harmful": wb.Prompts("harmful", harmful), "harmless": wb.Prompts("harmless", harmless)}


@pytest.fixture(scope="module")
def rows(llama, sets):
    arms = wb.grid(wb.extract(llama, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post(1)), ratios=[0, 0.3])
    length = wb.Score("characters", 1, lambda text: float(len(text)))
    return wb.sweep(llama, sets, arms, [wb.refusal, length], max_new_tokens=6, show_text=True)


def read(paths):
    return [json.loads(path.read_text()) for path in paths]


def test_each_arm_is_a_log_with_every_prompt_and_score(rows, sets, tmp_path):
    logs = read(wb.write_inspect_logs(rows, tmp_path, sets))
    assert [log["eval"]["task"] for log in logs] == list(rows["arm"].unique())
    for log in logs:
        part = rows[rows["arm"] == log["eval"]["task"]]
        assert {s["id"] for s in log["samples"]} == set(part["set"] + "/" + part["prompt"])
        lengths = part[part["score"] == "characters"].set_index("prompt")["value"]
        for sample in log["samples"]:
            assert sample["scores"]["characters"]["value"] == lengths[sample["id"].split("/")[1]]
        mean = next(s for s in log["results"]["scores"] if s["name"] == "characters")["metrics"]["mean"]["value"]
        assert mean == pytest.approx(lengths.astype(float).mean())
        shares = next(s for s in log["results"]["scores"] if s["name"] == "refusal")["metrics"]
        assert sum(m["value"] for m in shares.values()) == pytest.approx(1)


def test_no_text_of_a_harmful_request_is_in_a_log(rows, sets, tmp_path):
    logs = read(wb.write_inspect_logs(rows, tmp_path, sets))
    for log in logs:
        for sample in log["samples"]:
            said = sample["output"]["choices"][0]["message"]["content"]
            name, prompt = sample["id"].split("/")
            if name == "harmful":
                assert (sample["input"], said) == (WITHHELD, WITHHELD)
                assert [m["content"] for m in sample["messages"]] == [WITHHELD, WITHHELD]
            else:
                assert sample["input"] == next(p.text for p in sets["harmless"] if p.id == prompt)
                assert said == rows[(rows["prompt"] == prompt) & (rows["arm"] == log["eval"]["task"])]["text"].iloc[0]
    whole = "".join(path.read_text() for path in tmp_path.iterdir())
    assert not any(prompt.text in whole for prompt in sets["harmful"])


def test_without_prompts_nothing_is_known_of_harm_and_no_text_is_written(rows, tmp_path):
    for log in read(wb.write_inspect_logs(rows, tmp_path)):
        for sample in log["samples"]:
            assert sample["input"] == sample["id"]
            assert sample["output"]["choices"][0]["message"]["content"] == NO_TEXT


def test_a_missing_value_is_no_score_and_says_why(rows, sets, tmp_path):
    broken = rows.assign(reason="")
    broken.loc[broken.index[0], ["value", "reason"]] = [None, "a thought was cut"]
    log = read(wb.write_inspect_logs(broken, tmp_path, sets))[0]
    sample = next(s for s in log["samples"] if "refusal" not in s["scores"])
    assert sample["metadata"]["no refusal"] == "a thought was cut"
    assert next(s for s in log["results"]["scores"] if s["name"] == "refusal")["unscored_samples"] == 1


def test_what_are_no_rows_of_a_sweep_writes_nothing(rows, sets, tmp_path):
    with pytest.raises(wb.WorkbenchError, match=r"no column score"):
        wb.write_inspect_logs(rows.drop(columns="score"), tmp_path / "new")
    with pytest.raises(wb.WorkbenchError, match=r"no prompt 'h0' in 'harmful'"):
        wb.write_inspect_logs(rows, tmp_path / "new", {"harmless": sets["harmless"]})
    assert not (tmp_path / "new").exists()


#: what inspect_ai 0.3.285 asks of a log: the keys that its models require
REQUIRED = {
    "eval": {"created", "task", "dataset", "model", "config"},
    "samples": {"id", "epoch", "input", "target"},
}


def test_a_log_has_what_the_format_requires(rows, sets, tmp_path):
    paths = wb.write_inspect_logs(rows, tmp_path, sets)
    for path, log in zip(paths, read(paths), strict=True):
        assert log["version"] == 2
        assert log["status"] == "success"
        assert set(log["eval"]) >= REQUIRED["eval"]
        assert all(set(sample) >= REQUIRED["samples"] for sample in log["samples"])
        assert path.name[:10].count("-") == 2  # Inspect lists only files whose names begin with a time
