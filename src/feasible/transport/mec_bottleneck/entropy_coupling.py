"""Greedy minimum entropy coupling.

    minimise  H(X, Y)   over joint laws of X ~ p and Y ~ q

which is to maximise I(X; Y) = H(p) + H(q) - H(X, Y). The largest remaining masses are paired, again
and again: with heaps in O((n + m) log (n + m)) time and linear memory. The entropy is at most
log2(e) / e = 0.531 bits above the least possible one (Compton et al.), and at most 1 bit above that
of the meet of p and q, below which no coupling comes (Cicalese et al.). Take it where two laws are
given and one variable should tell as much as possible of the other: causal direction,
steganography, codes whose output law is prescribed. It takes no cost: for that there is
`sinkhorn_newton`.

References:
    Kocaoglu, Dimakis, Vishwanath, Hassibi, AAAI 2017. Compton, Katz, Qi, Greenewald, Kocaoglu,
    AISTATS 2023. Cicalese, Gargano, Vaccaro, IEEE Trans. Inf. Theory 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse as sp

from ...core.annotations import checked
from ...core.checks import flag, real
from ...core.errors import ArgumentError
from ..arrays import histogram, is_torch, like, tolerance_of
from . import compiled_coupling as kernels

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy.typing import ArrayLike

DENSE_CELLS = 2**18
"""Cells up to which a joint law is a dense array unless `sparse` says otherwise (2 MiB)."""
GREEDY_GAP_BITS = math.log2(math.e) / math.e
"""Bits by which the greedy coupling's entropy can exceed the least possible one."""


def law(value: Any, name: str) -> Float[np.ndarray, " n"]:
    """A probability vector; a sum that differs from 1 by rounding is divided out.

    Args:
        value: (n,) masses >= 0 whose sum is 1 to 1e-8 (1e-5 in single precision).
        name: The argument, as its user knows it.

    Raises:
        ArgumentError: Negative masses, another sum.
        ArgumentTypeError: What is no number.
        ShapeError: Empty, or more than one axis.
        NotFinite: NaN or infinities.
    """
    p = histogram(
        value if is_torch(value) or isinstance(value, np.ndarray) else np.asarray(value), name
    )
    total = float(p.sum())
    if abs(total - 1) > tolerance_of(value):
        raise ArgumentError(
            f"{name} sums to {total:.12g}: expected probabilities, of sum 1; divide them by their "
            "sum"
        )
    return (
        p if abs(total - 1) <= 4e-15 else p / total
    )  # within the rounding of the sum itself, masses stay as they were given


def check_rate(rate_bits: Any) -> float:
    """A rate in bits, >= 0; infinity is one.

    Raises:
        ArgumentError: Negative.
        NotFinite: NaN.
        ArgumentTypeError: No number.
    """
    return real("rate_bits", rate_bits, least=0, infinite=True, note=", in bits")


def as_sparse(sparse: Any) -> bool | None:
    """The setting `sparse`: True, False, or None for what the size suggests.

    Raises:
        ArgumentTypeError: Something else.
    """
    return None if sparse is None else flag("sparse", sparse)


@checked
def entropy_bits(p: Float[np.ndarray, " n"]) -> float:
    """H(p) in bits; 0 log 0 = 0."""
    return max(float(kernels.entropy(np.ascontiguousarray(p, dtype=np.float64).ravel())), 0.0)


@checked
def meet(p: Float[np.ndarray, " n"], q: Float[np.ndarray, " m"]) -> Float[np.ndarray, " k"]:
    """The largest law that both p and q majorise, in falling order.

    No coupling's entropy is below its entropy (Cicalese et al.).

    Args:
        p: (n,) probabilities.
        q: (m,) probabilities.

    Returns:
        (max(n, m),) probabilities.
    """
    p, q = histogram(p, "p"), histogram(q, "q")
    k = max(len(p), len(q))
    sums = [np.cumsum(np.pad(np.sort(v)[::-1], (0, k - len(v)))) for v in (p, q)]
    return np.maximum(np.diff(np.minimum(*sums), prepend=0.0), 0.0)


def information_bound(
    p_x: Float[np.ndarray, " n"], p_y: Float[np.ndarray, " m"], rate_bits: float
) -> float:
    """Bits of I(X; Y) that no chain of rate R exceeds: min(R, H(X) + H(Y) - H(p_X meet p_Y)).

    The second is at most H(X), and at most H(Y).

    Args:
        p_x: (n,) probabilities.
        p_y: (m,) probabilities.
        rate_bits: R, in bits.
    """
    return min(rate_bits, entropy_bits(p_x) + entropy_bits(p_y) - entropy_bits(meet(p_x, p_y)))


def delivered(joint: sp.coo_array, sparse: bool | None, given: Any) -> Any:
    """A joint law as the caller wants it: dense where it is small, else COO, in kind."""
    if sparse or (sparse is None and joint.shape[0] * joint.shape[1] > DENSE_CELLS):
        if not is_torch(given):
            return joint
        import torch

        dtype = given.dtype if given.dtype.is_floating_point else torch.float64
        return torch.sparse_coo_tensor(
            torch.from_numpy(np.stack(joint.coords).astype(np.int64)),
            torch.from_numpy(joint.data),
            joint.shape,
            dtype=dtype,
            device=given.device,
            check_invariants=True,
        ).coalesce()
    return like(joint.toarray(), given)


@dataclass(frozen=True)
class EntropyCoupling:
    """A joint law of X ~ p and Y ~ q, as its cells: at most n + m. All figures are in bits.

    Attributes:
        rows: (cells,).
        columns: (cells,).
        masses: (cells,).
        p: (n,) law of X.
        q: (m,) law of Y.
        sparse: Whether `joint` is a COO array; None: from 2^18 cells on.
        given: An argument whose kind the arrays take.
    """

    rows: Int[np.ndarray, " cells"]
    columns: Int[np.ndarray, " cells"]
    masses: Float[np.ndarray, " cells"]
    p: Float[np.ndarray, " n"] = field(repr=False)
    q: Float[np.ndarray, " m"] = field(repr=False)
    sparse: bool | None = None
    given: Any = field(default=None, repr=False, compare=False)

    @cached_property
    def joint(self) -> Any:
        """(n, m) array where that is small, else a SciPy COO array; torch where p was torch."""
        return delivered(
            sp.coo_array(
                (self.masses, (self.rows, self.columns)), shape=(len(self.p), len(self.q))
            ),
            self.sparse,
            self.given,
        )

    @cached_property
    def entropy(self) -> float:
        """H(X, Y)."""
        return entropy_bits(self.masses)

    @cached_property
    def information(self) -> float:
        """I(X; Y)."""
        return max(entropy_bits(self.p) + entropy_bits(self.q) - self.entropy, 0.0)

    @cached_property
    def lower_bound(self) -> float:
        """H(p meet q), which is at least H(p) and at least H(q)."""
        return entropy_bits(meet(self.p, self.q))

    @property
    def gap_bound(self) -> float:
        """How far the entropy may be above the least possible one.

        What the meet leaves open, and never more than log2(e) / e.
        """
        return min(max(self.entropy - self.lower_bound, 0.0), GREEDY_GAP_BITS)


@checked
def min_entropy_coupling(p: ArrayLike, q: ArrayLike, sparse: bool | None = None) -> EntropyCoupling:
    """Couple X ~ p and Y ~ q with little joint entropy.

        minimise  H(X, Y)   over joint laws of X ~ p and Y ~ q

    Ties go to the lower index, so that sender and receiver agree on it. Marginals are those given
    to rounding (1e-15); every symbol with mass keeps some.

    Args:
        p: (n,) probabilities, zeros allowed; NumPy, torch or a list.
        q: (m,) probabilities.
        sparse: Whether `.joint` is a COO array; None: from 2^18 cells on.

    Returns:
        The joint law, and how far from the best it can be.

    Raises:
        ArgumentError: Negative masses, a sum that is not 1.
        ArgumentTypeError: What is no number.
        ShapeError: Empty, or more than one axis.
        NotFinite: NaN or infinities.

    Examples:
        >>> coupling = min_entropy_coupling([0.5, 0.25, 0.25], [0.5, 0.5])
        >>> coupling.entropy, coupling.information
        (1.5, 1.0)

    References:
        Kocaoglu et al., AAAI 2017.
    """
    a, b = law(p, "p"), law(q, "q")
    keep = as_sparse(sparse)
    size = len(a) + len(b)
    rows, columns, masses = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
    count = kernels.couple(a, b, rows, columns, masses)
    return EntropyCoupling(
        rows[:count].copy(), columns[:count].copy(), masses[:count].copy(), a, b, keep, p
    )
