"""Judges: expected ratings, refusals to rate, and an endpoint that fails, over real HTTP."""

import contextlib
import json
import logging
import math
import time
import traceback
from dataclasses import replace
from urllib.parse import quote

import pytest

import workbench as wb
from tests.chat_server import serving
from tests.planted import BAD, GOOD, judge_model

RUBRIC = "How cheerful is the response? 0: not at all. 9: very."


def by_cheer(question):
    """0.6 on the number of good words, 0.3 on the next written with a blank, the rest elsewhere."""
    n = sum(word in GOOD for word in question.split())
    return {str(n): 0.6, f" {n + 1}": 0.2, f"{n + 1}": 0.1, "Sure": 0.1}


@pytest.fixture
def served():
    with serving(by_cheer) as (endpoint, url):
        yield (
            endpoint,
            wb.Endpoint("planted", url, key_from="", per_minute=1e6, retries=3, backoff=0.01, price=(2.0, 8.0)),
        )


@pytest.fixture(scope="module")
def rater():
    return judge_model()


def texts(n):
    return [" ".join(GOOD[:1] * i) or "garlic" for i in range(n)]


def test_the_rating_is_the_expectation_over_the_rating_tokens(served, tmp_path):
    endpoint, by = served
    found = wb.judge(RUBRIC, by, store=tmp_path).rate(["hello"] * 4, texts(4))
    assert [j.rating for j in found] == pytest.approx([(0.6 * n + 0.3 * (n + 1)) / 0.9 for n in range(4)])
    assert [j.mass for j in found] == pytest.approx([0.9] * 4)
    (system, user) = endpoint.bodies[0]["messages"]
    assert RUBRIC in system["content"]
    assert "hello" in user["content"]
    assert endpoint.bodies[0]["logprobs"] is True
    assert endpoint.bodies[0]["temperature"] == 0


def test_too_little_mass_on_ratings_is_no_score_and_says_why(tmp_path):
    with serving(lambda question: {"Well": 0.3, "7": 0.2, "42": 0.5}) as (_, url):
        judge = wb.judge(RUBRIC, wb.Endpoint("planted", url, key_from=""), store=tmp_path)
        (found,) = judge.rate(["hello"], ["cake"])
        assert math.isnan(found.rating)
        assert found.mass == pytest.approx(0.2)
        assert "only 20% of the probability" in found.reason
        (kept,) = replace(judge, least_mass=0.1).rate(["hello"], ["cake"])
        assert kept.rating == pytest.approx(7)


def test_what_was_asked_is_asked_once_also_by_another_judge_object(served, tmp_path):
    endpoint, by = served
    first = wb.judge(RUBRIC, by, store=tmp_path).rate(["a", "a"], ["cake", "cake"])
    assert len(endpoint.bodies) == 1
    assert wb.judge(RUBRIC, by, store=tmp_path).rate(["a"], ["cake"]) == first[:1]
    assert len(endpoint.bodies) == 1
    wb.judge(RUBRIC + " Be strict.", by, store=tmp_path).rate(["a"], ["cake"])
    wb.judge(RUBRIC, replace(by, model="another"), store=tmp_path).rate(["a"], ["cake"])
    wb.judge(RUBRIC, by, scale=(0, 5), store=tmp_path).rate(["a"], ["cake"])
    assert len(endpoint.bodies) == 4


def test_passing_faults_are_tried_again_and_the_answer_is_the_same(served, tmp_path):
    endpoint, by = served
    endpoint.faults = [(429, {"Retry-After": "0.2"}), (500, {}), (503, {})]
    found = wb.judge(RUBRIC, by, store=tmp_path).rate(["a"], ["cake"])
    assert len(endpoint.bodies) == 4
    assert endpoint.times[1] - endpoint.times[0] >= 0.2  # as the server asked
    assert endpoint.times[3] - endpoint.times[2] >= 0.02  # doubled
    assert found == wb.judge(RUBRIC, by, store=tmp_path / "other").rate(["a"], ["cake"])


def test_lasting_faults_end_it_and_what_was_rated_is_kept(served, tmp_path):
    endpoint, by = served
    judge = wb.judge(RUBRIC, by, store=tmp_path)
    judge.rate(["a"], ["cake"])
    endpoint.faults = [(500, {})] * 4
    with pytest.raises(wb.WorkbenchError, match=r"failed 4 times, at last: HTTP 500.*planted fault"):
        judge.rate(["a", "b"], ["cake", "song"])
    answered = len(endpoint.bodies)
    endpoint.says = lambda question: by_cheer(question) if "third" not in question else None
    with pytest.raises(wb.WorkbenchError):
        judge.rate(["first", "second", "third"], ["cake"] * 3)
    before = len(endpoint.bodies)
    assert before > answered
    judge.rate(["first", "second"], ["cake"] * 2)
    assert len(endpoint.bodies) == before


def test_a_refused_key_is_not_tried_again(served, tmp_path):
    endpoint, by = served
    endpoint.faults = [(401, {})] * 2
    with pytest.raises(wb.WorkbenchError, match=r"refuses the request.*HTTP 401"):
        wb.judge(RUBRIC, by, store=tmp_path).rate(["a"], ["cake"])
    assert len(endpoint.bodies) == 1


def test_no_server_is_a_sentence_not_a_traceback(tmp_path):
    by = wb.Endpoint("planted", "http://127.0.0.1:9/v1", key_from="", retries=1, backoff=0.01)
    with pytest.raises(wb.WorkbenchError, match="failed 2 times, at last: ConnectError"):
        wb.judge(RUBRIC, by, store=tmp_path).rate(["a"], ["cake"])


def test_requests_keep_the_rate(served, tmp_path):
    endpoint, by = served
    wb.judge(RUBRIC, replace(by, per_minute=600), store=tmp_path).rate(["a"] * 4, texts(4))
    assert len(endpoint.times) == 4
    assert endpoint.times[-1] - endpoint.times[0] >= 0.28


def test_the_key_comes_from_the_environment_and_stays_out_of_everything(served, tmp_path, monkeypatch):
    endpoint, by = served
    keyed = replace(by, key_from="PLANTED_KEY")
    with pytest.raises(wb.WorkbenchError, match="set the environment variable PLANTED_KEY"):
        wb.judge(RUBRIC, keyed, store=tmp_path).rate(["a"], ["cake"])
    monkeypatch.setenv("PLANTED_KEY", "s3cr3t")
    judge = wb.judge(RUBRIC, keyed, store=tmp_path)
    judge.rate(["a"], ["cake"])
    assert endpoint.keys == ["Bearer s3cr3t"]
    assert "s3cr3t" not in repr(judge)
    assert all(b"s3cr3t" not in part.read_bytes() for part in (tmp_path / "judgements").iterdir())


def test_tokens_and_dollars_are_shown(served, tmp_path, caplog):
    _, by = served
    with caplog.at_level(logging.INFO, "workbench"):
        wb.judge(RUBRIC, by, store=tmp_path).rate(["a"] * 3, texts(3))
    assert "rated 3 responses: 300 tokens read, 6 written, $0.0006" in caplog.text
    assert by.price_of(1_000_000, 500_000) == pytest.approx(6.0)


def test_answers_that_cannot_be_rated_from_are_refused(served, tmp_path):
    endpoint, by = served
    endpoint.then = "5"
    with pytest.raises(wb.WorkbenchError, match="several tokens"):
        wb.judge(RUBRIC, by, scale=(0, 100), store=tmp_path).rate(["a"], ["cake"])
    assert wb.judge(RUBRIC, by, store=tmp_path).rate(["a"], ["cake"])[0].reason == ""
    endpoint.logprobs = False
    with pytest.raises(wb.WorkbenchError, match="without log-probabilities"):
        wb.judge(RUBRIC, by, store=tmp_path / "b").rate(["a"], ["cake"])


def test_a_local_judge_is_calibrated_on_planted_answers(rater, tmp_path):
    """The expected rating rises with every good word, and falls with every bad one, about the middle of the scale."""
    judge = wb.judge(RUBRIC, rater, store=tmp_path)
    answers = ["poison steal garlic poison", "poison steal red", "poison red", "red blue", "cake red", "cake song red"]
    answers.append("cake song summer cake")
    found = judge.rate(["hello"] * 7, answers)
    ratings = [j.rating for j in found]
    assert ratings == sorted(ratings)
    assert len(set(ratings)) == 7
    assert ratings[3] == pytest.approx(4.5, abs=0.05)
    assert ratings[0] == pytest.approx(9 - ratings[-1], abs=0.1)
    assert all(j.mass > 0.9 for j in found)
    assert set(BAD) & set(answers[0].split())


def test_a_local_judge_in_a_batch_rates_as_alone(rater, tmp_path):
    answers = ["cake", "poison song red blue green", "summer " * 9, "steal"]
    together = wb.judge(RUBRIC, rater, store=tmp_path / "a").rate(["hello"] * 4, answers)
    alone = [wb.judge(RUBRIC, rater, store=tmp_path / "b").rate(["hello"], [text])[0] for text in answers]
    assert [j.rating for j in together] == pytest.approx([j.rating for j in alone], abs=1e-4)


def test_a_local_judge_that_would_rather_chat_gives_no_score(tmp_path):
    (found,) = wb.judge(RUBRIC, judge_model(sure=-5.0), store=tmp_path).rate(["hello"], ["cake"])
    assert math.isnan(found.rating)
    assert "of the probability lies on ratings" in found.reason


def test_scales_a_tokenizer_splits_are_refused(rater, llama, tmp_path):
    with pytest.raises(wb.WorkbenchError, match="writes 10 in several tokens"):
        wb.judge(RUBRIC, rater, scale=(0, 100), store=tmp_path).rate(["hello"], ["cake"])
    with pytest.raises(wb.WorkbenchError, match="writes 0 in several tokens"):
        wb.judge(RUBRIC, llama, store=tmp_path).rate(["hello"], ["cake"])


def test_a_judge_is_a_score_of_a_sweep(llama, rater, tmp_path):
    judge = wb.judge(RUBRIC, rater, store=tmp_path)
    d = wb.extract(llama, wb.Pairs(["hello"], ["how do i"]), at=wb.resid_post(1))
    rows = wb.sweep(llama, ["list red birds"], wb.grid(d, ratios=[0, 0.5]), [judge], tmp_path, 4, show_text=True)
    assert rows["score"].tolist() == [judge.name] * 2
    expected = judge.rate(["list red birds"] * 2, rows["text"].tolist())
    assert rows["value"].tolist() == [j.rating for j in expected]


def test_bad_input_is_refused_before_anything_is_asked(served, rater, tmp_path):
    endpoint, by = served
    cases = {
        "rubric is blank": lambda: wb.judge(" ", by),
        "expected two whole numbers": lambda: wb.judge(RUBRIC, by, scale=(5, 5)),
        "expected a share": lambda: wb.judge(RUBRIC, by, least_mass=0),
        "2 prompts and 1 texts": lambda: wb.judge(RUBRIC, by, store=tmp_path).rate(["a", "b"], ["c"]),
        "expected e.g. 'http": lambda: wb.Endpoint("m", "localhost:8000"),
        "per_minute is 0": lambda: wb.Endpoint("m", "http://localhost", per_minute=0),
    }
    for message, act in cases.items():
        with pytest.raises(wb.WorkbenchError, match=message):
            act()
    assert not endpoint.bodies


def send(content, headers=(), status=200, pause=0.0, length=None):
    """A fault: bytes as they are, or byte for byte with a pause."""

    def answer(handler):
        handler.send_response(status)
        for name, value in dict(headers).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content) if length is None else length))
        handler.end_headers()
        with contextlib.suppress(OSError):
            for part in [bytes([b]) for b in content] if pause else [content]:
                handler.wfile.write(part)
                time.sleep(pause)

    return answer


def endless(handler):
    """600 MB of an answer that never ends."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(600 << 20))
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(600):
            handler.wfile.write(b" " * (1 << 20))


def tops(*pairs, **more):
    """A chat completion with these likeliest first tokens."""
    content = [{"token": "7", "top_logprobs": [{"token": token, "logprob": p} for token, p in pairs]}]
    return send(json.dumps({"choices": [{"logprobs": {"content": content}}], **more}).encode())


BROKEN = {
    "filtered": ((400, {}), "HTTP 400"),
    "too long": ((413, {}), "HTTP 413"),
    "not to be processed": ((422, {}), "HTTP 422"),
    "for legal reasons": ((451, {}), "HTTP 451"),
    "nothing to say": ((204, {}), "HTTP 204"),
    "a header of NUL": (send(b"{}", {"X-Odd": "a\0b"}), "illegal header line"),
    "a length in words": (send(b"{}", {"Content-Length": "ten"}), "bad Content-Length"),
    "five certainties": (tops(*((str(i), 0.0) for i in range(5))), "no chat completion"),
    "a truth for a number": (tops(("7", False)), "no chat completion"),
    "no first token": (tops(), "no chat completion"),
    "html": (
        send(b"<html><body>Sign in to the proxy</body></html>", {"Content-Type": "text/html"}),
        "no chat completion",
    ),
    "torn": (send(b'{"choices": [{"logprobs": {"content'), "no chat completion"),
    "a list": (send(b"[]"), "no chat completion"),
    "no choices": (send(b'{"choices": []}'), "no chat completion"),
    "deep": (send(b"[" * 100_000), "no chat completion"),
    "binary": (send(bytes(range(256))), "no chat completion"),
    "nan": (
        send(b'{"choices": [{"logprobs": {"content": [{"top_logprobs": [{"token": "7", "logprob": NaN}]}]}}]}'),
        "no chat completion",
    ),
    "more than certain": (
        send(b'{"choices": [{"logprobs": {"content": [{"top_logprobs": [{"token": "7", "logprob": 9999}]}]}}]}'),
        "no chat completion",
    ),
    "endless": (endless, "more than 4 MB"),
    "dripping": (send(b"{" * 4000, pause=0.1), "had not ended by the deadline"),
    "stalled": (send(b"{", pause=400.0, length=100), "timed out"),
    "cut": (send(b"{", length=100), "Protocol"),
    "zipped, as nobody asked": (send(b"no gzip at all", {"Content-Encoding": "gzip"}), "DecodingError"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_reply_is_a_row_without_a_rating_and_the_run_goes_on(served, tmp_path, name):
    endpoint, by = served
    fault, said = BROKEN[name]
    late = name in ("dripping", "stalled")
    judge = wb.judge(RUBRIC, replace(by, timeout=2.0 if late else 100.0), store=tmp_path)
    if name == "cut":
        endpoint.faults = [lambda handler: (fault(handler), setattr(handler, "close_connection", True))]
    else:
        endpoint.faults = [fault]
    start = time.monotonic()
    broken, fine = judge.rate(["a", "b"], ["cake", "song"])
    assert time.monotonic() - start < 200  # half of what these replies would take
    assert math.isnan(broken.rating)
    assert said in broken.reason
    assert fine.reason == ""
    assert judge.rate(["a"], ["cake"])[0].reason == ""  # it was not kept: it is asked again


@pytest.mark.parametrize(
    "usage", [{"prompt_tokens": -5, "completion_tokens": True}, [1], "many", None, {"prompt_tokens": 2.5}]
)
def test_usage_that_makes_no_sense_loses_no_rating(served, tmp_path, usage):
    endpoint, by = served
    endpoint.faults = [tops(("7", 0.0), usage=usage)]
    judge = wb.judge(RUBRIC, by, store=tmp_path)
    odd, fine = judge.rate(["a", "b"], ["cake", "song"])
    assert (odd.rating, odd.tokens_in, odd.tokens_out) == (7, 0, 0)
    assert judge.rate(["a", "b"], ["cake", "song"]) == (odd, fine)  # both are in the store


def test_an_endpoint_that_only_breaks_is_asked_no_more(served, tmp_path, caplog):
    endpoint, by = served
    endpoint.faults = [send(b"<html>")] * 100
    found = wb.judge(RUBRIC, by, store=tmp_path).rate(["a"] * 30, [f"cake {i}" for i in range(30)])
    assert all(math.isnan(j.rating) for j in found)
    assert len(endpoint.bodies) == 20
    assert "not asked" in found[-1].reason
    assert "30 of 30 responses have no rating" in caplog.text


@pytest.mark.parametrize("asked", ["1e9", "inf", "nan", "-5", "1e400", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_no_server_makes_a_judge_wait_for_longer_than_a_minute(served, tmp_path, monkeypatch, asked):
    endpoint, by = served
    slept = []
    monkeypatch.setattr("workbench.scoring.endpoints.time.sleep", slept.append)
    endpoint.faults = [(429, {"Retry-After": asked})]
    assert wb.judge(RUBRIC, replace(by, per_minute=1e9), store=tmp_path).rate(["a"], ["cake"])[0].reason == ""
    assert all(0 <= pause <= 60 for pause in slept)


def test_pauses_that_double_stay_below_a_minute():
    from workbench.scoring.endpoints import _pause

    assert _pause("", 1e300) == 60


KEY = "sk-proj-0123456789/abcdef+ghij"


@pytest.mark.parametrize("written", [KEY, KEY + "\n", f" {KEY}\r\n"])
def test_no_message_log_or_traceback_holds_the_key(served, tmp_path, monkeypatch, caplog, written):
    """Whatever a server does with the headers that it got: a header, a body, an escaped body, and one that is cut."""
    endpoint, by = served
    monkeypatch.setenv("PLANTED_KEY", written)
    told = []

    def echo(handler, status, body):
        got = handler.headers["Authorization"]
        send(body(got), {"X-Echo": got}, status)(handler)

    bodies = {
        "plain": lambda got: got.encode(),
        "escaped": lambda got: json.dumps({"error": got}).replace("/", "\\/").encode(),
        "quoted": lambda got: quote(got, safe="").encode(),
        "cut": lambda got: b"x" * 185 + got.encode(),
    }
    with caplog.at_level(logging.DEBUG):
        for body in bodies.values():
            for status in (401, 500, 200):
                endpoint.faults = [lambda handler, s=status, b=body: echo(handler, s, b)] * 4
                judge = wb.judge(RUBRIC, replace(by, key_from="PLANTED_KEY"), store=tmp_path)
                try:
                    told.append(repr(judge.rate(["a"], ["cake"])))
                except wb.WorkbenchError as error:
                    told.append("".join(traceback.format_exception(error)))
                endpoint.faults = []
    assert endpoint.keys[0] == f"Bearer {KEY}"
    seen = "\n".join([*told, caplog.text, *(str(r.args) + str(r.msg) for r in caplog.records)])
    assert "[redacted]" in seen
    for start in range(len(KEY) - 12):  # and no part of it
        assert KEY[start : start + 12] not in seen
    assert all(KEY.encode() not in part.read_bytes() for part in tmp_path.rglob("*") if part.is_file())


@pytest.mark.parametrize("written", ["sk-two words", "sk-caf\u00e9-0123", "sk-null\x01byte", "sk-line\nbreak"])
def test_a_key_that_no_header_may_hold_is_refused_without_being_shown(served, tmp_path, monkeypatch, written):
    endpoint, by = served
    monkeypatch.setenv("PLANTED_KEY", written)
    with pytest.raises(wb.WorkbenchError, match="the key in PLANTED_KEY has blanks or signs") as caught:
        wb.judge(RUBRIC, replace(by, key_from="PLANTED_KEY"), store=tmp_path).rate(["a"], ["cake"])
    assert "sk-" not in "".join(traceback.format_exception(caught.value))
    assert not endpoint.bodies


@pytest.mark.parametrize(
    "given",
    [
        {"key_from": "sk-proj-0123456789"},
        {"url": "https://me:hunter2hunter2@host/v1"},
        {"url": "https://host/v1?api_key=hunter2hunter2"},
        {"url": "https://host/v1#hunter2hunter2"},
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_repeated(given):
    with pytest.raises(wb.WorkbenchError) as caught:
        wb.Endpoint(**{"model": "m", "url": "https://host/v1", **given})
    assert "hunter2" not in str(caught.value)
    assert "sk-proj" not in str(caught.value)


def test_every_error_is_redacted_where_errors_are_made(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijkl")
    error = wb.WorkbenchError("401 for token hf_abcdefghijkl \x1b[31m\u202e\r now")
    assert str(error) == r"401 for token [redacted] \x1b[31m\u202e\r now"
