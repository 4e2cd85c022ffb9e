"""How mirror descent policy optimisation goes about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...core.annotations import Checked
from ...core.checks import fraction, real, whole
from ..settings import BatchSettings


def check_index(q: float) -> None:
    """Raise ArgumentError where q is no index of a Tsallis entropy that is taken."""
    real("q", q, above=0, most=2)


@dataclass(frozen=True)
class MDPOSettings(BatchSettings):
    """On-policy; see `BatchSettings` for those that are not named here.

    Attributes:
        n_steps: Steps of each copy in an iteration: N = n_envs * n_steps transitions.
        sgd_steps: m, gradient steps on the whole batch in an iteration; with `minibatch`, passes.
            With m = 1 the divergence has no gradient yet: that is plain policy gradient.
        q: Index of the Tsallis entropy, in (0, 2]; 1: Kullback-Leibler divergence.
        estimator: "exact" divergences; "sampled" ones, from the actions taken, which continuous
            actions need where q is not 1.
        official: The divergence of the paper's code, which leaves out q and the ratio: it drifts
            towards uniform policies and is for comparison only.
        step_size: t_k: "linear" for 1 - k / K, or a number. The penalty's weight is 1 / t_k.
        anneal: The rate falls linearly to 0.
        lr: Rate of Adam, of policy and value; 3e-3 is better below about a million transitions.
        minibatch: Rows of a gradient step of the policy; 0: the whole batch, as in the paper.
        vf_epochs: Passes of the value over a batch.
        vf_batch: Rows of a gradient step of the value.
        vf_clip: Largest change of a value in an iteration, times t_k.
    """

    n_steps: int = 256
    sgd_steps: int = 10
    q: float = 1.0
    estimator: Literal["exact", "sampled"] = "exact"
    official: bool = False
    step_size: float | Literal["linear"] = "linear"
    anneal: bool = True
    minibatch: int = 0
    vf_epochs: int = 5
    vf_batch: int = 128
    vf_clip: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("sgd_steps", "vf_epochs"):
            whole(name, getattr(self, name), least=1, most=100_000)
        whole("vf_batch", self.vf_batch, least=1)
        whole("minibatch", self.minibatch, least=0)
        check_index(self.q)
        if self.step_size != "linear":
            real("step_size", self.step_size, above=0)
        real("vf_clip", self.vf_clip, above=0)


@dataclass(frozen=True)
class OffPolicySettings(Checked):
    """Off-policy, with soft critics.

    Attributes:
        lam: Weight of the entropy.
        inv_t: 1 / t_k, weight of the divergence to the frozen policy; 0 gives soft actor-critic.
        sync_every: m, transitions after which the frozen policy is the newest one again.
        q: Index of the Tsallis entropy, in (0, 2]; 1: Kullback-Leibler divergence.
        critic: "v": two critics and a value with a slow copy; "sac2": two critics with slow copies.
        lr: Rate of Adam, of all networks.
        buffer_size: Transitions that are remembered.
        batch: Rows of a gradient step.
        tau: Share that a slow copy moves in a step.
        learning_starts: Uniformly random transitions before the first gradient step.
        gamma: Discount.
        regularise: Weight of the squares of means and log standard deviations.
        deterministic: Act without draws while training, as the paper's code does.
        n_envs: Copies of the environment.
        width: Of the two hidden layers.
    """

    lam: float = 0.2
    inv_t: float = 0.8
    sync_every: int = 1000
    q: float = 1.0
    critic: Literal["v", "sac2"] = "v"
    lr: float = 3e-4
    buffer_size: int = 1_000_000
    batch: int = 256
    tau: float = 0.005
    learning_starts: int = 10_000
    gamma: float = 0.99
    regularise: float = 1e-3
    deterministic: bool = False
    n_envs: int = 1
    width: int = 256

    def __post_init__(self) -> None:
        for name in ("lam", "inv_t", "regularise"):
            real(name, getattr(self, name), least=0)
        check_index(self.q)
        real("lr", self.lr, above=0)
        fraction("tau", self.tau, zero=False)
        fraction("gamma", self.gamma)
        for name in ("sync_every", "batch", "buffer_size"):
            whole(name, getattr(self, name), least=1)
        whole("learning_starts", self.learning_starts, least=0)
        whole("width", self.width, least=1, most=8192)
        whole("n_envs", self.n_envs, least=1, most=1024)
