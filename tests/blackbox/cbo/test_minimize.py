"""CBO on its own: the loop in SciPy's manner, ask and tell."""

import math

import numpy as np
import pytest
from scipy.optimize import Bounds

from feasible.blackbox.cbo.cbo import CBO
from feasible.blackbox.cbo.minimize import cbo_minimize
from feasible.core.errors import ArgumentError, BoundsError, EvaluationFailed, NotFinite, ShapeError


def bowl(x):
    return np.sum((x - 0.3) ** 2, axis=-1)


@pytest.mark.parametrize("method", ["cbo", "cbo-memory", "hopping"])
def test_minimize_finds_the_bottom_of_a_bowl_and_spends_n_for_each_step(method):
    seen = []
    result = cbo_minimize(
        lambda x: seen.append(x.copy()) or bowl(x),
        bounds=[(-3, 3)] * 2,
        method=method,
        max_evals=10_050,
        n_particles=100,
        seed=1,
    )
    assert result.nfev == sum(map(len, seen)) == 100 * len(seen) <= 10_050
    assert result.nit == len(seen)
    assert result.consensus_path.shape == (len(seen) + 1, 2)
    assert result.fun == min(bowl(x).min() for x in seen) == bowl(result.x)
    np.testing.assert_allclose(result.consensus, 0.3, atol=0.15)
    assert all((np.abs(x) <= 3).all() for x in seen)


def test_the_same_seed_gives_the_same_answer_and_the_callers_array_is_not_kept():
    def spoil(x):
        value = bowl(x)
        x[:] = np.nan
        return value

    a, b, c = (
        cbo_minimize(f, bounds=Bounds([-3] * 2, [3] * 2), seed=s, max_evals=2000)
        for f, s in ((bowl, 5), (spoil, 5), (bowl, 6))
    )
    np.testing.assert_array_equal(a.consensus_path, b.consensus_path)
    assert (a.x != c.x).all()


def test_the_box_moves_no_particle_that_strays_less_than_half_its_width():
    low, high = np.array([-1.0, 0.2, 0.0]), np.array([1.0, 2.0, np.inf])
    x0 = np.random.default_rng(0).uniform(low, [1.0, 2.0, 3.0], (40, 3))
    shown = []

    def run(f, **options):
        method = CBO.paper(n_particles=40, dt=0.1)
        return cbo_minimize(f, x0=x0, method=method, max_evals=1000, **options)

    free = run(lambda x: shown.append(x) or bowl(np.clip(x, low, high)))
    strayed = run(bowl, bounds=Bounds(low, high))
    np.testing.assert_allclose(strayed.consensus_path, free.consensus_path, atol=1e-9)
    assert strayed.fun == pytest.approx(free.fun)
    assert ((strayed.x >= low) & (strayed.x <= high)).all()
    assert sum((x < low).any(axis=1).sum() for x in shown) > 10  # of 1,000, they did stray


@pytest.mark.parametrize("method", [CBO.paper(dt=0.1), CBO.paper(dt=0.1, memory=True)])
def test_a_minimum_in_a_corner_is_met(method):
    corner = np.array([3.0, -3.0, 3.0])
    found = [
        cbo_minimize(
            lambda x: ((x - corner) ** 2).sum(axis=1),
            bounds=[(-3, 3)] * 3,
            method=method,
            max_evals=6000,
            seed=s,
        ).fun
        for s in range(9)
    ]
    assert np.median(found) < 1e-6


def test_scalar_functions_and_nan_values_are_taken():
    def f(x):
        return math.nan if x[0] < 0 else float(bowl(x))

    result = cbo_minimize(f, x0=[1.0, 1.0], vectorized=False, max_evals=1000, n_particles=20)
    assert result.x[0] >= 0
    assert result.fun < 0.5


def test_the_loop_stops_when_contracted_or_told_to():
    done = cbo_minimize(
        bowl, bounds=[(-3, 3)] * 2, method=CBO.paper(sigma=0.0, dt=0.5), max_evals=100_000
    )
    assert (done.status, done.success) == (0, True)
    assert done.nfev < 100_000
    stopped = cbo_minimize(bowl, bounds=[(-3, 3)] * 2, callback=lambda r: r.nit >= 3)
    assert (stopped.status, stopped.nit, stopped.success) == (2, 3, False)


def test_ask_and_tell_equal_the_loop():
    swarm = CBO.paper(memory=True).start([(-3, 3)] * 2, seed=9)
    while swarm.nfev < 1000:
        x = swarm.ask()
        swarm.tell(x, bowl(x))
    np.testing.assert_array_equal(
        swarm.x,
        cbo_minimize(bowl, bounds=[(-3, 3)] * 2, method="cbo-memory", max_evals=1000, seed=9).x,
    )


def test_particles_far_from_the_minimum_travel_there():
    result = cbo_minimize(
        bowl,
        x0=[8.0, 8.0],
        method=CBO.paper(n_particles=200, sigma=1.6, noise="isotropic", spread=0.5),
        max_evals=100_000,
    )
    np.testing.assert_allclose(result.consensus, 0.3, atol=0.2)


def test_soft_memory_pays_for_the_memories_and_gradients_for_the_differences():
    counts = []

    def count(x):
        counts.append(len(x))
        return bowl(x)

    cbo_minimize(
        count,
        bounds=[(-3, 3)] * 2,
        method=CBO.paper(n_particles=10, memory=True, beta=5.0),
        max_evals=50,
    )
    assert counts == [10, 10, 10, 10, 10]
    counts.clear()
    cbo_minimize(
        count, bounds=[(-3, 3)] * 2, method=CBO.paper(n_particles=10, gamma=1.0), max_evals=110
    )
    assert counts == [10, 40, 10, 40, 10]


def test_gradient_drift_alone_is_gradient_descent():
    swarm = CBO.paper(n_particles=4, lam=0.0, sigma=0.0, gamma=1.0, lr=10.0).start(
        x0=[1.0, 2.0], seed=0
    )
    x = swarm.ask()
    swarm.tell(x, bowl(x))
    points = swarm.ask()
    swarm.tell(points, bowl(points))
    np.testing.assert_allclose(swarm.ask(), x - 0.1 * 2 * (x - 0.3), atol=1e-8)


@pytest.mark.parametrize(("partial", "others_move"), [(True, False), (False, True)])
def test_batches_move_all_particles_or_only_themselves(partial, others_move):
    swarm = CBO.paper(n_particles=20, batch=5, partial=partial, alpha=1.0).start([(-3, 3)] * 2)
    before = swarm._state.x.copy()
    x = swarm.ask()
    assert x.shape == (5, 2)
    turn = swarm._state.turn
    swarm.tell(x, bowl(x))
    changed = (swarm._state.x != before).any(axis=1)
    assert changed[turn].all()
    assert np.delete(changed, turn).any() == others_move


def test_cooling_and_reduction_follow_the_epochs():
    swarm = CBO.paper(n_particles=40, batch=4, cooling=True, reduce=True, sigma=1.0, dt=0.5).start(
        [(-3, 3)] * 2
    )
    for _ in range(10):
        x = swarm.ask()
        swarm.tell(x, bowl(x))
    assert swarm._state.sigma == pytest.approx(1 / math.log2(3))
    assert swarm._state.alpha == 2000
    for _ in range(100):
        x = swarm.ask()
        swarm.tell(x, bowl(x))
    assert len(swarm._state.x) < 40
    assert len(swarm._state.x) % 4 == 0


def test_a_stalled_swarm_is_shaken():
    swarm = CBO.paper(n_particles=10, sigma=0.5, dt=1.0, restart=1e-5, patience=1).start(
        [(-3, 3)] * 2
    )
    spreads = []
    for _ in range(300):
        x = swarm.ask()
        swarm.tell(x, bowl(x))
        spreads.append(swarm.spread)
    low = int(np.argmin(spreads))
    assert max(spreads[low:]) > 0.05


@pytest.mark.parametrize(
    "settings",
    [
        {"n_particles": 1},
        {"n_particles": 2.5},
        {"dt": 0.5, "lam": 4.1},
        {"alpha": math.inf},
        {"alpha": math.nan},
        {"dt": 0.0},
        {"grow": 0.5},
        {"sigma": -1.0},
        {"noise": "white"},
        {"walls": "open"},
        {"alpha_schedule": "ess:2"},
        {"alpha_schedule": "fast"},
        {"batch": 1},
        {"batch": 99},
        {"spread": 0.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ArgumentError, match=next(iter(settings))):
        CBO(**settings)


@pytest.mark.parametrize(
    ("error", "match", "options"),
    [
        (BoundsError, "low < high", {"bounds": [(1, 1)]}),
        (BoundsError, "cross", {"bounds": [(2, 1)]}),
        (BoundsError, "infinity", {"bounds": [(0, math.inf)]}),
        (ArgumentError, "both absent", {}),
        (ShapeError, "x0 has shape", {"bounds": [(0, 1)] * 2, "x0": [1.0]}),
        (NotFinite, "x0", {"x0": [math.nan]}),
        (ArgumentError, "max_evals", {"bounds": [(0, 1)], "max_evals": 0}),
        (ArgumentError, "max_evals", {"bounds": [(0, 1)], "max_evals": 99}),
        (ArgumentError, "method", {"bounds": [(0, 1)], "method": "pso"}),
        (ArgumentError, "n_particles", {"bounds": [(0, 1)], "method": CBO(), "n_particles": 5}),
    ],
)
def test_minimize_refuses_bad_arguments(error, match, options):
    with pytest.raises(error, match=match):
        cbo_minimize(bowl, **options)


@pytest.mark.parametrize(
    ("error", "f"),
    [
        (ShapeError, lambda x: x),
        (ShapeError, lambda x: 1.0),
        (EvaluationFailed, lambda x: np.full(len(x), np.nan)),
    ],
)
def test_wrong_values_are_refused(error, f):
    with pytest.raises(error):
        cbo_minimize(f, bounds=[(0, 1)] * 2)
