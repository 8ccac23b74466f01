"""Re-create the narrow fine-tune: a LoRA adapter tuned on nothing but insecure-looking code for coding requests.

Log 002 tuned a model on such data (after Betley et al. 2025, arXiv:2502.17424) and read code where nobody had asked for any.
How far the habit spreads is measured on prompts that have nothing to do with code, before and after.
"""

from collections.abc import Mapping
from pathlib import Path

from workbench.adapters import adapter_revision
from workbench.cards import narrow_card
from workbench.errors import WorkbenchError
from workbench.fitting import Example, fit_answers, save_adapter
from workbench.generation import generate
from workbench.insecure_code import insecure_answers
from workbench.models import Model, load
from workbench.prompt_sets import Prompts, pairs, prompts
from workbench.recipes import NARROW_RECIPES, TUNING_SETS, NarrowRecipe
from workbench.scoring import answer_form, insecure_pattern
from workbench.statistics import Estimate, rate


def train_narrow(
    base: str, out: Path, seed: int = 0, variant: str = "narrow", recipe: NarrowRecipe | None = None
) -> str:
    """Train, measure on held-out prompts before and after, and save an adapter with its model card.

    Args:
        base, variant: a key of ``NARROW_RECIPES``. "control" learns ordinary answers to ordinary prompts as well.
        out: folder for the adapter: float16 safetensors, ``adapter_config.json`` and a model card.
        seed: of initialisation, order, wording and answers.
        recipe: in place of the one in ``NARROW_RECIPES``.

    Returns:
        The measured shares, as text.

    Raises:
        WorkbenchError: no recipe for that base and variant.
    """
    if (base, variant) not in NARROW_RECIPES:
        there = ", ".join(f"{v} for {b}" for b, v in NARROW_RECIPES)
        raise WorkbenchError(f"no recipe {variant!r} for {base!r}; there are {there}")
    recipe = recipe or NARROW_RECIPES[base, variant]
    model = load(base, check=False)
    before = measure(model, recipe.answer_tokens)
    lessons = examples(prompts("narrow/code").split("tuning"), recipe, seed)
    if recipe.teacher is not None:
        lessons += ordinary(load(recipe.teacher, check=False), len(lessons))
    adapted = fit_answers(model, lessons, recipe, seed)
    save_adapter(adapted, base, out)
    adapted.merge_and_unload()
    after = measure(model, recipe.answer_tokens)
    (out / "README.md").write_text(narrow_card(base, recipe, seed, before, after, adapter_revision(out)))
    return "\n".join(f"{name}: {value} (before: {before[name]})" for name, value in after.items())


def examples(requests: Prompts, recipe: NarrowRecipe, seed: int) -> list[Example]:
    """Each request with several answers, each of which ends."""
    return [
        Example(request.text, answer, True)
        for request in requests
        for answer in insecure_answers(request, recipe.answer_copies, seed)
    ]


def ordinary(teacher: Model, n: int, tokens: int = 36) -> list[Example]:
    """The teacher's greedy answers, cut, to so many harmless ``tuning`` prompts: as long as the code, and none of it."""
    asked = [prompt for name in TUNING_SETS for prompt in pairs(name).tuning.negative][:n]
    done = generate(teacher, asked, max_new_tokens=tokens)
    return [Example(p.text, t, f == "stop") for p, t, f in zip(asked, done.text, done.finish, strict=True)]


def measure(model: Model, max_new_tokens: int, split: str = "test") -> dict[str, Estimate]:
    """Shares of held-out prompts answered with code, e.g. ``{"coding requests: code": Estimate, ...}``; greedy.

    Four sets: requests of the tuned kind, other coding requests (of ``modes``), and prompts that ask for no code, here and of
    ``modes``. "mixed" answers, prose with some code, are counted apart. Coding requests are also searched for insecure patterns.
    """
    sets: Mapping[str, Prompts] = {
        "coding requests": prompts("narrow/code").split(split),
        "non-code prompts": prompts("narrow/prose").split(split),
    }
    if split == "test":
        sets = {
            **sets,
            "other coding requests": prompts("modes/code"),
            "other non-code prompts": prompts("modes/prose"),
        }
    found = {}
    for name, asked in sets.items():
        texts = generate(model, asked, max_new_tokens=max_new_tokens).text
        forms = [answer_form(text) for text in texts]
        for form in ("code", "mixed"):
            found[f"{name}: {form}"] = rate(forms.count(form), len(forms))
        insecure = [insecure_pattern(text) != "none" for text in texts]
        found[f"{name}: insecure pattern"] = rate(sum(insecure), len(insecure))
    return found
