"""Bad inputs to what measures, scores, counts and judges: what was given, and what must be said. Each is one WorkbenchError."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from tests.planted_rows import planted_rows
from workbench import statistics
from workbench.activations import methods
from workbench.activations.collect import Rows, gather, means
from workbench.activations.extract import massive_dimensions
from workbench.claims.new_claim import new_claim
from workbench.claims.verdict import decide
from workbench.scoring.distances import kl, kl_per_token
from workbench.sweeps.sweep import outcomes

NAN, INF = math.nan, math.inf
AT = wb.resid_post(1)
PAIRS = wb.Pairs(["hello", "write a song"], ["how do i", "list the birds"])
SIDES = [np.eye(4)[:3], np.eye(4)[:3] + 1]
UNJUDGED = next(one for one in wb.logged_claims() if one.criterion is None)
ROWS = planted_rows(40, gained=0.5)
EFFECT = wb.Estimate(0.5, 0.3, 0.7, 40, "m")
RUBRIC = "How polite is it?"
URL = "http://localhost:8000/v1"


def label_file(folder, text, name="labels.jsonl"):
    path = folder / name
    path.write_bytes(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
    return path


def row(**changed):
    return json.dumps({"prompt": "p", "arm": "a", "model": "m", "text": "t", "label": "refusal"} | changed)


def said(folder, **more):
    """Record an effect that was handed over."""
    given = {"measured": wb.Measured(EFFECT, 0.01, True), "model": "tiny"} | more
    return wb.ledger.record("S2.8", path=folder, **given)


#: what is done with a model, a direction of it and a folder; and what must be said
MISHAPS = {
    # activations
    "extract, batch_size 0": (lambda m, d, f: wb.extract(m, PAIRS, AT, batch_size=0), "batch_size"),
    "extract, batch_size -1": (lambda m, d, f: wb.extract(m, PAIRS, AT, batch_size=-1), "batch_size"),
    "extract, batch_size 2.5": (lambda m, d, f: wb.extract(m, PAIRS, AT, batch_size=2.5), "batch_size"),
    "extract, no pairs": (lambda m, d, f: wb.extract(m, ["hello"], AT), "Pairs"),
    "extract, layer 99": (lambda m, d, f: wb.extract(m, PAIRS, wb.resid_post(99)), "layer"),
    "extract, unknown site": (lambda m, d, f: wb.extract(m, PAIRS, "resid_pots.1"), "site"),
    "extract, unknown method": (
        lambda m, d, f: wb.extract(m, PAIRS, AT, method="mean_dif"),
        "did you mean 'mean_diff'",
    ),
    "extract, method of no vector": (lambda m, d, f: wb.extract(m, PAIRS, AT, method=lambda p, n: "up"), "vector"),
    "extract, method of NaN": (
        lambda m, d, f: wb.extract(m, PAIRS, AT, method=lambda p, n: p[0] * NAN),
        "(NaN|finite|no direction)",
    ),
    "extract, method is a number": (lambda m, d, f: wb.extract(m, PAIRS, AT, method=3), "method"),
    "extract, read of nothing": (lambda m, d, f: wb.extract(m, PAIRS, AT, read="prompt[99]"), "prompt"),
    "extract, store is a file": (
        lambda m, d, f: wb.extract(m, PAIRS, AT, store=label_file(f, "x")),
        "(store|written|folder)",
    ),
    "gather, no texts": (lambda m, d, f: gather(m, [], AT), "is empty"),
    "gather, one text": (lambda m, d, f: gather(m, "hello", AT), "(list|one text)"),
    "gather, None": (lambda m, d, f: gather(m, None, AT), "expected"),
    "gather, numbers": (lambda m, d, f: gather(m, [1, 2], AT), "expected"),
    "gather, batch_size 0": (lambda m, d, f: gather(m, ["hello"], AT, batch_size=0), "batch_size"),
    "gather, no sites": (lambda m, d, f: gather(m, ["hello"], []), "site"),
    "gather, sites None": (lambda m, d, f: gather(m, ["hello"], None), "site"),
    "means, batch_size -3": (
        lambda m, d, f: means(m, m.encode(["hello"]), [AT], wb.PROMPT[-1], batch_size=-3),
        "batch_size",
    ),
    "contrast, no pairs": (lambda m, d, f: wb.contrast(m, None, AT), "Pairs"),
    "Contrast, NaN": (lambda m, d, f: wb.Contrast(np.full((2, 3), NAN), np.ones((2, 3))), "NaN"),
    "Contrast, infinite": (lambda m, d, f: wb.Contrast(np.ones((2, 3)), np.full((2, 3), INF)), "NaN or infinite"),
    "Contrast, text": (lambda m, d, f: wb.Contrast("a", "b"), "array"),
    "Contrast, ragged": (lambda m, d, f: wb.Contrast([[1, 2], [3]], [[1, 2]]), "array"),
    "Contrast, other widths": (lambda m, d, f: wb.Contrast(np.ones((2, 3)), np.ones((2, 4))), "width"),
    "Contrast, groups too few": (
        lambda m, d, f: wb.Contrast(np.ones((2, 3)), np.ones((2, 3)), groups=("a",)),
        "group",
    ),
    "Contrast, texts too few": (
        lambda m, d, f: wb.Contrast(np.ones((2, 3)), np.ones((2, 3)), texts=(("a",), ("b", "c"))),
        "text",
    ),
    "Rows, NaN norm": (lambda m, d, f: Rows(torch.ones(2, 3), NAN), "norm"),
    "Rows, negative norm": (lambda m, d, f: Rows(torch.ones(2, 3), -5.0), "norm"),
    "mean_diff of NaN": (lambda m, d, f: methods.mean_diff(SIDES[0] * NAN, SIDES[1]), "NaN"),
    "probe of text": (lambda m, d, f: methods.probe("a", "b"), "array"),
    "probe of one text": (lambda m, d, f: methods.probe(SIDES[0][:1], SIDES[1][:1]), "at least two"),
    "separation, no direction": (lambda m, d, f: wb.separation(None, PAIRS, PAIRS, m), "Direction"),
    "separation without a model": (lambda m, d, f: wb.separation(d, PAIRS, PAIRS), "needs a model"),
    "separation of a list": (lambda m, d, f: wb.separation(d, ["a"], ["b"], m), "expected Pairs"),
    "separation, randoms 0": (lambda m, d, f: wb.separation(d, PAIRS, PAIRS, m, randoms=0), "randoms"),
    "separation, randoms NaN": (lambda m, d, f: wb.separation(d, PAIRS, PAIRS, m, randoms=NAN), "randoms"),
    "shuffled, times 0": (lambda m, d, f: wb.shuffled(m, PAIRS, AT, 0), "expected positions"),
    "massive_dimensions, NaN": (lambda m, d, f: massive_dimensions(m, ["hello"], AT, times=NAN), "times"),
    "surface_confounds of a list": (lambda m, d, f: wb.surface_confounds(["a", "b"]), "Pairs"),
    "surface_confounds, seed": (
        lambda m, d, f: wb.surface_confounds(wb.Pairs(list("abcde"), list("fghij")), seed=-1),
        "seed",
    ),
    # scoring
    "refusal of None": (lambda m, d, f: wb.refusal(None), "text"),
    "refusal of a number": (lambda m, d, f: wb.refusal(3.5), "text"),
    "coherence of bytes": (lambda m, d, f: wb.coherence(b"abc"), "text"),
    "score of fewer texts": (
        lambda m, d, f: wb.refusal.values(m, ["a", "b"], ["c"], [wb.Steer()]),
        "2 prompts, 1 texts",
    ),
    "kl without a text": (lambda m, d, f: kl("abc"), "cannot be told from the text alone"),
    "kl_per_token without steer": (lambda m, d, f: kl_per_token(m, [("hello", "red")]), "pass steer="),
    "kl_per_token, batch_size 0": (
        lambda m, d, f: kl_per_token(m, [("hello", "red")], wb.Steer(), batch_size=0),
        "batch_size",
    ),
    "cross_entropy, no texts": (lambda m, d, f: wb.cross_entropy(m, []), "is empty"),
    "cross_entropy, batch_size -1": (
        lambda m, d, f: wb.cross_entropy(m, [("hello", "red")], batch_size=-1),
        "batch_size",
    ),
    "cross_entropy, no answer": (lambda m, d, f: wb.cross_entropy(m, ["hello"]), "brings no answer"),
    "cross_entropy, None": (lambda m, d, f: wb.cross_entropy(m, None), "expected"),
    "projection, no direction": (lambda m, d, f: wb.projection("up"), "Direction"),
    "refusal_margin, no prompts": (lambda m, d, f: wb.refusal_margin(m, []), "is empty"),
    "refusal_margin, batch_size 0": (lambda m, d, f: wb.refusal_margin(m, ["hello"], batch_size=0), "batch_size"),
    "refusal_margin, Steers too few": (lambda m, d, f: wb.refusal_margin(m, ["a", "b"], [wb.Steer()] * 3), "Steers"),
    "judge, blank": (lambda m, d, f: wb.judge(" ", m), "rubric is blank"),
    "judge, no rubric": (lambda m, d, f: wb.judge(None, m), "rubric"),
    "judge, by a name": (lambda m, d, f: wb.judge(RUBRIC, "gpt-4o"), "Endpoint"),
    "judge, scale of one": (lambda m, d, f: wb.judge(RUBRIC, m, scale=(5,)), "scale"),
    "judge, scale a number": (lambda m, d, f: wb.judge(RUBRIC, m, scale=9), "scale"),
    "judge, scale crossed": (lambda m, d, f: wb.judge(RUBRIC, m, scale=(9, 0)), "scale"),
    "judge, mass NaN": (lambda m, d, f: wb.judge(RUBRIC, m, least_mass=NAN), "least_mass"),
    "judge, mass text": (lambda m, d, f: wb.judge(RUBRIC, m, least_mass="half"), "least_mass"),
    "judge, store is a file": (
        lambda m, d, f: wb.judge(RUBRIC, m, store=label_file(f, "x")).rate(["a"], ["b"]),
        "is no folder",
    ),
    "rate, texts are numbers": (lambda m, d, f: wb.judge(RUBRIC, m, store=f).rate(["a"], [3]), "text"),
    "Endpoint, NaN per minute": (lambda m, d, f: wb.Endpoint("m", URL, per_minute=NAN), "per_minute"),
    "Endpoint, infinite backoff": (lambda m, d, f: wb.Endpoint("m", URL, backoff=INF), "backoff"),
    "Endpoint, half a retry": (lambda m, d, f: wb.Endpoint("m", URL, retries=1.5), "retries"),
    "Endpoint, timeout 0": (lambda m, d, f: wb.Endpoint("m", URL, timeout=0), "timeout"),
    "Endpoint, no url": (lambda m, d, f: wb.Endpoint("m", None), "url"),
    "Endpoint, url of nothing": (lambda m, d, f: wb.Endpoint("m", "http://"), "url"),
    "Endpoint, port": (lambda m, d, f: wb.Endpoint("m", "http://host:99999/v1"), "url"),
    "Endpoint, url with a newline": (lambda m, d, f: wb.Endpoint("m", "http://host/v1\n"), "url"),
    "Endpoint, blank model": (lambda m, d, f: wb.Endpoint(" ", URL), "name of a model"),
    "Endpoint, negative price": (lambda m, d, f: wb.Endpoint("m", URL, price=(-1, 2)), "price"),
    "Endpoint, one price": (lambda m, d, f: wb.Endpoint("m", URL, price=(1,)), "price"),
    "Endpoint, price a number": (lambda m, d, f: wb.Endpoint("m", URL, price=3.0), "price"),
    "trait_odds, unknown": (lambda m, d, f: wb.trait_odds("optimisim"), "did you mean 'optimism'"),
    "trait_odds, None": (lambda m, d, f: wb.trait_odds(None), "unknown trait"),
    "trait_odds, a list": (lambda m, d, f: wb.trait_odds(["optimism"]), "unknown trait"),
    "trait_check, no prompts": (lambda m, d, f: wb.trait_check(m, "formality", []), "is empty"),
    "read_labelled, no file": (lambda m, d, f: wb.read_labelled(f / "none.jsonl"), "none.jsonl"),
    "read_labelled, a folder": (lambda m, d, f: wb.read_labelled(f), "cannot be read"),
    "read_labelled, no UTF-8": (lambda m, d, f: wb.read_labelled(label_file(f, b"\xff\xfe\x00")), "cannot be read"),
    "read_labelled, a list": (lambda m, d, f: wb.read_labelled(label_file(f, "[]")), "line 1"),
    "read_labelled, text is a number": (lambda m, d, f: wb.read_labelled(label_file(f, row(text=3))), "text"),
    "read_labelled, label is a list": (lambda m, d, f: wb.read_labelled(label_file(f, row(label=[]))), "label"),
    "read_labelled, deep": (lambda m, d, f: wb.read_labelled(label_file(f, "[" * 100_000)), "line 1"),
    "accuracy, no rows": (lambda m, d, f: wb.accuracy((), wb.refusal), "no labelled rows"),
    "accuracy, a score of numbers": (
        lambda m, d, f: wb.accuracy(wb.read_labelled()[:2], wb.coherence),
        "expected one of",
    ),
    "agreement, unknown score": (lambda m, d, f: wb.agreement(ROWS, "refusal", "refusul"), "did you mean 'refusal'"),
    "agreement, no rows": (lambda m, d, f: wb.agreement(None, "refusal", "refusal"), "rows"),
    "agreement, a frame of others": (lambda m, d, f: wb.agreement(pd.DataFrame({"a": [1]}), "x", "y"), "rows lack"),
    # statistics
    "rate, more than n": (lambda m, d, f: statistics.rate(40, 35), "40 of 35 is not a count"),
    "rate, NaN": (lambda m, d, f: statistics.rate(NAN, 35), "not a count"),
    "rate, infinite n": (lambda m, d, f: statistics.rate(3, INF), "not a count"),
    "rate, text": (lambda m, d, f: statistics.rate("31", 35), "not a count"),
    "rate, None": (lambda m, d, f: statistics.rate(None, 35), "not a count"),
    "rate, confidence 95": (lambda m, d, f: statistics.rate(31, 35, confidence=95), "confidence"),
    "rate, confidence text": (lambda m, d, f: statistics.rate(31, 35, confidence="95%"), "confidence"),
    "fisher, alternative": (lambda m, d, f: statistics.fisher(1, 2, 1, 2, "more"), "alternative"),
    "mean, NaN": (lambda m, d, f: statistics.mean([1.0, NAN]), "NaN"),
    "mean, text": (lambda m, d, f: statistics.mean("abc"), "numbers"),
    "mean, None": (lambda m, d, f: statistics.mean(None), "numbers"),
    "mean, clusters a number": (lambda m, d, f: statistics.mean([1.0, 2.0], clusters=3), "clusters"),
    "mean, no resamples": (lambda m, d, f: statistics.mean([1.0, 2.0], resamples=0), "resamples"),
    "mean, resamples NaN": (lambda m, d, f: statistics.mean([1.0, 2.0], resamples=NAN), "resamples"),
    "mean, seed -1": (lambda m, d, f: statistics.mean([1.0, 2.0, 4.0], seed=-1), "seed"),
    "permutation, seed text": (lambda m, d, f: statistics.permutation([1.0, 2.0], [2.0, 3.0], seed="x"), "seed"),
    "mcnemar, other lengths": (lambda m, d, f: statistics.mcnemar([True], [True, False]), "one value per unit"),
    "mcnemar, labels": (lambda m, d, f: statistics.mcnemar(["a"], ["b"]), "expected numbers"),
    "mcnemar_counts, text": (lambda m, d, f: statistics.mcnemar_counts("6", 0), "gained"),
    "mcnemar_counts, infinite": (lambda m, d, f: statistics.mcnemar_counts(INF, 0), "gained"),
    "holm, above 1": (lambda m, d, f: statistics.holm([0.5, 2]), "from 0 to 1"),
    "holm, a number": (lambda m, d, f: statistics.holm(0.05), "p-values"),
    "holm, None": (lambda m, d, f: statistics.holm(None), "p-values"),
    "needed_n_paired, NaN": (lambda m, d, f: statistics.needed_n_paired(gained=NAN, lost=0.02), "gained"),
    "needed_n_mean, no effect": (lambda m, d, f: statistics.needed_n_mean(0.0, 1.0), "(effect|difference)"),
    "auc, one class": (lambda m, d, f: statistics.auc([1.0, 2.0], [True, True]), "(class|side|positive)"),
    "kappa, no labels": (lambda m, d, f: statistics.kappa([], []), "(label|unit|least)"),
    "kappa, other lengths": (lambda m, d, f: statistics.kappa(["a"], ["a", "b"]), "(label|length|one)"),
    # claims
    "claim, unknown": (lambda m, d, f: wb.claim("S3.99"), "unknown claim 'S3.99'"),
    "claim, None": (lambda m, d, f: wb.claim(None), "unknown claim"),
    "claim, a list": (lambda m, d, f: wb.claim(["S3.2"]), "unknown claim"),
    "read_claims, a folder": (lambda m, d, f: wb.read_claims(f), "cannot be read"),
    "read_claims, no file": (lambda m, d, f: wb.read_claims(f / "none.toml"), "cannot be read"),
    "read_claims, binary": (lambda m, d, f: wb.read_claims(label_file(f, b"\xff\x00", "x.toml")), "cannot be read"),
    "read_claims, deep": (lambda m, d, f: wb.read_claims(label_file(f, "a = " + "[" * 100_000, "x.toml")), "not TOML"),
    "read_claims, None": (lambda m, d, f: wb.read_claims(None), "cannot be read"),
    "read_claims, NUL": (lambda m, d, f: wb.read_claims("a\0b.toml"), "cannot be read"),
    "new_claim, an id that is a path": (lambda m, d, f: new_claim("../P1", f), "must be"),
    "new_claim, None": (lambda m, d, f: new_claim(None, f), "must be"),
    "new_claim, folder is a file": (lambda m, d, f: new_claim("P1", label_file(f, "x")), "(folder|file)"),
    "record, nothing": (lambda m, d, f: wb.ledger.record("S3.2", path=f), "give rows"),
    "record, no claim": (lambda m, d, f: wb.ledger.record(3, not_run="x", path=f), "is no claim"),
    "record, rows of a list": (lambda m, d, f: wb.ledger.record("S3.2", [1], path=f), "rows are list"),
    "record, empty rows": (lambda m, d, f: wb.ledger.record("S3.2", ROWS.iloc[:0], path=f), "no rows"),
    "record, rows without a label": (
        lambda m, d, f: wb.ledger.record("S3.2", ROWS.assign(value=NAN), path=f),
        "missing",
    ),
    "record, unknown arm": (lambda m, d, f: wb.ledger.record("S3.2", ROWS, arm="L99", path=f), "unknown arm"),
    "record, gate of text": (lambda m, d, f: wb.ledger.record("S3.2", ROWS, gates=["G2"], path=f), "is no gate"),
    "record, others NaN": (lambda m, d, f: wb.ledger.record("S3.2", ROWS, others=[NAN], path=f), "p-values"),
    "record, ratio NaN": (lambda m, d, f: wb.ledger.record("S3.2", ROWS.assign(ratio="x"), path=f), "ratio"),
    "Measured, effect a number": (lambda m, d, f: wb.Measured(0.5, 0.01, True), "expected wb.Estimate"),
    "Measured, direction NaN": (lambda m, d, f: wb.Measured(EFFECT, 0.01, NAN), "direction_holds"),
    "Measured, p None": (lambda m, d, f: wb.Measured(EFFECT, None, True), "expected a probability"),
    "Measured, a note": (lambda m, d, f: wb.Measured(EFFECT, 0.01, True, (), "note"), "notes is one text"),
    "Measured, p of text": (lambda m, d, f: wb.Measured(EFFECT, "0.01", True), "p is '0.01'"),
    "Measured, p True": (lambda m, d, f: wb.Measured(EFFECT, True, True), "p is True"),
    "Measured, a huge effect": (lambda m, d, f: wb.Measured(replace(EFFECT, value=10**400), 0.1, True), "numbers"),
    "Measured, far below its interval": (
        lambda m, d, f: wb.Measured(replace(EFFECT, value=-0.1), 0.01, True),
        "lies far outside its interval",
    ),
    "Measured, far above it": (lambda m, d, f: wb.Measured(replace(EFFECT, value=30.0), 0.01, True), "far outside"),
    "Measured, beside a point": (
        lambda m, d, f: wb.Measured(wb.Estimate(0.5, 0.4, 0.4, 9, "identity"), 0.01, True),
        "far outside",
    ),
    "Measured, n -3": (lambda m, d, f: wb.Measured(replace(EFFECT, n=-3), 0.01, True), "n=-3"),
    "Measured, n NaN": (lambda m, d, f: wb.Measured(replace(EFFECT, n=NAN), 0.01, True), "n=nan"),
    "Measured, gates a number": (lambda m, d, f: wb.Measured(EFFECT, 0.01, True, 5), "gates=5"),
    "Measured, notes numbers": (lambda m, d, f: wb.Measured(EFFECT, 0.01, True, (), [5]), "tuple of sentences"),
    "Measured, uncorrected inf": (
        lambda m, d, f: wb.Measured(EFFECT, 0.01, True, uncorrected=replace(EFFECT, value=INF)),
        "uncorrected inf",
    ),
    "Gate, passed in words": (lambda m, d, f: wb.Gate("G2 hook", "no", "x"), "passed='no'.*True or False"),
    "Gate, passed None": (lambda m, d, f: wb.Gate("G2 hook", None, "x"), "passed=None"),
    "Gate, no name": (lambda m, d, f: wb.Gate(" ", True, "x"), "its id and name"),
    "Gate, measured a number": (lambda m, d, f: wb.Gate("G2 hook", True, 5), "words on what was measured"),
    "record, one gate": (lambda m, d, f: said(f, gates=wb.Gate("G2 hook", True, "x")), "gates=.*expected a list"),
    "record, others a number": (lambda m, d, f: said(f, others=0.3), "others=0.3"),
    "record, analogue in words": (lambda m, d, f: said(f, on_analogue="no"), "on_analogue='no'"),
    "record, a model that is no name": (lambda m, d, f: said(f, model=5), "model=5: expected text"),
    "record, measured a number": (lambda m, d, f: said(f, measured=0.3), "measured=0.3"),
    "record, a number was not run": (lambda m, d, f: wb.ledger.record("S2.8", not_run=5, path=f), "not_run=5"),
    "record, no folder": (lambda m, d, f: said(""), "expected the folder of a ledger"),
    "record, None for a folder": (lambda m, d, f: said(None), "expected the folder of a ledger"),
    "open, NUL": (lambda m, d, f: wb.ledger.open("a\0b"), "expected the folder of a ledger"),
    "export, a folder": (lambda m, d, f: wb.ledger.export(f, f / "x.zip"), "is no ledger; open it"),
    "record_all, a list": (lambda m, d, f: wb.ledger.record_all([], path=f), "what is said of each claim"),
    "record_all, a slip": (
        lambda m, d, f: wb.ledger.record_all({"S2.8": {"mesured": 1}}, path=f),
        "did you mean 'measured'",
    ),
    **{
        f"Endpoint, {name} {str(value)[:20]}": (
            lambda m, d, f, g={name: value}: wb.Endpoint("m", URL, "", **g),
            f"{name} is ",
        )
        for name, values in {
            "retries": (10**400, 10**9, 2.5, True, NAN),
            "timeout": (1e300, 0, NAN, INF, "60"),
            "per_minute": (1e-300, 0, NAN, INF, None),
            "backoff": (-1, 10**400, NAN),
            "price": ((10**400, 1), (-1, 1), (1,)),
        }.items()
        for value in values
    },
    "Endpoint, key_from None": (lambda m, d, f: wb.Endpoint("m", URL, None), "key_from is a NoneType"),
    "judge, a scale to True": (lambda m, d, f: wb.judge(RUBRIC, m, (0, True)), "two whole numbers"),
    "judge, a share of True": (lambda m, d, f: wb.judge(RUBRIC, m, least_mass=True), "least_mass is True"),
    "judge, store 5": (lambda m, d, f: wb.judge(RUBRIC, m, store=5), "store=5"),
    "rate, one text": (lambda m, d, f: wb.judge(RUBRIC, m, store=f).rate("a", "b"), "prompts is 'a'; expected a list"),
    "rate, prompts None": (lambda m, d, f: wb.judge(RUBRIC, m, store=f).rate(None, ["b"]), "prompts is None"),
    "decide, no criterion": (lambda m, d, f: decide(UNJUDGED, [], EFFECT, 0.01, True), "no criterion"),
    "oracle, no rows": (lambda m, d, f: wb.oracle(None, "refusal"), "rows"),
    "outcomes, unknown arm": (lambda m, d, f: outcomes(ROWS, "positive", "L99", "refusal"), "no rows of arm"),
}


@pytest.mark.parametrize("name", MISHAPS)
def test_a_bad_input_is_one_clear_error(llama, tmp_path, name, planted):
    act, expected = MISHAPS[name]
    with pytest.raises(wb.WorkbenchError) as caught:
        act(llama, planted, tmp_path)
    assert type(caught.value) is wb.WorkbenchError
    assert re.search(expected, str(caught.value)), str(caught.value)


@pytest.fixture(scope="module")
def planted(llama):
    return wb.extract(llama, PAIRS, at=AT)
