"""A prior-fitted network as a BoTorch model, so that BoTorch's acquisition functions and optimisers
can use it.

>>> import torch
>>> x = torch.rand(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
>>> model = PFNModel(x, x.sum(dim=1, keepdim=True))
>>> model.posterior(x[:3]).mean.shape
torch.Size([3, 1])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from botorch.models.model import Model
from botorch.posteriors.posterior import Posterior as BoTorchPosterior

from ...core.errors import ShapeError
from .pfn import PFN, Prediction

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class BarPosterior(BoTorchPosterior):  # type: ignore[misc]
    """Independent bar distributions at the points of a `b x q` batch, one output each in the last
    axis (`b x q x m`).

    Args:
        predicted: The distributions.
        batch: The shape `b x q`.
    """

    def __init__(self, predicted: Prediction, batch: torch.Size):
        super().__init__()
        self.predicted, self._shape = predicted, torch.Size([*batch, len(predicted.logits)])

    @property
    def device(self) -> torch.device:
        """Where the numbers are."""
        return self.predicted.logits.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the means and samples."""
        return torch.float64

    @property
    def mean(self) -> Float[Tensor, "*b q m"]:
        """Expected values."""
        return self._laid_out(self.predicted.mean)

    @property
    def variance(self) -> Float[Tensor, "*b q m"]:
        """Variances."""
        return self._laid_out(self.predicted.variance)

    def quantile(self, value: Tensor) -> Float[Tensor, "k *b q m"]:
        """Quantiles at probabilities value (k,)."""
        return torch.stack([self._laid_out(self.predicted.quantile(v)) for v in value])

    def rsample(self, sample_shape: torch.Size | None = None) -> Float[Tensor, "*s *b q m"]:
        """Samples by inversion; the points are independent of each other. Draws from torch's global
        stream, as BoTorch's posteriors do.
        """
        shape = torch.Size() if sample_shape is None else sample_shape
        logits = self.predicted.logits
        u = torch.rand(*shape, *logits.shape[:-1], dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
        value = self.predicted.shift + self.predicted.scale * self.predicted.bars.quantile(
            logits.expand(*shape, *logits.shape), u
        )
        return value.transpose(-1, -2).reshape(*shape, *self._shape)

    def _extended_shape(self, sample_shape: torch.Size = torch.Size()) -> torch.Size:  # noqa: B008
        return sample_shape + self._shape

    def _laid_out(self, value: Float[Tensor, "m k"]) -> Tensor:
        """Return figures by output and point in BoTorch's shape."""
        return value.transpose(0, 1).reshape(self._shape)


class PFNModel(Model):  # type: ignore[misc]
    """A prior-fitted network as a BoTorch model. Points of a q-batch are predicted independently,
    so use it with analytic acquisition functions (q = 1).

    Args:
        train_X: (n, d) points of the unit cube.
        train_Y: (n, m) outputs; each is standardised by itself.
        model: None: the packaged network.

    Raises:
        ShapeError: The shapes do not fit.
    """

    def __init__(
        self, train_X: Float[Tensor, "n d"], train_Y: Float[Tensor, "n m"], model: PFN | None = None
    ):
        super().__init__()
        if train_X.ndim != 2 or train_Y.ndim != 2:
            raise ShapeError(
                f"train_X has shape {tuple(train_X.shape)} and train_Y {tuple(train_Y.shape)}, "
                "expected (n, d) and (n, m)"
            )
        self.model = model or PFN.load("small")
        with torch.no_grad():
            self.conditioned = self.model.condition(train_X, train_Y.T)
        self.train_inputs, self.train_targets = (train_X,), train_Y

    @property
    def num_outputs(self) -> int:
        """Number of outputs m."""
        return self.train_targets.shape[1]

    @property
    def batch_shape(self) -> torch.Size:
        """No batches of models."""
        return torch.Size()

    def posterior(
        self,
        X: Float[Tensor, "*b q d"],
        output_indices: Any = None,
        observation_noise: Any = False,
        posterior_transform: Any = None,
    ) -> Any:
        """The bar distributions at X; differentiable in X."""
        predicted = self.conditioned.predict(X.reshape(-1, X.shape[-1]))
        if output_indices is not None:
            keep = list(output_indices)
            predicted = Prediction(
                predicted.logits[keep], predicted.bars, predicted.shift[keep], predicted.scale[keep]
            )
        found = BarPosterior(predicted, X.shape[:-1])
        return found if posterior_transform is None else posterior_transform(found)
