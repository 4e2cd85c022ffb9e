"""The acquisition of CCBO: constrained, composite expected improvement of a batch, chosen one point
after the other.

    a(X) = mean_s max_k  w_s(x_k) max(u_s(x_k) - u*, 0),    u_s(x) = -(h_s(x) - t)^2   (composite)
    or   u_s(x) = h_s(x)   (plain)

over joint Sobol-normal samples h_s of the model at the batch and at all points whose results are
still out, with the weight w = P(feasible) ("soft"; eta None), or sigmoid(-g_s / eta) with
g_s = log(1 - p_s) - log p_s, p_s = Phi(f_s) ("sampled"). What is maximised is log a with max(., 0)
replaced by a smooth function with a fat tail, so that there is a slope everywhere.

References:
    arXiv 2411.10471, section 2; S. Ament et al., Unexpected improvements to expected improvement
    for Bayesian optimization (NeurIPS 2023).
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import ndtri
from scipy.stats import qmc

from .models import Latent

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor

    from ..space import Known, Space

TAU = 1e-2
"""Width of the smooth max(., 0), in units of the largest improvement there can be (composite) or of
one standard deviation (plain).
"""
TAU_MAX = 0.1
"""Width of the smooth maximum over the points of a batch, on the log scale."""
MOST_COMBINATIONS = 64
"""Combinations of categories that one proposal looks at; where there are more, a random choice of
them.
"""
MOST_STARTS = 32
"""Starting points of one proposal's local search, over all combinations of categories."""


def sobol(d: int, seed: Sequence[int]) -> Callable[[int], Float[np.ndarray, "n d"]]:
    """A scrambled Sobol sequence in [0, 1)^d as a function of how many points come next."""
    engine = qmc.Sobol(d, rng=np.random.default_rng(list(seed)))

    def following(n: int) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # n need not be a power of two
            return np.asarray(engine.random(n))

    return following


def normal_samples(s: int, q: int, seed: Sequence[int]) -> Float[Tensor, "s q"]:
    """Sobol points through the normal quantile function."""
    return torch.from_numpy(ndtri(np.clip(sobol(q, seed)(s), 1e-10, 1 - 1e-10)))


def log_positive(z: Tensor) -> Tensor:
    """log of a smooth max(z, 0): softplus of width TAU, and a tail that falls as 1 / z^2."""
    r = z / TAU
    return (TAU * (torch.nn.functional.softplus(r) + 0.1 / (1 + r.square()))).log()


def feasible_log_weight(f: Tensor, eta: float) -> Tensor:
    """log sigmoid(-g / eta), g = log(1 - p + 1e-8) - log(p + 1e-8), p = Phi(f): p itself at eta =
    1, 1[f > 0] as eta -> 0.
    """
    p = torch.special.ndtr(f)
    return torch.nn.functional.logsigmoid(-((1 - p + 1e-8).log() - (p + 1e-8).log()) / eta)


def log_probability(latent: Latent, x: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
    """(b,) log P(feasible) = log Phi(mu / sqrt(1 + sd^2))."""
    mean, variance = latent.marginal(x)
    return torch.special.log_ndtr(mean / (1 + variance).sqrt())


@dataclass(slots=True)
class Joint:
    """Joint samples of a latent function at points that are fixed one after the other, and at one
    that moves.

    Attributes:
        latent: The function.
        eps: (s, q) base samples, a column for each point.
        x: (p, d) the fixed points.
        a: (p, n) their rows a(x), see `Latent`.
        factor: (p, p) Cholesky factor of their covariance.
    """

    latent: Latent
    eps: Float[Tensor, "s q"]
    x: Float[Tensor, "p d"]
    a: Float[Tensor, "p n"]
    factor: Float[Tensor, "p p"]

    @classmethod
    def of(cls, latent: Latent, eps: Float[Tensor, "s q"]) -> Joint:
        """No point is fixed yet."""
        empty = torch.empty
        kind = eps.dtype
        return cls(
            latent,
            eps,
            empty((0, latent.x.shape[1]), dtype=kind),
            empty((0, len(latent.x)), dtype=kind),
            empty((0, 0), dtype=kind),
        )

    def _parts(self, x: Float[Tensor, "b d"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return means, rows a(x), regressions on the fixed points, and deviations given them."""
        mean, a = self.latent.project(x)
        variance = self.latent.variances(a)
        cross = self.latent.covariance(self.x, self.a, x, a)
        w = torch.linalg.solve_triangular(self.factor, cross, upper=False)
        return (
            mean,
            a,
            w,
            (variance - w.square().sum(0))
            .clamp_min(1e-10 * self.latent.kernel.variance(self.latent.theta))
            .sqrt(),
        )

    def samples(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "s b"]:
        """(s, b) samples at each x, jointly with the fixed points (not with each other)."""
        p = len(self.x)
        mean, _, w, sd = self._parts(x)
        return mean + self.eps[:, :p] @ w + sd * self.eps[:, p : p + 1]

    def fix(self, x: Float[Tensor, "1 d"]) -> None:
        """One point more is fixed."""
        _, a, w, sd = self._parts(x)
        p = len(self.x)
        factor = torch.zeros((p + 1, p + 1), dtype=x.dtype)
        factor[:p, :p], factor[p, :p], factor[p, p] = self.factor, w[:, 0], sd[0]
        self.x, self.a, self.factor = torch.cat([self.x, x]), torch.cat([self.a, a]), factor


@dataclass(slots=True)
class Acquisition:
    """What a further point is worth, given the points that are fixed.

    Attributes:
        objective: Samples of the modelled value, standardised; None where nothing was measured.
        target: t in the same unit, or None for u = h.
        best: u*, or None while nothing is feasible: then the probability of feasibility is
            maximised.
        scale: The unit of an improvement.
        feasibility: Samples of the classifier, or None where it is not used.
        eta: None for the soft weight.
        held: (s,) log of the largest improvement among the fixed points.
        held_exact: (s,) that improvement itself, not smoothed.
    """

    objective: Joint | None
    target: float | None
    best: float | None
    scale: float
    feasibility: Joint | None
    eta: float | None = None
    held: Tensor = field(default_factory=lambda: torch.tensor(-math.inf, dtype=torch.float64))
    held_exact: Tensor = field(default_factory=lambda: torch.tensor(0.0, dtype=torch.float64))

    def utility(self, h: Tensor) -> Tensor:
        """u of samples of the model."""
        return h if self.target is None else -(h - self.target).square()

    def _gains(self, x: Float[Tensor, "b d"]) -> tuple[Tensor, Tensor]:
        """Return (s, b) improvements over u* in units of `scale`, and logs of their weights, which
        broadcast against them.
        """
        if self.objective is None or self.best is None:
            gain = torch.ones((1, 1), dtype=x.dtype)
            weight = (
                gain.log()
                if self.feasibility is None
                else torch.special.log_ndtr(self.feasibility.samples(x))
            )
            return gain, weight
        gain = (self.utility(self.objective.samples(x)) - self.best) / self.scale
        if self.feasibility is None:
            return gain, torch.zeros((), dtype=x.dtype)
        if self.eta is None:
            return gain, log_probability(self.feasibility.latent, x)
        return gain, feasible_log_weight(self.feasibility.samples(x), self.eta)

    def log_value(self, x: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
        """(b,) the smooth log a of the fixed points and each x."""
        gain, weight = self._gains(x)
        log_gain = (log_positive(gain) + weight).expand(-1, len(x))
        both = TAU_MAX * torch.logaddexp(self.held[..., None] / TAU_MAX, log_gain / TAU_MAX)
        return torch.logsumexp(both, 0) - math.log(len(both))

    def value(self, x: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
        """(b,) a itself, in units of `scale`."""
        gain, weight = self._gains(x)
        return (
            torch.maximum(self.held_exact[..., None], gain.clamp_min(0) * weight.exp())
            .mean(0)
            .expand(len(x))
        )

    def fix(self, x: Float[Tensor, "1 d"]) -> None:
        """A point whose result is out joins the batch."""
        with torch.no_grad():
            gain, weight = self._gains(x)
            log_gain = (log_positive(gain) + weight)[:, 0]
            self.held = TAU_MAX * torch.logaddexp(self.held / TAU_MAX, log_gain / TAU_MAX)
            self.held_exact = torch.maximum(
                self.held_exact, (gain.clamp_min(0) * weight.exp())[:, 0]
            )
            for joint in (self.objective, self.feasibility):
                if joint is not None:
                    joint.fix(x)


# -- where it is largest ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Region:
    """Where proposals may lie.

    Attributes:
        space: The box.
        known: Constraints on the inputs alone.
        taken: Bytes of points that must not be proposed again.
    """

    space: Space
    known: Known | None
    taken: set[bytes]

    def free(self, x: Float[np.ndarray, "n d"]) -> np.ndarray:
        """(n,) True where a point is allowed and not taken."""
        fine = np.array([key_of(row) not in self.taken for row in x], dtype=bool)
        if self.known is not None and len(x):
            fine &= self.known(x)
        return fine

    def at(self, u: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Points of the box at coordinates of the unit cube, the inverse of `space.unit`; whole
        numbers are rounded.
        """
        low, high, space = self.space.low.copy(), self.space.high.copy(), self.space
        logs = [j for j, v in enumerate(space.variables) if v.log]
        low[logs], high[logs] = np.log(low[logs]), np.log(high[logs])
        x = low + u * (high - low)
        x[:, logs] = np.exp(x[:, logs])
        return space.snap(x)

    def raw(self, n: int, seed: Sequence[int]) -> Float[np.ndarray, "m d"]:
        """Sobol points that are free.

        Args:
            n: About how many for every combination of categories.
            seed: Of the sequence.
        """
        space = self.space
        cats = [j for j, v in enumerate(space.variables) if v.choices]
        draw = sobol(space.d, seed)
        sizes = [len(space.variables[j].choices) for j in cats]
        rng = np.random.default_rng([*seed, 1])
        if math.prod(sizes) <= MOST_COMBINATIONS:
            combinations = list(itertools.product(*(range(k) for k in sizes)))
        else:
            combinations = [
                tuple(int(rng.integers(k)) for k in sizes) for _ in range(MOST_COMBINATIONS)
            ]
        points = []
        for combination in combinations:
            x = np.array(space.sample(draw(n)))
            x[:, cats] = combination
            points.append(x)
        x = (
            np.unique(np.concatenate(points), axis=0)
            if space.integer.all()
            else np.concatenate(points)
        )
        return x[self.free(x)]


def key_of(row: Float[np.ndarray, " d"]) -> bytes:
    """The bytes of a point, -0.0 as 0.0."""
    return (row + 0.0).tobytes()


def maximise(
    a: Acquisition,
    region: Region,
    *,
    restarts: int,
    raw_samples: int,
    maxiter: int,
    seed: Sequence[int],
) -> np.ndarray | None:
    """The free point with the largest log a found: raw samples, then L-BFGS-B from the best of each
    combination of categories.

    Categories stay as they are in a start, whole numbers are rounded at the end, and a path that
    leaves the known constraints is followed as far as halving finds it free.

    Args:
        a: The acquisition.
        region: Where proposals may lie.
        restarts: Starts for every combination of categories.
        raw_samples: Points among which these are chosen.
        maxiter: Iterations of the optimiser.
        seed: Of the raw samples.

    Returns:
        (d,) the point; None where no raw sample is free.
    """
    space = region.space
    x = region.raw(raw_samples, seed)
    if not len(x):
        return None
    u = space.unit(x)
    with torch.no_grad():
        scores = a.log_value(torch.from_numpy(u)).numpy()
    order = np.argsort(-scores, kind="stable")
    cats = [j for j, v in enumerate(space.variables) if v.choices]
    counts: dict[bytes, int] = {}
    starts: list[int] = []
    for i in order.tolist():
        place = x[i, cats].tobytes()
        if counts.get(place, 0) < restarts and len(starts) < MOST_STARTS:
            counts[place] = counts.get(place, 0) + 1
            starts.append(i)
    free = [j for j in range(space.d) if j not in cats and space.high[j] > space.low[j]]
    begin = u[starts]
    ends = _climb(a, begin, free, maxiter) if free else begin
    paths = [x[order[:1]], x[starts]]
    left = np.arange(len(starts))
    step = 1.0
    for _ in range(6):
        tried = region.at(begin[left] + step * (ends[left] - begin[left]))
        good = region.free(tried)
        paths.append(tried[good])
        left = left[~good]
        step /= 2
        if not len(left):
            break
    candidates = np.concatenate(paths)
    with torch.no_grad():
        values = a.log_value(torch.from_numpy(space.unit(candidates))).numpy()
    return candidates[int(np.argmax(np.where(np.isnan(values), -np.inf, values)))]


def _climb(
    a: Acquisition, begin: Float[np.ndarray, "r d"], free: list[int], maxiter: int
) -> Float[np.ndarray, "r d"]:
    """Return the ends of all starts at once: the sum of log a over them, by one L-BFGS-B in the
    free coordinates.
    """
    fixed = torch.from_numpy(begin)
    shape = (len(begin), len(free))

    def value(p: np.ndarray) -> tuple[float, np.ndarray]:
        moving = torch.from_numpy(p.reshape(shape).copy()).requires_grad_()
        u = fixed.clone()
        u[:, free] = moving
        total = -a.log_value(u).sum()
        (g,) = torch.autograd.grad(total, moving)
        f, slope = float(total.detach()), g.numpy().ravel()
        return (
            (f, slope)
            if math.isfinite(f) and np.isfinite(slope).all()
            else (1e10, np.zeros_like(p))
        )

    found = minimize(
        value,
        begin[:, free].ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * math.prod(shape),
        options={"maxiter": maxiter, "maxfun": 2 * maxiter, "ftol": 1e-5},
    )
    out = begin.copy()
    out[:, free] = np.clip(found.x.reshape(shape), 0.0, 1.0)
    return out
