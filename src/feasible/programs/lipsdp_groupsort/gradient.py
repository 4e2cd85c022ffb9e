"""A gradient method for wide networks: minimise log rho over the multipliers, in torch.

With X_l the quadratic form of all that comes after layer l, x_{l+1} = F x_l + J d_l, F = H + G A W,
J = G B, and Lambda = Diag(lambda_l),

    X_{l-1} = F' X_l F + W' (C' Lambda C + K' Gamma K) W + Y' (Lambda + Gamma' - J' X_l J)^{-1} Y,

where lambda_l is softplus of a parameter times |J' X_l J|, raised until the inverse exists with a
margin. Every iterate is a certificate. Nothing larger than a layer is factored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...core.errors import WrongProblem
from .certify import certified
from .lmi import LMI, ScaledNetwork, scaled
from .networks import DEQ, Network
from .settings import LipschitzSettings

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

SMOOTH = 4.0
"""Exponent of the smoothed eigenvalue, times the root of the margin."""
MARGIN = (1e-1, 1e-4)
"""Of the inverse, relative, from the first step to the last."""


@dataclass(slots=True)
class GradientState:
    """Where the iteration stands.

    Attributes:
        free: (p,) parameters: of lambda, of gamma, then for linf of t and mu.
        first: (p,) Adam's mean of gradients.
        second: (p,) Adam's mean of squared gradients.
        best: (p,) certified multipliers of the least objective.
        steps: Steps so far.
        status: Why it is over; empty before.
    """

    free: Float[np.ndarray, " p"]
    first: Float[np.ndarray, " p"]
    second: Float[np.ndarray, " p"]
    best: Float[np.ndarray, " p"]
    steps: int = 0
    status: str = ""


class Recursion:
    """The recursion of a network, as a differentiable function of the parameters.

    Args:
        net: The network, of layers.
        lmi: Its inequality.
        form: Its form.

    Raises:
        WrongProblem: An implicit network.
    """

    def __init__(self, net: Network | DEQ, lmi: LMI, form: str) -> None:
        if isinstance(net, DEQ):
            raise WrongProblem("solver='gradient' needs a network of layers; newton takes a DEQ")
        given: ScaledNetwork = scaled(net, lmi.norm, form)
        self.lmi = lmi
        self.out = torch.from_numpy(np.ascontiguousarray(given.W_out))
        self.layers = []
        for layer in given.layers:
            G = np.eye(len(layer.W)) if layer.G is None else layer.G
            F = G @ layer.split.A @ layer.W
            F = F if layer.H is None else F + layer.H
            arrays = (
                F,
                G @ layer.split.B,
                layer.split.C @ layer.W,
                layer.K @ layer.W,
                layer.K @ layer.split.A @ layer.W,
                layer.K @ layer.split.B,
            )
            tensors = [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]
            groups = torch.from_numpy(layer.split.groups)
            self.layers.append((*tensors, groups, torch.from_numpy(layer.kept_of)))

    def start(self) -> Float[np.ndarray, " p"]:
        """Return parameters of lambda = |J' X J| and gamma = 0."""
        s, head = self.lmi.system, self.lmi.head if self.lmi.norm == "linf" else 0
        return np.concatenate([np.full(s.n_groups, 0.54), np.zeros(s.n_kept + head)])

    def __call__(self, free: Tensor, margin: float) -> tuple[Tensor, Tensor]:
        """Return half the log of rho (or the log of the value), and theta."""
        s, linf = self.lmi.system, self.lmi.norm == "linf"
        logs, n_out = free[s.n_groups + s.n_kept :], len(self.out)
        mu = torch.exp(logs[s.n_x :]) if linf else torch.ones(n_out, dtype=free.dtype)
        X = self.out.T @ (self.out / mu[:, None])
        lams, gammas = [], []
        a, c = s.n_groups, s.n_groups + s.n_kept
        for (F, J, CW, before, across, after, groups, kept), many in zip(
            reversed(self.layers), reversed(s.layer_groups), strict=True
        ):
            r = int(kept.max()) + 1 if len(kept) else 0
            inner = J.T @ X @ J
            size = torch.linalg.matrix_norm(X, 2).detach() + 1e-12
            gamma = free[c - r : c] * size
            lam = torch.nn.functional.softplus(free[a - many : a]) * size
            D = torch.diag(lam[groups]) - inner
            Q = F.T @ X @ F
            Y = J.T @ X @ F
            if r:
                weighed = gamma[kept][:, None]
                D = D + after.T @ (weighed * after)
                Q = Q + before.T @ (weighed * before) - across.T @ (weighed * across)
                Y = Y - after.T @ (weighed * across)
            if len(D):
                low = torch.linalg.eigvalsh(D)[0]
                raised = torch.relu(-low) + margin * size
                lam = lam + raised
                D = D + raised * torch.eye(len(D), dtype=D.dtype)
                Q = Q + CW.T @ (lam[groups][:, None] * CW)
                Q = Q + Y.T @ torch.linalg.solve(D, Y)
            X = (Q + Q.T) / 2
            lams.append(lam)
            gammas.append(gamma)
            a, c = a - many, c - r
        rest = [*reversed(lams), *reversed(gammas)]
        if not linf:
            value, rho = smooth(X, margin)
            return value / 2, torch.cat([rho[None], *rest])
        t = torch.exp(logs[: s.n_x])
        root = torch.sqrt(t)
        value, grown = smooth(X / root / root[:, None], margin)
        value = (value + torch.log(t.sum() * mu.sum())) / 2
        return value, torch.cat([grown * t, mu, *rest])

    def begin(self) -> GradientState:
        """Return a start; factors every layer once."""
        free = self.start()
        with torch.no_grad():
            theta = self(torch.from_numpy(free), 1.0)[1].numpy()
        best = certified(self.lmi, theta)
        assert best is not None
        return GradientState(free, np.zeros_like(free), np.zeros_like(free), best)

    def advance(self, settings: LipschitzSettings, state: GradientState) -> None:
        """Make one step of Adam; keep the multipliers where the bound is the least."""
        share = min(state.steps / settings.steps, 1.0)
        margin = MARGIN[0] ** (1 - share) * MARGIN[1] ** share
        free = torch.from_numpy(state.free.copy()).requires_grad_()
        value, theta = self(free, margin)
        lmi = self.lmi
        found = theta.detach().numpy()
        if np.isfinite(found).all() and lmi.cost @ found < lmi.cost @ state.best:
            state.best = found.copy()
        state.steps += 1
        if len(free):
            (gradient,) = torch.autograd.grad(value, free)
            g = np.nan_to_num(gradient.numpy())
            g = g / max(1.0, float(np.linalg.norm(g)))
            state.first = 0.9 * state.first + 0.1 * g
            state.second = 0.999 * state.second + 0.001 * g**2
            mean = state.first / (1 - 0.9**state.steps)
            square = state.second / (1 - 0.999**state.steps)
            rate = settings.rate * (1 + np.cos(np.pi * share)) / 2
            state.free = state.free - rate * mean / (np.sqrt(square) + 1e-12)
        if state.steps >= settings.steps or not len(free):
            state.status = "steps"


def smooth(X: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Return a smooth log of the largest eigenvalue, log (sum e^p) / p with p = 4 / sqrt(margin),
    and that eigenvalue.
    """
    e = torch.linalg.eigvalsh(X).clamp_min(1e-300)
    p = SMOOTH * margin**-0.5
    return torch.logsumexp(p * torch.log(e), 0) / p, e[-1]
