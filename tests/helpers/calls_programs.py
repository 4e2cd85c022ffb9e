"""One small valid call of what the programs room offers, for the fuzz test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from calling import HALF, Calls
from scipy import sparse
from scipy.optimize import NonlinearConstraint

from feasible import programs

A = np.array([[4.0, -1.0], [-1.0, 4.0]])
ROWS = np.random.default_rng(0).normal(size=(20, 2)) @ [[1.0, 0.5], [0.0, 1.0]]
DISC = NonlinearConstraint(lambda x: x @ x, -np.inf, 2, jac=lambda x: 2 * x)


def bowl(x: Any, *more: Any) -> Any:
    """The sum of squares about 1, in NumPy or torch, whatever else is given."""
    return ((x - 1) ** 2).sum()


def slope(x: np.ndarray, *more: Any) -> np.ndarray:
    """Its gradient."""
    return 2 * (x - 1)


def expression() -> dict[str, Any]:
    """A program of casadi's."""
    import casadi

    x = casadi.SX.sym("x", 2)
    return {"x": x, "f": casadi.sumsqr(x), "g": x[0] + x[1]}


def least_squares() -> programs.AffineFiniteSum:
    """Rows of least squares as an operator."""
    return programs.AffineFiniteSum(A, [1.0, 2.0])


def curved(hessian: Callable[..., Any]) -> Callable[..., Any]:
    """What takes a step with a Hessian of this form."""
    return lambda **given: programs.gns_minimize(
        bowl, slope, [0.0, 0.0], lambda x: hessian(**given), max_iter=1
    )


def asked() -> programs.TsallisINF:
    """A learner that was asked for an action."""
    tuner = programs.TsallisINF(seed=0)
    tuner.ask()
    return tuner


def half(i: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Two equal components."""
    return np.tile(u, (len(i), 1))


CALLS: Calls = {
    "Program": lambda: (
        programs.Program,
        {
            "fun": bowl,
            "x0": [0.0, 0.0],
            "jac": slope,
            "hess": lambda x, *more: 2 * np.eye(2),
            "hessp": lambda x, p, *more: 2 * p,
            "bounds": [(-2, 2)] * 2,
            "constraints": {"disc": DISC},
            "multipliers": None,
            "args": (),
            "name": "p",
            "tolerance": 1e-6,
            "best_known": None,
        },
    ),
    "minimize": lambda: (
        programs.minimize,
        {
            "fun": bowl,
            "x0": [0.0, 0.0],
            "args": (),
            "method": "SLSQP",
            "jac": slope,
            "hess": None,
            "hessp": None,
            "bounds": None,
            "constraints": DISC,
            "callback": None,
            "options": {"maxfev": 20},
            "multipliers": None,
        },
    ),
    "from_casadi": lambda: (
        programs.from_casadi,
        {
            "nlp": expression(),
            "x0": 0.0,
            "lbx": -1.0,
            "ubx": 1.0,
            "lbg": 0.0,
            "ubg": 1.0,
            "p": None,
        },
    ),
    "from_torch": lambda: (
        programs.from_torch,
        {"fun": bowl, "x0": [0.0, 0.0], "equal": None, "at_most": {"line": lambda x: x.sum()}},
    ),
    "hock_schittkowski": lambda: (programs.hock_schittkowski, {"name": "hs71"}),
    "s2mpj": lambda: (programs.s2mpj, {"name": "HS6", "second_derivatives": True}),
    "certificate": lambda: (
        programs.certificate,
        {
            "gradient": np.ones(2),
            "jacobian": sparse.csr_array([[2.0, 0.0]]),
            "values": np.ones(1),
            "limits": (np.zeros(1), np.ones(1)),
            "x": np.zeros(2),
            "bounds": (np.full(2, -1.0), np.ones(2)),
        },
    ),
    # -- approximate Hessians
    "gns_minimize": lambda: (
        programs.gns_minimize,
        {
            "fun": bowl,
            "jac": slope,
            "x0": [0.0, 0.0],
            "hess": lambda x, *more: 2 * np.eye(2),
            "metric": None,
            "args": (),
            "hessp": None,
            "gamma": "adaptive",
            "gamma0": 1.0,
            "test": "function",
            "constant": 0.5,
            "shrink": 0.25,
            "grow": 4.0,
            "gamma_min": 1e-9,
            "max_search": 10,
            "gtol": 1e-6,
            "max_iter": 20,
            "f_star": None,
            "ftol": 1e-8,
            "check_psd": True,
            "callback": None,
        },
    ),
    "gns": lambda: (
        programs.gns,
        {
            "fun": bowl,
            "x0": [0.0, 0.0],
            "args": (),
            "jac": slope,
            "hess": None,
            "hessp": None,
            "bounds": None,
            "constraints": (),
            "callback": None,
            "max_iter": 20,
        },
    ),
    "GNSLogisticRegression": lambda: (
        lambda **given: programs.GNSLogisticRegression(**given).fit(ROWS, ROWS[:, 0] > 0),
        {
            "hessian": "exact",
            "C": 1.0,
            "fit_intercept": True,
            "class_weight": None,
            "tol": 1e-6,
            "max_iter": 20,
            "gamma0": 100.0,
            "warm_start": False,
        },
    ),
    "GNSLogisticRegression.fit": lambda: (
        programs.GNSLogisticRegression(max_iter=20).fit,
        {"X": ROWS, "y": ROWS[:, 0] > 0, "sample_weight": None},
    ),
    "LowRank": lambda: (curved(programs.LowRank), {"J": np.eye(2), "w": 1.0, "ridge": 0.0}),
    "RankOne": lambda: (curved(programs.RankOne), {"a": 1.0, "q": [1.0, 0.0], "base": None}),
    "SmoothProgram": lambda: (
        programs.SmoothProgram,
        {
            "fun": bowl,
            "x0": [0.0, 0.0],
            "approximations": {"exact": lambda x: 2 * np.eye(2)},
            "metric": None,
            "residuals": None,
        },
    ),
    # -- Lipschitz certificates
    "lipschitz_bound": lambda: (
        programs.lipschitz_bound,
        {
            "net_or_weights": [np.eye(2), np.eye(2)],
            "norm": "l2",
            "activation": None,
            "form": "full",
            "solver": "auto",
            "tol": 1e-2,
            "steps": 5,
            "rate": 0.1,
            "most": 10,
            "biases": None,
            "split": None,
            "time_limit": None,
            "samples": 5,
            "seed": 0,
            "callback": None,
        },
    ),
    "pair_bounds": lambda: (
        programs.pair_bounds,
        {
            "net_or_weights": [np.eye(2), np.eye(2)],
            "activation": None,
            "pairs": None,
            "biases": None,
        },
    ),
    "pair_bounds radius": lambda: (
        programs.pair_bounds([np.eye(2)]).radius,
        {"outputs": np.array([1.0, 0.0])},
    ),
    "MaxMin": lambda: (programs.MaxMin, {"chunked": False}),
    "FullSort": lambda: (programs.FullSort, {"descending": False}),
    "GroupSort": lambda: (
        programs.GroupSort,
        {"size": 2, "descending": False, "chunked": False},
    ),
    "Householder": lambda: (programs.Householder, {"v": [0.6, 0.8]}),
    "Slope": lambda: (programs.Slope, {"kind": "leaky", "low": 0.1}),
    "DEQ": lambda: (
        programs.DEQ,
        {
            "W": 0.1 * np.eye(2),
            "U": np.eye(2),
            "W_out": np.eye(2),
            "activation": None,
            "b": None,
            "b_out": None,
        },
    ),
    "ResidualMLP": lambda: (
        programs.ResidualMLP,
        {"V": [np.eye(2)], "activation": None, "W_in": None, "W_out": None},
    ),
    "LipschitzCertificate": lambda: (
        programs.LipschitzCertificate,
        {
            "net": [np.eye(2), np.eye(2)],
            "norm": "l2",
            "activation": None,
            "samples": 5,
            "name": "p",
        },
    ),
    # -- graphs
    "topo": lambda: (
        programs.topo,
        {"X": ROWS, "order": None, "settings": programs.TopoSettings(n_starts=1), "seed": 0},
    ),
    "topo on a covariance": lambda: (
        programs.topo,
        {"covariance": [[1.0, 0.5], [0.5, 1.0]], "order": [0, 1]},
    ),
    "TopoDAG": lambda: (
        lambda **given: programs.TopoDAG(**given).fit(ROWS),
        {
            "model": "linear",
            "loss": "l2",
            "size_small": "auto",
            "size_large": "auto",
            "n_large": 1,
            "start": "eqvar",
            "n_starts": 1,
            "l1": None,
            "l2": 0.01,
            "ridge": 0.0,
            "xi": 0.0,
            "hidden": 4,
            "optimizer": "lbfgs",
            "rate": None,
            "train_steps": 2,
            "tol": 1e-3,
            "prune": "bic",
            "threshold": None,
            "alpha": 0.05,
            "random_state": 0,
        },
    ),
    "TopoDAG.fit": lambda: (programs.TopoDAG(n_starts=0).fit, {"X": ROWS, "order": [0, 1]}),
    "TopoDAG.fit_covariance": lambda: (
        programs.TopoDAG(n_starts=0).fit_covariance,
        {"covariance": [[1.0, 0.5], [0.5, 1.0]], "n": 20, "order": None},
    ),
    "TopoDAG.refine": lambda: (
        programs.TopoDAG(n_starts=0).refine,
        {"X": ROWS, "weights": [[0.0, 1.0], [0.0, 0.0]], "repair": "drop"},
    ),
    "DAGLearning": lambda: (
        programs.DAGLearning,
        {
            "X": ROWS,
            "truth": [[0, 1], [0, 0]],
            "name": "p",
            "model": "linear",
            "threshold": 0.3,
            "best_known": None,
        },
    ),
    "DAGLearning.judge": lambda: (programs.DAGLearning(ROWS).judge, {"answer": np.zeros((2, 2))}),
    "NeuralDAGLearning": lambda: (
        programs.NeuralDAGLearning,
        {"X": ROWS, "truth": None, "threshold": 0.5, "loss": "l2", "hidden": 10},
    ),
    # -- inclusions
    "FiniteSum": lambda: (
        programs.FiniteSum,
        {"components": half, "n": 2, "full": None, "L": 1.0, "prob": HALF, "norm": 1.0},
    ),
    "AffineFiniteSum": lambda: (
        programs.AffineFiniteSum,
        {"A": A, "b": [1.0, 2.0], "prob": None},
    ),
    "MatrixGame": lambda: (programs.MatrixGame, {"M": A}),
    "VRHalpern": lambda: (
        lambda **given: programs.VRHalpern(**given).solve([0.0, 0.0]),
        {
            "op": least_squares(),
            "resolvent": lambda u: u,
            "method": "auto",
            "eta": None,
            "inner": 0.5,
            "boost": 2.0,
            "restart": False,
            "tol": 1e-2,
            "max_evals": 100.0,
            "seed": 0,
            "callback": None,
        },
    ),
    "solve_inclusion": lambda: (
        programs.solve_inclusion,
        {
            "op": least_squares(),
            "u0": [0.0, 0.0],
            "resolvent": None,
            "method": "auto",
            "eta": None,
            "restart": True,
            "tol": 1e-2,
            "max_evals": 100.0,
            "seed": 0,
            "callback": None,
        },
    ),
    "Inclusion": lambda: (
        programs.Inclusion,
        {"op": least_squares(), "u0": [0.0, 0.0], "resolvent": None, "name": "p"},
    ),
    "project_simplex": lambda: (programs.project_simplex, {"y": HALF, "radius": 1.0}),
    # -- sequences of systems
    "sor": lambda: (
        programs.sor,
        {
            "A": A,
            "b": [1.0, 2.0],
            "x0": None,
            "omega": 1.0,
            "tol": 1e-8,
            "max_iter": 100,
            "relative_to": "start",
        },
    ),
    "ssor_cg": lambda: (
        programs.ssor_cg,
        {
            "A": sparse.csr_array(A),
            "b": [1.0, 2.0],
            "x0": None,
            "omega": 1.0,
            "tol": 1e-8,
            "max_iter": 100,
            "relative_to": "rhs",
        },
    ),
    "ssor": lambda: (programs.ssor, {"A": A, "omega": 1.0}),
    "TsallisINF": lambda: (
        lambda **given: programs.TsallisINF(**given).ask(),
        {"grid": [1.0, 1.5], "seed": 0, "least": 1.0},
    ),
    "BinnedTsallisINF": lambda: (
        lambda **given: programs.BinnedTsallisINF(**given).ask(0.5),
        {"grid": [1.0, 1.5], "bounds": (0.0, 1.0), "bins": 5, "seed": 0, "least": 1.0},
    ),
    "ChebCB": lambda: (
        lambda **given: programs.ChebCB(**given).ask(0.5),
        {"grid": [1.0, 1.5], "bounds": (0.0, 1.0), "features": 6, "seed": 0, "least": 1.0},
    ),
    "ChebCB.ask": lambda: (programs.ChebCB(seed=0).ask, {"context": 0.5}),
    "TsallisINF.tell": lambda: (
        asked().tell,
        {"cost": 3.0},
    ),
    "TsallisINF.load_state_dict": lambda: (
        programs.TsallisINF().load_state_dict,
        {"state": programs.TsallisINF().state_dict()},
    ),
    "SolverSequence": lambda: (
        programs.SolverSequence,
        {
            "solver": "sor",
            "tuner": "chebcb",
            "context": lambda a, t: 0.5,
            "bounds": (0.0, 1.0),
            "grid": None,
            "omega": 1.5,
            "seed": 0,
            "tol": 1e-8,
            "max_iter": 100,
            "cost": "iterations",
        },
    ),
    "SolverSequence.solve": lambda: (
        programs.SolverSequence("sor", bounds=(0, 1), max_iter=50).solve,
        {"A": A, "b": [1.0, 2.0], "x0": None, "context": 0.5},
    ),
    "SystemSequence": lambda: (
        programs.SystemSequence,
        {
            "matrix": lambda t: A,
            "rhs": lambda t, before: np.ones(2),
            "count": 2,
            "start": [0.0, 0.0],
            "context": lambda t: 0.5,
            "bounds": (0.0, 1.0),
            "warm": True,
            "tol": 1e-8,
            "max_iter": 100,
            "name": "p",
        },
    ),
}
