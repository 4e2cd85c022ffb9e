"""One small valid call of what finite processes and policy gradients offer, for the fuzz test."""

from __future__ import annotations

import numpy as np
from calling import Calls, parameters

from feasible import policies

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


GRADIENTS = {
    "lr": 0.3,
    "eta0": 1.0,
    "batch": 1,
    "hessian_batch": 1,
    "baseline": True,
}
AGENT = GRADIENTS | {"gamma": 0.9, "width": 2}


def gradient_agent(kind: type) -> Calls:
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
        for name, call in gradient_agent(getattr(policies, kind)).items()
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
}
