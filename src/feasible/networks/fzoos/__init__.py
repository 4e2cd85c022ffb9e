"""Federated Zeroth-Order Optimization using Trajectory-Informed Surrogate Gradients.

Yao Shu, Xiaoqiang Lin, Zhongxiang Dai, Bryan Kian Hsiang Low, 2023, arXiv 2308.04077.

Clients that give values only descend together: each takes gradients from a surrogate of the values
along its own way, corrected by a global surrogate whose weights are all that it sends.

Begin with `client.FZooSClient`, then `server.play`.

- `client`: what a client does in a round and what it sends; FZooS's and the baselines'.
- `surrogate`: derivatives of a Gaussian process, and random Fourier features.
- `server`: a round, and what is made of the answers.
- `settings`: said once for the classes and for runs.
- `run`: the methods, of a run and by themselves.
- `instances`: quadratics, attacks on classifiers, metrics without a gradient.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
