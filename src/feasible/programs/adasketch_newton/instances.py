"""The paper's programs that are not of CUTEst: logistic regression on a sphere under linear
equations, and the control of a Poisson equation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse as sp
from scipy.optimize import LinearConstraint, NonlinearConstraint
from scipy.special import expit

from ...core.checks import one_of, whole
from ..problem import Program

if TYPE_CHECKING:
    from jaxtyping import Float

DATA = ("breast-cancer", "classification")
ROWS = 10
"""Linear equations of the logistic regression."""
WEIGHT = 0.1
"""Of |Z|^2 / 2, the control's cost."""


def logistic_sphere(data: str = "breast-cancer", seed: int = 0) -> Program:
    """Logistic regression with 10 random linear equations on the unit sphere.

        minimise    1/N sum_i log(1 + exp(-y_i a_i' x))
        subject to  A x = b,  |x|^2 = 1

    A is normal, b = A x' for a random x' of length 1; x and all multipliers begin at 1.

    Args:
        data: "breast-cancer" (569 rows, 30 standardised columns) or "classification" (2,000 rows,
            40 columns, made by scikit-learn's make_classification).
        seed: Of A, x' and the made data.
    """
    one_of("data", data, DATA)
    seed = whole("seed", seed, least=0)
    a, y = _table(data, seed)
    signed = a * y[:, None]
    rng = np.random.default_rng(seed)
    n = a.shape[1]
    A, inside = rng.standard_normal((ROWS, n)), rng.standard_normal(n)
    b = A @ (inside / np.linalg.norm(inside))

    def gradient(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return -(signed.T @ expit(-signed @ x)) / len(y)

    def hessian(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n n"]:
        p = expit(signed @ x)
        return (signed.T * (p * (1 - p))) @ signed / len(y)

    sphere = NonlinearConstraint(
        lambda x: x @ x, 1.0, 1.0, lambda x: 2 * x[None], lambda x, v: 2 * v[0] * np.eye(n)
    )
    return Program(
        lambda x: np.logaddexp(0.0, -signed @ x).mean(),
        np.ones(n),
        jac=gradient,
        hess=hessian,
        constraints={"equations": LinearConstraint(A, b, b), "sphere": sphere},
        multipliers=np.ones(ROWS + 1),
        name="logistic-sphere" if (data, seed) == (DATA[0], 0) else f"{data}, seed {seed}",
    )


def _table(data: str, seed: int) -> tuple[Float[np.ndarray, "N n"], Float[np.ndarray, " N"]]:
    """Return the columns and the labels, -1 or 1."""
    from sklearn.datasets import load_breast_cancer, make_classification

    if data == "breast-cancer":
        a, y = load_breast_cancer(return_X_y=True)
        return (a - a.mean(axis=0)) / a.std(axis=0), 2.0 * y - 1
    a, y = make_classification(2000, 40, random_state=seed)
    return a, 2.0 * y - 1


def pde_control(size: int = 3) -> Program:
    """Control of a Poisson equation on (-1, 1)^2 with zero boundary values, a convex quadratic
    program.

        minimise    1/2 |W - W*|^2 + 0.05 |Z|^2
        subject to  Laplace(W) + Z = 0  at every point

    W, the state, and Z, the control, live on size x size interior points of a grid of width
    h = 2 / (size + 1), stacked by columns; Laplace is the five-point difference; W* is a sum of a
    sine and a cosine of the indices. All begins at 1.

    Args:
        size: Interior points a side; the paper has 3.
    """
    size = whole("size", size, least=1)
    h = 2 / (size + 1)
    line = sp.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(size, size)) / h**2
    eye = sp.eye_array(size)
    laplace = sp.kron(eye, line) + sp.kron(line, eye)
    jacobian = sp.csr_array(sp.hstack([laplace, sp.eye_array(size**2)]))
    index = (0.1 / np.sqrt(15)) * (np.arange(1, size + 1) - (size + 1) / 2)
    wanted = (np.sin(4 + index)[:, None] + np.cos(3 + index)[None, :]).ravel(order="F")
    n = 2 * size**2
    weights = np.concatenate([np.ones(size**2), np.full(size**2, WEIGHT)])
    centre = np.concatenate([wanted, np.zeros(size**2)])
    hessian = sp.csr_array(sp.diags_array(weights))
    zero = np.zeros(size**2)
    return Program(
        lambda x: 0.5 * weights @ (x - centre) ** 2,
        np.ones(n),
        jac=lambda x: weights * (x - centre),
        hess=lambda x: hessian,
        constraints={"equation": LinearConstraint(jacobian, zero, zero)},
        multipliers=np.ones(size**2),
        name=f"pde-control-{size}",
    )
