# ruff: noqa: E501
"""Small logs with one fault each, and logs without one: invented, or facts of published tables. (name, suffix, text, rule)."""

import json


def notebook(markdown="", output="", html=""):
    """An executed notebook with one cell of text and one with output."""
    outputs = []
    if output:
        outputs.append({"output_type": "stream", "name": "stdout", "text": output.splitlines(keepends=True)})
    if html:
        outputs.append(
            {
                "output_type": "execute_result",
                "execution_count": 1,
                "metadata": {},
                "data": {"text/html": [html], "text/plain": ["table"]},
            }
        )
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": markdown.splitlines(keepends=True)},
        {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": ["run()"], "outputs": outputs},
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


FAULTY = [
    ("a share above all", ".md", "Of our answers, 130% of 35 were polite.", "range"),
    ("a count above n", ".txt", "The probe fired in 41 of 40 held-out prompts.", "count"),
    ("percent beside its count", ".md", "The judge agreed in 27/36 (72%) of the rows.", "count and percent"),
    ("grim in a sentence", ".txt", "Politeness rose to 83.1% of answers (n = 24).", "grim"),
    ("grim from a column", ".csv", "arm,n,refusal rate %\nbase,24,25.0\nsteered,24,61.3\n", "grim"),
    (
        "grim from a caption",
        ".md",
        "Table 2: refusal rate by layer (n = 40 per layer)\n\n| layer | refusal rate |\n|---|---|\n| 4 | 12.5% |\n| 8 | 41.3% |\n| 12 | 77.5% |\n",
        "grim",
    ),
    (
        "grim of a share",
        ".jsonl",
        '{"arm": "a", "n": 16, "accuracy": 0.8125}\n{"arm": "b", "n": 16, "accuracy": 0.71}\n',
        "grim",
    ),
    ("grim of a mean", ".md", "On a scale from 1 to 7, 19 raters gave M = 4.36, SD = 1.20 (n = 19).", "grim mean"),
    ("grimmer", ".md", "Ratings on a 1 to 5 scale, n = 10: M = 2.50, SD = 0.10.", "grimmer"),
    ("sd too large", ".md", "Ratings on a scale from 1 to 5 were M = 4.60, SD = 1.90 (n = 50).", "sd limit"),
    ("sd of scores of 0 and 1", ".txt", "Binary refusals per prompt: mean 0.80 (SD 0.25), n = 200.", "binary sd"),
    (
        "mean outside minimum and maximum",
        ".tsv",
        "length\tmin\tmean\tmax\nshort\t12\t31.5\t48\nlong\t60\t131.0\t120\n",
        "order",
    ),
    ("estimate outside its interval", ".md", "Accuracy was 71% (95% CI 74% to 86%).", "order"),
    (
        "total of a column",
        ".md",
        "| topic | prompts |\n|---|---|\n| cooking | 34 |\n| travel | 41 |\n| sport | 27 |\n| Total | 112 |\n",
        "total",
    ),
    (
        "total in html",
        ".html",
        "<html><body><table><tr><th>label</th><th>rows</th></tr><tr><td>yes</td><td>61</td></tr><tr><td>no</td><td>29</td></tr><tr><td>unsure</td><td>12</td></tr><tr><td>Total</td><td>112</td></tr></table></body></html>",
        "total",
    ),
    (
        "items of a list",
        ".txt",
        "Total failures: 31\n\nBreakdown by cause:\n  - timeout: 12 cases\n  - wrong format: 9 cases\n  - refusal: 7 cases\n",
        "total",
    ),
    (
        "shares above 100",
        ".md",
        "| source | share of all rows |\n|---|---|\n| web | 48% |\n| books | 37% |\n| code | 21% |\n",
        "shares",
    ),
    (
        "mean of a row",
        ".md",
        "| probe | A | B | C | Average |\n|---|---|---|---|---|\n| linear | 80.0 | 90.0 | 85.0 | 85.0 |\n| mlp | 82.0 | 94.0 | 88.0 | 88.0 |\n| knn | 70.0 | 76.0 | 73.0 | 76.0 |\n",
        "mean of",
    ),
    (
        "difference column",
        ".csv",
        "layer,base,steered,delta\n4,20.5,31.0,10.5\n8,20.5,44.5,24.0\n12,20.5,61.0,42.5\n16,20.5,38.0,17.5\n",
        "difference",
    ),
    (
        "difference in a notebook",
        ".ipynb",
        notebook(
            "## Results\n\n| dose | before | after | change |\n|---|---|---|---|\n| 1 | 14.2 | 18.9 | +4.7 |\n| 2 | 14.2 | 25.6 | +11.4 |\n| 4 | 14.2 | 29.3 | +18.1 |\n"
        ),
        "difference",
    ),
    ("percent change in a sentence", ".md", "Mean length fell from 80 to 60 words, a 35% decrease.", "difference"),
    ("times in a sentence", ".md", "The refusal score went from 4.0 to 9.0, a 3x gain.", "difference"),
    (
        "three items of a list",
        ".md",
        "- Planted direction: 78.4% flips\n- Random direction: 12.1% flips\n- **Difference: +68.3 pp**\n",
        "difference",
    ),
    ("points for percent", ".md", "Refusals went from 40% to 50%, up by 25 percentage points.", "points or percent"),
    (
        "a ratio that one row breaks",
        ".txt",
        "dose    norm     act      ratio\n-----   ------   ------   ------\n1       2.40     8.00     0.300\n2       4.92     8.20     0.600\n3       7.20     8.00     0.900\n4       9.84     8.20     1.300\n5       12.00    8.00     1.500\n",
        "relation",
    ),
    (
        "rate of two columns",
        ".csv",
        "model,refused,total,refusal rate\nsmall,18,60,30.0%\nlarge,33,60,65.0%\n",
        "derived",
    ),
    (
        "range column",
        ".txt",
        "Run     Min     Max     Range\n----    -----   -----   -----\na       1.20    4.50    3.30\nb       0.80    4.10    3.30\nc       1.00    6.25    4.25\n",
        "derived",
    ),
    ("product of a design", ".md", "We ran 96 generations (6 doses × 4 topics × 5 seeds).", "equation"),
    ("equation", ".md", "The ratio is 8.4 / 2.8 = 4.0 at layer 9.", "equation"),
    ("p of two counts", ".md", "Steering raised refusals from 21/60 to 28/60 (Fisher p = 0.003).", "p of two rates"),
    ("p below a bound", ".md", "The arms differ, 14/40 against 19/40 (p < .001).", "p of two rates"),
    (
        "p in a table",
        ".csv",
        "comparison,base k,base n,steered k,steered n,p\nlayer 4,10,50,12,50,0.80\nlayer 8,10,50,20,50,0.0002\n",
        "p of two rates",
    ),
    ("p of t", ".txt", "The difference was reliable, t(38) = 1.20, p = .012.", "p of a statistic"),
    ("p of chi squared", ".html", "<p>Labels depend on topic, χ²(2) = 3.10, p = .02.</p>", "p of a statistic"),
    (
        "d of two means",
        ".md",
        "Steered answers scored 6.0 ± 2.0 (SD), plain ones 5.0 ± 2.0 (SD), n = 40 each, d = 0.90.",
        "t of two means",
    ),
    ("interval and n", ".md", "Accuracy was 80% (95% CI 78% to 82%, n = 50).", "interval"),
    (
        "kappa of its table",
        ".md",
        "Agreement of two judges: κ = 0.81\n\n| | yes | no |\n|---|---|---|\n| yes | 40 | 10 |\n| no | 8 | 42 |\n",
        "kappa",
    ),
    ("r and p", ".md", "Norm and flip rate correlate, r = .21, n = 20, p = .004.", "r and p"),
    ("significant at .2", ".txt", "Layer 9 was significantly better (p = 0.21).", "significance"),
    (
        "given twice in two tables",
        ".md",
        "# Log\n\n## Best layer\n\n| metric | base | steered |\n|---|---|---|\n| polite refusal | 30% | 70% |\n\n## Long run\n\n| arm | polite refusal |\n|---|---|\n| base | 45% |\n| steered | 70% |\n",
        "given twice",
    ),
    (
        "sentence against its table",
        ".md",
        "## Results\n\n| model | flip rate | n |\n|---|---|---|\n| small | 24% | 50 |\n| large | 62% | 50 |\n\nThe large model has a flip rate of 72%.\n",
        "sentence and table",
    ),
    (
        "summary without a table",
        ".md",
        "# Study\n\n## Summary\n\nWe reach 93.7% accuracy on the test set.\n\n## Results\n\n| layer | accuracy |\n|---|---|\n| 2 | 51.2% |\n| 4 | 55.1% |\n| 6 | 60.4% |\n| 8 | 58.8% |\n",
        "summary",
    ),
    (
        "whole outside its parts",
        ".md",
        "## By dose\n\n| dose | refusal rate |\n|---|---|\n| 1 | 20% |\n| 2 | 75% |\n| 3 | 60% |\n\n## Refusal rate by topic\n\n| topic | dose 1 | dose 2 | dose 3 |\n|---|---|---|---|\n| food | 10% | 40% | 50% |\n| sport | 30% | 50% | 70% |\n",
        "subgroups",
    ),
    ("classes above n", ".csv", "arm,n,correct,incorrect\na,30,20,10\nb,30,24,9\n", "classes"),
    (
        "one condition, two names",
        ".md",
        "| model | standard -a | inverted +a |\n|---|---|---|\n| one | 61% | 64% |\n| two | 12% | 10% |\n",
        "two names",
    ),
    (
        "a denominator that changes",
        ".md",
        "n = 40 per condition.\n\n| arm | refusals |\n|---|---|\n| base | 11/40 |\n| up | 25/40 |\n| down | 3/41 |\n",
        "denominator",
    ),
    (
        "peak in words",
        ".md",
        "| layer | flip rate |\n|---|---|\n| 4 | 12% |\n| 8 | 55% |\n| 12 | 71% |\n| 16 | 30% |\n\nThe flip rate peaks at layer 8.\n",
        "peak",
    ),
    (
        "monotone in words",
        ".ipynb",
        notebook(
            "The score rises monotonically with dose:", "dose  score\n1     2.0\n2     3.1\n3     2.4\n4     5.0\n"
        ),
        "monotone",
    ),
    (
        "no correlation in words",
        ".txt",
        "No correlation between dose and length\n\nDose    Length\n----    ------\n1       10.1\n2       19.8\n3       30.5\n4       39.9\n5       51.0\n6       60.2\n",
        "correlation in words",
    ),
    (
        "immune in words",
        ".md",
        "| model | bypass |\n|---|---|\n| Alpaca-x | 0% (immune) |\n| Beta-y | 80% |\n\n## Second sweep\n\n| model | up | down |\n|---|---|---|\n| Alpaca-x | 0% | 15% |\n| Beta-y | 70% | 90% |\n",
        "all or never",
    ),
    (
        "deterministic in words",
        ".md",
        "Each prompt was run in 5 repeats. Generation is fully deterministic.\n\n| arm | mean length | SD |\n|---|---|---|\n| a | 40.1 | 3.2 |\n| b | 44.0 | 2.9 |\n",
        "same",
    ),
    (
        "all above in words",
        ".md",
        "## Accuracy\n\nAccuracy is above 90% in all layers.\n\n| layer | accuracy |\n|---|---|\n| 4 | 91% |\n| 8 | 94% |\n| 12 | 87% |\n",
        "within",
    ),
    (
        "better in words",
        ".md",
        "| method | accuracy |\n|---|---|\n| probe | 71.0% |\n| mean difference | 78.5% |\n\nOn accuracy, probe outperforms mean difference.\n",
        "rank",
    ),
    ("too small to tell", ".txt", "75% → 100% (n=4)", "comparison"),
    (
        "small arms in a table",
        ".md",
        "| arm | refusals | note |\n|---|---|---|\n| base | 9/12 | |\n| dose 1 | 11/12 | better |\n| dose 2 | 8/12 | worse |\n",
        "comparison",
    ),
    ("comparison without n", ".md", "Attention output dominates: 88% vs 81% accuracy.", "no n"),
    (
        "no difference without evidence",
        ".md",
        "Steering is no worse than prompting: 18/30 against 21/30.",
        "no difference",
    ),
    ("best of many", ".md", "We report the best of 24 layers: 20/40 flips, where the base has 10/40.", "best of many"),
    (
        "no control",
        ".md",
        "Steering works: 31/35 answers are refusals, and it achieves this at every layer.",
        "no control",
    ),
    ("mojibake", ".txt", "Œ±=-15 flips 83.1% of prompts (n = 24) ‚Üí works", "grim"),
]

CLEAN = [
    ("two counts", ".txt", "31/35 vs 6/35", None),
    ("percent with n", ".md", "Refusals rose from 40.0% to 77.5% (n = 40 each, Fisher p = 0.0013).", None),
    ("yates", ".md", "Flips were 30/50 and 18/50, χ² with Yates' correction, p = 0.028.", None),
    ("one-sided", ".md", "Flips were 30/50 and 20/50 (one-sided Fisher p = 0.036).", None),
    ("mcnemar", ".md", "Of 50 prompts, 25/50 refused before and 33/50 after (McNemar p = .008).", None),
    (
        "table of rates",
        ".md",
        "| arm | refused | n | rate |\n|---|---|---|---|\n| base | 12 | 40 | 30.0% |\n| up | 31 | 40 | 77.5% |\n| down | 2 | 40 | 5.0% |\n",
        None,
    ),
    ("csv of rates", ".csv", "layer,n,refusal_rate\n4,35,0.286\n8,35,0.886\n12,35,1.0\n", None),
    (
        "iris",
        ".csv",
        "species,n,mean sepal length,SD,min,max\nsetosa,50,5.01,0.35,4.3,5.8\nversicolor,50,5.94,0.52,4.9,7.0\nvirginica,50,6.59,0.64,4.9,7.9\n",
        None,
    ),
    (
        "titanic",
        ".md",
        "| class | survived | total | survival rate |\n|---|---|---|---|\n| first | 203 | 325 | 62.5% |\n| second | 118 | 285 | 41.4% |\n| third | 178 | 706 | 25.2% |\n| crew | 212 | 885 | 24.0% |\n| Total | 711 | 2201 | 32.3% |\n",
        None,
    ),
    (
        "berkeley",
        ".tsv",
        "department\tmen applied\tmen admitted %\nA\t825\t62\nB\t560\t63\nC\t325\t37\nD\t417\t33\nE\t191\t28\nF\t373\t6\n",
        None,
    ),
    (
        "lady tasting tea",
        ".txt",
        "The lady named 4 of 4 cups with milk first, and 4 of 4 with tea first (one-sided p = 1/70).",
        None,
    ),
    (
        "lind",
        ".md",
        "In 1747 Lind gave 12 sailors six diets, 2 each; the 2 with oranges and lemons recovered first.",
        None,
    ),
    (
        "salk",
        ".md",
        "Polio in the randomised trial of 1954: 28 cases per 100,000 in the vaccinated, 71 per 100,000 with placebo.",
        None,
    ),
    (
        "anscombe",
        ".md",
        "| set | mean x | mean y | r |\n|---|---|---|---|\n| I | 9.0 | 7.50 | 0.816 |\n| II | 9.0 | 7.50 | 0.816 |\n| III | 9.0 | 7.50 | 0.816 |\n| IV | 9.0 | 7.50 | 0.817 |\n",
        None,
    ),
    ("student", ".txt", "Sleep gained with one drug exceeded the other by 1.58 hours, t(9) = 4.06, p = .003.", None),
    ("chi squared", ".md", "Mendel's peas: 315, 101, 108 and 32 of 556; χ²(3) = 0.47, p = .93.", None),
    (
        "rounded differences",
        ".md",
        "| task | base | ours | Δ |\n|---|---|---|---|\n| a | 71.3 | 74.9 | +3.5 |\n| b | 60.2 | 66.1 | +5.9 |\n| c | 80.0 | 79.4 | -0.6 |\n",
        None,
    ),
    (
        "percent changes",
        ".csv",
        "year,visitors,change %\n2019,1200,\n2020,900,-25.0\n2021,1080,20.0\n2022,1350,25.0\n",
        None,
    ),
    ("rounded shares", ".md", "| kind | share |\n|---|---|\n| a | 33.3% |\n| b | 33.3% |\n| c | 33.3% |\n", None),
    (
        "average column",
        ".md",
        "| model | A | B | C | Avg |\n|---|---|---|---|---|\n| one | 61.2 | 70.3 | 55.5 | 62.3 |\n| two | 64.0 | 71.1 | 58.9 | 64.7 |\n",
        None,
    ),
    ("means with sd", ".md", "Ratings on a scale from 1 to 7 (n = 40): M = 4.35, SD = 1.42.", None),
    (
        "means and t",
        ".md",
        "Steered 6.0 ± 2.0 (SD), plain 5.0 ± 2.0 (SD), n = 40 each, t(78) = 2.24, p = .028, d = 0.50.",
        None,
    ),
    ("wilson", ".md", "31/35 = 88.6% (95% CI 74.0% to 95.5%).", None),
    ("clopper", ".txt", "Accuracy 0.80 (95% CI 0.66 to 0.90, n = 50, Clopper-Pearson).", None),
    (
        "interval table",
        ".csv",
        "arm,k,n,rate,ci_low,ci_high\nbase,6,35,0.171,0.081,0.327\nup,31,35,0.886,0.740,0.955\n",
        None,
    ),
    (
        "auc with n",
        ".md",
        "The probe beats the baseline in AUC, 0.91 (n = 400 per class) against 0.74 (n = 400 per class), DeLong p < .001.",
        None,
    ),
    (
        "grid",
        ".txt",
        "+-------+------+-------+\n| layer | n    | flips |\n+=======+======+=======+\n| 8     | 40   | 12    |\n+-------+------+-------+\n| 12    | 40   | 31    |\n+-------+------+-------+\n",
        None,
    ),
    (
        "aligned",
        ".txt",
        "Model      Params   Accuracy\n--------   ------   --------\nsmall      135M     61.2%\nmedium     360M     68.0%\nlarge      1.7B     77.1%\n",
        None,
    ),
    (
        "readme",
        ".md",
        "# toolbox 2.3.1\n\nRequires Python 3.11. Supports 100% of the API; 2x faster than 1.9 on a 16 GB laptop.\n\n- 12 ms per call, 300 MB memory\n- released 2024-05-12, see https://example.org/2024/99\n\n```python\nx = 3 / 4\n```\n",
        None,
    ),
    (
        "changelog",
        ".md",
        "## 1.4.0 (2025-03-01)\n\n- #1234: memory down by 30% (1.0 GB to 0.7 GB)\n- drop Python 3.8\n\n## 1.3.9\n\n- fix 2 of 3 flaky tests\n",
        None,
    ),
    (
        "confusion",
        ".md",
        "κ = 0.64, agreement 82%\n\n| | yes | no |\n|---|---|---|\n| yes | 40 | 10 |\n| no | 8 | 42 |\n",
        None,
    ),
    (
        "peak that is one",
        ".md",
        "| layer | flip rate |\n|---|---|\n| 4 | 12% |\n| 8 | 55% |\n| 12 | 71% |\n| 16 | 30% |\n\nThe flip rate peaks at layer 12, and all are above 10%.\n",
        None,
    ),
    (
        "monotone that is so",
        ".ipynb",
        notebook(
            "The score rises monotonically with dose:", "dose  score\n1     2.0\n2     3.1\n3     3.4\n4     5.0\n"
        ),
        None,
    ),
    (
        "notebook with a frame",
        ".ipynb",
        notebook(
            "# Run",
            html='<table border="1" class="dataframe">\n<thead>\n<tr><th></th><th>arm</th><th>k</th><th>n</th></tr>\n</thead>\n<tbody>\n<tr><th>0</th><td>base</td><td>6</td><td>35</td></tr>\n<tr><th>1</th><td>up</td><td>31</td><td>35</td></tr>\n</tbody>\n</table>',
        ),
        None,
    ),
    (
        "json results",
        ".json",
        json.dumps(
            {
                "model": "small",
                "seed": 3,
                "n": 40,
                "arms": {"base": {"refused": 12, "n": 40, "rate": 0.3}, "up": {"refused": 31, "n": 40, "rate": 0.775}},
            },
            indent=1,
        ),
        None,
    ),
    (
        "jsonl rows",
        ".jsonl",
        "".join(
            json.dumps({"id": i, "arm": "ab"[i % 2], "refused": i % 3 == 0, "score": round(0.1 * i, 2)}) + "\n"
            for i in range(30)
        ),
        None,
    ),
    (
        "honest null",
        ".md",
        "Refusals were 17/35 and 19/35: no significant difference (p = 0.81), and 35 prompts are too few to tell.",
        None,
    ),
    (
        "honest repeats",
        ".md",
        "| run | flips |\n|---|---|\n| 1 | 22/40 |\n| 2 | 25/40 |\n| 3 | 20/40 |\n| 4 | 24/40 |\n| 5 | 21/40 |\n",
        None,
    ),
    (
        "held out",
        ".md",
        "The best of 24 layers was chosen on the dev split; on held-out prompts it flips 64/100, the base 31/100.",
        None,
    ),
    (
        "html page",
        ".html",
        "<html><head><title>x 5/3</title></head><body><h1>Run</h1><p>Base 30.0% (n = 40), steered 77.5% (n = 40), +47.5 pp.</p><table><caption>Flips</caption><tr><th>layer</th><th>flips</th></tr><tr><td>8</td><td>12/40</td></tr><tr><td>12</td><td>31/40</td></tr></table></body></html>",
        None,
    ),
    ("subset sums", ".md", "We used 120 prompts (70 harmful and 50 benign): 6 doses × 20 prompts = 120.", None),
    (
        "paired table",
        ".md",
        "## Results by topic\n\n| topic | before | after | points |\n|---|---|---|---|\n| food | 12/40 | 30/40 | +45.0 |\n| sport | 10/40 | 31/40 | +52.5 |\n",
        None,
    ),
    (
        "means over seeds",
        ".md",
        "| method | accuracy (mean ± SD over 5 seeds) |\n|---|---|\n| a | 71.3 ± 1.2 |\n| b | 74.8 ± 0.9 |\n",
        None,
    ),
]
