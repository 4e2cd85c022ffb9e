"""The acquisition under the network and under Gaussian processes."""

import numpy as np
import torch

from feasible.blackbox.pfn_cbo.by_network import NetworkSurrogate
from feasible.blackbox.pfn_cbo.columns import Columns, constrained
from feasible.blackbox.pfn_cbo.pfn import PFN
from feasible.blackbox.pfn_cbo.search import NetworkSearch, begin, record

torch.set_num_threads(1)


def posed(seed=0, n=25, m=2):
    rng = np.random.default_rng(seed)
    u = rng.random((n, 3))
    return u, constrained(
        ((u - 0.3) ** 2).sum(1), np.stack([0.5 - u[:, j] for j in range(m)], axis=1)
    )


def test_cei_is_the_product_of_improvement_and_probabilities():
    u, c = posed()
    q = np.random.default_rng(9).random((7, 3))
    p = PFN.load("small").predict(
        torch.from_numpy(u), torch.from_numpy(c.values), torch.from_numpy(q)
    )
    ei, pf = p.ei(torch.from_numpy(c.thresholds))[0], p.pi(torch.from_numpy(c.thresholds))[1:]
    none = np.zeros((0, 3))
    np.testing.assert_allclose(
        np.exp(NetworkSurrogate.of(PFN.load("small"), c, u, none, False).score(q)),
        ei * pf.prod(0),
        rtol=1e-4,
    )
    plus = np.exp(NetworkSurrogate.of(PFN.load("small"), c, u, none, True).score(q))
    np.testing.assert_allclose(plus, ei * (2 * pf).clamp_max(1).prod(0), rtol=1e-4)
    sure = (pf >= 0.5).all(0).numpy()
    np.testing.assert_allclose(plus[sure], ei[sure], rtol=1e-4)


def test_constraints_known_at_fewer_points_have_a_pass_of_their_own():
    u, c = posed()
    c.values[2, :5] = np.nan
    surrogate = NetworkSurrogate.of(PFN.load("small"), c, u, np.zeros((0, 3)), False)
    assert len(surrogate.parts) == 2
    assert np.isfinite(surrogate.score(u[:3])).all()


def test_an_open_point_is_avoided():
    """At the place that would be proposed next, an open proposal lowers the expected
    improvement."""
    u, c = posed()
    c = Columns(c.values[:1], c.thresholds[:1], True)
    q = np.random.default_rng(3).random((200, 3))
    model = PFN.load("small")
    free = NetworkSurrogate.of(model, c, u, np.zeros((0, 3)), False).score(q)
    best = q[free.argmax()][None]
    assert (
        NetworkSurrogate.of(model, c, u, np.repeat(best, 3, 0), False).score(best)[0] < free.max()
    )


def test_processes_agree_with_botorch_on_the_constrained_improvement():
    from botorch.acquisition.analytic import LogExpectedImprovement

    from feasible.blackbox.pfn_cbo.by_process import ProcessSurrogate

    u, c = posed(n=12, m=1)
    q = np.random.default_rng(9).random((5, 3))
    cei = ProcessSurrogate.of(
        "gp-cei", c, u, np.zeros((0, 3)), plus=False, restarts=1, raw=4, seed=0
    )
    plus = ProcessSurrogate.of(
        "gp-cei", c, u, np.zeros((0, 3)), plus=True, restarts=1, raw=4, seed=0
    )
    x = torch.from_numpy(q)[:, None]
    with torch.no_grad():
        ei = LogExpectedImprovement(plus.acquisition.models[0], best_f=c.thresholds[0])(x).numpy()
        p = plus.acquisition.models[1].posterior(x)
        z = ((p.mean - c.thresholds[1]) / p.variance.sqrt())[:, 0, 0]
        log_pf = torch.special.log_ndtr(z).numpy()
    near = log_pf > -50  # BoTorch approximates the far tail
    assert near.sum() >= 3
    np.testing.assert_allclose(cei.score(q)[near], (ei + log_pf)[near], rtol=1e-3)
    np.testing.assert_allclose(plus.score(q), ei + np.minimum(0, log_pf + np.log(2)), rtol=1e-6)


def test_the_penalty_grows_by_half_after_five_stalls_and_a_success_does_not_reset_the_count():
    method = NetworkSearch("penalty", n_initial=1)
    state = begin(1, 1, np.random.default_rng(0), None)

    def told(f, g=-1.0):
        record(
            method,
            state,
            np.array([[0.5]]),
            np.array([f]),
            np.array([[g]]),
            np.array([False]),
            np.array([-1]),
        )

    told(5.0)
    assert state.stalls == 0  # the initial design does not count
    for f in (6.0, 7.0, 4.0, 6.0):
        told(f)
    assert (state.rho, state.stalls) == (1.0, 3)
    told(0.0, g=1.0)  # infeasible: a stall
    assert (state.rho, state.stalls) == (1.0, 4)
    told(6.0)
    assert (state.rho, state.stalls) == (1.5, 0)
