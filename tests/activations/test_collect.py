"""One vector per text: the same as by hand and as ``means``; from disk the second time, and only what is the same."""

from dataclasses import replace

import pytest
import torch

import workbench as wb
from tests.families import PROMPTS, tiny_model
from workbench.activations.collect import encode_texts, gather, gather_means, means
from workbench.models.prompts import as_prompts

PAIRS = wb.Pairs(PROMPTS[:3], PROMPTS[3:])
ANSWERS = ["a red bird", "the cat", "two dog in summer garden", "please", "one two three four five", "blue tea"]


@pytest.fixture
def passes(llama):
    """Counts the forward passes of the plain module."""
    counted = []
    handle = llama.hf.register_forward_pre_hook(lambda *_: counted.append(1))
    yield counted
    handle.remove()


def states(model, ids, layer):
    """hidden_states of one unpadded row, [token, width]."""
    with torch.no_grad():
        return model.hf(torch.tensor([list(ids)]), output_hidden_states=True).hidden_states[layer + 1][0].double()


@pytest.mark.parametrize("read", ["prompt[-1]", "prompt[2:] | prompt[0]", "all"])
@pytest.mark.parametrize("at", [wb.resid_post.all, wb.attn_raw.all, wb.z.all, wb.mlp_out.all])
def test_rows_average_to_the_means(tiny64, at, read):
    encoded, positions = tiny64.encode(PROMPTS), wb.Positions.parse(read)
    rows = gather(tiny64, PROMPTS, at, read, batch_size=4)
    assert list(rows) == list(at.sites(tiny64.n_layers))
    for site, mean in means(tiny64, encoded, list(rows), positions, batch_size=4).items():
        assert rows[site].values.dtype == torch.float32
        assert rows[site].n == mean.n == len(PROMPTS)
        torch.testing.assert_close(rows[site].mean, mean.mean, rtol=1e-6, atol=1e-6)
        assert rows[site].norm == mean.norm


def test_rows_are_in_the_order_of_the_texts_whatever_the_batches(tiny64):
    rows = gather(tiny64, PROMPTS, wb.resid_post(1), "prompt[1:4]", batch_size=4)[wb.resid_post(1)].values
    for row, ids in zip(rows.double(), tiny64.encode(PROMPTS).token_ids, strict=True):
        torch.testing.assert_close(row, states(tiny64, ids, 1)[1:4].mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("read", ["response[:3]", "response", "response[-1]", "prompt[-1] | response[0]", "all"])
def test_responses_are_read_by_their_own_tokens(tiny64, read):
    chats = list(zip(PROMPTS, ANSWERS, strict=True))
    rows = gather(tiny64, chats, wb.resid_post(1), read, batch_size=4)[wb.resid_post(1)].values
    for row, ids, answer in zip(rows.double(), tiny64.encode(PROMPTS).token_ids, ANSWERS, strict=True):
        reply = tiny64.tokenizer.encode(answer, add_special_tokens=False)
        whole = states(tiny64, [*ids, *reply], 1)
        chosen = wb.Positions.parse(read).mask(len(ids), len(ids) + len(reply))
        torch.testing.assert_close(row, whole[torch.from_numpy(chosen)].mean(0), rtol=1e-5, atol=1e-6)


def test_completions_pairs_and_answered_prompts_are_the_same_texts(llama):
    done = wb.generate(llama, PROMPTS[:3], max_new_tokens=5)
    site = wb.resid_post(2)
    kept = [i for i, text in enumerate(done.text) if text]
    prompts = as_prompts([PROMPTS[i] for i in kept]).answered([done.text[i] for i in kept])
    by_answer = gather(llama, prompts, site, "response[:2]")[site].values
    by_pair = gather(llama, [(p.text, p.answer) for p in prompts], site, "response[:2]")[site].values
    by_run = gather(llama, done, site, "response[:2]")[site].values[kept]
    assert torch.equal(by_answer, by_pair)
    torch.testing.assert_close(by_answer, by_run, rtol=1e-4, atol=1e-4)


def test_a_direction_of_responses_is_the_difference_of_their_means(llama):
    sides = [side.answered(ANSWERS[i : i + 3]) for i, side in ((0, PAIRS.positive), (3, PAIRS.negative))]
    answered, site = wb.Pairs(*sides), wb.resid_post(1)
    d = wb.extract(llama, answered, site, "response[:2]")
    rows = [gather(llama, side, site, "response[:2]")[site].mean for side in sides]
    torch.testing.assert_close(d.vector.double(), rows[0] - rows[1], rtol=1e-5, atol=1e-6)
    assert d.prompts != wb.extract(llama, answered, site).prompts  # other texts: answers belong to them
    assert wb.extract(llama, answered, site) == wb.extract(
        llama, PAIRS, site
    )  # where they are not read, they are not there
    (twin,) = wb.shuffled(llama, answered, site, "response[:2]")
    assert twin[1].prompts == d.prompts


def test_the_second_time_no_model_is_read(llama, passes, tmp_path):
    first = wb.extract(llama, PAIRS, wb.resid_post.all, method="pca", store=tmp_path)
    assert passes
    passes.clear()
    again = wb.extract(llama, PAIRS, wb.resid_post.all, method="pca", store=tmp_path, batch_size=1)
    other = wb.extract(llama, PAIRS, wb.resid_post(2), method="lda", store=tmp_path)
    wb.contrast(llama, PAIRS, wb.resid_post.all, store=tmp_path)
    assert not passes
    assert list(again) == list(first)
    assert other.method == "lda"
    assert len(list((tmp_path / "activations").iterdir())) == 2 * llama.n_layers


def test_means_come_from_disk_to_the_last_bit(llama, passes, tmp_path):
    plain = wb.extract(llama, PAIRS, wb.resid_post.all)
    first = wb.extract(llama, PAIRS, wb.resid_post.all, store=tmp_path)
    passes.clear()
    assert [d.id for d in wb.extract(llama, PAIRS, wb.resid_post.all, store=tmp_path)] == [d.id for d in plain]
    assert [d.id for d in first] == [d.id for d in plain]
    assert not passes


def test_any_change_of_what_decides_them_reads_the_model(llama, passes, tmp_path):
    site, read = wb.resid_post(1), wb.PROMPT[-1]
    gather(llama, PROMPTS, site, read, store=tmp_path)
    changed = {
        "site": lambda: gather(llama, PROMPTS, wb.resid_pre(1), read, store=tmp_path),
        "read": lambda: gather(llama, PROMPTS, site, wb.PROMPT[-2], store=tmp_path),
        "texts": lambda: gather(llama, PROMPTS[:-1], site, read, store=tmp_path),
        "order": lambda: gather(llama, PROMPTS[::-1], site, read, store=tmp_path),
        "answer": lambda: gather(llama, list(zip(PROMPTS, ANSWERS, strict=True)), site, "all", store=tmp_path),
        "answer's place": lambda: gather(llama, PROMPTS, site, "all", store=tmp_path),
        "revision": lambda: gather(replace(llama, revision="2"), PROMPTS, site, read, store=tmp_path),
        "name": lambda: gather(replace(llama, name="2"), PROMPTS, site, read, store=tmp_path),
        "kind": lambda: gather_means(llama, encode_texts(llama, PROMPTS, read), [site], read, store=tmp_path),
        "store": lambda: gather(llama, PROMPTS, site, read, store=tmp_path / "other"),
    }
    for what, act in changed.items():
        passes.clear()
        act()
        assert passes, what
        passes.clear()
        act()
        assert not passes, what


def test_the_dtype_and_the_weights_of_a_model_in_memory_count(tmp_path):
    model, site = tiny_model("llama"), wb.resid_post(1)
    before = gather(model, PROMPTS, site, store=tmp_path)[site].values
    with torch.no_grad():
        model.hf.model.layers[0].mlp.down_proj.weight.mul_(2)
    assert not torch.equal(gather(model, PROMPTS, site, store=tmp_path)[site].values, before)
    low = tiny_model("llama", "bfloat16")
    assert not torch.equal(gather(low, PROMPTS, site, store=tmp_path)[site].values, before)
    assert len(list((tmp_path / "activations").iterdir())) == 3


def test_a_broken_file_is_made_again(llama, passes, tmp_path, caplog):
    site = wb.resid_post(1)
    before = gather(llama, PROMPTS, site, store=tmp_path)[site].values
    (path,) = (tmp_path / "activations").iterdir()
    path.write_bytes(path.read_bytes()[:40])
    passes.clear()
    assert torch.equal(gather(llama, PROMPTS, site, store=tmp_path)[site].values, before)
    assert passes
    assert "made again" in caplog.text
    assert [p.name for p in (tmp_path / "activations").iterdir()] == [path.name]  # no draft is left


def test_a_store_that_cannot_be_written_says_so(llama, tmp_path):
    (tmp_path / "activations").write_text("in the way")
    with pytest.raises(wb.WorkbenchError, match="could not be written"):
        gather(llama, PROMPTS, wb.resid_post(1), store=tmp_path)


def test_bad_requests_are_refused_before_any_compute(llama, passes):
    cases = {
        "means no token of prompt": (PROMPTS, wb.resid_post(1), "response[:5]"),
        "means no token of a prompt": (list(zip(PROMPTS, ANSWERS, strict=True)), wb.resid_post(1), "response[9:]"),
        "names no site": (PROMPTS, [], "prompt"),
        "names no layer": (PROMPTS, wb.resid_post, "prompt"),
        "which has 3 layers": (PROMPTS, [wb.resid_post(0), wb.resid_post(3)], "prompt"),
        "pairs throughout": ([("a", "b"), "c"], wb.resid_post(0), "prompt"),
        "is empty": ([("hello", "")], wb.resid_post(0), "response"),
    }
    for message, (texts, at, read) in cases.items():
        with pytest.raises(wb.WorkbenchError, match=message):
            gather(llama, texts, at, read)
    assert not passes


def test_a_contrast_holds_two_arrays_of_one_width():
    good = wb.Contrast([[1.0, 2.0]], [[0.0, 1.0], [1.0, 1.0]])
    assert good.positive.dtype == torch.float64
    for bad in ([1.0, 2.0], [[1.0]], [[]]):
        with pytest.raises(wb.WorkbenchError, match="one width"):
            wb.Contrast([[1.0, 2.0]], bad)


@pytest.mark.parametrize("at", [wb.resid_post(0), wb.attn_raw(1), wb.resid_pre(1), [wb.resid_post(0), wb.v(1)]])
def test_layers_above_the_last_site_do_not_run_and_change_nothing(tiny64, at):
    ran = []
    handles = [
        layer.register_forward_pre_hook(lambda *_, i=i: ran.append(i)) for i, layer in enumerate(tiny64.hf.model.layers)
    ]
    few = gather(tiny64, PROMPTS, at, batch_size=4)
    assert max(ran) == max(site.layer for site in few)
    for handle in handles:
        handle.remove()
    everything = gather(tiny64, PROMPTS, [*few, wb.resid_post(tiny64.n_layers - 1)], batch_size=4)
    assert all(
        torch.equal(few[site].values, everything[site].values) and few[site].norm == everything[site].norm
        for site in few
    )


def test_some_texts_of_a_contrast(llama):
    pairs = wb.Pairs(PROMPTS[:3], PROMPTS[3:])
    whole = wb.contrast(llama, pairs, wb.resid_post(1))[wb.resid_post(1)]
    part = whole.take([True, False, True, False, False, True])
    assert torch.equal(part.positive, whole.positive[[0, 2]])
    assert torch.equal(part.negative, whole.negative[[2]])
    assert part.texts == ((PROMPTS[0], PROMPTS[2]), (PROMPTS[5],))
    assert part.groups == (whole.groups[0], whole.groups[2], whole.groups[5])
    with pytest.raises(wb.WorkbenchError, match="leave texts on both sides"):
        whole.take([True] * 3 + [False] * 3)
    with pytest.raises(wb.WorkbenchError, match="3 \\+ 3 choices"):
        whole.take([True] * 5)
