"""HESSO: Towards Automatic Efficient and User Friendly Any Neural Network Training and Pruning
(arXiv 2409.09085).

- `claim`: The claim of arXiv 2409.09085: one training run gives a smaller network with the same
  output, and shrinking in periods beats cutting at once.
- `cric`: HESSO-CRIC: HESSO that looks several times before it decides, so that a structure that
  only seems redundant is not cut.
- `groups`: Zero-invariant groups: the parts of a network that can be cut out without changing its
  output, once their variables are zero.
- `groups_fx`: Coupled channels by torch.fx: the proposal of
  `find_zero_invariant_groups(backend="fx")`, for installations without torch-pruning.
- `hesso`: HESSO: train and cut a network in one run, by shrinking redundant groups of variables
  to zero while the others learn to do without them.
- `subnet`: Smaller networks: cut channels whose variables are zero out of a network, keep what
  was cut as plain data, and build it again from there.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
