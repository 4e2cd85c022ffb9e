"""C-MORL in a run, and as a class."""

import gymnasium
import numpy as np
import pytest

import feasible
from feasible.core.budget import Meter, active_meter
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    Infeasible,
    NotFinite,
    ShapeError,
    WrongProblem,
)
from feasible.policies import CMORL, Control
from feasible.policies.c_morl.run import ConstrainedExtension, LinearScalarisation

SMALL = {"n_envs": 2, "n_steps": 16, "minibatches": 2, "hidden": 16, "lr": 1e-2}
ARMS = np.array([(1.0, 0.0), (0.0, 1.0), (0.6, 0.6), (0.3, 0.3)])


class Arms(gymnasium.Env):
    """One choice among arms of two rewards; counts its steps in all copies."""

    made = 0

    def __init__(self, arms=ARMS, fault=None):
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(len(arms))
        self.reward_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
        self.arms, self.fault = arms, fault

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action):
        Arms.made += 1
        reward = self.arms[action] if self.fault is None else np.full(2, self.fault)
        return np.zeros(1, dtype=np.float32), reward, True, False, {}


class Pull(Arms):
    """A continuous action a in [-2, 2] with the rewards -(a - 1)^2 and -(a + 1)^2, seen as a
    numbered state."""

    def __init__(self):
        super().__init__()
        self.observation_space = gymnasium.spaces.Discrete(2)
        self.action_space = gymnasium.spaces.Box(-2.0, 2.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 1, {}

    def step(self, action):
        a = float(action[0])
        return 0, -np.array([(a - 1) ** 2, (a + 1) ** 2]), True, False, {}


def arms(**more):
    return Control(Arms, reference=(-0.1, -0.1), episodes=1, final_episodes=1, name="arms", **more)


@pytest.mark.parametrize("method", [ConstrainedExtension(**SMALL), LinearScalarisation(**SMALL)])
def test_all_arms_that_nothing_dominates_are_found(method):
    result = feasible.solve(arms(), method, {"env_steps": 4000}, seed=100)
    points = result.answer.returns
    assert {tuple(p) for p in np.round(points, 6).tolist()} == {(1, 0), (0, 1), (0.6, 0.6)}
    # the union of three boxes above (-.1, -.1): 1.1 x .1, .1 x 1.1, .7 x .7
    assert -result.verdict.objective == pytest.approx(0.11 * 2 + 0.49 - 0.07 * 2)


def test_rewards_of_a_continuous_action_are_traded():
    problem = Control(Pull, reference=(-9.0, -9.0), episodes=1, final_episodes=1)
    method = ConstrainedExtension(**{**SMALL, "n_select": 3, "epochs": 4})
    result = feasible.solve(problem, method, {"env_steps": 10_000}, seed=100)
    # the front is a in [-1, 1]: its hypervolume above (-9, -9) is below the integral
    a = np.linspace(-1, 1, 2001)
    f, g = -((a - 1) ** 2), -((a + 1) ** 2)
    most = float(np.trapezoid(g + 9, f) + (f[0] + 9) * (g[0] + 9))
    assert 0.9 * most <= -result.verdict.objective <= most + 1e-6
    assert result.verdict.metrics["points"] >= 8


def test_learning_inside_a_run_is_charged_to_it():
    agent, meter = CMORL(Arms, ref_point=(-0.1, -0.1), **SMALL), Meter({"env_steps": 700})
    token, Arms.made = active_meter.set(meter), 0
    try:
        agent.learn(500)
        assert meter.spent["env_steps"] == Arms.made == agent.num_timesteps
        agent.learn(5000)
    finally:
        active_meter.reset(token)
    assert meter.spent["env_steps"] == Arms.made <= 700


@pytest.mark.parametrize("budget", [1, 37, 500, 1501])
def test_no_transition_is_made_beyond_the_budget_and_all_are_counted(budget):
    agent = CMORL(Arms, ref_point=(-0.1, -0.1), **SMALL)
    Arms.made = 0
    agent.learn(budget)
    assert Arms.made == agent.num_timesteps <= budget
    if budget >= 500:
        assert agent.num_timesteps >= 0.8 * budget


def test_the_class_and_a_run_give_the_same_front():
    agent = CMORL(Arms, ref_point=(-0.1, -0.1), eval_gamma=1.0, seed=100, **SMALL)
    agent.learn(4000)
    result = feasible.solve(arms(), ConstrainedExtension(**SMALL), {"env_steps": 4000}, seed=100)
    assert agent.hypervolume() == pytest.approx(-result.verdict.objective)
    assert agent.expected_utility(0.5) == pytest.approx((1 + 0.6 + 1) / 3)
    assert agent.sparsity() == pytest.approx((0.36 + 0.16 + 0.36 + 0.16) / 2)


def test_learning_goes_on_where_it_stopped_and_a_callback_ends_it():
    agent = CMORL(Arms, ref_point=(-0.1, -0.1), **SMALL)
    calls = []
    agent.learn(2000, callback=lambda a: calls.append(a.num_timesteps) or len(calls) < 2)
    assert 0 < calls[0] < calls[1] <= agent.num_timesteps
    before = agent.num_timesteps
    agent.learn(1000, reset_num_timesteps=False)
    assert before < agent.num_timesteps <= before + 1000


def test_a_saved_agent_acts_as_it_did(tmp_path):
    path = str(tmp_path / "agent.safetensors")
    agent = CMORL(Arms, ref_point=(-0.1, -0.1), **SMALL)
    agent.learn(4000).save(path)
    again = CMORL.load(path)
    obs = np.zeros(1, dtype=np.float32)
    for weights, arm in (((1, 0), 0), ((0, 1), 1), ((0.5, 0.5), 2)):
        assert agent.predict(obs, weights)[0] == again.predict(obs, weights)[0] == arm
    assert again.num_timesteps == agent.num_timesteps
    assert again.settings == agent.settings
    with pytest.raises(ArgumentError, match="env=None"):
        again.learn(100)
    with pytest.raises(ArgumentError, match="is for"):
        CMORL.load(path, "deep-sea-treasure-v0")


def test_a_file_that_holds_no_agent_is_refused(tmp_path):
    import pickle

    bomb = tmp_path / "bomb"
    bomb.write_bytes(pickle.dumps(print))
    for path in (bomb, tmp_path / "missing"):
        with pytest.raises(ArgumentError, match="no agent"):
            CMORL.load(str(path))


def test_a_constraint_query_is_answered_or_says_what_can_be_had():
    agent = CMORL(Arms, ref_point=(-0.1, -0.1), **SMALL)
    with pytest.raises(ArgumentError, match="call learn"):
        agent.policy_for((0.5, 0.5))
    agent.learn(4000)
    obs = np.zeros(1, dtype=np.float32)
    assert agent.policy_within(0, {1: 0.5}).act(obs) == 2
    assert agent.policy_within(0, {1: -1.0}).act(obs) == 0
    with pytest.raises(Infeasible, match="nearest"):
        agent.policy_within(0, {0: 0.6, 1: 0.7})
    with pytest.raises(ArgumentError, match="at_least"):
        agent.policy_within(0, {5: 0.7})
    with pytest.raises(ArgumentError, match="weights"):
        agent.policy_for((0.9, 0.9))
    with pytest.raises(ShapeError, match="weights"):
        agent.policy_for((1.0,))


def test_bad_settings_are_refused():
    for name, bad in (
        *(("beta", 1.0), ("beta", 0.0), ("barrier_t", 0.0), ("init_fraction", 1.0)),
        *(("init_fraction", 0.0), ("constraint", "cpo"), ("delta_weight", 0.3), ("n_select", 0)),
        *(("minibatches", 10_000), ("lr", -1.0), ("clip", 1.0), ("gamma", 0.0), ("buffer", 0)),
    ):
        with pytest.raises(ArgumentError, match=name):
            ConstrainedExtension(**{name: bad})
    with pytest.raises(ArgumentError, match="did you mean 'n_select'"):
        CMORL(Arms, ref_point=(0, 0), n_selct=3)
    with pytest.raises(ArgumentTypeError, match="n_steps"):
        ConstrainedExtension(n_steps="64")


def test_reference_points_are_checked_when_the_problem_is_built():
    with pytest.raises(ShapeError, match=r"reference has shape .* expected \(2,\)"):
        CMORL(Arms, ref_point=(0.0, 0.0, 0.0))
    with pytest.raises(NotFinite, match="ref_point"):
        CMORL(Arms, ref_point=(0.0, np.nan))
    with pytest.raises(ArgumentError, match="reward is a number"):
        CMORL("CartPole-v1", ref_point=(0.0, 0.0))


def test_one_reward_and_no_plan_are_refused():
    cart = Control("CartPole-v1")
    with pytest.raises(WrongProblem, match="several rewards"):
        feasible.solve(cart, ConstrainedExtension(), {"env_steps": 100})
    with pytest.raises(ArgumentError, match="env_steps"):
        feasible.solve(arms(), ConstrainedExtension(), {"steps": 3})


def test_a_reward_of_nan_ends_with_where_it_was():
    broken = Control(lambda: Arms(fault=np.nan), reference=(0.0, 0.0), name="broken")
    with pytest.raises(FloatingPointError, match="broken"):
        ConstrainedExtension(total_steps=100).step(
            broken, ConstrainedExtension(total_steps=100).init(broken, np.random.default_rng(0))
        )


def test_where_nothing_is_above_the_reference_point_the_last_policies_are_the_answer():
    far = Control(Arms, reference=(5.0, 5.0), episodes=1, final_episodes=1)
    result = feasible.solve(far, ConstrainedExtension(**SMALL), {"env_steps": 2000}, seed=100)
    assert len(result.answer) == 6
    assert result.verdict.metrics["hypervolume"] == 0
    assert any("reference point" in note for note in result.notes)


def test_a_front_that_is_better_than_the_best_known_one_is_said_aloud():
    from feasible.lab.standings import LOUD, standings

    problem = arms()
    problem.best_known = -0.5  # the true front has 0.57
    method = LinearScalarisation(**SMALL)
    race = feasible.race([problem], {"sums": method}, {"env_steps": 4000}, [100])
    assert any(note.startswith(LOUD) and "arms" in note for note in standings(race).notes)
    problem.best_known = -0.57
    race = feasible.race([problem], {"sums": method}, {"env_steps": 4000}, [100])
    assert not any(note.startswith(LOUD) for note in standings(race).notes)


def test_a_front_acts_alike_wherever_it_is_judged():
    """An answer is complete: a fresh problem measures what the run's own one measured."""
    result = feasible.solve(arms(), ConstrainedExtension(**SMALL), {"env_steps": 2000}, seed=100)
    assert arms().confirm(result.answer, result.verdict).objective == result.verdict.objective
    np.testing.assert_allclose(
        result.verdict.metrics["hypervolume_told"], -result.verdict.objective
    )
