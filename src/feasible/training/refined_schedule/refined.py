"""Linear decay, and a schedule refined from the gradient norms of an earlier run.

    eta_t = w_t sum_{p > t} w_p / sum_p w_p;   constant w: linear decay;   w_t = |g_t|_2^-2 for SGD,
    |g_t|_1^-1 for Adam and its kin

A. Defazio, A. Cutkosky, H. Mehta, K. Mishchenko: When, why and how much? Adaptive learning rate
scheduling by refinement (arXiv 2310.07831). For the last iterate of a convex problem linear decay
is worst-case optimal; norms from a finished run give rates fitted to it, warm-up and annealing
included. Log a run with linear decay, refine, tune the peak rate again, train. Where gradients
vanish (a model that fits every example) the refined schedule degenerates, and the guards fall back
to linear decay.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.ndimage import median_filter
from torch.optim import Optimizer

from ...core.annotations import checked
from ...core.checks import naming, whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError, nearest
from ...core.warning import warn
from .. import profiles
from ..schedule import ProfileLR

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

TAU = 0.1
"""Width of the median filter, as a share of the run."""
POWERS = {"l1": 1, "l2": 2}
FLAT = 1 << 20
"""Up to so many gradient entries are copied into one vector first; kernels on many small tensors
cost more.
"""
CHUNK = 256


class DegenerateScheduleWarning(UserWarning):
    """The refined schedule puts nearly all of its rate at one end."""


class LinearDecay(ProfileLR):
    """lr (1 - k/total_steps).

    Call `step()` after each `optimizer.step()`.

    Args:
        optimizer: A torch optimiser.
        total_steps: Steps of the optimiser that the schedule plans for, >= 1.
        sampling: As in `ProfileLR`.
        min_lr: As in `ProfileLR`.
        warmup_steps: As in `ProfileLR`.
        last_epoch: As in `ProfileLR`.

    References:
        Defazio, Cutkosky, Mehta, Mishchenko, arXiv 2310.07831.
    """

    @checked
    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        *,
        sampling: Any = None,
        min_lr: float = 0.0,
        warmup_steps: int = 0,
        last_epoch: int = -1,
    ):
        super().__init__(
            optimizer,
            profiles.linear,
            total_steps,
            sampling=sampling,
            min_lr=min_lr,
            warmup_steps=warmup_steps,
            last_epoch=last_epoch,
        )


# -- theory (section 2) ----------------------------------------------------------------------------


@checked
def linear_to_last(weights: ArrayLike) -> np.ndarray:
    """Rates under which the last iterate keeps the guarantee of the w-weighted average.

    eta_t = w_t W_{t+1:T} / W_{1:T}; equal weights give linear decay.

    Args:
        weights: (T,) >= 0, not all zero.

    Returns:
        (T,) rates; the last is 0.

    Raises:
        ArgumentError: A setting out of its range.
        ShapeError: Not (T,).
        NotFinite: A NaN or an infinity.

    Examples:
        >>> linear_to_last([1, 1, 1, 1]).tolist()
        [0.75, 0.5, 0.25, 0.0]

    References:
        Defazio, Cutkosky, Mehta, Mishchenko, arXiv 2310.07831, theorem 1.
    """
    w = _row("weights", weights)
    return w * (np.cumsum(w[::-1])[::-1] - w) / w.sum()


@checked
def last_iterate_bound(weights: ArrayLike, norms: ArrayLike, distance: float) -> float:
    """(D^2/2 + 1/2 sum_t w_t^2 G_t^2) / W_{1:T}, a bound on E f(x_T) - f(u) under the rates of
    `linear_to_last`.

    Args:
        weights: (T,) w_t, >= 0.
        norms: (T,) G_t, of the gradients.
        distance: D = |x_1 - u|.

    Raises:
        ArgumentError: A setting out of its range.
        ShapeError: Not (T,).
        NotFinite: A NaN or an infinity.

    References:
        Defazio, Cutkosky, Mehta, Mishchenko, arXiv 2310.07831.
    """
    w, g = _row("weights", weights), _row("norms", norms)
    if w.shape != g.shape:
        raise ShapeError(f"norms have {len(g)} entries, but weights have {len(w)}")
    if not 0 < distance < np.inf:
        raise ArgumentError(f"distance={distance:g}: expected a finite number > 0")
    return float((distance * distance / 2 + (w**2 * g**2).sum() / 2) / w.sum())


def optimal_weights(norms: Any, distance: float) -> np.ndarray:
    """(T,) the weights D G_t^-2 / sqrt(sum_p G_p^-2) that minimise `last_iterate_bound`, to D /
    sqrt(sum_p G_p^-2).

    Args:
        norms: (T,) G_t > 0.
        distance: D > 0.

    References:
        Defazio, Cutkosky, Mehta, Mishchenko, arXiv 2310.07831.
    """
    g = _row("norms", norms)
    if (g == 0).any():
        raise ArgumentError("norms: a gradient is zero, expected all > 0")
    return distance * g**-2.0 / np.sqrt((g**-2.0).sum())


# -- refinement (algorithms 1 and 2) ---------------------------------------------------------------


@checked
def refine_schedule(
    norms: ArrayLike,
    kind: str = "l2",
    *,
    tau: float = TAU,
    mode: str = "nearest",
    floor_ratio: float = 1e-3,
    fallback: bool = True,
    total_steps: int | None = None,
) -> np.ndarray:
    """A schedule from the gradient norms of a finished run: weights as `optimal_weights` has them,
    rates as `linear_to_last`, after a median filter.

    Args:
        norms: (T,) of minibatch gradients, before clipping.
        kind: "l2" for SGD (2-norms, weights G^-2), "l1" for Adam and its kin (1-norms, G^-1).
        tau: Width of the median filter as a share of the run, in (0, 0.5].
        mode: Its edges, "nearest" or "reflect".
        floor_ratio: Norms below so much of the largest are lifted to it.
        fallback: Linear decay where the result degenerates (peak in the last tenth, or under 2 %
            half-way), with a DegenerateScheduleWarning either way.
        total_steps: Of the next run, where it is not T: norms are interpolated first.

    Returns:
        (T,) shares of the peak rate; the largest is 1 and the last 0.

    Raises:
        ArgumentError: A setting out of its range.
        ShapeError: Not (T,).
        NotFinite: A NaN or an infinity.

    Examples:
        >>> refine_schedule([1.0] * 5, total_steps=5).tolist()
        [1.0, 0.75, 0.5, 0.25, 0.0]

    References:
        Defazio, Cutkosky, Mehta, Mishchenko, arXiv 2310.07831.
    """
    g = _row("norms", norms)
    if len(g) < 2:
        raise ShapeError(f"norms have {len(g)} entry, expected at least 2 steps")
    if kind not in POWERS:
        raise ArgumentError(f"kind='{kind}': {nearest(kind, POWERS)}")
    if mode not in ("nearest", "reflect"):
        raise ArgumentError(f"mode='{mode}': expected 'nearest' or 'reflect'")
    if not 0 < tau <= 0.5:
        raise ArgumentError(f"tau={tau:g}: expected a share above 0 and at most 0.5")
    if not 0 <= floor_ratio < 1:
        raise ArgumentError(
            f"floor_ratio={floor_ratio:g}: expected a share of at least 0 and below 1"
        )
    if total_steps is not None:
        t = np.linspace(0, 1, whole("total_steps", total_steps, least=2, floats=True))
        g = np.interp(t, np.linspace(0, 1, len(g)), g)
    g = median_filter(
        g, size=2 * (int(tau * len(g)) // 2) + 1, mode=mode
    )  # an even width would shift the curve
    if g.max() == 0 or (floor_ratio == 0 and g.min() == 0):
        raise ArgumentError(
            "norms are zero over a filter's width, expected gradients; floor_ratio > 0 lifts "
            "single zeros"
        )
    w = np.maximum(g / g.max(), floor_ratio) ** -float(POWERS[kind])
    eta = w * (np.cumsum(w[::-1])[::-1] - w)
    eta[-1] = 0.0
    eta = eta / eta.max()
    steps, peak = len(eta), int(eta.argmax()) + 1
    if peak > 0.9 * steps or eta[max(steps // 2, 1) - 1] < 0.02:
        half = eta[max(steps // 2, 1) - 1]
        warn(
            f"the refined schedule peaks at step {peak} of {steps} and is at {half:.2g} of its "
            "peak half-way: gradients shrank "
            f"to {g.min() / g.max():.1g} of the "
            f"largest{', so linear decay takes its place' if fallback else ''}",
            DegenerateScheduleWarning,
        )
        if fallback:
            return np.linspace(1, 0, steps)
    return eta


def kind_of(optimizer: Optimizer) -> str:
    """The norm that fits: "l2" for SGD, "l1" for methods that scale each coordinate or take its
    sign.
    """
    return "l2" if isinstance(optimizer, torch.optim.SGD) else "l1"


def _row(name: str, values: Any) -> np.ndarray:
    """(T,) finite numbers; an error that names them where they are none."""
    row = np.asarray(values, dtype=float)
    if row.ndim != 1 or not len(row):
        raise ShapeError(f"{name} have shape {row.shape}, expected (T,)")
    if not np.isfinite(row).all():
        raise NotFinite(
            f"{name} hold a NaN or an infinity at step "
            f"{int(np.flatnonzero(~np.isfinite(row))[0])}, expected finite numbers"
        )
    if (row < 0).any() or not row.any():
        raise ArgumentError(
            f"{name} are {'negative' if (row < 0).any() else 'all zero'}, expected numbers >= 0, "
            "some above"
        )
    return row


class Refined(ProfileLR):
    """A refined schedule as a scheduler; the rate is schedule[k] times each group's own `lr`.

    Call `step()` after each `optimizer.step()`.

    Tune the peak rate again: the mean of the schedule is not that of linear decay.

    Args:
        optimizer: A torch optimiser.
        schedule: (T,) from `refine_schedule`, or any shares of the peak.
        total_steps: T where None, else the schedule is interpolated.
        sampling: As in `ProfileLR`; a refined schedule has its own warm-up.
        min_lr: As in `ProfileLR`.
        warmup_steps: As in `ProfileLR`.
        last_epoch: As in `ProfileLR`.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        ShapeError: An array of another shape.
        NotFinite: A NaN or an infinity.

    References:
        Defazio, Cutkosky, Mehta, Mishchenko, arXiv 2310.07831.
    """

    _keep = ("schedule",)

    @checked
    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Any,
        total_steps: int | None = None,
        *,
        sampling: Any = None,
        min_lr: float = 0.0,
        warmup_steps: int = 0,
        last_epoch: int = -1,
    ):
        with naming("schedule"):
            shape = profiles.table(schedule)
        self.schedule = torch.tensor(np.asarray(schedule, dtype=float))
        super().__init__(
            optimizer,
            shape,
            len(self.schedule) if total_steps is None else total_steps,
            sampling=sampling,
            min_lr=min_lr,
            warmup_steps=warmup_steps,
            last_epoch=last_epoch,
        )

    @classmethod
    def from_log(
        cls,
        log: str | Path | GradNormLogger,
        optimizer: Optimizer,
        total_steps: int | None = None,
        *,
        kind: str | None = None,
        tau: float = TAU,
        fallback: bool = True,
        **settings: Any,
    ) -> Refined:
        """Refine the norms of a logger or of the file that it saved.

        Args:
            log: A `GradNormLogger`, or the file that it saved.
            optimizer: A torch optimiser.
            total_steps: Of the next run; None: as many as were logged.
            kind: As in `refine_schedule`; None: by the optimiser (see `kind_of`).
            tau: As in `refine_schedule`.
            fallback: As in `refine_schedule`.
        """
        found = log if isinstance(log, GradNormLogger) else GradNormLogger.load(log)
        kind = kind_of(optimizer) if kind is None else kind
        return cls(
            optimizer,
            refine_schedule(
                getattr(found, kind, found.l2),
                kind,
                tau=tau,
                fallback=fallback,
                total_steps=total_steps,
            ),
            **settings,
        )

    def _rebuild(self) -> None:
        """Make the profile from the schedule."""
        self._s = profiles.table(self.schedule)

    def _z(self, k: int, steps: int) -> float:
        """The share of the profile at step k: that of schedule[k]."""
        a, b = self.sampling.point(k, steps)
        return min(a / b * steps / max(steps - 1, 1), 1.0)  # schedule[k] at step k


# -- the norms -------------------------------------------------------------------------------------


class GradNormLogger:
    """Keeps the 1-norm and 2-norm of the whole gradient at each step.

    Call `record()` after `backward()`, before clipping; in a trainer that does not clip it can be a
    hook: `optimizer.register_step_pre_hook(log)`. Nothing is copied from a GPU but every 256 steps.

    Args:
        params: Of the model, all of them.

    Raises:
        ArgumentError: No parameters.
    """

    @checked
    def __init__(self, params: Iterable[Tensor]):
        self._params = [p for p in params if isinstance(p, torch.Tensor) and p.requires_grad]
        if not self._params:
            raise ArgumentError("params: none of them requires a gradient")
        self._done = np.empty((0, 2))
        self._new: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._done) + len(self._new) // 2

    def record(self, *_: Any) -> None:
        """Log the norms of the gradients that are there now.

        Raises:
            ArgumentError: No parameter has a gradient.
            ArgumentTypeError: A sparse gradient.
        """
        grads = [p.grad for p in self._params if p.grad is not None]
        if not grads:
            raise ArgumentError("no parameter has a gradient: call record() after backward()")
        if any(g.layout != torch.strided for g in grads):
            raise ArgumentTypeError(
                "a gradient is sparse, expected dense ones (sparse=False in its embedding)"
            )
        if (
            sum([g.numel() for g in grads]) <= FLAT
            and len({(g.device, g.dtype) for g in grads}) == 1
        ):
            flat = torch.cat([g.view(-1) if g.is_contiguous() else g.reshape(-1) for g in grads])
            self._new += (torch.linalg.vector_norm(flat, 1), torch.linalg.vector_norm(flat))
        else:
            for order in (1, 2):
                self._new.append(
                    torch.linalg.vector_norm(
                        torch.stack(
                            [n.to(grads[0].device) for n in torch._foreach_norm(grads, order)]
                        ),
                        order,
                    )
                )
        if len(self._new) >= 2 * CHUNK:
            self._settle()

    __call__ = record

    def _settle(self) -> np.ndarray:
        """(n, 2) norms so far, fetched from the device."""
        if self._new:
            new = torch.stack([n.double() for n in self._new]).reshape(-1, 2).cpu().numpy()
            self._done, self._new = np.concatenate([self._done, new]), []
        return self._done

    @property
    def l1(self) -> np.ndarray:
        """(T,) 1-norms so far."""
        return self._settle()[:, 0].copy()

    @property
    def l2(self) -> np.ndarray:
        """(T,) 2-norms so far."""
        return self._settle()[:, 1].copy()

    def save(self, path: str | Path) -> None:
        """Write both norms as an .npz file."""
        np.savez(path, l1=self.l1, l2=self.l2)

    @classmethod
    def load(cls, path: str | Path) -> GradNormLogger:
        """A logger with the norms of a file, to read, not to record.

        Raises:
            ArgumentError: No such file.
        """
        log = cls([torch.zeros(1, requires_grad=True)])
        try:
            with np.load(path, allow_pickle=False) as file:
                log._done = np.stack([file["l1"], file["l2"]], axis=1).astype(float)
        except (OSError, ValueError, KeyError) as error:
            raise ArgumentError(f"'{path}' is no file of gradient norms ({error})") from None
        return log

    def state_dict(self) -> dict[str, Any]:
        """The norms as one tensor."""
        return {"norms": torch.from_numpy(self._settle().copy())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._done, self._new = state_dict["norms"].numpy().copy(), []
