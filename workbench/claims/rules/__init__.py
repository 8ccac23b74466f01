"""The rules that run unasked over a log as it is: each says with a grade what cannot be, or cannot carry what is said.

Questions, and the files that answer them:
    what is a rule, a finding, its place?               finding          Rule, LogFinding, Family, Place
    what are rows and columns called?                   row_names        stems, roles, settings_key
    how many units stand behind a number?               units            n_of_cell, n_of_number, Count
    which table and column does a sentence speak of?    table_mentions   tables_near, columns_told
    which numbers does it speak of?                     number_mentions  spoken_of, own, measured_columns
    can such a number exist at all?                     possible_values  ranges, GRIM
    can such means and SDs?                             spreads          GRIM for means, GRIMMER, SDs, order
    do a count, its n and its percentage fit?           counts           9/12, 31 of 35, 31 (78.5%)
    do parts make their whole?                          totals           totals, means, shares
    does a column follow from other columns?            columns          totals, means, formulas, relations; on a sheet
      a column of rates?                                column_rates     counts and their n
      a column of changes?                              column_changes   two columns, a baseline, the row before
    does a change follow from its two numbers?          changes          points, percent, times
    does an equation come out?                          equations        sums, products, F1
    do the numbers of a sentence fit by their names?    named_numbers    shares, odds, SE, R², TP and FP, interval and p
    do p-values come out?                               p_values         every test that could be meant
    do t, d, r come out?                                effect_sizes     from means and columns
    do κ, F1, χ² come out?                              crosstabs        from a table of counts
    do intervals come out?                              intervals        every method in use
    is one quantity given twice, and differently?       repeats          tables, sentences, summaries
    does a sentence repeat what was given?              facts            a rate of one condition, in a sentence and a table
    do groups fit together?                             groups           subgroups, classes, two names, n
    do words about order fit?                           order            peak, monotone, rank, correlation
    do words about extent fit?                          extent           all, never, the same, within
    do words fit a list, a paragraph, the only column?  series_words     all, the same, no effect, best, within
    can the numbers carry a comparison?                 comparisons      small n, no n, no difference
    can the design?                                     design           best of many, no control, quoted
"""
