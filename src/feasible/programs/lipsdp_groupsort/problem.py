"""LipschitzCertificate: multipliers that prove the least bound on a network's Lipschitz constant.

minimise  L  subject to  |f(x) - f(y)| <= L |x - y| being proven by the multipliers
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.budget import Resource, spend
from ...core.checks import one_of, whole
from ...core.errors import ArgumentError, ArgumentTypeError
from ...core.problem import Problem
from ...core.verdict import Verdict
from .bound import as_network, check_form, split_multipliers
from .lmi import LMI, lmi_of
from .networks import DEQ
from .sampled import MOST_SAMPLES, difference_quotient, sampled_slopes
from .settings import FORMS, NORMS
from .verify import check

if TYPE_CHECKING:
    from jaxtyping import Float

    from .gradient import Recursion

Resource("factorizations", "factorizations of the inequality of a network, all layers once")


@dataclass(frozen=True, eq=False)
class Multipliers:
    """A certificate: what proves a bound, in the units of the network's own weights.

    Attributes:
        value: The bound that is claimed.
        form: Of the inequality: "full", "simple" or "relu".
        lam: (g,) lambda of all layers.
        gamma: (k,) gamma of all layers; only in form "simple".
        t: (n_in,) for linf.
        mu: (n_out,) for linf.
    """

    value: float
    form: str
    lam: Float[np.ndarray, " g"]
    gamma: Float[np.ndarray, " k"]
    t: Float[np.ndarray, " n_in"]
    mu: Float[np.ndarray, " n_out"]


@dataclass
class LipschitzCertificate(Problem):
    """Bound a network's Lipschitz constant from above, and prove it.

    An answer is a certificate: multipliers, and the bound that they are said to prove. The judge
    builds the paper's inequality of the network's own weights and computes its eigenvalues: the
    objective is the bound, the violation how far the least eigenvalue is below 0 (the diagonal
    scaled to 1), or the share by which a difference quotient of the network is above the bound.
    The residual is bound / sampled - 1: no bound can be better than that. Metrics: the sampled
    slope, and the bound over the product of the layers' norms. A method is charged for each
    factorization of the inequality.

    Attributes:
        net: Weights, a `torch.nn.Sequential`, `Network`, `ResidualMLP` or `DEQ`.
        norm: "l2" or "linf".
        activation: Between weights; None: MaxMin.
        samples: Points where slopes are sampled, once.

    Raises:
        FeasibleError: As `lipschitz_bound`.
    """

    net: Any
    norm: str = "l2"
    activation: Any = None
    samples: int = 1000
    name: str = "lipschitz-certificate"

    trail_growth = 1.5
    example_budget: ClassVar[str] = "factorizations=200"
    objective_title: ClassVar[str] = "Lipschitz bound"
    answers: ClassVar[tuple[type, ...]] = (Multipliers,)

    def __post_init__(self) -> None:
        one_of("norm", self.norm, NORMS)
        self.net = as_network(self.net, self.activation)
        self.made: dict[str, LMI] = {}
        self.recursions: dict[str, Recursion] = {}
        rng = np.random.default_rng(0)
        samples = whole("samples", self.samples, least=0, most=MOST_SAMPLES)
        self.sampled, at = sampled_slopes(self.net, self.norm, samples, rng)
        slope = difference_quotient(self.net, self.norm, at)
        self.quotient = slope if np.isfinite(slope) else 0.0

    def inequality(self, form: str) -> LMI:
        """Return the inequality in a form; made once.

        Raises:
            ArgumentError: The form does not suit the activations.
            Infeasible: An implicit network that is not well-posed.
        """
        if form not in self.made:
            check_form(self.net, form)
            self.made[form] = lmi_of(self.net, self.norm, form)
        return self.made[form]

    def recursion(self, form: str) -> Recursion:
        """Return the recursion of the gradient method in a form; made once."""
        if form not in self.recursions:
            from .gradient import Recursion

            self.recursions[form] = Recursion(self.net, self.inequality(form), form)
        return self.recursions[form]

    def charge(self) -> None:
        """Charge one factorization, before it is made."""
        spend(factorizations=1)

    def certificate(self, lmi: LMI, form: str, theta: Float[np.ndarray, " p"]) -> Multipliers:
        """Return multipliers of an inequality as an answer."""
        parts = split_multipliers(lmi, theta)
        nothing = np.zeros(0)
        return Multipliers(
            lmi.bound(theta),
            form,
            np.concatenate([nothing, *parts["lambda"]]),
            np.concatenate([nothing, *parts["gamma"]]),
            np.asarray(parts.get("t", nothing), dtype=float),
            np.asarray(parts.get("mu", nothing), dtype=float),
        )

    def judge(self, answer: Any) -> Verdict:
        """Compute the eigenvalues of the inequality that the multipliers make."""
        if answer is None:
            return Verdict(float("nan"), float("inf"))
        if not isinstance(answer, Multipliers):
            raise ArgumentTypeError(f"answer={answer!r:.60}: expected Multipliers")
        one_of("answer.form", answer.form, FORMS)
        value = float(answer.value)
        if not (np.isfinite(value) and value >= 0):
            return Verdict(float("nan"), float("inf"))
        counts, kept = self._counts(answer.form)
        if len(answer.lam) != sum(counts) or len(answer.gamma) != sum(kept):
            raise ArgumentError(
                f"answer has {len(answer.lam)} lambda and {len(answer.gamma)} gamma: expected "
                f"{sum(counts)} and {sum(kept)}"
            )
        given = {
            "lambda": np.split(answer.lam, np.cumsum(counts)[:-1]) if counts else [],
            "gamma": np.split(answer.gamma, np.cumsum(kept)[:-1]) if kept else [],
            "t": answer.t,
            "mu": answer.mu,
        }
        found = check(self.net, self.norm, answer.form, value, given)
        above = max(self.quotient / max(value, 1e-300) - 1 - 1e-6, 0.0)
        short = 0.0 if found.holds else max(-found.least, 1e-9)
        return Verdict(
            value,
            max(short, above),
            residual=value / max(self.sampled, 1e-300) - 1,
            violations={"inequality": short, "slope above the bound": above},
            metrics={
                "sampled": self.sampled,
                "over product": value / max(self.net.product(self.norm), 1e-300),
                "least eigenvalue": found.least,
            },
        )

    def _counts(self, form: str) -> tuple[list[int], list[int]]:
        """Return the multipliers of each layer."""
        if isinstance(self.net, DEQ):
            layers = [(self.net.activation, len(self.net.W))]
        else:
            layers = [(layer.activation, len(layer.W)) for layer in self.net.layers]
        counts, kept = [], []
        for phi, n in layers:
            _, of = phi.preserved(n)
            pairs = form == "relu" and len(of) > 0
            groups = np.arange(n) if pairs else phi.split(n).groups
            if form == "simple" and len(of):
                groups = phi.grouping(n)
            counts.append(int(groups.max()) + 1 if len(groups) else 0)
            kept.append(int(of.max()) + 1 if form == "simple" and len(of) else 0)
        return counts, kept

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        return [
            ("metric", "value"),
            (f"Lipschitz bound, {self.norm}", f"{verdict.objective:.8g}"),
            *((k, f"{v:.6g}") for k, v in verdict.metrics.items()),
        ]
