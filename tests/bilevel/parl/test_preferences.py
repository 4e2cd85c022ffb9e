"""Comparisons of episodes: the person, the likelihood, and learning from it."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.bilevel.parl import APARL, BradleyTerry, PreferenceFeedback, RewardFromPreferences
from feasible.bilevel.parl.feedback import likelihood, likelihood_weights, steps_of
from feasible.bilevel.parl.instances import preferences, random_world
from feasible.core.errors import ArgumentError, ArgumentTypeError, EvaluationFailed, NotFinite


def pairs_of(mdp, n, seed=0):
    episodes = mdp.rollout(mdp.uniform(), 2 * n, np.random.default_rng(seed))
    return episodes.reshape(n, 2, mdp.horizon, 2)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_person_answers_with_the_probabilities_of_bradley_and_terry(temperature):
    mdp, u = random_world(100)
    pair = pairs_of(mdp, 1)
    person = BradleyTerry(u, temperature, seed=7)
    ahead = (
        u[pair[0, 0, :, 0], pair[0, 0, :, 1]].sum() - u[pair[0, 1, :, 0], pair[0, 1, :, 1]].sum()
    )
    p = 1 / (1 + np.exp(-ahead / temperature))
    said = person.draw(np.repeat(pair, 10_000, axis=0), 0).mean()
    assert abs(said - p) < 4 * np.sqrt(p * (1 - p) / 10_000)
    assert person.probability(pair)[0] == pytest.approx(p, rel=1e-12)


def test_a_person_without_noise_never_errs_and_is_torn_between_equals():
    mdp, u = random_world(100)
    pairs = pairs_of(mdp, 50)
    person = BradleyTerry(u, 0.0)
    values = person.value(pairs.reshape(100, -1, 2)).reshape(50, 2)
    np.testing.assert_array_equal(person.draw(pairs, 0), values[:, 0] > values[:, 1])
    same = pairs[:, [0, 0]]
    np.testing.assert_array_equal(person.probability(same), 0.5)


def test_the_person_keeps_its_own_utility_and_draws_by_number():
    mdp, u = random_world(100)
    pairs = pairs_of(mdp, 40)
    person = BradleyTerry(u, seed=3)
    before = person.draw(pairs, 5)
    u[:] = -u
    np.testing.assert_array_equal(person.draw(pairs, 5), before)
    np.testing.assert_array_equal(BradleyTerry(-u, seed=3).draw(pairs, 5), before)
    np.testing.assert_array_equal(person.draw(pairs[7:], 12), before[7:])
    one_by_one = BradleyTerry(-u, seed=3)
    for i in range(5):
        one_by_one(*({"states": e[:, 0], "actions": e[:, 1]} for e in pairs[i]))
    a, b = pairs[0]
    again = one_by_one(
        {"states": a[:, 0], "actions": a[:, 1]}, {"states": b[:, 0], "actions": b[:, 1]}
    )
    assert again == before[0]


def test_the_likelihood_and_its_slope_are_those_of_the_formula():
    mdp, _ = random_world(100)
    pairs, nu = pairs_of(mdp, 30), np.array([0.2, -0.1, 0.4, 0.3])
    labels = np.random.default_rng(1).random(30)

    def loss(nu):
        return likelihood(steps_of(mdp, pairs, mdp.reward(nu)), labels).mean()

    ahead = steps_of(mdp, pairs, mdp.reward(nu))
    p = 1 / (1 + np.exp(-ahead))
    expected = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean()
    assert loss(nu) == pytest.approx(expected, rel=1e-12)
    reward, pullback = mdp.reward_and_pullback(nu)
    found = pullback(likelihood_weights(mdp, pairs, labels, reward))
    slopes = [(loss(nu + 1e-6 * e) - loss(nu - 1e-6 * e)) / 2e-6 for e in np.eye(4)]
    np.testing.assert_allclose(found, slopes, rtol=1e-6)
    assert likelihood(np.array([800.0]), np.array([0.0]))[0] == 800.0


def test_a_reward_is_learnt_from_comparisons():
    problem = preferences(100)
    found = APARL(
        problem.lower, problem.feedback, iters=50, batch=16, optimizer="adam", lr=0.15,
        distribution_term=False,
    ).run(np.zeros(4))  # fmt: skip
    greedy = problem.lower.greedy(problem.lower.reward(found.nu)).policy
    reached = problem.lower.expected(greedy, problem.truth)
    assert reached > 0.95 * problem.lower.greedy(problem.truth).value
    assert found.n_feedback == 800


def test_a_penalty_keeps_the_scale_of_a_reward_that_labels_leave_open():
    mdp, u = random_world(100, spanned=True)
    sizes = {}
    for penalty in (0.0, 0.1):
        feedback = PreferenceFeedback(BradleyTerry(u, 0.0))
        design = APARL(
            mdp, feedback, iters=150, batch=16, optimizer="adam", lr=0.3, penalty=penalty,
            distribution_term=False,
        )  # fmt: skip
        sizes[penalty] = np.linalg.norm(design.run(np.zeros(4)).nu)
    assert sizes[0.0] > 3 * sizes[0.1]


@pytest.mark.parametrize("answer", [1.5, -0.1, float("nan"), None, "first"])
def test_a_label_that_is_none_is_refused(answer):
    mdp, _ = random_world(100)
    feedback = PreferenceFeedback(lambda a, b: answer)
    with pytest.raises(EvaluationFailed, match="preference="):
        feedback.labels(pairs_of(mdp, 1))


def test_a_person_sees_states_and_actions_and_cannot_change_them():
    mdp, _ = random_world(100)
    seen = []

    def person(a, b):
        seen.append((a["states"].copy(), b["actions"].copy()))
        a["states"][:] = 0
        return 1.0

    pairs = pairs_of(mdp, 2)
    kept = pairs.copy()
    PreferenceFeedback(person).labels(pairs)
    np.testing.assert_array_equal(pairs, kept)
    np.testing.assert_array_equal(seen[1][0], pairs[1, 0, :, 0])
    np.testing.assert_array_equal(seen[1][1], pairs[1, 1, :, 1])


def test_what_is_no_person_and_no_utility_is_refused_by_name():
    mdp, u = random_world(100)
    with pytest.raises(ArgumentTypeError, match="oracle=3"):
        PreferenceFeedback(3)
    with pytest.raises(ArgumentError, match="temperature=-1"):
        BradleyTerry(u, -1.0)
    with pytest.raises(NotFinite, match="utility"):
        BradleyTerry(u * np.nan)
    with pytest.raises(ArgumentError, match="state_names"):
        RewardFromPreferences(mdp, None, np.zeros(4), state_names=["a"] * 6)
    with pytest.raises(ArgumentError, match="action_names"):
        RewardFromPreferences(mdp, None, np.zeros(4), action_names=["a", "b", "c:d"])


def test_where_nobody_knows_the_truth_labels_predict_one_another():
    truth = preferences(100)
    problem = RewardFromPreferences(truth.lower, None, np.zeros(4))
    pairs = pairs_of(truth.lower, 200)
    labels = truth.feedback.labels(pairs)
    loss, right = problem.held_out(pairs, labels)
    coin, half = problem.held_out(pairs, np.random.default_rng(0).integers(0, 2, 200).astype(float))
    assert loss < 0.4 < np.log(2) * 0.98 < coin
    assert right > 0.8
    assert abs(half - 0.5) < 0.12
    assert problem.held_out(pairs[:0], labels[:0]) == (np.log(2.0), 0.5)


def test_a_simulated_person_does_not_change_with_the_array_it_was_made_from():
    mdp, u = random_world(seed=100)
    u = np.array(u)
    person = BradleyTerry(u, seed=3)
    pairs = np.random.default_rng(100).integers(0, 2, (50, 2, mdp.horizon, 2))
    before = person.probability(pairs)
    u *= -1
    np.testing.assert_array_equal(person.probability(pairs), before)
