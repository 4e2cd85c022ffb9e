"""A wrapped peer evaluates the points that a direct call of its library evaluates, restarts
included: on six functions, with the same random stream.
"""

from __future__ import annotations

import warnings
from functools import partial
from importlib import import_module

import numpy as np
import pytest
from scipy import optimize

from feasible.blackbox import peers
from feasible.blackbox.problem import BlackBox
from feasible.blackbox.sampling import seed_from
from feasible.core.errors import WrongProblem

TARGETS = 10.0 ** np.linspace(2, -8, 51)
TURNED = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]


class Used(BaseException):
    """The evaluations are used up. Not an Exception, since solvers swallow these."""


def ellipsoid(x):
    return float(np.array([1.0, 30.0, 1000.0]) @ (TURNED @ (x - 0.7)) ** 2)


def rosenbrock(x):
    return float(optimize.rosen(x))


def rastrigin(x):
    y = x - 0.3
    return float(10 * len(x) + (y**2 - 10 * np.cos(2 * np.pi * y)).sum())


def uneven(x):
    """Inputs of very different sizes."""
    return float((x[0] - 0.002) ** 2 * 1e5 + (x[1] - 3) ** 2 + (x[2] / 500 - 1) ** 4)


def valley(x):
    return float(abs(x[0] - 0.1) + 5 * abs(x[0] + x[1] - 1) + (x[2] - 2) ** 2)


def sharp(x):
    return float(np.sqrt(((x + np.array([0.4, -1.1, 2.2])) ** 2).sum()))


CUBE = [(-5.0, 5.0)] * 3
FUNCTIONS = {
    "ellipsoid": (ellipsoid, CUBE),
    "rosenbrock": (rosenbrock, [(-2.0, 3.0)] * 3),
    "rastrigin": (rastrigin, CUBE),
    "uneven": (uneven, [(0.0, 0.01), (-5.0, 10.0), (100.0, 900.0)]),
    "valley": (valley, [(-5.0, 8.0), (-5.0, 5.0), (-3.0, 5.0)]),
    "sharp": (sharp, CUBE),
}
BUDGET = 150


class Counted:
    """A function that keeps the points and stops at the budget; the limit is a second value. A
    point that was evaluated before costs nothing.
    """

    def __init__(self, f, limit, budget):
        self.f, self.limit, self.budget = f, limit, budget
        self.points, self.values, self.known = [], [], {}

    def __call__(self, x):
        x = np.array(x, dtype=float).ravel() + 0.0  # no -0.0
        if x.tobytes() not in self.known:
            if len(self.points) >= self.budget:
                raise Used
            self.points.append(x)
            self.known[x.tobytes()] = f, g = self.f(x), self.limit(x)
            self.values.append(f if g <= 1e-6 else np.inf)
        return self.known[x.tobytes()]

    def share(self):
        best = min(self.values, default=np.inf)
        return float((best <= TARGETS).mean())


def free(x):
    return -1.0


def run(go, name, limit=free, budget=BUDGET):
    f, bounds = FUNCTIONS[name]
    fun = Counted(f, limit, budget)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        with pytest.raises(Used):
            go(fun, np.array(bounds).T)
    return fun


def wrapped(method, limited, seed=7):
    def go(fun, box):
        def values(x):
            f, g = fun(x)
            return (f, [g]) if limited else f

        problem = BlackBox(values, [*map(tuple, box.T)], limits=["<= 0"] if limited else None)
        state = method.init(problem, np.random.default_rng(seed))
        while True:
            state = method.step(problem, state)

    return go


def scipy_directly(method, limited, **options):
    def go(fun, box):
        low, high = box
        rng = np.random.default_rng(7)
        x0 = (low + high) / 2

        def inside(x):  # COBYLA leaves the box, where nobody may evaluate
            return fun(np.clip(x, low, high))

        g = optimize.NonlinearConstraint(lambda x: [inside(x)[1]], -np.inf, 0)
        limits = g if limited else ()
        while True:
            optimize.minimize(
                lambda x: inside(x)[0],
                x0,
                method=method,
                bounds=optimize.Bounds(low, high, keep_feasible=True),
                constraints=limits,
                options=options,
            )
            x0 = low + rng.random((1, 3))[0] * (high - low)

    return go


def same(ours, theirs):
    """The same points, as far as rounding goes, and shares of the targets within .01."""
    n = min(len(ours.points), len(theirs.points))
    assert n >= 0.95 * max(len(ours.points), len(theirs.points))
    assert np.allclose(ours.points[:n], theirs.points[:n], rtol=1e-12, atol=0)
    assert ours.share() == pytest.approx(theirs.share(), abs=0.01)


def disc(x):
    """Inside a ball that cuts off the box's corners; its middle is allowed in four of six boxes."""
    return float((x**2).sum() - 40.0)


FREE = [
    (peers.SLSQP(), "SLSQP"),
    (peers.COBYQA(), "COBYQA"),
    (peers.COBYLA(), "COBYLA"),
    (peers.TrustConstr(), "trust-constr"),
    (peers.LBFGSB(), "L-BFGS-B"),
    (peers.NelderMead(), "Nelder-Mead"),
]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("method", "scipy_name"), FREE, ids=lambda m: getattr(m, "name", ""))
def test_scipys_local_solvers_go_as_in_a_direct_call(method, scipy_name, name):
    budget = 60 if scipy_name == "COBYQA" else BUDGET
    ours = run(wrapped(method, False), name, budget=budget)
    same(ours, run(scipy_directly(scipy_name, False), name, budget=budget))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("method", "scipy_name"), FREE[:4], ids=lambda m: getattr(m, "name", ""))
def test_scipys_local_solvers_go_as_in_a_direct_call_with_a_limit(method, scipy_name, name):
    budget = 50 if scipy_name == "COBYQA" else BUDGET
    ours = run(wrapped(method, True), name, disc, budget)
    same(ours, run(scipy_directly(scipy_name, True), name, disc, budget))


@pytest.mark.parametrize("method", [peers.LBFGSB(), peers.NelderMead()], ids=lambda m: m.name)
def test_a_solver_that_knows_bounds_only_refuses_limits(method):
    problem = BlackBox(lambda x: (x @ x, [x[0]]), [(-1, 1)] * 2, limits={"load": "<= 0"})
    with pytest.raises(WrongProblem, match=r"knows bounds only.*load.*slsqp"):
        method.init(problem, np.random.default_rng(0))


def evolution(fun, box):
    rng = np.random.default_rng(7)
    while True:
        optimize.differential_evolution(lambda x: fun(x)[0], optimize.Bounds(*box), rng=rng)


def cma_es(fun, box):
    import cma

    low, high = box
    rng, width = np.random.default_rng(7), high - low
    options = {
        "bounds": [low.tolist(), high.tolist()],
        "CMA_stds": width / width.min(),
        "seed": np.nan,
        "randn": lambda *shape: rng.standard_normal(shape),
        "verbose": -9,
        "verb_log": 0,
    }
    es = cma.CMAEvolutionStrategy((low + high) / 2, width.min() / 4, options)
    while True:
        points = es.ask()
        es.tell(points, [fun(x)[0] for x in points])


def consensus(fun, box):
    from cbx.dynamics import CBO

    low, high = box
    rng = np.random.default_rng(7)
    dynamic = CBO(
        lambda x: fun(x)[0],
        f_dim="1D",
        check_f_dims=False,
        x=low + rng.random((40, 3)) * (high - low),
        dt=0.2,
        sigma=1.0,
        alpha=1e5,
        noise="anisotropic",
        verbosity=0,
        sampler=lambda size: rng.standard_normal(size),
        post_process=lambda dyn: np.clip(dyn.x, low, high, out=dyn.x),
    )
    while True:
        dynamic.step()


def nevergrad(name):
    def go(fun, box):
        import nevergrad as ng

        low, high = box
        seed = seed_from(np.random.default_rng(7))
        space = ng.p.Array(shape=(3,), lower=low, upper=high)
        space.random_state = np.random.RandomState(seed)
        space.function.deterministic = True
        optimizer = ng.optimizers.registry[name](parametrization=space, budget=BUDGET)
        optimizer.minimize(lambda x: fun(x)[0])
        raise Used  # points that it asked for twice are not counted

    return go


def optuna_with(sampler):
    def go(fun, box):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        seed = seed_from(np.random.default_rng(7))
        study = optuna.create_study(sampler=sampler(optuna.samplers, seed))
        study.optimize(
            lambda trial: fun(
                [trial.suggest_float(f"x{j + 1}", *sides) for j, sides in enumerate(box.T.tolist())]
            )[0]
        )

    return go


def pymoo(path):
    def go(fun, box):
        from pymoo.core.problem import ElementwiseProblem
        from pymoo.core.termination import NoTermination

        class Stated(ElementwiseProblem):
            def _evaluate(self, x, out, *args, **kwargs):
                out["F"], out["G"] = fun(x)[0], [0.0]

        module, _, kind = path.partition(":")
        algorithm = getattr(import_module(f"pymoo.algorithms.soo.nonconvex.{module}"), kind)()
        stated = Stated(n_var=3, n_obj=1, n_ieq_constr=1, xl=box[0], xu=box[1])
        seed = seed_from(np.random.default_rng(7))
        algorithm.setup(stated, seed=seed, termination=NoTermination())
        if kind == "ISRES":  # pymoo 0.6.2 ranks with a stream of its own that no seed reaches
            survival = algorithm.survival
            survival.do = partial(survival.do, random_state=algorithm.random_state)
        algorithm.run()

    return go


GLOBAL = {
    "differential-evolution": (peers.DifferentialEvolution(), evolution, BUDGET),
    "cma-es": (peers.CMAES(), cma_es, BUDGET),
    "cbx": (peers.CBX(), consensus, BUDGET),
    "nevergrad-ngopt": (peers.NGOpt(budget=BUDGET), nevergrad("NGOpt"), 60),
    "nevergrad-pso": (peers.PSO(budget=BUDGET), nevergrad("PSO"), BUDGET),
    "nevergrad-two-points-de": (peers.TwoPointsDE(budget=BUDGET), nevergrad("TwoPointsDE"), BUDGET),
    "optuna-tpe": (peers.OptunaTPE(), optuna_with(lambda s, seed: s.TPESampler(seed=seed)), 30),
    "optuna-gp": (
        peers.OptunaGP(),
        optuna_with(lambda s, seed: s.GPSampler(seed=seed, deterministic_objective=True)),
        12,
    ),
    "pymoo-ga": (peers.Pymoo("ga"), pymoo("ga:GA"), BUDGET),
    "pymoo-de": (peers.Pymoo("de"), pymoo("de:DE"), BUDGET),
    "pymoo-pso": (peers.Pymoo("pso"), pymoo("pso:PSO"), BUDGET),
    "pymoo-isres": (peers.Pymoo("isres"), pymoo("isres:ISRES"), BUDGET),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("peer", GLOBAL)
def test_global_searches_go_as_in_a_direct_call(peer, name):
    method, directly, budget = GLOBAL[peer]
    same(run(wrapped(method, False), name, budget=budget), run(directly, name, budget=budget))
