"""Scaling physics-informed hard constraints with mixture-of-experts.

Nithin Chalapathi, Yiheng Du, Aditi S. Krishnapriyan, ICLR 2024, arXiv 2402.13412.

A network makes basis functions on a grid of time and space; a layer weighs them so that their sum
keeps to a partial differential equation and its conditions, by nonlinear least squares, and is
differentiated by the implicit function theorem. Experts do so for blocks of the grid.

Begin with `experts` (`HardConstraint`, `MixtureOfExperts`) and `layer`, the least squares.

- `pde`: grids, and what is needed of an equation.
- `equations`: heat, diffusion with sorption, Burgers, vorticity.
- `layer`: Levenberg and Marquardt's method for many problems at once, and its derivatives.
- `experts`: routers, and the layer as a module.
- `fno`: the network.
- `operator`: both together, and the soft form.
- `settings`: how weights are found.
- `solvers`: implicit Euler, BDF and spectral solvers, for reference and comparison.
- `problem`: learning to solve an equation, as a problem of a run.
- `run`: the methods of runs.
- `parallel`: experts over processes and Ray.
- `peers`: jaxopt and optimistix on the same rows.
- `instances`: ready-made problems.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
