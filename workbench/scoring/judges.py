"""How much of a trait, says a model? Its expected rating over the log-probabilities of the rating tokens (log 002).

A judge that writes its rating says "70" or "80" and nothing between, and says it of gibberish too. The expectation over
all ratings is finer, and shows when the judge is not rating at all: too little probability lies on ratings, and then there
is no score. A judge is a model on this machine, which reads each question in one forward pass, or an endpoint.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from workbench._errors import WorkbenchError
from workbench._errors.progress import Bar
from workbench._errors.redaction import logger
from workbench._files import content_key
from workbench.generation.engine import first_logits
from workbench.generation.store import Store, check_place
from workbench.models.model import Model
from workbench.models.prompts import Prompt
from workbench.scoring.endpoints import Connection, Endpoint
from workbench.steering.steer import Steer

if TYPE_CHECKING:
    import pandas as pd

_LOG = logger(__name__)

#: Part of every cache key: raised when the question put to the judge changes.
_VERSION = 1

_FLUSH_ROWS = 50

#: broken replies in a row after which an endpoint is asked no more
_GIVE_UP = 20


@dataclass(frozen=True)
class Judgement:
    """One rating.

    Attributes:
        rating: expected rating, on the judge's scale; NaN where it is refused, or the endpoint's reply is broken.
        mass: probability that lay on ratings.
        reason: why there is no rating; empty where there is one.
        tokens_in, tokens_out: used when it was asked; 0 for a local model.
    """

    rating: float
    mass: float
    reason: str = ""
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True)
class Judge:
    """Rates responses by a rubric. Made by ``judge``; a score for ``wb.sweep``.

    Attributes:
        rubric, by, scale, least_mass, store: as given to ``judge``.
    """

    rubric: str
    by: Model | Endpoint
    scale: tuple[int, int]
    least_mass: float
    store: str | Path

    @property
    def version(self) -> int:
        """Of how answers become ratings; what the judge is and is asked stands in its name."""
        return _VERSION

    @property
    def decided(self) -> None:
        """A judge reads whole responses."""
        return None

    @property
    def name(self) -> str:
        """The column ``score``: the rubric's first words, a hash of all that is asked, and the judge."""
        words = " ".join(self.rubric.split()[:6])
        asked = hashlib.sha256(repr((self.rubric, self.scale, self.least_mass)).encode()).hexdigest()[:6]
        return f"judge {words!r} ({asked}) by {self.by.name if isinstance(self.by, Model) else self.by.model}"

    def rate(self, prompts: Sequence[str | Prompt], texts: Sequence[str]) -> tuple[Judgement, ...]:
        """One Judgement per response. What was asked before is read from the store.

        Args:
            prompts, texts: what was asked, and what it got.

        Raises:
            WorkbenchError: as many prompts as there are not texts, a scale that the judge's tokenizer does not write in
                single tokens, or an endpoint that fails for good (what is rated by then is stored).
        """
        for name, given, kinds in (("prompts", prompts, str | Prompt), ("texts", texts, str)):
            if isinstance(given, str) or not isinstance(given, Iterable):
                raise WorkbenchError(f"{name} is {given!r:.60}; expected a list, one a row")
            if strange := [one for one in given if not isinstance(one, kinds)]:
                raise WorkbenchError(f"a judge reads texts; got {type(strange[0]).__name__} among {name}")
        if len(prompts) != len(texts):
            raise WorkbenchError(f"{len(prompts)} prompts and {len(texts)} texts; expected one of each per row")
        questions = [question(str(prompt), text) for prompt, text in zip(prompts, texts, strict=True)]
        keys = [self._key(asked) for asked in questions]
        shelf = Store(Path(self.store) / "judgements", columns=("key", *_FIELDS))
        stored = _read(shelf, set(keys))
        missing = {key: asked for key, asked in zip(keys, questions, strict=True) if key not in stored}
        if missing and isinstance(self.by, Model):
            stored |= self._ask_model(self.by, missing, shelf)
        elif missing and isinstance(self.by, Endpoint):
            stored |= self._ask_endpoint(self.by, missing, shelf)
        return tuple(self._enforce_mass(stored[key]) for key in keys)

    def values(
        self, model: Model, prompts: Sequence[str | Prompt], texts: Sequence[str], steers: Sequence[Steer]
    ) -> list[str | float]:
        """One rating per row, NaN where there is none. The model that wrote the rows, and its Steers, are not looked at."""
        return [judgement.rating for judgement in self.rate(prompts, texts)]

    def _ask_model(self, by: Model, missing: Mapping[str, str], shelf: Store) -> dict[str, Judgement]:
        ratings = local_ratings(by, self._system, list(missing.values()), self.scale)
        rated = {key: Judgement(*pair) for key, pair in zip(missing, ratings, strict=True)}
        _write(shelf, rated)
        return rated

    def _ask_endpoint(self, by: Endpoint, missing: Mapping[str, str], shelf: Store) -> dict[str, Judgement]:
        rated: dict[str, Judgement] = {}
        waiting: dict[str, Judgement] = {}
        spent = 0.0
        broken: dict[str, Judgement] = {}
        in_a_row = 0
        with Connection(by) as connection, Bar(missing.items(), desc="judging", unit="row", leave=False) as bar:
            try:
                for key, asked in bar:
                    if in_a_row == _GIVE_UP:
                        broken[key] = Judgement(math.nan, 0.0, f"not asked, after {_GIVE_UP} broken replies in a row")
                        continue
                    judgement = self._one(connection, asked)
                    in_a_row = in_a_row + 1 if judgement.reason else 0
                    if judgement.reason:  # not stored, so that it is asked again another time
                        broken[key] = judgement
                        continue
                    waiting[key] = judgement
                    spent += by.price_of(waiting[key].tokens_in, waiting[key].tokens_out)
                    bar.set_postfix_str(f"${spent:.4f}" if not math.isnan(spent) else "no price given")
                    if len(waiting) >= _FLUSH_ROWS:
                        _write(shelf, waiting)
                        rated, waiting = rated | waiting, {}
            finally:  # what was paid for is kept
                _write(shelf, waiting)
        rated |= waiting
        read, written = (sum(getattr(j, name) for j in rated.values()) for name in ("tokens_in", "tokens_out"))
        cost = "no price given" if math.isnan(spent) else f"${spent:.4f}"
        _LOG.info("%s rated %d responses: %d tokens read, %d written, %s", by.model, len(rated), read, written, cost)
        if broken:
            reasons = Counter(judgement.reason for judgement in broken.values()).most_common(1)
            _LOG.warning(
                "%s: %d of %d responses have no rating: %s", by.model, len(broken), len(missing), reasons[0][0]
            )
        return rated | broken

    def _one(self, connection: Connection, asked: str) -> Judgement:
        reply = connection.ask([{"role": "system", "content": self._system}, {"role": "user", "content": asked}])
        if reply.broken:
            return Judgement(math.nan, 0.0, reply.broken)
        low, high = self.scale
        if high > 9 and reply.second.isdigit():
            raise WorkbenchError(
                f"{connection.endpoint.model} writes ratings above 9 in several tokens (it went on with {reply.second!r}), so the "
                "first token is not the rating; use scale=(0, 9)"
            )
        weights: dict[int, float] = {}
        for token, p in reply.first.items():  # "8" and " 8" are the same rating
            if (number := _number(token)) is not None and low <= number <= high:
                weights[number] = weights.get(number, 0.0) + p
        return _expectation(weights, reply.tokens_in, reply.tokens_out)

    @property
    def _system(self) -> str:
        low, high = self.scale
        return f"{self.rubric.strip()}\n\nRate from {low} to {high}. Answer with the number only."

    def _key(self, asked: str) -> str:
        who = [self.by.name, self.by.revision] if isinstance(self.by, Model) else [self.by.url, self.by.model]
        return content_key([_VERSION, who, self._system, asked])

    def _enforce_mass(self, judgement: Judgement) -> Judgement:
        """The same; without a rating where too little probability lies on ratings."""
        if judgement.reason or judgement.mass >= self.least_mass:
            return judgement
        reason = f"only {judgement.mass:.0%} of the probability lies on ratings, less than {self.least_mass:.0%}"
        return replace(judgement, rating=math.nan, reason=reason)


def judge(
    rubric: str,
    by: Model | Endpoint,
    scale: tuple[int, int] = (0, 9),
    least_mass: float = 0.25,
    store: str | Path = "runs/store",
) -> Judge:
    """Make a score of an LLM judge: its expected rating over the probabilities of the rating tokens.

    The method of log 002 (after Chen et al. 2025, persona vectors): one forward pass, the ratings' probabilities at
    the first token, their mean. If less than ``least_mass`` of the probability is on rating tokens, the judge is not
    rating. The row then gets no score but NaN, with the reason in its Judgement.

    Args:
        rubric: what to rate, e.g. "How optimistic is the response? 0: hopeless. 9: elated."
        by: a loaded Model, run on this machine, or an Endpoint.
        scale: lowest and highest rating. Single digits are one token for every tokenizer. The log's scale (0, 100)
            needs a tokenizer with such tokens, which is checked.
        least_mass: as above; the log uses 0.25.
        store: folder of the store; every answer is kept there, so no request is made twice.

    Returns:
        A Judge: for ``scores=`` of a sweep, or ``.rate(prompts, texts)``.

    Raises:
        WorkbenchError: a blank rubric, a scale that is not two whole numbers from 0 to 999, or a share outside 0 to 1.

    >>> judge("How polite is the response? 0: rude. 9: courteous.", by=model, store=folder).name
    "judge 'How polite is the response? 0:' (...) by ..."
    """
    if not isinstance(by, Model | Endpoint):
        raise WorkbenchError(f"by={by!r:.60}: expected a loaded Model, or wb.Endpoint(model, url)")
    if not isinstance(rubric, str) or not rubric.strip():
        raise WorkbenchError("the rubric is blank; say what to rate, e.g. 'How optimistic is the response?'")
    if not (
        isinstance(scale, Sequence)
        and len(scale) == 2
        and all(type(end) is int for end in scale)
        and 0 <= scale[0] < scale[1] <= 999
    ):
        raise WorkbenchError(f"scale {scale}: expected two whole numbers, e.g. (0, 9) or (0, 100)")
    if not isinstance(least_mass, int | float) or isinstance(least_mass, bool) or not 0 < least_mass <= 1:
        raise WorkbenchError(f"least_mass is {least_mass!r:.60}; expected a share above 0, e.g. 0.25")
    check_place(store)
    return Judge(rubric, by, (scale[0], scale[1]), least_mass, store)


def question(prompt: str, response: str) -> str:
    """What the judge is asked about one response, after the rubric."""
    return f"Question:\n{prompt}\n\nResponse:\n{response}\n\nRating:"


def _number(token: str) -> int | None:
    bare = token.strip()
    return int(bare) if bare.isascii() and bare.isdigit() and len(bare) <= 3 else None


def _expectation(weights: Mapping[int, float], tokens_in: int, tokens_out: int) -> Judgement:
    mass = sum(weights.values())
    rating = sum(n * p for n, p in weights.items()) / mass if mass else math.nan
    return Judgement(rating, mass, "", tokens_in, tokens_out)


#: what is stored of a judgement
_FIELDS = ("rating", "mass", "tokens_in", "tokens_out")


def _write(shelf: Store, rated: Mapping[str, Judgement]) -> None:
    import pandas as pd

    shelf.append(pd.DataFrame([{"key": key} | {f: getattr(j, f) for f in _FIELDS} for key, j in rated.items()]))


def _read(shelf: Store, keys: set[str]) -> dict[str, Judgement]:
    rows: pd.DataFrame = shelf.frame(keys)
    return {
        row.key: Judgement(row.rating, row.mass, "", int(row.tokens_in), int(row.tokens_out))
        for row in rows.itertuples(index=False)
    }


def local_ratings(
    model: Model, system: str, questions: Sequence[str], scale: tuple[int, int], batch_size: int = 8
) -> list[tuple[float, float]]:
    """Expected rating of each question, and the probability that lay on ratings.

    Args:
        model: the judge; unsteered.
        system: the rubric; put before the question where the template has no system role.
        questions: user turns.
        scale: lowest and highest rating.
        batch_size: questions per forward pass.

    Returns:
        (rating, mass) per question; the rating is NaN where the mass is 0.

    Raises:
        WorkbenchError: the tokenizer writes some rating in several tokens.
    """
    ratings = rating_tokens(model, scale)
    asked = [Prompt(text, str(i), system=system) for i, text in enumerate(questions)]
    chats = model.at_answer(model.encode(asked, system_in_user=True))
    ratings_of: list[tuple[float, float]] = [(float("nan"), 0.0)] * len(questions)
    for rows, logits in first_logits(model, chats, batch_size=batch_size):
        p = logits.softmax(-1)
        weights = torch.stack([p[:, tokens].sum(-1) for tokens in ratings.values()], dim=1)
        values = torch.tensor(list(ratings), dtype=p.dtype, device=p.device)
        mass = weights.sum(-1)
        for row, rating, m in zip(rows, ((weights @ values) / mass).tolist(), mass.tolist(), strict=True):
            ratings_of[row] = (rating, m)
    return ratings_of


def rating_tokens(model: Model, scale: tuple[int, int]) -> dict[int, list[int]]:
    """The token ids that say each rating: alone, after a space or after a line break."""
    tokens_of = {}
    for number in range(scale[0], scale[1] + 1):
        tokens = {_single(model, lead + str(number)) for lead in ("", " ", "\n")} - {None}
        if not tokens:
            raise WorkbenchError(
                f"the tokenizer of {model.name} writes {number} in several tokens, so its first token is no rating; "
                "use scale=(0, 9)"
            )
        tokens_of[number] = sorted(token for token in tokens if token is not None)
    return tokens_of


def _single(model: Model, text: str) -> int | None:
    """The one token that writes a text, blanks before it aside."""
    *before, last = model.tokenizer.encode(text, add_special_tokens=False)
    blank = not model.tokenizer.decode(before).strip()
    return last if blank and model.tokenizer.decode([last]).strip() == text.strip() else None
