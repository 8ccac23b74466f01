"""LaTeX as Markdown, line by line: tables with pipes, sections as headings, commands of emphasis without their braces."""

import re

_LATEX = re.compile(r"\\(?:(?:sub)*section\*?|caption)\{|\\begin\{(?:tabular|table|longtable|document)")
_TABULAR = re.compile(r"\\begin\{tabular[x*]?\}|\\begin\{longtable\}")
_END = re.compile(r"\\end\{(?:tabular[x*]?|longtable)\}")
_RULE = re.compile(r"^\s*\\(?:midrule|hline|cmidrule\S*)\s*$")
_SECTION = re.compile(r"^\s*\\(?P<sub>(?:sub)*)section\*?\{(?P<title>.*?)\}")
_CAPTION = re.compile(r"^\s*\\caption(?:\[.*?\])?\{(?P<text>.*?)\}\s*$")
_NO_TEXT = re.compile(
    r"^\s*\\(?:begin|end|toprule|bottomrule|hline|midrule|cmidrule|centering|label|small|footnotesize|vspace)\b.*$"
)
_WRAPPED = re.compile(r"\\(?:textbf|textit|emph|text|mathbf|underline|multicolumn\{\d+\}\{[^}]*\})\{([^{}]*)\}")


def is_latex(text: str) -> bool:
    """Whether a text has a section or a table of LaTeX.

    >>> is_latex(r"\\section{Results}"), is_latex("# Results")
    (True, False)
    """
    return bool(_LATEX.search(text))


def as_markdown(lines: list[str]) -> list[str]:
    """Each line of a LaTeX text as a line of Markdown.

    >>> as_markdown([r"\\begin{tabular}{lr}", r"arm & refused \\\\", r"\\midrule", r"base & \\textbf{12\\%} \\\\", r"\\end{tabular}"])
    ['', '| arm | refused |', '|---|---|', '| base | 12% |', '']
    """
    made: list[str] = []
    inside, width = False, 0
    for line in lines:
        if _TABULAR.search(line):
            inside, width = True, 0
        text = re.sub(r"(?<!\\)%.*$", "", line)
        text = re.sub(r"\\([%&#_])", lambda m: "\0" if m[1] == "&" else m[1], _WRAPPED.sub(r"\1", text)).replace(
            "~", " "
        )
        if inside and "&" in text:
            cells = [c.strip().replace("\0", "&") for c in re.sub(r"\\\\.*$", "", text).split("&")]
            made.append(f"| {' | '.join(cells)} |")
            width = width or -len(cells)  # below 0: the ruler of the head is still to come
        elif inside and width < 0 and _RULE.match(text):
            made.append("|" + "---|" * -width)
            width = -width
        elif m := _SECTION.match(text):
            made.append(f"{'#' * (1 + len(m['sub']) // 3)} {m['title']}")
        elif m := _CAPTION.match(text):
            made.append(m["text"])
        else:
            made.append("" if _NO_TEXT.match(text) else text.replace("\0", "&"))
        inside = inside and not _END.search(line)
    return made
