"""Sweeps by vLLM: keys and store, resuming, early stops, rows that fail, engines that die and requests that are rejected."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

import workbench as wb
from tests.families import PROMPTS
from tests.generation.test_steer_hooks import direction
from tests.vllm.conftest import HERE, vllm_sized
from workbench.generation import vllm_engine
from workbench.generation.vllm_engine import VLLM, stop_engine, stream_tokens
from workbench.models.prompts import as_prompts
from workbench.scoring.scores import Score
from workbench.sweeps.rows import Decoding, generate_missing, stream_rows, sweep_rows

LENGTH = Score("length", 1, len)


@pytest.fixture(scope="module")
def model():
    return vllm_sized("llama")


def arms_of(model, n=4):
    d = direction(model, wb.resid_post(1))
    return [wb.BASELINE, *(wb.Arm(wb.add(d, 0.2 * i), "direction", 1, 0.2 * i) for i in range(1, n))]


def test_a_sweep_says_the_same_and_has_keys_of_its_own(model, tmp_path):
    how = {"scores": [LENGTH], "store": tmp_path, "max_new_tokens": 8, "show_text": True}
    ours = wb.sweep(model, PROMPTS, arms_of(model), **how)
    theirs = wb.sweep(model, PROMPTS, arms_of(model), engine=HERE, **how)
    assert (theirs["text"] == ours["text"]).mean() >= 0.99
    assert not set(theirs["key"]) & set(ours["key"])
    assert set(theirs["decoding"]) == {"greedy 8 by vllm"}
    written = len(wb.store.open(tmp_path).keys())
    again = wb.sweep(model, PROMPTS, arms_of(model), engine=HERE, **how)
    for column in ("key", "text", "value", "finish"):
        assert again[column].tolist() == theirs[column].tolist()
    assert len(wb.store.open(tmp_path).keys()) == written == 2 * len(PROMPTS) * 4


def test_the_engine_of_notebook_options_writes_the_sweeps_of_their_model(tiny_folder, tmp_path):
    options = wb.NotebookOptions(engine="vllm")
    assert options.load(str(tiny_folder)).engine == "vllm"


def test_rows_end_where_their_verdict_is_settled_as_they_do_here(model):
    chats = model.encode(PROMPTS)
    steers = [arm.steer for arm in arms_of(model)][: len(PROMPTS)] + [wb.Steer()] * 2

    def settled(text):
        return "e" in text

    theirs = {}
    for ended in stream_tokens(model, chats, steers, 20, 32, HERE, decided=settled):
        theirs.update(ended)
    ours = wb.generate(model, PROMPTS, steers, 20, decided=settled, progress=False)
    assert [theirs[i] for i in range(len(PROMPTS))] == list(ours.token_ids)
    assert "verdict" in ours.finish


def test_a_row_whose_logits_are_no_numbers_fails_alone(model):
    d = wb.Direction(torch.full((model.d_model,), 1e30), wb.resid_post(1), model.name)
    broken = wb.add(d, 1e38, on=wb.RESPONSE[2:])
    theirs = {}
    for ended in stream_tokens(model, model.encode(PROMPTS[:2]), [broken, wb.Steer()], 8, 32, HERE):
        theirs.update(ended)
    ours = wb.generate(model, PROMPTS[1:2], max_new_tokens=8)
    assert theirs[0][-1] == -1
    assert theirs[1] == ours.token_ids[0]


def test_a_request_that_is_rejected_is_one_line_and_the_engine_stays_up(monkeypatch):
    model = vllm_sized("llama", max_position_embeddings=1024)
    chats, plain = model.encode(PROMPTS), [wb.Steer()] * len(PROMPTS)
    list(stream_tokens(model, chats, plain, 4, 32, HERE))
    engine = vllm_engine._LIVE[0]
    monkeypatch.setattr(vllm_engine, "_engine", lambda *_: engine)  # it reads chats of 256 tokens
    long = model.encode([*PROMPTS[:3], " ".join(["red"] * 300), *PROMPTS[4:]])
    engine.held.add(("none",))
    with pytest.raises(wb.WorkbenchError, match="vLLM rejected row 4 of 6") as caught:
        list(stream_tokens(model, long, plain, 4, 32, HERE))
    assert "\n" not in str(caught.value)
    rows = dict(row for ended in stream_tokens(model, chats, plain, 4, 32, HERE) for row in ended)
    assert rows == dict(enumerate(wb.generate(model, PROMPTS, max_new_tokens=4, progress=False).token_ids))
    assert [engine] == vllm_engine._LIVE


def test_weights_that_say_something_else_are_refused_before_anything_is_written(model, tmp_path, monkeypatch):
    stop_engine()
    other = vllm_sized("llama", initializer_range=0.29)
    real = vllm_engine._weights
    monkeypatch.setattr(vllm_engine, "_weights", lambda _: real(other))
    with pytest.raises(wb.WorkbenchError, match="does not say what tiny-llama says here"):
        wb.sweep(model, PROMPTS, arms_of(model), [LENGTH], tmp_path, max_new_tokens=4, engine=HERE)
    assert not wb.store.open(tmp_path).keys()
    stop_engine()


def engines():
    """The processes of vLLM below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "EngineCore" in process.name() or "VLLM" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_an_engine_that_is_killed_loses_no_finished_row_and_the_sweep_goes_on(model, tmp_path):
    store, how = wb.store.open(tmp_path), Decoding(60, engine="vllm")
    prompts = as_prompts([f"{prompt} {word}" for prompt in PROMPTS for word in ("red", "blue", "green", "quickly")])
    rows = sweep_rows(model, {"all": prompts}, arms_of(model, 8), how)
    seen = []

    def killing(*arguments):
        for part in stream_rows(*arguments, vllm=VLLM()):
            seen.extend(part["key"])
            yield part
            for process in engines():
                process.kill()

    with pytest.raises(wb.WorkbenchError, match=r"vLLM's engine died .* run the same sweep again") as caught:
        generate_missing(model, rows, store, how, batch_size=4, stream=killing)
    assert "\n" not in str(caught.value)
    assert 0 < len(seen) < len(rows)
    assert store.keys() == set(seen)
    rest = []

    def counting(*arguments):
        for part in stream_rows(*arguments, vllm=HERE):
            rest.extend(part["key"])
            yield part

    generate_missing(model, rows, store, how, batch_size=64, stream=counting)
    assert store.keys() == {row.key for row in rows}
    assert not set(rest) & set(seen)


@pytest.mark.skipif(
    shutil.disk_usage("/dev/shm").free < 1 << 30, reason="vLLM's workers talk in /dev/shm: 1 GiB is needed"
)
def test_workers_share_a_model_and_one_that_dies_loses_no_finished_row(tmp_path):
    """Tensor parallel: one worker per GPU, or here two processes on the same cores."""
    two = VLLM(gpus=2)
    model = vllm_sized("llama", hidden_size=128, num_attention_heads=4, num_key_value_heads=2)
    how = {"scores": [LENGTH], "store": tmp_path / "same", "max_new_tokens": 24, "show_text": True, "batch_size": 4}
    ours = wb.sweep(model, PROMPTS, arms_of(model), **how)
    theirs = wb.sweep(model, PROMPTS, arms_of(model), engine=two, **how)
    assert (theirs["text"] == ours["text"]).mean() >= 0.99
    store, decoding = wb.store.open(tmp_path / "killed"), Decoding(60, engine="vllm")
    prompts = as_prompts([f"{prompt} {word}" for prompt in PROMPTS for word in ("red", "blue", "green", "quickly")])
    rows = sweep_rows(model, {"all": prompts}, arms_of(model, 8), decoding)
    seen = []

    def killing(*arguments):
        for part in stream_rows(*arguments, vllm=two):
            seen.extend(part["key"])
            yield part
            next(process for process in engines() if "Worker" in process.name()).kill()

    with pytest.raises(wb.WorkbenchError, match=r"vLLM's engine died .* run the same sweep again"):
        generate_missing(model, rows, store, decoding, batch_size=4, stream=killing)
    assert 0 < len(seen) < len(rows)
    assert store.keys() == set(seen)


#: a script as people write them, without a guard for processes that begin by reading it again
SCRIPT = """
import sys
import workbench as wb
from tests.families import PROMPTS
from tests.vllm.conftest import vllm_sized
from tests.vllm.test_sweeps import arms_of
from workbench.models.prompts import as_prompts
from workbench.sweeps.rows import Decoding, generate_missing, stream_rows, sweep_rows

print("begun", flush=True)
model = vllm_sized("llama")
how = Decoding(60, engine="vllm")
prompts = as_prompts([f"{prompt} {word}" for prompt in PROMPTS for word in ("red", "blue", "green", "quickly")])
rows = sweep_rows(model, {"all": prompts}, arms_of(model, 8), how)

def stream(*arguments):
    for part in stream_rows(*arguments, vllm=wb.VLLM()):
        yield part
        print("part", len(part), flush=True)

generate_missing(model, rows, wb.store.open(sys.argv[1]), how, batch_size=4, flush_seconds=0, stream=stream)
print("done", flush=True)
"""


def test_a_process_that_is_killed_leaves_what_it_stored_and_no_engine_behind(tmp_path):
    script, store = tmp_path / "my_sweep.py", tmp_path / "store"
    script.write_text(SCRIPT)
    root = str(Path(__file__).parents[2])
    place = os.environ | {"PYTHONPATH": root}
    with subprocess.Popen(
        [sys.executable, str(script), str(store)], stdout=subprocess.PIPE, text=True, env=place
    ) as run:
        lines = []
        for line in run.stdout:
            lines.append(line.split()[0])
            if lines.count("part") == 2:
                left = psutil.Process(run.pid).children(recursive=True)
                os.kill(run.pid, signal.SIGKILL)
                break
    assert lines == ["begun", "part", "part"]  # begun once: the engine did not run the script again
    assert wb.store.open(store).keys()
    for _ in range(120):
        if not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in left):
            break
        time.sleep(0.5)
    alive = [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    for process in alive:
        process.kill()
    assert not alive
