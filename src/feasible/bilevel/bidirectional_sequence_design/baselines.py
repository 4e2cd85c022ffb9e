"""What sequences are designed by otherwise: rankings, random search, mutants, ascent on a proxy.

References:
    Trabucco, Kumar, Geng, Levine, "Conservative objective models for effective offline model-based
    optimization" (COMs), ICML 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...core.budget import Resource, spend
from ...core.checks import flag, one_of, real, whole
from ...core.problem import Method, Problem
from .adaptive import BASE, AdaptiveEta
from .bib import adam, first_logits, letters_of
from .features import straight_through
from .letters import decode, every, keys, new_designs, one_hot
from .models import Convolutions, Offline
from .problem import Designs, SequenceDesign
from .ridge import head
from .settings import BIBSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Resource("predictions", "sequences whose score a fitted model predicted")
EVERY = 100_000
"""Spaces of at most so many sequences are ranked as a whole."""


def fitted(problem: SequenceDesign) -> Offline:
    """Return the features and the forward head, at the usual settings."""
    return problem.offline(BIBSettings())


def starts(problem: SequenceDesign) -> Int[np.ndarray, "n L"]:
    """Return the best known sequences, as many as designs are asked for."""
    return problem.codes[np.argsort(-problem.scores, kind="stable")[: problem.n_designs]]


def one_hot_head(problem: SequenceDesign, beta: float) -> tuple[Float[np.ndarray, "L A"], float]:
    """Return what each letter adds to a score at each place, and the rest, by ridge regression."""
    x = torch.as_tensor(one_hot(problem.codes, problem.letters)).flatten(1)
    mean, std = problem.scores.mean(), problem.scores.std()
    W = head(x - x.mean(dim=0), torch.as_tensor((problem.scores - mean) / std), beta) * std
    return W.numpy().reshape(-1, problem.letters), float(mean - x.mean(dim=0) @ W)


@dataclass(slots=True)
class Candidates:
    """Where a search stands.

    Attributes:
        rng: Where draws come from.
        codes: (k, L) the new designs so far, best predicted first.
        predicted: (k,) by whatever model there is; 0 without one.
        k: Steps so far.
        why: Why it is over; empty where it is not.
    """

    rng: np.random.Generator
    codes: Int[np.ndarray, "k L"]
    predicted: Float[np.ndarray, " k"]
    k: int = 0
    why: str = ""


@dataclass(frozen=True)
class Search(Method):
    """What tries candidates and keeps the best predicted; a step is a batch of them."""

    solves: ClassVar[type[Problem]] = SequenceDesign

    def init(self, problem: SequenceDesign, rng: np.random.Generator) -> Candidates:
        """Have nothing yet."""
        return Candidates(rng, problem.codes[:0], np.zeros(0))

    def predict(
        self, problem: SequenceDesign, codes: Int[np.ndarray, "m L"]
    ) -> Float[np.ndarray, " m"]:
        """Return a predicted score of each."""
        return np.zeros(len(codes))

    def take(
        self,
        problem: SequenceDesign,
        state: Candidates,
        codes: Int[np.ndarray, "m L"],
        predicted: Float[np.ndarray, " m"],
    ) -> None:
        """Keep the best that are new, of these and those so far, at the end of a step."""
        codes = np.concatenate([state.codes, codes])
        predicted = np.concatenate([state.predicted, predicted])
        order = np.argsort(-predicted, kind="stable")
        # the best few are enough: what is known, twice there or against the rules is a part of them
        taken, n = set(keys(problem.codes)), problem.n_designs
        kept, some = problem.codes[:0], 8 * n
        for begin in range(0, len(order), some):
            rows = codes[order[begin : begin + some]]
            fresh = new_designs(rows, taken, problem.rules, problem.codes, problem.alphabet)
            kept = np.concatenate([kept, rows[fresh]])
            if len(kept) >= n:
                break
        state.codes = kept[:n]
        state.predicted = self.predict(problem, state.codes)
        state.k += 1

    def answer(self, problem: SequenceDesign, state: Candidates) -> Designs:
        """The best predicted so far."""
        return Designs(decode(state.codes, problem.alphabet), state.predicted.copy())

    def done(self, problem: SequenceDesign, state: Candidates) -> str | None:
        """When nothing is left to propose."""
        return state.why or None


@dataclass(frozen=True)
class RandomSequences(Search):
    """Uniform random sequences: the first that are new."""

    name: ClassVar[str] = "random-sequences"

    def step(self, problem: SequenceDesign, state: Candidates) -> Candidates:
        """Draw as many as are asked for."""
        shape = problem.n_designs, problem.codes.shape[1]
        codes = state.rng.integers(0, problem.letters, shape)
        self.take(problem, state, codes, self.predict(problem, codes))
        if len(state.codes) == problem.n_designs:
            state.why = f"{problem.n_designs} random sequences"
        return state


@dataclass(frozen=True)
class Ranking(Search):
    """The best of all sequences by a model, or, of spaces that are too large, of mutants of the
    best so far.

    Attributes:
        model: "one-hot": ridge regression on letters by place; "head": the forward head on the
            problem's features.
        beta: Of the ridge regression on letters.
        batch: Mutants of a step.
        mutations: Largest number of letters that a mutant changes.
    """

    name: ClassVar[str] = "one-hot-ranking"

    model: str = "one-hot"
    beta: float = 1e-3
    batch: int = 2000
    mutations: int = 3

    def __post_init__(self) -> None:
        one_of("model", self.model, ("one-hot", "head"))
        real("beta", self.beta, above=0, most=1e6)
        whole("batch", self.batch, least=1, most=10**7)
        whole("mutations", self.mutations, least=1, most=10**4)

    def step(self, problem: SequenceDesign, state: Candidates) -> Candidates:
        """Propose, predict, and keep the best that are new."""
        codes = self.propose(problem, state)
        self.take(problem, state, codes, self.predict(problem, codes))
        return state

    def propose(self, problem: SequenceDesign, state: Candidates) -> Int[np.ndarray, "m L"]:
        """Return all sequences at once, which are the last, or mutants."""
        length = problem.codes.shape[1]
        if problem.letters**length <= EVERY:
            state.why = f"all {problem.letters**length} sequences are ranked"
            return every(length, problem.letters)
        parents = np.concatenate([state.codes, starts(problem)])
        return mutants(parents, problem.letters, self.batch, self.mutations, state.rng)

    def predict(
        self, problem: SequenceDesign, codes: Int[np.ndarray, "m L"]
    ) -> Float[np.ndarray, " m"]:
        """Return scores by the chosen model."""
        spend(predictions=len(codes))
        if self.model == "head":
            return fitted(problem).predict(codes, problem.letters)
        key = ("one-hot", self.beta)
        weights, rest = problem.cached(key, lambda: one_hot_head(problem, self.beta))
        return weights[np.arange(codes.shape[1]), codes].sum(axis=1) + rest


@dataclass(frozen=True)
class Mutants(Ranking):
    """Mutants of the best known sequences, ranked by the forward head, in one generation."""

    name: ClassVar[str] = "ranked-mutants"

    model: str = "head"

    def propose(self, problem: SequenceDesign, state: Candidates) -> Int[np.ndarray, "m L"]:
        """Mutants of the starts."""
        return mutants(starts(problem), problem.letters, self.batch, self.mutations, state.rng)


@dataclass(frozen=True)
class Genetic(Ranking):
    """A genetic search on the forward head: the best so far are crossed and mutated."""

    name: ClassVar[str] = "genetic-sequences"

    model: str = "head"
    batch: int = 500

    def propose(self, problem: SequenceDesign, state: Candidates) -> Int[np.ndarray, "m L"]:
        """Children of two parents, mutated."""
        parents = state.codes if len(state.codes) else starts(problem)
        pair = parents[state.rng.integers(0, len(parents), (2, self.batch))]
        side = state.rng.random(pair.shape[1:]) < 0.5
        children = np.where(side, pair[0], pair[1])
        return mutants(children, problem.letters, self.batch, self.mutations, state.rng)


def mutants(
    parents: Int[np.ndarray, "n L"],
    letters: int,
    count: int,
    most: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, "m L"]:
    """Return parents with one to `most` letters drawn anew."""
    codes = parents[rng.integers(0, len(parents), count)].copy()
    changes = rng.integers(1, most + 1, count)
    for i in range(most):
        rows = np.flatnonzero(changes > i)
        codes[rows, rng.integers(0, codes.shape[1], len(rows))] = rng.integers(
            0, letters, len(rows)
        )
    return codes


# -- ascent on a proxy -----------------------------------------------------------------------------


@dataclass(slots=True)
class AscentState:
    """Where an ascent stands.

    Attributes:
        X: (n, L, A) logits.
        mean: (n, L, A) Adam's mean of gradients.
        square: (n, L, A) Adam's mean of their squares.
        path: (t, n, L) what each read before each step.
        t: Steps so far.
    """

    X: Tensor
    mean: Tensor
    square: Tensor
    path: Int[np.ndarray, "t n L"]
    t: int = 0


@dataclass(frozen=True)
class ProxyAscent(Method):
    """Gradient ascent on a convolutional network, from the best known sequences.

    Attributes:
        steps: Of ascent.
        lr: Step of Adam.
        adaptive_lr: Whether the step follows five other networks (`AdaptiveEta`).
        conservative: Weight of COMs' penalty on what the ascent finds while training; 0: none.
        train_steps: Of the network's training.
        seed: Of the network.
    """

    solves: ClassVar[type[Problem]] = SequenceDesign
    name: ClassVar[str] = "cnn-ascent"

    steps: int = 100
    lr: float = BASE
    adaptive_lr: bool = False
    conservative: float = 0.0
    train_steps: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        whole("steps", self.steps, least=1, most=10**7)
        real("lr", self.lr, above=0, most=1e6)
        flag("adaptive_lr", self.adaptive_lr)
        real("conservative", self.conservative, least=0, most=1e6)
        whole("train_steps", self.train_steps, least=1, most=10**7)
        whole("seed", self.seed, least=0, most=2**63 - 1)

    def proxy(self, problem: SequenceDesign) -> Convolutions:
        """Return the network, trained once for these settings."""
        key = ("proxy", self.conservative, self.train_steps, self.seed)
        return problem.cached(key, lambda: self._trained(problem))

    def _trained(self, problem: SequenceDesign) -> Convolutions:
        """Train the network; COMs: its mean on adversarial designs less that on data is a cost."""
        offline = fitted(problem)
        x = torch.as_tensor(one_hot(offline.codes, problem.letters)).float()
        y = offline.y.float()
        net = Convolutions(problem.letters, x.shape[1], self.seed)

        def gap(batch: Tensor) -> Tensor:
            found = batch
            for _ in range(3):
                leaf = found.detach().requires_grad_()
                (slope,) = torch.autograd.grad(net(leaf).sum(), leaf)
                found = leaf.detach() + slope / (slope.flatten(1).norm(dim=1) + 1e-8)[:, None, None]
            return self.conservative * (net(found).mean() - net(batch).mean())

        return net.fit(x, y, self.seed, self.train_steps, gap if self.conservative else None)

    def init(self, problem: SequenceDesign, rng: np.random.Generator) -> AscentState:
        """Train the network, and stand at the best sequences."""
        self.proxy(problem)
        if self.adaptive_lr:
            problem.auxiliary(BIBSettings(aux="cnn"))
        first = starts(problem)
        X = first_logits(first, problem.letters, 0.01, rng)
        path = np.zeros((0, *first.shape), dtype=np.int16)
        return AscentState(X, torch.zeros_like(X), torch.zeros_like(X), path)

    def step(self, problem: SequenceDesign, state: AscentState) -> AscentState:
        """Move all designs up the network."""
        spend(gradients=len(state.X))
        state.path = np.concatenate([state.path, letters_of(state.X)[None]])
        leaf = state.X.detach().requires_grad_()
        value = self.proxy(problem)(straight_through(torch.softmax(leaf, dim=2)))
        (slope,) = torch.autograd.grad(value.sum(), leaf)
        state.t += 1
        state.mean, state.square, direction = adam(state.mean, state.square, slope, state.t)
        eta = torch.full((len(leaf),), self.lr)
        if self.adaptive_lr:
            aux, std = problem.auxiliary(BIBSettings(aux="cnn")), fitted(problem).std

            def score(X: Tensor) -> Tensor:
                x = straight_through(torch.softmax(X, dim=2))
                return aux.each(x, x.flatten(1).double()).mean(dim=1) * std

            eta = AdaptiveEta(score, self.lr)(state.X, direction).float()
        state.X = state.X + eta[:, None, None] * direction
        return state

    def answer(self, problem: SequenceDesign, state: AscentState) -> Designs:
        """What is new, latest first of each design, ranked by the network."""
        taken, n = set(keys(problem.codes)), problem.n_designs
        kept = problem.codes[:0]
        for codes in [letters_of(state.X), *state.path[::-1]]:
            rows = codes.astype(np.int64)
            fresh = new_designs(rows, taken, problem.rules, problem.codes, problem.alphabet)
            kept = np.concatenate([kept, rows[fresh]])
            if len(kept) >= n:
                break
        offline, net = fitted(problem), self.proxy(problem)
        x = torch.as_tensor(one_hot(kept[:n], problem.letters)).float()
        predicted = net(x).numpy() * offline.std + offline.mean if len(kept) else np.zeros(0)
        order = np.argsort(-predicted, kind="stable")
        return Designs(decode(kept[:n][order], problem.alphabet), predicted[order].astype(float))

    def done(self, problem: SequenceDesign, state: AscentState) -> str | None:
        """After its steps."""
        return f"{self.steps} steps" if state.t >= self.steps else None
