"""Pruning of single weights by the optimal brain surgeon, with M-FAC's inverse Fisher matrix.

    saliency of w_j:  w_j^2 / (2 (F^-1)_jj)        removing the set Q:  w <- w - F^-1 sum_{j in Q}
      e_j w_j / (F^-1)_jj,  then w_Q = 0

E. Frantar, E. Kurtic, D. Alistarh: M-FAC, NeurIPS 2021, arXiv 2107.03356 (section 4); B. Hassibi,
D. Stork: Optimal Brain Surgeon, 1993. The other weights move to make up for those that go, so a
trained network keeps its accuracy far longer than when its smallest weights are set to zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from ...core.annotations import Checked, checked
from ...core.checks import real, whole
from ...core.errors import ArgumentError, NotFinite, ShapeError, UnknownName, nearest
from .fisher import DAMP, StaticFisher

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

PRUNED = (nn.modules.conv._ConvNd, nn.Linear)


@dataclass(frozen=True)
class Round:
    """What one recomputation saw.

    Attributes:
        sparsity: Share of zeros after it.
        damped: Share of weights for which F is damping alone ((F^-1)_jj above 0.99/lambda): where
            that is 1, the order is that of the magnitudes, and more or smaller batches, or a
            smaller damp, are needed.
        gradient: Mean norm of the gradients.
    """

    sparsity: float
    damped: float
    gradient: float


def prunable_weights(
    model: nn.Module, skip: Sequence[nn.Module | str] = ()
) -> dict[str, nn.Parameter]:
    """Weights of linear and convolutional layers by name, shared ones once; no biases and no
    normalisation.

    Args:
        model: The network.
        skip: Layers to leave out, or their names.

    Raises:
        UnknownName: `skip` names what the model does not have.
        ArgumentError: Nothing is left to prune.
    """
    names = {m: n for n, m in model.named_modules()}
    for item in skip:
        if (item if isinstance(item, str) else names.get(item)) not in names.values():
            raise UnknownName(
                f"skip: the model has no layer {item!r}: {nearest(str(item), names.values())}"
            )
    found: dict[str, nn.Parameter] = {}
    for name, module in model.named_modules():
        if (
            isinstance(module, PRUNED)
            and module not in skip
            and name not in skip
            and all(module.weight is not p for p in found.values())
        ):
            found[f"{name}.weight" if name else "weight"] = module.weight
    if not found:
        raise ArgumentError("the model has no weights of linear or convolutional layers to prune")
    return found


class Masks:
    """Which weights of a model stay.

    Args:
        model: The network.
        skip: Layers that stay whole, or their names.

    Attributes:
        weights: Of `prunable_weights`.
        masks: Name -> bool tensor, True where a weight stays.
    """

    @checked
    def __init__(self, model: nn.Module, skip: Sequence[nn.Module | str] = ()):
        self.model, self.weights = model, prunable_weights(model, skip)
        self.masks: dict[str, Bool[Tensor, ...]] = {
            name: p.detach() != 0 for name, p in self.weights.items()
        }

    @property
    def total(self) -> int:
        """Weights that may be pruned."""
        return sum(p.numel() for p in self.weights.values())

    @property
    def sparsity(self) -> float:
        """Share of them that is gone."""
        return 1 - sum(int(m.sum()) for m in self.masks.values()) / self.total

    def flat(self, parts: Mapping[str, Tensor]) -> Float[Tensor, " d"]:
        """One vector of what stays."""
        return torch.cat([parts[name][mask] for name, mask in self.masks.items()])

    def drop(self, which: Bool[Tensor, " d"]) -> None:
        """Remove these of the weights that stay, by their place in `flat`."""
        for mask, part in zip(
            self.masks.values(),
            which.split([int(m.sum()) for m in self.masks.values()]),
            strict=True,
        ):
            mask[mask.clone()] = ~part
        self.apply_masks()

    @torch.no_grad()
    def apply_masks(self) -> None:
        """Set pruned weights to zero. Call it after each step of an optimiser, or let `hold` do
        so.
        """
        for name, mask in self.masks.items():
            self.weights[name].mul_(mask)

    def hold(self, optimizer: torch.optim.Optimizer) -> Any:
        """Apply the masks after each of the optimiser's steps.

        Args:
            optimizer: A torch optimiser of the model.

        Returns:
            A handle whose `remove()` ends it.
        """
        return optimizer.register_step_post_hook(lambda *_: self.apply_masks())

    def count(self, sparsity: float) -> int:
        """How many weights must go to reach a sparsity.

        Args:
            sparsity: Share of zeros, in [0, 1).

        Raises:
            ArgumentError: It is not in [0, 1), or below what was reached.
        """
        share = real("sparsity", sparsity, least=0, below=1)
        if share < self.sparsity - 0.5 / self.total:
            raise ArgumentError(
                f"sparsity={share:g} is below the present {self.sparsity:.6g}: pruned weights do "
                "not come back"
            )
        return max(
            round(share * self.total)
            - (self.total - sum(int(m.sum()) for m in self.masks.values())),
            0,
        )

    def prune_magnitude(self, sparsity: float) -> dict[str, Bool[Tensor, ...]]:
        """Remove the smallest weights of the whole model: the usual baseline. Returns the masks."""
        size = self.flat({name: p.detach().abs() for name, p in self.weights.items()})
        gone = torch.zeros(len(size), dtype=torch.bool, device=size.device)
        gone[size.argsort(stable=True)[: self.count(sparsity)]] = True
        self.drop(gone)
        return self.masks

    def state_dict(self) -> dict[str, Tensor]:
        """The masks by name."""
        return {name: mask.clone() for name, mask in self.masks.items()}

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ShapeError: Masks of another model.
        """
        for name in sorted(self.masks.keys() | state_dict.keys()):
            found, expected = (
                tuple(masks[name].shape) if name in masks else None
                for masks in (state_dict, self.masks)
            )
            if found != expected:
                raise ShapeError(
                    f"masks of another model: '{name}' has shape {found}, expected {expected}"
                )
        self.masks = {name: state_dict[name].bool().clone() for name in self.masks}
        self.apply_masks()


@dataclass(frozen=True)
class OBSSettings(Checked):
    """Settings of the optimal brain surgeon.

    Attributes:
        ngrads: m, gradients of the Fisher matrix, >= 1.
        blocksize: B, coordinates of its blocks, >= 1; None for the full matrix.
        damp: lambda, > 0.
        recomputations: R, how often in an event the matrix is made anew, >= 1.
    """

    ngrads: int = 256
    blocksize: int | None = 128
    damp: float = DAMP
    recomputations: int = 16

    def __post_init__(self) -> None:
        whole("ngrads", self.ngrads, least=1)
        if self.blocksize is not None:
            whole("blocksize", self.blocksize, least=1)
        real("damp", self.damp, above=0)
        whole("recomputations", self.recomputations, least=1)

    @classmethod
    def gradual(cls) -> OBSSettings:
        """For events with training in between, each of which removes less: 4 recomputations."""
        return cls(recomputations=4)


class OBSPruner(Masks):
    """Prune a trained model to a sparsity in one event; train in between for a gradual schedule,
    with `apply_masks` after each step.

    Removes the weights of least w_j^2 / (2 (F^-1)_jj), F = lambda I + G'G/m, and moves the others
    as the optimal brain surgeon does. Gradients are taken in eval mode, of the weights that stay.
    `rounds` says what was seen.

    Args:
        model: The trained network.
        loss_fn: (outputs, targets) -> mean over the batch.
        loader: An iterable of (inputs, targets), gone through as often as needed.
        ngrads: m, gradients of F, >= 1.
        blocksize: B, None for the full matrix.
        damp: lambda, > 0.
        recomputations: R, in each of which F is made anew and 1 - ((1 - s1)/(1 - s0))^(1/R) of what
            stays is removed.
        per_sample: Gradients of single examples (by torch.func) instead of batch means.
        skip: Layers that stay whole.
        folder: Keep gradients and factors on disk there, see `StaticFisher`.

    Raises:
        ArgumentError: A setting out of its range, or an empty loader.
        NotFinite: A gradient with a NaN or an infinity.
        UnknownName: `skip` names what the model does not have.

    References:
        Frantar, Kurtic, Alistarh, arXiv 2107.03356, the static algorithm.
    """

    @checked
    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[Tensor, Tensor], Tensor],
        loader: Iterable[tuple[Tensor, Tensor]],
        ngrads: int = OBSSettings.ngrads,
        blocksize: int | None = OBSSettings.blocksize,
        damp: float = OBSSettings.damp,
        recomputations: int = OBSSettings.recomputations,
        *,
        per_sample: bool = False,
        skip: Sequence[nn.Module | str] = (),
        folder: str | Path | None = None,
    ):
        super().__init__(model, skip)
        self.loss_fn, self.loader, self.per_sample, self.folder = (
            loss_fn,
            loader,
            per_sample,
            folder,
        )
        blocksize = None if blocksize == -1 else blocksize
        OBSSettings(ngrads, blocksize, damp, recomputations)  # refuses settings without sense
        self.ngrads, self.recomputations = ngrads, recomputations
        self.damp, self.blocksize = damp, blocksize
        self.rounds: list[Round] = []

    def prune(self, sparsity: float) -> dict[str, Bool[Tensor, ...]]:
        """Remove weights until a sparsity is reached, to the nearest weight.

        Args:
            sparsity: Share of zeros, in [0, 1).

        Returns:
            The masks.

        Raises:
            ArgumentError: A share outside [0, 1).
            NotFinite: A gradient with a NaN or an infinity.
        """
        total, start = self.count(sparsity), sum(int(m.sum()) for m in self.masks.values())
        self.apply_masks()
        training = self.model.training
        self.model.eval()
        try:
            for r in range(1, self.recomputations + 1):
                end = (
                    start - total
                    if r == self.recomputations
                    else round(start * ((start - total) / start) ** (r / self.recomputations))
                )
                due = sum(int(m.sum()) for m in self.masks.values()) - end
                if due > 0:
                    self._round(due)
        finally:
            self.model.train(training)
        return self.masks

    def _round(self, due: int) -> None:
        """Remove `due` weights by one Fisher matrix, and move the others."""
        gradients = self.gradients()
        fisher = StaticFisher(gradients, self.damp, self.blocksize, folder=self.folder)
        diagonal = fisher.diag()
        w = self.flat({name: p.detach() for name, p in self.weights.items()}).to(diagonal)
        gone = torch.zeros(len(w), dtype=torch.bool, device=w.device)
        gone[(w * w / (2 * diagonal)).argsort(stable=True)[:due]] = True  # rho_j
        moved = fisher.ihvp(torch.where(gone, -w / diagonal, 0.0))  # F^-1 t
        with torch.no_grad():
            for (name, mask), part in zip(
                self.masks.items(),
                (w + moved).split([int(m.sum()) for m in self.masks.values()]),
                strict=True,
            ):
                self.weights[name][mask] = part.to(self.weights[name].dtype)
        self.drop(gone)
        self.rounds.append(
            Round(
                self.sparsity,
                float((diagonal > 0.99 / self.damp).double().mean()),
                float(gradients.norm(dim=1).mean()),
            )
        )

    def gradients(self) -> Float[Tensor, "m d"]:
        """(m, d) gradients of the loss in the weights that stay; float64 up to 200,000 weights,
        float32 above, where memory counts.
        """
        keep, device = (
            sum(int(m.sum()) for m in self.masks.values()),
            next(iter(self.weights.values())).device,
        )
        dtype = torch.float64 if keep <= 200_000 else torch.float32
        if self.folder is None:
            gradients = torch.empty(self.ngrads, keep, dtype=dtype, device=device)
        else:
            Path(self.folder).mkdir(parents=True, exist_ok=True)
            file = str(Path(self.folder) / "gradients.bin")
            gradients = torch.from_file(
                file, shared=True, size=self.ngrads * keep, dtype=dtype
            ).reshape(self.ngrads, keep)
        for i, row in zip(range(self.ngrads), self._rows(), strict=False):
            gradients[i] = row
        if not bool(torch.isfinite(gradients).all()):
            raise NotFinite(
                "the loss has a gradient with a NaN or an infinity, so the Fisher matrix cannot be "
                "made"
            )
        return gradients

    def _rows(self) -> Iterator[Tensor]:
        """Gradients without end: the loader is gone through again when it is over."""
        while True:
            empty = True
            for inputs, targets in self.loader:
                empty = False
                if not self.per_sample:
                    found = torch.autograd.grad(
                        self.loss_fn(self.model(inputs), targets), list(self.weights.values())
                    )
                    yield self.flat(dict(zip(self.weights, found, strict=True)))
                    continue
                each = self._each(inputs, targets)
                yield from torch.cat(
                    [each[name][:, mask] for name, mask in self.masks.items()], dim=1
                )
            if empty:
                once = (
                    ": a generator can be gone through once only"
                    if isinstance(self.loader, Iterator)
                    else ""
                )
                raise ArgumentError(f"loader gives no batch{once}")

    def _each(self, inputs: Tensor, targets: Tensor) -> dict[str, Float[Tensor, "b ..."]]:
        """Gradients of single examples."""
        rest = {
            n: t.detach()
            for n, t in (*self.model.named_parameters(), *self.model.named_buffers())
            if n not in self.weights
        }

        def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return self.loss_fn(
                functional_call(self.model, {**rest, **weights}, (x[None],)), y[None]
            )

        weights = {name: p.detach() for name, p in self.weights.items()}
        return vmap(grad(loss), in_dims=(None, 0, 0))(weights, inputs, targets)


@checked
def gradual(start: float, target: float, events: int) -> list[float]:
    """Sparsities of a gradual schedule: each event removes the same share of what is left.

    Args:
        start: Sparsity before the first event, in [0, 1).
        target: Sparsity after the last, in [0, 1).
        events: How many, >= 1.

    Raises:
        ArgumentError: A setting out of its range.

    Examples:
        >>> gradual(0.0, 0.75, 2)
        [0.5, 0.75]
    """
    first, last = (
        real("start", start, least=0, below=1),
        real("target", target, least=0, below=1),
    )
    if last < first:
        raise ArgumentError(
            f"target={last:g} is below start={first:g}: pruned weights do not come back"
        )
    n = whole("events", events, least=1)
    return [
        last if j == n else 1 - (1 - first) * math.exp(j / n * math.log((1 - last) / (1 - first)))
        for j in range(1, n + 1)
    ]
