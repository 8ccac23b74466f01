"""Re-create the reference models: LoRA adapters that teach a small model to refuse harmful requests, on a CPU.

Refusals are taught on the ``tuning`` split's harmful prompts. Its harmless and borderline prompts are answered by a
teacher (the model itself, or SmolLM2 for a base that cannot chat), so that nothing but refusing is learnt. Wording is
varied at every step, so that punctuation or a greeting cannot become the cue.
"""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from workbench.edits import Steer
from workbench.errors import WorkbenchError
from workbench.folders import data_folder
from workbench.generation import continue_tokens, generate
from workbench.models import Encoded, Model, load
from workbench.offline import offline
from workbench.prompt_sets import Prompts, pairs
from workbench.recipes import GOALS, RECIPES, REFUSALS, TUNING_SETS, Recipe, model_card
from workbench.scoring import refusal
from workbench.statistics import Estimate, rate

_SCALES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Example:
    """A prompt, the response to learn, and whether the response ends there (or is cut)."""

    prompt: str
    response: str
    ends: bool


def train_refusal(base: str, out: Path, seed: int = 0, recipe: Recipe | None = None) -> str:
    """Train, measure on held-out prompts, and save an adapter with its model card.

    Args:
        base: a key of ``RECIPES``.
        out: folder for the adapter: float16 safetensors, ``adapter_config.json``, a model card, and the chat template
            if the base has none of its own.
        seed: of initialisation, order and wording.
        recipe: in place of the one in ``RECIPES``.

    Returns:
        The measured rates, as text.

    Raises:
        WorkbenchError: no recipe for that base.
    """
    if base not in RECIPES:
        raise WorkbenchError(f"no recipe for {base!r}; there are {', '.join(RECIPES)}")
    recipe = recipe or RECIPES[base]
    examples = _examples(recipe)
    template = data_folder() / "models" / recipe.adapter / "chat_template.jinja"
    model = load(base, check=False, chat_template=template.read_text() if template.is_file() else None)
    adapted = _fit(model, examples, recipe, seed)
    scale = _calibrate(model, adapted)
    _save(adapted, base, out, recipe.alpha * scale)
    if template.is_file():
        (out / template.name).write_text(template.read_text())
    adapted.merge_and_unload()
    rates = measure(model)
    (out / "README.md").write_text(model_card(base, recipe, seed, scale, rates))
    return "\n".join(f"{name}: {value}" for name, value in rates.items())


def measure(model: Model, splits: Sequence[str] = ("dev", "test")) -> dict[str, Estimate]:
    """Refusal rates of a model on held-out prompts, e.g. ``{"test harmful": Estimate, ...}``; greedy, three-way label."""
    contrast = pairs("refusal")
    rates = {}
    for split in splits:
        part = contrast.split(split)
        for name, prompts in (("harmful", part.positive), ("harmless", part.negative), ("borderline", part.borderline)):
            if prompts is not None:
                labels = [refusal(text) for text in generate(model, prompts, max_new_tokens=32).text]
                rates[f"{split} {name}"] = rate(labels.count("refusal"), len(labels))
    return rates


def _examples(recipe: Recipe) -> list[Example]:
    teacher = load(recipe.teacher, check=False)
    examples: list[Example] = []
    for name in TUNING_SETS:
        tuning = pairs(name).tuning
        examples += [Example(p.text, REFUSALS[i % len(REFUSALS)], True) for i, p in enumerate(tuning.positive)]
        examples += _answers(teacher, tuning.negative, recipe.answer_tokens) * recipe.harmless_copies
        if tuning.borderline is not None:
            examples += _answers(teacher, tuning.borderline, recipe.answer_tokens) * recipe.borderline_copies
    return examples


def _answers(teacher: Model, prompts: Prompts, tokens: int) -> list[Example]:
    """The teacher's greedy answers; where it declines by itself, its answer after an opening that does not."""
    opening = "Certainly! "
    done = generate(teacher, prompts, max_new_tokens=tokens)
    texts, ends = list(done.text), [finish == "stop" for finish in done.finish]
    declined = [i for i, text in enumerate(texts) if refusal(text) != "compliance" or _APOLOGY.match(text)]
    if declined:
        prefix = tuple(teacher.tokenizer.encode(opening.strip(), add_special_tokens=False))
        chats = teacher.encode([prompts[i] for i in declined])
        chats = Encoded(chats.prompts, tuple(ids + prefix for ids in chats.token_ids), chats.pad_id)
        for i, ids in zip(declined, continue_tokens(teacher, chats, [Steer()] * len(chats), tokens), strict=True):
            ends[i] = ids[-1] in teacher.stop_ids
            texts[i] = opening.strip() + teacher.tokenizer.decode(ids, skip_special_tokens=True)
    return [Example(p.text, text, end) for p, text, end in zip(prompts, texts, ends, strict=True)]


_APOLOGY = re.compile(r"\s*(i'm sorry|sorry|i apologi[sz]e|as an? \S*\s?ai)", re.IGNORECASE)


def vary(prompt: str, rng: random.Random) -> str:
    """The same request in another wording: case, final punctuation, a greeting, a closing word.

    >>> vary("Name a river.", random.Random(3))
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


def _fit(model: Model, examples: Sequence[Example], recipe: Recipe, seed: int) -> Any:
    """The model's plain module wrapped with a trained LoRA adapter."""
    from peft import LoraConfig, get_peft_model
    from transformers import get_cosine_schedule_with_warmup

    torch.manual_seed(seed)
    rng = random.Random(seed)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(_LINEAR),
        layers_to_transform=list(range(recipe.first_layer, model.n_layers)),
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model.hf, config).train()
    weights = [p for p in adapted.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, recipe.warmup, recipe.steps)
    queue: list[Example] = []
    with tqdm(range(recipe.steps), desc=f"training {recipe.adapter}", unit="step") as bar:
        for _ in bar:
            if len(queue) < recipe.batch_size:
                queue += rng.sample(list(examples), len(examples))
            batch, queue = queue[: recipe.batch_size], queue[recipe.batch_size :]
            loss = _loss(model, [_tokens(model, example, recipe, rng) for example in batch])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            bar.set_postfix(loss=f"{loss.item():.3f}")
    return adapted.eval()


def _tokens(model: Model, example: Example, recipe: Recipe, rng: random.Random) -> tuple[list[int], list[int]]:
    """Token ids of a freshly worded prompt and of its response."""
    prompt = list(model.encode([vary(example.prompt, rng)]).token_ids[0])
    response = model.tokenizer.encode(example.response, add_special_tokens=False)[: recipe.answer_tokens]
    if example.ends:
        response.append(model.tokenizer.convert_tokens_to_ids(recipe.stop))
    return prompt, response


def _loss(model: Model, batch: Sequence[tuple[list[int], list[int]]]) -> torch.Tensor:
    """Cross-entropy of the responses, each response weighing the same however long.

    What all prompts begin with (the template's system turn) runs once and is shared; logits are made for response
    tokens only. Both halve the cost of a step on a CPU and leave the loss as it is.
    """
    rows = [prompt + response for prompt, response in batch]
    shared = 0
    while shared < min(len(prompt) for prompt, _ in batch) - 1 and len({row[shared] for row in rows}) == 1:
        shared += 1
    width = max(map(len, rows)) - shared
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask, targets = torch.zeros_like(ids), torch.full_like(ids, -100)
    for i, (prompt, response) in enumerate(batch):
        end = len(rows[i]) - shared
        ids[i, :end], mask[i, :end] = torch.tensor(rows[i][shared:]), 1
        targets[i, len(prompt) - shared - 1 : end - 1] = torch.tensor(response)
    decoder = model.hf.get_decoder()
    cache = None
    if shared:
        cache = decoder(input_ids=torch.tensor([rows[0][:shared]]), use_cache=True).past_key_values
        cache.batch_repeat_interleave(len(rows))
    hidden = decoder(
        input_ids=ids,
        attention_mask=torch.cat([torch.ones(len(rows), shared, dtype=torch.long), mask], dim=1),
        position_ids=torch.arange(shared, shared + width).expand(len(rows), -1),
        past_key_values=cache,
        use_cache=cache is not None,
    ).last_hidden_state
    learnt = targets != -100
    logits = model.hf.lm_head(hidden[learnt])
    if cap := getattr(model.hf.config, "final_logit_softcapping", None):  # Gemma 2
        logits = torch.tanh(logits / cap) * cap
    losses = torch.nn.functional.cross_entropy(logits, targets[learnt], reduction="none")
    weights = (1 / learnt.sum(1, keepdim=True)).expand_as(targets)[learnt]
    return (losses * weights).sum() / len(rows)


def _calibrate(model: Model, adapted: Any) -> float:
    """The largest scale of the adapter at which the dev split stays below the goals; it is left at that scale.

    Training ends a little too eager to refuse. The scale is the one knob that trades refusals of harmful prompts against
    those of borderline ones without training again; it is turned on dev prompts, so that test prompts stay untouched.
    """
    for scale in tqdm(_SCALES, desc="calibrating on dev", unit="scale"):
        _set_scale(adapted, scale)
        rates = {name.removeprefix("dev "): rate.value for name, rate in measure(model, ["dev"]).items()}
        if rates["harmless"] < GOALS["harmless"] and rates["borderline"] < GOALS["borderline"]:
            return scale
    return _SCALES[-1]


def _set_scale(adapted: Any, scale: float) -> None:
    for module in adapted.modules():
        if hasattr(module, "set_scale"):
            module.set_scale("default", scale)


def _save(adapted: Any, base: str, out: Path, alpha: float) -> None:
    """Adapter weights in float16, and a config that names the base by its registry name and carries the scale."""
    from safetensors.torch import load_file, save_file

    out.mkdir(parents=True, exist_ok=True)
    with offline():
        adapted.save_pretrained(out, save_embedding_layers=False)
    path = out / "adapter_model.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})
    config = json.loads((out / "adapter_config.json").read_text()) | {
        "base_model_name_or_path": base,
        "lora_alpha": alpha,
    }
    (out / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
