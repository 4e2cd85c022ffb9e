"""A model of words as a problem: what is charged, what is judged, what goes wrong."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch

import feasible
from feasible.core import errors
from feasible.core.budget import Budget, Meter, active_meter
from feasible.language import (
    CharacterSettings,
    LanguageProblem,
    PromptTooLong,
    character_model,
    character_tokenizer,
)
from feasible.language.instances.addition import addition
from feasible.language.scoring import ScoreWarning

TINY = CharacterSettings(context=10, layers=1, width=16, heads=2)
TOKENIZER, MODEL = character_tokenizer(TINY.characters), character_model(TINY)
PROMPTS = ["1+2=", "12+34=", "9="]


def length(completions, **_):
    return [float(len(c)) for c in completions]


def has_digit(completions, **_):
    return [any(x.isdigit() for x in c) for c in completions]


def problem(reward=length, **more):
    """Three prompts, of which each is held out too."""
    return LanguageProblem(
        MODEL, TOKENIZER, PROMPTS, PROMPTS, reward, **{"max_tokens": 4, "samples": 2, **more}
    )


class Metered:
    """Inside, oracles are charged to a meter."""

    def __init__(self, **limits):
        self.meter = Meter(Budget(**limits))

    def __enter__(self):
        self.token = active_meter.set(self.meter)
        return self.meter.spent

    def __exit__(self, *_):
        active_meter.reset(self.token)


# -- what is charged -------------------------------------------------------------------------------


def test_what_was_not_written_is_given_back():
    p = problem()
    with Metered(tokens=1000) as spent:
        r = p.generate(MODEL, [0, 0, 1], seed=1)
        assert spent["samples"] == 3
        assert spent["tokens"] == r.tokens == 4 + 4 + 6 + int(r.mask.sum())
        assert r.tokens < p.projected([0, 0, 1])["tokens"] == 14 + 12
        p.logp(MODEL, r)
        assert spent["tokens"] == 2 * r.tokens


def test_nothing_is_drawn_where_a_limit_could_be_passed():
    p = problem()
    for limits in ({"samples": 2}, {"tokens": 25}):
        with Metered(**limits) as spent, pytest.raises(errors.BudgetExhausted):
            p.generate(None, [0, 0, 1], seed=1)
        assert set(spent.values()) == {0}


def test_calls_of_a_paid_judge_are_charged_before_and_made_once():
    made = []

    def kind(completions, prompts, **_):
        made.extend(completions)
        return [True] * len(completions)

    p, known = problem(judges={"kind": kind}, paid={"kind": 2}), {}
    with Metered(calls=5) as spent:
        p.score([0, 0, 0, 1], ["1", "1", "1", "1"], known)
        assert made == ["1", "1"]
        assert spent["calls"] == 4
        with pytest.raises(errors.BudgetExhausted):
            p.score([0], ["2"], known)
        assert len(made) == 2
        p.score([1], ["1"], known)
    assert p.projected([0, 1])["calls"] == 4


def test_judging_is_not_charged_and_depends_on_the_weights_alone():
    p = problem(judges={"digit": has_digit}, paid={"digit": 1})
    with Metered(tokens=1) as spent:
        one, two = p.judge(p.model().state_dict()), p.judge(p.model().state_dict())
    assert one == two
    assert set(spent.values()) == {0}
    assert one.metrics["kl"] == 0


# -- what is judged --------------------------------------------------------------------------------


def test_the_objective_is_minus_the_mean_reward_and_limits_see_the_smaller_share():
    p = problem(judges={"digit": has_digit}, limits={"digit": ">= 0.9"})
    found = p.examine(p.model(), [0, 1, 2])
    verdict = p.judge(p.model().state_dict())
    assert verdict.objective == -np.mean([len(t) for t in found.greedy.texts])
    shares = [np.mean(has_digit(r.texts)) for r in (found.greedy, found.drawn)]
    assert verdict.violations["digit"] == pytest.approx(max(0.9 - min(shares), 0) / 0.9)
    assert len(found.drawn) == 6
    assert verdict.metrics["digit, drawn"] == shares[1]


def test_the_trail_sees_fewer_prompts_than_the_answer_s_judgement():
    p = problem(trail_prompts=2)
    weights = p.model().state_dict()
    at = p.judge(weights)
    assert p.confirm(weights, at).objective == -np.mean(
        [len(t) for t in p.examine(p.model(), [0, 1, 2]).greedy.texts]
    )
    assert problem().confirm(weights, at) is at


def test_weights_of_another_model_are_refused():
    p = problem()
    for answer in (None, {"a": 1}, {"a": torch.ones(1)}, {}):
        with pytest.raises((errors.ArgumentError, errors.ArgumentTypeError), match="answer"):
            p.judge(answer)


def test_a_policy_comes_back_from_a_folder(tmp_path):
    MODEL.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    p = LanguageProblem(str(tmp_path), str(tmp_path), PROMPTS, PROMPTS, length, max_tokens=4)
    assert (
        p.judge(p.model().state_dict()).objective == problem().judge(MODEL.state_dict()).objective
    )
    with pytest.raises(errors.ArgumentError, match="no such folder"):
        LanguageProblem("gpt2", TOKENIZER, PROMPTS, PROMPTS, length)


def test_buckets_are_reported():
    found = addition()
    held = {"answer": found._held_out_data["answer"], "digits": [1] * 10 + [2] * 20}
    p = LanguageProblem(
        found.reference, found.tokenizer, found.prompts, found.held_out, found.reward,
        {"answer": ["0"] * 200, "digits": [1] * 200}, held, bucket="digits", max_tokens=3,
    )  # fmt: skip
    metrics = p.judge(p.model().state_dict()).metrics
    mean = (10 * metrics["reward, digits 1"] + 20 * metrics["reward, digits 2"]) / 30
    assert mean == pytest.approx(metrics["reward"])
    assert metrics["reward"] == pytest.approx(
        found.judge(found.model().state_dict()).metrics["reward"]
    )


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_reward_that_raises_for_one_response_loses_no_other():
    def raises(completions, **_):
        if "bad" in completions:
            raise RuntimeError("no such number")
        return [1.0] * len(completions)

    p = problem(raises, judges={"sure": raises})
    with pytest.warns(ScoreWarning, match=r"1 of 3 responses.*no such number"):
        found = p.score([0, 1, 2], ["1", "bad", "2"])
    assert np.array_equal(found.reward, [1, math.nan, 1], equal_nan=True)
    assert found.satisfied["sure"].tolist() == [1, 0, 1]  # a judge that fails has said no
    assert found.all_satisfied.tolist() == [True, False, True]
    assert "no such number" in found.reasons["reward, response 1"]
    with pytest.raises(errors.EvaluationFailed, match=r"any of 2 responses.*no such number"):
        p.score([0, 1], ["bad", "bad"])


def test_a_reward_that_hangs_or_dies_is_ended_and_named():
    def hangs(completions, **_):
        if completions[0] == "1":
            time.sleep(60)
        if completions[0] == "2":
            import os

            os._exit(3)
        return [2.0]

    p = problem(hangs, timeout=0.3)
    with pytest.warns(ScoreWarning, match="2 of 3"):
        found = p.score([0, 1, 2], ["1", "2", "3"])
    assert found.reward[2] == 2
    assert "no answer within 0.3 s" in found.reasons["reward, response 0"]
    assert "exit code 3" in found.reasons["reward, response 1"]


def test_nan_is_no_reward_and_none_does_not_apply():
    p = problem(lambda completions, **_: [math.nan, None, 1, math.inf])
    with pytest.warns(ScoreWarning, match="it returned nan"):
        found = p.score([0] * 4, ["1"] * 4)
    assert np.isnan(found.reward).tolist() == [True, True, False, True]
    assert list(found.reasons) == ["reward, response 0", "reward, response 3"]


@pytest.mark.parametrize(
    ("values", "said"),
    [([1.0], "1 values for 2"), (None, "expected a list"), (["a", 1], "expected a number")],
)
def test_what_is_no_list_of_numbers_is_refused(values, said):
    with pytest.raises((errors.ArgumentError, errors.ArgumentTypeError), match=f"reward.*{said}"):
        problem(lambda completions, **_: values).score([0, 1], ["1", "2"])


def test_a_judge_says_yes_or_no():
    p = problem(judges={"half": lambda completions, **_: [0.5] * len(completions)})
    with pytest.raises(errors.ArgumentError, match=r"half.*True, False or None"):
        p.score([0], ["1"])


def test_rewards_may_be_asynchronous_and_get_columns():
    async def right(completions, prompts, answer, **_):
        return [
            float(c == a and p in PROMPTS)
            for c, p, a in zip(completions, prompts, answer, strict=True)
        ]

    p = problem(right, data={"answer": ["3", "46", "9"]}, held_out_data={"answer": [""] * 3})
    assert p.score([1, 0], ["46", "4"]).reward.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"prompts": []}, errors.ArgumentError, "prompts: it has none"),
        ({"prompts": ["123456789="]}, PromptTooLong, r"prompts\[0\]='123456789='"),
        ({"held_out": [3]}, errors.ArgumentTypeError, r"held_out\[0\]=3"),
        ({"data": {"a": [1]}}, errors.ShapeError, r"data\['a'\] has 1 entries"),
        ({"data": {"a": [1, 2, 3]}}, errors.ArgumentError, "held_out_data"),
        ({"limits": {"kind": ">= 1"}}, errors.LimitError, "'kind' is no judge"),
        ({"paid": {"kind": 1}}, errors.ArgumentError, "'kind' is neither"),
        ({"bucket": "level"}, errors.ArgumentError, "bucket='level'"),
        ({"policy": 3}, errors.ArgumentTypeError, "policy=3"),
        ({"tokenizer": 3}, errors.ArgumentTypeError, "tokenizer=3"),
        ({"temperature": 0.0}, errors.ArgumentError, "temperature"),
        ({"reward": "length"}, errors.ArgumentTypeError, "reward"),
        ({"max_token": 2}, errors.ArgumentTypeError, "'max_token': did you mean 'max_tokens'"),
    ],
)
def test_bad_input_is_named(more, error, said):
    given = {
        "policy": MODEL, "tokenizer": TOKENIZER, "prompts": PROMPTS, "held_out": PROMPTS,
        "reward": length, "max_tokens": 4,
    }  # fmt: skip
    with pytest.raises(error, match=said):
        LanguageProblem(**{**given, **more})


def test_the_fingerprint_tells_weights_and_prompts_apart():
    other = LanguageProblem(
        character_model(CharacterSettings(context=10, layers=1, width=16, heads=2, seed=1)),
        TOKENIZER, PROMPTS, PROMPTS, length, max_tokens=4, samples=2,
    )  # fmt: skip
    one, same = problem().fingerprint(), problem().fingerprint()
    assert one == same
    assert one["weights"] != other.fingerprint()["weights"]
    assert feasible.language.LanguageProblem is LanguageProblem
