"""Sentence embeddings: the same for a text whatever stands beside it, and kept for texts that come again."""

import numpy as np

from workbench.models import sentences
from workbench.models.sentences import embed

TEXTS = ["How do I cook rice?", "Rinse the rice and boil it.", "The bridge opened in spring.", ""]


def test_a_text_has_one_vector_whatever_stands_beside_it_and_however_often(monkeypatch):
    monkeypatch.setattr(sentences, "_KNOWN", {})
    alone = np.concatenate([embed([text]) for text in TEXTS])
    monkeypatch.setattr(sentences, "_KNOWN", {})
    together = embed([*TEXTS, TEXTS[0]])
    assert together.dtype == np.float32
    assert np.abs(together - alone[[0, 1, 2, 3, 0]]).max() < 1e-5
    assert np.array_equal(embed(TEXTS[::-1]), together[[3, 2, 1, 0]])
    assert np.abs(np.linalg.norm(together[:3], axis=1) - 1).max() < 1e-6
    assert embed([]).shape == (0, together.shape[1])


def test_texts_that_are_known_are_not_read_again_and_the_oldest_go(monkeypatch):
    read = []
    real = sentences._embed
    monkeypatch.setattr(sentences, "_embed", lambda texts, width: read.append(list(texts)) or real(texts, width))
    monkeypatch.setattr(sentences, "_KNOWN", {})
    monkeypatch.setattr(sentences, "_MOST", 2)
    first = embed(TEXTS[:3])
    assert np.array_equal(embed([TEXTS[2], TEXTS[1]]), first[[2, 1]])
    embed(TEXTS[:1])  # of three only two were kept
    assert read == [TEXTS[:3], [], TEXTS[:1]]
    assert list(sentences._KNOWN) == [TEXTS[2], TEXTS[0]]
