"""On-policy and off-policy agents: what they learn, and that they are what they were when saved."""

import dataclasses
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from worlds import Drifts, Line, line

import feasible
from feasible.policies import MDPO, Control, MDPOSettings, OffPolicyMDPO, OffPolicySettings
from feasible.policies.mdpo import off_policy, on_policy
from feasible.policies.mdpo.off_policy import Buffer, Pair, actor_loss
from feasible.policies.networks import mlp, seeded

errors = feasible.errors
SMALL = {"n_envs": 2, "n_steps": 24, "width": 8}
TINY = {"learning_starts": 30, "batch": 8, "width": 8, "sync_every": 20}
VARIANTS = [
    {},
    {"sgd_steps": 1},
    {"q": 2.0},
    {"q": 1.5, "estimator": "sampled"},
    {"q": 2.0, "official": True},
    {"minibatch": 16, "step_size": 0.5, "anneal": False},
    {"normalize": False},
]


def weights(network):
    """All parameters of a network in one row."""
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


@pytest.mark.parametrize("given", VARIANTS)
def test_every_variant_learns_as_many_transitions_as_were_asked_for(given):
    agent = MDPO("MlpPolicy", "CartPole-v1", seed=1, **SMALL, **given)
    before = weights(agent.learner.actor)
    agent.learn(101)
    assert agent.num_timesteps == 101
    assert not torch.equal(weights(agent.learner.actor), before)


def test_cart_pole_is_held_up_for_long():
    agent = MDPO("MlpPolicy", "CartPole-v1", lr=3e-3, n_steps=128, seed=101)
    agent.learn(15_000)
    assert Control("CartPole-v1").judge(agent.policy).objective < -150


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("q", [1.0, 1.5, 2.0])
def test_without_advantages_no_variant_moves_the_policy(env, q):
    problem = Control(env)
    estimator = "exact" if q == 1 or problem.spaces.actions else "sampled"
    settings = MDPOSettings(q=q, estimator=estimator, normalize=False)
    learner = on_policy.begin(settings, problem.spaces, 100, np.random.default_rng(0))
    obs = torch.randn(400, problem.spaces.features)
    out = learner.actor(obs).detach()
    actions = torch.randint(0, 2, (400, 1)) if problem.spaces.actions else out + torch.randn(400, 1)
    with torch.no_grad():
        logp = learner.actor.log_prob(out, actions)
    fixed = torch.zeros(400)
    far = on_policy.divergence(
        learner.actor, learner.actor(obs), out, learner.actor.log_std.detach(),
        learner.actor.log_prob(learner.actor(obs), actions), logp, settings,
    )  # fmt: skip
    if estimator == "exact":
        gradients = torch.autograd.grad(far.mean(), learner.actor.net.parameters())
        assert max(float(g.abs().max()) for g in gradients) < 1e-6
        on_policy.fit_policy(learner, obs, actions, fixed, settings, 0.5)
        assert learner.actor(obs).sub(out).abs().max() < 0.05


def test_the_official_form_drifts_where_ours_stays():
    problem = Control("CartPole-v1")
    gone = {}
    for official in (False, True):
        settings = MDPOSettings(q=2.0, official=official, sgd_steps=60, lr=1e-2)
        learner = on_policy.begin(settings, problem.spaces, 100, np.random.default_rng(0))
        with torch.no_grad():
            learner.actor.net[-1].bias.copy_(torch.tensor([1.0, -1.0]))
        obs, actions = torch.randn(300, 4), torch.zeros(300, 1, dtype=torch.long)
        before = learner.actor(obs).softmax(1).detach()
        on_policy.fit_policy(learner, obs, actions, torch.zeros(300), settings, 1.0)
        gone[official] = float((learner.actor(obs).softmax(1) - before).abs().max())
    assert gone[False] < 0.02 < 0.2 < gone[True]


def test_step_sizes_and_rates_fall_to_one_over_the_iterations():
    agent = MDPO("MlpPolicy", "CartPole-v1", seed=1, lr=1.0, **SMALL)
    rates = []
    agent.learn(48 * 4, callback=lambda a: rates.append(a.learner.actor_opt.param_groups[0]["lr"]))
    assert np.allclose(rates, [1, 0.75, 0.5, 0.25])


def test_a_callback_that_says_false_ends_the_learning():
    agent = MDPO("MlpPolicy", "CartPole-v1", **SMALL)
    agent.learn(480, callback=lambda a: a.num_timesteps < 96)
    assert agent.num_timesteps == 96


def test_counting_goes_on_or_begins_anew():
    agent = MDPO("MlpPolicy", "CartPole-v1", **SMALL).learn(96)
    assert agent.learn(48, reset_num_timesteps=False).num_timesteps == 144
    assert agent.learn(48).num_timesteps == 48


def test_four_calls_equal_one_where_nothing_is_annealed():
    constant = {"step_size": 0.5, "anneal": False, **SMALL}
    one = MDPO("MlpPolicy", "CartPole-v1", seed=4, **constant).learn(192)
    four = MDPO("MlpPolicy", "CartPole-v1", seed=4, **constant)
    for i in range(4):
        four.learn(48, reset_num_timesteps=i == 0)
    assert torch.equal(weights(one.learner.actor), weights(four.learner.actor))


SAVED = {
    "discrete": (MDPO, "CartPole-v1", SMALL),
    "continuous": (MDPO, "Pendulum-v1", SMALL),
    "off-policy": (OffPolicyMDPO, "Pendulum-v1", TINY),
}


def test_saved_agents_act_the_same_in_another_process_and_learn_on(tmp_path):
    agents = {name: cls("MlpPolicy", env, seed=2, **given).learn(100)
              for name, (cls, env, given) in SAVED.items()}  # fmt: skip
    asked, expected = [], {}
    for name, agent in agents.items():
        path = str(tmp_path / f"{name}.zip")
        agent.save(path)
        with pytest.raises(pickle.UnpicklingError):
            pickle.loads((tmp_path / f"{name}.zip").read_bytes()[8:])
        obs = np.linspace(-0.5, 0.5, agent.spaces.features).astype(np.float32)
        action, none = agent.predict(obs, deterministic=True)
        assert none is None
        asked.append([type(agent).__name__, path, obs.tolist()])
        expected[name] = np.asarray(action).tolist()
    code = (
        "import json, sys, numpy as np, feasible.policies as P\n"
        "for cls, path, obs in json.loads(sys.argv[1]):\n"
        "    a = getattr(P, cls).load(path)\n"
        "    obs = np.array(obs, dtype=np.float32)\n"
        "    print(np.asarray(a.predict(obs, deterministic=True)[0]).tolist())"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, json.dumps(asked)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.split("\n")[:-1] == [str(e) for e in expected.values()]
    for name, (cls, env, _) in SAVED.items():
        path = str(tmp_path / f"{name}.zip")
        again = cls.load(path, env=env)
        assert again.learn(60, reset_num_timesteps=False).num_timesteps == 160
        with pytest.raises(errors.ArgumentError, match="loaded without one"):
            cls.load(path).learn(10)


def test_a_saved_agent_for_another_environment_names_both_spaces(tmp_path):
    path = str(tmp_path / "agent")
    MDPO("MlpPolicy", "CartPole-v1", **SMALL).save(path)
    with pytest.raises(errors.ArgumentError, match=r"\(4,\).*\(3,\)"):
        MDPO.load(path, env="Pendulum-v1")
    with pytest.raises(errors.ArgumentError, match="no OffPolicyMDPO"):
        OffPolicyMDPO.load(path)
    (tmp_path / "bad").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(errors.ArgumentError, match="no MDPO"):
        MDPO.load(str(tmp_path / "bad"))


def test_one_observation_or_several_are_answered_as_the_environment_takes_them():
    agent = MDPO("MlpPolicy", "Pendulum-v1", **SMALL)
    one, _ = agent.predict(np.zeros(3))
    several, _ = agent.predict(np.zeros((5, 3)), deterministic=True)
    assert one.shape == (1,)
    assert several.shape == (5, 1)
    with pytest.raises(errors.ShapeError):
        agent.predict(np.zeros(4))


def test_a_nan_of_the_environment_is_said_with_its_step():
    agent = MDPO("MlpPolicy", lambda: Line(fault="nan-reward"), n_envs=1, n_steps=8, width=4)
    with pytest.raises(FloatingPointError, match="copy 0, episode 0, step 3"):
        agent.learn(16)


def test_networks_that_are_not_finite_end_the_learning_and_the_last_finite_ones_are_kept():
    problem = line(length=6)
    settings = MDPOSettings(n_envs=1, n_steps=8, lr=1e30, width=4)
    learner = on_policy.begin(settings, problem.spaces, 1000, np.random.default_rng(0))
    copies = problem.open(1, 0)
    for _ in range(20):
        if learner.ended:
            break
        on_policy.iterate(learner, copies, problem.spaces, settings)
    assert "not finite" in learner.ended
    assert all(torch.isfinite(p).all() for p in learner.actor.parameters())


@pytest.mark.parametrize("cut", [False, True])
def test_the_value_learns_that_a_truncated_episode_goes_on(cut):
    agent = MDPO(
        "MlpPolicy", lambda: Line(length=1, cut=cut), gamma=0.9, n_envs=2, n_steps=32, lr=1e-2,
        normalize=False, vf_clip=100.0, vf_epochs=10, anneal=False, width=16, lam=0.0,
    )  # fmt: skip
    agent.learn(6000)
    with torch.no_grad():
        value = float(agent.learner.critic(torch.tensor([[0.0, 0.0]])))
        beyond = float(agent.learner.critic(torch.tensor([[0.0, 1.0]])))
    assert value == pytest.approx(1 + 0.9 * beyond if cut else 1.0, abs=0.15)


# -- off-policy ------------------------------------------------------------------------------------


def test_without_a_divergence_the_actor_is_soft_actor_critics():
    logp, old, q = torch.randn(3, 50)
    for lam in (0.0, 0.2):
        assert torch.allclose(actor_loss(logp, old, q, lam, 0.0), (lam * logp - q).mean())


def test_the_weights_are_those_of_entropy_and_divergence():
    logp, old, q = torch.randn(3, 50)
    expected = (0.2 * logp + 0.8 * (logp - old) - q).mean()
    assert torch.allclose(actor_loss(logp, old, q, 0.2, 0.8), expected)


@pytest.mark.parametrize("given", [{}, {"q": 2.0}, {"critic": "sac2"}, {"inv_t": 0.0},
                                   {"deterministic": True}, {"n_envs": 3}])  # fmt: skip
def test_every_off_policy_variant_makes_one_gradient_step_a_transition(given):
    agent = OffPolicyMDPO("Pendulum-v1", seed=1, **TINY, **given).learn(71)
    assert agent.num_timesteps == 71
    assert agent.learner.updates == 41


def test_the_frozen_policy_is_renewed_every_m_transitions():
    agent = OffPolicyMDPO("Pendulum-v1", seed=1, **{**TINY, "sync_every": 40})
    agent.learn(40)
    same = torch.equal(weights(agent.learner.frozen), weights(agent.learner.actor))
    agent.learn(15, reset_num_timesteps=False)
    later = torch.equal(weights(agent.learner.frozen), weights(agent.learner.actor))
    assert (same, later) == (True, False)


def test_two_critics_at_once_are_two_networks():
    with seeded(5):
        pair = Pair(4, 6)
    with seeded(5):
        nets = [mlp((4, 6, 6, 1), "relu") for _ in range(2)]
    obs, act = torch.randn(9, 3), torch.randn(9, 1)
    expected = torch.stack([net(torch.cat((obs, act), 1)).squeeze(1) for net in nets])
    assert torch.allclose(pair(obs, act), expected, atol=1e-6)


@pytest.mark.parametrize("critic", ["v", "sac2"])
def test_the_critics_learn_the_value_of_a_constant_reward(critic):
    problem = line(length=0)
    settings = OffPolicySettings(
        lam=0.0, inv_t=0.5, gamma=0.5, critic=critic, tau=0.05, lr=1e-2,
        learning_starts=50, batch=64, width=16,
    )  # fmt: skip
    learner = off_policy.begin(settings, problem.spaces, 900, np.random.default_rng(0))
    off_policy.iterate(learner, problem.open(1, 0), problem.spaces, settings, 900)
    found = learner.critics(torch.from_numpy(learner.buffer.obs[-1:]), torch.zeros(1, 1))
    assert torch.allclose(found, torch.full((2, 1), 2.0), atol=0.2)


def test_a_buffer_forgets_the_oldest_and_grows_in_order():
    problem = line()
    buffer = Buffer.of(3, problem.spaces)
    for k in range(5):
        row = np.full((1, 2), k), np.full((1, 2), k), np.zeros((1, 1)), np.array([k]), np.zeros(1)
        buffer.add(*row)
    assert sorted(buffer.rewards.tolist()) == [2, 3, 4]
    buffer.grow(5)
    assert buffer.rewards[:3].tolist() == [2, 3, 4]
    assert (buffer.size, buffer.at, len(buffer.obs)) == (3, 3, 5)


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: MDPO("MlpPolicy", "CartPol-v1"), errors.UnknownName, "CartPole-v1"),
        (lambda: MDPO("CnnPolicy", "CartPole-v1"), errors.ArgumentError, "policy='CnnPolicy'"),
        (lambda: MDPO("MlpPolicy"), errors.ArgumentError, "env=None"),
        (lambda: MDPO("MlpPolicy", "CartPole-v1", sgd_step=3), TypeError, "sgd_steps"),
        (lambda: MDPO("MlpPolicy", "CartPole-v1", device="cuda"), errors.ArgumentError, "device"),
        (lambda: MDPO("MlpPolicy", "Pendulum-v1", q=2.0), errors.ArgumentError, "'sampled'"),
        (lambda: MDPO("MlpPolicy", "CartPole-v1", q=3.0), errors.ArgumentError, "q=3"),
        (
            lambda: MDPO("MlpPolicy", "CartPole-v1", n_envs=1, n_steps=1),
            errors.ArgumentError,
            "n_steps=1",
        ),
        (lambda: OffPolicyMDPO("CartPole-v1"), errors.WrongProblem, "2 numbered"),
        (lambda: OffPolicyMDPO("Pendulum-v1", inv_t=-0.1), errors.ArgumentError, "inv_t=-0.1"),
        (lambda: OffPolicyMDPO("Pendulum-v1", lam=-1), errors.ArgumentError, "lam=-1"),
        (
            lambda: MDPO("MlpPolicy", "CartPole-v1").learn(0),
            errors.ArgumentError,
            "total_timesteps=0",
        ),
        (
            lambda: MDPO("MlpPolicy", "CartPole-v1").learn(9, callback=3),
            errors.ArgumentTypeError,
            "callback=3",
        ),
        (
            lambda: MDPO("MlpPolicy", Control("CartPole-v1", limits={"cost": "<= 1"})),
            errors.ArgumentError,
            "limits",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_settings_are_said_once():
    from feasible.policies.mdpo.run import OffPolicyMirror, OnPolicyMDPO

    for method, settings in ((OnPolicyMDPO, MDPOSettings), (OffPolicyMirror, OffPolicySettings)):
        for f in dataclasses.fields(settings):
            assert getattr(method(), f.name) == getattr(settings(), f.name)


def test_an_environment_of_ones_own_is_taken_as_it_is():
    agent = MDPO("MlpPolicy", Drifts(length=4), **SMALL)
    assert agent.learn(50).num_timesteps == 50
