"""Target surrogates: identities with SGD and with descent in the target space, the upper bound, the
count of gradients, and faults.
"""

import copy
import io
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.training import TargetSurrogate, target_surrogate_minimize
from feasible.training.target_surrogates.inner_solvers import GD, ArmijoGD, GaussNewton, Stepped

SOLVERS = (
    "armijo",
    "lstsq",
    "gauss-newton",
    "cg",
    "lbfgs",
    GD(0.01),
    lambda ps: torch.optim.Adam(ps, 0.01),
)


def data(n=20, d=4, k=None, seed=0):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=rng, dtype=torch.float64)
    return x, torch.randn(n, generator=rng, dtype=torch.float64) if k is None else torch.randint(
        k, (n,), generator=rng
    )


def linear(d=4, out=1, seed=0):
    torch.manual_seed(seed)
    return nn.Linear(d, out, bias=False).double()


def mlp(d=4, out=1, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(d, 6), nn.Tanh(), nn.Linear(6, out)).double()


def weights(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()]).clone()


def half_squares(y):
    return lambda z: (z[:, 0] - y).square().sum() / 2


LOSSES = {
    "squared": (1.0, lambda z, y: (z[:, 0] - y).square().sum() / 2, 1),
    "logistic": (
        0.25,
        lambda z, y: F.binary_cross_entropy_with_logits(z[:, 0], (y > 0).double(), reduction="sum"),
        1,
    ),
    "softmax": (0.5, lambda z, y: F.cross_entropy(z, (y > 0).long(), reduction="sum"), 2),
}


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


# -- metrics ---------------------------------------------------------------------------------------


def once(metric, eta=0.5, steps=1, prob=False, **more):
    """The target after exact minimisation of the surrogate where outputs are free: 5 points,
    identity features.
    """
    y = torch.linspace(-2, 2, 5, dtype=torch.float64)
    model = linear(5)
    with torch.no_grad():
        model.weight.copy_(torch.linspace(0.5, 1, 5)[None])
    opt = TargetSurrogate(
        model.parameters(), eta=eta, m=1, inner="lstsq", metric=metric, points=5, **more
    )
    x, path = torch.eye(5, dtype=torch.float64), [model.weight[0].detach().clone()]
    for _ in range(steps):
        opt.step(lambda: model(x), loss=half_squares(y), rows=torch.arange(5))
        path.append(model.weight[0].detach().clone())
    return path, y


def test_ada_is_scalar_adagrad_and_diagada_its_diagonal_in_the_target_space():
    for metric in ("ada", "diagada"):
        path, y = once(metric, steps=3)
        s = torch.zeros(5, dtype=torch.float64)
        for z, found in itertools.pairwise(path):
            g = z - y
            s = s + (g.square().sum() if metric == "ada" else g.square())
            weight = s.sqrt() + 1e-6 if metric == "ada" else s.clamp(1e-5, 1e5).sqrt()
            assert torch.allclose(found, z - 0.5 * g / weight, atol=1e-9)


def test_adam_is_torchs_adam_on_the_targets():
    path, y = once("adam", eta=0.1, steps=4)
    z = nn.Parameter(path[0].clone())
    adam = torch.optim.Adam([z], lr=0.1)
    for found in path[1:]:
        z.grad = z.detach() - y
        adam.step()
        assert torch.allclose(found, z.detach(), atol=1e-9)


def test_the_online_newton_metric_takes_a_newton_step_on_the_logistic_loss():
    x, y = torch.eye(3, dtype=torch.float64), torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    model = linear(3)
    z = model.weight[0].detach().clone()
    opt = TargetSurrogate(model.parameters(), eta=1.0, m=1, inner="lstsq", metric="newton")
    opt.step(
        lambda: model(x),
        loss=lambda f: F.binary_cross_entropy_with_logits(f[:, 0], y, reduction="sum"),
    )
    p = torch.sigmoid(z)
    assert torch.allclose(model.weight[0], z - (p - y) / (p * (1 - p) + 1e-5), atol=1e-8)


def test_mirror_descent_multiplies_probabilities():
    """The minimum of <G, f - z> + KL(f, z)/eta over positive f is z exp(-eta G); over softmax
    outputs it is that, normalised.
    """
    logits, g = (
        nn.Parameter(torch.tensor([[0.1, 0.5, -0.3]], dtype=torch.float64)),
        torch.tensor([[1.0, -0.5, 0.2]], dtype=torch.float64),
    )
    z = logits.softmax(1).detach()
    opt = TargetSurrogate([logits], eta=0.7, m=50, inner="lbfgs", metric="mirror")
    opt.step(lambda: logits.softmax(1), target_grad=lambda f: g)
    expected = z * torch.exp(-0.7 * g)
    assert torch.allclose(logits.softmax(1).detach(), expected / expected.sum(), atol=1e-5)
    with pytest.raises(ArgumentError, match="expected probabilities"):
        opt.step(lambda: logits, target_grad=lambda f: g)
    with pytest.raises(ArgumentError, match="no quadratic"):
        TargetSurrogate([logits], metric="mirror", inner="lstsq").step(
            lambda: logits.softmax(1), target_grad=lambda f: g
        )


def test_gulf2_steps_towards_the_loss_and_pays_for_each_inner_gradient():
    """min l(f) - (1 - a) <G, f> for the squared loss: f = z - a G."""
    path, y = once("euclidean", eta=0.2)
    model = linear(5)
    with torch.no_grad():
        model.weight.copy_(path[0][None])
    opt = TargetSurrogate(
        model.parameters(), eta=0.2, m=60, metric="gulf2", inner=ArmijoGD(tol=1e-10)
    )
    info = opt.step(lambda: model(torch.eye(5, dtype=torch.float64)), loss=half_squares(y))
    assert torch.allclose(model.weight[0], path[0] - 0.2 * (path[0] - y), atol=1e-6)
    assert info.target_calls > info.inner_steps


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


# -- the NumPy form --------------------------------------------------------------------------------


def test_the_numpy_form_is_the_torch_form():
    x, y = data()
    model = linear()
    opt = TargetSurrogate(model.parameters(), eta=0.5, m=4)
    start = model.weight.detach().numpy()[0].copy()
    for _ in range(6):
        info = opt.step(lambda: model(x), loss=half_squares(y))
    xs, ys = x.numpy(), y.numpy()
    found = target_surrogate_minimize(
        lambda w: xs @ w,
        lambda w: xs,
        lambda z: z - ys,
        start,
        eta=0.5,
        m=4,
        steps=6,
        loss=lambda z: ((z - ys) ** 2).sum() / 2,
    )
    assert np.allclose(found.x, model.weight.detach().numpy()[0])
    assert found.history["loss"][-1] == pytest.approx(float(info.loss))
    assert found.target_calls == found.n_iter == 6
    assert np.allclose(found.z, xs @ found.x)


def test_the_numpy_form_solves_ends_searches_and_takes_matrices():
    rng = np.random.default_rng(0)
    xs, ys = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))

    def jacobian(w):
        found = np.zeros((12, 2, 3, 2))
        for j in range(2):
            found[:, j, :, j] = xs
        return found

    for inner in ("lstsq", "cg"):
        found = target_surrogate_minimize(
            lambda w: xs @ w,
            jacobian,
            lambda z: z - ys,
            np.zeros((3, 2)),
            inner=inner,
            m=1,
            steps=5,
            tol=1e-8,
        )
        assert np.allclose(found.x, np.linalg.lstsq(xs, ys, rcond=None)[0], atol=1e-6)
        assert found.converged
        assert found.target_calls <= 3
    calls = []
    found = target_surrogate_minimize(
        lambda w: xs @ w,
        jacobian,
        lambda z: calls.append(1) or z - ys,
        np.zeros((3, 2)),
        eta="linesearch",
        steps=4,
        loss=lambda z: ((z - ys) ** 2).sum() / 2,
    )
    assert len(calls) == found.target_calls == 4
    for change, error, said in (
        ({"jac_f": lambda w: xs}, ShapeError, "jac_f gave shape"),
        ({"grad_l": lambda z: z[0]}, ShapeError, "grad_l gave shape"),
        ({"theta0": [np.inf]}, NotFinite, "theta0"),
        ({"f": 1}, ArgumentTypeError, "f: got int"),
        ({"eta": -1}, ArgumentError, "eta=-1"),
        ({"steps": 0}, ArgumentError, "steps=0"),
        ({"eta": "linesearch"}, ArgumentError, "needs values"),
    ):
        with pytest.raises(error, match=said):
            target_surrogate_minimize(
                **{
                    "f": lambda w: xs @ w,
                    "jac_f": jacobian,
                    "grad_l": lambda z: z - ys,
                    "theta0": np.zeros((3, 2)),
                    **change,
                }
            )
