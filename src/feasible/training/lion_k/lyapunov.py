"""Where a Lion-K run stands: in which phase, and how far from optimal (Chen et al., ICLR 2024,
arXiv 2310.05898, sections 3 and 4).

Outside the set of kappa* (phase 1) the distance to it shrinks by 1 - h lam a step. Inside (phase
2), with full gradients, a function H falls:

    F(x)    = f(x) + kappa*(lam x) / lam
    H(x, m) = F(x) + c (kappa*(lam x) + kappa(m) - lam x'm)
    c       = h b1 / (h lam (1 - b1) + 1 - b2)
    H(next) - H <= -h (1 + c lam) delta1 - c (1 - b2) / (b2 - b1) delta2
                   + L h^2 / 2 |s - lam x_next|^2

for the implicit scheme with step h, to which the explicit one with h' is equal at h = h' / (1 - lam
h'); m is here the average of NEGATIVE gradients. The Fenchel gap (kappa(-grad f) + kappa*(lam x) +
lam x'grad f) / lam is >= 0, and 0 exactly where x is stationary for F; no step is needed for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from ...core.annotations import checked
from ...core.errors import ArgumentTypeError, ShapeError
from ...core.warning import warn
from .lion_k import KEY, Block, LionK

if TYPE_CHECKING:
    from torch import Tensor


class LyapunovMonitor:
    """Measures a `LionK` optimiser on a fixed loss.

    measure() changes nothing: neither parameters nor .grad nor momenta. `rows` keeps what it gave.

    Args:
        optimizer: A `LionK`.
        loss_fn: () -> scalar, on fixed data: the full data, or one batch. On changing batches H
            does not fall. It must use the model that is trained.

    References:
        Chen, Liu, Liang, Liu, arXiv 2310.05898.
    """

    @checked
    def __init__(self, optimizer: LionK, loss_fn: Callable[[], Tensor]):
        if not isinstance(optimizer, LionK):
            raise ArgumentTypeError(f"optimizer: got {type(optimizer).__name__}, expected a LionK")
        if not callable(loss_fn):
            raise ArgumentTypeError(
                f"loss_fn: got {type(loss_fn).__name__}, expected a function that gives the loss"
            )
        self.optimizer, self.loss_fn = optimizer, loss_fn
        self.rows: list[dict[str, Any]] = []
        self._settings: Any = None

    def measure(self) -> dict[str, Any]:
        """Where the run stands.

        Returns:
            A row by name. "phase": 1 outside the set (F, H and fenchel_gap are infinite then), 2
            inside. "violation": how far the constraint is passed, in the unit of x, the largest
            over the blocks of (gauge(lam x) - 1) / lam. "distance": 2-norm of lam x to the set.
            "inside_fraction": share of the entries that keep to it. "f", "F", "H", "fenchel_gap",
            "delta1", "delta2": as in the module's docstring. "descent": the bound's first two
            terms, what a step takes off H but for the last. "comparable": False where lr, decay or
            betas changed since the last row, and H with them.
        """
        groups = self.optimizer.param_groups
        params = [[p for p in g["params"] if p.requires_grad] for g in groups]
        everything = [p for ps in params for p in ps]
        with torch.enable_grad():
            loss = self.loss_fn()
            if loss.ndim:
                raise ShapeError(f"loss_fn gave shape {tuple(loss.shape)}, expected a scalar")
            grads = torch.autograd.grad(loss, everything, allow_unused=True)
        grad = {
            p: torch.zeros_like(p) if g is None else g
            for p, g in zip(everything, grads, strict=True)
        }
        if any(g["weight_decay"] == 0 for g in groups):
            warn(
                "weight_decay is 0 in a group: there is no constraint, and no term of kappa* in F "
                "and H"
            )
        f = float(loss.detach().double())
        total = {"F": f, "H": f, "fenchel_gap": 0.0, "delta1": 0.0, "delta2": 0.0, "descent": 0.0}
        violation, squared, inside = 0.0, 0.0, 0
        with torch.no_grad():
            for block in self.optimizer.blocks(params):
                x = block.joined([p.detach().double() for p in block.params])
                m = -block.joined(
                    [
                        self.optimizer.state[p][KEY].double()
                        if KEY in self.optimizer.state.get(p, {})
                        else torch.zeros_like(p).double()
                        for p in block.params
                    ]
                )
                # the weights' own rounding is not a violation
                z = _rounded(block, x)
                terms = _terms(
                    block, x, z, m, block.joined([grad[p].double() for p in block.params])
                )
                for name, value in terms.items():
                    total[name] += value
                lam = block.settings["weight_decay"]
                violation = max(violation, (float(block.kappa.gauge(z)) - 1) / lam if lam else 0.0)
                squared += float(block.kappa.distance(z)) ** 2
                inside += int(block.kappa.inside(z).sum())
        settings = [(float(g["lr"]), g["weight_decay"], g["betas"], g["decay"]) for g in groups]
        row = {
            "phase": 2 if math.isfinite(total["F"]) else 1,
            "violation": violation,
            "distance": math.sqrt(squared),
            "inside_fraction": inside / max(1, sum(p.numel() for p in everything)),
            "f": f,
            **total,
            "lr": settings[0][0],
            "comparable": self._settings in (None, settings),
        }
        self._settings = settings
        self.rows.append(row)
        return row


def _rounded(block: Block, x: Tensor) -> Tensor:
    """lam x, pulled back into the set where it is outside by the rounding of the parameters' dtype
    only.
    """
    z = x * block.settings["weight_decay"]
    slack = 4 * torch.finfo(block.params[0].dtype).eps
    return z / (1 + slack) if 1 < float(block.kappa.gauge(z)) <= 1 + slack else z


def _terms(block: Block, x: Tensor, z: Tensor, m: Tensor, g: Tensor) -> dict[str, float]:
    """What a block adds to F, H, the gap, delta1, delta2 and the descent: the paper's m, and one
    step of the implicit scheme without making it.
    """
    kappa, (b1, b2), lam = block.kappa, block.settings["betas"], block.settings["weight_decay"]
    h = block.step / (1 - lam * block.step)
    ahead = b1 * m - (1 - b1) * g
    s = kappa.subgrad(ahead)
    x_next, m_next = (x + h * s) / (1 + h * lam), b2 * m - (1 - b2) * g
    c = h * b1 / (h * lam * (1 - b1) + 1 - b2)
    conjugate = float(kappa.conjugate(z)) if lam else 0.0
    over = conjugate / lam if lam else 0.0
    cross = float(kappa.value(m) - lam * (x * m).sum())
    y = kappa.conj_subgrad(kappa.project(lam * x_next)) if lam else torch.zeros_like(x)
    delta1 = float(((ahead - y) * (s - lam * x_next)).sum())
    delta2 = float(((s - kappa.subgrad(m_next)) * (ahead - m_next)).sum())
    gap = (
        (float(kappa.value(-g) + lam * (x * g).sum()) + conjugate) / lam
        if lam
        else float(kappa.value(-g))
    )
    descent = -h * (1 + c * lam) * delta1 - (c * (1 - b2) / (b2 - b1) * delta2 if b2 != b1 else 0.0)
    return {
        "F": over,
        "H": over + c * (conjugate + cross),
        "fenchel_gap": gap,
        "delta1": delta1,
        "delta2": delta2,
        "descent": descent,
    }
