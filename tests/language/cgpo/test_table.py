"""Runs on tables of responses, whose policies are judged exactly."""

import warnings

import numpy as np
import pytest
import torch

import feasible
from feasible.core.errors import ArgumentError, NotFinite, ShapeError
from feasible.language import ResponseTable
from feasible.language.cgpo import CRPG, RLOO, BanditPPO, Lagrangian, Rollouts
from feasible.language.cgpo.contradiction import budget_warning, contradiction, least_divergence
from feasible.language.cgpo.instances import hackable_table
from feasible.language.cgpo.run import TableCODPO, TableCRPG, TableCRRAFT, TableDPO, TableLagrangian


def learnt(method, problem, steps, seed=100):
    """The metrics of the policy after some iterations, whatever its verdict."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = method.init(problem, np.random.default_rng(seed))
        for _ in range(steps):
            state = method.step(problem, state)
    return problem.judge(method.answer(problem, state)).metrics


def test_the_judge_of_the_reference_counts_responses():
    problem = ResponseTable([[1.0, 2.0, 6.0]], {"a": [[1, 1, 0]], "b": [[1, 0, 0]]})
    found = problem.judge(np.zeros((1, 3)))
    assert np.isclose(found.objective, -3)
    assert np.isclose(found.violations["a"], 1 / 3)
    assert np.isclose(found.violation, 2 / 3)
    assert np.isclose(found.metrics["satisfaction"], 1 / 3)
    assert np.isclose(found.metrics["reward_on_satisfied"], 1)
    assert problem.best_known == -1


def test_the_divergence_of_the_nearest_satisfied_policy_is_minus_log_of_the_share():
    problem = hackable_table(4, 20, 0.3)
    found = problem.judge(np.where(problem.satisfied, 0.0, -700.0)).metrics
    wanted = np.mean([least_divergence(float(row.mean())) for row in problem.satisfied])
    assert np.isclose(found["kl"], wanted)
    assert np.isclose(found["satisfaction"], 1)


@pytest.mark.parametrize("method", [TableCRPG, TableCRRAFT, TableCODPO])
def test_judges_keep_the_policy_from_hacking_the_reward(method):
    problem = hackable_table(8, 12, seed=100)
    with_judges, without = (
        learnt(method(use_judges=u, rate=0.3), problem, 60) for u in (True, False)
    )
    assert with_judges["satisfaction"] > without["satisfaction"] + 0.5
    assert with_judges["reward"] < without["reward"]


def test_a_bound_on_the_divergence_below_what_the_judges_need_keeps_satisfaction_below_1():
    problem = hackable_table(16, 50, seed=100)
    method = TableCRPG(kl_max=0.5, rate=0.2)
    state = method.init(problem, np.random.default_rng(0))
    with pytest.warns(UserWarning, match=r"kl_max=0\.5 is below"):
        method.step(problem, state)
    for _ in range(150):
        state = method.step(problem, state)
    assert "contradict" in method.remarks(problem, state)[0]
    assert problem.judge(method.answer(problem, state)).metrics["satisfaction"] < 0.9


def test_judges_that_nothing_satisfies_together_are_named():
    one = np.arange(12).reshape(2, 6) % 2 == 0
    problem = ResponseTable(np.zeros((2, 6)), {"even": one, "odd": ~one})
    with pytest.warns(UserWarning, match="'even' and 'odd' together"):
        found = feasible.solve(problem, TableCODPO(), {"samples": 32}, seed=0)
    assert any("'even' and 'odd' together" in note for note in found.notes)
    assert contradiction({"never": np.zeros(4, bool), "a": np.ones(4, bool)}).endswith("'never'")
    assert contradiction({}) is None
    assert contradiction({"a": np.array([True, False])}) is None


def test_the_budget_of_divergence_is_compared_with_the_share_that_is_satisfied():
    assert budget_warning(1.3, np.arange(10) < 3) is None
    assert "1.2" in budget_warning(1.0, np.arange(10) < 3)
    assert budget_warning(1.0, np.zeros(5, bool)) is None  # that is a contradiction of judges


def test_samples_are_charged_before_they_are_drawn():
    problem = hackable_table(8, 12)
    found = feasible.solve(problem, "crraft-table", {"samples": 100}, seed=0)
    assert (found.spent["samples"], found.steps) == (64, 1)


def test_a_dataset_of_pairs_comes_from_the_reference_alone(monkeypatch):
    problem = hackable_table(8, 12)
    draw, sources = ResponseTable.draw, []

    def noting(self, logp, k, generator):
        sources.append(logp)
        return draw(self, logp, k, generator)

    monkeypatch.setattr(ResponseTable, "draw", noting)
    learnt(TableDPO(), problem, 3)
    assert all(torch.equal(s, problem.tables()["reference"]) for s in sources)


def test_the_warm_up_is_online_dpo():
    problem = hackable_table(8, 12)
    one, other = (learnt(m(warm_up=3), problem, 3) for m in (TableCRPG, TableCRRAFT))
    assert one == other
    assert one != learnt(TableCRPG(), problem, 3)


def rolled(reward, judged, old=None):
    logp = torch.zeros_like(reward).requires_grad_()
    zero = torch.zeros_like(reward)
    return Rollouts(logp, zero, reward, judged, reward[:, 0], old_logp=old)


def test_leave_one_out_weighs_each_response_by_the_others_mean():
    found = rolled(torch.tensor([[3.0, 0.0, 0.0]]), torch.ones(1, 3, dtype=torch.bool))
    RLOO(c=0.0).loss(found).backward()
    assert torch.allclose(found.logp.grad, -torch.tensor([[3.0, -1.5, -1.5]]) / 3)


def test_the_multiplier_prices_violations_and_follows_their_share():
    judged = torch.tensor([[True, False]])
    found = rolled(torch.zeros(1, 2), judged)
    rule = Lagrangian(c=0.0, dual_step=0.5, target=0.1)
    rule.loss(found, 2.0).backward()
    assert torch.allclose(found.logp.grad, -torch.tensor([[2.0, -2.0]]) / 2)
    assert rule.raised(1.0, 0.5) == pytest.approx(1.2)
    assert rule.raised(0.01, 0.0) == 0.0


def test_ratios_beyond_the_clip_earn_nothing_more():
    reward = torch.tensor([[1.0, 0.0]])
    found = rolled(reward, reward > -1, old=torch.full((1, 2), -1.0))  # ratios of e
    BanditPPO(c=0.0).loss(found).backward()
    assert float(found.logp.grad[0, 0]) == 0.0
    assert float(found.logp.grad[0, 1]) != 0.0


def test_the_reward_of_a_violated_response_is_0_where_it_is_multiplied():
    found = rolled(torch.tensor([[5.0, 1.0]]), torch.tensor([[False, True]]))
    assert RLOO(c=0.0, times_judge=True).reward(found, 0.0).tolist() == [[0.0, 1.0]]


def test_a_satisfied_response_of_negative_reward_is_worth_more_where_rewards_are_calibrated():
    found = rolled(torch.tensor([[-5.0, 1.0]]), torch.tensor([[True, False]]))
    plain, calibrated = (
        RLOO(c=0.0, times_judge=True, calibrate=c).reward(found, 0.0)[0] for c in (False, True)
    )
    assert plain[0] < plain[1] == 0
    assert calibrated[0] == 0.5 > calibrated[1] == 0


def test_a_judgement_that_is_added_counts_with_its_weight():
    found = rolled(torch.tensor([[5.0, 1.0]]), torch.tensor([[False, True]]))
    assert RLOO(c=0.0, judge_weight=3.0).reward(found, 0.0).tolist() == [[5.0, 4.0]]
    assert RLOO(judge_weight=3.0).judging
    assert not RLOO().judging


def test_a_loss_that_is_no_number_ends_the_run():
    problem = hackable_table(8, 12)
    method = TableLagrangian(dual_step=0.0)
    state = method.init(problem, np.random.default_rng(0))
    state.multiplier = float("inf")
    state = method.step(problem, state)
    assert "nan" in method.done(problem, state)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"reward": [[np.nan, 1.0]]}, NotFinite),
        ({"reward": [1.0]}, ShapeError),
        ({"judges": {"a": [[1, 2]]}}, ArgumentError),
        ({"judges": {"a": [[1]]}}, ShapeError),
        ({"baseline": [2]}, ArgumentError),
        ({"tolerance": 1.0}, ArgumentError),
    ],
)
def test_bad_tables_are_named(change, error):
    with pytest.raises(error, match=next(iter(change))):
        ResponseTable(**{"reward": [[0.0, 1.0]], **change})


def test_bad_settings_are_named():
    for make in (CRPG, TableCRPG):
        with pytest.raises(ArgumentError, match="kl_max"):
            make(kl_max=0.0)
    with pytest.raises(ArgumentError, match="k="):
        TableCODPO(k=1)
