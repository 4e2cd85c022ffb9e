"""Other libraries' weights in few bits, as they are after storing: HQQ's and torchao's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ...core.extras import check_module

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def hqq_weight(
    w: Float[Tensor, "rows columns"], bits: int, group: int, optimize: bool = True
) -> Tensor:
    """HQQ's, scale and zero rounded to 16 bits as they are stored.

    Args:
        w: The matrix.
        bits: Of a weight: 2, 3, 4 or 8.
        group: Columns that share a scale; a divisor of the columns.
        optimize: Whether its half-quadratic steps are taken.
    """
    check_module("hqq", "hqq_weight")
    from hqq.core.quantize import Quantizer

    codes, meta = Quantizer.quantize(
        w.clone(), nbits=bits, channel_wise=True, group_size=group, optimize=optimize,
        round_zero=False, axis=1, device="cpu", compute_dtype=torch.float32,
    )  # fmt: skip
    for name in ("scale", "zero"):
        meta[name] = meta[name].half().float()
    made: Tensor = Quantizer.dequantize(codes, meta)
    return made.float()


def torchao_weight(w: Float[Tensor, "rows columns"], bits: int, group: int) -> Tensor:
    """torchao's affine weights, asymmetric, in groups.

    Args:
        w: The matrix.
        bits: Of a weight.
        group: Columns that share a scale; a divisor of the columns.
    """
    check_module("torchao", "torchao_weight")
    from torchao.quantization import quant_primitives as made

    block, most = (1, group), 2**bits - 1
    ends = {"quant_min": 0, "quant_max": most}
    scale, zero = made.choose_qparams_affine(
        w, made.MappingType.ASYMMETRIC, block, torch.uint8, **ends,
        scale_dtype=torch.float32, zero_point_dtype=torch.int32,
    )  # fmt: skip
    scale = scale.half().float()
    codes = made.quantize_affine(w, block, scale, zero, torch.uint8, **ends)
    found: Tensor = made.dequantize_affine(codes, block, scale, zero, torch.uint8, **ends)
    return found
