"""Is a fluent response off topic? From how alike it is to its prompt in meaning, and from its words.

A logistic regression on twelve features, fitted on completions labelled by hand (``benchmarks/label_fit.py``); its few numbers lie
in ``data/labels/off_topic.json``, with how they were made.
"""

import json
import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Float

from workbench._files import data_folder
from workbench.models.sentences import embed, pieces
from workbench.scoring.collapse import FUNCTION_WORDS, repetition, words_of

FEATURES = (
    "likeness",  # of response and prompt: cosine of their embeddings
    "likeness of the nearest sentence",
    "mean likeness of the sentences",
    "words (log)",
    "repetition",  # share of 4-grams that have occurred before
    "distinct words (share)",
    "function words (share)",
    "pieces per word",  # of the embedding's tokenizer: an invented word has many
    "words of the prompt (share)",
    "first person (share)",
    "says what it is",  # "I'm a ...", which steered models slip into
    "a list, or code",
)

_MOST_SENTENCES = 6
_SENTENCE = re.compile(r"(?<=[.!?:\n])\s+")
_LIST = re.compile(r"(?m)^\s*(?:\d+\.|[-*])\s|```")
_I = frozenset(("i", "i'm", "i’m", "my", "i've", "me"))
_SAYS_WHAT = re.compile(r"\W*i(?:'|’)m (?:a|an|not|the)\b")


def off_topic(prompts: Sequence[str], answers: Sequence[str]) -> list[bool]:
    """Whether each answer, which is neither a refusal nor broken down, leaves its prompt alone.

    >>> asked = ["How do I cook rice?"] * 2
    >>> off_topic(asked, ["Rinse the rice, then boil it for twelve minutes.", "The bridge was opened by the mayor in spring."])
    [False, True]
    """
    if not answers:
        return []
    model = _model()
    scaled = (features(prompts, answers) - model["mean"]) / model["scale"]
    odds = scaled @ np.array(model["weights"]) + model["intercept"]
    least = np.log(model["least"] / (1 - model["least"]))
    return [bool(value < least) for value in odds]


@cache
def _model() -> dict:
    return json.loads((data_folder() / "labels" / "off_topic.json").read_text(encoding="utf-8"))


def features(prompts: Sequence[str], answers: Sequence[str]) -> Float[np.ndarray, "text 12"]:
    """The twelve of ``FEATURES`` for each answer and its prompt."""
    parts = [_sentences(answer) for answer in answers]
    texts = list(dict.fromkeys([*prompts, *answers, *(sentence for part in parts for sentence in part)]))
    vectors = dict(zip(texts, embed(texts), strict=True))
    counts = pieces(answers)
    rows = []
    for prompt, answer, part, count in zip(prompts, answers, parts, counts, strict=True):
        near = [float(vectors[prompt] @ vectors[sentence]) for sentence in part]
        words, asked = words_of(answer), set(words_of(prompt)) - FUNCTION_WORDS
        n = max(len(words), 1)
        rows.append(
            [
                float(vectors[prompt] @ vectors[answer]),
                max(near),
                float(np.mean(near)),
                float(np.log(n)),
                repetition(answer),
                len(set(words)) / n,
                sum(word in FUNCTION_WORDS for word in words) / n,
                count / n,
                len(asked & set(words)) / max(len(asked), 1),
                sum(word in _I for word in words) / n,
                float(bool(_SAYS_WHAT.match(answer.lower()))),
                float(bool(_LIST.search(answer))),
            ]
        )
    return np.array(rows)


def _sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE.split(text.strip()) if part.strip()][:_MOST_SENTENCES] or [text]
