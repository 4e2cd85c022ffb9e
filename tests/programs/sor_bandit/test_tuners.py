"""The learners: their weights and fits from the mathematics, what they learn, and their turns."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, Pending
from feasible.programs import BinnedTsallisINF, ChebCB, TsallisINF
from feasible.programs.sor_bandit.compiled import bounded, chebyshev, fit, predict, tsallis

GRID = [1.0, 1.4, 1.8]


def made(name, seed=0, grid=GRID):
    return {
        "tsallis": lambda: TsallisINF(grid, seed=seed),
        "binned": lambda: BinnedTsallisINF(grid, (0, 1), seed=seed),
        "chebcb": lambda: ChebCB(grid, (0, 1), seed=seed),
    }[name]()


NAMES = ("tsallis", "binned", "chebcb")


@pytest.mark.parametrize("top", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("t", [1, 100, 10**6])
def test_tsallis_weights_are_the_formulas_and_sum_to_1(top, t):
    rng = np.random.default_rng(3)
    for _ in range(50):
        losses, w, eta = top * rng.random(20), np.empty(20), 2 / t**0.5
        tsallis(losses, 1.0, eta, w)
        assert abs(w.sum() - 1) < 1e-10
        # one x for all: 2 / (eta sqrt(w_i)) = K_i - x
        x = losses - 2 / (eta * np.sqrt(w))
        assert np.ptp(x) <= 1e-8 * max(top, 1 / eta)


def test_equal_losses_make_equal_weights():
    w = np.empty(20)
    tsallis(np.full(20, 7e5), 3.0, 0.01, w)
    np.testing.assert_allclose(w, 0.05, rtol=1e-9)


def test_inverse_gap_weights_are_probabilities():
    rng = np.random.default_rng(4)
    for eta in (1e-3, 1.0, 1e6):
        theta, phi, y, w = rng.standard_normal((20, 6)), np.empty(6), np.empty(20), np.empty(20)
        chebyshev(rng.uniform(-1, 1), phi)
        predict(theta, phi, eta, y, w)
        assert w.min() >= 0
        assert w.sum() == pytest.approx(1, abs=1e-12)
        assert w[y.argmin()] == w.max()
    predict(theta, phi, 0.0, y, w)
    np.testing.assert_allclose(w, 0.05)


def test_chebyshev_features_are_cosines():
    phi = np.empty(6)
    chebyshev(np.cos(0.7), phi)
    np.testing.assert_allclose(phi, np.cos(0.7 * np.arange(6)), atol=1e-14)


def test_a_fit_is_the_shortest_least_squares_solution_or_the_best_within_bounds():
    rng = np.random.default_rng(5)
    within = 0
    for rows in (1, 3, 6, 40):
        for size in (0.01, 1.0):
            phi = np.cos(np.outer(np.arccos(rng.uniform(-1, 1, rows)), np.arange(6)))
            losses, upper = size * rng.random(rows) * 50, np.array([0.5, 2, 1, 0.7, 0.5, 0.4])
            theta = np.zeros(6)
            left = fit(phi.T @ phi, phi.T @ losses, losses @ losses, 10.0, upper, theta)
            free = np.linalg.lstsq(phi, losses / 10, rcond=1e-6)[0]
            if (np.abs(free) <= upper).all():
                assert left == -1
                np.testing.assert_allclose(theta, free, atol=1e-6)
                continue
            within += 1
            best = lsq_linear(phi, losses / 10, (-upper, upper), tol=1e-14)
            assert (np.abs(theta) <= upper).all()
            assert left == pytest.approx(2 * best.cost, abs=1e-9)
            if rows >= 6:
                np.testing.assert_allclose(theta, best.x, atol=1e-6)
    assert 2 <= within <= 6


def test_coordinate_descent_finds_the_free_minimum_within_wide_bounds():
    rng = np.random.default_rng(6)
    phi, theta = rng.standard_normal((40, 6)), np.zeros(6)
    y = rng.standard_normal(40)
    bounded(phi.T @ phi, phi.T @ y, np.full(6, 1e3), theta)
    np.testing.assert_allclose(theta, np.linalg.lstsq(phi, y)[0], atol=1e-11)


def losses(omega, c):
    """Linear in the context: which omega is best depends on it."""
    return 20 + 60 * abs(c - {1.0: 0.0, 1.4: 0.5, 1.8: 1.0}[omega])


def test_chebcb_finds_the_best_action_of_each_context():
    tuner = ChebCB([1.0, 1.8], (0, 1), seed=100)
    contexts = np.random.default_rng(7).random(1500)
    for c in contexts:
        tuner.tell(losses(tuner.ask(c), c))
    for c in (0.05, 0.3, 0.7, 0.95):
        assert tuner.probabilities(c).argmax() == (c > 0.5)
        assert tuner.probabilities(c).max() > 0.9


def test_bins_learn_an_action_each_and_no_context_the_one_of_all():
    binned, plain = BinnedTsallisINF(GRID, (0, 1), bins=4, seed=100), TsallisINF(GRID, seed=100)
    for c in np.random.default_rng(8).random(3000):
        binned.tell(losses(binned.ask(c), c))
        plain.tell(losses(plain.ask(), c))
    assert binned.probabilities(0.1).argmax() != binned.probabilities(0.9).argmax()
    assert plain.probabilities().argmax() == 1


def test_a_learner_takes_a_seconds_cost_where_the_least_is_0():
    tuner = TsallisINF(GRID, seed=0, least=0.0)
    for _ in range(400):
        tuner.tell(0.002 if tuner.ask() == 1.4 else 0.006)
    assert tuner.probabilities().argmax() == 1


@pytest.mark.parametrize("name", NAMES)
def test_costs_of_one_do_no_harm(name):
    tuner = made(name)
    for _ in range(20):
        tuner.ask(0.5)
        tuner.tell(0)  # counts as the least cost, 1
    assert np.isfinite(tuner.probabilities(0.5)).all()
    assert tuner.probabilities(0.5).sum() == pytest.approx(1)


@pytest.mark.parametrize("name", NAMES)
def test_asking_and_telling_take_turns(name):
    tuner = made(name)
    with pytest.raises(ArgumentError, match="ask first"):
        tuner.tell(3)
    tuner.ask(0.5)
    with pytest.raises(Pending):
        tuner.ask(0.5)
    with pytest.raises(NotFinite, match="cost=nan"):
        tuner.tell(np.nan)
    tuner.tell(3)
    assert tuner.round == 1


def play(tuner, rounds=60):
    asked = []
    for c in np.random.default_rng(9).random(rounds):
        asked.append(tuner.ask(c))
        tuner.tell(losses(asked[-1], c))
    return asked


@pytest.mark.parametrize("name", NAMES)
def test_a_learner_goes_on_from_its_state_as_json_or_pickled(name):
    tuner = made(name)
    play(tuner)
    saved, pickled = json.loads(json.dumps(tuner.state_dict())), pickle.dumps(tuner)
    wanted = play(tuner)
    assert play(made(name, seed=5).load_state_dict(saved)) == wanted
    assert play(pickle.loads(pickled)) == wanted
    assert play(made(name)) != wanted


def test_the_state_of_another_learner_is_refused():
    with pytest.raises(ArgumentError, match="expected those of a TsallisINF of 3 actions"):
        made("tsallis").load_state_dict(made("chebcb").state_dict())
    with pytest.raises(ArgumentError, match="of 3 actions"):
        made("tsallis").load_state_dict(TsallisINF().state_dict())


def test_a_context_beyond_its_bounds_is_moved_to_them_with_a_warning():
    for name in ("binned", "chebcb"):
        tuner = made(name)
        play(tuner)
        with pytest.warns(RuntimeWarning, match="context=7 lies outside"):
            beyond = tuner.probabilities(7.0)
        np.testing.assert_array_equal(beyond, tuner.probabilities(1.0))
        with pytest.raises(ArgumentError, match="context=None"):
            tuner.ask()
        with pytest.raises(NotFinite, match="context=nan"):
            tuner.ask(np.nan)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ArgumentError, lambda: TsallisINF([])),
        (ArgumentError, lambda: TsallisINF([[1.0]])),
        (NotFinite, lambda: TsallisINF([1.0, np.nan])),
        (ArgumentTypeError, lambda: TsallisINF("wide")),
        (ArgumentError, lambda: ChebCB(GRID, (1, 1))),
        (ArgumentTypeError, lambda: ChebCB(GRID, 3)),
        (ArgumentError, lambda: ChebCB(GRID, (0, 1), features=0)),
        (ArgumentError, lambda: BinnedTsallisINF(GRID, (0, 1), bins=0)),
        (ArgumentTypeError, lambda: TsallisINF(GRID, seed="a")),
    ],
)
def test_bad_settings_are_refused(error, call):
    with pytest.raises(error):
        call()
