import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings, strategies as st

import feasible
from feasible.core.errors import ArgumentError, ShapeError, UnknownName
from feasible.core.registry import load_claim, load_method
from feasible.lab.profiles import costs, performance_profile
from feasible.training.autolrs.run import AutoLRSRecipe
from feasible.training.hyperparameter_free import calibration
from feasible.training.hyperparameter_free.calibration import (
    SPACES,
    Space,
    algoperf_score,
    calibrate,
    held_out_curve,
    points,
    steps_to_target,
    warmup_cosine,
    with_target,
)
from feasible.training.instances.small import digits_logistic, moons_mlp
from feasible.training.parts import OPTIMIZERS
from feasible.training.recipe import Recipe

INF = math.inf
FREE = (
    "prodigy",
    "dadapt-adam",
    "dadapt-sgd",
    "mechanic-adamw",
    "mechanic-sgd",
    "momo",
    "momo-adam",
    "dog",
    "ldog",
    "dowg",
    "cocob",
    "nadamw",
    "nadamw-algoperf",
)


# -- the score -------------------------------------------------------------------------------------


def test_scores_in_closed_form():
    both = algoperf_score(pd.DataFrame([[10, 20], [20, 10]], index=["a", "b"]))
    assert both.tolist() == pytest.approx([5 / 6, 5 / 6])
    assert both.index.tolist() == ["a", "b"]
    assert algoperf_score([[10, INF], [20, 10]]).tolist() == pytest.approx([0.5, (2 / 3 + 1) / 2])
    assert algoperf_score([[1.0], [4.0], [4.1], [INF]]).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert algoperf_score({"a": {"x": 1.0, "y": 3.0}, "b": {"x": 2.0, "y": 1.0}})[
        "a"
    ] == pytest.approx((1 + 1 / 3) / 2)


@given(
    st.lists(
        st.lists(st.one_of(st.floats(1, 1000), st.just(INF)), min_size=4, max_size=4),
        min_size=2,
        max_size=5,
    )
)
@settings(max_examples=40, deadline=None)
def test_the_closed_form_is_the_area_under_the_profile(rows):
    times = np.array(rows)
    times[0] = np.where(np.isfinite(times).any(0), times[0], 1.0)
    exact, rule = algoperf_score(times), algoperf_score(times, how="trapezoid")
    assert np.abs(exact - rule).max() <= 1 / 99
    assert ((exact >= 0) & (exact <= 1)).all()
    assert exact.max() >= 1 / 4  # somebody is fastest on each of the four
    ratios = times / times.min(0)
    taus = np.linspace(1, 4, 300_001)
    area = np.trapezoid((ratios[0][:, None] <= taus).mean(0), taus) / 3
    assert exact[0] == pytest.approx(area, abs=1e-5)


def test_a_workload_that_nobody_solved_is_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="target of y"):
        score = algoperf_score(pd.DataFrame({"x": [1.0, 2.0], "y": [INF, INF]}))
    assert score.tolist() == pytest.approx([1.0, 2 / 3])
    with pytest.warns(UserWarning, match="target of 0"):
        assert algoperf_score([[INF], [INF]]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("times", "more", "error"),
    [
        ([[1.0, np.nan]], {}, ArgumentError),
        ([[0.0]], {}, ArgumentError),
        ([], {}, ShapeError),
        ([[1.0]], {"r_max": 1.0}, ArgumentError),
        ([[1.0]], {"how": "simpson"}, ArgumentError),
    ],
)
def test_times_without_sense_are_refused(times, more, error):
    with pytest.raises(error):
        algoperf_score(times, **more)


# -- the search ------------------------------------------------------------------------------------


def test_every_method_is_tried_at_the_same_points_of_the_stated_intervals():
    unit = points(16)
    assert unit.shape == (16, 6)
    assert np.array_equal(unit, points(16))
    assert np.array_equal(points(32)[:16], unit)
    assert (np.sort(unit, axis=0) * 16).astype(int).T.tolist() == [
        list(range(16))
    ] * 6  # one in each sixteenth of every axis
    for u in (np.zeros(6), np.full(6, 1 - 1e-12)):
        recipes = {m: s.recipe(u) for m, s in SPACES.items()}
        assert len({r.weight_decay for r in recipes.values()}) == 1
        assert recipes["prodigy"].optimizer.removeprefix("prodigy") == recipes[
            "nadamw"
        ].optimizer.removeprefix("nadamw")
        assert recipes["adamw"].lr == recipes["nadamw"].lr
        assert recipes["prodigy"].lr is None
    low, high = SPACES["nadamw"].recipe(np.zeros(6)), SPACES["nadamw"].recipe(np.full(6, 1 - 1e-12))
    assert (low.optimizer, low.schedule) == (
        "nadamw[beta1=0.98,beta2=0.999]",
        "warmup-cosine[warmup=0.02,horizon=0.33]",
    )
    assert (high.optimizer, high.schedule) == (
        "nadamw[beta1=0.7,beta2=0.9]",
        "warmup-cosine[warmup=0.1,horizon=1]",
    )
    assert (low.lr, high.lr, low.weight_decay, high.weight_decay) == pytest.approx(
        (1e-4, 1e-1, 1e-4, 0.3)
    )
    assert SPACES["dog"].recipe(unit[0]).schedule == SPACES["cocob"].usual().schedule == "constant"


def test_the_schedule_of_all_rises_from_above_zero_and_ends_at_zero():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = warmup_cosine(optimizer, 100, warmup=0.1, horizon=0.5)
    rates = []
    for _ in range(60):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[:5] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    assert rates[5] == 2.0
    assert rates[5 + 45 // 2] == pytest.approx(1 + math.cos(math.pi * 22 / 45), rel=1e-12)
    assert rates[50:] == [0.0] * 10
    assert (np.diff(rates[5:51]) < 0).all()


def test_a_curve_is_that_of_the_run_and_ends_at_the_target_or_where_the_rate_is_zero():
    problem = digits_logistic(steps=100)
    recipe = SPACES["nadamw"].usual()
    curve = held_out_curve(problem, recipe, 100, 100)
    assert len(curve) == 5
    run = feasible.solve(problem, recipe, budget=feasible.Budget(steps=100), seed=100)
    assert curve[-1] == pytest.approx(run.verdict.objective, rel=1e-12)
    target = float(curve[2])
    assert len(held_out_curve(problem, recipe, 100, 100, target=target)) == 3
    short = Recipe("sgd", "warmup-cosine[horizon=0.33]")
    assert len(held_out_curve(problem, short, 100, 100)) == 2  # at 40 the rate is 0
    assert len(held_out_curve(moons_mlp(), Recipe("sgd", "constant", lr=1e30), 100, 100)) == 1


def test_steps_to_a_target_are_counted_and_a_missed_one_is_infinite():
    problem = digits_logistic(steps=100)
    recipe = SPACES["nadamw"].usual()
    curve = held_out_curve(problem, recipe, 100, 100)
    problem.best_known = float(curve[2])
    assert steps_to_target(problem, recipe, 100, 100) == 60
    problem.best_known = 1e-9
    assert steps_to_target(problem, recipe, 100, 100) == INF
    problem.best_known = None
    with pytest.raises(ArgumentError, match="'digits-logistic' has no target"):
        steps_to_target(problem, recipe, 100, 100)


def test_targets_are_of_the_best_recipe_and_change_nothing_else():
    problem = digits_logistic(steps=60)
    slow, fast = Recipe("adamw", "constant", lr=1e-5), Recipe("adamw", "constant", lr=1e-2)
    found = with_target(problem, [slow, fast], (200, 201), 60)
    lows = [held_out_curve(problem, fast, s, 60).min() for s in (200, 201)]
    assert found.best_known == pytest.approx(1.05 * np.median(lows))
    assert problem.best_known is None
    assert found.train is problem.train
    with pytest.raises(ArgumentError, match="slack"):
        with_target(problem, [fast], (1,), 60, slack=0.5)
    with pytest.raises(ArgumentError, match="at least one"):
        with_target(problem, [], (1,), 60)


@pytest.fixture(scope="module")
def workloads():
    made = [digits_logistic(steps=80), moons_mlp(steps=80)]
    return [
        with_target(p, [Recipe("adamw", "warmup-cosine", lr=1e-2)], (200,), 80, slack=1.2)
        for p in made
    ]


def test_calibration_keeps_the_point_that_is_best_on_the_geometric_mean(workloads):
    found = calibrate("nadamw", workloads, 6, 1, rerun=2, rerun_seeds=2)
    assert found.table["recipe"].tolist() == [SPACES["nadamw"].recipe(u) for u in points(6)]
    times = found.table[[p.name for p in workloads]].to_numpy()
    counted = np.where(np.isfinite(times), times, 240.0)
    want = np.exp(np.log(counted / counted.min(0)).mean(1))
    assert found.table["mean"].to_numpy() == pytest.approx(want)
    assert len(found.final) == 2
    best = found.table.nsmallest(2, "mean")["recipe"].tolist()
    assert found.final["recipe"].tolist() == best
    assert found.recipe == found.final.sort_values("mean")["recipe"].iloc[0]
    again = calibrate("nadamw", workloads, 6, 1, rerun=2, rerun_seeds=2)
    assert again.recipe == found.recipe
    assert again.table.equals(found.table)


def test_a_race_over_workloads_gives_the_profile_and_the_times_of_the_score(workloads):
    methods = {
        "nadamw": Recipe("nadamw", "warmup-cosine", lr=1e-2),
        "slow": Recipe("nadamw", "warmup-cosine", lr=1e-5),
    }
    race = feasible.race(workloads, methods, budget={"steps": 80}, seeds=2)
    times = costs(race, tau=0.0).pivot_table(
        index="method", columns="problem", values="cost", aggfunc="median"
    )
    score = algoperf_score(times)
    assert score["slow"] == 0
    assert score["nadamw"] > 0.4
    profile = performance_profile(race, tau=0.0)
    assert profile["slow"].max() == 0
    assert profile["nadamw"].max() > 0.4


def test_repeated_points_are_tried_once(workloads, monkeypatch):
    monkeypatch.setitem(SPACES, "same", Space("sgd", scheduled=False, betas=False))
    monkeypatch.setattr(Space, "recipe", lambda self, u: Recipe("sgd", "constant"))
    said = []
    found = calibrate("same", workloads[:1], 4, 1, rerun=1, rerun_seeds=1, progress=said.append)
    assert len(found.table) == 1
    assert len(said) == 2


@pytest.mark.parametrize(
    ("args", "error", "says"),
    [
        (("adam", ["w"]), UnknownName, "adamw"),
        (("nadamw", []), ArgumentError, "workloads"),
        (("nadamw", ["w"], 0), ArgumentError, "n_points"),
    ],
)
def test_searches_without_sense_are_refused(args, error, says, workloads):
    name, some, *more = args
    with pytest.raises(error, match=says):
        calibrate(name, workloads if some else [], *more)


# -- runs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*FREE, "autolrs", "autolrs-adam", "schedulefree-adamw"])
def test_every_method_runs_within_its_budget_and_the_same_each_time(name):
    first, again = (
        feasible.solve("digits-logistic", name, budget=feasible.Budget(steps=60), seed=100)
        for _ in range(2)
    )
    assert first.spent["steps"] == 60
    assert first.verdict == again.verdict
    assert all(
        torch.equal(first.answer.weights[n], again.answer.weights[n]) for n in first.answer.weights
    )
    assert math.isfinite(first.verdict.objective)


def test_the_answer_of_a_run_is_the_average_not_the_iterate():
    problem, recipe = digits_logistic(steps=30), load_method("dog")
    state = recipe.init(problem, np.random.default_rng([0]))
    for _ in range(30):
        recipe.step(problem, state)
    answer = recipe.answer(problem, state)
    average = state.optimizer.state[next(iter(state.model.parameters()))]["average"]
    assert torch.equal(answer.weights["weight"], average)
    assert not torch.equal(answer.weights["weight"], state.model.weight)
    assert torch.equal(recipe.answer(problem, state).weights["weight"], average)


def test_the_answer_of_a_schedule_free_run_is_its_point_for_evaluation():
    problem, recipe = digits_logistic(steps=30), load_method("schedulefree-adamw")
    state = recipe.init(problem, np.random.default_rng([0]))
    for _ in range(30):
        recipe.step(problem, state)
    training = state.model.weight.detach().clone()
    answer = recipe.answer(problem, state)
    assert torch.equal(state.model.weight, training)
    state.optimizer.eval()
    assert torch.equal(answer.weights["weight"], state.model.weight)
    assert not torch.equal(answer.weights["weight"], training)


def test_autolrs_charges_its_searching_and_answers_what_training_has_reached():
    method = AutoLRSRecipe(tau=40, tau_ratio=0.25, k=3, tau_max=40, train_steps=80)
    problem = digits_logistic()
    result = feasible.solve(problem, method, budget=feasible.Budget(steps=500), seed=100)
    assert result.spent["steps"] == result.spent["gradients"] == 80 + 2 * 3 * 10
    assert (
        result.spent["evaluations"] == 1 + 2 * 3 * 10
    )  # the loss at the start, and one at each of the ten steps of a candidate
    assert "80 steps of training are made, and 60 of searching" in result.stopped
    cut = feasible.solve(
        problem, method, budget=feasible.Budget(steps=75), seed=100
    )  # five steps into the second search
    trained = feasible.solve(problem, method, budget=feasible.Budget(steps=70), seed=100)
    assert all(
        torch.equal(cut.answer.weights[n], trained.answer.weights[n])
        for n in trained.answer.weights
    )


def test_autolrs_ends_in_order_where_every_rate_diverges():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = feasible.solve(
            moons_mlp(),
            AutoLRSRecipe(lr_min=1e8, lr_max=1e12, tau=40, k=2),
            budget=feasible.Budget(steps=200),
            seed=0,
        )
    assert "not finite at any of the 2 rates tried" in result.stopped
    assert math.isfinite(result.verdict.objective)


@pytest.mark.parametrize(
    "change", [{"train_steps": 0}, {"lr_min": 2.0}, {"optimizer": "nothing"}, {"tau": 5}]
)
def test_autolrs_settings_without_sense_are_refused(change):
    with pytest.raises(ArgumentError):
        AutoLRSRecipe(**change)


def test_the_claim_of_autolrs_pays_for_searching_and_compares_at_equal_totals():
    found = load_claim("autolrs").experiments("desk", (0, 1, 2, 3, 4))
    assert {e.name: [p.name for p in e.problems] for e in found} == {
        "sgd": ["digits-mlp", "moons-mlp"],
        "adam": ["digits-autoencoder"],
    }
    for e in found:
        assert e.seeds == (0, 1, 2, 3, 4)
        for method in e.methods.values():
            stages = [100, 200, 400, 400, 400]
            assert (
                e.budget["steps"]
                == sum(stages) + method.k * sum(round(tau * method.tau_ratio) for tau in stages)
                == 3900
            )
            assert method.train_steps == sum(stages)


def test_every_method_of_the_spaces_is_an_optimiser_of_recipes():
    assert set(SPACES) <= set(OPTIMIZERS)
    assert calibration.EVERY == 20
