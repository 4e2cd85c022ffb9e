"""Theory's covariances: closed forms, Lyapunov equations written out, and simulated walks."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from scipy import linalg

from feasible.core.errors import ArgumentError, ShapeError
from feasible.networks import (
    SelfRepellentWalk,
    asymptotic_covariance,
    occupation_covariance,
    token_sgd,
)
from feasible.networks.sa_srrw import Chain, NodeLosses
from feasible.networks.sa_srrw.instances import plain_graph, token_mean

DIGITS = {"rtol": 1e-10, "atol": 1e-13}
CHAIN = Chain.of(plain_graph("karate"), target=dict(enumerate(np.linspace(1, 2, 34))))


def noise(d: int = 3) -> np.ndarray:
    """Gradients at theta* of a problem of d unknowns, whose mean is 0."""
    H = np.random.default_rng(5).standard_normal((34, d))
    return H - CHAIN.mu @ H


HESSIAN = np.array([[2.0, 0.3, 0.0], [0.3, 1.5, -0.2], [0.0, -0.2, 0.9]])


def noise_of_visits() -> np.ndarray:
    """The long-run covariance of the base chain's visits, by its fundamental matrix."""
    P, mu, n = CHAIN.P.toarray(), CHAIN.mu, 34
    Z = np.linalg.inv(np.eye(n) - P + np.outer(np.ones(n), mu))
    D = np.diag(mu)
    return D @ Z + Z.T @ D - D - np.outer(mu, mu)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("a", [0.8, 1.0])
def test_the_covariance_of_visits_solves_its_lyapunov_equation(alpha, a):
    P = CHAIN.P.toarray()
    drift = -alpha * (np.eye(34) + P.T) - np.eye(34) + 0.5 * (a == 1) * np.eye(34)
    V = occupation_covariance(CHAIN.P, CHAIN.mu, alpha, a)
    np.testing.assert_allclose(drift @ V + V @ drift.T, -noise_of_visits(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(V.sum(axis=0), 0, atol=1e-12)


def test_on_a_complete_graph_with_loops_visits_spread_by_one_number():
    n, alpha = 6, 2.5  # lambda_i = 0, so s_i = 1 and k_i = alpha + 1
    V = occupation_covariance(np.full((n, n), 1 / n), np.ones(n), alpha, 1.0)
    tangent = np.eye(n) - 1 / n
    np.testing.assert_allclose(V, tangent / n / (2 * alpha + 1), **DIGITS)


@pytest.mark.parametrize("b", [0.8, 0.9])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 4.0])
def test_cases_i_and_iii_solve_their_lyapunov_equations(alpha, b):
    H, P = noise(), CHAIN.P.toarray()
    B, V0 = -HESSIAN, noise_of_visits()
    inner = np.linalg.inv(alpha * (np.eye(34) + P.T) + np.eye(34))  # -> 1 / k_i
    for case, U in (("i", H.T @ inner @ V0 @ inner.T @ H), ("iii", H.T @ V0 @ H)):
        V = asymptotic_covariance(CHAIN.P, CHAIN.mu, H, HESSIAN, alpha, case, b)
        np.testing.assert_allclose(V, linalg.solve_continuous_lyapunov(B, -U), rtol=1e-9)


@pytest.mark.parametrize("b", [0.9, 1.0])
@pytest.mark.parametrize("alpha", [0.0, 0.7, 5.0])
def test_case_ii_is_a_block_of_the_coupled_equation_of_visits_and_theta(alpha, b):
    H, P, d = noise(), CHAIN.P.toarray(), 3
    shift = 0.5 * (b == 1)
    pull = alpha * (np.eye(34) + P.T)
    drift = np.block(
        [
            [-pull - np.eye(34) + shift * np.eye(34), np.zeros((34, d))],
            [-H.T @ pull, -HESSIAN + shift * np.eye(d)],
        ]
    )
    both = np.vstack([np.eye(34), H.T])
    whole = linalg.solve_continuous_lyapunov(drift, -both @ noise_of_visits() @ both.T)
    V = asymptotic_covariance(CHAIN.P, CHAIN.mu, H, HESSIAN, alpha, "ii", b)
    np.testing.assert_allclose(V, whole[34:, 34:], rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0, 40.0])
def test_of_one_unknown_all_cases_have_a_closed_form(alpha):
    P, g, h = [[0.7, 0.3], [0.3, 0.7]], 1.3, 0.8
    lam = 0.4
    s, k = (1 + lam) / (1 - lam), alpha * (1 + lam) + 1
    expected = {
        "i": s * g**2 / k**2 / (2 * h),
        "ii": s * g**2 * (k * h + 1) / (k * (h + k)) / (2 * h),
        "iii": s * g**2 / (2 * h),
        "iid": g**2 / (2 * h),
    }
    for case, value in expected.items():
        V = asymptotic_covariance(P, [3, 3], [g, -g], h, alpha, case)
        np.testing.assert_allclose(V, [[value]], rtol=1e-10)


def test_more_repulsion_is_less_covariance_in_every_direction():
    found = {
        alpha: asymptotic_covariance(CHAIN.P, CHAIN.mu, noise(), HESSIAN, alpha)
        for alpha in (0, 1, 2, 5, 10)
    }
    for less, more in zip((0, 1, 2, 5), (1, 2, 5, 10), strict=True):
        assert np.linalg.eigvalsh(found[less] - found[more]).min() > 0
    base = asymptotic_covariance(CHAIN.P, CHAIN.mu, noise(), HESSIAN, 10, "iii")
    np.testing.assert_allclose(base, found[0])


def test_the_covariance_falls_like_the_square_of_the_repulsion_in_case_i():
    def slope(case):
        V = [
            asymptotic_covariance(CHAIN.P, CHAIN.mu, noise(1), 1.0, alpha, case)[0, 0]
            for alpha in (10, 100)
        ]
        return np.log10(V[1] / V[0])

    assert slope("i") == pytest.approx(-2, abs=0.15)
    assert slope("ii") == pytest.approx(-1, abs=0.15)


@pytest.mark.parametrize(("a", "b", "case"), [(0.6, 0.9, "i"), (0.8, 0.8, "ii"), (0.9, 0.6, "iii")])
def test_simulated_tokens_spread_as_theory_says(a, b, case):
    problem, hops, walkers = token_mean(), 20_000, 150
    H = -problem.losses.gradients(problem.solution)
    for alpha in (0.0, 0.5):
        walk = SelfRepellentWalk(problem.graph, alpha=alpha, a=a, seed=100)
        found = token_sgd(problem.losses, walk, 1.0, hops, b=b, n_walkers=walkers)
        scaled = (found.thetas**2).mean() * (hops + 1.0) ** b
        chain = walk.chain
        V = asymptotic_covariance(chain.P, chain.mu, H, 1.0, alpha, case)[0, 0]
        assert 0.6 < scaled / V < 1.7  # 150 walks: +- 23 % at two standard errors, and finite hops


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"H_star": np.ones(2)}, ArgumentError, "H_star: its mean under mu is 1"),
        ({"H_star": np.ones(3)}, ShapeError, "H_star has shape"),
        ({"hess": np.eye(2)}, ShapeError, "hess has shape"),
        ({"hess": -1.0}, ArgumentError, "hess: its least eigenvalue"),
        ({"hess": 0.5, "b": 1.0}, ArgumentError, "not above 0.5"),
        ({"case": "iv"}, ArgumentError, "case='iv'"),
        ({"alpha": -1.0}, ArgumentError, "alpha=-1"),
        ({"P": [[0.9, 0.1], [0.2, 0.8]]}, ArgumentError, "not reversible"),
        ({"P": np.ones((2, 3))}, ShapeError, r"P has shape \(2, 3\)"),
        ({"mu": [1.0, -1.0]}, ArgumentError, "mu=-1 of node 1"),
    ],
)
def test_what_is_refused_is_named(given, error, said):
    call = {"P": np.full((2, 2), 0.5), "mu": [1, 1], "H_star": [1.0, -1.0], "hess": 1.0}
    with pytest.raises(error, match=said):
        asymptotic_covariance(**(call | {"alpha": 1.0} | given))


def test_logistic_losses_are_minimised_where_their_gradient_is_zero():
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((30, 4)), rng.choice([-1.0, 1.0], 30)
    losses, mu = NodeLosses(z, y, "logistic", ridge=0.1), rng.dirichlet(np.ones(30))
    theta = losses.solution(mu)
    assert np.linalg.norm(mu @ losses.gradients(theta)) < 1e-12
    steps = 1e-5 * np.eye(4)
    difference = [(losses.value(theta + e, mu) - losses.value(theta - e, mu)) / 2e-5 for e in steps]
    np.testing.assert_allclose(difference, mu @ losses.gradients(theta), atol=1e-9)
    bend = [mu @ (losses.gradients(theta + e) - losses.gradients(theta - e)) / 2e-5 for e in steps]
    np.testing.assert_allclose(bend, losses.hessian(theta, mu), atol=1e-8)


def test_a_disconnected_network_is_refused_by_component_sizes():
    with pytest.raises(ArgumentError, match="2 components of 3, 2 nodes"):
        Chain.of(nx.disjoint_union(nx.path_graph(3), nx.path_graph(2)))
