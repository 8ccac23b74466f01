"""Does the response answer the prompt? The likeness in meaning of the two, by sentence embeddings.

An answer speaks of what was asked; fluent nonsense does not, and neither does a refusal. So relevance tells an answer from
nonsense, once refusals are known by their words.
"""

from collections.abc import Sequence

from workbench.models.model import Model
from workbench.models.prompts import Prompt
from workbench.models.sentences import embed
from workbench.scoring.scores import Score
from workbench.steering.steer import Steer


def likeness(prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
    """The cosine of each text with its prompt, 0 to 1 (what lies below 0 is 0); 0 for an empty text.

    >>> on, off = likeness(["How do I cook rice?"] * 2, ["Rinse it and boil it in a pot.", "The bridge opened in spring."])
    >>> on > 0.3 > off
    True
    """
    asked, said = embed(list(dict.fromkeys(prompts))), embed(list(dict.fromkeys(texts)))
    of_prompt = dict(zip(dict.fromkeys(prompts), asked, strict=True))
    of_text = dict(zip(dict.fromkeys(texts), said, strict=True))
    return [
        min(max(float(of_prompt[prompt] @ of_text[text]), 0.0), 1.0) if text.strip() else 0.0
        for prompt, text in zip(prompts, texts, strict=True)
    ]


def _read(
    model: Model, prompts: Sequence[str | Prompt], texts: Sequence[str], steers: Sequence[Steer]
) -> Sequence[float]:
    return likeness([str(prompt) for prompt in prompts], texts) if texts else []


#: The likeness in meaning of response and prompt, 0 to 1. The model that wrote the response is not asked.
relevance = Score(
    "relevance", 1, None, _read,
    about="""The likeness in meaning of response and prompt, 0 to 1, by sentence embeddings.

It needs the prompt, but not the model that wrote the response.

>>> wb.relevance.values(None, ["How do I cook rice?"], ["Rinse it and boil it in a pot."], [wb.Steer()])[0] > 0.3
True""",
)  # fmt: skip
