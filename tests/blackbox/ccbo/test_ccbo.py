"""CCBO: the simulated electrospray, a target as objective, the two models, the acquisition, the
method, and the chemist's loop.
"""

from __future__ import annotations

import csv
import math
import sys
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from tiny import go, rows, same_rows

from feasible.blackbox.ccbo.acquisition import (
    Acquisition,
    Joint,
    Region,
    feasible_log_weight,
    log_positive,
    maximise,
    normal_samples,
)
from feasible.blackbox.ccbo.ccbo import CompositeBO, layout
from feasible.blackbox.ccbo.models import Mixed, elbo, exact_loss, fit_classifier, fit_exact
from feasible.blackbox.ccbo.native import CCBO
from feasible.blackbox.declared import from_table
from feasible.blackbox.instances.electrospray import FIRST_ROWS, electrospray
from feasible.blackbox.problem import BlackBox
from feasible.blackbox.space import Categorical, Integer, Real
from feasible.core.checkpoint import decode, encode
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    BoundsError,
    NotFinite,
    ShapeError,
)

SMALL = {"mc_samples": 32, "num_restarts": 2, "raw_samples": 16, "maxiter": 8}
FAST = CompositeBO(**SMALL)
STRATEGIES = ("ccbo", "constrained", "qEI", "random")
KERNEL = Mixed((0, 1, 2), (3,))
EXAMPLE = Path(__file__).parents[3] / "examples" / "electrospray.toml"


def spray_data(n=12, seed=0):
    """(n, 4) unit points, standardised log diameters, labels."""
    problem = electrospray()
    x = problem.space.from_unit(np.random.default_rng(seed).random((n, 4)))
    seen = problem.evaluate(x)
    h = np.log(seen.values[:, 0])
    return (
        torch.from_numpy(problem.space.unit(x)),
        torch.from_numpy((h - h.mean()) / h.std()),
        seen.values[:, 1] > 0,
    )


def told(method, problem, x, seed=0):
    """A state that was told these points."""
    state = method.init(problem, np.random.default_rng(seed))
    method.tell(
        problem,
        state,
        problem.measure(np.array(x, dtype=float), np.full(len(x), -1), np.full(len(x), -1)),
    )
    return state


def line(f=lambda x: x[:, 0], target=0.3, **options):
    return BlackBox(f, [(0, 1)], objective="h", target=target, vectorized=True, **options)


# -- the simulated process -------------------------------------------------------------------------


def test_the_first_experiments_give_the_published_diameters_and_labels():
    seen = electrospray().evaluate(np.array(FIRST_ROWS))
    np.testing.assert_allclose(
        seen.values[:, 0], [8.64405, 2.07312, 20.22642, 14.86247, 1.59039], atol=5e-6
    )
    assert (seen.violation <= 0).tolist() == [True, True, False, True, False]
    np.testing.assert_allclose(seen.objective, np.abs(seen.values[:, 0] - 18))


def test_sprays_are_stable_on_the_published_share_of_the_box_and_reach_the_published_diameters():
    problem, u = electrospray(), np.random.default_rng(0).random((200_000, 4))
    x = problem.space.low + u * (problem.space.high - problem.space.low)
    for solvent, share, low, high in ((0, 0.273, 0.45362, 27.6965), (1, 0.999, 1.53223, 53.5399)):
        x[:, 3] = solvent
        seen = problem.measure(x, np.full(len(x), -1), np.full(len(x), -1))
        stable = seen.violation <= 0
        assert stable.mean() == pytest.approx(share, abs=0.003)
        edge = math.exp(2.8) if solvent == 0 else math.exp(-2.8) * (1 + 1e-12)
        ends = problem.measure(
            np.array(
                [
                    [0.05, 0.01 if solvent == 0 else edge, 18, solvent],
                    [5, edge if solvent == 0 else 60, 10, solvent],
                ]
            ),
            np.full(2, -1),
            np.full(2, -1),
        )
        np.testing.assert_allclose(ends.values[:, 0], [low, high], atol=5e-5)
        assert (seen.values[stable, 0] > low).all()
        assert (seen.values[stable, 0] < high).all()


# -- a target as the objective ---------------------------------------------------------------------


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_the_distance_from_the_target_is_minimised_and_judged(value, target):
    problem = BlackBox(lambda x: value, [(0, 1)], objective="h", target=target)
    seen = problem.evaluate([0.5]).observation(0)
    assert seen.objective == abs(value - target) == problem.judge(seen).objective
    assert seen.metrics["h"] == value


def test_a_target_is_shown_with_the_value_and_not_beside_maximise():
    problem = electrospray()
    answer = problem.evaluate(np.array(FIRST_ROWS[0])).observation(0)
    assert ("diameter", "8.644046", "target 18", "", "um") in problem.describe(
        answer, problem.judge(answer)
    )
    for bad in ({"target": 1.0, "maximize": True}, {"target": math.nan}, {"target": "18"}):
        with pytest.raises((ArgumentError, ArgumentTypeError), match="target"):
            BlackBox(lambda x: 0.0, [(0, 1)], **bad)


def test_simulated_noise_shifts_the_value_and_the_distance_follows():
    seen = rows(go(line(simulated_noise=0.5), 6))
    np.testing.assert_array_equal(seen.objective, np.abs(seen.values[:, 0] - 0.3))
    assert np.abs(seen.values[:, 0] - seen.x[:, 0]).max() > 0.1


def test_a_study_file_may_have_a_target():
    problem = from_table(tomllib.loads(EXAMPLE.read_text()))
    assert (problem.target, problem.columns) == (18.0, ("diameter", "stable"))


# -- the models ------------------------------------------------------------------------------------


def test_the_kernel_is_botorchs_mixed_kernel():
    from botorch.models import MixedSingleTaskGP
    from gpytorch.kernels import MaternKernel

    x, y, _ = spray_data()
    model = MixedSingleTaskGP(
        x,
        y[:, None],
        cat_dims=[3],
        outcome_transform=None,
        cont_kernel_factory=lambda batch_shape, ard_num_dims, active_dims: MaternKernel(
            2.5, ard_num_dims=ard_num_dims, active_dims=active_dims
        ),
    )
    theta = torch.from_numpy(np.random.default_rng(1).normal(size=KERNEL.size))
    l1, l2, c1, c2, s1, s2, s3 = KERNEL.split(theta)
    (a, b), (c, d) = (k.base_kernel.kernels for k in model.covar_module.kernels)
    a.lengthscale, c.lengthscale, b.base_kernel.lengthscale, d.lengthscale = l1, l2, c1, c2
    b.outputscale = s2
    model.covar_module.kernels[0].outputscale, model.covar_module.kernels[1].outputscale = s1, s3
    with torch.no_grad():
        expected = model.covar_module(x, x).to_dense()
    np.testing.assert_allclose(KERNEL.matrix(theta, x, x), expected, rtol=1e-8)
    np.testing.assert_allclose(
        KERNEL.matrix(theta, x, x).diagonal(), KERNEL.variance(theta), rtol=1e-8
    )


def test_the_exact_process_has_the_gaussian_likelihood_and_posterior():
    x, y, _ = spray_data()
    p = torch.from_numpy(np.append(KERNEL.centre(), [math.log(0.01), 0.2]))
    k = KERNEL.matrix(p[:-2], x, x) + 0.01 * torch.eye(len(x))
    expected = torch.distributions.MultivariateNormal(torch.full_like(y, 0.2), k.double()).log_prob(
        y
    )
    assert float(exact_loss(KERNEL, p, x, y)) == pytest.approx(-float(expected), rel=1e-3)
    model = fit_exact(KERNEL, x, y, np.empty(0))
    mean, variance = model.marginal(x)
    np.testing.assert_allclose(mean, y, atol=0.05)
    assert (variance < 0.05).all()


def test_the_classifiers_bound_is_gpytorchs():
    import gpytorch

    x, _, feasible = spray_data(8)
    n, k = len(x), KERNEL.size
    rng = np.random.default_rng(2)
    p = torch.from_numpy(
        np.concatenate(
            [
                KERNEL.centre() + rng.normal(size=k) * 0.2,
                [0.3],
                rng.normal(size=n),
                -0.3 * rng.random(n),
                0.2 * rng.normal(size=n * (n - 1) // 2),
            ]
        )
    )

    class Kernel(gpytorch.kernels.Kernel):
        def forward(self, a, b, diag=False, **_):
            found = KERNEL.matrix(p[:k], a, b)
            return found.diagonal() if diag else found

    class Model(gpytorch.models.ApproximateGP):
        def __init__(self):
            q = gpytorch.variational.CholeskyVariationalDistribution(n)
            super().__init__(
                gpytorch.variational.VariationalStrategy(
                    self, x, q, learn_inducing_locations=False, jitter_val=1e-7
                )
            )
            self.mean_module, self.covar_module = gpytorch.means.ConstantMean(), Kernel()

        def forward(self, z):
            return gpytorch.distributions.MultivariateNormal(
                self.mean_module(z), self.covar_module(z)
            )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, likelihood = Model().double(), gpytorch.likelihoods.BernoulliLikelihood()
        model.mean_module.constant.data.fill_(0.3)
        model.variational_strategy.variational_params_initialized.fill_(1)
        q = model.variational_strategy._variational_distribution
        q.variational_mean.data[:] = p[k + 1 : k + 1 + n]
        t = torch.zeros((n, n), dtype=torch.float64)
        at = torch.tril_indices(n, n, -1)
        t[at[0], at[1]] = p[k + 1 + 2 * n :]
        q.chol_variational_covar.data[:] = t + torch.diag(p[k + 1 + n : k + 1 + 2 * n].exp())
        model.train()
        bound = gpytorch.mlls.VariationalELBO(likelihood, model, num_data=n)(
            model(x), torch.from_numpy(feasible.astype(float))
        )
    mine = elbo(KERNEL, p, x, torch.from_numpy(np.where(feasible, 1.0, -1.0)))
    assert float(mine) == pytest.approx(float(bound) * n, rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(-3, 3), st.floats(-2, 1))
def test_the_bound_never_passes_the_evidence_of_one_label(mean, log_scale, m, log_t):
    kernel = Mixed((0,), ())
    p = torch.tensor([0.0, log_scale, mean, m, log_t], dtype=torch.float64)
    evidence = norm.logcdf(mean / math.sqrt(1 + math.exp(log_scale) * (1 + 1e-6)))
    assert (
        float(elbo(kernel, p, torch.zeros((1, 1), dtype=torch.float64), torch.ones(1)))
        <= evidence + 1e-6
    )


def test_the_classifier_learns_the_boundary_and_warm_starts_reach_the_same():
    x, _, feasible = spray_data(30)
    model = fit_classifier(KERNEL, x, feasible, np.empty(0))
    mean, variance = model.marginal(x)
    assert ((mean > 0).numpy() == feasible).mean() > 0.9
    assert (variance > 0).all()
    first = fit_classifier(KERNEL, x[:20], feasible[:20], np.empty(0))
    again = fit_classifier(KERNEL, x, feasible, first.params)
    np.testing.assert_allclose(again.marginal(x)[0], mean, atol=0.3)
    assert fit_classifier(KERNEL, x, np.ones(30, dtype=bool), np.empty(0)) is None


def test_far_from_data_the_classifier_says_what_its_mean_says():
    kernel = Mixed((0,), ())
    x = torch.tensor([[0.0], [0.1], [0.2]], dtype=torch.float64)
    model = fit_classifier(kernel, x, np.array([True, False, True]), np.empty(0))
    mean, variance = model.marginal(torch.tensor([[1e6]], dtype=torch.float64))
    assert float(mean) == pytest.approx(float(model.mean0))
    assert float(variance) == pytest.approx(float(kernel.variance(model.theta)))


# -- the acquisition -------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.floats(-1.5, 1.5), st.floats(0.05, 1.0))
def test_composite_improvement_of_one_point_is_its_integral(target, radius):
    x, y, _ = spray_data(6)
    latent = fit_exact(KERNEL, x, y, np.empty(0), maxiter=5)
    at = torch.full((1, 4), 0.4, dtype=torch.float64)
    m, s = float(latent.marginal(at)[0]), float(latent.marginal(at)[1].sqrt())
    a = Acquisition(
        Joint.of(latent, normal_samples(2**14, 1, [0])), target, -(radius**2), 1.0, None
    )
    expected = quad(
        lambda v: (radius**2 - (v - target) ** 2) * norm.pdf(v, m, s),
        target - radius,
        target + radius,
        points=[m],
        limit=200,
    )[0]
    assert float(a.value(at)) == pytest.approx(expected, rel=0.02, abs=1e-5)
    u = a.utility(a.objective.samples(at))
    assert float(u.mean()) == pytest.approx(-((m - target) ** 2) - s**2, rel=5e-3, abs=1e-4)


@given(st.floats(-4, 4))
def test_the_sampled_weight_is_the_probability_at_eta_1_and_an_indicator_at_eta_0(f):
    latent = torch.tensor(f, dtype=torch.float64)
    assert float(feasible_log_weight(latent, 1.0).exp()) == pytest.approx(norm.cdf(f), abs=1e-7)
    if abs(f) > 0.05:
        assert float(feasible_log_weight(latent, 1e-3).exp()) == pytest.approx(
            float(f > 0), abs=1e-6
        )


@given(st.floats(-3, 3), st.floats(0.01, 3))
def test_the_soft_weight_is_the_mean_of_the_sampled_one(mean, sd):
    f = mean + sd * normal_samples(4096, 1, [3])[:, 0]
    assert float(torch.special.ndtr(f).mean()) == pytest.approx(
        norm.cdf(mean / math.sqrt(1 + sd**2)), abs=2e-3
    )


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e3))
def test_the_smooth_positive_part_is_positive_increasing_and_near(z, more):
    a, b = (log_positive(torch.tensor(v, dtype=torch.float64)) for v in (z, z + more))
    assert math.isfinite(a)
    assert b >= a - 1e-12
    assert float(a.exp()) == pytest.approx(max(z, 0.0), abs=0.01)


def test_points_that_are_fixed_have_the_posteriors_joint_covariance():
    x, y, _ = spray_data(6)
    latent = fit_exact(KERNEL, x, y, np.empty(0), maxiter=5)
    points = torch.from_numpy(np.random.default_rng(0).random((3, 4)))
    joint = Joint.of(latent, normal_samples(2**14, 3, [1]))
    columns = []
    for row in points:
        columns.append(joint.samples(row[None])[:, 0])
        joint.fix(row[None])
    mean, a = latent.project(points)
    np.testing.assert_allclose(
        joint.factor @ joint.factor.mT, latent.covariance(points, a, points, a), atol=1e-6
    )
    np.testing.assert_allclose(torch.stack(columns).mean(1), mean, atol=0.01)
    np.testing.assert_allclose(
        np.cov(torch.stack(columns).numpy()), latent.covariance(points, a, points, a), atol=0.02
    )


def test_a_batch_is_worth_the_mean_of_the_best_improvement_and_a_repeat_adds_nothing():
    problem = electrospray()
    state = told(FAST, problem, FIRST_ROWS)
    a = CompositeBO(mc_samples=4096).acquisition(problem, state, 3)
    p, q = (
        torch.from_numpy(problem.space.unit(np.array([row])))
        for row in ((1.5, 20, 10, 1.0), (0.9, 30, 11, 1.0))
    )
    alone = float(a.value(p)), float(a.value(q))
    a.fix(p)
    both, slack = float(a.value(q)), 0.05 * sum(alone)
    assert min(alone) > 0
    assert max(alone) - slack <= both <= sum(alone) + slack
    assert float(a.value(p)) == pytest.approx(alone[0], rel=0.05)


def test_where_all_is_feasible_the_classifier_changes_nothing():
    problem = electrospray()
    x = [r for r in FIRST_ROWS if r[0] not in (3.0, 0.2)]
    state = told(FAST, problem, x)
    assert FAST.acquisition(problem, state, 1).feasibility is None


def test_an_infeasible_row_is_never_the_row_to_beat_but_officially_it_is():
    problem = electrospray()
    state = told(FAST, problem, FIRST_ROWS)
    found = FAST.outcomes(problem, state)
    u = -((found.h - found.target) ** 2)
    assert np.argmax(u) == 2  # 20.2 um, unstable
    assert FAST.acquisition(problem, state, 1).best == u[3]
    official = CompositeBO(official=True, **SMALL).acquisition(problem, state, 1)
    assert official.best == pytest.approx(u[2] - 10 / found.sd**2)


def test_the_search_finds_the_best_of_a_grid():
    problem = BlackBox(
        lambda x: x[:, 0] + x[:, 1], [(0, 1)] * 2, objective="h", target=0.7, vectorized=True
    )
    state = told(CompositeBO(log_output=False), problem, [(0, 0), (1, 1), (0, 1), (0.2, 0.1)])
    a = CompositeBO(log_output=False).acquisition(problem, state, 1)
    row = maximise(
        a, Region(problem.space, None, set()), restarts=4, raw_samples=64, maxiter=60, seed=[0]
    )
    grid = torch.cartesian_prod(*[torch.linspace(0, 1, 40, dtype=torch.float64)] * 2)
    with torch.no_grad():
        assert (
            float(a.log_value(torch.from_numpy(row[None]))) >= float(a.log_value(grid).max()) - 1e-3
        )


# -- the method ------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_gives_the_same_ledger_inside_the_budget_and_leaves_the_global_streams_alone(
    strategy,
):
    method = CompositeBO(strategy=strategy, **SMALL)
    assert (
        method.name
        == {
            "ccbo": "ccbo",
            "constrained": "ccbo-constrained",
            "qEI": "ccbo-qei",
            "random": "ccbo-random",
        }[strategy]
    )
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.rand(1), np.random.random()
    torch.manual_seed(3)
    np.random.seed(3)
    one, two, other = (go(electrospray(), 8, method, seed) for seed in (1, 1, 2))
    assert (torch.rand(1), np.random.random()) == before
    assert same_rows(rows(one), rows(two))
    assert not np.array_equal(rows(one).x, rows(other).x)
    assert one.spent["evaluations"] == len(rows(one)) == 8  # the last batch of two is cut


def test_a_target_is_hit_in_few_experiments():
    result = go(electrospray(), 15, CompositeBO(tol=0.3), seed=101)
    assert result.verdict.feasible
    assert result.verdict.objective < 0.3
    assert "tol" in result.stopped


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_checkpoint_goes_on_bit_for_bit(strategy):
    problem, method = electrospray(), CompositeBO(strategy=strategy, **SMALL)

    def steps(state, k):
        for _ in range(k):
            method.step(problem, state)
        return state

    whole = steps(method.init(problem, np.random.default_rng(4)), 3)
    half = encode(steps(method.init(problem, np.random.default_rng(4)), 2))
    resumed = steps(decode(half, method.init(problem, np.random.default_rng(99))), 1)
    np.testing.assert_array_equal(method.ask(problem, whole).x, method.ask(problem, resumed).x)


def test_box_known_constraints_and_whole_numbers_are_obeyed_by_every_proposal():
    problem = BlackBox(
        lambda x: {"h": 1 + x["n"] * x["r"], "fine": x["kind"] != "c"},
        objective="h",
        limits={"fine": "is true"},
        target=20.0,
        variables=[
            Integer("n", 1, 9),
            Real("r", 1e-2, 10, log=True),
            Categorical("kind", ["a", "b", "c"]),
            Real("fixed", 2, 2),
        ],
        known=lambda x: x[:, 0] >= 2 * x[:, 1],
    )
    for strategy in STRATEGIES:
        seen = rows(go(problem, 8, CompositeBO(strategy=strategy, **SMALL), on_failure="skip"))
        assert problem.allowed(seen.x).all()
        assert not seen.reason
        np.testing.assert_array_equal(problem.space.snap(seen.x), seen.x)
        assert len(np.unique(seen.x, axis=0)) == len(seen)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "case", ["all infeasible", "all fail", "constant", "huge", "one choice only", "x0"]
)
def test_bad_input_is_survived(case, strategy):
    method = CompositeBO(strategy=strategy, log_output=case != "constant", **SMALL)
    if case == "all infeasible":
        problem = line(
            lambda x: {"h": 1 + x[:, 0], "c": np.ones(len(x))}, 1.5, limits={"c": "<= 0"}
        )
    elif case == "all fail":
        problem = line(lambda x: np.full(len(x), np.nan), 1.5)
    elif case == "constant":
        problem = line(lambda x: np.zeros(len(x)), 0.0)
    elif case == "huge":
        problem = line(lambda x: 10.0 ** (600 * x[:, 0] - 300), 1e10)
    elif case == "one choice only":
        problem = BlackBox(
            lambda x: 1.0 + len(x["a"]),
            variables=[Categorical("a", ["u", "vv"]), Categorical("b", ["w", "z"])],
            objective="h",
            target=3.0,
        )
    else:
        problem = line(lambda x: 1 + x[:, 0], 1.25, x0=[0.75])
    result = go(problem, 8, method, on_failure="skip")
    assert len(rows(result)) == (4 if case == "one choice only" else 8)
    if case == "one choice only":
        assert "every point" in result.stopped
        assert result.verdict.objective == 0
    if case == "x0":
        assert rows(result).x[0, 0] == 0.75


@pytest.mark.parametrize("log_output", [True, False])
def test_repeats_with_other_values_and_values_of_any_size_do_not_break_the_models(log_output):
    opt = CCBO([(0, 1), (0, 1)], target=2.0, method=CompositeBO(log_output=log_output, **SMALL))
    opt.tell([[0.2, 0.5]] * 3, [1.0, 3.0, 2.0], [True, True, False])
    opt.tell([[0.4, 0.5], [0.6, 0.1]], [1e-300, 1e300], [True, True])
    assert all(0 <= v <= 1 for p in opt.ask(2) for v in p.values())


def test_fewer_than_two_values_are_enough_to_go_on():
    for y, feasible in (([1.0], [True]), ([1.0], [False]), ([math.nan], [False])):
        method = CompositeBO(n_initial=1, **SMALL)
        opt = CCBO([(0, 1)], target=2.0, method=method)
        opt.tell([[0.5]], y, feasible)
        assert len({p["x1"] for p in opt.ask(3)} - {0.5}) == 3


def test_a_fit_that_fails_is_said_and_the_defaults_are_used(monkeypatch):
    from feasible.blackbox.ccbo import models as ccbo_models

    monkeypatch.setattr(
        ccbo_models,
        "exact_loss",
        lambda *_: torch.tensor(math.nan, requires_grad=True) * _[1].sum(),
    )
    with pytest.warns(RuntimeWarning, match="Gaussian process failed"):
        assert rows(go(electrospray(), 7, FAST)).x.shape == (7, 4)


def test_values_that_are_not_positive_are_left_out_and_said():
    with pytest.warns(RuntimeWarning, match="not positive"):
        go(line(lambda x: x[:, 0] - 0.5, 0.3), 7, FAST)


def test_the_budget_may_end_inside_a_large_batch_and_many_may_be_out():
    problem = electrospray()
    assert len(rows(go(problem, 7, CompositeBO(batch_size=6, **SMALL)))) == 7
    state = FAST.init(problem, np.random.default_rng(0))
    seen = [FAST.ask(problem, state, 3).x for _ in range(3)]  # nothing told: the design goes on
    x = np.concatenate(seen)
    assert len(np.unique(x, axis=0)) == 9
    assert len(state.waiting) == 9
    FAST.tell(problem, state, problem.measure(x[:4], np.arange(4), np.arange(4)))
    assert len(state.waiting) == 5
    more = FAST.ask(problem, state, 2)
    assert not {r.tobytes() for r in more.x} & {r.tobytes() for r in x}


def test_a_correction_takes_the_place_of_the_row_and_an_abandoned_experiment_teaches_nothing():
    problem = electrospray()
    state = FAST.init(problem, np.random.default_rng(0))
    p = FAST.ask(problem, state, 2)
    FAST.tell(problem, state, problem.measure(p.x, np.arange(2), p.tag))
    corrected = problem.from_metrics(p.x[0], {"diameter": 7.5, "stable": 1.0}, None, 0)
    corrected.tag[:] = p.tag[0]
    FAST.tell(problem, state, corrected)
    assert sorted(state.tag.tolist()) == [0, 1]
    assert state.y[state.tag == 0] == 7.5
    q = FAST.ask(problem, state, 1)
    dropped = problem.from_metrics(q.x[0], {}, "abandoned", 2)
    dropped.tag[:] = q.tag[0]
    FAST.tell(problem, state, dropped)
    assert (len(state.x), len(state.waiting)) == (2, 0)


def test_a_numeric_limit_counts_as_no_where_it_is_violated_and_a_value_beside_it_counts():
    problem = line(
        lambda x: {"h": 1 + x[:, 0], "heat": 100 * x[:, 0]}, 1.5, limits={"heat": "<= 60 degC"}
    )
    state = told(FAST, problem, [[0.2], [0.9]])
    assert state.label.tolist() == [True, False]
    assert state.y.tolist() == pytest.approx([1.2, 1.9])


@pytest.mark.parametrize(
    "bad",
    [
        {"strategy": "ei"},
        {"batch_size": 0},
        {"n_initial": 1.5},
        {"mc_samples": True},
        {"eta": 0.0},
        {"tol": -1.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises((ArgumentError, ArgumentTypeError), match=next(iter(bad))):
        CompositeBO(**bad)


def test_problems_without_a_target_or_with_one_that_has_no_logarithm_are_refused():
    with pytest.raises(ArgumentError, match="target: problem 'free' has none"):
        go(BlackBox(lambda x: x[0], [(0, 1)], name="free"), 5, FAST)
    with pytest.raises(ArgumentError, match="log_output=False"):
        go(line(target=-1.0), 5, FAST)
    with pytest.raises(BoundsError, match="ccbo"):
        go(BlackBox(lambda x: x[0], [(0, math.inf)], target=1.0), 5, FAST)


# -- the native object -----------------------------------------------------------------------------


def opt(**options):
    return CCBO(
        [
            Real("conc", 0.05, 5),
            Real("flow", 0.01, 60, log=True),
            Real("kV", 10, 18),
            Categorical("solvent", ["DMAc", "CHCl3"]),
        ],
        target=18.0,
        **options,
    )


def test_ask_tell_best_and_predict_by_name():
    o = opt(seed=0, method=FAST)
    names = ("conc", "flow", "kV", "solvent")
    first = [
        dict(zip(names, (*r[:3], ["DMAc", "CHCl3"][int(r[3])]), strict=True)) for r in FIRST_ROWS
    ]
    assert o.best() is None
    o.tell(first, [8.64405, 2.07312, math.nan, 14.86247, None], [True, True, False, True, False])
    assert (o.best().x["conc"], o.best().y) == (1.0, 14.86247)
    assert o.best().distance == pytest.approx(3.13753)
    asked = o.ask(2)
    assert [set(p) for p in asked] == [set(names)] * 2
    assert asked[0]["solvent"] in ("DMAc", "CHCl3")
    mean, sd, p = o.predict(first)
    np.testing.assert_allclose(mean[[0, 1, 3]], [8.64405, 2.07312, 14.86247], rtol=0.1)
    assert (sd > 0).all()
    assert ((p > 0) & (p < 1)).all()
    assert p[2] < p[3]
    again = opt(seed=0, method=FAST)
    again.tell(
        first, [8.64405, 2.07312, math.nan, 14.86247, None], [True, True, False, True, False]
    )
    assert again.ask(2) == asked  # looking at predictions changes nothing


POINT = {"conc": 1.0, "flow": 1.0, "kV": 12.0, "solvent": "DMAc"}


@pytest.mark.parametrize(
    ("error", "match", "x", "y", "feasible"),
    [
        (BoundsError, "kV = 20", [POINT | {"kV": 20.0}], [1.0], [True]),
        (ArgumentError, "solvent", [POINT | {"solvent": "water"}], [1.0], [True]),
        (NotFinite, "y", [POINT], [math.nan], [True]),
        (NotFinite, "y", [POINT], [math.inf], [False]),
        (ArgumentError, "y.0. = 0", [POINT], [0.0], [True]),
        (ArgumentError, "feasible is missing", [POINT], [1.0], None),
        (ShapeError, "feasible 2", [POINT], [1.0], [True, False]),
        (ArgumentError, "feasible", [POINT], [1.0], ["yes"]),
    ],
)
def test_results_that_cannot_be_taken_are_refused_as_a_whole(error, match, x, y, feasible):
    o = opt()
    with pytest.raises(error, match=match) as caught:
        o.tell(x, y, feasible)
    assert isinstance(caught.value, ValueError)
    assert len(o.state.x) == 0


def test_arguments_of_the_native_object_are_checked():
    for match, make in (
        ("target", lambda: CCBO([(0, 1)], target=0.0)),
        ("seed", lambda: opt(seed=-1)),
        ("strategy", lambda: opt(strategy="x")),
        ("n=0", lambda: opt().ask(0)),
        ("predict", lambda: opt().predict([POINT])),
        ("target", lambda: CCBO([(0, 1)], target=None)),
    ):
        with pytest.raises(ArgumentError, match=match):
            make()


# -- from a spreadsheet ----------------------------------------------------------------------------


def test_a_chemist_asks_fills_in_yes_and_no_and_tells_again(tmp_path, monkeypatch, capsys):
    from feasible import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)

    def feasible(*arguments):
        monkeypatch.setattr(sys, "argv", ["feasible", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    Path("spray.toml").write_text(
        EXAMPLE.read_text().replace('"ccbo"', '"ccbo[mc_samples=16,raw_samples=16,maxiter=5]"')
    )
    model, seen, told_text = electrospray(), [], ""
    for turn in range(4):
        feasible(
            "ask",
            "spray.toml" if turn == 0 else "spray-18",
            "-n",
            2,
            "--format",
            "csv",
            "--output",
            "round.csv",
        )
        with open("round.csv", newline="") as file:
            table = list(csv.DictReader(file))
        for row in table:
            point = model.space.vector(
                [
                    float(row["concentration [%]"]),
                    float(row["flow [uL/min]"]),
                    float(row["voltage [kV]"]),
                    ["DMAc", "CHCl3"].index(row["solvent"]),
                ]
            )
            metrics = model.evaluate(point).observation(0).metrics
            row["stable"] = "yes" if metrics["stable"] else "no"
            row["diameter [um]"] = f"{metrics['diameter']:.4f}" if metrics["stable"] else ""
            seen.append((metrics["stable"], metrics["diameter"]))
        with open("round.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, table[0])
            writer.writeheader()
            writer.writerows(table)
        told_text = feasible("tell", "spray-18", "round.csv")
    assert len(seen) == 8
    assert 0 < sum(s for s, _ in seen) < 8
    nearest = min((abs(d - 18), d) for s, d in seen if s)[1]
    assert f"diameter {nearest:.4f}".rstrip("0") in told_text


def test_a_problem_with_a_target_gets_ccbo_where_no_method_is_named():
    from feasible.core.budget import Budget
    from feasible.core.registry import default_method

    assert default_method(electrospray(), Budget(evaluations=20))[0] == CompositeBO()
    assert default_method(electrospray(), Budget(evaluations=20), batches=True)[0] == CompositeBO()


# -- the claim -------------------------------------------------------------------------------------


@pytest.mark.parametrize("good", [True, False])
def test_the_claim_is_read_off_the_trails(good):
    from feasible.blackbox.ccbo.claim import area, check, entrants
    from feasible.core.trail import Point
    from feasible.core.verdict import Verdict
    from feasible.lab.trials import Contest, Race, Trial

    n = 9
    level = dict.fromkeys(entrants("smoke"), 4.0) | {"ccbo": 1.0 if good else 9.0}
    trials = [
        Trial(
            "electrospray",
            m,
            s,
            trail=[
                Point(k, {"evaluations": 5.0 + k}, 0.0, Verdict(v if k < 4 else v / 10))
                for k in range(5)
            ],
        )
        for m, v in level.items()
        for s in range(3)
    ]
    race = Race("r", [Contest("electrospray")], list(level), [0, 1, 2], {"evaluations": n}, trials)
    assert area(trials[0], n) == pytest.approx(level["ccbo"] * (1 + 0.55))
    parts = check({"target 18 um": race})
    assert [p.holds for p in parts] == [good, good, good, None, good]


@pytest.mark.parametrize("scale", ["smoke", "desk", "paper"])
def test_the_claims_experiments_are_built_for_every_scale(scale):
    from feasible.blackbox.ccbo.claim import claim

    found = claim.experiments(scale, (0, 1, 2, 3, 4))
    assert [e.budget["evaluations"] for e in found] == {
        "smoke": [9],
        "desk": [17, 17],
        "paper": [25, 25],
    }[scale]


def test_the_space_says_which_columns_are_categories():
    assert layout(electrospray().space) == KERNEL
