"""Markdown and plain text: headings, paragraphs, items, and tables with pipes, as a grid, in boxes or aligned by spaces."""

import csv
import re

from workbench.claims.log_builder import LogBuilder
from workbench.claims.log_numbers import plain, read_cell

Line = tuple[int, str]  # its number in the file, its text

_BULLET = re.compile(r"^\s*(?:[-*+•‣◦✓✗✅❌☐☑]|\d{1,3}[.)]|\[[ xX]\])\s+")
_RULE = re.compile(r"^\s*([=\-_*~#])\1{2,}\s*$")
_UNDERLINE = re.compile(r"^\s*(=+|-+|~+)\s*$")
_ATX = re.compile(r"^\s{0,3}(#{1,6})\s+(.*?)#*\s*$")
_FENCE = re.compile(r"^\s*(```+|~~~+)\s*(\S*)")
_BOLD_LINE = re.compile(r"\*\*[^*]+\*\*:?|__[^_]+__:?")
_TEXT_FENCES = ("text", "txt", "output", "console", "log", "none", "plain", "md", "markdown")
_PIPE_RULE = re.compile(r"^\s*\|?\s*:?-{1,}:?\s*(?:\|\s*:?-{1,}:?\s*)*\|?\s*$")
_GRID_RULE = re.compile(r"^\s*\+(?:[-=:]+\+)+\s*$")
_SPACE_RULE = re.compile(r"^\s*[-=]{2,}(?:\s+[-=]{2,})+\s*$")
_BOX = re.compile(r"[│┃║]")
_BOX_RULE = re.compile(r"^\s*[┌├└┏┡┣┗╞╭╰─━═┬┼┴┐┤┘┳╇╋┻┓┩┫┛╡╮╯╪╤╧+\- ]+\s*$")
_BAR = re.compile(r"\d%\|.*\||\[\d+:\d\d<|\d(?:it|s)/(?:s|it)\b")  # of tqdm
_FIELD = re.compile(r"\S+(?: \S+)*")
_LONG_WORD = re.compile(r"[^\s|]{400,}")
_CAPTION = re.compile(r"^[*_]*(?:Table|Tab\.|:)\s?\d*")


def read_markdown(log: LogBuilder, lines: list[Line]) -> None:
    """Read lines into a log; bars of progress and words longer than any are left out."""
    _Reader(log, [(n, "" if _BAR.search(line) else _LONG_WORD.sub("…", line)) for n, line in lines]).read()


class _Reader:
    def __init__(self, log: LogBuilder, lines: list[Line]):
        self.log, self.lines = log, lines
        self.paragraph: list[Line] = []
        self.fence = ""

    def at(self, i: int) -> str:
        return self.lines[i][1] if i < len(self.lines) else ""

    def read(self) -> None:
        i = 0
        while i < len(self.lines):
            i += self.fenced(i) or self.table(i) or self.code() or self.heading(i) or self.text(i)
        self.flush()

    def flush(self) -> None:
        """End the paragraph."""
        if self.paragraph:
            text, places = "", []
            for number, part in self.paragraph:
                places.append((len(text), number))
                text += part.strip() + " "
            self.log.sentences(text, places)
            self.log.last_text = plain(self.paragraph[-1][1]).strip()
            self.paragraph = []

    # each of these says how many lines it has taken from line i on: 0 where the line is not its kind

    def fenced(self, i: int) -> int:
        fence = _FENCE.match(self.at(i))
        if not fence:
            return 0
        self.flush()
        self.fence = "" if self.fence else fence[2] or "text"
        return 1 + (self.fenced_csv(i + 1) if self.fence in ("csv", "tsv") else 0)

    def fenced_csv(self, i: int) -> int:
        end = next((k for k in range(i, len(self.lines)) if _FENCE.match(self.at(k))), len(self.lines))
        filled = [(n, line) for n, line in self.lines[i:end] if line.strip()]
        if len(filled) > 1:
            delimiter = "\t" if self.fence == "tsv" else ","
            head, *rows = csv.reader([line for _, line in filled], delimiter=delimiter)
            where = [n for n, _ in filled]
            self.log.table(head, rows, where[0], where[1:])
        return end - i

    def code(self) -> int:
        return int(bool(self.fence) and self.fence not in _TEXT_FENCES)

    def heading(self, i: int) -> int:
        number, line = self.lines[i]
        stripped, ahead = line.strip(), self.at(i + 1)
        if (atx := _ATX.match(line)) and not self.fence:
            return self.titled(len(atx[1]), atx[2], number, 1)
        if _RULE.match(line):
            self.flush()
            if ahead.strip() and _RULE.match(self.at(i + 2)) and len(ahead) < 90:  # a title between two rulers
                return self.titled(1, ahead, self.lines[i + 1][0], 3)
            return 1
        fresh = bool(stripped) and not self.paragraph
        if fresh and len(stripped) < 90 and _UNDERLINE.match(ahead) and len(ahead.strip()) >= 3:
            return self.titled(1 if "=" in ahead else 2, stripped, number, 2)
        if _BOLD_LINE.fullmatch(stripped) or (fresh and _is_shouted(stripped)):
            return self.titled(7, stripped, number, 1)
        return 0

    def titled(self, level: int, text: str, number: int, taken: int) -> int:
        self.flush()
        self.log.heading(level, text, number)
        return taken

    def text(self, i: int) -> int:
        number, line = self.lines[i]
        stripped = line.strip()
        if not stripped:
            self.flush()
            self.log.block += 1
        elif bullet := _BULLET.match(line):
            self.flush()
            self.paragraph = [(number, line[bullet.end() :])]
        elif self.paragraph and _begins_anew(self.paragraph[-1][1], stripped):
            self.flush()
            self.paragraph = [(number, stripped)]
        else:
            self.paragraph.append((number, re.sub(r"^\s*>+\s?", "", stripped)))
        return 1

    # ---- tables

    def table(self, i: int) -> int:
        line, following = self.at(i), self.at(i + 1)
        taken = 0
        if "|" in line and "-" in following and _PIPE_RULE.match(following):
            taken = self.pipes(i, 2)
        elif all(x.strip().startswith("|") for x in (line, following)) and line.count("|") == following.count("|") > 2:
            taken = self.pipes(i, 1)
        elif _GRID_RULE.match(line) or (line.strip() and _BOX_RULE.match(line) and _BOX.search(following)):
            taken = self.grid(i)
        elif re.search(r"\S(?:\s{2,}|\t)\S", line):
            taken = self.aligned(i)
        self.log.block += bool(taken)
        return taken

    def pipes(self, i: int, skip: int) -> int:
        end = i + skip
        while "|" in self.at(end):
            end += 1
        body = [line for line in self.lines[i + skip : end] if not _PIPE_RULE.match(line[1])]
        rows, where = [_pipe_cells(line) for _, line in body], [n for n, _ in body]
        self.flush()
        caption = self.at(end).strip() or self.at(end + 1).strip()
        title = f"{self.log.last_text}\n{plain(caption)}" if _CAPTION.match(caption) else self.log.last_text
        self.log.table(_pipe_cells(self.at(i)), rows, self.lines[i][0], where, title)
        self.log.wordy_cells(rows, where)
        return end - i

    def grid(self, i: int) -> int:
        ruled = bool(_GRID_RULE.match(self.at(i)))
        rows: list[list[str]] = []
        where: list[int] = []
        borders = head_rows = 0
        fresh, j = True, i
        for j in range(i, len(self.lines) + 1):
            line = self.at(j)
            if line.strip() and (_GRID_RULE.match(line) or _BOX_RULE.match(line)):
                borders, fresh = borders + 1, True
                head_rows = len(rows) if borders == 2 else head_rows
            elif "|" in line or _BOX.search(line):
                cells = [c.strip() for c in re.split(r"[|│┃║]", line.strip().strip("|│┃║"))]
                goes_on = ruled and not fresh and borders > 1 and len(cells) == len(rows[-1])
                if goes_on and not (len(rows) > head_rows and cells[0]):
                    rows[-1] = [f"{a} {b}".strip() for a, b in zip(rows[-1], cells, strict=True)]
                else:
                    rows.append(cells)
                    where.append(self.lines[j][0])
                fresh = False
            else:
                break
        if len(rows) < 2:
            return 0
        self.flush()
        self.log.table(rows[0], rows[1:], where[0], where[1:])
        return j - i

    def aligned(self, i: int) -> int:
        line, following = self.at(i), self.at(i + 1)
        head = _fields(line)
        if _SPACE_RULE.match(line) or _BULLET.match(line) or len(head) < 2:
            return 0
        ruled = bool(_SPACE_RULE.match(following))
        starts = [m.start() for m in re.finditer(r"[-=]{2,}", following)] if ruled else []
        if ruled and len(starts) != len(head) and all((by_ruler := _cut(line, starts))[1:]):
            head = by_ruler
        rows: list[list[str]] = []
        where: list[int] = []
        j = i + (2 if ruled else 1)
        under = None if ruled else _Heads(line)
        while self.at(j).strip() or (under and under.take(self.at(j + 1))):
            text = self.at(j)
            if not text.strip():  # a blank line inside, as in a report of scikit-learn
                j += 1
                continue
            if _SPACE_RULE.match(text) or _RULE.match(text):
                if rows and len(_fields(self.at(j + 1))) >= len(head) - 1:  # a ruler above the totals
                    j += 1
                    continue
                break
            cells = _fields(text)
            if not rows and not ruled and len(cells) == len(head) + 1 and _indent(text) < _indent(line) >= 2:
                head = ["", *head]  # the column that names the rows has no head
            if ruled and len(cells) != len(head) == len(starts):
                cells = _cut(text, starts)
            elif under and len(cells) < len(head) and (placed := under.take(text)):
                cells = placed
            odd = len(cells) not in (len(head), len(head) + 1) or bool(_BULLET.match(text))
            if odd and (not ruled or len(cells) < 2):
                break
            rows.append(cells)
            where.append(self.lines[j][0])
            j += 1
        head, rows = _merged_count_heads(head, rows)
        numeric = sum(any(read_cell(c) for c in row[1:]) for row in rows)
        if len(rows) < (1 if ruled else 2) or numeric * 2 < len(rows):
            return 0
        self.flush()
        if not ruled and all(read_cell(c) and not re.search(r"[a-zA-Zα=]", c) for c in head[1:]):  # no head at all
            rows.insert(0, head)
            where.insert(0, self.lines[i][0])
            head = [""] * len(head)
        self.log.table(head, rows, self.lines[i][0], where)
        return j - i


class _Heads:
    """The heads of a table aligned by spaces without a ruler, and where they end: numbers are aligned at their right edge."""

    def __init__(self, line: str):
        self.ends = [m.end() for m in _FIELD.finditer(line)]
        self.indented = _indent(line) >= 2

    def take(self, text: str) -> list[str]:
        """The cells of a row, with a label before them and empty ones where it has none; nothing where it does not fit."""
        fields = list(_FIELD.finditer(text))
        if not self.indented or len(fields) < 3 or not all(read_cell(m[0]) for m in fields[1:]):
            return []
        cells = dict.fromkeys(self.ends, "")
        for m in fields[1:]:
            end = min(self.ends, key=lambda e: abs(e - m.end()))
            if abs(end - m.end()) > 1 or cells[end]:
                return []
            cells[end] = m[0]
        return [fields[0][0], *cells.values()]


def _is_shouted(line: str) -> bool:
    """Whether a line in capitals is a heading, not a result."""
    result = re.search(r"\d\s?%|\d/\d|=\s?\.?\d", line)
    return line.isupper() and len(line) < 80 and bool(re.search(r"[A-Z]{4}", line)) and not result


def _begins_anew(last: str, line: str) -> bool:
    """Whether a line of plain text begins something new rather than going on with the line before."""
    unfinished = last.rstrip().endswith((",", "(", "-", "→")) or re.search(
        r"\b(?:and|or|of|to|the|a|with|at|in|from|than)\s*$", last
    )
    return (
        (len(last.strip()) < 55 and not unfinished)
        or bool(re.match(r"^[A-Za-z][\w ()/α-]{0,40}:\s", line))
        or last.rstrip().endswith((":", "  ", "\\"))
        or bool(re.match(r"^\s*[\w%]+ ?[=:] ?[-+]?\.?\d", line))
    )


def _merged_count_heads(head: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """A count such as 9/12 under the two heads "Refusals  Total": one head for both."""
    for j in range(len(head) - 1):
        counts = all(len(row) > j and re.fullmatch(r"\d+\s?/\s?\d+", row[j]) for row in rows)
        if counts and re.fullmatch(r"(?:total|n|of)", head[j + 1].strip(), re.IGNORECASE):
            fitted = [[c for c in row if c] for row in rows]
            return [*head[: j + 1], *head[j + 2 :]], [r[: len(head) - 1] for r in fitted]
    return head, rows


def _pipe_cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    inner = inner.removesuffix("|") if not inner.endswith("\\|") else inner
    return [c.replace("\\|", "|").strip() for c in re.split(r"(?<!\\)\|", inner)]


def _fields(line: str) -> list[str]:
    """Cells with two spaces or a tab between them; what is quoted is one."""
    quoted = re.sub(r"'[^']*'|\"[^\"]*\"", lambda m: m[0].replace(" ", "\x01"), line.strip())
    return [c.replace("\x01", " ") for c in re.split(r"\s{2,}|\t+", quoted) if c]


def _cut(line: str, starts: list[int]) -> list[str]:
    return [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
