"""One small valid call of what the policies room offers, for the fuzz test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from calling import Calls, parameters

from feasible import policies
from feasible.core.checkpoint import encode

ARMS = np.vstack([np.eye(4), -np.eye(4)])
REWARDS = ARMS @ np.array([0.2, 0.0, 0.9, 0.0])
ASSUMED = {
    "sparsity": 1,
    "eps": 0.2,
    "net": "ball",
    "radius": 0.2,
    "order": "optimistic",
    "p": 0.1,
    "max_candidates": 1000,
}
EVEN = np.full((2, 2, 2), 0.5)
REWARD = np.array([[0.0, 1.0], [2.0, 0.0]])
ASKS = {"query": 0.3, "rule": "active", "share": 0.5, "against": "previous", "lam": 1.0}
NOISY = {"sigma": 1.0, "sigma_p": 0.5, "cutoff": (0.9, 1.1), "default": 0.5, "both": False}
DRAWN = {"prior": 0.5, "draws": 8}
EPISODES = {"tau0": [[0, 1], [1, 0], [1, 1]], "tau1": [[0, 0], [1, 0], [0, 1]]}


def world() -> policies.TabularMDP:
    """A process of two states."""
    return policies.TabularMDP(EVEN, REWARD, horizon=3)


def comparing(kind: type = policies.PRLSVI) -> policies.PRLSVI:
    """A learner by pairs of that process."""
    return kind(3, 2, 2)


def prefers() -> policies.PreferenceMDP:
    """The process with a hidden reward."""
    return policies.PreferenceMDP(EVEN, 3, REWARD, policies.LogisticOracle(REWARD))


TABLE = policies.TablePolicy(np.full((16, 4), 0.25))


def saved() -> str:
    """A file with a policy."""
    path = Path("policy.safetensors")
    path.write_bytes(encode(TABLE))
    return str(path)


FRONT = {
    "n_envs": 2,
    "n_steps": 8,
    "lr": 1e-3,
    "gamma": 0.9,
    "gae_lambda": 0.9,
    "clip": 0.2,
    "epochs": 1,
    "minibatches": 2,
    "max_grad_norm": 0.5,
    "hidden": 4,
    "eval_episodes": 1,
    "eval_every": 2,
    "buffer": 10,
    "delta_weight": 0.5,
    "init_fraction": 0.5,
    "n_select": 2,
    "update_iter": 2,
    "constraint": "ipo",
    "beta": 0.9,
    "barrier_t": 20.0,
    "extension_lr": 1e-3,
}


def agent() -> str:
    """A file with an agent."""
    policies.MDPO("MlpPolicy", "CartPole-v1", width=4).save("agent.safetensors")
    return "agent.safetensors"


CALLS: Calls = {
    "CMORL": lambda: (
        policies.CMORL,
        {
            "env": "deep-sea-treasure-v0",
            "ref_point": (0.0, -50.0),
            "eval_gamma": 0.99,
            "seed": 1,
            **FRONT,
        },
    ),
    "CMORLSettings": lambda: (policies.CMORLSettings, dict(FRONT)),
    "PolicyFront.of": lambda: (
        policies.PolicyFront.of,
        {"policies": [TABLE, TABLE], "returns": ((1.0, 0.0), (0.0, 1.0))},
    ),
    "PolicyFront.policy_for": lambda: (
        policies.PolicyFront.of([TABLE], ((1.0, 0.0),)).policy_for,
        {"weights": (0.5, 0.5)},
    ),
    "PolicyFront.policy_within": lambda: (
        policies.PolicyFront.of([TABLE], ((1.0, 0.0),)).policy_within,
        {"maximise": 0, "at_least": {1: 0.0}},
GRADIENTS = {
    "lr": 0.3,
    "eta0": 1.0,
    "batch": 1,
    "hessian_batch": 1,
    "baseline": True,
}
AGENT = GRADIENTS | {"gamma": 0.9, "width": 2}


def agent(kind: type) -> Calls:
    """Calls of an agent on a small process."""
    name = kind.__name__
    given = {"policy": "MlpPolicy", "env": "CartPole-v1", "horizon": 5, "seed": 1} | AGENT
    small = {"policy": "MlpPolicy", "env": "CartPole-v1", "horizon": 3, "width": 2}
    return {
        name: lambda: (kind, dict(given)),
        f"{name}.learn": lambda: (kind(**small).learn, {"total_timesteps": 6}),
        f"{name}.predict": lambda: (
            kind(**small).predict,
            {"obs": np.zeros(4), "deterministic": False},
        ),
    }


CALLS: Calls = {
    **{
        name: call
        for kind in ("NPGIGT", "NHARPG", "HARPG", "NMPG", "VanillaPG")
        for name, call in agent(getattr(policies, kind)).items()
    },
    "GradientSettings": lambda: (policies.GradientSettings, {"kind": "harpg"} | GRADIENTS),
    "NetworkSettings": lambda: (policies.NetworkSettings, {"kind": "harpg"} | AGENT),
    "TableGradient": lambda: (
        policies.TableGradient,
        {"world": world(), "seed": 1, "kind": "harpg"} | GRADIENTS,
    ),
    "TableGradient.learn": lambda: (
        policies.TableGradient(world()).learn,
        {"total_timesteps": 60},
    ),
    "NormalizedIGT": lambda: (
        policies.NormalizedIGT,
        {"params": parameters(), "lr": 0.1, "eta0": 1.0, "reach": 10.0},
    ),
    "Control": lambda: (
        policies.Control,
        {
            "env": "CartPole-v1",
            "options": {"render_mode": None},
            "limits": {"left": "<= 20"},
            "costs": {"left": lambda obs, action, info: float(action == 0)},
            "reference": None,
            "discount": 1.0,
            "stochastic": False,
            "episodes": 1,
            "final_episodes": 1,
            "max_steps": 50,
            "fresh": False,
            "own_streams": False,
            "timeout": None,
            "name": "cart",
        },
    ),
    "Control.open": lambda: (policies.Control("CartPole-v1").open, {"n": 2, "key": 3}),
    "Control.play": lambda: (
        policies.Control("FrozenLake-v1").play,
        {"policy": TABLE, "episodes": 2, "key": 1},
    ),
    "MDPO": lambda: (
        policies.MDPO,
        {"policy": "MlpPolicy", "env": "CartPole-v1", "seed": 1, "verbose": 0, "device": "cpu"},
    ),
    "MDPO.learn": lambda: (
        policies.MDPO("MlpPolicy", "CartPole-v1", n_envs=1, n_steps=8, width=4).learn,
        {"total_timesteps": 8, "callback": lambda agent: False, "reset_num_timesteps": True},
    ),
    "MDPO.predict": lambda: (
        policies.MDPO("MlpPolicy", "CartPole-v1", width=4).predict,
        {"observation": np.zeros(4), "deterministic": True},
    ),
    "MDPO.load": lambda: (policies.MDPO.load, {"path": agent(), "env": "CartPole-v1"}),
    "OffPolicyMDPO": lambda: (
        policies.OffPolicyMDPO,
        {"policy": "MlpPolicy", "env": "Pendulum-v1", "seed": 1, "verbose": 0, "device": "cpu"},
    ),
    "bregman": lambda: (
        policies.bregman,
        {"pi": torch.tensor([0.5, 0.5]), "pi_old": torch.tensor([0.3, 0.7]), "q": 1.5},
    ),
    "mdpo_loss": lambda: (
        policies.mdpo_loss,
        {name: torch.zeros(3) for name in ("logp", "logp_old", "adv", "kl")} | {"t": 0.5},
    ),
    "tabular_mdpo": lambda: (
        policies.tabular_mdpo,
        {
            "P": np.full((2, 2, 2), 0.5),
            "R": np.eye(2),
            "gamma": 0.9,
            "t": 1.0,
            "iters": 3,
            "schedule": "constant",
        },
    ),
    "read_policy": lambda: (policies.read_policy, {"path": saved()}),
    "TabularMDP": lambda: (
        policies.TabularMDP,
        {
            "P": EVEN,
            "R": REWARD,
            "start": [0.5, 0.5],
            "gamma": 0.9,
            "horizon": 3,
            "terminal": [0, 0],
            "name": "small",
        },
    ),
    "TabularMDP.of": lambda: (
        policies.TabularMDP.of,
        {"env": "FrozenLake-v1", "gamma": 0.9, "horizon": 3, "name": "lake"},
    ),
    "TabularMDP.value": lambda: (world().value, {"policy": [0, 1]}),
    "TabularMDP.values": lambda: (world().values, {"policy": [0, 1]}),
    "TabularMDP.rollout": lambda: (
        world().rollout,
        {"policy": [0, 1], "n": 2, "rng": np.random.default_rng(0)},
    ),
    "TablePolicy": lambda: (policies.TablePolicy, {"probabilities": np.array([[0.5, 0.5]])}),
    "LogisticOracle": lambda: (
        policies.LogisticOracle,
        {"reward": REWARD, "scale": 2.0, "seed": 1},
    ),
    "PreferenceMDP": lambda: (
        policies.PreferenceMDP,
        {
            "P": EVEN,
            "horizon": 3,
            "truth": REWARD,
            "person": policies.LogisticOracle(REWARD),
            "start": [0.5, 0.5],
            "state_names": ["low", "high"],
            "action_names": ["wait", "go"],
            "name": "small",
        },
    ),
    "PRLSVISettings": lambda: (policies.PRLSVISettings, ASKS | NOISY),
    "PbTSSettings": lambda: (policies.PbTSSettings, ASKS | DRAWN),
    "PRLSVI": lambda: (
        policies.PRLSVI,
        {"horizon": 3, "n_actions": 2, "n_states": 2, "phi": np.eye(4).reshape(2, 2, 4), "seed": 1}
        | ASKS
        | NOISY,
    ),
    "PbTS": lambda: (
        policies.PbTS,
        {"horizon": 3, "n_actions": 2, "n_states": 2, "phi": np.eye(4).reshape(2, 2, 4), "seed": 1}
        | ASKS
        | DRAWN,
    ),
    "PRLSVI.should_query": lambda: (comparing().should_query, dict(EPISODES)),
    "PRLSVI.update": lambda: (comparing().update, EPISODES | {"preference": 1.0}),
    "PbTS.update": lambda: (comparing(policies.PbTS).update, EPISODES | {"preference": 1.0}),
    "PRLSVI.run": lambda: (
        comparing().run,
        {"env": prefers(), "oracle": policies.LogisticOracle(REWARD), "episodes": 3},
    ),
    "Bandit": lambda: (
        policies.Bandit,
        {
            "features": ARMS,
            "rewards": REWARDS,
            "noise_std": 0.0,
            "sparsity": 1,
            "eps": 0.1,
            "name": "small",
        },
    ),
    "SparseElimination": lambda: (
        policies.SparseElimination,
        {"features": ARMS, "noise_std": 0.0, **ASSUMED},
    ),
    "SparseElimination.run": lambda: (
        policies.SparseElimination(ARMS, sparsity=1).run,
        {"query": lambda i: REWARDS[i]},
    ),
    "SparseElimination.tell": lambda: (
        policies.SparseElimination(ARMS, sparsity=1).tell,
        {"arm": 1, "reply": 0.1},
    ),
    "EliminationSettings": lambda: (policies.EliminationSettings, dict(ASSUMED)),
}
