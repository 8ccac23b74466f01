"""What is loaded is what is there: broken folders are one line, nothing is made up, and a revision holds every byte."""

import json
import os
import shutil
import struct
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import normalizers, pre_tokenizers

import workbench as wb
from tests.families import CHATML, PROMPTS, saved_model, tiny_model, tiny_modules
from workbench.models.checks import preflight, report
from workbench.models.load import from_modules
from workbench.models.registry import label, resolve


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory):
    return saved_model("llama", tmp_path_factory.mktemp("llama") / "own")


@pytest.fixture
def own(whole_folder, tmp_path):
    return shutil.copytree(whole_folder, tmp_path / "own")


def edit(path, **changes):
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def weights(folder, change):
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def shards(folder, lost):
    """The weights in two files, one of which is lost or cut."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, own_names in parts.items():
        save_file({n: tensors[n] for n in own_names}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {n: file for file, own_names in parts.items() for n in own_names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    lost(folder / "model-2.safetensors")


def pickled(folder, content):
    """Weights as a pickle that holds something more."""
    torch.save(
        {**load_file(folder / "model.safetensors"), "more": content} if callable(content) else content,
        folder / "pytorch_model.bin",
    )
    (folder / "model.safetensors").unlink()


DOWN = "model.layers.1.mlp.down_proj.weight"
BROKEN = {
    "no config": (lambda f: (f / "config.json").unlink(), r"without config\.json"),
    "cut config": (lambda f: cut(f / "config.json"), r"config\.json is no JSON .*download or copy it again"),
    "config of a list": (lambda f: (f / "config.json").write_text("[]"), "expected a JSON object"),
    "no model_type": (lambda f: edit(f / "config.json", model_type=None), "has no model_type"),
    "unknown model_type": (
        lambda f: edit(f / "config.json", model_type="lama"),
        "'lama' are not supported .*llama, mist",
    ),
    "another family": (lambda f: edit(f / "config.json", model_type="gpt2"), "'gpt2' are not supported"),
    "several modalities": (
        lambda f: edit(f / "config.json", model_type="gemma3", text_config={}),
        "several modalities",
    ),
    "a classifier": (
        lambda f: edit(f / "config.json", architectures=["LlamaForSequenceClassification"]),
        "does not write",
    ),
    "code of its own": (
        lambda f: edit(f / "config.json", auto_map={"AutoConfig": "evil.Config"}),
        r"evil\.Config.*never run",
    ),
    "code of its tokenizer": (
        lambda f: edit(f / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]}),
        "tokenizer_config.json asks for code",
    ),
    **{
        method: (
            lambda f, m=method: edit(f / "config.json", quantization_config={"quant_method": m}),
            f"quantised .{method}",
        )
        for method in ("bitsandbytes", "gptq", "awq", "compressed-tensors", "fp8")
    },
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no weights: expected model.safetensors"),
    "cut weights": (lambda f: cut(f / "model.safetensors"), r"model\.safetensors is no whole .* bytes; download"),
    "weights of nothing": (lambda f: (f / "model.safetensors").write_bytes(b""), "end within the header"),
    "a broken header": (
        lambda f: (f / "model.safetensors").write_bytes(struct.pack("<Q", 4) + b"nope" + b"0" * 9),
        "its header is no JSON",
    ),
    "a Git LFS pointer": (
        lambda f: (f / "model.safetensors").write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
        ),
        "git lfs pull",
    ),
    "a lost shard": (lambda f: shards(f, os.remove), "lacks 1 of the 2 files .* model-2.safetensors"),
    "a cut shard": (lambda f: shards(f, cut), r"model-2\.safetensors is no whole"),
    "an index that leaves": (
        lambda f: (
            (f / "model.safetensors").unlink(),
            (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../b.safetensors"}}'),
        ),
        "does not lie in its folder",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer"),
    "cut tokenizer": (lambda f: cut(f / "tokenizer.json"), r"tokenizer\.json is no JSON"),
    "cut generation config": (lambda f: cut(f / "generation_config.json"), r"generation_config\.json is no JSON"),
    "more layers than weights": (
        lambda f: edit(f / "config.json", num_hidden_layers=5),
        r"18 missing \(model\.layers\.3",
    ),
    "more weights than layers": (
        lambda f: edit(f / "config.json", num_hidden_layers=2),
        r"9 unexpected \(model\.layers\.2",
    ),
    "one tensor deleted": (
        lambda f: weights(f, lambda t: {k: v for k, v in t.items() if k != DOWN}),
        rf"1 missing \({DOWN}\)",
    ),
    "a prefix": (
        lambda f: weights(f, lambda t: {f"_orig_mod.{k}": v for k, v in t.items()}),
        "missing .* unexpected .*remove the prefix '_orig_mod.'",
    ),
    "another shape": (
        lambda f: weights(f, lambda t: t | {DOWN: torch.zeros(32, 40)}),
        r"1 of another shape \(model\.layers\.1\.mlp\.down_proj\.weight \(32, 40\) for \(32, 48\)\)",
    ),
    "no end and no padding": (
        lambda f: edit(f / "tokenizer_config.json", eos_token=None, pad_token=None),
        "neither eos_token nor pad_token",
    ),
    "a model_type that is a list": (
        lambda f: edit(f / "config.json", model_type=["llama"]),
        r"\['llama'\] are not supp",
    ),
    "an architecture that is a text": (
        lambda f: edit(f / "config.json", architectures="LlamaForCausalLM"),
        "expected a list",
    ),
    "a width of nothing": (lambda f: edit(f / "config.json", hidden_size=0), "hidden_size is 0; expected a whole"),
    "layers by the million": (lambda f: edit(f / "config.json", num_hidden_layers=10**7), "expected at most 1000"),
    "quantised in the older way": (
        lambda f: edit(f / "config.json", compression_config={"quant_method": "compressed-tensors"}),
        "quantised .compressed-tensors",
    ),
    **{
        f"weights in {kind}": (
            lambda f, k=kind: weights(f, lambda t: t | {DOWN: t[DOWN].to(getattr(torch, k))}),
            "1 weights are quantised or in another form .model.layers.1.mlp.down_proj.weight is",
        )
        for kind in ("int8", "uint8", "float8_e4m3fn")
    },
    "weights of NaN": (
        lambda f: weights(f, lambda t: t | {DOWN: t[DOWN] * float("nan")}),
        rf"1 weights of own hold NaN or infinite values \({DOWN}\)",
    ),
    "weights with code in them": (lambda f: pickled(f, print), "more in them than tensors.*never loaded"),
    "weights that are a list": (lambda f: pickled(f, [1, 2]), "could not be loaded: TypeError"),
    "an empty pickle": (
        lambda f: ((f / "model.safetensors").unlink(), (f / "pytorch_model.bin").touch()),
        "pytorch_model.bin is empty",
    ),
    "a link to weights that are gone": (
        lambda f: ((f / "model.safetensors").unlink(), (f / "model.safetensors").symlink_to("../blobs/0")),
        r"is a link to \.\./blobs/0, which is not there",
    ),
    "a link to a tokenizer that is gone": (
        lambda f: ((f / "tokenizer.json").unlink(), (f / "tokenizer.json").symlink_to(f / "gone")),
        "is a link to .*gone, which is not there",
    ),
    **{
        f"stop tokens {ids!r}": (
            lambda f, i=ids: edit(f / "generation_config.json", eos_token_id=i),
            "eos_token_id is .*; expected tokens of the model, 0 to 68",
        )
        for ids in ("two", [[2]], -1, [2, 99999], True)
    },
    "an end that the model has no embedding of": (
        lambda f: edit(f / "tokenizer_config.json", eos_token="<nope>"),
        "ends with '<nope>', token 69, but the model has embeddings of 69 alone",
    ),
    "a length that is a word": (
        lambda f: edit(f / "tokenizer_config.json", model_max_length="long"),
        "could not be loaded: TypeError",
    ),
    **{
        f"a template that {what}": (
            lambda f, s=source: (f / "chat_template.jinja").write_text(s + "{{ messages[0].content }}"),
            f"chat template of own refuses a chat: .*{said}",
        )
        for what, source, said in (
            ("divides by zero", "{{ 1 / 0 }}", "ZeroDivisionError"),
            ("calls itself", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
            ("counts for ever", "{% for i in range(10 ** 9) %}{% endfor %}", "OverflowError"),
            ("reads a file", "{% include '/etc/passwd' %}", "no loader"),
        )
    },
    "whole and an adapter": (
        lambda f: (f / "adapter_config.json").write_text("{}"),
        "both a whole model and an adapter",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_folder_is_one_line(own, kind):
    spoil, message = BROKEN[kind]
    spoil(own)
    with pytest.raises(wb.WorkbenchError, match=message) as told:
        wb.load(str(own))
    assert "\n" not in str(told.value)


def test_a_mistyped_folder_is_not_asked_for_at_a_hub(tmp_path, monkeypatch):
    (tmp_path / "runs" / "checkpoint-100").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        wb.WorkbenchError, match="unknown folder 'runs/checkpoint-10'; did you mean 'runs/checkpoint-100'"
    ):
        resolve("runs/checkpoint-10")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(wb.WorkbenchError, match="is a file; expected a model's folder"):
        resolve("notes.txt")


def test_a_folder_is_shown_as_it_was_typed_and_found_again_from_anywhere(own, tmp_path, monkeypatch):
    monkeypatch.chdir(own.parent)
    model = wb.load(own.name, check=False)
    assert (model.name, model.loading.name) == (own.name, str(own.resolve()))
    (own / "config.json").write_text("{")
    for act in (wb.load, wb.fetch):
        with pytest.raises(wb.WorkbenchError, match=f"^{own.name}/config.json is no JSON"):
            act(own.name)


def test_a_model_folder_of_nearly_that_name_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-model").mkdir()
    (tmp_path / "my-model" / "config.json").write_text("{}")
    with pytest.raises(wb.WorkbenchError, match="unknown model 'my-modl'; did you mean 'my-model'"):
        wb.load("my-modl")


def test_two_folders_of_one_name_have_two_labels(tmp_path):
    names = [tmp_path / run / "checkpoint-100" for run in "ab"]
    for name in names:
        name.mkdir(parents=True)
    assert len({label(str(name)) for name in names}) == 2
    assert len({label("a/b--c"), label("a--b/c")}) == 2


RECORD = "import os, sys\nopen(os.environ['ASKED_OF_PIP'], 'a').write(' '.join(sys.argv[1:]) + '\\n')\nsys.exit(1)\n"


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What installers were asked: ``uv`` and ``pip`` on the PATH, and ``python -m pip``, write it down and install nothing."""
    for name in ("uv", "pip"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!{sys.executable}\n{RECORD}")
        program.chmod(0o755)
    (tmp_path / "modules" / "pip").mkdir(parents=True)
    (tmp_path / "modules" / "pip" / "__init__.py").touch()
    (tmp_path / "modules" / "pip" / "__main__.py").write_text(RECORD)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    monkeypatch.setenv("ASKED_OF_PIP", str(tmp_path / "asked"))
    monkeypatch.setitem(sys.modules, "torchvision", None)  # as on a machine that lacks it
    (tmp_path / "asked").touch()
    return tmp_path / "asked"


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_nothing_is_installed(asked, monkeypatch, installer):
    from transformer_lens.model_bridge.sources.transformers import helpers

    from workbench.models.load import nothing_installed

    if installer == "pip":
        (asked.parent / "bin" / "uv").unlink()
    assert not helpers._ensure_torchvision()
    assert "install torchvision" in asked.read_text()  # what TransformerLens does by itself
    asked.write_text("")
    with nothing_installed():
        helpers._ensure_torchvision()
    assert asked.read_text() == ""
    module, words = tiny_modules("llama")
    module.config.model_type = "gemma3"
    with pytest.raises(wb.WorkbenchError, match="'gemma3' are not supported"):
        from_modules(module, words, "wrapper")
    from_modules(*tiny_modules("llama"), "text only")
    assert asked.read_text() == ""


def test_every_byte_of_a_folder_is_in_its_revision(own):
    seen = [wb.load(str(own), check=False).revision]
    assert wb.load(str(own), check=False).revision == seen[0]

    def middle(tensors):
        tensors[DOWN][3, 7] += 1
        return tensors

    for change in (
        lambda: weights(own, middle),
        lambda: edit(own / "generation_config.json", eos_token_id=[2, 5]),
        lambda: (own / "chat_template.jinja").write_text(CHATML + " "),
        lambda: edit(own / "config.json", rms_norm_eps=1e-3),
    ):
        change()
        seen.append(wb.load(str(own), check=False).revision)
    seen.append(wb.load(str(own), check=False, chat_template=CHATML).revision)
    assert len(set(seen)) == len(seen)
    edit(own / "config.json", transformers_version="4.0.0")  # says nothing of the model
    assert wb.load(str(own), check=False).revision == seen[-2]


def test_a_file_is_hashed_once_and_again_when_it_changed(tmp_path, monkeypatch):
    from workbench.models import identity

    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(identity, "_SETTLED_SECONDS", -1)
    path = tmp_path / "weights"
    path.write_bytes(b"a" * 100)
    first = identity.file_hash(path)
    kept = identity._kept_at(path)
    assert json.loads(kept.read_text())["sha256"] == first
    kept.write_text(kept.read_text().replace(first, "from the cache"))
    assert identity.file_hash(path) == "from the cache"
    times = path.stat()
    path.write_bytes(b"b" * 100)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # same size, same time of writing
    assert identity.file_hash(path) not in (first, "from the cache")


def test_an_edit_in_memory_changes_the_revision_and_undoing_it_brings_it_back(own):
    for model in (tiny_model("llama"), wb.load(str(own), check=False)):
        before = model.revision
        weight = model.hf.model.layers[1].mlp.down_proj.weight
        weight.data[3, 7] += 1
        assert model.revision != before
        weight.data[3, 7] -= 1
        assert model.revision == before or weight.data[3, 7] != load_file(own / "model.safetensors")[DOWN][3, 7]
        model.hf.generation_config.eos_token_id = [2, 5]
        assert model.revision != before
        assert 5 in model.stop_ids


@pytest.mark.parametrize(
    "edited",
    [
        lambda m: m.tokenizer.add_tokens(["newword"]),
        lambda m: m.tokenizer.add_special_tokens({"additional_special_tokens": ["red"]}),
        lambda m: setattr(m.tokenizer.backend_tokenizer, "normalizer", normalizers.Lowercase()),
        lambda m: setattr(m.tokenizer.backend_tokenizer, "pre_tokenizer", pre_tokenizers.Whitespace()),
        lambda m: setattr(m.tokenizer, "chat_template", CHATML + " "),
        lambda m: setattr(m.hf.model.norm, "variance_epsilon", 0.3),
        lambda m: setattr(m.hf.model.layers[0].self_attn, "scaling", 3.0),
        lambda m: setattr(m.hf.model.layers[0].mlp, "act_fn", torch.nn.ReLU()),
        lambda m: m.hf.model.rotary_emb.inv_freq.mul_(2),
        lambda m: m.hf.model.layers.pop(2),
        lambda m: m.hf.model.layers[0].mlp.down_proj.weight.detach().numpy().__setitem__((0, 0), 9),
    ],
    ids=lambda edited: edited.__code__.co_names[-1] + "-" + str(edited.__code__.co_firstlineno),
)
def test_whatever_is_edited_in_memory_the_revision_tells(edited):
    model = tiny_model("llama")
    before = model.revision
    assert model.revision == before
    edited(model)
    assert model.revision != before


def test_an_edit_that_pytorch_does_not_count_is_seen_by_whatever_runs_the_model():
    model = tiny_model("llama")
    d = wb.extract(model, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post(1))
    model.hf.model.layers[1].mlp.down_proj.weight.data[3, 7] += 1
    for run in (
        lambda: wb.generate(model, PROMPTS[:1], wb.add(d, 1), max_new_tokens=2),
        lambda: wb.trace(model, PROMPTS[:1], d),
        lambda: wb.sweep(model, PROMPTS[:1], [wb.Arm(wb.add(d, 1), "direction", 1, 1.0)], [wb.refusal]),
        lambda: wb.steered(model, wb.add(d, 1), 3).__enter__(),
    ):
        with pytest.raises(wb.WorkbenchError, match="the direction was read from tiny-llama"):
            run()


@pytest.mark.parametrize("size", [7, 1024, 3 * 131072 + 5])
def test_a_checksum_tells_any_change_and_any_swap_apart(size):
    from workbench.models.identity import _checksum

    numbers = torch.randn(size, dtype=torch.float64)
    seen = {_checksum(numbers)}
    for i, j in ((0, 1), (0, size - 1), (size // 2, size // 2 + 1), (1, min(600, size - 2))):
        swapped = numbers.clone()
        swapped[[i, j]] = swapped[[j, i]]
        changed = numbers.clone()
        changed[j] = changed[j] * (1 + 2e-16)
        seen |= {_checksum(swapped), _checksum(changed)}
    assert len(seen) == 9 or size == 7  # few places, some taken twice
    assert _checksum(numbers.clone()) in seen


def test_a_token_without_an_embedding_is_told_where_it_is_met_and_padding_needs_none(own):
    path = own / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"] |= {"newword": 500, "newpad": 501}
    path.write_text(json.dumps(content))
    edit(own / "tokenizer_config.json", pad_token="newpad")
    model = wb.load(str(own))
    assert model.encode(PROMPTS[:2]).pad_id == 2
    with pytest.raises(
        wb.WorkbenchError, match="'newword' is token 500 of the tokenizer, but own has embeddings of 69"
    ):
        model.encode(["write a newword"])


def test_rows_of_old_weights_stay_and_are_not_used(own, tmp_path, caplog):
    def rows():
        model = wb.load(str(own), check=False)
        return wb.sweep(model, PROMPTS[:2], [wb.BASELINE], [wb.refusal], tmp_path / "store", max_new_tokens=4)

    first = rows()
    assert rows().equals(first)
    assert not caplog.records
    weights(own, lambda tensors: tensors | {DOWN: tensors[DOWN] * 2})
    second = rows()
    assert set(first["key"]).isdisjoint(second["key"])
    assert len(wb.store.open(tmp_path / "store").frame()) == 4
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("2 rows of own in ")
    assert "they stay there and are not used" in line


def test_named_templates_have_one_default(own):
    templates = own / "additional_chat_templates"
    templates.mkdir()
    (templates / "tool.jinja").write_text(CHATML)
    model = wb.load(str(own))
    assert isinstance(model.tokenizer.chat_template, str)
    (own / "chat_template.jinja").unlink()
    with pytest.raises(wb.WorkbenchError, match=r"several chat templates \(tool\) and none called default.*'tool'"):
        wb.load(str(own))
    assert wb.load(str(own), chat_template="tool").tokenizer.chat_template == CHATML


def test_a_template_without_bos_says_how_to_write_one():
    model = tiny_model("llama")
    assert bos_check(model).passed
    model.tokenizer.chat_template = CHATML.replace("{{ bos_token }}", "")
    model.tokenizer.add_bos_token = True
    check = bos_check(model)
    assert not check.passed
    assert "begin it with {{ bos_token }}" in report([check])
    model.tokenizer.chat_template = "{{ bos_token }}" + CHATML
    assert "leave all but one {{ bos_token }} out" in report([bos_check(model)])


def bos_check(model):
    (check,) = (check for check in preflight(model) if check.name == "one BOS")
    return check


def test_an_adapter_folder_loads_over_its_base_and_must_fit_it(own, tmp_path):
    from peft import LoraConfig, get_peft_model

    module, _ = tiny_modules("llama")
    tuned = get_peft_model(module, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    tuned.save_pretrained(tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    with pytest.raises(wb.WorkbenchError, match="names no base"):
        wb.load(str(tmp_path / "adapter"))
    edit(path, base_model_name_or_path=str(own))
    base, model = wb.load(str(own), check=False), wb.load(str(tmp_path / "adapter"))
    assert (model.name, model.revision == base.revision) == ("adapter", False)
    base.tokenizer.add_tokens(["tuned"])
    base.tokenizer.save_pretrained(tmp_path / "adapter")  # what it was tuned with
    assert wb.load(str(tmp_path / "adapter")).tokenizer.convert_tokens_to_ids("tuned") == 69
    q = "model.layers.1.self_attn.q_proj.weight"
    assert not torch.equal(model.hf.get_parameter(q), base.hf.get_parameter(q))
    weights_file = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = load_file(weights_file)
    save_file({f"x.{name}": tensor for name, tensor in tensors.items()}, weights_file)
    with pytest.raises(wb.WorkbenchError, match="does not fit its base: 6 weights missing, 6 unexpected"):
        wb.load(str(tmp_path / "adapter"))


def test_an_adapter_loads_over_the_revision_of_its_base_that_it_names(whole_folder, tmp_path, monkeypatch):
    from huggingface_hub import constants
    from peft import LoraConfig, get_peft_model

    commits = ["a" * 40, "b" * 40]
    hub = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for commit, factor in zip(commits, (1.0, 0.5), strict=True):  # a hub's own cache, as a download leaves it
        folder = shutil.copytree(whole_folder, hub / "models--lab--base" / "snapshots" / commit)
        weights(folder, lambda tensors, factor=factor: {name: tensor * factor for name, tensor in tensors.items()})
    (hub / "models--lab--base" / "refs").mkdir()
    (hub / "models--lab--base" / "refs" / "main").write_text(commits[0])
    module, _ = tiny_modules("llama")
    get_peft_model(module, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    name = "model.layers.0.mlp.up_proj.weight"
    plain = load_file(whole_folder / "model.safetensors")[name]
    for commit, factor in zip(commits, (1.0, 0.5), strict=True):
        edit(path, base_model_name_or_path="lab/base", revision=commit)
        model = wb.load(str(tmp_path / "adapter"), check=False)
        assert torch.equal(model.hf.get_parameter(name), plain * factor)
    edit(path, base_model_name_or_path=str(whole_folder))
    with pytest.raises(
        wb.WorkbenchError, match=r"asks for revision 'bbb.*' of its base .*own, which is no model of a hub"
    ):
        wb.load(str(tmp_path / "adapter"))
    edit(path, revision=3)
    with pytest.raises(wb.WorkbenchError, match="revision 3: expected a commit"):
        wb.load(str(tmp_path / "adapter"))
