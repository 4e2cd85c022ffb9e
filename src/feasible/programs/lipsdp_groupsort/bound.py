"""`lipschitz_bound`: a certified Lipschitz constant of a network, in one call.

References:
    Pauli, Havens, Araujo, Garg, Khorrami, Allgoewer, Hu, "Novel Quadratic Constraints for Extending
    LipSDP beyond Slope-Restricted Activations", ICLR 2024, arXiv 2401.14033.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import generator, one_of, real, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError, Infeasible
from . import newton
from .activations import Activation, GroupSort, Slope
from .certify import certified
from .lmi import LMI, NOT_WELL_POSED, lmi_of
from .networks import DEQ, Network, as_activation, feedforward
from .sampled import MOST_SAMPLES, sampled_slopes
from .settings import NORMS, LipschitzSettings
from .verify import Check, check

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class LipschitzBound:
    """A certified bound, and what proves it.

    Attributes:
        value: |f(x) - f(y)| <= value |x - y|, in l2; from linf to l1 for norm "linf".
        lower: Largest slope that was sampled: the constant is at least this.
        product: The product of the layers' constants.
        norm: "l2" or "linf".
        form: The constraints: "full", "simple" or "relu".
        multipliers: "lambda" and "gamma", an array a layer, "rho" in l2, "t" and "mu" in linf.
        solver: Which found the multipliers.
        status: "optimal" (newton: within tol of the optimum; clarabel, scs: their word),
            "inaccurate", "stalled", "steps", "time limit", or what a solver said.
        steps: Its steps.
        time_s: Seconds.
        net: The network.
        parts: Where the network was split, the bounds of its parts; the value is their product,
            and the multipliers are theirs.
    """

    value: float
    lower: float
    product: float
    norm: str
    form: str
    multipliers: dict[str, Any]
    solver: str
    status: str
    steps: int
    time_s: float
    net: Network | DEQ = field(repr=False)
    parts: tuple[LipschitzBound, ...] = field(default=(), repr=False)

    def __float__(self) -> float:
        """The bound."""
        return self.value

    @property
    def certified(self) -> bool:
        """Whether the eigenvalues prove it; computed anew each time."""
        return self.verify().holds

    @property
    def converged(self) -> bool:
        """Whether the solver reached its tolerance; the bound is valid either way."""
        return self.status == "optimal"

    def verify(self) -> Check:
        """Check every inequality by eigenvalues, on the weights as given, independent of the
        solver.
        """
        if not self.parts:
            return check(self.net, self.norm, self.form, self.value, self.multipliers)
        found = [part.verify() for part in self.parts]
        worst = min(found, key=lambda c: (c.holds, c.least))
        if worst.holds and self.value < math.prod(p.value for p in self.parts) * (1 - 1e-12):
            return replace(worst, holds=False, why="the bound is less than its parts' product")
        return worst

    def radius(self, margin: float) -> float:
        """Return the l2 distance within which a classifier's decision cannot change.

        Args:
            margin: Difference of the two largest outputs at the input.

        Returns:
            margin / (sqrt 2 value).
        """
        if self.norm != "l2":
            raise ArgumentError(f"norm='{self.norm}': expected a bound in l2")
        return real("margin", margin, least=0) / (np.sqrt(2) * max(self.value, 1e-300))


def as_network(
    net: Any, activation: Activation | None = None, biases: Sequence[Any] | None = None
) -> Network | DEQ:
    """Return what a user gave as a network.

    Args:
        net: A Network, DEQ, `torch.nn.Module` of linear layers and activations, or a list of
            weights.
        activation: Between the weights; None: MaxMin.
        biases: One a weight, or None.

    Raises:
        FeasibleError: It is none of these, or is malformed.
    """
    if activation is not None:
        as_activation(activation)
    if isinstance(net, (Network, DEQ)):
        return net
    if isinstance(net, (list, tuple)):
        return feedforward(net, activation, biases)
    if any(c.__module__.startswith("torch.nn") for c in type(net).__mro__):
        from .torch_nets import read

        return read(net, activation)
    raise ArgumentTypeError(
        f"net={shown(net)}: expected a list of weights, a torch.nn.Sequential, ResidualMLP or DEQ"
    )


def check_form(net: Network | DEQ, form: str) -> None:
    """Refuse the form "relu" where an activation is not of pairs.

    Raises:
        ArgumentError: It is not.
    """
    used = [net.activation] if isinstance(net, DEQ) else [layer.activation for layer in net.layers]
    widths = [len(net.W)] if isinstance(net, DEQ) else [len(layer.W) for layer in net.layers]
    for phi, n in zip(used, widths, strict=True):
        pairs = isinstance(phi, GroupSort) and (phi.size or n) == 2
        if form == "relu" and not (pairs or isinstance(phi, Slope)):
            raise ArgumentError(f"form='relu': expected MaxMin, got {shown(phi)}")


def chosen(lmi: LMI, net: Network | DEQ, settings: LipschitzSettings) -> str:
    """Return the solver that "auto" means."""
    if settings.solver != "auto":
        return settings.solver
    rows = max((len(b.M0) for b in lmi.blocks), default=0)
    return "newton" if rows <= settings.most or isinstance(net, DEQ) else "gradient"


def split_multipliers(lmi: LMI, theta: Float[np.ndarray, " p"]) -> dict[str, Any]:
    """Return multipliers by name and layer, in the units of the network's own weights."""
    s = lmi.system
    grow = s.scale**2 if lmi.norm == "l2" else s.scale
    lam, gamma = lmi.multipliers(theta)
    sizes = np.array(s.sizes) ** 2
    kept = [len(np.unique(s.kept_of[s.layer_of_kept() == i])) for i in range(len(s.layer_groups))]
    found: dict[str, Any] = {
        name: [
            grow * part / size
            for part, size in zip(np.split(values, np.cumsum(counts)[:-1]), sizes, strict=True)
        ]
        if len(counts)
        else []
        for name, values, counts in (("lambda", lam, s.layer_groups), ("gamma", gamma, kept))
    }
    if lmi.norm == "l2":
        return found | {"rho": float(grow * theta[0])}
    return found | {"t": grow * theta[: s.n_x], "mu": grow * theta[s.n_x : lmi.head]}


def split_network(net: Network | DEQ, norm: str, depth: int) -> list[Network]:
    """Return the parts of a network, of so many hidden layers each; f is one after the other.

    Raises:
        ArgumentError: An implicit network, or a norm other than l2, in which the parts' outputs
            would be measured in another norm than the next one's inputs.
    """
    if isinstance(net, DEQ) or norm != "l2":
        what = "an implicit network" if isinstance(net, DEQ) else f"norm='{norm}'"
        raise ArgumentError(f"split={depth} with {what}: expected a network of layers, in l2")
    parts = []
    for begin in range(0, len(net.layers) - depth, depth):
        last = net.layers[begin + depth - 1]
        parts.append(
            Network(
                net.layers[begin : begin + depth], np.eye(len(last.W if last.G is None else last.G))
            )
        )
    return [*parts, Network(net.layers[depth * len(parts) :], net.W_out, net.b_out)]


def _joined(
    net: Network | DEQ, parts: Sequence[LipschitzBound], lower: float, begun: float
) -> LipschitzBound:
    """Return the bound of a network from those of its parts."""
    worst = next((p.status for p in parts if p.status != "optimal"), "optimal")
    names = parts[0].multipliers
    return replace(
        parts[0],
        value=math.prod(p.value for p in parts),
        lower=lower,
        product=net.product("l2"),
        multipliers={k: [p.multipliers[k] for p in parts] for k in names},
        solver=", ".join(dict.fromkeys(p.solver for p in parts)),
        status=worst,
        steps=sum(p.steps for p in parts),
        time_s=time.perf_counter() - begun,
        net=net,
        parts=tuple(parts),
    )


def lipschitz_bound(
    net_or_weights: Any,
    norm: str = "l2",
    activation: Activation | None = None,
    *,
    form: str = LipschitzSettings.form,
    solver: str = LipschitzSettings.solver,
    tol: float = LipschitzSettings.tol,
    steps: int = LipschitzSettings.steps,
    rate: float = LipschitzSettings.rate,
    most: int = LipschitzSettings.most,
    biases: Sequence[Any] | None = None,
    split: int | None = None,
    time_limit: float | None = None,
    samples: int = 1000,
    seed: Any = 0,
    callback: Callable[[int, float], Any] | None = None,
) -> LipschitzBound:
    """Bound the Lipschitz constant of a network from above, with a proof.

        l2:   |f(x) - f(y)|_2 <= L |x - y|_2
        linf: |f(x) - f(y)|_1 <= L |x - y|_inf   (one output: |f(x) - f(y)| <= L |x - y|_inf)

    The value is computed from the multipliers by eigenvalues, never read from a solver.

    Args:
        net_or_weights: Weights [(n_1, n_0), (n_2, n_1), ...], a `torch.nn.Sequential`, or a
            `Network`, `ResidualMLP`, `DEQ`.
        norm: "l2" or "linf".
        activation: Between the weights; None: `MaxMin()`. Groups are neighbouring channels unless
            it is chunked.
        form: "full" (the constraint with T, S, P), "simple" (S = P = 0), or "relu" (LipSDP on
            MaxMin as a residual network of ReLU).
        solver: "auto", "newton", "gradient", "clarabel" or "scs".
        tol: Relative distance to the optimum at which newton ends.
        steps: Steps of the gradient method.
        rate: Its step size.
        most: Rows of the inequality up to which "auto" takes newton.
        biases: Where slopes are sampled; bounds do not depend on them.
        split: Hidden layers of the parts that are bounded one by one; the bound is the product of
            theirs. For networks too deep to be bounded as a whole, in l2. None: not split.
        time_limit: Seconds, after which newton and gradient end with the best bound so far.
        samples: Points where slopes are sampled for `lower`; 0 for none.
        seed: Of these points.
        callback: (step, bound) after each step of newton or gradient; True ends it. With `split`
            both are of the part in hand.

    Returns:
        The bound; `verify()` checks it.

    Raises:
        ShapeError: Weights that do not fit, or a width that the group size does not divide.
        NotFinite: A NaN in a weight.
        ArgumentTypeError: A module that is not supported, by name.
        Infeasible: An implicit network that is not provably well-posed.
        FeasibleError: Settings.

    Example:
        >>> import numpy as np
        >>> bound = lipschitz_bound([np.eye(4), np.eye(4)])
        >>> round(bound.value, 4), bound.verify().holds
        (1.0, True)
        >>> round(lipschitz_bound([np.eye(4), np.eye(4)], form="relu").value, 4)
        1.4142

    References:
        Pauli et al., ICLR 2024, arXiv 2401.14033.
    """
    one_of("norm", norm, NORMS)
    if not (callback is None or callable(callback)):
        raise ArgumentTypeError(f"callback={callback!r:.60}: expected a function")
    settings = LipschitzSettings(form, solver, tol, steps, rate, most)
    whole("samples", samples, least=0, most=MOST_SAMPLES)
    limit = np.inf if time_limit is None else real("time_limit", time_limit, above=0)
    rng = generator("seed", seed)
    net = as_network(net_or_weights, activation, biases)
    check_form(net, form)
    begun = time.perf_counter()
    if split is not None:
        parts = split_network(net, norm, whole("split", split, least=1))
        each = [
            lipschitz_bound(
                part,
                **asdict(settings),
                time_limit=None if time_limit is None else limit / len(parts),
                samples=0,
                callback=callback,
            )
            for part in parts
        ]
        return _joined(net, each, sampled_slopes(net, norm, samples, rng)[0], begun)
    lmi = lmi_of(net, norm, form)
    name = chosen(lmi, net, settings)

    def goes_on(step: int, theta: np.ndarray) -> str:
        """Say why it should end, or nothing."""
        if callback is not None and callback(step, lmi.bound(theta)) is True:
            return "the callback ended it"
        return "time limit" if time.perf_counter() - begun > limit else ""

    if name == "newton":
        inner, at = newton.begin(lmi)
        while not at.status:
            newton.advance(inner, settings, at)
            at.status = at.status or goes_on(at.steps, at.theta)
        theta, status, count = at.theta, at.status, at.steps
    elif name == "gradient":
        from .gradient import Recursion

        recursion = Recursion(net, lmi, form)
        state = recursion.begin()
        while not state.status:
            recursion.advance(settings, state)
            state.status = state.status or goes_on(state.steps, state.best)
        theta, status, count = state.best, state.status, state.steps
    else:
        from .sdp import solved

        left = solved(net, lmi, settings, name)
        theta, status, count = left.theta, left.status, left.steps
    proven = certified(lmi, theta)
    if proven is None:
        raise Infeasible(f"{NOT_WELL_POSED}; solver '{name}' ended with '{status}'")
    took = time.perf_counter() - begun
    return LipschitzBound(
        lmi.bound(proven),
        sampled_slopes(net, norm, samples, rng)[0],
        net.product(norm),
        norm,
        form,
        split_multipliers(lmi, proven),
        name,
        status,
        count,
        took,
        net,
    )
