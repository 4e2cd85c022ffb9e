"""The real experiments: tables of laboratories as menus and as emulators."""

from __future__ import annotations

import numpy as np
import pytest

import feasible
from feasible.blackbox.instances import olymp
from feasible.blackbox.sampling import draw
from feasible.core.errors import ArgumentError
from feasible.core.registry import load_problem, problems

ROWS = {
    "alkox": 208,
    "benzylation": 73,
    "snar": 66,
    "suzuki": 247,
    "hplc": 1386,
    "fullerenes": 246,
    "photo-pce10": 1040,
    "photo-wf3": 1040,
    "colors": 241,
}
"""As the package's descriptions say, and its files hold."""


def test_every_form_of_every_table_is_registered():
    entries = {n: e for n, e in problems().items() if e.target.endswith("olymp:experiment")}
    assert {n: tuple(e.settings.values()) for n, e in entries.items()} == olymp.EXPERIMENTS
    assert load_problem("suzuki-noisy").name == "suzuki-noisy"


@pytest.mark.parametrize("table", ROWS)
def test_tables_are_whole_and_inside_the_stated_bounds(table):
    x, y = olymp.rows(table)
    bounds = np.array([v[1:3] for v in olymp.TABLES[table].inputs])
    assert len(x) == ROWS[table]
    assert (x >= bounds[:, 0]).all()
    assert (x <= bounds[:, 1]).all()
    assert np.isfinite(y).all()
    assert (y >= 0).all()
    if olymp.TABLES[table].mixture:
        assert np.allclose(x.sum(axis=1), 1, atol=5e-6)


@pytest.mark.parametrize("table", ROWS)
def test_an_emulator_is_near_rows_that_it_has_seen_and_knows_its_optimum(table):
    problem = olymp.experiment(table)
    x, y = olymp.averaged(*olymp.rows(table))
    said = olymp.emulator(table)(x)
    assert np.mean((said - y) ** 2) < 0.25 * y.var()
    drawn = draw(problem, np.random.default_rng(1), 500)
    least = problem.minimised(problem.fun(drawn)).min()
    assert problem.best_known <= least
    best = np.array(problem.best_point)
    assert problem.judge(best).objective == pytest.approx(problem.best_known, rel=1e-9)
    assert problem.allowed(best[None])[0]


@pytest.mark.parametrize("table", ["suzuki", "snar", "hplc", "photo-wf3", "colors"])
def test_an_emulator_foretells_rows_that_it_has_not_seen(table, monkeypatch):
    x, y = olymp.rows(table)
    held = np.random.default_rng(5).random(len(x)) < 0.2
    monkeypatch.setattr(olymp, "rows", lambda name: (x[~held], y[~held]))
    said = olymp.Emulator(table, olymp.models()[table])(x[held])
    assert np.mean((said - y[held]) ** 2) < 0.5 * y[held].var()


def test_results_are_the_same_alone_and_in_a_batch():
    problem = olymp.experiment("hplc")
    x = draw(problem, np.random.default_rng(0), 20)
    assert np.array_equal(problem.fun(x), [problem.fun(row[None])[0] for row in x])


def test_noise_is_a_tenth_of_the_spread_and_judging_is_without():
    problem = olymp.experiment("snar", "noisy")
    result = feasible.solve(problem, "random-search", budget=400, seed=0)
    rows = result.ledger.all()
    noise = rows.objective - olymp.emulator("snar")(rows.x)
    assert noise.std() == pytest.approx(0.1 * olymp.rows("snar")[1].std(), rel=0.1)
    x = problem.space.vector(result.answer.x, what="answer")
    assert result.verdict.objective == pytest.approx(float(olymp.emulator("snar")(x[None])[0]))


@pytest.mark.parametrize("table", ["suzuki", "alkox", "photo-pce10"])
def test_a_menu_proposes_rows_of_the_table_with_their_results(table):
    problem = olymp.experiment(table, "table")
    x, y = olymp.averaged(*olymp.rows(table))
    rows = feasible.solve(problem, "random-search", budget=25, seed=1).ledger.all()
    assert len(np.unique(rows.x, axis=0)) == 25
    for point, value in zip(rows.x, rows.objective, strict=True):
        row = np.flatnonzero((x == point).all(axis=1))
        assert len(row) == 1
        assert problem.minimised(y[row[0]]) == value
    assert problem.best_known == problem.minimised(y).min()


def test_another_table_or_form_is_refused():
    with pytest.raises(ArgumentError, match="table='gold'"):
        olymp.experiment("gold")
    with pytest.raises(ArgumentError, match="form='loud'"):
        olymp.experiment("snar", "loud")
