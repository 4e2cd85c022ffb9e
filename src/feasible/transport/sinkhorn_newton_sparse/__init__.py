"""Accelerating Sinkhorn Algorithm with Sparse Newton Iterations (SNS).

Xun Tang, Michael Shavlovsky, Holakou Rahmanian, Elisa Tardini, Kiran Koshy Thekumparampil, Tesi
Xiao, Lexing Ying, ICLR 2024, arXiv 2401.12253.

Entropic optimal transport to machine precision, also where the entropy has so little weight that
Sinkhorn's iteration needs tens of thousands of sweeps:

    minimise    sum P C + reg sum P log P
    subject to  P >= 0,  P 1 = a,  P' 1 = b

Begin with `sinkhorn_newton.sinkhorn_newton`; the algorithm is `stages.advance`, and the paper's own
Newton step `paper.newton_of_the_paper`.

- `settings`: what the two stages may do.
- `state`: where the solver stands, and what its potentials are worth.
- `stages`: Sinkhorn's iteration, the choice of what follows, Newton's step.
- `paper`: Newton's step without our additions.
- `small`: both stages for problems of at most 64 x 64, as one compiled function.
- `kernel`: the kernel exp(u + v - eta C), whole or as compressed rows.
- `compiled`: the compiled passes over costs and kernels, and the conjugate gradients.
- `sinkhorn_newton`: the function for arrays, and the method of a run.
- `coupling`: what the function returns.
- `implicit`: first and second derivatives of what was solved.
- `point_clouds`: transport between point clouds, Wasserstein distances of images.
- `semidual`: both stages for relatives of the problem.
- `unbalanced`: masses that need not agree, and need not all be moved.
- `barycenter`: the distribution that is nearest to several others.
- `problem`: `EntropicTransport`, the problem of a run.
- `instances`: ready-made problems.
- `peers`: POT, OTT-JAX, geomloss and exact solvers.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
