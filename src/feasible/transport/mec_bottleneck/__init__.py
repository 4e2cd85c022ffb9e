"""Minimum Entropy Coupling with Bottleneck (MEC-B).

M. Reza Ebrahimi, Jun Chen, Ashish Khisti, NeurIPS 2024, arXiv 2410.21666.

Two laws are coupled through a code that may say only so much:

    maximise    I(X; Y)   over Markov chains X - T - Y
    subject to  X ~ p_X,  Y ~ p_Y,  H(T) <= R bits

Begin with `mec_bottleneck.mec_bottleneck`; its two halves are `entropy_bottleneck_encoder` in the
same file (Algorithm 1) and `entropy_coupling.min_entropy_coupling`.

- `entropy_coupling`: greedy minimum entropy coupling of two laws, and what bounds it.
- `mec_bottleneck`: the encoder, the chain, and the method of a run.
- `compiled_coupling`, `compiled_encoders`: their compiled loops.
- `problem`: `RateLimitedCoupling`, the problem of a run.
- `world`: a decision process as tables, the paper's grid, and its policy of most entropy.
- `coding_game`: Markov coding games: a code, an episode.
- `coding_problem`, `coding_agent`, `coding_env`: such games as a problem and a method of a run, and
  as a gymnasium environment.
- `instances`: ready-made laws and games.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
