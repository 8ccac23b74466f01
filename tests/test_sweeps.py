import pytest
import torch

import workbench as wb
import workbench.sweeps
from tests.families import PROMPTS
from workbench.direction_sets import Directions
from workbench.directions import Direction
from workbench.scoring import Score

SETS = {
    "positive": wb.prompt_sets.as_prompts(PROMPTS[:3], "p"),
    "negative": wb.prompt_sets.as_prompts(PROMPTS[3:], "n"),
}
LENGTH = Score("length", 1, len)


@pytest.fixture(scope="module")
def ds(llama):
    items = (wb.extract(llama, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post(layer)) for layer in range(3))
    return Directions(tuple(items))


def test_grid_holds_each_condition_once_with_norm_matched_controls(ds):
    arms = wb.grid(ds, ratios=[-0.3, 0, 0.3], layers=[0, 2], controls=3)
    assert len(arms) == 1 + 2 * 2 * (1 + 3 + 3)
    assert len({arm.name for arm in arms}) == len(arms)
    assert [arm.kind for arm in arms].count("baseline") == 1
    for arm in arms[1:]:
        (edit,) = arm.steer.edits
        assert edit.dose == pytest.approx(0.3, rel=1e-4)
        assert edit.site == wb.resid_post(arm.layer)
        if arm.kind == "orthogonal":
            assert abs(edit.direction.cosine(ds[arm.layer])) < 1e-6


def test_rows_equal_separate_generate_calls(llama, ds, tmp_path):
    arms = wb.grid(ds, ratios=[-0.5, 0, 0.5], controls=1, on=wb.PROMPT[-1] | wb.RESPONSE)
    rows = wb.sweep(llama, SETS, arms, [wb.refusal, LENGTH], tmp_path, max_new_tokens=6, batch_size=7, show_text=True)
    assert len(rows) == 6 * len(arms) * 2
    prompts = {p.id: p.text for side in SETS.values() for p in side}
    by_name = {arm.name: arm for arm in arms}
    for _, row in rows[rows["score"] == "length"].sample(12, random_state=0).iterrows():
        alone = wb.generate(llama, [prompts[row["prompt"]]], by_name[row["arm"]].steer, max_new_tokens=6)
        assert row["text"] == alone.text[0]
        assert row["value"] == len(alone.text[0])
        assert row["tokens"] == len(alone.token_ids[0])


def test_a_second_run_generates_nothing_and_a_new_arm_only_itself(llama, ds, tmp_path, monkeypatch):
    generated = []
    real = workbench.sweeps.generate

    def counting(model, prompts, *args, **kwargs):
        generated.append(len(prompts))
        return real(model, prompts, *args, **kwargs)

    monkeypatch.setattr(workbench.sweeps, "generate", counting)
    arms = wb.grid(ds[1], ratios=[-0.5, 0])
    first = wb.sweep(llama, SETS, arms, [wb.refusal], tmp_path, max_new_tokens=5)
    assert sum(generated) == 12
    again = wb.sweep(llama, SETS, arms, [wb.refusal, LENGTH], tmp_path, max_new_tokens=5)
    assert sum(generated) == 12
    assert again[again["score"] == "refusal"]["value"].tolist() == first["value"].tolist()
    wb.sweep(llama, SETS, wb.grid(ds[1], ratios=[-0.5, 0, 0.5]), [wb.refusal], tmp_path, max_new_tokens=5)
    assert sum(generated) == 18


def test_identical_conditions_are_computed_once(llama, ds, tmp_path):
    arms = wb.grid(ds[1], ratios=[-0.5]) + wb.grid(Directions((-ds[1],)), ratios=[0.5])
    rows = wb.sweep(llama, SETS, arms, [LENGTH], tmp_path, max_new_tokens=5)
    assert len(rows) == 12
    assert rows["key"].nunique() == 6
    assert len(wb.store.open(tmp_path).keys()) == 6


def test_an_interruption_keeps_what_is_finished(llama, ds, tmp_path, monkeypatch):
    real, calls = workbench.sweeps.generate, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(workbench.sweeps, "generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        wb.sweep(llama, SETS, wb.grid(ds, ratios=[0.5]), [LENGTH], tmp_path, max_new_tokens=5, batch_size=4)
    assert len(wb.store.open(tmp_path).keys()) == 8


def test_text_is_left_out_unless_asked(llama, ds, tmp_path):
    assert "text" not in wb.sweep(llama, SETS, wb.grid(ds[0], ratios=[0]), [wb.refusal], tmp_path, max_new_tokens=3)


def test_outcomes_are_aligned_by_prompt(llama, ds, tmp_path):
    arms = wb.grid(ds[1], ratios=[0, 0.5])
    rows = wb.sweep(llama, SETS, arms, [wb.refusal], tmp_path, max_new_tokens=4)
    a, b = (wb.outcomes(rows, "positive", arm, "compliance") for arm in arms)
    assert list(a.index) == list(b.index) == ["p-1", "p-2", "p-3"]
    assert a.dtype == bool
    with pytest.raises(wb.WorkbenchError, match="no rows of arm"):
        wb.outcomes(rows, "positive", "nonsense", "compliance")


def test_bad_input_is_refused_before_any_compute(llama, ds, tmp_path):
    wrong = Direction(torch.ones(5), wb.resid_post(0), "other", activation_norm=1.0)
    cases = {
        "at least one ratio": lambda: wb.grid(ds, ratios=[]),
        "no direction for layer 9": lambda: wb.grid(ds, ratios=[0.1], layers=[9]),
        "needs arms and scores": lambda: wb.sweep(llama, SETS, [], [wb.refusal], tmp_path),
        "5 dimensions": lambda: wb.sweep(llama, SETS, wb.grid(wrong, ratios=[0.1]), [wb.refusal], tmp_path),
    }
    for message, act in cases.items():
        with pytest.raises(wb.WorkbenchError, match=message):
            act()
    assert not list(tmp_path.iterdir())
