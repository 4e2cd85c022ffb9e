"""Trace is the new AutoDiff: unlocking efficient optimization of computational workflows.

Ching-An Cheng, Allen Nie, Adith Swaminathan, NeurIPS 2024, arXiv 2406.16218.

A computation whose parameters are numbers, text or code is run on nodes that remember where they
came from; feedback on its output, words or a number, reaches the parameters with the part of the
graph that they have to do with. An optimiser reads both: a language model the words, arithmetic the
gradient.

Begin with `nodes` and `propagate`, then `optimizers`.

- `nodes`, `operators`, `bundle`: the graph: values, operators with their derivatives, functions as
  operators, trainable code, modules.
- `propagate`: feedback to parameters in two sweeps; propagators node by node; the gradient.
- `prompt`, `replies`, `settings`: what a model is shown, and what is read out of its reply.
- `optimizers`: OptoPrime, OPRO, TextGrad.
- `numeric`: NumericTrace, which needs no model.
- `workflow`: the problem.
- `run`: the methods of runs, with Enumerate and RandomMutation.
- `rules`: a rule-based stand-in for a model.
- `instances`: random programs, the pieces of a prompt.
- `peers`: solvers that see no trace.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.

The backend is the room's (`feasible.language.backend`), and so is the sandbox for changed code.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
