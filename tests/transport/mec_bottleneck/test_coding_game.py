import math
import os
import signal
import sys
import warnings

import numpy as np
import pytest
from scipy import stats

import feasible
from feasible.core.budget import Budget, Meter, active_meter
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    BudgetExhausted,
    MissingExtra,
    ShapeError,
)
from feasible.core.registry import default_method, load_method, load_problem
from feasible.core.run import Run, run
from feasible.transport import (
    Code,
    CodingAgent,
    CodingGame,
    World,
    grid_world,
    mec_bottleneck,
    play,
    soft_value_iteration,
)
from feasible.transport.mec_bottleneck.coding_env import MarkovCodingGame

GRID = grid_world()
POLICY = soft_value_iteration(GRID, math.exp(-5))[1]


def corridor(length, actions=2):
    """Every action leads to the next cell; the last one is terminal."""
    t = np.zeros((length + 1, actions, length + 1))
    t[np.arange(length), :, np.arange(1, length + 1)] = 1
    t[length, :, length] = 1
    return World(t, np.eye(length + 1)[length], np.arange(length + 1) == length)


def uniform(world):
    return np.full(world.transitions.shape[:2], 1 / world.transitions.shape[1])


# -- the world -------------------------------------------------------------------------------------


def test_the_grid_is_the_papers():
    t = GRID.transitions
    assert t.shape == (64, 4, 64)
    np.testing.assert_allclose(t.sum(2), 1)
    up = t[8 * 5 + 4, 0]  # from (5, 4): obstacles at (5, 5) and (4, 4), so up and right are blocked
    assert up[8 * 5 + 4] == pytest.approx(0.9)
    assert up[8 * 5 + 3] == pytest.approx(0.1)
    assert t[0, 1, 1] == pytest.approx(0.8)
    assert GRID.reward[7] == 1
    assert GRID.reward[15] == -1
    assert GRID.terminal.sum() == 2
    obstacles = [9 * i for i in range(1, 8)]
    others = np.setdiff1d(np.arange(64), obstacles)
    assert (t[np.ix_(others, range(4), obstacles)] == 0).all()


def test_soft_values_are_a_fixed_point_and_cold_ones_are_the_hard_ones():
    beta, discount = 0.3, 0.9
    q, policy = soft_value_iteration(GRID, beta, discount, sweeps=600)
    v = beta * np.log(np.exp(q / beta).sum(1))
    expected = GRID.reward[:, None] + discount * np.where(
        GRID.terminal[:, None], 0, GRID.transitions @ v
    )
    np.testing.assert_allclose(q, expected, atol=1e-10)
    np.testing.assert_allclose(policy, np.exp((q - v[:, None]) / beta), atol=1e-10)
    cold, hard = soft_value_iteration(GRID, 1e-9)[0], soft_value_iteration(GRID, 0.0)[0]
    np.testing.assert_allclose(cold, hard, atol=1e-6)
    assert np.isfinite(soft_value_iteration(GRID, 1e-300)[1]).all()


# -- the code --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["greedy+interp", "greedy", "quantizer", "quantizer-identity"])
@pytest.mark.parametrize("compress", ["belief", "policy"])
def test_the_joint_law_is_that_of_the_coupling_and_over_messages_the_actions_follow_the_policy(
    encoder, compress
):
    rng = np.random.default_rng(100)
    for _ in range(20):
        code = Code(
            rng.dirichlet(np.ones(4), size=3),
            rng.dirichlet(np.ones(9)),
            rng.uniform(0, 3),
            2,
            encoder,
            compress,
        )
        beliefs = rng.dirichlet(np.ones(9), size=2)
        block, joint = code.joint(1, beliefs)
        entropies = [stats.entropy(b) for b in beliefs]
        assert block == int(np.argmax(entropies))
        np.testing.assert_allclose(joint.sum(0), code.policy[1], atol=1e-14)
        np.testing.assert_allclose(joint.sum(1), beliefs[block], atol=1e-14)
        sides = (beliefs[block], code.policy[1])
        expected = (
            mec_bottleneck(*sides, code.rate_bits, encoder)
            if compress == "belief"
            else mec_bottleneck(*sides[::-1], code.rate_bits, encoder)
        )
        expected = expected.joint_xy if compress == "belief" else expected.joint_xy.T
        np.testing.assert_allclose(joint, expected, atol=1e-14)


def test_messages_of_d_bits_arrive_after_d_free_choices():
    for d in (1, 3, 6):
        world = corridor(d)
        code = Code(uniform(world), np.full(2**d, 2.0**-d), float(d))
        for message in range(2**d):
            found = play(world, code, message, 100)
            assert len(found.actions) == d
            assert found.decoded[0] == message
            assert found.beliefs[0, message] == 1


def test_a_message_of_blocks_arrives_block_by_block():
    world = corridor(6)
    code = Code(uniform(world), np.full(4, 0.25), 2.0, blocks=3)
    for message in ([0, 1, 2], [3, 3, 0]):
        found = play(world, code, message, 100)
        assert found.decoded.tolist() == message
        np.testing.assert_array_equal(found.beliefs.max(1), 1)


@pytest.mark.parametrize("encoder", ["greedy+interp", "greedy", "quantizer"])
def test_a_receiver_who_sees_states_and_actions_alone_believes_what_the_sender_believes(encoder):
    code = Code(POLICY, np.full(20, 0.05), 2.0, 2, encoder)
    for seed in range(100, 106):
        found = play(GRID, code, [seed % 20, 7], seed)
        np.testing.assert_array_equal(code.receive(found.states, found.actions), found.beliefs)
        np.testing.assert_allclose(found.beliefs.sum(1), 1)
        assert (found.beliefs[[0, 1], [seed % 20, 7]] > 0).all()
        again = play(GRID, code, [seed % 20, 7], seed)
        assert np.array_equal(again.states, found.states)


def test_over_random_messages_first_actions_and_the_walk_are_those_of_the_policy():
    code = Code(POLICY, np.full(20, 0.05), 1.5)
    rng = np.random.default_rng(100)
    first, visits = np.zeros(4), {}
    for seed in range(3000):
        found = play(GRID, code, int(rng.integers(20)), [100, seed], max_steps=5)
        first[found.actions[0]] += 1
        for s, a in zip(found.states[1:], found.actions[1:], strict=False):
            visits.setdefault(int(s), np.zeros(4))[a] += 1
    keep = POLICY[GRID.start] * 3000 > 5
    assert (
        stats.chisquare(
            first[keep],
            POLICY[GRID.start][keep] / POLICY[GRID.start][keep].sum() * first[keep].sum(),
        ).pvalue
        > 1e-4
    )
    for s, seen in visits.items():
        expected = POLICY[s] * seen.sum()
        keep = expected > 10
        if keep.sum() > 1:
            assert (
                stats.chisquare(
                    seen[keep], expected[keep] / expected[keep].sum() * seen[keep].sum()
                ).pvalue
                > 1e-5
            )


def test_more_rate_means_more_messages_received_and_quantising_blindly_fewer():
    sent = np.random.default_rng(100).integers(0, 50, 150)

    def accuracy(rate, encoder):
        code = Code(POLICY, np.full(50, 0.02), rate, 1, encoder)
        return np.mean(
            [play(GRID, code, int(m), [100, e]).decoded[0] == m for e, m in enumerate(sent)]
        )

    low, high, blind = (
        accuracy(0.5, "greedy"),
        accuracy(math.inf, "greedy"),
        accuracy(0.5, "quantizer"),
    )
    assert high > low > blind


# -- the environment -------------------------------------------------------------------------------


def test_gymnasium_finds_nothing_wrong_with_the_environment():
    from gymnasium.utils.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({}, {"blocks": 3}, {"compress": "policy"}):
            check_env(
                MarkovCodingGame(GRID, POLICY, np.full(8, 1 / 8), 2.0, **options),
                skip_render_check=True,
            )


def test_an_agent_that_follows_the_coding_policy_sends_its_message_through_the_environment():
    world = corridor(3)
    env = MarkovCodingGame(world, uniform(world), np.full(8, 1 / 8), 3.0)
    for message in range(8):
        seen, info = env.reset(seed=100, options={"message": [message]})
        done, total = False, 0.0
        while not done:
            seen, reward, done, cut, info = env.step(int(np.argmax(seen["coding_policy"])))
            total += reward
            assert not cut
        assert info["guess"].tolist() == [message]
        assert total == 1
    assert env.play(5, 100).decoded.tolist() == [5]
    short = MarkovCodingGame(world, uniform(world), np.full(8, 1 / 8), 3.0, max_steps=2)
    short.reset(seed=100)
    assert [short.step(0)[2:4] for _ in range(2)] == [(False, False), (False, True)]


def test_an_action_that_no_message_makes_tells_nothing():
    code = Code([[1.0, 0.0]], np.full(4, 0.25), 2.0)
    np.testing.assert_array_equal(code.update(0, 1, code.beliefs()), code.beliefs())


def test_a_missing_gymnasium_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "feasible.transport.mec_bottleneck.coding_env")
    monkeypatch.delitem(vars(feasible.transport), "MarkovCodingGame", raising=False)
    with pytest.raises(MissingExtra, match=r"feasible\[transport\]"):
        _ = feasible.transport.MarkovCodingGame


# -- runs ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def game():
    return CodingGame(GRID, math.exp(-5), 3.0, episodes=25, seed=100)


def solve(problem, method, seed=3, **budget):
    limits = Budget(**budget)
    return run(Run(problem, method, limits, seed, Meter(limits)))


@pytest.mark.parametrize(
    "method",
    [
        CodingAgent(),
        CodingAgent("greedy"),
        CodingAgent("quantizer"),
        CodingAgent(compress="policy"),
    ],
    ids=str,
)
def test_a_run_repeats_itself_and_its_errors_and_rewards_are_measured(game, method):
    first, again = (solve(game, method, env_steps=100_000) for _ in range(2))
    assert np.array_equal(first.answer.decoded, again.answer.decoded)
    assert np.array_equal(first.answer.states, again.answer.states)
    assert first.spent["env_steps"] == first.answer.lengths.sum() == len(first.answer.actions)
    assert first.verdict.feasible
    assert first.verdict.objective == (first.answer.decoded != game.sent).mean()
    ends = np.cumsum(first.answer.lengths + 1) - 1
    expected = np.mean(
        GRID.reward[first.answer.states[ends]] * 0.95**first.answer.lengths
    )  # only ends pay
    assert first.verdict.metrics["reward"] == pytest.approx(expected)
    assert not np.array_equal(
        solve(game, method, seed=4, env_steps=100_000).answer.states, first.answer.states
    )


@pytest.mark.parametrize("limit", [1, 37, 200, 333])
def test_a_budget_of_steps_is_never_passed_and_an_unfinished_episode_is_not_answered(game, limit):
    result = solve(game, CodingAgent(), env_steps=limit)
    assert result.spent["env_steps"] <= limit
    assert result.answer.lengths.sum() <= limit
    played = result.answer.lengths > 0
    assert (result.answer.decoded[~played] == -1).all()
    whole = solve(game, CodingAgent(), env_steps=100_000)
    assert np.array_equal(whole.answer.decoded[played], result.answer.decoded[played])
    assert result.verdict.objective >= whole.verdict.objective
    assert "budget" in result.stopped


def test_an_episode_reserves_its_steps_before_it_is_played(game):
    limits = Budget(env_steps=10)
    token = active_meter.set(Meter(limits))
    try:
        with pytest.raises(BudgetExhausted):
            game.transmit(
                0, game.code("greedy", "belief"), np.random.default_rng(0).random((1000, 2))
            )
        assert active_meter.get().spent["env_steps"] == 10
    finally:
        active_meter.reset(token)
    assert game.transmit(
        0, game.code("greedy", "belief"), np.random.default_rng(0).random((1000, 2))
    ).finished


def test_moves_that_cannot_be_made_are_a_violation(game):
    answer = solve(game, CodingAgent(), env_steps=100_000).answer
    states = answer.states.copy()
    states[3] = 63
    answer.states = states
    verdict = game.judge(answer)
    assert not verdict.feasible
    assert verdict.worst == "impossible moves"
    answer.states = np.where(states == 63, 64, states)
    with pytest.raises(ArgumentError, match="states"):
        game.judge(answer)
    answer.lengths, answer.states = answer.lengths[:-1], states
    with pytest.raises(ShapeError, match="transcript"):
        game.judge(answer)


@pytest.mark.kill
def test_a_killed_run_resumes_to_the_same_transcript_and_pays_for_no_stored_episode_again(tmp_path):
    call = {
        "budget": {"env_steps": 100_000},
        "seed": 3,
        "store": f"sqlite:///{tmp_path / 'lab.db'}",
        "name": "r",
    }
    pid = os.fork()
    if pid == 0:
        from feasible.lab import stored

        stored.CHECKPOINT_SECONDS = -1.0
        transmit = CodingGame.transmit

        def dies(self, episode, code, uniforms):
            if episode == 12:
                os.kill(os.getpid(), signal.SIGKILL)
            return transmit(self, episode, code, uniforms)

        CodingGame.transmit = dies
        feasible.solve("coding-grid", "coding-agent", **call)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    transmit, played = CodingGame.transmit, []

    def counted(self, episode, code, uniforms):
        played.append(episode)
        return transmit(self, episode, code, uniforms)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CodingGame, "transmit", counted)
        resumed = feasible.solve("coding-grid", "coding-agent", **call)
    assert played == list(range(12, 200))
    whole = feasible.solve("coding-grid", "coding-agent", budget={"env_steps": 100_000}, seed=3)
    assert np.array_equal(resumed.answer.states, whole.answer.states)
    assert np.array_equal(resumed.answer.decoded, whole.answer.decoded)
    assert resumed.spent["env_steps"] == whole.spent["env_steps"]
    assert resumed.verdict == whole.verdict


def test_the_game_is_named_and_its_agent_chosen():
    problem = load_problem("coding-grid")
    assert problem.rate_bits == pytest.approx(0.9 * math.log2(50))
    assert default_method(problem, Budget(env_steps=10))[0] == load_method("coding-agent")
    assert load_method("coding-agent-reverse") == CodingAgent(compress="policy")


# -- bad input -------------------------------------------------------------------------------------


def test_tables_that_are_none_are_refused_by_name():
    t, r, end = GRID.transitions, GRID.reward, GRID.terminal
    with pytest.raises(ShapeError, match="transitions"):
        World(t[0], r, end)
    with pytest.raises(ArgumentError, match="transitions"):
        World(t * 0.9, r, end)
    with pytest.raises(ShapeError, match="reward"):
        World(t, r[1:], end)
    with pytest.raises(ArgumentError, match="start"):
        World(t, r, end, 64)
    with pytest.raises(ArgumentError, match="obstacle"):
        grid_world(start=(3, 3))
    with pytest.raises(ArgumentError, match="outside"):
        grid_world(4, 4)
    with pytest.raises(ArgumentError, match="noise"):
        grid_world(noise=0.6)
    with pytest.raises(ArgumentError, match="beta"):
        soft_value_iteration(GRID, -1)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"policy": POLICY * 0.9}, ArgumentError, "policy"),
        ({"policy": POLICY[0]}, ShapeError, "policy"),
        ({"prior": [0.5]}, ArgumentError, "prior"),
        ({"rate_bits": -1}, ArgumentError, "rate_bits"),
        ({"encoder": "exact"}, ArgumentError, "exact"),
        ({"compress": "b"}, ArgumentError, "compress"),
        ({"blocks": 0}, ArgumentError, "blocks"),
    ],
    ids=str,
)
def test_codes_that_make_no_sense_are_refused(change, error, words):
    with pytest.raises(error, match=words):
        Code(**{"policy": POLICY, "prior": [0.5, 0.5], "rate_bits": 1.0, **change})


def test_messages_and_problems_that_make_no_sense_are_refused():
    code = Code(POLICY, [0.5, 0.5], 1.0)
    for message, error in (
        (2, ArgumentError),
        (-1, ArgumentError),
        ([0, 1], ShapeError),
        (0.5, ShapeError),
    ):
        with pytest.raises(error, match="message"):
            play(GRID, code, message, 0)
    for states, actions, error, words in (
        ([40], [4], ArgumentError, "actions"),
        ([64], [0], ArgumentError, "states"),
        ([-1], [0], ArgumentError, "states"),
        ([40], [0, 1], ShapeError, "states"),
        ([40], [0.5], ArgumentTypeError, "actions"),
    ):
        with pytest.raises(error, match=words):
            code.receive(states, actions)
    with pytest.raises(ShapeError, match="policy"):
        play(corridor(2), code, 0, 0)
    with pytest.raises(ArgumentTypeError, match="world"):
        CodingGame("grid", 0.1, 1.0)
    with pytest.raises(ArgumentError, match="episodes"):
        CodingGame(GRID, 0.1, 1.0, episodes=0)
    with pytest.raises(ArgumentError, match="compress"):
        CodingAgent(compress="x")
    env = MarkovCodingGame(GRID, POLICY, [0.5, 0.5], 1.0)
    with pytest.raises(ArgumentError, match="options"):
        env.reset(options={"start": 3})
    env.reset(seed=100)
    with pytest.raises(ArgumentError, match="action"):
        env.step(7)
