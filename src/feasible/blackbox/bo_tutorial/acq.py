"""Acquisition functions that BoTorch lacks: exact discrete knowledge gradient, the tutorial's noisy
expected improvement, and their kin.

P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811); P. Frazier, W. Powell,
S. Dayanik: The knowledge-gradient
policy for correlated normal beliefs (2009) for the expectation of a maximum of lines.

Everything here MAXIMISES the model's single output and takes a BoTorch `Model`. Observing y at x
moves the posterior mean along a line,

    mu_{n+1}(x') = mu_n(x') + sigma~(x', x) Z,   sigma~(x', x) = S_n(x', x) / sqrt(S_n(x, x) +
    lambda),   Z ~ N(0, 1),

so the expected best of finitely many points after one observation is the expectation of a maximum
of lines a_i + b_i Z.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.models.model import Model
from gpytorch.models import ExactGP
from linear_operator.utils.cholesky import psd_safe_cholesky

from ...core.errors import ArgumentError, NotFinite, ShapeError
from .gp import kernel_of

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

SCAN_ABOVE = 192
"""Lines above which the envelope of a row is found by a scan, O(n log n), rather than by all pairs
at once.
"""


# -- the expected maximum of lines -----------------------------------------------------------------


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
    return torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)


def _by_pairs(a: Tensor, b: Tensor) -> Tensor:
    """(k, n) True for the lines of the upper envelope; rows sorted by (b, a). O(n^2), over all rows
    at once.
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
    """Indices of the envelope's lines; the lines are sorted by (b, a)."""
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
    """log h(a, b), h = E[max_i a_i + b_i Z] - max_i a_i, exact, differentiable, -inf where no line
    overtakes another.

    h = sum_i (b_{i+1} - b_i) F(-|c_i|) over the upper envelope, c_i = (a_i - a_{i+1}) / (b_{i+1} -
    b_i) increasing.
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
    """h(a, b) = E[max_i a_i + b_i Z] - max_i a_i for lines a, b (n,), Z ~ N(0, 1), exactly. Raises
    ShapeError, NotFinite.

    >>> round(discrete_kg([0, 0], [0, 1]), 7)
    0.3989423
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


# -- the posterior: means, and covariances between sets --------------------------------------------


class Beliefs:
    """Posterior of a single-output model: means, variances, and covariances between two sets of
    points.

    An exact GP without transforms is solved once, in closed form; any other model is asked for
    joint posteriors.
    noise: lambda, the variance of an observation about f; read from the model's likelihood unless
      given.
    """

    def __init__(self, model: Model, noise: float | None = None):
        if model.num_outputs != 1:
            raise ShapeError(
                f"model has {model.num_outputs} outputs, expected 1: take model.subset_output([j])"
            )
        self.model = model.eval()
        self.closed = (
            isinstance(model, ExactGP)
            and not getattr(model, "input_transform", None)
            and not getattr(model, "outcome_transform", None)
            and model.train_targets.ndim == 1
            and model.num_outputs == 1
        )
        likelihood = getattr(model, "likelihood", None)
        own = getattr(likelihood, "noise", torch.zeros(1, dtype=torch.float64)).detach()
        self.noise = float(own.detach().mean()) if noise is None else float(noise)
        if self.closed:
            self._kernel = kernel_of(model)
            self.x = model.train_inputs[0]
            with torch.no_grad():
                k = self._kernel(self.x, self.x)
                diagonal = (
                    own.detach().expand(len(self.x))
                    if own.numel() in (1, len(self.x))
                    else own.detach().mean().expand(len(self.x))
                )
                self.l = psd_safe_cholesky(k + torch.diag(diagonal))
                rest = (model.train_targets - model.mean_module(self.x)).unsqueeze(-1)
                self.alpha = torch.cholesky_solve(rest, self.l).squeeze(-1)

    def mean(self, x: Float[Tensor, "*b k d"]) -> Float[Tensor, "*b k"]:
        """mu_n at points."""
        if not self.closed:
            return self.model.posterior(x).mean.squeeze(-1)
        return self.model.mean_module(x) + self._kernel(x, self.x) @ self.alpha

    def _half(self, x: Tensor) -> Tensor:
        """L^{-1} k(X, x), (*b, n, k)."""
        k = self._kernel(self.x, x) if x.ndim == 2 else self._kernel(x, self.x).transpose(-1, -2)
        return torch.linalg.solve_triangular(self.l, k, upper=False)

    def against(self, points: Float[Tensor, "m d"]) -> Callable[[Tensor], Tensor]:
        """x (b, d) -> S_n(x_i, points) (b, m), with the work on the points done once."""
        if not self.closed:
            return lambda x: self.cov(x.unsqueeze(1), points.expand(len(x), *points.shape)).squeeze(
                1
            )
        with torch.no_grad():
            half = self._half(points)
        return lambda x: self._kernel(x, points) - self._half(x).transpose(-1, -2) @ half

    def line(self, points: Float[Tensor, "m d"]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """x (b, d) -> S_n(x_i, points) (b, m) and S_n(x_i, x_i) (b,), from one solve for each x."""
        if not self.closed:
            across = self.against(points)
            return lambda x: (across(x), self.var(x))
        with torch.no_grad():
            fixed = self._half(points)

        def both(x: Tensor) -> tuple[Tensor, Tensor]:
            half = self._half(x)
            prior = self._kernel(x.unsqueeze(1), x.unsqueeze(1)).reshape(len(x))
            return self._kernel(x, points) - half.T @ fixed, (
                prior - half.square().sum(0)
            ).clamp_min(0)

        return both

    def cov(
        self, x: Float[Tensor, "*b k d"], y: Float[Tensor, "*b m d"]
    ) -> Float[Tensor, "*b k m"]:
        """S_n(x_i, y_j), without the noise."""
        if not self.closed:
            k = x.shape[-2]
            joint = self.model.posterior(torch.cat([x, y], -2)).distribution.covariance_matrix
            return joint[..., :k, k:]
        return self._kernel(x, y) - self._half(x).transpose(-1, -2) @ self._half(y)

    def var(self, x: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
        """S_n(x_i, x_i) >= 0, without the noise."""
        if not self.closed:
            return self.model.posterior(x.unsqueeze(1)).variance.reshape(len(x)).clamp_min(0)
        prior = self._kernel(x.unsqueeze(1), x.unsqueeze(1)).reshape(len(x))
        return (prior - self._half(x).square().sum(0)).clamp_min(0)

    def spread(self, x: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
        """sqrt(S_n(x, x) + lambda), the standard deviation of an observation at x."""
        return (self.var(x) + self.noise).clamp_min(1e-18).sqrt()


# -- knowledge gradients that are exact on a set ---------------------------------------------------


class LineGain(AcquisitionFunction):  # type: ignore[misc]
    """log (E[max of G_{n+1} over the points and x] - max of G_n over the points), G the posterior
    mean, or a weighted sum of it.

    points: (m, d) where the maximum is looked for; the evaluated points give the tutorial's noisy
      EI, a finer set gives discrete KG.
    contexts: (W, d) and weights (W,): G(x) = sum_w p(w) mu(x, w); `columns` of x are replaced by
      each context in turn (the random
      environment, the target fidelity, or the target task; section 9).
    own: x itself, once observed, is among the points.  cost: x (b, d) -> (b,), by which the gain is
      divided.
    Raises ShapeError, ArgumentError.
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
    n} mu_n(x_i), exactly.

    points: the evaluated points; absent, the model's training inputs. Without noise it is EI.
      Raises ShapeError.
    """
    if points is None:
        points = model.train_inputs[0]
        points = points if points.ndim == 2 else points[0]
    if X.ndim != 2 or X.shape[1] != points.shape[1]:
        raise ShapeError(f"X has shape {tuple(X.shape)}, expected (b, {points.shape[1]})")
    return torch.exp(LineGain(model, points)(X.unsqueeze(1)))


# -- knowledge gradient by multistart stochastic gradient ascent -----------------------------------


def kg_gradient(
    beliefs: Beliefs, x: Float[Tensor, "r d"], z: Float[Tensor, " r"], best: Float[Tensor, "r d"]
) -> Float[Tensor, "r d"]:
    """d/dx [mu_n(x^) + sigma~(x^, x) z] with x^ = `best` held fixed: the envelope theorem's
    gradient of the sampled KG.
    """
    x = x.detach().clone().requires_grad_(True)
    slope = beliefs.cov(best.unsqueeze(1), x.unsqueeze(1)).reshape(-1) / beliefs.spread(x)
    return torch.autograd.grad((slope * z).sum(), x)[0]


def _inner(
    beliefs: Beliefs,
    x: Tensor,
    z: Tensor,
    points: Tensor,
    mean: Tensor,
    cross: Callable[[Tensor], Tensor],
    low: Tensor,
    high: Tensor,
    generator: torch.Generator,
    rounds: int = 4,
) -> Tensor:
    """(r, d) argmax of mu_{n+1}(. ; x_r, z_r): the best of the points and x, then of clouds about
    it that shrink.
    """
    spread = beliefs.spread(x)
    values = mean + cross(x) / spread[:, None] * z[:, None]
    top, at = values.max(1)
    best = points[at]
    radius = 0.5 / max(len(points), 2) ** (1 / x.shape[1])
    trial = x.unsqueeze(1)
    for _ in range(rounds):
        value = (
            beliefs.mean(trial)
            + beliefs.cov(trial, x.unsqueeze(1)).squeeze(-1) / spread[:, None] * z[:, None]
        )
        more, which = value.max(1)
        better = more > top
        best = torch.where(better[:, None], trial[torch.arange(len(x)), which], best)
        top = torch.where(better, more, top)
        shake = (
            torch.randn(len(x), 12, x.shape[1], generator=generator, dtype=x.dtype)
            * radius
            * (high - low)
        )
        trial = torch.minimum(torch.maximum(best.unsqueeze(1) + shake, low), high)
        radius *= 0.35
    return best


def kg_sga(
    model: Model | Beliefs,
    bounds: Float[Tensor, "2 d"],
    points: Float[Tensor, "m d"],
    *,
    restarts: int = 10,
    steps: int = 100,
    a: float = 4.0,
    samples: int = 1,
    final: int = 1000,
    allowed: Callable[[Tensor], Tensor] | None = None,
    starts: Tensor | None = None,
    score: Callable[[Tensor, Tensor], Tensor] | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Float[Tensor, "r d"], Float[Tensor, " r"]]:
    """Multistart stochastic gradient ascent of the knowledge gradient: x_t = Proj(x_{t-1} + a_t G),
    a_t = a / (a + t).

    points: (m, d) that seed the inner maximisation (evaluated points and a covering set).  The
      steps are taken in the unit cube and
    scaled by the typical size of G, so that a means the same whatever the units of f.  allowed: x
    (r, d) -> (r,) bool; a step that would
    leave the set is not taken.  score(x, kg): what the ends are ranked by.
    Returns the ends (r, d), best first, and their scores (KG by `final` draws of Z, common to all
    ends).
    """
    beliefs = model if isinstance(model, Beliefs) else Beliefs(model)
    generator = generator or torch.Generator().manual_seed(0)
    low, high = bounds
    x = (
        low + (high - low) * torch.rand(restarts, len(low), generator=generator, dtype=low.dtype)
        if starts is None
        else starts.clone()
    )
    size = torch.zeros(len(x), dtype=x.dtype)
    with torch.no_grad():
        mean, cross = beliefs.mean(points), beliefs.against(points)
    for t in range(1, steps + 1):
        z = torch.randn(samples, len(x), generator=generator, dtype=x.dtype)
        g = torch.zeros_like(x)
        for row in z:
            with torch.no_grad():
                best = _inner(beliefs, x, row, points, mean, cross, low, high, generator)
            g = g + kg_gradient(beliefs, x, row, best) / samples
        g = g * (high - low)
        size = 0.9 * size + 0.1 * g.norm(dim=1)
        step = 0.1 * a / (a + t) * g / (size / (1 - 0.9**t)).clamp_min(1e-12)[:, None]
        length = step.norm(dim=1, keepdim=True)
        moved = torch.minimum(
            torch.maximum(x + (high - low) * step * (0.25 / length.clamp_min(0.25)), low), high
        )
        x = moved if allowed is None else torch.where(allowed(moved)[:, None], moved, x)
    with torch.no_grad():
        z = torch.randn(final, generator=generator, dtype=x.dtype)
        spread = beliefs.spread(x)
        everything = torch.cat([points, x])
        level, slope = beliefs.mean(everything), beliefs.against(everything)(x) / spread[:, None]
        kg = torch.stack([(level + s * z[:, None]).amax(1).mean() for s in slope]) - level.max()
        value = kg if score is None else score(x, kg)
        order = torch.argsort(value, descending=True, stable=True)
    return x[order], value[order]


# -- entropy search on a discretisation ------------------------------------------------------------


def entropy_search(
    model: Model | Beliefs,
    points: Float[Tensor, "m d"],
    *,
    samples: int = 256,
    nodes: int = 5,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " m"]:
    """ES_n(x) = H(P(x*)) - E_y[H(P(x* | x, y))] for every x of the points, x* the best of the
    points; in nats.

    P(x*) is the share of `samples` joint posterior draws that each point wins. Conditioning on y
    moves every draw by Matheron's rule,
    f + sigma~(., x) (Z - U), with U the draw's own standardised observation at x; y runs over
    `nodes` Gauss-Hermite values.
    """
    beliefs = model if isinstance(model, Beliefs) else Beliefs(model)
    generator = generator or torch.Generator().manual_seed(0)
    m = len(points)
    with torch.no_grad():
        mean = beliefs.mean(points)
        cov = beliefs.cov(points, points)
        cov = 0.5 * (cov + cov.T)
        root = psd_safe_cholesky(
            cov + 1e-10 * cov.diagonal().mean().clamp_min(1e-12) * torch.eye(m, dtype=cov.dtype)
        )
        f = mean + torch.randn(samples, m, generator=generator, dtype=cov.dtype) @ root.T
        error = beliefs.noise**0.5 * torch.randn(samples, m, generator=generator, dtype=cov.dtype)
        spread = (cov.diagonal().clamp_min(0) + beliefs.noise).clamp_min(1e-18).sqrt()
        u = (f + error - mean) / spread
        z, share = _hermite(nodes, cov.dtype)
        before = _entropy(torch.bincount(f.argmax(1), minlength=m)[None].to(cov.dtype) / samples)[0]
        after = torch.zeros(m, dtype=cov.dtype)
        for j in range(m):
            shift = cov[:, j] / spread[j]
            for zk, pk in zip(z, share, strict=True):
                wins = (
                    torch.bincount((f + (zk - u[:, j])[:, None] * shift).argmax(1), minlength=m).to(
                        cov.dtype
                    )
                    / samples
                )
                after[j] += pk * _entropy(wins[None])[0]
    return before - after


class PredictiveEntropy(AcquisitionFunction):  # type: ignore[misc]
    """log PES_n(x) = log (H(P(y | x)) - E_{x*}[H(P(y | x, x*))]), x* the best point of joint
    posterior draws over `points`.

    Knowing x* is taken as f(x*) >= the best posterior mean of the points and then f(x*) >= f(x),
    each by matching the moments of the
    truncated normal: one pass of expectation propagation.
    """

    def __init__(
        self,
        model: Model | Beliefs,
        points: Float[Tensor, "m d"],
        *,
        samples: int = 16,
        generator: torch.Generator | None = None,
    ):
        beliefs = model if isinstance(model, Beliefs) else Beliefs(model)
        super().__init__(beliefs.model)
        self.beliefs = beliefs
        generator = generator or torch.Generator().manual_seed(0)
        with torch.no_grad():
            mean, cov = beliefs.mean(points), beliefs.cov(points, points)
            root = psd_safe_cholesky(
                0.5 * (cov + cov.T)
                + 1e-8
                * cov.diagonal().mean().clamp_min(1e-12)
                * torch.eye(len(points), dtype=cov.dtype)
            )
            which = (
                mean
                + torch.randn(samples, len(points), generator=generator, dtype=cov.dtype) @ root.T
            ).argmax(1)
            self.top = points[which]
            sd = beliefs.var(self.top).clamp_min(1e-12).sqrt()
            shift, shrink = _truncated((mean[which] - mean.max()) / sd)
            self.mean, self.sd, self.shrink = mean[which] + sd * shift, sd, shrink
            self.step = sd * shift
        self.cross = beliefs.against(self.top)

    def forward(self, X: Float[Tensor, "b 1 d"]) -> Float[Tensor, " b"]:
        """The logarithm of the information, at least log 1e-12."""
        x = X.squeeze(-2)
        var = self.beliefs.var(x).clamp_min(1e-12)
        slope = self.cross(x) / self.sd**2  # (b, s): f(x) on f(x*)
        mean = self.beliefs.mean(x)[:, None] + slope * self.step
        left = (var[:, None] - slope**2 * self.sd**2 * (1 - self.shrink)).clamp_min(1e-12)
        star = self.sd**2 * self.shrink
        both = slope * star
        gap = (star + left - 2 * both).clamp_min(1e-10)
        _, keep = _truncated((self.mean - mean) / gap.sqrt())
        after = (left - (both - left) ** 2 / gap * (1 - keep)).clamp_min(1e-12)
        noise = self.beliefs.noise + 1e-9
        return torch.log(
            (0.5 * (torch.log(var + noise)[:, None] - torch.log(after + noise)).mean(1)).clamp_min(
                1e-12
            )
        )


def _truncated(beta: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and variance, of a standard normal Z given Z > -beta."""
    ratio = torch.exp(-0.5 * beta**2 - 0.5 * math.log(2 * math.pi) - torch.special.log_ndtr(beta))
    return ratio, (1 - ratio * (ratio + beta)).clamp(1e-9, 1.0)


def _hermite(nodes: int, dtype: Any) -> tuple[Tensor, Tensor]:
    import numpy as np

    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    return torch.as_tensor(z, dtype=dtype), torch.as_tensor(w / w.sum(), dtype=dtype)


def _entropy(p: Tensor) -> Tensor:
    return torch.special.entr(p).sum(-1)


__all__ = [
    "Beliefs",
    "LineGain",
    "PredictiveEntropy",
    "discrete_kg",
    "entropy_search",
    "kg_gradient",
    "kg_sga",
    "log_f",
    "log_gain",
    "noisy_ei",
]
