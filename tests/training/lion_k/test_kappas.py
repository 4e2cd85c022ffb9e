"""Every kappa against convex analysis: Fenchel-Young, brute-force conjugates, projections, and what
the names take.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.optimize import minimize

from feasible.core.errors import ArgumentError, ArgumentTypeError, UnknownName
from feasible.training.lion_k.kappas import KAPPAS, L1, Huber, Lp, TopK, kappa_of

SEPARABLE = (
    "l1",
    "soft[e=0.3]",
    "huber[e=0.3]",
    "quadratic",
    "entropy[a=0.5]",
    "relativistic[a=0.5]",
    "log[a=0.5]",
)
COUPLED = (
    "l2",
    "lp[p=1.5]",
    "lp[p=4.0]",
    "linf",
    "topk[k=3]",
    "group",
    "group[by=columns]",
    "group[by=tensor]",
    "nuclear",
)
ALL = SEPARABLE + COUPLED


def draw(seed, scale=1.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(4, 5)) * scale)


def test_the_tests_below_meet_every_name():
    assert {name.split("[")[0] for name in ALL} == set(KAPPAS)


@pytest.mark.parametrize("text", ALL)
@settings(max_examples=30)
@given(seed=st.integers(0, 2**31), scale=st.floats(1e-3, 1e3))
def test_fenchel_young_holds_with_equality_at_the_subgradient(text, seed, scale):
    kappa, v = kappa_of(text), draw(seed, scale)
    s, z = kappa.subgrad(v), kappa.project(draw(seed + 1, 2.0))
    value = float(kappa.value(v))
    assert abs(value + float(kappa.conjugate(s)) - float((v * s).sum())) <= 1e-9 * (1 + value)
    assert value + float(kappa.conjugate(z)) - float((v * z).sum()) >= -1e-9 * (1 + value)


@pytest.mark.parametrize("text", ALL)
@settings(max_examples=30)
@given(seed=st.integers(0, 2**31))
def test_the_conjugates_subgradient_is_one(text, seed):
    """kappa*(w) >= kappa*(z) + y'(w - z) for all w of the domain, with y in the subdifferential at
    z.
    """
    kappa = kappa_of(text)
    z, w = (kappa.project(draw(seed + i, 2.0)) * 0.999 for i in (0, 1))
    assert (
        float(kappa.conjugate(w) - kappa.conjugate(z) - (kappa.conj_subgrad(z) * (w - z)).sum())
        >= -1e-9
    )


@pytest.mark.parametrize("text", SEPARABLE)
def test_the_conjugate_is_the_supremum_on_a_grid(text):
    kappa = kappa_of(text)
    v = torch.linspace(-60, 60, 240_001, dtype=torch.float64)
    values = torch.stack([kappa.value(x) for x in v[::2000]])
    assert torch.allclose(values[30], kappa.value(v[60_000]))
    each = {
        "l1": v.abs(),
        "soft": (v.abs() - 0.3).clamp(min=0),
        "huber": torch.where(v.abs() <= 0.3, v**2 / 0.6, v.abs() - 0.15),
        "quadratic": v**2 / 2,
        "entropy": 0.5 * torch.log(torch.cosh(v / 0.5)),
        "relativistic": torch.sqrt(v**2 + 0.25) - 0.5,
        "log": v.abs() - 0.5 * torch.log1p(v.abs() / 0.5),
    }[kappa.name]
    assert torch.allclose(values, each[::2000])
    for z in (-0.9, -0.5, 0.0, 0.3, 0.8):
        assert float(kappa.conjugate(torch.tensor([z], dtype=torch.float64))) == pytest.approx(
            float((z * v - each).max()), abs=1e-5
        )
    outside = float(kappa.conjugate(torch.tensor([0.5, 1.001], dtype=torch.float64)))
    assert outside == math.inf or kappa.name == "quadratic"


@pytest.mark.parametrize("text", ALL)
@settings(max_examples=30)
@given(seed=st.integers(0, 2**31))
def test_the_projection_is_the_nearest_point_of_the_set(text, seed):
    """(z - P z)'(w - P z) <= 0 for every w of the set, among them the extreme points s in d
    kappa(v).
    """
    kappa, z = kappa_of(text), draw(seed, 3.0)
    nearest = kappa.project(z)
    assert float(kappa.gauge(nearest)) <= 1 + 1e-9
    assert float(kappa.distance(z)) == pytest.approx(float((z - nearest).norm()))
    assert bool(kappa.inside(nearest).all())
    for w in (kappa.subgrad(z - nearest), kappa.subgrad(draw(seed + 1)), nearest * 0):
        assert float(((z - nearest) * (w - nearest)).sum()) <= 1e-7
    assert torch.allclose(kappa.project(nearest), nearest, atol=1e-8)


@pytest.mark.parametrize("text", ["lp[p=1.2]", "lp[p=3.0]", "lp[p=1.01]", "lp[p=30.0]"])
def test_the_projection_on_a_ball_has_its_multiplier(text):
    """z - P z = t times the gradient of the q-norm's q-th power, t > 0, and the q-norm is 1."""
    kappa, z = kappa_of(text), torch.tensor([1.5, -0.7, 0.2, 2.0], dtype=torch.float64)
    q, y = kappa.p / (kappa.p - 1), kappa.project(z)
    t = (z - y) / (y.sign() * y.abs() ** (q - 1))
    assert float(kappa.gauge(y)) == pytest.approx(1, abs=1e-9)
    used = y.abs() ** (q - 1) > 1e-9
    assert float(t[used].min()) > 0
    assert torch.allclose(t[used], t[used].mean(), rtol=1e-4)


@pytest.mark.parametrize(("text", "cap", "total"), [("topk[k=2]", 1.0, 2.0), ("linf", 9.0, 1.0)])
def test_projections_equal_scipys(text, cap, total):
    kappa, z = kappa_of(text), np.array([1.5, -0.7, 0.2, 2.0])
    found = minimize(
        lambda y: ((y[:4] - y[4:] - z) ** 2).sum(),
        np.full(8, 0.1),
        method="SLSQP",
        bounds=[(0, cap)] * 8,
        options={"ftol": 1e-14},
        constraints=[{"type": "ineq", "fun": lambda y: total - y.sum()}],
    )
    assert np.allclose(
        found.x[:4] - found.x[4:], kappa.project(torch.from_numpy(z)).numpy(), atol=1e-5
    )


@pytest.mark.parametrize("text", ALL)
def test_a_zero_or_tiny_or_huge_momentum_gives_a_finite_move(text):
    kappa = kappa_of(text)
    for dtype in (torch.float32, torch.float64):
        assert not kappa.subgrad(torch.zeros(4, 5, dtype=dtype)).any()
        for scale in (1e-30, 1e30):
            if (
                dtype == torch.float64
                or scale < 1
                or kappa.name in ("l1", "soft", "huber", "linf", "topk", "lp")
            ):
                s = kappa.subgrad(draw(0, scale).to(dtype))
                assert bool(torch.isfinite(s).all())
                assert float(kappa.gauge(s)) <= 1 + 1e-5


def test_moves_are_the_papers():
    v = torch.tensor([3.0, -4.0, 0.0, 1.0])
    assert kappa_of("l1").subgrad(v).tolist() == [1, -1, 0, 1]
    assert torch.allclose(kappa_of("l2").subgrad(v), v / v.norm())
    assert torch.allclose(
        Lp(3.0).subgrad(v), v.sign() * v.abs() ** 2 / (v.abs() ** 3).sum() ** (2 / 3)
    )
    assert kappa_of("linf").subgrad(torch.tensor([1.0, -2.0, 2.0])).tolist() == [0, -1, 0]
    assert kappa_of("soft", e=2).subgrad(v).tolist() == [1, -1, 0, 0]
    assert TopK(1).subgrad(v).tolist() == [0, -1, 0, 0]
    assert TopK(3).subgrad(torch.tensor([1.0, 0, 0])).tolist() == [1, 0, 0]
    assert Huber(2.0).subgrad(v).tolist() == [1, -1, 0, 0.5]
    matrix = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert torch.allclose(kappa_of("group").subgrad(matrix), torch.tensor([[0.6, 0.8], [0, 0]]))
    assert torch.allclose(
        kappa_of("nuclear").subgrad(torch.diag(torch.tensor([5.0, -0.1]))),
        torch.diag(torch.tensor([1.0, -1.0])),
        atol=1e-6,
    )
    assert kappa_of("nuclear").subgrad(torch.randn(3, 2, 2, 2)).shape == (3, 2, 2, 2)


def test_the_rounding_of_float32_is_not_outside():
    z = torch.full((3,), 1.0) + torch.finfo(torch.float32).eps
    assert float(L1().conjugate(z)) == 0
    assert float(L1().conjugate(z.double() + 1e-6)) == math.inf
    assert bool(L1().inside(z).all())


def test_names_and_settings_are_read_written_and_refused():
    assert kappa_of("lp", p=1.6) == kappa_of("lp[p=1.6]") == Lp(1.6)
    assert kappa_of("l2") == Lp(2.0)
    for text in ALL:
        assert kappa_of(str(kappa_of(text))) == kappa_of(text)
    assert kappa_of(L1()) == L1()
    for given_, more, error, said in (
        ("l3", {}, UnknownName, "did you mean"),
        ("soft", {}, ArgumentError, "needs e"),
        ("lp", {}, ArgumentError, "needs p"),
        ("topk", {}, ArgumentError, "needs k"),
        ("l1", {"e": 1.0}, ArgumentError, "no setting 'e'"),
        ("soft", {"e": 0}, ArgumentError, "e=0: expected a number > 0"),
        ("lp", {"p": 1}, ArgumentError, "p=1"),
        ("topk", {"k": 0}, ArgumentError, "k=0"),
        ("topk", {"k": 1.5}, ArgumentError, "whole number"),
        ("group[by=cells]", {}, ArgumentError, "by='cells'"),
        (3, {}, ArgumentTypeError, "got int"),
        ("huber[e=nan]", {}, ArgumentError, "e=nan"),
        (Huber(1.0), {"e": 2.0}, ArgumentError, "has its settings"),
    ):
        with pytest.raises(error, match=said):
            kappa_of(given_, **more)
    with pytest.raises(ArgumentError, match="k=9: the tensor has 4 entries"):
        TopK(9).value(torch.zeros(4))
    with pytest.raises(ArgumentError, match="two axes or more"):
        kappa_of("nuclear").subgrad(torch.zeros(4))
