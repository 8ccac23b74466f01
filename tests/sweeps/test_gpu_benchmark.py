"""The benchmark for a GPU runs to its end on a CPU, at a tiny size: it is ready for the day that there is a GPU."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch):
    spec = importlib.util.spec_from_file_location("gpu", BENCHMARKS / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu", module)
    spec.loader.exec_module(module)
    return module


def run(gpu, monkeypatch, out, *more):
    words = [
        "gpu.py",
        "--size",
        "tiny",
        "--rows",
        "4",
        "--conditions",
        "1",
        "2",
        "--new",
        "3",
        "--out",
        str(out),
        *more,
    ]
    monkeypatch.setattr(sys, "argv", words)
    gpu.main()
    return json.loads(out.read_text())


def test_it_measures_all_it_names(gpu, monkeypatch, tmp_path, capsys):
    found = run(gpu, monkeypatch, tmp_path / "gpu.json", "--without", "vllm")
    for conditions in (1, 2):
        ours, plain = (found[f"{who}, {conditions} conditions"] for who in ("workbench", "transformers"))
        assert {"prefill_s", "decode_s", "tokens_per_s", "memory_gb"} <= set(ours)
        assert ours["whole"]  # no row said a stop token
        assert plain["rows_equal"] >= 0.5  # in bfloat16; the same condition on the same prompts
        assert found[f"ratio, {conditions} conditions"]["workbench_over_transformers"] > 0
    assert found["notebooks' dtype"]["as_meant"]
    assert {"prefill_tflops", "step_of_one_row_gb_per_s", "layer_ms_at_most"} <= set(found["the planner's constants"])
    assert found["bar"]["easysteer_tokens_per_s"] == 5620
    assert "tokens_per_s" in capsys.readouterr().out


def test_when_the_time_is_over_it_says_what_it_left_out_and_keeps_the_rest(gpu, monkeypatch, tmp_path):
    found = run(gpu, monkeypatch, tmp_path / "gpu.json", "--without", "vllm", "--seconds", "0")
    assert "1 conditions: left out" in found
    assert "model" in found
    assert "all" in found
