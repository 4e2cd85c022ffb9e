"""HESSO: train and cut a network in one run.

T. Chen, X. Qu, D. Aponte, C. Banbury, J. Ko, T. Ding, Y. Ma, V. Lyapunov, I. Zharkov, L. Liang,
"HESSO: Towards Automatic Efficient and User Friendly Any Neural Network Training and Pruning",
2024, arXiv 2409.09085. Groups of variables that can be cut without changing the output shrink to
zero while the others learn.

Begin with `hesso`, class `HESSO`.

- `groups`: What a zero-invariant group is.
- `find`, `groups_fx`: Groups found in a network, by torch-pruning or torch.fx.
- `hesso`: The optimiser; `cric` looks several times before it decides.
- `saliency`: How redundant a group is, and which are lowest.
- `cutting`: What to cut, as plain data.
- `subnet`: The smaller network: made, compared, saved, loaded.
- `run`: Its methods for runs, `GroupPruning`.
- `peers`: torch-pruning's own choice of channels in the same run.
- `claim`: The paper's claim as an experiment.
- `entries`: What the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
