"""Lion-K (Chen, Liu, Liang, Liu, "Lion Secretly Solves Constrained Optimization: As Lyapunov
Predicts", ICLR 2024, arXiv 2310.05898).

    minimise  f(x) + kappa*(lam x) / lam

with lam the weight decay and kappa* the conjugate of kappa (see `feasible.training.lion_k.kappas`).
With kappa = l1 this is Lion, and lam a bound: abs x_i <= 1/lam. A step with gradient g, rate h, and
momentum m (an average of gradients):

    u = b1 m + (1 - b1) g
    x <- (1 - h lam) x - h s,   s in d kappa(u)
    m <- b2 m + (1 - b2) g

m has the sign of Lion's codes, the opposite of the paper's: every kappa here is even, so both are
the same method. Take it where weights must keep to a box, a ball, a number of moving entries or a
row norm without a projection, or to see what the decay of Lion does. The weights enter the set as
(1 - h lam)^t, whatever the gradients are, and stay. Without decay there is no set. lr *
weight_decay must be below 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from ...core.annotations import Checked, checked
from ...core.checks import real
from ...core.errors import ArgumentError
from ..optimizer import (
    NamedState,
    evaluated,
    number,
    parameter_name,
    uncompiled,
    wide,
    with_gradients,
)
from .kappa import Kappa
from .kappas import kappa_of
from .separable import L1

if TYPE_CHECKING:
    from torch import Tensor

SCOPES = ("tensor", "group", "all")
DECAYS = ("explicit", "implicit")
SETTINGS = ("e", "a", "k", "p")
FUSED = (torch.float32, torch.float64)
KEY = "exp_avg"
"""The momentum's name in a parameter's state: that of Lion's codes, so their checkpoints fit."""


@dataclass(frozen=True)
class Block:
    """The parameters on which a kappa acts together.

    Attributes:
        kappa: The function.
        settings: Their group, or the first of several that agree.
        params: The parameters, seen as one vector.
    """

    kappa: Kappa
    settings: Mapping[str, Any]
    params: list[Tensor]

    @property
    def step(self) -> float:
        """h of the explicit scheme: what x moves by is h (s - lam x); the implicit scheme with h is
        the explicit one with h/(1 + h lam).
        """
        h, lam = float(self.settings["lr"]), self.settings["weight_decay"]
        return h / (1 + h * lam) if self.settings["decay"] == "implicit" else h

    def joined(self, parts: Sequence[Tensor]) -> Tensor:
        """The tensor that kappa acts on: the only one, or all as one vector."""
        return parts[0] if len(parts) == 1 else torch.cat([p.reshape(-1) for p in parts])

    def parted(self, whole: Tensor) -> list[Tensor]:
        """The opposite of `joined`."""
        if len(self.params) == 1:
            return [whole]
        return [
            part.view(p.shape)
            for part, p in zip(
                whole.split([p.numel() for p in self.params]), self.params, strict=True
            )
        ]


@dataclass(frozen=True)
class LionKSettings(Checked):
    """Settings of Lion-K; the defaults are those of Lion's code.

    Attributes:
        lr: Rate h, > 0.
        betas: (b1, b2), each in [0, 1).
        weight_decay: lam, >= 0.
        kappa: Name of the convex function, or a `Kappa`.
        decay: "explicit" or "implicit".
    """

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    kappa: str | Kappa = "l1"
    decay: str = "explicit"

    @classmethod
    def minimise(cls) -> LionKSettings:
        """For functions of a vector: the set abs x_i <= 1, and a rate that gets there in 1,000
        steps.
        """
        return cls(lr=1e-2, weight_decay=1.0)


class LionK(NamedState, torch.optim.Optimizer):
    """Lion-K, a `torch.optim.Optimizer` with one buffer for each parameter.

    Minimises f(x) + kappa*(lam x) / lam, f the loss and lam the weight decay. lr is read at each
    step, so any scheduler fits.

    Args:
        params: Parameters, named parameters, or groups of them; a group may have each of the
            settings below but `scope`.
        lr: Rate h, > 0; lr * weight_decay < 1 with decay="explicit".
        betas: (b1, b2) in [0, 1); the theory is for b1 <= b2.
        weight_decay: lam, >= 0.
        kappa: A name, with settings as "lp[p=1.6]" or as e, a, k, p; or an object of
            `feasible.training.lion_k.kappas`. A group's kappa brings its own settings.
        bound: 1/lam instead, e.g. 0.5 for abs x_i <= 0.5 where kappa is l1.
        e: Setting of a kappa given by name, and so a, k and p.
        a: Its scale.
        k: Its number of entries.
        p: Its norm.
        scope: Where kappa couples entries (lp, linf, topk, group): "tensor", each tensor by itself;
            "group", the group as one vector; "all", everything.
        vectors: By scope "tensor", what such a kappa is for tensors with fewer than two axes
            (biases, norms): "l1", "same", or None: "l1" in a group that also holds tensors with
            more, else "same".
        decay: "explicit", as Lion, or "implicit": x <- (x - h s) / (1 + h lam).
        fused: One pass over memory by a compiled kernel, where kappa is l1 and the tensors are
            contiguous, of float32 or float64 and on the CPU; None: where it can be. Otherwise
            multi-tensor kernels do the same.
        maximize: Ascend instead of descending, as torch's optimisers do.

    Raises:
        ArgumentError: A setting out of its range; at a step a sparse gradient.
        ArgumentTypeError: A setting of the wrong type.
        UnknownName: No kappa has this name.
        NotFinite: At a step, for a gradient with a NaN or an infinity; the step is then not made.

    Examples:
        >>> import torch
        >>> from feasible.training import LionK
        >>> x = torch.nn.Parameter(torch.zeros(2))
        >>> opt = LionK([x], lr=0.01, bound=1.0)
        >>> for _ in range(1000):
        ...     opt.zero_grad()
        ...     ((x - torch.tensor([3.0, 0.5])) ** 2).sum().backward()
        ...     opt.step()
        >>> x.detach().round(decimals=1)
        tensor([1.0000, 0.5000])

    References:
        Chen, Liu, Liang, Liu, arXiv 2310.05898.
    """

    like_parameter: ClassVar[tuple[str, ...]] = (KEY,)

    @checked
    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = LionKSettings.lr,
        betas: tuple[float, float] = LionKSettings.betas,
        weight_decay: float = LionKSettings.weight_decay,
        kappa: str | Kappa = LionKSettings.kappa,
        *,
        bound: float | None = None,
        e: float | None = None,
        a: float | None = None,
        k: int | None = None,
        p: float | None = None,
        scope: str = "tensor",
        vectors: str | None = None,
        decay: str = LionKSettings.decay,
        fused: bool | None = None,
        maximize: bool = False,
    ):
        if scope not in SCOPES:
            raise ArgumentError(f"scope={scope!r}: expected 'tensor', 'group' or 'all'")
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": _decay(weight_decay, bound),
            "kappa": str(kappa_of(kappa, e=e, a=a, k=k, p=p)),
            "scope": scope,
            "vectors": vectors,
            "decay": decay,
            "fused": fused,
            "maximize": bool(maximize),
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, its settings checked.

        Raises:
            ArgumentError: A setting out of its range.
            ArgumentTypeError: A setting of the wrong type.
        """
        group = dict(param_group)
        given = {name: group.pop(name) for name in SETTINGS if name in group}
        if "kappa" in group or given:
            group["kappa"] = str(kappa_of(group.get("kappa", self.defaults["kappa"]), **given))
        if "bound" in group:
            group["weight_decay"] = _decay(group.get("weight_decay", 0.0), group.pop("bound"))
        if group.setdefault("scope", self.defaults["scope"]) != self.defaults["scope"]:
            raise ArgumentError(
                f"scope={group['scope']!r} in a group: expected {self.defaults['scope']!r}, the "
                "optimiser's"
            )
        checked = {**self.defaults, **group}
        number("lr", checked["lr"], above=0)
        if len(checked["betas"]) != 2:
            raise ArgumentError(f"betas={checked['betas']!r}: expected two numbers")
        group["betas"] = tuple(
            real(f"betas[{i}]", b, least=0, below=1) for i, b in enumerate(checked["betas"])
        )
        group["weight_decay"] = real("weight_decay", checked["weight_decay"], least=0)
        for name, known in (("decay", DECAYS), ("vectors", ("l1", "same", None))):
            if checked[name] not in known:
                raise ArgumentError(
                    f"{name}={checked[name]!r}: expected {' or '.join(repr(x) for x in known)}"
                )
        super().add_param_group(group)
        added = self.param_groups[-1]
        try:
            _contracts(added)
            for block in self.blocks([g["params"] for g in self.param_groups]):
                if block.settings is added or len(block.params) > 1:
                    rows = [i for i, p in enumerate(added["params"]) if p is block.params[0]]
                    name = (
                        f"parameter {parameter_name(added, rows[0])}"
                        if len(block.params) == 1 and rows
                        else "the vector of parameters"
                    )
                    block.kappa.check(
                        torch.Size([sum(p.numel() for p in block.params)])
                        if len(block.params) > 1
                        else block.params[0].shape,
                        name,
                    )
        except ArgumentError:
            self.param_groups.pop()
            raise

    def blocks(self, params: Sequence[Sequence[Tensor]]) -> list[Block]:
        """How these parameters (of each group, in order) fall into blocks on which a kappa acts.

        Raises:
            ArgumentError: Groups differ that a kappa joins.
        """
        found = []
        if self.defaults["scope"] == "all":
            used = [(g, ps) for g, ps in zip(self.param_groups, params, strict=True) if ps]
            for name in ("kappa", "weight_decay", "betas"):
                values = list(dict.fromkeys(g[name] for g, _ in used))
                if len(values) > 1:
                    raise ArgumentError(
                        f"scope='all', but groups have {name} {values[0]} and {values[1]}: "
                        "expected the same, as kappa acts on all"
                    )
            return (
                [
                    Block(
                        kappa_of(used[0][0]["kappa"]),
                        used[0][0],
                        list(itertools.chain(*(ps for _, ps in used))),
                    )
                ]
                if used
                else []
            )
        for group, ps in zip(self.param_groups, params, strict=True):
            kappa = kappa_of(group["kappa"])
            if self.defaults["scope"] == "group" and kappa.couples:
                found += [Block(kappa, group, list(ps))] if ps else []
                continue
            plain = group["vectors"] or (
                "l1" if any(p.ndim > 1 for p in group["params"]) else "same"
            )
            found += [
                Block(L1() if kappa.couples and plain == "l1" and p.ndim < 2 else kappa, group, [p])
                for p in ps
            ]
        return found

    def momentum(self, p: Tensor) -> Tensor:
        """m of a parameter: the average of its gradients (not yet begun: zeros)."""
        state = self.state[p]
        if KEY not in state:
            state[KEY] = torch.zeros_like(p, memory_format=torch.preserve_format)
        found: Tensor = state[KEY]
        return found

    @uncompiled
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Make one step.

        Args:
            closure: Evaluates the loss and its gradient anew; its loss is returned.

        Returns:
            The closure's loss; None without one.

        Raises:
            ArgumentError: A sparse gradient.
            NotFinite: A gradient with a NaN or an infinity.
        """
        loss = evaluated(closure)
        found = list(with_gradients(self.param_groups, "Lion-K"))
        for group in self.param_groups:
            _contracts(group)
        if self.defaults["scope"] == "all":
            self._joint(found)
            return loss
        for group, (params, grads) in zip(self.param_groups, found, strict=True):
            moments = [self.momentum(p) for p in params]
            rows = [i for i, p in enumerate(params) if self._fuses(group, p, grads[i], moments[i])]
            if rows:
                self._fused(
                    group,
                    [params[i] for i in rows],
                    [grads[i] for i in rows],
                    [moments[i] for i in rows],
                )
            if len(rows) < len(params):
                rest = sorted(set(range(len(params))) - set(rows))
                self._multi_tensor(
                    group,
                    [params[i] for i in rest],
                    [grads[i] for i in rest],
                    [moments[i] for i in rest],
                )
        return loss

    def _fuses(self, group: Mapping[str, Any], p: Tensor, g: Tensor, m: Tensor) -> bool:
        """Whether the compiled kernel takes this tensor."""
        if group["kappa"] != "l1" or group["fused"] is False:
            return False
        return (
            p.dtype in FUSED
            and g.dtype is p.dtype
            and m.dtype is p.dtype
            and p.is_cpu
            and g.is_cpu
            and m.is_cpu
            and p.is_contiguous()
            and g.is_contiguous()
            and m.is_contiguous()
        )

    def _fused(
        self,
        group: Mapping[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        moments: list[Tensor],
    ) -> None:
        """A step of tensors by the compiled kernel."""
        from .kernel import lion_step

        h, lam, (b1, b2) = Block(L1(), group, params).step, group["weight_decay"], group["betas"]
        for p, g, m in zip(params, grads, moments, strict=True):
            x = p.detach().numpy()
            real = x.dtype.type
            lion_step(
                x.reshape(-1),
                g.detach().numpy().reshape(-1),
                m.numpy().reshape(-1),
                real(1 - h * lam),
                real(h),
                real(1 - b1),
                real(1 - b2),
            )
        torch.autograd.graph.increment_version(params)

    def _multi_tensor(
        self,
        group: Mapping[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        moments: list[Tensor],
    ) -> None:
        """A step of a group's tensors by torch's multi-tensor kernels."""
        b1, b2 = group["betas"]
        u = dict(zip(params, torch._foreach_lerp(moments, grads, 1 - b1), strict=True))
        torch._foreach_lerp_(moments, grads, 1 - b2)
        blocks = self.blocks([params if g is group else [] for g in self.param_groups])
        moves = {
            p: s
            for b in blocks
            for p, s in zip(
                b.params,
                b.parted(b.kappa.subgrad(wide(b.joined([u[p] for p in b.params])))),
                strict=True,
            )
        }
        _move(group, params, [moves[p] for p in params])

    def _joint(self, found: list[tuple[list[Tensor], list[Tensor]]]) -> None:
        """A step in which kappa acts on several groups together."""
        averages: dict[Tensor, Tensor] = {}
        for group, (params, grads) in zip(self.param_groups, found, strict=True):
            if params:
                moments = [self.momentum(p) for p in params]
                averages.update(
                    zip(
                        params,
                        torch._foreach_lerp(moments, grads, 1 - group["betas"][0]),
                        strict=True,
                    )
                )
                torch._foreach_lerp_(moments, grads, 1 - group["betas"][1])
        for block in self.blocks([params for params, _ in found]):
            moves = dict(
                zip(
                    block.params,
                    block.parted(
                        block.kappa.subgrad(wide(block.joined([averages[p] for p in block.params])))
                    ),
                    strict=True,
                )
            )
            for group, (params, _) in zip(self.param_groups, found, strict=True):
                if params:
                    _move(group, params, [moves[p] for p in params])


def _move(group: Mapping[str, Any], params: list[Tensor], moves: list[Tensor]) -> None:
    """x <- (1 - h lam) x - h s."""
    h = Block(L1(), group, params).step
    if group["weight_decay"]:
        torch._foreach_mul_(params, 1 - h * group["weight_decay"])
    torch._foreach_add_(params, moves, alpha=-h)


def _decay(weight_decay: Any, bound: Any) -> float:
    """lam, from it or from 1/lam."""
    if bound is None:
        return real("weight_decay", weight_decay, least=0)
    if weight_decay:
        raise ArgumentError(
            f"bound={bound!r} and weight_decay={weight_decay!r}: expected one of them, as bound = "
            "1 / weight_decay"
        )
    return 1 / real("bound", bound, above=0)


def _contracts(group: Mapping[str, Any]) -> None:
    """Refuse a rate and a decay whose product is 1 or more, where the scheme is explicit."""
    product = float(group["lr"]) * group["weight_decay"]
    if group["decay"] == "explicit" and product >= 1:
        raise ArgumentError(f"lr * weight_decay = {product:g}: expected < 1, or decay='implicit'")
