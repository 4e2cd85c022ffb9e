"""The damped empirical Fisher matrix of m gradients g_i in R^d, and its inverse, without any d x d
matrix.

    F = lambda I + (1/m) sum_i g_i g_i'           F^-1 x,   (F^-1)_jk,   diag(F^-1)

E. Frantar, E. Kurtic, D. Alistarh: M-FAC: Efficient Matrix-Free Approximations of Second-Order
Information. NeurIPS 2021, arXiv 2107.03356. `StaticFisher` is its static algorithm (section 3.1:
O(d m^2) once, then O(d m) a product and O(m) an entry), `SlidingFisher` in `sliding` its dynamic
one. Curvature of a loss at one point wants the first, training the second.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.annotations import checked
from ...core.checks import floats, real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from .programme import programme

if TYPE_CHECKING:
    from jaxtyping import Float
    from scipy.sparse.linalg import LinearOperator
    from torch import Tensor

DAMP = 1e-5
"""lambda where none is given, that of the authors' code."""
ROUNDED = 1e4
"""Above this share of lambda a gradient's square makes float32 factors wrong by more than 1e-3 in
the gradients' own directions.
"""
PANEL = 32
"""Rows that are finished together: what came before them is subtracted by matrix products instead
of row by row.
"""


class StaticFisher:
    """The inverse of F = lambda I + G'G/m for a fixed G.

    Results have the gradients' dtype (float16 and bfloat16: float32). Factors of float32 gradients
    are kept in float64 where rounding would show (|g|^2 > 10^4 lambda in a block), which takes
    twice their memory. NumPy in gives NumPy out.

    Args:
        gradients: (m, d) array or tensor, one gradient a row; read a page of rows at a time, so a
            NumPy memory map stays on disk.
        damp: lambda, > 0.
        blocksize: B, coordinates of a block of the block-diagonal F; None: one block, the full
            matrix; 1: the diagonal one. Blocks of less than m coordinates are factorised as B x B
            matrices, which takes less than the recursion and gives the same numbers.
        page: Rows that are finished together, >= 1.
        folder: Where the d m numbers of the factors are kept, one file a page; None: in memory.

    Raises:
        ArgumentTypeError: Gradients that are no real numbers, or a setting of the wrong type.
        ArgumentError: A setting out of its range.
        ShapeError: Not two axes.
        NotFinite: A gradient with a NaN or an infinity.

    Examples:
        >>> import numpy as np
        >>> from feasible.training import StaticFisher
        >>> G = np.array([[1.0, 2.0], [0.0, 1.0]])
        >>> StaticFisher(G, damp=0.5).ihvp(np.array([1.0, 1.0])).round(12).tolist()
        [1.0, 0.0]

    References:
        Frantar, Kurtic, Alistarh, arXiv 2107.03356, the static algorithm.
    """

    @checked
    def __init__(
        self,
        gradients: Any,
        damp: float = DAMP,
        blocksize: int | None = None,
        *,
        page: int = PANEL,
        folder: str | Path | None = None,
    ):
        if not hasattr(gradients, "shape"):
            gradients = floats("gradients", gradients)
        if len(gradients.shape) != 2 or 0 in gradients.shape:
            raise ShapeError(
                f"gradients has shape {tuple(gradients.shape)}, expected (m, d), at least (1, 1)"
            )
        self.damp = real("damp", damp, above=0)
        self.m, self.d = (int(n) for n in gradients.shape)
        self.blocksize = (
            self.d if blocksize is None else min(whole("blocksize", blocksize, least=1), self.d)
        )
        self.blocks = math.ceil(self.d / self.blocksize)
        self._numpy = not isinstance(gradients, torch.Tensor)
        self._file = None if folder is None else Path(folder)
        first = self._rows(gradients, 0, 1)
        self.dtype, self.device = first.dtype, first.device
        self._pages: list[Tensor] = []
        """Pages (blocks, rows, B) of the v_i."""
        self._q: list[Tensor] = []
        """(blocks, rows) of the q_i."""
        self._squares = torch.zeros(self.d, dtype=self.dtype, device=self.device)
        self._inverse: Tensor | None = None
        """(blocks, B, B), where B < m."""
        small = self.blocksize < self.m
        page = whole("page", page, least=1)
        self._factors = self.dtype if small else self._precision(gradients, page)
        """Type of the factors."""
        matrix = (
            torch.eye(self.blocksize if small else 0, dtype=torch.float64, device=self.device)
            .mul(self.damp)
            .repeat(self.blocks, 1, 1)
        )
        for start in range(0, self.m, page):
            rows = self._rows(gradients, start, min(start + page, self.m))
            if small:
                g = self._split(rows.T).double()
                matrix.baddbmm_(g, g.mT, alpha=1 / self.m)
            else:
                self._finish(rows, start)
        if small:
            self._inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix))

    def _precision(self, gradients: Any, page: int) -> torch.dtype:
        """Double where the longest gradient of any block asks for it: x = g_i is 1/lambda long in
        the first term of F^-1 x and 1/(lambda + |g_i|^2/m) at the least in the whole.
        """
        if self.dtype == torch.float64:
            return self.dtype
        longest = max(
            float(
                torch.linalg.vector_norm(
                    self._split(self._rows(gradients, start, start + page).T), dim=1
                ).max()
            )
            for start in range(0, self.m, page)
        )
        return torch.float64 if longest**2 > ROUNDED * self.damp else self.dtype

    @staticmethod
    def _rows(gradients: Any, start: int, end: int) -> Tensor:
        """A page of the gradients, as float tensors."""
        part = gradients[start:end]
        if not isinstance(part, torch.Tensor):
            array = np.asarray(part)
            if array.dtype.kind not in "fiu":
                raise ArgumentTypeError(
                    f"gradients: got an array of {array.dtype}, expected real numbers"
                )
            part = torch.from_numpy(
                np.array(
                    array,
                    dtype=array.dtype if array.dtype in (np.float32, np.float64) else np.float64,
                )
            )
        part = part.detach()
        part = part if part.dtype in (torch.float32, torch.float64) else part.float()
        if not bool(torch.isfinite(part.sum())) and not bool(
            torch.isfinite(part).all()
        ):  # the exact look only where the sum is not finite
            row = start + int((~torch.isfinite(part)).any(1).nonzero()[0])
            raise NotFinite(
                f"gradients: row {row} holds a NaN or an infinity, expected finite numbers"
            )
        return part

    def _split(self, x: Float[Tensor, "d k"]) -> Float[Tensor, "b B k"]:
        """Coordinates in blocks; the last one is filled up with zeros, which change nothing."""
        short = self.blocks * self.blocksize - self.d
        x = torch.nn.functional.pad(x, (0, 0, 0, short)) if short else x
        return x.reshape(self.blocks, self.blocksize, x.shape[-1])

    def _join(self, x: Float[Tensor, "b B k"]) -> Float[Tensor, "d k"]:
        """The blocks put together again."""
        return x.reshape(self.blocks * self.blocksize, x.shape[-1])[: self.d]

    def _finish(self, rows: Float[Tensor, "p d"], start: int) -> None:
        """v_i = F_{i-1}^-1 g_i = g_i/lambda - sum_{j<i} (v_j'g_i / q_j) v_j,  q_i = m + g_i'v_i,
        for a page: earlier pages by matrix products,
        then the page itself by the dynamic programme, which needs no pass over its rows for each of
        them.
        """
        self._squares += torch.linalg.vector_norm(rows, dim=0).square_()
        g = self._split(rows.T).mT.contiguous().to(self._factors)
        v = g / self.damp
        for page, q in zip(self._pages, self._q, strict=True):
            v -= (g @ page.mT / q[:, None]) @ page
        _, combined, q = programme((g @ v.mT).double(), self.m)
        v, q = combined.to(v) @ v, q.to(v)
        if self._file is not None:
            try:
                self._file.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ArgumentError(f"folder='{self._file}' cannot be made ({error})") from None
            kept = torch.from_file(
                str(self._file / f"page-{start:06d}.bin"),
                shared=True,
                size=v.numel(),
                dtype=v.dtype,
            ).reshape(v.shape)
            v = kept.copy_(v)
        self._pages.append(v)
        self._q.append(q)

    def ihvp(self, x: Any) -> Any:
        """F^-1 x = x/lambda - V'((V x)/q) for x (d,), or for each column of x (d, k).

        Raises:
            ShapeError: Another length than d.
            NotFinite: A NaN or an infinity in x.
        """
        given = torch.as_tensor(
            np.array(x) if not isinstance(x, torch.Tensor) else x, device=self.device
        ).to(self.dtype)
        if given.ndim not in (1, 2) or given.shape[0] != self.d:
            raise ShapeError(
                f"x has shape {tuple(given.shape)}, expected ({self.d},) or ({self.d}, k)"
            )
        if not bool(torch.isfinite(given).all()):
            raise NotFinite("x holds a NaN or an infinity, expected finite numbers")
        columns = self._split(given.reshape(self.d, -1))
        if self._inverse is not None:
            return self._kind(
                self._join((self._inverse @ columns.double()).to(self.dtype)).reshape(given.shape),
                x,
            )
        columns = columns.to(self._factors)
        out = columns / self.damp
        for v, q in zip(self._pages, self._q, strict=True):
            out -= v.mT @ ((v @ columns) / q[..., None])
        return self._kind(self._join(out).to(self.dtype).reshape(given.shape), x)

    def element(self, j: int, k: int) -> float:
        """(F^-1)_jk = [j = k]/lambda - sum_i V_ij V_ik / q_i; 0 across blocks.

        Raises:
            ArgumentError: An index outside [0, d).
        """
        for name, index in (("j", j), ("k", k)):
            if not 0 <= whole(name, index, least=0) < self.d:
                raise ArgumentError(f"{name}={index}: expected an index below d = {self.d}")
        (block, at), (other, to) = divmod(j, self.blocksize), divmod(k, self.blocksize)
        if block != other:
            return 0.0
        if self._inverse is not None:
            return float(self._inverse[block, at, to])
        if j == k:
            return float(self._diag(block)[at])
        return -float(
            sum(
                (v[block, :, at].double() * v[block, :, to].double() / q[block].double()).sum()
                for v, q in zip(self._pages, self._q, strict=True)
            )
        )

    def _diag(self, block: int) -> Float[Tensor, " B"]:
        """The diagonal of a block, put back into its range."""
        total = torch.full(
            (self.blocksize,), 1 / self.damp, dtype=torch.float64, device=self.device
        )
        for v, q in zip(self._pages, self._q, strict=True):
            total -= (v[block].double() ** 2 / q[block, :, None].double()).sum(0)
        low = block * self.blocksize
        squares = self._squares[low : low + self.blocksize].double()
        total = total[: len(squares)]
        return torch.maximum(total, 1 / (self.damp + squares / self.m)).clamp(max=1 / self.damp)

    def diag(self) -> Any:
        """(d,) diagonal of F^-1, in float64 from the factors.

        Rounding in float32 can make 1/lambda - sum negative; (F^-1)_jj lies between 1/F_jj and
        1/lambda for every positive definite F, so it is put back into that range.
        """
        if self._inverse is not None:
            return self._kind(
                self._inverse.diagonal(dim1=1, dim2=2).reshape(-1)[: self.d].to(self.dtype), None
            )
        return self._kind(
            torch.cat([self._diag(b) for b in range(self.blocks)]).to(self.dtype), None
        )

    def as_linear_operator(self) -> LinearOperator:
        """F^-1 as a `scipy.sparse.linalg.LinearOperator` (d, d), for NumPy arrays."""
        from scipy.sparse.linalg import LinearOperator

        def product(x: np.ndarray) -> np.ndarray:
            flat = x if x.ndim == 2 and x.shape[1] > 1 else x.reshape(-1)
            return np.asarray(self.ihvp(flat))

        return LinearOperator(
            (self.d, self.d),
            matvec=product,
            rmatvec=product,
            matmat=product,
            dtype=np.float64 if self.dtype == torch.float64 else np.float32,
        )

    def _kind(self, value: Tensor, given: Any) -> Any:
        """NumPy where NumPy was given."""
        numpy = self._numpy if given is None else not isinstance(given, torch.Tensor)
        return value.cpu().numpy() if numpy else value
