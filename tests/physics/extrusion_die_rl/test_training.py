"""Agents for dies, at their smallest."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import feasible
from feasible.core.checkpoint import decode, encode
from feasible.core.errors import ArgumentError
from feasible.core.registry import load_problem
from feasible.physics import DieAgent, DiePolicy, DieTask, die_split, train_die
from feasible.physics.extrusion_die_rl.agent import play

PAIRS = (("ppo", "incremental"), ("dqn", "incremental"), ("sac", "direct"), ("ddpg", "direct"))


def streams():
    return random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()


@pytest.fixture(scope="module")
def small():
    return train_die("a2c", "incremental", 20, seed=100)


def test_an_agent_that_does_not_take_the_actions_is_refused():
    for agent, strategy in (("dqn", "direct"), ("sac", "incremental"), ("ddpg", "incremental")):
        with pytest.raises(ArgumentError, match=f"strategy='{strategy}': {agent} takes"):
            train_die(agent, strategy)
        with pytest.raises(ArgumentError, match="strategy"):
            DieAgent(agent, strategy)


def test_a_policy_is_plain_data_and_comes_back_from_its_file(small, tmp_path):
    small.save(str(tmp_path / "p.safetensors"))
    back = DiePolicy.load(str(tmp_path / "p.safetensors"))
    assert (back.agent, back.strategy, back.steps) == ("a2c", "incremental", small.steps)
    assert all(np.array_equal(back.weights[k], v) for k, v in small.weights.items())
    (tmp_path / "x.safetensors").write_bytes(b"no policy")
    with pytest.raises(ArgumentError, match="path"):
        DiePolicy.load(str(tmp_path / "x.safetensors"))


def test_playing_touches_no_global_stream_and_counts_the_start(small):
    before = streams()
    env = die_split(max_steps=3)
    found = play(small, env, [{"target": 0.5}, {"target": 0.3}])
    assert (
        random.getstate(),
        repr(np.random.get_state()),
        torch.get_rng_state().tolist(),
    ) == before
    assert found.simulations[0] == 1
    assert bool(found.success[0])
    assert 2 <= found.simulations[1] <= 4


def test_a_policy_that_goes_round_in_a_circle_is_not_played_to_the_end(small, monkeypatch):
    monkeypatch.setattr(DiePolicy, "player", lambda self, env: lambda obs: 0)  # up, to the bound
    found = play(small, die_split(max_steps=50), [{"target": 0.5}, {"target": 0.9}])
    assert found.simulations[1] == 1 + 6 + 1  # six steps to the bound, and one against it
    assert found.success.tolist() == [True, False]


@pytest.mark.parametrize(("agent", "strategy"), PAIRS)
def test_a_training_goes_on_from_its_checkpoint_bit_for_bit(agent, strategy, monkeypatch):
    monkeypatch.setattr(DieAgent, "_chunk", lambda self, model: 110)
    problem, method = load_problem("die-task-few"), DieAgent(agent, strategy, steps=220)
    a, b = (method.init(problem, np.random.default_rng(5)) for _ in range(2))
    if hasattr(a.model, "rollout_buffer"):
        for state in (a, b):
            state.model.n_steps = state.model.rollout_buffer.buffer_size = 110
    a = method.step(problem, a)
    b = decode(encode(a), b)
    a, b = method.step(problem, a), method.step(problem, b)
    mine, its = method.answer(problem, a), method.answer(problem, b)
    assert all(np.array_equal(mine.weights[k], its.weights[k]) for k in mine.weights)
    assert a.envs[0]["values"].tobytes() == b.envs[0]["values"].tobytes()


def test_a_run_pays_for_each_simulation_and_is_judged_on_two_meshes():
    result = feasible.solve(
        "die-task-few", DieAgent("sac", "direct", 100), {"evaluations": 40}, 100
    )
    assert result.spent["evaluations"] == 40
    metrics = result.verdict.metrics
    assert {"success", "median_simulations", "finer_mesh_success"} <= set(metrics)
    assert 1 <= result.verdict.objective <= 7


def test_a_policy_that_meets_no_target_costs_more_than_an_episode(small):
    task = DieTask(targets=1, max_steps=2, tolerance=1e-9, name="strict")
    assert task.judge(small).objective == 3
    assert task.judge(None).missing


def test_a_last_design_without_a_flow_on_the_finer_mesh_does_not_hold_there(small, monkeypatch):
    task = DieTask(targets=1, max_steps=10, tolerance=1e-9, name="sharp")
    way = iter([0] * 6 + [3] * 4)  # to the corner (0.9, -0.6)
    monkeypatch.setattr(DiePolicy, "player", lambda self, env: lambda obs: next(way))
    metrics = task.judge(small).metrics
    assert metrics["finer_mesh_success"] == 0
    assert metrics["finer_mesh_error"] == np.inf


def test_the_judges_environment_is_made_once(small, monkeypatch):
    task, made = DieTask(targets=1, max_steps=2), []
    make = DieTask.env
    monkeypatch.setattr(
        DieTask, "env", lambda self, *a, **k: (made.append(a), make(self, *a, **k))[1]
    )
    assert task.judge(small) == task.judge(small)
    assert len(made) == 1


def test_dies_are_black_boxes_too():
    problem = load_problem("die-share")
    result = feasible.solve(problem, "nelder-mead", budget=8, seed=100)
    assert result.verdict.objective <= 0.1
