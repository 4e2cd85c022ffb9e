"""Judges that are rules or models, and their mixture."""

import json

import numpy as np
import pytest

from feasible.core.budget import Budget, Meter, active_meter
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    BudgetError,
    BudgetExhausted,
    ShapeError,
)
from feasible.language import (
    Backend,
    Ended,
    JSONObject,
    Keywords,
    Length,
    MixtureOfJudges,
    ModelJudge,
    NumberAnswer,
    RegexAnswer,
    UnitTests,
    character_tokenizer,
    scripted,
)
from feasible.language.cgpo import yes_or_no
from feasible.language.cgpo.hackable import hackable_orders
from feasible.language.scoring import Scorer, ScoreWarning


def test_the_last_match_is_the_answer_and_none_does_not_apply():
    judge = RegexAnswer(r"= (\d+)")
    assert judge(["1 = 2 or = 12", "= 2", "x"], answer=["12", None, "3"]) == [True, None, False]


@pytest.mark.parametrize(
    ("text", "right"), [("-3.50", True), ("is 1e3, no: -3.5", True), ("3.5", False), ("", False)]
)
def test_numbers_are_compared_as_numbers(text, right):
    assert NumberAnswer()([text], answer=[-3.5]) == [right]


def test_lengths_words_json_and_endings():
    assert Length(3, 2)(["a", "ab", "abc", "abcd"]) == [False, True, True, False]
    assert Keywords(exclude=["bad word"])(["Bad word!", "bad words"]) == [False, True]
    assert JSONObject()(["{}", "{} x", "[" * 5000]) == [True, False, False]
    assert Ended(character_tokenizer("ab"), 3)(["", "ab", "aba"]) == [True, True, False]


def test_conversations_are_judged_by_their_last_message():
    said = [[{"role": "assistant", "content": "abc"}]]
    assert Length(3)(said) == [True]
    with pytest.raises(ArgumentTypeError, match="completions"):
        Length(3)([3])


def test_a_column_that_is_missing_or_short_is_named():
    with pytest.raises(ArgumentTypeError, match="'answer'"):
        NumberAnswer()(["1"], other=[1])
    with pytest.raises(ShapeError, match="answer"):
        NumberAnswer()(["1", "2"], answer=[1])


def test_code_runs_only_where_it_is_allowed_and_never_here():
    with pytest.raises(ArgumentError, match="allowed=True"):
        UnitTests()
    judge = UnitTests(allowed=True)
    good, hack = (
        "def solution(x):\n    return x + 1",
        (
            "class Any:\n    def __eq__(self, other):\n        return True\n"
            "def solution(x):\n    return Any()"
        ),
    )
    tests = [[[1], 2], [[2], 3]]
    cases = [good, hack, "solution = (", "def solution(x):\n    return 2"]
    assert judge(cases, tests=[tests] * 4) == [True, False, False, False]
    asserting = "assert solution(1) == 2"
    assert judge([good, good, good], tests=[asserting, "assert 0", None]) == [True, False, None]


def test_tests_that_are_no_plain_data_are_an_error_and_no_failure():
    judge = UnitTests(allowed=True)
    with pytest.raises(ArgumentError, match="plain data"):
        judge(["def solution(x):\n    return x"], tests=[[[[object()], 1]]])


def test_code_that_hangs_has_failed():
    from feasible.language import Sandbox

    judge = UnitTests(allowed=True, sandbox=Sandbox(seconds=0.5))
    assert judge(["def solution():\n    while True: pass"], tests=[[[[], 1]]]) == [False]


def asked_model(replies, template="{prompt}: {completion} ({kind})", **more):
    """A judge whose model answers in turn, and what it was asked."""
    asked, left = [], iter(replies)

    def rule(request):
        asked.append(request["messages"][-1]["content"])
        return next(left)

    backend = Backend(scripted(rule), "m", wait=0.0, retries=0)
    return ModelJudge(backend, template, yes_or_no, **more), asked


def test_a_model_is_asked_by_its_template_and_charged_first():
    judge, asked = asked_model(["Yes.", "no"])
    token = active_meter.set(Meter(Budget(calls=2, tokens=10_000)))
    try:
        said = judge(["a", "b"], prompts=["p", "q"], kind=["k", "l"])
        assert (said, asked) == ([True, False], ["p: a (k)", "q: b (l)"])
        with pytest.raises(BudgetExhausted):
            judge(["c"], kind=["k"])
    finally:
        active_meter.reset(token)
    assert len(asked) == 2


def test_a_limit_on_dollars_without_a_price_is_no_word_of_the_judge():
    judge, asked = asked_model(["yes", "no"])
    token = active_meter.set(Meter(Budget(usd=1)))
    try:
        with pytest.raises(BudgetError, match="no price of the model 'm' is known"):
            judge(["a", "b"], kind=["k", "l"])
        with pytest.raises(BudgetError, match="no price"):
            Scorer("kind", judge, True).ask(["", ""], ["a", "b"], {"kind": ["k", "l"]})
    finally:
        active_meter.reset(token)
    assert not asked


def test_what_a_model_said_is_known():
    judge, asked = asked_model(["yes"], known={})
    assert judge(["a"], kind=["k"]) == judge(["a"], kind=["k"]) == [True]
    assert len(asked) == 1


def test_a_model_that_says_rubbish_or_fails_has_said_no_and_is_not_asked_again():
    judge, asked = asked_model(["yes", "perhaps", 500])
    with pytest.warns(ScoreWarning, match="2 of 3 responses .*response 1: .*expected yes or no"):
        assert judge(["a", "b", "c"], kind=["k"] * 3) == [True, False, False]
    assert len(asked) == 3


def test_of_a_problem_a_model_is_asked_once_for_a_response_and_that_is_kept():
    judge, asked = asked_model(["yes", "no"], "{prompt}{completion}")
    problem = hackable_orders("B")
    problem.limits, problem.judges, problem.paid = None, {"model": judge}, {"model": 0}
    problem.__post_init__()
    known = {}
    for _ in range(2):
        found = problem.score([0, 0, 1], ["ab", "ab", "c"], known)
        assert found.satisfied["model"].tolist() == [1, 1, 0]
    assert asked == [problem.prompts[0] + "ab", problem.prompts[1] + "c"]
    assert len(json.loads(json.dumps(known))) == 2  # plain data, so a resumed run has it


def test_a_mixture_of_none_is_satisfied_and_a_judge_more_can_only_take_away():
    texts = ["a", "ab", "abc"]
    assert MixtureOfJudges()(texts) == [True] * 3
    rng = np.random.default_rng(0)
    judges = [lambda completions, i=i, **_: [bool(v) for v in rows[i]] for i in range(5)]
    rows = rng.random((5, 3)) < 0.7
    before = [True] * 3
    for many in range(6):
        now = MixtureOfJudges(judges[:many])(texts)
        assert all(b or not n for b, n in zip(before, now, strict=True))
        before = now


def test_a_judge_that_raises_for_one_response_has_said_no_to_that_one():
    def judge(completions, **_):
        return [1 / len(c) > 0 for c in completions]

    with pytest.warns(UserWarning, match="ZeroDivisionError"):
        found = MixtureOfJudges([judge, Length(9)]).report(["a", "", "b"])
    assert found.satisfied.tolist() == [True, False, True]
    assert list(found.reasons) == ["judge, response 1"]


def test_judges_may_be_asynchronous_not_applicable_and_of_one_name():
    async def judge(completions, **_):
        return [None for _ in completions]

    mixture = MixtureOfJudges([judge, judge, Length(1)])
    assert list(mixture.named()) == ["judge", "judge 2", "Length"]
    assert mixture(["a", "ab"]) == [True, False]
    assert np.isnan(mixture.report(["a"]).by_judge["judge 2"]).all()
    assert MixtureOfJudges([mixture])(["ab"]) == [False]


def test_a_value_that_is_no_judgement_is_refused():
    with pytest.raises(ArgumentError, match="expected True, False"):
        MixtureOfJudges({"half": lambda completions, **_: [0.5]})(["a"])
    with pytest.raises(ArgumentTypeError, match=r"judges\[0\]"):
        MixtureOfJudges([3])


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: RegexAnswer("("), "pattern"),
        (lambda: Length(1, 2), "most"),
        (lambda: Keywords(), "include"),
        (lambda: ModelJudge(3, "{completion}", bool), "backend"),
        (lambda: yes_or_no(json.dumps({})), "yes or no"),
    ],
)
def test_bad_settings_are_named(make, match):
    with pytest.raises((ArgumentError, ArgumentTypeError), match=match):
        make()
