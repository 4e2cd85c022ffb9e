"""PenaltyBilevel: hyperparameters optimised beside a training loop that stays its user's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.checks import generator, one_of
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from ..levels import Rows, scalar
from ..sets import ConvexSet, Everything
from .penalty import LOST_TRACK, PenaltyState, advance, begin, remarks
from .settings import PenaltySettings

if TYPE_CHECKING:
    from jaxtyping import Float

HERE, OUTSIDE = "here", "outside"


@dataclass
class Parameters:
    """Tensors of one level, as one vector.

    Attributes:
        keys: Their names; None where they came as a list.
        tensors: Them, in order.
    """

    keys: tuple[str, ...] | None
    tensors: tuple[Tensor, ...]

    @classmethod
    def of(cls, name: str, given: Any) -> Parameters:
        """Read a module, a tensor, a list of tensors, or tensors by name."""
        if isinstance(given, nn.Module):
            given = dict(given.named_parameters())
        elif isinstance(given, Tensor):
            given = [given]
        elif isinstance(given, Sequence):
            given = list(given)
        elif not isinstance(given, Mapping):
            given = None
        keys = tuple(given) if isinstance(given, Mapping) else None
        tensors = tuple(given.values() if isinstance(given, Mapping) else given or ())
        if not tensors or not all(isinstance(t, Tensor) and t.is_floating_point() for t in tensors):
            raise ArgumentTypeError(
                f"{name}: expected a module, tensors of floats, or tensors by name"
            )
        return cls(keys, tensors)

    def vector(self) -> Tensor:
        """Return a copy of all entries."""
        return torch.cat([t.detach().reshape(-1) for t in self.tensors])

    def split(self, vector: Tensor) -> Any:
        """Return a vector in the form that was given."""
        shaped = self._shaped(vector)
        return shaped if self.keys is None else dict(zip(self.keys, shaped, strict=True))

    def _shaped(self, vector: Tensor) -> list[Tensor]:
        """Return a vector's parts in the tensors' shapes."""
        pieces = torch.split(vector, [t.numel() for t in self.tensors])
        return [p.view(t.shape) for p, t in zip(pieces, self.tensors, strict=True)]

    def write(self, vector: Tensor) -> None:
        """Copy a vector into the tensors."""
        with torch.no_grad():
            for p, t in zip(self._shaped(vector), self.tensors, strict=True):
                t.copy_(p)

    def write_gradient(self, vector: Tensor) -> None:
        """Put a vector where optimisers look for gradients."""
        for p, t in zip(self._shaped(vector), self.tensors, strict=True):
            t.grad = p.clone()


@dataclass
class Losses:
    """The two functions on one step's parameters and batches, as `penalty.Levels`."""

    upper: Callable[..., Tensor]
    lower: Callable[..., Tensor]
    x: Parameters
    y: Parameters
    batches: tuple[Any, Any]
    X: ConvexSet = field(default_factory=Everything)
    lower_set: ConvexSet = field(default_factory=Everything)
    upper_rows: int | None = None
    lower_rows: int | None = None

    def upper_value(self, x: Tensor, y: Tensor, rows: Rows = None) -> Tensor:
        """The upper loss."""
        return self._value(self.upper, x, y, self.batches[0])

    def lower_value(self, x: Tensor, y: Tensor, rows: Rows = None) -> Tensor:
        """The lower loss."""
        return self._value(self.lower, x, y, self.batches[1])

    def _value(self, function: Callable[..., Tensor], x: Tensor, y: Tensor, batch: Any) -> Tensor:
        given = (self.x.split(x), self.y.split(y))
        return function(*given) if batch is None else function(*given, batch)


class PenaltyBilevel:
    """One step of the hyperparameters x at a time, by first derivatives only.

    minimise f(x, y) over x, where y minimises g(x, .): see `penalty`. Nothing but a few copies of
    the parameters is kept between steps, and no graph.

    Args:
        upper: f, from x, y and the upper batch, where there is one, to one number.
        lower: g, likewise.
        x_optimizer: Any optimiser of torch that holds the tensors of x; None: the steps of the
            settings.
        trained: "here", each step trains y too; "outside", y is trained by a loop of the user's
            own and only read: both trackers begin at it, at each step.
        x_set: What x is projected on, see `Bilevel`.
        y_set: As `x_set`.
        seed: Of first directions.
        settings: As keywords, those of `PenaltySettings`.

    Raises:
        ArgumentError: A setting is out of range.
        ArgumentTypeError: An argument of a wrong type.

    Example:
        >>> import torch
        >>> from feasible.bilevel import PenaltyBilevel
        >>> x = torch.tensor([3.0], dtype=torch.float64)
        >>> y = torch.zeros(1, dtype=torch.float64)
        >>> hyper = PenaltyBilevel(
        ...     lambda x, y: ((y - 1) ** 2).sum(), lambda x, y: ((y - x) ** 2).sum()
        ... )
        >>> for _ in range(200):
        ...     info = hyper.step(x, y)
        >>> round(float(x), 3)
        1.0
    """

    def __init__(
        self,
        upper: Callable[..., Tensor],
        lower: Callable[..., Tensor],
        *,
        x_optimizer: torch.optim.Optimizer | None = None,
        trained: str = HERE,
        x_set: ConvexSet | None = None,
        y_set: ConvexSet | None = None,
        seed: int = 0,
        **settings: Any,
    ):
        for name, one in (("upper", upper), ("lower", lower)):
            if not callable(one):
                raise ArgumentTypeError(f"{name} is a {type(one).__name__}: expected a function")
        if not (x_optimizer is None or isinstance(x_optimizer, torch.optim.Optimizer)):
            raise ArgumentTypeError("x_optimizer: expected an optimiser of torch, or None")
        for name, of in (("x_set", x_set), ("y_set", y_set)):
            if not (of is None or isinstance(of, ConvexSet)):
                raise ArgumentTypeError(f"{name}: expected a set of feasible.bilevel, or None")
        known = {f.name for f in fields(PenaltySettings)}
        if unknown := set(settings) - known:
            raise ArgumentError(f"{sorted(unknown)}: expected settings of {sorted(known)}")
        self.upper, self.lower = scalar("upper", upper), scalar("lower", lower)
        self.x_optimizer = x_optimizer
        self.trained = one_of("trained", trained, (HERE, OUTSIDE))
        self.settings = PenaltySettings(**settings)
        if self.settings.batch is not None:
            raise ArgumentError("batch: each step is given its own batch; expected None")
        self.sets = x_set or Everything(), y_set or Everything()
        self.rng = generator("seed", seed)
        self.state: PenaltyState | None = None

    def step(
        self, x: Any, y: Any, upper_batch: Any = None, lower_batch: Any = None
    ) -> dict[str, float]:
        """Move x, and y where it is trained here, in place.

        Args:
            x: A tensor, a list of tensors, or tensors by name; `upper` and `lower` get the same
                form, a list where one tensor came.
            y: Likewise, or a module.
            upper_batch: What `upper` is called with besides; None: nothing.
            lower_batch: As `upper_batch`.

        Returns:
            sigma, the length of the gradient of psi_sigma, and the trackers' residual over sigma.

        Raises:
            NotFinite: It diverged; x and y are as they were.
            ShapeError: x or y has another size than at the step before.
        """
        xs, ys = Parameters.of("x", x), Parameters.of("y", y)
        state = self._at(xs.vector(), ys.vector())
        one = len(xs.tensors) == 1 and xs.keys is None and isinstance(x, Tensor)
        two = len(ys.tensors) == 1 and ys.keys is None and isinstance(y, Tensor)

        def plain(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
            return lambda a, b, *more: function(a[0] if one else a, b[0] if two else b, *more)

        losses = Losses(
            plain(self.upper), plain(self.lower), xs, ys, (upper_batch, lower_batch), *self.sets
        )
        advance(losses, self.settings, state)
        if state.over:
            self.state = None
            raise NotFinite(f"step {state.k}: {state.over}; x and y are as they were before it")
        for said in remarks(state) if state.worse == LOST_TRACK else ():
            warnings.warn(said, RuntimeWarning, stacklevel=2)
        if self.x_optimizer is not None:
            xs.write_gradient(state.q)
            self.x_optimizer.step()
            xs.write(self.sets[0].project(xs.vector()))
        else:
            xs.write(state.x)
        if self.trained == HERE:
            ys.write(state.z)
        return {"sigma": state.sigma, "length": state.length, "residual": state.moved}

    def _at(self, x: Tensor, y: Tensor) -> PenaltyState:
        """Return the state with these x and z."""
        if self.state is None:
            self.state = begin(x, y, self.rng)
        state = self.state
        for name, new, old in (("x", x, state.x), ("y", y, state.z)):
            if new.shape != old.shape:
                raise ShapeError(f"{name} has {len(new)} entries, {len(old)} at the step before")
        state.x, state.z = x, y
        if self.trained == OUTSIDE:
            state.y = y.clone()
        return state

    def hypergradient(self) -> Float[np.ndarray, " n"]:
        """Return the last gradient of psi_sigma; zeros before the first step."""
        return np.zeros(0) if self.state is None else self.state.q.numpy().copy()
