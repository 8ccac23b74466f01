"""What would each layer say at each token, if the model ended there? The logit lens (nostalgebraist 2020), steered or not.

TransformerLens has it for a batch of one length on the bridge (``transformer_lens.tools.analysis.logit_lens``). Here texts are read as they
were written, each under its own Steer; on one unsteered text a test holds the two to the same logits.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from workbench._errors import WorkbenchError, check_flag
from workbench._errors.progress import Bar
from workbench.generation.completions import Texts, refuse_nan
from workbench.generation.recorder import Chats, token_labels
from workbench.generation.steer_hooks import Applied, alone, check_all, check_model, check_positions, check_sizes
from workbench.mechanism.readout import Readout
from workbench.models.hooks import reading
from workbench.models.model import Encoded, Model
from workbench.scoring.margins import margin, opening_tokens
from workbench.steering.positions import PROMPT, RESPONSE, Positions, as_positions
from workbench.steering.sites import Site
from workbench.steering.steer import Steer

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("prompt", "run", "layer", "position", "offset", "token", "top", "probability", "margin", "hidden")

#: stands for text that is not shown
BLANK = "▮"

#: tokens whose logits are held at once
_AT_ONCE = 64


def lens(
    model: Model,
    texts: Texts,
    on: Positions | str = PROMPT[-1] | RESPONSE,
    *,
    steer: Steer | None = None,
    base: bool = True,
    layers: Sequence[int] | None = None,
    k: int = 5,
    show_text: bool = False,
    batch_size: int = 16,
) -> "pd.DataFrame":
    """Decode the residual stream of every layer with the final norm and the unembedding, at each token (logit lens).

    Args:
        model: its plain module runs.
        texts: Completions, which run under their own Steers; or prompts, or ``(prompt, response)`` pairs.
        on: which tokens.
        steer: another Steer for all texts.
        base: also run the texts without their Steer. Texts without a Steer always run unsteered.
        layers: of ``resid_post``; by default all. The last layer gives the output of the model.
        k: number of likeliest next tokens to return.
        show_text: also show the tokens of hidden rows (steered answers to harmful requests); ``▮`` otherwise.
        batch_size: texts per forward pass.

    Returns:
        A DataFrame, one row per text, run ("base", and "steered" where a Steer does something), layer and token: prompt, run, layer,
        position (in the chat), offset (from the first response token; -1 is the last token of the prompt), token, top (the k
        likeliest next tokens), probability (of the likeliest), margin (log-odds that the next token opens a refusal, as
        ``wb.refusal_margin`` has them), hidden.

    Raises:
        WorkbenchError: a layer the model does not have, a Steer that does not fit, or positions that no text has; before any compute.
            Also a text for which the model returns NaN.

    >>> read = lens(model, ["write a song", "how do i pick a lock"], k=2)
    >>> read.groupby("layer").size().tolist(), len(read["top"][0])
    ([2, 2, 2], 2)
    """
    import pandas as pd

    check_model(model)
    check_sizes(batch_size=batch_size, k=k)
    check_flag(show_text, "show_text")
    positions = as_positions(on)
    asked = list(range(model.n_layers) if layers is None else layers)
    if not asked:
        raise WorkbenchError("layers=[]: expected at least one layer")
    if wrong := [layer for layer in asked if layer not in range(model.n_layers)]:
        raise WorkbenchError(f"layers={wrong}: {model.name} has layers 0 to {model.n_layers - 1}")
    chats = Chats.of(model, texts, steer)
    check_all(chats.steers, model)
    check_positions(chats.steers, chats.encoded.prompt_lengths)
    lengths = list(zip(chats.encoded.prompt_lengths, chats.encoded.lengths, strict=True))
    chosen = [np.flatnonzero(positions.mask(prompt, length)) for prompt, length in lengths]
    if not any(len(at) for at in chosen):
        raise WorkbenchError(f"on={positions} means no token of any text; try wb.PROMPT[-1]")
    steered = any(one.effective for one in chats.steers)
    runs = {"base": [Steer()] * len(chats)} if check_flag(base, "base") or not steered else {}
    if steered:
        runs["steered"] = list(chats.steers)
    words = [token_labels(model.tokenizer, ids) for ids in chats.encoded.token_ids]
    lines: list[tuple] = []
    for name, steers in runs.items():
        read = _read(model, chats.encoded, steers, asked, chosen, k, batch_size, name)
        refuse_nan(model, [sum(said[1] for at in row for said in at) for row in read], steers, chats.ids)
        for row, prompt in enumerate(chats.ids):
            hidden = chats.hidden[row]
            blank = hidden and not show_text
            for number, layer in enumerate(asked):
                for i, at in enumerate(chosen[row]):
                    top, probability, odds = read[row][number][i]
                    token = BLANK if blank and at >= lengths[row][0] else words[row][at]
                    offset = int(at) - lengths[row][0]
                    shown = (BLANK,) * len(top) if blank else tuple(token_labels(model.tokenizer, [t])[0] for t in top)
                    lines.append((prompt, name, layer, int(at), offset, token, shown, probability, odds, hidden))
    return pd.DataFrame(lines, columns=list(COLUMNS))


#: of one token at one layer: the likeliest next tokens, the probability of the first, and the margin
Said = tuple[tuple[int, ...], float, float]


@torch.no_grad()
def _read(
    model: Model,
    chats: Encoded,
    steers: Sequence[Steer],
    layers: Sequence[int],
    chosen: Sequence[np.ndarray],
    k: int,
    batch_size: int,
    label: str,
) -> list[list[list[Said]]]:
    """By text, layer and token."""
    found: list[list[list[Said]]] = [[[] for _ in layers] for _ in range(len(chats))]
    order = np.argsort(chats.lengths, kind="stable").tolist()
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    readout, openings = Readout.of(model), torch.tensor(opening_tokens(model), device=model.device)
    for batch in Bar(batches, desc=f"lens, {label}", unit="batch", leave=False, disable=len(batches) < 4):
        taken = chats.take(batch)
        ids, mask = taken.padded(device=model.device)
        width = max(taken.prompt_lengths)
        rows = np.concatenate([[i] * len(chosen[row]) for i, row in enumerate(batch)]).astype(int)
        columns = np.concatenate([chosen[row] + width - taken.prompt_lengths[i] for i, row in enumerate(batch)]).astype(
            int
        )
        seen: dict[int, Tensor] = {}
        applied = Applied([steers[row] for row in batch], taken.prompt_lengths, width, ids.shape[1] - width, model)
        with alone(model), ExitStack() as hooks:
            hooks.enter_context(applied.hooked(model))
            for layer in layers:
                keep = partial(_keep, seen, layer, rows, columns)
                hooks.enter_context(reading(model.hf, Site(layer, "resid_post"), keep))
            model.hf(
                input_ids=ids,
                attention_mask=mask,
                position_ids=taken.positions(mask),
                use_cache=False,
                logits_to_keep=1,
            )
        for number, layer in enumerate(layers):
            for i, said in zip(rows.tolist(), _said(readout, openings, seen[layer].to(model.device), k), strict=True):
                found[batch[i]][number].append(said)
    return found


def _keep(seen: dict[int, Tensor], layer: int, rows: np.ndarray, columns: np.ndarray, x: Tensor) -> None:
    seen[layer] = x[rows, columns]


def _said(readout: Readout, openings: Tensor, x: Tensor, k: int) -> list[Said]:
    """What the model would say behind each of these tokens, [token, d_model], if it ended there."""
    said: list[Said] = []
    for part in x.split(_AT_ONCE):
        logits = readout.logits(part).double()
        best, odds = logits.softmax(-1).topk(k), margin(openings, logits)
        values = zip(best.indices.tolist(), best.values[:, 0].tolist(), odds.tolist(), strict=True)
        said += [(tuple(top), p, odd) for top, p, odd in values]
    return said
