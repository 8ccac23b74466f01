"""Estimates: sizes against real modules, arithmetic against counted FLOPs and bytes, rates against planted ones."""

import json
import math
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

import workbench as wb
from tests.families import FAMILIES, PROMPTS, tiny_model
from workbench.caching import PreallocatedCache
from workbench.calibration import Measured, fit
from workbench.generation import generate
from workbench.hardware import GPUS, gpu
from workbench.planning import plan, seconds
from workbench.shapes import shape, shape_of
from workbench.workload import Load, memory_of, phases

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
    for name in wb.registry.SOURCES:
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
    """Twelve equal prompts, so nothing is padded or shared. Eager attention: torch does not count the fused kernel."""
    tiny = tiny_model(family)
    tiny.hf.set_attn_implementation("eager")
    sizes = shape_of(tiny.hf.config.to_dict(), tiny.name)
    ids, mask = tiny.encode([PROMPTS[0]] * 12).tensors()
    cache = PreallocatedCache(tiny.n_layers, ids.shape[1] + 1)
    with torch.no_grad(), FlopCounterMode(display=False) as reading:
        out = tiny.hf(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, logits_to_keep=1)
    step = {
        "input_ids": out.logits[:, -1:].argmax(-1),
        "attention_mask": torch.nn.functional.pad(mask, (0, 1), value=1),
    }
    with torch.no_grad(), FlopCounterMode(display=False) as writing:
        tiny.hf(**step, past_key_values=cache, use_cache=True, logits_to_keep=1)
    load = Load.of([ids.shape[1]], [[0] * 12], 2, 2, 12)
    read, write = phases(sizes, load, 4)
    assert read.flops == pytest.approx(reading.get_total_flops(), rel=0.02)
    assert write.flops == pytest.approx(writing.get_total_flops(), rel=0.02)
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.stack)
    full = replace(load, longest=1)
    assert memory_of(sizes, full, 4)[1] == held


@given(
    st.lists(
        st.tuples(st.integers(2, 90), st.lists(st.integers(0, 99), min_size=1, max_size=9)), min_size=1, max_size=9
    )
)
def test_tokens_read_lie_between_the_shared_and_the_unshared(prompts):
    lengths = [length for length, _ in prompts]
    load = Load.of(lengths, [starts for _, starts in prompts], 8, 8, 4)
    rows = sum(len(starts) for _, starts in prompts)
    assert load.rows == rows
    assert max(rows, sum(lengths)) <= load.read_tokens <= load.prompt_tokens
    unshared = Load.of(lengths, [[0] * len(starts) for _, starts in prompts], 8, 8, 4)
    assert unshared.read_tokens == unshared.prompt_tokens == load.prompt_tokens


def test_a_prefix_is_read_once_per_prompt():
    assert Load.of([40], [[39] * 10], 8, 8, 10).read_tokens == 39 + 10
    assert Load.of([40], [[0] * 10], 8, 8, 10).read_tokens == 400


def test_calibration_recovers_planted_rates(llama):
    truth = replace(gpu("h100", "float32"), prefill=3e9, decode=2e9, bandwidth=5e8, layer_seconds=0.0, overlaps=False)
    sizes = shape_of(llama.hf.config.to_dict(), llama.name)
    runs = []
    for rows in (8, 64):
        for new in (1, 40):
            load = Load.of([20], [[0] * rows], new, new, 32)
            read, write = phases(sizes, load, 4)
            runs.append(Measured(load, seconds(truth, 3, read, truth.prefill) + seconds(truth, 3, write, truth.decode)))
    found = fit(llama, runs, 1e9)
    for name in ("prefill", "decode", "bandwidth"):
        assert getattr(found, name) == pytest.approx(getattr(truth, name), rel=1e-6)


@pytest.mark.parametrize("name", ["qwen2-7b", "gemma2-9b-it", "qwen2.5-32b", "llama3.1-70b"])
def test_plans_scale_as_they_must(name):
    def of(hardware="h200", gpus=8, **options):
        return plan(name, PROMPTS * 40, 31, hardware=hardware, gpus=gpus, **options)

    whole = of()
    assert whole.rows == 240 * 31
    assert whole.copies * whole.per_copy <= 8
    assert of(gpus=16).seconds == pytest.approx(whole.seconds / 2)
    assert of("h100", gpus=8).seconds >= whole.seconds * (1 if of("h100").per_copy > whole.per_copy else 1 - 1e-9)
    assert of(max_new_tokens=96).decode > 1.9 * whole.decode
    assert of(on=wb.PROMPT[-1] | wb.RESPONSE).prefill < whole.prefill / 3
    assert whole.weights == shape(name).parameters * 2
    assert of(batch_size=32).cache == pytest.approx(whole.cache / 5)
    # no device is outrun: neither its FLOP/s nor its bandwidth
    peak = GPUS["h200"]
    load = whole.load
    read, write = phases(shape(name), load, 2)
    assert whole.seconds * whole.copies > (read.flops + write.flops) / (peak.half * 1e12)
    assert whole.seconds * whole.copies > (read.weights + write.weights + write.cache) / (peak.bandwidth * 1e9)
    assert "completions/s" in str(whole)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("qwen9-7b", {"hardware": "h100"}, "did you mean 'qwen2-7b'"),
        ("qwen2-7b", {"hardware": "h1000"}, "did you mean 'h100'"),
        ("qwen2-7b", {"hardware": "h100", "dtype": "int4"}, "dtype 'int4'"),
        ("qwen2-7b", {}, "calibrated with a loaded model"),
        ("qwen2-7b", {"hardware": "h100", "gpus": 0}, "expected at least 1"),
        ("qwen2-7b", {"hardware": "rtx-4090", "dtype": "float32"}, "or dtype='bfloat16'"),
        ("llama3.1-70b", {"hardware": "h100"}, "takes 1[45][0-9] GB, but 1 × h100 can hold 72 GB"),
        ("qwen2.5-32b", {"hardware": "h100", "batch_size": 2000}, "or batch_size="),
    ],
)
def test_mistakes_are_told_before_any_compute(model, options, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        plan(model, PROMPTS * 40, 31, **options)


@pytest.mark.parametrize("name", ["gemma2-9b-it", "qwen2.5-32b", "llama3.1-70b"])
@pytest.mark.parametrize("batch_size", [16, 4000])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_said_to_fit_fits(name, batch_size, dtype):
    options = {"hardware": "a100-80", "dtype": dtype, "batch_size": batch_size, "gpus": 1}
    try:
        assert plan(name, PROMPTS * 40, 31, **options).memory < 80e9
    except wb.WorkbenchError as error:
        ways = str(error).split("what would fit: ")[1].split(" or ")
        for way in ways:
            key, value = way.split("=")
            value = value.strip("'") if key == "dtype" else int(value)
            plan(name, PROMPTS * 40, 31, **(options | {key: value}))
        with pytest.raises(wb.WorkbenchError, match="what would fit"):
            plan(name, PROMPTS * 40, 31, **(options | {"gpus": int(ways[0].split("=")[1]) - 1}))


def test_a_model_too_large_for_this_machine_is_refused_without_running(llama, monkeypatch):
    monkeypatch.setattr("workbench.planning._memory_here", lambda: 1e5)
    monkeypatch.setattr("workbench.calibration.generate", None)
    with pytest.raises(wb.WorkbenchError, match="what would fit"):
        wb.plan(llama, PROMPTS, 3)


def test_a_calibrated_plan_counts_what_the_sweep_does(llama, tmp_path):
    direction = wb.extract(llama, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post(1))
    arms = wb.grid(direction, ratios=[-0.5, 0, 0.5], controls=2) + wb.grid(-direction, ratios=[-0.5, 0.5])
    found = wb.plan(llama, PROMPTS, arms, max_new_tokens=12)
    assert found.rows == len(PROMPTS) * len(arms)
    assert found.load.rows == len(PROMPTS) * (len(arms) - 2)  # the reversed direction repeats two conditions
    assert found.load.prompt_tokens == sum(llama.encode(PROMPTS).lengths) * (len(arms) - 2)
    assert 1 <= found.load.new_tokens <= found.load.longest <= 12
    other = wb.plan(
        "qwen2-7b", PROMPTS, arms, hardware=wb.calibrate(llama, PROMPTS, 3, max_new_tokens=4), dtype="float32", gpus=9
    )
    assert other.seconds > found.seconds


def test_the_estimate_is_close(llama, monkeypatch):
    """In seconds of this process, which other work on the machine does not add to; benchmarks/planning.py takes the clock's."""
    monkeypatch.setattr("workbench.calibration.perf_counter", time.process_time)
    texts = [f"{a} {b}" for a in PROMPTS for b in PROMPTS]
    found = wb.plan(llama, texts, 24, max_new_tokens=40)
    direction = wb.extract(llama, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post(1))
    steers = [wb.add(direction, coef=1e-6 * (i + 1)) for i in range(24)]
    rows = [(text, steer) for text in texts for steer in steers]
    started = time.process_time()
    generate(llama, [t for t, _ in rows], [s for _, s in rows], 40, batch_size=160, progress=False)
    assert math.log2((time.process_time() - started) / found.seconds) == pytest.approx(0, abs=0.8)


def run(*arguments, code=0):
    done = subprocess.run([sys.executable, "-m", "workbench.cli", "plan", *arguments], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_command_line():
    text = run("gemma2-9b-it", "--hardware", "h100", "--arms", "31", "--gpus", "4", "--on", "prompt[-1] | response")
    assert "4 × 1 × h100" in text
    assert "KV cache" in text
    wrong = run("llama3.1-70b", "--hardware", "h100", "--arms", "31", code=2)
    assert wrong.startswith("error: llama3.1-70b in bfloat16")
    assert "gpus=3" in wrong
