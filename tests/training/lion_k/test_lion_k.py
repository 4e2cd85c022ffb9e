"""Lion-K against its mathematics (closed forms, the discrete Lyapunov inequality, the two phases),
other Lions, and what users do to an optimiser.
"""

import copy
import gc
import io
import pickle
import weakref

import pytest
import torch
from lions import ALL, net, quadratic, train
from torch import nn

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.training import LionK, LyapunovMonitor
from feasible.training.lion_k.kappas import L1, Huber, TopK, kappa_of

# -- what it solves --------------------------------------------------------------------------------


@pytest.mark.parametrize("kappa", ALL)
@pytest.mark.parametrize("decay", ["explicit", "implicit"])
def test_the_discrete_lyapunov_inequality_holds_at_every_step(kappa, decay):
    """H(next) - H <= -h (1 + c lam) d1 - c (1 - b2)/(b2 - b1) d2 + L h^2/2 |s - lam
    x_next|^2, with every term of d1, d2 >= 0.
    """
    for seed in range(100, 104):
        x, loss, smooth = quadratic(seed)
        lam, lr = 0.7, 0.02
        with torch.no_grad():
            x.copy_(kappa_of(kappa).project(x * lam) / lam * 0.9)
        opt = LionK([x], lr=lr, weight_decay=lam, kappa=kappa, decay=decay)
        monitor = LyapunovMonitor(opt, loss)
        h = lr if decay == "implicit" else lr / (1 - lr * lam)
        for _ in range(40):
            row, before = monitor.measure(), x.detach().clone()
            opt.zero_grad()
            loss().backward()
            opt.step()
            move = (x.detach() - before) / h
            after = monitor.measure()
            assert row["phase"] == 2
            assert min(row["delta1"], row["delta2"], row["fenchel_gap"]) >= -1e-9
            assert after["H"] - row["H"] <= row["descent"] + smooth * h**2 / 2 * float(
                (move**2).sum()
            ) + 1e-9 * (1 + abs(row["H"]))


def test_the_explicit_scheme_is_the_implicit_one_with_a_smaller_step():
    for kappa in ALL:
        (x, loss, _), (y, other, _) = quadratic(100), quadratic(100)
        pair = (
            LionK([x], lr=0.05, weight_decay=2.0, kappa=kappa, decay="implicit"),
            LionK([y], lr=0.05 / 1.1, weight_decay=2.0, kappa=kappa),
        )
        for _ in range(20):
            for opt, f in zip(pair, (loss, other), strict=True):
                opt.zero_grad()
                f().backward()
                opt.step()
        assert torch.allclose(x, y, atol=1e-11)


@pytest.mark.parametrize("kappa", ALL)
def test_iterates_enter_the_set_geometrically_and_stay_whatever_the_gradients_are(kappa):
    if kappa == "quadratic":
        return
    x, k = nn.Parameter(torch.full((4, 5), 10.0, dtype=torch.float64)), kappa_of(kappa)
    opt, rng = LionK([x], lr=0.05, bound=2.0, kappa=kappa), torch.Generator().manual_seed(0)
    rate, excess, distance, entered = (
        1 - 0.05 / 2,
        float(k.gauge(x.detach() / 2)) - 1,
        float(k.distance(x.detach() / 2)),
        False,
    )
    for t in range(1, 400):
        x.grad = torch.randn(4, 5, generator=rng, dtype=torch.float64) * 10 ** float(
            torch.rand((), generator=rng) * 6 - 3
        )
        opt.step()
        z = x.detach() / 2
        assert float(k.gauge(z)) - 1 <= rate**t * excess + 1e-12
        assert float(k.distance(z)) <= rate**t * distance + 1e-9
        inside = float(k.gauge(z)) <= 1 + 1e-12
        assert inside or not entered
        entered = inside
    assert entered


@pytest.mark.parametrize("fused", [None, False])
def test_trajectories_equal_those_of_the_other_lions_in_float64(fused):
    import lion_pytorch
    import pytorch_optimizer

    models = [net() for _ in range(3)]
    settings = {"lr": 1e-3, "betas": (0.95, 0.98), "weight_decay": 0.7}
    makes = (
        lambda p: LionK(p, fused=fused, **settings),
        lambda p: lion_pytorch.Lion(p, **settings),
        lambda p: pytorch_optimizer.Lion(p, **settings),
    )
    ends = [
        train(model, make(model.parameters()), steps=300)
        for model, make in zip(models, makes, strict=True)
    ]
    for other in ends[1:]:
        assert max(float((a - b).abs().max()) for a, b in zip(ends[0], other, strict=True)) <= 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_fused_step_is_the_multi_tensor_one(dtype):
    a, b = net(dtype=dtype), net(dtype=dtype)
    one = train(a, LionK(a.parameters(), lr=1e-2, weight_decay=1.0), steps=50)
    other = train(b, LionK(b.parameters(), lr=1e-2, weight_decay=1.0, fused=False), steps=50)
    assert all(
        torch.allclose(x, y, atol=1e-6 if dtype == torch.float32 else 1e-12)
        for x, y in zip(one, other, strict=True)
    )


def test_what_the_fused_kernel_does_not_take_goes_the_other_way():
    for p in (
        nn.Parameter(torch.randn(6, 4, dtype=torch.bfloat16)),
        nn.Parameter(torch.randn(4, 6).t()),
        nn.Parameter(torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)),
    ):
        before = p.detach().clone()
        p.grad = torch.ones_like(p)
        LionK([p], lr=0.5, weight_decay=1.0).step()
        assert torch.allclose(p, before * 0.5 - 0.5)


def test_a_fused_step_is_noticed_by_autograd():
    x = nn.Parameter(torch.ones(3))
    loss = (x**2).sum()
    x.grad = torch.ones(3)
    LionK([x]).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_quadratic_without_decay_is_heavy_ball():
    x, loss, _ = quadratic(100)
    y, other, _ = quadratic(100)
    ours, theirs = (
        LionK([x], lr=0.1, betas=(0.8, 0.8), kappa="quadratic"),
        torch.optim.SGD([y], lr=0.1 * 0.2, momentum=0.8),
    )
    for _ in range(20):
        for opt, f in ((ours, loss), (theirs, other)):
            opt.zero_grad()
            f().backward()
            opt.step()
    assert torch.allclose(x, y, atol=1e-12)


def test_exactly_one_kappa_is_applied():
    for kappa in ALL:
        x = nn.Parameter(torch.zeros(4, 5, dtype=torch.float64))
        x.grad = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        LionK([x], lr=0.3, kappa=kappa).step()
        assert torch.allclose(x, -0.3 * kappa_of(kappa).subgrad(0.1 * x.grad), atol=1e-15)


# -- scopes and groups -----------------------------------------------------------------------------


@pytest.mark.parametrize("kappa", ["l2", "linf", "topk[k=3]", "lp[p=3.0]"])
def test_scopes_say_on_which_vector_kappa_acts(kappa):
    k = kappa_of(kappa)

    def moved(scope, groups, vectors=None):
        model = net()
        ps = list(model.parameters())
        before = [p.detach().clone() for p in ps]
        generator = torch.Generator().manual_seed(1)
        for p in ps:
            p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        LionK(
            [{"params": [ps[i] for i in rows]} for rows in groups],
            lr=1.0,
            betas=(0.0, 0.5),
            kappa=kappa,
            scope=scope,
            vectors=vectors,
        ).step()
        return [b - p.detach() for b, p in zip(before, ps, strict=True)], [p.grad for p in ps]

    def on(grads):
        return k.subgrad(torch.cat([g.reshape(-1) for g in grads]))

    def flat(moves):
        return torch.cat([m.reshape(-1) for m in moves])

    groups = [(0, 1), (2, 3)]
    moves, grads = moved("all", groups)
    assert torch.allclose(flat(moves), on(grads))
    moves, grads = moved("group", groups)
    assert torch.allclose(flat(moves), torch.cat([on(grads[:2]), on(grads[2:])]))
    if kappa != "topk[k=3]":
        moves, grads = moved("tensor", groups, "same")
        assert torch.allclose(flat(moves), torch.cat([on([g]) for g in grads]))
    moves, grads = moved("tensor", groups)
    assert torch.allclose(
        flat(moves), torch.cat([on([grads[0]]), grads[1].sign(), on([grads[2]]), grads[3].sign()])
    )


def test_groups_have_kappas_rates_bounds_and_decays_of_their_own():
    a, b, c = (nn.Parameter(torch.full((2, 2), 0.5)) for _ in range(3))
    opt = LionK(
        [
            {"params": [a], "kappa": "lp", "p": 1.6, "lr": 0.1},
            {"params": [b], "bound": 0.25},
            {"params": [c], "kappa": Huber(e=0.5)},
        ],
        lr=0.2,
        weight_decay=1.0,
    )
    assert [g["kappa"] for g in opt.param_groups] == ["lp[p=1.6]", "l1", "huber[e=0.5]"]
    assert [g["weight_decay"] for g in opt.param_groups] == [1.0, 4.0, 1.0]
    for p in (a, b, c):
        p.grad = torch.full((2, 2), 2.0)
    opt.step()
    assert torch.allclose(a, torch.full((2, 2), 0.9 * 0.5 - 0.1 * 4 ** (-0.6 / 1.6)))
    assert torch.allclose(b, torch.full((2, 2), 0.2 * 0.5 - 0.2))
    assert torch.allclose(c, torch.full((2, 2), 0.8 * 0.5 - 0.2 * 0.2 / 0.5))
    opt.add_param_group({"params": [nn.Parameter(torch.zeros(3))], "k": 2, "kappa": "topk"})
    assert opt.param_groups[3]["kappa"] == str(TopK(2))


def test_parameters_without_gradient_are_left_alone():
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    a.grad = torch.ones(2)
    for scope in ("tensor", "group", "all"):
        opt = LionK([a, b], weight_decay=1.0, kappa="l2", scope=scope)
        opt.step()
        assert torch.equal(b.detach(), torch.ones(2))
        assert b not in opt.state


# -- what users do to an optimiser -----------------------------------------------------------------


def loaded(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("kappa", ["l1", "lp[p=1.5]", "topk[k=2]", "nuclear"])
def test_a_reloaded_run_goes_on_bit_for_bit_with_one_buffer_a_parameter(kappa):
    model = net()
    opt = LionK(
        [
            {"params": [model[0].weight, model[2].weight], "kappa": kappa},
            {"params": [model[0].bias, model[2].bias]},
        ],
        lr=1e-2,
        weight_decay=0.5,
    )
    train(model, opt)
    assert all(
        list(state) == ["exp_avg"] and state["exp_avg"].shape == p.shape
        for p, state in opt.state.items()
    )
    other = net(1)
    other.load_state_dict(model.state_dict())
    again = LionK(
        [
            {"params": [other[0].weight, other[2].weight]},
            {"params": [other[0].bias, other[2].bias]},
        ],
        lr=1.0,
    )
    again.load_state_dict(loaded(opt.state_dict()))
    assert again.param_groups[0]["kappa"] == kappa
    assert all(
        torch.equal(a, b)
        for a, b in zip(train(model, opt, seed=1), train(other, again, seed=1), strict=True)
    )


def test_a_checkpoint_of_lion_pytorch_is_read():
    from lion_pytorch import Lion as LionPytorch

    model = net()
    theirs = LionPytorch(model.parameters(), lr=1e-2, weight_decay=0.5)
    train(model, theirs)
    other = copy.deepcopy(model)
    state = loaded(theirs.state_dict())
    ours = LionK(other.parameters(), lr=1e-2, weight_decay=0.5)
    state["param_groups"] = [{**ours.state_dict()["param_groups"][0], **state["param_groups"][0]}]
    ours.load_state_dict(state)
    assert all(
        torch.allclose(a, b, atol=1e-12)
        for a, b in zip(train(model, theirs, seed=1), train(other, ours, seed=1), strict=True)
    )


def test_another_models_checkpoint_is_refused():
    a, b = nn.Linear(3, 2), nn.Linear(4, 2)
    with pytest.raises(ShapeError, match=r"'weight' has shape \(2, 4\) there, expected \(2, 3\)"):
        LionK(a.named_parameters()).load_state_dict(LionK(b.named_parameters()).state_dict())


def test_it_is_an_optimizer_for_closures_copies_pickles_schedulers_and_the_collector():
    model = net()
    opt = LionK(model.named_parameters(), lr=torch.tensor(1e-2), weight_decay=0.5)
    assert isinstance(opt, torch.optim.Optimizer)
    assert opt.step(lambda: model(torch.ones(1, 3, dtype=torch.float64)).sum()) is not None
    for scheduler in (
        torch.optim.lr_scheduler.StepLR(opt, 2),
        torch.optim.lr_scheduler.OneCycleLR(opt, 0.1, total_steps=50),
    ):
        train(model, opt, schedulers=[scheduler])
    assert pickle.loads(pickle.dumps(opt)).param_groups[0]["kappa"] == "l1"
    twin = copy.deepcopy((model, opt))
    assert all(torch.equal(a, b) for a, b in zip(train(model, opt), train(*twin), strict=True))
    gone = weakref.ref(opt)
    gc.disable()
    try:
        del opt, scheduler, twin
        gc.collect()
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"lr": 0}, ArgumentError, "lr=0"),
        ({"lr": float("nan")}, ArgumentError, "lr=nan"),
        ({"lr": "x"}, ArgumentTypeError, "lr="),
        ({"betas": (0.9, 1.0)}, ArgumentError, r"betas\[1\]=1"),
        ({"betas": (0.9,)}, ArgumentError, "2 values"),
        ({"weight_decay": -1}, ArgumentError, "weight_decay=-1"),
        ({"lr": 0.5, "weight_decay": 2.0}, ArgumentError, r"lr \* weight_decay = 1"),
        ({"kappa": "l9"}, ArgumentError, "kappa='l9'"),
        ({"kappa": "huber"}, ArgumentError, "needs e"),
        ({"kappa": "topk", "k": 7}, ArgumentError, "k=7: parameter"),
        ({"kappa": "lp", "p": 0.5}, ArgumentError, "p=0.5"),
        ({"bound": 1, "weight_decay": 1.0}, ArgumentError, "one of them"),
        ({"bound": 0}, ArgumentError, "bound=0"),
        ({"scope": "layer"}, ArgumentError, "scope='layer'"),
        ({"decay": "late"}, ArgumentError, "decay='late'"),
        ({"vectors": "l2"}, ArgumentError, "vectors='l2'"),
        ({"kappa": "nuclear", "scope": "group"}, ArgumentError, "two axes"),
    ],
)
def test_settings_without_sense_are_refused_with_their_name(settings, error, said):
    with pytest.raises(error, match=said):
        LionK([nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(2, 1))], **settings)
    assert issubclass(error, (ValueError, TypeError))


def test_a_group_that_does_not_fit_is_not_kept():
    x, y = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(2))
    opt = LionK([x], weight_decay=1.0, scope="all", kappa="l2")
    for group, said in (
        ({"kappa": "linf"}, "groups have kappa"),
        ({"weight_decay": 2.0}, "weight_decay"),
        ({"scope": "tensor"}, "scope='tensor' in a group"),
    ):
        with pytest.raises(ArgumentError, match=said):
            opt.add_param_group({"params": [y], **group})
        assert len(opt.param_groups) == 1


def test_a_rate_that_a_schedule_raises_too_far_is_refused_before_the_step():
    x = nn.Parameter(torch.ones(2))
    opt = LionK([x], lr=0.1, weight_decay=2.0)
    x.grad, opt.param_groups[0]["lr"] = torch.ones(2), 0.6
    with pytest.raises(ArgumentError, match="expected < 1"):
        opt.step()
    assert torch.equal(x.detach(), torch.ones(2))


def test_one_nan_does_not_poison_the_momentum():
    model = net()
    opt = LionK(model.named_parameters(), weight_decay=1.0)
    train(model, opt)
    before = copy.deepcopy(model.state_dict()), opt.state[model[0].bias]["exp_avg"].clone()
    model[2].bias.grad[1] = float("nan")
    with pytest.raises(NotFinite, match=r"'2\.bias'"):
        opt.step()
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in before[0].items())
    assert torch.equal(opt.state[model[0].bias]["exp_avg"], before[1])


def test_a_class_of_ones_own_joins_by_its_name(monkeypatch):
    from dataclasses import dataclass
    from typing import ClassVar

    from feasible.training import kappas

    @dataclass(frozen=True)
    class Half(L1):
        name: ClassVar[str] = "half"

        def subgrad(self, v):
            return v.sign() / 2

    monkeypatch.setitem(kappas.KAPPAS, "half", Half)
    x = nn.Parameter(torch.zeros(2))
    x.grad = torch.tensor([1.0, -1.0])
    LionK([x], lr=0.1, kappa="half").step()
    assert torch.allclose(x, torch.tensor([-0.05, 0.05]))
