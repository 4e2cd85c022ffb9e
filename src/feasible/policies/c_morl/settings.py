"""How a set of policies for several objectives is searched for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...core.annotations import Checked
from ...core.checks import fraction, one_of, real, whole
from ...core.errors import ArgumentError


@dataclass(frozen=True)
class TrainingSettings(Checked):
    """How a policy is trained by proximal policy optimisation with one value for each objective.

    Attributes:
        n_envs: Copies of the environment for each policy.
        n_steps: Transitions of each copy in an update.
        lr: Adam's rate; it falls to 0 over the first stage.
        gamma: Discount in training; None: the problem's.
        gae_lambda: Of the advantages.
        clip: Ratios count up to this distance from 1.
        epochs: Passes over the transitions of an update.
        minibatches: Of a pass.
        max_grad_norm: Longer gradients of a policy are shortened.
        hidden: Units of each of two hidden layers.
        eval_episodes: Paid episodes that tell what a policy is worth: 1 is enough where every
            episode is the same. None: as many as the judge plays of an answer, at most 5.
        eval_every: Updates between two of these evaluations; None: as often as they take a tenth of
            the transitions at most, and at the end of a round.
        buffer: Most policies that are kept, the most crowded ones go; None: 200, or 40 of more than
            six rewards, where the hypervolume of more takes long.
        delta_weight: Distance of neighbouring weights, 1 over a whole number; None: .2 for two
            objectives, .5 for three, 1 for more.
    """

    n_envs: int = 4
    n_steps: int = 32
    lr: float = 1e-3
    gamma: float | None = None
    gae_lambda: float = 0.95
    clip: float = 0.2
    epochs: int = 4
    minibatches: int = 4
    max_grad_norm: float = 0.5
    hidden: int = 64
    eval_episodes: int | None = None
    eval_every: int | None = None
    buffer: int | None = None
    delta_weight: float | None = None

    def __post_init__(self) -> None:
        whole("n_envs", self.n_envs, least=1, most=4096)
        whole("n_steps", self.n_steps, least=1)
        real("lr", self.lr, above=0)
        if self.gamma is not None:
            fraction("gamma", self.gamma, zero=False)
        fraction("gae_lambda", self.gae_lambda)
        real("clip", self.clip, above=0, below=1)
        whole("epochs", self.epochs, least=1)
        whole("minibatches", self.minibatches, least=1)
        if self.minibatches > self.n_envs * self.n_steps:
            raise ArgumentError(
                f"minibatches={self.minibatches}: an update has n_envs * n_steps = "
                f"{self.n_envs * self.n_steps} transitions of a policy"
            )
        real("max_grad_norm", self.max_grad_norm, above=0)
        whole("hidden", self.hidden, least=1, most=4096)
        if self.eval_episodes is not None:
            whole("eval_episodes", self.eval_episodes, least=1)
        if self.eval_every is not None:
            whole("eval_every", self.eval_every, least=1)
        if self.buffer is not None:
            whole("buffer", self.buffer, least=1)
        if self.delta_weight is not None:
            divisions("delta_weight", self.delta_weight)


@dataclass(frozen=True)
class CMORLSettings(TrainingSettings):
    """How policies are found for fixed weights, and how the front is then extended from them.

    Attributes:
        init_fraction: Share of the transitions that the first stage may spend.
        n_select: Policies that a round begins from, of those that were not before.
        update_iter: Updates of a round, in which each of them is pushed along every objective.
        constraint: "ipo", the log barrier of interior-point policy optimisation; "off" pushes
            along each objective without looking at the others.
        beta: Share of each other objective that a push must keep.
        barrier_t: The barrier is log(slack) / t.
        extension_lr: Adam's rate in the second stage; None: lr.
    """

    init_fraction: float = 0.2
    n_select: int = 6
    update_iter: int = 4
    constraint: str = "ipo"
    beta: float = 0.9
    barrier_t: float = 20.0
    extension_lr: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("init_fraction", self.init_fraction, zero=False, one=False)
        whole("n_select", self.n_select, least=1)
        whole("update_iter", self.update_iter, least=1)
        one_of("constraint", self.constraint, ("ipo", "off"))
        fraction("beta", self.beta, zero=False, one=False)
        real("barrier_t", self.barrier_t, above=0)
        if self.extension_lr is not None:
            real("extension_lr", self.extension_lr, above=0)


def divisions(name: str, delta: float) -> int:
    """How many steps of this length go from 0 to 1. Raises ArgumentError where none fit exactly."""
    delta = fraction(name, delta, zero=False)
    h = round(1 / delta)
    if not math.isclose(h * delta, 1.0, rel_tol=1e-6):
        raise ArgumentError(
            f"{name}={delta:g}: expected 1 over a whole number, {1 / h:g} is the nearest"
        )
    return h
