"""Accelerating Sinkhorn Algorithm with Sparse Newton Iterations (SNS) (arXiv 2401.12253).

- `claim`: The claim of arXiv 2401.12253: sparse Newton steps reach machine precision where
  Sinkhorn needs tens of thousands of iterations.
- `compiled`: Compiled passes over a cost matrix and over the kernel K_ij = exp(u_i + v_j - C_ij /
  reg) of base potentials u, v.
- `coupling`: What `sinkhorn_newton` returns: a coupling, or those of a batch.
- `instances`: Ready-made problems of entropic transport: random assignments, pairs of images,
  point clouds, colours of two photographs.
- `kernel`: The kernel exp(u + v - eta C), kept whole, or where few entries matter as compressed
  rows, and the plan that scalings make of it.
- `peers`: POT, OTT-JAX, geomloss and exact solvers on problems of entropic transport; their
  errors are measured by the problem, not by their own rules.
- `point_clouds`: Entropic transport between point clouds, and Wasserstein distances between
  images or histograms, by `sinkhorn_newton`.
- `problem`: EntropicTransport: couplings of two distributions that pay for the entropy they lack.
- `sinkhorn_newton`: Sinkhorn-Newton-Sparse (Tang, Shavlovsky, Rahmanian, Tardini, Thekumparampil,
  Xiao, Ying, ICLR 2024, arXiv 2401.12253).
- `small`: Both stages for problems of at most SIDE rows and columns, compiled as one function:
  there, Python's overhead for an iteration exceeds its work.
- `stages`: The two stages of Sinkhorn-Newton-Sparse on positive masses that sum to 1;
  `sinkhorn_newton_sparse.py` says what they are for.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
