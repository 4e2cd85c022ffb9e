"""The search outside a run, and inside BoTorch."""

import math

import numpy as np
import pytest
import torch

from feasible.blackbox.pfn_cbo import native
from feasible.blackbox.pfn_cbo.botorch import PFNModel
from feasible.blackbox.pfn_cbo.by_network import NetworkSurrogate
from feasible.blackbox.pfn_cbo.columns import Columns
from feasible.blackbox.pfn_cbo.native import ConstrainedBO
from feasible.blackbox.pfn_cbo.pfn import PFN
from feasible.blackbox.pfn_cbo.search import NetworkSearch
from feasible.blackbox.pfn_cbo.settings import ACQUISITIONS
from feasible.blackbox.problem import BlackBox
from feasible.core import errors

torch.set_num_threads(1)

FAST = {"n_initial": 4, "candidates": 64, "local": 16}


NETWORK = [NetworkSearch(acq, **FAST) for acq in ACQUISITIONS]


def disc(calls=None, **options):
    """min (x-2)^2 + (y-1)^2 in a box, inside the disc x^2 + y^2 <= 2: the optimum is (1.265,
    0.632), f = 0.67544.
    """

    def fun(x):
        if calls is not None:
            calls.append(np.array(x))
        return (x[0] - 2) ** 2 + (x[1] - 1) ** 2, [x[0] ** 2 + x[1] ** 2]

    return BlackBox(fun, [(-3, 3), (-2, 4)], limits=["<= 2"], **options)


def test_the_native_form_walks_the_same_way_as_the_method():
    opt = ConstrainedBO([(-3, 3), (-2, 4)], n_constraints=1, seed=100, method=NETWORK[0])
    problem = disc()
    state = NETWORK[0].init(problem, np.random.default_rng(100))
    for _ in range(8):
        x, p = opt.ask(), NETWORK[0].ask(problem, state)
        np.testing.assert_array_equal(x, p.x[0])
        NETWORK[0].tell(problem, state, problem.measure(p.x, np.array([-1]), p.tag))
        opt.tell(x, (x[0] - 2) ** 2 + (x[1] - 1) ** 2, [x[0] ** 2 + x[1] ** 2 - 2])
    assert len(opt.state.out) == 0
    assert opt.best is None or opt.best[1] == min(
        f for f, g in zip(opt.f, opt.state.g[:, 0], strict=True) if g <= 0
    )


def test_the_native_form_refuses_what_it_cannot_learn_from():
    opt = ConstrainedBO([(0, 1)], n_constraints=1)
    assert opt.best is None
    with pytest.raises(errors.ShapeError, match="expected \\(1,\\)"):
        opt.tell([0.5], 1.0)
    with pytest.raises(errors.NotFinite):
        opt.tell([0.5], math.nan, [0.0])
    with pytest.raises(errors.NotFinite):
        opt.tell([0.5], 1.0, [math.inf])
    with pytest.raises(errors.BoundsError):
        opt.tell([1.5], 1.0, [0.0])
    with pytest.raises(errors.ArgumentError, match="acq"):
        ConstrainedBO([(0, 1)], acq="ucb")
    with pytest.raises(errors.ArgumentError, match="n_constraints"):
        ConstrainedBO([(0, 1)], n_constraints=-1)
    with pytest.raises(errors.BoundsError):
        ConstrainedBO([(0, math.inf)])


def test_botorch_can_use_the_network():
    from botorch.acquisition.analytic import LogExpectedImprovement
    from botorch.optim import optimize_acqf

    x = torch.rand(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = -((x - 0.4) ** 2).sum(1, keepdim=True)
    model = PFNModel(x, torch.cat([y, -y], dim=1))
    posterior = model.posterior(torch.rand(3, 4, 2, dtype=torch.float64))
    assert posterior.mean.shape == posterior.variance.shape == (3, 4, 2)
    assert posterior.quantile(torch.tensor([0.1, 0.9])).shape == (2, 3, 4, 2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        samples = posterior.rsample(torch.Size([4000]))
        single = PFNModel(x, y)
        best, _ = optimize_acqf(
            LogExpectedImprovement(single, best_f=float(y.max())),
            torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64),
            q=1,
            num_restarts=1,
            raw_samples=4,
            options={"seed": 0, "maxiter": 5},
        )
    torch.testing.assert_close(samples.mean(0), posterior.mean, atol=0.02, rtol=0.1)
    assert ((best >= 0) & (best <= 1)).all()
    with pytest.raises(errors.ShapeError):
        PFNModel(x, y[:, 0])


def test_a_proposal_stays_below_a_gigabyte():
    u = np.random.default_rng(0).random((300, 18))
    values = np.random.default_rng(1).normal(size=(13, 300))
    before = _resident()
    surrogate = NetworkSurrogate.of(
        PFN.load("small"), Columns(values, np.zeros(13), True), u, np.zeros((0, 18)), False
    )
    assert np.isfinite(surrogate.score(np.random.default_rng(2).random((1000, 18)))).all()
    assert _resident() - before < 2**30


def _resident():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_the_doctest_of_the_native_form_holds():
    import doctest

    from feasible.blackbox.pfn_cbo import botorch as pfn_botorch

    for module in (native, pfn_botorch):
        assert doctest.testmod(module).failed == 0
        assert doctest.testmod(module).attempted > 0
