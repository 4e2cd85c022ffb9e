"""Derivatives of functions that nobody differentiated: by differences, or by torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse as sp

from ..core.errors import ArgumentError, ArgumentTypeError, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

STEPS = {"2-point": np.finfo(float).eps ** (1 / 2), "3-point": np.finfo(float).eps ** (1 / 3)}
"""Relative step of each rule of differences."""
DENSE = 1_000_000
"""Entries of a matrix up to which it is held densely for a moment."""
RULES = ("2-point", "3-point")
"""The rules of differences, by SciPy's names."""


def vector(value: Any, name: str, size: int | None = None) -> Float[np.ndarray, " k"]:
    """What a user's function returned, as a vector of real numbers.

    Args:
        value: A number, a sequence, an array, a torch tensor or a sparse row.
        name: What returned it, for errors.
        size: How many numbers there must be; None: any.

    Raises:
        ArgumentTypeError: It holds no real numbers.
        ShapeError: There are more or fewer than `size`.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if sp.issparse(value):
        value = value.toarray()
    found = np.asarray(value)
    if found.dtype.kind not in "fiub":
        raise ArgumentTypeError(f"{name} returned {found.dtype} values, expected real numbers")
    found = found.astype(np.float64).reshape(-1)
    if size is not None and len(found) != size:
        raise ShapeError(f"{name} returned {len(found)} numbers, expected {size}")
    return found


def matrix(value: Any, name: str, shape: tuple[int, int]) -> sp.csr_array:
    """What a user's function returned, as compressed rows in their canonical order.

    Args:
        value: A dense or sparse matrix of any format, with entries in any order; one row may be a
            vector.
        name: What returned it, for errors.
        shape: The shape that it must have.

    Raises:
        ArgumentTypeError: It holds no real numbers.
        ShapeError: Another shape.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    found = value if sp.issparse(value) else np.asarray(value)
    if found.dtype.kind not in "fiub":
        raise ArgumentTypeError(f"{name} returned {found.dtype} values, expected real numbers")
    if found.ndim == 1 and shape[0] == 1:
        found = found.reshape(1, -1)
    if found.shape != shape:
        raise ShapeError(f"{name} returned shape {found.shape}, expected {shape}")
    rows = sp.csr_array(found, dtype=np.float64, copy=True)
    rows.sum_duplicates()
    return rows


def entries(
    found: sp.csr_array, places: tuple[Int[np.ndarray, " e"], Int[np.ndarray, " e"]]
) -> Float[np.ndarray, " e"]:
    """A matrix's entries at some places, (e,).

    Raises:
        ArgumentError: It has an entry that is not 0 elsewhere.
    """
    if not len(places[0]):
        return np.zeros(0)
    whole = found.shape[0] * found.shape[1] <= DENSE
    values = np.asarray((found.toarray() if whole else found)[places]).reshape(-1)
    if np.count_nonzero(found.data) > np.count_nonzero(values):
        raise ArgumentError(
            "a derivative has an entry where none was at x0 and the points about it; give the "
            "sparsity (finite_diff_jac_sparsity), or store zeros where there may be entries"
        )
    return values


def colours(pattern: sp.sparray) -> Int[np.ndarray, " n"]:
    """A number for each column, such that columns of one number share no row.

    Greedy, densest columns first; the differences of one number's columns come from one point.

    Args:
        pattern: (m, n) with an entry wherever the Jacobian may have one.

    References:
        A. R. Curtis, M. J. D. Powell, J. K. Reid, On the estimation of sparse Jacobian matrices,
        J. Inst. Maths Applics 13 (1974).
    """
    columns = sp.csc_array(pattern)
    taken: list[np.ndarray] = []
    found = np.zeros(columns.shape[1], dtype=int)
    for j in np.argsort(-np.diff(columns.indptr), kind="stable"):
        rows = columns.indices[columns.indptr[j] : columns.indptr[j + 1]]
        colour = next((k for k, used in enumerate(taken) if not used[rows].any()), len(taken))
        if colour == len(taken):
            taken.append(np.zeros(columns.shape[0], dtype=bool))
        taken[colour][rows] = True
        found[j] = colour
    return found


def differences(
    function: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " k"]],
    x: Float[np.ndarray, " n"],
    bounds: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    rule: str = "2-point",
    at_x: Float[np.ndarray, " k"] | None = None,
    pattern: sp.csr_array | None = None,
    step: float | None = None,
) -> sp.csr_array | Float[np.ndarray, "k n"]:
    """The Jacobian of a vector function by differences inside its bounds.

    Args:
        function: From (n,) to (k,).
        x: (n,) where.
        bounds: (n,) lower and (n,) upper; no point outside is asked for.
        rule: "2-point": forward or, at the upper bound, backward. "3-point": central or, at a
            bound, one-sided of second order; where neither fits, "2-point".
        at_x: (k,) the value at x, where it is known.
        pattern: (k, n) where there may be entries: columns that share no row are moved together;
            None: one point for each column.
        step: Relative step; None for the rule's own, which suits values without noise.

    Returns:
        (k, n), sparse where there is a pattern. The column of a variable that its bounds fix is 0.
    """
    low, high = bounds
    relative = STEPS[rule] if step is None else step
    move = relative * np.maximum(1.0, np.abs(x)) * np.where(x < 0, -1.0, 1.0)
    move = (x + move) - x  # what is added in floating point

    def inside(z: Float[np.ndarray, " n"]) -> np.ndarray:
        return (z >= low) & (z <= high)

    central = inside(x + move) & inside(x - move) & (rule == "3-point")
    farther = np.where(high - x >= x - low, high - x, low - x)
    move = np.where(inside(x + move), move, np.where(inside(x - move), -move, farther))
    ahead_only = ~central & inside(x + 2 * move) & (rule == "3-point")
    other = np.where(central, -move, np.where(ahead_only, 2 * move, 0.0))
    groups = np.arange(len(x)) if pattern is None else colours(pattern)
    at_x = function(x) if at_x is None else at_x
    near = np.zeros((len(at_x), int(groups.max(initial=-1)) + 1))
    far = np.zeros_like(near)
    for group in range(near.shape[1]):
        mine = groups == group
        near[:, group] = function(x + move * mine)
        far[:, group] = function(x + other * mine) if (other * mine).any() else at_x
    # forward (f1 - f0) / h, central (f1 - f-1) / 2 h, one-sided (4 f1 - f2 - 3 f0) / 2 h
    first, second, base = 1 + 3.0 * ahead_only, 1.0 * (central | ahead_only), 1.0 - central
    base = np.where(ahead_only, 3.0, base)
    width = np.where(move == 0, np.inf, move * (1 + second))
    if pattern is None:
        return (first * near - second * far - base * at_x[:, None]) / width
    rows, columns = pattern.nonzero()
    group = groups[columns]
    data = first[columns] * near[rows, group] - second[columns] * far[rows, group]
    data = (data - base[columns] * at_x[rows]) / width[columns]
    return sp.csr_array((data, (rows, columns)), shape=pattern.shape)


# -- torch -----------------------------------------------------------------------------------------


def torch_value(function: Callable[[Any], Any], x: Float[np.ndarray, " n"]) -> Tensor:
    """The value of a function of tensors at x, in double precision."""
    import torch

    return torch.as_tensor(function(torch.tensor(x, dtype=torch.float64)))


def torch_jacobian(
    function: Callable[[Any], Any], x: Float[np.ndarray, " n"], size: int | None
) -> Float[np.ndarray, "k n"]:
    """The Jacobian of a function of tensors, (k, n); of a scalar (size None) its gradient, (n,)."""
    import torch

    def flat(z: Tensor) -> Tensor:
        value = torch.as_tensor(function(z)).to(torch.float64)
        return value.reshape(()) if size is None else value.reshape(size)

    found = torch.func.jacrev(flat)(torch.tensor(x, dtype=torch.float64))
    return found.detach().numpy()


def torch_hessian(
    function: Callable[[Any], Any], x: Float[np.ndarray, " n"], weights: np.ndarray | float
) -> Float[np.ndarray, "n n"]:
    """The Hessian of weights . function(x) of tensors."""
    import torch

    return torch.func.hessian(_weighted(function, weights))(
        torch.tensor(x, dtype=torch.float64)
    ).numpy()


def torch_product(
    function: Callable[[Any], Any],
    x: Float[np.ndarray, " n"],
    weights: np.ndarray | float,
    v: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """The Hessian of weights . function(x) times v, without the Hessian."""
    import torch

    gradient = torch.func.grad(_weighted(function, weights))
    at = torch.tensor(x, dtype=torch.float64)
    return torch.func.jvp(gradient, (at,), (torch.tensor(v, dtype=torch.float64),))[1].numpy()


def _weighted(function: Callable[[Any], Any], weights: Any) -> Callable[[Tensor], Tensor]:
    """Return weights . function as a scalar function of a tensor."""
    import torch

    given = torch.as_tensor(np.atleast_1d(weights), dtype=torch.float64)

    def scalar(z: Tensor) -> Tensor:
        value = torch.as_tensor(function(z)).to(torch.float64).reshape(len(given))
        return given @ value

    return scalar
