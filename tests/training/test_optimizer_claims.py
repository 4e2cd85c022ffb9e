"""What the claims of lion-k and target-surrogates compare with is right: certified minimisers, an
expert that can do it, evidence.
"""

import numpy as np
import pytest
import torch

from feasible.lab.claim import read_evidence
from feasible.training.lion_k import claim as lion_k
from feasible.training.lion_k.kappas import kappa_of
from feasible.training.target_surrogates import claim as target_surrogates


@pytest.mark.parametrize("name", lion_k.KAPPAS + lion_k.REPORTED)
def test_reference_minimisers_have_no_fenchel_gap(name):
    """The gap bounds F(x) - F* from above, so it certifies the reference without another solver."""
    q, c = lion_k.quadratic(100)
    x, kappa = lion_k.reference(q, c, name), kappa_of(name)
    z, g = torch.from_numpy(x), torch.from_numpy(q @ (x - c))
    gap = float(kappa.value(-g) + kappa.conjugate(z) + (z * g).sum())
    assert -1e-9 <= gap <= 1e-4 * float(c @ q @ c / 2)


def test_the_expert_swings_the_pendulum_up_and_holds_it():
    rng = np.random.default_rng(100)
    theta, omega = rng.uniform(-np.pi, np.pi, 20), rng.uniform(-1, 1, 20)
    for _ in range(400):
        omega = np.clip(
            omega + (15 * np.sin(theta) + 3 * target_surrogates.expert(theta, omega)) * 0.05, -8, 8
        )
        theta = theta + omega * 0.05
    assert (np.cos(theta) > 0.99).mean() >= 0.9


def test_one_gradient_a_round_is_what_both_learners_of_the_imitation_take():
    calls = []

    def counting(policy):
        learn = target_surrogates.surrogate(1.0)(policy)

        def of(x, y, t):
            calls.append(learn(x, y, t).target_calls)

        return of

    target_surrogates.imitation(100, counting, 3)
    assert calls == [1, 2, 3]


@pytest.mark.parametrize("claim", [lion_k.claim, target_surrogates.claim])
def test_evidence_is_of_the_report_seeds_at_desk_scale(claim):
    evidence = read_evidence(claim.slug)
    assert evidence is not None
    assert (evidence["scale"], evidence["seeds"][:5]) == ("desk", [0, 1, 2, 3, 4])
    assert evidence["state"] != "does not hold" or claim.why
