"""Estimates: sizes against real modules, arithmetic against counted FLOPs and bytes, time against a planted one."""

import json
import sys
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

import workbench as wb
from tests.families import FAMILIES, PROMPTS, tiny_model
from workbench.cli import main
from workbench.generation.kv_cache import PreallocatedCache
from workbench.generation.memory import row_bytes_of
from workbench.generation.schedule import read_tokens
from workbench.models.hooks import blocks
from workbench.models.registry import SOURCES
from workbench.models.sizes import shape, shape_of
from workbench.sweeps.cost import Load, plan
from workbench.sweeps.hardware import GPUS

#: different prompts, as many as make several batches
TEXTS = [f"{a} {b} {c}" for a in PROMPTS for b in PROMPTS for c in PROMPTS]

#: beginnings of names, and the transformers family they belong to
FAMILY = {
    "llama": "llama",
    "mistral": "mistral",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
    "smollm2": "llama",
}
#: billions of parameters, as the model cards state them
PUBLISHED = {
    "smollm2-135m": 0.135,
    "mistral-7b-v0.2": 7.24,
    "mistral-7b-v0.3": 7.25,
    "qwen3-8b": 8.19,
    "qwen2-7b": 7.62,
    "gemma2-2b-it": 2.61,
    "gemma2-9b-it": 9.24,
    "llama3.1-8b": 8.03,
    "qwen2.5-32b": 32.8,
    "llama3.1-70b": 70.6,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_of_the_module_and_of_the_model_card(name):
    sizes = shape(name)
    family = next(known for known in FAMILY if name.startswith(known))
    config = AutoConfig.for_model(
        FAMILY[family],
        num_hidden_layers=sizes.layers,
        hidden_size=sizes.hidden,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_dim,
        intermediate_size=sizes.intermediate,
        vocab_size=sizes.vocabulary,
        tie_word_embeddings=sizes.tied,
    )
    with torch.device("meta"):
        real = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    assert sizes.parameters == pytest.approx(real, rel=1e-3)
    assert sizes.parameters / 1e9 == pytest.approx(PUBLISHED[name], rel=4e-3)


def test_sizes_by_name_by_id_by_folder_and_of_every_registered_model(tmp_path):
    for name in SOURCES:
        assert shape(name).layers > 0
    assert shape("Qwen/Qwen3-8B") == shape("qwen3-8b")
    assert shape("meta-llama/Llama-3.1-70B-Instruct").name == "llama3.1-70b"
    assert shape("smollm2-refusal") == shape("smollm2-135m")
    sizes = {
        "num_hidden_layers": 2,
        "hidden_size": 8,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 9,
    }
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    assert shape(str(tmp_path)).parameters == 2 * (4 * 8 * 8 + 3 * 8 * 16) + 9 * 8
    with pytest.raises(wb.WorkbenchError, match=r"did you mean 'qwen2\.5-32b'"):
        shape("qwen2.5-32")
    with pytest.raises(wb.WorkbenchError, match="has no 'intermediate_size'"):
        shape_of({k: v for k, v in sizes.items() if k != "intermediate_size"}, "gpt")


@pytest.mark.parametrize("family", FAMILIES)
def test_flops_are_those_that_torch_counts(family):
    """Twelve equal prompts, so nothing is padded or shared. Eager attention and experts: torch counts no fused kernel."""
    tiny = tiny_model(family)
    tiny.hf.set_attn_implementation("eager")
    tiny.hf.set_experts_implementation("eager")
    sizes = shape_of(tiny.hf.config.to_dict(), tiny.name)
    ids, mask = tiny.encode([PROMPTS[0]] * 12).padded()
    cache = PreallocatedCache(tiny.n_layers, ids.shape[1] + 1)
    with torch.no_grad(), FlopCounterMode(display=False) as reading:
        out = tiny.hf(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, logits_to_keep=1)
    step = {
        "input_ids": out.logits[:, -1:].argmax(-1),
        "attention_mask": torch.nn.functional.pad(mask, (0, 1), value=1),
    }
    with torch.no_grad(), FlopCounterMode(display=False) as writing:
        tiny.hf(**step, past_key_values=cache, use_cache=True, logits_to_keep=1)
    tokens = 12 * ids.shape[1]
    read, write, _ = Load(12, 12, tokens, tokens, 24, 2).work(sizes)
    assert read == pytest.approx(reading.get_total_flops(), rel=0.02)
    assert write == pytest.approx(writing.get_total_flops(), rel=0.02)
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.stack)
    assert 12 * row_bytes_of(sizes, ids.shape[1] + 1, 4)[0] == held


PLACES = st.dictionaries(st.tuples(st.integers(0, 40), st.integers(0, 9)), st.integers(1, 9), min_size=1, max_size=9)


@given(PLACES, st.integers(1, 9))
def test_tokens_read_lie_between_the_shared_and_the_unshared(places, batch_size):
    rows = sum(places.values())
    assert rows <= read_tokens(30, places, 10, batch_size) <= 30 * rows + 1e-9
    assert read_tokens(30, {(0, 0): rows}, 10, batch_size) == pytest.approx(30 * rows)


def test_what_comes_before_the_first_edit_is_read_once_per_prompt():
    def read(places):
        return read_tokens(40, places, 10, 10**9)

    assert read({(39, 3): 10}) == pytest.approx(39 + 10)
    assert read({(40, 0): 1, (39, 3): 9}) == pytest.approx(39 + 10)
    assert read({(0, 3): 10}) == pytest.approx(0.3 * 40 + 0.7 * 400)
    assert read({(0, 3): 10, (0, 0): 10}) == pytest.approx(0.3 * 40 + 0.7 * 400 + 400)
    assert read({(30, 1): 10}) == pytest.approx(30 + 10 * 10)
    assert read_tokens(40, {(39, 3): 10}, 10, 1) == 400  # no other row in the batch to share with


@pytest.mark.parametrize("name", ["qwen2-7b", "gemma2-9b-it", "qwen2.5-32b", "llama3.1-70b"])
def test_plans_scale_as_they_must(name):
    def of(hardware="h200", gpus=8, **options):
        return plan(name, TEXTS, 31, hardware=hardware, gpus=gpus, **options)

    whole = of()
    assert whole.rows == len(TEXTS) * 31
    assert whole.copies * whole.per_copy <= 8
    assert of(gpus=16).seconds == pytest.approx(whole.seconds / 2)
    assert of("h100", gpus=8).seconds >= whole.seconds * (1 if of("h100").per_copy > whole.per_copy else 1 - 1e-9)
    assert of(max_new_tokens=96).decode > 1.9 * whole.decode
    assert of(on=wb.PROMPT[-1] | wb.RESPONSE).load.read_tokens < whole.load.read_tokens / 3
    assert whole.weights == shape(name).parameters * 2
    assert of(batch_size=32).cache == pytest.approx(whole.cache / 8)
    # no device is outrun: neither its FLOP/s nor its bandwidth
    _, bandwidth, half, *_ = GPUS["h200"]
    load = whole.load
    assert whole.seconds * whole.copies > sum(load.work(shape(name))[:2]) / (half * 1e12)
    passes = 47 * load.rows / load.batch_size
    assert whole.seconds * whole.copies > passes * whole.weights / 2 / (bandwidth * 1e9)
    assert "completions/s" in str(whole)
    assert "datasheet" in str(whole)
    assert "assumed, not measured" in str(whole)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("qwen9-7b", {"hardware": "h100"}, "did you mean 'qwen2-7b'"),
        ("qwen2-7b", {"hardware": "h1000"}, "did you mean 'h100'"),
        ("qwen2-7b", {"hardware": "h100", "dtype": "int4"}, "dtype 'int4'"),
        ("qwen2-7b", {}, "calibrated with a loaded model"),
        ("qwen2-7b", {"hardware": "h100", "gpus": 0}, "gpus=0: expected a whole number, at least 1"),
        ("qwen2-7b", {"hardware": "rtx-4090", "dtype": "float32"}, "or dtype='bfloat16'"),
        (
            "llama3.1-70b",
            {"hardware": "h100"},
            "takes 141 GB and every row more, but 1 × h100 can hold 72 GB",
        ),
    ],
)
def test_mistakes_are_told_before_any_compute(model, options, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        plan(model, TEXTS, 31, **options)


@pytest.mark.parametrize("name", ["gemma2-9b-it", "qwen2.5-32b", "llama3.1-70b"])
@pytest.mark.parametrize("batch_size", [16, 4000])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_said_to_fit_fits(name, batch_size, dtype):
    options = {"hardware": "a100-80", "dtype": dtype, "batch_size": batch_size, "gpus": 1}
    try:
        found = plan(name, TEXTS, 31, **options)
        assert found.memory < 80e9
        assert found.load.batch_size <= batch_size
    except wb.WorkbenchError as error:
        ways = str(error).split("what would fit: ")[1].split(" or ")
        for way in ways:
            key, value = way.split("=")
            value = value.strip("'") if key == "dtype" else int(value)
            plan(name, TEXTS, 31, **(options | {key: value}))
        with pytest.raises(wb.WorkbenchError, match="what would fit"):
            plan(name, TEXTS, 31, **(options | {"gpus": int(ways[0].split("=")[1]) - 1}))


def test_batches_shrink_to_what_memory_holds_and_grow_with_the_devices():
    rows = [plan("qwen2.5-32b", TEXTS, 31, hardware="h100", gpus=n, batch_size=4000) for n in (1, 2, 8)]
    sizes = [found.load.batch_size for found in rows]
    assert sizes[0] < sizes[1] < sizes[2] == 4000
    assert [found.copies for found in rows[:2]] == [1, 1]


def test_a_model_too_large_for_this_machine_is_refused_without_running(llama, monkeypatch):
    monkeypatch.setattr("workbench.sweeps.cost.free_bytes", lambda device: 0)
    monkeypatch.setattr("workbench.sweeps.cost.continue_tokens", None)
    with pytest.raises(wb.WorkbenchError, match="what would fit"):
        wb.plan(llama, PROMPTS, 3)


def test_a_calibrated_plan_counts_what_the_sweep_does(llama):
    direction = wb.extract(llama, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post(1))
    arms = wb.grid(direction, ratios=[-0.5, 0, 0.5], controls=2) + wb.grid(-direction, ratios=[-0.5, 0.5])
    found = wb.plan(llama, PROMPTS, arms, max_new_tokens=12)
    assert found.rows == len(PROMPTS) * len(arms)
    assert found.load.rows == len(PROMPTS) * (len(arms) - 2)  # the reversed direction repeats two conditions
    assert found.load.prompt_tokens == sum(llama.encode(PROMPTS).lengths) * (len(arms) - 2)
    assert found.load.rows <= found.load.new_tokens <= found.load.rows * found.load.longest
    assert found.load.longest <= 12
    other = wb.plan("qwen2-7b", PROMPTS, arms, 12, hardware=found.hardware, dtype="float32", gpus=9)
    assert other.seconds > found.seconds


class Clock:
    """A machine whose time is known: a block of the model takes so much per pass and so much per token of a row.

    Nothing else takes time, so what an estimate misses is its own doing and not that of the machine it runs on.
    """

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def block(self, module, args, kwargs, out):
        rows, tokens = out.shape[:2]
        self.now += 1e-3 + 2e-5 * rows * tokens

    @contextmanager
    def ticking(self, model):
        handles = [block.register_forward_hook(self.block, with_kwargs=True) for block in blocks(model.hf)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


@pytest.mark.parametrize("on", ["all", "prompt[-1] | response", "response"])
@pytest.mark.parametrize("new", [1, 12])
def test_on_a_machine_whose_time_is_known_the_estimate_is_close(llama, tmp_path, monkeypatch, on, new):
    ds = [wb.extract(llama, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post(layer)) for layer in (0, 1, 2)]
    arms = sum((wb.grid(d, ratios=[-0.9, -0.5, 0.5, 0.9], on=on) for d in ds), wb.grid(ds[0], ratios=[0]))
    monkeypatch.setattr(type(llama), "stop_ids", frozenset(range(15)))  # responses of many lengths
    clock = Clock()
    monkeypatch.setattr("workbench.sweeps.cost.perf_counter", clock)
    with clock.ticking(llama):
        found = wb.plan(llama, TEXTS[::6], arms, max_new_tokens=new, batch_size=96)
        started = clock.now
        wb.sweep(llama, TEXTS[::6], arms, [wb.refusal], tmp_path, max_new_tokens=new, batch_size=96)
    assert found.load.new_tokens < 0.8 * new * found.load.rows or new == 1
    # what is left is chance, which rows are sampled, and how full batches are
    assert found.seconds == pytest.approx(clock.now - started, rel=0.25)


def test_command_line(monkeypatch, capsys):
    options = ["--hardware", "h100", "--arms", "31", "--gpus", "4", "--on"]
    monkeypatch.setattr(sys, "argv", ["workbench", "plan", "gemma2-9b-it", *options, "prompt[-1] | response"])
    with pytest.raises(SystemExit) as ended:
        main()
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert "4 × 1 × h100" in text
    assert "KV cache" in text
    monkeypatch.setattr(sys, "argv", ["workbench", "plan", "llama3.1-70b", *options[:4]])
    with pytest.raises(SystemExit) as ended:
        main()
    wrong = capsys.readouterr().err
    assert ended.value.code == 2
    assert wrong.startswith("error: llama3.1-70b in bfloat16")
    assert "gpus=2" in wrong
