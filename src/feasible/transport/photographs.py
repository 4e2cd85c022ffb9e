"""The two photographs that come with scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def photograph(name: str) -> Float[np.ndarray, "height width 3"]:
    """One of the two photographs that come with scikit-learn, every fourth pixel, from 0 to 1.

    Args:
        name: "china.jpg" or "flower.jpg".

    Returns:
        (height, width, 3) red, green and blue.
    """
    from sklearn.datasets import load_sample_image

    return load_sample_image(name)[::4, ::4] / 255
