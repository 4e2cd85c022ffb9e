"""Control: an environment as a problem, judged on episodes of its own."""

import gymnasium
import numpy as np
import pytest
from worlds import Line, Still, line

import feasible
from feasible.core.budget import Budget, Meter, active_meter
from feasible.policies import Control, EnvironmentFailed, PolicyFront
from feasible.policies.answers import network_policy

errors = feasible.errors


def still(problem, value=0.0):
    """A network that always answers the same."""
    layers = [(np.zeros((1, problem.spaces.features)), np.array([value]))]
    return network_policy(problem.spaces, "gaussian", layers, "tanh", np.zeros(1))


def test_the_verdict_is_minus_the_mean_return_with_its_interval():
    problem = Control(
        lambda: gymnasium.wrappers.TransformReward(Line(length=4), lambda r: 2.0 * r), name="two"
    )
    verdict = problem.judge(Still())
    assert verdict.objective == -8.0
    assert (verdict.metrics["low"], verdict.metrics["high"]) == (8.0, 8.0)
    assert verdict.metrics["episodes"] == 5


def test_discounted_returns_are_geometric_sums():
    verdict = line(length=6, discount=0.5).judge(Still())
    assert verdict.objective == pytest.approx(-(1 - 0.5**6) / 0.5)


def test_judging_is_free_pure_and_the_same_for_all_policies():
    problem = Control("Pendulum-v1")
    meter = Meter(Budget(env_steps=1))
    token = active_meter.set(meter)
    try:
        one, other = problem.judge(Still()), problem.judge(still(problem))
    finally:
        active_meter.reset(token)
    assert one == other == problem.judge(Still())
    assert meter.spent["env_steps"] == 0


def test_a_runs_answer_is_judged_on_more_and_on_other_episodes():
    problem = Control("Pendulum-v1", final_episodes=20)
    point = problem.judge(Still())
    final = problem.confirm(Still(), point)
    assert final.metrics["episodes"] == 20
    assert final.objective != point.objective


def test_learning_does_not_touch_the_judges_environments():
    problem = Control("Pendulum-v1")
    before = problem.judge(Still())
    copies = problem.open(2, 0)
    for _ in range(50):
        copies.step(np.zeros((2, 1)))
    assert problem.judge(Still()) == before


def test_a_limit_is_on_the_expected_summed_cost_by_name():
    problem = line(length=4, limits={"cost": "<= 2"})
    assert problem.judge(Still(0.25)).feasible
    over = problem.judge(Still(1.0))
    assert over.metrics["cost"] == pytest.approx(4.0)
    assert over.violations["cost"] == pytest.approx(1.0)  # 4 is one size of the limit over it
    assert over.worst == "cost"


def test_a_cost_may_be_a_function_of_what_was_seen_and_done():
    problem = line(length=4, limits={"far": "<= 1"}, costs={"far": lambda obs, a, info: obs[1]})
    assert problem.judge(Still()).metrics["far"] == 1 + 2 + 3 + 4


def test_a_limit_on_what_info_does_not_hold_is_said():
    with pytest.raises(EnvironmentFailed, match=r"no 'wear' .* 'cost'"):
        line(limits={"wear": "<= 1"}).judge(Still())


def test_an_episode_that_never_ends_is_cut_by_the_judge_too():
    verdict = line(length=0, max_steps=30).judge(Still())
    assert verdict.metrics["length"] == 30
    assert verdict.metrics["cut"] == 1.0


def test_a_nan_while_judging_is_said_and_no_verdict():
    with pytest.raises(FloatingPointError, match="judge's episode 0, step 3"):
        line(fault="nan-reward").judge(Still())


def test_a_vector_reward_needs_a_reference_of_its_length():
    with pytest.raises(errors.ArgumentError, match="reference=None: 'line' has 2 rewards"):
        line(m=2)
    with pytest.raises(errors.ShapeError, match=r"reference has shape \(3,\), expected \(2,\)"):
        line(m=2, reference=[0.0, 0.0, 0.0])
    with pytest.raises(errors.NotFinite, match="reference"):
        line(m=2, reference=[0.0, np.nan])
    with pytest.raises(errors.ArgumentError, match="reference"):
        line(reference=[0.0])


def test_a_front_is_played_anew_and_worth_its_hypervolume():
    problem = line(m=2, length=3, reference=[1.0, 1.0])
    front = PolicyFront.of([still(problem)], [[99.0, 99.0]])
    verdict = problem.judge(front)
    assert verdict.objective == -((3.0 - 1.0) ** 2)
    assert problem.several


def test_mo_gymnasium_is_known_by_id():
    problem = Control("deep-sea-treasure-v0", reference=[0.0, -50.0])
    assert problem.spaces.rewards == 2


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"env": "CartPol-v1"}, errors.UnknownName, "CartPole-v1"),
        ({"env": 3}, errors.ArgumentTypeError, "env=3"),
        ({"env": lambda: 3}, errors.ArgumentTypeError, "expected a gymnasium.Env"),
        ({"episodes": 0}, errors.ArgumentError, "episodes=0"),
        ({"discount": 0.0}, errors.ArgumentError, "discount=0"),
        ({"timeout": -1.0}, errors.ArgumentError, "timeout=-1"),
        ({"limits": {"cost": "some"}}, errors.LimitError, "cost"),
        ({"costs": {"cost": abs}}, errors.ArgumentError, "costs: 'cost' has no limit"),
        (
            {"limits": {"c": "<= 1"}, "costs": {"c": 3}},
            errors.ArgumentTypeError,
            "expected a function",
        ),
    ],
)
def test_bad_settings_are_refused_by_name(given, error, says):
    with pytest.raises(error, match=says):
        Control(**{"env": "CartPole-v1", **given})


class Odd(Line):
    """Observations or actions of a kind that is not taken."""

    def __init__(self, seen=None, done=None):
        super().__init__()
        self.observation_space = seen or self.observation_space
        self.action_space = done or self.action_space


@pytest.mark.parametrize(
    ("spaces", "says"),
    [
        ({"seen": gymnasium.spaces.Dict(a=gymnasium.spaces.Discrete(2))}, "FlattenObservation"),
        ({"done": gymnasium.spaces.MultiDiscrete([2, 2])}, "actions are a MultiDiscrete"),
    ],
)
def test_spaces_that_are_not_taken_say_so(spaces, says):
    with pytest.raises(errors.ArgumentTypeError, match=says):
        Control(lambda: Odd(**spaces))


def test_a_policy_for_other_spaces_names_both():
    cart, pendulum = Control("CartPole-v1"), Control("Pendulum-v1")
    policy = network_policy(cart.spaces, "categorical", [(np.zeros((2, 4)), np.zeros(2))], "relu")
    with pytest.raises(errors.ArgumentError, match=r"\(4,\).*\(3,\)"):
        pendulum.judge(policy)


def test_what_cannot_act_is_no_policy():
    with pytest.raises(errors.ArgumentTypeError, match=r"no act\(obs, rng\)"):
        line().judge(3)


def test_an_environment_that_is_given_is_copied_and_left_alone():
    env = Line(length=4)
    problem = Control(env, name="given")
    problem.judge(Still())
    assert env.resets == 0
    made = gymnasium.make("CartPole-v1")
    assert Control(made).name == "CartPole-v1"


def test_numbered_observations_and_first_numbers_are_taken():
    class Numbered(Line):
        def __init__(self):
            super().__init__(length=3)
            self.observation_space = gymnasium.spaces.Discrete(4, start=1)
            self.action_space = gymnasium.spaces.Discrete(2, start=5)
            self.seen = []

        def _seen(self):
            return 1 + min(self.t, 3)

        def step(self, action):
            assert action in (5, 6)
            self.t += 1
            return self._seen(), float(action == 6), self.t == 3, False, {}

    problem = Control(Numbered)
    layers = [(np.array([[1.0, 0, 1, 0], [0, 1.0, 0, 1]]), np.zeros(2))]
    policy = network_policy(problem.spaces, "categorical", layers, "tanh")
    assert problem.judge(policy).objective == -1.0  # the second action in the second state alone
    assert policy.act(1) == 5
    assert policy.act(2) == 6
    moves = problem.open(2, 0).step([0, 1])
    assert moves.reward.tolist() == [0, 1]


def test_a_wrapper_that_weighs_several_rewards_makes_a_number_of_them():
    import mo_gymnasium
    from mo_gymnasium.wrappers import LinearReward

    def weighed():
        return LinearReward(mo_gymnasium.make("deep-sea-treasure-v0"), weight=np.array([0.5, 0.5]))

    problem = Control(weighed, name="weighed")
    assert not problem.several
    assert problem.open(2, 0).step([0, 0]).reward.shape == (2,)
