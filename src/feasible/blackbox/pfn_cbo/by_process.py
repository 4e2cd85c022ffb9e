"""The acquisition of constrained Bayesian optimisation under Gaussian processes of BoTorch: the
baseline of arXiv 2404.04495, made fair.

One SingleTaskGP for each output, fitted by maximum a posteriori; log expected improvement (Ament et
al., 2023) with the logarithms of the probabilities of feasibility, optimised by BoTorch's
multistart L-BFGS-B. Outputs are transformed as for the network.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..peers.frame import require

if TYPE_CHECKING:
    from jaxtyping import Float

    from .columns import Columns


@dataclass(slots=True)
class ProcessSurrogate:
    """The acquisition under Gaussian processes.

    Attributes:
        acquisition: BoTorch's, in logarithms.
        d: Number of inputs.
        restarts: Starts of its optimiser.
        raw: Points among which these are chosen.
    """

    acquisition: Any
    d: int
    restarts: int
    raw: int

    @classmethod
    def of(
        cls,
        method: str,
        columns: Columns,
        u: Float[np.ndarray, "n d"],
        pending: Float[np.ndarray, "p d"],
        *,
        plus: bool,
        restarts: int,
        raw: int,
        seed: int,
        told: Mapping[int, Float[np.ndarray, "k q"]] | None = None,
    ) -> ProcessSurrogate:
        """Fit the processes. Where a fit fails, that process keeps the hyperparameters that it
        starts from, and a warning says so.

        Args:
            method: Name of the method, for warnings.
            columns: The outputs.
            u: (n, d) where they were observed, in the unit cube.
            pending: (p, d) points whose outcomes are open; they count as observed at the predicted
                mean.
            plus: Whether probabilities are min(1, 2 P).
            restarts: Starts of the acquisition's optimiser.
            raw: Points among which these are chosen.
            seed: Of what BoTorch draws.
            told: By category with descriptors, the directions of its choices, which are further
                inputs of the processes.
        """
        require("botorch", method)
        models = []
        with _quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for values in columns.values:
                seen = ~np.isnan(values)
                models.append(_fitted(method, u[seen], values[seen], pending, told or {}))
        return cls(_acquisition(models, columns, plus), u.shape[1], restarts, raw)

    def score(self, u: Float[np.ndarray, "k d"]) -> Float[np.ndarray, " k"]:
        """Logarithm of the acquisition."""
        with torch.no_grad(), _quiet():
            return (
                self.acquisition(torch.from_numpy(np.ascontiguousarray(u))[:, None])
                .double()
                .numpy()
            )

    def climb(self, seed: int) -> Float[np.ndarray, " d"] | None:
        """BoTorch's optimize_acqf over the unit cube; None where it fails."""
        optim = require("botorch.optim", "gp-cei")
        box = torch.tensor([[0.0] * self.d, [1.0] * self.d], dtype=torch.float64)
        try:
            with _quiet(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                x, _ = optim.optimize_acqf(
                    self.acquisition,
                    box,
                    q=1,
                    num_restarts=self.restarts,
                    raw_samples=self.raw,
                    options={"seed": seed, "maxiter": 100},
                )
        except (RuntimeError, ValueError) as error:
            warnings.warn(
                f"optimize_acqf failed ({type(error).__name__}: {error:.80}); the best candidate "
                "is taken",
                stacklevel=2,
            )
            return None
        found = x[0].numpy()
        return found if np.isfinite(found).all() else None


def _fitted(
    method: str,
    u: np.ndarray,
    values: np.ndarray,
    pending: np.ndarray,
    told: Mapping[int, np.ndarray],
) -> Any:
    """Return the process of one output."""
    models, fit, mlls = (
        require("botorch.models", method),
        require("botorch.fit", method),
        require("gpytorch.mlls", method),
    )
    transforms = require("botorch.models.transforms", method)
    x, y = torch.from_numpy(u), torch.from_numpy(values)[:, None]
    constant = float(values.std()) < 1e-12
    options = {"input_transform": _described(method, told)} if told else {}
    model = models.SingleTaskGP(
        x, y, outcome_transform=None if constant else transforms.Standardize(m=1), **options
    )
    start = {k: v.clone() for k, v in model.state_dict().items()}
    try:
        if not constant:
            fit.fit_gpytorch_mll(mlls.ExactMarginalLogLikelihood(model.likelihood, model))
    # BoTorch raises its own errors, linear_operator others, torch RuntimeErrors: none may end a run
    except Exception as error:
        model.load_state_dict(start)
        warnings.warn(
            f"{method}: a Gaussian process could not be fitted ({type(error).__name__}); it keeps "
            "its first hyperparameters",
            stacklevel=3,
        )
    model.eval()
    if len(pending):
        with torch.no_grad():
            mean = model.posterior(torch.from_numpy(pending)).mean
        fitted = {
            k: v for k, v in model.state_dict().items() if not k.startswith("outcome_transform")
        }
        model = models.SingleTaskGP(
            torch.cat([x, torch.from_numpy(pending)]),
            torch.cat([y, mean]),
            outcome_transform=None if constant else transforms.Standardize(m=1),
            **options,
        )
        model.load_state_dict(fitted, strict=False)
        model.eval()
    return model


def _described(method: str, told: Mapping[int, np.ndarray]) -> Any:
    """Return BoTorch's transform that appends the directions of categories to points of the unit
    cube.
    """
    transforms = require("botorch.models.transforms.input", method)
    tables = {j: torch.from_numpy(np.array(table)) for j, table in told.items()}

    def directions(x: torch.Tensor) -> torch.Tensor:
        found = [
            table[(x[..., j] * (len(table) - 1)).round().long().clamp(0, len(table) - 1)]
            for j, table in tables.items()
        ]
        return torch.cat(found, dim=-1).unsqueeze(-2)

    return transforms.AppendFeatures(f=directions, transform_on_train=True)


def _acquisition(models: list[Any], columns: Columns, plus: bool) -> Any:
    """Return BoTorch's acquisition of these processes."""
    analytic = require("botorch.acquisition.analytic", "gp-cei")
    tau = columns.thresholds.tolist()
    if columns.objective and len(models) == 1:
        return analytic.LogExpectedImprovement(models[0], best_f=tau[0])
    if columns.objective and not plus:
        joint = require("botorch.models", "gp-cei").ModelListGP(*models)
        return analytic.LogConstrainedExpectedImprovement(
            joint,
            best_f=tau[0],
            objective_index=0,
            constraints={j: [tau[j], None] for j in range(1, len(models))},
        )
    return _class()(models, tau, columns.objective, plus)


def _class() -> Any:
    """Return the class that sums log EI and log PF (or log min(1, 2 PF)) over separate models;
    BoTorch is imported only where it is used.
    """
    acquisition, analytic = (
        require("botorch.acquisition", "gp-cei"),
        require("botorch.acquisition.analytic", "gp-cei"),
    )

    class LogFeasibleImprovement(acquisition.AcquisitionFunction):  # type: ignore[misc]
        def __init__(self, models: list[Any], tau: list[float], objective: bool, plus: bool):
            super().__init__(models[0])
            self.models = torch.nn.ModuleList(models)
            self.improvement = (
                analytic.LogExpectedImprovement(models[0], best_f=tau[0]) if objective else None
            )
            self.tau, self.first, self.plus = tau, int(objective), plus

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            total = (
                torch.zeros(x.shape[0], dtype=x.dtype)
                if self.improvement is None
                else self.improvement(x)
            )
            for model, tau in list(zip(self.models, self.tau, strict=True))[self.first :]:
                posterior = model.posterior(x)
                z = (posterior.mean - tau)[:, 0, 0] / posterior.variance.clamp_min(1e-18).sqrt()[
                    :, 0, 0
                ]
                chance = torch.special.log_ndtr(z)
                total = total + ((chance + np.log(2.0)).clamp_max(0.0) if self.plus else chance)
            return total

    return LogFeasibleImprovement


class _quiet(warnings.catch_warnings):  # noqa: N801
    """Without BoTorch's warnings about scaling and convergence; our own, raised outside, are
    kept."""

    def __enter__(self) -> None:
        super().__enter__()
        for module in ("botorch", "gpytorch", "linear_operator"):
            warnings.filterwarnings("ignore", module=rf"{module}\b.*")
