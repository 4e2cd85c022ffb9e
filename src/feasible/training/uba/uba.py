"""UBA: a learning-rate schedule of one shape parameter, from a min-max problem over unknown
curvature.

    eta_t = eta_min + (eta_max - eta_min) 2(1 + cos theta_t) / (2 phi + (2 - phi)(1 + cos theta_t)),
    theta_t = (2t - 1) pi / (2T),  t = 1..T

A. Tang, Y. Dong, Y. Zeng, X. Zhou, Z. Lin: Stepsize anything (NeurIPS 2025, arXiv 2505.24452). On
quadratics with curvature in [l, u] these rates, with eta_max = 1/l, eta_min = 1/u and phi = 2u/l,
minimise the worst contraction over T steps of gradient descent. With networks eta_max stays the
tuned rate and phi only shapes: phi = 2 is cosine annealing, smaller stays high for longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.optim import Optimizer

from ...core.annotations import checked
from ...core.checks import whole
from ...core.errors import ArgumentError, ShapeError
from .. import profiles
from ..schedule import ProfileLR, rate
from .phi import Phi

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class UBA(ProfileLR):
    """UBA over `total_steps` steps of the optimiser.

    Call `step()` after each `optimizer.step()`. Past the horizon the last rate stays.

    Args:
        optimizer: A torch optimiser.
        total_steps: Steps of the optimiser that the schedule plans for, >= 1.
        phi: The shape, >= 0 (see `choose_phi`).
        min_lr: eta_min; eta_max is each group's own `lr`.
        warmup_steps: Linear warm-up before.
        phases: [(steps, eta_max, eta_min), ...], restarts with rates of the first group, which the
            others follow in the ratio of their own; the steps sum to total_steps - warmup_steps,
            and min_lr is not used.
        sampling: As in `ProfileLR`.
        last_epoch: As in `ProfileLR`.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        NotFinite: A NaN or an infinity.

    References:
        Tang, Dong, Zeng, Zhou, Lin, arXiv 2505.24452.
    """

    _keep = ("phi", "phases")

    @checked
    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        phi: float | Phi = 1.0,
        *,
        min_lr: float = 0.0,
        warmup_steps: int = 0,
        phases: Sequence[tuple[int, float, float]] | None = None,
        sampling: Any = None,
        last_epoch: int = -1,
    ):
        shape = profiles.uba(float(phi))
        self.phi, self.phases = (
            float(phi),
            None if phases is None else _read(phases, total_steps - warmup_steps),
        )
        if phases is not None and min_lr:
            raise ArgumentError(f"min_lr={min_lr:g}: each of the phases has its own")
        first = optimizer.param_groups[0] if isinstance(optimizer, Optimizer) else {"lr": 1.0}
        if phases is not None and not first.get("initial_lr", first["lr"]):
            raise ArgumentError(
                "lr of group 0=0: expected a rate > 0, which the other groups keep their ratio to"
            )
        super().__init__(
            optimizer,
            shape,
            total_steps,
            sampling=sampling,
            min_lr=min_lr,
            warmup_steps=warmup_steps,
            last_epoch=last_epoch,
        )

    def _rebuild(self) -> None:
        """Make the profile from phi."""
        self._s = profiles.uba(self.phi)

    def _z(self, k: int, steps: int) -> float:
        """The share of the profile at the middle of step k."""
        a, b = self.sampling.point(min(k, steps - 1), steps)
        return (2 * a * steps + b) / (2 * b * steps)  # theta_t / pi at the middle of the step

    def _phase(self, k: int, phases: list[list[Any]]) -> tuple[int, list[Any]]:
        """The phase of step k, and k within it."""
        k, j = min(k, self.total_steps - 1) - self.warmup_steps, 0
        while k >= phases[j][0]:
            k, j = k - phases[j][0], j + 1
        return k, phases[j]

    def share(self, k: int) -> float:
        """Rate over peak rate at step k, above its floor; with phases in that of step k."""
        if self.phases is None or k < self.warmup_steps:
            return super().share(k)
        k, (steps, _, _) = self._phase(k, self.phases)
        return float(self._s(self._z(k, steps)))

    def _scaled(self, k: int, s: float, peak: float) -> float:
        """The rate of a group with this peak, in its phase."""
        if self.phases is None or k < self.warmup_steps:
            return super()._scaled(k, s, peak)
        _, high, low = self._phase(k, self.phases)[1]
        ratio = 1.0 if peak == self.base_lrs[0] else peak / self.base_lrs[0]
        return ratio * (low + (high - low) * s)

    def extend(self, total_steps: int) -> None:
        """Stretch the profile, or the last phase, over a new horizon.

        Args:
            total_steps: The new horizon.

        Raises:
            ArgumentError: The new horizon is over already.
        """
        if self.phases is not None:
            steps, high, low = self.phases[-1]
            longer = [
                *self.phases[:-1],
                [
                    steps
                    + whole("total_steps", total_steps, least=1, floats=True)
                    - self.total_steps,
                    high,
                    low,
                ],
            ]
            _read(longer, total_steps - self.warmup_steps)
            before, self.phases = self.phases, longer
            try:
                super().extend(total_steps)
            except ArgumentError:
                self.phases = before
                raise
        else:
            super().extend(total_steps)


def _read(phases: Sequence[Sequence[float]], steps: int) -> list[list[Any]]:
    """The phases, checked to sum to `steps`."""
    found = []
    for i, phase in enumerate(phases):
        if len(phase) != 3:
            raise ShapeError(
                f"phases[{i}] has {len(phase)} entries, expected (steps, eta_max, eta_min)"
            )
        length, high, low = (
            whole(f"phases[{i}] steps", phase[0], least=1, floats=True),
            rate(f"phases[{i}] eta_max", phase[1]),
            rate(f"phases[{i}] eta_min", phase[2]),
        )
        if low > high:
            raise ArgumentError(f"phases[{i}]: eta_min={low:g} is above eta_max={high:g}")
        found.append([length, high, low])
    if sum(p[0] for p in found) != steps:
        raise ArgumentError(
            f"phases sum to {sum(p[0] for p in found)} steps, expected the {steps} after the "
            "warm-up"
        )
    return found


@checked
def uba_profile(k: ArrayLike, total_steps: int, phi: float) -> Any:
    """UBA's shares of the peak rate.

    Args:
        k: (n,) steps, of 0, ..., total_steps - 1.
        total_steps: Steps of the run, >= 1.
        phi: The shape, >= 0.

    Returns:
        (n,) shares in (0, 1).

    Raises:
        ArgumentError: A step outside the run, or a setting out of its range.

    Examples:
        >>> uba_profile([0, 1, 2, 3], total_steps=4, phi=2.0).round(3).tolist()
        [0.962, 0.691, 0.309, 0.038]

    References:
        Tang, Dong, Zeng, Zhou, Lin, arXiv 2505.24452.
    """
    steps, at = whole("total_steps", total_steps, least=1, floats=True), np.asarray(k)
    if at.size and (at.min() < 0 or at.max() >= steps):
        raise ArgumentError(
            f"k goes from {at.min():g} to {at.max():g}, expected steps 0 to {steps - 1}"
        )
    return profiles.uba(phi)((2.0 * at + 1) / (2 * steps))


def worst_contraction(rates: Any, low: float, high: float) -> float:
    """What T steps of gradient descent leave of the error at worst: the largest |prod_t (1 - eta_t
    lam)| over curvatures lam in [low, high].

    Exact to the rounding of the product: the maximum lies at an end or at a stationary point
    between two roots 1/eta_t, found by golden section.

    Args:
        rates: (T,) eta_t.
        low: Least curvature.
        high: Largest curvature.

    Raises:
        ArgumentError: Rates or curvatures out of range.
    """
    from scipy.optimize import minimize_scalar

    eta = np.asarray(rates, dtype=float)
    if eta.ndim != 1 or not 0 < low <= high or not np.isfinite(eta).all():
        raise ArgumentError(
            f"rates of shape {eta.shape} on [{low:g}, {high:g}]: expected (T,) finite numbers and "
            "0 < low <= high"
        )

    def left(lam: float) -> float:
        return float(np.abs(np.prod(1 - eta * lam)))

    with np.errstate(divide="ignore"):
        roots = np.unique(1 / eta[eta > 0])
    cuts = [low, *roots[(roots > low) & (roots < high)], high]
    inner = [
        minimize_scalar(
            lambda lam: -left(lam), bounds=pair, method="bounded", options={"xatol": 1e-12 * high}
        ).fun
        for pair in pairwise(cuts)
    ]
    return float(max(left(low), left(high), *(-found for found in inner)))
