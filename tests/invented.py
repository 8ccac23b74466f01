"""Invented claims, each with one known fault, and the same claim without it. Numbers and subjects are made up."""

HEADER = """
[log]
id = "X"
title = "An invented log"

[method]
site = "resid_post, layer 3"
positions = "all"
normalisation = "unit norm"
decoding = "greedy"
scorer = "label"
n = 40
"""

CLAIM = """
[[claim]]
id = "X.1"
title = "An invented claim"
section = "1"
kind = "comparison"
statement = "Something was found."
models = ["a-model"]

[claim.criterion]
direction = "up"
outcome = "rate"
minimum_effect = 0.1
unit = "share"
test = ["mcnemar"]
gates = ["G1"]
"""


def table(columns, rows, n='"not given"'):
    return (
        '\n[[table]]\nid = "T"\ntitle = "numbers"\nprovenance = "L"\nsource = "1"\n'
        f"n = {n}\ncolumns = {columns}\nrows = {rows}\n".replace("'", '"')
    )


def claims_file(tables, check, numbers=""):
    """The text of a claims file with one claim."""
    return f"{HEADER}{tables}{CLAIM}\n[claim.numbers]\n{numbers}\n[[claim.check]]\n{check}\n"


def rates(*percents, n=40):
    return table(["arm: text", "rate: percent"], [[f"arm {i}", p] for i, p in enumerate(percents)], n)


def summary(check, numbers, faulty, clean):
    """A check of summaries, the verdict of its failure, and two files that differ in one number."""
    name = check.split('"')[1]
    return (name, "inconsistent", *(claims_file("", check, numbers.format(value)) for value in (faulty, clean)))


def fact(holds):
    return f'\n[[fact]]\nid = "seeded"\nstatement = "all runs are seeded"\nholds = {holds}\nprovenance = "P"\nsource = "code"\n'


def amplified(sds):
    rows = [[a, s] for a, s in zip((0.0, 0.5, 1.0, 1.5, 2.0), sds, strict=True)]
    return table(["alpha: number", "sd: number"], rows)


LAW = 'test = "variance_law"\nalpha = "T.alpha"\nsd = "T.sd"\nplain = "T[0.0].sd"\nfrom = ["T[1.5].sd", "T[2.0].sd"]\nskip = ["T[0.0].sd"]'
ARMS = ["arm: text", "model: text", "multiple: number", "rate: percent"]
IDENTICAL = 'test = "identical"\nof = "T.rate"\nsystem = "T.model"\nintervention = "T.multiple"'
DIFFERS = 'test = "differs"\nhigher = "T[arm 1].rate"\nlower = "T[arm 0].rate"'
CURVE = 'test = "step_or_curve"\ndose = "T.dose"\nof = "T.rate"'

#: name: (check, verdict of the faulty one, faulty file, clean file)
CASES = {
    "a percentage that no count gives": (
        "grim",
        "inconsistent",
        claims_file(rates(45.0, 83.3), 'test = "grim"\nof = "T.rate"'),
        claims_file(rates(45.0, 82.5), 'test = "grim"\nof = "T.rate"'),
    ),
    "parts that do not add up": (
        "sum",
        "inconsistent",
        claims_file(
            table(["k: count"], [[7], [9], [4]]),
            'test = "sum"\nof = "T.k"\nclaimed = "total"',
            "total = { count = 21 }",
        ),
        claims_file(
            table(["k: count"], [[7], [9], [4]]),
            'test = "sum"\nof = "T.k"\nclaimed = "total"',
            "total = { count = 20 }",
        ),
    ),
    "a mean of a row that is not its mean": (
        "row_means",
        "inconsistent",
        claims_file(
            table(
                ["arm: text", "a: number", "b: number", "mean: number"], [["x", 1.0, 2.0, 1.5], ["y", 4.0, 6.0, 6.0]]
            ),
            'test = "row_means"\nof = ["T.a", "T.b"]\nclaimed = "T.mean"',
        ),
        claims_file(
            table(
                ["arm: text", "a: number", "b: number", "mean: number"], [["x", 1.0, 2.0, 1.5], ["y", 4.0, 6.0, 5.0]]
            ),
            'test = "row_means"\nof = ["T.a", "T.b"]\nclaimed = "T.mean"',
        ),
    ),
    "a total of a row that is not its sum": (
        "row_sums",
        "inconsistent",
        claims_file(
            table(["arm: text", "a: count", "b: count", "all: count"], [["x", 1, 2, 3], ["y", 4, 6, 11]]),
            'test = "row_sums"\nof = ["T.a", "T.b"]\nclaimed = "T.all"',
        ),
        claims_file(
            table(["arm: text", "a: count", "b: count", "all: count"], [["x", 1, 2, 3], ["y", 4, 6, 10]]),
            'test = "row_sums"\nof = ["T.a", "T.b"]\nclaimed = "T.all"',
        ),
    ),
    "a mean that is not the mean": (
        "mean",
        "inconsistent",
        claims_file(rates(90.0, 80.0, 85.0), 'test = "mean"\nof = "T.rate"\nclaimed = "mean"', "mean = 88.0"),
        claims_file(rates(90.0, 80.0, 85.0), 'test = "mean"\nof = "T.rate"\nclaimed = "mean"', "mean = 85.0"),
    ),
    "a gain in percent that is one in points": (
        "change",
        "inconsistent",
        claims_file(
            rates(40.0, 60.0),
            'test = "change"\nof = "T[arm 1].rate"\nsince = "T[arm 0].rate"\nclaimed = "gain"',
            "gain = 20",
        ),
        claims_file(
            rates(40.0, 60.0),
            'test = "change"\nof = "T[arm 1].rate"\nsince = "T[arm 0].rate"\nclaimed = "gain"',
            "gain = 50",
        ),
    ),
    "a p-value that no test gives": (
        "p_value",
        "inconsistent",
        claims_file(
            rates(45.0, 60.0), 'test = "p_value"\na = "T[arm 1].rate"\nb = "T[arm 0].rate"\nclaimed = "p"', "p = 0.01"
        ),
        claims_file(
            rates(45.0, 60.0), 'test = "p_value"\na = "T[arm 1].rate"\nb = "T[arm 0].rate"\nclaimed = "p"', "p = 0.18"
        ),
    ),
    "outcomes that exclude one another and exceed n": (
        "totals",
        "inconsistent",
        claims_file(
            table(["a: count", "b: count"], [[20, 18], [25, 19]], 40), 'test = "totals"\nclasses = ["T.a", "T.b"]'
        ),
        claims_file(
            table(["a: count", "b: count"], [[20, 18], [25, 15]], 40), 'test = "totals"\nclasses = ["T.a", "T.b"]'
        ),
    ),
    "a trend that turns": (
        "monotone",
        "inconsistent",
        claims_file(rates(10, 30, 20, 60), 'test = "monotone"\nof = "T.rate"\ndirection = "rising"'),
        claims_file(rates(10, 20, 30, 60), 'test = "monotone"\nof = "T.rate"\ndirection = "rising"'),
    ),
    "two peaks where one is named": (
        "peak",
        "inconsistent",
        claims_file(rates(10, 60, 20, 60), 'test = "peak"\nof = "T.rate"\nat = "T[arm 1].rate"'),
        claims_file(rates(10, 60, 20, 55), 'test = "peak"\nof = "T.rate"\nat = "T[arm 1].rate"'),
    ),
    "two values for one thing": (
        "same",
        "inconsistent",
        claims_file("", 'test = "same"\nof = ["here", "there"]', "here = 61.3\nthere = 16.3"),
        claims_file("", 'test = "same"\nof = ["here", "there"]', "here = 61.3\nthere = 61.30"),
    ),
    "a threshold where there is a slope": (
        "step_or_curve",
        "inconsistent",
        claims_file(table(["dose: number", "rate: percent"], [[i, 10 * i] for i in range(11)], 50), CURVE),
        claims_file(table(["dose: number", "rate: percent"], [[i, 4 if i < 6 else 96] for i in range(11)], 50), CURVE),
    ),
    "unseeded runs called reproducible": (
        "record",
        "inconsistent",
        claims_file(fact("false"), 'test = "record"\nneeds = ["seeded"]'),
        claims_file(fact("true"), 'test = "record"\nneeds = ["seeded"]'),
    ),
    "a difference within chance": (
        "differs",
        "underpowered",
        claims_file(rates(50, 65), DIFFERS),
        claims_file(rates(50, 85), DIFFERS),
    ),
    "the best of twelve layers": (
        "best_of",
        "underpowered",
        claims_file(rates(50, 80, n=10), 'test = "best_of"\nof = "T[arm 1].rate"\nbase = "T[arm 0].rate"\ntries = 12'),
        claims_file(rates(50, 80, n=100), 'test = "best_of"\nof = "T[arm 1].rate"\nbase = "T[arm 0].rate"\ntries = 12'),
    ),
    "none of eight called never": (
        "limit",
        "underpowered",
        claims_file(
            rates(0, n=8),
            'test = "limit"\nof = "T.rate"\nmargin = "margin"',
            'margin = { percent = 5, n = "not given" }',
        ),
        claims_file(
            rates(0, n=200),
            'test = "limit"\nof = "T.rate"\nmargin = "margin"',
            'margin = { percent = 5, n = "not given" }',
        ),
    ),
    "no effect claimed where none could be seen": (
        "power",
        "underpowered",
        claims_file(rates(50, 70, n=10), 'test = "power"\nbase = "T[arm 0].rate"\neffect = "T[arm 1].rate"'),
        claims_file(rates(50, 70, n=200), 'test = "power"\nbase = "T[arm 0].rate"\neffect = "T[arm 1].rate"'),
    ),
    "changes both ways": (
        "paired",
        "underpowered",
        claims_file("", 'test = "paired"\ngained = "up"\nlost = "down"', "up = { count = 9 }\ndown = { count = 4 }"),
        claims_file("", 'test = "paired"\ngained = "up"\nlost = "down"', "up = { count = 15 }\ndown = { count = 2 }"),
    ),
    "one condition under two names": (
        "identical",
        "refuted (analytic)",
        claims_file(table(ARMS, [["minus d", "m", -2, 60], ["plus inverted d", "m", -2, 70]], 20), IDENTICAL),
        claims_file(table(ARMS, [["minus d", "m", -2, 60], ["plus d", "m", 2, 70]], 20), IDENTICAL),
    ),
    "a loss that the variance law explains": (
        "variance_law",
        "refuted (analytic)",
        claims_file(amplified([2.0, 2.3452, 3.0, 3.8079, 4.6904]), LAW),  # s_t = 2, s_b² = 6, c = 3.5: the law
        claims_file(amplified([2.0, 2.1, 3.0, 3.1, 3.2]), LAW),
    ),
    "the best of several policies per prompt": (
        "union",
        "artefact",
        claims_file(
            rates(60, 50, 65), 'test = "union"\nof = "all"\nsingles = "T.rate"', "all = { percent = 90, n = 40 }"
        ),
        claims_file(
            rates(60, 50, 65), 'test = "union"\nof = "all"\nsingles = "T.rate"', "all = { percent = 65, n = 40 }"
        ),
    ),
    "a dose-response that turns back": (
        "reversals",
        "inconsistent",
        claims_file(rates(20, 80, 20), 'test = "reversals"\nof = "T.rate"'),
        claims_file(rates(20, 80, 70), 'test = "reversals"\nof = "T.rate"'),  # back, but within chance
    ),
    "a scorer that flags its own prompt": (
        "known_answers",
        "artefact",
        claims_file(
            rates(95),
            'test = "known_answers"\nflagged = "canned"\nlogged = "T.rate"',
            "canned = { count = 40, n = 40 }",
        ),
        claims_file(
            rates(95), 'test = "known_answers"\nflagged = "canned"\nlogged = "T.rate"', "canned = { count = 1, n = 40 }"
        ),
    ),
    "a parameter that is never used": (
        "procedure",
        "artefact",
        claims_file(fact("false"), 'test = "procedure"\nneeds = ["seeded"]'),
        claims_file(fact("true"), 'test = "procedure"\nneeds = ["seeded"]'),
    ),
    "an arm without numbers": (
        "measured",
        "untestable",
        claims_file(
            table(["arm: text", "score: number"], [["ours", 3.5], ["theirs", "-"]]), 'test = "measured"\nof = "T.score"'
        ),
        claims_file(
            table(["arm: text", "score: number"], [["ours", 3.5], ["theirs", 2.5]]), 'test = "measured"\nof = "T.score"'
        ),
    ),
    "a rule through two points": (
        "relation",
        "untestable",
        claims_file(rates(30, 60, 100), 'test = "relation"\npoints = "T.rate"'),
        claims_file(rates(30, 60, 90), 'test = "relation"\npoints = "T.rate"'),
    ),
    "an interval too narrow for its n": (
        "interval",
        "inconsistent",
        claims_file(
            rates(80, n=50), 'test = "interval"\nof = "T.rate"\nlow = "low"\nhigh = "high"', "low = 78\nhigh = 82"
        ),
        claims_file(
            rates(80, n=50), 'test = "interval"\nof = "T.rate"\nlow = "low"\nhigh = "high"', "low = 67\nhigh = 89"
        ),
    ),
    "an SD larger than its scale allows": summary(
        'test = "sd_limit"\nmean = "m"\nsd = "s"\nlow = "a"\nhigh = "b"\nn = 40',
        "m = 4.60\ns = {}\na = 1\nb = 5",
        "1.90",
        "1.10",
    ),
    "a mean that no ratings have": summary(
        'test = "whole_numbers"\nmean = "m"\nn = 20\nsd = "s"', "m = {}\ns = 1.19", "3.44", "3.45"
    ),
    "an SD that no ratings have": summary(
        'test = "whole_numbers"\nmean = "m"\nn = 4\nsd = "s"', "m = 2.50\ns = {}", "1.35", "1.29"
    ),
    "an SD that no outcomes have": summary(
        'test = "binary_sd"\nmean = "m"\nsd = "s"\nn = 200', "m = 0.80\ns = {}", "0.25", "0.40"
    ),
    "an effect size twice too large": summary(
        'test = "cohens_d"\nmeans = ["m", "k"]\nsds = ["s", "t"]\nclaimed = "d"\nn = 40',
        "m = 6.0\nk = 5.0\ns = 2.0\nt = 2.1\nd = {}",
        "0.90",
        "0.49",
    ),
    "a kappa that its table does not give": summary(
        'test = "kappa"\ntable = [["a", "b"], ["c", "e"]]\nclaimed = "k"',
        "a = 40\nb = 10\nc = 5\ne = 45\nk = {}",
        "0.85",
        "0.70",
    ),
}
