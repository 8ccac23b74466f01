"""Options that every notebook has: what they change, and what is refused before anything is loaded."""

import json
import shutil
from pathlib import Path

import pytest

import workbench as wb
from tests.families import tiny_model
from workbench.notebooks.execute import read_parameters
from workbench.notebooks.options import default_dtype

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
OPTIONS = ("base_model", "dtype", "engine", "layers", "doses", "max_new_tokens", "prompts")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_notebook_has_the_same_parameters_and_loads_and_asks_through_them(path):
    known = read_parameters(path)
    assert {"model", "profile", "seed", *OPTIONS} <= set(known)
    assert known["engine"].default == '"workbench"'
    code = "\n".join("".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code")
    assert "wb.NotebookOptions(*given" in code
    assert "wb.load(" not in code  # it would not know the dtype


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"engine": "hf"}, "unknown engine 'hf'; there are workbench, vllm"),
        ({"doses": [0.1], "unused": ("doses",)}, r"doses=\[0.1\]: this notebook has no use for it"),
        ({"layers": [-1]}, "layers: -1 is no index of a layer"),
        ({"layers": [1.5]}, "layers: 1.5 is no index"),
        ({"doses": [0.0]}, "doses: 0.0 is no dose"),
        ({"max_new_tokens": -3}, "max_new_tokens=-3: expected at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(given, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        wb.NotebookOptions(**given)


def test_what_is_given_goes_before_the_profile_and_what_is_not_does_not():
    own, none = wb.NotebookOptions(layers=[5, 2, 5], doses=[0.2], max_new_tokens=9), wb.NotebookOptions()
    assert (own.layers_or([1], 8), own.doses_or((0.1,)), own.tokens_or(24)) == ([2, 5], (0.2,), 9)
    assert (none.layers_or({3, 1}, 8), none.doses_or((0.1,)), none.tokens_or(24)) == ([1, 3], (0.1,), 24)
    with pytest.raises(wb.WorkbenchError, match="layers: 5 of a model with layers 0 to 3"):
        own.layers_or([1], 4)


def test_the_profile_full_takes_requests_first_that_no_other_profile_looks_at():
    quick, full = (wb.NotebookOptions().pairs(profile) for profile in ("quick", "full"))
    fresh = wb.pairs("refusal").split("confirm")
    for side in ("positive", "negative"):
        first = getattr(full.test, side).take(len(fresh.positive))
        assert set(first.texts) == set(getattr(fresh, side).texts)
        assert not set(getattr(quick.test, side).texts) & set(first.texts)
        assert set(getattr(quick.test, side).texts) < set(getattr(full.test, side).texts)
    assert wb.disjoint_gate(full).passed
    assert [p.base for p in full.test.positive] == [p.base for p in full.test.negative]


def test_pairs_of_ones_own_need_the_three_splits(tmp_path):
    lines = [
        f"a harmful request number {i},a kind request number {i},{s}" for i, s in enumerate(("train", "dev", "test"))
    ]
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["positive,negative,split", *lines]) + "\n")
    own = wb.NotebookOptions(prompts=str(path)).pairs("full")
    assert (len(own.train.positive), len(own.dev.negative), len(own.test.positive)) == (1, 1, 1)
    assert len(own.test.borderline) == 80  # the bundled ones
    path.write_text("\n".join(["positive,negative,split", *lines[:2]]) + "\n")
    with pytest.raises(wb.WorkbenchError, match="no pairs with the split test; add a column split"):
        wb.NotebookOptions(prompts=str(path)).pairs()


def test_the_dtype_is_the_devices_own(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_dtype() == "float32"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert default_dtype() == "bfloat16"


def test_what_other_models_say_counts_while_they_are_the_models_that_said_it(tmp_path):
    """A model that was trained again, or is gone, says nothing of what it is now."""
    for name in ("a", "b", "c"):
        tiny_model("llama", layers=2).hf.save_pretrained(tmp_path / name)
    options, files = wb.NotebookOptions(), tmp_path / "runs"

    def told(name, norm, profile="quick"):
        file = files / name / profile / "07_norms" / "norms.json"
        return [one["norm"] for one in options.of_models(file, {"norm": norm}, str(tmp_path / name))]

    assert (told("a", 1), told("b", 2), told("c", 3, "full")) == ([1], [1, 2], [3])
    assert told("a", 4) == [2, 4]  # its own anew, and once
    settings = tmp_path / "b" / "config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"rms_norm_eps": 0.5}))
    assert told("a", 5) == [5]
    assert told("b", 6) == [5, 6]
    shutil.rmtree(tmp_path / "a")
    assert told("b", 7) == [7]
    before = files / "old" / "quick" / "07_norms" / "norms.json"  # it does not say which weights it is of
    before.parent.mkdir(parents=True)
    before.write_text(json.dumps({"model": "old", "norm": 8}))
    assert told("b", 9) == [9]
