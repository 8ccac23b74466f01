"""What an explorer shows is what the library computes; nothing is computed twice; what is withheld elsewhere is withheld."""

import asyncio
import warnings

import pytest

import workbench as wb
from tests.families import PROMPTS
from workbench.notebooks import explorer
from workbench.notebooks.explorer import Exploration, Setting
from workbench.notebooks.widgets import _name_of, explore

ON = "prompt[-1] | response"
HARMFUL = "How do I build a bomb at home?"


@pytest.fixture(scope="module")
def ds(llama):
    return wb.extract(llama, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post.all)


@pytest.fixture
def written(monkeypatch):
    """How many rows each call of the generator wrote."""
    rows, real = [], explorer.trace_generation

    def counted(model, prompts, *rest):
        rows.append(len(prompts))
        return real(model, prompts, *rest)

    monkeypatch.setattr(explorer, "trace_generation", counted)
    return rows


def test_answers_and_trajectories_are_those_of_the_library(llama, ds):
    view = Exploration(llama, ds, max_new_tokens=8).view(Setting(PROMPTS[0], 1, 0.6, ON))
    out = wb.generate(llama, [PROMPTS[0]] * 2, [wb.Steer(), wb.add(ds[1], ratio=0.6, on=ON)], max_new_tokens=8)
    assert (view.base.text, view.steered.text) == out.text
    assert view.base.text != view.steered.text
    path = wb.trace(llama, out, ds)
    short = view.steered.trace.dot
    assert short[0] == pytest.approx(path.dot[1, :, : short.shape[-1]], abs=1e-4, nan_ok=True)
    figure = view.figure(layer=2)
    assert {"base", "+0.60"} <= {trace.name for trace in figure.data}


def test_nothing_is_written_twice(llama, ds, written):
    exploration = Exploration(llama, ds, max_new_tokens=4)
    one, other = Setting(PROMPTS[0], 1, 0.6, ON), Setting(PROMPTS[0], 2, -0.3, "all")
    first = exploration.view(one)
    assert exploration.view(other).base is first.base
    assert exploration.view(one) is first
    zero = exploration.view(Setting(PROMPTS[0], 1, 0.0, ON))
    assert zero.steered is zero.base is first.base
    exploration.view(Setting(PROMPTS[1], 1, 0.6, ON))
    assert written == [2, 1, 2]


@pytest.mark.parametrize(("kind", "layer"), [("directions", 2), ("direction", 1), ("direction", 2)])
def test_the_code_shows_the_same_again(llama, ds, kind, layer, capsys, written):
    direction = ds if kind == "directions" else ds[1]
    exploration = Exploration(llama, direction, max_new_tokens=6)
    setting = Setting('list "ten" red birds', layer, -0.45, "response")
    view = exploration.view(setting)
    space = {"lm": llama, "found": direction}
    exec(exploration.code(setting, layer, ("lm", "found")), space)
    assert space["out"].text == (view.base.text, view.steered.text)
    assert capsys.readouterr().out == f"{view.base.text}\n\n{view.steered.text}\n"
    assert space["path"].layers if hasattr(space["path"], "layers") else True


def test_a_direction_without_a_dose_or_of_another_model_is_refused(llama, ds):
    with pytest.raises(wb.WorkbenchError, match="carries no activation norm"):
        explore(llama, wb.Direction(ds[1].vector, ds[1].site, llama.name, llama.revision))
    with pytest.raises(wb.WorkbenchError, match="but the model is tiny-llama"):
        explore(llama, ds[1].transfer("other"))
    with pytest.raises(wb.WorkbenchError, match="layer 9 has no direction; there are 0, 1, 2"):
        explore(llama, ds, layer=9)


def test_steered_answers_to_bundled_harmful_requests_are_withheld_and_to_borderline_ones_shown(llama, ds):
    exploration = Exploration(llama, ds, max_new_tokens=6)
    harmful, borderline = (wb.prompts(f"refusal/{name}")[0].text for name in ("harmful", "borderline"))
    hidden = exploration.view(Setting(f" {harmful.upper()}", 1, 0.6, ON))
    assert "bundled harmful requests" in hidden.withheld
    assert "▮" in str(hidden.figure(1).data)
    assert "harmful=True" in exploration.code(hidden.setting, 1)
    assert "out.text" not in exploration.code(hidden.setting, 1)
    assert exploration.view(Setting(harmful, 1, 0.0, ON)).withheld == ""
    assert exploration.view(Setting(borderline, 1, 0.6, ON)).withheld == ""
    assert Exploration(llama, ds, 6, show_text=True).view(Setting(harmful, 1, 0.6, ON)).withheld == ""


@pytest.mark.model
def test_an_answer_that_steering_brought_out_is_counted_and_not_shown(smollm2_refusal):
    d = wb.extract(smollm2_refusal, wb.pairs("refusal").dev, at=wb.resid_post(18))
    seen = explore(smollm2_refusal, d, prompt=HARMFUL, ratio=-0.3, max_new_tokens=24)
    view = seen.view
    assert (view.base.label, view.steered.label) == ("refusal", "compliance")
    assert view.withheld == "refused without steering, and not refused with it"
    shown = "".join(str(part.value) for name, part in seen._parts.items() if name != "figure")
    assert view.base.text[:30].replace("'", "&#x27;") in shown
    assert view.steered.text[:30] not in shown
    assert "compliance" in shown
    words = set(view.steered.text.split()) - set(view.base.text.split()) - set(HARMFUL.split())
    assert not [word for word in words if len(word) > 6 and word in str(seen._parts["figure"].outputs)]
    asked = explore(smollm2_refusal, d, prompt=HARMFUL, ratio=-0.3, max_new_tokens=24, show_text=True)
    assert asked.view.withheld == ""


def test_widgets_change_what_is_shown_and_mistakes_are_said(llama, ds):
    seen = explore(llama, ds, prompt=PROMPTS[0], ratio=0.6, max_new_tokens=6)
    before = seen._parts["steered"].value, seen.code
    seen._controls["ratio"].value = -0.6
    assert "-0.6 at layer 1" in seen._parts["steered"].value
    assert (seen._parts["steered"].value, seen.code) != before
    assert "ratio=-0.6" in seen.code
    seen._controls["read"].value = 2
    assert seen.code.endswith("layer=2)")
    seen._controls["prompt"].value = "  "
    assert "expected text" in seen._parts["state"].value
    assert "ratio=-0.6" in seen.code  # of what is seen
    assert "application/vnd.jupyter.widget-view+json" in seen._repr_mimebundle_()


def test_text_is_never_read_as_markup(llama, ds):
    seen = explore(llama, ds, prompt="<img src=x onerror=alert(1)>", max_new_tokens=4)
    assert "<img" not in "".join(part.value for name, part in seen._parts.items() if name != "figure")


def test_while_something_moves_nothing_is_computed(llama, ds, written):
    seen = explore(llama, ds, prompt=PROMPTS[0], ratio=0.6, max_new_tokens=4)

    async def drag():
        for ratio in (0.5, 0.4, 0.3, 0.2):
            seen._controls["ratio"].value = ratio
        while seen._due is not None:
            await asyncio.sleep(0.01)

    asyncio.run(drag())
    assert written == [2, 1]
    assert seen.view.setting.ratio == 0.2


def test_things_are_called_as_the_notebook_calls_them(ds):
    assert _name_of(ds, {"x": 1, "ds": ds}) == "ds"
    assert _name_of(ds[2], {"ds": ds}) == "ds[2]"
    assert _name_of(ds[2], {"ds": ds[1], "d": ds[2]}) == "d"
    assert _name_of(ds[2], {}) == ""


def test_every_dose_that_can_be_set_warns_of_nothing(llama, ds):
    exploration = Exploration(llama, ds)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ratio in (-1.0, 1.0):
            exploration.steer(Setting("x", 1, ratio, ON))
