import copy
import math
import os
import signal
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

import feasible
from feasible.blackbox.private_gsd import (
    Domain,
    Halfspaces,
    Marginals,
    Prefixes,
    PrivateGSD,
    PrivateTable,
    Ranges,
    Synthetic,
)
from feasible.blackbox.private_gsd.accounting import (
    Noise,
    cdp_delta,
    cdp_epsilon,
    cdp_rho,
    gaussian_variance,
    gumbel_scale,
    noise_key,
)
from feasible.blackbox.private_gsd.genetic import Optimiser, advance, aim, loss, start
from feasible.blackbox.private_gsd.gsd import GSD, HELD, PATIENCE
from feasible.blackbox.private_gsd.instances import acs_like, acs_like_mixed, acs_table
from feasible.blackbox.private_gsd.kernels import Goal, move, swapped
from feasible.core.budget import Budget, Meter, active_meter
from feasible.core.checkpoint import decode
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    BoundsError,
    BudgetExhausted,
    WrongProblem,
)
from feasible.core.registry import default_method, load_method, load_problem
from feasible.core.resume import Saved
from feasible.core.run import Run, run
from feasible.lab.store import Store

pytestmark = pytest.mark.filterwarnings("ignore:noise_seed")
FRAME, DOMAIN = acs_table(300, 100)
EVERYTHING = (
    Marginals(2)
    + Marginals(3, bins=0)
    + Ranges(3)
    + Prefixes(150)
    + Prefixes(60, k_cat=2, k_num=1, seed=4)
    + Halfspaces(150)
    + Halfspaces(40, seed=5, binary=False)
)


@pytest.fixture(scope="module")
def table():
    return PrivateTable(
        FRAME, DOMAIN, Marginals(2, bins=4) + Prefixes(20) + Halfspaces(20), name="small"
    )


def solve(problem, method, seed=3, checkpoints=None, **budget):
    limits = Budget(**budget)
    return run(Run(problem, method, limits, seed, Meter(limits)), checkpoints)


# -- accounting ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epsilon", "n", "rho"),
    [
        (1, 2000, 0.0216695),
        (1, 20000, 0.0157903),
        (1, 200000, 0.0123773),
        (0.07, 2000, 1.40895e-4),
        (0.23, 2000, 1.34363e-3),
        (0.52, 2000, 6.30664e-3),
        (0.74, 2000, 0.0122865),
        (3, 20000, 0.126484),
    ],
)
def test_epsilon_and_delta_allow_the_rho_of_the_table_and_more_than_the_simple_bound(
    epsilon, n, rho
):
    delta = 1 / n**2
    assert cdp_rho(epsilon, delta) == pytest.approx(rho, rel=5e-6)
    log = math.log(1 / delta)
    assert cdp_rho(epsilon, delta) > (math.sqrt(log + epsilon) - math.sqrt(log)) ** 2


@given(st.floats(0.01, 10), st.floats(1e-12, 0.1))
@settings(max_examples=15)
def test_epsilon_and_rho_are_inverse_and_delta_is_kept(epsilon, delta):
    rho = cdp_rho(epsilon, delta)
    assert cdp_delta(rho, epsilon) <= delta
    assert cdp_epsilon(rho, delta) == pytest.approx(epsilon, rel=1e-6)


@pytest.mark.parametrize("sensitivity2", [1, 2])
def test_the_noise_of_a_workload_costs_its_rho_exactly(sensitivity2):
    for rho in (1e-6, 0.1, 1 / 3, 7.0):
        assert Fraction(sensitivity2) / (2 * gaussian_variance(sensitivity2, rho)) == Fraction(rho)
    for draws, rho in (
        (1, 0.1),
        (7, 0.03),
    ):  # draws of the exponential mechanism with epsilon 2/b, each epsilon^2/8-zCDP
        assert draws * (2 / gumbel_scale(draws, rho)) ** 2 / 8 == pytest.approx(rho)


@pytest.mark.parametrize("variance", [Fraction(1, 2), Fraction(3), Fraction(200)])
def test_discrete_gaussian_noise_has_its_distribution(variance):
    n = 6000
    drawn = Noise("a").discrete_gaussian(variance, n)
    assert drawn.dtype.kind == "i"
    reach = math.ceil(4 * math.sqrt(variance))
    z = np.arange(-10 * reach, 10 * reach + 1)
    p = np.exp(-(z**2) / (2 * float(variance)))
    p /= p.sum()
    inner = (np.abs(z) <= reach) & (n * p >= 5)
    seen = np.array([(drawn == v).sum() for v in z[inner]])
    rest = n - seen.sum()
    expected = np.append(n * p[inner], n * (1 - p[inner].sum()))
    statistic = float(
        ((np.append(seen, rest) - expected) ** 2 / np.maximum(expected, 1e-9))[expected > 1].sum()
    )
    assert stats.chi2.sf(statistic, inner.sum()) > 1e-4
    low, high = stats.chi2.ppf([1e-5, 1 - 1e-5], n) / n
    assert low < (drawn.astype(float) ** 2).mean() / float((z**2 * p).sum()) < high


def audit(rho, factor, draws=5000):
    """A lower bound (Clopper-Pearson, 99.9 %) on epsilon at delta = 0.02, from the real measurement
    of two neighbouring tables.

    factor: on the noise.
    """
    frame = pd.DataFrame({"a": [0] * 10, "b": [0] * 10})
    other = frame.copy()
    other.loc[0] = 1
    domain = Domain.of({"a": 2, "b": 2})
    tables = [PrivateTable(f, domain, Marginals(2)) for f in (frame, other)]

    class Halved(Noise):
        def discrete_gaussian(self, variance, n):
            return super().discrete_gaussian(variance * Fraction(factor) ** 2, n)

    difference = (
        tables[0].queries.count(domain.encode(other))
        - tables[0].queries.count(domain.encode(frame))
    ) / 10
    source = Halved("audit")
    scores = []
    for t in tables:
        answers = np.array([t.measure([0], rho, source).answers for _ in range(draws)])
        scores.append(answers @ difference)  # the likelihood ratio is a monotone function of it
    cut = np.quantile(np.concatenate([s[: draws // 2] for s in scores]), 0.8)
    hits = [int((s[draws // 2 :] > cut).sum()) for s in scores]
    n = draws - draws // 2
    miss = stats.beta.ppf(1 - 5e-4, hits[0] + 1, n - hits[0])
    power = stats.beta.ppf(5e-4, hits[1], n - hits[1] + 1)
    return math.log(max((power - 0.02) / miss, 1e-9))


def test_an_attack_on_the_mechanism_gains_no_more_than_promised_and_sees_halved_noise():
    rho = 0.5
    promised = cdp_epsilon(rho, 0.02)
    assert audit(rho, 1) <= promised
    assert audit(rho, Fraction(1, 2)) > promised


def test_noise_comes_from_the_operating_system_and_a_seed_is_said_not_to_be_private(table):
    assert not np.array_equal(
        Noise().discrete_gaussian(Fraction(10**6), 20),
        Noise().discrete_gaussian(Fraction(10**6), 20),
    )
    assert np.array_equal(
        Noise("k").discrete_gaussian(Fraction(10**6), 20),
        Noise("k").discrete_gaussian(Fraction(10**6), 20),
    )
    with pytest.warns(UserWarning, match="not private"):
        GSD(noise_seed=0).init(table, np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GSD().init(table, np.random.default_rng(0))


# -- queries ---------------------------------------------------------------------------------------


def direct(x, domain, ones):
    """Counts by NumPy, predicate by predicate."""
    out = []
    for one in ones:
        inside = np.ones(len(x), bool)
        for j, low, high in one.conditions:
            inside &= (x[:, j] >= low) & (x[:, j] < high)
        if one.halfspace is not None:
            inside &= x[:, list(domain.numeric)] @ np.array(one.halfspace[0]) > one.halfspace[1]
        cell = np.zeros(len(x), int)
        for j, size in one.axes:
            cell = cell * size + (
                x[:, j].astype(int)
                if domain.sizes[j]
                else np.minimum((x[:, j] * size).astype(int), size - 1)
            )
        out.append(np.bincount(cell[inside], minlength=one.cells))
    return np.concatenate(out)


def test_answers_equal_a_direct_evaluation():
    x = DOMAIN.encode(FRAME)
    x[0, 8:] = 1.0
    queries = EVERYTHING.compile(DOMAIN)
    assert np.array_equal(
        queries.count(x), direct(x, DOMAIN, [o for p in EVERYTHING.parts for o in p.ones(DOMAIN)])
    )
    assert queries.q == queries.arrays.base[-1]
    assert len(queries.titles) == len(set(queries.titles)) == 7


def test_replacing_a_row_moves_a_workload_by_its_sensitivity_at_most_and_that_is_reached():
    rng = np.random.default_rng(0)
    queries = EVERYTHING.compile(DOMAIN)
    x = DOMAIN.encode(FRAME)
    other = DOMAIN.encode(acs_table(300, 101)[0])
    before, worst = queries.count(x), np.zeros(queries.w)
    for _ in range(150):
        y = x.copy()
        y[rng.integers(300)] = other[rng.integers(300)]
        worst = np.maximum(
            worst, np.add.reduceat((queries.count(y) - before) ** 2, queries.arrays.base[:-1])
        )
    assert (worst <= queries.sensitivity2).all()
    for title in range(len(queries.titles)):
        mine = queries.part == title
        assert (worst[mine] == queries.sensitivity2[mine]).any()


def test_a_change_of_loss_found_incrementally_is_the_full_recomputation():
    rng = np.random.default_rng(0)
    queries = EVERYTHING.compile(DOMAIN)
    x = DOMAIN.encode(FRAME)
    counts = queries.count(x)
    target, weight = (
        rng.integers(0, 100, queries.q).astype(float),
        rng.integers(0, 3, queries.q).astype(float),
    )  # whole numbers: exact
    a = queries.arrays
    for t in range(240):
        i, j, c1, c2 = *rng.integers(300, size=2), int(rng.integers(10)), -1
        y = x.copy()
        if t % 3 == 2:
            y[i, c1], y[j, c1] = x[j, c1], x[i, c1]
            d = swapped(
                a,
                Goal(counts, target, weight),
                np.stack([x[i], y[i], x[j], y[j]]),
                np.empty(4, np.int64),
                c1,
            )
            ones = np.bincount(x[:, 0].astype(int), minlength=2)
            assert np.array_equal(
                ones, np.bincount(y[:, 0].astype(int), minlength=2)
            )  # a swap keeps the 1-way marginals
        else:
            c1, c2 = (c1, -1) if t % 3 else (int(rng.integers(8)), int(rng.integers(8)))
            for c in (c1, c2):
                if c >= 0:
                    y[i, c] = rng.integers(DOMAIN.sizes[c]) if DOMAIN.sizes[c] else rng.random()
            d = move(a, Goal(counts, target, weight), x[i], y[i], c1, c2 if c2 != c1 else -1, False)
        truth = queries.count(y)
        assert d == np.sum(weight * ((truth - target) ** 2 - (counts - target) ** 2))
        if t % 3 != 2:
            move(a, Goal(counts, target, weight), x[i], y[i], c1, c2 if c2 != c1 else -1, True)
            assert np.array_equal(counts, truth)
        x, counts = y, truth


# -- optimisers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bandit", "elite"])
def test_the_loss_never_rises_the_counts_stay_true_and_the_table_in_its_domain(kind):
    queries, chosen = (
        (Marginals(2) + Prefixes(50) + Halfspaces(50)).compile(DOMAIN),
        Optimiser(kind, tolerance=0.0),
    )
    fit = start(DOMAIN, queries, 120, chosen, np.random.default_rng(1))
    aim(fit, queries.count(DOMAIN.encode(FRAME)) / 300, np.arange(queries.q))
    for _ in range(4):
        before = fit.loss
        advance(fit, DOMAIN, queries, chosen, 300)
        assert fit.loss < before
        assert fit.loss == loss(fit)
        assert np.array_equal(fit.counts, queries.count(fit.table))
        assert (fit.length[: fit.kept[0]] <= chosen.elite + 1).all()
    DOMAIN.encode(DOMAIN.decode(fit.table))


@pytest.mark.parametrize("kind", ["bandit", "elite"])
def test_without_noise_a_tiny_table_is_found_exactly(kind):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.integers(2, size=(30, 3)), columns=list("abc"))
    domain = Domain.from_frame(frame, {"a": 2, "b": 2, "c": 2})
    for seed in range(
        5
    ):  # the published optimiser changes one cell at a time, and may stop where no single one helps
        gsd = PrivateGSD(
            rho=math.inf, rows=30, generations=5_000, optimiser=kind, tolerance=0.0, seed=seed
        )
        synthetic = gsd.fit_sample(frame, domain, Marginals(2))
        if gsd.report_["loss"] == 0:
            break
    assert kind == "elite" or seed == 0
    assert gsd.report_["loss"] == 0
    assert PrivateTable(frame, domain, Marginals(2)).judge(synthetic).objective == 0
    assert gsd.report_["generations"] < 5_000


# -- runs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        GSD(noise_seed=1, rows=60, generations=600),
        GSD(noise_seed=1, rows=60, generations=600, optimiser="bandit"),
        GSD(noise_seed=1, rows=60, generations=600, mode="adaptive", rounds=3, per_round=2),
        GSD(noise_seed=1, rows=60, generations=600, mode="hybrid", rounds=3, per_round=4),
    ],
    ids=str,
)
def test_a_run_spends_the_rho_it_has_and_repeats_itself_with_a_noise_seed(table, method):
    first, again = (solve(table, method, rho=0.5) for _ in range(2))
    pd.testing.assert_frame_equal(first.answer, again.answer)
    assert 0.5 * (1 - 1e-6) < first.spent["rho"] <= 0.5
    assert (
        first.verdict.objective
        == table.judge(first.answer).objective
        == pytest.approx(table.errors(first.answer).mean())
    )
    assert "fitted to" in first.stopped
    assert len(first.answer) == 60
    other = solve(table, method, seed=4, rho=0.5)
    assert not other.answer.equals(first.answer)


def test_the_report_accounts_for_every_unit_of_rho(table):
    for options in (
        {},
        {"mode": "adaptive", "rounds": 3, "per_round": 2},
        {"mode": "hybrid", "rounds": 2, "per_round": 3},
    ):
        gsd = PrivateGSD(epsilon=1.0, rows=50, generations=300, noise_seed=2, **options)
        gsd.fit_sample(FRAME, DOMAIN, table.workload)
        r = gsd.report_
        assert r["rho"] == pytest.approx(cdp_rho(1.0, 1 / 300**2))
        assert r["epsilon"] == pytest.approx(1.0, rel=1e-6)
        s = table.queries.sensitivity2[r["measured"]] / 300**2
        assert np.sum(s / (2 * r["sigma"][r["measured"]] ** 2)) + r[
            "rho_selection"
        ] == pytest.approx(r["rho"])
        assert r["rho_by_workload"].sum() + r["rho_selection"] == pytest.approx(r["rho"])
        assert (
            all(a[1] >= b[1] for a, b in zip(r["fitness"], r["fitness"][1:], strict=False))
            or options
        )


def test_nothing_is_drawn_where_the_budget_does_not_allow_it(table, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        Noise, "discrete_gaussian", lambda self, variance, n: drawn.append(n) or np.zeros(n, int)
    )
    monkeypatch.setattr(Noise, "gumbel", lambda self, scale, n: drawn.append(n) or np.zeros(n))
    token = active_meter.set(Meter(Budget(rho=0.1)))
    try:
        with pytest.raises(BudgetExhausted):
            table.measure([0, 1], 0.06, Noise())
        with pytest.raises(BudgetExhausted):
            table.select(
                np.zeros(table.queries.q), np.ones(table.queries.w, bool), 2, 0.11, Noise()
            )
        assert drawn == []
        assert active_meter.get().spent["rho"] == 0
    finally:
        active_meter.reset(token)


def test_a_run_takes_the_smaller_of_its_setting_and_the_budget(table):
    small = GSD(rho=0.01, rows=50, generations=100)
    assert solve(table, small, rho=0.5).spent["rho"] == pytest.approx(0.01)
    assert solve(table, small, rho=0.002).spent["rho"] == pytest.approx(0.002)
    assert solve(table, GSD(rows=50, generations=100), steps=5).spent["rho"] == pytest.approx(
        cdp_rho(1.0, 1 / 300**2)
    )


class Killed(BaseException):
    pass


class Saving:
    """Checkpoints after every step; with `dies`, the process is lost when the last of so many is
    written.
    """

    def __init__(self, dies=None, blob=None):
        self.dies, self.blob, self.count = dies, blob, 0

    def load(self):
        return self.blob

    def due(self):
        return True

    def save(self, blob):
        self.blob, self.count = blob, self.count + 1
        if self.count == self.dies:
            raise Killed

    def refuse(self, reason):
        pytest.fail(reason)


@pytest.mark.parametrize("dies", [1, 4])
@pytest.mark.parametrize(
    "options",
    [{}, {"optimiser": "bandit"}, {"mode": "adaptive", "rounds": 3, "per_round": 2}],
    ids=str,
)
def test_a_killed_run_resumes_to_the_same_table_and_measures_nothing_again(
    table, options, dies, monkeypatch
):
    method = GSD(noise_seed=1, rows=60, generations=900, tolerance=0.0, **options)
    whole = solve(table, method, rho=0.5)
    saved = Saving(dies)
    with pytest.raises(Killed):
        solve(table, method, checkpoints=saved, rho=0.5)
    if not options.get("mode"):
        monkeypatch.setattr(PrivateTable, "measure", lambda *_: pytest.fail("measured again"))
    resumed = solve(table, method, checkpoints=Saving(blob=saved.blob), rho=0.5)
    pd.testing.assert_frame_equal(resumed.answer, whole.answer)
    assert resumed.spent["rho"] == whole.spent["rho"] <= 0.5
    assert resumed.verdict == whole.verdict


def test_a_run_answers_with_its_last_table_and_never_picks_one_by_true_errors(table):
    a, b = (table.judge(Synthetic(DOMAIN.encode(acs_table(300, s)[0]))) for s in (100, 7))
    assert a.objective == 0 < b.objective
    assert not a.beats(b)
    assert not b.beats(a)
    assert table.judge(None).missing
    method = GSD(noise_seed=1, rows=60, generations=400)
    state = method.init(table, np.random.default_rng(3))
    assert table.judge(method.answer(table, state)).missing


def test_a_private_table_is_chosen_for_named_and_solved_like_any_problem():
    problem = load_problem("acs-like-small")
    method, reason = default_method(problem, Budget(rho=0.05))
    assert method == load_method("private-gsd")
    assert reason
    result = solve(problem, load_method("private-gsd[generations=500,rows=100]"), rho=0.05)
    shown = {row[0]: row[1] for row in result.table()}
    assert {"average error", "max error"} <= set(shown)
    assert "0.05 rho" in str(result)
    with pytest.raises(WrongProblem):
        solve(problem, load_method("random-search"), evaluations=5)


# -- when to stop ----------------------------------------------------------------------------------


def measured(problem, method):
    state = method.init(problem, np.random.default_rng(5))
    return method.step(problem, state)


def test_thinned_answers_keep_the_measured_ones_and_their_two_noises_are_independent():
    problem = acs_like(2000, 100)
    rho = 0.01
    raw = measured(problem, GSD(rho=rho, noise_seed=4, rows=100, stop="plateau", sparse=False))
    thin = measured(problem, GSD(rho=rho, noise_seed=4, rows=100, sparse=False))
    fitted, held, answers = thin.fit.target / 100, thin.held, raw.held
    np.testing.assert_allclose((fitted + HELD * held) / (1 + HELD), answers, atol=1e-12)
    truth = problem.queries.count(problem.domain.encode(problem.data)) / problem.n
    sigma = np.repeat(thin.sigma, np.diff(problem.queries.arrays.base))
    a, b = (fitted - truth) / sigma, (held - truth) / sigma
    q = len(a)
    low, high = stats.chi2.ppf([1e-5, 1 - 1e-5], q) / q
    assert low < np.mean(a**2) / (1 + HELD) < high
    assert low < np.mean(b**2) / (1 + 1 / HELD) < high
    assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / math.sqrt(q)


def test_a_thinned_fit_ends_with_the_table_nearest_to_what_was_held_out_and_sooner_than_a_plateau(
    monkeypatch,
):
    problem = acs_like_mixed(2000, 100, 300)
    errors, generations = {}, {}
    for stop in ("thinned", "plateau"):
        method = GSD(
            rho=problem.rho_of(0.23),
            noise_seed=4,
            rows=200,
            generations=6000,
            tolerance=0.0,
            stop=stop,
        )
        state = measured(problem, method)
        far = [method._distance(problem, state)]

        def blocks(*given, _method=method, _state=state, _far=far):
            going = advance(*given)
            _far.append(_method._distance(problem, _state))
            return going

        monkeypatch.setattr("feasible.blackbox.private_gsd.gsd.advance", blocks)
        while method.done(problem, state) is None:
            state = method.step(problem, state)
            if stop == "thinned":  # what a run that is cut off here answers
                rows = method.answer(problem, state).rows
                shares = problem.queries.count(rows) / len(rows)
                assert np.sum((state.held - shares) ** 2) == pytest.approx(min(far), rel=1e-12)
        if stop == "thinned":
            assert method._distance(problem, state) == min(far) == state.least
            assert len(far) - 1 == int(np.argmin(far)) + PATIENCE
        assert np.array_equal(state.fit.counts, problem.queries.count(state.fit.table))
        assert state.fit.loss == loss(state.fit)
        errors[stop], generations[stop] = (
            problem.judge(method.answer(problem, state)).objective,
            state.fit.total,
        )
    assert generations["thinned"] < generations["plateau"]
    assert errors["thinned"] < errors["plateau"]


@pytest.mark.parametrize("tau", [0.97, 1.1])
def test_the_discrepancy_principle_stops_at_the_first_block_below_the_expected_noise(tau):
    problem = acs_like_mixed(2000, 100, 300)
    method = GSD(
        rho=problem.rho_of(1.0),
        noise_seed=4,
        rows=200,
        generations=20_000,
        stop="discrepancy",
        tau=tau,
    )
    state = measured(problem, method)
    expected = tau * float(np.sum(np.diff(problem.queries.arrays.base) * state.sigma**2))
    answers = problem.measure(
        range(problem.queries.w),
        problem.rho_of(1.0) / problem.queries.w,
        Noise(noise_key(4, state.run, 0)),
    ).answers

    def distance():
        return float(np.sum((answers - state.fit.counts / 200) ** 2))

    far = [distance()]
    while method.done(problem, state) is None:
        state = method.step(problem, state)
        far.append(distance())
    assert far[-1] <= expected < far[-2]


@pytest.mark.parametrize("stop", ["thinned", "discrepancy"])
@pytest.mark.parametrize(
    "options",
    [{}, {"optimiser": "bandit"}, {"mode": "hybrid", "rounds": 2, "per_round": 4}],
    ids=str,
)
def test_every_rule_serves_every_optimiser_and_mode(table, stop, options):
    first, again = (
        solve(table, GSD(noise_seed=1, rows=60, generations=900, stop=stop, **options), rho=0.5)
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(first.answer, again.answer)
    assert first.spent["rho"] <= 0.5


# -- a process that is killed ----------------------------------------------------------------------


DRIVE = """
import os, signal
from feasible import solve
from feasible.blackbox.private_gsd.accounting import Noise
from feasible.blackbox.private_gsd.gsd import GSD
from feasible.blackbox.private_gsd.instances import acs_like_small
from feasible.lab.store import Store

drawn, saved = Noise.discrete_gaussian, Store.save_checkpoint
DIES = {dies!r}

def draw(self, variance, n):
    with open({log!r}, "a") as f:
        f.write("drawn" + chr(10))
    return drawn(self, variance, n)

def save(self, run, blob, told=0):
    if DIES == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    saved(self, run, blob, told)
    if DIES == "after":
        os.kill(os.getpid(), signal.SIGKILL)

Noise.discrete_gaussian, Store.save_checkpoint = draw, save
method = GSD(rows=60, generations=3000, tolerance=0.0, stop="plateau")
solve(acs_like_small(), method, budget={{"rho": 0.05}}, seed=3, store={db!r}, name="r")
"""


def drive(tmp_path, dies):
    """The exit code of a process that solves with noise of the operating system, and dies by
    SIGKILL at its first checkpoint; or lives (None).
    """
    text = DRIVE.format(dies=dies, log=str(tmp_path / "log"), db=str(tmp_path / "lab.db"))
    pid = os.fork()  # nothing is imported again
    if pid == 0:
        try:
            os.setsid()
            exec(compile(text, "drive.py", "exec"), {"__name__": "__main__"})
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_after_kill_9_no_charged_measurement_is_drawn_again_and_none_was_seen_unstored(
    tmp_path,
):
    problem = load_problem("acs-like-small")
    template = GSD(rows=60).init(problem, np.random.default_rng(3))

    def stored():
        store = Store(tmp_path / "lab.db")
        blob, trail = store.checkpoint(1), store.trail(1)
        store.close()
        if blob is None:
            return None, 0.0, trail
        saved = decode(
            blob[0],
            Saved(
                0, 0, {}, [], 1, copy.deepcopy(template), [GSD().answer(problem, template), None]
            ),
        )
        return saved.state.held, saved.spent["rho"], trail

    def draws():
        return len((tmp_path / "log").read_text().splitlines())

    assert drive(tmp_path, "before") == -signal.SIGKILL
    once = draws()
    assert once == problem.queries.w
    answers, rho, trail = stored()
    assert answers is None
    assert rho == 0
    assert all(p.verdict.missing for p in trail)  # nothing that depends on the noise got out
    assert drive(tmp_path, "after") == -signal.SIGKILL
    assert draws() == 2 * once
    answers, rho, trail = stored()
    assert 0.05 * (1 - 1e-6) < rho <= 0.05
    assert all(p.verdict.missing for p in trail)
    assert drive(tmp_path, None) == 0
    assert draws() == 2 * once
    again, spent, trail = stored()
    assert np.array_equal(again, answers)
    assert spent == rho
    assert not trail[-1].verdict.missing
    # more budget for a run that is over: the answers stay those that were paid for
    more = feasible.solve(
        problem,
        GSD(rows=60, generations=3000, tolerance=0.0, stop="plateau"),
        budget={"rho": 0.08},
        seed=3,
        store=str(tmp_path / "lab.db"),
        name="r",
    )
    assert more.spent["rho"] == rho
    assert np.array_equal(stored()[0], answers)


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("c1", 7, "not one of the declared"),
        ("c1", None, "missing"),
        ("income", 1.5, "outside"),
        ("income", math.nan, "missing"),
    ],
)
def test_a_value_that_was_not_declared_is_named_with_its_row(column, value, words):
    frame = FRAME.astype({column: object})
    frame.loc[3, column] = value
    with pytest.raises(ArgumentError, match=f"'{column}', row 3.*{words}"):
        PrivateTable(frame, DOMAIN, Marginals(2))


def test_a_domain_must_be_declared_in_full():
    with pytest.raises(ArgumentError, match="'income' is not declared"):
        Domain.from_frame(FRAME, {f"c{j}": 9 for j in range(1, 9)}, {"hours": (0, 1)})
    with pytest.raises(BoundsError, match="bounds"):
        Domain.of({}, {"age": None})
    with pytest.raises(BoundsError, match="low < high"):
        Domain.of({}, {"age": (3, 3)})
    with pytest.raises(ArgumentError, match="no column"):
        Domain.of({})
    with pytest.raises(ArgumentError, match="different values"):
        Domain.of({"a": ["x", "x"]})
    with pytest.raises(ArgumentTypeError, match="DataFrame"):
        DOMAIN.encode(np.zeros((2, 2)))


@pytest.mark.parametrize(
    "settings_",
    [
        {"epsilon": 0.0},
        {"epsilon": -1},
        {"epsilon": math.nan},
        {"delta": 0.0},
        {"delta": 1.0},
        {"delta": 2},
        {"rho": 0},
        {"rows": 0},
        {"generations": 0},
        {"mode": "x"},
        {"optimiser": "x"},
        {"epsilon": 2.0, "rho": 1.0},
        {"noise_seed": 1.5},
        {"tolerance": -1},
        {"stop": "x"},
        {"tau": 0.0},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused_at_once(settings_):
    with pytest.raises(ArgumentError, match=next(iter(settings_))):
        PrivateGSD(**settings_)


@pytest.mark.parametrize(
    "workload",
    [Prefixes(0), Marginals(11), Marginals(2, bins=0) if not DOMAIN.categorical else Halfspaces(0)],
    ids=str,
)
def test_an_empty_workload_is_refused(workload):
    with pytest.raises(ArgumentError, match="asks nothing"):
        PrivateTable(FRAME, DOMAIN, workload)


def test_queries_of_columns_that_are_not_there_are_refused():
    with pytest.raises(ArgumentError, match="no numeric"):
        Halfspaces(5).compile(Domain.of({"a": 2}))
    with pytest.raises(ArgumentError, match="prefixes"):
        Prefixes(5).compile(Domain.of({"a": 2}))


@pytest.mark.parametrize("n", [1, 2])
def test_the_smallest_tables_work(n):
    frame = pd.DataFrame(
        {"x": [0.5] * n, "a": ["u"] * n}
    )  # columns called x and id are as good as any
    out = PrivateGSD(epsilon=1.0, delta=0.1, rows=5, generations=100).fit_sample(
        frame,
        Domain.from_frame(frame, {"a": ["u", "v"]}, {"x": (0, 1)}),
        Marginals(2, bins=2) + Ranges(2),
    )
    assert list(out.columns) == ["x", "a"]
    assert len(out) == 5


def test_rows_beyond_the_table_are_kept_out_of_sparse_marginals():
    problem = acs_like(200, 100, Marginals(2), columns="categorical")
    method = GSD(noise_seed=1, rows=20, generations=100, rho=0.1)
    state = method.step(problem, method.init(problem, np.random.default_rng(0)))
    assert state.fit.total == 0  # measuring is a step of its own
    base = problem.queries.arrays.base
    kept = np.add.reduceat(state.fit.weight, base[:-1])
    assert np.array_equal(kept, np.minimum(np.diff(base), 20))
