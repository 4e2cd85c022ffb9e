"""Making RL with preference-based feedback efficient via randomization.

Runzhe Wu, Wen Sun, ICLR 2024, arXiv 2310.14554.

Nobody knows the reward of a finite decision process; people say which of two episodes is better.
Noise on what is learnt explores, and a pair is asked about only where two draws of the reward
disagree on it.

Begin with `learner`: an episode of learning. Then `prlsvi` and `pbts`, the paper's two algorithms.

- `settings`: how they ask.
- `compiled`: a factor's update, and planning with counts.
- `native`: `PRLSVI` and `PbTS` with somebody in the loop.
- `run`: the methods of runs, and of people who fill in tables.
- `instances`: random processes and a river.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
