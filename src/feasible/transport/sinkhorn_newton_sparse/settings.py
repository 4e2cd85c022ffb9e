"""Settings of Sinkhorn-Newton-Sparse: the same for the function and for the method of a run."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from ...core.checks import fraction, one_of, whole


@dataclass(frozen=True)
class SinkhornNewtonSettings:
    """What the two stages may do.

    Attributes:
        mode: "auto", or "paper": `n_sinkhorn` sweeps, then plain Newton with a fixed `density`.
        density: Share in (0, 1] of the n x m entries that the Newton stage keeps (the paper's
            lambda); "auto": 2/n in mode "paper", else the fewest whose complement has a mass of
            min(1e-3, a tenth of the error).
        n_sinkhorn: Sweeps before Newton may begin, fewer where `tol` is reached; None: 20 in mode
            "paper" (the paper has 700 for city-block costs), else 10.
        max_newton: Newton steps at most; 0: Sinkhorn alone.
        max_cg: Conjugate gradients in each Newton step at most.
        max_sinkhorn: Sweeps at most, in all.
        tol: L1 error of the marginals at which it ends, relative to the mass, in (0, 1).
    """

    mode: Literal["auto", "paper"] = "auto"
    density: float | Literal["auto"] = "auto"
    n_sinkhorn: int | None = None
    max_newton: int = 200
    max_cg: int = 500
    max_sinkhorn: int = 10_000
    tol: float = 1e-10

    def __post_init__(self) -> None:
        one_of("mode", self.mode, ("auto", "paper"))
        if not (isinstance(self.density, str) and self.density == "auto"):
            fraction("density", self.density, zero=False, note=", or 'auto'")
        if self.n_sinkhorn is not None:
            whole("n_sinkhorn", self.n_sinkhorn, least=0, note=", or None")
        for name in ("max_newton", "max_cg", "max_sinkhorn"):
            whole(name, getattr(self, name), least=0)
        fraction("tol", self.tol, zero=False, one=False)

    @property
    def sweeps(self) -> int:
        """Sweeps before Newton may begin."""
        if self.n_sinkhorn is not None:
            return self.n_sinkhorn
        return 20 if self.mode == "paper" else 10

    @property
    def usual(self) -> bool:
        """True where all but `tol` are the defaults."""
        return all(getattr(self, name) == default for name, default in DEFAULTS)


DEFAULTS = tuple((f.name, f.default) for f in fields(SinkhornNewtonSettings) if f.name != "tol")
"""What `usual` compares, for it is asked in every call."""
