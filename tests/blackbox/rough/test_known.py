"""Descriptors of choices and an earlier study, as the models of robust-bo see them."""

from __future__ import annotations

import numpy as np
import pytest

import feasible
from feasible.blackbox import BlackBox, Categorical, Real
from feasible.blackbox.descriptors import DESCRIBED, directions
from feasible.blackbox.rough.inputs import Inputs
from feasible.blackbox.rough.model import GP
from feasible.blackbox.rough.run import RobustBO
from feasible.core.checkpoint import decode, encode
from feasible.lab.store import Store
from feasible.lab.study import Study
from feasible.lab.telling import StudyReport

POLAR = np.random.default_rng(4).permutation(np.linspace(0, 1, 31))
NAMES = [f"s{i}" for i in range(31)]


def screen(polar):
    """31 solvents, of which one property matters, and a temperature."""

    def fun(m):
        return 2 * (POLAR[NAMES.index(m["s"])] - 0.7) ** 2 + (m["t"] - 0.4) ** 2

    known = None if polar is None else {"polar": polar.tolist()}
    return BlackBox(fun, [Categorical("s", NAMES, descriptors=known), Real("t", 0, 1)])


def best_of(problem, budget, seeds=range(100, 103)):
    found = [feasible.solve(problem, "robust-bo", budget=budget, seed=s) for s in seeds]
    return np.array([r.verdict.objective for r in found])


def test_with_descriptors_the_best_of_many_choices_is_found_in_fewer_evaluations():
    without, told = best_of(screen(None), 12), best_of(screen(POLAR), 12)
    assert np.median(told) < 0.2 * np.median(without)


def test_descriptors_that_say_nothing_do_little_harm():
    useless = np.random.default_rng(9).random(31)
    without, told = best_of(screen(None), 16), best_of(screen(useless), 16)
    assert np.median(told) <= np.median(without) + 0.02


def test_many_descriptors_become_few_directions_and_a_constant_one_none():
    table = np.random.default_rng(0).random((31, 9))
    columns = {f"q{i}": c.tolist() for i, c in enumerate(table.T)} | {"same": [3.0] * 31}
    found = directions(Categorical("s", NAMES, descriptors=columns).descriptors)
    assert found.shape == (31, DESCRIBED)
    assert found.min() == 0
    assert found.max() == 1
    alone = directions(Categorical("s", NAMES, descriptors={"same": [3.0] * 31}).descriptors)
    assert alone.shape == (31, 0)
    problem = BlackBox(
        lambda m: m["t"],
        [Categorical("s", NAMES, descriptors={"same": [3.0] * 31}), Real("t", 0, 1)],
    )
    assert feasible.solve(problem, "robust-bo", budget=12, seed=100).verdict.objective < 0.01


def bowl(x, at=0.3):
    return float(np.sum((np.asarray(x) - at) ** 2))


def earlier(fun, n=30, d=4):
    x = np.random.default_rng(1).random((n, d))
    return {f"x{j + 1}": x[:, j] for j in range(d)} | {"objective": [fun(row) for row in x]}


def test_a_similar_earlier_study_saves_most_of_the_evaluations():
    without = best_of(BlackBox(bowl, [(0, 1)] * 4), 14)
    history = earlier(lambda x: 1.2 * bowl(x, 0.35) + 3)  # shifted, stretched, and a bit elsewhere
    told = best_of(BlackBox(bowl, [(0, 1)] * 4, history=history), 14)
    assert (told < 0.2 * without).all()
    first = best_of(BlackBox(bowl, [(0, 1)] * 4, history=history), 1)
    assert (first < 0.05).all()


def test_an_earlier_study_of_something_else_is_found_out():
    history = earlier(lambda x: -bowl(x), d=2)
    told = best_of(BlackBox(bowl, [(0, 1)] * 2, history=history), 15)
    assert np.median(told) < 0.01


def test_rows_of_two_tasks_are_correlated_as_much_as_the_length_says():
    problem = BlackBox(bowl, [(0, 1)] * 2, history=earlier(bowl, d=2))
    inputs = Inputs.of(problem)
    x = np.random.default_rng(0).random((5, 2))
    form = inputs.form(1e-4)
    theta = form.prior()[0]
    one, two = inputs.features(x), inputs.features(x, 1.0)
    within, across = form.kernel(theta, one, one), form.kernel(theta, one, two)
    np.testing.assert_allclose(across, within * np.exp(-0.5 * np.exp(-2 * theta[2])))
    assert within[0, 0] == pytest.approx(np.exp(theta[3]))


def test_the_gradient_by_the_correlation_is_the_slope():
    problem = BlackBox(bowl, [(0, 1)] * 2, history=earlier(bowl, d=2))
    inputs, rng = Inputs.of(problem), np.random.default_rng(0)
    z = np.vstack([inputs.features(rng.random((6, 2))), inputs.features(rng.random((8, 2)), 1.0)])
    gp = GP(inputs.form(trend=True, bowl=0.5), z, rng.random(14))
    theta = gp.form.prior()[0] + 0.2
    _, slope = gp.negative_log_posterior(theta)
    step = 1e-5 * np.eye(len(theta))
    up, down = ([gp.negative_log_posterior(theta + s * e)[0] for e in step] for s in (1, -1))
    np.testing.assert_allclose(slope, (np.array(up) - down) / 2e-5, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("noise", [False, True])
def test_with_both_a_saved_state_goes_on_bit_for_bit(noise):
    rng = np.random.default_rng(3)
    history = {"s": rng.choice(NAMES, 20), "t": rng.random(20), "objective": rng.random(20)}
    told = Categorical("s", NAMES, descriptors={"polar": POLAR.tolist()})
    problem = BlackBox(lambda m: m["t"], [told, Real("t", 0, 1)], history=history, noise=noise)
    method = RobustBO()
    state = method.init(problem, np.random.default_rng(100))
    for i in range(9):
        one = method.ask(problem, state, 1)
        method.tell(problem, state, problem.measure(one.x, np.array([i]), one.tag))
    fresh = decode(encode(state), method.init(problem, np.random.default_rng(9)))
    one, two = (method.ask(problem, s, 2).x for s in (state, fresh))
    np.testing.assert_array_equal(one, two)


def test_the_best_of_a_noisy_study_is_the_row_that_the_model_expects_and_it_says_how_sure(tmp_path):
    problem = BlackBox(None, [(-1, 2)] * 2, objective="f", noise=True)
    store = Store(str(tmp_path / "s.db"))
    budget = feasible.Budget(evaluations=30)
    study = Study.create(store, problem, RobustBO(), budget, name="n")
    rng = np.random.default_rng(0)
    for _ in range(24):
        (row,) = study.ask(1)
        lucky = 4 * (rng.random() < 0.1)
        value = bowl(row.x) + 0.1 * rng.standard_normal() - lucky
        study.tell([StudyReport(row.row, None, {"f": value})])
    rows = study.rows()
    luckiest = rows.x[rows.objective.argmin()]
    best = study.best()
    assert rows.objective.min() < -1
    assert bowl(best.x) < min(0.1, bowl(luckiest))
    assert any("expected to be best" in note and "+-" in note for note in study.result().notes)
