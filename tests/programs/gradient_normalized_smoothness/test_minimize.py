"""`gns_minimize` and SciPy's protocol: forms of functions, results, bad input."""

from __future__ import annotations

import inspect
from dataclasses import fields

import numpy as np
import pytest
import torch
from scipy import sparse as sp
from scipy.optimize import minimize, rosen, rosen_der, rosen_hess, rosen_hess_prod

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.programs import LowRank, RankOne, gns, gns_minimize
from feasible.programs.gradient_normalized_smoothness import Chebyshev, GNSSettings

START = [-1.2, 1.0, 0.5]


def test_its_defaults_are_those_of_the_settings():
    given = inspect.signature(gns_minimize).parameters
    for field in fields(GNSSettings):
        assert given[field.name].default == field.default


def test_scipys_minimize_finds_what_the_function_finds():
    alone = gns_minimize(rosen, rosen_der, START, rosen_hess, gtol=1e-6, max_iter=50)
    found = minimize(
        rosen, START, jac=rosen_der, hess=rosen_hess, method=gns, tol=1e-6, options={"maxiter": 50}
    )
    np.testing.assert_array_equal(found.x, alone.x)
    assert (found.nit, found.nfev, found.status) == (alone.nit, alone.nfev, 0)
    assert found.x == pytest.approx(np.ones(3), abs=1e-6)


def test_every_form_of_a_function_and_its_derivatives_finds_the_minimum():
    def both(x, a):
        return rosen(x) * a, rosen_der(x) * a

    def tensors(x, a):
        return a * (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    def scaled(function):
        return lambda x, *more: more[-1] * function(x, *more[:-1])

    f, g = scaled(rosen), scaled(rosen_der)
    forms = {
        "functions": {"fun": f, "jac": g, "hess": scaled(rosen_hess)},
        "fun returns both": {"fun": both, "jac": True, "hess": scaled(rosen_hess)},
        "differences": {"fun": f, "jac": None, "hess": scaled(rosen_hess)},
        "central differences": {"fun": f, "jac": "3-point", "hess": scaled(rosen_hess)},
        "products": {"fun": f, "jac": g, "hessp": scaled(rosen_hess_prod)},
        "sparse": {"fun": f, "jac": g, "hess": lambda x, a: sp.coo_matrix(a * rosen_hess(x))},
        "torch": {"fun": tensors, "jac": "torch", "hess": "torch"},
    }
    for name, form in forms.items():
        found = gns_minimize(x0=START, args=(2.0,), gtol=1e-5, **form)
        assert found.success, name
        assert found.x == pytest.approx(np.ones(3), abs=1e-4), name


def test_tensors_in_tensors_out():
    def fun(x):
        assert isinstance(x, torch.Tensor)
        return torch.cosh(x).sum()

    x0 = torch.tensor([2.0, -1.0], dtype=torch.float32)
    for form in ({"jac": None, "hess": "torch"}, {"jac": torch.sinh, "hess": torch.cosh}):
        found = gns_minimize(fun, x0=x0, gtol=1e-6, **form)
        assert found.success
        assert found.x.dtype == found.jac.dtype == torch.float32
        assert found.x.abs().max() < 1e-6


def test_without_a_hessian_it_is_a_normalised_gradient_method():
    found = gns_minimize(lambda x: x @ x, lambda x: 2 * x, [3.0, 4.0], gamma0=0.5, max_iter=1)
    np.testing.assert_allclose(found.x, [3.0 - 0.3, 4.0 - 0.4])  # a step of length gamma


def test_a_function_is_called_once_a_point_and_counts_are_those_of_calls():
    points, slopes, hessians = [], [], []

    def fun(x):
        points.append(x.tobytes())
        return rosen(x)

    def jac(x):
        slopes.append(x.tobytes())
        return rosen_der(x)

    def hess(x):
        hessians.append(x.tobytes())
        return rosen_hess(x)

    found = gns_minimize(fun, jac, START, hess)
    assert found.nfev == len(points) == len(set(points))
    assert found.njev == len(slopes) == len(set(slopes)) <= found.nfev
    assert found.nhev == len(hessians) == found.nit
    assert found.nsolve == found.nfev - 1  # a solve is followed by a value
    assert found.trace["trials"].sum() == found.nsolve
    assert set(map(len, found.trace.values())) == {found.nit + 1}


def test_differences_are_counted_as_values():
    calls = []

    def fun(x):
        calls.append(1)
        return float(np.cosh(x).sum())

    found = gns_minimize(fun, None, [1.0, 2.0], np.cosh, gtol=1e-5)
    assert found.nfev == len(calls)


def test_a_nan_outside_the_domain_shortens_the_step():
    def fun(x):
        with np.errstate(invalid="ignore"):
            return x.sum() - np.log(x).sum()

    found = gns_minimize(fun, lambda x: 1 - 1 / x, [0.01, 50.0], lambda x: x**-2.0, gamma0=1e6)
    assert found.success
    assert found.x == pytest.approx([1.0, 1.0], abs=1e-6)
    assert found.trace["trials"].max() > 5

    def raising(x):
        if x[0] > 2:
            raise ZeroDivisionError
        return (x[0] - 3) ** 2

    found = gns_minimize(raising, lambda x: 2 * (x - 3), [0.0], lambda x: np.full(1, 2.0))
    assert found.x[0] <= 2
    assert found.status == 2  # and it is said that it could not go on


def test_a_search_without_a_step_says_so_and_stays_where_it_was():
    def wrong(x):  # the gradient's sign is wrong: no step falls
        return -rosen_der(x)

    found = gns_minimize(rosen, wrong, START, rosen_hess, max_search=5)
    assert (found.success, found.status, found.nit) == (False, 2, 0)
    np.testing.assert_array_equal(found.x, START)
    lam = np.linalg.norm(rosen_der(np.array(START))) / 0.5**4
    assert found.message == f"none of 5 steps passed the test; the last was of lambda {lam:.1e}"


def test_it_ends_at_its_limits_and_says_which():
    most = gns_minimize(rosen, rosen_der, START, rosen_hess, max_iter=3)
    assert (most.status, most.nit, most.success) == (1, 3, False)
    near = gns_minimize(rosen, rosen_der, START, rosen_hess, f_star=0.0, ftol=1e-3)
    assert near.success
    assert near.fun <= 1e-3 < near.trace["f"][-2]
    there = gns_minimize(rosen, rosen_der, np.ones(2), rosen_hess, max_iter=0)
    assert (there.success, there.nit, there.nhev) == (True, 0, 0)


def test_a_callback_sees_every_step_and_may_end_it():
    seen = []
    found = gns_minimize(rosen, rosen_der, START, rosen_hess, callback=seen.append)
    assert len(seen) == found.nit
    np.testing.assert_array_equal(seen[-1], found.x)

    def third(intermediate_result):
        if intermediate_result.nit == 3:
            assert intermediate_result.fun == rosen(intermediate_result.x)
            raise StopIteration

    ended = gns_minimize(rosen, rosen_der, START, rosen_hess, callback=third)
    assert (ended.status, ended.nit, ended.success) == (99, 3, False)
    assert len(ended.trace["f"]) == 4

    def broken(x):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        gns_minimize(rosen, rosen_der, START, rosen_hess, callback=broken)


def test_whole_numbers_are_read_as_reals_and_complex_ones_refused():
    found = gns_minimize(lambda x: ((x - 0.5) ** 2).sum(), lambda x: 2 * x - 1, [3, 4])
    assert found.x == pytest.approx([0.5, 0.5])
    with pytest.raises(ArgumentTypeError, match=r"x0 holds complex128 .*a complex variable is two"):
        gns_minimize(rosen, rosen_der, [1j, 1.0], rosen_hess)


@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"x0": [np.nan, 1.0]}, NotFinite, r"x0\[0\]"),
        ({"x0": [[1.0, 2.0]]}, ShapeError, "x0 has shape"),
        ({"fun": lambda x: np.nan}, NotFinite, r"fun\(x0\) is nan"),
        ({"jac": lambda x: np.full(2, np.inf)}, NotFinite, "gradient at x0"),
        ({"jac": lambda x: np.ones(3)}, ShapeError, "jac returned 3 numbers, expected 2"),
        ({"hess": lambda x: np.eye(3)}, ShapeError, "hess has shape"),
        ({"hess": "2-point"}, ArgumentError, "hess='2-point'"),
        ({"jac": "4-point"}, ArgumentError, "jac='4-point'"),
        ({"jac": 3}, ArgumentTypeError, "jac is a int"),
        ({"fun": None}, ArgumentTypeError, "fun is a NoneType"),
        ({"callback": 3}, ArgumentTypeError, "callback is a int"),
        ({"metric": -np.eye(2)}, ArgumentError, "metric is not positive definite"),
        ({"hess": lambda x: -np.eye(2), "check_psd": True}, ArgumentError, "eigenvalue -1"),
        ({"max_iter": -1}, ArgumentError, "max_iter"),
        ({"gamma0": 0.0}, ArgumentError, "gamma0"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changed, error, match):
    given = {"fun": rosen, "jac": rosen_der, "x0": [1.2, 1.0], "hess": rosen_hess}
    with pytest.raises(error, match=match) as raised:
        gns_minimize(**(given | changed))
    assert error is ArgumentTypeError or isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"bounds": [(0, 1)] * 2}, "bounds"),
        ({"constraints": {"type": "eq", "fun": lambda x: x[0]}}, "constraints"),
        ({"options": {"gamma_0": 1.0}}, "did you mean 'gamma0'"),
    ],
)
def test_scipys_protocol_refuses_what_it_cannot_do(changed, match):
    with pytest.raises(ArgumentError, match=match):
        minimize(rosen, [0.5, 0.5], jac=rosen_der, hess=rosen_hess, method=gns, **changed)


def test_structures_of_the_hessian_save_work_and_change_no_step():
    rng = np.random.default_rng(100)
    A, b = rng.standard_normal((3, 40)), rng.standard_normal(3)

    def fun(x):
        return float(np.linalg.norm(A @ x - b) ** 4 / 4)

    def jac(x):
        u = A @ x - b
        return (u @ u) * (A.T @ u)

    def terms(x):
        u = A @ x - b
        return u @ u, A.T @ u

    for structured, full in (
        (lambda x: LowRank(A, terms(x)[0]), lambda x: terms(x)[0] * A.T @ A),
        (lambda x: RankOne(2.0, terms(x)[1]), lambda x: 2 * np.outer(*[terms(x)[1]] * 2)),
    ):
        one, other = (gns_minimize(fun, jac, np.ones(40), h, gtol=1e-4) for h in (structured, full))
        assert one.nit == other.nit
        np.testing.assert_allclose(one.x, other.x, atol=1e-9)


def test_a_chain_of_100_000_variables_costs_a_band_each_trial():
    loss = Chebyshev(4.0, 100_000)
    x0 = np.random.default_rng(101).uniform(0, 1, 100_000)
    found = gns_minimize(
        loss.value, loss.gradient, x0, lambda x: loss.hessian(x, "gauss-newton"), max_iter=5
    )
    assert found.nit == 5  # a matrix would take 80 GB
    assert (np.diff(found.trace["f"]) < 0).all()
