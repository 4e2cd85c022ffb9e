"""PARL: A Unified Framework for Policy Alignment in Reinforcement Learning from Human Feedback.

Souradip Chakraborty, Amrit Singh Bedi, Alec Koppel, Huazheng Wang, Dinesh Manocha, Mengdi Wang,
Furong Huang, ICLR 2024, arXiv 2308.02585.

Choose the parameters of a reward so that the agent which maximises it does what a designer wants,
where what is judged are the agent's own episodes: incentives, taxes, rewards from preferences.

Begin with `aparl`: its `advance` is the paper's algorithm, `hypergradient` the exact gradient.

- `settings`: how nu moves.
- `mdp`: the agent and its world: soft value iteration.
- `hypergradient`: the gradient through the agent's best answer.
- `sampled`: the same from episodes.
- `feedback`: utilities, preferences, a simulated person.
- `aparl`: the algorithm.
- `gym`: the same on gymnasium's environments.
- `compiled`: products with the matrix of transitions.
- `problem`: `RewardDesign` and `RewardFromPreferences`, the problems of a run.
- `comparing`: pairs as experiments that people run.
- `levels`: a design as the room's two levels.
- `run`: the methods of a run.
- `baselines`: fits, differences.
- `peers`: CMA-ES.
- `instances`: random processes and a grid.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
