"""Distance over gradients: DoG and LDoG (Ivgi, Hinder, Carmon, "DoG is SGD's Best Friend", ICML
2023, arXiv 2302.12022), and DoWG (Khaled,
Mishchenko, Jin, NeurIPS 2023, arXiv 2305.16284). Gradient steps without a rate:

    DoG    rbar = max |x - x0|, at first reps_rel (1 + |x0|);   G = sum |g|^2 + eps;            x -=
    lr rbar / sqrt(G) g
    LDoG   the same for each tensor by itself
    DoWG   d2 = max |x - x0|^2, at first 1e-4;   V = sum d2 |g|^2;                              x -=
    lr d2 / (sqrt(V) + 1e-4) g

They want no decay of the rate, but an average of the iterates: `PolynomialAverager`. Written here
  because dog-optimizer 1.0.3 fails where a parameter
has no gradient, and measures each parameter group by itself; with one group the numbers are the
same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch.optim import Optimizer

from ..optimizer import NamedState, evaluated, number, with_gradients

if TYPE_CHECKING:
    from torch import Tensor


class DoG(NamedState, Optimizer):
    """reps_rel: > 0, the first distance, relative to 1 + |x0|; 1e-4 with batch normalisation.  lr:
    > 0, a factor, 1 unless there is a reason.

    weight_decay: >= 0, of the gradient.  per_group: measure each parameter group by itself, not all
      parameters together.
    The rate of the last step is in each group as "eta", the distance as "rbar". Raises
    ArgumentError, ArgumentTypeError, NotFinite.
    """

    like_parameter: ClassVar[tuple[str, ...]] = ("x0",)

    def __init__(
        self,
        params: Any,
        reps_rel: float = 1e-6,
        lr: float = 1.0,
        weight_decay: float = 0.0,
        eps: float = 1e-8,
        *,
        per_group: bool = False,
    ):
        for name, value, above in (
            ("reps_rel", reps_rel, True),
            ("lr", lr, True),
            ("weight_decay", weight_decay, False),
            ("eps", eps, False),
        ):
            number(value, name, 0.0, above=above)
        super().__init__(
            params,
            {
                "lr": lr,
                "reps_rel": reps_rel,
                "weight_decay": weight_decay,
                "eps": eps,
                "per_group": bool(per_group),
            },
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the closure's loss, where there is a closure."""
        loss = evaluated(closure)
        found = []
        for group, (params, grads) in zip(
            self.param_groups, with_gradients(self.param_groups, type(self).__name__), strict=True
        ):
            if not params:
                continue
            if group["weight_decay"]:
                grads = torch._foreach_add(grads, params, alpha=group["weight_decay"])
            begins = [p for p in params if "x0" not in self.state[p]]
            for p in begins:
                self.state[p]["x0"] = p.detach().clone()
            x0 = [self.state[p]["x0"] for p in params]
            far, slope = (
                torch.stack(torch._foreach_norm(of))
                for of in (torch._foreach_sub(params, x0), grads)
            )
            found.append(
                (
                    group,
                    params,
                    grads,
                    (
                        far,
                        slope,
                        torch.stack(torch._foreach_norm(x0)) if begins else torch.zeros_like(far),
                    ),
                )
            )
        if not found:
            return loss
        self._set_rates(found)
        for group, params, grads, _ in found:
            self._move(group, params, grads)
        return loss

    def _set_rates(self, found: list[Any]) -> None:
        """Lengths of x - x0, g and x0, of each group or of all, and from them "eta" of each
        group."""
        if self.param_groups[0]["per_group"]:
            for group, _, _, lengths in found:
                self._measure(group, group, *(length.norm() for length in lengths))
            return
        lengths = [
            torch.stack([lengths[i].norm() for *_, lengths in found]).norm() for i in range(3)
        ]
        first = self.param_groups[0]
        self._measure(first, first, *lengths)
        for group in self.param_groups[1:]:
            group.update({name: first[name] for name in (*self._KEPT, "distance") if name in first})
        for group, *_ in found:
            group["eta"] = group["lr"] * group["distance"]

    _KEPT: ClassVar[tuple[str, ...]] = ("rbar", "G")

    def _measure(
        self,
        store: dict[str, Any],
        group: dict[str, Any],
        far: Tensor,
        slope: Tensor,
        start: Tensor,
    ) -> None:
        """Update the distance and the sum of squares in `store`, and the rate."""
        if "rbar" not in store:
            store["rbar"], store["G"] = group["reps_rel"] * (1 + start), slope**2 + group["eps"]
        else:
            store["rbar"], store["G"] = torch.maximum(store["rbar"], far), store["G"] + slope**2
        store["distance"] = store["rbar"] / store["G"].sqrt().clamp(
            min=torch.finfo(start.dtype).tiny
        )
        store["eta"] = group["lr"] * store["distance"]

    def _move(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        torch._foreach_sub_(params, torch._foreach_mul(grads, group["eta"].to(params[0].device)))

    def effective_lr(self) -> list[float]:
        """The rate of the last step in each group; 0 before the first."""
        return [float(group.get("eta", 0.0)) for group in self.param_groups]

    def estimate(self) -> float:
        """The largest distance from the start so far."""
        return max(float(group.get("rbar", 0.0)) for group in self.param_groups)


class LDoG(DoG):
    """DoG for each tensor by itself. "eta" of a group is the mean over its tensors."""

    def __init__(
        self,
        params: Any,
        reps_rel: float = 1e-6,
        lr: float = 1.0,
        weight_decay: float = 0.0,
        eps: float = 1e-8,
    ):
        super().__init__(params, reps_rel, lr, weight_decay, eps)

    def _set_rates(self, found: list[Any]) -> None:
        for group, _, _, (far, slope, start) in found:
            at = [i for i, p in enumerate(group["params"]) if p.grad is not None]
            if "rbars" not in group:
                group["rbars"], group["Gs"] = (
                    start.new_zeros(len(group["params"])),
                    start.new_full((len(group["params"]),), group["eps"]),
                )
            begun = group["rbars"][at]
            group["rbars"][at] = rbar = torch.where(
                begun == 0, group["reps_rel"] * (1 + start), torch.maximum(begun, far)
            )
            group["Gs"][at] += slope**2
            group["etas"] = (
                group["lr"] * rbar / group["Gs"][at].sqrt().clamp(min=torch.finfo(start.dtype).tiny)
            )
            group["eta"], group["rbar"] = group["etas"].mean(), group["rbars"].max()

    def _move(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        torch._foreach_sub_(params, torch._foreach_mul(grads, list(group["etas"].unbind())))


class DoWG(DoG):
    """d2: > 0, the first squared distance.  eps: > 0, in the denominator.  lr, weight_decay,
    per_group: as in `DoG`.
    """

    _KEPT: ClassVar[tuple[str, ...]] = ("rbar", "V")

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        weight_decay: float = 0.0,
        d2: float = 1e-4,
        eps: float = 1e-4,
        *,
        per_group: bool = False,
    ):
        number(d2, "d2", 0.0, above=True)
        number(eps, "eps", 0.0, above=True)
        super().__init__(params, d2**0.5, lr, weight_decay, eps, per_group=per_group)

    def _measure(
        self,
        store: dict[str, Any],
        group: dict[str, Any],
        far: Tensor,
        slope: Tensor,
        start: Tensor,
    ) -> None:
        store["rbar"] = torch.maximum(
            store.get("rbar", torch.full_like(far, group["reps_rel"])), far
        )
        store["V"] = store.get("V", torch.zeros_like(far)) + (store["rbar"] * slope) ** 2
        store["distance"] = store["rbar"] ** 2 / (store["V"].sqrt() + group["eps"])
        store["eta"] = group["lr"] * store["distance"]
