"""`topo`: the swap search on data or on a covariance, as a function.

What is prepared here (models, first orders) is shared with the estimator and the method of a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.annotations import checked
from ...core.checks import generator
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from .graphs import matrix, permutation
from .linear import LinearModel, equal_variance_order, variance_order
from .search import Model, TopoState, search
from .settings import TopoSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def table(x: Any, name: str = "X") -> Float[np.ndarray, "n d"]:
    """(n, d) finite numbers of which no column is constant, as float64.

    Args:
        x: An array, a DataFrame, a torch tensor.
        name: The argument, for errors.

    Raises:
        ArgumentTypeError: Not numbers.
        ShapeError: Not (n, d) with n >= 2 and d >= 2.
        NotFinite: A NaN or an infinity.
        ArgumentError: A constant column.
    """
    try:
        given = np.asarray(x)
        if given.dtype.kind not in "fiubO":
            raise TypeError(f"they are {given.dtype}")
        found = np.ascontiguousarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(f"{name}: expected (n, d) numbers ({error})") from None
    if found.ndim != 2 or found.shape[0] < 2 or found.shape[1] < 2:
        raise ShapeError(
            f"{name} has shape {found.shape}, expected (n, d) with at least 2 rows and 2 columns"
        )
    if not np.isfinite(found).all():
        row, column = np.argwhere(~np.isfinite(found))[0]
        raise NotFinite(f"{name}[{row}, {column}] is {found[row, column]}, expected finite numbers")
    constant = np.flatnonzero(np.ptp(found, axis=0) == 0.0)
    if len(constant):
        raise ArgumentError(
            f"{name}: column {constant[0]} is constant ({found[0, constant[0]]:g}), expected one "
            "that varies"
        )
    return found


def binary(x: Float[np.ndarray, "n d"], name: str = "X") -> Float[np.ndarray, "n d"]:
    """The same, of zeros and ones. Raises ArgumentError for other values."""
    other = np.argwhere((x != 0.0) & (x != 1.0))
    if len(other):
        row, column = other[0]
        raise ArgumentError(
            f"{name}[{row}, {column}] is {x[row, column]:g}, a logistic model expects 0 or 1"
        )
    return x


def covariance_of(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "d d"]:
    """C = X'X / n of centred columns."""
    centred = x - x.mean(0)
    return centred.T @ centred / len(x)


def checked_covariance(covariance: Any) -> Float[np.ndarray, "d d"]:
    """A symmetric (d, d) covariance with a positive diagonal.

    Raises:
        ShapeError: Not square, or d < 2.
        ArgumentError: Not symmetric, or a variance that is not positive.
    """
    found = matrix(covariance, "covariance")
    if len(found) < 2:
        raise ShapeError(f"covariance has shape {found.shape}, expected at least 2 variables")
    off = np.abs(found - found.T).max()
    if off > 1e-8 * np.abs(found).max():
        raise ArgumentError(f"covariance differs from its transpose by {off:.3g}")
    least = found.diagonal().argmin()
    if found[least, least] <= 0.0:
        raise ArgumentError(
            f"covariance[{least}, {least}] is {found[least, least]:g}, expected a positive "
            "variance (a constant column has none)"
        )
    return 0.5 * (found + found.T)


def with_ridge(covariance: Float[np.ndarray, "d d"], ridge: float) -> Float[np.ndarray, "d d"]:
    """The covariance with a ridge in units of its mean variance."""
    return covariance + ridge * float(covariance.diagonal().mean()) * np.eye(len(covariance))


def model_of(
    settings: TopoSettings,
    x: Float[np.ndarray, "n d"] | None,
    covariance: Float[np.ndarray, "d d"],
    seed: int = 0,
) -> Model:
    """The score that the settings name, on data."""
    if settings.model == "linear" and not settings.penalty:
        return LinearModel(with_ridge(covariance, settings.ridge))
    if x is None:
        raise ArgumentError(
            f"model={settings.model!r} with l1={settings.penalty:g} needs the data: a covariance "
            "serves model='linear' without l1 only"
        )
    if settings.model == "neural":
        from .neural import NeuralModel

        return NeuralModel(x - x.mean(0), settings, seed)
    from .nodewise import LassoModel, LogisticModel

    if settings.model == "logistic":
        return LogisticModel(binary(x), settings.penalty)
    return LassoModel(x - x.mean(0), settings.penalty)


def first_orders(
    settings: TopoSettings, covariance: Float[np.ndarray, "d d"], rng: np.random.Generator
) -> Int[np.ndarray, "s d"]:
    """The orders that are searched from: that of `start`, then random ones."""
    d = len(covariance)
    if settings.start == "random":
        first = rng.permutation(d)
    elif settings.start == "eqvar":
        first = equal_variance_order(with_ridge(covariance, settings.ridge))
    else:
        first = variance_order(covariance)
    others = [rng.permutation(d) for _ in range(settings.n_starts)]
    return np.stack([first, *others]).astype(np.int64)


@checked
def topo(
    X: Any = None,
    *,
    covariance: Any = None,
    order: Any = None,
    settings: TopoSettings | None = None,
    seed: Any = 0,
) -> TopoState:
    """Search over orders for the acyclic graph of least score.

        minimise    Q(W)   over weighted graphs W on d variables
        subject to  W is acyclic

    Args:
        X: (n, d) data, one column a variable; columns are centred (not for "logistic").
        covariance: (d, d) instead of X, for the linear model without l1.
        order: (d,) the only order to search from; None: those that the settings name.
        settings: How it searches; None: the defaults.
        seed: Of the random first orders and the networks' first parameters.

    Returns:
        The state at the end: `best` has the order, the score Q and the dense W.

    Raises:
        ArgumentError: Both or neither of X and covariance, a constant column, a singular covariance
            (ridge > 0 helps), an order that is no permutation, sizes out of range.
        ShapeError: Fewer than 2 rows or columns.
        NotFinite: NaN or infinities.

    Example:
        >>> import numpy as np
        >>> W = np.array([[0.0, 1.5, 0.0], [0.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
        >>> inverse = np.linalg.inv(np.eye(3) - W)
        >>> found = topo(covariance=inverse.T @ inverse).best
        >>> found.order.tolist(), round(found.score, 6)
        ([0, 1, 2], 1.5)

    References:
        Deng, Bello, Aragam, Ravikumar, ICML 2023, arXiv 2305.17277.
    """
    settings = settings or TopoSettings()
    if (X is None) == (covariance is None):
        raise ArgumentError(
            "expected either X or covariance, got " + ("both" if X is not None else "neither")
        )
    x = None if X is None else table(X)
    found = checked_covariance(covariance) if x is None else covariance_of(x)
    d = len(found)
    settings.sizes(d)
    rng = generator("seed", seed)
    starts = first_orders(settings, found, rng) if order is None else permutation(order, d)[None]
    model = model_of(settings, x, found, int(rng.integers(2**31)))
    return search(model, starts, settings)
