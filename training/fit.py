"""How is a LoRA adapter fitted on a CPU? From answers, or from preferences, in one loop; and how it is saved.

Answers are learnt by cross-entropy. Preferences are learnt by plain direct preference optimisation (DPO, Rafailov et al.
2023, arXiv:2305.18290): its reference is the same module as it was before training (without its adapter, or with the one it
went on from), so that no second model is held. Both losses share the prefix that all prompts have, which a trainer of
another package would not.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float

from training.recipes import Recipe, RefusalRecipe
from workbench._errors import WorkbenchError
from workbench._errors.progress import Bar
from workbench._files import whole
from workbench.models.fetch import offline, quiet
from workbench.models.model import Model

_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

#: the name of the frozen copy of an adapter that training went on from
START = "start"

#: token ids of a prompt, and of a response to it
Exchange = tuple[list[int], list[int]]

#: log-likelihoods in nats: of the chosen and of the rejected responses, or of one response each
BySide = Float[torch.Tensor, "side preference"]
ByExchange = Float[torch.Tensor, "exchange"]

Lesson = TypeVar("Lesson")


@dataclass(frozen=True)
class Example:
    """A prompt, the response to learn, and whether the response ends there (or is cut)."""

    prompt: str
    response: str
    ends: bool


def vary(prompt: str, rng: random.Random) -> str:
    """The same request in another wording: case, final punctuation, a greeting, a closing word.

    >>> vary("Name a river.", random.Random(6))
    'Name a river. Thanks!'
    """
    lowered = prompt if re.match(r"I\b", prompt) else prompt[0].lower() + prompt[1:]
    choice = rng.random()
    if choice < 0.35:
        return prompt
    if choice < 0.5:
        return lowered.rstrip(".?")
    if choice < 0.65:
        return rng.choice(("Please ", "Hi, ", "Hello! ", "Hey, ")) + lowered
    if choice < 0.8:
        return prompt + rng.choice((" Thanks!", " Please be brief.", " Thank you.", " I need this today."))
    if choice < 0.9:
        return prompt.rstrip(".?") + rng.choice(("!", "...", "?", "."))
    return rng.choice(("Question: ", "I have a request: ", "Quick one: ", "Task: ")) + prompt


def prompt_tokens(model: Model, prompt: str, rng: random.Random) -> list[int]:
    """Token ids of a freshly worded prompt, as a chat."""
    return list(model.encode([vary(prompt, rng)]).token_ids[0])


def response_tokens(model: Model, example: Example, recipe: Recipe) -> list[int]:
    """Token ids of what is learnt of a response: its first ``answer_tokens``, and its end where it has one."""
    response = model.tokenizer.encode(example.response, add_special_tokens=False)[: recipe.answer_tokens]
    if example.ends:
        response.append(model.tokenizer.convert_tokens_to_ids(recipe.stop))
    return response


def fit_adapter(
    model: Model,
    lessons: Sequence[Lesson],
    recipe: Recipe,
    seed: int,
    loss_of: Callable[[Any, Sequence[Lesson], random.Random], torch.Tensor],
    start: Path | None = None,
) -> Any:
    """Wrap the model's plain module with a LoRA adapter, and train that.

    Args:
        lessons: shuffled anew whenever they run out.
        seed: of initialisation, order and wording.
        loss_of: (wrapped module, a batch of lessons, source of randomness) -> loss.
        start: folder of an adapter to go on from, in place of a new one; a frozen copy of it stays at hand as ``START``.
    """
    from transformers import get_cosine_schedule_with_warmup

    torch.manual_seed(seed)
    rng = random.Random(seed)
    adapted = (_new_adapter(model, recipe) if start is None else _adapter_again(model, start)).train()
    weights = [p for p in adapted.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, recipe.warmup, recipe.steps)
    queue: list[Lesson] = []
    with Bar(range(recipe.steps), desc=f"training {recipe.adapter}", unit="step") as bar:
        for _ in bar:
            if len(queue) < recipe.batch_size:
                queue += rng.sample(list(lessons), len(lessons))
            batch, queue = queue[: recipe.batch_size], queue[recipe.batch_size :]
            with _computing(recipe.compute):
                loss = loss_of(adapted, batch, rng)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            bar.set_postfix(loss=f"{loss.item():.3f}")
    return adapted.eval()


@contextmanager
def _computing(dtype: str | None) -> Iterator[None]:
    """Matrix products in another dtype than float32. On a CPU the gradient of fused attention is slow in bfloat16."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if dtype is None:
        yield
        return
    with torch.autocast("cpu", getattr(torch, dtype)), sdpa_kernel(SDPBackend.MATH):
        yield


def _new_adapter(model: Model, recipe: Recipe) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(_LINEAR),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model.hf, config)


def _adapter_again(model: Model, folder: Path) -> Any:
    from peft import PeftModel

    with offline(), quiet():
        adapted = PeftModel.from_pretrained(model.hf, str(folder), is_trainable=True)
        adapted.load_adapter(str(folder), START)
    return adapted


def fit_answers(model: Model, examples: Sequence[Example], recipe: Recipe, seed: int) -> Any:
    """Supervised fine-tuning: ``fit_adapter`` on the cross-entropy of the examples' responses."""

    def loss_of(_: Any, batch: Sequence[Example], rng: random.Random) -> torch.Tensor:
        exchanges = [(prompt_tokens(model, e.prompt, rng), response_tokens(model, e, recipe)) for e in batch]
        return answer_loss(model, exchanges, recipe.first_token)

    return fit_adapter(model, examples, recipe, seed, loss_of)


def answer_loss(model: Model, exchanges: Sequence[Exchange], first_token: float | None = None) -> torch.Tensor:
    """Cross-entropy of the responses, each response weighing the same however long.

    ``first_token`` is the share of a response's weight that its first token has; by default all its tokens have the same.
    """
    losses, learnt = _token_losses(model, exchanges)
    weights = learnt.float()
    if first_token is not None:
        weights *= (1 - first_token) / (learnt.sum(1, keepdim=True) - 1).clamp(min=1)
        weights[torch.arange(len(exchanges)), learnt.int().argmax(1)] = first_token
    weights /= weights.sum(1, keepdim=True)  # a response of one token weighs what the others do
    return (losses * weights[learnt]).sum() / len(exchanges)


def log_likelihoods(model: Model, exchanges: Sequence[Exchange]) -> ByExchange:
    """Log-probability of each response, given its prompt, in nats."""
    losses, learnt = _token_losses(model, exchanges)
    return torch.zeros(len(exchanges), dtype=losses.dtype).index_add(0, learnt.nonzero()[:, 0], -losses)


def _token_losses(model: Model, exchanges: Sequence[Exchange]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of every response token, flat, and which positions predict one [exchange, pos].

    What all prompts begin with (the template's system turn) runs once and is shared; logits are made for response
    tokens only. Both halve the cost of a step on a CPU and leave the losses as they are.
    """
    chats = [prompt + response for prompt, response in exchanges]
    shared = 0
    while shared < min(len(prompt) for prompt, _ in exchanges) - 1 and len({chat[shared] for chat in chats}) == 1:
        shared += 1
    width = max(map(len, chats)) - shared
    ids = torch.zeros(len(exchanges), width, dtype=torch.long)
    mask, targets = torch.zeros_like(ids), torch.full_like(ids, -100)
    for i, (prompt, response) in enumerate(exchanges):
        end = len(chats[i]) - shared
        ids[i, :end], mask[i, :end] = torch.tensor(chats[i][shared:]), 1
        targets[i, len(prompt) - shared - 1 : end - 1] = torch.tensor(response)
    decoder = model.hf.get_decoder()
    cache = None
    if shared:
        cache = decoder(input_ids=torch.tensor([chats[0][:shared]]), use_cache=True).past_key_values
        cache.batch_repeat_interleave(len(exchanges))
    hidden = decoder(
        input_ids=ids,
        attention_mask=torch.cat([torch.ones(len(exchanges), shared, dtype=torch.long), mask], dim=1),
        position_ids=torch.arange(shared, shared + width).expand(len(exchanges), -1),
        past_key_values=cache,
        use_cache=cache is not None,
    ).last_hidden_state
    learnt = targets != -100
    logits = model.hf.lm_head(hidden[learnt])
    if cap := getattr(model.hf.config, "final_logit_softcapping", None):  # Gemma 2
        logits = torch.tanh(logits / cap) * cap
    return torch.nn.functional.cross_entropy(logits, targets[learnt], reduction="none"), learnt


def scale_adapter(folder: Path, scale: float) -> float:
    """Let a saved adapter change the weights by ``scale`` times what it does; returns its new alpha."""
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["lora_alpha"] *= scale
    write(path, json.dumps(config, indent=1, sort_keys=True) + "\n")
    return config["lora_alpha"]


def check_folder(out: Path) -> None:
    """Raise WorkbenchError where an adapter could not be saved, before it is trained: ``out`` is a file, or lies under one."""
    for path in (out, *out.parents):
        if path.exists() and not path.is_dir():
            raise WorkbenchError(f"out={str(out)!r}: {path} is a file; expected a folder for the adapter, old or new")


def save_adapter(adapted: Any, base: str, out: Path, scale: float = 1.0) -> None:
    """Save the weights in float16, and a config that names the base by its registry name and carries the scale."""
    from safetensors.torch import load_file, save_file

    out.mkdir(parents=True, exist_ok=True)
    with offline():
        adapted.save_pretrained(out, selected_adapters=["default"], save_embedding_layers=False)
    path = out / "adapter_model.safetensors"
    halves = {name: tensor.half() for name, tensor in load_file(path).items()}
    with whole(path) as draft:
        save_file(halves, draft, metadata={"format": "pt"})
    config = json.loads((out / "adapter_config.json").read_text())
    config |= {
        "base_model_name_or_path": base,
        "lora_alpha": config["lora_alpha"] * scale,
        "target_modules": sorted(_LINEAR),
    }
    write(out / "adapter_config.json", json.dumps(config, indent=1, sort_keys=True) + "\n")


def write(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole(path) as draft:
        draft.write_text(text)


@dataclass(frozen=True)
class Preference:
    """Two responses to one prompt. The rejected one is never printed, logged or saved: it may be an answer to a harmful request."""

    chosen: Example
    rejected: Example = field(repr=False)

    def __post_init__(self) -> None:
        if self.chosen.prompt != self.rejected.prompt:
            raise WorkbenchError("a preference compares two responses to one prompt; got two prompts")


def fit_preferences(
    model: Model, preferences: Sequence[Preference], recipe: RefusalRecipe, seed: int, start: Path | None = None
) -> Any:
    """DPO: ``fit_adapter`` on the preferences, against the model as it starts out. Raises WorkbenchError for a recipe without beta."""
    if not recipe.beta:
        raise WorkbenchError(f"the recipe of {recipe.adapter} has no beta; DPO wants one, e.g. beta=0.1")
    beta = recipe.beta

    def loss_of(adapted: Any, batch: Sequence[Preference], rng: random.Random) -> torch.Tensor:
        return dpo_loss(*likelihoods(model, adapted, batch, recipe, rng), beta)

    return fit_adapter(model, preferences, recipe, seed, loss_of, start)


def likelihoods(
    model: Model, adapted: Any, batch: Sequence[Preference], recipe: RefusalRecipe, rng: random.Random
) -> tuple[BySide, BySide]:
    """Log-likelihoods now and before training: chosen, rejected. Both see the same wording."""
    prompts = [prompt_tokens(model, preference.chosen.prompt, rng) for preference in batch]
    responses = [p.chosen for p in batch] + [p.rejected for p in batch]
    exchanges = [(prompt, response_tokens(model, e, recipe)) for prompt, e in zip(prompts * 2, responses, strict=True)]
    with torch.no_grad(), _as_it_started(adapted):
        reference = log_likelihoods(model, exchanges)
    return log_likelihoods(model, exchanges).view(2, -1), reference.view(2, -1)


@contextmanager
def _as_it_started(adapted: Any) -> Iterator[None]:
    if START not in adapted.peft_config:
        with adapted.disable_adapter():
            yield
        return
    adapted.set_adapter(START)
    try:
        yield
    finally:
        adapted.set_adapter("default")


def dpo_loss(policy: BySide, reference: BySide, beta: float) -> torch.Tensor:
    """Mean of −log σ(β · (gain of the chosen − gain of the rejected)), where a gain is log π − log π_ref (equation 7).

    Args:
        policy, reference: log-likelihoods now and before training: chosen, rejected.
        beta: how much a gain counts; the paper's 0.1 to 0.5.

    >>> round(float(dpo_loss(torch.zeros(2, 3), torch.zeros(2, 3), 0.1)), 4)  # log 2: nothing learnt yet
    0.6931
    """
    gain = policy - reference
    return -torch.nn.functional.logsigmoid(beta * (gain[0] - gain[1])).mean()
