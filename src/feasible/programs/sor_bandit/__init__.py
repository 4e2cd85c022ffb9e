"""Learning to Relax: Setting Solver Parameters Across a Sequence of Linear System Instances.

Mikhail Khodak, Edmond Chow, Maria-Florina Balcan, Ameet Talwalkar, ICLR 2024, arXiv 2310.02246.

A simulation solves A_t x = b_t for t = 0, 1, ... by a solver with a parameter omega, whose best
value differs from system to system. A bandit chooses omega before each solve and is told nothing
but the iterations it took; their sum comes near that of the best omega, or of the best omega for
each context.

Begin with `tuners`: `TsallisINF`, `BinnedTsallisINF` and `ChebCB` are the paper's three learners.

- `tuners`: the learners, by ask and tell.
- `solvers`: SOR, conjugate gradients with the SSOR preconditioner, the preconditioner for SciPy.
- `sequence`: a solver that asks and tells by itself.
- `settings`: what decides how a sequence is solved.
- `compiled`: sweeps, conjugate gradients, and the learners' arithmetic.
- `problem`: `SystemSequence`, the problem of a run.
- `run`: the method of a run.
- `instances`: shifted Laplacians, and a heat equation.
- `peers`: SciPy's and PyAMG's solvers.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
