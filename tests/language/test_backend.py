"""Language models behind one call: what is charged, tried again, kept and refused. The real client
on a transport that a function answers.
"""

from __future__ import annotations

import json

import pytest

from feasible.core.budget import Meter, active_meter
from feasible.core.errors import ArgumentError, ArgumentTypeError, BudgetExhausted
from feasible.language import (
    Backend,
    BackendFailed,
    BackendRefused,
    BackendWarning,
    Recorded,
    scripted,
)

ASKED = [{"role": "user", "content": "four letters are a token"}]
PRICES = {"m": (10.0, 100.0)}


@pytest.fixture
def meter():
    def limited(**limits):
        found = Meter(limits)
        tokens.append(active_meter.set(found))
        return found

    tokens = []
    yield limited
    for token in reversed(tokens):
        active_meter.reset(token)


class Script:
    """Answers requests by a list of replies, and keeps the requests."""

    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    def __call__(self, request):
        self.asked.append(request)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def backend(*replies, **settings):
    script = Script(*replies)
    return Backend(scripted(script), "m", wait=0.0, **settings), script


def test_a_reply_comes_with_its_counts():
    model, script = backend("hello there")
    found = model.complete(ASKED, max_tokens=50, temperature=0.5, seed=7)
    assert found.text == "hello there"
    assert found.complete
    assert found.tries == 1
    assert (found.prompt_tokens, found.completion_tokens) == (7, 3)
    assert script.asked[0]["seed"] == 7
    assert script.asked[0]["max_tokens"] == 50


def test_what_was_used_is_charged_and_the_rest_given_back(meter):
    model, _ = backend("hello there", prices=PRICES)
    spent = meter(tokens=1000, calls=5, usd=1.0)
    model.complete(ASKED, max_tokens=50)
    assert spent.spent["calls"] == 1
    assert spent.spent["tokens"] == 10
    assert spent.spent["usd"] == pytest.approx((7 * 10 + 3 * 100) / 1e6)


def test_nothing_is_asked_or_charged_where_it_could_pass_the_budget(meter):
    model, script = backend("x", prices=PRICES)
    most = model.projected(ASKED, 50)
    for limits in (
        {"tokens": most["tokens"] - 1}, {"usd": 0.99 * most["usd"]}, {"calls": 1, "tokens": 20}
    ):  # fmt: skip
        spent = meter(**limits)
        with pytest.raises(BudgetExhausted):
            model.complete(ASKED, max_tokens=50)
        assert not any(spent.spent.values())
    assert script.asked == []


@pytest.mark.parametrize(("status", "tokens"), [(429, 0), (503, 90), (408, 90)])
def test_each_retry_is_a_charged_call(meter, status, tokens):
    model, script = backend(status, status, "at last")
    spent = meter(calls=10, tokens=10_000)
    held = model.projected(ASKED, 50)["tokens"]
    found = model.complete(ASKED, max_tokens=50)
    assert found.text == "at last"
    assert found.tries == 3
    assert len(script.asked) == 3
    assert spent.spent["calls"] == 3
    used = found.prompt_tokens + found.completion_tokens
    assert spent.spent["tokens"] == used + (0 if status == 429 else 2 * held)
    assert held == tokens or tokens == 0


def test_time_outs_and_broken_connections_are_tried_again():
    import openai

    http = __import__(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])
    model, script = backend(http.ReadTimeout("slow"), http.ConnectError("gone"), "yes")
    assert model.complete(ASKED).text == "yes"
    assert len(script.asked) == 3


def test_what_never_answers_ends_with_what_became_of_each_try(meter):
    model, script = backend(500, retries=2)
    spent = meter(calls=10)
    with pytest.raises(BackendFailed, match="no reply after 3 tries") as caught:
        model.complete(ASKED)
    assert len(caught.value.tries) == 3 == len(script.asked) == spent.spent["calls"]


def test_a_retry_that_the_budget_does_not_allow_is_not_made(meter):
    model, script = backend(503)
    meter(calls=2)
    with pytest.raises(BudgetExhausted), pytest.warns(BackendWarning) as said:
        model.complete(ASKED)
    assert len(script.asked) == 2
    assert ["503" in str(w.message) for w in said] == [True, True]


def test_why_nobody_answers_is_said():
    import openai

    client = openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="none", max_retries=0)
    with pytest.warns(BackendWarning, match="refused"), pytest.raises(BackendFailed):
        Backend(client, "m", retries=0).complete(ASKED)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>proxy error</html>",
        b"{",
        {"choices": []},
        {"object": "chat.completion", "choices": [{"message": {"content": None}}]},
        {},
    ],
)
def test_bodies_that_are_no_reply_are_tried_again(body):
    model, script = backend(body, "fine")
    assert model.complete(ASKED).text == "fine"
    assert len(script.asked) == 2


def test_half_a_reply_says_that_it_is_cut():
    model, _ = backend("x" * 1000)
    found = model.complete(ASKED, max_tokens=10)
    assert not found.complete
    assert len(found.text) == 40


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_request_that_is_refused_as_such_is_not_tried_again(status, meter):
    model, script = backend(status)
    spent = meter(calls=5, tokens=10_000)
    with pytest.raises(BackendRefused, match="model m"):
        model.complete(ASKED)
    assert len(script.asked) == 1 == spent.spent["calls"]
    assert spent.spent["tokens"] == 0


def test_a_service_without_json_mode_is_asked_again_without_and_both_calls_count(meter):
    model, script = backend(400, '{"a": 1}', retries=0)
    spent = meter(calls=5)
    assert model.complete(ASKED, json_only=True).text == '{"a": 1}'
    assert spent.spent["calls"] == 2
    assert [("response_format" in r) for r in script.asked] == [True, False]


def test_more_tokens_than_were_reserved_are_counted(meter):
    body = {
        "id": "x", "object": "chat.completion", "created": 0, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "y"}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5000, "total_tokens": 5010},
    }  # fmt: skip
    model, _ = backend(body)
    spent = meter(tokens=300)
    model.complete(ASKED, max_tokens=100)
    assert spent.spent["tokens"] == 5010
    with pytest.raises(BudgetExhausted):
        model.complete(ASKED, max_tokens=1)


def test_replies_are_kept_before_they_are_seen_and_asked_for_once(tmp_path):
    script, path = Script("one", "two"), tmp_path / "replies.jsonl"
    model = Backend(Recorded(scripted(script), path), "m")
    assert model.complete(ASKED).text == "one"
    assert len(path.read_text().splitlines()) == 1
    again = Backend(Recorded(scripted(script), path), "m")
    found = again.complete(ASKED)
    assert found.text == "one"
    assert found.completion_tokens == 1
    assert len(script.asked) == 1
    assert again.complete([{"role": "user", "content": "other"}]).text == "two"
    offline = Backend(Recorded(None, path, mode="replay"), "m")
    assert offline.complete(ASKED).text == "one"
    with pytest.raises(BackendRefused, match="no reply to this request"):
        offline.complete(ASKED, max_tokens=3)


def test_a_replayed_reply_is_charged_like_the_first(tmp_path, meter):
    path = tmp_path / "replies.jsonl"
    spendings = []
    for _ in range(2):
        spent = meter(tokens=10_000, calls=9)
        Backend(Recorded(scripted(Script("one")), path), "m").complete(ASKED)
        spendings.append(dict(spent.spent))
    assert spendings[0] == spendings[1]


def test_errors_are_kept_and_not_replayed_and_half_a_line_is_left_out(tmp_path):
    script, path = Script(500, "fine"), tmp_path / "replies.jsonl"
    assert Backend(Recorded(scripted(script), path), "m", wait=0).complete(ASKED).text == "fine"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [("error" in r, "reply" in r) for r in rows] == [(True, False), (False, True)]
    path.write_bytes(path.read_bytes() + b'{"key": "abc", "repl')
    script = Script("other")
    model = Backend(Recorded(scripted(script), path), "m")
    assert model.complete(ASKED).text == "fine"
    model.complete(ASKED, max_tokens=3)
    with pytest.raises(ArgumentError, match="line 3 is no record"):
        Recorded(scripted(script), path)
    path.write_bytes(b"\x80\x04pickle\n")
    with pytest.raises(ArgumentError, match="line 1 is no record"):
        Recorded(scripted(script), path)


def test_bad_input_is_named():
    with pytest.raises(ArgumentTypeError, match=r"chat\.completions\.create"):
        Backend(object(), "m")
    import openai

    eager = openai.OpenAI(api_key="k", base_url="http://scripted.invalid/v1")
    with pytest.raises(ArgumentError, match=r"max_retries=2, expected 0"):
        Backend(eager, "m")
    with pytest.raises(ArgumentError, match="prices"):
        backend("x", prices={"m": 3.0})
    with pytest.raises(ArgumentError, match="retries=-1"):
        backend("x", retries=-1)
    with pytest.raises(ArgumentError, match="client=None"):
        Recorded(None, "x.jsonl")
    model, _ = backend("x")
    with pytest.raises(ArgumentError, match="max_tokens=0"):
        model.complete(ASKED, max_tokens=0)
