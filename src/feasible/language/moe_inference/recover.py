"""What a smaller model can win back without its weights being stored wider, and matrices of low
rank.

- `ridge_down`: the last matrices of a block's experts, so that the block's output is again what it
  was: min ||Z - sum_e w_e A_e W_e^T||^2 + lambda ||W - W_0||^2, in closed form.
- `distil`: Adam on the Kullback-Leibler divergence from the teacher's next-token probabilities.
- `low_rank`: W as U V, the best for the inputs that it meets: the truncated singular value
  decomposition of W H^(1/2), with H = X^T X.

References:
    Yang et al., MoE-I^2 (arXiv 2411.01016) for low rank; Liu et al. (arXiv 2412.14219), sections
    on distillation and decomposition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from ...core.annotations import checked
from ...core.checks import real, whole
from ...core.errors import NotFinite, ShapeError
from .layout import blocks, inner, tokens_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

DAMPING = 0.01
STEPS = 100
"""Most steps of a distillation."""


@checked
def low_rank(
    w: Float[Tensor, "rows columns"], rank: int, x: Float[Tensor, "n columns"] | None = None
) -> tuple[Tensor, Tensor]:
    """The matrices U (rows, rank) and V (rank, columns) that minimise ||(W - U V) X^T||.

    Args:
        w: The matrix.
        rank: At most the smaller of its sides.
        x: Inputs that it meets, one a row; None: all directions count alike. H = X^T X is damped by
            a hundredth of its mean diagonal.
    """
    if w.dim() != 2 or 0 in w.shape:
        raise ShapeError(f"w: expected a matrix, got {tuple(w.shape)}")
    whole("rank", rank, least=1, most=min(w.shape))
    root = torch.eye(w.shape[1], dtype=torch.float64)
    if x is not None:
        if x.dim() != 2 or x.shape[1] != w.shape[1]:
            raise ShapeError(f"x has shape {tuple(x.shape)}, expected (n, {w.shape[1]})")
        h = x.double().T @ x.double()
        root = torch.linalg.cholesky(h + max(DAMPING * float(h.diagonal().mean()), 1e-10) * root)
    u, s, v = torch.linalg.svd(w.detach().double() @ root, full_matrices=False)
    right = torch.linalg.solve_triangular(root, v[:rank], upper=False, left=False)
    return (u[:, :rank] * s[:rank]).to(w.dtype), right.to(w.dtype)


@checked
def ridge_down(
    target: Float[Tensor, "n d"],
    weights: Float[Tensor, "n G"],
    gate_up: Float[Tensor, "G F2 d"],
    down: Float[Tensor, "G d F"],
    x: Float[Tensor, "n d"],
    damping: float = DAMPING,
) -> Float[Tensor, "G d F"]:
    """The last matrices of a block's experts that bring its output nearest to a target.

    Args:
        target: The output that is wanted.
        weights: Routed weights of the experts.
        gate_up: Of every expert; stays.
        down: Of every expert; the ridge pulls towards it.
        x: What enters the block.
        damping: The ridge, as a share of the normal matrix's mean diagonal.
    """
    real("damping", damping, above=0)
    if weights.shape != (len(x), len(gate_up)) or target.shape != x.shape:
        raise ShapeError(
            f"weights has shape {tuple(weights.shape)}, expected {(len(x), len(gate_up))}"
        )
    parts = [weights[:, e : e + 1] * inner(w, x) for e, w in enumerate(gate_up)]
    a = torch.cat(parts, 1).detach().double()
    start = down.detach().double().permute(0, 2, 1).reshape(-1, down.shape[1])  # (G F, d)
    missing = target.detach().double() - a @ start
    h = a.T @ a
    h += max(damping * float(h.diagonal().mean()), 1e-10) * torch.eye(len(h), dtype=h.dtype)
    found = start + torch.cholesky_solve(a.T @ missing, torch.linalg.cholesky(h))
    return found.reshape(len(down), -1, down.shape[1]).permute(0, 2, 1).to(down.dtype)


@checked
def distil(
    student: Any,
    teacher: Any,
    ids: Int[Tensor, "n length"],
    steps: int = STEPS,
    rate: float = 1e-3,
    batch: int = 16,
    seed: int = 0,
) -> list[float]:
    """Train the student's experts and routers on the teacher's next-token probabilities, in place.

    Args:
        student: A model with blocks of experts.
        teacher: The model as it was.
        ids: Tokens of the calibration text.
        steps: Of Adam, at most 100.
        rate: Of Adam.
        batch: Texts a step.
        seed: Of the batches.

    Returns:
        The divergence at each step, in nats a token.

    Raises:
        NotFinite: It is no longer a number.
    """
    whole("steps", steps, least=1, most=STEPS)
    real("rate", rate, above=0)
    whole("batch", batch, least=1)
    ids = tokens_of("ids", ids)
    chosen = [p for b in blocks(student) for p in (*b.experts.parameters(), b.gate.weight)]
    optimizer = torch.optim.Adam(chosen, lr=rate)
    generator = torch.Generator().manual_seed(seed)
    kept: list[float] = []
    for _ in range(steps):
        part = ids[torch.randperm(len(ids), generator=generator)[:batch]]
        with torch.no_grad():
            wanted = teacher(input_ids=part).logits.float().log_softmax(-1)
        had = student(input_ids=part).logits.float().log_softmax(-1)
        loss = F.kl_div(had, wanted, log_target=True, reduction="none").sum(-1).mean()
        kept.append(float(loss.detach()))
        if not torch.isfinite(loss):
            raise NotFinite(f"distil: the divergence is {kept[-1]} after {len(kept)} steps")
        for p, g in zip(chosen, torch.autograd.grad(loss, chosen), strict=True):
            p.grad = g
        optimizer.step()
    return kept
