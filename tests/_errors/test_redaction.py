"""What looks like a key, or is one, is in no message and no log, whoever wrote it; and control characters are shown."""

import base64
import html
import importlib
import json
import logging
import os
import pkgutil
import re
import sys
import threading
from urllib.parse import quote, quote_plus

import pytest

import workbench as wb
from workbench._errors import redaction
from workbench._errors.redaction import Redacting, keep_secret, redact

KEYS = {
    "sk-proj-abcdefgh12345678": "",
    "hf_abcdefghijklmnopqrst": "",
    "ghp_abcdefghijklmnopqrstuvwxyz": "",
    "AKIAABCDEFGHIJKLMNOP": "",
    "ASIAABCDEFGHIJKLMNOP": "",
    "xoxb-123456789012-abcdef": "",
    "glpat-abcdefghijklmnopqrst": "",
    "npm_abcdefghijklmnopqrstuvwxyz0123456789": "",
    "pypi-AgEIcHlwaS5vcmcabcdef": "",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcDEF123": "",
    "abc.def.123456": "Authorization: Bearer {}",
    "dXNlcjpwYXNzd29yZA==": "Authorization: Basic {}",
    "me:pa55": "https://{}@host/v1",
    "qwerty": "GET https://host/v1?n=3&api_key={}&m=2",
    "asdfgh": "https://host/v1?token={}",
}


@pytest.fixture
def hurried():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("where", ["secrets", "environment"])
def test_a_secret_may_be_told_while_another_thread_redacts(monkeypatch, hurried, where):
    monkeypatch.setattr(redaction, "_SECRETS", {f"secret number {i}" for i in range(100)})
    ended = threading.Event()

    def tell():
        number = 0
        while not ended.is_set():
            number += 1
            if where == "secrets":
                redaction._SECRETS.add(f"another {number % 40}")
                redaction._SECRETS.discard(f"another {(number + 20) % 40}")
            else:
                os.environ["WORKBENCH_TEST_NAME"] = str(number)
                os.environ.pop("WORKBENCH_TEST_NAME")

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        for _ in range(20):
            assert redact("it is secret number 7!") == "it is [redacted]!"
    finally:
        ended.set()
        teller.join()
        os.environ.pop("WORKBENCH_TEST_NAME", None)


@pytest.mark.parametrize("key", KEYS)
def test_what_looks_like_a_key_is_not_told(key):
    said = (KEYS[key] or "refused: {}, try again").format(key)
    for told in (redact(said), str(wb.WorkbenchError(said))):
        assert key not in told
        assert "[redacted]" in told
        assert redact(told) == told


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "HF_TOKEN_READ",
        "OPENAI_API_KEY_2",
        "SSH_KEYS",
        "my_secret",
        "DB_PASSWORD",
        "DB_PASS",
        "DB_PWD",
        "SSH_PASSPHRASE",
        "AUTH",
        "SESSION_COOKIE",
        "SLACK_WEBHOOK",
        "APIKEY",
    ],
)
def test_the_value_of_a_variable_that_is_named_as_a_secret_is_not_told(monkeypatch, name):
    monkeypatch.setenv(name, "correct horse")
    assert redact("it says correct horse") == "it says [redacted]"


_SECRET = "pa55/wörd+and?more&<x>"


@pytest.mark.parametrize(
    "written",
    [
        base64.b64encode(_SECRET.encode()).decode(),
        base64.urlsafe_b64encode(_SECRET.encode()).decode().rstrip("="),
        quote(_SECRET),
        quote(_SECRET, ""),
        quote_plus(_SECRET),
        re.sub("%..", lambda code: code[0].lower(), quote(_SECRET, "")),
        html.escape(_SECRET),
        _SECRET.encode().hex(),
        json.dumps(_SECRET),
        *(
            base64.b64encode((user + ":" + _SECRET + tail).encode()).decode()
            for user in ("a", "ab", "abc")
            for tail in ("", "\n", "xy")
        ),
    ],
)
def test_a_secret_is_not_told_however_it_is_written(monkeypatch, written):
    monkeypatch.setattr(redaction, "_SECRETS", set())
    keep_secret(_SECRET)
    told = str(wb.WorkbenchError(f"the server said {written}, status 401"))
    assert told.startswith("the server said ")
    assert told.endswith(", status 401")
    assert "[redacted]" in told
    said = told.removeprefix("the server said ").removesuffix(", status 401").replace("[redacted]", "")
    assert len(said.strip("'\"=")) <= 12, "no more is left than what stood beside it"


def test_a_secret_inside_a_longer_one_leaves_no_end_of_it(monkeypatch):
    monkeypatch.setattr(redaction, "_SECRETS", set())
    keep_secret("hf_abcdefghijklmno")
    keep_secret("horse-battery")
    keep_secret("battery-staple")
    assert redact("key hf_abcdefghijklmnopqrst end") == "key [redacted] end"
    assert redact("horse-battery-staple, xhorse-batteryx") == "[redacted], x[redacted]x"
    assert redact("horse-batteryhorse-battery") == "[redacted][redacted]"


@pytest.mark.parametrize(
    "text", ["sk-learn and task-oriented", "The bearer of bad news", "blocks.0.hook_resid_post", "a?b=1&c=2"]
)
def test_what_looks_like_none_is_told(monkeypatch, text):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "bad news")
    assert redact(text) == text


def test_every_logger_of_the_package_goes_through_the_filter(caplog):
    names = [
        module.name for module in pkgutil.walk_packages(wb.__path__, "workbench.") if "templates" not in module.name
    ]
    logging_modules = [
        name
        for name in names
        if any(
            isinstance(value, logging.Logger) and value.name == name
            for value in vars(importlib.import_module(name)).values()
        )
    ]
    assert {"workbench.models.fetch", "workbench.generation.store", "workbench.claims.entries"} <= set(logging_modules)
    for name in logging_modules:
        log = logging.getLogger(name)
        assert any(isinstance(one, Redacting) for one in log.filters), name
        log.warning("key %s, red %s", "hf_abcdefghijklmnopqrst", "\x1b[31m")
        assert caplog.records[-1].getMessage() == "key [redacted], red \\x1b[31m"
