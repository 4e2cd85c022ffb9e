"""Lion-K on functions of NumPy vectors, against the solutions of the composite problem."""

import numpy as np
import pytest
import torch
from lions import RATES, VECTOR

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.training import lion_k_minimize
from feasible.training.lion_k.kappas import kappa_of


@pytest.mark.parametrize(
    ("kappa", "lam", "x"),
    [
        ("l1", 1.0, 1.0),
        ("l1", 0.2, 3.0),
        ("huber[e=0.5]", 0.2, 3 / 1.1),
        ("huber[e=0.5]", 1.0, 1.0),
        ("soft[e=0.7]", 0.2, 2.3),
        ("soft[e=0.7]", 1.0, 1.0),
        ("quadratic", 0.5, 2.0),
        ("l2", 0.5, 2.0),
    ],
)
def test_the_limit_in_one_dimension_is_that_of_the_composite_problem(kappa, lam, x):
    found = lion_k_minimize(
        lambda x: ((x - 3) ** 2).sum() / 2,
        lambda x: x - 3,
        np.zeros(1),
        lam,
        kappa,
        RATES,
        len(RATES),
    )
    assert found.x[0] == pytest.approx(x, abs=2e-3)
    assert found.violation <= 1e-9


@pytest.mark.parametrize("kappa", ["l1", "l2", "lp[p=1.5]", "linf", "topk[k=2]"])
def test_a_linear_function_is_minimised_at_the_support_point(kappa):
    g, lam = np.array([1.0, -3.0, 2.0, 0.5]), 0.5
    found = lion_k_minimize(lambda x: g @ x, lambda x: g, np.zeros(4), lam, kappa, 0.1, 1000)
    k = kappa_of(kappa)
    assert np.allclose(found.x, -k.subgrad(torch.from_numpy(g)).numpy() / lam, atol=1e-9)
    assert found.value == pytest.approx(-float(k.value(torch.from_numpy(g))) / lam)
    assert found.fenchel_gap == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("kappa", VECTOR)
def test_the_fenchel_gap_goes_to_zero_on_a_quadratic(kappa):
    rng = np.random.default_rng(100)
    a = rng.normal(size=(6, 6))
    q, c = a.T @ a / 6 + 0.1 * np.eye(6), rng.normal(size=6) * 3
    found = lion_k_minimize(
        lambda x: (x - c) @ q @ (x - c) / 2,
        lambda x: q @ (x - c),
        np.zeros(6),
        1.0,
        kappa,
        RATES,
        len(RATES),
        check_every=len(RATES),
    )
    first, last = found.history["fenchel_gap"]
    assert -1e-12 <= last <= (0.02 if kappa == "linf" else 2e-3) * first
    assert found.violation <= 1e-9


def test_a_tolerance_on_the_gap_ends_it_early_and_says_so():
    found = lion_k_minimize(
        lambda x: ((x - 3) ** 2).sum(),
        lambda x: 2 * (x - 3),
        np.zeros((2, 2)),
        kappa="quadratic",
        lr=0.1,
        steps=5000,
        tol=1e-6,
    )
    assert found.converged
    assert found.n_iter < 5000
    assert "within the tolerance" in found.message
    assert found.x.shape == (2, 2)
    assert np.allclose(found.x, 2, atol=1e-2)
    assert found.history["step"][-1] == found.n_iter


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"lam": 0}, ArgumentError, "lam=0"),
        ({"lr": [0.1]}, ShapeError, "expected one rate or"),
        ({"steps": 0}, ArgumentError, "steps=0"),
        ({"x0": np.array([np.nan])}, NotFinite, "x0"),
        ({"grad": lambda x: np.ones(3)}, ShapeError, r"grad gave shape \(3,\)"),
        ({"f": 3}, ArgumentTypeError, "f=3: expected a function"),
        ({"grad": lambda x: x * np.nan}, NotFinite, "in step 0"),
        ({"lr": -1.0}, ArgumentError, "lr=-1"),
        ({"tol": -1}, ArgumentError, "tol=-1"),
    ],
)
def test_the_function_form_refuses_what_makes_no_sense(change, error, said):
    with pytest.raises(error, match=said):
        lion_k_minimize(
            **{"f": lambda x: 0.0, "grad": lambda x: x, "x0": np.zeros(2), "steps": 5, **change}
        )
