"""Multiobjective Optimization of Non-Smooth PDE-Constrained Problems.

Marco Bernreuther, Michael Dellnitz, Bennet Gebken, Georg Mueller, Sebastian Peitz, Konstantin
Sonntag, Stefan Volkwein, arXiv 2308.01113.

A control has several goals for one state, and the state's equation has a term max(0, y), so that
the goals have no derivative at some controls. What is wanted is the set of controls that cannot be
better in one goal without being worse in another.

Begin with `state`: the equation and its adjoint; then `descent`, the method for kinks; then
`walk`, the ways to a front; `pareto_front` is the way in.

- `state`: semismooth Newton for the state.
- `grid`: a problem on a mesh, and on finer ones.
- `problem`: `PDEControl` and its goals; the judge.
- `oracle`: values and gradients at a point, paid for once.
- `descent`: common descent with Goldstein's subdifferential; its single-gradient relative.
- `scalarise`: weighted sums and distances to a reference point, by Newton's method.
- `walk`: reference points, weighted sums and continuation along the front.
- `boxes`: subdivision of the controls' box.
- `reduced_basis`: states in a small basis, with a certified bound.
- `settings`: said once.
- `archive`: measured points that nothing dominates. `peers`: other libraries' ways.
- `run`: the methods of a run. `front`: the function for a script.
- `instances`: ready-made problems. `claim`: the paper's statements as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
