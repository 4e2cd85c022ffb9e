"""Constrained Bayesian optimisation with a network or Gaussian processes: its parts from their
definitions, and the contract of the room.
"""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import yeojohnson

from feasible.blackbox.pfn_cbo import claim, native
from feasible.blackbox.pfn_cbo.botorch import PFNModel
from feasible.blackbox.pfn_cbo.by_network import NetworkSurrogate
from feasible.blackbox.pfn_cbo.candidates import merit
from feasible.blackbox.pfn_cbo.columns import (
    Columns,
    constrained,
    feasible_rows,
    fill_failures,
    fit_map,
    penalised,
    psi,
)
from feasible.blackbox.pfn_cbo.native import ConstrainedBO
from feasible.blackbox.pfn_cbo.pfn import PFN
from feasible.blackbox.pfn_cbo.search import NetworkSearch, ProcessSearch, begin, record
from feasible.blackbox.pfn_cbo.settings import ACQUISITIONS
from feasible.blackbox.problem import BlackBox
from feasible.blackbox.space import Categorical, Integer, Real
from feasible.core import errors
from feasible.core.budget import Budget, Meter
from feasible.core.checkpoint import decode, encode
from feasible.core.evaluating import RunOptions
from feasible.core.run import Run, run
from feasible.lab.trials import Contest, Race, Trial

torch.set_num_threads(1)
FAST = {"n_initial": 4, "candidates": 64, "local": 16}
NETWORK = [NetworkSearch(acq, **FAST) for acq in ACQUISITIONS]
PROCESS = [ProcessSearch(acq, **FAST, restarts=1, raw=4) for acq in ACQUISITIONS]
ALL = NETWORK + PROCESS
PUBLISHED = NetworkSearch(n_initial=4, candidates=100, local=0, official=True)


def disc(calls=None, **options):
    """min (x-2)^2 + (y-1)^2 in a box, inside the disc x^2 + y^2 <= 2: the optimum is (1.265,
    0.632), f = 0.67544.
    """

    def fun(x):
        if calls is not None:
            calls.append(np.array(x))
        return (x[0] - 2) ** 2 + (x[1] - 1) ** 2, [x[0] ** 2 + x[1] ** 2]

    return BlackBox(fun, [(-3, 3), (-2, 4)], limits=["<= 2"], **options)


def go(problem, method, n, seed=100, **options):
    budget = Budget(evaluations=n)
    return run(Run(problem, method, budget, seed, Meter(budget), options=RunOptions(**options)))


# -- outputs to columns ----------------------------------------------------------------------------


@given(hnp.arrays(float, 12, elements=st.floats(-50, 50)), st.floats(-2, 4))
def test_psi_is_the_transform_of_yeo_and_johnson(z, power):
    np.testing.assert_allclose(psi(z, power), yeojohnson(z, power), rtol=1e-6, atol=1e-7)


@given(
    hnp.arrays(
        float,
        st.integers(2, 40),
        elements=st.floats(
            allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300
        ),
    ),
    st.booleans(),
)
@settings(deadline=None)
def test_the_map_is_finite_and_increasing_whatever_the_values(v, always):
    change = fit_map(v, always=always)
    t = change(v)
    assert np.isfinite(t).all()
    order = np.argsort(v)
    assert (np.diff(t[order]) >= -1e-9).all()


def test_the_power_is_the_most_likely_one():
    v = np.random.default_rng(0).lognormal(sigma=1.0, size=200)
    z = (v - v.mean()) / v.std()
    from scipy.stats import yeojohnson_normmax

    assert fit_map(v).power == pytest.approx(max(yeojohnson_normmax(z), -2.0), abs=0.02)


@given(st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
@settings(deadline=None)
def test_units_do_not_matter_when_columns_are_always_standardised(unit, shift):
    v = np.random.default_rng(1).exponential(size=30)
    np.testing.assert_allclose(
        fit_map(v)(v), fit_map(unit * (v + shift))(unit * (v + shift)), atol=1e-5
    )


def test_thresholds_are_the_images_of_zero_and_of_the_feasible_best():
    rng = np.random.default_rng(2)
    f, g = rng.normal(size=30), rng.normal(size=(30, 2))
    c = constrained(f, g)
    good = feasible_rows(f, g)
    assert c.objective
    assert c.values.shape == (3, 30)
    assert c.thresholds[0] == c.values[0][good].max()
    assert c.values[0].argmax() == f.argmin()
    for j in range(2):
        np.testing.assert_array_equal(c.values[1 + j] >= c.thresholds[1 + j], g[:, j] <= 0)
    assert constrained(f, g, anywhere=True).thresholds[0] == c.values[0].max()


def test_without_a_feasible_point_only_the_constraints_remain():
    c = constrained(np.arange(4.0), np.ones((4, 1)) + np.arange(4)[:, None])
    assert not c.objective
    assert len(c.values) == 1


def test_what_failed_is_worst_in_everything():
    f, g = fill_failures(
        np.array([1.0, np.nan, 3.0]),
        np.array([[-1.0], [np.nan], [-2.0]]),
        np.array([False, True, False]),
    )
    assert f[1] == 3.0
    assert g[1, 0] == 1e-3


def test_the_penalised_objective_follows_its_definition():
    f, g = np.array([1.0, 2.0, 3.0]), np.array([[1.0, -1.0], [-1.0, -1.0], [2.0, 1.0]])
    c = penalised(f, g, rho=10.0)
    assert c.values[0].argmax() == 1  # 1 + 10, 2, 3 + 10 * 5
    assert c.values[0].argmin() == 2
    assert c.thresholds[0] == c.values[0].max()


def test_merit_puts_feasible_points_by_value_before_others_by_violation():
    f = np.array([3.0, 1.0, 2.0, 0.0])
    g = np.array([[-1.0], [-0.5], [2.0], [1.0]])
    assert merit(f, g).tolist() == [1, 0, 3, 2]


# -- the acquisition -------------------------------------------------------------------------------


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


# -- as methods ------------------------------------------------------------------------------------


@pytest.mark.parametrize("acq", ACQUISITIONS)
@pytest.mark.parametrize("search", [NetworkSearch, ProcessSearch])
def test_names_are_those_of_the_catalogue(search, acq):
    from feasible.core.registry import load_method

    assert load_method(search(acq).name) == search(acq)


@pytest.mark.parametrize("method", [*NETWORK, PROCESS[0], PUBLISHED], ids=lambda m: m.name)
@pytest.mark.parametrize("n", [1, 3, 8])
def test_the_budget_is_used_and_never_passed_and_every_point_lies_in_the_box(method, n):
    calls = []
    result = go(disc(calls), method, n if method.surrogate == "pfn" else min(n, 6))
    assert result.spent["evaluations"] == len(calls) <= n
    assert (np.array(calls) >= [-3, -2]).all()
    assert (np.array(calls) <= [3, 4]).all()


@pytest.mark.parametrize("method", [*NETWORK, PROCESS[0], PROCESS[2]], ids=lambda m: m.name)
def test_the_same_seed_gives_the_same_ledger_and_the_global_streams_are_left_alone(method):
    np.random.seed(5)
    before = np.random.random(3), torch.random.get_rng_state()
    np.random.seed(5)
    n = 10 if method.surrogate == "pfn" else 6
    one, two, other = (go(disc(), method, n, s).ledger.all() for s in (103, 103, 104))
    assert np.array_equal(np.random.random(3), before[0])
    assert torch.equal(torch.random.get_rng_state(), before[1])
    assert np.array_equal(one.x, two.x)
    assert not np.array_equal(one.x, other.x)


@pytest.mark.parametrize("method", [*NETWORK, PROCESS[1]], ids=lambda m: m.name)
def test_a_checkpoint_goes_on_bit_for_bit(method):
    problem, n = disc(), 9 if method.surrogate == "pfn" else 6

    def steps(state, k):
        for _ in range(k):
            p = method.ask(problem, state)
            method.tell(problem, state, problem.measure(p.x, np.array([-1]), p.tag))
        return state

    whole = steps(method.init(problem, np.random.default_rng(4)), n)
    half = encode(steps(method.init(problem, np.random.default_rng(4)), 5))
    resumed = steps(decode(half, method.init(problem, np.random.default_rng(99))), n - 5)
    np.testing.assert_array_equal(method.ask(problem, whole).x, method.ask(problem, resumed).x)


@pytest.mark.parametrize("method", [*NETWORK, PROCESS[0]], ids=lambda m: m.name)
def test_known_constraints_hold_at_every_evaluated_point(method):
    calls = []
    go(
        disc(calls, known=lambda x: x[:, 0] + x[:, 1] <= 0.5),
        method,
        12 if method.surrogate == "pfn" else 7,
    )
    assert (np.array(calls).sum(axis=1) <= 0.5).all()


@pytest.mark.parametrize("method", [*NETWORK, PROCESS[0]], ids=lambda m: m.name)
def test_whole_numbers_categories_logs_and_fixed_inputs_are_obeyed_without_repeats(method):
    seen = []

    def fun(p):
        seen.append(tuple(p.values()))
        return (p["n"] - 3) ** 2 + (p["solvent"] == "B") + math.log10(p["rate"]) ** 2 + p["fixed"]

    variables = [
        Integer("n", 0, 9),
        Categorical("solvent", ["A", "B"]),
        Real("rate", 1e-3, 1e3, log=True),
        Real("fixed", 2.0, 2.0),
    ]
    go(BlackBox(fun, variables=variables), method, 9 if method.surrogate == "pfn" else 6)
    assert len(set(seen)) == len(seen)
    assert all(
        isinstance(n, int) and s in "AB" and 1e-3 <= r <= 1e3 and c == 2.0 for n, s, r, c in seen
    )


def test_the_network_beats_random_points_on_a_disc():
    bests = {}
    for name, method in (
        ("network", NetworkSearch(n_initial=6, candidates=128, local=64)),
        ("random", NetworkSearch(n_initial=30)),
    ):
        bests[name] = np.mean(
            [go(disc(), method, 30, s).verdict.objective for s in (101, 102, 103)]
        )
    assert bests["network"] < bests["random"] - 0.1
    assert bests["network"] < 0.9


@pytest.mark.parametrize("method", [*NETWORK, PROCESS[0], PROCESS[2]], ids=lambda m: m.name)
@pytest.mark.parametrize(
    "kind", ["nan", "raises", "always", "constant", "infeasible", "no objective", "huge"]
)
def test_bad_values_do_not_end_the_run(method, kind):
    def fun(x):
        good, g = (x[0] - 1) ** 2, [x[0] + x[1] - 1]
        if kind == "always" or (kind == "raises" and x[0] > 0.3):
            raise RuntimeError("the mesh folded")
        if kind == "no objective":
            return {"g": g[0]} if g[0] > 0 else {"f": good, "g": g[0]}
        return {
            "nan": (math.nan if x[0] > 0.3 else good, g),
            "constant": (1.0, [-1.0]),
            "infeasible": (good, [1 + x[0] ** 2]),
            "huge": (math.copysign(10 ** (300 * x[0]), x[1]), [10 ** (-300 * x[0] ** 2)]),
        }.get(kind, (good, g))

    problem = BlackBox(
        fun,
        [(-1, 1), (-1, 1)],
        limits={"g": "<= 0"} if kind == "no objective" else ["<= 0"],
        objective="f" if kind == "no objective" else None,
    )
    n = 10 if method.surrogate == "pfn" else 6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        result = go(problem, method, n, on_failure="skip")
    assert result.spent["evaluations"] == n


def test_twice_the_same_point_with_different_values_is_no_obstacle():
    opt = ConstrainedBO([(0, 1)], n_initial=2, seed=100)
    for f in (1.0, 2.0, 3.0):
        opt.tell([0.5], f)
    assert opt.ask().shape == (1,)
    process = ProcessSearch(n_initial=0, restarts=1, raw=4)
    opt = ConstrainedBO([(0, 1)], surrogate="gp", seed=100, method=process)
    for f in (1.0, 2.0, 3.0):
        opt.tell([0.5], f)
    assert 0 <= opt.ask()[0] <= 1


def test_a_fit_that_fails_is_replaced_and_said(monkeypatch):
    import botorch.fit

    def broken(mll, **_):
        raise RuntimeError("Cholesky")

    monkeypatch.setattr(botorch.fit, "fit_gpytorch_mll", broken)
    with pytest.warns(UserWarning, match="could not be fitted"):
        result = go(disc(), PROCESS[2], 5)
    assert result.spent["evaluations"] == 5


def test_more_inputs_than_the_network_takes_are_refused_with_a_way_out():
    problem = BlackBox(lambda x: float(np.sum(x)), [(0, 1)] * 19)
    with pytest.raises(errors.WrongProblem, match="gp-cei"):
        go(problem, NetworkSearch(), 3)
    with pytest.raises(errors.WrongProblem, match="19 inputs"):
        ConstrainedBO([(0, 1)] * 19)


def test_of_too_many_observations_the_network_reads_the_best_and_nearest_and_says_so_once():
    opt = ConstrainedBO(
        [(0, 1)] * 2,
        n_constraints=1,
        n_initial=0,
        seed=100,
        method=NetworkSearch(n_initial=0, candidates=32, local=8),
    )
    for x in np.random.default_rng(0).random((310, 2)):
        opt.tell(x, float(x.sum()), [0.2 - x[0]])
    opt.state.asked = 310
    with pytest.warns(UserWarning, match="at most 300") as said:
        [opt.ask() for _ in range(2)]
    assert len(said) == 1


@pytest.mark.parametrize("method", [NETWORK[0], PROCESS[0]], ids=lambda m: m.name)
def test_a_batch_holds_different_points_that_may_come_back_in_any_order(method):
    problem = disc()
    state = method.init(problem, np.random.default_rng(4))
    for k in (4, 3):
        p = method.ask(problem, state, k)
        assert len(np.unique(p.x, axis=0)) == k
        for i in reversed(range(k)):
            method.tell(
                problem, state, problem.measure(p.x[i : i + 1], np.array([-1]), p.tag[i : i + 1])
            )
    assert len(state.out) == 0
    assert len(state.f) == 7


def test_a_design_to_start_from_is_the_first_proposal():
    calls = []
    go(disc(calls, x0=[0.5, 0.5]), NETWORK[0], 2)
    np.testing.assert_array_equal(calls[0], [0.5, 0.5])


@pytest.mark.parametrize(
    "wrong",
    [{"acq": "ei"}, {"n_initial": -1}, {"candidates": 0}, {"local": 1.5}, {"n_initial": True}],
)
def test_settings_are_checked(wrong):
    wrong_kind = (errors.ArgumentError, errors.ArgumentTypeError)
    with pytest.raises(wrong_kind, match=next(iter(wrong))):
        NetworkSearch(**wrong)


# -- outside a run, and inside BoTorch -------------------------------------------------------------


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


# -- the claim's arithmetic ------------------------------------------------------------------------


def raced(table, best=0.0):
    """method -> objective (None: infeasible with violation 1) on one problem and seed."""
    trials = [
        Trial(
            "p",
            m,
            0,
            objective=math.nan if v is None else v,
            violation=1.0 if v is None else 0.0,
            feasible=v is not None,
        )
        for m, v in table.items()
    ]
    return Race("r", [Contest("p", best)], list(table), [0], {"evaluations": 60}, trials)


def test_ranks_share_ties_and_put_infeasible_answers_last():
    assert claim.ranks(
        [raced({"a": 1.0, "b": 1.0, "c": None, "d": 0.5})], ["a", "b", "c", "d"]
    ) == {"a": 2.5, "b": 2.5, "c": 4.0, "d": 1.0}
    assert claim.ranks([raced({"a": 1.0}), raced({"b": 0.0})], ["a", "b"]) == {"a": 2.0, "b": 1.0}
    assert claim.ranks([raced({"a": 1.0})], ["a", "b"]) == {}


def test_regret_is_measured_against_random_search():
    assert claim.regret_share(
        raced({"a": 1.5, "random-search": 3.0}, best=1.0), "a"
    ) == pytest.approx(0.25)
    assert claim.regret_share(raced({"a": 1.5, "random-search": None}), "a") == 0.0
    assert claim.regret_share(raced({"a": None, "random-search": 1.0}), "a") == math.inf


@pytest.mark.parametrize(("good", "bar"), [(0.1, True), (9.0, False)])
def test_the_bars_hold_where_the_network_is_better_and_not_where_it_is_worse(good, bar):
    first = raced(
        {
            "pfn-cei": good,
            "pfn-cei-plus": 2.0,
            "pfn-penalty": 3.0,
            "random-search": 5.0,
            "optuna-tpe": 4.0,
        }
    )
    parts = claim.check(
        {"engineering": first, "gaussian processes": raced({"gp-cei": 0.05, "gp-penalty": 6.0})}
    )
    barred = [p for p in parts if p.bar != "reported"]
    assert [p.holds for p in barred] == [bar, bar]
    assert next(p for p in parts if "fair GP-CEI" in p.statement).figure == -1.0


def test_every_scale_names_problems_and_methods_that_exist():
    from feasible.core.registry import methods, problems

    for scale in ("smoke", "desk", "paper"):
        for e in claim.experiments(scale, (100, 101, 102)):
            assert set(e.problems) <= set(problems())
            assert set(e.methods) <= set(methods())
            assert e.budget["evaluations"] > 20
