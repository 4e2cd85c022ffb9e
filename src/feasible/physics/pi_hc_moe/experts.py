"""Experts: blocks of the grid, each with its own weights of the basis.

References:
    Chalapathi, Du and Krishnapriyan, ICLR 2024, arXiv 2402.13412, section 3.2.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...core.checks import one_of, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError, ShapeError, nearest
from .layer import Implicit, Rows, Solved, check_finite, levenberg_marquardt
from .pde import PDE, Grid
from .settings import LayerSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

Solver = Callable[["PDE", Rows, LayerSettings], Solved]
"""Solves rows; another one spreads them over processes."""


@dataclass(frozen=True)
class Blocks:
    """Which expert answers for which points.

    Attributes:
        points: Of each expert, the flat indices that it is fitted on.
        share: (K, points of the grid) of each expert in the value at a point; sums to 1 at each.
    """

    points: tuple[Int[Tensor, " p"], ...]
    share: Float[Tensor, "K all"]


def partition(grid: Grid, experts: Sequence[int], overlap: int = 0) -> Blocks:
    """Equal blocks of a grid.

    Args:
        grid: The grid.
        experts: Blocks along each axis, time first.
        overlap: Points by which a block reaches over each border within the grid. Values there are
            the mean of both experts, weighed linearly from one to the other, so that u has no
            jumps; 0 is the paper's.

    Raises:
        ShapeError: Not a number for each axis, or numbers that do not divide the points.
        ArgumentError: An overlap of more than half a block.
    """
    if len(experts) != len(grid.shape):
        raise ShapeError(
            f"experts={tuple(experts)}: expected {len(grid.shape)} numbers, time first"
        )
    along = []
    for axis, (k, n) in enumerate(zip(experts, grid.shape, strict=True)):
        k = whole(f"experts[{axis}]", k, least=1)
        if n % k:
            raise ShapeError(
                f"experts={tuple(experts)}: {k} blocks do not divide the {n} points of axis {axis}"
            )
        size = n // k
        if k > 1 and 2 * overlap > size:
            raise ArgumentError(
                f"overlap={overlap}: expected at most half a block, {size // 2} points"
            )
        place = torch.arange(n, dtype=torch.float64) + 0.5
        rows = torch.ones(k, n, dtype=torch.float64)
        for b in range(1, k):  # the border before block b
            if overlap:
                right = ((place - b * size) / (2 * overlap) + 0.5).clamp(0, 1)
            else:
                right = (place > b * size).double()
            rows[b:] *= right
            rows[:b] *= 1 - right
        if grid.periodic[axis] and k > 1 and overlap:
            # beyond the last border the first block begins, and before the first the last ends
            late = ((place - n) / (2 * overlap) + 0.5).clamp(0, 1)
            early = (0.5 - place / (2 * overlap)).clamp(0, 1)
            first, last = rows[0].clone(), rows[k - 1].clone()
            rows[0] = first * (1 - early) + last * late
            rows[k - 1] = last * (1 - late) + first * early
        along.append(rows)
    shares, points = [], []
    for block in itertools.product(*(range(k) for k in experts)):
        share = along[0][block[0]]
        for axis, b in enumerate(block[1:], 1):
            share = share[..., None] * along[axis][b]
        shares.append(share.flatten())
        points.append(shares[-1].nonzero()[:, 0])
    return Blocks(tuple(points), torch.stack(shares))


def scattered(grid: Grid, experts: Sequence[int], generator: torch.Generator) -> Blocks:
    """As many points for each expert, drawn at random: the control that isolates locality."""
    k = math.prod(experts)
    if grid.size % k:
        raise ShapeError(f"experts={tuple(experts)}: {k} do not divide {grid.size} points")
    order = torch.randperm(grid.size, generator=generator).reshape(k, -1)
    share = torch.zeros(k, grid.size, dtype=torch.float64)
    share.scatter_(1, order, 1.0)
    return Blocks(tuple(p.sort().values for p in order), share)


@dataclass
class Output:
    """What a constrained operator made.

    Attributes:
        solution: (B, *grid) u.
        weights: (B, K, N) w of each expert.
        iterations: (B, K) steps of each solve.
        residual_norm: (B, K) length of the rows that were left.
        converged: (B, K) whether each solve met its tolerance.
    """

    solution: Float[Tensor, "B ..."]
    weights: Float[Tensor, "B K N"]
    iterations: Int[Tensor, "B K"]
    residual_norm: Float[Tensor, "B K"]
    converged: Tensor


def solved_here(pde: PDE, rows: Rows, settings: LayerSettings) -> Solved:
    """Solve all rows in this process."""
    return levenberg_marquardt(pde, rows, settings.start, settings.max_iter, settings.tol)


class HardConstraint(nn.Module):
    """u = base + b w with the w that comes nearest to the equation and its conditions (PI-HC).

    Args:
        pde: The equation.
        settings: Any of LayerSettings by name.

    Example:
        >>> import torch
        >>> from feasible.physics.pi_hc_moe import Grid, HardConstraint, Heat, heat_modes
        >>> pde = Heat(Grid.of(0.5, 60, 65, centred=False), weight=0.01)
        >>> basis = heat_modes(pde, 3)
        >>> out = HardConstraint(pde)(basis[None], 2 * basis[None, 0, :, 0])
        >>> tuple(abs(round(float(w), 1)) for w in out.weights[0, 0])
        (2.0, 0.0, 0.0)
    """

    def __init__(self, pde: PDE, **settings: Any):
        super().__init__()
        if not isinstance(pde, PDE):
            raise ArgumentTypeError(f"pde={pde!r:.60}: expected a PDE, such as Burgers(grid)")
        for name in settings:
            if name not in LayerSettings.__dataclass_fields__:
                raise ArgumentError(f"{name}: {nearest(name, LayerSettings.__dataclass_fields__)}")
        self.pde, self.settings = pde, LayerSettings(**settings)
        self.experts: tuple[int, ...] = (1,) * len(pde.grid.shape)
        self.blocks = partition(pde.grid, self.experts)
        self.solver: Solver = solved_here

    def forward(
        self,
        basis: Float[Tensor, "B ... N"],
        initial: Float[Tensor, "B ..."],
        generator: torch.Generator | None = None,
    ) -> Output:
        """Fit the weights and assemble u.

        Args:
            basis: Basis functions on the whole grid, float64; other dtypes are cast, with a
                warning.
            initial: Initial values.
            generator: Draws the points that each expert is fitted on; None: all are.

        Raises:
            ShapeError: A basis on another grid.
            NotFinite: A NaN or an infinity in the basis or the initial values.
        """
        shape, K, s = self.pde.grid.shape, len(self.blocks.points), self.settings
        if basis.dtype != torch.float64:
            warnings.warn(
                f"basis: {basis.dtype} is cast to torch.float64, which normal equations need",
                stacklevel=2,
            )
            basis = basis.double()
        if tuple(basis.shape[1:-1]) != shape:
            raise ShapeError(
                f"basis has shape {tuple(basis.shape)}, expected (B, {', '.join(map(str, shape))}, "
                "N)"
            )
        check_finite("basis", basis)
        check_finite("initial", initial)
        B, N = len(basis), basis.shape[-1]
        basis, base = self.pde.shaped(basis), self.pde.base(initial)
        rows = self.rows(basis, base, initial, generator)
        report: list[Solved] = []
        omega = Implicit.apply(
            rows.tables,
            rows.offsets,
            rows.linear,
            rows.target,
            self.pde,
            rows.weight,
            s.backward == "exact",
            lambda r: self.solver(self.pde, r, s),
            report,
        ).reshape(B, K, N)
        share = self.blocks.share
        if K == 1:
            u = torch.matmul(basis, omega.reshape(B, *(1,) * (len(shape) - 1), N, 1))[..., 0]
        else:
            at = torch.einsum("ka,bkn->ban", share, omega).reshape(B, *shape, N)
            u = (basis * at).sum(-1)
        found = report[0]
        return Output(
            u if base is None else base + u,
            omega,
            found.iterations.reshape(B, K),
            (2 * found.cost).sqrt().reshape(B, K),
            found.converged.reshape(B, K),
        )

    def rows(self, basis: Tensor, base: Tensor | None, initial: Tensor, generator: Any) -> Rows:
        """The least-squares problems of all samples and experts, the latter fastest."""
        s, points = self.settings, self.blocks.points
        K, B, N = len(points), len(basis), basis.shape[-1]
        least = min(len(p) for p in points)
        weight: Any = self.pde.weight
        m = least if generator is None or s.n_sample is None else s.n_sample
        if m > least:
            raise ArgumentError(
                f"n_sample={m}: expected at most {least}, the points of the smallest block"
            )
        if generator is None:
            m = max(len(p) for p in points)
            chosen = torch.stack([torch.cat([p, p[:1].expand(m - len(p))]) for p in points])
            counts = torch.tensor([len(p) for p in points])
            weight = weight * (torch.arange(m) < counts[:, None]).double().repeat(B, 1)
        else:
            drawn = [torch.randperm(len(p), generator=generator)[:m] for p in points]
            chosen = torch.stack([p[d] for p, d in zip(points, drawn, strict=True)])
        flat = chosen.flatten()
        terms = torch.stack(self.pde.terms(basis)).flatten(2, -2)  # (n, B, all, N)
        tables = terms.index_select(2, flat).unflatten(2, (K, m)).flatten(1, 2)
        if base is None:
            offsets = tables.new_zeros(tables.shape[:-1])
        else:
            given = torch.stack(self.pde.terms(base)).flatten(2)
            offsets = given.index_select(2, flat).unflatten(2, (K, m)).flatten(1, 2)
        linear, target = [], []
        for c in self.pde.conditions(initial):
            made = c.operator(basis)
            if not made.shape[1]:
                raise ArgumentError(f"condition '{c.name}' has no points, expected one at least")
            linear.append(made)
            target.append(c.target)
        if s.ridge > 0:
            linear.append((s.ridge * torch.eye(N, dtype=basis.dtype)).expand(B, N, N))
            target.append(basis.new_zeros(B, N))
        A = torch.cat(linear, 1) if linear else basis.new_zeros(B, 0, N)
        y = torch.cat(target, 1) if target else basis.new_zeros(B, 0)
        return Rows(
            tables,
            offsets,
            A.repeat_interleave(K, 0),
            y.repeat_interleave(K, 0),
            weight,
        )


class MixtureOfExperts(HardConstraint):
    """The same with weights of its own on each block of the grid (PI-HC-MoE).

    Args:
        pde: The equation.
        experts: Blocks along each axis, time first.
        router: "blocks", or "random" for points of an expert that lie anywhere.
        overlap: See `partition`.
        seed: Of the random router.
        settings: Any of LayerSettings by name.

    Raises:
        ShapeError: Experts that do not divide the grid.
    """

    def __init__(
        self,
        pde: PDE,
        experts: Sequence[int] = (1, 4),
        router: str = "blocks",
        overlap: int = 0,
        seed: int = 0,
        **settings: Any,
    ):
        super().__init__(pde, **settings)
        if isinstance(experts, str) or not isinstance(experts, Sequence):
            raise ArgumentTypeError(f"experts={shown(experts)}: expected blocks along each axis")
        self.experts = tuple(whole("experts", k, least=1) for k in experts)
        self.router = one_of("router", router, ("blocks", "random"))
        overlap = whole("overlap", overlap, least=0)
        if router == "random":
            drawn = torch.Generator().manual_seed(whole("seed", seed, least=0))
            self.blocks = scattered(pde.grid, self.experts, drawn)
        else:
            self.blocks = partition(pde.grid, self.experts, overlap)


def border_jumps(u: Float[Tensor, "B ..."], experts: Sequence[int]) -> float:
    """The largest difference of two neighbours across a border of blocks, over the median one of
    all neighbours along that axis: 1 says that borders do not show.

    Args:
        u: On a grid.
        experts: Blocks along each axis.
    """
    worst = 0.0
    for axis, k in enumerate(experts):
        if k > 1:
            change = u.diff(dim=axis + 1).abs()
            n = u.shape[axis + 1]
            at = torch.arange(1, k) * (n // k) - 1
            across = change.index_select(axis + 1, at)
            worst = max(worst, float(across.mean() / change.mean().clamp_min(1e-300)))
    return worst
