"""torch-pruning's own magnitude pruner in a run: which channels go is its choice; training and
the cut are the same as for HESSO.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from ...core.errors import Infeasible, MissingExtra
from ..trained import shrink
from .cutting import copied, cutting_plan
from .groups import Groups
from .hesso import HESSO
from .run import GroupPruning
from .subnet import measured

if TYPE_CHECKING:
    from torch import Tensor


def magnitude_choice(model: nn.Module, groups: Groups, example_input: Any, ratio: float) -> Tensor:
    """(n,) the groups that `torch_pruning.pruner.MagnitudePruner` cuts: 2-norm, ranked over all
    layers.

    Args:
        model: The network.
        groups: Its groups.
        example_input: What the model is traced on.
        ratio: Share of the groups to cut, in (0, 1).

    Raises:
        MissingExtra: torch-pruning is not installed.
    """
    try:
        import torch_pruning as tp
    except ImportError:
        raise MissingExtra(
            "the peer torch-pruning-magnitude needs the package torch-pruning: pip install "
            "'feasible[training]'"
        ) from None
    work = copied(model).eval()
    whole = [work.get_submodule(name) for name in groups.ungrouped]
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        pruner = tp.pruner.MagnitudePruner(
            work,
            example_input,
            importance=tp.importance.MagnitudeImportance(p=2),
            pruning_ratio=ratio,
            global_pruning=True,
            ignored_layers=whole,
        )
        pruner.step()
    chosen = torch.zeros(len(groups) + 1, dtype=torch.bool)
    for name, _, entries in pruner.pruning_history():
        chosen[groups.rows[f"{name}.weight"][1][torch.tensor(list(entries), dtype=torch.long)]] = (
            True
        )
    return chosen[:-1]


class _Chosen(HESSO):
    """HESSO whose one choice is torch-pruning's: at the share of its target, or at the least share
    that keeps the limits.
    """

    def _choose(self, period: int) -> None:
        """Take torch-pruning's choice once."""
        n = len(self.groups)
        if self.target is not None:
            picked = magnitude_choice(self.model, self.groups, self.example, self.target / n)
        else:
            low, high = 1, n - 1
            while low < high:
                middle = (low + high) // 2
                low, high = (
                    (low, middle)
                    if self._keeps(
                        magnitude_choice(self.model, self.groups, self.example, middle / n)
                    )
                    else (middle + 1, high)
                )
            picked = magnitude_choice(self.model, self.groups, self.example, low / n)
            if not self._keeps(picked):
                raise Infeasible(
                    f"limits: torch-pruning's magnitude pruner does not reach them with {low} of "
                    f"{n} groups"
                )
        self.target = int(picked.sum())
        self._take(picked, last=True)

    example: Any = None

    def _keeps(self, cut: Tensor) -> bool:
        """Whether the network, cut so, keeps the limits."""
        if any(
            bool(cut[self.groups.layer == layer].all()) for layer in range(len(self.groups.layers))
        ):
            return True
        sizes = measured(
            shrink(copied(self.model), cutting_plan(self.model, self.groups, cut)),
            self.example_input,
            self.limits,
        )
        return all(sizes[name] <= most for name, most in self.limits.items())


@dataclass(frozen=True)
class TorchPruningMagnitude(GroupPruning):
    """Train for `warmup` of the steps, cut once what torch-pruning's MagnitudePruner chooses, train
    on. Settings as of `GroupPruning`.
    """

    name: ClassVar[str] = "torch-pruning-magnitude"
    requires: ClassVar[tuple[str, ...]] = ("torch_pruning",)

    warmup: float = 0.5
    one_shot: bool = True

    def optimizer(self, model: nn.Module, groups: Groups, example: Any, **settings: Any) -> HESSO:
        """HESSO with another choice."""
        made = _Chosen(model, groups, self.variant, self.lr, **settings)
        made.example = example
        return made
