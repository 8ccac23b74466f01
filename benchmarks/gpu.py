"""A sweep's speed on one GPU: transformers with a hook per condition, this engine, and vLLM where it is installed.

    python benchmarks/gpu.py [--size 7b] [--rows 256] [--conditions 1 32 256] [--new 64] [--seconds 480] [--out runs/gpu.json]

Needs no network: the model has the shape of Mistral-7B and random weights in bfloat16, and never says a stop token. Each
grid has as many rows, of 1, 32 or 256 distinct conditions. Prints every line as it is measured and writes all to ``--out``, so
that what was measured stays when the time is over. The bar to name: EasySteer reports 5,620 tokens/s of a 1.5B model on vLLM with
256 requests under 256 conditions (its paper, on its own GPU).
"""

import argparse
import json
import platform
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

import workbench as wb
from workbench.generation.generate import continue_tokens
from workbench.generation.vllm_engine import VLLM, stop_engine, stream_tokens
from workbench.models.load import from_modules
from workbench.models.model import Encoded, Model
from workbench.models.sizes import Shape, shape_of
from workbench.notebooks.options import default_dtype
from workbench.sweeps.hardware import BANDWIDTH_SHARE, FLOPS_SHARE, LAYER_SECONDS

#: hidden, layers, heads, key-value heads, width of a head, MLP, vocabulary
SIZES = {
    "7b": (4096, 32, 32, 8, 128, 14336, 32000),
    "1.5b": (1536, 28, 12, 2, 128, 8960, 151936),
    "tiny": (64, 3, 4, 2, 32, 64, 512),
}
EASYSTEER = 5620
#: cells that transformers runs at most; the rest would say the same
CELLS = 2
WORDS = 48  # of a prompt


@dataclass
class Report:
    """What was measured so far, printed and written after every line."""

    path: Path
    seconds: float
    started: float = field(default_factory=time.perf_counter)
    found: dict[str, Any] = field(default_factory=dict)

    def say(self, name: str, /, **measured: Any) -> None:
        """Keep a line."""
        self.found[name] = measured
        print(f"{name:42}", "  ".join(f"{key} {value}" for key, value in measured.items()), flush=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.found, indent=1) + "\n")

    def over(self, what: str) -> bool:
        """Whether the time is over; says what is left out."""
        late = time.perf_counter() - self.started > self.seconds
        if late:
            self.say(f"{what}: left out", seconds=round(time.perf_counter() - self.started))
        return late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="7b")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--conditions", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument(
        "--memory", type=float, default=0.5, help="share of the GPU that vLLM takes beside the loaded model"
    )
    parser.add_argument("--without", nargs="*", default=[], choices=["vllm", "transformers"])
    parser.add_argument("--out", type=Path, default=Path("runs/gpu.json"))
    options = parser.parse_args()
    report = Report(options.out, options.seconds)
    place = "cuda" if torch.cuda.is_available() else "cpu"
    about = torch.cuda.get_device_name() if place == "cuda" else f"{platform.processor() or platform.machine()}: no GPU"
    report.say("device", name=about, torch=torch.__version__, size=options.size, rows=options.rows, new=options.new)
    report.say(
        "notebooks' dtype",
        dtype=default_dtype(),
        as_meant=default_dtype() == ("bfloat16" if place == "cuda" else "float32"),
    )
    model = random_model(options.size, place)
    report.say("model", billions=round(parameters(model) / 1e9, 2), dtype=str(model.dtype), memory_gb=memory_gb())
    for conditions in options.conditions:
        if report.over(f"{conditions} conditions"):
            break
        grid(report, model, conditions, options)
    if not report.over("constants"):
        constants(report, model, options)
    if "vllm" not in options.without:
        by_vllm(report, model, options)
    ratios(report, options)
    report.say("all", minutes=round((time.perf_counter() - report.started) / 60, 1))


def random_model(size: str, place: str) -> Model:
    """A model of a shape, with random weights in bfloat16, that never says a stop token."""
    hidden, layers, heads, kv, width, intermediate, words = SIZES[size]
    config = MistralConfig(
        vocab_size=words,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv,
        head_dim=width,
        intermediate_size=intermediate,
        max_position_embeddings=4096,
        sliding_window=None,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(place):
            hf = MistralForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    hf.lm_head.weight.data[2] = 0  # a logit of 0 is never the largest of so many
    return from_modules(hf, tokenizer(words), f"random-{size}")


def tokenizer(words: int) -> PreTrainedTokenizerFast:
    """A tokenizer of so many words, with a chat template of one turn."""
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<bos>", "<eos>", "<unk>", "user", "assistant"])}
    vocabulary |= {f"w{i}": i for i in range(len(vocabulary), words)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    template = (
        "<bos> {% for m in messages %}{{ m['role'] }} {{ m['content'] }} "
        "{% if m['role'] == 'assistant' %}{{ eos_token }} {% endif %}{% endfor %}"
        "{% if add_generation_prompt %}assistant {% endif %}"
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        chat_template=template,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
    )


def parameters(model: Model) -> int:
    return sum(p.numel() for p in model.hf.parameters())


def memory_gb() -> float:
    """The most memory that was taken so far: on the GPU, or by this process."""
    most = (
        torch.cuda.max_memory_allocated()
        if torch.cuda.is_available()
        else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    )
    return round(most / 1e9, 2)


def rows_of(model: Model, rows: int, conditions: int) -> tuple[Encoded, list[wb.Steer]]:
    """Prompts × conditions: the conditions add at three layers, on all tokens, each another amount."""
    words = model.hf.config.vocab_size
    prompts = [
        " ".join(f"w{6 + (7 * i + 13 * j) % (words - 6)}" for j in range(WORDS)) for i in range(rows // conditions)
    ]
    layers = [model.n_layers * part // 4 for part in (1, 2, 3)]
    vectors = [torch.randn(model.d_model, generator=torch.Generator().manual_seed(layer)) for layer in layers]
    ds = [wb.Direction(v, wb.resid_post(at), model.name, model.revision) for v, at in zip(vectors, layers, strict=True)]
    steers = [wb.add(ds[i % len(ds)], 0.01 * (1 + i)) for i in range(conditions)]
    chats = model.encode(prompts).take([p for _ in steers for p in range(len(prompts))])
    return chats, [steer for steer in steers for _ in prompts]


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that something takes, everything on the GPU included."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else (lambda: None)
    wait()
    started = time.perf_counter()
    out = run()
    wait()
    return time.perf_counter() - started, out


def grid(report: Report, model: Model, conditions: int, options: argparse.Namespace) -> None:
    """One grid by this engine, reading and writing apart, and by transformers."""
    chats, steers = rows_of(model, options.rows, conditions)

    def ours(new: int) -> list[tuple[int, ...]]:
        return continue_tokens(model, chats, steers, new, options.rows, progress=False)

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    timed(lambda: ours(2))  # to warm up
    reading, _ = timed(lambda: ours(1))
    whole, tokens = timed(lambda: ours(options.new))
    report.say(
        f"workbench, {conditions} conditions",
        **rates(len(chats), options.new, reading, whole),
        memory_gb=memory_gb(),
        whole=all(len(ids) == options.new for ids in tokens),
    )
    if "transformers" in options.without or report.over(f"transformers, {conditions} conditions"):
        return
    size, cells = options.rows // conditions, min(CELLS, conditions)
    timed(lambda: hooked(model, chats.take(range(size)), steers[0], 2))
    parts = [slice(i * size, (i + 1) * size) for i in range(cells)]
    runs = [
        [
            timed(lambda part=part, n=n: hooked(model, chats.take(range(part.start, part.stop)), steers[part.start], n))
            for part in parts
        ]
        for n in (1, options.new)
    ]
    reading, whole = (sum(took for took, _ in run) * conditions / cells for run in runs)
    same = [
        a == b for part, (_, said) in zip(parts, runs[1], strict=True) for a, b in zip(tokens[part], said, strict=True)
    ]
    report.say(
        f"transformers, {conditions} conditions",
        **rates(len(chats), options.new, reading, whole),
        cells_measured=f"{cells} of {conditions}",
        rows_equal=round(sum(same) / len(same), 3),
    )


def rates(rows: int, new: int, reading: float, whole: float) -> dict[str, float]:
    """Seconds of reading and of writing, and tokens written per second of both and of writing alone."""
    writing = max(whole - reading, 1e-9)
    return {
        "prefill_s": round(reading, 3),
        "decode_s": round(writing, 3),
        "tokens_per_s": round(rows * new / whole, 1),
        "decode_tokens_per_s": round(rows * (new - 1) / writing, 1),
    }


def hooked(model: Model, chats: Encoded, steer: wb.Steer, new: int) -> list[tuple[int, ...]]:
    """transformers' generate with a forward hook, for one condition."""
    (edit,) = steer.edits
    added = (edit.coef * edit.direction.vector).to(model.device, model.dtype)
    ids, mask = chats.padded(device=model.device)
    block = model.hf.model.layers[edit.site.layer]
    handle = block.register_forward_hook(
        lambda _, __, out: (out[0] + added, *out[1:]) if isinstance(out, tuple) else out + added
    )
    try:
        out = model.hf.generate(
            ids, attention_mask=mask, max_new_tokens=new, do_sample=False, pad_token_id=0, eos_token_id=None
        )
    finally:
        handle.remove()
    return [tuple(row) for row in out[:, ids.shape[1] :].tolist()]


def constants(report: Report, model: Model, options: argparse.Namespace) -> None:
    """What the planner assumes of a GPU (``sweeps/hardware.py``), as it is here."""
    sizes: Shape = shape_of(model.hf.config.to_dict(), model.name)
    chats, steers = rows_of(model, options.rows, 1)
    reading, _ = timed(lambda: continue_tokens(model, chats, steers, 1, options.rows, progress=False))
    one = chats.take([0])
    timed(lambda: continue_tokens(model, one, steers[:1], 2, 1, progress=False))
    short, _ = timed(lambda: continue_tokens(model, one, steers[:1], 1, 1, progress=False))
    long, _ = timed(lambda: continue_tokens(model, one, steers[:1], options.new, 1, progress=False))
    step = max(long - short, 1e-9) / max(options.new - 1, 1)
    weights = sizes.layer_parameters + sizes.hidden * sizes.vocabulary
    report.say(
        "the planner's constants",
        prefill_tflops=round(2 * sizes.layer_parameters * sum(chats.lengths) / reading / 1e12, 3),
        step_of_one_row_gb_per_s=round(2 * weights / step / 1e9, 2),
        layer_ms_at_most=round(1e3 * step / sizes.layers, 3),
        assumed=f"{FLOPS_SHARE:.0%} of peak, {BANDWIDTH_SHARE:.0%} of bandwidth, {1e3 * LAYER_SECONDS:g} ms",
    )


def by_vllm(report: Report, model: Model, options: argparse.Namespace) -> None:
    """The same grids by vLLM, in processes of its own."""
    if find_spec("vllm") is None:
        report.say("vLLM: not installed here")
        return
    with stopped():
        for conditions in options.conditions:
            if report.over(f"vLLM, {conditions} conditions"):
                return
            chats, steers = rows_of(model, options.rows, conditions)

            def theirs(new: int, chats: Encoded = chats, steers: list[wb.Steer] = steers) -> dict[int, tuple[int, ...]]:
                how = VLLM(memory=options.memory)
                parts = stream_tokens(model, chats, steers, new, options.rows, how)
                return {row: ids for ended in parts for row, ids in ended}

            theirs(options.new)  # starts the engine, and holds it to the model
            reading, _ = timed(lambda run=theirs: run(1))
            whole, tokens = timed(lambda run=theirs: run(options.new))
            few = min(16, len(chats))
            own = continue_tokens(model, chats.take(range(few)), steers[:few], options.new, few, progress=False)
            report.say(
                f"vLLM, {conditions} conditions",
                **rates(len(chats), options.new, reading, whole),
                rows_equal_to_workbench=sum(tokens[i] == own[i] for i in range(few)) / few,
            )


@contextmanager
def stopped() -> Iterator[None]:
    """No engine is left behind."""
    try:
        yield
    finally:
        stop_engine()


def ratios(report: Report, options: argparse.Namespace) -> None:
    """What the page asks: how many times as fast as transformers, and beside the bar."""
    found = {name: line["tokens_per_s"] for name, line in report.found.items() if "tokens_per_s" in line}
    for conditions in options.conditions:
        ours, plain = (found.get(f"{who}, {conditions} conditions") for who in ("workbench", "transformers"))
        if ours and plain:
            report.say(f"ratio, {conditions} conditions", workbench_over_transformers=round(ours / plain, 2))
    report.say("bar", easysteer_tokens_per_s=EASYSTEER, model="1.5B, 256 conditions, as it reports")


if __name__ == "__main__":
    main()
