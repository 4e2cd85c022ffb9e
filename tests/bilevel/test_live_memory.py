"""What is counted as alive: storages, as long as a tensor, a view or a graph holds them."""

from __future__ import annotations

import torch

from feasible.bilevel.live_memory import LiveMemory

SIZE = 8000
"""Bytes of 1000 entries."""


def made(**more):
    return torch.ones(1000, dtype=torch.float64, **more)


def test_a_storage_is_counted_once_and_until_its_last_view_is_gone():
    with LiveMemory() as memory:
        whole = made()
        view = whole.view(10, 100)
        assert memory.now == SIZE
        del whole
        assert memory.now == SIZE
        del view
        assert memory.now == 0
        assert memory.peak == SIZE


def test_what_a_graph_keeps_is_alive_and_what_it_drops_is_not():
    with LiveMemory() as memory:
        x = made(requires_grad=True)
        y = (2 * x).exp()  # exp keeps its value, the product nothing
        assert memory.now == 2 * SIZE
        total = y.sum()
        del y
        assert memory.now == 2 * SIZE + 8
        del total
        assert memory.now == SIZE


def test_the_peak_is_that_since_it_was_set_to_0():
    with LiveMemory() as memory:
        for _ in range(5):
            made()
        assert memory.peak == SIZE
        memory.peak = 0
        made()
        assert memory.peak == SIZE
