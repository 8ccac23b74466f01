"""Which tokens of two chats are the same by what they are, so that an activation of one may stand in for that of the other?

A token of the template has its counterpart by its place from the start or from the end of the chat, a token of the request by
its place in a request of the same length. The column in which a token happens to lie decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench._errors import WorkbenchError
from workbench.models.model import Encoded, Model
from workbench.models.prompts import Pairs, Prompt, Prompts, as_prompts
from workbench.steering.positions import Positions


@dataclass(frozen=True)
class Aligned:
    """Chats in pairs, token by token.

    Attributes:
        names: of the pairs.
        first, second: the two chats of each pair; ``first`` is the positive side.
        tokens: of each pair, the chosen tokens of the first chat and their counterparts in the second, counted from the start.
        labels: what each chosen token is, the same for all pairs where there are as many.
    """

    names: tuple[str, ...]
    first: Encoded
    second: Encoded
    tokens: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


def counterparts(
    first: Sequence[int], second: Sequence[int], on: Positions, whose: str = "a pair"
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens meant in one chat, and in the other the tokens that are the same by what they are.

    Equal tokens from the start on, and equal tokens up to the end, are template (or the same words in the same place). What lies
    between them is the request: its tokens have counterparts where both requests have as many, its last token always.

    Args:
        first, second: token ids of two whole prompts.
        on: which tokens of each.
        whose: what an error calls them.

    Raises:
        WorkbenchError: positions that mean no token, or not as many in both, or a token without a counterpart.

    >>> from workbench.steering.positions import PROMPT
    >>> counterparts([1, 7, 8, 5, 2, 9], [1, 6, 5, 2, 9], PROMPT[-3:])
    ((3, 4, 5), (2, 3, 4))
    """
    n, m = len(first), len(second)
    chosen = [tuple(np.flatnonzero(on.mask(length, length)).tolist()) for length in (n, m)]
    if not chosen[0] or len(chosen[0]) != len(chosen[1]):
        raise WorkbenchError(
            f"{whose}: on={on} means {len(chosen[0])} tokens of one prompt and {len(chosen[1])} of the other; expected as many, "
            "at least one. Take tokens of the template, e.g. on=wb.PROMPT[-1]"
        )
    head = _equal(first, second)
    tail = min(_equal(first[::-1], second[::-1]), n - head, m - head)
    for a, b in zip(*chosen, strict=True):
        if not (
            a == b < head  # the same token from the start
            or (n - a == m - b and n - a <= tail + 1)  # from the end, or the last token of the request
            or (n == m and a == b)  # the same place in a request of the same length
        ):
            raise WorkbenchError(
                f"{whose}: the requests have {n - head - tail} and {m - head - tail} tokens, so token {a} of one has no "
                f"counterpart in the other. Take the last {tail + 1} tokens or fewer, e.g. on=wb.PROMPT[-{max(tail, 1)}:], or "
                "requests of one length"
            )
    return chosen[0], chosen[1]


def _equal(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences have in common from their start on."""
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


def matched(pairs: Pairs) -> tuple[tuple[str, ...], Prompts, Prompts]:
    """The prompts of a contrast set in pairs: by ``base`` where both sides have the same ones, else in their order.

    Raises:
        WorkbenchError: sides of different sizes that no base matches.

    >>> matched(tiny_pairs)[0][0]
    'custom.positive-1'
    """
    ours, theirs = pairs.positive, pairs.negative
    by_base = {prompt.base: prompt for prompt in theirs if prompt.base}
    if all(prompt.base in by_base for prompt in ours):
        partners = Prompts(theirs.name, tuple(by_base[prompt.base] for prompt in ours))
        return tuple(prompt.base for prompt in ours), ours, partners
    if len(ours) != len(theirs):
        raise WorkbenchError(
            f"{pairs.name} has {len(ours)} positive and {len(theirs)} negative prompts, and no base= that matches them; expected "
            "as many on both sides, in the order in which they belong together"
        )
    return tuple(prompt.id for prompt in ours), ours, theirs


def within_side(pairs: Pairs) -> Pairs:
    """A control for ``patch`` and ``interchange``: each negative prompt is paired with the next one, so there is no contrast.

    >>> within_side(tiny_pairs).positive.texts[0] == tiny_pairs.negative.texts[1]
    True
    """
    items = tuple(replace(prompt, base="") for prompt in pairs.negative)
    if len(items) < 2:
        raise WorkbenchError(
            f"{pairs.name} has {len(items)} negative prompts; a control pairs each with the next: expected two"
        )
    side = f"{pairs.name}.negative"
    return Pairs(Prompts(side, (*items[1:], items[0])), Prompts(side, items), name=f"{pairs.name} within a side")


def aligned(model: Model, pairs: Pairs, on: Positions, answer: bool, each: bool) -> Aligned:
    """The chats of a contrast set, token by token.

    Args:
        answer: read thinking models behind an empty thought (``Model.at_answer``).
        each: the tokens are told apart later on, so that all pairs must have as many.

    Raises:
        WorkbenchError: see ``counterparts`` and ``matched``.
    """
    names, ours, theirs = matched(pairs)
    first, second = (model.encode(side) for side in (ours, theirs))
    if answer:
        first, second = model.at_answer(first), model.at_answer(second)
    tokens = tuple(
        counterparts(a, b, on, f"pair {name!r}")
        for name, a, b in zip(names, first.token_ids, second.token_ids, strict=True)
    )
    return Aligned(names, first, second, tokens, labels(first, [pair[0] for pair in tokens], on, each))


def same_chats(
    model: Model, prompts: Sequence[str | Prompt] | Prompts, on: Positions, answer: bool, each: bool
) -> Aligned:
    """Chats in pairs with themselves, for two runs on the same prompts."""
    items = as_prompts(prompts)
    chats = model.at_answer(model.encode(items)) if answer else model.encode(items)
    tokens = tuple(
        counterparts(ids, ids, on, f"prompt {p.id!r}") for p, ids in zip(items, chats.token_ids, strict=True)
    )
    names = tuple(prompt.id for prompt in items)
    return Aligned(names, chats, chats, tokens, labels(chats, [pair[0] for pair in tokens], on, each))


def labels(chats: Encoded, tokens: Sequence[tuple[int, ...]], on: Positions, each: bool) -> tuple[str, ...]:
    """What each chosen token is called: ``prompt[-2]`` from the end where prompts differ in length, else ``prompt[3]``."""
    if not each:
        return (str(on),)
    counts = {len(chosen) for chosen in tokens}
    if len(counts) > 1:
        raise WorkbenchError(
            f"each=True wants as many tokens of each prompt; on={on} means {min(counts)} to {max(counts)}. Take e.g. "
            "on=wb.PROMPT[-5:], or prompts of one length"
        )
    if len(set(chats.lengths)) == 1:
        return tuple(f"prompt[{token}]" for token in tokens[0])
    back = {tuple(token - length for token in chosen) for chosen, length in zip(tokens, chats.lengths, strict=True)}
    if len(back) == 1:
        return tuple(f"prompt[{token}]" for token in next(iter(back)))
    front = set(tokens)
    if len(front) == 1:
        return tuple(f"prompt[{token}]" for token in tokens[0])
    raise WorkbenchError(f"each=True: on={on} means other tokens in prompts of other lengths; count from one end")
