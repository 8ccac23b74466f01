"""The explorer's second row agrees with what it stands below: the trajectories and the answers."""

import pytest

import workbench as wb
from tests.families import PROMPTS
from workbench.notebooks.explorer import Exploration, Setting
from workbench.notebooks.inside import Inside
from workbench.notebooks.widgets import explore

ON = "prompt[-1] | response"


@pytest.fixture(scope="module")
def directions(llama):
    ds = wb.extract(llama, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post.all)
    return {"mood": ds, "topic": wb.extract(llama, wb.Pairs(PROMPTS[1:4], PROMPTS[4:7]), at=wb.resid_post(1))}


@pytest.fixture(scope="module")
def inside(llama, directions):
    return Inside(Exploration(llama, directions, max_new_tokens=5))


@pytest.fixture(scope="module")
def view(inside):
    return inside.exploration.view(Setting(PROMPTS[0], 1, 0.6, ON))


@pytest.mark.parametrize("side", ["base", "steered"])
@pytest.mark.parametrize("token", [None, 2])
@pytest.mark.parametrize(("name", "layer"), [("mood", 2), ("topic", 0)])
def test_components_add_up_to_the_point_of_the_trajectory(inside, view, side, token, name, layer):
    parts = inside.components(view, side, token, layer, name, n=100)
    trace = view.answer(side).trace
    place = trace.prompt_lengths[0] + (-1 if token is None else token)
    shown = trace.dot[0, view.probes[name][layer], place]
    assert parts.total == pytest.approx(shown, abs=1e-4)
    assert parts.frame["value"].sum() == pytest.approx(shown, abs=1e-4)
    sizes = parts.frame["value"].abs().tolist()
    assert sizes == sorted(sizes, reverse=True)
    edits = parts.frame["component"].str.startswith("edit").sum()
    assert edits == int(side == "steered" and layer >= 1)


def test_the_last_layer_says_what_is_written(inside, view):
    read = inside.lens(view, layer=2)
    for side in ("base", "steered"):
        own = read[read["side"] == side]
        written = inside.exploration.tokens(view, side)
        assert own["offset"].tolist() == list(range(-1, len(written)))
        assert [top[0] for top in own["top"]][:-1] == written


def test_a_withheld_answer_is_not_read(inside):
    hidden = inside.exploration.view(Setting(wb.prompts("refusal/harmful")[0].text, 1, 0.6, ON))
    assert set(inside.lens(hidden, 1)["side"]) == {"base"}
    begun = inside.exploration.view(inside.exploration.fork(hidden, "base", 0, hidden.base.token_ids[0]))
    assert inside.lens(begun, 1).empty


def test_nothing_is_read_twice(inside, view):
    assert inside.lens(view, 1) is inside.lens(view, 1)
    assert inside.components(view, "base", 0, 1, "mood") is inside.components(view, "base", 0, 1, "mood")


@pytest.mark.parametrize("name", ["mood", "topic"])
def test_the_code_has_both_parts_of_the_row(llama, directions, name):
    seen = explore(llama, directions, prompt=PROMPTS[0], layer=2, ratio=0.6, max_new_tokens=5)
    seen._controls["shown"].value = name
    seen._chat["token"].index = 1
    assert "components that write most" in seen._parts["inside"].value
    assert "token 1" in seen._parts["inside"].value
    space = {"model": llama, "direction": directions}
    exec(seen.code, space)
    parts = seen.inside.components(seen.view, "steered", 1, 2, name)
    again = space["parts"][space["parts"]["run"] == "steered"].set_index("component")["value"]
    assert parts.frame["value"].tolist() == pytest.approx(again[parts.frame["component"]].tolist(), abs=1e-4)
    assert set(space["says"]["layer"]) == {2}


def test_a_direction_outside_of_the_stream_has_no_components_and_says_so(llama):
    d = wb.extract(llama, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.attn_out(1))
    seen = explore(llama, d, prompt=PROMPTS[0], ratio=0.6, max_new_tokens=4)
    assert "no other component adds" in seen._parts["inside"].value
    assert "attribute" not in seen.code
