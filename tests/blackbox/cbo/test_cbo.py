import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import Bounds, NonlinearConstraint

from feasible.blackbox.cbo.cbo import CBO
from feasible.blackbox.cbo.consensus import (
    Walls,
    alpha_for_size,
    consensus,
    differences,
    drift_and_diffuse,
    effective_size,
    finite_energy,
    gradient,
)
from feasible.blackbox.cbo.descent import GradientDescent, Langevin
from feasible.blackbox.cbo.hopping import Hopping, hop, smoothed_gradient
from feasible.blackbox.cbo.minimize import cbo_minimize
from feasible.blackbox.cbo.penalty import Penalty
from feasible.blackbox.cbo.swarm import Swarm
from feasible.blackbox.problem import BlackBox
from feasible.blackbox.space import Integer, Real
from feasible.core.budget import Budget, Meter
from feasible.core.checkpoint import decode, encode
from feasible.core.errors import ArgumentError, BoundsError, EvaluationFailed, NotFinite, ShapeError
from feasible.core.evaluating import RunOptions
from feasible.core.ledger import concatenate
from feasible.core.run import Run, run

METHODS = [
    CBO(),
    CBO(memory=True),
    CBO(memory=True, beta=10.0),
    CBO(gamma=1.0, n_particles=6),
    CBO(batch=6, n_particles=20),
    CBO(batch=5, partial=True, n_particles=20, cooling=True, reduce=True),
    CBO(memory=True, batch=6, n_particles=20),
    CBO(noise="isotropic"),
    CBO(walls="reflect"),
    CBO.paper(n_particles=20),
    Hopping(n_particles=20),
    Hopping(n_particles=20, scale=True, s=0.2, cooling=0.9, cool_every=2),
    GradientDescent(),
    Langevin(),
]
energies = hnp.arrays(float, st.integers(2, 30), elements=st.floats(-1e3, 1e3))


def bowl(x):
    return np.sum((x - 0.3) ** 2, axis=-1)


def solve(problem, method, evaluations=600, seed=7, **options):
    budget = Budget(evaluations=evaluations)
    return run(Run(problem, method, budget, seed, Meter(budget), options=RunOptions(**options)))


def box(d=3, **options):
    return BlackBox(bowl, bounds=[(-2, 2)] * d, vectorized=True, **options)


# -- the consensus point ---------------------------------------------------------------------------


@given(energies, st.floats(0, 1e15))
def test_consensus_lies_in_the_hull_and_ignores_a_constant(e, alpha):
    x = np.random.default_rng(0).standard_normal((len(e), 3))
    m = consensus(x, e, alpha)
    assert (m >= x.min(axis=0) - 1e-9).all()
    assert (m <= x.max(axis=0) + 1e-9).all()
    e = np.round(e)  # whole numbers, so that adding 2^20 loses nothing
    np.testing.assert_allclose(consensus(x, e, alpha), consensus(x, e + 2.0**20, alpha), rtol=1e-12)


@given(energies)
def test_consensus_is_the_mean_at_alpha_0_and_the_best_at_a_huge_alpha(e):
    x = np.random.default_rng(0).standard_normal((len(e), 3))
    np.testing.assert_allclose(consensus(x, e, 0.0), x.mean(axis=0), atol=1e-12)
    e = e + 1e-3 * np.arange(len(e))
    best = e == e.min()
    if np.partition(e, 1)[1] - e.min() > 1e-9:
        np.testing.assert_allclose(consensus(x, e, 1e15), x[best].mean(axis=0), atol=1e-12)


def test_particles_of_infinite_energy_have_no_weight():
    x = np.arange(8.0).reshape(4, 2)
    e = finite_energy(np.array([np.nan, 1.0, np.inf, 1.0]))
    for alpha in (0.0, 1.0, 1e15):
        np.testing.assert_allclose(consensus(x, e, alpha), x[[1, 3]].mean(axis=0))


@given(energies, st.floats(0.05, 0.95), st.floats(1e-6, 1e6))
def test_effective_size_is_met_whatever_the_scale_of_the_energy(e, fraction, scale):
    e = np.unique(np.round(e, 3)) * scale
    if len(e) >= 2 and fraction * len(e) > 1.01:
        assert effective_size(e, alpha_for_size(e, fraction)) == pytest.approx(
            fraction * len(e), rel=5e-3
        )


def test_effective_size_of_equal_or_tied_energies_does_not_fail():
    assert alpha_for_size(np.ones(5), 0.5, start=3.0) == 3.0
    e = np.array([0.0, 0.0, 0.0, 1.0])
    assert effective_size(e, alpha_for_size(e, 0.5)) == pytest.approx(3)
    assert math.isfinite(alpha_for_size(np.array([0.0, 1.0, np.inf, np.inf]), 0.75))


# -- one step --------------------------------------------------------------------------------------


def moved(x, m, seed=0, **options):
    x, options = x.copy(), {"pull": 0.1, "push": 0.5, "isotropic": False} | options
    xi = np.random.default_rng(seed).standard_normal(x.shape)
    drift_and_diffuse(x, m, xi, np.empty_like(x), **options)
    return x


@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_a_step_is_translation_equivariant(isotropic, after):
    x = np.random.default_rng(1).standard_normal((20, 4))
    m, shift = x.mean(axis=0), np.array([3.0, -2.0, 0.5, 10.0])
    both = [
        moved(x + t, m + t, isotropic=isotropic, noise_after_drift=after) - t for t in (0.0, shift)
    ]
    np.testing.assert_allclose(both[0], both[1], atol=1e-12)


def test_without_noise_distances_shrink_by_the_drift_and_vanish_at_lambda_dt_1():
    x = np.random.default_rng(1).standard_normal((20, 4))
    m = x.mean(axis=0)
    np.testing.assert_allclose(moved(x, m, push=0.0) - m, 0.9 * (x - m), atol=1e-14)
    np.testing.assert_allclose(moved(x, m, pull=1.0, push=0.0), np.tile(m, (20, 1)), atol=1e-14)


def test_a_coordinate_in_which_all_agree_moves_under_isotropic_noise_only():
    x = np.random.default_rng(1).standard_normal((20, 3))
    x[:, 1] = 0.25
    assert (moved(x, np.array([0.0, 0.25, 0.0]))[:, 1] == 0.25).all()
    assert (moved(x, np.array([0.0, 0.25, 0.0]), isotropic=True)[:, 1] != 0.25).all()


@pytest.mark.parametrize("n", [1, 5])
def test_a_lone_particle_and_identical_particles_stay(n):
    x = np.tile([1.0, -2.0], (n, 1))
    for isotropic in (True, False):
        np.testing.assert_allclose(
            moved(x, consensus(x, np.arange(float(n)), 3.0), isotropic=isotropic), x, rtol=1e-14
        )


@pytest.mark.parametrize(
    ("isotropic", "growth"),
    [
        (False, lambda lam, dt, sigma, d: (1 - lam * dt) ** 2 + sigma**2 * dt),
        (True, lambda lam, dt, sigma, d: (1 - lam * dt) ** 2 + sigma**2 * dt * d),
    ],
)
def test_one_step_in_mean_square(isotropic, growth):
    lam, dt, sigma, d = 1.0, 0.05, 1.3, 3
    away = np.array([0.5, -1.0, 2.0])
    x = moved(
        np.tile(away, (200_000, 1)),
        np.zeros(d),
        pull=lam * dt,
        push=sigma * math.sqrt(dt),
        isotropic=isotropic,
    )
    assert (x * x).sum(axis=1).mean() == pytest.approx(
        growth(lam, dt, sigma, d) * away @ away, rel=0.01
    )


def test_noise_after_drift_scales_the_noise_by_what_is_left():
    x = np.random.default_rng(1).standard_normal((5, 2))
    m, xi = np.zeros(2), np.random.default_rng(0).standard_normal((5, 2))
    np.testing.assert_allclose(
        moved(x, m, noise_after_drift=True), 0.9 * x + 0.5 * (0.9 * x) * xi, atol=1e-14
    )


# -- walls -----------------------------------------------------------------------------------------


@given(hnp.arrays(float, (6, 3), elements=st.floats(-50, 50)), st.booleans())
def test_confined_points_lie_in_the_box_and_inner_points_do_not_move(x, reflect):
    walls = Walls(np.array([-1.0, 0.0, -np.inf]), np.array([1.0, np.inf, np.inf]), reflect)
    y = x.copy()
    walls.confine(y, np.zeros(3))
    assert ((y >= walls.low) & (y <= walls.high)).all()
    inside = ((x >= walls.low) & (x <= walls.high)).all(axis=1)
    np.testing.assert_array_equal(y[inside], x[inside])


def test_reflection_mirrors_at_the_wall():
    x = np.array([[1.25], [-1.5], [3.25]])
    Walls(-1.0, 1.0, True).confine(x, np.zeros(1))
    np.testing.assert_allclose(x, [[0.75], [-0.5], [-0.75]])


def test_a_step_out_of_the_allowed_set_is_shortened():
    disc = Walls(-2.0, 2.0, False, lambda x: (x**2).sum(axis=1) <= 1)
    old = np.array([[0.5, 0.0], [0.0, 1.0]])
    x = np.array([[1.9, 0.0], [0.0, 1.5]])
    disc.confine(x, old)
    assert disc.allowed(x).all()
    assert 0.5 < x[0, 0] <= 1
    assert x[1, 1] == pytest.approx(1.0, abs=1e-3)


def test_differences_of_a_quadratic_are_its_gradient_also_at_a_wall():
    x = np.array([[0.2, -0.7], [0.0, 1.0]])
    points = differences(x, 1e-3, Walls(-1.0, 1.0))
    assert points.shape == (8, 2)
    g = gradient(points, (points**2).sum(axis=1), 2)
    np.testing.assert_allclose(g, 2 * x, atol=2e-3)
    assert gradient(points, np.full(8, np.inf), 2).tolist() == [[0, 0], [0, 0]]


# -- hopping ---------------------------------------------------------------------------------------


def quadratic(x):
    return 1.5 * (x**2).sum(axis=1)


def test_a_hop_on_a_quadratic_is_the_proximal_step():
    x, exact = np.array([1.0, -2.0]), np.array([1.0, -2.0]) / (1 + 2 * 3 * 0.09)
    np.testing.assert_allclose(
        hop(quadratic, x, 0.3, 2.0, 40, rule="gauss-hermite"), exact, atol=1e-8
    )
    np.testing.assert_allclose(hop(quadratic, x, 0.3, 2.0, 1_000_000), exact, atol=1e-2)


def test_smoothed_gradient_is_the_gradient_of_the_smoothed_energy():
    def energy(x):
        return np.sin(3 * x[:, 0]) + x[:, 0] ** 2

    s, alpha = 0.4, 1.5
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)

    def smoothed(x):
        return (
            -math.log(weights @ np.exp(-alpha * energy(x + s * nodes[:, None])) / weights.sum())
            / alpha
        )

    slope = (smoothed(0.7 + 1e-5) - smoothed(0.7 - 1e-5)) / 2e-5
    assert smoothed_gradient(energy, [0.7], s, alpha, 60, rule="gauss-hermite")[0] == pytest.approx(
        slope, abs=1e-6
    )


def test_hopping_is_cbo_with_full_drift_and_constant_noise():
    swarm = Swarm(Hopping(n_particles=50, s=0.1, alpha=10.0), [(-5, 5)] * 2, [2.0, 1.0], seed=3)
    x = swarm.ask()
    np.testing.assert_allclose(x.mean(axis=0), [2, 1], atol=0.1)
    swarm.tell(x, bowl(x))
    np.testing.assert_allclose(swarm.consensus, consensus(x, bowl(x), 10.0))


@pytest.mark.parametrize(
    "call",
    [
        lambda: hop(quadratic, [1.0], -1.0, 1.0),
        lambda: hop(quadratic, [1.0], 1.0, math.inf),
        lambda: hop(quadratic, [1.0], 1.0, 1.0, 1),
        lambda: hop(lambda x: x, [1.0], 1.0, 1.0),
        lambda: smoothed_gradient(quadratic, [1.0], 1.0, 0.0),
        lambda: hop(quadratic, [1.0], 1.0, 1.0, rule="simpson"),
    ],
)
def test_hop_refuses_bad_arguments(call):
    with pytest.raises(ArgumentError):
        call()


# -- native ----------------------------------------------------------------------------------------


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


# -- as methods ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_every_method_improves_a_bowl_inside_its_budget(method):
    result = solve(box(), method, 600)
    assert result.spent["evaluations"] <= 600
    assert result.verdict.objective < 0.27 or isinstance(method, (GradientDescent, Langevin))
    assert (np.abs(np.concatenate([b.x for b in result.ledger.batches])) <= 2).all()


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_checkpoint_goes_on_bit_for_bit(method):
    problem = BlackBox(
        lambda x: (bowl(x), 0.5 - x[:, :2].sum(axis=1)[:, None]),
        bounds=[(-2, 2)] * 3,
        limits=["<= 0"],
        vectorized=True,
    )

    def steps(state, k):
        for _ in range(k):
            method.step(problem, state)
        return state

    whole = steps(method.init(problem, np.random.default_rng(4)), 12)
    half = encode(steps(method.init(problem, np.random.default_rng(4)), 5))
    resumed = steps(decode(half, method.init(problem, np.random.default_rng(99))), 7)
    np.testing.assert_array_equal(method.ask(problem, whole).x, method.ask(problem, resumed).x)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("order", ["forward", "shuffled"])
def test_outcomes_may_come_back_partly_and_in_any_order(method, order):
    problem = box()
    rng = np.random.default_rng(0)
    together, apart = (method.init(problem, np.random.default_rng(4)) for _ in range(2))
    for _ in range(4):
        method.step(problem, together)
        left, parts = len(apart.generation.x), []
        while left:
            p = method.ask(problem, apart, min(4, left))
            left -= len(p.x)
            parts += [
                problem.measure(p.x[i : i + 1], np.array([-1]), p.tag[i : i + 1])
                for i in range(len(p.x))
            ]
        for i in rng.permutation(len(parts)) if order == "shuffled" else range(len(parts)):
            method.tell(problem, apart, parts[i])
    np.testing.assert_array_equal(method.ask(problem, together).x, method.ask(problem, apart).x)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_asking_on_gives_spare_proposals_and_freezes_nothing(method):
    problem = BlackBox(
        bowl, bounds=[(-2, 2)] * 3, vectorized=True, known=lambda x: x.sum(axis=1) <= 3
    )
    state = method.init(problem, np.random.default_rng(4))
    tags: set[int] = set()
    for _ in range(3):
        first = method.ask(problem, state)
        spare = [method.ask(problem, state, 3), method.ask(problem, state)]
        for p in (first, *spare):
            assert problem.allowed(p.x).all()
            assert (np.abs(p.x) <= 2).all()
            assert not tags & set(p.tag.tolist())
            tags |= set(p.tag.tolist())
        rows = [problem.measure(p.x, np.full(len(p.x), -1), p.tag) for p in (*spare, first)]
        method.tell(problem, state, concatenate(rows))


@pytest.mark.parametrize("method", [CBO(), CBO(memory=True)])
def test_a_better_foreign_point_takes_the_place_of_the_worst(method):
    problem = box()
    state = method.init(problem, np.random.default_rng(4))
    gift = np.full((1, 3), 0.3)
    method.tell(problem, state, problem.measure(gift, np.array([-1]), np.array([-1])))
    p = method.ask(problem, state)
    method.tell(problem, state, problem.measure(p.x, np.full(len(p.x), -1), p.tag))
    assert state.cloud.f.min() == pytest.approx(0.0, abs=1e-20)
    assert len(state.generation.guests) == 0


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_failures_are_survived_also_when_everything_fails(method):
    calls = []

    def f(x):
        calls.append(len(x))
        return np.full(len(x), np.nan) if len(calls) < 4 else np.where(x[:, 0] > 1, np.nan, bowl(x))

    result = solve(
        BlackBox(f, bounds=[(-2, 2)] * 2, vectorized=True, repeats="charged"),
        method,
        300,
        on_failure="skip",
    )
    assert np.isfinite(result.verdict.objective) or isinstance(method, GradientDescent)


@pytest.mark.parametrize("method", [CBO(), CBO(memory=True)])
@pytest.mark.parametrize("scale", [1.0, 1e5])
def test_constraints_are_met_whatever_their_scale(method, scale):
    problem = BlackBox(
        lambda x: 1e3 * float(x @ x),
        bounds=[(0, 1)] * 2,
        constraints=[NonlinearConstraint(lambda x: scale * (x[0] + x[1] - 0.5), 0, np.inf)],
    )
    result = solve(problem, method, 1000)
    assert result.verdict.feasible
    assert result.verdict.objective < 1e3 * 0.125 * 1.02


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_whole_numbers_and_known_constraints_are_obeyed(method):
    problem = BlackBox(
        lambda x: (x[0] - 2.2) ** 2 + x[1] ** 2,
        variables=[Integer("n", 0, 9), Real("r", 1e-3, 10, log=True)],
        known=lambda x: x[:, 0] >= 2 * x[:, 1],
    )
    rows = solve(problem, method, 200).ledger.all()
    assert problem.allowed(rows.x).all()
    assert (rows.x[:, 0] == np.round(rows.x[:, 0])).all()
    assert "forbidden" not in "".join(rows.reason.values())


def test_open_problems_start_about_x0():
    problem = BlackBox(bowl, bounds=[(-np.inf, np.inf)] * 2, x0=[8.0, 8.0], vectorized=True)
    state = CBO.paper(spread=0.5, n_particles=200).init(problem, np.random.default_rng(0))
    np.testing.assert_allclose(state.generation.x.mean(axis=0), 8, atol=0.2)
    np.testing.assert_allclose(state.generation.x.std(axis=0), 0.5, atol=0.1)


def test_a_contracted_swarm_without_restarts_says_so():
    result = solve(box(repeats="charged"), CBO(restart=None, sigma=0.1), 100_000)
    assert "contracted" in result.stopped


def test_gradient_descent_follows_the_exact_iteration_and_costs_2_d():
    problem = box(x0=[1.0, 1.5, -1.0], repeats="charged")
    method = GradientDescent(dt=0.1)
    state = method.init(problem, np.random.default_rng(0))
    x = problem.x0.copy()
    for _ in range(10):
        assert len(state.generation.x) == 6
        method.step(problem, state)
        x = x - 0.1 * 2 * (x - 0.3)
        np.testing.assert_allclose(state.cloud.x, x, atol=1e-9)
    assert "stationary" in solve(problem, method, 10_000).stopped


def test_langevin_noise_falls_with_the_logarithm_of_the_step():
    method = Langevin(dt=0.01, sigma=2.0)
    state = method.init(box(), np.random.default_rng(0))
    for k in (1, 1000):
        state.cloud.k = k
        draws = np.array([method.shake(state.cloud) for _ in range(4000)])
        assert draws.std() == pytest.approx(2 / math.log(k + 1) * 0.1, rel=0.05)


@pytest.mark.parametrize("bad", [{"dt": 0.0}, {"lr": math.nan}, {"h": -1.0}, {"tol": -1.0}])
def test_descent_refuses_bad_settings(bad):
    for kind in (GradientDescent, Langevin):
        with pytest.raises(ArgumentError):
            kind(**bad)


# -- penalty ---------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.floats(1e-5, 1e5), st.floats(1e-5, 1e5))
def test_the_order_of_penalised_points_does_not_depend_on_units(a, b):
    rng = np.random.default_rng(0)
    f, g = rng.standard_normal(30), rng.standard_normal((30, 2))
    orders = []
    for s, t in ((1.0, 1.0), (a, b)):
        penalty = Penalty(3.0)
        penalty.learn(t * f, s * g, 1.0)
        orders.append(np.argsort(penalty.energy(t * f, s * g)).tolist())
    assert orders[0] == orders[1]


def test_failed_points_are_infinite_and_points_without_objective_rank_by_violation():
    f = np.array([1.0, 2.0, np.nan, np.nan, np.nan])
    g = np.array([[-1.0], [0.5], [0.1], [3.0], [np.nan]])
    penalty = Penalty(1.0)
    penalty.learn(f, g, 1.0)
    e = penalty.energy(f, g)
    assert not np.isnan(e).any()
    assert e[4] == np.inf
    assert e[0] < e[1]
    assert max(e[0], 2.0) <= e[2] < e[3] < np.inf


# -- restarts, and the claim -----------------------------------------------------------------------


@pytest.mark.parametrize("memory", [True, False])
def test_restarts_double_the_particles_and_stay_in_the_box(memory):
    problem = box(repeats="charged")
    method = CBO(memory=memory)
    state = method.init(problem, np.random.default_rng(0))
    sizes = []
    for _ in range(250):
        method.step(problem, state)
        sizes.append(len(state.generation.x))
    assert sorted(set(sizes))[:3] == [15, 30, 60]
    assert (np.abs(state.generation.x) <= 2).all()


def trial(problem, method, seed, answer, objective, seconds=1.0):
    from feasible.lab.trials import Trial

    return Trial(
        problem,
        method,
        seed,
        objective=objective,
        violation=0.0,
        feasible=True,
        seconds=seconds,
        answer=answer,
    )


@pytest.mark.parametrize("good", [True, False])
def test_the_claim_is_read_off_the_races(good):
    from feasible.blackbox.cbo.claim import CANYON, claim
    from feasible.lab.trials import Contest, Race

    there, away, seeds = [0.1, 0.2], [2.3, 2.5], list(range(5))
    winners = (
        {"cbo", "hopping s=0.7"} if good else {"hopping s=0.4", "gradient-descent", "langevin"}
    )

    def canyon_race(name, methods):
        trials = [
            trial(CANYON, m, s, there if m in winners else away, 1.0)
            for m in methods
            for s in seeds
        ]
        return Race(name, [Contest(CANYON)], methods, seeds, {}, trials)

    two = ["cbo (published settings)", "cbx (same settings)"]
    rates = dict(zip(two, (0.1, 9.0) if good else (9.0, 0.1), strict=True))
    races = {
        "canyon": canyon_race("canyon", ["cbo", "hopping s=0.7", "hopping s=0.4"]),
        "canyon, gradients": canyon_race("canyon, gradients", ["gradient-descent", "langevin"]),
        "same settings": Race(
            "same settings",
            [Contest("ackley-4d")],
            two,
            seeds,
            {},
            [trial("ackley-4d", m, s, there, rates[m], 0.1 + rates[m]) for m in two for s in seeds],
        ),
    }
    if good:
        races["same settings"].trials[:] = [
            trial("ackley-4d", m, s, there, rates[m], 1.0 if m == two[0] else 2.0)
            for m in two
            for s in seeds
        ]
    parts = claim.check(races)
    assert len(parts) == 7
    assert [p.holds for p in parts] == [good] * 7


@pytest.mark.parametrize("scale", ["smoke", "desk", "paper"])
def test_the_claims_experiments_are_built_for_every_scale(scale):
    from feasible.blackbox.cbo.claim import claim

    for e in claim.experiments(scale, (0, 1, 2, 3, 4)):
        assert e.budget["evaluations"] > 0
        assert len({p.name for p in e.problems}) == len(e.problems)


@pytest.mark.parametrize("method", [CBO(n_particles=20), Hopping(n_particles=20)])
def test_a_budget_in_which_nothing_moves_is_warned_of(method):
    import feasible

    problem = feasible.blackbox.instances.get("sphere", d=2)
    assert any(
        "needs at least 21 evaluations" in note
        for note in feasible.solve(problem, method, 20).notes
    )
    assert not any("needs at least" in note for note in feasible.solve(problem, method, 21).notes)
