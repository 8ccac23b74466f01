"""Which tokens of a chat are meant: a small algebra over prompt and response.

Positions are by token identity, never by forward call. The prompt is everything the template writes before the
response, up to and including the generation prompt, and behind it the prefill, where an answer is begun for the model: so
``PROMPT[-1]`` is the last token of the prefill. The response is what the model writes. The same tokens
are meant with and without a KV cache, alone or in a padded batch, while generating or while re-reading a text.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench._errors import WorkbenchError


@dataclass(frozen=True)
class Span:
    """A run of tokens of one region: ``start`` to ``stop`` as in a Python slice, or one index."""

    region: str
    start: int | None = None
    stop: int | None = None
    index: int | None = None

    def mask(self, n: int) -> np.ndarray:
        """Which of the region's ``n`` tokens are meant. Shape [n], bool. An index outside the region means no token."""
        chosen = np.zeros(n, dtype=bool)
        if self.index is None:
            chosen[self.start : self.stop] = True
        elif -n <= self.index < n:
            chosen[self.index] = True
        return chosen

    def is_empty(self) -> bool:
        """Whether no token is meant, however long the region is: a slice that stops where it starts, or before.

        >>> Span("prompt", 5, 2).is_empty(), Span("prompt", -5, -2).is_empty(), Span("prompt", -3, 2).is_empty()
        (True, False, False)
        """
        if self.index is not None or self.stop is None:
            return False
        start = self.start or 0
        return self.stop == 0 or ((start < 0) == (self.stop < 0) and self.stop <= start)

    def needs_end(self) -> bool:
        """Whether the tokens meant depend on where the region ends (unknown while a response is being written)."""
        bounds = (self.start, self.stop, self.index)
        return any(bound is not None and bound < 0 for bound in bounds)

    def __str__(self) -> str:
        if self.index is not None:
            return f"{self.region}[{self.index}]"
        if self.start is None and self.stop is None:
            return self.region
        start, stop = ("" if bound is None else bound for bound in (self.start, self.stop))
        return f"{self.region}[{start}:{stop}]"


@dataclass(frozen=True)
class Positions:
    """Which tokens of a chat: a union of ranges, counted from the start or the end of prompt or response.

    ``PROMPT[-1]`` is the last prompt token, whose logits give the first response token. ``RESPONSE[0]`` is that first
    response token. Earlier turns of a conversation and a prefill (``Prompt(prefill=...)``) belong to the prompt.

    >>> PROMPT[-1] | RESPONSE[:5]
    prompt[-1] | response[:5]
    >>> Positions.parse("prompt[-1] | response[:5]") == PROMPT[-1] | RESPONSE[:5]
    True
    >>> (PROMPT[-1] | RESPONSE).mask(prompt_length=3, total_length=5).tolist()
    [False, False, True, True, True]

    Raises:
        WorkbenchError: a slice that means no token of any chat, e.g. ``PROMPT[5:2]``.
    """

    spans: tuple[Span, ...]

    def __post_init__(self) -> None:
        for span in self.spans:
            if span.is_empty():
                raise WorkbenchError(
                    f"{span} means no token of any chat; expected a slice that starts before it stops, e.g. {_mended(span)}"
                )

    def __or__(self, other: "Positions") -> "Positions":
        if not isinstance(other, Positions):
            return NotImplemented
        return Positions(self.spans + tuple(span for span in other.spans if span not in self.spans))

    def __getitem__(self, key: int | slice) -> "Positions":
        if len(self.spans) != 1 or self.spans[0] != Span(self.spans[0].region):
            raise WorkbenchError(f"only PROMPT, RESPONSE and ALL can be indexed, not {self}; join parts with |")
        region = self.spans[0].region
        if isinstance(key, slice) and key.step not in (None, 1):
            raise WorkbenchError(f"{region}[{key.start}:{key.stop}:{key.step}]: a step is not supported")
        bounds = (key.start, key.stop) if isinstance(key, slice) else (key,)
        if any(
            isinstance(b, bool) or not (isinstance(b, int) or (b is None and isinstance(key, slice))) for b in bounds
        ):
            raise WorkbenchError(f"{region}[{key!r}]: expected a whole number or a slice, e.g. {region.upper()}[-1]")
        if isinstance(key, slice):
            return Positions((Span(region, key.start, key.stop),))
        return Positions((Span(region, index=key),))

    def mask(self, prompt_length: int, total_length: int) -> np.ndarray:
        """Which of a sequence's tokens are meant. Shape [total_length], bool; the first ``prompt_length`` are the prompt.

        ``total_length`` is taken as the end of the response, so ask ``needs_end`` before masking an unfinished one.
        """
        chosen = np.zeros(total_length, dtype=bool)
        regions = {"prompt": (0, prompt_length), "response": (prompt_length, total_length), "all": (0, total_length)}
        for span in self.spans:
            start, stop = regions[span.region]
            chosen[start:stop] |= span.mask(stop - start)
        return chosen

    def needs_end(self) -> bool:
        """Whether they depend on where the response ends, which is unknown while it is being written."""
        return any(span.region != "prompt" and span.needs_end() for span in self.spans)

    def prefilled(self, prompt_length: int, n: int) -> "Positions":
        """The same tokens, once the first ``n`` tokens of the response have become a prefill, i.e. the end of the prompt.

        Args:
            prompt_length: tokens of the prompt without the prefill.
            n: tokens of the prefill.

        Raises:
            WorkbenchError: positions that depend on where the response ends, an index outside of the prompt, or positions
                that mean no token of it.

        >>> (PROMPT[-1] | RESPONSE).prefilled(prompt_length=9, n=2)
        prompt[-3] | prompt[-2:] | response
        >>> PROMPT.prefilled(9, 2), RESPONSE[:5].prefilled(9, 2), RESPONSE[1].prefilled(9, 2)
        (prompt[:-2], prompt[-2:] | response[:3], prompt[-1])
        """
        if n == 0:
            return self
        if self.needs_end():
            raise WorkbenchError(f"{self}: depends on where the response ends, which nobody knows while it is written")
        self.check_prompt_length(prompt_length)
        moved = [part for span in self.spans for part in _prefilled(span, prompt_length, n) if not part.is_empty()]
        if not moved:
            raise WorkbenchError(f"{self} means no token of a prompt of {prompt_length} tokens (template included)")
        return Positions(tuple(dict.fromkeys(moved)))

    def check_prompt_length(self, prompt_length: int) -> None:
        """Refuse a prompt index outside a prompt of ``prompt_length`` tokens."""
        for span in self.spans:
            if span.region == "prompt" and span.index is not None and not -prompt_length <= span.index < prompt_length:
                raise WorkbenchError(
                    f"{span} is outside a prompt of {prompt_length} tokens (template included); "
                    f"expected an index from {-prompt_length} to {prompt_length - 1}"
                )

    def check_covered(self, chats: Iterable[tuple[int, int]]) -> None:
        """Refuse a span that means no token of any of these chats: its edit would do nothing, and nobody would see it.

        Args:
            chats: of each, the number of tokens of the prompt, and of prompt and response together.

        Raises:
            WorkbenchError: the message gives the lengths that there are.

        >>> (PROMPT[30:40] | RESPONSE).check_covered([(12, 20), (35, 43)])
        >>> PROMPT[30:40].check_covered([(9, 17), (12, 20)])
        Traceback (most recent call last):
        workbench._errors.WorkbenchError: prompt[30:40] means no token of any chat: the prompts have 9 to 12 tokens (template included); ...
        """
        lengths = sorted(set(chats))
        for span in self.spans:
            if not any(Positions((span,)).mask(*chat).any() for chat in lengths):
                prompts, responses = [prompt for prompt, _ in lengths], [whole - prompt for prompt, whole in lengths]
                seen = {"prompt": f"the prompts have {_between(prompts)} tokens (template included)"}
                seen["response"] = f"the responses have at most {max(responses)} tokens"
                said = " and ".join(seen.values()) if span.region == "all" else seen[span.region]
                example = "response" if span.region == "response" else "prompt[-1]"
                raise WorkbenchError(f"{span} means no token of any chat: {said}; try e.g. {example}")

    def __str__(self) -> str:
        return " | ".join(map(str, self.spans))

    __repr__ = __str__

    @classmethod
    def parse(cls, text: str) -> "Positions":
        """Positions from text, e.g. ``"prompt[-1] | response[:5]"``.

        Raises:
            WorkbenchError: the text is not in the grammar; the message points at the character.
        """
        if not isinstance(text, str):
            raise WorkbenchError(f"expected positions as text, e.g. 'prompt[-1]', not {text!r}")
        spans: list[Span] = []
        cursor = 0
        while True:
            match = _TERM.match(text, cursor)
            if match is None:
                cursor += len(text[cursor:]) - len(text[cursor:].lstrip())
                raise _parse_error(text, cursor, "expected prompt, response or all, e.g. prompt[-1] or response[:5]")
            spans.append(_span(match, text))
            cursor = match.end()
            if cursor == len(text):
                return cls(tuple(dict.fromkeys(spans)))
            if text[cursor] != "|":
                raise _parse_error(text, cursor, "expected '|' or the end")
            cursor += 1


def _prefilled(span: Span, prompt_length: int, n: int) -> list[Span]:
    if span.region == "prompt":
        if span.index is not None:
            return [replace(span, index=span.index - n if span.index < 0 else span.index)]
        start = span.start - n if span.start is not None and span.start < 0 else span.start
        stop = -n if span.stop is None else span.stop - n if span.stop < 0 else min(span.stop, prompt_length)
        return [Span("prompt", start, stop)]
    if span.region == "all":
        return [span]
    if span.index is not None:
        index = span.index - n
        return [Span("prompt" if index < 0 else "response", index=index)]
    first, end = (span.start or 0) - n, None if span.stop is None else span.stop - n
    parts = []
    if first < 0 and (end is None or end > first):
        parts.append(Span("prompt", first, end if end is not None and end < 0 else None))
    if end is None or end > max(first, 0):
        parts.append(Span("response", max(first, 0) or None, end))
    return parts


def _between(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _mended(span: Span) -> Span:
    """What somebody may have meant who wrote an empty span: its bounds in order, or the token at which it stops."""
    start = span.start or 0
    if span.stop == 0 and start < 0:
        return replace(span, stop=None)
    if span.stop is None or start == span.stop:
        return Span(span.region, index=start)
    return replace(span, start=span.stop, stop=start)


_TERM = re.compile(
    r"\s*(?P<region>prompt|response|all)\s*"
    r"(?P<bracket>\[\s*(?:(?P<index>-?\d+)|(?P<start>-?\d+)?\s*:\s*(?P<stop>-?\d+)?)\s*\])?\s*",
    re.IGNORECASE,
)


def _span(match: re.Match[str], text: str) -> Span:
    def number(group: str) -> int | None:
        return None if match.group(group) is None else int(match.group(group))

    if match.group("bracket") is None and match.end() < len(text) and text[match.end()] == "[":
        raise _parse_error(text, match.end() + 1, "expected an index or a slice, e.g. [-1] or [:5]")
    return Span(match.group("region").lower(), number("start"), number("stop"), number("index"))


def _parse_error(text: str, cursor: int, expected: str) -> WorkbenchError:
    return WorkbenchError(f"positions: {expected}, at character {cursor + 1}:\n  {text}\n  {' ' * cursor}^")


def as_positions(value: Positions | str) -> Positions:
    """Positions as they are, or parsed from text; anything else is refused.

    >>> as_positions("response[:5]") == RESPONSE[:5]
    True
    """
    if isinstance(value, str):
        return Positions.parse(value)
    if not isinstance(value, Positions):
        raise WorkbenchError(f"expected positions, e.g. wb.PROMPT[-1] or 'prompt[-1]', not {value!r}")
    return value


ALL = Positions((Span("all"),))
"""Every token of the chat, prompt and response."""

PROMPT = Positions((Span("prompt"),))
"""All that the chat template writes before the response, a prefill included. ``PROMPT[-1]`` gives the first response token."""

RESPONSE = Positions((Span("response"),))
"""What the model writes. ``RESPONSE[:5]`` are its first five tokens."""
