"""Ready-made transport problems with a cap.

Point clouds, histograms, colours of two photographs, tokens and experts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import UnknownName, nearest
from ..photographs import photograph
from .problem import SparseTransport

if TYPE_CHECKING:
    from jaxtyping import Float


def _squared(x: Float[np.ndarray, "m d"], y: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "m n"]:
    """Squared distances with largest 1."""
    cost = ((x[:, None] - y) ** 2).sum(2)
    return cost / cost.max()


def sparse_clouds(n: int = 32, k: int = 4, gamma: float = 1.0, seed: int = 0) -> SparseTransport:
    """Two standard normal clouds of 32 points in the plane, at most 4 partners a point.

    The costs are squared distances with largest 1.

    Args:
        n: Points of each.
        k: Partners at most.
        gamma: Strength of the quadratic term.
        seed: Of the points.
    """
    rng = np.random.default_rng(seed)
    return SparseTransport(
        None,
        None,
        _squared(rng.normal(size=(n, 2)), rng.normal(size=(n, 2))),
        k,
        gamma,
        name="sparse-clouds",
    )


def sparse_histograms(
    n: int = 32, k: int = 8, gamma: float = 1.0, seed: int = 0
) -> SparseTransport:
    """One hump on 32 bins to two, at most 8 partners a bin.

    Centred as in POT's examples, of random widths, over a floor of 1 % of the mass; squared
    distances with largest 1.

    Args:
        n: Bins.
        k: Partners at most.
        gamma: Strength of the quadratic term.
        seed: Of the widths.
    """
    rng = np.random.default_rng(seed)
    bins = np.linspace(0, 1, n)

    def hump(centre: float, narrowest: float) -> Float[np.ndarray, " n"]:
        found = np.exp(-((bins - centre) ** 2) / (2 * rng.uniform(narrowest, 0.1) ** 2))
        return 0.99 * found / found.sum() + 0.01 / n

    return SparseTransport(
        hump(0.2, 0.05),
        0.6 * hump(0.6, 0.02) + 0.4 * hump(0.8, 0.05),
        _squared(bins[:, None], bins[:, None]),
        k,
        gamma,
        name="sparse-histograms",
    )


def sparse_routing(
    tokens: int = 256, experts: int = 8, gamma: float = 1.0, seed: int = 0
) -> SparseTransport:
    """256 tokens to 8 experts of 32 places.

    The cost is minus the softmax of random logits in which some experts are likelier than others.

    Args:
        tokens: How many.
        experts: How many.
        gamma: Strength of the quadratic term.
        seed: Of the logits.
    """
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(tokens, experts)) + 0.7 * rng.normal(size=experts)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    share = tokens / experts
    return SparseTransport(
        np.ones(tokens),
        np.full(experts, share),
        -odds / odds.sum(axis=1, keepdims=True),
        int(np.ceil(share)),
        gamma,
        name="sparse-routing",
    )


def sparse_colours(n: int = 64, k: int = 8, gamma: float = 1.0) -> SparseTransport:
    """Colours of a photograph of a flower to those of a temple, at most 8 partners a colour.

    64 colours of each; the photographs are scikit-learn's.
    """
    (x, a), (y, b) = (palette(photograph(name), n) for name in ("flower.jpg", "china.jpg"))
    return SparseTransport(a, b, _squared(x, y), k, gamma, name="sparse-colours")


def palette(
    image: Float[np.ndarray, "height width 3"], n: int
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
    """n colours of an image, by K-means, and the share of the pixels that are nearest to each.

    Args:
        image: (height, width, 3).
        n: How many.

    Returns:
        (n, 3) colours and (n,) shares.
    """
    from sklearn.cluster import KMeans

    found = KMeans(n, n_init=1, random_state=0).fit(image.reshape(-1, 3))
    return found.cluster_centers_, np.bincount(found.labels_, minlength=n) / len(found.labels_)


PROBLEMS: dict[str, Callable[..., SparseTransport]] = {
    "sparse-clouds": sparse_clouds,
    "sparse-histograms": sparse_histograms,
    "sparse-routing": sparse_routing,
    "sparse-colours": sparse_colours,
}
"""Ready-made problems: name -> factory."""


def get(name: str, **options: object) -> SparseTransport:
    """A ready-made problem by name: ``get("sparse-clouds", k=4)``.

    Args:
        name: As in `PROBLEMS`.
        **options: Arguments of its factory.

    Raises:
        UnknownName: No problem of this name.
    """
    if name not in PROBLEMS:
        raise UnknownName(
            f"no problem of capped transport is called {name!r}: {nearest(name, PROBLEMS)}"
        )
    return partial(PROBLEMS[name], **options)()
