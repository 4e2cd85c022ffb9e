"""Target problems and the methods on them in a run: what is charged, what is judged, seeds, and a
killed run.
"""

import numpy as np
import pytest
import torch
from torch import nn

import feasible
from feasible.core.errors import ArgumentError, ArgumentTypeError, ShapeError, UnknownName
from feasible.core.registry import load_method, load_problem, methods, problems
from feasible.training import TargetProblem
from feasible.training.target_surrogates.instances import factorisation_target, half_squares
from feasible.training.target_surrogates.run import SSO, Parametric

OURS = sorted(n for n, e in methods().items() if e.solves == "TargetProblem")


def small(**more):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    return TargetProblem(
        lambda: nn.Linear(3, 1).double(),
        (x, x @ np.array([[1.0], [-2.0], [0.5]]) + 1),
        half_squares,
        name="small",
        **more,
    )


@pytest.mark.parametrize("method", OURS)
def test_every_method_keeps_to_the_gradients_it_may_take_and_lowers_the_loss_the_same_way_each_time(
    method,
):
    problem = small(batch_size=20)
    start = problem.judge(
        load_method("sso").answer(
            problem, load_method("sso").init(problem, np.random.default_rng(0))
        )
    ).objective
    first, again = (
        feasible.solve(problem, method, budget={"gradients": 12}, seed=3) for _ in range(2)
    )
    assert 0 < first.spent["gradients"] <= 12
    assert first.verdict.objective < 2 * start
    assert first.verdict.objective == again.verdict.objective
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.answer.weights.values(), again.answer.weights.values(), strict=True)
    )


def test_sso_spends_one_gradient_a_step_whatever_m_is():
    for m in (1, 30):
        result = feasible.solve(small(), SSO(m=m), budget={"steps": 7})
        assert result.spent["gradients"] == 7
    assert feasible.solve(small(), "gulf2", budget={"steps": 2}).spent["gradients"] > 2


def test_the_verdict_is_the_mean_loss_and_its_gradients_norm():
    problem = small()
    result = feasible.solve(problem, SSO(m=1, inner="lstsq"), budget={"gradients": 1})
    assert result.verdict.objective == pytest.approx(0, abs=1e-20)
    assert result.verdict.residual == pytest.approx(0, abs=1e-9)
    model = nn.Linear(3, 1).double()
    answer = type(result.answer).of(model)
    x, y = problem.data.inputs, problem.data.targets
    loss = (model(x) - y).square().mean() / 2
    slope = torch.autograd.grad(loss, list(model.parameters()))
    verdict = problem.judge(answer)
    assert verdict.objective == pytest.approx(float(loss.detach()))
    assert verdict.residual == pytest.approx(
        float(torch.cat([g.reshape(-1) for g in slope]).norm())
    )
    assert problem.judge(None).missing


def test_gradient_descent_has_the_rate_of_its_smoothness_and_is_for_linear_models():
    """Full squared loss: GD with 1/L never overshoots along the steepest direction, and with lr 2.1
    diverges.
    """
    good, bad = (
        feasible.solve(small(), Parametric("gd", lr), budget={"gradients": 60}).verdict.objective
        for lr in (1.0, 2.1)
    )
    assert good < 1e-3 < bad
    with pytest.raises(ArgumentError, match="model is a Sequential"):
        feasible.solve(factorisation_target(), Parametric("gd"), budget={"gradients": 2})


def test_a_delay_is_paid_for_gradients_and_not_for_values(monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    problem = small(delay=0.02)
    result = feasible.solve(problem, SSO(eta="linesearch", m=3), budget={"gradients": 5})
    assert result.spent["gradients"] == 5
    assert slept == [0.02] * 5


@pytest.mark.parametrize("name", [n for n, e in problems().items() if e.solves == "TargetProblem"])
def test_ready_made_problems_load_and_the_default_method_is_sso(name):
    problem = load_problem(name)
    assert problem.name == name
    result = feasible.solve(problem, budget={"gradients": 4}, seed=100)
    assert "sso" in str(result.method)
    first, last = result.trail[0].verdict.objective, result.trail[-1].verdict.objective
    assert np.isfinite(last)
    assert last <= first
    assert len(problem.outline()) == 3
    assert result.table()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (
            {"model": nn.Linear(3, 1)},
            ArgumentTypeError,
            "expected a function that makes a new module",
        ),
        ({"smooth": 0}, ArgumentError, "smooth=0"),
        ({"batch_size": 41}, ArgumentError, "at most the 40 points"),
        ({"batch_size": 0}, ArgumentError, "batch_size=0"),
        ({"delay": -1}, ArgumentError, "delay=-1"),
        ({"data": (np.zeros(3), np.zeros(4))}, ShapeError, "as many"),
    ],
)
def test_problems_without_sense_are_refused(change, error, said):
    rng = np.random.default_rng(0)
    with pytest.raises(error, match=said):
        TargetProblem(
            **{
                "model": lambda: nn.Linear(3, 1),
                "data": (rng.normal(size=(40, 3)), rng.normal(size=40)),
                "loss": half_squares,
                **change,
            }
        )


def test_settings_without_sense_are_refused():
    for call, said in (
        (lambda: SSO(eta=0), "eta=0"),
        (lambda: SSO(m=0), "m=0"),
        (lambda: SSO(metric="l1"), "metric='l1'"),
        (lambda: Parametric("newton"), "'sgd'"),
        (lambda: Parametric(lr=-1), "lr=-1"),
        (lambda: SSO(inner="exact"), "inner='exact'"),
    ):
        with pytest.raises(ArgumentError, match=said):
            call()
    with pytest.raises(UnknownName):
        load_method("sso-newton")
    with pytest.raises(ShapeError, match="a sum over the points"):
        feasible.solve(
            TargetProblem(
                lambda: nn.Linear(3, 1),
                (np.zeros((4, 3), np.float32), np.zeros((4, 1), np.float32)),
                lambda z, y: z - y,
            ),
            SSO(),
            budget={"gradients": 1},
        )
