import json

import numpy as np
import pytest
import torch

import workbench as wb
import workbench.sweeps.rows
from tests.families import PROMPTS
from workbench.models.prompts import as_prompts
from workbench.scoring.scores import Score
from workbench.steering.arms import Arm
from workbench.steering.directions import Direction, Directions

SETS = {
    "positive": as_prompts(PROMPTS[:3], "p"),
    "negative": as_prompts(PROMPTS[3:], "n"),
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
    real = workbench.sweeps.rows.stream_tokens

    def counting(model, encoded, *args, **kwargs):
        generated.append(len(encoded))
        return real(model, encoded, *args, **kwargs)

    monkeypatch.setattr(workbench.sweeps.rows, "stream_tokens", counting)
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
    real, ended = workbench.sweeps.rows.stream_tokens, []

    def interrupted(*args, **kwargs):
        for some in real(*args, **kwargs):
            ended.extend(some)
            yield some
            if len(ended) >= 5:
                raise KeyboardInterrupt

    monkeypatch.setattr(workbench.sweeps.rows, "stream_tokens", interrupted)
    with pytest.raises(KeyboardInterrupt):
        wb.sweep(llama, SETS, wb.grid(ds, ratios=[0.5]), [LENGTH], tmp_path, max_new_tokens=5, batch_size=4)
    assert len(wb.store.open(tmp_path).keys()) == len(ended) < 18


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


def test_rows_state_the_dose_at_each_site_and_the_version_of_the_score(llama, ds, tmp_path):
    arm = Arm(wb.add(ds, ratio=0.3, at=[wb.resid_post(0), wb.resid_post(2)], weights=[2, 1]), "direction", 0, 0.3)
    rows = wb.sweep(llama, SETS, [arm], [wb.refusal], tmp_path, max_new_tokens=3)
    assert json.loads(rows["doses"][0]) == pytest.approx(
        {"blocks.0.hook_resid_post": 0.2, "blocks.2.hook_resid_post": 0.1}
    )
    assert rows["dose"][0] == pytest.approx(0.3)
    assert set(rows["version"]) == {wb.refusal.version}


def test_scores_are_kept_by_version_and_a_new_version_scores_the_stored_text(llama, ds, tmp_path, monkeypatch):
    seen = []

    def length(text):
        seen.append(text)
        return len(text)

    arms = wb.grid(ds[1], ratios=[0, 0.5])
    first = wb.sweep(llama, SETS, arms, [Score("length", 1, length)], tmp_path, max_new_tokens=4)
    assert len(seen) == 12
    monkeypatch.setattr(workbench.sweeps.rows, "stream_tokens", None)
    again = wb.sweep(llama, SETS, arms, [Score("length", 1, length)], tmp_path, max_new_tokens=4)
    assert len(seen) == 12
    assert again.equals(first)
    doubled = Score("length", 2, lambda text: 2 * len(text))
    changed = wb.sweep(llama, SETS, arms, [doubled], tmp_path, max_new_tokens=4)
    assert (changed["value"] == 2 * first["value"]).all()


def test_a_score_may_be_a_number_of_numpy_or_torch(llama, tmp_path):
    scores = [Score("mean", 1, lambda text: np.float32(len(text))), Score("n", 1, lambda text: torch.tensor(len(text)))]
    first, again = (
        wb.sweep(llama, SETS, [wb.BASELINE], scores, tmp_path, max_new_tokens=4, show_text=True) for _ in range(2)
    )
    assert again.equals(first)
    assert first["value"].tolist() == first["text"].map(len).tolist()


def test_sampled_rows_are_rows_of_their_own(llama, ds, tmp_path):
    arms, how = wb.grid(ds[1], ratios=[0, 0.5]), {"max_new_tokens": 6, "show_text": True}
    greedy = wb.sweep(llama, SETS, arms, [LENGTH], tmp_path, **how)
    sampled = [wb.sweep(llama, SETS, arms, [LENGTH], tmp_path, temperature=1.0, seed=seed, **how) for seed in (0, 1)]
    assert len({*greedy["key"], *sampled[0]["key"], *sampled[1]["key"]}) == 36
    assert sampled[0]["text"].tolist() != sampled[1]["text"].tolist()
    prompts = {p.id: p.text for side in SETS.values() for p in side}
    for _, row in sampled[1].sample(4, random_state=0).iterrows():
        steer = next(arm.steer for arm in arms if arm.name == row["arm"])
        alone = wb.generate(llama, [prompts[row["prompt"]]], steer, max_new_tokens=6, temperature=1.0, seed=1)
        assert row["text"] == alone.text[0]


def test_stopping_at_the_verdict_cuts_rows_and_says_so(llama, ds, tmp_path):
    soon = Score("soon", 1, lambda text: len(text.split()) > 3, decided=lambda text: len(text.split()) > 3)
    arms = wb.grid(ds, ratios=[0, 0.5])
    whole = wb.sweep(llama, SETS, arms, [soon], tmp_path, max_new_tokens=20, show_text=True)
    cut = wb.sweep(llama, SETS, arms, [soon], tmp_path, max_new_tokens=20, show_text=True, stop="verdict")
    assert (cut["value"] == whole["value"]).all()
    ended = cut["finish"] == "verdict"
    assert ended.any()
    assert set(cut[ended]["tokens"]) == {8}
    assert all(a.startswith(b) for a, b in zip(whole["text"], cut["text"], strict=True))
    assert set(whole["key"]).isdisjoint(cut["key"])
    with pytest.raises(wb.WorkbenchError, match="decided only at the end"):
        wb.sweep(llama, SETS, arms, [LENGTH], tmp_path, stop="verdict")


def test_screening_generates_only_for_arms_that_move_the_margin(llama, ds, tmp_path):
    arms = wb.grid(ds[2], ratios=[0, 0.0001, 0.9])
    rows = wb.sweep(llama, SETS, arms, [wb.refusal], tmp_path, max_new_tokens=4, screen="margin", screen_least=0.01)
    by_arm = {arm.name: set(rows[rows["arm"] == arm.name]["finish"]) for arm in arms}
    assert by_arm[arms[1].name] == {"screened"}
    assert "screened" not in by_arm["baseline"] | by_arm[arms[2].name]
    screened = rows[rows["finish"] == "screened"]
    assert screened["value"].isna().all()
    assert (screened["tokens"] == 0).all()
    assert rows["margin"].notna().all()
    assert len(wb.store.open(tmp_path).keys()) == 12
    with pytest.raises(wb.WorkbenchError, match="screened out"):
        wb.outcomes(rows, "positive", arms[1], "refusal")


def test_a_dose_that_turns_to_nan_fails_alone_and_is_named(llama, ds, tmp_path, caplog, monkeypatch):
    broken = Arm(wb.add(ds[1], 1e38) + wb.add(-ds[1].random(0), 1e38), "direction", 1, 9.0)
    arms = [*wb.grid(ds[1], ratios=[0, 0.5]), broken]
    how = {"max_new_tokens": 5, "batch_size": 4}
    rows = wb.sweep(llama, SETS, arms, [wb.refusal, wb.coherence, LENGTH], tmp_path, show_text=True, **how)
    failed = rows[rows["finish"] == "failed"]
    assert set(failed["arm"]) == {broken.name}
    assert len(failed) == 6 * 3
    assert failed["value"].isna().all()
    assert set(failed["reason"]) == {"the model returned NaN"}
    assert set(rows[rows["finish"] != "failed"]["reason"]) == {""}
    assert failed["text"].isna().all()
    assert f"6 of 6 rows of arm {broken.name!r} (dose " in caplog.text
    plain = wb.sweep(
        llama, SETS, arms[:2], [wb.refusal, wb.coherence, LENGTH], tmp_path / "other", show_text=True, **how
    )
    kept = rows[rows["arm"] != broken.name]
    assert kept["text"].tolist() == plain["text"].tolist()
    assert kept["value"].tolist() == plain["value"].tolist()
    for label in ("compliance", "refusal", "collapse"):
        with pytest.raises(wb.WorkbenchError, match=r"3 of 3 rows of arm .* have no label"):
            wb.outcomes(rows, "positive", broken, label)
    assert wb.outcomes(rows, "positive", arms[1], "refusal").dtype == bool
    monkeypatch.setattr(workbench.sweeps.rows, "stream_tokens", None)  # nothing is tried again
    again = wb.sweep(llama, SETS, arms, [wb.refusal, wb.coherence, LENGTH], tmp_path, show_text=True, **how)
    assert again.equals(rows)


def test_failed_rows_are_no_effect_and_no_coherence(llama, ds, tmp_path):
    broken = Arm(wb.add(ds[1], 1e38) + wb.add(-ds[1].random(0), 1e38), "direction", 1, 9.0)
    good = SETS["positive"]
    rows = wb.sweep(llama, good, [wb.BASELINE, broken], [LENGTH, wb.coherence], tmp_path, max_new_tokens=4)
    effects = wb.dose_effects(rows, "length")
    assert effects["coherence"].tolist() == [0.0]
    assert not effects["steers"].any()


def test_an_unlucky_screening_is_not_hidden(llama, ds, tmp_path):
    broken = Arm(wb.add(ds[1], 1e38) + wb.add(-ds[1].random(0), 1e38), "direction", 1, 9.0)
    rows = wb.sweep(llama, SETS, [wb.BASELINE, broken], [wb.refusal], tmp_path, max_new_tokens=4, screen="margin")
    assert set(rows[rows["arm"] == broken.name]["finish"]) == {"failed"}


def test_what_a_sweep_refuses_before_any_compute(llama, ds, tmp_path, monkeypatch):
    for name in ("read_margins", "generate_missing"):
        monkeypatch.setattr(f"workbench.sweeps.sweep.{name}", None)
    arms, one = wb.grid(ds[1], ratios=[0, 0.5]), wb.grid(ds[1], ratios=[0.5])
    twin = wb.grid(ds[1].random(3), ratios=[0.5])
    same_id = wb.Prompts("p", (wb.Prompt("write a song", "a"), wb.Prompt("bake a cake", "a")))
    cases = {
        "max_new_tokens=0: ": {"max_new_tokens": 0},
        "max_new_tokens=2.5: ": {"max_new_tokens": 2.5},
        "batch_size=-1: ": {"batch_size": -1},
        "temperature is -1": {"temperature": -1},
        "top_p is 0": {"top_p": 0},
        "2 arms called 'direction L1 .0.50'": {"arms": one + twin},
        "2 arms called 'baseline'": {"arms": arms + arms[:1]},
        "2 scores called 'refusal'": {"scores": [wb.refusal, wb.refusal]},
        "2 prompts of 'prompts' with the id 'a'": {"prompts": same_id},
        "2 prompts of 'mine' with the id 'a'": {"prompts": {"mine": same_id}},
        "outside a prompt of": {"arms": wb.grid(ds[1], ratios=[0.5], on="prompt[99]")},
        r"prompt\[50:\] means no token of any chat": {"arms": wb.grid(ds[1], ratios=[0.5], on="prompt[50:]")},
        r"response\[48:\] means no token of any chat": {"arms": wb.grid(ds[1], ratios=[0.5], on="response[48:]")},
        "is no arm": {"arms": [wb.add(ds[1], 1)]},
        "list of arms": {"arms": arms[0]},
        "is no score": {"scores": [len]},
        "expected 'local', 'ray'": {"on": "cloud"},
    }
    for message, change in cases.items():
        asked = {"prompts": SETS, "arms": arms, "scores": [wb.refusal], "screen": "margin"} | change
        with pytest.raises(wb.WorkbenchError, match=message):
            wb.sweep(llama, store=tmp_path, **asked)
    assert not list(tmp_path.iterdir())


def test_a_torn_part_costs_its_own_rows_only(llama, ds, tmp_path, caplog):
    arms = wb.grid(ds[1], ratios=[0, 0.5])
    first = wb.sweep(llama, SETS, arms, [wb.refusal], tmp_path, max_new_tokens=4)
    part = next(tmp_path.glob("part-*"))
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    (tmp_path / "score-0.parquet").touch()
    again = wb.sweep(llama, SETS, arms, [wb.refusal], tmp_path, max_new_tokens=4)
    assert again.equals(first)
    assert f"{part.name} is no whole part" in caplog.text
    assert "score-0.parquet is no whole part" in caplog.text


def test_a_store_from_before_ends_were_kept_is_read(llama, tmp_path):
    import pyarrow.parquet as pq

    before = wb.sweep(llama, PROMPTS[:2], [wb.BASELINE], [wb.refusal], tmp_path, max_new_tokens=2)
    for part in tmp_path.glob("part-*"):
        pq.write_table(pq.read_table(part).drop_columns(["finish"]), part)
    again = wb.sweep(llama, PROMPTS[:2], [wb.BASELINE], [wb.refusal], tmp_path, max_new_tokens=2)
    assert again["value"].tolist() == before["value"].tolist()
    assert set(again["finish"]) == {""}
    assert len(list(tmp_path.glob("part-*"))) == 1
