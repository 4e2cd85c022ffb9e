"""Dies as environments."""

from __future__ import annotations

import time

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from feasible.core.errors import ArgumentError, CheckpointError
from feasible.physics import DieEnv, InvalidShape, NotConverged, die_channel, die_split, split_die
from feasible.physics.extrusion_die_rl.baselines import corner, nelder_mead, secant, shortest, table
from feasible.physics.extrusion_die_rl.dies import distance
from feasible.physics.extrusion_die_rl.problem import DieTask

STRATEGIES = ("incremental", "direct", "incremental-continuous")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_gymnasiums_checker_passes(strategy):
    made = gymnasium.make(
        "feasible.physics.extrusion_die_rl.env:feasible/DieSplit-v0", strategy=strategy
    )
    check_env(made.unwrapped, skip_render_check=True)
    check_env(die_channel(strategy, cells=(6, 3)), skip_render_check=True)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_gives_the_same_episode(strategy):
    def episode():
        env = die_split(strategy)
        seen = [env.reset(seed=5)[0]]
        env.action_space.seed(5)
        for _ in range(6):
            obs, reward, *_ = env.step(env.action_space.sample())
            seen += [obs, np.array(reward)]
        return b"".join(np.asarray(s).tobytes() for s in seen)

    assert episode() == episode()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_saved_environment_goes_on_as_the_first_in_every_field(strategy):
    env, other = die_split(strategy), die_split(strategy)
    env.reset(seed=5)
    env.action_space.seed(5)
    env.step(env.action_space.sample())
    saved = env.save()
    other.reset(seed=99)
    assert np.array_equal(other.restore(saved), env._observation())
    for _ in range(4):
        action = env.action_space.sample()
        mine, its = env.step(action), other.step(action)
        assert np.array_equal(mine[0], its[0])
        assert mine[1:4] == its[1:4]
    assert str(env.save()) == str(other.save())
    assert np.array_equal(env.reset()[0], other.reset()[0])  # their streams too
    with pytest.raises(CheckpointError, match="saved"):
        env.restore({"values": 1})


def test_resetting_twice_gives_the_same_observation_and_no_steps():
    env = die_split()
    first, info = env.reset(seed=5)
    env.step(3)
    again, later = env.reset(seed=5)
    assert np.array_equal(first, again)
    assert (env.steps, later["n_simulations"]) == (0, info["n_simulations"])


def test_rewards_are_the_errors_share_five_at_the_goal_and_less_when_late():
    env = die_split(target=0.4, max_steps=2, late=-5.0)
    env.reset(seed=0)
    _, reward, met, cut, info = env.step(1)  # C[1, 2] back: the share rises
    assert reward == pytest.approx(-info["error"] / 0.1, rel=1e-6)
    assert (met, cut) == (False, False)
    _, reward, met, cut, info = env.step(1)
    assert reward == pytest.approx(-info["error"] / 0.1 - 5, rel=1e-6)
    assert (met, cut) == (False, True)
    env = die_split("direct", target=0.44)
    env.reset(seed=0)
    at = 2 * (0.3 - env.die.low) / (env.die.high - env.die.low) - 1
    still = 2 * (0 - env.die.low) / (env.die.high - env.die.low) - 1
    _, reward, met, cut, info = env.step([at[0], still[1]])
    assert (reward, met, cut) == (5.0, True, False)
    assert info["split"] == pytest.approx(0.44, abs=5e-3)


def test_a_step_against_the_bound_changes_nothing_and_costs_a_simulation():
    env = die_split(target=0.3)
    env.reset(seed=0)
    for _ in range(GRID_STEPS_DOWN):
        env.step(1)
    before, paid = env.values.copy(), env.n_simulations
    env.step(1)
    assert np.array_equal(env.values, before)
    assert env.n_simulations == paid + 1


GRID_STEPS_DOWN = 4


@pytest.mark.parametrize("error", [InvalidShape("turned over"), NotConverged("viscosity")])
def test_a_failed_simulation_ends_the_episode_and_says_why(monkeypatch, error):
    env = die_split(target=0.3)
    env.reset(seed=0)
    env.step(0)
    before = env.values.copy()

    def fails(values):
        raise error

    monkeypatch.setattr(env.die, "quality", fails)
    _, reward, met, cut, info = env.step(2)
    assert (reward, met, cut) == (-10.0, True, False)
    assert info["reason"].startswith(type(error).__name__)
    assert np.array_equal(env.values, before)


def test_the_memo_changes_nothing_but_the_work():
    slow, quick = die_split(target=0.3, memo=False), die_split(target=0.3)
    made = []
    for env in (slow, quick):
        env.reset(seed=0)
        quality, count = env.die.quality, []
        env.die.quality = lambda v, q=quality, c=count: (c.append(1), q(v))[1]
        seen = [env.step(a)[0] for a in (0, 1, 0, 1, 0, 1)]
        made.append((np.array(seen), len(count), env.n_simulations))
    assert np.array_equal(made[0][0], made[1][0])
    assert made[0][1] == 6
    assert made[1][1] == 1
    assert made[0][2] == made[1][2] == 7


def test_an_episode_does_not_begin_at_its_goal_unless_that_was_asked_for():
    env = die_split()
    for seed in range(20):
        env.reset(seed=seed)
        assert env.error >= env.tolerance
    env.reset(options={"target": 0.5})
    assert env.error < env.tolerance


def test_an_episode_in_which_nothing_is_drawn_begins_with_one_simulation():
    env, paid = die_split(target=0.5), []
    env.spend = lambda **amounts: paid.append(amounts)
    _, info = env.reset()
    assert paid == [{"evaluations": 1}]
    assert info["n_simulations"] == 1


def test_targets_without_learning_cost_what_was_measured_before():
    die, targets = split_die(), DieTask().wanted
    known = table(die)
    paths = [shortest(known, (4, 4), t, 0.02) for t in targets]
    assert np.mean(paths) == pytest.approx(3.9, abs=0.1)
    assert max(paths) == 7
    simplex = [nelder_mead(die, t, 0.02) for t in targets]
    assert np.mean(simplex) == pytest.approx(6.24, abs=0.1)
    assert max(simplex) < 50
    steps = [secant(lambda t: die.quality([-t, t])[0], s, 0.02) for s in targets]
    assert np.mean(steps) == pytest.approx(2.2, abs=0.1)
    assert max(steps) < 50


def test_bad_arguments_are_named():
    with pytest.raises(ArgumentError, match="strategy='jump'"):
        die_split("jump")
    with pytest.raises(ArgumentError, match=r"target=\[0.1, 0.2\]"):
        die_split(target=[0.1, 0.2])
    with pytest.raises(ArgumentError, match="tolerance=0"):
        die_split(tolerance=0.0)
    env = die_split()
    with pytest.raises(ArgumentError, match="options"):
        env.reset(options={"goal": 0.3})
    assert isinstance(env, DieEnv)


def test_a_simulation_that_takes_too_long_is_killed_charged_and_truncates_the_episode(monkeypatch):
    env = die_split(timeout=2.0, memo=False)
    first, _ = env.reset(seed=1)
    simulate, slow = type(env.die).quality, [False]

    def hanging(die, values):
        if slow[0]:
            time.sleep(600)
        return simulate(die, values)

    monkeypatch.setattr(type(env.die), "quality", hanging)
    env.close()
    slow[0] = True  # the next process has it
    before, values = env.n_simulations, env.values.copy()
    _, reward, terminated, truncated, info = env.step(0)
    assert (reward, terminated, truncated) == (-10.0, False, True)
    assert "no answer within 2 s" in info["reason"]
    assert env.n_simulations == before + 1
    assert np.array_equal(env.values, values)
    slow[0] = False
    again, _ = env.reset(seed=1)
    assert np.array_equal(again, first)
    env.close()


def test_simulations_in_a_process_of_their_own_are_the_same():
    here, there = die_split("direct"), die_split("direct", timeout=60.0)
    for env in (here, there):
        env.reset(seed=1, options={"target": 0.4})
    moves = [np.array([0.3, -0.2]), np.array([-1.0, 1.0])]
    for move in moves:
        mine, its = here.step(move), there.step(move)
        assert np.array_equal(mine[0], its[0])
        assert mine[1:4] == its[1:4]
    there.close()


def test_an_episode_that_ends_no_better_than_it_began_says_so():
    env = die_split(max_steps=2)
    env.reset(seed=1, options={"target": 0.3})
    env.step(0)
    *_, info = env.step(1)  # back again
    assert info["reason"].startswith("no progress: after 2 steps")
    after = {}
    for a in range(env.action_space.n):
        env.reset(seed=1, options={"target": 0.3})
        after[a] = env.step(a)[-1]["error"]
    best = min(after, key=after.get)
    env.reset(seed=1, options={"target": 0.3})
    env.step(best)
    *_, truncated, info = env.step(best)
    assert truncated
    assert "reason" not in info


def test_random_starts_have_a_flow_and_a_given_one_that_has_none_is_an_error():
    env, broken = die_channel(cells=(6, 3)), []
    for i in range(11**3):
        values = env.die.low + (env.die.high - env.die.low) * np.unravel_index(i, (11,) * 3) / 10
        if any(env.die.violations(values).values()):
            broken.append(values)
    assert broken
    draws = iter(np.rint((broken[0] - env.die.low) / (env.die.high - env.die.low) * 10).astype(int))

    class Stream:
        def integers(self, low, high, size):
            first = [*draws]
            return np.array(first) if first else np.full(size, 5)

    env.reset(seed=1)
    env._np_random = Stream()
    env.reset()
    assert np.allclose(env.values, (env.die.low + env.die.high) / 2)
    with pytest.raises(InvalidShape):
        env.reset(options={"start": broken[0]})
    starts = DieTask(targets=20, tolerance=0.15, die="channel").wanted
    assert starts.shape == (20, 3)


def test_the_channels_corner_of_better_bounds_is_even():
    die = die_channel(cells=(9, 6)).die
    found = corner(die)
    assert np.all((found == die.low) | (found == die.high))
    assert distance(die.quality(found)) < 0.15 < distance(die.undeformed)
