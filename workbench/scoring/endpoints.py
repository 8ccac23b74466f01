"""What does a chat endpoint say? An OpenAI-compatible one is asked for the log-probabilities of its first token.

Anything that speaks ``POST {url}/chat/completions`` with ``logprobs``: a hosted service, vLLM, llama.cpp's server. What is
judged leaves this machine, so an address is always given, never assumed. An endpoint is not trusted: a reply has a deadline
and a largest size, a pause has a longest length, and a reply that makes no sense is reported as such.
"""

import json
import logging
import math
import os
import queue
import random
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from workbench._errors import WorkbenchError
from workbench._errors.redaction import Redacting, keep_secret, logger, redact

if TYPE_CHECKING:
    import httpx

_LOG = logger(__name__)

#: worth trying again: too early, too many, or the server's own trouble
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})

#: what a server says of one request and not of the next: it is malformed, too long, not to be processed, filtered
_OF_ONE_REQUEST = frozenset({400, 413, 414, 422, 451})

_LONGEST_PAUSE = 60.0  # seconds, whatever the server asks for
_LARGEST_REPLY = 4 << 20  # bytes; an answer of two tokens with their alternatives has a few thousand

#: loggers that tell what headers a server sent, which may be those that it got
_TELL_HEADERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy")

#: the largest that makes sense: seconds for one reply, and times that one request is tried again
_LONGEST_REPLY, _MOST_RETRIES = 3600.0, 100

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


@dataclass(frozen=True)
class Reply:
    """What the endpoint said: probabilities of the first token [token -> p], the second token, and tokens used.

    ``broken`` says what is wrong with a reply that cannot be read; it has no tokens then.
    """

    first: Mapping[str, float] = field(default_factory=dict)
    second: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    broken: str = ""


@dataclass(frozen=True)
class Endpoint:
    """The address of a judge model, with its rate limit, retries and timeout.

    Attributes:
        model: the name of the model at the endpoint.
        url: the address up to the version, e.g. ``"http://localhost:8000/v1"``.
        key_from: environment variable that holds the key; "" where none is needed. The key itself is never saved, and
            no message, log or page shows it.
        per_minute: requests per minute at most.
        retries: how often a request is retried after a temporary failure (429, 5xx, connection).
        backoff: seconds before the first retry, doubled at each retry; a ``Retry-After`` of the server takes
            precedence. No pause is longer than a minute.
        timeout: seconds that a whole reply may take.
        price: dollars per million input and output tokens, to show the cost.

    >>> Endpoint("my-judge", "http://localhost:8000/v1", key_from="").price_of(2_000_000, 1000)
    nan
    """

    model: str
    url: str
    key_from: str = "OPENAI_API_KEY"
    per_minute: float = 300.0
    retries: int = 6
    backoff: float = 1.0
    timeout: float = 60.0
    price: tuple[float, float] = (math.nan, math.nan)

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model.strip():
            raise WorkbenchError("an endpoint needs the name of a model, as the endpoint calls it")
        _check_url(self.url)
        if not isinstance(self.key_from, str):
            raise WorkbenchError(
                f"key_from is a {type(self.key_from).__name__}; expected text, '' where no key is needed"
            )
        if self.key_from and not (_VARIABLE.fullmatch(str(self.key_from)) or self.key_from in os.environ):
            raise WorkbenchError(
                "key_from is the name of an environment variable, e.g. 'OPENAI_API_KEY', and no such variable is set; a key "
                "itself does not belong into code"
            )
        ranges = {  # least and most, and in words
            "per_minute": (1 / 60, 1e9, "requests a minute, from one an hour"),
            "timeout": (1e-3, _LONGEST_REPLY, "seconds for a whole reply, more than 0 and at most an hour"),
            "retries": (0, _MOST_RETRIES, f"a whole number from 0 to {_MOST_RETRIES}"),
            "backoff": (0, 1e9, "seconds before the first retry, 0 or more"),
        }
        for name, (least, most, expected) in ranges.items():
            rate = getattr(self, name)
            if not _is_number(rate) or not least <= rate <= most or (name == "retries" and rate % 1):
                raise WorkbenchError(f"{name} is {rate!r:.40}; expected {expected}")
        if (
            not isinstance(self.price, tuple)
            or len(self.price) != 2
            or not all(_is_number(p) and (p != p or 0 <= p <= 1e9) for p in self.price)
        ):
            raise WorkbenchError(f"price is {self.price}; expected dollars per million tokens read and written")

    def price_of(self, tokens_in: int, tokens_out: int) -> float:
        """Dollars for so many tokens; NaN without a price."""
        return (tokens_in * self.price[0] + tokens_out * self.price[1]) / 1e6


def _check_url(url: object) -> None:
    """Refuse what is no plain address; one that may hold a password or a key is not repeated."""
    expected = "expected e.g. 'http://localhost:8000/v1'"
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise WorkbenchError(f"url {url!r:.100}: {expected}")
    if any(mark in url for mark in "@?#"):
        raise WorkbenchError(f"the url holds a user, a query or a fragment: {expected}; a key goes into key_from=")
    try:
        parts = urlsplit(url)
        is_plain = bool(parts.hostname) and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:  # a port that is none
        is_plain = False
    if not is_plain:
        raise WorkbenchError(f"url {url!r:.100}: {expected}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Connection:
    """An open connection to an endpoint: keeps the rate, tries again. Use it as a context.

    Raises:
        WorkbenchError: the key is not in the environment or no key, or the endpoint refuses, breaks off for good, or never
            answers with log-probabilities.
    """

    def __init__(self, endpoint: Endpoint):
        self.endpoint = endpoint
        self._next = 0.0
        self._has_answered = False
        raw = os.environ.get(endpoint.key_from, "") if endpoint.key_from else ""
        keep_secret(raw)
        key = raw.strip()  # a key that was read from a file ends in a newline
        if endpoint.key_from and not key:
            raise WorkbenchError(
                f"no key for {endpoint.url}: set the environment variable {endpoint.key_from}, or key_from='' for a server "
                "that wants none"
            )
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise WorkbenchError(f"the key in {endpoint.key_from} has blanks or signs that no key has; set it again")
        for name in _TELL_HEADERS:
            if not any(isinstance(known, Redacting) for known in logging.getLogger(name).filters):
                logging.getLogger(name).addFilter(Redacting())
        self._headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._client = self._open()

    def _open(self) -> "httpx.Client":
        import httpx

        return httpx.Client(base_url=self.endpoint.url, headers=self._headers, timeout=self.endpoint.timeout)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def ask(self, messages: Sequence[Mapping[str, str]]) -> Reply:
        """The first token's distribution for a chat, as far as the endpoint tells it (the 20 likeliest)."""
        body = {
            "model": self.endpoint.model,
            "messages": list(messages),
            "max_tokens": 2,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": 20,
        }
        trouble = ""
        for attempt in range(int(self.endpoint.retries) + 1):
            self._wait()
            answer = self._post(body)
            if 200 <= answer.status < 300:
                return self._reply(answer)
            if answer.status in _OF_ONE_REQUEST:  # e.g. a filter of contents: the next row may be answered
                return Reply(broken=answer.trouble)
            trouble = answer.trouble
            if answer.status and answer.status not in _PASSING:
                raise WorkbenchError(f"{self.endpoint.url} refuses the request ({self.endpoint.model}). {trouble}")
            if attempt < self.endpoint.retries:
                pause = _pause(answer.retry_after, self.endpoint.backoff * 2.0 ** min(attempt, 30))
                _LOG.info("%s; trying again in %.1f s", trouble, pause)
                time.sleep(pause)
        raise WorkbenchError(f"{self.endpoint.url} failed {self.endpoint.retries + 1} times, at last: {trouble}")

    def _post(self, body: Mapping[str, Any]) -> "_Answer":
        """What came back by the deadline. Another thread waits for it: no timeout of a socket covers names, or headers that drip."""
        answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        client, deadline, begun = self._client, time.monotonic() + self.endpoint.timeout, threading.Event()
        ask = lambda: answers.put(_exchange(client, body, deadline, begun))  # noqa: E731
        threading.Thread(target=ask, daemon=True).start()
        try:
            return answers.get(timeout=self.endpoint.timeout + 1)
        except queue.Empty:
            client.close()
            self._client = self._open()
            within = f"within {self.endpoint.timeout:g} s"
            return (
                _Answer(200, b"", f"half a reply {within}") if begun.is_set() else _Answer(0, b"", f"no reply {within}")
            )

    def _wait(self) -> None:
        """Until the rate allows the next request."""
        now = time.monotonic()
        if self._next > now:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + 60 / self.endpoint.per_minute

    def _reply(self, answer: "_Answer") -> Reply:
        """A reply as probabilities. An endpoint that has never given any is refused, since no other row would get a value."""
        if answer.trouble:
            return Reply(broken=answer.trouble)
        try:
            body = json.loads(answer.content)
            choice = body["choices"][0]
            if choice.get("logprobs") is None and not self._has_answered:
                raise WorkbenchError(
                    f"{self.endpoint.model} at {self.endpoint.url} answers without log-probabilities, which the rating is "
                    "computed from; expected choices[0].logprobs.content[0].top_logprobs"
                )
            content = choice["logprobs"]["content"]
            first: dict[str, float] = {}
            for top in content[0]["top_logprobs"]:
                if not isinstance(top["token"], str) or not _is_number(top["logprob"]) or not top["logprob"] <= 0.001:
                    raise ValueError
                first[top["token"]] = first.get(top["token"], 0.0) + math.exp(top["logprob"])
            if not first or sum(first.values()) > 1.01:  # no probabilities; a little more than 1 is rounding
                raise ValueError
            second = str(content[1]["token"]) if len(content) > 1 else ""
        except WorkbenchError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
            start = redact(answer.content[:2000].decode("utf-8", "replace"))[:80]
            return Reply(broken=f"a reply that is no chat completion with log-probabilities: {start!r}")
        self._has_answered = True
        usage = body.get("usage")
        return Reply(first, second, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))


@dataclass(frozen=True)
class _Answer:
    """What came back: its status (0 where nothing did), its content, what is wrong with it, and ``Retry-After``."""

    status: int = 0
    content: bytes = b""
    trouble: str = ""
    retry_after: str = ""


def _exchange(client: "httpx.Client", body: Mapping[str, Any], deadline: float, begun: threading.Event) -> _Answer:
    """Ask, and read no more than the largest reply and no longer than the deadline; ``begun`` is set when status 200 has come."""
    import httpx

    content, broken = b"", ""
    try:
        with client.stream("POST", "/chat/completions", json=body) as response:
            if response.status_code == 200:
                begun.set()
            for part in response.iter_bytes():
                content += part
                if len(content) > _LARGEST_REPLY:
                    broken = f"a reply of more than {_LARGEST_REPLY >> 20} MB, which was not read on"
                elif time.monotonic() > deadline:
                    broken = f"a reply that had not ended by the deadline, after {len(content)} bytes"
                if broken:
                    break
    except Exception as error:  # whatever it is, it may hold the headers: its text alone is told
        torn = isinstance(error, httpx.RemoteProtocolError) and not str(error).startswith("Server disconnected")
        passing = isinstance(error, httpx.TransportError) and not begun.is_set() and not torn
        return _Answer(0 if passing else 200, b"", redact(f"{type(error).__name__}: {error}"))
    if response.status_code != 200:
        told = redact(content[:20_000].decode("utf-8", "replace"))[:200]  # before it is cut: half a key is one too
        broken = f"HTTP {response.status_code}: {told}"
    return _Answer(response.status_code, content, broken, response.headers.get("Retry-After", ""))


def _pause(asked: str, usual: float) -> float:
    """Seconds until the next try: what the server asks for, else the usual with up to a quarter of jitter; a minute at most."""
    try:
        pause = float(asked)
    except ValueError:  # nothing, or a date
        pause = math.nan
    if not 0 <= pause < math.inf:
        pause = usual * random.uniform(1, 1.25)
    return min(pause, _LONGEST_PAUSE)


def _count(usage: object, name: str) -> int:
    """Tokens used, where the endpoint tells a number of them."""
    number = usage.get(name) if isinstance(usage, dict) else 0
    return number if type(number) is int and 0 <= number < 1 << 40 else 0
