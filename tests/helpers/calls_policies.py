"""One small valid call of what the policies room offers, for the fuzz test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from calling import Calls

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
    "film": lambda: (
        policies.film,
        {
            "problem": policies.Control("CartPole-v1"),
            "policy": policies.MDPO("MlpPolicy", "CartPole-v1", width=4).policy,
            "path": "episode.gif",
            "steps": 4,
            "every": 2,
            "width": 20,
            "fps": 10.0,
            "episode": 0,
        },
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
