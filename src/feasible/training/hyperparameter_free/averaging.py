"""Polynomial averaging of the iterates (Shamir, Zhang, ICML 2013), which takes the place of a decay
of the rate.

    xbar = (1 - w) xbar + w x,   w = (gamma + 1) / (gamma + t),   t = 1, 2, ...

The average is what should be evaluated and saved; training goes on from x. `eval()` puts the
average into the parameters, `train()` takes it out.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch

from ...core.annotations import checked
from ...core.checks import real
from ...core.errors import ArgumentError, ArgumentTypeError
from ...core.warning import warn
from ..optimizer import NamedState, asks_for_state

GAMMA = 8.0
"""Weight of late iterates with which DoG was evaluated (arXiv 2302.12022)."""


class PolynomialAverager:
    """Average the parameters of an optimiser after each of its steps.

    It refers to the optimiser weakly, and lives in it: the average in
    ``optimizer.state[p]["average"]``, steps and mode in the groups, so that the optimiser's
    `state_dict` holds it and a resumed run is in the mode that was saved, whichever of averager and
    state comes first. The optimiser gets `eval` and `train` too. A step in evaluation mode is
    refused. Buffers are not averaged: ``torch.optim.swa_utils.update_bn(loader, model)`` after
    `eval()` renews the statistics of batch normalisation.

    Args:
        optimizer: Any torch optimiser.
        gamma: Weight of late iterates, >= 0; 0 is the plain mean. An optimiser whose state holds
            an average goes on with it and with its gamma.
        model: Warn, once, when its state_dict is read while its parameters are not the average.

    Raises:
        ArgumentTypeError: Not an optimiser, or one whose iterates have no average of use.
        ArgumentError: gamma below 0.

    Examples:
        >>> x = torch.nn.Parameter(torch.tensor([0.0]))
        >>> optimizer = torch.optim.SGD([x], lr=1.0)
        >>> averager = PolynomialAverager(optimizer, gamma=0.0)
        >>> for gradient in (-1.0, -1.0, -1.0):  # to 1, 2 and 3
        ...     x.grad = torch.tensor([gradient])
        ...     _ = optimizer.step()
        >>> averager.eval()
        >>> x.item()
        2.0
        >>> averager.train()
        >>> x.item()
        3.0
    """

    @checked
    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        gamma: float = GAMMA,
        model: torch.nn.Module | None = None,
    ):
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise ArgumentTypeError(
                f"optimizer: got {type(optimizer).__name__}, expected a torch.optim.Optimizer"
            )
        if isinstance(optimizer, NamedState) and optimizer.no_average:
            raise ArgumentTypeError(
                f"optimizer: {type(optimizer).__name__} takes no averager: {optimizer.no_average}"
            )
        real("gamma", gamma, least=0)
        self.optimizer, self.warned = weakref.proxy(optimizer), False
        for group in optimizer.param_groups:  # a state that was loaded goes on
            group.setdefault("averaging", float(gamma))
        self._adopt()
        optimizer.register_step_pre_hook(self._before)
        optimizer.register_step_post_hook(self._after)
        optimizer.eval, optimizer.train = self.eval, self.train  # type: ignore[attr-defined]
        if model is not None:
            model.register_state_dict_pre_hook(self._saving)

    def _adopt(self) -> None:
        """Begin with groups that were added since, in the mode of the first."""
        first = self.optimizer.param_groups[0]
        for group in self.optimizer.param_groups:
            group.setdefault("averaging", first["averaging"])
            group.setdefault("averaged", 0)
            group.setdefault("train_mode", first.get("train_mode", True))

    @property
    def training(self) -> bool:
        """Whether the parameters are those that are trained."""
        return bool(self.optimizer.param_groups[0]["train_mode"])

    def _before(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """Refuse a step in evaluation mode."""
        if not self.training:
            raise ArgumentError(
                "step: the parameters are the average; call train() before training goes on"
            )

    @torch.no_grad()
    def _after(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """Bring the average up to date after a step."""
        self._adopt()
        by_gradient = not isinstance(optimizer, NamedState) or optimizer.by_gradient
        counts = 0 if asks_for_state(optimizer.param_groups) else 1
        for group in optimizer.param_groups:
            group["averaged"] += counts
            weight = (group["averaging"] + 1) / max(1.0, group["averaging"] + group["averaged"])
            params = [p for p in group["params"] if p.grad is not None or not by_gradient]
            new = [p for p in params if "average" not in optimizer.state[p]]
            for p in new:
                optimizer.state[p]["average"] = p.detach().clone()
            if params and counts:
                torch._foreach_lerp_(
                    [optimizer.state[p]["average"] for p in params], params, weight
                )

    @torch.no_grad()
    def _swap(self, training: bool) -> None:
        """Exchange parameters and averages, where the mode changes."""
        if self.training == training:
            return
        self._adopt()
        for group in self.optimizer.param_groups:
            group["train_mode"] = training
            for p in group["params"]:
                average = (
                    self.optimizer.state[p].get("average") if p in self.optimizer.state else None
                )
                if average is not None:
                    held = p.detach().clone()
                    p.copy_(average)
                    average.copy_(held)

    def eval(self) -> None:
        """Put the average into the parameters."""
        self._swap(False)

    def train(self) -> None:
        """Put the iterate back."""
        self._swap(True)

    def _saving(self, module: Any, prefix: str, keep_vars: bool) -> None:
        """Warn where weights are saved that are not their average."""
        if self.training and not self.warned and self.optimizer.param_groups[0]["averaged"]:
            self.warned = True
            warn(
                "state_dict: these are the weights that are trained, not their average; call "
                "averager.eval() before saving weights for use "
                "(a checkpoint to go on from is right as it is)"
            )
