"""Gradient descent that a walking token carries: at each node it uses that node's data.

    theta_{n+1} = theta_n + beta_{n+1} H(theta_n, X_{n+1}),  H(theta, i) = -grad F(theta, i),
    beta_n = (n + 1)^-b

References:
    Hu, Doshi, Eun, ICLR 2024, arXiv 2401.09665.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.annotations import checked
from ...core.checks import floats, real, whole
from ...core.errors import ArgumentTypeError, NotFinite, ShapeError
from .compiled import descend
from .losses import NodeLosses
from .settings import WalkSettings
from .walk import MOST_HOPS, Walk

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int

    Gradient = Callable[[Float[np.ndarray, " d"], Hashable], Any]
    Move = Callable[[Float[np.ndarray, " d"], Int[np.ndarray, " steps"], int], None]
    """Changes theta by the gradients of nodes, given their rows and how many came before."""
    Optimizer = Callable[[list[torch.Tensor]], torch.optim.Optimizer]

MOST_STEPS, MOST_WALKERS = 10**12, 10**6
POINTS = 100
"""Points of the trace."""


@dataclass(frozen=True)
class TokenResult:
    """What tokens found.

    Attributes:
        theta: (d,) the mean over the tokens.
        thetas: (k, d) each token's own.
        visits: Visits by node, over all tokens.
        steps: (m,) hops at which the trace was taken, geometrically spaced.
        trace: (m, k, d) theta of each token there.
    """

    theta: Float[np.ndarray, " d"]
    thetas: Float[np.ndarray, "k d"]
    visits: Mapping[Hashable, int]
    steps: Int[np.ndarray, " m"]
    trace: Float[np.ndarray, "m k d"]


@checked
def token_sgd(
    gradient: Gradient | NodeLosses,
    walk: Walk,
    theta0: Any,
    n_steps: int,
    b: float = WalkSettings().b,
    n_walkers: int = 1,
    optimizer: Optimizer | None = None,
) -> TokenResult:
    """Minimise f(theta) = sum_i mu_i F(theta, i) along the walk of a token.

    Case (i) of the theory is a < b, where a is the walk's; (ii) a = b; (iii) a > b.

    Args:
        gradient: (theta, label) -> (d,) the gradient of that node's F, or a `NodeLosses`, which is
            compiled. Gradients are multiplied by `walk.weights`.
        walk: The token's walk; it is moved on.
        theta0: (d,) the start, or a number where d = 1.
        n_steps: Hops of each token.
        b: Exponent of beta_n, in (0.5, 1].
        n_walkers: Tokens, each with a measure x, a generator and a first node of its own; their
            theta is averaged at the end.
        optimizer: Makes a torch optimiser of a list of one tensor: it takes the place of the step
            beta_n, so that momentum, Nesterov's or Adam's method is driven by the walk.

    Raises:
        ShapeError: A gradient has another shape than theta; names the node.
        NotFinite: A gradient has a NaN or an infinity; names the node and the hop.
        ArgumentError: b or a count is out of range.

    Example:
        >>> import networkx as nx
        >>> from feasible.networks import SelfRepellentWalk, token_sgd
        >>> walk = SelfRepellentWalk(nx.path_graph(["left", "middle", "right"]), seed=1)
        >>> held = {"left": 0.0, "middle": 3.0, "right": 6.0}
        >>> found = token_sgd(lambda theta, node: theta - held[node], walk, 0.0, 20_000)
        >>> bool(abs(found.theta[0] - 3.0) < 0.05)
        True
    """
    if not isinstance(walk, Walk):
        raise ArgumentTypeError(f"walk={walk!r:.60}: expected a Walk such as SelfRepellentWalk")
    if not (callable(gradient) or isinstance(gradient, NodeLosses)):
        raise ArgumentTypeError(f"gradient={gradient!r:.60}: expected a function or a NodeLosses")
    if not (optimizer is None or callable(optimizer)):
        raise ArgumentTypeError(f"optimizer={optimizer!r:.60}: expected a function, or None")
    b = real("b", b, above=0.5, most=1)
    n_steps = whole("n_steps", n_steps, least=1, most=MOST_STEPS)
    k = whole("n_walkers", n_walkers, least=1, most=MOST_WALKERS)
    start = np.atleast_1d(floats("theta0", theta0)).astype(float)
    if start.ndim != 1:
        raise ShapeError(f"theta0 has shape {start.shape}: expected (d,)")
    if not np.isfinite(start).all():
        raise NotFinite("theta0 has a NaN or an infinity: expected finite numbers")
    if isinstance(gradient, NodeLosses):
        gradient = gradient.on(walk.chain.network)
        if gradient.features.shape[1] != len(start):
            raise ShapeError(
                f"theta0 has {len(start)} entries, and features {gradient.features.shape[1]}"
            )
    steps = np.unique(np.geomspace(1, n_steps, POINTS).astype(np.int64))
    walks = [walk] if k == 1 else walk.spawn(k)
    trace = np.empty((len(steps), k, len(start)))
    visits = np.zeros(len(walk.nodes), dtype=np.int64)
    for w, one in enumerate(walks):
        theta, done, uses = start.copy(), 0, 0
        if optimizer is None:
            move = stepping(gradient, one, b)
        else:
            move = _optimizing(gradient, one, start, optimizer)
        for point, until in enumerate(steps.tolist()):
            while done < until:  # in pieces, so that memory does not grow with n_steps
                rows, used = one.visits(min(until - done, MOST_HOPS))
                move(theta, used, uses)
                done, uses = done + len(rows), uses + len(used)
                visits += np.bincount(rows, minlength=len(visits))
            trace[point, w] = theta
    thetas = trace[-1].copy()
    counts = dict(zip(walk.nodes, visits.tolist(), strict=True))
    return TokenResult(thetas.mean(axis=0), thetas, counts, steps, trace)


def stepping(gradient: Gradient | NodeLosses, walk: Walk, b: float) -> Move:
    """Return what takes the steps beta_n of visited nodes.

    Args:
        gradient: A function, or losses by row of the walk's network.
        walk: The walk.
        b: Exponent of beta_n.
    """
    if isinstance(gradient, NodeLosses):
        return partial(_descend_by, gradient, walk.weights, b)
    return partial(_descend_calling, gradient, walk, b)


def _descend_by(
    losses: NodeLosses,
    weights: Float[np.ndarray, " n"],
    b: float,
    theta: Float[np.ndarray, " d"],
    rows: Int[np.ndarray, " steps"],
    done: int,
) -> None:
    """Take the steps of visited nodes, compiled; theta is changed."""
    ridge = float(losses.ridge)
    descend(losses.features, losses.targets, losses.kind, ridge, weights, b, rows, theta, done)


def _descend_calling(
    gradient: Gradient,
    walk: Walk,
    b: float,
    theta: Float[np.ndarray, " d"],
    rows: Int[np.ndarray, " steps"],
    done: int,
) -> None:
    """Take the steps of visited nodes by a function of the user's; theta is changed."""
    seen = theta.view()
    seen.flags.writeable = False
    for n, row in enumerate(rows.tolist(), done):
        slope = _called(gradient, seen, walk, row)
        theta -= (n + 2.0) ** -b * walk.weights[row] * slope


def _optimizing(
    gradient: Gradient | NodeLosses,
    walk: Walk,
    start: Float[np.ndarray, " d"],
    optimizer: Optimizer,
) -> Move:
    """Return what takes the steps of a torch optimiser."""
    import torch

    held = torch.tensor(start)
    made = optimizer([held])

    def move(theta: Float[np.ndarray, " d"], rows: Int[np.ndarray, " steps"], done: int) -> None:
        for row in rows.tolist():
            slope = _called(gradient, held.numpy().copy(), walk, row)
            held.grad = torch.from_numpy(walk.weights[row] * slope)
            made.step()
        theta[:] = held.numpy()

    return move


def _called(
    gradient: Gradient | NodeLosses, theta: Float[np.ndarray, " d"], walk: Walk, row: int
) -> Float[np.ndarray, " d"]:
    """Return the gradient of a node, or raise an error that names it."""
    node = walk.nodes[row]
    if isinstance(gradient, NodeLosses):
        value = gradient.gradients(theta, [row])[0]
    else:
        value = gradient(theta, node)
    found = np.atleast_1d(floats(f"gradient of node {node!r}", value))
    if found.shape != theta.shape:
        raise ShapeError(
            f"gradient of node {node!r} has shape {found.shape}: expected {theta.shape}"
        )
    if not np.isfinite(found).all():
        raise NotFinite(f"gradient of node {node!r} has a NaN or an infinity")
    return found
