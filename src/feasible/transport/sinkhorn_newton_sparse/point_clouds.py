"""Entropic transport between point clouds, and Wasserstein distances between images or histograms.

    OT_reg(p, q) = min  sum P C + reg KL(P | p q')   over P >= 0 with P 1 = p,  P' 1 = q
    S(p, q)      = OT_reg(p, q) - OT_reg(p, p) / 2 - OT_reg(q, q) / 2

S is the Sinkhorn divergence: zero for p = q, and nearer to the unregularised cost than OT_reg,
which is always above it. All are solved by `sinkhorn_newton`.

References:
    Genevay, Peyré, Cuturi, AISTATS 2018; Feydy, Séjourné, Vialard, Amari, Trouvé, Peyré, AISTATS
    2019.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ...core.annotations import checked
from ...core.checks import one_of, real
from ...core.errors import ArgumentError, ShapeError, nearest
from ..arrays import is_torch, plain, stacked
from .coupling import Coupling, Couplings
from .settings import SinkhornNewtonSettings
from .sinkhorn_newton import sinkhorn_newton

if TYPE_CHECKING:
    from jaxtyping import Float

REG, TOL = 1e-4, 1e-9
"""Of Wasserstein distances: the entropy's weight as a share of the largest cost, and the error of
the marginals.
"""
Named = Literal[
    "sqeuclidean",
    "euclidean",
    "cityblock",
    "chebyshev",
    "cosine",
    "correlation",
    "canberra",
    "braycurtis",
    "jensenshannon",
    "hamming",
]
"""Cost names, as SciPy has them."""
COSTS = get_args(Named)
Ground = Named | Callable[[Any, Any], Any]
"""A name, or a function of x and y that returns their costs (n, m)."""


def cost_of_points(x: Any, y: Any, cost: Ground | str = "sqeuclidean") -> Any:
    """Costs of points; of torch tensors a tensor in double precision, with a gradient.

    Args:
        x: (n, d), or (batch, n, d).
        y: (m, d), or (batch, m, d).
        cost: One of `COSTS`, or a function of x and y (arrays or tensors, as given, one batch
            entry at a time) that returns their costs (n, m).

    Returns:
        (n, m), or (batch, n, m).

    Raises:
        ArgumentError: Another cost.
        ShapeError: Dimensions or batches that differ.
        NotFinite: Points with NaN or infinities.

    Examples:
        >>> cost_of_points([[0.0], [1.0]], [[3.0]]).tolist()
        [[9.0], [4.0]]
    """
    if not callable(cost) and not (isinstance(cost, str) and cost in COSTS):
        raise ArgumentError(f"cost={cost!r}: {nearest(str(cost), COSTS)}, or a function of x and y")
    shapes = [tuple(p.shape) if is_torch(p) else np.shape(p) for p in (x, y)]
    for name, points, shape in (("x", x, shapes[0]), ("y", y, shapes[1])):
        if len(shape) not in (2, 3) or 0 in shape:
            raise ShapeError(
                f"{name} has shape {shape}, expected (points, dimensions), or a batch of these, "
                "with at least one each"
            )
        plain(points, name)
    if (
        len(shapes[0]) != len(shapes[1])
        or shapes[0][-1] != shapes[1][-1]
        or shapes[0][:-2] != shapes[1][:-2]
    ):
        raise ShapeError(
            f"x has shape {shapes[0]} and y {shapes[1]}: expected the same dimensions, and batches "
            "of one size"
        )
    if callable(cost):
        return _own_cost(x, y, cost, shapes)
    if is_torch(x) or is_torch(y):
        return _torch_cost(x, y, cost)
    from scipy.spatial.distance import cdist

    x, y = plain(x, "x"), plain(y, "y")
    if x.ndim == 3:
        return np.stack([cdist(p, q, cost) for p, q in zip(x, y, strict=True)])
    return cdist(x, y, cost)


def _own_cost(
    x: Any, y: Any, cost: Callable[[Any, Any], Any], shapes: list[tuple[int, ...]]
) -> Any:
    """The costs that a function gives, of each pair of a batch.

    Raises:
        ShapeError: They have another shape than (n, m).
    """
    n, m = shapes[0][-2], shapes[1][-2]
    pairs = zip(x, y, strict=True) if len(shapes[0]) == 3 else [(x, y)]
    found = [cost(p, q) for p, q in pairs]
    for one in found:
        if tuple(np.shape(one)) != (n, m):
            raise ShapeError(f"cost(x, y) has shape {tuple(np.shape(one))}, expected ({n}, {m})")
    return stacked(found) if len(shapes[0]) == 3 else found[0]


def _torch_cost(x: Any, y: Any, cost: str) -> Any:
    """`cost_of_points` of tensors."""
    import torch

    device = x.device if is_torch(x) else y.device
    x, y = (torch.as_tensor(p, dtype=torch.float64, device=device) for p in (x, y))
    if cost == "sqeuclidean":
        middle = x.detach().mean(
            -2, keepdim=True
        )  # keeps the cancellation of |x|^2 + |y|^2 - 2 x'y small
        x, y = x - middle, y - middle
        square = (x * x).sum(-1).unsqueeze(-1) + (y * y).sum(-1).unsqueeze(-2) - 2 * x @ y.mT
        return square.clamp_min(0)
    if cost in ("cosine", "correlation"):
        if cost == "correlation":
            x, y = (p - p.mean(-1, keepdim=True) for p in (x, y))
        return (
            1
            - torch.nn.functional.normalize(x, dim=-1) @ torch.nn.functional.normalize(y, dim=-1).mT
        )
    if cost in ("canberra", "braycurtis", "jensenshannon", "hamming"):
        return _entrywise(x.unsqueeze(-2), y.unsqueeze(-3), cost)
    power = {"euclidean": 2.0, "cityblock": 1.0, "chebyshev": float("inf")}[cost]
    return torch.cdist(x, y, p=power, compute_mode="donot_use_mm_for_euclid_dist")


def _entrywise(p: Any, q: Any, cost: str) -> Any:
    """Costs that are sums over the entries of both points, of tensors that broadcast."""
    import torch

    if cost == "hamming":
        return (p != q).double().mean(-1)
    if cost == "jensenshannon":
        p, q = (r / r.sum(-1, keepdim=True) for r in (p, q))
        middle = (p + q) / 2
        halves = torch.special.entr(middle) - (torch.special.entr(p) + torch.special.entr(q)) / 2
        return halves.sum(-1).clamp_min(0).sqrt()
    apart, size = (p - q).abs(), p.abs() + q.abs()
    if cost == "canberra":
        return (apart / torch.where(size > 0, size, 1.0)).sum(-1)
    return apart.sum(-1) / (p + q).abs().sum(-1)


@checked
def sinkhorn_newton_points(
    x: Any,
    y: Any,
    a: Any = None,
    b: Any = None,
    *,
    cost: Ground = "sqeuclidean",
    reg: float | None = None,
    eta: float | None = None,
    relative: bool = False,
    tol: float = SinkhornNewtonSettings.tol,
    density: float | Literal["auto"] = SinkhornNewtonSettings.density,
    warmstart: tuple[Any, Any] | None = None,
    mask: Any = None,
) -> Coupling | Couplings:
    """Entropic transport between two point clouds.

        minimise    sum P C(x, y) + reg sum P log P
        subject to  P >= 0,  P 1 = a,  P' 1 = b

    Args:
        x: (n, d) points; a leading axis of x and y makes a batch.
        y: (m, d) points.
        a: (n,) masses of x; None for uniform ones.
        b: (m,) masses of y; None for uniform ones.
        cost: One of `COSTS`, or a function of x and y that returns their costs (n, m); with a
            gradient where torch can follow it.
        reg: Weight of the entropy, in the cost's unit.
        eta: 1 / reg, in its place.
        relative: reg is a share of the largest cost.
        tol: As in `sinkhorn_newton`.
        density: As in `sinkhorn_newton`.
        warmstart: As in `sinkhorn_newton`.
        mask: As in `sinkhorn_newton`.

    Returns:
        As `sinkhorn_newton`. Of torch tensors, `value` has a gradient with respect to x, y, a and b
        where they require one.

    Raises:
        ArgumentError: Another cost; settings; masses.
        ArgumentTypeError: What is no number.
        ShapeError: Shapes that do not fit.
        NotFinite: Points or masses with NaN or infinities.

    Examples:
        >>> import numpy as np
        >>> from feasible.transport import sinkhorn_newton_points
        >>> x = np.array([[0.0], [1.0]])
        >>> sinkhorn_newton_points(x, x + 3.0, reg=0.01).plan.round(3)
        array([[0.5, 0. ],
               [0. , 0.5]])
    """
    found = sinkhorn_newton(
        a,
        b,
        cost_of_points(x, y, cost),
        reg,
        eta=eta,
        relative=relative,
        tol=tol,
        density=density,
        warmstart=warmstart,
        mask=mask,
    )
    narrow = next((p for p in (x, y) if is_torch(p) and p.dtype.is_floating_point), None)
    if narrow is not None:
        for each in found if isinstance(found, Couplings) else [found]:
            each.given = narrow
            each.value, each.value_linear = (
                each.value.to(narrow.dtype),
                each.value_linear.to(narrow.dtype),
            )
    return found


def _grid(shape: tuple[int, ...], spacing: float) -> Float[np.ndarray, "n d"]:
    """Coordinates of the cells of an array."""
    return spacing * np.stack([i.ravel() for i in np.indices(shape)], axis=1).astype(float)


def _law(value: Any, name: str) -> Any:
    """An image or histogram as a flat law of mass 1, in kind."""
    array = plain(value, name)
    if array.ndim not in (1, 2, 3) or not array.size:
        raise ShapeError(
            f"{name} has shape {array.shape}, expected a histogram (n,), an image (height, width) "
            "or a volume"
        )
    if array.min() < 0:
        raise ArgumentError(f"{name} has a negative entry, {array.min():g}: masses must be >= 0")
    if not array.sum() > 0:
        raise ArgumentError(f"{name} has no mass: all {array.size} entries are 0")
    if is_torch(value):
        import torch

        flat = value.reshape(-1).to(torch.float64)
        return flat / flat.sum()
    return array.ravel() / array.sum()


def _entropic(p: Any, q: Any, cost: Float[np.ndarray, "n n"], reg: float, tol: float) -> Any:
    """OT_reg of two laws; of torch tensors a tensor with a gradient."""
    laws = [np.asarray(law.detach().cpu()) if is_torch(law) else law for law in (p, q)]
    found = sinkhorn_newton(laws[0], laws[1], cost, reg, tol=tol)
    assert isinstance(found, Coupling)
    logs = [np.log(np.where(law > 0, law, 1.0)) for law in laws]
    value = float(found.value) - reg * float(
        sum(law @ log for law, log in zip(laws, logs, strict=True))
    )
    if not is_torch(p) and not is_torch(q):
        return value
    import torch

    from ..envelope import differentiable

    problem, exact = found.problem, found.exact
    slopes = (
        lambda: problem.extended(exact, 0) - reg * logs[0],
        lambda: problem.extended(exact, 1) - reg * logs[1],
    )
    return differentiable(
        value, (p, q), slopes, torch.float64, p.device if is_torch(p) else q.device
    )


def _monotone(
    p: Float[np.ndarray, " n"], q: Float[np.ndarray, " n"], spacing: float, power: int
) -> tuple[float, Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Least cost of moving p to q on a line under |x - y|^power, and its potentials.

    The monotone coupling is optimal: its cells are met in the order in which the distribution
    functions rise. Where both rise at once, the potentials are the mean of both orders.
    """
    n = len(p)
    rises = np.concatenate([np.cumsum(p)[:-1], np.cumsum(q)[:-1]])
    value, f, g = 0.0, np.zeros(n), np.zeros(n)
    for first in (0, 1):
        which = np.repeat([first, 1 - first], n - 1)
        at = np.roll(rises, -first * (n - 1))
        order = np.argsort(at, kind="stable")
        down = np.concatenate([[False], which[order] == 0])
        i, j = np.cumsum(down), np.arange(2 * n - 1) - np.cumsum(down)
        cost = (spacing * np.abs(i - j)) ** power
        mass = np.maximum(np.diff(np.concatenate([[0.0], at[order], [1.0]])), 0.0)
        value += float(mass @ cost) / 2
        step = np.diff(cost)
        f[1:] += np.cumsum(step[down[1:]]) / 2
        g[1:] += np.cumsum(step[~down[1:]]) / 2
    return value, f, g


def _on_a_line(p: Any, q: Any, spacing: float, power: int) -> Any:
    """`_monotone` of two laws; of torch tensors a tensor with a gradient."""
    first, second = (np.asarray(law.detach().cpu()) if is_torch(law) else law for law in (p, q))
    value, f, g = _monotone(first, second, spacing, power)
    if not is_torch(p) and not is_torch(q):
        return value
    import torch

    from ..envelope import differentiable

    device = p.device if is_torch(p) else q.device
    return differentiable(value, (p, q), (lambda: f, lambda: g), torch.float64, device)


def _wasserstein(
    p: Any, q: Any, ground: Ground, reg: float | None, spacing: float, debias: bool, tol: float
) -> Any:
    """OT_reg, or S where `debias`, of two images under a distance of their cells."""
    shapes = [tuple(v.shape) if is_torch(v) else np.shape(v) for v in (p, q)]
    if shapes[0] != shapes[1]:
        raise ShapeError(f"p has shape {shapes[0]} and q {shapes[1]}: expected one shape")
    laws = _law(p, "p"), _law(q, "q")
    real("tol", tol, above=0, below=1)
    points = _grid(shapes[0], real("spacing", spacing, above=0))
    if reg is None:
        if len(shapes[0]) == 1:
            return _on_a_line(*laws, spacing, 2 if ground == "sqeuclidean" else 1)
        reg = REG
    cost = cost_of_points(points, points, ground)
    weight = real("reg", reg, above=0) * (float(cost.max()) or 1.0)
    value = _entropic(*laws, cost, weight, tol)
    if debias:
        value = (
            value
            - (
                _entropic(laws[0], laws[0], cost, weight, tol)
                + _entropic(laws[1], laws[1], cost, weight, tol)
            )
            / 2
        )
    return value


@checked
def wasserstein_1(
    p: Any,
    q: Any,
    *,
    ground: Literal["euclidean", "cityblock", "chebyshev"] = "euclidean",
    reg: float | None = None,
    spacing: float = 1.0,
    debias: bool = True,
    tol: float = TOL,
) -> Any:
    """Least mean distance over which the mass of p must be moved to make q.

        minimise    sum_ij P_ij d(i, j)   over P >= 0 with P 1 = p,  P' 1 = q

    with a little entropy. Cost and time are those of a (cells x cells) matrix.

    Args:
        p: Histogram (n,), image (height, width) or volume; it is divided by its sum.
        q: The same, of one shape.
        ground: Distance of two cells: "euclidean", "cityblock" or "chebyshev".
        reg: Weight of the entropy, as a share of the largest distance; None: none for histograms
            (n,), whose monotone coupling is exact, else `REG`.
        spacing: Distance of neighbouring cells, in the answer's unit.
        debias: The Sinkhorn divergence S; False: OT_reg, an upper bound.
        tol: L1 error of the marginals.

    Returns:
        A float; of torch tensors a float64 tensor with a gradient with respect to p and q.

    Raises:
        ArgumentError: Masses below zero, or none; settings.
        ShapeError: Shapes that differ, or of more than three axes.
        NotFinite: Masses with NaN or infinities.

    Examples:
        >>> round(wasserstein_1([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]), 6)
        2.0
    """
    one_of("ground", ground, ("euclidean", "cityblock", "chebyshev"))
    return _wasserstein(p, q, ground, reg, spacing, debias, tol)


@checked
def wasserstein_2(
    p: Any,
    q: Any,
    *,
    reg: float | None = None,
    spacing: float = 1.0,
    debias: bool = True,
    squared: bool = False,
    tol: float = TOL,
) -> Any:
    """Root of the least mean squared distance over which the mass of p must be moved to make q.

        minimise    sum_ij P_ij |i - j|^2   over P >= 0 with P 1 = p,  P' 1 = q

    Args:
        p: As in `wasserstein_1`.
        q: As in `wasserstein_1`.
        reg: Weight of the entropy, as a share of the largest squared distance; None as in
            `wasserstein_1`.
        spacing: As in `wasserstein_1`.
        debias: As in `wasserstein_1`.
        squared: Without the root, which has no gradient at p = q.
        tol: As in `wasserstein_1`.

    Returns:
        As `wasserstein_1`.

    Raises:
        ArgumentError: As `wasserstein_1`.
        ShapeError: As `wasserstein_1`.
        NotFinite: As `wasserstein_1`.
    """
    value = _wasserstein(p, q, "sqeuclidean", reg, spacing, debias, tol)
    if is_torch(value):
        value = value.clamp_min(0)
        return value if squared else value.sqrt()
    value = max(value, 0.0)
    return value if squared else float(np.sqrt(value))
