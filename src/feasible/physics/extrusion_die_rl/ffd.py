"""Free-form deformation: the points of a box follow a net of control points.

    X(xi, eta) = sum_ij B_i(xi) B_j(eta) C_ij,    B Bernstein polynomials

A net on the regular grid is the identity, and an affine net an affine map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import comb

from ...core.checks import floats, whole
from ...core.errors import ArgumentError, BoundsError, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float

    Points = Float[np.ndarray, "n 2"]
    Net = Float[np.ndarray, "i j 2"]


class FFD:
    """Free-form deformation of a box by a net of (p + 1) x (q + 1) control points.

    Args:
        box: ((x0, x1), (y0, y1)).
        degree: (p, q), degrees of the Bernstein polynomials, each in [1, 20].

    Attributes:
        net: (p + 1, q + 1, 2) the regular net, which is the identity.

    Raises:
        BoundsError: A box without an inside.
        ArgumentError: A degree out of range.

    Example:
        >>> import numpy as np
        >>> ffd = FFD(((0, 1), (0, 1)), degree=(2, 2))
        >>> net = ffd.net.copy()
        >>> net[2, 2, 0] += 0.5
        >>> ffd.deform(np.array([[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]), net).tolist()
        [[1.5, 1.0], [0.0, 0.0], [2.0, 2.0]]

    References:
        Sederberg, Parry, SIGGRAPH 1986.
    """

    def __init__(self, box: Any, degree: tuple[int, int] = (2, 2)):
        self.box = floats("box", box)
        if self.box.shape != (2, 2):
            raise ShapeError(f"box has shape {self.box.shape}: expected ((x0, x1), (y0, y1))")
        if not np.isfinite(self.box).all() or (self.box[:, 0] >= self.box[:, 1]).any():
            raise BoundsError(f"box={self.box.tolist()}: expected finite x0 < x1 and y0 < y1")
        if not isinstance(degree, (tuple, list)) or len(degree) != 2:
            raise ArgumentError(f"degree={degree!r:.40}: expected two whole numbers")
        self.degree = tuple(whole("degree", d, least=1, most=20) for d in degree)
        sides = zip(self.box.tolist(), self.degree, strict=True)
        lines = [np.linspace(low, high, d + 1) for (low, high), d in sides]
        self.net: Net = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)

    def weights(self, points: Any) -> Float[np.ndarray, "n i j"]:
        """(n, p + 1, q + 1) what each control point counts at points inside the box; of sum 1."""
        at = floats("points", points)
        share = (at - self.box[:, 0]) / (self.box[:, 1] - self.box[:, 0])
        along = [
            comb(d, np.arange(d + 1))
            * share[:, k : k + 1] ** np.arange(d + 1)
            * (1 - share[:, k : k + 1]) ** (d - np.arange(d + 1))
            for k, d in enumerate(self.degree)
        ]
        return along[0][:, :, None] * along[1][:, None, :]

    def deform(self, points: Any, net: Any) -> Points:
        """(n, 2) where points go; those outside the box stay, bit for bit.

        Args:
            points: (n, 2).
            net: (p + 1, q + 1, 2) the control points.

        Raises:
            ShapeError: Arrays of other shapes.
            NotFinite: A NaN or an infinity.
        """
        at, C = floats("points", points), floats("net", net)
        if at.ndim != 2 or at.shape[1] != 2:
            raise ShapeError(f"points have shape {at.shape}: expected (n, 2)")
        if C.shape != self.net.shape:
            raise ShapeError(f"net has shape {C.shape}: expected {self.net.shape}")
        if not (np.isfinite(at).all() and np.isfinite(C).all()):
            raise NotFinite("points and net: expected finite numbers")
        inside = ((at >= self.box[:, 0]) & (at <= self.box[:, 1])).all(axis=1)
        found = at.copy()
        moved = np.einsum("nij,ijk->nk", self.weights(at[inside]), C - self.net)
        found[inside] += moved  # the identity exactly where the net is regular
        return found
