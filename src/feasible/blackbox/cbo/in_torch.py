"""Training without gradients: consensus-based optimisation as a torch optimiser, with mini-batches
of particles and of data.

References:
    K. Riedl, T. Klock, C. Geldhauser, M. Fornasier: Gradient is All You Need? (2023, arXiv
    2306.09778), algorithm E: the companion code's learning mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.func import functional_call, vmap

from ...core.annotations import checked
from ...core.checks import naming, one_of, real
from ...core.errors import ArgumentError, ArgumentTypeError, EvaluationFailed, ShapeError
from .epochs import remaining
from .settings import CBOSettings

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

_LEARNING = CBOSettings.learning()
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

    One step takes the next mini-batch of particles, evaluates the closure once for each of them,
    and moves all particles (partial=True: those of the mini-batch) toward their consensus. After it
    the model has the best parameters known. The defaults are those of `CBOSettings.learning()`.
    Memory: N + 2 copies of the parameters.

    Args:
        params: An nn.Module (its particles are evaluated at once by torch.func.vmap), or parameters
            or groups of them (evaluated one after the other).
        n_particles: N >= 2.
        batch: Particles for one step, >= 2; None: all.
        lr: The time step dt; it may differ by group and follows torch's schedulers.
        lam: Drift, lr lam <= 2; it may differ by group.
        sigma: Noise; it may differ by group.
        noise: "anisotropic" or "isotropic".
        alpha: Inverse temperature, in units of 1 / loss.
        partial: Move only the mini-batch.
        spread: Particles start at the given parameters plus spread N(0, I).
        restart: All particles are shaken by sigma sqrt(dt) N(0, I) when no coordinate of the
            consensus moves by more; None: never.
        cooling: Whether `end_epoch` cools.
        reduce: Whether `end_epoch` drops particles as they agree.
        vectorized: False evaluates one particle after the other, for closures that vmap cannot
            take.
        answer: What the model has after a step. "best": the lowest loss among this step's
            particles, the consensus before it and the best so far; these last two are evaluated
            with the particles, by the same closure, so that it does not matter when the data
            change. "consensus": the new consensus, which nobody evaluated; saves the two calls.
        seed: Of the optimiser's own random generator.

    Raises:
        ArgumentError: A setting makes no sense.
        ArgumentTypeError: A parameter is no floating-point tensor, or there is no closure.
        NotFinite: alpha is NaN or infinite.
        ShapeError: The loss is no scalar.
        EvaluationFailed: Every loss is NaN or infinite; a single NaN counts as +inf.

    Examples:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> x = torch.linspace(-1, 1, 20)[:, None]
        >>> optimizer = CBOptimizer(model, n_particles=50, batch=None, lr=0.3)
        >>> for _ in range(40):
        ...     loss = optimizer.step(lambda: ((model(x) - 2 * x) ** 2).mean())
        >>> round(model.weight.item(), 2)
        2.0

    References:
        arXiv 2306.09778, algorithm E (the companion code's learning mode).
    """

    @checked
    def __init__(
        self,
        params: nn.Module | Iterable[Any],
        n_particles: int = _LEARNING.n_particles,
        batch: int | None = _LEARNING.batch,
        lr: float = _LEARNING.dt,
        lam: float = _LEARNING.lam,
        sigma: float = _LEARNING.sigma,
        noise: Literal["anisotropic", "isotropic"] = _LEARNING.noise,
        alpha: float = _LEARNING.alpha,
        partial: bool = _LEARNING.partial,
        spread: float = _LEARNING.spread or 0.0,
        restart: float | None = _LEARNING.restart,
        cooling: bool = _LEARNING.cooling,
        reduce: bool = _LEARNING.reduce,
        vectorized: bool = True,
        answer: Literal["best", "consensus"] = "best",
        seed: int = 0,
    ):
        one_of("answer", answer, ("best", "consensus"))
        real("lam", lam, least=0)
        real("spread", spread, least=0)
        CBOSettings.learning(
            n_particles=n_particles, batch=batch, sigma=sigma, noise=noise, alpha=alpha
        )  # checked here
        self._model = params if isinstance(params, nn.Module) else None
        self._vectorized = vectorized and self._model is not None
        given = params.parameters() if isinstance(params, nn.Module) else params
        with naming("params"):
            super().__init__(given, {"lr": lr, "lam": lam, "sigma": sigma})
        self._settings: dict[str, Any] = {
            "batch": batch,
            "partial": partial,
            "isotropic": noise == "isotropic",
            "restart": restart,
            "cooling": cooling,
            "reduce": reduce,
            "answer": answer,
        }
        generator = torch.Generator().manual_seed(seed % 2**64)
        for p in self._parameters():
            if not p.is_floating_point():
                raise ArgumentTypeError(
                    f"params: got a tensor of {p.dtype}, expected floating-point parameters"
                )
            start = p.detach()[None] + spread * _normal((n_particles, *p.shape), p, generator)
            self.state[p] = {"particles": start, "consensus": p.detach().clone()}
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
        """Calls of the closure so far, one for each particle, consensus or best evaluated."""
        return self.state[SHARED]["evaluations"]

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def step(  # type: ignore[override, unused-ignore]
        self, closure: Callable[[], Any] | None = None
    ) -> Tensor:
        """Evaluate the next mini-batch of particles, move, set the parameters to the answer.
        Returns the lowest loss seen in this step: with answer="best" that of the parameters.
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
        rows = self._rows(turn)
        losses = self._losses(closure, rows)
        loss = losses[: len(turn)]
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
        shared["evaluations"] += len(losses)
        shared["steps"] += 1
        means = {
            p: torch.einsum(
                "n,n...->...", weight.to(p), self.state[p]["particles"][turn.to(p.device)]
            )
            for p in self._parameters()
        }
        moved = max(
            float((means[p] - self._consensus(p)).abs().max()) if p.numel() else 0.0 for p in means
        )
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
                self.state[p]["consensus"] = means[p]
        shared["generator"] = generator.get_state()
        best = int(torch.where(torch.isnan(losses), torch.inf, losses.double()).argmin())
        for p in means:
            p.copy_(rows[p][best] if settings["answer"] == "best" else means[p])
        return losses[best]

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
            batch = self._settings["batch"]
            keep = remaining(self.n_particles, batch, after, before, max(batch or 1, 2))
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
        """Return the parameters of all groups."""
        return [p for group in self.param_groups for p in group["params"]]

    def _consensus(self, p: nn.Parameter) -> Tensor:
        """Return the last consensus; states saved by version 0.1.0 have it in the parameters."""
        return self.state[p].get("consensus", p)

    def _variance(self) -> float:
        """Return the variance of the particles, summed over all coordinates."""
        return float(
            sum(
                self.state[p]["particles"].var(dim=0, correction=0).sum()
                for p in self._parameters()
            )
        )

    def _distance(self, means: dict[Any, Tensor], movers: Tensor | None) -> Float[Tensor, " n"]:
        """Return each particle's distance from the consensus, over all parameters."""
        total: Any = 0.0
        for p, m in means.items():
            x = (
                self.state[p]["particles"]
                if movers is None
                else self.state[p]["particles"][movers.to(p.device)]
            )
            total = total + (x - m).flatten(1).square().sum(dim=1).double().cpu()
        return torch.sqrt(total)

    def _rows(self, turn: Tensor) -> dict[Any, Tensor]:
        """Return what is evaluated, by parameter: some particles; where the best is the answer,
        then the consensus and the best so far.
        """
        found = {p: self.state[p]["particles"][turn.to(p.device)] for p in self._parameters()}
        if self._settings["answer"] == "consensus":
            return found
        return {p: torch.cat([x, self._consensus(p)[None], p[None]]) for p, x in found.items()}

    def _losses(self, closure: Callable[[], Any], rows: dict[Any, Tensor]) -> Float[Tensor, " b"]:
        """Return the losses of rows of parameters."""
        count = len(rows[self._parameters()[0]])
        if self._vectorized and self._model is not None:
            stacked = {
                f"model.{name}": rows[p] for name, p in self._model.named_parameters() if p in rows
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
                found = []
                for i in range(count):
                    for p, values in rows.items():
                        p.copy_(values[i])
                    found.append(torch.as_tensor(closure()).detach())
            finally:
                for p, value in zip(self._parameters(), held, strict=True):
                    p.copy_(value)
            loss = torch.stack(found)
        if loss.shape != (count,):
            raise ShapeError(
                f"closure returned shape {tuple(loss.shape[1:])}, expected a scalar loss"
            )
        return loss.cpu()


def _normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Return standard normal numbers of the type and on the device of another tensor."""
    return torch.randn(shape, generator=generator, dtype=like.dtype).to(like.device)
