"""Few bits: errors within half a step, bytes as they are stored, GPTQ beside plain rounding."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from feasible.core.errors import ArgumentError, MissingExtra, NotFinite, ShapeError
from feasible.language import gptq, rtn, searched
from feasible.language.moe_inference.peers import hqq_weight, torchao_weight
from feasible.language.moe_inference.quantise import packed, stored_bytes, unpacked


def matrix(seed=0, rows=12, columns=100):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("shift", [0.0, 3.0, -3.0])
def test_a_rounded_weight_is_within_half_a_step_and_the_rounding_of_the_grid(bits, shift):
    w = matrix() + shift
    stored = rtn(w, bits, 64)
    step = stored.scale.float().repeat_interleave(64, 1)[:, :100]
    assert ((w - stored.weight()).abs() <= step * 1.02 + 1e-3).all()
    inner = (w - stored.weight()).abs() <= 0.5 * step + 2e-3
    assert inner.float().mean() > 0.97


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8, 16])
def test_the_bytes_are_those_of_the_arrays(bits):
    stored = rtn(matrix(), bits, 64)
    assert stored.bytes == stored_bytes(12, 100, bits, 64)


def test_sixteen_bits_are_the_weight_in_half_precision():
    w = matrix()
    assert torch.equal(rtn(w, 16).weight(), w.half().float())


def test_one_bit_is_the_sign_about_the_rows_mean():
    w = matrix() + 0.3
    mean = w.mean(1, keepdim=True)
    size = (w - mean).abs().mean(1, keepdim=True)
    assert torch.allclose(rtn(w, 1).weight(), mean + size * torch.sign(w - mean), atol=3e-3)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_codes_come_back_from_their_bits(bits):
    codes = torch.from_numpy(np.random.default_rng(bits).integers(0, 2**bits, 1001))
    stream = packed(codes, bits)
    assert len(stream) == -(-1001 * bits // 8)
    assert torch.equal(unpacked(stream, bits, 1001), codes)


def test_gptq_equals_rounding_where_inputs_are_uncorrelated():
    x = torch.linalg.qr(matrix(1, 100, 100))[0]
    for bits in (1, 2, 4):
        assert torch.equal(gptq(matrix(), x, bits).codes, rtn(matrix(), bits).codes)


def test_gptq_loses_less_on_correlated_inputs():
    better = 0
    for seed in range(20):
        w, x = matrix(seed), matrix(seed + 50, 300, 100) @ matrix(seed + 99, 100, 100)
        lost = [((w - q.weight()) @ x.T).norm() for q in (gptq(w, x, 3), rtn(w, 3))]
        better += bool(lost[0] <= lost[1])
    assert better >= 19


def test_bad_input_is_named():
    with pytest.raises(ArgumentError, match="bits=5"):
        rtn(matrix(), 5)
    with pytest.raises(ShapeError, match=r"w has shape \(3,\), expected"):
        rtn(torch.zeros(3), 4)
    with pytest.raises(NotFinite, match="w: expected finite"):
        rtn(torch.full((2, 2), torch.nan), 4)
    with pytest.raises(ShapeError, match=r"x has shape \(3, 4\)"):
        gptq(matrix(), torch.zeros(3, 4), 4)


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("columns", [64, 100])
def test_a_searched_grid_loses_no_more_than_rounding_in_any_group_and_as_many_bytes(bits, columns):
    w = matrix(5, 12, columns) + torch.linspace(-1, 1, 12)[:, None]
    plain, found = rtn(w, bits), searched(w, bits)
    lost = [(s.weight() - w).square() for s in (plain, found)]
    for first in range(0, columns, 64):
        one, other = (v[:, first : first + 64].sum(1) for v in lost)
        assert (other <= one * (1 + 1e-6)).all()
    assert lost[1].sum() < 0.9 * lost[0].sum()
    assert found.bytes == plain.bytes


def test_a_searched_grid_is_the_best_of_all_that_it_may_take_and_exact_on_a_grid():
    w = matrix(6, 1, 9)
    low, high, best = float(w.min()), float(w.max()), np.inf
    for one, other in np.ndindex(11, 11):
        ends = (1 - 0.05 * one) * low, (1 - 0.05 * other) * high
        levels = torch.linspace(*ends, 4)
        best = min(best, float((w[0, :, None] - levels).square().amin(1).sum()))
    assert float((searched(w, 2).weight() - w).square().sum()) <= best * 1.01
    grid = torch.tensor([[-1.0, 0.0, 1.0, 2.0, 2.0]])
    assert torch.equal(searched(grid, 2).weight(), grid)
    for bits in (1, 16):
        assert torch.equal(searched(w, bits).weight(), rtn(w, bits).weight())


def test_a_peer_that_is_not_there_is_named(monkeypatch):
    for name, path, weight in (
        ("hqq", "hqq.core.quantize", hqq_weight),
        ("torchao", "torchao.quantization.quant_primitives", torchao_weight),
    ):
        monkeypatch.setitem(sys.modules, path, None)
        with pytest.raises(MissingExtra, match=f"pip install {name}"):
            weight(matrix(), 4, 50)
