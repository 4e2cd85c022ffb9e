"""The environment: every sequence of legal actions, and what the network sees."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings, strategies as st
from shops import NEEDS_WAITING, TWO_BY_TWO, by_definition, optimum, shops

from feasible.core.errors import ArgumentError, ArgumentTypeError, UnsupportedConstraint
from feasible.operations import CPSchedulingEnv, JobShop, benchmark, random_shop
from feasible.operations.jobshop_rl_cp.compiled import Plays
from feasible.operations.jobshop_rl_cp.plays import Copies


@pytest.mark.filterwarnings("ignore:.*Box observation space")
def test_gymnasium_finds_nothing_wrong_with_the_environment():
    check_env(CPSchedulingEnv(benchmark("ft06"), mask_invalid="ignore"), skip_render_check=True)


def least_makespan(shop: JobShop, waiting: bool = True) -> int:
    """The least makespan over all sequences of actions, by searching the tree."""
    copies = Copies([shop], [0])

    def after() -> int:
        if not copies.running[0]:
            return int(copies.makespans[0])
        here, found = copies.plays, []
        for action in np.flatnonzero(copies.observe().legal[0]):
            if waiting or action < copies.n:
                copies.plays = Plays(*(array.copy() for array in here))
                copies.play(np.array([[action]]))
                found.append(after())
        return min(found)

    return after()


def test_the_search_tree_reaches_the_optimum_and_needs_the_no_op_for_it():
    assert optimum(NEEDS_WAITING) == 29
    assert least_makespan(NEEDS_WAITING, waiting=False) == 30
    assert least_makespan(TWO_BY_TWO) == optimum(TWO_BY_TWO) == 7


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_the_tree_of_small_shops_has_the_optimum_of_brute_force(seed):
    shop = random_shop(3, 2, seed, high=6)
    assert least_makespan(shop) == optimum(shop)


@settings(max_examples=40, deadline=None)
@given(shops(), st.integers(0, 10_000))
def test_every_sequence_of_legal_actions_ends_with_a_schedule_that_keeps_all_rules(shop, seed):
    env, rng = CPSchedulingEnv(shop), np.random.default_rng(seed)
    _, info = env.reset(seed=seed)
    ended, before = False, -1.0
    while not ended:
        assert info["time"] >= before  # time never goes back
        before = info["time"]
        action = rng.choice(np.flatnonzero(info["action_mask"]))
        _, reward, ended, _, info = env.step(int(action))
    verdict = shop.judge(env.schedule())
    assert verdict.feasible
    assert reward == -verdict.objective


@settings(max_examples=30, deadline=None)
@given(shops(zeros=False))
def test_rules_played_in_the_environment_build_the_schedules_of_their_definition(shop):
    env = CPSchedulingEnv(shop)
    for rule in ("FIFO", "SPT", "MTWR"):
        _, info = env.reset()
        r, ended = shop.routes, False
        while not ended:
            legal = np.flatnonzero(info["action_mask"][:-1])
            k = r.first[legal] + env.copies.plays.following[0, legal]
            keys = {
                "FIFO": env.copies.plays.ready[0, legal],
                "SPT": shop.duration[k],
                "MTWR": [
                    -shop.duration[i : r.first[j + 1]].sum() for i, j in zip(k, legal, strict=True)
                ],
            }
            j = min(zip(keys[rule], legal, strict=True))[1]
            _, _, ended, _, info = env.step(int(j))
        assert env.schedule().starts.tolist() == by_definition(shop, rule).tolist()


def test_the_no_op_moves_time_to_the_second_earliest_start_and_is_refused_where_there_is_none():
    shop = JobShop([[0], [0], [1]], [[3], [2], [2]], release=[0, 0, 5])
    env = CPSchedulingEnv(shop)
    _, info = env.reset()
    assert info["action_mask"].tolist() == [True, True, False, True]
    _, _, _, _, info = env.step(3)
    assert info["time"] == 5
    assert info["action_mask"].tolist() == [True, True, True, False]
    with pytest.raises(
        ArgumentError, match=r"action=3 is not legal now: expected one of \[0, 1, 2\]"
    ):
        env.step(3)


def test_finished_jobs_are_no_time_to_wait_for():
    env = CPSchedulingEnv(JobShop([[0], [1]], [[3], [2]]))
    env.reset()
    _, _, _, _, info = env.step(0)
    assert info["action_mask"].tolist() == [False, True, False]


def test_an_ordered_list_is_played_until_time_changes():
    shop = JobShop([[0, 1], [0, 1], [1, 0]], [[3, 1], [2, 1], [2, 2]])
    copies = Copies([shop], [0])
    assert copies.play(np.array([[1, 0, 2, 3]])) == [[1, 2]]  # 0 needs the machine that 1 has
    assert copies.plays.now[0] == 2
    other = Copies([shop], [0])
    other.play(np.array([[1, -1, -1, -1]]))
    assert other.play(np.array([[3, 2, -1, -1]])) == [[3]]  # the no-op ends the list


def test_the_window_of_a_job_goes_from_its_last_operation_to_the_third_after_its_next():
    shop = JobShop([[0, 1, 0], [1, 0, 1]], [[3, 2, 4], [5, 1, 1]])
    copies = Copies([shop], [0])
    seen = copies.observe()
    assert seen.kind[0].tolist() == [[1, 0, 0, 0, 2], [1, 0, 0, 0, 2]]
    assert seen.place[0, 0].tolist() == [0, 1, 2, 3, 0]  # one more: no job has begun
    copies.play(np.array([[0, 1, -1]]))
    seen = copies.observe()
    assert seen.kind[0].tolist() == [[0, 0, 0, 2, 2], [0, 0, 0, 2, 2]]
    assert seen.hidden[0].tolist() == [[False] * 4 + [True]] * 2
    assert seen.place[0, 0].tolist() == [0, 1, 2, 0, 0]
    assert seen.features[0, :, :, 0].tolist() == [[1, 0, 0, 0, 0]] * 2
    lower = np.array([[0, 5, 7], [0, 5, 6]])  # job 0 waits until 5 for the machine of job 1
    wanted = (lower - lower.mean()) / lower.std()
    assert seen.features[0, :, :3, 1] == pytest.approx(wanted, abs=1e-6)


def test_jobs_compete_where_they_may_begin_now_on_one_machine():
    env = CPSchedulingEnv(JobShop([[0], [0], [1], [0]], [[3], [2], [2], [1]], release=[0, 0, 0, 4]))
    seen, _ = env.reset()
    assert seen["rivals"].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_what_the_environment_is_not_for_is_refused():
    with pytest.raises(UnsupportedConstraint, match="due dates"):
        CPSchedulingEnv(JobShop([[0]], [[1]], due=[4]))
    with pytest.raises(ArgumentTypeError, match="expected a JobShop"):
        CPSchedulingEnv("ft06")
    env = CPSchedulingEnv(benchmark("ft06"))
    env.reset()
    with pytest.raises(ArgumentError, match="expected 0 to 6"):
        env.step(9)
    with pytest.raises(ArgumentError, match="operations are left"):
        env.schedule()


def test_an_illegal_action_changes_nothing_where_it_is_to_be_ignored():
    env = CPSchedulingEnv(benchmark("ft06"), mask_invalid="ignore")
    before, _ = env.reset()
    after, reward, ended, _, _ = env.step(6)
    assert (reward, ended) == (0, False)
    assert all((before[k] == after[k]).all() for k in before)
