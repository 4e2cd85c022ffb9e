import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.training import MFAC, SlidingFisher, StaticFisher


def dense(G, damp):
    """F of the definition, in float64."""
    return damp * np.eye(G.shape[1]) + G.T @ G / len(G)


def refined(F, x, times=3):
    """F^-1 x with residuals in extended precision, so that the reference is better than what it is
    compared with.
    """
    y = np.linalg.solve(F, x).astype(np.longdouble)
    for _ in range(times):
        y += np.linalg.solve(F, (x - F.astype(np.longdouble) @ y).astype(float))
    return y.astype(float)


def apart(a, b):
    return np.linalg.norm(np.asarray(a) - b) / np.linalg.norm(b)


def window(G, m=None, **more):
    w = SlidingFisher(len(G) if m is None else m, G.shape[1], dtype=torch.float64, **more)
    for g in G:
        w.push(torch.from_numpy(g))
    return w


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    return rng.standard_normal((24, 90)), rng.standard_normal(90)


@pytest.mark.parametrize("page", [1, 5, 24])
def test_static_products_and_diagonal_are_those_of_the_dense_inverse(data, page):
    G, x = data
    F = dense(G, 1e-3)
    estimate = StaticFisher(G, 1e-3, page=page)
    assert apart(estimate.ihvp(x), refined(F, x)) < 1e-11
    inverse = np.linalg.inv(F)
    assert apart(estimate.diag(), np.diag(inverse)) < 1e-9
    assert [estimate.element(j, k) for j, k in ((0, 0), (3, 70), (70, 3))] == pytest.approx(
        [inverse[0, 0], inverse[3, 70], inverse[3, 70]], rel=1e-8
    )


def test_pages_on_disk_give_the_same_numbers_and_read_a_memory_map(data, tmp_path):
    G, x = data
    stored = np.lib.format.open_memmap(tmp_path / "G.npy", mode="w+", dtype=float, shape=G.shape)
    stored[:] = G
    paged = StaticFisher(
        np.load(tmp_path / "G.npy", mmap_mode="r"), 1e-3, page=7, folder=tmp_path / "pages"
    )
    assert np.array_equal(paged.ihvp(x), StaticFisher(G, 1e-3, page=7).ihvp(x))
    assert sum(f.stat().st_size for f in (tmp_path / "pages").iterdir()) == G.nbytes


@pytest.mark.parametrize("size", [1, 7, 45])
def test_blocks_are_those_of_the_block_diagonal_matrix(data, size):
    G, x = data
    estimate = StaticFisher(G, 1e-2, blocksize=size)
    F = dense(G, 1e-2)
    block = np.arange(90) // size
    F[block[:, None] != block] = 0
    assert apart(estimate.ihvp(x), refined(F, x)) < 1e-11
    assert estimate.element(0, 89) == 0


def test_one_block_of_all_coordinates_is_the_full_matrix(data):
    G, x = data
    assert np.array_equal(StaticFisher(G, blocksize=90).ihvp(x), StaticFisher(G).ihvp(x))


def test_blocks_of_one_are_the_diagonal_fisher(data):
    G, _ = data
    assert StaticFisher(G, 0.1, blocksize=1).diag() == pytest.approx(
        1 / (0.1 + (G**2).mean(0)), rel=1e-12
    )


def test_columns_and_the_linear_operator_agree_with_single_products(data):
    G, x = data
    estimate = StaticFisher(G, 1e-3)
    pair = np.stack([x, G[0]], axis=1)
    assert apart(estimate.ihvp(pair)[:, 1], estimate.ihvp(G[0])) < 1e-11
    operator = estimate.as_linear_operator()
    assert apart(operator @ x, estimate.ihvp(x)) < 1e-11
    assert apart(operator @ pair, estimate.ihvp(pair)) < 1e-11


def test_torch_in_gives_torch_out_in_the_same_dtype(data):
    G, x = data
    estimate = StaticFisher(torch.from_numpy(G).float())
    assert (
        estimate.ihvp(torch.from_numpy(x).float()).dtype == estimate.diag().dtype == torch.float32
    )
    assert isinstance(StaticFisher(G).ihvp(x), np.ndarray)


@pytest.mark.parametrize("method", ["woodbury", "dp"])
def test_after_m_plus_3_pushes_the_window_is_a_static_estimate_on_the_last_m(data, method):
    G, x = data
    w = window(G, 21, method=method, damp=1e-3)
    kept = StaticFisher(G[3:], 1e-3)
    assert apart(w.ihvp(torch.from_numpy(x)), kept.ihvp(x)) < 1e-10
    assert apart(w.ihvp_of_last(), kept.ihvp(G[-1])) < 1e-10


@pytest.mark.parametrize("method", ["woodbury", "dp"])
def test_the_order_of_the_gradients_does_not_matter(data, method):
    G, x = data
    mixed = np.random.default_rng(0).permutation(len(G))
    assert (
        apart(
            window(G, method=method).ihvp(torch.from_numpy(x)),
            window(G[mixed], method=method).ihvp(torch.from_numpy(x)).numpy(),
        )
        < 1e-9
    )


def test_one_gradient_has_the_closed_form():
    g = torch.tensor([3.0, 4.0], dtype=torch.float64)
    for m in (1, 5):
        w = SlidingFisher(m, 2, damp=0.5, dtype=torch.float64)
        w.push(g)
        assert torch.allclose(w.ihvp(g), g / (0.5 + 25 / m), rtol=1e-14)
        assert torch.allclose(w.ihvp_of_last(), g / (0.5 + 25 / m), rtol=1e-14)


def test_the_dynamic_programme_is_the_lu_factorisation_of_the_damped_gram_matrix(data):
    G, _ = data
    w = window(G, method="dp", damp=1e-2)
    d, b, q = w.factors()
    low = torch.linalg.cholesky(w.gram / 1e-2 + 24 * torch.eye(24, dtype=torch.float64))
    upper = low.diag()[:, None] * low.T
    assert torch.allclose(q, upper.diag(), rtol=1e-12)
    assert torch.allclose(d.triu(1), upper.triu(1), rtol=1e-9, atol=1e-9)
    v3 = (
        StaticFisher(G[:3], 1e-2 * 24 / 3).ihvp(G[3]) * 24 / 3
    )  # F_{i-1} divides by m = 24, not by the rows it has seen
    assert apart(b[3].numpy() @ G, v3) < 1e-9


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 20),
    st.sampled_from([1e-5, 1e-2, 1.0]),
    st.integers(0, 10**6),
)
def test_static_woodbury_and_dp_agree(m, d, damp, seed):
    rng = np.random.default_rng(seed)
    G, x = rng.standard_normal((m, d)) * rng.choice([0.0, 0.1, 1.0], (m, 1)), rng.standard_normal(d)
    got = [
        StaticFisher(G, damp).ihvp(x),
        *(
            window(G, damp=damp, method=k).ihvp(torch.from_numpy(x)).numpy()
            for k in ("woodbury", "dp")
        ),
    ]
    tolerance = 1e-12 * np.linalg.norm(dense(G, damp), 2) / damp
    assert apart(got[0], got[1]) < tolerance
    assert apart(got[0], got[2]) < tolerance


def test_zero_and_repeated_gradients_do_no_harm():
    G = np.zeros((4, 3))
    G[1:3] = [1.0, 2.0, 2.0]
    x = torch.from_numpy(G[1])
    for value in (
        StaticFisher(G).ihvp(G[1]),
        window(G).ihvp(x).numpy(),
        window(G, method="dp").ihvp(x).numpy(),
    ):
        assert apart(value, G[1] / (1e-5 + 2 * 9 / 4)) < 1e-9


def test_float32_keeps_six_digits_for_small_gradients():
    rng = np.random.default_rng(2)
    G = (rng.standard_normal((64, 400)) * 0.1 / 20).astype(np.float32)
    w = SlidingFisher(64, 400)
    for g in G:
        w.push(torch.from_numpy(g))
    x = rng.standard_normal(400).astype(np.float32)
    F = dense(G.astype(float), 1e-5)
    assert apart(w.ihvp(torch.from_numpy(x)), refined(F, x)) < 1e-6
    assert apart(StaticFisher(G).ihvp(x), refined(F, x)) < 1e-6
    assert apart(w.ihvp_of_last(), refined(F, G[-1])) < 1e-6


def test_the_diagonal_stays_between_its_bounds_where_float32_cancels():
    G = torch.randn(64, 40, generator=torch.Generator().manual_seed(0)) * 100
    diag = StaticFisher(G, 1e-7).diag()
    assert bool((diag > 0).all())
    assert bool((diag <= 1e7).all())


def test_relative_damping_scales_with_the_gradients(data):
    G, _ = data
    big, small = window(G, relative=True, damp=0.1), window(1e-4 * G, relative=True, damp=0.1)
    assert big.level == pytest.approx(0.1 * (G**2).sum() / 24 / 90)
    assert apart(1e-4 * small.ihvp_of_last().numpy(), big.ihvp_of_last().numpy()) < 1e-9


def test_a_refused_gradient_leaves_the_window_as_it_was(data):
    G, x = data
    w = window(G)
    before = w.rows.clone(), w.gram.clone(), w.pushed
    for bad in (math.nan, math.inf):
        with pytest.raises(NotFinite, match="not taken into the window"):
            w.push(torch.from_numpy(np.where(np.arange(90) == 4, bad, x)))
    assert torch.equal(before[0], w.rows)
    assert torch.equal(before[1], w.gram)
    assert before[2] == w.pushed


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: StaticFisher(np.ones((2, 3)), damp=0), ArgumentError, "damp=0"),
        (lambda: StaticFisher(np.ones((2, 3)), damp="a"), ArgumentTypeError, "damp"),
        (lambda: StaticFisher(np.ones(3)), ShapeError, r"\(3,\)"),
        (lambda: StaticFisher(np.ones((0, 3))), ShapeError, "at least"),
        (lambda: StaticFisher(np.array([["a"]])), ArgumentTypeError, "real numbers"),
        (lambda: StaticFisher(np.array([[1.0], [np.nan]])), NotFinite, "row 1"),
        (lambda: StaticFisher(np.ones((2, 3)), blocksize=0), ArgumentError, "blocksize=0"),
        (lambda: StaticFisher(np.ones((2, 3))).ihvp(np.ones(4)), ShapeError, r"expected \(3,\)"),
        (lambda: StaticFisher(np.ones((2, 3))).ihvp(np.full(3, np.inf)), NotFinite, "x holds"),
        (lambda: StaticFisher(np.ones((2, 3))).element(0, 3), ArgumentError, "k=3"),
        (lambda: SlidingFisher(0, 3), ArgumentError, "ngrads=0"),
        (lambda: SlidingFisher(2, 3, damp=-1), ArgumentError, "damp=-1"),
        (lambda: SlidingFisher(2, 3, method="lu"), ArgumentError, "'woodbury' or 'dp'"),
        (lambda: SlidingFisher(2, 3).push(torch.ones(2)), ShapeError, r"expected \(3,\)"),
        (lambda: SlidingFisher(2, 3).ihvp(torch.ones(2)), ShapeError, r"expected \(3,\)"),
    ],
)
def test_bad_input_is_named(build, error, words):
    with pytest.raises(error, match=words):
        build()


# -- normalised ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["woodbury", "dp"])
@pytest.mark.parametrize(("m", "d"), [(4, 30), (16, 5), (1, 7)])
def test_normalised_products_are_those_of_the_matrix_over_its_largest_eigenvalue(method, m, d):
    G = np.random.default_rng(100).standard_normal((m, d)) * np.logspace(0, -2, d)
    fisher = window(G, normalised=True, damp=1e-2, method=method)
    F = G.T @ G / m
    top = np.linalg.eigvalsh(F)[-1]
    assert 0.98 * top <= fisher.largest <= top * (1 + 1e-12)
    F = F / fisher.largest + 1e-2 * d / m * np.eye(d)
    for x, found in ((G[0], fisher.ihvp(torch.tensor(G[0]))), (G[-1], fisher.ihvp_of_last())):
        assert np.allclose(found, np.linalg.solve(F, x), rtol=1e-9, atol=1e-12)


def test_normalised_steps_scale_as_gradients_do():
    G = np.random.default_rng(100).standard_normal((6, 20))
    big, small = window(G, normalised=True, damp=1e-3), window(1e-4 * G, normalised=True, damp=1e-3)
    assert torch.allclose(1e-4 * big.ihvp_of_last(), small.ihvp_of_last(), rtol=1e-9)


def test_normalised_products_of_one_direction_are_gradient_descents():
    g = np.random.default_rng(100).standard_normal(20)
    fisher = window(np.tile(g, (5, 1)), normalised=True, damp=1e-3)
    assert torch.allclose(fisher.ihvp_of_last(), torch.tensor(g / (1 + 1e-3 * 20 / 5)), rtol=1e-9)
    zero = window(np.zeros((5, 20)), normalised=True, damp=1e-3)
    assert torch.equal(zero.ihvp_of_last(), torch.zeros(20, dtype=torch.float64))


def test_damping_is_a_share_of_one_thing():
    for make in (
        lambda: SlidingFisher(4, 9, relative=True, normalised=True),
        lambda: MFAC([torch.nn.Parameter(torch.ones(3))], relative=True, normalised=True),
    ):
        with pytest.raises(ArgumentError, match=r"relative=True and normalised=True"):
            make()
