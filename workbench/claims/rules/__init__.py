"""The rules that run unasked over a log as it is: each says with a grade what cannot be, or cannot carry what is said.

What is asked, and which file answers:
    what is a finding, and which units stand behind a number?     finding      LogFinding, Rule, n_of_cell, n_of_number
    can such a number exist at all?                                limits       ranges, counts, GRIM, GRIMMER, SDs
    does a number follow from its neighbours?                      sums         totals, shares, means, differences, ratios
    do p-values, intervals and effect sizes come out?              recomputed   p, t, χ², intervals, d, κ, r
    is one quantity given twice, and differently?                  repeats      tables against tables, summaries against tables
    do the words fit the numbers beside them?                      words        peaks, trends, all, never, identical
    can the numbers carry a comparison?                            strength     small n, no n, best of many, no control
"""
