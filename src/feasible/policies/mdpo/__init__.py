"""Mirror descent policy optimisation.

Manan Tomar, Lior Shani, Yonathan Efroni, Mohammad Ghavamzadeh, ICLR 2022, arXiv 2005.09814.

Each iteration solves, by a few gradient steps, a trust-region problem about the policy before it:

    maximise  E_s[ E_(a ~ pi)[A(s, a)] - D(pi(.|s), pi_k(.|s)) / t_k ]

D is the Kullback-Leibler divergence of the new policy to the old one, or the Bregman divergence of
a Tsallis entropy. Begin with `losses`, then `on_policy`.

- `settings`: of both forms, said once.
- `losses`: divergences and the objective.
- `on_policy`: from roll-outs, with advantage estimates.
- `off_policy`: from a replay buffer, with soft critics.
- `tabular`: the exact step where everything is known.
- `agents`: classes with `learn`, `predict`, `save`, `load`.
- `run`: the methods of runs.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
