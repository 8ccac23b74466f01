# ruff: noqa: E501
"""What people wrote that the audit once passed over, or once called a fault: the grade and the value that it must have."""

import os
from pathlib import Path

import pytest

import workbench as wb
from workbench.claims.log_reader import read_text
from workbench.claims.rounding import grade_of

ALARMS = ("error", "slip", "weak")
SEEDS = "| seed | refused |\n|---|---|\n| 0 | 14/20 |\n| 1 | 16/20 |\n| 2 | 13/20 |\n"
CLASSES = "| | predicted refuse | predicted comply |\n|---|---|---|\n| refuse | 88 | 12 |\n| comply | 9 | 191 |\n\n"
REPORT = "              precision    recall  f1-score   support\n\n      comply       0.91      0.88      {f}       100\n      refuse       0.90      0.93      0.91       120\n\n    accuracy                           {a}       220\n   macro avg       0.90      0.90      0.90       220\n"
LAYERS = "| layer | refused |\n|---|---|\n| 10 | 20/20 |\n| 12 | 20/20 |\n| 14 | 17/20 |\n"
ARMS = "| arm | refused |\n|---|---|\n| base | 16/30 |\n| steered | 27/30 |\n"

FOUND = [
    ("a count beside its rate", "| arm | refused | rate |\n|---|---|---|\n| base | 9/24 | 37.5% |\n| steered | 20/24 | 87.5% |\n", "derived", 100 * 20 / 24),
    ("a count with n in its head", "| arm | refused (n=40) | rate |\n|---|---|---|\n| base | 30 | 75% |\n| steered | 36 | 95% |\n", "derived", 90),
    ("count (percent)", "| group | n | women |\n|---|---|---|\n| A | 31 | 17 (58.1%) |\n| B | 29 | 15 (51.7%) |\n", "count and percent", 100 * 17 / 31),
    ("p in the next sentence", "Steered: 18/20 refused. Baseline: 11/20 refused (Fisher exact p = 0.002).", "p of two rates", 0.031),
    ("p against the row without one", "| arm | refused | p vs base |\n|---|---|---|\n| base | 11/20 | - |\n| steered | 18/20 | 0.0002 |\n", "p of two rates", 0.031),
    ("n in the sentence before", "We ran 28 prompts per condition. The baseline refused 71.4% and the steered model refused 90.0%.", "grim", 100 * 25 / 28),
    ("n in the words of the caption", "Table 2. Refusal rate on 28 harmful prompts.\n\n| arm | refused |\n|---|---|\n| base | 71.4% |\n| steered | 90.0% |\n", "grim", 100 * 25 / 28),
    ("identical seeds that differ", f"Results are identical across seeds.\n\n{SEEDS}", "same", None),
    ("deterministic runs that differ", "Decoding is deterministic, repeated runs give identical outputs.\n\nRun 1 refused 14/20, run 2 refused 16/20, run 3 refused 13/20.", "same", None),
    ("100% at all layers but one", f"{LAYERS}\nRefusal is 100% at all layers.", "all or never", 85),
    ("a count against its table", f"{ARMS}\nThe base model refused 18/30 prompts.", "sentence and table", 100 * 16 / 30),
    ("a clause against its table", "| arm | refusal rate |\n|---|---|\n| base | 53.3% |\n| steered | 90.0% |\n\nThe base refusal rate is 58.3%; the steered refusal rate is 90.0%.", "sentence and table", 53.3),
    ("a summary against counts", "# Summary\n\nSteering lifts refusal to 96% without loss.\n\n# Results\n\n| arm | refused | n |\n|---|---|---|\n| base | 24 | 50 |\n| steered | 43 | 50 |\n", "summary", None),
    ("shares of a sentence", "Responses split as follows: 42% full refusal, 31% partial compliance, 19% full compliance, and 14% incoherent.", "shares", 106),
    ("parts of a sentence", "Of the 200 responses 84 were refusals, 62 partial, 38 compliant and 30 incoherent.", "total", 214),
    ("SD of 0/1 scores in the next sentence", "Accuracy is scored 0/1 per item. Over n = 100 items the mean was 0.80 with SD 0.25.", "binary sd", 0.4),
    ("SD of 0/1 scores in a table", "| arm | n | accuracy | SD |\n|---|---|---|---|\n| base | 50 | 0.60 | 0.49 |\n| tuned | 50 | 0.80 | 0.25 |\n\nEach item is scored 0 or 1.", "binary sd", 0.4),
    ("the best of those that were tried", "We tried 120 configurations and report the best: 17/20 refused.", "best of many", None),
    ("an effect in the next sentence", "With the vector added, 9 of 10 harmful prompts were refused. This shows that the direction causes refusal.", "no control", None),
    ("another denominator in a sentence", "N = 40 prompts in every condition.\n\nbase 21/40, +1.0 30/40, +2.0 33/36.", "denominator", None),
    ("χ² has no sides", "Labels depend on topic, χ²(1, N = 120) = 3.21, p < .05.", "p of a statistic", 0.073),
    ("n of the count to the left", "| dose | harmful refused | rate | n harmless |\n|---|---|---|---|\n| 1 | 35/48 | 72.9% | 24 |\n| 2 | 44/48 | 93.7% | 24 |\n", "derived", 100 * 44 / 48),
    ("31 (78.5%) with n in its sentence", "Results (N = 40): refused 31 (78.5%), complied 9 (22.5%).", "count and percent", 77.5),
    ("a count (percent) of the n in brackets", "On the held-out split (n=412) it agrees with our annotators on 371 items (92.3%).", "count and percent", 90.05),
    ("n (%) without a sign", "| drug | responders n (%) | n |\n|---|---|---|\n| A | 24 (60.0) | 40 |\n| placebo | 13 (35.5) | 40 |\n", "count and percent", 32.5),
    ("of 100 patients, 34", "Of 100 controls, 34 accepted; of 100 treated, 55 accepted, χ²(1, N = 200) = 3.85, p = .050.", "p of two rates", 8.93),
    ("counts and percentages in LaTeX", "Of $n = 96$ prompts, 52 (54.2\\%) were refused with steering and 31 (32.3\\%) without (Fisher, $p = 0.04$).", "p of two rates", 0.0034),
    ("a comma for a point", "Von 120 Antworten waren 87 (75,2 %) korrekt.", "count and percent", None),
    ("n in words near a table", "Results after 3 epochs (200 test items)\n\n  model         correct    acc %\n  small             132     66.0\n  medium            151     78.5\n  large             169     84.5\n", "derived", 75.5),
    ("a change against the marked row", "| arm | acc | rel. change |\n|---|---|---|\n| base | 50.0 | - |\n| a | 60.0 | +20% |\n| b | 55.0 | +15% |\n", "difference", 10),
    ("points against the marked row", "| arm | acc | Δ |\n|---|---|---|\n| base | 75.0% | — |\n| steer | 87.5% | +10.5 |\n", "difference", 12.5),
    ("a speedup", "| method | time | speedup |\n|---|---|---|\n| naive | 120 | 1.0x |\n| ours | 40 | 4.0x |\n", "difference", 3),
    ("points between two rates", "Arm A 18/63 (28.6%), arm B 9/61 (14.8%), difference 18.8 points.", "difference", -13.8),
    ("points between two rows", "| method | CIFAR-10 |\n|---|---|\n| ERM | 94.1 ± 0.2 |\n| Ours | 95.6 ± 0.2 |\n\nOurs improves over ERM by 2.5 points on CIFAR-10.", "sentence and table", None),
    ("χ² of a table", "| | yes | no |\n|---|---|---|\n| A | 30 | 10 |\n| B | 20 | 20 |\n\nχ²(1) = 9.33, p = .002.", "p of two rates", 5.33),
    ("McNemar of a table", "| | base refused | base complied |\n|---|---|---|\n| steered refused | 20 | 12 |\n| steered complied | 2 | 6 |\n\nMcNemar p = 0.21", "p of two rates", 0.0129),
    ("McNemar of two counts", "On the same 100 prompts, 21 were refused only with steering and 6 only without (exact McNemar p = 0.06).", "p of two rates", 0.0059),
    ("accuracy of a confusion table", CLASSES + "Accuracy 0.960, precision 0.907, recall 0.880.", "confusion", 0.93),
    ("precision of a confusion table", CLASSES + "Accuracy 0.930, precision 0.937, recall 0.880.", "confusion", None),
    ("F1 in a report of scikit-learn", REPORT.format(f="0.96", a="0.90"), "derived", 0.895),
    ("accuracy in a report of scikit-learn", REPORT.format(f="0.89", a="0.97"), "confusion", 0.907),
    ("t of a mean of differences", "Paired differences (n = 24): M = 0.91, SD = 2.00, t(23) = 3.23, p = .004.", "t of two means", 2.23),
    ("d of a mean of differences", "Paired differences (n = 24): M = 0.91, SD = 2.00, t(23) = 2.23, p = .036, d = 0.85.", "t of two means", 0.455),
    ("t of a slope", "| term | β | SE | t |\n|---|---|---|---|\n| a | 1.204 | 0.311 | 3.87 |\n| b | 0.482 | 0.095 | 3.07 |\n| c | -0.037 | 0.041 | -0.90 |\n", "derived", 5.07),
    ("SE of a share", "Accuracy was 0.640 (SE 0.012, n = 250).", "interval", 0.0304),
    ("perplexity of a loss", "| model | loss | perplexity |\n|---|---|---|\n| s | 3.21 | 24.8 |\n| m | 2.87 | 27.6 |\n| l | 2.55 | 12.8 |\n", "derived", 17.6),
    ("wins of three outcomes", "| vs | win | tie | loss | win rate |\n|---|---|---|---|---|\n| A | 61 | 14 | 45 | 50.8% |\n| B | 72 | 9 | 39 | 66.7% |\n| C | 38 | 20 | 62 | 31.7% |\n", "derived", 60),
    ("a median outside its quartiles", "Length: median 162 tokens (IQR 84–151), range 12–512.", "order", None),
    ("a scale with its ends named", "Participants (N = 40) rated fairness from 1 (not at all) to 7 (very); M = 6.9, SD = 1.2.", "sd limit", 0.95),
    ("outcomes of a row beyond n", "| arm | refused | complied | other | n |\n|---|---|---|---|---|\n| base | 20 | 15 | 5 | 40 |\n| +1 | 31 | 6 | 5 | 40 |\n| +2 | 30 | 5 | 5 | 40 |\n", "total", 42),
    ("shares of a row beyond 100", "| arm | refused % | complied % | other % |\n|---|---|---|---|\n| base | 50.0 | 37.5 | 12.5 |\n| +1 | 77.5 | 20.0 | 12.5 |\n| +2 | 60.0 | 30.0 | 10.0 |\n", "shares", 110),
    ("a table in LaTeX", "\\section{Results}\n\\begin{tabular}{lrr}\n\\toprule\nModel & Correct & Accuracy (\\%) \\\\\n\\midrule\nOurs & 83/96 & \\textbf{96.5} \\\\\nBase & 52/96 & 54.2 \\\\\n\\bottomrule\n\\end{tabular}\n", "derived", 86.46),
    ("an amount of a bill", "| item | hours | rate ($/h) | cost ($) |\n|---|---|---|---|\n| A100 | 12.5 | 1.80 | 22.50 |\n| H100 | 4.0 | 3.20 | 14.80 |\n| T4 | 30.0 | 0.40 | 12.00 |\n", "relation", 12.8),
    ("a mean of whole numbers without an SD", "Ratings: mean 2.37 (n = 10 integer ratings).", "grim mean", 2.4),
    ("a mean of Likert ratings before its n", "On a 5-point Likert scale, M = 3.47 (n = 20).", "grim mean", 3.45),
    ("the interval of a count", "The 95% interval of 30/60 is [48%, 52%].", "interval", 37.7),
    ("an interval that is called no more than so", "Steered: 30/60 refused (95% interval 48% to 52%).", "interval", 37.7),
    ("shares with a plus between", "The three classes hold 40 + 35 + 35% of the answers.", "shares", 110),
    ("shares of one whole", "Shares of one whole: 40%, 35% and 35%.", "shares", 110),
    ("outcomes that exclude one another", "Outcomes were refusal 40%, partial 35% and compliance 35%.", "shares", 110),
    ("shares of which one has its sign", "The shares are 40, 35 and 35%.", "shares", 110),
    ("outcomes with their shares", "Refused 40%, partial 35%, complied 35%.", "shares", 110),
    ("refused in every arm, with n in its own column", "| arm | refused | n |\n|---|---|---|\n| a | 20 | 20 |\n| b | 17 | 20 |\n\nEvery prompt was refused in every arm.", "all or never", 85),
    ("d of a table without labels", "| M1 | SD1 | M2 | SD2 | d |\n|---|---|---|---|---|\n| 5.0 | 2.0 | 4.0 | 2.0 | 0.90 |\n", "t of two means", 0.5),
    ("shares in a list", "These are the shares of one whole:\n\n- refusal: 40%\n- partial: 35%\n- compliance: 35%\n", "shares", 110),
    ("refused in every arm but one", "| arm | refused |\n|---|---|\n| base | 20/20 |\n| steered | 17/20 |\n\nPrompts were refused in every arm.", "all or never", 85),
    ("always refused, but for one arm", "| arm | refused |\n|---|---|\n| base | 100% |\n| steered | 85% |\n\nThe model always refuses.", "all or never", 85),
    ("a spread that 0/1 scores cannot have", "The 0/1 score is .50 +- .81.", "sd limit", 0.707),
    ("a spread that 0/1 scores in a table cannot have", "| arm | refused (0/1) |\n|---|---|\n| base | .50 +- .81 |\n| steered | .75 +- .43 |\n", "sd limit", 0.707),
    ("a spread that a rate cannot have", "The refusal rate was 0.50 ± 0.81 (SD, n = 40).", "sd limit", 0.506),
    ("d of M1, SD1, M2 and SD2", "M1 = 5.0, SD1 = 2.0, M2 = 4.0, SD2 = 2.0, d = 0.9.", "t of two means", 0.5),
    ("d of means and SDs in another order", "With M_1=5.0, M_2=4.0, SD_1=2.0, SD_2=2.0 Cohen's d is 0.5 and p = .50 (n1 = 40, n2 = 40).", "t of two means", 0.028),
    ("points in the next sentence", "Adding it lifts refusal from 55.0% to 91.7%. That is a gain of 37.7 points, or 1.67 times the baseline.", "difference", 36.7),
    ("d of columns with numbers", "| item | M1 | SD1 | M2 | SD2 | d |\n|---|---|---|---|---|---|\n| a | 5.0 | 2.0 | 4.0 | 2.0 | 0.90 |\n", "t of two means", 0.5),
    ("a negative p-value", "We found p = -0.03 for the interaction.", "range", None),
    ("an F1 above 1", "F1 = 1.07 on the held-out set.", "range", 1.07),
    ("a cosine above 1 under a longer head", "| layer | cosine with d12 |\n|---|---|\n| 4 | 0.31 |\n| 8 | 1.21 |\n", "range", None),
    ("a count of none", "31/0 prompts were refused.", "count", None),
    ("a count of none beside others", "| arm | refused |\n|---|---|\n| base | 6/35 |\n| +1 | 31/0 |\n", "count", None),
    ("more of the 50 than 50", "The judge flagged 53 of the 50 responses.", "count", None),
    ("out of 30 prompts, 33", "Out of 30 prompts, 33 were refused after steering.", "count", None),
    ("a mean of ratings by raters in words", "Coherence was rated from 1 to 5 by 12 raters; the mean was 3.47.", "grim mean", 3.5),
    ("an SD behind 'the mean score was'", "On a scale of 0 to 10, the mean score was 9.2 with SD 4.1 (n = 30).", "sd limit", 2.84),
    ("'and the SD' of 0/1 scores", "Each answer is scored 0 or 1. The mean was 0.50 and the SD 0.20 (n = 80).", "binary sd", 0.5),
    ("an SD beyond minimum and maximum in words", "min 2, max 6, mean 4.0, SD 3.5 over n=20 runs", "sd limit", 2.05),
    ("quantiles out of order in words", "p50 = 210 ms, p95 = 190 ms, p99 = 480 ms", "order", None),
    ("labels that an answer has one of", "The labels were 55% refusal, 32% compliance, 21% off topic.", "shares", 108),
    ("a label column and its share of responses", "| outcome | % of responses |\n|---|---|\n| refusal | 41.0 |\n| compliance | 37.5 |\n| partial | 12.0 |\n| collapse | 15.5 |\n", "shares", 106),
    ("the average of a list", "Seeds gave 71.0, 75.0 and 73.0; the average is 74.5.", "mean of", 73),
    ("the mean of a list", "The mean of the three layers (12%, 20%, 31%) is 25%.", "mean of", 21),
    ("a mean by the n in the heads", "| model | en (n=100) | de (n=40) | weighted avg |\n|---|---|---|---|\n| small | 60.0 | 50.0 | 57.1 |\n| large | 80.0 | 70.0 | 79.1 |\n", "mean of", 77.14),
    ("κ of what two raters are said to do", "Both raters said yes 30 times, both no 50 times, only A yes 12, only B yes 8. Kappa = 0.79.", "kappa", 0.58),
    ("a recap against the only table before it", "## Exp 1\n\n| arm | refusal rate |\n|---|---|\n| base | 22% |\n| steered | 71% |\n\n## Recap\n\n| arm | refusal rate |\n|---|---|\n| base | 22% |\n| steered | 77% |\n", "given twice", 77),
    ("better than all others", "| model | score |\n|---|---|\n| ours | 71.2 |\n| CAA | 74.0 |\n| ITI | 69.5 |\n\nOurs outperforms all other methods.\n", "rank", 71.2),
    ("ppl below a bound at all doses", "| dose | ppl |\n|---|---|\n| 0 | 12.1 |\n| 1 | 12.9 |\n| 2 | 17.4 |\n\nPerplexity stays below 15 at all doses.\n", "within", 17.4),
    ("one product in two rows", "| direction | refusal |\n|---|---|\n| -1 · d | 12% |\n| +1 · (-d) | 19% |\n", "two names", None),
    ("adding the vector, without a baseline", "After adding the vector, 18 of 20 prompts were refused, so the vector induces refusal.", "no control", None),
    ("the caption's n and percent", "**Table 1.** Refusal rate (%) on the 45 held-out harmful prompts.\n\n| layer | refusal |\n|---|---|\n| 8 | 15.6 |\n| 12 | 62.2 |\n| 16 | 84.2 |\n| 20 | 71.1 |\n", "grim", 100 * 38 / 45),
    ("an area outside its interval by one unit", "The probe reaches AUROC 0.87 (95% CI 0.88–0.93).", "order", None),
    ("'an increase of 20%' of two percentages", "With n = 100 prompts per arm, refusal rose from 40% to 60%, an increase of 20%.", "points or percent", 50),
    ("means of two sentences, d in the third", "Steered: M = 3.80, SD = 0.90, n = 40. Unsteered: M = 3.10, SD = 1.10, n = 40. Cohen's d = 1.12.", "t of two means", 0.70),
    ("the best of what the sentence before swept", "We swept 32 layers and 5 strengths. The best cell (layer 14, α = 8) refused 17 of 20 prompts against 14 of 20 at baseline.", "best of many", None),
    ("a direction that mediates", "After ablating the refusal direction, 18/20 jailbreak prompts were answered. Hence the direction mediates refusal.", "no control", None),
    ("± on a scale that the text names", "Coherence was rated from 1 to 5 (n = 30 texts).\n\n+-----------+---------------+\n| arm       | coherence     |\n+===========+===============+\n| baseline  | 4.63 ± 0.56   |\n+-----------+---------------+\n| steered   | 4.90 ± 1.30   |\n+-----------+---------------+\n", "sd limit", None),
    ("p < .001 of a rank correlation", "Spearman's ρ = 0.42 between layer depth and separation (n = 12 layers, p < .001).", "r and p", None),
    ("did not differ significantly at p = .008", "The random control did not differ significantly from baseline (χ²(1) = 7.1, p = .008).", "significance", None),
    ("parts at settings", "We collected 240 completions: 96 at layer 8, 72 at layer 12 and 70 at layer 16.", "total", 238),
    ("two thirds in words", "Two thirds of the prompts (24 of 48) were refused.", "count and percent", 50),
    ("more than half in words", "More than half of the borderline prompts (11 of 24) were refused.", "count and percent", 45.8),
    ("exactly half in words", "Exactly half of the completions (37 of 80) were coherent.", "count and percent", 46.25),
    ("a whole outside its parts in brackets", "Overall, 72% of requests were refused (cyber 55%, bio 61%, fraud 68%).", "subgroups", 72),
    ("never from a dose on", "The model never complies once α ≥ 2.\n\n| α | complied | n |\n|---|---|---|\n| 0 | 14 | 20 |\n| 1 | 6 | 20 |\n| 2 | 1 | 20 |\n| 3 | 0 | 20 |\n", "all or never", None),
    ("a list of labels of which each response has one", "### What the model does\n\n- refusal: 46 %\n- deflection: 22 %\n- compliance: 29 %\n- gibberish: 11 %\n\nEach response has exactly one label.", "shares", 108),
    ("the SD of the seeds of a row", "| layer | seed 1 | seed 2 | seed 3 | mean | SD |\n|---|---|---|---|---|---|\n| 8 | 0.62 | 0.66 | 0.70 | 0.66 | 0.04 |\n| 12 | 0.71 | 0.80 | 0.77 | 0.76 | 0.05 |\n| 16 | 0.55 | 0.58 | 0.52 | 0.55 | 0.13 |\n", "derived", 0.03),
    ("the SE of an SD and n", "Mean coherence was 3.42 (SD = 1.20, n = 64, SE = 0.30).", "sd limit", 0.15),
    ("κ of two agreements", "Observed agreement was 0.86 and expected agreement 0.52, so κ = 0.79.", "kappa", 0.708),
    ("one column above another at every row but one", "The learned direction beats the random control at every layer.\n\n| layer | learned | random |\n|---|---|---|\n| 8 | 31% | 12% |\n| 12 | 55% | 14% |\n| 16 | 10% | 15% |\n| 20 | 61% | 11% |\n", "rank", None),
    ("the largest gain of another row", "| layer | baseline | steered | gain |\n|---|---|---|---|\n| 8 | 30% | 36% | +6 |\n| 12 | 30% | 41% | +11 |\n| 16 | 30% | 48% | +18 |\n| 20 | 30% | 54% | +24 |\n\nThe largest gain (+18 points) is at layer 16.", "peak", 24),
    ("tokens per second", "The engine wrote 1,200 tokens in 40 s (45 tokens/s).", "derived", 30),
    ("a count (percent) whose n fits the rest of its list", "- Harmful prompts: 52 in total\n- refused without steering: 31 (59.6%)\n- refused with steering: 47 (93.4%)\n", "count and percent", 90.4),
    ("two outcomes that make 100% in all rows but one", "| cond | refusal | compliance |\n|---|---|---|\n| base | 62% | 38% |\n| +v | 91% | 9% |\n| −v | 12% | 98% |\n", "shares", 110),
    ("a rate that is called ASR", "We sampled 25 prompts per arm.\n\n| arm | ASR |\n|---|---|\n| none | 16% |\n| prefix | 58% |\n| suffix | 72% |\n", "grim", None),
    ("a power of ten with raised digits", "The correlation is significant (r = 0.15, n = 30, p = 3 × 10⁻⁴).", "r and p", None),
    ("the n behind a rate, another before it", "We trained the probe on 60 prompts, and it is 97.5% accurate on 20 held-out prompts.", "grim", 95),
    ("the n ahead of a rate, another between", "On 20 held-out prompts the probe (trained on 60 prompts) is 97.5% accurate.", "grim", 95),
    ("the n in brackets behind a rate", "The probe has 97.5% accuracy (20 held-out prompts); 60 prompts were used for training.", "grim", 95),
    ("the n in brackets ahead of a rate", "Held-out accuracy (20 prompts) is 97.5%; the probe saw 60 prompts.", "grim", 95),
    ("a rate and its n in two phrases of a list", "On 60 training prompts accuracy reaches 100%, on 20 held-out prompts 97.5%.", "grim", 95),
    ("rates on two sets, each with its n", "The refusal rate is 97.5% on 40 harmful prompts and 12.5% on 60 harmless prompts.", "grim", 100 * 7 / 60),
    ("rates and their n in two lists", "Accuracy is 95.0% and 87.5% on 20 and 60 prompts.", "grim", 100 * 52 / 60),
    ("an n that something was trained on", "Trained on n = 40 prompts, the probe is 97.5% accurate on 20 held-out prompts.", "grim", 95),
    ("a set that is called a training set", "With 60 training prompts and 20 held-out prompts, the probe is 97.5% accurate.", "grim", 95),
    ("two n, and a rate that is a count of none", "We used 60 prompts and 20 other prompts; the probe is 97.5% accurate.", "grim", None),
    ("n in words in the name of a column", "| probe | accuracy on 20 held-out prompts |\n|---|---|\n| A | 97.5% |\n| B | 95.0% |\n\nTrained on 60 prompts.", "grim", 95),
    ("n in words in the name of a row", "| split | accuracy |\n|---|---|\n| train (60 prompts) | 98.3% |\n| held-out (20 prompts) | 97.5% |\n", "grim", 95),
    ("n in the words of a cell", "| probe | result |\n|---|---|\n| A | 97.5% on 20 held-out prompts, trained on 60 prompts |\n| B | 95.0% on 20 held-out prompts |\n", "grim", 95),
    ("a training set and another below a table", "| probe | accuracy |\n|---|---|\n| A | 97.5% |\n| B | 95.0% |\n\nProbes were trained on 60 prompts and tested on 20 held-out prompts.", "grim", 95),
    ("two n in a title, and a rate that is a count of none", "Accuracy on 60 prompts and 20 other prompts.\n\n| probe | accuracy |\n|---|---|\n| A | 97.5% |\n| B | 95.0% |\n", "grim", None),
]  # fmt: skip

LEFT_ALONE = [
    ("a mean that whole numbers can have", "Ratings: mean 2.40 (n = 10 integer ratings)."),
    ("a mean of what was measured", "The mean was 2.37 (n = 10 runs), in seconds. Mean 2.37 s (n = 10 trials)."),
    ("a mean of ratings that are means", "The mean rating over raters was 2.37 (n = 10 items, each the average of 3 raters)."),
    ("a mean of fewer numbers than its places show", "Mean rating 2.37 (n = 120 ratings)."),
    ("an interval by Wilson", "The 95% interval of 30/60 is [37.7%, 62.3%]."),
    ("an interval by Clopper and Pearson", "The 95% interval of 30/60 is [36.8%, 63.2%]."),
    ("an interval by the normal distribution", "The 95% interval of 30/60 is 37% to 63%; the 90% interval of 30/60 is [39%, 61%]."),
    ("an interval of Agresti and Coull, and of Jeffreys", "The 95% interval of 18/20 was [68.7%, 98.4%]. The 95% interval of 3/60 was [1.4%, 12.7%]."),
    ("an interval of something else", "The 95% interval of the difference between 30/60 and 31/60 is [-19, 16] points. The 95% interval of layer 12 is [48%, 52%]."),
    ("shares with a plus that are rounded", "The classes hold 33 + 33 + 33% of the answers, or 40 + 35 + 25%."),
    ("increments with a plus", "Prices rose by 10 + 15 + 20% and 5% + 3%. Doses: 40 + 35 + 35 mg. 2 + 2 = 4. Weights 40+35+35."),
    ("rates of three arms", "The three arms refused 40%, 35% and 35%. Outcomes differed: refusal was 40%, 35% and 35% at layers 4, 8 and 12."),
    ("refused in every arm", "| arm | refused |\n|---|---|\n| base | 20/20 |\n| steered | 20/20 |\n\nPrompts were refused in every arm."),
    ("some were refused in every arm", "| arm | refused |\n|---|---|\n| base | 20/20 |\n| steered | 17/20 |\n\nSome prompts were refused in every arm. Refusals occurred in every arm. The refused prompts were counted in every arm."),
    ("a table without what is said of every arm", "| arm | accuracy |\n|---|---|\n| base | 20/20 |\n| steered | 17/20 |\n\nGreedy decoding was used in every arm, and it always stops at 64 tokens."),
    ("an SD that 0/1 scores can have", "The 0/1 score is .50 +- .50. The binary score was 0.80 ± 0.40."),
    ("an SD of what is no share", "The loss was 0.50 ± 0.81. The change in accuracy was 0.50 ± 0.81. The logit of success is 0.5 +- 0.8."),
    ("d by the pooled SD", "M1 = 5.0, SD1 = 2.0, M2 = 4.0, SD2 = 3.0, n1 = 20, n2 = 40, d = 0.37."),
    ("d by the mean of the variances, the first SD and the second", "M1 = 5.0, SD1 = 2.0, M2 = 4.0, SD2 = 3.0, d = 0.39. M1 = 5.0, SD1 = 2.0, M2 = 4.0, SD2 = 3.0, d = 0.50.  M1 = 5.0, SD1 = 2.0, M2 = 4.0, SD2 = 3.0, d = 0.33."),
    ("Hedges' g", "M1 = 5.0, SD1 = 2.0, n1 = 10, M2 = 4.0, SD2 = 2.0, n2 = 10, g = 0.48; Hedges' g = 0.48."),
    ("points in the next sentence that fit", "Adding it lifts refusal from 55.0% to 91.7%. That is a gain of 36.7 points."),
    ("points in the next sentence that are another's", "Adding it lifts refusal from 55.0% to 91.7%. That is 35.0 points more than the random control. Accuracy fell from 81% to 79%. This is a loss of 5.1 points on average over all sets."),
    ("two counts in a cell", "| by hand | refusal | compliance |\n|---|---|---|\n| refusal | 116 / 87 | 1 / 0 |\n| compliance | 6 / 1 | 147 / 49 |\n"),
    ("shares of which one is in few rows", "| arm | refused % | complied % | other % | empty % |\n|---|---|---|---|---|\n| base | 50.0 | 37.5 | 12.5 | |\n| +1 | 70.0 | 20.0 | 10.0 | |\n| +2 | 60.0 | 30.0 | 10.0 | |\n| +3 | 60.0 | 20.0 | 10.0 | 10.0 |\n| +4 | 60.0 | 30.0 | 10.0 | |\n"),
    ("outcomes with their shares that fit", "Refused 40%, partial 35%, complied 25%. The shares are 40, 35 and 25%. Refused 40%, partial 20%, complied 35%."),
    ("shares of others", "The model has a share of 40%. Its shares at layers 4, 8 and 12 are 40%, 35% and 35%."),
    ("refused in every arm, with n in its own column", "| arm | refused | n |\n|---|---|---|\n| a | 20 | 20 |\n| b | 20 | 20 |\n\nEvery prompt was refused in every arm."),
    ("names that have a number", "On the M1 with 16 GB it took 5.0 s, on the M2 4.0 s; d = 0.9. SD1 and SD2 are cards."),
    ("a count or a rate of errors", "3 of 40 or 5% error rate. We allow 3 of 40 or 5% error rate."),
    ("an interval of a difference", "The difference was 21.7 percentage points (95% CI 4.5 to 38.9): 31/60 versus 18/60."),
    ("an interval of an effect", "The vaccine was 95% effective: 8 of 18,198 vaccinated participants against 162 of 18,325 in the placebo group had Covid-19 (95% credible interval, 90.3 to 97.6)."),
    ("an interval that goes below 0", "Accuracy fell by 12.5 points (from 87.5 to 75.0), 95% CI [-29, 5]."),
    ("intervals in brackets of their own", "14 of 40 (35%; 95% CI 22–50) vs 30 of 40 (75%; 95% CI 60–86): difference 40 points (95% CI 18–57), p < .001."),
    ("counts and percentages in a list", "2/7 = 28.6%, 5/7 = 71.4%, 3/7 = 42.9%."),
    ("percentages behind arrows", "14/40 → 35%; 30/40 → 75%."),
    ("ratios that are no counts", "Split 80/10/10. Ratio 60/40. Vision 20/20. BP 120/80."),
    ("readings against a limit", "Load 30/32 GB; power 350/300 W; fan 90/80 °C; latency 210/200 ms; disk 31/32 GB."),
    ("a bar of progress", "Epoch 1/3: 100%|████| 120/120 [00:10<00:00, 11.5it/s, loss=1.2]"),
    ("summands that were rounded", "33% + 33% + 33% = 100% (rounded)"),
    ("a scale of another measure", "A 5-point scale was used for fluency: 4.2 ± 0.7.\n\n| model | perplexity (mean ± SD) |\n|---|---|\n| a | 14.2 ± 3.1 |\n| b | 15.0 ± 2.9 |\n"),
    ("a count (percent) with its n", "| group | n | women | men |\n|---|---|---|---|\n| A | 31 | 17 (54.8%) | 14 (45.2%) |\n| B | 29 | 15 (51.7%) | 14 (48.3%) |\n| all | 60 | 32 (53.3%) | 28 (46.7%) |\n"),
    ("a report of scikit-learn", "| | precision | recall | F1 | support |\n|---|---|---|---|---|\n| class 0 | 0.83 | 0.91 | 0.87 | 110 |\n| class 1 | 0.88 | 0.78 | 0.83 | 90 |\n| accuracy | | | 0.85 | 200 |\n| macro avg | 0.86 | 0.84 | 0.85 | 200 |\n| weighted avg | 0.85 | 0.85 | 0.85 | 200 |\n"),
    ("a peak of another column", "| epoch | train_loss | val_acc |\n|---|---|---|\n| 1 | 2.104 | 0.412 |\n| 2 | 1.873 | 0.488 |\n| 3 | 1.611 | 0.521 |\n| 4 | 1.540 | 0.518 |\n\nValidation accuracy peaks at epoch 3 (0.521), while training loss falls."),
    ("a binomial p of one rate", "Human raters preferred ours in 55% of 400 comparisons (220 of 400; binomial p = 0.05)."),
    ("pass@k is an estimate", "pass@10 is 46.8% on HumanEval (164 problems)."),
    ("a number of processes", "p = 4 processes and rank r = 8 were used."),
    ("a minimum of one thing, a mean of another", "| α | Min | Max | Range | Mean length |\n|---|---|---|---|---|\n| 0.1 | 1.20 | 14.63 | 13.43 | 449.8 |\n| 0.3 | 1.10 | 15.33 | 14.23 | 468.7 |\n"),
    ("a part of a part", "We asked 412 people; 380 answered, of whom 342 (90.0%) agreed and 38 (10.0%) did not."),
    ("numbers that are ranks", "The top 5 (83.4%) and top 10 (91.2%) accuracies are on ImageNet (n = 50000)."),
    ("changes against the row before", "| stage | samples | Δ |\n|---|---|---|\n| raw | 1000 | |\n| deduplicated | 800 | -200 |\n| filtered | 640 | -160 |\n"),
    ("mean (SD) of whole numbers", "| group | time (%) | n |\n|---|---|---|\n| A | 24 (3) | 40 |\n| B | 13 (2) | 40 |\n"),
    ("one row with fewer units", "| arm | refused | complied | other | n |\n|---|---|---|---|---|\n| base | 10 | 28 | 2 | 40 |\n| +1 | 31 | 7 | 2 | 40 |\n| +2 | 36 | 1 | 2 | 39 |\n"),
    ("rates that are no shares", "| arm | harmful % | benign % | borderline % |\n|---|---|---|---|\n| base | 40 | 10 | 50 |\n| A | 60 | 12 | 28 |\n| B | 80 | 20 | 45 |\n| C | 90 | 25 | 70 |\n"),
    ("a power of 80%", "With 35 prompts per arm we can detect a rise from 20% to 54% with a power of 80% (two-sided α = 0.05)."),
    ("changes of two pairs", "Latency fell from 220 ms to 143 ms (a 35% reduction), throughput rose from 410 to 640 req/s (+56%), and p99 went from 1.9 s to 1.1 s."),
    ("an interval by bootstrap", "Mean reward improved from 0.412 (95% bootstrap CI [0.381, 0.444]) to 0.533 [0.498, 0.569] over 300 episodes."),
    ("a difference with its interval", "Refusal was 402/1000 with and 398/1000 without the direction (difference 0.4 pp, 95% CI -3.9 to 4.7)."),
    ("other Greek letters", "The condition number is κ = 12.3, the radius r = 2.5, and α = 0.05."),
    ("decimal commas", "Die Genauigkeit stieg von 71,2 % auf 74,5 % (p < 0,05), bei 1.200 Testfällen; die Laufzeit sank um 12,5 %."),
    ("ranges and thousands with commas", "Scores lie in [0,1] or [0,10]; of 12,480 texts 3,120 (25%) are French, at layers 0,1 and 2."),
    ("a confusion table that fits", CLASSES + "Accuracy 0.930, precision 0.907, recall 0.880."),
    ("a report of scikit-learn as printed", REPORT.format(f="0.89", a="0.91")),
    ("scores of players", "| player | wins | draws | losses | score |\n|---|---|---|---|---|\n| A | 10 | 4 | 6 | 12.0 |\n| B | 6 | 4 | 10 | 8.0 |\n"),
    ("words of any length", "x" * 100_000 + " 31/35"),
    ("more decimals than a float has", "The step is 0.1234567890123456789 and p = 0.5000000000000000278."),
    ("codes of HTTP", "http: close connection on 304/204 responses with chunked encoding."),
    ("numbers of any length", "9" * 5000 + " of 40"),
    ("F1 in percent, and readings", "F1 = 88.2. Accuracy of 1.2 mm, precision 1.05 mm, recall 1.00."),
    ("passed and failed", "Tests passed/failed: 31/0. W/L 12/0 at 3/5."),
    ("of the tokens", "Of 30 prompts, 120 tokens each were kept. We use 3 of the 5 seeds."),
    ("a scale of several items", "The Big Five scale (10 items, 1-5) gave M = 3.47, SD = 0.61 (n = 15)."),
    ("quantiles in two units", "p50 = 900 ms, p95 = 1.2 s, p99 = 4.1 s. The median was 41 (IQR 35-48)."),
    ("several may be chosen", "| language | % of respondents |\n|---|---|\n| Python | 71 |\n| R | 44 |\n| Julia | 30 |\n"),
    ("answers that are shorter", "The responses were 55% shorter, 32% cheaper and 21% faster."),
    ("the average of settings, or by weights", "Layers 8, 12 and 16: mean 71.0. Scores 70, 80 and 90; the weighted average is 84. Seeds gave 71, 75 and 73 (mean 73.0)."),
    ("a mean by the n in the heads", "| model | en (n=100) | de (n=40) | weighted avg |\n|---|---|---|---|\n| small | 60.0 | 50.0 | 57.1 |\n| large | 80.0 | 70.0 | 77.1 |\n"),
    ("a mean by weights that are not given", "| model | en | de | weighted avg |\n|---|---|---|---|\n| small | 60.0 | 50.0 | 57.1 |\n| large | 80.0 | 70.0 | 77.1 |\n"),
    ("two changes from one base", "Refusal rose by 12 points at layer 8 and by 31 points at layer 12 (from 25% to 37% and 56%)."),
    ("κ of what two raters are said to do", "Two judges read 100 answers. Both flagged 30, only the first 12, only the second 8, and neither 50; raw agreement is 80.0% and Cohen's κ is 0.58."),
    ("a recap of two experiments", "## Exp 1\n\n| arm | refusal rate |\n|---|---|\n| base | 22% |\n| steered | 71% |\n\n## Exp 2\n\n| arm | refusal rate |\n|---|---|\n| base | 24% |\n| steered | 80% |\n\n## Recap\n\n| arm | refusal rate |\n|---|---|\n| base | 23% |\n| steered | 76% |\n"),
    ("better than all others, by less time", "| model | latency (ms) |\n|---|---|\n| ours | 71.2 |\n| vLLM | 90.0 |\n\nOurs outperforms all other engines.\n"),
    ("a condition and its opposite", "| direction | refusal |\n|---|---|\n| -1 · d | 12% |\n| +1 · d | 81% |\n"),
    ("a power of ten with raised digits", "The correlation is strong (r = 0.62, n = 30, p = 3 × 10⁻⁴)."),
    ("an interval behind an SE", "Mean coherence was 3.42 (SD = 1.20, n = 64, SE = 0.15, 95% CI [3.12, 3.72])."),
    ("a note below a table with another n", "Table 3: refusal rate, n = 30 prompts per layer unless marked.\n\n| layer | refusal |\n|---|---|\n| 12 | 53.3% |\n| 16 | 86.7% |\n| 20† | 45.8% |\n\n† n = 24 (six completions were empty).\n"),
    ("n of prompt sets", "We found little evidence of a correlation (n = 7 prompt sets).\n\n| prompt set | mean projection | refusal rate |\n|---|---|---|\n| A | -1.2 | 31% |\n| B | -0.4 | 48% |\n| C | 0.3 | 29% |\n| D | 0.9 | 40% |\n| E | 1.6 | 52% |\n| F | 2.4 | 33% |\n| G | 3.0 | 41% |\n"),
    ("rates of a power analysis", "Cohen's h between 31% and 71% is 0.82; with n = 40 per arm the power is above 90%."),
    ("what was left out", "Cells hold 45 to 50 prompts, since empty completions were left out.\n\n| strength | refused |\n|---|---|\n| 0 | 9/50 |\n| 2 | 24/50 |\n| 4 | 31/45 |\n| 6 | 47/50 |\n"),
    ("one column against another", "The learned direction beats the random control at three of four layers, and loses at layer 16.\n\n| layer | learned | random |\n|---|---|---|\n| 8 | 31% | 12% |\n| 12 | 55% | 14% |\n| 16 | 10% | 15% |\n| 20 | 61% | 11% |\n\nn = 100 per cell."),
    ("one thing lowered and another unchanged", "Ablation lowers refusal from 93% to 17% and leaves MMLU unchanged."),
    ("about half, two thirds, most", "Two thirds of the prompts (32 of 48) were refused; about half of the rest (7 of 16) were answered. Most texts (13 of 24) were coherent. A minority (5 of 24) was not."),
    ("the SD of seeds by n - 1 or by n", "| layer | seed 1 | seed 2 | seed 3 | mean | SD |\n|---|---|---|---|---|---|\n| 8 | 0.62 | 0.66 | 0.70 | 0.66 | 0.04 |\n| 12 | 0.71 | 0.80 | 0.77 | 0.76 | 0.05 |\n| 16 | 0.55 | 0.58 | 0.52 | 0.55 | 0.03 |\n\n| layer | run 1 | run 2 | SD |\n|---|---|---|---|\n| 1 | 0.60 | 0.70 | 0.05 |\n| 2 | 0.50 | 0.70 | 0.10 |\n"),
    ("the SE of an SD, κ of agreements, tokens per second", "Mean 3.42 (SD = 1.20, n = 64, SE = 0.15). Observed agreement was 0.86, expected agreement 0.52, so κ = 0.71. It wrote 1,200 tokens in 40 s (30 tokens/s)."),
    ("parts at settings that make their total", "We collected 240 completions: 96 at layer 8, 72 at layer 12 and 72 at layer 16."),
    ("a whole between its parts in brackets", "Overall, 61.3% of 150 requests were refused (cyber 55.0% of 60, bio 61.2% of 49, fraud 70.7% of 41). Overall, 15% failed (5% timed out, 10% were empty)."),
    ("means of two sentences, d in the third", "Steered: M = 5.80, SD = 1.90, n = 40. Unsteered: M = 5.10, SD = 2.10, n = 40. Cohen's d = 0.35, t(78) = 1.56, p = .122."),
    ("rates on two sets, each of its n", "Accuracy: 95.0% on 20 prompts, 88.3% on 60 prompts. Refusals: 88.3% and 95.0% on 60 and 20 prompts."),
    ("an n that a probe was trained on is no n of its rate", "Trained on 60 prompts, the probe is 97.5% accurate. A direction from 32 prompts has an accuracy of 97.5%."),
    ("an n per group, and runs", "Accuracy is 97.5% on 20 prompts per category, in 60 prompts of training. It is 97.5% over 2 runs of 20 prompts."),
    ("a row that is named by a number of examples", "| shots | accuracy |\n|---|---|\n| few-shot (5 examples) | 62.5% |\n| 3 prompts | 71.4% |\n"),
    ("a bracket behind each rate", "Harmful refusal is 62.5% (40 prompts), harmless refusal 6.7% (30 prompts)."),
    ("a bracket behind each rate, other nouns", "Refusal was 62.5% (40 participants), 6.7% (30 patients). It is 62.5% [40 items] and 6.7% [30 questions]."),
    ("a bracket behind a few words", "Refusal is 62.5% on harmful prompts (40 prompts), and 6.7% on harmless ones (30 prompts)."),
    ("n in a bracket behind each rate", "Harmful refusal is 62.5% (n = 40), harmless refusal 6.7% (n = 30 prompts)."),
    ("of 30 in a bracket behind each rate", "Harmful refusal is 62.5% (of 40), harmless refusal 6.7% (out of 30)."),
    ("a bracket with an interval and n", "Refusal is 62.5% (95% CI 47 to 76, 40 prompts), harmless refusal 6.7% (95% CI 2 to 21, 30 prompts)."),
    ("a bracket behind a rate and an n ahead", "On 40 prompts the probe is 62.5% accurate; of the others 6.7% (30 prompts) are refused. Accuracy is 62.5% (5 examples in the prompt)."),
    ("from A to B, from C to D, in percent", "On harmful prompts refusal rises from 62.5% to 87.5%, on harmless prompts from 6.7% to 10.0%."),
    ("from A to B, from C to D, twice falling", "Refusal falls from 87.5% to 62.5%, harmless refusal falls from 10.0% to 6.7%."),
    ("from A to B, from C to D, in counts", "On harmful prompts refusal rises from 25/40 to 35/40, on harmless prompts from 2/30 to 3/30 (+3.3 points)."),
    ("from A to B, from C to D, in points", "The score rises from 25 points to 35 points, on harmless prompts refusal rises from 6.7% to 10.0%."),
    ("from A to B, from C to D, with arrows", "Refusal goes 62.5% → 87.5%, harmless 6.7% → 10.0%."),
    ("to B, from C to D", "Refusal of harmful prompts increases to 87.5%, on harmless prompts from 6.7% to 10.0%."),
    ("A against B, higher than C against D", "Steered refusal is 87.5% compared to 62.5%, higher than 10.0% compared to 6.7%."),
    ("by x from A to B, by y from C to D", "Harmful refusal rises by 25 points from 62.5% to 87.5%, harmless refusal by 3.3 points from 6.7% to 10.0%."),
    ("from A to B, something else by y", "Harmful refusal rises from 62.5% to 87.5%, harmless refusal by 3.3 points. It rises from 62.5% to 87.5%, on harmless prompts by 3.3 points."),
    ("a rate that is a count of one of two n", "We used 60 prompts and 40 other prompts; the probe is 97.5% accurate."),
]  # fmt: skip


def alarms(text):
    audited = wb.audit(read_text(text, "log.md"))
    assert not [why for _, _, why in audited.unread if "cannot be computed" in why]
    return [f for f in audited if f.grade in ALARMS]


@pytest.mark.parametrize(("text", "rule", "value"), [case[1:] for case in FOUND], ids=[case[0] for case in FOUND])
def test_a_fault_that_was_passed_over_is_found_with_its_value(text, rule, value):
    found = [f for f in alarms(text) if f.rule == rule]
    assert found
    if value is not None:
        assert any(number == pytest.approx(value, rel=0.02) for f in found for number in f.numbers)


@pytest.mark.parametrize("text", [case[1] for case in LEFT_ALONE], ids=[case[0] for case in LEFT_ALONE])
def test_what_was_called_a_fault_and_is_none_is_left_alone(text):
    assert [str(f) for f in alarms(text)] == []


@pytest.mark.parametrize(
    "text", [text for name, text in LEFT_ALONE if "bracket" in name], ids=[n for n, _ in LEFT_ALONE if "bracket" in n]
)
def test_of_a_rate_with_its_n_in_the_bracket_behind_nothing_is_asked(text):
    assert [str(f) for f in wb.audit(read_text(text, "log.md")) if f.rule == "grim" and f.grade != "holds"] == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Harmful refusal is 62.5% (40 prompts), harmless refusal 7.5% (30 prompts).", 100 * 2 / 30),
        ("Refusal was 62.5% (40 participants), 7.5% (30 patients).", 100 * 2 / 30),
        ("Refusal is 62.5% [40 items], harmless refusal 7.5% [30 questions].", 100 * 2 / 30),
        ("Refusal is 62.5% on harmful prompts (40 prompts), and 7.5% on harmless ones (30 prompts).", 100 * 2 / 30),
        ("Harmful refusal is 62.5% (n = 40), harmless refusal 7.5% (n = 30 prompts).", 100 * 2 / 30),
        ("Harmful refusal is 62.5% (of 40), harmless refusal 7.5% (out of 30).", 100 * 2 / 30),
        ("Refusal is 62.5% (95% CI 47 to 76, 40 prompts), then 7.5% (95% CI 2 to 21, 30 prompts).", 100 * 2 / 30),
        ("Of the harmful prompts 62.5% (40 prompts) were refused, of the others 26.0% (20 prompts).", 25.0),
    ],
)
def test_the_n_in_the_bracket_behind_a_rate_is_its_own_and_an_impossible_rate_an_error(text, value):
    found = [f for f in alarms(text) if f.rule == "grim"]
    assert [f.grade for f in found] == ["error"]
    assert found[0].numbers[-1] == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Harmful refusal rises from 62.5% to 87.5% (+35 points), harmless from 6.7% to 10.0% (+3.3 points).", 25.0),
        ("Harmful refusal rises from 62.5% to 87.5% (+25 points), harmless from 6.7% to 10.0% (+7.3 points).", 3.3),
        ("Refusal rises from 25/40 to 35/40 (+25 points), harmless from 2/30 to 3/30 (+6.7 points).", 100 / 30),
        ("Refusal rises by 35 points from 62.5% to 87.5%, harmless by 3.3 points from 6.7% to 10.0%.", 25.0),
        ("Refusal rises by 25 points from 62.5% to 87.5%, harmless by 7.3 points from 6.7% to 10.0%.", 3.3),
        ("Harmful refusal rises from 62.5% to 87.5%, that is by 35 points.", 25.0),
        ("The gain amounts to 35 points, from 62.5% to 87.5%.", 25.0),
        ("Harmful refusal rises by 50%, from 62.5% to 87.5%.", 25.0),
    ],
)
def test_a_wrong_change_of_one_of_two_pairs_is_one_error(text, value):
    found = alarms(text)
    assert [(f.grade, f.rule) for f in found] == [("error", "difference")]
    assert found[0].numbers[0] == pytest.approx(value)


def test_a_rate_whose_n_may_be_one_of_two_is_told_with_both():
    def said(text):
        return [(f.grade, f.sentence.partition("': ")[2]) for f in wb.audit(read_text(text, "log.md"))]

    told = said("We used 60 prompts and 40 other prompts; the probe is 97.5% accurate.")
    assert told == [
        (
            "note",
            "the sentence gives several n, and does not say which is that of 97.5%: a count out of 40 gives it, none out of 60",
        )
    ]
    told = said("We used 60 prompts and 20 other prompts; the probe is 97.5% accurate.")
    assert told == [("weak", "no count out of 20 or 60 gives 97.5% (n from the sentence, which gives 2)")]
    assert said("We used 60 prompts and 40 other prompts; the probe is 95.0% accurate.") == []


def test_an_n_that_nearly_no_percentage_fits_is_doubted_once():
    rows = (("A", 120, 1.9, 12.1), ("B", 120, 5.3, 1.8), ("C", 250, 1.5, 19.1), ("D", 60, 0.9, 94.5))
    table = "| claim | prompts | smaller | inconclusive |\n|---|---|---|---|\n"
    found = alarms(table + "".join(f"| {name} | {n} | {a}% | {b}% |\n" for name, n, a, b in rows))
    assert [(f.grade, f.rule) for f in found] == [("weak", "grim")]
    two_wrong = "".join(f"| {k} | 40 | {2.5 * k + 0.3 * (k < 3)}% | {2.5 * k}% |\n" for k in range(1, 9))
    assert {f.grade for f in alarms(table + two_wrong)} == {"error"}


def test_what_stands_twice_is_told_once():
    twice = alarms(
        "| arm | refused | rate |\n|---|---|---|\n| a | 9/24 | 47.5% |\n| a | 9/24 | 47.5% |\n| b | 20/24 | 83.3% |\n"
    )
    assert [(f.rule, f.line) for f in twice] == [("grim", 3), ("derived", 3)]
    said = alarms(f"{LAYERS}\nRefusal is 100% at all layers.")
    assert [(f.grade, f.rule) for f in said if f.rule == "all or never"] == [("error", "all or never")]


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ("arm,p_value\na,0.2\nb,1.7\n", "range"),
        ("arm,refusal_rate\nbase,0.2\nsteered,1.3\n", "range"),
        ("pair,k1,n1,k2,n2,p_value\na,5,20,12,20,0.054\nb,6,20,9,20,0.001\n", "p of two rates"),
    ],
)
def test_heads_of_columns_may_be_names_of_variables(table, rule):
    audited = wb.audit(read_text(table, "rates.csv", ".csv"))
    assert [f.rule for f in audited if f.grade in ALARMS] == [rule]


def test_a_slip_is_less_than_one_unit_of_the_last_place():
    assert [grade_of(off, 1.0) for off in (0.5, 0.9, 1.0, 2.0)] == ["holds", "slip", "error", "error"]


def test_a_rule_that_cannot_be_computed_loses_one_sentence(monkeypatch):
    from workbench.claims import log_audit
    from workbench.claims.rules import counts

    def broken(log, s):
        if "broken" in s.text:
            raise ValueError("no number")
        yield from counts._of_sentence(log, s)

    family = counts.FAMILY._replace(of_sentences=(broken,), of_tables=())
    monkeypatch.setattr(log_audit, "_FAMILIES", (family,))
    audited = wb.audit("This is broken: 1/2.\n\n41 of 40 prompts were refused.")
    assert [f.rule for f in audited] == ["count"]
    assert [line for _, line, why in audited.unread if "no number" in why] == [1]


def test_settings_of_a_project_beside_a_log_are_no_claims(tmp_path):
    from typer.testing import CliRunner

    from workbench.cli import app

    (tmp_path / "pyproject.toml").write_text('[project]\nname = "a"\n')
    (tmp_path / "log.md").write_text("41 of 40 prompts were refused.")
    result = CliRunner().invoke(app, ["audit", str(tmp_path), "--fail-on", "error"])
    assert result.exit_code == 1
    assert "41 of 40" in result.output


@pytest.mark.parametrize("nothing", ["", " ", [], 5, None])
def test_what_is_no_log_is_refused_in_one_line(nothing):
    with pytest.raises(wb.WorkbenchError, match=r"nothing to audit|a log is"):
        wb.audit(nothing)


def test_a_link_to_nothing_or_a_pipe_loses_no_other_file(tmp_path):
    (tmp_path / "log.md").write_text("41 of 40 prompts were refused.")
    (tmp_path / "gone.md").symlink_to("nowhere.md")
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "digits.json").write_text('{"n": ' + "9" * 5000 + "}")
    audited = wb.audit(tmp_path)
    assert [f.rule for f in audited if f.grade in ALARMS] == ["count"]
    assert len({file for file, _, _ in audited.unread}) == 3
    with pytest.raises(wb.WorkbenchError, match=r"is a pipe and no file; type workbench audit -"):
        wb.audit(tmp_path / "pipe.md")


def test_a_device_without_an_end_is_refused(monkeypatch):
    from workbench.claims import log_reader

    monkeypatch.setattr(log_reader, "_MOST_BYTES", 1000)
    with pytest.raises(wb.WorkbenchError, match="holds more than"):
        wb.audit(Path("/dev/zero"))


def test_a_line_of_any_length_is_read_in_time_or_counted():
    audited = wb.audit("41 of 40 prompts were refused.\n\n" + "31/35 " * 20_000)
    assert [f.rule for f in audited if f.grade in ALARMS] == ["count"]
    assert any("a sentence of" in why for _, _, why in audited.unread)
