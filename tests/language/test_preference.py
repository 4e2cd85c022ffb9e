"""Losses on pairs of responses."""

import math

import pytest
import torch

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.language import dpo_loss, dpo_margin


def logps(*rows):
    return [torch.tensor(row, dtype=torch.float64) for row in rows]


def test_a_policy_that_is_the_reference_loses_log_2_a_pair():
    a, b = logps([-1.0, -2.0], [-3.0, -0.5])
    assert torch.allclose(
        dpo_loss(a, b, a, b, reduction="none"), torch.full((2,), math.log(2)).double()
    )


def test_the_gradient_is_beta_times_the_chance_of_being_wrong():
    a, b, c, d = logps([-1.0], [-3.0], [-2.0], [-2.5])
    a.requires_grad_()
    dpo_loss(a, b, c, d, beta=0.5).backward()
    h = dpo_margin(a.detach(), b, c, d)
    assert torch.allclose(a.grad, -0.5 * torch.sigmoid(-0.5 * h))


def test_pairs_are_summed_averaged_or_left():
    a, b = logps([-1.0, -2.0], [-3.0, -0.5])
    each = dpo_loss(a, b, b, b, reduction="none")
    assert torch.isclose(dpo_loss(a, b, b, b, reduction="sum"), each.sum())
    assert torch.isclose(dpo_loss(a, b, b, b), each.mean())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"rejected": torch.zeros(3)}, ShapeError),
        ({"chosen": torch.zeros(2, 1)}, ShapeError),
        ({"ref_chosen": torch.tensor([math.nan, 0.0])}, NotFinite),
        ({"chosen": [0.0, 0.0]}, ArgumentTypeError),
        ({"beta": 0.0}, ArgumentError),
        ({"reduction": "median"}, ArgumentError),
    ],
)
def test_bad_arguments_are_named(change, error):
    given = {n: torch.zeros(2) for n in ("chosen", "rejected", "ref_chosen", "ref_rejected")}
    with pytest.raises(error, match=next(iter(change))):
        dpo_loss(**{**given, **change})
