"""Every rule: what it asks, and the paper, log or identity that it follows."""

from typing import NamedTuple


class Rule(NamedTuple):
    """A rule: the question it asks, and the paper, log or identity it comes from."""

    name: str
    asks: str
    follows: str


#: every rule by its name
RULES = {
    rule.name: rule
    for rule in (
        Rule("range", "Is a share between 0 and 100%, a p-value between 0 and 1, a correlation between -1 and 1, an SD not negative?",
             "definitions"),
        Rule("count", "Is a count no more than its n?", "definition"),
        Rule("count and percent", "Is the percentage beside a count that count's, out of the n that stands with it or around it?",
             "arithmetic"),
        Rule("grim", "Is a percentage some count out of its n?", "Brown and Heathers 2017, GRIM"),
        Rule("grim mean", "Is the mean of whole numbers some total divided by n?", "Brown and Heathers 2017, GRIM"),
        Rule("grimmer", "Is there a sum of squares of whole numbers that gives this SD?", "Anaya 2016, GRIMMER; Allard 2018"),
        Rule("sd limit", "Is an SD no larger than the scale, or minimum and maximum, allow?", "Popoviciu 1935; Bhatia and Davis 2000"),
        Rule("binary sd", "Is the SD of 0/1 scores the one that their mean gives?", "variance of a Bernoulli variable"),
        Rule("order", "Does a minimum, mean, median, maximum, quantile or interval stand in order?", "definition"),
        Rule("total", "Do the parts make the total that a row, a column or a list gives?", "arithmetic"),
        Rule("shares", "Do shares of one whole make 100%?", "arithmetic, with each share's rounding"),
        Rule("mean of", "Is an average the mean of the numbers it stands beside, or at least between them?", "arithmetic"),
        Rule("difference",
             "Does a column or sentence of changes follow from what it is the change of (two numbers, a baseline, the row "
             "before), in points, percent or ratio?",
             "arithmetic"),
        Rule("derived",
             "Does a rate of counts, range, ratio, coefficient of variation, F1, perplexity, or t of an estimate and its SE come out?",
             "identities"),
        Rule("relation", "Does what holds in all other rows of a table hold in this one?", "arithmetic"),
        Rule("points or percent", "Is a difference of two percentages called a percentage of change?", "arithmetic"),
        Rule("equation", "Does an equation or a product of a design in a sentence come out?", "arithmetic"),
        Rule("p of two rates",
             "Is a p-value, χ² or z what Fisher (one- or two-sided, mid-p), z, χ² with or without Yates, or McNemar gives "
             "for two counts, or for four in a table?",
             "the tests' own papers; every test that could be meant"),
        Rule("p of a statistic", "Is a p-value the one of its t, F, χ², z or r?", "Nuijten et al. 2016, statcheck"),
        Rule("p of one rate", "Is a p-value the binomial or z test of a count against chance?", "exact binomial test"),
        Rule("significance", "Is what is called significant so by its own p-value, and the reverse?", "the log's own level, .05"),
        Rule("t of two means",
             "Do t, p and d come out of two means, or of one against zero, with SD and n?",
             "Welch 1947; Student 1908; Cohen 1988"),
        Rule("kappa", "Do κ and agreement come out of the confusion table?", "Cohen 1960"),
        Rule("confusion", "Do accuracy, precision, recall and F1 come out of a table of counts, or of a report of classes?", "definitions"),
        Rule("r and p", "Is a correlation's p the one of its n, and does r come out of the two columns beside it?",
             "t test of a correlation"),
        Rule("interval",
             "Is an interval what Wilson, Clopper-Pearson, Agresti-Coull, Jeffreys, the normal or the t method gives for its n?",
             "Brown, Cai and DasGupta 2001"),
        Rule("given twice", "Do two tables give one quantity the same value?", "identity; with n, Fisher's exact test over all such pairs"),
        Rule("sentence and table",
             "Is the number, or difference of two rows, that a sentence gives for a table the one that stands there?",
             "identity"),
        Rule("summary", "Does a table or an earlier sentence hold the figure that a summary quotes?", "identity"),
        Rule("subgroups", "Is a whole's rate between those of its subgroups?", "a weighted mean lies between its parts"),
        Rule("classes", "Do classes that exclude one another fit into n?", "counting"),
        Rule("two names", "Is one condition run under two names, as -a·d and +a·(-d) are?", "identity of the two products"),
        Rule("denominator", "Does the n of a count agree with the n that is stated for all?", "counting"),
        Rule("peak", "Is what is called the peak, the maximum or the minimum the largest or smallest of its column?", "order"),
        Rule("monotone", "Does what is said to rise or fall steadily do so in its column?", "order"),
        Rule("correlation in words", "Does a column whose correlation is denied or claimed have it?", "Pearson's r and its p"),
        Rule("rank", "Is what is said to be better than another so in the table?", "order"),
        Rule("all or never", "Does what is said of all conditions (0%, 100%, immune, always, never) hold in every table?", "counting"),
        Rule("same", "Does what is called identical, deterministic or unchanged vary in the numbers?", "identity"),
        Rule("within", "Are the numbers within the range, or on the side of zero or of a bound, that the words give?", "counting"),
        Rule("comparison", "Could two or more rates that are called different differ by chance?", "Fisher 1935; Freeman and Halton 1951"),
        Rule("no n", "Is a comparison given without its n or spread?", "sample size of two proportions, power .8"),
        Rule("no difference", "Is 'no different' said where the interval of the difference leaves much open?",
             "Altman and Bland 1995; Newcombe 1998"),
        Rule("best of many", "Is the best of many reported, chosen on what it is reported on?", "multiple comparisons; Šidák 1967"),
        Rule("many tests", "Do p-values below .05 outlast a correction for their number?", "Holm 1979"),
        Rule("no control", "Is the effect of an intervention given without a baseline or control?", "design"),
        Rule("quoted", "Is a rate quoted from elsewhere without its counts?", "design"),
        Rule("convention", "Is a convention that the log declares kept afterwards?", "the log's own rule"),
    )
}  # fmt: skip
