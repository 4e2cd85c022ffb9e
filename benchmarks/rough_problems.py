"""Problems with categories, yes/no limits, failures and uneven noise, whose best values are known.

A seed moves the optimum, the properties of the categories and the regions. `truth` tells of points
(n, d), categories as codes: the objective without noise, limits (<= 0 is allowed; of equalities,
which come last, 0), yes/no limits, whether the evaluation succeeds, and the standard deviation of
the noise. Seeds 0 to 15 are for reports, others for development.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

Truth = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass
class Rough:
    """A problem.

    Attributes:
        name: Of it.
        seed: Of it.
        kinds: "r", "i" or "c" for each input.
        low: (d,) lower bounds.
        high: (d,) upper bounds; of a category the last code.
        truth: See the module.
        limits: Number of limits with values.
        equalities: How many of these are equalities.
        answers: Number of yes/no limits.
        noisy: Whether there is noise.
        budget: Evaluations.
        known_best: The least objective, where random points do not find it.
        told: Of some categories, by place, descriptors (choices, k) that people would know.
    """

    name: str
    seed: int
    kinds: str
    low: np.ndarray
    high: np.ndarray
    truth: Callable[[np.ndarray], Truth]
    limits: int = 0
    answers: int = 0
    noisy: bool = False
    budget: int = 50
    equalities: int = 0
    known_best: float | None = None
    told: dict[int, np.ndarray] = field(default_factory=dict)

    def good(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Objective without noise, and whether a point is allowed and succeeds."""
        f, g, yes, works, _ = self.truth(x)
        free = self.limits - self.equalities
        g = np.concatenate([g[:, :free], np.abs(g[:, free:])], axis=1)
        return f, works & (g <= 1e-6).all(axis=1) & (yes > 0.5).all(axis=1)

    def uniform(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Random points."""
        u = rng.random((n, len(self.kinds)))
        whole = np.array([k != "r" for k in self.kinds])
        levels = np.floor(self.low + u * (self.high - self.low + 1)).clip(self.low, self.high)
        return np.where(whole, levels, self.low + u * (self.high - self.low))

    @cached_property
    def best(self) -> float:
        """The least objective: random points, then shrinking steps about the best 40."""
        if self.known_best is not None:
            return self.known_best
        rng = np.random.default_rng(5)
        x = self.uniform(60_000, rng)
        f, works = self.good(x)
        value = np.where(works, f, np.inf)
        order = np.argsort(value)[:40]
        top, least = x[order], value[order]
        whole = np.array([k != "r" for k in self.kinds])
        for r in range(40):
            y = np.repeat(top, 60, axis=0)
            moves = rng.random(y.shape) < 0.5
            step = 0.2 * 0.72**r * rng.standard_normal(y.shape) * (self.high - self.low)
            near = (y + np.where(moves, step, 0)).clip(self.low, self.high)
            drawn = np.where(rng.random(y.shape) < 0.15, self.uniform(len(y), rng), y)
            y = np.where(whole, drawn, near)
            f, works = self.good(y)
            value = np.where(works, f, np.inf).reshape(len(top), 60)
            j = value.argmin(axis=1)
            rows = np.arange(len(top))
            better = value[rows, j] < least
            top[better] = y.reshape(len(top), 60, -1)[better, j[better]]
            least[better] = value[better, j[better]]
        return float(least.min())

    @cached_property
    def scale(self) -> float:
        """The median of random allowed points, less the best: the unit of regret. Where none is
        allowed, since there is an equality, the size of the best value.
        """
        if self.equalities:
            return abs(self.best)
        f, works = self.good(self.uniform(4096, np.random.default_rng(1)))
        return float(np.median(f[works]) - self.best)


def none(x: np.ndarray) -> np.ndarray:
    """No limits."""
    return np.empty((len(x), 0))


def solvent(seed: int, noise: float = 0.0, spoilt: bool = False) -> Rough:
    """Yield of a reaction: solvent (4), base (3), temperature, log concentration, time. The
    by-product is limited, and the mixture must dissolve. spoilt: in a quarter of the box, hot and
    concentrated, it gels.
    """
    r = np.random.default_rng([11, seed])
    polar, soluble, active, side = (
        r.uniform(*ends, size)
        for ends, size in (((0.2, 0.9), 4), ((0.3, 1), 4), ((0.3, 1), 3), ((0.2, 1), 3))
    )
    pair = 0.25 * r.standard_normal((4, 3))
    hot, middle = r.uniform(0.4, 0.8), r.uniform(0.3, 0.8)
    low, high = np.array([0, 0, 20, -2, 0.5]), np.array([3, 2, 120, 0, 24.0])

    def truth(x: np.ndarray) -> Truth:
        s, b = x[:, 0].astype(int), x[:, 1].astype(int)
        t, c, h = ((x[:, 2:] - low[2:]) / (high[2:] - low[2:])).T
        speed = 3 * (t - hot) + active[b] + pair[s, b] - 3 * (polar[s] - middle) ** 2
        done = 1 - np.exp(-np.exp(speed) * (0.3 + c) * (0.3 + 3 * h))
        lost = 0.6 * side[b] * np.exp(4 * (t - 0.8)) * (0.2 + h) * (0.5 + polar[s])
        waste = lost + 0.25 * c * side[b] * polar[s]
        dissolves = c < soluble[s] * (0.35 + 0.75 * t)
        works = ~((t > 0.5) & (c > 0.5)) if spoilt else np.ones(len(x), dtype=bool)
        sd = np.full(len(x), noise)
        f = -100 * done * np.exp(-2 * lost)
        return f, 10 * (waste - 0.22)[:, None], dissolves[:, None].astype(float), works, sd

    name = "solvent-noisy" if noise else "solvent-gels" if spoilt else "solvent"
    budget = 30 if spoilt else 50
    return Rough(name, seed, "ccrrr", low, high, truth, 1, 1, noise > 0, budget)


def screen(seed: int, useless: bool = False) -> Rough:
    """Yield over 12 solvents, 6 ligands, temperature and concentration. Two measured properties of
    the solvents and one of the ligands, known with some error, matter through smooth functions;
    each solvent has a small effect of its own besides. useless: what is known has nothing to do
    with it.
    """
    r = np.random.default_rng([14, seed])
    polar, donor, bulk = r.uniform(0, 1, 12), r.uniform(0, 1, 12), r.uniform(0, 1, 6)
    at, own = r.uniform(0.2, 0.8, 5), 0.05 * r.standard_normal(12)
    low, high = np.array([0, 0, 20, -2.0]), np.array([11, 5, 120, 0.0])

    def truth(x: np.ndarray) -> Truth:
        s, b = x[:, 0].astype(int), x[:, 1].astype(int)
        t, c = ((x[:, 2:] - low[2:]) / (high[2:] - low[2:])).T
        warm = at[3] + 0.3 * (polar[s] - 0.5)
        f = 2 * (polar[s] - at[0]) ** 2 + (donor[s] - at[1]) ** 2 + 1.5 * (bulk[b] - at[2]) ** 2
        f = f + 2 * (t - warm) ** 2 + (c - at[4]) ** 2 + own[s]
        return f, none(x), none(x), np.ones(len(x), dtype=bool), np.zeros(len(x))

    known = np.random.default_rng([15, seed])
    told = {0: np.column_stack([polar, donor]), 1: bulk[:, None]}
    for j, table in told.items():
        told[j] = known.random(table.shape) if useless else table
        told[j] = told[j] + 0.03 * known.standard_normal(table.shape)
    name = "screen-useless" if useless else "screen"
    return Rough(name, seed, "ccrr", low, high, truth, told=told)


def alloy(seed: int) -> Rough:
    """Two categories (3, 4), two reals, a number of passes (1 to 8). The cost is limited, and a
    phase, a ring in the reals, must form.
    """
    r = np.random.default_rng([12, seed])
    where, lift = r.uniform(0.2, 0.8, (3, 4, 2)), r.uniform(0, 1.2, (3, 4))
    price, centre = r.uniform(0.3, 1, (3, 4)), r.uniform(0.35, 0.65, 2)
    ripple, passes = r.uniform(0, 6.28), r.integers(3, 8, (3, 4))
    low, high = np.array([0, 0, 0, 0, 1.0]), np.array([2, 3, 1, 1, 8.0])

    def truth(x: np.ndarray) -> Truth:
        a, b, n, z = x[:, 0].astype(int), x[:, 1].astype(int), x[:, 4], x[:, 2:4]
        f = lift[a, b] + 4 * ((z - where[a, b]) ** 2).sum(axis=1)
        f = f + 0.15 * np.cos(9 * z[:, 0] + 5 * z[:, 1] + ripple) + 0.04 * (n - passes[a, b]) ** 2
        cost = price[a, b] + 0.06 * n + 0.4 * z[:, 0] - 1.1
        away = np.sqrt(((z - centre) ** 2).sum(axis=1))
        forms = ((away > 0.15) & (away < 0.5))[:, None].astype(float)
        return f, cost[:, None], forms, np.ones(len(x), dtype=bool), np.zeros(len(x))

    return Rough("alloy", seed, "ccrri", low, high, truth, 1, 1)


def coating(seed: int) -> Rough:
    """A category (5), two whole numbers (0 to 10), three reals. The thickness is limited, and a
    yes/no limit keeps a narrow half space: about 5 % of the box are allowed.
    """
    r = np.random.default_rng([13, seed])
    lift, centre = r.uniform(0, 1, 5), r.uniform(0.2, 0.8, (5, 5))
    w, v = r.standard_normal(5), np.abs(r.standard_normal(5))
    w, v = w / np.linalg.norm(w), v / v.sum()
    low, high = np.zeros(6), np.array([4, 10, 10, 1, 1, 1.0])
    u = np.random.default_rng(3).random((20000, 5))
    cut, thick = np.quantile(u @ w, 0.15), np.quantile(u @ v, 0.4)

    def truth(x: np.ndarray) -> Truth:
        k, z = x[:, 0].astype(int), (x / high)[:, 1:]
        gap = z - centre[k]
        f = lift[k] + (np.array([1, 3, 2, 5, 1]) * gap**2).sum(axis=1)
        f = f + 0.5 * gap[:, 2] * gap[:, 3]
        holds = (z @ w < cut)[:, None].astype(float)
        works = np.ones(len(x), dtype=bool)
        return f, 3 * (z @ v - thick)[:, None], holds, works, np.zeros(len(x))

    return Rough("coating", seed, "ciirrr", low, high, truth, 1, 1)


def bowl(r: np.random.Generator, d: int) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """The centre of a rotated bowl of condition 20 with a ripple, and the bowl."""
    q = np.linalg.qr(r.standard_normal((d, d)))[0]
    scale = 20.0 ** (np.arange(d) / max(d - 1, 1))
    c, phase = r.uniform(0.25, 0.75, d), r.uniform(0, 6.28, d)

    def value(z: np.ndarray) -> np.ndarray:
        ripple = 0.1 * np.sin(6 * (z - c) + phase).sum(axis=1)
        return np.asarray(((((z - c) @ q) ** 2) * scale).sum(axis=1) + ripple)

    return c, value


def rare_ball(seed: int) -> Rough:
    """Four reals; yes in a ball of about 3 % of the box."""
    r = np.random.default_rng([21, seed])
    _, value = bowl(r, 4)
    at = r.uniform(0.3, 0.7, 4)

    def truth(x: np.ndarray) -> Truth:
        inside = (np.sqrt(((x - at) ** 2).sum(axis=1)) < 0.28)[:, None].astype(float)
        return value(x), none(x), inside, np.ones(len(x), dtype=bool), np.zeros(len(x))

    return Rough("rare-ball", seed, "rrrr", np.zeros(4), np.ones(4), truth, 0, 1)


def rare_corner(seed: int) -> Rough:
    """Five reals; two yes/no limits, both kept in about 3 % of the box, near one corner."""
    r = np.random.default_rng([22, seed])
    _, value = bowl(r, 5)
    side = r.integers(0, 2, 5)
    a, b = np.abs(r.standard_normal((2, 5))) + 0.2
    u = np.random.default_rng(3).random((20000, 5))
    cut_a, cut_b = np.quantile(u @ a, 0.05), np.quantile(u @ b, 0.18)

    def truth(x: np.ndarray) -> Truth:
        z = np.where(side, 1 - x, x)
        both = np.column_stack([z @ a < cut_a, z @ b < cut_b]).astype(float)
        return value(x), none(x), both, np.ones(len(x), dtype=bool), np.zeros(len(x))

    return Rough("rare-corner", seed, "rrrrr", np.zeros(5), np.ones(5), truth, 0, 2)


def failing(
    name: str, d: int, seed: int, region: Callable[[np.random.Generator, np.ndarray], Callable]
) -> Rough:
    """A bowl of d reals that cannot be evaluated in a region."""
    r = np.random.default_rng([sum(map(ord, name)), seed])
    c, value = bowl(r, d)
    inside = region(r, c)

    def truth(x: np.ndarray) -> Truth:
        return value(x), none(x), none(x), ~inside(x), np.zeros(len(x))

    return Rough(name, seed, "r" * d, np.zeros(d), np.ones(d), truth, budget=60)


def fail_ring(seed: int) -> Rough:
    """Two reals; fails in a ring about the optimum."""
    return failing(
        "fail-ring",
        2,
        seed,
        lambda r, c: lambda x: np.abs(np.sqrt(((x - c) ** 2).sum(axis=1)) - 0.3) < 0.12,
    )


def fail_ball(seed: int) -> Rough:
    """Four reals; fails in a ball that covers the bowl's centre: the optimum is on its edge."""

    def region(r: np.random.Generator, c: np.ndarray) -> Callable:
        at = c + 0.075 * r.standard_normal(4)
        return lambda x: ((x - at) ** 2).sum(axis=1) < 0.45**2

    return failing("fail-ball", 4, seed, region)


def fail_quarter(seed: int) -> Rough:
    """Three reals; fails where the first two are above 0.5: a quarter of the box."""
    problem = failing(
        "fail-quarter", 3, seed, lambda r, c: lambda x: (x[:, 0] > 0.5) & (x[:, 1] > 0.5)
    )
    problem.budget = 30
    return problem


def uneven(seed: int) -> Rough:
    """Four reals; the noise grows along a direction, from 2 % to 60 % of the objective's spread."""
    r = np.random.default_rng([31, seed])
    _, value = bowl(r, 4)
    w = np.abs(r.standard_normal(4))
    w, side = w / w.sum(), r.integers(0, 2, 4)
    spread = value(np.random.default_rng(3).random((4000, 4))).std()

    def truth(x: np.ndarray) -> Truth:
        sd = spread * 0.02 * 30 ** (np.where(side, 1 - x, x) @ w)
        return value(x), none(x), none(x), np.ones(len(x), dtype=bool), sd

    return Rough("uneven", seed, "rrrr", np.zeros(4), np.ones(4), truth, noisy=True, budget=80)


def ring(seed: int, share: float) -> Rough:
    """Three reals; yes in a thin ring of the first two, so large a share of the box."""
    r = np.random.default_rng([23, seed])
    _, value = bowl(r, 3)
    at, radius = r.uniform(0.4, 0.6, 2), r.uniform(0.25, 0.35)
    half = share / (4 * np.pi * radius)

    def truth(x: np.ndarray) -> Truth:
        away = np.sqrt(((x[:, :2] - at) ** 2).sum(axis=1))
        inside = (np.abs(away - radius) < half)[:, None].astype(float)
        return value(x), none(x), inside, np.ones(len(x), dtype=bool), np.zeros(len(x))

    name = f"ring-{100 * share:g}%"
    return Rough(name, seed, "rrr", np.zeros(3), np.ones(3), truth, 0, 1)


def ball(seed: int, share: float) -> Rough:
    """Three reals; yes in a ball, so large a share of the box."""
    r = np.random.default_rng([24, seed])
    _, value = bowl(r, 3)
    at, radius = r.uniform(0.3, 0.7, 3), (3 * share / (4 * np.pi)) ** (1 / 3)

    def truth(x: np.ndarray) -> Truth:
        inside = (((x - at) ** 2).sum(axis=1) < radius**2)[:, None].astype(float)
        return value(x), none(x), inside, np.ones(len(x), dtype=bool), np.zeros(len(x))

    return Rough(f"ball-{100 * share:g}%", seed, "rrr", np.zeros(3), np.ones(3), truth, 0, 1)


def tank(seed: int) -> Rough:
    """A category (3) and two reals, whose volume must be exactly what the material needs: of each
    material the points that are allowed are a curve.
    """
    r = np.random.default_rng([25, seed])
    volume, price = r.uniform(0.15, 0.45, 3), r.uniform(0.5, 1.5, 3)
    low, high = np.array([0, 0.2, 0.2]), np.array([2.0, 1.0, 1.0])

    def truth(x: np.ndarray) -> Truth:
        k, a, b = x[:, 0].astype(int), x[:, 1], x[:, 2]
        f = price[k] * (a * a + 2 * a * b)
        return f, (a * a * b - volume[k])[:, None], none(x), np.ones(len(x), bool), np.zeros(len(x))

    # b = v / a^2 within its bounds; then f = p (a^2 + 2 v / a)
    a = np.linspace(0.2, 1.0, 400_001)
    best = np.inf
    for v, p in zip(volume, price, strict=True):
        b = v / a**2
        f = p * (a * a + 2 * v / a)
        best = min(best, float(f[(b >= 0.2) & (b <= 1.0)].min()))
    return Rough("tank", seed, "crr", low, high, truth, 1, budget=40, equalities=1, known_best=best)


def at_bounds(name: str, number: int) -> Callable[[int], Rough]:
    """A noisy problem of five reals whose optimum is a corner, or lies on bounds; the noise is a
    tenth of the objective's spread.
    """

    def make(seed: int) -> Rough:
        r = np.random.default_rng([32, number, seed])
        corner, w = r.integers(0, 2, 5).astype(float), r.uniform(0.5, 2, 5)
        inside, q = r.uniform(0.3, 0.7, 5), r.standard_normal(5)
        face = np.where(np.arange(5) < 3, corner, inside)

        def value(x: np.ndarray) -> np.ndarray:
            away = np.abs(x - corner)
            bowl_there = (w * away**2).sum(axis=1)
            if name == "corner-linear":
                return (w * away).sum(axis=1)
            if name == "corner-ridge":
                return 5 * ((x - corner) @ q) ** 2 + 0.3 * away.sum(axis=1)
            if name == "corner-log":
                return np.log1p(100 * bowl_there)
            if name == "corner-basins":
                other = 0.15 + 2 * (w * (x - inside) ** 2).sum(axis=1)
                return np.minimum(bowl_there, other)
            return (w * (x - face) ** 2).sum(axis=1)

        spread = value(np.random.default_rng(3).random((4000, 5))).std()

        def truth(x: np.ndarray) -> Truth:
            sd = np.full(len(x), 0.1 * spread)
            return value(x), none(x), none(x), np.ones(len(x), dtype=bool), sd

        low, high = np.zeros(5), np.ones(5)
        return Rough(name, seed, "rrrrr", low, high, truth, noisy=True, budget=100, known_best=0.0)

    return make


AT_BOUNDS = ("face-quadratic", "corner-linear", "corner-ridge", "corner-log", "corner-basins")
SHARES = (0.005, 0.02, 0.06)
KINDS: dict[str, tuple[Callable[[int], Rough], ...]] = {
    "mixed": (solvent, alloy, coating),
    "screening": (screen, partial(screen, useless=True)),
    "yes or no": (rare_ball, rare_corner),
    "failing": (fail_ring, fail_ball),
    "a quarter fails": (partial(solvent, spoilt=True), fail_quarter),
    "rings and balls": tuple(partial(f, share=s) for f in (ring, ball) for s in SHARES),
    "an equality": (tank,),
    "optima at bounds": tuple(at_bounds(name, i) for i, name in enumerate(AT_BOUNDS)),
    "experiments with noise": (partial(solvent, noise=5.0), uneven),
}
