"""Relaxed adaptive projection (RAP) and its continuous form (RAP++), the gradient baselines of
Private-GSD, in own code.

A table of softmax rows and numbers is moved by Adam until its relaxed answers are near the noisy
ones; a threshold is a sigmoid whose slope grows from 2^0 to 2^10 (RAP++).

References:
    Aydore et al., Differentially private query release through adaptive projection (ICML 2021);
    Vietri et al., Private synthetic data for multitask learning and marginal queries (NeurIPS
    2022).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from ...core.budget import active_meter
from ...core.checks import real, whole
from ...core.problem import Method, Problem
from .accounting import Noise, noise_key, warn_not_private
from .privacy import PrivacySettings
from .problem import PrivateTable, Synthetic

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

SLOPES = 11
"""Slopes 2^0, ..., 2^10 of the sigmoids, one after the other."""


@dataclass(slots=True)
class RAPState:
    """Where a run stands.

    Attributes:
        table: By column the logits (rows, size) of a categorical one, (rows, 1) of a number in
            [0, 1] through a sigmoid.
        adam: Moves them.
        target: (Q,) noisy answers.
        run: Names the noise.
        seed: Of the sampling.
        rho: Spent; 0 before anything was measured.
        steps: Of Adam, so far.
        loss: After each step of the run.
    """

    table: list[Tensor]
    adam: torch.optim.Adam
    target: Float[np.ndarray, " Q"]
    run: int
    seed: int
    rho: float = 0.0
    steps: int = 0
    loss: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class RAP(PrivacySettings, Method):
    """Relaxed projection: noisy answers of every workload, and a relaxed table fitted by Adam;
    prefixes and halfspaces by annealed sigmoids (RAP++).

    It minimises sum_q (q(S) - a_q)^2 over relaxed tables S, a_q the noisy answers. The privacy is
    in `PrivacySettings`.

    Attributes:
        rows: Of the relaxed table.
        iterations: Of Adam, shared out over the slopes.
        lr: Its learning rate.
        batch: Iterations in a step of a run.
        copies: Rows drawn from each relaxed row for the answer.
        clip: Noisy answers are clipped to [0, 1] first.
        timed: In a run with a budget of seconds, share the seconds out over the slopes instead,
            and go on until they are used up.
    """

    solves: ClassVar[type[Problem]] = PrivateTable
    name: ClassVar[str] = "rap"

    rows: int = 1000
    iterations: int = 1100
    lr: float = 0.1
    batch: int = 10
    copies: int = 10
    clip: bool = False
    timed: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rows", "iterations", "batch", "copies"):
            whole(name, getattr(self, name), least=1)
        real("lr", self.lr, above=0)

    def init(self, problem: PrivateTable, rng: np.random.Generator) -> RAPState:
        """A random relaxed table. Spends nothing."""
        run = int(rng.integers(2**62))
        warn_not_private(self.noise_seed)
        table = [
            torch.tensor(
                rng.standard_normal((self.rows, size or 1)), dtype=torch.float32, requires_grad=True
            )
            for size in problem.domain.sizes
        ]
        return RAPState(
            table,
            torch.optim.Adam(table, lr=self.lr),
            np.zeros(problem.queries.q),
            run,
            int(rng.integers(2**31)),
        )

    def step(self, problem: PrivateTable, state: RAPState) -> RAPState:
        """Measure if that is still to be done, then `batch` iterations of Adam."""
        if state.rho == 0:
            state.rho = self.rho_total(problem)
            w = problem.queries.w
            found = problem.measure(
                range(w), state.rho / w, Noise(noise_key(self.noise_seed, state.run, 0))
            )
            state.target[found.cells] = (
                np.clip(found.answers, 0.0, 1.0) if self.clip else found.answers
            )
        relaxed = Relaxed(problem)
        target = torch.as_tensor(state.target, dtype=torch.float32)
        for _ in range(min(self.batch, self.iterations - state.steps)):
            slope = 2.0 ** min(int(SLOPES * self._share(state)), SLOPES - 1)
            state.adam.zero_grad()
            loss = ((relaxed(state.table, slope) - target) ** 2).sum()
            loss.backward()
            state.adam.step()
            state.steps += 1
        state.loss.append(float(loss.detach()))
        return state

    def _share(self, state: RAPState) -> float:
        """Return how much of the iterations, or of the run's seconds, is used up."""
        meter = active_meter.get()
        if self.timed and meter is not None and "seconds" in meter.limits:
            return meter.seconds / meter.limits["seconds"]
        return state.steps / self.iterations

    def answer(self, problem: PrivateTable, state: RAPState) -> Synthetic:
        """`copies` rows drawn from each relaxed row; none before anything was measured."""
        copies = self.copies if state.rho else 0
        rng = np.random.default_rng(state.seed)
        columns = []
        for logits, size in zip(state.table, problem.domain.sizes, strict=True):
            if size:
                share = (
                    torch.softmax(logits.detach().double(), dim=1)
                    .numpy()
                    .cumsum(axis=1)
                    .repeat(copies, axis=0)
                )
                columns.append(
                    np.minimum((share < rng.random((len(share), 1))).sum(axis=1), size - 1).astype(
                        float
                    )
                )
            else:
                columns.append(torch.sigmoid(logits.detach().double())[:, 0].numpy().repeat(copies))
        return Synthetic(np.stack(columns, axis=1))

    def done(self, problem: PrivateTable, state: RAPState) -> str | None:
        """After `iterations` iterations."""
        return f"{state.steps} iterations of Adam" if state.steps >= self.iterations else None


class Relaxed:
    """The relaxed answers of a workload: products of softmax probabilities, soft bins and sigmoids,
    averaged over the rows.

    Workloads of one shape are answered together: marginals of the same columns' bins one by one,
    conditions and halfspaces in batches.

    Args:
        problem: The workload's problem; its private rows are not looked at.
    """

    def __init__(self, problem: PrivateTable):
        self.problem = problem
        a = problem.queries.arrays
        counts = np.diff(a.axes.ptr) * 100 + np.diff(a.conditions.ptr)
        plain = (a.planes.of < 0) & (np.diff(a.conditions.ptr) == 0)
        self.marginals = np.flatnonzero(plain).tolist()
        self.prefixes = [
            np.flatnonzero(~plain & (a.planes.of < 0) & (counts == c))
            for c in np.unique(counts[~plain & (a.planes.of < 0)])
        ]
        first = np.where(
            np.diff(a.axes.ptr) > 0,
            np.append(a.axes.col, -1)[np.minimum(a.axes.ptr[:-1], len(a.axes.col))],
            -1,
        )
        self.halves = [
            np.flatnonzero((a.planes.of >= 0) & (first == c))
            for c in np.unique(first[a.planes.of >= 0])
        ]
        self.slope, self.offset = (
            torch.as_tensor(v, dtype=torch.float32) for v in (a.planes.slope, a.planes.offset)
        )

    def __call__(self, table: list[Tensor], slope: float) -> Tensor:
        """Relaxed answers (Q,) of a relaxed table, thresholds as sigmoids of this slope."""
        a, sizes = self.problem.queries.arrays, self.problem.domain.sizes
        soft = [
            torch.softmax(t, dim=1) if size else torch.sigmoid(t)
            for t, size in zip(table, sizes, strict=True)
        ]
        n = len(soft[0])
        out = torch.zeros(self.problem.queries.q)
        bins: dict[tuple[int, int], Tensor] = {}
        for w in self.marginals:
            axes = list(
                zip(
                    a.axes.col[a.axes.ptr[w] : a.axes.ptr[w + 1]].tolist(),
                    a.axes.size[a.axes.ptr[w] : a.axes.ptr[w + 1]].tolist(),
                    strict=True,
                )
            )
            for axis in axes:
                if axis not in bins:
                    bins[axis] = (
                        soft[axis[0]]
                        if sizes[axis[0]]
                        else _soft_bins(soft[axis[0]][:, 0], axis[1], slope)
                    )
            joint = bins[axes[0]]
            for axis in axes[1:-1]:
                joint = (joint[:, :, None] * bins[axis][:, None, :]).reshape(n, -1)
            out[a.base[w] : a.base[w + 1]] = (
                (joint.T @ bins[axes[-1]]).reshape(-1) if len(axes) > 1 else joint.sum(dim=0)
            ) / n
        for group in self.prefixes:
            product: Tensor | None = None
            for k in range(int(a.conditions.ptr[group[0] + 1] - a.conditions.ptr[group[0]])):
                at = a.conditions.ptr[group] + k
                factor = self._conditions(soft, at, slope)
                product = factor if product is None else product * factor
            assert product is not None
            out[torch.as_tensor(a.base[group])] = product.mean(dim=0)
        if len(a.planes.numeric):
            x = torch.cat([soft[j] for j in a.planes.numeric.tolist()], dim=1)
        for group in self.halves:
            h = torch.as_tensor(a.planes.of[group])
            inside = torch.sigmoid(slope * (x @ self.slope[h].T - self.offset[h]))
            w0 = int(group[0])
            if a.axes.ptr[w0 + 1] > a.axes.ptr[w0]:
                answers = soft[int(a.axes.col[a.axes.ptr[w0]])].T @ inside / n
                out[
                    torch.as_tensor(a.base[group])[None, :] + torch.arange(len(answers))[:, None]
                ] = answers
            else:
                out[torch.as_tensor(a.base[group])] = inside.mean(dim=0)
        return out

    def _conditions(self, soft: list[Tensor], at: np.ndarray, slope: float) -> Tensor:
        """Return the relaxed truth (rows, len(at)) of the conditions `at`: x = v of a category,
        x < t of a number.
        """
        a, sizes = self.problem.queries.arrays, self.problem.domain.sizes
        columns = a.conditions.col[at]
        out = torch.zeros(len(soft[0]), len(at))
        for j in np.unique(columns).tolist():
            mine = np.flatnonzero(columns == j)
            if sizes[j]:
                out[:, mine] = soft[j][:, np.round(a.conditions.low[at[mine]] + 0.5).astype(int)]
            else:
                out[:, mine] = torch.sigmoid(
                    slope
                    * (torch.as_tensor(a.conditions.high[at[mine]], dtype=torch.float32) - soft[j])
                )
        return out


def _soft_bins(x: Tensor, bins: int, slope: float) -> Tensor:
    """(rows, bins) relaxed membership in equal bins of [0, 1]."""
    above = torch.sigmoid(slope * (x[:, None] - torch.arange(1, bins) / bins))
    one, zero = torch.ones(len(x), 1), torch.zeros(len(x), 1)
    return torch.cat([one, above], dim=1) - torch.cat([above, zero], dim=1)
