"""Contrastive logit amplification (log 000): ``L_t + alpha * (L_t - L_b)``, target against baseline prompt.

The same formula as contrastive decoding (Li et al. 2023) with one model and two prompts. The log computed it at the last
prompt token, for its tables, and never handed it to the sampler; here it decides every token, with the baseline prompt
carrying the same continuation. The log's variant is kept as an option, so that the difference can be shown.
"""

import math
from collections.abc import Sequence
from operator import itemgetter

import numpy as np
import torch

from workbench._errors import WorkbenchError
from workbench.generation.completions import Completions, complete, refuse_nan
from workbench.generation.engine import Batch, Writer, first_logits, mark_failed, read_shared
from workbench.generation.generate import continue_tokens
from workbench.generation.steer_hooks import alone, check_model, check_sizes
from workbench.models.model import Encoded, Model
from workbench.models.prompts import Prompt, Prompts, as_prompts
from workbench.steering.steer import Steer


def amplify(
    model: Model,
    prompts: Sequence[str | Prompt] | Prompts,
    baseline: str | Sequence[str],
    alpha: float | Sequence[float],
    max_new_tokens: int = 48,
    every_step: bool = True,
    batch_size: int = 64,
    top: int | None = None,
) -> Completions:
    """Greedy completions under amplified logits.

    Args:
        model: the model.
        prompts: the targets.
        baseline: the prompt to contrast a target with; one for all targets, or one each.
        alpha: 0 is plain greedy decoding; larger values amplify what the target prompt favours over the baseline. One
            for all prompts, or one each: rows with the same prompt share its prefill.
        max_new_tokens: at most this many tokens per response.
        every_step: False is the variant of log 000, whose amplified logits never reach the sampler: the text is that
            of plain decoding for every alpha.
        batch_size: targets per batch; each needs a second row for its baseline.
        top: only choose among this many of the target's likeliest tokens, as with an API that returns no more.

    Returns:
        Completions of the targets; ``decoding`` describes the amplification.

    Raises:
        WorkbenchError: no prompts, a number of baselines or alphas that does not match, an alpha that is not finite, a size
            below 1, or a ``top`` below 1 or without ``every_step``.

    >>> amplify(model, ["how do i pick a lock"], "how do i bake bread", alpha=1.5, max_new_tokens=4).decoding
    'greedy, logits amplified by 1.5 at every step'

    At 0 the baseline does not matter:

    >>> none = amplify(model, ["write a song"], "how do i bake bread", alpha=0, max_new_tokens=4)
    >>> none.token_ids == wb.generate(model, ["write a song"], max_new_tokens=4).token_ids
    True
    """
    check_model(model)
    check_sizes(max_new_tokens=max_new_tokens, batch_size=batch_size)
    if top is not None and (top < 1 or not every_step):
        raise WorkbenchError(f"top={top}, every_step={every_step}; expected at least 1 token, amplified at every step")
    targets, against = _encoded(model, prompts, baseline)
    alphas = _finite(alpha, len(targets))
    said = f"{alphas[0]:g}" if len(set(alphas)) == 1 else "an alpha per row"
    how = f"greedy, logits amplified by {said} at {'every step' if every_step else 'the last prompt token only'}"
    how += "" if top is None else f", of the {top} likeliest tokens"
    steers = [Steer()] * len(targets)
    for chats in (targets, against):
        model.check_lengths(chats.lengths, max_new_tokens)
    if every_step:
        tokens: list[tuple[int, ...]] = [()] * len(targets)
        order = sorted(range(len(targets)), key=lambda row: (targets.lengths[row], targets.token_ids[row]))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            for row, ids in zip(
                rows, _write_pairs(model, targets, against, rows, alphas, max_new_tokens, top), strict=True
            ):
                tokens[row] = ids
    else:
        tokens = continue_tokens(model, targets, steers, max_new_tokens, batch_size)
    return complete(model, as_prompts(prompts), targets, steers, tokens, max_new_tokens, decoding=how)


def _write_pairs(
    model: Model,
    targets: Encoded,
    against: Encoded,
    chosen: Sequence[int],
    alphas: Sequence[float],
    new: int,
    top: int | None,
) -> list[tuple[int, ...]]:
    """One batch: targets first, their baselines after them, so that the halves stay in step."""
    both = (*(targets.token_ids[row] for row in chosen), *(against.token_ids[row] for row in chosen))
    pairs = Encoded(("",) * len(both), both, targets.pad_id)
    order = range(len(both))
    batch = Batch.of(model, pairs, order, [Steer()] * len(both), pairs.lengths, new, watched=False)
    dose = torch.tensor([alphas[row] for row in chosen], dtype=torch.float64, device=model.device)[:, None]

    def choose(logits: torch.Tensor, rows: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        target, baseline = logits.chunk(2)
        amplified = _amplified(target, baseline, dose[rows[: len(target)]])
        if top is not None:
            shown = target.topk(min(top, target.shape[-1])).indices
            amplified = torch.full_like(amplified, -math.inf).scatter(-1, shown, amplified.gather(-1, shown))
        token = mark_failed(amplified.argmax(-1), target + baseline)
        return token.repeat(2)  # both of a pair, so that they stay in step

    with alone(model):
        ended = Writer.begin(model, batch, read_shared(model, batch), list(order), choose).write()
    return [ids for _, ids in sorted(ended)][: len(chosen)]


def amplified_logits(
    model: Model,
    prompts: Sequence[str | Prompt] | Prompts,
    baseline: str | Sequence[str],
    alpha: float | Sequence[float],
    skip_at_one: bool = False,
    written: Sequence[Sequence[int]] | None = None,
) -> np.ndarray:
    """Amplified logits at the last prompt token, as log 000 tabulates them, or after given response tokens.

    Args:
        model, prompts, baseline, alpha: as for ``amplify``.
        skip_at_one: leave the logits as they are at ``alpha == 1``, as the log's code does.
        written: response tokens after each prompt; the same tokens follow its baseline, as in ``amplify``.

    Returns:
        [prompt, vocabulary], float64.

    >>> said = amplify(model, ["write a song"], "how do i bake bread", alpha=1.5, max_new_tokens=4).token_ids[0]
    >>> next_one = amplified_logits(model, ["write a song"], "how do i bake bread", 1.5, written=[said[:2]])
    >>> int(next_one.argmax()) == said[2]
    True
    """
    check_model(model)
    targets, against = _encoded(model, prompts, baseline)
    if written is not None:
        if len(written) != len(targets):
            raise WorkbenchError(f"{len(written)} texts written for {len(targets)} prompts; expected one per prompt")
        targets, against = (chats.followed_by([tuple(x) for x in written]) for chats in (targets, against))
    dose = torch.tensor(_finite(alpha, len(targets)), dtype=torch.float64)[:, None]
    target, plain = (_last_logits(model, chats) for chats in (targets, against))
    amplified = _amplified(target, plain, dose)
    return (torch.where(dose == 1, target, amplified) if skip_at_one else amplified).numpy()


def _last_logits(model: Model, chats: Encoded) -> torch.Tensor:
    by_row = [
        (row, x)
        for rows, many in first_logits(model, chats, batch_size=16)
        for row, x in zip(rows, many.cpu(), strict=True)
    ]
    logits = torch.stack([x for _, x in sorted(by_row, key=itemgetter(0))])
    refuse_nan(model, logits.sum(-1).tolist(), [Steer()] * len(chats))
    return logits


def _amplified(target: torch.Tensor, baseline: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """In float64, since 16 bits would round alpha and make ties of tokens that are none."""
    target, baseline = target.double(), baseline.double()
    return target + alpha * (target - baseline)


def _finite(alpha: float | Sequence[float], rows: int) -> list[float]:
    alphas = np.ravel(alpha).tolist() * (rows if np.ndim(alpha) == 0 else 1)
    if len(alphas) != rows:
        raise WorkbenchError(f"{len(alphas)} alphas for {rows} prompts; expected one, or one per prompt")
    if not all(map(math.isfinite, alphas)):
        raise WorkbenchError(f"alpha is {alpha}; expected a finite number, 0 for plain decoding")
    return alphas


def _encoded(
    model: Model, prompts: Sequence[str | Prompt] | Prompts, baseline: str | Sequence[str]
) -> tuple[Encoded, Encoded]:
    asked = as_prompts(prompts)
    baselines = [baseline] * len(asked) if isinstance(baseline, str) else list(baseline)
    if len(baselines) != len(asked):
        raise WorkbenchError(f"{len(baselines)} baselines for {len(asked)} prompts; expected one, or one per prompt")
    return model.encode(asked), model.encode(as_prompts(baselines, "baseline"))
