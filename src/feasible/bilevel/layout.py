"""A level's variables as one vector, and as the tensors that its functions take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..core.checks import numbers
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float

Tensors: TypeAlias = Tensor | dict[str, Tensor]
DTYPE = torch.float64


def tensor(name: str, value: Any) -> Tensor:
    """Return an array of real, finite numbers as a float64 tensor of its own.

    Args:
        name: The argument, for errors.
        value: An array, a tensor, a list or a number.
    """
    found = numbers(name, value)
    made = torch.as_tensor(found).detach().to("cpu", DTYPE).clone()
    if not torch.isfinite(made).all():
        raise NotFinite(f"{name} has a NaN or an infinity: expected finite numbers")
    return made


@dataclass(frozen=True)
class Layout:
    """How one vector holds a tensor, or tensors by name.

    Attributes:
        keys: The names; None where it is one tensor.
        shapes: The shapes, one after the other.
    """

    keys: tuple[str, ...] | None
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, name: str, value: Any) -> tuple[Layout, Tensor]:
        """Read where a level begins.

        Args:
            name: The argument, for errors.
            value: A tensor, an array, numbers, or a mapping of names to them.

        Returns:
            The layout, and the vector.
        """
        if isinstance(value, Mapping):
            keys = tuple(value)
            if not all(isinstance(k, str) for k in keys):
                raise ArgumentTypeError(f"{name} has the keys {list(keys)!r:.60}: expected names")
            pieces = [tensor(f"{name}[{k!r}]", v) for k, v in value.items()]
            made = cls(keys, tuple(tuple(p.shape) for p in pieces))
        else:
            pieces = [tensor(name, value)]
            made = cls(None, (tuple(pieces[0].shape),))
        if not made.size:
            raise ShapeError(f"{name} has no entry: expected at least one variable")
        return made, torch.cat([p.reshape(-1) for p in pieces])

    @property
    def size(self) -> int:
        """Entries of the vector."""
        return sum(prod(shape) for shape in self.shapes)

    def split(self, vector: Tensor) -> Tensors:
        """Return the vector as the tensors, as views that gradients pass."""
        if self.keys is None:
            return vector.view(self.shapes[0])
        pieces = torch.split(vector, [prod(shape) for shape in self.shapes])
        return {k: p.view(s) for k, p, s in zip(self.keys, pieces, self.shapes, strict=True)}

    def join(self, name: str, value: Any) -> Tensor:
        """Return the tensors as one vector, without their graph; a vector of the size as it is.

        Raises:
            ArgumentError: A name is missing, or unknown.
            ShapeError: A shape is another one.
        """
        if isinstance(value, Mapping):
            if self.keys is None or set(value) != set(self.keys):
                raise ArgumentError(f"{name} has {sorted(value)!r:.80}: expected {self.keys!r:.80}")
            value = torch.cat([tensor(f"{name}[{k!r}]", value[k]).reshape(-1) for k in self.keys])
        found = tensor(name, value)
        if tuple(found.shape) not in ((self.size,), *self.shapes) or found.numel() != self.size:
            raise ShapeError(
                f"{name} has shape {tuple(found.shape)}, expected {self.shapes[0]}"
                if self.keys is None
                else f"{name} has shape {tuple(found.shape)}, expected ({self.size},)"
            )
        return found.reshape(-1)

    def names(self, name: str) -> tuple[str, ...]:
        """Names of the entries: x[0], x[1], ..., or those of the keys with their places."""
        found: list[str] = []
        for key, shape in zip(self.keys or (name,), self.shapes, strict=True):
            places = list(np.ndindex(shape))
            found += [key + "".join(f"[{i}]" for i in place) for place in places]
        return tuple(found)

    def arrays(self, vector: Float[np.ndarray, " n"]) -> Any:
        """Return a copy of the vector as the arrays that people gave."""
        split = self.split(torch.from_numpy(np.array(vector, dtype=float)))
        if isinstance(split, Tensor):
            return split.numpy()
        return {k: v.numpy() for k, v in split.items()}
