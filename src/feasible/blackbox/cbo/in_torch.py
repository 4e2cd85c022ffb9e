"""Training without gradients: consensus-based optimisation as a torch optimiser, with mini-batches
of particles and of data.

K. Riedl, T. Klock, C. Geldhauser, M. Fornasier: Gradient is All You Need? (2023, arXiv 2306.09778),
the companion code's learning mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.func import functional_call, vmap

from ...core.errors import ArgumentError, ArgumentTypeError, EvaluationFailed, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

SHARED = "swarm"
"""Key of what belongs to all parameters together in the optimiser's state."""


class _Closed(nn.Module):  # type: ignore[misc, unused-ignore]
    """A model together with a closure that calls it, so that `functional_call` reaches the
    closure's model.
    """

    def __init__(self, model: nn.Module, closure: Callable[[], Any]):
        super().__init__()
        self.model = model
        self.closure = closure

    def forward(self) -> Any:
        return self.closure()


class CBOptimizer(torch.optim.Optimizer):  # type: ignore[misc, unused-ignore]
    """Consensus-based optimisation of a model's parameters, from losses alone.

        optimizer = CBOptimizer(model, n_particles=100)
        for epoch in range(30):
            for x, y in loader:
                optimizer.step(lambda: F.cross_entropy(model(x), y))
            optimizer.end_epoch()                # cooling, and fewer particles as they agree

    One step takes the next mini-batch of particles, evaluates the closure once for each of them,
    and moves all particles (partial=True:
    those of the mini-batch) toward their consensus, which becomes the model's parameters.

    model: an nn.Module (its particles are evaluated at once by torch.func.vmap; vectorized=False:
      one after the other, for closures that
      vmap cannot take), or parameters or groups of them (always one after the other).
    closure: returns the loss as a scalar tensor. It is called under no_grad and must not call
      backward().
    n_particles: N >= 2.  batch: particles for one step, >= 2 (None: all).  partial: move only
      those.
    lr: the time step dt; lam: drift, lr lam <= 2; sigma: noise (all three may differ by group, and
      lr follows torch's schedulers).
    noise: "anisotropic" or "isotropic".  alpha: inverse temperature, of the loss.
    spread: particles start at the given parameters plus spread N(0, I).
    restart: all particles are shaken by sigma sqrt(dt) N(0, I) when no coordinate of the consensus
      moves by more (None: never).
    cooling, reduce: what end_epoch does.  seed: of the optimiser's own random generator.

    NaN losses count as +inf. Raises ArgumentError, ArgumentTypeError, NotFinite, ShapeError;
    EvaluationFailed where every loss is NaN or
    infinite.  Memory: N copies of the parameters.  Source: algorithm E; defaults N = 100, batch 10,
    dt 0.1, sigma^2 = 0.4, alpha 50.
    """

    def __init__(
        self,
        params: nn.Module | Iterable[Any],
        n_particles: int = 100,
        batch: int | None = 10,
        lr: float = 0.1,
        lam: float = 1.0,
        sigma: float = math.sqrt(0.4),
        noise: Literal["anisotropic", "isotropic"] = "anisotropic",
        alpha: float = 50.0,
        partial: bool = False,
        spread: float = 1.0,
        restart: float | None = 1e-5,
        cooling: bool = True,
        reduce: bool = False,
        vectorized: bool = True,
        seed: int = 0,
    ):
        if isinstance(n_particles, bool) or not isinstance(n_particles, int) or n_particles < 2:
            raise ArgumentError(
                f"n_particles={n_particles!r}: expected a whole number >= 2, one particle never "
                "moves"
            )
        if batch is not None and not 2 <= batch <= n_particles:
            raise ArgumentError(
                f"batch={batch!r}: expected None or a whole number from 2 to "
                f"n_particles={n_particles}"
            )
        if not math.isfinite(alpha):
            raise NotFinite(f"alpha={alpha!r}: expected a finite number >= 0")
        for name, value in {"alpha": alpha, "sigma": sigma, "lam": lam, "spread": spread}.items():
            if not value >= 0:
                raise ArgumentError(f"{name}={value!r}: expected a number >= 0")
        if noise not in ("anisotropic", "isotropic"):
            raise ArgumentError(f"noise={noise!r}: expected 'anisotropic' or 'isotropic'")
        self._model = params if isinstance(params, nn.Module) else None
        self._vectorized = vectorized and self._model is not None
        given = params.parameters() if isinstance(params, nn.Module) else params
        super().__init__(given, {"lr": lr, "lam": lam, "sigma": sigma})
        self._settings = {
            "batch": batch,
            "partial": partial,
            "isotropic": noise == "isotropic",
            "restart": restart,
            "cooling": cooling,
            "reduce": reduce,
        }
        generator = torch.Generator().manual_seed(seed)
        for p in self._parameters():
            if not p.is_floating_point():
                raise ArgumentTypeError(
                    f"params: got a tensor of {p.dtype}, expected floating-point parameters"
                )
            start = p.detach()[None] + spread * _normal((n_particles, *p.shape), p, generator)
            self.state[p] = {"particles": start}
        order = torch.randperm(n_particles, generator=generator).tolist()
        self.state[SHARED] = {
            "generator": generator.get_state(),
            "queue": order,
            "alpha": float(alpha),
            "cooled": 1.0,
            "epoch": 1,
            "variance": self._variance(),
            "steps": 0,
            "evaluations": 0,
        }

    @property
    def n_particles(self) -> int:
        """Particles that are left."""
        return len(self.state[self._parameters()[0]]["particles"])

    @property
    def evaluations(self) -> int:
        """Calls of the closure so far, one for each particle evaluated."""
        return self.state[SHARED]["evaluations"]

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def step(  # type: ignore[override, unused-ignore]
        self, closure: Callable[[], Any] | None = None
    ) -> Tensor:
        """Evaluate the next mini-batch of particles, move, set the parameters to the consensus.
        Returns the lowest loss of the batch.
        """
        if closure is None:
            raise ArgumentTypeError(
                "closure is absent: CBOptimizer.step needs a function that returns the loss"
            )
        shared, settings = self.state[SHARED], self._settings
        generator = torch.Generator()
        generator.set_state(shared["generator"])
        n = self.n_particles
        size = min(settings["batch"] or n, n)
        if len(shared["queue"]) < 2:
            shared["queue"] = torch.randperm(n, generator=generator).tolist()
        turn = torch.tensor(shared["queue"][:size])
        shared["queue"] = shared["queue"][size:]
        for group in self.param_groups:
            if group["lr"] * group["lam"] > 2:
                raise ArgumentError(
                    f"lr * lam = {group['lr'] * group['lam']:g}: expected at most 2, above it the "
                    "particles move away"
                )
        loss = self._losses(closure, turn)
        energy = torch.where(torch.isnan(loss), torch.inf, loss.double())
        least = energy.min()
        if not torch.isfinite(least):
            raise EvaluationFailed(
                f"the closure gave no finite loss for any of {len(turn)} particles, expected at "
                "least one"
            )
        known = torch.isfinite(energy).double()
        weight = (
            torch.softmax(-shared["alpha"] * (energy - least), dim=0)
            if shared["alpha"]
            else known / known.sum()
        )
        shared["evaluations"] += len(turn)
        shared["steps"] += 1
        means = {
            p: torch.einsum(
                "n,n...->...", weight.to(p), self.state[p]["particles"][turn.to(p.device)]
            )
            for p in self._parameters()
        }
        moved = max(float((means[p] - p).abs().max()) if p.numel() else 0.0 for p in means)
        shake = (
            settings["restart"] is not None and shared["steps"] > 1 and moved < settings["restart"]
        )
        movers = turn if settings["partial"] else None
        reach = self._distance(means, movers) if settings["isotropic"] else None
        for group in self.param_groups:
            pull, push = (
                group["lr"] * group["lam"],
                group["sigma"] * shared["cooled"] * math.sqrt(group["lr"]),
            )
            for p in group["params"]:
                particles = self.state[p]["particles"]
                x = particles if movers is None else particles[movers.to(p.device)]
                away = x - means[p]
                xi = _normal(tuple(x.shape), p, generator)
                size_of = away if reach is None else reach.to(p).view(-1, *[1] * p.dim())
                x.sub_(away, alpha=pull).addcmul_(size_of, xi, value=push)
                if shake:
                    x.add_(_normal(tuple(x.shape), p, generator), alpha=push)
                if movers is not None:
                    particles[movers.to(p.device)] = x
                p.copy_(means[p])
        shared["generator"] = generator.get_state()
        return least.to(loss)

    def end_epoch(self) -> None:
        """Algorithm E's end of an epoch e: sigma <- sigma log2(e + 1) / log2(e + 2), alpha <- 2
        alpha; fewer particles where reduce=True.
        """
        shared = self.state[SHARED]
        e = shared["epoch"]
        if self._settings["cooling"]:
            shared["cooled"] *= math.log2(e + 1) / math.log2(e + 2)
            shared["alpha"] = min(2 * shared["alpha"], 1e15)
        shared["epoch"] = e + 1
        after, before = self._variance(), shared["variance"]
        if self._settings["reduce"] and before > 0:
            unit = self._settings["batch"] or 1
            r = min(max((0.2 * after + 0.8 * before) / before, 0.8), 1.0)
            keep = max(math.ceil(self.n_particles / unit * r - 1e-9) * unit, max(unit, 2))
            if keep < self.n_particles:
                generator = torch.Generator()
                generator.set_state(shared["generator"])
                kept = torch.randperm(self.n_particles, generator=generator)[:keep]
                shared["generator"] = generator.get_state()
                for p in self._parameters():
                    self.state[p]["particles"] = self.state[p]["particles"][
                        kept.to(p.device)
                    ].clone()
                shared["queue"] = []
        shared["variance"] = self._variance()

    # -- inside ------------------------------------------------------------------------------------

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self.param_groups for p in group["params"]]

    def _variance(self) -> float:
        return float(
            sum(
                self.state[p]["particles"].var(dim=0, correction=0).sum()
                for p in self._parameters()
            )
        )

    def _distance(self, means: dict[Any, Tensor], movers: Tensor | None) -> Float[Tensor, " n"]:
        total: Any = 0.0
        for p, m in means.items():
            x = (
                self.state[p]["particles"]
                if movers is None
                else self.state[p]["particles"][movers.to(p.device)]
            )
            total = total + (x - m).flatten(1).square().sum(dim=1).double().cpu()
        return torch.sqrt(total)

    def _losses(self, closure: Callable[[], Any], turn: Tensor) -> Float[Tensor, " b"]:
        if self._vectorized and self._model is not None:
            mine = {id(p) for p in self._parameters()}
            stacked = {
                f"model.{name}": self.state[p]["particles"][turn.to(p.device)]
                for name, p in self._model.named_parameters()
                if id(p) in mine
            }
            closed = _Closed(self._model, closure)
            try:
                loss = vmap(
                    lambda values: functional_call(closed, values, ()), randomness="different"
                )(stacked)
            except RuntimeError as error:
                raise ArgumentError(
                    "closure cannot be evaluated for all particles at once "
                    f"({str(error).splitlines()[0]}); give "
                    "vectorized=False to evaluate one after the other"
                ) from error
        else:
            held = [p.detach().clone() for p in self._parameters()]
            try:
                rows = []
                for i in turn.tolist():
                    for p in self._parameters():
                        p.copy_(self.state[p]["particles"][i])
                    rows.append(torch.as_tensor(closure()).detach())
            finally:
                for p, value in zip(self._parameters(), held, strict=True):
                    p.copy_(value)
            loss = torch.stack(rows)
        if loss.shape != (len(turn),):
            raise ShapeError(
                f"closure returned shape {tuple(loss.shape[1:])}, expected a scalar loss"
            )
        return loss.cpu()


def _normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=like.dtype).to(like.device)
