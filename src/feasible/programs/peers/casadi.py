"""casadi's plugins for nonlinear programs, called with the problem's oracles.

References:
    J. A. E. Andersson, J. Gillis, G. Horn, J. B. Rawlings, M. Diehl, CasADi: a software framework
    for nonlinear optimization and optimal control, Mathematical Programming Computation 11 (2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import sparse as sp

from ...core.checks import one_of, whole
from ..derivatives import entries
from ..problem import Program
from .frame import Guard, Solver, SolverState

PLUGINS: dict[str, dict[str, Any]] = {
    "sqpmethod": {
        "qpsol": "daqp",
        "qpsol_options": {"error_on_fail": False},
        "print_header": False,
        "print_iteration": False,
        "print_status": False,
    },
    "ipopt": {"ipopt": {"print_level": 0, "sb": "yes"}},
}
"""Plugin -> the options by which it is silent."""
WANTED = {
    "sqpmethod": ("jac_fg", "hess_lag"),
    "ipopt": ("grad_f", "jac_g", "hess_lag"),
}
"""Plugin -> the derivatives that it takes as options."""


@dataclass(frozen=True)
class Casadi(Solver):
    """A plugin of casadi's nlpsol. Without second derivatives it gets differences of gradients.

    Attributes:
        plugin: "sqpmethod": SQP with exact Hessians, made convex, and the solver DAQP; "ipopt": the
            Ipopt that casadi brings.
        max_iter: Most iterations.
    """

    name: ClassVar[str] = "casadi-sqpmethod"
    requires: ClassVar[tuple[str, ...]] = ("casadi",)
    plugin: str = "sqpmethod"
    max_iter: int = 1000

    def __post_init__(self) -> None:
        one_of("plugin", self.plugin, PLUGINS)
        whole("max_iter", self.max_iter, least=1)

    def run(self, problem: Program, state: SolverState) -> tuple[str, bool]:
        """Run the plugin; see `Solver.run`."""
        import casadi

        guard = Guard()
        parts = _functions(casadi, problem, guard, whole_hessian=self.plugin == "sqpmethod")
        shown = _watch(casadi, problem, state, guard)
        options = {
            **PLUGINS[self.plugin],
            **{k: parts[k] for k in WANTED[self.plugin]},
            "iteration_callback": shown,
            "iteration_callback_ignore_errors": False,
            "error_on_fail": False,
            "print_time": False,
            "show_eval_warnings": False,
        }
        if self.plugin == "ipopt":
            options["ipopt"] = {**options["ipopt"], "max_iter": self.max_iter}
        else:
            options |= {"max_iter": self.max_iter, "convexify_strategy": "regularize"}
        solver = casadi.nlpsol("solver", self.plugin, parts["nlp"], options)
        given: dict[str, Any] = {
            "x0": state.x,
            "lbx": problem.low,
            "ubx": problem.high,
            "lbg": problem.row_low,
            "ubg": problem.row_high,
        }
        if state.multipliers is not None:
            given["lam_g0"] = state.multipliers
        try:
            found = solver(**given)
        except BaseException:
            guard.release()
            raise
        guard.release()
        state.show(np.array(found["x"]).reshape(-1), np.array(found["lam_g"]).reshape(-1))
        stats = solver.stats()
        said = str(stats["return_status"]).replace("_", " ")
        return f"casadi {self.plugin}: {said}", bool(stats["success"])


def _functions(casadi: Any, problem: Program, guard: Guard, whole_hessian: bool) -> dict[str, Any]:
    """Return the problem and its derivatives as functions of casadi, the Hessian whole or as its
    upper triangle.
    """
    n, m = problem.n, problem.m
    jacobian = problem.functions.jacobian_pattern
    lower = problem.functions.hessian_pattern
    triangle = sp.csr_array(lower + lower.T if whole_hessian else lower.T)
    vec, row, one = (casadi.Sparsity.dense(*s) for s in ((n, 1), (m, 1), (1, 1)))
    place = {"x": vec, "p": casadi.Sparsity.dense(0, 1)}
    of = {
        "jac": (_sparsity(casadi, jacobian), _order(jacobian)),
        "hess": (_sparsity(casadi, triangle), _order(triangle)),
    }

    class Called(casadi.Callback):
        """A function of casadi that calls one of ours."""

        def __init__(
            self,
            name: str,
            inputs: dict[str, Any],
            outputs: dict[str, Any],
            function: Callable[..., Sequence[Any]],
            jacobian: Any = None,
        ):
            casadi.Callback.__init__(self)
            self.inputs, self.outputs, self.function = inputs, outputs, function
            self.jacobian_of = jacobian
            self.construct(name, {})

        def get_n_in(self) -> int:
            return len(self.inputs)

        def get_n_out(self) -> int:
            return len(self.outputs)

        def get_name_in(self, i: int) -> str:
            return list(self.inputs)[i]

        def get_name_out(self, i: int) -> str:
            return list(self.outputs)[i]

        def get_sparsity_in(self, i: int) -> Any:
            return list(self.inputs.values())[i]

        def get_sparsity_out(self, i: int) -> Any:
            return list(self.outputs.values())[i]

        def has_jacobian(self) -> bool:
            return self.jacobian_of is not None

        def get_jacobian(self, name: str, inames: Any, onames: Any, opts: Any) -> Any:
            return self.jacobian_of

        def eval(self, given: Sequence[Any]) -> list[Any]:
            numbers = [np.array(g).reshape(-1) for g in given]
            outputs = list(self.outputs.values())
            try:
                values = guard.call(self.function, *numbers)
            except BaseException:  # the guard has it; casadi would print it and go on
                values = [np.full(s.nnz(), np.nan) for s in outputs]
            return [casadi.DM(s, v) for s, v in zip(outputs, values, strict=True)]

    def first(x: np.ndarray, p: np.ndarray) -> tuple[Any, Any]:
        return [problem.objective(x)], problem.constraint(x)

    def slope(x: np.ndarray, p: np.ndarray) -> tuple[Any, Any]:
        return [problem.objective(x)], problem.gradient(x)

    def rows(x: np.ndarray, p: np.ndarray) -> tuple[Any, Any]:
        return problem.constraint(x), entries(problem.jacobian(x), of["jac"][1])

    def both(x: np.ndarray, p: np.ndarray) -> tuple[Any, ...]:
        return *slope(x, p), *rows(x, p)

    def curve(x: np.ndarray, p: np.ndarray, sigma: np.ndarray, y: np.ndarray) -> tuple[Any]:
        return (entries(shape(problem.hess_lag(x, float(sigma[0]), y)), of["hess"][1]),)

    def derived(x: np.ndarray, *more: np.ndarray) -> tuple[Any, ...]:
        return problem.gradient(x), [], entries(problem.jacobian(x), of["jac"][1]), []

    def shape(found: sp.csr_array) -> sp.csr_array:
        return found if whole_hessian else sp.csr_array(sp.triu(found))

    by_x = casadi.Sparsity.dense(1, n)
    by_p = {"jac_f_p": casadi.Sparsity(1, 0), "jac_g_p": casadi.Sparsity(m, 0)}
    jac_nlp = Called(
        "jac_nlp",
        {**place, "out_f": one, "out_g": row},
        {
            "jac_f_x": by_x,
            "jac_f_p": by_p["jac_f_p"],
            "jac_g_x": of["jac"][0],
            "jac_g_p": by_p["jac_g_p"],
        },
        derived,
    )
    return {
        "jac_nlp": jac_nlp,
        "nlp": Called("nlp", place, {"f": one, "g": row}, first, jac_nlp),
        "grad_f": Called("nlp_grad_f", place, {"f": one, "grad_f_x": vec}, slope),
        "jac_g": Called("nlp_jac_g", place, {"g": row, "jac_g_x": of["jac"][0]}, rows),
        "jac_fg": Called(
            "nlp_jac_fg",
            place,
            {"f": one, "grad_f_x": vec, "g": row, "jac_g_x": of["jac"][0]},
            both,
        ),
        "hess_lag": Called(
            "nlp_hess_l",
            {**place, "lam_f": one, "lam_g": row},
            {"triu_hess_gamma_x_x": of["hess"][0]},
            curve,
        ),
    }


def _watch(casadi: Any, problem: Program, state: SolverState, guard: Guard) -> Any:
    """Return the callback that casadi calls after each iteration."""
    sizes = {"x": problem.n, "f": 1, "g": problem.m}
    sizes |= {"lam_x": problem.n, "lam_g": problem.m, "lam_p": 0}

    class Watch(casadi.Callback):
        """Shows the iterates."""

        def __init__(self) -> None:
            casadi.Callback.__init__(self)
            self.construct("watch", {})

        def get_n_in(self) -> int:
            return int(casadi.nlpsol_n_out())

        def get_n_out(self) -> int:
            return 1

        def get_name_in(self, i: int) -> str:
            return str(casadi.nlpsol_out(i))

        def get_name_out(self, i: int) -> str:
            return "ret"

        def get_sparsity_in(self, i: int) -> Any:
            return casadi.Sparsity.dense(sizes[casadi.nlpsol_out(i)], 1)

        def eval(self, given: Sequence[Any]) -> list[int]:
            named = dict(zip(sizes, given, strict=True))
            x, y = (np.array(named[k]).reshape(-1) for k in ("x", "lam_g"))
            try:
                guard.call(state.show, x, y)
            except BaseException:  # the guard has it: casadi is asked to end
                return [1]
            return [0]

    return Watch()


def _sparsity(casadi: Any, pattern: sp.csr_array) -> Any:
    """Return a pattern as casadi's compressed columns."""
    columns = sp.csc_array(pattern)
    columns.sort_indices()
    return casadi.Sparsity(*pattern.shape, columns.indptr.tolist(), columns.indices.tolist())


def _order(pattern: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the entries in casadi's order."""
    columns = sp.csc_array(pattern)
    columns.sort_indices()
    return columns.indices, np.repeat(np.arange(pattern.shape[1]), np.diff(columns.indptr))
