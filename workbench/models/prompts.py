"""What a prompt, a set of prompts and a contrast set are."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from workbench._errors import WorkbenchError

SPLITS = ("tuning", "train", "dev", "test", "confirm")

#: what ``where`` chooses by
FACETS = ("category", "topic", "language", "elicitation")


@dataclass(frozen=True)
class Prompt:
    """One prompt: its text, a unique id, and the fields that ``where`` can choose it by.

    Attributes:
        category: kind of harm, or the group of topics (the domain).
        base: groups the variants of one prompt (its match on the other side, its translations) into a cluster.
        split: "tuning", "train", "dev" or "test".
        topic: within the category, e.g. "science".
        language: an ISO 639-1 code, e.g. "fr".
        elicitation: "natural" if the text itself elicits the trait, "instruction" if the system prompt asks for it.
        answer: a written answer, for scoring under teacher forcing; with ``choices``, the right choice.
        harmful: marks a harmful request. Steered answers to it are counted and not displayed, unless you ask for
            them.
        system: the system prompt that belongs to this prompt; ``model.encode`` puts it into the chat.
        messages: a conversation of several turns, as ``{"role": ..., "content": ...}``, the last of them the user's; ``text``
            is then written from it. Kept as (role, content); one turn alone becomes ``text``, a system message ``system``.
        prefill: a given start of the answer, which the model continues. It is part of the prompt: ``PROMPT[-1]`` is
            its last token.
        choices: the possible answers to a question of multiple choice, in the order in which they would be shown.
        control_tokens: allows control tokens in the prompt; without it ``model.encode`` raises an error for them.

    Raises:
        WorkbenchError: messages that are no conversation, a flag that is neither true nor false, a lone surrogate, or choices
            that are not several different texts with the answer among them.

    >>> chat = Prompt(messages=[
    ...     {"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Bye."}
    ... ])
    >>> chat.turns[-1], chat.text.count("user:")
    (('user', 'Bye.'), 2)
    """

    text: str = ""
    id: str = ""
    category: str = ""
    base: str = ""
    split: str = ""
    topic: str = ""
    language: str = ""
    elicitation: str = ""
    system: str = ""
    answer: str = ""
    harmful: bool = False
    messages: Sequence[Mapping[str, str] | tuple[str, str]] = ()
    prefill: str = ""
    control_tokens: bool = False
    choices: Sequence[str] = ()

    def __post_init__(self) -> None:
        for flag in ("harmful", "control_tokens"):
            object.__setattr__(self, flag, as_flag(getattr(self, flag), flag))
        if isinstance(self.messages, str | Mapping) or not isinstance(self.messages, Sequence):
            raise WorkbenchError(f"messages={self.messages!r:.60}: expected a list of messages, one a turn")
        if not self.messages and self.messages != ():
            raise WorkbenchError(f"messages={self.messages!r}: a conversation has at least one message, the user's")
        if self.messages:
            self._settle(tuple(_as_turn(message, i) for i, message in enumerate(self.messages, 1)))
        object.__setattr__(self, "messages", tuple(self.messages))
        self._settle_choices()
        for name, value in vars(self).items():
            if name not in ("text", "harmful", "control_tokens", "messages", "choices") and not isinstance(value, str):
                raise WorkbenchError(f"prompt {self.id!a:.60}: {name} is {value!r:.60}; expected text")
            if isinstance(value, str) and (lone := re.search(r"[\ud800-\udfff]", value)):
                raise WorkbenchError(
                    f"prompt {self.id!a}: {name!r} holds half a character, {lone[0]!a} (a lone surrogate), at "
                    f"character {lone.start() + 1}; no tokenizer reads it"
                )

    def _settle(self, turns: tuple[tuple[str, str], ...]) -> None:
        """Keep a conversation in its one form: the system message as ``system``, a single turn as ``text``."""
        if turns[0][0] == "system":
            if self.system:
                raise WorkbenchError(f"prompt {self.id!r} has a system prompt and a system message; give one of them")
            object.__setattr__(self, "system", turns[0][1])
            turns = turns[1:]
        if "system" in (role for role, _ in turns):
            raise WorkbenchError(f"prompt {self.id!r}: a system message comes first, or not at all")
        if not turns or turns[-1][0] != "user":
            raise WorkbenchError(
                f"prompt {self.id!r}: the last message is not the user's; a start of the answer is prefill='...'"
            )
        text = turns[0][1] if len(turns) == 1 else "\n\n".join(f"{role}: {content}" for role, content in turns)
        if self.text not in ("", text):
            raise WorkbenchError(f"prompt {self.id!r} has text and messages; give one of them")
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "messages", turns if len(turns) > 1 else ())

    def _settle_choices(self) -> None:
        """Keep the choices as a tuple of texts, the answer among them once."""
        given = self.choices
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise WorkbenchError(f"prompt {self.id!r}: choices={given!r:.60}: expected a list of texts")
        if given and (
            len(given) < 2
            or not all(isinstance(one, str) and one.strip() for one in given)
            or len({one.strip().casefold() for one in given}) < len(given)
            or self.answer not in given
        ):
            raise WorkbenchError(
                f"prompt {self.id!r}: choices are {list(given)!r:.120} and the answer is {self.answer!r:.40}; expected "
                "several different texts, the right one of which is the answer"
            )
        object.__setattr__(self, "choices", tuple(given))

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """The conversation without the system prompt, as (role, content)."""
        return tuple(self.messages) or (("user", self.text),)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        """The fields that are set; of a harmful request all but what it says."""
        withheld = ("text", "messages", "answer", "prefill") if self.harmful else ("text",) if self.messages else ()
        said = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in withheld}
        return f"Prompt({', '.join(f'{name}={value!r}' for name, value in said.items() if value)})"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Prompts(Sequence[Prompt]):
    """A named, ordered set of prompts. Behaves as a sequence of ``Prompt``; ``texts`` are the strings."""

    name: str
    items: tuple[Prompt, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise WorkbenchError(f"name={self.name!r:.60} of a prompt set: expected text")
        if not isinstance(self.items, tuple | list) or not all(isinstance(one, Prompt) for one in self.items):
            raise WorkbenchError(f"items={self.items!r:.60} of prompt set {self.name!r}: expected a tuple of wb.Prompt")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key):
        return Prompts(self.name, self.items[key]) if isinstance(key, slice) else self.items[key]

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.items)

    def __repr__(self) -> str:
        return f"Prompts({self.name!r}, n={len(self)})"

    @property
    def texts(self) -> list[str]:
        """The strings, in order."""
        return [prompt.text for prompt in self.items]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that occur, in the order tuning, train, dev, test, confirm, others."""
        names = {prompt.split for prompt in self.items if prompt.split}
        return tuple(s for s in SPLITS if s in names) + tuple(sorted(names - set(SPLITS)))

    def values(self, facet: str) -> tuple[str, ...]:
        """The values of "category", "topic", "language" or "elicitation", in the order of first occurrence."""
        if facet not in FACETS:
            raise WorkbenchError(f"prompts have no {facet!r} to choose by; they have {', '.join(FACETS)}")
        return tuple(dict.fromkeys(value for p in self.items if (value := getattr(p, facet))))

    def split(self, name: str) -> "Prompts":
        """The prompts of one split. Raises WorkbenchError for a split that does not occur."""
        if name not in self.splits:
            raise WorkbenchError(f"{self.name} has no split {name!r}; it has {', '.join(self.splits) or 'no splits'}")
        return Prompts(f"{self.name}.{name}", tuple(p for p in self.items if p.split == name))

    def where(self, **asked: str | Sequence[str] | None) -> "Prompts":
        """The prompts that have these values of category, topic, language or elicitation; of a list of values, any one.

        Raises WorkbenchError for a value that does not occur, or values that never occur together, and lists those that do.

        >>> Prompts("mine", (Prompt("Hi.", "a", language="en"), Prompt("Salut.", "b", language="fr"))).where(language="fr")
        Prompts('mine[fr]', n=1)
        """
        kept, chosen = self, list[str]()
        for facet in dict.fromkeys((*FACETS, *asked)):
            there, wanted = kept.values(facet), asked.get(facet)
            if wanted is None:
                continue
            values = (wanted,) if isinstance(wanted, str) else tuple(wanted)
            if missing := [value for value in values if value not in there]:
                label = f"{self.name}[{','.join(chosen)}]" if chosen else self.name
                raise WorkbenchError(f"{label} has no {facet} {missing[0]!r}; it has {', '.join(there) or 'none'}")
            kept = Prompts(self.name, tuple(p for p in kept.items if getattr(p, facet) in values))
            chosen.append("+".join(values))
        if not kept.items:
            raise WorkbenchError(f"{self.name}: an empty list of values chooses no prompt")
        return Prompts(f"{self.name}[{','.join(chosen)}]", kept.items) if chosen else self

    def take(self, n: int) -> "Prompts":
        """The first ``n`` prompts, balanced over all facets in turn; never fewer, and none twice to reach a number."""
        if not 0 < n <= len(self):
            raise WorkbenchError(f"{self.name} has {len(self)} distinct prompts; {n} were asked for")
        cells, ranked = Counter[tuple[str, ...]](), []
        for order, prompt in enumerate(self.items):
            cell = tuple(getattr(prompt, facet) for facet in FACETS)
            ranked.append((cells[cell], order, prompt))
            cells[cell] += 1
        return Prompts(self.name, tuple(prompt for _, _, prompt in sorted(ranked)[:n]))

    def answered(self, answers: Sequence[str]) -> "Prompts":
        """Each prompt with a response (none empty), for teacher forcing: ``prompts.answered(completions.text)``.

        >>> Prompts("mine", (Prompt("Hi.", "a"),)).answered(["Hello."])[0].answer
        'Hello.'
        """
        if len(answers) != len(self):
            raise WorkbenchError(f"{self.name} has {len(self)} prompts; {len(answers)} answers were given")
        if empty := [p.id for p, answer in zip(self.items, answers, strict=True) if not answer]:
            raise WorkbenchError(f"{self.name}: the answer to {empty[0]!r} is empty; leave such prompts out")
        items = (replace(p, answer=answer) for p, answer in zip(self.items, answers, strict=True))
        return Prompts(self.name, tuple(items))

    def system_in_user(self) -> "Prompts":
        """Each system prompt put before its first turn, for a model whose chat template has no system role."""

        def merged(prompt: Prompt) -> Prompt:
            (role, first), *rest = prompt.turns
            turns = ((role, f"{prompt.system}\n\n{first}"), *rest)
            return replace(prompt, text="", messages=turns, system="")

        return Prompts(self.name, tuple(merged(p) if p.system else p for p in self.items))


@dataclass(frozen=True)
class Pairs:
    """A contrast set: positive and negative prompts. A positive coefficient moves toward the positive set.

    Bundled sets also have the splits ``train``, ``dev`` and ``test``, and ``tuning``, which is only for training
    adapters. Some have a ``borderline`` set: prompts that sound like the positive set but belong to the negative one.

    >>> Pairs(positive=["How do I pick a lock?"], negative=["How do I pick a melon?"])
    Pairs('custom', positive=1, negative=1)
    """

    positive: Prompts
    negative: Prompts
    borderline: Prompts | None = None
    name: str = "custom"

    def __post_init__(self) -> None:
        for side in ("positive", "negative", "borderline"):
            value = getattr(self, side)
            if value is not None and not isinstance(value, Prompts):
                object.__setattr__(self, side, as_prompts(value, f"{self.name}.{side}"))

    def __repr__(self) -> str:
        border = f", borderline={len(self.borderline)}" if self.borderline is not None else ""
        return f"Pairs({self.name!r}, positive={len(self.positive)}, negative={len(self.negative)}{border})"

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"{self.name} has no split {name!r}; it has {', '.join(self.positive.splits) or 'no splits'}"
        )

    def split(self, name: str) -> "Pairs":
        """The pairs of one split: positive, negative and borderline prompts alike."""
        border = self.borderline and (self.borderline.split(name) if name in self.borderline.splits else None)
        return Pairs(self.positive.split(name), self.negative.split(name), border, f"{self.name}.{name}")

    def where(self, **asked: str | Sequence[str] | None) -> "Pairs":
        """The pairs that have these values, on both sides: ``Prompts.where``. ``wb.pairs(name).values("topic")`` lists them.

        >>> import workbench as wb
        >>> wb.pairs("uncertainty").where(topic="science", language="fr").train
        Pairs('uncertainty[science,fr].train', positive=12, negative=12)
        """
        positive, negative = self.positive.where(**asked), self.negative.where(**asked)
        border = self.borderline
        if border is not None:
            try:
                border = border.where(**asked)
            except WorkbenchError:  # nothing borderline was written for these values
                border = None
        return Pairs(positive, negative, border, self.name + positive.name.removeprefix(self.positive.name))

    def values(self, facet: str) -> tuple[str, ...]:
        """What occurs of "category", "topic", "language" or "elicitation"."""
        return tuple(dict.fromkeys(self.positive.values(facet) + self.negative.values(facet)))

    def system_in_user(self) -> "Pairs":
        """Each system prompt put before its text, for a model whose chat template has no system role."""
        border = self.borderline and self.borderline.system_in_user()
        return Pairs(self.positive.system_in_user(), self.negative.system_in_user(), border, self.name)

    tuning = property(lambda self: self.split("tuning"), doc="For training adapters only.")
    train = property(lambda self: self.split("train"), doc="For extracting directions.")
    dev = property(lambda self: self.split("dev"), doc="For choosing layers, doses and thresholds.")
    test = property(lambda self: self.split("test"), doc="For reporting, once.")


def as_prompts(texts: Sequence[str | Prompt] | Prompts, name: str = "prompts") -> Prompts:
    """Prompts from strings, ``Prompt`` objects or ``Prompts``; refuses an empty list, a blank text or a lone string."""
    if isinstance(texts, Prompts):
        items: tuple[Prompt, ...] = texts.items
        name = texts.name
    elif isinstance(texts, str):
        raise WorkbenchError(f"{name}: got one string; expected a list of prompts, e.g. [{texts[:30]!r}]")
    else:
        if not isinstance(texts, Iterable):
            raise WorkbenchError(f"{name}: expected a list of prompts, not {texts!r:.60}")
        items = tuple(
            replace(t, id=t.id or f"{name}-{i}") if isinstance(t, Prompt) else Prompt(t, f"{name}-{i}")
            for i, t in enumerate(texts, 1)
        )
    if not items:
        raise WorkbenchError(f"{name}: the list of prompts is empty; expected at least one")
    for i, prompt in enumerate(items, 1):
        if not isinstance(prompt.text, str) or not prompt.text.strip():
            raise WorkbenchError(f"{name}: prompt {i} is {prompt.text!r}; expected text, or wb.Prompt(messages=[...])")
    return Prompts(name, items)


def as_flag(value: object, name: str = "flag") -> bool:
    """A flag as it comes from files and frames. What is not clearly true or false is an error, so that nothing is shown by mistake.

    >>> as_flag("True"), as_flag(1), as_flag("no")
    (True, True, False)
    """
    said = str(value).strip().lower()
    if said in ("true", "1", "1.0", "yes", "y", "t", "on"):
        return True
    if said in ("false", "0", "0.0", "no", "n", "f", "off"):
        return False
    raise WorkbenchError(f"{name!r} is {value!r:.60}; expected true or false")


def _as_turn(message: object, number: int) -> tuple[str, str]:
    """Role and content of a message. Raises WorkbenchError for anything else."""
    role, content = None, None
    if isinstance(message, Mapping) and set(message) == {"role", "content"}:
        role, content = message["role"], message["content"]
    elif isinstance(message, tuple) and len(message) == 2:
        role, content = message
    if role not in ("system", "user", "assistant") or not isinstance(content, str) or not content.strip():
        raise WorkbenchError(
            f"message {number} is {message!r:.80}; expected {{'role': 'system', 'user' or 'assistant', 'content': '...'}}"
        )
    return role, content
