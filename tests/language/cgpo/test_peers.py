"""TRL's trainers on a problem with judges."""

import builtins

import pytest
import torch

from feasible.core.errors import ArgumentError, MissingExtra
from feasible.language.cgpo import hackable
from feasible.language.cgpo.peers import KINDS, pairs, times_judge, trl_trained


@pytest.fixture(scope="module")
def problem():
    return hackable.hackable_orders("A")


def test_a_reward_of_trl_is_the_reward_times_the_judgement(problem):
    texts = [problem.data["answer"][0], "!!!"]
    found = times_judge(problem)(
        texts, prompts=problem.prompts[:2], trainer_state=object(),
        answer=problem.data["answer"][:2], limit=[None, None],
    )  # fmt: skip
    assert found == [problem.reward(texts)[0], 0.0]


def test_pairs_are_of_a_satisfied_response_over_one_that_is_not_or_is_worth_less(problem):
    found = pairs(problem, 40, 8, seed=0)
    assert 0 < len(found) < 40
    answers = dict(zip(problem.prompts, problem.data["answer"], strict=True))
    for row in found:
        assert row["chosen"] == answers[row["prompt"]]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::Warning")
@pytest.mark.parametrize("kind", KINDS)
def test_trl_learns_from_as_many_samples(kind):
    pytest.importorskip("trl")
    problem = hackable.hackable_orders("B")
    found = trl_trained(problem, kind, iterations=2, prompts=4, k=4, rate=1e-2)
    before, after = (
        torch.cat([p.detach().flatten() for p in of.parameters()])
        for of in (problem.reference, found.model)
    )
    assert found.samples == 32
    assert found.seconds > 0
    assert float((before - after).abs().max()) > 1e-4


def test_a_kind_that_trl_has_not_and_a_trl_that_is_missing_are_named(problem, monkeypatch):
    with pytest.raises(ArgumentError, match="kind"):
        trl_trained(problem, "PPO")
    found = builtins.__import__

    def without(name, *args, **more):
        if name == "trl":
            raise ModuleNotFoundError("No module named 'trl'", name="trl")
        return found(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match="trl"):
        trl_trained(problem, "DPO")
