"""Training: the expert's path, the losses, repeatability, and stops in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from shops import NEEDS_WAITING

from feasible.core.errors import ArgumentError, Diverged, ShapeError
from feasible.operations import (
    JobShop,
    LearnedDispatcher,
    TrainingSettings,
    benchmark,
    random_shop,
    solve_cpsat,
)
from feasible.operations.cpsat import left_shift
from feasible.operations.jobshop_rl_cp.completion import complete, follow, replay
from feasible.operations.jobshop_rl_cp.plays import Copies
from feasible.operations.jobshop_rl_cp.rollout import log_softmax, ordered, roll
from feasible.operations.jobshop_rl_cp.training import (
    Sample,
    begin,
    descend,
    training_shops,
    update,
)

TINY = TrainingSettings(updates=3, episodes=4, work=0.01, epochs=2)


@pytest.fixture(scope="module")
def network():
    return begin(TINY, 100).network


def test_following_an_optimal_schedule_from_the_beginning_waits_where_it_must(network):
    best = solve_cpsat(NEEDS_WAITING, time_limit=600).starts.astype(np.int64)
    copies = Copies([NEEDS_WAITING], [0])
    steps = follow(network, copies, [left_shift(NEEDS_WAITING, best)])[0]
    assert copies.makespans[0] == 29
    assert [3] in [step.actions for step in steps]  # the no-op


@pytest.mark.parametrize("seed", range(4))
def test_an_expert_continues_every_prefix_to_the_completions_makespan(network, seed):
    shops = [random_shop(5, 4, seed), random_shop(5, 4, seed + 50)]
    rng, which = np.random.default_rng(seed), np.array([0, 1, 0, 1])
    own = roll(network, Copies(shops, which), rng, record=True)
    length = int(rng.integers(1, min(map(len, own.steps))))
    lists = [[step.actions for step in steps[:length]] for steps in own.steps]
    copies = Copies(shops, which)
    replay(copies, lists)
    best = [complete(copies, b, own.starts[b], 0.02, seed) for b in range(4)]
    experts = follow(network, copies, best)
    for b, starts in enumerate(best):
        shop = shops[which[b]]
        assert (copies.starts(b) == starts).all()
        assert copies.makespans[b] == (starts + shop.duration).max() <= own.makespans[b]
        assert shop.judge(shop.schedule(starts)).feasible
        assert sum(len(s.actions) for s in experts[b]) >= shop.operations - sum(map(len, lists[b]))


def test_a_schedule_that_cannot_be_followed_is_an_error(network):
    shop = benchmark("ft06")
    later = solve_cpsat(shop, time_limit=600).starts.astype(np.int64)
    later[later == later.max()] += 1
    with pytest.raises(Diverged, match="cannot be led along its schedule"):
        follow(network, Copies([shop], [0]), [later])
    earlier = np.maximum(later - 1, 0)
    with pytest.raises(Diverged):
        follow(network, Copies([shop], [0]), [earlier])


def test_orders_are_drawn_without_replacement_in_proportion_to_the_softmax():
    logits, rng = np.log(np.array([[0.5, 0.3, 0.2]])), np.random.default_rng(100)
    drawn = np.array([ordered(logits, rng)[0] for _ in range(4000)])
    assert np.bincount(drawn[:, 0]) / 4000 == pytest.approx([0.5, 0.3, 0.2], abs=0.04)
    second = drawn[drawn[:, 0] == 0, 1]
    assert (second == 1).mean() == pytest.approx(0.6, abs=0.05)
    assert ordered(logits, None).tolist() == [[0, 1, 2]]
    assert np.exp(log_softmax(logits)) == pytest.approx(np.array([[0.5, 0.3, 0.2]]))


@pytest.mark.parametrize("advantage", [1.0, -1.0, 0.0])
def test_descent_raises_what_has_an_advantage_and_lowers_what_has_the_opposite(advantage):
    state, shop = begin(TINY, 100), benchmark("ft06")
    own = roll(state.network, Copies([shop], [0]), state.rng, record=True)
    steps, sample = [s for s in own.steps[0] if s.seen.legal.sum() > 1], Sample()
    sample.add(steps, advantage)

    def mean():
        with torch.no_grad():
            rows = [state.network(s.seen).log_softmax(1)[0, s.actions] for s in steps]
        return float(torch.cat(rows).mean())

    before = mean()
    passes = descend(state, sample, TINY)
    assert (passes > 0) == (advantage != 0)
    assert np.sign(mean() - before) == advantage


def test_the_passes_end_where_the_policy_has_moved_far_enough():
    state = begin(TINY, 100)
    shop = benchmark("ft06")
    own = roll(state.network, Copies([shop], [0]), state.rng, record=True)
    sample = Sample()
    sample.add(own.steps[0], 1.0)
    timid = TrainingSettings(epochs=50, target_kl=1e-9, rate=1e-2)
    assert descend(state, sample, timid) < 50


def weights(agent: LearnedDispatcher) -> bytes:
    return b"".join(v.numpy().tobytes() for v in agent.network.state_dict().values())


def test_the_same_seed_trains_the_same_weights_and_a_stop_in_between_changes_nothing(tmp_path):
    shops = training_shops(4, 3, 2, seed=100)
    before = torch.get_rng_state()
    whole = LearnedDispatcher(seed=100).fit(shops, TINY)

    def stop(state):
        if state.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LearnedDispatcher(seed=100).fit(shops, TINY, tmp_path, stop)
    resumed = LearnedDispatcher(seed=100).fit(shops, TINY, tmp_path)
    assert weights(resumed) == weights(whole)
    assert resumed.notes == whole.notes
    assert len(whole.notes["sampled"]) == 3
    assert torch.equal(before, torch.get_rng_state())
    assert weights(LearnedDispatcher(seed=101).fit(shops, TINY)) != weights(whole)


@pytest.mark.kill
def test_a_killed_training_goes_on_where_the_same_command_is_given_again(tmp_path):
    command = (
        *(sys.executable, "-m", "feasible", "jobshop", "train", "w.safetensors", "--jobs", "4"),
        *("--machines", "3", "--count", "2", "--seed", "100", "--updates", "3"),
        *("--episodes", "4", "--work", "0.01"),
    )
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    first = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert first.stdout is not None
    assert first.stdout.readline().startswith("update 1 of 3")
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=True
    )
    assert "update 1 of 3" not in done.stdout
    again = LearnedDispatcher.load(str(tmp_path / "w.safetensors"))
    settings = TrainingSettings(updates=3, episodes=4, work=0.01)
    whole = LearnedDispatcher(seed=100).fit(training_shops(4, 3, 2, 100), settings)
    assert weights(again) == weights(whole)


def test_a_folder_with_another_training_is_refused(tmp_path):
    shops = training_shops(3, 2, 1, seed=100)
    one = TrainingSettings(updates=1, episodes=2, work=0.01, epochs=1)
    LearnedDispatcher(seed=100).fit(shops, one, tmp_path)
    with pytest.raises(ArgumentError, match="a training with other seed: 100, not 101"):
        LearnedDispatcher(seed=101).fit(shops, one, tmp_path)


def test_shops_that_cannot_be_trained_on_are_refused():
    with pytest.raises(ArgumentError, match="expected one at least"):
        LearnedDispatcher().fit([])
    with pytest.raises(ArgumentError, match="has due dates"):
        LearnedDispatcher().fit([JobShop([[0]], [[1]], due=[3])])
    with pytest.raises(ShapeError, match="3 and 4 jobs"):
        LearnedDispatcher().fit([random_shop(3, 2), random_shop(4, 2)], TINY)


def test_an_update_shortens_what_is_sampled_on_a_shop_with_one_good_order():
    """Two jobs on one machine and a tail: the job with the long tail must go first."""
    shop = JobShop([[0, 1], [0, 2]], [[2, 1], [2, 30]])
    settings = TrainingSettings(updates=8, episodes=8, work=0.01, epochs=5, rate=5e-3)
    state = begin(settings, 100)
    for _ in range(8):
        update(state, [shop], settings)
    assert np.mean(state.sampled[-2:]) <= np.mean(state.sampled[:2])
    assert min(state.completed) == 32
