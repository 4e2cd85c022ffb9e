"""The exact mirror step on processes that are known."""

import numpy as np
import pytest

import feasible
from feasible.policies import tabular_mdpo
from feasible.policies.mdpo.claim import best_value, parametric, random_process

errors = feasible.errors


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("t", "schedule", "gap"), [(1.0, "constant", 5e-3), (5.0, "constant", 5e-4),
                               (1.0, "geometric", 1e-9)]
)  # fmt: skip
def test_it_rises_in_every_iteration_and_comes_near_the_best(seed, t, schedule, gap):
    P, R = random_process(100 + seed)
    found = tabular_mdpo(P, R, 0.9, t, 200, schedule)
    assert (np.diff(found.objective) >= -1e-12).all()
    assert 0 <= best_value(P, R, 0.9) - found.objective[-1] + 1e-12 <= gap
    assert np.allclose(found.policy.sum(axis=1), 1)


def test_the_value_solves_bellmans_equation():
    P, R = random_process(103)
    found = tabular_mdpo(P, R, 0.8, iters=7)
    r, move = (found.policy * R).sum(1), np.einsum("sa,sat->st", found.policy, P)
    assert np.allclose(found.value, r + 0.8 * move @ found.value)


def test_one_state_is_a_bandit_whose_logits_add_up():
    R = np.array([[0.1, 0.7, 0.4]])
    found = tabular_mdpo(np.ones((1, 3, 1)), R, 0.0, t=2.0, iters=3)
    expected = np.exp(6.0 * R[0])
    assert np.allclose(found.policy[0], expected / expected.sum())


def test_huge_geometric_steps_stay_finite():
    P, R = random_process(104)
    found = tabular_mdpo(P, R, 0.5, iters=2000, schedule="geometric")
    assert np.isfinite(found.objective).all()


def test_many_steps_an_iteration_come_nearer_than_one():
    P, R = random_process(105)
    best = best_value(P, R, 0.9)
    many, one = (best - parametric(P, R, 0.9, m, 60) for m in (10, 1))
    assert many < one


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"P": np.ones((2, 2))}, errors.ShapeError, "P has shape"),
        ({"R": np.ones((3, 2))}, errors.ShapeError, "R has shape"),
        ({"P": np.ones((2, 2, 2))}, errors.ArgumentError, "sum to 1"),
        ({"R": np.full((2, 2), np.nan)}, errors.ArgumentError, "R: expected finite"),
        ({"gamma": 1.0}, errors.ArgumentError, "gamma=1"),
        ({"t": 0.0}, errors.ArgumentError, "t=0"),
        ({"iters": -1}, errors.ArgumentError, "iters=-1"),
        ({"schedule": "slow"}, errors.ArgumentError, "schedule"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(given, error, says):
    fine = {"P": np.full((2, 2, 2), 0.5), "R": np.ones((2, 2)), "gamma": 0.9}
    with pytest.raises(error, match=says):
        tabular_mdpo(**{**fine, **given})
