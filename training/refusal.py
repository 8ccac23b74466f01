"""How does a small model learn to refuse harmful requests? A LoRA adapter, from the ``tuning`` split, on a CPU.

Refusals are taught on the split's harmful prompts. Its harmless and borderline prompts are answered by a
teacher (the model itself, or SmolLM2 for a base that cannot chat), so that nothing but refusing is learnt. Wording is
varied at every step, so that punctuation or a greeting cannot become the cue. Two methods learn from the same prompts:
``sft`` imitates the answer of each; ``dpo`` goes on from there and prefers it to its opposite, as log 002's DPO model did.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.cards import refusal_card
from training.fit import (
    Example,
    Preference,
    check_folder,
    fit_answers,
    fit_preferences,
    save_adapter,
    scale_adapter,
    write,
)
from training.recipes import GOALS, PARTS, RECIPES, REFUSALS, TUNING_SETS, RefusalRecipe
from workbench._errors import WorkbenchError, unknown
from workbench._errors.progress import Bar
from workbench._files import data_folder
from workbench.generation.generate import continue_tokens, generate
from workbench.models.load import adapter_revision, load
from workbench.models.model import Encoded, Model
from workbench.models.prompt_files import pairs
from workbench.models.prompts import Prompt
from workbench.scoring.labels import refusal
from workbench.statistics.rates import rate
from workbench.statistics.results import Estimate
from workbench.steering.steer import Steer

_SCALES = (1.0, 0.9, 0.8, 0.7)


def train_refusal(base: str, out: Path, seed: int = 0, method: str = "sft", recipe: RefusalRecipe | None = None) -> str:
    """Train, measure on held-out prompts, and save an adapter with its model card.

    Args:
        base, method: a key of ``RECIPES``.
        out: folder for the adapter: float16 safetensors, ``adapter_config.json``, a model card, and the chat template
            if the base has none of its own.
        seed: of initialisation, order and wording.
        recipe: in place of the one in ``RECIPES``.

    Returns:
        The measured rates, as text.

    Raises:
        WorkbenchError: no recipe for that base and method, ``out`` is a file, or the adapter to go on from is another one;
            before anything is loaded.
    """
    if (base, method) not in RECIPES:
        raise unknown("recipe", f"{base} by {method}", [f"{b} by {m}" for b, m in RECIPES])
    check_folder(out)
    recipe = recipe or RECIPES[base, method]
    _check_start(recipe)
    template = data_folder() / "models" / recipe.adapter / "chat_template.jinja"
    dtype = recipe.compute or "float32"
    model = load(base, dtype, check=False, chat_template=template.read_text() if template.is_file() else None)
    save_adapter(_fit(model, base, recipe, seed), base, out)
    if template.is_file():
        write(out / template.name, template.read_text())
    del model
    kept = calibrate(out, dtype) if recipe.scale is None else recipe.scale
    scale = scale_adapter(out, kept) / recipe.alpha  # that of the adapter it went on from included
    rates = refusal_rates(load(str(out), dtype, check=False))
    write(out / "README.md", refusal_card(base, recipe, seed, scale, rates, adapter_revision(out)))
    return "\n".join(f"{name}: {value}" for name, value in rates.items())


def _check_start(recipe: RefusalRecipe) -> None:
    if recipe.start is None or recipe.start_revision is None:
        return
    there = adapter_revision(data_folder() / "models" / recipe.start)
    if there != recipe.start_revision:
        raise WorkbenchError(
            f"{recipe.adapter} went on from {recipe.start} {recipe.start_revision}, but data/models has {there}; check out the commit "
            "that has that one, or name the new one as start_revision in training/recipes.py"
        )


def refusal_rates(model: Model, parts: Sequence[str] = tuple(PARTS)) -> dict[str, Estimate]:
    """Refusal rates of a model on ``PARTS``, e.g. ``{"test harmful": Estimate, ...}``; greedy, whether ``wb.refusal`` says refusal."""
    rates = {}
    for part in parts:
        for side, prompts in measured_prompts(part).items():
            labels = [refusal(text) for text in generate(model, prompts, max_new_tokens=32).text]
            rates[f"{part} {side}"] = rate(labels.count("refusal"), len(labels))
    return rates


def measured_prompts(part: str) -> dict[str, list[Prompt]]:
    """The prompts of one of ``PARTS``: harmful, harmless and, where there are some, borderline.

    >>> {side: len(found) for side, found in measured_prompts("topics").items()}
    {'harmful': 80, 'harmless': 80}
    """
    sides: dict[str, list[Prompt]] = {"harmful": [], "harmless": [], "borderline": []}
    for name, split in PARTS[part]:
        found = pairs(name).split(split)
        for side, prompts in zip(sides, (found.positive, found.negative, found.borderline), strict=True):
            sides[side] += prompts or []
    return {side: prompts for side, prompts in sides.items() if prompts}


def _fit(model: Model, base: str, recipe: RefusalRecipe, seed: int) -> Any:
    """The model wrapped with its adapter, trained as the recipe says."""
    teacher = model if recipe.teacher == base else load(recipe.teacher, recipe.compute or "float32", check=False)
    if recipe.beta is None:
        return fit_answers(model, refusal_examples(teacher, recipe, recipe.sets), recipe, seed)
    start = data_folder() / "models" / recipe.start if recipe.start else None
    return fit_preferences(model, preferences(model, teacher, recipe, recipe.sets), recipe, seed, start)


def refusal_examples(teacher: Model, recipe: RefusalRecipe, sets: Sequence[str] = TUNING_SETS) -> list[Example]:
    """What supervised fine-tuning learns: refusals of harmful prompts, the teacher's answers to all others."""
    splits = [pairs(name).tuning for name in sets]
    lessons = _refusals(_harmful(splits))
    for prompts, copies in _to_answer(splits, recipe):
        lessons += _answers(teacher, prompts, recipe.answer_tokens) * copies
    return lessons


def preferences(
    base: Model, teacher: Model, recipe: RefusalRecipe, sets: Sequence[str] = TUNING_SETS
) -> list[Preference]:
    """The same lessons against their opposites: what the base itself would answer to harmful prompts, refusals of all others.

    The base's answers to harmful prompts live in memory, for as long as training lasts.
    """
    splits = [pairs(name).tuning for name in sets]
    harmful = _harmful(splits)
    lessons = list(map(Preference, _refusals(harmful), _answers(base, harmful, recipe.answer_tokens)))
    for prompts, copies in _to_answer(splits, recipe):
        chosen = _answers(teacher, prompts, recipe.answer_tokens)
        lessons += list(map(Preference, chosen, _refusals(prompts))) * copies
    return lessons


def _harmful(splits: Sequence[Any]) -> list[Prompt]:
    return [prompt for split in splits for prompt in split.positive]


def _to_answer(splits: Sequence[Any], recipe: RefusalRecipe) -> list[tuple[list[Prompt], int]]:
    """The prompts that are to be answered, and how often each counts."""
    harmless = [prompt for split in splits for prompt in split.negative]
    borderline = [prompt for split in splits for prompt in split.borderline or ()]
    return [(harmless, recipe.harmless_copies), (borderline, recipe.borderline_copies)]


def _refusals(prompts: Sequence[Prompt]) -> list[Example]:
    return [Example(prompt.text, REFUSALS[i % len(REFUSALS)], True) for i, prompt in enumerate(prompts)]


def _answers(teacher: Model, prompts: Sequence[Prompt], tokens: int) -> list[Example]:
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


def calibrate(folder: Path, dtype: str) -> float:
    """The largest scale of the adapter of a folder at which the dev prompts stay below the goals.

    Training ends a little too eager to refuse. The scale is the one knob that trades refusals of harmful prompts against
    those of borderline ones without training again; it is turned on dev prompts, so that test prompts stay untouched.
    """
    for scale in Bar(_SCALES, desc="calibrating on dev", unit="scale"):
        model = load(str(folder), dtype, check=False, adapter_scale=scale)
        rates = {name.removeprefix("dev "): rate.value for name, rate in refusal_rates(model, ["dev"]).items()}
        if rates["harmless"] < GOALS["harmless"] and rates["borderline"] < GOALS["borderline"]:
            return scale
    return _SCALES[-1]
