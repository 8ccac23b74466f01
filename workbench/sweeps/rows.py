"""Which completions a sweep needs, under which content keys, and how the missing ones get into a store.

A key holds everything that decides a completion: model and revision (adapter included), prompt tokens, Steer, decoding,
dtype and the version of generation. Equal conditions have equal keys, whatever their arms are called. Screening looks
before it writes: one forward pass per row tells which arms leave the refusal margin of the first token where it was.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench._errors.progress import Bar
from workbench._files import content_key
from workbench.generation import vllm_engine
from workbench.generation.completions import FAILED, written_by
from workbench.generation.decoding import GREEDY, Sampling
from workbench.generation.generate import stream_tokens
from workbench.generation.memory import Room
from workbench.generation.schedule import place_rows
from workbench.generation.store import Store
from workbench.generation.vllm_engine import VLLM
from workbench.models.identity import known_revision, revision_now
from workbench.models.model import Encoded, Model
from workbench.models.prompts import Pairs, Prompt, Prompts, as_prompts
from workbench.scoring.labels import thought_opened
from workbench.scoring.margins import first_margins, refusal_margin
from workbench.scoring.scores import Scorer
from workbench.steering.arms import Arm

if TYPE_CHECKING:
    import pandas as pd


#: Part of every content key: raised when generation is changed such that stored rows would come out differently.
GENERATION_VERSION = 1


#: Rows that are encoded at a time.
_AT_ONCE = 10_000


@dataclass(frozen=True)
class Decoding:
    """How completions are written.

    Attributes:
        max_new_tokens: at most this many tokens per response.
        sampling: greedy by default.
        until: end a row as soon as all of these scores are decided; by default rows are written to their end.
        engine: what writes them; part of their keys.
    """

    max_new_tokens: int = 48
    sampling: Sampling = GREEDY
    until: tuple[Scorer, ...] = ()
    engine: str = "workbench"

    def __str__(self) -> str:
        stops = "".join(f" until {score.name} {score.version} is decided" for score in self.until)
        by = "" if self.engine == "workbench" else f" by {self.engine}"
        return f"{self.sampling} {self.max_new_tokens}{stops}{by}"

    def decided(self, text: str) -> bool:
        """Whether nothing more is asked of a response that is being written."""
        return all(score.decided is not None and score.decided(text) for score in self.until)


@dataclass(frozen=True)
class Job:
    """One prompt of a set under one arm, the key of its completion, and the token ids of the prompt in its chat."""

    set: str
    prompt: Prompt
    arm: Arm
    key: str
    token_ids: tuple[int, ...] = field(repr=False)


def named_sets(prompts: Pairs | Prompts | Sequence[str] | Mapping[str, Prompts]) -> dict[str, Prompts]:
    """The prompts of a sweep by set: the sides of a contrast set, the sets of a mapping, or one set called "prompts".

    >>> list(named_sets(tiny_pairs)), list(named_sets(["how do i bake a cake"]))
    (['positive', 'negative'], ['prompts'])
    """
    if isinstance(prompts, Pairs):
        sides = {"positive": prompts.positive, "negative": prompts.negative, "borderline": prompts.borderline}
        return {name: side for name, side in sides.items() if side is not None}
    if isinstance(prompts, Mapping):
        return {name: as_prompts(items, name) for name, items in prompts.items()}
    return {"prompts": as_prompts(prompts)}


def sweep_rows(model: Model, sets: Mapping[str, Prompts], arms: Sequence[Arm], decoding: Decoding) -> list[Job]:
    """Every prompt of every set under every arm.

    >>> arms = wb.grid(wb.extract(model, tiny_pairs, at=wb.resid_post(1)), ratios=[0, 0.3])
    >>> jobs = sweep_rows(model, {"harmful": tiny_pairs.positive}, arms, Decoding(8))
    >>> len(jobs), len(arms), jobs[0].set, jobs[0].arm.name
    (6, 2, 'harmful', 'baseline')
    """
    steers = {arm: arm.steer.key for arm in arms}
    how = f"{decoding} {model.dtype} v{GENERATION_VERSION}"
    revision, rows = revision_now(model), []
    for name, prompts in sets.items():
        chats = model.encode(prompts)
        model.check_lengths(chats.lengths, decoding.max_new_tokens)
        for prompt, ids in zip(prompts, chats.token_ids, strict=True):
            for arm in arms:
                choices = [[*prompt.choices, prompt.answer]] if prompt.choices else []
                key = content_key([model.name, revision, ids, steers[arm], how, *choices])
                rows.append(Job(name, prompt, arm, key, ids))
    return rows


def missing_jobs(rows: Sequence[Job], store: Store) -> list[Job]:
    """The rows whose completions a store does not hold, each key once, in the order in which they pack best."""
    known = store.keys()
    todo = list({row.key: row for row in rows if row.key not in known}.values())
    places = place_rows([row.arm.steer for row in todo], [row.token_ids for row in todo])
    return [todo[i] for i in sorted(range(len(todo)), key=places.__getitem__)]


def encoded_jobs(model: Model, rows: Sequence[Job]) -> Encoded:
    """The chats of some rows, as they were encoded when the rows were made."""
    texts, chats = tuple(row.prompt.text for row in rows), tuple(row.token_ids for row in rows)
    return Encoded(texts, chats, model.tokenizer.pad_token_id)


def stream_rows(
    model: Model, rows: Sequence[Job], decoding: Decoding, batch_size: int | Room, vllm: VLLM | None = None
) -> Generator["pd.DataFrame", None, None]:
    """The completions of some rows, as a store holds them: a few whenever they have ended, in any order.

    What is held at a time does not grow with the number of rows beyond ten thousand of them. With ``vllm``, that engine
    writes them.
    """
    opened = thought_opened(model)
    room = batch_size if isinstance(batch_size, Room) else Room(model, batch_size)
    how: dict[str, Any] = {"sampling": decoding.sampling}
    if decoding.until:
        how["decided"] = lambda text: decoding.decided(opened + text)
    write = partial(stream_tokens, room=room)
    if vllm is not None:
        write = partial(vllm_engine.stream_tokens, batch_size=room.most, settings=vllm)
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        steers = [row.arm.steer for row in part]
        for ended in write(model, encoded_jobs(model, part), steers, decoding.max_new_tokens, **how):
            if ended:
                yield _stored_frame(model, [part[i] for i, _ in ended], [ids for _, ids in ended], decoding)


#: Given the model, the rows, how they are written, and the most rows per batch: their completions in parts, in any order.
Stream = Callable[..., Generator["pd.DataFrame", None, None]]


def generate_missing(
    model: Model,
    rows: Sequence[Job],
    store: Store,
    decoding: Decoding = Decoding(),
    batch_size: int = 256,
    flush_seconds: float = 20.0,
    stream: Stream = stream_rows,
) -> None:
    """Generate the completions that a store does not hold, each once, and append them as they come.

    Args:
        model, rows, store: rows as ``sweep_rows`` makes them for this model and decoding.
        decoding: how they are written.
        batch_size: rows per batch at most; fewer where memory would run out.
        flush_seconds: finished rows are stored this often, and at the end, also when it comes by an exception. A process
            that is killed loses what it finished since.
        stream: who writes them; by default this process.

    Raises:
        WorkbenchError: a Steer that does not fit the model, or a store that cannot be written.

    >>> store, decoding = wb.store.open(folder), Decoding(4)
    >>> jobs = sweep_rows(model, {"harmful": tiny_pairs.positive}, [wb.BASELINE], decoding)
    >>> generate_missing(model, jobs, store, decoding)
    >>> store.keys() == {job.key for job in jobs}
    True
    """
    import pandas as pd

    todo, last = missing_jobs(rows, store), time.monotonic()
    finished: list[pd.DataFrame] = []

    def flush() -> None:
        if finished:
            whole = pd.concat(finished)
            finished.clear()  # first: if it cannot be written, it is not tried again on the way out
            store.append(whole)

    if not todo:
        return
    with (
        Bar(total=len(todo), desc="sweep", unit="completion") as bar,
        closing(stream(model, todo, decoding, batch_size)) as parts,
    ):
        try:
            for part in parts:
                finished.append(part)
                bar.update(len(part))
                if time.monotonic() - last >= flush_seconds:
                    flush()
                    last = time.monotonic()
        finally:  # an interruption or an error keeps what is finished
            flush()


def complete_rows(
    model: Model, rows: Sequence[Job], decoding: Decoding, batch_size: int | Room, vllm: VLLM | None = None
) -> "pd.DataFrame":
    """As ``stream_rows``, all of them together, in the order of the rows."""
    import pandas as pd

    whole = pd.concat(list(stream_rows(model, rows, decoding, batch_size, vllm)))
    return whole.set_index("key").loc[[row.key for row in rows]].reset_index()


def _stored_frame(
    model: Model, rows: Sequence[Job], tokens: Sequence[tuple[int, ...]], decoding: Decoding
) -> "pd.DataFrame":
    import pandas as pd

    written = [written_by(model, ids, decoding.max_new_tokens) for ids in tokens]
    return pd.DataFrame(
        {
            "key": [row.key for row in rows],
            "text": [text for text, _ in written],
            "tokens": [len(ids) - (FAILED in ids) for ids in tokens],
            "finish": [finish for _, finish in written],
            "model": model.name,
            "revision": known_revision(model),
            "prompt": [row.prompt.id for row in rows],
            "steer": [str(row.arm.steer) for row in rows],
            "decoding": str(decoding),
        }
    )


def read_margins(model: Model, rows: Sequence[Job], batch_size: int = 32) -> dict[str, float]:
    """The refusal margin of each row, by key, NaN where the model returns that; each key is read once."""
    items = list({row.key: row for row in rows}.values())
    values = first_margins(model, encoded_jobs(model, items), [row.arm.steer for row in items], batch_size)
    return {row.key: float(value) for row, value in zip(items, values, strict=True)}


def screen_out(model: Model, rows: Sequence[Job], margins: Mapping[str, float], least: float) -> set[str]:
    """The keys of the steered rows whose arm shifts the mean margin of their set by less than ``least``, in nats.

    The shift is the mean over the prompts of a set of the margin under the arm minus the margin without steering.
    """
    unsteered = list({row.prompt: row for row in rows}.values())
    plain = dict(zip([r.prompt for r in unsteered], refusal_margin(model, encoded_jobs(model, unsteered)), strict=True))
    shifts: defaultdict[tuple, list[float]] = defaultdict(list)
    for row in rows:
        shifts[row.set, row.arm].append(margins[row.key] - plain[row.prompt])
    moved = {
        place for place, values in shifts.items() if not abs(np.mean(values)) < least
    }  # NaN is to be seen, not hidden
    wanted = {row.key for row in rows if not row.arm.steer.effective or (row.set, row.arm) in moved}
    return {row.key for row in rows} - wanted
