"""Minimum entropy coupling with bottleneck, MEC-B.

    maximise    I(X; Y)   over Markov chains X - T - Y
    subject to  X ~ p_X,  Y ~ p_Y,  H(T) <= R bits

Lossy compression where the law of the output is prescribed: steganography, coded control policies,
retrieval under a shift of the distribution. I(X; Y) >= I(X; T) + I(T; Y) - R, and the two terms are
maximised one after the other: an encoder by a greedy search over functions (EBIM, Algorithm 1),
refined by splitting one symbol (Theorem 3), and a decoder by greedy minimum entropy coupling. That
is a lower bound, not always the joint optimum.

References:
    Ebrahimi, Chen, Khisti, NeurIPS 2024, arXiv 2410.21666.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse as sp

from ...core.annotations import Checked, checked
from ...core.checks import one_of
from ...core.errors import ArgumentError
from ...core.problem import Method, Problem
from ..arrays import is_torch
from . import compiled_encoders as kernels
from .entropy_coupling import (
    EntropyCoupling,
    as_sparse,
    check_rate,
    delivered,
    entropy_bits,
    information_bound,
    law,
    min_entropy_coupling,
)
from .problem import Chain, RateLimitedCoupling

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy.typing import ArrayLike

ENCODERS = {
    "greedy+interp": kernels.INTERPOLATED,
    "greedy": kernels.GREEDY,
    "quantizer": kernels.QUANTISER,
    "quantizer-identity": kernels.QUANTISER_IDENTITY,
}
"""Encoders that are one compiled pass."""
METHODS = (*ENCODERS, "exact")
EXACT_MOST = 8
"""Symbols with mass up to which all set partitions are visited: 4,140 of them."""
PRODUCT_MOST = 50_000_000
"""Cells of a joint law of X and Y that are worth holding at once."""


@dataclass(frozen=True)
class BottleneckSettings(Checked):
    """How the encoder is found.

    Attributes:
        encoder: "greedy" (Algorithm 1), "greedy+interp" (also splits one symbol, Theorem 3),
            "exact" (at most 8 symbols with mass), "quantizer" (the paper's baseline), or
            "quantizer-identity".
    """

    encoder: str = "greedy+interp"

    def __post_init__(self) -> None:
        one_of("encoder", self.encoder, METHODS)


@dataclass(frozen=True)
class Encoder:
    """X -> T. At most one symbol is split between two columns: all others have a label.

    All figures are in bits.

    Attributes:
        labels: (n,) column of each symbol, of its larger part where it is split.
        masses: (k,) p_T.
        p: (n,) law of X.
        rate_bits: The rate that was allowed.
        split: The symbol that is split, else -1.
        split_to: The column that has the mass `split_mass` of it.
        split_mass: See `split_to`.
        sparse: Whether `joint` is a COO array; None: from 2^18 cells on.
        given: An argument whose kind the arrays take.
    """

    labels: Int[np.ndarray, " n"]
    masses: Float[np.ndarray, " k"]
    p: Float[np.ndarray, " n"] = field(repr=False)
    rate_bits: float
    split: int = -1
    split_to: int = -1
    split_mass: float = 0.0
    sparse: bool | None = None
    given: Any = field(default=None, repr=False, compare=False)

    @property
    def cells(self) -> tuple[Int[np.ndarray, " c"], Int[np.ndarray, " c"], Float[np.ndarray, " c"]]:
        """Rows, columns and masses of the joint law, those of symbols without mass left out."""
        rows = np.flatnonzero(self.p > 0)
        columns, masses = self.labels[rows], self.p[rows].copy()
        if self.split < 0:
            return rows, columns, masses
        masses[np.searchsorted(rows, self.split)] -= self.split_mass
        return (
            np.append(rows, self.split),
            np.append(columns, self.split_to),
            np.append(masses, self.split_mass),
        )

    @cached_property
    def joint(self) -> Any:
        """(n, k) joint law of X and T: dense where that is small, else a SciPy COO array.

        torch where p was torch.
        """
        rows, columns, masses = self.cells
        return delivered(
            sp.coo_array((masses, (rows, columns)), shape=(len(self.p), len(self.masses))),
            self.sparse,
            self.given,
        )

    @cached_property
    def rate(self) -> float:
        """H(T) <= rate_bits."""
        return entropy_bits(self.masses)

    @cached_property
    def information(self) -> float:
        """I(X; T): H(T), less what the split symbol costs."""
        cost = kernels.split_cost(self.p[self.split], self.split_mass) if self.split >= 0 else 0.0
        return max(self.rate - float(cost), 0.0)

    @cached_property
    def gap_bound(self) -> float:
        """What any encoder could have more: min(R, H(X)) - I(X; T).

        For the greedy ones at most h(p_2), the binary entropy of the second largest mass.
        """
        return max(min(self.rate_bits, entropy_bits(self.p)) - self.information, 0.0)


@checked
def entropy_bottleneck_encoder(
    p: ArrayLike,
    rate_bits: float,
    method: str = BottleneckSettings.encoder,
    sparse: bool | None = None,
) -> Encoder:
    """Encode X ~ p by a code of limited entropy (EBIM).

        maximise  I(X; T)   over p(t|x)   subject to  H(T) <= R bits

    Args:
        p: (n,) probabilities, zeros allowed; NumPy, torch or a list.
        rate_bits: R >= 0, in bits; inf: no limit.
        method: "greedy" (Algorithm 1, a function of X, O(n log n)); "greedy+interp" (also splits
            one symbol, so that the rate is used; never worse); "exact" (all functions and all of
            their single splits, for at most 8 symbols with mass); "quantizer" (blocks of
            consecutive symbols, the paper's baseline); "quantizer-identity" (the same, but X itself
            where the rate allows it).
        sparse: Whether `.joint` is a COO array; None: from 2^18 cells on.

    Returns:
        The encoder, and how far from the best it can be.

    Raises:
        ArgumentError: Negative masses, a sum that is not 1, rate < 0, too many symbols for "exact".
        ArgumentTypeError: What is no number.
        ShapeError: Empty, or more than one axis.
        NotFinite: NaN or infinities.

    Examples:
        >>> entropy_bottleneck_encoder([0.25] * 4, rate_bits=1.0).information
        1.0

    References:
        Ebrahimi, Chen, Khisti, NeurIPS 2024, arXiv 2410.21666, Algorithm 1 and Theorem 3.
    """
    law_, rate, keep = law(p, "p"), check_rate(rate_bits), as_sparse(sparse)
    one_of("method", method, METHODS)
    labels = np.zeros(len(law_), np.int64)
    if method == "exact":
        support = np.flatnonzero(law_ > 0)
        if len(support) > EXACT_MOST:
            raise ArgumentError(
                f"method='exact' visits all partitions of at most {EXACT_MOST} symbols, got "
                f"{len(support)} with mass"
            )
        own = np.zeros(len(support), np.int64)
        columns, row, to, moved = kernels.best_partition(law_[support], rate, own)
        labels[support] = own
        row = int(support[row]) if row >= 0 else -1
    else:
        columns, row, to, moved = kernels.encode(law_, rate, ENCODERS[method], labels)
    masses = kernels.column_masses(law_, labels, columns, row, to, moved)
    if row >= 0 and moved > law_[row] / 2:
        labels[row], to, moved = to, labels[row], law_[row] - moved
    return Encoder(labels, masses, law_, rate, int(row), int(to), float(moved), keep, p)


@dataclass(frozen=True)
class BottleneckCoupling:
    """A Markov chain X - T - Y. All figures are in bits.

    Attributes:
        encoder: Of X into T.
        decoder: The coupling of T and Y.
        sparse: Whether joint laws are COO arrays; None: from 2^18 cells on.
    """

    encoder: Encoder
    decoder: EntropyCoupling
    sparse: bool | None = None

    @property
    def joint_xt(self) -> Any:
        """(n, k) joint law of X and T."""
        return self.encoder.joint

    @property
    def joint_ty(self) -> Any:
        """(k, m) joint law of T and Y."""
        return self.decoder.joint

    @cached_property
    def joint_xy(self) -> Any:
        """(n, m) joint law of X and Y, J_XT diag(1 / p_T) J_TY.

        Raises:
            ArgumentError: It has more than 5e7 cells; take `rows` then.
        """
        xt, ty = self._factors
        held = int(np.diff(xt.tocsc().indptr) @ np.diff(ty.indptr))
        if held > PRODUCT_MOST:
            raise ArgumentError(
                f"joint_xy: it has {held:,} cells with mass; take rows(begin, end) of it, or "
                "joint_xt and joint_ty"
            )
        return delivered(sp.coo_array(xt @ ty), self.sparse, self.encoder.given)

    def rows(self, begin: int, end: int) -> Any:
        """Rows begin to end of the joint law of X and Y, dense."""
        xt, ty = self._factors
        return delivered(sp.coo_array(xt[begin:end] @ ty), False, self.encoder.given)

    @cached_property
    def _factors(self) -> tuple[sp.csr_array, sp.csr_array]:
        """J_XT, and J_TY with rows divided by p_T."""
        rows, columns, masses = self.encoder.cells
        n, k, m = len(self.encoder.p), len(self.encoder.masses), len(self.decoder.q)
        given = self.decoder
        xt = sp.csr_array((masses, (rows, columns)), shape=(n, k))
        ty = sp.csr_array(
            (given.masses / self.encoder.masses[given.rows], (given.rows, given.columns)),
            shape=(k, m),
        )
        return xt, ty

    @property
    def rate(self) -> float:
        """H(T)."""
        return self.encoder.rate

    @cached_property
    def mutual_information(self) -> float:
        """I(X; Y) = I(T; Y) - I(T; Y | X): only a split symbol has a second term."""
        lost = 0.0
        if self.encoder.split >= 0:
            e, (_, ty) = self.encoder, self._factors
            shares = np.array([e.p[e.split] - e.split_mass, e.split_mass]) / e.p[e.split]
            parts = [ty[[t]].toarray().ravel() for t in (int(e.labels[e.split]), e.split_to)]
            mixed = entropy_bits(shares[0] * parts[0] + shares[1] * parts[1])
            lost = float(e.p[e.split]) * (
                mixed - float(shares @ [entropy_bits(part) for part in parts])
            )
        return max(self.decoder.information - lost, 0.0)

    @property
    def information(self) -> float:
        """I(X; Y), as `mutual_information`."""
        return self.mutual_information

    @property
    def lower_bound(self) -> float:
        """I(X; T) + I(T; Y) - H(T), which the decomposition promises of I(X; Y)."""
        return max(self.encoder.information + self.decoder.information - self.rate, 0.0)

    @cached_property
    def upper_bound(self) -> float:
        """No chain has more: the least of R and H(X) + H(Y) - H(p_X meet p_Y)."""
        return information_bound(self.encoder.p, self.decoder.q, self.encoder.rate_bits)

    @property
    def gap_bound(self) -> float:
        """How far I(X; Y) may be below the best possible."""
        return max(self.upper_bound - self.mutual_information, 0.0)


@checked
def mec_bottleneck(
    p_x: ArrayLike,
    p_y: ArrayLike,
    rate_bits: float,
    method: str = BottleneckSettings.encoder,
    sparse: bool | None = None,
) -> BottleneckCoupling:
    """Couple X ~ p_x and Y ~ p_y through a code of limited entropy (MEC-B).

        maximise    I(X; Y)   over Markov chains X - T - Y
        subject to  X ~ p_x,  Y ~ p_y,  H(T) <= R bits

    Marginals are those given, to 1e-12. From R >= H(X) on it is `min_entropy_coupling`.

    Args:
        p_x: (n,) probabilities.
        p_y: (m,) probabilities.
        rate_bits: R >= 0, in bits.
        method: Of the encoder, as in `entropy_bottleneck_encoder`.
        sparse: Whether joint laws are COO arrays; None: from 2^18 cells on.

    Returns:
        The chain, and how far from the best it can be.

    Raises:
        ArgumentError: Negative masses, a sum that is not 1, rate < 0.
        ArgumentTypeError: What is no number.
        ShapeError: Empty, or more than one axis.
        NotFinite: NaN or infinities.

    Examples:
        >>> chain = mec_bottleneck([0.5, 0.25, 0.25], [0.5, 0.5], rate_bits=1.0)
        >>> chain.mutual_information, chain.rate
        (1.0, 1.0)

    References:
        Ebrahimi, Chen, Khisti, NeurIPS 2024, arXiv 2410.21666.
    """
    target = law(p_y, "p_y")
    encoder = entropy_bottleneck_encoder(law(p_x, "p_x"), rate_bits, method, sparse)
    decoder = min_entropy_coupling(encoder.masses, target, sparse)
    return BottleneckCoupling(
        replace(encoder, given=p_x),
        replace(decoder, given=p_x if is_torch(p_x) else p_y),
        encoder.sparse,
    )


# -- in a run --------------------------------------------------------------------------------------


@dataclass(slots=True)
class BottleneckState:
    """Where a run stands.

    Attributes:
        chain: The best so far.
        labels: (n,) of the encoder that waits for its decoder, as in `Encoder`.
        masses: (k,) of it.
        split: Of it.
        split_to: Of it.
        split_mass: Of it.
        stage: Steps made.
    """

    chain: Chain
    labels: Int[np.ndarray, " n"]
    masses: Float[np.ndarray, " k"]
    split: int = -1
    split_to: int = -1
    split_mass: float = 0.0
    stage: int = 0


@dataclass(frozen=True)
class MECBottleneck(BottleneckSettings, Method):
    """MEC-B in a run: a step for the encoder, and one that couples its code with the output.

    Before the first step the answer is the chain whose code says nothing. The settings are those of
    `BottleneckSettings`.

    References:
        Ebrahimi, Chen, Khisti, NeurIPS 2024, arXiv 2410.21666.
    """

    solves: ClassVar[type[Problem]] = RateLimitedCoupling
    name: ClassVar[str] = "mec-bottleneck"

    def init(self, problem: RateLimitedCoupling, rng: np.random.Generator) -> BottleneckState:
        """A code of one word, from which Y is independent."""
        n, m = len(problem.p_x), len(problem.p_y)
        alone = Chain(
            np.arange(n),
            np.zeros(n, np.int64),
            problem.p_x.copy(),
            np.zeros(m, np.int64),
            np.arange(m),
            problem.p_y.copy(),
            n,
            1,
            m,
        )
        return BottleneckState(alone, np.zeros(n, np.int64), np.ones(1))

    def step(self, problem: RateLimitedCoupling, state: BottleneckState) -> BottleneckState:
        """The encoder, then the decoder."""
        if state.stage == 0:
            e = entropy_bottleneck_encoder(problem.p_x, problem.rate_bits, self.encoder)
            state.labels, state.masses, state.split, state.split_to, state.split_mass = (
                e.labels,
                e.masses,
                e.split,
                e.split_to,
                e.split_mass,
            )
        elif state.stage == 1:
            e = Encoder(
                state.labels,
                state.masses,
                problem.p_x,
                problem.rate_bits,
                state.split,
                state.split_to,
                state.split_mass,
            )
            d = min_entropy_coupling(state.masses, problem.p_y)
            state.chain = Chain(
                *e.cells, d.rows, d.columns, d.masses, len(e.p), len(e.masses), len(d.q)
            )
        state.stage += 1
        return state

    def answer(self, problem: RateLimitedCoupling, state: BottleneckState) -> Chain:
        """The chain so far; steps replace it whole."""
        return state.chain

    def done(self, problem: RateLimitedCoupling, state: BottleneckState) -> str | None:
        """After the decoder."""
        return "the encoder and its decoder are found" if state.stage >= 2 else None
