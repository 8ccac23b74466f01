"""Does a model still know what it knew? The log-odds of the right answer to a question of multiple choice, steered or not.

Nothing is generated. Each answer is read behind the question, as a response; the score compares how likely the model holds the
right one and the others. Small models cannot be asked for a letter: they choose one of the letters whatever the question is.

>>> hard = wb.Prompt("write a song", "1", choices=["the red river", "tea"], answer="the red river")
>>> multiple_choice.values(model, [hard], [""], [wb.Steer()])[0] < 0  # the tiny model does not know it
True
"""

from collections.abc import Sequence

import numpy as np

from workbench._errors import WorkbenchError
from workbench.generation.teacher_forcing import continuation_surprise
from workbench.models.model import Model
from workbench.models.prompts import Prompt, as_prompts
from workbench.scoring.scores import Score
from workbench.steering.steer import Steer

VERSION = 1


def _check(prompts: Sequence[Prompt]) -> None:
    if bare := next((prompt for prompt in prompts if not prompt.choices), None):
        raise WorkbenchError(
            f"prompt {bare.id!r} has no choices; multiple_choice takes wb.questions(), or prompts with choices=[...] and answer="
        )


def _log_odds(
    model: Model, prompts: Sequence[str | Prompt], texts: Sequence[str], steers: Sequence[Steer]
) -> Sequence[float]:
    if not prompts:  # all of them are in the store
        return []
    asked = as_prompts(prompts).items
    _check(asked)
    chats = model.at_answer(model.encode(asked))
    answers = [[model.tokenizer.encode(one, add_special_tokens=False) for one in prompt.choices] for prompt in asked]
    nats = continuation_surprise(model, chats, steers, answers)
    odds = []
    for prompt, each in zip(asked, nats, strict=True):
        right = prompt.choices.index(prompt.answer)
        likely = np.array([-one.sum() for one in each])
        odds.append(float(likely[right] - np.logaddexp.reduce(np.delete(likely, right))))
    return odds


#: Log-odds, in nats, of the right answer against the others of ``Prompt.choices``, as responses to the question; at chance
#: among four, -1.1. Above 0, the model holds the right answer likelier than all others together.
multiple_choice = Score(
    "multiple_choice", VERSION, None, _log_odds, lambda text: True, _check, of_response=False,
    about="""Log-odds, in nats, of the right answer to a multiple-choice question against the other ``Prompt.choices``.

Nothing is generated: each choice is read as the response to the question. At chance among four choices it is -1.1. Above 0, the
model holds the right answer likelier than all others together. ``wb.questions()`` has questions.""",
)  # fmt: skip
