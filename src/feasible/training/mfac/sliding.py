"""The inverse of the damped empirical Fisher matrix of the last m gradients.

    F = lambda I + G'G/m,   G the window of the last m gradients, one a row

E. Frantar, E. Kurtic, D. Alistarh: M-FAC: Efficient Matrix-Free Approximations of Second-Order
Information. NeurIPS 2021, arXiv 2107.03356, section 3.2: O(d m + m^3) to replace a gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.annotations import checked
from ...core.checks import naming, real, whole
from ...core.errors import ArgumentError, NotFinite, ShapeError
from .fisher import DAMP
from .programme import programme

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

METHODS = ("woodbury", "dp")
POWER = 12
"""Products by which the largest eigenvalue is found."""
CANCELLED = 1e-8
"""Below this share of the terms' size a sum's square has lost more than 1e-3 in float32."""


class SlidingFisher:
    """The inverse of lambda I + G'G/m for the last m gradients that were pushed; rows not yet
    filled are zero, and m is the window's size all along.

    Args:
        ngrads: m, >= 1.
        dim: d, >= 1.
        damp: lambda, > 0; with `relative` it is this share of the mean eigenvalue tr(G'G/m)/d
            (itself while G is zero), which keeps steps bounded where gradients vanish.
        method: "woodbury", F^-1 x = (x - G'(m lambda I + GG')^-1 G x)/lambda by one Cholesky
            factorisation; "dp", the paper's dynamic programme. Both compute the m x m part, and the
            products that it is made of, in float64.
        relative: Whether damp is such a share.
        normalised: Divide F by the largest eigenvalue of G'G/m, of which damp is then a share,
            times d/m: the fewer gradients there are for each coordinate, the less their matrix
            says of it. Products then shrink as gradients do: x - lr F^-1 g moves along the steepest
            direction as gradient descent does at the rate lr, and further along others.
        dtype: Of the window.
        device: Of the window.
        rows: (m, d) memory for the window, zeros; made where None.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.

    References:
        Frantar, Kurtic, Alistarh, arXiv 2107.03356, the dynamic algorithm.
    """

    @checked
    def __init__(
        self,
        ngrads: int,
        dim: int,
        damp: float = DAMP,
        *,
        method: str = "woodbury",
        relative: bool = False,
        normalised: bool = False,
        dtype: torch.dtype = torch.float32,
        device: Any = "cpu",
        rows: Float[Tensor, "m d"] | None = None,
    ):
        self.m, self.d = whole("ngrads", ngrads, least=1), whole("dim", dim, least=1)
        self.damp, self.relative = real("damp", damp, above=0), bool(relative)
        if method not in METHODS:
            raise ArgumentError(
                f"method={method!r}: expected {' or '.join(repr(m) for m in METHODS)}"
            )
        if relative and normalised:
            raise ArgumentError(
                "relative=True and normalised=True: expected one of them, as each says what damp "
                "is a share of"
            )
        self.method, self.normalised = method, bool(normalised)
        with naming("ngrads, dim, dtype or device"):
            self.rows: Tensor = (
                torch.zeros(self.m, self.d, dtype=dtype, device=device) if rows is None else rows
            )
        if self.rows.shape != (self.m, self.d):
            raise ShapeError(
                f"rows has shape {tuple(self.rows.shape)}, expected ({self.m}, {self.d})"
            )
        self.gram: Float[Tensor, "m m"] = torch.zeros(self.m, self.m, dtype=torch.float64)
        """S = GG'."""
        self.pushed = 0
        """Gradients pushed so far; the next goes into row pushed mod m."""

    @property
    def largest(self) -> float:
        """The largest eigenvalue of G'G/m, from below, by power iteration on S."""
        v = self.gram[int(self.gram.diagonal().argmax())]
        size = float(torch.linalg.vector_norm(v))
        for _ in range(POWER if size > 0 else 0):
            v = self.gram @ (v / size)
            size = float(torch.linalg.vector_norm(v))
        return size / self.m

    @property
    def scale(self) -> float:
        """What F is divided by."""
        return self.largest or 1.0 if self.normalised else 1.0

    @property
    def level(self) -> float:
        """lambda as it is used now."""
        if self.normalised:
            return self.damp * self.d / self.m * self.largest or self.damp
        trace = float(self.gram.trace()) if self.relative else 0.0
        return self.damp * trace / (self.m * self.d) if trace > 0 else self.damp

    def push(self, g: Float[Tensor, " d"]) -> None:
        """Replace the oldest gradient: O(d m).

        One that is not finite is refused, and the window stays as it is.

        Raises:
            ShapeError: Another shape than (d,).
            NotFinite: A NaN or an infinity.
        """
        g = torch.as_tensor(g, dtype=self.rows.dtype, device=self.rows.device)
        if g.shape != (self.d,):
            raise ShapeError(f"g has shape {tuple(g.shape)}, expected ({self.d},)")
        slot = self.pushed % self.m
        along = self._along(g)
        along[slot] = self._square(g)
        if not np.isfinite(along.numpy()).all():
            raise NotFinite(
                "g holds a NaN or an infinity, or its square overflows; it was not taken into the "
                "window"
            )
        self.rows[slot] = g
        self.gram[slot] = self.gram[:, slot] = along
        self.pushed += 1

    def _square(self, x: Float[Tensor, " d"]) -> float:
        """|x|^2, summed in float64."""
        if x.dtype == torch.float32 and x.device.type == "cpu":
            from .kernel import square

            return float(square(x.contiguous().numpy()))
        return float(torch.linalg.vector_norm(x, dtype=torch.float64)) ** 2

    def _along(self, x: Float[Tensor, " d"]) -> Float[Tensor, " m"]:
        """Gx, summed in float64: the solve divides its rounding by m lambda."""
        if self.rows.dtype == torch.float64:
            return (self.rows @ x).cpu()
        if self.rows.device.type != "cpu":
            return (self.rows.double() @ x.double()).cpu()
        from .kernel import along

        out = torch.empty(self.m, dtype=torch.float64)
        along(self.rows.numpy(), x.contiguous().numpy(), out.numpy())
        return out

    def _combined(
        self,
        c: Float[Tensor, " m"],
        x: Tensor | None = None,
        t: Tensor | None = None,
        scale: float = 0.0,
        out: Tensor | None = None,
    ) -> Float[Tensor, " d"]:
        """scale x + G'c, with t = Gx; in float64 where terms cancel so far that float32 shows."""
        weights, gram = c.numpy(), self.gram.numpy()  # a few numbers: NumPy's calls cost less
        squared = float(weights @ (gram @ weights))
        parts = float(np.abs(weights) @ np.sqrt(gram.diagonal()))
        if x is not None and t is not None:
            size = self._square(x)
            squared += scale * scale * size + 2 * scale * float(c @ t)
            parts += abs(scale) * size**0.5
        if self.rows.dtype == torch.float64 or CANCELLED * parts * parts <= squared:
            if x is None:
                return torch.mv(self.rows.T, c.to(self.rows), out=out)
            return torch.addmv(x, self.rows.T, c.to(self.rows), beta=scale)
        if self.rows.device.type != "cpu":
            total = self.rows.double().T @ c.to(self.rows.device)
            total = total if x is None else total + scale * x.double()
            return total.float() if out is None else out.copy_(total)
        from .kernel import combined

        found = torch.zeros(self.d, dtype=torch.float32) if x is None else x.clone().contiguous()
        combined(self.rows.numpy(), c.numpy(), found.numpy(), scale)
        return found if out is None else out.copy_(found)

    def _solve(self, t: Float[Tensor, " m"], level: float) -> Float[Tensor, " m"]:
        """(m lambda I + S)^-1 t. Where rounding of float32 products has made it indefinite,
        negative eigenvalues of S are taken as 0.
        """
        ridge, damped = self.m * level, self.gram.clone()
        damped.diagonal().add_(ridge)
        factor, failed = torch.linalg.cholesky_ex(damped)
        if not int(failed):
            return torch.cholesky_solve(t[:, None], factor)[:, 0]
        values, vectors = torch.linalg.eigh(self.gram)
        return vectors @ ((vectors.T @ t) / (values.clamp(min=0) + ridge))

    def factors(self) -> tuple[Float[Tensor, "m m"], Float[Tensor, "m m"], Float[Tensor, " m"]]:
        """The dynamic programme: D (D_ij = g_i'F_{i-1}^-1 g_j for j >= i), B (F_{i-1}^-1 g_i =
        sum_k B_ik g_k) and q_i = m + D_ii, from S alone.
        """
        d, c, q = programme(self.gram / self.level, self.m)
        return d, c / self.level, q

    def _coefficients(self, t: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
        """c with F^-1 x = x/lambda - G'c, from t = Gx."""
        if self.method == "woodbury":
            level = self.level
            return self._solve(t, level) / level
        d, b, q = self.factors()
        t = t / self.level
        for i in range(1, self.m):
            t[i:] -= d[i - 1, i:] * t[i - 1] / q[i - 1]
        return b.T @ (t / q)

    def ihvp(self, x: Float[Tensor, " d"]) -> Float[Tensor, " d"]:
        """F^-1 x, F as it is or normalised: two passes over the window.

        Raises:
            ShapeError: Another shape than (d,).
        """
        x = torch.as_tensor(x, dtype=self.rows.dtype, device=self.rows.device)
        if x.shape != (self.d,):
            raise ShapeError(f"x has shape {tuple(x.shape)}, expected ({self.d},)")
        t, scale = self._along(x), self.scale
        return self._combined(-scale * self._coefficients(t.clone()), x, t, scale / self.level)

    def ihvp_of_last(self, out: Tensor | None = None) -> Float[Tensor, " d"]:
        """F^-1 g of the gradient pushed last: one pass over the window.

        Being a row of G, it needs neither the pass for Gx nor the difference of two large vectors:
        with x = G'e, F^-1 x = m G'(m lambda I + S)^-1 e.
        """
        slot = (self.pushed - 1) % self.m
        if self.method == "woodbury":
            one = torch.zeros(self.m, dtype=torch.float64)
            one[slot] = self.m
            c = self._solve(one, self.level)
        else:
            c = -self._coefficients(self.gram[slot].clone())
            c[slot] += 1 / self.level
        return self._combined(self.scale * c, out=out)
