"""How a chat is written as text: the model's own template, its options, and what a prompt may not hold."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any

from workbench._errors import WorkbenchError, unknown

Messages = Sequence[Mapping[str, str]]

#: The day that templates are told where they write today's date, so that a chat is the same tomorrow. It is the day that
#: Llama's own templates fall back to.
DATE = "2024-07-26"

#: what every template is given, beside its options
_GIVEN = {"messages", "add_generation_prompt", "strftime_now", "raise_exception", "range", "namespace", "dict", "loop"}

_THOUGHT = re.compile(r"<(think|thinking|thought|reasoning)>\s*$|\[(THINK)\]\s*$")
_QUESTION, _ANSWER = "Which river is the longest?", "That is the Nile."


def check_template(source: object) -> str:
    """A chat template as it is. Refuses a path, a text that is no Jinja template, and one that Jinja cannot read.

    >>> check_template("{{ messages[0].content }}")
    '{{ messages[0].content }}'
    """
    if isinstance(source, Path) or (isinstance(source, str) and "{" not in source and _is_file(source)):
        raise WorkbenchError(
            f"chat_template={str(source)!r} is the path of a file; give the template itself: "
            f"chat_template=Path({str(source)!r}).read_text()"
        )
    if not isinstance(source, str) or "{{" not in source or "message" not in source:
        raise WorkbenchError(
            f"chat_template={source!r:.60} is no chat template: expected Jinja text that writes messages, e.g. "
            "'{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}'; for a file, "
            "chat_template=Path('template.jinja').read_text()"
        )
    option_names(source)
    return source


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or a zero byte
        return False


def template_of(tokenizer: Any, name: str) -> str:
    """The chat template of a tokenizer; of several named ones the default. Raises WorkbenchError where there is none."""
    source = tokenizer.chat_template
    if not source:
        raise WorkbenchError(
            f"{name} has no chat template (a pretrained model?); give one: wb.load(..., chat_template='...')"
        )
    if isinstance(source, Mapping):
        if "default" not in source:
            raise WorkbenchError(
                f"{name} has the chat templates {', '.join(source)}, none called default; give one: "
                f"wb.load(..., chat_template=...)"
            )
        source = source["default"]
    try:
        return check_template(source)
    except WorkbenchError as error:
        raise WorkbenchError(f"{name}: {error}") from error


@cache
def option_names(source: str) -> frozenset[str]:
    """The names of the options that a template reads, ``date`` included where it writes today's."""
    import jinja2
    import jinja2.meta

    # transformers' own tag, which marks what the assistant says
    plain = re.sub(r"\{%-?\s*(?:end)?generation\s*-?%\}", "", source)
    try:
        tree = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(plain)
    except jinja2.TemplateSyntaxError as error:
        raise WorkbenchError(f"the chat template is broken: {error.message}, at its line {error.lineno}") from error
    if any(used.name == "random" for used in tree.find_all(jinja2.nodes.Filter)):
        raise WorkbenchError(
            "the chat template writes something else each time (| random), so no chat could be told from another; "
            "give another template: wb.load(..., chat_template=...)"
        )
    names = jinja2.meta.find_undeclared_variables(tree)
    names |= set(re.findall(r"\b(\w+) is (?:not )?defined", source))  # given a value by the template where it has none
    return frozenset(names - _GIVEN | ({"date"} if "strftime_now" in names else set()))


def template_options(tokenizer: Any, name: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options of a model's template, the date that it is told included.

    Raises:
        WorkbenchError: an option that the template does not read, or what is no date.
    """
    if options is not None and not isinstance(options, Mapping):
        raise WorkbenchError(f"template={options!r:.60}: expected options by name, e.g. {{'enable_thinking': False}}")
    if not options and not tokenizer.chat_template:
        return {}
    names = option_names(template_of(tokenizer, name))
    known = sorted(names - set(tokenizer.special_tokens_map))
    for option in options or {}:
        if option not in known:
            raise unknown("template option", option, known, f"; that is what the chat template of {name} reads")
    chosen = dict(options or {})
    if "date" in names:
        chosen.setdefault("date", DATE)
        try:
            date.fromisoformat(chosen["date"])
        except (ValueError, TypeError) as error:
            raise WorkbenchError(f"template date {chosen['date']!r}: expected a day, e.g. {DATE!r}") from error
    return chosen


def render(
    tokenizer: Any, name: str, messages: Messages, options: Mapping[str, Any], opens: bool = True, whose: str = "a chat"
) -> str:
    """A chat as text, up to where the model goes on if it ``opens`` the next turn.

    Raises:
        WorkbenchError: the template refuses the chat (a system prompt, or turns that do not alternate), or breaks.
    """
    from jinja2.exceptions import TemplateError

    source = template_of(tokenizer, name)
    if "strftime_now" in source:
        source = _on_day(source, options.get("date", DATE))
    try:
        return tokenizer.apply_chat_template(
            list(messages),
            tokenize=False,
            add_generation_prompt=opens,
            chat_template=source,
            **options,
        )
    except WorkbenchError:
        raise
    except Exception as error:  # a template is a program: it may divide by zero, or call itself without end
        said = error if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
        raise WorkbenchError(f"the chat template of {name} refuses {whose}: {said}") from error


@cache
def _on_day(source: str, day: str) -> str:
    """A template that takes ``day`` for today: transformers' own function is hidden by a macro of its name.

    transformers hands nothing but plain data to a template, so a function cannot be given.
    """
    moment = datetime.combine(date.fromisoformat(day), time())
    parts = {f"%{letter}": moment.strftime(f"%{letter}") for letter in "aAbBcdfHIjmMpSUwWxXyY"}
    parts |= {"%-d": str(moment.day), "%e": f"{moment.day:2}", "%-m": str(moment.month), "%F": day, "%%": "%"}
    replaced = "".join(f" | replace({json.dumps(part)}, {json.dumps(value)})" for part, value in parts.items())
    return "{%- macro strftime_now(format) -%}{{ format" + replaced + " }}{%- endmacro +%}" + source


def writes_system(tokenizer: Any, name: str, options: Mapping[str, Any]) -> bool:
    """Whether the template writes a system message."""
    messages = [{"role": "system", "content": _ANSWER}, {"role": "user", "content": _QUESTION}]
    template_of(tokenizer, name)
    try:
        return _ANSWER in render(tokenizer, name, messages, options)
    except WorkbenchError:
        return False


def check_kept(text: str, messages: Messages, name: str, whose: str) -> None:
    """Refuse a rendered chat in which a turn of the system or the user is missing, or stands in another place."""
    start = 0
    for message in messages:
        content = message["content"].strip()
        if message["role"] == "assistant":  # templates leave out what was thought in earlier turns
            continue
        start = text.find(content, start)
        if start < 0:
            raise WorkbenchError(
                f"the chat template of {name} does not keep {whose}: the turn of the {message['role']} is not in the chat "
                "that it writes; give another template: wb.load(..., chat_template=...)"
            )
        start += len(content)


@dataclass(frozen=True)
class ControlTokens:
    """What a tokenizer reads as tokens of its own, not as text: ``special`` ones, and ``all``, those of the template too."""

    special: tuple[str, ...]
    all: tuple[str, ...]

    def check(self, contents: Sequence[str], prefill: str, name: str, whose: str) -> None:
        """Refuse a prompt that holds one, such as the end of a turn. A prefill may open or close a thought."""
        for text, tokens in (*((content, self.all) for content in contents), (prefill, self.special)):
            if token := next((token for token in tokens if token in text), None):
                raise WorkbenchError(
                    f"{whose} holds {token!r}, which {name} reads as a control token, not as text; take it out, or ask for "
                    "it: wb.Prompt(..., control_tokens=True)"
                )


def control_tokens(tokenizer: Any, name: str) -> ControlTokens:
    """Special tokens, and what the template writes as a token or as a mark in brackets, such as [/INST]."""
    source, added = template_of(tokenizer, name), tokenizer.added_tokens_decoder.values()
    special = {token.content for token in added if token.special} | set(tokenizer.all_special_tokens)
    written = {token.content for token in added if token.content in source and re.search(r"\w", token.content)}
    written |= set(re.findall(r"\[/?[A-Z]{2,}\]|<</?[A-Z]{2,}>>", source))
    return ControlTokens(tuple(sorted(special - {""})), tuple(sorted((special | written) - {""})))


def check_chat(tokenizer: Any, name: str, options: Mapping[str, Any], stop_ids: frozenset[int]) -> None:
    """Refuse a template that does not keep the prompt, does not open the answer, or ends one with what is no stop token.

    Generation goes on behind such an end, into a turn of the user that the model invents. Where the answer is not opened, the
    model writes the header of its turn by itself, and what is read at the last token of the prompt is not where it answers.
    """
    if not tokenizer.chat_template:
        return
    question = {"role": "user", "content": _QUESTION}
    opened, closed = (render(tokenizer, name, [question], options, opens) for opens in (True, False))
    check_kept(opened, [question], name, "the prompt")
    turns = [question, {"role": "assistant", "content": _ANSWER}]
    text = render(tokenizer, name, turns, options, opens=False)
    before, answered, end = text.rpartition(_ANSWER)
    if not answered:
        raise WorkbenchError(
            f"the chat template of {name} does not keep an answer: it is not in the chat that it writes"
        )
    header = before.removeprefix(closed).strip() if before.startswith(closed) else ""
    if opened == closed and header:
        raise WorkbenchError(
            f"the chat template of {name} does not open the answer: it writes {header!r:.60} before an answer that is there, and "
            "nothing where the model is to answer. Let it write that where add_generation_prompt is true, or, for a look, "
            "wb.load(..., check=False)"
        )
    ids = tokenizer.encode(end.strip(), add_special_tokens=False)
    if not ids or ids[0] not in stop_ids:
        stops = ", ".join(repr(tokenizer.decode([i])) for i in sorted(stop_ids)) or "none"
        seen = f"{tokenizer.decode(ids[:1])!r} (token {ids[0]})" if ids else "nothing"
        raise WorkbenchError(
            f"the chat template of {name} ends an answer with {seen}, which is no stop token (they are {stops}), so a response "
            "would run on into an invented turn. "
            + (
                f"Add {ids[0]} to eos_token_id in the model's generation_config.json"
                if ids
                else "Let it write eos_token"
            )
            + ", or, for a look, wb.load(..., check=False)"
        )


def empty_thoughts(tokenizer: Any, name: str) -> dict[str, str]:
    """What ends a thought before it begins, by what opens the turn; of a template that lets the model think first.

    Either the template writes it itself when it is told ``enable_thinking=False``, or it opens the thought.
    """
    source = template_of(tokenizer, name)
    endings = {}
    tries: list[dict[str, Any]] = [{"enable_thinking": on} for on in (True, False)]
    if "enable_thinking" not in option_names(source):
        tries = [{}]
    question = [{"role": "user", "content": _QUESTION}]
    tails = []
    for options in tries:
        chosen = template_options(tokenizer, name, options)
        whole, closed = (render(tokenizer, name, question, chosen, opens) for opens in (True, False))
        tails.append(whole.removeprefix(closed) if whole.startswith(closed) else "")
    if len(tails) == 2 and tails[1].startswith(tails[0]) and tails[0] != tails[1]:
        endings[tails[0]] = tails[1][len(tails[0]) :]
    for tail in tails:
        if match := _THOUGHT.search(tail):
            endings[tail] = f"\n</{match[1]}>\n\n" if match[1] else "\n[/THINK]\n\n"
    return {tail: ending for tail, ending in endings.items() if tail}
