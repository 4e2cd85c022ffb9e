"""The nonlinear score: one network with one hidden layer for each variable.

    x_j ~ f_j(x) = sum_h B_jh sigmoid(A_jh . x),    W_ij = ||A_j[:, i]||_2
    Q = 1/(2 n) sum ||X - f(X)||^2 + l2/2 ||(A, B)||^2 + l1 ||A||_1        ("l2")
    Q = d/2 log(1/n sum ||X - f(X)||^2) + the same penalties               ("logl2")

An order fixes the columns of A_j at 0 that belong to variables not before j. After an exchange only
the networks of the positions between are trained again, from where they were; the first exchange
that lowers Q is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ...core.budget import spend
from .search import Fit, Model, better, exchanged
from .settings import TopoSettings

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

CHECK = {"lbfgs": 8, "adam": 50}
"""Steps between two looks at the loss."""


def edges_of(order: Int[np.ndarray, " d"]) -> Bool[np.ndarray, "d d"]:
    """Every edge that goes along an order."""
    place = np.argsort(order)
    along: Bool[np.ndarray, "d d"] = place[:, None] < place[None, :]
    return along


def _mask(edges: Bool[np.ndarray, "d d"]) -> torch.Tensor:
    """(d, 1, d): 1 where an input may enter a variable's network."""
    return torch.from_numpy(edges.T.astype(float))[:, None, :]


class NeuralModel(Model):
    """One network a variable.

    Args:
        x: (n, d) data.
        settings: Widths, penalties and training.
        seed: Of the networks' first parameters.
    """

    def __init__(self, x: Float[np.ndarray, "n d"], settings: TopoSettings, seed: int = 0) -> None:
        self.x = torch.tensor(x, dtype=torch.float64)
        self.n, self.d = x.shape
        self.settings, self.seed = settings, seed

    def fit(self, order: Int[np.ndarray, " d"]) -> Fit:
        """Train all networks from random parameters; one evaluation."""
        spend(evaluations=1)
        return self.trained(edges_of(order), order)

    def trained(self, edges: Bool[np.ndarray, "d d"], order: Int[np.ndarray, " d"]) -> Fit:
        """The same for the edges that may be there, uncharged."""
        m, d = self.settings.hidden, self.d
        rng = np.random.default_rng(self.seed)
        hidden = torch.from_numpy(rng.uniform(-1, 1, (d, m, d)) / np.sqrt(d))
        outer = torch.from_numpy(rng.uniform(-1, 1, (d, m)) / np.sqrt(m))
        hidden, outer = self._train(edges, np.arange(d), hidden, outer)
        return self.scored(edges, order, hidden, outer)

    def _terms(
        self, nodes: torch.Tensor, hidden: torch.Tensor, outer: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(k,) mean squared residuals of some variables, and their penalties."""
        inside = torch.sigmoid(torch.einsum("ni,kmi->nkm", self.x, hidden))
        rest = self.x[:, nodes] - torch.einsum("nkm,km->nk", inside, outer)
        s = self.settings
        squares = (hidden**2).sum((1, 2)) + (outer**2).sum(1)
        return (rest**2).mean(0), 0.5 * s.l2 * squares + s.penalty * hidden.abs().sum((1, 2))

    def _loss(self, squares: torch.Tensor, penalties: torch.Tensor, frozen: float) -> torch.Tensor:
        """Q, up to the penalties of what is frozen, whose squared residuals sum to `frozen`."""
        total = squares.sum() + frozen
        data = 0.5 * total if self.settings.loss == "l2" else 0.5 * self.d * torch.log(total)
        return data + penalties.sum()

    def _train(
        self,
        edges: Bool[np.ndarray, "d d"],
        nodes: Int[np.ndarray, " k"],
        hidden: torch.Tensor,
        outer: torch.Tensor,
        frozen: float = 0.0,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Train the networks of some variables; returns all parameters anew."""
        s = self.settings
        chosen = torch.from_numpy(nodes)
        mask = _mask(edges)[chosen]
        a = (hidden[chosen] * mask).clone().requires_grad_()
        b = outer[chosen].clone().requires_grad_()
        check, rate = CHECK[s.optimizer], s.rate
        optimizer: torch.optim.Optimizer
        if s.optimizer == "lbfgs":
            optimizer = torch.optim.LBFGS(
                [a, b], lr=rate or 1.0, max_iter=check, line_search_fn="strong_wolfe"
            )
        else:
            optimizer = torch.optim.Adam([a, b], lr=rate or 0.01, betas=(0.99, 0.999))

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = self._loss(*self._terms(chosen, a * mask, b), frozen)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        before = np.inf
        for done in range(0, s.train_steps, check):
            if s.optimizer == "lbfgs":
                loss = float(optimizer.step(closure).detach())
            else:
                for k in range(done, min(done + check, s.train_steps)):
                    if k and k % 500 == 0:
                        optimizer.param_groups[0]["lr"] *= 0.8
                    loss = float(optimizer.step(closure).detach())
            if not np.isfinite(loss) or before - loss <= s.tol * abs(loss):
                break
            before = loss
        hidden, outer = hidden.clone(), outer.clone()
        hidden[chosen], outer[chosen] = (a * mask).detach(), b.detach()
        return hidden, outer

    def scored(
        self,
        edges: Bool[np.ndarray, "d d"],
        order: Int[np.ndarray, " d"],
        hidden: torch.Tensor,
        outer: torch.Tensor,
    ) -> Fit:
        """The score and the weights of given networks, columns without an edge set to 0; a NaN is
        an infinite score.
        """
        hidden = hidden * _mask(edges)
        with torch.no_grad():
            squares, penalties = self._terms(torch.arange(self.d), hidden, outer)
            score = float(self._loss(squares, penalties, 0.0))
        weights = hidden.norm(dim=1).T.numpy().copy()
        parameters = {
            "hidden": hidden.numpy(),
            "outer": outer.numpy(),
            "squares": squares.numpy(),
        }
        return Fit(order.copy(), score if np.isfinite(score) else np.inf, weights, parameters)

    def improve(
        self, fit: Fit, first: Int[np.ndarray, " p"], second: Int[np.ndarray, " p"]
    ) -> tuple[Fit, int] | None:
        """Make the first exchange that lowers the score; an evaluation for each that is tried."""
        hidden = torch.from_numpy(fit.parameters["hidden"])
        outer = torch.from_numpy(fit.parameters["outer"])
        squares = fit.parameters["squares"]
        for a, b in zip(first, second, strict=True):
            spend(evaluations=1)
            order = exchanged(fit.order, np.array([[a, b]]))
            edges, nodes = edges_of(order), np.sort(order[a : b + 1])
            frozen = float(squares.sum() - squares[nodes].sum())
            trained = self._train(edges, nodes, hidden, outer, frozen)
            found = self.scored(edges, order, *trained)
            if better(found.score, fit.score):
                return found, 1
        return None
