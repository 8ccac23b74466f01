"""How far responses lie along a direction, as the unsteered model reads them."""

from collections.abc import Sequence

from workbench.directions import Direction
from workbench.edits import Steer
from workbench.models import Model
from workbench.prompt_sets import Prompt
from workbench.scoring.scores import Score
from workbench.sites import Site
from workbench.tracing import trace


def projection(direction: Direction, site: Site | str | None = None) -> Score:
    """A score: the mean projection of a response's tokens on a direction's unit vector.

    The model reads unsteered, so that the score says what the text is like and not that the vector was added to it; for
    the latter trace the Completions themselves.

    Args:
        direction: what to project on.
        site: where; by default where the direction was read.

    Returns:
        A Score that needs a model, in units of the activations; NaN for an empty response.

    Raises:
        WorkbenchError: when scored, a direction that does not fit the model.

    >>> wb.sweep(model, prompts, arms, scores=[wb.refusal, wb.projection(d)])  # doctest: +SKIP
    """

    def read(
        model: Model, prompts: Sequence[str | Prompt], texts: Sequence[str], steers: Sequence[Steer]
    ) -> Sequence[float]:
        pairs = list(zip(prompts, texts, strict=True))
        return trace(model, pairs, direction, site, Steer()).mean("response")[:, 0].tolist()  # type: ignore[arg-type]

    return Score(f"projection {direction.method} ({direction.id[:6]}) {site or direction.site}", 1, None, read)
