"""Judges: expected ratings, refusals to rate, and an endpoint that fails, over real HTTP."""

import logging
import math
from dataclasses import replace

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
    with serving(lambda question: {"Well": 0.8, "7": 0.2, "42": 0.5}) as (_, url):
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
        "expected more than 0": lambda: wb.Endpoint("m", "http://localhost", per_minute=0),
    }
    for message, act in cases.items():
        with pytest.raises(wb.WorkbenchError, match=message):
            act()
    assert not endpoint.bodies
