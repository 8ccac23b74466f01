"""Completions: what a model wrote, and everything that decided it; and other texts that have a response to read again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from workbench._errors import WorkbenchError, check_flag
from workbench.models.chats import control_tokens
from workbench.models.identity import known_revision
from workbench.models.model import Encoded, Model
from workbench.models.prompts import Prompt, Prompts, as_prompts
from workbench.steering.steer import Steer

#: Stands in the tokens of a row, as its last, where the model returned no numbers (NaN or infinite logits): the row has failed.
FAILED = -1


@dataclass(frozen=True)
class Completions:
    """Generated responses, and how they were generated. Fields with several entries have one per prompt.

    ``text`` and ``token_ids`` hold only generated tokens, nothing of the prompt, the system prompt or the template.
    ``repr`` and ``frame()`` do not show text: under a refusal-reducing Steer it may be an answer to a harmful
    request.

    Attributes:
        finish: "stop" if the model ended the response, "length" if ``max_new_tokens`` did, "verdict" if generation
            stopped early because the label was already certain.
        ids, harmful: the ids of the prompts, and which of them are harmful.
        prompt_token_ids: the tokens of each prompt, template included.
        vocabulary: fingerprint of the tokenizer, as ``Model.vocabulary``.
        decoding: "greedy", or a description of the sampling or amplification.
        template: options of the chat template, as JSON.

    >>> done = wb.generate(model, ["how do i bake a cake"], max_new_tokens=4, progress=False)
    >>> len(done), [len(ids) <= 4 for ids in done.token_ids], done.frame().columns[0]
    (1, [True], 'prompt')
    """

    prompts: tuple[str, ...] = field(repr=False)
    token_ids: tuple[tuple[int, ...], ...] = field(repr=False)
    text: tuple[str, ...] = field(repr=False)
    finish: tuple[str, ...] = field(repr=False)
    steers: tuple[Steer, ...] = field(repr=False)
    ids: tuple[str, ...] = field(repr=False)
    prompt_token_ids: tuple[tuple[int, ...], ...] = field(repr=False)
    harmful: tuple[bool, ...] = field(repr=False)
    vocabulary: str = field(repr=False)
    model: str
    revision: str
    max_new_tokens: int
    decoding: str = "greedy"
    seed: int | tuple[int, ...] = 0
    system: str | None = None
    template: str = "{}"

    @property
    def hidden(self) -> tuple[bool, ...]:
        """Rows whose text is only displayed on request: steered answers to harmful requests."""
        changed = [bool(steer.effective) or self.decoding != "greedy" for steer in self.steers]
        return tuple(bad and steered for bad, steered in zip(self.harmful, changed, strict=True))

    @property
    def prompt_lengths(self) -> tuple[int, ...]:
        """Tokens per prompt, template included."""
        return tuple(map(len, self.prompt_token_ids))

    def encoded(self, pad_id: int) -> Encoded:
        """Prompts and responses as token ids."""
        return Encoded(self.prompts, self.prompt_token_ids, pad_id).followed_by(self.token_ids)

    def __repr__(self) -> str:
        return (
            f"Completions({len(self)} responses of {self.model}, {self.decoding}, at most {self.max_new_tokens} tokens)"
        )

    def _repr_html_(self) -> str:
        """The frame without text of a response; a harmful request goes by its id."""
        frame = self.frame()
        frame["prompt"] = [
            i if bad else text for i, bad, text in zip(self.ids, self.harmful, self.prompts, strict=True)
        ]
        return frame.to_html(index=False, max_rows=20)

    def __len__(self) -> int:
        return len(self.text)

    def frame(self, show_text: bool = False):
        """One row per completion: prompt, tokens, finish, steer; the text only if asked. A pandas DataFrame."""
        import pandas as pd

        frame = pd.DataFrame(
            {
                "prompt": self.prompts,
                "prompt_tokens": self.prompt_lengths,
                "tokens": [len(ids) for ids in self.token_ids],
                "finish": self.finish,
                "dose": [steer.dose for steer in self.steers],
                "steer": [str(steer) for steer in self.steers],
            }
        )
        return frame.assign(text=self.text) if check_flag(show_text, "show_text") else frame


def complete(
    model: Model,
    prompts: Prompts,
    encoded: Encoded,
    steers: Sequence[Steer],
    tokens: Sequence[tuple[int, ...]],
    max_new_tokens: int,
    decoding: str = "greedy",
    seed: int | tuple[int, ...] = 0,
    system: str | None = None,
) -> Completions:
    """Completions from the tokens that were written for each encoded prompt, the stop token included where there is one.

    Raises:
        WorkbenchError: a row that failed, with its prompt, Steer and dose; nothing is made of it.
    """
    if failed := [row for row, ids in enumerate(tokens) if ids and ids[-1] == FAILED]:
        first = failed[0]
        where = f"prompt {prompts[first].id!r}, at token {len(tokens[first])},"
        raise no_numbers(
            model, where, steers[first], len(failed), len(tokens), ". wb.sweep keeps such rows as failed and goes on"
        )
    written = [written_by(model, ids, max_new_tokens) for ids in tokens]
    return Completions(
        prompts=encoded.prompts,
        token_ids=tuple(tokens),
        text=tuple(text for text, _ in written),
        finish=tuple(finish for _, finish in written),
        steers=tuple(steers),
        ids=tuple(prompt.id for prompt in prompts),
        prompt_token_ids=encoded.token_ids,
        harmful=tuple(prompt.harmful for prompt in prompts),
        vocabulary=model.vocabulary,
        model=model.name,
        revision=known_revision(model),
        max_new_tokens=max_new_tokens,
        decoding=decoding,
        seed=seed,
        system=system,
        template=json.dumps(dict(model.template), sort_keys=True, default=str),
    )


def no_numbers(model: Model, first: str, steer: Steer, failed: int, of: int, more: str = "") -> WorkbenchError:
    """The error for rows that a model gave no numbers for: how many, and the first of them with its Steer."""
    return WorkbenchError(
        f"{model.name} in {model.dtype} returned NaN for {failed} of {of} rows, first for {first} under {steer} "
        f"(dose {steer.dose:g}); steer less, or load the model in float32{more}"
    )


def refuse_nan(
    model: Model, values: Sequence[float] | np.ndarray, steers: Sequence[Steer], names: Sequence[str] = ()
) -> None:
    """Raise WorkbenchError where a value is NaN, and name the first such row and its Steer.

    Args:
        values: one number per row, [row].
        steers: that each row was read under.
        names: of the rows, e.g. the ids of prompts; by default their numbers.

    >>> refuse_nan(model, [0.5, 1.0], [wb.Steer()] * 2)
    """
    failed = np.flatnonzero(np.isnan(np.asarray(values)))
    if len(failed):
        first = int(failed[0])
        where = f"prompt {names[first]!r}" if names else f"row {first + 1}"
        raise no_numbers(model, where, steers[first], len(failed), len(values))


#: What can be read: what a model wrote, prompts with or without an answer, or (prompt, response) pairs.
Texts = Completions | Prompts | Sequence[str | Prompt] | Sequence[tuple[str, str]]


def as_pairs(texts: Prompts | Sequence[str | Prompt] | Sequence[tuple[str, str]]) -> tuple[Prompts, list[str]]:
    """Prompts and the response to each: the second half of a pair, else the answer that a prompt brings, or "".

    Raises:
        WorkbenchError: no texts, or pairs and prompts mixed.

    >>> as_pairs([("write a song", "la la")])
    (Prompts('texts', n=1), ['la la'])
    """
    if texts is None or isinstance(texts, str):
        raise WorkbenchError(f"texts are {texts!r:.60}; expected a list of prompts or of (prompt, response) pairs")
    items = list(texts)
    if not any(isinstance(item, tuple) for item in items):
        prompts = as_prompts(texts, "texts")  # type: ignore[arg-type]
        return prompts, [prompt.answer for prompt in prompts]
    if not all(isinstance(item, tuple) and len(item) == 2 for item in items):
        raise WorkbenchError("expected (prompt, response) pairs throughout, or prompts throughout")
    pairs: list[tuple[str, str]] = items  # type: ignore[assignment]
    if odd := [response for _, response in pairs if not isinstance(response, str)]:
        raise WorkbenchError(f"a response is {odd[0]!r:.60}; expected text")
    return as_prompts([prompt for prompt, _ in pairs], "texts"), [response for _, response in pairs]


def encode_pairs(model: Model, prompts: Prompts, responses: Sequence[str], written: bool = False) -> Encoded:
    """Chats of prompts with their responses; an empty response has no tokens.

    A response that somebody typed, not one that a model has ``written``, may hold no control token, e.g. the end of a turn.
    """
    control = control_tokens(model.tokenizer, model.name)
    for prompt, text in zip(prompts, responses, strict=True):
        if not (written or prompt.control_tokens):
            control.check([], text, model.name, f"the response to prompt {prompt.id!r}")
    chats = model.encode(prompts).followed_by([model.tokenize(text) if text else () for text in responses])
    model.check_lengths(chats.lengths)
    return chats


def written_by(model: Model, ids: Sequence[int], max_new_tokens: int) -> tuple[str, str]:
    """The text of new tokens without special ones, and how it ended: "stop", "length", "verdict", or "failed", without text."""
    if ids and ids[-1] == FAILED:
        return "", "failed"
    ended = bool(ids) and ids[-1] in model.stop_ids
    text = model.tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=True)
    return text, "stop" if ended else "length" if len(ids) == max_new_tokens else "verdict"
