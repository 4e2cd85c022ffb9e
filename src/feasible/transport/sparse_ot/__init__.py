"""Sparsity-Constrained Optimal Transport.

Tianlin Liu, Joan Puigcerver, Mathieu Blondel, ICLR 2023, arXiv 2209.15466.

Transport between two histograms whose plan has at most k nonzeros in every column (or row):

    minimise    <T, C> + gamma/2 |T|^2
    subject to  T >= 0,  T 1 = a,  T' 1 = b,  at most k nonzeros in every column

Begin with `sparse_ot.sparse_ot`; the maxima of a column, where the cap comes in, are
`compiled._simplex_column` and `compiled._orthant_column`, and the ascent on the dual is
`ascent.advance`.

- `settings`: how the dual is maximised.
- `sparse_ot`: the function for arrays, and the method of a run.
- `ascent`: L-BFGS with Newton steps on a settled support, and Adam.
- `compiled`: k-sparse maxima, objectives with gradients, plans.
- `capped`: the normalised problem that the kernels have, and the way back.
- `repair`: plans that meet their marginals where the k-th and the next largest entry tie.
- `result`: what the function returns.
- `router`: routing of tokens to experts with a capacity.
- `problem`: `SparseTransport`, the problem of a run.
- `instances`: ready-made problems.
- `peers`: POT's smooth transport.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
