"""How numbers are written: the patterns of counts, percentages, means, intervals and statistics, and of what is no result."""

import re
from typing import Literal

Kind = Literal[
    "number", "percent", "points", "times", "count", "range", "mean", "p", "t", "F", "chi2", "z", "r", "d", "kappa", "auc", "cosine", "n"
]  # fmt: skip

NUM = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,2}(?!\d))?"
_POWER = r"(?:\s?[×x*]\s?10\s?\^?\s?\{?(?P<power>[-+]?\d+)\}?)?"
_SIGN = r"(?:(?<![\w\)\]])[+-])?"
_BOUND = (
    r"(?P<bound>[~≈<>≤≥]=?\s?|\b(?:about|around|approximately|roughly|nearly|almost|over|under|above|below|at least|at most"
    r"|up to|more than|less than|fewer than)\s+)?"
)
_PERCENT = r"\s?(?:%|percent\b(?!age)|per cent\b)"
_AHEAD = r"(?<![\w.,/])"

NUMBER_WORDS = {
    w: i
    for i, w in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    )
}
_UNITS = (
    "prompts|items|examples|samples|questions|participants|subjects|patients|trials|runs|scenarios|responses|completions|tasks"
    "|images|people|students|pairs|rows|users|respondents|documents|sentences|requests|rollouts|generations|observations"
    "|problems|queries|instances|seeds|raters|animals|mice|tests|attempts|conversations|texts|cells|women|men|children"
    "|games|rounds|cases|episodes|tokens|volunteers|pupils|households|records|measurements|replicates|events"
)

#: what is no result: replaced by blanks of the same length before numbers are looked for
JUNK = re.compile(
    "|".join(
        (
            r"https?://\S+|www\.\S+|(?<!\w)#\d+\b|\b[A-Z]{2,6}-\d{2,}\b",
            r"(?:[\w.~{},*-]*/)+[\w.{},*-]*[A-Za-z_{}][\w.{},*-]*",  # paths: at least one letter behind the slash
            r"\b\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?(?:[T ]\d{1,2}:\d{2}(?::\d{2})?)?\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b\d{1,2}:\d{2}(?::\d{2})?\b",  # noqa: E501
            r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.? \d{1,2}(?:st|nd|rd|th)?(?:,? \d{4})?\b",
            r"\b\d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November|December)(?: \d{4})?\b",
            r"(?<!\w)(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}(?!\w)",  # hashes
            r"\bv\d+(?:\.\d+)*\b|\b\d+\.\d+\.\d+(?:\.\d+)*\w*",
            r"(?<![\w.])[A-Za-z]+[\w]*(?:[.\-][A-Za-z]+)*[.\-_]?\d[\w]*(?:[.\-]\w*[A-Za-z]\w*)*(?:-\d[\w.]*[A-Za-z]\w*)*(?:[.\-]\d+)*(?![\w%])",
            r"(?<![\w.,])\d+(?:\.\d+)?(?:[BKMkb]|st|nd|rd|th|D|d)(?![\w])",
            r"(?<![\w.,])\d+(?:\.\d+)?-(?!fold)[A-Za-z]+\b",
            r"\[\d+(?:,\s?\d+)*\](?!\()(?=[\s.,;)]|$)(?<=\w\s\[\d\])",  # citations
            r"\b(?:19|20)\d{2}\b(?!\s?(?:%|/|of\b|out\b|prompts|items|samples))",
        )
    )
)
_SETTING_WORDS = (
    "alpha|beta|gamma|lambda|epsilon|sigma|eta|layers?|seeds?|epochs?|steps?|temperature|temp|top[-_ ]?[kp]|lr|learning rate|batch(?: size)?"  # noqa: E501
    "|dose|strength|coef(?:ficient)?|rank|tokens?|positions?|fold|versions?|tables?|fig(?:ure|\\.)?s?|sections?|sec|eq(?:uation)?"
    "|chapters?|pages?|lines?|cycles?|phases?|stages?|days?|weeks?|years?|modes?|options?|parts?|iterations?|rule|run|trial|study|experiments?"
    "|checkpoint|appendix|issue|python|cuda|version|release|grade|level|scale|threshold|window|max_new_tokens|bins?|weight decay"
    "|[A-Za-z_]+_[a-z_]+|[αβγλεηθσμs]|[Tck]"
)
SETTING = re.compile(
    rf"(?<![\w-])(?P<name>{_SETTING_WORDS})\s?(?:[=:#≈∈]|≥|≤|of(?= \d))?\s?(?P<value>[+-]?{NUM})(?!\s?(?:%|/\d|±|\+/-| of \d))(?P<more>(?:\s?(?:,|-|–|→|to|and|or|/|\.\.)\s?[+-]?{NUM}(?!\s?%))*)",  # noqa: E501
    re.IGNORECASE,
)


#: "96 at layer 8, 72 at layer 12": one setting, and what stands behind the comma is of the next
SETTING_AT = re.compile(
    rf"(?<![\w-])(?P<name>layer|seed|epoch|step|dose|strength|fold|position)\s(?P<value>{NUM})"
    r"(?=(?:,|,? and) \d[\d,]* (?:at|in|for|from|with) )",
    re.IGNORECASE,
)


def _numbers_pattern(template: str) -> re.Pattern[str]:
    return re.compile(template.replace("NUM", NUM).replace("SIGN", _SIGN).replace("PCT", _PERCENT), re.IGNORECASE)


P_VALUE = _numbers_pattern(
    rf"(?<![\w.-])p(?:[-_ ]?val(?:ue)?s?)?\s?(?:was|is|of)?\s?(?P<op>[=:<>≤≥≈~]|of|(?<=value) )\s?(?P<v>-?NUM){_POWER}(?!\s?%)(?![\w/])"
)
STATISTICS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("t", _numbers_pattern(r"(?<![\w-])t\s?\(\s?(?P<df>NUM)\s?\)\s?=\s?(?P<v>[+-]?NUM)")),
    ("F", _numbers_pattern(r"(?<![\w-])F\s?\(\s?(?P<df>NUM)\s?,\s?(?P<df2>NUM)\s?\)\s?=\s?(?P<v>NUM)")),
    (
        "chi2",
        _numbers_pattern(
            r"(?:χ\s?\^?\s?[2²]|chi[- ]?(?:\^?2|square[d]?)|X2|X²)\s?\(\s?(?P<df>\d+)\s?(?:,\s?n\s?=\s?(?P<n>NUM))?\s?\)\s?=\s?(?P<v>NUM)"
        ),
    ),
    (
        "t",
        _numbers_pattern(
            r"(?<![\w-])t\s?=\s?(?P<v>[+-]?NUM)\s?[,;(]\s?(?:df|d\.f\.)\s?=\s?(?P<df>NUM)\)?"
        ),
    ),
    ("z", _numbers_pattern(r"(?<![\w-])z\s?=\s?(?P<v>[+-]?NUM)")),
    ("r", _numbers_pattern(r"(?<![\w-])(?:pearson'?s? |spearman'?s? )?(?:r|rho|ρ|r_s)\s?(?:\(\s?(?P<df>\d+)\s?\))?\s?=\s?(?P<v>[+-]?NUM)(?!\s?[%])")),  # noqa: E501
    ("d", _numbers_pattern(r"(?:(?<![\w-])cohen'?s?\s?d|(?<![\w-])d|hedges'?s?\s?g)\s?(?:=|of|was|:)\s?(?P<v>[+-]?NUM)(?!\s?[%])")),
    ("kappa", _numbers_pattern(r"(?:κ|kappa)\s?(?:=|of|was|:|≈)?\s?(?P<v>[+-]?NUM)(?!\s?%)")),
    ("auc", _numbers_pattern(r"(?:AUC|AUROC|ROC-AUC)\s?(?:=|of|was|:|≈)?\s?(?P<v>NUM)(?!\s?%)")),
    ("cosine", _numbers_pattern(r"\bcosines?(?: similarity)?(?: (?:between|of|with) [^,.;:()\d]{1,40}?)?\s?(?:=|of|is|was|:|≈)\s?(?P<v>[+-]?NUM)(?!\s?[%°\d])")),  # noqa: E501
    ("auc", _numbers_pattern(r"(?<![\w.,/])(?P<v>0?\.\d+|1\.0+)\s(?:AUC|AUROC)\b")),
)  # fmt: skip
N_GIVEN = _numbers_pattern(
    r"(?:(?<![\w.-])n|\b(?:arm|group|sample|cell|condition) sizes?)\s?(?:=|:|\bis\b|\bof\b)\s?(?P<v>\d[\d,]*)(?![\w.]*\d)"
    r"(?:\s(?:[a-z]+\s)?(?P<unit>sets|layers|models|heads|topics|categories|folds|datasets|directions|features|doses|families|sites)\b)?"
)
N_UNITS = _numbers_pattern(rf"(?<![\w.,/$-])(?P<v>\d[\d,]*)\s(?:[a-z-]+\s){{0,2}}?(?:{_UNITS})\b")
CI = _numbers_pattern(
    r"(?:(?P<level>\d{2}(?:\.\d+)?)\s?%[- ]?(?:(?:[Bb]ootstrap\w*|BCa|percentile|credible|posterior|exact|Wilson|binomial) ){0,2})?(?:\bCIs?\b|\bC\.I\.|confidence interval|(?<=\d% )interval\b|confidence limits|credible interval|\bWilson\b(?: CI| interval)?)"  # noqa: E501
    r"\s?(?:\((?:Wilson|exact|normal|Wald|t|Clopper[- –]Pearson)\))?\s?[:=,]?\s?(?:of|from|was|is)?\s?[\[\(]?\s?(?P<low>[+-]?NUM)\s?%?\s?(?:,|;|to|-|–|\.\.+|and)\s?(?P<high>[+-]?NUM)\s?%?\s?[\]\)]?"  # noqa: E501
)
#: "the 95% interval of 30/60 is [48%, 52%]"
CI_OF = _numbers_pattern(
    r"(?P<level>\d{2}(?:\.\d+)?)\s?%[- ]?(?:confidence |credible |Wilson |exact )?(?:interval|CI)\s(?:of|for|around|on)\s"
    r"(?P<of>[^;\[\]\0]{1,40}?)\s?(?:is|was|:|=)\s?(?:from\s)?[\[\(]?(?P<low>[+-]?NUM)\s?%?\s?(?:,|to|-|–|and)\s?(?P<high>[+-]?NUM)\s?%?[\]\)]?"
)
BRACKET = _numbers_pattern(r"(?<=[\d%])\s?[\[](?P<low>[+-]?NUM)\s?%?\s?(?:,|;|to|-|–)\s?(?P<high>[+-]?NUM)\s?%?\s?\]")
_SPREAD_WORD = r"(?P<what>SD|SE|SEM|s\.?d\.?|s\.?e\.?m?\.?|std\.?(?: ?dev\.?)?(?: ?err(?:or)?\.?)?|standard deviation|standard error|σ)"
MEANS = (
    _numbers_pattern(
        rf"{_AHEAD}(?P<v>SIGNNUM)\s?(?P<pct>%)?\s?±\s?(?P<s>NUM)\s?(?P<pct2>%|pp)?(?:\s?\(?\s?(?P<what>SD|SE|SEM|s\.?d\.?|s\.?e\.?m?\.?|std(?: ?err)?|95%\s?CI|CI)\b\.?\)?)?"  # noqa: E501
    ),
    _numbers_pattern(
        rf"(?<![\w-])(?:M|(?:mean|average|avg)(?:\s(?:score|rating|value|grade|level|accuracy|rate))?|μ)\s?(?:=|:|of|was|is)?\s?(?P<v>[+-]?NUM)\s?(?P<pct>%)?"
        rf"\s?(?:[,;(]|with|and|[,;] (?:with|and))\s?(?:an?\s|the\s|its\s)?{_SPREAD_WORD}\s?(?:=|:|of|was|is)?\s?(?P<s>NUM)\)?"
    ),
    _numbers_pattern(
        rf"{_AHEAD}(?P<v>SIGNNUM)\s?(?P<pct>%)?\s?\(\s?{_SPREAD_WORD}\s?(?:=|:|of)?\s?(?P<s>NUM)\s?%?\s?\)?"
    ),
)
_INT = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
COUNT_WORD = "|".join(NUMBER_WORDS)
OF_ALL = _numbers_pattern(
    rf"(?<!\d )(?<!\d)(?<!out )\b(?:of|out of|among|von|sur)\s(?:(?:the|our|all|these|those)\s)*(?P<n>{_INT})\s(?P<noun>(?!of\b)[^\W\d]+(?:\s[^\W\d]+){{0,3}}?)"  # noqa: E501
    rf"(?:,|\s(?:waren|wurden|were|had|ont))\s(?:only\s)?(?P<k>{_INT})(?!\s?%|[\w/]|[.,]\d)(?:(?:\s[^\W\d]+){{0,4}}\s?\(\s?(?P<pct>NUM)\s?%\)|(?=\s[^\W\d]))"
)
#: "18 of 20 prompts were refused, which is 90%"
_THAT_IS = r"(?:\s[a-z][a-z-]*){0,4}?(?:,?\s(?:(?:that|which|this) (?:is|was|makes|gives)|i\.e\.|hence|thus),?|,\sor)"
COUNT = _numbers_pattern(
    rf"(?<![\w.,/^-])(?P<k>{_INT}|\b(?:{COUNT_WORD})\b)(?:\s?/\s?|\s(?P<noun>(?:{_UNITS})\s)?(?:out of|of|von|sur)\s(?:(?:the|all|our|these|those)\s)?|\s(?:[a-z-]+\s)?out of\s(?:the\s|all\s|our\s)?)(?P<n>{_INT}|\b(?:{COUNT_WORD})\b)(?!\s?%|[\w/]|[.,]\d|\s?×|-)"  # noqa: E501
    rf"(?P<after>(?:\s?[\(\[=,:≈-]*|(?:\s[a-z][a-z-]*){{1,3}}\s?[(\[=]|{_THAT_IS})\s?(?P<pct>NUM)\s?%(?!\s?(?:CI|of\b|more|less|higher|lower|points)|\s?(?:to|→|->|vs\.?|against|and|–|-|,)\s?\d))?"
)
PERCENT_COUNT = _numbers_pattern(
    rf"(?<![\w.,/])(?<![=→])(?<![=→]\s)(?P<pct>NUM)\s?%(?:\sof (?:the )?(?:time|{_UNITS})(?=\s?\())?\s?[\(\[,:=]?\s?(?:n\s?=\s?)?(?P<k>{_INT})(?:\s?/\s?|\s(?:out of|of)\s(?:the\s|all\s)?)(?P<n>{_INT})(?!\s?%|[\w/]|[.,]\d|\s?(?:to|→|->|vs\.?|against|and|,)\s?\d+\s?(?:/|of))"  # noqa: E501
)
PERCENT_N = _numbers_pattern(
    rf"{_AHEAD}(?P<v>NUM)PCT\s?(?:\(\s?n\s?=\s?(?P<n>\d[\d,]*)\s?\)|of\s(?:the\s|all\s|our\s)?(?P<n2>\d[\d,]*)(?!\s?%|[.,]?\d)"
    r"|[(\[]\s?(?:out\s)?of\s(?:the\s|all\s|our\s)?(?P<n3>\d[\d,]*)(?:[)\]]|(?=[,;])))"
)
PARTIAL = _numbers_pattern(rf"{_AHEAD}(?P<k>\d[\d,]*)\s(?:(?!(?:of|to)\s)[a-z-]+\s)?\(\s?(?P<pct>NUM)\s?%\s?\)")
RANGE = _numbers_pattern(
    r"(?<![\w.,/→])(?<!→ )(?P<low>[+-]?NUM)\s?(?:%\s?)?(?:-|–|—|\bto\b)\s?(?P<high>[+-]?NUM)(?P<unit>\s?%|\s?pp\b|\s?points?\b)?(?![\w/]*\d)"  # noqa: E501
)
PLAIN_PERCENT = _numbers_pattern(
    rf"{_BOUND}{_AHEAD}(?P<v>SIGNNUM)PCT(?!\s?(?:points?|pts?)\b)(?P<plus>\+|[ -]or (?:more|higher|above))?"
)
POINTS = _numbers_pattern(
    rf"{_BOUND}{_AHEAD}(?P<v>SIGNNUM)[\s-]?(?:%\s?points?|percent(?:age)?[\s-]points?|pp\b|ppts?\b|p\.p\.|pts?\b|points?\b(?! of))"
)
TIMES = _numbers_pattern(rf"{_BOUND}{_AHEAD}(?P<v>NUM)\s?(?:[x×](?![\w\s]*\d)\b|×|-?\s?fold\b|\stimes\b(?! \d))")
PLAIN = _numbers_pattern(rf"{_BOUND}(?<![\w.,/^])(?P<v>SIGNNUM)(?![\w/]*\w)(?!\s?[×x]\s?\d)")
