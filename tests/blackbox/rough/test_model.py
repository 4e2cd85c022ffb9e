"""The Gaussian process against the formulas of Rasmussen and Williams, written out with dense
matrices, and what the rows say of the objective.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from feasible.blackbox import BlackBox, Categorical, Integer, Real
from feasible.blackbox.history import some
from feasible.blackbox.rough.belief import FREEDOM, student, warped
from feasible.blackbox.rough.inputs import Inputs
from feasible.blackbox.rough.model import GP, Form
from feasible.blackbox.space import Space

SPACE = Space(
    [
        Real("t", 0.0, 2.0),
        Categorical("c", ["a", "b", "d"]),
        Integer("k", 1, 6),
        Real("p", 0.1, 10.0, log=True),
    ]
)


def mixed(n=14, seed=0):
    """Features and values of n points of SPACE."""
    rng = np.random.default_rng(seed)
    inputs = Inputs(SPACE)
    x = SPACE.from_unit(rng.random((n, 4)))
    z = inputs.features(x)
    return inputs, z, np.sin(3 * z[:, 0]) + 0.7 * z[:, 1] + rng.standard_normal(n) * 0.3


def matern(a, b, theta, owner, d):
    """s^2 (1 + sqrt(5) r + 5 r^2 / 3) exp(-sqrt(5) r), one pair of rows after the other."""
    k = np.empty((len(a), len(b)))
    for i, u in enumerate(a):
        for j, v in enumerate(b):
            r2 = sum((u[p] - v[p]) ** 2 * math.exp(-2 * theta[owner[p]]) for p in range(len(owner)))
            r = math.sqrt(5 * r2)
            k[i, j] = math.exp(theta[d]) * (1 + r + r * r / 3) * math.exp(-r)
    return k


THETA = np.array([-0.5, 0.3, 0.1, -0.2, 0.4, -1.0, -2.0])


@pytest.mark.parametrize("trend", [False, True])
def test_the_posterior_is_that_of_the_dense_formulas(trend):
    inputs, z, y = mixed()
    form = Form(inputs.owner, inputs.category, trend=trend, bowl=0.5 * trend)
    mult = np.linspace(0.5, 3, len(y))
    gp = GP(form, z, y, mult).condition(THETA)
    new = mixed(5, seed=1)[1]
    b, b_new = form.basis(z), form.basis(new)
    k = matern(z, z, THETA, inputs.owner, 4) + math.exp(-1) * b @ b.T
    noise = np.diag(math.exp(-2) * mult)
    cross = matern(new, z, THETA, inputs.owner, 4) + math.exp(-1) * b_new @ b.T
    own = matern(new, new, THETA, inputs.owner, 4) + math.exp(-1) * b_new @ b_new.T
    numbers = [0, 4, 5]  # the features of t, k and p; 1 to 3 are those of the category

    def bowl(features):
        return 0.5 * trend * ((2 * features[:, numbers] - 1) ** 2 - 1 / 3).sum(axis=1)

    scale = y.std()
    shift = np.mean((y - y.mean()) / scale - bowl(z))
    t = (y - y.mean()) / scale - bowl(z) - shift
    inverse = np.linalg.inv(k + noise)
    at = y.mean() + scale * (shift * trend + bowl(new) + cross @ inverse @ t)
    covariance = scale**2 * (own - cross @ inverse @ cross.T)
    mean, variance, joint = gp.jointly(new, new)
    np.testing.assert_allclose(mean, at, rtol=1e-9)
    np.testing.assert_allclose(gp.means(new), at, rtol=1e-9)
    np.testing.assert_allclose(variance, np.diag(covariance), rtol=1e-7)
    np.testing.assert_allclose(joint, covariance, atol=1e-9)
    np.testing.assert_allclose(gp.at_rows()[0], gp.means(z), rtol=1e-8)
    np.testing.assert_allclose(gp.at_rows()[1], gp.predict(z)[1], rtol=1e-6)


@pytest.mark.parametrize("smooth", [False, True])
def test_the_loss_is_the_negative_log_density_and_its_gradient_that_of_differences(smooth):
    inputs, z, y = mixed()
    form = Form(inputs.owner, inputs.category, smooth=smooth, trend=True, bowl=0.3)
    gp = GP(form, z, y, np.linspace(0.5, 2, len(y)))
    loss, slope = gp.negative_log_posterior(THETA)
    kernel = form.kernel(THETA, z, z) + math.exp(THETA[5]) * form.basis(z) @ form.basis(z).T
    cover = kernel + np.diag(math.exp(THETA[6]) * gp.mult)
    mean, sd = form.prior()
    expected = 0.5 * gp.t @ np.linalg.solve(cover, gp.t) + 0.5 * np.linalg.slogdet(cover)[1]
    expected += 0.5 * (((THETA - mean) / sd) ** 2).sum()
    assert loss == pytest.approx(expected, rel=1e-10)
    h = 1e-5
    for i in range(len(THETA)):
        up, down = THETA.copy(), THETA.copy()
        up[i] += h
        down[i] -= h
        difference = gp.negative_log_posterior(up)[0] - gp.negative_log_posterior(down)[0]
        assert slope[i] == pytest.approx(difference / (2 * h), rel=1e-5, abs=1e-6)


def test_a_fit_ends_where_the_posterior_of_its_hyperparameters_is_flat():
    inputs, z, y = mixed(30)
    gp = GP(Form(inputs.owner, inputs.category), z, y)
    before = gp.negative_log_posterior(gp.theta)[0]
    gp.fit(starts=2)
    loss, slope = gp.negative_log_posterior(gp.theta)
    assert loss == pytest.approx(gp.loss)
    assert loss < before
    inside = np.abs(slope) < 0.05
    assert inside[:-2].all()


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 25))
def test_the_kernel_over_categories_is_positive_semidefinite(seed, choices, n):
    rng = np.random.default_rng(seed)
    space = Space([Categorical("c", list(range(choices))), Real("t", 0, 1), Integer("k", 0, 3)])
    inputs = Inputs(space)
    z = inputs.features(space.from_unit(rng.random((n, 3))))
    form = Form(inputs.owner, inputs.category)
    theta = np.append(rng.uniform(-2, 2, 3), [0.0, 0.0, 0.0])
    assert np.linalg.eigvalsh(form.kernel(theta, z, z)).min() > -1e-10 * n


def test_two_choices_are_one_apart_however_many_there_are():
    inputs = Inputs(SPACE)
    x = np.array([[0.0, c, 1.0, 0.1] for c in range(3)])
    z = inputs.features(x)
    gaps = ((z[:, None] - z[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(gaps, 1 - np.eye(3), atol=1e-12)


def test_believing_a_process_in_its_own_means_changes_no_mean_and_lowers_the_variance():
    inputs, z, y = mixed()
    gp = GP(Form(inputs.owner, inputs.category), z, y).fit()
    new, probe = mixed(3, seed=2)[1], mixed(20, seed=3)[1]
    believing = gp.believing(new)
    np.testing.assert_allclose(believing.means(probe), gp.means(probe), atol=1e-7)
    assert (believing.predict(probe)[1] <= gp.predict(probe)[1] + 1e-9).all()
    assert believing.predict(new)[1].max() < gp.predict(new)[1].max()


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8), st.floats(1e-3, 1e3))
def test_the_warp_keeps_the_order_and_its_jacobian_is_the_product_of_slopes(values, c):
    y = np.array(values)
    t, jacobian = warped(y, c)
    assert (np.diff(t[np.argsort(y)]) >= 0).all()
    # d/dy log(1 + (y - low) / c) with low held fixed
    slopes = 1 / (y - y.min() + c)
    assert jacobian == pytest.approx(np.log(slopes).sum(), rel=1e-9, abs=1e-9)


def test_the_jacobian_of_the_warp_is_that_of_differences():
    y = np.array([0.0, 0.5, 2.0, 7.0])
    h = 1e-6
    up, down = y.copy(), y.copy()
    up[1:] += h
    down[1:] -= h  # the least value stays
    slopes = (warped(up, 0.3)[0] - warped(down, 0.3)[0])[1:] / (2 * h)
    expected = np.log(slopes).sum() + math.log(1 / 0.3)
    assert warped(y, 0.3)[1] == pytest.approx(expected, rel=1e-8)


def outlier(n=40):
    z = np.linspace(0, 1, n)[:, None]
    y = np.sin(4 * z[:, 0]) + 0.05 * np.random.default_rng(0).standard_normal(n)
    y[17] += 8
    return z, y


def test_em_ends_at_a_fixed_point_where_an_outlier_counts_less():
    z, y = outlier()
    form = Form(np.array([0]), np.array([False]))
    gp = GP(form, z, y).fit(starts=2)
    plain = abs(gp.means(z[17:18])[0] - math.sin(4 * z[17, 0]))
    student(gp, rounds=500)
    mean, variance = gp.at_rows()
    fixed = ((y - mean) ** 2 + variance + FREEDOM * gp.noise) / ((FREEDOM + 1) * gp.noise)
    np.testing.assert_allclose(gp.mult, fixed, rtol=1e-6)
    assert gp.mult.argmax() == 17
    assert abs(gp.means(z[17:18])[0] - math.sin(4 * z[17, 0])) < 0.5 * plain


def test_each_round_of_em_raises_the_likelihood_of_student_noise():
    """The lower bound that EM climbs: the log posterior density of the function's mode under
    Student-t noise cannot be compared directly, but the bound of each round can.
    """
    z, y = outlier()
    form = Form(np.array([0]), np.array([False]))
    gp = GP(form, z, y).fit()
    bounds = []
    for _ in range(6):
        mean, variance = gp.at_rows()
        s2 = gp.noise
        # with the precision's gamma factor at its optimum, up to constants
        expected = FREEDOM * s2 + (y - mean) ** 2 + variance
        k = gp._prior_kernel
        cover = gp.scale**2 * (k + np.diag(gp.noise / gp.scale**2 * gp.mult))
        # KL of the function's posterior to its prior
        noise = gp.noise * gp.mult
        prior = gp.scale**2 * k
        a = np.linalg.solve(cover, gp.scale * gp.t)
        trace = np.trace(np.linalg.solve(cover, np.diag(noise)))
        kl = 0.5 * (
            np.linalg.slogdet(cover)[1] - np.log(noise).sum() + trace - len(y) + a @ prior @ a
        )
        bounds.append(-0.5 * (FREEDOM + 1) * np.log(expected).sum() - kl)
        student(gp, rounds=1)
    assert (np.diff(bounds) > -1e-6).all()
    assert bounds[-1] > bounds[0]


def test_a_black_box_without_reals_is_looked_at_as_a_whole():
    space = Space([Integer("k", 0, 4), Categorical("c", ["a", "b"])])
    every = Inputs(space, lambda x: x[:, 0] != 2).every
    assert len(every) == 8
    assert len(np.unique(every, axis=0)) == 8
    assert Inputs(Space([Integer("k", 0, 10**6)])).every is None


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(1e-4, 0.5))
def test_neighbours_are_points_of_the_space(seed, scale):
    rng = np.random.default_rng(seed)
    inputs = Inputs(SPACE, lambda x: x[:, 0] < 1.5)
    x = inputs.sobol(16, rng)
    near = inputs.around(x, scale, rng)
    np.testing.assert_array_equal(near, SPACE.snap(near))
    assert (near[:, 0] < 1.5).all()
    assert len(near)


def test_points_and_unit_coordinates_are_inverse_to_one_another():
    inputs = Inputs(SPACE)
    x = SPACE.from_unit(np.random.default_rng(0).random((20, 4)))
    np.testing.assert_allclose(inputs.points(SPACE.unit(x)), x, rtol=1e-12)


def test_a_fixed_input_never_moves():
    problem = BlackBox(lambda x: x[0], [(0, 1), (2, 2)])
    inputs = Inputs(problem.space)
    near = inputs.around(np.tile([0.5, 2.0], (50, 1)), 0.2, np.random.default_rng(0))
    assert (near[:, 1] == 2).all()
    assert (near[:, 0] != 0.5).all()


def test_points_are_apart_from_rows_that_differ_by_more_than_a_millionth_in_some_input():
    inputs = Inputs(SPACE)
    row = np.array([[1.0, 1.0, 3.0, 1.0]])
    points = np.repeat(row, 4, axis=0)
    points[1, 0] += 2 * 0.9e-6  # in a range of 2
    points[2, 0] += 2 * 1.1e-6
    points[3, 1] = 2.0
    assert inputs.apart(points, row).tolist() == [False, False, True, True]
    assert inputs.apart(points, row[:0]).all()


def test_a_model_of_many_rows_is_given_the_best_and_some_of_all_others():
    values = np.random.default_rng(0).standard_normal(1000)
    chosen = some(values, 100)
    assert len(chosen) == len(set(chosen.tolist())) == 100
    assert set(np.argsort(values)[:50].tolist()) <= set(chosen.tolist())
    assert np.diff(chosen).max() < 60
    assert some(values, 2000).tolist() == list(range(1000))
