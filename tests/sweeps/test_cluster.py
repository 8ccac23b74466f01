"""Sweeps on a real local Ray cluster with two workers, one of which is killed on the way."""

import os
import pickle
import signal
import sys

import pandas as pd
import psutil
import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface, AutoTokenizer, LlamaForCausalLM

import workbench as wb
from tests.families import PROMPTS, saved_model, tiny_model
from workbench.models.load import EXACT, from_modules, load
from workbench.scoring.scores import Score
from workbench.steering.arms import BASELINE
from workbench.sweeps.cluster import Ray, _load_again, _ShippedModel, choose_cluster

LENGTH = Score("length", 1, len)


def machine(alive=True, **resources):
    return {"Alive": alive, "Resources": resources}


@pytest.mark.parametrize(
    ("asked", "nodes", "room"),
    [
        (Ray(), [machine(CPU=16)], (4, 0, 4, 4)),
        (Ray(), [machine(CPU=2)], (1, 0, 2, 1)),
        (Ray(), [machine(CPU=64, GPU=8), machine(CPU=64, GPU=4)], (12, 1, 1, 8)),
        (Ray(gpus=4), [machine(CPU=64, GPU=8), machine(CPU=64, GPU=6)], (3, 4, 1, 2)),
        (Ray(), [machine(CPU=3, GPU=8)], (3, 1, 1, 3)),
        (Ray(workers=2, cpus=1), [machine(CPU=2), machine(CPU=2, alive=False)], (2, 0, 1, 2)),
    ],
)
def test_one_worker_per_gpu_or_per_share_of_the_cpus(asked, nodes, room):
    assert asked.room(nodes) == room


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Ray(workers=3, cpus=1), "has room for 2 of 3 workers"),
        (Ray(gpus=1), "has 0 GPUs and 2 CPUs"),
        (Ray(cpus=8), "has room for 0 of 1 workers"),
    ],
)
def test_workers_that_do_not_fit_are_refused(asked, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        asked.room([machine(CPU=2)])


def test_a_cluster_without_a_cpu_has_no_room():
    with pytest.raises(wb.WorkbenchError, match="no worker has a CPU"):
        Ray().room([machine(CPU=0)])


def test_places_have_names(llama, tmp_path, monkeypatch):
    assert choose_cluster("ray") == Ray()
    with pytest.raises(wb.WorkbenchError, match="expected 'local', 'ray'"):
        wb.sweep(llama, PROMPTS, [BASELINE], [LENGTH], tmp_path, on="slurm")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(wb.WorkbenchError, match=r"pip install '\.\[ray\]' in the checkout"):
        wb.sweep(llama, PROMPTS, [BASELINE], [LENGTH], tmp_path, on="ray")


def test_a_model_in_memory_is_the_same_after_the_journey(tiny):
    sent = pickle.loads(pickle.dumps(_ShippedModel.of(tiny))).unpack(tiny.name, tiny.revision)
    ids, mask = tiny.encode(PROMPTS).padded()
    with torch.no_grad():
        ours, theirs = (m.hf(input_ids=ids, attention_mask=mask).logits for m in (tiny, sent))
    assert torch.equal(ours, theirs)
    assert (sent.name, sent.revision) == (tiny.name, tiny.revision)
    assert sent.stop_ids == tiny.stop_ids
    assert sent.encode(PROMPTS) == tiny.encode(PROMPTS)


def test_a_model_that_is_another_after_the_journey_is_refused():
    """The worker gives it the driver's name for its weights, so only its memory can tell."""
    ours = tiny_model("llama")
    ours.hf.model.layers[1].input_layernorm.variance_epsilon = 0.5  # in no tensor, and not in the config
    sent = pickle.dumps(_ShippedModel.of(ours))
    with pytest.raises(wb.WorkbenchError, match=r"is [0-9a-f]{12} in memory, and made [0-9a-f]{12} of it.* on='local'"):
        pickle.loads(sent).unpack(ours.name, ours.revision)


def test_a_model_in_16_bits_keeps_its_rotary_frequencies_on_the_journey(tmp_path):
    saved_model("llama", tmp_path)
    module = LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    ours = from_modules(module, AutoTokenizer.from_pretrained(tmp_path), "mine")
    theirs = pickle.loads(pickle.dumps(_ShippedModel.of(ours))).unpack(ours.name, ours.revision)
    sent = dict(theirs.hf.named_buffers())
    assert {buffer.dtype for name, buffer in sent.items() if name.endswith("inv_freq")} == {torch.float32}
    for name, buffer in ours.hf.named_buffers():
        assert torch.equal(buffer, sent[name]), name


def test_exact_attention_is_chosen_anew_after_the_journey(monkeypatch):
    ours = tiny_model("gemma2", "float64")
    sent = pickle.dumps(_ShippedModel.of(ours))
    for known in (AttentionInterface, AttentionMaskInterface):
        monkeypatch.delitem(known._global_mapping, EXACT)  # as in a new process
    theirs = pickle.loads(sent).unpack(ours.name, ours.revision)
    ids, mask = ours.encode(PROMPTS).padded()
    with torch.no_grad():
        logits = [model.hf(input_ids=ids, attention_mask=mask).logits for model in (ours, theirs)]
    assert torch.equal(*logits)
    assert theirs.hf.config._attn_implementation == EXACT


def test_a_loaded_model_says_how_to_load_it_again(tmp_path):
    made = tiny_model("llama")
    made.hf.save_pretrained(tmp_path / "tiny")
    made.tokenizer.save_pretrained(tmp_path / "tiny")
    first = load(str(tmp_path / "tiny"), dtype="float64")
    again = _load_again(pickle.loads(pickle.dumps(first.loading)))
    assert (again.name, again.revision, again.dtype) == (first.name, first.revision, torch.float64)
    assert again.loading == first.loading
    assert made.loading is None


def workers():
    """The processes of this cluster that hold a model."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if title.startswith("ray::MapWorker"):
            found[process.pid] = title
    return found


#: what ``Killing`` saw: the processes at the kill, the one killed and what it was doing, and all that ever held a model
SEEN: dict = {}


class Killing(Ray):
    """Ray, but after the first finished batch a worker that is at work is killed."""

    def stream(self, *arguments):
        SEEN.clear()
        for batch in super().stream(*arguments):
            yield batch
            there = workers()
            if not SEEN:
                victim = max(there, key=lambda pid: "submit" in there[pid])
                os.kill(victim, signal.SIGKILL)
                SEEN.update(before=set(there), victim=victim, doing=there[victim], ever=set())
            SEEN["ever"] |= set(there)


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama", "float64")


@pytest.fixture(scope="module")
def arms(model):
    direction = wb.extract(model, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post(1))
    return wb.grid(direction, ratios=[-0.5, 0, 0.5], controls=2, on=wb.PROMPT[-1] | wb.RESPONSE)


def run(model, arms, store, on, **options):
    return wb.sweep(model, PROMPTS, arms, [wb.refusal], store, 100, batch_size=4, show_text=True, on=on, **options)


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(cluster, model, arms, tmp_path):
    options = {"temperature": 0.9, "seed": 3}
    rows = run(model, arms, tmp_path / "ray", Killing(workers=2, cpus=1), **options)
    assert len(SEEN["before"]) == 2
    assert "submit" in SEEN["doing"]  # it held a batch
    assert SEEN["ever"] - SEEN["before"]  # another was started in its place
    assert rows.equals(run(model, arms, tmp_path / "here", "local", **options))
    stored = [key for part in (tmp_path / "ray").glob("part-*") for key in pd.read_parquet(part)["key"]]
    assert sorted(stored) == sorted(rows["key"])  # each row once, also on disk


@pytest.mark.slow
def test_workers_that_keep_dying_end_the_sweep_and_what_is_finished_stays(cluster, model, arms, tmp_path):
    with pytest.raises(wb.WorkbenchError, match="run the same sweep again to go on"):
        run(model, arms, tmp_path / "ray", Killing(workers=1, cpus=1, restarts=0), stop="verdict")
    alone = run(model, arms, tmp_path / "here", "local", stop="verdict")
    finished = wb.store.open(tmp_path / "ray").frame(show_text=True)
    assert 0 < len(finished) < len(alone)
    assert finished.set_index("key")["text"].to_dict().items() <= alone.set_index("key")["text"].to_dict().items()
