"""Private-GSD in runs, and when it stops."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from feasible.blackbox.private_gsd import (
    Halfspaces,
    Marginals,
    Prefixes,
    PrivateGSD,
    PrivateTable,
    Synthetic,
)
from feasible.blackbox.private_gsd.accounting import Noise, cdp_rho, noise_key
from feasible.blackbox.private_gsd.genetic import advance, loss
from feasible.blackbox.private_gsd.gsd import GSD, HELD, PATIENCE
from feasible.blackbox.private_gsd.instances import acs_like, acs_like_mixed, acs_table
from feasible.core.budget import Budget, Meter, active_meter
from feasible.core.errors import BudgetExhausted, WrongProblem
from feasible.core.registry import default_method, load_method, load_problem
from feasible.core.run import Run, run

FRAME, DOMAIN = acs_table(300, 100)


@pytest.fixture(scope="module")
def table():
    return PrivateTable(
        FRAME, DOMAIN, Marginals(2, bins=4) + Prefixes(20) + Halfspaces(20), name="small"
    )


def solve(problem, method, seed=3, checkpoints=None, **budget):
    limits = Budget(**budget)
    return run(Run(problem, method, limits, seed, Meter(limits)), checkpoints)


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
