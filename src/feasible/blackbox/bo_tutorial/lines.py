"""The expected maximum of lines, exactly, and the knowledge gradients that are one: discrete KG and
the tutorial's expected improvement with noise.

One observation moves the posterior mean along a line (see `posterior`), so the expected best of
finitely many points after it is the expectation of a maximum of lines a_i + b_i Z.

References:
    P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811), sections 4 and 5;
    P. Frazier, W. Powell, S. Dayanik: The knowledge-gradient policy for correlated normal beliefs
    (2009), for the expectation of a maximum of lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.models.model import Model

from ...core.errors import ArgumentError, NotFinite, ShapeError
from .posterior import Beliefs

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

SCAN_ABOVE = 192
"""Lines above which the envelope of a row is found by a scan, O(n log n), rather than by all pairs
at once.
"""


def log_f(z: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """log F(z), F(z) = phi(z) + z Phi(z) = E[(z + Z)^+], without underflow; with gradients."""
    near = torch.where(z > -1, z, 0.0)
    direct = torch.log(_phi(near) + near * torch.special.ndtr(near))
    far = torch.where(z > -1, -2.0, z)
    middle = torch.where(far > -1e3, far, -2.0)
    ratio = 1 + middle * math.sqrt(math.pi / 2) * torch.special.erfcx(-middle / math.sqrt(2))
    tail = torch.where(
        far > -1e3, torch.log(ratio), -2 * torch.log(-far) + torch.log1p(-3 / far**2)
    )
    return torch.where(z > -1, direct, tail - far**2 / 2 - 0.5 * math.log(2 * math.pi))


def _phi(z: Tensor) -> Tensor:
    """Return the standard normal density."""
    return torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)


def _by_pairs(a: Tensor, b: Tensor) -> Tensor:
    """Return (k, n) True for the lines of the upper envelope; rows sorted by (b, a). O(n^2), over
    all rows at once.
    """
    n = a.shape[1]
    later = torch.ones(n, n, dtype=torch.bool).triu(1)
    over = torch.zeros_like(a, dtype=torch.bool)
    rows = max(1, 2_000_000 // (n * n))
    for at in range(0, len(a), rows):
        part, slope = a[at : at + rows], b[at : at + rows]
        rise = slope[:, None, :] - slope[:, :, None]  # [i, j] = b_j - b_i
        cross = (part[:, :, None] - part[:, None, :]) / rise  # where j overtakes i, for j after i
        equal = rise == 0
        high = torch.where(later, torch.where(equal, -math.inf, cross), math.inf).amin(2)
        low = torch.where(later & ~equal, cross, -math.inf).amax(1)
        over[at : at + rows] = low < high
    return over


def _by_scan(a: list[float], b: list[float]) -> list[int]:
    """Return the indices of the envelope's lines; the lines are sorted by (b, a)."""
    kept: list[int] = []
    start: list[float] = []
    for j in range(len(a)):
        if kept and b[kept[-1]] == b[j]:
            kept.pop()
            start.pop()
        while kept:
            c = (a[kept[-1]] - a[j]) / (b[j] - b[kept[-1]])
            if c > start[-1]:
                break
            kept.pop()
            start.pop()
        start.append(c if kept else -math.inf)
        kept.append(j)
    return kept


def log_gain(a: Float[Tensor, "*k n"], b: Float[Tensor, "*k n"]) -> Float[Tensor, "*k"]:
    """log h(a, b), h = E[max_i a_i + b_i Z] - max_i a_i, exact and differentiable.

    h = sum_i (b_{i+1} - b_i) F(-|c_i|) over the upper envelope, c_i = (a_i - a_{i+1}) / (b_{i+1} -
    b_i) increasing (Frazier, Powell, Dayanik 2009).

    Args:
        a: (*k, n) levels of the lines.
        b: (*k, n) their slopes.

    Returns:
        (*k,), -inf where no line overtakes another.
    """
    shape, n = a.shape[:-1], a.shape[-1]
    a, b = a.reshape(-1, n), b.reshape(-1, n)
    with torch.no_grad():
        first = torch.argsort(a, dim=1, stable=True)
        order = first.gather(1, torch.argsort(b.gather(1, first), dim=1, stable=True))
        sa, sb = a.detach().gather(1, order), b.detach().gather(1, order)
        if n <= SCAN_ABOVE:
            over = _by_pairs(sa, sb)
        else:
            over = torch.zeros_like(sa, dtype=torch.bool)
            for row, (x, y) in enumerate(zip(sa.tolist(), sb.tolist(), strict=True)):
                over[row, _by_scan(x, y)] = True
        place = torch.where(over, torch.arange(n), -1)
        before = torch.cat([torch.full((len(a), 1), -1), place.cummax(1).values[:, :-1]], 1)
        pair = over & (before >= 0)
    sa, sb = a.gather(1, order), b.gather(1, order)
    rise = torch.where(pair, sb - sb.gather(1, before.clamp_min(0)), 1.0)
    c = torch.where(pair, sa.gather(1, before.clamp_min(0)) - sa, 0.0) / rise
    terms = torch.where(pair, torch.log(rise) + log_f(-c.abs()), -math.inf)
    some = pair.any(1)
    return torch.where(
        some, torch.logsumexp(torch.where(some[:, None], terms, 0.0), 1), -math.inf
    ).reshape(shape)


def discrete_kg(a: Any, b: Any) -> float:
    """h(a, b) = E[max_i a_i + b_i Z] - max_i a_i, Z ~ N(0, 1), exactly.

    Args:
        a: (n,) levels of the lines.
        b: (n,) their slopes.

    Raises:
        ShapeError: The two are no vectors of one length.
        NotFinite: An entry is NaN or infinite.

    Examples:
        >>> round(discrete_kg([0, 0], [0, 1]), 7)
        0.3989423

    References:
        arXiv 1807.02811, section 4; Frazier, Powell, Dayanik (2009).
    """
    level, slope = (torch.as_tensor(v, dtype=torch.float64) for v in (a, b))
    if level.ndim != 1 or level.shape != slope.shape or not len(level):
        raise ShapeError(
            f"discrete_kg: a has shape {tuple(level.shape)} and b {tuple(slope.shape)}, expected "
            "two vectors of one length"
        )
    if not (torch.isfinite(level).all() and torch.isfinite(slope).all()):
        raise NotFinite("discrete_kg: a or b holds a NaN or an infinity, expected finite numbers")
    return float(torch.exp(log_gain(level, slope)))


# -- knowledge gradients that are exact on a set ---------------------------------------------------


class LineGain(AcquisitionFunction):  # type: ignore[misc]
    """log (E[max of G_{n+1} over the points and x] - max of G_n over the points), G the posterior
    mean, or a weighted sum of it.

    Args:
        model: A BoTorch model with one output, or its posterior.
        points: (m, d) where the maximum is looked for; the evaluated points give the tutorial's
            noisy EI, a finer set gives discrete KG.
        columns: Columns of x that are replaced by each context in turn (the random environment, the
            target fidelity, or the target task; section 5).
        contexts: (W, c) values of these columns: G(x) = sum_w p(w) mu(x, w).
        weights: (W,) p(w); None: equal.
        own: x itself, once observed, is among the points.
        cost: x (b, d) -> (b,), by which the gain is divided.

    Raises:
        ShapeError: The points or the weights have a wrong shape.
        ArgumentError: One of columns and contexts is given alone.
    """

    def __init__(
        self,
        model: Model | Beliefs,
        points: Float[Tensor, "m d"],
        *,
        columns: list[int] | None = None,
        contexts: Float[Tensor, "W c"] | None = None,
        weights: Float[Tensor, " W"] | None = None,
        own: bool = True,
        cost: Callable[[Tensor], Tensor] | None = None,
    ):
        beliefs = model if isinstance(model, Beliefs) else Beliefs(model)
        super().__init__(beliefs.model)
        if points.ndim != 2 or not len(points):
            raise ShapeError(f"points have shape {tuple(points.shape)}, expected (m, d), m >= 1")
        self.beliefs, self.own, self.cost = beliefs, own, cost
        self.columns = columns or []
        if (contexts is None) != (not self.columns):
            raise ArgumentError("columns and contexts belong together: give both or neither")
        self.contexts = contexts
        w = 1 if contexts is None else len(contexts)
        self.weights = torch.full((w,), 1 / w, dtype=points.dtype) if weights is None else weights
        if self.weights.shape != (w,):
            raise ShapeError(
                f"weights have shape {tuple(self.weights.shape)}, expected ({w},), one for each "
                "context"
            )
        full = self.expand(points).reshape(-1, points.shape[1])
        with torch.no_grad():
            self.a = beliefs.mean(full).reshape(-1, w) @ self.weights
        self.cross = beliefs.line(full)

    def expand(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b W d"]:
        """Each point in every context."""
        if self.contexts is None:
            return x.unsqueeze(1)
        out = x.unsqueeze(1).repeat(1, len(self.contexts), 1)
        out[..., self.columns] = self.contexts.to(out)
        return out

    def forward(self, X: Float[Tensor, "b 1 d"]) -> Float[Tensor, " b"]:
        """The logarithm of the gain at each X."""
        x = X.squeeze(-2)
        cross, var = self.cross(x)
        spread = (var + self.beliefs.noise).clamp_min(1e-18).sqrt()
        b = (cross.reshape(len(x), -1, len(self.weights)) @ self.weights) / spread[:, None]
        a = self.a.expand(len(x), -1)
        ahead = None
        if self.own:
            if self.contexts is None:
                mine, slope = self.beliefs.mean(x), var / spread
            else:
                full = self.expand(x)
                mine = self.beliefs.mean(full) @ self.weights
                slope = (self.beliefs.cov(full, x.unsqueeze(1)).squeeze(-1) @ self.weights) / spread
            ahead = mine - self.a.max()
            a, b = torch.cat([a, mine[:, None]], 1), torch.cat([b, slope[:, None]], 1)
        value = log_gain(a, b)
        if ahead is not None:
            lead = ahead > 0
            value = torch.where(
                lead, torch.logaddexp(value, torch.log(torch.where(lead, ahead, 1.0))), value
            )
        value = value.clamp_min(-1e4)  # a finite floor, so that gradients stay finite
        return value if self.cost is None else value - torch.log(self.cost(x))


def noisy_ei(
    model: Model, X: Float[Tensor, "b d"], points: Float[Tensor, "m d"] | None = None
) -> Float[Tensor, " b"]:
    """The tutorial's expected improvement with noise, E[max_{i <= n+1} mu_{n+1}(x_i)] - max_{i <=
    n} mu_n(x_i), exactly. Without noise it is EI.

    Args:
        model: A BoTorch model with one output, which is maximised.
        X: (b, d) where an observation is considered.
        points: (m, d) the evaluated points; None: the model's training inputs.

    Raises:
        ShapeError: X has another number of columns.

    References:
        arXiv 1807.02811, section 5 (noisy evaluations).
    """
    if points is None:
        points = model.train_inputs[0]
        points = points if points.ndim == 2 else points[0]
    if X.ndim != 2 or X.shape[1] != points.shape[1]:
        raise ShapeError(f"X has shape {tuple(X.shape)}, expected (b, {points.shape[1]})")
    return torch.exp(LineGain(model, points)(X.unsqueeze(1)))


__all__ = ["LineGain", "discrete_kg", "log_f", "log_gain", "noisy_ei"]
