"""Ready-made problems of entropic transport.

Random assignments, pairs of images, point clouds, colours of two photographs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...core.checks import one_of, real, whole
from ...core.errors import UnknownName, nearest
from ..photographs import photograph
from .point_clouds import cost_of_points
from .problem import EntropicTransport

if TYPE_CHECKING:
    from jaxtyping import Float


def random_assignment(n: int = 500, eta: float = 1200.0, seed: int = 0) -> EntropicTransport:
    """The paper's random linear assignment: costs uniform in [0, 1] and uniform masses.

    Args:
        n: Rows and columns; the paper's 500.
        eta: 1 / reg, with costs scaled to a largest of 1; the paper's 1200.
        seed: Of the costs.
    """
    cost = np.random.default_rng(seed).random((whole("n", n, least=1), n))
    return EntropicTransport(
        None, None, cost / cost.max(), 1 / real("eta", eta, above=0), name="random-assignment"
    )


def random_assignment_2000(eta: float = 1200.0, seed: int = 0) -> EntropicTransport:
    """The same with 2,000 x 2,000 costs."""
    found = random_assignment(2000, eta, seed)
    found.name = "random-assignment-2000"
    return found


def planted_assignment(n: int = 200, eta: float = 1e4, seed: int = 0) -> EntropicTransport:
    """Costs of at most 0.01 on the diagonal and at least 1 elsewhere.

    The plan is I / n to within exp(-0.99 eta).

    Args:
        n: Rows and columns.
        eta: 1 / reg.
        seed: Of the costs.
    """
    noise = np.random.default_rng(seed).random((whole("n", n, least=1), n)) * 0.01
    cost = 1 - np.eye(n) + noise
    reg = 1 / real("eta", eta, above=0)
    return EntropicTransport(
        None,
        None,
        cost,
        reg,
        name="planted-assignment",
        best_known=float(noise.diagonal().mean()) - reg * np.log(n),
    )


def additive_cost(n: int = 40, m: int = 30, eta: float = 50.0, seed: int = 0) -> EntropicTransport:
    """Cost u_i + v_j and random masses: the plan is a b' at every eta, the value a closed form.

    Args:
        n: Rows.
        m: Columns.
        eta: 1 / reg.
        seed: Of costs and masses.
    """
    rng = np.random.default_rng(seed)
    u, v, a, b = rng.random(n), rng.random(m), rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    value = a @ u + b @ v + (a @ np.log(a) + b @ np.log(b)) / eta
    return EntropicTransport(
        a, b, u[:, None] + v, 1 / eta, name="additive-cost", best_known=float(value)
    )


def density(side: int, rng: np.random.Generator) -> Float[np.ndarray, "side side"]:
    """A generated image of mass 1.

    Noise under a Gaussian filter of a tenth of the side, scaled to [0, 1], cubed, shifted by 0.01.
    """
    from scipy.ndimage import gaussian_filter

    image = gaussian_filter(rng.random((side, side)), side / 10)
    image = ((image - image.min()) / np.ptp(image)) ** 3 + 0.01
    return image / image.sum()


def image_pair(
    side: int = 28, ground: str = "sqeuclidean", eta: float = 1200.0, seed: int = 0
) -> EntropicTransport:
    """Two generated 28 x 28 images, of the size of the paper's MNIST pairs.

    Args:
        side: Pixels of a side.
        ground: Distance of pixels: "sqeuclidean", "cityblock" or "euclidean", with the side as
            unit, scaled to a largest of 1.
        eta: 1 / reg; the paper's 1200.
        seed: Of the images.
    """
    rng = np.random.default_rng(seed)
    return _images(
        density(whole("side", side, least=2), rng), density(side, rng), ground, eta, "image-pair"
    )


def image_pair_l1(side: int = 28, eta: float = 1200.0, seed: int = 0) -> EntropicTransport:
    """The same with city-block distances, which have many optimal plans."""
    found = image_pair(side, "cityblock", eta, seed)
    found.name = "image-pair-l1"
    return found


def photo_pair(
    side: int = 28, ground: str = "sqeuclidean", eta: float = 1200.0
) -> EntropicTransport:
    """scikit-learn's two photographs, in grey, averaged to 28 x 28 pixels.

    Args:
        side: Pixels of a side.
        ground: Distance of pixels, as in `image_pair`.
        eta: 1 / reg.
    """
    from scipy.ndimage import zoom

    def grey(name: str) -> Float[np.ndarray, "side side"]:
        image = photograph(name).mean(axis=2)
        small = (
            np.maximum(
                zoom(
                    image,
                    (side / image.shape[0], side / image.shape[1]),
                    order=1,
                    grid_mode=True,
                    mode="nearest",
                ),
                0,
            )
            + 0.01
        )
        return small / small.sum()

    return _images(grey("china.jpg"), grey("flower.jpg"), ground, eta, "photo-pair")


def _images(
    p: Float[np.ndarray, "s s"], q: Float[np.ndarray, "s s"], ground: str, eta: float, name: str
) -> EntropicTransport:
    """The transport of one image to another under a distance of their pixels."""
    one_of("ground", ground, ("sqeuclidean", "cityblock", "euclidean"))
    points = np.stack([i.ravel() for i in np.indices(p.shape)], axis=1) / len(p)
    cost = cost_of_points(points, points, ground)
    return EntropicTransport(
        p.ravel(), q.ravel(), cost / cost.max(), 1 / real("eta", eta, above=0), name=name
    )


def point_clouds(
    n: int = 400, m: int = 300, eta: float = 400.0, seed: int = 0
) -> EntropicTransport:
    """A normal cloud and a ring in the plane, squared distances with largest 1.

    Args:
        n: Points of the cloud.
        m: Points of the ring.
        eta: 1 / reg.
        seed: Of the points.
    """
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * rng.random(m)
    ring = 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.2 * rng.normal(size=(m, 2))
    cost = cost_of_points(rng.normal(size=(n, 2)), ring)
    return EntropicTransport(
        None, None, cost / cost.max(), 1 / real("eta", eta, above=0), name="point-clouds"
    )


def colours(n: int, seed: int = 0) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Colours of n pixels, without replacement, of scikit-learn's two photographs.

    Returns:
        (n, 3) red, green and blue in [0, 1], of a temple and of a flower.
    """
    rng = np.random.default_rng(seed)
    found = []
    for name in ("china.jpg", "flower.jpg"):
        pixels = photograph(name).reshape(-1, 3)
        found.append(pixels[rng.choice(len(pixels), n, replace=False)])
    return found[0], found[1]


def colour_transfer(n: int = 600, eta: float = 400.0, seed: int = 0) -> EntropicTransport:
    """Colours of 600 pixels of a photograph of a temple to 600 of that of a flower.

    Squared distances with largest 1; the photographs are scikit-learn's.

    Args:
        n: Pixels of each.
        eta: 1 / reg.
        seed: Of the pixels.
    """
    cost = cost_of_points(*colours(whole("n", n, least=1), seed))
    return EntropicTransport(
        None, None, cost / cost.max(), 1 / real("eta", eta, above=0), name="colour-transfer"
    )


PROBLEMS: dict[str, Callable[..., EntropicTransport]] = {
    "random-assignment": random_assignment,
    "random-assignment-2000": random_assignment_2000,
    "planted-assignment": planted_assignment,
    "additive-cost": additive_cost,
    "image-pair": image_pair,
    "image-pair-l1": image_pair_l1,
    "photo-pair": photo_pair,
    "point-clouds": point_clouds,
    "colour-transfer": colour_transfer,
}
"""Ready-made problems: name -> factory."""


def get(name: str, **options: object) -> EntropicTransport:
    """A ready-made problem by name: ``get("random-assignment", n=200)``.

    Args:
        name: As in `PROBLEMS`.
        **options: Arguments of its factory.

    Raises:
        UnknownName: No problem of this name.
    """
    if name not in PROBLEMS:
        raise UnknownName(
            f"no problem of entropic transport is called {name!r}: {nearest(name, PROBLEMS)}"
        )
    return partial(PROBLEMS[name], **options)()
