"""What users hand over as checked float64 arrays, and answers given back in kind.

NumPy or torch, any float type, lists, read-only, strided.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FORGIVEN = 1e-8
"""Relative difference of two masses that is always forgiven as rounding."""


def is_torch(value: Any) -> bool:
    """True for a torch tensor; torch is not imported for the question."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def plain(value: Any, name: str, infinite: bool = False) -> np.ndarray:
    """A float64 array of what was given, C-contiguous; copied only where it must be.

    Args:
        value: NumPy or torch, of numbers, or nested lists.
        name: The argument, as its user knows it.
        infinite: Let +inf pass.

    Raises:
        ArgumentTypeError: What is no array of real numbers.
        NotFinite: NaN or infinities; the first one is named.
    """
    if is_torch(value):
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(f"{name}: expected an array of numbers ({error})") from None
    if array.dtype.kind not in "fiub":
        raise ArgumentTypeError(f"{name}: got an array of {array.dtype}, expected real numbers")
    array = np.ascontiguousarray(array, dtype=np.float64)
    if not array.flags.writeable:  # compiled functions would be made anew for it
        array = array.copy()
    if array.size and not np.isfinite([array.min(), array.max()]).all():
        wrong = ~np.isfinite(array) & ~(infinite & (array == np.inf))
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            kind = "finite numbers, or inf" if infinite else "finite numbers"
            raise NotFinite(f"{name}{list(at)} is {array[at]}: expected {kind}")
    return array


def scalar(value: Any) -> Any:
    """A tensor without axes as a number; all else as it is."""
    return value.item() if is_torch(value) and value.ndim == 0 else value


def stacked(value: Any) -> Any:
    """A list or tuple of tensors or arrays as one tensor or array; all else as it is."""
    if not isinstance(value, (list, tuple)) or not len(value):
        return value
    if all(is_torch(v) for v in value):
        import torch

        return torch.stack(list(value))
    try:
        return np.asarray(value)
    except (TypeError, ValueError):  # `plain` says what is wrong with it
        return value


def histogram(value: Any, name: str, n: int | None = None) -> Float[np.ndarray, " n"]:
    """Masses >= 0 with a positive sum; zero masses are legal.

    Args:
        value: (n,); None or an empty list: uniform over `n`.
        name: The argument, as its user knows it.
        n: How many there must be; None: any number.

    Returns:
        (n,). The sum is the caller's to compare.

    Raises:
        ShapeError: Empty, another length, more than one axis.
        NotFinite: NaN or infinities.
        ArgumentError: Negative masses, or nothing but zeros.
    """
    if value is None or (isinstance(value, (list, tuple)) and not value):
        if not n:
            raise ShapeError(f"{name} is empty: expected at least one mass")
        return np.full(n, 1 / n)
    array = plain(value, name)
    if array.ndim != 1:
        raise ShapeError(f"{name} has shape {array.shape}, expected one axis")
    if not array.size:
        raise ShapeError(f"{name} is empty: expected at least one mass")
    if n is not None and len(array) != n:
        raise ShapeError(f"{name} has {len(array)} entries, expected {n}")
    if array.min() < 0:
        at = int(array.argmin())
        raise ArgumentError(f"{name}[{at}] is {array[at]:g}: masses must be >= 0")
    if array.sum() <= 0:
        raise ArgumentError(f"{name} has no mass: all {len(array)} entries are 0")
    return array


def tolerance_of(*values: Any) -> float:
    """Relative difference of two masses that is forgiven as rounding.

    1e-8, and 1e-5 where something is given in half or single precision.
    """

    def narrow(value: Any) -> bool:
        return str(getattr(value, "dtype", "float64")).removeprefix("torch.") in (
            "float32",
            "float16",
            "bfloat16",
        )

    return 1e-5 if any(narrow(v) for v in values) else FORGIVEN


def marginals(
    a: Any, b: Any, n: int, m: int
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]:
    """Two histograms of one mass.

    Args:
        a: (n,) masses; None for uniform ones.
        b: (m,) masses; None for uniform ones. It is rescaled to a's mass, by no more than the
            rounding that is forgiven.
        n: Entries of a.
        m: Entries of b.

    Raises:
        ArgumentError: Masses that differ; as `histogram`.
        ShapeError: As `histogram`.
        NotFinite: As `histogram`.
    """
    first, second = histogram(a, "a", n), histogram(b, "b", m)
    mass, other = float(first.sum()), float(second.sum())
    apart, most = abs(mass - other), max(mass, other)
    if apart > FORGIVEN * most and apart > tolerance_of(a, b) * most:
        raise ArgumentError(
            f"a and b must have the same mass: sum(a) = {mass:.12g}, sum(b) = {other:.12g}; divide "
            "each by its sum"
        )
    return first, second * (mass / other)


def cost_matrix(value: Any, name: str = "cost", infinite: bool = False) -> Float[np.ndarray, "n m"]:
    """A finite (n, m) matrix with at least one entry; with +inf too where `infinite`.

    Raises:
        ShapeError: Another number of axes, or an empty one.
        NotFinite: NaN or infinities.
    """
    array = plain(value, name, infinite)
    if array.ndim != 2:
        raise ShapeError(f"{name} has shape {array.shape}, expected (n, m)")
    if 0 in array.shape:
        raise ShapeError(
            f"{name} has shape {array.shape}: expected at least one row and one column"
        )
    return array


def masked(cost: Any, mask: Any) -> Any:
    """The cost with +inf where the mask forbids a pair, in kind; as it is without a mask.

    Args:
        cost: (n, m) or (batch, n, m).
        mask: Booleans of the shape of one cost or of all of them, True where mass may go; None: it
            may go everywhere.

    Raises:
        ArgumentTypeError: What is no array of booleans.
        ShapeError: Another shape.
    """
    if mask is None:
        return cost
    allowed = np.asarray(mask.detach().cpu() if is_torch(mask) else mask)
    if allowed.dtype != bool:
        raise ArgumentTypeError(
            f"mask: got an array of {allowed.dtype}, expected booleans, True where mass may go"
        )
    shape = tuple(np.shape(cost))
    if allowed.shape not in (shape, shape[-2:]) and allowed.shape[1:] != shape:
        raise ShapeError(f"mask has shape {allowed.shape}, expected {shape} as cost has")
    if is_torch(cost):
        import torch

        return torch.where(torch.from_numpy(allowed).to(cost.device), cost, torch.inf)
    return np.where(allowed, cost, np.inf)


def whole_numbers(
    value: Any, name: str, n: int | None = None, below: int | None = None
) -> Int[np.ndarray, " n"]:
    """An array of whole numbers, of floats too where they are whole.

    Args:
        value: (n,).
        name: The argument, as its user knows it.
        n: How many there must be; None: any number.
        below: They must be from 0 to below - 1; None: any.

    Raises:
        ArgumentTypeError: What is no whole number.
        ShapeError: Another length, or more than one axis.
        ArgumentError: Out of range.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(f"{name}: expected whole numbers ({error})") from None
    if array.dtype.kind not in "iu" and not (
        array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.round(array)).all()
    ):
        raise ArgumentTypeError(f"{name}: got an array of {array.dtype}, expected whole numbers")
    if array.ndim != 1 or (n is not None and len(array) != n):
        raise ShapeError(f"{name} has shape {array.shape}, expected ({'n' if n is None else n},)")
    if below is not None and len(array) and not 0 <= array.min() <= array.max() < below:
        raise ArgumentError(
            f"{name}: got numbers from {array.min()} to {array.max()}, expected 0 to {below - 1}"
        )
    return array.astype(np.int64)


def like(array: np.ndarray, given: Any) -> Any:
    """`array` in kind: torch on the device of `given` where that is torch, else NumPy.

    In the dtype of `given` where that is a float type.
    """
    if is_torch(given):
        import torch

        dtype = given.dtype if given.dtype.is_floating_point else torch.float64
        return torch.from_numpy(np.ascontiguousarray(array)).to(device=given.device, dtype=dtype)
    kind = getattr(given, "dtype", None)
    return (
        array.astype(kind, copy=False) if kind is not None and np.dtype(kind).kind == "f" else array
    )
