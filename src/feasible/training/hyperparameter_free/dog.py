"""Distance over gradients: DoG and LDoG (Ivgi, Hinder, Carmon, "DoG is SGD's Best Friend", ICML
2023, arXiv 2302.12022), and DoWG (Khaled, Mishchenko, Jin, NeurIPS 2023, arXiv 2305.16284).
Gradient steps without a rate:

    DoG    rbar = max |x - x0|, at first reps_rel (1 + |x0|);   G = sum |g|^2 + eps
           x <- x - lr rbar / sqrt(G) g
    LDoG   the same for each tensor by itself
    DoWG   d2 = max |x - x0|^2, at first 1e-4;   V = sum d2 |g|^2
           x <- x - lr d2 / (sqrt(V) + 1e-4) g

They want no decay of the rate, but an average of the iterates: `PolynomialAverager`. Written here
because dog-optimizer 1.0.3 fails where a parameter has no gradient, and measures each parameter
group by itself; with one group the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch.optim import Optimizer

from ...core.annotations import Checked, checked
from ...core.checks import real
from ..optimizer import NamedState, evaluated, number, uncompiled, with_gradients

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DoGSettings(Checked):
    """Settings of DoG and LDoG, and by `dowg` those of DoWG.

    Attributes:
        reps_rel: First distance, > 0, relative to 1 + |x0|; 1e-4 with batch normalisation.
        lr: Factor of the rate, > 0; 1 unless there is a reason.
        weight_decay: Decay of the gradient, >= 0.
        eps: Added to the sum of squared gradients, >= 0.
    """

    reps_rel: float = 1e-6
    lr: float = 1.0
    weight_decay: float = 0.0
    eps: float = 1e-8

    def __post_init__(self) -> None:
        real("reps_rel", self.reps_rel, above=0)
        number("lr", self.lr, above=0)
        real("weight_decay", self.weight_decay, least=0)
        real("eps", self.eps, least=0)

    @classmethod
    def dowg(cls) -> DoGSettings:
        """Those of DoWG (arXiv 2305.16284): a first distance of 1e-2, not relative, and 1e-4 in
        the denominator.
        """
        return cls(reps_rel=1e-2, eps=1e-4)


class DoG(NamedState, Optimizer):
    """Gradient descent at the rate lr rbar / sqrt(G), distance over gradients.

    Minimises a loss of the parameters, given gradients at batches; no rate has to be known. The
    rate of the last step is in each group as "eta", the distance as "rbar".

    Args:
        params: Parameters, named parameters, or groups of them.
        reps_rel: As in `DoGSettings`, and so the next three.
        lr: Factor of the rate.
        weight_decay: Decay of the gradient.
        eps: Added to the sum of squared gradients.
        per_group: Measure each parameter group by itself, not all parameters together.
        maximize: Ascend instead of descending, as torch's optimisers do.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting that is no number.

    Examples:
        >>> x = torch.nn.Parameter(torch.tensor([3.0, 4.0], dtype=torch.float64))
        >>> optimizer = DoG([x], reps_rel=1e-3)
        >>> (x**2).sum().backward()
        >>> optimizer.step()
        >>> round(optimizer.estimate(), 9)  # reps_rel (1 + |x0|)
        0.006

    References:
        Ivgi, Hinder, Carmon, arXiv 2302.12022.
    """

    like_parameter: ClassVar[tuple[str, ...]] = ("x0",)

    @checked
    def __init__(
        self,
        params: Iterable[Any],
        reps_rel: float = DoGSettings.reps_rel,
        lr: float = DoGSettings.lr,
        weight_decay: float = DoGSettings.weight_decay,
        eps: float = DoGSettings.eps,
        *,
        per_group: bool = False,
        maximize: bool = False,
    ):
        settings = DoGSettings(reps_rel, lr, weight_decay, eps)
        more = {"per_group": bool(per_group), "maximize": bool(maximize)}
        super().__init__(params, {**asdict(settings), **more})

    @uncompiled
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
            wide = {} if params[0].dtype.itemsize >= 4 else {"dtype": torch.float32}
            far, slope = (
                torch.stack(torch._foreach_norm(of, 2, **wide))
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
                        torch.stack(torch._foreach_norm(x0, 2, **wide))
                        if begins
                        else torch.zeros_like(far),
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
        """Move the parameters of a group at its rate."""
        torch._foreach_sub_(params, torch._foreach_mul(grads, group["eta"].to(params[0].device)))

    def effective_lr(self) -> list[float]:
        """The rate of the last step in each group; 0 before the first."""
        return [float(group.get("eta", 0.0)) for group in self.param_groups]

    def estimate(self) -> float:
        """The largest distance from the start so far."""
        return max(float(group.get("rbar", 0.0)) for group in self.param_groups)


class LDoG(DoG):
    """DoG for each tensor by itself. "eta" of a group is the mean over its tensors.

    Args:
        params: Parameters, named parameters, or groups of them.
        reps_rel: As in `DoGSettings`, and so the rest.
        lr: Factor of the rate.
        weight_decay: Decay of the gradient.
        eps: Added to the sum of squared gradients.
        maximize: Ascend instead of descending, as torch's optimisers do.

    References:
        Ivgi, Hinder, Carmon, arXiv 2302.12022.
    """

    along_group: ClassVar[tuple[str, ...]] = ("rbars", "Gs")

    @checked
    def __init__(
        self,
        params: Iterable[Any],
        reps_rel: float = DoGSettings.reps_rel,
        lr: float = DoGSettings.lr,
        weight_decay: float = DoGSettings.weight_decay,
        eps: float = DoGSettings.eps,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, reps_rel, lr, weight_decay, eps, maximize=maximize)

    def _set_rates(self, found: list[Any]) -> None:
        """Rates of each tensor by itself, and their mean as "eta"."""
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
        """Move each tensor at its own rate."""
        torch._foreach_sub_(params, torch._foreach_mul(grads, list(group["etas"].unbind())))


_DOWG = DoGSettings.dowg()


class DoWG(DoG):
    """Gradient descent at the rate lr d2 / (sqrt(V) + eps), distance over weighted gradients.

    Args:
        params: Parameters, named parameters, or groups of them.
        lr: Factor of the rate, > 0.
        weight_decay: Decay of the gradient, >= 0.
        d2: First squared distance, > 0.
        eps: Added in the denominator, > 0.
        per_group: As in `DoG`.
        maximize: Ascend instead of descending, as torch's optimisers do.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting that is no number.

    References:
        Khaled, Mishchenko, Jin, arXiv 2305.16284.
    """

    _KEPT: ClassVar[tuple[str, ...]] = ("rbar", "V")

    @checked
    def __init__(
        self,
        params: Iterable[Any],
        lr: float = _DOWG.lr,
        weight_decay: float = _DOWG.weight_decay,
        d2: float = 1e-4,
        eps: float = _DOWG.eps,
        *,
        per_group: bool = False,
        maximize: bool = False,
    ):
        real("d2", d2, above=0)
        real("eps", eps, above=0)
        super().__init__(
            params, d2**0.5, lr, weight_decay, eps, per_group=per_group, maximize=maximize
        )

    def _measure(
        self,
        store: dict[str, Any],
        group: dict[str, Any],
        far: Tensor,
        slope: Tensor,
        start: Tensor,
    ) -> None:
        """Update the distance and the weighted sum of squares in `store`, and the rate."""
        store["rbar"] = torch.maximum(
            store.get("rbar", torch.full_like(far, group["reps_rel"])), far
        )
        store["V"] = store.get("V", torch.zeros_like(far)) + (store["rbar"] * slope) ** 2
        store["distance"] = store["rbar"] ** 2 / (store["V"].sqrt() + group["eps"])
        store["eta"] = group["lr"] * store["distance"]
