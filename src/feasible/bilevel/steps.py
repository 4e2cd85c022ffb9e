"""Step sizes that nobody has to give.

References:
    Y. Malitsky, K. Mishchenko, "Adaptive Gradient Descent without Descent", ICML 2020, Algorithm 1;
    D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..core.checks import one_of, real
from .sets import ConvexSet

if TYPE_CHECKING:
    from jaxtyping import Float

SAFETY, FORGET = 1.05, 0.995
"""What a measured constant is multiplied by, and how fast it is forgotten, a step of x."""
FIRST = 1e-2
"""Length of the first step, relative to that of x, where 1 is the least."""
LONGEST = 1e6
"""Most that a step may be longer than the first one, where nothing curved was seen."""
RULES = ("auto", "adam")
LOST = 1e6
"""By how much an iterate may grow, relative to its start, before it is said to diverge."""


def read_step(name: str, value: float | str) -> None:
    """Check a setting for the step of x: "auto", "adam" or a number > 0."""
    if isinstance(value, str):
        one_of(name, value, RULES, note=", or a number > 0")
    else:
        real(name, value, above=0, note=", 'auto' or 'adam'")


def diverged(iterates: Sequence[Tensor], others: Sequence[Tensor], size: float) -> str:
    """Return how a method diverges, empty where it does not.

    Args:
        iterates: What may not grow without limit, nor be anything but finite.
        others: What need only be finite.
        size: Of the iterates at the start.
    """
    if not all(bool(torch.isfinite(p).all()) for p in (*iterates, *others)):
        return "it diverged: a NaN or an infinity"
    if max(float(p.abs().max()) for p in iterates) > LOST * size:
        return f"it diverged: an entry is {LOST:g} times as large as at the start"
    return ""


@dataclass(slots=True)
class Curvature:
    """The largest slope of a gradient that was seen: L of the steps 1 / L.

    Attributes:
        largest: L; 0 before two gradients were seen.
    """

    largest: float = 0.0

    def see(self, moved: Tensor, changed: Tensor) -> None:
        """Take note of how a gradient changed over a move."""
        length = float(moved.norm())
        if length > 0:
            ratio = float(changed.norm()) / length
            if ratio < float("inf"):
                self.largest = max(self.largest, ratio)

    def forget(self) -> None:
        """Let it fall a little, as x has moved."""
        self.largest *= FORGET

    def probe(
        self, slope: Callable[[Tensor], Tensor], at: Tensor, draw: Tensor, times: int = 6
    ) -> Tensor:
        """Measure it by power iterations on differences of gradients; return the last direction.

        Args:
            slope: The gradient.
            at: (m,) where.
            draw: (m,) a first direction.
            times: Iterations, a gradient each.
        """
        base = slope(at)
        size = 1e-4 * max(1.0, float(at.norm()))
        direction = draw / draw.norm()
        for _ in range(times):
            changed = slope(at + size * direction) - base
            self.see(size * direction, changed)
            length = float(changed.norm())
            if not 0 < length < float("inf"):
                break
            direction = changed / length
        return direction


@dataclass(slots=True)
class UpperStep:
    """How x moves along a gradient.

    "auto" takes the longest step that the last two gradients allow (Malitsky and Mishchenko's
    Algorithm 1): min(sqrt(1 + r) a, |dx| / (2 |dq|)), r the ratio of the last two steps.

    Attributes:
        alpha: The last step; 0 before the first.
        ratio: It over the one before.
        x: (n,) where the last gradient was taken; empty before.
        q: (n,) that gradient.
        first: Adam's first moment.
        second: Adam's second moment.
        count: Steps so far.
        start: The first step.
    """

    alpha: float
    ratio: float
    x: Float[Tensor, " n"]
    q: Float[Tensor, " n"]
    first: Float[Tensor, " n"]
    second: Float[Tensor, " n"]
    count: int = 0
    start: float = 0.0

    @classmethod
    def at(cls, x: Tensor) -> UpperStep:
        """Return the state before the first step."""
        return cls(0.0, 1.0, *(torch.zeros_like(x) for _ in range(4)))

    def move(self, x: Tensor, q: Tensor, rule: float | str, rate: float, over: ConvexSet) -> Tensor:
        """Return x after a step, projected on its set.

        Args:
            x: (n,).
            q: (n,) a gradient there.
            rule: "auto", "adam", or the step itself.
            rate: Adam's.
            over: The set.
        """
        self.count += 1
        if rule == "adam":
            self.first.mul_(0.9).add_(q, alpha=0.1)
            self.second.mul_(0.999).addcmul_(q, q, value=0.001)
            mean = self.first / (1 - 0.9**self.count)
            root = (self.second / (1 - 0.999**self.count)).sqrt_().add_(1e-8)
            return over.project(x - rate * mean / root)
        if rule == "auto":
            self._adapt(x, q)
        else:
            self.alpha = float(rule)
        return over.project(x - self.alpha * q)

    def _adapt(self, x: Tensor, q: Tensor) -> None:
        """Choose the step from the last two gradients."""
        length = float(q.norm())
        if self.count == 1 or self.alpha == 0.0:
            size = FIRST * max(1.0, float(x.norm()))
            self.alpha = self.start = size / length if length > 0 else 0.0
        else:
            changed, moved = float((q - self.q).norm()), float((x - self.x).norm())
            longest = (1 + self.ratio) ** 0.5 * self.alpha
            allowed = moved / (2 * changed) if changed > 0 else longest
            new = min(longest, allowed if moved > 0 else self.alpha, LONGEST * self.start)
            self.ratio, self.alpha = new / self.alpha, new
        self.x, self.q = x.clone(), q.clone()
