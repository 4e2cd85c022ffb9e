"""Ready partitions of a data set among clients, and how unlike the parts are.

Every row goes to exactly one client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.annotations import checked
from ..core.checks import fraction, generator, naming, numbers, real, whole
from ..core.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Int

    Parts = list[Int[np.ndarray, " rows"]]

TRIES = 100
"""Draws after which a least size is given up."""


def _classes(labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes of labels, and each row's."""
    given = labels if np.asarray(labels).dtype.kind in "US" else numbers("labels", labels)
    found = np.asarray(given)
    if found.ndim != 1 or not len(found):
        raise ShapeError(f"labels have shape {found.shape}: expected (n,), n >= 1")
    return np.unique(found, return_inverse=True)


@checked
def split_at_random(n: int, clients: int, seed: int = 0) -> Parts:
    """Split rows at random into parts whose sizes differ by one at most.

    Args:
        n: Rows.
        clients: Parts.
        seed: A whole number.

    Returns:
        The rows of each client, ascending.

    Example:
        >>> [len(part) for part in split_at_random(10, 3)]
        [4, 3, 3]
    """
    n = whole("n", n, least=1, most=2**31)
    clients = whole("clients", clients, least=1, most=n)
    order = generator("seed", seed).permutation(n)
    return [np.sort(part) for part in np.array_split(order, clients)]


@checked
def split_by_label(labels: Any, clients: int, share: float = 0.5, seed: int = 0) -> Parts:
    """Give each client some of the classes, and of each class an equal part to each of its clients.

    A client has int(share K) of the K classes, dealt from random permutations of them.

    Args:
        labels: (n,) the class of each row.
        clients: Parts.
        share: Of the classes that a client has, in (0, 1].
        seed: A whole number.

    Returns:
        The rows of each client, ascending.

    Raises:
        ArgumentError: A client would have no class, or a class no client.
    """
    classes, row_class = _classes(labels)
    clients = whole("clients", clients, least=1, most=len(row_class))
    each = int(fraction("share", share, zero=False) * len(classes))
    if not each:
        raise ArgumentError(
            f"share={share:g}: of {len(classes)} classes a client would have none, expected more"
        )
    if each * clients < len(classes):
        raise ArgumentError(
            f"share={share:g}: {clients} clients of {each} classes leave some of {len(classes)} "
            "without a client"
        )
    rng = generator("seed", seed)
    deck: list[int] = []
    owners: list[list[int]] = [[] for _ in classes]
    for client in range(clients):
        held: list[int] = []
        while len(held) < each:
            fresh = [c for c in deck if c not in held]
            if not fresh:
                deck += [int(c) for c in rng.permutation(len(classes))]
                continue
            deck.remove(fresh[0])
            held.append(fresh[0])
        for c in held:
            owners[c].append(client)
    parts: list[list[int]] = [[] for _ in range(clients)]
    for c, mine in enumerate(owners):
        rows = rng.permutation(np.flatnonzero(row_class == c))
        for client, part in zip(mine, np.array_split(rows, len(mine)), strict=True):
            parts[client] += part.tolist()
    return [np.sort(np.array(part, dtype=np.int64)) for part in parts]


@checked
def split_dirichlet(
    labels: Any, clients: int, alpha: float, least: int = 1, seed: int = 0
) -> Parts:
    """Split each class among all clients by shares ~ Dirichlet(alpha, ..., alpha).

    A small alpha makes clients unlike each other, a large one alike. Shares are drawn class by
    class, anew for all classes while a client has fewer than `least` rows.

    Args:
        labels: (n,) the class of each row.
        clients: Parts.
        alpha: > 0.
        least: Rows that each client has at least.
        seed: A whole number.

    Returns:
        The rows of each client, ascending.

    Raises:
        ArgumentError: More rows are needed than there are, or the least size was not met in 100
            draws.
    """
    classes, row_class = _classes(labels)
    clients = whole("clients", clients, least=1, most=len(row_class))
    alpha = real("alpha", alpha, above=0, most=1e12)
    least = whole("least", least, least=0)
    if least * clients > len(row_class):
        raise ArgumentError(
            f"least={least}: {clients} clients need {least * clients} rows, there are "
            f"{len(row_class)}"
        )
    rng = generator("seed", seed)
    for _ in range(TRIES):
        parts: list[list[int]] = [[] for _ in range(clients)]
        for c in range(len(classes)):
            rows = rng.permutation(np.flatnonzero(row_class == c))
            shares = rng.dirichlet(np.full(clients, alpha))
            if not np.isfinite(shares).all():  # all of them underflowed
                shares = np.eye(clients)[rng.integers(clients)]
            ends = np.round(np.cumsum(shares)[:-1] * len(rows)).astype(int)
            for part, more in zip(parts, np.split(rows, ends), strict=True):
                part += more.tolist()
        if min(map(len, parts)) >= least:
            return [np.sort(np.array(part, dtype=np.int64)) for part in parts]
    raise ArgumentError(
        f"least={least}: not met in {TRIES} draws with alpha={alpha:g} and {clients} clients; "
        "expected a larger alpha or a smaller size"
    )


def unlikeness(labels: Any, parts: Parts) -> float:
    """Return how unlike the parts are: the mean total variation between a part's classes and all.

    Args:
        labels: (n,) the class of each row.
        parts: The rows of each client; empty ones are left out.

    Example:
        >>> unlikeness([0, 0, 1, 1], [np.array([0, 1]), np.array([2, 3])])
        0.5
    """
    classes, row_class = _classes(labels)
    with naming("parts"):
        rows = [np.asarray(part) for part in parts]
        if any(part.ndim != 1 or (part.size and part.dtype.kind not in "iu") for part in rows):
            raise ArgumentError("parts: expected a list of arrays of whole numbers")
        for part in rows:
            if part.size and not (part.min() >= 0 and part.max() < len(row_class)):
                raise ArgumentError(f"parts: expected rows from 0 to {len(row_class) - 1}")
    whole_law = np.bincount(row_class, minlength=len(classes)) / len(row_class)
    found = [
        np.abs(np.bincount(row_class[part], minlength=len(classes)) / len(part) - whole_law).sum()
        for part in rows
        if len(part)
    ]
    return float(np.mean(found)) / 2 if found else 0.0
