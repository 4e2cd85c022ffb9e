"""Novel Quadratic Constraints for Extending LipSDP beyond Slope-Restricted Activations.

Patricia Pauli, Aaron Havens, Alexandre Araujo, Siddharth Garg, Farshad Khorrami, Frank Allgoewer,
Bin Hu, ICLR 2024, arXiv 2401.14033.

A certified upper bound on the Lipschitz constant of a trained network whose activations sort or
reflect: GroupSort, MaxMin, FullSort, Householder; and, as LipSDP, of those with bounded slopes.

Begin with `activations`, which has the quadratic constraint, then `lmi`, the inequality; `bound` is
the way in.

- `settings`: how a constant is bounded.
- `activations`: what is known of the difference of two values of an activation.
- `networks`: feed-forward, residual and implicit networks.
- `lmi`: the inequality of a network.
- `certify`: from multipliers to a bound, by eigenvalues.
- `newton`: an interior-point method that never forms a derivative of the inequality.
- `gradient`: the gradient method for wide networks.
- `sdp`: the inequality by cvxpy, with Clarabel or SCS.
- `verify`: an independent check on the weights as given.
- `sampled`: slopes at sampled points, from below.
- `torch_nets`: reading a `torch.nn.Sequential`.
- `bound`: `lipschitz_bound`.
- `pairs`: bounds of the differences of a classifier's outputs.
- `problem`: `LipschitzCertificate`, the problem of a run.
- `run`: the methods of a run.
- `peers`: eclipse-nn.
- `instances`: networks trained on digits, and random ones.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
