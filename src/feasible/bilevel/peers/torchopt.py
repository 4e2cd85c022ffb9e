"""TorchOpt: implicit differentiation of the lower level.

References:
    J. Ren et al., "TorchOpt: An Efficient Library for Differentiable Optimization", Journal of
    Machine Learning Research 24, 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...core.budget import spend
from ...core.checks import whole
from ..baselines import SecondOrder, SecondOrderState
from ..problem import Bilevel


@dataclass(frozen=True)
class TorchOptImplicit(SecondOrder):
    """The implicit gradient of TorchOpt's `custom_root`, the linear system by its conjugate
    gradients.

    Attributes:
        cg: Iterations of conjugate gradients.
    """

    cg: int = 5

    name: ClassVar[str] = "torchopt-implicit"
    requires: ClassVar[tuple[str, ...]] = ("torchopt",)

    def __post_init__(self) -> None:
        SecondOrder.__post_init__(self)
        whole("cg", self.cg, least=1)

    def gradient(self, problem: Bilevel, state: SecondOrderState) -> Tensor:
        """T steps of the lower level, and one gradient through its root."""
        from torchopt.diff.implicit import custom_root
        from torchopt.linear_solve import solve_cg

        gamma = self.lower_step(state)

        def root(y: Tensor, x: Tensor) -> Tensor:
            return torch.func.grad(lambda y: problem.lower_value(x, y))(y)

        @custom_root(root, argnums=1, solve=solve_cg(maxiter=self.cg))
        def solved(y: Tensor, x: Tensor) -> Tensor:
            for _ in range(self.inner):
                _, _, slope = problem.lower_gradients(x, y, by_x=False)
                y = y - gamma * slope
            return y

        x = state.x.clone().requires_grad_()
        with torch.enable_grad():
            y: Tensor = solved(state.y, x)  # type: ignore[assignment]
            spend(gradients=1, upper_gradients=1, gradient_equivalents=1)
            spend(hessian_products=self.cg + 2, gradient_equivalents=2 * (self.cg + 2))
            try:
                (q,) = torch.autograd.grad(problem.upper_value(x, y), x)
            except ZeroDivisionError:
                state.over = "TorchOpt's conjugate gradients divided by 0: a singular Hessian"
                return torch.zeros_like(state.x)
        state.y = y.detach()
        return q
