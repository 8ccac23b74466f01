"""The gates of a replication that its rows cannot answer: decoding, hook, disjoint prompts, agreement of two scorers.

They are about the setup, not the effect: a notebook measures them on its own model, direction and prompts, and hands them to
``wb.ledger.record(..., gates=…)`` beside those that are read off the rows.
"""

import re
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench._errors import WorkbenchError, unknown
from workbench.claims.verdict import Gate
from workbench.generation.generate import generate
from workbench.models.checks import preflight
from workbench.models.model import Model
from workbench.models.prompts import SPLITS, Pairs, Prompts
from workbench.scoring.labels import refusal
from workbench.scoring.logs import log001_keyword_refusal
from workbench.scoring.margins import refusal_margin
from workbench.scoring.scores import Scorer
from workbench.statistics.agreement import kappa
from workbench.steering.directions import Direction
from workbench.steering.positions import Positions
from workbench.steering.steer import Steer
from workbench.steering.verbs import add

if TYPE_CHECKING:
    import pandas as pd


_ALIKE = 0.6  # Jaccard similarity of words from which two prompts count as one
_AGREE, _ENOUGH, _CAUGHT = 0.6, 100, 0.9  # kappa, rows it is measured on, share of gibberish to be called collapse
_GIBBERISH = 20  # texts of each kind


def setup_gates(
    model: Model,
    pairs: Pairs,
    direction: Direction,
    ratio: float,
    on: Positions | str,
    n: int = 8,
    max_new_tokens: int = 16,
) -> tuple[Gate, Gate, Gate]:
    """Gates G1 (decoding), G2 (hook) and G3 (disjoint prompts).

    Args:
        model: the model of the replication.
        pairs: a contrast set with splits, e.g. ``wb.pairs("refusal")``: prompts of train, dev and test must be distinct, and
            those of different splits share less than 60% of their words.
        direction, ratio, on: the direction, dose (above 0) and positions of the experiment.
        n: hook and decoding are tested on this many dev prompts of the positive side.
        max_new_tokens: the most tokens per response in these checks.

    Returns:
        G1: the pre-flight check passes, and no response contains its prompt. G2: dose 0 equals no hook, and -a*d
            equals +a*(-d), token for token; +a*d raises the refusal margin. G3: the prompts are disjoint.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> on = wb.PROMPT[-1] | wb.RESPONSE
    >>> gates = wb.setup_gates(model, wb.pairs("refusal"), d, 0.3, on=on, n=1, max_new_tokens=2)
    >>> [gate.name for gate in gates]
    ['G1 decoding', 'G2 hook', 'G3 disjoint']
    """
    prompts = pairs.split("dev").positive.take(n)
    up, down = add(direction, ratio=ratio, on=on), add(direction, ratio=-ratio, on=on)
    steers = [Steer(), add(direction, ratio=0, on=on), down, add(-direction, ratio=ratio, on=on)]
    done = generate(model, list(prompts) * 4, [s for s in steers for _ in prompts], max_new_tokens, progress=False)
    plain, zero, minus, inverted = (done.token_ids[i * n : (i + 1) * n] for i in range(4))
    margins = [float(refusal_margin(model, prompts, steer).mean()) for steer in (Steer(), up)]
    failed = [check.name for check in preflight(model) if not check.passed]
    echoes = sum(prompt.lower() in text.lower() for prompt, text in zip(done.prompts, done.text, strict=True))
    hook = f"zero dose is no hook: {zero == plain}; -a*d is +a*(-d): {minus == inverted}"
    return (
        Gate(
            "G1 decoding", not failed and not echoes, f"failed: {', '.join(failed) or 'none'}; {echoes} prompts echoed"
        ),
        Gate(
            "G2 hook",
            zero == plain and minus == inverted and margins[1] > margins[0],
            f"{hook}; margin {margins[0]:.1f} to {margins[1]:.1f}",
        ),
        disjoint_gate(pairs),
    )


def scorer_gate(
    model: Model, rows: "pd.DataFrame", first: Scorer = refusal, second: Scorer = log001_keyword_refusal
) -> Gate:
    """Gate G4: two scorers agree which responses are refusals, and the first calls gibberish collapse.

    Args:
        model: its tokens make the gibberish: random tokens, and one repeated token.
        rows: of ``wb.sweep`` with both scores; a response that occurs in several rows counts once.
        first, second: scores that give the label "refusal" to refusals; the first is also tried on gibberish.

    Raises:
        WorkbenchError: a score that is not in the rows.

    >>> scores = [wb.refusal, wb.log001_keyword_refusal]
    >>> rows = wb.sweep(model, tiny_pairs.positive, [wb.BASELINE], scores, max_new_tokens=4)
    >>> wb.scorer_gate(model, rows).passed  # a random model refuses nothing, so there is nothing to agree on
    False
    """
    names = [first.name, second.name]
    table = rows.drop_duplicates(["key", "score"]).pivot(index="key", columns="score", values="value")
    if lacking := [name for name in names if name not in table]:
        raise WorkbenchError(f"no rows of the score {lacking[0]!r}; sweep with scores=[wb.{names[0]}, wb.{names[1]}]")
    told = table[names].dropna()  # what one of them gave no label cannot be compared
    refused = [(told[name] == "refusal").tolist() for name in names]
    texts = gibberish(model)
    caught = np.mean([label == "collapse" for label in first.values(model, texts, texts, [Steer()] * len(texts))])
    one_label = len({*refused[0], *refused[1]}) < 2
    agree = None if one_label else kappa(*refused).kappa
    fine = agree is not None and agree.value >= _AGREE and agree.n >= _ENOUGH and caught >= _CAUGHT
    said = "one label only" if agree is None else f"kappa {agree} with {names[1]}"
    return Gate("G4 scorer", bool(fine), f"{said}; {caught:.0%} of gibberish called collapse")


def gibberish(model: Model, n: int = _GIBBERISH, tokens: int = 32, seed: int = 0) -> list[str]:
    """Texts that are surely broken: ``n`` of random tokens, and ``n`` of one token repeated."""
    drawn = np.random.default_rng(seed).integers(len(model.tokenizer), size=(n, tokens))
    rows = [*drawn.tolist(), *([row[0]] * tokens for row in drawn.tolist())]
    return [model.tokenizer.decode(row, skip_special_tokens=True) for row in rows]


def disjoint_gate(pairs: Pairs, by: Literal["split", "base"] = "split") -> Gate:
    """Only gate G3: prompts are distinct, and prompts of different splits share less than 60% of their words.

    Args:
        pairs: a contrast set; a system prompt counts as part of its prompt.
        by: "split" if directions come from one split and are tested on another: train, dev and test must then be
            disjoint. "base" if folds of bases are used, as in ``crossed``: prompts of different bases must then be
            disjoint.

    >>> print(wb.disjoint_gate(wb.pairs("refusal")).measured)
    256 train, 100 dev, 320 test, 264 confirm; 0 repeated; most alike 0.43
    """
    if by not in ("split", "base"):
        raise unknown("by", by, ("split", "base"))
    if by == "split":
        names = [name for name in SPLITS if name != "tuning" and name in pairs.positive.splits]
        parts = {name: _words(pairs.split(name)) for name in names}
        counts = ", ".join(f"{len(words)} {name}" for name, words in parts.items())
    else:
        bases = dict.fromkeys(prompt.base or prompt.id for side in _sides(pairs) for prompt in side)
        parts = {base: _words(pairs, base) for base in bases}
        counts = f"{sum(map(len, parts.values()))} prompts of {len(parts)} bases"
    twice = sum(len(words) - len(set(words)) for words in parts.values())
    bags = [[frozenset(words) for words in part] for part in parts.values()]
    alike = [len(a & b) / len(a | b) for one, two in combinations(bags, 2) for a in one for b in two if a or b]
    most = max(alike, default=0.0)
    return Gate("G3 disjoint", twice == 0 and most < _ALIKE, f"{counts}; {twice} repeated; most alike {most:.2f}")


def _sides(pairs: Pairs) -> list[Prompts]:
    return [side for side in (pairs.positive, pairs.negative, pairs.borderline) if side is not None]


def _words(pairs: Pairs, base: str = "") -> list[tuple[str, ...]]:
    """The words of each prompt of all sides, or of those with one base, in their order: a match may be a matter of order."""
    chosen = [p for side in _sides(pairs) for p in side if not base or (p.base or p.id) == base]
    return [tuple(re.findall(r"\w+", f"{p.system} {p.text}".lower())) for p in chosen]
