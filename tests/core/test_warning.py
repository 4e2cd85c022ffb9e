"""A warning shows the user's own line, however deep below it the cause is."""

from __future__ import annotations

import warnings

import pytest
import torch

from feasible import blackbox, training, transport


def steps_past_the_end():
    """Make one step more than a schedule has."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    schedule = training.UBA(optimizer, total_steps=1)
    optimizer.step()
    schedule.step()
    schedule.step()


CALLS = {
    "a function": lambda: transport.sinkhorn_newton(
        [0.5, 0.5], [0.3, 0.7], [[0, 1], [1, 0]], 1e-3, mode="paper", max_newton=1, n_sinkhorn=1
    ),
    "a method of a class": lambda: transport.TransductiveClustering(n_neighbors=2).fit(
        [[1, 0.1], [1, 0.2], [0.1, 1], [0.2, 1]], [1, -1, -1, -1]
    ),
    "what torch calls": steps_past_the_end,
    "what checks its arguments": lambda: blackbox.minimize(
        lambda x: x[0] ** 2, [0.5], jac=lambda x: 2 * x, maxfev=5
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_warning_shows_the_users_line(call):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        call()
    assert said
    assert {w.filename for w in said} == {__file__}
