"""What a message may hold: no secret, however it is written, and no character that a terminal obeys."""

import base64
import html
import json
import logging
import os
import re
from functools import lru_cache
from urllib.parse import quote, quote_plus

REDACTED = "[redacted]"

_SECRETS: set[str] = set()

#: environment variables that hold secrets, by a word of their names
_SECRET_NAME = re.compile(
    r"(?:^|[_A-Z])(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PASS|_PWD|CREDENTIAL|PAT|AUTH|COOKIE|WEBHOOK)S?(?:_|\d|$)",
    re.IGNORECASE,
)

#: what is a secret by its form, whoever wrote it: keys of model services, hubs and clouds, what a header or an address carries
_SECRET_FORM = re.compile(
    r"\b(?:sk|pk|rk)-[\w-]{16,}|\bhf_\w{16,}|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bA[KS]IA[0-9A-Z]{16}\b|\bAIza[\w-]{30,}"
    r"|\bxox[abeoprs]-[\w-]{10,}|\bglpat-[\w-]{16,}|\bnpm_\w{30,}|\bpypi-[\w-]{16,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|(?<=Bearer )[^\s'\"\\\[]{6,}|(?<=Basic )[A-Za-z0-9+/=]{12,}|(?<=://)[^\s/@'\"]*:[^\s/@'\"]*(?=@)"
    r"|(?<=[?&])(?P<name>(?:api[_-]?key|key|token|access_token|auth|sig|signature|secret|password)=)[^\s&#'\"]+",
    re.IGNORECASE,
)
_SHORTEST = 6  # what is shorter, e.g. "EMPTY", is a word that occurs in any text

#: what a terminal obeys or a reader cannot see: control characters but tab and newline, line separators, what turns the
#: direction of writing around, invisible characters and tags, and halves of characters
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def keep_secret(secret: str) -> None:
    """Have no message, log or error of this process hold a secret, however it is written: see ``_forms``."""
    for form in {secret, secret.strip()}:
        if len(form) >= _SHORTEST:
            _SECRETS.update(_forms(form))


@lru_cache(maxsize=1024)
def _forms(secret: str) -> frozenset[str]:
    """How a secret may be written: as it is, escaped for Python, JSON, HTML or an address, in base64, in hexadecimal digits."""
    raw = os.fsencode(secret)
    escaped = {repr(secret)[1:-1], repr(raw)[2:-1], json.dumps(secret)[1:-1], html.escape(secret)}
    escaped |= {secret.replace("/", "\\/")}  # what PHP makes of it
    quoted = {quote(raw, ""), quote(raw), quote_plus(raw), quote_plus(raw, "/")}
    quoted |= {re.sub("%..", lambda code: code[0].lower(), form) for form in quoted}
    return frozenset({secret, *escaped, *quoted, *_base64_forms(raw), raw.hex(), raw.hex().upper()})


def _base64_forms(raw: bytes) -> set[str]:
    """A secret in base64, alone and inside a longer text, e.g. "user:secret": three bytes make four signs, so three places."""
    forms = {base64.b64encode(raw).decode().rstrip("=")}
    for before in range(3):
        signs = base64.b64encode(bytes(before) + raw).decode()
        forms.add(signs[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6])  # those that no neighbour decides
    return forms | {form.replace("+", "-").replace("/", "_") for form in forms}


def redact(text: str) -> str:
    r"""A text without secrets: those of ``keep_secret``, the values of variables such as HF_TOKEN, and what looks like one.

    >>> keep_secret("tr0ub4dor")
    >>> redact("Illegal header value b'Bearer tr0ub4dor'")
    "Illegal header value b'Bearer [redacted]'"
    >>> redact("GET https://me:pa55@host/v1?api_key=abc&n=3")
    'GET https://[redacted]@host/v1?api_key=[redacted]&n=3'
    """
    for name in list(os.environ):  # a copy of each table: another thread may write to it meanwhile
        value = os.environ.get(name, "")
        if _SECRET_NAME.search(name) and not os.path.exists(value):
            keep_secret(value)
    spans = [found.span() for secret in tuple(_SECRETS) for found in re.finditer(re.escape(secret), text)]
    spans += [
        (found.end("name") if found["name"] else found.start(), found.end()) for found in _SECRET_FORM.finditer(text)
    ]
    merged: list[list[int]] = []
    for start, stop in sorted(spans):  # of two that overlap, neither end may stay
        if merged and start < merged[-1][1]:
            merged[-1][1] = max(stop, merged[-1][1])
        else:
            merged.append([start, stop])
    for start, stop in reversed(merged):
        text = text[:start] + REDACTED + text[stop:]
    return text


def show_controls(text: str) -> str:
    r"""A text whose control characters are shown and not obeyed; newlines and tabs stay.

    >>> print(show_controls("\x1b[31mred\x1b[0m"))
    \x1b[31mred\x1b[0m
    """
    return _CONTROLS.sub(lambda control: control[0].encode("unicode_escape").decode(), text)


class Redacting(logging.Filter):
    """A filter for loggers: what they say holds no secret, and no control character is obeyed."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; it is always logged."""
        record.msg, record.args = show_controls(redact(record.getMessage())), ()
        if record.exc_info:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True


def logger(name: str) -> logging.Logger:
    """The logger of a module: what it says goes through ``Redacting``."""
    made = logging.getLogger(name)
    made.addFilter(Redacting())
    return made
