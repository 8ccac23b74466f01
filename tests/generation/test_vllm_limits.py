"""The table of what each engine can do: every line of it is tried, and the page shows this table. None of it needs vLLM."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import workbench as wb
from tests.families import tiny_model
from tests.generation.test_steer_hooks import direction
from workbench.generation.vllm_limits import ABILITIES, DTYPES, ROPES, SITES, refuse, rope_kind, table
from workbench.models.hooks import PRE_NORM, SANDWICH
from workbench.steering.sites import HOOK_NAMES, Site
from workbench.steering.steer import OPERATIONS

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama")


def edits(model, site, operation="add"):
    d = direction(model, site)
    return {"add": lambda: wb.add(d, 0.3), "ablate": lambda: wb.ablate(d), "clamp": lambda: wb.clamp(d, high=0.0)}[
        operation
    ]()


def stretched(kind):
    rope = {"rope_type": kind, "rope_theta": 10000.0, "factor": 2.0, "original_max_position_embeddings": 64}
    if kind == "llama3":
        rope |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    if kind == "longrope":
        rope |= {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
    return tiny_model("llama", rope_parameters=rope)


def gated(model, on):
    d = direction(model, wb.resid_post(1))
    return wb.add(d, 0.3, on=on).when(d, above=0.0, read=wb.PROMPT[-1])


POST = wb.resid_post(1)
#: what each line of the table means: a model, Steers, and tokens per pass
TRIED = {
    **{f"edits and gates at {kind}": lambda m, kind=kind: (m, [edits(m, Site(1, kind))], 0) for kind in HOOK_NAMES},
    **{f"operation {name}": lambda m, name=name: (m, [edits(m, POST, name)], 0) for name in OPERATIONS},
    "any Positions, of prompt and response": lambda m: (
        m,
        [wb.add(direction(m, POST), 1.0, on=on) for on in (wb.ALL, wb.PROMPT[2:5] | wb.RESPONSE[1])],
        0,
    ),
    "a gate per token": lambda m: (m, [wb.ablate(direction(m, POST)).when(direction(m, POST), above=0.0)], 8),
    "a gate per prompt": lambda m: (m, [gated(m, wb.ALL)], 0),
    "a gate per prompt, behind edits, with chunk=": lambda m: (m, [gated(m, wb.ALL)], 8),
    "another Steer in every row of a batch": lambda m: (m, [edits(m, POST, name) for name in OPERATIONS], 0),
    **{f"weights in {dtype}": lambda m, dtype=dtype: (tiny_model("llama", dtype), [], 0) for dtype in DTYPES},
    "weights in float64": lambda m: (tiny_model("llama", "float64"), [], 0),
    "rotary embeddings: default, linear, llama3, yarn": lambda m: [(stretched(kind), [], 0) for kind in ROPES],
    "rotary embeddings: dynamic, longrope": lambda m: [(stretched(kind), [], 0) for kind in ("dynamic", "longrope")],
}

#: lines that other tests hold: with vLLM in tests/vllm, the engine of this package in tests/generation and tests/sweeps
ELSEWHERE = {
    "greedy decoding",
    "sampling, a seed per row",
    'stop="verdict"',
    'screen="margin", and scores that read again',
    'on="ray"',
    "several GPUs for one model",
    "wb.generate, wb.trace, wb.amplify",
}


def test_every_line_is_tried_here_or_held_elsewhere():
    assert {one.what for one in ABILITIES} == set(TRIED) | ELSEWHERE
    assert not set(TRIED) & ELSEWHERE


@pytest.mark.parametrize("ability", [one for one in ABILITIES if one.what in TRIED], ids=lambda one: one.what)
def test_what_the_table_says_is_what_happens(model, ability):
    cases = TRIED[ability.what](model)
    for given, steers, chunk in cases if isinstance(cases, list) else [cases]:
        if ability.refused:
            with pytest.raises(wb.WorkbenchError, match=re.escape(ability.vllm.removeprefix("no: "))) as caught:
                refuse(given, steers or [wb.Steer()], [12] * max(len(steers), 1), chunk)
            assert 'engine="workbench"' in str(caught.value)
        else:
            refuse(given, steers or [wb.Steer()], [12] * max(len(steers), 1), chunk)


def test_a_gate_is_refused_in_pieces_only_where_edits_come_before_what_it_reads(model):
    refuse(model, [gated(model, wb.PROMPT[-1] | wb.RESPONSE)], [12], 8)
    with pytest.raises(wb.WorkbenchError, match="chunk=8"):
        refuse(model, [gated(model, wb.PROMPT[-2:])], [12], 8)
    far = direction(model, wb.q(1))
    with pytest.raises(wb.WorkbenchError, match=r"cannot edit q\(1\)"):
        refuse(model, [wb.add(direction(model, POST), 0.3).when(far, above=0.0)], [12])


def test_the_worker_hooks_the_sites_of_the_table_where_the_loaded_model_does():
    for places in (PRE_NORM, SANDWICH):
        assert set(places) - set(SITES) == {"q", "k", "v", "z"}  # vLLM's layers have them in one product


def test_kinds_of_rotary_embeddings_are_read_from_the_configuration(model):
    assert rope_kind(model) == "default"
    assert rope_kind(tiny_model("gemma3")) == "default"
    assert rope_kind(stretched("yarn")) == "yarn"


def test_the_page_shows_this_table():
    assert table() in PAGE.read_text()


def test_a_model_says_which_engine_writes_its_sweeps(model):
    assert model.engine == "workbench"
    assert replace(model, engine="vllm").revision == model.revision
