"""Target surrogates: identities with SGD and with descent in the target space, the upper bound, the
count of gradients, and faults.
"""

import copy
import io
import itertools
import math
import pickle

import pytest
import torch
from targets import LOSSES, SOLVERS, data, half_squares, linear, mlp, weights
from torch import nn

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.training import TargetSurrogate
from feasible.training.target_surrogates.inner_solvers import GD, ArmijoGD, GaussNewton, Stepped


def test_one_plain_inner_step_is_sgd_on_the_loss_whatever_eta_is():
    x, y = data()
    ours, theirs = mlp(), mlp()
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.3)
    for t, eta in enumerate((0.1, 1.0, 7.0, 100.0)):
        rows = torch.arange(t, 20, 2)
        TargetSurrogate(ours.parameters(), eta=eta, m=1, inner=GD(0.3)).step(
            lambda rows=rows: ours(x[rows]), loss=half_squares(y[rows])
        )
        sgd.zero_grad()
        (half_squares(y[rows])(theirs(x[rows])) / len(rows)).backward()
        sgd.step()
        assert torch.allclose(weights(ours), weights(theirs), atol=1e-12)


@pytest.mark.parametrize("inner", ["lstsq", "cg"])
def test_squared_loss_and_a_linear_model_take_one_gradient_to_the_least_squares_solution(inner):
    x, y = data()
    model = linear()
    info = TargetSurrogate(model.parameters(), eta=1.0, m=1, inner=inner).step(
        lambda: model(x), loss=half_squares(y)
    )
    assert torch.allclose(
        model.weight[0], torch.linalg.lstsq(x, y[:, None]).solution[:, 0], atol=1e-9
    )
    assert info.target_calls == 1


@pytest.mark.parametrize("proximity", ["batch", "full"])
def test_with_more_weights_than_points_it_is_gradient_descent_in_the_target_space(proximity):
    x, y = data(n=5, d=8)
    model = linear(8)
    opt = TargetSurrogate(model.parameters(), eta=0.3, m=1, inner="lstsq", proximity=proximity)
    for rows in (torch.arange(5), torch.tensor([0, 3])):
        z = model(x)[:, 0].detach()
        expected = z.clone()
        expected[rows] -= 0.3 * (z - y)[rows] * (5 / len(rows) if proximity == "full" else 1)
        target = (lambda: model(x)) if proximity == "full" else (lambda rows=rows: model(x[rows]))
        opt.step(target, loss=half_squares(y[rows]), rows=rows)
        found = model(x)[:, 0].detach()
        # full: a point outside the batch stays; batch: it may go anywhere
        assert torch.allclose(
            found if proximity == "full" else found[rows],
            expected if proximity == "full" else expected[rows],
            atol=1e-9,
        )


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("build", [linear, mlp])
def test_the_surrogate_is_an_upper_bound_that_touches_and_no_longer_one_for_a_step_too_long(
    name, build
):
    smooth, loss, out = LOSSES[name]
    x, y = data()
    model = build(out=out)
    z = model(x).detach().requires_grad_()
    value = loss(z, y)
    gradient, broken = torch.autograd.grad(value, z)[0], False
    z = z.detach()
    for seed in range(60):
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(
                    torch.randn(
                        p.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
                    )
                    * 10 ** (seed % 5 / 2 - 1.5)
                )
            f = model(x)
            bound = value + (gradient * (f - z)).sum() + smooth / 2 * (f - z).square().sum()
            assert bound >= loss(f, y) - 1e-9 * (1 + abs(bound))
            broken |= bool(
                value + (gradient * (f - z)).sum() + smooth / 8 * (f - z).square().sum()
                < loss(f, y)
            )
    assert broken


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("m", [1, 5, 30])
@pytest.mark.parametrize("build", [linear, mlp])
def test_full_batch_descent_is_monotone_and_counts_one_gradient_a_step(name, m, build):
    smooth, loss, out = LOSSES[name]
    x, y = data()
    model = build(out=out)
    opt, values, calls = TargetSurrogate(model.parameters(), eta=1 / smooth, m=m), [], []

    def oracle(z):
        calls.append(1)
        return loss(z, y)

    for _ in range(15):
        info = opt.step(lambda: model(x), loss=oracle)
        values.append(info.loss)
        assert float(loss(model(x).detach(), y)) / len(x) <= info.surrogate + 1e-12
        assert info.inner_steps <= m
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(values))
    assert len(calls) == info.target_calls == 15
    assert values[-1] < values[0]


@pytest.mark.parametrize("inner", SOLVERS)
def test_every_inner_solver_lowers_the_surrogate_of_a_network(inner):
    x, y = data()
    model = mlp()
    before, h = weights(model), float(half_squares(y)(model(x).detach())) / len(x)
    info = TargetSurrogate(model.parameters(), eta=1.0, m=5, inner=inner).step(
        lambda: model(x), loss=half_squares(y)
    )
    assert info.surrogate < h
    assert not torch.equal(before, weights(model))
    slope = torch.autograd.grad(half_squares(y)(model(x)) / len(x), list(model.parameters()))
    expected = math.sqrt(sum(float(g.square().sum()) for g in slope))
    again = TargetSurrogate(model.parameters(), eta=7.0, m=1, inner=inner).step(
        lambda: model(x), loss=half_squares(y)
    )
    assert again.grad_norm == pytest.approx(expected)


def test_dense_and_conjugate_gradient_least_squares_agree_with_damping_too():
    x, y = data()
    for damping in (0.0, 0.5):
        ends = []
        for solver in ("dense", "cg"):
            model = mlp()
            inner = GaussNewton(solver, damping=damping + 1e-3, iterations=2000)
            TargetSurrogate(model.parameters(), eta=1.0, m=1, inner=inner).step(
                lambda model=model: model(x), loss=half_squares(y)
            )
            ends.append(weights(model))
        assert torch.allclose(*ends, atol=1e-6)


# -- step sizes ------------------------------------------------------------------------------------


def test_schedules_are_the_papers_and_torchs_schedulers_set_eta():
    x, y = data()

    def etas(schedule, scheduler=None, **more):
        model = linear()
        opt = TargetSurrogate(model.parameters(), eta=2.0, m=1, schedule=schedule, **more)
        after = scheduler(opt) if scheduler else None
        found = []
        for _ in range(4):
            found.append(opt.step(lambda: model(x), loss=half_squares(y)).eta)
            if after:
                after.step()
        return found

    assert etas("constant") == [2.0] * 4
    assert etas("stochastic") == pytest.approx([2 / math.sqrt(t) for t in (1, 2, 3, 4)])
    assert etas("exponential", total_steps=4) == pytest.approx(
        [2 * 0.25 ** (t / 4) for t in (1, 2, 3, 4)]
    )
    assert etas("constant", lambda opt: torch.optim.lr_scheduler.StepLR(opt, 1, 0.5)) == [
        2,
        1,
        0.5,
        0.25,
    ]


def test_the_line_search_meets_armijos_rule_in_the_target_space_with_values_only():
    """Squared loss: l(z - eta G) = l(z) (1 - eta)^2, so Armijo with c = 1/2 accepts exactly eta <=
    1.
    """
    x, y = data()
    model = linear()
    opt = TargetSurrogate(model.parameters(), eta="linesearch", m=3)
    for t in range(6):
        info = opt.step(lambda: model(x), loss=half_squares(y))
        assert info.eta <= 1 + 1e-9
        assert info.eta > 0.9 or t == 0
        assert info.target_calls == t + 1
    assert info.loss_calls > 6


def test_l2_shrinks_the_weights():
    x, y = data()
    norms = []
    for l2 in (0.0, 0.5):
        model = linear()
        TargetSurrogate(model.parameters(), m=50, l2=l2).step(
            lambda model=model: model(x), loss=half_squares(y)
        )
        norms.append(float(weights(model).norm()))
    assert norms[1] < norms[0]


def test_a_mean_loss_is_the_same_as_a_sum_when_said_so():
    x, y = data()
    ends = []
    for reduction in ("sum", "mean"):
        model = mlp()
        opt = TargetSurrogate(model.parameters(), m=3, reduction=reduction)
        share = 20 if reduction == "mean" else 1
        infos = [
            opt.step(
                lambda model=model: model(x), loss=lambda z, share=share: half_squares(y)(z) / share
            )
            for _ in range(3)
        ]
        ends.append((weights(model), infos[-1].surrogate))
    assert torch.allclose(ends[0][0], ends[1][0])
    assert ends[0][1] == pytest.approx(ends[1][1])


# -- faults ----------------------------------------------------------------------------------------


def test_dropout_is_refused_and_the_weights_stay():
    x, y = data()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 30), nn.Dropout(0.5), nn.Linear(30, 1)).double()
    opt, before = TargetSurrogate(model.parameters()), weights(model)
    with pytest.raises(
        ArgumentError, match=r"other outputs at the same weights.*dropout into eval"
    ):
        opt.step(lambda: model(x), loss=half_squares(y))
    assert torch.equal(before, weights(model))
    model.eval()
    assert opt.step(lambda: model(x), loss=half_squares(y)).inner_steps > 0


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        ({}, ArgumentError, "one of loss"),
        ({"loss": lambda z: z.sum(), "target_grad": lambda z: z}, ArgumentError, "one of loss"),
        ({"target_grad": lambda z: z[:3]}, ShapeError, r"target_grad gave shape \(3, 1\)"),
        ({"target_grad": lambda z: z * math.nan}, NotFinite, "not finite"),
        ({"loss": lambda z: z}, ShapeError, "expected a scalar"),
        ({"loss": lambda z: 3.0}, ArgumentTypeError, "loss gave a float"),
        ({"loss": lambda z: z.sum() * math.inf}, NotFinite, "not finite"),
        ({"loss": lambda z: z.sum(), "rows": [1, 2]}, ShapeError, "rows has shape"),
    ],
)
def test_oracles_without_sense_are_refused(call, error, said):
    x, _ = data()
    model = linear()
    before = weights(model)
    with pytest.raises(error, match=said):
        TargetSurrogate(model.parameters()).step(lambda: model(x), **call)
    assert torch.equal(before, weights(model))


def test_targets_without_sense_are_refused():
    x, y = data()
    model = linear()
    opt = TargetSurrogate(model.parameters())
    for target, error, said in (
        (lambda: model(x).detach(), ArgumentError, "without a gradient"),
        (lambda: 3.0, ArgumentError, "without a gradient"),
        (lambda: model(x) * math.nan, NotFinite, "outputs hold a NaN"),
    ):
        with pytest.raises(error, match=said):
            opt.step(target, loss=half_squares(y))
    with pytest.raises(NotFinite, match="smaller inner step"):
        TargetSurrogate(model.parameters(), m=400, inner=GD(1e3)).step(
            lambda: model(x), loss=half_squares(y)
        )
    assert bool(torch.isfinite(weights(model)).all())
    for settings, said in (
        ({"eta": "linesearch"}, "needs values"),
        ({"metric": "gulf2"}, "needs values"),
        ({"metric": "adam"}, "points=n"),
        ({"proximity": "full"}, "needs rows"),
    ):
        with pytest.raises(ArgumentError, match=said):
            TargetSurrogate(model.parameters(), **settings).step(
                lambda: model(x), target_grad=lambda z: z
            )


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"eta": 0}, ArgumentError, "eta=0"),
        ({"eta": "search"}, ArgumentError, "eta='search'"),
        ({"m": 0}, ArgumentError, "m=0"),
        ({"m": 1.5}, ArgumentError, "m=1.5"),
        ({"schedule": "cosine"}, ArgumentError, "schedule='cosine'"),
        ({"metric": "l1"}, ArgumentError, "metric='l1'"),
        ({"schedule": "exponential"}, ArgumentError, "needs total_steps"),
        ({"inner": "newton"}, ArgumentError, "inner='newton'"),
        ({"proximity": "near"}, ArgumentError, "proximity='near'"),
        ({"reduction": "none"}, ArgumentError, "reduction='none'"),
        ({"l2": -1}, ArgumentError, "l2=-1"),
    ],
)
def test_settings_without_sense_are_refused(settings, error, said):
    with pytest.raises(error, match=said):
        TargetSurrogate(linear().parameters(), **settings)
    with pytest.raises(ArgumentError, match="one parameter group"):
        TargetSurrogate(
            [{"params": [nn.Parameter(torch.ones(1))]}, {"params": [nn.Parameter(torch.ones(1))]}]
        )
    for make in (
        lambda: ArmijoGD(c=1.0),
        lambda: ArmijoGD(beta=0.0),
        lambda: GD(0.0),
        lambda: GaussNewton("qr"),
        lambda: GaussNewton(damping=-1),
    ):
        with pytest.raises(ArgumentError):
            make()


@pytest.mark.parametrize("metric", ["euclidean", "ada", "adam", "diagada"])
def test_a_reloaded_run_goes_on_bit_for_bit(metric):
    x, y = data()

    def run(model, opt, start, steps=5):
        for t in range(start, start + steps):
            rows = torch.randperm(20, generator=torch.Generator().manual_seed(t))[:8]
            opt.step(lambda: model(x[rows]), loss=half_squares(y[rows]), rows=rows)  # noqa: B023
        return weights(model)

    model = mlp()
    opt = TargetSurrogate(
        model.named_parameters(), eta=0.3, metric=metric, points=20, schedule="stochastic"
    )
    run(model, opt, 0)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "opt": opt.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    other = mlp(seed=1)
    again = TargetSurrogate(other.named_parameters())
    other.load_state_dict(saved["model"])
    again.load_state_dict(saved["opt"])
    copies = copy.deepcopy((model, opt)), pickle.loads(pickle.dumps((model, opt)))
    whole = run(model, opt, 5)
    assert torch.equal(run(other, again, 5), whole)
    assert all(torch.equal(run(*pair, 5), whole) for pair in copies)
    assert again.param_groups[0]["target_calls"] == 10
    with pytest.raises(ShapeError, match=r"'0\.weight' has shape"):
        TargetSurrogate(mlp(d=3).named_parameters()).load_state_dict(saved["opt"])


def test_an_optimisers_own_state_is_new_in_each_outer_step():
    made = []

    def make(ps):
        made.append(torch.optim.Adam(ps, 0.01))
        return made[-1]

    x, y = data()
    model = linear()
    opt = TargetSurrogate(model.parameters(), m=3, inner=Stepped(make))
    for _ in range(2):
        opt.step(lambda: model(x), loss=half_squares(y))
    assert len(made) == 2
    assert all(p.grad is None for p in model.parameters())
