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


def test_a_dose_beyond_1_is_the_dose_that_is_explored(llama, ds):
    with pytest.warns(UserWarning, match="a dose above 1"):
        seen = explore(llama, ds, prompt=PROMPTS[0], ratio=-1.5, max_new_tokens=2)
    assert seen.setting.ratio == -1.5
    assert "ratio=-1.5" in seen.code


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


@pytest.fixture(scope="module")
def several(llama, ds):
    """A direction per layer, and a single one, by name."""
    other = wb.extract(llama, wb.Pairs(PROMPTS[1:4], PROMPTS[4:7]), at=wb.resid_post(1))
    return {"mood": ds, "topic": other}


def _run(exploration, setting, **space):
    space["model"] = exploration.model
    exec(exploration.code(setting, setting.layer), space)
    return space


@pytest.mark.parametrize("layer", [1, 2])
def test_directions_are_added_and_subtracted_at_once(llama, several, layer):
    exploration = Exploration(llama, several, max_new_tokens=6)
    setting = Setting(PROMPTS[0], layer, 0.4, ON, signs=(("mood", 1), ("topic", -1)))
    view = exploration.view(setting)
    mood, topic = several["mood"][layer], several["topic"]
    at = wb.resid_post(layer)
    whole = wb.add(mood, ratio=0.4, on=ON) + wb.add(topic, coef=-0.4 / topic.relative_norm, on=ON, at=at)
    assert exploration.steer(setting).key == whole.key
    space = _run(exploration, setting, direction=several)
    assert space["out"].text == (view.base.text, view.steered.text)
    assert "+0.40 mood, -0.40 topic" in {line.name for line in view.figure(layer, "topic").data}
    off = exploration.view(Setting(PROMPTS[0], layer, 0.4, ON, signs=(("mood", 0), ("topic", 0))))
    assert off.steered is off.base


def test_directions_that_cannot_be_explored_together_are_refused(llama, ds):
    with pytest.raises(wb.WorkbenchError, match="no layer has all of the directions a, b"):
        Exploration(llama, {"a": ds.select([0]), "b": ds.select([1])})
    with pytest.raises(wb.WorkbenchError, match="expected a Direction, or Directions"):
        Exploration(llama, {"a": 1})
    with pytest.raises(wb.WorkbenchError, match="no direction is given"):
        Exploration(llama, {})
    with pytest.raises(wb.WorkbenchError, match="there is no direction 'b'; there are a"):
        Exploration(llama, {"a": ds}).view(Setting(PROMPTS[0], 1, 0.4, ON, signs=(("b", 1),)))


@pytest.mark.parametrize("side", ["base", "steered"])
def test_an_answer_becomes_part_of_the_conversation(llama, ds, side):
    exploration = Exploration(llama, ds, max_new_tokens=6)
    first = exploration.view(Setting(PROMPTS[0], 1, 0.6, ON))
    setting = exploration.reply(first, side, PROMPTS[1])
    assert setting.turns == (("user", PROMPTS[0]), ("assistant", first.answer(side).text.strip()))
    view = exploration.view(setting)
    chat = wb.Prompt(messages=[*setting.turns, ("user", PROMPTS[1])])
    out = wb.generate(llama, [chat] * 2, [wb.Steer(), wb.add(ds[1], ratio=0.6, on=ON)], max_new_tokens=6)
    assert (view.base.text, view.steered.text) == out.text
    assert _run(exploration, setting, direction=ds)["out"].text == out.text


@pytest.mark.parametrize("on", [ON, "response[:3]", "all", "prompt"])
def test_a_fork_with_the_same_token_goes_on_as_before(llama, ds, on):
    """The edit stays on the tokens that it was on, though they are part of the prompt now."""
    exploration = Exploration(llama, ds, max_new_tokens=6)
    setting = Setting(PROMPTS[0], 1, 0.6, on)
    view = exploration.view(setting)
    ids = view.steered.token_ids
    alternatives = exploration.alternatives(view, "steered", 2, k=5)
    assert alternatives[0].token_id == ids[2]
    assert [a.probability for a in alternatives] == sorted((a.probability for a in alternatives), reverse=True)
    again = exploration.view(exploration.fork(view, "steered", 2, ids[2]))
    assert again.steered.token_ids[: len(ids) - 3] == ids[3:]
    assert again.steered.whole.startswith(view.steered.text)
    deeper = exploration.alternatives(again, "steered", 0, k=5)
    straight = exploration.alternatives(view, "steered", 3, k=5)
    assert [a.token_id for a in deeper] == [a.token_id for a in straight]
    assert [a.probability for a in deeper] == pytest.approx([a.probability for a in straight], abs=1e-5)


def test_a_fork_goes_on_from_the_token_that_was_chosen(llama, ds):
    exploration = Exploration(llama, ds, max_new_tokens=6)
    view = exploration.view(Setting(PROMPTS[0], 1, 0.6, ON))
    other = next(a for a in exploration.alternatives(view, "steered", 1)[1:] if not a.problem)
    forked = exploration.view(exploration.fork(view, "steered", 1, other.token_id))
    first = exploration.tokens(view, "steered")[0]
    assert forked.setting.prefill.split() == [first, other.text]
    space = _run(exploration, forked.setting, direction=ds)
    assert space["out"].text == (forked.base.text, forked.steered.text)
    with pytest.raises(wb.WorkbenchError, match="ends the answer"):
        exploration.fork(view, "base", 0, next(iter(llama.stop_ids)))
    with pytest.raises(wb.WorkbenchError, match="the answer has 6 tokens"):
        exploration.alternatives(view, "steered", 6)


def test_what_is_withheld_is_not_continued_forked_or_brought_out_by_a_beginning(llama, ds):
    exploration = Exploration(llama, ds, max_new_tokens=6)
    harmful = wb.prompts("refusal/harmful")[0].text
    hidden = exploration.view(Setting(harmful, 1, 0.6, ON))
    for refused in (
        lambda: exploration.reply(hidden, "steered", "go on"),
        lambda: exploration.alternatives(hidden, "steered", 0),
        lambda: exploration.fork(hidden, "steered", 0, hidden.steered.token_ids[0]),
    ):
        with pytest.raises(wb.WorkbenchError, match="this answer is withheld"):
            refused()
    assert set(exploration.tokens(hidden, "steered")) == {"▮"}
    later = exploration.view(exploration.reply(hidden, "base", "list ten red birds"))
    assert "bundled harmful requests" in later.withheld
    assert later.base_withheld == ""
    begun = exploration.view(exploration.fork(hidden, "base", 0, hidden.base.token_ids[0]))
    assert "begun for the model" in begun.base_withheld
    assert begun.withheld
    code = exploration.code(begun.setting, 1)
    assert "out.text" not in code
    assert 'path["hidden"] = path["offset"] >= 0' in code
    exec(code, {"model": llama, "direction": ds})


def test_a_refusal_anywhere_in_the_conversation_counts(llama, ds):
    exploration = Exploration(llama, ds, max_new_tokens=6)
    turns = (("user", "some request"), ("assistant", "I'm sorry, but I can't help with that."))
    view = exploration.view(Setting("go on", 1, 0.6, ON, turns=turns))
    assert view.withheld == "refused without steering, and not refused with it"
    begun = Exploration(llama, ds, 6).view(Setting("go on", 1, 0.0, ON, turns=turns, prefill="list"))
    assert "begun for the model" in begun.base_withheld


def test_a_chat_with_several_directions_goes_on_by_clicks(llama, several):
    seen = explore(llama, several, prompt=PROMPTS[0], ratio=0.6, max_new_tokens=6)
    seen._signs["topic"].value = -1
    assert seen.view.setting.signs == (("mood", 1), ("topic", -1))
    assert "+0.60 mood, -0.60 topic" in seen._parts["steered"].value
    assert "ratio=-0.6" in seen.code
    seen._controls["shown"].value = "topic"
    assert "wb.trace(model, out, direction['topic']" in seen.code
    assert [text for text, _ in seen._chat["token"].options] == seen.exploration.tokens(seen.view, "steered")
    before = seen.view
    seen._chat["token"].index = 1
    assert seen._chat["other"].options[0][0].endswith("%")
    writable = next(i for i, one in enumerate(seen._others) if i and not one.problem)
    seen._chat["other"].index = writable
    assert seen.view.setting.prefill.endswith(seen._others[writable].text)
    assert "wb-begun" in seen._parts["steered"].value
    assert "prefill=" in seen.code
    assert seen._chat["token"].index is None
    seen._chat["back"].click()
    assert seen.view is before
    said = seen.view.steered.text.strip()
    seen._chat["steered"].click()
    assert seen._parts["state"].value == "<i>type the next turn</i>"
    seen._controls["prompt"].value = PROMPTS[1]
    assert seen.view.setting.turns == (("user", PROMPTS[0]), ("assistant", said))
    assert said in seen._parts["chat"].value
    assert "messages=" in seen.code
    seen._chat["over"].click()
    assert seen.view is before
    assert seen._parts["chat"].value == ""


def test_a_withheld_answer_has_no_token_to_read_and_no_reply(llama, ds):
    seen = explore(llama, ds, prompt=wb.prompts("refusal/harmful")[0].text, ratio=0.6, max_new_tokens=6)
    assert {text for text, _ in seen._chat["token"].options} == {"▮"}
    seen._chat["token"].index = 0
    assert seen._chat["other"].options == ()
    assert "withheld" in seen._parts["state"].value
    seen._chat["steered"].click()
    assert seen.setting.turns == ()
