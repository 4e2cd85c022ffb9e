"""Our CBO against `cbx`, called directly, at the same parameters and the same number of
evaluations: without bounds, and in a box with the minimum in its middle, near its walls (2 % of its
width from one in every coordinate), in a corner, and on an edge (half of the coordinates).

cbx knows no box: "stray" evaluates its particles at the nearest point of the box, "clipped" clips
them after every step. Ours is raced with each setting of `walls`.
"""

from __future__ import annotations

import contextlib
import io
import statistics

import cbx.dynamics
import numpy as np

from feasible.blackbox.cbo.cbo import CBO
from feasible.blackbox.cbo.minimize import cbo_minimize
from feasible.blackbox.instances.named import get

from .common import Figure, in_turns, ratio, write

PARTICLES, STEPS = 100, 300
SEEDS = range(1000, 1120)
"""Nothing was chosen on these."""
BOX_STEPS = 100
SIDE = 3.0
PLACES = ("middle", "near", "corner", "edge")
NEAR = 0.02
WHERE = {
    "middle": "in the middle of the box",
    "near": "near the walls",
    "corner": "in a corner",
    "edge": "on an edge",
}
KINDS = ("beyond", "clip", "reflect")
SMALLEST = 1e-12
"""Values below count as this."""
SETTINGS = {"dt": 0.1, "sigma": 1.265, "alpha": 1e3}
FUNCTIONS = [
    ("rastrigin-cbo", 4),
    ("rastrigin-cbo", 10),
    ("rastrigin-cbo", 20),
    ("ackley", 4),
    ("ackley", 10),
    ("ackley", 20),
]
TARGET = 0.25


def _function(name: str, d: int):
    problem = get(name, d=d, shift_seed=1000 + d)
    return problem, problem.fun


def _start(d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-3.0, 3.0, (PARTICLES, d))


def _ours(f, d: int, seed: int) -> float:
    found = cbo_minimize(
        f,
        x0=_start(d, seed),
        method=CBO.paper(n_particles=PARTICLES, **SETTINGS),
        max_evals=PARTICLES * STEPS,
        seed=seed,
    )
    return float(found.fun)


def _theirs(f, d: int, seed: int) -> float:
    np.random.seed(seed)
    # check_f_dims=False: its check would cost N evaluations more; f is shown (M, N, d) and gives
    # (M, N)
    dynamic = cbx.dynamics.CBO(
        lambda x: f(x.reshape(-1, d)).reshape(x.shape[:-1]),
        f_dim="3D",
        d=d,
        x=_start(d, seed)[None].copy(),
        N=PARTICLES,
        max_it=STEPS,
        lamda=1.0,
        noise="anisotropic",
        check_f_dims=False,
        verbosity=0,
        **SETTINGS,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        while dynamic.it < STEPS:
            dynamic.step()
    return float(np.min(dynamic.best_energy))


def _minimum(place: str, d: int, seed: int) -> np.ndarray:
    """Where the minimum lies in the box [-SIDE, SIDE]^d."""
    rng = np.random.default_rng([seed, d])
    x, side = rng.uniform(-0.4, 0.4, d) * SIDE, rng.choice([-1.0, 1.0], d)
    wall = side * SIDE * (1 - 2 * NEAR if place == "near" else 1.0)
    moved = {"middle": 0, "edge": (d + 1) // 2}.get(place, d)
    chosen = rng.permutation(d)[:moved]
    x[chosen] = wall[chosen]
    return x


def _cbx_in_box(f, starts: np.ndarray, clipped: bool) -> np.ndarray:
    """The best value of every one of cbx's runs (M, N, d); f takes (M, N, d) inside the box."""

    def clip(dynamic: cbx.dynamics.CBO) -> None:
        np.clip(dynamic.x, -SIDE, SIDE, out=dynamic.x)

    np.random.seed(len(starts))
    dynamic = cbx.dynamics.CBO(
        lambda x: f(np.clip(x, -SIDE, SIDE)),
        f_dim="3D",
        x=starts.copy(),
        max_it=BOX_STEPS,
        lamda=1.0,
        noise="anisotropic",
        check_f_dims=False,
        verbosity=0,
        post_process=clip if clipped else None,
        **SETTINGS,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        while dynamic.it < BOX_STEPS:
            dynamic.step()
    return np.asarray(dynamic.best_energy)


def in_a_box(name: str, d: int, place: str) -> dict[str, object]:
    """The median over the seeds of the best value, of ours by `walls` and of cbx by its ways."""
    fun = _values(name, d)
    minima = np.array([_minimum(place, d, s) for s in SEEDS])
    starts = np.array(
        [np.random.default_rng(s).uniform(-SIDE, SIDE, (PARTICLES, d)) for s in SEEDS]
    )
    found: dict[str, np.ndarray] = {}
    for kind in KINDS:
        method = CBO.paper(n_particles=PARTICLES, walls=kind, **SETTINGS)
        found[f"ours, {kind}"] = np.array(
            [
                cbo_minimize(
                    lambda x, z=z: fun(x - z),
                    x0=x0,
                    bounds=[(-SIDE, SIDE)] * d,
                    method=method,
                    max_evals=PARTICLES * BOX_STEPS,
                    seed=s,
                ).fun
                for s, z, x0 in zip(SEEDS, minima, starts, strict=True)
            ]
        )

    def all_runs(x: np.ndarray) -> np.ndarray:
        return fun((x - minima[:, None]).reshape(-1, d)).reshape(x.shape[:-1])

    for way in ("stray", "clipped"):
        found[f"cbx, {way}"] = _cbx_in_box(all_runs, starts, way == "clipped")
    return {
        "function": name,
        "d": d,
        "place": place,
        "median": {k: max(float(np.median(v)), SMALLEST) for k, v in found.items()},
        "success": {k: float(np.mean(v < TARGET)) for k, v in found.items()},
    }


def _values(name: str, d: int):
    """The function with its minimum at 0, (n, d) -> (n,)."""
    raw = get(name, d=d).fun

    def f(x: np.ndarray) -> np.ndarray:
        y = raw(x)
        return y if not isinstance(y, dict) else next(iter(y.values()))

    return f


def _box_figures(rows: list[dict]) -> list[Figure]:
    """Ours as it is by default over the better of cbx's ways, and over itself clipped, by place."""
    figures = []
    for place in PLACES:
        medians = [r["median"] for r in rows if r["place"] == place]

        def over(m: dict, way: str) -> float:
            return float(np.log(m["ours, beyond"] / m[way]))

        ways = [
            np.exp(np.mean([over(m, w) for m in medians])) for w in ("cbx, stray", "cbx, clipped")
        ]
        clipped = np.exp(np.mean([over(m, "ours, clip") for m in medians]))
        figures += [
            Figure(
                f"minimum {WHERE[place]}: best value over that of the better cbx, "
                f"{len(medians)} functions x {len(SEEDS)} seeds",
                float(max(ways)),
                1.25,
            ),
            Figure(
                f"minimum {WHERE[place]}: best value over that with walls='clip'", float(clipped)
            ),
        ]
    return figures


def run() -> list[Figure]:
    ratios: list[float] = []
    rows = []
    for name, d in FUNCTIONS:
        _, fun = _function(name, d)

        def f(x: np.ndarray, fun=fun) -> np.ndarray:
            raw = fun(x)
            return raw if not isinstance(raw, dict) else next(iter(raw.values()))

        mine, its = in_turns(
            lambda f=f, d=d: _ours(f, d, 0), lambda f=f, d=d: _theirs(f, d, 0), rounds=9
        )
        ratios.append(ratio(mine, its))
        ours = [_ours(f, d, s) for s in SEEDS]
        theirs = [_theirs(f, d, s) for s in SEEDS]
        rows.append(
            {
                "function": name,
                "d": d,
                "time_ratio": ratios[-1],
                "success_ours": float(np.mean(np.array(ours) < TARGET)),
                "success_cbx": float(np.mean(np.array(theirs) < TARGET)),
                "median_ours": statistics.median(ours),
                "median_cbx": statistics.median(theirs),
            }
        )
    lost = statistics.mean(r["success_cbx"] - r["success_ours"] for r in rows)
    figures = [
        Figure(
            "time over cbx, median of 6 functions (100 particles, 300 steps)",
            statistics.median(ratios),
            0.7,
        ),
        Figure("time over cbx, worst function", max(ratios), 0.7),
        Figure(
            f"success rate below that of cbx, mean of 6 functions x {len(SEEDS)} seeds",
            lost,
            0.1,
            "share",
        ),
    ]
    boxed = [in_a_box(name, d, place) for name, d in FUNCTIONS if d < 20 for place in PLACES]
    figures += _box_figures(boxed)
    write("cbo", figures, rows=rows, boxed=boxed, settings=SETTINGS)
    return figures
