"""What is a score? A named, versioned value of a response, from its text or from a model that reads it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from workbench._errors import WorkbenchError
from workbench.models.model import Model
from workbench.models.prompts import Prompt
from workbench.steering.steer import Steer

Value = str | float

#: Given the model, the prompts, the responses and the Steers they were written under: one value per row.
ModelValue = Callable[[Model, Sequence[str | Prompt], Sequence[str], Sequence[Steer]], Sequence[Value]]


class Scorer(Protocol):
    """What ``sweep`` takes as a score: a ``Score``, or a ``Judge``."""

    @property
    def name(self) -> str:
        """What the column ``score`` says."""

    @property
    def version(self) -> int:
        """Raised when values would come out differently: stored ones are then computed again."""

    @property
    def decided(self) -> Callable[[str], bool] | None:
        """As in ``Score``."""

    def values(
        self, model: Model, prompts: Sequence[str | Prompt], texts: Sequence[str], steers: Sequence[Steer]
    ) -> list[Value]:
        """One value per row."""


@dataclass(frozen=True)
class Score:
    """A named, versioned value of a response. Called with a text, it is a function of the text alone.

    Attributes:
        function: computes the value from the text; None if the score needs a model.
        decided: takes an unfinished response and returns whether more text can no longer change the value, apart from
            the exceptions that the score documents; None if only the whole response decides. ``stop="verdict"`` uses
            it.
        reading: computes the values from the model, prompts, responses and Steers; None if the text is enough. If a
            score has both functions, a sweep uses ``reading``, which has more information.
        check: raises an error, before anything is generated, for prompts that the score cannot handle.
        of_response: whether the value depends on the response. It is False for a score of the prompt and the Steer
            alone: a sweep with only such scores generates nothing.
        ready: called before anything is computed; fetches what the score needs, or raises WorkbenchError.
        reason: takes a response without a value and returns why it has none.
        about: what the value means; ``help`` and ``?`` show it instead of this page.

    >>> Score("words", 1, lambda text: float(len(text.split())))("Paris, of course.")
    3.0
    """

    name: str
    version: int
    function: Callable[[str], Value] | None
    reading: ModelValue | None = None
    decided: Callable[[str], bool] | None = None
    check: Callable[[Sequence[Prompt]], object] | None = None
    of_response: bool = True
    ready: Callable[[], object] | None = None
    reason: Callable[[str], str] | None = None
    about: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip() or not self.name.isprintable():
            raise WorkbenchError(f"name={self.name!r:.60} of a score: expected a short name, e.g. 'refusal'")
        if not isinstance(self.version, int) or isinstance(self.version, bool):
            raise WorkbenchError(f"version={self.version!r:.60} of score {self.name!r}: expected a whole number")
        if not any(map(callable, (self.function, self.reading))):
            raise WorkbenchError(f"score {self.name!r}: expected a function of a text, or a reading of a model")
        if self.about:
            use = "Scores go into ``wb.sweep(..., scores=[...])``; ``help(wb.Score)`` has the rest."
            object.__setattr__(self, "__doc__", f"{self.about}\n\n{use}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, version {self.version})"

    def __call__(self, text: str) -> Value:
        """The value of one response, from its text alone. Raises WorkbenchError for a score that needs a model."""
        if not isinstance(text, str):
            raise WorkbenchError(f"{self.name} reads a text; got {type(text).__name__}")
        if self.function is None:
            raise WorkbenchError(
                f"{self.name} cannot be told from the text alone: {self.name}.values(model, prompts, texts, steers), "
                "or wb.sweep(..., scores=[...])"
            )
        return self.function(text)

    def values(
        self, model: Model | None, prompts: Sequence[str | Prompt], texts: Sequence[str], steers: Sequence[Steer]
    ) -> list[Value]:
        """One value per row. Equal rows are only scored once.

        Args:
            model: the model that generated the responses; None for a score that only needs text and prompt.
            prompts, texts, steers: one per row, e.g. those of Completions.

        Raises:
            WorkbenchError: prompts, texts and Steers of different number.

        >>> wb.refusal.values(model, ["how do i pick a lock"], ["I'm sorry, but I can't help with that."], [wb.Steer()])
        ['refusal']
        """
        if not len(prompts) == len(texts) == len(steers):
            raise WorkbenchError(
                f"{len(prompts)} prompts, {len(texts)} texts and {len(steers)} Steers; expected one of each per row"
            )
        if self.reading is None:
            known = {text: self(text) for text in dict.fromkeys(texts)}
            return [known[text] for text in texts]
        rows = list(zip(map(_asked, prompts), texts, steers, strict=True))
        first = sorted({row: i for i, row in reversed(list(enumerate(rows)))}.values())
        part = [[items[i] for i in first] for items in (prompts, texts, steers)]
        values = self.reading(model, *part)  # type: ignore[arg-type]  # which scores need a model, they say
        by_row = dict(zip((rows[i] for i in first), values, strict=True))
        return [by_row[row] for row in rows]


def _asked(prompt: str | Prompt) -> tuple[object, ...]:
    """What a score sees of a prompt: its text, the system prompt and the start of an answer that it brings, its choices."""
    if not isinstance(prompt, Prompt):
        return (prompt, "", "", ())
    return (prompt.text, prompt.system, prompt.prefill, (*prompt.choices, prompt.answer) if prompt.choices else ())
