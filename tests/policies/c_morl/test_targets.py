"""The environment whose best policies are known."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from feasible.policies.c_morl import targets
from feasible.policies.c_morl.entries import NAMES
from feasible.policies.c_morl.instances import KNOWN, mo_control, nine_targets
from feasible.policies.c_morl.metrics import hypervolume


def played(gains, weights, seed):
    env = targets.Targets()
    env.reset(seed=seed)
    return sum(float(env.step(-K @ np.append(env.x, 1.0))[1] @ weights) for K in gains)


def test_riccati_gains_give_the_return_that_they_promise():
    weights = np.random.default_rng(0).dirichlet(np.ones(9))
    gains, _ = targets.best_gains(weights)
    found = [played(gains, weights, seed) for seed in range(200)]
    spread = np.std(found) / len(found) ** 0.5
    assert np.mean(found) == pytest.approx(targets.best_utility(weights), abs=4 * spread)


def test_no_other_controls_are_better():
    weights = np.eye(9)[2]
    gains, _ = targets.best_gains(weights)
    rng = np.random.default_rng(0)
    best = played(gains, weights, 0)
    for size in (1e-3, 1e-2, 0.1):
        for _ in range(50):
            other = [K + size * rng.standard_normal(K.shape) for K in gains]
            assert played(other, weights, 0) < best


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_is_an_environment():
    one = gymnasium.wrappers.TransformReward(targets.Targets(), lambda r: float(r.sum()))
    check_env(one, skip_render_check=True)


def test_every_environment_has_a_reference_point_of_its_length():
    assert set(NAMES) == set(KNOWN)
    for name in ("deep-sea-treasure", "fruit-tree", "minecart", "four-room"):
        assert len(mo_control(name).reference) == mo_control(name).spaces.rewards
    assert nine_targets().spaces.rewards == 9


@pytest.mark.parametrize("name", ["deep-sea-treasure", "fruit-tree"])
def test_the_best_known_hypervolume_is_that_of_the_listed_front(name):
    problem = mo_control(name)
    listed = np.array(problem.world.make().unwrapped.pareto_front(gamma=problem.discount))
    assert hypervolume(listed, problem.reference) == pytest.approx(-problem.best_known)


def test_every_leaf_of_the_fruit_tree_is_within_the_best_known_front():
    problem = mo_control("fruit-tree")
    points = []
    for k in range(64):
        place = problem.world.place()
        place.reset(0, "leaf")
        steps = [place.move(np.array([(k >> j) & 1])) for j in range(6)]
        points.append(sum(0.99**t * s[1] for t, s in enumerate(steps)))
        assert steps[-1][2]
    assert len(np.unique(np.array(points), axis=0)) == 64
    assert hypervolume(points, problem.reference) == pytest.approx(-problem.best_known)
