"""Few bits: errors within half a step, bytes as they are stored, GPTQ beside plain rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from feasible.core.errors import ArgumentError, NotFinite, ShapeError
from feasible.language import gptq, rtn
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
