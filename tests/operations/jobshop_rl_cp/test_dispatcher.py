"""The trained dispatcher: schedules, files of weights, and what it refuses."""

from __future__ import annotations

import time

import numpy as np
import pytest

import feasible
from feasible.core.errors import ArgumentError, CheckpointError, UnsupportedConstraint
from feasible.operations import JobShop, LearnedDispatcher, benchmark, random_shop
from feasible.operations.jobshop_rl_cp.dispatcher import PACKAGED
from feasible.operations.jobshop_rl_cp.network import parameters
from feasible.operations.jobshop_rl_cp.plays import Copies
from feasible.operations.jobshop_rl_cp.rollout import roll
from feasible.operations.jobshop_rl_cp.sampling import drawn_starts, greedy_starts, heats
from feasible.operations.jobshop_rl_cp.settings import SamplingSettings


@pytest.fixture(scope="module")
def agent():
    return LearnedDispatcher.load()


def test_five_trainings_come_with_the_library_and_say_how_they_were_made():
    assert tuple(f"10x8-{seed}" for seed in range(5)) == PACKAGED
    for seed, name in enumerate(PACKAGED):
        loaded = LearnedDispatcher.load(name)
        assert parameters(loaded.network) == 2442
        assert loaded.seed == loaded.notes["seed"] == seed
        assert len(loaded.notes["sampled"]) == loaded.notes["settings"]["updates"]


def test_one_set_of_weights_schedules_shops_of_other_sizes_and_of_ragged_jobs(agent):
    ragged = JobShop(
        [[0, 1, 2], [1], [2, 0, 1, 0]], [[3, 1, 2], [4], [1, 1, 1, 5]], release=[0, 2, 1]
    )
    for shop in (benchmark("la01"), random_shop(20, 3, seed=100), ragged):
        verdict = shop.judge(agent.solve(shop, samples=4, seed=100))
        assert verdict.feasible


def test_single_draws_on_another_size_are_shorter_than_those_of_an_untrained_network(agent):
    shop = benchmark("la06")
    blank = LearnedDispatcher(seed=100)
    means = [
        roll(who.network, Copies([shop], [0] * 16), np.random.default_rng(100)).makespans.mean()
        for who in (agent, blank)
    ]
    assert means[0] < 0.95 * means[1]


def test_more_samples_are_never_worse_and_the_greedy_schedule_can_be_added(agent):
    shop = benchmark("la16")
    few, many = (agent.solve(shop, samples=k, seed=100).makespan for k in (32, 64))
    assert many <= few
    alone = agent.solve(shop, samples=0, greedy=True).makespan
    assert alone == float((greedy_starts(agent.network, shop) + shop.duration).max())
    assert agent.solve(shop, samples=4, seed=100, greedy=True).makespan <= alone


def test_the_temperatures_of_32_samples_are_the_papers():
    assert heats(SamplingSettings(), 0, 32).tolist() == [0.5 + 1.5 * i / 32 for i in range(32)]
    assert heats(SamplingSettings(), 30, 4).tolist() == [
        0.5 + 1.5 * 30 / 32, 0.5 + 1.5 * 31 / 32, 0.5, 0.5 + 1.5 / 32,
    ]  # fmt: skip


def test_a_schedule_that_has_no_time_left_is_finished_by_the_most_work_left(agent):
    shop = benchmark("ta01")
    cut = drawn_starts(agent.network, shop, np.ones(2), np.random.default_rng(0), time.monotonic())
    assert float((cut + shop.duration).max()) == 1491  # MTWR's makespan
    assert shop.judge(agent.solve(benchmark("ta01"), samples=64, time_limit=0.01)).feasible


def test_weights_written_and_read_give_the_same_schedules(agent, tmp_path):
    file = agent.save(tmp_path / "own.safetensors")
    again = LearnedDispatcher.load(str(file))
    shop = benchmark("la02")
    assert again.notes == agent.notes
    assert (again.solve(shop, 4, seed=7).starts == agent.solve(shop, 4, seed=7).starts).all()
    result = feasible.solve("la02", f"jobshop-rl-cp[weights={file}]", {"evaluations": 2}, 100)
    assert result.spent["evaluations"] == 2


def test_files_that_hold_no_weights_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"did you mean .10x8-4"):
        LearnedDispatcher.load("10x8-9")
    with pytest.raises(ArgumentError, match="absent"):
        LearnedDispatcher.load(str(tmp_path / "absent.safetensors"))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights at all")
    with pytest.raises(CheckpointError, match=r"broken\.safetensors holds no dispatcher"):
        LearnedDispatcher.load(str(broken))
    with pytest.raises(ArgumentError, match=r"ends in \.safetensors"):
        LearnedDispatcher().save(tmp_path / "own.pt")


def test_shops_with_due_dates_are_refused(agent):
    late = JobShop([[0]], [[1]], due=[4])
    with pytest.raises(UnsupportedConstraint, match="use cp-sat"):
        agent.solve(late)
    with pytest.raises(UnsupportedConstraint):
        feasible.solve(late, "jobshop-rl-cp", {"evaluations": 2})


def test_a_run_draws_as_many_schedules_as_its_budget_has():
    result = feasible.solve("la01", "jobshop-rl-cp", {"evaluations": 20}, seed=100)
    assert result.spent["evaluations"] == 20
    assert result.verdict.feasible
    assert result.stopped.startswith("budget used up") or result.verdict.residual == 0
