"""PR-LSVI and PbTS against the mathematics, and by hand."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.special import expit
from scipy.stats import beta

from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    EvaluationFailed,
    NotFinite,
    ShapeError,
)
from feasible.policies import PRLSVI, LogisticOracle, PbTS, PRLSVISettings, TabularMDP
from feasible.policies.preferences import differences, fit_preferences
from feasible.policies.randomized_pbrl.compiled import add_row
from feasible.policies.randomized_pbrl.instances import random_preferences, river
from feasible.policies.randomized_pbrl.learner import noise, norm
from feasible.policies.randomized_pbrl.prlsvi import EXPECTED, Randomized

SIZES = {"horizon": 4, "n_actions": 3, "n_states": 4}


@given(st.integers(0, 10**6), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_a_factor_that_gets_rows_is_the_factor_of_their_sum(seed, k):
    rng = np.random.default_rng(seed)
    factor, total = np.eye(k), np.eye(k)
    for _ in range(20):
        x = rng.standard_normal(k) * (rng.random(k) < 0.6)
        add_row(factor, x)
        total += np.outer(x, x)
    assert np.allclose(factor.T @ factor, total, rtol=0, atol=1e-8)
    x = rng.standard_normal(k)
    assert norm(factor, x) == pytest.approx(np.sqrt(x @ np.linalg.solve(total, x)), abs=1e-8)


def test_the_rules_closed_form_is_the_expected_difference_of_two_draws():
    total, sigma, x = np.array([[2, 0.3], [0.3, 1]]), 0.7, np.array([0.5, -1.2])
    factor = np.linalg.cholesky(total).T
    rng = np.random.default_rng(0)
    along = sigma * (noise(factor, rng, 200_000) - noise(factor, rng, 200_000)) @ x
    assert sigma * EXPECTED * norm(factor, x) == pytest.approx(1.0677, abs=1e-4)
    assert np.abs(along).mean() == pytest.approx(1.0677, abs=0.01)
    assert np.cov(noise(factor, rng, 200_000).T) == pytest.approx(np.linalg.inv(total), abs=0.03)


def test_thompsons_figure_is_the_mean_over_all_pairs_of_draws():
    learner = PbTS(**SIZES, draws=7).learner
    state = learner.start(np.random.default_rng(3))
    x = np.random.default_rng(1).standard_normal(48)
    along = noise(state.factor, np.random.default_rng(5), 7) @ x
    state.rng = np.random.default_rng(5)
    by_hand = np.mean([abs(a - b) for i, a in enumerate(along) for b in along[:i]])
    assert learner.statistic(state, x) == pytest.approx(by_hand)


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_the_fit_has_no_gradient_left_and_separable_labels_stay_finite(seed):
    rng = np.random.default_rng(seed)
    x, labels = rng.integers(-2, 3, (40, 6)).astype(float), rng.choice([0.0, 0.5, 1.0], 40)
    for y in (labels, (x[:, 0] > 0).astype(float)):
        theta, iterations = fit_preferences(x, y, 0.1)
        slope = x.T @ (expit(x @ theta) - y) + 0.1 * theta
        assert abs(slope).max() < 1e-6
        assert np.isfinite(theta).all()
        again, fewer = fit_preferences(x, y, 0.1, theta)
        assert fewer <= min(iterations, 1)
        assert again == pytest.approx(theta, abs=1e-8)


def test_ties_and_contradictions_say_nothing_of_the_reward():
    x = np.array([[1.0, -1.0], [1.0, -1.0]])
    for labels in ([0.5, 0.5], [1.0, 0.0]):
        assert fit_preferences(x, np.array(labels), 0.1)[0] == pytest.approx([0, 0])
    asked = [PRLSVI(**SIZES, seed=1) for _ in range(2)]
    a, b = [[0, 1]] * 4, [[1, 2]] * 4
    for label in (1, 0):
        asked[0].update(a, b, label)
    for _ in range(2):
        asked[1].update(a, b, 0.5)
    for one in asked:
        one.propose()
        assert abs(one.state.theta).max() < 1e-9
    assert np.allclose(asked[0].state.factor, asked[1].state.factor)


def test_one_hot_counts_and_dense_features_are_the_same_method():
    phi = np.eye(12).reshape(4, 3, 12)
    problem = random_preferences(seed=101)
    logs = [
        PRLSVI(**SIZES, seed=5, query=0.5, phi=given).run(problem, episodes=60)
        for given in (None, phi, lambda s, a: phi[s, a])
    ]
    for log in logs[1:]:
        assert (log.policy == logs[0].policy).all()
        assert (log.asked == logs[0].asked).all()


def test_without_noise_and_with_all_known_it_is_value_iteration():
    problem = random_preferences(seed=102)
    learner = Randomized(4, 3, 4, PRLSVISettings(sigma=0.0))
    state = learner.start(np.random.default_rng(0))
    state.theta = problem.truth.ravel()
    state.seen[:] = 1e9
    state.moves[:-1] = 1e9 * problem.world.P[:-1]
    assert (learner.drawn(state) == problem.world.best_policy().argmax(-1)).all()


def test_thompson_takes_an_action_as_often_as_its_transitions_may_be_the_better_ones():
    learner = PbTS(2, 2, 2, prior=1.0).learner
    state = learner.start(np.random.default_rng(0))
    state.theta = np.array(
        [[[0, 0], [0, 0]], [[0, 0], [1, 1]]], float
    ).ravel()  # to be in 1 at last
    state.factor = 1e9 * np.eye(8)
    state.moves[0, 0] = (2, 1), (1e9, 1e9)  # action 1 leads there half of the time
    share = np.mean([learner.drawn(state)[0, 0] == 0 for _ in range(4000)])
    assert share == pytest.approx(beta.sf(0.5, 2, 3), abs=0.03)


def test_thompsons_precision_is_the_curvature_of_the_posterior():
    learner = PbTS(**SIZES, lam=0.5)
    rng = np.random.default_rng(2)
    for _ in range(30):
        tau0, tau1 = np.stack([rng.integers(0, (4, 3), (4, 2)) for _ in range(2)])
        learner.update(tau0, tau1, float(rng.random() < 0.8))
    state, of = learner.state, learner.learner
    x = of.all_differences(state.pairs[:30])

    def curvature(rows):
        p = expit(rows @ state.theta)
        return (rows.T * (p * (1 - p))) @ rows

    of.refit(state)
    expected = 0.5 * np.eye(48) + curvature(x)
    assert state.factor.T @ state.factor == pytest.approx(expected)
    of.weighed(state, x[0])
    assert state.factor.T @ state.factor == pytest.approx(expected + curvature(x[:1]))
    assert abs(x @ state.theta).max() > 0.5  # so that it is not a quarter of x x'


def test_features_of_low_dimension_share_what_is_learnt():
    rng = np.random.default_rng(0)
    phi = rng.random((6, 3, 2))
    phi /= np.linalg.norm(phi, axis=2, keepdims=True)
    world = TabularMDP(np.full((6, 3, 6), 1 / 6), phi @ [1.0, -1.0], None, 1.0, 3)
    learner = PRLSVI(3, 3, phi=phi, seed=1, query=0.3)
    log = learner.run(world, LogisticOracle(world.R, 5.0), 300)
    assert log.regret[-50:].mean() < 0.3 * log.regret[:20].mean()
    assert learner.state.factor.shape == (6, 6)


def test_questions_stay_below_the_bound_of_the_elliptical_potential():
    problem, query = random_preferences(seed=103), 1.5
    log = PRLSVI(**SIZES, query=query).run(problem, episodes=3000)
    x2, k = 8.0, 48
    bound = 2 * k * np.log(1 + 3000 * x2 / k) / min(1, np.pi * query**2 / 4)
    assert 0 < log.queries <= bound < 3000
    assert (log.statistics[log.asked] > query).all()
    assert (log.statistics[~log.asked] <= query).all()


def test_equal_episodes_are_never_asked_about_and_others_always_at_zero():
    learner = PRLSVI(**SIZES, query=0.0)
    a, b = [[0, 1]] * 4, [[0, 1]] * 3 + [[1, 1]]
    assert not learner.should_query(a, a)
    assert learner.should_query(a, b)
    assert not PRLSVI(**SIZES, query=0.0, rule="random", share=0.0).should_query(a, b)


def test_the_first_pair_compares_with_a_table_drawn_once_and_proposals_stay():
    learner = PRLSVI(**SIZES, seed=3)
    first = learner.state.policy
    pi0, pi1 = learner.propose()
    assert (pi1 == first).all()
    assert (learner.propose()[0] == pi0).all()
    learner.update([[0, 1]] * 4, [[1, 1]] * 4)
    assert (learner.propose()[1] == pi0).all()
    twice = PRLSVI(**SIZES, against="current").propose()
    assert (twice[0] == twice[1]).all()


def test_only_the_first_episode_feeds_the_transitions_unless_both_are_to():
    a, b = [[0, 1]] * 4, [[1, 2]] * 4
    for learner, visits in ((PRLSVI(**SIZES), 4), (PRLSVI(**SIZES, both=True), 8)):
        learner.update(a, b, 1)
        assert learner.state.seen.sum() == visits
        assert learner.state.moves.sum() == visits * 3 / 4
    thompson = PbTS(**SIZES)
    thompson.update(a, b)
    assert thompson.state.seen.sum() == 8


def test_the_transcript_says_what_caused_each_question():
    learner = PRLSVI(**SIZES, query=0.5)
    a, b = [[0, 1]] * 4, [[1, 2]] * 4
    for k in range(60):
        learner.update(a, b, k % 2)
    wanted = [asked.wanted for asked in learner.transcript]
    assert wanted[0]
    assert not wanted[-1]  # given although nobody asked, and kept all the same
    assert [asked.statistic > 0.5 for asked in learner.transcript] == wanted
    assert learner.state.asked == 60


def test_what_is_learnt_has_less_regret_than_playing_at_random():
    even = np.full((4, 3), 1 / 3)
    for kind in (PRLSVI, PbTS):
        shares = []
        for seed in (104, 105):
            problem = random_preferences(seed=seed)
            log = kind(**SIZES, seed=seed).run(problem, episodes=400)
            uniform = 800 * (problem.world.optimum - problem.world.value(even))
            shares.append(log.regret.sum() / uniform)
        assert np.median(shares) < 0.6, kind


def test_noise_finds_the_rivers_end_and_none_does_not():
    problem = river(seed=100)
    swum = [
        PRLSVI(8, 2, 4, seed=100, query=0.0, sigma=s)
        .run(problem, episodes=800)
        .regret[-100:]
        .mean()
        for s in (1.0, 0.0)
    ]
    assert swum[0] < 0.3 * swum[1]


def test_a_gymnasium_environment_is_learnt():
    class Corridor(gymnasium.Env):
        observation_space = gymnasium.spaces.Discrete(3, start=1)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.at = 1
            return self.at, {}

        def step(self, action):
            self.at = min(max(self.at + 2 * int(action) - 1, 1), 3)
            return self.at, 0.0, False, False, {}

    truth = np.zeros((3, 2))
    truth[2, 1] = 1.0
    learner = PRLSVI(horizon=4, n_actions=2, n_states=3, seed=0)
    log = learner.run(Corridor(), LogisticOracle(truth, 3.0), 300)
    assert log.regret is None
    assert log.policy[:, 0].tolist()[0] == 1
    assert log.policy[2, 2] == 1

    class Short(Corridor):
        def step(self, action):
            return (*super().step(action)[:2], True, False, {})

    with pytest.raises(EvaluationFailed, match="ended after 1 steps, expected 4"):
        learner.run(Short(), LogisticOracle(truth))


def test_bad_input_is_named():
    learner, fine = PRLSVI(**SIZES), [[0, 1]] * 4
    phi = np.ones((4, 3, 2)) / 2
    for kind, say, call in (
        (ShapeError, r"tau0 has shape \(3, 2\): expected \(4, 2\)",
         lambda: learner.update(fine[:3], fine)),
        (ArgumentError, "tau1=.*states below 4", lambda: learner.update(fine, [[9, 1]] * 4)),
        (ArgumentTypeError, "tau1", lambda: learner.update(fine, [[0.5, 1]] * 4)),
        (ArgumentError, "preference=2", lambda: learner.update(fine, fine, 2)),
        (ArgumentError, "query=-1", lambda: PRLSVI(**SIZES, query=-1.0)),
        (ArgumentError, "cutoff=.*below alpha_U", lambda: PRLSVI(**SIZES, cutoff=(1.0, 1.0))),
        (ArgumentError, "sigm: did you mean|sigm", lambda: PRLSVI(**SIZES, sigm=1)),
        (ArgumentError, "n_states=None", lambda: PRLSVI(4, 3)),
        (NotFinite, "phi", lambda: PRLSVI(4, 3, phi=phi * np.nan)),
        (ShapeError, "phi has shape", lambda: PRLSVI(4, 2, phi=phi)),
        (ArgumentError, "phi: the longest row", lambda: PRLSVI(4, 3, phi=4 * phi)),
        (ArgumentError, "draws=1", lambda: PbTS(**SIZES, draws=1)),
        (ArgumentTypeError, "oracle", lambda: learner.run(random_preferences().world)),
        (ArgumentTypeError, "env=", lambda: learner.run(object(), lambda a, b: 1)),
        (ArgumentError, "env has", lambda: learner.run(TabularMDP(
            np.full((2, 2, 2), 0.5), np.zeros((2, 2)), horizon=4), lambda a, b: 1)),
        (ArgumentError, "its horizon is 8", lambda: PRLSVI(4, 2, 4).run(river())),
        (EvaluationFailed, "preference=3",
         lambda: learner.run(random_preferences(), lambda a, b: 3.0, 50)),
        (NotFinite, "reward", lambda: LogisticOracle([[np.inf]])),
        (ShapeError, "reward has shape", lambda: LogisticOracle([1.0])),
    ):  # fmt: skip
        with pytest.raises(kind, match=say):
            call()


def test_differences_count_visits():
    pair = np.array([[[[0, 1], [1, 0]], [[0, 1], [0, 0]]]])
    x = differences(pair, 2, 2).reshape(2, 2, 2)
    assert x[0].any() == 0
    assert x[1].tolist() == [[-1, 0], [1, 0]]
