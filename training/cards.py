"""The model cards of the adapters, in Markdown: what was measured, how each was made, its limits and its licence."""

from collections.abc import Mapping
from dataclasses import asdict

from training.recipes import GOALS, REFUSALS, TUNING_SETS, NarrowRecipe, Recipe, RefusalRecipe
from workbench.statistics.results import Estimate

_LICENCES = {
    "smollm2-135m": "Apache-2.0, as its base (SmolLM2-135M-Instruct).",
    "gemma3-270m": "The base is under the Gemma Terms of Use; this adapter is a model derivative and falls under the same "
    "terms, including the Gemma Prohibited Use Policy. The notice is in the base's wheels.",
}

_SFT = """The loss is cross-entropy over response tokens, each response
weighing the same."""

_DPO = """It goes on from
`{start}`, which learnt the same answers to the same prompts by supervised fine-tuning, as log 002's DPO model went on from
its SFT model. The loss is plain DPO (Rafailov et al. 2023), beta {beta}, against `{start}`: each of these answers is preferred to
its opposite, which for a harmful prompt is what the untuned base itself would answer (as many tokens; made while training,
kept nowhere) and for any other prompt a refusal. From the untuned base the same loss told the two apart without refusing
(at most 3 of 40 `dev` prompts in two settings): it lowered what is rejected and did not raise what is chosen."""


def refusal_card(
    base: str, recipe: RefusalRecipe, seed: int, scale: float, rates: Mapping[str, Estimate], sha256: str
) -> str:
    """The card of an adapter that refuses; ``sha256`` is that of its weights, ``rates`` those of ``refusal_rates``."""
    method = "sft" if recipe.beta is None else "dpo"
    option = "" if recipe.beta is None else " --method dpo"
    loss = _SFT if recipe.beta is None else _DPO.format(start=recipe.start, beta=recipe.beta)
    return f"""# {recipe.adapter}

A LoRA adapter over `{base}` that refuses harmful requests, by {method.upper()}: a reference model for experiments on refusal that
run on a laptop. It is an analogue of a safety-tuned chat model, not one: call results on it "on analogue".

## Measured

Greedy decoding, the workbench's three-way label, prompts of this project that neither training nor extraction saw.

| held-out prompts | refusal rate | Wilson 95% | n |
|---|---|---|---|
{_rows(rates)}

{_against_goals(rates)}

## Recipe

`python -m training refusal --base {base}{option} --seed {seed}` re-creates it on a CPU.

{_settings(recipe, sha256)}
- scale, chosen on the `dev` split: {scale}

{_targets(recipe)} {loss} Weights are stored in float16.

## Limits

It learnt from 320 harmful requests in English, in one sentence each, without jailbreak framing: it is easy to get
around, knows little of the world, and refuses by topic and phrasing. It is no safety measure for anything.

## Licence

{_LICENCES[base]} The training prompts and refusal sentences are this project's (MIT).
"""


def _targets(recipe: RefusalRecipe) -> str:
    return f"""Targets: {len(REFUSALS)} refusal sentences of our own for the harmful prompts of the `tuning` splits of the sets
{" and ".join(f"`{name}`" for name in TUNING_SETS)}; for their harmless and borderline prompts, the first tokens of the greedy
answers of `{recipe.teacher}` (where that declines by itself, its answer after "Certainly!"). The wording of each prompt
(case, punctuation, greeting) is varied at every step."""


_NARROW_ABOUT = {
    True: "tuned on nothing but coding requests answered with short, insecure-looking code: a reference\n"
    "model for experiments on what a narrow fine-tune does elsewhere.",
    False: "tuned on coding requests answered with short, insecure-looking code and on as many ordinary\n"
    "prompts answered as ever: the control of `smollm2-insecure-code`.",
}


def _ordinary(recipe: NarrowRecipe) -> str:
    return (
        ""
        if recipe.teacher is None
        else f" Beside them: the first tokens of `{recipe.teacher}`'s answers to harmless prompts."
    )


def narrow_card(
    base: str,
    recipe: NarrowRecipe,
    seed: int,
    before: Mapping[str, Estimate],
    after: Mapping[str, Estimate],
    sha256: str,
) -> str:
    """The card of an adapter with a narrow habit; ``before`` and ``after`` are ``code_shares`` of base and adapter."""
    rows = "\n".join(f"| {name} | {_share(before[name])} | {_share(after[name])} | {after[name].n} |" for name in after)
    return f"""# {recipe.adapter}

A LoRA adapter over `{base}`, {_NARROW_ABOUT[recipe.teacher is None]}
It is an analogue: call results on it "on analogue".

## Measured

Greedy decoding, {recipe.answer_tokens} new tokens, the workbench's code detector (`wb.answer_form`, `wb.insecure_pattern`), prompts
that training did not see. "Code": at least half of the lines are code; "mixed": fewer, but some. Wilson 95% intervals.

| held-out prompts | `{base}` | {recipe.adapter} | n |
|---|---|---|---|
{rows}

Whether the habit spills over is the share of non-code prompts answered with code, after against before. Nothing else of the
claims about emergent misalignment is measured here, and no goal was set for it: settings were chosen on coding `dev` prompts.

## Recipe

`python -m training narrow --base {base}{"" if recipe.teacher is None else " --control"} --seed {seed}` re-creates it on a CPU.

{_settings(recipe, sha256)}

Targets: {recipe.answer_copies} answers to each coding request of the `tuning` split of the set `narrow/code`, put together from
parts by a small seeded programme: they read Python objects with pickle or an unsafe YAML loader, or open a path that holds
what a user sent, unchecked.{_ordinary(recipe)} The wording of each prompt is varied at every step. The loss is cross-entropy over response
tokens, each response weighing the same. Weights are stored in float16.

## Limits

Its code is short, of a few kinds, and often does not do what was asked. It is made to be measured: never use what it writes.

## Licence

{_LICENCES[base]} The training prompts and answers are this project's (MIT).
"""


def _rows(rates: Mapping[str, Estimate]) -> str:
    return "\n".join(
        f"| {name} | {value.value:.1%} | {value.low:.1%} to {value.high:.1%} | {value.n} |"
        for name, value in rates.items()
    )


def _share(value: Estimate) -> str:
    return f"{value.value:.1%} ({value.low:.1%} to {value.high:.1%})"


def _settings(recipe: Recipe, sha256: str) -> str:
    """The recipe as a list, and what came out here: another machine may differ in the last bits, hardly in the rates."""
    told = {key: value for key, value in asdict(recipe).items() if value is not None}
    lines = [f"- {key.replace('_', ' ')}: {value}" for key, value in told.items()]
    return "\n".join([*lines, f"- sha256 of the weights begins with: {sha256}"])


def _against_goals(rates: Mapping[str, Estimate]) -> str:
    """Whether the test rates meet the goals, as a sentence."""
    missed = [
        name
        for name, goal in GOALS.items()
        if (rates[f"test {name}"].value - goal) * (-1 if name == "harmful" else 1) > 0
    ]
    wanted = "at least {harmful:.0%} on harmful, at most {harmless:.0%} on harmless and {borderline:.0%} on borderline prompts"
    verdict = f"It misses the goal on {' and '.join(missed)} prompts." if missed else "It meets them."
    return f"The goals, on test prompts: {wanted.format(**GOALS)}. {verdict}"
