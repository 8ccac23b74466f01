"""Many conditions at once: a grid of arms, and a sweep of prompts over them.

Rows of all arms are packed into common batches; identical conditions are computed once; every finished batch is in the
store before the next begins, so that running again, or after an interruption, computes only what is missing.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

from workbench.direction_sets import Directions
from workbench.directions import Direction
from workbench.edits import Steer
from workbench.errors import WorkbenchError
from workbench.generation import generate
from workbench.models import Model
from workbench.positions import ALL, Positions
from workbench.prompt_sets import Pairs, Prompt, Prompts, as_prompts
from workbench.scoring import Scorer
from workbench.steering import add, check
from workbench.store import Store

if TYPE_CHECKING:
    import pandas as pd

#: Part of every content key: raised when generation is changed such that stored rows would come out differently.
_GENERATION_VERSION = 1
_FLUSH_SECONDS = 20.0


@dataclass(frozen=True)
class Arm:
    """One condition of an experiment: a Steer, with what an analysis groups by.

    Attributes:
        kind: "baseline", "direction", "random" or "orthogonal".
        seed: of a control, else -1.
        layer: of the edit, -1 for the baseline. ratio: signed dose; 0 for the baseline.
    """

    steer: Steer
    kind: str
    layer: int = -1
    ratio: float = 0.0
    seed: int = -1

    @property
    def name(self) -> str:
        """A readable, unique name, e.g. ``direction L12 +0.30``."""
        if self.kind == "baseline":
            return "baseline"
        seed = "" if self.seed < 0 else f" {self.seed}"
        return f"{self.kind}{seed} L{self.layer} {self.ratio:+.2f}"


BASELINE = Arm(Steer(), "baseline")


def grid(
    directions: Direction | Directions,
    ratios: Sequence[float],
    layers: Sequence[int] | None = None,
    on: Positions | str = ALL,
    controls: int = 0,
    seed: int = 0,
) -> tuple[Arm, ...]:
    """Arms over layers and doses, each layer with its own direction, and norm-matched controls as an axis of their own.

    Args:
        directions: one Direction, or one per layer.
        ratios: signed doses in units of the mean activation norm; 0 is the baseline, which occurs once.
        layers: which of the directions; all by default.
        on: which tokens are steered.
        controls: this many random and this many orthogonal directions beside each direction, of equal norm.
        seed: seed of the first control; the others follow.

    Returns:
        A tuple of arms; join grids with ``+``.

    Raises:
        WorkbenchError: no ratios, a layer without a direction, or a negative number of controls.

    >>> grid(ds, layers=[8, 12], ratios=[-0.3, 0, 0.3], controls=3)  # doctest: +SKIP
    """
    if not ratios or controls < 0:
        raise WorkbenchError(f"a grid needs at least one ratio and controls >= 0; got {list(ratios)} and {controls}")
    items = Directions((directions,)) if isinstance(directions, Direction) else directions
    chosen = [items[layer] for layer in (items.layers if layers is None else layers)]
    arms = [BASELINE] if any(ratio == 0 for ratio in ratios) else []
    for direction in chosen:
        for kind, number, vector in _with_controls(direction, controls, seed):
            arms += [
                Arm(add(vector, ratio=ratio, on=on), kind, direction.site.layer, float(ratio), number)
                for ratio in dict.fromkeys(ratios)
                if ratio != 0
            ]
    return tuple(arms)


def _with_controls(direction: Direction, controls: int, seed: int) -> Iterator[tuple[str, int, Direction]]:
    yield "direction", -1, direction
    for number in range(seed, seed + controls):
        yield "random", number, direction.random(number)
        yield "orthogonal", number, direction.orthogonal(number)


@dataclass(frozen=True)
class _Row:
    """One prompt under one arm, and the key of its completion."""

    set: str
    prompt: Prompt
    arm: Arm
    key: str


def sweep(
    model: Model,
    prompts: Pairs | Prompts | Sequence[str] | Mapping[str, Prompts],
    arms: Sequence[Arm],
    scores: Sequence[Scorer],
    store: str | Path = "runs/store",
    max_new_tokens: int = 48,
    batch_size: int = 160,
    show_text: bool = False,
) -> "pd.DataFrame":
    """Every prompt under every arm, generated, stored and scored.

    Args:
        model: the model.
        prompts: a contrast set (its sides are called positive, negative and borderline), prompts, or named sets of them.
        arms: as ``grid`` makes them.
        scores: e.g. ``[wb.refusal, wb.coherence]``; computed from the stored text, so a changed scorer generates nothing.
            The model reads the responses again for those that need it.
        store: folder of the store.
        max_new_tokens: at most this many tokens per response; greedy decoding.
        batch_size: rows per batch.
        show_text: add the text of the responses. Off by default: an answer to a harmful request is counted, not shown.

    Returns:
        A long DataFrame, one row per prompt × arm × score: set, prompt, base, category, arm, kind, layer, ratio, seed,
        dose, score, value, tokens, finish, model, revision, key.

    Raises:
        WorkbenchError: no arms or scores, or a Steer that does not fit the model; before anything is generated.

    >>> rows = sweep(model, wb.pairs("refusal").test, arms, scores=[wb.refusal])  # doctest: +SKIP
    """
    if not arms or not scores:
        raise WorkbenchError(f"a sweep needs arms and scores; got {len(arms)} arms and {len(scores)} scores")
    for steer in {arm.steer for arm in arms}:
        check(steer, model)
    rows = _rows(model, _sets(prompts), arms, max_new_tokens)
    shelf = Store(store)
    _generate_missing(model, rows, shelf, max_new_tokens, batch_size)
    return _frame(model, rows, shelf.frame({row.key for row in rows}), scores, show_text)


def outcomes(rows: "pd.DataFrame", set: str, arm: Arm | str, label: str) -> "pd.Series":
    """Whether each prompt got a label under an arm: what paired tests and rates are made of.

    Args:
        rows: of ``sweep``, with the score "refusal".
        set: name of the prompt set, e.g. "positive".
        arm: an Arm or its name.
        label: "refusal", "compliance" or "collapse".

    Returns:
        A boolean Series indexed by prompt id, in the same order for every arm.

    Raises:
        WorkbenchError: there are no such rows.
    """
    name = arm if isinstance(arm, str) else arm.name
    part = rows[(rows["set"] == set) & (rows["arm"] == name) & (rows["score"] == "refusal")]
    if part.empty:
        raise WorkbenchError(f"no rows of arm {name!r} on {set!r}; the arms are {', '.join(rows['arm'].unique()[:12])}")
    return (part.set_index("prompt")["value"] == label).sort_index()


def _sets(prompts: Pairs | Prompts | Sequence[str] | Mapping[str, Prompts]) -> dict[str, Prompts]:
    if isinstance(prompts, Pairs):
        sides = {"positive": prompts.positive, "negative": prompts.negative, "borderline": prompts.borderline}
        return {name: side for name, side in sides.items() if side is not None}
    if isinstance(prompts, Mapping):
        return {name: as_prompts(items, name) for name, items in prompts.items()}
    return {"prompts": as_prompts(prompts)}


def _rows(model: Model, sets: Mapping[str, Prompts], arms: Sequence[Arm], max_new_tokens: int) -> list[_Row]:
    keys = {arm: arm.steer.key for arm in arms}
    decoding = f"greedy {max_new_tokens} {model.dtype} v{_GENERATION_VERSION}"
    rows = []
    for name, prompts in sets.items():
        for prompt, ids in zip(prompts, model.encode(prompts).token_ids, strict=True):
            for arm in arms:
                content = json.dumps([model.name, model.revision, ids, keys[arm], decoding])
                rows.append(_Row(name, prompt, arm, hashlib.sha256(content.encode()).hexdigest()[:32]))
    return rows


def _generate_missing(model: Model, rows: Sequence[_Row], shelf: Store, max_new_tokens: int, batch_size: int) -> None:
    """Generate each missing key once, in batches of like prompts, storing as it goes."""
    import pandas as pd

    known = shelf.keys()
    todo = list({row.key: row for row in rows if row.key not in known}.values())
    order = sorted(
        todo, key=lambda row: (str([e.on for e in row.arm.steer.edits]), len(row.prompt.text), row.prompt.text)
    )
    waiting: list[pd.DataFrame] = []
    last = time.monotonic()
    with tqdm(total=len(order), desc="sweep", unit="row", disable=not order) as bar:
        try:
            for start in range(0, len(order), batch_size):
                batch = order[start : start + batch_size]
                waiting.append(_generate_batch(model, batch, max_new_tokens, batch_size))
                bar.update(len(batch))
                if time.monotonic() - last > _FLUSH_SECONDS:
                    shelf.append(pd.concat(waiting))
                    waiting, last = [], time.monotonic()
        finally:  # an interruption or an error keeps what is finished
            if waiting:
                shelf.append(pd.concat(waiting))


def _generate_batch(model: Model, batch: Sequence[_Row], max_new_tokens: int, batch_size: int) -> "pd.DataFrame":
    import pandas as pd

    done = generate(
        model,
        [row.prompt for row in batch],
        [row.arm.steer for row in batch],
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        progress=False,
    )
    return pd.DataFrame(
        {
            "key": [row.key for row in batch],
            "text": done.text,
            "tokens": [len(ids) for ids in done.token_ids],
            "finish": done.finish,
            "model": model.name,
            "revision": model.revision,
            "prompt": [row.prompt.id for row in batch],
            "steer": [str(row.arm.steer) for row in batch],
        }
    )


def _frame(
    model: Model, rows: Sequence[_Row], stored: "pd.DataFrame", scores: Sequence[Scorer], show_text: bool
) -> "pd.DataFrame":
    import pandas as pd

    stored = stored.set_index("key")
    frame = pd.DataFrame(
        {
            "set": [row.set for row in rows],
            "prompt": [row.prompt.id for row in rows],
            "base": [row.prompt.base or row.prompt.id for row in rows],
            "category": [row.prompt.category for row in rows],
            "arm": [row.arm.name for row in rows],
            "kind": [row.arm.kind for row in rows],
            "layer": [row.arm.layer for row in rows],
            "ratio": [row.arm.ratio for row in rows],
            "seed": [row.arm.seed for row in rows],
            "dose": [sum(edit.dose for edit in row.arm.steer.effective) for row in rows],
            "key": [row.key for row in rows],
        }
    )
    columns = ["text", "tokens", "finish"]
    frame = frame.join(stored[columns], on="key").assign(model=model.name, revision=model.revision)
    parts = []
    asked, steers = [row.prompt for row in rows], [row.arm.steer for row in rows]
    for score in scores:
        values = score.values(model, asked, frame["text"].tolist(), steers)
        parts.append(frame.assign(score=score.name, value=values))
    long = pd.concat(parts, ignore_index=True)
    return long if show_text else long.drop(columns="text")
