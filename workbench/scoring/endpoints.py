"""What does a chat endpoint say? An OpenAI-compatible one is asked for the log-probabilities of its first token.

Anything that speaks ``POST {url}/chat/completions`` with ``logprobs``: a hosted service, vLLM, llama.cpp's server. What is
judged leaves this machine, so an address is always given, never assumed.
"""

import logging
import math
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench._errors import WorkbenchError

if TYPE_CHECKING:
    import httpx

_LOG = logging.getLogger(__name__)

#: worth trying again: too early, too many, or the server's own trouble
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True)
class Reply:
    """What the endpoint said: probabilities of the first token [token -> p], the second token, and tokens used."""

    first: Mapping[str, float]
    second: str
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True)
class Endpoint:
    """Where a judge is asked, and how politely.

    Attributes:
        model: as the endpoint calls it.
        url: up to the version, e.g. ``"http://localhost:8000/v1"``.
        key_from: environment variable that holds the key; "" where none is needed. The key itself is kept nowhere.
        per_minute: requests per minute at most.
        retries: how often a request that failed in passing (429, 5xx, connection) is tried again.
        backoff: seconds before the first retry, doubled at each; a ``Retry-After`` of the server goes first.
        price: dollars per million tokens read and written, for the cost that is shown.

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
        if not self.url.startswith(("http://", "https://")):
            raise WorkbenchError(f"url {self.url!r}: expected e.g. 'http://localhost:8000/v1'")
        if self.per_minute <= 0 or self.retries < 0 or self.backoff < 0:
            raise WorkbenchError(
                f"per_minute is {self.per_minute}, retries {self.retries}, backoff {self.backoff}; expected more than 0, "
                "and 0 or more"
            )

    def price_of(self, tokens_in: int, tokens_out: int) -> float:
        """Dollars for so many tokens; NaN without a price."""
        return (tokens_in * self.price[0] + tokens_out * self.price[1]) / 1e6


class Connection:
    """An open connection to an endpoint: keeps the rate, tries again. Use it as a context.

    Raises:
        WorkbenchError: the key is not in the environment, or the endpoint refuses, breaks off for good, or answers without
            log-probabilities.
    """

    def __init__(self, endpoint: Endpoint):
        import httpx

        self.endpoint = endpoint
        self._next = 0.0
        key = os.environ.get(endpoint.key_from, "") if endpoint.key_from else ""
        if endpoint.key_from and not key:
            raise WorkbenchError(
                f"no key for {endpoint.url}: set the environment variable {endpoint.key_from}, or key_from='' for a server "
                "that wants none"
            )
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(base_url=endpoint.url, headers=headers, timeout=endpoint.timeout)

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
        for attempt in range(self.endpoint.retries + 1):
            self._wait()
            response, trouble = self._post(body)
            if response is not None and response.status_code == 200:
                return _reply(response.json(), self.endpoint)
            if attempt < self.endpoint.retries:
                pause = _pause(response, self.endpoint.backoff * 2**attempt)
                _LOG.info("%s; trying again in %.1f s", trouble, pause)
                time.sleep(pause)
        raise WorkbenchError(f"{self.endpoint.url} failed {self.endpoint.retries + 1} times, at last: {trouble}")

    def _post(self, body: Mapping[str, Any]) -> "tuple[httpx.Response | None, str]":
        """The response, and in words what is wrong with it; raises where trying again would not help."""
        import httpx

        try:
            response = self._client.post("/chat/completions", json=body)
        except httpx.TransportError as error:
            return None, f"{type(error).__name__}: {error}"
        trouble = f"HTTP {response.status_code}: {response.text[:200]}"
        if response.status_code != 200 and response.status_code not in _PASSING:
            raise WorkbenchError(f"{self.endpoint.url} refuses the request ({self.endpoint.model}). {trouble}")
        return response, trouble

    def _wait(self) -> None:
        """Until the rate allows the next request."""
        now = time.monotonic()
        if self._next > now:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + 60 / self.endpoint.per_minute


def _pause(response: "httpx.Response | None", usual: float) -> float:
    """Seconds until the next try: what the server asks for, else the usual with up to a quarter of jitter."""
    try:
        return float(response.headers["Retry-After"]) if response is not None else usual * random.uniform(1, 1.25)
    except (KeyError, ValueError):  # no such header, or a date
        return usual * random.uniform(1, 1.25)


def _reply(body: Mapping[str, Any], endpoint: Endpoint) -> Reply:
    try:
        content = body["choices"][0]["logprobs"]["content"]
        first: dict[str, float] = {}
        for top in content[0]["top_logprobs"]:
            first[top["token"]] = first.get(top["token"], 0.0) + math.exp(top["logprob"])
    except (KeyError, IndexError, TypeError) as error:
        raise WorkbenchError(
            f"{endpoint.model} at {endpoint.url} answers without log-probabilities, which the rating is computed from; "
            "expected choices[0].logprobs.content[0].top_logprobs"
        ) from error
    usage = body.get("usage") or {}
    second = content[1]["token"] if len(content) > 1 else ""
    return Reply(first, second, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))
