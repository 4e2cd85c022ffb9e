"""M-FAC: gradient steps preconditioned by the inverse empirical Fisher matrix of the last m
gradients.

    x <- x - lr F^-1 g,     F = lambda I + (1/m) sum of g_i g_i' over the window, the present g
    included

E. Frantar, E. Kurtic, D. Alistarh: M-FAC: Efficient Matrix-Free Approximations of Second-Order
Information. NeurIPS 2021, arXiv 2107.03356 (section 3.2). Take it where directions differ in scale
by orders of magnitude and are mixed by a rotation, so that no diagonal rescaling helps; it needs
runs of several windows, and m copies of the weights in memory. On short, well-scaled runs Adam and
SGD with momentum are better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from ...core.annotations import checked
from ...core.checks import real, whole
from ...core.errors import ArgumentError, FeasibleError, NotFinite, ShapeError
from ..optimizer import (
    NamedState,
    asks_for_state,
    by_name,
    evaluated,
    in_order,
    merged,
    number,
    uncompiled,
    with_gradients,
)
from .fisher import DAMP
from .sliding import METHODS, SlidingFisher

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

WINDOW, GRAM = "window", "gram"
"""Names in a saved state: the window's columns in a parameter's, its Gram matrix in a group."""


def memory_bytes(dim: int, ngrads: int, itemsize: int = 4) -> int:
    """Bytes of the window: ngrads gradients of `dim` numbers, and its float64 Gram matrix."""
    return ngrads * dim * itemsize + 8 * ngrads * ngrads


class MFAC(NamedState, Optimizer):
    """M-FAC: gradient descent preconditioned by the inverse of the empirical Fisher matrix of the
    last m gradients.

    v <- mu v + (1 - mu) F^-1 g and x <- x - lr v, F = lambda I + G'G/m. One window for all
    parameter groups; lr, momentum, weight_decay and decoupled are a group's own. A gradient that is
    not finite is refused with the parameter's name, and the window stays as it was.

    Args:
        params: Parameters, groups, or `model.named_parameters()`.
        lr: Rate, >= 0; 1e-3 is the paper's for vision, 1e-4 for BERT.
        ngrads: m, gradients in the window (paper: 512 to 1024).
        damp: lambda, > 0.
        momentum: mu, in [0, 1).
        weight_decay: >= 0.
        decoupled: Decay taken off the weights directly; else added to the gradient, so that F sees
            it (the paper's code).
        method: "woodbury" or "dp", see `SlidingFisher`.
        relative: damp as a share of the mean eigenvalue of G'G/m. Take it, or a larger damp, where
            gradients vanish (a model that fits its data exactly): there an absolute lambda lets
            steps grow towards lr g/lambda.
        normalised: Divide F by the largest eigenvalue of G'G/m, and take damp as a share of it,
            times d/m: then lr is on the scale of gradient descent's, and steps shrink as gradients
            do. Take it for long runs.
        sparse: Only weights that are not zero now are seen and moved, so that a pruned model stays
            pruned.
        delay: Gradients that are collected before the first step; while the window is nearly empty,
            steps are up to m/|g|^2 too long.
        max_bytes: A window that needs more memory is refused.
        maximize: Ascend instead of descending, as torch's optimisers do.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        NotFinite: At a step, for a gradient with a NaN or an infinity, by the parameter's name;
            nothing has changed then.

    Examples:
        >>> import torch
        >>> from feasible.training import MFAC
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = MFAC(model.named_parameters(), lr=0.1, ngrads=8, damp=1e-3)
        >>> model(torch.ones(4, 3)).square().mean().backward()
        >>> optimizer.step()

    References:
        Frantar, Kurtic, Alistarh, arXiv 2107.03356, the dynamic algorithm.
    """

    @checked
    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        ngrads: int = 64,
        damp: float = DAMP,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        *,
        decoupled: bool = False,
        method: str = "woodbury",
        relative: bool = False,
        normalised: bool = False,
        sparse: bool = False,
        delay: int = 0,
        max_bytes: float = 8e9,
        maximize: bool = False,
    ):
        self.ngrads, self.damp = whole("ngrads", ngrads, least=1), real("damp", damp, above=0)
        if method not in METHODS:
            raise ArgumentError(
                f"method={method!r}: expected {' or '.join(repr(m) for m in METHODS)}"
            )
        if relative and normalised:
            raise ArgumentError("relative=True and normalised=True: expected one of them")
        self.method, self.relative, self.normalised = method, bool(relative), bool(normalised)
        self.sparse = bool(sparse)
        self.delay, self.max_bytes = (
            whole("delay", delay, least=0),
            real("max_bytes", max_bytes, above=0),
        )
        self.window: SlidingFisher | None = None
        """The last gradients; made at the first step."""
        self._velocity: Tensor | None = None
        self._kept: list[Tensor | None] = []
        self._sizes: list[int] = []
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "weight_decay": weight_decay,
                "decoupled": decoupled,
                "maximize": bool(maximize),
            },
        )

    # -- the joint vector of all parameters --------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's. To a window that exists the new parameters' past gradients are zero."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            number("lr", group["lr"], least=0)
            real("momentum", group["momentum"], least=0, below=1)
            real("weight_decay", group["weight_decay"], least=0)
            for p in group["params"]:
                if not p.is_floating_point():
                    raise ArgumentError(
                        f"params: MFAC takes real floating-point parameters, got one of {p.dtype}"
                    )
            kept = [
                p.detach().reshape(-1).nonzero()[:, 0] if self.sparse else None
                for p in group["params"]
            ]
            sizes = [
                p.numel() if k is None else len(k)
                for p, k in zip(group["params"], kept, strict=True)
            ]
            dim = sum(self._sizes) + sum(sizes)
            need = memory_bytes(dim, self.ngrads, self.dtype.itemsize)
            if need > self.max_bytes:
                raise ArgumentError(
                    f"ngrads={self.ngrads} gradients of {dim:,} parameters need {need / 1e9:.3g} "
                    "GB, more than max_bytes = "
                    f"{self.max_bytes / 1e9:.3g} GB: at most "
                    f"ngrads={int(self.max_bytes // (dim * self.dtype.itemsize))} fit"
                )
        except FeasibleError:
            self.param_groups.pop()
            raise
        self._kept += kept
        self._sizes += sizes
        if self.window is not None:
            self._adopt(
                self._parts(self.window.rows, self._sizes[: -len(sizes)]),
                self.window.gram,
                self.window.pushed,
                self._velocity,
            )

    @property
    def dtype(self) -> torch.dtype:
        """Of the window: float64 where a parameter is, else float32."""
        return (
            torch.float64
            if any(p.dtype == torch.float64 for g in self.param_groups for p in g["params"])
            else torch.float32
        )

    @property
    def dim(self) -> int:
        """d, entries of a row of the window."""
        return sum(self._sizes)

    def _parameters(self) -> Iterator[tuple[dict[str, Any], Tensor, Tensor | None, slice]]:
        """Each parameter with its group, the entries that take part (None: all), and its place in
        the joint vector.
        """
        at = 0
        for (group, p), kept, size in zip(
            ((g, p) for g in self.param_groups for p in g["params"]),
            self._kept,
            self._sizes,
            strict=True,
        ):
            yield group, p, kept, slice(at, at + size)
            at += size

    @staticmethod
    def _parts(rows: Tensor, sizes: list[int]) -> list[Tensor]:
        """Rows cut into the parameters' pieces."""
        return list(rows.split(sizes, dim=-1))

    def _adopt(
        self, rows: list[Tensor], gram: Tensor, pushed: int, velocity: Tensor | None
    ) -> None:
        """A window whose first columns are `rows`; what they do not cover is zero."""
        device = self.param_groups[0]["params"][0].device
        self.window = SlidingFisher(
            self.ngrads,
            self.dim,
            self.damp,
            method=self.method,
            relative=self.relative,
            normalised=self.normalised,
            dtype=self.dtype,
            device=device,
        )
        if rows:
            joint = torch.cat(rows, dim=1)
            self.window.rows[:, : joint.shape[1]] = joint
        self.window.gram.copy_(gram)
        self.window.pushed = pushed
        self._velocity = (
            None
            if velocity is None
            else torch.nn.functional.pad(
                velocity.to(self.window.rows), (0, self.dim - velocity.numel())
            )
        )

    def _gradient(self) -> Float[Tensor, " d"]:
        """The joint gradient, zero where there is none."""
        pieces, dtype = [], self.dtype
        for group, p, kept, place in self._parameters():
            if p.grad is None:
                pieces.append(torch.zeros(place.stop - place.start, dtype=dtype, device=p.device))
                continue
            g = -p.grad if group.get("maximize") else p.grad
            if group["weight_decay"] and not group["decoupled"]:
                g = torch.add(g, p, alpha=float(group["weight_decay"]))
            g = g.reshape(-1)
            pieces.append((g if kept is None else g[kept]).to(dtype))
        return torch.cat(pieces)

    # -- the step ----------------------------------------------------------------------------------

    @uncompiled
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take the gradients into the window, then move.

        Args:
            closure: Evaluates the loss and its gradients.

        Returns:
            The closure's loss; None without one.

        Raises:
            ArgumentError: A sparse gradient.
            NotFinite: A gradient with a NaN or an infinity.
        """
        loss = evaluated(closure)
        if not any(grads for _, grads in with_gradients(self.param_groups, "MFAC", finite=False)):
            return loss
        if self.window is None:
            self._adopt([], torch.zeros(self.ngrads, self.ngrads, dtype=torch.float64), 0, None)
        assert self.window is not None
        if self._velocity is None and any(group["momentum"] for group in self.param_groups):
            self._velocity = torch.zeros(self.dim).to(self.window.rows)
        if asks_for_state(self.param_groups):
            return loss
        try:
            self.window.push(self._gradient())
        except NotFinite:
            with_gradients(self.param_groups, "MFAC")
            raise NotFinite(
                "the gradient's square overflows; it was not taken into M-FAC's window"
            ) from None
        if self.window.pushed <= self.delay:
            return loss
        direction = self.window.ihvp_of_last()
        if self._velocity is not None and any(group["momentum"] for group in self.param_groups):
            for group, _, _, place in self._parameters():
                mu = float(group["momentum"])
                direction[place] = (
                    self._velocity[place].mul_(mu).add_(direction[place], alpha=1 - mu)
                )
        self._move(direction)
        return loss

    def _move(self, direction: Float[Tensor, " d"]) -> None:
        """Move every parameter along its piece of the direction."""
        moves: dict[int, tuple[dict[str, Any], list[Tensor], list[Tensor]]] = {}
        for group, p, kept, place in self._parameters():
            if p.grad is None:
                continue
            lr, part = float(group["lr"]), direction[place].to(p.dtype)
            if group["decoupled"] and group["weight_decay"]:
                p.mul_(1 - lr * float(group["weight_decay"]))
            if kept is not None:
                p.put_(kept, part.mul_(-lr), accumulate=True)
                continue
            _, params, parts = moves.setdefault(id(group), (group, [], []))
            params.append(p)
            parts.append(part.view(p.shape))
        for group, params, parts in moves.values():
            torch._foreach_add_(params, parts, alpha=-float(group["lr"]))

    # -- saving ------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """For pickles and copies."""
        return {k: v for k, v in self.__dict__.items() if "hook" not in k and k != "step"}

    def state_dict(self) -> dict[str, Any]:
        """Torch's. The window's columns ("window"), the momentum ("velocity") and, where sparse,
        the entries that take part ("kept") are in each parameter's state; the Gram matrix ("gram")
        and how many gradients were pushed ("pushed") in the first group.
        """
        saved = super().state_dict()
        if self.window is None:
            return saved
        keys = [key for group in saved["param_groups"] for key in group["params"]]
        columns = {WINDOW: self._parts(self.window.rows, self._sizes)}
        if self._velocity is not None:
            columns["velocity"] = self._parts(self._velocity, self._sizes)
        if self.sparse:
            columns["kept"] = [k for k in self._kept if k is not None]
        state = {
            key: {
                **saved["state"].get(key, {}),
                **{name: parts[i] for name, parts in columns.items()},
            }
            for i, key in enumerate(keys)
        }
        first, *rest = saved["param_groups"]
        first = {**first, GRAM: self.window.gram, "pushed": self.window.pushed}
        return {**saved, "state": state, "param_groups": [first, *rest]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, also of the versions before, which had the window by
        itself.

        Raises:
            ShapeError: The state is another model's or has another window.
        """
        state, groups = merged(state_dict["state"]), [dict(g) for g in state_dict["param_groups"]]
        if WINDOW in state_dict:
            former = state_dict[WINDOW]
            groups[0].update(gram=former["gram"], pushed=former["pushed"])
            for name, saved in ((WINDOW, "rows"), ("velocity", "velocity"), ("kept", "kept")):
                for key, part in former.get(saved, {}).items():
                    state.setdefault(key, {})[name] = part
        first = next((group for group in groups if GRAM in group), {})
        gram, pushed = first.pop(GRAM, None), first.pop("pushed", 0)
        if gram is not None and tuple(gram.shape) != (self.ngrads, self.ngrads):
            raise ShapeError(
                f"state_dict has a window of {len(gram)} gradients, expected ngrads = {self.ngrads}"
            )
        columns = {
            name: {key: entry.pop(name) for key, entry in state.items() if name in entry}
            for name in (WINDOW, "velocity", "kept")
        }
        rest = {key: entry for key, entry in state.items() if entry}
        super().load_state_dict({**state_dict, "state": rest, "param_groups": groups})
        if gram is None:
            self.window = self._velocity = None
            return
        if all("param_names" in group for group in (*groups, *self.param_groups)):
            groups = in_order([by_name(group) for group in groups], self.param_groups)
        keys = [key for group in groups for key in group["params"]]
        if self.sparse:
            self._kept = [columns["kept"][key].clone() for key in keys]
        rows, velocity = [columns[WINDOW][key] for key in keys], columns["velocity"]
        self._sizes = [part.shape[1] for part in rows]
        self._adopt(
            rows, gram, int(pushed), torch.cat([velocity[k] for k in keys]) if velocity else None
        )
