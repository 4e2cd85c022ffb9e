"""RateLimitedCoupling: two laws, and a code between them that may say only so much.

minimise    -I(X; Y)   over Markov chains X - T - Y
subject to  X ~ p_X,  Y ~ p_Y,  H(T) <= R bits
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse as sp

from ...core.annotations import Checked
from ...core.errors import ArgumentTypeError, ShapeError
from ...core.problem import Problem
from ...core.verdict import Verdict
from ..arrays import is_torch
from .entropy_coupling import check_rate, entropy_bits, information_bound, law

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CHUNK = 4_000_000
"""Cells of the joint law of X and Y that are held at once while an answer is judged."""


@dataclass(slots=True)
class Chain:
    """An answer: the joint laws of X and T and of T and Y, as cells.

    Attributes:
        rows_xt: (c,) of the cells of X and T.
        columns_xt: (c,) of them.
        masses_xt: (c,) of them.
        rows_ty: (e,) of the cells of T and Y.
        columns_ty: (e,) of them.
        masses_ty: (e,) of them.
        n: Values of X.
        k: Values of T.
        m: Values of Y.
    """

    rows_xt: Int[np.ndarray, " c"]
    columns_xt: Int[np.ndarray, " c"]
    masses_xt: Float[np.ndarray, " c"]
    rows_ty: Int[np.ndarray, " e"]
    columns_ty: Int[np.ndarray, " e"]
    masses_ty: Float[np.ndarray, " e"]
    n: int
    k: int
    m: int

    @property
    def joint_xt(self) -> sp.coo_array:
        """(n, k) joint law of X and T."""
        return sp.coo_array(
            (self.masses_xt, (self.rows_xt, self.columns_xt)), shape=(self.n, self.k)
        )

    @property
    def joint_ty(self) -> sp.coo_array:
        """(k, m) joint law of T and Y."""
        return sp.coo_array(
            (self.masses_ty, (self.rows_ty, self.columns_ty)), shape=(self.k, self.m)
        )


def _rows(joint: Any, name: str) -> sp.csr_array:
    """A joint law of any kind as compressed rows."""
    if is_torch(joint):
        joint = (joint.to_dense() if joint.is_sparse else joint).detach().cpu().numpy()
    try:
        return sp.csr_array(joint, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(f"{name}: expected a matrix, dense or sparse ({error})") from None


@dataclass
class RateLimitedCoupling(Problem, Checked):
    """Couple X ~ p_x and Y ~ p_y through a code T of limited entropy.

        minimise    -I(X; Y)   over Markov chains X - T - Y
        subject to  X ~ p_x,  Y ~ p_y,  H(T) <= R bits

    An answer is anything with `joint_xt` (n, k) and `joint_ty` (k, m): a `Chain`, or what
    `mec_bottleneck` returns. From these two the verdict measures -I(X; Y) in bits, and as
    violations the L1 errors of both laws, the difference of the two laws of T, bits above the rate,
    and negative mass. The residual is the distance of I(X; Y) from min(R, H(X) + H(Y) - H(p_X meet
    p_Y)), which no chain exceeds.

    Attributes:
        p_x: (n,) probabilities.
        p_y: (m,) probabilities.
        rate_bits: R >= 0, in bits.
        tolerance: Violation up to which a chain counts as feasible.

    Raises:
        ArgumentError: Negative masses, a sum that is not 1, rate < 0.
        ArgumentTypeError: What is no number.
        ShapeError: Empty, or more than one axis.
        NotFinite: NaN or infinities.
    """

    p_x: Any
    p_y: Any
    rate_bits: float
    name: str = "rate-limited-coupling"
    tolerance: float = 1e-9
    best_known: float | None = None

    answers: ClassVar[tuple[type, ...]] = (Chain,)
    endings = (".json", ".csv", ".npz")
    example_budget: ClassVar[str] = "steps=2"

    def __post_init__(self) -> None:
        self.p_x, self.p_y = law(self.p_x, "p_x"), law(self.p_y, "p_y")
        self.rate_bits = check_rate(self.rate_bits)

    def judge(self, answer: Any) -> Verdict:
        """-I(X; Y), measured on the two joint laws alone.

        Raises:
            ShapeError: Joint laws that do not fit.
        """
        if answer is None:
            return Verdict(float("nan"), float("inf"), self.tolerance)
        xt, ty = _rows(answer.joint_xt, "joint_xt"), _rows(answer.joint_ty, "joint_ty")
        n, m = len(self.p_x), len(self.p_y)
        if xt.shape[0] != n or ty.shape[1] != m or xt.shape[1] != ty.shape[0]:
            raise ShapeError(
                f"joint_xt has shape {xt.shape}, joint_ty {ty.shape}: expected ({n}, k) and (k, "
                f"{m})"
            )
        p_t, other = xt.sum(0), ty.sum(1)
        least = min(float(xt.data.min(initial=0.0)), float(ty.data.min(initial=0.0)))
        violations = {
            "law of X": float(np.abs(xt.sum(1) - self.p_x).sum()),
            "law of Y": float(np.abs(ty.sum(0) - self.p_y).sum()),
            "law of T": float(np.abs(p_t - other).sum()),
            "rate": max(entropy_bits(np.maximum(p_t, 0.0)) - self.rate_bits, 0.0),
            "negative mass": 0.0 - least,
        }
        violation = max(violations.values())
        if least < 0 or not np.isfinite(violation):
            return Verdict(float("nan"), float("inf"), self.tolerance, violations=violations)
        information = self._information(xt, ty, other)
        bound = information_bound(self.p_x, self.p_y, self.rate_bits)
        metrics = {
            "information_bits": information,
            "code_bits": entropy_bits(p_t),
            "bound_bits": bound,
            "code_words": float((p_t > 0).sum()),
        }
        return Verdict(
            0.0 - information,
            violation,
            self.tolerance,
            max(bound - information, 0.0),
            violations,
            metrics,
        )

    def _information(
        self, xt: sp.csr_array, ty: sp.csr_array, p_t: Float[np.ndarray, " k"]
    ) -> float:
        """I(X; Y) = H(Y) - sum_x p(x) H(Y | x), in blocks of rows.

        A symbol with one code word has its H(Y | t).
        """
        decoder = sp.diags_array(np.divide(1.0, p_t, out=np.zeros_like(p_t), where=p_t > 0)) @ ty
        decoder = sp.csr_array(decoder)
        terms = -decoder.data * np.log2(np.where(decoder.data > 0, decoder.data, 1.0))
        of_word = np.bincount(
            np.repeat(np.arange(len(p_t)), np.diff(decoder.indptr)), terms, len(p_t)
        )
        mass = xt.sum(1)
        several = np.flatnonzero(np.diff(xt.indptr) > 1)
        conditional = float(xt.sum(0) @ of_word) - float((xt[several] @ of_word).sum())
        size = max(1, CHUNK // ty.shape[1])
        for begin in range(0, len(several), size):
            rows = several[begin : begin + size]
            block = (xt[rows] @ decoder).toarray()
            share = block / np.where(mass[rows] > 0, mass[rows], 1.0)[:, None]
            conditional += float((-block * np.log2(np.where(share > 0, share, 1.0))).sum())
        return max(entropy_bits(np.asarray(xt.sum(0) @ decoder)) - conditional, 0.0)

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        units = {
            "information_bits": "of I(X; Y)",
            "code_bits": f"of {self.rate_bits:g} allowed",
            "bound_bits": "no chain has more",
        }
        return [
            ("metric", "value", ""),
            *(
                (k.replace("_", " "), f"{v:.9g}", units.get(k, ""))
                for k, v in verdict.metrics.items()
            ),
            *((k, f"{v:.3g}", "violation") for k, v in verdict.violations.items()),
        ]
