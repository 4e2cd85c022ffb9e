"""Copies of environments: exactly paid for, shortened at the end, brought back by replay."""

import copy

import gymnasium
import numpy as np
import pytest
from worlds import Drifts, Line, line

import feasible
from feasible.core.budget import Budget, Meter, active_meter
from feasible.core.checkpoint import decode, encode
from feasible.core.errors import BudgetExhausted, CheckpointError
from feasible.policies import Control, EnvironmentFailed, NotANumber, ReplayWarning


@pytest.fixture
def meter():
    """Transitions that may be paid for: set its limits."""
    found = Meter(Budget(env_steps=10))
    token = active_meter.set(found)
    yield found
    active_meter.reset(token)


@pytest.mark.parametrize("n", [1, 4, 7])
def test_a_budget_is_spent_to_the_last_transition_also_within_a_step(meter, n):
    meter.limits["env_steps"] = 50
    copies = line().open(n, 3)
    moved = sum(copies.step(np.zeros((n, 1))).count for _ in range(-(-50 // n)))
    assert moved == meter.spent["env_steps"] == 50
    with pytest.raises(BudgetExhausted):
        copies.step(np.zeros((n, 1)))


def test_where_the_budget_ends_between_copies_the_others_stay(meter):
    copies = line(length=9).open(4, 0)
    copies.step(np.zeros((4, 1)))
    copies.step(np.zeros((4, 1)))
    before = copies.obs.copy()
    moves = copies.step(np.zeros((4, 1)))
    assert moves.count == 2
    assert moves.reward.tolist() == [1, 1, 0, 0]
    assert copies.length.tolist() == [3, 3, 2, 2]
    assert np.array_equal(moves.obs[2:], before[2:])
    assert not moves.terminated.any()


def test_an_episode_is_followed_by_the_next_in_the_same_step_and_keeps_its_last_observation():
    copies = line(length=3).open(2, 0)
    for _ in range(3):
        moves = copies.step(np.full((2, 1), 0.5))
    assert moves.terminated.all()
    assert moves.final[:, 1].tolist() == [3, 3]
    assert moves.obs[:, 1].tolist() == [0, 0]
    assert [(i, float(r[0]), length) for i, r, _, length in moves.ended] == [(0, 3, 3), (1, 3, 3)]


def test_no_charge_and_no_transition_is_a_reset(meter):
    meter.limits["env_steps"] = 100
    copies = line(length=2).open(1, 0)
    rewards = [float(copies.step(np.zeros((1, 1))).reward[0]) for _ in range(20)]
    assert rewards == [1.0] * 20
    assert meter.spent["env_steps"] == 20


@pytest.mark.parametrize("cut", [False, True])
def test_truncated_is_not_terminated(cut):
    copies = line(length=2, cut=cut).open(1, 0)
    copies.step([[0.0]])
    moves = copies.step([[0.0]])
    assert (bool(moves.terminated[0]), bool(moves.truncated[0])) == (not cut, cut)


def test_an_episode_that_never_ends_is_cut():
    copies = line(length=0, max_steps=7).open(1, 0)
    cut = [bool(copies.step([[0.0]]).truncated[0]) for _ in range(14)]
    assert cut == ([False] * 6 + [True]) * 2


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("raise", "RuntimeError: the motor is gone"),
        ("shape", r"shape \(3,\), expected \(2,\)"),
        ("info", "info is None, expected a dict"),
        ("four", "step returned"),
        ("text", "reward is 'much', expected a number"),
    ],
)
def test_a_fault_says_which_copy_episode_and_step(fault, says):
    copies = line(fault=fault, at=3).open(2, 0)
    for _ in range(2):
        copies.step(np.zeros((2, 1)))
    with pytest.raises(EnvironmentFailed, match=f"'line', copy 0, episode 0, step 3: .*{says}"):
        copies.step(np.zeros((2, 1)))


def test_what_an_environment_raised_is_the_cause_with_its_line():
    copies = line(fault="raise", at=1).open(1, 0)
    with pytest.raises(EnvironmentFailed) as caught:
        copies.step([[0.0]])
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "the motor is gone" in caught.value.trace


@pytest.mark.parametrize(("fault", "what"), [("nan-obs", "observation"), ("nan-reward", "reward")])
def test_a_nan_is_a_floating_point_error_with_its_step(fault, what):
    copies = line(fault=fault, at=2).open(1, 0)
    copies.step([[0.0]])
    with pytest.raises(FloatingPointError, match=f"step 2: its {what}"):
        copies.step([[0.0]])


def test_a_reset_that_returns_no_pair_is_said():
    with pytest.raises(EnvironmentFailed, match="reset returned"):
        line(fault="reset").open(1, 0)


def test_spaces_that_change_are_named():
    copies = line(fault="spaces", at=99, length=2).open(1, 0)
    copies.step([[0.0]])
    with pytest.raises(EnvironmentFailed, match=r"spaces changed: .*\(2,\).* now .*\(3,\)"):
        copies.step([[0.0]])


def test_an_environment_that_cannot_be_made_is_said():
    def broken():
        raise OSError("no licence")

    with pytest.raises(EnvironmentFailed, match="OSError: no licence"):
        Control(broken)


@pytest.mark.parametrize(
    ("fault", "says"), [("hang", "no answer within 0.3 s"), ("die", "ended, exit code 3")]
)
def test_one_that_hangs_or_dies_in_its_own_process_costs_that_call(fault, says):
    copies = line(fault=fault, at=3, timeout=0.3).open(1, 0)
    for _ in range(2):
        copies.step([[0.0]])
    with pytest.raises(EnvironmentFailed, match=f"copy 0, episode 0, step 3: .*{says}"):
        copies.step([[0.0]])


def test_a_process_of_its_own_changes_no_figure():
    here, there = (line(timeout=t).open(2, 5) for t in (None, 20.0))
    for _ in range(12):
        a, b = here.step(np.full((2, 1), 0.3)), there.step(np.full((2, 1), 0.3))
        assert np.array_equal(a.obs, b.obs)
        assert np.array_equal(a.reward, b.reward)


def test_a_fault_in_a_process_of_its_own_is_the_same_error():
    copies = line(fault="raise", at=1, timeout=20.0).open(1, 0)
    with pytest.raises(EnvironmentFailed, match="step 1: RuntimeError: the motor is gone"):
        copies.step([[0.0]])


@pytest.mark.parametrize("scale", [1e-6, 1e6, 0.0])
def test_rewards_of_any_scale_are_kept_as_they_are(scale):
    copies = line(scale=scale, length=4).open(1, 0)
    for _ in range(4):
        moves = copies.step([[0.0]])
    assert float(moves.ended[0][1][0]) == pytest.approx(4 * scale, rel=1e-12)


REPLAYED = ["CartPole-v1", "Pendulum-v1", "Acrobot-v1", "FrozenLake-v1"]
OUTSIDE = ["LunarLander-v3", "BipedalWalker-v3", "Hopper-v5", "Swimmer-v5", "minecart-v0"]


def chosen(spaces, rng, n):
    """Random actions."""
    if spaces.actions:
        return rng.integers(0, spaces.actions, n)
    return rng.uniform(-1, 1, (n, spaces.width))


@pytest.mark.parametrize("env", REPLAYED + OUTSIDE)
def test_a_checkpoint_goes_on_bit_for_bit_in_new_environments(env):
    problem = Control(env, reference=[-9.0] * 3 if env == "minecart-v0" else None)
    rng = np.random.default_rng(1)
    copies = problem.open(3, 11)
    for _ in range(70):
        copies.step(chosen(problem.spaces, rng, 3))
    again = decode(encode(copies), problem.open(3, 11))
    for _ in range(70):
        actions = chosen(problem.spaces, rng, 3)
        one, other = copies.step(actions), again.step(actions)
        assert np.array_equal(one.final, other.final)
        assert np.array_equal(one.obs, other.obs)
        assert np.array_equal(one.reward, other.reward)
    assert copies.episode.tolist() == again.episode.tolist()


def test_a_copy_of_copies_is_played_on_its_own():
    copies = line(length=9).open(2, 0)
    copies.step(np.zeros((2, 1)))
    other = copy.deepcopy(copies)
    other.step(np.zeros((2, 1)))
    assert copies.length.tolist() == [1, 1]
    assert other.length.tolist() == [2, 2]


def test_replay_is_not_charged(meter):
    problem = line(length=9)
    copies = problem.open(2, 0)
    for _ in range(3):
        copies.step(np.zeros((2, 1)))
    again = decode(encode(copies), problem.open(2, 0))
    again.step(np.zeros((2, 1)))
    assert meter.spent["env_steps"] == 8


def drifting(fresh):
    """After two episodes in one environment: what a checkpoint and the copies themselves do."""
    problem = Control(lambda: Drifts(length=3), name="drifts", fresh=fresh)
    copies = problem.open(1, 0)
    for _ in range(7):
        copies.step([[1.0]])
    again = decode(encode(copies), problem.open(1, 0))
    return copies, again


def test_one_that_cannot_be_replayed_warns_and_begins_a_new_episode():
    _, again = drifting(fresh=False)
    with pytest.warns(ReplayWarning, match="'drifts', copy 0, episode 2"):
        again.step([[1.0]])
    assert (int(again.episode[0]), int(again.length[0])) == (3, 1)


def test_made_anew_for_every_episode_it_can_be_replayed():
    copies, again = drifting(fresh=True)
    one, other = copies.step([[1.0]]), again.step([[1.0]])
    assert np.array_equal(one.obs, other.obs)
    assert one.reward == other.reward


def test_a_checkpoint_from_another_environment_names_both_spaces():
    pendulum, cart = Control("Pendulum-v1"), Control("CartPole-v1")
    copies = pendulum.open(1, 0)
    copies.step([[0.0]])
    other = decode(encode(copies), cart.open(1, 0))
    with pytest.raises(CheckpointError, match=r"\(3,\).*'CartPole-v1' has .*\(4,\)"):
        other.step([0])


def test_copies_of_different_spaces_are_refused():
    lengths = iter((2, 2, 3))

    class Wide(Line):
        def __init__(self):
            super().__init__()
            self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (next(lengths),))

        def _seen(self):
            return np.zeros(self.observation_space.shape, dtype=np.float32)

    with pytest.raises(feasible.errors.ArgumentError, match=r"\(3,\).*\(2,\)"):
        Control(Wide).open(2, 0)


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        (np.zeros((3, 1)), "3 rows"),
        (np.full((2, 1), np.nan), "finite"),
        (np.zeros((2, 2)), "shape"),
    ],
)
def test_wrong_actions_are_refused_before_anything_is_paid(meter, actions, says):
    copies = line().open(2, 0)
    with pytest.raises(feasible.errors.ArgumentError, match=says):
        copies.step(actions)
    assert meter.spent["env_steps"] == 0


def test_actions_are_clipped_to_their_bounds():
    copies = line(limits={"cost": "<= 3"}).open(1, 0)
    assert copies.step([[7.0]]).cost.tolist() == [[1.0]]


def test_a_number_error_is_both():
    assert issubclass(NotANumber, EnvironmentFailed)
    assert issubclass(NotANumber, FloatingPointError)


def test_one_that_draws_from_global_streams_has_its_own_and_leaves_them_alone():
    class Noisy(Line):
        def _seen(self):
            return np.array([np.random.random(), self.t], dtype=np.float32)

    problem = Control(Noisy, own_streams=True)
    before = repr(np.random.get_state())
    one, other = problem.open(2, 0), problem.open(2, 0)
    for _ in range(7):
        a = one.step(np.zeros((2, 1)))
    assert repr(np.random.get_state()) == before
    np.random.random(5)
    for _ in range(7):
        b = other.step(np.zeros((2, 1)))
    assert np.array_equal(a.obs, b.obs)
