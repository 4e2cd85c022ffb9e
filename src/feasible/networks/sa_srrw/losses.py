"""What the nodes hold: a row of features and a target each, and a loss of their margin.

    f(theta) = sum_i mu_i F(theta, i),  F(theta, i) = loss(<z_i, theta>, y_i) + ridge |theta|^2 / 2

with loss(m, y) = (m - y)^2 / 2, or log(1 + exp(-y m)) for y in {-1, 1}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from ...core.checks import floats, one_of, real
from ...core.errors import ArgumentError, NotFinite, ShapeError
from ..graph import Network
from .compiled import LOGISTIC, SQUARES

if TYPE_CHECKING:
    from jaxtyping import Float

KINDS = {"squares": SQUARES, "logistic": LOGISTIC}
NEWTON_STEPS = 100


@dataclass
class NodeLosses:
    """A loss of a linear model at each node.

    Attributes:
        features: z_i by node, d numbers each: a mapping of labels, or (n, d) where the nodes are 0
            to n - 1.
        targets: y_i by node; -1 or 1 of the logistic loss.
        loss: "squares" or "logistic".
        ridge: Factor of |theta|^2 / 2, >= 0.

    Example:
        >>> losses = NodeLosses([[1.0], [1.0]], [0.0, 2.0])  # (theta - y_i)^2 / 2
        >>> losses.solution(np.array([0.5, 0.5])).tolist()
        [1.0]
    """

    features: Any
    targets: Any
    loss: str = "squares"
    ridge: float = 0.0

    def __post_init__(self) -> None:
        one_of("loss", self.loss, KINDS)
        self.ridge = real("ridge", self.ridge, least=0)

    def on(self, network: Network) -> NodeLosses:
        """Return them by row of a network.

        Args:
            network: The nodes.

        Raises:
            ArgumentError: A node lacks its data, or a logistic target is not -1 or 1.
            ShapeError: Rows of features of different sizes.
        """
        rows = network.rows_of("features", self.features)
        features = floats("features", rows)
        targets = floats("targets", network.rows_of("targets", self.targets))
        if features.ndim != 2 or not features.shape[1]:
            raise ShapeError(f"features have shape {features.shape}: expected ({network.n}, d)")
        if targets.shape != (network.n,):
            raise ShapeError(f"targets have shape {targets.shape}: expected ({network.n},)")
        for name, value in (("features", features), ("targets", targets)):
            bad = ~np.isfinite(value).reshape(network.n, -1).all(axis=1)
            if bad.any():
                node = network.nodes[int(bad.argmax())]
                raise NotFinite(f"{name} of node {node!r}: expected finite numbers")
        if self.loss == "logistic" and not np.isin(targets, (-1.0, 1.0)).all():
            raise ArgumentError("targets: expected -1 or 1 for the logistic loss")
        return NodeLosses(features, targets, self.loss, self.ridge)

    @property
    def kind(self) -> int:
        """The loss, as compiled code has it."""
        return KINDS[self.loss]

    def value(self, theta: Float[np.ndarray, " d"], mu: Float[np.ndarray, " n"]) -> float:
        """Return f(theta)."""
        margin = self.features @ theta
        if self.loss == "squares":
            each = (margin - self.targets) ** 2 / 2
        else:
            each = np.logaddexp(0.0, -self.targets * margin)
        return float(mu @ each + self.ridge * (theta @ theta) / 2)

    def gradients(
        self, theta: Float[np.ndarray, " d"], rows: slice | Sequence[int] = slice(None)
    ) -> Float[np.ndarray, "k d"]:
        """Return the gradient of F(., i) at theta, of each node or of those in some rows."""
        features, targets = self.features[rows], self.targets[rows]
        margin = features @ theta
        if self.loss == "squares":
            slope = margin - targets
        else:
            slope = -targets * expit(-targets * margin)
        return slope[:, None] * features + self.ridge * theta

    def hessian(
        self, theta: Float[np.ndarray, " d"], mu: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, "d d"]:
        """Return the Hessian of f at theta."""
        bend = np.ones(len(mu))
        if self.loss == "logistic":
            share = expit(self.features @ theta)
            bend = share * (1 - share)
        curved = (self.features * (mu * bend)[:, None]).T @ self.features
        return curved + self.ridge * np.eye(len(theta))

    def solution(self, mu: Float[np.ndarray, " n"]) -> Float[np.ndarray, " d"]:
        """Return theta*, where the gradient of f is 0, by Newton steps that are halved as need be.

        Raises:
            ArgumentError: It has none: features that do not span the space, without a ridge.
        """
        features = np.asarray(self.features, dtype=float)
        ours = NodeLosses(features, np.asarray(self.targets, dtype=float), self.loss, self.ridge)
        theta = np.zeros(features.shape[1])
        for _ in range(NEWTON_STEPS):
            slope = mu @ ours.gradients(theta)
            try:
                step = np.linalg.solve(ours.hessian(theta, mu), slope)
            except np.linalg.LinAlgError:
                break
            if not np.linalg.norm(step) > 1e-14 * max(1.0, float(np.linalg.norm(theta))):
                return theta
            t, before = 1.0, ours.value(theta, mu)
            while (
                ours.value(theta - t * step, mu) > before - 1e-4 * t * (slope @ step) and t > 1e-3
            ):
                t /= 2
            theta = theta - (t if t > 1e-3 else 1.0) * step
        if np.linalg.norm(mu @ ours.gradients(theta)) < 1e-10:
            return theta
        raise ArgumentError(
            "losses have no minimiser that Newton's method finds: expected ridge > 0"
        )
