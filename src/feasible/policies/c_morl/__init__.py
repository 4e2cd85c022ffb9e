"""C-MORL: Multi-Objective Reinforcement Learning through Efficient Discovery of Pareto Front.

Ruohong Liu, Yuxin Pan, Linjie Xu, Lei Song, Pengcheng You, Yize Chen, Jiang Bian, ICLR 2025,
arXiv 2410.02236.

For a reward of several entries: a set of policies among which the best for any weights is found.
First policies are trained for a few weights; then some of those that nothing dominates are pushed
along each objective while a barrier keeps the others, and the front fills.

Begin with `run`: the two stages as a method. `agent` is the same as a class with `learn`.

- `settings`: of a training, and of the two stages.
- `members`: policies that are trained together: networks, Adam, running figures.
- `ppo`: the update of all of them, and the barrier.
- `collect`: transitions and paid evaluations.
- `archive`: what is kept, and what is extended next.
- `metrics`: hypervolume, expected utility, sparsity, crowding distance.
- `agent`: CMORL, as in Stable-Baselines3.
- `run`: the methods of runs: C-MORL and weighted sums.
- `instances`, `targets`: environments of mo-gymnasium, and one whose best policies are known.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
