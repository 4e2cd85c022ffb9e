"""Designing sequences in both directions: time of 128 designs, however many rows are known, and of
closed-form losses against the same by their definition.
"""

from __future__ import annotations

import numpy as np

from .common import Figure, processor_seconds, write


def losses() -> list[Figure]:
    """The backward loss of 128 designs on 20,000 rows of 64 features, in both forms."""
    import torch

    from feasible.bilevel.bidirectional_sequence_design.losses import SHIFT, Directions

    rng = np.random.default_rng(100)
    phi, y, designs = (
        torch.as_tensor(rng.standard_normal(s)) for s in ((20_000, 64), 20_000, (128, 64))
    )
    both = Directions.of(phi, y, 1e-6, 10.0)

    def defined() -> torch.Tensor:
        scale = 10.0 / ((designs**2).sum(dim=1) * (1 + SHIFT))
        return ((y[:, None] - phi @ designs.T * scale) ** 2).mean(dim=0)

    assert torch.allclose(defined(), both.backward(designs))
    closed = processor_seconds(lambda: both.backward(designs), 5)
    ratio = closed / processor_seconds(defined, 5)
    return [Figure("backward loss, closed form over its definition, N = 20000", ratio, 0.1)]


def designs() -> list[Figure]:
    """128 designs and 100 steps on measured binding, all modes of gamma."""
    from feasible.bilevel.bidirectional_sequence_design.claim import timed
    from feasible.bilevel.bidirectional_sequence_design.instances import tfbind8

    took = timed(tfbind8(), 100)
    return [Figure("128 designs, 100 steps, d = 64, bib", took, 5.0, "s of one core")]


def run() -> list[Figure]:
    """Both parts."""
    figures = losses() + designs()
    write("sequences", figures)
    return figures
