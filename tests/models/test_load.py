"""Encoding, loading and the pre-flight check."""

import pytest
import torch

import workbench as wb
from tests.families import CHATML, PROMPTS, tiny_model
from workbench.models.checks import preflight, report


def test_every_family_passes_its_preflight(tiny):
    checks = preflight(tiny)
    assert len(checks) == 4
    assert all(check.passed for check in checks), report(checks)


def test_preflight_catches_what_it_should():
    broken = tiny_model("llama")
    broken.tokenizer.chat_template = CHATML.replace("{{ bos_token }}", "{{ bos_token }} {{ bos_token }}")
    assert [c.name for c in preflight(broken) if not c.passed] == ["one BOS"]
    with torch.no_grad():
        broken.hf.model.layers[0].mlp.down_proj.weight = torch.nn.Parameter(
            broken.hf.model.layers[0].mlp.down_proj.weight * 1.01
        )
    failed = {c.name for c in preflight(broken) if not c.passed}
    assert "bridge = transformers (logits)" in failed


def test_bridge_and_plain_module_share_their_weights(tiny):
    plain = {p.data_ptr() for p in tiny.hf.parameters()}
    assert plain <= {p.data_ptr() for p in tiny.bridge.parameters()} | {
        p.data_ptr() for p in tiny.bridge.original_model.parameters()
    }


def test_the_head_reads_one_piece_of_memory(tiny):
    """A slice of columns would have PyTorch on a CPU copy the whole head once per row."""
    seen = []
    head = tiny.hf.get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        tiny.hf(input_ids=torch.ones(3, 5, dtype=torch.long), logits_to_keep=1)
    finally:
        handle.remove()
    assert [x.is_contiguous() for x in seen] == [True]


def test_encoding_is_the_template_with_one_bos(tiny):
    encoded = tiny.encode(PROMPTS)
    for prompt, ids in zip(PROMPTS, encoded.token_ids, strict=True):
        text = tiny.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
        assert list(ids) == tiny.tokenizer(text, add_special_tokens=False).input_ids
        assert ids.count(1) == (1 if "bos_token" in tiny.tokenizer.chat_template else 0)


def test_left_padding_with_explicit_mask(tiny):
    encoded = tiny.encode(PROMPTS)
    ids, mask = encoded.padded()
    assert ids.shape == mask.shape == (len(PROMPTS), max(encoded.lengths))
    for row, tokens in enumerate(encoded.token_ids):
        assert tuple(ids[row, mask[row].bool()].tolist()) == tokens
        assert mask[row].tolist() == sorted(mask[row].tolist())


def test_prompts_end_at_one_column_and_positions_count_real_tokens(llama):
    replies = [(7, 8, 9), (), (5,)]
    chats = llama.encode(PROMPTS[:3]).followed_by(replies)
    assert chats.responses == tuple(replies)
    assert chats.take([2, 0]).responses == ((5,), (7, 8, 9))
    ids, mask = chats.padded()
    width = max(chats.prompt_lengths)
    assert ids.shape == (3, width + 3)
    for row, (tokens, reply) in enumerate(zip(chats.token_ids, replies, strict=True)):
        real = mask[row].bool()
        assert tuple(ids[row, real].tolist()) == tokens
        assert tuple(ids[row, width : width + len(reply)].tolist()) == reply
        assert chats.positions(mask)[row, real].tolist() == list(range(len(tokens)))
    assert chats.whole().padded()[0].shape == (3, max(chats.lengths))


def test_system_prompts(tiny):
    plain, user = tiny.encode(["hello"]), tiny.encode(["be brief\n\nhello"])
    if tiny.has_system_role:
        assert len(tiny.encode(["hello"], system="be brief").token_ids[0]) > plain.lengths[0]
    else:
        with pytest.raises(wb.WorkbenchError, match="no system role; pass system_in_user=True"):
            tiny.encode(["hello"], system="be brief")
        assert tiny.encode(["hello"], system="be brief", system_in_user=True).token_ids == user.token_ids


def test_a_model_without_a_template_says_so():
    model = tiny_model("llama")
    model.tokenizer.chat_template = None
    with pytest.raises(wb.WorkbenchError, match="has no chat template"):
        model.encode(["hello"])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"name": "smollm2-refusl"}, "did you mean 'smollm2-refusal'"),
        ({"name": "./nowhere"}, "unknown model"),
        ({"name": None}, "a model is named by text"),
        ({"name": 5}, "a model is named by text"),
        ({"name": b"x"}, "a model is named by text"),
        ({"name": "smollm2-refusal", "device": "tpu"}, "expected e.g. 'cpu', 'cuda'"),
        ({"name": "smollm2-refusal", "device": 5}, "expected e.g. 'cpu', 'cuda'"),
        ({"name": "smollm2-refusal", "device": "meta"}, "expected e.g. 'cpu', 'cuda'"),
        ({"name": "smollm2-refusal", "adapter_scale": "all"}, "adapter_scale='all'"),
        ({"name": "smollm2-refusal", "adapter_scale": True}, "adapter_scale=True"),
        ({"name": "smollm2-refusal", "dtype": "int8"}, "expected float32"),
        ({"name": "smollm2-refusal", "device": "cuda:7"}, "it is not available here"),
        ({"name": "smollm2-refusal", "revision": "abc"}, "pinned by its sha256"),
        ({"name": "smollm2-135m", "adapter_scale": 0.5}, "is for models with an adapter \\(smollm2-refusal"),
        ({"name": "smollm2-refusal", "adapter_scale": float("nan")}, "adapter_scale=nan: expected a number"),
    ],
)
def test_bad_names_and_settings_are_refused(kwargs, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        wb.load(**kwargs)


def test_a_local_folder_loads_and_is_fingerprinted(tmp_path):
    source = tiny_model("qwen3")
    source.hf.save_pretrained(tmp_path / "own")
    source.tokenizer.save_pretrained(tmp_path / "own")
    model = wb.load(str(tmp_path / "own"))
    assert model.name == "own"
    assert len(model.revision) == 16
    assert (
        wb.generate(model, PROMPTS, max_new_tokens=6).token_ids
        == wb.generate(source, PROMPTS, max_new_tokens=6).token_ids
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(wb.WorkbenchError, match=r"without config\.json"):
        wb.load(str(tmp_path / "empty"))


@pytest.mark.model
def test_reference_models_pass_and_hold_their_facts(smollm2_refusal, gemma3_refusal):
    for model, layers, width in ((smollm2_refusal, 30, 576), (gemma3_refusal, 18, 640)):
        assert (model.n_layers, model.d_model) == (layers, width)
        assert len(model.revision) == 16
        assert all(check.passed for check in preflight(model))
    assert smollm2_refusal.has_system_role
    assert not gemma3_refusal.has_system_role


def _without_mlp(hf):
    del hf.model.layers[1].mlp
    return hf


def _with_layers(hf, layers):
    hf.model.layers = hf.model.layers[layers]
    return hf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda hf, tokenizer: (hf, None), "tokenizer of mine is NoneType: expected what transformers.AutoTokenizer"),
        (lambda hf, tokenizer: (hf, "gpt2"), "tokenizer of mine is str"),
        (lambda hf, tokenizer: (None, tokenizer), "hf of mine is NoneType: expected a causal language model"),
        (lambda hf, tokenizer: (torch.nn.Linear(2, 2), tokenizer), "hf of mine is Linear"),
        (lambda hf, tokenizer: (hf.model, tokenizer), "hf of mine is LlamaModel: expected .* with its head"),
        (lambda hf, tokenizer: (tokenizer, hf), "hf of mine is "),
        (
            lambda hf, tokenizer: (_with_layers(hf, slice(2)), tokenizer),
            "mine has 2 layers in memory and 3 in its config",
        ),
        (lambda hf, tokenizer: (_with_layers(hf, slice(0)), tokenizer), "mine has 0 layers in memory and 3"),
        (lambda hf, tokenizer: (_without_mlp(hf), tokenizer), "the modules of mine are not those of its family"),
    ],
)
def test_modules_in_memory_that_are_no_model_are_one_line(change, message):
    from tests.families import tiny_modules
    from workbench.models.load import from_modules

    with pytest.raises(wb.WorkbenchError, match=message) as seen:
        from_modules(*change(*tiny_modules("llama")), "mine")
    assert "\n" not in str(seen.value)


def test_layers_that_were_dropped_before_or_after_loading():
    from tests.families import tiny_modules
    from workbench.models.load import from_modules

    hf, tokenizer = tiny_modules("llama")
    hf.config.num_hidden_layers = 2
    model = from_modules(_with_layers(hf, slice(2)), tokenizer, "mine")
    assert model.n_layers == 2
    assert all(check.passed for check in preflight(model))
    _with_layers(model.hf, slice(1))
    for run in (
        lambda: wb.generate(model, PROMPTS, max_new_tokens=3),
        lambda: wb.extract(model, wb.Pairs(positive=[PROMPTS[0]], negative=[PROMPTS[1]]), at=wb.resid_post.all),
    ):
        with pytest.raises(wb.WorkbenchError, match="mine has 1 layers in memory and 2"):
            run()


@pytest.mark.model
def test_a_converted_tokenizer_is_the_one_that_transformers_reads(smollm2_refusal, gemma3_refusal):
    from transformers import AutoTokenizer

    from workbench.models.registry import SOURCES, base_of

    texts = [*PROMPTS, "<start_of_turn>user\n Ünïcode 1234 \t\n\n  — 你好 👩‍👩‍👧 ", "", " a", "<unused5><|im_end|> x"]
    for model in (smollm2_refusal, gemma3_refusal):
        theirs = AutoTokenizer.from_pretrained(base_of(SOURCES[model.name]).folder, local_files_only=True)
        ours = model.tokenizer
        assert ours.backend_tokenizer.to_str() == theirs.backend_tokenizer.to_str()
        assert ours.special_tokens_map == theirs.special_tokens_map
        assert ours.model_input_names == theirs.model_input_names
        assert [ours(text).input_ids for text in texts] == [theirs(text).input_ids for text in texts]
        ids = ours(texts[2]).input_ids
        assert ours.decode(ids, skip_special_tokens=True) == theirs.decode(ids, skip_special_tokens=True)
        assert "_merges" not in vars(ours), "the file was parsed again"


def test_an_adapter_merged_in_part_moves_the_weights_in_part(tmp_path):
    from copy import deepcopy

    from peft import LoraConfig, get_peft_model

    from workbench.models.load import merge_adapter

    base = tiny_model("llama").hf
    tuned = get_peft_model(
        deepcopy(base), LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], init_lora_weights=False)
    )
    tuned.save_pretrained(tmp_path)
    plain, half, whole, none = (
        hf.model.layers[1].self_attn.q_proj.weight.double()
        for hf in (base, *(merge_adapter(deepcopy(base), tmp_path, scale) for scale in (0.5, 1.0, 0.0)))
    )
    assert (whole - plain).abs().max() > 0.01
    assert torch.allclose(half - plain, (whole - plain) / 2, atol=1e-6)
    assert torch.equal(none, plain)


def test_loading_a_small_model_prints_nothing(tiny_folder, capfd):
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    wb.load(str(tiny_folder))
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert transformers_logging.is_progress_bar_enabled() == shown
