"""Weights in few bits: rounding to nearest in groups, ranges that are searched, signs, GPTQ; and
how they are stored.

A matrix (rows, columns) is quantised along its rows in groups of columns. `Stored` holds packed
integers, and 16-bit scales and zeros: its bytes are what a file takes.

References:
    Frantar et al., GPTQ (2022); Li et al., MC-MoE (arXiv 2410.06270) for one bit; Liu et al. (arXiv
    2412.14219), the survey.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.annotations import checked
from ...core.checks import whole
from ...core.errors import ArgumentError, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

BITS = (1, 2, 3, 4, 8, 16)
"""Widths that are offered; 16 is the weight itself in half precision, 1 its sign."""
GROUP = 64
DAMPING = 0.01
QUANTISERS = ("rtn", "search", "gptq")
SHRUNK = [1 - 0.05 * k for k in range(11)]
"""Shares of a group's least and largest value that a search tries as the ends of its grid."""


@dataclass
class Stored:
    """A matrix as it is stored.

    Attributes:
        bits: Of a weight.
        shape: (rows, columns).
        group: Columns that share a scale.
        codes: Packed integers as bytes; of 16 bits the weights.
        scale: (rows, groups) in 16 bits; None of 16 bits.
        zero: (rows, groups) in 16 bits: what a code of 0 stands for, in units of the weight.
    """

    bits: int
    shape: tuple[int, int]
    group: int
    codes: Tensor
    scale: Tensor | None = None
    zero: Tensor | None = None

    @property
    def bytes(self) -> int:
        """Bytes of all its arrays."""
        kept = [t for t in (self.codes, self.scale, self.zero) if t is not None]
        return sum(t.numel() * t.element_size() for t in kept)

    def weight(self) -> Float[Tensor, "rows columns"]:
        """The matrix that it stands for, in single precision."""
        if self.scale is None or self.zero is None:
            return self.codes.float()
        rows, columns = self.shape
        codes = unpacked(self.codes, self.bits, rows * columns).reshape(rows, columns).float()
        return codes * _spread(self.scale, self.group, columns) + _spread(
            self.zero, self.group, columns
        )


def stored_bytes(rows: int, columns: int, bits: int, group: int = GROUP) -> int:
    """Bytes that a matrix of this shape takes; of one bit a row is a group."""
    if bits == 16:
        return 2 * rows * columns
    groups = 1 if bits == 1 else math.ceil(columns / group)
    return math.ceil(rows * columns * bits / 8) + 4 * rows * groups


def packed(codes: Tensor, bits: int) -> Tensor:
    """Codes below 2^bits as a stream of bits, in bytes."""
    flat = codes.reshape(-1).to(torch.uint8)
    planes = ((flat[:, None] >> torch.arange(bits, dtype=torch.uint8)) & 1).reshape(-1)
    padded = torch.nn.functional.pad(planes, (0, -len(planes) % 8)).reshape(-1, 8)
    weights = 2 ** torch.arange(8, dtype=torch.int64)
    return (padded.long() * weights).sum(1).to(torch.uint8)


def unpacked(stream: Tensor, bits: int, n: int) -> Tensor:
    """The first n codes of a stream of bits."""
    planes = ((stream[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1).reshape(-1)
    weights = 2 ** torch.arange(bits, dtype=torch.int64)
    return (planes[: n * bits].reshape(n, bits).long() * weights).sum(1)


def _spread(values: Tensor, group: int, columns: int) -> Tensor:
    """A value for each group, as one for each column."""
    return values.float().repeat_interleave(group, 1)[:, :columns]


def _grid(w: Tensor, bits: int, group: int) -> tuple[Tensor, Tensor]:
    """Scale and least value of each group, as 16 bits hold them; a code of 0 is the least value.

    0 lies in every group's range, so that it is a value of the grid up to half a step.
    """
    rows, columns = w.shape
    groups = math.ceil(columns / group)
    padded = torch.nn.functional.pad(w, (0, groups * group - columns)).reshape(rows, groups, group)
    low = padded.amin(2).clamp(max=0)
    high = padded.amax(2).clamp(min=0)
    scale = ((high - low) / (2**bits - 1)).clamp(min=2.0**-24)
    scale = _up(scale.half(), scale)
    return scale, (torch.round(low / scale.float()) * scale.float()).half()


def _up(rounded: Tensor, value: Tensor) -> Tensor:
    """Half-precision numbers that are no smaller than the values."""
    small = rounded.float() < value
    return torch.where(
        small, torch.nextafter(rounded, torch.full_like(rounded, torch.inf)), rounded
    )


def _checked(w: Tensor, bits: int, group: int) -> Tensor:
    """The matrix in single precision; refuse others."""
    if not isinstance(w, torch.Tensor) or w.dim() != 2 or 0 in w.shape:
        raise ShapeError(f"w: expected a matrix, got {tuple(getattr(w, 'shape', ()))}")
    if not torch.isfinite(w).all():
        raise NotFinite("w: expected finite numbers, got a NaN or an infinity")
    if bits not in BITS:
        raise ArgumentError(f"bits={bits!r:.40}: expected one of {', '.join(map(str, BITS))}")
    whole("group", group, least=1)
    return w.detach().float()


@checked
def rtn(w: Float[Tensor, "rows columns"], bits: int, group: int = GROUP) -> Stored:
    """Round each weight to the nearest value of its group's grid.

    Of one bit the grid would have two values, the extremes, which ruins a model; so one bit is the
    sign: w is m + a sign(w - m) with the row's mean m and a = mean |w - m|, one group a row.

    Args:
        w: The matrix.
        bits: 1, 2, 3, 4, 8 or 16.
        group: Columns that share a scale.

    Raises:
        ShapeError: No matrix.
        ArgumentError: Another width.

    Examples:
        >>> w = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
        >>> rtn(w, 2).weight().tolist()
        [[0.0, 1.0, 2.0, 3.0]]
    """
    w = _checked(w, bits, group)
    rows, columns = w.shape
    if bits == 16:
        return Stored(16, (rows, columns), group, w.half())
    if bits == 1:
        scale, zero = _signs(w)
        codes = (w > w.mean(1, keepdim=True)).to(torch.uint8)
        return Stored(1, (rows, columns), columns, packed(codes, 1), scale, zero)
    return _coded(w, bits, group, *_grid(w, bits, group))


def _coded(w: Tensor, bits: int, group: int, scale: Tensor, zero: Tensor) -> Stored:
    """The nearest values of a grid."""
    rows, columns = w.shape
    step, least = _spread(scale, group, columns), _spread(zero, group, columns)
    codes = torch.round((w - least) / step).clamp(0, 2**bits - 1)
    return Stored(bits, (rows, columns), group, packed(codes, bits), scale, zero)


@checked
def searched(w: Float[Tensor, "rows columns"], bits: int, group: int = GROUP) -> Stored:
    """Round to the grid of each group that loses the least squared error, of those whose ends are
    shares of the group's least and largest value. It takes the bytes that `rtn` takes, whose grid
    reaches to both ends and so has its steps as wide as one far weight wants them.

    Args:
        w: The matrix.
        bits: As for `rtn`; of 1 and 16 bits it is `rtn`.
        group: As for `rtn`.

    Raises:
        ShapeError: No matrix.
        ArgumentError: Another width.

    Examples:
        >>> w = torch.tensor([[-2.0, -1.1, -1.0, 0.0, 0.1, 1.0, 1.1, 9.0]])
        >>> lost = [float((s(w, 3).weight() - w).norm()) for s in (rtn, searched)]
        >>> lost[1] <= lost[0]
        True
    """
    w = _checked(w, bits, group)
    if bits in (1, 16):
        return rtn(w, bits, group)
    rows, columns = w.shape
    groups = math.ceil(columns / group)
    fill = groups * group - columns
    parts = torch.nn.functional.pad(w, (0, fill)).reshape(rows, groups, group)
    inside = torch.nn.functional.pad(torch.ones(columns), (0, fill)).reshape(groups, group) > 0
    low = parts.masked_fill(~inside, torch.inf).amin(2)
    high = parts.masked_fill(~inside, -torch.inf).amax(2)
    least, best = torch.full_like(low, torch.inf), _grid(w, bits, group)
    tried = [best]
    for one, other in itertools.product(SHRUNK, SHRUNK):
        step = ((other * high - one * low) / (2**bits - 1)).clamp(min=2.0**-24)
        tried.append((step.half(), (one * low).half()))
    for scale, zero in tried:
        s, z = scale.float()[..., None], zero.float()[..., None]
        codes = torch.round((parts - z) / s).clamp(0, 2**bits - 1)
        lost = ((codes * s + z - parts) ** 2 * inside).sum(2)
        better = lost < least
        least = torch.where(better, lost, least)
        best = torch.where(better, scale, best[0]), torch.where(better, zero, best[1])
    return _coded(w, bits, group, *best)


def _signs(w: Tensor) -> tuple[Tensor, Tensor]:
    """Twice a, and m - a, for each row."""
    m = w.mean(1, keepdim=True)
    a = (w - m).abs().mean(1, keepdim=True)
    return (2 * a).half(), (m - a).half()


@checked
def gptq(
    w: Float[Tensor, "rows columns"], x: Float[Tensor, "n columns"], bits: int, group: int = GROUP
) -> Stored:
    """Quantise column by column; what a column loses is made up for by those to its right.

    Minimises ||(w - w') x^T|| greedily, by the inverse of H = 2 x^T x + damping: the error of a
    column over the diagonal of H^-1's upper Cholesky factor is taken from the columns that follow,
    times the factor's row.

    Args:
        w: The matrix.
        x: Inputs that it meets, one a row.
        bits: As for `rtn`.
        group: As for `rtn`; the grid is that of the matrix itself.

    Raises:
        ShapeError: Shapes that do not fit.
    """
    w = _checked(w, bits, group)
    rows, columns = w.shape
    if not isinstance(x, torch.Tensor) or x.dim() != 2 or x.shape[1] != columns:
        raise ShapeError(
            f"x has shape {tuple(getattr(x, 'shape', ()))}, expected (n, {columns}), inputs of w"
        )
    plain = rtn(w, bits, group)
    if bits == 16 or plain.scale is None or plain.zero is None:
        return plain
    width = plain.group
    step, least = _spread(plain.scale, width, columns), _spread(plain.zero, width, columns)
    upper = _factor(x)
    left, codes = w.double().clone(), torch.zeros(rows, columns)
    for q in range(columns):
        codes[:, q] = torch.round((left[:, q].float() - least[:, q]) / step[:, q]).clamp(
            0, 2**bits - 1
        )
        taken = codes[:, q] * step[:, q] + least[:, q]
        lost = (left[:, q] - taken.double()) / upper[q, q]
        left[:, q + 1 :] -= lost[:, None] * upper[q, q + 1 :]
    return Stored(bits, (rows, columns), width, packed(codes, bits), plain.scale, plain.zero)


def _factor(x: Tensor) -> Tensor:
    """The upper Cholesky factor of the inverse of the damped H."""
    h = 2 * x.double().T @ x.double()
    damping = max(DAMPING * float(h.diagonal().mean()), 1e-10)
    h = h + damping * torch.eye(len(h), dtype=torch.float64)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(h))
    return torch.linalg.cholesky(inverse, upper=True)
